"""Tables in memory, those shipped, and on disk, each made once.

A function that is neither even nor odd has a table for each sign of its input. NumPy makes the one
that it meets (``table_for``), compilers ask for both (``table_of``).

The folder is the platform's for caches, or what ``STABLEGRAD_CACHE`` says (``off`` keeps everything
in memory). Files hold a line of JSON and numbers behind a checksum; they are written beside their
place and moved into it, so that two processes never see half of one. A file that cannot be read,
or that another version wrote, is made anew.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import sys
import tempfile
import threading
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from stablegrad.synthesis import shipped
from stablegrad.synthesis.build import Builder, DeclinedError
from stablegrad.synthesis.parity import NEITHER, parity
from stablegrad.synthesis.recipe import Recipe, X
from stablegrad.synthesis.table import FORMAT, Table, framed, unframed

Array = np.ndarray[Any, Any]
VARIABLE = "STABLEGRAD_CACHE"
LARGEST = 64 * 2**20
"""Bytes of the folder beyond which the files longest unused are removed."""
REMOVED_AT_ONCE = 0.25
SUFFIX = ".kernel"

Key = tuple[Recipe, int]
"""A recipe and the sign of its inputs, 0 for both."""
_NAMES = {0: "", 1: "-right", -1: "-left"}
_tables: dict[Key, Table | str] = {}
_lock = threading.Lock()


def table_of(recipe: Recipe) -> Table:
    """The table of a recipe: from memory, from disk, or made now.

    Raises:
        DeclinedError: none can be made; the text says why.
    """
    return _table((recipe, 0))


def half_of(recipe: Recipe, sign: int) -> Table:
    """The table for inputs of one sign, which may be of all where that is there or costs no more.

    Raises:
        DeclinedError: none can be made; the text says why.
    """
    whole = _tables.get((recipe, 0)) or _saved((recipe, 0))
    if whole is None and parity(recipe.expression, X) == NEITHER:
        return _table((recipe, sign))
    return _table((recipe, 0))


def table_for(recipe: Recipe, x: Any) -> Table | None:
    """A table that serves the inputs x, if one can be made; what it gives does not depend on which.

    A compiler, to which x is no array of numbers, gets that of all inputs.
    """
    whole = _tables.get((recipe, 0))
    if isinstance(whole, Table):
        return whole
    try:
        if isinstance(x, np.ndarray):
            minus = np.signbit(x)
            if not minus.any() or minus.all():
                return half_of(recipe, -1 if x.size and minus.all() else 1)
        return table_of(recipe)
    except DeclinedError:
        return None


def proved(recipe: Recipe) -> Table:
    """The first half of a table that has pieces: nothing else is made to know whether one has.

    Raises:
        DeclinedError: none can be made; the text says why.
    """
    for sign in (1, -1):
        table = half_of(recipe, sign)
        if table.pieces:
            return table
    raise DeclinedError("nothing could be proved of it")


def _table(key: Key) -> Table:
    found = _tables.get(key)
    if found is None:
        with _lock:
            found = _tables.get(key)
            if found is None:
                found = _tables[key] = _found(key)
    if isinstance(found, str):
        raise DeclinedError(found)
    return found


def _saved(key: Key) -> Table | str | None:
    """What is shipped or on disk, kept in memory from now on."""
    recipe, sign = key
    found = None if sign else shipped.table_with(recipe.digest)
    found = found or load(recipe.digest + _NAMES[sign])
    if found is not None:
        _tables[key] = found
    return found


def _found(key: Key) -> Table | str:
    recipe, sign = key
    saved = _saved(key)
    if saved is not None:
        return saved
    try:
        halves = [_tables.get((recipe, s)) or _saved((recipe, s)) for s in (1, -1) if not sign]
        made: Table | str = Builder(recipe, sign, halves=halves).build()
    except DeclinedError as error:
        made = str(error)
    save(recipe.digest + _NAMES[sign], made)
    return made


def known() -> list[Recipe]:
    """The recipes whose tables were asked for."""
    return list(dict.fromkeys([recipe for recipe, _ in _tables]))


def forget() -> None:
    """Drop the tables in memory."""
    _tables.clear()


# -- disk ---------------------------------------------------------------------------------------


def folder() -> Path | None:
    """Where tables are kept between processes, or None."""
    chosen = os.environ.get(VARIABLE)
    if chosen is not None:
        return None if chosen.strip().lower() in ("", "0", "off", "no") else Path(chosen)
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "stablegrad" / "synthesis"


@cache
def _version() -> str:
    try:
        return importlib.metadata.version("stablegrad")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def path_of(digest: str) -> Path | None:
    """The file of a recipe: its name holds what it depends on."""
    base = folder()
    return None if base is None else base / f"{digest}-{FORMAT}-{_version()}{SUFFIX}"


def load(digest: str) -> Table | str | None:
    """The table on disk, why there is none, or None where nothing readable is there."""
    path = path_of(digest)
    if path is None:
        return None
    try:
        data = path.read_bytes()
        about, _ = unframed(data)
        return str(about["declined"]) if "declined" in about else Table.from_bytes(data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        with contextlib.suppress(OSError):
            path.unlink()
        return None


def save(digest: str, made: Table | str) -> None:
    """Keep a table, or why there is none, for other processes."""
    path = path_of(digest)
    if path is None:
        return
    data = framed({"declined": made}) if isinstance(made, str) else made.to_bytes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, data)
        _bound(path.parent)
    except OSError as error:
        _warn(path.parent, error.strerror or str(error))


def write(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there: it is there whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


@cache
def _warn(at: Path, why: str) -> None:
    warnings.warn(
        f"synthesized kernels cannot be kept in {at} ({why}): they are made again by every "
        f"process; set {VARIABLE} to another folder, or to off",
        RuntimeWarning,
        stacklevel=2,
    )


def _bound(base: Path) -> None:
    """Remove the files longest unused where the folder has grown too large."""
    entries = []
    for path in base.glob(f"*{SUFFIX}"):
        with contextlib.suppress(OSError):
            entries.append((path.stat().st_mtime, path.stat().st_size, path))
    total = sum(size for _, size, _ in entries)
    if total <= LARGEST:
        return
    for _, size, path in sorted(entries):
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size
        if total <= LARGEST * (1 - REMOVED_AT_ONCE):
            return
