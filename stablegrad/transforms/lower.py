"""Lowering: how the sums and products of canonical form are evaluated.

Each canonical term becomes ops with kernels. Fragile float32 parts, and all of half precision,
are computed in float64 and rounded once; float64 sums that may cancel are compensated; products
keep their range; the exponential of a sum takes the rounding error of the sum along.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.cost import one_sign
from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.dtypes import is_half
from stablegrad.ops.forms import AFFINE, MONOMIAL, Rational
from stablegrad.ops.lowered import COMPENSATED_SUM, EXP_OF_SUM, SCALED_PRODUCT, Origin
from stablegrad.ops.lowered_logs import LOG_OF_PRODUCT, LOG_OF_SUM, half_whole
from stablegrad.ops.record import CONST, Exact, const, is_float, round_to
from stablegrad.transforms.rational import as_rational_sum
from stablegrad.transforms.redone import as_redone_sum

WIDE = np.dtype(np.float64)

EXACT_OPS = frozenset(
    "negative abs sign where maximum minimum fmax fmin copysign clip positive floor ceil round "
    "trunc require stop_gradient add subtract multiply divide sqrt square reciprocal "
    "indicator".split()
)
"""Elementwise ops whose native result is correctly rounded: no wider arithmetic needed."""

MOVES = frozenset(
    "reshape transpose broadcast_to concatenate flip pad windows getitem take_along_axis".split()
)
"""Ops that only move elements, and take any dtype."""

NATIVE_REDUCTIONS = frozenset("sum mean max min any all argmax argmin cumsum cumprod".split())

Addend = tuple[Rational, tuple[Term, ...]]


class Lowering:
    """Lowers terms; a term may be wanted in its own dtype and, inside float64 parts, wide."""

    def __init__(self, *, native: bool = False, trusted: frozenset[str] = frozenset()) -> None:
        self.trusted = trusted
        """Ops that the engine computes well enough in any dtype."""
        self.native = native
        """Whether everything stays in the user's dtype and plain arithmetic."""
        self.own: dict[Term, Term] = {}
        self.wide: dict[Term, Term] = {}
        """The terms computed in float64: fragile ones, and what is elementwise on such."""
        self.soft: dict[Term, Term] = {}
        """Cheap narrow terms once more in float64, for those of their users that are wide."""
        self.casts: set[Term] = set()
        """The conversions to float64 and back that lowering inserts."""

    def __call__(self, roots: Sequence[Term]) -> list[Term]:
        """The roots as ops with kernels."""
        for term in topological(roots):
            if term in self.own:
                continue
            if term.op.name == "astype" and self._widens(term):
                self.wide[term] = wide = self.wide[term.args[0]]
                self.own[term] = wide if term.dtype == WIDE else self._cast(wide, term.dtype)
                continue
            if self.native and is_half(term.dtype) and not _in_half(term):
                self.own[term] = self._cast(self._emit_wide(term), term.dtype)
                continue
            if not self._goes_wide(term):
                self.own[term] = self._emit(term, [self.own[a] for a in term.args], term.dtype)
                if self._may_go_wide(term):
                    self.soft[term] = self._emit_wide(term)
                continue
            if term.dtype.kind == "b":
                args = [self._widened(a) for a in term.args]
                self.own[term] = self._emit(term, args, term.dtype)
                continue
            self.wide[term] = self._emit_wide(term)
            self.own[term] = self._cast(self.wide[term], term.dtype)
        return [self.own[r] for r in roots]

    def _goes_wide(self, term: Term) -> bool:
        op = term.op
        if self.native or not term.args or op.name == "astype":
            return False
        wide_argument = any(a in self.wide for a in term.args)
        if term.dtype.kind == "b":
            return op.elementwise and wide_argument
        if not is_float(term.dtype) or term.dtype == WIDE:
            return False
        if is_half(term.dtype):
            return wide_argument or op.name not in MOVES
        if op.family == "reduction":
            known = op.name in NATIVE_REDUCTIONS or op.name in self.trusted
            return (wide_argument and op.name not in self.trusted) or not known
        if op.name in self.trusted:
            return False
        return op.elementwise and (wide_argument or fragile(term))

    def _widens(self, term: Term) -> bool:
        """Whether a conversion is of a term known in float64, to a dtype that holds more of it."""
        wider = is_float(term.dtype) and term.dtype.itemsize > term.args[0].dtype.itemsize
        return wider and term.args[0] in self.wide

    def _may_go_wide(self, term: Term) -> bool:
        form = term.op is AFFINE or term.op is MONOMIAL
        if term.op.name in self.trusted and not form:
            return False
        narrow = is_float(term.dtype) and term.dtype != WIDE and not self.native
        return narrow and term.op.elementwise and bool(term.args) and term.op.name != "astype"

    def _emit_wide(self, term: Term) -> Term:
        return self._emit(term, [self._widened(a) for a in term.args], WIDE)

    def _widened(self, term: Term) -> Term:
        if term in self.wide:
            return self.wide[term]
        if term in self.soft:
            return self.soft[term]
        if term.op is CONST and term.dtype.kind != "b":
            return const(term.params[0], WIDE, term.shape)
        own = self.own[term]
        return self._cast(own, WIDE) if is_float(own.dtype) and own.dtype != WIDE else own

    def _cast(self, term: Term, dtype: np.dtype[Any]) -> Term:
        cast = OPS["astype"](term, dtype=dtype)
        self.casts.add(cast)
        return cast

    def _emit(self, term: Term, arguments: list[Term], dtype: np.dtype[Any]) -> Term:
        """One canonical term on lowered arguments, computed in ``dtype``."""
        args = tuple(arguments)
        widened = dtype != term.dtype  # then products of two narrow factors are exact
        if term.op is AFFINE:
            rational = None if widened or self.native else self._emit_whole(term, args)
            lowered = rational or _emit_sum(term, args, dtype, plain=widened or self.native)
        elif term.op is MONOMIAL:
            lowered = _emit_product(term, args, dtype)
        elif term.op.name == "exp" and term.dtype == WIDE and not self.native:
            lowered = self._emit_exp(term, args)
        elif term.op.name == "log" and term.dtype == WIDE and not self.native:
            lowered = self._emit_log(term, args)
        elif args == term.args and dtype == term.dtype:
            return term
        else:
            lowered = make(term.op, args, term.params, term.shape, dtype)
        return lowered if lowered.shape == term.shape else _shaped(lowered, term)

    def _emit_whole(self, term: Term, args: tuple[Term, ...]) -> Term | None:
        """A sum that may cancel, computed in pairs from the numbers that it is made of."""
        single = len(args) == 1 and term.params[0] == 0
        if term.dtype != WIDE or single or one_sign(term) or isinstance(term.params[0], str):
            return None
        return as_rational_sum(term, self.own) or as_redone_sum(
            term, self.own, *_with_products(args)
        )

    def _emit_exp(self, term: Term, args: tuple[Term, ...]) -> Term:
        """exp, with the rounding error of its argument where that is a sum or a product."""
        (inner,) = term.args
        constant: Exact = 0
        coefficients: tuple[Rational, ...] = (1,)
        addends: tuple[Term, ...] = args
        if inner.op is AFFINE:
            constant, coefficients = inner.params
            addends = tuple([self.own[a] for a in inner.args])
        flat, counts = _with_products(addends)
        exact = constant == 0 and counts == (1,) and _power_of_two(coefficients[0])
        if exact or isinstance(constant, str):
            return make(term.op, args, (), term.shape, term.dtype)
        params = (constant, coefficients, counts)
        return make(EXP_OF_SUM, flat, params, inner.shape, term.dtype)

    def _emit_log(self, term: Term, args: tuple[Term, ...]) -> Term:
        """log, with range and rounding error of its argument where that is a sum or a product."""
        (inner,) = term.args
        factor, core = forms.split(inner)
        factors = forms.factors(core)
        own = [self.own[a] for a in (inner.args if inner.op is AFFINE else ())]
        if inner.op is AFFINE and core is inner and not isinstance(inner.params[0], str):
            flat, counts = _with_products(tuple(own))
            params = (inner.params[0], inner.params[1], counts)
            return make(LOG_OF_SUM, flat, params, inner.shape, term.dtype)
        plain = core.op is not MONOMIAL and factor == 1
        masked = any(x.dtype.kind == "b" for x in factors)
        if plain or masked or factor < 0 or core not in self.own:
            return make(term.op, args, (), term.shape, term.dtype)
        xs = tuple([self.own[x] for x in factors])
        params = (tuple(factors.values()), factor)
        return make(LOG_OF_PRODUCT, xs, params, inner.shape, term.dtype)


