"""From an expression of one variable to a table: anchors, ends, middle pieces, all proved.

A table covers every float of the domain that it can prove; what it cannot prove stays a gap, in
which the naive form is kept. Nothing is sampled: where the grid of the survey misses a zero, the
pieces around it fail their proof.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from stablegrad.errors import StablegradError
from stablegrad.ir import topological
from stablegrad.oracle.formats import FLOAT64
from stablegrad.synthesis.binade import Cutter
from stablegrad.synthesis.halves import joined, merged, padded
from stablegrad.synthesis.layout import UNCOVERED
from stablegrad.synthesis.parity import ODD, parity
from stablegrad.synthesis.recipe import Recipe, X
from stablegrad.synthesis.rows import Rows
from stablegrad.synthesis.survey import Anchor, Survey, holes, survey, zeros
from stablegrad.synthesis.table import Kind, Side, Table, Zone

if TYPE_CHECKING:
    from stablegrad.oracle.ends import End
    from stablegrad.oracle.waves import WaveEnd

BOTTOMS = {1: (-1, -3, -5, -8, -14, -24, -40), 2: (-2, -4, -8, -16, -30), 3: (-6, -12, -30)}
TOPS = {-1: (2, 3, 4, 5, 6, 7, 9, 12), -2: (4, 6, 8, 12), -3: (6, 9, 12)}
ZONES = (-2, -3, -4, -5, -6, -9)
"""Binary logarithms of the width of a zone over the distance to 0 and to other such points."""
FAR = 12
"""Where no form at infinity is found, pieces end at 2**FAR."""
PIECES = 2000
WORK = 90_000
"""Steps of walks on one side after which what is left is declined: some seconds at most."""
FOR_ZONES = 0.25
"""The share of a side's work after which zones have to wait for the pieces nearer to 0."""
BESIDE = 4 / 3
"""How far an anchor may be from the binade that its zone reaches into, as a ratio."""
BEYOND = 5
"""Binades beyond those that are surveyed in which a form that oscillates may begin."""
AFAR = 3
PLAIN = frozenset(
    """
    variable const affine monomial exp log sqrt cbrt sin cos tan arctan sinh cosh tanh add subtract
    multiply divide negative abs require where expm1 log1p sigmoid square
    """.split()
)
"""Ops whose boxes cost and lose little."""


class DeclinedError(StablegradError, ValueError):
    """Nothing can be made of an expression; the text says why."""


@dataclass(slots=True)
class _Zones:
    """What is seen on one side, and the intervals of |x| that zones cover."""

    seen: Survey
    covered: list[tuple[float, float]] = field(default_factory=list)

    def wants(self, lo: float, hi: float) -> bool:
        """Whether an interval is in the domain and needs a piece."""
        inside = any(a <= lo and hi <= b for a, b in self.covered)
        return not inside and self.seen.defined(lo, hi)


