"""Small float32 programs with reductions are computed in float64 and rounded once.

Fragile parts of float32 programs are, op by op, as long as they are elementwise: a sum of rounded
numbers is no better for being long. In 1 - sum(sqrt(p*q)) everything is at stake that the addends
have rounded. Where the arrays are small it costs next to nothing to take the program as a whole.
What float64 loses is seldom seen in float32: sums are decided that lose half of it. Products
of matrices are left as they are, within n units of what they add.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stablegrad.ir import OPS, Term, make, topological
from stablegrad.ops.forms import AFFINE
from stablegrad.ops.lowered_structured import SETTLED, SETTLED_SUM
from stablegrad.ops.record import INPUT, is_float
from stablegrad.transforms.products import WIDE
from stablegrad.transforms.rescuing import KERNELS, NARROW
from stablegrad.transforms.structured import small_leaves

ENOUGH = 2.0**28
"""How many units in the last place of float64 must be lost until float32 sees it."""
TERMS = 192

Lower = Callable[[Sequence[Term]], list[Term]]


def lowered_widely(lower: Lower, roots: Sequence[Term]) -> tuple[list[Term], set[Term]]:
    """The roots, lowered; those that are small float32 programs with reductions in float64.

    Args:
        lower: what lowers canonical terms.
        roots: canonical terms.

    Returns:
        The lowered terms, and the conversions among them.
    """
    inputs: dict[Term, Term] = {}
    wide = [_in_float64(r, inputs) for r in roots]
    if not inputs:
        return lower(roots), set()
    lowered = lower([r if w is None else w for r, w in zip(roots, wide, strict=True)])
    changes = dict(inputs)
    for t in topological(lowered):
        if t.op in SETTLED and not inputs.keys().isdisjoint(t.args):
            changes[t] = _as_decided(t, changes)
        elif any(a in changes for a in t.args):
            args = tuple([changes.get(a, a) for a in t.args])
            changes[t] = make(t.op, args, t.params, t.shape, t.dtype)
    done = [changes.get(t, t) for t in lowered]
    done = [
        t if w is None or t.dtype == r.dtype else OPS["astype"](t, dtype=r.dtype)
        for t, w, r in zip(done, wide, roots, strict=True)
    ]
    return done, {*inputs.values(), *[t for t, w in zip(done, wide, strict=True) if w is not None]}


def _in_float64(root: Term, inputs: dict[Term, Term]) -> Term | None:
    """A float32 program over float64 inputs; None where it is no small one with reductions."""
    if root.dtype != NARROW or small_leaves(root, TERMS) is None:
        return None
    order = topological([root])
    if not all(_is_plain(t) for t in order):
        return None
    done: dict[Term, Term] = {}
    for t in order:
        dtype = WIDE if is_float(t.dtype) else t.dtype
        args = tuple([done[a] for a in t.args])
        done[t] = make(t.op, args, t.params, t.shape, dtype)
        if t.op is INPUT and dtype != t.dtype:
            inputs[done[t]] = OPS["astype"](t, dtype=WIDE)
    return done[root]


def _as_decided(t: Term, changes: dict[Term, Term]) -> Term:
    """What decides a value, where float32 sees it; otherwise the value alone."""
    value, *rest = [changes.get(a, a) for a in t.args]
    meant = t.params[-1]
    if t.op is not SETTLED_SUM or meant.op is not AFFINE:
        return value
    params = (*t.params[:-2], ENOUGH, meant)
    return make(t.op, (value, *rest), params, t.shape, t.dtype)


def _is_plain(t: Term) -> bool:
    """Whether an op means the same in float64."""
    narrow = t.dtype == NARROW or not is_float(t.dtype)
    same = t.op.name != "astype" and t.op.name not in KERNELS and t.op.family != "linalg"
    return narrow and same
