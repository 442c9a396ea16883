"""Products of sums and products that may leave the range of floats where the whole does not.

``ranged_product`` multiplies as ``scaled_product`` does. Elements of which a factor overflowed or
underflowed on the way are redone from what the factors are made of, with exponents of their own:
(1 + x**8)/(1 + x**9) at 1e60, sqrt(x*y) at 1e200.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.ir import Shape, Term
from stablegrad.ops.exact import Rational
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.lowered import SCALED_PRODUCT, Origin
from stablegrad.ops.lowered_arithmetic import Parts, parts_multiple
from stablegrad.ops.lowered_gaps import SIGNED
from stablegrad.ops.lowered_logs import log_in_parts
from stablegrad.ops.ranged_codes import Code, Nonzero, decisive, optional, run_parts
from stablegrad.ops.ranged_functions import floats, is_far
from stablegrad.ops.record import broadcast, declare
from stablegrad.ops.settled import decide


def infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    """The shape of all arguments together, the dtype of the first."""
    return broadcast(MONOMIAL, args), args[0].dtype


def _all_in_range(x: Any, least: float) -> bool:
    """Whether all elements are finite and at least so large."""
    if x.size == 1:
        return least <= x.item() < np.inf
    low = np.minimum.reduce(x, axis=None, initial=np.inf)  # np.min takes twice as long to call
    return bool(low >= least and np.maximum.reduce(x, axis=None, initial=0.0) < np.inf)


def _outside(x: Any, bounded: bool) -> Any:
    """Where numbers, some of them infinite if not bounded, left the range; None for nowhere."""
    if x.size == 1:  # a call of NumPy takes ten times as long
        size = abs(x)
        return None if TINY <= size.item() < np.inf else ~((size >= TINY) & (size < np.inf))
    least = np.minimum.reduce(x, axis=None, initial=np.inf)
    if least >= TINY and (bounded or np.maximum.reduce(x, axis=None, initial=0.0) < np.inf):
        return None
    size = np.abs(x)
    return None if _all_in_range(size, TINY) else ~((size >= TINY) & (size < np.inf))


def _subnormal(x: Any) -> Any:
    """Where numbers are infinite, or so small that digits are lost, but not 0; None for nowhere."""
    size = np.abs(x)
    normal = size >= TINY
    if np.count_nonzero(normal) == np.count_nonzero(x) and np.add.reduce(size, axis=None) < np.inf:
        return None
    return (~normal & (size > 0)) | (size == np.inf)


def _ranged_product(
    xp: Any,
    *args: Any,
    powers: tuple[Rational, ...],
    factor: Rational,
    again: tuple[Origin, ...],
    watched: tuple[tuple[int, int], ...],
    code: Code,
    rounded: tuple[bool, ...],
    meant: Term | None,
) -> Any:
    plain, leaves = split_arguments(args, powers, again)
    if (powers, factor, again) == _ROOT:
        value = np.sqrt(plain[0])
    else:
        value = SCALED_PRODUCT.kernel(xp, *plain, powers=powers, factor=factor, again=again)
    lost: Any = False
    for i, small in watched:
        x = plain[i]
        if not small:  # plain sums, which only overflow
            if not np.isfinite(np.add.reduce(x, axis=None)):
                lost = lost | np.isinf(x)
            continue
        outside = _subnormal(x) if small == MASKED else _outside(x, small == BOUNDED)
        if outside is not None:
            lost = lost | outside
    if lost is False:
        return value

    def finish(found: Parts) -> tuple[Any, Any]:
        m, low, e = parts_multiple(np, found, factor)
        again_value = np.ldexp(m + low, np.clip(e, -5000, 5000).astype(np.int32))
        return np.where(np.isfinite(m + low), again_value, np.nan), False

    return _again(xp, value, lost, leaves, code, rounded, meant, finish)


def _ranged_log(
    xp: Any,
    value: Any,
    total: Any,
    *leaves: Any,
    least: float,
    code: Code,
    rounded: tuple[bool, ...],
    meant: Term | None,
) -> Any:
    if xp.name != "numpy":
        return value

    return _redone(xp, value, total, leaves, least, code, rounded, meant, _log)


def _log(x: Parts) -> tuple[Any, Any]:
    zero = 0.0 * x[0]
    found = log_in_parts(np, (x[0], x[1]), x[2], (zero, zero))
    return np.where((x[0] > 0) & ~is_far(x), found, np.nan), x[0] < 0


def _ranged_log1mexp(
    xp: Any,
    value: Any,
    x: Any,
    *leaves: Any,
    sign: int,
    code: Code,
    rounded: tuple[bool, ...],
    meant: Term | None,
) -> Any:
    if xp.name != "numpy":
        return value
    nearest, by = (np.maximum, -1.0) if sign < 0 else (np.minimum, 1.0)
    if by * nearest.reduce(x, axis=None, initial=by) > TINY:
        return value
    near = ~((x if sign > 0 else -x) >= TINY)  # beyond it is no logarithm
    return _again(xp, value, near, leaves, code, rounded, meant, _log)


def _ranged_power(xp: Any, value: Any, base: Any, *leaves: Any, code: Code) -> Any:
    if xp.name != "numpy":
        return value
    return _redone(xp, value, base, leaves, TINY, code, (), None, _as_floats)


def _ranged_sum(
    xp: Any,
    value: Any,
    *leaves: Any,
    code: Code,
    rounded: tuple[bool, ...],
    meant: Term | None,
) -> Any:
    if xp.name != "numpy" or np.isfinite(np.add.reduce(value, axis=None)):
        return value
    return _redone(xp, value, value, leaves, 0.0, code, rounded, meant, _as_floats)


def _ranged_comparison(
    xp: Any,
    value: Any,
    total: Any,
    *leaves: Any,
    name: str,
    code: Code,
    rounded: tuple[bool, ...],
    meant: Term | None,
) -> Any:
    asks = name == "isfinite"
    if xp.name != "numpy" or np.all(value if asks else total):
        return value
    lost = np.isinf(total) if asks else total == 0
    value, lost, *found = np.broadcast_arrays(value, lost, *leaves)
    numbers, inputs = found[: len(rounded)], found[len(rounded) :]
    lost = lost & _known(numbers, code)
    for i in decisive(code, len(numbers)):  # an honest zero, as of sparse data
        lost = lost & ((numbers[i] != 0) | (rounded[i] & (meant is not None)))
    if not np.any(lost):
        return value
    value, open_ = np.array(value), np.array(lost)
    if numbers:
        with np.errstate(all="ignore"):
            (m, _, _), _ = run_parts(xp, [x[lost] for x in numbers], code)
        told = ~np.isnan(m)
        value[lost] = np.where(told, SIGNED[name](m, 0.0), value[lost])
        open_[lost] = ~(told & ~_is_lost([x[lost] for x in numbers], rounded))
    if meant is not None and np.any(open_):
        again = value.astype(np.float64)
        decide(xp, again, open_, meant, inputs)
        value = again == 1
    return value


def _is_lost(numbers: Sequence[Any], rounded: tuple[bool, ...]) -> Any:
    """Where one of the registers that may be is lost below the range."""
    lost: Any = False
    for x, unsure in zip(numbers, rounded, strict=False):
        lost = lost | (unsure & (np.abs(x) < TINY))
    return lost


Finish = Callable[[Parts], tuple[Any, Any]]
"""What is made of the result of a code, nan where nothing is, and where there is no value."""


def _as_floats(x: Parts) -> tuple[Any, Any]:
    return floats(x), False


def _redone(
    xp: Any,
    value: Any,
    total: Any,
    leaves: Sequence[Any],
    least: float,
    code: Code,
    rounded: tuple[bool, ...],
    meant: Term | None,
    finish: Finish,
) -> Any:
    """The value, once more where the total left the range, or there is a pole."""
    if _all_in_range(total, least):
        return value
    size = np.abs(total)
    lost = ~((size >= least) & (size < np.inf)) | np.isinf(value)
    return _again(xp, value, lost, leaves, code, rounded, meant, finish)


def _again(
    xp: Any,
    value: Any,
    lost: Any,
    leaves: Sequence[Any],
    code: Code,
    rounded: tuple[bool, ...],
    meant: Term | None,
    finish: Finish,
) -> Any:
    """The value, but what ``finish`` makes of the code at some elements.

    And nan where that tells that there is none. What a code cannot tell, as a leaf of it was lost
    itself, is decided as what it is meant to be.

    Args:
        xp: the engine's names.
        value: what there is.
        lost: which elements.
        leaves: the registers of the code, and the inputs of what is meant.
        code: may be empty.
        rounded: which of the registers may be lost; those behind them are inputs.
        meant: the whole, or None.
        finish: what is made of the code.
    """
    if not np.any(lost):
        return value
    value, lost, *found = np.broadcast_arrays(value, lost, *leaves)
    count = len(found) if meant is None else len(rounded)
    numbers, inputs = found[:count], found[count:]
    open_ = lost
    lost = lost & _known(numbers, code)
    if meant is None and not np.any(lost):
        return value
    value = np.array(value)
    if code and np.any(lost):
        with np.errstate(all="ignore"):
            parts, none = run_parts(xp, [x[lost] for x in numbers], code)
            again, nowhere = finish(parts)
        none = none | nowhere
        value[lost] = np.where(none, np.nan, np.where(np.isnan(again), value[lost], again))
        told = none | ~np.isnan(again)
        if meant is not None:
            told &= ~_is_felt(xp, [x[lost] for x in numbers], code, finish)
        open_ = np.array(open_)
        open_[lost] = ~told | _is_lost([x[lost] for x in numbers], rounded)
    if meant is not None and np.any(open_):
        decide(xp, value, open_, meant, inputs)
    return value


def _is_felt(xp: Any, numbers: Sequence[Any], code: Code, finish: Finish) -> Any:
    """Where a register that is no zero was lost, of which more than the sign may count.

    A product with the largest number that is lost so is 0 all the same, or it does.
    """
    signs = {step.register: step.sign for step in code if isinstance(step, Nonzero)}
    small = {i: np.abs(numbers[i]) < TINY for i in signs}
    felt = np.logical_or.reduce(list(small.values())) if small else np.asarray(False)
    if not np.any(felt):
        return felt
    most = [
        np.where(small[i], TINY * signs[i], x) if i in small else x for i, x in enumerate(numbers)
    ]
    with np.errstate(all="ignore"):
        found, _ = finish(run_parts(xp, most, code)[0])
    return felt & (found != 0)


def _known(numbers: Sequence[Any], code: Code) -> Any:
    """Where the numbers that a code starts from are finite."""
    less = optional(code)
    finite = [np.isfinite(x) for i, x in enumerate(numbers) if i not in less]
    return np.logical_and.reduce(finite) if finite else True


_ROOT = (Fraction(1, 2),), 1, ()

TINY = 4 * float(np.finfo(np.float64).tiny)
"""Below this a factor may have lost digits."""
UNBOUNDED, BOUNDED, MASKED = 1, 2, 3
"""Factors that may be lost below the range: those that may be infinite as well, others, and those
of which zeros are meant."""


def split_arguments(
    args: tuple[Any, ...], powers: tuple[Rational, ...], again: tuple[Origin, ...]
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The arguments that ``scaled_product`` takes, and the leaves of the code."""
    n = len(powers) + sum([sum(counts) for *_, counts in again])
    return args[:n], args[n:]


