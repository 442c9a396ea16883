"""Sums, products, signs and choices by size."""

from __future__ import annotations

from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import intervals
from stablegrad.ops.forms import product
from stablegrad.ops.record import (
    REAL,
    ZERO,
    const,
    elementwise,
    interval,
    is_const,
)


def one(like: Term) -> Term:
    """The constant 1 in the dtype of a term."""
    return const(1, like.dtype)


def where_defined(y: Term) -> Term:
    """The slope 1 of an op where it has a value: of a remainder, but by 0."""
    return OPS["require"](one(y), OPS["equal"](y, y))


def masked(condition: Term, value: Term) -> Term:
    """``value`` where the condition holds, a structural zero elsewhere."""
    return product([value, OPS["indicator"](condition)])


add = elementwise(
    "add",
    degree=(),
    carries="computed",
    result="same",
    family="arithmetic",
    kernel=lambda xp, a, b: xp.add(a, b),
    ball=lambda a, b: a + b,
    partials=lambda y, a, b: (one(y), one(y)),
    domain=(REAL, REAL),
    infer_facts=intervals.binary(intervals.add),
    cost=1,
    commutative=True,
    lax="add",
    aten="add",
    source="definition",
    doc="The sum a + b.",
    example=">>> sg.ops.add(sg.tensor([1.0]), 2.0).numpy()\narray([3.], dtype=float32)",
)

subtract = elementwise(
    "subtract",
    degree=(),
    carries="computed",
    result="same",
    family="arithmetic",
    kernel=lambda xp, a, b: xp.subtract(a, b),
    ball=lambda a, b: a - b,
    partials=lambda y, a, b: (one(y), const(-1, y.dtype)),
    domain=(REAL, REAL),
    infer_facts=intervals.binary(intervals.subtract),
    cost=1,
    lax="sub",
    aten="sub",
    source="definition",
    doc="The difference a - b.",
    example=">>> sg.ops.subtract(sg.tensor([1.0]), 2.0).numpy()\narray([-1.], dtype=float32)",
)

multiply = elementwise(
    "multiply",
    degree=(1, 1),
    carries="computed",
    result="same",
    family="arithmetic",
    kernel=lambda xp, a, b: xp.multiply(a, b),
    ball=lambda a, b: a * b,
    partials=lambda y, a, b: (b, a),
    domain=(REAL, REAL),
    infer_facts=intervals.binary(intervals.multiply),
    cost=1,
    commutative=True,
    lax="mul",
    aten="mul",
    source="definition",
    doc="The product a * b.",
    example=">>> sg.ops.multiply(sg.tensor([3.0]), 2.0).numpy()\narray([6.], dtype=float32)",
)

divide = elementwise(
    "divide",
    degree=(1, 1),
    carries="computed",
    family="arithmetic",
    kernel=lambda xp, a, b: xp.divide(a, b),
    ball=lambda a, b: a / b,
    partials=lambda y, a, b: (one(y) / b, -(a / b) / b),  # b * b would overflow and underflow
    textbook=lambda y, a, b: (one(y) / b, -a * b**-2),
    domain=(REAL, REAL),  # but for b = 0, which no interval can say; the facts do
    infer_facts=intervals.binary(intervals.divide),
    cost=2,
    lax="div",
    aten="div",
    source="definition",
    doc="The quotient a / b.",
    example=">>> sg.ops.divide(sg.tensor([1.0]), 2.0).numpy()\narray([0.5], dtype=float32)",
)

negative = elementwise(
    "negative",
    degree=(),
    carries="passed",
    result="same",
    family="arithmetic",
    kernel=lambda xp, x: xp.negative(x),
    ball=lambda x: -x,
    partials=lambda y, x: (const(-1, y.dtype),),
    domain=(REAL,),
    infer_facts=intervals.unary(intervals.negative),
    support=lambda term: term.args[0].support,
    cost=1,
    lax="neg",
    aten="neg",
    source="definition",
    doc="The negative of x.",
    example=">>> sg.ops.negative(sg.tensor([1.0])).numpy()\narray([-1.], dtype=float32)",
)

