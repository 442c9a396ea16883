"""The scripts in examples/ run, and come to the figures that they are there to show."""

from __future__ import annotations

import importlib.util
import sys
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.oracle.errors import err_ulp

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@cache
def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["sigmoid_layer", "ratio", "custom_function", "rewrites"])
def test_script_prints_and_saves_its_picture(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "below" / f"{name}.png"
    example(name).main([str(path)])
    assert path.stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert str(path) in printed.replace("\n", "")
    assert "nan" not in printed


# -- 1: the sigmoid layer -----------------------------------------------------------------

# The float32 nearest to sigmoid'(100) = 3.72007598e-44 is 27 times the smallest subnormal.
TAIL = 27 * 2.0**-149


@pytest.mark.parametrize("name", list(example("sigmoid_layer").LAYERS))
def test_sigmoid_layer_has_its_gradient_in_both_tails(name: str) -> None:
    script = example("sigmoid_layer")
    y, dx = script.value_and_gradient(script.LAYERS[name], [-100.0, 0.0, 100.0])
    assert y.dtype == dx.dtype == np.float32
    np.testing.assert_array_equal(y, np.array([TAIL, 0.5, 1.0], np.float32))
    np.testing.assert_array_equal(dx, np.array([TAIL, 0.25, TAIL], np.float32))


def test_sigmoid_layer_at_the_points_of_the_checklist() -> None:
    script = example("sigmoid_layer")
    points = [-100.0, -20.0, 0.0, 10.0, 17.0, 20.0, 100.0]
    e = [Fraction(0)] * len(points)
    for i, p in enumerate(points):  # exp(-|p|) to 60 digits, by its series
        term, total = Fraction(1), Fraction(1)
        for k in range(1, 400):
            term = term * int(-abs(p)) / k
            total += term
        e[i] = total
    for name, layer in script.LAYERS.items():
        _, dx = script.value_and_gradient(layer, points)
        for got, z in zip(dx, e, strict=True):
            assert err_ulp(got, z / (1 + z) ** 2) <= 1, name


def test_naive_sigmoid_layer_loses_what_frameworks_lose() -> None:
    script = example("sigmoid_layer")
    with sg.naive():
        _, dx = script.value_and_gradient(script.naive_layer, [-100.0, 0.0, 17.0, 20.0, 100.0])
    assert dx[2] == dx[3] == dx[4] == 0


# -- 2: the ratio -------------------------------------------------------------------------

BOUNDS = {1: 1.0, 2: 4.0, 3: 4.0}  # ulp


@pytest.mark.parametrize("program", ["ratio", "own_ratio"])
def test_ratio_is_right_over_the_whole_range(program: str) -> None:
    script = example("ratio")
    v = script.sample(801)
    assert np.abs(v).min() == np.float32(1.2e-38)
    assert np.abs(v).max() == np.float32(8.5e37)
    found = script.derivatives(getattr(script, program), v)
    for order, got in zip(BOUNDS, found, strict=True):
        report = script.judge(got, script.truth(v, order))
        assert report.points > 300
        assert report.wrong == 0
        assert report.worst_ulp <= BOUNDS[order]


def test_judge_of_the_ratio_counts_as_the_library_does() -> None:
    script = example("ratio")
    v = np.array([3.0, 7.0], np.float32)
    got = np.array([0.3333, 1 / 7], np.float32)
    report = script.judge(got, script.truth(v, 1))
    assert report.worst_ulp == pytest.approx(float(err_ulp(got[0], Fraction(1, 3))), rel=1e-12)
    assert script.judge(np.array([0.0, np.inf], np.float32), script.truth(v, 1)).wrong == 2


def test_naive_ratio_fails_where_the_question_says() -> None:
    script = example("ratio")
    with sg.naive():
        first, *_ = script.derivatives(script.ratio, np.array([1e-25, 1e25], np.float32))
    assert not np.isfinite(first[0])
    assert first[1] == 0


def test_ratio_of_the_checklist() -> None:
    v = np.array([1e-30, 1e-20, 1.0, 1e20, 1e30], np.float32)
    got = example("ratio").derivatives(example("ratio").ratio, v)[0]
    for g, x in zip(got, v, strict=True):
        assert err_ulp(g, 1 / Fraction(float(x))) <= 1


# -- 3: the custom function ---------------------------------------------------------------

THREAD = np.array([0.28746969, 0.18495609, 0.086068235], np.float32)
FORGOTTEN = np.array([0.19661193, 0.10499363, 0.04517666], np.float32)


def ulps(got: Any, true: Any) -> float:
    return float(
        np.max(
            np.abs(np.asarray(got, np.float64) - np.asarray(true, np.float64))
            / np.spacing(np.abs(true))
        )
    )


def test_custom_function_has_the_figures_of_the_thread() -> None:
    script = example("custom_function")
    assert ulps(script.thread_gradient(script.Sigmoid()), THREAD) <= 4
    forgotten = script.thread_gradient(script.ForgetfulSigmoid())
    np.testing.assert_allclose(forgotten, FORGOTTEN, rtol=1e-6)


def test_check_gradients_rejects_the_function_without_dy() -> None:
    script = example("custom_function")
    x = sg.tensor([1.0, 2.0, 3.0])
    good, bad = (sg.check_gradients(f(), x) for f in (script.Sigmoid, script.ForgetfulSigmoid))
    assert good
    assert good.ok
    assert not bad
    assert not bad.ok
    assert "dy" in str(bad)


def test_one_instance_of_a_function_serves_several_calls() -> None:
    script = example("custom_function")
    first, second = script.reuse(script.Sigmoid())
    assert first == np.float32(0.25)
    assert ulps(second, np.array([0.10499358540350652], np.float32)) <= 1


def test_second_derivative_through_a_function() -> None:
    script = example("custom_function")
    got = script.second_derivative(script.Sigmoid(), [-100.0, -20.0, 0.0, 20.0, 100.0])
    true = np.array([TAIL, 2.0611536e-09, 0, -2.0611536e-09, -TAIL], np.float32)
    assert ulps(got[[1, 3]], true[[1, 3]]) <= 4
    np.testing.assert_array_equal(got[[0, 2, 4]], true[[0, 2, 4]])


def test_function_with_two_inputs_and_two_results() -> None:
    by_radius, by_angle = example("custom_function").polar_gradients()
    assert by_radius == pytest.approx(np.cos(0.5) + 2 * np.sin(0.5), rel=1e-7)
    assert by_angle == pytest.approx(2 * (2 * np.cos(0.5) - np.sin(0.5)), rel=1e-7)


# -- 4: the rewrites ----------------------------------------------------------------------

POINTS = example("rewrites").POINTS


@pytest.mark.parametrize("point", POINTS, ids=lambda p: p.__name__)
def test_rewrites_hold(point: Any) -> None:
    rows = list(point())
    assert rows
    failed = [f"{r.what}: expected {r.expected}, came {r.came}" for r in rows if not r.holds]
    assert not failed, "\n".join(failed)


def test_all_nine_points_are_shown() -> None:
    assert sorted({row.point for row in example("rewrites").rows()}) == list(range(1, 10))


# -- the demo -----------------------------------------------------------------------------


def test_demo_reaches_its_accuracy_without_nan() -> None:
    script = example("demo")
    w = sg.tensor(np.zeros(30, np.float32), requires_grad=True)
    b = sg.tensor(0.0, requires_grad=True)
    optimizer = sg.optim.Adam([w, b], lr=script.RATE)
    for _ in range(script.STEPS):
        optimizer.zero_grad()
        loss = script.loss(w, b)
        loss.backward()
        assert np.isfinite(loss.item())
        assert w.grad is not None
        assert np.isfinite(w.grad.numpy()).all()
        optimizer.step()
    right = ((script.x @ w + b).numpy() > 0) == script.y.numpy()
    assert right.mean() >= script.TARGET


def test_demo_in_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = example("demo")
    found = script.train(50, (50,), quiet=True)
    (point,) = found
    assert point.finite
    assert script.count(point.parameters, "naive") == (31, 0, 31)
    wrong, _, elements = script.count(point.logits, "naive")
    assert wrong > 300
    assert elements == 569
    assert script.count(point.parameters, "stabilized") == (0, 0, 31)
    assert script.count(point.logits, "stabilized") == (0, 0, 569)
    lines = {f.source for f in point.parameters.findings}
    assert "return -mean(y * log(s) + (1 - y) * log(1 - s))" in lines
    cures = {str(cure) for f in point.parameters.findings for cure in f.cures}
    assert {"one_minus_sigmoid", "log_sigmoid"} <= cures
    naive, stable, true = script.gradients_at(point.z)
    assert np.isnan(naive).any()
    normal = np.abs(true) >= np.finfo(np.float32).tiny
    assert ulps(stable[normal], true[normal]) <= 4
    script.plot(found, tmp_path / "demo.png")
    assert (tmp_path / "demo.png").stat().st_size > 10_000
    for table in (script.progress_table(found), script.lines_table(found)):
        script.Console(width=120).print(table)
    assert "569" in capsys.readouterr().out
