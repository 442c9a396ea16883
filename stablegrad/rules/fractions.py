"""Sums of quotients over one denominator, where what the addends share then drops out."""

from __future__ import annotations

from collections.abc import Container, Mapping
from fractions import Fraction

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.forms import AFFINE, MONOMIAL, Rational
from stablegrad.rules.databases import stabilize

ATOMS = 5
TERMS = 40
DEGREE = 12
FORMS = 16  # sums and products below: a long chain would be multiplied out at each link
FEW = 2  # products of a numerator that may cancel: each is exact, or rounded once

Powers = tuple[tuple[Term, Fraction], ...]
Polynomial = dict[Powers, Fraction]
"""Coefficients by the powers of atoms, sorted; an atom is what is no sum or product."""


class TooLargeError(Exception):
    """A numerator with too many terms to be looked at."""


def _powers(parts: Mapping[Term, Fraction]) -> Powers:
    return tuple(sorted([(x, p) for x, p in parts.items() if p != 0], key=lambda e: e[0].key))


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
    if len(a) * len(b) > 4 * TERMS:
        raise TooLargeError
    out: Polynomial = {}
    for p, c in a.items():
        for q, d in b.items():
            parts = dict(p)
            for x, e in q:
                parts[x] = parts.get(x, Fraction(0)) + e
            key = _powers(parts)
            out[key] = out.get(key, Fraction(0)) + c * d
    return {key: c for key, c in out.items() if c != 0}


def _to_power(a: Polynomial, n: int) -> Polynomial:
    if n > DEGREE:
        raise TooLargeError
    out: Polynomial = {(): Fraction(1)}
    for _ in range(n):
        out = _times(out, a)
    return out


def _sum(term: Term, whole: Container[Term]) -> Polynomial:
    """A flat sum, or one term, of which nothing is in a denominator but atoms."""
    if term.op is not AFFINE:
        return _product(_factors(term), whole)
    constant, coefficients = term.params
    if isinstance(constant, str):
        raise TooLargeError
    out: Polynomial = {(): Fraction(constant)} if constant != 0 else {}
    for c, x in zip(coefficients, term.args, strict=True):
        for key, d in _product(_factors(x), whole).items():
            out[key] = out.get(key, Fraction(0)) + Fraction(c) * d
    return {key: c for key, c in out.items() if c != 0}


def _square(x: Term, whole: Container[Term]) -> Polynomial | None:
    """The square of a length as a sum."""
    if x.op.name != "hypot":
        return None
    parts = [_to_power(_sum(a, whole), 2) for a in x.args]
    out = dict(parts[0])
    for key, c in parts[1].items():
        out[key] = out.get(key, Fraction(0)) + c
    return out


def _factors(term: Term) -> dict[Term, Rational]:
    """The factors of a term, x/hypot(x, y) as two of them."""
    found: dict[Term, Rational] = {}
    for x, p in forms.factors(term).items():
        pieces: list[tuple[Term, Rational]] = [(x, 1)]
        if x.op.name in ("hypot", "hypot_unit"):
            length = OPS["hypot"](*sorted(x.args, key=lambda t: t.key))
            pieces = [(length, 1)]
            if x.op.name == "hypot_unit":
                pieces = [*forms.factors(x.args[0]).items(), (length, -1)]
        for y, q in pieces:
            found[y] = forms.exact_ratio(found.get(y, 0) + p * q)
    return {x: p for x, p in found.items() if p != 0}


