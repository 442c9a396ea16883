"""Differences of values of a function, given that of their arguments before it is rounded.

For engines that cannot redo a gap by a code: (x - a)/s less (x - b)/s is (b - a)/s, and
(a - e) - (b - e) is a - b, which are sums and products as any other.
"""

from __future__ import annotations

from collections.abc import Sequence

from stablegrad.canonical import canonical
from stablegrad.ir import Term, topological
from stablegrad.ops import forms
from stablegrad.ops.lowered_gaps import GAPS, INTERVALS, WAVES
from stablegrad.transforms.given import is_made_of_given
from stablegrad.transforms.rational import is_exact

_NAMES = GAPS | INTERVALS | WAVES


def steps(roots: Sequence[Term]) -> dict[Term, Term]:
    """The differences of the arguments of gaps that are made of the program's numbers."""
    found: dict[Term, Term] = {}
    for term in topological(roots):
        if term.op.name in _NAMES and not all(is_exact(x) for x in term.args):
            a, b = term.args
            shape = forms.broadcast(forms.AFFINE, (a, b))
            step = canonical(forms.total([(1, a), (-1, b)], shape, a.dtype), below={a, b})
            if is_made_of_given(step):
                found[term] = step
    return found
