"""Whether a function of one value is even or odd, found by symbols alone."""

from __future__ import annotations

from stablegrad.ir import Term, topological
from stablegrad.ops import behaviour
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.record import CONST
from stablegrad.oracle.evaluate import meaning

EVEN, ODD, NEITHER = 1, -1, 0
ODD_OPS = behaviour.ODD | {"multiply", "divide"}
"""Ops that are odd in each argument that changes its sign."""
EVEN_OPS = behaviour.EVEN | {"hypot", "isfinite", "isnan", "isinf"}
"""Ops that are even in each of their arguments."""
DEPTH = 3
"""How deep spellings are read."""


def parity(root: Term, variable: Term) -> int:
    """EVEN, ODD or NEITHER: what a change of the sign of the variable does to a term."""
    return _parity(root, {variable: ODD}, {}, DEPTH)


def _parity(root: Term, leaves: dict[Term, int], holds: dict[Term, bool], depth: int) -> int:
    """The parity of a term where some conditions hold or do not."""
    known = dict(leaves)
    for t in topological([root], stop=known.__contains__):
        if t in known:
            continue
        if t.op.name != "where":
            known[t] = _step(t, [known[a] for a in t.args], depth)
            continue
        c, *branches = t.args
        if c in holds:
            known[t] = known[branches[0 if holds[c] else 1]]
            continue
        sides = [known[a] for a in branches]
        if NEITHER in sides and depth:  # within a branch its condition is known
            sides = [
                _parity(a, leaves, {**holds, c: chosen}, depth - 1)
                for a, chosen in zip(branches, (True, False), strict=True)
            ]
        known[t] = sides[0] if known[c] == EVEN and sides[0] == sides[1] else NEITHER
    return known[root]


def _step(t: Term, args: list[int], depth: int) -> int:
    name = t.op.name
    if NEITHER in args:
        return NEITHER
    if t.op is CONST or (args and all(a == EVEN for a in args)):
        return EVEN
    if t.op is AFFINE:
        return ODD if set(args) == {ODD} and t.params[0] == 0 else NEITHER
    if t.op is MONOMIAL:
        powers = [p for a, p in zip(args, t.params[0], strict=True) if a == ODD]
        return _sign(len([p for p in powers if p % 2])) if not any(p % 1 for p in powers) else 0
    if name in ("add", "subtract"):
        return ODD if set(args) == {ODD} else NEITHER
    if name in EVEN_OPS:
        return EVEN
    if name in ODD_OPS:
        return _sign(args.count(ODD))
    if name in ("equal", "not_equal"):  # with 0, or with what changes its sign as well
        zero = [a.op is CONST and a.params[0] == 0 for a in t.args]
        return EVEN if all(a == ODD or z for a, z in zip(args, zero, strict=True)) else NEITHER
    if name == "require":
        return args[0] if args[1] == EVEN else NEITHER
    if t.op.elementwise and t.op.spellings and depth:
        shapes, dtypes = tuple([()] * len(args)), tuple([a.dtype for a in t.args])
        variables, root = meaning(t.op, t.params, shapes, dtypes)
        return _parity(root, dict(zip(variables, args, strict=True)), {}, depth - 1)
    return NEITHER


def _sign(changes: int) -> int:
    return ODD if changes % 2 else EVEN