def _product(parts: Mapping[Term, Rational], whole: Container[Term]) -> Polynomial:
    """A flat product multiplied out; sums to powers that are not whole are atoms.

    Args:
        parts: the factors and their powers.
        whole: sums that are atoms, too.
    """
    out: Polynomial = {(): Fraction(1)}
    for x, p in parts.items():
        if x.dtype.kind == "b":
            raise TooLargeError
        square = _square(x, whole) if isinstance(p, int) and p % 2 == 0 and p > 0 else None
        if square is not None:
            out = _times(out, _to_power(square, int(p) // 2))
        elif x.op is AFFINE and isinstance(p, int) and p > 0 and x not in whole:
            out = _times(out, _to_power(_sum(x, whole), p))
        else:
            out = _times(out, {((x, Fraction(p)),): Fraction(1)})
    return out


def _denominators(term: Term) -> dict[Term, int]:
    """The sums in the denominators of a sum, and atoms, with their greatest powers."""
    found: dict[Term, int] = {}
    for x in term.args:
        if x.op is MONOMIAL:
            over = any(p < 0 for p in x.params[0]) or any(y.op.name == "hypot_unit" for y in x.args)
        else:
            over = x.op.name == "hypot_unit"
        for y, p in _factors(x).items() if over else ():
            if p < 0 and isinstance(p, int):
                found[y] = max(found.get(y, 0), -p)
    return found


def _rebuilt(polynomial: Polynomial, term: Term) -> Term:
    addends: list[tuple[Rational, Term]] = []
    for key, c in polynomial.items():
        parts = {x: forms.exact_ratio(p) for x, p in key}
        addends.append((forms.exact_ratio(c), forms.monomial(parts, None, term.dtype)))
    return forms.total(addends, term.shape, term.dtype)


def _numerator(
    term: Term, below: Mapping[Term, int], whole: Container[Term]
) -> tuple[Polynomial, bool]:
    """The numerator over the common denominator, and whether anything in it cancelled."""
    total: Polynomial = {}
    size: Polynomial = {}
    constant, coefficients = term.params
    addends: list[tuple[Rational, Term | None]] = list(zip(coefficients, term.args, strict=True))
    if constant != 0:
        addends.append((constant, None))
    for c, x in addends:
        parts = {} if x is None else _factors(x)
        for y, n in below.items():
            parts[y] = forms.exact_ratio(parts.get(y, 0) + n)
        product = _product({y: p for y, p in parts.items() if p != 0}, whole)
        for key, d in product.items():
            total[key] = total.get(key, Fraction(0)) + Fraction(c) * d
            size[key] = size.get(key, Fraction(0)) + abs(Fraction(c) * d)
    drops_out = any(abs(total[key]) < size[key] for key in total)
    return {key: c for key, c in total.items() if c != 0}, drops_out


def _shallow(term: Term) -> bool:
    """Whether few sums and products lie below, so that multiplying out is cheap."""
    seen = {term}
    stack = [term]
    while stack:
        for x in stack.pop().args:
            if x not in seen and (x.op is AFFINE or x.op is MONOMIAL):
                seen.add(x)
                stack.append(x)
                if len(seen) > FORMS:
                    return False
    return True


@stabilize.procedure(
    "affine",
    example=lambda x, y: 1 - x / (x + y),
    source="a/b + c/d = (a*d + b*c)/(b*d)",
    group="fractions",
    among=("monomial", "hypot_unit"),
)
def common_denominator(term: Term) -> Term | None:
    """1 - x/(x + y) cancels; over one denominator what the numerators share drops out.

    It fires where few products are left, or addends of one sign: no more than these cancel.
    """
    if isinstance(term.params[0], str) or len(term.args) + (term.params[0] != 0) < 2:
        return None
    if not _shallow(term):
        return None
    below = _denominators(term)
    sums = [y for y in below if y.op is AFFINE or y.op.name == "hypot"]
    if not sums and not _products_of_sums(term) and not _sum_over_its_own(term):
        return None
    # first as deep as it goes; then with what denominators are made of as it is: (x - m)**2
    made_of = {f for y in sums for x in y.args for f in _factors(x) if f.op is AFFINE}
    for whole in ((), made_of) if made_of else ((),):
        try:
            total, drops_out = _numerator(term, below, whole)
        except TooLargeError:
            continue
        if not total or not drops_out or len({x for key in total for x, _ in key}) > ATOMS:
            continue
        if len(total) <= FEW or _one_sign(total):
            bottom: Powers = tuple([(y, Fraction(-n)) for y, n in below.items()])
            if whole:
                total, bottom = _relative(total, bottom)
            quotient = [_rebuilt(total, term), _rebuilt({bottom: Fraction(1)}, term)]
            return forms.with_shape(forms.product(quotient), term.shape)
    return None


def _relative(total: Polynomial, bottom: Powers) -> tuple[Polynomial, Powers]:
    """A numerator relative to a product of denominators in it: (x/s)**2 - 1, not x**2 - s**2."""
    below = dict(bottom)
    for unit in total:
        others = [dict(key) for key in total if key != unit]
        own = [(x, p) for x, p in unit if any(k.get(x) != p for k in others)]
        if own and all(x in below for x, _ in own):
            inverse: Polynomial = {_powers({x: -p for x, p in own}): Fraction(1)}
            for x, p in own:
                below[x] += p
            return _times(total, inverse), _powers(below)
    return total, bottom


def _products_of_sums(term: Term) -> bool:
    """Whether some addend is a product of sums that would be multiplied out."""
    return any(
        x.op is MONOMIAL
        and sum([p for y, p in forms.factors(x).items() if y.op is AFFINE and p > 0]) > 1
        for x in term.args
    )


def _sum_over_its_own(term: Term) -> bool:
    """Whether some addend is a sum over one of its own addends, (x - y)/x."""
    for x in term.args:
        parts = forms.factors(x) if x.op is MONOMIAL else {}
        below = [y for y, p in parts.items() if p < 0]
        if any(y.op is AFFINE and p == 1 and set(below) & set(y.args) for y, p in parts.items()):
            return True
    return False


def _one_sign(total: Polynomial) -> bool:
    signs = set()
    for key, c in total.items():
        known = [x.facts.nonnegative or p % 2 == 0 for x, p in key]
        if not all(known):
            return False
        signs.add(c > 0)
    return len(signs) == 1
