"""JAX programs as people write them: losses of parameters and data, with their inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import special, stats

Program = tuple[Callable[..., Any], tuple[Any, ...]]


def _normal(rng: np.random.Generator, *shape: int) -> Any:
    return jnp.asarray(rng.normal(size=shape).astype(np.float32))


def logistic_regression(rng: np.random.Generator, scale: int) -> Program:
    """Binary cross-entropy by sigmoid and log, 10,000 x 1,000."""
    x = _normal(rng, 10_000 // scale, 1_000 // scale)
    y = jnp.asarray((rng.random(x.shape[0]) < 0.5).astype(np.float32))

    def loss(w: Any) -> Any:
        p = jax.nn.sigmoid(x @ w)
        return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))

    return loss, (_normal(rng, x.shape[1]) * 0.01,)


def mlp(rng: np.random.Generator, scale: int) -> Program:
    """A perceptron of two hidden layers with cross-entropy."""
    width = 512 // scale
    x = _normal(rng, 1024 // scale, width)
    labels = jnp.asarray(rng.integers(0, 10, x.shape[0]))
    weights = [_normal(rng, width, width) * width**-0.5 for _ in range(2)]
    last = _normal(rng, width, 10) * width**-0.5

    def loss(parameters: Any) -> Any:
        h = x
        for w in parameters[0]:
            h = jax.nn.gelu(h @ w)
        logits = jax.nn.log_softmax(h @ parameters[1])
        return -jnp.mean(jnp.sum(jax.nn.one_hot(labels, 10) * logits, axis=-1))

    return loss, ((weights, last),)


def transformer(rng: np.random.Generator, scale: int) -> Program:
    """A block of causal attention and a perceptron, with layer norms."""
    length, width, heads = 256 // scale, 256 // scale, 4
    x = _normal(rng, 4, length, width)
    mask = jnp.tril(jnp.ones((length, length), bool))
    shapes = {"qkv": (width, 3 * width), "out": (width, width)}
    shapes |= {"up": (width, 4 * width), "down": (4 * width, width)}
    parameters = {k: _normal(rng, *s) * s[0] ** -0.5 for k, s in shapes.items()}

    def norm(h: Any) -> Any:
        centred = h - jnp.mean(h, axis=-1, keepdims=True)
        return centred / jnp.sqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-5)

    def loss(p: Any) -> Any:
        q, k, v = jnp.split(norm(x) @ p["qkv"], 3, axis=-1)
        q, k, v = (a.reshape(4, length, heads, -1).swapaxes(1, 2) for a in (q, k, v))
        scores = q @ k.swapaxes(-1, -2) / np.float32(np.sqrt(q.shape[-1]))
        weights = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf))
        h = x + (weights @ v).swapaxes(1, 2).reshape(x.shape) @ p["out"]
        h = h + jax.nn.silu(norm(h) @ p["up"]) @ p["down"]
        return jnp.mean(h**2)

    return loss, (parameters,)


def gaussian_mixture(rng: np.random.Generator, scale: int) -> Program:
    """The log likelihood of a mixture of 16 Gaussians with diagonal scales."""
    x = _normal(rng, 20_000 // scale, 1, 8)

    def loss(p: Any) -> Any:
        means, log_scales, logits = p
        z = (x - means) / jnp.exp(log_scales)
        log_density = jnp.sum(-0.5 * z**2 - log_scales - 0.9189385, axis=-1)
        joint = log_density + jax.nn.log_softmax(logits)
        return -jnp.mean(special.logsumexp(joint, axis=-1))

    return loss, ((_normal(rng, 16, 8), _normal(rng, 16, 8) * 0.1, _normal(rng, 16)),)


def truncated_normal(rng: np.random.Generator, scale: int) -> Program:
    """Regression on a response that is cut off at zero."""
    x = _normal(rng, 100_000 // scale, 20)
    y = jnp.abs(_normal(rng, x.shape[0]))

    def loss(p: Any) -> Any:
        w, log_sigma = p
        sigma = jnp.exp(log_sigma)
        mean = x @ w
        z = (y - mean) / sigma
        return jnp.mean(0.5 * z**2 + log_sigma + stats.norm.logcdf(mean / sigma))

    return loss, ((_normal(rng, 20) * 0.1, jnp.float32(0.1)),)


def recurrent(rng: np.random.Generator, scale: int) -> Program:
    """A gated recurrent net in lax.scan."""
    width, steps = 128 // scale, 64
    xs = _normal(rng, steps, 32, width)
    parameters = {k: _normal(rng, 2 * width, width) * width**-0.5 for k in ("gate", "new")}

    def loss(p: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            both = jnp.concatenate([h, x], axis=-1)
            gate = jax.nn.sigmoid(both @ p["gate"])
            h = gate * h + (1 - gate) * jnp.tanh(both @ p["new"])
            return h, jnp.mean(h**2)

        return jnp.mean(lax.scan(step, jnp.zeros((32, width)), xs)[1])

    return loss, (parameters,)


def gaussian_process(rng: np.random.Generator, scale: int) -> Program:
    """The marginal likelihood of a Gaussian process with a squared exponential kernel."""
    x = _normal(rng, 500 // scale, 4)
    y = _normal(rng, x.shape[0])

    def loss(p: Any) -> Any:
        z = x / jnp.exp(p["length"])
        square = jnp.sum((z[:, None] - z[None]) ** 2, axis=-1)
        kernel = jnp.exp(2 * p["signal"] - 0.5 * square)
        kernel = kernel + jnp.exp(2 * p["noise"]) * jnp.eye(x.shape[0])
        root = jnp.linalg.cholesky(kernel)
        solved = jax.scipy.linalg.solve_triangular(root, y, lower=True)
        return 0.5 * jnp.sum(solved**2) + jnp.sum(jnp.log(jnp.diagonal(root)))

    start = {"length": jnp.zeros(4), "signal": jnp.float32(0.0), "noise": jnp.float32(-1.0)}
    return loss, (start,)


def chain(rng: np.random.Generator, scale: int) -> Program:
    """Elementwise functions one after the other, on 4 million floats."""
    x = _normal(rng, 4_000_000 // scale)

    def loss(v: Any) -> Any:
        h = jnp.tanh(v) * jax.nn.sigmoid(v)
        h = jnp.log(1 + jnp.exp(h)) + jnp.sqrt(1 + h * h)
        return jnp.sum(jnp.exp(-h) * jnp.sin(v))

    return loss, (x,)


PROGRAMS: dict[str, Callable[[np.random.Generator, int], Program]] = {
    "logistic regression": logistic_regression,
    "MLP cross-entropy": mlp,
    "transformer block": transformer,
    "Gaussian mixture": gaussian_mixture,
    "truncated normal": truncated_normal,
    "RNN in scan": recurrent,
    "GP likelihood": gaussian_process,
    "chain of 4M floats": chain,
}


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "exp(x)": jnp.exp,
    "log(|x|)": lambda x: jnp.log(jnp.abs(x)),
    "tanh(x)": jnp.tanh,
    "sigmoid(x)": jax.nn.sigmoid,
    "log(1 - sigmoid(x))": lambda x: jnp.log(1 - jax.nn.sigmoid(x)),
    "softplus(x)": jax.nn.softplus,
    "silu(x)": jax.nn.silu,
    "gelu(x)": jax.nn.gelu,
    "gelu(x), exact": lambda x: jax.nn.gelu(x, approximate=False),
    "log_ndtr(x)": special.log_ndtr,
    "erf(x)": lax.erf,
    "expm1(x)": jnp.expm1,
    "sqrt(1 + x*x)": lambda x: jnp.sqrt(1 + x * x),
    "exp(-x*x/2)": lambda x: jnp.exp(-x * x / 2),
    "sin(x)/x": lambda x: jnp.sin(x) / x,
    "arctan(x)": jnp.arctan,
    "softmax of rows": lambda x: jax.nn.softmax(x.reshape(-1, 100)),
    "logsumexp of rows": lambda x: special.logsumexp(x.reshape(-1, 100), axis=-1),
    "norm of rows": lambda x: jnp.linalg.norm(x.reshape(-1, 100), axis=-1),
    "std of rows": lambda x: jnp.std(x.reshape(-1, 100), axis=-1),
}
"""Single functions of a million floats."""


def summed(f: Callable[[Any], Any], rng: np.random.Generator, scale: int) -> Program:
    """A weighted sum of the results of a function, so that no gradient is trivial."""
    x = _normal(rng, 100 * (10_000 // scale))
    weights = _normal(rng, *jax.eval_shape(f, x).shape)
    return (lambda v: jnp.sum(weights * f(v))), (x,)


def long_chain(length: int) -> Callable[[Any], Any]:
    """A chain of so many elementwise ops."""

    def f(x: Any) -> Any:
        for i in range(length // 4):
            x = jnp.tanh(x) + (0.1 + 0.01 * (i % 7)) * jnp.sin(x)
        return jnp.sum(x)

    return f
