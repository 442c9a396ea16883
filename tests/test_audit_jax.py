"""JAX functions as targets of an audit: read at values, with the lines of their source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import stablegrad as sg
from stablegrad.audit.check import run_check
from stablegrad.cli import main
from stablegrad.errors import DTypeError

jax = pytest.importorskip("jax")
jnp = jax.numpy

X = np.array([1.0, 20.0, 50.0], np.float32)


def wide(xp: Any, a: Any) -> Any:
    q, r = xp.linalg.qr(a)
    return xp.sum(q**3) + xp.sum(r * r)


def tall(xp: Any, a: Any) -> Any:
    q, r = xp.linalg.qr(a.T, mode="complete")
    return xp.sum((q[:, 3:] @ q[:, 3:].T) ** 3) + xp.sum(r * r)


def full(xp: Any, a: Any) -> Any:
    u, s, vh = xp.linalg.svd(a)
    return xp.sum((vh[3:].T @ vh[3:]) ** 3) + xp.sum(s * s) + xp.sum((u * s) @ vh[:3])


def log_miss(x: Any) -> Any:
    s = jax.nn.sigmoid(x)
    return jnp.log(1 - s)


@jax.custom_jvp
def cured(x: Any) -> Any:
    return jnp.log1p(jnp.exp(x))


@cured.defjvp
def cured_jvp(primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    return cured(x), t * jnp.exp(-jax.nn.softplus(-x))


@jax.custom_vjp
def naive_rule(x: Any) -> Any:
    return jnp.exp(x)


naive_rule.defvjp(lambda x: (naive_rule(x), x), lambda x, g: (g * jnp.exp(x),))


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.vmap])
def test_the_line_and_cause_are_those_of_the_source(wrap: Callable[..., Any]) -> None:
    found = sg.audit(wrap(log_miss), X)
    assert not found.ok
    assert found.cured
    assert found.first is not None
    assert (found.first.op, found.first.cause) == ("subtract", "cancellation")
    assert found.first.source == "return jnp.log(1 - s)"
    same = sg.audit(lambda x: np.log(1 - sg.special.expit(x)), X)
    assert [f.op for f in same.findings] == [f.op for f in found.findings]
    assert [t.naive for t in same.totals] == [t.naive for t in found.totals]


def test_jax_arrays_containers_and_domains() -> None:
    params = {"w": jnp.ones((3, 2)), "b": np.zeros(2, np.float32)}

    def loss(params: Any, x: Any) -> Any:
        return jnp.mean(jax.nn.logsumexp(x @ params["w"] + params["b"], axis=-1))

    found = sg.audit(loss, params, np.ones((4, 3), np.float32))
    assert found.ok
    assert [t.name for t in found.totals] == [
        *("value", "gradient by params['b']", "gradient by params['w']", "gradient by x")
    ]
    hunted = sg.audit(log_miss, domain="x=-30:30", points=40)
    assert hunted.examples[0].inputs["x"] <= 10


def swing(x: Any) -> Any:
    def step(carry: Any, a: Any) -> Any:
        return carry * 0.5 + a, jnp.exp(carry)

    last, ys = jax.lax.scan(step, 0.0, x, reverse=True)
    count, kept = jax.lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] / 2), (0, last))
    more = jax.lax.cond(x[0] > 0, lambda v: v * 2, jnp.log, x)
    return kept + ys.sum() + more.sum() + count


MOVED = {
    "sort": lambda x: jnp.sort(x)[1] * 3,
    "argmax": lambda x: x[jnp.argmax(x)],
    "take": lambda x: jnp.take(x, jnp.array([0, 2, 0])) * x,
    "set": lambda x: x.at[1].set(2.0) * x,
    "add": lambda x: x.at[1].add(2.0 * x[0]) * x,
    "roll": lambda x: jnp.roll(x, 1) * x,
    "solve": lambda x: jnp.linalg.solve(jnp.diag(x), x * x),
    "slogdet": lambda x: jnp.linalg.slogdet(jnp.diag(x))[1],
    "batched": lambda x: jnp.einsum("i,ij->j", x, jnp.ones((3, 2))),
    "random": lambda x: jax.random.normal(jax.random.key(0), (3,)) * x,
    "inner gradient": jax.grad(lambda y: jnp.sum(y**3)),
    "control flow": swing,
}


W = np.random.default_rng(1).normal(size=(2, 1, 2, 2)).astype(np.float32)
KEPT = (("NCHW", "OIHW", "NHWC"), {"window_strides": (2, 1), "padding": ((1, 2), (-1, 3))})
MATRICES = {
    "eigh": lambda a: jnp.sum(jnp.linalg.eigh(a @ a.T)[1] ** 3),
    "svd": lambda a: jnp.sum(jnp.linalg.svd(a, full_matrices=False)[2] ** 3),
    "svdvals": lambda a: jnp.linalg.norm(a, 2),
    "qr": lambda a: jnp.sum(jnp.linalg.qr(a.T)[0] ** 3) + jnp.linalg.qr(a.T)[1].sum(),
    "cholesky": lambda a: jax.scipy.linalg.cholesky(a @ a.T + jnp.eye(3), lower=True),
    "lstsq": lambda a: jnp.sum(jnp.linalg.lstsq(a.T, jnp.ones(4))[0]),
    "convolve": lambda a: jnp.convolve(a[0], a[1]),
    "conv": lambda a: jax.lax.conv(a[None, None], W, (1, 1), "SAME") ** 2,
    "dilated conv": lambda a: jax.lax.conv_general_dilated(
        a[None, None], W, dimension_numbers=KEPT[0], lhs_dilation=(2, 1), **KEPT[1]
    ),
    "grouped conv": lambda a: jax.lax.conv_general_dilated(
        a[None, :2], W[:, :, 0], (1,), "SAME", feature_group_count=2
    ),
    "max pool": lambda a: jax.lax.reduce_window(a, -jnp.inf, jax.lax.max, (2, 2), (1, 2), "SAME"),
    "mean pool": lambda a: jax.lax.reduce_window(a, 0.0, jax.lax.add, (2, 2), (1, 2), "SAME"),
    "loops that end apart": jax.vmap(
        jax.vmap(lambda x: jax.lax.while_loop(lambda v: jnp.abs(v) < 9, lambda v: v * 2.5, x))
    ),
}


@pytest.mark.parametrize("f", [wide, tall, full])
def test_decompositions_that_jax_has_no_derivatives_of(f: Callable[..., Any]) -> None:
    a = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    found, other = (sg.audit(lambda x, xp=xp: f(xp, x), a) for xp in (jnp, np))
    assert found.ok, found
    assert found.cure is not None
    assert other.cure is not None
    for (mine, decided), (like, _) in zip(found.cure.truth, other.cure.truth, strict=True):
        assert decided.all()
        np.testing.assert_allclose(mine, like, rtol=1e-5, atol=1e-5)


def test_pivoted_qr() -> None:
    a = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)

    def f(x: Any) -> Any:
        q, r, _ = jax.scipy.linalg.qr(x, pivoting=True, mode="economic")
        return jnp.sum(q**3) + jnp.sum(r**3)

    found = sg.audit(f, a)
    assert found.ok, found
    assert found.cure is not None
    assert found.cure.truth[0][0] == pytest.approx(float(f(a)), rel=1e-5)


def test_a_derivative_of_its_own_inside_another() -> None:
    assert sg.audit(jax.scipy.special.expi, np.array([0.3, 1.0, 2.5], np.float32)).ok


@pytest.mark.parametrize("name", [*MOVED, *MATRICES])
def test_what_is_read_is_what_jax_computes(name: str) -> None:
    f, x = MOVED.get(name), np.array([0.5, 2.0, 3.0], np.float32)
    if f is None:
        f, x = MATRICES[name], np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    found = sg.audit(f, x)
    assert found.ok, found
    assert found.cure is not None
    (value, _), (gradient, decided) = found.cure.truth
    assert decided.all()
    assert np.allclose(value, f(jnp.asarray(x)), rtol=2e-6, atol=1e-6)
    total = jax.jacfwd(lambda x: f(x).sum())(jnp.asarray(x))
    assert np.allclose(gradient, total, rtol=2e-5, atol=1e-5)


def test_a_rule_that_somebody_wrote_is_judged_instead_of_the_textbook() -> None:
    x = np.array([-90.0, -30.0, 0.5, 20.0], np.float32)
    found = sg.audit(lambda x: cured(x) * 1.0, x)
    assert found.totals[1].naive.bad == 0, found

    @jax.custom_jvp
    def wrong(x: Any) -> Any:
        return jnp.sin(x)

    assert sg.audit(naive_rule, x).ok
    wrong.defjvp(lambda primals, tangents: (wrong(*primals), tangents[0] * jnp.sin(primals[0])))
    assert sg.audit(wrong, x).totals[1].naive.off >= 3


def test_what_cannot_be_read_is_named_with_its_line() -> None:
    def drawn(x: Any) -> Any:
        return jax.random.gamma(jax.random.key(0), x)

    with pytest.raises(DTypeError, match=r"primitive random_gamma .*test_audit_jax.py:\d+"):
        sg.audit(drawn, X)
    with pytest.raises(DTypeError, match=r"complex numbers from .*test_audit_jax.py:\d+"):
        sg.audit(lambda x: jnp.abs(jnp.fft.fft(x)), X)
    assert sg.audit(jnp.tanh, X).findings[0].place == "tanh"  # no line of anybody's
    with pytest.raises(DTypeError, match="2 results from"):
        sg.audit(lambda x: (jnp.exp(x), x), X)
    with pytest.raises(DTypeError, match="dtype int32"):
        sg.audit(jnp.argmax, X)
    with pytest.raises(DTypeError, match="does not depend"):
        sg.audit(lambda x: jnp.exp(jnp.ones(3)), X)


def test_an_error_of_the_function_is_its_own() -> None:
    def broken(x: Any) -> Any:
        jnp.ones(3)
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        sg.audit(broken, X)


def test_float64_is_what_jax_takes_it_for() -> None:
    found = sg.audit(jnp.tanh, np.array([0.5]))
    assert any("float32, as JAX does" in note for note in found.notes)
    assert found.cure is not None
    assert found.cure.truth[0][0].dtype == np.float32


# -- rules that people wrote ----------------------------------------------------------------


def vjp_of(f: Callable[..., Any], backward: Callable[..., Any]) -> Any:
    rule = jax.custom_vjp(f)
    rule.defvjp(lambda *xs: (f(*xs), xs), lambda xs, dy: backward(dy, *xs))
    return rule


def jvp_of(f: Callable[..., Any], push: Callable[..., Any]) -> Any:
    rule = jax.custom_jvp(f)
    rule.defjvp(lambda primals, tangents: (rule(*primals), push(*primals, *tangents)))
    return rule


P = np.array([-3.0, -0.5, 0.25, 1.0, 2.0, 3.0], np.float32)
RULES = {
    "right vjp": (vjp_of(jnp.sin, lambda dy, x: (dy * jnp.cos(x),)), ""),
    "right jvp": (jvp_of(jnp.sin, lambda x, t: t * jnp.cos(x)), ""),
    "seed": (vjp_of(jnp.sin, lambda dy, x: (jnp.cos(x),)), "does not depend on dy"),
    "tangent": (jvp_of(jnp.square, lambda x, t: 2 * x), "not depend on the tangent"),
    "multiple": (vjp_of(jnp.square, lambda dy, x: (dy * x,)), "input x is 0.5 times the truth"),
    "side": (jvp_of(lambda x: jnp.abs(x) ** 3, lambda x, t: t * 3 * x * x), "is one-sided"),
    "unstable": (
        vjp_of(lambda x: jnp.log1p(jnp.exp(x)), lambda dy, x: (dy * (1 - 1 / (1 + jnp.exp(x))),)),
        "right from",
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_checked_and_its_fault_named(name: str) -> None:
    rule, told = RULES[name]
    points = np.concatenate([P, np.float32([-12.0, -9.0])])
    report = run_check(rule, points)
    assert report.ok == (not told), report
    assert not told or any(told in reason for reason in report.reasons), report.reasons


def test_a_rule_with_several_inputs() -> None:
    product = vjp_of(lambda x, y: x * y, lambda dy, x, y: (dy * y, None))
    report = run_check(product, P, P + 1)
    assert next(f.input for f in report.findings).startswith("y[")
    assert "the gradient by input y is 0 everywhere" in report.reasons[1]
    with pytest.raises(DTypeError, match="no floating-point input"):
        run_check(product, 1, 2)


def test_rules_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = (
        "import jax, jax.numpy as jnp\n@jax.custom_vjp\ndef f(x):\n    return jnp.sin(x)\n"
        "f.defvjp(lambda x: (f(x), x), lambda x, dy: (dy * RULE,))\n"
        "def g(x):\n    return jnp.log(1 - jax.nn.sigmoid(x))\n"
    )
    for rule, status in (("jnp.cos(x)", 0), ("jnp.sin(x)", 1)):
        Path(f"m{status}.py").write_text(source.replace("RULE", rule))
        done = CliRunner().invoke(main, ["check", f"m{status}.py:f", "--domain", "x=-3:3"])
        assert done.exit_code == status, done.output
    done = CliRunner().invoke(main, ["audit", "m0.py:g", "--domain", "x=0:60", "--points", "20"])
    assert done.exit_code == 1
    assert "m0.py:7" in done.output


def test_an_error_inside_jax_has_the_users_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.py").write_text("import jax.numpy as jnp\ndef f(x, y):\n    return jnp.dot(x, y)\n")
    np.savez("in.npz", x=np.ones((2, 3), np.float32), y=np.ones((2, 3), np.float32))
    done = CliRunner().invoke(main, ["audit", "m.py:f", "--inputs", "in.npz"])
    assert done.exit_code == 2
    assert "m.py:3: in f: TypeError: dot_general requires" in done.output
