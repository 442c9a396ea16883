"""One audit, stage by stage: run, truth, blame, findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np

from stablegrad.audit.blame import Blame
from stablegrad.audit.causes import CANCELLATION, ROUNDING
from stablegrad.audit.conditioning import Neighbours
from stablegrad.audit.cures import DERIVATIVE, cures_of, is_sum_op
from stablegrad.audit.examples import series_of
from stablegrad.audit.findings import Audit, Finding, Stable, Total, split_place
from stablegrad.audit.harm import harms
from stablegrad.audit.lines import Line, Loss
from stablegrad.audit.measure import NOTHING, judge
from stablegrad.audit.probes import true_gradients
from stablegrad.audit.program import NAIVE, STABLE, Backward, backward, expand, run, stripped
from stablegrad.audit.progress import Stages
from stablegrad.audit.trace import Trace, inherit_places
from stablegrad.audit.truths import Known, fill_kinks, grown, limits_beside, truths
from stablegrad.ir import OPS, Term, topological
from stablegrad.ops.derivative import gradient
from stablegrad.ops.record import CONST, INPUT, const
from stablegrad.oracle.errors import RIGHT_ULP
from stablegrad.program import compile_terms
from stablegrad.rewrite import Fired
from stablegrad.settings import Settings
from stablegrad.transforms.expand import Expander

Array = np.ndarray[Any, Any]


class Examination:
    """One audit, stage by stage; what has been found is in ``result`` after each."""

    def __init__(self, traced: Trace, order: int, result: Audit, stages: Stages) -> None:
        self.traced = traced
        self.order = order
        self.result = result
        self.stages = stages
        self.variables = [x for _, x in traced.variables]
        self.bindings = traced.bindings
        self.places = dict(traced.places)
        (root,) = expand([traced.result])
        self.root = root
        inherit_places(self.places, [root])
        self.derived: dict[Term, str] = {}
        self.passes: list[Backward] = []
        self.roots = [root]
        if order == 2:
            self._differentiate()
            self.roots = self.passes[0].gradients
        if order:
            self._differentiate()
        self.blame = Blame(self.places, self.bindings, self.derived)
        self.fired: list[Fired] = []
        self.neighbours = Neighbours(self.bindings, self._truths_at)
        self.known: list[Known] = []
        """The truth of the results, as far as it is known."""

    def _differentiate(self) -> None:
        """Another reverse pass, its terms on the lines of the nodes that they come from."""
        found = backward(self.roots, self.variables, NAIVE, self.places)
        for p in found.pulls:
            place = self.places.get(p.node)
            if place is None:
                continue
            name = self.derived.get(p.node, f"{DERIVATIVE}{p.node.op.name}")
            for t in topological([p.term], stop=self.places.__contains__):
                if t.op is not INPUT and t.op is not CONST and t not in self.places:
                    self.places[t] = place
                    self.derived[t] = name
        inherit_places(self.places, found.gradients)
        self.passes.append(found)

    def all(self) -> None:
        """Run everything; after an interrupt, what has been found until then is in the result."""
        self.stages.next("the naive and the stabilized program")
        naive, stabilized = self._naive(), self.stabilized()
        try:
            self.stages.next("the truth of every operation")
            self._value()
            self.blame.forward(self.roots)
            if not self.order:
                self._fill_repeated()
            if self.order == 2:
                self.stages.next("the truth of the gradients")
                self.known += true_gradients([self.root], self.variables, self.bindings)[0]
            if self.order:
                self.stages.next("the truth of every derivative")
                found = true_gradients(self.roots, self.variables, self.bindings, self.passes[-1])
                self.known += found[0]
                self._fill_undefined()
                self._fill_infinite()
                self._fill_repeated()
                fill_kinks(self.known[1:], naive[1:], stabilized[1:])
                self.blame.backward(self.variables, self.passes[-1], *found)
        except KeyboardInterrupt:
            self.result.complete = False
            self._totals(naive, stabilized)
            self._findings()
            raise
        self._totals(naive, stabilized)
        self._findings()
        if self.result.cure is not None:
            self.result.cure.truth = [(k.value, k.decided) for k in self.known]

    def _settled(self, naive: list[Array]) -> list[Array]:
        """Gradients that are truly 0 as 0 where they are off by rounding alone.

        There is no relative error of 0: what is left of contributions that cancel exactly is
        measured against the greatest of all cotangents on the way.
        """
        terms = self.naive_terms()
        settled = list(naive)
        for i, (v, k) in enumerate(zip(naive, self.known, strict=False)):
            if not i or not (k.decided & (k.value == 0) & (v != 0) & np.isfinite(v)).any():
                continue
            used = set(topological(stripped([terms[i]])))
            pulls = stripped([p.term for p in self.passes[-1].pulls])
            handed = run([t for t in pulls if t in used], self.bindings)
            sizes = [np.abs(h[np.isfinite(h)]).max(initial=0.0) for h in handed.values()]
            noise = RIGHT_ULP * ml_dtypes.finfo(v.dtype).eps * float(max(sizes, default=0.0))
            zero = k.decided & (k.value == 0) & (np.abs(v) <= noise)
            settled[i] = np.where(zero, 0, v).astype(v.dtype)
        return settled

    def results(self) -> list[tuple[str, Array, Known]]:
        """Name, naive value and truth of every result, nothing blamed."""
        naive = self._naive()
        self._value()
        if self.order == 2:
            self.known += true_gradients([self.root], self.variables, self.bindings)[0]
        if self.order:
            self.known += true_gradients(self.roots, self.variables, self.bindings)[0]
            self._fill_undefined()
            self._fill_infinite()
        self._fill_repeated()
        return list(zip(self.result_names(), self._settled(naive), self.known, strict=True))

    # results, in this order: the value, the gradients, the gradients of their sum

    def result_names(self) -> list[str]:
        """What the results are called."""
        names = [name for name, _ in self.traced.variables]
        found = ["value"]
        if self.order:
            found += [f"gradient by {name}" for name in names]
        if self.order == 2:
            found += [f"second gradient by {name}" for name in names]
        return found

    def naive_terms(self) -> list[Term]:
        """The naive terms of all results."""
        return [self.root, *[g for p in self.passes for g in p.gradients]]

    def _naive(self) -> list[Array]:
        plain = stripped(self.naive_terms())
        values = run(plain, self.bindings)
        return [values[t] for t in plain]

    def result_nodes(self) -> list[Term]:
        """The results as derivative nodes over the program as written."""
        y = self.traced.result
        seed = const(1, y.dtype, y.shape)
        first = [gradient(y, x, seed) for x in self.variables] if self.order else []
        nodes = [y, *first]
        if self.order == 2:
            for x in self.variables:
                total = None
                for g in first:
                    part = gradient(g, x, const(1, g.dtype, g.shape))
                    total = part if total is None else OPS["add"](total, part)
                assert total is not None
                nodes.append(total)
        return nodes

    def stabilized(self) -> list[Array]:
        inputs = list(self.bindings)
        program = compile_terms(self.result_nodes(), inputs, Settings(), dict(self.traced.places))
        self.fired = program.fired
        found = program([self.bindings[t] for t in inputs])
        arguments = self.traced.arguments
        own = {a.input for a in arguments}
        rest = [t for t in inputs if t not in own]  # arrays that the function knows by itself
        self.result.cure = Stable(
            program.roots,
            [*[a.input for a in arguments], *rest],
            [*[a.name for a in arguments], *[f"constant {i}" for i in range(len(rest))]],
            [*[np.asarray(a.value) for a in arguments], *[self.bindings[t] for t in rest]],
            [np.asarray(v) for v in found],
            self.result_names(),
            {a.name: a.default for a in arguments if a.default is not None},
        )
        return found

    def _value(self) -> None:
        (plain,) = stripped([self.root])
        self.known.append(truths([plain], self.bindings, limits=True)[plain])

    def _fill_repeated(self) -> None:
        """What is not decided at repeated eigenvalues and singular values: by its limit."""
        if all((k.decided | k.undefined).all() for k in self.known):
            return
        fresh = limits_beside([self.root], self.bindings, self._truths_at)
        for known, limit in zip(self.known, fresh or (), strict=False):
            known.fill(limit)

    def _fill_undefined(self) -> None:
        """Where a true gradient has no value as it is written: by the records, and by limits."""
        for limits in (False, True):
            open_ones = [i for i, k in enumerate(self.known) if i and not k.decided.all()]
            if not open_ones:
                return
            stable = Expander(STABLE)([self.result_nodes()[i] for i in open_ones])
            fresh = truths(stable, self.bindings, limits=limits)
            for i, t in zip(open_ones, stable, strict=True):
                if t in fresh:
                    self.known[i].fill(fresh[t])

    def _fill_infinite(self) -> None:
        """The limits of gradients as infinite inputs grow: where two great numbers agree."""
        if all(k.decided.all() for k in self.known):
            return
        fresh = [self._truths_at(values) for values in grown(self.bindings)]
        for known, a, b in zip(self.known, *fresh, strict=False) if fresh else ():
            a.decided = a.decided & b.decided & (a.value == b.value)
            known.fill(a)

    def _totals(self, naive: list[Array], stabilized: list[Array]) -> None:
        """Judge the results whose truth is known by now."""
        terms = self.naive_terms()
        plain = stripped(terms)
        naive = self._settled(naive)
        for name, term, bare, a, b, k in zip(
            self.result_names(), terms, plain, naive, stabilized, self.known, strict=False
        ):
            scale = self.blame.scales.get(term, self.blame.scales.get(bare))
            verdicts = [judge(v, k.value, judged=k.decided, scale=scale) for v in (a, b)]
            before, after = (v.counts() for v in verdicts)
            forgiven = before.bad and self.forgivable(term)
            excused = verdicts[0].bad & self.excused(name, a, k) if forgiven else None
            if excused is not None and excused.any():
                before = judge(a, k.value, judged=k.decided & ~excused, scale=scale).counts()
                before = before.at(int(np.count_nonzero(k.decided)))
            self._plotted(name, a, b, k, scale)
            count = 0 if excused is None else int(np.count_nonzero(excused))
            self.result.totals.append(Total(name, before, after, ill_conditioned=count))
            if count:
                self.result.notes.append(
                    f"{name}: {count} elements are off by no more than two ulp in the inputs make "
                    "of the truth: the problem is ill-conditioned, which is no fault of the program"
                )
            left_out = int(np.count_nonzero(~k.decided & ~k.undefined))
            if left_out:
                self.result.notes.append(f"{name}: {left_out} elements undecided, left out")

    def _plotted(
        self, name: str, naive: Array, stable: Array, known: Known, scale: Array | None
    ) -> None:
        """Keep a result for plots if it has an element for each of an input; the worst first."""
        own = [v for v in self.traced.variables if v[0] == name.rpartition(" by ")[2]]
        for variable, x in own or self.traced.variables[:1]:
            if known.value.shape != x.shape or known.value.size < 2:
                return
            keep = np.flatnonzero(known.decided)
            bits = [
                judge(v, known.value, judged=known.decided, scale=scale).bits.ravel()[keep]
                for v in (naive, stable)
            ]
            given = [self.bindings[x], naive, stable, known.value]
            numbers = [np.asarray(v, np.float64).ravel()[keep] for v in given]
            self.result.series.append(series_of(name, variable, numbers, bits))

    def forgivable(self, term: Term) -> bool:
        """Whether a result is off by rounding alone, magnified on the way by no cancellation.

        Sums that cancel are the program's own doing, and so is what another formula would mend.
        """
        for loss in self._losses([term]):
            plain = loss.cause in (CANCELLATION, ROUNDING) and not is_sum_op(loss.line.op)
            if not plain:
                return False
            cures = cures_of(loss.line, self.fired, self._nodes_of(loss.line))
            if any(c.kind != "evaluation" for c in cures):
                return False
        return True

    def excused(self, name: str, got: Array, known: Known) -> Array:
        """Elements whose error is no more than what two ulp in the inputs make of the truth.

        No program that rounds could be expected to do better: the problem is ill-conditioned.
        """
        return self.neighbours.excuse(self.result_names().index(name), got, known)

    def _truths_at(self, values: Mapping[Term, Any]) -> list[Known]:
        """The truth of all results at other inputs."""
        (plain,) = stripped([self.root])
        found = [truths([plain], values, limits=True)[plain]]
        if self.order == 2:
            found += true_gradients([self.root], self.variables, values)[0]
        if self.order:
            found += true_gradients(self.roots, self.variables, values)[0]
        return found

    def _findings(self) -> None:
        """The lines that lose digits; none where that does no harm to the results."""
        if self.result.complete and not any(t.naive.bad for t in self.result.totals):
            return
        order = {key: i for i, key in enumerate(self._program_order())}
        lines = [x for x in self.blame.lines.values() if x.bad]
        if not lines and self.blame.singular:
            lines = list(self.blame.singular.values())
            self.result.notes.append("a quotient or product is 0/0 or 0*inf, and has a limit")
        if not lines and self.result.complete and self.blame.lines:
            lines = [self._unplaced()]
        lines.sort(key=lambda line: order.get((line.place, line.op), len(order)))
        totals = self.result.totals
        bad = [r for r, t in zip(self.naive_terms(), totals, strict=False) if t.naive.bad]
        first = self._first(bad) or lines[0] if lines else None
        self.result.findings = [self._finding(line, line is first) for line in lines]
        for i, term in enumerate(self.naive_terms()[: len(totals)]):
            if totals[i].naive.bad:
                found = self._first([term])
                at = lines.index(found) if found in lines else None
                totals[i] = replace(totals[i], finding=at)

    def _unplaced(self) -> Line:
        """The line to name where none loses digits by itself."""
        value, *rest = [t.naive for t in self.result.totals]
        counts = value if value.bad else sum(rest, NOTHING)
        loss, note = self.blame.unplaced(counts, backward=not value.bad)
        self.result.notes.append(note)
        self.blame.losses.append(loss)
        return loss.line

    def _first(self, bad: Sequence[Term]) -> Line | None:
        """The first loss, as a program runs, that does harm and is half as bad as the worst."""
        losses = self._losses(bad)
        most = max([loss.bits for loss in losses], default=0.0)
        found = [loss for loss in losses if loss.bits >= most / 2]
        if len({(loss.line.place, loss.line.op) for loss in found}) > 1:
            truth = dict(zip(self.naive_terms(), self.known, strict=False))
            known = [(t, truth[t]) for t in bad]
            found = [loss for loss in found if harms(loss, known, self.blame)] or found
        return found[0].line if found else None

    def _losses(self, results: Sequence[Term]) -> list[Loss]:
        """What is lost on the way to results, in the order in which it is."""
        used = set(topological(results)) | set(topological(stripped(results)))
        return [loss for loss in self.blame.losses if loss.term in used]

    def _nodes_of(self, line: Line) -> list[Term]:
        """The terms of an operation, as the user wrote them."""
        return [
            t
            for t in topological(self.roots)
            if self.blame.op_of(t) == line.op and self.places.get(t) == line.place
        ]

    def _program_order(self) -> dict[tuple[str, str], None]:
        nodes = topological(stripped(self.roots))
        return dict.fromkeys([(self.places.get(t, ""), self.blame.op_of(t)) for t in nodes])

    def _finding(self, line: Line, first: bool) -> Finding:
        file, number, text = split_place(line.place)
        nodes = self._nodes_of(line)
        cured = self.result.cured
        return Finding(
            file,
            number,
            text,
            line.op,
            line.forward,
            line.backward,
            line.seen_forward,
            line.seen_backward,
            cures_of(line, self.fired, nodes) if cured or self.fired else (),
            cured,
            line.cause,
            dict(line.causes),
            line.carried,
            line.condition,
            first,
        )
