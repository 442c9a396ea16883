"""Floating-point dtypes: NumPy's float16, float32, float64, and bfloat16 of ml_dtypes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]
DType = np.dtype[Any]

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOAT16 = np.dtype(np.float16)
_HALVES = (FLOAT16, BFLOAT16)


def is_float(dtype: DType) -> bool:
    """Whether a dtype is a floating-point one, bfloat16 included."""
    return dtype.kind in "fV"  # ml_dtypes' bfloat16 has kind "V"


def is_half(dtype: DType) -> bool:
    """Whether a dtype is one of the two of 16 bits."""
    return dtype.itemsize == 2 and dtype in _HALVES


def common_dtype(*dtypes: DType) -> DType:
    """The dtype that arrays of these are promoted to.

    NumPy's rules. For bfloat16, which NumPy leaves open beside float16 and integers of more than
    8 bits: float32 with float16, and with integers what float16 becomes.

    Example:
        >>> common_dtype(np.dtype("float16"), BFLOAT16)
        dtype('float32')
        >>> common_dtype(np.dtype("int64"), BFLOAT16), common_dtype(np.dtype("int8"), BFLOAT16)
        (dtype('float64'), dtype(bfloat16))
    """
    if BFLOAT16 not in dtypes:
        return np.result_type(*dtypes)
    others = [d for d in dtypes if d != BFLOAT16]
    if not others:
        return BFLOAT16
    other = np.result_type(*others)
    if other == FLOAT16:
        return np.dtype(np.float32)
    common = np.result_type(other, FLOAT16)
    return BFLOAT16 if common == FLOAT16 else common


def float_result(dtype: DType) -> DType:
    """The dtype in which a real function of ``dtype`` is computed, as NumPy promotes."""
    if is_float(dtype):
        return dtype
    small = {1: np.float16, 2: np.float32}.get(dtype.itemsize, np.float64)
    return np.dtype(small)


def narrow(xp: Any, *arrays: Any) -> bool:
    """Whether NumPy's arrays are float32, and no single numbers: float64 has bits to spare."""
    return xp.name == "numpy" and all(a.dtype == np.float32 and a.ndim for a in arrays)


def real_dtype(dtype: DType) -> DType:
    """Integers become float64, as in NumPy's statistics."""
    return dtype if is_float(dtype) else np.dtype(np.float64)


def total_dtype(dtype: DType) -> DType:
    """The dtype of sums and products: integers widen to the widest, as in NumPy."""
    return np.sum(np.zeros(1, dtype)).dtype if dtype.kind in "biu" else dtype


def converted(array: Array, dtype: DType, *, copy: bool = True) -> Array:
    """An array in another dtype, rounded once.

    ml_dtypes rounds float64 to float32 on the way to bfloat16: what float32 makes a midpoint of
    two bfloat16s goes to the wrong side.
    """
    if dtype != BFLOAT16 or array.dtype.kind in "bV" or array.dtype.itemsize <= 2:
        return array.astype(dtype, copy=copy)
    with np.errstate(all="ignore"):
        narrow = np.array(array, np.float32)  # contiguous
        midpoint = (narrow.view(np.uint32) & 0xFFFF) == 0x8000
        if narrow.dtype != array.dtype and midpoint.any():
            wide = array.astype(np.float64)
            toward = np.where(wide > narrow, np.float32(np.inf), np.float32(-np.inf))
            moved = np.nextafter(narrow, toward)
            narrow = np.where(midpoint & (wide != narrow), moved, narrow)
        return narrow.astype(dtype)
