"""Kernels that XLA needs of its own: those that look at values or at the processor's flags.

No static order of a product avoids spurious over- and underflow, and XLA has no flags to look
at: products that may leave the range are formed of mantissas and exponents throughout, a few
whole-number operations a factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from stablegrad.engines.numpy import Namespace as NumpyNamespace
from stablegrad.engines.xla.hosting import hosted
from stablegrad.ir import OPS, Shape
from stablegrad.ops.exact import Exact, Rational
from stablegrad.ops.lowered import (
    Origin,
    exp_in_parts,
    product_by_parts,
    sum_pair,
)
from stablegrad.ops.lowered_calls import redone, sum_and_size
from stablegrad.ops.lowered_logs import careful_log, half_whole, log_in_parts
from stablegrad.ops.pair_codes import Code
from stablegrad.ops.ranged import split_arguments
from stablegrad.ops.record import Op
from stablegrad.ops.sums_in_parts import left_range, sum_in_parts

Kernel = Callable[..., Any]
Parts = list[tuple[Any, Any]]
NUMPY = NumpyNamespace()
"""For kernels on the host: names alone, which can be written as source."""
_STEPS = 60
"""So many mantissas in [1/2, 1) multiply without leaving the range of float32."""


def _product(
    xp: Any, xs: Sequence[Any], parts: Parts, powers: tuple[Rational, ...], factor: Rational
) -> Any:
    dtype = xs[0].dtype
    if sum(abs(p) for p in powers) > _STEPS or not all(half_whole(p) for p in powers):
        return product_by_parts(xp, xs, parts, powers, factor, dtype)
    scaled, twos = _binary(factor)
    mantissa: Any = dtype.type(scaled)
    exponent: Any = twos
    # quotients first: (a/c)*b rounds as a*(b/c) does, and stays near 1
    for (m, e), p in sorted(zip(parts, powers, strict=True), key=lambda item: item[1] > 0):
        size = int(abs(p))
        whole = e * size
        if size != abs(p):
            odd = e & 1
            m_root = xp.sqrt(xp.where(odd == 1, m + m, m))
            whole = whole + ((e - odd) >> 1)
            mantissa = mantissa * m_root if p > 0 else mantissa / m_root
        for _ in range(size):
            mantissa = mantissa * m if p > 0 else mantissa / m
        exponent = exponent + whole if p > 0 else exponent - whole
    return xp.ldexp(mantissa, exponent)


def _binary(factor: Rational) -> tuple[float, int]:
    """A rational as a float64 in [1/2, 1) and a power of two."""
    exact = Fraction(factor)
    shift = exact.numerator.bit_length() - exact.denominator.bit_length()
    mantissa, more = math.frexp(float(exact / Fraction(2) ** shift))
    return mantissa, shift + more


def _parts(xp: Any, xs: Sequence[Any], rest: Sequence[Any], again: tuple[Origin, ...]) -> Parts:
    """Mantissas and exponents; of exponentials and sums that left the range, from their parts."""
    parts: Parts = [xp.frexp(x) for x in xs]
    position = 0
    for i, kind, constant, coefficients, counts in again:
        flat = list(xp.broadcast_arrays(*rest[position : position + sum(counts)]))
        position += len(flat)
        info = xp.finfo(xs[i].dtype)
        lost = (
            left_range(xp, xs[i])
            if kind == "sum"
            else ~((xs[i] >= info.tiny) & (xs[i] <= info.max))
        )
        for x in flat:
            lost = lost & xp.isfinite(x)
        if kind == "sum":
            m, e = sum_in_parts(xp, flat, constant, coefficients, counts)
        else:
            m, e = exp_in_parts(xp, flat, constant, coefficients, counts, kind)
        m, more = xp.frexp(xp.asarray(m))
        e = (e + more).astype(parts[i][1].dtype)
        parts[i] = xp.where(lost, m, parts[i][0]), xp.where(lost, e, parts[i][1])
    return parts


def scaled_product(
    xp: Any,
    *args: Any,
    powers: tuple[Rational, ...],
    factor: Rational,
    again: tuple[Origin, ...],
) -> Any:
    """The kernel of ``scaled_product``."""
    xs = args[: len(powers)]
    return _product(xp, xs, _parts(xp, xs, args[len(powers) :], again), powers, factor)


def ranged_product(
    xp: Any,
    *args: Any,
    powers: tuple[Rational, ...],
    factor: Rational,
    again: tuple[Origin, ...],
    watched: tuple[tuple[int, int], ...],
    code: Any,
    rounded: tuple[bool, ...],
    meant: Any,
) -> Any:
    """The kernel of ``ranged_product``: factors that left the range stay lost."""
    plain, _ = split_arguments(args, powers, again)
    return scaled_product(xp, *plain, powers=powers, factor=factor, again=again)


def log_of_product(xp: Any, *xs: Any, powers: tuple[Rational, ...], factor: Rational) -> Any:
    """The kernel of ``log_of_product``."""
    value = scaled_product(xp, *xs, powers=powers, factor=factor, again=())
    size = xp.abs(value)
    careful = ((size > 0.5) & (size < 2.0)) | (size < 2.3e-308) | xp.isinf(size)
    for x in xs:
        careful = careful & xp.isfinite(x) & (x != 0)
    full = list(xp.broadcast_arrays(*xs))
    return xp.where(careful, careful_log(xp, full, powers, factor), xp.log(value))


def log_of_sum(
    xp: Any,
    *xs: Any,
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
) -> Any:
    """The kernel of ``log_of_sum``."""
    hi, lo = sum_pair(xp, xs, constant, coefficients, counts)
    total = hi + lo
    result = xp.log(total)
    near = (total > 0.5) & (total < 2.0)
    result = xp.where(near, xp.log1p(xp.where(near, (hi - 1.0) + lo, 0.0)), result)
    lost = left_range(xp, total)
    for x in xs:
        lost = lost & xp.isfinite(x)
    m, e = sum_in_parts(xp, list(xp.broadcast_arrays(*xs)), constant, coefficients, counts)
    zero = 0.0 * m
    again = xp.where(m == 0, xp.log(m), log_in_parts(xp, (m, zero), e, (zero, zero)))
    return xp.where(lost, again, result)


def logaddexp(xp: Any, a: Any, b: Any) -> Any:
    """The kernel of ``logaddexp``; beside its zeros by the sum less 1, which cancels there."""
    value = xp.logaddexp(a, b)
    more, less = xp.maximum(a, b), xp.minimum(a, b)
    near = xp.abs(value) < 0.42
    again = xp.log1p(xp.expm1(xp.where(near, more, 0.0)) + xp.exp(xp.where(near, less, -1.0)))
    return xp.where(near, again, value)


def recorded(name: str) -> Kernel:
    """The kernel of an op's record."""
    return OPS[name].kernel


