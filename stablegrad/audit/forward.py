"""The forward half of blame: every node on correctly rounded arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stablegrad.audit.causes import (
    ADDS,
    CANCELLATION,
    REMOVABLE,
    ROUNDING,
    SATURATION,
    SUBNORMAL,
    ZERO_TIMES_INF,
    counted,
    of_range,
    of_value,
    taken,
)
from stablegrad.audit.lines import Key, Line, Loss
from stablegrad.audit.measure import Counts, Verdict, judge, precision_of
from stablegrad.audit.program import Slots, absolute, run, stripped
from stablegrad.audit.truths import Known, conditions, truths
from stablegrad.ir import Term, topological
from stablegrad.ops.record import CONST, is_float
from stablegrad.oracle.eigen import TABLE

Array = np.ndarray[Any, Any]


PART_OF = {"left_vectors": "svd", "right_vectors": "svd", "eigenvectors": "eigh"}
PART_OF |= {"orthonormal": "qr", "upper_factor": "qr"}
"""What the user called, of ops that are a part of its result."""
_ADDENDS = 16
"""Addends up to which a sum's own rounding is a few units in the last place."""
_FEW = 2.0**-3
"""The part of the allowance for a result that is off that the rounding of few addends takes."""


def allowance(spread: Array, addends: float) -> Array:
    """What errors of a sum are relative to, so that 64 ulp of it are what rounding may make."""
    return spread * (_FEW if addends <= _ADDENDS else 1.0)


