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


PROGRAMS: list[Case] = [
    ("products_that_cancel", lambda t, u, v: t * (u - v) + 1 / t + t * v, [0.3, -2.1, 2e8]),
    (
        "products_that_cancel",
        lambda t, u, v: OPS["tanh"](t) * (u / t - v) - OPS["exp"](t) + OPS["tanh"](t) * v,
        [0.7, 1e-3, 1e9],
    ),
    ("masked_difference", lambda x: 1 + OPS["where"](x < 1, x - 1, 0.0), [1e-20]),
    ("masked_difference", huber, [1e-20, 3e-21]),
    ("common_denominator", log_student_t, [29.5, 1e-20, 0.005, 0.004]),
    ("common_denominator", log_student_t, [0.0041, 3e-30, 1e-30, 0.004]),
]
