"""Means and lengths by any exponent: (w*x**p + v*y**p)**(1/p) without its greater power."""

from __future__ import annotations

import functools

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.derivative import STOP_GRADIENT
from stablegrad.ops.exact import Rational
from stablegrad.ops.record import is_const
from stablegrad.ops.reduction import count
from stablegrad.rules.databases import RARE, stabilize
from stablegrad.rules.simpler import bare, other_factors, unshaped


@stabilize.procedure(
    "power",
    example=lambda x, y, p: OPS["power"]((OPS["power"](x, p) + OPS["power"](y, p)) / 2, 1 / p),
    source="means of powers are homogeneous",
    group=RARE,
    among=("affine",),
)
def power_of_sum_of_powers(term: Term) -> Term | None:
    """(w*x**p + v*y**p)**(1/p) leaves the range for large p; with v = 1 - w all is lost for small.

    The greater power is taken out: what is left is 1 to a power, or beside one next to it.
    """
    total, outer = term.args
    found = _two_powers(total)
    if found is None:
        return None
    (v, x), (u, y), p = found
    rate = forms.split(p)[1]
    degree = bare(forms.product([outer, p]))
    if forms.factors(forms.split(outer)[1]).get(rate) != -1 or rate in forms.factors(degree):
        return None
    v, x, u, y, p = (forms.with_shape(a, total.shape) for a in (v, x, u, y, p))
    rare = OPS["rarely"](_is_rare(total, p, x, y))
    x, y, p = (OPS["where"](rare, a, b) for a, b in ((x, 1.0), (y, 2.0), (p, 1.0)))
    first = OPS["logical_xor"](x < y, p > 0)
    base, other = OPS["where"](first, x, y), OPS["where"](first, y, x)
    own, less = OPS["where"](first, v, u), OPS["where"](first, u, v)
    rate = forms.product([p, OPS["log_ratio"](other, base)])
    plain = OPS["power"](OPS["where"](rare, 1.0, total), outer)
    outer = forms.product([degree, forms.power(p, -1)])
    if is_const(bare(forms.total([(1, v), (1, u)], total.shape, total.dtype)), 1):
        gain = forms.product([less, OPS["expm1"](rate)])
        mean = OPS["exp"](forms.product([outer, OPS["log1p"](gain)]))
    else:
        share = forms.product([less, OPS["exp"](rate)])
        mean = OPS["power"](forms.total([(1, own), (1, share)], total.shape, total.dtype), outer)
    scale = base if is_const(degree, 1) else OPS["power"](base, degree)
    return forms.with_shape(OPS["where"](rare, forms.product([scale, mean]), plain), term.shape)


@stabilize.procedure(
    "power",
    example=lambda x, y, p: OPS["power"](OPS["power"](x, p) + OPS["power"](y, p) - 1, 1 / p),
    source="means of powers are homogeneous",
    group=RARE,
    among=("affine",),
)
def power_of_sum_of_several_powers(term: Term) -> Term | None:
    """(x**p + y**p - 1)**(1/p), Clayton's copula, leaves the range for large p, as two powers do.

    And all is lost for small p where the weights add up to 1. A constant is a power of 1.
    """
    total, outer = term.args
    found = _several_powers(total)
    if found is None:
        return None
    weights, bases, p = found
    rate = forms.split(p)[1]
    degree = bare(forms.product([outer, p]))
    if forms.factors(forms.split(outer)[1]).get(rate) != -1 or rate in forms.factors(degree):
        return None
    p, *bases = (forms.with_shape(a, total.shape) for a in (p, *bases))
    rare = OPS["rarely"](_is_rare(total, p, *bases))
    p, *bases = (OPS["where"](rare, a, 1.0) for a in (p, *bases))
    outermost = [functools.reduce(OPS[name], bases) for name in ("maximum", "minimum")]
    top = OPS["where"](p > 0, *outermost)
    rates = [forms.product([p, OPS["log_ratio"](x, top)]) for x in bases]
    plain = OPS["power"](OPS["where"](rare, 1.0, total), outer)
    outer = forms.product([degree, forms.power(p, -1)])
    even = is_const(bare(forms.total([(1, w) for w in weights], (), total.dtype)), 1)
    gains = [OPS["expm1" if even else "exp"](x) for x in rates]
    parts = [(1, forms.product(pair)) for pair in zip(weights, gains, strict=True)]
    gain = forms.total(parts, total.shape, total.dtype)
    if even:
        mean = OPS["exp"](forms.product([outer, OPS["log1p"](gain)]))
    else:
        mean = OPS["power"](gain, outer)
    scale = top if is_const(degree, 1) else OPS["power"](top, degree)
    return forms.with_shape(OPS["where"](rare, forms.product([scale, mean]), plain), term.shape)


