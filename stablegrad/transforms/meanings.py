"""Ops as functions that are known to pairs, where the op itself, or its first spelling, is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import localcontext
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from stablegrad.canonical import canonical
from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.forms import MONOMIAL
from stablegrad.ops.pair_calls import CALLS
from stablegrad.ops.pairs import pi
from stablegrad.ops.record import VARIABLE
from stablegrad.transforms.power_meanings import (
    compound_sum,
    geometric_sum,
    power_by_log,
    powm1,
    powm1_derivative,
    quotient_derivative,
)
from stablegrad.transforms.rational import POWERS

ONE = forms.const(1, np.dtype(np.float64))
with localcontext() as _context:
    _context.prec = 50  # Decimal's own 28 digits are fewer than pairs have
    HALF_PI = Fraction(pi() / 2).limit_denominator(1 << 120)
    DENSITY_AT_0 = Fraction(1 / (2 * pi()).sqrt()).limit_denominator(1 << 120)
    TWO_OVER_ROOT_PI = Fraction(2 / pi().sqrt()).limit_denominator(1 << 120)


def _op(name: str, *args: Any) -> Term:
    return OPS[name](*args)


def _exp(x: Term) -> Term:
    return _op("exp", x)


def _log(x: Term) -> Term:
    return _op("log", x)


def _log1p(x: Term) -> Term:
    return _op("log1p", x)


def _sigmoid(x: Term) -> Term:
    return _op("sigmoid", x)


def _sigmoid_slope(x: Term) -> Term:
    below = _exp(-_op("abs", x))  # what grows may be beyond all range
    return below / (1 + below) ** 2


def _sech(x: Term) -> Term:
    below = _exp(-_op("abs", x))
    return 2 * below / (1 + below**2)


def _arcsinh(x: Term) -> Term:
    size, one = x if x.facts.nonnegative else _op("abs", x), forms.const(1, x.dtype)
    most, least = _op("maximum", size, one), _op("minimum", size, one)
    value = _log(size + most * _sqrt(1 + (least / most) ** 2))
    if size is x:
        return value
    # with the sign of x, which is the greater one: x/abs(x) has no value at 0
    return _op("maximum", -value, _op("minimum", x, value))


def _logaddexp(a: Term, b: Term) -> Term:
    return _op("maximum", a, b) + _log1p(_exp(-_op("abs", b - a)))


def _sqrt(x: Term) -> Term:
    return _op("sqrt", x)


def _exprel_derivative(x: Term, n: int) -> Term:
    return quotient_derivative(lambda j: _exp(x) if j else _op("expm1", x), x, n)


def _log1prel_derivative(x: Term, n: int) -> Term:
    return quotient_derivative(lambda j: _log_derivative(1 + x, j) if j else _log1p(x), x, n)


def _logrel_derivative(x: Term, n: int) -> Term:
    return quotient_derivative(lambda j: _log_derivative(x, j) if j else _log(x), x - 1, n)


def _log_derivative(x: Term, j: int) -> Term:
    return (-1) ** (j - 1) * math.factorial(j - 1) * x**-j


def _turned(x: Term, j: int) -> Term:
    """The j-th derivative of sin."""
    out = _op("cos" if j % 2 else "sin", x)
    return -out if j % 4 in (2, 3) else out


def _inverse_power(x: Term, y: Term, n: int) -> tuple[Term, Term]:
    """The parts of (x - i y)**n over (x**2 + y**2)**n, the second one negative."""
    real, imaginary = x, y
    for _ in range(n - 1):
        real, imaginary = real * x - imaginary * y, real * y + imaginary * x
    size = (x * x + y * y) ** n
    return real / size, imaginary / size


def _log_exprel_derivative(x: Term, n: int) -> Term | None:
    if n == 1:
        return -1 / _op("expm1", -x) - 1 / x
    return 1 / (_op("expm1", x) * _op("expm1", -x)) + 1 / (x * x) if n == 2 else None


def _erfcx_derivative(x: Term, n: int) -> Term | None:
    value = _op("erfcx", x)
    slope = forms.total([(2, x * value), (-TWO_OVER_ROOT_PI, ONE)], x.shape, x.dtype)
    return {1: slope, 2: 2 * value + 2 * x * slope}.get(n)


def _log_erfc_derivative(x: Term, n: int) -> Term | None:
    slope = forms.scale(-TWO_OVER_ROOT_PI, 1 / _op("erfcx", x))
    return {1: slope, 2: -slope * (2 * x + slope)}.get(n)


def _log_ndtr_derivative(x: Term, n: int) -> Term | None:
    hazard = OPS["log_ndtr_derivative"](x, n=1)  # a function on pairs
    return -hazard * (x + hazard) if n == 2 else None


def _silu_derivative(x: Term, n: int) -> Term | None:
    rises, falls = _sigmoid(x), _sigmoid(-x)
    slope = rises * (1 + x * falls)
    return {1: slope, 2: rises * falls * (2 + x * (falls - rises))}.get(n)


def _mish_derivative(x: Term, n: int) -> Term | None:
    """tanh(s) + x*sech(s)**2*sigmoid(x) of s = softplus(x), by exp(-x)."""
    rises = _sigmoid(x)
    soft = _log1p(_exp(x))
    bent = _op("sech", soft)
    return _op("tanh", soft) + x * bent * bent * rises if n == 1 else None


def _gelu_derivative(x: Term, n: int) -> Term | None:
    density = forms.scale(DENSITY_AT_0, _exp(forms.scale(Fraction(-1, 2), x * x)))
    return {1: _op("ndtr", x) + x * density, 2: density * (2 - x * x)}.get(n)


def _bent_root(x: Term, n: int, sign: int) -> Term | None:
    """Derivatives of arccos(1 - x), or, with a sign of 1, of arccosh(1 + x)."""
    root = x * (2 + sign * x)
    slope = forms.power(root, Fraction(-1, 2))
    return {1: slope, 2: -(1 + sign * x) * slope / root}.get(n)


def _interval_hazards(x: Term, y: Term, n: int, m: int) -> Term | None:
    """Second derivatives of log_ndtr_difference by the first, which are known to pairs."""
    if n + m != 2:
        return None
    at_x, at_y = (OPS["log_ndtr_difference_derivative"](x, y, n=k, m=1 - k) for k in (1, 0))
    return {(2, 0): -at_x * (x + at_x), (1, 1): -at_x * at_y, (0, 2): -at_y * (y + at_y)}[n, m]


def _hypot(x: Term, y: Term) -> Term:
    """As squares may not be formed, the greater one times the length beside it."""
    x, y = _op("abs", x), _op("abs", y)
    most, least = _op("maximum", x, y), _op("minimum", x, y)
    return most * _sqrt(1 + (least / most) ** 2)


def _hypot_derivative(x: Term, y: Term, n: int, m: int) -> Term | None:
    if n + m > 2:
        return None
    length = _hypot(x, y)
    a, b = x / length, y / length
    return {(1, 0): a, (0, 1): b, (2, 0): b * b, (1, 1): -a * b, (0, 2): a * a}[n, m] / (
        1 if n + m == 1 else length
    )


def _betaln(a: Term, b: Term) -> Term:
    return _op("lgamma", a) + _op("lgamma", b) - _op("lgamma", a + b)


def _bose_slope(x: Term) -> Term:
    return -1 / (_op("expm1", x) * _op("expm1", -x))


MEANINGS: dict[str, Callable[..., Term | None]] = {
    "sigmoid_slope": _sigmoid_slope,
    "sigmoid_difference": lambda a, b: _sigmoid(a - b),
    "union_slope": lambda a, b: _sigmoid_slope(a - b),
    "softplus": lambda x: _log1p(_exp(x)),
    "log_sigmoid": lambda x: -_log1p(_exp(-x)),
    "logaddexp": _logaddexp,
    "log_expm1": lambda x: x + _log(-_op("expm1", -x)),
    "log1mexp": lambda x: _log(-_op("expm1", x)),
    "logit": lambda x: _log(x) - _log1p(-x),
    "exprel": lambda x: _op("expm1", x) / x,
    "expm1mx": lambda x: _op("expm1", x) - x,
    "log1pmx": lambda x: _log1p(x) - x,
    "log1pmx_slope": lambda x: -x / (1 + x),
    "log1prel": lambda x: _log1p(x) / x,
    "log1prel_derivative": _log1prel_derivative,
    "logrel": lambda x: _log(x) / (x - 1),
    "logrel_derivative": _logrel_derivative,
    "log_expm1_slope": lambda x: -1 / _op("expm1", -x),
    "log1mexp_slope": lambda x: -1 / _op("expm1", -x),
    "bose_slope": _bose_slope,
    "bose_slope_difference": lambda a, b: _bose_slope(a - b),
    "logdiffexp_weight": lambda a, b: -1 / _op("expm1", b - a),
    "log_exp_step": lambda b, h: b + h + _log(-_op("expm1", -h)),
    "exprel_derivative": _exprel_derivative,
    "log_exprel": lambda x: _log(_op("expm1", x) / x),
    "log_exprel_derivative": _log_exprel_derivative,
    "sinh": lambda x: (_op("expm1", x) - _op("expm1", -x)) / 2,
    "cosh": lambda x: (_exp(x) + _exp(-x)) / 2,
    "sech": _sech,
    "log_cosh": lambda x: x + _log1p(_op("expm1", -2 * x) / 2),
    "cosm1": lambda x: -2 * _op("sin", x / 2) ** 2,
    "x_minus_sin": lambda x: x - _op("sin", x),
    "arctan_gap": lambda a, b: _op("arctan", a) - _op("arctan", b),
    "sin_of_difference": lambda a, b: _op("sin", a - b),
    "cos_of_difference": lambda a, b: _op("cos", a - b),
    "exp_gap": lambda a, b: _exp(b) * _op("expm1", a - b),
    "one_plus_log": lambda x: 1 + _log(x),
    "one_plus_log_ratio": lambda x, y: 1 + _op("log_ratio", x, y),
    "one_minus_ratio": lambda x, y: 1 - x / y,
    "one_minus_square": lambda x: 1 - x * x,
    "log_step": lambda b, h: _log1p(h / b),
    "log_ratio1p": lambda u, v: _log1p((u - v) / (1 + v)),
    "log1p_gap": lambda u, v: _log1p((u - v) / (1 + v)),
    "xlogy": lambda x, y: x * _log(y),
    "xlog1py": lambda x, y: x * _log1p(y),
    "entr": lambda x: -x * _log(x),
    "rel_entr": lambda x, y: x * _op("log_ratio", x, y),
    "deviance": lambda x, y: x * _op("log_ratio", x, y) - x + y,
    "kl_div": lambda x, y: x * _op("log_ratio", x, y) - x + y,
    "cbrt": lambda x: x * _exp(_log(_op("abs", x)) * Fraction(-2, 3)),
    "cbrt_slope": lambda x: _exp(_log(_op("abs", x)) * Fraction(-2, 3)) / 3,
    "coshm1": lambda x: 2 * _op("sinh", x / 2) ** 2,
    "sinhc": lambda x: _op("sinh", x) / x,
    "sinhc_derivative": lambda x, n: quotient_derivative(
        lambda j: _op("cosh" if j % 2 else "sinh", x), x, n
    ),
    "sinc_unnormalised": lambda x: _op("sin", x) / x,
    "sinc_unnormalised_derivative": lambda x, n: quotient_derivative(lambda j: _turned(x, j), x, n),
    "inverse_power_cos": lambda x, y, n: _inverse_power(x, y, n)[0],
    "inverse_power_sin": lambda x, y, n: _inverse_power(x, y, n)[1],
    "log_ndtr": lambda x: _log(_op("ndtr", x)),
    "power": lambda x, y: _exp(y * _log(x)),
    "power_derivative": lambda x, y, n, m: power_by_log(_log(x), y, n, m),
    "power_gap": lambda a, b, p: forms.power(a, p) - forms.power(b, p),
    "powm1": powm1,
    "powm1_derivative": powm1_derivative,
    "pow1p": lambda u, y: _exp(y * _log1p(u)),
    "pow1p_derivative": lambda u, y, n, m: power_by_log(_log1p(u), y, n, m),
    "pow1pm1": lambda u, y: _op("expm1", y * _log1p(u)),
    "compound_sum": compound_sum,
    "geometric_sum": geometric_sum,
    "synthesized": lambda x, y, recipe: y,
    "reduced": lambda a, b, y, symmetry, recipes: y,
    "log_minus_digamma": lambda x, y: _log(x) - _op("digamma", y),
    "stop_gradient": lambda x: x,
    "clip": lambda x, low, high: _op("minimum", _op("maximum", x, low), high),
    "gamma": lambda x: _exp(_op("lgamma", x)),
    "beta": lambda a, b: _exp(_betaln(a, b)),
    "betaln": _betaln,
    "lgamma_difference": lambda x, h: _op("lgamma_step", x, h),
    "polygamma_difference": lambda x, h, n: OPS["polygamma_step"](x, h, n=n),
    "log_erfc": lambda x: _log(_op("erfc", x)),
    "log_erfc_derivative": _log_erfc_derivative,
    "silu_derivative": _silu_derivative,
    "mish_derivative": _mish_derivative,
    "gelu_derivative": _gelu_derivative,
    "arccos1m_derivative": lambda x, n: _bent_root(x, n, -1),
    "arccosh1p_derivative": lambda x, n: _bent_root(x, n, 1),
    "erfcx_derivative": _erfcx_derivative,
    "erf_gap": lambda a, b: _op("erf", a) - _op("erf", b),
    "ndtr_gap": lambda a, b: _op("ndtr", a) - _op("ndtr", b),
    "log_ndtr_derivative": _log_ndtr_derivative,
    "log_ndtr_difference_derivative": _interval_hazards,
    "sin_gap": lambda a, b: _op("sin", a) - _op("sin", b),
    "cos_gap": lambda a, b: _op("cos", a) - _op("cos", b),
    "arcsin_slope": lambda x, n: forms.power(1 - x * x, Fraction(-n, 2)),
    "hypot": _hypot,
    "hypot_unit": lambda x, y: x / _hypot(x, y),
    "hypot_derivative": _hypot_derivative,
    "sqrt1pm1": lambda x: x / (1 + _sqrt(1 + x)),
    "logit_slope": lambda x: 1 / (x * (1 - x)),
    "arcsinh": _arcsinh,
    "arccosh1p": lambda u: _log1p(u + _sqrt(u * (2 + u))),
    "fresnel_sine_slope": lambda x: _op("sin", forms.scale(HALF_PI, x * x)),
    "fresnel_cosine_slope": lambda x: _op("cos", forms.scale(HALF_PI, x * x)),
    "arctanh": lambda x: (_log1p(x) - _log1p(-x)) / 2,
}
"""Ops as functions that are known to pairs, where the first spelling of the op is no such.