def on_host(op: Op, shape: Shape = ()) -> Kernel:
    """The NumPy kernel, called back from the compiled program.

    Args:
        op: whose kernel it is.
        shape: of the result, for an op that is not elementwise.
    """

    def kernel(xp: Any, *xs: Any, **params: Any) -> Any:
        run = partial(op.kernel, NUMPY, **params)
        return hosted(run, None if op.elementwise else shape)(*xs)

    return kernel


_calls_back: ContextVar[bool] = ContextVar("_calls_back", default=True)


@contextmanager
def calling_back(allowed: bool) -> Iterator[None]:
    """Whether compiled programs may call NumPy where they can do without it."""
    token = _calls_back.set(allowed)
    try:
        yield
    finally:
        _calls_back.reset(token)


def calls_back() -> bool:
    """Whether it is allowed here."""
    return _calls_back.get()


ALARM = 32.0
"""How much greater than a sum its greatest addend may be: beyond, rounding shows too much."""


def redone_sum(
    xp: Any,
    *args: Any,
    constant: Exact,
    coefficients: tuple[Rational, ...],
    counts: tuple[int, ...],
    rounded: tuple[bool, ...],
    code: Code,
) -> Any:
    """The kernel of ``redone_sum``: XLA would compile pairs for minutes, so NumPy has them.

    It is called where an element lost digits, and computes those elements.
    """
    xs, leaves = args[: sum(counts)], args[sum(counts) :]
    total, size = sum_and_size(xp, xs, constant, coefficients, counts)
    if not _calls_back.get():
        return total
    # the size alone where it raises alarm, else 0: what a choice takes has to be in memory
    alarmed = xp.where(size > ALARM * xp.abs(total), size, xp.zeros_like(size))

    def again(total: Any, alarmed: Any, *leaves: Any) -> Any:
        return redone(NUMPY, total, alarmed, alarmed != 0, *leaves, rounded=rounded, code=code)

    parts = xp.broadcast_arrays(total, alarmed, *leaves)
    return _where_any(xp, hosted(again))(*parts)


