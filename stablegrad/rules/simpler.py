"""Terms taken apart: factors left over, and differences taken before anything is rounded."""

from __future__ import annotations

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational
from stablegrad.ops.record import CONST
from stablegrad.rules.databases import stabilize


def bare(term: Term) -> Term:
    """The term without the guards around it."""
    while term.op is forms.REQUIRE:
        term = term.args[0]
    return term


def unshaped(term: Term) -> Term:
    """The term as it was before it got its shape."""
    while term.op.name in ("reshape", "broadcast_to"):
        term = term.args[0]
    return term


def has_rule(term: Term) -> bool:
    """Whether a rule rewrites the root of a term."""
    return any(True for rule in stabilize.at(term) for _ in rule.apply(term))


LOST = {8: 2.0**-960, 4: 2.0**-120, 2: 2.0**-10}
"""By bytes of a float: below this a number may have lost digits."""


def is_lost(x: Term) -> Term:
    """Whether a number from 0 on may have lost digits, or underflowed."""
    return OPS["less"](x, LOST[x.dtype.itemsize])


def size_of(x: Term) -> Term:
    """abs(x) in what is smooth at 0, where its slope is that of x: not 0, that of a kink."""
    return OPS["where"](OPS["less"](x, 0.0), forms.scale(-1, x), x)


def other_addends(term: Term, *used: Term) -> list[tuple[Rational, Term]]:
    """The coefficients and addends of a flat sum without some of these, its constant as one."""
    parts = zip(term.params[1], term.args, strict=True)
    rest = [(c, x) for c, x in parts if all(x is not u for u in used)]
    if term.params[0] != 0:
        rest.append((1, forms.const(term.params[0], term.dtype)))
    return rest


def parts_of(term: Term) -> dict[Term, Rational] | None:
    """The addends of a flat sum with their coefficients; None where it has a constant."""
    return None if term.params[0] != 0 else dict(zip(term.args, term.params[1], strict=True))


def addends(term: Term) -> int:
    """How many addends a term has as a flat sum."""
    return len(term.args) + (term.params[0] != 0) if term.op is forms.AFFINE else 1


def other_factors(term: Term, *used: Term) -> Term:
    """What is left of a flat product without some of its factors."""
    parts = {x: p for x, p in forms.factors(term).items() if all(x is not u for u in used)}
    return forms.monomial(parts, None, term.dtype)


def plain_difference(a: Term, b: Term) -> Term:
    """a - b as a flat sum."""
    shape = forms.broadcast(forms.AFFINE, (a, b))
    return forms.total([(1, a), (-1, b)], shape, a.dtype)


def simpler_difference(a: Term, b: Term) -> Term | None:
    """a - b where what a and b share drops out: x + 1 and x leave 1, -a/m and -b/m (b - a)/m."""
    if a.dtype != b.dtype or (a.op is CONST and b.op is CONST):
        return None
    difference = plain_difference(a, b)
    core = forms.split(bare(difference))[1]
    if core.op is CONST or addends(core) < max(addends(a), addends(b)):
        return difference
    if core is forms.split(a)[1]:  # multiples of one term
        return difference
    shares = core.op is forms.MONOMIAL and any(x.op is forms.AFFINE for x in core.args)
    return difference if shares and CONST not in (a.op, b.op) else None


def opposite_pair(term: Term, *names: str) -> tuple[Rational, Term, Term] | None:
    """The c, f, g of a flat sum c*f - c*g without a constant, f and g of these ops, c > 0."""
    if term.op is not forms.AFFINE or len(term.args) != 2 or term.params[0] != 0:
        return None
    (c, k), (f, g) = term.params[1], term.args
    if c != -k or f.op.name not in names or g.op.name not in names:
        return None
    return (c, f, g) if c > 0 else (k, g, f)


def single(x: Term) -> bool:
    """Whether a term is no sum, product or quotient, so that its value is not rounded here."""
    c, core = forms.split(x)
    return c in (1, -1) and core.op not in (forms.AFFINE, forms.MONOMIAL) and core.op is not CONST


def neighbours(a: Term, b: Term) -> tuple[int, Term, Term] | None:
    """The sign, base and step with f(a) - f(b) = sign*(f(base + step) - f(base)).

    The base is the plainer of the two, and the step what is left of their difference.
    """
    sign, top, base = (1, a, b) if addends(b) <= addends(a) else (-1, b, a)
    step = simpler_difference(top, base)
    if step is None:
        return None
    shape = forms.broadcast(forms.AFFINE, (a, b))
    return sign, base, forms.with_shape(step, shape)
