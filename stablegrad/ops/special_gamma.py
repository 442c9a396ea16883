"""The logarithm of the gamma function and its derivatives."""

from __future__ import annotations

from stablegrad.ir import OPS, Facts, Term
from stablegrad.ops import gamma_kernels as gamma
from stablegrad.ops.record import POSITIVE, REAL, elementwise


def _off_the_poles(term: Term) -> Facts:
    """Defined on the positive axis; that a negative number is no pole is never proved."""
    facts = term.args[0].facts
    return REAL._replace(defined=facts.defined and facts.positive)


def _polygamma_facts(term: Term) -> Facts:
    """Of the sign of (-1)**(n+1) for a positive argument; odd n is positive everywhere."""
    facts = term.args[0].facts
    n = term.param("n")
    defined = facts.defined and facts.positive
    if n % 2:
        return POSITIVE._replace(defined=defined)
    if n and facts.positive:
        return Facts(hi=0.0, defined=defined)
    return REAL._replace(defined=defined)


_AT_ZEROS = (
    "4 ulp; next to negative zeros, where a float may lie within 2**-53 of the zero, the "
    "error is at most 2**-97 of the terms that cancel"
)

lgamma = elementwise(
    "lgamma",
    family="special",
    kernel=gamma.lgamma,
    ball=lambda x: x.lgamma(),
    partials=lambda y, x: (OPS["digamma"](x),),
    domain=(REAL,),
    infer_facts=_off_the_poles,
    cost=5,
    lax="lgamma",
    aten="lgamma",
    source="DLMF 5.7.3, 5.11.1; the zeros at 1 and 2 are exact factors, Taylor series at others",
    doc="The logarithm of the absolute value of the gamma function.",
    example=">>> sg.ops.lgamma(sg.tensor([1.0])).numpy()\narray([0.], dtype=float32)",
)

digamma = elementwise(
    "digamma",
    family="special",
    kernel=gamma.digamma,
    ball=lambda x: x.digamma(),
    partials=lambda y, x: (OPS["polygamma"](x, n=1),),
    domain=(REAL,),
    infer_facts=_off_the_poles,
    cost=5,
    accuracy=_AT_ZEROS,
    lax="digamma",
    aten="digamma",
    source="DLMF 5.2.2, 5.5.4",
    doc="The derivative of lgamma.",
    example=">>> sg.ops.digamma(sg.tensor([1.0])).numpy()\narray([-0.5772157], dtype=float32)",
)

polygamma = elementwise(
    "polygamma",
    family="special",
    params=("n",),
    defaults=(1,),
    kernel=gamma.polygamma,
    ball=lambda x, *, n: x.polygamma(n),
    partials=lambda y, x: (OPS["polygamma"](x, n=y.param("n") + 1),),
    domain=(REAL,),
    infer_facts=_polygamma_facts,
    cost=6,
    accuracy=_AT_ZEROS,
    lax="polygamma",
    aten="polygamma",
    source="DLMF 5.15.1, 5.15.8, 5.15.6",
    doc="The n-th derivative of digamma.",
    example=">>> sg.ops.polygamma(sg.tensor([1.0])).numpy()\narray([1.644934], dtype=float32)",
)
