"""Float32 functions of one value, read from tables: the same floats in a fraction of the time.

A float32 op is computed in float64 and rounded once. Where a part of a program is a function of
one float32, polynomials stand in for it: for each sign and exponent equal pieces of the binade,
as many as its smoothness needs, fitted to the kernels themselves and checked between the nodes.
What they give is within 2**-35 of the kernels: no bound is proved, it is checked at samples when a
table is made and by ``python -m benchmarks.tables`` at every float32 of everyday binades. What is
within 2**-33 of halfway between two floats is computed by the kernels after all, as is what has no
piece (poles, zeros, results that are no normal floats). So a table never changes a value: it may be
made late, of the binades that are met, or not at all. Which is faster, table or kernels, is
measured in the first calls: without numba a table beats only the slower kernels.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from stablegrad.engines import reading
from stablegrad.engines.blocks import BLOCK, NARROW, WIDE
from stablegrad.ir import Term, topological
from stablegrad.ops.record import CONST, round_to

Array = np.ndarray[Any, Any]
LEAST = 1024
"""Elements in an array below which no table is opened."""

_WARM = 1 << 16  # elements computed by the kernels before a table is made
_TRIALS = 3  # calls in which each way is timed
_LARGE = 8 * BLOCK  # so that what a few elements cost each block does not count
_CACHED = 512
_BITS = range(3, 13)  # a binade has 2**3 to 2**12 pieces
_MANTISSA = 23
_TOLERANCE = 2.0**-36
_TINY, _HUGE = 2.0**-125, 2.0**127  # between them float32 results are normal
_POINTWISE = frozenset(["equal", "not_equal"])  # these may single out one point
_DEGREE = reading.DEGREE

Step = tuple[Callable[..., Any] | None, Any, Any]
"""A kernel with its parameters bound, the numbers of the values it takes, 0 being the argument
and i that of step i, and the dtype of its value; or None, a constant and its dtype."""


class Function:
    """The float32 function of one float32 that a cone of elementwise terms computes."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self.table: Table | None = None
        self.chosen: Callable[[Array], Array] | None = None
        """The kernels or the table, once it is known which is faster."""
        self.seen = self.calls = 0
        self.kernels_ns = self.table_ns = math.inf
        """For each element, in the fastest call."""

    def wide(self, x: Array) -> Array:
        """The function of float64s, not rounded."""
        return np.broadcast_to(values_of(self.steps, x)[-1], x.shape)

    def direct(self, x: Array) -> Array:
        """The function by its kernels, block by block, rounded once."""
        flat = x.reshape(-1)
        out = np.empty(flat.size, NARROW)
        for i in range(0, flat.size, _LARGE):
            out[i : i + _LARGE] = self.wide(flat[i : i + _LARGE].astype(WIDE))
        return out.reshape(x.shape)

    def __call__(self, x: Array) -> Array:
        """The function, in the faster of two ways once both were timed."""
        if self.chosen is not None:
            return self.chosen(x)
        return self._from_kernels(x) if self.table is None else self._from_table(self.table, x)

    def _from_kernels(self, x: Array) -> Array:
        """The function by its kernels; the last of these calls decides whether a table is made."""
        out, spent_ns = _timed(self.direct, x)
        self.kernels_ns = min(self.kernels_ns, spent_ns)
        self.seen += x.size
        self.calls += 1
        if self.seen >= _WARM and self.calls >= _TRIALS:
            self.calls = 0
            if self.kernels_ns > reading.least_ns():
                self.table = Table(self.wide, self.direct)
            else:
                self.chosen = self.direct
        return out

    def _from_table(self, table: Table, x: Array) -> Array:
        """The function from its table; calls in which it learns do not count for the choice."""
        known = table.known
        out, spent_ns = _timed(table, x)
        if table.known is known:
            self.table_ns = min(self.table_ns, spent_ns)
            self.calls += 1
        if self.calls >= _TRIALS:
            faster = self.table_ns < self.kernels_ns
            self.chosen, self.table = (table, table) if faster else (self.direct, None)
        return out


def values_of(steps: Sequence[Step], x: Array) -> list[Any]:
    """The argument and the values of all steps."""
    values: list[Any] = [x]
    for kernel, sources, dtype in steps:
        if kernel is None:
            values.append(sources)
            continue
        value = kernel(*[values[i] for i in sources])
        if getattr(value, "dtype", None) != dtype:
            value = np.asarray(value, dtype)
        values.append(value)
    return values


