"""Derivative rules for the operations of a program that ``stabilize`` is tracing.

They stand in for JAX's in its table, once and for all, and hand over to them wherever no
``stabilize`` is tracing: the context that they read is part of the keys of JAX's caches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from jax.interpreters import ad

from stablegrad.errors import StablegradError
from stablegrad.jax.marks import inside
from stablegrad.jax.operations import TRANSLATIONS, translate
from stablegrad.jax.primitive import is_placed, pushed
from stablegrad.jax.regions import Region, numbered, plain, region_of
from stablegrad.ops.record import is_float
from stablegrad.settings import Settings

Rule = Callable[..., Any]

THEIRS = frozenset("stop_gradient copy copy_p".split())
"""Operations whose derivatives JAX and we have alike."""


def applied(
    name: str, args: Sequence[Any], params: dict[str, Any], settings: Settings
) -> Region | None:
    """An operation over inputs of its own, None where terms do not have it.

    Args:
        name: of the primitive.
        args: values or avals, with shapes and dtypes.
        params: of the equation.
        settings: in force.
    """
    if not all(plain(a) for a in args):
        return None
    inputs = [numbered(i, a.shape, a.dtype) for i, a in enumerate(args)]
    try:
        roots = translate(name, tuple(inputs), params)
    except (StablegradError, KeyError):
        return None
    return None if roots is None else region_of(roots, inputs, settings)


def _rule(
    primitive: Any,
    theirs: Rule,
    primals: Sequence[Any],
    tangents: Sequence[Any],
    **params: Any,
) -> tuple[Any, Any]:
    settings = inside.value
    if settings is None or any(is_placed(jax.typeof(x)) for x in primals):
        return theirs(primals, tangents, **params)
    region = applied(primitive.name, [jax.typeof(x) for x in primals], params, settings)
    if region is None or not all(is_float(r.dtype) for r in region.roots):
        return theirs(primals, tangents, **params)
    found = primitive.bind(*primals, **params)
    out = found if primitive.multiple_results else [found]
    if any(
        (y.shape, y.dtype) != (r.shape, r.dtype) for y, r in zip(out, region.roots, strict=True)
    ):
        return theirs(primals, tangents, **params)
    moved = pushed(out, primals, tangents, region, source=(primitive, params))
    return (found, moved) if primitive.multiple_results else (found, moved[0])


def install() -> None:
    """Put the rules in the table."""
    for primitive, theirs in list(ad.primitive_jvps.items()):
        if primitive.name in TRANSLATIONS and primitive.name not in THEIRS:
            ad.primitive_jvps[primitive] = partial(_rule, primitive, theirs)


install()
