"""Functions that feel the rounding of their argument, evaluated once more at a pair.

exp(a/t) at -700 multiplies the rounding error of the quotient by 700, and sin(x*y) near a multiple
of pi by far more. ``redone_call`` evaluates the function as it stands; elements at which its
condition is large are evaluated at the argument in twice the precision, by the value and slope at
the rounded one.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Shape, Term
from stablegrad.ops.corrected import CORRECTED, LOGS, OF_DIFFERENCE, TURNING
from stablegrad.ops.exact import exact_ratio
from stablegrad.ops.form_records import MONOMIAL
from stablegrad.ops.lowered_arithmetic import Product, Sum
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
    named = dict(zip(op.params, parameters, strict=True)) if parameters else {}
    count = len(args) - len(rounded)
    xs, leaves = args[:count], args[count:]
    if xp.name != "numpy":
        return op.engine_kernels.get("xla", op.kernel)(xp, *xs, **named)
    value = op.engine_kernels.get("numpy", op.kernel)(xp, *xs, **named)
    with np.errstate(all="ignore"):
        x, below, size, felt, pole = _felt(name, value, xs)
        if felt is None or not np.count_nonzero(felt):
            return value
        shape = np.broadcast_shapes(np.shape(value), *[np.shape(a) for a in leaves])
        felt = spread(felt, shape)
        everywhere = bool(felt.all())

        def taken(a: Any) -> Any:
            return spread(a, shape).reshape(-1) if everywhere else spread(a, shape)[felt]

        near, at, size = taken(x), taken(value), taken(size)
        under = None if below is None else taken(below)
        asked = _Asked(name, parameters, near, under, at)
        (hi, lo), error = run_code_at(xp, felt, leaves, rounded, code, asked.is_enough)
        rest = asked.rest(hi, lo)
        better = (error < _ROUNDED * size) & (np.abs(rest) < _FAR * size)
        if under is not None:
            better &= error < 1.0
        if under is not None and np.any(np.abs(rest) > _NEAR):
            # of large numbers: no slope reaches it
            start = op.kernel(xp, hi, np.zeros_like(hi), **named)
            again, off = _Asked(name, parameters, hi, under, start).sides(lo, error)
        else:
            again, off = asked.known(rest, error)
        outside: Any = False
        if name in ENDS:  # rounded onto the edge of the domain
            outside = better & np.isnan(again) & np.isnan(off) & (2.0 * error < np.abs(rest))
        # a value of 0 keeps its sign
        again = np.where((better & np.isfinite(again) & (again != 0)) | outside, again, at)
        sure: Any = False
        if pole is not None:
            pole = taken(pole)
            argument = (hi + LOGS.get(name, 0.0)) + lo
            sure = pole & (error <= LOST * _ROUNDED * np.abs(argument))
            if np.any(pole & ~sure) and is_exact(rounded, code):
                argument = np.where(pole & ~sure, np.nan, argument)
                offset = Sum(int(LOGS[name]), ((1, len(leaves) + len(code) - 1),))
                settle(xp, argument, pole & ~sure, columns(felt, leaves), (*code, offset))
                sure = pole & ~np.isnan(argument)  # a negative that is below all floats is -0
            again = np.where(sure & (argument > 0), np.log(argument), again)
            again = np.where(sure & (argument <= 0) & np.signbit(argument), np.nan, again)
        whole = _whole(name, parameters, code, len(leaves))
        if whole and is_exact(rounded, code):
            # how far the value moves with what is not known of its argument
            loss = np.where(error < 1.0, np.abs(off - again), np.inf)
            open_ = ~(loss <= LOST * _ROUNDED * np.abs(again)) | np.isinf(again)
            open_ = open_ if sure is False else open_ & ~sure
            if np.any(open_):
                settle(xp, again, open_, columns(felt, leaves), whole)
    if everywhere:
        return again.reshape(shape)
    value = np.array(spread(value, shape))
    value[felt] = again
    return value


def _whole(name: str, parameters: tuple[Any, ...], code: Code, leaves: int) -> Code:
    """The code of a function of what a code computes; none for functions that codes do not have."""
    last = leaves + len(code) - 1
    if name == "arcsin_slope":  # (1 - x*x)**(-n/2)
        power = Fraction(-parameters[0], 2)
        rest = Sum(1, ((-1, last + 1),))
        return (*code, Product(((last, 2),)), rest, Product(((last + 2, exact_ratio(power)),)))
    return () if parameters else (*code, Function(OF_DIFFERENCE.get(name, name), (last,)))


def _felt(name: str, value: Any, xs: Sequence[Any]) -> tuple[Any, Any, Any, Any, Any]:
    """The argument of a function, its rest and size, where it feels it, and where it has a pole.

    None for a rest that is 0, for what is felt nowhere, and for poles where there are none. Most
    arrays feel nothing, and most that do are finite throughout: both are told by few calls.
    """
    felt: Any
    if len(xs) == 1:
        (x,), below = xs, None
        felt = CORRECTED[name].felt(x)
        if not (np.count_nonzero(felt) or (name in LOGS and np.isinf(value).any())):
            return x, None, x, None, None
        size = np.abs(x)
    else:  # the functions of a difference take it as it is, unrounded
        x, below = two_sum(xs[0], -xs[1])
        size = np.maximum(np.abs(xs[0]), np.abs(xs[1]))
        felt = (size > 2.0) & (np.abs(x) < 750.0)
    if np.isfinite(np.add.reduce(x, axis=None) + np.add.reduce(value, axis=None)):
        return x, below, size, felt, None
    # nan beside the end of a domain; a slope there may be one of what was rounded to the end
    felt = felt & np.isfinite(x) & (~np.isinf(value) | (name == "arcsin_slope"))
    pole = None
    if name in LOGS:  # one of 0 may be one of what was lost beside 1
        pole = np.isinf(value) & np.isfinite(x)
        felt = felt | pole
    if name in TURNING:
        felt = felt | np.isinf(x)  # what left the range has a sine
    return x, below, size, felt, pole


class _Asked:
    """The value of a function at elements, for the rest of their arguments and its error."""

    def __init__(
        self, name: str, parameters: tuple[Any, ...], near: Any, under: Any, at: Any
    ) -> None:
        self.value = CORRECTED[name].value
        self.parameters = parameters
        self.near = near
        """The arguments."""
        self.under = under
        """What they lack, as far as it is known; None for nothing."""
        self.at = at
        """The values there."""
        self.last: tuple[Any, Any, Any] = None, None, None

    def rest(self, hi: Any, lo: Any) -> Any:
        """What the arguments lack."""
        return (hi - self.near) + (lo if self.under is None else lo - self.under)

    def sides(self, rest: Any, error: Any) -> tuple[Any, Any]:
        """The values, and those of arguments that are off by as much as they may be."""
        one, other = [
            self.value(self.near, r, self.at, *self.parameters) for r in (rest, rest + error)
        ]
        return one, other

    def is_enough(self, found: Bounded) -> Any:
        """Where a result is so near that the value is known."""
        (hi, lo), error = found
        one, other = self.sides(self.rest(hi, lo), error)
        self.last = error, one, other
        return (error < 1.0) & (np.abs(other - one) <= ENOUGH * np.abs(one))

    def known(self, rest: Any, error: Any) -> tuple[Any, Any]:
        """The sides, of what was asked last perhaps."""
        before, one, other = self.last
        return (one, other) if before is error else self.sides(rest, error)


ENDS = frozenset(["arcsin", "arccos", "arccosh", "sqrt1pm1"])
"""Functions with a domain that ends where they have a value."""
POWERS = frozenset(["power", "pow1p", "powm1", "pow1pm1"])
"""Powers, those of 1 + u, and both less 1."""
SLOPES = frozenset(["power_derivative", "pow1p_derivative"])
"""Their derivatives: by the base alone or by the exponent alone, powers times a factor."""
ALL_SLOPES = SLOPES | {"powm1_derivative"}
"""Those, and what is a derivative of a power less 1."""

_NEAR_ONE = 2.0**-7  # a log below that feels the rounding of a base
_STEEP = 8.0  # a power from here on feels the rounding of its base, a log that of its exponent


def _redone_power(
    xp: Any,
    x: Any,
    y: Any,
    *leaves: Any,
    name: str,
    order: tuple[int, ...],
    rough: bool,
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
    log: Any = 0.0
    logs = order[1] if order and rough else 0  # how often a log of a rounded base is a factor
    if order:
        with np.errstate(all="ignore"):
            log = (np.log1p if name == "pow1p_derivative" else np.log)(x)
            factor = _slope_factor(order, y, log)

    def is_enough(found: Bounded) -> Any:
        (hi, _), error = found
        return error <= ENOUGH * (np.minimum(np.abs(hi), 1.0) if less or logs else 1.0)

    with np.errstate(all="ignore"):
        near = np.log1p(value) if less else np.log(value / factor)
        felt = (np.abs(y) > _STEEP) | (np.abs(near) > _STEEP) | (less & (np.abs(near) < 1.0))
        if order and order[0]:  # x**(y - 1), where the rounding is that of y
            felt |= np.abs(y * log) > _STEEP
        rounding: Any = 0.0  # of a base of 1 + x next to 0, in its logarithm times the exponent
        if name.startswith("pow1p"):
            rounding = 2.0**-52 * np.abs(y / (1.0 + x))
            felt = felt | (rounding > 2.0**-46)
        small: Any = np.abs(log) < _NEAR_ONE if logs else False
        felt |= small
        if logs:
            near = np.where(log == 0, 0.0, near)
    felt = felt & np.isfinite(near)
    if not np.any(felt):
        return value
    shape = np.broadcast_shapes(np.shape(value), *[np.shape(x) for x in leaves])
    value, near, felt, y = [spread(a, shape) for a in (value, near, felt, y)]
    with np.errstate(all="ignore"):
        (hi, lo), error = run_code_at(xp, felt, leaves, rounded, code, is_enough)
        start = near[felt]
        size = np.minimum(np.abs(hi), 1.0) if less or logs else 1.0
        if less:  # next to -1 an error of the logarithm is lost
            size = np.where(hi < -1.0, np.abs(hi), size)
        again = np.exp(hi)
        again = np.expm1(hi) + again * lo if less else again + again * lo
        if logs:  # that of the base as it is
            exact = (hi + lo) / (y[felt] - order[0])
            log = np.where(spread(small, shape)[felt], exact, spread(log, shape)[felt])
            again = again * _slope_factor(order, y[felt], log)
        elif order:
            again = again * spread(factor, shape)[felt]
        # what differs more than the rounding of the base allows left the range of pairs
        allowed = 1e-6 * (1.0 + np.abs(start)) + 2.0**-48 * np.abs(y[felt])
        close = np.abs(hi - start) < allowed + spread(rounding, shape)[felt]
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


def _slope_factor(order: tuple[int, ...], y: Any, log: Any) -> Any:
    """What a power is multiplied by in its derivative, for the log of its base."""
    factor = log ** order[1]
    for k in range(order[0]):
        factor = factor * (y - k)
    return factor


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
    params=("name", "order", "rough", "rounded", "code"),
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