def _timed(run: Callable[[Array], Array], x: Array) -> tuple[Array, float]:
    """What a function gives, and the nanoseconds that it took for each element."""
    start = time.thread_time_ns()
    out = run(x)
    return out, (time.thread_time_ns() - start) / max(x.size, 1)


class Table:
    """Polynomials for the pieces of the binades that were met."""

    def __init__(self, wide: Callable[[Array], Array], direct: Callable[[Array], Array]) -> None:
        self.wide = wide
        self.direct = direct
        self.known = np.zeros(512, bool)
        # row 0 lies halfway between two float32s: whatever reads it is computed directly
        rows = np.zeros((1, _DEGREE + 1))
        rows[0, 0] = 1 + 2.0**-24
        nowhere = np.zeros(512, np.int32)
        self.pieces: tuple[Array, Array, Array] = (
            nowhere,
            np.full(512, _MANTISSA, np.uint32),
            rows,
        )

    def __call__(self, x: Array) -> Array:
        flat = np.ascontiguousarray(x).reshape(-1)
        out, open_ = reading.read(flat.view(np.uint32), *self.pieces)
        if open_.size:
            xs = flat[open_]
            out[open_] = self.direct(xs)
            if open_.size > flat.size >> 8:
                self._learn(xs)
        return out.reshape(x.shape)

    def _learn(self, x: Array) -> None:
        """Make the pieces of the binades that many elements are in."""
        met = np.bincount(x.view(np.uint32) >> np.uint32(_MANTISSA), minlength=512)
        met[[255, 511]] = 0  # infinities and nan
        new = np.flatnonzero((met > x.size >> 7) & ~self.known)
        if not new.size:
            return
        first, shift, rows = [a.copy() for a in self.pieces]
        known = self.known.copy()
        found, count = [rows], len(rows)
        for binade in new.tolist():
            known[binade] = True
            fitted = self._fitted(binade)
            if fitted is not None:
                first[binade], shift[binade] = count, _MANTISSA - fitted[0]
                found.append(fitted[1])
                count += len(fitted[1])
        # threads read the three together: they are exchanged at once
        self.known, self.pieces = known, (first, shift, np.concatenate(found))

    def _fitted(self, binade: int) -> tuple[int, Array] | None:
        """As many pieces as a binade needs, or None where most would fail."""
        bits = _BITS[0]
        while True:
            rows, error = _fit(self.wide, binade, bits)
            good = error <= _TOLERANCE
            if bits == _BITS[-1] or np.count_nonzero(~good) <= len(good) >> 8:
                break
            worst = float(np.max(error, initial=0.0, where=np.isfinite(error)))
            # the error falls with the width to the power of one more than the degree
            more = np.log2(max(worst / _TOLERANCE, 2.0)) / (_DEGREE + 1)
            bits = min(bits + max(int(np.ceil(more)), 1), _BITS[-1])
        if np.count_nonzero(good) < len(good) / 2:
            return None
        rows[~good] = self.pieces[2][0]
        return bits, rows


