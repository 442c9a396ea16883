"""Signs: odd functions give theirs up, even ones lose it, so that rules need one spelling."""

from __future__ import annotations

from fractions import Fraction

from stablegrad.ir import OPS, Term, make
from stablegrad.ops import forms
from stablegrad.ops.behaviour import EVEN, ODD
from stablegrad.ops.guards import not_nan
from stablegrad.ops.record import CONST, const, is_const
from stablegrad.rules.databases import stabilize


def negated(term: Term) -> bool:
    """Whether a term is the negative of what canonical order prefers."""
    if term.op is not forms.AFFINE:
        return False
    constant, coefficients = term.params
    if len(coefficients) == 1 and constant == 0:
        return coefficients[0] < 0
    return False


def _flip(term: Term) -> Term:
    return make(term.op, (forms.scale(-1, term.args[0]),), term.params, term.shape, term.dtype)


@stabilize.procedure(
    *sorted(ODD),
    example=lambda x: OPS["sin"](-x),
    source="parity",
    group="signs",
    among=("affine",),
)
def odd_function(term: Term) -> Term | None:
    """f(-x) is -f(x) for an odd function."""
    return forms.scale(-1, _flip(term)) if negated(term.args[0]) else None


@stabilize.procedure(
    *sorted(EVEN),
    example=lambda x: OPS["cos"](-x),
    source="parity",
    group="signs",
    among=("affine", "abs"),
)
def even_function(term: Term) -> Term | None:
    """f(-x) and f(|x|) are f(x) for an even function."""
    inner = _unsigned(term.args[0])
    if inner is term.args[0]:
        return None
    return make(term.op, (inner,), term.params, term.shape, term.dtype)


def _unsigned(x: Term) -> Term:
    if negated(x):
        x = forms.scale(-1, x)
    c, core = forms.split(x)
    parts = forms.factors(core)
    # a whole power: the root of |y| is none of y
    signs = {y for y, p in parts.items() if y.op.name == "abs" and isinstance(p, int)}
    if not signs:
        return x
    bare = [forms.power(y.args[0] if y in signs else y, p) for y, p in parts.items()]
    return forms.scale(c, forms.product(bare))


@stabilize.procedure(
    "hypot", example=lambda x, y: OPS["hypot"](-x, OPS["abs"](y)), source="parity", group="signs"
)
def unsigned_legs(term: Term) -> Term | None:
    """hypot does not see the signs of its arguments."""
    legs = tuple([_unsigned(a) for a in term.args])
    return None if legs == term.args else make(term.op, legs, (), term.shape, term.dtype)


@stabilize.procedure(
    "maximum",
    "minimum",
    "hypot",
    "logaddexp",
    example=lambda x: OPS["logaddexp"](x, x),
    source="definition",
    group="signs",
)
def same_arguments(term: Term) -> Term | None:
    """maximum(x, x) is x, hypot(x, x) is |x|*sqrt(2), logaddexp(x, x) is x + log(2)."""
    x, y = term.args
    if x is not y:
        return None
    two = const(2, term.dtype)
    if term.op.name == "hypot":
        return forms.product([forms.power(two, Fraction(1, 2)), OPS["abs"](x)])
    if term.op.name == "logaddexp":
        return forms.total([(1, x), (1, OPS["log"](two))], x.shape, x.dtype)
    return x


@stabilize.procedure(
    "maximum",
    "minimum",
    example=lambda x: OPS["maximum"](OPS["sum"](x * x), 0),
    source="definition",
    group="signs",
)
def bound_that_holds(term: Term) -> Term | None:
    """max(sum(x*x), 0) is sum(x*x), and min(tanh(x), 1) is tanh(x): roots see what is below."""
    for x, bound in (term.args, term.args[::-1]):
        if bound.op is not CONST or isinstance(bound.params[0], str):
            continue
        c, facts = bound.params[0], x.facts
        end, is_open = (facts.lo, facts.lo_open)
        if term.op.name == "minimum":
            c, end, is_open = -c, -facts.hi, facts.hi_open
        if end > c or (end == c and (is_open or _rests(x))):
            return forms.with_shape(x, term.shape)
    return None


def _rests(x: Term) -> bool:
    """Whether the derivative of x is proved to be 0 where x is as small as it can be."""
    if x.op.name in ("sum", "mean", "broadcast_to", "reshape"):
        return _rests(x.args[0])
    if x.op.name in ("norm", "abs", "var", "std"):
        return True
    if x.op is forms.AFFINE:
        return all(c > 0 and _rests(a) for c, a in zip(x.params[1], x.args, strict=True))
    if x.op is not forms.MONOMIAL:
        return False
    return all(
        a.dtype.kind == "b" or (isinstance(p, int) and p > 0 and p % 2 == 0)
        for a, p in zip(x.args, x.params[0], strict=True)
    )


