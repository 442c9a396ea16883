"""``audit``: naive against truth against stabilized, on the user's own inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stablegrad.audit.chunks import Elements, Rows, Source
from stablegrad.audit.examine import Examination
from stablegrad.audit.findings import Audit
from stablegrad.audit.program import expand, run, stripped
from stablegrad.audit.progress import STAGES, Stages
from stablegrad.audit.sampling import (
    Domain,
    call_over,
    check_points,
    lengths_of,
    spread_rows,
    thinned,
)
from stablegrad.audit.scale import LOOKED_AT, audit_large
from stablegrad.audit.search import Hunt
from stablegrad.audit.trace import Trace, name_of, trace
from stablegrad.errors import DomainError, DTypeError, message
from stablegrad.ir import topological
from stablegrad.ops.record import CONST, is_float

Array = np.ndarray[Any, Any]

LARGEST_NODE = 20_000
"""Elements of one node that the oracle is asked for; more rows are left out."""
LARGEST_PROGRAM = 150_000
"""Elements of all nodes together, those of derivatives included."""


def audit(
    f: Callable[..., Any],
    *args: Any,
    order: int = 1,
    domain: Domain | None = None,
    points: int = 1000,
    seed: int = 0,
    dtype: Any = None,
    processes: int | None = None,
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
            that are not given in ``args``; ``{"x": (-1, 1, (3,))}`` or ``"x[3]=-1:1"`` for
            arrays. The worst input of the domain is hunted for, and the most ordinary one that
            fails: see ``examples``.
        points: how many points are drawn from a domain before the hunt.
        seed: of the random numbers for a domain.
        dtype: of the points drawn; the default dtype unless given.
        processes: that share the work on large data; as many as there are cores unless given.

    Returns:
        An ``Audit``: ``ok`` if the naive program is within 64 ulp of the truth everywhere.

    Raises:
        DTypeError: a result that is not one tensor of floats computed from the inputs.
        DomainError: a domain that does not fit the function; an order other than 0, 1, 2.
        NotDifferentiableError: a derivative on the way does not exist.

    Data too large for the oracle (20,000 elements in a node, or 150,000 in all, those of
    derivatives included) is screened in a wider format, chunk by chunk, and the oracle decides
    what that leaves open; what cannot be cut into rows is audited on a sample. Notes say so. An
    interrupt (Ctrl-C) keeps what has been found until then.

    Example:
        >>> x = np.array([-20.0, 0.0, 20.0], np.float32)
        >>> found = sg.audit(lambda x: sg.ops.log(1 - sg.ops.sigmoid(x)), x)
        >>> found.ok
        False
        >>> [finding.op for finding in found.findings]
        ['sigmoid', 'subtract', 'log']
        >>> found.findings[1].cures[0].name
        'one_minus_sigmoid'
    """
    if order not in (0, 1, 2):
        raise DomainError(message(f"order={order!r}", "0, 1 or 2"))
    if not callable(f):
        raise DTypeError(message(f"audit({type(f).__name__})", "a function, as in sg.audit(f, x)"))
    result = Audit(name_of(f), order)
    with Stages(stages=STAGES + (domain is not None)) as stages:
        try:
            given = list(args)
            if domain is not None:
                stages.next("the hunt for the worst input")
                given = _hunted(f, args, domain, result, points, seed, dtype)
            traced = trace(f, given)
            if not any(x.size for _, x in traced.variables):
                names = ", ".join([name for name, _ in traced.variables])
                raise DomainError(message(f"no numbers in {names}", "at least one"))
            source = _large(f, given, traced, order)
            if source is not None:
                audit_large(source, order, result, stages, processes)
                return result
            traced = _small_enough(f, given, traced, order, result)
            result.notes += traced.notes
            Examination(traced, order, result, stages).all()
            if result.examples and not any(t.naive.bad for t in result.totals):
                result.examples = []
                result.notes.append("where the search saw a failure the problem is ill-conditioned")
        except KeyboardInterrupt:
            result.complete = False
            result.notes.append(f"interrupted while working on: {stages.current}")
    return result


