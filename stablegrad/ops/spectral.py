"""Functions of symmetric matrices f(A) = V f(w) V^T, with derivatives of every order.

An op holds f as an expression in one variable, so that its derivative along E is known where
eigenvalues are repeated: the divided difference of f is then its derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from stablegrad.errors import DomainError, message
from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops import spectral_kernels as kernels
from stablegrad.ops.derivative import pushforward
from stablegrad.ops.determinants import inner
from stablegrad.ops.record import CONST, VARIABLE, const
from stablegrad.ops.reduction import real_infer, widened
from stablegrad.ops.solving import LINALG, square_matrix
from stablegrad.ops.structured import Normal, Params, Terms, structured, sum_of

WIDE = np.dtype(np.float64)
X = make(VARIABLE, (), ("x",), (), WIDE)
"""The variable of the expressions that ``spectral`` holds; its parameters are p0, p1, ..."""


def parameter(i: int) -> Term:
    """The i-th parameter of an expression."""
    return make(VARIABLE, (), (f"p{i}",), (), WIDE)


def applied(body: Term, x: Term, parameters: Sequence[Term]) -> Term:
    """The expression at a term of any shape."""
    done = {X: x, **{parameter(i): p for i, p in enumerate(parameters)}}
    for term in topological([body], stop=done.__contains__):
        if term in done:
            continue
        if term.op is CONST:
            done[term] = term
        else:
            done[term] = term.op.term(tuple([done[a] for a in term.args]), term.params)
    return done[body]


# -- evaluating the expression ------------------------------------------------------------


def _no_compiler(body: Term, parameters: int, order: int) -> Any:
    raise DomainError(f"no engine to evaluate {body}: import stablegrad first")


_compiler: list[Callable[[Term, int, int], Any]] = [_no_compiler]


def set_compiler(compiler: Callable[[Term, int, int], Any]) -> None:
    """Let the program layer say how the derivatives of an expression are evaluated."""
    _compiler[0] = compiler


def scalar_function(body: Term, parameters: Sequence[Any]) -> kernels.Scalar:
    """The function and its derivatives, on float64 arrays."""

    def evaluate(order: int, x: Any) -> Any:
        return _compiler[0](body, len(parameters), order)(x, *parameters)

    return evaluate


# -- the op -------------------------------------------------------------------------------


def _normalise(terms: Terms, params: Params) -> Normal:
    _, count, _ = params
    a, *rest = terms
    square_matrix(a, "matrix_function")
    for p in rest[:count]:
        if p.shape != ():
            raise DomainError(message(f"a parameter of shape {p.shape}", "a scalar"))
    shape = np.broadcast_shapes(a.shape, *[e.shape for e in rest[count:]])
    spread = [OPS["broadcast_to"](t, shape=shape) for t in (a, *rest[count:])]
    return (spread[0], *rest[:count], *spread[1:]), params


def _kernel(xp: Any, a: Any, *rest: Any, function: Term, parameters: int, snap: bool) -> Any:
    a = widened(xp, a)
    values = [float(p) for p in rest[:parameters]]
    es = [np.broadcast_to(widened(xp, e), a.shape) for e in rest[parameters:]]
    f = scalar_function(function, values)
    out = np.empty(a.shape)
    for place in np.ndindex(*a.shape[:-2]):
        out[place] = kernels.spectral(f, a[place], [e[place] for e in es], snap=snap)
    return out


def _split(args: Terms, count: int) -> tuple[Term, Terms, Terms]:
    return args[0], args[1 : 1 + count], args[1 + count :]


def _slope(static: dict[str, Any], i: int) -> dict[str, Any]:
    """The static parameters with the expression differentiated by a parameter."""
    body = pushforward(static["function"], (parameter(i),), (const(1, WIDE),))
    return {**static, "function": body}


def _jvp(out: Term, args: Terms, tangents: Sequence[Term | None], **static: Any) -> Term:
    parameters: int = static["parameters"]
    a, ps, es = _split(args, parameters)
    found: list[Term] = []
    for i, t in enumerate(tangents):
        if t is None:
            continue
        if i == 0:
            found.append(spectral(*args, t, **static))
        elif i <= parameters:
            found.append(t * spectral(*args, **_slope(static, i - 1)))
        else:
            j = i - 1 - parameters
            found.append(spectral(a, *ps, *es[:j], t, *es[j + 1 :], **static))
    return sum_of(found)


def _vjp(out: Term, args: Terms, g: Term, **static: Any) -> Terms:
    parameters: int = static["parameters"]
    a, ps, es = _split(args, parameters)
    by_p = [OPS["sum"](inner(g, spectral(*args, **_slope(static, i)))) for i in range(parameters)]
    by_e = [spectral(a, *ps, *es[:j], g, *es[j + 1 :], **static) for j in range(len(es))]
    return spectral(*args, g, **static), *by_p, *by_e


spectral = structured(
    "matrix_function",
    params=("function", "parameters", "snap"),
    defaults=(X, 0, False),
    normalise=_normalise,
    infer=real_infer,
    kernel=_kernel,
    jvp=_jvp,
    vjp=_vjp,
    cost=12,
    accuracy="n*eps times norm(a) and the greatest divided difference of f over the eigenvalues, "
    "of one order more than there are directions, relative to their norms",
    source="Daleckii and Krein 1965; Higham 2008, theorem 3.11; divided differences by the "
    "integral of Hermite and Genocchi where eigenvalues are close",
    doc="f(a) of the symmetric matrices (a + a.T)/2, or its mixed derivative along symmetric "
    "matrices e, e, ...; right at repeated eigenvalues. With snap, eigenvalues that rounding "
    "cannot tell from 0 are 0.",
    example=">>> a = sg.tensor([[2.0, 0.0], [0.0, 3.0]])\n"
    ">>> sg.ops.matrix_function(a).numpy()\n"
    "array([[2., 0.],\n       [0., 3.]], dtype=float32)",
    **LINALG,
)


# -- expressions from programs ------------------------------------------------------------


_VIEWS = ("reshape", "broadcast_to", "getitem")


def _is_view(term: Term) -> bool:
    """Whether a term is what is below it, in its order, but for axes of length 1."""
    if term.op.name not in _VIEWS or len(term.args) != 1 or term.args[0].size != term.size:
        return False
    if term.op.name == "getitem":
        entries = [e for e in term.params[0] if e is not None]
        if any(not isinstance(e, tuple) or e[0] != "slice" or e[3] != 1 for e in entries):
            return False
    return [n for n in term.args[0].shape if n != 1] == [n for n in term.shape if n != 1]


def _same_elements(term: Term) -> Term:
    """What is below ops that only insert or remove axes of length 1."""
    while _is_view(term):
        term = term.args[0]
    return term


VECTOR_OPS: dict[str, tuple[str, Callable[[Term, Term], Term]]] = {
    "softmax": ("logsumexp", lambda x, total: OPS["exp"](x - total)),
    "log_softmax": ("logsumexp", lambda x, total: x - total),
    "unit_vector": ("norm", lambda x, size: x / size),
    "center": ("mean", lambda x, mean: x - mean),
}
"""Functions of whole vectors that are elementwise but for one number: (reduction, the rest)."""


def as_function(
    term: Term, variables: Iterable[Term], length: int
) -> tuple[Term, list[Term]] | None:
    """A term as an elementwise expression in one vector: (expression, its parameters).

    Args:
        term: what may be a function of the vector, element by element.
        variables: the terms that are this vector.
        length: the number of its elements.

    Returns:
        None where the term depends on anything else that varies along the vector.
    """
    vectors = set(variables)
    done: dict[Term, Term] = {}
    parameters: dict[Term, Term] = {}

    def number(t: Term) -> Term | None:
        base = t
        while base.op.name in ("broadcast_to", "reshape") and base.args[0].size == 1:
            base = base.args[0]
        if base.size != 1 or (t.size == 1 and length == 1 and t in vectors):
            return None
        if base.op is CONST:
            return const(base.params[0], WIDE)
        base = OPS["reshape"](base, shape=())
        return parameters.setdefault(base, parameter(len(parameters)))

    def stop(t: Term) -> bool:
        return t in done or leafy(t)

    def leafy(t: Term) -> bool:
        if _same_elements(t) in vectors:
            done[t] = X
            return True
        if t.op is CONST:
            done[t] = const(t.params[0], WIDE)
            return True
        found = number(t)
        if found is not None:
            done[t] = found
            return True
        return False

    for t in topological([term], stop=stop):
        if t in done:
            continue
        if _same_elements(t) is not t and _same_elements(t) in done:
            done[t] = done[_same_elements(t)]
            continue
        if t.op.name in VECTOR_OPS and t.ndim == 1 and t.args[0] in done:
            reduction, rest = VECTOR_OPS[t.op.name]
            count = number(OPS[reduction](t.args[0]))
            assert count is not None
            done[t] = rest(done[t.args[0]], count)
            continue
        if not t.op.elementwise or t.op.name == "astype" or any(a not in done for a in t.args):
            return None
        if t.op.name in ("equal", "not_equal") and not any(a.op is CONST for a in t.args):
            return None  # which of them is greatest: rounded once more, none would be equal to it
        done[t] = t.op.term(tuple([done[a] for a in t.args]), t.params)
    body = done[term]
    if body.shape != ():
        return None
    return body, list(parameters)
