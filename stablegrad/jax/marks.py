"""Marks: what a derivative taken inside a stabilized program is the derivative of.

While ``stabilize(step)`` traces a step that itself calls ``jax.grad``, the derivative of every
known operation is bound as a region with a mark: which application it belongs to, and which
applications made its arguments. Marks pass through scan, cond, checkpoint and vmap as parameters;
``chains`` puts the derivatives together by them, so that a loss is stabilized before it is
differentiated there too.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import jax

if TYPE_CHECKING:
    from stablegrad.jax.regions import Region

inside: Any = jax.make_user_context(None)
"""The settings of the ``stabilize`` that is tracing a program, None elsewhere. JAX's caches of
traces know its value, so that nothing traced under one value is used under another."""

_numbers = itertools.count()
_made: dict[int, tuple[weakref.ref[Any], int, int]] = {}

Result = tuple[int, int]
"""An application and which of its results."""


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """An application of a region whose derivative an equation is.

    Attributes:
        number: of the application.
        region: what was applied.
        of: the application's own mark, where it is a derivative itself.
        made: for each argument, the result of a marked application that it is.
        active: the arguments that depended on what was differentiated.
        moved: those with tangents or cotangents here; the derivative by others is zero.
        places: the results with tangents.
        source: the primitive and its parameters, where the region is one of JAX's operations.
        reverse: whether the equation takes cotangents of ``places`` to those of ``moved``, rather
            than tangents of ``moved`` to those of ``places``. Its other arguments, in front, are
            those of the application.
    """

    number: int
    region: Region
    of: Mark | None
    made: tuple[Result | None, ...]
    active: tuple[int, ...]
    moved: tuple[int, ...]
    places: tuple[int, ...]
    source: tuple[Any, dict[str, Any]] | None = None
    reverse: bool = False

    def transposed(self, moved: Sequence[int], places: Sequence[int]) -> Mark:
        """The mark of a pullback, of the tangents at some positions of ``moved``."""
        return replace(
            self,
            moved=tuple([self.moved[j] for j in moved]),
            places=tuple([self.places[k] for k in places]),
            reverse=True,
        )


def application(
    region: Region,
    of: Mark | None,
    args: Sequence[Any],
    results: Sequence[Any],
    moved: tuple[int, ...],
    places: tuple[int, ...],
    source: tuple[Any, dict[str, Any]] | None = None,
) -> Mark | None:
    """The mark of an application that is being differentiated, None outside of ``stabilize``."""
    if inside.value is None:
        return None
    made = tuple([_maker(x) for x in args])
    mark = Mark(next(_numbers), region, of, made, moved, moved, places, source)
    for k, y in enumerate(results):
        _remember(y, (mark.number, k))
    return mark


def _maker(x: Any) -> Result | None:
    found = _made.get(id(x))
    return found[1:] if found is not None and found[0]() is x else None


def _remember(x: Any, result: Result) -> None:
    key = id(x)
    try:
        kept = weakref.ref(x, lambda _: _made.pop(key, None))
    except TypeError:  # a number of NumPy
        return
    _made[key] = (kept, *result)
