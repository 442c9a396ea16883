"""Evaluating a table: bits to row, one Horner for all rows, then what few kinds need on top."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from stablegrad.synthesis.factors import (
    HUGE,
    cube_root,
    either,
    exact_product,
    exponent,
    log_of,
    number,
    times_power,
)
from stablegrad.synthesis.layout import UNCOVERED
from stablegrad.synthesis.table import Kind, Table

FEW = 4
"""Rows that are told apart by comparing."""
GATHERED = 256
"""Elements whose coefficients are looked up in one call."""


def lookup(xp: Any, x: Any, table: Table, low: Any = None) -> tuple[Any, Any, Any]:
    """The row of each input, z, its distance to the anchor of that row, and where that is a zone's.

    ``low`` is what x is off by; the z of zones has it.
    """
    layout, form = table.layout, table.format
    z = xp.abs(x)
    bits = z.view(form.integer)
    if isinstance(x, np.ndarray):
        upper = x.view(form.integer) >> form.fraction
        start = _take(xp, layout.direct, upper & (len(layout.direct) - 1))
    else:
        start = _start(xp, x, bits, table)
    row = (start >> 6) + ((bits & ((1 << form.fraction) - 1)) >> (start & 63))
    near = None
    if layout.cells is not None:
        edges, rows = layout.cells
        after = x >= _take(xp, edges, row)
        if low is not None:  # which tells on what side of the anchor a float next to it is
            for part in (0, 1):
                hi, lo = [_take(xp, a, _take(xp, rows, 2 * row + part)) for a in layout.anchors]
                after = xp.where((x == hi) & (hi != 0), low > lo, after)
        row = _take(xp, rows, 2 * row + after)
        hi, lo = [_take(xp, a, row) for a in layout.anchors]
        return row, xp.abs(xp.where(hi == 0, x, _from(x, hi, lo, low))), hi != 0
    for zone in table.zones:
        # a number that XLA takes for a variable: x less two constants is one difference to it
        hi = either(xp, form, bits >= 0, zone.hi, 0.0)
        d = _from(x, hi, zone.lo, low)
        size = xp.abs(d)
        rows = xp.where(d > 0, zone.above, zone.below)
        # where one side is not covered, the rows of the binade stay
        here = (size <= zone.width) & (rows != UNCOVERED)
        row = xp.where(here, rows, row)
        z = xp.where(here, size, z)
        near = here if near is None else near | here
    return row, z, near


def _start(xp: Any, x: Any, bits: Any, table: Table) -> Any:
    """What the layout has for each input, told by comparing."""
    form = table.format
    exponent = (bits >> form.fraction) - form.bias
    positive, negative = table.sides
    minus = x.view(form.integer) < 0  # x < 0 is false for subnormals that a platform takes for 0
    bottom = xp.where(minus, negative.low - 1, positive.low - 1)
    top = xp.where(minus, negative.high, positive.high)
    entry = xp.minimum(xp.maximum(exponent, bottom), top) - bottom
    entry = entry + xp.where(minus, len(positive.base), 0)
    return _take(xp, table.layout.start, entry)


def _from(x: Any, hi: Any, lo: Any, low: Any) -> Any:
    """x + low - hi - lo."""
    d = (x - hi) - lo
    return d if low is None else d + low


def _take(xp: Any, values: Any, index: Any) -> Any:
    if isinstance(index, np.ndarray):
        return values.take(index, mode="clip")
    return xp.take(xp.asarray(values), index, mode="clip")


def polynomial(xp: Any, coefficients: Any, row: Any, t: Any) -> Any:
    """hi + (lo + t*(c1 + t*(...))) of each element's row."""
    if isinstance(row, np.ndarray) and row.ndim and row.size <= GATHERED:
        hi, low, *rest = coefficients.take(row, axis=1, mode="clip")
        if rest:
            total = rest.pop()
            while rest:
                total *= t
                total += rest.pop()
            total *= t
            low += total
        hi += low
        return hi
    low = _take(xp, coefficients[1], row)
    if len(coefficients) > 2:
        total = _take(xp, coefficients[-1], row)
        if isinstance(total, np.ndarray) and total.ndim:  # in place: half of the memory is moved
            for c in coefficients[-2:1:-1]:
                total *= t
                total += _take(xp, c, row)
        else:
            for c in coefficients[-2:1:-1]:
                total = total * t + _take(xp, c, row)
        low = low + total * t
    return _take(xp, coefficients[0], row) + low


def _of_few(xp: Any, coefficients: Any, rows: Any, row: Any, t: Any) -> Any:
    """``polynomial`` where all that matters are some rows: without a look into the table."""
    columns = coefficients[:, rows]
    used = np.flatnonzero(columns.any(axis=1))
    terms = []
    for column in columns[: max(2, 1 + used[-1] if used.size else 0)]:
        c = column[0]
        for at, value in zip(rows[1:], column[1:], strict=True):
            c = c if value == column[0] else xp.where(row == at, value, c)
        terms.append(c)
    total = 0.0
    for c in terms[:1:-1]:
        total = total * t + c
    return terms[0] + (terms[1] + total * t)


