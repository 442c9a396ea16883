"""Optimizers against torch's formulas, written out in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad import nn, optim
from stablegrad.errors import DomainError, DTypeError
from stablegrad.optim import NoParametersError

STEPS = 7


def steps_of(make: Any, dtype: Any = np.float64) -> np.ndarray[Any, Any]:
    """Minimise (w - 3)**2/2 + w[0]*w[1] for some steps; the weights after each."""
    w = sg.tensor(np.array([1.0, -2.0], dtype), requires_grad=True)
    optimizer = make([w])
    seen = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        (((w - 3) ** 2).sum() / 2 + w[0] * w[1]).backward()
        optimizer.step()
        seen.append(w.numpy())
    assert w.dtype == dtype
    return np.array(seen)


def slope(w: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return (w - 3) + w[::-1]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.5},
        {"momentum": 0.9, "nesterov": True},
        {"weight_decay": 0.1, "momentum": 0.5},
        {"maximize": True},
    ],
)
def test_sgd_is_torchs(settings: dict[str, Any]) -> None:
    got = steps_of(lambda p: optim.SGD(p, lr=0.1, **settings))
    w = np.array([1.0, -2.0])
    buffer = None
    for row in got:
        g = slope(w) * (-1 if settings.get("maximize") else 1)
        g = g + settings.get("weight_decay", 0) * w
        mu = settings.get("momentum", 0)
        if mu:
            keep = 1 - settings.get("dampening", 0)
            buffer = g if buffer is None else mu * buffer + keep * g
            g = g + mu * buffer if settings.get("nesterov") else buffer
        w = w - 0.1 * g
        np.testing.assert_allclose(row, w, rtol=1e-13)


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adam_is_torchs(amsgrad: bool, weight_decay: float) -> None:
    got = steps_of(lambda p: optim.Adam(p, 0.1, weight_decay=weight_decay, amsgrad=amsgrad))
    w = np.array([1.0, -2.0])
    m = v = top = np.zeros(2)
    for t, row in enumerate(got, 1):
        g = slope(w) + weight_decay * w
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        top = np.maximum(top, v)
        root = np.sqrt(top if amsgrad else v) / math.sqrt(1 - 0.999**t)
        w = w - 0.1 / (1 - 0.9**t) * m / (root + 1e-8)
        np.testing.assert_allclose(row, w, rtol=1e-12)


def test_steps_stay_in_the_dtype_of_the_parameter() -> None:
    for make in (lambda p: optim.SGD(p, 0.1, 0.9), lambda p: optim.Adam(p, 0.1)):
        assert steps_of(make, np.float32).dtype == np.float32


def test_rprop_sees_the_signs_of_tiny_gradients() -> None:
    w = sg.tensor(np.float32(1.0), requires_grad=True)
    optimizer = optim.Rprop([w], lr=0.25)
    for want in (0.75, 0.75 - 0.25 * 1.2):
        optimizer.zero_grad()
        (w * np.float32(1e-30)).backward()
        optimizer.step()
        assert w.item() == pytest.approx(want, rel=1e-6)


def test_adamw_decays_half_precision_with_one_rounding() -> None:
    w = sg.tensor(np.float16(1.0), requires_grad=True)
    optimizer = optim.AdamW([w], lr=2.0**-12, weight_decay=1.0)  # step and decay: half an ulp each
    (w * w).backward()
    optimizer.step()
    assert w.item() == 1 - 2.0**-11


def test_a_step_cuts_history() -> None:
    w = sg.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
    assert w.is_leaf
    assert w.requires_grad
    assert w.term.depth == 0


def test_parameters_without_gradients_stay() -> None:
    a, b = sg.tensor(1.0, requires_grad=True), sg.tensor(2.0, requires_grad=True)
    optimizer = optim.SGD([a, b], lr=0.25)
    (a * a).backward()
    optimizer.step()
    assert a.item() == 0.5
    assert b.item() == 2


def test_what_was_computed_before_a_step_keeps_its_value() -> None:
    w = sg.tensor([1.0], requires_grad=True)
    before = w * 10
    (w * w).sum().backward()
    optim.SGD([w], lr=0.25).step()
    assert before.item() == 10
    assert (w * 10).item() == 5


def test_groups_have_settings_of_their_own() -> None:
    a, b = sg.tensor(1.0, requires_grad=True), sg.tensor(1.0, requires_grad=True)
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.25}], lr=0.5)
    (a * a + b * b).backward()
    optimizer.step()
    assert (a.item(), b.item()) == (0.0, 0.5)
    optimizer.param_groups[1]["lr"] = 0.0
    optimizer.step()
    assert b.item() == 0.5
    assert repr(optimizer).startswith("SGD(2 parameters, lr=0.5")


def test_zero_grad_clears() -> None:
    w = sg.tensor(1.0, requires_grad=True)
    optimizer = optim.SGD([w])
    (w * w).backward()
    optimizer.zero_grad()
    assert w.grad is None


def test_bad_settings_say_what_is_wrong() -> None:
    w = sg.tensor([1.0], requires_grad=True)
    with pytest.raises(NoParametersError, match=r"no parameters.*test_optim\.py"):
        optim.SGD([])
    with pytest.raises(NoParametersError):
        optim.Adam(iter([]))
    with pytest.raises(DomainError, match="lr=-1"):
        optim.SGD([w], lr=-1)
    with pytest.raises(DomainError, match="lr=nan"):
        optim.Adam([w], lr=math.nan)
    with pytest.raises(DomainError, match="nesterov"):
        optim.SGD([w], nesterov=True)
    with pytest.raises(DomainError, match="betas"):
        optim.Adam([w], betas=(0.9, 1.0))
    with pytest.raises(DomainError, match="'speed'"):
        optim.SGD([{"params": [w], "speed": 1}])
    with pytest.raises(DTypeError, match="a list of parameters"):
        optim.SGD(w)  # type: ignore[arg-type]
    with pytest.raises(DTypeError, match="computed tensor"):
        optim.SGD([w * 2])
    with pytest.raises(DTypeError, match="ndarray"):
        optim.SGD([np.ones(2)])
    with pytest.raises(DTypeError, match="named twice"):
        optim.SGD([w, w])


def test_a_net_learns_xor() -> None:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    y = np.array([[0], [1], [1], [0]], np.float32)
    net = nn.Sequential(nn.Linear(2, 8, seed=0), nn.Tanh(), nn.Linear(8, 1, seed=1), nn.Sigmoid())
    optimizer = optim.Adam(net.parameters(), lr=0.1)
    loss = nn.BCELoss()
    for _ in range(100):
        optimizer.zero_grad()
        loss(net(x), y).backward()
        optimizer.step()
    assert ((net(x).numpy() > 0.5) == y).all()


# -- LBFGS -------------------------------------------------------------------------------


def rosenbrock(w: Any) -> Any:
    return ((1 - w[:-1]) ** 2).sum() + (100 * (w[1:] - w[:-1] ** 2) ** 2).sum()


def lbfgs_path(
    library: Any, tensor: Any, make: Any, steps: int = 6
) -> tuple[list[float], list[np.ndarray[Any, Any]]]:
    """The losses that its steps return, and the parameters after each."""
    w = tensor
    optimizer = make([w])
    losses, seen = [], []

    def closure() -> Any:
        optimizer.zero_grad()
        loss = rosenbrock(w)
        loss.backward()
        return loss

    for _ in range(steps):
        losses.append(float(optimizer.step(closure).item()))
        seen.append(np.array(w.detach().numpy()))
    return losses, seen


@pytest.mark.parametrize(
    "settings",
    [
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "history_size": 2, "max_iter": 4},
        {"line_search_fn": "strong_wolfe", "lr": 0.3, "max_eval": 9},
        {"lr": 0.1, "max_iter": 5},
    ],
)
def test_lbfgs_is_torchs(settings: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    start = np.array([-1.2, 1.0, 0.7])
    theirs = lbfgs_path(
        torch,
        torch.tensor(start, requires_grad=True),
        lambda p: torch.optim.LBFGS(p, **settings),
    )
    ours = lbfgs_path(
        sg, sg.tensor(start, requires_grad=True), lambda p: optim.LBFGS(p, **settings)
    )
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-6, atol=1e-8)


def test_lbfgs_goes_on_from_its_state() -> None:
    w, v = (sg.tensor(np.array([-1.2, 1.0]), requires_grad=True) for _ in range(2))
    first, second = (optim.LBFGS([p], max_iter=3, line_search_fn="strong_wolfe") for p in (w, v))

    def closure(p: Any, optimizer: Any) -> Any:
        optimizer.zero_grad()
        loss = rosenbrock(p)
        loss.backward()
        return loss

    first.step(lambda: closure(w, first))
    v.assign_(w.numpy())
    second.load_state_dict(first.state_dict())
    for p, optimizer in ((w, first), (v, second)):
        for _ in range(2):
            optimizer.step(lambda p=p, optimizer=optimizer: closure(p, optimizer))
    assert np.array_equal(w.numpy(), v.numpy())
    with pytest.raises(DomainError, match="closure"):
        first.step()
    with pytest.raises(DomainError, match="strong_wolfe"):
        optim.LBFGS([w], line_search_fn="armijo")
