"""The cure as source for JAX: the XLA engine's kernels, in 64 bits inside, under one jit."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stablegrad.audit.emit import DRIVER, IMPORTS, Target, call, constant
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


KEPT = '''
class _Numpy:
    """What steps compute with on the host."""

    name = "numpy"
    special = special

    def __getattr__(self, name):
        return getattr(np, name)


def _exponent(x):
    """The bits of the exponent, 0 for 0 and for subnormal numbers, and those of the fraction."""
    x = jax.numpy.asarray(x)
    kind = np.dtype(f"uint{8 * x.dtype.itemsize}")
    info = jax.numpy.finfo(x.dtype)
    size = jax.lax.bitcast_convert_type(x, kind) & kind.type(2 ** (info.bits - 1) - 1)
    return size >> kind.type(info.nmant), size


# a thread of its own: those of XLA make NumPy take subnormal numbers for 0 as well
_HOST = concurrent.futures.ThreadPoolExecutor(1)
_HOST.submit(int).result()


def _kept(step, *xs, again=None):
    """A step; where it meets subnormal numbers, which XLA takes for 0, as NumPy does it."""
    value = jax.numpy.asarray(step(xp, *xs))
    xs = [jax.numpy.asarray(x) for x in xs]
    floats = [x for x in xs if jax.numpy.issubdtype(x.dtype, np.floating)]
    small = [((e == 0) & (size != 0)).any() for e, size in map(_exponent, floats)]
    if jax.numpy.issubdtype(value.dtype, np.floating):
        small.append((_exponent(value)[0] == 0).any())

    def as_bytes(x):  # JAX rounds the floats of a callback where 64 bits are not enabled
        return x if x.dtype == bool else jax.lax.bitcast_convert_type(x, np.uint8)

    def run(*given):
        with np.errstate(all="ignore"):
            found = np.asarray((again or step)(_Numpy(), *given)).astype(value.dtype)
        found = np.ascontiguousarray(np.broadcast_to(found, value.shape))
        return found if found.dtype == bool else found.reshape(*value.shape, 1).view(np.uint8)

    def hosted(*given):
        arrays = [np.ascontiguousarray(g) for g in given]
        pairs = zip(arrays, xs)
        found = [g if x.dtype == bool else g.view(x.dtype).reshape(x.shape) for g, x in pairs]
        return _HOST.submit(run, *found).result()

    def on_host():
        flat = value.dtype == bool
        shape = value.shape if flat else (*value.shape, value.dtype.itemsize)
        like = jax.ShapeDtypeStruct(shape, bool if flat else np.uint8)
        found = jax.pure_callback(hosted, like, *map(as_bytes, xs), vmap_method="sequential")
        return found if flat else jax.lax.bitcast_convert_type(found, value.dtype)

    return jax.lax.cond(functools.reduce(operator.or_, small, False), on_host, lambda: value)
'''


class HostTarget(Target):
    """NumPy, under the name of a parameter."""

    xp, special = "xp.", "xp.special."


class JaxTarget(Target):
    """JAX, whose arrays are float64 where the stabilized program needs it.

    Args:
        subnormals: whether subnormal numbers are kept, which XLA takes for 0.
    """

    xp, special = "xp.", "xp.special."

    def __init__(self, *, subnormals: bool = False) -> None:
        super().__init__()
        self.subnormals = subnormals
        self.driver = DRIVER.replace("found = getattr", "import jax\n    found = getattr").replace(
            "np.savez(", "found = jax.tree.map(np.asarray, found)\nnp.savez("
        )

    def kernel(self, term: Term) -> Callable[..., Any]:
        """The kernel of a term's op under XLA."""
        if term.op.name in REDONE and term.dtype == np.float64:
            return on_host(term.op, term.shape)
        return kernel_of(term.op, term.dtype)

    def step(self, shaken: Shaken, term: Term, args: Sequence[str]) -> str:
        """One step; NumPy's beside it where subnormals are kept."""
        plain = super().step(shaken, term, args)
        if not self.subnormals or (term.op.name in REDONE and term.dtype == np.float64):
            return plain
        names = dict.fromkeys([a for a in args if a.isidentifier()])
        host = call(shaken, term, args, term.static, HostTarget())
        step, again = [f"lambda {', '.join(['xp', *names])}: {t}" for t in (plain, host)]
        more = [] if step == again else [f"again={again}"]
        return f"_kept({', '.join([step, *names, *more])})"

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
        if self.subnormals:
            body = KEPT + "\n\n" + body.lstrip()
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
