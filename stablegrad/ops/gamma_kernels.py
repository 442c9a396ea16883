"""Kernels for the logarithm of the gamma function and all its derivatives.

Series and reflection in floats; the elements near a zero, where they cancel, again in pairs.
"""

from __future__ import annotations

import math
from decimal import localcontext
from fractions import Fraction
from functools import cache
from typing import Any

from scipy.special import zetac

from stablegrad.ops import pair_exp, pair_trig, pairs
from stablegrad.ops.taylor_tables import polynomial

_EULER = pairs.split(
    Fraction("0.577215664901532860606512090082402431042159335939923598805767234885")
)
_LOG_PI = math.log(math.pi)
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
with localcontext() as _context:
    _context.prec = 60
    _LOG_PI_PAIR = pairs.split(pairs.pi().ln())
    _HALF_LOG_2PI_PAIR = pairs.split((2 * pairs.pi()).ln() / 2)


@cache
def bernoulli(count: int) -> tuple[Fraction, ...]:
    """The Bernoulli numbers B0, B2, B4, ..."""
    b: list[Fraction] = []
    for n in range(2 * count):
        b.append(Fraction(int(n == 0)))
        for k in range(n):
            b[n] -= math.comb(n, k) * b[k] / (n - k + 1)
    return tuple(b[::2])


# -- lgamma --------------------------------------------------------------------------------


@cache
def _lgamma_series() -> tuple[tuple[float, ...], tuple[float, ...]]:
    """lgamma(1 + t) / t and lgamma(2 + t) / t as polynomials in t, highest power first."""
    one = [-_EULER[0]] + [(-1.0) ** k * (1.0 + float(zetac(k))) / k for k in range(2, 30)]
    two = [float(1 - Fraction(_EULER[0]) - Fraction(_EULER[1]))]
    two += [(-1.0) ** k * float(zetac(k)) / k for k in range(2, 40)]
    return tuple(one[::-1]), tuple(two[::-1])


def _lgamma_small(xp: Any, x: Any) -> Any:
    """Evaluate lgamma for 0.5 <= x <= 8: a factor that vanishes at the zeros 1 and 2, exactly."""
    one, two = _lgamma_series()
    low = x < 1.25
    down = xp.maximum(xp.floor(x - 1.75), 0.0)  # so that x - down <= 2.75
    product = xp.where(low, x, 1.0)
    for k in range(1, 7):
        product = xp.where(k <= down, product * (x - k), product)
    t = xp.where(low, x - 1.0, x - down - 2.0)
    logs = xp.log(product)
    value = t * polynomial(t, two) + xp.where(low, -logs, logs)

    def near_one(xp: Any, t: Any) -> Any:
        return t * polynomial(t, one) + 0.0

    return pairs.redo(xp, low & (x > 0.75), value, near_one, t)


def _lgamma_large(xp: Any, x: Any) -> Any:
    """Stirling's series, arranged so that its terms are positive for x >= 8."""
    r = 1.0 / x
    tail = [float(b / (2 * k * (2 * k - 1))) for k, b in enumerate(bernoulli(11)) if k]
    series = r * polynomial(r * r, tuple(tail[::-1]))
    return (x - 0.5) * (xp.log(x) - 1.0) + (_HALF_LOG_2PI - 0.5 + series)


def log_gamma_of_one_plus(xp: Any, t: Any) -> Any:
    """Evaluate lgamma(1 + t) for -1/2 <= t <= 7, relative to t."""
    _, two = _lgamma_series()
    near = xp.clip(t, -0.5, 0.5)
    value = near * polynomial(near, two) - xp.log1p(near)
    return pairs.redo(xp, t > 0.5, value, lambda xp, t: _lgamma_small(xp, 1.0 + t), t)


def log_gamma_pairs(xp: Any, x: pairs.Pair) -> pairs.Pair:
    """Evaluate lgamma in pairs, for x >= 0.4: Stirling's series after a shift."""
    zero = 0.0 * x[0]
    middle = PAIR_SHIFT // 2
    factors = [x, pairs.add(x, (middle + zero, zero))]  # two halves, so that neither overflows
    for k in range(1, middle):
        for i in (0, 1):
            near = pairs.add(x, (k + i * middle + zero, zero))
            factors[i] = pairs.multiply(factors[i], near)
    w = pairs.add(x, (PAIR_SHIFT + zero, zero))
    r = pairs.divide((1.0 + zero, zero), w)
    tail = [pairs.split(b / (2 * k * (2 * k - 1))) for k, b in enumerate(bernoulli(30)) if k]
    total = pairs.horner(pairs.multiply(r, r), [(a + zero, b) for a, b in tail[::-1]])
    total = pairs.multiply(total, r)
    log_w = pair_exp.log_of_pair(xp, w)
    total = pairs.add(total, pairs.multiply(pairs.add(w, (zero - 0.5, zero)), log_w))
    total = pairs.add(total, pairs.negative(w))
    total = pairs.add(total, (_HALF_LOG_2PI_PAIR[0] + zero, _HALF_LOG_2PI_PAIR[1]))
    for part in factors:
        total = pairs.add(total, pairs.negative(pair_exp.log_of_pair(xp, part)))
    return total


