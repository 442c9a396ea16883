"""``check_op``: an op and its derivatives against the truth at sampled bit patterns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import scipy.special

from stablegrad.ir import Facts, Term, make
from stablegrad.ops.derivative import gradient
from stablegrad.ops.dtypes import is_half
from stablegrad.ops.record import VARIABLE, NotDifferentiable, Op, const, is_float
from stablegrad.oracle import Status, Truth, err_ulp, mixed, taylor, truth
from stablegrad.program import evaluate
from stablegrad.settings import Settings, current
from stablegrad.tensor.cells import value_leaf
from stablegrad.testing.sampling import evenly, sample_arguments

Array = np.ndarray[Any, Any]
SEED = 20_260_101
POINTS = 2000
HALF_ULP = 1.0
"""The bound of every elementwise op in half precision."""
PAIRED = 300
"""Points at which mixed second derivatives are compared."""


# -- evaluation ---------------------------------------------------------------------------


def leaf(value: Any) -> Term:
    """A leaf term with a value, for programs built of terms alone."""
    return value_leaf(np.asarray(value))


def variable(name: str, dtype: Any, shape: tuple[int, ...] = ()) -> Term:
    """A variable to bind values to, for the oracle."""
    return make(VARIABLE, (), (name,), shape, np.dtype(dtype))


def derivative_term(y: Term, x: Term) -> Term:
    """The elementwise derivative of y by x, as a term."""
    return gradient(y, x, const(1, y.dtype, y.shape))


# -- the check ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failure:
    """One point at which an op is not what its record promises."""

    what: str
    dtype: str
    point: tuple[float, ...]
    got: float
    true: float
    error_ulp: float

    def __str__(self) -> str:
        at = ", ".join(repr(p) for p in self.point)
        return (
            f"{self.what} in {self.dtype} at ({at}): got {self.got!r}, true {self.true!r}, "
            f"{self.error_ulp:.3g} ulp"
        )


@dataclass(slots=True)
class OpReport:
    """What ``check_op`` found.

    Attributes:
        op: the name.
        worst: for each derivative and dtype the greatest error in ulp at normal results.
        points: how many points were compared.
        undecided: how many the oracle could not decide.
        failures: the points beyond the bound, the worst of each kind first.
        seed: of the sample.
    """

    op: str
    seed: int
    domain: tuple[Facts, ...] = ()
    worst: dict[tuple[str, str], float] = field(default_factory=dict)
    points: int = 0
    undecided: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every point is within the record's bound."""
        return not self.failures

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [f"{self.op}: {self.points} results compared, seed {self.seed}"]
        lines += [f"  {w} {d}: worst {e:.3g} ulp" for (w, d), e in self.worst.items()]
        lines += [f"  FAILS {f}" for f in self.failures]
        return "\n".join(lines)


def check_op(
    op: Op,
    *,
    params: dict[str, Any] | None = None,
    domain: tuple[Facts, ...] | None = None,
    dtypes: Sequence[Any] = (np.float32, np.float64),
    n: int = POINTS,
    orders: int = 2,
    near: Sequence[float] = (),
    seed: int = SEED,
    settings: Settings | None = None,
    points: Sequence[Array] | None = None,
) -> OpReport:
    """Compare an elementwise op and its derivatives with the truth.

    Args:
        op: the record.
        params: its static parameters.
        domain: an interval per argument, for records that leave it out or apply more widely.
        dtypes: the dtypes to run in.
        n: sampled bit patterns per dtype; special points come on top.
        orders: the highest derivative, at most 2; all pairs of arguments are taken.
        near: singular points of the op, around which a part of the sample lies.
        seed: of the sample.
        settings: the rules in force, those of the moment by default.
        points: the arguments to compare at, in place of a sample.

    Returns:
        A report, true when all is within ``op.ulp``: at normal results the error in ulp, no
        spurious value where the truth underflows, nan where it is undefined, NumPy's values at
        special points.
    """
    domains = op.domain if domain is None else domain
    report = OpReport(op.name, seed, domains)
    static = params or {}
    for kind in dtypes:
        dtype = np.dtype(kind)
        rng = np.random.default_rng(seed)
        if points is not None:
            values = [np.asarray(v).astype(dtype) for v in points]
        else:
            values = sample_arguments(domains, dtype, n, rng, near)
        values = [
            rng.random(v.size) < 0.5 if i in op.conditions else v for i, v in enumerate(values)
        ]
        _check_at(report, op, static, dtype, values, orders, settings or current())
    return report


