"""Which parts of a program to synthesize: fragile functions of one value.

A part is a term with the value that it depends on alone, however many ops lie between (the
topmost single-value dominator). Signs that digits may be lost are looked for in the structure
first; only what shows one is compared with the truth, once per structure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from stablegrad.canonical import with_args
from stablegrad.cost import one_sign
from stablegrad.ir import Facts, Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.record import CONST, const, is_float
from stablegrad.synthesis.build import DeclinedError
from stablegrad.synthesis.fragile import Run, is_fragile
from stablegrad.synthesis.op import SYNTHESIZED
from stablegrad.synthesis.recipe import Recipe, recipe
from stablegrad.synthesis.store import proved

WELL_CONDITIONED = frozenset(
    """
    sqrt cbrt square abs sign negative tanh arcsinh arctan erf where require astype stop_gradient
    maximum minimum clip positive broadcast_to indicator log_cosh softsign sinc_unnormalised
    """.split()
)
"""Ops that pass a relative error of their argument on no greater than about twice."""
EXPONENTIALS = frozenset(
    "exp exp2 expm1 sigmoid softplus log_sigmoid silu sinh cosh sech sech_squared".split()
)
"""Ops that pass on a relative error times their argument."""
SMALL_EXPONENT = 4.0


class Parts:
    """The univariate parts of a program: for each term the value it is a function of."""

    def __init__(self, roots: Sequence[Term], largest: int) -> None:
        self.largest = largest
        self.order = topological(roots)
        self.source: dict[Term, Term] = {}
        self.size: dict[Term, int] = {}
        for term in self.order:
            self._place(term)

    def _place(self, term: Term) -> None:
        self.source[term] = term
        self.size[term] = 0
        if not term.args or not term.op.elementwise or not is_float(term.dtype):
            return
        if term.op is SYNTHESIZED:
            return
        common, size = self.of(term.args)
        if common is not None and size >= self.largest:  # by paths; a term may be on many
            size = _distinct(term, common, self.largest)
        if common is not None and size < self.largest:
            self.source[term], self.size[term] = common, size

    def of(self, args: Sequence[Term]) -> tuple[Term | None, int]:
        """The one value that arguments are functions of, and how many ops away."""
        common: Term | None = None
        size = 1
        for a in args:
            if a.op is CONST:
                continue
            if not is_float(a.dtype):
                inner = self._condition(a)
                if inner is None:
                    return None, 0
                found, more = inner
            else:
                found, more = self.source[a], self.size[a]
            if common is not None and found is not common:
                return None, 0
            common = found
            size += more
        return common, size

    def _condition(self, term: Term) -> tuple[Term, int] | None:
        """A comparison of functions of one value belongs to their part."""
        if not term.op.elementwise or not term.args:
            return None
        found, size = self.of(term.args)
        return None if found is None else (found, size)


def _distinct(term: Term, source: Term, largest: int) -> int:
    """The ops between a term and its source, or ``largest`` where there are more."""
    stack, seen = [term], {term, source}
    while stack and len(seen) <= largest:
        new = [a for a in stack.pop().args if a.args and a not in seen]
        seen.update(new)
        stack += new
    return min(len(seen) - 1, largest)


def synthesize(
    roots: Sequence[Term],
    run: Run,
    note: Callable[[Term, Term, str], None],
    allowance: Allowance,
) -> list[Term]:
    """The roots with every fragile univariate part as a synthesized kernel beside its naive form.

    Args:
        roots: stable canonical terms.
        run: how the program runs.
        note: told of each synthesis: the term before and after, and what is proved of it.
        allowance: what the kernels of the program may cost.
    """
    parts = Parts(roots, run.largest)
    replacement = _Replacements(run, allowance)
    done: dict[Term, Term] = {}
    plain: dict[Term, Term] = {}
    """Terms inside a part as they are without kernels, over what the part is a function of."""

    def kernel(part: Term, source: Term, naive: Term) -> Term | None:
        what = replacement(part, source)
        if not isinstance(what, tuple):
            return None
        made, text = what
        new = make(SYNTHESIZED, (done[source], naive), (made,), naive.shape, naive.dtype)
        note(part, new, text)
        return new

    def settled(term: Term) -> Term:
        """A part as its users outside see it; of one that is declined, the parts inside."""
        if term in done:
            return done[term]
        source = parts.source[term]
        new = kernel(term, source, plain[term])
        if new is None:
            new = plain[term]
            if replacement(term, source) is DECLINED:
                inside = [
                    settled(a) if parts.source.get(a) is source and a is not source else plain[a]
                    for a in term.args
                ]
                new = with_args(term, tuple(inside))
        done[term] = new
        return new

    for term in parts.order:
        source = parts.source[term]
        if source is not term:
            # what a term becomes must not depend on who else asks for what is inside it
            inner = tuple([_seen(a, source, parts, plain, settled) for a in term.args])
            plain[term] = term if inner == term.args else with_args(term, inner)
            continue
        args = tuple([settled(a) for a in term.args])
        new = term if args == term.args else with_args(term, args)
        if (term.op is AFFINE or term.op is MONOMIAL) and len(term.args) > 1:
            new = _regrouped(term, parts, done, kernel) or new
        done[term] = plain[term] = new
    return [settled(r) for r in roots]


def _seen(
    a: Term,
    source: Term,
    parts: Parts,
    plain: dict[Term, Term],
    settled: Callable[[Term], Term],
) -> Term:
    """An argument as a term of the part over ``source`` sees it."""
    if a is source or parts.source[a] is not source:
        return settled(a)
    return plain[a]


def _regrouped(
    term: Term,
    parts: Parts,
    done: dict[Term, Term],
    kernel: Callable[[Term, Term, Term], Term | None],
) -> Term | None:
    """A flat sum or product of several values, those of its operands that share one as a part."""
    weights = term.params[1] if term.op is AFFINE else term.params[0]
    groups: dict[Term, list[tuple[Term, Any]]] = {}
    for a, w in zip(term.args, weights, strict=True):
        if is_float(a.dtype) and a.op is not CONST:
            groups.setdefault(parts.source[a], []).append((a, w))
    kernels: list[Term] = []
    taken: set[Term] = set()
    for source, items in groups.items():
        if len(items) < 2 or sum(parts.size[a] for a, _ in items) >= parts.largest:
            continue
        old = _combined(term, items)
        new = _combined(term, [(done[a], w) for a, w in items])
        made = kernel(old, source, new)
        if made is not None:
            kernels.append(made)
            taken.update(a for a, _ in items)
    if not kernels:
        return None
    rest = [(done[a], w) for a, w in zip(term.args, weights, strict=True) if a not in taken]
    if term.op is AFFINE:
        addends = [(w, a) for a, w in rest] + [(1, k) for k in kernels]
        if term.params[0] != 0:
            addends.append((1, const(term.params[0], term.dtype)))
        return forms.total(addends, term.shape, term.dtype)
    factors = [a if a.dtype.kind == "b" else forms.power(a, w) for a, w in rest]
    return forms.with_shape(forms.product([*factors, *kernels]), term.shape)


def _combined(like: Term, items: list[tuple[Term, Any]]) -> Term:
    """The sum, or the product, of some operands of a flat form."""
    if like.op is AFFINE:
        shape = forms.broadcast(AFFINE, tuple([a for a, _ in items]))
        return forms.total([(w, a) for a, w in items], shape, like.dtype)
    return forms.product([forms.power(a, w) for a, w in items])


# -- verdicts ------------------------------------------------------------------------------------


Key = tuple[Recipe, str, float, float, Run]
"""A recipe in a dtype and range, and how it would run."""


class Verdict(NamedTuple):
    """FINE, DECLINED, or what is proved of a table; and what it costs to know that."""

    text: str
    cost: int


FINE, DECLINED = "fine", "declined"
TEST, GIVEN_UP = 8, 512
_verdicts: dict[Key, Verdict] = {}


class Allowance:
    """What the kernels of one program may cost.

    What was known before counts, too, so that results do not depend on it.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.seen: set[Any] = set()
        self.cost = 0

    def permits(self, key: Any) -> bool:
        """Whether a part may be looked at: it was in this program before, or there is some left."""
        return key in self.seen or self.cost < self.most

    def spend(self, key: Any, cost: int) -> None:
        """Count a part once."""
        if key not in self.seen:
            self.seen.add(key)
            self.cost += cost


