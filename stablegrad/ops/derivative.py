"""Nodes that stand for derivatives until a program is compiled, and what governs them.

A gradient is kept as the node ``gradient(y, x, seed)`` over the program as the user wrote it,
so that the program is stabilized before it is differentiated; compiling expands the nodes,
inner ones first. ``stop_gradient`` and ``custom`` matter to these nodes only and vanish from
values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from stablegrad.errors import ShapeError, message
from stablegrad.ir import Shape, Term, make
from stablegrad.ops.record import REAL, ZERO, Op, declare, elementwise, is_float


def _no_kernel(xp: Any, *_: Any, **__: Any) -> Any:
    raise AssertionError("derivative nodes are expanded before a program runs")


def _gradient_infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    y, x, seed = args
    if seed.shape != y.shape:
        raise ShapeError(
            message(
                f"a gradient of shape {seed.shape}",
                f"the shape of what is differentiated, {y.shape}",
            )
        )
    return x.shape, x.dtype


def _pushforward_infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return args[0].shape, args[0].dtype


def _custom_infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    out = args[params[2]]
    return out.shape, out.dtype


GRADIENT: Op = declare(
    "gradient",
    family="derivative",
    infer=_gradient_infer,
    kernel=_no_kernel,
    cost=1,
    ulp=None,
    accuracy="that of the program it is expanded to",
    source="definition",
    doc="The reverse-mode derivative of y by x, with the cotangent of y: gradient(y, x, seed).",
)

PUSHFORWARD: Op = declare(
    "pushforward",
    family="derivative",
    params=("count",),
    infer=_pushforward_infer,
    kernel=_no_kernel,
    cost=1,
    ulp=None,
    accuracy="that of the program it is expanded to",
    source="definition",
    doc="The forward-mode derivative of y: pushforward(y, x1..xn, t1..tn, count=n).",
)

CUSTOM: Op = declare(
    "custom",
    family="derivative",
    params=("outputs", "inputs", "index"),
    infer=_custom_infer,
    kernel=_no_kernel,
    cost=0,
    ulp=None,
    accuracy="that of its outputs",
    source="definition",
    doc=(
        "Output `index` of a function with its own gradient. Arguments: the m outputs as traced; "
        "the n inputs; m placeholders that stand for the outputs in the gradients; m placeholders "
        "for the cotangents; the n gradients; and, where a jvp was given, n placeholders for the "
        "tangents and the m output tangents."
    ),
)

STOP_GRADIENT: Op = elementwise(
    "stop_gradient",
    result="same",
    family="derivative",
    kernel=lambda xp, x: x,
    ball=lambda x: x,
    partials=lambda y, x: (ZERO,),
    domain=(REAL,),
    infer_facts=lambda term: term.args[0].facts,
    cost=0,
    source="definition",
    doc="x, as a constant to every derivative.",
)


def gradient(y: Term, x: Term, seed: Term) -> Term:
    """The node for the derivative of ``y`` by ``x``, seeded with the cotangent of ``y``."""
    return GRADIENT.term((y, x, seed))


def pushforward(y: Term, inputs: tuple[Term, ...], tangents: tuple[Term, ...]) -> Term:
    """The node for the derivative of ``y`` along tangents of its inputs."""
    return make(PUSHFORWARD, (y, *inputs, *tangents), (len(inputs),), y.shape, y.dtype)


def active_terms(order: Iterable[Term], variables: set[Term]) -> set[Term]:
    """The terms of a program, arguments first, that have a derivative by one of the variables."""
    active = set(variables)
    for term in order:
        if term not in active and is_float(term.dtype) and any(a in active for a in term.args):
            active.add(term)
    return active


def depending(program: set[Term], active: set[Term]) -> Callable[[Term], bool]:
    """Whether a term depends on the variables; it may be none of the program.

    The cotangent of t**2 is 2*t, a sum of its own where t is one.
    """
    known: dict[Term, bool] = {}

    def depends(x: Term) -> bool:
        stack = [x]
        while stack:
            t = stack[-1]
            fresh = [] if t in program or t in active else [a for a in t.args if a not in known]
            if fresh:
                stack += fresh
                continue
            known[t] = t in active or (t not in program and any(known[a] for a in t.args))
            stack.pop()
        return known[x]

    return depends
