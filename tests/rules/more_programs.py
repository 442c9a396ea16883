"""Programs for the rules of logistic functions, exponentials, tails, shares and fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops.record import const
from stablegrad.rules.roots import square_root

Case = tuple[str, Callable[..., Term], list[Any]]


def f(name: str, **params: Any) -> Callable[..., Term]:
    """The op of a name."""
    return lambda *args: OPS[name](*args, **params)


exp, log, log1p, expm1, sqrt = f("exp"), f("log"), f("log1p"), f("expm1"), f("sqrt")
sigmoid, tanh, softplus, log_sigmoid = f("sigmoid"), f("tanh"), f("softplus"), f("log_sigmoid")
erf, erfc, ndtr, log_ndtr = f("erf"), f("erfc"), f("ndtr"), f("log_ndtr")
hypot, norm, square, sinh = f("hypot"), f("norm", axis=-1), f("square"), f("sinh")
total, mean, softmax = f("sum", axis=-1), f("mean", axis=-1), f("softmax", axis=-1)
cos, cosh = f("cos"), f("cosh")
sin, gap, power, pow1p = f("sin"), f("sigmoid_gap"), f("power"), f("pow1p")
arccos, arcsin, arccosh, unit = f("arccos"), f("arcsin"), f("arccosh"), f("hypot_unit")
exprel, dexprel, ddexprel = f("exprel"), f("exprel_derivative", n=1), f("exprel_derivative", n=2)
erfcx, derfcx = f("erfcx"), f("erfcx_derivative", n=1)
slope, logit, i0, i1 = f("sigmoid_slope"), f("logit"), f("i0"), f("i1")


def first(x: Term) -> Term:
    return OPS["getitem"](x, index=(0,))


def less_greatest(x: Term) -> Term:
    return x - OPS["max"](x, axis=-1, keepdims=True)


def over_root_2(x: Term) -> Term:
    return x * const(square_root(Fraction(1, 2)), x.dtype)


def chosen(condition: Term, x: Term) -> Term:
    """The share of what was seen."""
    return OPS["where"](condition, sigmoid(x), 1 - sigmoid(x))


def held(x: Term) -> Term:
    """0 where it is infinite."""
    return OPS["where"](OPS["equal"](x, float("inf")), 0, x)


def kept_sum(x: Term) -> Term:
    return OPS["sum"](x, axis=-1, keepdims=True)


FAR = [1e8 + 1, 1e8 + 2, 1e8 + 4.5]
CLOSE = [1e8 + 0.1, 1e8 + 0.3, 1e8 + 0.4]
PAIR = [FAR, [1e8 + 1.5, 1e8 + 2.25, 1e8 + 4]]


def around(x: Term, m: Term, s: Term, half: float = 0.5) -> Term:
    """The probability of an interval around x."""
    return ndtr((x + half - m) / s) - ndtr((x - half - m) / s)


MORE: list[Case] = [
    (
        "expm1_of_sum_over_its_factors",
        lambda x, a: x * expm1(3 * x * a) / (expm1(x * a) * expm1(2 * x * a)),
        [1e-9, 2.0],
    ),
    (
        "expm1_of_sum_over_its_factors",
        lambda x, a, b: x * (exp((a + b) * x) - 1) / ((exp(a * x) - 1) * (exp(b * x) - 1)),
        [1e-20, 2.0, -5.0],
    ),
    (
        "logaddexp_over_its_rate",
        lambda k, x, y: log(exp(k * x) + exp(k * y)) / k,
        [3e200, 2e200, 1e150],
    ),
    (
        "logaddexp_over_its_rate",
        lambda k, x, y: 2 * f("logaddexp")(-k * x, -k * y) / k,
        [3e200, -2e200, 1e150],
    ),
    (
        "log_of_masked_exponentials",
        lambda m, x, y: log(f("where")(m > 0, exp(x), 0.0) + exp(y)),
        [1.0, 800.0, 2.0],
    ),
    (
        "log_of_masked_exponentials",
        lambda m, x: log(1 + f("where")(m < 0, exp(x), 0.0)),
        [1.0, 800.0],
    ),
    (
        "power_of_sum_of_powers",
        lambda x, y, p: power((power(x, p) + power(y, p)) / 2, 1 / p),
        [3.0, 2.0, 1e5],
    ),
    (
        "power_of_sum_of_powers",
        lambda x, y, p: log(power(3 * power(x, -p) + 2 * power(y, -p), -1 / p)),
        [3e200, 2e199, 7.0],
    ),
    (
        "arccosh_of_one_plus_product",
        lambda x, y: arccosh(1 + square(x - y) / (2 * y)),
        [3.0, 3e200],
    ),
    ("arccosh_of_one_plus_product", lambda x, y: y * arccosh(1 + 2 * x * x), [-1e-170, 5.0]),
    ("slope_of_silu_beside_sigmoid", lambda x: sigmoid(x) - f("silu_derivative", n=1)(x), [40.0]),
    ("slope_of_silu_beside_sigmoid", lambda x: log(softplus(x) - f("silu")(x)), [35.0]),
    ("choice_of_one_function", lambda x, y: square(1 - chosen(y > 0, x)), [40.0, 1.0]),
    ("choice_of_one_function", lambda x, y: log(chosen(y > 0, x)), [-800.0, 1.0]),
    ("one_minus_mean_with_sigmoid", lambda x, y: 1 - (sigmoid(x) + sigmoid(-x) * y), [40.0, 0.3]),
    (
        "one_minus_mean_with_sigmoid",
        lambda x, y, z: z * (sigmoid(x) + (1 - sigmoid(x)) * exp(y) - 1),
        [50.0, -3.0, 2.0],
    ),
    ("one_minus_mean_with_one", lambda x, y: 1 - (x + (1 - x) * sigmoid(y)), [0.3, 45.0]),
    ("one_minus_mean_with_one", lambda x, y: log(1 - x - (1 - x) * erf(y)), [0.75, 20.0]),
    ("log_of_rest_times_sigmoid", lambda x, y: log((1 - x) * sigmoid(y)), [0.25, -800.0]),
    ("log_of_rest_times_sigmoid", lambda x, y: log(1 - (x + (1 - x) * sigmoid(y))), [1e-9, -20.0]),
    ("log_of_mean_with_exponential", lambda x, y: log(y + (1 - y) * sigmoid(x)), [50.0, 0.3]),
    (
        "log_of_mean_with_exponential",
        lambda x, y: log(sigmoid(x) + sigmoid(-x) * exp(-y)),
        [60.0, 3.0],
    ),
    ("softplus_less_multiple", lambda x, y: log(1 + exp(x)) - x * y, [50.0, 1.0]),
    ("softplus_less_multiple", lambda x, k: k * x - (k + 1) * softplus(x), [60.0, 1e30]),
    ("softplus_less_multiple", lambda x, n, y, z: z + n * softplus(-x) + x * y, [-90, 3, 3, 0]),
    ("sigmoid_of_held_softplus", lambda x: exp(held(x) - held(softplus(x))), [35.0]),
    ("sigmoid_of_held_softplus", lambda x: log(exp(held(2 * x) - held(softplus(2 * x)))), [60.0]),
    ("log_of_negative_interval", lambda x, m, s: log(around(x, m, s)), [3.0, 1.0, 1e4]),
    ("log_of_negative_interval", lambda x, m, s: log(around(x, m, s)), [3e4, 1.0, 1e4]),
    ("log_of_negative_interval", lambda x, s: 2 * log(around(x, 0 * x, s, 1e-6)), [-2.5, 0.7]),
    ("log_of_tanh", lambda x: log(tanh(x / 2)), [50.0]),
    ("log_of_tanh", lambda x: log((exp(x) + exp(-x)) / (exp(x) - exp(-x))), [30.0]),
    ("log1mexp_of_exp", lambda x: log(1 - exp(-exp(x))), [-800.0]),
    ("log1mexp_of_exp", lambda x, s: log(1 - exp(-exp(x / s))), [-90.0, 0.1]),
    ("log_of_length_and_leg", lambda x: log(f("abs")(x) + sqrt(x * x + 1)), [-1e-9]),
    ("log_of_length_and_leg", lambda x: x / log(sqrt(1 + x * x) + f("abs")(x)), [3e-12]),
    ("log_of_scaled_tail", lambda x: log(exp(x * x) * erfc(x)), [-150.0]),
    ("log_of_scaled_tail", lambda x, s: log(f("erfcx")(x / s)) / x, [-90.0, 0.5]),
    ("log_of_logistic_interval", lambda x, y: log(gap(x, y)), [-800.0, -801.0]),
    ("log_of_logistic_interval", lambda x, y: x * log(gap(2 * x, y)), [450.0, 800.0]),
    ("log_of_negative_logistic_interval", lambda x, y: log(gap(x, y) * -1), [-801.0, -800.0]),
    ("log_of_negative_logistic_interval", lambda x, y: -log(-gap(x * x, y)), [30.0, 901.0]),
    ("exp_of_log_erfc", lambda x: exp(log(erfc(x))), [26.0]),
    ("exp_of_log_erfc", lambda x, y: y * exp(f("log_erfc")(x)), [28.0, 1e100]),
    ("expm1_of_log_erfc", lambda x: expm1(log(erfc(x))), [1e-10]),
    ("expm1_of_log_erfc", lambda x, y: y / expm1(log(erfc(x))), [1e-12, 3.0]),
    ("expm1_of_log_ndtr", lambda x: x * expm1(log(ndtr(x))), [30.0]),
    ("expm1_of_log_ndtr", lambda x, y: y / expm1(log(ndtr(x))), [35.0, 1e-9]),
    ("tail_times_slope_of_log_erfc", lambda x, y: y * erfc(x) * log(erfc(x)), [28.0, 1e300]),
    ("tail_times_slope_of_log_erfc", lambda x, y: log(erfc(x)) * erfc(x) / y, [29.0, 1e-200]),
    ("tail_times_slope_of_log_ndtr", lambda x, y: y * ndtr(x) * log(ndtr(x)), [-39.0, 1e300]),
    ("tail_times_slope_of_log_ndtr", lambda x, y: log_ndtr(x) * ndtr(x) / y, [-40.0, 1e-200]),
    ("slope_over_scaled_tail", lambda x, y: y * derfcx(x) / erfcx(x), [-30.0, 2.0]),
    ("slope_over_scaled_tail", lambda x, y: derfcx(x / y) / erfcx(x / y), [-80.0, 2.0]),
    ("power_of_tail", lambda x, y: power(ndtr(x), y), [-50.0, 0.01]),
    ("power_of_tail", lambda x, y: power(1 / (1 + exp(-x)), y), [-800.0, 0.01]),
    ("power_of_complement", lambda x, y: 1 - power(1 - power(x, y), 3 * y), [1e-9, 2.0]),
    ("power_of_complement", lambda x, y: log(1 - power(1 - exp(-x), y)), [50.0, 0.5]),
    ("density_over_tail", lambda x, m: exp(-((x - m) ** 2) / 2) / ndtr(x - m), [-50.0, 1.0]),
    ("density_over_tail", lambda x, y: y * exp(-x * x / 2) / (1 - ndtr(x)), [50.0, 3.0]),
    ("growth_times_tail", lambda a, b: exp(a) * erfc(b), [1e3, 32.0]),
    ("growth_times_tail", lambda a, b: 3 * ndtr(b) * exp(a / 2), [2e3, -45.0]),
    ("zero_over_shared_factor", lambda x, y: (power(x, y) - 1) / y, [1 + 1e-12, 3e-5]),
    ("inverse_over_its_argument", lambda x: f("arctan")(2 * x) / x, [[0.0, 0.5]]),
    ("inverse_over_its_argument", lambda x, y: x * y / f("arcsinh")(x * y), [0.0, 0.3]),
    ("zero_over_shared_factor", lambda x, y: (1 - OPS["cos"](x * y)) / x**2, [1e-160, 1e150]),
    ("zero_over_shared_factor", lambda x, y: (sqrt(1 + x * y) - 1) / x, [1e-300, 1e5]),
    ("zero_over_shared_factor", lambda x, y: expm1(x * y) / expm1(3 * x), [1e-320, 4.0]),
    (
        "angle_in_right_triangle",
        lambda x, y: arccos(x / sqrt(x * x + y * y + x * x * y * y)),
        [1e-3, 1e-9],
    ),
    ("zero_over_shared_factor", lambda x: log(1 - exp(-exp(x))), [1e4]),
    ("cos_less_sinc", lambda x: sin(x) / x**2 - cos(x) / x, [1e-6]),
    ("cos_less_sinc", lambda x, y: 3 * sin(x + y) / (x + y) - 3 * cos(x + y), [1e-5, 1e-6]),
    ("cosh_less_sinh_over_argument", lambda x: (x * cosh(x) - sinh(x)) / sinh(x), [1e-6]),
    ("cosh_less_sinh_over_argument", lambda x: 3 * sinh(x) - 3 * x * cosh(x), [1e-4]),
    ("length_times_unit", lambda x, y: hypot(x, y) * unit(x, y) - x, [3.0, 0.1]),
    ("length_times_unit", lambda x, y: unit(y, x) * hypot(x, y), [1.6e308, 1.5e308]),
    ("slope_of_function_of_length", lambda x, y: i1(hypot(x, y)) * unit(x, y), [1e-4, 3e-4]),
    ("slope_of_function_of_length", lambda x, y: y * i1(hypot(x, y)) * unit(y, x), [3e-6, 1e-6]),
    ("bessel_function_less_the_next", lambda x: i0(x) - 2 * i1(x) / x, [1e-3]),
    ("bessel_function_less_the_next", lambda x: 3 * i1(x) / x - 1.5 * i0(x), [2e-4]),
    ("angle_in_right_triangle", lambda x, y: arccos(x / sqrt(x * x + y * y)), [1.0, 1e-9]),
    ("angle_in_right_triangle", lambda x, y: arcsin(-x / hypot(y, x)), [2.0, 1e-9]),
    ("zero_over_shared_factor", lambda x, y: expm1(x * y) / x, [1e-200, 3e-150]),
    ("zero_over_shared_factor", lambda x, y: x / sin(x / y), [1e-200, 3e150]),
    ("zero_over_shared_factor", lambda x, y: log1p(2 * x * y) / x - y, [1e-200, 3e-150]),
    ("logarithmic_mean", lambda x, y: (x - y) / log(x / y), [1e9 + 1, 1e9]),
    ("logarithmic_mean", lambda x, y: 2 * log(x / y) / (x - y), [3 + 2.0**-40, 3.0]),
    ("share_of_exprel_slope", lambda x: dexprel(x) / exprel(x), [800.0]),
    ("share_of_exprel_slope", lambda x: ddexprel(x) / exprel(x) ** 2, [800.0]),
    ("difference_with_root", lambda x: 2 * sqrt(x + 3) - 2 * sqrt(x), [1e13]),
    ("difference_with_root", lambda x, y: sqrt(x + y) - sqrt(x), [1e12, 1e-3]),
    ("log_of_exp", lambda x: log(exp(x)) / x, [800.0]),
    ("log_of_exp", lambda x, y: log(exp(x * y)) - x, [40.0, 30.0]),
    ("exp_of_log", lambda x: exp(log(x)) - 1, [1e200]),
    ("exp_of_log", lambda x: 1 / exp(log(x)), [3.37e233]),
    ("log1p_of_expm1", lambda x: log1p(expm1(x)), [-50.0]),
    ("log1p_of_expm1", lambda x: 2 * log1p(expm1(x)), [800.0]),
    ("expm1_of_log1p", lambda x: expm1(log1p(x)), [1e200]),
    ("expm1_of_log1p", lambda x: 1 / expm1(log1p(x)), [3.37e233]),
    ("exp_of_log_sigmoid", lambda x: 1 - exp(log_sigmoid(x)), [50.0]),
    ("exp_of_log_sigmoid", lambda x: log(1 - exp(log_sigmoid(x))), [60.0]),
    ("exp_of_softplus", lambda x: log(exp(softplus(x)) - 1), [-40.0]),
    ("exp_of_softplus", lambda x: exp(softplus(x)) - 1, [-40.0]),
    ("exp_of_negative_softplus", lambda x: log(1 - exp(-softplus(x))), [-60.0]),
    ("exp_of_negative_softplus", lambda x: 1 - exp(-softplus(x)), [-50.0]),
    ("exp_of_log1p", lambda x: exp(log1p(x)), [1e300]),
    ("exp_of_log1p", lambda x: exp(log1p(x)) - x, [1e250]),
    ("log1p_of_softplus_argument", lambda x: softplus(log(x)), [1e-300]),
    ("log1p_of_softplus_argument", lambda x: softplus(log(x)) / x, [1e-200]),
    ("log_of_power", lambda x: log(x**4), [1e-100]),
    ("log_of_power", lambda x: log(1 / (x * x)), [1e200]),
    ("log_of_product_with_exp", lambda x, y: log(x * exp(y)), [3.0, 800.0]),
    ("log_of_product_with_exp", lambda x: log(exp(-x * x / 2) / x), [50.0]),
    ("log_of_sinh", lambda x: log(sinh(x)), [800.0]),
    ("log_of_sinh", lambda x: x - log(sinh(x)), [400.0]),
    ("ratio_of_bessel_functions", lambda x: f("i1")(x) / f("i0")(x), [800.0]),
    ("ratio_of_bessel_functions", lambda x: x * f("i1")(2 * x) / f("i0")(2 * x), [1e5]),
    ("log_of_normal_tail", lambda x: log(erfc(x) / 2), [30.0]),
    ("log_of_normal_tail", lambda x, s: log(0.5 * (1 + erf(x / (s * 1.25)))), [-30.0, 0.5]),
    ("log_of_scaled_exp", lambda x: log(3 * exp(x)), [800.0]),
    ("log_of_scaled_exp", lambda x: log(exp(-x) / 2), [900.0]),
    ("difference_of_reciprocals", lambda x: 1 / x - 1 / (x + 1), [1e12]),
    ("difference_of_reciprocals", lambda x, h: 1 / (x + h) - 1 / x, [3.0, 1e-14]),
    ("common_denominator", lambda x, y: 1 - x / (x + y), [1.0, 1e-20]),
    ("common_denominator", lambda x, y: (x * x - y * y) / (x * x + y * y), [1e-9, 3.0]),
    ("one_minus_sigmoid", lambda x: 1 - sigmoid(x), [45.0]),
    ("one_minus_sigmoid", lambda x: 3 - 3 / (1 + exp(-x)), [50.0]),
    ("odds_of_sigmoid", lambda x: sigmoid(x) / (1 - sigmoid(x)), [40.0]),
    ("odds_of_sigmoid", lambda x: (1 - sigmoid(x)) / sigmoid(x), [60.0]),
    ("sigmoid_times_exp", lambda x: exp(x) * sigmoid(-x), [800.0]),
    ("sigmoid_times_exp", lambda x: exp(-x) * sigmoid(x) * 2, [-750.0]),
    ("product_of_sigmoids", lambda x: sigmoid(x) * (1 - sigmoid(x)), [50.0]),
    ("product_of_sigmoids", lambda x: exp(-x) / (1 + exp(-x)) ** 2, [-800.0]),
    ("slope_over_sigmoid", lambda x: slope(x) / sigmoid(x), [-800.0]),
    ("slope_over_sigmoid", lambda x: slope(2 * x) / sigmoid(2 * x), [-400.0]),
    ("slope_over_mirrored_sigmoid", lambda x: slope(x) / sigmoid(-x), [800.0]),
    ("slope_over_mirrored_sigmoid", lambda x: slope(x) / (1 - sigmoid(x)), [50.0]),
    ("one_minus_tanh_squared", lambda x: 1 - tanh(x) ** 2, [25.0]),
    ("one_minus_tanh_squared", lambda x: log(1 - tanh(x) ** 2), [30.0]),
    ("one_minus_tanh", lambda x: 1 - tanh(x), [25.0]),
    ("one_minus_tanh", lambda x: log(1 - tanh(x)), [400.0]),
    ("one_plus_tanh", lambda x: 1 + tanh(x), [-25.0]),
    ("one_plus_tanh", lambda x: x * (1 + tanh(x)) / 2, [-30.0]),
    ("logit_of_sigmoid", lambda x: logit(sigmoid(x)), [40.0]),
    ("logit_of_sigmoid", lambda x: x + logit(sigmoid(3 * x)), [20.0]),
    ("sigmoid_of_logit", lambda x: sigmoid(logit(x)), [1e-300]),
    ("sigmoid_of_logit", lambda x: sigmoid(log(x / (1 - x))), [1e-200]),
    ("softplus_less_addends", lambda x: x - softplus(x), [40.0]),
    ("softplus_less_addends", lambda x: x - log(1 + exp(x)), [50.0]),
    ("difference_of_softplus", lambda x: softplus(x) - softplus(-x), [1e-10]),
    ("difference_of_softplus", lambda x: log(1 + exp(x)) - log(1 + exp(-x)), [1e-12]),
    ("difference_of_log_sigmoids", lambda x: log_sigmoid(x) - log_sigmoid(-x), [1e-10]),
    ("difference_of_log_sigmoids", lambda x: log(sigmoid(x)) - log(sigmoid(-x)), [1e-12]),
    ("softplus_of_log_sigmoid", lambda x: softplus(x) + log_sigmoid(x), [1e-10]),
    ("softplus_of_log_sigmoid", lambda x: softplus(x) + log(sigmoid(x)), [1e-12]),
    ("odds_of_logarithm", lambda x: sigmoid(log(x)), [1e-300]),
    ("odds_of_logarithm", lambda x: 1 / (1 + exp(-log(x))), [1e-200]),
    ("log1p_of_negative_sigmoid", lambda x: log1p(-sigmoid(x)), [50.0]),
    ("log1p_of_negative_sigmoid", lambda x: log1p(-1 / (1 + exp(-x))), [100.0]),
    ("difference_of_weighted_logs", lambda x: (x + 1) * log(x + 1) - x * log(x), [1e20]),
    (
        "difference_of_weighted_logs",
        lambda n: (n + 2) * log(n + 2) - n * log(n) - 2,
        [1e25],
    ),
    ("root_of_sum_of_squares", lambda x: sqrt(1 + 4 * x * x + x**4) / x, [1e100]),
    ("root_of_sum_of_squares", lambda x, y: 1 / sqrt(x * x + y * y + 1), [1e200, 1.0]),
    ("share_of_exponentials", lambda a, b: exp(a) / (exp(a) + exp(b)), [800.0, 790.0]),
    (
        "share_of_exponentials",
        lambda a, b, t: exp(a / t) / (exp(a / t) + exp(b / t)),
        [1.0, 1.01, 1e-4],
    ),
    (
        "log_of_weighted_exponentials",
        lambda a, b, w: log(w * exp(a) + (1 - w) * exp(b)),
        [800.0, 790.0, 0.3],
    ),
    ("log_of_weighted_exponentials", lambda a, b: log((exp(a) + exp(b)) / 2), [-800.0, -810.0]),
    (
        "log_of_mean_with_exponential",
        lambda r, x: log(r + (1 - r) * exp(-x)),
        [0.3, 1e-9],
    ),
    (
        "log_of_mean_with_exponential",
        lambda q, x, t: t * log(q + (1 - q) * exp(x / t)),
        [0.4, -3e-9, 50.0],
    ),
    (
        "power_of_sum_of_several_powers",
        lambda u, v, t: power(power(u, -t) + power(v, -t) - 1, -1 / t),
        [0.3, 0.2, 1e3],
    ),
    (
        "power_of_sum_of_several_powers",
        lambda x, y, z, p: log(power((power(x, p) + power(y, p) + 2 * power(z, p)) / 4, 1 / p)),
        [3e200, 2e199, 1e200, 7.0],
    ),
    ("log_sum_exp", lambda x: log(total(exp(x))), [[800.0, 801.0]]),
    ("log_sum_exp", lambda x: log(total(exp(-x)) * 2), [[900.0, 901.0]]),
    ("log_mean_exp", lambda x: log(mean(exp(x))), [[800.0, 801.0]]),
    ("log_mean_exp", lambda x, t: t * log(mean(exp(x / t))), [[3.0, 5.0], 1e-3]),
    ("softmax_of_ratio", lambda x: first(exp(x) / kept_sum(exp(x))), [[800.0, 801.0]]),
    ("softmax_of_ratio", lambda x: log(first(exp(x) / kept_sum(exp(x)))), [[0.0, 800.0]]),
    (
        "entry_of_exponentials",
        lambda x: -log(first(exp(x)) / total(exp(x))),
        [[-800.0, 0.0, 800.0]],
    ),
    (
        "entry_of_exponentials",
        lambda x: first(exp(x / 2)) / mean(exp(x / 2)),
        [[1600.0, 1.0, 1500.0]],
    ),
    ("log_of_running_sum", lambda x: log(OPS["cumsum"](exp(x), axis=0)), [[800.0, 801.0, 5.0]]),
    ("log_of_running_sum", lambda x: log(OPS["cumsum"](exp(-x), axis=0)), [[800.0, 801.0, 5.0]]),
    ("log_of_softmax", lambda x: first(log(softmax(x))), [[0.0, 800.0]]),
    ("log_of_softmax", lambda x: -log(first(softmax(x))), [[-400.0, 400.0]]),
    (
        "shifted_by_logsumexp",
        lambda x: first(x - OPS["logsumexp"](x, axis=-1, keepdims=True)),
        [[50.0, 1.0]],
    ),
    ("shifted_by_logsumexp", lambda x: first(3 * x - log(kept_sum(exp(3 * x)))), [[30.0, 2.0]]),
    ("exp_of_log_softmax", lambda x: first(exp(f("log_softmax", axis=-1)(x))), [[-500.3, 7.1]]),
    ("exp_of_log_softmax", lambda x: first(exp(log(softmax(x)))), [[-600.3, 3.1]]),
    (
        "difference_of_tails_over_root_2",
        lambda x, y: erfc(over_root_2(x)) - erfc(over_root_2(y)),
        [1.0, 1.0 + 2.0**-40],
    ),
    (
        "difference_of_tails_over_root_2",
        lambda x, y: log(erfc(over_root_2(x)) / 2 - erfc(over_root_2(y)) / 2),
        [9.0, 10.0],
    ),
    ("tail_over_root_2_in_product", lambda x: x * erfc(over_root_2(x)), [35.3]),
    ("tail_over_root_2_in_product", lambda x, y: erfc(-over_root_2(x)) / y, [-35.7, 3.0]),
    (
        "softmax_of_shifted",
        lambda x, t: first(softmax(less_greatest(x / t))),
        [[0.97, 1.0, 0.3], 1e-3],
    ),
    (
        "softmax_of_shifted",
        lambda x, s: first(softmax(less_greatest(s * x))),
        [[0.97, 1.0], 1000.1],
    ),
    (
        "logsumexp_of_shifted",
        lambda x: first(less_greatest(x) - log(kept_sum(exp(less_greatest(x))))),
        [[60.0, 2.0]],
    ),
    (
        "logsumexp_of_shifted",
        lambda x: 2 * first(log(kept_sum(exp(less_greatest(x)))) - less_greatest(x)),
        [[45.0, -2.0, 1.0]],
    ),
    ("one_plus_erf", lambda x: 1 + erf(x), [-5.0]),
    ("one_plus_erf", lambda x: x * (1 + erf(x)) / 2, [-8.0]),
    ("one_minus_erfc", lambda x: 1 - erfc(x), [1e-10]),
    ("one_minus_erfc", lambda x: x * (1 - erfc(x)), [1e-12]),
    ("two_minus_erfc", lambda x: 2 - erfc(x), [-6.0]),
    ("two_minus_erfc", lambda x: log(1 - erfc(x) / 2), [-9.0]),
    ("one_minus_ndtr", lambda x: 1 - ndtr(x), [9.0]),
    ("one_minus_ndtr", lambda x, m, s: log(1 - ndtr((x - m) / s)), [7.0, 1.0, 0.2]),
    ("log_of_negative_interval", lambda a, b: log(-f("ndtr_gap")(a, b)), [-41.0, -40.9]),
    ("log_of_negative_interval", lambda a, b: log(-f("ndtr_gap")(a, b)) + a, [-41.0, -40.5]),
    ("log_of_interval", lambda a, b: log(f("ndtr_gap")(a, b)), [-40.9, -41.0]),
    ("log_of_interval", lambda a, b: log(ndtr(a) - ndtr(b)) + a, [-40.5, -41.0]),
    ("exp_of_log_ndtr", lambda x: exp(log_ndtr(x)), [-30.0]),
    ("exp_of_log_ndtr", lambda x: exp(log(ndtr(x))) / x, [-35.0]),
    ("variance_of_moments", lambda x: mean(x * x) - square(mean(x)), [FAR]),
    ("variance_of_moments", lambda x: sqrt(3 * total(x * x) - square(total(x))), [FAR]),
    ("square_of_difference", lambda x, y: total(x * x) - 2 * total(x * y) + total(y * y), PAIR),
    (
        "square_of_difference",
        lambda x, y: exp(-(norm(x) ** 2) + 2 * total(x * y) - norm(y) ** 2),
        PAIR,
    ),
    ("deviation_from_mean", lambda x: first(x - mean(x)), [CLOSE]),
    ("deviation_from_mean", lambda x: first(x - mean(x)) / sqrt(f("var", axis=-1)(x)), [CLOSE]),
    ("log_of_weighted_sum", lambda w, x: log(total(w * exp(x))), [[0.25, 3.0], [800.0, 801.0]]),
    ("log_of_weighted_sum", lambda w, x: log(mean(w * exp(-x))), [[0.25, 3.0], [800.0, 801.0]]),
    (
        "share_of_weighted_exponentials",
        lambda w, x: first(w * exp(x) / kept_sum(w * exp(x))),
        [[0.25, 3.0], [800.0, 801.0]],
    ),
    (
        "share_of_weighted_exponentials",
        lambda w, x: exp(first(x)) / total(w * exp(x)),
        [[0.25, 3.0], [-800.0, -801.0]],
    ),
    ("log1p_of_sum_of_exponentials", lambda x: log(1 + mean(exp(x))), [[800.0, 801.0]]),
    ("log1p_of_sum_of_exponentials", lambda x: log1p(total(exp(-x)) / 3), [[-800.0, -801.0]]),
    ("log_of_sums_of_exponentials", lambda x: log(3 + total(exp(x))), [[800.0, 801.0]]),
    (
        "log_of_sums_of_exponentials",
        lambda x, y: log(total(exp(x)) + 2 * mean(exp(y))),
        [[800.0, 801.0], [799.0, 801.0]],
    ),
    ("complement_of_product", lambda p: 1 - f("prod", axis=-1)(1 - p), [[1e-12, 3e-13]]),
    ("complement_of_product", lambda p: log(1 - f("prod", axis=-1)(1 - p)), [[1e-12, 3e-13]]),
    ("complement_of_mean", lambda x: 1 - mean(sigmoid(x)), [[40.0, 50.0]]),
    ("complement_of_mean", lambda x: log(1 - mean(exp(-x))), [[1e-12, 1e-14]]),
    ("slope_of_power_by_exponent", lambda m, x, a: 1 - power(m / x, a), [1.0, 1 + 1e-10, 2.0]),
    (
        "slope_of_power_by_exponent",
        lambda p, n, k: power(1 - power(1 - p, n), k),
        [1e-3, 1e4, 10.0],
    ),
    ("log_to_other_base", lambda x: f("log2")(1 + x), [1e-12]),
    ("log_to_other_base", lambda s, n: f("log10")(1 + s / n), [1.0, 1e20]),
    ("log_of_any_power", lambda r, n: log(power(1 + r, n)), [3.0, 1e4]),
    ("log_of_any_power", lambda x, v: log(power(1 + x * x / v, -v)), [40.0, 1e3]),
    ("log_of_one_less_power", lambda p, n: log(1 - power(1 - p, n)), [1e-3, 3e4]),
    ("log_of_one_less_power", lambda x, n: x * log(1 - power(x, n)), [0.3, 40.0]),
    ("log1p_of_less_power", lambda x, n: log1p(-power(x, n)), [0.999999, 1e-3]),
    ("log1p_of_less_power", lambda u, n: log1p(-power(1 + u, -n)) * u, [1e-6, 1e-3]),
    ("log_of_gamma", lambda x: log(f("gamma")(x)), [1e5]),
    ("log_of_gamma", lambda x: log(f("gamma")(x + 1)) / x, [300.0]),
    ("arctanh_of_one_less", lambda p: f("arctanh")(1 - 2 * p), [1e-20]),
    ("arctanh_of_one_less", lambda p, q: q * f("arctanh")(2 * p - 1), [1e-17, 0.3]),
    (
        "power_over_its_gain",
        lambda r, n: r * power(1 + r, n) / (power(1 + r, n) - 1),
        [0.05, 1e5],
    ),
    (
        "power_over_its_gain",
        lambda r, k: (1 - r) * power(r, k) / (1 - power(r, k + 1)),
        [3.0, 1e4],
    ),
    ("log_of_prod", lambda x: log(f("prod", axis=-1)(sigmoid(x))), [[40.0, 50.0]]),
    ("log_of_rest_of_softmax", lambda x: log(1 - first(softmax(x))), [[800.0, 1.0, 0.0]]),
    ("log_of_rest_of_softmax", lambda x, y: total(y * log1p(-softmax(x))), [[90.0, 1.0], [2.0, 3]]),
    (
        "logit_of_softmax",
        lambda x: log(first(softmax(x)) / (1 - first(softmax(x)))),
        [[50.0, 1.0, 0.0]],
    ),
    ("logit_of_softmax", lambda x, y: total(y * logit(softmax(x))), [[-800.0, 3, 2], [1.0, 2, 3]]),
    ("geometric_mean_by_logs", lambda x: exp(mean(log(x))), [[1e200, 2e200, 3e200]]),
    ("geometric_mean_by_logs", lambda x: exp(total(log(x)) / 5), [[1e-200, 2e-200]]),
    ("power_of_repeated", lambda x: 1 / total(1 / x), [[[1e200, 2e200], [3e200, 1e200]]]),
    ("power_of_repeated", lambda x: 1 / mean(1 / x), [[[1e-200, 2e-200], [1.0, 2.0]]]),
    ("log_mean_exp", lambda x: log(mean(exp(x))), [[1e-10, -1e-10, 2e-10]]),
    (
        "slope_along_own_softmax",
        lambda x: total(softmax(x) * log(softmax(x))),
        [[0.0, 800.0, 790.0]],
    ),
    (
        "slope_along_own_softmax",
        lambda x, y: y - 3 * total(softmax(2 * x) * log(softmax(2 * x))),
        [[0.0, 400.0, 401.0], 1.5],
    ),
    ("log_ratio_of_shares", lambda x: log(first(softmax(x)) / total(x)), [[-800.0, 1000.0]]),
    (
        "log_ratio_of_shares",
        lambda x, y: total(softmax(x) * log(softmax(x) / softmax(y))),
        [[800.0, 0.0, 1.0], [801.0, 0.0, 3.0]],
    ),
    ("share_of_cosh", lambda x: x * exp(x) / (exp(x) + exp(-x)), [800.0]),
    ("share_of_cosh", lambda x, y: y * exp(3 * x) / (exp(3 * x) + exp(-3 * x)), [400.0, 3.0]),
    ("ratio_of_tails", lambda x, y: erfc(x) / erfc(y), [30.0, 29.0]),
    ("ratio_of_tails", lambda x, y: x * ndtr(-x) / ndtr(-y), [40.0, 41.0]),
    (
        "log_of_incomplete_integral",
        lambda a, x: log(1 - f("gammainc")(a, x)),
        [3.0, 1e-5],
    ),
    (
        "log_of_incomplete_integral",
        lambda a, b, x: log(f("betainc")(a, b, x)),
        [3.0, 4.0, 1 - 1e-5],
    ),
    ("log1p_of_incomplete_integral", lambda a, x: log1p(-f("gammainc")(a, x)), [3.0, 60.0]),
    (
        "log1p_of_incomplete_integral",
        lambda a, b, x: log1p(-f("betainc")(a, b, x)),
        [3.0, 4.0, 1 - 1e-10],
    ),
    (
        "complement_of_incomplete_beta",
        lambda a, b, x: 1 - f("betainc")(a, b, x),
        [3.0, 4.0, 1 - 1e-10],
    ),
    (
        "complement_of_incomplete_beta",
        lambda a, b, x: x * log(1 - f("betainc")(a, b, x)),
        [3.0, 30.0, 0.99],
    ),
    (
        "log_of_complement_of_incomplete_beta",
        lambda a, b, x: log(1 - f("betainc")(a, b, x)),
        [3.0, 4.0, 1e-5],
    ),
    (
        "log_of_complement_of_incomplete_beta",
        lambda a, b, x: x * log(1 - f("betainc")(a, b, x)),
        [2.0, 5.0, 1e-9],
    ),
]
