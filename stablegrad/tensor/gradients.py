"""Gradients and tangents of tensors' terms, across the cuts of their history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops import derivative
from stablegrad.ops.record import LEAF, const
from stablegrad.program import evaluate, known, program_of, remember, structure
from stablegrad.settings import Settings
from stablegrad.tensor.cells import freeze, value_leaf
from stablegrad.tensor.history import images
from stablegrad.tensor.mode import MODE


@dataclass(slots=True)
class Segment:
    """One stretch of history: a term, and the leaves and variables found in it."""

    root: Term
    cells: list[Term] = field(default_factory=list)
    """Leaves that stand for longer history."""
    variables: list[Term] = field(default_factory=list)
    """Variables of differentiation in it."""
    leads: bool = False
    """Whether it, or history below it, holds a variable."""


class History:
    """All stretches of history below some terms, in the order in which they were cut."""

    def __init__(self, roots: Iterable[Term], variables: Sequence[Term] | None) -> None:
        """Walk the history.

        Args:
            roots: the terms to start from.
            variables: what to differentiate by; None for all leaves that require grad.
        """
        self.variables: list[Term] = []
        """The variables met, in the order of meeting, where none were given."""
        self.image_of: dict[Term, Term] = {}
        for x in variables or ():
            for image in images(x):
                self.image_of[image] = x
        self._collect = variables is None
        self.tops = {root: self._segment(root) for root in dict.fromkeys(roots)}
        """The stretch that each root begins."""
        below: dict[Term, Segment] = {}
        pending = list(self.tops.values())
        while pending:
            for leaf in pending.pop().cells:
                if leaf not in below:
                    below[leaf] = self._segment(leaf.params[0].origin)
                    pending.append(below[leaf])
        self.below = {leaf: below[leaf] for leaf in sorted(below, key=_number)}
        """The stretch below each cut; older ones first, which hold no newer."""
        for segment in [*self.below.values(), *self.tops.values()]:
            segment.leads = bool(segment.variables) or any(
                self.below[leaf].leads for leaf in segment.cells
            )

    def _segment(self, root: Term) -> Segment:
        segment = Segment(root)
        for term in topological([root]):
            if term in self.image_of:
                segment.variables.append(term)
            if term.op is not LEAF:
                continue
            cell = term.params[0]
            if self._collect and cell.requires_grad and term not in self.image_of:
                self.image_of[term] = term
                self.variables.append(term)
                segment.variables.append(term)
            if cell.origin is not None:
                segment.cells.append(term)
        return segment

    def targets(self, segment: Segment) -> list[Term]:
        """What a derivative of a segment is taken by: variables, and the cuts that lead on."""
        further = [leaf for leaf in segment.cells if self.below[leaf].leads]
        return [*dict.fromkeys([*segment.variables, *further])]


def _number(leaf: Term) -> int:
    return leaf.params[0].number


def gradients(
    outputs: Sequence[tuple[Term, Term]], variables: Sequence[Term] | None, settings: Settings
) -> dict[Term, Term]:
    """The gradients of the sum over outputs of ``seed * y``.

    Args:
        outputs: pairs (y, seed), the seed of the shape of y.
        variables: terms to differentiate by; None for all leaves that require grad.
        settings: the rules in force.

    Returns:
        For each variable that the outputs depend on, the term of its gradient: derivative
        nodes, with values in between where history was cut.
    """
    history = History([y for y, _ in outputs], variables)
    seeds: dict[Term, list[Term]] = {}
    for y, seed in outputs:
        seeds.setdefault(y, []).append(seed)
    work = [(history.tops[y], _sum(given)) for y, given in seeds.items()]
    cuts = list(history.below)
    settle = any(b.leads for b in history.below.values()) and not MODE.get().whole
    found: dict[Term, list[Term]] = {}
    arrived: dict[Term, list[Term]] = {}
    while work or cuts:
        if not work:
            leaf = cuts.pop()
            if leaf in arrived:
                work.append((history.below[leaf], _sum(arrived[leaf])))
            continue
        segment, seed = work.pop(0)
        if not segment.leads:
            continue
        targets = history.targets(segment)
        nodes = [
            seed if t is segment.root else derivative.gradient(segment.root, t, seed)
            for t in targets
        ]
        if settle:
            nodes = settled(nodes, settings)
        else:
            nodes = _apart(targets, nodes, settings)
        for target, node in zip(targets, nodes, strict=True):
            if target in history.image_of:
                found.setdefault(history.image_of[target], []).append(node)
            if target in history.below:
                arrived.setdefault(target, []).append(node)
    order = history.variables if variables is None else variables
    return {x: _sum(found[x]) for x in order if x in found}


class Straight(NamedTuple):
    """What a program gives for one element and its gradients.

    Attributes:
        value: of the element, if it was asked for.
        slopes: variables, the terms of the gradients by them, and the values of these.
        differentiable: whether any leaf asks for gradients.
    """

    value: Any
    slopes: list[tuple[Term, Term, Any]]
    differentiable: bool


def straight(
    root: Term, variables: Sequence[Term] | None, settings: Settings, *, valued: bool
) -> Straight | None:
    """The gradients of one element by leaves, computed at once; None where history was cut.

    The structure of the value alone tells the program, so a loop of small steps pays for no
    walk over derivative nodes.

    Args:
        root: the element.
        variables: leaves; None for all that require grad.
        settings: the rules in force.
        valued: whether the value of the element is wanted too.
    """
    if root.op is LEAF:
        return None
    form, leaves = structure([root])
    cells = [leaf.params[0] for leaf in leaves]
    for cell in cells:
        if cell.origin is not None:
            return None
    if variables is None:
        places = [i for i, cell in enumerate(cells) if cell.requires_grad]
        variables = [leaves[i] for i in places]
    else:
        try:
            places = [leaves.index(x) for x in variables]
        except ValueError:
            return None
    seed = const(1, root.dtype, root.shape)
    nodes = [make(derivative.GRADIENT, (root, x, seed), (), x.shape, x.dtype) for x in variables]
    key = (settings, form, tuple(places), valued)
    program = known(key)
    if program is None:
        program, order = program_of([*nodes, root] if valued else nodes, settings)
        if order != leaves:
            return None
        remember(key, program)
    values = program([cell.value for cell in cells])
    value = values.pop() if valued else None
    asked = any(cell.requires_grad for cell in cells)
    return Straight(value, list(zip(variables, nodes, values, strict=True)), asked)


def _apart(targets: Sequence[Term], nodes: list[Term], settings: Settings) -> list[Term]:
    """Derivatives by variables of which one depends on another, computed apart.

    Together, the derivative by the lower one would hold the upper one fixed.
    """
    inner = [t for t in targets if t.args]
    if not inner or len(targets) == 1 or MODE.get().whole:
        return nodes
    chosen = set(targets)
    below = {t: [v for v in topological([t]) if v in chosen and v is not t] for t in inner}
    if not any(below.values()):
        return nodes
    level: dict[Term, int] = {}
    for t in sorted(targets, key=lambda t: t.depth):
        level[t] = 1 + max([level[v] for v in below.get(t, ())], default=-1)
    result = dict(zip(targets, nodes, strict=True))
    for height in sorted(set(level.values())):
        group = [t for t in targets if level[t] == height]
        result.update(zip(group, settled([result[t] for t in group], settings), strict=True))
    return [result[t] for t in targets]


def settled(nodes: Sequence[Term], settings: Settings) -> list[Term]:
    """Leaves with the values of terms, through which gradients still find their way."""
    values = evaluate(nodes, settings)
    return [
        value_leaf(freeze(value), origin=node) for node, value in zip(nodes, values, strict=True)
    ]


def _sum(terms: Sequence[Term]) -> Term:
    total = terms[0]
    for term in terms[1:]:
        total = OPS["add"](total, term)
    return total


def pushforward(
    y: Term, variables: Sequence[Term], tangents: Sequence[Term], settings: Settings
) -> Term:
    """The derivative of ``y`` along tangents of the variables, across cuts of its history."""
    history = History([y], variables)
    given = dict(zip(variables, tangents, strict=True))
    along: dict[Term, Term] = {image: given[x] for image, x in history.image_of.items()}
    whole = MODE.get().whole
    for leaf, segment in history.below.items():
        if segment.leads and leaf not in along:
            node = _push(segment, history, along)
            along[leaf] = node if whole else settled([node], settings)[0]
    top = history.tops[y]
    return _push(top, history, along) if top.leads else const(0, y.dtype, y.shape)


def _push(segment: Segment, history: History, along: dict[Term, Term]) -> Term:
    targets = history.targets(segment)
    if segment.root in targets:
        return along[segment.root]
    return derivative.pushforward(segment.root, tuple(targets), tuple([along[t] for t in targets]))


def requires_grad(term: Term) -> bool:
    """Whether any leaf of a term asks for a gradient, or has history that may."""
    return any(
        t.op is LEAF and (t.params[0].requires_grad or t.params[0].origin is not None)
        for t in topological([term])
    )
