"""Which sums of functions can be computed again in pairs, and the code for that.

The addends of a sum, as far as they are made of numbers of the program by arithmetic and
functions known to pairs, become a code for ``redone_sum``. Ops that are functions of
such functions are taken apart first; they cancel more, but the error bound of the code knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any
from weakref import WeakSet

import numpy as np

from stablegrad.canonical import canonical
from stablegrad.ir import OPS, Term, make
from stablegrad.ops import forms
from stablegrad.ops.corrected import CORRECTED
from stablegrad.ops.exact import to_float
from stablegrad.ops.forms import AFFINE, MONOMIAL, REQUIRE
from stablegrad.ops.lowered_arithmetic import Sum
from stablegrad.ops.lowered_calls import REDONE_SUM
from stablegrad.ops.lowered_functions import ALL_SLOPES, POWERS, REDONE_CALL, REDONE_POWER
from stablegrad.ops.lowered_gaps import (
    GAPS,
    INTERVALS,
    REDONE_COMPARISON,
    REDONE_GAP,
    SIGNED,
    VANISHING,
    WAVES,
)
from stablegrad.ops.pair_calls import CALLS
from stablegrad.ops.pair_codes import Better, Code, Function, Select
from stablegrad.ops.record import CONST, const, is_const
from stablegrad.transforms.meanings import TWICE, has_meaning, meaning_of
from stablegrad.transforms.rational import instruction, is_exact, is_long, rounds, usable

LIMIT = 192  # terms of one code: what is larger is summed from rounded addends
HAZARD = "log_ndtr_difference_derivative"
EVEN = frozenset(range(-64, 65, 2))
"""Exponents of which a base may be negative and its power near 1."""
ARGUMENT_LIMIT = 128  # terms of the code of an argument


def as_redone_sum(
    term: Term, lowered: Mapping[Term, Term], flat: tuple[Term, ...], counts: tuple[int, ...]
) -> Term | None:
    """The sum as one op that redoes the elements that cancel, or None where that gains nothing.

    Args:
        term: an affine form.
        lowered: the lowered terms of what it is made of.
        flat: its lowered addends, with products taken apart.
        counts: how many of them make up each addend.
    """
    if not any(_rounded_twice(x) for x in term.args):
        return None
    code = _Code(lowered, LIMIT)
    if not code.add(term):
        return None
    args = (*flat, *[lowered[x] for x in code.leaves])
    shape = forms.broadcast(AFFINE, args)
    params = (*term.params, counts, code.rounded, code.steps)
    return make(REDONE_SUM, args, params, shape, term.dtype)


def as_redone_call(term: Term, lowered: Mapping[Term, Term]) -> Term | None:
    """A function as one op that redoes elements at which it feels the rounding of its argument.

    None where the argument is exact, or cannot be computed in pairs.

    Args:
        term: a function of one argument, or of the difference of two.
        lowered: the lowered terms of what its argument is made of.
    """
    if term.op.name not in CORRECTED or all(is_exact(x) or _is_multiple(x) for x in term.args):
        return None
    inner = term.args[0]
    if len(term.args) == 2:
        inner = canonical(inner - term.args[1], below=frozenset(term.args))
        if inner.op is CONST or is_exact(inner):  # x + y less x is y
            args = (lowered.get(inner, inner), forms.const(0, term.dtype))
            return make(term.op, args, term.params, forms.broadcast(AFFINE, args), term.dtype)
    code = _Code(lowered, ARGUMENT_LIMIT)
    if not code.add(inner) or not code.steps:
        return None
    args = (*[lowered[x] for x in term.args], *[lowered[x] for x in code.leaves])
    params = (term.op.name, term.params, code.rounded, code.steps)
    return make(REDONE_CALL, args, params, forms.broadcast(AFFINE, args), term.dtype)


def as_redone_gap(term: Term, lowered: Mapping[Term, Term]) -> Term | None:
    """A difference of values of a function, redone where its arguments are close, or far waves.

    And logarithms of two computed numbers near their zero.
    """
    name = term.op.name
    if name in WAVES:
        meant = meaning_of(term)
        assert meant is not None
    elif name in VANISHING and not all(is_exact(x) for x in term.args):
        meant = term
    elif name in GAPS | INTERVALS and not all(is_exact(x) for x in term.args):
        meant = term.args[0] - term.args[1]
    else:
        return None
    code = _Code(lowered, ARGUMENT_LIMIT)
    if not code.add(canonical(meant, below=frozenset(term.args))) or not code.steps:
        return None
    args = (*[lowered[x] for x in term.args], *[lowered[x] for x in code.leaves])
    params = (name, term.params, code.rounded, code.steps)
    return make(REDONE_GAP, args, params, forms.broadcast(AFFINE, args), term.dtype)


def as_redone_comparison(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """A lowered comparison, redone where computed numbers came out equal.

    Args:
        value: the lowered comparison.
        term: the same, canonical.
        lowered: the lowered terms of what its arguments are made of.
    """
    if term.op.name not in SIGNED or all(is_exact(x) for x in term.args):
        return value
    a, b = term.args
    wide = all(x.dtype == np.float64 for x in value.args)
    bare = _without_constants(term) if wide else None
    if bare is not None:
        x, bound, name = bare
        return OPS[name](lowered[x], bound)
    if not wide or is_const(a, 0) or is_const(b, 0) or not any(map(_rounded_twice, term.args)):
        return value
    code = _Code(lowered, ARGUMENT_LIMIT)
    if not code.add(canonical(a - b, below=frozenset(term.args))):
        return value
    args = (value, *[lowered[x] for x in (a, b, *code.leaves)])
    steps = code.steps or (Sum(0, ((1, 0),)),)  # y - (y - x) is x
    params = (term.op.name, code.rounded, steps)
    return make(REDONE_COMPARISON, args, params, forms.broadcast(AFFINE, args), term.dtype)


_FLIPPED = {
    "greater": "less",
    "less": "greater",
    "greater_equal": "less_equal",
    "less_equal": "greater_equal",
}


def _without_constants(term: Term) -> tuple[Term, Term, str] | None:
    """A comparison of a number of the program plus a constant, which rounds, as of the number.

    Returns:
        The number, the bound and the comparison; None for others, and where no float is the bound.
    """
    total, bound = term.args if term.args[1].op is CONST else term.args[::-1]
    name = term.op.name if total is term.args[0] else _FLIPPED.get(term.op.name, term.op.name)
    if total.op is not AFFINE or len(total.args) != 1:
        return None
    x = next(iter(total.args))
    if not is_exact(x):
        return None
    c0, (c,) = total.params
    if bound.op is not CONST or c0 == 0 or isinstance(c0, str) or isinstance(bound.params[0], str):
        return None
    limit = (Fraction(bound.params[0]) - Fraction(c0)) / Fraction(c)
    if limit != to_float(limit) or total.shape != x.shape:
        return None
    name = _FLIPPED.get(name, name) if c < 0 else name
    return x, const(float(limit), total.dtype), name


def as_redone_power(term: Term, lowered: Mapping[Term, Term]) -> Term | None:
    """A general power as one op that redoes elements at which it feels its arguments' rounding.

    None where both are exact, or cannot be computed in pairs.
    """
    slope = term.op.name in ALL_SLOPES and 0 in term.params
    if not slope and term.op.name not in POWERS:
        return None
    base, exponent = term.args
    if all(is_exact(x) or _is_multiple(x) for x in (base, exponent)):
        return None
    log = OPS["log1p" if term.op.name.startswith("pow1p") else "log"](base)
    if not slope and exponent.op is CONST and exponent.params[0] in EVEN:  # of negative bases too
        log = OPS["log"](OPS["abs"](base if log.op.name == "log" else 1 + base))
    code = _Code(lowered, ARGUMENT_LIMIT)
    lowered_by = term.params[0] if slope else 0
    whole = canonical((exponent - lowered_by) * log, below=frozenset(term.args))
    if not code.add(whole) or not code.steps:
        return None
    args = (*[lowered[x] for x in term.args], *[lowered[x] for x in code.leaves])
    rough = slope and log.op.name == "log" and _is_form(base)
    params = (term.op.name, term.params, rough, code.rounded, code.steps)
    return make(REDONE_POWER, args, params, forms.broadcast(AFFINE, args), term.dtype)


def _is_form(x: Term) -> bool:
    """Whether a term is a product or sum of numbers of the program: little work in pairs."""
    inner = x.args[0] if x.op.name == "abs" else x
    return (
        not _is_multiple(inner)
        and inner.op in (AFFINE, MONOMIAL)
        and all(map(is_exact, inner.args))
    )


def _is_multiple(x: Term) -> bool:
    """Whether a term is an exact number times a power of two, which is exact too."""
    c, core = forms.split(x)
    size = abs(Fraction(c))
    whole = size.numerator.bit_count() == 1 and size.denominator.bit_count() == 1
    return whole and is_exact(core)


def _rounded_twice(x: Term) -> bool:
    """Whether an addend is a function, or rounded beyond a product of two factors."""
    while x.op is REQUIRE:
        x = x.args[0]
    if x.op is MONOMIAL and any(y.dtype.kind == "b" or _called(y) for y in x.args):
        return True
    return _called(x) or rounds(x)


def _called(x: Term) -> bool:
    name = x.op.name
    if name in ("abs", "maximum", "minimum", "clip"):  # exact, but of what may be rounded
        return any(a.op in (AFFINE, MONOMIAL) or _known(a.op.name) for a in x.args)
    return _known(name)


def _known(name: str) -> bool:
    steps = ("polygamma", "polygamma_step", "where", HAZARD)
    return name in CALLS or name in steps or has_meaning(name)


def _is_number(x: Term) -> bool:
    """Whether a leaf is exact: a number of the program, a condition or a sign."""
    if x.op is MONOMIAL and all(a.dtype.kind == "b" for a in x.args):
        return True
    return is_exact(x) or x.dtype.kind == "b" or x.op.name == "sign"


_large: dict[int, WeakSet[Term]] = {}
"""By the limit, terms whose codes were found to be longer: so are those of what is made of them."""


class _Code:
    """Turns a term into instructions on the registers that hold its leaves."""

    def __init__(self, lowered: Mapping[Term, Term], limit: int) -> None:
        self.lowered = lowered
        self.limit = limit
        self.leaves: list[Term] = []
        self.steps: Code = ()

    @property
    def rounded(self) -> tuple[bool, ...]:
        """Which of the leaves are rounded results, not numbers of the program."""
        return tuple([not _is_number(x) for x in self.leaves])

    @property
    def _any_leaf(self) -> int:
        """A leaf, one that is exact if there is any."""
        return min(range(len(self.leaves)), key=lambda i: self.rounded[i])

    def add(self, root: Term) -> bool:
        """Whether the code of a term could be made."""
        apart: dict[Term, Term] = {}
        order = self._ordered(root, apart)
        if order is None:
            return False
        inner = [t for t in order if self._steps(t)]
        self.leaves = [
            t
            for t in order
            if (not self._steps(t) and t not in apart) or (t in apart and self._twice(t))
        ]
        if not self.leaves:
            return False
        register: dict[Term, int] = {t: i for i, t in enumerate(self.leaves)}
        steps: list[Any] = []
        for t in order:
            if t in apart:
                own = register.get(t)
                register[t] = register[apart[t]]
                if own is not None:
                    steps.append(Better(register[t], own))
                    register[t] = len(self.leaves) + len(steps) - 1
            elif t in inner:
                for step in self._instructions(t, register):
                    register[t] = len(self.leaves) + len(steps)
                    steps.append(step)
        self.steps = tuple(steps)
        return True

    def _twice(self, t: Term) -> bool:
        """Whether an op is taken apart and has a value of its own beside it."""
        return t.op.name in TWICE and t in self.lowered

    def _ordered(self, root: Term, apart: dict[Term, Term]) -> list[Term] | None:
        """The terms below, arguments first, ops taken apart; None where there are too many."""
        order: dict[Term, None] = {}
        entered: set[Term] = set()
        large = _large.setdefault(self.limit, WeakSet())
        stack = [root]
        while stack:
            t = stack[-1]
            if t in order:
                stack.pop()
                continue
            if t in entered:
                order[t] = None
                stack.pop()
                continue
            entered.add(t)
            if len(entered) > self.limit or (t in large and self._steps(t)):
                large.add(root)
                return None
            below = self._below(t, apart)
            if below is None:
                return None
            stack += [x for x in below if x not in order]
        return list(order)

    def _below(self, t: Term, apart: dict[Term, Term]) -> tuple[Term, ...] | None:
        if self._steps(t):
            return t.args
        if (
            t.op is REQUIRE or t.op.name == "stop_gradient"
        ):  # where a guard fails the sum is nan, and no smaller than its addends
            apart[t] = t.args[0]
            return (t.args[0],)
        meaning = meaning_of(t)
        if meaning is not None:
            apart[t] = canonical(meaning, below=frozenset(t.args))
            return (apart[t],)
        if t not in self.lowered or not (is_exact(t) or t.op.elementwise):
            return None
        return ()

    def _steps(self, t: Term) -> bool:
        """Whether a term is some instructions."""
        if t.op is AFFINE or t.op is MONOMIAL:
            return usable(t)
        if t.op is CONST and not isinstance(t.params[0], str):
            return is_long(t) or t not in self.lowered
        if t.op.name == "polygamma_step":
            return t.param("n") == 0
        if t.op.name == HAZARD:
            return t.params in ((1, 0), (0, 1))
        if t.op.name == "log_ndtr_derivative":
            return t.param("n") == 1
        return t.op.name in CALLS or t.op.name in ("polygamma", "polygamma_step", "where")

    def _instructions(self, t: Term, register: dict[Term, int]) -> Iterator[Any]:
        """The instructions of a term; after each, ``register`` has where its result went."""
        if t.op is AFFINE or t.op is MONOMIAL:
            yield instruction(t, register)
            for x in t.args:
                if x.dtype.kind == "b":
                    yield Select(register[x], register[t], None)
        elif t.op is CONST:  # as a sum, that has the shape of what it goes with
            yield Sum(t.params[0], ((0, self._any_leaf),))
        elif t.op.name == HAZARD and t.params == (1, 0):
            yield Function("interval_hazard", tuple([register[x] for x in t.args]))
        elif t.op.name == HAZARD:  # that of the mirrored interval
            for x in t.args[::-1]:
                yield Sum(0, ((-1, register[x]),))
            after = register[t]
            yield Function("interval_hazard", (after - 1, after))
            yield Sum(0, ((-1, register[t]),))
        elif t.op.name == "where":
            yield Select(*[register[x] for x in t.args])
        else:
            order = t.param("n") if t.op.name == "polygamma" else 0
            name = "digamma_step" if t.op.name == "polygamma_step" else t.op.name
            yield Function(name, tuple([register[x] for x in t.args]), order)
