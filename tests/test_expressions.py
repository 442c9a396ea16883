"""Expressions as text: what they compute, and that nothing else gets through."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.errors import UnknownNameError
from stablegrad.expressions import DEEPEST_TREE, LONGEST_TEXT, ExpressionError, allowed, parse


@pytest.mark.parametrize(
    ("text", "names", "values", "expected"),
    [
        ("x", ("x",), (2.0,), 2.0),
        ("2*x + y/4 - x**2", ("x", "y"), (3.0, 8.0), -1.0),
        ("-x + +y", ("x", "y"), (1.0, 5.0), 4.0),
        ("  x @ y  ", ("x", "y"), (sg.tensor([1.0, 2.0]), sg.tensor([3.0, 4.0])), 11.0),
        ("x < 2", ("x",), (1.0,), True),
        ("x != 1", ("x",), (1.0,), False),
        ("where(x > 0, x, 0.0)", ("x",), (sg.tensor(-3.0),), 0.0),
        ("np.log(np.exp(x))", ("x",), (sg.tensor(3.0),), 3.0),
        ("np.linalg.norm(x)", ("x",), (sg.tensor([3.0, 4.0]),), 5.0),
        ("norm(x)", ("x",), (sg.tensor([3.0, 4.0]),), 5.0),
        ("sum(x, axis=0)[1]", ("x",), (sg.tensor([[1.0, 2.0], [3.0, 4.0]]),), 6.0),
        ("x[0] * x[-1]", ("x",), (sg.tensor([2.0, 1.0, 5.0]),), 10.0),
        ("sum(x[1:])", ("x",), (sg.tensor([2.0, 1.0, 5.0]),), 6.0),
        ("logsumexp(array([t, t]))", ("t",), (sg.tensor(0.0),), math.log(2)),
        ("sum(array([[t, 1 - t], [2, 3]]))", ("t",), (sg.tensor(0.25),), 6.0),
        ("(lambda u: u * u + x)(x + 1)", ("x",), (2.0,), 11.0),
        ("pi * np.e", (), (), math.pi * math.e),
        ("lgamma(x) + digamma(x) - psi(x)", ("x",), (sg.tensor(1.0),), 0.0),
        ("sqrt(x) + reshape(x, (1, 1))[0, 0]", ("x",), (sg.tensor(4.0),), 6.0),
        ("2**-1 + 2**3", (), (), 8.5),
        ("softmax(x)[0]", ("x",), (sg.tensor([1.0, 1.0]),), 0.5),
    ],
)
def test_values(text: str, names: tuple[str, ...], values: tuple[Any, ...], expected: Any) -> None:
    f = parse(text)
    assert f.names == names
    assert np.allclose(np.asarray(f(*values)), expected, rtol=1e-6)


def test_a_variable_hides_a_constant_and_names_bind() -> None:
    f = parse("x - y")
    assert f(y=1.0, x=5.0) == 4.0
    assert f.__name__ == "x - y"
    with pytest.raises(TypeError):
        f(1.0)


def test_parts_are_told() -> None:
    seen: list[str] = []
    parse("log(1 - exp(x))").walk({"x": sg.tensor(-1.0)}, lambda text, _: seen.append(text))
    assert seen == ["exp(x)", "1 - exp(x)", "log(1 - exp(x))"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("x +", "invalid syntax"),
        ("x = 1", "column"),
        ("x; y", "column"),
        ("import os", "column"),
        ("__import__('os').system('true')", "no function of the library"),
        ("().__class__", "attribute .__class__"),
        ("x.__class__", "attribute .__class__"),
        ("np.os", "attribute .os"),
        ("x.dot(x)", "no function of the library"),
        ("log.__globals__", "attribute"),
        ("log.__call__(x)", "no function of the library"),
        ("'text'", "a text"),
        ("f'{x}'", "JoinedStr"),
        ("b'x'", "a text"),
        ("1j*x", "a text"),
        ("[y for y in x]", "ListComp"),
        ("{x: 1}", "Dict"),
        ("{x}", "Set"),
        ("lambda y: y", "Lambda"),
        ("(lambda y=1: y)(2)", "lambda"),
        ("(lambda *y: y)(2)", "lambda"),
        ("(lambda y: y)(1, 2)", "lambda"),
        ("x if y else z", "where(condition, a, b)"),
        ("x and y", "logical_and"),
        ("not x", "logical_not"),
        ("1 < x < 2", "chain of comparisons"),
        ("x ^ 2", "a**b"),
        ("x << 100", "LShift"),
        ("x // 2", "FloorDiv"),
        ("x is y", "Is"),
        ("x in y", "In"),
        ("log(*x)", "* or **"),
        ("log(**x)", "* or **"),
        ("(y := x)", "NamedExpr"),
        ("await x", "column"),
        ("(" * 300 + "x" + ")" * 300, "column"),
        ("-" * 5000 + "x", ""),
        ("-" * (DEEPEST_TREE + 2) + "x", "levels deep"),
        ("x" * (LONGEST_TEXT + 1), "characters"),
        ("x + \0", ""),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "name",
    """eval exec open getattr compile print __import__ gradient affine load save fromfile zeros ones
    frombuffer vectorize no_such_function""".split(),
)
def test_what_cannot_be_called(name: str) -> None:
    assert not allowed(name)
    with pytest.raises(UnknownNameError, match=f"no function is named '{name}'"):
        parse(f"{name}(x)")


@pytest.mark.parametrize(
    "text", ["9**9**9**9", "2**100000", "(10**64)**64", "1/0", "0**-1", "1/(1-1)"]
)
def test_constants_that_do_not_fit_are_errors_or_floats(text: str) -> None:
    try:
        value = parse(text)()
    except ExpressionError as error:
        assert "constant" in str(error)  # noqa: PT017
    else:
        assert isinstance(value, float) or abs(value) < 10**5000


@pytest.mark.parametrize(
    "text",
    [
        "(1-(1+r)**(-n))/r",
        "softplus(-x)*y + softplus(x)*(1-y)",
        "v*arccos(clip(w,-1.0,1.0))/maximum(sqrt(v*v),1e-8)",
        "a[0]*(a[4]*a[8]-a[5]*a[7])-a[1]*(a[3]*a[8]-a[5]*a[6])+a[2]*(a[3]*a[7]-a[4]*a[6])",
        "arccos(sum(x*y)/(norm(x)*norm(y)))",
        "log(sum(where(m > 0, exp(x), 0.0)))",
        "2*logsumexp(array([t,1-t])) - logsumexp(array([-t,t+2]))",
        "(lambda u: tanh(u)*u*u)(-1e8*v)",
        "where(x == 0, 0*x, x*sqrt(x))",
        "-sum(softmax(x)*log(softmax(x)))",
        "log_ndtr((y-mu)/s)",
        "(x - floor(x))**k",
    ],
)
def test_programs_of_published_failures_are_read(text: str) -> None:
    assert parse(text).names
