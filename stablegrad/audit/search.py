"""The hunt for the worst input of a domain, and for the most ordinary one that fails.

Floats are sampled by bit pattern over the domain, the worst of them are refined by steps of
random size in the order of floats, and from what fails numbers of few digits are tried in place
of long ones. The score of a point is the bits that the naive program loses there, in its value or
in any of its derivatives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from stablegrad.audit.examine import Examination
from stablegrad.audit.examples import Example
from stablegrad.audit.findings import Audit
from stablegrad.audit.floats import cost, neighbours, ordinary
from stablegrad.audit.measure import Verdict, judge, precision_of
from stablegrad.audit.progress import Stages
from stablegrad.audit.sampling import Call
from stablegrad.audit.trace import is_data, trace
from stablegrad.errors import StablegradError
from stablegrad.ir import Term, topological
from stablegrad.ops.derivative import GRADIENT, PUSHFORWARD
from stablegrad.ops.record import CONST, INPUT

Array = np.ndarray[Any, Any]
Points = dict[str, Array]

ROUNDS = 5
PARENTS = 8
CHILDREN = 96
"""New points of a round, for programs that take all points at once; a quarter for others."""
TRIALS = 60
"""Inputs drawn where every one is a run of its own."""
LOOKED_AT = 12
"""Elements of an input that are tried with 0 and 1 in their place."""
TRIED = 700
"""Ordinary numbers tried for one parameter."""


@dataclass(frozen=True)
class Scores:
    """What a program loses at some points.

    Attributes:
        bits: the most bits lost in any result, for each point.
        bad: whether some result is wrong or lossy there.
    """

    bits: Array
    bad: Array

    @staticmethod
    def none(count: int) -> Scores:
        return Scores(np.zeros(count), np.zeros(count, bool))


@dataclass(frozen=True)
class Outcome:
    """One result at all points: what came out, what is true, and how far apart they are."""

    name: str
    got: Array
    true: Array
    verdict: Verdict


def separable(root: Term, points: int) -> bool:
    """Whether each element of a program depends on the same point alone."""
    if root.shape != (points,):
        return False
    order = topological([root])
    if any(t.op in (GRADIENT, PUSHFORWARD) for t in order):
        return False
    return all(t.op in (CONST, INPUT) or t.op.elementwise for t in order)


class Hunt:
    """One search.

    Attributes:
        batch: whether all points can be run at once.
    """

    def __init__(
        self, f: Callable[..., Any], call: Call, order: int, seed: int, points: int
    ) -> None:
        self.f = f
        self.call = call
        self.order = order
        self.points = points
        self.generator = np.random.default_rng(seed)
        shaped = any(i.shape is not None for i in call.intervals.values())
        self.first = call.draw(points, self.generator)
        self.batch = False
        if not shaped:
            try:
                root = trace(f, call.arguments(self.first)).result
                whole = separable(root, points)
                self.batch = whole and not any(np.ndim(a) for a in call.args if is_data(a))
            except StablegradError:
                shaped = True  # a branch on a value, say: one point at a time
                trace(f, call.arguments(self._at(self.first, 0)))
        self.possible = self.batch or shaped
        if shaped:
            self.first = {n: v[:TRIALS] for n, v in self.first.items()}
        self.seen: list[tuple[Points, Scores]] = []

    # -- scores ---------------------------------------------------------------------------

    def _at(self, points: Points, i: int) -> dict[str, Any]:
        """The values of one point."""
        return {n: np.asarray(v[i]) for n, v in points.items()}

    def outcomes(self, values: Mapping[str, Any]) -> list[Outcome]:
        """Every result for values of the parameters."""
        traced = trace(self.f, self.call.arguments(values))
        found = Examination(traced, self.order, Audit("", self.order), Stages(shown=False))
        return [
            Outcome(name, got, known.value, judge(got, known.value, judged=known.decided))
            for name, got, known in found.results()
        ]

    def score(self, points: Points) -> Scores:
        """Judge points, and remember them."""
        count = len(next(iter(points.values())))
        if self.batch:
            verdicts = [o.verdict for o in self.outcomes(points)]
            found = Scores(
                np.max([v.bits for v in verdicts], axis=0), np.any([v.bad for v in verdicts], 0)
            )
        else:
            found = Scores.none(count)
            for i in range(count):
                verdicts = [o.verdict for o in self.outcomes(self._at(points, i))]
                found.bits[i] = max(float(v.bits.max(initial=0.0)) for v in verdicts)
                found.bad[i] = any(bool(v.bad.any()) for v in verdicts)
        self.seen.append((points, found))
        return found

    # -- the hunt -------------------------------------------------------------------------

    def run(self) -> None:
        """Sample, refine and simplify; after an interrupt, what was seen is still there."""
        self.score(self.first)
        for _ in range(ROUNDS):
            points, scores = self._all()
            best = np.argsort(-scores.bits, kind="stable")[:PARENTS]
            if scores.bits[best[0]] >= precision_of(self.call.dtype):
                break  # nothing can be worse
            self.score(self._children({n: v[best] for n, v in points.items()}))
        points, scores = self._all()
        if scores.bad.any():
            self._simplify(points, scores)

    def _all(self) -> tuple[Points, Scores]:
        names = list(self.call.intervals)
        points = {n: np.concatenate([p[n] for p, _ in self.seen]) for n in names}
        bits = np.concatenate([s.bits for _, s in self.seen])
        return points, Scores(bits, np.concatenate([s.bad for _, s in self.seen]))

    def _children(self, parents: Points) -> Points:
        count = CHILDREN if self.batch else CHILDREN // 4
        chosen = self.generator.integers(0, len(next(iter(parents.values()))), count)
        found: Points = {}
        for name, values in parents.items():
            lo, hi, _ = self.call.intervals[name]
            base = values[chosen]
            moved = self.generator.random(base.shape) < (1 if len(parents) == 1 else 0.6)
            found[name] = neighbours(base, lo, hi, self.generator, moved)
        return found

    # -- ordinary numbers -----------------------------------------------------------------

    def _simplify(self, points: Points, scores: Scores) -> None:
        """Try numbers of few digits in place of those of a point that fails."""
        if not self.batch:
            self._round(points, scores)
            return
        names = list(self.call.intervals)
        tried = {n: self._ordinary(n, TRIED) for n in names}
        if len(names) > 1:
            few = round(TRIED ** (1 / len(names))) + 1
            grid = list(product(*[tried[n][:few] for n in names]))[:TRIED]
            self.score({n: np.array([g[i] for g in grid]) for i, n in enumerate(names)})
        for _ in range(2 if len(names) > 1 else 1):
            for name in names:
                current = self.ordinary_point()
                assert current is not None
                new = tried[name]
                batch = {n: np.full(len(new), v, self.call.dtype) for n, v in current.items()}
                self.score({**batch, name: new})

    def _ordinary(self, name: str, count: int) -> Array:
        lo, hi, _ = self.call.intervals[name]
        return np.array(ordinary(lo, hi, self.call.dtype)[:count], self.call.dtype)

    def _round(self, points: Points, scores: Scores) -> None:
        """Round points that fail to ever fewer digits, then try zeros and ones in them.

        For programs that are run one point at a time.
        """
        failing = np.flatnonzero(scores.bad)
        order = sorted(failing, key=lambda i: _cost(self._at(points, int(i))))[:3]
        for i in order:
            for digits in (3, 2, 1):
                if not self._fails(self._at(points, int(i)), lambda v, d=digits: f"{v:.{d}g}"):
                    break
        current = self.ordinary_point() or {}
        elements = [(n, k) for n, v in current.items() for k in range(np.size(v))]
        for name, k in elements[:LOOKED_AT]:
            for plain in (0.0, 1.0):
                current = self.ordinary_point() or {}
                if current[name].flat[k] in (0.0, plain):
                    break
                changed = {n: v.copy() for n, v in current.items()}
                changed[name].flat[k] = plain
                if self._fails(changed):
                    break

    def _fails(self, values: Mapping[str, Array], shorten: Callable[[float], Any] = float) -> bool:
        """Whether a point fails, its numbers shortened and kept inside the domain."""
        point: Points = {}
        for name, value in values.items():
            lo, hi, _ = self.call.intervals[name]
            short = np.array([float(shorten(float(v))) for v in value.ravel()])
            point[name] = np.clip(short, lo, hi).astype(value.dtype).reshape((1, *value.shape))
        return bool(self.score(point).bad[0])

    def ordinary_point(self) -> dict[str, Any] | None:
        """The most ordinary point that fails."""
        best: tuple[float, dict[str, Any]] | None = None
        for points, scores in self.seen:
            for i in np.flatnonzero(scores.bad):
                values = self._at(points, int(i))
                price = _cost(values)
                if best is None or price < best[0]:
                    best = price, values
        return None if best is None else best[1]

    def worst_point(self) -> dict[str, Any] | None:
        """The point that loses most bits; of equals the most ordinary."""
        if not self.seen:
            return None
        points, scores = self._all()
        worst = np.flatnonzero(scores.bits >= scores.bits.max() - 0.01)
        return min((self._at(points, int(i)) for i in worst[:500]), key=_cost)

    def examples(self) -> list[Example]:
        """The ordinary input that fails and the worst one, with what comes out there."""
        found: list[Example] = []
        for kind, values in (("ordinary", self.ordinary_point()), ("worst", self.worst_point())):
            if values is None or (kind == "worst" and not found):
                continue
            outcomes = self.outcomes(values)
            shown = max(outcomes, key=lambda o: float(o.verdict.bits.max(initial=0.0)))
            at = int(np.argmax(shown.verdict.bits))
            found.append(
                Example(
                    kind,
                    {n: _numbers(v) for n, v in values.items()},
                    shown.name,
                    float(shown.got.ravel()[at]),
                    float(shown.true.ravel()[at]),
                    float(shown.verdict.bits.ravel()[at]),
                )
            )
        return found

    def audited(self, examples: Sequence[Example]) -> list[Any]:
        """The arguments to audit: the points drawn, with what was found among the last of them."""
        if self.batch:
            values = {n: v.copy() for n, v in self.first.items()}
            for k, example in enumerate(examples[: self.points]):
                for n, v in example.inputs.items():
                    values[n][-1 - k] = v
            return self.call.arguments(values)
        inputs = examples[0].inputs if examples else self._at(self.first, 0)
        return self.call.arguments({n: np.asarray(v, self.call.dtype) for n, v in inputs.items()})


def _numbers(value: Array) -> Any:
    """An array as nested lists, each number the shortest that is this float in its dtype."""
    if value.ndim:
        return [_numbers(v) for v in value]
    return float(str(value[()]))


def _cost(values: Mapping[str, Any]) -> float:
    costs = [cost(float(v)) for a in values.values() for v in np.ravel(a)[:64]]
    return sum(costs) / max(math.sqrt(len(costs)), 1.0)