def _check_at(
    report: OpReport,
    op: Op,
    static: dict[str, Any],
    dtype: np.dtype[Any],
    values: list[Array],
    orders: int,
    settings: Settings,
) -> None:
    leaves = [leaf(v) for v in values]
    y = op(*leaves, **static)
    names = [variable(f"x{i}", v.dtype) for i, v in enumerate(values)]
    term = op(*names, **static)
    bound = dict(zip(names, values, strict=True))
    if not is_float(y.dtype):
        got = evaluate([y], settings)[0]
        _compare_exact(report, op, dtype, values, got, truth(term, bound, np.float64, limits=False))
        return
    moving = differentiable(op, y)
    wanted: list[tuple[str, Term, int]] = [("value", y, 0)]
    firsts = {i: derivative_term(y, leaves[i]) for i in moving} if orders > 0 else {}
    for i, first in firsts.items():
        wanted.append((f"d{i}", first, 1))
        if orders > 1:
            wanted += [(f"d{i}{j}", derivative_term(first, leaves[j]), 2) for j in moving if j >= i]
    results = evaluate([t for _, t, _ in wanted], settings)
    truths = _truths(term, names, bound, moving, orders)
    # computed in float64 and rounded once
    bounds = (HALF_ULP,) * 3 if is_half(dtype) else op.ulp or (math.inf,) * 3
    for (what, _, order), got in zip(wanted, results, strict=True):
        true, rows = truths[what]
        below = [truths["d" + i][0] for i in what[1:]] if order == 2 else []
        base = _first_pole(truths["value"][0], below)
        _compare(report, (what, order), dtype, values, got, true, bounds[order], rows, base)


def _first_pole(value: Truth, firsts: list[Truth]) -> Array:
    """The value, infinite also where a first derivative is: its pole is one of the second."""
    base = np.asarray(value.value, np.float64)
    for first in firsts:
        slope = np.asarray(first.value, np.float64)
        base = np.where(np.isfinite(base) & np.isinf(slope), slope, base)
    return base


def differentiable(op: Op, y: Term) -> list[int]:
    """The arguments by which an op has a derivative."""
    if op.partials is None:
        return []
    partials = op.partials(y, *y.args)
    return [
        i
        for i, p in enumerate(partials)
        if not isinstance(p, NotDifferentiable) and is_float(y.args[i].dtype)
    ]


def _truths(
    term: Term, names: list[Term], bound: dict[Term, Array], moving: list[int], orders: int
) -> dict[str, tuple[Truth, Array | None]]:
    out: dict[str, tuple[Truth, Array | None]] = {}
    limits = len(names) == 1
    for i in moving if orders else []:
        found = taylor(term, bound, orders, direction={names[i]: 1.0}, limits=limits)
        out["value"] = (found[0], None)
        for order, true in enumerate(found[1:], 1):
            out["d" + str(i) * order] = (true, None)
    if not limits or "value" not in out:  # a series along one of several may strip a 0/0
        out["value"] = (truth(term, bound, limits=limits), None)
    if orders < 2:
        return out
    for i in moving:
        for j in moving:
            if j > i:
                size = bound[names[0]].size
                rows = evenly(size, PAIRED)
                part = {t: v[rows] for t, v in bound.items()}
                out[f"d{i}{j}"] = (mixed(term, (names[i], names[j]), part), rows)
    return out


def _excused(values: list[Array], at_value: Array, got: Array, true: Truth) -> Array:
    """Where a derivative is no promise.

    At a nan; at an infinity among several arguments; and where there is no value nearby (at a
    pole, also of a first derivative, a zero of several arguments, an infinity without a limit):
    there any infinity, nan or zero may stand, but no number. At -0 an infinity may have either
    sign.
    """
    every = np.stack([np.asarray(v, np.float64) for v in values])
    out = np.isnan(every).any(axis=0)
    infinite = np.isinf(every).any(axis=0)
    if len(values) > 1:
        out |= infinite
    no_number = ~np.isfinite(got) | (got == 0)
    value = np.asarray(at_value, np.float64)
    pole = np.where(infinite, np.isnan(value), ~np.isfinite(value)) & true.undefined
    if len(values) > 1:
        pole |= ~infinite & ~np.isfinite(value)
        pole |= true.undefined & (every == 0).any(axis=0)
    negative_zero = (np.signbit(every) & (every == 0)).any(axis=0)
    either = negative_zero & np.isinf(np.asarray(true.value, np.float64)) & np.isinf(got)
    return out | (pole & no_number) | either


