"""The XLA engine: terms as JAX functions. JAX is imported when the engine is first used.

XLA on CPU flushes subnormals, so what this engine promises is for normal inputs, results and
intermediates; the forms are chosen so that intermediates stay normal. Every emission happens
under ``jax.enable_x64``, so that a float32 program may hold float64 parts wherever it runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from stablegrad.engines.xla.gammas import GAMMAS
from stablegrad.engines.xla.gathered import gathered
from stablegrad.engines.xla.kernels import KERNELS, on_host
from stablegrad.engines.xla.logistic import REFLECTED
from stablegrad.engines.xla.moments import formed
from stablegrad.engines.xla.namespace import namespace
from stablegrad.engines.xla.ranges import (
    LOGARITHMS,
    degrees,
    in_range,
    sizes,
    stays_wide,
)
from stablegrad.engines.xla.rationals import PairRuns, rational_sums
from stablegrad.engines.xla.settled import POWERS
from stablegrad.engines.xla.shared import SharedProducts
from stablegrad.engines.xla.single import (
    BESIDE,
    DEGREE,
    PLAIN,
    SINGLE_KERNELS,
    WIDE,
    plain_hypot,
    plain_hypot_unit,
    plain_product,
    wide_product,
)
from stablegrad.engines.xla.vanishing import is_finite, overflows, repaired
from stablegrad.engines.xla.widths import (
    is_computed,
    kept_wide,
    leaving,
    number_beside,
    takes,
    widens,
)
from stablegrad.errors import UnknownNameError, message
from stablegrad.ir import OPS, Term, make, rebuild, topological
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


SETTLED = GAMMAS | POWERS
"""Kernels for what is made of float32 numbers alone."""


def kernel_of(
    op: Op, dtype: Any, *, small: bool = False, single: bool = False
) -> Callable[..., Any]:
    """The kernel of an op on this engine, for results of a dtype.

    Args:
        op: the op.
        dtype: the dtype of its result.
        small: whether the result is in the range of float64 by what it is made of.
        single: whether it is made of float32 numbers alone.
    """
    if single and op.name in SETTLED:
        return SETTLED[op.name]
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


def signed(roots: Sequence[Term]) -> list[Term]:
    """The roots with a product that is another's opposite made of that.

    Else XLA would hold in memory, in float64, what both are rounded from.
    """
    order = topological(roots)
    products = {t for t in order if t.op.name == "scaled_product" and t.dtype == np.float32}
    images: dict[Term, Term] = {}
    for term in products:
        powers, factor, again = term.params
        if factor < 0:
            other = make(term.op, term.args, (powers, -factor, again), term.shape, term.dtype)
            if other in products:
                images[term] = OPS["negative"](other)
    return rebuild(roots, images) if images else list(roots)


def _shared(order: Sequence[Term], roots: Sequence[Term]) -> set[Term]:
    """The float32 terms of which several are made, or one that is passed on to several.

    What they are rounded from XLA would hold in memory, in float64, to round it for each.
    """
    uses = Counter(roots)
    for term in reversed(order):
        shared = uses[term] > 1 and term.op.carries == "passed"
        for a in term.args:
            uses[a] += 1 + shared
    return {t for t, n in uses.items() if n > 1 and t.dtype == np.float32}


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
        self.roots = tuple(signed(once(roots)))
        self.order = topological([*self.inputs, *self.roots])
        self.single = all(x.dtype != WIDE for x in self.inputs)
        self.degrees = degrees(self.order)
        self.kept_wide = kept_wide(self.order, self.roots)
        self.bounds = sizes(self.order, ())
        self.leaving = leaving(self.order, self.bounds, self.kept_wide) & set(self.kept_wide)
        self.sizes = sizes(self.order, self.kept_wide)
        self.summed = {
            t.args[0]
            for t in self.order
            if t.op.name == "sum" and t.dtype == np.float32
            if self.kept_wide.keys().isdisjoint(t.args[0].args)
        }
        self.summed |= _shared(self.order, self.roots)
        made = {a for t in self.order if t.dtype.kind != "b" for a in t.args}
        self.for_masks = set(self.order).difference(made, self.roots)
        plain = {t for t in self.order if t.dtype == np.float32 and plain_order(t) is not None}
        self.beside = {
            t: BESIDE[t.op.name, number]
            for t in self.order
            if (number := number_beside(t)) is not None
            and self.kept_wide.keys().isdisjoint({t, *t.args})
        }
        self.repairs, self.finite = overflows(self.order, self.kept_wide, plain)
        special = {t for t in self.order if t.dtype == np.float32 and takes(t)}
        special.update(self.kept_wide, self.beside, self.repairs)
        if self.single:  # their kernels are short
            special.update(t for t in self.order if t.op.name in SETTLED)
        self.sequence, self.groups = gathered(self.order, special)
        self.shared = SharedProducts(
            {
                t: dict(zip(t.args, map(int, t.params[0]), strict=True))
                for t in self.order
                if t not in self.repairs
                and stays_wide(t, self.sizes)
                and all(p == int(p) for p in t.params[0])
            }
        )

    def __call__(self, *values: Any, xp: Any = None) -> list[Any]:
        """The values of the roots. Call it with ``jax.enable_x64(True)`` in force.

        Args:
            values: those of the inputs.
            xp: the names that kernels are given; those of jax.numpy unless said otherwise.
        """
        xp = xp or namespace(import_jax())
        known: dict[Any, Any] = _Known(zip(self.inputs, values, strict=True))
        results: dict[Term, Any] = {}
        for term in self.sequence:
            if term in self.groups:
                results.update(self._together(xp, self.groups[term], known))
            if term not in known:
                value = results.pop(term) if term in results else self._apply(xp, term, known)
                if value.dtype == term.dtype:
                    known[term] = value
                elif value.dtype == WIDE and (term in self.kept_wide or term in self.for_masks):
                    known[term, WIDE] = value
                else:
                    narrow = value.astype(term.dtype)
                    known[term] = formed(xp, narrow) if term in self.summed else narrow
        return [_shaped(xp, known[r], r) for r in self.roots]

    def _together(self, xp: Any, terms: Sequence[Term], known: dict[Any, Any]) -> dict[Term, Any]:
        """The values of terms of one op and shape, by one call of its kernel."""
        first = terms[0]
        if first.op.name == "rational_sum":
            runs = known.setdefault(PairRuns, PairRuns(xp))
            return dict(zip(terms, rational_sums(xp, runs, terms, known), strict=True))
        small = self.degrees[first] <= DEGREE
        kernel = kernel_of(first.op, first.dtype, small=small, single=self.single)
        columns = zip(*[t.args for t in terms], strict=True)
        args = [xp.stack([_shaped(xp, known[a], a) for a in column]) for column in columns]
        return dict(zip(terms, xp.call(kernel, *args, **first.static), strict=True))

    def _apply(self, xp: Any, term: Term, known: dict[Any, Any]) -> Any:
        if term.op is CONST:  # scalars: XLA fills shapes itself
            return xp.asarray(round_to(term.params[0], term.dtype))
        if term.op.name == "astype" and term in self.kept_wide:
            return known[term.args[0]]
        if widens(term) and term.args[0] in self.kept_wide:
            return known[term.args[0], WIDE]
        if term in self.finite:
            return is_finite(self.finite[term], known)
        if term.op.name == "isfinite" and term.args[0].op.name in LOGARITHMS:
            (logarithm,) = term.args  # whose argument tells: a slope need not compute it
            x = _widest(known, logarithm.args[0])
            return (x > (-1 if logarithm.op.name == "log1p" else 0)) & (x < xp.inf)
        params = term.static
        small = self.degrees[term] <= DEGREE
        kernel = kernel_of(term.op, term.dtype, small=small, single=self.single)
        order = plain_order(term) if term.dtype == np.float32 else None
        if order is not None:
            kernel = PLAIN_FORMS[term.op.name]
        elif term in self.beside:
            kernel = self.beside[term]
        elif term in self.shared.parts:
            return self._shared_product(xp, term, known)
        elif stays_wide(term, self.sizes):
            kernel = wide_product
        goes_on = term.dtype == np.float32 and takes(term)
        if order is not None:
            args = [known[term.args[i]] for i in order]
        elif not goes_on and term.op.name != "not_equal":
            args = [known[a] for a in term.args]
        else:
            args = [_widest(known, a) for a in term.args]
            by_parts = self._by_parts(term)
            if by_parts:
                kernel = KERNELS["scaled_product"]
            if by_parts or term in self.leaving or (term in self.kept_wide and is_computed(term)):
                args = [x if x.dtype == bool else x.astype(WIDE) for x in args]
        for repair in self.repairs.get(term, ()):
            i = order.index(repair.position) if order else repair.position
            args[i] = repaired(xp, args[i], repair, known)
        if order is not None and "powers" in params:
            params["powers"] = tuple([params["powers"][i] for i in order])
        if term.dtype.itemsize == 4 and term.op.name in REFLECTED:
            (inner,) = term.args
            if inner.op.name == "negative":  # f(-x) from what f(x) is made of
                kernel, args = REFLECTED[term.op.name], [known[inner.args[0]]]
        if not term.op.elementwise:  # constants are held as scalars
            args = [_shaped(xp, x, a) for x, a in zip(args, term.args, strict=True)]
        try:
            return xp.asarray(xp.call(kernel, *args, **params))
        except import_jax().errors.JAXTypeError:
            # series that end when their terms are small, and the like: the kernel looks at values
            return xp.asarray(xp.call(on_host(term.op, term.shape), *args, **params))

    def _by_parts(self, term: Term) -> bool:
        """Whether a product of what is held in float64 may leave the range of float64."""
        if term.op.name != "scaled_product" or not any(a in self.kept_wide for a in term.args):
            return False
        return not in_range(term, self.kept_wide, self.bounds)

    def _shared_product(self, xp: Any, term: Term, known: dict[Any, Any]) -> Any:
        """A product of factors and of pairs that others have, too: known by their numbers."""
        factors, pairs = self.shared.factors, self.shared.pairs

        def value(n: int) -> Any:
            if n >= len(factors):
                return known[n]
            x = factors[n]
            return _widest(known, x).astype(WIDE)

        for n in self.shared.needed(term):
            if n not in known:
                a, b = pairs[n - len(factors)]
                known[n] = value(a) * value(b)
        steps = tuple([value(n) for n in self.shared.parts[term]])
        return wide_product(xp, *steps, powers=(1,) * len(steps), factor=term.params[1])


class _Known(dict[Any, Any]):
    """Values by term. Those held in float64 are rounded where they are asked for in float32."""

    def __missing__(self, term: Any) -> Any:
        self[term] = narrow = self[term, WIDE].astype(term.dtype)
        return narrow


def _widest(known: dict[Any, Any], term: Term) -> Any:
    wide = (term, WIDE)
    return known[wide] if wide in known else known[term]


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
