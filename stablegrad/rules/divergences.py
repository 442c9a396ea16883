"""Divergences of shares: their addends are of both signs and cancel where the shares are near."""

from __future__ import annotations

import math
from fractions import Fraction

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.forms import Rational
from stablegrad.ops.record import is_const
from stablegrad.rules.databases import stabilize
from stablegrad.rules.simpler import other_addends, parts_of
from stablegrad.rules.softmax import axes_of

Found = tuple[Term, Rational, Term, Term]
"""Shares, a factor, the logits of the shares, and other logits."""
_SOURCE = "log(sum(p*exp(-d))) of centred differences d of logits"


def _weight_and_logs(x: Term) -> Found | None:
    """What makes c*softmax(a)*(log_softmax(a) - log_softmax(b)), masked by hand or not."""
    if x.op.name == "where" and is_const(x.args[1], 0) and _is_none(x.args[0]):
        x = x.args[2]
    scale, core = forms.split(x)
    powers = forms.factors(core)
    p = next((t for t in powers if t.op.name == "softmax"), None)
    logs = next((t for t in powers if t.op is forms.AFFINE), None)
    if p is None or logs is None or len(powers) != 2 or set(powers.values()) != {1}:
        return None
    constant, coefficients = logs.params
    if constant != 0 or len(logs.args) != 2 or coefficients[0] != -coefficients[1]:
        return None
    if any(t.op.name != "log_softmax" for t in logs.args):
        return None
    for c, own, other in zip(coefficients, logs.args, logs.args[::-1], strict=True):
        if own.args == p.args and own.params == p.params:
            alike = own.params == other.params and own.shape == other.shape
            return (p, scale * c, own.args[0], other.args[0]) if alike else None
    return None


def _is_none(condition: Term) -> bool:
    """Whether a condition tells where a logarithm of a share is -inf."""
    if condition.op.name != "equal" or not is_const(condition.args[1], "-inf"):
        return False
    return condition.args[0].op.name == "log_softmax"


def _unshifted(x: Term) -> Term:
    """Logits without a shift by their greatest, which rounds them: near ones differ by less."""
    if x.op.name == "where" and is_const(x.args[2], "-inf") and x.args[0].op.name == "greater":
        z, low = x.args[0].args
        return z if is_const(low, "-inf") else x
    parts = parts_of(x) if x.op is forms.AFFINE else None
    if parts is None or len(parts) != 2:
        return x
    for y, z in (tuple(parts), tuple(parts)[::-1]):
        held = z.args[0] if z.op.name == "stop_gradient" else z
        ended = held.op.name in ("max", "min") and held.args[0] is y
        if ended and parts[y] == -parts[z] and y.shape == x.shape:
            return forms.scale(parts[y], y)
    return x


def _summed(term: Term, found: Found | None) -> Term | None:
    """A sum or mean of c times the addends of a divergence."""
    if found is None or not term.args[0].size:
        return None
    shares, c, *logits = found
    a, b = [_unshifted(x) for x in logits]
    axis = shares.param("axis")
    own, all_axes = axes_of(axis, a.ndim), axes_of(term.param("axis"), a.ndim)
    if not set(own) <= set(all_axes):
        return None
    if own == all_axes:
        whole = OPS["softmax_divergence"](a, b, axis=axis, keepdims=term.param("keepdims"))
    else:
        rows = OPS["softmax_divergence"](a, b, axis=axis, keepdims=True)
        whole = term.op.term((rows,), term.params)
    if term.op.name == "mean":
        c = Fraction(c) / math.prod(a.shape[k] for k in own)
    return forms.scale(c, whole)


@stabilize.procedure(
    "sum",
    "mean",
    example=lambda x, y: OPS["sum"](
        OPS["softmax"](x, axis=-1)
        * (OPS["log_softmax"](x, axis=-1) - OPS["log_softmax"](y, axis=-1)),
        axis=-1,
    ),
    source=_SOURCE,
    group="softmax",
    among=("softmax", "where"),
)
def divergence_of_softmaxes(term: Term) -> Term | None:
    """sum(p*(log(p) - log(q))) of near shares is the rounding of its addends."""
    return _summed(term, _weight_and_logs(term.args[0]))


