"""The hunt: it finds what fails in a domain and says so in ordinary numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import stablegrad as sg
from stablegrad.audit import search
from stablegrad.audit.floats import at_places, cost, neighbours, ordinary, places
from stablegrad.audit.sampling import parse_domain
from stablegrad.cli import main

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def ordinary_of(audit: Any) -> Any:
    (found,) = [e for e in audit.examples if e.kind == "ordinary"]
    return found


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_places_count_floats(dtype: Any) -> None:
    x = np.array([-np.inf, -1.0, -0.0, 0.0, 6e-8, 1.0, np.inf]).astype(dtype)
    order = places(x)
    assert (np.diff(order) >= 0).all()
    assert order[2] == order[3] == 0
    steps = places(np.nextafter(x[1:-1], dtype(np.inf))) - order[1:-1]
    assert (steps == 1).all()
    kept = np.array([-1.5, 0.0, 3.25, 6e-8], dtype)
    assert (at_places(places(kept), np.dtype(dtype)) == kept).all()


def test_neighbours_stay_in_the_interval() -> None:
    generator = np.random.default_rng(1)
    for dtype, lo, hi in ((F32, -1.0, 2.0), (F64, 0.0, 1e300), (F64, -1e308, 1e308)):
        x = np.linspace(lo / 2, hi / 2, 400).astype(dtype)
        near = neighbours(x, lo, hi, generator, np.arange(400) % 2 == 0)
        assert ((near >= lo) & (near <= hi)).all()
        assert (near[1::2] == x[1::2]).all()
        assert (near[::2] != x[::2]).mean() > 0.9


def test_ordinary_numbers_come_first() -> None:
    assert ordinary(-100, 100, F32)[:2] == (0.0, 1.0)
    assert ordinary(0.5, 3e30, F64)[0] == 1.0
    assert 1e30 in ordinary(0.5, 3e30, F64)
    assert cost(1) < cost(0.9) < cost(20.5) < cost(20.53)
    assert cost(0.1) < cost(0.123456789)


def test_a_rare_failure_is_found_and_told_in_few_digits() -> None:
    def narrow(x: Any) -> Any:
        return sg.ops.log(1 - sg.ops.exp(-x))  # cancels for small x alone

    audit = sg.audit(narrow, domain="x=1e-3:100", points=40, dtype="float64", order=0)
    assert not audit.ok
    found = ordinary_of(audit)
    (x,) = found.inputs.values()
    assert cost(x) <= 8
    again = sg.audit(narrow, np.array([x]), order=0)
    assert not again.ok
    worst = audit.examples[-1]
    assert worst.kind == "worst"
    assert worst.bits_lost >= found.bits_lost


def test_refinement_gets_worse_than_the_samples() -> None:

    def f(x: Any) -> Any:
        return sg.ops.sin(x * x)

    call = search.Call((), ("x",), parse_domain("x=1:50"), {}, F64)
    hunt = search.Hunt(f, call, 0, 3, 60)
    hunt.run()
    first = float(hunt.seen[0][1].bits.max())
    assert max(float(s.bits.max()) for _, s in hunt.seen) > first + 1


def test_a_fine_function_is_searched_and_passes() -> None:
    audit = sg.audit(lambda x, y: x * y + 3, domain={"x": (1, 9), "y": (1, 9)}, points=100)
    assert audit.ok
    assert audit.examples == []
    assert any("0 of which fail" in n for n in audit.notes)


def test_arrays_of_a_shape() -> None:
    def length(v: Any) -> Any:
        return sg.ops.sqrt((v * v).sum())

    audit = sg.audit(length, domain="v[3]=-1e30:1e30", points=20)
    assert not audit.ok
    values = ordinary_of(audit).inputs["v"]
    assert len(values) == 3
    assert sum(v == 0 for v in values) >= 1  # the smallest input that fails is no random one
    assert not sg.audit(length, np.array(values, np.float32)).ok
    assert sg.audit(length, domain={"v": (1, 2, (2, 2))}, points=8).ok


def test_a_branch_on_a_value_is_searched_one_point_at_a_time() -> None:
    def branch(x: Any) -> Any:
        return sg.ops.log(1 - sg.ops.sigmoid(x)) if x > 0 else x

    audit = sg.audit(branch, domain="x=-50:50", points=30)
    assert not audit.ok
    assert ordinary_of(audit).inputs["x"] > 0


def test_plain_numpy_functions() -> None:
    def naive(x: Any, scale: float = 1.0) -> Any:
        return np.log1p(np.exp(x)) / scale - np.where(x > 0, x, 0)

    audit = sg.audit(naive, domain="x=-200:200", points=60)
    assert not audit.ok
    assert audit.findings[0].file == __file__


def test_what_cannot_be_searched_says_so() -> None:
    audit = sg.audit(lambda x: (x * x).mean(), domain="x=1:2", points=10)
    assert any("not searched" in n for n in audit.notes)


def test_an_interrupted_hunt_keeps_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Any, parents: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(search.Hunt, "_children", stop)
    audit = sg.audit(
        lambda x: sg.ops.sqrt(x + 1) - sg.ops.sqrt(x), domain="x=1:1e6", points=50, order=0
    )
    assert not audit.complete
    assert not audit.ok
    assert ordinary_of(audit).bits_lost > 6
    assert any("the hunt for the worst input" in n for n in audit.notes)


def test_shapes_in_the_text_of_a_domain() -> None:
    found = parse_domain("x[2, 3]=-1:1, y=0:2,z[]=1:1")
    assert found["x"].shape == (2, 3)
    assert found["y"].shape is None
    assert found["z"].shape == ()


# -- files ----------------------------------------------------------------------------------

MODEL = """\
import numpy as np

