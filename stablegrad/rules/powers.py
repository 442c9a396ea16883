"""Even powers of lengths, which are smooth where the lengths are not."""

from __future__ import annotations

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import other_factors


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
