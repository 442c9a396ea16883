"""Tables in memory, those shipped, and on disk, each made once.

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

from stablegrad.synthesis import shipped
from stablegrad.synthesis.build import Builder, DeclinedError
from stablegrad.synthesis.recipe import Recipe
from stablegrad.synthesis.table import FORMAT, Table, framed, unframed

VARIABLE = "STABLEGRAD_CACHE"
LARGEST = 64 * 2**20
"""Bytes of the folder beyond which the files longest unused are removed."""
REMOVED_AT_ONCE = 0.25
SUFFIX = ".kernel"

_tables: dict[Recipe, Table | str] = {}
_lock = threading.Lock()


def table_of(recipe: Recipe) -> Table:
    """The table of a recipe: from memory, from disk, or made now.

    Raises:
        DeclinedError: none can be made; the text says why.
    """
    known = _tables.get(recipe)
    if known is None:
        with _lock:
            known = _tables.get(recipe)
            if known is None:
                known = _tables[recipe] = _found(recipe)
    if isinstance(known, str):
        raise DeclinedError(known)
    return known


def _found(recipe: Recipe) -> Table | str:
    saved = shipped.table_with(recipe.digest) or load(recipe.digest)
    if saved is not None:
        return saved
    try:
        made: Table | str = Builder(recipe).build()
    except DeclinedError as error:
        made = str(error)
    save(recipe.digest, made)
    return made


def known() -> list[Recipe]:
    """The recipes whose tables were asked for."""
    return list(_tables)


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
