"""Expressions given as text: the one parser, on ``ast``, that knows what it lets through.

Nothing here runs text as code. The tree is walked, and every node that is not listed is
refused with the reason. Names are either variables or functions of the library, found in
``stablegrad.numpy``, ``.numpy.linalg``, ``.special``, ``.nn.functional`` and the ops, in this
order.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from stablegrad.errors import StablegradError, UnknownNameError
from stablegrad.ir import OPS
from stablegrad.tensor import Tensor, as_tensor

LONGEST_TEXT = 10_000
DEEPEST_TREE = 200
LARGEST_POWER = 64  # of two whole numbers written out: more is a way to fill the memory

MODULES = ("numpy", "numpy.linalg", "special", "nn.functional")
PREFIXES = {"np", "numpy", "sg", "special", "linalg", "ops", "nn", "functional"}
NO_FUNCTIONS = {"leaf", "derivative", "forms", "lowered"}
"""Families of ops that are the library's own and no vocabulary of users."""

EXTRA = frozenset(
    """
    expit log_expit logit gammaln psi lgamma digamma ndtri betaln gammainc gammaincc betainc
    i0 i0e i1 i1e xlogy xlog1py entr rel_entr kl_div logdiffexp log1pmx exprel cosm1 sinhc log_i0
    logsumexp softmax log_softmax logsigmoid softplus silu gelu elu selu mish relu leaky_relu
    hardswish softsign tanhshrink norm det slogdet inv solve cholesky svd eigh qr trace diag
    sum mean prod max min amax amin var std cumsum cumprod ptp median dot vdot inner outer matmul
    transpose reshape ravel squeeze expand_dims concatenate stack swapaxes moveaxis flip roll take
    sort acos acosh asin asinh atan atan2 atanh pow rsqrt reciprocal square cbrt absolute fabs
    deg2rad rad2deg radians degrees positive negative sign heaviside logaddexp2 nan_to_num
    """.split()
)
CONSTANTS = {"pi": math.pi, "inf": math.inf, "nan": math.nan, "True": True, "False": False}
"""Names that are numbers unless they are given a value; ``np.e`` is one as well."""
OTHER_NAMES = {"lgamma": "gammaln", "digamma": "psi", "log_sigmoid": "log_expit"}

