"""Guards: what a cancellation must leave behind, and when it need not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops.record import CONST, INPUT, const


def not_nan(x: Term) -> Term:
    """Whether ``x`` is a number; an input must be finite too, for inf - inf is nan."""
    if x.op is INPUT or not x.facts.defined:
        return OPS["isfinite"](x)
    return OPS["logical_not"](OPS["isnan"](x))


UNBOUNDED = frozenset("sinh cosh arcsinh sin cos abs hypot".split())
"""Functions that are numbers at all numbers, and no finite ones at infinities."""
RISING = frozenset(["exp", "exp2", "expm1"])
_FEW = 4
_LEAST = 2.0**-1074


def defined(x: Term) -> list[Term]:
    """What must hold so that ``x`` is finite but for overflow, by what it is made of.

    ``x*x/y - x*x/y`` is 0 at 1e200 too, if y is not.
    """
    found: dict[Term, None] = {}
    stack, seen = [x], {x}
    while stack:
        t = stack.pop()
        if t.op is CONST and not isinstance(t.params[0], str):
            continue
        powers: Any = t.params[0] if t.op.name == "monomial" else ()
        whole = bool(powers) and all(isinstance(p, int) for p in powers)
        sums = t.op.name == "affine" and not isinstance(t.params[0], str)
        below = list(t.args)
        if whole:
            for a in [a for a, p in zip(t.args, powers, strict=True) if p < 0]:
                below.remove(a)
                found[OPS["logical_not"](OPS["isnan"](a))] = None
                if not a.facts.nonzero:
                    found[OPS["not_equal"](a, const(0, a.dtype))] = None
        elif t.op.name in RISING:
            found[OPS["less"](t.args[0], math.inf)] = None
            continue
        elif not sums and t.op.name not in UNBOUNDED:
            found[not_nan(t)] = None
            continue
        masked = any(a.dtype.kind == "b" for a in t.args)
        if masked or len(found) > _FEW or len(seen) > 4 * _FEW or t.shape != x.shape:
            return [not_nan(x)]
        stack += [a for a in below if a not in seen]
        seen.update(below)
    return list(found)


def pole_free(x: Term, *, zero: bool = False) -> list[Term]:
    """What must hold so that ``x`` is not infinite, or no number, by a quotient by 0 within it.

    What is infinite by overflow, or finite beside a pole, is no concern of it: exp(-1/x**2).
    With ``zero``, so that it is not 0 by such a quotient.
    """
    if x.facts.defined:
        return []
    # facts of finite numbers would prove that it is not 0
    well = OPS["greater"](OPS["abs"](x), _LEAST) if zero else OPS["isfinite"](x)
    found: list[Term] = []
    stack, seen = [x], {x}
    while stack and len(seen) <= 4 * _FEW:
        t = stack.pop()
        if t.facts.defined or not t.op.elementwise:
            continue
        if t.op.name == "monomial":
            for a, p in zip(t.args, t.params[0], strict=True):
                if p < 0 and not a.facts.nonzero and a.shape == x.shape:
                    away = OPS["not_equal"](a, const(0, a.dtype))
                    found.append(OPS["logical_or"](away, well))
        fresh = [a for a in t.args if a not in seen and a.dtype.kind != "b"]
        stack += fresh
        seen.update(fresh)
    return found


def left_by(cancelled: Iterable[Term], rest: Term) -> list[Term]:
    """The guards that cancelled terms leave behind beside ``rest``, which may show them itself."""
    found = [g for x in cancelled if not propagates(rest, x) for g in defined(x)]
    return list(dict.fromkeys(found))


def of_finite_inputs(guard: Term) -> bool:
    """Whether a guard holds for all finite inputs: it is of what overflows, or of infinite ones."""
    tested = guard.args[0] if guard.op.name == "logical_not" else guard
    return tested.op.name in ("isfinite", "isnan") and tested.args[0].facts.defined


def propagates(rest: Term, x: Term) -> bool:
    """Whether a nan in ``x`` is sure to reach ``rest``, looking at a few levels only."""
    roots = {x}
    for _ in range(4):
        roots = {a for r in roots for a in (r.args if r.op.elementwise and r.args else (r,))}
    roots = {r for r in roots if r.op is not CONST}
    near = {rest}
    level = {rest}
    for _ in range(4):
        # a condition does not show a nan
        level = {a for t in level if t.op.elementwise for a in t.args if a.dtype.kind != "b"}
        near |= level
    return (x in near) or (x.facts.defined and roots <= near)


def needless(guard: Term, rest: Term) -> bool:
    """Whether a guard is proved, or only says that a value is a number that ``rest`` shows."""
    if guard.facts.lo >= 1:
        return True
    if guard.op.name == "logical_not":
        guard = guard.args[0]
    return guard.op.name in ("isfinite", "isnan") and propagates(rest, guard.args[0])


_STRICT = {"greater_equal": "greater", "less_equal": "less"}
_NEGATED = {"less_equal": "greater", "greater_equal": "less"}


def implied(guard: Term, masks: Iterable[Term]) -> bool:
    """Whether a mask holds only where a guard does, or beside nan: x > 0 implies x != 0."""
    strict = _STRICT.get(guard.op.name)
    for mask in masks:
        if mask is guard:
            return True
        name, args = mask.op.name, mask.args
        if name == "logical_not" and args[0].op.name in _NEGATED:
            name, args = _NEGATED[args[0].op.name], args[0].args
        if args != guard.args:
            continue
        if name == strict or (guard.op.name == "not_equal" and name in ("greater", "less")):
            return True
    return False


def blocks_zeros(mask: Term) -> bool:
    """Whether a mask only says that a factor is not zero, or what it belongs to not finite.

    Where a part has no value what it goes into is not finite either.
    """
    if mask.op.name == "logical_and":
        return all(map(blocks_zeros, mask.args))
    return (
        mask.op.name == "logical_or"
        and mask.args[0].op.name == "not_equal"
        and mask.args[1].op.name == "logical_not"
        and mask.args[1].args[0].op.name == "isfinite"
    )


ATOMS = 4
"""Conditions of which all cases are looked at."""


def one_holds(sides: Sequence[Sequence[Term]]) -> bool:
    """Whether of some conjunctions one holds whatever the conditions are that they are made of."""
    atoms: dict[Term, None] = {}
    stack = [c for side in sides for c in side]
    while stack:
        c = stack.pop()
        if c.op.name in _LOGIC:
            stack += c.args
        else:
            atoms[c] = None
        if len(atoms) > ATOMS or len(stack) > _MOST:
            return False
    return all(
        any(all(_holds(c, dict(zip(atoms, case, strict=True))) for c in side) for side in sides)
        for case in product((False, True), repeat=len(atoms))
    )


_LOGIC = frozenset("logical_and logical_or logical_not".split())
_MOST = 32


def _holds(condition: Term, held: Mapping[Term, bool]) -> bool:
    if condition in held:
        return held[condition]
    parts = [_holds(c, held) for c in condition.args]
    if condition.op.name == "logical_not":
        return not parts[0]
    return all(parts) if condition.op.name == "logical_and" else any(parts)
