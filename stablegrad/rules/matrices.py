"""Matrices: determinants under a logarithm, inverses in products, functions of matrices."""

from __future__ import annotations

from collections.abc import Sequence

from stablegrad.ir import OPS, Term
from stablegrad.ops import forms
from stablegrad.ops.determinants import inner
from stablegrad.ops.linalg import from_diagonal
from stablegrad.ops.shape import expand_dims
from stablegrad.ops.singular import singular_function
from stablegrad.ops.solving import flipped, matmul
from stablegrad.ops.spectral import as_function, spectral
from stablegrad.rules.databases import stabilize

Factor = tuple[bool, Term]
"""A factor of a product of matrices: (whether it is a diagonal, given as a vector; the term)."""

BASES = ("eigenvectors", "left_vectors", "right_vectors")


# -- determinants and inverses ------------------------------------------------------------


@stabilize.procedure(
    "log",
    example=lambda a: OPS["log"](OPS["det"](a)),
    source="LAPACK users' guide; slogdet of NumPy",
    group="matrices",
)
def log_of_determinant(term: Term) -> Term | None:
    """log(det(A)) overflows and vanishes where the determinant leaves the range."""
    c, core = forms.split(term.args[0])
    size = core.op.name == "abs"
    if size:
        core = core.args[0]
    if core.op.name != "det" or c <= 0:
        return None
    (a,) = core.args
    result = OPS["logabsdet"](a)
    if not size:
        result = OPS["require"](result, OPS["greater_equal"](OPS["sign_of_det"](a), 0.0))
    if c == 1:
        return result
    constant = OPS["log"](forms.const(c, term.dtype))
    return forms.total([(1, result), (1, constant)], term.shape, term.dtype)


@stabilize.procedure(
    "matmul",
    example=lambda a, b: OPS["matmul"](OPS["inv"](a), b),
    source="Higham 2002, section 14.1",
    group="matrices",
)
def product_with_inverse(term: Term) -> Term | None:
    """inv(A) @ B loses the condition of A twice over solve(A, B)."""
    left, right = term.args
    if left.op.name == "inv":
        (a,) = left.args
        if right.ndim > 1:
            return OPS["solve"](a, right)
        solved = OPS["solve"](a, expand_dims(right, -1))
        return OPS["reshape"](solved, shape=term.shape)
    if right.op.name == "inv":
        a = flipped(right.args[0])
        if left.ndim > 1:
            return flipped(OPS["solve"](a, flipped(left)))
        solved = OPS["solve"](a, expand_dims(left, -1))
        return OPS["reshape"](solved, shape=term.shape)
    return None


# -- products as lists of factors ---------------------------------------------------------


def _factors(term: Term) -> list[Factor]:
    """A product of matrices and diagonals, from the left; a vector may stand at its end."""
    if term.op.name == "matmul" and term.args[0].ndim > 1:
        return [*_factors(term.args[0]), *_factors(term.args[1])]
    if term.op.name == "from_diagonal" and term.shape[-1] == term.shape[-2]:
        return [(True, term.args[0])]
    if term.op is forms.MONOMIAL:
        return _scaled(term) or [(False, term)]
    c, core = forms.split(term)
    if c != 1 and (core.op is forms.MONOMIAL or _is_matrix(core)):
        multiple = (True, forms.const(c, term.dtype, (*term.shape[:-2], term.shape[-1])))
        inside = _factors(core)
        return [multiple, *inside] if term.ndim == 1 else [*inside, multiple]
    return [(False, term)]


def _is_matrix(x: Term) -> bool:
    turned = x.args[0] if x.op.name == "transpose" else x
    return x.op.name in ("matmul", *BASES) or turned.op.name in BASES


