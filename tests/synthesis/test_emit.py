"""Kernels as source: they run without the library and give the same numbers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from stablegrad import ops
from stablegrad.cli import main
from stablegrad.ir import Term
from stablegrad.synthesis import Builder, X, evaluate, recipe
from stablegrad.synthesis.emit import source

x = X
FUNCTIONS: dict[str, Term] = {
    "powers and zones": 1 / (x + 1) - 1 / x,
    "a gaussian tail": x * ops.ndtr(x),
    "a logarithm": ops.log(1 - ops.exp(x)),
    "a root in the exponent": ops.sinh(ops.sqrt(x)) / ops.sqrt(x),
    "halves": ops.sqrt(x + 1) - ops.sqrt(x),
    "an essential singularity": ops.exp(-1 / x) * ops.log(1 + ops.exp(x)),
    "steep pieces": 1 - ops.exp(-ops.exp(x)),
    "cube roots": ops.cbrt(x + 1) - ops.cbrt(x),
    "oscillation": (1 - ops.cos(x)) / (x * x),
    "oscillation with zeros of its own": ops.cos(x) / x - ops.sin(x) / (x * x),
    "a pole with two sides": ops.digamma(ops.exp(x) + x * x) + 1 / x,
}
RUN = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
import kernel
assert not any(name.split(".")[0] == "stablegrad" for name in sys.modules)
np.save(sys.argv[3], kernel.f(np.load(sys.argv[2])))
"""


def points() -> np.ndarray:
    rng = np.random.default_rng(3)
    signs = rng.choice([-1.0, 1.0], 400)
    small = np.exp2(rng.uniform(-60, 60, 400)) * signs
    return np.concatenate([small, np.exp2(rng.uniform(-4, 9, 400)) * signs, [0.0, -1.0, np.inf]])


def expected(f: Term, xs: np.ndarray):
    table = Builder(recipe(f, x)).build()
    with np.errstate(all="ignore"):
        value, covered = evaluate(np, xs, table)
    return table, np.where(covered, value, np.nan)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numpy_source_stands_alone(name: str, tmp_path: Path) -> None:
    xs = points()
    table, want = expected(FUNCTIONS[name], xs)
    (tmp_path / "kernel.py").write_text(source(table, name, "numpy"), "utf8")
    np.save(tmp_path / "x.npy", xs)
    arguments = [str(tmp_path), str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    subprocess.run([sys.executable, "-c", RUN, *arguments], check=True, cwd=tmp_path)
    assert np.array_equal(np.load(tmp_path / "y.npy"), want, equal_nan=True)


MAIN = """
#include <stdio.h>
int main(void)
{
    double x;
    while (fread(&x, 8, 1, stdin) == 1) { double y = f(x); fwrite(&y, 8, 1, stdout); }
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_c_source_stands_alone(name: str, tmp_path: Path) -> None:
    xs = points()
    table, want = expected(FUNCTIONS[name], xs)
    (tmp_path / "kernel.c").write_text(source(table, name, "c") + MAIN, "utf8")
    flags = ["-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
    command = ["cc", *flags, "-o", "kernel", "kernel.c", "-lm"]
    subprocess.run(command, check=True, cwd=tmp_path)
    run = subprocess.run(["./kernel"], input=xs.tobytes(), stdout=-1, check=True, cwd=tmp_path)
    got = np.frombuffer(run.stdout)
    assert np.array_equal(np.isnan(got), np.isnan(want))
    ok = np.isfinite(want) & (want != 0)
    # exp, log and roots of the C library may differ by an ulp from NumPy's
    assert (np.abs(got[ok] - want[ok]) <= 3 * np.spacing(np.abs(want[ok]))).all()
    assert np.array_equal(got[~ok], want[~ok], equal_nan=True)


JITTED = RUN.replace("import kernel", "import jax\nimport kernel")
JITTED = JITTED.replace("kernel.f(", "jax.jit(kernel.f)(")


@pytest.mark.parametrize("name", ["a gaussian tail", "steep pieces", "oscillation"])
def test_jax_source_stands_alone(name: str, tmp_path: Path) -> None:
    pytest.importorskip("jax")
    xs = points()
    table, want = expected(FUNCTIONS[name], xs)
    (tmp_path / "kernel.py").write_text(source(table, name, "jax"), "utf8")
    np.save(tmp_path / "x.npy", xs)
    arguments = [str(tmp_path), str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    subprocess.run([sys.executable, "-c", JITTED, *arguments], check=True, cwd=tmp_path)
    got = np.load(tmp_path / "y.npy")
    assert np.array_equal(np.isnan(got), np.isnan(want))
    ok = np.isfinite(want) & (np.abs(want) >= np.finfo(np.float64).tiny)  # XLA flushes the rest
    assert ok.sum() > 300
    assert (np.abs(got[ok] - want[ok]) <= 4 * np.spacing(np.abs(want[ok]))).all()


def test_jax_source_rounds_to_float32_once() -> None:
    table = Builder(recipe(FUNCTIONS["halves"], x)).build()
    assert "astype(xp.float32)" in source(table, "halves", "jax", "float32")


def run(*arguments: str):
    return CliRunner().invoke(main, ["synthesize", *arguments])


def test_the_command_shows_proof_and_errors() -> None:
    shown = run("log(cosh(x))", "--order", "1")
    assert shown.exit_code == 0, shown.output
    assert "pieces, proved" in shown.output
    assert "error in ulp of float64" in shown.output


def test_the_command_writes_source_and_a_plot(tmp_path: Path) -> None:
    path, plot = tmp_path / "kernel.c", tmp_path / "error.png"
    done = run("log(cosh(x))", "--emit", "c", "--out", str(path), "--plot", str(plot))
    assert done.exit_code == 0, done.output
    assert "double f(double x)" in path.read_text("utf8")
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("log(-1 - x*x)",), "undefined at every point"),
        (("floor(x)",), "nothing could be proved"),
        (("x - x",), "a constant"),
        (("x/x + 2",), "a constant"),
        (("sqrt(x - 1)*sqrt(-1 - x)",), "undefined at every point"),
        (("'one'",), ""),
        (("x + 'one'",), ""),
        (("",), ""),
        (("nan*x",), "undefined at every point"),
        (("3",), "the variables none"),
        (("x*y",), "the variables x, y"),
        (("hello world",), "invalid syntax"),
        (("sum([x, x*x])[0]",), ""),
        (("x", "--out", "kernel.c"), "--out needs --emit"),
        (("x", "--emit", "c", "--out", "/nowhere/kernel.c"), "no folder /nowhere"),
    ],
)
def test_a_wrong_call_is_told_in_a_sentence(arguments: tuple[str, ...], says: str) -> None:
    told = run(*arguments)
    assert told.exit_code == 2, told.output
    assert says in told.output
    assert "Traceback" not in told.output
