"""Layers as functions: values by their definition, gradients and extremes by the oracle."""

# ruff: noqa: PLW0108 - the table of cases is read best as lambdas

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import stablegrad as sg
from stablegrad.errors import DomainError, ShapeError, UnknownNameError
from stablegrad.ir import topological
from stablegrad.ops.record import LEAF
from stablegrad.oracle import truth

F = sg.nn.functional
RNG = np.random.default_rng(20261121)
INF = np.inf


def array(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def whole(*shape: int) -> np.ndarray:
    """Small whole numbers, whose sums and products are exact."""
    return RNG.integers(-4, 5, shape).astype(float)


# -- convolution and pooling --------------------------------------------------------------


def convolved(x: Any, w: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    """The convolution by its definition, element by element."""
    d = w.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in padding]])
    spans = [g * (k - 1) + 1 for g, k in zip(dilation, w.shape[2:], strict=True)]
    lengths = [(n - s) // t + 1 for n, s, t in zip(x.shape[2:], spans, stride, strict=True)]
    out = np.zeros((len(x), len(w), *lengths))
    inner, outer = w.shape[1], len(w) // groups
    for n, o, *place in itertools.product(*[range(m) for m in out.shape]):
        at = [
            slice(i * s, i * s + span, g)
            for i, s, span, g in zip(place, stride, spans, dilation, strict=True)
        ]
        c = o // outer * inner
        out[(n, o, *place)] = np.sum(x[(n, slice(c, c + inner), *at)] * w[o])
    assert d == len(lengths)
    return out


CONVOLUTIONS = [
    ((2, 3, 7), (4, 3, 3), (1,), (0,), (1,), 1),
    ((2, 4, 9), (6, 2, 3), (2,), (2,), (2,), 2),
    ((1, 4, 5), (4, 1, 2), (1,), (1,), (1,), 4),
    ((2, 3, 6, 5), (2, 3, 3, 2), (2, 1), (1, 0), (1, 2), 1),
    ((1, 2, 4, 4, 3), (2, 2, 2, 2, 2), (1, 2, 1), (0, 1, 0), (1, 1, 1), 1),
]


@pytest.mark.parametrize(("shape", "size", "stride", "padding", "dilation", "groups"), CONVOLUTIONS)
def test_convolution_is_its_definition(
    shape: Any, size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> None:
    x, w, b = whole(*shape), whole(*size), whole(size[0])
    f = getattr(F, f"conv{len(shape) - 2}d")
    got = f(x, w, b, stride, padding, dilation, groups)
    expected = convolved(x, w, stride, padding, dilation, groups)
    expected = expected + b.reshape(-1, *[1] * (len(shape) - 2))
    np.testing.assert_array_equal(got.numpy(), expected)
    np.testing.assert_array_equal(
        f(x[0], w, b, stride, padding, dilation, groups).numpy(), expected[0]
    )


@pytest.mark.parametrize(
    ("shape", "size", "stride", "padding", "dilation", "groups"), CONVOLUTIONS[:4]
)
def test_transposed_convolution_is_the_transpose(
    shape: Any, size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> None:
    """<conv(x, w), g> = <x, conv_transpose(g, w)>, exactly on whole numbers."""
    d = len(shape) - 2
    x, w = whole(*shape), whole(*size)
    y = getattr(F, f"conv{d}d")(x, w, None, stride, padding, dilation, groups).numpy()
    g = whole(*y.shape)
    spans = [t * (k - 1) + 1 for t, k in zip(dilation, size[2:], strict=True)]
    more = [
        (n + 2 * p - s) % t for n, p, s, t in zip(shape[2:], padding, spans, stride, strict=True)
    ]
    f = getattr(F, f"conv_transpose{d}d")
    back = f(g, w, None, stride, padding, more, groups, dilation)
    assert back.shape == x.shape
    assert np.sum(y * g) == np.sum(back.numpy() * x)
    pulled = sg.vjp(
        lambda v: getattr(F, f"conv{d}d")(v, w, None, stride, padding, dilation, groups), x
    )[1](g)
    np.testing.assert_array_equal(np.asarray(pulled[0]), back.numpy())


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_by_name(padding: str) -> None:
    x, w = whole(1, 1, 6), whole(1, 1, 4)
    got = F.conv1d(x, w, padding=padding).numpy()
    wide = np.pad(x, [(0, 0), (0, 0), (1, 2)]) if padding == "same" else x
    np.testing.assert_array_equal(got, convolved(wide, w, (1,), (0,), (1,), 1))


def test_pooling_is_its_definition() -> None:
    x = np.array([[[1.0, 5.0, -2.0, 4.0, 4.0]]])
    np.testing.assert_array_equal(F.max_pool1d(x, 2).numpy(), [[[5, 4]]])
    np.testing.assert_array_equal(F.max_pool1d(x, 2, ceil_mode=True).numpy(), [[[5, 4, 4]]])
    np.testing.assert_array_equal(F.max_pool1d(-x - 9, 3, 2, 1).numpy(), [[[-10, -7, -13]]])
    np.testing.assert_array_equal(F.max_pool1d(x, 2, 1, dilation=2).numpy(), [[[1, 5, 4]]])
    np.testing.assert_allclose(F.avg_pool1d(x, 2, 2, 1).numpy(), [[[0.5, 1.5, 4.0]]])
    got = F.avg_pool1d(x, 2, 2, 1, count_include_pad=False).numpy()
    np.testing.assert_allclose(got, [[[1.0, 1.5, 4.0]]])
    got = F.avg_pool1d(x, 2, ceil_mode=True).numpy()
    np.testing.assert_allclose(got, [[[3.0, 1.0, 4.0]]])
    np.testing.assert_allclose(F.adaptive_avg_pool1d(x, 2).numpy(), [[[4 / 3, 2.0]]])
    np.testing.assert_allclose(F.adaptive_max_pool1d(x, 5).numpy(), x)
    y = whole(2, 3, 4, 6)
    blocks = y.reshape(2, 3, 2, 2, 2, 3)
    np.testing.assert_array_equal(F.max_pool2d(y, (2, 3)).numpy(), blocks.max((3, 5)))
    np.testing.assert_allclose(F.avg_pool2d(y, (2, 3)).numpy(), blocks.mean((3, 5)))
    np.testing.assert_allclose(
        F.avg_pool2d(y, (2, 3), divisor_override=2).numpy(), blocks.sum((3, 5)) / 2
    )
    np.testing.assert_allclose(F.adaptive_avg_pool2d(y, 2).numpy(), blocks.mean((3, 5)))


def test_padding_by_elements() -> None:
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(F.pad(x, (1, 2)).numpy(), np.pad(x, ((0, 0), (1, 2))))
    np.testing.assert_array_equal(
        F.pad(x, (0, -1, 1, 0)).numpy(), np.pad(x, ((1, 0), (0, 0)))[:, :3]
    )
    theirs = {
        "reflect": np.pad(x, ((2, 0), (1, 1)), mode="reflect"),
        "replicate": np.pad(x, ((2, 0), (1, 1)), mode="edge"),
        "circular": np.pad(x, ((2, 0), (1, 1)), mode="wrap"),
    }
    for mode, want in theirs.items():
        np.testing.assert_array_equal(F.pad(x, (1, 1, 2, 0), mode).numpy(), want)
    g = sg.grad(lambda v: F.pad(v, (2, 0), "replicate").sum())(np.ones(3)).numpy()
    np.testing.assert_array_equal(g, [3.0, 1.0, 1.0])
    with pytest.raises(ShapeError, match="a pair for each axis"):
        F.pad(x, (1, 2, 3))
    with pytest.raises(UnknownNameError, match="mode='zeros'"):
        F.pad(x, (1, 2), "zeros")


def test_ties_in_a_window_share() -> None:
    g = sg.grad(lambda v: F.max_pool1d(v, 3).sum())(np.array([[2.0, 2.0, 1.0]])).numpy()
    np.testing.assert_array_equal(g, [[0.5, 0.5, 0.0]])


# -- gradients by the oracle --------------------------------------------------------------

MASK = np.array([[True, False, True], [False, True, False], [True, True, True]])
GRADIENTS = {
    "conv2d": (lambda x, w: F.conv2d(x, w, None, 2, 1), [array(1, 2, 4, 5), array(3, 2, 3, 2)]),
    "conv_transpose1d": (lambda x, w: F.conv_transpose1d(x, w, None, 2), [array(1, 2, 3),
                                                                          array(2, 2, 2)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2, 1), [array(1, 1, 3, 3)]),
    "avg_pool1d": (lambda x: F.avg_pool1d(x, 4, 1, 1), [array(1, 1, 4)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, 5, w, b), [array(2, 5), array(5), array(5)]),
    "layer_norm far": (lambda x: F.layer_norm(x, 4), [array(2, 4) + 1e8]),
    "layer_norm huge": (lambda x: F.layer_norm(x, 4), [array(2, 4) * 1e200]),
    "layer_norm constant": (lambda x: F.layer_norm(x, 4), [np.full((1, 4), 3.0)]),
    "rms_norm": (lambda x, w: F.rms_norm(x, 4, w), [array(2, 4), array(4)]),
    "rms_norm zero": (lambda x: F.rms_norm(x, 4, eps=1e-6), [np.zeros((1, 4))]),
    "group_norm": (lambda x, w: F.group_norm(x, 2, w), [array(2, 4, 3), array(4)]),
    "batch_norm": (lambda x: F.batch_norm(x, training=True), [array(3, 2, 2)]),
    "normalize": (lambda x: F.normalize(x), [array(2, 3) * 1e-200]),
    "normalize 3": (lambda x: F.normalize(x, 3.0), [array(2, 3)]),
    "cosine_similarity": (lambda a, b: F.cosine_similarity(a, b),
                          [array(2, 3) * 1e200, array(2, 3) * 1e-3]),
    "pairwise_distance": (lambda a, b: F.pairwise_distance(a, b, eps=0.0),
                          [array(2, 3), array(2, 3)]),
    "cdist": (lambda a, b: F.cdist(a, b), [array(2, 3), array(2, 3) + 1e-9]),
    "embedding": (lambda w: F.embedding(np.array([[0, 2], [2, 2]]), w), [array(3, 2)]),
    "attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, MASK),
                  [array(3, 2), array(3, 2), array(3, 2)]),
    "attention causal": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        [array(2, 3, 2), array(2, 3, 2), array(2, 3, 1)]),
    "attention far": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v),
                      [array(3, 2) * 30, array(3, 2) * 30, array(3, 2)]),
    "glu": (lambda x: F.glu(x), [array(2, 4) * 30]),
    "focal": (lambda z: F.sigmoid_focal_loss(z, np.array([1.0, 0.0, 1.0, 0.0])),
              [np.array([-40.0, -40.0, 40.0, 3.0])]),
    "kl_div": (lambda x, p: F.kl_div(x, p), [-abs(array(4)), abs(array(4))]),
    "kl_div log": (lambda x, p: F.kl_div(x, p, log_target=True), [-abs(array(4)), array(4)]),
    "smooth_l1": (lambda x: F.smooth_l1_loss(x, np.zeros(4), beta=0.5),
                  [np.array([0.25, -3.0, 1e200, 1e-200])]),
    "gaussian_nll": (lambda x, v: F.gaussian_nll_loss(x, np.zeros(3), v),
                     [array(3), abs(array(3)) + 0.1]),
    "poisson_nll": (lambda x: F.poisson_nll_loss(x, np.array([0.0, 2.0, 9.0]), full=True),
                    [array(3)]),
    "triplet": (lambda a: F.triplet_margin_loss(a, a * 0.5 + 1, -a, margin=9.0), [array(2, 3)]),
    "cosine_embedding": (lambda a, b: F.cosine_embedding_loss(a, b, np.array([1.0, -1.0])),
                         [array(2, 3), array(2, 3)]),
    "cross_entropy": (lambda z: F.cross_entropy(z, np.array([0, 1, -100]), label_smoothing=0.1),
                      [array(3, 4) * 40]),
    "hardswish": (lambda x: F.hardswish(x), [np.array([-4.0, -1.0, 0.5, 7.0])]),
    "softshrink": (lambda x: F.softshrink(x), [np.array([-4.0, 0.2, 0.75])]),
    "prelu": (lambda x, w: F.prelu(x, w), [array(2, 3), array(3)]),
}  # fmt: skip


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_the_truth(name: str) -> None:
    f, values = GRADIENTS[name]
    report = sg.check_gradients(f, *values, max_ulp=4096)
    assert report.undecided == 0, name
    # cancellation is the problem's: relative to the greatest element
    assert all(abs(e.got - e.true) <= 1e-13 * max(abs(e.true), 1) for e in report.findings), (
        f"{name}: {report}"
    )


