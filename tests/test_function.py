"""Functions with their own gradient, custom_gradient, and the check of gradients."""

# ruff: noqa: PLW0108 - the table of cases is read best as lambdas

from __future__ import annotations

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.errors import DTypeError, ShapeError, TraceError

snp = sg.numpy


class Sigmoid(sg.Function):
    """The layer of the MXNet thread."""

    def forward(self, x):
        y = 1 / (1 + snp.exp(-x))
        self.save_for_backward(y)
        return y

    def backward(self, dy):
        (y,) = self.saved_tensors
        return dy * y * (1 - y)


class Forgot(Sigmoid):
    def backward(self, dy):
        (y,) = self.saved_tensors
        return y * (1 - y)


def within_ulp(got, true, ulp):
    got, true = np.asarray(got), np.asarray(true)
    assert got.dtype == true.dtype
    assert np.all(np.abs(got - true) <= ulp * np.spacing(np.abs(true)))


def test_sigmoid_of_the_thread():
    x = sg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = Sigmoid()(x)
    (y * y).sum().backward()
    within_ulp(x.grad, np.array([0.28746969, 0.18495609, 0.086068235], np.float32), 1)


def test_saved_results_are_seen_through():
    x = sg.tensor([-100.0, -20.0, 0.0, 20.0, 100.0], requires_grad=True)
    Sigmoid()(x).sum().backward()
    true = [3.7835058e-44, 2.0611537e-09, 0.25, 2.0611537e-09, 3.7835058e-44]
    within_ulp(x.grad, np.array(true, np.float32), 1)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_gradients_of_a_function_can_be_differentiated(order):
    f, g = Sigmoid(), sg.special.expit
    for _ in range(order):
        f, g = sg.grad(f), sg.grad(g)
    for x in (-3.0, 0.5, 20.0):
        np.testing.assert_allclose(f(np.float64(x)).item(), g(np.float64(x)).item(), rtol=1e-13)


def test_an_instance_is_reusable_and_state_is_fresh():
    f = Sigmoid()
    x, z = (sg.tensor(v, requires_grad=True) for v in (1.0, -2.0))
    a, b = f(x), f(z)
    (a * b).backward()
    s = sg.special.expit
    np.testing.assert_allclose(x.grad.item(), (s(1.0) * s(-1.0) * s(-2.0)).item(), rtol=1e-6)
    np.testing.assert_allclose(z.grad.item(), (s(-2.0) * s(2.0) * s(1.0)).item(), rtol=1e-6)
    assert f.saved_tensors == ()


class Polar(sg.Function):
    """Two inputs, two results, and a parameter."""

    def __init__(self, scale):
        self.scale = scale

    def forward(self, r, t):
        self.save_for_backward(r, t)
        return self.scale * r * snp.cos(t), self.scale * r * snp.sin(t)

    def backward(self, dx, dy):
        r, t = self.saved_tensors
        c, s = snp.cos(t), snp.sin(t)
        return self.scale * (dx * c + dy * s), self.scale * r * (dy * c - dx * s)


def plain_polar(r, t):
    return 3 * r * snp.cos(t), 3 * r * snp.sin(t)


def test_several_inputs_and_results():
    r, t = np.array([1.0, 2.0]), np.array([0.3, -0.7])
    got = sg.jacobian(Polar(3.0), argnums=(0, 1))(r, t)
    want = sg.jacobian(plain_polar, argnums=(0, 1))(r, t)
    for row, true in zip(got, want, strict=True):
        for m, n in zip(row, true, strict=True):
            np.testing.assert_allclose(m.numpy(), n.numpy(), atol=1e-15)
    x, y = Polar(3.0)(sg.tensor(r), sg.tensor(t))
    assert isinstance(x, sg.Tensor)
    assert isinstance(y, sg.Tensor)


def test_one_result_of_two_is_used():
    r = sg.tensor(np.array(2.0), requires_grad=True)
    x, _ = Polar(3.0)(r, np.array(0.0))
    x.backward()
    assert r.grad.item() == 3


def test_forward_mode_is_derived():
    for f in (Polar(3.0), plain_polar):
        _, tangents = sg.jvp(
            f, (np.float64(2.0), np.float64(0.5)), (np.float64(1.0), np.float64(-1.0))
        )
        want = [3 * np.cos(0.5) + 6 * np.sin(0.5), 3 * np.sin(0.5) - 6 * np.cos(0.5)]
        np.testing.assert_allclose([t.item() for t in tangents], want, rtol=1e-14)


