"""Kernels in float32 arithmetic: right by the oracle, without a float64, wherever they run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import stablegrad as sg
from stablegrad import ops, program
from stablegrad.cli import main
from stablegrad.ir import Term, topological
from stablegrad.oracle import Status, truth
from stablegrad.oracle.formats import FLOAT32
from stablegrad.settings import Settings
from stablegrad.synthesis import Builder, Table, X, evaluate, recipe
from stablegrad.synthesis.emit import source
from stablegrad.transforms.expand import derivative
from tests.synthesis.test_emit import JITTED, MAIN, RUN

x = X
RAW = Settings(excluded=frozenset({"stabilize"}))
TINY = float(np.finfo(np.float32).tiny)
FUNCTIONS: dict[str, tuple[Term, int]] = {
    "a plain one": (ops.log(ops.cosh(x)), 1),
    "an exponential tail": (ops.log(ops.cosh(x)), 2),
    "a logarithm at 0": (ops.log(1 - ops.exp(x)), 0),
    "powers far out": (ops.log(x) / (x - 1), 2),
    "halves": (ops.sqrt(x + 1) - ops.sqrt(x), 1),
    "thirds": (ops.cbrt(x + 1) - ops.cbrt(x), 0),
    "zeros that are no floats": (ops.sin(x) / x, 0),
    "steep pieces": (1 - ops.exp(-ops.exp(x)), 0),
    "a root in the exponent": (ops.sinh(ops.sqrt(x)) / ops.sqrt(x), 0),
    "an essential singularity": (ops.exp(-1 / x) * ops.log(1 + ops.exp(x)), 0),
}


def points() -> np.ndarray:
    """Bit patterns, subnormals among them, everyday sizes, and edges."""
    rng = np.random.default_rng(11)
    bits = rng.integers(0, 2**32, 400, dtype=np.uint64).astype(np.uint32)
    signs = rng.choice([0, 1 << 31], 60).astype(np.uint32)
    small = rng.integers(1, 2**23, 60).astype(np.uint32) | signs
    edges = np.float32([0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 3.4e38, 1.2e-38, np.pi])
    everyday = (np.exp2(rng.uniform(-12, 9, 300)) * rng.choice([-1, 1], 300)).astype(np.float32)
    return np.concatenate([bits.view(np.float32), small.view(np.float32), edges, everyday])


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The greatest one in ulp of the second."""
    return float((np.abs(a - b) / np.spacing(np.abs(b))).max())


@cache
def made(name: str) -> tuple[Term, Table]:
    f, order = FUNCTIONS[name]
    term = derivative(f, x, order, RAW)
    return term, Builder(recipe(term, x, FLOAT32)).build()