RANGED_LOG = declare(
    "ranged_log",
    family="lowered",
    params=("least", "code", "rounded", "meant"),
    infer=infer,
    kernel=_ranged_log,
    elementwise=True,
    source="log(m * 2**e) = log(m) + e*log(2)",
    doc="A log, given its value and argument as floats, of an argument that left their range.",
)

RANGED_LOG1MEXP = declare(
    "ranged_log1mexp",
    family="lowered",
    params=("sign", "code", "rounded", "meant"),
    infer=infer,
    kernel=_ranged_log1mexp,
    elementwise=True,
    source="log(1 - exp(x)) = log(-x) + O(x)",
    doc="log1mexp or log_expm1, given its value and argument as floats, of an argument that may "
    "underflow.",
)

RANGED_POWER = declare(
    "ranged_power",
    family="lowered",
    params=("code",),
    infer=infer,
    kernel=_ranged_power,
    elementwise=True,
    source="x**y = exp(y*log(x))",
    doc="A power, given its value and base as floats, of a base that left their range.",
)

RANGED_SUM = declare(
    "ranged_sum",
    family="lowered",
    params=("code", "rounded", "meant"),
    infer=infer,
    kernel=_ranged_sum,
    elementwise=True,
    source="sums of mantissas and exponents",
    doc="A sum, given its value, of addends that left the range of floats: cosh(x) - cosh(y).",
)

RANGED_COMPARISON = declare(
    "ranged_comparison",
    family="lowered",
    params=("name", "code", "rounded", "meant"),
    infer=infer,
    kernel=_ranged_comparison,
    elementwise=True,
    source="the sign of a product is that of its factors",
    doc="A comparison with 0, given its value and what is compared, of what may have underflowed.",
)

RANGED_PRODUCT = declare(
    "ranged_product",
    family="lowered",
    params=("powers", "factor", "again", "watched", "code", "rounded", "meant"),
    infer=infer,
    kernel=_ranged_product,
    elementwise=True,
    source="IEEE 754 scaling by powers of two is exact",
    doc="A product of powers of sums and products, of which neither intermediates nor factors "
    "leave the range.",
)
