"""The cure as source: the stabilized program and its gradient in NumPy and SciPy alone.

The program is the one that runs here, step for step. A step whose kernel is one expression is
written as that expression; other kernels come along as functions, with everything they call. It is
run in a process without this library, and judged by the audit, before anybody sees it.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import keyword
import re
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stablegrad.audit.findings import Stable
from stablegrad.audit.shake import Shaken, literal
from stablegrad.audit.syntax import EmitError, definition, free, renamed
from stablegrad.engines.numpy import kernel_of
from stablegrad.ir import Term, topological
from stablegrad.ops.exact import Exact, to_float
from stablegrad.ops.known import undecided
from stablegrad.ops.lowered_structured import SETTLED
from stablegrad.ops.record import CONST, const, is_float, round_to
from stablegrad.ops.rescued import RESCUED

Array = np.ndarray[Any, Any]
LIMIT_S = 120
RESERVED = ("np", "xp", "special", "jax")

_STANDARD = (
    "base64 builtins collections concurrent.futures dataclasses decimal fractions functools "
    "itertools math operator types zlib"
)
IMPORTS = {name: f"import {name}" for name in [*_STANDARD.split(), "typing", "ml_dtypes"]}
ALWAYS = ["import numpy as np", "from scipy import linalg, special"]
HEAD = '''"""{title}

Written by stablegrad: the stabilized form of {name}, with its gradients, in NumPy and SciPy alone.
"""

from __future__ import annotations

{imports}


class Namespace:
    """What the kernels compute with."""

    name = "numpy"
    special = special

    def __getattr__(self, name):
        return getattr(np, name)


xp = Namespace()
'''


# -- programs -------------------------------------------------------------------------------


class Target:
    """What source is written for: NumPy and SciPy.

    Attributes:
        xp: what stands in the source for the names that kernels compute with.
        special: the same for SciPy's special functions.
        driver: what runs emitted source in a process of its own.
    """

    xp, special = "np.", "special."

    def __init__(self) -> None:
        self.driver = DRIVER

    def kernel(self, term: Term) -> Callable[..., Any]:
        """The kernel of a term's op."""
        return kernel_of(term.op)

    def constant(self, term: Term, user: Term | None) -> str:
        """A constant as an argument of a term, or as a result."""
        return constant(term.params[0], term.dtype, term.shape)

    def fitted(self, text: str, term: Term) -> str:
        """A step whose value has the term's dtype and shape."""
        return text

    def step(self, shaken: Shaken, term: Term, args: Sequence[str]) -> str:
        """One step of a program as an expression."""
        return self.fitted(call(shaken, term, args, term.static, self), term)

    def module(self, name: str, body: str, inputs: Sequence[Term]) -> str:
        """The whole module around the program."""
        needed = [line for used, line in IMPORTS.items() if re.search(rf"\b{used}\.", body)]
        imports = "\n".join([*needed, "", *ALWAYS]).strip()
        head = HEAD.format(title=f"{name}, stable.", name=name, imports=imports)
        return head + "\n\n" + body.strip() + "\n"


def constant(value: Exact, dtype: Any, shape: Sequence[int]) -> str:
    """A constant of a program as text."""
    if not is_float(np.dtype(dtype)):
        number = literal(to_float(value) if isinstance(value, str) else np.dtype(dtype).type(value))
    else:
        number = f"np.{np.dtype(dtype).name}({literal(float(round_to(value, dtype)))})"
    return f"np.full({tuple(shape)}, {number})" if shape else number


def program(
    roots: Sequence[Term], inputs: Sequence[Term], names: Sequence[str], target: Target
) -> str:
    """The body of a function that runs lowered terms, and the definitions that it needs."""
    shaken = Shaken()
    for n in names:
        shaken.texts[n] = ""
    texts: dict[Term, str] = dict(zip(inputs, names, strict=True))
    lines: list[str] = []
    numbers = map("v{}".format, itertools.count())
    for term in topological(roots):
        if term in texts or term.op is CONST:
            continue
        plain = undecided(term)  # source has no referee
        args = [target.constant(a, term) if a.op is CONST else texts[a] for a in plain.args]
        if term.op in SETTLED or term.op is RESCUED:
            texts[term] = args[0]
            continue
        try:
            value = target.step(shaken, plain, args)
        except EmitError as error:
            raise EmitError(f"{term.op.name} cannot be written as source: {error}") from None
        name = next(n for n in numbers if n not in names)
        lines.append(f"    {name} = {value}")
        texts[term] = name
    results = [target.constant(r, None) if r.op is CONST else texts[r] for r in roots]
    for n in names:
        shaken.texts.pop(n, None)
    table = shaken.ops("\n".join(["def program():", *lines, "    pass"]))
    helpers = "\n\n\n".join([*shaken.texts.values(), table])
    return f"{helpers}\n\n\ndef PROGRAM({', '.join(names)}):\n    DOCSTRING\n" + "\n".join(
        [*lines, f"    return {', '.join(results)}"]
    )


