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
    Waves of a difference of computed numbers feel the rounding of these. A sum of what few elements
    take and of what the others do is either of the two sums.
    """
    order = topological(roots)
    if not any(ask(t) for t in order for ask in _ASKED):
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
            step = forms.total([(sign, done[other]), (-sign, done[one])], term.shape, term.dtype)
            excess = OPS["require"](OPS[choice](step, 0.0), not_nan(done[one]))
            whole = forms.with_shape(forms.scale(c, excess), term.shape)
        elif _is_step(term):
            b, h = args
            parts = [(1, b), (1, OPS["log_expm1"](h))]
            whole = forms.with_shape(forms.total(parts, term.shape, term.dtype), term.shape)
        elif rare := _rare_in(term):
            sides: dict[bool, list[tuple[Rational, Term]]] = {True: [], False: []}
            for c, x in zip(term.params[1], args, strict=True):
                is_rare = done[rare] in x.args
                mask = done[rare] if is_rare else OPS["logical_not"](done[rare])
                kept = {a: p for a, p in forms.factors(x).items() if a is not mask}
                sides[is_rare].append((c, forms.monomial(kept, x.shape, x.dtype)))
            sums = [forms.total(sides[b], term.shape, term.dtype) for b in (True, False)]
            whole = forms.with_shape(OPS["where"](done[rare], *sums), term.shape)
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


def _rare_in(term: Term) -> Term | None:
    """The condition of which each addend of a sum has either side as a mask."""
    if term.op is not AFFINE or term.params[0] != 0 or len(term.args) < 2:
        return None
    masks = [[a for a in x.args if a.dtype.kind == "b"] for x in term.args if x.op is MONOMIAL]
    found = [a for some in masks for a in some if a.op.name == "rarely"]
    if not found or len(masks) < len(term.args):
        return None
    either = (found[0], OPS["logical_not"](found[0]))
    return found[0] if all(any(a in either for a in some) for some in masks) else None


_ASKED = (_over_secant, _beyond_one, _is_step, _is_wave, _rare_in)
"""Whether a term is one of those."""
