"""Constants of JAX's programs that stand for numbers that are no floats."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from stablegrad.ir import Term, make, topological
from stablegrad.ops.record import CONST, const, is_float, round_to
from stablegrad.rules.roots import square_root


def mean_root_2(roots: Sequence[Term]) -> list[Term]:
    """The roots with sqrt(1/2) for a float of it in the argument of an error function.

    Whoever writes erf(x/sqrt(2)), as JAX's own gelu and ndtr do, means the normal distribution:
    with the float for the number it is off by x**2 units in the tails.
    """
    order, scaled = topological(roots), set[Term]()
    for term in order:
        if term.op.name in ("erf", "erfc"):
            (x,) = term.args
            while x.op.name in ("abs", "negative"):
                (x,) = x.args
            if x.op.name in ("multiply", "divide"):
                scaled.add(x)
    if not scaled:
        return list(roots)
    done: dict[Term, Term] = {}
    for term in order:
        args = tuple([done[a] for a in term.args])
        if term in scaled:
            x, y = args
            args = (
                (_meant(x, Fraction(1, 2)), _meant(y, Fraction(1, 2)))
                if term.op.name == "multiply"
                else (x, _meant(y, Fraction(2)))
            )
        same = args == term.args
        done[term] = term if same else make(term.op, args, term.params, term.shape, term.dtype)
    return [done[r] for r in roots]


def _meant(x: Term, square: Fraction) -> Term:
    """A constant as the root of a number, if it is the float nearest to it or to minus it."""
    if x.op is not CONST or not is_float(x.dtype):
        return x
    value, root = float(round_to(x.params[0], x.dtype)), square_root(square)
    if abs(value) != float(round_to(root, x.dtype)):
        return x
    return const(-root if value < 0 else root, x.dtype, x.shape)