positive = elementwise(
    "positive",
    result="same",
    family="arithmetic",
    kernel=lambda xp, x: xp.positive(x),
    ball=lambda x: x,
    partials=lambda y, x: (one(y),),
    domain=(REAL,),
    infer_facts=lambda term: term.args[0].facts,
    support=lambda term: term.args[0].support,
    cost=1,
    lax="",
    aten="positive",
    source="definition",
    doc="x itself.",
    example=">>> sg.ops.positive(sg.tensor([1.0])).numpy()\narray([1.], dtype=float32)",
)


def _abs_of_ball(x: Any) -> Any:
    return x.abs()


abs = elementwise(
    "abs",
    degree=(),
    carries="passed",
    result="same",
    family="arithmetic",
    kernel=lambda xp, x: xp.abs(x),
    spellings=(lambda x: OPS["sqrt"](x * x), lambda x: OPS["maximum"](x, -x)),
    ball=_abs_of_ball,
    partials=lambda y, x: (OPS["sign"](x),),
    domain=(REAL,),
    infer_facts=intervals.unary(intervals.absolute),
    support=lambda term: term.args[0].support,
    cost=1,
    lax="abs",
    aten="abs",
    source="definition; derivative 0 at the kink",
    doc="The absolute value.",
    example=">>> sg.ops.abs(sg.tensor([-2.0])).numpy()\narray([2.], dtype=float32)",
)


def _sign_facts(term: Term) -> Facts:
    x = term.args[0].facts
    lo = 1.0 if x.positive else 0.0 if x.nonnegative else -1.0
    hi = -1.0 if x.negative else 0.0 if x.nonpositive else 1.0
    return Facts(lo, hi, False, False, x.defined)


sign = elementwise(
    "sign",
    result="same",
    family="arithmetic",
    kernel=lambda xp, x: xp.sign(x),
    ball=lambda x: x.sign(),
    partials=lambda y, x: (ZERO,),
    domain=(REAL,),
    range=interval(-1.0, 1.0, closed=True),
    infer_facts=_sign_facts,
    support=lambda term: term.args[0].support,
    cost=1,
    lax="sign",
    aten="sign",
    source="definition",
    doc="-1, 0 or 1 as x is negative, zero or positive.",
    example=">>> sg.ops.sign(sg.tensor([-2.0])).numpy()\narray([-1.], dtype=float32)",
)


# -- the greater, the smaller, and between ------------------------------------------------


def _shares(wins: Term, loses: Term, share: Term, a: Term, b: Term) -> tuple[Term, Term]:
    """Derivatives of a choice: a share of 1 to the winner, half each at a tie.

    Against a constant a tie counts as lost for the variable, so that every spelling of relu
    has the derivative 0 there.
    """
    by_a, by_b = masked(wins, share), masked(loses, share)
    if is_const(a) or is_const(b):
        return by_a, by_b
    half = masked(OPS["equal"](a, b), const(0.5, a.dtype))
    return by_a + half, by_b + half


def _defined(y: Term, slope: Term) -> Term:
    """The slope where y is a number, nan elsewhere."""
    return OPS["require"](slope, OPS["logical_not"](OPS["isnan"](y)))


def _choice(
    y: Term, a: Term, b: Term, sign: int, undefined: Term | None = None
) -> tuple[Term, Term]:
    """Partials of the greater (sign 1) or the smaller, nan where y is; the masks hold there.

    ``undefined`` tells where y is nan if that may come from neither a nor b.
    """
    not_more = OPS["logical_not"](OPS["less_equal"](a, b))
    not_less = OPS["logical_not"](OPS["greater_equal"](a, b))
    if undefined is not None:
        not_more, not_less = [OPS["logical_or"](m, undefined) for m in (not_more, not_less)]
    wins, loses = (not_more, not_less) if sign > 0 else (not_less, not_more)
    return _shares(wins, loses, _defined(y, one(a)), a, b)


