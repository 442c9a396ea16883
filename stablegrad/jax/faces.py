"""The public functions of the bridge, with the signatures of JAX's own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from stablegrad.collecting import seldom_collected
from stablegrad.errors import DTypeError, message
from stablegrad.jax import inside as _  # noqa: F401 - puts the rules in JAX's table
from stablegrad.jax.marks import inside
from stablegrad.jax.primitive import typed
from stablegrad.jax.report import Report
from stablegrad.jax.rewriting import Rewriter
from stablegrad.settings import current

Function = Callable[..., Any]


def stabilize(f: Function) -> Function:
    """A function with f's arguments and results, its value and derivatives computed stably.

    It works under and over ``jax.jit``, ``grad``, ``vmap``, ``jvp``, ``linearize``, ``hessian``,
    ``checkpoint``, ``shard_map`` and control flow; put it inside of ``jit``, next to f. Python
    numbers, strings, None and whatever is no array are constants of the trace, as they are for f.

    Args:
        f: a function of arrays in containers; anything that JAX can trace.

    Returns:
        The stabilized function. Primitives outside the vocabulary (matrix products,
        decompositions, random numbers, callbacks) run as they are; ``explain`` lists them.

    Raises:
        DTypeError: f is not callable.

    Accuracy: where inputs, results and a way between them are normal floats, as the op records
    say; XLA flushes subnormals.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> f = stabilize(lambda x: jnp.log(1 - jax.nn.sigmoid(x)))
        >>> print(f(50.0), jax.grad(f)(50.0))
        -50.0 -1.0
    """
    if not callable(f):
        raise DTypeError(message(f"stabilize({type(f).__name__})", "a function"))

    @functools.wraps(f)
    def stabilized(*args: Any, **kwargs: Any) -> Any:
        return _run(f, args, kwargs, Report())

    return stabilized


def explain(f: Function) -> Callable[..., Report]:
    """A function that tells what ``stabilize`` does with f for given arguments.

    Args:
        f: as for ``stabilize``.

    Returns:
        A function of f's arguments that returns a ``Report``: ``.regions``, ``.fired`` (the
        rules, with reasons), ``.passed`` (the primitives left alone, with the user's lines).

    Example:
        >>> import jax, jax.numpy as jnp
        >>> report = explain(lambda x: jnp.log(1 - jax.nn.sigmoid(x)))(1.0)
        >>> len(report.regions), report.passed
        (1, ())
    """

    @functools.wraps(f)
    def explained(*args: Any, **kwargs: Any) -> Report:
        report = Report()
        jax.make_jaxpr(lambda a, k: _run(f, a, k, report))(args, kwargs)
        return report

    return explained


def _is_array(x: Any) -> bool:
    return isinstance(x, jax.Array | np.ndarray | np.generic) or hasattr(x, "__jax_array__")


def _run(f: Function, args: Any, kwargs: Any, report: Report) -> Any:
    leaves, structure = jax.tree.flatten((args, kwargs))
    dynamic = [i for i, x in enumerate(leaves) if _is_array(x) or isinstance(x, float)]

    def flat(*values: Any) -> Any:
        given = list(leaves)
        for i, x in zip(dynamic, values, strict=True):
            given[i] = x
        a, k = jax.tree.unflatten(structure, given)
        return f(*a, **k)

    values = [leaves[i] for i in dynamic]
    settings = current()
    with inside(settings):
        closed, shape = jax.make_jaxpr(flat, return_shape=True)(*values)
    with seldom_collected():
        found = Rewriter(settings, report).run(closed, values)
    found = [typed(x, aval) for x, aval in zip(found, closed.out_avals, strict=True)]
    return jax.tree.unflatten(jax.tree.structure(shape), found)


def grad(
    fun: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False, **options: Any
) -> Function:
    """``jax.grad`` of the stabilized function.

    Example:
        >>> import jax
        >>> print(grad(jax.nn.sigmoid)(jax.numpy.float32(30)))
        9.357623e-14
    """
    return jax.grad(stabilize(fun), argnums, has_aux, **options)


def value_and_grad(
    fun: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False, **options: Any
) -> Function:
    """``jax.value_and_grad`` of the stabilized function.

    Example:
        >>> import jax.numpy as jnp
        >>> value, slope = value_and_grad(lambda x: jnp.sqrt(x) ** 2)(0.0)
        >>> print(value, slope)
        0.0 1.0
    """
    return jax.value_and_grad(stabilize(fun), argnums, has_aux, **options)


def jacobian(
    fun: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False, **options: Any
) -> Function:
    """``jax.jacrev`` of the stabilized function, as ``jax.jacobian``.

    Example:
        >>> import jax.numpy as jnp
        >>> print(jacobian(jnp.tanh)(jnp.zeros(1)))
        [[1.]]
    """
    return jax.jacrev(stabilize(fun), argnums, has_aux, **options)


def hessian(
    fun: Function, argnums: int | Sequence[int] = 0, has_aux: bool = False, **options: Any
) -> Function:
    """``jax.hessian`` of the stabilized function.

    Example:
        >>> import jax.numpy as jnp
        >>> print(hessian(lambda x: jnp.sum(x**3))(jnp.ones(1)))
        [[6.]]
    """
    return jax.hessian(stabilize(fun), argnums, has_aux, **options)
