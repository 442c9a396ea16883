"""What every op record promises, held to the truth: one contract over the whole registry.

A new record is under it at once. An elementwise op with static parameters names some of them in
``PARAMS``; a structured op names arguments in ``CASES``: a record without them fails.
"""

from __future__ import annotations

import doctest
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad import ops
from stablegrad.engines.numpy import Plan, kernel_of, xp
from stablegrad.ir import OPS, Term
from stablegrad.ops.derivative import gradient, pushforward
from stablegrad.ops.record import NONNEGATIVE, REAL, Op, ZeroDerivative, const, is_float
from stablegrad.oracle import truth
from stablegrad.program import evaluate
from stablegrad.settings import current
from stablegrad.testing import (
    SEED,
    check_op,
    leaf,
    sample_arguments,
    sample_bits,
    variable,
)
from tests.ops import layer_cases, matrix_cases, sampled

INTERNAL = {"leaf", "forms", "derivative", "lowered"}
"""Families that users do not call; what rewriting emits from them is tested with it."""

PARAMS: dict[str, list[dict[str, Any]]] = {
    "erfcx_derivative": [{"n": 1}, {"n": 3}],
    "astype": [{"dtype": np.dtype(np.float64)}],
    "log_ndtr_difference_derivative": [{"n": 2, "m": 0}],
    "pseudo_huber_derivative": [{"n": 2, "m": 0}, {"n": 1, "m": 1}],
    "compound_sum": [{"n": n, "m": m} for n in range(2) for m in range(2)],
    "geometric_sum": [{"n": n, "m": m} for n in range(2) for m in range(2)],
    "power_of_sum": [{"p": Fraction(-1, 2), "n": 0}, {"p": -1, "n": 1}],
    "power_step": [{"p": Fraction(1, 2), "n": 0}, {"p": 3, "n": 0}, {"p": -1, "n": 1}],
    "polygamma_difference": [{"n": 0}],
    "kve_derivative": [{"n": 0, "m": 0}],
    "bessel_j": [{"n": 0}, {"n": 3}],
    "bessel_y": [{"n": 0}],
    "power_gap": [{"p": Fraction(1, 2)}, {"p": 3}],
    "monomial": [{"powers": (-2,)}, {"powers": (Fraction(1, 2),)}, {"powers": (1, -2)}],
}

NEAR: dict[str, list[float]] = {
    "lgamma": [-1.0, -2.0, 1.0, 2.0, -2.4570247382208006, -2.7476826467274127, -5.0082181683225935],
    "digamma": [-1.0, -2.0, 1.4616321449683623],
    "polygamma": [-1.0, -2.0],
    "log1p": [-1.0],
    "log": [1.0],
    "logit": [0.5, 1.0],
    "log1mexp": [-math.log(2)],
    "arccosh": [1.0],
    "sinc": [1.0, 2.0],
    "erfinv": [1.0],
    "erf": [26.65],
    "erfc": [26.65],
    "ndtr": [-37.7, 37.7],
    "ndtri": [0.5],
}
"""Zeros, poles and ends of the range, around which a part of the sample lies."""

ORDERS: dict[tuple[str, ...], list[dict[str, Any]]] = {
    ("n",): [{"n": 1}, {"n": 2}],
    ("n", "m"): [{"n": 1, "m": 0}, {"n": 0, "m": 1}, {"n": 1, "m": 1}],
}
"""For families of derivatives, whose parameters are orders, unless PARAMS says otherwise."""


def parameters(op: Op) -> list[dict[str, Any]]:
    """The static parameters that an elementwise op is tested with."""
    if not op.params:
        return [{}]
    return PARAMS.get(op.name, ORDERS.get(op.params, []))


ELEMENTWISE = [
    (op, params)
    for op in OPS.values()
    if op.elementwise and op.family not in INTERNAL
    for params in parameters(op)
]


