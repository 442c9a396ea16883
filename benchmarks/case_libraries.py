"""How each library evaluates a case: its names for ours, and derivatives of order 0, 1 and 2."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from stablegrad.expressions import parse

Array = np.ndarray[Any, Any]
Inputs = dict[str, Array]
Names = Mapping[str, Any]
Function = Callable[..., Any]
"""A function of tensors by name."""
Evaluate = Callable[[Mapping[str, Any], Inputs], Any]
"""The result of a case at one point: an array, or arrays by variable."""


def parts(text: str) -> tuple[str, str, tuple[str, ...]]:
    """An expression; where it is ``e, g(...)``, also g(...), whose results e's own names are."""
    body = ast.parse(text, mode="eval").body
    if not isinstance(body, ast.Tuple):
        return text, "", ()
    outer, inner = body.elts
    own = [n for n in variables(outer) if n not in variables(inner)]
    return ast.unparse(outer), ast.unparse(inner), tuple(own)


def variables(tree: ast.AST) -> list[str]:
    """The names in an expression that are not called, in the order in which they stand."""
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called]
    names.sort(key=lambda n: (n.lineno, n.col_offset))
    return list(dict.fromkeys([n.id for n in names]))


def function_over(text: str, evaluate: Callable[[str, Mapping[str, Any]], Any]) -> Function:
    """An expression as a function of tensors by name, given what evaluates one."""
    outer, inner, own = parts(text)

    def f(**values: Any) -> Any:
        if inner:
            values = {**values, **dict(zip(own, evaluate(inner, values), strict=True))}
        return evaluate(outer, values)

    return f


def our_function(text: str) -> Function:
    """The expression as a function of our tensors."""
    return function_over(text, lambda part, values: parse(part).walk(values))


def foreign_function(text: str, names: Names) -> Function:
    """The expression in another library's names; the texts are data of this repository."""
    return function_over(text, lambda part, values: eval(part, {**names, **values}))


# -- ours -----------------------------------------------------------------------------------


def stablegrad_result(case: Mapping[str, Any], inputs: Inputs, engine: str = "numpy") -> Any:
    """Through ``sg.grad``, nested for the second order."""
    import stablegrad as sg

    f = our_function(case["expr"])
    tensors = {k: sg.tensor(v) for k, v in inputs.items()}

    def run(g: Function) -> Any:
        return (g if engine == "numpy" else sg.compile(g, engine))(**tensors).numpy()

    if case["order"] == 0:
        return run(f)

    def derivative(g: Function, name: str) -> Function:
        def by_name(**values: Any) -> Any:
            rest = {k: v for k, v in values.items() if k != name}
            return sg.grad(lambda v: g(**rest, **{name: v}))(values[name])

        return by_name

    if case["order"] == 1:
        return {w: run(derivative(f, w)) for w in case["wrt"]}
    w = case["wrt"][0]
    first = derivative(f, w)
    return {w: run(derivative(lambda **v: _total(first(**v)), w))}


def xla_result(case: Mapping[str, Any], inputs: Inputs) -> Any:
    """On the XLA engine."""
    return stablegrad_result(case, inputs, "xla")


def guarded_result(case: Mapping[str, Any], inputs: Inputs) -> Any:
    """With guard precision."""
    import stablegrad as sg

    with sg.guard():
        return stablegrad_result(case, inputs)


def ruled_result(case: Mapping[str, Any], inputs: Inputs) -> Any:
    """Without synthesis: ops and rules alone."""
    import stablegrad as sg

    with sg.rules(exclude="synthesis"):
        return stablegrad_result(case, inputs)


def _total(x: Any) -> Any:
    return x.sum() if x.ndim else x


# -- JAX --------------------------------------------------------------------------------------


def jax_names() -> dict[str, Any]:
    """JAX's functions by the names of the cases."""
    import jax
    import jax.numpy as jnp
    from jax import lax
    from jax.scipy import special

    names: dict[str, Any] = {}
    for module in (jax.nn, special, jnp.linalg, jnp):
        names |= {n: getattr(module, n) for n in dir(module) if not n.startswith("_")}
    return names | {
        "abs": jnp.abs,
        "sum": jnp.sum,
        "max": jnp.max,
        "digamma": special.digamma,
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        "lgamma": special.gammaln,
        "log_sigmoid": jax.nn.log_sigmoid,
        "logsumexp": special.logsumexp,
        "rsqrt": lax.rsqrt,
        "softmax": jax.nn.softmax,
        "log_softmax": jax.nn.log_softmax,
        "svd": lambda a: jnp.linalg.svd(a, full_matrices=False),
    }