def _in_half(term: Term) -> bool:
    """Whether an op is evaluated in half precision itself, where nothing may be wider."""
    return not term.args or term.op.name in EXACT_OPS or term.op.name in (*MOVES, "astype")


def fragile(term: Term) -> bool:
    """Whether native arithmetic may lose more than a rounding in this one op."""
    if term.op is AFFINE:
        ranging = any(a.op is MONOMIAL for a in term.args)  # a product may leave the range
        addends = len(term.args) + (term.params[0] != 0)
        if addends == 1 or (addends == 2 and not ranging and _is_plain(term, term.dtype)):
            return False  # rounded once, as it is
        return ranging or not one_sign(term)
    if term.op is MONOMIAL:
        degree = sum(
            abs(p) for x, p in zip(term.args, term.params[0], strict=True) if x.dtype.kind != "b"
        )
        return degree > 2
    return term.op.name not in EXACT_OPS


def _is_plain(term: Term, dtype: Any) -> bool:
    """Whether a sum only adds and subtracts, and its constant is one float."""
    constant, coefficients = term.params
    if isinstance(constant, str) or any(c not in (1, -1) for c in coefficients):
        return False
    return Fraction(float(round_to(constant, dtype))) == constant


# -- emission -----------------------------------------------------------------------------


def _shaped(lowered: Term, term: Term) -> Term:
    if lowered.op is CONST:
        return const(lowered.params[0], lowered.dtype, term.shape)
    return OPS["broadcast_to"](lowered, shape=term.shape)