def _fit(wide: Callable[[Array], Array], binade: int, bits: int) -> tuple[Array, Array]:
    """Polynomials in the last bits of x for the pieces of a binade, and their relative errors."""
    shift = _MANTISSA - bits
    nodes, solve = _nodes(shift)
    count, degree = 1 << bits, len(nodes)
    tests = np.random.default_rng(binade).integers(0, 1 << shift, (count, 6)).astype(WIDE)
    tests[:, 0], tests[:, 1] = 0, (1 << shift) - 1
    places = np.concatenate([np.broadcast_to(nodes, (count, degree)), tests], axis=1)
    sign, exponent = divmod(binade, 256)
    lead = float(1 << _MANTISSA) if exponent else 0.0
    unit = (-1.0) ** sign * 2.0 ** (max(exponent, 1) - 150)
    x = (lead + np.arange(count)[:, None] * float(1 << shift) + places) * unit
    parts = np.array_split(x.ravel(), -(-x.size // BLOCK))
    with np.errstate(all="ignore"):
        y = np.concatenate([wide(part) for part in parts]).reshape(x.shape)
        rows = y[:, :degree] @ solve
        value = np.zeros_like(tests)
        for k in range(degree - 1, -1, -1):
            value = value * tests + rows[:, k, None]
        size = np.abs(y)
        error = np.max(np.abs(value - y[:, degree:]), axis=1) / _least(y[:, :degree])
        normal = np.all((size > _TINY) & (size < _HUGE), axis=1)
        # beyond the range of float32, and outside the domain, all of a piece is one number
        below, above = np.all(size < 2.0**-151, axis=1), np.all(size > 2.0**128, axis=1)
        edge = y[:, 0].astype(NARROW).astype(WIDE)
    one_sign = np.all(np.signbit(y) == np.signbit(y[:, :1]), axis=1)
    constant = ((below | above) & one_sign) | np.all(np.isnan(y), axis=1)
    rows[constant] = np.copysign(0.0, edge[constant, None])
    rows[constant, 0] = edge[constant]
    error[~normal] = np.inf
    error[constant] = 0.0
    return rows, error


def _least(nodes: Array) -> Array:
    """A lower bound of |f| in pieces, from the values at the nodes; 0 next to a zero."""
    about = nodes @ _centred()
    rest = np.sum(np.abs(about[:, 1:]), axis=1)
    return np.maximum(np.abs(about[:, 0]) - 1.01 * rest, 0.0)


@cache
def _centred() -> Array:
    """What makes coefficients about the middle of a piece, its ends at -1 and 1."""
    n = _DEGREE + 1
    place = np.cos((np.arange(n) + 0.5) * np.pi / n)
    return np.linalg.inv(np.vander(-place, increasing=True)).T


@cache
def _nodes(shift: int) -> tuple[Array, Array]:
    """Chebyshev's nodes in a piece, and what makes coefficients of the values there."""
    n = _DEGREE + 1
    place = 0.5 - 0.5 * np.cos((np.arange(n) + 0.5) * np.pi / n)
    solve = np.linalg.inv(np.vander(place, increasing=True)).T
    return place * (1 << shift), solve * 0.5 ** (shift * np.arange(n))


# -- the parts of a program that are functions of one value -------------------------------

functions: OrderedDict[Any, Function] = OrderedDict()
"""By what they compute, the oldest first."""


def sources(order: Sequence[Term]) -> dict[Term, Term]:
    """The conversions to float32 that end a function of one float32, and what it is of.

    Args:
        order: the terms of a lowered program, arguments first.
    """
    source: dict[Term, Term] = {}
    found: dict[Term, Term] = {}
    for term in order:
        args = [a for a in term.args if a.op is not CONST]
        if not term.op.elementwise or not args or math.prod(term.shape) < LEAST:
            continue
        if args[0].shape != term.shape:
            continue
        (first, *others) = [source.get(a, a) for a in args]
        if any(other is not first for other in others) or first.dtype != NARROW:
            continue
        inside = args[0] in source
        if term.dtype == NARROW and term.op.name == "astype" and inside:
            found[term] = first
        elif term.dtype == WIDE or (term.dtype.kind == "b" and term.op.name not in _POINTWISE):
            source[term] = first
    return found


def function_of(root: Term, source: Term, bind: Callable[[Term], Any]) -> Function:
    """The function that ``root`` is of ``source``; equal cones share one, and its table.

    Args:
        root: a conversion to float32 that ``sources`` found.
        source: what it is a function of.
        bind: the kernel of a term, its parameters bound.
    """
    form, steps = steps_of(root.args[0], source, bind)
    found = functions.get(form)
    if found is None:
        found = functions[form] = Function(steps)
        if len(functions) > _CACHED:
            functions.popitem(last=False)
    return found


def steps_of(root: Term, source: Term, bind: Callable[[Term], Any]) -> tuple[Any, list[Step]]:
    """How a term is computed from one value, and what tells that from other computations."""
    number: dict[Term, int] = {source: 0}
    key: list[Any] = []
    terms: list[Term] = []
    for term in topological([root], stop=lambda t: t is source):
        if term is source:
            continue
        if term.op.name == "astype" and term.args[0] is source:
            number[term] = 0
            continue
        terms.append(term)
        number[term] = len(terms)
        known = (term.params, term.dtype)
        key.append(known if term.op is CONST else (term.op, *known, _numbers(term, number)))
    return tuple(key), [_step(term, number, bind) for term in terms]


def _numbers(term: Term, number: dict[Term, int]) -> tuple[int, ...]:
    return tuple([number[a] for a in term.args])


def _step(term: Term, number: dict[Term, int], bind: Callable[[Term], Any]) -> Step:
    if term.op is CONST:
        value = round_to(term.params[0], term.dtype)
        return None, WIDE.type(value) if term.dtype == NARROW else value, term.dtype
    return bind(term), _numbers(term, number), term.dtype
