"""Inputs for an audit: drawn from intervals, or a deterministic part of data that is too large."""

from __future__ import annotations

import inspect
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import optree

from stablegrad.audit.floats import by_bits
from stablegrad.audit.trace import TREES, Array, name_of
from stablegrad.errors import DomainError, DTypeError, message
from stablegrad.tensor import Tensor, get_default_dtype

Domain = Mapping[str, Sequence[Any]] | str


class Interval(NamedTuple):
    """An interval of a domain; arrays of a shape are drawn from it where one is given."""

    lo: float
    hi: float
    shape: tuple[int, ...] | None = None


WIDE = 100.0
"""From this quotient of its ends on, an interval of one sign is drawn log-uniformly."""
SMALLEST = 2.0**-40
"""The smallest magnitudes drawn, relative to the larger end, where 0 is inside."""


def parse_domain(domain: Domain) -> dict[str, Interval]:
    """Intervals by name: from a mapping, or from text such as "x=-100:100, y[3]=1e-3:1e3".

    A mapping holds ``(lo, hi)``, or ``(lo, hi, shape)`` for arrays.

    Raises:
        DomainError: an interval that is not lo:hi with two finite numbers, lo at most hi.
    """
    if isinstance(domain, Mapping):
        given = [(name, *_ends(name, ends)) for name, ends in domain.items()]
    else:
        given = [_pair(part) for part in re.split(r",(?![^\[]*\])", domain) if part.strip()]
    found: dict[str, Interval] = {}
    for name, low, high, *shape in given:
        try:
            lo, hi = float(low), float(high)
            sizes = tuple([operator.index(n) for n in shape[0]]) if shape else None
        except (TypeError, ValueError):
            told = f"{low}:{high}" if not shape else f"{(low, high, *shape)}"
            raise _not_an_interval(f"{name}={told}") from None
        if not (math.isfinite(lo) and math.isfinite(hi) and lo <= hi):
            raise _not_an_interval(f"{name}={lo:g}:{hi:g}")
        if sizes is not None and any(n < 1 for n in sizes):
            raise _not_an_interval(f"{name}{list(sizes)}")
        found[name] = Interval(lo, hi, sizes)
    if not found:
        raise _not_an_interval(repr(domain))
    return found


def _ends(name: str, ends: Any) -> tuple[Any, ...]:
    if not isinstance(ends, tuple | list) or len(ends) not in (2, 3):
        raise _not_an_interval(f"{name}={ends}")
    return tuple(ends)


_PART = re.compile(r"([^=\[\]]+?)\s*(\[[\d,\s]*\])?\s*=([^:]*):([^:]*)")


def _pair(part: str) -> tuple[Any, ...]:
    found = _PART.fullmatch(part.strip())
    if found is None or not found[1].isidentifier():
        raise _not_an_interval(part.strip())
    name, sizes, lo, hi = found.groups()
    if sizes is None:
        return name, lo, hi
    return name, lo, hi, tuple([int(n) for n in sizes[1:-1].split(",") if n.strip()])


def _not_an_interval(text: str) -> DomainError:
    return DomainError(
        message(
            f"the domain {text}",
            "name=lo:hi with finite numbers, lo at most hi",
            "x=-50:50 or x[3]=-1:1",
        )
    )


def draw(
    interval: Interval | tuple[float, float],
    points: int,
    generator: np.random.Generator,
    dtype: Any,
) -> Array:
    """Points of an interval, its ends among them.

    A quarter is uniform over the bit patterns. Of the rest, in an interval of one sign that is
    wide, all are log-uniform; else half of them are uniform and half have log-uniform magnitudes,
    for trouble is often close to 0; then 0 itself is drawn as well.
    """
    lo, hi = interval[:2]
    dtype = np.dtype(dtype)
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
    with np.errstate(over="ignore"):
        found = values.astype(dtype)
    raw = by_bits(lo, hi, points, generator, dtype)
    chosen = (np.arange(points) >= count) & (generator.uniform(0.0, 1.0, points) < 0.25)
    return np.where(chosen, raw, found)


@dataclass(frozen=True)
class Call:
    """How a function is called: arguments that are given, and those that a domain leaves open.

    Attributes:
        args: values for the first parameters.
        free: the names of the others, in order.
        intervals: by name, of those that are drawn.
        defaults: by name, of those that are not.
        dtype: of the points.
    """

    args: tuple[Any, ...]
    free: tuple[str, ...]
    intervals: Mapping[str, Interval]
    defaults: Mapping[str, Any]
    dtype: np.dtype[Any]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """The positional arguments, from values of the parameters that are drawn."""
        last = max((i for i, n in enumerate(self.free) if n in values), default=-1)
        names = self.free[: last + 1]
        return [*self.args, *[values[n] if n in values else self.defaults[n] for n in names]]

    def draw(self, points: int, generator: np.random.Generator) -> dict[str, Array]:
        """Points for every parameter: arrays of them along a first axis."""
        found: dict[str, Array] = {}
        for name, interval in self.intervals.items():
            shape = interval.shape or ()
            flat = draw(interval, points * math.prod(shape), generator, self.dtype)
            if shape:
                flat = generator.permutation(flat)
            found[name] = flat.reshape(points, *shape)
        return found


def call_over(
    f: Callable[..., Any], args: Sequence[Any], domain: Domain, *, dtype: Any = None
) -> Call:
    """How a function is called over a domain.

    Raises:
        DomainError: a parameter without a value or interval, or an interval for none.
    """
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
    kind = np.dtype(get_default_dtype() if dtype is None else dtype)
    defaults = {n: parameters[n].default for n in free if n not in intervals}
    ordered = {n: intervals[n] for n in free if n in intervals}
    return Call(tuple(args), tuple(free), ordered, defaults, kind)


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

    An interval without a shape gives an array of ``points`` elements, one with a shape an array
    of that shape.

    Raises:
        DomainError: a parameter without a value or interval, or an interval for none.
    """
    check_points(points)
    call = call_over(f, args, domain, dtype=dtype)
    generator = np.random.default_rng(seed)
    values = call.draw(points, generator)
    return call.arguments({n: v[0] if call.intervals[n].shape else v for n, v in values.items()})


def check_points(points: int) -> None:
    """Refuse to draw none."""
    if points < 1:
        raise DomainError(message(f"{points} points", "at least one"))


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
