"""Codes of sums and functions in balls, for the elements that an engine cannot tell in pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import flint
import numpy as np
from flint import arb

from stablegrad.ir import Term, make, topological
from stablegrad.ops.exact import Rational
from stablegrad.ops.lowered_arithmetic import Product, Sum
from stablegrad.ops.lowered_structured import inputs_of
from stablegrad.ops.pair_codes import Better, Code, Function, Select
from stablegrad.ops.record import INPUT
from stablegrad.oracle.constants import as_arb
from stablegrad.oracle.precision import precision
from stablegrad.oracle.truth import truth

Array = np.ndarray[Any, Any]

LADDER = (256, 1100, 4500)
"""Bits that are tried: the last are those of two floats of opposite ranges, and some."""
CREDIT = 400_000
"""Bits that one result may cost, some 50 ms; elements after that are left alone."""

_BITS = 160


_LARGE = 2**40
"""From here on exponentials may be beyond the range that flint has."""


def _exp(x: Any) -> Any:
    """exp, which is next to 0 however far down."""
    value = x.exp()
    return value if value.is_finite() or not x < -_LARGE else arb(0, arb(2) ** -_LARGE)


def _sigmoid(x: Any) -> Any:
    if x > 0:
        return 1 / (1 + _exp(-x))
    below = _exp(x)
    return below / (1 + below)


def _sigmoid_slope(x: Any) -> Any:
    below = _exp(-abs(x))
    return below / (1 + below) ** 2


def _tanh(x: Any) -> Any:
    return 2 * _sigmoid(2 * x) - 1 if abs(x) > _LARGE else x.tanh()


def _sech(x: Any) -> Any:
    below = _exp(-abs(x))
    return 2 * below / (1 + below * below)


def _softplus(x: Any) -> Any:
    return x + _exp(-x).log1p() if x > 0 else _exp(x).log1p()


def _ndtr(x: Any) -> Any:
    return (-x * arb(0.5).sqrt()).erfc() / 2


def _interval_hazard(x: Any, y: Any) -> Any:
    if x + y > 0:  # the tail on the left is no difference from 1
        share = _ndtr(-y) - _ndtr(-x)
    else:
        share = _ndtr(x) - _ndtr(y)
    return (-x * x / 2).exp() / ((2 * arb.pi()).sqrt() * share)


CALLS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "maximum": arb.max,
    "minimum": arb.min,
    "exp": _exp,
    "exp2": lambda x: arb(2) ** x,
    "expm1": lambda x: _exp(x) - 1 if x < -_LARGE else x.expm1(),
    "exprel": lambda x: x.expm1() / x,
    "softplus": _softplus,
    "log_sigmoid": lambda x: -_softplus(-x),
    "log1mexp": lambda x: (-x.expm1()).log(),
    "log_expm1": lambda x: x.expm1().log(),
    "log": arb.log,
    "log1p": arb.log1p,
    "log_ratio": lambda x, y: (x / y).log(),
    "sin": arb.sin,
    "cos": arb.cos,
    "cosm1": lambda x: -2 * (x / 2).sin() ** 2,
    "sinc_unnormalised": lambda x: x.sin() / x,
    "tan": arb.tan,
    "sin_sqrt_over_sqrt": lambda x: x.sqrt().sin() / x.sqrt(),
    "tanh": _tanh,
    "sech": _sech,
    "sech_squared": lambda x: _sech(x) ** 2,
    "sinhc": lambda x: x.sinh() / x,
    "coshm1": lambda x: 2 * (x / 2).sinh() ** 2,
    "one_minus_square": lambda x: (1 - x) * (1 + x),
    "arctan": arb.atan,
    "arctan2": arb.atan2,
    "arcsin": arb.asin,
    "arccos": arb.acos,
    "arctanh": arb.atanh,
    "arccosh": arb.acosh,
    "sinh": arb.sinh,
    "cosh": arb.cosh,
    "sqrt1pm1": lambda x: (1 + x).sqrt() - 1,
    "sigmoid": _sigmoid,
    "sigmoid_slope": _sigmoid_slope,
    "erf": arb.erf,
    "erfc": arb.erfc,
    "ndtr": _ndtr,
    "erfcx": lambda x: (x * x).exp() * x.erfc(),
    "log_ndtr": lambda x: _ndtr(x).log(),
    "log_ndtr_derivative": lambda x: (-x * x / 2).exp() / ((2 * arb.pi()).sqrt() * _ndtr(x)),
    "interval_hazard": _interval_hazard,
    "gamma": arb.gamma,
    "lgamma": arb.lgamma,
    "digamma": arb.digamma,
    "lgamma_step": lambda x, h: (x + h).lgamma() - x.lgamma(),
    "digamma_step": lambda x, h: (x + h).digamma() - x.digamma(),
}
"""Functions by the names that codes have for them; others are left alone."""


def settled(columns: Sequence[Array], code: Code) -> Array:
    """The value of a code at each element, within a rounding; nan where it could not be told.

    Args:
        columns: the numbers that the first registers hold, exact.
        code: the instructions.
    """
    found = np.full(columns[0].shape, np.nan)
    if any(isinstance(s, Function) and s.name not in CALLS for s in code):
        return found
    credit = CREDIT
    beside = {step.rounded for step in code if isinstance(step, Better)}  # no ball asks for these
    known = [np.zeros(c.shape) if i in beside else c for i, c in enumerate(columns)]
    for i, numbers in enumerate(zip(*[c.tolist() for c in known], strict=True)):
        found[i], cost = _settled(numbers, code)
        credit -= cost
        if credit < 0:
            break
    return found


def _settled(numbers: Sequence[float], code: Code) -> tuple[float, int]:
    """The value, and the bits that it took."""
    cost = 0
    for bits in LADDER if np.isfinite(numbers).all() else ():
        cost += bits
        with precision(bits):
            ball = _run([arb(float(x)) for x in numbers], code)
            if not ball.is_finite():
                continue
            low, high = float(ball.lower()), float(ball.upper())
        if low == high:
            return low or (-0.0 if ball < 0 else 0.0), cost  # of what is below all floats, the sign
    return float("nan"), cost


def _run(registers: list[Any], code: Code) -> Any:
    for step in code:
        registers.append(_evaluated(step, registers))
    return registers[-1]


@lru_cache(maxsize=4096)
def _constant(c: Rational, bits: int) -> Any:
    """A constant as a ball, in the precision that is set."""
    return as_arb(Fraction(c))


def _power(x: Any, p: Rational) -> Any:
    """A power, that of a ball about 0 too: flint has none."""
    if not isinstance(p, int):
        x, p = x.sqrt(), int(2 * p)
    if x != 0:
        return x**p
    if p < 0:
        return 1 / _power(x, -p)
    square = abs(x) * abs(x)
    whole = square if p > 1 else x
    for _ in range(p - 2):
        whole = whole * x
    return whole


def _sum(step: Sum, registers: Any) -> Any:
    total = _constant(step.constant, flint.ctx.prec) if step.constant else None
    for c, i in step.addends:
        x = registers[i]
        if type(c) is int and (c == 1 or c == -1):  # other numbers are slow to compare
            addend = x if c == 1 else -x
        else:
            addend = x * _constant(c, flint.ctx.prec)
        total = addend if total is None else total + addend
    return total


def _product(step: Product, registers: Any) -> Any:
    out = None
    for i, p in step.factors:
        power = registers[i] if type(p) is int and p == 1 else _power(registers[i], p)
        out = power if out is None else out * power
    return out


def _function(step: Function, registers: Any) -> Any:
    return CALLS[step.name](*[registers[i] for i in step.registers])


def _select(step: Select, registers: Any) -> Any:
    other = arb(0) if step.other is None else registers[step.other]
    return registers[step.chosen] if registers[step.condition] != 0 else other


def _better(step: Better, registers: Any) -> Any:
    return registers[step.meant]


EVALUATED: dict[type, Callable[[Any, Any], Any]] = {
    Sum: _sum,
    Product: _product,
    Function: _function,
    Select: _select,
    Better: _better,
}
"""What gives the value of an instruction, by its kind."""


def _evaluated(step: Any, registers: Any) -> Any:
    """The value of an instruction."""
    return EVALUATED[type(step)](step, registers)


def in_balls(
    steps: Sequence[Any], order: Sequence[int], known: Sequence[dict[int, Any]]
) -> tuple[Array, Array, Array]:
    """A code at a few elements, a little beyond the precision of pairs: hi, lo and the error.

    For few elements balls are faster: a call of NumPy costs as much for one as for a hundred.

    Args:
        steps: the instructions by number.
        order: the numbers that make up the code, and those of its leaves.
        known: by number, what is known at each element: the floats of the leaves at least, and
            what earlier calls found. What is found now is added.
    """
    his, los, errors = [], [], []
    with precision(_BITS):
        for registers in known:
            for number in order:
                value = registers.get(number)
                if value is None:
                    step = steps[number]
                    registers[number] = EVALUATED[type(step)](step, registers)
                elif type(value) is not arb:
                    registers[number] = arb(float(value))
            ball = registers[order[-1]]
            middle = arb(0) if ball.contains(0) else ball.mid()  # no digit of it is known
            hi = float(middle)
            his.append(hi)
            lo, radius = float(middle - hi), float((abs(ball - middle)).upper())
            los.append(lo if abs(lo) > radius else 0.0)
            errors.append(radius + 2.0**-105 * abs(hi))
    return np.array(his), np.array(los), np.array(errors)


def judged(meant: Term, values: Sequence[Array], rung: int = 1) -> Array:
    """The true values of a small program, to the float; nan where they could not be told.

    Args:
        meant: the program.
        values: of its inputs, in the order in which they are met from the root down.
        rung: of the ladder of precisions, the last to try.
    """
    bindings = dict(zip(inputs_of(meant), values, strict=True))
    if not all(np.isfinite(v).all() for v in values):
        return np.full(meant.shape, np.nan)
    found = truth(meant, bindings, np.float64, budget=LADDER[rung], limits=False)
    return np.where(found.decided & np.isfinite(found.value), found.value, np.nan)


def decided(meant: Term, values: Array, columns: Sequence[Array]) -> Array:
    """The true values of an elementwise program at some points, nan where it has none.

    Args:
        meant: the program, in float64.
        values: what is kept where the truth could not be told.
        columns: of its inputs, in the order in which they are met from the root down.
    """
    root, inputs = _of_scalars(meant)
    bindings = dict(zip(inputs, columns, strict=True))
    found = truth(root, bindings, np.float64, budget=_BUDGET, limits=False)
    out = np.where(found.decided, found.value, values)
    none = found.undefined & ~np.isnan(values)
    if none.any():  # what is near such a point may still be one number
        some = {x: v[none] for x, v in bindings.items()}
        limit = truth(root, some, np.float64, budget=_BUDGET)
        out[none] = np.where(limit.undefined, limit.value, out[none])
    return out


_BUDGET = 2400
"""Bits for what cancelled below the range of floats."""


@lru_cache(maxsize=256)
def _of_scalars(meant: Term) -> tuple[Term, list[Term]]:
    """An elementwise program over scalars, of which any number of points is taken, its inputs."""
    leaves = inputs_of(meant)
    inputs = [make(INPUT, (), (i,), (), x.dtype) for i, x in enumerate(leaves)]
    done = dict(zip(leaves, inputs, strict=True))
    for t in topological([meant], stop=done.__contains__):
        if t not in done:
            args = tuple([done[a] for a in t.args])
            moved = t.op.name == "broadcast_to"
            done[t] = args[0] if moved else make(t.op, args, t.params, (), t.dtype)
    return done[meant], inputs
