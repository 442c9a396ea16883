"""Logs and exponentials of neighbours: what they share is taken out before it is rounded."""

from __future__ import annotations

import math
from typing import Any

from stablegrad.ir import OPS, Term, make
from stablegrad.ops import forms
from stablegrad.ops.exact import Rational
from stablegrad.ops.exponential import LN2, LN10, exp, expm1, log, log1p
from stablegrad.ops.record import is_const
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import (
    addends,
    bare,
    has_rule,
    is_lost,
    neighbours,
    opposite_pair,
    simpler_difference,
    single,
)
from stablegrad.rules.softmax import entries, picked

Pair = tuple[Any, Any]
rule = stabilize.rule


@rule(source="log(a) - log(b) = log(a/b)", group="logarithm")
def difference_of_logs(a: Term, b: Term) -> Pair:
    """log(a) - log(b) cancels where a is near b; a quotient in a log keeps range and digits."""
    return log(a) - log(b), OPS["require"](log(a / b), a >= 0)


@rule(source="definition", group="logarithm")
def log1p_of_one_less(x: Term) -> Pair:
    """log1p(x - 1) is the log of x: next to 0 the difference is -1."""
    return log1p(x - 1), log(x)


@stabilize.procedure(
    "log2",
    "log10",
    example=lambda x: OPS["log2"](1 + x),
    source="definition",
    group="logarithm",
)
def log_to_other_base(term: Term) -> Term | None:
    """log2(1 + x), log10(a/b) and the like: what cures the natural logarithm cures these."""
    (x,) = term.args
    if not has_rule(log(x)):
        return None
    # the number of the partials: slopes of log10(a/b) - log10(c) cancel as terms
    unit = forms.const(1 / (LN2 if term.op.name == "log2" else LN10), x.dtype)
    return forms.with_shape(forms.product([unit, log(x)]), term.shape)


@stabilize.procedure(
    "log",
    "log1p",
    example=lambda x: log1p(OPS["exp2"](x)),
    source="b**x = exp(x*log(b))",
    group="logarithm",
    among=("exp2", "exp10", "power"),
)
def log_of_powers_of_number(term: Term) -> Term | None:
    """log(1 + 2**x) and log(sum(10**x)) overflow for large x, as exponentials do."""
    (x,) = term.args
    natural = _as_exponentials(x)
    if natural is x:
        return None
    if natural.op.name == "exp":  # of a number to a power alone there are other rules
        return _log1p_of_power(x, *natural.args) if term.op.name == "log1p" else None
    same = make(term.op, (natural,), term.params, term.shape, term.dtype)
    found = [(n, r.name, y) for r in stabilize.at(same) for y, n in r.apply(same)]
    # at once: exp(x*log(2)) alone is a power of 2 again
    return min(found, key=lambda one: one[:2])[2] if found else None


LARGE = {8: 500.0, 4: 60.0, 2: 8.0}
"""By bytes of a float: from here on log(1 + exp(x)) is x."""


def _log1p_of_power(power: Term, natural: Term) -> Term | None:
    """log(1 + b**x) = log(1 + exp(y)): y, which is rounded, where the power may be too large."""
    bound, base, exponent = LARGE[min(8, power.dtype.itemsize)], _number(power), power.args[-1]
    most = bound / math.log(base) if base else 0.0
    if most <= 0 or exponent.facts.hi <= 1.01 * most:  # 0.5**x, or what is in range
        return None
    held = OPS["minimum"](exponent, float(power.dtype.type(most)))
    args = (*power.args[:-1], held)
    kept = make(power.op, args, power.params, power.shape, power.dtype)
    return OPS["where"](OPS["greater"](natural, bound), natural, log1p(kept))


def _number(x: Term) -> Rational | None:
    """The number of which a term is a power."""
    if x.op.name == "power" and is_const(x.args[0]) and not isinstance(x.args[0].params[0], str):
        return x.args[0].params[0]
    return {"exp2": 2, "exp10": 10}.get(x.op.name)