def _emit_product(term: Term, args: tuple[Term, ...], dtype: np.dtype[Any]) -> Term:
    masks: list[Term] = []
    powers: dict[Term, Rational] = {}
    for x, p in zip(args, term.params[0], strict=True):
        if x.dtype.kind == "b":
            masks.append(x)
        else:  # different arguments may lower to one term: their powers add up
            powers[x] = forms.exact_ratio(powers.get(x, 0) + p)
    items = sorted(powers.items(), key=lambda e: (e[1] < 0, e[0].key))
    result = _emit_factors(items, 1, dtype)
    if masks:
        condition = masks[0]
        for m in masks[1:]:
            condition = OPS["logical_and"](condition, m)
        result = OPS["where"](condition, result, const(0, dtype))
    return result


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
        return _emit_multiple(items[0][0], factor, dtype)
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
    for i, (x, p) in enumerate(items):
        if x.op is EXP_OF_SUM:
            constant, coefficients, counts = x.params
            found.append(((i, "e", constant, coefficients, counts), x.args))
        elif _ranging(x):
            found.append(((i, "2" if x.op.name == "exp2" else "e", 0, (1,), (1,)), x.args))
        elif x.op is COMPENSATED_SUM and x.dtype == WIDE and 2 in x.params[2] and half_whole(p):
            constant, coefficients, counts = x.params
            found.append(((i, "sum", constant, coefficients, counts), x.args))
    return found


def _ranging(x: Term) -> bool:
    """Whether a factor is a float64 exponential: its product may be in range where it is not."""
    return x.dtype == WIDE and x.op.name in ("exp", "exp2", "exp_of_sum")


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


def _power_of_two(c: Rational) -> bool:
    size = abs(Fraction(c))
    return size.numerator.bit_count() == 1 and size.denominator.bit_count() == 1


def _emit_multiple(x: Term, factor: Rational, dtype: Any) -> Term:
    if factor == 1:
        return x
    if factor == -1:
        return OPS["negative"](x)
    if _ranging(x):
        return _scaled([(x, 1)], factor, dtype)
    if x.op.name == "reciprocal" and x.dtype == dtype:  # c/x may be in range where 1/x is not
        return OPS["divide"](const(factor, dtype), x.args[0])
    rounded = Fraction(float(round_to(factor, dtype)))
    if rounded != factor:  # x/3 rounds once, x*(1/3) twice
        inverse = 1 / Fraction(factor)
        if Fraction(float(round_to(forms.exact_ratio(inverse), dtype))) == inverse:
            return OPS["divide"](x, const(forms.exact_ratio(inverse), dtype))
    return OPS["multiply"](const(factor, dtype), x)


def _emit_sum(term: Term, args: tuple[Term, ...], dtype: np.dtype[Any], *, plain: bool) -> Term:
    constant, coefficients = term.params
    if len(args) == 1 and constant == 0:
        x, c = args[0], coefficients[0]
        inner = term.args[0]
        if inner.op is MONOMIAL and x.op is SCALED_PRODUCT:
            powers, factor, again = x.params
            params = (powers, forms.exact_ratio(factor * c), again)
            return make(x.op, x.args, params, x.shape, x.dtype)
        return _emit_multiple(x, c, dtype)
    if isinstance(constant, str):
        return _plain_sum(constant, coefficients, args, dtype)
    unit = _is_plain(term, dtype)
    addends = len(args) + (constant != 0)
    if plain or one_sign(term) or (unit and addends == 2 and not _has_products(args)):
        return _plain_sum(constant, coefficients, args, dtype)
    flat, counts = _with_products(args)
    params = (constant, coefficients, counts)
    shape = forms.broadcast(AFFINE, args)
    return make(COMPENSATED_SUM, flat, params, shape, dtype)


def _has_products(args: tuple[Term, ...]) -> bool:
    return any(a.op.name in ("multiply", "square") for a in args)


def _with_products(args: tuple[Term, ...]) -> tuple[tuple[Term, ...], tuple[int, ...]]:
    """Addends with exact products taken apart: x*y and x**2 enter as two factors."""
    flat: list[Term] = []
    counts: list[int] = []
    for a in args:
        if a.op.name == "multiply" and CONST not in (a.args[0].op, a.args[1].op):
            flat += a.args
            counts.append(2)
        elif a.op.name == "square":
            flat += [a.args[0], a.args[0]]
            counts.append(2)
        else:
            flat.append(a)
            counts.append(1)
    return tuple(flat), tuple(counts)


def _plain_sum(
    constant: Exact, coefficients: tuple[Rational, ...], args: tuple[Term, ...], dtype: Any
) -> Term:
    items = sorted(zip(coefficients, args, strict=True), key=lambda e: (e[0] < 0, e[1].key))
    result: Term | None = None if constant == 0 else const(constant, dtype)
    negative_first = result is None and items[0][0] < 0
    for c, x in items:
        part = _emit_multiple(x, abs(c), dtype)
        if result is None:
            result = part
        elif (c < 0) == negative_first:
            result = OPS["add"](result, part)
        else:
            result = OPS["subtract"](result, part)
    assert result is not None
    return OPS["negative"](result) if negative_first else result
