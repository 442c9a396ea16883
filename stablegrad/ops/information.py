"""Entropies and divergences."""

from __future__ import annotations

import math
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import information_kernels, intervals, pairs
from stablegrad.ops.exponential import log
from stablegrad.ops.record import NONNEGATIVE, POSITIVE, REAL, elementwise

_ABOVE_MINUS_ONE = Facts(lo=-1.0)


# -- the logarithm of a ratio --------------------------------------------------------------------


def _same_sign(x: Term, y: Term) -> Term:
    """Whether x / y is positive."""
    return OPS["greater"](OPS["sign"](x) * OPS["sign"](y), 0.0)


def _or_zero(x: Term, y: Term) -> Term:
    """Whether x / y is positive or 0, y being positive then."""
    zero = OPS["logical_and"](OPS["equal"](x, 0.0), OPS["greater"](y, 0.0))
    return OPS["logical_or"](_same_sign(x, y), zero)


def _log_ratio_partials(out: Term, x: Term, y: Term) -> tuple[Term, Term]:
    """At x = 0 there is a slope by x, but none by y."""
    by_x = OPS["require"](1 / x, _or_zero(x, y))
    return by_x, OPS["require"](-1 / y, _same_sign(x, y))


def _log_ratio_facts(term: Term) -> Facts:
    return Facts(defined=all(a.facts.defined and a.facts.positive for a in term.args))


log_ratio = elementwise(
    "log_ratio",
    family="exponential",
    kernel=information_kernels.log_ratio,
    widens=True,
    spellings=(lambda x, y: log(x / y),),
    partials=_log_ratio_partials,
    domain=(REAL, REAL),  # of one sign
    infer_facts=_log_ratio_facts,
    cost=4,
    source="log1p((x - y)/y) where x/y is near 1",
    doc="log(x / y), also where x/y is near 1 or leaves the range.",
    example=">>> sg.ops.log_ratio(sg.tensor([1.0]), 1.0).numpy()\narray([0.], dtype=float32)",
)


def _three_parts(value: Decimal) -> tuple[float, float, float]:
    hi, lo = pairs.split(value)
    return hi, lo, float(Fraction(value) - Fraction(hi) - Fraction(lo))


_E = _three_parts(Decimal(1).exp(Context(prec=70)))


def _one_plus_log_ratio(xp: Any, x: Any, y: Any) -> Any:
    """Next to its zero at x = y/e, as log1p((e x - y)/y) with the difference in pairs."""
    value = 1.0 + information_kernels.log_ratio(xp, x, y)

    def near(xp: Any, x: Any, y: Any) -> Any:
        _, shift = xp.frexp(y)
        u, v = xp.ldexp(x, -shift), xp.ldexp(y, -shift)
        product, rest = pairs.two_prod(u, _E[0])
        more, last = pairs.two_prod(u, _E[1])
        total = pairs.add(pairs.two_sum(product - v, rest), (more, last + u * _E[2]))
        return xp.log1p((total[0] + total[1]) / v)

    x, y, value = xp.broadcast_arrays(x, y, value)
    return pairs.redo(xp, xp.abs(value) < 0.4, value, near, x, y)


one_plus_log_ratio = elementwise(
    "one_plus_log_ratio",
    family="exponential",
    kernel=_one_plus_log_ratio,
    spellings=(lambda x, y: 1 + log_ratio(x, y),),
    partials=_log_ratio_partials,
    domain=(REAL, REAL),  # of one sign
    infer_facts=_log_ratio_facts,
    cost=4,
    source="log1p((e x - y)/y) next to its zero at x = y/e",
    doc="1 + log(x / y).",
    example=">>> sg.ops.one_plus_log_ratio(sg.tensor([1.0]), 1.0).numpy()\n"
    "array([1.], dtype=float32)",
)

one_plus_log = elementwise(
    "one_plus_log",
    family="exponential",
    kernel=lambda xp, x: _one_plus_log_ratio(xp, x, xp.ones((), xp.asarray(x).dtype)),
    spellings=(lambda x: 1 + log(x),),
    partials=lambda out, x: (1 / x,),
    domain=(POSITIVE,),
    infer_facts=intervals.increasing(lambda v: 1 + math.log(v), POSITIVE, REAL),
    cost=4,
    source="log1p(e x - 1) next to its zero at 1/e",
    doc="1 + log(x): the derivative of x log(x).",
    example=">>> sg.ops.one_plus_log(sg.tensor([1.0])).numpy()\narray([1.], dtype=float32)",
)

