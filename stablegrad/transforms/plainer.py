"""What is better computed in another way than it is differentiated."""

from __future__ import annotations

from collections.abc import Sequence

from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational, exact_ratio
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.guards import not_nan
from stablegrad.transforms.rational import is_exact

SECANTS = {"sech": 1, "sech_squared": 2}
_OTHER = {"maximum": "minimum", "minimum": "maximum"}
WAVES = {"sin_of_difference": "sin", "cos_of_difference": "cos"}


def plainer(roots: Sequence[Term]) -> list[Term]:
    """The roots with what is better computed in another way than it is differentiated.

    Negative powers of sech, in which rules write those of cosh, are what they are: the kernel of
    cosh is the better one, and a quotient rounds once more. And maximum(a, b) - a is
    maximum(b - a, 0): 0 where a is the greater one, although a is rounded before it is compared.
    Waves of a difference of computed numbers feel the rounding of these.
    """
    order = topological(roots)
    if not any(_over_secant(t) or _beyond_one(t) or _is_step(t) or _is_wave(t) for t in order):
        return list(roots)
    done: dict[Term, Term] = {}
    for term in order:
        args = tuple([done[a] for a in term.args])
        same = args == term.args
        whole = term if same else make(term.op, args, term.params, term.shape, term.dtype)
        beyond = _beyond_one(term)
        if beyond is not None:
            c, choice, one, other = beyond
            sign = 1
            if c < 0:  # a - maximum(a, b) is 0 and not -0
                c, sign, choice = -c, -1, _OTHER[choice]
            parts = [(sign, done[other]), (-sign, done[one])]
            step = forms.total(parts, term.shape, term.dtype)
            excess = OPS["require"](OPS[choice](step, 0.0), not_nan(done[one]))
            whole = forms.with_shape(forms.scale(c, excess), term.shape)
        elif _is_step(term):
            b, h = args
            parts = [(1, b), (1, OPS["log_expm1"](h))]
            whole = forms.with_shape(forms.total(parts, term.shape, term.dtype), term.shape)
        elif _is_wave(term):
            gap = forms.total([(1, args[0]), (-1, args[1])], term.shape, term.dtype)
            whole = forms.with_shape(OPS[WAVES[term.op.name]](gap), term.shape)
        elif _over_secant(whole):
            powers: dict[Term, Rational] = {}
            for x, p in zip(args, term.params[0], strict=True):
                n = SECANTS.get(x.op.name) if p < 0 else None
                base = x if n is None else OPS["cosh"](x.args[0])
                powers[base] = exact_ratio(powers.get(base, 0) + (p if n is None else -n * p))
            whole = forms.monomial(powers, term.shape, term.dtype)
        done[term] = whole
    return [done[r] for r in roots]


def _over_secant(term: Term) -> bool:
    return term.op is MONOMIAL and any(
        p < 0 and x.op.name in SECANTS for x, p in zip(term.args, term.params[0], strict=True)
    )


def _beyond_one(term: Term) -> tuple[Rational, str, Term, Term] | None:
    """The c, "maximum", a and b of c*(maximum(a, b) - a), or of a minimum."""
    if term.op is not AFFINE or isinstance(term.params[0], str):
        return None
    for c, x in zip(term.params[1], term.args, strict=True):
        if x.op.name not in ("maximum", "minimum"):
            continue
        for one, other in (x.args, x.args[::-1]):
            rounded = one.op is AFFINE or one.op is MONOMIAL
            if rounded and forms.total([(c, x), (-c, one)], term.shape, term.dtype) is term:
                return c, x.op.name, one, other
    return None


def _is_step(term: Term) -> bool:
    return term.op.name == "log_exp_step" and not all(is_exact(x) for x in term.args)


def _is_wave(term: Term) -> bool:
    return term.op.name in WAVES and not all(is_exact(x) for x in term.args)
