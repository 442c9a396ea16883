"""Errors of arrays against their truth: in ulp, in bits lost, and in words.

The words are the project's: *right* within 64 ulp of the truth, *wrong* where nan, infinite,
zero (and the truth is not) or off by more than 1e-3, *lossy* between. An ulp of a subnormal truth
is the smallest subnormal; a zero counts as wrong only if it is more than 4 ulp off.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import ml_dtypes
import numpy as np

from stablegrad.oracle.errors import RIGHT_ULP, SHARP_ULP, WRONG_RELATIVE
from stablegrad.oracle.rounding import ulp_exponents

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Counts:
    """What is wrong with how many elements.

    Attributes:
        elements: elements judged; those whose truth is undefined are left out.
        nan: nan where the truth is not.
        inf: infinite where the truth is not.
        zeroed: zero where the truth is not.
        off: finite, but off by more than 1e-3.
        lossy: off by more than 64 ulp, but by less than 1e-3.
        bits_lost: log2 of the worst error in ulp, at most the bits of the significand.
    """

    elements: int = 0
    nan: int = 0
    inf: int = 0
    zeroed: int = 0
    off: int = 0
    lossy: int = 0
    bits_lost: float = 0.0

    @property
    def wrong(self) -> int:
        """Elements that are nan, infinite, zeroed or off."""
        return self.nan + self.inf + self.zeroed + self.off

    @property
    def bad(self) -> int:
        """Elements that are wrong or lossy."""
        return self.wrong + self.lossy

    def __add__(self, other: Counts) -> Counts:
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        sums["bits_lost"] = max(self.bits_lost, other.bits_lost)
        return Counts(**sums)

    def at(self, elements: int) -> Counts:
        """The same counts, of another number of elements."""
        return replace(self, elements=elements)

    def to_json(self) -> dict[str, Any]:
        """The counts by name, with ``wrong``."""
        found: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        return {**found, "wrong": self.wrong, "bits_lost": round(self.bits_lost, 1)}


def precision_of(dtype: np.dtype[Any]) -> int:
    """Bits of the significand, the hidden one included."""
    return ml_dtypes.finfo(dtype).nmant + 1


NOTHING = Counts()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Masks over the elements of one array, from which counts are made."""

    judged: Array
    nan: Array
    inf: Array
    zeroed: Array
    off: Array
    lossy: Array
    bits: Array

    @property
    def bad(self) -> Array:
        """Where an element is wrong or lossy."""
        return self.nan | self.inf | self.zeroed | self.off | self.lossy

    def counts(self, where: Array | None = None) -> Counts:
        """Numbers of elements, of those in ``where`` if it is given."""
        kept = self.judged if where is None else self.judged & where
        count = {
            name: int(np.count_nonzero(getattr(self, name) & kept))
            for name in ("nan", "inf", "zeroed", "off", "lossy")
        }
        bits = float(np.max(self.bits, initial=0.0, where=kept))
        return Counts(elements=int(np.count_nonzero(self.judged)), bits_lost=bits, **count)


def judge(
    got: Array, truth: Array, *, judged: Array | None = None, scale: Array | None = None
) -> Verdict:
    """Compare an array with its correctly rounded truth.

    Args:
        got: what was computed.
        truth: the correctly rounded truth, in the same dtype; nan where undefined.
        judged: elements to judge, all with a defined truth unless given.
        scale: what errors of sums are relative to, the sum of the absolute terms; the truth
            itself unless given.
    """
    dtype = got.dtype
    g, t = np.asarray(got, np.float64), np.asarray(truth, np.float64)
    g, t = np.broadcast_arrays(g, t)
    keep = ~np.isnan(t) if judged is None else judged & ~np.isnan(t)
    reach = np.abs(t) if scale is None else np.fmax(np.abs(t), np.asarray(scale, np.float64))
    with np.errstate(all="ignore"):
        same = (g == t) | ~keep
        error = np.where(same, 0.0, np.abs(g - t))
        relative = np.where(same, 0.0, error / np.where(reach == 0, np.inf, reach))
        err_ulp = np.where(same, 0.0, np.ldexp(error, -ulp_exponents(reach, dtype)))
        nan = keep & np.isnan(g)
        inf = keep & np.isinf(g) & ~same & ~np.isinf(t)
        rest = keep & ~same & ~nan & ~inf
        zeroed = rest & (g == 0) & (err_ulp > SHARP_ULP)
        rest &= ~zeroed & ~(err_ulp <= RIGHT_ULP)
        off = rest & (~(relative <= WRONG_RELATIVE) | (reach == 0))
        lossy = rest & ~off
        whole = precision_of(dtype)
        bits = np.log2(np.fmax(np.nan_to_num(err_ulp, nan=1.0, posinf=2.0**whole), 1.0))
        bits = np.where(nan | inf | zeroed, whole, np.minimum(bits, whole))
    return Verdict(keep, nan, inf, zeroed, off, lossy, np.where(keep, bits, 0.0))