_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.MatMult: operator.matmul,
}
_UNARY: dict[type[ast.AST], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_COMPARE: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_HINTS: dict[type[ast.AST], str] = {
    ast.IfExp: "write where(condition, a, b)",
    ast.BoolOp: "write logical_and(a, b) or logical_or(a, b)",
    ast.Not: "write logical_not(a)",
    ast.BitXor: "write a**b for a power",
    ast.NamedExpr: "write the expression out",
}


class ExpressionError(StablegradError, ValueError):
    """A text that is no expression, or holds something that expressions may not."""


@dataclass(frozen=True)
class Expression:
    """An expression read from text: a function of its variables.

    Attributes:
        text: what was read.
        names: its variables, in the order in which they first stand in the text.

    Example:
        >>> from stablegrad.expressions import parse
        >>> f = parse("2*x + y")
        >>> f.names
        ('x', 'y')
        >>> f(3.0, y=1.0)
        7.0
    """

    text: str
    names: tuple[str, ...]
    _body: ast.expr = field(repr=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The value of the expression, its variables by position or by name."""
        bound = self.__signature__.bind(*args, **kwargs)
        return self.walk(bound.arguments)

    @property
    def __name__(self) -> str:
        return self.text

    @property
    def __signature__(self) -> inspect.Signature:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Signature([inspect.Parameter(name, kind) for name in self.names])

    def walk(
        self, values: Mapping[str, Any], seen: Callable[[str, Any], None] | None = None
    ) -> Any:
        """The value of the expression; ``seen`` is told the text and value of every part."""
        return _Walker(self.text, seen).value(self._body, dict(values))


def parse(text: str) -> Expression:
    """Read an expression.

    Args:
        text: Python's arithmetic with ``** @``, comparisons, calls of the library's functions
            (``log(x)`` or ``np.log(x)``), indexing, lists and tuples, and lambdas that are
            called at once.

    Returns:
        The expression, a callable of its variables.

    Raises:
        ExpressionError: the text is no expression, is too long or deep, or holds anything else.
        UnknownNameError: a function that the library does not have.

    Example:
        >>> from stablegrad.expressions import parse
        >>> parse("__import__('os')")
        Traceback (most recent call last):
        stablegrad.errors.UnknownNameError: expression "__import__('os')": no function is named \
'__import__'; ...
    """
    text = text.strip()
    if not text:
        raise ExpressionError("the expression is empty; try 'log(1 - sigmoid(x))'")
    if len(text) > LONGEST_TEXT:
        raise ExpressionError(
            f"the expression has {len(text)} characters; expected at most {LONGEST_TEXT}"
        )
    try:
        body = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        where = f" at column {error.offset}" if error.offset else ""
        raise ExpressionError(f"expression {_short(text)!r}: {error.msg}{where}") from None
    except (ValueError, RecursionError, MemoryError):
        raise ExpressionError(f"expression {_short(text)!r} cannot be read") from None
    names: dict[str, None] = {}
    _check(body, text, names)
    return Expression(text, tuple(names), body)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse(node: ast.AST, text: str, what: str, hint: str = "") -> ExpressionError:
    column = getattr(node, "col_offset", 0) + 1
    tail = f"; {hint}" if hint else ""
    return ExpressionError(f"expression {_short(text)!r}: {what} at column {column}{tail}")


# -- what is let through ------------------------------------------------------------------


def _check(body: ast.expr, text: str, names: dict[str, None]) -> None:
    """Refuse every node that is not listed, and collect the variables; without recursion."""
    stack: list[tuple[ast.AST, int, frozenset[str]]] = [(body, 0, frozenset())]
    while stack:
        node, depth, local = stack.pop()
        if depth > DEEPEST_TREE:
            raise ExpressionError(
                f"expression {_short(text)!r} nests more than {DEEPEST_TREE} levels deep"
            )
        children: list[ast.AST] = []
        match node:
            case ast.Constant(value=bool() | int() | float() | None):
                pass
            case ast.Name(id=name):
                if name not in local and name not in CONSTANTS:
                    names.setdefault(name)
            case ast.BinOp(left=left, op=op, right=right):
                _listed(op, _BINARY, node, text)
                children = [left, right]
            case ast.UnaryOp(op=op, operand=operand):
                _listed(op, _UNARY, node, text)
                children = [operand]
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                _listed(op, _COMPARE, node, text)
                children = [left, right]
            case ast.Compare():
                raise _refuse(
                    node, text, "a chain of comparisons", "write logical_and(a < b, b < c)"
                )
            case ast.Call(func=ast.Lambda() as function, args=args, keywords=[]):
                _check_lambda(function, args, node, text)
                parameters = {a.arg for a in function.args.args}
                stack.append((function.body, depth + 1, local | parameters))
                children = list(args)
            case ast.Call(func=function, args=args, keywords=keywords):
                function_named(_function_name(function, text), text)
                if any(k.arg is None for k in keywords) or any(
                    isinstance(a, ast.Starred) for a in args
                ):
                    raise _refuse(node, text, "* or ** in a call")
                children = [*args, *[k.value for k in keywords]]
            case ast.Attribute():
                if _constant(node) is None:
                    raise _refuse(node, text, f"the attribute .{node.attr}")
            case ast.Subscript(value=value, slice=index):
                children = [value, index]
            case ast.Slice(lower=lower, upper=upper, step=step):
                children = [part for part in (lower, upper, step) if part is not None]
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                children = list(elements)
            case _:
                what = "a text" if isinstance(node, ast.Constant) else type(node).__name__
                raise _refuse(node, text, what, _HINTS.get(type(node), "it is not allowed here"))
        stack.extend((child, depth + 1, local) for child in reversed(children))


def _listed(op: ast.AST, table: Mapping[type[ast.AST], Any], node: ast.AST, text: str) -> None:
    if type(op) not in table:
        hint = _HINTS.get(type(op), "it is not allowed here")
        raise _refuse(node, text, f"the operator {type(op).__name__}", hint)


def _check_lambda(function: ast.Lambda, args: list[ast.expr], node: ast.AST, text: str) -> None:
    a = function.args
    plain = not (a.posonlyargs or a.kwonlyargs or a.vararg or a.kwarg or a.defaults)
    if not plain or len(a.args) != len(args):
        raise _refuse(node, text, "a lambda whose arguments are not plain and all given")


def _dotted(node: ast.AST) -> list[str] | None:
    """["np", "linalg", "norm"] for np.linalg.norm, or None."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else None


def _constant(node: ast.Attribute) -> float | None:
    dotted = _dotted(node)
    if dotted is None or len(dotted) != 2 or dotted[0] not in PREFIXES:
        return None
    return {**CONSTANTS, "e": math.e}.get(dotted[1])


def _function_name(node: ast.expr, text: str) -> str:
    dotted = _dotted(node)
    if dotted is None or not set(dotted[:-1]) <= PREFIXES:
        raise _refuse(node, text, "a call of something that is no function of the library")
    return dotted[-1]


# -- names --------------------------------------------------------------------------------


def allowed(name: str) -> bool:
    """Whether expressions may call this name, if the library has it."""
    return name in EXTRA or (name in OPS and OPS[name].family not in NO_FUNCTIONS)


def array(data: Any) -> Tensor:
    """A tensor of nested lists of numbers and tensors; unlike NumPy's, it stacks tensors."""
    if isinstance(data, list | tuple):
        parts = [array(item) for item in data]
        return function_named("stack")(parts)
    return as_tensor(data)


def function_named(name: str, text: str = "") -> Callable[..., Any]:
    """The function of the library that an expression means by a name.

    Raises:
        UnknownNameError: there is none, or expressions may not call it.
    """
    if name == "array":
        return array
    if allowed(name) or allowed(OTHER_NAMES.get(name, "")):
        for module in _modules():
            for spelled in (name, OTHER_NAMES.get(name, name)):
                found = vars(module).get(spelled)
                if callable(found) and not inspect.isclass(found):
                    return found
        if name in OPS:
            return OPS[name]
    raise UnknownNameError(
        f"expression {_short(text)!r}: no function is named {name!r}; `stablegrad ops` lists the "
        "ops, and NumPy's, SciPy's and torch's names for them are known too"
    )


def _modules() -> list[ModuleType]:
    """The modules in which names are looked up, those that exist."""
    found: list[ModuleType] = []
    for name in MODULES:
        try:
            found.append(importlib.import_module(f"stablegrad.{name}"))
        except ModuleNotFoundError:
            continue
    return found


# -- walking ------------------------------------------------------------------------------


class _Walker:
    """Computes the value of a checked tree; its depth is bounded, so it may recurse."""

    def __init__(self, text: str, seen: Callable[[str, Any], None] | None) -> None:
        self.text = text
        self.seen = seen

    def value(self, node: ast.expr, values: dict[str, Any]) -> Any:
        result = self._value(node, values)
        if self.seen is not None and isinstance(
            node, ast.BinOp | ast.UnaryOp | ast.Call | ast.Compare
        ):
            self.seen(ast.get_source_segment(self.text, node) or self.text, result)
        return result

    def _value(self, node: ast.expr, values: dict[str, Any]) -> Any:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return values[name] if name in values else CONSTANTS[name]
            case ast.Attribute():
                return _constant(node)
            case ast.UnaryOp(op=op, operand=operand):
                return _UNARY[type(op)](self.value(operand, values))
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, self.value(left, values), self.value(right, values), node)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return _COMPARE[type(op)](self.value(left, values), self.value(right, values))
            case ast.Call(func=ast.Lambda(args=parameters, body=body), args=args):
                given = [self.value(a, values) for a in args]
                names = [a.arg for a in parameters.args]
                return self.value(body, {**values, **dict(zip(names, given, strict=True))})
            case ast.Call(func=function, args=args, keywords=keywords):
                called = function_named(_function_name(function, self.text), self.text)
                given = [self.value(a, values) for a in args]
                named = {k.arg: self.value(k.value, values) for k in keywords if k.arg}
                return called(*given, **named)
            case ast.Subscript(value=value, slice=index):
                return self.value(value, values)[self.value(index, values)]
            case ast.Slice(lower=lower, upper=upper, step=step):
                parts = [None if p is None else self.value(p, values) for p in (lower, upper, step)]
                return slice(*parts)
            case ast.Tuple(elts=elements):
                return tuple([self.value(e, values) for e in elements])
            case ast.List(elts=elements):
                return [self.value(e, values) for e in elements]
            case _:
                raise AssertionError(f"{type(node).__name__} was not refused")

    def _binary(self, op: ast.operator, a: Any, b: Any, node: ast.expr) -> Any:
        whole = isinstance(a, int) and isinstance(b, int)
        if isinstance(op, ast.Pow) and whole and not 0 <= b <= LARGEST_POWER:
            a = float(a)  # floats overflow where whole numbers fill the memory
        try:
            return _BINARY[type(op)](a, b)
        except (ZeroDivisionError, OverflowError) as error:
            raise _refuse(node, self.text, f"a constant that does not exist ({error})") from None
