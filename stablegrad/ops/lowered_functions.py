"""Functions that feel the rounding of their argument, evaluated once more at a pair.

exp(a/t) at -700 multiplies the rounding error of the quotient by 700, and sin(x*y) near a multiple
of pi by far more. ``redone_call`` evaluates the function as it stands; elements at which its
condition is large are evaluated at the argument in twice the precision, by the value and slope at
the rounded one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.special

from stablegrad.ir import OPS, Shape, Term
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.lowered_arithmetic import Sum
from stablegrad.ops.pair_codes import ENOUGH, Bounded, Code, Function, columns, is_exact, spread
from stablegrad.ops.pairs import two_prod, two_sum
from stablegrad.ops.record import broadcast, declare
from stablegrad.ops.settled import LOST, settle
from stablegrad.ops.shared_pairs import run_code_at

_ROUNDED = 2.0**-53
_NEAR = 2.0**-20  # a difference that is farther off is no matter of a slope
_FAR = 2.0**-44  # a pair that differs more from the rounded argument left the range


class Corrected(NamedTuple):
    """Where a function feels its argument, and its value at a pair.

    ``value(x, lo, y)`` is that of x + lo, given y, the value at x, and the op's parameters.
    """

    felt: Callable[[Any], Any]
    value: Callable[..., Any]


def _sloped(felt: Callable[[Any], Any], slope: Callable[[Any, Any], Any]) -> Corrected:
    """By the slope at x, given x and the value there."""
    return Corrected(felt, lambda x, lo, y: y + slope(x, y) * lo)


def _beyond(limit: float) -> Callable[[Any], Any]:
    return lambda x: np.abs(x) > limit


def _above(limit: float) -> Callable[[Any], Any]:
    return lambda x: x > limit


def _below(limit: float) -> Callable[[Any], Any]:
    return lambda x: x < limit


def _next_to_1_or_2(x: Any) -> Any:
    return np.abs(np.abs(x - 1.5) - 0.5) < 0.125


def _sides(x: Any, lo: Any) -> tuple[Any, Any]:
    """1 - c and 1 + c of c = x + lo."""
    return (1.0 - x) - lo, (1.0 + x) + lo


def _arcsin(x: Any, lo: Any, y: Any) -> Any:
    left, right = _sides(x, lo)
    return np.arctan2(x, np.sqrt(left * right))


def _arccos(x: Any, lo: Any, y: Any) -> Any:
    left, right = _sides(x, lo)
    return 2.0 * np.arctan2(np.sqrt(left), np.sqrt(right))


def _arctanh(x: Any, lo: Any, y: Any) -> Any:
    left, right = _sides(x, lo)
    return 0.5 * (np.log(right) - np.log(left))


def _arccosh(x: Any, lo: Any, y: Any) -> Any:
    u = (x - 1.0) + lo
    return np.log1p(u + np.sqrt(u * (u + 2.0)))


def _log1p(x: Any, lo: Any, y: Any) -> Any:
    s, e = two_sum(1.0 + x, lo)
    return np.log(s) + e / s


def _sqrt1pm1(x: Any, lo: Any, y: Any) -> Any:
    s, e = two_sum(1.0 + x, lo)
    return np.sqrt(s + e) - 1.0


def _hazard(x: Any, lo: Any, y: Any, n: int) -> Any:
    return y - y * (x + y) * lo if n == 1 else y


def _one_minus_square(x: Any, lo: Any, y: Any) -> Any:
    left, right = _sides(x, lo)
    return left * right


def _arcsin_slope(x: Any, lo: Any, y: Any, n: int) -> Any:
    left, right = _sides(x, lo)
    return (left * right) ** (-0.5 * n)


def _cosm1(x: Any, lo: Any, y: Any) -> Any:
    half = np.sin(0.5 * x) * np.cos(0.5 * lo) + np.cos(0.5 * x) * np.sin(0.5 * lo)
    return -2.0 * half * half


def _normal_density(x: Any) -> Any:
    return np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def _error_density(x: Any) -> Any:
    return 2.0 / math.sqrt(math.pi) * np.exp(-x * x)


def _sin_of_root(x: Any, lo: Any, y: Any) -> Any:
    """sin(r)/r of r = sqrt(x + lo), whose rounding sin feels as that of x."""
    r = np.sqrt(x)
    square, rest = two_prod(r, r)
    d = ((x - square) - rest + lo) / (2.0 * r)
    return (np.sin(r) * np.cos(d) + np.cos(r) * np.sin(d)) / (r + d)


def _tan(x: Any, lo: Any, y: Any) -> Any:
    t = np.tan(lo)
    return (y + t) / (1.0 - y * t)


CORRECTED: dict[str, Corrected] = {
    "exp": _sloped(_beyond(2.0), lambda x, y: y),
    "exp2": _sloped(_beyond(2.0), lambda x, y: y * math.log(2.0)),
    "expm1": _sloped(_above(2.0), lambda x, y: y),
    "expm1mx": _sloped(_above(2.0), lambda x, y: np.expm1(x)),
    "sigmoid": _sloped(_below(-2.0), lambda x, y: y * (1.0 - y)),
    "softplus": _sloped(_below(-2.0), lambda x, y: y),
    "log_sigmoid": _sloped(_above(2.0), lambda x, y: -y),
    "log1mexp": _sloped(_below(-2.0), lambda x, y: -np.exp(x)),
    "log1mexp_slope": _sloped(_below(-2.0), lambda x, y: y),
    "bose_slope": _sloped(_beyond(2.0), lambda x, y: -y * np.sign(x)),
    "sinh": _sloped(_beyond(2.0), lambda x, y: np.cosh(x)),
    "cosh": _sloped(_beyond(2.0), lambda x, y: np.sinh(x)),
    "sech": _sloped(_beyond(2.0), lambda x, y: -y * np.tanh(x)),
    "sech_squared": _sloped(_beyond(1.0), lambda x, y: -2.0 * y * np.tanh(x)),
    "sigmoid_slope": _sloped(_beyond(2.0), lambda x, y: -y * np.tanh(0.5 * x)),
    "exprel": _sloped(_above(2.0), lambda x, y: (np.exp(x) - y) / x),
    "exprel_derivative": Corrected(
        _above(2.0), lambda x, lo, y, n: y + (np.exp(x) - (n + 1) * y) / x * lo
    ),
    "sinhc": _sloped(_beyond(2.0), lambda x, y: (np.cosh(x) - y) / x),
    "sinhc_derivative": Corrected(
        _beyond(2.0),
        lambda x, lo, y, n: y + ((np.sinh if n % 2 else np.cosh)(x) - (n + 1) * y) / x * lo,
    ),
    "sinc_unnormalised": _sloped(_beyond(2.0), lambda x, y: (np.cos(x) - y) / x),
    "sinc_unnormalised_derivative": Corrected(
        _beyond(2.0),
        lambda x, lo, y, n: y + (np.sin(x + (n + 1) * math.pi / 2) - (n + 1) * y) / x * lo,
    ),
    "sin": Corrected(_beyond(2.0), lambda x, lo, y: y * np.cos(lo) + np.cos(x) * np.sin(lo)),
    "cos": Corrected(_beyond(1.0), lambda x, lo, y: y * np.cos(lo) - np.sin(x) * np.sin(lo)),
    "cosm1": Corrected(_beyond(1.0), _cosm1),
    "tan": Corrected(_beyond(1.0), _tan),
    "sin_sqrt_over_sqrt": Corrected(_above(4.0), _sin_of_root),
    "sinh_sqrt_over_sqrt": _sloped(_above(4.0), lambda x, y: (np.cosh(np.sqrt(x)) - y) / (2.0 * x)),
    "coshm1": _sloped(_beyond(2.0), lambda x, y: np.sinh(x)),
    "log_expm1": _sloped(  # around its zero at log(2)
        lambda x: (x > 0.375) & (x < 1.5), lambda x, y: -1.0 / np.expm1(-x)
    ),
    "log_expm1_slope": _sloped(_below(-2.0), lambda x, y: y * (1.0 - y)),
    "erfc": _sloped(_above(1.0), lambda x, y: -_error_density(x)),
    "erfcx": _sloped(_below(-1.0), lambda x, y: 2.0 * x * y - 2.0 / math.sqrt(math.pi)),
    "ndtr": _sloped(_below(-1.0), lambda x, y: _normal_density(x)),
    "log_ndtr": _sloped(_above(1.0), lambda x, y: _normal_density(x)),
    "log_ndtr_derivative": Corrected(_above(1.0), _hazard),
    "sqrt1pm1": Corrected(_below(-0.5), _sqrt1pm1),
    "arcsin": Corrected(_beyond(0.7), _arcsin),
    "arcsin_slope": Corrected(_beyond(0.7), _arcsin_slope),
    "arccos": Corrected(_beyond(0.7), _arccos),
    "arctanh": Corrected(_beyond(0.7), _arctanh),
    "arccosh": Corrected(_below(1.5), _arccosh),
    "log1p": Corrected(_below(-0.5), _log1p),
    "log1pmx": Corrected(_below(-0.5), lambda x, lo, y: _log1p(x, lo, y) - x - lo),
    "one_minus_square": Corrected(_beyond(0.7), _one_minus_square),
    "lgamma": _sloped(_next_to_1_or_2, lambda x, y: scipy.special.psi(x)),
    "gamma": _sloped(_above(16.0), lambda x, y: y * scipy.special.psi(x)),
    "log": _sloped(lambda x: (x > 0.375) & (x < 2.75), lambda x, y: 1.0 / x),
}
LOGS = {"log": 0.0, "log1p": 1.0}
"""Logarithms, and what is added to their argument."""
TURNING = frozenset(["sin", "cos", "tan"])
OF_DIFFERENCE = {"sigmoid_difference": "sigmoid", "union_slope": "sigmoid_slope"}
"""Functions of a difference, and of what."""
CORRECTED |= {name: CORRECTED[of_one] for name, of_one in OF_DIFFERENCE.items()}
"""By op: where it feels the rounding of its argument, and the cure; by the difference of two."""


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
