"""Small programs with reductions are decided where they cancel nearly all of their digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stablegrad import program
from stablegrad.ir import OPS, Term
from stablegrad.ops.derivative import gradient as gradient_of
from stablegrad.ops.record import const
from stablegrad.oracle import err_ulp, gradient, taylor, truth
from stablegrad.settings import Settings
from stablegrad.testing import leaf


def f(name: str, **params: Any) -> Callable[..., Term]:
    return lambda *args: OPS[name](*args, **params)


softmax, norm, mean, total = (f(n, axis=-1) for n in ("softmax", "norm", "mean", "sum"))
log, sqrt, logsumexp = f("log"), f("sqrt"), f("logsumexp", axis=-1)
first = f("getitem", index=(0,))

PROGRAMS: dict[str, tuple[Callable[..., Term], list[Any]]] = {
    "what softmax leaves": (lambda x: 1 - first(softmax(x)), [[50.0, 0.0, 1.0]]),
    "its log": (lambda x: log(1 - first(softmax(x))), [[50.0, 0.0, 1.0]]),
    "impurity": (lambda x: 1 - total(softmax(x) ** 2), [[50.0, 0.0]]),
    "excess of logsumexp": (lambda x: logsumexp(x) - f("max", axis=-1)(x), [[1.0, 60.0]]),
    "lengths": (lambda x, y: norm(x) - norm(y), [[1e8, 1.0], [1e8, 2.0]]),
    "mean less an element": (lambda x: mean(x) - first(x), [[1e16, 1e16, 1e16 + 2]]),
    "affinity": (lambda p, q: log(total(sqrt(p * q))), [[0.5, 0.5], [0.5 + 1e-9, 0.5 - 1e-9]]),
    "level of a length": (lambda x: f("log10")(total(x * x)), [[0.6, 0.8]]),
    "level of a long one": (lambda x: f("log2")(mean(x * x)), [[1e200, 3e200]]),
    "slopes of cosines": (
        lambda x, y: 1 - total(x * y) / (norm(x) * norm(y)),
        [[1.0, 2.0], [1.0, 2 + 1e-9]],
    ),
    "slopes of divergences": (
        lambda x, y: total(softmax(x) * (log(softmax(x)) - log(softmax(y)))),
        [[1.0, 2.0, 3.0], [1.0, 2.0, 3 + 1e-8]],
    ),
    "slopes of Bhattacharyya's distance": (
        lambda x, y: 1 - total(sqrt(softmax(x) * softmax(y))),
        [[1.0, 2.0, 3.0], [1.0, 2.0, 3 + 1e-8]],
    ),
    "steps of digamma": (
        lambda a: f("digamma")(first(a)) - f("digamma")(total(a)),
        [[1e12, 1.0]],
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_and_slopes_are_the_truth(name: str) -> None:
    build, data = PROGRAMS[name]
    leaves = [leaf(np.array(d)) for d in data]
    term = build(*leaves)
    bindings = {x: x.params[0].value for x in leaves}
    slopes = [gradient_of(term, x, const(1, term.dtype, term.shape)) for x in leaves]
    got = program.evaluate([term, *slopes], Settings())
    true = [truth(term, bindings), *[gradient(term, x, bindings) for x in leaves]]
    for value, exact in zip(got, true, strict=True):
        assert np.abs(err_ulp(value, exact)).max() <= 64
    naive = program.evaluate([term], Settings(naive=True))[0]
    assert not np.abs(err_ulp(naive, true[0])) < 1e6


def of_mean(x: Term) -> Term:
    return x - f("mean", axis=-1, keepdims=True)(x)


def normalised(x: Term, y: Term) -> Term:
    return total(of_mean(x) / sqrt(mean(of_mean(x) ** 2) + 1e-12) * y)


def mellow(x: Term, w: Term) -> Term:
    return log(mean(f("exp")(w * x))) / w


def contrastive(x: Term, t: Term) -> Term:
    return -log(f("exp")(first(x) / t) / total(f("exp")(x / t)))


def rice(x: Term, v: Term, s: Term) -> Term:
    return log(x / s**2) - (x * x + v * v) / (2 * s * s) + log(f("i0")(x * v / s**2))


SMOOTH: dict[str, tuple[Callable[..., Term], list[Any], str]] = {
    "affinity": (lambda p, q: 1 - total(sqrt(p * q)), [[0.5, 0.5], [0.50001, 0.49999]], "f4"),
    "excess of two": (lambda t: logsumexp(f("concatenate", axis=0)(t, -t)), [[1e-10]], "f4"),
    "contrast": (contrastive, [[1.0, 0.9, -1.0], 1e-3], "f4"),
    "contrast in float64": (contrastive, [[-1.0, 0.9, 1.0], 1e-3], "f8"),
    "layer of almost equal elements": (normalised, [[1e8, 1e8, 1e8 + 1], [1.0, 2.0, 4.0]], "f8"),
    "part of a rotation": (
        lambda w: (1 - f("cos")(norm(w))) / norm(w) ** 2,
        [[1e-8, 2e-8, 0.0]],
        "f4",
    ),
    "density of Rice": (rice, [1e3, 1e3, 1.0], "f8"),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_slopes_of_small_programs_are_the_truth(name: str) -> None:
    build, data, dtype = SMOOTH[name]
    leaves = [leaf(np.array(d, dtype)) for d in data]
    term = build(*leaves)
    bindings = {x: x.params[0].value for x in leaves}
    got = [gradient_of(term, x, const(1, term.dtype)) for x in leaves]
    true = [truth(term, bindings), *[gradient(term, x, bindings) for x in leaves]]
    for value, exact in zip(program.evaluate([term, *got], Settings()), true, strict=True):
        assert np.abs(err_ulp(value, exact)).max() <= 4


def test_bends_of_small_programs_are_the_truth() -> None:
    for dtype in ("f4", "f8"):
        x, w = leaf(np.array([1.0, 2.0], dtype)), leaf(np.array(1e-4, dtype))
        slope = gradient_of(mellow(x, w), w, const(1, x.dtype))
        got = program.evaluate([gradient_of(slope, w, const(1, x.dtype))], Settings())[0]
        true = taylor(mellow(x, w), {v: v.params[0].value for v in (x, w)}, 2, direction={w: 1.0})[
            2
        ]
        assert np.abs(err_ulp(got, true)) <= 64


RATIOS: dict[str, Callable[..., Term]] = {
    "kurtosis": lambda x, y: mean((x - mean(x)) ** 4) / f("var", axis=-1)(x) ** 2,
    "skewness": lambda x, y: mean((x - mean(x)) ** 3) / mean((x - mean(x)) ** 2) ** 1.5,
    "slope of a regression": lambda x, y: total(x * y) / total(x * x),
    "correlation": lambda x, y: total(x * y) ** 2 / (total(x * x) * total(y * y)),
    "number of parts": lambda x, y: total(x) ** 2 / total(x**2),
    "kernel": lambda x, y: f("exp")(-total((x - y) ** 2) / (2 * total(x) ** 2)),
    "log of a ratio": lambda x, y: log(total(x * x) / total(y * y)),
}


@pytest.mark.parametrize("name", RATIOS)
@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_ratios_of_reductions_that_leave_the_range(name: str, scale: float) -> None:
    data = [np.array(d) * scale for d in ([1.0, 2.0, 5.0, 4.0], [1.0, 3.0, 3.5, -1.0])]
    leaves = [leaf(d) for d in data]
    term = RATIOS[name](*leaves)
    bindings = dict(zip(leaves, data, strict=True))
    slopes = [gradient_of(term, x, const(1, term.dtype, term.shape)) for x in leaves]
    got = program.evaluate([term, *slopes], Settings())
    true = [truth(term, bindings), *[gradient(term, x, bindings) for x in leaves]]
    for value, exact in zip(got, true, strict=True):
        error = err_ulp(value, exact)[np.asarray(exact.value) != 0]
        assert error.max(initial=0.0) <= 64


def test_exponentials_do_not_feel_the_rounding_of_reductions() -> None:
    a, b, c = ([1.0, 2.0], [1.0, 2.1], [0.5, 0.2])
    leaves = [leaf(np.array(v)) for v in (a, b, c)]
    x, y, z = leaves
    contrast = f("softplus")(1000 * (total(x * z) / norm(z) - total(x * y) / norm(y)) / norm(x))
    bindings = dict(zip(leaves, (np.array(v) for v in (a, b, c)), strict=True))
    slopes = [gradient_of(contrast, v, const(1, contrast.dtype)) for v in leaves]
    got = program.evaluate([contrast, *slopes], Settings())
    true = [truth(contrast, bindings), *[gradient(contrast, v, bindings) for v in leaves]]
    for value, exact in zip(got, true, strict=True):
        assert err_ulp(value, exact).max() <= 16
    naive = program.evaluate([contrast], Settings(naive=True))[0]
    assert err_ulp(naive, true[0]) > 64


TAILS: dict[str, tuple[Callable[..., Term], list[float]]] = {
    "upper gamma": (lambda a, x: log(1 - f("gammainc")(a, x)), [3.0, 800.0]),
    "lower gamma": (lambda a, x: log(f("gammainc")(a, x)), [300.0, 10.0]),
    "power of a lower gamma": (lambda a, x: log(f("gammainc")(a, x)) * x, [3.0, 1e-200]),
    "beta": (lambda a, x: log(f("betainc")(a, 4.0, x)), [300.0, 1e-3]),
}


@pytest.mark.parametrize("name", TAILS)
def test_logs_of_tails_that_underflow(name: str) -> None:
    build, data = TAILS[name]
    leaves = [leaf(np.array(d)) for d in data]
    term = build(*leaves)
    bindings = dict(zip(leaves, data, strict=True))
    slopes = [gradient_of(term, x, const(1, term.dtype)) for x in leaves]
    got = program.evaluate([term, *slopes], Settings())
    true = [truth(term, bindings), *[gradient(term, x, bindings) for x in leaves]]
    for value, exact in zip(got, true, strict=True):
        assert err_ulp(value, exact) <= 4


def test_large_arrays_are_left_alone() -> None:
    x = leaf(np.linspace(0, 50, 10_000))
    compiled, _ = program.program_of([1 - first(softmax(x))], Settings())
    assert compiled.roots[0].op.name != "settled_sum"


def test_a_tail_that_is_never_far_out_is_left_alone() -> None:
    x = leaf(np.array([0.3, 2.0]))
    term = f("exp")(x) * f("erfc")(f("cos")(x))
    true = truth(term, {x: x.params[0].value})
    assert np.abs(err_ulp(program.evaluate([term], Settings())[0], true)).max() <= 4