def _scaled(term: Term) -> list[Factor] | None:
    """A matrix with its columns and rows scaled."""
    powers = forms.factors(term)
    found = [x for x, p in powers.items() if p == 1 and x.shape == term.shape and _is_matrix(x)]
    if len(found) != 1 or any(x.dtype.kind == "b" for x in powers):
        return None
    (matrix,) = found
    rows: dict[Term, forms.Rational] = {}
    columns: dict[Term, forms.Rational] = {}
    for x, p in powers.items():
        if x is matrix:
            continue
        if term.ndim == 1 or (x.ndim > 1 and x.shape[-1] == 1 and x.shape[-2] != 1):
            rows[x] = p
        elif x.size == 1 or x.ndim == 1 or x.shape[-2] == 1:
            columns[x] = p
        else:
            return None
    batch = term.shape[:-2]
    out = _factors(matrix)
    if rows:
        shape = term.shape if term.ndim == 1 else (*batch, term.shape[-2], 1)
        scale = forms.with_shape(forms.monomial(rows, None, term.dtype), shape)
        length = shape[-1] if term.ndim == 1 else shape[-2]
        out = [(True, OPS["reshape"](scale, shape=(*batch, length))), *out]
    if columns:
        shape = (*batch, 1, term.shape[-1])
        scale = forms.with_shape(forms.monomial(columns, None, term.dtype), shape)
        out = [*out, (True, OPS["reshape"](scale, shape=(*batch, term.shape[-1])))]
    return out


def _joined(factors: Sequence[Factor]) -> Term:
    """The product of factors, the first of which is a matrix."""
    result = factors[0][1]
    for diagonal, x in factors[1:]:
        if diagonal:
            result = result * expand_dims(x, -2)
        else:
            result = OPS["matmul"](result, x)
    return result


def _function(first: Term, middle: Term | None, last: Term) -> Term | None:
    """f(A) for factors V, diag(f(w)), V^T or U, diag(f(s)), V^T of one matrix."""
    turned = first.op.name == "transpose"
    if turned:
        if last.op.name != "transpose":
            return None
        left, right = last.args[0], first.args[0]
    else:
        left, right = first, last
    if left.op.name == "eigenvectors" and flipped(left) is right:
        (a,) = left.args
        values = OPS["eigvalsh"](a)
    elif left.op.name == "left_vectors" and right.op.name == "right_vectors":
        (a,) = left.args
        if right.args != left.args:
            return None
        values = OPS["svdvals"](a)
    else:
        return None
    if middle is None:
        middle = forms.const(1, values.dtype, values.shape)
    found = as_function(middle, [values], values.shape[-1])
    if found is None:
        return None
    body, parameters = found
    if left.op.name == "eigenvectors":
        return spectral(a, *parameters, function=body, parameters=len(parameters))
    result = singular_function(a, body, parameters)
    return flipped(result) if turned else result


@stabilize.procedure(
    "matmul",
    example=lambda a: matmul(
        OPS["eigenvectors"](a) * expand_dims(OPS["exp"](OPS["eigvalsh"](a)), -2),
        flipped(OPS["eigenvectors"](a)),
    ),
    source="Higham 2008, theorem 3.11",
    group="matrices",
)
def function_of_a_matrix(term: Term) -> Term | None:
    """V f(w) V^T and U f(s) V^T have derivatives where eigenvalues repeat; V, U and w have none."""
    factors = _factors(term)
    for i, (diagonal, first) in enumerate(factors):
        if diagonal or not _is_matrix(first):
            continue
        j = i + 1
        while j < len(factors) and factors[j][0]:
            j += 1
        if j == len(factors) or factors[j][1].ndim < 2:
            continue
        between = [x for _, x in factors[i + 1 : j]]
        middle = forms.product(between) if between else None
        found = _function(first, middle, factors[j][1])
        if found is None:
            continue
        rest = [*factors[:i], (False, found), *factors[j + 1 :]]
        if rest[0][0]:  # a leading diagonal
            matrix = from_diagonal(rest[0][1], rows=term.shape[-2], columns=term.shape[-2])
            rest[0] = (False, matrix)
        return forms.with_shape(_joined(rest), term.shape)
    return None


