"""scipy.special's names for tensors, and ours of the same kind.

Functions take tensors, arrays and numbers, and give tensors.
"""

from __future__ import annotations

from typing import Any

import scipy.special

from stablegrad.special.distributions import (
    bdtr,
    bdtrc,
    betaincc,
    btdtr,
    chdtr,
    chdtrc,
    fdtr,
    fdtrc,
    gdtr,
    gdtrc,
    nbdtr,
    nbdtrc,
    pdtr,
    pdtrc,
    stdtr,
)
from stablegrad.special.families import (
    binom,
    boxcox,
    boxcox1p,
    comb,
    cotdg,
    factorial,
    inv_boxcox,
    inv_boxcox1p,
    j0,
    j1,
    jn,
    jv,
    k0,
    k0e,
    k1,
    k1e,
    kn,
    kv,
    kve,
    lambertw,
    multigammaln,
    poch,
    radian,
    tandg,
    y0,
    y1,
    yn,
    yv,
)
from stablegrad.special.functions import (
    ELEMENTWISE,
    elementwise,
    fresnel,
    haversine,
    log_softmax,
    logsumexp,
    polygamma,
    sici,
    softmax,
    versine,
    zeta,
)

globals().update(elementwise())

__all__ = [
    "bdtr", "bdtrc", "betaincc", "binom", "boxcox", "boxcox1p", "btdtr", "chdtr", "chdtrc", "comb",
    "cotdg", "factorial", "fdtr", "fdtrc", "fresnel", "gdtr", "gdtrc", "haversine", "inv_boxcox",
    "inv_boxcox1p", "j0", "j1", "jn", "jv", "k0", "k0e", "k1", "k1e", "kn", "kv", "kve",
    "lambertw", "log_softmax", "logsumexp", "multigammaln", "nbdtr", "nbdtrc", "pdtr", "pdtrc",
    "poch", "polygamma", "radian", "sici", "softmax", "stdtr", "tandg", "versine", "y0", "y1",
    "yn", "yv", "zeta",
]  # fmt: skip
__all__ += list(ELEMENTWISE)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Say what to do about a name that is not here."""
    hint = "; `stablegrad ops` lists all ops"
    if callable(getattr(scipy.special, name, None)):
        hint = f"; scipy.special.{name}(np.asarray(t)) gives the value, without gradients"
    raise AttributeError(f"stablegrad.special has no {name!r}{hint}")
