"""Codes of sums and functions in balls, for the elements that an engine cannot tell in pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import flint
import numpy as np
from flint import arb

from stablegrad.ir import Term
from stablegrad.ops.exact import Rational
from stablegrad.ops.lowered_arithmetic import Product, Sum
from stablegrad.ops.lowered_structured import inputs_of
from stablegrad.ops.pair_codes import Better, Code, Function, Select
from stablegrad.oracle.constants import as_arb
from stablegrad.oracle.precision import precision
from stablegrad.oracle.truth import truth

Array = np.ndarray[Any, Any]

LADDER = (256, 1100, 4500)
"""Bits that are tried: the last are those of two floats of opposite ranges, and some."""
CREDIT = 400_000
"""Bits that one result may cost, some 50 ms; elements after that are left alone."""

_BITS = 160


def _ndtr(x: Any) -> Any:
    return (-x * arb(0.5).sqrt()).erfc() / 2


CALLS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "maximum": arb.max,
    "minimum": arb.min,
    "exp": arb.exp,
    "expm1": arb.expm1,
    "log": arb.log,
    "log1p": arb.log1p,
    "log_ratio": lambda x, y: (x / y).log(),
    "sin": arb.sin,
    "cos": arb.cos,
    "tan": arb.tan,
    "sin_sqrt_over_sqrt": lambda x: x.sqrt().sin() / x.sqrt(),
    "tanh": arb.tanh,
    "sech_squared": lambda x: 1 / x.cosh() ** 2,
    "arctan": arb.atan,
    "arctan2": arb.atan2,
    "arcsin": arb.asin,
    "arccos": arb.acos,
    "arctanh": arb.atanh,
    "arccosh": arb.acosh,
    "sinh": arb.sinh,
    "cosh": arb.cosh,
    "sqrt1pm1": lambda x: (1 + x).sqrt() - 1,
    "sigmoid": lambda x: 1 / (1 + (-x).exp()),
    "sigmoid_slope": lambda x: 1 / (2 * (x / 2).cosh()) ** 2,
    "erf": arb.erf,
    "erfc": arb.erfc,
    "ndtr": _ndtr,
    "erfcx": lambda x: (x * x).exp() * x.erfc(),
    "log_ndtr": lambda x: _ndtr(x).log(),
    "log_ndtr_derivative": lambda x: (-x * x / 2).exp() / ((2 * arb.pi()).sqrt() * _ndtr(x)),
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
    for i, numbers in enumerate(zip(*[c.tolist() for c in columns], strict=True)):
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


def _evaluated(step: Any, registers: Any) -> Any:
    """The value of an instruction."""
    if isinstance(step, Sum):
        total = _constant(step.constant, flint.ctx.prec) if step.constant else None
        for c, i in step.addends:
            addend = registers[i] if c == 1 else registers[i] * _constant(c, flint.ctx.prec)
            total = addend if total is None else total + addend
        return total
    if isinstance(step, Product):
        out = None
        for i, p in step.factors:
            power = registers[i] ** p if isinstance(p, int) else registers[i].sqrt() ** int(2 * p)
            out = power if out is None else out * power
        return out
    if isinstance(step, Select):
        other = arb(0) if step.other is None else registers[step.other]
        return registers[step.chosen] if registers[step.condition] != 0 else other
    if isinstance(step, Better):
        return registers[step.meant]
    return CALLS[step.name](*[registers[i] for i in step.registers])


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
                    registers[number] = _evaluated(steps[number], registers)
                elif type(value) is not arb:
                    registers[number] = arb(float(value))
            ball = registers[order[-1]]
            middle = ball.mid()
            hi = float(middle)
            his.append(hi)
            lo, radius = float(middle - hi), float(ball.rad())
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
