"""Einstein's summation. Its normal form has explicit output, plain labels and whole axes.

Before a term is built, an ellipsis becomes labels, a label repeated within one operand becomes
a diagonal, and an axis of length 1 that meets a longer one is dropped; so the derivative is
again an einsum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from string import ascii_letters
from typing import Any

from stablegrad.errors import ShapeError, message
from stablegrad.ir import OPS, Shape, Term
from stablegrad.ops.linalg import (
    PRODUCT_BOUND,
    diagonal,
    joint_mask,
    product_facts,
    working,
)
from stablegrad.ops.shape import expand_dims, squeeze
from stablegrad.ops.structured import Normal, Params, Terms, full_support, structured, sum_of

WORK_FOR_PLAN = 20_000  # products; below, NumPy's plain loop is faster than planning


# -- normal form --------------------------------------------------------------------------


def _wrong(subscripts: str, why: str) -> ShapeError:
    return ShapeError(message(f"einsum {subscripts!r}", why))


def _parse(subscripts: str, shapes: Sequence[Shape]) -> tuple[list[str], str]:
    """Labels of each operand and of the output, ellipses replaced by fresh labels."""
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(shapes):
        raise _wrong(subscripts, f"as many operands as terms ({len(shapes)})")
    fresh = [c for c in ascii_letters if c not in text]
    extra = [len(s) - len(i.replace("...", "")) for i, s in zip(inputs, shapes, strict=True)]
    most = max([n for n, i in zip(extra, inputs, strict=True) if "..." in i], default=0)
    dots = "".join(fresh[: max(most, 0)])
    named: list[str] = []
    for labels, n, shape in zip(inputs, extra, shapes, strict=True):
        if n < 0 or (n > 0 and "..." not in labels):
            raise _wrong(subscripts, f"a label for each axis of shape {shape}")
        named.append(labels.replace("...", dots[len(dots) - n :]))
    if not arrow:
        once = [c for c in sorted(set("".join(inputs)) - {"."}) if "".join(inputs).count(c) == 1]
        output = dots + "".join(once)
    output = output.replace("...", dots)
    known = set("".join(named))
    if not all(c in ascii_letters for c in [*known, *output]):
        raise _wrong(subscripts, "letters, commas, ... and ->")
    if len(set(output)) < len(output) or not set(output) <= known:
        raise _wrong(subscripts, "output labels that occur in an operand, each once")
    return named, output


def _normal_einsum(terms: Terms, params: Params) -> Normal:
    subscripts = params[0]
    inputs, output = _parse(subscripts, [t.shape for t in terms])
    lengths: dict[str, int] = {}
    for labels, t in zip(inputs, terms, strict=True):
        for c, n in zip(labels, t.shape, strict=True):
            if n != 1 and lengths.setdefault(c, n) != n:
                shapes = " and ".join(str(t.shape) for t in terms)
                raise _wrong(
                    f"{subscripts} of shapes {shapes}",
                    f"one length for {c!r}, not {lengths[c]} and {n}",
                )
    ready: list[Term] = []
    names: list[str] = []
    seen: set[str] = set()
    for given, given_labels in zip(terms, inputs, strict=True):
        x, labels = _plain_operand(given, given_labels, lengths, seen)
        seen.update(labels)
        ready.append(x)
        names.append(labels)
    order = dict.fromkeys("".join([*names, output]))
    rename = dict(zip(order, ascii_letters, strict=False))
    normal = ",".join("".join(rename[c] for c in labels) for labels in names)
    return tuple(ready), (f"{normal}->{''.join(rename[c] for c in output)}",)


def _plain_operand(
    x: Term, labels: str, lengths: dict[str, int], seen: set[str]
) -> tuple[Term, str]:
    """The operand without repeated labels, and without axes of length 1 that others have."""
    ones = [
        i
        for i, (c, n) in enumerate(zip(labels, x.shape, strict=True))
        if n == 1 and (c in lengths or c in seen or c in labels[:i])
    ]
    if ones:
        x = squeeze(x, tuple(ones))
        labels = "".join(c for i, c in enumerate(labels) if i not in ones)
    for c in dict.fromkeys(labels):
        while labels.count(c) > 1:
            first = labels.index(c)
            second = labels.index(c, first + 1)
            x = diagonal(x, axis1=first, axis2=second)
            labels = labels[:first] + labels[first + 1 : second] + labels[second + 1 :] + c
    return x, labels


def _split(subscripts: str) -> tuple[list[str], str]:
    left, _, output = subscripts.partition("->")
    return left.split(","), output


def _sizes(args: Sequence[Any], inputs: Sequence[str]) -> dict[str, int]:
    """The length of each label."""
    sizes: dict[str, int] = {}
    for labels, a in zip(inputs, args, strict=True):
        sizes.update(zip(labels, a.shape, strict=True))
    return sizes


def _einsum_infer(args: Terms, params: Params) -> tuple[Shape, Any]:
    inputs, output = _split(params[0])
    sizes = _sizes(args, inputs)
    return tuple([sizes[c] for c in output]), args[0].dtype


# -- value and derivatives ----------------------------------------------------------------


def _einsum_kernel(xp: Any, *xs: Any, subscripts: str) -> Any:
    xs = tuple(working(xp, *xs))
    inputs, _ = _split(subscripts)
    work = math.prod(_sizes(xs, inputs).values())
    plan = len(xs) > 1 and work > WORK_FOR_PLAN and xs[0].dtype != object
    return xp.einsum(subscripts, *xs, optimize="greedy" if plan else False)


def _einsum_jvp(
    out: Term, args: Terms, tangents: Sequence[Term | None], *, subscripts: str
) -> Term:
    parts = [
        einsum_op(*args[:i], t, *args[i + 1 :], subscripts=subscripts)
        for i, t in enumerate(tangents)
        if t is not None
    ]
    return sum_of(parts)


def _einsum_vjp(out: Term, args: Terms, g: Term, *, subscripts: str) -> Terms:
    inputs, output = _split(subscripts)
    sizes = _sizes(args, inputs)
    return tuple([_pull(i, args, g, inputs, output, sizes) for i in range(len(args))])


def _pull(
    i: int, args: Terms, g: Term, inputs: Sequence[str], output: str, sizes: dict[str, int]
) -> Term:
    """The cotangent of operand i: its labels, summed from the others and the cotangent."""
    others = [*inputs[:i], *inputs[i + 1 :]]
    found = set("".join([output, *others]))
    reached = "".join(c for c in inputs[i] if c in found)
    spec = f"{','.join([output, *others])}->{reached}"
    part = einsum_op(g, *args[:i], *args[i + 1 :], subscripts=spec)
    alone = tuple([k for k, c in enumerate(inputs[i]) if c not in found])
    if alone:  # axes that were only summed: each element gets the same
        part = expand_dims(part, alone)
    return OPS["broadcast_to"](part, shape=tuple([sizes[c] for c in inputs[i]]))


def _einsum_support(term: Term) -> Term | None:
    """For each operand with a support, whether any of what it is summed over has one."""
    inputs, output = _split(term.params[0])
    masks: list[Term] = []
    for labels, a in zip(inputs, term.args, strict=True):
        support = full_support(a)
        if support is None:
            continue
        summed = tuple([k for k, c in enumerate(labels) if c not in output])
        mask = OPS["any"](support, axis=summed) if summed else support
        left = [c for c in labels if c in output]
        order = sorted(range(len(left)), key=lambda k, left=left: output.index(left[k]))
        mask = OPS["transpose"](mask, axes=tuple(order))
        missing = tuple([k for k, c in enumerate(output) if c not in left])
        masks.append(expand_dims(mask, missing) if missing else mask)
    return joint_mask(masks, term.shape)


einsum_op = structured(
    "einsum",
    family="linalg",
    params=("subscripts",),
    normalise=_normal_einsum,
    infer=_einsum_infer,
    kernel=_einsum_kernel,
    jvp=_einsum_jvp,
    vjp=_einsum_vjp,
    infer_facts=product_facts,
    support=_einsum_support,
    ulp=None,
    accuracy=PRODUCT_BOUND,
    cost=3,
    lax="dot_general",
    aten="einsum",
    source="Einstein 1916",
    doc="Sums of products named by labels, as numpy.einsum; ellipses broadcast.",
    example=(
        ">>> x = sg.tensor([[1.0, 2.0], [3.0, 4.0]])\n"
        '>>> sg.ops.einsum(x, subscripts="ii").item()\n'
        "5.0"
    ),
)


def einsum(subscripts: str, *operands: Any) -> Any:
    """Sums of products named by labels, as ``numpy.einsum``."""
    return einsum_op(*operands, subscripts=subscripts)
