"""Quotients and vectors whose squares, products or scales leave the range before the result."""

from __future__ import annotations

from fractions import Fraction

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational
from stablegrad.ops.guards import pole_free
from stablegrad.ops.reduction import count, every
from stablegrad.rules.databases import stabilize
from stablegrad.rules.excess import less, with_rest
from stablegrad.rules.roots import _legs, square_root
from stablegrad.rules.simpler import other_factors, size_of
from stablegrad.rules.softmax import restored

HALF = Fraction(1, 2)


@stabilize.procedure(
    "monomial",
    example=lambda x: x / (1 + x * x),
    source="hypot(1, x)**2 = 1 + x**2",
    group="quotients",
    among=("affine",),
)
def inverse_of_sum_of_squares(term: Term) -> Term | None:
    """x/(1 + x*x) vanishes where x*x overflows; the powers of a hypotenuse do not."""
    for base, p in forms.factors(term).items():
        if not isinstance(p, int) or p >= 0 or base.op is not forms.AFFINE:
            continue
        legs = _legs(base)
        if legs is None or not _whole_roots(base):
            continue
        length = legs[0]
        for leg in legs[1:]:
            length = OPS["hypot"](length, leg)
        product = forms.product([forms.power(length, 2 * p), other_factors(term, base)])
        return forms.with_shape(product, term.shape)
    return None


def _whole_roots(total: Term) -> bool:
    """Whether the coefficients of a sum have rational roots: other lengths would be rounded."""
    constant, coefficients = total.params
    return all(square_root(c) ** 2 == c for c in (constant, *coefficients))


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["hypot"](x, y) * OPS["hypot_unit"](x, y),
    source="definition",
    group="quotients",
    among=("hypot_unit",),
)
def length_times_unit(term: Term) -> Term | None:
    """hypot(x, y) * x/hypot(x, y), half the slope of x*x + y*y, is x rounded three times."""
    powers = forms.factors(term)
    for f, p in powers.items():
        if f.op.name != "hypot_unit" or not isinstance(p, int) or p < 1:
            continue
        x, y = f.args
        for length, q in powers.items():
            if length.op.name != "hypot" or q < 1 or set(length.args) != {x, y}:
                continue
            leg = OPS["require"](x, OPS["isfinite"](y))
            left = [forms.power(f, p - 1), forms.power(length, forms.exact_ratio(q - 1))]
            rest = other_factors(term, f, length)
            return forms.with_shape(forms.product([leg, *left, rest]), term.shape)
    return None


@stabilize.procedure(
    "affine",
    example=lambda x, y: OPS["hypot"](x, y) - x,
    source="(h - x)*(h + x) = y**2",
    group="quotients",
    among=("hypot",),
)
def hypotenuse_less_leg(term: Term) -> Term | None:
    """hypot(x, y) - x cancels where x is much longer than y, as in the root of a complex number."""
    for c, h, rest in with_rest(term, "hypot"):
        for bare, other in (h.args, h.args[::-1]):
            legs = (bare, OPS["abs"](bare))
            sure = any(less(rest, x) for x in legs)
            if h.args[0] is h.args[1] or not (sure or (rest in legs and len(term.args) == 2)):
                continue
            leg = rest  # the sum is c*(h + leg)
            if leg.facts.nonnegative:
                return None
            long = h + (OPS["abs"](bare) if leg.facts.nonpositive else size_of(leg))
            cured = forms.product([other, other, forms.power(long, -1)])
            if not long.facts.nonzero:
                # 0 as the length is, and no constant, which would be one that is meant
                cured = OPS["where"](OPS["not_equal"](long, 0.0), cured, long)
            result = cured if leg.facts.nonpositive else None
            if result is None:
                result = OPS["where"](OPS["less"](leg, 0.0), cured, long)
            for pole in pole_free(bare):
                result = OPS["require"](result, pole)  # an infinite leg less itself
            return forms.with_shape(forms.scale(c, result), term.shape)
    return None


# -- lengths of vectors -------------------------------------------------------------------


def _even_root(x: Term, p: Rational) -> Term | None:
    """The y of x = y**p or |y|**p, for a product x of powers that are multiples of p."""
    if x.op is not forms.MONOMIAL or any(a.dtype.kind == "b" for a in x.args):
        return None
    powers = [Fraction(q) / p for q in x.params[0]]
    if any(q.denominator != 1 for q in powers):
        return None
    parts = dict(zip(x.args, [forms.exact_ratio(q) for q in powers], strict=True))
    return forms.monomial(parts, x.shape, x.dtype)