def label(value: Any) -> str | None:
    if isinstance(value, dict):
        return ",".join(f"{k}={v}" for k, v in value.items()) or "-"
    return value.name if isinstance(value, Op) else None


elementwise = pytest.mark.parametrize(("op", "params"), ELEMENTWISE, ids=label)
STATED = {"floor_divide", "astype", *sampled.WHOLE_RANGE, *sampled.ON_A_RANGE}
"""Elementwise ops whose bound is no number of ulp, tested as it is stated (below)."""


CONTRACTS = [(op, params) for op, params in ELEMENTWISE if op.name not in STATED]


@pytest.mark.parametrize(("op", "params"), CONTRACTS, ids=label)
def test_values_and_derivatives_are_the_truth(op: Op, params: dict[str, Any]) -> None:
    report = check_op(op, params=params, near=NEAR.get(op.name, ()))
    assert report.ok, str(report)
    assert report.undecided <= report.points // 50


# -- records ------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPS.values(), ids=label)
def test_a_record_is_complete(op: Op) -> None:
    assert op.doc, "no doc"
    if op.family == "leaf":
        return
    assert op.source, "no source"
    assert op.ulp is not None or op.accuracy, "neither a bound in ulp nor one in words"
    if op.elementwise and op.family not in INTERNAL:
        assert op.ulp is not None or op.name in STATED, "a bound in words needs a test of its own"
        assert op.domain, "no domain"
        assert parameters(op), "name parameters in PARAMS"
        assert op.partials is not None or op.jvp is not None, "no derivative, and no reason why"
    if not op.elementwise and op.family not in INTERNAL:
        assert op.name in CASES, "name arguments in CASES"
        assert op.partials is not None or (op.jvp is not None and op.vjp is not None)
    if op.family not in INTERNAL:
        assert op.example, "no example"


@pytest.mark.parametrize("op", [op for op in OPS.values() if op.family not in INTERNAL], ids=label)
def test_its_example_runs(op: Op) -> None:
    parser = doctest.DocTestParser()
    test = parser.get_doctest(op.example, {"sg": sg, "np": np}, op.name, None, 0)
    assert test.examples
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    runner = doctest.DocTestRunner(optionflags=flags, verbose=False)
    out: list[str] = []
    runner.run(test, out=out.append)
    assert not runner.failures, "".join(out)


@pytest.mark.parametrize("name", ["maximum", "minimum", "clip", "huber"])
def test_no_mask_hides_an_undefined_value(name: str) -> None:
    op = OPS[name]
    for i in range(len(op.domain)):
        values = [leaf(np.full(2, v)) for v in (0.5, 1.5, 2.5)[: len(op.domain)]]
        values[i] = ops.log(leaf(np.array([-1.0, np.nan])))
        y = op(*values)
        slopes = [gradient(y, x, const(1, y.dtype, y.shape)) for x in values]
        assert np.isnan(np.stack(evaluate([y, *slopes], current()))).all()


@elementwise
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_shape_rule_is_the_kernel(op: Op, params: dict[str, Any], dtype: Any) -> None:
    rng = np.random.default_rng(SEED)
    shapes = [(3, 1), (4,), (2, 1, 4), ()]
    values = [
        sample_bits(dtype, math.prod(s), rng, d).reshape(s)
        for s, d in zip(shapes, op.domain, strict=False)
    ]
    values = [v > 0 if i in op.conditions else v for i, v in enumerate(values)]
    for arrays in (values, [v.ravel()[0] for v in values]):
        term = op(*[leaf(v) for v in arrays], **params)
        with np.errstate(all="ignore"):
            out = np.asarray(kernel_of(op)(xp, *[np.asarray(a) for a in arrays], **params))
        assert out.shape == term.shape
        got = evaluate([term], current())[0]
        assert (got.shape, got.dtype) == (term.shape, term.dtype)


# -- partials and facts -------------------------------------------------------------------


