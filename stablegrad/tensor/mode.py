"""What tensors do when an op builds a term: track gradients, be traced, be cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Mode:
    """The state in which ops build terms.

    Attributes:
        grad: whether results of what requires grad require it too.
        level: how many transforms are at work, one inside the other.
        whole: whether a program is being traced and must stay whole: history is never cut.
        traced: whether values are unknown, so that looking at one is an error.
        taken: inside a transform the places where a value was taken out as a number or array.
    """

    grad: bool = True
    level: int = 0
    whole: bool = False
    traced: bool = False
    taken: list[str] | None = None


MODE: ContextVar[Mode] = ContextVar("stablegrad_mode", default=Mode())  # noqa: B039 - frozen


@contextmanager
def mode(**changes: Any) -> Iterator[Mode]:
    """Work in another mode for a while."""
    changed = replace(MODE.get(), **changes)
    token = MODE.set(changed)
    try:
        yield changed
    finally:
        MODE.reset(token)


class _GradMode(ContextDecorator):
    """A context, or a decorator, that switches the tracking of gradients."""

    _grad: bool

    def __init__(self) -> None:
        self._tokens: list[Token[Mode]] = []

    def __enter__(self) -> None:
        self._tokens.append(MODE.set(replace(MODE.get(), grad=self._grad)))

    def __exit__(self, *_: object) -> None:
        MODE.reset(self._tokens.pop())


class no_grad(_GradMode):  # noqa: N801 - torch's name
    """Results built inside do not require grad, and are constants to every derivative.

    Example:
        >>> x = sg.tensor([1.0], requires_grad=True)
        >>> with sg.no_grad():
        ...     y = x * 2
        >>> y.requires_grad
        False
    """

    _grad = False


class enable_grad(_GradMode):  # noqa: N801 - torch's name
    """Track gradients again inside ``no_grad``.

    Example:
        >>> x = sg.tensor([1.0], requires_grad=True)
        >>> with sg.no_grad(), sg.enable_grad():
        ...     y = x * 2
        >>> y.requires_grad
        True
    """

    _grad = True
