"""The canonical forms: flat sums ``affine``, flat products ``monomial``, and guards.

Every real sum, difference and multiple is one ``affine`` (c0 + sum of c_i * x_i) and every
product, quotient and constant power one ``monomial`` (product of x_i ** p_i), with exact
rational c and p. So a rule needs one spelling only, and sums and products can be evaluated
as a whole. The constructors here build nothing else:

* nothing is ever distributed; common factors are taken out of sums;
* a boolean factor of a monomial is an Iverson bracket [c]: where it is false the product is
  zero, whatever the other factors are (a *structural* zero);
* what cancels leaves a guard behind (``require``) unless it is proved finite and nonzero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stablegrad.ir import OPS, Shape, Term, make
from stablegrad.ops.exact import (
    Exact,
    Rational,
    exact_ratio,
    plus,
    prod,
    ratio,
    rational_power,
    times,
)
from stablegrad.ops.flat_sums import CAP, flat_sum, split, unbroadcast_view
from stablegrad.ops.form_records import AFFINE, INDICATOR, MONOMIAL, REQUIRE
from stablegrad.ops.guards import defined, implied, left_by, needless, pole_free
from stablegrad.ops.record import CONST, broadcast, const, is_const

__all__ = [
    "AFFINE",
    "INDICATOR",
    "MONOMIAL",
    "REQUIRE",
    "Rational",
    "affine",
    "broadcast",
    "const",
    "exact_ratio",
    "factors",
    "monomial",
    "partial_factors",
    "power",
    "product",
    "ratio",
    "scale",
    "split",
    "total",
    "with_shape",
]


def with_shape(term: Term, shape: Shape) -> Term:
    """The term broadcast to ``shape``, constants and forms without a node of its own."""
    if term.shape == shape:
        return term
    if term.op is CONST or term.op is AFFINE or term.op is MONOMIAL:
        return make(term.op, term.args, term.params, shape, term.dtype)
    return OPS["broadcast_to"](term, shape=shape)


def scale(factor: Exact, term: Term) -> Term:
    """``factor * term`` for an exact constant."""
    if factor == 1:
        return term
    if term.op is CONST:
        return const(times(factor, term.params[0]), term.dtype, term.shape)
    if isinstance(factor, str):
        return product([const(factor, term.dtype), term])
    return affine(0, {term: factor}, term.shape, term.dtype)


def total(terms: Iterable[tuple[Rational, Term]], shape: Shape, dtype: Any) -> Term:
    """The flat sum of ``c * term`` over the pairs."""
    constant, parts, guards = flat_sum(terms, dtype)
    cancelled = [x for x, c in parts.items() if c == 0]
    for x in cancelled:
        del parts[x]
    result = affine(constant, parts, shape, dtype)
    for guard in guards:
        result = OPS["require"](result, guard)
    if cancelled:
        for guard in left_by(cancelled, result):
            result = OPS["require"](result, guard)
    return with_shape(result, shape)


def affine(constant: Exact, parts: Mapping[Term, Rational], shape: Shape, dtype: Any) -> Term:
    """Build c0 + sum of c*x from distinct, flat parts; common factors are taken out."""
    items = [(x, c) for x, c in parts.items() if c != 0]
    if not items:
        return const(constant, dtype, shape)
    if constant == 0 and len(items) > 1:
        common = common_factor([x for x, _ in items])
        if common:
            inner = total([(c, _without(x, common)) for x, c in items], shape, dtype)
            return with_shape(product([monomial(common, None, dtype), inner]), shape)
    if len(items) == 1:
        x, c = items[0]
        if constant == 0 and c == 1:
            return with_shape(x, shape)
        if x.op is AFFINE and (len(x.args) <= CAP):
            inner = [(prod(c, k), y) for k, y in zip(x.params[1], x.args, strict=True)]
            constant = plus(constant, times(c, x.params[0]))
            return affine(constant, {y: k for k, y in inner}, shape, dtype)
        if constant == -c and x.op is MONOMIAL and all(y.dtype.kind == "b" for y in x.args):
            other = OPS["logical_not"](x.args[0] if len(x.args) == 1 else OPS["equal"](x, 1))
            return scale(constant, monomial({other: 1}, shape, dtype))  # 1 - [c]
    if len(items) > 1:
        items.sort(key=_by_key)
    args = tuple([x for x, _ in items])
    return make(AFFINE, args, (constant, tuple([c for _, c in items])), shape, dtype)


def _by_key(item: tuple[Term, Rational]) -> int:
    return item[0].key


def factors(term: Term) -> dict[Term, Rational]:
    """A term as factors with powers."""
    if term.op is MONOMIAL:
        return dict(zip(term.args, term.params[0], strict=True))
    return {term: 1}


def common_factor(terms: list[Term]) -> dict[Term, Rational]:
    """The factors that all terms share, with the powers that they have in each."""
    common: dict[Term, Rational] | None = None
    for t in terms:
        present = factors(t)
        if common is None:
            common = dict(present)
            continue
        for x in list(common):
            p, q = common[x], present.get(x, 0)
            if p * q <= 0:
                del common[x]
            else:
                common[x] = min(p, q) if p > 0 else max(p, q)
        if not common:
            return {}
    inherent = {m for t in terms for x in factors(t) for m in _own_masks(x)}
    return {x: p for x, p in (common or {}).items() if x not in inherent}


def _own_masks(factor: Term) -> list[Term | None]:
    """The masks that a factor brings along, which would come back: also from within a guard."""
    found, rest = [factor.support], [factor.args[0]] if factor.op is REQUIRE else []
    while rest:
        inner = rest.pop()
        found += [inner, inner.support] if inner.dtype.kind == "b" else [inner.support]
        if inner.op is REQUIRE or (inner.op is AFFINE and len(inner.args) == 1):
            rest.append(inner.args[0])
        elif inner.op is MONOMIAL:
            rest += inner.args
    return found


def _without(term: Term, common: Mapping[Term, Rational]) -> Term:
    rest = factors(term)
    for x, p in common.items():
        rest[x] = exact_ratio(rest[x] - p)
    return monomial({x: p for x, p in rest.items() if p != 0}, term.shape, term.dtype)


def monomial(parts: Mapping[Term, Rational], shape: Shape | None, dtype: Any) -> Term:
    """Build the product of x**p from distinct, flat parts, in their own shape by default."""
    if shape is None:
        shape = broadcast(MONOMIAL, tuple(parts)) if parts else ()
    items = [(x, p) for x, p in parts.items() if p != 0]
    if not items:
        return const(1, dtype, shape)
    if len(items) == 1 and items[0][1] == 1 and items[0][0].dtype.kind != "b":
        return with_shape(items[0][0], shape)
    if len(items) > 1:
        items.sort(key=_by_key)
    args = tuple([x for x, _ in items])
    return make(MONOMIAL, args, (tuple([p for _, p in items]),), shape, dtype)


def partial_factors(out: Term, i: int) -> tuple[Term, Term]:
    """The derivative of a flat product by its argument i: the other factors, and the slope."""
    powers = out.params[0]
    x, p = out.args[i], powers[i]
    others = {y: q for y, q in zip(out.args, powers, strict=True) if y is not x}
    rest = monomial(others, out.shape, out.dtype)
    return rest, scale(p, power(x, exact_ratio(p - 1)))


def product(terms: Iterable[Term]) -> Term:
    """The flat product of terms, powers of one base merged, exponentials too."""
    terms = list(terms)
    shape = broadcast(MONOMIAL, tuple(terms))
    dtype = next(t.dtype for t in terms if t.dtype.kind != "b")
    collector = Product(dtype)
    for t in terms:
        collector.multiply(t, 1)
    return collector.result(shape)


def power(base: Term, exponent: Rational) -> Term:
    """``base ** exponent`` for an exact constant exponent."""
    if exponent == 1:
        return base
    collector = Product(base.dtype)
    collector.multiply(base, exponent)
    return collector.result(base.shape)


class Product:
    """Collects the factors of one flat product."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.coefficient: Exact = 1
        self.parts: dict[Term, Rational] = {}
        self.exponents: list[tuple[Rational, Term]] = []
        self.guards: dict[Term, None] = {}
        self.cancelled: list[Term] = []

    def multiply(self, term: Term, p: Rational) -> None:
        """Multiply by ``term ** p``, flattening what is sound to flatten."""
        term = unbroadcast_view(term)
        if term.op is INDICATOR and p > 0:
            self.parts[term.args[0]] = 1
        elif term.dtype.kind == "b":
            self.parts[term] = 1
        elif term.op is CONST and self._constant(term.params[0], p):
            pass
        elif term.op is AFFINE:
            self._affine(term, p)
        elif term.op is MONOMIAL and len(term.args) <= CAP:
            self._monomial(term, p)
        elif term.op is REQUIRE:
            self.guards[term.args[1]] = None
            self.multiply(term.args[0], p)
        elif term.op.name == "exp":
            self.exponents.append((p, term.args[0]))
        elif term.op.name == "abs" and isinstance(p, int) and p % 2 == 0:
            self.multiply(term.args[0], p)
        else:
            self._merge(term, p)

    def _constant(self, value: Exact, p: Rational) -> bool:
        if isinstance(value, str):
            if p != 1:
                return False
            self.coefficient = times(self.coefficient, value)
            return True
        folded = rational_power(value, p)
        if folded is None:
            return False
        self.coefficient = times(self.coefficient, folded)
        return True

    def _affine(self, term: Term, p: Rational) -> None:
        c, core = split(term)
        if c != 1:
            folded = rational_power(c, p)
            if folded is not None:
                self.coefficient = times(self.coefficient, folded)
                self.multiply(core, p)
                return
        self._merge(term, p)

    def _monomial(self, term: Term, p: Rational) -> None:
        inner = list(zip(term.args, term.params[0], strict=True))
        if p < 0 and any(x.dtype.kind == "b" for x, _ in inner):
            self._merge(term, p)
            return
        if isinstance(p, int):
            for x, q in inner:
                whole = 1 if x.dtype.kind == "b" else prod(p, q)
                if isinstance(whole, int) and not isinstance(q, int) and not x.facts.nonnegative:
                    self.guards[x >= const(0, x.dtype)] = None  # sqrt(x)**2 is no number below 0
                self.multiply(x, whole)
            return
        kept: dict[Term, Rational] = {}
        zeros: dict[Term, Rational] = {}
        for x, q in inner:
            if x.dtype.kind == "b":
                self.multiply(x, 1)
            elif isinstance(q, int) and q % 2 == 0 and not x.facts.nonnegative:
                self.multiply(OPS["abs"](x), prod(p, q))
            elif x.facts.positive or not isinstance(q, int):
                if not (x.facts.nonnegative or x.facts.defined):
                    self.guards[x >= const(0, x.dtype)] = None  # (-inf)**0.25 is inf, of a root nan
                self.multiply(x, prod(p, q))
            elif x.facts.nonnegative:
                zeros[x] = q
            else:
                kept[x] = q
        if kept:  # beside 0 the others may be negative: the root of 0 is 0
            kept |= zeros
        else:
            for x, q in zeros.items():
                self.multiply(x, prod(p, q))
        if kept:
            self._merge(monomial(kept, term.shape, term.dtype), p)

    def _merge(self, x: Term, p: Rational) -> None:
        if x.support is not None and p > 0:
            self.parts[x.support] = 1
        q = self.parts.get(x)
        if q is None:
            self.parts[x] = p
            return
        merged = exact_ratio(p + q)
        self.parts[x] = merged
        whole = isinstance(p, int) and isinstance(q, int)
        if not whole and isinstance(merged, int):
            bad_zero = p < 0 or q < 0
            proved = x.facts.positive if bad_zero else x.facts.nonnegative
            if not (proved and merged != 0 and x.facts.defined):
                zero = const(0, x.dtype)
                condition = x > zero if bad_zero else x >= zero
                self.guards[condition] = None
        elif p * q < 0 and not x.facts.nonzero:
            self.guards[OPS["not_equal"](x, const(0, x.dtype))] = None
        elif p * q < 0:  # facts are of finite numbers: erfc(1/0) is 0
            self.guards.update(dict.fromkeys(pole_free(x, zero=True)))
        if merged == 0:
            self.cancelled.append(x)

    def result(self, shape: Shape) -> Term:
        """The collected product as one term."""
        self._merge_exponentials()
        if self.coefficient == 0:
            return self._zero(shape)
        parts = {x: p for x, p in self.parts.items() if p != 0 and x.dtype.kind != "b"}
        masks = {x: p for x, p in self.parts.items() if x.dtype.kind == "b"}
        core = monomial(parts, None, self.dtype)
        guards = [g for g in self.guards if not (needless(g, core) or implied(g, masks))]
        if self.cancelled:
            guards += left_by(self.cancelled, core)
        if masks and not guards:
            core = monomial(parts | masks, None, self.dtype)
        if isinstance(self.coefficient, str):
            core = OPS["multiply"](const(self.coefficient, self.dtype), core)
        else:
            core = scale(self.coefficient, core)
        for guard in guards:  # inside the masks: what is blocked needs no guard
            core = OPS["require"](core, guard)
        if guards and masks:
            core = monomial({core: 1, **masks}, None, self.dtype)
        return with_shape(core, shape)

    def _zero(self, shape: Shape) -> Term:
        """0 times a product: zero, but nan where a factor is infinite or nan."""
        zero = const(0, self.dtype, shape)
        parts = {x: p for x, p in self.parts.items() if x.dtype.kind != "b" and p != 0}
        guards = list(self.guards)
        if parts:
            x = monomial(parts, shape, self.dtype)
            guards += defined(x) if x.args else [OPS["isfinite"](x)]
        guards += [g for x in self.cancelled for g in defined(x)]
        for guard in guards:
            zero = OPS["require"](zero, guard)
        masks = {x: 1 for x in self.parts if x.dtype.kind == "b"}
        if not (guards and masks):
            return zero
        return monomial({zero: 1, **masks}, shape, self.dtype)

    def _merge_exponentials(self) -> None:
        """A product holds one exponential at most: exp(a) * exp(b) overflows where it does not."""
        if not self.exponents:
            return
        if len(self.exponents) == 1 and self.exponents[0][0] == 1:
            argument = self.exponents[0][1]
        else:
            shape = broadcast(AFFINE, tuple([t for _, t in self.exponents]))
            argument = total(self.exponents, shape, self.dtype)
        if argument.op is REQUIRE:
            self.guards[argument.args[1]] = None
            argument = argument.args[0]
        if is_const(argument, 0):
            return
        self._merge(OPS["exp"](argument), 1)
