"""Sums of reductions that lost nearly all of their digits, decided as a whole.

1 - softmax(x)[0], norm(x) - norm(y) and mean(x) - x[0] cancel what a reduction has rounded. Pairs
know no reductions; where the arrays are small, an engine that has a referee asks it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.ir import Shape, Term, topological
from stablegrad.ops.corrected import CORRECTED
from stablegrad.ops.record import CONST, declare

AT_STAKE = 2.0**7
"""How many units in the last place must be lost, times the number of elements.

So it is as rare for vectors as for numbers that an answer is asked for, which takes as long as some
hundred operations.
"""


def inputs_of(meant: Term) -> list[Term]:
    """The inputs of a program, in the order in which a referee is given their values."""
    return [t for t in topological([meant]) if not t.args and t.op is not CONST]


def _infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return args[0].shape, args[0].dtype


def _settled_sum(
    xp: Any,
    value: Any,
    *rest: Any,
    coefficients: tuple[Any, ...],
    floor: float,
    deep: float,
    stake: float,
    meant: Term,
) -> Any:
    judge = getattr(xp, "judge", None)
    if judge is None:
        return value
    if value.ndim == 0 and _is_safe(value.item(), rest, coefficients, floor, deep, stake):
        return value
    size: Any = floor
    with np.errstate(all="ignore"):
        for c, x in zip(coefficients, rest, strict=False):
            part = abs(float(c)) * np.abs(x)
            size = np.maximum(size, part if np.ndim(value) else np.max(part))
        lost = np.isfinite(size) & (
            (size > stake * max(np.size(value), 1) * np.abs(value)) | (value < deep)
        )
        if not coefficients and np.any(np.isinf(value)):  # a logarithm of what left the range
            lost = lost | (np.isinf(value) & any(_is_extreme(x) for x in rest))
    if not np.any(lost):
        return value
    true = judge(meant, rest[len(coefficients) :])
    return np.where(lost & ~np.isnan(true), true, value)


def _is_safe(
    value: float,
    rest: Sequence[Any],
    coefficients: Sequence[Any],
    floor: float,
    deep: float,
    stake: float,
) -> bool:
    """Whether nothing is lost in a single number, without making arrays."""
    if not abs(value) < np.inf or value < deep:
        return False
    size = floor
    for c, x in zip(coefficients, rest, strict=False):
        largest = max(map(abs, x.reshape(-1).tolist()), default=0.0)  # of few elements
        size = max(size, abs(float(c)) * largest)
    return size <= stake * abs(value)


def _settled_range(
    xp: Any, value: Any, *rest: Any, watched: int, extreme: bool, meant: Term
) -> Any:
    judge = getattr(xp, "judge", None)
    if judge is None:
        return value
    if not (any(_is_lost(x) for x in rest[:watched]) if watched else _is_nan(value)):
        return value
    leaves = rest[watched:]
    if extreme and not any(_is_extreme(x) for x in leaves):
        return value
    true = judge(meant, leaves, 1 if extreme else 2)  # tails underflow by thousands of bits
    return np.where(np.isnan(true), value, true)


def _settled_steep(xp: Any, value: Any, x: Any, *leaves: Any, name: str, meant: Term) -> Any:
    judge = getattr(xp, "judge", None)
    if judge is None:
        return value
    size = np.abs(x)
    if name not in AT_ONE and name not in CORRECTED:
        if not np.ptp(x) > STEEP:  # rows of one size, or nan
            return value
        felt = (np.abs(value) < DOMINATED) & (np.abs(value) >= TINY)
    elif name in AT_ONE:  # what is rounded to 1, or beyond it, need not be there
        felt = np.abs(1 - size) * (AT_STAKE * max(np.size(value), 1)) < 1
    else:
        felt = size > STEEP
        if not np.any(felt):
            return value
        with np.errstate(all="ignore"):
            felt = felt & CORRECTED[name].felt(x) & (np.abs(value) >= TINY) & np.isfinite(value)
    if not np.any(felt):
        return value
    true = judge(meant, leaves, 2)
    return np.where(felt & ~np.isnan(true), true, value)


STEEP = 64.0
"""Exponents from here on multiply the rounding of what they are by as much."""
DOMINATED = 2.0**-40
"""What is less is a share of e**-STEEP or so in its row."""
AT_ONE = frozenset(["arctanh", "one_minus_square", "arcsin", "arcsin_slope"])
"""Functions that feel the rounding of an argument near 1 or -1."""


def _is_nan(x: Any) -> bool:
    if x.size == 1:
        return math.isnan(x.item())
    return bool(np.any(np.isnan(x)))


def _is_lost(x: Any) -> bool:
    if np.ndim(x) == 0:
        return not TINY <= abs(float(x)) < np.inf
    size = np.abs(x)
    return not (size.min(initial=np.inf) >= TINY and size.max(initial=0.0) < np.inf)


def _is_extreme(x: Any) -> bool:
    size = np.abs(x)
    return bool(np.any((size > _LARGE) | ((size < _SMALL) & (size > 0))))


TINY = 4 * float(np.finfo(np.float64).tiny)
"""Below this a factor may have lost digits."""
_LARGE, _SMALL = 2.0**128, 2.0**-128
"""Numbers within these have few products that leave the range."""


SETTLED_SUM = declare(
    "settled_sum",
    family="lowered",
    params=("coefficients", "floor", "deep", "stake", "meant"),
    infer=_infer,
    kernel=_settled_sum,
    source="ball arithmetic, on small arrays whose sum cancelled",
    doc="A sum of reductions, or a function near its zero, that is decided where nothing is left.",
)

SETTLED_RANGE = declare(
    "settled_range",
    family="lowered",
    params=("watched", "extreme", "meant"),
    infer=_infer,
    kernel=_settled_range,
    source="ball arithmetic, on small arrays of which a reduction left the range",
    doc="A product with reductions, decided where one of its factors over- or underflowed.",
)

SETTLED_STEEP = declare(
    "settled_steep",
    family="lowered",
    params=("name", "meant"),
    infer=_infer,
    kernel=_settled_steep,
    source="ball arithmetic, on small arrays that an exponential is of",
    doc="An exponential of reductions, decided where it feels their rounding.",
)

SETTLED = (SETTLED_SUM, SETTLED_RANGE, SETTLED_STEEP)
"""What has its value in its first argument, where no referee is."""
