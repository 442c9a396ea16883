"""Logarithms of what leaves the range where they do not: the NumPy engine has them by exponents."""

from __future__ import annotations

from collections.abc import Sequence

from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.record import is_float

FAR = {8: 1e300, 4: 1e36, 2: 1e4}
"""By bytes of a float: what is beyond may have left the range."""


def logs_in_range(roots: Sequence[Term]) -> list[Term]:
    """Canonical terms, in which log(1 + y*exp(x)) is log(1 + exp(x + log(y))) for large x."""
    order = topological(roots)
    if not any(t.op.name == "log1p" for t in order):
        return list(roots)
    done: dict[Term, Term] = {}
    for term in order:
        args = tuple([done[a] for a in term.args])
        new = term
        if args != term.args:
            new = make(term.op, args, term.params, term.shape, term.dtype)
        done[term] = _log1p(new) if term.op.name == "log1p" and is_float(term.dtype) else new
    return [done[r] for r in roots]


def _log1p(term: Term) -> Term:
    (total,) = term.args
    scale, core = forms.split(total)
    if core.op is not forms.MONOMIAL or scale < 0:
        return term
    powers = forms.factors(core)
    tops = [t for t, p in powers.items() if t.op.name == "exp" and p == 1]
    if len(tops) != 1 or tops[0].args[0].facts.hi <= 0 or any(t.dtype.kind == "b" for t in powers):
        return term
    others = {t: p for t, p in powers.items() if t is not tops[0]}
    rest = forms.scale(scale, forms.monomial(others, None, term.dtype))
    far = OPS["greater"](total, FAR[term.dtype.itemsize])
    exponent = OPS["where"](far, tops[0].args[0], 0.0)
    above = forms.total(
        [(1, exponent), (1, OPS["log"](OPS["where"](far, rest, 1.0)))], term.shape, term.dtype
    )
    near = OPS["log1p"](OPS["where"](far, 0.0, total))
    return forms.with_shape(OPS["where"](far, OPS["softplus"](above), near), term.shape)
