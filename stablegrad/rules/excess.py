"""What a function exceeds its tangent, or one of its arguments, by, in sums of several addends."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational, ratio
from stablegrad.ops.guards import pole_free
from stablegrad.ops.record import CONST
from stablegrad.rules.databases import stabilize


def with_rest(term: Term, *names: str) -> Iterator[tuple[Rational, Term, Term]]:
    """The c, f and r of a flat sum c*(f + r), for each addend f of the ops named."""
    constant, coefficients = term.params
    if isinstance(constant, str):
        return
    items = list(zip(coefficients, term.args, strict=True))
    for c, f in items:
        if f.op.name in names:
            rest = [(ratio(k, c), x) for k, x in items if x is not f]
            if constant != 0:
                rest.append((1, forms.const(ratio(constant, c), term.dtype)))
            yield c, f, forms.total(rest, term.shape, term.dtype)


def less(rest: Term, x: Term) -> bool:
    """Whether ``rest`` is -x."""
    return rest is forms.with_shape(forms.scale(-1, x), rest.shape)


@stabilize.procedure(
    "affine",
    example=lambda x, y, z: OPS["logaddexp"](x + y, z) - x - y,
    source="log(exp(a) + exp(b)) - a = log(1 + exp(b - a))",
    group="logistic",
    among=("logaddexp",),
)
def soft_maximum_less_argument(term: Term) -> Term | None:
    """logaddexp(a, b) - a cancels where a is the greater one, and is rounded to a unit of a."""
    for c, f, rest in with_rest(term, "logaddexp"):
        for a, b in (f.args, f.args[::-1]):
            if less(rest, a):
                step = forms.total([(1, b), (-1, a)], term.shape, term.dtype)
                result = OPS["softplus"](step)
                for finite in () if a.facts.defined else _not_infinite(a):
                    result = OPS["require"](result, finite)
                return forms.scale(c, result)
    return None


def _not_infinite(a: Term) -> list[Term]:
    """What must hold lest ``a`` is infinite at a pole: at the end of a logarithm, of a quotient."""
    found = pole_free(a)
    items = zip(a.params[1], a.args, strict=True) if a.op is forms.AFFINE else ()
    for c, x in items:
        if c < 0 and x.op.name in ("log", "log1p") and not x.facts.defined:
            found.append(OPS["greater"](x, -math.inf))
    return found


@stabilize.procedure(
    "affine",
    example=lambda x: OPS["log_sigmoid"](x) - x,
    source="log(sigmoid(x)) - x = -log(1 + exp(x))",
    group="logistic",
    among=("log_sigmoid",),
)
def log_sigmoid_less_argument(term: Term) -> Term | None:
    """log_sigmoid(x) - x cancels for very negative x."""
    for c, f, rest in with_rest(term, "log_sigmoid"):
        if less(rest, f.args[0]):
            return forms.scale(-c, OPS["softplus"](forms.with_shape(f.args[0], term.shape)))
    return None


# -- what a convex function exceeds its tangent by -------------------------------------------


def _without(
    term: Term, c: Rational, tangent: Mapping[Term, Rational]
) -> dict[Term, Rational] | None:
    """The addends of a flat sum beside c*tangent, of which a constant is part, if it has that."""
    constant, coefficients = term.params
    left = dict(zip(term.args, coefficients, strict=True))
    for x, k in tangent.items():
        if x.op is CONST:
            constant = None if constant != c * k else 0
        elif left.pop(x, None) != c * k:
            return None
    return left if constant == 0 else None


def _of_sign(c: Rational, addends: Mapping[Term, Rational]) -> bool:
    """Whether all addends are of the sign of c."""
    return all(
        x.facts.nonnegative if k * c > 0 else x.facts.nonpositive for x, k in addends.items()
    )


def _sum(term: Term, c: Rational, excess: Term, rest: Mapping[Term, Rational]) -> Term:
    parts = [(c, excess), *[(k, x) for x, k in rest.items()]]
    return forms.total(parts, term.shape, term.dtype)


@stabilize.procedure(
    "affine",
    example=lambda x, y, z: OPS["softplus"](x - y) - x + y - z,
    source="softplus(x) - softplus(-x) = x",
    group="logistic",
    among=("softplus",),
)
def softplus_less_addends(term: Term) -> Term | None:
    """softplus(a - b) - a + b cancels where a is far above b, and is rounded to a unit of a."""
    for c, x in zip(term.params[1], term.args, strict=True):
        if x.op.name != "softplus":
            continue
        (v,) = x.args
        flat = v.op is forms.AFFINE and not isinstance(v.params[0], str)
        parts = zip(v.args, v.params[1], strict=True) if flat else ()
        constant: Any = v.params[0] if flat else 0
        one = forms.const(1, term.dtype)
        addends = {y: -k for y, k in parts} or {v: -1}
        rest = _without(term, c, {x: 1, one: -constant, **addends})
        if rest is not None:
            left = OPS["softplus"](forms.scale(-1, v)) if c > 0 else OPS["log_sigmoid"](v)
            return _sum(term, abs(c), left, rest)
    return None


@stabilize.procedure(
    "affine",
    example=lambda m, v: 1 + v - m * m - OPS["exp"](v),
    source="exp(x) >= 1 + x: addends of one sign cannot cancel",
    group="exponentials",
    among=("exp",),
)
def excess_of_exponential_beside_squares(term: Term) -> Term | None:
    """1 + v - m**2 - exp(v), the divergence of a normal latent from its prior, cancels near 0."""
    for c, x in zip(term.params[1], term.args, strict=True):
        if x.op.name == "exp":
            (v,) = x.args
            one = forms.const(1, term.dtype)
            line = forms.total([(1, v), (1, one)], v.shape, v.dtype)
            if line.op is not forms.AFFINE or isinstance(line.params[0], str):
                continue
            tangent = {y: -k for y, k in zip(line.args, line.params[1], strict=True)}
            rest = _without(term, c, {x: 1, one: -line.params[0], **tangent})
            if rest and _of_sign(c, rest):
                return _sum(term, c, OPS["expm1mx"](v), rest)
    return None


def _powers(z: Term) -> list[tuple[Term, Term | None]]:
    """A product, and the two that a square of a length in it makes of it: one, and the other."""
    found: list[tuple[Term, Term | None]] = [(z, None)]
    for f, p in forms.factors(z).items():
        if f.op.name == "hypot" and p == 2:
            others = {x: q for x, q in forms.factors(z).items() if x is not f}
            a, b = [forms.monomial({x: 2, **others}, None, z.dtype) for x in f.args]
            found += [(a, b), (b, a)]
    return found


def _logarithm(z: Term, known: Mapping[Term, Rational]) -> tuple[Term, Rational] | None:
    """An addend log(y) or log_ratio(y, t), and the p for which z is y**p or (y/t)**p."""
    powers = forms.factors(z)
    for x in known:
        if x.op.name == "log" and list(powers) == [x.args[0]]:
            return x, powers[x.args[0]]
        if x.op.name == "log_ratio" and powers.keys() == set(x.args):
            above, below = (powers[y] for y in x.args)
            if above == -below:
                return x, above
    return None


@stabilize.procedure(
    "affine",
    example=lambda s, m: s * s + m * m - 1 - 2 * OPS["log"](s),
    source="x >= 1 + log(x): addends of one sign cannot cancel",
    group="logarithms",
    among=("log", "log_ratio"),
)
def excess_over_logarithm_beside_squares(term: Term) -> Term | None:
    """s**2 - 1 - 2*log(s) + m**2, the divergence of normal distributions, cancels near s = 1."""
    known = dict(zip(term.args, term.params[1], strict=True))
    for whole, c in known.items():
        for z, other in _powers(whole):
            found = _logarithm(z, known)
            if found is None or any(y.op.name == "where" for y in found[0].args):
                continue
            x, p = found
            one = forms.const(1, term.dtype)
            rest = _without(term, c, {whole: 1, x: -p, one: -1})
            if rest is not None and other is not None:
                rest[other] = c
            if rest and _of_sign(c, rest):
                return _sum(term, c, _excess_over_logarithm(z, x, p), rest)
    return None


def _excess_over_logarithm(z: Term, logarithm: Term, p: Rational) -> Term:
    """z - 1 - p*log(..), where z is a power of what the logarithm is of."""
    near = OPS["greater"](z, 0.5)
    for y in logarithm.args:  # an even power does not show that there is no logarithm
        near = near if y.facts.positive else OPS["logical_and"](near, OPS["greater"](y, 0.0))
    step = forms.total([(1, z), (-1, forms.const(1, z.dtype))], z.shape, z.dtype)
    images = {y: OPS["where"](near, 1.0, y) for y in logarithm.args}
    far = forms.monomial({images[y]: q for y, q in forms.factors(z).items()}, None, z.dtype)
    held = logarithm.op.term(tuple([images[y] for y in logarithm.args]))
    plain = forms.total([(1, far), (-p, held), (-1, forms.const(1, z.dtype))], z.shape, z.dtype)
    beside = forms.scale(-1, OPS["log1pmx"](OPS["where"](near, step, 0.0)))
    return OPS["where"](near, beside, plain)
