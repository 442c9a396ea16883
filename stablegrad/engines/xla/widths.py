"""Which float32 terms are formed in float64 and stay there for what is made of them."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Container, Mapping, MutableMapping, Sequence

import numpy as np

from stablegrad.engines.xla.ranges import (
    SINGLE_DOWN,
    SINGLE_UP,
    Reach,
    in_range,
    reached,
    sizes,
)
from stablegrad.engines.xla.single import FAR_LOGARITHMS, PLAIN, WIDE, rounds_once
from stablegrad.ir import Term
from stablegrad.ops.record import CONST

LENGTHS = frozenset({"norm", "hypot"})
"""Ops whose kernels give float64 and take it."""
INDIFFERENT = frozenset({"sign"})
"""Ops that do not feel the rounding of their argument."""
SHORTER = frozenset({"erfinv"})
"""Ops that may be no normal float32 where a multiple of them is: c*x of small x, c below 1."""


def kept_wide(order: Sequence[Term], roots: Sequence[Term]) -> dict[Term, Reach]:
    """The float32 sums and products formed in float64 whose users go on in float64.

    What is made for masks alone does not count as a user. What is formed in float64 as it is may
    have several, other arithmetic one; what a logarithm or a length would lose for its range is
    kept whoever else uses it.

    Returns:
        These terms and how great they may be.
    """
    users: dict[Term, dict[Term, None]] = {r: {} for r in roots}
    for term in reversed(order):
        if term in users and term.dtype.kind != "b":
            for a in term.args:
                users.setdefault(a, {})[term] = None
    feeding = _feeding(order, users).difference(roots)
    kept = {
        t: tuple(u)
        for t, u in users.items()
        if t not in roots
        and (len(u) == 1 or t in feeding or (t.dtype == np.float32 and _is_plain(t)))
    }
    goes_on = _going_on(order, kept)
    bounds = sizes(order, ())
    left = leaving(order, bounds, goes_on)
    kept |= {t: tuple(users[t]) for t in left if t in users}
    goes_on |= left
    wanted = feeding | left
    found: dict[Term, Reach] = {}
    for term in order:
        if term.dtype != np.float32 or not _goes_on(term):
            continue
        there = _is_plain(term) or term in wanted or any(a in found for a in term.args)
        if there and term in goes_on:
            size = reached(term, found, bounds)
            parts = term in left  # products of it are formed by parts if need be
            if in_range(term, found, bounds) and all(
                stays or (parts and user.op.name == "scaled_product")
                for user, stays in _used(term, size, found, kept, bounds)
            ):
                found[term] = size
    return found


def _used(
    term: Term,
    size: Reach,
    reach: MutableMapping[Term, Reach],
    kept: dict[Term, tuple[Term, ...]],
    bounds: dict[Term, float],
) -> list[tuple[Term, bool]]:
    """What is made of a term, past what only passes it on, and whether float64 has that."""
    known = ChainMap({term: size}, reach)
    found, pending = [], [term]
    while pending:
        for user in kept.get(pending.pop(), ()):
            if user.op.carries == "passed":
                known[user] = reached(user, known, bounds)
                pending.append(user)
            else:
                found.append((user, in_range(user, known, bounds)))
    return found


def _going_on(order: Sequence[Term], kept: dict[Term, tuple[Term, ...]]) -> set[Term]:
    """The terms whose users are float32 arithmetic, past what only passes them on."""
    found: set[Term] = set()
    for term in reversed(order):
        users = kept.get(term, ())
        if users and all(
            (u.dtype == np.float32 and (u in found if u.op.carries == "passed" else takes(u)))
            or widens(u)
            or u.op.name in INDIFFERENT
            for u in users
        ):
            found.add(term)
    return found


def widens(term: Term) -> bool:
    """Whether a term converts to float64 what is no normal float32 where a multiple of it is."""
    return term.op.name == "astype" and term.dtype == WIDE and term.args[0].op.name in SHORTER


def _is_plain(term: Term) -> bool:
    """Whether a float32 term is formed in float64 as it is."""
    if term.op.name == "exp":
        return term.args[0].dtype == WIDE
    if term.op.name == "astype":
        return term.args[0].dtype == WIDE
    name = term.op.name
    if name == "compensated_sum" and rounds_once(*term.params):
        return False
    length = name in LENGTHS and number_beside(term) is None
    return length or name in PLAIN or name in SHORTER


_EVERYDAY = 2.0**20


def number_beside(term: Term) -> int | None:
    """The position of the one number in a float32 length that needs no float64 for its range.

    What stands beside it is no sum, product or length, which may be beyond the range itself.
    """
    if term.dtype != np.float32 or term.op.name not in ("hypot", "hypot_unit"):
        return None
    if any(x.op.name in LENGTHS or _goes_on(x) for x in term.args):
        return None
    sizes = [abs(float(x.params[0])) if x.op is CONST else 0.0 for x in term.args]
    found = [i for i, size in enumerate(sizes) if 1 / _EVERYDAY <= size <= _EVERYDAY]
    return found[0] if len(found) == 1 else None


def is_computed(term: Term) -> bool:
    """Whether a term that is kept in float64 has its arguments brought to float64."""
    return (
        term.op.carries == "computed"
        or term.op.name in SHORTER
        or term.op.name == "compensated_sum"
    )


def _goes_on(term: Term) -> bool:
    return _is_plain(term) or term.op.carries != "" or term.op.name in PLAIN


def takes(term: Term) -> bool:
    """Whether a float32 term makes use of an argument in float64."""
    return _goes_on(term) or term.op.name in FAR_LOGARITHMS


def leaving(
    order: Sequence[Term], bounds: dict[Term, float], goes_on: Container[Term]
) -> set[Term]:
    """The float32 arithmetic that may leave the range of float32 where what is made of it does not.

    Logarithms, lengths and quotients are made of it: 1 + x**2 in the logarithm of a density, x/s
    in sqrt(1 + (x/s)**2). Sums of a few numbers leave the range at its very end only, and stay.

    Args:
        order: the terms.
        bounds: as ``sizes`` has them.
        goes_on: the terms whose users go on in float64.
    """
    reach: dict[Term, Reach] = {}
    for term in order:
        if term.dtype == np.float32 and _goes_on(term):
            reach[term] = reached(term, reach, bounds)
    found: set[Term] = set()
    for user in reversed(order):
        if user.dtype == np.float32:
            args = user.args if user in found else _narrowing(user, goes_on, reach)
            found |= {a for a in args if _leaves(reach.get(a))}
    return found


def _narrowing(user: Term, goes_on: Container[Term], reach: Mapping[Term, Reach]) -> Sequence[Term]:
    """The arguments of a term that may be beyond the range of float32 where the term is not."""
    name = user.op.name
    if name in FAR_LOGARITHMS or (name in LENGTHS and user in goes_on):
        return user.args
    if name == "scaled_product":
        below = [a for a, p in zip(user.args, user.params[0], strict=False) if p < 0]
    else:
        below = user.args[1:] if name == "divide" else ()
    # what is beyond the range above the line as well may be the greater one by a little
    return user.args if any(_leaves(reach.get(a)) for a in below) else ()


def _leaves(reach: Reach | None) -> bool:
    return reach is not None and (reach.up > SINGLE_UP or reach.down > SINGLE_DOWN)


def _feeding(order: Sequence[Term], users: Mapping[Term, Mapping[Term, None]]) -> set[Term]:
    """The arithmetic that only goes into sums whose addends may cancel: its rounding shows there.

    No further than one operation: beyond, float64 would cost more than it gives. The factors of a
    product in the sum count where they are sums themselves or choices of reciprocals. Where no
    addend is a function, whose rounding shows as well, so do squares, quotients, and what these are
    made of.
    """
    found: set[Term] = set()
    bare: set[Term] = set()
    """Those that go into sums of arithmetic alone."""

    def shows(term: Term, user: Term) -> bool:
        if user.dtype != np.float32 or user.op.name in INDIFFERENT:
            return user.op.name in INDIFFERENT
        if _cancels(user) and (term.op.name in ("add", "subtract") or term in _addends(user)):
            return True
        if user in found and user.op.name == "scaled_product":
            power = dict(zip(user.args, user.params[0], strict=False)).get(term)
            if user in bare and power in (1, 2) and _is_short(term):
                return True
            return power == 1 and (_is_sum(term) or _is_inverse(term))
        if user in bare and user.op.name == "divide":
            return _is_sum(term)
        return user in found and user.op.carries == "passed"

    for term in reversed(order):
        if term.dtype != np.float32 or term not in users:
            continue
        if term.op.carries or term.op.name in PLAIN:
            shown = [u for u in users[term] if shows(term, u)]
            others = [u for u in users[term] if u not in shown]
            alone = all(u in bare or (_cancels(u) and _is_bare(u)) for u in shown)
            # others than products would be reductions in float64
            short = alone and _is_short(term) and all(u.op.name == "scaled_product" for u in others)
            if not others or (
                shown and (short or _is_inverse(term)) and all(map(takes, users[term]))
            ):
                found.add(term)
                if alone:
                    bare.add(term)
    return found


def _is_bare(total: Term) -> bool:
    """Whether all addends of a sum are arithmetic or numbers of the program."""
    return all(x.op.carries or x.op.name in PLAIN or not x.args for x in _addends(total))


def _is_short(term: Term) -> bool:
    """Whether a term is a sum of two or a quotient."""
    return term.op.name == "divide" or _is_sum(term)


def _is_sum(term: Term) -> bool:
    """Whether a term is a sum of two, or what passes one on."""
    while term.op.carries == "passed" and term.op.name != "where":
        term = term.args[0]
    return term.op.name in ("add", "subtract")


def _is_inverse(term: Term) -> bool:
    """Whether a term is a reciprocal, or passes one on."""
    if term.op.carries == "passed":
        return any(_is_inverse(a) for a in term.args)
    return term.op.name == "reciprocal"


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
