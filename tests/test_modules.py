"""Layers as modules, their state and files; optimizers and schedules beyond the first two."""

from __future__ import annotations

import inspect
import math
import os
import stat
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import stablegrad as sg
from stablegrad import nn, optim
from stablegrad.errors import (
    DomainError,
    DTypeError,
    OutOfRangeError,
    ShapeError,
    TraceError,
    UnknownNameError,
)
from stablegrad.optim import lr_scheduler as schedules

F = nn.functional
X = np.random.default_rng(20261121).normal(size=(2, 4, 6, 6)).astype(np.float32)

LAYERS: dict[str, tuple[Any, Any, Any]] = {
    "CELU": (nn.CELU(0.5), X, lambda: F.celu(X, 0.5)),
    "ELU": (nn.ELU(0.5), X, lambda: F.elu(X, 0.5)),
    "GELU": (nn.GELU("tanh"), X, lambda: F.gelu(X, "tanh")),
    "GLU": (nn.GLU(1), X, lambda: F.glu(X, 1)),
    "Hardshrink": (nn.Hardshrink(), X, lambda: F.hardshrink(X)),
    "Hardsigmoid": (nn.Hardsigmoid(), X, lambda: F.hardsigmoid(X)),
    "Hardswish": (nn.Hardswish(), X, lambda: F.hardswish(X)),
    "Hardtanh": (nn.Hardtanh(-0.5, 0.5), X, lambda: F.hardtanh(X, -0.5, 0.5)),
    "LeakyReLU": (nn.LeakyReLU(0.2), X, lambda: F.leaky_relu(X, 0.2)),
    "LogSigmoid": (nn.LogSigmoid(), X, lambda: F.logsigmoid(X)),
    "LogSoftmax": (nn.LogSoftmax(1), X, lambda: F.log_softmax(X, 1)),
    "Mish": (nn.Mish(), X, lambda: F.mish(X)),
    "PReLU": (nn.PReLU(4), X, lambda: F.prelu(X, np.full(4, 0.25, np.float32))),
    "ReLU6": (nn.ReLU6(), X, lambda: F.relu6(X)),
    "SELU": (nn.SELU(), X, lambda: F.selu(X)),
    "SiLU": (nn.SiLU(), X, lambda: F.silu(X)),
    "Softmin": (nn.Softmin(1), X, lambda: F.softmin(X, 1)),
    "Softshrink": (nn.Softshrink(0.25), X, lambda: F.softshrink(X, 0.25)),
    "Softsign": (nn.Softsign(), X, lambda: F.softsign(X)),
    "Tanhshrink": (nn.Tanhshrink(), X, lambda: F.tanhshrink(X)),
    "Threshold": (nn.Threshold(0.1, 20.0), X, lambda: F.threshold(X, 0.1, 20.0)),
    "MaxPool1d": (nn.MaxPool1d(2), X[0], lambda: F.max_pool1d(X[0], 2)),
    "MaxPool2d": (nn.MaxPool2d(2, 1, 1), X, lambda: F.max_pool2d(X, 2, 1, 1)),
    "AvgPool1d": (nn.AvgPool1d(3), X[0], lambda: F.avg_pool1d(X[0], 3)),
    "AvgPool2d": (nn.AvgPool2d(2, 1, 1), X, lambda: F.avg_pool2d(X, 2, 1, 1)),
    "AdaptiveAvgPool1d": (nn.AdaptiveAvgPool1d(4), X[0], lambda: F.adaptive_avg_pool1d(X[0], 4)),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d(3), X, lambda: F.adaptive_avg_pool2d(X, 3)),
    "AdaptiveMaxPool1d": (nn.AdaptiveMaxPool1d(4), X[0], lambda: F.adaptive_max_pool1d(X[0], 4)),
    "AdaptiveMaxPool2d": (nn.AdaptiveMaxPool2d(3), X, lambda: F.adaptive_max_pool2d(X, 3)),
    "LayerNorm": (nn.LayerNorm((6, 6)), X, lambda: F.layer_norm(X, (6, 6))),
    "RMSNorm": (nn.RMSNorm(6), X, lambda: F.rms_norm(X, 6)),
    "GroupNorm": (nn.GroupNorm(2, 4), X, lambda: F.group_norm(X, 2)),
    "InstanceNorm2d": (nn.InstanceNorm2d(4), X, lambda: F.instance_norm(X)),
    "Unflatten": (nn.Unflatten(1, (2, 2)), X, lambda: sg.tensor(X).reshape(2, 2, 2, 6, 6)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_their_functions(name: str) -> None:
    layer, x, function = LAYERS[name]
    np.testing.assert_array_equal(layer(x).numpy(), function().numpy())
    assert repr(layer).startswith(f"{name}(")


LOSSES: dict[str, tuple[Any, str, int]] = {
    "HuberLoss": (nn.HuberLoss(delta=0.5), "huber_loss", 2),
    "SmoothL1Loss": (nn.SmoothL1Loss("sum", 0.5), "smooth_l1_loss", 2),
    "KLDivLoss": (nn.KLDivLoss("batchmean", log_target=True), "kl_div", 2),
    "PoissonNLLLoss": (nn.PoissonNLLLoss(reduction="none"), "poisson_nll_loss", 2),
    "SoftMarginLoss": (nn.SoftMarginLoss(), "soft_margin_loss", 2),
    "HingeEmbeddingLoss": (nn.HingeEmbeddingLoss(0.5), "hinge_embedding_loss", 2),
    "CosineEmbeddingLoss": (nn.CosineEmbeddingLoss(), "cosine_embedding_loss", 3),
    "MarginRankingLoss": (nn.MarginRankingLoss(0.5), "margin_ranking_loss", 3),
    "TripletMarginLoss": (nn.TripletMarginLoss(swap=True), "triplet_margin_loss", 3),
    "GaussianNLLLoss": (nn.GaussianNLLLoss(full=True), "gaussian_nll_loss", 3),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_their_functions(name: str) -> None:
    loss, function, count = LOSSES[name]
    inputs = [X[0, i] for i in range(count)]
    if name == "CosineEmbeddingLoss":
        inputs[-1] = np.ones(6, np.float32)
    settings = {n: getattr(loss, n) for n in loss._names if n != "reduction"}
    expected = getattr(F, function)(*inputs, reduction=loss.reduction, **settings)
    np.testing.assert_array_equal(loss(*inputs).numpy(), expected.numpy())
    assert name in repr(loss)
    with pytest.raises(DomainError):
        type(loss)(reduction="most")


def test_every_module_has_a_docstring_and_a_text() -> None:
    for name in nn.__all__:
        thing = getattr(nn, name)
        if inspect.isclass(thing) and issubclass(thing, nn.Module):
            assert thing.__doc__, name


# -- layers with parameters ---------------------------------------------------------------


def test_convolutions_draw_as_torch_does() -> None:
    layer = nn.Conv2d(4, 8, (3, 2), stride=2, groups=2, seed=0)
    assert layer.weight.shape == (8, 2, 3, 2)
    assert np.abs(layer.weight.numpy()).max() <= 1 / math.sqrt(12)
    assert layer(X).shape == (2, 8, 2, 3)
    again = nn.Conv2d(4, 8, (3, 2), stride=2, groups=2, seed=0)
    np.testing.assert_array_equal(layer(X).numpy(), again(X).numpy())
    assert repr(nn.Conv1d(2, 2, 3, bias=False)) == "Conv1d(2, 2, kernel_size=(3,), bias=False)"
    back = nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1, seed=1)
    assert back(X).shape == (2, 2, 14, 14)
    assert nn.ConvTranspose1d(6, 2, 3)(X[0]).shape == (4, 2, 8)
    assert nn.Conv3d(2, 3, 2)(X[None]).shape == (1, 3, 3, 5, 5)
    with pytest.raises(ShapeError, match="groups that divide"):
        nn.Conv2d(3, 4, 3, groups=2)


def test_batch_normalisation_moves_and_keeps_its_statistics() -> None:
    layer = nn.BatchNorm2d(4, momentum=0.5)
    y = layer(X).numpy()
    np.testing.assert_allclose(y.mean((0, 2, 3)), np.zeros(4), atol=1e-6)
    np.testing.assert_allclose(y.std((0, 2, 3)), np.ones(4), rtol=1e-4)
    mean, var = X.mean((0, 2, 3)), X.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean / 2, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(layer.running_var.numpy(), (1 + var) / 2, rtol=1e-5)
    assert layer.num_batches_tracked.item() == 1
    assert [n for n, _ in layer.named_parameters()] == ["weight", "bias"]
    assert [n for n, _ in layer.named_buffers()] == [
        "running_mean", "running_var", "num_batches_tracked"
    ]  # fmt: skip
    layer.eval()
    fixed = layer(X[:1]).numpy()
    expected = (X[:1] - mean.reshape(-1, 1, 1) / 2) / np.sqrt(
        (1 + var).reshape(-1, 1, 1) / 2 + 1e-5
    )
    np.testing.assert_allclose(fixed, expected, rtol=1e-4, atol=1e-5)
    assert layer.num_batches_tracked.item() == 1
    other = nn.BatchNorm2d(4)
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(other.eval()(X[:1]).numpy(), fixed)
    average = nn.BatchNorm1d(2, momentum=None)
    for value in (1.0, 3.0):
        average(np.array([[value, 0.0], [value, 1.0]], np.float32))
    np.testing.assert_allclose(average.running_mean.numpy(), [2.0, 0.5])
    with pytest.raises(TraceError):  # nothing is counted that did not happen
        sg.compile(average)(np.ones((2, 2), np.float32))
    assert average.num_batches_tracked.item() == 2
    with pytest.raises(ShapeError, match="2 or 3 dimensions"):
        average(X)


def test_dropout_has_two_modes_and_a_seed() -> None:
    a, b = nn.Dropout(0.5, seed=1), nn.Dropout(0.5, seed=1)
    first, second = a(np.ones(99)).numpy(), a(np.ones(99)).numpy()
    assert (first != second).any()
    np.testing.assert_array_equal(first, b(np.ones(99)).numpy())
    assert (a.eval()(np.ones(99)).numpy() == 1).all()
    assert (nn.Dropout2d(0.5, seed=0)(np.ones((3, 4, 2, 2))).numpy().std((2, 3)) == 0).all()
    with pytest.raises(DomainError):
        nn.Dropout(2.0)


def test_embedding_learns_the_rows_that_were_named() -> None:
    table = nn.Embedding(5, 3, padding_idx=1, seed=0)
    assert table.weight.numpy()[1].tolist() == [0.0, 0.0, 0.0]
    table(np.array([0, 0, 1])).sum().backward()
    assert table.weight.grad.numpy()[:, 0].tolist() == [2.0, 0.0, 0.0, 0.0, 0.0]


def test_multihead_attention() -> None:
    layer = nn.MultiheadAttention(4, 2, batch_first=True, dtype=np.float64, seed=0)
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    hidden = np.array([[False, False, True], [True, True, True]])
    y, weights = layer(x, x, x, key_padding_mask=hidden)
    assert weights is not None
    assert weights.shape == (2, 3, 3)
    np.testing.assert_allclose(weights.numpy().sum(-1), [[1, 1, 1], [0, 0, 0]])
    np.testing.assert_allclose(y.numpy()[1], np.broadcast_to(layer.out_proj.bias.numpy(), (3, 4)))
    x[0, 2] = np.nan  # hidden as a key; its own row is as wrong as its query
    again, _ = layer(x, x, x, key_padding_mask=hidden)
    np.testing.assert_array_equal(again.numpy()[0, :2], y.numpy()[0, :2])
    later = nn.MultiheadAttention(4, 2, dtype=np.float64, seed=0)
    z = np.random.default_rng(1).normal(size=(3, 4))
    out, none = later(z, z, z, need_weights=False, is_causal=True)
    assert out.shape == (3, 4)
    assert none is None
    # by hand, a head at a time
    w, b = layer.in_proj_weight.numpy(), layer.in_proj_bias.numpy()
    q, k, v = (z @ w[i : i + 4].T + b[i : i + 4] for i in (0, 4, 8))
    heads = []
    for h in (slice(0, 2), slice(2, 4)):
        s = np.where(np.tri(3), np.exp(q[:, h] @ k[:, h].T / math.sqrt(2)), 0)
        heads.append(s / s.sum(-1, keepdims=True) @ v[:, h])
    expected = np.concatenate(heads, -1) @ layer.out_proj.weight.numpy().T
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12)
    with pytest.raises(ShapeError, match="heads that divide"):
        nn.MultiheadAttention(5, 2)


