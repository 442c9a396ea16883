"""Matching of canonical patterns against canonical terms.

A sum matches whole, up to a common scale: matching part of a sum is unsound in floats. A
product matches in part, the rest stays a factor, and up to a common integer power. Other
ops match argument by argument. A variable absorbs any term, but no power of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from stablegrad.canonical import canonical_node
from stablegrad.ir import Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.exact import Exact
from stablegrad.ops.forms import Rational, exact_ratio, ratio
from stablegrad.ops.record import CONST, VARIABLE, const, is_const
from stablegrad.screening import fits, product_fits, sum_fits

Bound = dict[str, Term]
Parts = dict[Term, Rational]


@dataclass(frozen=True, slots=True)
class Match:
    """A successful match: variables bound, and how the rest of the root enters."""

    bound: Bound
    scale: Rational = 1
    """The factor (of a sum) or power (of a product) by which the pattern was multiplied."""
    rest: tuple[tuple[Term, Rational], ...] = ()
    """Factors of a product that the pattern did not use."""

    def rebuild(self, rhs: Term, term: Term) -> Term:
        """The right side in place of what was matched in ``term``."""
        result = instantiate(rhs, self.bound, term)
        if term.op is forms.AFFINE:
            result = forms.scale(self.scale, result)
        elif term.op is forms.MONOMIAL:
            collector = forms.Product(term.dtype)
            collector.multiply(result, self.scale)
            for x, p in self.rest:
                collector.multiply(x, p)
            return collector.result(term.shape)
        return forms.with_shape(result, term.shape)

    def stops(self) -> set[Term]:
        """The terms below which both sides are the same."""
        stops = set(self.bound.values())
        stops.update(forms.split(t)[1] for t in self.bound.values())
        stops.update(x for x, _ in self.rest)
        return stops


def instantiate(pattern: Term, bound: Bound, like: Term) -> Term:
    """The pattern with its variables replaced, in the dtype of ``like``."""
    done: dict[Term, Term] = {}
    for p in topological([pattern]):
        if p.op is VARIABLE:
            done[p] = bound[p.params[0]]
        elif p.op is CONST:
            done[p] = const(p.params[0], like.dtype if p.dtype.kind == "f" else p.dtype)
        else:
            args = tuple([done[a] for a in p.args])
            shape = forms.broadcast(p.op, args)
            dtype = like.dtype if p.dtype.kind == "f" else p.dtype
            done[p] = canonical_node(make(p.op, args, p.params, shape, dtype))
    return done[pattern]


def match_root(pattern: Term, term: Term) -> Iterator[Match]:
    """All matches of a pattern at the root of a term."""
    if pattern.op is not term.op:
        return
    if pattern.op is forms.AFFINE:
        for bound, scale in _match_sum(pattern, term, {}, None):
            yield Match(bound, scale)
    elif pattern.op is forms.MONOMIAL:
        elements = _ordered(pattern)
        parts = forms.factors(term)
        if len(elements) > len(parts):
            return
        for bound, rest, scale in _match_factors(elements, parts, {}, None):
            yield Match(bound, scale, tuple(rest.items()))
    else:
        for bound in _match(pattern, term, {}):
            yield Match(bound)


def _match(pattern: Term, term: Term, bound: Bound) -> Iterator[Bound]:
    """All ways to match a pattern exactly (no scale, no rest)."""
    op = pattern.op
    if op is VARIABLE:
        yield from _bind(pattern.params[0], term, bound)
    elif op is CONST:
        if term.op is CONST and term.params == pattern.params:
            yield bound
    elif op is forms.AFFINE:
        if term.dtype.kind != "b":
            for result, _ in _match_sum(pattern, term, bound, 1):
                yield result
    elif op is forms.MONOMIAL:
        yield from _match_product(pattern, term, bound)
    elif op is term.op and pattern.params == term.params:
        yield from _match_args(pattern.args, term.args, bound)
        if op.commutative and len(pattern.args) == 2:
            yield from _match_args(pattern.args, term.args[::-1], bound)


def _match_args(
    patterns: tuple[Term, ...], terms: tuple[Term, ...], bound: Bound
) -> Iterator[Bound]:
    if len(patterns) == 1:
        yield from _match(patterns[0], terms[0], bound)
        return
    if not patterns:
        yield bound
        return
    for first in _match(patterns[0], terms[0], bound):
        yield from _match_args(patterns[1:], terms[1:], first)


def _bind(name: str, term: Term, bound: Bound) -> Iterator[Bound]:
    known = bound.get(name)
    if known is None:
        yield {**bound, name: term}
    elif known is term:
        yield bound


# -- sums ---------------------------------------------------------------------------------


def _sum_view(term: Term) -> tuple[Exact, Parts]:
    if term.op is CONST:
        return term.params[0], {}
    if term.op is forms.AFFINE:
        return term.params[0], dict(zip(term.args, term.params[1], strict=True))
    return 0, {term: 1}


def _match_sum(
    pattern: Term, term: Term, bound: Bound, scale: Rational | None
) -> Iterator[tuple[Bound, Rational]]:
    if not sum_fits(pattern, term):
        return
    constant, parts = _sum_view(term)
    wanted = pattern.params[0]
    if isinstance(constant, str) or isinstance(wanted, str):
        return
    if wanted != 0:
        fit = ratio(constant, wanted)
        if fit == 0 or scale not in (None, fit):
            return
        scale = fit
        constant = 0
    if constant != 0:
        return  # an exact constant is wanted, 0 too
    yield from _match_addends(_addends(pattern), parts, bound, scale, term)


@cache
def _addends(pattern: Term) -> list[tuple[Term, Rational]]:
    """Elements of a sum pattern: variables last."""
    items = zip(pattern.args, pattern.params[1], strict=True)
    return sorted(items, key=lambda e: (e[0].op is VARIABLE, e[0].key))


def _match_addends(
    elements: list[tuple[Term, Rational]],
    parts: Parts,
    bound: Bound,
    scale: Rational | None,
    like: Term,
) -> Iterator[tuple[Bound, Rational]]:
    if not elements:
        if not parts:
            yield bound, 1 if scale is None else scale
        return
    (pattern, c), others = elements[0], elements[1:]
    if pattern.op is VARIABLE:
        yield from _match_addend_variable(pattern, c, others, parts, bound, scale, like)
        return
    for x, k in parts.items():
        if not fits(pattern, x):
            continue
        fit = ratio(k, c)
        if scale not in (None, fit):
            continue
        rest: Parts | None = None
        for result in _match(pattern, x, bound):
            if rest is None:  # only here: a sum may have thousands of addends
                rest = {y: q for y, q in parts.items() if y is not x}
            yield from _match_addends(others, rest, result, fit, like)


def _match_addend_variable(
    pattern: Term,
    c: Rational,
    others: list[tuple[Term, Rational]],
    parts: Parts,
    bound: Bound,
    scale: Rational | None,
    like: Term,
) -> Iterator[tuple[Bound, Rational]]:
    name = pattern.params[0]
    factor = c if scale is None else exact_ratio(c * scale)
    known = bound.get(name)
    if known is not None:
        constant, addends = _sum_view(known)
        rest = dict(parts)
        for x, k in addends.items():
            if rest.pop(x, None) != exact_ratio(k * factor):
                return
        if constant == 0:
            yield from _match_addends(others, rest, bound, scale, like)
        return
    if not others:
        if parts:
            yield {**bound, name: _combine(parts, factor, like)}, 1 if scale is None else scale
        return
    for x, k in parts.items():
        rest = {y: q for y, q in parts.items() if y is not x}
        value = forms.scale(ratio(k, factor), x)
        yield from _match_addends(others, rest, {**bound, name: value}, scale, like)


def _combine(parts: Parts, factor: Rational, like: Term) -> Term:
    shape = forms.broadcast(forms.AFFINE, tuple(parts))
    return forms.total([(ratio(k, factor), x) for x, k in parts.items()], shape, like.dtype)


# -- products -----------------------------------------------------------------------------


@cache
def _ordered(pattern: Term) -> list[tuple[Term, Rational]]:
    """Elements of a product pattern: variables last, exponentials before them."""
    items = zip(pattern.args, pattern.params[0], strict=True)
    return sorted(items, key=lambda e: (e[0].op is VARIABLE, e[0].op.name == "exp", e[0].key))


def _match_product(pattern: Term, term: Term, bound: Bound) -> Iterator[Bound]:
    """A product inside a pattern matches whole and to the first power."""
    if not product_fits(pattern, term):
        return
    for result, rest, scale in _match_factors(_ordered(pattern), forms.factors(term), bound, 1):
        if not rest and scale == 1:
            yield result


def _match_factors(
    elements: list[tuple[Term, Rational]], parts: Parts, bound: Bound, scale: Rational | None
) -> Iterator[tuple[Bound, Parts, Rational]]:
    if not elements:
        yield bound, parts, 1 if scale is None else scale
        return
    (pattern, e), others = elements[0], elements[1:]
    if pattern.op is VARIABLE:
        for x, p in _variable_factors(pattern, e, others, parts, bound, scale):
            rest = dict(parts)
            if p == rest[x]:
                del rest[x]
            else:
                rest[x] = exact_ratio(rest[x] - p)
            yield from _match_factors(others, rest, {**bound, pattern.params[0]: x}, scale)
        return
    for x, p in parts.items():
        if x.dtype.kind == "b" or not fits(pattern, x):
            continue
        if pattern.op.name == "exp":
            yield from _match_exponential(pattern, e, others, x, p, parts, bound, scale)
            continue
        for power in _powers(p, e, scale):
            rest = dict(parts)
            left = exact_ratio(p - e * power)
            if left == 0:
                del rest[x]
            else:
                rest[x] = left
            for result in _match(pattern, x, bound):
                yield from _match_factors(others, rest, result, power)


def _variable_factors(
    pattern: Term,
    e: Rational,
    others: list[tuple[Term, Rational]],
    parts: Parts,
    bound: Bound,
    scale: Rational | None,
) -> Iterator[tuple[Term, Rational]]:
    known = bound.get(pattern.params[0])
    for x, p in parts.items():
        if x.dtype.kind == "b" or (known is not None and known is not x):
            continue
        power = e if scale is None else exact_ratio(e * scale)
        if p == power or (known is not None and p * power > 0 and abs(p) >= abs(power)):
            yield x, power


def _powers(p: Rational, e: Rational, scale: Rational | None) -> list[Rational]:
    """The integer powers of a pattern that fit a factor x**p matching an element of power e."""
    fit = ratio(p, e)
    if scale is not None:
        fits = fit * scale > 0 and abs(fit) >= abs(scale)
        whole = fit == scale or isinstance(exact_ratio(p - e * scale), int)
        return [scale] if fits and whole else []
    if not isinstance(fit, int):
        return []
    sign = 1 if fit > 0 else -1
    return [fit] if fit == sign else [fit, sign]


def _difference(a: Term, p: Rational, b: Term, q: Rational) -> Term | None:
    """p*a - q*b where the addends of b go up in those of a, else None.

    No guard is left for what cancels: it is bound, so the right side of the rule has it.
    """
    constant, parts = _sum_view(a)
    subtrahend, addends = _sum_view(b)
    if isinstance(constant, str) or isinstance(subtrahend, str):
        return None
    left = {x: exact_ratio(p * k) for x, k in parts.items()}
    for x, k in addends.items():
        if left.pop(x, None) != exact_ratio(q * k):
            return None
    rest = exact_ratio(p * constant - q * subtrahend)
    shape = forms.broadcast(forms.AFFINE, (a, b))
    return forms.affine(rest, left, shape, a.dtype)


def _match_exponential(
    pattern: Term,
    e: Rational,
    others: list[tuple[Term, Rational]],
    x: Term,
    p: Rational,
    parts: Parts,
    bound: Bound,
    scale: Rational | None,
) -> Iterator[tuple[Bound, Parts, Rational]]:
    """exp(a + rest) matches exp(a): a product holds at most one exponential, all merged."""
    rest = {y: q for y, q in parts.items() if y is not x}
    names = [t.params[0] for t in topological([pattern]) if t.op is VARIABLE]
    if all(name in bound for name in names):
        power = 1 if scale is None else scale
        left = _difference(x.args[0], p, instantiate(pattern.args[0], bound, x), e * power)
        if left is not None:
            if not is_const(left, 0):
                rest[make(x.op, (left,), (), left.shape, x.dtype)] = 1
            yield from _match_factors(others, rest, bound, power)
        return
    for power in _powers(p, e, scale):
        if exact_ratio(p - e * power) == 0:
            for result in _match(pattern, x, bound):
                yield from _match_factors(others, rest, result, power)


__all__ = ["Match", "instantiate", "match_root"]
