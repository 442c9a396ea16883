"""The rules' own example programs as JAX programs, under the bridge and jit: value and gradient.

Each program that the tests name for a rule is written in JAX's functions, as its users spell
them, and stabilized. It is judged by the oracle at the rule's point, at its edges brought into the
range of the dtype, beside them, and at everyday numbers. *wrong* is more than 64 ulp or nan,
*unsharp* more than 4; *lost* is what plain JAX has within the bound. Points whose inputs or true
result are subnormal do not count, as XLA takes those for 0.

Run: ``python -m benchmarks.jax_rules``
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from benchmarks.judge import RIGHT_ULP, SHARP_ULP
from benchmarks.measure import arguments, console, save, table
from stablegrad import oracle
from stablegrad.ir import Term, rebuild, topological
from stablegrad.ops.record import CONST, const, round_const
from stablegrad.testing import leaf

Array = np.ndarray[Any, Any]
Case = tuple[str, Callable[..., Term], list[Any]]
SEED = 20_261_201
BUDGET = 4000
NEAR = 1e-3
"""Numbers as near as this, relatively, are neighbours: their distance matters."""


# -- programs ---------------------------------------------------------------------------------


def spellings() -> dict[str, Callable[..., Any]]:
    """The ops in JAX's functions, of arrays and the op's parameters."""
    import jax
    import jax.numpy as jnp
    from jax.scipy import special

    def exprel_slope(x: Any, n: int) -> Any:
        if n == 1:
            return (x * jnp.exp(x) - jnp.expm1(x)) / x**2
        return (jnp.exp(x) * (x * x - 2 * x + 2) - 2) / x**3

    def logdiffexp(a: Any, b: Any) -> Any:
        return a + jnp.log(-jnp.expm1(b - a))

    def item(x: Any, index: Any) -> Any:
        return x[tuple([slice(*i[1:]) if isinstance(i, tuple) else i for i in index])]

    return {
        "getitem": item,
        "divide": lambda x, y: x / y,
        "negative": lambda x: -x,
        "sigmoid": jax.nn.sigmoid,
        "softmax": jax.nn.softmax,
        "log_softmax": jax.nn.log_softmax,
        "softplus": jax.nn.softplus,
        "log_sigmoid": jax.nn.log_sigmoid,
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        "norm": lambda x, axis, keepdims: jnp.linalg.norm(x, axis=axis, keepdims=keepdims),
        "log1mexp": lambda x: jnp.log1p(-jnp.exp(x)),
        "logdiffexp": logdiffexp,
        "erfcx": lambda x: jnp.exp(x * x) * special.erfc(x),
        "sigmoid_gap": lambda x, y: jax.nn.sigmoid(x) - jax.nn.sigmoid(y),
        "sigmoid_slope": lambda x: jax.nn.sigmoid(x) * (1 - jax.nn.sigmoid(x)),
        "ndtr_gap": lambda x, y: special.ndtr(x) - special.ndtr(y),
        "hypot_unit": lambda x, y: x / jnp.hypot(x, y),
        "exprel": lambda x: jnp.expm1(x) / x,
        "exprel_derivative": exprel_slope,
        "lgamma": special.gammaln,
        "clip": jnp.clip,
        **{
            n: getattr(special, n)
            for n in (
                "erf erfc ndtr log_ndtr i0 i1 i0e gamma digamma betainc gammainc logit "
                "logsumexp".split()
            )
        },
    }


def as_jax(root: Term, leaves: Sequence[Term]) -> Callable[..., Any]:
    """A program of terms as a function of JAX arrays; constants are Python numbers."""
    import jax.numpy as jnp

    names = spellings()
    order = topological([*leaves, root])

    def number(value: Any) -> Any:
        return value if isinstance(value, int) else float(value)

    def f(*values: Any) -> Any:
        known: dict[Term, Any] = dict(zip(leaves, values, strict=True))
        for term in order:
            if term in known:
                continue
            if term.op is CONST:
                known[term] = number(term.params[0])
                continue
            args = [known[a] for a in term.args]
            params = {k: v for k, v in term.static.items() if k != "shape"}
            if term.op.name == "power" and term.args[1].op is CONST:
                p = args[1]
                known[term] = args[0] ** (int(p) if p == int(p) and abs(p) <= 64 else p)
                continue
            run = names.get(term.op.name) or getattr(jnp, term.op.name)
            known[term] = run(*args, **params)
        return jnp.asarray(known[root])

    return f


def rounded_constants(root: Term) -> Term:
    """The program with its constants as the dtype holds them, as JAX takes them."""
    found = {
        t: const(round_const(t.params[0], t.dtype), t.dtype, t.shape)
        for t in topological([root])
        if t.op is CONST and isinstance(t.params[0], Fraction)
    }
    return rebuild([root], found)[0] if found else root


# -- points -----------------------------------------------------------------------------------


def flat(values: Sequence[Any]) -> list[float]:
    """All numbers of several arrays."""
    return [float(v) for a in values for v in np.ravel(np.asarray(a, float))]


def shaped(numbers: Sequence[float], like: Sequence[Any], dtype: Any) -> list[Array]:
    """The numbers in the shapes of the values."""
    found, at = [], 0
    for a in like:
        size = np.asarray(a).size
        found.append(np.asarray(numbers[at : at + size], dtype).reshape(np.shape(a)))
        at += size
    return found


def moved(numbers: Sequence[float], move: Callable[[float], float], gap: float) -> list[float]:
    """Numbers moved one by one; one that neighbours 1 or an earlier one stays its neighbour.

    Args:
        numbers: what to move.
        move: where a number goes that has no neighbour.
        gap: the power to which a distance between neighbours is taken.
    """
    found: list[float] = []
    for i, v in enumerate(numbers):
        anchors = [(1.0, 1.0), (-1.0, -1.0), *zip(numbers[:i], found, strict=True)]
        near = [(abs(v / a - 1), a, b) for a, b in anchors if a and abs(v / a - 1) < NEAR]
        if near:
            distance, a, b = min(near)
            step = math.copysign(distance**gap, v / a - 1) if distance else 0.0
            found.append(b * (1 + step))
        else:
            found.append(move(v))
    return found


def squeezed(v: float) -> float:
    """A number with its exponent in the range of float32."""
    if v == 0 or 1e-3 <= abs(v) <= 1e3:
        return v
    return math.copysign(10 ** (math.log10(abs(v)) * 0.11), v)


def points(values: Sequence[Any], dtype: Any, rng: np.random.Generator) -> Iterator[list[Array]]:
    """The rule's own point and others like it, in a dtype."""
    single = np.dtype(dtype) == np.float32
    numbers = flat(values)
    gap = 7 / 16 if single else 1.0
    bases = [numbers, moved(numbers, squeezed, gap)] if single else [numbers]
    bases.append(moved(bases[-1], lambda v: v / 8 if abs(v) > 60 and abs(v) < 2e3 else v, gap=1.0))
    chosen = list(bases)
    for base in bases[-2:]:
        for _ in range(2):
            factor = 2.0 ** rng.normal(0, 1)
            chosen.append(moved(base, lambda v, f=factor: v * f * rng.uniform(0.9, 1.1), 1.0))
    for scale in (1e-3, 0.3, 3.0):
        everyday = [math.copysign(abs(rng.normal()) * scale + 1e-6, v) for v in numbers]
        chosen.append(everyday)
    chosen.append([math.copysign(rng.uniform(0.05, 0.95), v) for v in numbers])
    for c in chosen:
        with np.errstate(all="ignore"):
            found = shaped(c, values, dtype)
        limits = np.finfo(dtype)
        sizes = np.abs(np.array(flat(found)))
        if np.isfinite(sizes).all() and ((sizes == 0) | (sizes >= float(limits.tiny))).all():
            yield found