def everyday(op: Op, n: int) -> list[np.ndarray]:
    """Arguments inside the domain, of everyday size."""
    rng = np.random.default_rng(SEED)
    out = []
    for i, d in enumerate(op.domain):
        x = sample_bits(np.float64, 40 * n, rng, d)
        x = x[(np.abs(x) > 1e-3) & (np.abs(x) < 30)][:n]
        out.append(x if i not in op.conditions else x > 0)
    return out


@elementwise
def test_textbook_partials_are_the_same_functions(op: Op, params: dict[str, Any]) -> None:
    if op.textbook is None or op.partials is None:
        return
    values = everyday(op, 60)
    names = [variable(f"x{i}", v.dtype) for i, v in enumerate(values)]
    y = op(*names, **params)
    bound = dict(zip(names, values, strict=True))
    for ours, theirs in zip(op.partials(y, *y.args), op.textbook(y, *y.args), strict=True):
        if not isinstance(ours, Term) or not isinstance(theirs, Term):
            assert type(ours) is type(theirs)
            continue
        a, b = (truth(t, bound, np.float64, limits=False) for t in (ours, theirs))
        both = a.decided & b.decided
        assert both.sum() > len(both) // 3  # some domains are half-planes
        # the textbook's constants are rounded, and may cancel
        assert np.allclose(a.value[both], b.value[both], rtol=1e-9, atol=0)


@elementwise
def test_facts_hold(op: Op, params: dict[str, Any]) -> None:
    rng = np.random.default_rng(SEED)
    values = sample_arguments(op.domain, np.float64, 200, rng)
    values = [v > 0 if i in op.conditions else v for i, v in enumerate(values)]
    names = [variable(f"x{i}", v.dtype) for i, v in enumerate(values)]
    y = op(*names, **params)
    t = truth(y, dict(zip(names, values, strict=True)), np.float64, limits=False)
    finite = np.all([np.isfinite(np.asarray(v, float)) for v in values], axis=0)
    decided = t.decided & np.isfinite(t.value)  # at a pole -0 has a side of its own
    inside = finite & decided
    assert (t.value[inside] >= y.facts.lo).all(), (y.facts, t.value[inside].min())
    assert (t.value[inside] <= y.facts.hi).all(), (y.facts, t.value[inside].max())
    if y.facts.defined:
        assert not t.undefined[finite].any()
    within = finite.copy()
    for v, d in zip(values, op.domain, strict=True):
        with np.errstate(invalid="ignore"):
            number = np.asarray(v, float)
            within &= (number > d.lo) & (number < d.hi)
    assert (t.value[within & decided] >= op.range.lo).all()
    assert (t.value[within & decided] <= op.range.hi).all()


@elementwise
def test_it_has_no_value_outside_its_domain(op: Op, params: dict[str, Any]) -> None:
    """Derivatives are nan there: a domain that is too narrow would spoil good points.

    That of several arguments is no box; there the value itself decides.
    """
    if len(op.domain) != 1 or op.domain[0] is REAL:
        return
    rng = np.random.default_rng(SEED)
    values = sample_arguments((REAL,) * len(op.domain), np.float64, 400, rng)
    values = [v > 0 if i in op.conditions else v for i, v in enumerate(values)]
    names = [variable(f"x{i}", v.dtype) for i, v in enumerate(values)]
    t = truth(op(*names, **params), dict(zip(names, values, strict=True)), limits=False)
    outside = np.zeros(t.value.shape, bool)
    finite = ~outside
    for v, d in zip(values, op.domain, strict=True):
        number = np.asarray(v, float)
        finite &= np.isfinite(number)
        outside |= (number < d.lo) | (number > d.hi)
    made = outside & finite & t.decided & np.isfinite(t.value)
    assert not made.any(), [v[made][:3] for v in values]


