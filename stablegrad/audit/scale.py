"""Audits of programs too large for the oracle: screened in chunks, in several processes.

The elements are screened (``screen``); those that it cannot judge, and a random sample of those
that it clears, are decided by the oracle; and a few of every kind of failure are looked at
operation by operation, for the lines to blame.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from stablegrad.audit.chunks import Source
from stablegrad.audit.examine import Examination
from stablegrad.audit.findings import Audit
from stablegrad.audit.measure import Counts, judge
from stablegrad.audit.progress import Stages
from stablegrad.audit.screen import RIGHT, UNSURE, Screen, codes

Array = np.ndarray[Any, Any]

LOOKED_AT = 3000
"""Rows that are examined operation by operation."""
PER_KIND = 40
"""Of every chunk, rows that fail in the same way and are kept."""
UNDECIDED = 50_000
"""Rows that screening cannot judge and the oracle is asked for."""
AT_ONCE = 5_000
"""Rows that the oracle is asked for at a time, so that its memory stays bounded."""
CONTROL = 300
"""Rows that screening clears and the oracle is asked for all the same."""
LEAST = 8
"""Chunks from which on several processes are worth their start."""


# -- chunks -----------------------------------------------------------------------------------


@dataclass
class Tally:
    """What screening has found, of all chunks so far.

    Attributes:
        before, after: for each result, how many elements are what, by their codes.
        small: of those before, how many two ulp in the inputs explain.
        bits: for each result, most bits lost: before, before without those, after.
        kinds: rows by the way in which they fail.
        unsure: rows that are for the oracle.
    """

    before: dict[str, Array] = field(default_factory=dict)
    after: dict[str, Array] = field(default_factory=dict)
    small: dict[str, Array] = field(default_factory=dict)
    bits: dict[str, Array] = field(default_factory=dict)
    kinds: dict[int, list[Array]] = field(default_factory=dict)
    unsure: list[Array] = field(default_factory=list)
    seen: int = 0

    def add(self, other: Tally) -> None:
        """Take what another has found."""
        for mine, theirs in (
            (self.before, other.before),
            (self.after, other.after),
            (self.small, other.small),
        ):
            for name, counts in theirs.items():
                mine[name] = mine.get(name, np.zeros_like(counts)) + counts
        for name, bits in other.bits.items():
            self.bits[name] = np.fmax(self.bits.get(name, bits), bits)
        for kind, rows in other.kinds.items():
            self.kinds.setdefault(kind, []).extend(rows)
        self.unsure += other.unsure
        self.seen += other.seen


class Screening:
    """Chunk after chunk of a source."""

    def __init__(self, source: Source, order: int) -> None:
        self.source = source
        self.order = order
        self.screen: Screen | None = None

    def bounds(self) -> list[tuple[int, int, int]]:
        """Of each chunk its first row, the first that no other has judged, and its end."""
        size, step = self.source.size, min(self.source.chunk, self.source.size)
        starts = [min(lo, size - step) for lo in range(0, size, step)]
        return [(lo, new, lo + step) for lo, new in zip(starts, range(0, size, step), strict=True)]

    def chunk(self, bounds: tuple[int, int, int]) -> Tally:
        """Screen one chunk."""
        lo, new, hi = bounds
        traced = self.source.trace_of(np.arange(lo, hi))
        if self.screen is None or self.screen.structure is not traced.result:
            self.screen = Screen(traced, self.order)
        tally = Tally(seen=hi - new)
        rows = hi - new
        whole = [
            (name, s.part(slice(new - lo, None)))
            for name, s in zip(self.screen.names, self.screen(traced.values), strict=True)
            if self.source.is_whole(name)
        ]
        unsure = np.zeros(rows, bool)
        for _, s in whole:
            open_ones = (s.before == UNSURE) | (s.after == UNSURE)
            unsure |= open_ones.reshape(rows, -1).any(axis=1)
        kind = np.zeros(rows, np.int64)
        for name, s in whole:
            for codes_of in (s.before, s.after):
                codes_of[unsure] = UNSURE  # the oracle decides all results of a row
            fine = ~unsure
            tally.before[name] = np.bincount(s.before.ravel(), minlength=UNSURE + 1)
            tally.after[name] = np.bincount(s.after.ravel(), minlength=UNSURE + 1)
            tally.small[name] = np.bincount(s.before[s.small].ravel(), minlength=UNSURE + 1)
            bits = (s.bits_before, np.where(s.small, 0.0, s.bits_before), s.bits_after)
            tally.bits[name] = np.array([float(v[fine].max(initial=0.0)) for v in bits])
            kind = kind * (UNSURE + 1) + s.before.reshape(rows, -1).max(axis=1)
        tally.unsure = [new + np.flatnonzero(unsure)]
        for k in np.unique(kind):
            found = np.flatnonzero((kind == k) & ~unsure)
            some = np.linspace(0, len(found) - 1, min(len(found), PER_KIND)).astype(int)
            tally.kinds[int(k)] = [new + found[some]]
        return tally

    def tallies(self, processes: int) -> Iterator[Tally]:
        """All chunks, in order."""
        bounds = self.bounds()
        many = min(processes, len(bounds))
        forked = many > 1 and len(bounds) >= LEAST and "jax" not in sys.modules
        if not forked or "fork" not in multiprocessing.get_all_start_methods():
            yield from map(self.chunk, bounds)
            return
        _work[:] = [self]
        self.screen = Screen(
            self.source.trace_of(np.arange(bounds[0][0], bounds[0][2])), self.order
        )
        pool = multiprocessing.get_context("fork").Pool(many, initializer=_quiet)
        try:
            yield from pool.imap(_chunk, bounds)
        finally:
            pool.terminate()
            pool.join()
            _work.clear()


_work: list[Screening] = []
"""What the processes of a pool work on: they are copies of this one."""


def _quiet() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the process that waits


def _chunk(bounds: tuple[int, int, int]) -> Tally:
    return _work[0].chunk(bounds)


# -- the audit --------------------------------------------------------------------------------


def audit_large(
    source: Source, order: int, result: Audit, stages: Stages, processes: int | None = None
) -> None:
    """Audit a large program: screen everything, decide what is unsure, examine a few."""
    screening = Screening(source, order)
    tally, what = Tally(), source.rows
    count = len(screening.bounds())
    stages.next(f"screening {source.size} {what}", steps=count)
    try:
        for part in screening.tallies(processes or os.cpu_count() or 1):
            tally.add(part)
            stages.step()
    except KeyboardInterrupt:
        if not tally.seen:
            raise
        result.complete = False
        result.notes.append(f"interrupted after {tally.seen} of {source.size} {what}")
    generator = np.random.default_rng(0)
    unsure = np.concatenate([*tally.unsure, np.zeros(0, int)])
    asked = _some(unsure, UNDECIDED, generator)
    stages.next("what screening leaves to the oracle", steps=-(-len(asked) // AT_ONCE) or 1)
    clear = np.unique(np.concatenate([*tally.kinds.get(0, []), np.zeros(0, int)]))
    control = _some(clear, CONTROL, generator)
    decided, answered = _decide(source, order, asked, stages)
    if answered < len(asked):
        result.complete = False
        result.notes.append(f"interrupted after the oracle had answered for {answered} {what}")
        asked = asked[:answered]
    missed, _ = _decide(source, order, control)
    rows = _chosen(tally, asked, control)
    traced = source.trace_of(rows)
    Examination(traced, order, result, stages).all()
    result.notes += traced.notes
    _totals(result, source, order, tally, asked, decided)
    wrong = sum(int(np.count_nonzero(before > RIGHT)) for _, before, _, _ in missed)
    result.notes += [
        f"{tally.seen} {what} screened, {len(asked)} of {len(unsure)} open ones left to the oracle",
        f"{len(control)} {what} that were cleared, checked by it: {wrong or 'none'} wrong or lossy",
        f"operations were examined on {len(rows)} {what}, some of every kind of failure",
    ]


def _some(rows: Array, count: int, generator: np.random.Generator) -> Array:
    return np.sort(generator.choice(rows, min(count, len(rows)), replace=False))


Decided = list[tuple[str, Array, Array, tuple[float, float]]]
"""Name, codes before and after, and most bits lost before and after, of every result."""


def _decide(
    source: Source, order: int, rows: Array, stages: Stages | None = None
) -> tuple[Decided, int]:
    """What the oracle says of rows, a few thousand at a time; of how many, if interrupted."""
    parts: list[Decided] = []
    answered = 0
    try:
        for start in range(0, len(rows), AT_ONCE):
            parts.append(_decide_part(source, order, rows[start : start + AT_ONCE]))
            answered = min(start + AT_ONCE, len(rows))
            if stages is not None:
                stages.step()
    except KeyboardInterrupt:
        pass
    found = [
        (
            results[0][0],
            np.concatenate([before for _, before, _, _ in results]),
            np.concatenate([after for _, _, after, _ in results]),
            (max(bits[0] for *_, bits in results), max(bits[1] for *_, bits in results)),
        )
        for results in zip(*parts, strict=True)
    ]
    return found, answered


def _decide_part(source: Source, order: int, rows: Array) -> Decided:
    found = Examination(source.trace_of(rows), order, Audit("", order), Stages(shown=False))
    stable = found.stabilized()
    told: Decided = []
    for (name, naive, known), after in zip(found.results(), stable, strict=True):
        if not source.is_whole(name):
            continue
        verdicts = [judge(v, known.value, judged=known.decided) for v in (naive, after)]
        before, behind = (np.where(known.decided, codes(v), UNSURE) for v in verdicts)
        bits = tuple(float(v.bits.max(initial=0.0)) for v in verdicts)
        told.append((name, before, behind, (bits[0], bits[1])))
    return told


def _chosen(tally: Tally, asked: Array, control: Array) -> Array:
    """Rows to examine: of every kind of failure as many, some that are open, some that are fine."""
    bad = [np.concatenate(rows) for kind, rows in tally.kinds.items() if kind]
    share = max(1, (2 * LOOKED_AT // 3) // max(len(bad), 1))
    rows = [_spread(b, share) for b in bad]
    rest = max(LOOKED_AT - sum(map(len, rows)), 0)
    rows += [_spread(asked, rest // 2), _spread(control, rest // 2)]
    chosen = np.unique(np.concatenate([*rows, np.zeros(0, int)]))
    return chosen if len(chosen) else np.arange(1)


def _spread(rows: Array, count: int) -> Array:
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def _totals(
    result: Audit,
    source: Source,
    order: int,
    tally: Tally,
    asked: Array,
    decided: Decided,
) -> None:
    """Counts of all elements in place of those of the rows examined."""
    by_oracle = {name: (before, after, bits) for name, before, after, bits in decided}
    for i, total in enumerate(result.totals):
        name = total.name
        if name not in tally.before:
            continue
        before, after, small = tally.before[name], tally.after[name], tally.small[name].copy()
        bits, forgiven = tally.bits[name], bool(total.ill_conditioned)
        worst = [bits[1] if forgiven else bits[0], bits[2]]
        if name in by_oracle:
            codes_before, codes_after, more = by_oracle[name]
            before, after = _with(before, codes_before), _with(after, codes_after)
            worst[1] = max(worst[1], more[1])
            if forgiven:
                small += _excused(source, order, asked, name, codes_before)
            else:
                worst[0] = max(worst[0], more[0])
        small[RIGHT] = small[UNSURE] = 0
        ill = int(small.sum()) if forgiven else 0
        result.totals[i] = replace(
            total,
            naive=_counts(before - small * forgiven, ill, max(worst[0], total.naive.bits_lost)),
            stabilized=_counts(after, 0, max(worst[1], total.stabilized.bits_lost)),
            ill_conditioned=ill,
        )
        if before[UNSURE]:
            result.notes.append(f"{name}: {int(before[UNSURE])} elements undecided, left out")


def _excused(source: Source, order: int, rows: Array, name: str, found: Array) -> Array:
    """Of rows that the oracle found wrong, how many of which kind are the problem's own fault."""
    bad = (found > RIGHT) & (found < UNSURE)
    chosen = bad.reshape(len(rows), -1).any(axis=1)
    if not chosen.any():
        return np.zeros(UNSURE + 1, np.int64)
    again = Examination(source.trace_of(rows[chosen]), order, Audit("", order), Stages(shown=False))
    ((got, known),) = [(v, k) for n, v, k in again.results() if n == name]
    mask = again.excused(name, got, known)
    return np.bincount(found[chosen][mask & bad[chosen]], minlength=UNSURE + 1)


def _with(counts: Array, found: Array) -> Array:
    """Counts with what the oracle has decided of what was open."""
    fixed = counts + np.bincount(found.ravel(), minlength=len(counts))
    fixed[UNSURE] -= found.size
    return fixed


def _counts(by_code: Array, more: int, bits: float) -> Counts:
    right, nan, inf, zero, off, lossy, _ = (int(n) for n in by_code)
    elements = right + nan + inf + zero + off + lossy + more
    return Counts(elements, nan, inf, zero, off, lossy, float(bits))
