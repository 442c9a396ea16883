"""Audits of every function of JAX, Optax, NumPy and SciPy that takes one to three arrays.

Each function is called on arrays of ordinary numbers; where it gives finite floats, it is audited
there with its gradient. Every audit must end in a verdict, or in an error of ours that says in a
sentence what is not read (*refused*); a function that takes no traced arrays *raises* what it does.

Run: ``python -m benchmarks.audit_functions``
"""

from __future__ import annotations

import inspect
import os
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.measure import arguments, save, table

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]

HOMES = (
    "jax.scipy.special jax.nn jax.numpy jax.numpy.linalg jax.scipy.linalg optax.losses "
    "numpy numpy.linalg scipy.special"
).split()
LEFT_OUT = frozenset(
    "fromfile genfromtxt info load loadtxt save savetxt savez savez_compressed show_config "
    "show_runtime test seterrcall setbufsize frombuffer from_dlpack memmap mintypecode".split()
)
"""Functions that are about files, settings and memory."""
U, V = np.array([0.3, 0.57, 0.8]), np.array([0.6, 0.45, 0.25])
P = np.array([2.4, 1.3, 3.7])
M = np.array([[2.1, 0.3, -0.2], [0.2, 2.0, 0.4], [0.3, -0.1, 2.2]])
N = np.array([[1.0, 0.5], [0.2, 2.0], [0.7, -0.3]])
CALLS = ((U,), (P,), (M,), (U, V), (P, U), (M, N), (P, U, V), (U, V, P))
"""Arguments that are tried."""


def functions(home: str) -> Iterator[tuple[str, Function]]:
    """The functions of a namespace, by name."""
    import importlib

    space = importlib.import_module(home)
    for name in sorted(dir(space)):
        f = getattr(space, name)
        plain = callable(f) and not inspect.isclass(f)
        if plain and not name.startswith("_") and name not in LEFT_OUT:
            yield name, f


def first_result(f: Function) -> Function:
    """The function, or the first of its results where it has several."""

    def g(*args: Any) -> Any:
        found = f(*args)
        return found[0] if isinstance(found, tuple | list) else found

    return g


def takes(f: Function, args: Sequence[Array]) -> bool:
    """Whether a function gives finite floats for arguments."""
    if isinstance(f, np.ufunc) and len(args) > f.nin:
        return False  # the others would be overwritten
    try:
        found = np.asarray(first_result(f)(*args))
    except Exception:  # noqa: BLE001 - it does not take these
        return False
    return found.dtype.kind == "f" and found.size > 0 and bool(np.isfinite(found).all())


def judge(f: Function, args: Sequence[Array]) -> tuple[str, str]:
    """What an audit says of a function: a word, and what a reader wants to know."""
    import stablegrad as sg
    from stablegrad.errors import StablegradError

    try:
        found = sg.audit(first_result(f), *args)
    except StablegradError as error:
        return "refused", str(error)
    except Exception as error:  # noqa: BLE001 - the function's own, or a fault of the audit
        frames = traceback.extract_tb(error.__traceback__)
        asked = [f for f in frames if f.name != "__getattr__"]  # for what tensors have not
        last = asked[-1].filename
        own = "site-packages" in last or last == __file__
        return "raises" if own else "crashed", f"{type(error).__name__}: {error}"
    if found.ok:
        return "fine", ""
    told = [f"{x.op}, {x.cause}, {x.bits_lost:.1f} bits" for x in found.findings]
    return "flagged", "; ".join(told)


def judged(home: str, step: int = 1) -> list[dict[str, Any]]:
    """Every function of a namespace (every ``step``-th) at all arguments that it takes."""
    rows: list[dict[str, Any]] = []
    for name, f in list(functions(home))[::step]:
        for i, args in enumerate(CALLS):
            if takes(f, args):
                word, told = judge(f, args)
                rows.append({"home": home, "name": name, "call": i, "word": word, "told": told})
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Audit all of them and count."""
    parser = arguments(__doc__)
    parser.add_argument("--homes", default=",".join(HOMES))
    options = parser.parse_args(argv)
    os.environ["STABLEGRAD_SYNTHESIS"] = "off"  # made kernels matter to cures alone
    import jax

    jax.config.update("jax_enable_x64", True)
    start = time.perf_counter()
    rows: list[dict[str, Any]] = []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for home in options.homes.split(","):
            rows += judged(home, 40 if options.tiny else 1)
    words = ("fine", "flagged", "refused", "raises", "crashed")
    counts = {
        home: {
            "functions": len({r["name"] for r in rows if r["home"] == home}),
            **{w: sum(r["word"] == w for r in rows if r["home"] == home) for w in words},
        }
        for home in options.homes.split(",")
    }
    table(
        "not fine",
        ["home", "name", "call", "word", "told"],
        [[str(v)[:90] for v in r.values()] for r in rows if r["word"] != "fine"],
    )
    heads = ["functions", *words]
    table("counts", ["home", *heads], [[h, *map(str, c.values())] for h, c in counts.items()])
    elapsed_s = time.perf_counter() - start
    save(options.out, "audit_functions", rows, counts=counts, elapsed_s=elapsed_s)


if __name__ == "__main__":
    main()
