"""Even powers of lengths, which are smooth where the lengths are not."""

from __future__ import annotations

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.rules.databases import stabilize


@stabilize.procedure(
    "monomial",
    example=lambda x, y: OPS["hypot"](x, y) ** 2,
    source="definition",
    group="powers",
    among=("hypot", "norm", "std"),
)
def even_power_of_length(term: Term) -> Term | None:
    """norm(x)**2, hypot(x, y)**2 and std(x)**2 are smooth at 0, where the lengths are not."""
    if len(term.args) != 1:
        return None
    (length,), (p,) = term.args, term.params[0]
    if not isinstance(p, int) or p < 2 or p % 2:
        return None
    name = length.op.name
    params = dict(zip(length.op.params, length.params, strict=True))
    if name == "hypot":
        x, y = length.args
        square = forms.total(
            [(1, forms.power(x, 2)), (1, forms.power(y, 2))], term.shape, term.dtype
        )
    elif name == "norm":
        square = OPS["sum"](forms.power(length.args[0], 2), **params)
    elif name == "std":
        square = OPS["var"](length.args[0], **params)
    else:
        return None
    return forms.with_shape(forms.power(square, p // 2), term.shape)
