"""Powers: even ones of lengths are smooth, and slopes by the exponent hold a logarithm."""

from __future__ import annotations

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
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