def _lgamma_positive(xp: Any, x: Any) -> Any:
    """Evaluate lgamma for x >= 0.5 and nan."""
    value = _lgamma_small(xp, xp.clip(x, 0.5, 8.0))
    return pairs.redo(xp, (x > 8.0) | xp.isnan(x), value, _lgamma_large, x)


# Negative zeros of lgamma as hi and lo, and the Taylor coefficients of orders 1, 2, 3 there, by
# bisection in 400-bit balls. Zeros further out are so near to a pole that no float is near them.
_ZEROS = (
    (
        -2.7476826467274127,
        9.055340329338315e-17,
        -1.9143501856115988,
        9.575189475709667,
        -20.095134916842603,
    ),
    (
        -2.4570247382208006,
        -3.7075610815513266e-17,
        1.5156034480216574,
        4.8583209516339965,
        1.41129114307798,
    ),
    (
        -3.955294284858598,
        -1.999428391746348e-17,
        -20.725060845803707,
        251.7146825868894,
        -3730.6047156806126,
    ),
    (
        -3.14358088834998,
        -2.1818179852331714e-16,
        7.781884658131351,
        25.831338372387957,
        112.268986297176,
    ),
    (
        -4.991544640560048,
        1.5174411760571722e-16,
        -116.53578161624363,
        6995.235954894064,
        -551419.9978512884,
    ),
    (
        -4.039361839740537,
        2.1143995503980602e-16,
        26.790480886140593,
        324.25532293784715,
        5465.691820777134,
    ),
    (
        -5.998607480080875,
        -3.311862478893795e-16,
        -716.2454304275473,
        257851.58963956262,
        -123445282.15783688,
    ),
    (
        -5.0082181683225935,
        -4.3926353491015815e-17,
        123.3621845633534,
        7404.762432228682,
        600556.168452811,
    ),
)


def _lgamma_at_zero(xp: Any, x: Any, value: Any) -> Any:
    """The value by its Taylor series about a zero so near that pairs would lose digits."""
    for zero, rest, *slopes in _ZEROS:
        d = (x - zero) - rest
        taylor = d * (slopes[0] + d * (slopes[1] + d * slopes[2]))
        value = xp.where(xp.abs(x - zero) < 1e-8 * abs(zero - round(zero)), taylor, value)
    return value


def lgamma(xp: Any, x: Any) -> Any:
    """Evaluate log |gamma(x)|; inf at the poles and at both infinities."""
    x = xp.asarray(x, dtype=float)
    size = xp.abs(x)

    def near_zero(xp: Any, x: Any) -> Any:
        return log_gamma_of_one_plus(xp, x) - xp.log(xp.abs(x))

    def negative(xp: Any, x: Any) -> Any:
        s, _ = pair_trig.sin_cos_pi(xp, x)
        mirror = _lgamma_positive(xp, -x)
        logs = xp.log(xp.abs(s * x))
        value = (_LOG_PI - logs) - mirror
        size = _LOG_PI + xp.abs(logs) + xp.abs(mirror)

        def again(xp: Any, x: Any) -> Any:
            zero = 0.0 * x
            s, _ = pair_trig.sin_cos_pi_pair(xp, x)
            product = pairs.multiply(s, (x, zero))
            flip = xp.sign(product[0])
            logs = pair_exp.log_of_pair(xp, (flip * product[0], flip * product[1]))
            total = pairs.add((_LOG_PI_PAIR[0] + zero, _LOG_PI_PAIR[1]), pairs.negative(logs))
            total = pairs.add(total, pairs.negative(log_gamma_pairs(xp, (-x, zero))))
            return total[0] + total[1]

        near = (s != 0) & (3.0 * xp.abs(value) < size)
        if xp.name != "numpy":  # compilers would spend a minute on the digits beside a zero
            return value
        value = pairs.redo(xp, near, value, again, x)
        return pairs.redo(xp, xp.abs(value) < 1e-6, value, _lgamma_at_zero, x, value)

    value = _lgamma_positive(xp, xp.where(size < 0.5, 1.0, size))
    value = pairs.redo(xp, (x <= -0.5) & (size < 2.0**52), value, negative, x)
    value = pairs.redo(xp, size < 0.5, value, near_zero, x)
    return xp.where((x <= -(2.0**52)) | (x == 0), xp.inf, value)


