"""Judging a result by the truth: right within 64 ulp, sharp within 4.

Where the truth is a normal float of the case's dtype, the error is in ulp of it. Where it is
zero, infinite, undefined or subnormal, the result must be the same, or a subnormal within four
spacings of the nearest. A zero among the elements of a vector is measured against the largest
true element.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad import oracle
from stablegrad.ir import OPS, Term, make, rebuild, topological
from stablegrad.ops.record import INPUT, is_float
from stablegrad.oracle.truth import taylor

RIGHT_ULP = 64
SHARP_ULP = 4
WRONG = math.inf


def exact(text: Any) -> Fraction | float:
    """The number that 30 digits tell; inf and nan as floats."""
    value = float(text)
    return Fraction(Decimal(str(text))) if math.isfinite(value) or "e" in str(text) else value


def error_ulp(got: float, truth: Fraction | float, dtype: Any, scale: Fraction) -> float:
    """The error of one element in ulp; 0 where the truth is special and met, else infinite.

    Args:
        got: the element of the result.
        truth: its true value, with more digits than dtype has.
        dtype: the dtype of the case.
        scale: the greatest finite true element of the result.
    """
    limits = np.finfo(dtype)
    if isinstance(truth, float):
        same = math.isnan(got) if math.isnan(truth) else got == truth
        return 0.0 if same else WRONG
    greatest = Fraction(float(limits.max))
    if abs(truth) >= greatest + greatest * Fraction(float(limits.epsneg)) / 2:  # rounds to inf
        return 0.0 if math.isinf(got) and (got > 0) == (truth > 0) else WRONG
    if not math.isfinite(got):
        return WRONG
    if truth == 0 and scale > 0:
        unit = np.spacing(np.asarray(float(scale), dtype))
        return abs(got) / float(unit) if got else 0.0
    difference = abs(Fraction(got) - truth)
    if abs(truth) < Fraction(float(limits.tiny)):
        near = difference <= SHARP_ULP * Fraction(float(limits.smallest_subnormal))
        return 0.0 if near else WRONG
    ulp = Fraction(float(np.spacing(np.asarray(float(abs(truth)), dtype))))
    return float(difference / ulp)


def worst_ulp(got: Any, truth: Any, dtype: str) -> float:
    """The error of the worst element of a result."""
    values = [float(v) for v in np.ravel(np.asarray(got, np.float64))]
    truths = [exact(t) for t in np.ravel(np.asarray(truth, dtype=object))]
    if len(values) != len(truths):
        return WRONG
    finite = [abs(t) for t in truths if isinstance(t, Fraction)]
    scale = max(finite, default=Fraction(0))
    return max(error_ulp(v, t, dtype, scale) for v, t in zip(values, truths, strict=True))


def case_error(results: list[Any], case: Mapping[str, Any]) -> float:
    """The error of a case: of the worst element of the worst point."""
    worst = 0.0
    for got, truth in zip(results, case["right_30digits"], strict=True):
        pairs = [(got[k], truth[k]) for k in truth] if isinstance(truth, dict) else [(got, truth)]
        worst = max(worst, *[worst_ulp(g, t, case["dtype"]) for g, t in pairs])
    return worst


def truths(
    root: Term,
    by: Term,
    bindings: Mapping[Term, Any],
    ours: Sequence[Any],
    naive: Sequence[Any],
    **options: Any,
) -> list[oracle.Truth]:
    """Value and slope of a program, with what the oracle's series does not tell of them.

    Args:
        root: the program, of scalars.
        by: the input by which it is differentiated.
        bindings: the points.
        ours: values and slopes that are judged.
        naive: those that they are compared with.
        options: those of the oracle, but limits.
    """
    found = taylor(root, bindings, 1, direction={by: 1.0}, limits=False, **options)
    for order, t in enumerate(found):
        # where there is no value, only what gives a number asks whether there is a limit
        places = t.undefined & (np.isfinite(ours[order]) | np.isfinite(naive[order]))
        if places.any():
            along = {by: 1.0} if order else None
            some = _at(bindings, places)
            _put(t, places, oracle.truth(root, some, order=order, direction=along, **options))
        holes = t.undefined & np.isfinite(ours[order])
        if not order and holes.any():
            _put(t, holes, filled(root, _at(bindings, holes), **options))
    value, slope = found
    known, given = np.where(value.decided, value.value, np.nan), ours[1]
    for judge, told, places, more in (
        (confirmed, given, given != 0, {"limits": False}),
        (level, known, given == 0, {}),
        (continued, given, True, {}),
    ):
        asked = slope.undefined & np.isfinite(given) & places
        if asked.any():
            right = judge(root, by, _at(bindings, asked), told[asked], **options, **more)
            slope.value[asked] = np.where(right, given[asked], slope.value[asked])
            slope.status[asked] = np.where(right, oracle.Status.DECIDED, slope.status[asked])
    return found


def _at(bindings: Mapping[Term, Any], places: Any) -> dict[Term, Any]:
    return {x: v[places] for x, v in bindings.items()}


def _put(whole: oracle.Truth, places: Any, part: oracle.Truth) -> None:
    whole.value[places], whole.status[places] = part.value, part.status
    whole.offset[places] = part.offset


ASIDE = (-(2.0**-20), -(2.0**-40), 2.0**-40, 2.0**-20)
"""How far to both sides of a point a function is looked at, relative to the point."""


def level(root: Term, by: Term, bindings: Mapping[Term, Any], value: Any, **options: Any) -> Any:
    """Where a function is one finite number at a point and on both sides of it: its slope is 0.

    The oracle's series does not tell that of sqrt(hypot(y - y, 0)): a root has none at 0.

    Args:
        root: the program, of scalars.
        by: the input that is moved.
        bindings: the points.
        value: the true values there, nan where there is none.
        options: those of the oracle, but limits.
    """
    same = np.isfinite(value)
    x = np.asarray(bindings[by])
    for share in ASIDE if same.any() else ():
        there = {**bindings, by: x + share * np.where(x == 0, 1, x)}
        beside = oracle.truth(root, there, limits=False, **options)
        again = same & (beside.decided & (beside.value == value))
        holes = same & beside.undefined
        if holes.any():  # of which it may be one on both sides: sinh(u)/u of u = 0
            inside = filled(root, {t: np.asarray(v)[holes] for t, v in there.items()}, **options)
            again[holes] = inside.decided & (inside.value == value[holes])
        same = again
    return same


def filled(root: Term, bindings: Mapping[Term, Any], **options: Any) -> oracle.Truth:
    """The truth of a program with its holes filled by continuity in an intermediate value.

    The oracle fills a hole where the inputs move through it: sinh(x)/x at 0. Where the value in
    the hole does not move, sinh(u)/u of u = log(minimum(y, 1)) for y > 1, there is nothing beside
    it, and the oracle says that there is no value. That of sinh(u)/u is 1 nevertheless, as u
    moves: who computes it so makes nothing up. So the first part that has no value gets that of
    ``_continued``, and what is made of it follows.

    Args:
        root: the program, of scalars.
        bindings: the points, which have no value otherwise.
        options: those of the oracle.
    """
    found = oracle.truth(root, bindings, limits=False, **options)
    for i in range(found.value.size):
        point = {x: np.ravel(v)[i : i + 1] for x, v in bindings.items()}
        program = root
        for _ in range(HOLES):
            order = topological([program])
            parts = oracle.truth(order, point, limits=False, **options)
            hole = next((t for t, p in zip(order, parts, strict=True) if p.undefined.any()), None)
            if hole is None:
                break
            inside = _continued(hole, point, **options)
            if inside is None:
                break
            moved = _stand_in(hole, len(point))
            point[moved] = np.array([inside])
            (program,) = rebuild([program], {hole: moved})
        else:
            continue
        last = oracle.truth(program, point, limits=False, **options)
        if last.decided.all():
            found.value[i], found.status[i] = last.value[0], oracle.Status.LIMIT
            found.offset[i] = last.offset[0]
    return found


HOLES = 4  # in one program


def _stand_in(inner: Term, number: int) -> Term:
    return make(INPUT, (), (number,), inner.shape, inner.dtype)


def _moved(
    root: Term, point: Mapping[Term, Any], **options: Any
) -> Iterator[tuple[Term, float, Term, Term]]:
    """Each intermediate value that is a float exactly, with the program as a function of it.

    Yields:
        The term, its value, the input that stands for it, and the program with that input.
    """
    for inner in topological([root]):
        if not inner.args or inner is root or not is_float(inner.dtype):
            continue
        at = oracle.truth(inner, point, limits=False, **options)
        if at.decided[0] and np.isfinite(at.value[0]) and at.offset[0] == 0:
            moved = _stand_in(inner, len(point))
            (outer,) = rebuild([root], {inner: moved})
            yield inner, at.value[0], moved, outer


def _beside(point: Mapping[Term, Any], moved: Term, values: Any) -> dict[Term, Any]:
    """A point once for each of some values of an input."""
    return {x: np.repeat(v, len(values)) for x, v in point.items()} | {moved: np.array(values)}


def _continued(root: Term, point: Mapping[Term, Any], **options: Any) -> float | None:
    """The float that a program is by continuity in one of its intermediate values, if it is one.

    The first one of which the program is a finite function on both sides tells, and by the
    oracle's limit only: u/abs(u) has none, as 0/v beside it would pretend. It must be a float
    exactly, and so must be what it tells.
    """
    for _, value, moved, outer in _moved(root, point, **options):
        around = _beside(point, moved, [value + share * (value or 1.0) for share in ASIDE])
        near = oracle.truth(outer, around, limits=False, **options)
        if not (near.decided & np.isfinite(near.value)).all():
            continue
        limit = oracle.truth(outer, {**point, moved: np.array([value])}, **options)
        sure = limit.decided[0] and limit.offset[0] == 0
        return float(limit.value[0]) if sure else None
    return None


def continued(
    root: Term, by: Term, bindings: Mapping[Term, Any], slope: Any, **options: Any
) -> Any:
    """Where slopes are those of a program whose hole, filled as ``filled`` does, does not move.

    expm1(x*u)/u where u is 0 all around has the value x and the slope 1 by x: the limit of the
    slopes for u on both sides of 0. The oracle has none, as there is no value beside the point.

    Args:
        root: the program, of scalars.
        by: the input that is moved.
        bindings: the points.
        slope: the slopes to be confirmed.
        options: those of the oracle.
    """
    out = np.zeros(np.shape(slope), bool)
    for i in np.flatnonzero(np.isfinite(slope)).tolist():
        point = {x: np.ravel(v)[i : i + 1] for x, v in bindings.items()}
        told = _slope_beside(root, by, point, **options)
        given = Fraction(float(np.ravel(slope)[i]))
        out.flat[i] = told is not None and abs(told - given) <= abs(given) * CONFIRMED
    return out


def _slope_beside(
    root: Term, by: Term, point: Mapping[Term, Any], **options: Any
) -> Fraction | None:
    """The limit of slopes for the first intermediate value, one that stands, that has one."""
    slopes: dict[str, Any] = {"order": 1, "direction": {by: 1.0}, "limits": False, **options}
    for inner, value, moved, outer in _moved(root, point, **options):
        moves = oracle.truth(inner, point, **slopes)
        if not (moves.decided[0] and moves.value[0] == 0):
            continue
        values = [value + share * value for share in ASIDE] if value else BESIDE_ZERO
        near = oracle.truth(outer, _beside(point, moved, values), **slopes)
        if not (near.decided & np.isfinite(near.value)).all():
            continue
        far, left, right, far_too = [_digits(near, k) for k in range(len(ASIDE))]
        told, wide = (left + right) / 2, (far + far_too) / 2  # to the second order
        if max(abs(left), abs(right)) <= max(abs(far), abs(far_too)) * Fraction(VANISHING):
            return Fraction(0)
        spread = max(abs(told - wide), abs(left - right))
        return told if spread <= abs(told) * Fraction(ALIKE) else None
    return None


BESIDE_ZERO = (-(2.0**-100), -(2.0**-200), 2.0**-200, 2.0**-100)
VANISHING = 2.0**-10  # of slopes whose limit is 0, from one distance of ``ASIDE`` to the next
ALIKE = 2.0**-20
NEAR = 2.0**-22
CONFIRMED = Fraction(RIGHT_ULP) / 2**52


def confirmed(
    root: Term, by: Term, bindings: Mapping[Term, Any], slope: Any, **options: Any
) -> Any:
    """Where the values on both sides of a point tell a slope that the oracle's series does not.

    It has none of logaddexp(0/(1/(y - y)), y), as 1/(y - y) has none, although the function is
    logaddexp(0, y) wherever it is looked at. Quotients of exact differences, to four orders, must
    agree with the slope within ``RIGHT_ULP``; a number by a pole or a jump does not.

    Args:
        root: the program, of scalars.
        by: the input that is moved.
        bindings: the points.
        slope: the slopes to be confirmed.
        options: those of the oracle.
    """
    x = np.asarray(bindings[by], np.float64)
    step = NEAR * np.where(x == 0, 1, np.abs(x))
    sides = [_stand_in(by, len(bindings) + i) for i in range(2)]
    right, left = [rebuild([root], {by: side})[0] for side in sides]
    center = oracle.truth(root, bindings, **options)
    found = {  # as programs, with all their digits: steps may be far less than those of the values
        k: oracle.truth(
            OPS["subtract"](right, left),
            {**bindings, sides[0]: x + k * step, sides[1]: x - k * step},
            **options,
        )
        for k in (2, 1)
    }
    known = np.logical_and.reduce(
        [t.decided & np.isfinite(t.value) for t in (center, *found.values())]
    )
    out = np.zeros(x.shape, bool)
    for i in np.flatnonzero(known & np.isfinite(slope)).tolist():
        at = {k: Fraction(float((x + k * step).flat[i])) for k in (-2, -1, 1, 2)}
        wide, narrow = [_digits(found[k], i) / (at[k] - at[-k]) for k in (2, 1)]
        told, given = (4 * narrow - wide) / 3, Fraction(float(slope.flat[i]))
        out.flat[i] = abs(told - given) <= abs(given) * CONFIRMED
    return out


def _digits(true: Any, i: int) -> Fraction:
    """A true value with all the digits that the oracle gives."""
    value = float(true.value.flat[i])
    return Fraction(value) + Fraction(float(true.offset.flat[i])) * Fraction(
        float(np.spacing(abs(value)))
    )
