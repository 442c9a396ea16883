"""The one JAX primitive of the bridge: a region, with its rules for every transform of JAX.

Under jvp it binds the region's tangent program, under transposition its pullback, under vmap
itself with the mapped arguments marked, so that what is differentiated after vmap is still the
region. It is lowered by tracing the region's emission, float64 parts included. What JAX keeps
between the passes are the inputs of the region, nothing inside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import NamedSharding, PartitionSpec

from stablegrad.collecting import seldom_collected
from stablegrad.engines.xla.hosting import varying
from stablegrad.engines.xla.kernels import calling_back
from stablegrad.jax.direct import lowered
from stablegrad.jax.marks import Mark, application
from stablegrad.jax.regions import Region

Batch = tuple[tuple[bool, ...], ...]
"""For each vmap around the region, from the inside, which arguments have its axis in front."""

region_p = Primitive("stablegrad")
region_p.multiple_results = True


def apply(
    region: Region, args: Sequence[Any], batch: Batch = (), mark: Mark | None = None
) -> list[Any]:
    """The results of a region for arguments in the order of its inputs."""
    return region_p.bind(*_common(args), region=region, batch=batch, mark=mark)


def _common(args: Sequence[Any]) -> list[Any]:
    """The arguments varying over the same axes of a shard_map: sums over devices are JAX's."""
    axes = [varying(x) for x in args]
    union: frozenset[Any] = frozenset().union(*axes)
    if not union:
        return list(args)
    return [
        jax.lax.pcast(x, tuple(sorted(union - v)), to="varying") if union - v else x
        for x, v in zip(args, axes, strict=True)
    ]


def is_placed(aval: Any) -> bool:
    """Whether a type says how its values are split over devices."""
    sharding = getattr(aval, "sharding", None)
    return sharding is not None and any(s is not None for s in sharding.spec)


def typed(x: Any, aval: Any) -> Any:
    """A value as an array, of the weak type that it has without us."""
    if not isinstance(x, jax.Array) and isinstance(aval, ShapedArray):
        x = jax.numpy.asarray(x, aval.dtype)
    if not getattr(aval, "weak_type", False) or jax.typeof(x).weak_type:
        return x
    return jax.lax.convert_element_type_p.bind(
        x, new_dtype=aval.dtype, weak_type=True, sharding=None
    )


def is_one(x: Any) -> bool:
    """Whether a value is the number 1 by what a trace knows of it."""
    known = getattr(x, "get_const", None)
    if known is None or jax.numpy.shape(x) != ():
        return False
    value = known()
    return value is not None and bool(np.asarray(value) == 1)


def _evaluate(*args: Any, region: Region, batch: Batch, mark: Mark | None) -> list[Any]:
    f = region.emission(math.prod(_sizes(args, batch)))
    for flags in batch:
        f = jax.vmap(f, in_axes=tuple([0 if mapped else None for mapped in flags]))
    # without a jit around each operation of jax.numpy, which would be most of the tracing time
    with jax.enable_x64(True), jax.disable_jit():
        return f(*args)


def _sizes(avals: Sequence[Any], batch: Batch) -> tuple[int, ...]:
    """The sizes of the mapped axes, the outermost first."""
    sizes: list[int] = []
    shapes = [list(a.shape) for a in avals]
    for flags in reversed(batch):
        found = [shape.pop(0) for shape, mapped in zip(shapes, flags, strict=True) if mapped]
        sizes.append(found[0])
    return tuple(sizes)


@region_p.def_abstract_eval
def _abstract(*avals: Any, region: Region, batch: Batch, mark: Mark | None) -> list[Any]:
    front = _sizes(avals, batch)
    shapes = [(*front, *r.shape) for r in region.roots]
    kind = getattr(avals[0], "manual_axis_type", None) if avals else None
    if kind is None or not kind.varying:
        pairs = zip(shapes, region.roots, strict=True)
        return [ShapedArray(shape, r.dtype) for shape, r in pairs]
    mesh = avals[0].sharding.mesh
    return [
        ShapedArray(
            shape,
            r.dtype,
            sharding=NamedSharding(mesh, PartitionSpec(*[None] * len(shape))),
            manual_axis_type=kind,
        )
        for shape, r in zip(shapes, region.roots, strict=True)
    ]


@lru_cache(maxsize=1024)
def _compiled(region: Region, batch: Batch) -> Any:
    return jax.jit(partial(region_p.bind, region=region, batch=batch, mark=None))


