"""Programs for the rules of parts that cancel, and of fractions with sums that stay whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stablegrad.ir import OPS, Term

Case = tuple[str, Callable[..., Term], list[Any]]


def huber(x: Term, y: Term) -> Term:
    """As losses have it, of half a square and a line."""
    distance = OPS["abs"](x - y)
    near = OPS["minimum"](distance, 1.0)
    return 0.5 * near * near + (distance - near)


def log_student_t(x: Term, k: Term, m: Term, s: Term) -> Term:
    """The log density of Student's t distribution, as far as it depends on x, m and s."""
    z = (x - m) / s
    return -(k + 1) / 2 * OPS["log1p"](z * z / k) - OPS["log"](s)


def divergence(m: Term, s: Term, n: Term, t: Term) -> Term:
    """Of one normal distribution from another."""
    return OPS["log"](t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5


def angle_of_lines(x: Term, y: Term) -> Term:
    """Or between orientations, which a quaternion and its negative both are."""
    lengths = OPS["norm"](x, axis=-1) * OPS["norm"](y, axis=-1)
    return OPS["arccos"](OPS["minimum"](OPS["abs"](OPS["sum"](x * y, axis=-1) / lengths), 1.0))


def held(x: Term) -> Term:
    """A probability as losses hold it inside of (0, 1)."""
    return OPS["minimum"](OPS["maximum"](1e-25, OPS["sigmoid"](x)), 1.0)


def entropy(x: Term) -> Term:
    """Of the entries that a mask leaves."""
    held = OPS["where"](x < 900, OPS["softmax"](x, axis=-1), 1.0)
    return OPS["sum"](held * OPS["log"](held), axis=-1)


def safe_length(x: Term) -> Term:
    """As programs have it that keep the slope of a root from 0."""
    square = OPS["sum"](x * x, axis=-1)
    held = OPS["where"](square > 0, square, 1.0)
    return OPS["where"](square > 0, OPS["sqrt"](held), 0.0)


def safe_unit(x: Term) -> Term:
    square = OPS["sum"](x * x, axis=-1)
    held = OPS["where"](OPS["equal"](square, 0), 1.0, square)
    return OPS["getitem"](x, index=(0,)) / OPS["sqrt"](held)


def cross_entropy(x: Term, y: Term) -> Term:
    return y * OPS["softplus"](-x) + (1 - y) * OPS["softplus"](x)


def normalized(x: Term, w: Term) -> Term:
    """As layers have it, with weights."""
    off = x - OPS["mean"](x, axis=-1)
    return OPS["sum"](w * off / OPS["sqrt"](OPS["var"](x, axis=-1) + 1e-5), axis=-1)


PROGRAMS: list[Case] = [
    ("logistic_loss", cross_entropy, [25.0, 1 + 2502 * 2.0**-52]),
    ("logistic_loss", cross_entropy, [-25.0, -5.5551775e-13]),
    (
        "softplus_less_addends",
        lambda a, b, c: 3 * (a - 2 * b + c) - 3 * OPS["softplus"](a - 2 * b),
        [60.0, 2.0, 1e-26],
    ),
    (
        "softplus_less_addends",
        lambda a, b, c: a + b + c - OPS["softplus"](a + b),
        [70.0, 3.0, 1e-30],
    ),
    ("normalized_deviation", normalized, [[1.0, 2.0, 3.5], [1.0, 2.0, 3.5]]),
    (
        "normalized_deviation",
        lambda x, w: normalized(x, w) / 3,
        [[1e6 + 1, 1e6, 1e6 + 3], [2.0, 1.0, 4.0]],
    ),
    ("root_of_choice", safe_length, [[1e-200, 2e-200]]),
    ("root_of_choice", safe_unit, [[3e-200, 4e-200]]),
    ("squares_beside_zero", safe_length, [[2e200, 1e200]]),
    ("squares_beside_zero", safe_unit, [[-3e-220, 4e-220, 5e-219]]),
    ("function_of_choice", entropy, [[800.0, 2.0, 1.0]]),
    (
        "function_of_choice",
        lambda x, y: 1 - OPS["power"](1 - OPS["exp"](-x), y),
        [50.0, 0.5],
    ),
    ("clip_of_difference", lambda x: OPS["log"](1 - held(x)), [45.0]),
    ("clip_of_difference", lambda x, y: 3 * y - 3 * y * held(x), [50.0, 0.7]),
    ("angle_between_vectors", angle_of_lines, [[1.0, 2, 3], [1.0, 2, 3 + 1e-9]]),
    ("angle_between_vectors", angle_of_lines, [[1.0, 2, 3], [-1.0, -2, -3 + 1e-9]]),
    (
        "excess_of_exponential_beside_squares",
        lambda m, v: -0.5 * (1 + v - m**2 - OPS["exp"](v)),
        [1e-9, 3e-8],
    ),
    (
        "excess_of_exponential_beside_squares",
        lambda m, v: OPS["sum"](OPS["exp"](2 * v) + m * m - 2 * v - 1, axis=-1),
        [[1e-6, 0.0], [1e-7, 2e-9]],
    ),
    (
        "excess_over_logarithm_beside_squares",
        lambda m, s: -OPS["log"](s) + (s**2 + m**2) / 2 - 0.5,
        [1e-9, 1 + 1e-8],
    ),
    ("excess_over_logarithm_beside_squares", divergence, [0.3, 0.7, 0.3 + 1e-8, 0.7 + 1e-9]),
    ("products_that_cancel", lambda t, u, v: t * (u - v) + 1 / t + t * v, [0.3, -2.1, 2e8]),
    (
        "products_that_cancel",
        lambda t, u, v: OPS["tanh"](t) * (u / t - v) - OPS["exp"](t) + OPS["tanh"](t) * v,
        [0.7, 1e-3, 1e9],
    ),
    ("masked_difference", lambda x: 1 + OPS["where"](x < 1, x - 1, 0.0), [1e-20]),
    ("masked_difference", huber, [1e-20, 3e-21]),
    (
        "factor_of_a_choice",
        lambda a, b, c: OPS["where"](b > 0, a * c, OPS["exp"](b)) / a,
        [3e-200, 1.5, 7e-180],
    ),
    (
        "factor_of_a_choice",
        lambda x, y: OPS["where"](x > 0, y * y / (x + OPS["hypot"](x, y)), y - x) / y,
        [2.5e10, 3e-170],
    ),
    (
        "slope_of_the_angle_of_a_quotient",
        lambda v: OPS["arcsin_slope"]((1.0 - 5.0 * v * v) / (v * v - 1.0), n=1),
        [3e-20],
    ),
    (
        "slope_of_the_angle_of_a_quotient",
        lambda a, b: OPS["arcsin_slope"]((a - b) / (a + b), n=1),
        [2e10, 1e-30],
    ),
    ("common_denominator", log_student_t, [29.5, 1e-20, 0.005, 0.004]),
    ("common_denominator", log_student_t, [0.0041, 3e-30, 1e-30, 0.004]),
]
