"""Synthesis: kernels made and proved from expressions of one value.

``synthesize`` finds the fragile parts of a program; ``table_of`` makes the kernel of one; the
docs page on synthesis says how it is done and what is proved.
"""

from stablegrad.synthesis.build import Builder, DeclinedError
from stablegrad.synthesis.detect import Allowance, synthesize
from stablegrad.synthesis.fragile import Run
from stablegrad.synthesis.kernel import evaluate
from stablegrad.synthesis.recipe import Recipe, X, recipe
from stablegrad.synthesis.reduce import reduced
from stablegrad.synthesis.store import table_for, table_of
from stablegrad.synthesis.table import Table

__all__ = [
    "Allowance",
    "Builder",
    "DeclinedError",
    "Recipe",
    "Run",
    "Table",
    "X",
    "evaluate",
    "recipe",
    "reduced",
    "synthesize",
    "table_for",
    "table_of",
]
