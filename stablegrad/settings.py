"""What governs an expression: the rules in force and the conventions, read when it is built."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from stablegrad.errors import UnknownNameError, message

DATABASES = ("canonical", "stabilize", "lower")
SYNTHESIS = "STABLEGRAD_SYNTHESIS"
"""The environment variable that turns synthesis off for a process."""


@dataclass(frozen=True, slots=True)
class Conventions:
    """What a derivative is where mathematics leaves a choice: the first of each list below."""

    kinks: str = "zero"
    origin: str = "zero"
    ties: str = "share"
    roots: str = "inf"
    powers: str = "limit"
    entropy: str = "limit"
    rounding: str = "zero"
    masked_rows: str = "zero"
    zero_factor: str = "block"


CONVENTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "kinks": (
        "abs at 0; maximum, minimum and clip against a constant, relu and its kin among them",
        {
            "zero": "0",
            "left": "the derivative on the left",
            "right": "the derivative on the right",
            "mean": "the mean of both sides",
            "nan": "nan",
        },
    ),
    "origin": ("norm, p-norm, hypot and std at 0", {"zero": "0", "nan": "nan"}),
    "ties": (
        "maximum of two variables, max and min over axes, sort, median, quantile, cummax with ties",
        {
            "share": "equal shares",
            "first": "all to the first of them",
            "nan": "nan",
        },
    ),
    "roots": (
        "sqrt, cbrt and powers between 0 and 1 at 0",
        {"inf": "inf", "zero": "0", "nan": "nan"},
    ),
    "powers": (
        "0**0 by the base; x**y by y at x = 0",
        {"limit": "the limit of the exponent given; 0 for y > 0", "nan": "nan"},
    ),
    "entropy": (
        "xlogy, xlog1py, entr and rel_entr where the first argument is 0",
        {"limit": "the limit", "nan": "nan"},
    ),
    "rounding": (
        "floor, ceil, trunc and round",
        {"zero": "0", "straight_through": "1", "error": "NotDifferentiableError"},
    ),
    "masked_rows": (
        "softmax of a row of -inf throughout, attention to nothing, value and derivative",
        {"zero": "0", "nan": "nan"},
    ),
    "zero_factor": (
        "a factor that is 0 at run time and no variable, times a function of infinite slope",
        {"block": "0 where the function is finite", "ieee": "what 0 times the slope is: nan"},
    ),
}
"""Each convention by name: where it counts; and its choices with what they mean, default first."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Rules off and on by name, whether derivatives are the textbook's, conventions, guard."""

    excluded: frozenset[str] = frozenset()
    included: frozenset[str] = frozenset()
    naive: bool = False
    conventions: Conventions = Conventions()
    guarded: bool = False

    def __hash__(self) -> int:  # every evaluation asks; frozensets know theirs
        return hash((self.excluded, self.included, self.naive, self.guarded))

    @property
    def stabilizes(self) -> bool:
        """Whether programs are rewritten at all: rules match in canonical form alone."""
        return not self.naive and self.excluded.isdisjoint(("canonical", "stabilize"))

    @property
    def widens(self) -> bool:
        """Whether fragile parts are computed in wider or compensated arithmetic."""
        return self.stabilizes and "lower" not in self.excluded

    @property
    def synthesizes(self) -> bool:
        """Whether fragile parts that no rule covers get kernels of their own.

        Not under other conventions than the default: a kernel's values at single points are
        those of the default.
        """
        on = os.environ.get(SYNTHESIS, "on").strip().lower() not in ("off", "0", "no")
        usual = self.conventions == Conventions()
        return on and usual and self.stabilizes and "synthesis" not in self.excluded


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
def in_force(settings: Settings) -> Iterator[Settings]:
    """Let settings be the current ones inside."""
    token = _current.set(settings)
    try:
        yield settings
    finally:
        _current.reset(token)


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
    with in_force(settings):
        yield settings


@contextmanager
def naive() -> Iterator[Settings]:
    """Compute inside as a conventional framework does: the user's ops, textbook derivatives.

    Example:
        >>> import stablegrad as sg
        >>> with sg.naive():
        ...     print(sg.grad(sg.ops.sigmoid)(20.0).item())
        0.0
    """
    with in_force(replace(current(), naive=True)) as settings:
        yield settings


@contextmanager
def conventions(**choices: str) -> Iterator[Settings]:
    """Choose what derivatives are, inside, where mathematics leaves a choice.

    Args:
        choices: a choice for any of these, the default first.

            - ``kinks`` (abs, relu and kin): "zero", "left", "right", "mean" or "nan";
            - ``origin`` (norm, hypot, std at 0): "zero" or "nan";
            - ``ties`` (max, sort, median): "share", "first" or "nan";
            - ``roots`` (sqrt at 0): "inf", "zero" or "nan";
            - ``powers`` (0**0, x**y at x = 0): "limit" or "nan";
            - ``entropy`` (xlogy and kin at 0): "limit" or "nan";
            - ``rounding`` (floor, round): "zero", "straight_through" or "error";
            - ``masked_rows`` (softmax of -inf throughout): "zero" or "nan";
            - ``zero_factor`` (0 times an infinite slope): "block" or "ieee".

    Raises:
        UnknownNameError: another convention or choice.

    Example:
        >>> import stablegrad as sg
        >>> relu = sg.nn.functional.relu
        >>> with sg.conventions(kinks="mean"):
        ...     print(sg.grad(relu)(0.0).item())
        0.5
        >>> print(sg.grad(relu)(0.0).item())
        0.0
    """
    for name, choice in choices.items():
        if name not in CONVENTIONS:
            raise UnknownNameError(message(f"the convention {name!r}", f"one of {[*CONVENTIONS]}"))
        known = [*CONVENTIONS[name][1]]
        if choice not in known:
            raise UnknownNameError(message(f"{name}={choice!r}", f"one of {known}"))
    now = current()
    with in_force(replace(now, conventions=replace(now.conventions, **choices))) as settings:
        yield settings