def worst(term: Term, xs: np.ndarray, value: np.ndarray, covered: np.ndarray) -> float:
    """The greatest error of covered inputs in ulp, of results that are normal."""
    true = truth(term, {x: xs.astype(np.float64)}, np.float32, budget=3200, limits=False)
    size = np.abs(true.value)
    known = covered & (true.status == Status.DECIDED)
    assert (np.isinf(value[known & np.isinf(size)])).all()
    # the last product into the subnormals rounds once more; XLA makes 0 of them
    low = known & (size < TINY)
    assert (np.abs(value[low].astype(float) - true.value[low]) <= 1.01 * TINY).all()
    normal = known & np.isfinite(size) & (size >= TINY)
    assert normal.sum() > 100
    unit = np.spacing(size[normal]).astype(np.float64)
    error = np.abs((value[normal].astype(float) - true.value[normal]) / unit - true.offset[normal])
    return float(error.max())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_under_numpy(name: str) -> None:
    term, table = made(name)
    xs = points()
    with np.errstate(all="ignore"):
        value, covered = evaluate(np, xs, table)
        assert value.dtype == np.float32
        # NumPy's own float32 logarithm is off by up to 4 ulp
        assert worst(term, xs, value, covered) <= min(table.bound_ulp, 4.0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_under_jit(name: str) -> None:
    jax = pytest.importorskip("jax")
    term, table = made(name)
    xs = points()
    run = jax.jit(lambda v: evaluate(jax.numpy, v, table))
    for wide in (False, True):
        with jax.enable_x64(wide):
            text = run.lower(xs).as_text()
            assert "f64" not in text
            value, covered = map(np.asarray, run(xs))
            with np.errstate(all="ignore"):
                assert worst(term, xs, value, covered) <= min(table.bound_ulp, 3.0)


def test_a_table_is_read_back_as_it_was() -> None:
    _, table = made("a logarithm at 0")
    read = Table.from_bytes(table.to_bytes())
    assert read.format is FLOAT32
    assert read.coefficients.dtype == np.float32
    xs = points()
    with np.errstate(all="ignore"):
        for a, b in zip(evaluate(np, xs, table), evaluate(np, xs, read), strict=True):
            assert np.array_equal(a, b, equal_nan=True)


# -- as source ------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["numpy", "jax"])
@pytest.mark.parametrize("name", ["a root in the exponent", "zeros that are no floats", "thirds"])
def test_python_source_stands_alone(name: str, language: str, tmp_path: Path) -> None:
    if language == "jax":
        pytest.importorskip("jax")
    _, table = made(name)
    xs = points()
    with np.errstate(all="ignore"):
        value, covered = evaluate(np, xs, table)
    text = source(table, name, language, "float32")
    assert not any(f"{before}float64" in text for before in ("xp.", "np.", "'"))
    (tmp_path / "kernel.py").write_text(text, "utf8")
    np.save(tmp_path / "x.npy", xs)
    arguments = [str(tmp_path), str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    script = JITTED if language == "jax" else RUN
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, cwd=tmp_path)
    got = np.load(tmp_path / "y.npy")
    assert got.dtype == np.float32
    normal = covered & np.isfinite(value) & (np.abs(value) >= TINY)
    assert np.array_equal(np.isnan(got), ~covered)
    close = 0 if language == "numpy" else 4
    assert distance(got[normal], value[normal]) <= close


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_c_source_stands_alone(name: str, tmp_path: Path) -> None:
    _, table = made(name)
    xs = points()
    with np.errstate(all="ignore"):
        value, covered = evaluate(np, xs, table)
    text = source(table, name, "c", "float32")
    assert "double" not in text
    run = MAIN.replace("double", "float").replace("&x, 8", "&x, 4").replace("&y, 8", "&y, 4")
    (tmp_path / "kernel.c").write_text(text + run, "utf8")
    flags = ["-O1", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wdouble-promotion"]
    subprocess.run(["cc", *flags, "-o", "kernel", "kernel.c", "-lm"], check=True, cwd=tmp_path)
    done = subprocess.run(["./kernel"], input=xs.tobytes(), stdout=-1, check=True, cwd=tmp_path)
    got = np.frombuffer(done.stdout, np.float32)
    assert np.array_equal(np.isnan(got), ~covered)
    normal = covered & np.isfinite(value) & (np.abs(value) >= TINY)
    # exp, log and roots of the C library may differ by some ulp from NumPy's
    assert distance(got[normal], value[normal]) <= 5


def command(*arguments: str):
    return CliRunner().invoke(main, ["synthesize", "log(cosh(x))", *arguments])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_command_makes_native_kernels(dtype: str) -> None:
    shown = command("--dtype", dtype, "--native")
    assert shown.exit_code == 0, shown.output
    assert "ulp of float32" in shown.output
    assert f"error in ulp of {dtype}" in shown.output
    text = command("--dtype", dtype, "--native", "--emit", "jax").output
    assert f"astype(xp.{dtype})" in text
    assert "jax_enable_x64" not in text


def test_float64_has_no_native_kernel_in_float32() -> None:
    told = command("--native")
    assert told.exit_code == 2
    assert "choose --dtype float32, float16 or bfloat16" in told.output


# -- in programs ----------------------------------------------------------------------------


def gap(t):
    """exp(sin(t)) - exp(t): no rule covers that sin(t) is rounded."""
    return sg.ops.exp(sg.ops.sin(t)) - sg.ops.exp(t)


XS = np.float32([1e-9, -3e-6, 0.01, 0.3, 1.0, 2.0, -1.5, 5.0])


def test_without_lowering_a_float32_program_has_no_float64() -> None:
    with sg.rules(exclude="lower"):
        y = gap(sg.tensor(XS))
        compiled, _ = program.program_of([y.term], sg.settings.current())
        got = y.numpy()
    order = topological(compiled.roots)
    assert [t.param("recipe").format for t in order if t.op.name == "synthesized"] == [FLOAT32]
    assert all(t.dtype == np.float32 for t in order)
    true = truth(gap(x), {x: XS.astype(np.float64)}, np.float32)
    unit = np.spacing(np.abs(true.value)).astype(np.float64)
    assert (np.abs((got - true.value.astype(float)) / unit - true.offset) <= 2).all()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("order", [0, 1])
def test_jax_programs_in_float32_and_halves(dtype: str, order: int) -> None:
    jax = pytest.importorskip("jax")
    from stablegrad.jax import stabilize

    m = jax.numpy

    def sinhc(t):
        return m.log(m.sinh(t) / t)

    def slope(f):
        return jax.vmap(jax.grad(f)) if order else f

    rng = np.random.default_rng(2)
    xs = m.asarray(np.exp2(rng.uniform(-10, 4, 200)) * rng.choice([-1, 1], 200), dtype)
    naive = slope(sinhc)(xs)
    run = jax.jit(slope(stabilize(sinhc)))
    at = np.asarray(xs).astype(np.float64)
    f = ops.log(ops.sinh(x) / x)
    true = truth(derivative(f, x, order, RAW), {x: at}, np.asarray(xs).dtype)
    unit = np.spacing(np.abs(true.value)).astype(np.float64)

    def error(got) -> float:
        with np.errstate(all="ignore"):
            away = (np.asarray(got).astype(np.float64) - true.value.astype(np.float64)) / unit
        # the oracle has no value at 0 where XLA has none
        return float(np.nan_to_num(np.abs(away - true.offset), nan=np.inf).max())

    assert error(naive) > 100
    assert error(run(xs)) <= (2 if dtype == "float32" else 0.6)
