"""The cure as source for JAX: the XLA engine's kernels, in 64 bits inside, under one jit."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stablegrad.audit.emit import DRIVER, IMPORTS, Target, constant
from stablegrad.audit.shake import Shaken
from stablegrad.engines.xla import import_jax, kernel_of
from stablegrad.engines.xla.kernels import on_host
from stablegrad.engines.xla.namespace import Namespace, Special, namespace
from stablegrad.ir import Term
from stablegrad.ops.record import CONST

REDONE = frozenset({"redone_sum", "ranged_product"})
"""Ops that XLA computes plainly, and NumPy again in pairs where digits are lost."""
HEAD = '''"""{name}, stable.

Written by stablegrad: the stabilized form of {name}, with its gradients, in JAX alone.
"""

from __future__ import annotations

{imports}


{namespace}


xp = {xp}(jax)
'''
BODY = """

def {name}_stable({names}):
    {docstring}
    with jax.enable_x64(True):
        return _{name}_stable({given})
"""


class JaxTarget(Target):
    """JAX, whose arrays are float64 where the stabilized program needs it."""

    xp, special = "xp.", "xp.special."

    def __init__(self) -> None:
        super().__init__()
        self.driver = DRIVER.replace("found = getattr", "import jax\n    found = getattr").replace(
            "np.savez(", "found = jax.tree.map(np.asarray, found)\nnp.savez("
        )

    def kernel(self, term: Term) -> Callable[..., Any]:
        """The kernel of a term's op under XLA."""
        if term.op.name in REDONE and term.dtype == np.float64:
            return on_host(term.op, term.shape)
        return kernel_of(term.op, term.dtype)

    def constant(self, term: Term, user: Term | None) -> str:
        """A constant: a scalar where JAX broadcasts it."""
        shape = () if user is not None and user.op.elementwise else term.shape
        return constant(term.params[0], term.dtype, shape)

    def fitted(self, text: str, term: Term) -> str:
        """A step, converted and broadcast where its kernel leaves that to the engine."""
        jax = import_jax()
        params = term.static
        args = [
            np.zeros((), a.dtype)
            if a.op is CONST and term.op.elementwise
            else jax.ShapeDtypeStruct(a.shape, a.dtype)
            for a in term.args
        ]
        kernel = self.kernel(term)
        with jax.enable_x64(True):
            xp = namespace(jax)
            like = jax.eval_shape(lambda *xs: xp.asarray(kernel(xp, *xs, **params)), *args)
        if like.dtype != term.dtype:
            text = f"xp.asarray({text}).astype(np.{term.dtype.name})"
        if like.shape != term.shape:
            text = f"xp.broadcast_to({text}, {tuple(term.shape)})"
        return text

    def module(self, name: str, body: str, inputs: Sequence[Term]) -> str:
        """The whole module: what is used of the namespace, the program, and its public face."""
        found = re.search(rf"def {name}_stable\((.*?)\):\n    (.*)\n", body)
        assert found is not None
        names = [n for n in found[1].split(", ") if n]
        body = body.replace(f"def {name}_stable(", f"@jax.jit\ndef _{name}_stable(")
        space, xp = _namespace(body)
        used = [line for n, line in IMPORTS.items() if re.search(rf"\b{n}\.", body + space)]
        own = [n for n in ("linalg", "special") if re.search(rf"(?<![.\w]){n}\b", body)]
        scipy = [f"from scipy import {', '.join(own)}"] if own else []  # for what runs on the host
        imports = "\n".join([*used, "", "import jax", "import numpy as np", *scipy]).strip()
        head = HEAD.format(name=name, imports=imports, namespace=space, xp=xp)
        given = [
            f"jax.numpy.asarray({n}, np.{x.dtype.name})" for n, x in zip(names, inputs, strict=True)
        ]
        face = BODY.format(
            name=name, names=found[1], docstring=found[2].strip(), given=", ".join(given)
        )
        return f"{head}\n\n{body.strip()}\n{face}"


def _namespace(body: str) -> tuple[str, str]:
    """The classes of the namespace, without the methods that nobody calls; and its name."""
    shaken = Shaken()
    special, main = shaken.type(Special), shaken.type(Namespace)
    text = "\n\n\n".join(t for t in shaken.texts.values() if t)
    tree = ast.parse(text)
    own = {
        n.name
        for cls in tree.body
        if isinstance(cls, ast.ClassDef) and cls.name in (special, main)
        for n in cls.body
        if isinstance(n, ast.FunctionDef) and not n.name.startswith("__")
    }
    used = _attributes(ast.parse(body)) & own
    while True:
        kept = [
            n
            for cls in tree.body
            if isinstance(cls, ast.ClassDef)
            for n in cls.body
            if isinstance(n, ast.FunctionDef) and (n.name in used or n.name.startswith("__"))
        ]
        more = set().union(*[_attributes(n) for n in kept]) & own
        if more <= used:
            break
        used |= more
    for cls in tree.body:
        if isinstance(cls, ast.ClassDef) and cls.name in (special, main):
            cls.body = [
                n for n in cls.body if not (isinstance(n, ast.FunctionDef) and n.name in own - used)
            ]
    return ast.unparse(tree), main


def _attributes(tree: ast.AST) -> set[str]:
    return {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
