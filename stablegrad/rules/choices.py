"""Choices and limits: what is done to them is done to their branches, where that is cured."""

from __future__ import annotations

from fractions import Fraction

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.record import CONST, is_const
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import has_rule, other_factors


@stabilize.procedure(
    "affine",
    example=lambda x: 1 - OPS["clip"](OPS["sigmoid"](x), 0.25, 0.75),
    source="c - clip(x, a, b) = clip(c - x, c - b, c - a)",
    group="choices",
    among=("clip",),
)
def clip_of_difference(term: Term) -> Term | None:
    """1 - clip(p, eps, 1 - eps) is the clip of 1 - p, where that is known to be cured."""
    if len(term.args) != 1 or isinstance(term.params[0], str) or term.params[0] == 0:
        return None
    (x,), (c,) = term.args, term.params[1]
    if x.op.name != "clip" or not all(b.op is CONST and b.shape == () for b in x.args[1:]):
        return None

    def moved(y: Term) -> Term:
        number = forms.const(term.params[0], y.dtype)
        return forms.total([(1, number), (c, y)], y.shape, y.dtype)

    inner, *bounds = [moved(y) for y in x.args]
    if not has_rule(inner):
        return None
    low, high = bounds if c > 0 else bounds[::-1]
    return forms.with_shape(OPS["clip"](inner, low, high), term.shape)


BRANCHES = {"log": {"softmax", "const"}, "affine": {"pow1p", "power"}}
"""What is taken into branches, and of which ops: no choices that rules make to hold an argument."""


@stabilize.procedure(
    *BRANCHES,
    example=lambda x: OPS["log"](OPS["where"](x > 0, OPS["softmax"](x, axis=-1), 1.0)),
    source="f(where(c, a, b)) = where(c, f(a), f(b))",
    group="choices",
    among=("where",),
)
def function_of_choice(term: Term) -> Term | None:
    """log(where(c, softmax(x), 1)), or 1 - where(c, pow1p(u, y), x**y): in the branches."""
    if len(term.args) != 1 or term.params[:1] == (0,):
        return None
    (choice,) = term.args
    if choice.op.name != "where":
        return None
    condition, *branches = choice.args
    if {b.op.name for b in branches} != BRANCHES[term.op.name]:
        return None

    def applied(x: Term) -> Term:
        if term.op is not forms.AFFINE:
            return term.op.term((x,))
        number = forms.const(term.params[0], x.dtype)
        return forms.total([(1, number), (term.params[1][0], x)], x.shape, x.dtype)

    found = [applied(b) for b in branches]
    if not any(has_rule(f) for f, b in zip(found, branches, strict=True) if b.op is not CONST):
        return None
    return forms.with_shape(OPS["where"](condition, *found), term.shape)


CHOSEN = frozenset("sigmoid log_sigmoid softplus ndtr log_ndtr erfc".split())
"""What takes a choice as its argument: functions whose own rules are about that."""


@stabilize.procedure(
    "where",
    example=lambda x, y: OPS["where"](y > 0, OPS["sigmoid"](x), OPS["sigmoid"](-x)),
    source="where(c, f(a), f(b)) = f(where(c, a, b))",
    group="choices",
    among=tuple(sorted(CHOSEN)),
)
def choice_of_one_function(term: Term) -> Term | None:
    """where(y, p, 1 - p), the share of what was seen: of p itself, so that 1 less it is cured."""
    condition, *branches = term.args
    function = branches[0].op
    if function.name not in CHOSEN or branches[1].op is not function:
        return None
    inner = OPS["where"](condition, *[b.args[0] for b in branches])
    return forms.with_shape(function.term((inner,)), term.shape)


@stabilize.procedure(
    "monomial",
    example=lambda x: OPS["sqrt"](
        OPS["where"](OPS["max"](x, axis=-1) > 0, OPS["sum"](x * x, axis=-1), 1.0)
    ),
    source="f(where(c, a, b)) = where(c, f(a), f(b))",
    group="choices",
    among=("where",),
)
def root_of_choice(term: Term) -> Term | None:
    """sqrt(where(s > 0, s, 1)) of a sum of squares: the root is of that sum, and a length."""
    for x, p in forms.factors(term).items():
        if x.op.name != "where" or p == int(p):
            continue
        condition, *branches = x.args
        found = [forms.power(b, p) for b in branches]
        sums = [b.op.name == "sum" for b in branches]
        if any(here and has_rule(f) for f, here in zip(found, sums, strict=True)):
            root = OPS["where"](condition, *found)
            return forms.with_shape(forms.product([root, other_factors(term, x)]), term.shape)
    return None


@stabilize.procedure(
    "where",
    example=lambda x: OPS["where"](OPS["sum"](x * x, axis=-1) > 0, OPS["max"](x, axis=-1), 1.0),
    source="the root of a number is 0 where that is",
    group="choices",
    among=("equal", "not_equal", "greater", "less_equal"),
)
def squares_beside_zero(term: Term) -> Term | None:
    """sum(x*x) > 0 does not hold where the squares underflow: the length is compared."""
    condition, *branches = term.args
    if condition.op.name not in ("equal", "not_equal", "greater", "less_equal"):
        return None
    x = next((a for a in condition.args if a.op.name == "sum"), None)
    if x is None or not x.facts.nonnegative or not any(is_const(a, 0) for a in condition.args):
        return None
    root = forms.power(x, Fraction(1, 2))
    if not has_rule(root):
        return None
    compared = condition.op.term(tuple([root if a is x else a for a in condition.args]))
    return term.op.term((compared, *branches))
