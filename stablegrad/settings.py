"""What governs an expression: the rules in force and the conventions, read when it is built."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from stablegrad.errors import UnknownNameError, message

DATABASES = ("canonical", "stabilize", "lower")


@dataclass(frozen=True, slots=True)
class Settings:
    """Rules switched off and on by name, and whether derivatives are the textbook's."""

    excluded: frozenset[str] = frozenset()
    included: frozenset[str] = frozenset()
    naive: bool = False

    @property
    def stabilizes(self) -> bool:
        """Whether programs are rewritten at all: rules match in canonical form alone."""
        return not self.naive and self.excluded.isdisjoint(("canonical", "stabilize"))

    @property
    def widens(self) -> bool:
        """Whether fragile parts are computed in wider or compensated arithmetic."""
        return self.stabilizes and "lower" not in self.excluded


DEFAULT = Settings()
_current: ContextVar[Settings] = ContextVar("stablegrad_settings", default=DEFAULT)
_known: set[str] = set(DATABASES) | {"synthesis"}


def current() -> Settings:
    """The settings in force."""
    return _current.get()


def register_name(name: str) -> None:
    """Make the name of a rule or group known to ``rules``."""
    _known.add(name)


def known_names() -> frozenset[str]:
    """Every name that ``rules`` accepts."""
    return frozenset(_known)


def _names(value: str | Iterable[str] | None) -> frozenset[str]:
    names = frozenset([value] if isinstance(value, str) else value or ())
    for name in names:
        if name not in _known:
            raise UnknownNameError(
                message(
                    f"the rule name {name!r}",
                    "a database, group or rule",
                    "`stablegrad rules` lists them",
                )
            )
    return names


@contextmanager
def rules(
    include: str | Iterable[str] | None = None, exclude: str | Iterable[str] | None = None
) -> Iterator[Settings]:
    """Switch rules on or off for the expressions built inside.

    Args:
        include: names of optional rules to add, or of excluded ones to allow again.
        exclude: names of databases, groups or single rules to leave out. "stabilize" gives the
            program exactly as written, as does "canonical", the form that rules match;
            "lower" keeps the rules but computes everything in the program's own dtype.

    Raises:
        UnknownNameError: a name that is no rule, group or database.

    Example:
        >>> import stablegrad as sg
        >>> x = sg.tensor([100.0])
        >>> with sg.rules(exclude="stabilize"):
        ...     print(sg.ops.log(1 - sg.ops.sigmoid(x)).numpy())
        [-inf]
        >>> print(sg.ops.log(1 - sg.ops.sigmoid(x)).numpy())
        [-100.]
    """
    added, removed = _names(include), _names(exclude)
    now = current()
    settings = replace(
        now, excluded=(now.excluded | removed) - added, included=(now.included | added) - removed
    )
    token = _current.set(settings)
    try:
        yield settings
    finally:
        _current.reset(token)


@contextmanager
def naive() -> Iterator[Settings]:
    """Compute inside as a conventional framework does: the user's ops, textbook derivatives.

    Example:
        >>> import stablegrad as sg
        >>> with sg.naive():
        ...     print(sg.grad(sg.ops.sigmoid)(20.0).item())
        0.0
    """
    token = _current.set(replace(current(), naive=True))
    try:
        yield current()
    finally:
        _current.reset(token)
