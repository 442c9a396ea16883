"""explain: the program that will run, and the rules that made it what it is."""

# ruff: noqa: SLF001 - fields of tensors are private to the package, not to the class

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from stablegrad.errors import DTypeError, message
from stablegrad.ir import Term, topological
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.known import KNOWN
from stablegrad.ops.lowered_arithmetic import RATIONAL_SUM, Code, Sum
from stablegrad.ops.ranged import RANGED_SUM
from stablegrad.ops.record import CONST, INPUT, LEAF, to_float
from stablegrad.ops.rescued import RESCUED
from stablegrad.program import program_of
from stablegrad.rewrite import Fired
from stablegrad.settings import Settings
from stablegrad.tensor.core import Tensor

_LEAVES = (CONST, INPUT, LEAF)
LINE = 72  # an expression longer than this gets a line of its own


@dataclass(frozen=True, slots=True)
class Explanation:
    """What will run for a tensor.

    Attributes:
        ops: names of the operations that run, in order; inputs, constants and the conversions
            to a wider dtype and back are left out.
        source: the program as text in NumPy's manner.
        fired: the rules that fired, each with ``name``, ``reason`` and ``place`` (the user's
            line).
    """

    ops: tuple[str, ...]
    source: str
    fired: tuple[Fired, ...]

    def __str__(self) -> str:
        lines = [self.source]
        if self.fired:
            lines.append("")
            lines.append("rules that fired:")
        for f in dict.fromkeys((f.name, f.reason, f.place) for f in self.fired):
            name, reason, place = f
            lines.append(
                "  " + name + (f": {reason}" if reason else "") + (f" ({place})" if place else "")
            )
        return "\n".join(lines)

    __repr__ = __str__


def explain(t: Any) -> Explanation:
    """The program that gives a tensor its value, after all rewriting.

    Args:
        t: a tensor; for the result of a transform, the transformed program is explained.

    Returns:
        An ``Explanation``; printing it shows the program and the rules.

    Example:
        >>> x = sg.tensor([50.0], dtype="float64")
        >>> print(sg.explain(sg.ops.log(1 - sg.ops.sigmoid(x))).ops)
        ('negative', 'log_sigmoid')
    """
    if not isinstance(t, Tensor):
        raise DTypeError(message(f"explain({type(t).__name__})", "a tensor"))
    term, settings = _program(t)
    program, _ = program_of([term], settings)
    hidden = program.casts
    names = tuple(
        [n.op.name for n in topological(program.roots) if n.op not in _LEAVES and n not in hidden]
    )
    return Explanation(names, source(program.roots, program.inputs), tuple(program.fired))


def _program(t: Tensor) -> tuple[Term, Settings]:
    if t._program is not None:
        return t._program
    term = t.term
    if term.op is LEAF and term.params[0].origin is not None:
        return term.params[0].origin, t.settings
    return term, t.settings


# -- text ---------------------------------------------------------------------------------


def source(roots: Sequence[Term], inputs: Sequence[Term] = ()) -> str:
    """A lowered program as text: a line for each value that is used twice or gets long."""
    names: dict[Term, str] = {x: f"x{i}" for i, x in enumerate(inputs)}
    uses: dict[Term, int] = {}
    order = topological(roots)
    for term in order:
        for a in term.args:
            uses[a] = uses.get(a, 0) + 1
    lines: list[str] = []
    texts: dict[Term, str] = {}
    for term in order:
        if term in names:
            texts[term] = names[term]
            continue
        text = expression(term, texts)
        several = uses.get(term, 0) > 1 and term.op is not CONST
        if several or (len(text) > LINE and term not in roots):
            name = f"t{len(lines)}"
            lines.append(f"{name} = {text}")
            text = name
        texts[term] = text
    lines.extend([f"return {', '.join(_bare(texts[r]) for r in roots)}"])
    return "\n".join(lines)