@stabilize.procedure(
    "monomial",
    example=lambda x: OPS["sqrt"](OPS["sum"](x * x, axis=-1)),
    source="Blue 1978",
    group="vectors",
    among=("sum", "mean"),
)
def root_of_summed_squares(term: Term) -> Term | None:
    """sqrt(sum(x*x)) and sqrt(mean(x*x)) overflow and underflow where the norm does not."""
    for factor, p in forms.factors(term).items():
        c, total = forms.split(factor)
        if p.denominator != 2 or c <= 0 or total.op.name not in ("sum", "mean"):
            continue
        root = _even_root(total.args[0], 2)
        if root is None:
            continue
        params = {"axis": total.param("axis"), "keepdims": total.param("keepdims")}
        length = forms.power(OPS["norm"](root, **params), forms.exact_ratio(2 * p))
        if c != 1:
            length = forms.product([length, forms.power(forms.const(c, term.dtype), p)])
        if total.op.name == "mean":
            n = count(root.shape, total.param("axis"))
            length = forms.product([length, forms.power(forms.const(n, term.dtype), -p)])
        return forms.with_shape(forms.product([length, other_factors(term, factor)]), term.shape)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x: OPS["power"](OPS["sum"](OPS["abs"](x) ** 3, axis=-1), 1.0 / 3.0),
    source="homogeneity of norms",
    group="vectors",
    among=("sum",),
)
def p_norm_of_powers(term: Term) -> Term | None:
    """sum(|x|**p)**(1/p) overflows and underflows where the p-norm does not."""
    for total, q in forms.factors(term).items():
        if total.op.name != "sum" or isinstance(q, int) or total.args[0].op is not forms.MONOMIAL:
            continue
        inner = total.args[0]
        (p, *others) = inner.params[0]
        if others or p <= 2 or inner.args[0].dtype.kind == "b":
            continue
        (x,) = inner.args
        if not (isinstance(p, int) and p % 2 == 0) and not x.facts.nonnegative:
            continue
        x = x.args[0] if x.op.name == "abs" else x
        params = {"axis": total.param("axis"), "keepdims": total.param("keepdims"), "p": p}
        size = forms.power(OPS["p_norm"](x, **params), forms.exact_ratio(p * q))
        return forms.with_shape(forms.product([size, other_factors(term, total)]), term.shape)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x: OPS["power"](OPS["prod"](x, axis=-1), 1.0 / 3.0),
    source="mantissas and exponents apart",
    group="vectors",
    among=("prod",),
)
def root_of_prod(term: Term) -> Term | None:
    """prod(x)**(1/n), a geometric mean: the product leaves the range where its root does not."""
    for total, p in forms.factors(term).items():
        if total.op.name != "prod" or isinstance(p, int):
            continue
        params = {"axis": total.param("axis"), "keepdims": total.param("keepdims"), "p": p}
        size = OPS["prod_power"](total.args[0], **params)
        return forms.with_shape(forms.product([size, other_factors(term, total)]), term.shape)
    return None


@stabilize.procedure(
    "exp",
    example=lambda x: OPS["exp"](OPS["mean"](OPS["log"](x), axis=-1)),
    source="exp(log(x)/n) = x**(1/n)",
    group="vectors",
    among=("mean", "sum"),
)
def geometric_mean_by_logs(term: Term) -> Term | None:
    """exp(mean(log(x))): the exponential multiplies the rounding of the logarithms."""
    c, total = forms.split(term.args[0])
    if total.op.name not in ("sum", "mean") or total.args[0].op.name != "log":
        return None
    (x,) = total.args[0].args
    axis, keepdims = total.param("axis"), total.param("keepdims")
    if total.op.name == "mean":
        c = forms.exact_ratio(Fraction(c) / count(x.shape, axis))
    result = OPS["prod_power"](x, axis=axis, keepdims=keepdims, p=c)
    if not x.facts.nonnegative:
        least = OPS["min"](x, axis=axis, keepdims=keepdims)
        result = OPS["require"](result, OPS["greater_equal"](least, 0.0))
    return result


@stabilize.procedure(
    "monomial",
    example=lambda x: (
        x**-2 * OPS["reshape"](OPS["sum"](x, axis=-1) ** -2, shape=(*x.shape[:-1], 1))
    ),
    source="definition",
    group="vectors",
    among=("reshape",),
)
def power_of_repeated(term: Term) -> Term | None:
    """x**-2 * (y**-2 repeated along x), slopes of 1/sum(1/x): a power alone leaves the range."""
    parts = forms.factors(term)
    for repeated, q in parts.items():
        if repeated.op.name != "reshape" or len(parts) == 1:
            continue
        c, core = forms.split(repeated.args[0])
        if core.op is not forms.MONOMIAL or len(core.args) != 1 or not isinstance(q, int):
            continue
        (base,), (p,) = core.args, core.params[0]
        if base.dtype.kind == "b" or base.shape != core.shape or not isinstance(p, int):
            continue
        whole = forms.power(repeated.op.term((base,), repeated.params), p * q)
        factor = forms.exact_ratio(Fraction(c) ** q)
        product = forms.product([whole, other_factors(term, repeated)])
        return forms.with_shape(forms.scale(factor, product), term.shape)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x: x / OPS["norm"](x, axis=-1, keepdims=True),
    source="homogeneity of norms",
    group="vectors",
    among=("norm", "broadcast_to", "reshape"),
)
def normalized_vector(term: Term) -> Term | None:
    """x/norm(x) is the unit vector, whose derivative does not cancel."""
    parts = forms.factors(term)
    for below, p in parts.items():
        length = restored(below)
        if p != -1 or length.op.name != "norm":
            continue
        x = length.args[0]
        own = {x: 1} if parts.get(x) == 1 else forms.factors(x)
        if any(parts.get(y) != q for y, q in own.items()):
            continue  # a product is flat here
        whole = length.size == 1 or length.param("keepdims") or below is not length
        if not whole or below.ndim not in (0, x.ndim) or misplaced(below, length, x):
            continue
        unit = OPS["unit_vector"](x, axis=length.param("axis"))
        rest = other_factors(term, below, *own)
        return forms.with_shape(forms.product([unit, rest]), term.shape)
    return None


