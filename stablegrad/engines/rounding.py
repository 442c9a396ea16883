"""How far rounding to float32 may take a term: a bound of its error at some points.

Each value is had in float64 with the error that it may have in float32: of an op its own rounding,
and how far its arguments move it by theirs. No program is compiled for that, and what several
terms share is computed once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from stablegrad.engines.numpy import BARE, bound
from stablegrad.ir import Term, topological
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.record import CONST, is_float, round_to

Array = np.ndarray[Any, Any]
Kernel = Callable[..., Any]
Value = tuple[Array, Array | None, Array | None]
"""A value, its error, and its error before it is rounded itself; None where it has none."""
FORMS = (AFFINE, MONOMIAL)

_SINGLE = np.finfo(np.float32)
GREATEST, TINY, UNIT = float(_SINGLE.max), float(_SINGLE.tiny), float(_SINGLE.eps)
OF_FUNCTION = 1.0
"""Units of the last place for a function: kernels are taken for right, results are rounded."""
KEPT_TERMS, KEPT_POINTS = 512, 4
"""How many terms, and sets of points, are remembered."""


class Rounded:
    """Values of terms over some variables in float64, and what they may be off by in float32.

    Args:
        points: the values of the variables, float32 numbers.
    """

    def __init__(self, points: Mapping[Term, Array]) -> None:
        self.points = {v: x.astype(np.float64) for v, x in points.items()}
        self.known: dict[Term, Value] = {}

    def __call__(self, root: Term) -> float:
        """The greatest error of a term in units of the last place; infinite where none is known.

        Where the result is no normal float32, nothing is asked of it.
        """
        if len(self.known) > KEPT_TERMS:
            self.known.clear()
        with np.errstate(all="ignore"):
            order = topological([root], stop=self.points.__contains__)
            for term in order:
                if term not in self.known:
                    self.known[term] = self._of(term)
            value, error, _ = self.known[root]
            if error is None:
                return 0.0
            if _goes_both_ways(order):
                return np.inf
            size = np.abs(value)
            unit = np.spacing(size.astype(np.float32)).astype(np.float64)
            units = np.where((size < TINY) | (size > GREATEST), 0.0, error / unit)
            units = np.where(np.isnan(value), error, units)
            return float(np.where(np.isnan(units), np.inf, units).max(initial=0.0))

    def _of(self, term: Term) -> Value:
        if term in self.points:
            return self.points[term], None, None
        if term.op is CONST:
            dtype = np.dtype(np.float64) if is_float(term.dtype) else term.dtype
            return np.asarray(round_to(term.params[0], dtype)), None, None
        given = [self._given(term, a) for a in term.args]
        values = [x for x, _ in given]
        kernel = bound(term, BARE)
        value = np.asarray(kernel(*values))
        if value.dtype.kind != "f":
            flips = _flips(kernel, given, value)
            return value, flips, flips
        error: Any = np.zeros(value.shape)
        nowhere = np.isnan(value) & _has_domain(term)  # nan, whatever is rounded
        for i, (x, e) in enumerate(given):
            if x.dtype.kind == "f":
                nowhere = nowhere & (np.isfinite(x) | (np.isnan(x) & (e is None or e == 0)))
            if e is None:
                continue
            worst: Any = 0.0
            for moved in _moved(x, e):
                there = kernel(*values[:i], moved, *values[i + 1 :])
                nowhere = nowhere & np.isnan(there)
                worst = np.maximum(worst, np.where(there == value, 0.0, np.abs(there - value)))
            error = error + worst
        error = np.where(nowhere, 0.0, np.where(np.isnan(error), np.inf, error))
        return value, error + np.where(nowhere, 0.0, _own(term, value)), error

    def _given(self, user: Term, a: Term) -> tuple[Array, Array | None]:
        """An argument and its error: sums and products hand on what they have in float64."""
        value, error, wide = self.known[a]
        return value, wide if user.op in FORMS and a.op in FORMS and not _narrow(a) else error


DOMAINS = frozenset("log log2 log10 log1p sqrt power arcsin arccos arccosh arctanh".split())
"""Functions that are nan outside of their domain and nowhere else."""


def _has_domain(term: Term) -> bool:
    if term.op is MONOMIAL:
        return any(p != int(p) for p in term.params[0])
    return term.op.name in DOMAINS


def _narrow(term: Term) -> bool:
    """Whether what a sum or product is made of is rounded to float32, or itself is."""
    if term.op is MONOMIAL:
        return any(p < 0 or p != int(p) for p in term.params[0])
    constant, coefficients = term.params
    return constant == 0 and len(coefficients) == 2 and all(abs(c) == 1 for c in coefficients)


def _goes_both_ways(order: Sequence[Term]) -> bool:
    """Whether a sum or product is handed on in float64 by some and must be rounded for others."""
    wide: set[Term] = set()
    rounded: set[Term] = set()
    for term in order:
        (wide if term.op in FORMS else rounded).update([a for a in term.args if a.op in FORMS])
    return not wide.isdisjoint(rounded)


def _flips(
    kernel: Kernel, given: Sequence[tuple[Array, Array | None]], value: Array
) -> Array | None:
    """The error of a truth value: none, or infinite where rounding may turn it."""
    values = [x for x, _ in given]
    turned: Any = False
    for i, (x, e) in enumerate(given):
        for moved in () if e is None else _moved(x, e):
            turned = turned | (kernel(*values[:i], moved, *values[i + 1 :]) != value)
    return np.where(turned, np.inf, 0.0) if any(e is not None for _, e in given) else None


def _moved(x: Array, error: Array) -> tuple[Array, ...]:
    """A value as far as its error takes it, both ways; what left the range kept its sign."""
    if x.dtype.kind != "f":
        return (np.where(error > 0, ~x, x),)
    far = np.abs(x) > GREATEST
    ends = np.copysign(np.inf, x), np.copysign(GREATEST, x)
    return np.where(far, ends[0], x + error), np.where(far, ends[1], x - error)


def _own(term: Term, value: Array) -> Array:
    """An op's own rounding. A number below the range may count as 0."""
    units = OF_FUNCTION
    if term.op is AFFINE:
        units = 0.5
    elif term.op is MONOMIAL:
        units = 0.5 * max(2.0, float(sum(map(abs, term.params[0]))))
    size = np.abs(value)
    return np.where(size > GREATEST, 0.0, units * UNIT * size + TINY * (size < TINY))


_known: OrderedDict[Any, Rounded] = OrderedDict()


def error_bound(root: Term, points: Mapping[Term, Array]) -> float:
    """The greatest error that a term has at some points in float32, to first order.

    Args:
        root: an elementwise term over variables.
        points: values of these, float32 numbers.

    Returns:
        It in units of the last place; infinite where none is known.
    """
    key = tuple([(v, x.tobytes()) for v, x in points.items()])
    rounded = _known.get(key)
    if rounded is None:
        rounded = _known[key] = Rounded(points)
        if len(_known) > KEPT_POINTS:
            _known.popitem(last=False)
    return rounded(root)
