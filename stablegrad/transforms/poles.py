"""What has no finite value at any point is settled before rules see it: log(0), 1/(x - x).

Rules are identities of finite numbers, facts are of finite leaves, and neither knows the sign of
a zero: log(0) + logaddexp(-log(0), 1) is nan and no softplus, and 1/((x - x)*y) is an infinity of
the sign of y. So constants that are 0 or no finite numbers are replaced by what they are, and a
quotient by what is 0 throughout takes its sign from the program as it is written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from stablegrad.ir import OPS, Term, make, rebuild, topological
from stablegrad.ops.behaviour import SIGNED
from stablegrad.ops.form_records import AFFINE, MONOMIAL, REQUIRE
from stablegrad.ops.record import CONST, const, is_const, is_float

ITSELF = {"subtract": 0, "divide": 1}
"""What ops of two arguments are where both are one."""
QUOTIENTS = ("multiply", "divide", "reciprocal")
BITS = 400
CHOICES = ("maximum", "minimum", "where", "clip")
LIMITS = ("special",)
"""Families whose kernels take limits where the oracle has no value: a density at the edge."""
_DEPTH = 8  # terms of a zero that are looked at


class _Known(NamedTuple):
    """What is the same at all finite points."""

    ball: Any
    """Its value, as the oracle has it; None for a constant that was not asked for yet."""
    pure: bool
    """Whether it is made of constants alone, and not of x - x."""


_SIGNLESS = _Known(None, False)
"""A zero of one sign or the other: (x - x)*y."""


def constants_settled(roots: Sequence[Term]) -> list[Term]:
    """The roots with every part that is 0 or no finite number at all points as a constant."""
    known: dict[Term, _Known] = {}
    found: dict[Term, Term] = {}
    for term in topological(roots):
        args = term.args
        if not args:
            if term.op is CONST and is_float(term.dtype):
                known[term] = _Known(None, True)
        elif not (args[0] in known or args[0] is args[-1] or args[-1] in known):
            continue
        elif term.op.elementwise and is_float(term.dtype):
            _meet(term, known, found)
    return rebuild(roots, found) if found else list(roots)


def _meet(term: Term, known: dict[Term, _Known], found: dict[Term, Term]) -> None:
    """Note what an op makes of what is known."""
    args, name = term.args, term.op.name
    if args[0] is args[-1] and name in ITSELF and args[0] not in known:
        known[term] = _Known(_whole(ITSELF[name]), False)
        return
    met = [known.get(a) for a in args]
    if all(k is not None and k is not _SIGNLESS for k in met):
        ball = _ball(term, known)
        value = _special(ball)
        if value is not None and math.isnan(value) and term.op.family in LIMITS:
            return
        known[term] = _Known(ball, all(known[a].pure for a in args))
        if value is not None and (known[term].pure or math.isnan(value)):
            found[term] = _settled(value, term)
    elif name == "hypot":
        if any(k is not None and k.ball is not None and k.ball.item().is_nan for k in met):
            found[term] = _settled(math.nan, term)  # beside what overflows as well
    elif name == "multiply" or name == "divide" or name in SIGNED:
        zeros = [k is _SIGNLESS or _is_known_zero(a, k) for a, k in zip(args, met, strict=True)]
        if name == "divide" and all(zeros):
            found[term] = _settled(math.nan, term)
        elif zeros[0] or (name == "multiply" and zeros[1]):
            known[term] = _SIGNLESS


def _is_known_zero(term: Term, known: _Known | None) -> bool:
    if known is None:
        return False
    if known.ball is None:
        return term.op is CONST and term.params[0] in (0, "-0")
    return _special(known.ball) == 0


def _whole(value: int) -> Any:
    from stablegrad.oracle.evaluate import evaluate

    return evaluate([const(value, np.float64)], {})[0]


def _settled(value: float, term: Term) -> Term:
    if not math.isnan(value):
        return const(value, term.dtype, term.shape)
    zero = const(0, term.dtype, term.shape)
    # a guard, which derivatives know
    return OPS["require"](zero, OPS["not_equal"](zero, zero))


def _ball(term: Term, known: Mapping[Term, _Known]) -> Any:
    """What an op makes of constants."""
    from stablegrad.oracle.ball import UNKNOWN, UndecidedError  # flint is slow to import
    from stablegrad.oracle.evaluate import evaluate, step
    from stablegrad.oracle.precision import precision

    with precision(BITS), np.errstate(all="ignore"):
        balls: list[Any] = []
        for a in term.args:
            ball = known[a].ball
            if ball is None:
                ball = evaluate([const(a.params[0], a.dtype)], {})[0]
            balls.append(ball)
        try:
            return step(term, balls, False)
        except UndecidedError:
            unknown = np.empty((), object)
            unknown[()] = UNKNOWN
            return unknown


def _special(array: Any) -> float | None:
    """The value where it is 0 or no finite number, not merely beyond the range of floats."""
    ball = array.item()
    if not ball.known:
        return None
    value = ball.c[0]
    if value.is_zero():
        return -0.0 if ball.negative_zero else 0.0
    if value.is_nan():
        return math.nan
    return None if value.is_finite() else math.inf if value > 0 else -math.inf


def poles_signed(roots: Sequence[Term], normal: Mapping[Term, Term]) -> list[Term] | None:
    """The roots with quotients by 0 that have the sign they have as written; None if none is.

    Args:
        roots: the program as it is written.
        normal: the canonical form of every term of it.
    """
    done: dict[Term, Term] = {}
    found = False
    for term in topological(roots):
        name = term.op.name
        args = tuple([done[a] for a in term.args])
        same = args == term.args
        new = term if same else make(term.op, args, term.params, term.shape, term.dtype)
        if name in ("divide", "reciprocal"):
            below, zero = term.args[-1], args[-1]
            sign: Any = None
            if _is_zero(normal[below]):
                sign, zero = _sign(below, normal, done), zero - zero
            elif below.op.name == "negative" and _is_chosen(normal[below]):
                sign, zero = -1.0, zero.args[0]
            if sign is not None:
                found = True
                above: Any = args[0] if name == "divide" else 1.0
                new = sign * above / zero
        elif name in ("maximum", "minimum"):  # 1/maximum(x, (y - y)*z)
            signed = [
                _signed_zero(a, b, normal, done) for a, b in zip(term.args, args, strict=True)
            ]
            if any(a is not b for a, b in zip(signed, args, strict=True)):
                found = True
                new = make(term.op, tuple(signed), term.params, term.shape, term.dtype)
        done[term] = new
    return [done[r] for r in roots] if found else None


def _signed_zero(
    written: Term, zero: Term, normal: Mapping[Term, Term], done: Mapping[Term, Term]
) -> Term:
    """What is 0 throughout with the sign that it has as written; other terms as they are."""
    if not written.args or not _is_zero(normal[written]):
        return zero
    sign = _sign(written, normal, done)
    if sign is None:
        return zero
    below = const(-0.0, zero.dtype)
    signed = below if isinstance(sign, float) else OPS["where"](sign < 0.0, below, 0.0)
    return OPS["require"](signed, OPS["isfinite"](zero))


def _is_zero(term: Term) -> bool:
    """Whether a canonical term is 0 wherever it is finite."""
    for _ in range(_DEPTH):
        if term.op is CONST:
            return term.params[0] in (0, "-0")
        if term.op is MONOMIAL:  # a pole beside a zero has no value, whatever its sign
            zeros = [x for x, p in zip(term.args, term.params[0], strict=True) if p > 0]
            zeros = [x for x in zeros if x.op in (CONST, REQUIRE) or x.op.name in SIGNED]
            if not zeros:
                return False
            term = zeros[0]
        elif term.op is REQUIRE or term.op.name in SIGNED:
            term = term.args[0]
        else:
            return False
    return False


def _is_chosen(term: Term) -> bool:
    """Whether a term is a sum that may be 0 at many points: 1 - maximum(x, 1)."""
    return term.op is AFFINE and any(x.op.name in CHOICES for x in term.args)


def _sign(
    zero: Term, normal: Mapping[Term, Term], done: Mapping[Term, Term]
) -> Term | float | None:
    """The sign of a zero, as it is written; None where it is positive."""
    sign: Any = 1.0
    stack = [zero]
    while stack:
        term = stack.pop()
        name = term.op.name
        if is_const(term):
            value = term.params[0]
            sign = -sign if value == "-0" or (not isinstance(value, str) and value < 0) else sign
        elif name == "negative":
            sign = -sign
            stack += term.args
        elif (
            name in ("multiply", "divide")
            or name == "reciprocal"
            or (name in SIGNED and _is_zero(normal[term]))
        ):
            stack += term.args
        elif not _is_zero(normal[term]):
            sign = sign * OPS["where"](done[term] < 0.0, -1.0, 1.0)
    return None if sign == 1.0 else sign
