"""Functions of matrices: U f(S) V^T and V f(w) V^T, read as such.

JAX differentiates the factors of a decomposition, which have no derivative where singular values
or eigenvalues repeat; their product has one. Where a product of matrices that begins at a
decomposition is a function of the matrix alone, by the rules, it is one equation of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from stablegrad.ir import OPS, Term, topological
from stablegrad.jax.equations import Equation, Literal, literal_term, terms_of
from stablegrad.jax.regions import numbered, plain, region_of
from stablegrad.ops.linalg import from_diagonal
from stablegrad.ops.record import is_const
from stablegrad.ops.solving import flipped
from stablegrad.settings import Settings
from stablegrad.transforms.expand import Expander

_AT_MOST = 32
"""Equations that are followed from a decomposition."""
_FACTORS = {
    "svd": ("svdvals", "left_vectors", "right_vectors"),
    "eigh": ("eigenvectors", "eigvalsh"),
}
_OPS = frozenset(name for names in _FACTORS.values() for name in names)


def functions_of_matrices(
    equations: list[Equation], avals: Sequence[Any], settings: Settings
) -> list[Equation]:
    """The equations, products that are functions of a matrix as regions of it.

    Args:
        equations: in order.
        avals: of all numbers.
        settings: in force.
    """
    if not settings.stabilizes:
        return equations
    found = equations
    for n, e in enumerate(equations):
        if e.name in _FACTORS and _is_followed(e, avals):
            found = _Followed(e, avals, settings).closed(equations[n + 1 :], found)
    return found


def _is_followed(e: Equation, avals: Sequence[Any]) -> bool:
    params = e.source.params
    if params.get("subset_by_index") is not None or not plain(avals[e.outputs[0]]):
        return False
    whole = params.get("compute_uv", True) and not params.get("full_matrices", False)
    return bool(whole) and isinstance(e.inputs[0], int) and len(avals[e.inputs[0]].shape) == 2


class _Followed:
    """What is made of a decomposition, as terms over the matrix and other values."""

    def __init__(self, e: Equation, avals: Sequence[Any], settings: Settings) -> None:
        self.avals = avals
        self.settings = settings
        self.inputs: list[int] = []
        self.terms: dict[int, Term] = {}
        self.constants: dict[int, Any] = {}
        matrix = self._term(e.inputs[0])
        assert matrix is not None
        self.terms |= {o: OPS[f](matrix) for o, f in zip(e.outputs, _FACTORS[e.name], strict=True)}
        self.made = set(e.outputs)

    def closed(self, following: Sequence[Equation], whole: list[Equation]) -> list[Equation]:
        """The equations, of the following ones those replaced that are functions of the matrix."""
        images: dict[int, Equation] = {}
        for e in following[:_AT_MOST]:
            if e.effects or e.mark is not None or self._is_constant(e):
                continue
            made = any(isinstance(a, int) and a in self.made for a in e.inputs)
            if not made and not all(isinstance(a, Literal) for a in e.inputs):
                continue
            found = self._read(e)
            if found is None:
                continue
            self.terms.update(zip(e.outputs, found, strict=True))
            self.made |= set(e.outputs) if made else set()
            if e.name == "dot_general" and self._is_function(found):
                image = replace(e, inputs=list(self.inputs), applied=self._region(found))
                images[e.outputs[0]] = replace(image, source=None, name="stablegrad")
        return [images.get(e.outputs[0], e) if e.outputs else e for e in whole]

    def _term(self, atom: Any) -> Term | None:
        if isinstance(atom, Literal):
            return literal_term(atom)
        if atom not in self.terms:
            aval = self.avals[atom]
            if not plain(aval):
                return None
            self.terms[atom] = numbered(len(self.inputs), aval.shape, aval.dtype)
            self.inputs.append(atom)
        return self.terms[atom]

    def _is_constant(self, e: Equation) -> bool:
        """Note what no argument of the program goes into, as the mask of a diagonal."""
        known = [a.value if isinstance(a, Literal) else self.constants.get(a) for a in e.inputs]
        if e.source is None or any(x is None for x in known) or "jaxpr" in e.source.params:
            return False
        if any(np.dtype(self.avals[o].dtype).kind not in "bi" for o in e.outputs):
            return False
        with jax.ensure_compile_time_eval():
            found = e.source.primitive.bind(*known, **e.source.params)
        results = found if e.source.primitive.multiple_results else [found]
        self.constants.update(zip(e.outputs, [np.asarray(x) for x in results], strict=True))
        return True

    def _read(self, e: Equation) -> list[Term] | None:
        mask = self.constants.get(e.inputs[0]) if e.name == "select_n" else None
        atoms = e.inputs[0 if mask is None else 1 :]
        args = [x for x in map(self._term, atoms) if x is not None]
        if len(args) != len(atoms):
            return None
        if e.name == "dot_general":
            (left, right), batch = e.source.params["dimension_numbers"]
            if any(batch) or any(a.ndim != 2 for a in args) or len(left) != 1:
                return None
            x, y = args
            return [OPS["matmul"](flipped(x) if left[0] == 0 else x, flipped(y) if right[0] else y)]
        if mask is None:
            return terms_of(e, args)
        no, yes = args
        rows = yes.args[0] if yes.op.name == "broadcast_to" else yes
        if not is_const(no, 0) or rows.shape != (mask.shape[0], 1):
            return None
        if not np.array_equal(mask, np.eye(mask.shape[0], dtype=bool)):
            return None
        n = rows.shape[0]
        return [from_diagonal(OPS["reshape"](rows, shape=(n,)), rows=n, columns=n)]

    def _is_function(self, roots: list[Term]) -> bool:
        stable = Expander(self.settings).normal(roots)
        return not any(t.op.name in _OPS for t in topological(stable))

    def _region(self, roots: list[Term]) -> Any:
        inputs = [self.terms[a] for a in self.inputs]
        return region_of(roots, inputs, self.settings)
