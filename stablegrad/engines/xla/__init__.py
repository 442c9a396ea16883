"""The XLA engine: terms as JAX functions. JAX is imported when the engine is first used.

XLA on CPU flushes subnormals, so what this engine promises is for normal inputs, results and
intermediates; the forms are chosen so that intermediates stay normal. Every emission happens
under ``jax.enable_x64``, so that a float32 program may hold float64 parts wherever it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from stablegrad.engines.xla.kernels import KERNELS, on_host
from stablegrad.engines.xla.namespace import namespace
from stablegrad.engines.xla.single import SINGLE_KERNELS
from stablegrad.errors import UnknownNameError, message
from stablegrad.ir import Term, topological
from stablegrad.ops.record import CONST, Op, round_to

Array = np.ndarray[Any, Any]


@cache
def import_jax() -> Any:
    """JAX, or an error that names the extra."""
    try:
        import jax
    except ImportError:
        raise UnknownNameError(
            message("the engine 'xla'", "JAX to be installed", "`pip install stablegrad[jax]`")
        ) from None
    return jax


def kernel_of(op: Op, dtype: Any) -> Callable[..., Any]:
    """The kernel of an op on this engine, for results of a dtype."""
    if dtype.itemsize == 4 and op.name in SINGLE_KERNELS:
        return SINGLE_KERNELS[op.name]
    return KERNELS.get(op.name) or op.engine_kernels.get("xla", op.kernel)


class Emission:
    """Lowered terms as a function of JAX arrays: traced under jit, vmap or a lowering rule."""

    def __init__(self, roots: Sequence[Term], inputs: Sequence[Term]) -> None:
        self.order = topological([*inputs, *roots])
        self.inputs = tuple(inputs)
        self.roots = tuple(roots)

    def __call__(self, *values: Any) -> list[Any]:
        """The values of the roots. Call it with ``jax.enable_x64(True)`` in force."""
        xp = namespace(import_jax())
        known: dict[Term, Any] = dict(zip(self.inputs, values, strict=True))
        for term in self.order:
            if term not in known:
                known[term] = _apply(xp, term, [known[a] for a in term.args])
        return [_shaped(xp, known[r], r) for r in self.roots]


def _apply(xp: Any, term: Term, args: list[Any]) -> Any:
    if term.op is CONST:  # scalars: XLA fills shapes itself
        return xp.asarray(round_to(term.params[0], term.dtype))
    params = dict(zip(term.op.params, term.params, strict=True))
    if not term.op.elementwise:  # constants are held as scalars
        args = [_shaped(xp, x, a) for x, a in zip(args, term.args, strict=True)]
    try:
        found = kernel_of(term.op, term.dtype)(xp, *args, **params)
    except import_jax().errors.JAXTypeError:  # a kernel that looks at values
        found = on_host(term.op, term.shape)(xp, *args, **params)
    value = xp.asarray(found)
    return value if value.dtype == term.dtype else value.astype(term.dtype)


def _shaped(xp: Any, value: Any, term: Term) -> Any:
    return value if value.shape == term.shape else xp.broadcast_to(value, term.shape)


class Plan:
    """A program compiled by XLA, with the interface of the NumPy plan."""

    def __init__(self, roots: Sequence[Term], inputs: Sequence[Term]) -> None:
        jax = import_jax()
        self._enable = partial(jax.enable_x64, True)
        self._run = jax.jit(Emission(roots, inputs))

    def __call__(self, values: Sequence[Array]) -> list[Array]:
        """Run on the values of the inputs, in their order; return those of the roots."""
        with self._enable():
            return [np.asarray(v) for v in self._run(*values)]
