"""Roots of products in float32: native, but where the product left the range."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stablegrad.ir import Term, make
from stablegrad.ops import forms
from stablegrad.ops.forms import MONOMIAL
from stablegrad.ops.rooted import ROOTED_PRODUCT

MOST = 2**20


def has_roots(term: Term) -> bool:
    """Whether a product contains a root of a product, or of a multiple of one."""
    return any(
        not isinstance(p, int) and forms.split(x)[1].op is MONOMIAL
        for x, p in zip(term.args, term.params[0], strict=True)
    )


def is_rooted(term: Term) -> bool:
    """Whether float32 arithmetic does: two numbers in a square root, and a moderate multiple."""
    if term.op is not MONOMIAL or term.dtype != np.float32 or not has_roots(term):
        return False
    for x, p in zip(term.args, term.params[0], strict=True):
        c, core = forms.split(x)
        powers = core.params[0] if core.op is MONOMIAL else (1,)
        narrow = all(a.dtype == np.float32 for a in (x, *core.args) if core.op is MONOMIAL)
        plain = all(isinstance(q, int) for q in powers) and sum(map(abs, powers)) <= 2
        if 2 * p != int(2 * p) or not (plain and narrow and 1 <= abs(c) * MOST <= MOST * MOST):
            return False
    return all(x.dtype == np.float32 for x in term.args)


def as_rooted(term: Term, lowered: Mapping[Term, Term]) -> Term | None:
    """A product with roots of products of float32 numbers; None for others.

    Args:
        term: the product, canonical.
        lowered: the lowered terms of what it is made of.
    """
    if not is_rooted(term):
        return None
    places: dict[Term, int] = {}
    factors = []
    for x, p in sorted(zip(term.args, term.params[0], strict=True), key=lambda e: e[1] < 0):
        c, core = forms.split(x)
        if core.op is not MONOMIAL or isinstance(p, int):
            inner, c = {x: 1}, 1
        else:
            inner = dict(zip(core.args, core.params[0], strict=True))
        made = sorted(inner.items(), key=lambda e: e[1] < 0)
        told = [(places.setdefault(lowered[a], len(places)), int(2 * q)) for a, q in made]
        factors.append((int(2 * p), c, tuple(told)))
    args = tuple(places)
    return make(
        ROOTED_PRODUCT, args, (tuple(factors),), forms.broadcast(MONOMIAL, args), term.dtype
    )
