"""Signs: odd functions give theirs up, even ones lose it, so that rules need one spelling."""

from __future__ import annotations

from fractions import Fraction

from stablegrad.ir import OPS, Term, make
from stablegrad.ops import forms
from stablegrad.ops.record import const, is_const
from stablegrad.rules.databases import stabilize

ODD = "sin tan arcsin arctan sinh tanh arcsinh arctanh erf erfinv cbrt sign".split()
EVEN = "cos cosh sech sech_squared sigmoid_slope abs sinc".split()


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
    *ODD,
    example=lambda x: OPS["sin"](-x),
    source="parity",
    group="signs",
    among=("affine",),
)
def odd_function(term: Term) -> Term | None:
    """f(-x) is -f(x) for an odd function."""
    return forms.scale(-1, _flip(term)) if negated(term.args[0]) else None


@stabilize.procedure(
    *EVEN,
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
    "abs", example=lambda x: OPS["abs"](OPS["exp"](x)), source="definition", group="signs"
)
def absolute_value(term: Term) -> Term | None:
    """|x| is x or -x where the sign is proved; |c*x| is |c|*|x|, and |x**p| is |x|**p."""
    (x,) = term.args
    if x.facts.nonnegative:
        return x
    if x.facts.nonpositive:
        return forms.scale(-1, x)
    c, core = forms.split(x)
    if c not in (1, -1):
        return forms.scale(abs(c), make(term.op, (core,), (), term.shape, term.dtype))
    if x.op is forms.MONOMIAL and len(x.args) == 1 and isinstance(x.params[0][0], int):
        return forms.power(OPS["abs"](x.args[0]), x.params[0][0])
    return None


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
