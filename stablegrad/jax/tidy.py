"""What a program is rid of before XLA sees it: work that the forward and backward pass can share.

Derivatives write 2*a - 2*b where the value has a - b, multiply inside of a sum by what is the
same for all its addends, and sum what was broadcast. None of it changes a result by more than a
rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from stablegrad.canonical import in_order
from stablegrad.engines.xla.logistic import REFLECTED
from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops.forms import (
    AFFINE,
    MONOMIAL,
    REQUIRE,
    Rational,
    broadcast,
    exact_ratio,
    unbroadcast_view,
)
from stablegrad.ops.record import CONST, const
from stablegrad.ops.reduction import every

_SINGLE = np.dtype(np.float32)


def tidy(roots: Sequence[Term]) -> list[Term]:
    """Canonical terms with common multiples taken out of sums and products."""
    done: dict[Term, Term] = {}
    for term in topological(roots):
        args = tuple([done[a] for a in term.args])
        if term.op.name in REFLECTED:
            args = (_reflected(args[0]),)
        new = term
        if args != term.args:
            new = make(term.op, args, term.params, term.shape, term.dtype)
        if new.dtype == _SINGLE:
            if new.op is AFFINE:
                new = _affine(new)
            elif new.op is MONOMIAL:
                new = _monomial(new)
            elif new.op.name == "sum":
                new = _sum(new)
            elif new.op.commutative:
                new = in_order(new)
        done[term] = new
    return [done[r] for r in roots]


def _multiple(c: Rational, term: Term) -> Term:
    """C times a term that is no multiple itself."""
    if c == 1:
        return term
    return make(AFFINE, (term,), (0, (exact_ratio(c),)), term.shape, term.dtype)


def _reflected(x: Term) -> Term:
    """A negative multiple as the negative of a multiple: both signs then share one term."""
    c, core = _split(x)
    return _multiple(-1, _multiple(-c, core)) if c < 0 and c != -1 else x


def _split(term: Term) -> tuple[Rational, Term]:
    """A multiple as its factor and the term."""
    single = term.op is AFFINE and len(term.args) == 1 and term.params[0] == 0
    if single and term.args[0].shape == term.shape:
        return term.params[1][0], term.args[0]
    return 1, term


def _affine(term: Term) -> Term:
    """A sum with the multiples among its addends flat, and what all coefficients share outside."""
    constant, coefficients = term.params
    pairs = [_split(a) for a in term.args]
    cores = tuple([core for _, core in pairs])
    if len(set(cores)) == len(cores):
        coefficients = tuple(
            [exact_ratio(c * f) for c, (f, _) in zip(coefficients, pairs, strict=True)]
        )
        term = make(AFFINE, cores, (constant, coefficients), term.shape, term.dtype)
    size = abs(coefficients[0])
    if constant != 0 or len(cores) < 2 or size == 1 or any(abs(c) != size for c in coefficients):
        return term
    bare = tuple([exact_ratio(Fraction(c) / size) for c in coefficients])
    return _multiple(size, make(AFFINE, term.args, (0, bare), term.shape, term.dtype))


def _monomial(term: Term) -> Term:
    """A product with the multiples among its factors, and the signs of differences, in front."""
    factor: Rational = 1
    powers: dict[Term, Rational] = {}
    for x, p in zip(term.args, term.params[0], strict=True):
        c, core = _split(x) if isinstance(p, int) else (1, x)
        if isinstance(p, int) and core.op is AFFINE and core.params[1][0] < 0:
            constant, coefficients = core.params
            if constant == 0:
                bare = tuple([-k for k in coefficients])
                core, c = make(AFFINE, core.args, (0, bare), core.shape, core.dtype), -c
        if core in powers and powers[core] * p < 0:
            return term
        factor = exact_ratio(Fraction(factor) * Fraction(c) ** p) if c != 1 else factor
        powers[core] = exact_ratio(powers.get(core, 0) + p)
    c, powers = _over_root(powers)
    factor = exact_ratio(Fraction(factor) * Fraction(c))
    powers = _quotients(powers)
    cores = tuple(powers)
    if cores == term.args and factor == 1:
        return term
    shape = broadcast(MONOMIAL, cores)
    if len(cores) == 1 and powers[cores[0]] == 1:
        found = _multiple(factor, cores[0])
    else:
        product = make(MONOMIAL, cores, (tuple(powers.values()),), shape, term.dtype)
        found = _multiple(factor, product)
    return found if found.shape == term.shape else OPS["broadcast_to"](found, shape=term.shape)


def _over_root(powers: dict[Term, Rational]) -> tuple[Rational, dict[Term, Rational]]:
    """The slope of sqrt(sum(v*v) + d*d) as a multiple of v over that root: the value has it."""
    units = {x.args[0]: x for x, p in powers.items() if x.op.name == "unit_vector" and p == 1}
    for f, p in powers.items():
        if f.op.name != "hypot_unit" or p != 1 or not f.args[1].facts.nonzero:
            continue
        c, size = _split(f.args[0])
        unit = units.get(size.args[0]) if size.op.name == "norm" else None
        if unit is None or size.params != (unit.param("axis"), True):
            continue
        v, root = unit.args[0], in_order(OPS["hypot"](*f.args))
        if v not in powers and root not in powers:
            rest = {t: n for t, n in powers.items() if t is not f and t is not unit}
            return c, {**rest, v: 1, root: -1}
    return 1, powers


def _quotients(powers: dict[Term, Rational]) -> dict[Term, Rational]:
    """A difference and its scale as one factor where the scale divides it: the value has it."""
    tops = [x for x, p in powers.items() if x.op is AFFINE and isinstance(p, int) and p > 0]
    below = [x for x, p in powers.items() if isinstance(p, int) and p < 0]
    if len(tops) != 1 or len(below) != 1 or len(powers) < 3:
        return powers
    (x,), (y,) = tops, below
    p, q = powers[x], -powers[y]
    if q < p or any(n.dtype.kind == "b" for n in powers):
        return powers
    shape = broadcast(MONOMIAL, (x, y))
    z = make(MONOMIAL, (x, y), ((1, -1),), shape, x.dtype)
    rest = {t: n for t, n in powers.items() if t is not x and t is not y}
    return {**rest, z: p, **({y: exact_ratio(p - q)} if q > p else {})}


# -- sums -----------------------------------------------------------------------------------


def _sum(term: Term) -> Term:
    """A sum along axes with what does not vary along them outside."""
    axis, keepdims = term.params
    factor, core = _split(term.args[0])
    axes = every(axis, core.ndim)
    if core.op is REQUIRE and core.args[0].shape == core.shape and core.size:
        x, condition = core.args
        if not any(_varies(condition, k, core.ndim) for k in axes):
            inner = _sum(make(term.op, (x,), term.params, term.shape, term.dtype))
            condition = _reshaped(condition, axes, core.ndim, term.shape)
            kept = make(REQUIRE, (inner, condition), (), term.shape, term.dtype)
            return _multiple(factor, kept)
    bare = unbroadcast_view(core)
    count = math.prod([core.shape[k] for k in axes])
    if core.op is CONST and isinstance(core.params[0], int | Fraction):
        value = exact_ratio(Fraction(factor) * core.params[0] * count)
        return const(value, term.dtype, term.shape)
    if count > 1 and not any(_varies(bare, k, core.ndim) for k in axes):
        one = _reshaped(bare, axes, core.ndim, term.shape)
        one = one if one.shape == term.shape else OPS["broadcast_to"](one, shape=term.shape)
        return _multiple(exact_ratio(factor * count), one)
    if core.op is not MONOMIAL:
        if factor == 1:
            return term
        return _multiple(factor, make(term.op, (core,), term.params, term.shape, term.dtype))
    inside: dict[Term, Rational] = {}
    outside: dict[Term, Rational] = {}
    for x, p in zip(core.args, core.params[0], strict=True):
        constant = not any(_varies(x, k, core.ndim) for k in axes)
        (outside if constant else inside)[x] = p
    # a mask keeps to what it masks, and a quotient in the sum to what keeps it in range
    bound = any(x.dtype.kind == "b" or p < 0 for x, p in inside.items())
    if not outside or not inside or bound:
        return _multiple(factor, make(term.op, (core,), term.params, term.shape, term.dtype))
    if any(not any(_varies(x, k, core.ndim) for x in inside) for k in axes):
        return term
    total = OPS["sum"](_product(inside), axis=_shifted(axes, inside, core), keepdims=keepdims)
    parts = {_reshaped(x, axes, core.ndim, term.shape): p for x, p in outside.items()}
    result = _product({total: 1, **parts})
    result = result if result.shape == term.shape else OPS["broadcast_to"](result, shape=term.shape)
    return _multiple(factor, result)


def _varies(x: Term, axis: int, ndim: int) -> bool:
    place = axis - (ndim - x.ndim)
    return place >= 0 and x.shape[place] != 1


def _shifted(axes: tuple[int, ...], parts: dict[Term, Rational], like: Term) -> tuple[int, ...]:
    ndim = max(x.ndim for x in parts)
    return tuple([k - (like.ndim - ndim) for k in axes])


def _reshaped(x: Term, axes: tuple[int, ...], ndim: int, shape: tuple[int, ...]) -> Term:
    """What does not vary along the axes, in the shape of a sum along them."""
    if len(shape) < ndim:
        kept = [n for i, n in enumerate(x.shape) if i + ndim - x.ndim not in axes]
        return x if tuple(kept) == x.shape else OPS["reshape"](x, shape=tuple(kept))
    return x


def _product(powers: dict[Term, Rational]) -> Term:
    args = tuple(powers)
    if len(args) == 1 and powers[args[0]] == 1:
        return args[0]
    dtype = next(x.dtype for x in args if x.dtype.kind != "b")
    return make(MONOMIAL, args, (tuple(powers.values()),), broadcast(MONOMIAL, args), dtype)