def test_containers() -> None:
    layers = nn.ModuleList([nn.Linear(2, 2), nn.ReLU()])
    layers.append(nn.Linear(2, 1))
    assert len(layers) == 3
    assert isinstance(layers[-2], nn.ReLU)
    assert [type(m).__name__ for m in layers[1:]] == ["ReLU", "Linear"]
    layers[1] = nn.Tanh()
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    named = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.ReLU()})
    assert "a" in named
    assert named.keys() == ["a", "b"]
    assert [n for n, _ in named.named_parameters()] == ["a.weight", "a.bias"]
    seen: list[str] = []
    named.apply(lambda m: seen.append(type(m).__name__))
    assert seen[-1] == "ModuleDict"
    with pytest.raises(OutOfRangeError, match="module 3 of 3"):
        layers[3]
    with pytest.raises(DTypeError, match="parentheses"):
        nn.ModuleList([nn.ReLU])
    with pytest.raises(DTypeError, match="no name of a method"):
        nn.ModuleDict({"forward": nn.ReLU()})


def test_initial_values() -> None:
    w = nn.Parameter(np.zeros((4, 3, 2)))
    flat = nn.init.orthogonal_(w, 2.0, generator=1).numpy().reshape(4, 6)
    np.testing.assert_allclose(flat @ flat.T, 4 * np.eye(4), atol=1e-12)
    tall = nn.init.orthogonal_(nn.Parameter(np.zeros((5, 2))), generator=1).numpy()
    np.testing.assert_allclose(tall.T @ tall, np.eye(2), atol=1e-12)
    cut = nn.init.trunc_normal_(nn.Parameter(np.zeros(999)), 1.0, 2.0, 0.0, 3.0, 0).numpy()
    assert 0 <= cut.min() < 0.1
    assert 2.9 < cut.max() <= 3
    assert nn.init.eye_(nn.Parameter(np.zeros((2, 3)))).numpy().tolist() == [[1, 0, 0], [0, 1, 0]]
    with pytest.raises(DomainError, match="a < b"):
        nn.init.trunc_normal_(w, a=1.0, b=0.0)
    with pytest.raises(ShapeError, match="a matrix"):
        nn.init.eye_(w)