@stabilize.procedure(
    "power",
    example=lambda x, p: OPS["power"](
        OPS["mean"](OPS["power"](x, _widest(p)), axis=-1, keepdims=True), 1 / _widest(p)
    ),
    source="log(mean(exp(z))) = mean(z) + Jensen's gap of z",
    group=RARE,
    among=("mean", "sum"),
)
def power_of_mean_of_powers(term: Term) -> Term | None:
    """mean(x**p)**(1/p) for small p is the power of what is next to 1: all is lost."""
    total, outer = term.args
    c, inner = forms.split(total)
    if inner.op.name not in ("mean", "sum") or inner.args[0].op.name != "power":
        return None
    (powers,), axis = inner.args, inner.param("axis")
    base, p = powers.args
    n = count(powers.shape, axis) if inner.op.name == "sum" else 1
    chosen = unshaped(p)
    done = chosen.op.name == "where" and unshaped(chosen.args[0]).op.name == "rarely"
    if c * n != 1 or done or p.shape not in ((), inner.shape) or powers.size > FEW:
        return None
    degree = bare(forms.product([outer, p]))
    rate = forms.split(p)[1]
    if forms.factors(forms.split(outer)[1]).get(rate) != -1 or rate in forms.factors(degree):
        return None
    params = {"axis": axis, "keepdims": True}
    base = forms.with_shape(base, powers.shape)
    top, least = OPS["max"](base, **params), OPS["min"](base, **params)
    wide = OPS["reshape"](p, shape=top.shape) if p.size == top.size else p
    sums = OPS["reshape"](bare(total), shape=top.shape)
    far = OPS["logical_or"](sums < 1 / MUCH, sums > MUCH)
    some = OPS["logical_or"](OPS["abs"](wide) < SOME, far)
    alike = OPS["abs"](forms.product([wide, OPS["log_ratio"](top, least)])) < 0.5
    good = [OPS["not_equal"](wide, 0.0), least > 0, OPS["isfinite"](top), alike]
    rare = OPS["rarely"](functools.reduce(OPS["logical_and"], good, some))
    # the greatest cancels, as its slopes do
    unit = STOP_GRADIENT.term((OPS["where"](rare, top, 1.0),))
    logs = OPS["log"](forms.product([OPS["where"](rare, base, 1.0), forms.power(unit, -1)]))
    rates = forms.product([OPS["where"](rare, wide, 1.0), logs])
    gap = OPS["jensen_excess"](rates, axis=axis, keepdims=inner.param("keepdims"))
    mean = OPS["mean"](logs, axis=axis, keepdims=inner.param("keepdims"))
    rare, unit = (OPS["reshape"](x, shape=inner.shape) for x in (rare, unit))
    own = OPS["where"](rare, p, 1.0)
    exponent = forms.total(
        [(1, mean), (1, forms.product([gap, forms.power(own, -1)]))], inner.shape, term.dtype
    )
    scale = unit if is_const(degree, 1) else OPS["power"](unit, degree)
    careful = forms.product([scale, OPS["exp"](forms.product([degree, exponent]))])
    own = OPS["where"](rare, 1.0, p)
    kept = OPS["power"](base, OPS["reshape"](own, shape=top.shape))
    away = forms.scale(c, inner.op.term((kept,), inner.params))
    plain = OPS["power"](away, forms.product([degree, forms.power(own, -1)]))
    return forms.with_shape(OPS["where"](rare, careful, plain), term.shape)


_widest = functools.partial(OPS["max"], axis=-1, keepdims=True)
SOME = 0.5
"""Exponents below it take digits from the root of a mean of powers, and from its slope by them."""
FEW = 1024
"""Up to here a careful form of whole rows may be computed beside the plain one."""
MUCH = 2.0**40
"""From here on roots of means of powers feel the rounding of their exponent."""
LEAST = {8: 2.0**-900, 4: 2.0**-100, 2: 2.0**-8}
"""By bytes of a float: sums of powers from here on to the reciprocal keep their digits."""
SMALL = 2.0**-10
"""Exponents below it make all powers next to 1."""


def _is_rare(total: Term, p: Term, *bases: Term) -> Term:
    """Where a sum of powers of positive numbers leaves the range, or both are next to 1."""
    least = LEAST[total.dtype.itemsize]
    usual = [total >= least, total <= 1 / least, OPS["abs"](p) >= SMALL]
    good = [x > 0 for x in bases]
    good += [*map(OPS["isfinite"], (*bases, p)), OPS["not_equal"](p, 0.0)]
    unusual = OPS["logical_not"](functools.reduce(OPS["logical_and"], usual))
    return functools.reduce(OPS["logical_and"], good, unusual)


def _two_powers(total: Term) -> tuple[tuple[Term, Term], tuple[Term, Term], Term] | None:
    """The weights and bases of a sum of two powers, and their exponent."""
    if total.op is not forms.AFFINE or len(total.args) != 2 or total.params[0] != 0:
        return None
    parts = [_weighted(c, x) for c, x in zip(total.params[1], total.args, strict=True)]
    if parts[0] is None or parts[1] is None or parts[0][2] is not parts[1][2]:
        return None
    return parts[0][:2], parts[1][:2], parts[0][2]


def _several_powers(total: Term) -> tuple[list[Term], list[Term], Term] | None:
    """The weights and bases of a sum of three powers or more, and their exponent."""
    if total.op is not forms.AFFINE or isinstance(total.params[0], str):
        return None
    parts = [_weighted(c, x) for c, x in zip(total.params[1], total.args, strict=True)]
    found = [part for part in parts if part is not None]
    few = len(found) < 2 or len(found) + (total.params[0] != 0) < 3
    if few or len(found) < len(parts) or any(p is not found[0][2] for *_, p in found):
        return None
    weights, bases = [w for w, *_ in found], [x for _, x, _ in found]
    if total.params[0] != 0:
        weights.append(forms.const(total.params[0], total.dtype))
        bases.append(forms.const(1, total.dtype))
    return weights, bases, found[0][2]


def _weighted(c: Rational, x: Term) -> tuple[Term, Term, Term] | None:
    """The weight, base and exponent of a multiple of a product with one power."""
    powers = [a for a, p in forms.factors(x).items() if a.op.name == "power" and p == 1]
    if len(powers) != 1:
        return None
    base, exponent = powers[0].args
    return forms.scale(c, other_factors(x, powers[0])), base, exponent
