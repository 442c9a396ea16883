"""Regions: parts of a JAX program as terms, closed under both modes of differentiation.

A region is a list of terms over numbered inputs. Its tangent program and its pullback are
regions again, made by our own transforms, so that JAX never differentiates a formula of ours,
whatever the order and the mix of modes; masks stay masks on the way. Regions are interned, and
everything derived of one is made once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from stablegrad.engines.rounding import error_bound
from stablegrad.engines.xla import Emission
from stablegrad.engines.xla.kernels import calls_back
from stablegrad.engines.xla.single import SINGLE_KERNELS, WIDE
from stablegrad.engines.xla.widths import kept_wide
from stablegrad.ir import OPS, Term, make, rebuild, topological
from stablegrad.jax.overflow import logs_in_range
from stablegrad.jax.tidy import tidy
from stablegrad.ops import forms
from stablegrad.ops.record import CONST, INPUT, const, is_const, is_float
from stablegrad.program import NARROW, WIDENED, synthesized, values_of
from stablegrad.rewrite import Fired
from stablegrad.rules.databases import RARE
from stablegrad.settings import Settings
from stablegrad.synthesis import Run
from stablegrad.transforms.differentiate import jvp, vjp
from stablegrad.transforms.expand import Expander, strip
from stablegrad.transforms.fold import fold
from stablegrad.transforms.given import is_given
from stablegrad.transforms.lower import Lowering

NATIVE = frozenset(
    "affine monomial exp exp2 expm1 log log2 log10 log1p log1mexp log_expm1 sigmoid sigmoid_slope "
    "softplus log_sigmoid logit logit_slope rsqrt cbrt power hypot hypot_unit tanh sech "
    "sech_squared arcsinh arccosh arctanh one_minus_square erf erfinv ndtri softsign sinh cosh "
    "sigmoid_difference union_slope logaddexp sin cos tan arcsin arccos arctan arctan2 xlogy "
    "logsumexp softmax log_softmax softmax_jvp log_softmax_jvp log_softmax_vjp norm unit_vector "
    "unit_vector_jvp center var std prod".split()
) | frozenset(SINGLE_KERNELS)
"""Ops whose float32 kernels are within about 5 ulp under XLA: they need no wider functions."""

_HALF = 2
FRAGILE_ULP = 256.0
"""The greatest error of a float32 part that stays: exp makes a hundred of one in its argument."""
FEW = 2**9
"""Elements that are computed in the time of a call, whatever the dtype of their functions."""
SHORT = 200
"""Terms of a region whose functions XLA compiles in float64 in about the same time."""
LARGEST = 32
"""Ops of a part: in float32 longer ones lose digits by their length alone."""
_regions: WeakValueDictionary[Any, Region] = WeakValueDictionary()


def numbered(i: int, shape: tuple[int, ...], dtype: Any) -> Term:
    """The input of a region at a position."""
    return make(INPUT, (), (i,), shape, np.dtype(dtype))


def plain(aval: Any) -> bool:
    """Whether terms have values of a JAX type."""
    shape, dtype = getattr(aval, "shape", None), getattr(aval, "dtype", None)
    if shape is None or not isinstance(dtype, np.dtype) or not all(type(n) is int for n in shape):
        return False
    return dtype.kind in "biu" or (is_float(dtype) and dtype.itemsize in (2, 4, 8))


def region_of(roots: Sequence[Term], inputs: Sequence[Term], settings: Settings) -> Region:
    """The one region with these roots over these inputs."""
    key = (tuple(roots), tuple(inputs), settings)
    found = _regions.get(key)
    if found is None:
        found = _regions[key] = Region(*key)
    return found


class Region:
    """Terms over inputs that are ``input`` terms, numbered by position."""

    def __init__(
        self, roots: tuple[Term, ...], inputs: tuple[Term, ...], settings: Settings
    ) -> None:
        self.roots = roots
        self.inputs = inputs
        self.settings = settings
        # XLA would compute for all elements what few need
        self.expander = Expander(replace(settings, excluded=settings.excluded | {RARE}))
        self._tangents: dict[Any, tuple[Region, tuple[int, ...]]] = {}
        self._pullbacks: dict[Any, tuple[Region, tuple[int, ...]]] = {}
        self._at_one: dict[tuple[int, ...], Region] = {}
        self._origin: tuple[Region, tuple[int, ...], tuple[int, ...]] | None = None
        """What this is the tangent program of: the region, the inputs moved, the results."""

    def __repr__(self) -> str:
        return f"<region of {len(self.inputs)} inputs and {len(self.roots)} results>"

    @cached_property
    def stable(self) -> list[Term]:
        """The roots, stabilized: what is differentiated."""
        return self.expander.normal(self.roots)

    @cached_property
    def lowered(self) -> list[Term]:
        """What runs on arrays of any size."""
        return self._lower(throughout=False)

    def _lower(self, *, throughout: bool) -> list[Term]:
        roots = self.expander.normal(strip(self.stable))
        if self.settings.stabilizes:
            roots = fold(roots)
            if self.settings.synthesizes:
                wide = throughout or any(t.dtype == WIDE for t in topological(roots))
                run = WIDENED if wide else SINGLE
                roots = synthesized(roots, self.expander, run if self.settings.widens else NARROW)
            roots = tidy(logs_in_range(roots))
        roots = _single(roots)
        native = not self.settings.widens
        lowering = Lowering(native=native, trusted=NATIVE, throughout=throughout)
        return [
            r if r.dtype == wanted.dtype else OPS["astype"](r, dtype=wanted.dtype)
            for r, wanted in zip(lowering(roots), self.roots, strict=True)
        ]

    def emission(self, times: int) -> Emission:
        """The region as a function of JAX arrays.

        Args:
            times: how often it is computed at once, mapped over that many rows.
        """
        settings = self.settings
        few = settings.stabilizes and settings.widens and times * self._largest <= FEW
        # sums in float64 over several devices would not be sent together with those in float32
        return self._emission_of_few if few and calls_back() else self._emission

    @cached_property
    def _emission(self) -> Emission:
        return Emission(self.lowered, self.inputs)

    @cached_property
    def _emission_of_few(self) -> Emission:
        """With all in float64 that may cancel later, which costs little beside the call itself."""
        return Emission(self._lower(throughout=True), self.inputs)

    @cached_property
    def _largest(self) -> float:
        """The elements of the largest term; infinite where there are too many terms."""
        order = topological(self.stable)
        return max([t.size for t in order], default=0) if len(order) <= SHORT else math.inf

    @property
    def fired(self) -> list[Fired]:
        """The rules that fired so far."""
        return self.expander.fired

    # -- derivatives ------------------------------------------------------------------------

    def tangent(self, moved: tuple[int, ...]) -> tuple[Region, tuple[int, ...]]:
        """The derivative along tangents of some inputs.

        Args:
            moved: the positions of the inputs that have tangents.

        Returns:
            A region of the inputs and those tangents; and the positions of the results whose
            tangents it gives, the others being structurally zero.
        """
        found = self._tangents.get(moved)
        if found is None:
            found = self._tangents[moved] = self._tangent(moved)
        return found

    def _tangent(self, moved: tuple[int, ...]) -> tuple[Region, tuple[int, ...]]:
        n = len(self.inputs)
        xs = [self.inputs[i] for i in moved]
        ts = [numbered(n + j, x.shape, x.dtype) for j, x in enumerate(xs)]
        roots, places = [], []
        for k, root in enumerate(self.stable):
            if not is_float(root.dtype):
                continue
            found = forms.with_shape(jvp(root, xs, ts, self.settings), root.shape)
            if not is_const(found, 0):
                roots.append(found)
                places.append(k)
        region = region_of(roots, (*self.inputs, *ts), self.settings)
        region._origin = (self, moved, tuple(places))  # noqa: SLF001 - of its own kind
        return region, tuple(places)

    def pullback(
        self, wanted: tuple[int, ...], given: tuple[int, ...]
    ) -> tuple[Region, tuple[int, ...]]:
        """The cotangents of some inputs, in which the region is linear, from those of results.

        Args:
            wanted: the positions of the linear inputs.
            given: the positions of the results that have cotangents.

        Returns:
            A region of the other inputs and the cotangents; and the positions in ``wanted`` of
            the inputs whose cotangents it gives, the others being structurally zero.
        """
        key = (wanted, given)
        found = self._pullbacks.get(key)
        if found is None:
            found = self._pullbacks[key] = self._pullback(wanted, given)
        return found

    def _pullback(
        self, wanted: tuple[int, ...], given: tuple[int, ...]
    ) -> tuple[Region, tuple[int, ...]]:
        program, xs = self.stable, [self.inputs[i] for i in wanted]
        if self._origin is not None:
            source, moved, places = self._origin
            n = len(source.inputs)
            if (
                wanted and min(wanted) >= n
            ):  # the transpose of a tangent program is the reverse mode
                program = [source.stable[k] for k in places]
                xs = [source.inputs[moved[i - n]] for i in wanted]
        free = [i for i in range(len(self.inputs)) if i not in wanted]
        seeds = [
            numbered(len(free) + j, self.roots[k].shape, self.roots[k].dtype)
            for j, k in enumerate(given)
        ]
        # inputs move to their new positions through stand-ins, lest two numbers clash
        shift = len(self.inputs) + len(given)
        stand_ins = [numbered(shift + j, s.shape, s.dtype) for j, s in enumerate(seeds)]
        parts: list[list[Term]] = [[] for _ in xs]
        for k, seed in zip(given, stand_ins, strict=True):
            for part, found in zip(parts, vjp(program[k], xs, seed, self.settings), strict=True):
                if not is_const(found, 0):
                    part.append(found)
        roots, places_found = [], []
        for j, (x, part) in enumerate(zip(xs, parts, strict=True)):
            if part:
                total = forms.total([(1, p) for p in part], x.shape, x.dtype)
                roots.append(forms.with_shape(total, x.shape))
                places_found.append(j)
        renamed = {
            self.inputs[i]: numbered(j, self.inputs[i].shape, self.inputs[i].dtype)
            for j, i in enumerate(free)
        }
        # a linear map does not depend on what it is applied to
        ones = {self.inputs[i]: self.inputs[i] for i in wanted}
        ones = {x: const(1, x.dtype, x.shape) for x in ones}
        if program is not self.stable:
            ones = {}
        images = {**renamed, **ones, **dict(zip(stand_ins, seeds, strict=True))}
        roots = _substituted(roots, images)
        inputs = (*renamed.values(), *seeds)
        return region_of(roots, inputs, self.settings), tuple(places_found)

    def at_one(self, ones: tuple[int, ...]) -> Region:
        """The region of the other inputs where those at some positions are 1.

        A gradient starts from the cotangent 1, which as a factor would make products longer.
        """
        if not ones:
            return self
        found = self._at_one.get(ones)
        if found is None:
            rest = [x for i, x in enumerate(self.inputs) if i not in ones]
            inputs = [numbered(i, x.shape, x.dtype) for i, x in enumerate(rest)]
            images = dict(zip(rest, inputs, strict=True))
            for i in ones:
                x = self.inputs[i]
                images[x] = const(1, x.dtype, x.shape)
            found = region_of(_substituted(list(self.roots), images), inputs, self.settings)
            self._at_one[ones] = found
        return found


def _values(expression: Term, bound: Mapping[Term, Any]) -> Any:
    """The values of an expression in about the arithmetic of a region without float64."""
    given = next(iter(bound.values())).dtype
    dtype = np.dtype(np.float32) if given.itemsize == _HALF else given
    single = {v: x.astype(dtype) for v, x in bound.items()}
    with np.errstate(over="ignore"):
        return values_of(expression, single, _lowered).astype(given)


def _lowered(root: Term) -> Term:
    """A term as it is lowered, what is float32 in it rounded to that once and in float64 else.

    So kernels for XLA are taken for right, which need not be run to know what a program loses.
    """
    (root,) = Lowering(trusted=NATIVE)([root])
    order = topological([root])
    wide = kept_wide(order, [root])
    done: dict[Term, Term] = {}
    for term in order:
        args = tuple([done[a] for a in term.args])
        single = term.dtype == np.float32
        if term.op is CONST or term.op is INPUT:
            new = term
        elif term.op.name == "astype" and is_float(term.args[0].dtype):
            (new,) = args
        else:
            dtype = WIDE if single else term.dtype
            new = make(term.op, args, term.params, term.shape, dtype)
        if single:
            if new.dtype == WIDE and term not in wide:
                new = make(OPS["astype"], (new,), (term.dtype,), term.shape, term.dtype)
            if new.dtype != WIDE:
                new = make(OPS["astype"], (new,), (WIDE,), term.shape, WIDE)
        done[term] = new
    return done[root]


SINGLE = Run(
    _values,
    native=is_given,
    limit=FRAGILE_ULP,
    zeros=False,
    reach=2.0**40,
    most=512,
    largest=LARGEST,
    least=_HALF,
    screen=NARROW.values,
    bound=error_bound,
)
"""Where there is no float64: a table costs some ns an element, what XLA fuses less than one, and
programs are compiled often. So tables are for parts that are wrong at inputs of ordinary size."""


def _substituted(roots: list[Term], images: dict[Term, Term]) -> list[Term]:
    present = {t: images[t] for t in topological(roots) if t in images}
    return rebuild(roots, present)


def _single(roots: list[Term]) -> list[Term]:
    """The roots with half precision computed in float32."""
    if not any(_is_half(t) for t in topological(roots)):
        return roots
    single = np.dtype(np.float32)
    done: dict[Term, Term] = {}
    for term in topological(roots):
        args = tuple([done[a] for a in term.args])
        if term.op is INPUT:
            done[term] = OPS["astype"](term, dtype=single) if _is_half(term) else term
        elif term.op is CONST and _is_half(term):
            done[term] = const(term.params[0], single, term.shape)
        elif term.op.name == "astype" and _is_half(term):
            x = args[0]
            done[term] = x if x.dtype == single else OPS["astype"](x, dtype=single)
        elif args == term.args and not _is_half(term):
            done[term] = term
        else:
            dtype = single if _is_half(term) else term.dtype
            done[term] = make(term.op, args, term.params, term.shape, dtype)
    return [done[r] for r in roots]


def _is_half(term: Term) -> bool:
    return is_float(term.dtype) and term.dtype.itemsize == _HALF
