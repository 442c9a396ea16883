"""Sums of rounded functions that cancelled, once more in pairs.

``redone_sum`` adds what was computed anyway. Where the sum is much smaller than its addends their
rounding shows; these elements, and no others, are computed again from the numbers that the
addends were made of, everything in twice the precision. An error bound goes along, and what is
not better is left alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stablegrad.ir import Shape, Term
from stablegrad.ops.exact import Exact, Rational, to_float
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.lowered import sum_pair
from stablegrad.ops.pair_codes import ROUNDED, Code, columns, is_enough, is_exact, spread
from stablegrad.ops.record import broadcast, declare
from stablegrad.ops.settled import settle
from stablegrad.ops.shared_pairs import run_code_at
from stablegrad.ops.singles import sum_of_few

SURE = 2.0**-50
"""The relative error with which a value is as good as known."""
_ALARM = 4.0  # how much greater than the sum the greatest addend may be
REDOING = frozenset(
    {"redone_sum", "redone_call", "redone_power", "redone_gap", "redone_comparison"}
)
"""The ops that run codes."""


def _infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return broadcast(MONOMIAL, args), args[0].dtype


def sum_and_size(
    xp: Any,
    xs: tuple[Any, ...],
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
) -> tuple[Any, Any]:
    """A sum of multiples and products, and the size of its greatest addend."""
    hi, lo = sum_pair(xp, xs, constant, coefficients, counts)
    size = xp.abs(to_float(constant))
    position = 0
    for c, count in zip(coefficients, counts, strict=True):
        x = xs[position] if count == 1 else xs[position] * xs[position + 1]
        position += count
        size = xp.maximum(size, abs(float(c)) * xp.abs(x))
    return hi + lo, size


CANCELLED = 16.0
"""How often a sum is smaller than its addends where it is settled: it may go into another one."""


def redone(
    xp: Any,
    total: Any,
    size: Any,
    alarm: Any,
    *leaves: Any,
    rounded: tuple[bool, ...],
    code: Code,
) -> Any:
    """A sum in NumPy, the elements that raise alarm computed again.

    Args:
        xp: the NumPy engine's namespace.
        total: what is computed.
        size: of the greatest addend.
        alarm: which elements lost digits.
        leaves: the registers of the code.
        rounded: which of them are rounded results.
        code: computes the sum.
    """
    shape = np.broadcast_shapes(np.shape(total), *[np.shape(x) for x in leaves])
    total, size, alarm = [spread(x, shape) for x in (total, size, alarm)]
    total, alarm = np.array(total), alarm != 0
    with np.errstate(all="ignore"):
        value, error = run_code_at(xp, alarm, leaves, rounded, code, is_enough)
        better = error < ROUNDED * size[alarm]
        again = np.where(better, value[0] + value[1], total[alarm])
        if is_exact(rounded, code):
            known = error <= SURE * np.abs(value[0])
            open_ = ~known & (size[alarm] > CANCELLED * np.abs(again))
            if np.any(open_):
                settle(xp, again, open_, columns(alarm, leaves), code)
        total[alarm] = again
    return total


def _redone_sum(
    xp: Any,
    *args: Any,
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
    rounded: tuple[bool, ...],
    code: Code,
) -> Any:
    xs, leaves = args[: sum(counts)], args[sum(counts) :]
    few = sum_of_few(xs, constant, coefficients, counts, _ALARM) if xp.name == "numpy" else None
    if few is not None:
        return few
    total, size = sum_and_size(xp, xs, constant, coefficients, counts)
    alarm = size > _ALARM * xp.abs(total)  # not where anything is inf or nan
    if xp.name != "numpy" or not np.any(alarm):
        return total
    return redone(xp, total, size, alarm, *leaves, rounded=rounded, code=code)


REDONE_SUM = declare(
    "redone_sum",
    family="lowered",
    params=("constant", "coefficients", "counts", "rounded", "code"),
    infer=_infer,
    kernel=_redone_sum,
    elementwise=True,
    source="Dekker 1971: double-double arithmetic, on the elements that cancelled",
    ulp=None,
    accuracy="where the addends cancel: 2**-102 relative to them, else as compensated_sum",
    doc="A sum of functions, computed in pairs where it is much smaller than its addends.",
)
