"""Rounding, remainders and conversion: piecewise constant, or a piece of a line."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Facts, Shape, Term
from stablegrad.ops import remainder_kernels
from stablegrad.ops.arithmetic import where_defined
from stablegrad.ops.dtypes import converted
from stablegrad.ops.record import REAL, ZERO, NotDifferentiable, Op, declare, elementwise, is_float


def _rounded_facts(f: Callable[[float], float]) -> Callable[[Term], Facts]:
    """Rounding never decreases: the ends are rounded, and may then be reached."""

    def infer(term: Term) -> Facts:
        x = term.args[0].facts
        lo = x.lo if math.isinf(x.lo) else f(x.lo)
        hi = x.hi if math.isinf(x.hi) else f(x.hi)
        return Facts(lo, hi, math.isinf(lo), math.isinf(hi), x.defined)

    return infer


def _rounding(
    name: str,
    kernel: Callable[[Any, Any], Any],
    ball: Callable[[Any], Any],
    on_float: Callable[[float], float],
    doc: str,
    example: str,
) -> Op:
    return elementwise(
        name,
        result="same",
        family="arithmetic",
        kernel=kernel,
        ball=ball,
        partials=lambda y, x: (ZERO,),
        domain=(REAL,),
        infer_facts=_rounded_facts(on_float),
        cost=1,
        ulp=(0, 0, 0),
        lax=name,
        aten=name,
        source="definition",
        doc=doc,
        example=f">>> sg.ops.{name}(sg.tensor([-1.5, 2.5])).numpy()\n"
        f"array([{example}], dtype=float32)",
    )


floor = _rounding(
    "floor",
    lambda xp, x: xp.floor(x),
    lambda x: x.floor(),
    math.floor,
    "The greatest whole number not above x.",
    "-2.,  2.",
)
ceil = _rounding(
    "ceil",
    lambda xp, x: xp.ceil(x),
    lambda x: x.ceil(),
    math.ceil,
    "The smallest whole number not below x.",
    "-1.,  3.",
)
trunc = _rounding(
    "trunc",
    lambda xp, x: xp.trunc(x),
    lambda x: x.trunc(),
    math.trunc,
    "x without its fraction.",
    "-1.,  2.",
)
round = _rounding(
    "round",
    lambda xp, x: xp.rint(x),
    lambda x: x.rint(),
    lambda v: float(np.rint(v)),
    "The nearest whole number, the even one at a tie.",
    "-2.,  2.",
)

floor_divide = elementwise(
    "floor_divide",
    result="same",
    family="arithmetic",
    kernel=remainder_kernels.floor_divide,
    widens=True,
    spellings=(lambda a, b: OPS["floor"](a / b),),
    partials=lambda y, a, b: (ZERO, ZERO),
    domain=(REAL, REAL),
    infer_facts=lambda term: Facts(),  # undefined at b = 0, which an interval cannot say
    cost=2,
    ulp=None,
    accuracy="exact while the quotient is below 2**53; beyond, the rounded quotient",
    lax="",
    aten="floor_divide",
    source="definition",
    doc="The greatest whole number not above a / b.",
    example=">>> sg.ops.floor_divide(sg.tensor([7.0]), 2.0).numpy()\narray([3.], dtype=float32)",
)


def _mod_facts(term: Term) -> Facts:
    a, b = term.args[0].facts, term.args[1].facts
    if b.positive:
        return Facts(0.0, b.hi, False, True, a.defined and b.defined)
    if b.negative:
        return Facts(b.lo, 0.0, True, False, a.defined and b.defined)
    return Facts()


mod = elementwise(
    "mod",
    result="same",
    family="arithmetic",
    kernel=remainder_kernels.mod,
    widens=True,
    spellings=(lambda a, b: a - OPS["floor"](a / b) * b,),
    partials=lambda y, a, b: (where_defined(y), -OPS["floor_divide"](a, b)),
    domain=(REAL, REAL),
    infer_facts=_mod_facts,
    cost=2,
    lax="",
    aten="remainder",
    source="definition; fmod is exact",
    doc="The remainder of a / b with the sign of b.",
    example=">>> sg.ops.mod(sg.tensor([-1.0]), 3.0).numpy()\narray([2.], dtype=float32)",
)


# -- conversion ---------------------------------------------------------------------------


def _astype_infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return args[0].shape, np.dtype(params[0])


def _astype_facts(term: Term) -> Facts:
    """Facts are of real values, which a conversion between floats leaves as they are."""
    x = term.args[0]
    if is_float(term.dtype) or x.dtype.kind in "biu":
        return x.facts
    return Facts(defined=x.facts.defined)


def _astype_jvp(out: Term, args: tuple[Term, ...], tangents: Any, *, dtype: Any) -> Term | None:
    tangent = tangents[0]
    if tangent is None or not is_float(out.dtype):
        return None
    return astype(tangent, dtype=dtype)


def _astype_vjp(out: Term, args: tuple[Term, ...], cotangent: Term, *, dtype: Any) -> tuple[Any]:
    x = args[0]
    if not is_float(out.dtype):
        return (ZERO,)
    if not is_float(x.dtype):
        return (NotDifferentiable(f"{x.dtype} has no derivatives"),)
    return (astype(cotangent, dtype=x.dtype),)


def _astype_kernel(xp: Any, x: Any, *, dtype: Any) -> Any:
    return converted(np.asarray(x), dtype) if xp.name == "numpy" else xp.asarray(x).astype(dtype)


astype = declare(
    "astype",
    degree=(),
    family="arithmetic",
    params=("dtype",),
    infer=_astype_infer,
    kernel=_astype_kernel,
    ball=lambda x, *, dtype: x,
    jvp=_astype_jvp,
    vjp=_astype_vjp,
    domain=(REAL,),
    infer_facts=_astype_facts,
    support=lambda term: term.args[0].support,
    elementwise=True,
    cost=1,
    ulp=None,
    accuracy="rounded once to the new dtype",
    lax="convert_element_type",
    aten="_to_copy",
    source="definition",
    doc="x in another dtype.",
    example=">>> sg.ops.astype(sg.tensor([1.0]), dtype=np.float64).numpy()\narray([1.])",
)