def misplaced(below: Term, length: Term, x: Term) -> bool:
    """Whether lengths stand along other axes than those that they were taken over."""
    if length.size == 1 or length.param("keepdims"):
        return False
    axes = length.param("axis")
    kept = tuple([1 if axes is None or i in axes else n for i, n in enumerate(x.shape)])
    return below.op.name == "broadcast_to" or below.shape != kept


@stabilize.procedure(
    "monomial",
    example=lambda x, y: (
        OPS["sum"](x * y, axis=-1) / (OPS["norm"](x, axis=-1) * OPS["norm"](y, axis=-1))
    ),
    source="homogeneity of the scalar product",
    group="vectors",
    among=("sum",),
)
def cosine_similarity(term: Term) -> Term | None:
    """sum(x*y)/(norm(x)*norm(y)) of unit vectors keeps range and digits of its derivatives."""
    parts = forms.factors(term)
    for total, p in parts.items():
        if p != 1 or total.op.name != "sum" or total.args[0].op is not forms.MONOMIAL:
            continue
        inner = total.args[0]
        params = (total.param("axis"), total.param("keepdims"))
        used: list[Term] = []
        units: list[Term] = []
        for x, q in zip(inner.args, inner.params[0], strict=True):
            length = _length(parts, x, params)
            if length is None or q != 1 or x.shape != inner.shape:
                units.append(forms.power(x, q))
                continue
            used.append(length)
            units.append(OPS["unit_vector"](x, axis=params[0]))
        if not used:
            continue
        dot = OPS["sum"](forms.product(units), axis=params[0], keepdims=params[1])
        product = forms.product([dot, other_factors(term, total, *used)])
        return forms.with_shape(product, term.shape)
    return None


def _length(parts: dict[Term, Rational], x: Term, params: tuple[object, object]) -> Term | None:
    for below, p in parts.items():
        if p == -1 and below.op.name == "norm" and below.args[0] is x and below.params == params:
            return below
    return None


# -- softmax of products ------------------------------------------------------------------


@stabilize.procedure(
    "softmax",
    "log_softmax",
    example=lambda x, s: OPS["softmax"](x * s, axis=-1),
    source="softmax(x) = softmax(x - c)",
    group="softmax",
)
def softmax_of_product(term: Term) -> Term | None:
    """softmax(x*s): shifted before it is scaled, and what is -inf passes no derivative.

    A factor s that is constant along the axis scales differences of x, which are exact where
    s*x is rounded; a factor of -inf suppresses its entry, whose derivative 0*inf is 0.
    """
    (z,) = term.args
    c, core = forms.split(z)
    axis = term.param("axis")
    parts = forms.factors(core)
    if any(x.dtype.kind == "b" for x in parts) or core.ndim != term.ndim:
        return None
    axes = every(axis, term.ndim)
    along = [x for x in parts if x.ndim == term.ndim and any(x.shape[i] != 1 for i in axes)]
    if not along or (len(parts) == 1 and (abs(c) == 1 or parts[along[0]] != 1)):
        return None
    shifted = z
    if len(along) == 1 and parts[along[0]] == 1:
        shifted = _shifted(term, along[0], forms.scale(c, other_factors(core, along[0])))
    if len(parts) > 1:
        infinite = forms.const("-inf", term.dtype)
        shifted = OPS["where"](OPS["greater"](z, infinite), shifted, infinite)
    return None if shifted is z else term.op.term((shifted,), term.params)


def _shifted(term: Term, x: Term, factor: Term) -> Term:
    """factor * (x - end of x), halved on the way so that the difference cannot overflow."""
    x = forms.with_shape(x, term.shape)
    ends = [OPS[name](x, axis=term.param("axis"), keepdims=True) for name in ("max", "min")]
    if factor.facts.nonnegative:
        end = ends[0]
    elif factor.facts.nonpositive:
        end = ends[1]
    else:
        end = OPS["where"](OPS["less"](factor, 0.0), ends[1], ends[0])
    end = OPS["stop_gradient"](end)
    return 2 * factor * (x / 2 - end / 2)
