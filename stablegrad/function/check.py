"""check_gradients: a function's gradient against the truth, and for linearity in dy."""

# ruff: noqa: SLF001 - fields of tensors are private to the package, not to the class

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ml_dtypes
import numpy as np

from stablegrad.errors import DTypeError, message
from stablegrad.function.faults import faults_of
from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops.derivative import CUSTOM
from stablegrad.ops.record import LEAF, is_float
from stablegrad.oracle import Truth, classify, err_ulp, gradient
from stablegrad.program import evaluate
from stablegrad.settings import current
from stablegrad.tensor.cells import freeze, value_leaf
from stablegrad.tensor.core import Tensor, as_tensor, leaf_of
from stablegrad.tensor.gradients import gradients
from stablegrad.tensor.mode import MODE, mode
from stablegrad.transforms.expand import Expander

Array = np.ndarray[Any, Any]
SHOWN = 5  # elements in a printed report
SEED = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One element of a gradient that is not right.

    Attributes:
        input: which input, and the element's index in it.
        value: the input's element.
        got, true: the gradient there, and the correctly rounded truth.
        error_ulp: their distance in ulp of the truth.
    """

    input: str
    value: float
    got: float
    true: float
    error_ulp: float


@dataclass(frozen=True, slots=True)
class GradientReport:
    """What ``check_gradients`` found; true when everything is right.

    Attributes:
        ok: whether the gradient is right and linear in dy.
        reasons: what is wrong, in words.
        findings: the elements that are wrong, the worst first.
        worst_ulp: the greatest error of any element, right ones included.
        checked: how many elements were compared.
        undecided: how many have no truth within the oracle's budget.
    """

    ok: bool
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    worst_ulp: float
    checked: int
    undecided: int

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        head = f"{self.checked} elements, worst error {self.worst_ulp:.3g} ulp"
        if self.undecided:
            head += f", {self.undecided} without a known truth"
        lines = [("right: " if self.ok else "WRONG: ") + head, *self.reasons]
        if self.findings:
            lines.append(f"{'input':>12} {'at':>14} {'got':>16} {'true':>16} {'error (ulp)':>12}")
        lines += [
            f"{f.input:>12} {f.value:>14.6g} {f.got:>16.9g} {f.true:>16.9g} {f.error_ulp:>12.3g}"
            for f in self.findings[:SHOWN]
        ]
        if len(self.findings) > SHOWN:
            lines.append(f"... and {len(self.findings) - SHOWN} more")
        return "\n".join(lines)

    __repr__ = __str__


def check_gradients(f: Callable[..., Any], *tensors: Any, max_ulp: float = 64) -> GradientReport:
    """Compare the gradient of a function with the truth, from the oracle, not from differences.

    The truth is the exact derivative of what the function's forward part computes. The
    gradient must also be linear in the incoming one: ``backward(2*dy)`` is exactly
    ``2*backward(dy)``, which a forgotten ``dy *`` fails.

    Args:
        f: a ``Function``, a function with ``custom_gradient``, or any function of tensors.
        tensors: its arguments, floating-point ones to be checked; any shapes.
        max_ulp: the greatest error that counts as right.

    Returns:
        A ``GradientReport``, true when all is right; printing it shows input, got and true.

    Raises:
        DTypeError: no argument is floating-point.

    Example:
        >>> @sg.custom_gradient
        ... def square(x):
        ...     return x * x, lambda dy: 2 * x  # forgot dy
        >>> report = sg.check_gradients(square, sg.tensor([1.0, 3.0]))
        >>> report.ok, report.reasons[0]
        (False, 'the gradient does not depend on dy')
    """
    return report_of(_Run(f, tensors), max_ulp)


class Subject(Protocol):
    """A function at one point, and a gradient that somebody gave it.

    Attributes:
        names: what its floating-point inputs are called.
        values: what they are.
    """

    names: list[str]
    values: list[Array]

    def pull(self, factor: float) -> list[Array]:
        """The gradients by the inputs for fixed cotangents times a factor."""
        ...

    def truths(self) -> list[Truth]:
        """The true gradients for the same cotangents."""
        ...


def report_of(subject: Subject, max_ulp: float) -> GradientReport:
    """Judge a gradient: its linearity, and every element against the truth."""
    once = subject.pull(1.0)
    reasons = _linearity(subject, once)
    findings: list[Finding] = []
    worst, checked, undecided = 0.0, 0, 0
    faults: list[str] = []
    for name, x, got, true in zip(
        subject.names, subject.values, once, subject.truths(), strict=True
    ):
        errors = np.atleast_1d(err_ulp(got, true))
        words = np.atleast_1d(classify(got, true))
        bad = (errors > max_ulp) & (words != "underflows")
        checked += errors.size
        undecided += int(np.isnan(errors).sum())
        worst = max(worst, float(np.nanmax(errors, initial=0.0, where=words != "underflows")))
        part = [np.atleast_1d(v) for v in (x, got, true.value)]
        if bad.any():
            known = np.isfinite(errors) & (words != "underflows")
            faults += faults_of(name, part[0], part[1], part[2], bad, known)
        for place in zip(*np.nonzero(bad), strict=True):
            at = ", ".join(str(int(p)) for p in place) if x.shape else ""
            value, gave, should, off = (float(v[place]) for v in (*part, errors))
            full = f"{name}[{at}]" if at else name
            findings.append(Finding(full, value, gave, should, off))
    if findings:
        reasons.append(f"{len(findings)} of {checked} elements are off by more than {max_ulp} ulp")
    findings.sort(key=lambda f: -f.error_ulp)
    told = (*reasons, *faults)
    return GradientReport(not told, told, tuple(findings), worst, checked, undecided)


def _linearity(subject: Subject, once: list[Array]) -> list[str]:
    """What is wrong with the gradient as a function of dy."""
    twice, nothing = subject.pull(2.0), subject.pull(0.0)
    if all(_doubles(a, b) for a, b in zip(once, twice, strict=True)):
        if all(not np.any(np.nan_to_num(z)) for z in nothing):
            return []
        return ["the gradient is not linear in dy: backward(0) is not 0"]
    same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(once, twice, strict=True))
    if same:
        return ["the gradient does not depend on dy"]
    return ["the gradient is not linear in dy: backward(2*dy) is not 2*backward(dy)"]


class _Run:
    """One function at one point: its results, and its gradient for any cotangents."""

    def __init__(self, f: Callable[..., Any], args: Sequence[Any]) -> None:
        self.inputs: list[Tensor] = []
        given: list[Any] = []
        for a in args:
            if not isinstance(a, Tensor | np.ndarray | np.generic | float):
                given.append(a)
                continue
            t = as_tensor(a)
            x = leaf_of(t.numpy())
            if is_float(t.dtype):
                x._requires = True
                self.inputs.append(x)
            given.append(x)
        if not self.inputs:
            raise DTypeError(message("no floating-point argument", "something to differentiate by"))
        with mode(level=MODE.get().level + 1, grad=True, whole=True):
            result = f(*given)
        many = result if isinstance(result, list | tuple) else (result,)
        outputs = [as_tensor(y) for y in many]
        self.outputs = [y.term for y in outputs if is_float(y.dtype)]
        rng = np.random.default_rng(SEED)
        self.dys = [
            rng.uniform(0.5, 2, y.shape).astype(y.dtype).reshape(y.shape) for y in self.outputs
        ]
        self.variables = [x.term for x in self.inputs]
        self.names = [str(i) for i in range(len(self.inputs))]
        self.values = [x.params[0].value for x in self.variables]

    def pull(self, factor: float) -> list[Array]:
        """The gradients by the inputs for the cotangents times a factor."""
        seeds = [value_leaf(freeze(np.asarray(dy * dy.dtype.type(factor)))) for dy in self.dys]
        found = gradients(list(zip(self.outputs, seeds, strict=True)), self.variables, current())
        values = iter(evaluate([found[x] for x in self.variables if x in found], current()))
        return [next(values) if x in found else np.zeros(x.shape, x.dtype) for x in self.variables]

    def truths(self) -> list[Truth]:
        """The true gradients, of the functions as their forward parts compute."""
        total: Term | None = None
        bindings: dict[Term, Any] = {}
        for y, dy in zip(_plain(self.outputs), self.dys, strict=True):
            seed = value_leaf(freeze(dy))
            bindings[seed] = dy
            part = OPS["sum"](y * seed)
            total = part if total is None else total + part
        assert total is not None
        for term in topological([total]):
            if term.op is LEAF:
                bindings.setdefault(term, term.params[0].value)
        for x in self.variables:
            bindings.setdefault(x, x.params[0].value)
        return gradient(total, self.variables, bindings)


def _doubles(a: Array, b: Array) -> bool:
    """Whether b is exactly 2*a, but for what a subnormal or an overflow rounds away."""
    info = ml_dtypes.finfo(a.dtype)
    with np.errstate(all="ignore"):
        exact = (b == 2 * a) | (np.isnan(a) & np.isnan(b))
        small = (np.abs(b) < 2 * info.tiny) & (np.abs(a) < 2 * info.tiny)
        return bool(np.all(exact | small | (np.isinf(b) & (np.abs(a) > info.max / 2))))


def _plain(roots: Sequence[Term]) -> list[Term]:
    """The programs as they compute values: functions with their own gradient as their forward."""
    done: dict[Term, Term] = {}
    expanded = Expander(current()).expand(roots)
    for term in topological(expanded):
        if term.op is CUSTOM:
            done[term] = done[term.args[term.params[2]]]
            continue
        args = tuple([done[a] for a in term.args])
        same = args == term.args
        done[term] = term if same else make(term.op, args, term.params, term.shape, term.dtype)
    return [done[r] for r in expanded]