def evaluate(xp: Any, x: Any, table: Table, low: Any = None) -> tuple[Any, Any]:
    """The function at each input, and whether the table covers it (else the value means nothing).

    Args:
        xp: an array namespace with NumPy's names.
        x: an array of the floats that the table takes.
        table: the table.
        low: what x is off by, at most half an ulp: the input is x + low.
    """
    layout, form = table.layout, table.format
    row, z, near = lookup(xp, x, table, low)
    bits = z.view(form.integer)
    # low over z, which is all that an expression in z has to know of it
    rest = None
    if low is not None:
        toward = xp.where(x < 0, -low, low)
        toward = toward if near is None else xp.where(near, 0.0, toward)
        rest = xp.where(z > 0, toward / xp.where(z > 0, z, 1.0), 0.0)
    kind = _take(xp, table.kind, row)
    infinite = (2 * form.bias + 1) << form.fraction
    covered = (kind != UNCOVERED) & (bits < infinite) & (bits > 0)
    y = z
    for q, among in layout.roots:
        y = _where_kind(xp, kind, among, y, lambda at, q=q: _variable(xp, form, q, at(z)))
    scale = _take(xp, table.scale, row)
    t = (y - _take(xp, table.center, row)) * scale
    if rest is not None:
        q = _take(xp, np.array([k.q for k in table.kinds], form.name), kind)
        t = t + y * (rest / q) * scale
    t = _where_kind(xp, kind, layout.even, t, lambda at: at(t) * at(t))
    value = plain = polynomial(xp, table.coefficients, row, t)
    # in NumPy kind by kind, else all at once: what several kinds need is computed once there
    apart = isinstance(plain, np.ndarray)
    for among in [[i] for i in layout.dressed] if apart else [layout.dressed]:

        def finished(at: Callable[[Any], Any], among: list[int] = among) -> Any:
            kinds = [table.kinds[i] for i in among]
            row_, t_, kind_ = at(row), at(t), at(kind)
            here = [None if len(among) == 1 else kind_ == i for i in among]
            log = slope = None
            main = [r for i in among for r in layout.logs.get(i, ())]
            if 0 < len(main) <= FEW and not apart:
                beside = [r + 1 for r in main]
                log = _of_few(xp, table.coefficients, beside, row_ + 1, t_)
            elif main:
                log = polynomial(xp, table.coefficients, row_ + 1, t_)
            if any(k.steep for k in kinds):
                slope = _take(xp, table.slope, row_)
            off = None if rest is None else at(rest)
            return dressed(xp, form, kinds, here, at(plain), log, at(z), t_, slope, off)

        value = _where_kind(xp, kind, among, value, finished)
    for i in layout.waved:

        def oscillating(at: Callable[[Any], Any], k: Kind = table.kinds[i]) -> Any:
            found = waved(xp, form, k, table.coefficients, at(plain), at(row), at(z), at(t))
            return found if low is None else xp.where(at(low) == 0, found, xp.nan)

        value = _where_kind(xp, kind, [i], value, oscillating)
    covered = covered & (value == value)  # two terms that overflow may have no sum
    pattern = x.view(form.integer)
    if not apart:
        # with 0 added of which a compiler knows nothing: else it asks whether x is 0 as a float,
        # which subnormals are to platforms that flush them
        pattern = pattern + (kind.astype(form.integer) >> 7)
    for point, known in layout.points:  # 0 and -0 are two points
        here = pattern == point
        if low is not None:
            here = here & (low == 0)
        if apart and not np.count_nonzero(here):
            continue
        value = xp.where(here, number(form, known), value)
        covered = covered | here
    return value, covered


def _where_kind(
    xp: Any,
    kind: Any,
    among: list[int],
    otherwise: Any,
    result: Callable[[Callable[[Any], Any]], Any],
) -> Any:
    """``result`` for elements of some kinds: in NumPy it is computed for these alone."""
    if not among:
        return otherwise
    here = kind == among[0]
    for i in among[1:]:
        here = here | (kind == i)
    if not isinstance(otherwise, np.ndarray) or not otherwise.ndim:
        # what is computed for others means nothing
        return xp.where(here, result(lambda a: a), otherwise)
    count = np.count_nonzero(here)
    if not count:
        return otherwise
    if count == otherwise.size:
        found = np.asarray(result(lambda a: a.reshape(-1)), otherwise.dtype)
        return found.reshape(otherwise.shape)
    places = here.reshape(-1).nonzero()[0]
    out = otherwise.copy()
    flat = out.reshape(-1)
    flat[places] = result(lambda a: a.reshape(-1)[places])
    return flat.reshape(out.shape)


