"""The rules: one file per theme; what follows from an op's spellings comes by itself."""

from stablegrad.rules import explog, logistic, roots, signs, softmax, spellings, tails  # noqa: F401
from stablegrad.rules.databases import stabilize

DATABASES = (stabilize,)
"""The databases in force unless switched off, in the order in which they are consulted."""

spellings.load()
