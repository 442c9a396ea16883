"""Log-sum-exp of two or more numbers: over their common rate, and with masks."""

from __future__ import annotations

import functools

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.record import is_const
from stablegrad.rules.databases import RARE, stabilize
from stablegrad.rules.simpler import bare, other_factors

FAR = {8: 1e300, 4: 1e36, 2: 1e4}
"""By bytes of a float: what is beyond may have left the range."""


@stabilize.procedure(
    "monomial",
    example=lambda k, x, y: OPS["logaddexp"](k * x, k * y) / k,
    source="log(exp(k*x) + exp(k*y))/k = max(x, y) + log(1 + exp(-|k*(x - y)|))/k",
    group=RARE,
    among=("logaddexp",),
)
def logaddexp_over_its_rate(term: Term) -> Term | None:
    """log(exp(k*x) + exp(k*y))/k, a smooth maximum, is in range where k*x and k*y are not."""
    powers = forms.factors(term)
    for total, n in powers.items():
        if n != 1 or total.op.name != "logaddexp":
            continue
        for k, p in powers.items():
            if p != -1 or not all(_has_rate(x, k) for x in total.args):
                continue
            x, y = (bare(forms.product([a, forms.power(k, -1)])) for a in total.args)
            far = OPS["abs"](total) > FAR[k.dtype.itemsize]
            known = [OPS["isfinite"](a) for a in (x, y, k)]
            rare = OPS["rarely"](functools.reduce(OPS["logical_and"], known, far))
            x, y, held = (OPS["where"](rare, a, b) for a, b in ((x, 1.0), (y, 2.0), (k, 1.0)))
            greater = OPS["where"](held > 0, OPS["maximum"](x, y), OPS["minimum"](x, y))
            gap = OPS["abs"](forms.product([held, x - y]))
            rest = forms.product([OPS["softplus"](-gap), forms.power(held, -1)])
            rest = forms.total([(1, greater), (1, rest)], term.shape, term.dtype)
            plain = forms.product([OPS["where"](rare, 1.0, total), forms.power(k, -1)])
            either = OPS["where"](rare, rest, plain)
            return forms.with_shape(
                forms.product([either, other_factors(term, total, k)]), term.shape
            )
    return None


def _has_rate(x: Term, k: Term) -> bool:
    core = forms.split(x)[1]
    return core is not k and forms.factors(core).get(k) == 1


@stabilize.procedure(
    "log",
    "log1p",
    example=lambda m, x, y: OPS["log"](
        OPS["where"](m > 0, OPS["exp"](x), 0.0) + OPS["exp"](y),
    ),
    source="exp(-inf) = 0",
    group="logarithm",
    among=("affine", "monomial", "where"),
)
def log_of_masked_exponentials(term: Term) -> Term | None:
    """log(where(m, exp(x), 0) + exp(y)) overflows for large x or y, also where x is masked."""
    (total,) = term.args
    one = term.op.name == "log1p"
    constant, parts = 0, {total: 1}
    if total.op is forms.AFFINE:
        constant, parts = total.params[0], dict(zip(total.args, total.params[1], strict=True))
    if isinstance(constant, str) or constant + one not in (0, 1):
        return None
    found = [_masked(x) if c == 1 else None for x, c in parts.items()]
    exponents = [x for x in found if x is not None]
    if len(exponents) < len(found) or all(x.op.name == "exp" for x in parts):
        return None
    if constant + one == 1:
        exponents.append(forms.const(0, term.dtype))
    if len(exponents) < 2:
        return None
    return forms.with_shape(functools.reduce(OPS["logaddexp"], exponents), term.shape)


def _masked(x: Term) -> Term | None:
    """The exponent of an exponential, -inf where one of its masks does not hold."""
    if x.op.name == "where" and is_const(x.args[2], 0):
        inner = _masked(x.args[1])
        return None if inner is None else OPS["where"](x.args[0], inner, float("-inf"))
    factors = forms.factors(x)
    masks = [a for a in factors if a.dtype.kind == "b"]
    tops = [a for a in factors if a.dtype.kind != "b"]
    if len(tops) != 1 or tops[0].op.name != "exp" or factors[tops[0]] != 1:
        return None
    inner = tops[0].args[0]
    if not masks:
        return inner
    return OPS["where"](functools.reduce(OPS["logical_and"], masks), inner, float("-inf"))