def _as_exponentials(x: Term) -> Term:
    """A sum with powers of numbers as exponentials; itself where it has none."""
    if x.op.name in ("sum", "mean"):
        (inner,) = x.args
        natural = _as_exponentials(inner)
        return x if natural is inner else make(x.op, (natural,), x.params, x.shape, x.dtype)
    if x.op is forms.AFFINE:
        parts = [(c, _as_exponentials(a)) for c, a in zip(x.params[1], x.args, strict=True)]
        same = all(a is b for (_, a), b in zip(parts, x.args, strict=True))
        constant = (1, forms.const(x.params[0], x.dtype))
        return x if same else forms.total([*parts, constant], x.shape, x.dtype)
    base = _number(x)
    if base is None or base <= 0 or base == 1:
        return x
    rate = log(forms.const(base, x.dtype))
    return forms.with_shape(exp(forms.product([x.args[-1], rate])), x.shape)


def _argument(term: Term) -> Term:
    """What a log or log1p is the logarithm of."""
    (x,) = term.args
    if term.op.name == "log":
        return x
    one = forms.const(1, x.dtype)
    return forms.total([(1, one), (1, x)], x.shape, x.dtype)


@stabilize.procedure(
    "affine",
    example=lambda x: log1p(x) - log(x),
    source="log(a) - log(b) = log1p((a - b)/b)",
    group="logarithm",
    among=("log", "log1p"),
)
def difference_of_shifted_logs(term: Term) -> Term | None:
    """log1p(x) - log(x) cancels for large x: what is left of a - b is taken first."""
    found = opposite_pair(term, "log", "log1p")
    if found is None:
        return None
    c, left, right = found
    a, b = _argument(left), _argument(right)
    near = neighbours(a, b)
    if near is None:
        return None
    sign, base, step = near
    size = base if base.facts.nonnegative else OPS["abs"](base)  # -0 is 0
    result = OPS["require"](OPS["log_step"](size, step), OPS["greater_equal"](base, 0.0))
    c = forms.exact_ratio(sign * c)
    return forms.with_shape(forms.scale(c, result), term.shape)


@stabilize.procedure(
    "affine",
    example=lambda x: (1 + x) * log1p(x) - x * log(x),
    source="p*log(a) - q*log(b) = q*log(a/b) + (p - q)*log(a)",
    group="logarithm",
    among=("log", "log1p"),
)
def difference_of_weighted_logs(term: Term) -> Term | None:
    """(x + 1)*log(x + 1) - x*log(x) cancels for large x: what weights and arguments share goes."""
    parts = [_weighted_log(c, x) for c, x in zip(term.params[1], term.args, strict=True)]
    for i, top in enumerate(parts):
        for j, low in enumerate(parts):
            if i == j or top is None or low is None:
                continue
            left = forms.total([(1, top[0]), (1, low[0])], term.shape, term.dtype)
            near = neighbours(top[1], low[1])
            if near is None or near[0] < 0 or near[1] is not low[1]:
                continue
            if addends(bare(left)) >= max(addends(top[0]), addends(low[0])):
                continue
            base = low[1]
            size = base if base.facts.nonnegative else OPS["abs"](base)
            step = OPS["require"](OPS["log_step"](size, near[2]), OPS["greater_equal"](base, 0.0))
            pairs = list(zip(term.params[1], term.args, strict=True))
            rest = [p for k, p in enumerate(pairs) if k not in (i, j)]
            rest += [(-1, forms.product([low[0], step])), (1, forms.product([left, log(top[1])]))]
            if term.params[0] != 0:
                rest.append((1, forms.const(term.params[0], term.dtype)))
            return forms.total(rest, term.shape, term.dtype)
    return None


def _weighted_log(c: forms.Rational, x: Term) -> tuple[Term, Term] | None:
    """The weight and argument of an addend weight * log(argument), the weight no constant."""
    parts = forms.factors(x)
    logs = [f for f in parts if f.op.name in ("log", "log1p") and parts[f] == 1]
    if len(logs) != 1 or len(parts) < 2 or any(f.dtype.kind == "b" for f in parts):
        return None
    rest = {f: p for f, p in parts.items() if f is not logs[0]}
    return forms.scale(c, forms.monomial(rest, None, x.dtype)), _argument(logs[0])


