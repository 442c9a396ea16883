"""The pieces of one binade, each as wide as can be proved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from stablegrad.oracle.pieces import Fit, Middle

ATTEMPTS = (
    *[(k, False) for k in (2, 3, 4)],
    *[(k, True) for k in (2, 3, 4, 5, 6, 7, 8)],
)
"""How a binade is tried: pieces of 2**-k of it, with exponential factors or without."""
COARSEST, FINEST = 2, 8
PLAIN_ENOUGH = 4
"""The finest pieces for which an exponential factor is not tried."""
FAILURES = 8
"""Pieces that may fail, of the smallest, before more than half of them must not."""
PATIENCE = 4
"""Pieces of one width before a wider one is tried; twice as many after each that fails."""
NEAR_ENOUGH = 5


class Piece(NamedTuple):
    """The j-th of 2**k equal parts of a binade, whether it is wanted, and what was made of it."""

    k: int
    j: int
    wanted: bool
    fit: Fit | None


@dataclass(slots=True)
class Binade:
    """The binade 2**e, cut from left to right.

    Attributes:
        e: its exponent.
        pieces: what it is cut into.
        first: the place in ``ATTEMPTS`` of the widest pieces that were made.
    """

    e: int
    pieces: list[Piece]
    first: int

    @property
    def k(self) -> int:
        """2**k rows hold the finest piece."""
        return max(p.k for p in self.pieces)

    def ends(self, p: Piece) -> tuple[float, float]:
        return ends(self.e, p.k, p.j)

    def missing(self) -> list[tuple[float, float]]:
        """The intervals without a piece that want one."""
        return [self.ends(p) for p in self.pieces if p.wanted and p.fit is None]


def ends(e: int, k: int, j: int) -> tuple[float, float]:
    """The interval of a piece."""
    start = 2.0**e
    return start * (1 + j / 2**k), start * (1 + (j + 1) / 2**k)


class Cutter:
    """Makes the pieces of a binade; what was made once is not made again.

    Args:
        middle: makes pieces.
        side: the sign of the input.
        e: the exponent of the binade.
        spent: whether nothing more may be made.
    """

    def __init__(self, middle: Middle, side: int, e: int, spent: Callable[[], bool]) -> None:
        self.middle = middle
        self.side = side
        self.e = e
        self.spent = spent
        self.made: dict[tuple[int, int, bool], Fit | None] = {}

    def _fit(self, k: int, j: int, steep: bool) -> Fit | None:
        key = k, j, steep
        if key not in self.made and not self.spent():
            lo, hi = ends(self.e, k, j)
            half = Fraction(hi - lo) / 2
            self.made[key] = self.middle.piece(Fraction(lo) + half, half, self.side, steep=steep)
        return self.made.get(key)

    def cut(self, wants: Callable[[float, float], bool], first: int) -> Binade | None:
        """The binade in pieces, or None where too many fail."""
        k, steep = ATTEMPTS[first]
        out: list[Piece] = []
        best = len(ATTEMPTS) - 1
        j = failed = calm = 0
        patience = PATIENCE
        wider = False
        while j < 2**k:
            wanted = wants(*ends(self.e, k, j))
            fit = self._fit(k, j, steep) if wanted else None
            if wanted and fit is None and self.middle.unknown:
                return None
            if wanted and fit is None and not (steep and k == FINEST):
                if self.middle.far is not None and k >= NEAR_ENOUGH:
                    self.middle.far = None  # its own formula may say more
                    self.made.clear()
                    return self.cut(wants, first)
                patience, wider, calm = patience * (2 if wider else 1), False, 0
                if steep or k < PLAIN_ENOUGH:
                    k, j = k + 1, 2 * j
                else:
                    steep = True
                    while k > COARSEST and j % 2 == 0:
                        k, j = k - 1, j // 2
                continue
            wider = False
            out.append(Piece(k, j, wanted, fit))
            j += 1
            if wanted and fit is None:
                failed, calm = failed + 1, 0
                if failed > max(FAILURES, len(out) - failed):
                    return None
                continue
            if fit is not None:
                best = min(best, ATTEMPTS.index((k, steep)))
            calm += 1
            if calm >= patience and k > COARSEST and j % 2 == 0 and j < 2**k:
                k, j, calm, wider = k - 1, j // 2, 0, True
        return Binade(self.e, out, best)
