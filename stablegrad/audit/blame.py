"""Where digits are first lost: every node, and every step back, on correctly rounded arguments.

A node is run by its naive kernel on the true values of its arguments, rounded once. What is
wrong then is lost in this place, whatever was lost before. Where an argument is too great or too
small for a float, the place at which it left the range is named instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stablegrad.audit.causes import (
    CANCELLATION,
    REMOVABLE,
    SATURATION,
    UNTAKEN,
    ZERO_TIMES_INF,
    counted,
    of_range,
    of_steps,
    of_value,
    taken,
)
from stablegrad.audit.lines import Key, Line, Loss
from stablegrad.audit.measure import Counts, Verdict, judge, precision_of
from stablegrad.audit.probes import Edge
from stablegrad.audit.program import Backward, Pull, Slots, absolute, run, stripped
from stablegrad.audit.truths import Known, conditions, truths
from stablegrad.ir import Term, topological
from stablegrad.ops.record import CONST, is_float

Array = np.ndarray[Any, Any]

ACCUMULATE = "sum of gradients"
"""The name of the place where contributions to one gradient are added up."""


@dataclass
class Blame:
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
    losses: list[Loss] = field(default_factory=list)
    """In the order in which they happen."""

    def line(self, term: Term, op: str = "") -> Line:
        """The line on which a term was written."""
        key = (self.places.get(term, ""), op or self.op_of(term))
        return self.lines.setdefault(key, Line(*key))

    def op_of(self, term: Term) -> str:
        """What reports call the op of a term."""
        return self.derived.get(term, term.op.name)

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
        self.taken = taken(roots, self.right)
        self.flows = taken(roots, self.right, conditions=False)
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
            self._attribute(t, here, values[local[t]])
            divides = t.op.name == "divide" and not self._from_infinity(t)
            why = np.full(t.shape, REMOVABLE if divides else ZERO_TIMES_INF, object)
            self._note_singular(t, known, values[local[t]], why, forward=True)
            if spread is not None:
                self.scales[t] = spread

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
            for a in term.args:
                lost = self._lost(a, term.shape) & verdict.bad & rest
                if lost.any():
                    origin = self.origin(a)
                    away = of_range(self._left_range(origin), term.shape)
                    self._lose(origin, origin, verdict, lost, away)
                    rest &= ~lost
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
        counts, causes = verdict.counts(where).at(0), counted(causes, where & verdict.bad)
        if backward:
            line.backward += counts
        else:
            line.forward += counts
        line.causes += causes
        if causes:
            first = causes.most_common(1)[0][0]
            self.losses.append(Loss(line, term, backward, counts.bits_lost, first))

    def _lost(self, term: Term, shape: tuple[int, ...]) -> Array:
        """Where the true value of a forward term is out of the range of floats."""
        if term not in self.known:
            return np.zeros(shape, bool)
        return np.broadcast_to(self.known[term].out_of_range, shape)

    def origin(self, term: Term) -> Term:
        """The node at which a value that is out of range left it."""
        while True:
            for a in term.args:
                if a in self.known and a.args and self.known[a].out_of_range.any():
                    term = a
                    break
            else:
                return term

    # -- backward -------------------------------------------------------------------------

    def backward(
        self,
        variables: Sequence[Term],
        found: Backward,
        gradients: Sequence[Known],
        edges: Mapping[Edge, Known],
        shared: Mapping[Term, Known],
    ) -> None:
        """Judge every step of the reverse pass, and every sum of contributions.

        Args:
            variables: what gradients are taken by.
            found: the reverse pass.
            gradients: the true gradients by the variables.
            edges: what every node truly hands back to every argument.
            shared: the true cotangents of values that several nodes use.
        """
        pulls = found.pulls
        self.edges = edges
        self.users: dict[Term, list[Term]] = {}
        for p in pulls:
            self.users.setdefault(p.arg, []).append(p.node)
        cotangents = self._cotangents(
            found, dict(zip(variables, gradients, strict=True)) | dict(shared)
        )
        slots = Slots()
        local = [slots.pull(p) for p in pulls]
        scale = [absolute(t) for t in local]
        keys = list(slots.slot)
        plain = dict(zip(keys, stripped(keys), strict=True))
        given = {p.cotangent: cotangents[p.node].value for p in pulls}
        values = run(
            [*local, *[s for s in scale if s is not None]],
            dict(self.bindings)
            | {
                slot: given[t] if t in given else self.right(plain[t])
                for t, slot in slots.slot.items()
            },
        )
        bare = dict(zip(pulls, stripped([p.term for p in pulls]), strict=True))
        naive = run(list(bare.values()), dict(self.bindings))
        spreads: dict[Term, list[Array | None]] = {}
        for p, term, wide in zip(pulls, local, scale, strict=True):
            true = edges[p.node, p.arg]
            spread = None if wide is None else values[wide]
            here = judge(values[term], true.value, judged=true.decided, scale=spread)
            seen = judge(naive[bare[p]], true.value, judged=true.decided, scale=spread)
            self.line(p.node).seen_backward += seen.counts()
            self.line(p.node).backward += Counts(elements=here.counts().elements)
            self._magnifies(p, plain, true, cotangents)
            arises = true.undefined & np.isnan(values[term])
            why = np.full(here.bad.shape, "", object)
            if (here.bad | arises).any():
                got = values[term]
                why = self._why(p, term, got, here.bad | arises, slots, given, plain)
            if arises.any() and not np.isnan(cotangents[p.node].value).any():
                owner = self._source(p.node, cotangents)
                self._note_singular(owner, true, values[term], why, forward=False)
                self.nan_from.setdefault(p.arg, (owner, why[arises].flat[0]))
            elif arises.any() and p.node in self.nan_from:
                self.nan_from.setdefault(p.arg, self.nan_from[p.node])
            if here.bad.any():
                rest = here.bad
                if p.node in self.nan_from:  # it was handed a nan
                    handed = _fitted(np.isnan(cotangents[p.node].value), rest.shape) & rest
                    owner, cause = self.nan_from[p.node]
                    causes = np.full(rest.shape, cause, object)
                    self._lose(owner, p.term, here, handed, causes, backward=True)
                    rest = rest & ~handed
                for owner, where, forward in self._owners(p, plain, rest, cotangents):
                    causes = why
                    if forward and not self._from_infinity(owner):
                        away = of_range(self._left_range(owner), here.bad.shape)
                        causes = np.where(why == UNTAKEN, why, away)
                    self._lose(owner, p.term, here, where, causes, backward=True)
            spreads.setdefault(p.arg, []).append(spread)
        self._sums(found, spreads, cotangents)

    def _cotangents(self, found: Backward, known: Mapping[Term, Known]) -> dict[Term, Known]:
        """The true cotangent of every node."""
        result = dict(known)
        for node, cotangent in found.cotangents.items():
            if node in result:
                continue
            users = self.users.get(node)
            result[node] = self.edges[users[0], node] if users else _given(cotangent)
        return result

    def _owners(
        self,
        p: Pull,
        plain: Mapping[Term, Term],
        bad: Array,
        cotangents: Mapping[Term, Known],
    ) -> list[tuple[Term, Array, bool]]:
        """The nodes to name for a step back, each with the elements that it is to blame for.

        Its own node, but for what left the range elsewhere: forward (then true), or further up
        the way.
        """
        rest = bad.copy()
        found: list[tuple[Term, Array, bool]] = []
        if bad.any() and p.node.op.elementwise:
            for t in [p.node, *p.node.args]:
                known = self.known.get(plain.get(t, t))
                if known is not None and t.args:
                    lost = rest & _fitted(known.out_of_range, bad.shape)
                    found.append((self.origin(plain.get(t, t)), lost, True))
                    rest &= ~lost
            lost = rest & _fitted(cotangents[p.node].out_of_range, bad.shape)
            found.append((self._source(p.node, cotangents), lost, False))
            rest &= ~lost
        return [*found, (p.node, rest, False)]

    def _why(
        self,
        p: Pull,
        term: Term,
        got: Array,
        bad: Array,
        slots: Slots,
        given: Mapping[Term, Array],
        plain: Mapping[Term, Term],
    ) -> Array:
        """The cause for each element of a step back."""
        inputs = {
            slot: given[t] if t in given else self.right(plain[t]) for t, slot in slots.slot.items()
        }
        own = [slot for t, slot in slots.slot.items() if t is p.node]
        why = of_steps(term, dict(self.bindings) | inputs, got, bad, own)
        node = plain.get(p.node, p.node)
        if node in self.flows and node.op.elementwise:
            unused = _fitted(~self.flows[node], got.shape)
            why = np.where(unused & np.isnan(got), UNTAKEN, why)
        return why

    def _magnifies(
        self, p: Pull, plain: Mapping[Term, Term], edge: Known, cotangents: Mapping[Term, Known]
    ) -> None:
        """Note by how much a node magnifies relative errors of an argument."""
        node, arg = plain.get(p.node, p.node), plain.get(p.arg, p.arg)
        if not p.node.op.elementwise or node not in self.known or edge.value.shape != node.shape:
            return
        with np.errstate(all="ignore"):
            slope = np.asarray(edge.value, np.float64) / cotangents[p.node].value
            ratio = np.abs(slope * self.right(arg) / self.known[node].value)
        finite = ratio[np.isfinite(ratio)]
        line = self.line(p.node)
        line.condition = max(line.condition, float(finite.max(initial=0.0)))

    def _source(self, node: Term, cotangents: Mapping[Term, Known]) -> Term:
        """The node whose step back took a cotangent out of the range of floats."""
        while True:
            users = [u for u in self.users.get(node, []) if _lost(self.edges[u, node])]
            if not users:
                return node
            node = users[0]
            if not _lost(cotangents[node]):
                return node

    def _sums(
        self,
        found: Backward,
        spreads: Mapping[Term, Sequence[Array | None]],
        cotangents: Mapping[Term, Known],
    ) -> None:
        """Judge the sums of several contributions to one gradient."""
        for arg, each in spreads.items():
            widths = [s for s in each if s is not None]
            whole = np.asarray(sum(widths)) if len(widths) == len(each) else None
            if whole is not None:
                self.scales[found.cotangents[arg]] = whole
            if len(each) < 2:
                continue
            parts = [self.edges[user, arg].value for user in self.users[arg]]
            with np.errstate(all="ignore"):
                total = parts[0]
                for part in parts[1:]:
                    total = total + part
            true = cotangents[arg]
            verdict = judge(total, true.value, judged=true.decided, scale=whole)
            line = self.line(self.users[arg][-1], ACCUMULATE)
            line.backward += verdict.counts()
            if verdict.bad.any():
                why = np.where(np.isnan(total), ZERO_TIMES_INF, CANCELLATION)
                causes = counted(why, verdict.bad)
                line.causes += causes
                first = causes.most_common(1)[0][0]
                term = found.cotangents[arg]
                self.losses.append(Loss(line, term, True, verdict.counts().bits_lost, first))


def _fitted(mask: Array, shape: tuple[int, ...]) -> Array:
    """A mask in the shape of an argument that was broadcast or not."""
    if mask.shape == shape:
        return mask
    return np.broadcast_to(mask.any(), shape)


def _lost(known: Known) -> bool:
    return bool(known.out_of_range.any())


def _given(term: Term) -> Known:
    """The truth of a constant."""
    (value,) = run([term], {}).values()
    no = np.zeros(term.shape, bool)
    return Known(np.asarray(value), ~no, no, no)