# -- digamma and polygamma ------------------------------------------------------------------

_SHIFT = 13
PAIR_SHIFT = 26


def _polygamma_tail(n: int, terms: int) -> tuple[Fraction, ...]:
    """Coefficients, highest first, of 1/w**2 in |polygamma(n, w)| w**n / (n-1)! - 1 - n/(2 w)."""
    front = math.factorial(n - 1)
    return tuple(
        [
            b * math.factorial(2 * k + n - 1) / (math.factorial(2 * k) * front)
            for k, b in enumerate(bernoulli(terms))
            if k
        ][::-1]
    )


def _whole_power(xp: Any, x: Any, n: int) -> Any:
    """Evaluate x**n for a small whole n with few roundings."""
    return x if n == 1 else x * x if n == 2 else x * x * x if n == 3 else xp.power(x, float(n))


def _polygamma_positive(xp: Any, x: Any, n: int) -> Any:
    """Evaluate |polygamma(n, x)| for x > 0, n >= 1: positive terms up to a shift, then series."""
    shift = _SHIFT + n
    tail = tuple([float(c) for c in _polygamma_tail(n, 14)])

    def series(xp: Any, w: Any) -> Any:
        r = 1.0 / w
        bracket = 1.0 + r * (0.5 * n + r * polynomial(r * r, tail))
        return math.factorial(n - 1) * bracket / _whole_power(xp, w, n)

    def shifted(xp: Any, x: Any) -> Any:
        w, rest = pairs.two_sum(x, float(shift))
        total = series(xp, w) * (1.0 - n * rest / w)
        front = float(math.factorial(n))
        for k in range(shift - 1, -1, -1):
            w, rest = pairs.two_sum(x, float(k))
            term = front / _whole_power(xp, w, n + 1)
            total = total + (term - term * ((n + 1) * rest / w) if k else term)
        return total

    value = series(xp, xp.maximum(x, 1.0))
    return pairs.redo(xp, x < shift, value, shifted, x)


def polygamma_pairs(xp: Any, x: pairs.Pair, n: int) -> pairs.Pair:
    """Evaluate |polygamma(n, x)| in pairs, for x >= 0.4."""
    zero = 0.0 * x[0]
    shift = PAIR_SHIFT + n
    w = pairs.add(x, (shift + zero, zero))
    r = pairs.divide((1.0 + zero, zero), w)
    tail = [pairs.split(c) for c in _polygamma_tail(n, 30)]
    total = pairs.horner(pairs.multiply(r, r), [(a + zero, b) for a, b in tail])
    total = pairs.add(pairs.multiply(total, r), (0.5 * n + zero, zero))
    total = pairs.add(pairs.multiply(total, r), (1.0 + zero, zero))
    total = pairs.multiply(total, pairs.power(r, n))
    front = (float(math.factorial(n - 1)) + zero, zero)
    total = pairs.multiply(total, front)
    front = (float(math.factorial(n)) + zero, zero)
    for k in range(shift - 1, -1, -1):
        term = pairs.power(pairs.add(x, (k + zero, zero)), n + 1)
        total = pairs.add(total, pairs.divide(front, term))
    return total


@cache
def _cotpolynomial(n: int) -> tuple[int, ...]:
    """The coefficients in c = cot(t), highest first, of (-1)**n times its n-th derivative."""
    p = [0, 1]
    for _ in range(n):
        d = [k * a for k, a in enumerate(p)][1:]
        p = [(d[k] if k < len(d) else 0) + (d[k - 2] if k >= 2 else 0) for k in range(len(d) + 2)]
    return tuple(p[::-1])


def _reflected(xp: Any, x: Any, n: int) -> tuple[pairs.Pair, Any]:
    """(-1)**(n+1) pi times the n-th derivative of cot(pi x) in pairs, and its sign pattern."""
    s, c = pair_trig.sin_cos_pi_pair(xp, x)
    zero = 0.0 * x
    cot = pairs.divide(c, s)
    value = pairs.horner(cot, [(float(a) + zero, zero) for a in _cotpolynomial(n)])
    front = pairs.split(Fraction(pairs.pi()) ** (n + 1))
    value = pairs.multiply(value, (front[0] + zero, front[1]))
    return value, s[0] == 0


