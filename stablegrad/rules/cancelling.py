"""Parts of sums that cancel among themselves once they stand beside each other."""

from __future__ import annotations

from functools import reduce
from itertools import combinations
from typing import NamedTuple

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.forms import AFFINE, MONOMIAL, Rational
from stablegrad.ops.record import is_const
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import addends, bare


class _Addend(NamedTuple):
    """A multiple of a product, its factors, and whether one of them is a sum."""

    weight: Rational
    term: Term
    factors: dict[Term, Rational]
    sums: bool


def _size(term: Term) -> int:
    """How many addends a term has, none if it is 0."""
    core = forms.split(bare(term))[1]
    return 0 if is_const(core, 0) else addends(core)


def _has_sum(x: Term) -> bool:
    """Whether a term is a product with a sum."""
    return x.op is MONOMIAL and any(
        y.op is AFFINE and p == 1 for y, p in zip(x.args, x.params[0], strict=True)
    )


def _together(a: _Addend, b: _Addend, like: Term) -> Term | None:
    """The sum of two products with common factors, where the rest of them cancels."""
    p, q = a.factors, b.factors
    common = {x: n for x, n in p.items() if q.get(x) == n}
    if not any(x.dtype.kind != "b" for x in common):
        return None
    rests = [
        forms.monomial({x: n for x, n in f.items() if x not in common}, None, like.dtype)
        for f in (p, q)
    ]
    shape = forms.broadcast(MONOMIAL, tuple(rests))
    inner = forms.total([(a.weight, rests[0]), (b.weight, rests[1])], shape, like.dtype)
    if _size(inner) > max(_size(r) for r in rests):
        return None
    return forms.product([forms.monomial(common, None, like.dtype), inner])


@stabilize.procedure(
    "affine",
    example=lambda t, u, v: t * (u - v) + 1 / t + t * v,
    source="t*(u - v) + t*v = t*u",
    group="cancelling",
    among=("monomial",),
)
def products_that_cancel(term: Term) -> Term | None:
    """t*(u - v) + t*v + w cancels where v is large beside u: t*u + w does not."""
    if addends(term) < 3 or not any(_has_sum(x) for x in term.args):
        return None
    items = [
        _Addend(c, x, forms.factors(x), _has_sum(x))
        for c, x in zip(term.params[1], term.args, strict=True)
    ]
    if len({f for i in items for f in i.factors}) == sum([len(i.factors) for i in items]):
        return None  # no two have a factor in common
    for a, b in combinations(items, 2):
        if not (a.sums or b.sums) or a.factors.keys().isdisjoint(b.factors):
            continue
        found = _together(a, b, term)
        if found is not None:
            rest = [(i.weight, i.term) for i in items if i is not a and i is not b]
            return forms.total([(1, found), (1, _number(term)), *rest], term.shape, term.dtype)
    return None


def _number(term: Term) -> Term:
    return forms.const(term.params[0], term.dtype)


def _masked(x: Term) -> tuple[list[Term], Term | None]:
    """The masks of a sum that is 0 where they do not hold, and the sum."""
    if x.op.name == "where" and is_const(x.args[2], 0):
        masks, others = [x.args[0]], [x.args[1]]
    else:
        factors = forms.factors(x)
        masks = [m for m in factors if m.dtype.kind == "b"]
        others = [y if p == 1 else None for y, p in factors.items() if y.dtype.kind != "b"]
    one = masks and len(others) == 1 and others[0] is not None and others[0].op is AFFINE
    return masks, others[0] if one else None


@stabilize.procedure(
    "affine",
    example=lambda x: 1 + OPS["where"](x < 1, x - 1, 0.0),
    source="c + [m]*(x - c) is x where m holds, and c elsewhere",
    group="cancelling",
    among=("monomial", "where"),
)
def masked_difference(term: Term) -> Term | None:
    """c + [m]*(x - c), as a Huber loss has it for a slope, loses what is small beside c."""
    if isinstance(term.params[0], str):
        return None
    items = list(zip(term.params[1], term.args, strict=True))
    for c, x in items:
        if x.op is MONOMIAL and x.support is None:
            continue
        masks, inner = _masked(x)
        if inner is None:
            continue
        rest = [(k, y) for k, y in items if y is not x]
        outside = forms.total([(1, _number(term)), *rest], term.shape, term.dtype)
        inside = forms.total([(1, outside), (c, inner)], term.shape, term.dtype)
        if _size(inside) <= max(_size(outside), addends(inner) - 1):
            return OPS["where"](reduce(OPS["logical_and"], masks), inside, outside)
    return None


BRANCHES = 6


def _branches(choice: Term) -> list[Term]:
    """The branches of nested choices, where they are few."""
    found: list[Term] = []
    stack = [choice]
    while stack:
        x = stack.pop()
        if x.op.name == "where":
            stack += x.args[1:]
        else:
            found.append(x)
        if len(stack) + len(found) > BRANCHES:
            return []
    return found


def _times(choice: Term, factor: Term) -> Term:
    """A choice whose branches are all multiplied."""
    if choice.op.name != "where":
        return choice if is_const(choice, 0) else forms.product([factor, choice])
    condition, yes, no = choice.args
    return OPS["where"](condition, _times(yes, factor), _times(no, factor))


@stabilize.procedure(
    "monomial",
    example=lambda a, b, m: OPS["where"](m > 0, a * b, b + 1.0) / a,
    source="definition",
    group="cancelling",
    among=("where",),
)
def factor_of_a_choice(term: Term) -> Term | None:
    """where(m, a*u, v)/a: a branch with the divisor is neither lost with it nor rounded twice."""
    parts = forms.factors(term)
    for choice, power in parts.items():
        if choice.op.name != "where" or power != 1:
            continue
        inner = [forms.factors(forms.split(x)[1]) for x in _branches(choice)]
        over = {
            x: p
            for x, p in parts.items()
            if p < 0 and x is not choice and any(f.get(x, 0) > 0 for f in inner)
        }
        if not over:
            continue
        rest = {x: p for x, p in parts.items() if x is not choice and x not in over}
        divided = _times(choice, forms.monomial(over, None, term.dtype))
        whole = forms.product([forms.monomial(rest, None, term.dtype), divided])
        return forms.with_shape(whole, term.shape)
    return None
