"""Products of sums and products that may leave the range of floats where the whole does not.

``ranged_product`` multiplies as ``scaled_product`` does. Elements of which a factor overflowed or
underflowed on the way are redone from what the factors are made of, with exponents of their own:
(1 + x**8)/(1 + x**9) at 1e60, sqrt(x*y) at 1e200.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stablegrad.ir import Shape, Term
from stablegrad.ops.exact import Rational
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.lowered import SCALED_PRODUCT, Origin
from stablegrad.ops.lowered_arithmetic import Parts, parts_multiple
from stablegrad.ops.lowered_gaps import SIGNED
from stablegrad.ops.lowered_logs import log_in_parts
from stablegrad.ops.ranged_codes import Code, decisive, floats, is_far, optional, run_parts
from stablegrad.ops.record import broadcast, declare


def _infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return broadcast(MONOMIAL, args), args[0].dtype


def _ranged_product(
    xp: Any,
    *args: Any,
    powers: tuple[Rational, ...],
    factor: Rational,
    again: tuple[Origin, ...],
    watched: tuple[tuple[int, bool], ...],
    code: Code,
) -> Any:
    plain, leaves = split_arguments(args, powers, again)
    value = SCALED_PRODUCT.kernel(xp, *plain, powers=powers, factor=factor, again=again)
    lost: Any = False
    for i, small in watched:
        x = plain[i]
        if not small:  # plain sums only overflow
            if not np.isfinite(np.add.reduce(x, axis=None)):
                lost = lost | np.isinf(x)
            continue
        size = np.abs(x)
        if np.min(size, initial=np.inf) >= TINY and np.max(size, initial=0.0) < np.inf:
            continue
        lost = lost | ~((size >= TINY) & (size < np.inf))
    if lost is False:
        return value
    value, lost, *numbers = np.broadcast_arrays(value, lost, *leaves)
    lost = lost & _known(numbers, code)
    if not np.any(lost):
        return value
    with np.errstate(all="ignore"):
        found, none = run_parts([x[lost] for x in numbers], code)
        m, low, e = parts_multiple(np, found, factor)
        again_value = np.ldexp(m + low, np.clip(e, -5000, 5000).astype(np.int32))
    value = np.array(value)
    again_value = np.where(np.isfinite(m + low), again_value, value[lost])
    value[lost] = np.where(none, np.nan, again_value)
    return value


def _ranged_log(xp: Any, value: Any, total: Any, *leaves: Any, least: float, code: Code) -> Any:
    if xp.name != "numpy":
        return value

    def log(x: Parts) -> tuple[Any, Any]:
        zero = 0.0 * x[0]
        found = log_in_parts(np, (x[0], x[1]), x[2], (zero, zero))
        return np.where((x[0] > 0) & ~is_far(x), found, np.nan), x[0] < 0

    return _redone(value, total, leaves, least, code, log)


def _ranged_power(xp: Any, value: Any, base: Any, *leaves: Any, code: Code) -> Any:
    if xp.name != "numpy":
        return value
    return _redone(value, base, leaves, TINY, code, lambda x: (floats(x), False))


def _ranged_sum(xp: Any, value: Any, *leaves: Any, code: Code) -> Any:
    if xp.name != "numpy" or np.isfinite(np.add.reduce(value, axis=None)):
        return value
    return _redone(value, value, leaves, 0.0, code, lambda x: (floats(x), False))


def _ranged_comparison(xp: Any, value: Any, total: Any, *leaves: Any, name: str, code: Code) -> Any:
    if xp.name != "numpy" or np.all(total):
        return value
    lost = total == 0
    value, lost, *numbers = np.broadcast_arrays(value, lost, *leaves)
    lost = lost & _known(numbers, code)
    for i in decisive(code, len(numbers)):  # an honest zero, as of sparse data
        lost = lost & (numbers[i] != 0)
    if not np.any(lost):
        return value
    with np.errstate(all="ignore"):
        (m, _, _), _ = run_parts([x[lost] for x in numbers], code)
    value = np.array(value)
    value[lost] = np.where(np.isnan(m), value[lost], SIGNED[name](m, 0.0))
    return value


def _redone(
    value: Any,
    total: Any,
    leaves: Sequence[Any],
    least: float,
    code: Code,
    finish: Callable[[Parts], tuple[Any, Any]],
) -> Any:
    """The value, but what ``finish`` makes of the code where the total left the range.

    And nan where that tells that there is none.
    """
    size = np.abs(total)
    lost = ~((size >= least) & (size < np.inf))
    if not np.any(lost):
        return value
    value, lost, *numbers = np.broadcast_arrays(value, lost, *leaves)
    lost = lost & _known(numbers, code)
    if not np.any(lost):
        return value
    with np.errstate(all="ignore"):
        found, none = run_parts([x[lost] for x in numbers], code)
        again, nowhere = finish(found)
    value = np.array(value)
    again = np.where(np.isnan(again), value[lost], again)
    value[lost] = np.where(none | nowhere, np.nan, again)
    return value


def _known(numbers: Sequence[Any], code: Code) -> Any:
    """Where the numbers that a code starts from are finite."""
    less = optional(code)
    finite = [np.isfinite(x) for i, x in enumerate(numbers) if i not in less]
    return np.logical_and.reduce(finite)


TINY = 4 * float(np.finfo(np.float64).tiny)
"""Below this a factor may have lost digits."""


def split_arguments(
    args: tuple[Any, ...], powers: tuple[Rational, ...], again: tuple[Origin, ...]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The arguments that ``scaled_product`` takes, and the leaves of the code."""
    n = len(powers) + sum([sum(counts) for *_, counts in again])
    return args[:n], args[n:]


RANGED_LOG = declare(
    "ranged_log",
    family="lowered",
    params=("least", "code"),
    infer=_infer,
    kernel=_ranged_log,
    elementwise=True,
    source="log(m * 2**e) = log(m) + e*log(2)",
    doc="A log, given its value and argument as floats, of an argument that left their range.",
)

RANGED_POWER = declare(
    "ranged_power",
    family="lowered",
    params=("code",),
    infer=_infer,
    kernel=_ranged_power,
    elementwise=True,
    source="x**y = exp(y*log(x))",
    doc="A power, given its value and base as floats, of a base that left their range.",
)

RANGED_SUM = declare(
    "ranged_sum",
    family="lowered",
    params=("code",),
    infer=_infer,
    kernel=_ranged_sum,
    elementwise=True,
    source="sums of mantissas and exponents",
    doc="A sum, given its value, of addends that left the range of floats: cosh(x) - cosh(y).",
)

RANGED_COMPARISON = declare(
    "ranged_comparison",
    family="lowered",
    params=("name", "code"),
    infer=_infer,
    kernel=_ranged_comparison,
    elementwise=True,
    source="the sign of a product is that of its factors",
    doc="A comparison with 0, given its value and what is compared, of what may have underflowed.",
)

RANGED_PRODUCT = declare(
    "ranged_product",
    family="lowered",
    params=("powers", "factor", "again", "watched", "code"),
    infer=_infer,
    kernel=_ranged_product,
    elementwise=True,
    source="IEEE 754 scaling by powers of two is exact",
    doc="A product of powers of sums and products, of which neither intermediates nor factors "
    "leave the range.",
)
