"""Squares, roots, powers and the hypotenuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stablegrad.errors import DomainError, message
from stablegrad.ir import OPS, UNKNOWN, Facts, Term
from stablegrad.ops import hypot_kernels, intervals, pairs, power_kernels
from stablegrad.ops.dtypes import narrow
from stablegrad.ops.power_kernels import falling  # noqa: F401 - compound powers use it too
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
    degree=(1,),
    carries="computed",
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
    degree=(2,),
    carries="computed",
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
    degree=(),
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


def _power_kernel(xp: Any, x: Any, y: Any) -> Any:
    known = isinstance(y, np.ndarray | np.generic)
    if known and y.dtype.kind == "i" and np.less(y, 0).any():
        raise DomainError(
            message("integers to a negative power", "floats", "Write 2.0 for 2, or use astype.")
        )
    return xp.power(x, y)


power = elementwise(
    "power",
    result="same",
    family="arithmetic",
    kernel=_power_kernel,
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
    kernel=power_kernels.derivative,
    ball=power_kernels.ball,
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


def _hypot_kernel(xp: Any, x: Any, y: Any) -> Any:
    """The root of the sum of squares, NumPy's function where a square may leave the range."""
    if narrow(xp, x, y):
        value, x, y = hypot_kernels.length(x, y)
        return pairs.redo(xp, np.isnan(value), value, lambda xp, x, y: xp.hypot(x, y), x, y)
    if xp.name != "numpy" or x.dtype != np.float64 or x.shape != y.shape:
        return xp.hypot(x, y)
    greater = np.maximum(np.abs(x), np.abs(y))
    outside = ~((greater > 2.0**-480) & (greater < 2.0**500))
    value = np.sqrt(x * x + y * y)
    return pairs.redo(xp, outside, value, lambda xp, x, y: xp.hypot(x, y), x, y)


def _hypot_facts(term: Term) -> Facts:
    a, b = [intervals.absolute(t.facts) for t in term.args]
    lo, is_open = max((a.lo, a.lo_open), (b.lo, b.lo_open))
    return Facts(lo, math.inf, is_open, True, a.defined and b.defined)


hypot = elementwise(
    "hypot",
    family="arithmetic",
    kernel=_hypot_kernel,
    widens=True,
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
    source="definition; derivative 0 at the origin",
    doc="sqrt(x*x + y*y), without overflow or underflow on the way.",
    example=">>> sg.ops.hypot(sg.tensor([3.0]), 4.0).numpy()\narray([5.], dtype=float32)",
)

hypot_unit = elementwise(
    "hypot_unit",
    family="arithmetic",
    kernel=hypot_kernels.unit,
    widens=True,
    ball=lambda x, y: hypot_kernels.ball(x, y, 1, 0),
    partials=lambda out, x, y: (
        hypot_derivative(x, y, n=2, m=0),
        hypot_derivative(x, y, n=1, m=1),
    ),
    domain=(REAL, REAL),
    range=interval(-1.0, 1.0, closed=True),
    cost=4,
    source="definition; 0 at the origin, and so are its derivatives there",
    doc="x / hypot(x, y): the cosine of the angle of (x, y), the derivative of hypot by x.",
    example=">>> sg.ops.hypot_unit(sg.tensor([3.0]), 4.0).numpy()\narray([0.6], dtype=float32)",
)

hypot_derivative = elementwise(
    "hypot_derivative",
    family="arithmetic",
    params=("n", "m"),
    kernel=lambda xp, x, y, *, n, m: hypot_kernels.derivative(xp, x, y, n, m),
    ball=lambda x, y, *, n, m: hypot_kernels.ball(x, y, n, m),
    partials=lambda out, x, y: (
        hypot_derivative(x, y, n=out.params[0] + 1, m=out.params[1]),
        hypot_derivative(x, y, n=out.params[0], m=out.params[1] + 1),
    ),
    domain=(REAL, REAL),
    cost=6,
    source="a polynomial over an odd power of the hypotenuse, in pairs; 0 at the origin",
    doc="The mixed derivative of hypot(x, y), n times by x and m times by y, n + m > 0.",
    example=">>> sg.ops.hypot_derivative(sg.tensor([3.0]), 4.0, n=2, m=0).numpy()\n"
    "array([0.128], dtype=float32)",
)
