"""Random programs at random bit patterns: how often stabilizing helps, and whether it harms.

Each program has 3 to 30 ops of two inputs and is run at points of every size, value and first
derivative by its first input, as a conventional framework computes it and stabilized, both
against the oracle. *worse by more than k*: by more than k ulp than naive; *naive right*: of those,
the points where naive is within 64 ulp, so that something was there to be spoilt (at the others
both are lost, and which is nearer is chance); *made up*: a number where the oracle proves that
there is none (mostly the slope 0 by what a mask blocks, where the program has no value). The slope
0 of what is one number at the point and on both sides is none, nor is one that the values on both
sides tell, or those beside a hole that does not move: ``judge.truths``.
Synthesis takes seconds for each program and is left out unless asked for.

``--jobs 2`` uses two processes; a run that was stopped goes on with ``--resume``. Programs that
got worse are shrunk to the fewest ops that still do.

Run: ``python -m benchmarks.fuzz --programs 1000``
"""

from __future__ import annotations

import json
import random
import time
import warnings
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.judge import truths
from benchmarks.measure import arguments, console, limited, save, table
from benchmarks.shrink import formula, shrink
from stablegrad import ops
from stablegrad.ir import Term, make, topological
from stablegrad.ops.derivative import gradient
from stablegrad.ops.record import INPUT, const
from stablegrad.oracle import Truth, err_ulp
from stablegrad.program import compile_terms
from stablegrad.settings import Settings

Array = np.ndarray[Any, Any]
SEED = 20261121
POINTS = 16
LIMITS = (1, 4, 64)
BUDGET = 1600
CHUNK = 200  # programs between two notes of how far a run has come
LONGEST_S = 10  # of CPU time for one program
KEPT = 400  # points that got worse, the worst first
KINDS = ("value", "gradient")

UNARY = (
    "exp expm1 log log1p sqrt square negative abs reciprocal sigmoid tanh softplus log_sigmoid "
    "sin cos arctan arcsinh sinh cosh erf erfc"
).split()
BINARY = "add subtract multiply divide maximum minimum hypot logaddexp".split()
CONSTANTS = (1.0, 2.0, 0.5, -1.0, 3.0)