def test_forward_mode_may_be_given():
    class Odd(sg.Function):
        def forward(self, x):
            self.save_for_backward(x)
            return x * x

        def backward(self, dy):
            return dy * 2 * self.saved_tensors[0]

        def jvp(self, t):
            return 100 * t * self.saved_tensors[0]

    assert sg.jvp(Odd(), (3.0,), (1.0,))[1].item() == 300
    assert sg.grad(Odd())(3.0).item() == 6


def test_flags_pass_through():
    class Scale(sg.Function):
        def forward(self, x, name, n):
            self.n = n
            return x * n

        def backward(self, dy):
            return dy * self.n

    class ScaleWithNone(Scale):
        def backward(self, dy):
            return dy * self.n, None, None

    for f in (Scale(), ScaleWithNone()):
        assert sg.grad(lambda x, f=f: f(x, "name", 3))(2.0).item() == 3


def test_none_is_a_zero_gradient():
    class First(sg.Function):
        def forward(self, x, y):
            return x * y

        def backward(self, dy):
            return dy, None

    assert [g.item() for g in sg.grad(First(), argnums=(0, 1))(2.0, 3.0)] == [1, 0]


def test_functions_in_compiled_programs():
    f = sg.compile(lambda x: sg.grad(Sigmoid())(x))
    np.testing.assert_allclose(f(np.float64(20.0)).item(), 2.0611536139418496e-09, rtol=1e-14)


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (lambda dy: (dy, dy), ShapeError),
        (lambda dy: dy.sum(), ShapeError),
        (lambda dy: "a", DTypeError),
    ],
)
def test_wrong_results_of_backward(result, error):
    class Wrong(sg.Function):
        def forward(self, x):
            return x * 1

        def backward(self, dy):
            return result(dy)

    with pytest.raises(error, match=r"Wrong.*test_function\.py"):
        Wrong()(sg.tensor([1.0, 2.0], requires_grad=True))


def test_a_cotangent_has_no_value():
    class Looks(sg.Function):
        def forward(self, x):
            return x * 1

        def backward(self, dy):
            return dy if dy.sum() > 0 else -dy

    with pytest.raises(TraceError, match=r"test_function\.py"):
        Looks()(sg.tensor([1.0], requires_grad=True))


def test_no_tensor_given():
    with pytest.raises(DTypeError):
        Sigmoid()("a")
    with pytest.raises(NotImplementedError, match="Function"):
        sg.Function()(sg.tensor(1.0))


# -- custom_gradient ----------------------------------------------------------------------


@sg.custom_gradient
def ratio(a, b):
    """The question on StackOverflow: -a/b."""

    def slopes(upstream):
        return -upstream / b, upstream * (a / b) / b

    return -a / b, slopes


@pytest.mark.parametrize("v", [1.2e-38, 1e-25, 1.0, 1e20, 8.5e37])
def test_ratio(v):
    v = np.float32(v)
    slope = sg.grad(ratio, argnums=1)(v, v)
    within_ulp(slope, np.float32(1) / v, 1)


def test_custom_gradient_to_third_order():
    f, g = (lambda b: ratio(np.float64(3.0), b)), (lambda b: -3.0 / b)
    for _ in range(3):
        f, g = sg.grad(f), sg.grad(g)
        np.testing.assert_allclose(f(np.float64(1.7)).item(), g(np.float64(1.7)).item(), rtol=1e-14)


def test_custom_gradient_wins_over_the_ops():
    @sg.custom_gradient
    def odd(x):
        return x * x, lambda dy: 7 * dy

    assert sg.grad(odd)(3.0).item() == 7
    x = sg.tensor(3.0, requires_grad=True)
    (odd(x) + x).backward()
    assert x.grad.item() == 8


def test_clipped_gradient():
    @sg.custom_gradient
    def clip_gradient(x):
        return x, lambda dy: dy.clip(-1, 1)

    x = sg.tensor([1.0, 2.0], requires_grad=True)
    (clip_gradient(x) * np.array([0.5, 5.0], np.float32)).sum().backward()
    assert x.grad.numpy().tolist() == [0.5, 1]


def test_custom_gradient_wants_a_pair():
    with pytest.raises(DTypeError, match="grad_fn"):
        sg.custom_gradient(lambda x: x)(sg.tensor(1.0))


def test_stop_gradient():
    assert sg.grad(lambda x: x * sg.stop_gradient(x))(3.0).item() == 3
    assert sg.stop_gradient(2.0).item() == 2


