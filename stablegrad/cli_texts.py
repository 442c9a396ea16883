"""What the lists of rules and ops say, as text: guards, intervals, measured errors."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stablegrad.ir import Facts


def guard_text(guard: Callable[..., Any] | None) -> str:
    """The condition of a rule as it is written."""
    if guard is None:
        return ""
    code = getattr(guard, "__code__", None)
    if code is None or guard.__name__ != "<lambda>":
        return getattr(guard, "__name__", "guarded")
    try:
        tree = ast.parse(Path(code.co_filename).read_text("utf8"))
    except (OSError, SyntaxError):
        return "guarded"
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno:
            return ast.unparse(node.body)
    return "guarded"


def measured_text(worst: dict[str, list[float]]) -> str:
    """The worst errors in ulp by dtype: value/first/second derivative."""
    return ", ".join(f"{n} {'/'.join(f'{e:g}' for e in errors)}" for n, errors in worst.items())


def interval(facts: Facts) -> str:
    """An interval in the notation of mathematics."""
    if math.isinf(facts.lo) and math.isinf(facts.hi):
        return "R"
    left, right = "(" if facts.lo_open else "[", ")" if facts.hi_open else "]"
    return f"{left}{facts.lo:.6g}, {facts.hi:.6g}{right}"
