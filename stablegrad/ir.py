"""Terms: immutable, hash-consed nodes of an expression. The only node class of the library.

Two terms are equal exactly when they are the same object. Everything a rule needs to know
of a term (facts, support, depth, structural key) is a slot; support and depth are set when
the term is built, facts and key when first asked for, with an explicit stack, because the
terms that a user's program builds are never asked (that halves the cost of building one).
Nothing ever recurses over a program. Names, object ids and source lines are no part of what
a term is: where it was first written is a note on it (``written``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from weakref import ref
from zlib import crc32

import numpy as np

from stablegrad.errors import UnknownNameError, user_location

if TYPE_CHECKING:
    from stablegrad.ops.record import Op

Shape = tuple[int, ...]


class Facts(NamedTuple):
    """What is proved of the real value of a term, for all finite values of its leaves.

    ``lo <= value <= hi``, strictly where the end is open. ``defined`` says that the value
    exists and is a finite real number whenever every leaf is finite (it may still overflow
    a float).
    """

    lo: float = -math.inf
    hi: float = math.inf
    lo_open: bool = True
    hi_open: bool = True
    defined: bool = False

    @property
    def positive(self) -> bool:
        return self.lo > 0 or (self.lo == 0 and self.lo_open)

    @property
    def nonnegative(self) -> bool:
        return self.lo >= 0

    @property
    def negative(self) -> bool:
        return self.hi < 0 or (self.hi == 0 and self.hi_open)

    @property
    def nonpositive(self) -> bool:
        return self.hi <= 0

    @property
    def nonzero(self) -> bool:
        return self.positive or self.negative

    def within(self, domain: Facts) -> bool:
        """Whether every value allowed here lies in the interval ``domain``."""
        low = self.lo > domain.lo or (
            self.lo == domain.lo and (self.lo_open or not domain.lo_open or math.isinf(self.lo))
        )
        high = self.hi < domain.hi or (
            self.hi == domain.hi and (self.hi_open or not domain.hi_open or math.isinf(self.hi))
        )
        return low and high


UNKNOWN = Facts()


class Shaped:
    """What has a shape."""

    __slots__ = ()
    shape: Shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


class Term(Shaped):
    """One node: an op applied to argument terms with static parameters."""

    __slots__ = (
        "__weakref__",
        "args",
        "depth",
        "dtype",
        "known_facts",
        "known_key",
        "known_ops",
        "op",
        "params",
        "shape",
        "support",
        "written",
    )

    op: Op
    args: tuple[Term, ...]
    params: tuple[Any, ...]
    shape: Shape
    dtype: np.dtype[Any]
    known_facts: Facts | None
    known_key: int | None
    known_ops: tuple[int, int] | None
    """The ops in the two levels below, as sets of bits, once a match was tried."""
    support: Term | None
    """A boolean term outside of which this term is structurally zero, or None."""
    depth: int
    written: tuple[str, int] | None
    """The user's file and line, if known: no part of what the term is."""

    @property
    def place(self) -> str:
        """The user's line that built the term first, as file:line; empty if not known."""
        return "" if self.written is None else f"{self.written[0]}:{self.written[1]}"

    @property
    def facts(self) -> Facts:
        """What is proved of the value."""
        known = self.known_facts
        if known is None:
            for term in _missing(self, "known_facts"):
                if term.known_facts is None:
                    term.known_facts = term.op.facts(term)
            known = self.known_facts
            assert known is not None
        return known

    @property
    def key(self) -> int:
        """A hash of the structure alone: the same in every process."""
        known = self.known_key
        if known is None:
            for term in _missing(self, "known_key"):
                if term.known_key is not None:
                    continue
                args = [a.known_key for a in term.args]
                term.known_key = hash(
                    (_coded(term.op.name), stable_hash(term.params), term.shape, *args)
                )
            known = self.known_key
            assert known is not None
        return known

    def param(self, name: str) -> Any:
        """The value of the static parameter ``name``."""
        return self.params[self.op.params.index(name)]

    @property
    def static(self) -> dict[str, Any]:
        """The static parameters by name."""
        return dict(zip(self.op.params, self.params, strict=True))

    def __repr__(self) -> str:
        return f"Term({show(self)}, shape={self.shape}, dtype={self.dtype})"

    # Operators build terms through the op registry, so that partials, spellings and rules
    # read as mathematics. They never look at a value.
    def __neg__(self) -> Term:
        return OPS["negative"](self)

    def __add__(self, other: Any) -> Term:
        return OPS["add"](self, other)

    def __radd__(self, other: Any) -> Term:
        return OPS["add"](other, self)

    def __sub__(self, other: Any) -> Term:
        return OPS["subtract"](self, other)

    def __rsub__(self, other: Any) -> Term:
        return OPS["subtract"](other, self)

    def __mul__(self, other: Any) -> Term:
        return OPS["multiply"](self, other)

    def __rmul__(self, other: Any) -> Term:
        return OPS["multiply"](other, self)

    def __truediv__(self, other: Any) -> Term:
        return OPS["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Term:
        return OPS["divide"](other, self)

    def __pow__(self, other: Any) -> Term:
        return OPS["power"](self, other)

    def __rpow__(self, other: Any) -> Term:
        return OPS["power"](other, self)

    def __matmul__(self, other: Any) -> Term:
        return OPS["matmul"](self, other)

    def __lt__(self, other: Any) -> Term:
        return OPS["less"](self, other)

    def __le__(self, other: Any) -> Term:
        return OPS["less_equal"](self, other)

    def __gt__(self, other: Any) -> Term:
        return OPS["greater"](self, other)

    def __ge__(self, other: Any) -> Term:
        return OPS["greater_equal"](self, other)


class Registry(dict[str, "Op"]):
    """The ops by name; an unknown name gets a clear error."""

    def __missing__(self, name: str) -> Op:
        raise UnknownNameError(f"no op is named {name!r}; `stablegrad ops` lists them all")


OPS = Registry()

Identity = tuple[Any, ...]


class _Link(ref[Term]):
    """A weak reference that knows its key, as WeakValueDictionary's, at a third of its time."""

    __slots__ = ("identity",)

    identity: Identity


_table: dict[Identity, _Link] = {}


def _gone(link: _Link) -> None:
    if _table.get(link.identity) is link:  # else another term stands in its place by now
        del _table[link.identity]


_new = object.__new__


def make(op: Op, args: tuple[Term, ...], params: tuple[Any, ...], shape: Shape, dtype: Any) -> Term:
    """Return the one term with this op, arguments, parameters, shape and dtype."""
    identity = (op, args, params, shape, dtype)
    link = _table.get(identity)
    if link is not None:
        known = link()
        if known is not None:
            return known
    term = _new(Term)
    term.op = op
    term.args = args
    term.params = params
    term.shape = shape
    term.dtype = dtype
    depth = 0
    for a in args:
        if a.depth >= depth:
            depth = a.depth + 1
    term.depth = depth
    term.known_facts = None
    term.known_key = None
    term.known_ops = None
    term.support = op.support(term) if op.support is not None else None
    term.written = None
    link = _Link(term, _gone)
    link.identity = identity
    _table[identity] = link
    return term


def _missing(root: Term, slot: str) -> list[Term]:
    """The terms from ``root`` down whose slot is not set, arguments before their users."""
    if all(getattr(a, slot) is not None for a in root.args):
        return [root]
    return topological([root], stop=lambda t: getattr(t, slot) is not None)


def stable_hash(value: Any) -> int:
    """A hash that is the same in every process (str and None hash differently in each)."""
    if isinstance(value, tuple):
        return hash(tuple([hash(v) if type(v) is int else stable_hash(v) for v in value]))
    if isinstance(value, int | float | Fraction):
        return hash(value)
    if isinstance(value, slice):
        return stable_hash(("slice", value.start, value.stop, value.step))
    return crc32(repr(value).encode())


@cache
def _coded(name: str) -> int:
    """What an op adds to a key: of its name, as the order of declarations is no structure."""
    return crc32(name.encode())


def topological(roots: Iterable[Term], stop: Callable[[Term], bool] | None = None) -> list[Term]:
    """All terms below ``roots``, arguments before their users, without recursion.

    Args:
        roots: the terms to start from.
        stop: terms for which it is true are listed, but not what is below them.
    """
    order: list[Term] = []
    seen: set[Term] = set()
    stack: list[tuple[Term, Iterator[Term]]] = []
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        term, pending = root, iter(() if stop is not None and stop(root) else root.args)
        while True:
            for arg in pending:
                if arg in seen:
                    continue
                seen.add(arg)
                below = () if stop is not None and stop(arg) else arg.args
                if below:
                    stack.append((term, pending))
                    term, pending = arg, iter(below)
                    break
                order.append(arg)
            else:
                order.append(term)
                if not stack:
                    break
                term, pending = stack.pop()
    return order


def rebuild(roots: Iterable[Term], replace: dict[Term, Term]) -> list[Term]:
    """The roots with each term in ``replace`` exchanged for its image."""
    done = dict(replace)
    roots = list(roots)
    for term in topological(roots, stop=done.__contains__):
        if term in done:
            continue
        args = tuple([done[a] for a in term.args])
        done[term] = (
            term if args == term.args else make(term.op, args, term.params, term.shape, term.dtype)
        )
    return [done[root] for root in roots]


def show(term: Term, depth: int = 4) -> str:
    """A short text of a term, cut off below ``depth``; for error messages and debugging."""
    if not term.args:
        return ", ".join(str(p) for p in term.params) or term.op.name
    inner = ", ".join(show(a, depth - 1) for a in term.args) if depth else "..."
    static = "".join(
        f", {name}={value}" for name, value in zip(term.op.params, term.params, strict=True)
    )
    return f"{term.op.name}({inner}{static})"


class Provenance:
    """Notes where terms are written while it is entered; tensors do so always."""

    def __init__(self) -> None:
        self.recording = False

    def note(self, term: Term) -> None:
        """Remember the user's line for a term, the first one that built it."""
        if self.recording and term.written is None:
            file, _, line = user_location().rpartition(":")
            if file:
                term.written = file, int(line)

    def __enter__(self) -> Self:
        self.recording = True
        return self

    def __exit__(self, *_: object) -> None:
        self.recording = False


provenance = Provenance()