# -- bounds that are no number of ulp -----------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stated_bound_of_sums(dtype: Any) -> None:
    """n*eps relative to the sum of absolute terms; compensated: eps of the result, n*eps**2."""
    rng = np.random.default_rng(SEED)
    eps = float(np.finfo(dtype).eps)
    x = [v[:2000] for v in sample_arguments((REAL, REAL), dtype, 2000, rng)]
    coefficients = (Fraction(1, 3), -2)
    names = [variable(f"x{i}", v.dtype) for i, v in enumerate(x)]
    bound = dict(zip(names, x, strict=True))
    term = OPS["affine"].term(tuple(names), (Fraction(1, 7), coefficients))
    exact = truth(term, bound, np.float64)
    with np.errstate(all="ignore"):
        size = 1 / 7 + np.abs(x[0].astype(float)) / 3 + 2 * np.abs(x[1].astype(float))
    for name, params, tolerance in (
        ("affine", (Fraction(1, 7), coefficients), 4 * eps * size),
        (
            "compensated_sum",
            (Fraction(1, 7), coefficients, (1, 1)),
            eps * np.abs(exact.value) + 16 * eps**2 * size,
        ),
    ):
        leaves = [leaf(v) for v in x]
        got = Plan([OPS[name].term(tuple(leaves), params)], leaves)(x)[0].astype(float)
        ok = np.isfinite(size) & (size < float(np.finfo(dtype).max) / 4)
        ok &= size > float(np.finfo(dtype).tiny) / eps
        assert ok.sum() > 500
        error = np.abs(got[ok] - exact.value[ok])
        assert (error <= tolerance[ok]).all(), name


def test_stated_bound_of_floor_divide() -> None:
    rng = np.random.default_rng(SEED)
    a, b = (v[:2000] for v in sample_arguments((REAL, REAL), np.float64, 2000, rng))
    x, y = variable("x", a.dtype), variable("y", a.dtype)
    exact = truth(OPS["floor_divide"](x, y), {x: a, y: b})
    got = evaluate([OPS["floor_divide"](leaf(a), leaf(b))], current())[0]
    small = exact.decided & (np.abs(exact.value) < 2.0**53)
    assert small.sum() > 500
    assert np.array_equal(got[small], exact.value[small])


def test_stated_bound_of_astype() -> None:
    x = sample_bits(np.float64, 2000, np.random.default_rng(SEED))
    got = evaluate([OPS["astype"](leaf(x), dtype=np.dtype(np.float32))], current())[0]
    v = variable("x", x.dtype)
    assert np.array_equal(got, truth(v, {v: x}, np.float32).value)


@pytest.mark.parametrize("params", PARAMS["monomial"], ids=label)
def test_products_of_powers(params: dict[str, Any]) -> None:
    domain = (NONNEGATIVE if params["powers"][0] == Fraction(1, 2) else REAL,)
    if len(params["powers"]) == 2:
        domain = (REAL, REAL)
    report = check_op(OPS["monomial"], params=params, domain=domain)
    assert report.ok, str(report)


# -- structured ops -----------------------------------------------------------------------


def array(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape) * 3