class _Replacements:
    """The recipes of the fragile parts of one program."""

    def __init__(self, run: Run, allowance: Allowance) -> None:
        self.run = run
        self.allowance = allowance

    def __call__(self, part: Term, source: Term) -> tuple[Recipe, str] | str:
        """The recipe of a fragile part for which there is a table, and what is proved of it.

        Else FINE, where the naive form does or the program has many tables, or DECLINED.
        """
        if not suspect(part, source):
            return FINE
        what = recipe(part, source, self.run.format(source, part.dtype))
        facts = source.facts
        key = (what, str(part.dtype), facts.lo, facts.hi, self.run)
        if not self.allowance.permits(key):
            return FINE
        if key not in _verdicts:
            _verdicts[key] = _judge(what, part.dtype, facts, self.run)
        self.allowance.spend(key, _verdicts[key].cost)
        text = _verdicts[key].text
        return text if text in (FINE, DECLINED) else (what, text)


def _judge(what: Recipe, dtype: Any, facts: Facts, run: Run) -> Verdict:
    if not is_fragile(what, dtype, facts, run):
        return Verdict(FINE, TEST)
    try:
        table = proved(what)
    except DeclinedError:
        return Verdict(DECLINED, GIVEN_UP)
    return Verdict(table.summary(), table.pieces + TEST)


