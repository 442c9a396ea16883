"""The errors that stablegrad raises: one root class, each also the builtin it resembles.

A message says what came, what was expected, where (the user's file and line) and what to try.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

_PACKAGE = str(Path(__file__).resolve().parent)
_NOT_THE_USER = (_PACKAGE, contextlib.__file__)  # a with statement passes through contextlib


class StablegradError(Exception):
    """Root of every error that stablegrad raises on purpose."""


class ShapeError(StablegradError, ValueError):
    """Shapes that do not fit together."""


class DTypeError(StablegradError, TypeError):
    """A dtype, or a kind of object, that an operation cannot take."""


class DomainError(StablegradError, ValueError):
    """A parameter or constant outside the set for which an operation is defined."""


class UnknownNameError(StablegradError, LookupError):
    """A name (of a rule, an op, an engine, a function) that does not exist."""


class OutOfRangeError(ShapeError, IndexError):
    """An index beyond the end of an axis."""


class NotDifferentiableError(StablegradError, TypeError):
    """A derivative was asked for that does not exist, with the reason."""


class TraceError(StablegradError, TypeError):
    """The value of a tensor was needed while its program was still being traced."""


def user_location() -> str:
    """Return "file:line" of the innermost frame outside this package, or "<unknown>"."""
    frame = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        if not filename.startswith(_NOT_THE_USER):
            return f"{filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "<unknown>"


def message(got: str, expected: str, hint: str = "") -> str:
    """Compose an error text in the project's one form, with the user's file and line."""
    text = f"got {got}; expected {expected} (at {user_location()})"
    return f"{text}. {hint}" if hint else text
