"""The XLA engine: terms as JAX functions. JAX is imported when the engine is first used.

XLA on CPU flushes subnormals, so what this engine promises is for normal inputs, results and
intermediates; the forms are chosen so that intermediates stay normal. Every emission happens
under ``jax.enable_x64``, so that a float32 program may hold float64 parts wherever it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from stablegrad.engines.xla.kernels import KERNELS, on_host
from stablegrad.engines.xla.logistic import REFLECTED
from stablegrad.engines.xla.namespace import namespace
from stablegrad.engines.xla.ranges import (
    BITS,
    LOGARITHMS,
    Reach,
    degrees,
    is_logarithm,
    reached,
    sizes,
    stays_wide,
)
from stablegrad.engines.xla.shared import SharedProducts
from stablegrad.engines.xla.single import (
    DEGREE,
    PLAIN,
    SINGLE_KERNELS,
    WIDE,
    plain_hypot,
    plain_hypot_unit,
    plain_product,
    wide_product,
)
from stablegrad.errors import UnknownNameError, message
from stablegrad.ir import OPS, Term, rebuild, topological
from stablegrad.ops.record import CONST, Op, round_to

Array = np.ndarray[Any, Any]


@cache
def import_jax() -> Any:
    """JAX, or an error that names the extra."""
    try:
        import jax
    except ImportError:
        raise UnknownNameError(
            message("the engine 'xla'", "JAX to be installed", "`pip install stablegrad[jax]`")
        ) from None
    return jax


def kernel_of(op: Op, dtype: Any, *, small: bool = False) -> Callable[..., Any]:
    """The kernel of an op on this engine, for results of a dtype.

    Args:
        op: the op.
        dtype: the dtype of its result.
        small: whether the result is in the range of float64 by what it is made of.
    """
    if op.name in SINGLE_KERNELS and (dtype.itemsize == 4 or (small and op.name in PLAIN)):
        return SINGLE_KERNELS[op.name]
    return KERNELS.get(op.name) or op.engine_kernels.get("xla", op.kernel)


def once(roots: Sequence[Term]) -> list[Term]:
    """The roots with a float32 logarithm rounded from the float64 one, where they have both."""
    order = topological(roots)
    logs = [t for t in order if t.op.name in LOGARITHMS]
    wide = {
        (t.op, t.args[0].args[0]): t
        for t in logs
        if t.dtype == WIDE and t.args[0].op.name == "astype"
    }
    images = {
        t: OPS["astype"](wide[t.op, t.args[0]], dtype=t.dtype)
        for t in logs
        if t.dtype == np.float32 and (t.op, t.args[0]) in wide
    }
    return rebuild(roots, images) if images else list(roots)


LENGTHS = frozenset({"norm", "hypot"})
"""Ops whose kernels give float64 and take it."""
SHORTER = frozenset({"erfinv"})
"""Ops that may be no normal float32 where a multiple of them is: c*x of small x, c below 1."""


def kept_wide(order: Sequence[Term], roots: Sequence[Term]) -> set[Term]:
    """The float32 sums and products formed in float64 whose one user goes on in float64.

    What is made for masks alone does not count as a user; an exponential or a logarithm formed in
    float64 may have several.
    """
    users: dict[Term, dict[Term, None]] = {r: {} for r in roots}
    for term in reversed(order):
        if term in users and term.dtype.kind != "b":
            for a in term.args:
                users.setdefault(a, {})[term] = None
    kept = {
        t: tuple(u)
        for t, u in users.items()
        if t not in roots and (len(u) == 1 or (t.op.name in ("exp", "astype") and _is_plain(t)))
    }
    single = {t: u[0] for t, u in kept.items() if len(u) == 1}
    wanted = _feeding(order, single)
    goes_on = _going_on(order, kept)
    bounds = sizes(order, ())
    reach: dict[Term, Reach] = {}
    found: set[Term] = set()
    for term in order:
        if term.dtype != np.float32 or not _goes_on(term):
            continue
        there = _is_plain(term) or term in wanted or any(a in found for a in term.args)
        if there and term in goes_on:
            size = reached(term, reach, bounds)
            if size.up <= BITS and all(
                u.up <= BITS for u in _used(term, size, reach, kept, bounds)
            ):
                found.add(term)
                reach[term] = size
    return found


def _used(
    term: Term,
    size: Reach,
    reach: dict[Term, Reach],
    kept: dict[Term, tuple[Term, ...]],
    bounds: dict[Term, float],
) -> list[Reach]:
    """The reaches of what is made of a term of some size, past what only passes it on."""
    known, found, pending = {**reach, term: size}, [], [term]
    while pending:
        for user in kept[pending.pop()]:
            made = reached(user, known, bounds)
            if user.op.carries == "passed":
                known[user] = made
                pending.append(user)
            else:
                found.append(made)
    return found


def _going_on(order: Sequence[Term], kept: dict[Term, tuple[Term, ...]]) -> set[Term]:
    """The terms whose users are float32 arithmetic, past what only passes them on."""
    found: set[Term] = set()
    for term in reversed(order):
        users = kept.get(term, ())
        if users and all(
            u.dtype == np.float32 and (u in found if u.op.carries == "passed" else _goes_on(u))
            for u in users
        ):
            found.add(term)
    return found


def _is_plain(term: Term) -> bool:
    """Whether a float32 term is formed in float64 as it is."""
    if term.op.name == "exp":
        return term.args[0].dtype == WIDE
    if term.op.name == "astype":
        return term.args[0].dtype == WIDE and is_logarithm(term)
    return term.op.name in PLAIN or term.op.name in LENGTHS or term.op.name in SHORTER


def _goes_on(term: Term) -> bool:
    return _is_plain(term) or term.op.carries != ""


def _feeding(order: Sequence[Term], single: dict[Term, Term]) -> set[Term]:
    """The arithmetic that only goes into a sum whose addends may cancel: its rounding shows there.

    No further than one operation: beyond, float64 would cost more than it gives. The factors of a
    product in the sum count where they are sums themselves.
    """
    found: set[Term] = set()
    for term in reversed(order):
        user = single.get(term)
        if user is None or term.dtype != np.float32 or user.dtype != np.float32:
            continue
        if not term.op.carries:
            continue
        direct = _cancels(user) and (term.op.name in ("add", "subtract") or term in _addends(user))
        if direct or (user in found and user.op.carries == "passed"):
            found.add(term)
    return found


def _addends(term: Term) -> list[Term]:
    """The arguments of a sum that are addends, not factors of one."""
    if term.op.name != "compensated_sum":
        return list(term.args)
    found, position = [], 0
    for count in term.params[2]:
        if count == 1:
            found.append(term.args[position])
        position += count
    return found


def _cancels(term: Term) -> bool:
    """Whether a sum may be less than its addends by the signs that facts tell."""
    name = term.op.name
    if name == "compensated_sum":
        return True
    if name not in ("add", "subtract"):
        return False
    a, b = (x.facts for x in term.args)
    if name == "subtract":
        return not ((a.lo >= 0 and b.hi <= 0) or (a.hi <= 0 and b.lo >= 0))
    return not ((a.lo >= 0 and b.lo >= 0) or (a.hi <= 0 and b.hi <= 0))


PLAIN_FORMS = {
    "scaled_product": plain_product,
    "hypot": plain_hypot,
    "hypot_unit": plain_hypot_unit,
}
"""Kernels in float32 arithmetic throughout, for ``plain_order``."""


def plain_order(term: Term) -> list[int] | None:
    """The order in which a float32 product or length needs no wider arithmetic, if any."""
    name = term.op.name
    if name == "scaled_product":
        powers, factor, again = term.params
        if again or factor != 1 or any(p != int(p) or p < 1 for p in powers):
            return None
        # from the one factor that may be great on, products only fall: in range as the result
        great = [i for i, x in enumerate(term.args) if not _within(x, 1.0)]
        if len(great) > 1 or any(powers[i] != 1 for i in great):
            return None
        return [*great, *[i for i in range(len(powers)) if i not in great]]
    if name in ("hypot", "hypot_unit"):
        number = any(x.op is CONST and _within(x, _WIDTH) and x.params[0] != 0 for x in term.args)
        return [0, 1] if number and all(_within(x, _WIDTH) for x in term.args) else None
    return None


_WIDTH = 1e6


def _within(x: Term, bound: float) -> bool:
    return -bound <= x.facts.lo and x.facts.hi <= bound


class Emission:
    """Lowered terms as a function of JAX arrays: traced under jit, vmap or a lowering rule."""

    def __init__(self, roots: Sequence[Term], inputs: Sequence[Term]) -> None:
        self.inputs = tuple(inputs)
        self.roots = tuple(once(roots))
        self.order = topological([*self.inputs, *self.roots])
        self.degrees = degrees(self.order)
        self.kept_wide = kept_wide(self.order, self.roots)
        self.sizes = sizes(self.order, self.kept_wide)
        made = {a for t in self.order if t.dtype.kind != "b" for a in t.args}
        self.for_masks = set(self.order).difference(made, self.roots)
        self.shared = SharedProducts(
            {
                t: dict(zip(t.args, map(int, t.params[0]), strict=True))
                for t in self.order
                if stays_wide(t, self.sizes) and all(p == int(p) for p in t.params[0])
            }
        )

    def __call__(self, *values: Any) -> list[Any]:
        """The values of the roots. Call it with ``jax.enable_x64(True)`` in force."""
        xp = namespace(import_jax())
        known: dict[Any, Any] = dict(zip(self.inputs, values, strict=True))
        for term in self.order:
            if term not in known:
                value = self._apply(xp, term, known)
                if value.dtype == WIDE and (term in self.kept_wide or term in self.for_masks):
                    known[term, WIDE] = value
                known[term] = value if value.dtype == term.dtype else value.astype(term.dtype)
        return [_shaped(xp, known[r], r) for r in self.roots]

    def _apply(self, xp: Any, term: Term, known: dict[Any, Any]) -> Any:
        if term.op is CONST:  # scalars: XLA fills shapes itself
            return xp.asarray(round_to(term.params[0], term.dtype))
        if term.op.name == "astype" and term in self.kept_wide:
            return known[term.args[0]]
        params = term.static
        kernel = kernel_of(term.op, term.dtype, small=self.degrees[term] <= DEGREE)
        order = plain_order(term) if term.dtype == np.float32 else None
        if order is not None:
            kernel = PLAIN_FORMS[term.op.name]
        elif term in self.shared.parts:
            return self._shared_product(xp, term, known)
        elif stays_wide(term, self.sizes):
            kernel = wide_product
        args = [known[term.args[i]] for i in order or range(len(term.args))]
        goes_on = term.dtype == np.float32 and _goes_on(term)
        if order is None and (goes_on or term.op.name == "not_equal"):
            args = [known.get((a, WIDE), x) for a, x in zip(term.args, args, strict=True)]
            computed = term.op.carries == "computed" or term.op.name in SHORTER
            if term in self.kept_wide and computed:
                args = [x.astype(WIDE) for x in args]
        if order is not None and "powers" in params:
            params["powers"] = tuple([params["powers"][i] for i in order])
        if term.dtype.itemsize == 4 and term.op.name in REFLECTED:
            (inner,) = term.args
            if inner.op.name == "negative":  # f(-x) from what f(x) is made of
                kernel, args = REFLECTED[term.op.name], [known[inner.args[0]]]
        if not term.op.elementwise:  # constants are held as scalars
            args = [_shaped(xp, x, a) for x, a in zip(args, term.args, strict=True)]
        try:
            return xp.asarray(kernel(xp, *args, **params))
        except import_jax().errors.JAXTypeError:
            # series that end when their terms are small, and the like: the kernel looks at values
            return xp.asarray(on_host(term.op, term.shape)(xp, *args, **params))

    def _shared_product(self, xp: Any, term: Term, known: dict[Any, Any]) -> Any:
        """A product of factors and of pairs that others have, too: known by their numbers."""
        factors, pairs = self.shared.factors, self.shared.pairs

        def value(n: int) -> Any:
            if n >= len(factors):
                return known[n]
            x = factors[n]
            return known.get((x, WIDE), known[x]).astype(WIDE)

        for n in self.shared.needed(term):
            if n not in known:
                a, b = pairs[n - len(factors)]
                known[n] = value(a) * value(b)
        steps = tuple([value(n) for n in self.shared.parts[term]])
        return wide_product(xp, *steps, powers=(1,) * len(steps), factor=term.params[1])


def _shaped(xp: Any, value: Any, term: Term) -> Any:
    return value if value.shape == term.shape else xp.broadcast_to(value, term.shape)


class Plan:
    """A program compiled by XLA, with the interface of the NumPy plan."""

    def __init__(self, roots: Sequence[Term], inputs: Sequence[Term]) -> None:
        jax = import_jax()
        self._enable = partial(jax.enable_x64, True)
        self._run = jax.jit(Emission(roots, inputs))

    def __call__(self, values: Sequence[Array]) -> list[Array]:
        """Run on the values of the inputs, in their order; return those of the roots."""
        with self._enable():
            return [np.asarray(v) for v in self._run(*values)]
