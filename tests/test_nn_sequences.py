"""Transformers, draws of classes and sequences of labels: against torch, and by the oracle."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.errors import DomainError, ShapeError
from stablegrad.ir import topological
from stablegrad.ops.record import LEAF
from stablegrad.oracle import err_ulp, gradient, gradient_by_series, truth

F = sg.nn.functional
RNG = np.random.default_rng(20261130)
X, M = RNG.normal(size=(2, 5, 8)), RNG.normal(size=(2, 4, 8))
HIDDEN = np.array([[False, False, True, True, True], [False] * 5])
CAUSAL = ~np.tri(5, dtype=bool)


def leaves_of(y: sg.Tensor) -> dict[Any, Any]:
    """The values of all leaves of an expression."""
    return {t: t.params[0].value for t in topological([y.term]) if t.op is LEAF}


def twins(name: str, **options: Any) -> tuple[Any, Any]:
    """A layer of ours and torch's with the same parameters, in float64."""
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, name)(8, 2, 16, 0.0, batch_first=True, **options).double()
    ours = getattr(sg.nn, name)(8, 2, 16, 0.0, batch_first=True, dtype=np.float64, **options)
    ours.load_state_dict({k: v.detach().numpy() for k, v in theirs.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize("options", [{}, {"norm_first": True, "activation": "gelu"}])
def test_transformer_layers_and_their_gradients(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.tensor
    ours, theirs = twins("TransformerEncoderLayer", **options)
    x, t = sg.tensor(X, requires_grad=True), tensor(X, requires_grad=True)
    y = ours(x, CAUSAL, HIDDEN)
    want = theirs(t, tensor(CAUSAL), tensor(HIDDEN))
    decoder, other = twins("TransformerDecoderLayer", **options)
    z = decoder(y, M, CAUSAL)
    target = other(want, tensor(M), tensor(CAUSAL))
    (z * z).sum().backward()
    (target * target).sum().backward()
    np.testing.assert_allclose(z.numpy(), target.detach().numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-8, atol=1e-10)
    for name, p in theirs.named_parameters():
        got = dict(ours.named_parameters())[name].grad.numpy()
        np.testing.assert_allclose(got, p.grad.numpy(), rtol=1e-8, atol=1e-10, err_msg=name)


def test_stacks_of_layers_are_copies() -> None:
    layer = sg.nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dropout=0.0, seed=1)
    stack = sg.nn.TransformerEncoder(layer, 2, sg.nn.LayerNorm(4))
    x = np.asarray(X[..., :4], np.float32)
    np.testing.assert_array_equal(
        stack(x, is_causal=True).numpy(),
        stack.norm(layer(layer(x, is_causal=True), is_causal=True)).numpy(),
    )
    assert len({id(p) for p in stack.parameters()}) == len(list(layer.parameters())) * 2 + 2
    assert "layers.1.self_attn.in_proj_weight" in stack.state_dict()
    with pytest.raises(DomainError, match="activation='swish'"):
        sg.nn.TransformerEncoderLayer(4, 2, activation="swish")


def test_hidden_places_have_no_part_in_a_transformer() -> None:
    layer = sg.nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, seed=0)
    spoilt = X.astype(np.float32).copy()
    x = sg.tensor(X.astype(np.float32), requires_grad=True)
    spoilt[0, 2:] = np.nan
    clean, other = layer(x, None, HIDDEN), layer(spoilt, None, HIDDEN)
    np.testing.assert_array_equal(clean.numpy()[0, :2], other.numpy()[0, :2])
    clean[0, :2].sum().backward()
    assert (x.grad.numpy()[0, 2:] == 0).all()


# -- draws of classes -----------------------------------------------------------------------


def test_gumbel_softmax_is_the_softmax_of_disturbed_logits() -> None:
    logits = np.array([[0.0, 1.0, -2.0], [1000.0, 0.0, 999.0], [-np.inf, 3.0, 3.0]])
    x = sg.tensor(logits, requires_grad=True)
    for tau in (1.0, 0.01):
        y = F.gumbel_softmax(x, tau, generator=5)
        data = leaves_of(y)
        with np.errstate(divide="ignore"):
            bound = 4 + 2 * np.abs(np.nan_to_num(np.log(y.numpy()), neginf=0.0))
        assert (err_ulp(y.numpy(), truth(y.term, data)) <= bound).all()
        seed = RNG.normal(size=logits.shape)
        (slope,) = sg.autograd.grad(y, x, grad_outputs=seed)
        true = np.asarray(gradient(y.term, x.term, data, seed=seed).value, float)
        np.testing.assert_allclose(slope.numpy(), true, rtol=1e-12, atol=1e-14 / tau)
        hard = F.gumbel_softmax(x, tau, hard=True, generator=5)
        assert hard.numpy().tolist() == (y.numpy() == y.numpy().max(1, keepdims=True)).tolist()
        (through,) = sg.autograd.grad(hard, x, grad_outputs=seed)
        np.testing.assert_array_equal(through.numpy(), slope.numpy())
    temperature = sg.tensor(0.5, dtype=np.float64, requires_grad=True)
    F.gumbel_softmax(x[:2], temperature, generator=1)[0, 0].backward()
    assert np.isfinite(temperature.grad.item())
    with pytest.raises(DomainError, match="tau=0"):
        F.gumbel_softmax(x, 0.0)


def test_gumbel_softmax_draws_by_the_probabilities() -> None:
    logits = np.log(np.array([0.2, 0.5, 0.3]))
    draws = F.gumbel_softmax(np.broadcast_to(logits, (20000, 3)), hard=True, generator=0).numpy()
    np.testing.assert_allclose(draws.mean(0), [0.2, 0.5, 0.3], atol=0.015)


# -- sequences of labels ----------------------------------------------------------------------

Z = RNG.normal(size=(6, 3, 4))
TARGETS = np.array([[1, 1, 2], [3, 1, 0], [2, 3, 1]])


def by_enumeration(p: np.ndarray, labels: list[int]) -> float:
    """The probability of labels, the sum over all ways, from probabilities (times, classes)."""
    total = 0.0
    for way in itertools.product(range(p.shape[1]), repeat=p.shape[0]):
        merged = [k for k, _ in itertools.groupby(way) if k != 0]
        if merged == labels:
            total += np.prod([p[t, k] for t, k in enumerate(way)])
    return total


@pytest.mark.parametrize("labels", [[], [1], [2, 1], [1, 1], [1, 2, 1]])
def test_ctc_loss_is_the_sum_over_all_ways(labels: list[int]) -> None:
    z = Z[:5, 0, :3]
    log_p = F.log_softmax(z, -1)
    got = F.ctc_loss(log_p, np.array(labels, int), 5, len(labels), reduction="none").item()
    assert got == pytest.approx(-np.log(by_enumeration(np.exp(log_p.numpy()), labels)), rel=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("flat", [False, True])
def test_ctc_loss_and_its_gradient_are_torchs(reduction: str, flat: bool) -> None:
    torch = pytest.importorskip("torch")
    counts, lengths = [6, 5, 2], [3, 2, 3]  # the last cannot be
    targets = np.array([1, 1, 2, 3, 1, 2, 3, 1]) if flat else TARGETS
    z, t = sg.tensor(Z, requires_grad=True), torch.tensor(Z, requires_grad=True)
    options: dict[str, Any] = {"reduction": reduction, "zero_infinity": True}
    got = F.ctc_loss(F.log_softmax(z, -1), targets, counts, lengths, **options)
    want = torch.nn.functional.ctc_loss(
        torch.log_softmax(t, -1), torch.tensor(targets), counts, lengths, **options
    )
    np.testing.assert_allclose(got.numpy(), want.detach().numpy(), rtol=1e-12)
    got.sum().backward()
    want.sum().backward()
    np.testing.assert_allclose(z.grad.numpy(), t.grad.numpy(), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_ctc_loss_at_orders_0_to_2_is_the_truth(scale: float) -> None:
    x = sg.tensor(Z[:4, :2, :3] * scale, requires_grad=True)

    def loss(z: Any) -> Any:
        return F.ctc_loss(F.log_softmax(z, -1), [[1, 2], [2, 0]], [4, 3], [2, 1], reduction="sum")

    y = loss(x)
    data = leaves_of(y)
    assert err_ulp(y.numpy(), truth(y.term, data)).max() <= 16
    (slope,) = sg.autograd.grad(y, x)
    true = gradient_by_series(y.term, x.term, data)
    np.testing.assert_allclose(slope.numpy(), true.value, rtol=1e-12, atol=1e-14)
    way = RNG.normal(size=x.shape)
    curved = truth(y.term, data, order=2, direction={x.term: way})
    along = sg.jvp(lambda z: sg.jvp(loss, (z,), (way,))[1], (x.numpy(),), (way,))[1]
    scale_of = np.abs(along.numpy()).max() + 1e-300
    assert abs(along.item() - float(curved.value)) <= 1e-11 * scale_of


def test_bad_sequences_say_what_is_wrong() -> None:
    p = F.log_softmax(Z, -1)
    with pytest.raises(DomainError, match="the label 4"):
        F.ctc_loss(p, [[4], [1], [1]], [6] * 3, [1] * 3)
    with pytest.raises(DomainError, match="the label 0"):
        F.ctc_loss(p, [[0], [1], [1]], [6] * 3, [1] * 3)
    with pytest.raises(DomainError, match="at most 6 times"):
        F.ctc_loss(p, TARGETS, [7, 6, 6], [1] * 3)
    with pytest.raises(ShapeError, match="input_lengths"):
        F.ctc_loss(p, TARGETS, [6, 6], [1] * 3)
    with pytest.raises(ShapeError, match="targets of shape"):
        F.ctc_loss(p, TARGETS[:2], [6] * 3, [1] * 3)
    with pytest.raises(ShapeError, match="targets of dtype float"):
        F.ctc_loss(p, TARGETS * 1.0, [6] * 3, [1] * 3)