def _as_numpy(name: str, values: list[Array], got: Array) -> Array:
    """Where a result is what NumPy or SciPy has: hypot(inf, nan) is inf, nan**0 is 1."""
    function = getattr(np, name, None) or getattr(scipy.special, name, None)
    if function is None or not all(is_float(v.dtype) for v in values):
        return np.zeros(got.shape, bool)
    with np.errstate(all="ignore"):
        try:
            return np.asarray(function(*values), np.float64) == got
        except TypeError:  # a function of the same name with static parameters
            return np.zeros(got.shape, bool)


def _compare_exact(
    report: OpReport, op: Op, dtype: np.dtype[Any], values: list[Array], got: Array, true: Truth
) -> None:
    report.points += got.size
    report.undecided += int(true.undecided.sum())
    wrong = true.decided & (np.asarray(got, np.float64) != true.value)
    for k in np.flatnonzero(wrong)[:3].tolist():
        point = tuple(float(v[k]) for v in values)
        report.failures.append(
            Failure("value", dtype.name, point, float(got[k]), float(true.value[k]), math.inf)
        )


def _compare(
    report: OpReport,
    which: tuple[str, int],
    dtype: np.dtype[Any],
    values: list[Array],
    got: Array,
    true: Truth,
    bound: float,
    rows: Array | None,
    at_value: Array,
) -> None:
    what, order = which
    if rows is not None:
        values, got, at_value = [v[rows] for v in values], got[rows], at_value[rows]
    tiny = float(ml_dtypes.finfo(dtype).tiny)
    wide = np.asarray(got, np.float64)
    value = np.asarray(true.value, np.float64)
    error = err_ulp(got, true, dtype)
    normal = true.decided & ((np.abs(value) >= tiny) | (true.status == Status.LIMIT))
    small = true.decided & (np.abs(value) < tiny)
    spurious = small & ~(np.abs(wide) <= 2 * tiny)
    made_up = true.undefined & ~np.isnan(wide)
    beyond = normal & ~small & (error > bound)
    if order:
        excused = _excused(values, at_value, wide, true)
        made_up, spurious, beyond = (m & ~excused for m in (made_up, spurious, beyond))
    else:
        odd = ~np.isfinite(np.stack([np.asarray(v, np.float64) for v in values])).all(axis=0)
        excused = odd & _as_numpy(report.op, values, wide)
        # where only a limit exists, IEEE's nan is as good
        excused |= (true.status == Status.LIMIT) & np.isnan(wide)
        made_up, spurious, beyond = (m & ~excused for m in (made_up, spurious, beyond))
    outside = np.zeros(got.shape, bool)
    for v, allowed in zip(values, report.domain, strict=True):
        with np.errstate(invalid="ignore"):
            low, high = np.asarray(v) <= allowed.lo, np.asarray(v) >= allowed.hi
            low = low if allowed.lo_open else np.asarray(v) < allowed.lo
            high = high if allowed.hi_open else np.asarray(v) > allowed.hi
        outside |= low | high
    # outside its domain an op may say nan where a formula goes on
    made = outside & np.isnan(wide)
    made_up, spurious, beyond = (m & ~made for m in (made_up, spurious, beyond))
    normal &= ~(excused | made)
    report.points += got.size
    report.undecided += int(true.undecided.sum())
    finite = normal & np.isfinite(value) & ~small
    worst = float(error[finite].max(initial=0.0))
    key = (what, dtype.name)
    report.worst[key] = max(report.worst.get(key, 0.0), worst)
    labels = (("", beyond), (" where it underflows", spurious), (" where it is undefined", made_up))
    for label, mask in labels:
        places = np.flatnonzero(mask)
        for k in places[np.argsort(-error[places], kind="stable")][:2].tolist():
            point = tuple(float(v[k]) for v in values)
            report.failures.append(
                Failure(
                    what + label,
                    dtype.name,
                    point,
                    wide[k].item(),
                    value[k].item(),
                    error[k].item(),
                )
            )
