"""The derivative that somebody gave a JAX function, against the truth of what it computes.

The gradient is JAX's own, by the ``custom_vjp`` or ``custom_jvp`` as it runs there; the truth is
the oracle's, of the function's body alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stablegrad.audit.trace import is_numbers, name_of, wrong
from stablegrad.audit.trace_jax import jax_inputs
from stablegrad.function.check import SEED, GradientReport, report_of
from stablegrad.ir import OPS, Term, topological
from stablegrad.jax.unrolled import flat_function, unroll
from stablegrad.ops.record import LEAF, is_float
from stablegrad.oracle import Truth, gradient
from stablegrad.tensor.cells import freeze, value_leaf

Array = np.ndarray[Any, Any]


class _Rule:
    """A JAX function at one point: its gradient, and what it should be."""

    def __init__(self, f: Callable[..., Any], args: Sequence[Any]) -> None:
        import jax

        given, names, inputs, _ = jax_inputs(f, args)
        plain = unroll(f, given, inputs, is_numbers, rules=False)
        own = flat_function(f, given, [x is not None for x in inputs], is_numbers)
        started = [x for x in inputs if x is not None]
        known = [n for n, x in zip(names, inputs, strict=True) if x is not None]
        floats = [i for i, x in enumerate(started) if x.term is not None and is_float(x.term.dtype)]
        if not floats:
            raise wrong(f, f"{name_of(f)} with no floating-point input", "one at least")
        self.results = [k for k, y in enumerate(plain.results) if is_float(np.dtype(y.value.dtype))]
        self.outputs = [plain.results[k].as_term() for k in self.results]
        if not self.outputs:
            raise wrong(f, f"no floating-point result of {name_of(f)}", "one at least")
        self.names = [known[i] for i in floats]
        self.primals = [started[i].value for i in floats]
        self.values = [np.asarray(v) for v in self.primals]
        self.variables = [t for i in floats if (t := started[i].term) is not None]

        def forward(*xs: Any) -> list[Any]:
            values = [x.value for x in started]
            for i, x in zip(floats, xs, strict=True):
                values[i] = x
            found = jax.tree.leaves(own(*values))
            return [found[k] for k in self.results]

        self.forward = forward
        rng = np.random.default_rng(SEED)
        self.dys = [
            rng.uniform(0.5, 2, y.shape).astype(y.dtype).reshape(y.shape) for y in self.outputs
        ]

    def pull(self, factor: float) -> list[Array]:
        """The gradients by the inputs for the cotangents times a factor, as JAX has them."""
        import jax

        _, pulled = jax.vjp(self.forward, *self.primals)
        seeds = [jax.numpy.asarray(dy * dy.dtype.type(factor)) for dy in self.dys]
        return [np.asarray(g) for g in pulled(seeds)]

    def truths(self) -> list[Truth]:
        """The true gradients, of what the function computes."""
        total: Term | None = None
        bindings: dict[Term, Any] = {}
        for y, dy in zip(self.outputs, self.dys, strict=True):
            seed = value_leaf(freeze(dy))
            part = OPS["sum"](OPS["multiply"](y, seed))
            total = part if total is None else OPS["add"](total, part)
        assert total is not None
        for term in [*topological([total]), *self.variables]:
            if term.op is LEAF:
                bindings.setdefault(term, term.params[0].value)
        return gradient(total, self.variables, bindings)

    def tangents(self) -> str:
        """What is wrong with the rule for tangents, if it has one: it must follow them."""
        import jax

        steps = [jax.numpy.ones_like(x) for x in self.primals]
        try:
            once, twice = (
                jax.jvp(self.forward, self.primals, [s * k for s in steps])[1] for k in (1, 2)
            )
        except Exception:  # noqa: BLE001 - a custom_vjp has none, and JAX says so
            return ""
        pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(once, twice, strict=True)]
        if any(np.any(a) for a, _ in pairs) and all(
            np.array_equal(a, b, equal_nan=True) for a, b in pairs
        ):
            return "the rule does not depend on the tangent that it is given"
        return ""


def check_jax(f: Callable[..., Any], *args: Any, max_ulp: float = 64) -> GradientReport:
    """Compare the gradient of a JAX function, by the rule that it was given, with the truth.

    Args:
        f: a ``jax.custom_vjp`` or ``jax.custom_jvp``, or any function of JAX arrays.
        args: its arguments, in containers or not; floating-point ones are checked.
        max_ulp: the greatest error that counts as right.

    Returns:
        A report: true where the rule is right and linear; else what is wrong with it, and where.

    Raises:
        DTypeError: no floating-point argument or result; a primitive that cannot be read.
    """
    rule = _Rule(f, args)
    found = report_of(rule, max_ulp)
    told = rule.tangents()
    return replace(found, ok=False, reasons=(told, *found.reasons)) if told else found
