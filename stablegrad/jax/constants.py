"""Constants of JAX's programs that stand for numbers that are no floats."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from stablegrad.ir import OPS, Term, make, rebuild, topological
from stablegrad.ops.activation_kernels import CUBIC, SLOPE
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


def mean_gelu(roots: Sequence[Term]) -> list[Term]:
    """The roots with the constants of gelu's form with tanh for floats of them.

    tanh(c*(x + k*x**3)) with the float32 nearest to sqrt(2/pi) and 0.044715, as JAX's own gelu has
    them, is off by x**4 units in the tails, and has its own zeros of the slope.
    """
    images: dict[Term, Term] = {}
    for term in topological(roots):
        if term.op.name == "tanh" and term.dtype == np.float32:
            outer = term.args[0]
            slope, rest = _scaled(outer, SLOPE)
            if slope is None or rest.op.name != "add":
                continue
            for x, y in (rest.args, rest.args[::-1]):
                cubic, power = _scaled(y, CUBIC)
                if cubic is not None and power == OPS["power"](x, 3):
                    images[outer] = slope * (x + cubic * power)
    return rebuild(roots, images) if images else list(roots)


def _scaled(x: Term, number: float) -> tuple[Term | None, Term]:
    """A number and what it is multiplied with, if its float32 is a factor of a product."""
    if x.op.name == "multiply":
        for c, rest in (x.args, x.args[::-1]):
            if c.op is CONST and round_to(c.params[0], x.dtype) == np.float32(number):
                return const(Fraction(number), c.dtype, c.shape), rest
    return None, x


def _meant(x: Term, square: Fraction) -> Term:
    """A constant as the root of a number, if it is the float nearest to it or to minus it."""
    if x.op is not CONST or not is_float(x.dtype):
        return x
    value, root = float(round_to(x.params[0], x.dtype)), square_root(square)
    if abs(value) != float(round_to(root, x.dtype)):
        return x
    return const(-root if value < 0 else root, x.dtype, x.shape)
