"""Functions that feel the rounding of their argument, evaluated once more at a pair.

exp(a/t) at -700 multiplies the rounding error of the quotient by 700, and sin(x*y) near a multiple
of pi by far more. ``redone_call`` evaluates the function as it stands; elements at which its
condition is large are evaluated at the argument in twice the precision, by the value and slope at
the rounded one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stablegrad.ir import OPS, Shape, Term
from stablegrad.ops.corrected import CORRECTED, LOGS, OF_DIFFERENCE, TURNING
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.lowered_arithmetic import Sum
from stablegrad.ops.pair_codes import ENOUGH, Bounded, Code, Function, columns, is_exact, spread
from stablegrad.ops.pairs import two_sum
from stablegrad.ops.record import broadcast, declare
from stablegrad.ops.settled import LOST, settle
from stablegrad.ops.shared_pairs import run_code_at

_ROUNDED = 2.0**-53
_NEAR = 2.0**-20  # a difference that is farther off is no matter of a slope
_FAR = 2.0**-44  # a pair that differs more from the rounded argument left the range


def _infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return broadcast(MONOMIAL, args), args[0].dtype


def _redone_call(
    xp: Any,
    *args: Any,
    name: str,
    parameters: tuple[Any, ...],
    rounded: tuple[bool, ...],
    code: Code,
) -> Any:
    op = OPS[name]
    named = dict(zip(op.params, parameters, strict=True))
    count = len(args) - len(rounded)
    xs, leaves = args[:count], args[count:]
    if xp.name != "numpy":
        return op.engine_kernels.get("xla", op.kernel)(xp, *xs, **named)
    value = op.engine_kernels.get("numpy", op.kernel)(xp, *xs, **named)
    corrected = CORRECTED[name]
    with np.errstate(invalid="ignore"):
        # the functions of a difference take it as it is, unrounded
        x, below = (xs[0], 0.0) if count == 1 else two_sum(xs[0], -xs[1])
        size = np.abs(x) if count == 1 else np.maximum(np.abs(xs[0]), np.abs(xs[1]))
        felt = corrected.felt(x) if count == 1 else (size > 2.0) & (np.abs(x) < 750.0)
        # nan beside the end of a domain; a slope there may be one of what was rounded to the end
        felt = felt & np.isfinite(x) & (~np.isinf(value) | (name == "arcsin_slope"))
        # a logarithm of 0 may be one of what was lost beside 1
        pole = np.isinf(value) & np.isfinite(x) & (name in LOGS)
        felt = felt | pole
        if name in TURNING and not np.isfinite(np.add.reduce(x, axis=None)):
            felt = felt | np.isinf(x)  # what left the range has a sine
    if not np.any(felt):
        return value
    shape = np.broadcast_shapes(np.shape(value), *[np.shape(x) for x in leaves])
    found = [spread(a, shape) for a in (value, x, below, size, felt)]
    value, x, below, size, felt = found
    with np.errstate(all="ignore"):
        near, at, under = x[felt], value[felt], below[felt]

        def is_enough(found: Bounded) -> Any:
            (hi, lo), error = found
            rest = (hi - near) + (lo - under)
            sides = [corrected.value(near, r, at, *parameters) for r in (rest, rest + error)]
            return (error < 1.0) & (np.abs(sides[1] - sides[0]) <= ENOUGH * np.abs(sides[0]))

        (hi, lo), error = run_code_at(xp, felt, leaves, rounded, code, is_enough)
        rest = (hi - near) + (lo - under)
        better = (error < _ROUNDED * size[felt]) & (np.abs(rest) < _FAR * size[felt])
        better = better & ((count == 1) | (error < 1.0))
        if count == 2 and np.any(np.abs(rest) > _NEAR):  # of large numbers: no slope reaches it
            near, rest, start = hi, lo, op.kernel(xp, hi, np.zeros_like(hi), **named)
        else:
            start = at
        again = corrected.value(near, rest, start, *parameters)
        off = corrected.value(near, rest + error, start, *parameters)
        pole = spread(pole, shape)[felt]
        # a value of 0 keeps its sign
        again = np.where(better & np.isfinite(again) & (again != 0), again, at)
        argument = (hi + LOGS.get(name, 0.0)) + lo
        sure = pole & (error <= LOST * _ROUNDED * np.abs(argument))
        if np.any(pole & ~sure) and is_exact(rounded, code):
            argument = np.where(pole & ~sure, np.nan, argument)
            offset = Sum(int(LOGS[name]), ((1, len(leaves) + len(code) - 1),))
            settle(xp, argument, pole & ~sure, columns(felt, leaves), (*code, offset))
            sure = pole & ~np.isnan(argument)  # a negative that is below all floats is -0
        again = np.where(sure & (argument > 0), np.log(argument), again)
        again = np.where(sure & (argument <= 0) & np.signbit(argument), np.nan, again)
        if not parameters and is_exact(rounded, code):
            # how far the value moves with what is not known of its argument
            loss = np.where(error < 1.0, np.abs(off - again), np.inf)
            open_ = ~(loss <= LOST * _ROUNDED * np.abs(again)) & ~sure
            of_one = OF_DIFFERENCE.get(name, name)
            whole = (*code, Function(of_one, (len(leaves) + len(code) - 1,)))
            if np.any(open_):
                settle(xp, again, open_, columns(felt, leaves), whole)
    value = np.array(value)
    value[felt] = again
    return value


POWERS = frozenset(["power", "pow1p", "powm1", "pow1pm1"])
"""Powers, those of 1 + u, and both less 1."""
SLOPES = frozenset(["power_derivative", "pow1p_derivative"])
"""Their derivatives: by the base alone or by the exponent alone, powers times a factor."""

_STEEP = 8.0  # a power from here on feels the rounding of its base, a log that of its exponent


def _redone_power(
    xp: Any,
    x: Any,
    y: Any,
    *leaves: Any,
    name: str,
    order: tuple[int, ...],
    rounded: tuple[bool, ...],
    code: Code,
) -> Any:
    op = OPS[name]
    params = dict(zip(op.params, order, strict=True))
    if xp.name != "numpy":
        return op.engine_kernels.get("xla", op.kernel)(xp, x, y, **params)
    value = op.engine_kernels.get("numpy", op.kernel)(xp, x, y, **params)
    less = name.endswith("m1")
    factor: Any = 1.0
    if order:
        with np.errstate(all="ignore"):
            log = np.log1p if name == "pow1p_derivative" else np.log
            factor = log(x) ** order[1]
            for k in range(order[0]):
                factor = factor * (y - k)

    def is_enough(found: Bounded) -> Any:
        (hi, _), error = found
        return error <= ENOUGH * (np.minimum(np.abs(hi), 1.0) if less else 1.0)

    with np.errstate(all="ignore"):
        near = np.log1p(value) if less else np.log(value / factor)
        felt = (np.abs(y) > _STEEP) | (np.abs(near) > _STEEP) | (less & (np.abs(near) < 1.0))
    felt = felt & np.isfinite(near)
    if not np.any(felt):
        return value
    shape = np.broadcast_shapes(np.shape(value), *[np.shape(x) for x in leaves])
    value, near, felt, y = [spread(a, shape) for a in (value, near, felt, y)]
    with np.errstate(all="ignore"):
        (hi, lo), error = run_code_at(xp, felt, leaves, rounded, code, is_enough)
        start = near[felt]
        size = np.abs(hi) if less else 1.0
        again = np.exp(hi)
        again = np.expm1(hi) + again * lo if less else again + again * lo
        if order:
            again = again * spread(factor, shape)[felt]
        # what differs more than the rounding of the base allows left the range of pairs
        allowed = 1e-6 * (1.0 + np.abs(start)) + 2.0**-48 * np.abs(y[felt])
        close = np.abs(hi - start) < allowed
        better = (error < 4.0 * _ROUNDED * size) & close & np.isfinite(again)
        again = np.where(better, again, value[felt])
        if not any(rounded) and not order:
            open_ = ~better & (np.abs(y[felt]) + np.abs(start) > LOST * size)
            whole = (*code, Function("expm1" if less else "exp", (len(leaves) + len(code) - 1,)))
            if np.any(open_):
                settle(xp, again, open_, columns(felt, leaves), whole)
    value = np.array(value)
    value[felt] = again
    return value


def _hypot_of_computed(xp: Any, x: Any, y: Any, *partial: Any) -> Any:
    value = OPS["hypot"].kernel(xp, x, y)
    if xp.name != "numpy" or np.isfinite(np.add.reduce(value, axis=None)):
        return value
    for leg in partial:
        value = np.where(np.isnan(leg), np.nan, value)
    return value


HYPOT_OF_COMPUTED = declare(
    "hypot_of_computed",
    family="lowered",
    infer=_infer,
    kernel=_hypot_of_computed,
    elementwise=True,
    source="definition",
    doc="hypot, but nan where a leg has no value: the other may be infinite by overflow.",
)

REDONE_POWER = declare(
    "redone_power",
    family="lowered",
    params=("name", "order", "rounded", "code"),
    infer=_infer,
    kernel=_redone_power,
    elementwise=True,
    source="x**y = exp(y*log(x)), the exponent in pairs",
    ulp=None,
    accuracy="that of the power, at the exact arguments",
    doc="A power of a computed base or exponent, redone where it feels their rounding.",
)

REDONE_CALL = declare(
    "redone_call",
    family="lowered",
    params=("name", "parameters", "rounded", "code"),
    infer=_infer,
    kernel=_redone_call,
    elementwise=True,
    source="f(x + d) = f(x) + f'(x)*d; Dekker 1971 for the argument in pairs",
    ulp=None,
    accuracy="that of the function, at the exact argument",
    doc="A function of a computed argument, whose rounding error is carried into the value where "
    "the condition of the function is large.",
)
