"""Which terms are numbers of the program, and what is made of such by few operations."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from stablegrad.ir import Term, topological
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.record import CONST, INPUT
from stablegrad.ops.reduction import count
from stablegrad.transforms.sums import cancels

MOVES = frozenset(
    "reshape transpose broadcast_to concatenate flip pad windows getitem take_along_axis".split()
)
"""Ops that only move elements, and take any dtype."""

EXACT_OPS = frozenset(
    "negative abs sign where maximum minimum fmax fmin copysign clip positive floor ceil round "
    "trunc require stop_gradient add subtract multiply divide sqrt square reciprocal "
    "indicator".split()
)
"""Elementwise ops whose native result is correctly rounded: no wider arithmetic needed."""

EXTENDED = frozenset("log log1p log2 log10 power exp xlogy".split())
"""Functions that an engine has in float32, had in float64 for what is computed there of them."""

STEEP = frozenset(
    "arccos arcsin arccosh arctanh one_minus_square logit logit_slope erfinv ndtri tan".split()
)
"""Functions that feel the rounding of an ordinary argument without bound, at an end of it."""
OF_DEEP = frozenset("sin cos log log1p log2 log10".split())
"""Functions that are computed in float64 where their argument is anyway: it may leave the range of
float32, or be great or near 1."""
ANGLES = frozenset("arctan arctan2 arcsin arccos".split())
"""Functions that cost in float64 what they cost in float32: sums that may cancel have them so."""
EXPONENTIALS = frozenset("exp exp2 log1mexp sinh cosh".split())
"""Functions that feel the rounding of an argument as often as it is great: up to 88 times."""

PRECISE = 24
"""Terms of an argument that is computed in float64 for the sake of one exp."""


def is_given(term: Term) -> bool:
    """Whether a term is a number of the program, moved at most."""
    while term.op.name in (*MOVES, "negative", "abs", "stop_gradient") and len(term.args) == 1:
        term = term.args[0]
    return term.op is INPUT or term.op is CONST


def is_made_of_given(term: Term, *, choices: bool = True) -> bool:
    """Whether a term is made of numbers of the program by sums, products and logarithms.

    And by what chooses among such, as ``where`` and ``abs``, unless ``choices`` is False.
    """
    stack, seen = [term], 0
    while stack:
        t = stack.pop()
        seen += 1
        if is_given(t) or t.dtype.kind == "b":
            continue
        chosen = choices and t.op.name in EXACT_OPS
        if seen > PRECISE or not (is_form(t) or t.op.name == "log" or chosen):
            return False
        stack.extend(t.args)
    return True


_FEW = 8
_SLOPES = ("softmax_jvp", "log_softmax_jvp")


def is_form(term: Term) -> bool:
    """Whether a term is a sum or a product."""
    return term.op is AFFINE or term.op is MONOMIAL


def is_moved(term: Term) -> bool:
    """Whether a term only moves elements, or adds a few of them."""
    if term.op.name == "sum":
        size = prod(term.args[0].shape)
        return size <= _FEW * prod(term.shape)
    return term.op.name in MOVES


def is_of_few(total: Term) -> bool:
    """Whether a total of a constant and others holds a sum of few elements, or multiples of one."""
    made_of = [x for a in total.args for x in (a.args if a.op is MONOMIAL else (a,))]
    return total.params[0] != 0 and any(x.op.name == "sum" and is_moved(x) for x in made_of)


def is_near_given(term: Term) -> bool:
    """Whether a term is one of the extended functions, of the program's numbers by arithmetic.

    A chain of functions would cost too much.
    """
    if term.op.name not in EXTENDED:
        return False
    stack, seen = list(term.args), 0
    while stack:
        t = stack.pop()
        seen += 1
        if is_given(t) or t.dtype.kind == "b":
            continue
        if seen > PRECISE or not (is_form(t) or is_moved(t) or t.op.name in EXACT_OPS):
            return False
        stack.extend(t.args)
    return True


def is_short_slope(term: Term) -> bool:
    """Whether a term is the slope of a softmax of few entries, cheap in float64."""
    if term.op.name not in _SLOPES:
        return False
    return count(term.shape, term.param("axis")) <= _FEW


def is_second_of_softmax(term: Term) -> bool:
    """Whether a term is the slope of a short softmax along slopes of it: p*(1 - p)*(1 - 2*p).

    Sums of weights and squares cancel in it, where the weights have float32's digits only.
    """
    if term.op.name != "softmax_jvp" or not is_short_slope(term):
        return False
    x, t = term.args
    return t.op is MONOMIAL and any(a.op.name in _SLOPES and a.args[0] is x for a in t.args)


def cancelling(roots: Sequence[Term]) -> set[Term]:
    """The sums whose addends may cancel, all they are made of, and arguments of exponentials."""
    found: set[Term] = set()
    for term in reversed(topological(roots)):
        if term in found or cancels(term):
            found.update([term, *term.args])
        elif term.op.name in EXPONENTIALS and not _is_steep_of_given(term):
            found.update(term.args)
    return found


def _is_steep_of_given(term: Term) -> bool:
    """Whether a term is an exp that has its argument in float64 for its own sake."""
    return term.op.name == "exp" and is_made_of_given(term.args[0])


def cancelling_angles(roots: Sequence[Term]) -> set[Term]:
    """The sums whose addends may cancel of which some are angles, with these."""
    found: set[Term] = set()
    for term in topological(roots):
        angles = [a for a in term.args if a.op.name in ANGLES] if term.op is AFFINE else []
        if angles and cancels(term):
            found.update([term, *angles])
    return found