@region_p.def_impl
def _run(*args: Any, region: Region, batch: Batch, mark: Mark | None) -> list[Any]:
    return _compiled(region, batch)(*args)


def _lower(ctx: Any, *args: Any, region: Region, batch: Batch, mark: Mark | None) -> Any:
    with jax.enable_x64(True), calling_back(_on_one_device(ctx)), seldom_collected():
        if not batch:
            with jax.disable_jit():
                found = lowered(ctx, region.emission(1), args)
            if found is not None:
                return found
        rule = mlir.lower_fun(_evaluate, multiple_results=True)
        return rule(ctx, *args, region=region, batch=batch, mark=mark)


def _on_one_device(ctx: Any) -> bool:
    """Whether a callback sees what it computes: not in what is exported or partitioned later."""
    module = ctx.module_context
    if getattr(getattr(module, "lowering_parameters", None), "for_export", False):
        return False
    return getattr(module.axis_context, "num_devices", 1) in (None, 1)


mlir.register_lowering(region_p, _lower)


def _jvp(
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    region: Region,
    batch: Batch,
    mark: Mark | None,
) -> tuple[list[Any], list[Any]]:
    out = apply(region, primals, batch, mark)
    return out, pushed(out, primals, tangents, region, batch, mark)


def pushed(
    out: Sequence[Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    region: Region,
    batch: Batch = (),
    mark: Mark | None = None,
    source: tuple[Any, dict[str, Any]] | None = None,
) -> list[Any]:
    """The tangents of a region's results from those of its arguments."""
    moved = tuple([i for i, t in enumerate(tangents) if not isinstance(t, ad.Zero)])
    zeros = [ad.Zero(jax.typeof(y).to_tangent_aval()) for y in out]
    if not moved:
        return zeros
    with seldom_collected():
        tangent, places = region.tangent(moved)
    if not places:
        return zeros
    given = [tangents[i] for i in moved]
    marks = tuple([(*flags, *[flags[i] for i in moved]) for flags in batch])
    derived = application(region, mark, primals, out, moved, places, source)
    found = dict(zip(places, apply(tangent, [*primals, *given], marks, derived), strict=True))
    return [found.get(k, zero) for k, zero in enumerate(zeros)]


ad.primitive_jvps[region_p] = _jvp


def _transpose(
    cotangents: Sequence[Any], *args: Any, region: Region, batch: Batch, mark: Mark | None
) -> list[Any]:
    wanted = tuple([i for i, x in enumerate(args) if ad.is_undefined_primal(x)])
    given = tuple([k for k, c in enumerate(cotangents) if not isinstance(c, ad.Zero)])
    result: list[Any] = [None] * len(args)
    for i in wanted:
        result[i] = ad.Zero(args[i].aval.to_ct_aval())
    if not given:
        return result
    with seldom_collected():
        pullback, places = region.pullback(wanted, given)
    if not places:
        return result
    known = [i for i in range(len(args)) if i not in wanted]
    marks = tuple([(*[flags[i] for i in known], *[True] * len(given)) for flags in batch])
    values = [*[args[i] for i in known], *[cotangents[k] for k in given]]
    derived = None
    if mark is not None and wanted == tuple(range(len(args) - len(mark.moved), len(args))):
        derived = mark.transposed(places, given)
    if derived is None:
        ones = tuple([i for i, x in enumerate(values) if i >= len(known) and is_one(x)])
        pullback = pullback.at_one(ones)
        values = [x for i, x in enumerate(values) if i not in ones]
    for j, value in zip(places, apply(pullback, values, marks, derived), strict=True):
        i = wanted[j]
        # an argument without the axis of a vmap has the sum over it
        shared = tuple([k for k, flags in enumerate(reversed(batch)) if not flags[i]])
        total = jax.numpy.sum(value, axis=shared) if shared else value
        result[i] = typed(total, args[i].aval)
    return result


ad.primitive_transposes[region_p] = _transpose


def _batched(
    args: Sequence[Any], dims: Sequence[Any], *, region: Region, batch: Batch, mark: Mark | None
) -> tuple[list[Any], list[int]]:
    flags = tuple([d is not None for d in dims])
    moved = [
        x if d is None or d == 0 else jax.numpy.moveaxis(x, d, 0)
        for x, d in zip(args, dims, strict=True)
    ]
    out = apply(region, moved, (*batch, flags), mark)
    return out, [0] * len(out)


batching.primitive_batchers[region_p] = _batched