@stabilize.procedure(
    "sum",
    "mean",
    example=lambda x, y: OPS["sum"](
        OPS["rel_entr"](OPS["softmax"](x, axis=-1), OPS["softmax"](y, axis=-1)), axis=-1
    ),
    source=_SOURCE,
    group="softmax",
    among=("rel_entr", "kl_div", "xlogy"),
)
def relative_entropy_of_softmaxes(term: Term) -> Term | None:
    """Relative entropies of shares, entry by entry: their sum is less than the rounding of one."""
    return _summed(term, _entropies(term.args[0]))


def _entropies(x: Term) -> Found | None:
    """What makes c*p*log(p/q), also with - p + q beside it, or with the logarithms apart."""
    c, core = forms.split(x)
    if core.op.name in ("rel_entr", "kl_div"):
        p, q = core.args
    else:
        parts = parts_of(core) if core.op is forms.AFFINE else None
        own = next(
            (t for t in parts or () if t.op.name == "xlogy" and t.args[0] is t.args[1]), None
        )
        if parts is None or own is None:
            return None
        p, d = own.args[0], parts.pop(own)
        other = next((t for t in parts if t.op.name == "xlogy" and t.args[0] is p), None)
        if other is None or parts.pop(other) != -d:
            return None
        q, c = other.args[1], c * d
        if parts not in ({}, {p: -d, q: d}):
            return None
    if p.op.name != "softmax" or q.op is not p.op or q.params != p.params or p.shape != q.shape:
        return None
    return p, c, p.args[0], q.args[0]


@stabilize.procedure(
    "sum",
    "mean",
    example=lambda x, y: OPS["sum"](
        OPS["softmax"](x, axis=-1) - OPS["softmax"](y, axis=-1), axis=-1
    ),
    source="the sum of softmax(x) is 1",
    group="softmax",
    among=("softmax",),
)
def sum_of_differences_of_shares(term: Term) -> Term | None:
    """sum(p - q) of shares is 0, and not the rounding of them."""
    x = term.args[0]
    parts = parts_of(x) if x.op is forms.AFFINE else None
    if not parts or sum(parts.values()) != 0 or not x.size:
        return None
    axis = next(iter(parts)).params
    if any(t.op.name != "softmax" or t.params != axis or t.shape != x.shape for t in parts):
        return None
    if not set(axes_of(axis[0], x.ndim)) <= set(axes_of(term.param("axis"), x.ndim)):
        return None
    sums = [(0, term.op.term((t,), term.params)) for t in parts]
    return forms.total(sums, term.shape, term.dtype)


@stabilize.procedure(
    "affine",
    example=lambda x, y: (
        OPS["sum"](OPS["softmax"](x, axis=-1) * OPS["log_softmax"](x, axis=-1), axis=-1)
        - OPS["sum"](OPS["softmax"](x, axis=-1) * OPS["log_softmax"](y, axis=-1), axis=-1)
    ),
    source=_SOURCE,
    group="softmax",
    among=("sum", "mean"),
)
def entropies_of_softmaxes(term: Term) -> Term | None:
    """Cross-entropy less entropy, each with a sum of its own, cancels where the shares are near."""
    parts = list(zip(term.params[1], term.args, strict=True))
    for c, own in parts:
        if own.op.name not in ("sum", "mean"):
            continue
        for d, other in parts:
            if d != -c or other.op is not own.op or other.params != own.params:
                continue
            x, y = own.args[0], other.args[0]
            if x.shape != y.shape:
                continue
            whole = forms.total([(1, x), (-1, y)], x.shape, own.dtype)
            joined = _summed(own, _weight_and_logs(whole))
            if joined is not None:
                rest = other_addends(term, own, other)
                return forms.total([(c, joined), *rest], term.shape, term.dtype)
    return None
