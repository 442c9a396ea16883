"""Which sums are worth evaluating as a whole, in pairs, and the code for that.

A sum that may cancel shows the rounding errors of its addends. Where these are themselves
computed from exact numbers, by products, quotients, roots and further sums, the errors need not
be there: the whole becomes one ``rational_sum``. An addend with a transcendental factor carries
that factor's own rounding, so nothing would be gained.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from stablegrad.ir import Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.exact import to_float
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.lowered_arithmetic import RATIONAL_SUM, Product, Sum
from stablegrad.ops.record import CONST, INPUT, LEAF

LIMIT = 24  # forms and leaves of one code: what is larger is summed from rounded addends
POWERS = 16
MOVING = frozenset(
    "broadcast_to reshape transpose getitem expand_dims squeeze negative abs require".split()
)


def as_rational_sum(term: Term, lowered: Mapping[Term, Term]) -> Term | None:
    """The sum as one op on its exact leaves, or None where that gains nothing.

    Args:
        term: an affine form.
        lowered: the lowered terms of its leaves.
    """
    if not any(rounds(x) for x in term.args):
        return None
    inner = _forms_below(term)
    if inner is None:
        return None
    order = topological([term], stop=lambda t: t not in inner)
    leaves = [t for t in order if t not in inner]
    register = {t: i for i, t in enumerate(leaves)}
    code: list[Sum | Product] = []
    for t in order:
        if t in inner:
            code.append(instruction(t, register))
            register[t] = len(register)
    args = tuple([lowered[x] for x in leaves])
    shape = forms.broadcast(AFFINE, args)
    return make(RATIONAL_SUM, args, (tuple(code),), shape, term.dtype)


def rounds(x: Term) -> bool:
    """Whether an addend is rounded before it is added, beyond a product of two factors."""
    if x.op is AFFINE:
        return True
    return x.op is MONOMIAL and (
        sum(abs(p) for p in x.params[0]) > 2
        or any(p != 1 and p != 2 for p in x.params[0])
        or any(y.op is AFFINE for y in x.args)
    )


def _forms_below(term: Term) -> dict[Term, None] | None:
    """The sums and products that make up the sum, if all else is exact and they are few."""
    inner: dict[Term, None] = {}
    seen = {term}
    stack = [term]
    while stack:
        t = stack.pop()
        if not usable(t) or any(x.dtype.kind == "b" for x in t.args):
            return None
        inner[t] = None
        for x in t.args:
            if x in seen:
                continue
            seen.add(x)
            if len(seen) > LIMIT:
                return None
            if x.op is AFFINE or x.op is MONOMIAL:
                stack.append(x)
            elif not is_exact(x):
                return None
    return inner


def usable(t: Term) -> bool:
    """Whether a form is one instruction: a sum of numbers, or small powers."""
    if t.op is AFFINE:
        return not isinstance(t.params[0], str)
    powers = [p for x, p in zip(t.args, t.params[0], strict=True) if x.dtype.kind != "b"]
    return bool(powers) and all(abs(p) <= POWERS and Fraction(p).denominator <= 2 for p in powers)


def is_exact(x: Term) -> bool:
    """Whether a leaf is a number of the program, not the rounded result of an op."""
    for _ in range(POWERS):
        if x.op.name not in MOVING:
            break
        x = x.args[0]
    return x.op is INPUT or x.op is LEAF or (x.op is CONST and not is_long(x))


def is_exact_product(x: Term) -> bool:
    """Whether a term is a number of the program or a product of two."""
    core = forms.split(x)[1]
    if core.op is MONOMIAL and core.params[0] in ((1, 1), (2,)):
        return all(is_exact(a) for a in core.args)
    return is_exact(core)


def is_long(x: Term) -> bool:
    """Whether a term is a number that no float holds."""
    value = x.params[0] if x.op is CONST else 0
    return not isinstance(value, str) and value != to_float(value)


def instruction(t: Term, register: Mapping[Term, int]) -> Sum | Product:
    """The instruction of a form on the registers of its arguments."""
    if t.op is AFFINE:
        constant, coefficients = t.params
        pairs = zip(coefficients, t.args, strict=True)
        return Sum(constant, tuple([(c, register[x]) for c, x in pairs]))
    powers = zip(t.args, t.params[0], strict=True)
    return Product(tuple([(register[x], p) for x, p in powers if x.dtype.kind != "b"]))
