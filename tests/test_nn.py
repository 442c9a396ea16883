"""Layers, losses and initial values, against torch's definitions and the exact truth."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad import nn
from stablegrad.errors import DomainError, DTypeError, ShapeError, UnknownNameError
from stablegrad.nn import functional
from stablegrad.oracle import truth
from stablegrad.tensor import MutationError, Tensor

TAILS = [-100.0, -40.0, -20.0, -10.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 10.0, 20.0, 40.0, 85.0]


def gradient(f: Callable[[Tensor], Tensor], x: Any) -> Tensor:
    leaf = sg.tensor(x, requires_grad=True)
    f(leaf).sum().backward()
    assert leaf.grad is not None
    return leaf.grad


def worst_ulp(got: Any, true: Any) -> float:
    """The worst error in ulp of the true value, rounded to the dtype of what came."""
    got = np.asarray(got)
    right = np.asarray(true, got.dtype)
    error = np.abs(got.astype(np.float64) - np.asarray(true, np.float64))
    return float(np.max(error / np.spacing(np.abs(right)).astype(np.float64)))


# -- modules ------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self) -> None:
        self.scale = nn.Parameter([2.0])
        self.body = nn.Sequential(nn.Linear(3, 4, seed=0), nn.Tanh(), nn.Linear(4, 1, seed=1))

    def forward(self, x: Any) -> Tensor:
        return self.body(x) * self.scale


NAMES = ["scale", "body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias"]


def test_parameters_have_dotted_names_in_order() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [p.shape for p in net.parameters()] == [(1,), (4, 3), (4,), (1, 4), (1,)]
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert next(name for name, _ in net.named_parameters("net")) == "net.scale"


def test_modules_and_children() -> None:
    net = Net()
    assert [name for name, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2"]
    assert list(net.children()) == [net.body]
    assert [type(m) for m in net.body.children()] == [nn.Linear, nn.Tanh, nn.Linear]


def test_a_shared_module_counts_once_but_is_saved_under_each_name() -> None:
    layer = nn.Linear(2, 2, seed=0)
    twice = nn.Sequential(layer, nn.ReLU(), layer)
    assert len(list(twice.parameters())) == 2
    assert list(twice.state_dict()) == ["0.weight", "0.bias"]
    other = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    other.append(other[0])
    assert len(list(other.parameters())) == 2


def test_train_and_eval_reach_all_modules() -> None:
    net = Net()
    assert net.training
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())


def test_zero_grad_forgets() -> None:
    net = Net()
    net(np.ones((2, 3), np.float32)).sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_state_makes_the_same_net() -> None:
    a, b = Net(), Net()
    b.body[0].weight.assign_(b.body[0].weight * 2)
    buffer = io.BytesIO()
    np.savez(buffer, **a.state_dict())
    buffer.seek(0)
    with np.load(buffer) as file:
        b.load_state_dict(file)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(a(x).numpy(), b(x).numpy())


def test_state_does_not_change_with_later_steps() -> None:
    net = Net()
    before = net.state_dict()["scale"]
    net.scale.assign_([5.0])
    assert before == [2.0]


def test_state_that_does_not_fit_changes_nothing() -> None:
    net = Net()
    state = net.state_dict()
    with pytest.raises(UnknownNameError, match=r"without \['scale'\].*test_nn\.py"):
        net.load_state_dict({k: v for k, v in state.items() if k != "scale"})
    with pytest.raises(UnknownNameError, match=r"unknown names \['extra'\]"):
        net.load_state_dict({**state, "extra": np.ones(1)})
    with pytest.raises(ShapeError, match=r"body\.2\.bias of shape \(7,\)"):
        net.load_state_dict({**state, "scale": np.ones(1), "body.2.bias": np.ones(7)})
    np.testing.assert_array_equal(net.scale.numpy(), [2.0])
    net.load_state_dict({"scale": [7.0], "extra": [1.0]}, strict=False)
    np.testing.assert_array_equal(net.scale.numpy(), [7.0])


def test_text_of_a_net_is_torchs() -> None:
    net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Sequential(nn.Softmax(), nn.Flatten()))
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=False)\n"
        "  (1): Sequential(\n"
        "    (0): Softmax(dim=-1)\n"
        "    (1): Flatten(start_dim=1, end_dim=-1)\n"
        "  )\n"
        ")"
    )


def test_a_parameter_is_not_replaced_by_mistake() -> None:
    net = Net()
    with pytest.raises(DTypeError, match=r"scale\.assign_"):
        net.scale = net.scale * 2  # type: ignore[assignment]
    net.scale = nn.Parameter([3.0])
    assert net.scale.item() == 3


def test_a_parameter_stays_one_when_copied_and_assigned() -> None:
    net = Net()
    twin = copy.deepcopy(net)
    assert [name for name, _ in twin.named_parameters()] == NAMES
    twin.scale.assign_([9.0])
    assert net.scale.item() == 2
    assert isinstance(twin.scale, nn.Parameter)
    assert twin.scale.requires_grad
    assert repr(twin.scale).startswith("Parameter([9.]")


def test_parameters_are_floats() -> None:
    with pytest.raises(DTypeError, match="int64"):
        nn.Parameter([1, 2])
    assert nn.Parameter(np.ones(2)).dtype == np.float64


def test_requires_grad_of_a_module() -> None:
    net = Net().requires_grad_(False)
    assert not net(np.ones((1, 3), np.float32)).requires_grad


def test_a_module_without_forward_says_so() -> None:
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1.0)


# -- layers -------------------------------------------------------------------------------


def test_linear_is_torchs() -> None:
    layer = nn.Linear(3, 2, seed=0)
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    assert layer.weight.shape == (2, 3)
    assert layer.bias is not None
    expected = x @ layer.weight.numpy().T + layer.bias.numpy()
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-6)
    assert layer(x[0, 0]).shape == (2,)


def test_linear_starts_as_torch_does_and_repeats_by_seed() -> None:
    a, b = nn.Linear(100, 50, seed=3), nn.Linear(100, 50, seed=np.random.default_rng(3))
    np.testing.assert_array_equal(a.weight.numpy(), b.weight.numpy())
    assert (np.abs(a.weight.numpy()) <= 0.1).all()
    assert np.abs(a.weight.numpy()).max() > 0.099
    assert not np.array_equal(nn.Linear(5, 5).weight.numpy(), nn.Linear(5, 5).weight.numpy())


def test_dtypes_of_layers() -> None:
    assert nn.Linear(2, 2).weight.dtype == np.float32
    double = nn.Linear(2, 2, dtype=np.float64)
    assert double(np.ones((1, 2))).dtype == np.float64
    assert nn.Linear(2, 2)(np.ones((1, 2), np.float32)).dtype == np.float32


def test_linear_refuses_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"\(4, 5\) for a weight of shape \(2, 3\).*test_nn\.py"):
        nn.Linear(3, 2)(np.ones((4, 5), np.float32))
    with pytest.raises(ShapeError, match="bias of shape"):
        functional.linear(np.ones((4, 3)), np.ones((2, 3)), np.ones(3))
    with pytest.raises(DomainError, match="in_features=-1"):
        nn.Linear(-1, 2)
    with pytest.raises(DTypeError, match=r"in_features 2\.5"):
        nn.Linear(2.5, 2)  # type: ignore[arg-type]


def test_sequential_is_a_sequence() -> None:
    net = nn.Sequential({"first": nn.Linear(2, 2), "last": nn.ReLU()})
    assert len(net) == 2
    assert [name for name, _ in net.named_children()] == ["first", "last"]
    assert isinstance(net[-1], nn.ReLU)
    assert isinstance(net[:1], nn.Sequential)
    with pytest.raises(DTypeError, match="parentheses"):
        nn.Sequential(nn.Sigmoid)  # type: ignore[arg-type]


def test_flatten_and_identity() -> None:
    x = np.zeros((2, 3, 4, 5))
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0)(x).shape == (120,)
    assert nn.Flatten(1, 2)(x).shape == (2, 12, 5)
    assert nn.Identity(1, two=2)(x).shape == x.shape
    with pytest.raises(ShapeError, match="Flatten"):
        nn.Flatten(3, 1)(x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "exact", "bound"),
    [
        ("sigmoid", sg.ops.sigmoid, 4),
        ("logsigmoid", lambda x: sg.ops.log(sg.ops.sigmoid(x)), 4),
        ("softplus", lambda x: sg.ops.log(1 + sg.ops.exp(x)), 4),
        ("tanh", sg.ops.tanh, 4),
        ("silu", lambda x: x / (1 + sg.ops.exp(-x)), 64),
        ("gelu", lambda x: x * sg.ops.ndtr(x), 64),
        ("mish", lambda x: x * sg.ops.tanh(sg.ops.log(1 + sg.ops.exp(x))), 64),
        ("softsign", lambda x: x / (1 + sg.ops.abs(x)), 4),
    ],
)
def test_activations_are_right_in_both_tails(
    name: str, exact: Callable[[Any], Any], bound: float, dtype: Any
) -> None:
    points = np.array(TAILS, dtype)
    f = getattr(functional, name)
    leaf = sg.tensor(points)
    for order, got in ((0, f(leaf)), (1, gradient(f, points))):
        true = truth(exact(leaf.term), {leaf.term: points}, np.float64, order=order)
        assert got.dtype == dtype
        rounded = true.value.astype(dtype)
        normal = np.abs(rounded) >= np.finfo(dtype).tiny
        assert worst_ulp(got.numpy()[normal], true.value[normal]) <= bound, (name, order)
        small = np.abs(got.numpy() - rounded)[~normal]
        assert (small <= 2 * np.finfo(dtype).tiny).all(), (name, order)


def test_kinks_are_zero_from_the_left_in_every_spelling_of_relu() -> None:
    x = np.array([-1.0, 0.0, 2.0], np.float32)
    spellings: list[Callable[[Any], Any]] = [
        functional.relu,
        nn.ReLU(),
        lambda x: sg.ops.maximum(x, 0),
        lambda x: sg.ops.maximum(0, x),
        lambda x: sg.ops.where(x > 0, x, 0),
        lambda x: x * (x > 0),
        lambda x: sg.ops.clip(x, 0, np.inf),
        lambda x: (x + sg.ops.abs(x)) / 2 - sg.ops.where(x == 0, x / 2, 0),
    ]
    for f in spellings:
        np.testing.assert_array_equal(gradient(f, x).numpy(), [0, 0, 1])
    np.testing.assert_array_equal(
        gradient(functional.relu6, [-1.0, 0.0, 6.0, 7.0, 2.0]).numpy(), [0, 0, 0, 0, 1]
    )


def test_leaky_relu_elu_and_their_kin() -> None:
    x = np.array([-2.0, 0.0, 3.0], np.float64)
    np.testing.assert_array_equal(nn.LeakyReLU(0.1)(x).numpy(), [-0.2, 0, 3])
    np.testing.assert_array_equal(gradient(nn.LeakyReLU(0.1), x).numpy(), [0.1, 0.1, 1])
    np.testing.assert_allclose(
        functional.elu(x, 2.0).numpy(), [2 * math.expm1(-2), 0, 3], rtol=1e-15
    )
    np.testing.assert_allclose(
        functional.celu(x, 2.0).numpy(), [2 * math.expm1(-1), 0, 3], rtol=1e-15
    )
    np.testing.assert_allclose(
        functional.selu(x).numpy(),
        [1.0507009873554805 * 1.6732632423543772 * math.expm1(-2), 0, 3 * 1.0507009873554805],
        rtol=1e-15,
    )
    np.testing.assert_allclose(
        gradient(functional.elu, x).numpy(), [math.exp(-2), 1, 1], rtol=1e-15
    )
    # a tiny input, where exp(x) - 1 has no digits
    assert functional.elu(np.array([-1e-20])).numpy() == [-1e-20]


def test_elu_masks_the_branch_that_overflows() -> None:
    x = np.array([-1000.0, 1000.0])
    np.testing.assert_array_equal(gradient(functional.elu, x).numpy(), [0, 1])


def test_softplus_with_beta() -> None:
    x = np.array([-100.0, 0.0, 400.0], np.float32)
    got = nn.Softplus(beta=2.0)(x).numpy()
    assert got[1] == np.float32(math.log(2) / 2)
    assert got[2] == 400
    assert functional.gelu(1.0, "tanh").item() == pytest.approx(0.841192, abs=1e-6)
    with pytest.raises(UnknownNameError, match="approximate"):
        functional.gelu(1.0, "other")


def test_softmax_along_the_last_axis() -> None:
    x = np.array([[0.0, 1000.0, 0.0], [1.0, 1.0, 1.0]], np.float32)
    np.testing.assert_allclose(nn.Softmax()(x).numpy(), [[0, 1, 0], [1 / 3] * 3], rtol=1e-7)
    np.testing.assert_allclose(nn.Softmax(0)(x).numpy().sum(0), [1, 1, 1], rtol=1e-6)
    np.testing.assert_array_equal(nn.LogSoftmax()(x).numpy()[0], [-1000, 0, -1000])
    np.testing.assert_array_equal(functional.softmin(-x).numpy(), functional.softmax(x).numpy())


# -- losses -------------------------------------------------------------------------------

LOGITS = np.array([100.0, -100.0, 0.0], np.float32)
TARGETS = np.array([1.0, 0.0, 1.0], np.float32)


def test_bce_with_logits_has_the_documented_figures_and_the_lost_gradients() -> None:
    loss = nn.BCEWithLogitsLoss()
    assert round(loss(LOGITS, TARGETS).item(), 4) == 0.2310
    got = gradient(lambda z: loss(z, TARGETS), LOGITS).numpy()
    # true: -1.24e-44, 1.24e-44, -1/6
    assert got[0] == np.float32(-3.720076e-44 / 3)
    assert got[1] == np.float32(3.720076e-44 / 3)
    assert got[2] == np.float32(-1 / 6)
    at_30 = gradient(lambda z: loss(z, TARGETS), np.array([30.0, 0.0, 0.0], np.float32))
    assert worst_ulp(at_30.numpy()[0], -9.3576229688393e-14 / 3) <= 4


@pytest.mark.parametrize("target", [0.0, 0.25, 1.0])
def test_bce_of_a_sigmoid_is_bce_with_logits(target: float) -> None:
    z = np.array(TAILS, np.float32)
    y = np.full_like(z, target)
    kinds: list[Callable[[Any], Tensor]] = [
        lambda z: functional.binary_cross_entropy_with_logits(z, y, reduction="none"),
        lambda z: nn.BCELoss(reduction="none")(nn.Sigmoid()(z), y),
        lambda z: functional.binary_cross_entropy(1 / (1 + sg.ops.exp(-z)), y, reduction="none"),
    ]
    s = 1 / (1 + np.exp(-z.astype(np.longdouble)))
    other = 1 / (1 + np.exp(z.astype(np.longdouble)))
    value = y * np.log1p(np.exp(-z.astype(np.longdouble))) + (1 - y) * np.log1p(
        np.exp(z.astype(np.longdouble))
    )
    slope = (1 - y) * s - y * other
    for f in kinds:
        assert worst_ulp(f(z).numpy(), value.astype(np.float64)) <= 4
        assert worst_ulp(gradient(f, z).numpy(), slope.astype(np.float64)) <= 4


def test_bce_of_a_layer_and_a_sigmoid_sees_through_the_layers_sum() -> None:
    layer = nn.Linear(2, 1, seed=0)
    layer.load_state_dict({"weight": [[50.0, 50.0]], "bias": [10.0]})
    x = np.array([[1.0, 1.0], [-1.0, -1.0], [0.0, 0.0]], np.float32)  # logits 110, -90, 10
    loss = nn.BCELoss(reduction="sum")(nn.Sigmoid()(layer(x)), np.array([[0.0], [1], [1]], "f4"))
    assert loss.item() == np.float32(110 + 90 + math.log1p(math.exp(-10)))
    loss.backward()
    assert layer.bias is not None
    assert layer.bias.grad is not None
    assert worst_ulp(layer.bias.grad.numpy()[0], -1 / (1 + math.exp(10))) <= 4


def test_bce_never_clamps_and_counts_certain_truths_as_free() -> None:
    p = np.array([0.0, 1.0, 0.0, 1.0, 1e-30])
    y = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    got = functional.binary_cross_entropy(p, y, reduction="none").numpy()
    np.testing.assert_array_equal(got[:4], [0, 0, np.inf, np.inf])
    assert got[4] == pytest.approx(-math.log(1e-30), rel=1e-15)
    weighted = functional.binary_cross_entropy(
        [0.5, 0.5], [1.0, 0.0], weight=[1.0, 3.0], reduction="sum"
    )
    assert weighted.item() == np.float32(4 * math.log(2))


def test_bce_is_differentiable_by_its_target() -> None:
    p = np.array([0.25, 0.5], np.float64)
    got = gradient(
        lambda y: functional.binary_cross_entropy(p, y, reduction="none"), np.array([0.0, 1.0])
    )
    np.testing.assert_allclose(got.numpy(), [math.log(3), 0], rtol=1e-15, atol=1e-16)


def test_bce_with_logits_weighs() -> None:
    z, y = np.array([0.0, 0.0]), np.array([1.0, 0.0])
    got = nn.BCEWithLogitsLoss(weight=[1.0, 2.0], pos_weight=[3.0, 3.0], reduction="none")(z, y)
    np.testing.assert_allclose(got.numpy(), [3 * math.log(2), 2 * math.log(2)], rtol=1e-7)


def reference_cross_entropy(x: Any, y: Any, weight: Any, ignore: int) -> float:
    x = np.asarray(x, np.float64)
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    kept = [i for i, c in enumerate(y) if c != ignore]
    w = [weight[y[i]] for i in kept]
    return sum(-a * log_p[i, y[i]] for a, i in zip(w, kept, strict=True)) / sum(w)


def test_cross_entropy_is_torchs() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 3)), np.array([0, 2, 1, 1, 0, 2])
    ones = [1.0, 1.0, 1.0]
    weight = np.array([1.0, 2.0, 0.5])
    assert nn.CrossEntropyLoss()(x, y).item() == pytest.approx(
        reference_cross_entropy(x, y, ones, -100), rel=1e-14
    )
    weighted = nn.CrossEntropyLoss(weight=weight, ignore_index=1)(x, y)
    assert weighted.item() == pytest.approx(reference_cross_entropy(x, y, weight, 1), rel=1e-14)
    each = nn.CrossEntropyLoss(ignore_index=1, reduction="none")(x, y).numpy()
    np.testing.assert_array_equal(each[[2, 3]], [0, 0])
    one_hot = np.eye(3)[y]
    assert nn.CrossEntropyLoss()(x, one_hot).item() == pytest.approx(
        nn.CrossEntropyLoss()(x, y).item(), rel=1e-14
    )
    smooth = nn.CrossEntropyLoss(label_smoothing=0.3)
    assert smooth(x, y).item() == pytest.approx(smooth(x, one_hot).item(), rel=1e-14)
    assert functional.nll_loss(functional.log_softmax(x), y, weight).item() == pytest.approx(
        nn.CrossEntropyLoss(weight)(x, y).item(), rel=1e-14
    )


def test_cross_entropy_over_images_and_single_examples() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    flat = np.moveaxis(x, 1, -1).reshape(-1, 3)
    assert functional.cross_entropy(x, y).item() == pytest.approx(
        functional.cross_entropy(flat, y.ravel()).item(), rel=1e-14
    )
    assert functional.cross_entropy(x, y, reduction="none").shape == (2, 4, 5)
    assert functional.cross_entropy(flat[0], y.ravel()[0]).item() == pytest.approx(
        functional.cross_entropy(flat[:1], y.ravel()[:1]).item(), rel=1e-14
    )


def test_cross_entropy_far_out_is_right() -> None:
    x = np.array([[0.0, 200.0], [90.0, 0.0]], np.float32)
    loss = nn.CrossEntropyLoss(reduction="sum")
    assert loss(x, [0, 0]).item() == 200
    got = gradient(lambda x: loss(x, [0, 0]), x).numpy()
    # the second row is sure of the right class: -exp(-90)/(1 + exp(-90)), a subnormal
    np.testing.assert_array_equal(got[0], [-1, 1])
    np.testing.assert_allclose(got[1], [-8.194e-40, 8.194e-40], rtol=1e-3)


def test_a_class_that_is_ruled_out_costs_nothing() -> None:
    x = np.array([[0.0, -np.inf, 0.0]])
    loss = functional.cross_entropy(x, np.array([[0.5, 0.0, 0.5]]))
    assert loss.item() == pytest.approx(math.log(2), rel=1e-15)


def test_distances() -> None:
    x, y = np.array([1.0, 2.0, 5.0]), np.array([1.0, 4.0, 2.0])
    assert nn.MSELoss()(x, y).item() == 13 / 3
    assert nn.MSELoss("sum")(x, y).item() == 13
    assert nn.L1Loss(reduction="sum")(x, y).item() == 5
    np.testing.assert_array_equal(nn.L1Loss("none")(x, y).numpy(), [0, 2, 3])
    np.testing.assert_array_equal(gradient(lambda x: nn.L1Loss("sum")(x, y), x).numpy(), [0, -1, 1])
    np.testing.assert_array_equal(functional.huber_loss(x, y, "none", 2.0).numpy(), [0, 2, 4])


def test_losses_refuse_what_does_not_fit() -> None:
    column = np.ones((4, 1), np.float32)
    for loss in (nn.MSELoss(), nn.L1Loss(), nn.BCELoss(), nn.BCEWithLogitsLoss()):
        with pytest.raises(ShapeError, match=r"\(4, 1\) and a target of shape \(4,\).*test_nn\.py"):
            loss(column, np.ones(4, np.float32))
    cross_entropy = nn.CrossEntropyLoss()
    with pytest.raises(ShapeError, match=r"target of shape \(4,\) that names classes"):
        cross_entropy(np.ones((4, 3)), [0, 1])
    with pytest.raises(DomainError, match=r"the class 3.*classes from 0 to 2"):
        cross_entropy(np.ones((2, 3)), [0, 3])
    with pytest.raises(DomainError, match="the class -1"):
        cross_entropy(np.ones((2, 3)), [0, -1])
    with pytest.raises(ShapeError, match="probabilities"):
        cross_entropy(np.ones((2, 3)), np.ones((2, 2)))
    with pytest.raises(ShapeError, match="a weight of shape"):
        nn.CrossEntropyLoss(weight=[1.0, 2.0])(np.ones((2, 3)), [0, 1])
    with pytest.raises(DTypeError, match="floating"):
        cross_entropy(np.ones((2, 3), np.int64), [0, 1])
    with pytest.raises(DomainError, match="reduction='average'"):
        nn.MSELoss("average")
    with pytest.raises(DomainError, match="label_smoothing"):
        nn.CrossEntropyLoss(label_smoothing=2.0)


# -- initial values -----------------------------------------------------------------------


def test_initial_values() -> None:
    w = nn.Parameter(np.zeros((300, 200), np.float32))
    assert nn.init.ones_(w) is w
    assert w.numpy().min() == 1
    nn.init.kaiming_uniform_(w, nonlinearity="relu", generator=0)
    assert np.abs(w.numpy()).max() == pytest.approx(math.sqrt(6 / 200), rel=1e-3)
    nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu", generator=0)
    assert w.numpy().std() == pytest.approx(math.sqrt(2 / 300), rel=0.02)
    nn.init.xavier_uniform_(w, generator=0)
    assert np.abs(w.numpy()).max() == pytest.approx(math.sqrt(6 / 500), rel=1e-3)
    nn.init.xavier_normal_(w, generator=0)
    assert w.numpy().std() == pytest.approx(math.sqrt(2 / 500), rel=0.02)
    nn.init.normal_(w, 3.0, 0.5, generator=0)
    assert w.numpy().mean() == pytest.approx(3, rel=0.01)
    assert w.dtype == np.float32
    assert nn.init.zeros_(nn.init.constant_(w, 4.0)).numpy().max() == 0


def test_initial_values_refuse_what_does_not_fit() -> None:
    w = nn.Parameter(np.zeros((3, 2)))
    with pytest.raises(UnknownNameError, match="nonlinearity"):
        nn.init.kaiming_uniform_(w, nonlinearity="sine")
    with pytest.raises(UnknownNameError, match="mode"):
        nn.init.kaiming_uniform_(w, mode="fan")
    with pytest.raises(ShapeError, match="2 dimensions"):
        nn.init.xavier_uniform_(nn.Parameter([1.0]))
    with pytest.raises(DomainError, match="std"):
        nn.init.normal_(w, std=-1)
    with pytest.raises(MutationError):
        nn.init.zeros_(w * 2)


def test_the_shared_generator_repeats_by_its_seed() -> None:
    nn.init.manual_seed(5)
    a = nn.Linear(3, 3)
    nn.init.manual_seed(5)
    b = nn.Linear(3, 3)
    np.testing.assert_array_equal(a.weight.numpy(), b.weight.numpy())
