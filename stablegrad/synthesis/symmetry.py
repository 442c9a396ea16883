"""Symmetries of functions of two values, found by symbols alone.

Where shifting both values, or scaling both, does to a function what can be written down
(``f(a + s, b + p s) = f(a, b) exp(k s) + c s``), it is a function of one value: of b - p a, or of
b / a**p. A group acts on the leaves; each term answers with a factor ``exp(vector . w * s)`` and a
polynomial in s of degree one. Where terms meet that must answer alike, the difference of their
vectors gives an equation for the weights w: nothing is sampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.ir import Term, topological
from stablegrad.ops import forms
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.record import CONST, const, is_float
from stablegrad.oracle.evaluate import meaning

Vector = tuple[Fraction, Fraction]
NONE: Vector = (Fraction(0), Fraction(0))
SHIFT, SCALE = "shift", "scale"
POWERS = frozenset({Fraction(1), Fraction(-1), Fraction(2), Fraction(-2)})
"""Weights of the second value over the first that are made use of."""
ONE = const(1, np.dtype(np.float64))
EQUIVARIANT = frozenset("abs negative positive".split())
PASSED = frozenset("broadcast_to astype stop_gradient".split())
ROOTS = {"sqrt": Fraction(1, 2), "cbrt": Fraction(1, 3), "square": Fraction(2)}
LIKE = frozenset("maximum minimum fmax fmin hypot add subtract".split())
STILL = frozenset(
    """
    sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh erf erfc lgamma digamma
    expm1 log1p sigmoid ndtr
    """.split()
)
"""Functions of balls that are taken of what does not move only."""
COMPARISONS = frozenset("less less_equal greater greater_equal equal not_equal".split())


@dataclass(frozen=True, slots=True)
class Answer:
    """v becomes ``exp(factor . w * s) * (v + s * sum key * (vector . w))``."""

    factor: Vector = NONE
    added: tuple[tuple[Term, Vector], ...] = ()
    zero: bool = False
    """The constant 0, that answers like anything."""


@dataclass(frozen=True, slots=True)
class Symmetry:
    """``f(a, b) = |a|**k g(r) + c log|a|`` (scale) or ``exp(k a) g(r) + c a`` (shift).

    Attributes:
        kind: SHIFT or SCALE.
        p: r = b / |a|**p, or b - p*a.
        k: the factor's exponent.
        c: what is added.
    """

    kind: str
    p: Fraction
    k: Fraction
    c: Fraction


class _Refused(Exception):  # noqa: N818 - it is no error, but the end of a search
    """There is no symmetry."""


class _Weights:
    """The weights that all equations so far allow: any, one direction, or none."""

    def __init__(self) -> None:
        self.direction: Vector | None = None

    def vanish(self, v: Vector) -> None:
        """Let v . w = 0."""
        if v == NONE:
            return
        if self.direction is None:
            self.direction = (v[1], -v[0])
        elif dot(v, self.direction):
            raise _Refused


def dot(a: Vector, b: Vector) -> Fraction:
    """The inner product."""
    return sum([p * q for p, q in zip(a, b, strict=True) if p and q], start=Fraction())


def _plus(a: Vector, b: Vector, times: Fraction | int = 1) -> Vector:
    # most are 0, and fractions are slow
    x, y = [
        p if not q else q if times == 1 and not p else p + times * q
        for p, q in zip(a, b, strict=True)
    ]
    return x, y


def symmetry(root: Term, a: Term, b: Term, kind: str) -> Symmetry | None:
    """How a function of two values answers to a shift or a scale of both, if it does."""
    weights = _Weights()
    unit: tuple[Vector, Vector] = ((Fraction(1), Fraction(0)), (Fraction(0), Fraction(1)))
    leaves = {
        t: Answer(NONE, ((ONE, e),)) if kind == SHIFT else Answer(e)
        for t, e in zip((a, b), unit, strict=True)
    }
    try:
        found = _answer(root, leaves, weights, 0)
        w = weights.direction or (Fraction(1), Fraction(1))
        added = Fraction(0)
        for key, v in found.added:
            if dot(v, w) and key is not ONE:
                return None
            added += dot(v, w)
    except _Refused:
        return None
    factor = dot(found.factor, w)
    if not w[0] or w[1] / w[0] not in POWERS or (factor and added):
        return None
    return Symmetry(kind, w[1] / w[0], factor / w[0], added / w[0])


def _answer(root: Term, leaves: dict[Term, Answer], weights: _Weights, depth: int) -> Answer:
    cells: dict[Term, Answer] = dict(leaves)
    for term in topological([root], stop=cells.__contains__):
        if term not in cells:
            cells[term] = _step(term, [cells[x] for x in term.args], weights, depth)
    return cells[root]


def _pure(x: Answer, weights: _Weights) -> Vector:
    """The factor of something to which nothing may be added."""
    for _, v in x.added:
        weights.vanish(v)
    return x.factor


def _still(x: Answer, weights: _Weights) -> None:
    """Nothing may happen to it."""
    weights.vanish(_pure(x, weights))


def _alike(xs: list[Answer], weights: _Weights) -> Answer:
    """Several that must answer alike."""
    others = [x for x in xs if not x.zero]
    if not others:
        return Answer(zero=True)
    first = others[0]
    if len(others) < len(xs):
        _pure(first, weights)  # 0 stays 0
    for x in others[1:]:
        weights.vanish(_plus(x.factor, first.factor, -1))
        for _, v in _sum([(1, x), (-1, first)]):
            weights.vanish(v)
    return first


def _sum(parts: list[tuple[Any, Answer]]) -> tuple[tuple[Term, Vector], ...]:
    total: dict[Term, Vector] = {}
    for c, x in parts:
        for key, v in x.added:
            total[key] = _plus(total.get(key, NONE), v, Fraction(c))
    return tuple([(key, v) for key, v in total.items() if v != NONE])


def _affine(term: Term, xs: list[Answer], weights: _Weights) -> Answer:
    constant, coefficients = term.params
    first = next((x for x in xs if not x.zero), Answer())
    for x in xs:
        if not x.zero:
            weights.vanish(_plus(x.factor, first.factor, -1))
    if constant != 0:
        weights.vanish(first.factor)
    return Answer(first.factor, _sum(list(zip(coefficients, xs, strict=True))))


def _monomial(term: Term, powers: Any, xs: list[Answer], weights: _Weights) -> Answer:
    grown = [i for i, x in enumerate(xs) if x.added]
    factor = NONE
    for x, p in zip(xs, powers, strict=True):
        factor = _plus(factor, x.factor, Fraction(p))
    if len(grown) == 1 and powers[grown[0]] == 1:
        i = grown[0]
        rest = [
            forms.power(t, p)
            for j, (t, p) in enumerate(zip(term.args, powers, strict=True))
            if j != i
        ]
        out = []
        for key, v in xs[i].added:
            others = rest if key is ONE else [*rest, key]
            # conditions alone have no dtype of a product
            out.append((forms.product([ONE, *others]) if others else ONE, v))
        return Answer(factor, tuple(out))
    for i in grown:
        _pure(xs[i], weights)
    return Answer(factor)


def _step(term: Term, xs: list[Answer], weights: _Weights, depth: int) -> Answer:
    name = term.op.name
    if term.op is CONST:
        return Answer(zero=term.params[0] == 0)
    if term.op is AFFINE:
        return _affine(term, xs, weights)
    if term.op is MONOMIAL:
        return _monomial(term, term.params[0], xs, weights)
    if name in PASSED or name in EQUIVARIANT:
        if name == "abs":
            _pure(xs[0], weights)
        sign = -1 if name == "negative" else 1
        return Answer(xs[0].factor, _sum([(sign, xs[0])]), xs[0].zero)
    if name == "require":
        return xs[0]
    if name in ROOTS:
        factor = _pure(xs[0], weights)
        return Answer(_plus(NONE, factor, ROOTS[name]))
    if name == "exp" and all(key is ONE for key, _ in xs[0].added):
        weights.vanish(xs[0].factor)
        return Answer(_sum([(1, xs[0])])[0][1] if xs[0].added else NONE)
    if name == "log":
        factor = _pure(xs[0], weights)
        return Answer(NONE, ((ONE, factor),) if factor != NONE else ())
    if name in ("divide", "multiply"):
        return _monomial(term, (1, -1 if name == "divide" else 1), xs, weights)
    if name in ("isfinite", "isnan", "isinf"):
        return Answer()
    if name in ("sign", "heaviside"):
        _pure(xs[0], weights)
        return Answer()
    if name == "where":
        return _alike(xs[1:], weights)
    if name in COMPARISONS:
        _alike(xs, weights)
        return Answer()
    if name in LIKE:
        if name == "hypot":
            for x in xs:
                _pure(x, weights)
        if name not in ("add", "subtract"):
            return _alike(xs, weights)
        for x in xs:
            weights.vanish(_plus(x.factor, xs[0].factor, -1))
        return Answer(xs[0].factor, _sum([(1, xs[0]), (1 if name == "add" else -1, xs[1])]))
    if name == "arctan2":
        factors = [_pure(x, weights) for x in xs]
        weights.vanish(_plus(factors[0], factors[1], -1))
        return Answer()
    if term.op.spellings and depth < 3 and any(x.factor != NONE or x.added for x in xs):
        shapes, dtypes = tuple([()] * len(xs)), tuple([t.dtype for t in term.args])
        variables, root = meaning(term.op, term.params, shapes, dtypes)
        found = _answer(root, dict(zip(variables, xs, strict=True)), weights, depth + 1)
        for key, v in found.added:
            if key is not ONE:
                weights.vanish(v)
        return Answer(found.factor, tuple([x for x in found.added if x[0] is ONE]))
    found = _by_meaning(term, xs, weights)
    if found is None:
        for x in xs:
            _still(x, weights)
        return Answer()
    return found


def _by_meaning(term: Term, xs: list[Answer], weights: _Weights) -> Answer | None:
    """The answer of an op by what it means to balls, where that asks for no value."""
    static = term.static
    ball = term.op.ball
    if ball is None:
        return None
    try:
        found = ball(*[_Symbol(x, weights) for x in xs], **static)
    except (AttributeError, TypeError, ValueError, NotImplementedError):
        return None
    return found.answer if isinstance(found, _Symbol) else None


class _Symbol:
    """An answer with the arithmetic of balls."""

    def __init__(self, answer: Answer, weights: _Weights) -> None:
        self.answer = answer
        self.weights = weights

    def _of(self, answer: Answer) -> _Symbol:
        return _Symbol(answer, self.weights)

    def _raised(self, p: Any) -> _Symbol:
        return self._of(Answer(_plus(NONE, _pure(self.answer, self.weights), Fraction(p))))

    def constant(self, value: Any) -> _Symbol:
        return self._of(Answer(zero=value == 0))

    def __add__(self, other: Any, sign: int = 1) -> _Symbol:
        o = other if isinstance(other, _Symbol) else self.constant(other)
        kept = [x.answer for x in (self, o) if not x.answer.zero]
        if len(kept) == 2:
            self.weights.vanish(_plus(kept[0].factor, kept[1].factor, -1))
        factor = kept[0].factor if kept else NONE
        return self._of(Answer(factor, _sum([(1, self.answer), (sign, o.answer)])))

    __radd__ = __add__

    def __neg__(self) -> _Symbol:
        return self._of(Answer(self.answer.factor, _sum([(-1, self.answer)])))

    def __sub__(self, other: Any) -> _Symbol:
        return self.__add__(other, -1)

    def __rsub__(self, other: Any) -> _Symbol:
        return -self + other

    def __mul__(self, other: Any) -> _Symbol:
        if not isinstance(other, _Symbol):
            return self._of(Answer(self.answer.factor, _sum([(Fraction(other), self.answer)])))
        mine, others = (_pure(x.answer, self.weights) for x in (self, other))
        return self._of(Answer(_plus(mine, others)))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> _Symbol:
        return self * (other._raised(-1) if isinstance(other, _Symbol) else 1 / Fraction(other))

    def __rtruediv__(self, other: Any) -> _Symbol:
        return self._raised(-1) * other

    def __pow__(self, p: Any) -> _Symbol:
        return self._raised(p)

    power = __pow__

    def __abs__(self) -> _Symbol:
        return self._raised(1)

    def exp(self) -> _Symbol:
        self.weights.vanish(self.answer.factor)
        return self._of(Answer(self.answer.added[0][1] if self.answer.added else NONE))

    def log(self) -> _Symbol:
        factor = _pure(self.answer, self.weights)
        return self._of(Answer(NONE, ((ONE, factor),) if factor != NONE else ()))

    def square(self) -> _Symbol:
        return self._raised(2)

    def sqrt(self) -> _Symbol:
        return self._raised(Fraction(1, 2))

    def cbrt(self) -> _Symbol:
        return self._raised(Fraction(1, 3))

    def __getattr__(self, name: str) -> Any:
        if name not in STILL:
            raise AttributeError(name)

        def still(*others: Any) -> _Symbol:
            for x in (self, *others):
                if isinstance(x, _Symbol):
                    _still(x.answer, self.weights)
            return self._of(Answer())

        return still


def is_scalar_function(term: Term) -> bool:
    """Whether a term may be part of a function of two values."""
    return bool(term.args) and term.op.elementwise and is_float(term.dtype)