def f(x, y):
    return np.log(1 - np.exp(-x)) * y
"""


def audited(*args: str) -> Result:
    return CliRunner().invoke(main, ["audit", "model.py:f", *args])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(MODEL)
    return tmp_path


def test_inputs_from_csv(folder: Path) -> None:
    Path("fine.csv").write_text("y,x\n1,2\n3,4.5\n")
    assert audited("--inputs", "fine.csv").exit_code == 0
    Path("bad.csv").write_text("x,y\n1e-12,2\n")
    done = audited("--inputs", "bad.csv", "--dtype", "float64")
    assert done.exit_code == 1
    assert "model.py:4" in done.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "bad.csv is empty"),
        ("1,2\n3,4\n", "bad.csv:1: '1,2'; expected the names of the parameters"),
        ("x,y\n1,a\n", "bad.csv:2: y is 'a'; expected a number"),
        ("x,y\n1\n", "bad.csv:2: 1 cells; expected 2"),
        ("x,z\n1,2\n", "bad.csv has no y"),
    ],
)
def test_wrong_csv(folder: Path, text: str, words: str) -> None:
    Path("bad.csv").write_text(text)
    done = audited("--inputs", "bad.csv")
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stdout == ""


def test_parquet_or_what_it_needs(folder: Path) -> None:
    assert "no file no.parquet" in audited("--inputs", "no.parquet").stderr
    Path("no.parquet").write_bytes(b"not one")
    done = audited("--inputs", "no.parquet")
    assert done.exit_code == 2
    assert "pyarrow" in done.stderr or "is no Parquet file" in done.stderr


def test_the_command_line_searches(folder: Path) -> None:
    done = audited("--domain", "x=1e-30:1,y=1:2", "--points", "40", "--dtype", "float16")
    assert done.exit_code == 1
    assert "It fails at x = " in done.stdout
    assert audited("--domain", "x=1:2", "--inputs", "x.npz").exit_code == 2


def test_what_an_ill_conditioned_problem_does_is_no_example() -> None:
    """Its result swings between floats: cosines of squares that are known to a few radians."""
    found = sg.audit(lambda x: np.cos(x * x), domain="x=1:1e5", points=60, dtype=np.float32)
    assert found.ok, found
    assert found.totals[0].ill_conditioned > 20
    assert any("ill-conditioned" in note for note in found.notes)
