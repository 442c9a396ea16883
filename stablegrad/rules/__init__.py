"""The rules: one file per theme; what follows from an op's spellings comes by itself."""

from stablegrad.rules import (
    differences,
    explog,
    logistic,
    powers,
    roots,
    signs,
    softmax,
    spellings,
    tails,
)
from stablegrad.rules.databases import stabilize

DATABASES = (stabilize,)
"""The databases in force unless switched off, in the order in which they are consulted."""

spellings.load()
