"""How functions behave: at 0, far out, and at the negative of their argument.

A factor ``cosm1(x)`` of a product underflows at 1e-200 where the product with 1e300 does not, and
so does ``erfc(x)`` at 30. Told here alone; that nothing is missing is tested on all ops.
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

LEADING: dict[str, tuple[int | Fraction, Fraction | float]] = {
    **dict.fromkeys(_LINEAR.split(), (1, Fraction(1))),
    **dict.fromkeys(_HALVED.split(), (1, _HALF)),
    **dict.fromkeys("log_cosh expm1mx coshm1 lorentz_excess".split(), (2, _HALF)),
    **dict.fromkeys("log1pmx cosm1".split(), (2, -_HALF)),
    "mish": (1, Fraction(3, 5)),
    "sindg": (1, math.pi / 180),
    "erf": (1, 2 / math.sqrt(math.pi)),
    "erfi": (1, 2 / math.sqrt(math.pi)),
    "log_erfc": (1, -2 / math.sqrt(math.pi)),
    "log1pmx_slope": (1, Fraction(-1)),
    **dict.fromkeys(("arccos1m", "arccosh1p"), (_HALF, math.sqrt(2))),
    "erfinv": (1, math.sqrt(math.pi) / 2),
    "log_i0": (2, Fraction(1, 4)),
    "tanhshrink": (3, Fraction(1, 3)),
    "x_minus_sin": (3, Fraction(1, 6)),
    "fresnel_sine_slope": (2, math.pi / 2),
    "fresnel_sine": (3, math.pi / 6),
}
"""The first term k, c of each function's series at 0, c*x**k; the next is x times smaller."""
NEAR = -60
"""Below this power of two the first term is the function."""
SIGNED = frozenset([name for name, (k, c) in LEADING.items() if k % 2 == 1 and c > 0])
SIGNED |= frozenset(["sqrt", "cbrt"])
"""Functions that keep the sign of a zero."""

ODD = frozenset(
    (
        "arcsin arcsinh arctan arctanh cbrt dawsn erf erfi erfinv fresnel_cosine fresnel_sine i1 "
        "i1e negative positive reciprocal round sign sin sindg sine_integral sinh softsign "
        "stop_gradient tan tanh tanhshrink trunc x_minus_sin"
    ).split()
)
"""Functions that change their sign with that of their argument."""
EVEN = frozenset(
    (
        "abs bose_slope cbrt_slope cos cosdg cosh coshm1 cosine_integral cosm1 erfinv_slope "
        "fresnel_cosine_slope fresnel_sine_slope i0 i0e log_cosh log_i0 lorentz_excess "
        "one_minus_cos_over_square one_minus_square sech sech_squared sigmoid_slope sinc "
        "sinc_unnormalised sinhc square"
    ).split()
)
"""Functions that do not see the sign of their argument."""

FALLS = frozenset(
    (
        "beta beta_density betainc betainc_by bose_slope bose_slope_difference compound_sum "
        "dawsn_derivative ellipk_derivative erf_gap erfc erfcx_derivative exp exp1 exp10 exp2 "
        "expi exprel_derivative gamma gamma_density gamma_density_derivative gammainc "
        "gammainc_by_a gammaincc gelu gelu_derivative gelu_tanh gelu_tanh_derivative "
        "geometric_sum hurwitz_zeta i0e_derivative i1e_derivative log1mexp log1mexp_slope "
        "log1prel_derivative log_erfc_derivative log_exp_step log_expm1_slope log_ndtr "
        "log_ndtr_derivative log_ndtr_difference log_ndtr_difference_derivative log_sigmoid "
        "log_sigmoid_difference logdiffexp_weight logrel_derivative mish mish_derivative ndtr "
        "ndtr_gap one_minus_cos_over_square one_minus_cos_over_square_derivative pow1p "
        "pow1p_derivative power power_derivative powm1_derivative sech sech_squared share2 "
        "share2_slope sigmoid sigmoid_difference sigmoid_slope silu silu_derivative softplus "
        "union_slope"
    ).split()
)
"""Functions that are lost below the range of floats far out, where their argument is in range."""
GROWS = frozenset(
    (
        "bessel_i beta bose_slope compound_sum cosh coshm1 erfcinv_bend erfcx erfcx_derivative "
        "erfi exp exp10 exp2 exp_gap expi expm1 expm1mx exprel exprel_derivative gamma "
        "gamma_density gamma_density_derivative geometric_sum hurwitz_zeta i0 i1 log_erfc "
        "log_ndtr one_minus_square polygamma pow1p pow1p_derivative pow1pm1 power "
        "power_derivative powm1 powm1_derivative sinh sinh_sqrt_over_sqrt sinhc sinhc_derivative "
        "sinhc_sqrt sinhc_sqrt_derivative square"
    ).split()
)
"""Functions that are beyond the range of floats where their argument is in range."""
SIZED = frozenset("abs hypot cbrt cbrt_slope".split())
"""Functions that are of the size of their arguments, or of a root of it."""
PRODUCTS = frozenset("power_gap log_step inverse_power_cos inverse_power_sin".split())
"""Functions that leave the range as products of their arguments do."""
SLOW = frozenset("arcsinh arccosh log2 log10 one_plus_log sqrt1pm1".split())
"""Functions that are about a logarithm or root far out: in range where their argument is not."""
ENDLESS = frozenset(
    (
        "cosine_integral erfcinv exp1 expi lgamma log log10 log1mexp log2 log_expm1 logit logrel "
        "ndtri ndtri_exp one_plus_log"
    ).split()
)
"""Functions with a pole at 0 and about a logarithm beside it: in range where that is lost."""
