"""Powers less 1, their derivatives and geometric sums, as functions that are known to pairs."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.record import CONST
from stablegrad.transforms.rational import POWERS


def power_by_log(log: Term, y: Term, n: int, m: int) -> Term:
    """exp(y*log(x)), n times by x and m times by y, times exp(-n*log(x)) and sums of powers."""
    found: dict[int, Any] = {m: 1}  # by powers of the logarithm
    for i in range(n):
        step: dict[int, Any] = {}
        for k, q in found.items():
            step[k] = step.get(k, 0) + (y - i) * q
            if k:
                step[k - 1] = step.get(k - 1, 0) + k * q
        found = step
    total: Any = sum([q if k == 0 else q * log**k for k, q in found.items()])
    return OPS["exp"]((y - n) * log) * total


def quotient_derivative(top: Callable[[int], Term], x: Term, n: int) -> Term:
    """The n-th derivative of f(x)/x by Leibniz's rule, ``top(j)`` the j-th of f."""
    addends = [
        math.comb(n, j) * (-1) ** (n - j) * math.factorial(n - j) * top(j) * x ** -(n - j + 1)
        for j in range(n + 1)
    ]
    return reduce(operator.add, addends)


def _whole(y: Term) -> int:
    """An exponent that is a small integer, of which a base may be negative; 0 for others."""
    value = y.params[0] if y.op is CONST else 0
    return value if isinstance(value, int) and abs(value) <= POWERS else 0


def powm1(x: Term, y: Term) -> Term:
    """x**y - 1, where y is an integer as (x**m - 1)*(1 + x**m)*(1 + x**(2*m))*... for odd m."""
    n = _whole(y)
    if not n:
        return OPS["expm1"](y * OPS["log"](x))
    odd = abs(n)
    doublings = (odd & -odd).bit_length() - 1
    odd >>= doublings
    powers: Any = sum([forms.power(x, k) for k in range(1, odd)])  # that over x - 1, less 1
    gain = (x - 1) * (1 + powers)
    for k in range(doublings):
        gain = gain * (1 + forms.power(x, odd << k))
    return gain if n > 0 else -gain * forms.power(x, n)


def powm1_derivative(x: Term, y: Term, n: int, m: int) -> Term:
    """x**y - 1, n times by x and m times by y."""
    if m or not _whole(y):
        return power_by_log(OPS["log"](x), y, n, m)
    exponent = _whole(y)
    return math.prod(exponent - i for i in range(n)) * forms.power(x, exponent - n)


def compound_sum(u: Term, y: Term, n: int, m: int) -> Term:
    """((1 + u)**y - 1)/u, n times by u and m times by y."""
    whole = OPS["expm1"](y * OPS["log1p"](u))
    return quotient_derivative(
        lambda j: power_by_log(OPS["log1p"](u), y, j, m) if j or m else whole, u, n
    )


def geometric_sum(x: Term, y: Term, n: int, m: int) -> Term:
    """(x**y - 1)/(x - 1), n times by x and m times by y."""
    whole = OPS["expm1"](y * OPS["log"](x))
    return quotient_derivative(
        lambda j: power_by_log(OPS["log"](x), y, j, m) if j or m else whole, x - 1, n
    )
