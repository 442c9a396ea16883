"""Which terms may leave the range of floats on the way, and which of them a code computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stablegrad.ir import Term
from stablegrad.ops import forms
from stablegrad.ops.behaviour import FALLS, GROWS, LEADING, PRODUCTS
from stablegrad.ops.forms import AFFINE, MONOMIAL, REQUIRE
from stablegrad.ops.guards import blocks_zeros, one_holds
from stablegrad.ops.lowered_functions import SLOPES
from stablegrad.ops.ranged_functions import CODED, RANGING
from stablegrad.ops.record import CONST, is_const, is_float
from stablegrad.synthesis.op import SYNTHESIZED
from stablegrad.transforms.vanishing import vanishes

BASED = frozenset(
    "power power_derivative powm1 pow1p pow1p_derivative pow1pm1 cbrt cbrt_slope".split()
)
"""Functions that are in range where their first argument may not be."""
GROWING = (GROWS | PRODUCTS) - {"exp"}
"""Functions that may leave the range where their product with another factor does not."""
FALLING = (FALLS | PRODUCTS) - {"exp"}
"""Functions that may be lost below the range where their root or product is not."""
UNBOUNDED = RANGING | GROWS
"""Functions of which a sum may leave the range."""
FORMS = (AFFINE, MONOMIAL, REQUIRE)
WHOLE = 16  # powers up to here are products
LIMIT = 32  # terms that are looked at
LONGEST = 40  # forms, functions and leaves of one code


def ranges(x: Term) -> bool:
    """Whether a factor may be lost on the way: a sum of products or functions, or a product."""
    seen = {x}
    stack = [x]
    while stack and len(seen) <= LIMIT:
        t = stack.pop()
        if _ranges_itself(t):
            return True
        fresh = [a for a in _made_of(t) if a not in seen]
        seen.update(fresh)
        stack += fresh
    return False


def _ranges_itself(x: Term) -> bool:
    if x.op is MONOMIAL or as_product(x) is not x:
        return not is_weight(x)
    if x.op.name in ("hypot", "abs", "log_expm1"):
        return any(a.op is MONOMIAL or a.op is AFFINE or a.op.name in GROWING for a in x.args)
    if x.op.name in LEADING:
        order, c = LEADING[x.op.name]
        return order > 1 or (order == 1 and c < 1) or x.args[0].op is MONOMIAL
    return x.op is AFFINE and any(
        (a.op is MONOMIAL and not is_weight(a)) or a.op is AFFINE or a.op.name in UNBOUNDED
        for a in x.args
    )


def _made_of(x: Term) -> Sequence[Term]:
    """What is lost on the way where a term is."""
    if x.op.name == "where":
        return x.args[1:]
    if x.op is AFFINE:
        return [a for a in x.args if a.op.name == "where"]
    if x.op is REQUIRE:
        return x.args[:1]
    if x.op.name in BASED and codable(x):
        return [x.args[0], *forms.factors(x.args[0])]
    return x.args[:1] if x.op.name in LEADING else ()


def is_weight(x: Term) -> bool:
    """Whether a product is 1 where some conditions hold, and 0 elsewhere."""
    one = all(a.dtype.kind == "b" or (a.op is REQUIRE and a.args[0].op is CONST) for a in x.args)
    return x.op is MONOMIAL and one


def as_product(x: Term) -> Term:
    """A factor; the product itself where it is a kernel for the product of some others."""
    if x.op is not SYNTHESIZED:
        return x
    naive = x.args[1]
    return naive if naive.op is MONOMIAL else x


def underflows(x: Term, p: Any) -> bool:
    """Whether a factor to the power p may be lost below the range, or its sign under a root."""
    rooted = not isinstance(p, int) and vanishes(x)
    lost = rooted or ranges(x) or x.op.name in FALLING
    lost = lost or (is_chosen(x) and (p < 0 or not any(is_const(a, 0) for a in x.args)))
    return lost and (decays(x) or not has_masks(x))


def decays(x: Term) -> bool:
    """Whether a factor has exponentials or tails, which are small on the way to 0."""
    stack, seen = [x], {x}
    while stack and len(seen) <= LIMIT:
        t = stack.pop()
        if t.op.name in FALLS:
            return True
        fresh = [a for a in t.args if a not in seen and (t.op in FORMS or t.op.name == "where")]
        seen.update(fresh)
        stack += fresh
    return False


def is_chosen(x: Term) -> bool:
    """Whether a factor is the greater or smaller of some, one of them a product."""
    while x.op.name in ("expm1", "sinh"):  # about their argument where that is small
        (x,) = x.args
    chosen = x.args if x.op.name in ("maximum", "minimum") else ()
    return any(a.op is MONOMIAL or a.op.name in GROWING for a in chosen)


def has_masks(x: Term) -> bool:
    """Whether a factor is made of masks: then it has zeros that are meant."""
    stack, seen = [x], {x}
    while stack:
        t = stack.pop()
        if not (t.op in FORMS or t.op.name in (*CODED, "where")):
            continue
        if t.op.name == "where":
            if any(is_const(a, 0) for a in t.args) and not _guards(t.args[0], t.args[1]):
                return True
        elif _masks(t):
            return True
        inner = [b for a in t.args for b in _factors(a)] if _chooses(t) else t.args
        fresh = [a for a in inner if a not in seen and a.dtype.kind != "b"]
        seen.update(fresh)
        stack += fresh
        if len(seen) > LIMIT:
            break
    return False


def _factors(addend: Term) -> Sequence[Term]:
    return addend.args if addend.op is MONOMIAL else (addend,)


def _masks(term: Term) -> list[Term]:
    """The masks of a product, but those of divisors."""
    masks = [a for a in _factors(term) if a.dtype.kind == "b"]
    return [m for m in masks if not (_guards(m, term) or blocks_zeros(m))]


def _chooses(total: Term) -> bool:
    """Whether a sum is a choice: of its addends, one at least has masks that all hold."""
    if total.op is not AFFINE:
        return False
    return one_holds([_masks(a) for a in total.args])


def _guards(mask: Term, term: Term) -> bool:
    """Whether a mask of a product says that a divisor of it is not 0."""
    core = forms.split(term)[1]
    if core.op is not MONOMIAL or mask.op.name != "not_equal" or not is_const(mask.args[1], 0):
        return False
    powers = dict(zip(core.args, core.params[0], strict=True))
    return powers.get(mask.args[0], 0) < 0


def overflows(x: Term) -> bool:
    """Whether a factor is a plain sum, which only its size can spoil."""
    return x.op is AFFINE and (len(x.args) > 1 or any(a.op.name in RANGING for a in x.args))


def is_over_its_own(x: Term, p: Any, parts: Mapping[Term, Any]) -> bool:
    """Whether a factor is a function of a product over factors of it, and lost with that."""
    inner = x.args[0] if x.op.elementwise and len(x.args) == 1 else x
    product = p > 0 and x is not inner and inner.op is MONOMIAL
    return product and any(parts.get(a, 0) < 0 for a in (inner, *inner.args))


def codable(t: Term) -> bool:
    """Whether a term is one instruction of a code."""
    if t.op.name in SLOPES:
        return sum(t.params) == 1
    if t.op.name.startswith("inverse_power"):
        return t.params == (1,)
    if t.op.name == "power_gap":
        return isinstance(t.params[0], int) and 0 < t.params[0] <= WHOLE
    if t.op.name == "compound_sum":
        return t.params == (0, 0)
    if t.op.name in CODED or t.op is REQUIRE:
        return True
    if t.op.name in LEADING or t.op.name == "where":
        return ranges(t)
    if t.op is AFFINE:
        return not isinstance(t.params[0], str)
    return t.op is MONOMIAL and any(is_float(x.dtype) for x in t.args)


def may_leave(x: Term) -> bool:
    """Whether a number may leave the range, so that its log is had of its exponent."""
    sides = x.args if x.op.name in ("maximum", "minimum") else (x,)
    return any(a.op is AFFINE or a.op is MONOMIAL or a.op.name in RANGING for a in sides)
