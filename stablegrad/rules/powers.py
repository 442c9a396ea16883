"""Powers: even ones of lengths are smooth, and slopes by the exponent hold a logarithm."""

from __future__ import annotations

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import has_rule, other_factors


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["hypot"](x, y) ** 2,
    source="definition",
    group="powers",
    among=("hypot", "norm", "std"),
)
def even_power_of_length(term: Term) -> Term | None:
    """norm(x)**2, hypot(x, y)**2 and std(x)**2 are smooth at 0, where the lengths are not."""
    for length, p in forms.factors(term).items():
        if not isinstance(p, int) or p < 2 or p % 2:
            continue
        square = _square(length)
        if square is not None:
            whole = forms.product([forms.power(square, p // 2), other_factors(term, length)])
            return forms.with_shape(whole, term.shape)
    return None


def _square(length: Term) -> Term | None:
    """The square of a length as a sum."""
    name = length.op.name
    if name == "hypot":
        squares = [(1, forms.power(x, 2)) for x in length.args]
        return forms.total(squares, length.shape, length.dtype)
    if name == "norm":
        return OPS["sum"](forms.power(length.args[0], 2), **length.static)
    return OPS["var"](length.args[0], **length.static) if name == "std" else None


@stabilize.procedure(
    "power_derivative",
    "powm1_derivative",
    example=lambda a, b, y: OPS["power_derivative"](a / b, y, n=0, m=1),
    source="the derivative of exp(y*log(x))",
    group="powers",
)
def slope_of_power_by_exponent(term: Term) -> Term | None:
    """x**y*log(x), the slope of x**y by y, is blind near 1 where x is rounded: (a/b)**y.

    So the logarithm is one that rules see, where there are any for it. The op has limits at 0
    and infinity.
    """
    x, y = term.args
    if (term.param("n"), term.param("m")) != (0, 1) or not has_rule(OPS["log"](x)):
        return None
    logarithm = OPS["log"](x)
    slope = forms.product([OPS["power"](x, y), logarithm])
    held = OPS["where"](OPS["greater"](x, 1.0), float("inf"), OPS["minimum"](x, 0.0))
    edge = OPS["power_derivative"](held, y, n=0, m=1)
    return forms.with_shape(OPS["where"](OPS["isfinite"](logarithm), slope, edge), term.shape)


LARGE = {8: 500.0, 4: 60.0, 2: 8.0}
"""By bytes of a float: from here on exp(x) plus or less a number is exp(x)."""


@stabilize.procedure(
    "monomial",
    example=lambda x: OPS["sqrt"](OPS["expm1"](x)),
    source="(exp(x) - 1)**p = exp(p*x)*(1 - exp(-x))**p",
    group="powers",
    among=("expm1", "exp"),
)
def root_of_growth(term: Term) -> Term | None:
    """sqrt(exp(x) - 1) and sqrt(2 + exp(x)) are finite to twice the x at which exp overflows."""
    for base, p in forms.factors(term).items():
        found = _growth(base) if p.denominator != 1 and abs(p) < 1 else None
        if found is None:
            continue
        c, x = found
        large = OPS["greater"](x, LARGE[min(8, x.dtype.itemsize)])
        scale = forms.power(forms.const(c, x.dtype), p)
        far = forms.product([scale, OPS["exp"](forms.scale(p, x))])
        held = OPS["where"](large, 1.0, base)  # where the root is of what has overflowed
        root = OPS["where"](large, far, forms.power(held, p))
        product = forms.product([root, other_factors(term, base)])
        return forms.with_shape(product, term.shape)
    return None


def _growth(base: Term) -> tuple[Rational, Term] | None:
    """The c and x of exp(x) - 1, or of a small number plus c*exp(x), if x may be large."""
    c: Rational = 1
    if base.op is forms.AFFINE and len(base.args) == 1 and 0 < abs(_number(base)) < 1000:
        (c,), (base,) = base.params[1], base.args
        if base.op.name != "exp":
            return None
    elif base.op.name != "expm1":
        return None
    (x,) = base.args
    return (c, x) if c > 0 and x.facts.hi > LARGE[min(8, x.dtype.itemsize)] else None


def _number(total: Term) -> Rational:
    return 0 if isinstance(total.params[0], str) else total.params[0]


@stabilize.procedure(
    "log",
    example=lambda u, y: OPS["log"](-OPS["pow1pm1"](u, y)),
    source="log(1 - p) = log1p(-p)",
    group="logarithm",
)
def log_of_one_less_power(term: Term) -> Term | None:
    """log(1 - (1 + u)**y) is blind where the power is small: 1 less it is near 1."""
    c, gain = forms.split(term.args[0])
    if c != -1 or gain.op.name not in ("pow1pm1", "powm1"):
        return None
    x, y = gain.args
    one_plus = gain.op.name == "pow1pm1"
    return _log_of_one_less(OPS["pow1p" if one_plus else "power"].term((x, y)), term)


@stabilize.procedure(
    "log1p",
    example=lambda x, y: OPS["log1p"](-OPS["power"](x, y)),
    source="log1p(-exp(z)) = log1mexp(z)",
    group="logarithm",
    among=("power", "pow1p"),
)
def log1p_of_less_power(term: Term) -> Term | None:
    """log1p(-x**y) takes 1 - x**y from a power rounded next to 1."""
    c, power = forms.split(term.args[0])
    if c != -1 or power.op.name not in ("power", "pow1p"):
        return None
    return _log_of_one_less(power, term)


def _log_of_one_less(power: Term, term: Term) -> Term:
    """log(1 - x**y) by its exponent where the power is near 1, and the base is positive."""
    x, y = power.args
    one_plus = power.op.name == "pow1p"
    edge = -1.0 if one_plus else 0.0
    near = OPS["greater_equal"](power, 0.5)
    if x.facts.lo < edge:
        near = OPS["logical_and"](near, OPS["greater"](x, edge))
    base = OPS["where"](near, x, edge + 1)
    exponent = forms.product([y, OPS["log1p" if one_plus else "log"](base)])
    by_exponent = OPS["log1mexp"](OPS["where"](near, exponent, -1.0))
    by_power = OPS["log1p"](forms.scale(-1, OPS["where"](near, 0.0, power)))
    return forms.with_shape(OPS["where"](near, by_exponent, by_power), term.shape)
