"""``audit``: naive against truth against stabilized, on the user's own inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.audit.blame import Blame, Line
from stablegrad.audit.cures import cures_of
from stablegrad.audit.findings import Audit, Finding, Total, split_place
from stablegrad.audit.measure import Counts, judge
from stablegrad.audit.program import NAIVE, STABLE, Backward, backward, expand, run, stripped
from stablegrad.audit.progress import Stages
from stablegrad.audit.sampling import Domain, drawn_arguments, rows_of, spread_rows, thinned
from stablegrad.audit.trace import Trace, inherit_places, name_of, trace
from stablegrad.audit.probes import true_gradients
from stablegrad.audit.truths import Known, truths
from stablegrad.errors import DomainError, DTypeError, message
from stablegrad.ir import OPS, Term, topological
from stablegrad.ops.derivative import gradient
from stablegrad.ops.record import CONST, INPUT, const
from stablegrad.program import compile_terms
from stablegrad.rewrite import Fired
from stablegrad.settings import Settings
from stablegrad.transforms.expand import Expander

Array = np.ndarray[Any, Any]

LARGEST_NODE = 20_000
"""Elements of one node that the oracle is asked for; more rows are left out."""
LARGEST_PROGRAM = 400_000
"""Elements of all nodes together."""


def audit(
    f: Callable[..., Any],
    *args: Any,
    order: int = 1,
    domain: Domain | None = None,
    points: int = 1000,
    seed: int = 0,
    dtype: Any = None,
) -> Audit:
    """Find the lines of a function that lose digits, in its value or in its gradient.

    The function is run as a conventional framework would (the ops as written, textbook
    derivatives) and every operation, forward and backward, is compared with the truth, which
    ball arithmetic gives to the last bit. The stabilized program is judged in the same way.

    Args:
        f: a function of arrays that returns one tensor; the gradient of the sum of its elements
            is taken if it is no scalar. Traced once, on tensors of the inputs.
        args: its arguments: arrays, tensors, floats and containers of them. Floats and lists
            of floats become the default dtype. Gradients are taken by everything that holds
            floats; anything else is handed on.
        order: 0 for the value alone, 1 for the gradients too, 2 for the gradients of the sum
            of all gradients as well.
        domain: intervals by name, ``{"x": (-100, 100)}`` or ``"x=-100:100"``, for parameters
            that are not given in ``args``: each becomes an array of ``points`` elements.
        points: how many points are drawn from a domain.
        seed: of the random numbers for a domain.
        dtype: of the points drawn; the default dtype unless given.

    Returns:
        An ``Audit``: ``ok`` if the naive program is within 64 ulp of the truth everywhere.

    Raises:
        DTypeError: a result that is not one tensor of floats computed from the inputs.
        DomainError: a domain that does not fit the function; an order other than 0, 1, 2.
        NotDifferentiableError: a derivative on the way does not exist.

    Data too large for the oracle (20,000 elements in a node, 400,000 in all) is audited on a
    deterministic sample of rows of the first axis; a note says so. An interrupt (Ctrl-C) keeps
    what has been found until then.

    Example:
        >>> x = np.array([-20.0, 0.0, 20.0], np.float32)
        >>> found = sg.audit(lambda x: sg.ops.log(1 - sg.ops.sigmoid(x)), x)
        >>> found.ok
        False
        >>> [(finding.op, finding.cures[0].name) for finding in found.findings][0]
        ('subtract', 'one_minus_sigmoid')
    """
    if order not in (0, 1, 2):
        raise DomainError(message(f"order={order!r}", "0, 1 or 2"))
    if not callable(f):
        raise DTypeError(message(f"audit({type(f).__name__})", "a function, as in sg.audit(f, x)"))
    result = Audit(name_of(f), order)
    given = list(args)
    if domain is not None:
        given = drawn_arguments(f, args, domain, points=points, seed=seed, dtype=dtype)
        result.notes.append(f"inputs: {points} points of the domain, seed {seed}")
    traced = _small_enough(f, given, order, result)
    with Stages() as stages:
        try:
            _Examination(traced, order, result, stages).all()
        except KeyboardInterrupt:
            result.complete = False
            result.notes.append(f"interrupted while working on: {stages.current}")
    return result


# -- size -----------------------------------------------------------------------------------


def _sizes(traced: Trace, order: int) -> tuple[int, int]:
    """Elements of the largest node, and of all nodes, derivatives included."""
    sizes = [t.size for t in topological([traced.result]) if t.op is not CONST]
    return max(sizes), sum(sizes) * (1, 3, 9)[order]


def _small_enough(f: Callable[..., Any], args: list[Any], order: int, result: Audit) -> Trace:
    """The program, on a sample of the rows of its inputs where it is too large."""
    traced = trace(f, args)
    rows = rows_of(args)
    kept = rows
    while kept > 1:
        largest, everything = _sizes(traced, order)
        excess = max(largest / LARGEST_NODE, everything / LARGEST_PROGRAM)
        if excess <= 1:
            break
        fewer = max(1, min(kept - 1, math.floor(kept / excess)))
        keep = spread_rows(rows, fewer, _troubled(traced, rows) if kept == rows else np.arange(0))
        thin = trace(f, thinned(args, rows, keep))
        if _sizes(thin, order)[1] >= everything:
            break
        traced, kept = thin, fewer
    if kept < rows:
        result.notes.append(f"a sample of {len(_rows(traced, kept))} of {rows} rows of the inputs")
    elif _sizes(traced, order)[1] > LARGEST_PROGRAM:
        result.notes.append("a large program, and no rows to leave out: this may take long")
    return traced


def _rows(traced: Trace, kept: int) -> range:
    return range(max([v.shape[0] for v in traced.values if v.ndim and v.shape[0] <= kept], default=kept))


def _troubled(traced: Trace, rows: int) -> Array:
    """Rows in which the naive program meets a nan or an infinity."""
    order = stripped(expand([traced.result]))
    nodes = [t for t in topological(order) if t.args and t.ndim and t.shape[0] == rows]
    nodes = [t for t in nodes if t.dtype.kind == "f"]
    bad = np.zeros(rows, bool)
    for value in run(nodes, traced.bindings).values():
        bad |= ~np.isfinite(value.reshape(rows, -1)).all(axis=1)
    return np.flatnonzero(bad)


# -- the examination ------------------------------------------------------------------------


class _Examination:
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

    def _differentiate(self) -> None:
        """Another reverse pass, its terms on the lines of the nodes that they come from."""
        found = backward(self.roots, self.variables, NAIVE)
        for p in found.pulls:
            place = self.places.get(p.node)
            if place is None:
                continue
            name = self.derived.get(p.node, f"derivative of {p.node.op.name}")
            for t in topological([p.term], stop=self.places.__contains__):
                if t.op is not INPUT and t.op is not CONST and t not in self.places:
                    self.places[t] = place
                    self.derived[t] = name
        inherit_places(self.places, found.gradients)
        self.passes.append(found)

    def all(self) -> None:
        """Results first, then blame: forward, backward."""
        self.stages.next("the naive and the stabilized program")
        naive, stabilized = self._naive(), self._stabilized()
        self.stages.next("the truth of the results")
        known = self._truth()
        try:
            self.stages.next("the truth of every operation")
            self.blame.forward(self.roots)
            if self.order:
                self.stages.next("the truth of every derivative")
                self.blame.backward(self.roots, self.variables, self.passes[-1])
        finally:
            self._totals(naive, stabilized, known)
            self._findings()

    # results, in this order: the value, the gradients, the gradients of their sum

    def _names(self) -> list[str]:
        names = [name for name, _ in self.traced.variables]
        found = ["value"]
        if self.order:
            found += [f"gradient by {name}" for name in names]
        if self.order == 2:
            found += [f"second gradient by {name}" for name in names]
        return found

    def _terms(self) -> list[Term]:
        """The naive terms of all results."""
        return [self.root, *[g for p in self.passes for g in p.gradients]]

    def _naive(self) -> list[Array]:
        plain = stripped(self._terms())
        values = run(plain, self.bindings)
        return [values[t] for t in plain]

    def _nodes(self) -> list[Term]:
        """The results as derivative nodes over the program as written."""
        y = self.traced.result
        nodes = [y]
        if self.order:
            first = [gradient(y, x, const(1, y.dtype, y.shape)) for x in self.variables]
            nodes += first
        if self.order == 2:
            for x in self.variables:
                total = None
                for g in first:
                    part = gradient(g, x, const(1, g.dtype, g.shape))
                    total = part if total is None else OPS["add"](total, part)
                assert total is not None
                nodes.append(total)
        return nodes

    def _stabilized(self) -> list[Array]:
        inputs = list(self.bindings)
        program = compile_terms(self._nodes(), inputs, Settings(), dict(self.traced.places))
        self.fired = program.fired
        return program([self.bindings[t] for t in inputs])

    def _truth(self) -> list[Known]:
        """The truth of all results.

        The value by the oracle; gradients by its own reverse pass, which knows nothing of our
        partials. Where that has no value, by the stable derivative terms, and last by limits.
        """
        (plain,) = stripped([self.root])
        found = [truths([plain], self.bindings, limits=True)[plain]]
        for roots in ([self.root], *[p.gradients for p in self.passes[:-1]])[: self.order]:
            found += true_gradients(roots, self.variables, self.bindings)[0]
        for limits in (False, True):
            open_ones = [i for i, k in enumerate(found) if i and not k.decided.all()]
            if not open_ones:
                break
            stable = Expander(STABLE)([self._nodes()[i] for i in open_ones])
            fresh = truths(stable, self.bindings, limits=limits)
            for i, t in zip(open_ones, stable, strict=True):
                found[i].fill(fresh[t])
        return found

    def _totals(self, naive: list[Array], stabilized: list[Array], known: list[Known]) -> None:
        terms = self._terms()
        plain = stripped(terms)
        for name, term, bare, a, b, k in zip(
            self._names(), terms, plain, naive, stabilized, known, strict=True
        ):
            scale = self.blame.scales.get(term, self.blame.scales.get(bare))
            before, after = (
                judge(v, k.value, judged=k.decided, scale=scale).counts() for v in (a, b)
            )
            self.result.totals.append(Total(name, before, after))
            left_out = int(np.count_nonzero(~k.decided & ~k.undefined))
            if left_out:
                self.result.notes.append(f"{name}: {left_out} elements undecided, left out")

    def _findings(self) -> None:
        """The lines that lose digits; none where that does no harm to the results."""
        if not any(t.naive.bad for t in self.result.totals):
            return
        order = {key: i for i, key in enumerate(self._program_order())}
        lines = [line for line in self.blame.lines.values() if line.bad]
        if not lines and self.result.complete and self.blame.lines:
            lines = [max(self.blame.lines.values(), key=_bits)]
            self.result.notes.append("no single place is at fault: rounding adds up")
        lines.sort(key=lambda line: order.get((line.place, line.op), len(order)))
        self.result.findings = [self._finding(line) for line in lines]

    def _program_order(self) -> dict[tuple[str, str], None]:
        nodes = topological(stripped(self.roots))
        return dict.fromkeys([(self.places.get(t, ""), self.blame.op_of(t)) for t in nodes])

    def _finding(self, line: Line) -> Finding:
        file, number, text = split_place(line.place)
        nodes = [
            t
            for t in topological(self.roots)
            if self.blame.op_of(t) == line.op and self.places.get(t) == line.place
        ]
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
        )


def _bits(line: Line) -> float:
    return max(line.forward.bits_lost, line.backward.bits_lost)


__all__ = ["Audit", "Counts", "audit"]