def jax_evaluate(*, stabilized: bool = False, jit: bool = False) -> Evaluate:
    """JAX with 64 bits, op by op or compiled, as it is or through our bridge."""
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    names = jax_names()

    def evaluate(case: Mapping[str, Any], inputs: Inputs) -> Any:
        f = foreign_function(case["expr"], names)
        if stabilized:
            f = _stabilized(f)
        values = {k: jax.numpy.asarray(v) for k, v in inputs.items()}
        run = jax.jit if jit else lambda g: g
        if case["order"] == 0:
            return run(f)(**values)

        def derivative(g: Function, name: str) -> Function:
            def by_name(**v: Any) -> Any:
                rest = {k: u for k, u in v.items() if k != name}
                return jax.grad(lambda u: g(**rest, **{name: u}))(v[name])

            return by_name

        if case["order"] == 1:
            return {w: run(derivative(f, w))(**values) for w in case["wrt"]}
        w = case["wrt"][0]
        first = derivative(f, w)
        return {w: run(derivative(lambda **v: first(**v).sum(), w))(**values)}

    return evaluate


def _stabilized(f: Function) -> Function:
    import stablegrad.jax as sj

    return sj.stabilize(f)


# -- torch ------------------------------------------------------------------------------------


def torch_names() -> dict[str, Any]:
    """torch's functions by the names of the cases."""
    import torch
    from torch.nn import functional

    names: dict[str, Any] = {}
    for module in (functional, torch.linalg, torch.special, torch):
        names |= {n: getattr(module, n) for n in dir(module) if not n.startswith("_")}

    def lifted(f: Function) -> Function:
        """torch's functions of two tensors take no plain numbers."""

        def call(*args: Any) -> Any:
            (like,) = [a for a in args if isinstance(a, torch.Tensor)][:1]
            full = [
                a if isinstance(a, torch.Tensor) else torch.tensor(a, dtype=like.dtype)
                for a in args
            ]
            return f(*full)

        return call

    for name in ("maximum", "minimum", "logaddexp", "hypot", "arctan2", "gammainc", "xlogy"):
        names[name] = lifted(names[name])
    names["where"] = lambda c, a, b: lifted(lambda x, y: torch.where(c, x, y))(a, b)
    return names | {
        "array": torch.stack,
        "concatenate": torch.cat,
        "cumprod": lambda x: torch.cumprod(x, 0),
        "cumsum": lambda x: torch.cumsum(x, 0),
        "gelu": functional.gelu,
        "log_softmax": lambda x: torch.log_softmax(x, -1),
        "logsumexp": lambda x: torch.logsumexp(x, 0),
        "max": torch.amax,
        "norm": torch.linalg.vector_norm,
        "sigmoid": torch.sigmoid,
        "softmax": lambda x: torch.softmax(x, -1),
        "std": lambda x: torch.std(x, correction=0),
        "svd": lambda a: torch.linalg.svd(a, full_matrices=False),
        "var": lambda x: torch.var(x, correction=0),
    }


def torch_evaluate() -> Evaluate:
    """torch, eager."""
    import torch

    names = torch_names()

    def evaluate(case: Mapping[str, Any], inputs: Inputs) -> Any:
        f = foreign_function(case["expr"], names)
        values = {k: torch.tensor(v, requires_grad=True) for k, v in inputs.items()}
        y = f(**values)
        if case["order"] == 0:
            return y.detach().numpy()
        xs = [values[w] for w in case["wrt"]]
        twice = case["order"] == 2
        found = _torch_gradients(y, xs, create_graph=twice)
        if twice:
            found = _torch_gradients(found[0].sum(), xs[:1], create_graph=False)
        return {w: g.detach().numpy() for w, g in zip(case["wrt"], found, strict=False)}

    return evaluate


def _torch_gradients(y: Any, xs: list[Any], *, create_graph: bool) -> list[Any]:
    import torch

    if not y.requires_grad:
        return [torch.zeros_like(x) for x in xs]
    return list(
        torch.autograd.grad(
            y, xs, create_graph=create_graph, allow_unused=True, materialize_grads=True
        )
    )
