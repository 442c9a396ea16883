"""Each row of docs/rules-against-pytensor.md: what it claims to cover comes out right."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stablegrad import program
from stablegrad.ir import Term
from stablegrad.settings import Settings
from stablegrad.testing import leaf
from tests.rules.more_programs import f, first, kept_sum
from tests.rules.test_families import built, losses

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rules-against-pytensor.md"
WITHIN = 16.0  # ulp, for a whole program and its gradient

exp, log, log1p, expm1, sqrt = f("exp"), f("log"), f("log1p"), f("expm1"), f("sqrt")
sigmoid, softplus, log1mexp, erf, erfc = (
    f("sigmoid"),
    f("softplus"),
    f("log1mexp"),
    f("erf"),
    f("erfc"),
)
sinh, cosh, tanh, power, sign = f("sinh"), f("cosh"), f("tanh"), f("power"), f("sign")
arcsinh, arccosh, arctanh = f("arcsinh"), f("arccosh"), f("arctanh")
softmax, log_softmax = f("softmax", axis=-1), f("log_softmax", axis=-1)
total, prod, where = f("sum", axis=-1), f("prod", axis=-1), f("where")
lse = f("logsumexp", axis=-1, keepdims=True)

Program = tuple[Callable[..., Term], list[Any]]

COVERED: dict[str, list[Program]] = {
    "local_log1p": [(lambda x: log(1 + x), [1e-12]), (lambda x: log(1 - x), [3e-14])],
    "local_expm1": [(lambda x: exp(x) - 1, [1e-12]), (lambda x: -1 + exp(2 * x), [-1e-13])],
    "local_log1p_plusminus_exp": [
        (lambda x: log1p(exp(x)), [800.0]),
        (lambda x: log1p(-exp(x)), [-1e-10]),
    ],
    "logmexpm1_to_log1mexp": [(lambda x: log(-expm1(x)), [-50.0])],
    "logdiffexp_to_log1mexpdiff": [(lambda a, b: log(exp(a) - exp(b)), [801.0, 800.0])],
    "logsigm_to_softplus": [(lambda x: log(sigmoid(x)), [-800.0])],
    "log1msigm_to_softplus": [(lambda x: log(1 - sigmoid(x)), [50.0])],
    "log1p_neg_sigmoid": [(lambda x: log1p(-sigmoid(x)), [50.0])],
    "local_1msigmoid": [(lambda x: 1 - sigmoid(x), [50.0])],
    "local_odds_sigmoid, local_inv_odds_sigmoid": [
        (lambda x: sigmoid(x) / (1 - sigmoid(x)), [50.0]),
        (lambda x: (1 - sigmoid(x)) / sigmoid(x), [50.0]),
    ],
    "local_exp_over_1_plus_exp": [
        (lambda x: exp(x) / (1 + exp(x)), [800.0]),
        (lambda x: 3 / (1 + exp(x)), [-700.0]),
    ],
    "local_reciprocal_1_plus_exp": [(lambda x: 1 / (1 + exp(x)), [-40.0])],
    "local_sigm_times_exp": [(lambda x: exp(x) * sigmoid(-x), [800.0])],
    "local_sigmoid_logit": [(lambda x: sigmoid(log(x / (1 - x))), [1e-300])],
    "local_one_plus_erf, one_minus_erf, erf_minus_one": [
        (lambda x: 1 + erf(x), [-6.0]),
        (lambda x: 1 - erf(x), [6.0]),
        (lambda x: erf(x) - 1, [7.0]),
    ],
    "local_one_minus_erfc, erf_neg_minus_one": [
        (lambda x: 1 - erfc(x), [1e-12]),
        (lambda x: erfc(-x) - 1, [1e-12]),
    ],
    "local_log_erfc": [(lambda x: log(erfc(x)), [100.0])],
    "local_grad_log_erfc_neg": [(lambda x: exp(-x * x) / erfc(x), [60.0])],
    "local_log_add_exp": [
        (lambda x, y: log(exp(x) + exp(y)), [800.0, 801.0]),
        (lambda x, y: log(exp(x) + exp(y) + exp(x * y)), [40.0, 30.0]),
    ],
    "local_log_sum_exp": [(lambda x: log(total(exp(x))), [[800.0, 799.0]])],
    "local_softmax_stabilize": [(lambda x: first(exp(x) / kept_sum(exp(x))), [[800.0, 799.0]])],
    "local_logsoftmax": [(lambda x: log(first(softmax(x))), [[-800.0, 5.0]])],
    "local_exp_log_softmax": [(lambda x: first(exp(log_softmax(x))), [[-300.3, 2.0]])],
    "local_log_softmax_from_logsumexp": [(lambda x: first(x - lse(x)), [[50.0, 1.0]])],
    "local_exp_log": [
        (lambda x: log(exp(x)), [900.0]),
        (lambda x: log1p(expm1(x)), [-50.0]),
        (lambda x: exp(softplus(x)), [-40.0]),
        (lambda x: expm1(softplus(x)), [-40.0]),
    ],
    "local_exp_log_nan_switch: exp(log x), expm1(log1p x)": [
        (lambda x: exp(log(x)), [1e300]),
        (lambda x: expm1(log1p(x)), [1e300]),
    ],
    "... exp(log1p x)": [(lambda x: exp(log1p(x)), [1e300])],
    "... expm1(log x)": [(lambda x: expm1(log(x)), [1e300])],
    "... exp(log1mexp x), expm1(log1mexp x)": [
        (lambda x: exp(log1mexp(-x * x)), [1e-100]),
        (lambda x: expm1(log1mexp(-x * x)), [1e-5]),
    ],
    "... softplus(log x)": [(lambda x: softplus(log(x)), [1e-300])],
    "... log1mexp(log x), log1mexp(log1mexp x)": [
        (lambda x: log1mexp(log(x)), [1e-300]),
        (lambda x: log1mexp(log1mexp(x)), [-80.0]),
    ],
    "local_sqrt_sqr": [
        (lambda x: sqrt(x * x), [-1e200]),
        (lambda x: sqrt(x) ** 2, [1e-300]),
    ],
    "local_log_sqrt": [(lambda x: log(sqrt(x)), [1 + 1e-12])],
    "local_log_div": [(lambda x: log(1 / x), [5e-324]), (lambda x: log(3 / x), [1e-320])],
    "local_mul_exp_to_exp_add, local_div_exp_to_mul_exp": [
        (lambda x, y: exp(x) * exp(y), [800.0, -799.0]),
        (lambda x, a: a / exp(x), [-720.0, 1e-20]),
    ],
    "local_mul_switch_sink, local_div_switch_sink": [
        (lambda x: 1 / x * where(x > 0, sqrt(x), 0 * x) * 2, [1e-200]),
    ],
    "local_log_kv, local_log_iv": [(lambda x: log(f("i0e")(x) * exp(f("abs")(x))), [900.0])],
    "useless_f_of_g: arcsinh(sinh), sinh(arcsinh), arctanh(tanh)": [
        (lambda x: arcsinh(sinh(x)), [800.0]),
        (lambda x: sinh(arcsinh(x)), [1e300]),
        (lambda x: arctanh(tanh(x)), [40.0]),
    ],
    "... cosh(arccosh), arccosh(cosh)": [
        (lambda x: cosh(arccosh(x)), [1e300]),
        (lambda x: arccosh(cosh(x)), [-2.0]),
    ],
    "... neg, reciprocal pairs": [(lambda x: 1 / (1 / x), [5e-324]), (lambda x: -1 * -x, [3.0])],
    "local_polygamma_to_digamma": [(f("polygamma", n=0), [1e-300])],
    "local_log_prod_to_sum_log": [(lambda x: log(prod(x)), [[1e200, 1e200]])],
}

REJECTED: dict[str, tuple[Callable[..., Term], list[Any], float]] = {
    "local_sign_div": (lambda x, y: sign(x / y), [1.0, 0.0], 1.0),
    "local_mul_pow_to_pow_add": (
        lambda x, y: power(leaf(10.0), x) * power(leaf(10.0), y),
        [300.1, 2e-14],
        10.0**300.1 * (1 + 4.6e-14),
    ),
    "local_greedy_distributor": (lambda x, y: (1 / x + 1 / y) * x * y, [0.0, 1.0], np.nan),
    "... tanh(arctanh)": (lambda x: tanh(arctanh(x)), [2.0], np.nan),
    "local_zero_div": (lambda x: 0 / x, [0.0], np.nan),
}
"""Where their rewrite would give another value than the one here."""


def rows() -> set[str]:
    """The rewrites that the page lists."""
    lines = [line for line in PAGE.read_text("utf8").splitlines() if line.startswith("| ")]
    cells = [re.split(r"(?<!\\)\|", line)[1].strip().replace("\\*", "*") for line in lines]
    return set(cells) - {"PyTensor", "---"}


def test_the_page_and_this_file_have_the_same_rows() -> None:
    assert rows() == {*COVERED, *REJECTED}


@pytest.mark.parametrize(
    ("function", "values"),
    [p for programs in COVERED.values() for p in programs],
    ids=[f"{name}-{i}" for name, programs in COVERED.items() for i in range(len(programs))],
)
def test_what_a_row_covers_is_right_with_its_gradient(function: Any, values: list[Any]) -> None:
    leaves, result = built(function, values)
    assert max(losses(leaves, result, Settings())) <= WITHIN


@pytest.mark.parametrize("name", REJECTED)
def test_what_was_rejected_keeps_its_value(name: str) -> None:
    function, values, true = REJECTED[name]
    leaves = [leaf(np.asarray(v, np.float64)) for v in values]
    got = program.evaluate([function(*leaves)], Settings())[0]
    np.testing.assert_allclose(got, true, rtol=1e-13)


def test_domains_are_kept_where_theirs_are_lost() -> None:
    x = leaf(np.asarray([-1.0, 2.0]))
    for term in (sigmoid(log(x / (1 - x))), exp(log(-x * x)), sqrt(-x * x) ** 2):
        assert np.isnan(program.evaluate([term], Settings())[0]).all()