@stabilize.procedure(
    "sum",
    example=lambda a, e: OPS["sum"](OPS["exp"](OPS["eigvalsh"](a)) * OPS["eigen_diagonal"](a, e)),
    source="the trace of f(A) E",
    group="matrices",
)
def sum_along_eigenvalues(term: Term) -> Term | None:
    """The sum of f(w) and how w moves has derivatives where eigenvalues repeat; its terms none."""
    (x,) = term.args
    c, core = forms.split(x)
    powers = forms.factors(core)
    moving = [y for y, p in powers.items() if y.op.name in _MOVING and p == 1]
    if len(moving) != 1 or x.shape != moving[0].shape:
        return None
    axis = term.param("axis")
    if x.ndim > 1 and axis not in (None, (x.ndim - 1,), x.ndim - 1):
        return None
    (move,) = moving
    a, e = move.args
    rest = {y: p for y, p in powers.items() if y is not move}
    if any(y.dtype.kind == "b" for y in rest):
        return None
    weight = forms.with_shape(forms.monomial(rest, None, x.dtype), x.shape)
    values = OPS[_MOVING[move.op.name]](a)
    found = as_function(weight, [values], x.shape[-1])
    if found is None:
        return None
    body, parameters = found
    if move.op.name == "eigen_diagonal":
        gradient = spectral(a, *parameters, function=body, parameters=len(parameters))
    else:
        gradient = singular_function(a, body, parameters)
    total = inner(gradient, e)
    if axis is None and total.ndim:
        total = OPS["sum"](total)
    return forms.with_shape(forms.scale(c, OPS["reshape"](total, shape=term.shape)), term.shape)


_MOVING = {"eigen_diagonal": "eigvalsh", "singular_diagonal": "svdvals"}


# -- sums of products by subscripts -------------------------------------------------------


def _path(labels: list[str], operands: Sequence[Term], out: str) -> list[Factor] | None:
    """The factors of a product of matrices, met on the way from the first label of the result."""
    if not out or len(set(out)) != len(out) or any(len(set(x)) != len(x) for x in labels):
        return None
    left = set(range(len(labels)))
    here, found = out[0], []
    while True:
        for i in sorted(left):
            if labels[i] == here:
                found.append((True, operands[i]))
                left.remove(i)
        steps = [i for i in sorted(left) if here in labels[i] and len(labels[i]) == 2]
        if len(steps) != 1:
            break
        (i,) = steps
        left.remove(i)
        first = labels[i][0] == here
        found.append((False, operands[i] if first else flipped(operands[i])))
        here = labels[i][1] if first else labels[i][0]
    if left or (len(out) == 2 and here != out[1]) or len(out) > 2:
        return None
    if len(out) == 1 and (len(found) < 2 or not found[-1][0] or here == out[0]):
        return None
    return found


@stabilize.procedure(
    "einsum",
    example=lambda a: OPS["einsum"](
        OPS["eigenvectors"](a),
        OPS["exp"](OPS["eigvalsh"](a)),
        OPS["eigenvectors"](a),
        subscripts="ij,j,kj->ik",
    ),
    source="definition",
    group="matrices",
)
def einsum_of_vectors_of_a_matrix(term: Term) -> Term | None:
    """A product with eigenvectors or singular vectors by subscripts is one of matrices."""
    if not any(
        x.ndim == 2 and any(_is_matrix(m) for d, m in _factors(x) if not d) for x in term.args
    ):
        return None
    inputs, _, out = term.param("subscripts").partition("->")
    factors = _path(inputs.split(","), term.args, out)
    if factors is None or all(d for d, _ in factors):
        return None
    end = None
    if len(out) == 1:  # the vectors that are summed over
        last = len(factors)
        while factors[last - 1][0]:
            last -= 1
        end = forms.product([x for _, x in factors[last:]])
        factors = factors[:last]
    if factors[0][0]:
        n = factors[0][1].shape[-1]
        factors[0] = (False, from_diagonal(factors[0][1], rows=n, columns=n))
    result = _joined(factors)
    return result if end is None else OPS["matmul"](result, end)
