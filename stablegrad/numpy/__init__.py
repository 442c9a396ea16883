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
from stablegrad.numpy.calculus import (
    convolve,
    correlate,
    ediff1d,
    gradient,
    interp,
    polyval,
    trapezoid,
    unwrap,
    vander,
)
from stablegrad.numpy.choosing import (
    allclose,
    apply_along_axis,
    argwhere,
    array_equal,
    array_equiv,
    choose,
    compress,
    delete,
    extract,
    flatnonzero,
    insert,
    isclose,
    isneginf,
    isposinf,
    nonzero,
    piecewise,
    select,
)
from stablegrad.numpy.creation import (
    arange,
    array,
    asarray,
    bartlett,
    blackman,
    diag_indices,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    geomspace,
    hamming,
    hanning,
    identity,
    indices,
    kaiser,
    linspace,
    logspace,
    ones,
    ones_like,
    tri,
    tril_indices,
    triu_indices,
    zeros,
    zeros_like,
)
from stablegrad.numpy.elementwise import ELEMENTWISE, functions
from stablegrad.numpy.joining import (
    append,
    array_split,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    block,
    broadcast_arrays,
    column_stack,
    concatenate,
    dsplit,
    dstack,
    hsplit,
    hstack,
    meshgrid,
    split,
    stack,
    unstack,
    vsplit,
    vstack,
)
from stablegrad.numpy.matrices import kron
from stablegrad.numpy.numbers import (
    angle,
    conj,
    conjugate,
    divmod,
    float_power,
    i0,
    imag,
    isreal,
    ldexp,
    modf,
    ndim,
    real,
    result_type,
    shape,
)
from stablegrad.numpy.ordering import (
    argsort,
    cumlogsumexp,
    cummax,
    cummin,
    median,
    nan_to_num,
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
    matvec,
    outer,
    tensordot,
    trace,
    vdot,
    vecdot,
    vecmat,
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
    cumulative_prod,
    cumulative_sum,
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
    diagflat,
    diagonal,
    diff,
    expand_dims,
    flip,
    fliplr,
    flipud,
    moveaxis,
    pad,
    permute_dims,
    ravel,
    repeat,
    reshape,
    resize,
    roll,
    rot90,
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
from stablegrad.numpy.statistics import (
    corrcoef,
    cov,
    nanargmax,
    nanargmin,
    nancumprod,
    nancumsum,
    nanmax,
    nanmean,
    nanmedian,
    nanmin,
    nanpercentile,
    nanprod,
    nanquantile,
    nanstd,
    nansum,
    nanvar,
)
from stablegrad.ops.trigonometric import deg2rad, rad2deg
from stablegrad.tensor.protocols import FUNCTIONS, set_namespace

e, inf, nan, newaxis, pi = np.e, np.inf, np.nan, np.newaxis, np.pi
bool_, bfloat16, float16 = np.bool_, ml_dtypes.bfloat16, np.float16
float32, float64 = np.float32, np.float64
int8, int16, int32, int64 = np.int8, np.int16, np.int32, np.int64
finfo, iinfo = ml_dtypes.finfo, ml_dtypes.iinfo
uint8, uint16, uint32, uint64 = np.uint8, np.uint16, np.uint32, np.uint64
around, concat, degrees, radians = round, concatenate, rad2deg, deg2rad
logcumsumexp = cumlogsumexp  # torch's name
matrix_transpose = linalg.matrix_transpose

globals().update(functions())

__all__ = [
    "all", "allclose", "amax", "amin", "angle", "any", "append", "apply_along_axis",
    "arange", "argmax", "argmin", "argsort", "argwhere", "around", "array", "array_equal",
    "array_equiv", "array_split", "asarray", "astype", "atleast_1d", "atleast_2d",
    "atleast_3d", "average", "bartlett", "bfloat16", "blackman", "block", "bool_",
    "broadcast_arrays", "broadcast_to", "choose", "clip", "column_stack", "compress",
    "concat", "concatenate", "conj", "conjugate", "convolve", "corrcoef", "correlate",
    "count_nonzero", "cov", "cross", "cumlogsumexp", "cummax", "cummin", "cumprod",
    "cumsum", "cumulative_prod", "cumulative_sum", "deg2rad", "degrees", "delete", "diag",
    "diag_indices", "diagflat", "diagonal", "diff", "divmod", "dot", "dsplit", "dstack",
    "e", "ediff1d", "einsum", "empty", "empty_like", "expand_dims", "extract", "eye",
    "finfo", "flatnonzero", "flip", "fliplr", "flipud", "float16", "float32", "float64",
    "float_power", "full", "full_like", "geomspace", "gradient", "hamming", "hanning",
    "hsplit", "hstack", "i0", "identity", "iinfo", "imag", "indices", "inf", "inner",
    "insert", "int8", "int16", "int32", "int64", "interp", "isclose", "isneginf",
    "isposinf", "isreal", "kaiser", "kron", "ldexp", "linalg", "linspace", "logcumsumexp",
    "logspace", "matmul", "matrix_transpose", "matvec", "max", "mean", "median", "meshgrid",
    "min", "modf", "moveaxis", "nan", "nan_to_num", "nanargmax", "nanargmin", "nancumprod",
    "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile", "nanprod",
    "nanquantile", "nanstd", "nansum", "nanvar", "ndim", "newaxis", "nonzero", "ones",
    "ones_like", "outer", "pad", "percentile", "permute_dims", "pi", "piecewise", "polyval",
    "prod", "ptp", "quantile", "rad2deg", "radians", "ravel", "real", "repeat", "reshape",
    "resize", "result_type", "roll", "rot90", "round", "searchsorted", "select", "shape",
    "size", "sort", "split", "squeeze", "stack", "std", "sum", "swapaxes", "take",
    "take_along_axis", "tensordot", "tile", "topk", "trace", "transpose", "trapezoid",
    "tri", "tril", "tril_indices", "triu", "triu_indices", "uint8", "uint16", "uint32",
    "uint64", "unstack", "unwrap", "vander", "var", "vdot", "vecdot", "vecmat", "vsplit",
    "vstack", "where", "zeros", "zeros_like",
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
