"""The records of the canonical forms: flat sums, flat products, Iverson brackets and guards."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Facts, Shape, Term
from stablegrad.ops.choice import choose
from stablegrad.ops.exact import LONG, Exact, Rational, round_to, to_float
from stablegrad.ops.form_facts import affine_facts, monomial_facts
from stablegrad.ops.guards import of_finite_inputs, one_holds
from stablegrad.ops.record import UNIT, ZERO, Op, broadcast, const, declare, elementwise


def _form_infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    dtype = next((a.dtype for a in args if a.dtype.kind != "b"), np.dtype(np.float64))
    return broadcast(AFFINE, args), dtype


def coefficient(xp: Any, value: Rational, like: Any) -> Any:
    """A rational coefficient as a scalar of the dtype of an array."""
    del xp
    return round_to(value, like.dtype)[()]


def _affine_kernel(xp: Any, *xs: Any, constant: Exact, coefficients: tuple[Rational, ...]) -> Any:
    total = None
    if xs[0].dtype == object:  # the oracle's balls
        total = constant + 0 * xs[0]
        for c, x in zip(coefficients, xs, strict=True):
            total = total + (x * c.numerator) / c.denominator
        return total
    if constant != 0:
        total = round_to(constant, xs[0].dtype)[()]
    for c, x in zip(coefficients, xs, strict=True):
        part = x if c == 1 else -x if c == -1 else coefficient(xp, c, x) * x
        total = part if total is None else total + part
    return total


def _monomial_kernel(xp: Any, *xs: Any, powers: tuple[Rational, ...]) -> Any:
    product = None
    mask = None
    for p, x in zip(powers, xs, strict=True):
        if x.dtype == bool:
            mask = x if mask is None else mask & x
            continue
        product = _times_power(xp, product, x, p)
    if product is None:
        product = xp.ones(())
    return product if mask is None else xp.where(mask, product, product.dtype.type(0))


def _times_power(xp: Any, product: Any, x: Any, p: Rational) -> Any:
    """``product * x**p`` by multiplications, divisions and roots where p allows it."""
    if 2 * p == int(2 * p) and abs(p) <= 4:
        steps = [x] * int(abs(p))
        if p != int(p):
            steps.append(xp.sqrt(x))
        for step in steps:
            if p > 0:
                product = step if product is None else product * step
            else:
                product = 1 / step if product is None else product / step
        return product
    factor = xp.power(x, coefficient(xp, p, x))
    return factor if product is None else product * factor


def _ball_power(x: Any, p: Rational) -> Any:
    if isinstance(p, int):
        return x if p == 1 else x**p
    return x.sqrt() ** p.numerator if p.denominator == 2 else x.power(p)


def _affine_ball(*xs: Any, constant: Exact, coefficients: tuple[Rational, ...]) -> Any:
    total: Any = to_float(constant) if isinstance(constant, str) else constant
    for c, x in zip(coefficients, xs, strict=True):
        if c.numerator.bit_length() >= LONG:  # perhaps an irrational number's: whole, to be known
            part = x * c
        else:
            part = x if c == 1 else x * c.numerator
            part = part if c.denominator == 1 else part / c.denominator
        total = part + total
    return total


def _monomial_ball(*xs: Any, powers: tuple[Rational, ...]) -> Any:
    product: Any = None
    for p, x in zip(powers, xs, strict=True):
        if isinstance(x, bool | np.bool_):
            if not x:
                return 0
        else:
            factor = _ball_power(x, p)
            product = factor if product is None else factor * product
    return 1 if product is None else product


def _affine_partials(out: Term, *args: Term) -> tuple[Term, ...]:
    return tuple([const(c, out.dtype) for c in out.params[1]])


def _monomial_partials(out: Term, *args: Term) -> tuple[Any, ...]:
    from stablegrad.ops.forms import partial_factors, product  # built from these records

    return tuple(
        [
            ZERO if x.dtype.kind == "b" else product(partial_factors(out, i))
            for i, x in enumerate(args)
        ]
    )


def _affine_support(term: Term) -> Term | None:
    if term.params[0] != 0:
        return None
    supports = [a.support for a in term.args]
    if any(s is None for s in supports) or one_holds([[s] for s in supports if s is not None]):
        return None
    return _reduce("logical_or", supports)


def _monomial_support(term: Term) -> Term | None:
    conditions = [a if a.dtype.kind == "b" else a.support for a in term.args]
    present = [c for c in conditions if c is not None]
    return _reduce("logical_and", present) if present else None


def _reduce(name: str, terms: Iterable[Term | None]) -> Term:
    unique = sorted({t for t in terms if t is not None}, key=lambda t: t.key)
    result = unique[0]
    for t in unique[1:]:
        result = OPS[name](result, t)
    return result


AFFINE: Op = declare(
    "affine",
    family="forms",
    params=("constant", "coefficients"),
    infer=_form_infer,
    kernel=_affine_kernel,
    ball=_affine_ball,
    partials=_affine_partials,
    infer_facts=affine_facts,
    support=_affine_support,
    elementwise=True,
    cost=1,
    ulp=None,
    accuracy="n*eps relative to the sum of absolute terms",
    source="definition",
    doc="The flat sum c0 + c1*x1 + ... with exact rational coefficients.",
)

MONOMIAL: Op = declare(
    "monomial",
    family="forms",
    params=("powers",),
    infer=_form_infer,
    kernel=_monomial_kernel,
    ball=_monomial_ball,
    partials=_monomial_partials,
    infer_facts=monomial_facts,
    support=_monomial_support,
    elementwise=True,
    cost=1,
    source="definition",
    doc="The flat product x1**p1 * x2**p2 * ... with exact rational powers.",
)


def _indicator_facts(term: Term) -> Facts:
    condition = term.args[0].facts
    return Facts(max(0.0, condition.lo), min(1.0, condition.hi), False, False, condition.defined)


INDICATOR: Op = elementwise(
    "indicator",
    result="same",
    family="forms",
    kernel=lambda xp, c: c,
    ball=lambda c: 1 if c else 0,
    partials=lambda y, c: (ZERO,),
    domain=(UNIT,),
    infer_facts=_indicator_facts,
    support=lambda term: term.args[0],
    cost=1,
    source="Iverson's convention",
    doc="The Iverson bracket [c]: 1 where c holds, else 0; as a factor it annihilates.",
)


def _require_facts(term: Term) -> Facts:
    facts, guard = term.args[0].facts, term.args[1]
    if facts.defined and not (guard.facts.lo >= 1 or of_finite_inputs(guard)):
        return facts._replace(defined=False)
    return facts


REQUIRE: Op = elementwise(
    "require",
    degree=(),
    carries="passed",
    result="same",
    family="forms",
    kernel=lambda xp, x, c: choose(xp, c, x, x.dtype.type(math.nan)),
    ball=lambda x, c: x if c else x * math.nan,
    partials=lambda y, x, c: (OPS["require"](const(1, x.dtype), c), ZERO),
    infer_facts=_require_facts,
    conditions=(1,),
    cost=1,
    source="definition",
    doc="x where the condition holds, nan elsewhere: the guard that a cancellation leaves.",
)
