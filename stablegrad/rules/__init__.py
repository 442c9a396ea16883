"""The rules: one file per theme; what follows from an op's spellings comes by itself."""

from importlib import import_module

from stablegrad.rules import spellings
from stablegrad.rules.databases import stabilize

THEMES = (
    "angles",
    "cancelling",
    "choices",
    "compound",
    "concentration",
    "differences",
    "divergences",
    "entry_shares",
    "excess",
    "explog",
    "fractions",
    "gammas",
    "incomplete",
    "inverses",
    "jensen",
    "logistic",
    "logs",
    "logsums",
    "matrices",
    "mixtures",
    "moments",
    "power_means",
    "powers",
    "quotients",
    "radial",
    "reductions",
    "removable",
    "roots",
    "shares",
    "signs",
    "softmax",
    "tails",
    "weighted",
)
"""The files in which rules are declared; importing one adds its rules to their databases."""

DATABASES = (stabilize,)
"""The databases in force unless switched off, in the order in which they are consulted."""

for _theme in THEMES:
    import_module(f"{__name__}.{_theme}")
spellings.load()