def custom_vmap_of(count: int) -> Callable[[Kernel], Kernel]:
    """For a choice that is made of whole arrays, elementwise, with so many results."""

    def made(choice: Kernel) -> Kernel:
        import jax

        chosen = jax.custom_batching.custom_vmap(choice)

        @chosen.def_vmap
        def _(size: int, batched: Sequence[bool], *parts: Any) -> tuple[Any, Any]:
            full = [
                x if mapped else jax.numpy.broadcast_to(x, (size, *x.shape))
                for x, mapped in zip(parts, batched, strict=True)
            ]
            return chosen(*full), (True,) * count if count else True

        return chosen

    return made


_SHARE, _LEAST = 16, 4096
"""Of so many elements one has room apart; where that would be fewer, all go together."""


def _running(xp: Any, x: Any) -> Any:
    """Running sums, row by row by a matrix: XLA compiles ``cumsum`` for seconds."""
    row = 64
    if x.size <= row:
        return x @ np.triu(np.ones((x.size, x.size)))
    rows = xp.pad(x, (0, -x.size % row)).reshape(-1, row) @ np.triu(np.ones((row, row)))
    last = rows[:, -1]
    return (rows + (_running(xp, last) - last)[:, None]).ravel()[: x.size]


def _where_any(xp: Any, again: Kernel) -> Kernel:
    """``again`` of arrays of one shape where any of the second is not 0, else the first.

    Of few elements it is called with these alone: bringing all of them to the host takes longer
    than what is done there. Under vmap of the whole arrays, for which one call is made: a choice
    for each row would be none, all sides being computed.
    """

    def none(total: Any, *_: Any) -> Any:
        return total

    def few(total: Any, alarmed: Any, *leaves: Any) -> Any:
        room = total.size // _SHARE
        here = alarmed.ravel() > 0
        order = _running(xp, here.astype(np.float64)).astype(np.int32)
        numbers = np.arange(total.size, dtype=np.int32)
        places = xp.where(here, order - 1, room)
        at = xp.full(room, total.size, np.int32).at[places].set(numbers, mode="drop")
        picked = [x.ravel().at[at].get(mode="fill", fill_value=0) for x in (total, alarmed)]
        others = [x.ravel().at[at].get(mode="clip") for x in leaves]
        found = again(*picked, *others)
        return total.ravel().at[at].set(found, mode="drop").reshape(total.shape)

    @custom_vmap_of(0)
    def chosen(total: Any, alarmed: Any, *leaves: Any) -> Any:
        parts = (total, alarmed, *leaves)
        room = total.size // _SHARE
        if room < _LEAST:
            return xp.lax.cond(xp.max(alarmed, initial=0.0) > 0, again, none, *parts)
        count = xp.sum((alarmed > 0).astype(np.int32))
        which = xp.minimum(count, 1) + (count > room).astype(count.dtype)
        return xp.lax.switch(which.astype(np.int32), [none, few, again], *parts)

    return chosen


HOSTED = tuple(
    "geometric_sum compound_sum betaln beta gamma bessel_j bessel_y lgamma_difference "
    "polygamma_difference lgamma_step polygamma_step gammainc gammaincc gammainc_by_a "
    "gamma_density gamma_density_derivative log_minus_digamma betainc betainc_by beta_density "
    "log_i0 log_i0_derivative i0e_derivative i1e_derivative ellipk ellipe ellipk_derivative "
    "ellipe_derivative fresnel_sine fresnel_cosine fresnel_sine_slope "
    "fresnel_cosine_slope".split()
)
"""Ops of nested pair arithmetic that XLA would compile for minutes."""


def any_of(xp: Any, x: Any, *, axis: Any, keepdims: bool) -> Any:
    """The kernel of ``any``: XLA has faster sums and maxima of floats than of truth values."""
    true = (x if x.dtype.kind == "b" else x != 0).astype(np.float32)
    return xp.max(true, axis=axis, keepdims=keepdims, initial=0.0) != 0


KERNELS: dict[str, Kernel] = {
    "any": any_of,
    "scaled_product": scaled_product,
    "ranged_product": ranged_product,
    "log_of_product": log_of_product,
    "log_of_sum": log_of_sum,
    "logaddexp": logaddexp,
    "redone_sum": redone_sum,
    **{name: on_host(OPS[name]) for name in HOSTED},
}
"""By op; every other op runs its record's kernel."""