def _hunted(
    f: Callable[..., Any],
    args: Sequence[Any],
    domain: Domain,
    result: Audit,
    points: int,
    seed: int,
    dtype: Any,
) -> list[Any]:
    """Arguments drawn from a domain, the inputs that a hunt found among them."""
    check_points(points)
    call = call_over(f, args, domain, dtype=dtype)
    hunt = Hunt(f, call, result.order, seed, points)
    result.notes.append(f"inputs: {points} points, seed {seed}")
    if not hunt.possible:
        result.notes.append(
            f"not searched: every interval was drawn as one array of {points}, for the result is "
            "not one element for each point of intervals alone; a shape, as in x[3]=-1:1 or "
            "x[]=-1:1, says what one input is"
        )
        return call.arguments(hunt.first)
    try:
        hunt.run()
    finally:
        result.examples = hunt.examples()
    judged = sum(len(s.bits) for _, s in hunt.seen)
    failed = sum(int(s.bad.sum()) for _, s in hunt.seen)
    result.notes.append(f"searched {judged} inputs, {failed} of which fail")
    return hunt.audited(result.examples)


# -- size -----------------------------------------------------------------------------------


def _sizes(traced: Trace, order: int) -> tuple[int, int]:
    """Elements of the largest node, and of all nodes, derivatives included."""
    sizes = [t.size for t in topological([traced.result]) if t.op is not CONST]
    return max(sizes), sum(sizes) * (1, 3, 9)[order]


def _excess(traced: Trace, order: int) -> float:
    """How many times too large a program is for the oracle."""
    largest, everything = _sizes(traced, order)
    return max(largest / LARGEST_NODE, everything / LARGEST_PROGRAM)


def _large(f: Callable[..., Any], args: list[Any], traced: Trace, order: int) -> Source | None:
    """A program too large for the oracle that can be screened in chunks; None for others."""
    if _excess(traced, order) <= 1:
        return None
    if Elements.possible(traced):
        return Elements(traced)
    largest, _ = _sizes(traced, order)
    for rows in lengths_of(args):
        if rows < LOOKED_AT:
            continue
        source = Rows(f, args, traced, rows, largest)
        try:
            few = source.trace_of(np.arange(2))
        except Exception:  # noqa: BLE001, S112 - these rows cannot be left out; try others
            continue
        if source.whole and _sizes(few, order)[1] * LOOKED_AT // 2 <= 2 * LARGEST_PROGRAM:
            return source
    return None


def _small_enough(
    f: Callable[..., Any], args: list[Any], traced: Trace, order: int, result: Audit
) -> Trace:
    """The program, on a sample of the rows of its inputs where it is too large."""
    if _excess(traced, order) <= 1:
        return traced
    for rows in lengths_of(args):
        try:
            thin, kept = _thin(f, args, traced, rows, order)
        except Exception:  # noqa: BLE001, S112 - these rows cannot be left out; try others
            continue
        if kept < rows and _excess(thin, order) < 0.9 * _excess(traced, order):
            result.notes.append(f"a sample of {kept} of {rows} rows of the inputs")
            return thin
    result.notes.append("a large program, and no rows that can be left out")
    return traced


def _thin(
    f: Callable[..., Any], args: list[Any], traced: Trace, rows: int, order: int
) -> tuple[Trace, int]:
    """The program on as many of the rows as the oracle can be asked for."""
    first = _troubled(traced, rows)
    thin, kept = traced, rows
    while kept > 1 and _excess(thin, order) > 1:
        fewer = max(1, min(kept // 2, math.floor(kept / _excess(thin, order))))
        keep = spread_rows(rows, fewer, first)
        thin, kept = trace(f, thinned(args, rows, keep)), len(keep)
    return thin, kept


def _troubled(traced: Trace, rows: int) -> Array:
    """Rows in which the naive program meets a nan or an infinity."""
    order = stripped(expand([traced.result]))
    nodes = [t for t in topological(order) if t.args and t.ndim and t.shape[0] == rows]
    nodes = [t for t in nodes if is_float(t.dtype)]
    bad = np.zeros(rows, bool)
    for value in run(nodes, traced.bindings).values():
        bad |= ~np.isfinite(value.reshape(rows, -1)).all(axis=1)
    return np.flatnonzero(bad)


__all__ = ["audit"]
