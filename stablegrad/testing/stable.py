"""``assert_stable``: an audit as an assertion, for people's tests."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from stablegrad.audit import Audit, audit
from stablegrad.errors import DomainError, message

PROGRAMS = ("naive", "stabilized")


def assert_stable(
    f: Callable[..., Any],
    *args: Any,
    domain: Any = None,
    max_ulp: float = 64.0,
    order: int = 1,
    program: str = "naive",
    points: int = 200,
    seed: int = 0,
    dtype: Any = None,
) -> Audit:
    """Fail unless a function and its gradients are right on given inputs, or over a domain.

    Args:
        f: a function of arrays that returns one tensor: plain NumPy, or of tensors.
        args: its arguments, as for ``sg.audit``.
        domain: intervals by name for arguments that are not given; the worst input of them is
            hunted for.
        max_ulp: the greatest error of any element that passes, in ulp of the truth; of sums, in
            ulp of the sum of the absolute terms. What an ill-conditioned problem magnifies is no
            failure.
        order: 0 for the value alone, 1 for gradients too, 2 for gradients of their sum too.
        program: "naive" judges the operations as they are written, with textbook derivatives;
            "stabilized" what this library makes of them.
        points: how many are drawn from a domain before the hunt.
        seed: of the points.
        dtype: of the points; the default dtype unless given.

    Returns:
        The audit.

    Raises:
        AssertionError: something is off by more; says where, why, and at which input.
        DomainError: ``max_ulp`` below 1/2, or another ``program``.

    Example:
        >>> from stablegrad.testing import assert_stable
        >>> x = np.array([-3.0, 0.5, 20.0])
        >>> assert_stable(lambda x: np.logaddexp(0, x), x, order=0).ok
        True
        >>> assert_stable(lambda x: np.log(1 + np.exp(x)), domain="x=-50:-1", points=20)
        Traceback (most recent call last):
        ...
        AssertionError: <lambda>: ...
    """
    if not max_ulp >= 0.5:
        raise DomainError(message(f"max_ulp={max_ulp!r}", "at least 0.5: a float is never closer"))
    if program not in PROGRAMS:
        raise DomainError(message(f"program={program!r}", " or ".join(PROGRAMS)))
    options = {} if domain is None else {"points": points, "seed": seed, "dtype": dtype}
    found = audit(f, *args, order=order, domain=domain, **options)
    counts = [(t.name, getattr(t, program)) for t in found.totals]
    if not any(c.elements for _, c in counts) and not any(t.ill_conditioned for t in found.totals):
        raise AssertionError(f"{found.function}: no element has a known truth\n{found}")
    allowed = math.log2(max(max_ulp, 1.0))
    off = [
        (name, c.bits_lost)
        for name, c in counts
        if c.bits_lost > allowed or c.nan or c.inf or c.zeroed
    ]
    if off:
        worst = ", ".join(f"{name} by 2**{bits:.1f} ulp" for name, bits in off)
        raise AssertionError(
            f"{found.function}: the {program} program is off by more than {max_ulp:g} ulp: "
            f"{worst}\n{found}"
        )
    return found
