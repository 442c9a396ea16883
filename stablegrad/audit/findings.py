"""What an audit has found: the classes that reports are made of."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from stablegrad.audit.examples import Example, Series
from stablegrad.audit.measure import Counts, judge
from stablegrad.audit.trace import EXPRESSION
from stablegrad.errors import message
from stablegrad.ir import Term
from stablegrad.ops.record import is_float

SCHEMA = "stablegrad.audit/1"


@dataclass(frozen=True, slots=True)
class Cure:
    """What mends a line.

    Attributes:
        kind: "rule", "derivative" (the op's own stable derivative), "mask" (a structural zero)
            or "evaluation" (how the program is evaluated: compensated sums, products that keep
            their range).
        name: the name of the rule, or of the op.
        reason: why, in a line.
        source: where the identity is from; empty unless it is a rule.
    """

    kind: str
    name: str
    reason: str = ""
    source: str = ""

    def __str__(self) -> str:
        match self.kind:
            case "rule":
                return self.name
            case "derivative":
                return f"derivative of {self.name}"
            case "mask":
                return f"structural zero in {self.name}"
            case _:
                return self.name

    def to_json(self) -> dict[str, str]:
        return {"kind": self.kind, "name": self.name, "reason": self.reason, "source": self.source}


@dataclass(frozen=True, slots=True)
class Finding:
    """One operation of one line that loses digits.

    Attributes:
        file: the user's file, or "<expression>".
        line: the number of the line; 0 where it is not known.
        source: the text of the line.
        op: the operation.
        forward: what it loses in computing its value, right arguments given.
        backward: what its textbook derivative loses, right arguments given.
        seen_forward: what is wrong with its value in the naive run, wherever it was lost.
        seen_backward: what is wrong with what it hands back in the naive run.
        cures: what mends it; empty where nothing does.
        cured: whether all results of the stabilized program are right.
        cause: why, in a word: see ``stablegrad.audit.causes.MEANINGS``.
        causes: how many elements are lost for which cause.
        carried_bits: bits that its arguments have lost before it, in the naive run.
        condition: by how much the operation magnifies relative errors of its arguments, at
            most; 0 where that was not measured.
        first: whether it is here that things first went wrong.
    """

    file: str
    line: int
    source: str
    op: str
    forward: Counts
    backward: Counts
    seen_forward: Counts
    seen_backward: Counts
    cures: tuple[Cure, ...] = ()
    cured: bool = True
    cause: str = ""
    causes: Mapping[str, int] = field(default_factory=dict)
    carried_bits: float = 0.0
    condition: float = 0.0
    first: bool = False

    @property
    def place(self) -> str:
        """The file and line as reports show them, below the working directory if they are."""
        if not self.line:
            return self.file
        return f"{short_path(self.file)}:{self.line}"

    @property
    def bits_lost(self) -> float:
        return max(self.forward.bits_lost, self.backward.bits_lost)

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "line": self.line,
            "source": self.source,
            "op": self.op,
            "bits_lost": round(self.bits_lost, 1),
            "forward": self.forward.to_json(),
            "backward": self.backward.to_json(),
            "seen_forward": self.seen_forward.to_json(),
            "seen_backward": self.seen_backward.to_json(),
            "cures": [c.to_json() for c in self.cures],
            "cured": self.cured,
            "cause": self.cause,
            "causes": dict(self.causes),
            "carried_bits": round(self.carried_bits, 1),
            "condition": float(f"{self.condition:.3g}"),
            "first": self.first,
        }


@dataclass(frozen=True, slots=True)
class Total:
    """One result (the value, a gradient) as the naive and as the stabilized program give it.

    Attributes:
        name: "value", "gradient by x", "second gradient by x".
        naive, stabilized: what is wrong with it.
        finding: the place in ``findings`` of what first made it wrong.
        ill_conditioned: elements off by no more than what two ulp in the inputs make of the
            truth: they are no fault of the program, and not among the wrong ones.
    """

    name: str
    naive: Counts
    stabilized: Counts
    finding: int | None = None
    ill_conditioned: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "naive": self.naive.to_json(),
            "stabilized": self.stabilized.to_json(),
            "finding": self.finding,
            "ill_conditioned": self.ill_conditioned,
        }


@dataclass
class Stable:
    """The stabilized program, from which source is written.

    Attributes:
        roots: the lowered terms: the value, then the gradients, called ``told``.
        inputs: its inputs, with their ``names`` and the ``values`` of the audit: the arguments of
            the user's function in their order, used or not, then what else it computes with.
        defaults: by name, what an argument is where it is not given.
        results: of each root, the values that it gives there.
        truth: of each root, the true values and where they are known.
    """

    roots: list[Term]
    inputs: list[Term]
    names: list[str]
    values: list[np.ndarray[Any, Any]]
    results: list[np.ndarray[Any, Any]]
    told: list[str]
    defaults: dict[str, float] = field(default_factory=dict)
    truth: list[tuple[Any, Any]] = field(default_factory=list)

    @property
    def subnormal(self) -> bool:
        """Whether an input or a result is below the smallest normal float."""
        floats = [v for v in [*self.values, *self.results] if is_float(v.dtype)]
        sizes = [(np.abs(v), ml_dtypes.finfo(v.dtype).tiny) for v in floats]
        return any(bool(((size > 0) & (size < tiny)).any()) for size, tiny in sizes)


@dataclass
class Audit:
    """The result of ``sg.audit``; printing it, or showing it in a notebook, shows its tables.

    Attributes:
        function: the name of what was audited.
        order: 0 for values, 1 with gradients, 2 with gradients of the sum of gradients.
        findings: the operations that lose digits, in the order of the program.
        totals: every result, naive and stabilized.
        examples: inputs of the domain that were hunted down, the ordinary one first.
        notes: what a reader must know: samples, elements left out, an audit cut short.
        complete: false where the audit was interrupted.
    """

    function: str
    order: int
    findings: list[Finding] = field(default_factory=list)
    totals: list[Total] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    complete: bool = True
    cure: Stable | None = field(default=None, repr=False, compare=False)
    series: list[Series] = field(default_factory=list, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether the naive program gives all results within 64 ulp of the truth."""
        failed = self.findings or self.examples or any(t.naive.bad for t in self.totals)
        return not failed

    @property
    def cured(self) -> bool:
        """Whether the stabilized program gives all results within 64 ulp of the truth."""
        return not any(t.stabilized.bad for t in self.totals)

    @property
    def first(self) -> Finding | None:
        """The finding at which things first went wrong."""
        return next((f for f in self.findings if f.first), None)

    @property
    def verdict(self) -> str:
        """The outcome in a sentence."""
        name = self.function
        if not self.complete:
            return f"{name}: the audit was interrupted; what follows was found until then."
        if self.ok:
            return f"{name}: naive evaluation is fine on these inputs."
        bad = sum(t.naive.bad for t in self.totals)
        left = sum(t.stabilized.bad for t in self.totals)
        all_of = sum(t.naive.elements for t in self.totals)
        tail = "all cured" if not left else f"{left} of them are left when stabilized"
        if left > bad:
            tail = f"{left} when stabilized"
        return f"{name}: naive evaluation loses digits in {bad} of {all_of} elements; {tail}."

    def to_json(self) -> dict[str, Any]:
        """The audit as plain data, ready for ``json.dumps``; the schema is in docs/audit.md."""
        return {
            "schema": SCHEMA,
            "function": self.function,
            "order": self.order,
            "ok": self.ok,
            "cured": self.cured,
            "complete": self.complete,
            "verdict": self.verdict,
            "findings": [f.to_json() for f in self.findings],
            "totals": [t.to_json() for t in self.totals],
            "examples": [e.to_json() for e in self.examples],
            "notes": list(self.notes),
        }

    def emit(self, target: str = "numpy") -> str:
        """The stabilized program and its gradients as source that needs NumPy and SciPy, or JAX.

        It has been run in a process without this library, on the inputs of the audit, and is as
        right there as the stabilized program is. XLA takes subnormal numbers for 0: where the
        inputs or results of the audit hold one, source for JAX has NumPy do what meets one.

        Args:
            target: "numpy" or "jax".

        Returns:
            A module with one function, which takes the arrays among the arguments of the audited
            function, in its order, and returns the value and the gradients by those it uses.

        Raises:
            EmitError: a step cannot be written as source, or what was written failed its check.
        """
        from stablegrad.audit.emit import EmitError, run_apart, source_of

        if target not in ("numpy", "jax"):
            raise EmitError(message(f"emit({target!r})", "numpy or jax"))
        if self.cure is None or not self.cure.truth:
            raise EmitError("the audit is not complete, so that there is nothing to check against")
        text, name, driver = source_of(self.function, self.cure, target)
        results = run_apart(text, name, self.cure.values, driver)
        for got, (true, decided), total in zip(results, self.cure.truth, self.totals, strict=True):
            counts = judge(np.broadcast_to(got, true.shape), true, judged=decided).counts()
            if counts.bad > total.stabilized.bad and counts.bits_lost > total.stabilized.bits_lost:
                raise EmitError(f"the emitted source is off in {total.name}: {counts.bad} elements")
        return text

    def to_html(self, path: str | Path) -> None:
        """Write a page of its own, with everything in it, and replace ``path`` at once."""
        from stablegrad.audit.page import page
        from stablegrad.audit.report import write_atomically

        write_atomically(path, page(self))

    def plot(self, path: str | Path) -> None:
        """Draw error against input, naive and stabilized: PNG, SVG or PDF by the suffix."""
        from stablegrad.audit.page import picture

        picture(self, path)

    def __rich__(self) -> Any:
        from stablegrad.audit.report import tables

        return tables(self)

    def __str__(self) -> str:
        from stablegrad.audit.report import text

        return text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from stablegrad.audit.report import body

        return body(self)


def split_place(place: str) -> tuple[str, int, str]:
    """File, line and text of the line of a place; of an expression, the text of the part."""
    if place.startswith(EXPRESSION):
        return EXPRESSION, 0, place.removeprefix(f"{EXPRESSION}:")
    file, _, number = place.rpartition(":")
    if not number.isdigit():
        return place or "<unknown>", 0, ""
    return file, int(number), linecache.getline(file, int(number)).strip()


def short_path(file: str) -> str:
    """A file relative to the working directory; its last two parts where it is not below."""
    path = Path(file)
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return "/".join(path.parts[-2:])


Progress = Callable[[str], None]