@stabilize.procedure(
    "log",
    "log_ratio",
    example=lambda x: log((x + 1) / x),
    source="log(a/b) = log1p((a - b)/b)",
    group="logarithm",
)
def log_of_ratio_near_one(term: Term) -> Term | None:
    """log(a/b) is blind where a is near b: what is left of a - b is taken first."""
    a, b = term.args if len(term.args) == 2 else (term.args[0], None)
    if b is None:
        if a.op is not forms.MONOMIAL or sorted(a.params[0]) != [-1, 1]:
            return None
        (a, b) = a.args if a.params[0] == (1, -1) else a.args[::-1]
    near = neighbours(a, b)
    if near is None:
        return None
    sign, base, step = near
    if forms.split(step)[1] is a or forms.split(step)[1] is b:
        return None
    return forms.with_shape(forms.scale(sign, OPS["log_step"](base, step)), term.shape)


@rule(source="definition", group="logarithm")
def log_ratio_of_one_plus(u: Term, v: Term) -> Pair:
    """log((1 + u)/(1 + v)) for small u and v near each other: 1 + u rounds."""
    return OPS["log_ratio"](1 + u, 1 + v), OPS["log_ratio1p"](u, v)


@stabilize.procedure(
    "log",
    example=lambda x: log(OPS["prod"](x, axis=-1)),
    source="mantissas and exponents apart",
    group="vectors",
)
def log_of_prod(term: Term) -> Term | None:
    """The log of a product over an axis: the product leaves the range, or is near 1."""
    (x,) = term.args
    if x.op.name != "prod":
        return None
    (factors,) = x.args
    if factors.op.name == "exp":
        return OPS["sum"](*factors.args, axis=x.param("axis"), keepdims=x.param("keepdims"))
    facts = factors.facts
    if facts.nonnegative and (facts.hi <= 1 or facts.lo >= 1) and has_rule(log(factors)):
        return OPS["sum"](log(factors), axis=x.param("axis"), keepdims=x.param("keepdims"))
    p, base = _power_of(factors)
    length = OPS["log_prod"](base, axis=x.param("axis"), keepdims=x.param("keepdims"))
    return forms.scale(p, length)


@stabilize.procedure(
    "log",
    example=lambda x: log(OPS["cumprod"](x, axis=-1)),
    source="the log of a product is the sum of the logs",
    group="vectors",
    among=("cumprod",),
)
def log_of_cumprod(term: Term) -> Term | None:
    """log(cumprod(x)) where a product leaves the range: its slopes are quotients by it."""
    total, chain = entries(term.args[0])
    if total.op.name != "cumprod":
        return None
    (x,) = total.args
    size, row = OPS["abs"](total), {"axis": total.param("axis"), "keepdims": True}
    lost = is_lost(OPS["min"](size, **row))
    rows = OPS["rarely"](OPS["logical_or"](lost, OPS["isinf"](OPS["max"](size, **row))))
    rare = picked(OPS["broadcast_to"](rows, shape=total.shape), chain)
    logs, signs = (
        picked(make(OPS[name], (a,), total.params, total.shape, total.dtype), chain)
        for name, a in (("cumsum", log(OPS["abs"](x))), ("cumprod", OPS["sign"](x)))
    )
    far = OPS["require"](logs, OPS["greater_equal"](signs, 0))
    near = log(OPS["where"](rare, 1.0, term.args[0]))
    return OPS["where"](rare, far, near)


def _power_of(x: Term) -> tuple[Rational, Term]:
    """The p and y of x = y**p, whose products have logs together: of y**2 those of |y|."""
    if x.op is not forms.MONOMIAL or len(x.args) != 1:
        return 1, x
    (p,), (y,) = x.params[0], x.args
    return p, OPS["abs"](y) if p.numerator % 2 == 0 and not y.facts.nonnegative else y


# -- exponentials -------------------------------------------------------------------------


