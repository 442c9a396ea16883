"""Kernels of what is made of float32 numbers: float64 without pairs, NumPy for few elements.

Ordinary arrays stay on the device: the elements that need more are found from the arguments, and
the host is called where there are any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stablegrad.engines.xla import kernels
from stablegrad.ir import OPS
from stablegrad.ops.power_kernels import settled_derivative

Kernel = Callable[..., Any]
_WIDE = np.dtype(np.float64)


def settled(name: str, usual: Kernel, covers: Callable[[dict[str, Any]], bool]) -> Kernel:
    """The kernel of an op: NumPy has the elements that are not settled, of nan alone none.

    Args:
        name: of the op.
        usual: the values of float64 arrays of one shape, and where they are right to what
            float32 needs.
        covers: whether it is meant for parameters of the op.
    """

    def kernel(xp: Any, *xs: Any, **params: Any) -> Any:
        if not covers(params) or not kernels.calls_back():
            return (kernels.KERNELS.get(name) or OPS[name].kernel)(xp, *xs, **params)

        def alarm(*args: Any) -> Any:
            known = ~usual(xp, *args, **params)[1]
            for x in args:
                known = known & (x == x)
            return known.astype(np.float32)

        def run(value: Any, alarmed: Any, *args: Any) -> Any:
            at = np.asarray(alarmed) != 0
            value = np.array(value)
            value[at] = OPS[name].kernel(kernels.NUMPY, *[x[at] for x in args], **params)
            return value

        def again(value: Any, *args: Any) -> Any:
            return kernels.hosted(run)(value, alarm(*args), *args)

        def none(value: Any, *_: Any) -> Any:
            return value

        @kernels.custom_vmap_of(0)
        def chosen(value: Any, *args: Any) -> Any:
            alarmed = xp.max(alarm(*args), initial=0.0) > 0
            return xp.lax.cond(alarmed, again, none, value, *args)

        args = [x.astype(_WIDE) for x in xp.broadcast_arrays(*xs)]
        value = usual(xp, *args, **params)[0]
        for x in args:
            value = xp.where(x == x, value, xp.nan)
        return chosen(value, *args)

    return kernel


def _by_one(params: dict[str, Any]) -> bool:
    return not (params["n"] and params["m"])


POWERS = {"power_derivative": settled("power_derivative", settled_derivative, _by_one)}
"""By op, as the gamma family."""
