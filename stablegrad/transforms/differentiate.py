"""Forward and reverse mode over terms, from the partials of the op records.

A cotangent and a partial are multiplied as one flat product, so that Iverson factors (what
``where``, ``maximum``, a mask or an index blocks) stay structural zeros: they annihilate
whatever stands on the other side, infinities too, at every order and in both modes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

from stablegrad.canonical import canonical
from stablegrad.errors import NotDifferentiableError, message
from stablegrad.ir import OPS, Term, make, rebuild, topological
from stablegrad.ops import forms
from stablegrad.ops.derivative import CUSTOM, active_terms, depending
from stablegrad.ops.forms import AFFINE, INDICATOR, MONOMIAL
from stablegrad.ops.record import (
    CONST,
    NotDifferentiable,
    ZeroDerivative,
    const,
    is_const,
)
from stablegrad.ops.shape import unbroadcast
from stablegrad.settings import Settings
from stablegrad.transforms.conventions import (
    USUAL,
    conventional_jvp,
    conventional_partials,
    conventional_vjp,
    root_slope,
)
from stablegrad.transforms.defined import confined
from stablegrad.transforms.domains import guards


class Calculus:
    """How derivatives are put together: stably, or as a conventional framework does."""

    def __init__(self, settings: Settings, order: list[Term], active: set[Term]) -> None:
        self.naive = settings.naive
        self.conventions = USUAL if self.naive else settings.conventions
        self.program = set(order)
        self.active = active
        """The terms that depend on the variables of differentiation."""
        self._depends = depending(self.program, active)

    def partials(self, out: Term) -> tuple[Any, ...]:
        """One partial per argument; for flat products the Iverson factors of zero factors."""
        op = out.op
        if self.naive and op.textbook is not None:
            return op.textbook(out, *out.args)
        if op is MONOMIAL:
            return self._monomial_partials(out)
        assert op.partials is not None
        found = op.partials(out, *out.args)
        if self.naive:
            return found
        if self.conventions != USUAL:
            found = conventional_partials(out, found, self.conventions)
        if op.domain:
            found = _inside(found, out)
        if op.name in FLAT:
            found = _flat(found, out)
        # flat before they meet a cotangent: s*(1-s) over s cancels as factors only
        return tuple([canonical(p, self.program) if isinstance(p, Term) else p for p in found])

    def _monomial_partials(self, out: Term) -> tuple[Any, ...]:
        found: list[Any] = []
        for i, (x, p) in enumerate(zip(out.args, out.params[0], strict=True)):
            if x in self.active:
                rest, slope = forms.partial_factors(out, i)
                if 0 < p < 1 and self.conventions.roots != "inf":
                    slope = root_slope(slope, x, self.conventions)
                found.append(self._masked_product(rest, slope, forms.power(x, p)))
            else:
                found.append(None)
        return tuple(found)

    def multiply(self, cotangent: Term, partial: Term, value: Term) -> Term:
        """``cotangent * partial``, where ``value`` is what the cotangent belongs to."""
        if is_const(partial, 1):
            return cotangent
        if self.naive:
            if partial.op is INDICATOR:
                return OPS["where"](partial.args[0], cotangent, 0.0)
            return -cotangent if is_const(partial, -1) else cotangent * partial
        return self._masked_product(cotangent, partial, value)

    def _masked_product(self, factor: Term, partial: Term, value: Term) -> Term:
        """The product; a factor that is zero and no variable blocks an infinite partial.

        The block holds where ``value`` is finite: 0 * f is then 0 whatever the slope of f.
        """
        masks: list[Term] = []
        blocking = self.conventions.zero_factor == "block"
        if blocking and not partial.facts.defined and not _infinite_together(partial, value):
            for x, p in forms.factors(forms.split(factor)[1]).items():
                blocks = p > 0 and x.dtype.kind != "b" and x.op is not CONST
                if blocks and not x.facts.nonzero and not self._depends(x):
                    nonzero = _is_not_zero(x)
                    infinite = OPS["logical_not"](OPS["isfinite"](value))
                    masks.append(OPS["logical_or"](nonzero, infinite))
        return forms.product([factor, partial, *masks])

    def add(self, terms: list[Term]) -> Term:
        """The sum of contributions to one cotangent or tangent."""
        if len(terms) == 1:
            return terms[0]
        if self.naive:
            result = terms[0]
            for t in terms[1:]:
                result = result + t
            return result
        shape = forms.broadcast(AFFINE, tuple(terms))
        return forms.total([(1, t) for t in terms], shape, terms[0].dtype)


def _is_not_zero(x: Term) -> Term:
    """Whether a factor is not 0: by what it is a product of, as the product may underflow."""
    if x.op is forms.REQUIRE:  # nan is not 0
        return OPS["logical_or"](_is_not_zero(x.args[0]), OPS["logical_not"](x.args[1]))
    masks = [
        OPS["not_equal"](f if p > 0 else 1 / f, 0.0)
        for f, p in forms.factors(forms.split(x)[1]).items()
        if f.dtype.kind != "b" and (p < 0 or not f.facts.nonzero)
    ]
    return reduce(OPS["logical_and"], masks) if masks else OPS["not_equal"](x, 0.0)


FLAT = {
    "ndtr": (-math.inf, math.inf),
    "erf": (-math.inf, math.inf),
    "erfc": (-math.inf, math.inf),
    "log_ndtr": (math.inf,),
    "log_erfc": (-math.inf,),
    "log_ndtr_difference": (-math.inf, math.inf),
    "log_sigmoid_difference": (-math.inf, math.inf),
    "sigmoid_gap": (-math.inf, math.inf),
}
"""The infinities at which ops fall to a limit faster than any power: an infinite bound."""


def _flat(partials: tuple[Any, ...], out: Term) -> tuple[Any, ...]:
    """The partials, 0 at an infinite argument whatever its own derivatives are.

    An interval without an upper bound has (inf - mu)/s for an argument, whose slope by s is
    infinite; the probability does not depend on it.
    """
    found: list[Any] = []
    for x, partial in zip(out.args, partials, strict=True):
        bare = x.args if x.op is AFFINE else (x,)
        masks: list[Term] = []
        if isinstance(partial, Term) and any(t.op is MONOMIAL for t in bare):
            masks = [OPS["not_equal"](x, end) for end in FLAT[out.op.name]]
        found.append(forms.product([partial, *masks]) if masks else partial)
    return tuple(found)


def _inside(partials: tuple[Any, ...], out: Term) -> tuple[Any, ...]:
    """The partials, nan where there is no value: 1/x at -1 is no derivative of log."""
    needed = guards(out)
    if not needed:
        return partials
    return tuple([_required(p, needed) if isinstance(p, Term) else p for p in partials])


def _required(partial: Term, needed: list[Term]) -> Term:
    for guard in needed:
        partial = OPS["require"](partial, guard)
    return partial


BOUNDED = frozenset("sigmoid tanh sech sech_squared sigmoid_slope erf ndtr".split())
"""Ops that are finite at infinite arguments as well."""


def _infinite_together(partial: Term, value: Term) -> bool:
    """Whether the partial is finite wherever ``value`` is: then nothing needs blocking.

    Decided for factors of the value, for what is infinite where a base is zero, negative powers
    and logarithms, and for what is finite at any argument that is not nan, which makes the value
    nan too. Outside its domain the value is nan as the partial is.
    """
    needed = guards(value) if partial.op is forms.REQUIRE else ()
    ratio = value.op.name == "log_ratio"  # its domain is no box: arguments of one sign
    while partial.op is forms.REQUIRE and (ratio or partial.args[1] in needed):
        partial = partial.args[0]
    alike = partial.op.name in BOUNDED or (value.op.name, partial.op.name) == ("lgamma", "digamma")
    if alike and len(value.args) == 1:
        inner = forms.split(partial.args[0])[1]
        if inner is forms.split(value.args[0])[1]:
            return True
    factors = forms.factors(forms.split(value)[1])
    poles = {x for x, p in factors.items() if p < 0}
    blocked = any(x.dtype.kind == "b" for x in factors)
    known = set() if blocked else {x for x, p in factors.items() if p > 0}
    if value.op.name in ("log", "log2", "log10", "log_ratio"):
        poles |= set(value.args)
    elif value.op.name == "log1p":
        poles.add(canonical(1 + value.args[0]))
    for x, p in forms.factors(forms.split(partial)[1]).items():
        if x.dtype.kind == "b":
            continue
        if not isinstance(p, int) or (p < 0 and not x.facts.nonzero and x not in poles):
            return False
        if not x.facts.defined and x not in poles and x not in known:
            return False
    return True


def vjp(y: Term, xs: Sequence[Term], seed: Term, settings: Settings) -> list[Term]:
    """The gradients of ``y`` by each of ``xs``, for the cotangent ``seed`` of ``y``.

    Raises:
        NotDifferentiableError: where a derivative on the way does not exist, with the reason.
    """
    variables = set(xs)
    order = topological([y], stop=variables.__contains__)
    active = active_terms(order, variables)
    calculus = Calculus(settings, order, active)
    cotangents: dict[Term, list[Term]] = {y: [seed]}
    for term in reversed(order):
        if term in variables or term not in active or term not in cotangents:
            continue
        cotangent = calculus.add(cotangents.pop(term))
        if is_const(cotangent, 0):
            continue
        for arg, contribution in zip(term.args, _pull(term, cotangent, calculus), strict=False):
            if contribution is not None and arg in active:
                cotangents.setdefault(arg, []).append(unbroadcast(contribution, arg.shape))
    found = [
        forms.with_shape(calculus.add(cotangents[x]), x.shape)
        if x in cotangents
        else const(0, x.dtype, x.shape)
        for x in xs
    ]
    return found if calculus.naive else confined(y, xs, found, order, [seed])


def _pull(term: Term, cotangent: Term, calculus: Calculus) -> Sequence[Term | None]:
    op = term.op
    active = calculus.active
    if op is CUSTOM:
        return _pull_custom(term, cotangent)
    if op.vjp is not None:
        params = term.static
        parts = conventional_vjp(term, cotangent, params, calculus.conventions)
        if calculus.naive:
            given = {term, cotangent, *term.args}
            parts = tuple([_chosen(p, given) if isinstance(p, Term) else p for p in parts])
        return [_checked(term, i, part, active) for i, part in enumerate(parts)]
    if op.partials is None:
        raise _no_derivative(term, "it declares none")
    contributions: list[Term | None] = []
    for i, partial in enumerate(calculus.partials(term)):
        slope = _checked(term, i, partial, active)
        contributions.append(None if slope is None else calculus.multiply(cotangent, slope, term))
    return contributions


def _chosen(root: Term, given: set[Term]) -> Term:
    """A naive derivative whose masked quotients are choices, as textbooks have it: no 0/0."""
    done: dict[Term, Term] = {}
    for t in topological([root], stop=given.__contains__):
        args = tuple([done.get(a, a) for a in t.args])
        if t in given:
            continue
        over = args[0] if t.op.name == "divide" else None
        if over is not None and over.op.name == "multiply" and over.args[0].op is INDICATOR:
            (condition,), x = over.args[0].args, over.args[1]
            done[t] = OPS["where"](condition, x / args[1], const(0, t.dtype))
        elif args != t.args:
            done[t] = make(t.op, args, t.params, t.shape, t.dtype)
    return done.get(root, root)


def _checked(term: Term, i: int, partial: Any, active: set[Term]) -> Term | None:
    if partial is None or term.args[i] not in active or isinstance(partial, ZeroDerivative):
        return None
    if isinstance(partial, NotDifferentiable):
        raise _no_derivative(term, partial.why)
    if not isinstance(partial, Term):  # a plain number
        return const(partial, term.dtype)
    return partial


def _no_derivative(term: Term, why: str) -> NotDifferentiableError:
    return NotDifferentiableError(
        message(f"a derivative of {term.op.name}", "a differentiable operation", f"Why: {why}")
    )


# -- functions with their own gradient ----------------------------------------------------


class _Custom:
    """The arguments of a ``custom`` node by their roles."""

    def __init__(self, term: Term) -> None:
        m, n, self.index = term.params
        args = iter(term.args)
        take = lambda count: [next(args) for _ in range(count)]  # noqa: E731
        self.outputs, self.inputs = take(m), take(n)
        self.output_marks, self.cotangent_marks = take(m), take(m)
        self.gradients = take(n)
        rest = list(args)
        self.tangent_marks, self.tangents = rest[:n], rest[n:]
        self.siblings = {
            mark: OPS["custom"].term(term.args, (m, n, i))
            for i, mark in enumerate(self.output_marks)
        }


def _pull_custom(term: Term, cotangent: Term) -> Sequence[Term | None]:
    node = _Custom(term)
    seeds = {
        mark: cotangent if i == node.index else const(0, mark.dtype, mark.shape)
        for i, mark in enumerate(node.cotangent_marks)
    }
    gradients = rebuild(node.gradients, {**node.siblings, **seeds})
    return [*[None] * len(node.outputs), *gradients]


def _push_custom(term: Term, tangents: dict[Term, Term], settings: Settings) -> Term:
    node = _Custom(term)
    given = [tangents.get(x, const(0, x.dtype, x.shape)) for x in node.inputs]
    if node.tangents:
        marks = dict(zip(node.tangent_marks, given, strict=True))
        return rebuild([node.tangents[node.index]], {**node.siblings, **marks})[0]
    # forward mode from the gradient: it is linear in the cotangent, and its transpose is the jvp
    gradients = rebuild(node.gradients, node.siblings)
    mark = node.cotangent_marks[node.index]
    parts = [vjp(g, [mark], t, settings)[0] for g, t in zip(gradients, given, strict=True)]
    return forms.total([(1, p) for p in parts], mark.shape, mark.dtype)


# -- forward mode -------------------------------------------------------------------------


def jvp(y: Term, xs: Sequence[Term], ts: Sequence[Term], settings: Settings) -> Term:
    """The derivative of ``y`` along the tangents ``ts`` of ``xs``."""
    variables = dict(zip(xs, ts, strict=True))
    order = topological([y], stop=variables.__contains__)
    calculus = Calculus(settings, order, active_terms(order, set(variables)))
    tangents = dict(variables)
    for term in order:
        if term in variables or term not in calculus.active:
            continue
        tangent = _push(term, tangents, calculus, settings)
        if tangent is not None:
            tangents[term] = forms.with_shape(tangent, term.shape)
    found = tangents.get(y, const(0, y.dtype, y.shape))
    if calculus.naive or y in variables:
        return found
    return confined(y, [y], [found], order, ts, xs)[0]


def _push(
    term: Term, tangents: dict[Term, Term], calculus: Calculus, settings: Settings
) -> Term | None:
    op = term.op
    if op is CUSTOM:
        return _push_custom(term, tangents, settings)
    if op.jvp is not None:
        given = tuple([tangents.get(a) for a in term.args])
        if all(t is None for t in given):  # an op below found that nothing moves
            return None
        params = term.static
        return conventional_jvp(term, given, params, calculus.conventions)
    if op.partials is None:
        raise _no_derivative(term, "it declares none")
    parts: list[Term] = []
    for i, partial in enumerate(calculus.partials(term)):
        arg = term.args[i]
        slope = _checked(term, i, partial, calculus.active)
        if slope is None or arg not in tangents:
            continue
        if calculus.naive:
            parts.append(calculus.multiply(tangents[arg], slope, arg))
        else:
            tangent = tangents[arg]
            parts.append(calculus.multiply(slope, tangent, arg))
    return calculus.add(parts) if parts else None
