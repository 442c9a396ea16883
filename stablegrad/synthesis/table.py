"""Tables: proved polynomials laid out so that the bits of the input find their row."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np

from stablegrad.oracle.formats import FLOAT64, FORMATS, Format
from stablegrad.synthesis.layout import Layout, layout_of

Array = np.ndarray[Any, Any]
FORMAT = 5
MAGIC = b"stablegrad kernel\n"
"""Changed whenever a table means something else than before."""


def framed(about: dict[str, Any], numbers: bytes = b"") -> bytes:
    """A header as JSON and numbers, behind their checksum."""
    text = json.dumps({**about, "format": FORMAT}).encode()
    body = len(text).to_bytes(4, "little") + text + numbers
    return MAGIC + crc32(body).to_bytes(4, "little") + body


def unframed(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the numbers.

    Raises:
        ValueError: the data is something else, damaged, or of another format.
    """
    start = len(MAGIC)
    body = data[start + 4 :]
    if data[:start] != MAGIC or crc32(body).to_bytes(4, "little") != data[start : start + 4]:
        raise ValueError("no table, or a damaged one")
    size = int.from_bytes(body[:4], "little")
    about = json.loads(body[4 : 4 + size].decode())
    if about["format"] != FORMAT:
        raise ValueError(f"format {about['format']}, expected {FORMAT}")
    return about, body[4 + size :]


class Waves(NamedTuple):
    """What rows that follow one another are multiplied with, the sines of one angle.

    Attributes:
        octave: the angle is 2**octave * z.
        factor: "sin" or "cos", of which all is a multiple, or "".
        terms: of each row "sin", "cos", or "" for 1.
        share: what the sum has to be of the sizes of its terms, else there is no value.
    """

    octave: int
    factor: str
    terms: tuple[str, ...]
    share: float


@dataclass(frozen=True, slots=True)
class Kind:
    """How rows are put to use: ``exp(rate) * (z**power * A(t) + z**log_power * log(z) * B(t))``.

    Steep rows are ``A(t) * exp(slope * t)``; ``2**-lift`` is a factor of what has it. Rows with
    ``waves`` are ``z**power * factor * (A(t) + B(t) * sin(angle) + C(t) * cos(angle))``.

    Attributes:
        q: t = (z**(1/q) - center) * scale.
        power, log_power: exponents of z, whole or halves.
        main, log: whether there are A and B; B's row follows A's.
        even: the polynomials are in t*t.
        rate: exponents of z, whole or halves, with their coefficient in two floats.
        steep: there is a slope, each row its own.
        waves: sines and cosines, each with its row.
    """

    q: int = 1
    power: Fraction = Fraction(0)
    main: bool = True
    log: bool = False
    log_power: Fraction = Fraction(0)
    rate: tuple[tuple[Fraction, float, float], ...] = ()
    even: bool = False
    steep: bool = False
    lift: int = 0
    waves: Waves | None = None

    @property
    def plain(self) -> bool:
        """Whether the polynomial is the result."""
        dressed = self.power or self.log or self.rate or self.steep or self.lift or self.waves
        return not dressed and self.q == 1

    def to_list(self) -> list[Any]:
        rate = [[str(e), hi.hex(), lo.hex()] for e, hi, lo in self.rate]
        powers = str(self.power), str(self.log_power)
        data = [self.q, *powers, self.main, self.log, rate, self.even, self.steep, self.lift]
        return data if self.waves is None else [*data, list(self.waves)]

    @staticmethod
    def from_list(data: list[Any]) -> Kind:
        q, power, log_power, main, log, rate, even, steep, lift, *waves = data
        return Kind(
            int(q),
            Fraction(power),
            bool(main),
            bool(log),
            Fraction(log_power),
            tuple([(Fraction(e), float.fromhex(h), float.fromhex(lo)) for e, h, lo in rate]),
            bool(even),
            bool(steep),
            int(lift),
            *[Waves(int(o), str(f), tuple(map(str, t)), float(s)) for o, f, t, s in waves],
        )


