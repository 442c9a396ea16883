"""Functions and inputs from files, for the command line; every fault in one clear sentence."""

from __future__ import annotations

import csv
import functools
import importlib.util
import inspect
import sys
import traceback
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from stablegrad.errors import StablegradError
from stablegrad.expressions import Expression

Array = np.ndarray[Any, Any]
PACKAGE = str(Path(__file__).resolve().parent.parent)


class CallError(StablegradError):
    """The call is wrong: a file, a function or inputs that are not there or do not fit."""


class UserCodeError(CallError):
    """The user's own code raised; the message is his exception with his file and line."""


# -- the user's code ------------------------------------------------------------------------


def told(error: BaseException) -> str:
    """An exception of the user's code: his file and line, and what it says."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: SyntaxError: {error.msg}"
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    inside = [f for f in traceback.extract_tb(error.__traceback__) if _is_users(f.filename)]
    if not inside or isinstance(error, StablegradError):
        return str(error) if isinstance(error, StablegradError) else text
    own = [f for f in inside if "site-packages" not in f.filename]
    last = (own or inside)[-1]  # not the line of a library that he calls
    return f"{last.filename}:{last.lineno}: in {last.name}: {text}"


def _is_users(file: str) -> bool:
    return not file.startswith((PACKAGE, "<frozen", str(Path(importlib.util.__file__).parent)))


def guarded(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whatever it raises told as its own fault."""
    if isinstance(f, Expression):
        return f

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return f(*args, **kwargs)
        except (Exception, SystemExit) as error:
            raise UserCodeError(told(error)) from error

    return call


def load_module(file: str) -> ModuleType:
    """Run a Python file as a module, its folder on the path as when it is run by itself."""
    path = Path(file)
    if not path.exists():
        raise CallError(f"no file {file}")
    if path.is_dir() or path.suffix != ".py":
        raise CallError(f"{file} is no Python file; expected FILE.py:FUNCTION")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserCodeError(f"{file} cannot be imported: {told(error)}") from error
    return module


def load_object(target: str) -> tuple[Any, ModuleType, str]:
    """What "FILE.py:NAME" means, the module that holds it, and the name."""
    file, colon, name = target.rpartition(":")
    if not colon or not file or not name.isidentifier():
        raise CallError(f"{target!r} is no FILE.py:FUNCTION; try model.py:loss")
    module = load_module(file)
    if not hasattr(module, name):
        known = [
            n
            for n, v in vars(module).items()
            if callable(v)
            and not n.startswith("_")
            and getattr(v, "__module__", "") == module.__name__
        ]
        there = f"it has {', '.join(known)}" if known else "it has no functions"
        raise CallError(f"no {name} in {file}; {there}")
    found = getattr(module, name)
    if not callable(found):
        raise CallError(f"{name} in {file} is a {type(found).__name__}; expected a function")
    return found, module, name


# -- inputs ---------------------------------------------------------------------------------


def load_npz(file: str) -> dict[str, Array]:
    """The arrays of an .npz file, nothing in it run."""
    path = Path(file)
    if not path.is_file():
        raise CallError(f"no file {file}")
    arrays: dict[str, Array] = {}
    try:
        with path.open("rb") as stream:
            data: Any = np.load(stream, allow_pickle=False)
            if isinstance(data, np.ndarray):
                raise CallError(f"{file} holds one array without a name; expected an .npz file")
            for name in data:
                arrays[name] = data[name]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if "pickle" in str(error).lower():
            raise CallError(
                f"{file} holds objects, or is no .npz file; expected arrays of numbers"
            ) from None
        raise CallError(f"{file} is no .npz file: {error}") from None
    for name, value in arrays.items():
        if value.dtype.kind not in "fiub":
            raise CallError(f"{name} in {file} has dtype {value.dtype}; expected real numbers")
    return arrays


