"""Incomplete gamma and beta functions: complements, and logs of what is near 1."""

from __future__ import annotations

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.exponential import log, log1p
from stablegrad.rules.databases import stabilize

HALF = 0.5
OTHERS = {"gammainc": "gammaincc", "gammaincc": "gammainc"}
SMALL = 2.0**-10
"""Below this 1 - x has lost what betainc feels of x."""


def _chosen(x: Term) -> bool:
    """Whether an argument is of one side of a choice, of what was taken apart before."""
    return any(t.op.name == "where" for t in (x, *x.args))


def _parts(whole: Term) -> tuple[Term, Term, Term] | None:
    """Where a function is near 1; there what it leaves of 1; and itself elsewhere."""
    name = whole.op.name
    if name != "betainc" and name not in OTHERS:
        return None
    *parameters, x = whole.args
    if _chosen(x):
        return None
    near = OPS["greater"](whole, HALF)
    if name == "betainc":
        a, b = parameters
        near = OPS["logical_and"](near, OPS["greater"](x, SMALL))
        rest = OPS["betainc"](b, a, 1.0 - OPS["where"](near, x, 1.0))
        return near, rest, OPS["betainc"](a, b, OPS["where"](near, 0.0, x))
    (a,) = parameters
    empty = 0.0 if name == "gammaincc" else float("inf")  # where the complement is 0
    rest = OPS[OTHERS[name]](a, OPS["where"](near, x, empty))
    return near, rest, whole.op.term((a, OPS["where"](near, 1.0, x)))


@stabilize.procedure(
    "log",
    example=lambda a, x: log(OPS["gammaincc"](a, x)),
    source="DLMF 8.2.5, 8.17.4",
    group="incomplete",
    among=(*OTHERS, "betainc"),
)
def log_of_incomplete_integral(term: Term) -> Term | None:
    """log(gammaincc(a, x)) and log(betainc(a, b, x)) are blind where these are near 1."""
    found = _parts(term.args[0])
    if found is None:
        return None
    near, rest, held = found
    return forms.with_shape(OPS["where"](near, log1p(-rest), log(held)), term.shape)


@stabilize.procedure(
    "log1p",
    example=lambda a, x: log1p(-OPS["gammainc"](a, x)),
    source="DLMF 8.2.5, 8.17.4",
    group="incomplete",
    among=(*OTHERS, "betainc"),
)
def log1p_of_incomplete_integral(term: Term) -> Term | None:
    """log1p(-gammainc(a, x)) is infinite where gammainc rounds to 1."""
    c, whole = forms.split(term.args[0])
    found = _parts(whole) if c == -1 else None
    if found is None:
        return None
    near, rest, held = found
    return forms.with_shape(OPS["where"](near, log(rest), log1p(-held)), term.shape)


def _complement(term: Term) -> Term | None:
    """The betainc of 1 - betainc(a, b, x)."""
    if term.op is not forms.AFFINE or term.params != (1, (-1,)):
        return None
    (whole,) = term.args
    return whole if whole.op.name == "betainc" else None


@stabilize.procedure(
    "affine",
    example=lambda a, b, x: 1 - OPS["betainc"](a, b, x),
    source="DLMF 8.17.4",
    group="incomplete",
    among=("betainc",),
)
def complement_of_incomplete_beta(term: Term) -> Term | None:
    """1 - betainc(a, b, x) cancels near x = 1: the other tail is betainc(b, a, 1 - x)."""
    whole = _complement(term)
    found = None if whole is None else _parts(whole)
    if found is None:
        return None
    near, rest, held = found
    return forms.with_shape(OPS["where"](near, rest, 1.0 - held), term.shape)


@stabilize.procedure(
    "log",
    example=lambda a, b, x: log(
        OPS["where"](x > 0.5, x, 1.0 - OPS["betainc"](a, b, OPS["where"](x > 0.5, 0.0, x)))
    ),
    source="DLMF 8.17.4",
    group="incomplete",
    among=("where",),
)
def log_of_complement_of_incomplete_beta(term: Term) -> Term | None:
    """log(1 - betainc(a, b, x)) is blind for small x, where the difference is of 1."""
    (choice,) = term.args
    if choice.op.name != "where":
        return None
    near, rest, difference = choice.args
    whole = _complement(difference)
    if whole is None or not _chosen(whole.args[2]):
        return None
    logs = log(OPS["where"](near, rest, 1.0)), log1p(-whole)
    return forms.with_shape(OPS["where"](near, *logs), term.shape)