# -- judging ----------------------------------------------------------------------------------


def error_of(got: Any, true: Any, dtype: Any) -> float:
    """The error in ulp of the worst element that counts; -1 where none does."""
    value = np.atleast_1d(np.asarray(true.value, float))
    status = np.atleast_1d(np.asarray(true.status))
    limits = np.finfo(dtype)
    size = np.abs(value)
    good = (status <= oracle.Status.LIMIT) & np.isfinite(size)
    normal = good & (size >= float(limits.tiny)) & (size <= float(limits.max))
    zero = good & (size == 0)
    if not (normal | zero).any():
        return -1.0
    got = np.atleast_1d(np.asarray(got))
    with np.errstate(all="ignore"):
        error = np.atleast_1d(np.asarray(oracle.err_ulp(got, true), float))
        scale = size[normal].max(initial=0.0) or 1.0
        at_zero = np.abs(got.astype(float)) / scale / float(limits.eps)
    error = np.where(zero, at_zero, error)
    error = np.where(np.isnan(error), np.inf, error)
    return float(error[normal | zero].max())


def copied(f: Callable[..., Any], times: int) -> Callable[..., Any]:
    """A function mapped over copies of its arguments, as large arrays are; the first result."""
    import jax

    def first(*args: Any) -> Any:
        rows = [jax.numpy.broadcast_to(x, (times, *x.shape)) for x in map(jax.numpy.asarray, args)]
        return jax.tree.map(lambda x: x[0], jax.vmap(f)(*rows))

    return first


