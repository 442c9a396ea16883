"""Bounded history: where a program grows too deep, values take the place of what is far below.

A cut depends on the depth of a term alone, never on whether anybody looked at a value. The
upper levels stay as expressions, so that rules still see them; gradients go on below through
the origin of each cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary, ref

from stablegrad.ir import Term, make, topological
from stablegrad.ops.derivative import CUSTOM, GRADIENT, PUSHFORWARD
from stablegrad.ops.record import CONST, LEAF
from stablegrad.program import evaluate
from stablegrad.settings import Settings
from stablegrad.tensor.cells import freeze, value_leaf

# The depth at which history is cut. A loop that looks at its values in each turn compiles a
# program for each depth up to this, once: 1 s at 64, 4 s at 128, 49 s at 512.
LIMIT = 128
KEEP = 32  # levels that stay expressions
KEEP_AT_ENTRY = 8  # of the inputs of transforms, so that a loop of steps soon repeats itself

# Derivative nodes hold programs of their own, whose variables a cut would tear off.
_ATOMIC = (CUSTOM, GRADIENT, PUSHFORWARD)

_cut_leaves: WeakKeyDictionary[Term, dict[tuple[Settings, bool], ref[Term]]] = WeakKeyDictionary()
_images: WeakKeyDictionary[Term, list[ref[Term]]] = WeakKeyDictionary()


def cut(root: Term, settings: Settings, *, chained: bool, keep: int = KEEP) -> Term:
    """The term with values in place of everything more than ``keep`` levels down.

    Args:
        root: a term whose leaves all have values.
        settings: the rules under which the values are computed.
        chained: whether gradients must find their way through the cut.
        keep: how many levels stay.
    """
    if root.op in _ATOMIC:
        return _leaves([root], settings, chained=chained)[root]
    floor = root.depth - keep

    def stays(term: Term) -> bool:
        return term.depth > floor and (term.op not in _ATOMIC or term.depth <= keep)

    upper: list[Term] = []
    frontier: dict[Term, None] = {}
    for term in topological([root], stop=lambda t: t is not root and not stays(t)):
        if term is root or stays(term):
            upper.append(term)
        elif term.depth > keep:
            frontier[term] = None
    done = _leaves(list(frontier), settings, chained=chained)
    for term in upper:
        args = tuple([done.get(a, a) for a in term.args])
        if args != term.args:
            done[term] = make(term.op, args, term.params, term.shape, term.dtype)
            if chained:
                _images.setdefault(term, []).append(ref(done[term]))
    return done.get(root, root)


def _leaves(terms: Sequence[Term], settings: Settings, *, chained: bool) -> dict[Term, Term]:
    """A leaf with the value of each term, the same one each time while it lives."""
    key = (settings, chained)
    found: dict[Term, Term] = {}
    missing: list[Term] = []
    for term in terms:
        leaf = _cut_leaves.get(term, {}).get(key, _nothing)()
        if leaf is None:
            missing.append(term)
        else:
            found[term] = leaf
    if missing:
        for term, value in zip(missing, evaluate(missing, settings), strict=True):
            leaf = value_leaf(freeze(value), origin=term if chained else None)
            found[term] = leaf
            _cut_leaves.setdefault(term, {})[key] = ref(leaf)
    return found


def _nothing() -> None:
    return None


def images(term: Term) -> list[Term]:
    """The term and all terms that cuts have built in its place."""
    found = [term]
    if term.op is LEAF or term.op is CONST:
        return found
    seen = {term}
    for current in found:
        for link in _images.get(current, ()):
            image = link()
            if image is not None and image not in seen:
                seen.add(image)
                found.append(image)
    return found