def call(
    shaken: Shaken, term: Term, args: Sequence[str], params: Mapping[str, Any], target: Target
) -> str:
    """One step as an expression."""
    kernel = target.kernel(term)
    plain = inspect.unwrap(kernel) if isinstance(kernel, types.FunctionType) else kernel
    given = [f"{k}={shaken.refer(k, v)}" for k, v in params.items()]
    if isinstance(plain, types.FunctionType) and plain.__name__ == "<lambda>" and not given:
        node = definition(plain)
        own = [a.arg for a in node.args.args]
        if not node.args.vararg and len(own) == len(args) + 1 and not free(node):
            renames = dict(zip(own[1:], args, strict=True))
            text = ast.unparse(renamed(node.body, renames))
            text = text.replace(f"{own[0]}.special.", target.special)
            return text.replace(f"{own[0]}.", target.xp)
    name = shaken.refer(f"{term.op.name}_kernel", plain)
    return f"{name}({', '.join(['xp', *args, *given])})"


def clean_name(name: str) -> str:
    """A name for a function, from what the user's is called."""
    return name if name.isidentifier() else "f"


def source(
    name: str,
    roots: Sequence[Term],
    inputs: Sequence[Term],
    names: Sequence[str],
    target: Target | None = None,
    told: Sequence[str] = ("value",),
) -> str:
    """A module with one function, which returns the value and the gradients.

    Args:
        name: what the user's function is called.
        roots: the lowered terms: the value, then the gradients.
        inputs: the input terms.
        names: a name for each of them.
        target: what it is written for; NumPy unless given.
        told: what each of the roots is called.

    Raises:
        EmitError: a step has no source of its own; says which.
    """
    target = target or Target()
    clean = clean_name(name)
    several = " of the sum of its elements" if len(told) > 1 else ""
    docstring = f'"""The {", ".join(told)}{several}."""'
    body = program(roots, inputs, names, target)
    body = body.replace("def PROGRAM(", f"def {clean}_stable(").replace("DOCSTRING", docstring)
    return target.module(clean, body, inputs)


def source_of(function: str, cure: Stable, target: str) -> tuple[str, str, str]:
    """The module for a stabilized program, the name of its function, and what runs it.

    Raises:
        EmitError: a step has no source of its own; says which.
    """
    if target == "jax":
        from stablegrad.audit.emit_jax import JaxTarget

        written: Target = JaxTarget(subnormals=cure.subnormal)
    else:
        written = Target()
    names = [parameter(n, i) for i, n in enumerate(cure.names)]
    name = clean_name(function)
    text = source(name, cure.roots, cure.inputs, names, written, cure.told)
    signature = f"def {name}_stable({{}}):"
    given = ", ".join(with_defaults(names, cure))
    text = text.replace(signature.format(", ".join(names)), signature.format(given), 1)
    return text, f"{name}_stable", written.driver


def with_defaults(names: Sequence[str], cure: Stable) -> list[str]:
    """Parameters with the defaults of the user's function, behind all that must be given."""
    texts = list(names)
    for i in reversed(range(len(names))):
        default, x = cure.defaults.get(cure.names[i]), cure.inputs[i]
        if default is None:
            break
        texts[i] += f"={constant(const(default, x.dtype).params[0], x.dtype, x.shape)}"
    return texts


def parameter(name: str, number: int) -> str:
    """A parameter of emitted source for an input."""
    clean = re.sub(r"\W+", "_", name).strip("_")
    fine = clean.isidentifier() and not keyword.iskeyword(clean) and clean not in RESERVED
    return f"{clean}" if fine and name == clean else f"input_{number}"


# -- checked --------------------------------------------------------------------------------

DRIVER = """
import importlib.util, sys
import numpy as np
sys.modules["stablegrad"] = None  # must not be needed
spec = importlib.util.spec_from_file_location("emitted", sys.argv[1] + "/emitted.py")
module = importlib.util.module_from_spec(spec)
sys.modules["emitted"] = module
spec.loader.exec_module(module)
with np.load(sys.argv[1] + "/inputs.npz") as data:
    args = [data[f"arr_{i}"] for i in range(len(data.files))]
with np.errstate(all="ignore"):
    found = getattr(module, sys.argv[2])(*args)
np.savez(sys.argv[1] + "/results.npz", *(found if isinstance(found, tuple) else [found]))
"""


def run_apart(text: str, function: str, values: Sequence[Array], driver: str = "") -> list[Array]:
    """Run emitted source in a process of its own, in which this library cannot be imported.

    Raises:
        EmitError: it does not run.
    """
    if any(v.dtype.isbuiltin != 1 for v in map(np.asarray, values)):
        raise EmitError("bfloat16 inputs cannot be handed to a process of their own")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "emitted.py").write_text(text, "utf8")
        np.savez(Path(folder) / "inputs.npz", *values)
        command = [sys.executable, "-I", "-c", driver or DRIVER, folder, function]
        done = subprocess.run(  # noqa: S603 - our own source, by our own interpreter
            command, capture_output=True, text=True, check=False, timeout=LIMIT_S
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise EmitError(f"the emitted source does not run: {last}")
        with np.load(Path(folder) / "results.npz") as data:
            return [data[f"arr_{i}"] for i in range(len(data.files))]
