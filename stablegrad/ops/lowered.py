"""Ops that lowering alone emits: sums, products and exponentials that keep digits and range.

``compensated_sum`` carries the rounding errors of a sum of products along (two_sum and
two_prod), ``exp_of_sum`` feeds them to the exponential, and ``scaled_product`` redoes the
elements of a product whose intermediates left the normal range as mantissa and exponent.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ir import Shape, Term
from stablegrad.ops.exact import Exact, Rational, exact, round_to, to_float
from stablegrad.ops.form_facts import sum_of_products_facts
from stablegrad.ops.form_records import MONOMIAL, coefficient
from stablegrad.ops.pairs import Pair, two_prod
from stablegrad.ops.plain_sums import two_addends
from stablegrad.ops.record import broadcast, declare
from stablegrad.ops.singles import accumulated, constants_in, single_product
from stablegrad.ops.sums_in_parts import beyond, left_range, sum_in_parts


def _infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return broadcast(MONOMIAL, args), args[0].dtype


# -- sums ---------------------------------------------------------------------------------


def sum_pair(
    xp: Any,
    xs: tuple[Any, ...],
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
) -> Pair:
    """The sum as a pair hi + lo; addend i is coefficient * the product of counts[i] arguments."""
    dtype = xs[0].dtype
    hi, lo, addends = accumulated(xs, constant, coefficients, counts, dtype)
    total = hi + lo
    good = xp.isfinite(total)
    if xp.name == "numpy" and np.count_nonzero(good) == np.size(good):
        return hi, lo
    plain = addends[0]  # where errors overflowed, the sum as it is: inf, nan or near the end
    for p in addends[1:]:
        plain = plain + p
    if xp.name == "numpy" and dtype == np.float64:
        plain = beyond(plain, ~good, xs, constant, coefficients, counts)
    return xp.where(good, hi, plain), xp.where(good, lo, dtype.type(0))


def _compensated_sum(
    xp: Any,
    *xs: Any,
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
) -> Any:
    def compensated(xp: Any, *xs: Any) -> Any:
        hi, lo = sum_pair(xp, xs, constant, coefficients, counts)
        return hi + lo

    if xp.name != "numpy" or len(counts) + (constant != 0) != 2:
        return compensated(xp, *xs)
    start, _, multipliers = constants_in(constant, coefficients, xs[0].dtype)
    first = None if constant == 0 else start
    return two_addends(xp, xs, first, multipliers, counts, compensated)


def _normal(xp: Any, pair: Pair) -> Pair:
    """A pair as its rounded sum and what is left; nothing is left of an infinity."""
    hi, lo = pair
    total = hi + lo
    rest = (hi - total) + lo
    return total, xp.where(xp.isfinite(total), rest, rest.dtype.type(0))


def _exp_of_sum(
    xp: Any,
    *xs: Any,
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
) -> Any:
    total, lo = _normal(xp, sum_pair(xp, xs, constant, coefficients, counts))
    value = xp.exp(total)
    return value + xp.where(xp.isfinite(value), value * lo, lo.dtype.type(0))


# -- products -----------------------------------------------------------------------------

Origin = tuple[int, str, Exact, tuple[Rational, ...], tuple[int, ...]]
"""A factor that can be had again where it left the range: its position; "sum", or the base "e" or
"2" of an exponential; and the sum that it, or its exponent, is, as ``sum_pair`` has it."""


def _scaled_product(
    xp: Any,
    *args: Any,
    powers: tuple[Rational, ...],
    factor: Rational,
    again: tuple[Origin, ...],
) -> Any:
    """Optimistic product; elements whose factors or intermediates were not normal are redone.

    The arguments of the factors in ``again`` follow the factors.
    """
    xs = args[: len(powers)]
    single = single_product(xs, powers, factor)
    if single is not None:
        return single
    try:
        # the processor's flags tell an intermediate that left the range, at no cost
        with np.errstate(over="raise", under="raise", divide="raise", invalid="raise"):
            product = None if factor == 1 else coefficient(xp, factor, xs[0])
            for x, p in zip(xs, powers, strict=True):
                product = _times(xp, product, x, p)
        if all(_ordinary(xs[i], kind) for i, kind, *_ in again):
            return product
    except FloatingPointError:
        pass
    return _careful_product(xp, args, powers, factor, again)


def _ordinary(x: Any, kind: str) -> bool:
    """Whether a factor kept its digits everywhere; nan did not."""
    if not x.size:
        return True
    return not left_range(np, x).any() if kind == "sum" else _all_normal(x)


def _times(xp: Any, product: Any, x: Any, p: Rational) -> Any:
    if p == 1:
        return x if product is None else product * x
    for step, divide in _steps(xp, x, p):
        if step is not x and not _is_short(p) and not _all_normal(step):
            raise FloatingPointError  # of a power no flag tells
        product = _step(product, step, divide=divide)
    return product


def _all_normal(x: Any) -> bool:
    """Whether all elements are positive normal floats."""
    info = np.finfo(x.dtype)
    low = np.minimum.reduce(x, axis=None, initial=np.inf)
    return bool(low >= info.tiny * 4 and np.maximum.reduce(x, axis=None, initial=0.0) <= info.max)


def _step(product: Any, step: Any, *, divide: bool) -> Any:
    if product is None:
        return 1 / step if divide else step
    return product / step if divide else product * step


def _careful_product(
    xp: Any,
    args: tuple[Any, ...],
    powers: tuple[Rational, ...],
    factor: Rational,
    again: tuple[Origin, ...],
) -> Any:
    """The product with every factor and intermediate looked at, and what left the range redone."""
    xs = args[: len(powers)]
    dtype = np.result_type(*xs)
    info = np.finfo(dtype)
    low, high = info.tiny * 4, info.max / 4
    product = None if factor == 1 else coefficient(xp, factor, xs[0])
    bad: Any = False
    for x, p in zip(xs, powers, strict=True):
        for step, divide in _steps(xp, x, p):
            product = _step(product, step, divide=divide)
            size = xp.abs(product)
            bad = bad | ~((size >= low) & (size <= high))
            if step is not x:
                size = xp.abs(step)
                bad = bad | ~((size >= low) & (size <= high))
    for i, kind, *_ in again:
        bad = bad | (left_range(xp, xs[i]) if kind == "sum" else xs[i] < low)
    product = xp.asarray(product)
    if not np.any(bad):
        return product
    bad = np.broadcast_to(bad, product.shape)
    chosen = [np.broadcast_to(a, product.shape)[bad] for a in args]
    parts: list[Any] = [np.frexp(x) for x in chosen[: len(xs)]]
    position = len(xs)
    for i, kind, constant, coefficients, counts in again:
        flat = chosen[position : position + sum(counts)]
        position += len(flat)
        finite = np.logical_and.reduce([np.isfinite(x) for x in flat])
        if kind == "sum":
            found = sum_in_parts(xp, flat, constant, coefficients, counts)
        else:
            found = exp_in_parts(xp, flat, constant, coefficients, counts, kind)
            # in range it has the rounding error of its argument, which may be a code, in it
            finite = finite & ~((chosen[i] >= low) & (chosen[i] <= info.max))
        parts[i] = tuple([np.where(finite, a, b) for a, b in zip(found, parts[i], strict=True)])
    product = np.array(product)
    product[bad] = product_by_parts(xp, chosen[: len(xs)], parts, powers, factor, dtype)
    return product


_LN2_HIGH = 0.6931471803691238  # 32 bits of log(2): multiples up to 2**20 are exact
_LN2_LOW = 1.9082149292705877e-10


def exp_in_parts(
    xp: Any,
    xs: list[Any],
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
    base: str,
) -> Pair:
    """e or 2 to the power of a sum as mantissa and exponent, far beyond the range of floats."""
    u, lo = _normal(xp, sum_pair(xp, tuple(xs), constant, coefficients, counts))
    if base == "2":
        k = xp.rint(xp.clip(u, -1e6, 1e6))
        m, e = xp.frexp(xp.exp2(u - k + lo))
    else:
        k = xp.rint(xp.clip(u, -1e6, 1e6) / (_LN2_HIGH + _LN2_LOW))
        m, e = xp.frexp(xp.exp((u - k * _LN2_HIGH) + (lo - k * _LN2_LOW)))
    return m, xp.asarray(e + xp.where(xp.isnan(k), 0, k).astype(np.int64))


def _is_short(p: Rational) -> bool:
    """Whether a power is a few products and a root."""
    return 2 * p == int(2 * p) and abs(p) <= 4


def _steps(xp: Any, x: Any, p: Rational) -> list[tuple[Any, bool]]:
    """x**p as a few factors to multiply or divide by."""
    size = abs(p)
    if _is_short(p):
        steps = [(x, p < 0)] * int(size)
        return steps if size == int(size) else [*steps, (xp.sqrt(x), p < 0)]
    high, low, whole, most = _told_power(p, x.dtype)
    steps = [(xp.power(x, high), False)]
    rest = _rest_of_power(xp, x, low, most) if low else None
    if rest is not None:
        steps.append((rest, False))
    return steps + [(x, whole < 0)] * abs(whole)


@cache
def _told_power(p: Rational, dtype: Any) -> tuple[Any, Any, int, float]:
    """A power as a float, its rounding error and an integer, and how far the error is no matter."""
    base, whole = _representable(p, dtype)
    high, low = _pair_of(base, dtype)
    reach = float(np.finfo(dtype).eps) / abs(2 * float(low)) if low else math.inf
    if reach > _FARTHEST_LOG:
        low = 0
    return high, low, whole, math.exp(min(reach, 80.0))


def _rest_of_power(xp: Any, x: Any, low: Any, most: float) -> Any:
    """x**low, for what an exponent lost to rounding; None where half a unit is at stake at most."""
    inside = np.minimum.reduce(x, axis=None, initial=1.0) >= 1 / most
    if inside and np.maximum.reduce(x, axis=None, initial=1.0) <= most:
        return None
    near = (x >= 1 / most) & (x <= most)
    return xp.where(near, 1, 1 + low * xp.log(x)).astype(x.dtype)


_FARTHEST_LOG = 746.0
"""The logarithms of all floats are less."""


def _pair_of(p: Rational, dtype: Any) -> Pair:
    """An exponent as a float of the dtype and its rounding error."""
    high = dtype.type(float(round_to(p, dtype)))
    return high, dtype.type(to_float(exact(Fraction(p) - Fraction(float(high)))))


def _representable(p: Rational, dtype: Any) -> tuple[Rational, int]:
    """p as a float of the dtype plus a small integer: x**(c-1) with c a float is x**c / x."""
    for whole in (0, -1, -2, -3, 1, 2, 3):
        base = exact(Fraction(p) - whole)
        if not isinstance(base, str) and Fraction(float(round_to(base, dtype))) == base:
            return base, whole
    return p, 0


def product_by_parts(
    xp: Any, xs: Any, parts: Any, powers: tuple[Rational, ...], factor: Rational, dtype: Any
) -> Any:
    """The product with mantissas and exponents kept apart: nothing leaves the range early."""
    mantissa, exponent = xp.frexp(dtype.type(to_float(factor)))
    exponent = xp.int64(exponent)
    for x, (m, exponent_of_x), p in zip(xs, parts, powers, strict=True):
        size = abs(p)
        e = exponent_of_x.astype(np.int64)
        if 2 * size == int(2 * size) and size <= 64:
            if size != int(size):
                odd = e & 1
                root = xp.sqrt(xp.ldexp(m, odd))
                mantissa = mantissa * root if p > 0 else mantissa / root
                exponent = exponent + (e - odd) // 2 * (1 if p > 0 else -1)
            for _ in range(int(size)):
                mantissa = mantissa * m if p > 0 else mantissa / m
                mantissa, shift = xp.frexp(mantissa)
                exponent = exponent + shift + (e if p > 0 else -e)
        else:
            mantissa, shift, e = _general_power(xp, mantissa, x, m, e, p, dtype)
            exponent = exponent + shift + e
        mantissa, shift = xp.frexp(mantissa)
        exponent = exponent + shift
    return xp.ldexp(mantissa, xp.clip(exponent, -100_000, 100_000).astype(np.int32))


def _general_power(xp: Any, mantissa: Any, x: Any, m: Any, e: Any, p: Rational, dtype: Any) -> Any:
    """Multiply a mantissa by x**p for a power that is no half integer."""
    base, whole = _representable(p, dtype)
    high, low = _pair_of(base, dtype)
    direct = xp.power(x, high)
    pm, pe = xp.frexp(direct)
    finite = (x != 0) & xp.isfinite(x)
    if low:
        pm = pm * (1 + low * xp.log(xp.where(finite, x, 1)))
    lost = (direct == 0) | ~xp.isfinite(direct)
    scaled, rest = two_prod(e.astype(dtype), high)
    floor = xp.floor(scaled)
    other = xp.power(m, high) * xp.exp2((scaled - floor) + (rest + low * e))
    usable = lost & finite
    om, oe = xp.frexp(other)
    pm = xp.where(usable, om, pm)
    pe = xp.where(usable, oe + floor.astype(np.int64), pe)
    for _ in range(abs(whole)):
        pm = pm * m if whole > 0 else pm / m
        pm, shift = xp.frexp(pm)
        pe = pe + shift + (e if whole > 0 else -e)
    return mantissa * pm, pe, np.int64(0)


COMPENSATED_SUM = declare(
    "compensated_sum",
    family="lowered",
    params=("constant", "coefficients", "counts"),
    infer=_infer,
    kernel=_compensated_sum,
    elementwise=True,
    infer_facts=sum_of_products_facts,
    source="Ogita, Rump and Oishi 2005",
    ulp=None,
    accuracy="eps relative to the result plus n*eps**2 relative to the sum of absolute terms",
    doc="A sum of multiples and products with its rounding errors carried along.",
)

EXP_OF_SUM = declare(
    "exp_of_sum",
    family="lowered",
    params=("constant", "coefficients", "counts"),
    infer=_infer,
    kernel=_exp_of_sum,
    elementwise=True,
    source="exp(hi + lo) = exp(hi) + exp(hi)*lo",
    doc="The exponential of a sum, the rounding error of the sum included.",
)

SCALED_PRODUCT = declare(
    "scaled_product",
    family="lowered",
    params=("powers", "factor", "again"),
    infer=_infer,
    kernel=_scaled_product,
    elementwise=True,
    source="IEEE 754 scaling by powers of two is exact",
    doc="A product of powers whose intermediate results neither overflow nor underflow, nor its "
    "exponentials and sums of products.",
)