class Builder:
    """Makes the table of one recipe.

    Args:
        recipe: what is tabulated.
        sign: 1 or -1 for the inputs of one sign alone, 0 for all. What a side becomes depends on
            nothing that is made for the other.
        halves: the tables of positive and of negative inputs, where they are there.
    """

    def __init__(self, recipe: Recipe, sign: int = 0, halves: Sequence[Any] = (None, None)) -> None:
        from stablegrad.oracle.pieces import Middle  # flint is slow to import
        from stablegrad.oracle.walk import spent

        self.start = time.thread_time()
        self.before = spent()
        self.recipe = recipe
        self.sign = sign
        self.halves = halves
        self.f = recipe.expression
        self.format = form = recipe.format
        self.middle = Middle(self.f, X, form)
        self.dear = any(t.op.name not in PLAIN for t in topological([self.f]))
        self.rows = Rows(form)
        self.zones: list[Zone] = []
        self.gaps: list[tuple[float, float]] = []

    def build(self) -> Table:
        """The table; of one sign it may be without pieces.

        Raises:
            DeclinedError: the function is undefined everywhere, constant, or nothing of it could
                be proved.
        """
        if self.sign:
            return self._half()
        kind = parity(self.f, X)
        if kind:
            right = self._side(1)
            table = self._table((right, self._mirrored(right, kind)))
        else:
            made = zip((1, -1), self.halves, strict=True)
            table = joined(*[h or Builder(self.recipe, s).build() for s, h in made])
        if not table.pieces:
            raise DeclinedError("nothing could be proved of it")
        return table

    def _half(self) -> Table:
        fraction = self.format.fraction
        nothing = Side(0, 0, (UNCOVERED, UNCOVERED), (fraction, fraction))
        made = self._side(self.sign)
        return self._table((made, nothing) if self.sign > 0 else (nothing, made))

    def _table(self, sides: tuple[Side, Side]) -> Table:
        rows = self.rows
        dtype = self.format.dtype
        return Table(
            padded(rows.coefficients, dtype),
            np.array(rows.center, dtype),
            np.array(rows.scale, dtype),
            np.array(rows.slope, dtype),
            np.array(rows.kind, np.int8),
            tuple(rows.kinds),
            sides,
            tuple(self.zones),
            self._points(),
            rows.pieces,
            rows.bound,
            tuple(merged(self.gaps)),
            time.thread_time() - self.start,
            self.format,
        )

    # -- one sign of the input --------------------------------------------------------------

    def _side(self, s: int) -> Side:
        from stablegrad.oracle.waves import WaveEnd

        fraction = self.format.fraction
        bottom = self._first(BOTTOMS, s)
        top: End | WaveEnd | None = self._first(TOPS, s)
        if top is None:
            top = self._waves((0, *TOPS[-1]), s, calm=True)
        low = bottom.reach if bottom else BOTTOMS[1][-1]
        high = max(low, top.reach if top else FAR)
        seen = survey(self.f, s, low, high, below=bottom is not None, above=top is not None)
        if not bottom and not top and seen.empty:
            return Side(0, 0, (UNCOVERED, UNCOVERED), (fraction, fraction))
        # where it oscillates there are neither pieces nor a form beyond
        bottom, low = (bottom, low) if seen.low == low else (None, seen.low)
        top, high = (top, high) if seen.high == high else (None, seen.high)
        if top is None:
            top = self._waves(range(max(high, 2), high + BEYOND), s)
            high = max(high, top.reach) if top else high
        zones = _Zones(seen)
        waiting = self._make_zones(zones, s)
        base, shift = [self.rows.end(bottom) if bottom else UNCOVERED], [fraction]
        if not bottom:
            self._gap(s, zones, 0.0, 2.0**low)
        first, gaps = 0, len(self.gaps)
        for e in range(low, high):
            while waiting and abs(waiting[0].x) <= BESIDE * 2.0 ** (e + 1):
                self._make_zone(waiting.popleft(), zones, s)
            self._look_from_afar(s, e, top)
            first, k, row = self._binade(s, e, zones, first)
            base.append(row)
            shift.append(fraction - k)
            if top is None and len(self.gaps) > gaps + 8:
                high = e + 1  # a function that is hard here is harder farther out
                break
        if top is None:
            base.append(UNCOVERED)
            self._gap(s, zones, 2.0**high, math.inf)
        elif isinstance(top, WaveEnd):
            base.append(self.rows.waves(top))
            if top.share:  # next to its zeros
                self._gap(s, zones, 2.0**high, math.inf)
        else:
            base.append(self.rows.end(top))
        shift.append(fraction)
        return Side(low, high, tuple(base), tuple(shift))

    def _mirrored(self, right: Side, kind: int) -> Side:
        """The left side of an even or odd function, whose right side is made."""
        # a row knows the one zone that it is of
        by = self.rows.again(kind) if self.zones or kind == ODD else 0

        def row(r: int) -> int:
            return r + by if r else UNCOVERED

        self.zones += [Zone(-z.hi, -z.lo, z.width, row(z.below), row(z.above)) for z in self.zones]
        self.gaps += [(-hi, -lo) for lo, hi in self.gaps]
        return Side(right.low, right.high, tuple(map(row, right.base)), right.shift)

    def _end(self, center: Any, side: int, q: int, reach: int, *, zero: bool = False) -> End | None:
        from stablegrad.oracle.ends import end

        if self._spent():
            return None
        return end(
            self.f,
            X,
            center=center,
            side=side,
            q=q,
            reach=reach,
            form=self.format,
            zero=zero,
        )

    def _first(self, reaches: dict[int, tuple[int, ...]], s: int) -> End | None:
        """The form that reaches farthest from 0, or from infinity."""
        for q, tries in reaches.items():
            for reach in tries:
                found = self._end(0, s, q, reach)
                if found is not None:
                    return found
        return None

    def _waves(self, reaches: Sequence[int], s: int, *, calm: bool = False) -> WaveEnd | None:
        """The form of what oscillates that reaches farthest from infinity.

        ``calm``: one that covers all floats, those next to its zeros too.
        """
        *nearer, last = reaches
        farthest = self._wave(last, s, calm)
        if farthest is None:  # what has no form there has none
            return None
        for reach in nearer:
            found = self._wave(reach, s, calm)
            # pieces are sharper where two terms are of one size
            if found is not None and (reach > 1 or len(found.terms) == 1):
                return found
        return farthest

    def _wave(self, reach: int, s: int, calm: bool) -> WaveEnd | None:
        from stablegrad.oracle.waves import wave_end

        # not every platform knows the sine of a great float32
        if self._spent() or self.format is not FLOAT64:
            return None
        found = wave_end(self.f, X, side=s, reach=reach, form=self.format)
        return None if found is None or (calm and found.share) else found

    def _make_zones(self, zones: _Zones, s: int) -> deque[Anchor]:
        """Make zones while their share of the work lasts; return the anchors left, inner first.

        What oscillates has zeros enough to leave none for what is between them.
        """
        until = self._work() + FOR_ZONES * (WORK - self._work())
        waiting = deque(zones.seen.anchors)
        while waiting and self._work() < until:
            self._make_zone(waiting.popleft(), zones, s)
        return deque(sorted(waiting, key=lambda a: abs(a.x)))

    def _make_zone(self, a: Anchor, zones: _Zones, s: int) -> bool:
        """A proved neighbourhood of an anchor, if there is one."""
        from stablegrad.oracle.points import UNDEFINED, sign

        others = [abs(a.x - b.x) for b in zones.seen.anchors if b.x != a.x]
        room = math.frexp(min([abs(a.x), *others]))[1] - 1
        where = self._point(a)
        if where is None:
            return False
        exact = where[1] == 0
        center = Fraction(a.x) if a.zero is None else a.zero.ball
        # about a zero that a step of Newton encloses the function is analytic
        roots = (1, 2, 3) if a.zero is None or a.zero.lo == 0 else (1,)
        for reach in ZONES:
            width = room + reach
            found: dict[int, End] = {}
            wanted = [
                d for d in (1, -1) if sign(self.f, X, a.x + d * 2.0 ** (width - 1)) < UNDEFINED
            ]
            for d in wanted:
                for q in roots:
                    form = self._end(center, d, q, width - width % q, zero=a.zero is not None)
                    if form is not None and (exact or not form.rate):
                        found[d] = form
                        break
                if d not in found:
                    break
            if wanted and len(found) == len(wanted):
                self._zone(a, where, found, zones)
                return True
        return False

    def _point(self, a: Anchor) -> tuple[float, float] | None:
        """An anchor in two floats; None where they do not hold an end of the domain."""
        lo = 0.0 if a.zero is None else a.zero.lo
        hi = self.format.rounded(a.x)
        rest = (a.x - hi) + lo
        known = self.format.rounded(rest)
        return (hi, known) if a.zero is not None or known == rest else None

    def _zone(
        self, a: Anchor, where: tuple[float, float], found: dict[int, End], zones: _Zones
    ) -> None:
        width = 2.0 ** min(e.reach for e in found.values())
        # two roundings of z count as often as z does in the result
        extra = 2.0 * max(abs(float(e.power)) + 0.5 for e in found.values())
        exact = where[1] == 0
        rows = {d: self.rows.end(e, 0.0 if exact else extra) for d, e in found.items()}
        self.zones.append(Zone(*where, width, rows.get(1, UNCOVERED), rows.get(-1, UNCOVERED)))
        zones.covered.append((abs(a.x) - width, abs(a.x) + width))

    # -- middle ---------------------------------------------------------------------------------

    def _binade(self, s: int, e: int, zones: _Zones, first: int) -> tuple[int, int, int]:
        """(where the next one may begin to try, k, first row) of the 2**k rows of one binade."""
        cutter = Cutter(self.middle, s, e, self._spent)
        made = cutter.cut(zones.wants, first)
        missing = made.missing() if made else [(2.0**e, 2.0 ** (e + 1))]
        if missing and not self.middle.unknown and not self._spent():
            # zeros, and points left out, that the survey did not see
            found = [
                a
                for lo, hi in merged(missing)
                for a in (*zeros(self.f, s, lo, hi), *holes(self.f, s, lo, hi))
                if all(a.x != b.x for b in zones.seen.anchors)
            ]
            zones.seen.anchors += found
            made_zones = [self._make_zone(a, zones, s) for a in found]
            if any(made_zones):
                made = cutter.cut(zones.wants, first) or made
        if made is None or not any(p.fit for p in made.pieces):
            self._gap(s, zones, 2.0**e, 2.0 ** (e + 1))
            return 0, 0, UNCOVERED
        row = len(self.rows.kind)
        for p in made.pieces:
            lo, hi = made.ends(p)
            times = 2 ** (made.k - p.k)
            if p.fit is None:
                self.rows.skip(times)
                self._gap(s, zones, lo, hi)
            else:
                kind = Kind(steep=bool(p.fit.slope), lift=p.fit.lift)
                center, scale = lo + (hi - lo) / 2, 2 / (hi - lo)
                self.rows.add(p.fit, center, scale, kind, p.fit.ulp, times)
        return max(0, made.first - 1), made.k, row

    def _look_from_afar(self, s: int, e: int, top: End | WaveEnd | None) -> None:
        """Let the germ at infinity stand for a function that special functions make dear."""
        from stablegrad.oracle.far import Far

        self.middle.far = None
        if top is not None and e >= AFAR and self.dear and not self._spent():
            self.middle.far = Far.of(self.f, X, s, top.q, e - e % top.q)

    def _spent(self) -> bool:
        return self._work() >= WORK or self.rows.pieces >= PIECES

    def _work(self) -> float:
        from stablegrad.oracle.walk import spent

        return spent() - self.before

    def _gap(self, s: int, zones: _Zones, lo: float, hi: float) -> None:
        if zones.wants(lo, hi):
            self.gaps.append((lo, hi) if s > 0 else (-hi, -lo))

    def _points(self) -> tuple[tuple[float, float], ...]:
        """Values at the points that pieces cannot have: 0, infinities, ends of the domain."""
        from stablegrad.oracle import Status, truth

        signs = (self.sign,) if self.sign else (1, -1)
        ends = [math.copysign(v, s) for v in (0.0, math.inf) for s in signs]
        wanted = [*ends, *[z.hi for z in self.zones if z.lo == 0]]
        found = truth(self.f, {X: np.array(wanted)}, self.format.dtype, budget=1600)
        out = []
        for x, y, status in zip(wanted, found.value, found.status, strict=True):
            if status <= Status.LIMIT:
                out.append((x, float(y)))
        return tuple(out)
