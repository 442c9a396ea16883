"""Comparisons, logic and selection: what masks are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import intervals
from stablegrad.ops.choice import choose
from stablegrad.ops.record import REAL, ZERO, Op, elementwise, interval

BOOLEAN = interval(0.0, 1.0, closed=True)


def truth(holds: bool, fails: bool, defined: bool) -> Facts:
    """Facts of a condition: settled where it is proved, for arguments that are defined."""
    if not defined:
        return BOOLEAN
    if holds:
        return Facts(1.0, 1.0, False, False, True)
    if fails:
        return Facts(0.0, 0.0, False, False, True)
    return BOOLEAN._replace(defined=True)


def _less_facts(a: Facts, b: Facts) -> Facts:
    holds, fails = intervals.always_less(a, b), intervals.always_at_most(b, a)
    return truth(holds, fails, a.defined and b.defined)


def _less_equal_facts(a: Facts, b: Facts) -> Facts:
    holds, fails = intervals.always_at_most(a, b), intervals.always_less(b, a)
    return truth(holds, fails, a.defined and b.defined)


def _point(a: Facts, b: Facts) -> bool:
    return a.lo == a.hi == b.lo == b.hi


def _apart(a: Facts, b: Facts) -> bool:
    return intervals.always_less(a, b) or intervals.always_less(b, a)


def _equal_facts(a: Facts, b: Facts) -> Facts:
    return truth(_point(a, b), _apart(a, b), a.defined and b.defined)


def _not_equal_facts(a: Facts, b: Facts) -> Facts:
    return truth(_apart(a, b), _point(a, b), a.defined and b.defined)


def _predicate(name: str, example: str, **fields: Any) -> Op:
    """Declare an elementwise op with a boolean result."""
    arity = len(fields["domain"])
    fields.setdefault("lax", name)
    fields.setdefault("aten", name)
    return elementwise(
        name,
        result="bool",
        family="comparison",
        partials=lambda y, *args: (ZERO,) * arity,
        cost=1,
        ulp=(0, 0, 0),
        source="definition",
        example=example,
        **fields,
    )


def _comparison(
    name: str,
    relation: str,
    kernel: Callable[[Any, Any, Any], Any],
    ball: Callable[[Any, Any], Any],
    facts: Callable[[Facts, Facts], Facts],
    lax: str,
    example: str,
    *,
    commutative: bool = False,
) -> Op:
    return _predicate(
        name,
        f">>> sg.ops.{name}(sg.tensor([1.0, 2.0, 3.0]), 2.0).numpy()\narray([{example}])",
        kernel=kernel,
        ball=ball,
        domain=(REAL, REAL),
        range=BOOLEAN,
        infer_facts=intervals.binary(facts),
        commutative=commutative,
        lax=lax,
        aten=lax,
        doc=f"Whether a {relation} b; false beside nan"
        + (", where it is true." if name == "not_equal" else "."),
    )


less = _comparison(
    "less",
    "<",
    lambda xp, a, b: xp.less(a, b),
    lambda a, b: a < b,
    _less_facts,
    "lt",
    " True, False, False",
)
less_equal = _comparison(
    "less_equal",
    "<=",
    lambda xp, a, b: xp.less_equal(a, b),
    lambda a, b: a <= b,
    _less_equal_facts,
    "le",
    " True,  True, False",
)
greater = _comparison(
    "greater",
    ">",
    lambda xp, a, b: xp.greater(a, b),
    lambda a, b: a > b,
    lambda a, b: _less_facts(b, a),
    "gt",
    "False, False,  True",
)
greater_equal = _comparison(
    "greater_equal",
    ">=",
    lambda xp, a, b: xp.greater_equal(a, b),
    lambda a, b: a >= b,
    lambda a, b: _less_equal_facts(b, a),
    "ge",
    "False,  True,  True",
)
equal = _comparison(
    "equal",
    "==",
    lambda xp, a, b: xp.equal(a, b),
    lambda a, b: a == b,
    _equal_facts,
    "eq",
    "False,  True, False",
    commutative=True,
)
not_equal = _comparison(
    "not_equal",
    "!=",
    lambda xp, a, b: xp.not_equal(a, b),
    lambda a, b: a != b,
    _not_equal_facts,
    "ne",
    " True, False,  True",
    commutative=True,
)


# -- logic --------------------------------------------------------------------------------


def _always(x: Facts) -> bool:
    return x.nonzero


def _never(x: Facts) -> bool:
    return x.lo == x.hi == 0


def _and_facts(a: Facts, b: Facts) -> Facts:
    holds, fails = _always(a) and _always(b), _never(a) or _never(b)
    return truth(holds, fails, a.defined and b.defined)


def _or_facts(a: Facts, b: Facts) -> Facts:
    holds, fails = _always(a) or _always(b), _never(a) and _never(b)
    return truth(holds, fails, a.defined and b.defined)


def _xor_facts(a: Facts, b: Facts) -> Facts:
    settled = (_always(a) or _never(a)) and (_always(b) or _never(b))
    same = _always(a) == _always(b)
    return truth(settled and not same, settled and same, a.defined and b.defined)


def _not_facts(a: Facts) -> Facts:
    return truth(_never(a), _always(a), a.defined)


logical_and = _predicate(
    "logical_and",
    ">>> sg.ops.logical_and(sg.tensor([True, True]), sg.tensor([True, False])).numpy()\n"
    "array([ True, False])",
    kernel=lambda xp, a, b: xp.logical_and(a, b),
    ball=lambda a, b: bool(a) and bool(b),
    domain=(REAL, REAL),
    range=BOOLEAN,
    infer_facts=intervals.binary(_and_facts),
    commutative=True,
    lax="and",
    doc="Whether both a and b are true (not zero).",
)
logical_or = _predicate(
    "logical_or",
    ">>> sg.ops.logical_or(sg.tensor([True, False]), sg.tensor([False, False])).numpy()\n"
    "array([ True, False])",
    kernel=lambda xp, a, b: xp.logical_or(a, b),
    ball=lambda a, b: bool(a) or bool(b),
    domain=(REAL, REAL),
    range=BOOLEAN,
    infer_facts=intervals.binary(_or_facts),
    commutative=True,
    lax="or",
    doc="Whether a or b is true (not zero).",
)
logical_xor = _predicate(
    "logical_xor",
    ">>> sg.ops.logical_xor(sg.tensor([True, True]), sg.tensor([True, False])).numpy()\n"
    "array([False,  True])",
    kernel=lambda xp, a, b: xp.logical_xor(a, b),
    ball=lambda a, b: bool(a) != bool(b),
    domain=(REAL, REAL),
    range=BOOLEAN,
    infer_facts=intervals.binary(_xor_facts),
    commutative=True,
    lax="xor",
    doc="Whether exactly one of a and b is true (not zero).",
)
logical_not = _predicate(
    "logical_not",
    ">>> sg.ops.logical_not(sg.tensor([True, False])).numpy()\narray([False,  True])",
    kernel=lambda xp, x: xp.logical_not(x),
    ball=lambda x: not bool(x),
    domain=(REAL,),
    range=BOOLEAN,
    infer_facts=intervals.unary(_not_facts),
    lax="not",
    doc="Whether x is false (zero).",
)
rarely = _predicate(
    "rarely",
    ">>> sg.ops.rarely(sg.tensor([True, False])).numpy()\narray([ True, False])",
    kernel=lambda xp, x: xp.not_equal(x, 0),
    ball=bool,
    domain=(REAL,),
    range=BOOLEAN,
    infer_facts=intervals.unary(lambda a: truth(_always(a), _never(a), a.defined)),
    lax=None,
    aten=None,
    doc="Whether x is true (not zero), which few elements are: NumPy computes what is chosen there "
    "for these alone.",
)


# -- kinds of floats ----------------------------------------------------------------------
# A value that is a finite real number may still overflow its float, so nothing is settled
# here by facts.

isnan = _predicate(
    "isnan",
    ">>> sg.ops.isnan(sg.tensor([np.nan, 1.0])).numpy()\narray([ True, False])",
    kernel=lambda xp, x: xp.isnan(x),
    ball=lambda x: x.is_nan,
    domain=(REAL,),
    range=BOOLEAN,
    lax="",
    doc="Whether x is nan.",
)
isfinite = _predicate(
    "isfinite",
    ">>> sg.ops.isfinite(sg.tensor([np.inf, 1.0])).numpy()\narray([False,  True])",
    kernel=lambda xp, x: xp.isfinite(x),
    ball=lambda x: abs(x) < math.inf,
    domain=(REAL,),
    range=BOOLEAN,
    lax="is_finite",
    doc="Whether x is neither infinite nor nan.",
)
isinf = _predicate(
    "isinf",
    ">>> sg.ops.isinf(sg.tensor([np.inf, 1.0])).numpy()\narray([ True, False])",
    kernel=lambda xp, x: xp.isinf(x),
    ball=lambda x: abs(x) == math.inf,
    domain=(REAL,),
    range=BOOLEAN,
    lax="",
    doc="Whether x is infinite.",
)


def _signbit_facts(x: Facts) -> Facts:
    # a value proved nonnegative may still be -0
    return truth(x.negative, x.positive, x.defined)


signbit = _predicate(
    "signbit",
    ">>> sg.ops.signbit(sg.tensor([-0.0, 1.0])).numpy()\narray([ True, False])",
    kernel=lambda xp, x: xp.signbit(x),
    ball=lambda x: x.sign_of_zero() < 0,
    domain=(REAL,),
    range=BOOLEAN,
    infer_facts=intervals.unary(_signbit_facts),
    lax="",
    doc="Whether the sign of x is negative, that of -0 too.",
)


# -- selection ----------------------------------------------------------------------------


def _where_facts(term: Term) -> Facts:
    condition, a, b = [t.facts for t in term.args]
    if condition.defined and _always(condition):
        return a
    if condition.defined and _never(condition):
        return b
    x = term.args[2]
    if term.args[0] is OPS["less"](x, 0.0) and _opposite(term.args[1], x):
        return intervals.absolute(b)
    return intervals.union(a, b)


def _opposite(a: Term, b: Term) -> bool:
    """Whether one of two numbers is the negative of the other."""
    minus = (("negative", ()), ("affine", (0, (-1,))))
    return any(x.args == (y,) and (x.op.name, x.params) in minus for x, y in ((a, b), (b, a)))


def _where_partials(y: Term, condition: Term, a: Term, b: Term) -> tuple[Any, ...]:
    other = OPS["logical_not"](condition)
    return ZERO, OPS["indicator"](condition), OPS["indicator"](other)


where = elementwise(
    "where",
    degree=(),
    carries="passed",
    result="same",
    family="comparison",
    conditions=(0,),
    kernel=choose,
    ball=lambda condition, a, b: a if condition else b,
    partials=_where_partials,
    domain=(BOOLEAN, REAL, REAL),
    infer_facts=_where_facts,
    cost=1,
    lax="select_n",
    aten="where",
    source="definition; what is not chosen is no part of the result, nor of any derivative",
    doc="a where the condition holds, else b.",
    example=">>> sg.ops.where(sg.tensor([True, False]), sg.tensor([1.0, 1.0]), 0.0).numpy()\n"
    "array([1., 0.], dtype=float32)",
)
