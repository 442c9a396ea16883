"""Differences of two values of a function, whose arguments are computed and close.

erf_gap((x + h)/s, x/s) is the slope times the difference of its arguments, and feels the rounding
of both. That difference is had in pairs, from the numbers of the program. Waves feel the rounding
of the middle between far arguments, too: their gaps are computed as what they are, in pairs. So
are logarithms of quotients and of sums of exponentials near their zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Facts, Shape, Term, make
from stablegrad.ops import pairs
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.lowered_arithmetic import Sum
from stablegrad.ops.pair_codes import Bounded, Code, is_enough, is_exact
from stablegrad.ops.record import broadcast, declare
from stablegrad.ops.settled import LOST, settle
from stablegrad.ops.shared_pairs import run_code_at

GAPS = frozenset(
    "erf_gap ndtr_gap sigmoid_gap softplus_gap arctan_gap power_gap exp_gap log1p_gap "
    "log_ratio1p".split()
)
LOGS = frozenset(["log_ndtr_difference", "log_sigmoid_difference", "logdiffexp"])
"""Logs of what is as the length of an interval, where that is short."""
OF_LENGTH = frozenset(["logdiffexp_weight", "bose_slope_difference"])
"""Functions of the length alone."""
INTERVALS = LOGS | OF_LENGTH | {"log_ndtr_difference_derivative"}
"""Of short intervals; derivatives of the log of a probability are powers of 1 over the length."""
WAVES = frozenset(["sin_gap", "cos_gap"])
VANISHING = frozenset(["log_ratio", "logaddexp"])
"""Logarithms of two numbers, which near their zero feel the rounding of both."""
_FELT = 4.0
_NEAR = 0.125
_FAR = 16.0
_SHORT = 0.0625  # of an interval beside one over its place: its probability is as its length
_CLOSE = 2.0**-50  # of two numbers that rounding may have put in another order
_FEW = 16  # ties that are settled: those of whole arrays are meant
_UP = 1900  # bits by which the sign of what is below all floats is told
_KNOWN = 2.0**-52
_BESIDE = 2.0**-30  # of a number, by which a slope there is told


def _infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return broadcast(MONOMIAL, args), args[0].dtype


def _redone_gap(
    xp: Any,
    a: Any,
    b: Any,
    *leaves: Any,
    name: str,
    parameters: tuple[Any, ...],
    rounded: tuple[bool, ...],
    code: Code,
) -> Any:
    op = OPS[name]
    named = dict(zip(op.params, parameters, strict=True))
    if xp.name != "numpy":
        return op.engine_kernels.get("xla", op.kernel)(xp, a, b, **named)
    value = op.engine_kernels.get("numpy", op.kernel)(xp, a, b, **named)
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(a), np.abs(b))
        gap = np.abs(a - b)
        alarm = gap < _NEAR * size
        if name in WAVES:
            alarm = alarm | ((size > _FAR) & (size > _FAR * np.abs(value)))
        if name in VANISHING:
            size = np.ones_like(value) if name == "log_ratio" else size
            alarm = size > _FELT * np.abs(value)
        if name.startswith("log_ndtr"):
            alarm = alarm & (gap * size < _SHORT)
        elif name in INTERVALS:
            alarm = alarm & (gap < 1.0)
        alarm = alarm & np.isfinite(value)
    if not np.any(alarm):
        return value
    value, alarm, a, b, size, *numbers = np.broadcast_arrays(value, alarm, a, b, size, *leaves)
    value = np.array(value)
    before, flat = value[alarm], [x[alarm] for x in numbers]
    with np.errstate(all="ignore"):
        (hi, lo), error = run_code_at(xp, alarm, leaves, rounded, code, is_enough)
        if name in WAVES or name in VANISHING:
            known = error <= _KNOWN * np.abs(hi)
            again = np.where(known, hi + lo, before)
            if is_exact(rounded, code):
                settle(xp, again, ~known & (size[alarm] > LOST * np.abs(again)), flat, code)
        else:
            known = error <= _KNOWN * np.abs(hi)
            if name in GAPS and is_exact(rounded, code):
                hi = np.where(known, hi, np.nan)
                settle(xp, hi, ~known, flat, code)
                known = ~np.isnan(hi)
            step = (a - b)[alarm]
            tied = known & (step == 0) & (hi != 0)
            if np.any(tied) and name in GAPS:  # rounded to one number: the slope there
                middle = a[alarm][tied]
                above, below = middle * (1 + _BESIDE), middle * (1 - _BESIDE)
                before[tied] = op.kernel(xp, above, below, **named)
                step[tied] = above - below
            if name in LOGS:
                better = before + np.log1p((hi - step) / step)
            elif name in OF_LENGTH:
                better = op.kernel(xp, hi, -lo, **named)
            else:
                better = before * (hi / step) ** (-sum(parameters) if name in INTERVALS else 1)
            again = np.where(known, better, value[alarm])
    value[alarm] = np.where(np.isfinite(again), again, value[alarm])
    return value


SIGNED: dict[str, Callable[[Any, Any], Any]] = {
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "equal": np.equal,
    "not_equal": np.not_equal,
}
"""Comparisons, of two numbers as of their difference and 0."""


def _is_told(found: Bounded) -> Any:
    """Where the sign of a difference is known."""
    (hi, _), error = found
    return error < np.abs(hi)


def _redone_comparison(
    xp: Any,
    value: Any,
    a: Any,
    b: Any,
    *leaves: Any,
    name: str,
    rounded: tuple[bool, ...],
    code: Code,
) -> Any:
    if xp.name != "numpy":
        return value
    with np.errstate(all="ignore"):
        gap = np.subtract(a, b)
        tie = np.abs(gap, out=gap if gap.ndim else None) <= np.abs(_CLOSE * a)  # no infinities
    if not tie.any():
        return value
    value, tie, *numbers = np.broadcast_arrays(value, tie, *leaves)
    with np.errstate(all="ignore"):
        (hi, lo), error = run_code_at(xp, tie, leaves, rounded, code, _is_told)
        known = error < np.abs(hi + lo)
        gap = np.where(known, hi, np.nan)
        if np.count_nonzero(~known) <= _FEW and is_exact(rounded, code):
            larger = Sum(0, ((2**_UP, len(leaves) + len(code) - 1),))
            settle(xp, gap, ~known, [x[tie] for x in numbers], (*code, larger))
    value = np.array(value)
    value[tie] = np.where(np.isnan(gap), value[tie], SIGNED[name](gap, 0.0))
    return value


REDONE_COMPARISON = declare(
    "redone_comparison",
    family="lowered",
    params=("name", "rounded", "code"),
    infer=_infer,
    kernel=_redone_comparison,
    elementwise=True,
    source="Dekker 1971 for the difference in pairs",
    doc="A comparison, given its value, of computed numbers that came out equal.",
)

REDONE_GAP = declare(
    "redone_gap",
    family="lowered",
    params=("name", "parameters", "rounded", "code"),
    infer=_infer,
    kernel=_redone_gap,
    elementwise=True,
    source="f(a) - f(b) = f'(c)*(a - b); Dekker 1971 for the difference in pairs",
    ulp=None,
    accuracy="that of the gap, at the exact arguments",
    doc="A difference of values of a function at computed arguments that are close.",
)


_APART = 2.0**-48  # of a number: two that came out equal are put so far from it


def _stepped_gap(
    xp: Any, a: Any, b: Any, step: Any, *, name: str, parameters: tuple[Any, ...]
) -> Any:
    a, b, step = pairs.arrays(xp, a, b, step)
    op = OPS[name]
    kernel = op.engine_kernels.get(xp.name, op.kernel)
    named = dict(zip(op.params, parameters, strict=True))
    if name in OF_LENGTH:
        near = xp.abs(step) < 1.0
        return kernel(xp, xp.where(near, step, a), xp.where(near, 0.0, b), **named)
    told = xp.isfinite(a) & xp.isfinite(b) & xp.isfinite(step) & (step != 0)
    turned = told & (xp.sign(a - b) != xp.sign(step))  # rounding put them in another order
    apart = xp.where(turned, xp.sign(step) * _APART * xp.abs(b), 0.0)
    a, b = xp.where(turned, b, a) + apart, b - apart
    value, gap = kernel(xp, a, b, **named), a - b
    size, far = xp.maximum(xp.abs(a), xp.abs(b)), xp.abs(gap)
    near = (far < _NEAR * size) & (gap != 0) & xp.isfinite(step)
    if name.startswith("log_ndtr"):
        near = near & (far * size < _SHORT)
    elif name in INTERVALS or name in WAVES:
        near = near & (far < 1.0)
    gap, step = xp.where(near, gap, 1.0), xp.where(near, step, 1.0)
    if name in LOGS:
        return value + xp.log1p((step - gap) / gap)
    ratio = step / gap
    return value * (ratio ** -sum(parameters) if name in INTERVALS else ratio)


def _facts_of_gap(term: Term) -> Facts:
    name, parameters = term.params
    return make(OPS[name], term.args[:2], parameters, term.shape, term.dtype).facts


STEPPED_GAP = declare(
    "stepped_gap",
    family="lowered",
    params=("name", "parameters"),
    infer=_infer,
    kernel=_stepped_gap,
    infer_facts=_facts_of_gap,
    elementwise=True,
    source="f(a) - f(b) = f'(c)*(a - b)",
    ulp=None,
    accuracy="that of the gap, at arguments with this difference",
    doc="A difference of values of a function at computed arguments, given their difference.",
)