def _moving(y: Term, a: Term, b: Term) -> Term:
    """What is nan where y is: the variable, beside a constant number."""
    if is_const(a) or is_const(b):
        constant, variable = (a, b) if is_const(a) else (b, a)
        return y if is_const(constant, "nan") else variable
    return y


def _maximum_partials(y: Term, a: Term, b: Term) -> tuple[Term, Term]:
    return _choice(_moving(y, a, b), a, b, 1)


def _minimum_partials(y: Term, a: Term, b: Term) -> tuple[Term, Term]:
    return _choice(_moving(y, a, b), a, b, -1)


def _maximum_textbook(y: Term, a: Term, b: Term) -> tuple[Term, Term]:
    return _shares(OPS["greater"](a, b), OPS["less"](a, b), one(a), a, b)


def _minimum_textbook(y: Term, a: Term, b: Term) -> tuple[Term, Term]:
    return _shares(OPS["less"](a, b), OPS["greater"](a, b), one(a), a, b)


maximum = elementwise(
    "maximum",
    degree=(),
    result="same",
    family="arithmetic",
    kernel=lambda xp, a, b: xp.maximum(a, b),
    ball=lambda a, b: a.maximum(b),
    partials=_maximum_partials,
    textbook=_maximum_textbook,
    domain=(REAL, REAL),
    infer_facts=intervals.binary(intervals.maximum),
    cost=1,
    commutative=True,
    lax="max",
    aten="maximum",
    source="definition; ties share equally, and 0 at a tie with a constant",
    doc="The greater of a and b; nan if either is.",
    example=">>> sg.ops.maximum(sg.tensor([-1.0, 2.0]), 0.0).numpy()\n"
    "array([0., 2.], dtype=float32)",
)

minimum = elementwise(
    "minimum",
    degree=(),
    result="same",
    family="arithmetic",
    kernel=lambda xp, a, b: xp.minimum(a, b),
    ball=lambda a, b: a.minimum(b),
    partials=_minimum_partials,
    textbook=_minimum_textbook,
    domain=(REAL, REAL),
    infer_facts=intervals.binary(intervals.minimum),
    cost=1,
    commutative=True,
    lax="min",
    aten="minimum",
    source="definition; ties share equally, and 0 at a tie with a constant",
    doc="The smaller of a and b; nan if either is.",
    example=">>> sg.ops.minimum(sg.tensor([-1.0, 2.0]), 0.0).numpy()\n"
    "array([-1.,  0.], dtype=float32)",
)


def _clip_partials(y: Term, x: Term, low: Term, high: Term) -> tuple[Term, Term, Term]:
    value, undefined = y, OPS["isnan"](y)
    if is_const(low) and is_const(high) and not is_const(high, "nan"):
        value, undefined = _moving(y, x, low), None
    by_raised, by_high = _choice(value, maximum(x, low), high, -1, undefined)
    by_x, by_low = _choice(value, x, low, 1, undefined)
    return by_raised * by_x, by_raised * by_low, by_high


def _clip_facts(term: Term) -> Facts:
    x, low, high = [a.facts for a in term.args]
    return intervals.minimum(intervals.maximum(x, low), high)


clip = elementwise(
    "clip",
    result="same",
    family="arithmetic",
    kernel=lambda xp, x, low, high: xp.minimum(xp.maximum(x, low), high),
    spellings=(lambda x, low, high: OPS["minimum"](OPS["maximum"](x, low), high),),
    partials=_clip_partials,
    domain=(REAL, REAL, REAL),
    infer_facts=_clip_facts,
    cost=1,
    lax="clamp",
    aten="clamp",
    source="definition, as NumPy: `high` wins where it is below `low`",
    doc="x limited to the range from `low` to `high`.",
    example=">>> sg.ops.clip(sg.tensor([-1.0, 2.0]), 0.0, 1.0).numpy()\n"
    "array([0., 1.], dtype=float32)",
)