def _variable(xp: Any, form: Any, q: int, z: Any) -> Any:
    """z**(1/q)."""
    root = z if abs(q) == 1 else xp.sqrt(z) if abs(q) == 2 else cube_root(xp, form, z)
    return 1 / root if q < 0 else root


def dressed(
    xp: Any,
    form: Any,
    kinds: list[Kind],
    here: list[Any],
    value: Any,
    log: Any,
    z: Any,
    t: Any,
    slope: Any,
    rest: Any,
) -> Any:
    """A polynomial with its powers of z * (1 + rest), its logarithm and its exponential factor.

    Args:
        xp: an array namespace.
        form: what is computed in.
        kinds: what the rows are.
        here: where each kind is, None for everywhere.
        value: the polynomial.
        log: the one that the logarithm has.
        z: the distance.
        t: what the polynomials are of.
        slope: of t in the exponential factor.
        rest: what z is off by, relative to it.
    """
    hi = lo = 0.0
    far, back = False, None
    if slope is not None:
        hi, lo = exact_product(slope, t, form.split)  # 0 for what is not steep
    for k, at in zip(kinds, here, strict=True):
        if k.rate:
            high, low = exponent(xp, form, k, z, rest)
            hi, lo = _chosen(xp, at, high, hi), _chosen(xp, at, low, lo)
            far = True
    if slope is not None or far:
        if far:
            # where exp leaves the range and the result need not
            far = (xp.abs(hi) > form.extreme) & (xp.abs(hi) < HUGE)
            small = hi < 0
            more, rest_of_it = [either(xp, form, small, c, -c) for c in form.log_lift]
            nearer = hi + more
            lo = xp.where(far, lo + (((hi - nearer) + more) + rest_of_it), lo)
            hi = xp.where(far, nearer, hi)
            back = either(xp, form, small, 2.0**-form.lift, 2.0**form.lift)
            # no product leaves the range that is not asked for: that would be slow
            back = xp.where(far, back, number(form, 1))
        factor = xp.exp(hi)
        value = (value + value * lo) * factor
        log = None if log is None else (log + log * lo) * factor
    for lift in sorted({k.lift for k in kinds} - {0}):
        at = _any([a for k, a in zip(kinds, here, strict=True) if k.lift == lift])
        value = _chosen(xp, at, value * 2.0**-lift, value)
    powers = [k.power for k in kinds]
    if log is not None:
        known = log_of(xp, form, z)
        log = log * (known if rest is None else known + rest)
        apart = []
        for i, (k, at) in enumerate(zip(kinds, here, strict=True)):
            if k.log and k.main and k.power != k.log_power:
                apart.append((k.log_power, at))
            elif k.log:  # before the power, which may make one of two terms a subnormal
                powers[i] = k.log_power
                value = _chosen(xp, at, value + log if k.main else log, value)
        value = _with_powers(xp, form, powers, here, value, z, rest)
        if apart:
            masks = [at for _, at in apart]
            log = _with_powers(xp, form, [p for p, _ in apart], masks, log, z, rest)
            value = _chosen(xp, None if None in masks else _any(masks), value + log, value)
    else:
        value = _with_powers(xp, form, powers, here, value, z, rest)
    return value if back is None else value * back


def waved(
    xp: Any, form: Any, k: Kind, coefficients: Any, value: Any, row: Any, z: Any, t: Any
) -> Any:
    """A sum of polynomials times sines, nan where it cancels; ``value`` is the first of them."""
    assert k.waves is not None
    octave, factor, terms, share = k.waves
    angle = z * 2.0**octave
    sines = {name: getattr(xp, name)(angle) for name in {factor, *terms} - {""}}
    total = value * sines[terms[0]] if terms[0] else value
    size = xp.abs(total)
    for i, name in enumerate(terms[1:], 1):
        term = polynomial(xp, coefficients, row + i, t)
        term = term * sines[name] if name else term
        total, size = total + term, size + xp.abs(term)
    if share:
        total = xp.where(xp.abs(total) >= share * size, total, xp.nan)
    total = total * sines[factor] if factor else total
    return times_power(xp, form, total, z, k.power)


def _chosen(xp: Any, here: Any, value: Any, otherwise: Any) -> Any:
    return value if here is None else xp.where(here, value, otherwise)


def _any(masks: list[Any]) -> Any:
    found = masks[0]
    for mask in masks[1:]:
        found = found | mask
    return found


def _with_powers(
    xp: Any, form: Any, powers: list[Fraction], here: list[Any], value: Any, z: Any, rest: Any
) -> Any:
    """A value times the power of z that each kind has."""
    for p in sorted(set(powers) - {0}):
        at = _any([a for q, a in zip(powers, here, strict=True) if q == p])
        new = value if rest is None else value + value * (rest * float(p))
        value = _chosen(xp, at, times_power(xp, form, new, z, p), value)
    return value
