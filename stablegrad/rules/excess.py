"""What a soft maximum or a length exceeds one of its arguments by, however that is a sum."""

from __future__ import annotations

import math
from collections.abc import Iterator

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational, ratio
from stablegrad.ops.guards import pole_free
from stablegrad.rules.databases import stabilize


def with_rest(term: Term, *names: str) -> Iterator[tuple[Rational, Term, Term]]:
    """The c, f and r of a flat sum c*(f + r), for each addend f of the ops named."""
    constant, coefficients = term.params
    if isinstance(constant, str):
        return
    items = list(zip(coefficients, term.args, strict=True))
    for c, f in items:
        if f.op.name in names:
            rest = [(ratio(k, c), x) for k, x in items if x is not f]
            if constant != 0:
                rest.append((1, forms.const(ratio(constant, c), term.dtype)))
            yield c, f, forms.total(rest, term.shape, term.dtype)


def less(rest: Term, x: Term) -> bool:
    """Whether ``rest`` is -x."""
    return rest is forms.with_shape(forms.scale(-1, x), rest.shape)


@stabilize.procedure(
    "affine",
    example=lambda x, y, z: OPS["logaddexp"](x + y, z) - x - y,
    source="log(exp(a) + exp(b)) - a = log(1 + exp(b - a))",
    group="logistic",
    among=("logaddexp",),
)
def soft_maximum_less_argument(term: Term) -> Term | None:
    """logaddexp(a, b) - a cancels where a is the greater one, and is rounded to a unit of a."""
    for c, f, rest in with_rest(term, "logaddexp"):
        for a, b in (f.args, f.args[::-1]):
            if less(rest, a):
                step = forms.total([(1, b), (-1, a)], term.shape, term.dtype)
                result = OPS["softplus"](step)
                for finite in () if a.facts.defined else _not_infinite(a):
                    result = OPS["require"](result, finite)
                return forms.scale(c, result)
    return None


def _not_infinite(a: Term) -> list[Term]:
    """What must hold lest ``a`` is infinite at a pole: at the end of a logarithm, of a quotient."""
    found = pole_free(a)
    items = zip(a.params[1], a.args, strict=True) if a.op is forms.AFFINE else ()
    for c, x in items:
        if c < 0 and x.op.name in ("log", "log1p") and not x.facts.defined:
            found.append(OPS["greater"](x, -math.inf))
    return found


@stabilize.procedure(
    "affine",
    example=lambda x: OPS["log_sigmoid"](x) - x,
    source="log(sigmoid(x)) - x = -log(1 + exp(x))",
    group="logistic",
    among=("log_sigmoid",),
)
def log_sigmoid_less_argument(term: Term) -> Term | None:
    """log_sigmoid(x) - x cancels for very negative x."""
    for c, f, rest in with_rest(term, "log_sigmoid"):
        if less(rest, f.args[0]):
            return forms.scale(-c, OPS["softplus"](forms.with_shape(f.args[0], term.shape)))
    return None
