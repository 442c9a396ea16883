"""The gamma and beta functions themselves, over the range where they are floats."""

from __future__ import annotations

from typing import Any

from stablegrad.ir import Facts, Term
from stablegrad.ops import pair_exp, pair_trig, pairs
from stablegrad.ops.gamma_kernels import log_gamma_pairs
from stablegrad.ops.gamma_logs import polygamma_difference, stirling_rest
from stablegrad.ops.record import POSITIVE, REAL, elementwise
from stablegrad.ops.special_gamma import digamma

_ROOT_2PI = pairs.split((2 * pairs.pi()).sqrt())
_FAR = 7.0
"""From here on Stirling's formula: SciPy's function loses 5 ulp."""

_OVER = 140.0
"""From here on the power in Stirling's formula leaves the range, where its root does not."""

# -- the gamma function -------------------------------------------------------------------


def _factors(xp: Any, a: Any) -> tuple[Any, Any]:
    """Two factors of the gamma function of a > 0: a power of a, and all else."""
    near = a <= _OVER
    half = xp.power(a, xp.where(near, a - 0.5, 0.5 * a - 0.25))
    hi, lo = _ROOT_2PI
    rest = xp.exp(-a) * (hi + (lo + hi * xp.expm1(stirling_rest(xp.maximum(a, _FAR)))))
    rest = xp.where(near, rest, half * rest)
    far = a >= _FAR
    small = xp.special.gamma(xp.minimum(a, _FAR))
    return xp.where(far, half, 1.0), xp.where(far, rest, small)


def _right(xp: Any, x: Any) -> Any:
    power, rest = _factors(xp, xp.minimum(x, 180.0))
    return rest * power


def _left(xp: Any, x: Any) -> Any:
    """By reflection: -pi / (x sin(pi x) gamma(-x)); nan at the poles."""
    a = xp.minimum(-x, 190.0)
    zero = 0.0 * a
    power, rest = _factors(xp, a)
    sine, _ = pair_trig.sin_cos_pi_pair(xp, x)
    below = pairs.multiply(sine, (-a, zero))
    hi, lo = pairs.divide((-pairs.PI[0] + zero, -pairs.PI[1] + zero), below)
    return xp.where(sine[0] == 0, xp.nan, (hi + lo) / rest / power)


def _gamma(xp: Any, x: Any) -> Any:
    x = xp.asarray(x, dtype=float)
    value = xp.special.gamma(xp.where((x >= -2.0) & (x < _FAR), x, 1.0))
    value = xp.where(xp.isnan(x) | (x == -xp.inf), xp.nan, value)
    value = pairs.redo(xp, x >= _FAR, value, _right, x)
    return pairs.redo(xp, (x < -2.0) & (x > -xp.inf), value, _left, x)


def _gamma_facts(term: Term) -> Facts:
    facts = term.args[0].facts
    return POSITIVE._replace(lo=0.885, defined=facts.defined) if facts.positive else REAL


gamma = elementwise(
    "gamma",
    family="special",
    kernel=_gamma,
    ball=lambda x: x.gamma(),
    partials=lambda y, x: (y * digamma(x),),
    domain=(REAL,),
    infer_facts=_gamma_facts,
    cost=5,
    ulp=(4, 6, 8),
    accuracy="6 and 8 ulp at orders 1 and 2: products of gamma and its logarithm's derivatives, "
    "which have 4 ulp each but next to negative zeros",
    source="DLMF 5.11.3, 5.5.3",
    doc="The gamma function.",
    example=">>> sg.ops.gamma(sg.tensor([5.0])).numpy()\narray([24.], dtype=float32)",
)

# -- the beta function ---------------------------------------------------------------------

_LARGE = 1e10


def _one_large(xp: Any, p: Any, q: Any) -> Any:
    """The beta function of p far below q: gamma(p) q**-p, and the next two terms."""
    small = xp.minimum(p, 60.0)  # beyond, nothing is left
    power = pairs.multiply(pair_exp.log(xp, q), (-small, 0.0 * small))
    bend = (small - 1.0) / q
    power = pairs.add(power, (-0.5 * small * bend, 0.0 * small))
    log = pairs.add(log_gamma_pairs(xp, pairs.two_sum(small, 1.0 + 0.0 * small)), power)
    return _grown(xp, log) / small


def _grown(xp: Any, log: pairs.Pair) -> Any:
    """The exponential of a pair, cut where nothing is left."""
    low = xp.maximum(log[0], -500.0)
    hi, lo = pair_exp.exp(xp, (low, log[1]))
    return (hi + lo) * xp.exp(xp.where(log[0] < -500.0, log[0] + 500.0, 0.0))


def _beta(xp: Any, a: Any, b: Any) -> Any:
    a, b = xp.broadcast_arrays(xp.asarray(a, dtype=float), xp.asarray(b, dtype=float))
    p, q = xp.minimum(a, b), xp.maximum(a, b)
    defined = p > 0
    p, q = xp.where(defined, p, 1.0), xp.where(defined, q, 1.0)
    # gamma(p + 1)/p: the shift keeps the logarithm exact for small p
    least = xp.minimum(q, _LARGE)
    shifted = pairs.two_sum(xp.minimum(p, _LARGE), 1.0 + 0.0 * p)
    up = pairs.two_sum(least, 1.0 + 0.0 * p)
    whole = pairs.add(up, pairs.add(shifted, (-1.0 + 0.0 * p, 0.0 * p)))
    log = pairs.add(log_gamma_pairs(xp, shifted), log_gamma_pairs(xp, up))
    log = pairs.add(log, pairs.negative(log_gamma_pairs(xp, whole)))
    # (p + q) gamma(p + 1) gamma(q + 1) / (p q gamma(p + q + 1))
    value = _grown(xp, log) * (1.0 / p + 1.0 / q)
    value = pairs.redo(xp, q > _LARGE, value, _one_large, p, q)
    value = xp.where(q == xp.inf, 0.0, value)
    return xp.where(defined, value, xp.nan)


beta = elementwise(
    "beta",
    family="special",
    kernel=_beta,
    # no spelling: exp(betaln(a, b)) is |B|, which has values for negative arguments as well
    ball=lambda a, b: (a.lgamma() + b.lgamma() - (a + b).lgamma()).exp(),
    partials=lambda y, a, b: (
        -y * polygamma_difference(a, b, n=0),
        -y * polygamma_difference(b, a, n=0),
    ),
    domain=(POSITIVE, POSITIVE),
    range=POSITIVE,
    commutative=True,
    cost=7,
    ulp=None,
    accuracy="4 ulp; 8 and 12 ulp at orders 1 and 2, and more where the mixed derivative is zero",
    source="DLMF 5.12.1, the logarithm in pairs",
    doc="The beta function of a, b > 0.",
    example=">>> sg.ops.beta(sg.tensor([2.0]), 3.0).numpy()\narray([0.08333334], dtype=float32)",
)
