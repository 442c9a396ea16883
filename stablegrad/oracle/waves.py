"""Forms of what oscillates far out: ``z**p * F * (A + B*sin(a*z) + C*cos(a*z))``.

A term is walked with waves, sums of germs times sines and cosines of multiples of z, so A, B and C
are found by symbols and proved as germs are. ``1 - cos(z)`` is ``2*sin(z/2)**2``: where A is C
or -C half the angle leaves a factor F = sin or cos, and zeros that two terms share are no
cancellation.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import arb

from stablegrad.ir import Term
from stablegrad.oracle.derived import Derived
from stablegrad.oracle.ends import PRECISIONS, polynomial, power_roundings, relative_bound
from stablegrad.oracle.formats import Format
from stablegrad.oracle.germs import Germ
from stablegrad.oracle.laurent import Laurent
from stablegrad.oracle.outer import exact_value
from stablegrad.oracle.pieces import Fit
from stablegrad.oracle.precision import precision
from stablegrad.oracle.scales import HIGHEST, ONE, Key, relative
from stablegrad.oracle.walk import ImpreciseError, NoExpansionError, walk

CALM = 4.0
"""The greatest sum of sizes over size of the sum where a form declines nothing."""
SHARE = 0.5
"""The least share of the sizes of its terms that a sum may be, elsewhere: below it is declined."""
LEAST = 2.0**-64
"""Less than |sin| and |cos| of any float64 but 0: the nearest to a zero is 2**-60.9 off."""
LOWEST = -32
"""The least octave: the sine of a smaller angle may be less than LEAST."""
HALF = 0.5
"""The mantissa of a power of two."""
SINE, COSINE, CONSTANT = "sin", "cos", ""


class Wave(Derived):
    """A sum of ``c * cos(a*z) + s * sin(a*z)``, c and s germs in 1/z, by the frequencies a."""

    __slots__ = ("parts", "zero")

    def __init__(self, parts: dict[Fraction, tuple[Germ, Germ]], zero: Germ) -> None:
        self.parts = {a: p for a, p in parts.items() if p[0].parts or p[1].parts}
        self.zero = zero

    @staticmethod
    def variable(side: int, w0: Any) -> Wave:
        """side * z, for z >= 1/w0."""
        x = Germ.variable(arb(0), side, w0, -1)
        return Wave({}, Germ({}, x.w0, x.q)).still(x)

    def still(self, x: Germ) -> Wave:
        """A germ as a wave."""
        return Wave({Fraction(0): (x, self.zero)}, self.zero)

    def work(self) -> float:
        """What a step with such costs, about."""
        return self.zero.work()

    def constant(self, value: Any) -> Wave:
        return self.still(self.zero.constant(value))

    def of_ball(self, value: Any) -> Wave:
        return self.still(self.zero.of_ball(value))

    def germ(self) -> Germ:
        """What this is if nothing of it oscillates."""
        if any(self.parts.keys() - {0}):
            raise NoExpansionError("a function of what oscillates")
        return self.parts[Fraction(0)][0] if self.parts else self.zero

    def decided(self) -> bool:
        return self.germ().decided()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = None if name.startswith("_") else getattr(Germ, name, None)
        if function is None:
            raise AttributeError(name, name=name, obj=self)

        def applied(*args: Any) -> Any:
            plain = [a.germ() if isinstance(a, Wave) else a for a in args]
            try:
                found = function(self.germ(), *plain)
            except AttributeError as error:
                raise NoExpansionError(f"{name}: {error}") from None
            return self.still(found) if isinstance(found, Germ) else found

        return applied

    def _lift(self, other: Any) -> Wave:
        return other if isinstance(other, Wave) else self.constant(other)

    # -- arithmetic -----------------------------------------------------------------------

    def __add__(self, other: Any) -> Wave:
        parts = dict(self.parts)
        for a, (c, s) in self._lift(other).parts.items():
            parts[a] = (parts[a][0] + c, parts[a][1] + s) if a in parts else (c, s)
        return Wave(parts, self.zero)

    __radd__ = __add__

    def __neg__(self) -> Wave:
        return self * -1

    def __sub__(self, other: Any) -> Wave:
        return self + (-self._lift(other))

    def __rsub__(self, other: Any) -> Wave:
        return self._lift(other) - self

    def __mul__(self, other: Any) -> Wave:
        if not isinstance(other, Wave):
            scaled = {a: (c * other, s * other) for a, (c, s) in self.parts.items()}
            return Wave(scaled, self.zero)
        half = Fraction(1, 2)
        total = Wave({}, self.zero)
        for a, (c, s) in self.parts.items():
            for b, (d, t) in other.parts.items():
                cc, ss, sc, cs = c * d, s * t, s * d, c * t
                total = total + Wave({a + b: ((cc - ss) * half, (sc + cs) * half)}, self.zero)
                across = (sc - cs) * (half if a > b else -half)
                beside = {abs(a - b): ((cc + ss) * half, across if a != b else self.zero)}
                total = total + Wave(beside, self.zero)
        return total

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Wave:
        if isinstance(other, Wave):
            return self * other.power(-1)
        return self * (1 / Fraction(other))

    def __rtruediv__(self, other: Any) -> Wave:
        return self._lift(other) * self.power(-1)

    def __pow__(self, other: Any) -> Wave:
        return self.power(other)

    def power(self, p: Any) -> Wave:
        if not isinstance(p, Wave) and Fraction(p).denominator == 1 and 0 <= p <= 16:
            out = self.constant(1)
            for _ in range(int(p)):
                out = out * self
            return out
        return self.still(self.germ().power(p.germ() if isinstance(p, Wave) else p))

    def sin(self) -> Wave:
        return self._turned()[1]

    def cos(self) -> Wave:
        return self._turned()[0]

    def _turned(self) -> tuple[Wave, Wave]:
        """cos and sin of a*z + r for an exact a and an r that stays finite."""
        germ = self.germ()
        x = germ.parts.get(ONE)
        if x is None or x.v >= 0:
            return self.still(germ.cos()), self.still(germ.sin())
        a = exact_value(x.c[0])
        if x.v != -1 or a is None:
            raise NoExpansionError("an angle that is no exact multiple")
        parts = {**germ.parts, ONE: Laurent(0, x.c[1:], x.w0)}
        r = Germ(parts, germ.w0, germ.q)
        c, s = (r.cos(), r.sin()) if r.parts else (germ.constant(1), self.zero)
        side = -1 if a < 0 else 1
        cosine = {abs(a): (c, s * -side)}
        return Wave(cosine, self.zero), Wave({abs(a): (s, c * side)}, self.zero)

    # -- order: of what does not oscillate ------------------------------------------------------

    def _compared(self, other: Any, by: Callable[[Any, Any], Any]) -> Any:
        return by(self.germ(), other.germ() if isinstance(other, Wave) else other)

    def __lt__(self, other: Any) -> Any:
        return self._compared(other, operator.lt)

    def __gt__(self, other: Any) -> Any:
        return self._compared(other, operator.gt)

    def __le__(self, other: Any) -> Any:
        return self._compared(other, operator.le)

    def __ge__(self, other: Any) -> Any:
        return self._compared(other, operator.ge)

    def __eq__(self, other: object) -> Any:
        return self._compared(other, operator.eq)

    def __ne__(self, other: object) -> Any:
        return self._compared(other, operator.ne)

    __hash__ = None  # type: ignore[assignment]

    def __abs__(self) -> Wave:
        return self.still(abs(self.germ()))

    abs = __abs__


@dataclass(frozen=True, slots=True)
class WaveEnd:
    """A form on z >= 2**reach.

    Attributes:
        reach: the binary logarithm of the smallest z.
        power: p; t = 2**reach / z lies in (0, 1].
        octave: a = 2**octave, so that the angle is exact.
        factor: F: "sin", "cos" or "" for 1, of the same angle.
        terms: what each polynomial in t is multiplied with, and its coefficients, the first in two.
        share: what a sum has to be of the sizes of its terms, else there is no value; 0 where it
            always is enough.
        error: a proved bound of the relative error of the form as real numbers.
        evaluation: that of evaluating it, sin and cos within an ulp.
    """

    reach: int
    power: Fraction
    octave: int
    factor: str
    terms: tuple[tuple[str, tuple[float, ...]], ...]
    share: float
    error: float
    evaluation: float
    format: Format
    q: int = -1

    @property
    def ulp(self) -> float:
        """The proved bound in ulp of the result: half an ulp for the last rounding."""
        return (self.error + self.evaluation) / self.format.unit - 0.5


def wave_end(term: Term, variable: Term, *, side: int, reach: int, form: Format) -> WaveEnd | None:
    """The form of a function of side*z on z >= 2**reach, or None.

    Args:
        term: a scalar term of one variable.
        variable: that variable.
        side: 1 or -1.
        reach: the binary logarithm of the smallest z.
        form: what the polynomials are evaluated in.
    """
    for bits in PRECISIONS[:2]:
        with precision(bits):
            try:
                return _form(
                    walk(term, variable, Wave.variable(side, arb(2) ** -reach)), reach, form
                )
            except ImpreciseError:
                continue
            except NoExpansionError:
                return None
    return None


def _arranged(wave: Wave) -> tuple[Fraction, str, dict[str, Germ]]:
    """The frequency, the factor, and A, B and C by what they are multiplied with."""
    zero = wave.zero
    beside = [a for a in wave.parts if a]
    if len(beside) != 1:
        raise NoExpansionError("no frequency, or several")
    a = beside[0]
    still = wave.parts.get(Fraction(0), (zero, zero))[0]
    cosine, sine = wave.parts[a]
    factor, terms = CONSTANT, {CONSTANT: still, SINE: sine, COSINE: cosine}
    # half the angle: A + B sin + C cos = (A - C) s**2 + 2 B s c + (A + C) c**2
    above, below = still + cosine, still - cosine
    if still.parts and not above.parts:
        a, factor, terms = a / 2, SINE, {SINE: below, COSINE: sine * 2}
    elif still.parts and not below.parts:
        a, factor, terms = a / 2, COSINE, {COSINE: above, SINE: sine * 2}
    elif a > 1 and not still.parts and not cosine.parts:
        a, factor, terms = a / 2, SINE, {COSINE: sine * 2}
    return a, factor, {name: g for name, g in terms.items() if g.parts}


def _form(wave: Wave, reach: int, form: Format) -> WaveEnd:
    a, factor, germs = _arranged(wave)
    octave = a.numerator.bit_length() - a.denominator.bit_length()
    # more than z overflows where z does not
    if a != Fraction(2) ** octave or not LOWEST <= octave <= 0:
        raise NoExpansionError("an angle that is not exact")
    flat: dict[str, tuple[Key, Laurent]] = {}
    unseen: list[tuple[Germ, Key, Laurent]] = []
    for name, germ in germs.items():
        for key, x in germ.parts.items():
            if key[1] or any(key[0][:HIGHEST]) or name in flat:
                unseen.append((germ, key, x))
            elif x.leads:
                flat[name] = key, x
            else:
                raise ImpreciseError("the leading coefficient may be zero")
    if not flat:
        raise NoExpansionError("all of it is exponentially small")
    key = next(iter(flat.values()))[0]
    if any(k != key for k, _ in flat.values()):
        raise NoExpansionError("powers of z that differ by no whole number")
    found = {name: x for name, (_, x) in flat.items()}
    v = min(x.v for x in found.values())
    main = CONSTANT if CONSTANT in found and found[CONSTANT].v == v else None
    leads = main if main is not None else next(n for n, x in found.items() if x.v == v)
    lead = found[leads]
    weights = _weights(found, v)
    share = 0.0 if weights else SHARE
    least = (1.0 if leads == CONSTANT else LEAST) / sum((weights or {"": 1 / SHARE}).values())
    error = sum(
        relative_bound(g, (relative(k[0], key[0]), k[1]), x, lead) / least for g, k, x in unseen
    )
    if not error < form.tolerance / 4:
        raise NoExpansionError("another scale is still seen")
    power = -(v - key[0][HIGHEST])
    if power.denominator > 3:
        raise NoExpansionError("a power of z that is no half and no third")
    terms, truncated, rounded = _terms(found, v, reach, weights, form)
    rounded += (3 * form.unit if factor else 0.0) + power_roundings(power) * form.unit
    rounded *= 1 + 2.0**-20
    return WaveEnd(reach, power, octave, factor, terms, share, error + truncated, rounded, form)


def _weights(found: dict[str, Laurent], v: int) -> dict[str, float] | None:
    """The sizes of the terms over that of their sum at most; None where these are great."""
    if len(found) == 1:
        return dict.fromkeys(found, 1.0)
    sizes = {n: abs(x.unit_range()) * x.w0 ** (x.v - v) for n, x in found.items()}
    x = found.get(CONSTANT)
    if x is None or x.v != v:
        return None
    least = sizes[CONSTANT].lower()
    rest = sum([s.upper() for n, s in sizes.items() if n], arb(0))
    if not least > rest:
        return None
    sizes[CONSTANT] = least  # a greater one is a greater part of the sum, but it cancels less
    weights = {n: float((s.upper() / (least - rest)).upper()) for n, s in sizes.items()}
    return weights if sum(weights.values()) <= CALM else None


def _terms(
    found: dict[str, Laurent],
    v: int,
    reach: int,
    weights: dict[str, float] | None,
    form: Format,
) -> tuple[tuple[tuple[str, tuple[float, ...]], ...], float, float]:
    """The terms, and bounds of the relative error of their sum: of the form, of its rounding."""
    terms: list[tuple[str, tuple[float, ...]]] = []
    truncated: dict[str, float] = {}
    rounded: dict[str, float] = {}
    # the constant one last: what is added then rounds in the size of the result
    for name in sorted(found, key=(SINE, COSINE, CONSTANT).index):
        x = found[name]
        fit = polynomial(x, form, even=False)
        coefficients, roundings = _delayed(fit, x.v - v, reach, form)
        terms.append((name, coefficients))
        truncated[name] = fit.error
        hi, *rest = fit.coefficients
        exact = not any(rest)
        if name:  # its own, and that of the product
            roundings += 2 if exact and abs(math.frexp(hi)[0]) == HALF else 3
        rounded[name] = (0.0 if exact else fit.evaluation) + roundings * form.unit
    sizes = 1 / SHARE if weights is None else sum(weights.values())
    sums = len(found) - 1
    additions = (max(sums - 1, 0) * sizes + (sums > 0)) * form.unit
    return tuple(terms), _together(truncated, weights), _together(rounded, weights) + additions


def _together(errors: dict[str, float], weights: dict[str, float] | None) -> float:
    """The error of a sum from those of its terms."""
    if weights is not None:
        return sum(e * weights[name] for name, e in errors.items())
    # the terms of one sign are at most (1/SHARE + 1)/2 times the sum, the others 1 less
    first, second, *_ = *sorted(errors.values(), reverse=True), 0.0
    return first * (1 / SHARE + 1) / 2 + second * (1 / SHARE - 1) / 2


def _delayed(fit: Fit, k: int, reach: int, form: Format) -> tuple[tuple[float, ...], int]:
    """The coefficients of (t / 2**reach)**k times a polynomial, and the roundings that it adds."""
    if not k:
        return fit.coefficients, 0
    hi, low, *rest = fit.coefficients
    scaled = [c * 2.0 ** (-k * reach) for c in (hi, *rest)]
    if k + len(rest) > form.degree + 2 or not min([abs(c) for c in scaled if c]) > 2.0**-500:
        raise NoExpansionError("terms that begin too far apart")
    # t rounds, its products do, and the first coefficient in one float
    return (0.0, 0.0, *[0.0] * (k - 1), *scaled), 2 * k + (1 if low else 0)