SECOND = """conv2d layer_norm layer_norm_far layer_norm_huge batch_norm normalize normalize_3
attention attention_far cosine_similarity max_pool2d focal cdist gaussian_nll glu""".split()


@pytest.mark.parametrize("name", [n.replace("_far", " far") for n in SECOND])
def test_second_derivatives_are_the_truth(name: str) -> None:
    """Along a direction, forward over forward and forward over reverse."""
    name = name.replace("_huge", " huge").replace("normalize_3", "normalize 3")
    f, values = GRADIENTS[name]
    x, *rest = [sg.tensor(v) for v in values]
    t = array(*x.shape) * np.abs(values[0]).max()
    y = f(x, *rest)
    bound = {v: v.params[0].value for v in topological([y.term]) if v.op is LEAF}
    true = truth(y.term, bound, order=2, direction={x.term: t})
    assert true.decided.all()
    along = lambda v: sg.jvp(lambda u: f(u, *rest), (v,), (t,))[1]  # noqa: E731
    forward = sg.jvp(along, (x,), (t,))[1].numpy()
    scale = np.abs(true.value).max()
    np.testing.assert_allclose(forward, true.value, rtol=1e-13, atol=1e-12 * scale)
    c = array(*y.shape)
    reverse = sg.jvp(sg.grad(lambda v: (f(v, *rest) * c).sum()), (x,), (t,))[1].numpy()
    size = np.abs(c * true.value).sum() + np.abs(reverse * t).sum()
    assert abs(np.sum(reverse * t) - np.sum(c * true.value)) <= 1e-12 * size


