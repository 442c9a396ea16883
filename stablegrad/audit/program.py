"""The program as a conventional framework runs it, forward and backward, node by node."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stablegrad.engines.numpy import Plan
from stablegrad.errors import NotDifferentiableError
from stablegrad.ir import OPS, Term, make, rebuild, topological
from stablegrad.ops import forms
from stablegrad.ops.derivative import CUSTOM
from stablegrad.ops.record import CONST, INPUT, const, is_const, is_float
from stablegrad.settings import Settings
from stablegrad.transforms.differentiate import vjp
from stablegrad.transforms.expand import Expander, strip

NAIVE = Settings(naive=True)
STABLE = Settings(excluded=frozenset({"stabilize"}))
"""The program as written with the records' partials and masks: no rewriting."""


@dataclass(frozen=True, slots=True)
class Pull:
    """What one node hands back to one of its arguments.

    Attributes:
        node: the node, as the user wrote it.
        arg: the argument.
        term: the contribution to the argument's cotangent.
        cotangent: the node's cotangent, from which it is computed.
    """

    node: Term
    arg: Term
    term: Term
    cotangent: Term


@dataclass
class Backward:
    """A reverse pass that remembers every step.

    Attributes:
        gradients: the cotangent of each variable.
        cotangents: that of every node.
        pulls: every step, in the order of the pass.
    """

    gradients: list[Term]
    cotangents: dict[Term, Term]
    pulls: list[Pull] = field(default_factory=list)


def expand(roots: Sequence[Term]) -> list[Term]:
    """Derivatives that the user's own function takes, as a conventional framework has them."""
    return Expander(NAIVE).expand(roots)


def backward(
    roots: Sequence[Term],
    variables: Sequence[Term],
    settings: Settings,
    places: Mapping[Term, str] | None = None,
) -> Backward:
    """The reverse pass of the sum of all elements of the roots.

    Args:
        roots: terms without derivative nodes.
        variables: inputs.
        settings: NAIVE for the textbook's partials, STABLE for the records'.
        places: the user's lines, for errors.

    Raises:
        NotDifferentiableError: a derivative on the way does not exist; names the user's line.
    """
    order = topological(roots)
    active = set(variables)
    for term in order:
        if is_float(term.dtype) and any(a in active for a in term.args):
            active.add(term)
    waiting: dict[Term, list[Term]] = {}
    for root in roots:
        waiting.setdefault(root, []).append(const(1, root.dtype, root.shape))
    found = Backward([], {})
    for term in reversed(order):
        if term not in active or term not in waiting:
            continue
        cotangent = _added(waiting.pop(term), settings)
        found.cotangents[term] = cotangent
        arguments = [a for a in dict.fromkeys(_inputs(term)) if a in active]
        if is_const(cotangent, 0) or not arguments:
            continue
        try:
            parts = vjp(term, arguments, cotangent, settings)
        except NotDifferentiableError as error:
            place = (places or {}).get(term, "<unknown>")
            told = re.sub(r"\(at [^)]*\)", "(at PLACE)", str(error)).replace("PLACE", place)
            raise NotDifferentiableError(told) from None
        for arg, part in zip(arguments, parts, strict=True):
            if not is_const(part, 0):
                waiting.setdefault(arg, []).append(part)
                found.pulls.append(Pull(term, arg, part, cotangent))
    found.gradients = [found.cotangents.get(x, const(0, x.dtype, x.shape)) for x in variables]
    return found


def stripped(roots: Sequence[Term]) -> list[Term]:
    """Terms without what matters to derivatives only."""
    return strip(list(roots))


def _inputs(term: Term) -> tuple[Term, ...]:
    """What a node hands gradients to: of a function with its own gradient, its inputs."""
    if term.op is not CUSTOM:
        return term.args
    outputs, inputs, _ = term.params
    return term.args[outputs : outputs + inputs]


def _added(parts: Sequence[Term], settings: Settings) -> Term:
    total = parts[0]
    if len(parts) > 1 and not settings.naive:
        return forms.total([(1, p) for p in parts], total.shape, total.dtype)
    for p in parts[1:]:
        total = OPS["add"](total, p)
    return total


# -- one node at a time ---------------------------------------------------------------------


_NUMBERS = 1 << 42  # numbers of the inputs that stand for values


class Slots:
    """Inputs that stand for the values of terms, so that a node can be run by itself."""

    def __init__(self) -> None:
        self.slot: dict[Term, Term] = {}

    def of(self, term: Term) -> Term:
        """The input that stands for a term; constants stand for themselves."""
        if term.op is CONST:
            return term
        if term not in self.slot:
            number = _NUMBERS + len(self.slot)
            self.slot[term] = make(INPUT, (), (number,), term.shape, term.dtype)
        return self.slot[term]

    def node(self, term: Term) -> Term:
        """The node over slots."""
        args = tuple([self.of(a) for a in term.args])
        return make(term.op, args, term.params, term.shape, term.dtype)

    def pull(self, pull: Pull) -> Term:
        """The step back over slots: of the node, its arguments and its cotangent."""
        given = {*pull.node.args, pull.node, pull.cotangent}
        used = topological([pull.term], stop=given.__contains__)
        return rebuild([pull.term], {t: self.of(t) for t in used if t in given})[0]


_BOUND_OF_SUMS = "n*eps relative to the sum of absolute"
_MOVES = frozenset("reshape transpose broadcast_to getitem flip pad".split())


def is_sum(term: Term) -> bool:
    """Whether the record bounds the error of a node relative to the sum of its terms."""
    return _BOUND_OF_SUMS in term.op.accuracy and is_float(term.dtype)


def absolute(term: Term) -> Term | None:
    """The sum of the absolute terms of a sum: what its rounding error is relative to."""
    moves: list[Term] = []
    while term.op.name in _MOVES and len(term.args) == 1:
        moves.append(term)
        term = term.args[0]
    if not is_sum(term):
        return None
    args = [OPS["abs"](a) if is_float(a.dtype) else a for a in term.args]
    result = make(term.op, tuple(args), term.params, term.shape, term.dtype)
    for move in reversed(moves):
        result = make(move.op, (result,), move.params, move.shape, move.dtype)
    return result


def run(roots: Sequence[Term], values: dict[Term, Any]) -> dict[Term, Any]:
    """The values of terms over inputs, by the kernels of their ops, nothing rewritten."""
    unique = list(dict.fromkeys(roots))
    inputs = list(values)
    return dict(zip(unique, Plan(unique, inputs)([values[t] for t in inputs]), strict=True))