# -- entropies -----------------------------------------------------------------------------------


def _defined_with_logarithm(shift: float) -> Any:
    def facts(term: Term) -> Facts:
        x, y = (a.facts for a in term.args)
        return Facts(defined=x.defined and y.defined and y.within(Facts(lo=shift)))

    return facts


xlogy = elementwise(
    "xlogy",
    family="exponential",
    kernel=lambda xp, x, y: xp.special.xlogy(x, y),
    ball=lambda x, y: x * y.log() if y > 0 else _zero_or_product(x, y),
    partials=lambda out, x, y: (log(y), x / y),
    domain=(REAL, POSITIVE),
    infer_facts=_defined_with_logarithm(0.0),
    cost=5,
    aten="special_xlogy",
    source="definition; 0 where x is 0",
    doc="x * log(y), 0 where x is 0.",
    example=">>> sg.ops.xlogy(sg.tensor([0.0]), 0.0).numpy()\narray([0.], dtype=float32)",
)


def _zero_or_product(x: Any, y: Any) -> Any:
    """The product where y <= 0: 0 at x = 0, where it falls from inf to -inf."""
    return y * 0 - x.cbrt() if bool(x == 0) else x * y.log()


xlog1py = elementwise(
    "xlog1py",
    family="exponential",
    kernel=lambda xp, x, y: xp.special.xlog1py(x, y),
    ball=lambda x, y: x * y.log1p() if y > -1 else _zero_or_product(x, y + 1),
    partials=lambda out, x, y: (OPS["log1p"](y), x / (1 + y)),
    domain=(REAL, _ABOVE_MINUS_ONE),
    infer_facts=_defined_with_logarithm(-1.0),
    cost=5,
    aten="special_xlog1py",
    source="definition; 0 where x is 0",
    doc="x * log1p(y), 0 where x is 0.",
    example=">>> sg.ops.xlog1py(sg.tensor([0.0]), -1.0).numpy()\narray([0.], dtype=float32)",
)


def _entr_ball(x: Any) -> Any:
    if bool(x == 0):
        return x.sqrt()  # which has its value and its slopes
    if bool(x == math.inf):
        return x.chain((-x).c[0], lambda t: -(1 + t.log()))
    return -x * x.log() if x > 0 else x * 0 - math.inf


def _entr(xp: Any, x: Any) -> Any:
    return xp.where(x < 0, -xp.inf, -xp.special.xlogy(x, x) + 0.0)


entr = elementwise(
    "entr",
    family="exponential",
    kernel=_entr,
    ball=_entr_ball,
    partials=lambda out, x: (-one_plus_log(x),),
    domain=(NONNEGATIVE,),
    range=Facts(hi=0.36787944117144239, hi_open=False),
    cost=5,
    aten="special_entr",
    source="SciPy's entr",
    doc="-x * log(x), 0 at 0 and -inf below: a term of an entropy.",
    example=">>> sg.ops.entr(sg.tensor([0.5])).numpy()\narray([0.3465736], dtype=float32)",
)


def _infinite(x: Any, y: Any) -> Any:
    """The infinity outside the domain, without slopes; nan beside nan."""
    return 1 / ((x - x) + (y - y))


def _rel_entr_ball(x: Any, y: Any) -> Any:
    if x > 0 and y > 0:
        return x * (x / y).log()
    if bool(x == 0) and y >= 0:
        return x.sqrt() if bool(y == 0) else -x.sqrt()  # which have its value and its slopes
    return _infinite(x, y)


def _inside(slope: Term, *args: Term) -> Term:
    """A slope where the arguments are in the domain, nan outside, where the value is infinite."""
    for x in args:
        slope = OPS["require"](slope, OPS["greater_equal"](x, 0.0))
    return slope