@stabilize.procedure(
    "abs", example=lambda x: OPS["abs"](OPS["exp"](x)), source="definition", group="signs"
)
def absolute_value(term: Term) -> Term | None:
    """|x| is x or -x where the sign is proved; |c*x| is |c|*|x|, and |x**p| is |x|**p."""
    (x,) = term.args
    c, core = forms.split(x)
    if x.facts.positive or (x.facts.nonnegative and not _is_negated(x)):
        return x
    if x.facts.negative:
        return forms.scale(-1, x)
    if c != 1:
        return forms.scale(abs(c), make(term.op, (core,), (), term.shape, term.dtype))
    if x.op is forms.MONOMIAL and len(x.args) == 1 and isinstance(x.params[0][0], int):
        return forms.power(OPS["abs"](x.args[0]), x.params[0][0])
    return None


def _is_negated(x: Term) -> bool:
    """Whether a term is minus another, whose zeros are of the other sign, which 1/|x| shows."""
    while x.op is forms.REQUIRE:
        x = x.args[0]
    return forms.split(x)[0] < 0


@stabilize.procedure(
    "monomial",
    example=lambda x: x / OPS["abs"](x),
    source="x/|x| = sign(x)",
    group="signs",
    among=("abs",),
)
def quotient_by_absolute_value(term: Term) -> Term | None:
    """x/|x| and |x|/x are the sign of x, whose slope is 0 and no difference of rounded ones."""
    parts = forms.factors(term)
    for size, p in parts.items():
        x = size.args[0] if size.op.name == "abs" else size
        q = parts.get(x, 0)
        if x is size or not (isinstance(p, int) and isinstance(q, int)):
            continue
        if p * q < 0 and p % 2 and q % 2:
            n = min(abs(p), abs(q)) * (1 if p > 0 else -1)
            rest = {y: e for y, e in parts.items() if y is not size and y is not x}
            factors = [OPS["sign"](x), forms.power(size, p - n), forms.power(x, q + n)]
            return _guarded(forms.product([*factors, *_powers(rest)]), x, term)
    return None


@stabilize.procedure(
    "monomial",
    example=lambda x: OPS["sign"](x) / x,
    source="sign(x)*x = |x|",
    group="signs",
    among=("sign",),
)
def sign_of_factor(term: Term) -> Term | None:
    """sign(x)/x is 1/|x|, and sign(x)*|x| is x."""
    parts = forms.factors(term)
    for sign, p in parts.items():
        if sign.op.name != "sign" or p != 1:
            continue
        x = sign.args[0]
        for base, other in ((x, OPS["abs"](x)), (OPS["abs"](x), x)):
            q = parts.get(base, 0)
            if isinstance(q, int) and q % 2:
                rest = {y: e for y, e in parts.items() if y is not sign and y is not base}
                whole = forms.product([forms.power(other, q), *_powers(rest)])
                return _guarded(whole, x, term) if q < 0 else forms.with_shape(whole, term.shape)
    return None


def _powers(parts: dict[Term, forms.Rational]) -> list[Term]:
    return [x if x.dtype.kind == "b" else forms.power(x, p) for x, p in parts.items()]


def _guarded(whole: Term, x: Term, term: Term) -> Term:
    """The product, nan where x is 0 or infinite: inside the masks of the product."""
    guard = OPS["require"](forms.const(1, x.dtype), OPS["not_equal"](x, 0.0))
    guard = OPS["require"](guard, not_nan(x))
    return forms.with_shape(forms.product([whole, guard]), term.shape)


@stabilize.procedure(
    "require",
    example=lambda x: OPS["require"](x, OPS["exp"](x) > 0),
    source="definition",
    group="signs",
)
def proved_guard(term: Term) -> Term | None:
    """A guard that is proved vanishes."""
    return forms.with_shape(term.args[0], term.shape) if term.args[1].facts.lo >= 1 else None


@stabilize.procedure(
    "where", example=lambda x: OPS["where"](x > 0, x, x), source="definition", group="signs"
)
def same_branches(term: Term) -> Term | None:
    """where(c, x, x) is x, and a proved condition picks its branch."""
    c, a, b = term.args
    if a is b or c.facts.lo >= 1:
        return forms.with_shape(a, term.shape)
    return forms.with_shape(b, term.shape) if c.facts.hi <= 0 else None


@stabilize.procedure(
    "where",
    example=lambda x: OPS["where"](x > 0, OPS["erfc"](-OPS["abs"](x)), OPS["erfc"](OPS["abs"](x))),
    source="cases of the sign",
    group="signs",
)
def cases_of_the_sign(term: Term) -> Term | None:
    """f(-|x|) where x > 0 and f(|x|) elsewhere is f(-x)."""
    condition, yes, no = term.args
    if condition.op.name != "greater" or not is_const(condition.args[1], 0):
        return None
    if yes.op is not no.op or len(yes.args) != 1 or yes.params != no.params:
        return None
    (c, size), (d, other) = forms.split(yes.args[0]), forms.split(no.args[0])
    m, x = forms.split(condition.args[0])
    of_x = size is other and size.op.name == "abs" and forms.split(size.args[0])[1] is x
    if not of_x or c != -d or d <= 0 or m <= 0:
        return None
    k, _ = forms.split(size.args[0])
    argument = forms.scale(-d * abs(k), x)
    return make(yes.op, (argument,), yes.params, term.shape, term.dtype)