def program(rng: random.Random, inputs: Sequence[Term], length: int) -> Term:
    """A random program that uses what it built last more often than what it built first."""
    values = list(inputs)
    for _ in range(length):
        a = values[-1] if rng.random() < 0.6 else rng.choice(values)
        if rng.random() < 0.5:
            values.append(ops.OPS[rng.choice(UNARY)](a))
            continue
        b = rng.choice([*values, *CONSTANTS[: 1 + len(values) // 2]])
        pair = (a, b) if rng.random() < 0.5 else (b, a)
        values.append(ops.OPS[rng.choice(BINARY)](*pair))
    return values[-1]


def points(rng: np.random.Generator, count: int, dtype: Any) -> Array:
    """Half everyday numbers, a quarter spread over all magnitudes, a quarter bit patterns."""
    size = np.dtype(dtype).itemsize
    raw = rng.integers(0, 2 ** (8 * size), count, dtype=f"u{size}").view(dtype)
    spread = rng.standard_normal(count) * 2.0 ** rng.integers(-60, 60, count)
    everyday = rng.standard_normal(count) * 2.0 ** rng.integers(-6, 6, count)
    kind = rng.random(count)
    chosen = np.where(kind < 0.5, everyday, np.where(kind < 0.75, spread, raw))
    return np.where(np.isfinite(chosen), chosen, everyday).astype(dtype)


# -- one program --------------------------------------------------------------------------


class Case(NamedTuple):
    """A program over inputs of some shape, and the input by which it is differentiated."""

    root: Term
    inputs: list[Term]
    by: Term

    @classmethod
    def of(cls, seed: int, dtype: Any, shape: tuple[int, ...]) -> Case:
        rng = random.Random(seed)
        inputs = [make(INPUT, (), (i,), shape, np.dtype(dtype)) for i in range(2)]
        return cls.over(program(rng, inputs, rng.randint(3, 30)), inputs)

    @classmethod
    def over(cls, root: Term, inputs: list[Term]) -> Case:
        below = set(topological([root]))
        return cls(root, inputs, next((x for x in inputs if x in below), inputs[0]))


class Results(NamedTuple):
    """Values or gradients of one program at some points."""

    naive: Array
    stable: Array
    true: Truth


Found = dict[str, Results]


def results(case: Case, scalar: Case, data: Sequence[Array], settings: Settings) -> Found:
    """Value and gradient, as they are computed and as they are.

    Args:
        case: the program over inputs in the shape of the data.
        scalar: the same program over scalars, of which the oracle takes any number of points.
        data: the points.
        settings: the rules in force.
    """
    root, inputs, by = case
    slope = gradient(root, by, const(1, root.dtype, root.shape))
    naive = compile_terms([root, slope], inputs, Settings(naive=True))(data)
    stable = compile_terms([root, slope], inputs, settings)(data)
    bindings = dict(zip(scalar.inputs, data, strict=True))
    true = truths(scalar.root, scalar.by, bindings, stable, naive, budget=BUDGET)
    parts = zip(KINDS, naive, stable, true, strict=True)
    return {kind: Results(a, b, t) for kind, a, b, t in parts}


def errors(values: Array, true: Truth) -> Array:
    """Errors in ulp, infinite where a value is missing or of another kind."""
    with np.errstate(all="ignore"):
        error = np.asarray(err_ulp(values, true), float)
    return np.where(np.isnan(error), np.inf, np.abs(error))


def worse(r: Results) -> Array:
    """By how many ulp a point got worse than naive; infinite for a number that was made up."""
    judged = r.true.decided & np.isfinite(r.true.value)
    a, b = errors(r.naive, r.true), errors(r.stable, r.true)
    more = np.where(np.isfinite(a) & np.isfinite(b), b, 0) - np.where(np.isfinite(a), a, 0)
    more = np.where(np.isinf(b) & np.isfinite(a), np.inf, more)
    return np.where(made_up(r), np.inf, np.where(judged, more, 0.0))


def made_up(r: Results) -> Array:
    """Where there is a number although there is none, and naive knows it."""
    return r.true.undefined & np.isfinite(r.stable)


def count(counts: Counter[str], r: Results) -> None:
    """Count the points of one program."""
    judged = r.true.decided & np.isfinite(r.true.value)
    a, b = errors(r.naive, r.true), errors(r.stable, r.true)
    more = np.where(judged, worse(r), 0)
    counts["points"] += int(judged.sum())
    counts["right"] += int((judged & (b <= 64)).sum())
    counts["naive right"] += int((judged & (a <= 64)).sum())
    counts["improved by more than 1"] += int((judged & (b < a - 1)).sum())
    counts["equal within 1"] += int((judged & ((np.abs(b - a) <= 1) | (a == b))).sum())
    for limit in LIMITS:
        counts[f"worse by more than {limit}"] += int((more > limit).sum())
    for limit in LIMITS:
        counts[f"  of those, naive right ({limit})"] += int(((more > limit) & (a <= 64)).sum())
    counts["undefined"] += int(r.true.undefined.sum())
    counts["made up"] += int(made_up(r).sum())
    counts["  of those, zeros"] += int((made_up(r) & (r.stable == 0)).sum())
    counts["made up by naive"] += int((r.true.undefined & np.isfinite(r.naive)).sum())
    counts["undecided"] += int(r.true.undecided.sum())


@dataclass(frozen=True)
class Options:
    """What every process must know."""

    dtype: str
    synthesis: bool
    guarded: bool = False

    @property
    def settings(self) -> Settings:
        excluded = frozenset[str]() if self.synthesis else frozenset({"synthesis"})
        return Settings(excluded=excluded, guarded=self.guarded)

    @property
    def suffix(self) -> str:
        """What the name of the results ends in."""
        return f"{self.dtype}{'_synthesis' * self.synthesis}{'_guard' * self.guarded}"


def add_options(parser: ArgumentParser) -> None:
    """Add what ``Options`` is made of, and the number of processes."""
    parser.add_argument("--dtype", default="float64", choices=["float32", "float64"])
    parser.add_argument("--synthesis", action="store_true", help="with synthesized kernels")
    parser.add_argument("--guard", action="store_true", help="with guard precision")
    parser.add_argument("--jobs", type=int, default=1, help="processes")


def run(seed: int, options: Options, counts: dict[str, Counter[str]]) -> list[dict[str, Any]]:
    """One random program; what it counts, and the points where it is much worse than naive."""
    case, scalar = (Case.of(seed, options.dtype, shape) for shape in ((POINTS,), ()))
    rng = np.random.default_rng(seed)
    data = [points(rng, POINTS, options.dtype) for _ in case.inputs]
    found: list[dict[str, Any]] = []
    for kind, r in results(case, scalar, data, options.settings).items():
        count(counts[kind], r)
        more = worse(r)
        a = errors(r.naive, r.true)
        # a point where naive was right counts before one where both are lost
        at = int(np.argmax(np.where(a <= 64, more * 2.0**60, more)))
        if more[at] > LIMITS[1]:
            found.append(
                {
                    "seed": seed,
                    "kind": kind,
                    "worse_ulp": float(more[at]),
                    "naive_ulp": float(a[at]),
                    "made_up": bool(made_up(r)[at]),
                    "inputs": [float(d[at]) for d in data],
                    "naive": float(r.naive[at]),
                    "stable": float(r.stable[at]),
                    "true": float(r.true.value[at]),
                }
            )
    return found


def chunk(seeds: Sequence[int], options: Options) -> dict[str, Any]:
    """Some programs in one process."""
    warnings.simplefilter("ignore", RuntimeWarning)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    worst: list[dict[str, Any]] = []
    raised: list[dict[str, Any]] = []
    start = time.process_time()
    for seed in seeds:
        try:
            with limited(LONGEST_S):
                worst += run(seed, options, counts)
        except Exception as error:  # noqa: BLE001 - a program that raises is a finding too
            raised.append({"seed": seed, "error": f"{type(error).__name__}: {error}"})
    return {
        "programs": len(seeds),
        "counts": counts,
        "worst": worst,
        "raised": raised,
        "cpu_s": time.process_time() - start,
    }


# -- many programs ------------------------------------------------------------------------


def merge(total: dict[str, Any], part: dict[str, Any]) -> None:
    """Add what one part found to what was found before."""
    for kind in KINDS:
        known = total["counts"].setdefault(kind, {})
        for key, n in part["counts"][kind].items():
            known[key] = known.get(key, 0) + n
    total["worst"] = sorted([*total["worst"], *part["worst"]], key=_rank)[:KEPT]
    total["raised"] += part["raised"]
    total["programs"] += part["programs"]
    total["cpu_s"] += part["cpu_s"]


def _rank(w: dict[str, Any]) -> tuple[Any, ...]:
    right = w["naive_ulp"] <= LIMITS[-1] or w["made_up"]
    return not right, -w["worse_ulp"], w["seed"], w["kind"]


def parts(seeds: Sequence[int], options: Options, jobs: int) -> Iterator[dict[str, Any]]:
    """The programs in chunks, in their order."""
    chunks = (seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK))
    if jobs == 1:
        yield from (chunk(c, options) for c in chunks)
        return
    with ProcessPoolExecutor(jobs) as pool:
        while ahead := list(islice(chunks, 4 * jobs)):
            yield from pool.map(chunk, ahead, [options] * len(ahead))


def shrunk(w: dict[str, Any], options: Options) -> dict[str, Any]:
    """A program that got worse, with the fewest ops that still do at some point."""
    case = Case.of(w["seed"], options.dtype, ())
    limit = LIMITS[1] if w["worse_ulp"] <= LIMITS[-1] else LIMITS[-1]
    lost = not (w["naive_ulp"] <= LIMITS[-1] or w["made_up"])

    def fails(root: Term, point: Sequence[float]) -> bool:
        data = [np.array(v, options.dtype) for v in point]
        smaller = Case.over(root, case.inputs)
        r = results(smaller, smaller, data, options.settings)[w["kind"]]
        if made_up(r) or w["made_up"]:
            return bool(made_up(r)) and w["made_up"]
        if not lost and errors(r.naive, r.true) > LIMITS[-1]:
            return False
        return bool(worse(r) > limit)

    try:
        root, point = shrink(case.root, case.inputs, w["inputs"], fails)
    except Exception as error:  # noqa: BLE001 - the finding matters more than its shortest form
        return {**w, "shrunk": f"{type(error).__name__}: {error}"}
    return {**w, "shrunk": formula(root), "at": list(point)}


def show(total: dict[str, Any], title: str) -> None:
    """Print the shares."""
    counts = total["counts"]
    keys = list(counts["value"])
    rows = [[key, *[share(counts[kind], key) for kind in KINDS]] for key in keys]
    table(title, ["", *KINDS], rows)
    seconds, raised = total["cpu_s"], len(total["raised"])
    console.print(f"{raised} programs raised; {seconds:.0f} s of CPU time")


def share(counts: Mapping[str, int], key: str) -> str:
    """A count, and its share of the points."""
    return f"{counts[key]} ({100 * counts[key] / max(1, counts['points']):.3g}%)"


def main(argv: Sequence[str] | None = None) -> None:
    """Run many programs and print the shares."""
    parser = arguments(__doc__)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=SEED)
    add_options(parser)
    parser.add_argument("--resume", action="store_true", help="go on from what was saved")
    parser.add_argument("--shrink", type=int, default=12, help="how many of the worst to shrink")
    asked = parser.parse_args(argv)
    options = Options(asked.dtype, asked.synthesis, asked.guard)
    name = f"fuzz_{options.suffix}"
    path: Path = asked.out / f"{name}.json"
    total: dict[str, Any] = {"counts": {}, "worst": [], "raised": [], "programs": 0, "cpu_s": 0.0}
    if asked.resume and path.exists():
        saved = json.loads(path.read_text("utf8"))
        if saved["seed"] == asked.seed:
            total.update({key: saved[key] for key in total if key != "worst"}, worst=saved["rows"])
    wanted = 10 if asked.tiny else asked.programs
    seeds = range(asked.seed + total["programs"], asked.seed + wanted)
    for part in parts(seeds, options, asked.jobs):
        merge(total, part)
        _save(asked.out, name, total, asked.seed, tell=False)
    title = f"{total['programs']} programs, {asked.dtype}, seed {asked.seed}"
    show(total, f"{title}; {POINTS} points each")
    rows = total["worst"]
    rows[: asked.shrink] = [shrunk(w, options) for w in rows[: asked.shrink]]
    for w in rows[: asked.shrink]:
        console.print(str(w), markup=False, highlight=False)
    for w in total["raised"][:5]:
        console.print(str(w), markup=False, highlight=False)
    _save(asked.out, name, total, asked.seed)


def _save(out: Path, name: str, total: dict[str, Any], seed: int, *, tell: bool = True) -> None:
    facts = {key: value for key, value in total.items() if key != "worst"}
    save(out, name, total["worst"], tell=tell, seed=seed, points=POINTS, **facts)


if __name__ == "__main__":
    main()
