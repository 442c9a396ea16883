"""What is synthesized: an expression of one variable, known by its structure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from stablegrad.canonical import canonical_node
from stablegrad.ir import Term, make, topological
from stablegrad.ops.forms import AFFINE, MONOMIAL
from stablegrad.ops.record import CONST, VARIABLE, is_float
from stablegrad.oracle.formats import FLOAT64, Format

WIDE = np.dtype(np.float64)
X: Term = make(VARIABLE, (), ("x",), (), WIDE)
"""The variable of every recipe."""


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """An expression over ``X``, its constants exact, and what its kernel is evaluated in.

    Two recipes are equal exactly when their expressions are the same term and their formats are
    one. ``digest`` tells them apart in other processes: it is made from names of ops, their
    parameters and the structure, never from ids or hashes.
    """

    expression: Term
    digest: str = field(compare=False)
    format: Format = FLOAT64

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Recipe):
            return False
        return other.expression is self.expression and other.format is self.format

    def __hash__(self) -> int:
        return hash((self.expression, self.format.name))

    def __repr__(self) -> str:
        return self.digest


def recipe(root: Term, variable: Term, form: Format = FLOAT64) -> Recipe:
    """The recipe of a scalar or array term that depends on ``variable`` element by element."""
    expression = rebased(root, variable)
    own = "" if form is FLOAT64 else f"-{form.name}"
    return Recipe(expression, digest(expression) + own, form)


def rebased(root: Term, variable: Term) -> Term:
    """The term as a float64 scalar over ``X``; changes between float dtypes left out."""
    return over(root, {variable: X})


def over(root: Term, variables: Mapping[Term, Term]) -> Term:
    """The term as a float64 scalar, with other variables for some of its values."""
    done: dict[Term, Term] = dict(variables)
    for term in topological([root], stop=done.__contains__):
        if term in done:
            continue
        args = tuple([done[a] for a in term.args])
        drop = term.op.name == "broadcast_to" or (term.op.name == "astype" and is_float(term.dtype))
        if drop and (args[0].op is not CONST or is_float(args[0].dtype)):
            done[term] = args[0]
        else:
            dtype = WIDE if is_float(term.dtype) else term.dtype
            new = make(term.op, args, term.params, (), dtype)
            # their operands were in the order of other terms
            done[term] = canonical_node(new) if term.op is AFFINE or term.op is MONOMIAL else new
    return done[root]


def digest(expression: Term) -> str:
    """A hash of the structure that is the same in every process."""
    position: dict[Term, int] = {}
    lines: list[str] = []
    for i, term in enumerate(topological([expression])):
        position[term] = i
        args = ",".join([str(position[a]) for a in term.args])
        lines.append(f"{term.op.name}|{term.params!r}|{term.dtype}|{args}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
