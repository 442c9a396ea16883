"""Choices that skip nan, signs taken from elsewhere, steps and exact remainders."""

from __future__ import annotations

from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import intervals, remainder_kernels
from stablegrad.ops.arithmetic import masked, one, where_defined
from stablegrad.ops.record import REAL, ZERO, Op, const, elementwise, is_const

# -- fmax and fmin ------------------------------------------------------------------------


def _partials(a: Term, b: Term, better: str) -> tuple[Term, Term]:
    """1 to the winner, half each at a tie (0 beside a constant); a nan never wins."""
    no = OPS["isnan"]
    wins = OPS["logical_or"](OPS[better](a, b), no(b))
    loses = OPS["logical_or"](OPS[better](b, a), no(a))
    share = OPS["require"](one(a), OPS["logical_not"](OPS["logical_and"](no(a), no(b))))
    by_a, by_b = masked(wins, share), masked(loses, share)
    if is_const(a) or is_const(b):
        return by_a, by_b
    half = masked(OPS["equal"](a, b), const(0.5, a.dtype))
    return by_a + half, by_b + half


def _of_balls(a: Any, b: Any, sign: int) -> Any:
    if a.is_nan or b.is_nan:
        return a if b.is_nan else b
    return a.maximum(b) if sign > 0 else a.minimum(b)


def _choice(name: str, sign: int, doc: str, shown: str) -> Op:
    better = "greater" if sign > 0 else "less"
    facts = intervals.maximum if sign > 0 else intervals.minimum
    return elementwise(
        name,
        result="same",
        family="arithmetic",
        kernel=lambda xp, a, b: getattr(xp, name)(a, b),
        ball=lambda a, b: _of_balls(a, b, sign),
        partials=lambda y, a, b: _partials(a, b, better),
        domain=(REAL, REAL),
        infer_facts=lambda term: _defined_only(facts, term),
        cost=1,
        ulp=(0, 0, 0),
        commutative=True,
        aten=name,
        source="definition; ties share equally, and 0 at a tie with a constant",
        doc=doc,
        example=f">>> sg.ops.{name}(sg.tensor([np.nan, 2.0]), 1.0).numpy()\n"
        f"array([{shown}], dtype=float32)",
    )


def _defined_only(facts: Any, term: Term) -> Facts:
    """The facts of the choice; without any where an argument may be nan, and the other stands."""
    a, b = term.args[0].facts, term.args[1].facts
    return facts(a, b) if a.defined and b.defined else intervals.union(a, b)._replace(defined=False)


fmax = _choice("fmax", 1, "The greater of a and b, the other where one is nan.", "1., 2.")
fmin = _choice("fmin", -1, "The smaller of a and b, the other where one is nan.", "1., 1.")

# -- copysign and heaviside ---------------------------------------------------------------


def _sign_of(b: Term, like: Term) -> Term:
    return OPS["where"](OPS["signbit"](b), const(-1, like.dtype), const(1, like.dtype))


def _copysign_ball(a: Any, b: Any) -> Any:
    sign = b.sign_of_zero()
    if not sign:
        return b if b.is_nan else a.undefined()
    return -a.abs() if sign < 0 else a.abs()


def _copysign_facts(term: Term) -> Facts:
    size = intervals.absolute(term.args[0].facts)
    sign = term.args[1].facts
    if sign.positive:
        return size
    return intervals.union(size, intervals.negative(size))


copysign = elementwise(
    "copysign",
    result="same",
    family="arithmetic",
    kernel=lambda xp, a, b: xp.copysign(a, b),
    ball=_copysign_ball,
    partials=lambda y, a, b: (OPS["sign"](a) * _sign_of(b, a), ZERO),
    domain=(REAL, REAL),
    infer_facts=_copysign_facts,
    cost=1,
    ulp=(0, 0, 0),
    aten="copysign",
    source="definition; derivative 0 at the kink",
    doc="|a| with the sign of b, that of -0 too.",
    example=">>> sg.ops.copysign(sg.tensor([2.0]), -0.0).numpy()\narray([-2.], dtype=float32)",
)


def _heaviside_ball(x: Any, h: Any) -> Any:
    if x.is_nan:
        return x
    return h if x == 0 else type(x).exact(1 if x > 0 else 0)


heaviside = elementwise(
    "heaviside",
    result="same",
    family="arithmetic",
    kernel=lambda xp, x, h: xp.heaviside(x, h),
    ball=_heaviside_ball,
    partials=lambda y, x, h: (ZERO, OPS["indicator"](OPS["equal"](x, 0.0))),
    domain=(REAL, REAL),
    infer_facts=lambda term: intervals.union(
        term.args[1].facts, Facts(0.0, 1.0, False, False, True)
    )._replace(defined=term.args[0].facts.defined and term.args[1].facts.defined),
    cost=1,
    ulp=(0, 0, 0),
    aten="heaviside",
    source="definition",
    doc="0 where x is negative, 1 where it is positive, h where it is 0.",
    example=">>> sg.ops.heaviside(sg.tensor([-1.0, 0.0]), 0.5).numpy()\n"
    "array([0. , 0.5], dtype=float32)",
)

# -- fmod ---------------------------------------------------------------------------------


def _minus_whole(a: Term, b: Term) -> Term:
    """-trunc(a / b): the quotient itself may be rounded up to a whole number."""
    whole = OPS["floor_divide"](OPS["abs"](a), OPS["abs"](b))
    return -(OPS["sign"](a) * OPS["sign"](b) * whole)


fmod = elementwise(
    "fmod",
    result="same",
    family="arithmetic",
    kernel=remainder_kernels.fmod,
    widens=True,
    spellings=(lambda a, b: a - OPS["trunc"](a / b) * b,),
    partials=lambda y, a, b: (where_defined(y), _minus_whole(a, b)),
    domain=(REAL, REAL),
    infer_facts=lambda term: Facts(),  # undefined at b = 0, which an interval cannot say
    cost=2,
    aten="fmod",
    source="definition; the remainder of floats is a float",
    doc="The remainder of a / b with the sign of a.",
    example=">>> sg.ops.fmod(sg.tensor([-1.0]), 3.0).numpy()\narray([-1.], dtype=float32)",
)