# -- files --------------------------------------------------------------------------------


def test_files_hold_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    state = {
        "a": np.arange(6.0).reshape(2, 3).T,
        "b": np.array(3.0, np.float16),
        "c": np.ones((2, 0), np.int64),
        "d": np.array([1.5, -0.0], ml_dtypes.bfloat16),
        "e": np.array([True, False]),
        "f": np.array([1.0, 2.0], ">f8"),
        "g": sg.tensor([np.inf, np.nan]),
    }
    nn.save(state, path)
    found = nn.load(str(path))
    for name, value in state.items():
        got, want = found[name], np.asarray(value)
        assert (got.dtype, got.shape) == (want.dtype.newbyteorder("="), want.shape)
        assert got.tobytes() == np.ascontiguousarray(want.astype(got.dtype)).tobytes()
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) & 0o600 == 0o600


def test_a_model_and_its_optimizer_go_on_from_a_file(tmp_path: Path) -> None:
    def make() -> tuple[nn.Module, optim.Optimizer]:
        net = nn.Sequential(nn.Linear(3, 4, seed=0), nn.BatchNorm1d(4), nn.Linear(4, 1, seed=1))
        return net, optim.Adam(net.parameters(), lr=0.1)

    def train(net: nn.Module, optimizer: optim.Optimizer, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            net(X[0, 0, :, :3]).square().mean().backward()
            optimizer.step()

    net, optimizer = make()
    train(net, optimizer, 3)
    nn.save(net, tmp_path / "net.safetensors")
    nn.save(optimizer.state_dict(), tmp_path / "optimizer.safetensors")
    train(net, optimizer, 2)
    other, later = make()
    other.load_state_dict(nn.load(tmp_path / "net.safetensors"))
    later.load_state_dict(nn.load(tmp_path / "optimizer.safetensors"))
    train(other, later, 2)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, other.state_dict()[name], err_msg=name)
    with pytest.raises(UnknownNameError, match=r"'9\.mean'"):
        later.load_state_dict({"9.mean": np.ones(3)})
    with pytest.raises(ShapeError, match="of shape"):
        later.load_state_dict({"0.mean": np.ones(3)})


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(nn.StorageError, match="no way to read"):
        nn.load(tmp_path / "none")
    (tmp_path / "bad").write_bytes(b"not a file of tensors")
    with pytest.raises(nn.StorageError, match="in the safetensors format"):
        nn.load(tmp_path / "bad")
    nn.save({"a": np.ones(100)}, tmp_path / "good")
    content = (tmp_path / "good").read_bytes()
    (tmp_path / "cut").write_bytes(content[:-8])
    with pytest.raises(nn.StorageError, match="safetensors format"):
        nn.load(tmp_path / "cut")
    with pytest.raises(nn.StorageError, match="no way to write"):
        nn.save({"a": np.ones(1)}, tmp_path / "folder" / "x")
    with pytest.raises(DTypeError, match="complex128"):
        nn.save({"a": np.ones(1, complex)}, tmp_path / "good")
    with pytest.raises(DTypeError, match="a module, or a mapping"):
        nn.save([1.0], tmp_path / "good")
    assert (tmp_path / "good").read_bytes() == content


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "model.safetensors"
    nn.save({"a": np.ones(2)}, path)
    content = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(nn.StorageError, match="No space left"):
        nn.save({"a": np.zeros(2)}, path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


# -- optimizers and schedules -------------------------------------------------------------


def steps_of(make: Any, count: int = 7) -> np.ndarray[Any, Any]:
    w = sg.tensor(np.array([1.0, -2.0]), requires_grad=True)
    optimizer = make([w])
    seen = []
    for _ in range(count):
        optimizer.zero_grad()
        (((w - 3) ** 2).sum() / 2 + w[0] * w[1]).backward()
        optimizer.step()
        seen.append(w.numpy())
    return np.array(seen)


def slope(w: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (w - 3) + w[::-1]


def test_adamw_decays_apart_from_the_gradient() -> None:
    got = steps_of(lambda p: optim.AdamW(p, 0.1, weight_decay=0.5))
    w, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    for t, row in enumerate(got, 1):
        g = slope(w)
        w = w * (1 - 0.1 * 0.5)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w = w - 0.1 / (1 - 0.9**t) * m / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(row, w, rtol=1e-12)


@pytest.mark.parametrize("centered", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop_is_its_formula(centered: bool, momentum: float) -> None:
    got = steps_of(lambda p: optim.RMSprop(p, 0.1, 0.9, momentum=momentum, centered=centered))
    w = np.array([1.0, -2.0])
    v, mean, step = np.zeros(2), np.zeros(2), np.zeros(2)
    for row in got:
        g = slope(w)
        v = 0.9 * v + 0.1 * g * g
        mean = 0.9 * mean + 0.1 * g
        change = g / (np.sqrt(v - mean**2 if centered else v) + 1e-8)
        step = momentum * step + change
        w = w - 0.1 * (step if momentum else change)
        np.testing.assert_allclose(row, w, rtol=1e-9)
    with pytest.raises(DomainError, match="alpha"):
        optim.RMSprop([nn.Parameter(1.0)], alpha=1.0)


def test_adagrad_is_its_formula() -> None:
    got = steps_of(lambda p: optim.Adagrad(p, 0.5, 0.1, initial_accumulator_value=1.0))
    w, total = np.array([1.0, -2.0]), np.ones(2)
    for t, row in enumerate(got):
        g = slope(w)
        total = total + g * g
        w = w - 0.5 / (1 + 0.1 * t) * g / (np.sqrt(total) + 1e-10)
        np.testing.assert_allclose(row, w, rtol=1e-12)


def rates(make: Any, count: int, lr: float = 2.0) -> list[float]:
    optimizer = optim.SGD([nn.Parameter(1.0)], lr=lr)
    schedule = make(optimizer)
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(count):
        schedule.step()
        found.append(optimizer.param_groups[0]["lr"])
    assert schedule.get_last_lr() == found[-1:]
    return found


def test_schedules_are_their_formulas() -> None:
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-14)  # noqa: E731
    same(rates(lambda o: schedules.StepLR(o, 2, 0.5), 4), [2, 2, 1, 1, 0.5])
    same(rates(lambda o: schedules.MultiStepLR(o, [1, 3], 0.5), 4), [2, 1, 1, 0.5, 0.5])
    same(rates(lambda o: schedules.ExponentialLR(o, 0.5), 2), [2, 1, 0.5])
    same(rates(lambda o: schedules.ConstantLR(o, 0.5, 2), 3), [1, 1, 2, 2])
    same(rates(lambda o: schedules.LinearLR(o, 0.5, total_iters=2), 3), [1, 1.5, 2, 2])
    same(rates(lambda o: schedules.PolynomialLR(o, 2, 2.0), 3), [2, 0.5, 0, 0])
    same(rates(lambda o: schedules.LambdaLR(o, [lambda n: n + 1]), 2), [2, 4, 6])
    cosine = [1 + math.cos(math.pi * t / 4) for t in range(10)]
    got = rates(lambda o: schedules.CosineAnnealingLR(o, 4), 9)
    np.testing.assert_allclose(got, cosine, rtol=1e-13, atol=1e-15)
    warm = rates(lambda o: schedules.CosineAnnealingWarmRestarts(o, 2, 2, 1.0), 7)
    want = [1 + math.cos(math.pi * t / n) / 2 + 0.5 - 0.0 for t, n in
            [(0, 2), (1, 2), (0, 4), (1, 4), (2, 4), (3, 4), (0, 8), (1, 8)]]  # fmt: skip
    np.testing.assert_allclose(warm, want, rtol=1e-13)
    warmed = rates(
        lambda o: schedules.SequentialLR(
            o, [schedules.LinearLR(o, 0.5, total_iters=2), schedules.ExponentialLR(o, 0.5)], [2]
        ),
        4,
    )
    same(warmed, [1, 1.5, 2, 1, 0.5])


def test_schedules_go_on_from_their_state() -> None:
    def make() -> Any:
        return schedules.ExponentialLR(optim.SGD([nn.Parameter(1.0)], lr=1.0), 0.5)

    first, second = make(), make()
    first.step()
    second.load_state_dict(first.state_dict())
    first.step()
    second.step()
    assert first.get_last_lr() == second.get_last_lr() == [0.25]
    for call in (
        lambda: schedules.StepLR(first.optimizer, 0),
        lambda: schedules.SequentialLR(first.optimizer, [first], [1]),
        lambda: schedules.SequentialLR(first.optimizer, [second], []),
        lambda: schedules.ReduceLROnPlateau(first.optimizer, factor=1.0),
    ):
        with pytest.raises(DomainError):
            call()
    with pytest.raises(DTypeError, match="an optimizer"):
        schedules.ExponentialLR(None, 0.5)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError):
        schedules.ReduceLROnPlateau(first.optimizer, mode="least")


def test_reducing_on_a_plateau() -> None:
    optimizer = optim.SGD([nn.Parameter(1.0)], lr=1.0)
    schedule = schedules.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=1, cooldown=1, threshold=0.1, min_lr=0.2
    )
    found = []
    for loss in (10.0, 9.5, 9.5, 9.5, 9.5, 9.5, 9.5, 9.5, 9.5, 8.0, 9.5):
        schedule.step(sg.tensor(loss))
        found.append(optimizer.param_groups[0]["lr"])
    assert found == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2]
    other = schedules.ReduceLROnPlateau(optimizer, "max", threshold_mode="abs")
    other.load_state_dict(schedule.state_dict())
    assert other.best == 8.0


def test_gradients_are_clipped_over_the_range() -> None:
    w, v = nn.Parameter([3e30, 0.0]), nn.Parameter([4e30])
    ((w * w).sum() + (v * v).sum()).backward()
    assert nn.utils.clip_grad_norm_([w, v], 0.5).item() == pytest.approx(1e31, rel=1e-6)
    np.testing.assert_allclose(w.grad.numpy(), [0.3, 0.0], rtol=1e-6)
    np.testing.assert_allclose(v.grad.numpy(), [0.4], rtol=1e-6)
    assert nn.utils.clip_grad_norm_([w, v], 9.0, math.inf).item() == pytest.approx(0.4)
    nn.utils.clip_grad_value_(w, 0.1)
    np.testing.assert_allclose(w.grad.numpy(), [0.1, 0.0])
    w.grad = sg.tensor([np.nan, 0.0])
    assert np.isnan(nn.utils.clip_grad_norm_([w], 1.0).item())
    with pytest.raises(DomainError, match="norm nan"):
        nn.utils.clip_grad_norm_([w], 1.0, error_if_nonfinite=True)
    with pytest.raises(DomainError, match="norm_type"):
        nn.utils.clip_grad_norm_([w], 1.0, 3.0)