# -- extremes -----------------------------------------------------------------------------


def test_normalisation_over_the_range() -> None:
    base = np.array([1.0, 2.0, 4.0])
    expected = (base - base.mean()) / base.std()
    for scale, offset in ((1e300, 0.0), (1e-300, 0.0), (1.0, 1e12), (1e150, 1e160)):
        got = F.layer_norm(base * scale + offset, 3, eps=0.0).numpy()
        np.testing.assert_allclose(got, expected, rtol=2e-5 if offset else 1e-14)
    assert F.layer_norm(np.full(3, 1e308), 3).numpy().tolist() == [0.0, 0.0, 0.0]
    tiny = F.layer_norm(np.array([1e-300, -1e-300]), 2, eps=1e-10).numpy()
    np.testing.assert_allclose(tiny, [1e-295, -1e-295])
    np.testing.assert_allclose(F.rms_norm(base * 1e200, 3, eps=0.0).numpy(), base / np.sqrt(7))
    assert F.normalize(np.zeros((1, 2))).numpy().tolist() == [[0.0, 0.0]]
    assert sg.grad(lambda v: F.pairwise_distance(v, np.ones(2), eps=0.0))(
        np.ones(2)
    ).numpy().tolist() == [0.0, 0.0]


def test_what_attention_hides_has_no_part() -> None:
    """Garbage in hidden keys and values, and rows that see nothing: zeros, at both orders."""
    q, k, v = array(3, 2), array(3, 2), array(3, 2)
    k[1], v[1] = np.nan, INF
    mask = np.array([[True, False, True], [False, False, False], [True, False, False]])
    for given in (mask, np.where(mask, 0.0, -INF)):
        f = lambda q, k, v, m=given: F.scaled_dot_product_attention(q, k, v, m)  # noqa: E731
        out = f(q, k, v).numpy()
        assert out[1].tolist() == [0.0, 0.0]
        assert np.isfinite(out).all()
        np.testing.assert_allclose(out[2], v[0])
        gradients = sg.grad(lambda *a, f=f: (f(*a) ** 2).sum(), argnums=(0, 1, 2))(q, k, v)
        for g in gradients:
            assert np.isfinite(g.numpy()).all()
        assert gradients[0].numpy()[1].tolist() == [0.0, 0.0]
        assert gradients[1].numpy()[1].tolist() == [0.0, 0.0]
        assert gradients[2].numpy()[1].tolist() == [0.0, 0.0]
        t = array(3, 2)
        second = sg.jvp(sg.grad(lambda a, f=f: (f(a, k, v) ** 2).sum()), (q,), (t,))[1].numpy()
        assert np.isfinite(second).all()
        assert second[1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_rounds_once(dtype: Any) -> None:
    """Results are those of float64, rounded, but for the roundings between ops."""
    x = np.array([[1.0, 3.0, 2.0, 3.0], [0.5, -1.0, 2.0, 2.0]])
    functions = [
        sg.numpy.sort,
        lambda v: sg.numpy.median(v, axis=1),
        lambda v: sg.numpy.cumprod(v, 1),
        lambda v: sg.numpy.cumlogsumexp(v, 1),
        lambda v: F.layer_norm(v, 4),
        lambda v: F.rms_norm(v, 4),
        lambda v: F.max_pool1d(v, 2),
        lambda v: F.scaled_dot_product_attention(v, v, v, is_causal=True),
    ]
    eps = float(ml_dtypes.finfo(dtype).eps)
    for f in functions:
        y = f(x.astype(dtype))
        assert y.dtype == dtype
        w = np.arange(y.size).reshape(y.shape) % 5 - 1.5  # exact in both
        slope = sg.grad(lambda v, f=f, w=w: (f(v) * w.astype(v.dtype)).sum())
        for a, b in ((y, f(x)), (slope(x.astype(dtype)), slope(x))):
            got, want = a.numpy().astype(float), b.numpy()
            np.testing.assert_allclose(got, want, atol=8 * eps * np.abs(want).max())


def test_dropout() -> None:
    x = np.ones(10_000)
    y = F.dropout(x, 0.25, generator=3).numpy()
    assert set(np.unique(y)) == {0.0, 1 / 0.75}
    assert y.mean() == pytest.approx(1, abs=0.02)
    np.testing.assert_array_equal(y, F.dropout(x, 0.25, generator=3).numpy())
    assert F.dropout(x, 0.5, training=False).numpy() is not None
    g = sg.grad(lambda v: F.dropout(sg.numpy.sqrt(v), 0.5, generator=0).sum())(np.zeros(50))
    assert set(np.unique(g.numpy())) == {0.0, INF}
    channels = F.dropout1d(np.ones((20, 5, 4)), 0.5, generator=1).numpy()
    assert (channels == channels[:, :, :1]).all()


def test_losses() -> None:
    assert F.kl_div([-INF, 0.0], [0.0, 1.0], reduction="sum").item() == 0.0
    assert F.kl_div(np.zeros((2, 3)), np.ones((2, 3)), reduction="batchmean").item() == 0.0
    np.testing.assert_allclose(
        F.smooth_l1_loss([0.5, 3.0], [0.0, 0.0], reduction="none").numpy(), [0.125, 2.5]
    )
    assert F.smooth_l1_loss([2.0], [0.0], beta=0).item() == 2.0
    assert F.soft_margin_loss([1000.0], [-1.0]).item() == 1000.0
    np.testing.assert_allclose(
        F.hinge_embedding_loss([0.5, 0.25], [1.0, -1.0], reduction="none").numpy(), [0.5, 0.75]
    )
    assert F.margin_ranking_loss([1.0], [3.0], [1.0], margin=0.5).item() == 2.5
    assert F.one_hot(np.array([1]), 3).numpy().tolist() == [[0, 1, 0]]
    padded = sg.grad(lambda w: F.embedding(np.array([0, 1, 1]), w, padding_idx=1).sum())
    np.testing.assert_array_equal(padded(np.ones((2, 1))).numpy(), [[1.0], [0.0]])


@pytest.mark.parametrize(
    ("f", "error", "text"),
    [
        (lambda: F.conv1d(np.ones((1, 2, 3)), np.ones((1, 3, 1))), ShapeError, "in/groups"),
        (lambda: F.conv1d(np.ones((1, 1, 3)), np.ones((1, 1, 5))), ShapeError, "Pad the input"),
        (lambda: F.conv2d(np.ones((1, 3)), np.ones((1, 1, 1, 1))), ShapeError, "2 lengths"),
        (lambda: F.conv1d(np.ones((1, 1, 3)), np.ones((1, 1, 1)), stride=0), ShapeError, "stride"),
        (lambda: F.conv1d(np.ones((1, 1, 3)), np.ones((1, 1, 1)), padding="some"),
         UnknownNameError, "'same'"),
        (lambda: F.max_pool1d(np.ones((1, 1, 3)), 2, padding=2), ShapeError, "half a window"),
        (lambda: F.layer_norm(np.ones((2, 3)), 4), ShapeError, "ends with"),
        (lambda: F.layer_norm(np.ones((2, 3)), 3, np.ones(2)), ShapeError, "a weight of shape"),
        (lambda: F.group_norm(np.ones((2, 3)), 2), ShapeError, "groups"),
        (lambda: F.batch_norm(np.ones((1, 3)), training=True), ShapeError, "more than one"),
        (lambda: F.dropout(np.ones(2), 1.5), DomainError, "a probability"),
        (lambda: F.glu(np.ones(3)), ShapeError, "even length"),
        (lambda: F.embedding(np.array([3]), np.ones((3, 1))), DomainError, "0 to 2"),
        (lambda: F.scaled_dot_product_attention(np.ones((2, 1)), np.ones((2, 2)), np.ones((2, 1))),
         ShapeError, "sources"),
        (lambda: F.kl_div([0.0], [0.0], reduction="all"), DomainError, "batchmean"),
        (lambda: F.pairwise_distance([1.0], [2.0], p=-1), DomainError, "a positive p"),
    ],
)  # fmt: skip
def test_bad_calls(f: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        f()
    assert "test_nn_functional.py" in str(caught.value)


def test_running_statistics_may_be_arrays():
    x = np.array([[1.0, 2.0], [3.0, 6.0]])
    mean, var = np.zeros(2), np.ones(2)
    F.batch_norm(x, mean, var, training=True)
    np.testing.assert_allclose(mean, [0.2, 0.4])
    np.testing.assert_allclose(var, [1.1, 1.7])