rel_entr = elementwise(
    "rel_entr",
    family="exponential",
    kernel=information_kernels.rel_entr,
    widens=True,
    ball=_rel_entr_ball,
    partials=lambda out, x, y: (_inside(one_plus_log_ratio(x, y), x, y), _inside(-x / y, x, y)),
    textbook=lambda out, x, y: (1 + log(x / y), -x / y),
    domain=(NONNEGATIVE, POSITIVE),
    infer_facts=_log_ratio_facts,
    cost=5,
    source="SciPy's rel_entr",
    doc="x * log(x / y): a term of a relative entropy; 0 at x = 0.",
    example=">>> sg.ops.rel_entr(sg.tensor([1.0]), 1.0).numpy()\narray([0.], dtype=float32)",
)


def _deviance_ball(x: Any, y: Any) -> Any:
    if bool(x == 0) and y > 0:
        return y - x.sqrt()  # which has its value and its slopes
    return x * (x / y).log() - x + y


def _deviance_partials(out: Term, x: Term, y: Term) -> tuple[Term, Term]:
    return log_ratio(x, y), OPS["require"](one_minus_ratio(x, y), _or_zero(x, y))


deviance = elementwise(
    "deviance",
    family="exponential",
    kernel=information_kernels.deviance,
    widens=True,
    spellings=(
        lambda x, y: x * log_ratio(x, y) - x + y,
        lambda x, y: x * log(x / y) - x + y,
    ),
    ball=_deviance_ball,
    partials=_deviance_partials,
    textbook=lambda out, x, y: (log(x / y), 1 - x / y),
    domain=(REAL, REAL),  # of one sign, or x = 0
    infer_facts=lambda term: NONNEGATIVE if _log_ratio_facts(term).defined else Facts(),
    cost=5,
    source="Loader 2000, Fast and accurate computation of binomial probabilities",
    doc="x * log(x / y) - x + y: half a Poisson deviance; kl_div without its infinities.",
    example=">>> sg.ops.deviance(sg.tensor([1.0]), 1.0).numpy()\narray([0.], dtype=float32)",
)


def _kl_div_ball(x: Any, y: Any) -> Any:
    if x > 0 and y > 0:
        return x * (x / y).log() - x + y
    if bool(x == 0) and y >= 0:
        return y - x.sqrt()  # which has its value and its slopes
    return _infinite(x, y)


kl_div = elementwise(
    "kl_div",
    family="exponential",
    kernel=information_kernels.kl_div,
    widens=True,
    ball=_kl_div_ball,
    partials=lambda out, x, y: (
        _inside(log_ratio(x, y), x, y),
        _inside(one_minus_ratio(x, y), x, y),
    ),
    textbook=lambda out, x, y: (log(x / y), 1 - x / y),
    domain=(NONNEGATIVE, POSITIVE),
    range=NONNEGATIVE,
    infer_facts=lambda term: NONNEGATIVE._replace(defined=_log_ratio_facts(term).defined),
    cost=5,
    source="SciPy's kl_div",
    doc="x * log(x / y) - x + y: a term of the Kullback-Leibler divergence.",
    example=">>> sg.ops.kl_div(sg.tensor([1.0]), 1.0).numpy()\narray([0.], dtype=float32)",
)


def _one_minus_ratio(xp: Any, x: Any, y: Any) -> Any:
    apart = y - x
    return xp.where(xp.isinf(apart), 1 - x / y, apart / y)


one_minus_ratio = elementwise(
    "one_minus_ratio",
    family="arithmetic",
    kernel=_one_minus_ratio,
    ball=lambda x, y: 1 - x / y,
    # an op of its own, because (y - x)/y**2 - 1/y cancels where x is small
    partials=lambda out, x, y: (-1 / y, x / y / y),
    domain=(REAL, REAL),
    infer_facts=lambda term: Facts(
        defined=term.args[0].facts.defined
        and term.args[1].facts.defined
        and term.args[1].facts.nonzero
    ),
    cost=2,
    source="(y - x) / y",
    doc="1 - x / y: the derivative of kl_div by y.",
    example=">>> sg.ops.one_minus_ratio(sg.tensor([1.0]), 2.0).numpy()\n"
    "array([0.5], dtype=float32)",
)
