"""How flat products become ops: as a person would write them, or with their range kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Term, make
from stablegrad.ops import forms
from stablegrad.ops.forms import MONOMIAL, Rational
from stablegrad.ops.lowered import COMPENSATED_SUM, EXP_OF_SUM, SCALED_PRODUCT, Origin
from stablegrad.ops.lowered_functions import REDONE_CALL
from stablegrad.ops.lowered_logs import half_whole
from stablegrad.ops.lowered_structured import SETTLED_STEEP
from stablegrad.ops.ranged import BOUNDED, MASKED, RANGED_PRODUCT, RANGED_SUM, UNBOUNDED
from stablegrad.ops.record import const, round_to
from stablegrad.transforms.ranged import ranged_code
from stablegrad.transforms.ranging import has_masks, is_over_its_own, underflows
from stablegrad.transforms.vanishing import vanishing_inputs

WIDE = np.dtype(np.float64)


def emit_product(
    term: Term, args: tuple[Term, ...], dtype: np.dtype[Any], lowered: Mapping[Term, Term] | None
) -> Term:
    """A monomial on lowered arguments.

    Args:
        term: the monomial.
        args: its lowered arguments.
        dtype: the dtype to compute in.
        lowered: the lowered terms of all that it is made of; None where range is no matter.
    """
    masks: list[Term] = []
    powers: dict[Term, Rational] = {}
    for x, p in zip(args, term.params[0], strict=True):
        if x.dtype.kind == "b":
            masks.append(x)
        else:  # different arguments may lower to one term: their powers add up
            powers[x] = forms.exact_ratio(powers.get(x, 0) + p)
    items = sorted(powers.items(), key=lambda e: (e[1] < 0, e[0].key))
    result = None if lowered is None else _emit_ranged(term, items, lowered)
    if result is None:
        result = _emit_factors(items, 1, dtype)
    if masks:
        condition = masks[0]
        for m in masks[1:]:
            condition = OPS["logical_and"](condition, m)
        result = OPS["where"](condition, result, const(0, dtype))
    return result


def _emit_ranged(
    term: Term, items: list[tuple[Term, Rational]], lowered: Mapping[Term, Term]
) -> Term | None:
    """A product of which factors may leave the range, and are redone from what they are made of."""
    parts = dict(zip(term.args, term.params[0], strict=True))
    found = ranged_code({x: p for x, p in parts.items() if x.dtype.kind != "b"}, lowered, term)
    if found is None:
        return None
    watched, leaves, code, rounded = found
    places = {x: i for i, (x, _) in enumerate(items)}
    plain = _scaled(items, 1, WIDE)
    small = {x for x in watched if underflows(x, parts[x]) or is_over_its_own(x, parts[x], parts)}
    indices = tuple(sorted({(places[lowered[x]], _loss(x) if x in small else 0) for x in watched}))
    inputs = vanishing_inputs(term)
    args = (*plain.args, *[lowered[x] for x in leaves], *(inputs or ()))
    shape = forms.broadcast(MONOMIAL, args)
    params = (*plain.params, indices, code, rounded, None if inputs is None else term)
    return make(RANGED_PRODUCT, args, params, shape, WIDE)


def _loss(x: Term) -> int:
    """How a factor may leave the range."""
    if has_masks(x):
        return MASKED
    return BOUNDED if x.facts.lo > -math.inf and x.facts.hi < math.inf else UNBOUNDED


def times(x: Term, c: Rational, *, ranged: bool = False) -> Term | None:
    """A product that keeps its range times an exact constant, if that is what it is.

    Args:
        x: the lowered product.
        c: the constant.
        ranged: whether a product of two is to keep its range too, beside a constant that moves it.
    """
    if ranged and x.op.name in TWO and not _LEAST <= abs(c) <= 1 / _LEAST:
        return _scaled([*zip(x.args, TWO[x.op.name], strict=True)], c, x.dtype)
    if x.op is not SCALED_PRODUCT and x.op is not RANGED_PRODUCT:
        return None
    powers, factor, *others = x.params
    if x.op is RANGED_PRODUCT and others[-1] is not None:
        others[-1] = forms.scale(c, others[-1])
    params = (powers, forms.exact_ratio(factor * c), *others)
    return make(x.op, x.args, params, x.shape, x.dtype)


TWO: dict[str, tuple[int, ...]] = {"multiply": (1, 1), "divide": (1, -1), "square": (2,)}
_LEAST = Fraction(1, 8)  # constants from here on move a product by a few binades


def _emit_factors(items: list[tuple[Term, Rational]], factor: Rational, dtype: Any) -> Term:
    if not items:
        return const(factor, dtype)
    if dtype == WIDE and (len(items) > 1 or items[0][1] != 1) and _origins(items):
        return _scaled(items, factor, dtype)
    if factor in (1, -1):
        simple = _simple_product(items, dtype)
        if simple is not None:
            return simple if factor == 1 else OPS["negative"](simple)
    if len(items) == 1 and items[0][1] == 1:
        return emit_multiple(items[0][0], factor, dtype)
    if len(items) == 1 and items[0][1] == -1 and factor != 1:
        return OPS["divide"](const(factor, dtype), items[0][0])
    return _scaled(items, factor, dtype)


def _scaled(items: list[tuple[Term, Rational]], factor: Rational, dtype: Any) -> Term:
    """A product that keeps its range, with what its exponentials and sums are made of at hand."""
    origins = _origins(items)
    args = (*[x for x, _ in items], *[a for _, found in origins for a in found])
    shape = forms.broadcast(MONOMIAL, args)
    params = (tuple([p for _, p in items]), factor, tuple([origin for origin, _ in origins]))
    return make(SCALED_PRODUCT, args, params, shape, dtype)


def _origins(items: list[tuple[Term, Rational]]) -> list[tuple[Origin, tuple[Term, ...]]]:
    """The factors that may have left the range where their product has not, and their arguments.

    These are exponentials in float64, and sums of products: a square overflows at 1e154.
    """
    found: list[tuple[Origin, tuple[Term, ...]]] = []
    for i, (factor, p) in enumerate(items):
        x = _plain(factor)
        if x.op is EXP_OF_SUM:
            constant, coefficients, counts = x.params
            found.append(((i, "e", constant, coefficients, counts), x.args))
        elif _ranging(x):
            name = x.params[0] if x.op is REDONE_CALL else x.op.name
            found.append(((i, "2" if name == "exp2" else "e", 0, (1,), (1,)), x.args[:1]))
        elif x.op is COMPENSATED_SUM and x.dtype == WIDE and 2 in x.params[2] and half_whole(p):
            constant, coefficients, counts = x.params
            found.append(((i, "sum", constant, coefficients, counts), x.args))
    return found


def _plain(x: Term) -> Term:
    """A lowered factor without what is done for its rare elements."""
    while x.op is SETTLED_STEEP or x.op is RANGED_SUM:
        x = x.args[0]
    return x


def _ranging(x: Term) -> bool:
    """Whether a factor is a float64 exponential: its product may be in range where it is not."""
    again = x.op is REDONE_CALL and x.params[0] in ("exp", "exp2")
    return x.dtype == WIDE and (again or x.op.name in ("exp", "exp2", "exp_of_sum"))


def _simple_product(items: list[tuple[Term, Rational]], dtype: Any) -> Term | None:
    """A product of at most two factors as the op a person would write."""
    if len(items) == 1:
        (x, p) = items[0]
        name = {1: "", 2: "square", -1: "reciprocal", Fraction(1, 2): "sqrt"}.get(p)
        if name is None:
            return None
        return OPS[name](x) if name else x
    if len(items) == 2:
        (x, p), (y, q) = items
        if (p, q) == (1, 1):
            return OPS["multiply"](x, y)
        if (p, q) == (1, -1):
            return OPS["divide"](x, y)
    return None


def power_of_two(c: Rational) -> bool:
    """Whether a product with a constant is exact."""
    size = abs(Fraction(c))
    return size.numerator.bit_count() == 1 and size.denominator.bit_count() == 1


def emit_multiple(x: Term, factor: Rational, dtype: Any) -> Term:
    """A constant times a lowered term."""
    if factor == 1:
        return x
    if factor == -1:
        return OPS["negative"](x)
    nearest = float(round_to(factor, dtype))
    if _ranging(x) or nearest in (0, math.inf, -math.inf):  # 1e650 is no float, 1e650*x may be
        return _scaled([(x, 1)], factor, dtype)
    if x.op.name == "reciprocal" and x.dtype == dtype:  # c/x may be in range where 1/x is not
        return OPS["divide"](const(factor, dtype), x.args[0])
    if Fraction(nearest) != factor:  # x/3 rounds once, x*(1/3) twice
        inverse = 1 / Fraction(factor)
        rounded = float(round_to(forms.exact_ratio(inverse), dtype))
        if math.isfinite(rounded) and Fraction(rounded) == inverse:
            return OPS["divide"](x, const(forms.exact_ratio(inverse), dtype))
    return OPS["multiply"](const(factor, dtype), x)
