"""Constants are folded by the oracle, after stabilizing: folded earlier, in floats, they lose.

log(3) + x keeps log(3) to about a hundred bits, which a compensated sum then uses. log(2) and the
like are kept to as many bits as the oracle knows them by.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        known = whole if term.op.name in WAVES else done
        args = tuple([known.get(a, done[a]) for a in term.args])
        new = term if args == term.args else with_args(term, args)
        if new.op is forms.MONOMIAL:
            whole[term] = new
            new = _scaled(new)
        done[term] = _folded(new) if _foldable(new) else new
    return [done[r] for r in roots]


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
