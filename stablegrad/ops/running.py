"""What running products and running log-sum-exps share: one family closed under differentiation.

Let f_k(x) be the result at place k. With directions t1, t2, ... the op ``<name>_jvp`` is its
mixed derivative along all of them, and ``<name>_vjp`` the gradient by x of the sum of
c_k times that. Both are symmetric in the directions, and each one's derivatives, forward and
backward, are one of the two with other directions.

Kernels compute with truncated polynomials in e1, e2, ... (every e squared is 0): a dict from a
set of e, as bits, to its coefficient, an array. Recurrences run by doubling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from stablegrad.ir import OPS, Term
from stablegrad.ops.record import Op
from stablegrad.ops.structured import (
    Normal,
    Params,
    Terms,
    normal_axis,
    structured,
    sum_of,
)

Polynomial = dict[int, Any]


def times(a: Polynomial, b: Polynomial) -> Polynomial:
    """The product of two polynomials."""
    terms: dict[int, list[Any]] = {}
    for s, c in a.items():
        for r, d in b.items():
            if not s & r:
                terms.setdefault(s | r, []).append(c * d)
    return {s: total(parts) for s, parts in terms.items()}


def plus(a: Polynomial, b: Polynomial) -> Polynomial:
    """The sum of two polynomials."""
    return {s: a[s] + b[s] if s in a and s in b else a.get(s, b.get(s)) for s in {*a, *b}}


def total(parts: Sequence[Any]) -> Any:
    """The sum of one array or several."""
    out = parts[0]
    for p in parts[1:]:
        out = out + p
    return out


def whole(directions: Sequence[Any]) -> int:
    """The set of all e, as bits."""
    return (1 << len(directions)) - 1


# -- records ------------------------------------------------------------------------------


def _normal(name: str, fixed: int) -> Callable[[Terms, Params], Normal]:
    """All arguments in the shape of the first, the directions after ``fixed`` in one order."""

    def normalise(terms: Terms, params: Params) -> Normal:
        x, *others = terms
        axis = normal_axis(params[0], x.ndim, name)
        others = [OPS["broadcast_to"](t, shape=x.shape) for t in others]
        directions = sorted(others[fixed:], key=lambda d: d.key)
        return (x, *others[:fixed], *directions), (axis,)

    return normalise


def _jvp(out: Term, args: Terms, tangents: Sequence[Term | None], *, axis: int) -> Term:
    """One direction more for x, another in its place for what is linear."""
    parts = []
    for i, t in enumerate(tangents):
        if t is not None:
            changed = (*args, t) if i == 0 else (*args[:i], t, *args[i + 1 :])
            parts.append(out.op.term(changed, (axis,)))
    return sum_of(parts)


def running_family(
    name: str,
    *,
    op: dict[str, Any],
    jvp: dict[str, Any],
    vjp: dict[str, Any],
    **shared: Any,
) -> tuple[Op, Op, Op]:
    """Declare the op ``name`` with its mixed derivatives and their transposes.

    Args:
        name: the name of the op, which has one argument and the parameter ``axis``.
        op: further fields of its record.
        jvp: further fields of ``<name>_jvp``, whose arguments are x, t1, t2, ...
        vjp: further fields of ``<name>_vjp``, whose arguments are x, c, t1, t2, ...
        shared: fields of all three.
    """
    forward, backward = f"{name}_jvp", f"{name}_vjp"

    def pull(out: Term, args: Terms, g: Term, *, axis: int) -> Terms:
        x, *ts = args
        by_directions = [
            OPS[backward](x, g, *ts[:i], *ts[i + 1 :], axis=axis) for i in range(len(ts))
        ]
        return (OPS[backward](x, g, *ts, axis=axis), *by_directions)

    def pull_again(out: Term, args: Terms, g: Term, *, axis: int) -> Terms:
        x, c, *ts = args
        by_directions = [
            OPS[backward](x, c, *ts[:i], *ts[i + 1 :], g, axis=axis) for i in range(len(ts))
        ]
        by_x = OPS[backward](x, c, *ts, g, axis=axis)
        return (by_x, OPS[forward](x, *ts, g, axis=axis), *by_directions)

    fields: dict[str, Any] = {
        "family": "reduction",
        "params": ("axis",),
        "defaults": (0,),
        "infer": lambda args, params: (args[0].shape, args[0].dtype),
        "ulp": None,
        **shared,
    }
    found = structured(
        name,
        normalise=_normal(name, 0),
        jvp=lambda out, args, tangents, *, axis: OPS[forward](args[0], tangents[0], axis=axis),
        vjp=lambda out, args, g, *, axis: (OPS[backward](args[0], g, axis=axis),),
        **{**fields, **op},
    )
    first = structured(
        forward, normalise=_normal(forward, 0), jvp=_jvp, vjp=pull, **{**fields, **jvp}
    )
    second = structured(
        backward, normalise=_normal(backward, 1), jvp=_jvp, vjp=pull_again, **{**fields, **vjp}
    )
    return found, first, second