def suspect(term: Term, *sources: Term) -> bool:
    """Whether the structure of a part shows that digits may be lost between its ops.

    A sum of rounded terms that may differ in sign; the logarithm of a rounded value that may be
    near 1; a quotient of values that may both vanish or overflow.
    """
    stack, seen = [term], {term, *sources}
    while stack:
        t = stack.pop()
        if _loses(t, sources):
            return True
        for a in t.args:
            if a not in seen:
                seen.add(a)
                stack.append(a)
    return False


def _loses(t: Term, sources: tuple[Term, ...]) -> bool:
    rounded = [a for a in t.args if not _exact(a, sources)]
    if not rounded:
        return False
    name = t.op.name
    if t.op is AFFINE:
        return len(t.args) + (t.params[0] != 0) > 1 and not one_sign(t)
    if t.op is MONOMIAL:
        below = [a for a, p in zip(t.args, t.params[0], strict=True) if p < 0]
        floats = [a for a in t.args if a.dtype.kind != "b"]
        return len(floats) > 1 and any(a in rounded or not a.facts.nonzero for a in below)
    if name in WELL_CONDITIONED or not is_float(t.dtype):
        return False
    if name in EXPONENTIALS:
        return any(_great(a, sources) for a in rounded)
    return True


def _exact(a: Term, sources: tuple[Term, ...]) -> bool:
    """Whether a term is what it says but for a rounding that lowering keeps track of."""
    if a in sources or a.op is CONST or not is_float(a.dtype):
        return True
    if a.op is AFFINE or a.op is MONOMIAL:
        return all(x in sources for x in a.args) and (
            a.op is AFFINE or all(p in (1, 2) for p in a.params[0])
        )
    return a.op.name in ("abs", "require") and a.args[0] in sources


def _great(a: Term, sources: tuple[Term, ...]) -> bool:
    """Whether an exponent may be great and have a rounding error that lowering does not see."""
    if a.facts.lo >= -SMALL_EXPONENT and a.facts.hi <= SMALL_EXPONENT:
        return False
    core = forms.split(a)[1]
    addends = core.args if core.op is AFFINE else (core,)
    return any(not _exact(x, sources) and _unbounded(x) for x in addends)


def _unbounded(x: Term) -> bool:
    return not (x.facts.lo >= -SMALL_EXPONENT and x.facts.hi <= SMALL_EXPONENT)