X = array(3, 4)
INDEX = np.array([2, 0, 2])
CASES: dict[str, list[tuple[list[Any], dict[str, Any]]]] = {
    "reshape": [([X], {"shape": (2, 6)})],
    "transpose": [([array(2, 3, 4)], {"axes": (2, 0, 1)})],
    "broadcast_to": [([array(3, 1)], {"shape": (2, 3, 4)})],
    "concatenate": [([X, array(2, 4, seed=1)], {"axis": 0})],
    "flip": [([X], {"axis": (0,)})],
    "pad": [([X], {"widths": ((1, 0), (0, 2))})],
    "getitem": [
        ([X], {"index": (1, slice(None, None, 2))}),
        ([X, INDEX], {"index": (("array", 1), slice(None))}),
    ],
    "index_add": [([array(3, 4), INDEX], {"shape": (3, 4), "index": (("array", 1), slice(None))})],
    "take_along_axis": [([X, np.array([[1], [0], [3]])], {"axis": 1})],
    "add_along_axis": [
        ([array(3, 2), np.array([[1, 1], [0, 3], [2, 0]])], {"length": 4, "axis": 1})
    ],
    "sum": [([X], {}), ([X], {"axis": 1, "keepdims": True})],
    "mean": [([X], {}), ([X], {"axis": 0})],
    "any": [([X > 0], {"axis": 0})],
    "all": [([X > 0], {"axis": 0})],
    "count_nonzero": [([X], {"axis": 0})],
    "cumsum": [([X], {"axis": 1})],
    "max": [([X], {"axis": 1}), ([np.array([1.0, 2.0, 2.0, 2.0])], {})],
    "min": [([X], {"axis": 1}), ([np.array([1.0, 1.0, 2.0, 2.0])], {})],
    "argmax": [([X], {"axis": 1})],
    "argmin": [([X], {"axis": 1})],
    "norm": [([X], {}), ([X], {"axis": 1}), ([np.zeros(3)], {})],
    "unit_vector": [([X], {"axis": (1,)})],
    "unit_vector_jvp": [([X, array(3, 4, seed=2)], {"axis": (1,)})],
    "center": [([X], {"axis": (1,)})],
    "var": [([X], {"axis": 1}), ([X], {"ddof": 1})],
    "std": [([X], {"axis": 1})],
    "prod": [
        ([X], {"axis": 1}),
        ([np.array([0.0, 2.0, 3.0])], {}),
        ([np.array([0.0, 2.0, 0.0])], {}),
    ],
    "vector_angle": [([X, array(3, 4, seed=1)], {"axis": 1})],
    "p_norm": [([X], {"axis": 1, "p": 3})],
    "prod_power": [([np.abs(X) + 0.1], {"axis": 1, "p": Fraction(1, 2)})],
    "log_prod": [([np.abs(X) + 0.1], {"axis": 1})],
    "prod_others": [([np.array([0.0, 2.0, 3.0])], {"axis": (0,)})],
    "logsumexp": [([X], {"axis": 1}), ([X * 1000], {"axis": 0})],
    "softmax": [([X], {"axis": 1}), ([X * 1000], {"axis": 0})],
    "log_softmax": [([X], {"axis": 1}), ([X * 1000], {"axis": 0})],
    "softmax_jvp": [([X, array(3, 4, seed=2)], {"axis": (1,)})],
    "log_softmax_jvp": [([X, array(3, 4, seed=2)], {"axis": (1,)})],
    "log_softmax_vjp": [([X, array(3, 4, seed=2)], {"axis": (1,)})],
    "softmax_divergence": [
        ([X, array(3, 4, seed=2)], {"axis": 1}),
        ([X * 300, array(3, 4, seed=2)], {"axis": 0, "keepdims": True}),
        ([X, X + 1e-9 * array(3, 4, seed=2)], {"axis": 1}),
    ],
    "softmax_gap": [
        ([X, array(3, 4, seed=2)], {"axis": (1,)}),
        ([X * 300, array(3, 4, seed=2)], {"axis": (0,)}),
        ([X, X + 1e-9 * array(3, 4, seed=2)], {"axis": (1,)}),
    ],
    "jensen_excess": [([X], {"axis": 1}), ([X * 300], {"axis": 0}), ([1 + 1e-9 * X], {"axis": 1})],
    "jensen_excess_slope": [
        ([X], {"axis": (1,)}),
        ([X * 300], {"axis": (0,)}),
        ([1 + 1e-9 * X], {"axis": (1,)}),
    ],
    "softmax_power_sum": [([X], {"axis": 1}), ([X * 300], {"axis": 0, "k": 3})],
    "log_softmax_power_sum": [
        ([X], {"axis": 1}),
        ([X * 300], {"axis": 0, "keepdims": True}),
        ([1e-9 * X], {"axis": 1, "k": Fraction(3, 2)}),
    ],
    "softmax_power_slope": [
        ([X], {"axis": (1,)}),
        ([X * 300], {"axis": (0,), "k": 3}),
        ([1e-9 * X], {"axis": (1,), "k": Fraction(3, 2)}),
    ],
    "matmul": [([X, array(4, 2, seed=1)], {}), ([array(2, 3, 4), array(4, seed=1)], {})],
    "einsum": [([X, array(4, 5, seed=1)], {"subscripts": "ij,jk->k"})],
    "diagonal": [([X], {})],
    "from_diagonal": [([array(3)], {"rows": 3, "columns": 4})],
    **matrix_cases.CASES,
    **layer_cases.CASES,
}

