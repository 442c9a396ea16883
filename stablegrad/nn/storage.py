"""Files of tensors in the safetensors format: nothing in them is ever run as code.

A file is written whole or not at all: beside its place first, and then moved there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors
import safetensors.numpy

from stablegrad.errors import DTypeError, StablegradError, message
from stablegrad.nn.module import Module
from stablegrad.tensor import Tensor

_DTYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16,
    "I64": np.int64, "I32": np.int32, "I16": np.int16, "I8": np.int8,
    "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip


class StorageError(StablegradError, OSError):
    """A file of tensors that cannot be read or written."""


def _arrays(state: Any) -> dict[str, np.ndarray[Any, Any]]:
    given = state.state_dict() if isinstance(state, Module) else state
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise DTypeError(
            message(
                f"{type(state).__name__} to save", "a module, or a mapping from names to arrays"
            )
        )
    known = {np.dtype(d) for d in _DTYPES.values()}
    found: dict[str, np.ndarray[Any, Any]] = {}
    for name, value in given.items():
        array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
        if array.dtype.newbyteorder("=") not in known:
            raise DTypeError(
                message(f"{name!r} of dtype {array.dtype}", f"one of {sorted(map(str, known))}")
            )
        # the format takes rows of bytes in the order of little-endian machines
        found[name] = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    return found


def save(state: Any, path: str | os.PathLike[str], metadata: dict[str, str] | None = None) -> None:
    """Write tensors to a file in the safetensors format, whole or not at all.

    Args:
        state: a module, whose parameters and buffers are written; or a mapping from names to
            tensors or arrays, such as a ``state_dict``.
        path: where to; a file that is there is replaced.
        metadata: texts by name that are kept beside the tensors.

    Raises:
        DTypeError: what is neither, or a dtype that the format does not have.
        StorageError: a folder that does not exist or cannot be written to.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
        >>> sg.nn.save(sg.nn.Linear(2, 1), path)
        >>> model = sg.nn.Linear(2, 1)
        >>> model.load_state_dict(sg.nn.load(path))
    """
    arrays = _arrays(state)
    content = safetensors.numpy.save(arrays, metadata)
    target = Path(path)
    try:
        _replace(target, content)
    except OSError as error:
        raise StorageError(
            message(
                f"no way to write {target}: {error.strerror}", "a folder that can be written to"
            )
        ) from error


def _replace(target: Path, content: bytes) -> None:
    """Write a file beside its place, then move it there."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        Path(name).chmod(mode)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """What files of this process are not allowed, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Read the tensors of a file in the safetensors format.

    Args:
        path: the file.

    Returns:
        Read-only arrays by name, as ``load_state_dict`` takes them.

    Raises:
        StorageError: a file that is not there or not in the format.
    """
    source = Path(path)
    try:
        content = source.read_bytes()
    except OSError as error:
        raise StorageError(
            message(f"no way to read {source}: {error.strerror}", "a file of tensors")
        ) from error
    try:
        entries = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise StorageError(
            message(
                f"{source}, of {len(content)} bytes: {error}",
                "a file in the safetensors format",
                "Files of NumPy or torch must be converted first.",
            )
        ) from error
    found: dict[str, np.ndarray[Any, Any]] = {}
    for name, entry in entries:
        if entry["dtype"] not in _DTYPES:
            raise StorageError(
                message(f"{name!r} of dtype {entry['dtype']} in {source}", f"one of {[*_DTYPES]}")
            )
        array = np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
        array.flags.writeable = False
        found[name] = array
    return found