def load_csv(file: str, dtype: Any) -> dict[str, Array]:
    """The columns of a CSV file whose first line names them.

    Raises:
        CallError: no header; a row of another length; a cell that is no number, with its line.
    """
    path = Path(file)
    if not path.is_file():
        raise CallError(f"no file {file}")
    try:
        with path.open(newline="", encoding="utf8") as stream:
            rows = [(i, row) for i, row in enumerate(csv.reader(stream), 1) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise CallError(f"{file} is no CSV file: {error}") from None
    if not rows:
        raise CallError(f"{file} is empty; expected a line of names, then lines of numbers")
    names = [name.strip() for name in rows[0][1]]
    if not all(name.isidentifier() for name in names) or len(set(names)) < len(names):
        raise CallError(f"{file}:1: {','.join(names)!r}; expected the names of the parameters")
    columns: list[list[float]] = [[] for _ in names]
    for number, row in rows[1:]:
        if len(row) != len(names):
            raise CallError(f"{file}:{number}: {len(row)} cells; expected {len(names)}")
        for name, cell, column in zip(names, row, columns, strict=True):
            try:
                column.append(float(cell))
            except ValueError:
                raise CallError(f"{file}:{number}: {name} is {cell!r}; expected a number") from None
    return {n: np.array(c).astype(dtype) for n, c in zip(names, columns, strict=True)}


def load_parquet(file: str, dtype: Any) -> dict[str, Array]:
    """The columns of a Parquet file, read by pyarrow.

    Raises:
        CallError: pyarrow is not installed; no such file; a column without real numbers.
    """
    if not Path(file).is_file():
        raise CallError(f"no file {file}")
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise CallError(f"{file}: Parquet needs pyarrow; install it, or save as .npz") from None
    try:
        table = parquet.read_table(file)
    except (OSError, ValueError) as error:
        raise CallError(f"{file} is no Parquet file: {error}") from None
    arrays: dict[str, Array] = {}
    for name in table.column_names:
        value = table.column(name).to_numpy()
        if value.dtype.kind not in "fiub":
            raise CallError(f"{name} in {file} has dtype {value.dtype}; expected real numbers")
        arrays[name] = value.astype(dtype)
    return arrays


def load_inputs(file: str, dtype: Any) -> dict[str, Array]:
    """Arrays by name from a file: .csv, .parquet, or else NumPy's .npz.

    Args:
        file: the path.
        dtype: of the numbers of text and of columns; an .npz file says its own.
    """
    match Path(file).suffix.lower():
        case ".csv":
            return load_csv(file, dtype)
        case ".parquet" | ".pq":
            return load_parquet(file, dtype)
        case _:
            return load_npz(file)


def inputs_of(module: ModuleType, name: str) -> Any:
    """What FUNCTION_inputs() in the same file returns."""
    maker = getattr(module, f"{name}_inputs", None)
    if maker is None:
        raise CallError(
            f"no inputs for {name}: write {name}_inputs() beside it, which returns its arguments, "
            "or give --inputs FILE.npz or --domain x=LO:HI"
        )
    if not callable(maker):
        raise CallError(f"{name}_inputs is a {type(maker).__name__}; expected a function")
    return guarded(maker)()


def as_arguments(
    f: Callable[..., Any], given: Any, origin: str, *, by_name: bool = False
) -> list[Any]:
    """Positional arguments from a tuple, a list, arrays by name, or a single argument.

    Args:
        f: the function that takes them.
        given: the arguments.
        origin: where they come from, for messages.
        by_name: whether a mapping holds arguments by name in any case; else it may also be
            the single argument itself.
    """
    if not isinstance(given, Mapping):
        return list(given) if isinstance(given, tuple | list) else [given]
    parameters = inspect.signature(f).parameters
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [n for n, p in parameters.items() if p.kind in kinds]
    unknown = [str(n) for n in given if n not in names]
    if not by_name and len(names) == 1 and len(unknown) == len(given):
        return [given]  # one parameter, and this is its value
    missing = [
        n for n in names if n not in given and parameters[n].default is inspect.Parameter.empty
    ]
    if unknown or missing:
        fault = f"no {missing[0]}" if missing else f"{unknown[0]}, which is no parameter"
        raise CallError(f"{origin} has {fault}; expected {', '.join(names) or 'nothing'}")
    last = max((i for i, n in enumerate(names) if n in given), default=-1)
    return [given.get(n, parameters[n].default) for n in names[: last + 1]]


def check_count(f: Callable[..., Any], args: list[Any]) -> None:
    """Refuse a number of arguments that the function does not take."""
    try:
        inspect.signature(f).bind(*args)
    except TypeError as error:
        name = getattr(f, "__name__", "the function")
        raise CallError(f"{len(args)} inputs for {name}: {error}") from None
