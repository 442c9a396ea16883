"""No false alarm: JAX's and Optax's own functions, as everybody calls them, get a clean bill."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from benchmarks.audit_functions import judged

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
jnp, nn, special, stats = jax.numpy, jax.nn, jax.scipy.special, jax.scipy.stats
losses = optax.losses

RNG = np.random.default_rng(0)
X = np.linspace(-2.5, 2.5, 11)
FAR = np.array([-800.0, -100.0, -30.0, -1.0, 0.5, 1.0, 30.0, 100.0, 800.0])
POSITIVE = np.array([0.3, 1.0, 2.5, 7.0, 40.0])
UNIT = np.array([0.05, 0.3, 0.5, 0.7, 0.95])
P, T = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
LABELS = np.array([0, 2, 1])
ONE_HOT = np.eye(4)[LABELS]
SQUARE = np.eye(3) * 3 + P[:, :3] * 0.3

ELEMENTWISE = {
    "nn": (
        """relu relu6 sigmoid softplus silu gelu elu celu selu leaky_relu hard_tanh hard_sigmoid
        hard_silu log_sigmoid soft_sign squareplus sparse_plus sparse_sigmoid softmax log_softmax
        logsumexp standardize""",
        X,
    ),
    "special": ("gammaln digamma i0 i0e i1 i1e entr exp1 factorial spence", POSITIVE),
    "special inside": ("erf erfc expit log_ndtr ndtr", X),
    "special unit": ("erfinv ndtri logit", UNIT),
    "numpy": ("tanh arctan arcsinh sinh cosh expm1 exp2 sin cos square", X),
    "numpy positive": ("log log2 log10 log1p sqrt reciprocal cbrt", POSITIVE),
}
HOMES = {"nn": nn, "special": special, "numpy": jnp}
ONCE = [
    (f"{home} {name}", getattr(HOMES[home.partition(" ")[0]], name), (x,))
    for home, (names, x) in ELEMENTWISE.items()
    for name in names.split()
]
FAR_OUT = "relu softplus silu elu celu selu hard_tanh log_sigmoid soft_sign sparse_plus sigmoid"
VALUES = [(f"far {name}", getattr(nn, name), (FAR,)) for name in FAR_OUT.split()]
VALUES += [
    ("far softmax", nn.softmax, (np.array([1000.0, 999.0, -1000.0]),)),
    ("far logsumexp", nn.logsumexp, (np.array([1000.0, 999.0, -1000.0]),)),
    ("hypot", jnp.hypot, (np.array([1e200, 3.0, 1e-200]), np.array([1e200, 4.0, 1e-200]))),
    ("log1p", jnp.log1p, (np.array([1e-300, 1e-10, 1.0, 1e300]),)),
    ("log_ndtr", special.log_ndtr, (np.array([-40.0, -10.0, 8.0, 30.0]),)),
]


def _summed(f: Callable[..., Any], *rest: Any, **named: Any) -> Callable[[Any], Any]:
    return lambda p: jnp.sum(f(p, *rest, **named))


LOSSES = {
    "squared": _summed(losses.squared_error, T),
    "l2": _summed(losses.l2_loss, T),
    "huber": _summed(losses.huber_loss, T),
    "log cosh": _summed(losses.log_cosh, T),
    "binary": _summed(losses.sigmoid_binary_cross_entropy, (T > 0) * 1.0),
    "softmax": _summed(losses.softmax_cross_entropy, ONE_HOT),
    "integer": _summed(losses.softmax_cross_entropy_with_integer_labels, LABELS),
    "poly": _summed(losses.poly_loss_cross_entropy, ONE_HOT),
    "smooth": _summed(losses.softmax_cross_entropy, losses.smooth_labels(ONE_HOT, 0.1)),
    "kl": lambda p: jnp.sum(losses.kl_divergence(nn.log_softmax(p), nn.softmax(T))),
    "kl of logs": lambda p: jnp.sum(
        losses.kl_divergence_with_log_targets(nn.log_softmax(p), nn.log_softmax(T))
    ),
    "convex kl": lambda p: jnp.sum(losses.convex_kl_divergence(nn.log_softmax(p), nn.softmax(T))),
    "cosine": _summed(losses.cosine_distance, T, epsilon=1e-8),
    "hinge": _summed(losses.hinge_loss, np.sign(T)),
    "focal": _summed(losses.sigmoid_focal_loss, (T > 0) * 1.0),
    "triplet": _summed(losses.triplet_margin_loss, T, -T),
    "ctc": lambda p: jnp.sum(
        losses.ctc_loss(p[None], np.zeros((1, 3)), np.array([[1, 2]]), np.zeros((1, 2)))
    ),
    "layer norm": lambda x: (x - x.mean()) / jnp.sqrt(x.var() + 1e-5),
    "rms norm": lambda x: x / jnp.sqrt(jnp.mean(x * x) + 1e-6),
    "attention": lambda x: nn.softmax(x @ T.T / 2.0) @ T,
    "norm": jnp.linalg.norm,
    "xlogy": lambda x: special.xlogy(nn.sigmoid(x), 0.3),
}
SQUARES = {
    "logdet": lambda a: jnp.linalg.slogdet(a)[1],
    "solve": lambda a: jnp.linalg.solve(a, np.ones(3)),
    "cholesky": lambda a: jnp.linalg.cholesky(a @ a.T + jnp.eye(3)),
    "inv": jnp.linalg.inv,
    "eigh": lambda a: jnp.linalg.eigh(a + a.T)[0],
    "expm": jax.scipy.linalg.expm,
}
DENSITIES = {
    "normal": (stats.norm.logpdf, X),
    "normal cdf": (stats.norm.logcdf, X),
    "cauchy": (stats.cauchy.logpdf, X),
    "laplace": (stats.laplace.logpdf, X),
    "logistic": (stats.logistic.logpdf, X),
    "t": (lambda x: stats.t.logpdf(x, 3.0), X),
    "gamma": (lambda x: stats.gamma.logpdf(x, 2.5), POSITIVE),
    "beta": (lambda x: stats.beta.logpdf(x, 2.5, 1.5), UNIT),
    "poisson": (lambda m: stats.poisson.logpmf(np.array([0, 1, 3, 5, 20]), m), POSITIVE),
    "bernoulli": (lambda q: stats.bernoulli.logpmf(np.array([0, 1, 1, 0, 1]), q), UNIT),
}
GRADIENTS = [*ONCE, *[(f"loss {n}", f, (P,)) for n, f in LOSSES.items()]]
GRADIENTS += [(f"matrix {n}", f, (SQUARE,)) for n, f in SQUARES.items()]
GRADIENTS += [(f"density {n}", f, (x,)) for n, (f, x) in DENSITIES.items()]
GRADIENTS += [
    ("sums of logs", jnp.logaddexp, (X, X[::-1].copy() + 0.1)),
    ("angle", jnp.arctan2, (X, X[::-1].copy() + 0.2)),
]
ALL = [(*g, 1) for g in GRADIENTS] + [(*v, 0) for v in VALUES]


def test_there_are_a_hundred_of_them() -> None:
    assert len(ALL) >= 100


@pytest.mark.parametrize(("name", "f", "args", "order"), ALL, ids=[a[0] for a in ALL])
def test_no_false_alarm(name: str, f: Any, args: tuple[Any, ...], order: int) -> None:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        audit = sg.audit(f, *args, order=order)
    assert audit.ok, audit


@pytest.mark.parametrize("home", ["numpy", "scipy.special", "jax.numpy", "jax.scipy.special"])
def test_every_audit_of_a_function_ends_in_a_verdict(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of ``benchmarks.audit_functions``: no function of a library breaks the audit."""
    monkeypatch.setenv("STABLEGRAD_SYNTHESIS", "off")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        rows = judged(home, 40 if "special" not in home else 9)
    assert len(rows) >= 5
    assert [r for r in rows if r["word"] == "crashed"] == []
