"""Rules of matrices: they fire on the ways people write things, keep the value, and cure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
import stablegrad.numpy as snp
from stablegrad.ir import OPS, Term, rebuild
from stablegrad.ops.derivative import gradient, pushforward
from stablegrad.ops.record import const
from stablegrad.ops.spectral import X
from stablegrad.oracle import truth
from stablegrad.program import evaluate
from stablegrad.rewrite import Procedure
from stablegrad.rules import DATABASES
from stablegrad.settings import current
from stablegrad.testing import leaf, variable

EPS = float(np.finfo(float).eps)
RNG = np.random.default_rng(20261121)
linalg = snp.linalg
B = RNG.normal(size=(3, 2))

GENERAL = RNG.normal(size=(3, 3))
DEFINITE = GENERAL @ GENERAL.T + np.eye(3)
SINGULAR = np.diag([1.0, 0.0, 0.0])
RANK_TWO = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 1.0, 5.0]])
Q, _ = np.linalg.qr(GENERAL)
REPEATED = Q @ np.diag([2.0, 2.0, 5.0]) @ Q.T
SYMMETRIC = [DEFINITE, np.eye(3), 2 * np.diag([1.0, 1.0, 3.0]), (REPEATED + REPEATED.T) / 2]
ANY = [GENERAL, np.eye(3), SINGULAR, RANK_TWO, np.diag([3.0, -3.0, 1.0])]


def exp_of(x: Any) -> Any:
    return snp.exp(-x) / (1 + x * x)


def by_diag(a: Any) -> Any:
    w, v = linalg.eigh(a)
    return v @ snp.diag(exp_of(w)) @ v.T


def by_columns(a: Any) -> Any:
    w, v = linalg.eigh(a)
    return (v * exp_of(w)) @ v.T


def by_rows(a: Any) -> Any:
    w, v = linalg.eigh(a)
    return v @ (exp_of(w)[:, None] * snp.swapaxes(v, 0, 1))


def on_a_matrix(a: Any) -> Any:
    w, v = linalg.eigh(a)
    return v @ (exp_of(w)[:, None] * (v.T @ B))


def on_a_vector(a: Any) -> Any:
    w, v = linalg.eigh(a)
    return v @ (exp_of(w) * (v.T @ B[:, 0]))


def doubled(a: Any) -> Any:
    w, v = linalg.eigh(a)
    return 2 * (v * exp_of(w)) @ v.T @ B


def by_subscripts(a: Any) -> Any:
    w, v = linalg.eigh(a)
    return snp.einsum("ij,j,kj->ik", v, exp_of(w), v)


def vector_by_subscripts(a: Any) -> Any:
    w, v = linalg.eigh(a)
    return snp.einsum("ij,kj,j,k->i", v, v, exp_of(w), B[:, 0])


def pairs_by_subscripts(a: Any) -> Any:
    w, v = linalg.eigh(a)
    return snp.einsum("ij,jk->ik", v * exp_of(w), v.T)


def whole_by_diag(a: Any) -> Any:
    u, s, vh = linalg.svd(a)
    return u @ snp.diag(s) @ vh


def whole_by_columns(a: Any) -> Any:
    u, s, vh = linalg.svd(a)
    return (u * s) @ vh


def whole_turned(a: Any) -> Any:
    u, s, vh = linalg.svd(a)
    return vh.T @ snp.diag(s) @ u.T


def meant(rest: Callable[[Term], Term]) -> Callable[[Term], Term]:
    """What a program of V f(w) V^T means."""
    body = OPS["exp"](-X) / (1 + X * X)
    return lambda a: rest(OPS["matrix_function"](a, function=body, parameters=0))


def times(b: np.ndarray) -> Callable[[Term], Term]:
    columns = [[const(x, np.float64, (1, 1)) for x in row] for row in np.atleast_2d(b.T).T]
    rows = [OPS["concatenate"](*row, axis=1) for row in columns]
    whole = OPS["concatenate"](*rows, axis=0)
    flat = OPS["reshape"](whole, shape=b.shape)
    return lambda f: OPS["matmul"](f, flat)


Program = tuple[Callable[[Any], Any], Callable[[Term], Term], list[np.ndarray], str]

PROGRAMS: dict[str, Program] = {
    "diag": (by_diag, meant(lambda f: f), SYMMETRIC, "function_of_a_matrix"),
    "columns": (by_columns, meant(lambda f: f), SYMMETRIC, "function_of_a_matrix"),
    "rows": (by_rows, meant(lambda f: f), SYMMETRIC, "function_of_a_matrix"),
    "on a matrix": (on_a_matrix, meant(times(B)), SYMMETRIC, "function_of_a_matrix"),
    "on a vector": (on_a_vector, meant(times(B[:, 0])), SYMMETRIC, "function_of_a_matrix"),
    "doubled": (doubled, meant(times(2 * B)), SYMMETRIC, "function_of_a_matrix"),
    "subscripts": (by_subscripts, meant(lambda f: f), SYMMETRIC, "function_of_a_matrix"),
    "subscripts, a vector": (
        vector_by_subscripts,
        meant(times(B[:, 0])),
        SYMMETRIC,
        "function_of_a_matrix",
    ),
    "subscripts, pairs": (
        pairs_by_subscripts,
        meant(lambda f: f),
        SYMMETRIC,
        "function_of_a_matrix",
    ),
    "eigenvalues": (
        lambda a: exp_of(linalg.eigvalsh(a)).sum(),
        meant(lambda f: OPS["sum"](OPS["diagonal"](f))),
        SYMMETRIC,
        "",
    ),
    "log of a sum": (
        lambda a: snp.log(snp.exp(linalg.eigvalsh(a)).sum()),
        lambda a: OPS["log"](
            OPS["sum"](
                OPS["diagonal"](OPS["matrix_function"](a, function=OPS["exp"](X), parameters=0))
            )
        ),
        SYMMETRIC,
        "log_sum_exp",
    ),
    "svd": (
        whole_by_diag,
        lambda a: a * 1,
        ANY,
        "function_of_a_matrix",
    ),
    "svd with columns": (
        whole_by_columns,
        lambda a: a * 1,
        ANY,
        "function_of_a_matrix",
    ),
    "svd turned": (
        whole_turned,
        lambda a: OPS["transpose"](a * 1, axes=(1, 0)),
        ANY,
        "function_of_a_matrix",
    ),
    "squares of singular values": (
        lambda a: (linalg.svdvals(a) ** 2).sum(),
        lambda a: OPS["sum"](a * a),
        ANY,
        "",
    ),
    "log of determinant": (
        lambda a: snp.log(abs(linalg.det(a))),
        OPS["logabsdet"],
        [GENERAL, DEFINITE, np.eye(3) * 1e-150],
        "log_of_determinant",
    ),
    "inverse": (
        lambda a: linalg.inv(a) @ B,
        lambda a: times(B)(OPS["inv"](a)),
        [GENERAL, DEFINITE],
        "product_with_inverse",
    ),
    "product with inverse": (
        lambda a: (linalg.inv(a).T @ B[:, 0]) @ linalg.inv(a),
        lambda a: OPS["matmul"](
            times(B[:, 0])(OPS["transpose"](OPS["inv"](a), axes=(1, 0))), OPS["inv"](a)
        ),
        [GENERAL, DEFINITE],
        "product_with_inverse",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_two_derivatives_are_the_truth_where_eigenvalues_repeat(name: str) -> None:
    program, meaning, points, rule = PROGRAMS[name]
    for point in points:
        along = RNG.normal(size=point.shape) * np.abs(point).max()
        x, t = leaf(point), leaf(along)
        with sg.no_grad():
            a = sg.tensor(point)
            y = program(a)
            fired = [f.rule.name for f in sg.explain(y).fired]
            (y,) = rebuild([y.term], {a.term: x})
        assert rule in (*fired, ""), fired
        first = pushforward(y, (x,), (t,))
        g = leaf(RNG.normal(size=y.shape))
        pulled = OPS["sum"](gradient(y, x, g) * t)
        one = const(1, np.float64)
        roots = [
            y,
            first,
            pushforward(first, (x,), (t,)),
            pulled,
            pushforward(pulled, (x,), (t,)),
            OPS["sum"](gradient(pulled, x, one) * t),
        ]
        got = evaluate(roots, current())
        name_ = variable("a", point.dtype, point.shape)
        true = [
            truth(meaning(name_), {name_: point}, order=k, direction={name_: along} if k else None)
            for k in range(3)
        ]
        assert all(k.decided.all() for k in true)
        weight = g.params[0].value
        scales = [np.abs(k.value).max() for k in true]
        scale = max(scales)
        for value, k in zip(got[:3], true, strict=True):
            assert np.abs(value - k.value).max() <= 400 * EPS * scale
        for value, k in zip(got[3:], (1, 2, 2), strict=True):
            expected = np.sum(weight * true[k].value)
            assert abs(value - expected) <= 1000 * EPS * scale * max(1, np.abs(weight).sum())


def test_every_rule_of_matrices_fires_on_its_example() -> None:
    rules = [r for d in DATABASES for r in d.rules if r.group == "matrices"]
    assert len(rules) >= 4
    for rule in rules:
        assert isinstance(rule, Procedure)
        count = rule.example.__code__.co_argcount
        given = [leaf(RNG.normal(size=(3, 3))) for _ in range(count)]
        term = rule.example(*given)
        with sg.rules(exclude=rule.name):
            before = evaluate([term], current())[0]
        after = evaluate([term], current())[0]
        np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-13)


def test_log_of_a_determinant_that_leaves_the_range() -> None:
    a = sg.tensor(np.diag([1e-200, 1e-200]), requires_grad=True)
    y = snp.log(linalg.det(a))
    assert y.item() == pytest.approx(-400 * np.log(10), rel=4 * EPS)
    (g,) = sg.autograd.grad(y, [a])
    np.testing.assert_allclose(np.diagonal(g.numpy()), 1e200, rtol=4 * EPS)
    assert np.isnan(snp.log(linalg.det(np.diag([1.0, -1.0]) * sg.tensor(1.0))).item())


def test_eigenvectors_have_no_derivative_where_eigenvalues_repeat() -> None:
    def top(a: Any) -> Any:  # the vector of a simple eigenvalue: others do not matter
        return linalg.eigh(a)[1][:, -1] @ np.ones(3)

    def low(a: Any) -> Any:
        return linalg.eigh(a)[1][:, 0] @ np.arange(3.0)

    a = sg.tensor(np.diag([1.0, 1.0, 3.0]))
    assert np.isfinite(sg.grad(top)(a).numpy()).all()
    assert np.isnan(sg.grad(low)(a).numpy()).any()


def test_kinks_of_singular_values_at_zero_have_derivative_zero() -> None:
    def nuclear(a: Any) -> Any:
        return linalg.norm(a, "nuc")

    u, _, vh = np.linalg.svd(GENERAL)
    a = np.outer(u[:, 0], vh[0]) * 3
    got = sg.grad(nuclear)(sg.tensor(a)).numpy()
    np.testing.assert_allclose(got, a / 3, atol=16 * EPS)
    np.testing.assert_array_equal(sg.grad(nuclear)(sg.tensor(np.zeros((2, 3)))).numpy(), 0)
    np.testing.assert_allclose(
        sg.grad(nuclear)(sg.tensor(np.eye(3))).numpy(), np.eye(3), rtol=1e-14
    )
