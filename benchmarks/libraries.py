"""Other libraries behind one face: a namespace of functions, and value with gradient."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

import stablegrad as sg
from benchmarks.measure import version

Array = np.ndarray[Any, Any]
Program = Callable[[Any, Any], Any]
"""A program over a namespace of functions and an input, with a scalar result."""
Run = Callable[[], tuple[float, Array]]

PEERS = ("torch", "autograd", "mygrad")


@dataclass(frozen=True)
class Contender:
    """A way to get value and gradient: ``prepare(program, x)`` gives the function to time."""

    name: str
    prepare: Callable[[Program, Array], Run]


def untyped(module: str) -> Any:
    """A module whose names are made when it is imported, or whose hints do not hold."""
    return importlib.import_module(module)


def one_thread() -> None:
    """Let torch use one thread, as NumPy does for elementwise functions."""
    if version("torch") is not None:
        import torch

        torch.set_num_threads(1)


OURS = SimpleNamespace(
    **{name: sg.ops.OPS[name] for name in "sigmoid exp log log1p sin tanh sum".split()}
)


def _backward(program: Program, x: Array) -> Run:
    leaf: Any = sg.tensor(x, requires_grad=True)

    def run() -> tuple[float, Array]:
        leaf.zero_grad()
        y = program(OURS, leaf)
        y.backward()
        return y.item(), leaf.grad.numpy()

    return run


def _grad(program: Program, x: Array) -> Run:
    def f(x: Any) -> Any:
        return program(OURS, x)

    value_and_grad = sg.value_and_grad(f)

    def run() -> tuple[float, Array]:
        value, slope = value_and_grad(x)
        return value.item(), slope.numpy()

    return run


def _compiled(program: Program, x: Array) -> Run:
    def f(x: Any) -> Any:
        return program(OURS, x)

    value_and_grad = sg.compile(sg.value_and_grad(f))

    def run() -> tuple[float, Array]:
        value, slope = value_and_grad(x)
        return value.item(), slope.numpy()

    return run


def _torch(program: Program, x: Array) -> Run:
    torch = untyped("torch")
    leaf = torch.tensor(x, requires_grad=True)

    def run() -> tuple[float, Array]:
        leaf.grad = None
        y = program(torch, leaf)
        y.backward()
        return y.item(), leaf.grad.numpy()  # pyright: ignore[reportAttributeAccessIssue]

    return run


def _autograd(program: Program, x: Array) -> Run:
    anp = untyped("autograd.numpy")
    names = SimpleNamespace(
        sigmoid=untyped("autograd.scipy.special").expit,
        exp=anp.exp,
        log=anp.log,
        log1p=anp.log1p,
        sin=anp.sin,
        tanh=anp.tanh,
        sum=anp.sum,
    )
    value_and_grad = untyped("autograd").value_and_grad(lambda x: program(names, x))

    def run() -> tuple[float, Array]:
        value, slope = value_and_grad(x)
        return float(value), slope

    return run


def _mygrad(program: Program, x: Array) -> Run:
    mg = untyped("mygrad")
    names = SimpleNamespace(
        sigmoid=untyped("mygrad.nnet.activations").sigmoid,
        exp=mg.exp,
        log=mg.log,
        log1p=mg.log1p,
        sin=mg.sin,
        tanh=mg.tanh,
        sum=mg.sum,
    )
    leaf = mg.tensor(x)

    def run() -> tuple[float, Array]:
        y = program(names, leaf)
        y.backward()
        return y.item(), leaf.grad

    return run


OUR_WAYS = (
    Contender("backward", _backward),
    Contender("grad", _grad),
    Contender("compile", _compiled),
)
THEIR_WAYS = {
    "torch": Contender("torch", _torch),
    "autograd": Contender("autograd", _autograd),
    "mygrad": Contender("mygrad", _mygrad),
}
