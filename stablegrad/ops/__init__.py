"""The vocabulary: one record per op, by family.

Every op is an attribute here under its own name, whichever module declares it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stablegrad.ir import OPS
from stablegrad.ops import (  # noqa: F401 - importing a family declares its ops
    activations,
    along_axis,
    arithmetic,
    attend,
    base_powers,
    bessel,
    bessel_k,
    comparison,
    compound,
    concentration,
    dawson,
    degrees,
    derivative,
    determinants,
    differences,
    divergences,
    eigen,
    einsums,
    elliptic,
    exp_gaps,
    exponential,
    extremes,
    forms,
    fresnel,
    fused,
    gamma_function,
    gamma_logs,
    gamma_steps,
    gaps,
    hyperbolic,
    incomplete,
    indexing,
    information,
    integrals,
    interval_probability,
    inverse_error,
    inverse_power,
    jensen,
    linalg,
    logistic,
    logsums,
    matrix_exponential,
    moments,
    normal_gaps,
    normalizing,
    norms,
    orthogonal,
    oscillating,
    power_gaps,
    powers,
    products,
    reduction,
    relatives,
    robust,
    root_differences,
    rounding,
    running_extremes,
    running_logsums,
    running_products,
    selection,
    shape,
    sinc_family,
    sine_integrals,
    singular,
    sliding,
    softmax_family,
    solving,
    sorting,
    special_error,
    special_gamma,
    spectral,
    structured,
    trigonometric,
    vectors,
    zeta,
)

if TYPE_CHECKING:
    from stablegrad.ops.record import Op


def __getattr__(name: str) -> Op:
    """The op of this name."""
    if name in OPS:
        return OPS[name]
    raise AttributeError(f"stablegrad.ops has no op {name!r}; `stablegrad ops` lists them all")


def __dir__() -> list[str]:
    return sorted(OPS)
