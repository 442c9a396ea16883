"""Every benchmark runs at its smallest size and writes results that can be read; no timing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from benchmarks import (
    audit,
    cases,
    chain,
    emitted,
    formulas,
    jax_steps,
    kernels,
    layers,
    report,
    small_expressions,
    sweep,
    tables,
    training_step,
)
from benchmarks.judge import WRONG, confirmed, continued, error_ulp, exact, filled, level, worst_ulp
from stablegrad.ir import OPS, make
from stablegrad.ops.record import INPUT

BENCHMARKS = {
    "small_expressions": small_expressions.main,
    "training_step": training_step.main,
    "chain": chain.main,
    "cases": cases.main,
    "layers": layers.main,
    "kernels": kernels.main,
    "audit": audit.main,
    "emitted": emitted.main,
    "formulas_float64": formulas.main,
}


def test_a_train_step_of_a_model_loses_nothing(tmp_path: Path) -> None:
    for library in ("jax", "equinox", "optax", "flax"):
        pytest.importorskip(library, reason=f"needs {library}: pip install .[bench]")
    jax_steps.main(["--tiny", "--out", str(tmp_path)])
    (row,) = json.loads((tmp_path / "jax_steps.json").read_text("utf8"))["rows"]
    assert row["results"] > 20
    assert row["stable wrong"] == row["lost"] == 0
    assert row["apart"] <= 4


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmark_runs_and_its_results_make_a_page(name: str, tmp_path: Path) -> None:
    main: Callable[[Sequence[str]], None] = BENCHMARKS[name]
    main(["--tiny", "--out", str(tmp_path)])
    data = json.loads((tmp_path / f"{name}.json").read_text("utf8"))
    assert data["benchmark"] == name
    assert data["rows"]
    assert data["machine"]["cores"] >= 1
    assert re.fullmatch(r"[0-9a-f]{10,}\+?|None", str(data["machine"]["commit"]))
    assert {"stablegrad", "numpy"} <= data["machine"]["versions"].keys()
    assert "error" not in "".join(row for r in data["rows"] for row in r)
    text = report.page(tmp_path)
    assert text.startswith("# Benchmarks")
    assert text.count("\n## ") == 1


def test_saved_page_is_what_the_saved_results_say() -> None:
    assert report.PAGE.read_text("utf8") == report.page(report.RESULTS)


@pytest.mark.parametrize(
    ("got", "truth", "dtype", "ulp"),
    [
        (1.0, "1.0", "float32", 0),
        (np.nextafter(np.float32(1), np.float32(2)), "1.0", "float32", 1),
        (math.nan, "nan", "float64", 0),
        (0.0, "nan", "float64", WRONG),
        (math.inf, "inf", "float64", 0),
        (-math.inf, "inf", "float64", WRONG),
        (math.inf, "1e39", "float32", 0),  # what rounds to inf
        (math.inf, "3.4e38", "float32", WRONG),
        (0.0, "0.0", "float32", 0),
        (1e-30, "0.0", "float32", WRONG),
        (4 * 2.0**-149, "0.1e-44", "float32", 0),  # subnormal: within four spacings
        (9 * 2.0**-149, "0.1e-44", "float32", WRONG),
    ],
)
def test_judge(got: float, truth: str, dtype: str, ulp: float) -> None:
    found = error_ulp(float(got), exact(truth), dtype, Fraction(0))
    assert found == ulp


def test_judge_fills_holes_that_do_not_move() -> None:
    x, y = (make(INPUT, (), (i,), (), np.dtype(np.float64)) for i in range(2))
    most = OPS["log"](OPS["minimum"](y, 1.0))  # 0 around every y > 1
    rests = y - OPS["maximum"](x, y)
    inside = {x: np.array([1.0]), y: np.array([2.0])}
    assert filled(OPS["sinh"](most) / most, inside).value == 1.0
    for none in (rests / OPS["abs"](rests), OPS["sin"](1.0 / rests), OPS["log"](rests - y)):
        assert filled(none, inside).undefined.all()


def test_judge_confirms_slopes_by_values_however_small_the_step():
    """Beside 4e-178 the function moves by less than any of its digits."""
    x = make(INPUT, (), (0,), (), np.dtype(np.float64))
    hole = x / OPS["log"](x / x)
    program = OPS["erfc"](OPS["log_sigmoid"](x / hole) * x)
    at = np.array([0.7, 4e-178])
    slope = 2 * math.log(2) / math.sqrt(math.pi) * np.exp(-((math.log(2) * at) ** 2))
    assert confirmed(program, x, {x: at}, slope).all()
    assert not confirmed(program, x, {x: at}, slope * (1 + 1e-10)).any()


def test_judge_continues_slopes_into_holes_that_do_not_move():
    """By x, expm1(x*u)/u has the slope exp(x*u), and x*sinh(u)/u the slope sinh(u)/u."""
    x, y = (make(INPUT, (), (i,), (), np.dtype(np.float64)) for i in range(2))
    u = OPS["minimum"](x - x, y)  # 0 around every y > 0
    at = {x: np.array([0.7, -3.0]), y: np.array([2.0, 1e-9])}
    one = np.ones(2)
    grows = OPS["expm1"](x * u) / u
    for program, slope in (
        (grows, one),
        (OPS["exp"](grows), np.exp(at[x])),
        (x * OPS["sinh"](u) / u, one),
        (OPS["maximum"](grows, 4.0), 0 * one),
        (x * u * OPS["sinh"](u) / u, 0 * one),
    ):
        assert continued(program, x, at, slope).all()
        for other in (slope * (1 + 1e-10), 1e-10 * one):
            assert (other == slope).all() or not continued(program, x, at, other).any()
    sides, waves, none = x * OPS["abs"](u) / u, x * OPS["sin"](1.0 / u), x * OPS["log"](u) / u
    for program in (sides, waves, none, x / u):
        for slope in (-one, 0 * one, one):
            assert not continued(program, x, at, slope).any()


def test_judge_sees_that_a_function_is_level_where_its_holes_are_filled():
    """sinh(u)/u of u = log(max(x, 1)) is 1 for x < 1, at which and beside which u does not move."""
    x = make(INPUT, (), (0,), (), np.dtype(np.float64))
    u = OPS["log"](OPS["maximum"](x, 1.0))
    at = {x: np.array([-8.0, 1.0, 3.0])}
    known = level(OPS["sinh"](u) / u, x, at, np.array([1.0, 1.0, np.sinh(np.log(3)) / np.log(3)]))
    assert known.tolist() == [True, False, False]


def test_judge_measures_a_zero_among_others_by_the_greatest() -> None:
    assert worst_ulp(np.array([1.0, 2.0**-52]), ["1.0", "0.0"], "float64") == 1
    assert worst_ulp(np.array([1.0, 1e-3]), ["1.0", "0.0"], "float64") > 1e9


def test_formulas_hold_where_they_are_drawn() -> None:
    rng = np.random.default_rng(0)
    known = formulas.formulas()
    assert len({f.name for f in known}) == len(known) >= 300
    for f in known[::9]:
        data = formulas.drawn(f, 8, "float64", rng)
        values = dict(zip(f.variables, data, strict=True))
        assert data[0].size, f.name
        for name, facts in f.intervals.items():
            assert ((values[name] >= facts.lo) & (values[name] <= facts.hi)).all(), f.name
        assert formulas.term(f, "float64", data[0].shape)[0].shape == data[0].shape


def test_sweep_runs(tmp_path: Path) -> None:
    sweep.main(["--tiny", "--out", str(tmp_path)])
    for name, op in (("sweep_unary", "expm1"), ("sweep_binary", "hypot")):
        (row,) = json.loads((tmp_path / f"{name}.json").read_text("utf8"))["rows"]
        assert row["op"] == op
        for dtype, limit in sweep.LIMITS.items():
            assert row[dtype]["points"] >= 200
            assert all(0.3 < worst <= limit for worst in row[dtype]["worst_ulp"])
            assert not row[dtype]["failures"]
        assert row["float64"]["points"] > 300


def test_tables_are_compared_at_every_float(tmp_path: Path) -> None:
    tables.main(["--tiny", "--out", str(tmp_path)])
    (row,) = json.loads((tmp_path / "tables.json").read_text("utf8"))["rows"]
    assert row["points"] == 14 * (1 << 13)  # seven binades of both signs
    assert row["wrong"] == 0
    assert row["off_log2"] < -34
    assert 0 < row["undecided"] < 0.1


def test_kernels_go_on_with_a_run(tmp_path: Path) -> None:
    kernels.main(["--tiny", "--out", str(tmp_path)])
    path = tmp_path / "kernels.json"
    data = json.loads(path.read_text("utf8"))
    assert data["ended_after"] is None
    kept = data["rows"].pop()
    path.write_text(json.dumps(data), "utf8")
    kernels.main(["--tiny", "--resume", "--out", str(tmp_path)])
    again = json.loads(path.read_text("utf8"))["rows"]
    assert again[:-1] == data["rows"]  # not measured anew
    assert again[-1]["op"] == kept["op"]


def test_screen_suspects_what_is_wrong() -> None:
    wide = np.array([1.0, 1.0, np.nan, 1e-300, 1e5, 2.0, 1e-300])
    got = np.array([1.0, 1.01, 0.0, 0.0, np.inf, 2.0 + 2.0**-9, 1.0], np.float16)
    errors, suspects = sweep.screen(got, wide, np.dtype(np.float16), 1.0)
    assert suspects.tolist() == [1, 2, 6]
    assert errors[0] == 0
    assert errors[5] == 1


def test_cases_are_complete() -> None:
    found = cases.read_cases()
    assert len(found) == 149
    assert len({c["id"] for c in found}) == 149
    for case in found:
        assert len(case["points"]) == len(case["right_30digits"]) >= 1