def _bare(text: str) -> str:
    """Without parentheses around the whole."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return text[1:-1] if i == len(text) - 1 else text
    return text


_INFIX = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**", "matmul": "@",
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==",
    "not_equal": "!=", "logical_and": "&", "logical_or": "|",
}  # fmt: skip


def expression(term: Term, texts: dict[Term, str]) -> str:
    """One node as text, its arguments given."""
    args = [texts[a] for a in term.args]
    name = term.op.name
    if term.op is CONST:
        return number(term.params[0])
    if term.op is AFFINE:
        return _sum(term.params[0], term.params[1], args)
    if term.op is MONOMIAL:
        return _product(term.params[0], args)
    if term.op is RATIONAL_SUM:
        return _rational(term.params[0], args)
    if term.op in (KNOWN, RESCUED):  # a value with the decision of its rare elements
        return args[0]
    if term.op is RANGED_SUM:
        return f"{name}({_bare(args[0])})"
    if name in _INFIX and len(args) == 2:
        return f"({args[0]} {_INFIX[name]} {args[1]})"
    if name == "negative":
        return f"-{args[0]}"
    if name == "logical_not":
        return f"~{args[0]}"
    params = term.static
    if "coefficients" in params and "counts" in params:
        return f"{name}({_bare(_sum_of_products(params, args))})"
    if "powers" in params and "factor" in params:
        product = _product(params["powers"], args[: len(params["powers"])])
        return f"{name}({_bare(_sum(0, [params['factor']], [product]))})"
    static = [
        f"{key}={number(value) if isinstance(value, Fraction) else value}"
        for key, value in params.items()
        if value is not None and value is not False
    ]
    return f"{name}({', '.join([*[_bare(a) for a in args], *static])})"


def _sum_of_products(params: dict[str, Any], args: Sequence[str]) -> str:
    """The sum that a lowered op is evaluated for; arguments that only help are left out."""
    rest = iter(args)
    products = [
        _product([1] * n, [next(rest) for _ in range(n)]) if n > 1 else next(rest)
        for n in params["counts"]
    ]
    return _sum(params["constant"], params["coefficients"], products)


def number(value: Any) -> str:
    """An exact constant as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, Fraction):
        near = to_float(value)
        if Fraction(near) == value or max(value.numerator.bit_length(), 20) > 20:
            return repr(near)
        return f"{value.numerator}/{value.denominator}"
    return str(value)


def _sum(constant: Any, coefficients: Sequence[Any], args: Sequence[str]) -> str:
    parts = [] if constant == 0 else [number(constant)]
    for c, arg in zip(coefficients, args, strict=True):
        size = abs(c)
        text = arg if size == 1 else f"{number(size)}*{arg}"
        if parts:
            parts.append(f" {'-' if c < 0 else '+'} {text}")
        else:
            parts.append(f"-{text}" if c < 0 else text)
    return f"({''.join(parts)})" if len(parts) > 1 else parts[0]


def _rational(code: Code, args: Sequence[str]) -> str:
    """The instructions of a whole sum as one formula."""
    registers = list(args)
    for step in code:
        if isinstance(step, Sum):
            coefficients, places = zip(*step.addends, strict=True)
            text = _sum(step.constant, coefficients, [registers[i] for i in places])
        else:
            places, powers = zip(*step.factors, strict=True)
            text = _product(powers, [registers[i] for i in places])
        registers.append(text)
    return registers[-1]


def _product(powers: Sequence[Any], args: Sequence[str]) -> str:
    above: list[str] = []
    below: list[str] = []
    for p, arg in zip(powers, args, strict=True):
        size = abs(p)
        text = arg
        if size == Fraction(1, 2):
            text = f"sqrt({_bare(arg)})"
        elif size != 1:
            text = f"{arg}**{size if isinstance(size, int) else f'({size})'}"
        (above if p > 0 else below).append(text)
    text = "*".join(above) or "1"
    return (
        f"({text})"
        if not below and len(above) > 1
        else (text if not below else f"({'/'.join([text, *below])})")
    )