def judged(case: Case, dtype: Any, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """A row a point and order, with the errors of JAX and ours."""
    import jax

    import stablegrad.jax as sj
    from stablegrad.jax.regions import FEW

    name, function, values = case
    runs: dict[str, Any] = {}
    for point in points(values, dtype, rng):
        leaves = [leaf(v) for v in point]
        root = rounded_constants(function(*leaves))
        bindings = {x: x.params[0].value for x in leaves}
        unique = list(dict.fromkeys(leaves))
        if len(unique) < len(leaves):
            continue
        if not runs:
            f = as_jax(root, leaves)
            stable = sj.stabilize(f)
            for kind, g in (("naive", f), ("stable", stable), ("large", stable)):

                def both(*args: Any, g: Any = g) -> Any:
                    every = tuple(range(len(args)))
                    return g(*args), jax.grad(lambda *a: g(*a).sum(), every)(*args)

                runs[kind] = jax.jit(copied(both, FEW + 1) if kind == "large" else both)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = {k: jax.tree.map(np.asarray, run(*point)) for k, run in runs.items()}
        true = [oracle.truth(root, bindings, dtype, budget=BUDGET)]
        if (np.asarray(true[0].status) > oracle.Status.LIMIT).any():
            continue  # outside the domain
        true += oracle.gradient(root, leaves, bindings, dtype, budget=BUDGET)
        for i, t in enumerate(true):
            got = {k: v[0] if i == 0 else v[1][i - 1] for k, v in found.items()}
            errors = {k: error_of(v, t, dtype) for k, v in got.items()}
            if errors["stable"] < 0:
                continue
            yield {
                "rule": name,
                "what": "value" if i == 0 else f"slope {i - 1}",
                "dtype": np.dtype(dtype).name,
                "point": [v.tolist() for v in point],
                "true": np.asarray(t.value, float).tolist(),
                "got": np.asarray(got["stable"], float).tolist(),
                **errors,
            }


def main(argv: Sequence[str] | None = None) -> None:
    """Judge every program."""
    from tests.rules.test_families import CASES

    parser = arguments(__doc__)
    parser.add_argument("--only", default="", help="rules whose name holds this text")
    parser.add_argument("--dtype", default="", help="float32 or float64; both if not given")
    parser.add_argument("--part", default="0/1", help="i/n: every n-th program from the i-th on")
    options = parser.parse_args(argv)
    import jax

    jax.config.update("jax_platforms", "cpu")
    part, parts = map(int, options.part.split("/"))
    chosen = [(i, c) for i, c in enumerate(CASES) if options.only in c[0] and i % parts == part]
    if options.tiny:
        chosen = chosen[::80]
    rows: list[dict[str, Any]] = []
    for dtype in [options.dtype] if options.dtype else ["float32", "float64"]:
        with jax.enable_x64(dtype == "float64"):
            for i, case in chosen:
                try:
                    rows += [
                        {"program": i, **row}
                        for row in judged(case, dtype, np.random.default_rng([SEED, i]))
                    ]
                except Exception as error:  # noqa: BLE001 - told, and counted
                    text = f"{type(error).__name__}: {error}".splitlines()[0][:120]
                    console.print(f"{case[0]}-{i} {dtype}: {text}", markup=False)
    bad = [r for r in rows if r["stable"] > SHARP_ULP]
    bad.sort(key=lambda r: (r["naive"] > RIGHT_ULP, -r["stable"]))
    table(
        f"over 4 ulp ({len(rows)} results)",
        ["program", "what", "dtype", "point", "true", "got", "ours", "JAX"],
        [
            [
                f"{r['rule']}-{r['program']}",
                r["what"],
                r["dtype"],
                str(r["point"]),
                f"{r['true']}",
                f"{r['got']}",
                f"{r['stable']:.3g}",
                f"{r['naive']:.3g}",
            ]
            for r in bad
        ],
    )
    counts = {}
    for dtype in ("float32", "float64"):
        mine = [r for r in rows if r["dtype"] == dtype]
        for kind, bound in (("wrong", RIGHT_ULP), ("unsharp", SHARP_ULP)):
            ours = [r for r in mine if r["stable"] > bound]
            counts[f"{dtype} {kind}"] = {
                "results": len(mine),
                "JAX": sum(r["naive"] > bound for r in mine),
                "ours": len(ours),
                "lost": sum(r["naive"] <= bound for r in ours),
                "large": sum(r["large"] > bound for r in mine),
                "lost large": sum(r["naive"] <= bound < r["large"] for r in mine),
            }
    for kind, count in counts.items():
        console.print(f"{kind}: {count}")
    save(options.out, "jax_rules", rows, counts=counts)


if __name__ == "__main__":
    main()
