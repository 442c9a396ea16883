"""Sums of products and quotients in pairs, for all such sums of a program together.

NumPy redoes what leaves the range with exponents. XLA would compile these for seconds a sum, so
what leaves the range, of what is finite, is sent to NumPy. Sums of one program are made of the
same parts: each is formed once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from fractions import Fraction
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np

from stablegrad.engines.xla.kernels import NUMPY, calls_back, custom_vmap_of, hosted
from stablegrad.ir import Term
from stablegrad.ops import pairs
from stablegrad.ops.exact import Rational
from stablegrad.ops.lowered_arithmetic import Code, Sum

_LOW, _HIGH = 2.0**-900, 2.0**900


class Register(NamedTuple):
    """A number as ``hi + lo``, with what its range says."""

    hi: Any
    lo: Any
    """None where it is 0 throughout."""
    plain: Any
    """The number in plain floats: IEEE's where it is not finite."""
    zero: Any
    """Where it is 0, though nothing left the range; None if nowhere."""
    checks: frozenset[int]
    """Which checks of ``PairRuns`` it passed through: where one fails, it may be wrong."""


class PairRuns:
    """Runs of codes in pairs that share what they have in common."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.known: dict[Hashable, Any] = {}
        self.checks: list[Any] = []

    def __call__(
        self, leaves: Sequence[Hashable], xs: Sequence[Any], code: Code
    ) -> tuple[Any, frozenset[int]]:
        """Run a code.

        Args:
            leaves: what the arguments are known by.
            xs: the arguments.
            code: of the sum.

        Returns:
            The value; and the numbers of the checks that have to hold for it.
        """
        xp = self.xp
        names: list[Hashable] = list(leaves)
        for name, x in zip(names, xs, strict=True):
            self._once(name, self._leaf, x)
        for step in code:
            names.append(
                self._sum(step, names)
                if isinstance(step, Sum)
                else self._product(step.factors, names)
            )
        out: Register = self.known[names[-1]]
        value = out.hi if out.lo is None else out.hi + out.lo
        return xp.where(xp.isfinite(value), value, out.plain), out.checks

    def lost(self, checks: Iterable[int]) -> Any:
        """Where one of the checks failed."""
        return reduce(self.xp.logical_or, [self.checks[i] for i in sorted(checks)])

    def _once(self, name: Hashable, make: Callable[..., Any], *args: Any) -> Any:
        if name not in self.known:
            self.known[name] = make(*args)
        return self.known[name]

    def _leaf(self, x: Any) -> Register:
        zero = x == 0
        size = self.xp.abs(x)
        far = (size > _HIGH) & (size < self.xp.inf)
        return Register(x, None, x, zero, self._checked(size, zero, far))

    def _checked(self, size: Any, zero: Any, far: Any) -> frozenset[int]:
        """The check that a number is in range, or 0 because a factor is."""
        low = size < _LOW if zero is None else (size < _LOW) & ~zero
        self.checks.append(low | far)
        return frozenset([len(self.checks) - 1])

    # -- what the instructions do -----------------------------------------------------------

    def _sum(self, step: Sum, names: Sequence[Hashable]) -> Hashable:
        constant, addends = step
        total: Hashable = None
        for c, i in addends:
            term = self._multiple(names[i], c)
            if total is None:
                total = term
            else:
                total, old = ("+", total, term), total
                self._once(total, self._added, self.known[old], self.known[term])
        if constant != 0:
            total, old = ("+", total, constant), total
            self._once(total, self._added, self.known[old], self._number(constant))
        return total

    def _number(self, c: Rational) -> Register:
        return self._once(("number", c), self._constant, c)

    def _constant(self, c: Rational) -> Register:
        hi, lo = pairs.split(c)
        return Register(pairs.unseen(self.xp, hi), lo or None, hi, None, frozenset())

    def _multiple(self, name: Hashable, c: Rational) -> Hashable:
        if c == 1:
            return name
        size = Fraction(c)
        exact = all(abs(n) & (abs(n) - 1) == 0 for n in size.as_integer_ratio())
        made = ("*", name, c)
        if exact:
            self._once(made, self._scaled, self.known[name], float(c))
        else:
            self._once(
                made, self._multiplied, (name, self.known[name]), (("number", c), self._number(c))
            )
        return made

    def _product(
        self, factors: Sequence[tuple[int, Rational]], names: Sequence[Hashable]
    ) -> Hashable:
        """A product; a power of a quotient as such: squares may leave the range."""
        bases = [(names[i], p) for i, p in factors]
        if len(bases) == 2 and bases[0][1] == -bases[1][1] and abs(bases[0][1]) > 1:
            (x, p), (y, _) = bases
            ratio = self._quotient(x, y) if p > 0 else self._quotient(y, x)
            bases = [(ratio, abs(p))]
        sides: list[Hashable] = [None, None]
        for name, p in bases:
            base = self._root(name) if isinstance(p, Fraction) else name
            term = base
            for _ in range(abs(int(2 * p) if isinstance(p, Fraction) else p) - 1):
                term = self._times(term, base)
            side = p < 0
            sides[side] = term if sides[side] is None else self._times(sides[side], term)
        above, below = sides
        if below is None:
            return above
        if above is None:
            above = ("number", 1)
            self._number(1)
        return self._quotient(above, below)

    def _times(self, a: Hashable, b: Hashable) -> Hashable:
        name = ("*", a, b)
        self._once(name, self._multiplied, (a, self.known[a]), (b, self.known[b]))
        return name

    def _quotient(self, a: Hashable, b: Hashable) -> Hashable:
        name = ("/", a, b)
        self._once(name, self._divided, self.known[a], (b, self.known[b]))
        return name

    def _root(self, a: Hashable) -> Hashable:
        name = ("root", a)
        self._once(name, self._rooted, (a, self.known[a]))
        return name

    # -- arithmetic, shorter where the lower part is 0 ---------------------------------------

    def _scaled(self, a: Register, c: float) -> Register:
        lo = None if a.lo is None else c * a.lo
        return Register(c * a.hi, lo, c * a.plain, a.zero, a.checks)

    def _added(self, a: Register, b: Register) -> Register:
        plain = a.plain + b.plain
        if a.lo is None or b.lo is None:
            s, e = pairs.two_sum(a.hi, b.hi)
            lo = a.lo if b.lo is None else b.lo
            if lo is not None:
                s, e = pairs.two_sum(s, e + lo)
        else:
            s, e = pairs.add((a.hi, a.lo), (b.hi, b.lo))
        return Register(s, e, plain, s == 0, a.checks | b.checks)

    def _split(self, name: Hashable, x: Any) -> pairs.Pair:
        def make() -> pairs.Pair:
            t = 134217729.0 * x  # 2**27 + 1
            top = t - (t - x)
            return top, x - top

        return self._once((name, "split"), make)

    def _exactly(self, a: tuple[Hashable, Any], b: tuple[Hashable, Any]) -> pairs.Pair:
        """A product of floats and its error, as ``two_prod``, each float split once."""
        p = a[1] * b[1]
        (a_hi, a_lo), (b_hi, b_lo) = self._split(*a), self._split(*b)
        return p, ((a_hi * b_hi - p) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo

    def _multiplied(
        self, left: tuple[Hashable, Register], right: tuple[Hashable, Register]
    ) -> Register:
        (m, a), (n, b) = left, right
        p, e = self._exactly((m, a.hi), (n, b.hi))
        small = [x * y for x, y in ((a.hi, b.lo), (b.hi, a.lo)) if y is not None]
        if small:
            p, e = pairs.fast_two_sum(p, e + reduce(lambda x, y: x + y, small))
        return self._made(p, e, a.plain * b.plain, self._either(a.zero, b.zero), None, a, b)

    def _divided(self, a: Register, right: tuple[Hashable, Register]) -> Register:
        n, b = right
        q = a.hi / b.hi
        p, e = self._exactly((object(), q), (n, b.hi))
        rest = (a.hi - p) - e
        if b.lo is not None:
            rest = rest - q * b.lo
        if a.lo is not None:
            rest = rest + a.lo
        hi, lo = pairs.fast_two_sum(q, rest / b.hi)
        return self._made(hi, lo, a.plain / b.plain, a.zero, b.zero, a, b)

    def _rooted(self, arg: tuple[Hashable, Register]) -> Register:
        name, a = arg
        root = self.xp.sqrt(a.hi)
        p, e = self._exactly(*[((name, "root"), root)] * 2)
        rest = (a.hi - p) - e
        if a.lo is not None:
            rest = rest + a.lo
        zero = (a.hi <= 0) if a.zero is None else (a.zero | (a.hi <= 0))
        hi, lo = pairs.fast_two_sum(root, rest / (2.0 * self.xp.where(zero, 1.0, root)))
        return self._made(hi, lo, self.xp.sqrt(a.plain), zero, None, a)

    def _either(self, a: Any, b: Any) -> Any:
        return a if b is None else b if a is None else a | b

    def _made(
        self, hi: Any, lo: Any, plain: Any, zero: Any, pole: Any, *args: Register
    ) -> Register:
        """A product, whose range is not that of its factors; ``pole`` is where it has none."""
        size = self.xp.abs(hi)
        far = size > _HIGH if pole is None else (size > _HIGH) & ~pole
        checks = self._checked(size, zero, far).union(*[a.checks for a in args])
        return Register(hi, lo, plain, zero, checks)


def rational_sums(
    xp: Any, runs: PairRuns, terms: Sequence[Term], known: dict[Any, Any]
) -> list[Any]:
    """Terms ``rational_sum`` of one shape: in pairs, and by NumPy where one leaves the range.

    Without calls of NumPy they are formed with exponents, for all elements.
    """
    kernels = [partial(t.op.kernel, **t.static) for t in terms]
    if not calls_back():
        return [f(xp, *[known[a] for a in t.args]) for f, t in zip(kernels, terms, strict=True)]
    found = [runs(t.args, [known[a] for a in t.args], *t.params) for t in terms]
    leaves = list(dict.fromkeys([a for t in terms for a in t.args]))
    places = [[leaves.index(a) for a in t.args] for t in terms]

    def again(*arrays: Any) -> Any:
        flat = [np.ravel(x) for x in arrays]  # scalars, too
        at, rest = np.nonzero(flat[0]), flat[1 + len(terms) :]
        out = np.stack(flat[1 : 1 + len(terms)])
        for row, kernel, numbers in zip(out, kernels, places, strict=True):
            row[at] = kernel(NUMPY, *[rest[i][at] for i in numbers])
        return out.reshape(len(terms), *np.shape(arrays[0]))

    @custom_vmap_of(len(terms))
    def chosen(lost: Any, *parts: Any) -> Any:
        def redo(*parts: Any) -> Any:
            return tuple(hosted(again, (len(terms), *lost.shape))(*parts))

        def keep(lost: Any, *parts: Any) -> Any:
            return parts[: len(terms)]

        return xp.lax.cond(xp.max(lost, initial=0.0) > 0, redo, keep, lost, *parts)

    lost = runs.lost(frozenset[int]().union(*[c for _, c in found])).astype(np.float32)
    values = [value for value, _ in found]
    shape = terms[0].shape
    parts = [xp.broadcast_to(x, shape) for x in (lost, *values, *[known[a] for a in leaves])]
    return list(chosen(*parts))
