"""Screening: all elements of a large program in a wider hardware format, few by the oracle.

A chunk of elements is run as written, stabilized, and three times in the wider format: the
stabilized program in float64, plain and twice with every result disturbed by a few units in the
last place. Where these three agree the wide value stands for the truth and judges the element;
where they do not, or where an element is close to the border between right and lossy, the oracle
has to. A float64 program has no wider format in hardware: there the disturbed runs alone say how
far its stabilized value can be trusted.

What screening can miss is an element whose wide value is wrong in the same way as the naive one
while three runs with different roundings agree on it. How far they may differ is ``AGREE``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stablegrad.audit.examine import Examination
from stablegrad.audit.findings import Audit
from stablegrad.audit.measure import Verdict, judge
from stablegrad.audit.moves import moved
from stablegrad.audit.program import stripped
from stablegrad.audit.progress import Stages
from stablegrad.audit.trace import Trace
from stablegrad.engines.numpy import Plan
from stablegrad.guarded import SEEDS, disturbance
from stablegrad.ir import Term, make, topological
from stablegrad.ops.record import CONST, INPUT, const, is_float, round_to
from stablegrad.oracle.errors import RIGHT_ULP, WRONG_RELATIVE
from stablegrad.oracle.rounding import ulp_exponents
from stablegrad.program import compile_terms
from stablegrad.settings import Settings

Array = np.ndarray[Any, Any]

WIDE = np.dtype(np.float64)
AGREE = {2: 0.25, 4: 0.25, 8: 16.0}
"""By bytes of a float: ulp by which the three wide runs may differ where they are trusted."""
LEAST = 2
"""Units in the last place by which a disturbed run moves every result at least."""
RIGHT, NAN, INF, ZERO, OFF, LOSSY, UNSURE = range(7)
"""What is said of an element."""
_SETTINGS = Settings(excluded=frozenset({"synthesis"}))


@dataclass
class Screened:
    """One result at the elements of a chunk.

    Attributes:
        before: what is wrong with each element as written; UNSURE where the oracle has to say.
        after: the same of the stabilized program.
        bits_before, bits_after: bits lost.
        small: where the error is no more than what two ulp in the inputs make of the result.
    """

    before: Array
    after: Array
    bits_before: Array
    bits_after: Array
    small: Array

    def part(self, rows: slice) -> Screened:
        """The same of some rows."""
        fields = (self.before, self.after, self.bits_before, self.bits_after, self.small)
        return Screened(*[v[rows] for v in fields])


def codes(verdict: Verdict) -> Array:
    """A verdict as one number for each element."""
    found = np.full(verdict.nan.shape, RIGHT, np.uint8)
    parts = (verdict.nan, verdict.inf, verdict.zeroed, verdict.off, verdict.lossy)
    for code, mask in zip((NAN, INF, ZERO, OFF, LOSSY), parts, strict=True):
        found[mask] = code
    return found


def widened(roots: Sequence[Term], inputs: Sequence[Term]) -> tuple[list[Term], list[Term]]:
    """A program in float64: its constants are the floats that they were."""
    done: dict[Term, Term] = {}
    for term in topological([*inputs, *roots]):
        narrow = is_float(term.dtype) and term.dtype != WIDE
        dtype = WIDE if narrow else term.dtype
        if term.op is CONST:
            done[term] = const(round_to(term.params[0], term.dtype)[()], dtype, term.shape)
        elif term.op is INPUT:
            done[term] = make(INPUT, (), term.params, term.shape, dtype)
        else:
            args = tuple([done[a] for a in term.args])
            params = (dtype,) if term.op.name == "astype" and narrow else term.params
            done[term] = make(term.op, args, params, term.shape, dtype)
    return [done[r] for r in roots], [done[x] for x in inputs]


class Screen:
    """The programs of a function for inputs of one shape, ready to run on chunk after chunk."""

    def __init__(self, traced: Trace, order: int) -> None:
        found = Examination(traced, order, Audit("", order), Stages(shown=False))
        self.structure = traced.result
        self.inputs = list(traced.inputs)
        self.names = found.result_names()
        self.plain = stripped(found.naive_terms())
        self.naive = Plan(self.plain, self.inputs)
        nodes = found.result_nodes()
        self.stable = compile_terms(nodes, self.inputs, Settings())
        wide, inputs = widened(nodes, self.inputs)
        lowered = compile_terms(wide, inputs, _SETTINGS)
        self.wide = Plan(lowered.roots, inputs)
        self.disturbed = [Plan(lowered.roots, inputs, wrap=disturbance(s, LEAST)) for s in SEEDS]

    def __call__(self, values: Sequence[Array]) -> list[Screened]:
        """Every result on the values of the inputs."""
        with np.errstate(all="ignore"):
            naive, stable = self.naive(values), self.stable(values)
            wide = self._wide(self.wide, values)
            others = [self._wide(plan, values) for plan in self.disturbed]
            found = [
                self._result(a, b, w, [o[i] for o in others])
                for i, (a, b, w) in enumerate(zip(naive, stable, wide, strict=True))
            ]
            self._conditioned(values, naive, wide, found)
        return found

    def _wide(self, plan: Plan, values: Sequence[Array]) -> list[Array]:
        return plan([v.astype(WIDE) if is_float(v.dtype) else v for v in values])

    def _result(self, naive: Array, stable: Array, wide: Array, others: list[Array]) -> Screened:
        dtype = naive.dtype
        agree = AGREE[dtype.itemsize]
        unit = np.ldexp(1.0, ulp_exponents(np.abs(np.nan_to_num(wide)), dtype))
        spread = np.max([np.abs(o - wide) for o in others], axis=0) / unit
        sure = np.isfinite(wide) & (spread <= agree)
        true = wide.astype(dtype)
        told: list[tuple[Array, Array]] = []
        for got in (naive, stable):
            verdict = judge(got, true, judged=sure)
            size = np.abs(np.asarray(got, np.float64) - wide) / unit
            relative = size * unit / np.abs(wide)
            border = np.abs(size - RIGHT_ULP) <= 1 + agree
            border |= (np.abs(relative / WRONG_RELATIVE - 1) < 0.01) & (size > RIGHT_ULP)
            border |= (got == 0) & (wide != 0) & (size < RIGHT_ULP)
            code = codes(verdict)
            code[~sure | border] = UNSURE
            told.append((code, verdict.bits))
        (before, bits_before), (after, bits_after) = told
        no = np.zeros(before.shape, bool)
        return Screened(before, after, bits_before, bits_after, no)

    def _conditioned(
        self, values: Sequence[Array], naive: list[Array], wide: list[Array], found: list[Screened]
    ) -> None:
        """Where errors are no more than what two ulp in the inputs make of the results."""
        if not any(((s.before != RIGHT) & (s.before != UNSURE)).any() for s in found):
            return
        bindings = dict(zip(self.inputs, values, strict=True))
        shifted = [self._wide(self.wide, list(v.values())) for v in moved(bindings)]
        for i, s in enumerate(found):
            reach = np.max([np.nan_to_num(np.abs(o[i] - wide[i])) for o in shifted], axis=0)
            s.small = np.abs(np.asarray(naive[i], np.float64) - wide[i]) <= reach