STRUCTURED = [
    (op, values, params)
    for op in OPS.values()
    if not op.elementwise and op.family not in INTERNAL
    for values, params in CASES.get(op.name, [])
]
structured = pytest.mark.parametrize(
    ("op", "values", "params"),
    STRUCTURED,
    ids=lambda v: None if isinstance(v, list) else label(v),
)


def close(got: Any, true: Any, n: int) -> None:
    """Within 4 ulp for each of n terms, of the greatest result: cancellation is the problem's."""
    true = np.asarray(true)
    scale = np.abs(true[np.isfinite(true)]).max(initial=0.0)
    np.testing.assert_allclose(got, true, rtol=1e-15, atol=4 * n * 2.2e-16 * scale + 5e-324)


@structured
def test_structured_value_is_the_truth(op: Op, values: list[Any], params: dict[str, Any]) -> None:
    term = op(*[leaf(v) for v in values], **params)
    static = dict(zip(term.op.params, term.params, strict=True))
    with np.errstate(all="ignore"):  # as engines run kernels
        out = np.asarray(kernel_of(term.op)(xp, *values, **static))
    assert out.shape == term.shape
    got = evaluate([term], current())[0]
    assert (got.shape, got.dtype) == (term.shape, term.dtype)
    names = [variable(f"x{i}", v.dtype, v.shape) for i, v in enumerate(values)]
    true = truth(op(*names, **params), dict(zip(names, values, strict=True)), np.float64)
    assert true.decided.all()
    close(got, true.value, values[0].size)


@structured
def test_structured_derivatives_are_the_truth(
    op: Op, values: list[Any], params: dict[str, Any]
) -> None:
    """Forward mode against series in balls, reverse mode against forward mode."""
    leaves = [leaf(v) for v in values]
    term = op(*leaves, **params)
    names = [variable(f"x{i}", v.dtype, v.shape) for i, v in enumerate(values)]
    meant = op(*names, **params)
    bound = dict(zip(names, values, strict=True))
    if not is_float(term.dtype):
        if op.partials is not None:
            assert all(isinstance(p, ZeroDerivative) for p in op.partials(term, *term.args))
        return
    rng = np.random.default_rng(SEED)
    cotangent = leaf(rng.normal(size=term.shape))
    for x, name, value in zip(leaves, names, values, strict=True):
        if not is_float(value.dtype):
            continue
        direction = rng.normal(size=value.shape)
        pushed = pushforward(term, (x,), (leaf(direction),))
        pulled = gradient(term, x, cotangent)
        jt, jv = evaluate([pushed, pulled], current())
        true = truth(meant, bound, order=1, direction={name: direction})
        assert true.decided.all()
        close(jt, true.value, 4 * value.size)
        assert jv.shape == value.shape
        left, right = np.sum(cotangent.params[0].value * jt), np.sum(jv * direction)
        size = np.sum(np.abs(cotangent.params[0].value * jt)) + np.sum(np.abs(jv * direction))
        assert abs(left - right) <= 1e-14 * size


def test_every_public_op_is_under_the_contract() -> None:
    names = {op.name for op, _ in ELEMENTWISE} | {op.name for op, _, _ in STRUCTURED}
    public = {op.name for op in OPS.values() if op.family not in INTERNAL}
    assert public - names == set()
