"""The vocabulary of the reader: JAX's primitives, by name, as terms.

A translation takes the argument terms and the parameters of an equation and returns a term for
each result, or None where the parameters ask for something that terms do not have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.ir import OPS, Term, make
from stablegrad.ops.record import CONST, const, is_const, is_float

Terms = tuple[Term, ...]
Params = dict[str, Any]
Translation = Callable[[Terms, Params], list[Term] | None]

TRANSLATIONS: dict[str, Translation] = {}

_SAME = (
    "exp exp2 expm1 log log1p sin cos tan sinh cosh tanh sqrt rsqrt cbrt square abs sign floor "
    "ceil erf erfc lgamma digamma"
).split()
_RENAMED = {
    "logistic": "sigmoid",
    "neg": "negative",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "erf_inv": "erfinv",
    "is_finite": "isfinite",
    "add": "add",
    "add_any": "add",
    "sub": "subtract",
    "mul": "multiply",
    "div": "divide",
    "max": "maximum",
    "min": "minimum",
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "log2": "log2",
    "bessel_i0e": "i0e",
    "bessel_i1e": "i1e",
    "igamma": "gammainc",
    "igammac": "gammaincc",
    "regularized_incomplete_beta": "betainc",
}
_FUNCTIONS = 8
"""Functions of a reduction that are looked through, to find its axes."""
_LOGICAL = {"and": "logical_and", "or": "logical_or", "xor": "logical_xor", "not": "logical_not"}
ELEMENTWISE = frozenset([*_SAME, *_RENAMED, "integer_pow", "pow", "convert_element_type", "copy"])
"""Operations on each element alone, their arguments all of one shape or scalars."""
_COMPARISONS = frozenset("eq ne lt le gt ge is_finite".split())
_INTEGER_INPUTS = _COMPARISONS | {"convert_element_type", "stop_gradient", "select_n"}


def translate(name: str, args: Terms, params: Params) -> list[Term] | None:
    """The results of an equation as terms, or None where it has to stay what it is."""
    rule = TRANSLATIONS.get(name)
    if rule is None or not all(_readable(a, name) for a in args):
        return None
    return rule(args, params)


def _readable(term: Term, name: str) -> bool:
    kind = term.dtype.kind
    if is_float(term.dtype):
        return term.dtype.itemsize in (2, 4, 8)
    if kind == "b":
        return True
    return kind in "iu" and name in _INTEGER_INPUTS


def _translation(name: str) -> Callable[[Translation], Translation]:
    def keep(rule: Translation) -> Translation:
        TRANSLATIONS[name] = rule
        return rule

    return keep


def _elementwise(ours: str) -> Translation:
    def rule(args: Terms, params: Params) -> list[Term] | None:
        out = params.get("out_dtype")
        if out is not None and np.dtype(out) != args[0].dtype:
            return None
        return [OPS[ours](*args)]

    return rule


def _logical(ours: str) -> Translation:
    def rule(args: Terms, params: Params) -> list[Term] | None:
        return [OPS[ours](*args)] if all(a.dtype.kind == "b" for a in args) else None

    return rule


for _name in _SAME:
    TRANSLATIONS[_name] = _elementwise(_name)
for _name, _ours in _RENAMED.items():
    TRANSLATIONS[_name] = _elementwise(_ours)
for _name, _ours in _LOGICAL.items():
    TRANSLATIONS[_name] = _logical(_ours)


@_translation("stop_gradient")
def _stop_gradient(args: Terms, params: Params) -> list[Term]:
    stop = OPS["stop_gradient"]
    return [args[0] if args[0].op is stop else stop(args[0])]


@_translation("copy")
@_translation("copy_p")
def _copy(args: Terms, params: Params) -> list[Term]:
    return [args[0]]


@_translation("integer_pow")
def _integer_pow(args: Terms, params: Params) -> list[Term]:
    return [args[0] ** int(params["y"])]


@_translation("pow")
def _pow(args: Terms, params: Params) -> list[Term] | None:
    x, y = args
    return [OPS["power"](x, y)] if x.dtype == y.dtype else None


@_translation("round")
def _round(args: Terms, params: Params) -> list[Term] | None:
    return [OPS["round"](args[0])] if int(params["rounding_method"]) == 1 else None


@_translation("clamp")
def _clamp(args: Terms, params: Params) -> list[Term]:
    low, x, high = args
    return [OPS["minimum"](OPS["maximum"](x, low), high)]


@_translation("select_n")
def _select_n(args: Terms, params: Params) -> list[Term] | None:
    which, *cases = args
    if all(c.dtype.kind == "b" for c in cases):
        if which.dtype.kind != "b":
            return None
        no, yes = cases
        both = OPS["logical_and"](which, yes)
        return [OPS["logical_or"](both, OPS["logical_and"](OPS["logical_not"](which), no))]
    if not all(is_float(c.dtype) for c in cases):
        return None
    chosen = cases[0]
    for i, case in enumerate(cases[1:], 1):
        chosen = OPS["where"](_is_number(which, i), case, chosen)
    return [chosen]


def _is_number(which: Term, i: int) -> Term:
    """Whether an index is a number other than 0; the index of two branches is a truth value."""
    truth = which.op.name == "astype" and which.args[0].dtype.kind == "b"
    if truth or which.dtype.kind == "b":
        return which.args[0] if truth else which
    return OPS["equal"](which, const(i, which.dtype))


@_translation("convert_element_type")
def _convert(args: Terms, params: Params) -> list[Term] | None:
    dtype = np.dtype(params["new_dtype"])
    x = args[0]
    if params.get("sharding") is not None:
        return None
    if dtype == x.dtype:
        return [x]
    if dtype.kind == "b":
        return [OPS["not_equal"](x, const(0, x.dtype))]
    known = is_float(dtype) or (x.dtype.kind == "b" and dtype.kind in "iu")
    return [OPS["astype"](x, dtype=dtype)] if known else None


# -- shapes -------------------------------------------------------------------------------


@_translation("broadcast_in_dim")
def _broadcast(args: Terms, params: Params) -> list[Term] | None:
    shape, places = params["shape"], params["broadcast_dimensions"]
    if len(args) != 1 or params.get("sharding") is not None:
        return None
    x = args[0]
    between = [1] * len(shape)
    for axis, place in enumerate(places):
        between[place] = x.shape[axis]
    kept = _kept(x, tuple(between)) or OPS["reshape"](x, shape=tuple(between))
    return [OPS["broadcast_to"](kept, shape=tuple(shape))]


def _kept(x: Term, shape: tuple[int, ...]) -> Term | None:
    """A function of a reduction with its axes kept, if that is what the shape is.

    Rules know it so: ``x - x.mean(0)`` is written with a mean that has lost its axis.
    """
    functions: list[Term] = []
    while x.op.elementwise and len(functions) < _FUNCTIONS:
        of = [a for a in x.args if a.op is not CONST or a.shape]
        if len(of) != 1 or of[0].shape != x.shape:
            return None
        functions.append(x)
        (x,) = of
    if x.op.name not in ("sum", "max", "min", "prod") or x.param("keepdims"):
        return None
    axis, whole = x.param("axis"), x.args[0]
    axes = range(whole.ndim) if axis is None else [a % whole.ndim for a in np.atleast_1d(axis)]
    if shape != tuple([1 if i in axes else n for i, n in enumerate(whole.shape)]):
        return None
    kept = OPS[x.op.name](whole, axis=axis, keepdims=True)
    for f in reversed(functions):
        args = tuple([a if a.op is CONST and not a.shape else kept for a in f.args])
        kept = make(f.op, args, f.params, shape, f.dtype)
    return kept


@_translation("reshape")
def _reshape(args: Terms, params: Params) -> list[Term] | None:
    if len(args) != 1 or params.get("dimensions") is not None or params.get("sharding") is not None:
        return None
    shape = tuple(params["new_sizes"])
    return [_kept(args[0], shape) or OPS["reshape"](args[0], shape=shape)]


@_translation("squeeze")
def _squeeze(args: Terms, params: Params) -> list[Term]:
    (x,), gone = args, params["dimensions"]
    if x.op.name == "getitem":  # x[0] is a slice that is squeezed
        given = [slice(*i[1:]) if isinstance(i, tuple) else i for i in x.params[0]]
        if len(given) == x.ndim and all(isinstance(i, slice) for i in given):
            index = tuple([i.start if axis in gone else i for axis, i in enumerate(given)])
            return [OPS["getitem"](x.args[0], index=index)]
    shape = tuple([n for i, n in enumerate(x.shape) if i not in gone])
    return [OPS["reshape"](x, shape=shape)]


@_translation("transpose")
def _transpose(args: Terms, params: Params) -> list[Term]:
    return [OPS["transpose"](args[0], axes=tuple(params["permutation"]))]


@_translation("concatenate")
def _concatenate(args: Terms, params: Params) -> list[Term]:
    return [OPS["concatenate"](*args, axis=params["dimension"])]


@_translation("rev")
def _rev(args: Terms, params: Params) -> list[Term]:
    return [OPS["flip"](args[0], axis=tuple(params["dimensions"]))]


@_translation("slice")
def _slice(args: Terms, params: Params) -> list[Term]:
    x = args[0]
    strides = params["strides"] or (1,) * x.ndim
    ends = zip(params["start_indices"], params["limit_indices"], strides, strict=True)
    return [OPS["getitem"](x, index=tuple([slice(a, b, c) for a, b, c in ends]))]


@_translation("split")
def _split(args: Terms, params: Params) -> list[Term]:
    x, axis = args[0], params["axis"]
    out, start = [], 0
    for size in params["sizes"]:
        index = (slice(None),) * axis + (slice(start, start + size),)
        out.append(OPS["getitem"](x, index=index))
        start += size
    return out


@_translation("stack")
def _stack(args: Terms, params: Params) -> list[Term]:
    axis, shape = params["axis"], args[0].shape
    between = (*shape[:axis], 1, *shape[axis:])
    rows = [OPS["reshape"](a, shape=between) for a in args]
    return [OPS["concatenate"](*rows, axis=axis)]


@_translation("unstack")
def _unstack(args: Terms, params: Params) -> list[Term]:
    x, axis = args[0], params["axis"]
    before = (slice(None),) * axis
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    rows = [OPS["getitem"](x, index=(*before, slice(i, i + 1))) for i in range(x.shape[axis])]
    return [OPS["reshape"](row, shape=shape) for row in rows]


@_translation("tile")
def _tile(args: Terms, params: Params) -> list[Term]:
    x, reps = args[0], params["reps"]
    between = [n for size in x.shape for n in (1, size)]
    wide = [n for rep, size in zip(reps, x.shape, strict=True) for n in (rep, size)]
    whole = tuple([rep * size for rep, size in zip(reps, x.shape, strict=True)])
    spread = OPS["broadcast_to"](OPS["reshape"](x, shape=tuple(between)), shape=tuple(wide))
    return [OPS["reshape"](spread, shape=whole)]


@_translation("pad")
def _pad(args: Terms, params: Params) -> list[Term] | None:
    x, value = args
    widths = params["padding_config"]
    if not is_const(value, 0) or any(lo < 0 or hi < 0 or mid for lo, hi, mid in widths):
        return None
    return [OPS["pad"](x, widths=tuple([(lo, hi) for lo, hi, _ in widths]))]


# -- reductions ---------------------------------------------------------------------------


def _reduction(ours: str, *, truth: bool = False) -> Translation:
    def rule(args: Terms, params: Params) -> list[Term] | None:
        if (args[0].dtype.kind == "b") != truth or params.get("out_sharding") is not None:
            return None
        axes = tuple(params["axes"])
        return [OPS[ours](args[0], axis=axes)] if axes else [args[0]]

    return rule


for _name, _ours in (("sum", "sum"), ("max", "max"), ("min", "min"), ("prod", "prod")):
    TRANSLATIONS[f"reduce_{_name}"] = _reduction(_ours)
for _name, _ours in (("and", "all"), ("or", "any")):
    TRANSLATIONS[f"reduce_{_name}"] = _reduction(_ours, truth=True)


@_translation("dot_general")
def _dot_of_vectors(args: Terms, params: Params) -> list[Term] | None:
    """Products of vectors, one or several, which XLA sums as it does any; not of matrices."""
    x, y = args
    contracted, together = params["dimension_numbers"]
    places = [(*b, *c) for b, c in zip(together, contracted, strict=True)]
    wanted = (params.get("preferred_element_type"), x.dtype, y.dtype)
    if any(w not in (None, x.dtype) for w in wanted) or x.dtype.itemsize < np.float32().itemsize:
        return None
    if params.get("precision") is not None or params.get("out_sharding") is not None:
        return None
    if any(len(p) != a.ndim for p, a in zip(places, args, strict=True)):
        return None
    x, y = [
        a if p == tuple(range(a.ndim)) else OPS["transpose"](a, axes=p)
        for p, a in zip(places, args, strict=True)
    ]
    return [OPS["sum"](x * y, axis=tuple(range(len(together[0]), x.ndim)))]


@_translation("cumsum")
def _cumsum(args: Terms, params: Params) -> list[Term]:
    x, axis = args[0], params["axis"]
    if not params["reverse"]:
        return [OPS["cumsum"](x, axis=axis)]
    flipped = OPS["cumsum"](OPS["flip"](x, axis=(axis,)), axis=axis)
    return [OPS["flip"](flipped, axis=(axis,))]
