"""Where digits are first lost: every node, and every step back, on correctly rounded arguments.

A node is run by its naive kernel on the true values of its arguments, rounded once. What is
wrong then is lost in this place, whatever was lost before. Where an argument is too great or too
small for a float, the place at which it left the range is named instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stablegrad.audit.causes import (
    CANCELLATION,
    REMOVABLE,
    SUBNORMAL,
    UNTAKEN,
    ZERO_TIMES_INF,
    counted,
    of_range,
    of_steps,
)
from stablegrad.audit.forward import PART_OF, ForwardBlame, allowance
from stablegrad.audit.lines import Loss
from stablegrad.audit.measure import Counts, judge
from stablegrad.audit.probes import Edge
from stablegrad.audit.program import Backward, Pull, Slots, absolute, run, stripped
from stablegrad.audit.truths import Known
from stablegrad.ir import Term
from stablegrad.ops.record import is_float
from stablegrad.oracle.eigen import TABLE

Array = np.ndarray[Any, Any]

ACCUMULATE = "sum of gradients"
"""The name of the place where contributions to one gradient are added up."""


class Blame(ForwardBlame):
    """The lines of a program, filled in stage by stage: forward, then backward."""

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
        keys = list(dict.fromkeys([*slots.slot, *[t for p in pulls for t in (p.node, p.arg)]]))
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
            self.most.append((here.counts().bits_lost, plain[p.node]))
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
                for owner, where, kind in self._owners(p, plain, rest, cotangents):
                    causes = why
                    if kind == "here":
                        owner = self._made_nan(p, plain, where & (why == UNTAKEN))  # noqa: PLW2901
                    if kind == "back":
                        cot = cotangents[p.node].value
                        gone = ~np.isnan(values[term]) & (why != UNTAKEN)
                        causes = np.where(gone, of_range(cot, rest.shape), why)
                    elif kind == "forward" and not self._from_infinity(owner):
                        away = of_range(self._left_range(owner), here.bad.shape)
                        causes = np.where(why == UNTAKEN, why, away)
                    elif kind == "small":
                        causes = np.where(why == UNTAKEN, why, SUBNORMAL)
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
    ) -> list[tuple[Term, Array, str]]:
        """The nodes to name for a step back, each with the elements that it is to blame for.

        Its own node ("here"), but for what left the range elsewhere: "forward", where it became
        "small", or further up the way, "back".
        """
        rest = bad.copy()
        found: list[tuple[Term, Array, str]] = []
        if bad.any() and not p.node.op.elementwise:
            node = plain.get(p.node, p.node)
            if node in self.known and self.known[node].out_of_range.all():
                return [(self.origin(node), rest, "forward")]
        if bad.any() and p.node.op.elementwise:
            nodes = [plain.get(t, t) for t in [p.node, *p.node.args]]
            for small, t in [(small, t) for small in (False, True) for t in nodes]:
                if t in self.known and t.args and not (small and t is nodes[0]):
                    away = self._lost(t, t.shape, small=small)
                    lost = rest & _fitted(away, bad.shape)
                    found.append(
                        (self.origin(t, small=small), lost, "small" if small else "forward")
                    )
                    rest &= ~lost
            lost = rest & _fitted(cotangents[p.node].weak, bad.shape)
            found.append((self._source(p.node, cotangents), lost, "back"))
            rest &= ~lost
        return [*found, (p.node, rest, "here")]

    def _made_nan(self, p: Pull, plain: Mapping[Term, Term], where: Array) -> Term:
        """The node of a branch that was not taken whose value is nan, which it hands on."""
        node = p.node
        seen = True
        while seen and where.any():
            seen = False
            for a in node.args:
                value = self.naive.get(plain.get(a, a))
                if value is None or not a.args or not is_float(a.dtype):
                    continue
                if value.shape == where.shape and np.isnan(value[where]).all():
                    node, seen = a, True
                    break
        return node

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
                addends = max([u.size for u in self.users[arg]]) / max(arg.size, 1) * len(each)
                self.scales[found.cotangents[arg]] = allowance(whole, addends)
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
            line.backward += Counts(elements=verdict.counts().elements)
            if verdict.bad.any():
                why = np.where(np.isnan(total), ZERO_TIMES_INF, CANCELLATION).astype(object)
                users = [u for u in self.users[arg] if self._is_singular(u, arg, verdict.bad)]
                vague = [u for u in self.users[arg] if self._is_vague(u, arg)]
                if vague:
                    line = self.line(max(vague, key=lambda u: u.op.name in PART_OF))
                    why[:] = REMOVABLE
                elif users:  # 0/0, 1/0 that would cancel: where they arise, not where they meet
                    handed = [self.nan_from[u] for u in users if u in self.nan_from]
                    cause = REMOVABLE if users[0].op.name == "divide" else ZERO_TIMES_INF
                    owner, cause = handed[0] if handed else (users[0], cause)
                    line = self.line(owner)
                    why[np.isnan(total)] = cause
                line.backward += verdict.counts().at(0)
                causes = counted(why, verdict.bad)
                line.causes += causes
                first = causes.most_common(1)[0][0]
                term = found.cotangents[arg]
                self.losses.append(Loss(line, term, True, verdict.counts().bits_lost, first))

    def _is_vague(self, user: Term, arg: Term) -> bool:
        """Whether what is handed back is no function of the matrix: its eigenvalues repeat."""
        edge = self.edges[user, arg]
        return user.op.name in TABLE and not bool((edge.decided | edge.undefined).any())

    def _is_singular(self, user: Term, arg: Term, bad: Array) -> bool:
        """Whether what a node truly hands back is no number where a sum of such parts fails."""
        edge = self.edges[user, arg]
        return bool((bad & (edge.undefined | ~np.isfinite(edge.value))).any())


def _fitted(mask: Array, shape: tuple[int, ...]) -> Array:
    """A mask in the shape of an argument that was broadcast or not."""
    if mask.shape == shape:
        return mask
    return np.broadcast_to(mask.any(), shape)


def _lost(known: Known) -> bool:
    return bool(known.weak.any())


def _given(term: Term) -> Known:
    """The truth of a constant."""
    (value,) = run([term], {}).values()
    no = np.zeros(term.shape, bool)
    return Known(np.asarray(value), ~no, no, no, no)
