"""Squares, roots, powers and the hypotenuse."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from stablegrad.ir import OPS, UNKNOWN, Facts, Term
from stablegrad.ops import intervals, pair_exp, pairs
from stablegrad.ops.arithmetic import masked
from stablegrad.ops.record import (
    CONST,
    NONNEGATIVE,
    POSITIVE,
    REAL,
    const,
    elementwise,
    interval,
)

reciprocal = elementwise(
    "reciprocal",
    family="arithmetic",
    kernel=lambda xp, x: xp.true_divide(1, x),
    ball=lambda x: 1 / x,
    partials=lambda y, x: (-y * y,),
    textbook=lambda y, x: (-(x**-2),),
    domain=(REAL,),  # but for 0, which no interval can say; the facts do
    infer_facts=intervals.unary(intervals.reciprocal),
    cost=2,
    lax="integer_pow",
    aten="reciprocal",
    source="definition",
    doc="1 / x.",
    example=">>> sg.ops.reciprocal(sg.tensor([2.0])).numpy()\narray([0.5], dtype=float32)",
)

square = elementwise(
    "square",
    result="same",
    family="arithmetic",
    kernel=lambda xp, x: xp.multiply(x, x),
    ball=lambda x: x * x,
    partials=lambda y, x: (2 * x,),
    domain=(REAL,),
    infer_facts=intervals.unary(intervals.square),
    cost=1,
    lax="square",
    aten="square",
    source="definition",
    doc="x * x.",
    example=">>> sg.ops.square(sg.tensor([3.0])).numpy()\narray([9.], dtype=float32)",
)

sqrt = elementwise(
    "sqrt",
    family="arithmetic",
    kernel=lambda xp, x: xp.sqrt(x),
    ball=lambda x: x.sqrt(),
    partials=lambda y, x: (const(0.5, y.dtype) / y,),
    domain=(NONNEGATIVE,),
    range=NONNEGATIVE,
    infer_facts=intervals.increasing(
        math.sqrt, NONNEGATIVE, NONNEGATIVE, exact=((0.0, 0.0), (1.0, 1.0), (4.0, 2.0))
    ),
    cost=2,
    lax="sqrt",
    aten="sqrt",
    source="definition; derivative inf at 0",
    doc="The square root of x >= 0.",
    example=">>> sg.ops.sqrt(sg.tensor([4.0])).numpy()\narray([2.], dtype=float32)",
)

rsqrt = elementwise(
    "rsqrt",
    family="arithmetic",
    kernel=lambda xp, x: xp.true_divide(1, xp.sqrt(x)),
    ball=lambda x: 1 / x.sqrt(),
    spellings=(lambda x: 1 / OPS["sqrt"](x), lambda x: OPS["sqrt"](1 / x)),
    partials=lambda y, x: (const(-0.5, y.dtype) * y / x,),
    domain=(POSITIVE,),
    range=POSITIVE,
    cost=2,
    lax="rsqrt",
    aten="rsqrt",
    source="definition",
    doc="1 / sqrt(x) of x > 0.",
    example=">>> sg.ops.rsqrt(sg.tensor([4.0])).numpy()\narray([0.5], dtype=float32)",
)

# -- cube root ----------------------------------------------------------------------------


def _newton_cbrt(xp: Any, x: Any) -> Any:
    """One step of Newton's method with an exact residual after the library's root."""
    root = xp.cbrt(x)
    square, square_error = pairs.two_prod(root, root)
    cube, cube_error = pairs.two_prod(square, root)
    step = ((cube - x) + cube_error + square_error * root) / (3 * square)
    return xp.where(xp.isfinite(step), root - step, root)


def _scaled_cbrt(xp: Any, x: Any) -> Any:
    return _newton_cbrt(xp, x * 2.0**600) * 2.0**-200


def _cbrt_kernel(xp: Any, x: Any) -> Any:
    if x.dtype != xp.float64:
        return xp.cbrt(x)
    tiny = xp.abs(x) < 1e-280  # errors of products would underflow
    return pairs.redo(xp, tiny, _newton_cbrt(xp, x), _scaled_cbrt, x)


def _cbrt_slope_kernel(xp: Any, x: Any) -> Any:
    root = _cbrt_kernel(xp, x)
    return xp.true_divide(1, 3 * root * root)


cbrt = elementwise(
    "cbrt",
    family="arithmetic",
    kernel=_cbrt_kernel,
    ball=lambda x: x.cbrt(),
    partials=lambda y, x: (cbrt_slope(x),),
    textbook=lambda y, x: (y / (3 * x),),
    domain=(REAL,),
    infer_facts=intervals.increasing(
        math.cbrt, REAL, REAL, exact=((0.0, 0.0), (1.0, 1.0), (-1.0, -1.0))
    ),
    cost=2,
    lax="cbrt",
    aten="",
    source="definition; derivative inf at 0",
    doc="The cube root.",
    example=">>> sg.ops.cbrt(sg.tensor([-8.0])).numpy()\narray([-2.], dtype=float32)",
)

cbrt_slope = elementwise(
    "cbrt_slope",
    family="arithmetic",
    kernel=_cbrt_slope_kernel,
    ball=lambda x: 1 / (3 * x.cbrt().square()),
    # by x itself, not by powers of the root: every order is one product with one rounded root
    partials=lambda y, x: (-2 * y / (3 * x),),
    domain=(REAL,),  # but for 0
    infer_facts=lambda term: POSITIVE._replace(
        defined=term.args[0].facts.defined and term.args[0].facts.nonzero
    ),
    cost=3,
    source="definition",
    doc="The derivative of the cube root, |x|**(-2/3) / 3; inf at 0.",
    example=">>> sg.ops.cbrt_slope(sg.tensor([1.0])).numpy()\narray([0.33333334], dtype=float32)",
)

# -- powers -------------------------------------------------------------------------------


def _power_facts(term: Term) -> Facts:
    x, y = term.args
    base, exponent = x.facts, y.facts
    defined = base.defined and exponent.defined
    if base.positive:
        return POSITIVE._replace(defined=defined)
    if y.op is CONST and isinstance(y.params[0], int):  # 0**0 is 1
        whole = y.params[0]
        defined = defined and whole >= 0
        if whole % 2 == 0 or base.nonnegative:
            return NONNEGATIVE._replace(defined=defined)
        return Facts(defined=defined)
    if base.nonnegative:
        return NONNEGATIVE._replace(defined=defined and exponent.nonnegative)
    return UNKNOWN


def falling(y: Any, n: int, i: int) -> Any:
    """The i-th derivative of y*(y - 1)*...*(y - n + 1), for floats and for balls."""
    if i > n:
        return 0 * y
    if n == 0:
        return 1 + 0 * y
    shorter = falling(y, n - 1, i) * (y - (n - 1))
    return shorter + i * falling(y, n - 1, i - 1) if i else shorter


def _power_factor(y: Any, log: Any, n: int, m: int) -> Any:
    """The q in  d^n/dx^n d^m/dy^m x**y = q * x**(y - n), by Leibniz; ``log`` is that of x."""
    total: Any = 0
    for i in range(min(n, m) + 1):
        total = total + math.comb(m, i) * falling(y, n, i) * log ** (m - i)
    return total


def _power_derivative_ball(x: Any, y: Any, *, n: int, m: int) -> Any:
    if m == 0:
        return falling(y, n, 0) * x ** (y - n)
    return _power_factor(y, x.log(), n, m) * x ** (y - n)


def _mixed_factor(xp: Any, x: Any, y: Any) -> Any:
    """1 + y*log(x) in pairs, for where it cancels."""
    log = pair_exp.log(xp, x)
    total = pairs.add(pairs.multiply((y, 0.0 * y), log), (1.0 + 0.0 * y, 0.0 * y))
    return total[0] + total[1]


def _careful_power(xp: Any, x: Any, y: Any, q: Any, *, n: int) -> Any:
    """q * x**(y - n) by the square of a root, with what y - n lost to rounding put back."""
    size = xp.abs(x)
    rounded, lost = pairs.two_sum(y, -float(n))
    root = xp.power(size, rounded / 2)
    back = xp.where(lost == 0, 1.0, 1 + lost * xp.log(size))
    sign = xp.where(x < 0, (-1.0) ** n * xp.power(xp.sign(x), y), 1.0)
    return ((q * root) * root) * back * sign


def _power_derivative_kernel(xp: Any, x: Any, y: Any, *, n: int, m: int) -> Any:
    """x**y itself divided by x, n times: y - 1 would be rounded, and x**1e-9 feel it."""
    x, y = xp.broadcast_arrays(x, y)
    q = _power_factor(y, xp.log(x), n, m) if m else falling(y, n, 0)
    if n == 1 == m:
        q = pairs.redo(xp, xp.abs(q) < 0.6, q, _mixed_factor, x, y)
    whole = xp.power(x, y)
    product = q * whole
    info = xp.finfo(product.dtype)
    result = product
    for _ in range(n):
        result = result / x
    plain = (xp.abs(product) >= info.tiny) & (xp.abs(product) <= info.max)
    plain &= (xp.abs(whole) >= info.tiny) & (xp.abs(x) <= info.max)
    result = pairs.redo(xp, ~plain, result, partial(_careful_power, n=n), x, y, q)
    # at x = 0 a power beats a logarithm, and a derivative of a constant is 0
    vanishes = (x == 0) & (y > n)
    if not m:
        vanishes |= (q == 0) & ~xp.isnan(x)
    return xp.where(vanishes, 0.0, result)


power = elementwise(
    "power",
    result="same",
    family="arithmetic",
    kernel=lambda xp, x, y: xp.power(x, y),
    ball=lambda x, y: x**y,
    partials=lambda out, x, y: (
        power_derivative(x, y, n=1, m=0),
        power_derivative(x, y, n=0, m=1),
    ),
    textbook=lambda out, x, y: (y * x ** (y - 1), OPS["log"](x) * out),
    domain=(POSITIVE, REAL),
    range=REAL,
    infer_facts=_power_facts,
    cost=5,
    lax="pow",
    aten="pow",
    source="definition; IEEE 754's pow at the edges",
    doc="x to the power y; a negative x takes whole y only.",
    example=">>> sg.ops.power(sg.tensor([2.0]), 3.0).numpy()\narray([8.], dtype=float32)",
)

power_derivative = elementwise(
    "power_derivative",
    family="arithmetic",
    params=("n", "m"),
    kernel=_power_derivative_kernel,
    ball=_power_derivative_ball,
    partials=lambda out, x, y: (
        power_derivative(x, y, n=out.params[0] + 1, m=out.params[1]),
        power_derivative(x, y, n=out.params[0], m=out.params[1] + 1),
    ),
    domain=(POSITIVE, REAL),
    cost=6,
    accuracy="where m > 0, relative to the greatest term of the factor beside x**(y - n)",
    source="Leibniz's rule",
    doc="The mixed derivative of x**y, n times by x and m times by y.",
    example=">>> sg.ops.power_derivative(sg.tensor([2.0]), 3.0, n=1, m=0).numpy()\n"
    "array([12.], dtype=float32)",
)

# -- hypotenuse ---------------------------------------------------------------------------


def _hypot_facts(term: Term) -> Facts:
    a, b = [intervals.absolute(t.facts) for t in term.args]
    lo, is_open = max((a.lo, a.lo_open), (b.lo, b.lo_open))
    return Facts(lo, math.inf, is_open, True, a.defined and b.defined)


def _hypot_unit_kernel(xp: Any, x: Any, y: Any) -> Any:
    """X / hypot(x, y), both scaled where the hypotenuse would overflow or be subnormal."""
    largest = xp.maximum(xp.abs(x), xp.abs(y))
    info = xp.finfo(largest.dtype)
    up = 2.0 ** (info.maxexp // 2)
    big, small = largest > info.max / 4, largest < info.tiny / info.eps
    if xp.name != "numpy" or (big | small).any():
        scale = xp.where(big, 1 / up, xp.where(small, up, 1.0)).astype(largest.dtype)
        x, y = x * scale, y * scale
    h = xp.hypot(x, y)
    return xp.where(h == 0, x, x / h)


def _hypot_unit_partials(out: Term, x: Term, y: Term) -> tuple[Term, Term]:
    h = hypot(x, y)
    nonzero = OPS["greater"](h, const(0, h.dtype))
    return masked(nonzero, y * y / h / h / h), masked(nonzero, -(x * y) / h / h / h)


hypot = elementwise(
    "hypot",
    family="arithmetic",
    kernel=lambda xp, x, y: xp.hypot(x, y),
    spellings=(lambda x, y: OPS["sqrt"](x * x + y * y),),
    partials=lambda h, x, y: (hypot_unit(x, y), hypot_unit(y, x)),
    textbook=lambda h, x, y: (x / h, y / h),
    domain=(REAL, REAL),
    range=NONNEGATIVE,
    infer_facts=_hypot_facts,
    cost=3,
    commutative=True,
    lax="",
    aten="hypot",
    accuracy="second derivatives within 16 ulp where the hypotenuse itself is subnormal",
    source="definition; derivative 0 at the origin",
    doc="sqrt(x*x + y*y), without overflow or underflow on the way.",
    example=">>> sg.ops.hypot(sg.tensor([3.0]), 4.0).numpy()\narray([5.], dtype=float32)",
)

hypot_unit = elementwise(
    "hypot_unit",
    family="arithmetic",
    kernel=_hypot_unit_kernel,
    ball=lambda x, y: x / (x * x + y * y).sqrt(),
    partials=_hypot_unit_partials,
    domain=(REAL, REAL),  # the origin is 0 by convention
    range=interval(-1.0, 1.0, closed=True),
    cost=4,
    accuracy="derivatives within 16 ulp where the hypotenuse itself is subnormal",
    source="definition; 0 at the origin, and so are its derivatives there",
    doc="x / hypot(x, y): the cosine of the angle of (x, y), the derivative of hypot by x.",
    example=">>> sg.ops.hypot_unit(sg.tensor([3.0]), 4.0).numpy()\narray([0.6], dtype=float32)",
)
