"""What functions are near 0: where the argument is lost below the range, so is the function.

A factor ``cosm1(x)`` of a product underflows at 1e-200 where the product with 1e300 does not.
"""

from __future__ import annotations

import math
from fractions import Fraction

_LINEAR = (
    "expm1 log1p sinh sin tan tanh arcsin arctan arcsinh arctanh softsign dawsn sine_integral "
    "fresnel_cosine lambert_w"
)
_HALVED = "silu gelu gelu_tanh i1 i1e log_exprel sqrt1pm1"
_HALF = Fraction(1, 2)

LEADING: dict[str, tuple[int, Fraction | float]] = {
    **dict.fromkeys(_LINEAR.split(), (1, Fraction(1))),
    **dict.fromkeys(_HALVED.split(), (1, _HALF)),
    **dict.fromkeys("log_cosh expm1mx coshm1 lorentz_excess".split(), (2, _HALF)),
    **dict.fromkeys("log1pmx cosm1".split(), (2, -_HALF)),
    "mish": (1, Fraction(3, 5)),
    "sindg": (1, math.pi / 180),
    "erf": (1, 2 / math.sqrt(math.pi)),
    "erfi": (1, 2 / math.sqrt(math.pi)),
    "log_erfc": (1, -2 / math.sqrt(math.pi)),
    "erfinv": (1, math.sqrt(math.pi) / 2),
    "log_i0": (2, Fraction(1, 4)),
    "tanhshrink": (3, Fraction(1, 3)),
    "x_minus_sin": (3, Fraction(1, 6)),
    "fresnel_sine": (3, math.pi / 6),
}
"""The first term k, c of each function's series at 0, c*x**k; the next is x times smaller."""
NEAR = -60
"""Below this power of two the first term is the function."""