@stabilize.procedure(
    "affine",
    example=lambda a, b: exp(a) - exp(b),
    source="exp(a) - exp(b) = exp(b)*expm1(a - b)",
    group="exponentials",
    among=("exp",),
)
def difference_of_exponentials(term: Term) -> Term | None:
    """exp(a) - exp(b) cancels where a is near b; the greater of the two is the factor."""
    found = opposite_pair(term, "exp")
    if found is None:
        return None
    c, (a,), (b,) = found[0], found[1].args, found[2].args
    step = simpler_difference(a, b)
    if step is not None:
        falls = exp(b) * expm1(step)
        climbs = -exp(a) * expm1(-step)
        if step.facts.nonpositive:
            result = falls
        elif step.facts.nonnegative:
            result = climbs
        else:
            result = OPS["where"](OPS["less"](step, 0.0), falls, climbs)
    elif single(a) and single(b):
        result = OPS["exp_gap"](a, b)
    else:
        return None
    return forms.with_shape(forms.scale(c, result), term.shape)


@stabilize.procedure(
    "log",
    example=lambda a, h: log(exp(a + h) - exp(a)),
    source="Maechler 2012",
    group="exponentials",
)
def log_of_difference_of_exponentials(term: Term) -> Term | None:
    """log(exp(a) - exp(b)) where a - b is simpler: b + log(expm1(a - b))."""
    (x,) = term.args
    found = opposite_pair(x, "exp")
    if found is None:
        (a, b), c = _orders(x) or (None, None), 1
        if a is None or b is None:
            return None
    else:
        c, a, b = found[0], found[1].args[0], found[2].args[0]
    result = _log_of_gap(a, b, term)
    if result is None or c == 1:
        return result
    return forms.total([(1, log(forms.const(c, term.dtype))), (1, result)], term.shape, term.dtype)


def _log_of_gap(a: Term, b: Term, term: Term) -> Term | None:
    step = simpler_difference(a, b)
    if step is None:
        return None
    return forms.with_shape(OPS["log_exp_step"](b, step), term.shape)


def _orders(x: Term) -> tuple[Term, Term] | None:
    """The a and b of exp(a) - exp(b) as ``difference_of_exponentials`` leaves it."""
    if x.op.name != "where":
        return None
    condition, falls, climbs = x.args
    step = condition.args[0] if condition.op.name == "less" else None
    c, core = forms.split(climbs)
    if step is None or c != -1 or core.op is not forms.MONOMIAL or falls.op is not core.op:
        return None
    parts, others = forms.factors(core), forms.factors(falls)
    tops = [t for t in parts if t.op.name == "exp"]
    lows = [t for t in others if t.op.name == "exp"]
    steps = [t for t in parts if t.op.name == "expm1" and t.args[0] is forms.scale(-1, step)]
    if len(parts) != 2 or len(tops) != 1 or len(lows) != 1 or len(steps) != 1:
        return None
    return tops[0].args[0], lows[0].args[0]


@stabilize.procedure(
    "logdiffexp",
    example=lambda a, h: OPS["logdiffexp"](a + h, a),
    source="Maechler 2012",
    group="exponentials",
)
def logdiffexp_of_neighbours(term: Term) -> Term | None:
    """logdiffexp(a, b) where a - b is simpler: it is taken before it is rounded."""
    a, b = term.args
    return _log_of_gap(a, b, term)


@rule(source="exp(2*x) - 1 = (exp(x) - 1)*(exp(x) + 1)", group="exponentials")
def ratio_of_expm1(x: Term) -> Pair:
    """expm1(2*x)/expm1(x) is 0/0 at 0 and inf/inf far out."""
    return expm1(2 * x) / expm1(x), 1 + exp(x)


@rule(source="exp(x)/(exp(x) - 1) = 1/(1 - exp(-x))", group="exponentials")
def exp_over_expm1(x: Term) -> Pair:
    """exp(x)/(exp(x) - 1) is inf/inf for large x."""
    return exp(x) / expm1(x), OPS["log_expm1_slope"](x)


@rule(source="tanh(x) = 2*sigmoid(2*x) - 1", group="exponentials")
def difference_of_tanh(a: Term, b: Term) -> Pair:
    """tanh(a) - tanh(b) cancels where a is near b, and in both tails."""
    return OPS["tanh"](a) - OPS["tanh"](b), 2 * OPS["sigmoid_gap"](2 * a, 2 * b)
