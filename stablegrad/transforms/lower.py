"""Lowering: how the sums and products of canonical form are evaluated.

Each canonical term becomes ops with kernels. Fragile float32 parts, and all of half precision,
are computed in float64 and rounded once; float64 sums that may cancel are compensated; products
keep their range; the exponential of a sum takes the rounding error of the sum along.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stablegrad.cost import one_sign
from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops import forms
from stablegrad.ops.dtypes import is_half
from stablegrad.ops.forms import AFFINE, MONOMIAL, Rational
from stablegrad.ops.lowered import EXP_OF_SUM
from stablegrad.ops.lowered_arithmetic import RATIONAL_SUM
from stablegrad.ops.lowered_functions import HYPOT_OF_COMPUTED
from stablegrad.ops.lowered_gaps import STEPPED_GAP
from stablegrad.ops.lowered_logs import LOG_OF_PRODUCT, LOG_OF_SUM
from stablegrad.ops.lowered_structured import SETTLED
from stablegrad.ops.record import CONST, Exact, const, is_float
from stablegrad.transforms.based_logs import BASES, STEPS, as_multiple_by_base, by_base
from stablegrad.transforms.given import (
    EXACT_OPS,
    MOVES,
    OF_DEEP,
    STEEP,
    cancelling,
    cancelling_angles,
    is_form,
    is_given,
    is_made_of_given,
    is_moved,
    is_near_given,
    is_of_few,
    is_second_of_softmax,
    is_short_slope,
)
from stablegrad.transforms.legs import partial_legs
from stablegrad.transforms.plainer import plainer
from stablegrad.transforms.products import WIDE, emit_product, power_of_two
from stablegrad.transforms.ranged import (
    as_ranged_call,
    as_ranged_comparison,
    as_ranged_power,
    as_ranged_sum,
    as_ranged_unit,
)
from stablegrad.transforms.ranged_logs import POLES, RATIOS, as_ranged_log, as_ranged_pole
from stablegrad.transforms.ranging import BASED
from stablegrad.transforms.rational import as_rational_sum, is_exact, is_exact_product
from stablegrad.transforms.redone import (
    as_redone_call,
    as_redone_comparison,
    as_redone_gap,
    as_redone_power,
    as_redone_sum,
)
from stablegrad.transforms.rescuing import (
    as_rescued,
    as_rescued_comparison,
    as_rescued_part,
    fragile,
    hints,
)
from stablegrad.transforms.roots import as_rooted
from stablegrad.transforms.steps import steps
from stablegrad.transforms.structured import as_settled, as_settled_result
from stablegrad.transforms.sums import emit_sum, with_products
from stablegrad.transforms.vanishing import as_known, as_told_apart, as_told_sign

NATIVE_REDUCTIONS = frozenset("sum mean max min any all argmax argmin cumsum cumprod".split())

Addend = tuple[Rational, tuple[Term, ...]]


class Lowering:
    """Lowers terms; a term may be wanted in its own dtype and, inside float64 parts, wide."""

    def __init__(
        self,
        *,
        native: bool = False,
        trusted: frozenset[str] = frozenset(),
        throughout: bool = False,
    ) -> None:
        self.trusted = trusted
        """Ops that the engine computes well enough in any dtype."""
        self.throughout = throughout and not native
        """Whether sums that may cancel, what goes into them and comes of them are in float64."""
        self.fed: set[Term] = set()
        """These sums, and what goes into them."""
        self.steps: dict[Term, Term] = {}
        """By gap the difference of its arguments, for an engine without codes."""
        self.native = native
        """Whether everything stays in the user's dtype and plain arithmetic."""
        self.own: dict[Term, Term] = {}
        self.wide: dict[Term, Term] = {}
        """The terms computed in float64: fragile ones, and what is elementwise on such."""
        self.soft: dict[Term, Term] = {}
        """Cheap narrow terms once more in float64, for those of their users that are wide."""
        self.deep: set[Term] = set()
        """Terms with digits beyond float32 when wide: functions known in float64, multiples."""
        self.hints: set[Term] = set()
        """Comparisons that say where a careful form is worth its while."""
        self.casts: set[Term] = set()
        """The conversions to float64 and back that lowering inserts."""

    def __call__(self, roots: Sequence[Term]) -> list[Term]:
        """The roots as ops with kernels."""
        roots = plainer(roots)
        self.hints |= hints(roots)
        if self.trusted and not self.native:
            self.fed |= cancelling(roots) if self.throughout else cancelling_angles(roots)
            self.steps |= steps(roots)
        for term in topological([*self.steps.values(), *roots]):
            if term in self.own:
                continue
            if term.op.name == "astype" and self._widens(term):
                self.wide[term] = wide = self.wide[term.args[0]]
                self.own[term] = wide if term.dtype == WIDE else self._cast(wide, term.dtype)
                continue
            if self.native and is_half(term.dtype) and not _in_half(term):
                self.own[term] = self._cast(self._emit_wide(term), term.dtype)
                continue
            if self._is_steep(term):
                (inner,) = term.args
                wide = self._precise(inner)
                self.own[term] = make(term.op, (wide,), (), term.shape, term.dtype)
                continue
            if not self._goes_wide(term):
                own = None if self.native or self.trusted else as_rooted(term, self.own)
                args = [self.own[a] for a in term.args]
                self.own[term] = own or self._emit(term, args, term.dtype)
                if self._may_go_wide(term):
                    self.soft[term] = self._emit_wide(term)
                    if (is_form(term) or is_moved(term)) and not self.deep.isdisjoint(term.args):
                        self.deep.add(term)
                continue
            if term.dtype.kind == "b":
                args = [self._widened(a) for a in term.args]
                own = self._emit(term, args, term.dtype)
                self.own[term] = own if self.trusted else as_rescued_comparison(own, term, args)
                continue
            self.wide[term] = self._emit_wide(term)
            self.own[term] = self._cast(self.wide[term], term.dtype)
            self.deep.add(term)
        if self.native:
            return [self.own[r] for r in roots]
        if self.trusted:
            return [as_settled_result(as_known(self.own[r], r), r) for r in roots]
        found = [as_rescued(as_known(self.own[r], r), r) for r in roots]
        return [as_settled_result(x, r) for x, r in zip(found, roots, strict=True)]

    def _goes_wide(self, term: Term) -> bool:
        op = term.op
        if self.native or not term.args or op.name == "astype":
            return False
        wide_argument = any(a in self.wide for a in term.args)
        if term.dtype.kind == "b":
            return op.elementwise and wide_argument
        if not is_float(term.dtype) or term.dtype == WIDE:
            return False
        if is_half(term.dtype):
            return wide_argument or op.name not in MOVES
        if op.name == "synthesized" and term.param("recipe").format.dtype != WIDE:
            return False
        if term in self.fed or (self.throughout and wide_argument):
            return True
        if op.name in self.trusted and is_second_of_softmax(term):
            return True
        if op.name in STEEP and term.args[0] in self.soft and not is_given(term.args[0]):
            return True  # where others have the argument unrounded, a sum of both would lose more
        if op.name in OF_DEEP and self.trusted and term.args[0] in self.deep:
            return True
        if op.family == "reduction":
            known = op.name in NATIVE_REDUCTIONS or op.name in self.trusted
            return (wide_argument and op.name not in self.trusted) or not known
        if op.name in self.trusted:
            if op is MONOMIAL:  # a divisor known in float64 may be below the range of float32
                powers = zip(term.args, term.params[0], strict=True)
                return any(p < 0 and a in self.deep for a, p in powers)
            # what cancels beside a function known in float64 would lose the digits it has there
            beside = op is AFFINE and not one_sign(term)
            return beside and (not self.deep.isdisjoint(term.args) or is_of_few(term))
        return op.elementwise and (wide_argument or fragile(term))

    def _is_steep(self, term: Term) -> bool:
        """Whether a trusted float32 exp takes an argument in float64, which it rounds itself.

        It feels the rounding of its argument 88 times; in float64 what is made of floats by
        sums, products and logarithms, or had in float64 anyway, is as good as exact.
        """
        if self.native or term.op.name != "exp" or "exp" not in self.trusted or term in self.fed:
            return False
        (inner,) = term.args
        if inner in self.deep:
            return term.dtype == np.float32
        c, core = forms.split(inner)
        given = is_given(core) and power_of_two(c)
        return term.dtype == np.float32 and not given and is_made_of_given(inner)

    def _precise(self, term: Term) -> Term:
        """What is made of the program's numbers by sums, products and logarithms, in float64."""
        if is_given(term) or term in self.deep or term.dtype.kind == "b":
            return self._widened(term)
        args = [self._precise(a) for a in term.args]
        return self._emit(term, args, WIDE)

    def _widens(self, term: Term) -> bool:
        """Whether a conversion is of a term known in float64, to a dtype that holds more of it."""
        wider = is_float(term.dtype) and term.dtype.itemsize > term.args[0].dtype.itemsize
        return wider and term.args[0] in self.wide

    def _may_go_wide(self, term: Term) -> bool:
        if not is_float(term.dtype) or term.dtype == WIDE or self.native or not term.args:
            return False
        if is_moved(term):
            deeper = any(a in self.soft or a in self.wide for a in term.args)
            return bool(self.trusted) and (deeper or term.op.name == "sum")
        if term.op.name in self.trusted and not is_form(term):
            return is_near_given(term) or is_short_slope(term)
        return term.op.elementwise and term.op.name != "astype"

    def _emit_wide(self, term: Term) -> Term:
        return self._emit(term, [self._widened(a) for a in term.args], WIDE)

    def _widened(self, term: Term) -> Term:
        if term in self.wide:
            return self.wide[term]
        if term in self.soft:
            return self.soft[term]
        if term.op is CONST and term.dtype.kind != "b":
            return const(term.params[0], WIDE, term.shape)
        own = self.own[term]
        return self._cast(own, WIDE) if is_float(own.dtype) and own.dtype != WIDE else own

    def _cast(self, term: Term, dtype: np.dtype[Any]) -> Term:
        cast = OPS["astype"](term, dtype=dtype)
        self.casts.add(cast)
        return cast

    def _emit(self, term: Term, arguments: list[Term], dtype: np.dtype[Any]) -> Term:
        """One canonical term on lowered arguments, computed in ``dtype``."""
        args = tuple(arguments)
        widened = dtype != term.dtype  # then products of two narrow factors are exact
        if term.op.name in BASES and term.dtype == WIDE and not self.native:
            natural = by_base(self._emit(OPS["log"](*term.args), arguments, dtype), term)
            if natural is not None:
                return natural
        if term.op.name in STEPS and dtype == term.args[0].dtype == WIDE and not self.native:
            args = (as_multiple_by_base(term.args[0], self.own) or args[0],)
        if term.op is AFFINE:
            rational = None if widened or self.native else self._emit_whole(term, args)
            keeps = not (widened or self.native or self.trusted)
            lowered = rational or emit_sum(
                term, args, dtype, plain=widened or self.native, ranged=keeps
            )
            ranging = dtype == term.dtype == WIDE and not self.native and not one_sign(term)
            if ranging and lowered.op is not RATIONAL_SUM:  # which keeps its range
                lowered = as_ranged_sum(lowered, term, self.own)
        elif term.op is MONOMIAL:
            keeps = term.dtype == WIDE and not self.native
            lowered = emit_product(term, args, dtype, self.own if keeps else None)
        elif term.op.name == "exp" and term.dtype == WIDE and not self.native:
            lowered = self._emit_exp(term, args)
        elif term.op.name == "log" and term.dtype == WIDE and not self.native:
            lowered = self._emit_log(term, args)
        elif term.op.name == "log1p" and term.dtype == WIDE and not self.native:
            lowered = self._emit_call(term) or make(term.op, args, (), term.shape, dtype)
            lowered = as_ranged_log(lowered, term.args[0], self.own, plus=1)
        elif term.op.name in RATIOS and term.dtype == WIDE and not self.native:
            plain = make(term.op, args, (), term.shape, dtype)
            lowered = RATIOS[term.op.name](self._emit_call(term) or plain, term, self.own)
        elif term.op.name in BASED and term.dtype == WIDE and not self.native:
            plain = make(term.op, args, term.params, term.shape, dtype)
            lowered = as_ranged_power(self._emit_call(term) or plain, term, self.own)
        elif term.op.name == "hypot" and dtype == WIDE and (legs := partial_legs(term)):
            op, told = HYPOT_OF_COMPUTED, [self.own[x] for x in legs]
            if self.native:
                op, told = term.op, []
            lowered = make(op, (*args, *told), (), term.shape, dtype)
        elif term in self.steps:
            step = self.steps[term]
            step = self.own[step] if dtype == step.dtype else self._widened(step)
            lowered = make(
                STEPPED_GAP, (*args, step), (term.op.name, term.params), term.shape, dtype
            )
        elif (again := self._emit_call(term)) is not None:
            lowered = again
        elif args == term.args and dtype == term.dtype:
            lowered = term
        else:
            lowered = make(term.op, args, term.params, term.shape, dtype)
        if widened and not self.native and not self.trusted:
            lowered = as_rescued_part(lowered, term, args)
        if term.dtype.kind == "b" and term.args and not (self.native or term in self.hints):
            lowered = as_redone_comparison(lowered, term, self.own)
            lowered = as_ranged_comparison(lowered, term, self.own)
            lowered = as_told_apart(lowered, term)
        lowered = lowered if lowered.shape == term.shape else _shaped(lowered, term)
        if self.native or term.dtype != WIDE:
            return lowered
        if term.op.name == "sign":
            lowered = as_told_sign(lowered, term)
        if term.op.name in POLES:
            lowered = as_ranged_pole(lowered, term, self.own)
        if term.op.name == "hypot_unit":
            lowered = as_ranged_unit(lowered, term, self.own)
        lowered = as_ranged_call(lowered, term, self.own)
        return as_settled(lowered, term, self.own)

    def _emit_whole(self, term: Term, args: tuple[Term, ...]) -> Term | None:
        """A sum that may cancel, computed in pairs from the numbers that it is made of."""
        single = len(args) == 1 and term.params[0] == 0
        if term.dtype != WIDE or single or one_sign(term) or isinstance(term.params[0], str):
            return None
        whole = as_rational_sum(term, self.own)
        return whole or as_redone_sum(term, self.own, *with_products(args))

    def _emit_call(self, term: Term) -> Term | None:
        """A function that may feel the rounding of its argument."""
        if self.native or term.dtype != WIDE or not 1 <= len(term.args) <= 2:
            return None
        whole = as_redone_call(term, self.own) or as_redone_power(term, self.own)
        return whole or as_redone_gap(term, self.own)

    def _emit_exp(self, term: Term, args: tuple[Term, ...]) -> Term:
        """exp, with the rounding error of its argument where that is a sum or a product."""
        (inner,) = term.args
        constant: Exact = 0
        coefficients: tuple[Rational, ...] = (1,)
        addends: tuple[Term, ...] = args
        if inner.op is AFFINE:
            constant, coefficients = inner.params
            addends = tuple([self.own[a] for a in inner.args])
        if not all(is_exact_product(a) for a in (inner.args if inner.op is AFFINE else (inner,))):
            again = self._emit_call(term)
            if again is not None:
                return again
        flat, counts = with_products(addends)
        exact = constant == 0 and counts == (1,) and power_of_two(coefficients[0])
        if exact or isinstance(constant, str):
            return make(term.op, args, (), term.shape, term.dtype)
        params = (constant, coefficients, counts)
        return make(EXP_OF_SUM, flat, params, inner.shape, term.dtype)

    def _emit_log(self, term: Term, args: tuple[Term, ...]) -> Term:
        """log, with range and rounding error of its argument where that is a sum or a product."""
        (inner,) = term.args
        if args[0].op in SETTLED:
            return make(term.op, args, (), term.shape, term.dtype)
        factor, core = forms.split(inner)
        factors = forms.factors(core)
        own = [self.own[a] for a in (inner.args if inner.op is AFFINE else ())]
        if not all(is_exact_product(a) for a in (inner.args if inner.op is AFFINE else factors)):
            again = self._emit_call(term)
            if again is not None:
                return as_ranged_log(again, inner, self.own)
        if inner.op is AFFINE and core is inner and not isinstance(inner.params[0], str):
            flat, counts = with_products(tuple(own))
            params = (inner.params[0], inner.params[1], counts)
            whole = make(LOG_OF_SUM, flat, params, inner.shape, term.dtype)
            return as_ranged_log(whole, inner, self.own)
        plain = core.op is not MONOMIAL and factor == 1
        masked = any(x.dtype.kind == "b" for x in factors)
        if plain or masked or factor < 0 or core not in self.own:
            whole = make(term.op, args, (), term.shape, term.dtype)
            return as_ranged_log(whole, inner, self.own)
        xs = tuple([self.own[x] for x in factors])
        params = (tuple(factors.values()), factor)
        whole = make(LOG_OF_PRODUCT, xs, params, inner.shape, term.dtype)
        exact = all(is_exact(x) for x in factors)
        return whole if exact else as_ranged_log(whole, inner, self.own)


def _in_half(term: Term) -> bool:
    """Whether an op is in half precision itself, where nothing may be wider."""
    return not term.args or term.op.name in EXACT_OPS or term.op.name in (*MOVES, "astype")


# -- emission -----------------------------------------------------------------------------


def _shaped(lowered: Term, term: Term) -> Term:
    if lowered.op is CONST:
        return const(lowered.params[0], lowered.dtype, term.shape)
    return OPS["broadcast_to"](lowered, shape=term.shape)
