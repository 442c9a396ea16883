"""Inputs for an audit: drawn from intervals, or a deterministic part of data that is too large."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optree

from stablegrad.audit.trace import TREES, Array, name_of
from stablegrad.errors import DomainError, DTypeError, message
from stablegrad.tensor import Tensor, get_default_dtype

Interval = tuple[float, float]
Domain = Mapping[str, Sequence[float]] | str

WIDE = 100.0
"""From this quotient of its ends on, an interval of one sign is drawn log-uniformly."""
SMALLEST = 2.0**-40
"""The smallest magnitudes drawn, relative to the larger end, where 0 is inside."""


def parse_domain(domain: Domain) -> dict[str, Interval]:
    """Intervals by name, from a mapping or from text such as "x=-100:100, y=1e-3:1e3".

    Raises:
        DomainError: an interval that is not lo:hi with two finite numbers, lo below hi.
    """
    if isinstance(domain, Mapping):
        pairs = [(name, _ends(name, ends)) for name, ends in domain.items()]
    else:
        pairs = [_pair(part) for part in domain.split(",") if part.strip()]
    found: dict[str, Interval] = {}
    for name, ends in pairs:
        try:
            lo, hi = (float(end) for end in ends)
        except (TypeError, ValueError):
            raise _not_an_interval(f"{name}={ends}") from None
        if not (math.isfinite(lo) and math.isfinite(hi) and lo <= hi):
            raise _not_an_interval(f"{name}={lo:g}:{hi:g}")
        found[name] = (lo, hi)
    if not found:
        raise _not_an_interval(repr(domain))
    return found


def _ends(name: str, ends: Any) -> tuple[Any, ...]:
    if not isinstance(ends, tuple | list):
        raise _not_an_interval(f"{name}={ends}")
    return tuple(ends)


def _pair(part: str) -> tuple[str, tuple[str, ...]]:
    name, equals, ends = part.partition("=")
    if not equals or not name.strip().isidentifier() or ends.count(":") != 1:
        raise _not_an_interval(part.strip())
    return name.strip(), tuple(ends.split(":"))


def _not_an_interval(text: str) -> DomainError:
    return DomainError(
        message(f"the domain {text}", "name=lo:hi with finite numbers, lo at most hi", "x=-50:50")
    )


def draw(interval: Interval, points: int, generator: np.random.Generator, dtype: Any) -> Array:
    """Points of an interval, its ends among them.

    Of one sign and wide: log-uniformly. Else half of them uniformly, half with log-uniform
    magnitudes, for trouble is often close to 0; then 0 itself is drawn as well.
    """
    lo, hi = interval
    if lo > 0 or hi < 0:
        small, large = sorted((abs(lo), abs(hi)))
        if large / small >= WIDE:
            values = np.exp(generator.uniform(math.log(small), math.log(large), points))
            values = np.clip(values, small, large) * math.copysign(1.0, lo)
        else:
            values = generator.uniform(lo, hi, points)
    else:
        values = lo + (hi - lo) * generator.uniform(0.0, 1.0, points)
        near = generator.uniform(0.0, 1.0, points) < 0.5
        end = np.where(values < 0, lo, hi)
        values = np.where(near, end * SMALLEST ** generator.uniform(0.0, 1.0, points), values)
    special = [lo, hi, 0.0] if lo < 0 < hi else [lo, hi]
    count = min(len(special), points)
    values[:count] = special[:count]
    return values.astype(dtype)


def drawn_arguments(
    f: Callable[..., Any],
    args: Sequence[Any],
    domain: Domain,
    *,
    points: int,
    seed: int,
    dtype: Any = None,
) -> list[Any]:
    """The positional arguments of a function, those not given drawn from their intervals.

    Raises:
        DomainError: a parameter without a value or interval, or an interval for none.
    """
    if points < 1:
        raise DomainError(message(f"{points} points", "at least one"))
    intervals = parse_domain(domain)
    parameters = inspect.signature(f).parameters
    names = [
        n for n, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(args) > len(names):
        raise DTypeError(
            message(f"{len(args)} arguments for {name_of(f)}", f"{len(names)} and a domain")
        )
    free = names[len(args) :]
    unknown = [n for n in intervals if n not in free]
    missing = [
        n for n in free if n not in intervals and parameters[n].default is inspect.Parameter.empty
    ]
    if unknown or missing:
        got = f"no interval for {missing[0]}" if missing else f"an interval for {unknown[0]}"
        expected = f"one for each of {', '.join(free) or 'no parameter'} of {name_of(f)}"
        raise DomainError(message(got, expected, "x=-50:50,y=0:1"))
    generator = np.random.default_rng(seed)
    kind = np.dtype(get_default_dtype() if dtype is None else dtype)
    values = {n: draw(intervals[n], points, generator, kind) for n in free if n in intervals}
    last = max((i for i, n in enumerate(free) if n in values), default=-1)
    return [*args, *[values.get(n, parameters[n].default) for n in free[: last + 1]]]


# -- data too large for the oracle ----------------------------------------------------------


def lengths_of(args: Sequence[Any]) -> list[int]:
    """The lengths of first axes, those of most arrays, and of the largest, first."""
    data: Any = tuple(args)
    leaves: list[Any] = optree.tree_leaves(data, **TREES)
    arrays = [a for a in leaves if isinstance(a, np.ndarray | Tensor) and a.ndim]
    votes: dict[int, tuple[int, int]] = {}
    for a in arrays:
        number, size = votes.get(a.shape[0], (0, 0))
        votes[a.shape[0]] = (number + 1, size + a.size)
    return sorted(votes, key=lambda n: votes[n], reverse=True)


def thinned(args: Sequence[Any], rows: int, keep: Array) -> list[Any]:
    """The arguments with the rows ``keep`` of every array that has ``rows`` of them."""

    def cut(value: Any) -> Any:
        if isinstance(value, np.ndarray | Tensor) and value.ndim and value.shape[0] == rows:
            array = value.numpy() if isinstance(value, Tensor) else value
            return array[keep]
        return value

    return [optree.tree_map(cut, arg, **TREES) for arg in args]


def spread_rows(rows: int, count: int, first: Array) -> Array:
    """``count`` of the rows, evenly spread, at most half of them those in ``first``.

    Args:
        rows: how many there are.
        count: how many to keep.
        first: rows that are known to be in trouble.
    """
    chosen = first[np.linspace(0, len(first) - 1, min(len(first), count // 2)).astype(int)]
    even = np.linspace(0, rows - 1, count - len(chosen)).astype(int)
    return np.unique(np.concatenate([chosen, even]).astype(int))
