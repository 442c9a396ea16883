"""Proved forms next to a singular point and out to infinity, for kernels to evaluate.

``exp(r(z)) * (z**p * A(t) + z**p' * log(z) * B(t))`` with t = w/w0, z = w**q: what a ``Germ`` has
left once every scale that is too small to see is in the bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import arb

from stablegrad.ir import Term
from stablegrad.oracle.constants import as_arb
from stablegrad.oracle.formats import FLOAT64, Format
from stablegrad.oracle.germs import Germ
from stablegrad.oracle.laurent import Laurent
from stablegrad.oracle.pieces import EXPONENTIAL, Fit, economized, finish
from stablegrad.oracle.precision import precision
from stablegrad.oracle.scales import FLAT, HIGHEST, Key, relative
from stablegrad.oracle.walk import ImpreciseError, NoExpansionError, walk

Arb = Any
PRECISIONS = (256, 1024, 2800, 8000)
KNOWN = frozenset({"ndtr"})
CUBIC = 3
SHARE = 0.3
"""The greatest share of the smaller of two terms of a form: more would be cancellation."""


@dataclass(frozen=True, slots=True)
class End:
    """A form on 0 < z <= 2**reach (q > 0), or on z >= 2**reach (q < 0).

    Attributes:
        q: z = w**q; t = w/w0 lies in (0, 1].
        reach: the binary logarithm of the greatest (smallest) z.
        rate: exponents of z and their coefficients, of the exponential factor.
        even: the polynomials are in t*t.
        power: p of the main term; ``fit`` its polynomial, None where there is none.
        log_power, log_fit: the same of the term with log(z).
        error: a proved bound of the relative error of the form as real numbers.
        evaluation: that of evaluating it, exp and log within an ulp.
    """

    q: int
    reach: int
    rate: tuple[tuple[Fraction, Fraction], ...]
    even: bool
    power: Fraction
    fit: Fit | None
    log_power: Fraction
    log_fit: Fit | None
    error: float
    evaluation: float
    format: Format

    @property
    def ulp(self) -> float:
        """The proved bound in ulp of the result: half an ulp for the last rounding."""
        return (self.error + self.evaluation) / self.format.unit - 0.5


def end(
    term: Term,
    variable: Term,
    *,
    center: Any,
    side: int,
    q: int,
    reach: int,
    form: Format = FLOAT64,
    zero: bool = False,
) -> End | None:
    """The form of a function of center + side*z next to the point, or None.

    Args:
        term: a scalar term of one variable.
        variable: that variable.
        center: the point, a rational or a ball; any for q < 0.
        side: 1 or -1.
        q: the series is in w with z = w**q.
        reach: the binary logarithm of the greatest z (for q < 0, of the smallest).
        form: what the polynomials are evaluated in.
        zero: the point is a zero of the function, exactly: what is left there is rounding.
    """
    for bits in PRECISIONS:
        with precision(bits):
            w0 = arb(2) ** Fraction(reach, q).numerator
            at = center if isinstance(center, arb) else as_arb(0 if q < 0 else center)
            try:
                germ = walk(term, variable, Germ.variable(at, side, w0, q), known=KNOWN)
                if zero:
                    germ = _without_value(germ)
                return _form(germ, reach, form)
            except ImpreciseError:
                continue
            except NoExpansionError:
                return None
    return None


def _without_value(germ: Germ) -> Germ:
    """The germ at an exact zero of the function, whose ball is only known by its digits."""
    parts = dict(germ.parts)
    x = parts.get((FLAT, 0))
    if x is None or x.v != 0 or not x.c[0].contains(0):
        return germ
    parts[(FLAT, 0)] = Laurent(0, [arb(0), *x.c[1:]], x.w0)
    return Germ(parts, germ.w0, germ.q)


def _form(germ: Germ, reach: int, form: Format) -> End:
    unit, tolerance = form.unit, form.tolerance
    germ, unseen = _cleaned(germ)
    key, lead = germ.dominant()
    rate, leads = key
    if leads > 1:
        raise NoExpansionError("a power of a logarithm")
    if not lead.leads:
        raise ImpreciseError("the leading coefficient may be zero")
    error = 0.0
    other: Laurent | None = None
    for (r, k), x in germ.parts.items():
        if (r, k) == key:
            continue
        between: Key = (relative(r, rate), k - leads)
        if r == rate and k == 1 - leads and not all(c.contains(0) for c in x.c):
            other = x
        else:
            error += relative_bound(germ, between, x, lead)
    if not error < tolerance / 4:
        raise NoExpansionError("another scale is still seen")
    even = all(_is_even(x) for x in (lead, other) if x is not None)
    fit = polynomial(lead, form, even)
    # asked for last: more bits are dear, and for nothing where w0 is too great
    hidden = sum(_at_worst(germ, form, k, v, c, key, lead) for k, v, c in unseen)
    if not hidden < tolerance / 16:
        raise ImpreciseError("what cancels is not known well")
    error += hidden
    total, evaluation = fit.error + error, fit.evaluation + (3 * unit if leads else 0.0)
    evaluation += power_roundings((lead.v - rate[HIGHEST]) / germ.q) * unit
    second: Fit | None = None
    if other is not None:
        second = polynomial(other, form, even)
        growth = 1.0
        if not _same_sign(germ, lead, other):
            between = (FLAT, 1 - 2 * leads)
            share = relative_bound(germ, between, other, lead)
            if not share < SHARE:
                raise NoExpansionError("two terms cancel")
            growth = (1 + share) / (1 - share)
        total = error + max(fit.error, second.error) * growth
        roundings = max(power_roundings((x.v - rate[HIGHEST]) / germ.q) for x in (lead, other))
        evaluation = max(fit.evaluation, second.evaluation) + (4 + roundings) * unit
        evaluation *= growth
    exponents = tuple(
        [(Fraction(HIGHEST - i, -germ.q), c) for i, c in enumerate(rate[:HIGHEST]) if c]
    )
    if any(e.denominator > 2 for e, _ in exponents):
        raise NoExpansionError("an exponential factor of another kind")
    evaluation += EXPONENTIAL * unit if exponents else 0.0
    main, log = (other, lead) if leads else (lead, other)
    fits = (second, fit) if leads else (fit, second)
    powers = [(x.v - rate[HIGHEST]) / germ.q if x is not None else Fraction(0) for x in (main, log)]
    if any(p.denominator > 3 for p in powers):
        raise NoExpansionError("a power of z that is no half and no third")
    evaluation += unit / 2 if even else 0.0  # t*t rounds, and growth is at most a half
    return End(
        germ.q,
        reach,
        exponents,
        even,
        powers[0],
        fits[0],
        powers[1],
        fits[1],
        total,
        evaluation,
        form,
    )


def _cleaned(germ: Germ) -> tuple[Germ, list[tuple[Key, int, Arb]]]:
    """The germ without leading coefficients that are zero but for rounding; and these."""
    parts: dict[Key, Laurent] = {}
    unseen: list[tuple[Key, int, Arb]] = []
    for key, x in germ.parts.items():
        k = 0
        while k < len(x.c) - 1 and x.c[k].contains(0):
            if not x.c[k].is_zero():
                unseen.append((key, x.v + k, abs(x.c[k]).upper()))
            k += 1
        parts[key] = Laurent(x.v + k, x.c[k:], x.w0)
    return Germ(parts, germ.w0, germ.q), unseen


def _at_worst(
    germ: Germ, form: Format, key: Key, v: int, c: Arb, best: Key, lead: Laurent
) -> float:
    """A bound of |c * w**v| on the scale ``key`` relative to the leading term, over all floats."""
    values = lead.unit_range()
    if values.contains(0):
        raise NoExpansionError("the leading term may vanish")
    if key[0][:HIGHEST] != best[0][:HIGHEST]:
        between: Key = (relative(key[0], best[0]), max(key[1] - best[1], 0))
        found = germ.scale_bound(between, v - lead.v) * c / abs(values).lower()
        if key[1] < best[1] or not found.is_finite():
            raise ImpreciseError("what cancels is not known well")
        return float(found.upper())
    power = v - lead.v - key[0][HIGHEST] + best[0][HIGHEST]
    smallest = arb(2) ** (form.smallest / abs(germ.q))
    worst = (smallest if power < 0 else germ.w0) ** as_arb(power)
    logs = arb(2) ** 10 if key[1] > best[1] else arb(1)  # |log z| of a float is less
    if key[1] < best[1] and not abs(germ.q * germ.w0.log()) > arb(2) ** -4:
        raise NoExpansionError("the logarithm may vanish")
    logs = logs * 16 if key[1] < best[1] else logs
    return float((c * worst * logs / abs(values).lower()).upper())


def _same_sign(germ: Germ, lead: Laurent, other: Laurent) -> bool:
    """Whether a term with log(z) and one without never differ in sign."""
    logs = 1 if germ.q < 0 else -1
    ranges = lead.unit_range(), other.unit_range()
    if any(r.contains(0) for r in ranges) or not germ.w0 <= 1:
        return False
    return ((ranges[0] > 0) == (ranges[1] > 0)) == (logs > 0)


def relative_bound(germ: Germ, between: Key, x: Laurent, lead: Laurent) -> float:
    """A bound of |x * exp(r) * log(z)**k / lead| on (0, w0]."""
    values = lead.unit_range()
    if values.contains(0):
        raise NoExpansionError("the leading term may vanish")
    rate, k = between
    if k < 0:  # 1/|log z| falls towards w = 0
        smallest = abs(germ.q * germ.w0.log())
        if not smallest > 0 or not germ.w0 < 1:
            raise NoExpansionError("no bound")
        scale = germ.scale_bound((rate, 0), x.v - lead.v) * smallest**k
    else:
        scale = germ.scale_bound(between, x.v - lead.v)
    found = scale * abs(x.unit_range()).upper() / abs(values).lower()
    if not found.is_finite():
        raise NoExpansionError("no bound")
    return float(found.upper()) * (1 + 2.0**-40)


def power_roundings(p: Fraction) -> int:
    """Roundings of multiplying by z**p: a multiplication each, and each root that it takes."""
    whole, roots = divmod(abs(p.numerator), p.denominator)
    return whole + (2 * roots + (p.denominator == CUBIC) if roots else 0)


def _is_even(x: Laurent) -> bool:
    return len(x.c) > 3 and all(c.is_zero() for c in x.c[1:-1:2])


def polynomial(x: Laurent, form: Format, even: bool) -> Fit:
    """The polynomial in t = w/w0, or in its square, of an expansion over its leading power."""
    if len(x.c) < 2:
        raise NoExpansionError("nothing is known but a bound")
    scale = arb(1)
    b = []
    for c in x.c:
        b.append(c * scale)
        scale = scale * x.w0
    tail = abs(b.pop()).upper()
    if even:
        b = b[::2]
    first = b[0]
    if first.contains(0) or first.rel_accuracy_bits() < 100:
        raise ImpreciseError("the leading coefficient is not known well")
    found = economized(b, tail, abs(first) * (form.tolerance / 4), form.degree)
    if found is None:
        raise NoExpansionError("w0 is too great")
    fit = finish(*found, form.tolerance / 2, form, greatest=form.moderate)
    if fit is None:
        raise NoExpansionError("w0 is too great")
    return fit
