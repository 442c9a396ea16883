"""Functions of NumPy arrays, called back from compiled programs.

JAX's own ``pure_callback`` gives a function arrays of JAX, which are copied by a thread of the
pool that runs the program: where the pool is one thread, on one core, it waits for itself. So on
one CPU the arrays are taken as the program has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from stablegrad.ir import Shape

Kernel = Callable[..., Any]


def hosted(run: Kernel, shape: Shape | None = None) -> Kernel:
    """A function of NumPy arrays, called back from the compiled program.

    Args:
        run: the function, of float64 arrays.
        shape: of the result; None for that of the arguments, of which each element is one by
            itself.
    """

    def kernel(*xs: Any) -> Any:
        import jax

        arrays = jax.numpy.broadcast_arrays(*xs) if shape is None else xs
        # as bits: JAX rounds the floats of a callback where 64 bits are not enabled
        bits = [jax.lax.bitcast_convert_type(x.astype(np.float64), np.uint32) for x in arrays]
        size = (*(arrays[0].shape if shape is None else shape), 2)
        params: Any = {"run": run, "shape": size, "elementwise": shape is None}
        axes = frozenset[Any]().union(*[varying(x) for x in xs])
        found = _callback(*bits, **params) if axes else _primitive().bind(*bits, **params)
        found = jax.lax.bitcast_convert_type(found, np.float64)
        axes -= varying(found)
        return jax.lax.pcast(found, tuple(sorted(axes)), to="varying") if axes else found

    return kernel


def _called(*values: Any, run: Kernel) -> Any:
    given = [np.ascontiguousarray(v).view(np.float64)[..., 0] for v in values]
    with np.errstate(all="ignore"):
        found = run(*given)
    return np.asarray(found, np.float64)[..., None].view(np.uint32)


def _callback(*bits: Any, run: Kernel, shape: Shape, elementwise: bool) -> Any:
    import jax

    result = jax.ShapeDtypeStruct(shape, np.dtype(np.uint32))
    method = "broadcast_all" if elementwise else "sequential"
    return jax.pure_callback(partial(_called, run=run), result, *bits, vmap_method=method)


@cache
def _primitive() -> Any:
    import jax
    from jax.core import ShapedArray
    from jax.extend.core import Primitive
    from jax.interpreters import batching, mlir

    host_p = Primitive("stablegrad_host")

    def shaped(*_: Any, shape: Shape, **__: Any) -> Any:
        return ShapedArray(shape, np.dtype(np.uint32))

    def alone(*bits: Any, **params: Any) -> Any:
        return jax.jit(partial(host_p.bind, **params))(*bits)

    def batched(bits: Sequence[Any], axes: Sequence[Any], **params: Any) -> Any:
        front = [
            x if axis is None else jax.numpy.moveaxis(x, axis, 0)
            for x, axis in zip(bits, axes, strict=True)
        ]
        mapped = [axis is not None for axis in axes]
        size = front[mapped.index(True)].shape[0]
        full = [
            x if m else jax.numpy.broadcast_to(x, (size, *x.shape))
            for x, m in zip(front, mapped, strict=True)
        ]
        if params["elementwise"]:
            return host_p.bind(*full, **params | {"shape": (size, *params["shape"])}), 0
        return jax.lax.map(lambda xs: host_p.bind(*xs, **params), tuple(full)), 0

    # no decorators: emitted source is without them
    host_p.def_abstract_eval(shaped)
    host_p.def_impl(alone)
    batching.primitive_batchers[host_p] = batched
    elsewhere = mlir.lower_fun(_callback, multiple_results=False)
    mlir.register_lowering(host_p, elsewhere)

    def on_cpu(ctx: Any, *bits: Any, **params: Any) -> Any:
        module = ctx.module_context
        if getattr(module.axis_context, "num_devices", 1) not in (None, 1):
            return elsewhere(ctx, *bits, **params)

        def called(*values: Any) -> Any:
            return (_called(*values, run=params["run"]),)

        found, _, _ = mlir.emit_python_callback(
            ctx, called, None, bits, ctx.avals_in, ctx.avals_out, has_side_effect=False
        )
        return found

    mlir.register_lowering(host_p, on_cpu, platform="cpu")
    return host_p


def varying(x: Any) -> frozenset[Any]:
    """The axes of a shard_map along which an array may differ from device to device."""
    import jax

    kind = getattr(jax.typeof(x), "manual_axis_type", None)
    return frozenset(getattr(kind, "varying", ()))
