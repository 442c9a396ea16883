"""Which terms are numbers of the program, and what is made of such by few operations."""

from __future__ import annotations

from stablegrad.ir import Term
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.record import CONST, INPUT

MOVES = frozenset(
    "reshape transpose broadcast_to concatenate flip pad windows getitem take_along_axis".split()
)
"""Ops that only move elements, and take any dtype."""

PRECISE = 24
"""Terms of an argument that is computed in float64 for the sake of one exp."""


def is_given(term: Term) -> bool:
    """Whether a term is a number of the program, moved at most."""
    while term.op.name in (*MOVES, "negative", "abs", "stop_gradient") and len(term.args) == 1:
        term = term.args[0]
    return term.op is INPUT or term.op is CONST


def is_made_of_given(term: Term) -> bool:
    """Whether a term is made of numbers of the program by sums, products and logarithms."""
    stack, seen = [term], 0
    while stack:
        t = stack.pop()
        seen += 1
        if is_given(t):
            continue
        if seen > PRECISE or not (t.op is AFFINE or t.op is MONOMIAL or t.op.name == "log"):
            return False
        stack.extend(t.args)
    return True