# -- check_gradients ----------------------------------------------------------------------

POINTS = [-100.0, -20.0, 0.0, 1.0, 20.0, 100.0]


def test_check_accepts_a_right_gradient():
    report = sg.check_gradients(Sigmoid(), sg.tensor(POINTS))
    assert report
    assert report.ok
    assert report.worst_ulp < 4
    assert "right" in str(report)


def test_check_finds_a_forgotten_dy():
    report = sg.check_gradients(Forgot(), sg.tensor(POINTS))
    assert not report
    assert report.reasons[0] == "the gradient does not depend on dy"


def test_check_finds_what_is_not_linear():
    class Squared(Sigmoid):
        def backward(self, dy):
            (y,) = self.saved_tensors
            return dy * dy * y * (1 - y)

    report = sg.check_gradients(Squared(), sg.tensor(POINTS))
    assert "not linear" in report.reasons[0]


def test_check_finds_a_constant_added():
    class Shifted(Sigmoid):
        def backward(self, dy):
            (y,) = self.saved_tensors
            return dy * y * (1 - y) + 1

    assert not sg.check_gradients(Shifted(), sg.tensor(POINTS))


def test_check_compares_with_the_truth():
    class Wrong(Sigmoid):
        def backward(self, dy):
            (y,) = self.saved_tensors
            return dy * y * y

    report = sg.check_gradients(Wrong(), sg.tensor(POINTS))
    assert not report.ok
    worst = report.findings[0]
    assert worst.input == "0[5]"
    assert worst.value == 100
    assert worst.error_ulp > 1e6
    text = str(report)
    assert "got" in text
    assert "true" in text


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (lambda x: 6 * x**2, "is 2 times the truth"),
        (lambda x: -3 * x**2, "is -1 times the truth"),
        (lambda x: 0 * x, "is 0 everywhere: at "),
        (lambda x: 3 * x * snp.abs(x), "is one-sided, right for inputs above 0"),
        (lambda x: 3 * x**2 * (x < 1.5), "is right up to 1 and wrong from 2 on"),
        (lambda x: 3 * x**2 + (x > 1) * (x < 2.5), "is wrong only at 2"),
        (lambda x: x**2 + 1, "is wrong everywhere"),
    ],
)
def test_check_says_how_a_gradient_is_wrong(rule, told):
    @sg.custom_gradient
    def cube(x):
        return x**3, lambda dy: dy * rule(x)

    report = sg.check_gradients(cube, sg.tensor([-3.0, -0.5, 0.25, 1.0, 2.0, 3.0]))
    assert any(told in reason for reason in report.reasons), report.reasons


def test_check_under_naive_shows_what_is_lost():
    with sg.naive():
        report = sg.check_gradients(Sigmoid(), sg.tensor([20.0]))
    assert not report.ok
    assert report.findings[0].got == 0


def test_check_of_the_example_in_tensorflows_docs():
    @sg.custom_gradient
    def log1pexp(x):
        e = snp.exp(x)
        return snp.log(1 + e), lambda upstream: upstream * (1 - 1 / (1 + e))

    points = sg.tensor([-30.0, -20.0, 0.0, 89.0, 100.0])
    assert sg.check_gradients(log1pexp, points).ok
    with sg.naive():
        assert not sg.check_gradients(log1pexp, points).ok


def test_check_of_several_inputs_results_and_plain_functions():
    r, t = np.array([1.0, 2.0]), np.array([0.3, -0.7])
    assert sg.check_gradients(Polar(3.0), r, t)
    assert sg.check_gradients(plain_polar, r, t)
    assert sg.check_gradients(lambda a, b: a @ b, np.arange(1.0, 7).reshape(2, 3), np.ones((3, 2)))
    assert sg.check_gradients(lambda x, n: x**n, 2.0, 3)


def test_check_wants_something_to_differentiate_by():
    with pytest.raises(DTypeError):
        sg.check_gradients(lambda n: n, 3)


def test_methods_with_another_number_of_arguments():
    class Two(sg.Function):
        def forward(self, x):
            return x * 2, x * 3

        def backward(self, dy):
            return dy

    with pytest.raises(ShapeError, match="2 cotangents"):
        Two()(sg.tensor([1.0], requires_grad=True))
    with pytest.raises(ShapeError, match="2 inputs"):
        Two()(sg.tensor([1.0]), sg.tensor([1.0]))
