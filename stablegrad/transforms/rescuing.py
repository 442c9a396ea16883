"""Which results of float32 programs are computed anew where plain float64 is not enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from weakref import WeakSet

import numpy as np

from stablegrad.cost import one_sign
from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.behaviour import FALLS, GROWS
from stablegrad.ops.corrected import TURNING
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.lowered_gaps import GAPS, SIGNED
from stablegrad.ops.lowered_structured import AT_ONE, TINY, inputs_of
from stablegrad.ops.record import CONST, INPUT, LEAF, is_const
from stablegrad.ops.rescued import LEFT, RESCUED
from stablegrad.transforms.given import EXACT_OPS
from stablegrad.transforms.products import power_of_two
from stablegrad.transforms.ranging import BASED
from stablegrad.transforms.rational import is_exact
from stablegrad.transforms.roots import has_roots, is_rooted
from stablegrad.transforms.sums import is_plain
from stablegrad.transforms.vanishing import APART

NARROW = np.dtype(np.float32)
TERMS = 256
_others: WeakSet[Term] = WeakSet()
"""Terms that were found to be no small float32 programs; nor is what is made of them."""


def fragile(term: Term) -> bool:
    """Whether native arithmetic may lose more than a rounding in this one op."""
    if term.op is AFFINE:
        ranging = any(a.op is MONOMIAL for a in term.args)  # a product may leave the range
        addends = len(term.args) + (term.params[0] != 0)
        if addends == 1 or (addends == 2 and not ranging and is_plain(term, term.dtype)):
            return False  # rounded once, as it is
        return ranging or not one_sign(term)
    if term.op is MONOMIAL:
        degree = sum(
            abs(p) for x, p in zip(term.args, term.params[0], strict=True) if x.dtype.kind != "b"
        )
        return degree > 2 or (has_roots(term) and not is_rooted(term))
    return term.op.name not in EXACT_OPS


def hints(roots: Sequence[Term]) -> set[Term]:
    """Comparisons that ``rarely`` alone is made of: near their bounds either side is right."""
    found: set[Term] = set()
    others: set[Term] = set(roots)
    for t in reversed(topological(roots)):
        above = t.op.name == "rarely" or (t in found and t not in others and t.op.name in LOGIC)
        (found if above else others).update(t.args)
    return {t for t in found - others if t.op.name in SIGNED and t.args[1].op is CONST}


LOGIC = frozenset("logical_and logical_or logical_not".split())


def as_rescued_part(value: Term, term: Term, args: tuple[Term, ...]) -> Term:
    """What is computed in float64 of a float32 program, and anew where that is not enough.

    Where the addends of a sum cancelled, or the arguments of a difference of functions, where the
    base of a power is infinite, and where a function feels its argument's rounding.

    Args:
        value: the term, lowered.
        term: the same, canonical.
        args: its arguments, lowered.
    """
    if term.op is AFFINE:
        return _rescued_sum(value, term, args)
    if term.op is MONOMIAL:
        return _rescued_root(value, term, args)
    if term.op.name in GAPS:
        sure = args[0] is args[-1] or _is_sure(term) or not _is_program(term)
        return value if sure else _rescued(value, term, "close", dict.fromkeys(args, LEFT))
    if term.op.name in BASED and any(map(_may_leave, topological([term.args[0]]))):
        return _rescued(value, term, "far", {args[0]: 0.0}) if _is_program(term) else value
    zero, ends = ZEROS.get(term.op.name), term.op.name in ENDS
    turns = term.op.name in TURNING | QUOTIENTS and _may_be_far(term.args[0])
    if not (zero is not None or ends or turns) or all(map(is_exact, term.args)):
        return value
    if not _is_program(term):
        return value
    if turns:
        return _turned(value, term, args[0])
    if ends:
        return _rescued(value, term, "end", {args[0]: END})
    below = term.op.name in LOGS | {"log_ratio"} and any(map(_is_lost_below, term.args))
    return _rescued(value, term, "zero or pole" if below else "zero", {args[0]: zero or 0.0})


def _turned(value: Term, term: Term, arg: Term) -> Term:
    """A wave of a phase that is computed anew, once for all waves of it, where it is far."""
    x = term.args[0]
    if term.op.name not in TURNING:
        return _rescued(value, term, "turned", {arg: NEAR})
    phase = OPS["arctan2"](OPS["sin"](x), OPS["cos"](x))
    near = _rescued(arg, phase, "turned", {arg: NEAR})
    return make(term.op, (near,), (), value.shape, value.dtype)


def _rescued_sum(value: Term, term: Term, addends: tuple[Term, ...]) -> Term:
    constant, coefficients = term.params
    several = len(addends) + (constant != 0) > 1
    if isinstance(constant, str) or not several or one_sign(term) or _is_sure(term):
        return value
    if not _is_program(term):
        return value
    least = {
        x: LEFT * abs(float(c))
        for x, a, c in zip(addends, term.args, coefficients, strict=True)
        if not is_exact(a)
    }
    if len(addends) == 2 and not constant:  # the other one is as large where they cancel
        least = dict([next(iter(least.items()))])
    return _rescued(value, term, "left", least)


def _rescued_root(value: Term, term: Term, args: tuple[Term, ...]) -> Term:
    """A root of what may be lost below the range of float64, and its sign: sqrt(-erfc(x))."""
    (p, *others), inner = term.params[0], term.args[0]
    if others or isinstance(p, int) or p < 0 or inner.facts.nonnegative:
        return value
    if not _is_lost_below(inner) or not _is_program(term):
        return value
    return _rescued(value, term, "zero", {args[0]: TINY})


def as_rescued_comparison(value: Term, term: Term, args: Sequence[Term]) -> Term:
    """A comparison with 0 of what may be lost below the range of float64, computed anew there.

    Args:
        value: the comparison, lowered.
        term: the same, canonical.
        args: its arguments, lowered.
    """
    if term.op.name not in SIGNED or not is_const(term.args[1], 0):
        return value
    if term.args[0].facts.nonnegative or not _is_lost_below(term.args[0]) or not _is_program(term):
        return value
    return _rescued(value, term, "below", {args[0]: TINY})


def _is_lost_below(x: Term) -> bool:
    """Whether a number other than 0 may be 0 in float64."""
    single = x.op is AFFINE and len(x.args) == 1 and x.params[0] == 0
    if x.op is MONOMIAL or x.op.name in ("maximum", "minimum") or single:
        return (x.op is MONOMIAL and _may_leave(x)) or any(map(_is_lost_below, x.args))
    return x.op.name in FALLS


def as_rescued(value: Term, term: Term) -> Term:
    """A result of a float32 program, computed anew where it is infinite or nan.

    Where float64 cannot hold what it is made of: products of a few float32s are no matter.
    """
    if value.dtype != NARROW or is_exact(term) or not term.args or not _is_program(term):
        return value
    core = forms.split(term)[1]  # what is infinite in float64 itself, the result is in float32
    parts = [t for t in topological([term]) if t is not core or t.op.name not in GROWS]
    leaves = any(map(_may_leave, parts))
    return _rescued(value, term, "beyond", {}) if leaves else value


def _may_leave(t: Term) -> bool:
    """Whether a term of float32s may be beyond the range of float64, or divide by what is below."""
    if t.op is MONOMIAL:
        powers = [p for x, p in zip(t.args, t.params[0], strict=True) if x.dtype.kind != "b"]
        return sum(map(abs, powers)) > DEGREE or any(
            p < 0 and not is_exact(x) and _is_small(x)
            for x, p in zip(t.args, t.params[0], strict=True)
        )
    if t.op.name in LOGS:
        return not is_exact(t.args[0]) and _is_small(t.args[0])
    return t.op.name in GROWS and (t.facts.hi == math.inf or t.facts.lo == -math.inf)


DEGREE = 6
"""Products of so many float32s, or quotients, are within the range of float64."""
LOGS = frozenset("log log2 log10 log1p lgamma digamma".split())


def _is_small(x: Term) -> bool:
    return x.facts.lo < TINY and x.facts.hi > -TINY


ZEROS = {
    **dict.fromkeys("log log2 log10 lgamma log_ratio powm1".split(), LEFT),
    "arccosh": 2.0**-13,
}
"""Functions with zeros where their argument is not 0, and next to them from where on."""
QUOTIENTS = frozenset(["sinc_unnormalised", "sinc_unnormalised_derivative"])
"""Waves divided by their argument."""
NEAR = 2.0**16
"""Arguments of waves whose rounding in float64 does not show in float32."""
KERNELS = frozenset(["synthesized", "reduced"])
"""What has float32 tables of its own."""
ENDS = AT_ONE | {"arccos", "log1p", "sqrt1pm1"}
END = 2.0**-26


def _rescued(value: Term, term: Term, where: str, least: dict[Term, float]) -> Term:
    meant = without_tables(term)
    args = (value, *least, *inputs_of(meant))
    return make(
        RESCUED,
        args,
        (where, tuple(least.values()), meant),
        forms.broadcast(MONOMIAL, args),
        value.dtype,
    )


def _is_sure(term: Term) -> bool:
    """Whether all addends are known in float64 to the last digit, or nearly so."""
    return all(is_exact(a) or _is_square(a) for a in term.args)


def _may_be_far(x: Term) -> bool:
    """Whether an argument that is rounded in float64 may be one of many turns."""
    exact = _is_square(x) and power_of_two(forms.split(x)[0])
    return not exact and (x.facts.hi > NEAR or x.facts.lo < -NEAR)


def _is_square(x: Term) -> bool:
    """Whether a term is a product of two of the program's numbers: exact in float64."""
    core = forms.split(x)[1]
    return (
        core.op is MONOMIAL and core.params[0] in ((1, 1), (2,)) and all(map(is_exact, core.args))
    )


def without_tables(term: Term) -> Term:
    """A term without float32 kernels: what stands beside them, which float64 programs know."""
    order = topological([term])
    if not any(t.op.name in KERNELS for t in order):
        return term
    done: dict[Term, Term] = {}
    for t in order:
        args = tuple([done[a] for a in t.args])
        kernel = t.op.name in KERNELS
        done[t] = args[-1] if kernel else make(t.op, args, t.params, t.shape, t.dtype)
    return done[term]


def _is_program(term: Term) -> bool:
    """Whether a term is a small elementwise program of float32 inputs."""
    seen: set[Term] = set()
    stack = [term]
    inputs = False
    while stack:
        t = stack.pop()
        if t in seen:
            continue
        if t in _others or len(seen) > TERMS or not _is_part(t):
            _others.add(term)
            return False
        inputs = inputs or t.op is INPUT
        seen.add(t)
        stack += t.args
    return inputs


def _is_part(t: Term) -> bool:
    kind = t.dtype == NARROW or (t.dtype.kind == "b" and t.op is not INPUT)
    plain = not t.args or t.op.elementwise or t.op.name == "broadcast_to"
    return kind and plain and t.op.name not in APART and t.op is not LEAF
