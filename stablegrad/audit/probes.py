"""Zeros added to every edge of a program: the gradients by them are all true cotangents.

The derivative of the result by a zero added to one argument of one node is what that node hands
back to that argument. So one reverse pass of the oracle, which knows nothing of our partials,
gives the truth of every step of the user's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stablegrad.audit.program import Backward, stripped
from stablegrad.audit.truths import Known, gradients
from stablegrad.ir import OPS, Term, make, rebuild, topological
from stablegrad.ops.derivative import CUSTOM
from stablegrad.ops.record import INPUT

_NUMBERS = 1 << 41  # numbers of the inputs that stand for probes
Edge = tuple[Term, Term]


@dataclass
class Probed:
    """A program with probes.

    Attributes:
        roots: the roots over inputs and probes.
        edges: the probe between a node and an argument.
        nodes: the probe on a value that several nodes use.
    """

    roots: list[Term]
    edges: dict[Edge, Term] = field(default_factory=dict)
    nodes: dict[Term, Term] = field(default_factory=dict)


def probe(roots: Sequence[Term], found: Backward | None) -> Probed:
    """Put probes on every step of a reverse pass (None: none, and custom gradients removed)."""
    pulls = [] if found is None else found.pulls
    uses: dict[Term, set[Term]] = {}
    handed: dict[Term, dict[Term, None]] = {}
    for p in pulls:
        uses.setdefault(p.arg, set()).add(p.node)
        handed.setdefault(p.node, {})[p.arg] = None
    result = Probed([])
    done: dict[Term, Term] = {}

    def fresh(like: Term) -> Term:
        count = len(result.edges) + len(result.nodes)
        return make(INPUT, (), (_NUMBERS + count,), like.shape, like.dtype)

    def argument(node: Term, a: Term) -> Term:
        if a not in handed.get(node, ()):
            return done[a]
        if (node, a) not in result.edges:
            result.edges[node, a] = fresh(a)
        return OPS["add"](done[a], result.edges[node, a])

    for term in topological(roots):
        if term.op is CUSTOM:
            outputs, inputs, index = term.params
            given = term.args[outputs : outputs + inputs]
            # functions inside that have gradients of their own go, too
            output, *plain = stripped([term.args[index], *given])
            image = {p: argument(term, a) for p, a in zip(plain, given, strict=True)}
            (new,) = rebuild([output], image)
        elif term.args:
            args = tuple([argument(term, a) for a in term.args])
            new = make(term.op, args, term.params, term.shape, term.dtype)
        else:
            new = term
        if len(uses.get(term, ())) > 1 and term.op is not INPUT:
            result.nodes[term] = fresh(term)
            new = OPS["add"](new, result.nodes[term])
        done[term] = new
    result.roots = [done[r] for r in roots]
    return result


def true_gradients(
    roots: Sequence[Term],
    variables: Sequence[Term],
    bindings: Mapping[Term, Any],
    found: Backward | None = None,
) -> tuple[list[Known], dict[Edge, Known], dict[Term, Known]]:
    """True gradients of the sum of all elements of the roots.

    Returns:
        Those by the variables; for every step of ``found`` what a node truly hands back to an
        argument; and the true cotangents of values that several nodes use.
    """
    probed = probe(roots, found)
    total = probed.roots[0]
    if len(probed.roots) > 1:
        total = OPS["sum"](total)
        for root in probed.roots[1:]:
            total = OPS["add"](total, OPS["sum"](root))
    values = dict(bindings)
    probes = [*probed.edges.values(), *probed.nodes.values()]
    # minus zero: the only number that changes no float it is added to
    values |= {p: np.full(p.shape, -0.0, p.dtype) for p in probes}
    every = gradients(total, [*variables, *probes], values)
    known = dict(zip(probes, every[len(variables) :], strict=True))
    return (
        every[: len(variables)],
        {edge: known[p] for edge, p in probed.edges.items()},
        {node: known[p] for node, p in probed.nodes.items()},
    )
