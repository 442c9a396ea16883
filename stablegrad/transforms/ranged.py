"""Which products are worth a code for elements that leave the range, and that code."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from typing import Any

from stablegrad.cost import one_sign
from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.behaviour import SLOW
from stablegrad.ops.forms import AFFINE, MONOMIAL, REQUIRE
from stablegrad.ops.lowered_arithmetic import Product, Sum
from stablegrad.ops.lowered_functions import SLOPES
from stablegrad.ops.lowered_gaps import SIGNED
from stablegrad.ops.pair_codes import Function
from stablegrad.ops.ranged import (
    RANGED_COMPARISON,
    RANGED_POWER,
    RANGED_SUM,
)
from stablegrad.ops.ranged_codes import (
    CANCELLED,
    IN_PAIRS,
    Code,
    Masked,
    Nonzero,
    Required,
    Rounded,
)
from stablegrad.ops.ranged_functions import CODED, LOG_OF_ROUNDED, RANGING
from stablegrad.ops.record import is_const, is_float
from stablegrad.transforms.ranging import (
    GROWING,
    LONGEST,
    as_product,
    codable,
    is_chosen,
    is_over_its_own,
    may_leave,
    overflows,
    ranges,
    underflows,
)
from stablegrad.transforms.rational import instruction, is_exact
from stablegrad.transforms.vanishing import vanishes, vanishing_inputs


def ranged_code(
    parts: Mapping[Term, Any], lowered: Mapping[Term, Term], like: Term
) -> tuple[tuple[Term, ...], tuple[Term, ...], Code, tuple[bool, ...]] | None:
    """What may leave the range in a product, and how it is had with exponents.

    Args:
        parts: the factors of the product and their powers, without masks.
        lowered: the lowered terms of what they are made of.
        like: the product.

    Returns:
        The factors to watch, the leaves of the code, the code, and which of the leaves may be
        lost themselves; None where no factor is a sum of products, a product under a root or
        the like.
    """
    several = len(parts) > 1
    watched = tuple(
        [
            x
            for x, p in parts.items()
            if _watched(x, p, several) or _is_whole(x, p, parts) or is_over_its_own(x, p, parts)
        ]
    )
    if not watched:
        return None
    written = _unmasked(forms.product([forms.power(as_product(x), p) for x, p in parts.items()]))
    whole = forms.with_shape(written, like.shape)
    found = coded(whole, lowered, masks=True)
    if found is None and vanishing_inputs(like) is not None:
        return watched, (), (), ()
    if found is None:  # too long a code: only of what may be infinite, with the others as they are
        watched = tuple([x for x in watched if x.op.name in GROWING & CODED])
        others = parts.keys() - set(watched)
        found = coded(whole, lowered, masks=True, given=others) if watched else None
    return None if found is None else (watched, *found)


def _unmasked(written: Term) -> Term:
    """A product without the masks that its factors bring along: these are 0 there themselves."""
    core = forms.factors(written)
    if all(is_float(x.dtype) for x in core) or written.op is not MONOMIAL:
        return written
    bare = {x: p for x, p in core.items() if is_float(x.dtype)}
    return forms.monomial(bare, written.shape, written.dtype)


def _watched(x: Term, p: Any, several: bool) -> bool:
    if underflows(x, p) and (several or not isinstance(p, int)):
        return True
    grows = x.op.name in GROWING and (several or not isinstance(p, int))
    return ranges(x) or (p < 0 and overflows(x)) or grows or (several and is_chosen(x))


def _is_whole(x: Term, p: Any, parts: Mapping[Term, Any]) -> bool:
    """Whether a factor is under one of its addends, which may overflow: 1 + u under u."""
    grown = [a for a in x.args if a in parts and _is_unbounded(a)] if x.op is AFFINE else []
    return p < 0 and any(parts[a] > 0 and not is_exact(a) for a in grown)


def as_ranged_power(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """A lowered power that is had with exponents where its base left the range.

    Args:
        value: the lowered power, or a first derivative of one.
        term: the same, canonical.
        lowered: the lowered terms of what it is made of.
    """
    base = term.args[0]
    leaves = ranges(term) or base.op.name in GROWING & CODED
    return _ranged(value, lowered[base], term, lowered) if leaves else value


def _ranged(value: Term, whole: Term, written: Term, lowered: Mapping[Term, Term]) -> Term:
    """``value``, had as ``written`` with exponents where ``whole`` left the range."""
    found = coded(written, lowered)
    if found is None:
        return value
    leaves, code, _ = found
    args = (value, whole, *[lowered[x] for x in leaves])
    return make(RANGED_POWER, args, (code,), forms.broadcast(MONOMIAL, args), value.dtype)


def as_ranged_unit(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """A lowered ``hypot_unit`` that is had with exponents where a leg has left the range.

    Args:
        value: the lowered share of a length.
        term: the same, canonical.
        lowered: the lowered terms of what it is made of.
    """
    x, y = term.args
    if not any(_is_unbounded(a) and not is_exact(a) for a in (x, y)) or x.shape != y.shape:
        return value
    length = OPS["hypot"](*sorted((x, y), key=lambda a: a.key))
    whole = OPS["hypot"](*[lowered[a] for a in length.args])
    written = forms.monomial({x: 1, length: -1}, term.shape, term.dtype)
    return _ranged(value, whole, written, lowered)


def as_ranged_sum(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """A lowered sum that is had with exponents where infinite addends cancel.

    Args:
        value: the lowered sum.
        term: the same, canonical.
        lowered: the lowered terms of what it is made of.
    """
    functions = [a for a in term.args if _grows(a)]
    if not functions or sum(_is_unbounded(a) for a in term.args) < 2:
        return value
    found = coded(term, lowered, masks=True)
    if found is None or not any(isinstance(step, Function | Product) for step in found[1]):
        return value
    inputs = vanishing_inputs(term)
    leaves, code, unsure = found
    args = (value, *[lowered[x] for x in leaves], *(inputs or ()))
    params = (code, unsure, None if inputs is None else term)
    return make(RANGED_SUM, args, params, forms.broadcast(MONOMIAL, args), value.dtype)


def as_ranged_call(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """A lowered function that grows as a logarithm or root, told where its argument overflowed.

    And log((b + h)/b), which is small where b has overflowed.

    Args:
        value: the lowered function.
        term: the same, canonical.
        lowered: the lowered terms of what it is made of.
    """
    if (
        term.op.name not in SLOW | {"log_step"}
        or not _is_unbounded(term.args[0])
        or is_exact(term.args[0])
    ):
        return value
    plain = all(map(is_exact, forms.factors(forms.split(term.args[0])[1])))
    inputs = None if term.op.name == "sqrt1pm1" and plain else vanishing_inputs(term)
    if inputs is None:  # or a product of two numbers: the question costs a twentieth of its root
        return value
    leaves, code, unsure = (codable(term) and coded(term, lowered)) or ((), (), ())
    args = (value, *[lowered[x] for x in leaves], *inputs)
    return make(RANGED_SUM, args, (code, unsure, term), value.shape, value.dtype)


def _grows(x: Term) -> bool:
    """Whether an addend may overflow: a function that does, or a product with a function."""
    return x.op.name in RANGING or (x.op is MONOMIAL and not all(map(is_exact, x.args)))


def _is_unbounded(x: Term) -> bool:
    return x.facts.lo == -math.inf or x.facts.hi == math.inf


def as_ranged_comparison(value: Term, term: Term, lowered: Mapping[Term, Term]) -> Term:
    """A lowered comparison with 0 that is had with exponents where what is compared underflowed.

    And a question whether a number is finite, decided where that overflowed.

    Args:
        value: the lowered comparison.
        term: the same, canonical.
        lowered: the lowered terms of what it is made of.
    """
    inner = term.args[0]
    if inner.dtype != value.args[0].dtype:
        return value
    found: tuple[tuple[Term, ...], Code, tuple[bool, ...]] | None = (), (), ()
    if term.op.name == "isfinite":
        inputs = vanishing_inputs(inner) if _is_unbounded(inner) and not is_exact(inner) else None
        if inputs is None:
            return value
    else:
        zero = term.op.name in SIGNED and is_const(term.args[1], 0)
        if not zero or not (is_signed(inner) or vanishes(inner)):
            return value
        inputs = vanishing_inputs(inner)
        found = coded(inner, lowered)
    if found is None or not (found[1] or inputs):
        return value
    leaves, code, unsure = found
    args = (value, lowered[inner], *[lowered[x] for x in leaves], *(inputs or ()))
    meant = None if inputs is None else OPS["where"](term, 1.0, 0.0)
    params = (term.op.name, code, unsure, meant)
    return make(RANGED_COMPARISON, args, params, forms.broadcast(MONOMIAL, args), value.dtype)


def is_signed(x: Term) -> bool:
    """Whether the sign of a term is lost where it underflows: a product, or minus a function."""
    if x.op.name in ("maximum", "minimum"):
        return any(a.op is MONOMIAL or a.op is AFFINE for a in x.args)
    return ranges(x) or (x.op is AFFINE and len(x.args) == 1 and not is_exact(x.args[0]))


def coded(
    term: Term,
    lowered: Mapping[Term, Term],
    *,
    masks: bool = False,
    given: Container[Term] = (),
) -> tuple[tuple[Term, ...], Code, tuple[bool, ...]] | None:
    """The leaves, the code of a term, and which of the leaves may have been lost.

    There may be masks among the leaves or not. What is ``given`` is a leaf.
    """
    inner = _inner(term, given)
    if inner is None:
        return None
    order = topological([term], stop=lambda t: t not in inner)
    leaves = [t for t in order if t not in inner]
    told = {t.args[0] for t in inner if t.op.name == "where"}
    told |= {t.args[1] for t in inner if t.op is REQUIRE}
    if any(x not in lowered or not (masks or x in told or is_float(x.dtype)) for x in leaves):
        return None
    rounded = _rounded(order, inner)
    felt = {a for t in inner if t.op.name not in ("exp", "log") for a in t.args}
    own = [t for t in order if t in felt and t in inner and t in lowered and _may_cancel(t)]
    registers = [*leaves, *own]
    register = {t: i for i, t in enumerate(registers)}
    code: list[Any] = []

    def put(t: Term, step: Any) -> None:
        code.append(step)
        register[t] = len(registers) + len(code) - 1

    for i, t in enumerate(leaves):
        if t in rounded and (t.facts.positive or t.facts.negative):
            put(t, Nonzero(i, 1 if t.facts.positive else -1))
    for t in order:
        if t not in inner:
            continue
        if t.op is AFFINE or t.op is MONOMIAL:
            known = register.get(t)
            step = instruction(t, register)
            over = tuple([register[a] for a in t.args if a.dtype.kind == "b"])
            if isinstance(step, Sum) and not all(map(is_exact, t.args)):
                bits = CANCELLED if t in rounded else IN_PAIRS
                step = Rounded(step.constant, step.addends, bits, known)
            put(t, Masked(step, over) if over and isinstance(step, Product) else step)
        elif t.op is REQUIRE:
            put(t, Required(*[register[a] for a in t.args]))
        else:
            name = t.op.name
            n = t.params[0] if name in SLOPES or name == "power_gap" else 0
            if name == "log" and t.args[0] in rounded:
                name = LOG_OF_ROUNDED
            put(t, Function(name, tuple([register[a] for a in t.args]), n))
    unsure = tuple([t in rounded and not t.facts.nonzero for t in registers])
    return tuple(registers), tuple(code), unsure


def _may_cancel(t: Term) -> bool:
    several = t.op is AFFINE and len(t.args) + (t.params[0] != 0) > 1
    return several and not one_sign(t) and not all(map(is_exact, t.args))


def _rounded(order: Sequence[Term], inner: Container[Term]) -> set[Term]:
    """Which terms of a code are, or are made of, rounded results."""
    rounded: set[Term] = set()
    for t in order:
        if t not in inner:
            by_itself = is_float(t.dtype) and not is_exact(t)
        else:
            by_itself = t.op not in (AFFINE, MONOMIAL, REQUIRE)
        if by_itself or (t in inner and not rounded.isdisjoint(t.args)):
            rounded.add(t)
    return rounded


def _inner(term: Term, given: Container[Term]) -> dict[Term, None] | None:
    """The forms and functions that the code computes, where they are few."""
    inner: dict[Term, None] = {}
    seen = {term}
    stack = [term]
    while stack:
        t = stack.pop()
        if t in given or (t.op.name == "log" and not may_leave(t.args[0])):
            continue
        if not codable(t):
            if t is term:
                return None
            continue
        inner[t] = None
        for x in t.args:
            if x not in seen:
                seen.add(x)
                stack.append(x)
        if len(seen) > LONGEST:
            return None
    return inner
