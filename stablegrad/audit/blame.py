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

from stablegrad.audit.measure import NOTHING, Counts, Verdict, judge, precision_of
from stablegrad.audit.probes import Edge
from stablegrad.audit.program import Backward, Pull, Slots, absolute, run, stripped
from stablegrad.audit.truths import Known, conditions, truths
from stablegrad.ir import Term, topological
from stablegrad.ops.record import CONST, is_float

Array = np.ndarray[Any, Any]
Key = tuple[str, str]

ACCUMULATE = "sum of gradients"
"""The name of the place where contributions to one gradient are added up."""


@dataclass
class Line:
    """What one operation of one line loses, forward and backward.

    ``forward`` and ``backward`` count what is lost right here; ``seen_forward`` and
    ``seen_backward`` what is wrong here in the naive run, wherever it was lost.
    """

    place: str
    op: str
    forward: Counts = NOTHING
    backward: Counts = NOTHING
    seen_forward: Counts = NOTHING
    seen_backward: Counts = NOTHING

    @property
    def bad(self) -> int:
        """Elements that lose digits here."""
        return self.forward.bad + self.backward.bad


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
        for t in nodes:
            known, wide = self.known[t], scale[t]
            spread = None if wide is None else values[wide]
            here = judge(values[local[t]], known.value, judged=known.decided, scale=spread)
            seen = judge(self.naive[t], known.value, judged=known.decided, scale=spread)
            self.line(t).seen_forward += seen.counts()
            self._attribute(t, here)
            self._note_singular(t, known, values[local[t]], forward=True)
            if spread is not None:
                self.scales[t] = spread

    def right(self, term: Term) -> Array:
        """The correctly rounded value of a forward term; the naive one where it is unknown."""
        if term in self.known:
            known = self.known[term]
            naive = self.naive.get(term)
            if naive is None:
                return known.value
            return np.where(known.decided | known.undefined, known.value, naive)
        if term in self.conditions:
            return self.conditions[term]
        return np.asarray(self.naive[term])

    def _note_singular(self, term: Term, known: Known, value: Array, *, forward: bool) -> None:
        """Remember where nan arises from arguments that are none."""
        count = int(np.count_nonzero(known.undefined & np.isnan(value)))
        if not count or (forward and any(self._is_nan(a) for a in term.args)):
            return
        key = (self.places.get(term, ""), self.op_of(term))
        line = self.singular.setdefault(key, Line(*key))
        counts = Counts(known.value.size, nan=count, bits_lost=precision_of(term.dtype))
        if forward:
            line.forward += counts
        else:
            line.backward += counts

    def _is_nan(self, term: Term) -> bool:
        return (
            is_float(term.dtype) and term.op is not CONST and bool(np.isnan(self.right(term)).any())
        )

    def _attribute(self, term: Term, verdict: Verdict) -> None:
        """Count what a node loses, where arguments left the range at the place they did so."""
        rest = np.ones(term.shape, bool)
        self.line(term).forward += Counts(elements=verdict.counts().elements)
        if verdict.bad.any() and term.op.elementwise:
            for a in term.args:
                lost = self._lost(a, term.shape) & verdict.bad & rest
                if lost.any():
                    self.line(self.origin(a)).forward += verdict.counts(lost).at(0)
                    rest &= ~lost
        self.line(term).forward += verdict.counts(rest).at(0)

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
            if not np.isnan(cotangents[p.node].value).any():
                self._note_singular(p.node, true, values[term], forward=False)
            self.line(p.node).backward += Counts(elements=here.counts().elements)
            for owner, where in self._owners(p, plain, here.bad, cotangents):
                self.line(owner).backward += here.counts(where).at(0)
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
    ) -> list[tuple[Term, Array]]:
        """The nodes to name for a step back, each with the elements that it is to blame for.

        Its own node, but for what left the range elsewhere: forward, or further up the way.
        """
        rest = bad.copy()
        found: list[tuple[Term, Array]] = []
        if bad.any() and p.node.op.elementwise:
            for t in [p.node, *p.node.args]:
                known = self.known.get(plain.get(t, t))
                if known is not None and t.args:
                    lost = rest & _fitted(known.out_of_range, bad.shape)
                    found.append((self.origin(plain.get(t, t)), lost))
                    rest &= ~lost
            lost = rest & _fitted(cotangents[p.node].out_of_range, bad.shape)
            found.append((self._source(p.node, cotangents), lost))
            rest &= ~lost
        return [*found, (p.node, rest)]

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
            self.line(self.users[arg][-1], ACCUMULATE).backward += verdict.counts()


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
