"""Logarithms to base 2 and 10 by the natural one, where that is redone and they are not."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from stablegrad.ir import Term, make
from stablegrad.ops.forms import AFFINE
from stablegrad.ops.lowered_logs import LOG_BY_BASE, PER_NATURAL
from stablegrad.transforms.products import WIDE, emit_multiple

BASES = {"log2": 2, "log10": 10}
STEPS = frozenset(["floor", "ceil", "trunc", "round"])
"""Functions to which it matters whether a logarithm is whole: the number of digits of x."""
NATURAL = frozenset(["log", "log1p", "log_ratio"])
"""Natural logarithms of what may be a power of a base."""
SIMPLE = 1000
"""Up to here multiples of a logarithm are told: 20*log10(x), log2(x)/3."""


def by_base(natural: Term, term: Term) -> Term | None:
    """The lowered logarithm to a base of what has a better natural one; None where it has not.

    Args:
        natural: the lowered natural logarithm of the same.
        term: the logarithm, canonical.
    """
    if natural.op.name == "log":
        return None
    return _to_base(natural, BASES[term.op.name])


def as_multiple_by_base(term: Term, lowered: Mapping[Term, Term]) -> Term | None:
    """A multiple of a natural logarithm that is one of a logarithm to base 2 or 10, lowered.

    Args:
        term: what a function with steps is of, canonical.
        lowered: the lowered terms of what it is made of.
    """
    if term.op is not AFFINE or len(term.args) != 1 or term.params[0] != 0:
        return None
    log = term.args[0]
    if log.op.name not in NATURAL or lowered[log].dtype != WIDE:
        return None
    factor = Fraction(term.params[1][0])
    for base, unit in PER_NATURAL.items():
        multiple = (factor / unit).limit_denominator(SIMPLE)
        if multiple and abs(multiple * unit / factor - 1) < 2.0**-80:
            value = _to_base(lowered[log], base)
            return emit_multiple(value, multiple, WIDE)
    return None


def _to_base(natural: Term, base: int) -> Term:
    return make(LOG_BY_BASE, (natural,), (base,), natural.shape, natural.dtype)