@dataclass
class ForwardBlame:
    """The lines of a program, filled in stage by stage."""

    places: Mapping[Term, str]
    bindings: Mapping[Term, Array]
    derived: Mapping[Term, str] = field(default_factory=dict)
    """What terms of a first derivative are called: they are no operations of the user's."""
    lines: dict[Key, Line] = field(default_factory=dict)
    known: dict[Term, Known] = field(default_factory=dict)
    singular: dict[Key, Line] = field(default_factory=dict)
    """Where a value that has no truth of its own (0/0, 0*inf) becomes nan."""
    scales: dict[Term, Array] = field(default_factory=dict)
    """Of gradients that are sums: what their error is relative to."""
    nan_from: dict[Term, tuple[Term, str]] = field(default_factory=dict)
    """For a node that is handed a nan: the node where it arose, and why."""
    most: list[tuple[float, Term]] = field(default_factory=list)
    """Bits lost at nodes and in their steps back, though few: no element is lossy by itself."""
    bad: dict[Term, Array] = field(default_factory=dict)
    """Where forward nodes lose digits themselves."""
    losses: list[Loss] = field(default_factory=list)
    """In the order in which they happen."""

    def line(self, term: Term, op: str = "") -> Line:
        """The line on which a term was written."""
        key = (self.places.get(term, ""), op or self.op_of(term))
        return self.lines.setdefault(key, Line(*key))

    def op_of(self, term: Term) -> str:
        """What reports call the op of a term."""
        return self.derived.get(term, PART_OF.get(term.op.name, term.op.name))

    def unplaced(self, bad: Counts, *, backward: bool) -> tuple[Loss, str]:
        """The loss to name where results are wrong and no node is by itself; and a note on it.

        Args:
            bad: what is wrong with the results.
            backward: whether gradients are wrong, and the value is not.
        """
        for t, known in self.known.items():
            if t.op.name in TABLE and not (known.decided | known.undefined).any():
                found, cause = t, REMOVABLE
                note = "a decomposition is not unique; what is made of it is"
                break
        else:
            found = max(self.most, key=lambda pair: pair[0])[1]
            cause = CANCELLATION if found.op.name in ADDS else ROUNDING
            note = "no single place is at fault: rounding adds up"
        line = self.line(found)
        side = "backward" if backward else "forward"
        setattr(line, side, getattr(line, side) + bad)
        line.causes[cause] += bad.bad
        return Loss(line, found, backward, bad.bits_lost, cause), note

    # -- forward --------------------------------------------------------------------------

    def forward(self, roots: Sequence[Term]) -> None:
        """Judge every node of the forward program."""
        order = [t for t in topological(stripped(roots)) if t.op is not CONST]
        nodes = [t for t in order if t.args and is_float(t.dtype)]
        self.known |= truths(nodes, self.bindings)
        self.conditions = conditions([t for t in order if t.args], self.bindings)
        self.naive = run([t for t in order if t.args], dict(self.bindings)) | dict(self.bindings)
        slots = Slots()
        local = {t: slots.node(t) for t in nodes}
        scale = {t: absolute(term) for t, term in local.items()}
        values = run(
            [*local.values(), *[s for s in scale.values() if s is not None]],
            {slot: self.right(t) for t, slot in slots.slot.items()},
        )
        bare = stripped(roots)
        self.taken = taken(bare, self.right)
        self.flows = taken(bare, self.right, conditions=False)
        seen_bits: dict[Term, float] = {}
        for t in nodes:
            known, wide = self.known[t], scale[t]
            spread = None if wide is None else values[wide]
            here = judge(values[local[t]], known.value, judged=known.decided, scale=spread)
            seen = judge(self.naive[t], known.value, judged=known.decided, scale=spread)
            line = self.line(t)
            line.seen_forward += seen.counts()
            seen_bits[t] = seen.counts().bits_lost
            line.carried = max([line.carried, *[seen_bits.get(a, 0.0) for a in t.args]])
            self.bad[t] = here.bad
            self.most.append((here.counts().bits_lost, t))
            self._attribute(t, here, values[local[t]])
            divides = t.op.name == "divide" and not self._from_infinity(t)
            why = np.full(t.shape, REMOVABLE if divides else ZERO_TIMES_INF, object)
            self._note_singular(t, known, values[local[t]], why, forward=True)
            if spread is not None:
                addends = max(a.size for a in t.args) / max(t.size, 1)
                self.scales[t] = allowance(spread, addends)

    def right(self, term: Term) -> Array:
        """The correctly rounded value of a forward term; the naive one where it is unknown."""
        if term.op is CONST:
            return run([term], {})[term]
        if term in self.known:
            known = self.known[term]
            naive = self.naive.get(term)
            if naive is None:
                return known.value
            return np.where(known.decided | known.undefined, known.value, naive)
        if term in self.conditions:
            return self.conditions[term]
        return np.asarray(self.naive[term])

    def _note_singular(
        self, term: Term, known: Known, value: Array, why: Array, *, forward: bool
    ) -> None:
        """Remember where nan arises from arguments that are none."""
        count = int(np.count_nonzero(known.undefined & np.isnan(value)))
        if not count or (forward and any(self._is_nan(a) for a in term.args)):
            return
        key = (self.places.get(term, ""), self.op_of(term))
        line = self.singular.setdefault(key, Line(*key))
        line.causes += counted(why, known.undefined & np.isnan(value))
        counts = Counts(known.value.size, nan=count, bits_lost=precision_of(term.dtype))
        if forward:
            line.forward += counts
        else:
            line.backward += counts

    def _is_nan(self, term: Term) -> bool:
        return (
            is_float(term.dtype) and term.op is not CONST and bool(np.isnan(self.right(term)).any())
        )

    def _attribute(self, term: Term, verdict: Verdict, got: Array) -> None:
        """Count what a node loses, where arguments left the range at the place they did so."""
        rest = np.broadcast_to(self.taken[term], term.shape).copy()
        self.line(term).forward += Counts(elements=verdict.counts().elements)
        if not (verdict.bad & rest).any():
            return
        if term.op.elementwise:
            for small, a in [(small, a) for small in (False, True) for a in term.args]:
                lost = self._lost(a, term.shape, small=small) & verdict.bad & rest
                if lost.any():
                    origin = self.origin(a, small=small)
                    away = self._away(origin, term.shape, small=small)
                    once = lost & ~self.bad[origin] if origin.shape == term.shape else lost
                    self._lose(origin, origin, verdict, once, away)
                    rest &= ~lost
        else:
            for a in [a for a in term.args if a.args and self._ruined(a)]:
                origin = self.origin(a)
                away = np.full(term.shape, of_range(self._left_range(origin), ())[()], object)
                self._lose(origin, origin, verdict, rest & verdict.bad, away)
                return
        args = [self.right(a) for a in term.args if is_float(a.dtype)]
        why = of_value(term, args, got, self.known[term].value)
        if term in self.derived and term.op.name in ("add", "subtract"):
            made = self.derived[term].rpartition(" ")[2]
            if any(t.op.name == made for t in topological([term]) if t not in self.derived):
                why[why == CANCELLATION] = SATURATION
        self._lose(term, term, verdict, rest & verdict.bad, why)

    def _left_range(self, term: Term) -> Array:
        """The values of a node that are out of range, as one: infinite or zero."""
        known = self.known[term]
        return np.asarray(known.value[known.out_of_range].ravel()[:1].max(initial=0.0))

    def _ruined(self, term: Term) -> bool:
        """Whether values that left the range leave nothing of a combination of all values.

        Infinities do, one by one, and zeros where there is nothing else.
        """
        known = self.known.get(term)
        if known is None or not known.out_of_range.any():
            return False
        return bool(np.isinf(known.value[known.out_of_range]).any() or known.out_of_range.all())

    def _from_infinity(self, term: Term) -> bool:
        """Whether a node was given an infinity, so that its own is no overflow."""
        return any(np.isinf(self.right(a)).any() for a in term.args if is_float(a.dtype))

    def _lose(
        self,
        owner: Term,
        term: Term,
        verdict: Verdict,
        where: Array,
        causes: Array,
        *,
        backward: bool = False,
    ) -> None:
        """Count elements as lost at a node, and remember why."""
        if not where.any():
            return
        line = self.line(owner)
        counts = verdict.counts(where).at(0)
        number = counted(causes, where & verdict.bad)
        if backward:
            line.backward += counts
        else:
            line.forward += counts
        line.causes += number
        if number:
            first = number.most_common(1)[0][0]
            self.losses.append(Loss(line, term, backward, counts.bits_lost, first))

    def _away(self, origin: Term, shape: tuple[int, ...], *, small: bool) -> Array:
        """Why what a node gave is of no use: it left the range, or kept few digits."""
        if small:
            return np.full(shape, SUBNORMAL, object)
        return of_range(self._left_range(origin), shape)

    def _lost(self, term: Term, shape: tuple[int, ...], *, small: bool = False) -> Array:
        """Where the true value of a forward term is out of the range of floats, or subnormal."""
        if term not in self.known:
            return np.zeros(shape, bool)
        known = self.known[term]
        return np.broadcast_to(known.subnormal if small else known.out_of_range, shape)

    def origin(self, term: Term, *, small: bool = False) -> Term:
        """The node at which a value that is out of range, or subnormal, left the normal floats."""
        while True:
            for a in term.args:
                if a in self.known and a.args and self._lost(a, a.shape, small=small).any():
                    term = a
                    break
            else:
                return term