@dataclass(frozen=True, slots=True)
class Side:
    """The inputs of one sign: exponents [low, high) of z have rows of their own.

    Attributes:
        low, high: exponents below which the bottom, from which on the top row serves.
        base: first row of bottom, each exponent, top.
        shift: how many low bits of the fraction do not matter to the row.
    """

    low: int
    high: int
    base: tuple[int, ...]
    shift: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Zone:
    """The inputs within ``width`` of a point hi + lo, by rows of their own."""

    hi: float
    lo: float
    width: float
    above: int
    below: int


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A kernel of one function of a float, with what is proved of it.

    Attributes:
        coefficients: row k of it holds coefficient k of every polynomial, the first in two.
        center, scale: of each polynomial's t.
        slope: of its exponential factor, 0 where it has none.
        kind: index into ``kinds`` for each polynomial; 0 means that nothing is proved.
        sides: of positive and of negative inputs.
        zones: neighbourhoods of zeros and of ends of the domain.
        points: exact inputs, 0 and -0 two of them, with their values.
        pieces: how many polynomials there are.
        bound_ulp: the greatest proved error.
        gaps: intervals of the input for which nothing is proved, in words.
        elapsed_s: how long it took.
        format: what it is evaluated in, and takes.
    """

    coefficients: Array
    center: Array
    scale: Array
    slope: Array
    kind: Array
    kinds: tuple[Kind, ...]
    sides: tuple[Side, Side]
    zones: tuple[Zone, ...]
    points: tuple[tuple[float, float], ...]
    pieces: int
    bound_ulp: float
    gaps: tuple[tuple[float, float], ...]
    elapsed_s: float
    format: Format = FLOAT64
    _layout: list[Layout] = field(default_factory=list[Layout], init=False, repr=False)

    @property
    def layout(self) -> Layout:
        """The table as kernels read it, made once."""
        if not self._layout:
            self._layout.append(layout_of(self))
        return self._layout[0]

    @property
    def complete(self) -> bool:
        """Whether every input of the domain is covered."""
        return not self.gaps

    @property
    def total(self) -> bool:
        """Whether inputs that are not covered have no value, those at ends of the domain too."""
        known = {x.hex() for x, _ in self.points}  # 0 and -0 are two points
        ends = {x.hex() for x in (0.0, -0.0, *[z.hi for z in self.zones if z.lo == 0])}
        # two terms of a row may overflow, and then have no sum
        sums = [k for k in self.kinds if k.log and k.main]
        risky = any(k.q < 0 or k.rate or min(k.power, k.log_power) < 0 for k in sums)
        return self.complete and ends <= known and not risky

    @property
    def nbytes(self) -> int:
        return self.coefficients.nbytes + 3 * self.center.nbytes + self.kind.nbytes

    def to_bytes(self) -> bytes:
        """The table as one block: a line of JSON, its checksum, and the numbers."""
        about: dict[str, Any] = {
            "kinds": [k.to_list() for k in self.kinds],
            "sides": [[s.low, s.high, s.base, s.shift] for s in self.sides],
            "zones": [
                [z.hi.hex(), z.lo.hex(), z.width.hex(), z.above, z.below] for z in self.zones
            ],
            "points": [[x.hex(), y.hex()] for x, y in self.points],
            "pieces": self.pieces,
            "bound_ulp": self.bound_ulp,
            "gaps": [[a.hex(), b.hex()] for a, b in self.gaps],
            "elapsed_s": self.elapsed_s,
        }
        about["shape"] = self.coefficients.shape
        if self.format is not FLOAT64:
            about["dtype"] = self.format.name
        arrays = [self.coefficients.ravel(), self.center, self.scale, self.slope]
        numbers = np.concatenate(arrays).astype("<f8").tobytes() + self.kind.tobytes()
        return framed(about, numbers)

    @staticmethod
    def from_bytes(data: bytes) -> Table:
        """The table of such a block.

        Raises:
            ValueError, KeyError, TypeError: it is none, is damaged, or is of another format.
        """
        about, numbers = unframed(data)
        height, rows = (int(n) for n in about["shape"])
        form = FORMATS[about.get("dtype", FLOAT64.name)]
        if height < 2 or rows < 1 or len(numbers) != 8 * (height + 3) * rows + rows:
            raise ValueError("another number of numbers than the shape says")
        floats = np.frombuffer(numbers, "<f8", (height + 3) * rows).astype(form.dtype, copy=False)
        coefficients = floats[: height * rows].reshape(height, rows)
        center, scale, slope = floats[height * rows :].reshape(3, rows)
        kind = np.frombuffer(numbers, np.int8, rows, 8 * (height + 3) * rows)
        kinds = tuple([Kind.from_list(k) for k in about["kinds"]])
        sides = tuple([Side(s[0], s[1], tuple(s[2]), tuple(s[3])) for s in about["sides"]])
        zones = tuple(
            [
                Zone(float.fromhex(h), float.fromhex(lo), float.fromhex(w), int(a), int(b))
                for h, lo, w, a, b in about["zones"]
            ]
        )
        used = [b for s in sides for b in s.base] + [r for z in zones for r in (z.above, z.below)]
        if (
            len(sides) != 2
            or not all(0 <= r < rows for r in used)
            or not 0 <= kind.min() <= kind.max() < len(kinds)
        ):
            raise ValueError("rows that are not there")
        last = max(
            (
                b + (1 << (form.fraction - h))
                for s in sides
                for b, h in zip(s.base, s.shift, strict=True)
                if b
            ),
            default=1,
        )
        if last > rows:
            raise ValueError("rows that are not there")
        pairs: list[tuple[tuple[float, float], ...]] = [
            tuple([(float.fromhex(a), float.fromhex(b)) for a, b in about[name]])
            for name in ("points", "gaps")
        ]
        return Table(
            coefficients=coefficients,
            center=center,
            scale=scale,
            slope=slope,
            kind=kind,
            kinds=kinds,
            sides=(sides[0], sides[1]),
            zones=zones,
            points=pairs[0],
            pieces=int(about["pieces"]),
            bound_ulp=float(about["bound_ulp"]),
            gaps=pairs[1],
            elapsed_s=float(about["elapsed_s"]),
            format=form,
        )

    def summary(self) -> str:
        """Pieces, bound, size and time on one line."""
        bound = f"proved {self.bound_ulp:.2f} ulp" if math.isfinite(self.bound_ulp) else "unproved"
        gap = f", {len(self.gaps)} gaps left to the naive form" if self.gaps else ""
        size = f"{self.nbytes / 1024:.0f} kB"
        form = "" if self.format is FLOAT64 else f" of {self.format.name}"
        return f"{self.pieces} pieces, {bound}{form}, {size}, {self.elapsed_s:.2f} s{gap}"
