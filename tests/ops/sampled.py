"""Ops whose truth is dear, or whose bound holds on a part of the range: see test_incomplete."""

WHOLE_RANGE = ("betaln", "lgamma_difference", "polygamma_difference", "log_minus_digamma")
"""Held to the contract at fewer bit patterns than the others."""

ON_A_RANGE = (
    "gammainc",
    "gammaincc",
    "gammainc_by_a",
    "gamma_density",
    "gamma_density_derivative",
    "betainc",
    "betainc_by",
    "beta_density",
    "hurwitz_zeta",
    "kve_derivative",
    "lgamma_step",
    "polygamma_step",
    "gamma",
    "beta",
    "expi",
    "cosine_integral",
    "bessel_j",
    "bessel_y",
)
"""Held to the bound that the record states, where it states it."""