def _polygamma_negative(xp: Any, x: Any, n: int) -> Any:
    """Reflection for x < 0: polygamma(n, 1-x) and a polynomial in cot(pi x), in pairs."""
    sign = -1.0 if n % 2 == 0 else 1.0

    def near_zero(xp: Any, x: Any) -> Any:
        pole = math.factorial(n) / _whole_power(xp, x, n + 1)
        return sign * (pole + _polygamma_positive(xp, 1.0 + x, n))

    def reflect(xp: Any, x: Any) -> Any:
        cot, pole = _reflected(xp, x, n)
        mirror = _polygamma_positive(xp, 1.0 - x, n)
        # polygamma(n, x) = (-1)**n polygamma(n, 1-x) - pi (d/dx)**n cot(pi x)
        flip = -sign
        value = flip * cot[0] * -1.0 + (-mirror + flip * cot[1] * -1.0)
        cancelled = xp.abs(value) < 2.0 * mirror

        def again(xp: Any, x: Any, hi: Any, lo: Any) -> Any:
            y = 1.0 - x
            other = polygamma_pairs(xp, (y, 0.0 * y), n)
            # 1 - x is rounded: step back along the next derivative
            step = ((1.0 - y) - x) * _polygamma_positive(xp, y, n + 1)
            total = pairs.add((-flip * hi, -flip * lo), pairs.negative(other))
            return total[0] + (total[1] + step)

        if xp.name == "numpy":
            value = pairs.redo(xp, cancelled, value, again, x, cot[0], cot[1])
        return xp.where(pole, xp.inf if n % 2 else xp.nan, value)

    return pairs.redo(xp, x > -0.25, reflect(xp, xp.minimum(x, -0.25)), near_zero, x)


def digamma_pairs(xp: Any, x: pairs.Pair) -> pairs.Pair:
    """Evaluate digamma in pairs, for x >= 0.4."""
    zero = 0.0 * x[0]
    w = pairs.add(x, (PAIR_SHIFT + zero, zero))
    r = pairs.divide((1.0 + zero, zero), w)
    square = pairs.multiply(r, r)
    tail = [pairs.split(-b / (2 * k)) for k, b in enumerate(bernoulli(30)) if k]
    total = pairs.horner(square, [(a + zero, b) for a, b in tail[::-1]])
    total = pairs.add(pairs.multiply(total, square), pairs.multiply(r, (zero - 0.5, zero)))
    total = pairs.add(total, pair_exp.log_of_pair(xp, w))
    for k in range(PAIR_SHIFT):
        term = pairs.divide((-1.0 + zero, zero), pairs.add(x, (k + zero, zero)))
        total = pairs.add(total, term)
    return total


def digamma(xp: Any, x: Any) -> Any:
    """SciPy's function for x > -0.001; elsewhere reflection with pi x reduced exactly."""
    x = xp.asarray(x, dtype=float)

    def reflect(xp: Any, x: Any) -> Any:
        cot, pole = _reflected(xp, x, 0)
        mirror = xp.special.digamma(1.0 - x)
        value = (mirror - cot[0]) - cot[1]
        near = xp.abs(value) < 0.8 * xp.abs(mirror) + 0.5
        if xp.name == "numpy":
            value = pairs.redo(xp, near, value, again, x, cot[0], cot[1])
        return xp.where(pole, xp.nan, value)

    def again(xp: Any, x: Any, hi: Any, lo: Any) -> Any:
        y = 1.0 - x
        step = ((1.0 - y) - x) * _polygamma_positive(xp, y, 1)  # 1 - x was rounded
        total = pairs.add(digamma_pairs(xp, (y, 0.0 * y)), (-hi, -lo))
        return total[0] + (total[1] + step)

    return pairs.redo(xp, x < -0.001, xp.special.digamma(x), reflect, x)


def polygamma(xp: Any, x: Any, *, n: int) -> Any:
    """The n-th derivative of digamma."""
    if n == 0:
        return digamma(xp, x)
    x = xp.asarray(x, dtype=float)
    sign = 1.0 if n % 2 else -1.0
    value = sign * _polygamma_positive(xp, xp.where(x <= 0, 1.0, x), n)
    value = pairs.redo(xp, x < 0, value, lambda xp, x: _polygamma_negative(xp, x, n), x)
    pole = xp.inf if n % 2 else xp.copysign(xp.inf, -x)
    value = xp.where(x == 0, pole, value)
    return xp.where(x == -xp.inf, xp.nan, value)
