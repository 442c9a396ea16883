"""True values of the terms of a program, and where they leave the range of floats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from stablegrad.ir import OPS, Term, topological
from stablegrad.ops.record import CONST, const, is_float
from stablegrad.oracle import Status, Truth, gradient, truth
from stablegrad.oracle.eigen import TABLE
from stablegrad.oracle.limits import BESIDE, beside

Array = np.ndarray[Any, Any]

BUDGET = 12800
"""Bits of precision spent on an element before it is left out as undecided."""


@dataclass(slots=True)
class Known:
    """The truth of one term.

    Attributes:
        value: correctly rounded; nan where it is undefined or undecided.
        decided: where it is known.
        undefined: where it is proved that there is none.
        out_of_range: where the true value is too great or too small for a float, so that the
            rounded one says little of it.
        subnormal: where it has lost digits below the smallest normal float.
    """

    value: Array
    decided: Array
    undefined: Array
    out_of_range: Array
    subnormal: Array

    @property
    def weak(self) -> Array:
        """Where the rounded value has lost digits, or all of them."""
        return self.out_of_range | self.subnormal

    def fill(self, other: Known) -> None:
        """Take what another way to the same value knows where this one has no value."""
        open_places = ~self.decided & other.decided
        for name in ("value", "decided", "out_of_range"):
            mine = np.array(getattr(self, name))
            mine[open_places] = getattr(other, name)[open_places]
            setattr(self, name, mine)
        self.undefined = self.undefined & ~self.decided


def _known(found: Truth) -> Known:
    value = np.asarray(found.value)
    size = np.abs(value.astype(np.float64))
    inexact = found.offset != 0
    lost = (value == 0) & inexact
    small = (size > 0) & (size < float(ml_dtypes.finfo(value.dtype).tiny)) & inexact
    return Known(
        value,
        np.asarray(found.decided),
        np.asarray(found.undefined),
        np.asarray(found.status == Status.DECIDED) & (np.isinf(value) | lost),
        np.asarray(small),
    )


def truths(
    terms: Sequence[Term], bindings: Mapping[Term, Any], *, limits: bool = False
) -> dict[Term, Known]:
    """The truth of float terms, all in one evaluation."""
    wanted = [t for t in dict.fromkeys(terms) if is_float(t.dtype)]
    if not wanted:
        return {}
    found = truth(wanted, bindings, budget=BUDGET, limits=limits)
    known = {t: _known(f) for t, f in zip(wanted, found, strict=True)}
    for t in topological(wanted):
        if t in known:
            _vanished(t, known)
    return known


_NEVER_ZERO = frozenset("exp exp2 ndtr erfc sigmoid softmax i0e".split())
"""Ops whose values are 0 for infinite arguments only, whatever is said of their ranges."""
_SCALES = frozenset("multiply divide power square sqrt negative reciprocal".split())


def _vanished(term: Term, known: Mapping[Term, Known]) -> None:
    """Mark zeros that are none: a truth so small that even its distance from 0 is no float."""
    own = known[term]
    zero = own.decided & (own.value == 0) & ~own.out_of_range
    if not zero.any() or not (term.op.elementwise or term.op.name in _NEVER_ZERO):
        return
    gone = [known[a].out_of_range & (known[a].value == 0) for a in term.args if a in known]
    if term.facts.nonzero or term.op.name in _NEVER_ZERO:
        own.out_of_range = own.out_of_range | zero
    elif gone and term.op.name in _SCALES | {"add", "subtract"}:
        some = np.any([np.broadcast_to(g, term.shape) for g in gone], axis=0)
        if term.op.name in _SCALES:
            others = [known[a].value == 0 for a in term.args if a in known]
            none = [
                np.broadcast_to(z, term.shape) & ~np.broadcast_to(g, term.shape)
                for z, g in zip(others, gone, strict=True)
            ]
            some = some & ~np.any(none, axis=0)
        own.out_of_range = own.out_of_range | (zero & some)


def conditions(terms: Sequence[Term], bindings: Mapping[Term, Any]) -> dict[Term, Array]:
    """The true values of conditions; those that are undecided are false."""
    wanted = [t for t in dict.fromkeys(terms) if t.dtype.kind == "b" and t.op is not CONST]
    floats = {t: OPS["where"](t, const(1, np.float64), const(0, np.float64)) for t in wanted}
    found = truths(list(floats.values()), bindings)
    return {t: np.broadcast_to(found[f].value == 1, t.shape) for t, f in floats.items()}


def gradients(root: Term, variables: Sequence[Term], bindings: Mapping[Term, Any]) -> list[Known]:
    """The true gradients of the sum of a term, by the oracle's own reverse pass."""
    found = gradient(root, list(variables), bindings, budget=BUDGET)
    return [_known(f) for f in found]


def limits_beside(
    roots: Sequence[Term],
    bindings: Mapping[Term, Any],
    found: Callable[[Mapping[Term, Any]], list[Known]],
) -> list[Known] | None:
    """Results at repeated eigenvalues or singular values, where vectors are no functions.

    What is made of the vectors may be one all the same (U diag(S) V^T is the matrix): it is
    where the results next to the point, in two directions, round to one float. What is no more
    than the distance from the point is 0.

    Returns:
        None where the program has no such decomposition.
    """
    if not any(t.op.name in TABLE for t in topological(roots)):
        return None
    near, nearer = (found(beside(bindings, scale)) for scale in BESIDE)
    for a, b in zip(near, nearer, strict=True):
        sizes = [np.abs(np.asarray(k.value, np.float64)) for k in (a, b)]
        gone = [size <= 2.0 ** (20 - scale) for size, scale in zip(sizes, BESIDE, strict=True)]
        b.value = np.where(gone[0] & gone[1], 0, b.value).astype(b.value.dtype)
        b.decided = a.decided & b.decided & ((a.value == b.value) | (gone[0] & gone[1]))
        b.out_of_range = np.zeros_like(b.out_of_range)
    return nearer


def fill_kinks(gradients: Sequence[Known], naive: Sequence[Array], stable: Sequence[Array]) -> None:
    """Gradients that are nan where there is none, and a convention has a number."""
    for known, a, b in zip(gradients, naive, stable, strict=False):
        kink = known.undefined & np.isnan(a) & np.isfinite(b)
        known.value = np.where(kink, b, known.value)
        known.decided, known.undefined = known.decided | kink, known.undefined & ~kink


def grown(bindings: Mapping[Term, Any]) -> list[dict[Term, Any]]:
    """Inputs with each of two great numbers for infinite ones; nothing where there are none."""
    infinite = [t for t, v in bindings.items() if is_float(t.dtype) and np.isinf(v).any()]
    found: list[dict[Term, Any]] = []
    for part in (0.5, 0.9) if infinite else ():
        values = dict(bindings)
        for t in infinite:
            great = 2.0 ** (part * np.log2(float(ml_dtypes.finfo(t.dtype).max)))
            values[t] = np.clip(values[t], -great, great).astype(t.dtype)
        found.append(values)
    return found
