"""``Tensor.backward``: the gradients of all leaves, in one evaluation with the value."""

# ruff: noqa: SLF001 - fields of tensors are private to the package, not to the class

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stablegrad.errors import NotDifferentiableError, ShapeError, message
from stablegrad.ir import OPS, Term
from stablegrad.ops.record import LEAF
from stablegrad.program import evaluate
from stablegrad.settings import DEFAULT, Settings, current
from stablegrad.tensor.cells import freeze, frozen
from stablegrad.tensor.core import Tensor, leaf_of, ones_like_term, wrap
from stablegrad.tensor.gradients import gradients, straight


def backward(root: Tensor, gradient: Any, *, create_graph: bool) -> None:
    """Add to ``.grad`` of each leaf that requires grad; see ``Tensor.backward``."""
    if not root.requires_grad:
        raise NotDifferentiableError(
            message(
                "backward() of a tensor that does not depend on any that requires grad",
                "tensors made with requires_grad=True",
                "Was it computed under no_grad, or detached?",
            )
        )
    settings = governing(root)
    same = root._value is None and (settings is root.settings or settings == root.settings)
    found: Found | None = None
    if gradient is None and root.size == 1:
        computed = straight(root.term, None, settings, valued=same)
        if computed is not None:
            found = computed.slopes
            root._value = root._value if computed.value is None else freeze(computed.value)
    if found is None:
        found = _through_history(root, seed_term(root, gradient), settings, same=same)
    for leaf, node, value in found:
        _accumulate(leaf, node, freeze(value), settings, create_graph=create_graph)


Found = Sequence[tuple[Term, Term, Any]]
"""Leaves, the terms of their gradients, and the values of these."""


def _through_history(root: Tensor, seed: Term, settings: Settings, *, same: bool) -> Found:
    """The gradients of a tensor, wherever its history leads."""
    found = gradients([(root.term, seed)], None, settings)
    pending = [node for node in found.values() if node.op is not LEAF]
    values = evaluate([*pending, root.term] if same else pending, settings)
    if same:
        root._value = freeze(values.pop())
    computed = dict(zip(pending, values, strict=True))
    return [
        (leaf, node, computed[node] if node in computed else node.params[0].value)
        for leaf, node in found.items()
    ]


def _accumulate(
    leaf: Term, node: Term, value: Any, settings: Settings, *, create_graph: bool
) -> None:
    """Add one gradient to what a leaf has; the program behind it stays known."""
    gathered = leaf.params[0].held()
    if gathered is None:
        return
    origin = node if create_graph else None
    new = leaf_of(value, origin=origin)
    old = gathered.grad
    if old is not None:
        program = OPS["add"].term((old.term, new.term))
        (total,) = evaluate([program], settings)
        new = leaf_of(freeze(total), origin=program if old.requires_grad or origin else None)
    new._program = (node, settings)
    gathered.grad = new


def governing(root: Tensor) -> Settings:
    """The rules for a derivative: those in force now, or where none are switched, the tensor's."""
    now = current()
    return root.settings if now is DEFAULT or now == DEFAULT else now


def seed_term(root: Tensor, gradient: Any) -> Term:
    """The cotangent of a tensor as a term: one by default."""
    if gradient is None:
        if root.size != 1:
            raise ShapeError(
                message(
                    f"a derivative of a tensor of shape {root.shape} without a gradient",
                    "a single element",
                    "Reduce it first, as in y.sum().backward(), or give the cotangent: "
                    "y.backward(gradient), or grad_outputs= of autograd.grad.",
                )
            )
        return ones_like_term(root.term)
    if not isinstance(gradient, Tensor):
        gradient = leaf_of(frozen(gradient, None if hasattr(gradient, "dtype") else root.dtype))
    if gradient.shape != root.shape:
        raise ShapeError(
            message(f"a gradient of shape {gradient.shape}", f"the tensor's shape {root.shape}")
        )
    if gradient.dtype != root.dtype:
        gradient = wrap(
            OPS["astype"].term((gradient.term,), (root.dtype,)),
            gradient.settings,
            requires=gradient.requires_grad,
        )
    return gradient.term
