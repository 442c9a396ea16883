"""Products with square roots of products in float32, in float64 where one left the range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.ir import Term
from stablegrad.ops.exact import Rational
from stablegrad.ops.form_records import MONOMIAL, coefficient
from stablegrad.ops.record import broadcast, declare

Factor = tuple[int, Rational, tuple[tuple[int, int], ...]]
"""How many square roots, and of what: a multiple of a product, of which it is told likewise."""


def _rooted_product(xp: Any, *xs: Any, factors: tuple[Factor, ...]) -> Any:
    try:
        # the processor's flags tell a product that left the range, at no cost
        with np.errstate(over="raise", under="raise", divide="raise"):
            return _products(xp, xs, factors)[-1]
    except FloatingPointError:
        pass
    with np.errstate(all="ignore"):
        narrow = _products(xp, xs, factors)
        wide = _products(xp, [x.astype(np.float64) for x in xs], factors)[-1]
        least = np.finfo(narrow[-1].dtype).tiny
        normal = [(np.abs(x) >= least) & (np.abs(x) < np.inf) for x in narrow]
        kept = normal[0]
        for n in normal[1:]:
            kept = kept & n
        return np.where(kept, narrow[-1], wide.astype(narrow[-1].dtype))


def _products(xp: Any, xs: Sequence[Any], factors: tuple[Factor, ...]) -> list[Any]:
    """The products on the way, the whole one last."""
    made: list[Any] = []
    product = None
    for p, c, inner in factors:
        part = None if c == 1 else coefficient(xp, c, xs[0])
        for i, q in inner:
            part = _times(xp, part, xs[i], q)
        if part is not xs[inner[0][0]]:
            made.append(part)
        product = _times(xp, product, part, p)
        made.append(product)
    return made


def _times(xp: Any, product: Any, x: Any, halves: int) -> Any:
    """A product, or none yet, times so many square roots of a number."""
    size = abs(halves)
    for i in range(size // 2 + size % 2):
        step = x if i < size // 2 else xp.sqrt(x)
        if product is None:
            product = 1 / step if halves < 0 else step
        else:
            product = product / step if halves < 0 else product * step
    return product


def _infer(args: tuple[Term, ...], params: tuple[Any, ...]) -> Any:
    return broadcast(MONOMIAL, args), args[0].dtype


ROOTED_PRODUCT = declare(
    "rooted_product",
    family="lowered",
    params=("factors",),
    infer=_infer,
    kernel=_rooted_product,
    elementwise=True,
    source="the same in float64, rounded once",
    ulp=None,
    accuracy="a rounding per factor; elements that left the range are those of float64",
    doc="A product with square roots of products of float32 numbers.",
)
