"""Further functions, layers, optimizers and schedules against PyTorch's, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.errors import DomainError, ShapeError, UnknownNameError

torch = pytest.importorskip("torch")
F, TF = sg.nn.functional, torch.nn.functional
RNG = np.random.default_rng(20261129)
X, V = RNG.normal(size=(2, 8, 6, 4)), RNG.normal(size=(2, 3, 4, 6, 5))
S, Z = RNG.normal(size=(5, 4)), RNG.normal(size=(3, 5))
A, B, C = RNG.normal(size=(3, 5, 4))
U = np.asarray(F.unfold(X, (3, 2), 1, 1, 2))
CLASSES = np.array([0, 3, 1, 2, 0])
LABELS = np.array([[0, 2, -1, 1], [3, -1, 0, 0], [-1, 0, 0, 0], [0, 1, 2, 3], [2, 3, -1, 0]])
WEIGHT = np.array([1.0, 2.0, 3.0, 4.0])
PLACES, ONCE = np.array([[0, 1, 1], [2, 0, 2]]), np.array([[0, 1, 2], [2, 0, 1]])
COLUMNS = np.array([0, 2, 0])
T = torch.tensor


def close(got: Any, want: Any) -> None:
    want = want.detach().numpy() if isinstance(want, torch.Tensor) else np.asarray(want)
    assert got.shape == want.shape
    np.testing.assert_allclose(np.asarray(got), want, rtol=1e-12, atol=1e-12)


CASES: list[tuple[str, list[Any], tuple[Any, ...], dict[str, Any]]] = [
    ("pixel_shuffle", [X], (2,), {}),
    ("pixel_unshuffle", [X], (2,), {}),
    ("channel_shuffle", [X], (2,), {}),
    ("unfold", [X], ((3, 2), 2, 1, 2), {}),
    ("fold", [U], ((6, 4), (3, 2), 1, 1, 2), {}),
    ("interpolate", [X], (), {"size": (9, 5), "mode": "bilinear", "align_corners": True}),
    *[
        ("interpolate", [X], (), {"mode": m, **size})
        for m in ("nearest", "nearest-exact", "bilinear")
        for size in ({"size": (9, 5)}, {"size": (3, 2)}, {"scale_factor": 2.0})
    ],
    ("local_response_norm", [X], (3,), {}),
    ("local_response_norm", [X], (4, 0.5), {}),
    ("max_pool3d", [V], (2,), {}),
    ("avg_pool3d", [V], (3, 2, 1), {}),
    ("adaptive_avg_pool3d", [V], ((2, 4, 5),), {}),
    ("adaptive_max_pool3d", [V], (2,), {}),
    ("conv_transpose3d", [V, RNG.normal(size=(3, 2, 2, 3, 2))], (None, 2, 1, 1), {}),
    ("multi_margin_loss", [S], (CLASSES,), {"p": 2, "weight": WEIGHT, "reduction": "none"}),
    ("multilabel_margin_loss", [S], (LABELS,), {"reduction": "none"}),
    ("multilabel_soft_margin_loss", [S], ((LABELS > 0) * 1.0,), {"reduction": "none"}),
    ("triplet_margin_with_distance_loss", [A, B, C], (), {"swap": True, "reduction": "none"}),
]


@pytest.mark.parametrize(("name", "inputs", "args", "options"), CASES, ids=lambda v: str(v)[:30])
def test_functions_and_their_gradients(name, inputs, args, options):
    def theirs(*tensors):
        plain = [T(a) if isinstance(a, np.ndarray) else a for a in args]
        named = {k: T(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
        return getattr(TF, name)(*tensors, *plain, **named)

    ours = getattr(F, name)
    y = ours(*inputs, *args, **options)
    close(y, theirs(*[T(x) for x in inputs]))
    weights = RNG.normal(size=y.shape)
    found = sg.grad(
        lambda *xs: (ours(*xs, *args, **options) * weights).sum(), tuple(range(len(inputs)))
    )(*inputs)
    tensors = [T(x, requires_grad=True) for x in inputs]
    (theirs(*tensors) * T(weights)).sum().backward()
    for g, t in zip(found, tensors, strict=True):
        close(g, t.grad)


def test_places():
    src = RNG.normal(size=(2, 3))
    close(F.gather(Z, 0, PLACES), torch.gather(T(Z), 0, T(PLACES)))
    for dim in (0, 1):
        close(F.scatter_add(Z, dim, PLACES, src), T(Z).scatter_add(dim, T(PLACES), T(src)))
    close(F.scatter(Z, 0, ONCE, src), T(Z).scatter(0, T(ONCE), T(src)))
    more = RNG.normal(size=(3, 3))
    want = T(Z).index_add(1, T(COLUMNS), T(more), alpha=0.3)
    close(F.index_add(Z, 1, COLUMNS, more, alpha=0.3), want)
    close(F.index_select(Z, 1, COLUMNS), T(Z).index_select(1, T(COLUMNS)))
    close(F.masked_fill(Z, Z > 0, 0.1), T(Z).masked_fill(T(Z > 0), 0.1))
    rows = F.segment_sum(np.arange(6.0).reshape(3, 2), np.array([0, 1, 0]), 3)
    assert rows.numpy().tolist() == [[4, 6], [2, 3], [0, 0]]


def test_derivatives_of_places():
    src = np.array([1.0, 2.0, 3.0])
    at = np.array([0, 0, 1])
    weights = np.array([1.0, 10.0, 100.0])
    slopes = sg.grad(lambda x, s: (F.scatter_add(x, 0, at, s) * weights).sum(), (0, 1))(src, src)
    assert [s.numpy().tolist() for s in slopes] == [[1, 10, 100], [1, 1, 10]]
    slopes = sg.grad(lambda x, s: (F.scatter(x, 0, at, s) * weights).sum(), (0, 1))(src, src)
    assert [s.numpy().tolist() for s in slopes] == [[0, 0, 100], [0, 1, 10]]
    filled = sg.grad(lambda x: F.masked_fill(sg.numpy.log(x), x <= 0, 0.0).sum())
    assert filled(np.array([0.0, 2.0])).numpy().tolist() == [0, 0.5]


def test_squareplus_keeps_its_tail():
    x = np.array([-1e300, -1e200, -1e10, 0.0, 1e10])
    assert F.squareplus(x).numpy().tolist() == [1e-300, 1e-200, 1e-10, 1, 1e10]
    slope = sg.grad(lambda t: F.squareplus(t).sum())(x).numpy()
    np.testing.assert_allclose(slope, [0, 0, 1e-20, 0.5, 1], rtol=1e-15)
    bend = np.diag(sg.hessian(lambda t: F.squareplus(t).sum())(np.array([-1e10, -1.0])).numpy())
    np.testing.assert_allclose(bend, [2e-30, 2 / 5**1.5], rtol=1e-14)
    t = np.array([-2.0, -0.5, 0.3, 2.0])
    for name in ("swish", "hard_sigmoid", "hard_tanh", "soft_sign", "log_sigmoid"):
        torch_name = {"swish": "silu", "soft_sign": "softsign"}.get(name, name.replace("_", ""))
        close(getattr(F, name)(t), getattr(TF, torch_name)(T(t)))
    assert F.sparse_plus(t).numpy().tolist() == pytest.approx([0, 0.0625, 0.4225, 2], rel=1e-15)
    assert F.sparse_sigmoid(t).numpy().tolist() == [0, 0.25, 0.65, 1]
    assert F.logmeanexp(np.full(3, 1e3)).item() == pytest.approx(1e3)
    assert F.standardize(np.ones((2, 3))).numpy().tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize(
    "options",
    [{}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True, "bias": False}],
    ids=["plain", "deep", "batch"],
)
def test_recurrent_layers(name, options):
    theirs = getattr(torch.nn, name)(3, 4, dtype=torch.float64, **options)
    ours = getattr(sg.nn, name)(3, 4, dtype=np.float64, seed=0, **options)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = RNG.normal(size=(5, 2, 3))
    for value in (x, x[:, 0]):
        output, end = ours(value)
        want, last = theirs(T(value))
        close(output, want)
        for got, true in zip(*[e if name == "LSTM" else [e] for e in (end, last)], strict=True):
            close(got, true)
        again, _ = ours(value, end)
        close(again, theirs(T(value), last)[0])
    t = T(x, requires_grad=True)
    (theirs(t)[0] ** 2).sum().backward()
    close(sg.grad(lambda v: (ours(v)[0] ** 2).sum())(x), t.grad)
    cell, other = getattr(sg.nn, f"{name}Cell"), getattr(torch.nn, f"{name}Cell")
    theirs = other(3, 4, dtype=torch.float64)
    ours = cell(3, 4, dtype=np.float64, seed=0)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    got, want = ours(x[0]), theirs(T(x[0]))
    for g, w in zip(*[e if name == "LSTM" else [e] for e in (got, want)], strict=True):
        close(g, w)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ["Adamax", "NAdam", "RAdam", "Adadelta", "Rprop"])
def test_optimizers(name, decay):
    options = {} if name == "Rprop" else {"weight_decay": decay}
    start = np.array([-0.3, 0.2, 2.0, 5.0])
    p, q = sg.nn.Parameter(start), torch.nn.Parameter(T(start))
    ours = getattr(sg.optim, name)([p], **options)
    theirs = getattr(torch.optim, name)([q], **options)
    for _ in range(20):
        for w, optimizer in ((p, ours), (q, theirs)):
            optimizer.zero_grad()
            ((w - 1) ** 4).sum().backward()
            optimizer.step()
    np.testing.assert_allclose(p.numpy(), q.detach().numpy(), rtol=1e-9)  # NAdam's float32
    fresh = getattr(sg.optim, name)([p], **options)
    fresh.load_state_dict(ours.state_dict())
    assert fresh.state_dict().keys() == ours.state_dict().keys()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3, "step_size_down": 5}),
        ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3, "mode": "triangular2"}),
        (
            "CyclicLR",
            {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3, "mode": "exp_range", "gamma": 0.9},
        ),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 20}),
        (
            "OneCycleLR",
            {"max_lr": 1.0, "epochs": 4, "steps_per_epoch": 5, "anneal_strategy": "linear"},
        ),
        ("MultiplicativeLR", {"lr_lambda": lambda n: 0.9 + n / 100}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_schedules(name, options):
    ours = sg.optim.SGD([sg.nn.Parameter(1.0)], lr=0.5)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.5)
    more = {} if name == "MultiplicativeLR" else {"cycle_momentum": False}
    one = getattr(sg.optim.lr_scheduler, name)(ours, **options)
    two = getattr(torch.optim.lr_scheduler, name)(theirs, **options, **more)
    for _ in range(18):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)
        theirs.step()
        one.step()
        two.step()


@pytest.mark.parametrize(("share", "rates"), [(0.1, [1.0, 4e-6]), (1.0, [0.04, 1.0])])
def test_one_cycle_that_only_rises_or_falls(share, rates):
    optimizer = sg.optim.SGD([sg.nn.Parameter(1.0)], lr=0.5)
    schedule = sg.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=10, pct_start=share)
    assert [schedule.rates(n)[0] for n in (0, 9)] == pytest.approx(rates, rel=1e-12)


def test_schedules_at_once():
    schedules = sg.optim.lr_scheduler
    optimizer = sg.optim.SGD([sg.nn.Parameter(1.0)], lr=0.5)
    parts = [schedules.ConstantLR(optimizer, 0.1, 2), schedules.ExponentialLR(optimizer, 0.5)]
    chained = schedules.ChainedScheduler(parts)
    rates = [chained.rates(n)[0] for n in range(4)]
    assert rates == pytest.approx([0.05, 0.025, 0.125, 0.0625])


@pytest.mark.parametrize("kind", ["ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"])
def test_padding_layers(kind):
    for d, widths in ((1, (1, 2)), (2, (1, 2, 2, 1))):
        name = f"{kind}{d}d"
        x = X if d == 2 else X[0]
        close(getattr(sg.nn, name)(widths)(x), getattr(torch.nn, name)(widths)(T(x)))
    close(sg.nn.ConstantPad1d(2, 0.3)(X), torch.nn.ConstantPad1d(2, 0.3)(T(X)))
    close(sg.nn.Softmax2d()(X), torch.nn.Softmax2d()(T(X)))
    close(sg.nn.Upsample(scale_factor=2.0)(X), torch.nn.Upsample(scale_factor=2.0)(T(X)))
    close(sg.nn.MaxPool3d(2)(V), torch.nn.MaxPool3d(2)(T(V)))
    for norm in ("BatchNorm3d", "InstanceNorm3d"):
        close(
            getattr(sg.nn, norm)(3, dtype=np.float64)(V),
            getattr(torch.nn, norm)(3, dtype=torch.float64)(T(V)),
        )
    assert repr(sg.nn.Dropout2d()) == "Dropout2d(p=0.5)"
    assert repr(sg.nn.PixelShuffle(2)) == "PixelShuffle(upscale_factor=2)"


@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda: F.pixel_shuffle(S, 2), ShapeError),
        (lambda: F.interpolate(X), DomainError),
        (lambda: F.interpolate(X, 2, mode="cubic"), UnknownNameError),
        (lambda: F.fold(U, 5, 2), ShapeError),
        (lambda: F.gather(Z, 0, CLASSES), ShapeError),
        (lambda: F.scatter_add(Z, 0, np.zeros((4, 9), int), 1.0), ShapeError),
        (lambda: F.multi_margin_loss(S, CLASSES[:2]), ShapeError),
        (lambda: sg.nn.LSTM(3, 4)(S), ShapeError),
        (lambda: sg.nn.GRU(0, 4), DomainError),
        (lambda: sg.optim.NAdam([sg.nn.Parameter(1.0)], betas=(1.0, 0.9)), DomainError),
        (lambda: sg.optim.lr_scheduler.ChainedScheduler([]), DomainError),
    ],
)
def test_bad_calls(f, error):
    with pytest.raises(error, match=r"test_nn_torch\.py"):
        f()
