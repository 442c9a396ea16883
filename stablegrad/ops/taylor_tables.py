"""Taylor polynomials about equidistant points: kernels for a function and all its derivatives.

A family gives the power series of its function about any point, in decimal arithmetic; the
tables are made here on first use. A series strips a removable singularity exactly, so that such
points need no code of their own. Elements next to a zero of a derivative, where the polynomial
cancels, are redone in pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cache
from typing import Any

import numpy as np

from stablegrad.ops import pairs

Series = list[Decimal]
"""The Taylor coefficients of a function about a point, the constant first."""

DIGITS = 90
_ZERO = Decimal(10) ** (20 - DIGITS)
_EXACT_BITS = 100  # what an element that is redone is good to


# -- power series --------------------------------------------------------------------------


def multiply(a: Series, b: Series) -> Series:
    """The product of two series of one length."""
    return [sum((a[j] * b[k - j] for j in range(1, k + 1)), a[0] * b[k]) for k in range(len(a))]


def divide(a: Series, b: Series) -> Series:
    """The quotient; zeros that both begin with are stripped, and shorten it."""
    while not b[0]:
        assert not a[0], "a pole"
        a, b = a[1:], b[1:]
    out: Series = []
    for k in range(min(len(a), len(b))):
        out.append((a[k] - sum((b[j] * out[k - j] for j in range(1, k + 1)), Decimal(0))) / b[0])
    return out


def over_x(a: Series, c: Decimal) -> Series:
    """The series about c divided by that of x."""
    if not c:
        assert not a[0], "a pole"
        return a[1:]
    out = [a[0] / c]
    for k in range(1, len(a)):
        out.append((a[k] - out[-1]) / c)
    return out


def log(a: Series) -> Series:
    """The logarithm of a series with a positive constant."""
    out = [a[0].ln()]
    for k in range(1, len(a)):
        rest = sum((j * out[j] * a[k - j] for j in range(1, k)), Decimal(0)) / k
        out.append((a[k] - rest) / a[0])
    return out


def moving(c: Decimal, terms: int) -> Series:
    """The series of x itself about c."""
    return [c, Decimal(1), *([Decimal(0)] * (terms - 2))]


def exp(c: Decimal, terms: int, rate: int = 1) -> Series:
    """Of the exponential of ``rate`` times x, about c."""
    out = [(rate * c).exp()]
    for k in range(1, terms):
        out.append(out[-1] * rate / k)
    return out


def exp_of(a: Series) -> Series:
    """The exponential of a series."""
    out = [a[0].exp()]
    for k in range(1, len(a)):
        out.append(sum((j * a[j] * out[k - j] for j in range(1, k + 1)), Decimal(0)) / k)
    return out


def sine_cosine(c: Decimal, terms: int) -> tuple[Series, Series]:
    """The series of sin and cos about c, by their power series at c."""
    parts = [Decimal(0), Decimal(0)]
    term, k = Decimal(1), 0
    while k < 4 or abs(term) > Decimal(10) ** -(DIGITS + 5):
        parts[k % 2] += term if k % 4 < 2 else -term
        k += 1
        term = term * c / k
    cosine, sine = parts
    waves = (sine, cosine, -sine, -cosine)
    return tuple(  # type: ignore[return-value]
        [[waves[(k + shift) % 4] / math.factorial(k) for k in range(terms)] for shift in (0, 1)]
    )


def hyperbolic(c: Decimal, terms: int) -> tuple[Series, Series]:
    """The series of sinh and cosh about c."""
    up, down = exp(c, terms), exp(c, terms, -1)
    return (
        [(a - b) / 2 for a, b in zip(up, down, strict=True)],
        [(a + b) / 2 for a, b in zip(up, down, strict=True)],
    )


def polynomial(x: Any, coefficients: tuple[float, ...]) -> Any:
    """A polynomial in floats, the highest power first."""
    total = coefficients[0] + 0.0 * x
    for c in coefficients[1:]:
        total = total * x + c
    return total


# -- tables --------------------------------------------------------------------------------


class Table:
    """A function between two ends, and its derivatives, from its series about any point."""

    def __init__(
        self,
        series: Callable[[Decimal, int], Series],
        ends: Callable[[int], tuple[int, int]],
        per_unit: int,
    ) -> None:
        """Nothing is computed yet.

        Args:
            series: ``series(c, terms)``, the Taylor coefficients about c; a few may be missing.
            ends: ``ends(n)``, between which whole numbers the n-th derivative is wanted.
            per_unit: how many points there are in an interval of length 1.
        """
        self.series = series
        self.ends = ends
        self.per_unit = per_unit
        self.coefficients = cache(self._coefficients)
        self.rows = cache(self._rows)

    def _coefficients(self, n: int, terms: int) -> list[Series]:
        """The derivative's coefficients about each point."""
        low, high = self.ends(n)
        out = []
        with localcontext() as context:
            context.prec = DIGITS
            for i in range(low * self.per_unit, high * self.per_unit + 1):
                full = self.series(Decimal(i) / self.per_unit, terms + n + 2)
                if i == 0:  # of an odd or an even function: its zeros are exact
                    full = [a if abs(a) > _ZERO else Decimal(0) for a in full]
                out.append([full[k + n] * math.perm(k + n, n) for k in range(terms)])
        return out

    def _terms(self, n: int, bits: int) -> int:
        """How many terms leave less than 2**-bits of the largest."""
        reach = Decimal(1) / (2 * self.per_unit)
        needed, tried = 0, 14 + bits // 6 + n
        for c in self.coefficients(n, tried):
            sizes = [abs(a) * reach**k for k, a in enumerate(c)]
            least = max(sizes) / 2**bits
            needed = max(needed, *[k + 1 for k, s in enumerate(sizes) if s > least])
        assert needed < tried, "a series that converges too slowly for its table"
        return needed

    def _rows(self, n: int, bits: int) -> tuple[Any, Any]:
        """Coefficients as floats and their errors, highest first, one row for each power."""
        terms = self._terms(n, bits)
        table = [c[:terms][::-1] for c in self.coefficients(n, 14 + bits // 6 + n)]
        hi = np.array([[float(a) for a in row] for row in table])
        with localcontext() as context:
            context.prec = DIGITS
            lo = np.array(
                [
                    [float(a - Decimal(near)) for a, near in zip(row, nears, strict=True)]
                    for row, nears in zip(table, hi.tolist(), strict=True)
                ]
            )
        return np.ascontiguousarray(hi.T), np.ascontiguousarray(lo.T)

    def __call__(self, xp: Any, x: Any, n: int = 0) -> Any:
        """The n-th derivative between the ends; beyond them, numbers without meaning."""
        low, high = self.ends(n)
        hi, lo = self.rows(n, 57)
        at = xp.rint(xp.clip(x, low, high) * self.per_unit)
        # nan gives any row at all
        row = xp.clip(at, low * self.per_unit, high * self.per_unit)
        row = xp.where(row == row, row, 0.0).astype(xp.int64) - low * self.per_unit
        t = x - at / self.per_unit
        total = xp.asarray(hi[0])[row] if len(hi) > 1 else 0.0 * t
        for c in hi[1:-1]:
            total = total * t + xp.asarray(c)[row]
        tail = total * t if len(hi) > 1 else total
        value = xp.asarray(hi[-1])[row] + (xp.asarray(lo[-1])[row] + tail)

        def again(xp: Any, row: Any, t: Any) -> Any:
            zero = 0.0 * t
            table = [(xp.asarray(a)[row], xp.asarray(b)[row]) for a, b in self._exact(n)]
            out = pairs.horner((t, zero), table)
            return out[0] + out[1]

        # a zero at a point of the table is none of the tail's business: it is its value
        return pairs.redo(xp, xp.abs(tail) > 1.01 * xp.abs(value), value, again, row, t)

    def _exact(self, n: int) -> list[tuple[Any, Any]]:
        return list(zip(*self.rows(n, _EXACT_BITS), strict=True))
