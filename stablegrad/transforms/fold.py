"""Constants are folded by the oracle, after stabilizing: folded earlier, in floats, they lose.

log(3) + x keeps log(3) to about a hundred bits, which a compensated sum then uses. log(2) and the
like are kept to as many bits as the oracle knows them by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from stablegrad.canonical import with_args
from stablegrad.ir import Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.exact import exact, exact_ratio
from stablegrad.ops.record import CONST, const, is_float

WIDE = np.dtype(np.float64)


WAVES = frozenset(["sin", "cos", "tan"])
"""Functions that take all digits of a root: of sqrt(2)*x beyond 1e30 a hundred bits are too few."""


def fold(roots: Sequence[Term]) -> list[Term]:
    """The roots with every elementwise real subterm of constants as one exact constant."""
    done: dict[Term, Term] = {}
    whole: dict[Term, Term] = {}
    for term in topological(roots):
        if term.op.name in WAVES:
            args = tuple([_with_all_digits(a, done) or whole.get(a, done[a]) for a in term.args])
        else:
            args = tuple([done[a] for a in term.args])
        new = term if args == term.args else with_args(term, args)
        if new.op is forms.MONOMIAL:
            whole[term] = new
            new = _scaled(new)
        done[term] = _folded(new) if _foldable(new) else new
    return [done[r] for r in roots]


def _with_all_digits(argument: Term, done: Mapping[Term, Term]) -> Term | None:
    """The argument of a wave, what is folded in it kept to all digits that a turn asks for.

    None if there is no such constant, or it is one that the oracle knows by name.
    """

    def stop(t: Term) -> bool:
        return done[t].op is CONST or not t.op.elementwise

    if not is_small(argument, stop):
        return None
    wide: dict[Term, Term] = {}
    order = topological([argument], stop=stop)
    for t in order:
        if t.op is not CONST and done[t].op is CONST and (digits := _digits(t, done[t])):
            wide[t] = const(digits, t.dtype, t.shape)
    if not wide:
        return None
    new = dict(wide)
    for t in order:
        if t not in new:
            inner = t.op.elementwise and t.op is not CONST
            args = tuple([new.get(a, done[a]) for a in t.args]) if inner else ()
            new[t] = with_args(t, args) if args else done[t]
    return new[argument]


_FEW = 32  # terms of an argument


def is_small(root: Term, stop: Callable[[Term], bool]) -> bool:
    """Whether few terms are below one; no more than these are looked at."""
    seen, stack = {root}, [root]
    while stack and len(seen) <= _FEW:
        t = stack.pop()
        fresh = [] if stop(t) else [a for a in t.args if a not in seen]
        seen.update(fresh)
        stack += fresh
    return len(seen) <= _FEW


DIGITS = 1400  # bits of a multiple of the greatest float, a hundred behind the point


def _digits(term: Term, folded: Term) -> Fraction | None:
    """A constant to more bits than it is folded to; None where that is all of it."""
    from stablegrad.oracle.constants import as_arb
    from stablegrad.oracle.evaluate import evaluate
    from stablegrad.oracle.precision import precision

    value = folded.params[0]
    if not isinstance(value, Fraction):
        return None
    scalars: dict[Term, Term] = {}
    for t in topological([term]):
        args = tuple([scalars[a] for a in t.args])
        is_number = t.op is CONST
        scalars[t] = (
            const(t.params[0], _wide(t)) if is_number else make(t.op, args, t.params, (), WIDE)
        )
    with precision(DIGITS):
        ball = evaluate([scalars[term]], {})[0].item()
        if not ball.known or not ball.c[0].is_finite() or ball.c[0].overlaps(as_arb(value)):
            return None
        mantissa, exponent = ball.c[0].mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _scaled(term: Term) -> Term:
    """A product with the roots of constants among its factors folded into one coefficient.

    sqrt(5)*r is then a multiple of r, which the exponential of a sum takes with all its digits.
    """
    roots = {x: p for x, p in forms.factors(term).items() if x.op is CONST and x.shape == ()}
    if not roots or len(roots) == len(term.args):
        return term
    coefficient = _folded(forms.monomial(roots, (), term.dtype))
    factor = coefficient.params[0] if coefficient.op is CONST else "nan"
    if isinstance(factor, str) or factor == 0:
        return term
    rest = {x: p for x, p in forms.factors(term).items() if x not in roots}
    return forms.scale(factor, forms.monomial(rest, term.shape, term.dtype))


def _foldable(term: Term) -> bool:
    return (
        bool(term.args)
        and term.op.elementwise
        and term.op.name != "astype"
        and is_float(term.dtype)
        and all(a.op is CONST for a in term.args)
    )


def _folded(term: Term) -> Term:
    from stablegrad.oracle import Status, truth  # flint is slow to import and rarely needed
    from stablegrad.oracle.constants import completed

    scalars = tuple([const(a.params[0], _wide(a)) for a in term.args])
    found = truth(make(term.op, scalars, term.params, (), WIDE), {})
    value = float(found.value)
    if found.status > Status.LIMIT:  # at the edge of a domain the kernel has the convention's value
        return term
    if not np.isfinite(value) or value == 0:
        return const(value, term.dtype, term.shape)
    refined = Fraction(value) + Fraction(float(found.offset)) * Fraction(
        float(np.spacing(abs(value)))
    )
    return const(exact(exact_ratio(completed(refined))), term.dtype, term.shape)


def _wide(term: Term) -> np.dtype:
    return WIDE if is_float(term.dtype) else term.dtype
