"""Branches that few elements take, computed for these alone.

``where(rarely(c), a, b)`` computes ``a`` with all that nothing else needs where ``c`` holds; so do
the masked addends that its derivatives are. Careful forms of what is plain nearly everywhere cost
a comparison then, and not their arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from stablegrad.ir import Shape, Term, make, topological
from stablegrad.ops.dtypes import converted
from stablegrad.ops.record import CONST, declare, round_to

Array = np.ndarray[Any, Any]
Bind = Callable[[Term, Any], Callable[..., Any]]

Program = tuple[list[tuple[Term, Callable[..., Any]]], dict[Term, Any]]


@lru_cache(512)
def _program(branch: Term, sources: tuple[Term, ...], xp: Any, bind: Bind) -> Program:
    """The steps and constants of a branch."""
    order = topological([branch], stop=frozenset(sources).__contains__)
    constants = {t: round_to(t.params[0], t.dtype) for t in order if t.op is CONST}
    inner = [t for t in order if t not in sources and t not in constants]
    return [(t, bind(t, xp)) for t in inner], constants


def _rare(
    xp: Any,
    condition: Array,
    other: Array,
    *leaves: Array,
    branch: Term,
    sources: tuple[Term, ...],
    bind: Bind,
) -> Array:
    if not condition.any():
        return other
    shape = np.broadcast_shapes(condition.shape, other.shape, *[x.shape for x in leaves])
    places = np.flatnonzero(np.broadcast_to(condition, shape))
    cells: dict[Term, Any] = {
        t: x if x.shape == () else np.broadcast_to(x, shape).flat[places]
        for t, x in zip(sources, leaves, strict=True)
    }
    steps, constants = _program(branch, sources, xp, bind)
    cells |= constants
    for t, kernel in steps:
        value = kernel(*[cells[a] for a in t.args])
        cells[t] = value if value.dtype == t.dtype else converted(np.asarray(value), t.dtype)
    out = np.array(np.broadcast_to(other, shape))
    out.flat[places] = cells[branch]
    return out


def _infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> tuple[Shape, Any]:
    return args[1].shape, args[1].dtype


RARE = declare(
    "rare_branch",
    family="lowered",
    params=("branch", "sources", "bind"),
    infer=_infer,
    kernel=_rare,
    elementwise=True,
    source="definition",
    doc="What is chosen where a condition holds, else the second argument; the others are what the "
    "branch is made of.",
)


def taken_apart(roots: Sequence[Term], bind: Bind) -> Sequence[Term]:
    """Lowered terms with the branches that few elements take as ops of their own.

    Args:
        roots: lowered terms.
        bind: the kernel of a term with its parameters, given the engine's names.
    """
    rare = [t for t in topological(roots) if t.op.name == "where" and _is_rare(t.args[0])]
    if not rare:
        return roots
    kept: set[Term] = set()  # the branches that others need, or that are no elementwise code
    while True:
        needed = _needed(roots, {t for t in rare if t not in kept})
        found = {t: _inside(t, needed) for t in rare if t in needed and t not in kept}
        less = {t for t, inside in found.items() if not inside}
        if not less:
            break
        kept |= less
    new: dict[Term, Term] = {}
    for t in topological(roots):
        if t not in needed:
            continue
        if t in found:
            sources = [x for x in found[t] if x in needed or not x.args]
            args = [new[t.args[0]], new[t.args[2]], *[new.get(x, x) for x in sources]]
            new[t] = make(RARE, tuple(args), (t.args[1], tuple(sources), bind), t.shape, t.dtype)
            continue
        args = [new[a] for a in t.args]
        same = all(a is b for a, b in zip(args, t.args, strict=True))
        new[t] = t if same else make(t.op, tuple(args), t.params, t.shape, t.dtype)
    return [new[r] for r in roots]


def _is_rare(condition: Term) -> bool:
    if condition.op.name == "logical_or":
        return all(map(_is_rare, condition.args))
    conjunction = condition.op.name == "logical_and" and any(map(_is_rare, condition.args))
    return condition.op.name == "rarely" or conjunction


def _needed(roots: Sequence[Term], rare: Container[Term]) -> set[Term]:
    """What is computed for all elements."""
    needed = set(roots)
    stack = list(needed)
    while stack:
        t = stack.pop()
        fresh = [a for i, a in enumerate(t.args) if not (i == 1 and t in rare) and a not in needed]
        needed.update(fresh)
        stack += fresh
    return needed


def _inside(term: Term, needed: set[Term]) -> list[Term]:
    """The terms of a branch and what they read; none where it is not to be taken apart."""
    branch = term.args[1]
    if branch in needed or not branch.args:
        return []
    inside = topological([branch], stop=needed.__contains__)
    own = [t for t in inside if t not in needed and t.args]
    plain = all(t.op.elementwise and t.shape in (term.shape, ()) for t in own)
    alike = all(t.shape in (term.shape, ()) for t in inside)
    return [t for t in inside if t.op is not CONST] if plain and alike else []
