"""NumPy's names for tensors: the same arguments, the same shapes and dtypes.

Functions take tensors, arrays and numbers, and give tensors. ``np.exp(tensor)`` and its kind
come here too.
"""

from __future__ import annotations

import sys
from typing import Any

import ml_dtypes
import numpy as np

from stablegrad.numpy import linalg
from stablegrad.numpy.creation import (
    arange,
    array,
    asarray,
    empty,
    eye,
    full,
    full_like,
    identity,
    linspace,
    logspace,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from stablegrad.numpy.elementwise import ELEMENTWISE, functions
from stablegrad.numpy.joining import (
    array_split,
    atleast_1d,
    broadcast_arrays,
    column_stack,
    concatenate,
    hstack,
    split,
    stack,
    vstack,
)
from stablegrad.numpy.matrices import kron
from stablegrad.numpy.ordering import (
    argsort,
    cumlogsumexp,
    cummax,
    cummin,
    median,
    nan_to_num,
    nanmax,
    nanmean,
    nanmin,
    nanprod,
    nansum,
    percentile,
    quantile,
    searchsorted,
    sort,
    topk,
)
from stablegrad.numpy.products import (
    cross,
    dot,
    einsum,
    inner,
    matmul,
    outer,
    tensordot,
    trace,
    vdot,
)
from stablegrad.numpy.reductions import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    average,
    count_nonzero,
    cumprod,
    cumsum,
    max,
    mean,
    min,
    prod,
    ptp,
    std,
    sum,
    var,
)
from stablegrad.numpy.shaping import (
    astype,
    broadcast_to,
    clip,
    diag,
    diagonal,
    diff,
    expand_dims,
    flip,
    moveaxis,
    pad,
    permute_dims,
    ravel,
    repeat,
    reshape,
    roll,
    round,
    size,
    squeeze,
    swapaxes,
    take,
    take_along_axis,
    tile,
    transpose,
    tril,
    triu,
    where,
)
from stablegrad.ops.trigonometric import deg2rad, rad2deg
from stablegrad.tensor.protocols import FUNCTIONS, set_namespace

e, inf, nan, newaxis, pi = np.e, np.inf, np.nan, np.newaxis, np.pi
bool_, bfloat16, float16 = np.bool_, ml_dtypes.bfloat16, np.float16
float32, float64 = np.float32, np.float64
int8, int16, int32, int64 = np.int8, np.int16, np.int32, np.int64
uint8, uint16, uint32, uint64 = np.uint8, np.uint16, np.uint32, np.uint64
concat, degrees, radians = concatenate, rad2deg, deg2rad
matrix_transpose = linalg.matrix_transpose

globals().update(functions())

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "array",
    "array_split",
    "asarray",
    "astype",
    "atleast_1d",
    "average",
    "bfloat16",
    "bool_",
    "broadcast_arrays",
    "broadcast_to",
    "clip",
    "column_stack",
    "concat",
    "concatenate",
    "count_nonzero",
    "cross",
    "cumlogsumexp",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "deg2rad",
    "degrees",
    "diag",
    "diagonal",
    "diff",
    "dot",
    "e",
    "einsum",
    "empty",
    "expand_dims",
    "eye",
    "flip",
    "float16",
    "float32",
    "float64",
    "full",
    "full_like",
    "hstack",
    "identity",
    "inf",
    "inner",
    "int8",
    "int16",
    "int32",
    "int64",
    "kron",
    "linalg",
    "linspace",
    "logspace",
    "matmul",
    "matrix_transpose",
    "max",
    "mean",
    "median",
    "min",
    "moveaxis",
    "nan",
    "nan_to_num",
    "nanmax",
    "nanmean",
    "nanmin",
    "nanprod",
    "nansum",
    "newaxis",
    "ones",
    "ones_like",
    "outer",
    "pad",
    "percentile",
    "permute_dims",
    "pi",
    "prod",
    "ptp",
    "quantile",
    "rad2deg",
    "radians",
    "ravel",
    "repeat",
    "reshape",
    "roll",
    "round",
    "searchsorted",
    "size",
    "sort",
    "split",
    "squeeze",
    "stack",
    "std",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tensordot",
    "tile",
    "topk",
    "trace",
    "transpose",
    "tril",
    "triu",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "var",
    "vdot",
    "vstack",
    "where",
    "zeros",
    "zeros_like",
]  # fmt: skip
__all__ += list(ELEMENTWISE)  # pyright: ignore[reportUnsupportedDunderAll]

for _name in __all__:
    _theirs = getattr(np, _name, None)
    if callable(_theirs) and not isinstance(_theirs, type):
        FUNCTIONS[_theirs] = globals()[_name]
for _name in linalg.__all__:
    _theirs = getattr(np.linalg, _name, None)
    if _theirs is not None:  # names of scipy.linalg stand among them
        FUNCTIONS[_theirs] = getattr(linalg, _name)
set_namespace(sys.modules[__name__])


def __getattr__(name: str) -> Any:
    """Say what to do about a name of NumPy's that is not here."""
    hint = ""
    if callable(getattr(np, name, None)):
        hint = f"; np.{name}(np.asarray(t)) gives the value, without gradients"
    raise AttributeError(f"stablegrad.numpy has no {name!r}{hint}")
