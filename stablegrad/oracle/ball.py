"""The ball: an enclosed real number, or a truncated power series of them.

A ``Ball`` knows a real value, or the Taylor coefficients along one direction, as midpoint
and radius (python-flint's arb). A float is an exact ball. Beyond the reals it carries
what IEEE arithmetic carries: exact infinities, the sign of an exact zero, and nan for what is
undefined. It adds one state of its own: *unknown*, for what this precision cannot tell
(the logarithm of a ball around zero). Unknown is contagious, and never rounds to a float, so
the caller raises the precision and tries again; undefined is proved, and rounds to nan.

At the points where IEEE arithmetic has a value and the reals have none (log(0) = -inf,
1/0 = inf by the sign of the zero, atan2(0, -0) = pi), values follow IEEE and NumPy.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from flint import arb

from stablegrad.oracle import series
from stablegrad.oracle.constants import as_arb
from stablegrad.oracle.elementary import Elementary
from stablegrad.oracle.incomplete import Incomplete
from stablegrad.oracle.integrals import Integrals
from stablegrad.oracle.series import INF, NAN, ONE, ZERO, Arb, Series
from stablegrad.oracle.special import Special

NEGATIVE_ZERO = 1
HARD_ZERO = 2
"""A zero that annihilates whatever it multiplies: a false mask."""
LITERAL = 4
"""A constant of the program, not a value that happens not to move."""
NOT_KNOWN = 8


class UndecidedError(Exception):
    """A question (a < b) that this precision cannot answer: raise it and ask again."""


@lru_cache(maxsize=1024)
def _whole(value: int, flags: int) -> Ball:
    """The constants of formulas, which are met at every point again."""
    return Ball((arb(value),), flags)


class Ball(Elementary, Special, Incomplete, Integrals):
    """A real number, or a power series of real numbers, with certain error bounds."""

    __slots__ = ("c", "flags")

    c: Series
    flags: int
    # as NumPy's own scalars have them: kernels on arrays of balls may meet one alone
    shape = ()
    ndim = 0
    dtype = np.dtype(object)

    def __init__(self, coefficients: Series, flags: int = 0) -> None:
        self.c = coefficients
        self.flags = flags

    # -- making -------------------------------------------------------------------------

    @staticmethod
    def exact(value: Any, flags: int = 0) -> Ball:
        """The exact ball of a number: a float, an int, a Fraction, or a NumPy scalar."""
        if type(value) is int:
            return _whole(value, flags)
        if type(value) is not float and isinstance(value, Fraction):
            return Ball((as_arb(value),), flags)
        if type(value) is not float and isinstance(value, int):
            return Ball((arb(value),), flags)
        number = float(value)
        if number == 0 and str(number)[0] == "-":
            flags |= NEGATIVE_ZERO
        return Ball((arb(number) if number == number else NAN,), flags)

    @staticmethod
    def new(coefficients: Series, flags: int = 0) -> Ball:
        return Ball(coefficients, flags)

    @property
    def known(self) -> bool:
        return not self.flags & NOT_KNOWN

    @property
    def is_nan(self) -> bool:
        """Whether the value is proved to be undefined."""
        return self.known and self.c[0].is_nan()

    @property
    def negative_zero(self) -> bool:
        return bool(self.flags & NEGATIVE_ZERO)

    def coefficient(self, k: int) -> Ball:
        """The Taylor coefficient k, as a plain ball."""
        if not self.known or k == 0:
            return Ball(self.c[:1], self.flags & (NEGATIVE_ZERO | NOT_KNOWN))
        if self.c[0].is_nan():  # where there is no value there is no derivative
            return Ball((NAN,))
        if k >= len(self.c):
            literal = self.flags & LITERAL or self.c[0].is_finite()
            return Ball((ZERO,)) if literal else Ball((NAN,))
        return Ball((self.c[k],))

    def constant(self) -> Ball:
        """The value alone: what ``stop_gradient`` leaves."""
        return Ball(self.c[:1], self.flags) if len(self.c) > 1 else self

    def __repr__(self) -> str:
        return f"Ball({', '.join(map(str, self.c)) if self.known else 'unknown'})"

    # -- deciding -----------------------------------------------------------------------

    def settle(self, out: Series, *others: Ball, flags: int = 0) -> Ball:
        """The ball of coefficients just computed from self and others, if they say anything.

        A coefficient that is finite stands. An exact infinity stands. A nan stands if it is
        certain (nan came in, or exact infinities met); else arb lost it, and all is unknown.
        """
        for c in out:
            if not c.is_finite():
                break
        else:
            return Ball(out, flags)
        operands = (self, *others)
        for b in operands:
            if b.flags & NOT_KNOWN:
                return UNKNOWN
        came = [c for b in operands for c in b.c]
        for c in out:
            if c.is_finite():
                continue
            if not c.is_nan():
                if not c.rad().is_finite():
                    return UNKNOWN
            elif not any(a.is_nan() for a in came) and (
                all(a.is_finite() for a in came)
                or any(not a.is_exact() and a.contains(ZERO) for a in came)
            ):
                return UNKNOWN
        return Ball(tuple([_plain_infinity(c) for c in out]), flags)

    def sign_of_zero(self) -> int:
        """+1 or -1: the sign of the value, where a zero has one; 0 where unknown."""
        c = self.c[0]
        if c.is_zero():
            return -1 if self.flags & NEGATIVE_ZERO else 1
        return 1 if c > ZERO else -1 if c < ZERO else 0

    def undefined(self) -> Ball:
        """Nan in the shape of self."""
        return Ball((NAN,) * len(self.c)) if self.known else UNKNOWN

    # -- arithmetic ---------------------------------------------------------------------

    def __neg__(self) -> Ball:
        flags = self.flags
        c = self.c
        if c[0].is_zero() and not flags & HARD_ZERO:
            flags ^= NEGATIVE_ZERO
        return Ball(tuple([-x for x in c]), flags)

    def __pos__(self) -> Ball:
        return self

    def __add__(self, other: Any) -> Ball:
        if type(other) is not Ball:
            if isinstance(other, np.ndarray):
                return NotImplemented
            other = Ball.exact(other, LITERAL)
        a, b = self.c, other.c
        if len(a) == 1 == len(b):
            value = a[0] + b[0]
            if value.is_finite() and not self.flags & other.flags:
                return Ball((value,))
            out: Series = (value,)
        else:
            out = series.add(a, b)
        return self.settle(out, other, flags=self.flags & other.flags & NEGATIVE_ZERO)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Ball:
        if type(other) is not Ball:
            if isinstance(other, np.ndarray):
                return NotImplemented
            other = Ball.exact(other, LITERAL)
        a, b = self.c, other.c
        out = (a[0] - b[0],) if len(a) == 1 == len(b) else series.subtract(a, b)
        if self.flags & NEGATIVE_ZERO and b[0].is_zero() and not other.flags & NEGATIVE_ZERO:
            return self.settle(out, other, flags=NEGATIVE_ZERO)
        return self.settle(out, other)

    def __rsub__(self, other: Any) -> Ball:
        return Ball.exact(other, LITERAL) - self

    def __mul__(self, other: Any) -> Ball:
        if type(other) is not Ball:
            if isinstance(other, np.ndarray):
                return NotImplemented
            other = Ball.exact(other, LITERAL)
        if (self.flags | other.flags) & HARD_ZERO:
            return HARD
        a, b = self.c, other.c
        if len(a) == 1 == len(b):
            value = a[0] * b[0]
            if value.is_finite() and not value.is_zero():
                return Ball((value,))
            out: Series = (value,)
        else:
            out = series.multiply(a, b)
        if out[0].is_zero():
            sign = self.sign_of_zero() * other.sign_of_zero()
            # a factor 0 that does not move is 0 also times an infinite slope
            if (len(a) == 1 and a[0].is_zero()) or (len(b) == 1 and b[0].is_zero()):
                out = out[:1]
            return self.settle(out, other, flags=NEGATIVE_ZERO if sign < 0 else 0)
        return self.settle(out, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Ball:
        if type(other) is not Ball:
            if isinstance(other, np.ndarray):
                return NotImplemented
            other = Ball.exact(other, LITERAL)
        if self.flags & HARD_ZERO:
            return HARD
        a, b = self.c, other.c
        if b[0].is_zero():
            return self._divide_by_zero(other)
        out = (a[0] / b[0],) if len(a) == 1 == len(b) else series.divide(a, b)
        if out[0].is_zero():
            sign = self.sign_of_zero() * other.sign_of_zero()
            if len(a) == 1 and a[0].is_zero():  # 0 over a number is 0, as times one
                out = out[:1]
            return self.settle(out, other, flags=NEGATIVE_ZERO if sign < 0 else 0)
        if out[0].is_nan() and b[0].contains(ZERO) and not b[0].is_nan():
            return UNKNOWN
        return self.settle(out, other)

    def __rtruediv__(self, other: Any) -> Ball:
        return Ball.exact(other, LITERAL) / self

    def _divide_by_zero(self, other: Ball) -> Ball:
        """a / 0: an infinity by the sign of the zero; 0/0 strips common zeros of the series.

        A stripped quotient has lost its last coefficients: they are marked undefined.
        """
        a, b = self.c, other.c
        length = max(len(a), len(b))
        if not self.known or a[0].is_nan():
            return self if len(self.c) == length else self._pad(self.c, length)
        if not a[0].is_zero():
            sign = self.sign_of_zero() * (-1 if other.flags & NEGATIVE_ZERO else 1)
            if not sign:
                return UNKNOWN
            return Ball((INF if sign > 0 else -INF, *([NAN] * (length - 1))))
        if length == 1 or len(b) == 1:
            return Ball((NAN,) * length)
        skip = series.leading(b)
        if skip is None:
            return Ball((NAN,) * length)
        if len(a) == 1:
            a = a + (ZERO,) * (length - 1)
        if any(not c.is_zero() for c in a[:skip]):
            if all(c.is_zero() or not c.contains(ZERO) for c in a[:skip]):
                return Ball((NAN,) * length)  # a pole met along the direction
            return UNKNOWN
        out = series.divide(a[skip:], b[skip:])
        for c in out:
            if not c.is_finite():
                return UNKNOWN
        return self._pad(out, length)

    def _pad(self, out: Series, length: int) -> Ball:
        return Ball((*out, *([NAN] * (length - len(out)))), self.flags & NOT_KNOWN)

    def __pow__(self, other: Any) -> Ball:
        return self.power(other if type(other) is Ball else Ball.exact(other, LITERAL))

    def __rpow__(self, other: Any) -> Ball:
        return Ball.exact(other, LITERAL).power(self)

    def __abs__(self) -> Ball:
        return self.abs()

    # -- order --------------------------------------------------------------------------

    def compare(self, other: Any) -> int | None:
        """-1, 0 or 1 as self is less, equal or greater; None where a side is nan."""
        if type(other) is not Ball:
            other = Ball.exact(other)
        if self.flags & NOT_KNOWN or other.flags & NOT_KNOWN:
            raise UndecidedError
        a, b = self.c[0], other.c[0]
        if a < b:
            return -1
        if a > b:
            return 1
        if a.is_nan() or b.is_nan():
            return None
        if a == b or self is other:
            return 0
        raise UndecidedError

    def decided(self) -> bool:
        """Whether the sign is known."""
        return self.known and bool(self.c[0] > 0 or self.c[0] < 0)

    def __lt__(self, other: Any) -> bool:
        return self.compare(other) == -1

    def __le__(self, other: Any) -> bool:
        return self.compare(other) in (-1, 0)

    def __gt__(self, other: Any) -> bool:
        return self.compare(other) == 1

    def __ge__(self, other: Any) -> bool:
        return self.compare(other) in (1, 0)

    def __eq__(self, other: object) -> bool:
        return self.compare(other) == 0

    def __ne__(self, other: object) -> bool:
        return self.compare(other) != 0

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return self != ZERO_BALL

    # -- what the mixins need -----------------------------------------------------------

    def chain(self, first: Arb | None, slope: Any, *, flags: int = 0) -> Ball:
        """f(self) from f's value at the constant term and f' as a function of balls.

        ``first`` None says that the value is unknown. ``slope`` is applied to self cut by
        one coefficient, and only if self moves.
        """
        if first is None:
            return UNKNOWN
        if len(self.c) == 1:
            return Ball((first,), flags)
        if first.is_nan():
            return self.undefined()
        derivative = slope(Ball(self.c[:-1], self.flags))
        if not derivative.known:
            return UNKNOWN
        length = len(self.c) - 1
        d = derivative.c
        if len(d) < length:
            d = (*d, *([ZERO] * (length - len(d))))
        out = series.integrate(first, d, self.c)
        return self.settle(out, derivative, flags=flags)

    def at(self, function: series.Unary, low: Arb = NAN, high: Arb = NAN) -> Arb | None:
        """f at the constant term, with its limits at -inf and inf; None where unknown."""
        c = self.c[0]
        if c.is_finite():
            value = function(c)
            return value if value.is_finite() else None
        if self.flags & NOT_KNOWN:
            return None
        if c.is_nan():
            return NAN
        return low if c < ZERO else high


def _plain_infinity(c: Arb) -> Arb:
    """An infinity without a radius, which adding an inexact number leaves."""
    if c.is_finite() or c.is_nan():
        return c
    return INF if c > ZERO else -INF


UNKNOWN = Ball((NAN,), NOT_KNOWN)
HARD = Ball((ZERO,), HARD_ZERO)
ZERO_BALL = Ball((ZERO,))
ONE_BALL = Ball((ONE,))