Called with the arguments of the op and, by name, its parameters.
"""

TWICE = frozenset(
    """
    exprel exprel_derivative sinhc sinhc_derivative sinc_unnormalised sinc_unnormalised_derivative
    log1prel_derivative logrel logrel_derivative log_exprel log_exprel_derivative geometric_sum
    compound_sum log_ndtr log_ndtr_difference_derivative pow1p_derivative powm1_derivative
    """.split()
)
"""Ops whose meaning cancels somewhere: there their own values are known better."""

BY_RATIONALS = frozenset(
    "add subtract multiply divide negative square sqrt rsqrt reciprocal affine monomial".split()
)
"""Ops that are sums and products in canonical form."""


@cache
def _spelled(name: str) -> Callable[..., Term] | None:
    """The first spelling of an op, if it is made of what is known to pairs: that of silu."""
    op = OPS[name]
    if not op.elementwise or op.params or not op.spellings or name in BY_RATIONALS:
        return None
    spelling = op.spellings[0]
    letters = "abcdefgh"[: spelling.__code__.co_argcount]
    variables = [make(VARIABLE, (), (a,), (), np.dtype(np.float64)) for a in letters]
    inner = [t for t in topological([spelling(*variables)]) if t.args]
    known = all(
        t.op.name in BY_RATIONALS or t.op.name in CALLS or t.op.name in MEANINGS for t in inner
    )
    return spelling if known else None


def has_meaning(name: str) -> bool:
    """Whether ``meaning_of`` may know an op."""
    return name in MEANINGS or _spelled(name) is not None


def meaning_of(t: Term) -> Term | None:
    """A term as functions that are known to pairs."""
    if t.op is MONOMIAL and not any(x.dtype.kind == "b" for x in t.args):
        return _by_logs(t)
    if t.op.name == "polygamma_step":
        x, h = t.args
        n = t.param("n")
        return OPS["polygamma"](x + h, n=n) - OPS["polygamma"](x, n=n)
    if t.op.name in ("power_step", "power_of_sum"):
        return _power_meaning(t)
    meaning = MEANINGS.get(t.op.name) or _spelled(t.op.name)
    return (
        None
        if meaning is None
        else meaning(*t.args, **dict(zip(t.op.params, t.params, strict=True)))
    )


def _by_logs(t: Term) -> Term:
    """A product, what has powers that no multiplication makes by their logarithms."""
    factors = dict(zip(t.args, t.params[0], strict=True))
    plain = {x: p for x, p in factors.items() if abs(p) <= POWERS and (2 * p) % 1 == 0}
    logs: list[tuple[Any, Term]] = []
    for x, p in factors.items():
        if x not in plain:
            even = isinstance(p, int) and p % 2 == 0
            logs.append((p, _log(_op("abs", x) if even else x)))
    rest = _exp(forms.total(logs, t.shape, t.dtype))
    return forms.product([forms.monomial(plain, t.shape, t.dtype), rest]) if plain else rest


def _power_meaning(t: Term) -> Term:
    """The n-th derivative of (b + h)**p, or of (b + h)**p - b**p."""
    b, h = t.args
    p, n = t.param("p"), t.param("n")
    factor = math.prod(p - i for i in range(n))
    after = forms.power(canonical(b + h, below=frozenset(t.args)), p - n)
    if t.op.name == "power_of_sum":
        return forms.scale(factor, after)
    if p - n == -1:
        return forms.scale(-factor, h / b * after)
    return forms.scale(factor, after - forms.power(b, p - n))
