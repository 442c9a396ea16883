"""The functions of other people's libraries that ``benchmarks.jax_libraries`` judges.

Found by looking through the modules, not listed by hand: activations of ``jax.nn``, losses of
``optax.losses``, and densities of ``numpyro.distributions``, each with arguments drawn by what
the library says that they may be.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from stablegrad.testing import sample_bits

CLASSES = 3
"""The length of a row, where a function takes rows."""
NO_ACTIVATION = frozenset(
    "initializers one_hot dot_product_attention scaled_dot_general scaled_matmul "
    "get_scaled_dot_general_config".split()
)
Column = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Program:
    """A function of arrays with a result for each point."""

    name: str
    f: Callable[..., Any]
    columns: tuple[Column, ...]


def programs(points: int, rng: np.random.Generator) -> Iterator[Program]:
    """All of them, each with arguments of the kinds it takes."""
    yield from _activations(points, rng)
    yield from _losses(points, rng)
    yield from _densities(points, rng)


def _reals(points: int, rng: np.random.Generator, *row: int) -> Column:
    """Half everyday sizes, half by bit pattern."""
    size = (points, *row)
    bits = sample_bits(np.float32, int(np.prod(size)), rng).reshape(size)
    tiny = np.finfo(np.float32).tiny
    bits = np.where((np.abs(bits) < tiny) | ~np.isfinite(bits), np.float32(1), bits)
    everyday = rng.normal(size=size) * 3
    half = (np.arange(points) % 2).reshape(points, *[1] * len(row))
    return np.where(half == 0, everyday, bits).astype(np.float32)


def _fractions(points: int, rng: np.random.Generator) -> Column:
    """Half everyday, half next to 0 and 1."""
    z = np.where(np.arange(points) % 2 == 0, rng.normal(size=points), rng.normal(size=points) * 12)
    return np.clip(1 / (1 + np.exp(-z)), 1e-30, 1 - 2.0**-24).astype(np.float32)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        from benchmarks.measure import console

        console.print(f"{name} is not installed, its functions are left out: [bench] has it")
        return None


def _activations(points: int, rng: np.random.Generator) -> Iterator[Program]:
    import jax

    for name in sorted(set(dir(jax.nn)) - NO_ACTIVATION):
        f = getattr(jax.nn, name)
        if not callable(f) or name.startswith("_"):
            continue
        yield Program(f"jax.nn.{name}", f, (_reals(points, rng),))
        yield Program(f"jax.nn.{name} of rows", _first(f), (_reals(points, rng, CLASSES),))


def _first(f: Callable[..., Any]) -> Callable[..., Any]:
    """The first of each row of results."""

    def first(*args: Any) -> Any:
        out = f(*args)
        return out[:, 0] if out.ndim > 1 else out

    return first


def _losses(points: int, rng: np.random.Generator) -> Iterator[Program]:
    module = _module("optax.losses")
    for name in sorted(dir(module) if module else ()):
        f = getattr(module, name)
        if not inspect.isfunction(f) or name.startswith("_"):
            continue
        pair = _reals(points, rng), _reals(points, rng)
        labelled = _reals(points, rng), (rng.random(points) < 0.5).astype(np.float32)
        shares = rng.dirichlet(np.ones(CLASSES), points).astype(np.float32)
        rows = _reals(points, rng, CLASSES)
        yield Program(f"optax.losses.{name}", f, pair)
        yield Program(f"optax.losses.{name} of labels", f, labelled)
        yield Program(f"optax.losses.{name} of rows", f, (rows, shares))
        yield Program(
            f"optax.losses.{name} of classes",
            _with(f, rng.integers(0, CLASSES, points)),
            (rows,),
        )


def _with(f: Callable[..., Any], labels: Any) -> Callable[..., Any]:
    return lambda logits: f(logits, labels)


def _densities(points: int, rng: np.random.Generator) -> Iterator[Program]:
    module = _module("numpyro.distributions")
    for name in sorted(dir(module) if module else ()):
        kind = getattr(module, name)
        if not inspect.isclass(kind) or not issubclass(kind, module.Distribution):
            continue
        program = _density(name, kind, points, rng)
        if program is not None:
            yield program


def _density(name: str, kind: Any, points: int, rng: np.random.Generator) -> Program | None:
    constraints = dict(getattr(kind, "arg_constraints", {}))
    drawn = [_drawn(c, points, rng) for c in constraints.values()]
    columns = [c for c in drawn if c is not None]
    if not columns or len(columns) < len(drawn):
        return None
    names = list(constraints)
    if "low" in names and "high" in names:  # an interval has to be one
        low, high = names.index("low"), names.index("high")
        columns[low], columns[high] = np.sort([columns[low], columns[high]], axis=0)
    try:
        support = kind(**dict(zip(names, columns, strict=True)), validate_args=False).support
    except Exception:  # noqa: BLE001 - a class that is not made of these arguments alone
        return None
    value = _drawn(support, points, rng)
    if value is None or support.is_discrete or support.event_dim:
        return None

    def log_prob(x: Any, *args: Any) -> Any:
        return kind(**dict(zip(names, args, strict=True)), validate_args=False).log_prob(x)

    return Program(f"numpyro {name}", log_prob, (value, *columns))


def _drawn(constraint: Any, points: int, rng: np.random.Generator) -> Column | None:
    """Values that a constraint allows, None where it is of another kind."""
    what = type(constraint).__name__.strip("_").lower()
    low = getattr(constraint, "lower_bound", None)
    high = getattr(constraint, "upper_bound", None)
    if what in ("real", "circular"):
        return _reals(points, rng)
    if what in ("unitinterval", "openinterval", "interval") and low is not None:
        return (low + (high - low) * _fractions(points, rng)).astype(np.float32)
    if what in ("greaterthan", "greaterthaneq", "positive", "nonnegative"):
        low = 0 if low is None else low
        drawn = np.maximum(np.abs(_reals(points, rng)), np.finfo(np.float32).tiny)
        return np.asarray(low + drawn, np.float32)
    if what in ("lessthan", "lessthaneq"):
        return np.asarray(high - np.abs(_reals(points, rng)), np.float32)
    return None
