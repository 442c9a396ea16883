"""Programs for the rules of reductions: losses of classes, sums of exponentials, products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stablegrad.ir import OPS, Term

Case = tuple[str, Callable[..., Term], list[Any]]


def f(name: str, **params: Any) -> Callable[..., Term]:
    """The op of a name."""
    return lambda *args: OPS[name](*args, **params)


exp, log, sqrt, cos, norm = f("exp"), f("log"), f("sqrt"), f("cos"), f("norm", axis=-1)
total, mean, prod = f("sum", axis=-1), f("mean", axis=-1), f("prod", axis=-1)
greatest, least, dot, i0 = f("max", axis=-1), f("min", axis=-1), f("matmul"), f("i0")
tanh, power, softplus = f("tanh"), f("power"), f("softplus")
maximum, minimum, gamma = f("maximum"), f("minimum"), f("gamma")
first, column = f("getitem", index=(0,)), f("getitem", index=(("slice", 0, 2, 1), 1))


def without_first(x: Term) -> Term:
    """The sum of the others."""
    return total(x) - first(x)


def kept(x: Term, m: Term) -> Term:
    """Exponentials of what a mask keeps."""
    return f("where")(m > 0, exp(x), 0.0)


def masked_softmax(x: Term, m: Term) -> Term:
    return kept(x, m) / f("sum", axis=-1, keepdims=True)(kept(x, m))


def across(x: Term, y: Term) -> Term:
    """The product of two vectors of the plane."""
    entries = [f("getitem", index=(i,)) for i in (0, 1)]
    return entries[0](x) * entries[1](y) - entries[1](x) * entries[0](y)


softmax, sigmoid, lse = f("softmax", axis=-1), f("sigmoid"), f("logsumexp", axis=-1)

REDUCTIONS: list[Case] = [
    ("log_of_powers_of_number", lambda x: f("log2")(1 + f("exp2")(x)), [2000.0]),
    ("log_of_powers_of_number", lambda x: f("log2")(mean(f("exp2")(x))), [[2000.0, 1999.0]]),
    (
        "log_of_powers_of_number",
        lambda x: 10 * f("log10")(total(power(10.0, x / 10))),
        [[5000.0, 4999.0, 0.0]],
    ),
    (
        "share_of_entry",
        lambda x, t: log(first(exp(x / t)) / total(exp(x / t))),
        [[100.0, 36.0, -1.0], 0.5],
    ),
    ("share_of_entry", lambda x: exp(2 * first(x)) / total(exp(2 * x)), [[800.0, 0.5, 1.0]]),
    (
        "logistic_interval_of_neighbours",
        lambda c, x: log(sigmoid(c - x) - sigmoid(-x)),
        [1e-10, 0.3],
    ),
    (
        "logistic_interval_of_neighbours",
        lambda c, d, x: log(sigmoid((c - x) / 2) - sigmoid((d - x) / 2)),
        [0.7000001, 0.7, 0.3],
    ),
    (
        "mean_by_exponentials",
        lambda x, a: total(x * exp(a * x)) / total(exp(a * x)),
        [[1.0, 2.0, 3.0], 500.0],
    ),
    (
        "mean_by_exponentials",
        lambda x, a: mean(-2 * x * exp(a * x)) / mean(exp(a * x)),
        [[1.0, 2.0, 3.0], -500.0],
    ),
    (
        "mean_of_exponentials_by_rate",
        lambda x, b: log(mean(exp(b * x))) / b,
        [[float(k) for k in range(40)], 1e-11],
    ),
    (
        "mean_of_exponentials_by_rate",
        lambda x, t: -t * log(mean(exp(-x / t))) + 1,
        [[1.0, 3.0, 4.5], 1e6],
    ),
    (
        "arctanh_of_product_of_tanh",
        lambda a, b: 2 * f("arctanh")(tanh(a / 2) * tanh(b / 2)),
        [90.0, -75.0],
    ),
    ("arctanh_of_product_of_tanh", lambda a: f("arctanh")(tanh(a) * tanh(3 * a)), [400.0]),
    (
        "logsumexp_less_mean",
        lambda x: log(total(exp(x))) - mean(x),
        [[1000.0, 1001.0, 1002.5]],
    ),
    (
        "logsumexp_less_mean",
        lambda x, y: mean(x) + 3 * y - log(total(exp(x))),
        [[-3e5, -3e5 - 2, -3e5 + 1], 0.5],
    ),
    (
        "share_beside_constant",
        lambda x: exp(first(x)) / (total(exp(x)) + 1e-9),
        [[800.0, 801.0, 1.0]],
    ),
    (
        "share_beside_constant",
        lambda x, m: total(kept(x, m) / (total(kept(x, m)) + 0.5) * m),
        [[900.0, 899.0, 2000.0], [1.0, 2.0, 0.0]],
    ),
    (
        "power_of_summed_powers",
        lambda x, p: power(total(power(f("abs")(x), p)), 1 / p),
        [[1e200, -2e200, 1.5e200], 2.5],
    ),
    (
        "power_of_summed_powers",
        lambda x, p: 2 * power(mean(power(f("abs")(x), p)), 1 / p),
        [[1e-150, -2e-150, 5e-150], -3.5],
    ),
    ("growth_times_tail", lambda x: exp(-x - 1) / f("erfc")(sqrt(x)), [800.0]),
    ("growth_times_tail", lambda x: exp(-x * x / 2) / f("erfc")(x / 1.4142135623730951), [40.0]),
    (
        "log_of_sum_of_shares",
        lambda x: log(total(f("getitem", index=(slice(1, 3),))(softmax(x)))),
        [[800.0, 1.0, 2.0]],
    ),
    (
        "log_of_sum_of_shares",
        lambda x, w: log(total(w * softmax(x))) / 2,
        [[900.0, 1.0, -2.0], [0.0, 0.3, 2.0]],
    ),
    ("log_of_quotient_by_tail", lambda x: log(3 / f("erfc")(x)), [40.0]),
    ("log_of_quotient_by_tail", lambda x, s: s * log(2 / f("erfc")(x / s)), [90.0, 2.0]),
    (
        "log_of_mixed_shares",
        lambda x, y: mean(log(softmax(x) / 2 + softmax(y) / 2)),
        [[800.0, 1.0, 2.0], [1.0, 800.0, 2.0]],
    ),
    (
        "log_of_mixed_shares",
        lambda x, y: total(softmax(x) * log((softmax(x) + 3 * softmax(y)) / 4)),
        [[1600.0, 1.0, 2.0], [1.0, 800.0, 2.0]],
    ),
    (
        "log_ratio_of_weighted_sums",
        lambda w, x: log(total(w * exp(x)) / total(w)),
        [[1.0, 0.5, 1.0], [800.0, 1.0, 2.0]],
    ),
    (
        "log_ratio_of_weighted_sums",
        lambda w, x: log(total(w**3 * exp(-x)) / total(w)) / 3,
        [[1.0, 0.5, 2.0], [800.0, 900.0, 2000.0]],
    ),
    (
        "turn_of_vectors",
        lambda x, y: f("arctan2")(across(x, y), total(x * y)),
        [[1e200, 1.0], [1e200, 2e200]],
    ),
    (
        "turn_of_vectors",
        lambda x, y: f("abs")(f("arctan2")(across(x, y), dot(y, x))),
        [[1e-170, 3e-170], [2e-170, -1e-170]],
    ),
    ("sum_less_an_entry", lambda x: log(without_first(x)), [[1e20, 1.0, 2.0]]),
    ("sum_less_an_entry", lambda x: total(x**2) - first(x) ** 2, [[1e20, 1.0, 2.0]]),
    ("log_of_guarded_sum", lambda x: log(without_first(exp(x))), [[800.0, 1.0, 900.0]]),
    (
        "log_of_guarded_sum",
        lambda x, t: log(total(exp(x / t)) - exp(first(x) / t)) / t,
        [[8.0, 1.0, 2.0], 2.0**-8],
    ),
    (
        "sum_of_masked_exponentials",
        lambda x, m: log(total(kept(x, m))),
        [[1e3, 800.0, 1.0], [-1.0, 1.0, 1.0]],
    ),
    (
        "sum_of_masked_exponentials",
        lambda x, m: log(mean(kept(-x, m))) + 1,
        [[1e3, 800.0, 900.0], [-1.0, 1.0, 1.0]],
    ),
    (
        "share_of_masked_exponentials",
        lambda x, m: first(masked_softmax(x, m)),
        [[1e3, 800.0, 1e3], [1.0, -1.0, 1.0]],
    ),
    (
        "share_of_masked_exponentials",
        lambda x, m: log(first(masked_softmax(x, m))),
        [[-800.0, 800.0, 1.0], [1.0, -1.0, 1.0]],
    ),
    ("product_of_vectors", lambda x: sqrt(dot(x, x)), [[1e200, 1e200]]),
    (
        "product_of_vectors",
        lambda x, y: dot(x, y) / (norm(x) * norm(y)),
        [[1e200, 2e200], [3.0, 1]],
    ),
    ("greatest_exponential", lambda x: log(greatest(exp(x))), [[1000.0, 3.0]]),
    ("greatest_exponential", lambda x: log(least(exp(x))), [[-1000.0, 3.0]]),
    ("greater_exponential", lambda x, y: log(maximum(exp(x), exp(y))), [1000.0, 3.0]),
    ("greater_exponential", lambda x, y: log(minimum(exp(x), exp(y))), [-1000.0, 3.0]),
    ("log_of_prod", lambda x: log(prod(x**2)), [[1e200, -1e200, 1e-100]]),
    ("entry_less_logsumexp", lambda x: log(total(exp(x))) - first(x), [[1000.0, 1.0, 999.0]]),
    (
        "entry_less_logsumexp",
        lambda x: mean(log(total(exp(x))) - column(x)),
        [[[1e3, 1e3 - 1, 3.0], [-900, -901.0, -899]]],
    ),
    ("growth_times_bessel_function", lambda x: exp(-x) * i0(x), [800.0]),
    ("growth_times_bessel_function", lambda x, k: exp(k * cos(x)) / i0(k), [0.1, 1000.0]),
    ("scaled_bessel_function_times_growth", lambda x: exp(f("abs")(x)) * f("i0e")(x), [1e-9]),
    ("scaled_bessel_function_times_growth", lambda x: log(exp(f("abs")(x)) * f("i0e")(x)), [1e-6]),
    (
        "log_of_sums_of_exponentials",
        lambda y, x: log(exp(y) + total(exp(x))) - y,
        [800.0, [1.0, 799.0]],
    ),
    (
        "log_of_sums_of_exponentials",
        lambda y, x: log(exp(y) + total(exp(x))) - y,
        [100.0, [0.2, 0.3]],
    ),
    (
        "log1p_of_sum_of_exponentials",
        lambda y, x: log(1 + exp(y) + total(exp(x))),
        [800.0, [1.0, 799.0]],
    ),
    (
        "log1p_of_sum_of_exponentials",
        lambda x, y: log(1 + total(exp(x)) * total(exp(-y))),
        [[1.0, 799.0], [800.0, 900.0]],
    ),
    (
        "log_of_product_with_sum",
        lambda x, y: log(total(exp(x)) * total(exp(y))),
        [[800.0, 1.0], [-800.0, 2.0]],
    ),
    (
        "log_of_product_with_sum",
        lambda x, y: log(3 * total(exp(x)) / y),
        [[800.0, 1.0], 7.0],
    ),
    (
        "share_of_exponential",
        lambda y, x: exp(y) / (exp(y) + total(exp(x))),
        [-800.0, [-799.0, -801.0]],
    ),
    (
        "share_of_exponential",
        lambda x, y: -log(total(exp(x)) / (total(exp(x)) + total(exp(y)))),
        [[800.0, 3.0], [1.0, 799.0]],
    ),
    ("growth_over_growth", lambda x, y: (exp(x) - 1) / (exp(y) - 1), [800.0, 799.0]),
    (
        "growth_over_growth",
        lambda k, p, t: k * p * exp(t) / (k + p * (exp(t) - 1)),
        [100.0, 3.0, 800.0],
    ),
    ("growth_over_growth", lambda a, x: (1 - exp(-a * x)) / (1 - exp(-a)), [-800.0, 0.3]),
    ("ratio_of_neighbouring_gammas", lambda x: gamma(x + 1) / gamma(x), [200.0]),
    ("ratio_of_neighbouring_gammas", lambda x: x**2 * gamma(x) / gamma(x + 3), [200.0]),
    ("root_of_growth", lambda x: sqrt(exp(x * x) - 1), [30.0]),
    ("root_of_growth", lambda x, y: y / sqrt(2 + 3 * exp(x)), [800.0, 1e170]),
    (
        "slope_of_gelu_beside_density",
        lambda x: x * f("ndtr")(x) + exp(-x * x / 2) * 0.3989422804014327,
        [-20.0],
    ),
    (
        "slope_of_gelu_beside_density",
        lambda x: 2 * f("gelu")(x) + exp(-(x**2) / 2) / 1.2533141373155001,
        [-20.0],
    ),
    (
        "divergence_of_softmaxes",
        lambda x, y: total(softmax(x) * (log(softmax(x)) - log(softmax(y)))),
        [[1.0, 2.0, 3.0], [1.0, 2.0, 3 + 1e-9]],
    ),
    (
        "divergence_of_softmaxes",
        lambda x, y: mean(softmax(x / 2) * log(softmax(x / 2) / softmax(y / 2))),
        [[100.0, 98.0, 3.0], [100.0, 98.0 - 1e-7, 3.0]],
    ),
    (
        "relative_entropy_of_softmaxes",
        lambda x, y: total(f("rel_entr")(softmax(x), softmax(y))),
        [[1.0, 2.0, 3.0], [1.0, 2.0, 3 + 1e-9]],
    ),
    (
        "relative_entropy_of_softmaxes",
        lambda x, y: (
            3 * total(f("xlogy")(softmax(x), softmax(x)) - f("xlogy")(softmax(x), softmax(y)))
        ),
        [[1.0, -2.0], [1.0, -2 + 1e-9]],
    ),
    (
        "entropies_of_softmaxes",
        lambda x, y: total(softmax(x) * log(softmax(x))) - total(softmax(x) * log(softmax(y))),
        [[1.0, 2.0, 3.0], [1.0, 2.0, 3 + 1e-9]],
    ),
    (
        "entropies_of_softmaxes",
        lambda x, y: mean(softmax(x) * log(softmax(y))) - mean(softmax(x) * log(softmax(x))),
        [[1.0, -2.0], [1 + 1e-9, -2.0]],
    ),
    (
        "sum_of_differences_of_shares",
        lambda x, y: y * (1e-20 + total(softmax(x) - softmax(2 * x))),
        [[0.3, 2.1, 0.7, 1.0, -0.37, 1.93, 0.11], 2.0],
    ),
    (
        "sum_of_differences_of_shares",
        lambda x, y: mean(softmax(y) - softmax(x)) + 1e-30,
        [[0.3, 2.1, 0.7, 1.0, -0.37, 1.93, 0.11], [0.1, 0.2, 3.0, 0.4, 1.7, -1.1, 0.59]],
    ),
    (
        "logsumexp_less_its_power",
        lambda x: 2 * lse(x) - lse(2 * x),
        [[500.0, 0.0, -900.0]],
    ),
    (
        "logsumexp_less_its_power",
        lambda x: 3 * (lse(x) - 1.5 * lse(x / 1.5)),
        [[0.3, 2.1, 300.0]],
    ),
    (
        "sum_of_exponentials_over_its_power",
        lambda x: total(exp(x)) ** 2 / total(exp(x) ** 2),
        [[1000.0, 500.0, -900.0]],
    ),
    (
        "sum_of_exponentials_over_its_power",
        lambda x, y: y * total(exp(3 * x)) / total(exp(x)) ** 3,
        [[-1000.0, -999.0, -1800.0], 0.3],
    ),
    (
        "sum_of_powers_of_shares",
        lambda x: 1 / total(softmax(x) ** 2),
        [[1.0, 1 + 1e-8, 1.0]],
    ),
    (
        "sum_of_powers_of_shares",
        lambda x, y: total(softmax(x / 3) ** 3) ** y,
        [[1.0, 1 + 1e-8, 1.0], 0.5],
    ),
    (
        "log_of_powers_of_shares",
        lambda x: -log(total(softmax(x) ** 2)),
        [[500.0, 0.0, -900.0]],
    ),
    (
        "log_of_powers_of_shares",
        lambda x, y: y * log(2 * total(softmax(x) ** 3) / 2),
        [[60.0, 0.0, 1.0], 0.3],
    ),
    (
        "impurity_of_shares",
        lambda x: 1 - total(softmax(x) ** 2),
        [[500.0, 0.0, -900.0]],
    ),
    (
        "impurity_of_shares",
        lambda x, y: y / 2 - y * total(softmax(x) ** 1.5) / 2,
        [[60.0, 0.0, 1.0], 0.3],
    ),
    (
        "jensens_gap",
        lambda x: log(mean(exp(x))) - mean(x),
        [[1.0, 1 + 1e-8, 1.0]],
    ),
    (
        "jensens_gap",
        lambda x, y: y * (total(x) / 3 - log(total(exp(x)) / 3)),
        [[1.0, 1 + 1e-4, 1.0], 0.3],
    ),
    (
        "jensens_gap",
        lambda x: lse(x) - mean(x) - 1.0986122886681098,
        [[0.1, 0.1002, 0.1]],
    ),
    (
        "ratio_of_shares",
        lambda x, y: first(softmax(x)) / first(softmax(y)),
        [[-1000.0, 0.0], [-1000.0001, 0.0]],
    ),
    (
        "ratio_of_shares",
        lambda x, y: y * first(softmax(x)) / first(softmax(1.001 * x)),
        [[-800.0, 0.0], 0.3],
    ),
    (
        "log_of_cumprod",
        lambda x: log(f("cumprod", axis=-1)(x)),
        [[1e-200, 1e-200, 0.5]],
    ),
    (
        "log_of_cumprod",
        lambda x, y: y * total(log(f("cumprod", axis=-1)(f("flip", axis=(0,))(x)))),
        [[1e-300, 1e-200, 3e-10], 0.5],
    ),
    (
        "log_of_ratio_of_shares",
        lambda x, y: log(first(softmax(x)) / first(softmax(y))),
        [[-1000.0, 0.0], [-900.0, 0.0]],
    ),
    (
        "log_of_ratio_of_shares",
        lambda x, y: log(3 * first(softmax(x)) / first(softmax(y))) - 1,
        [[-800.0, 0.0, 1.0], [-801.0, 0.0, 3.0]],
    ),
    (
        "power_of_mean_of_powers",
        lambda x, p: power(mean(power(x, p)), 1 / p),
        [[1.0, 2.0, 5.0], 1e-8],
    ),
    (
        "power_of_mean_of_powers",
        lambda x, p: power(total(power(x, -2 * p)) / 3, -1 / p),
        [[1e200, 1.1e200, 1.05e200], 0.55],
    ),
    (
        "function_over_square_of_length",
        lambda v: first(v) * (1 - cos(norm(v))) / norm(v) ** 2,
        [[1e-5, 2e-5]],
    ),
    (
        "function_over_square_of_length",
        lambda v, y: y * (f("cosh")(3 * norm(v)) - 1) / total(v * v),
        [[1e-9, 2e-9], 0.3],
    ),
]
