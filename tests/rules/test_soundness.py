"""One soundness test over all rules: both sides are one value, and the right side is no worse.

Truth comes from the oracle; points are bit patterns over the whole range, special ones too.
"""

from __future__ import annotations

import numpy as np
import pytest

from stablegrad.canonical import canonical
from stablegrad.engines.numpy import Plan
from stablegrad.ir import Term, make, topological
from stablegrad.matching import instantiate
from stablegrad.ops.form_records import AFFINE
from stablegrad.ops.record import INPUT
from stablegrad.oracle import Truth, err_ulp, truth
from stablegrad.rewrite import Procedure, Rule
from stablegrad.rules import DATABASES
from stablegrad.transforms.fold import fold
from stablegrad.transforms.lower import Lowering

SEED = 20261121
POINTS = 600
WIDTH = 4  # entries of the axis that a structured rule reduces
RULES = [
    rule
    for database in DATABASES
    for rule in database.rules
    if rule.group != "matrices"  # judged in test_matrices
]
BUDGET = 20_000

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 5e-324, 2.3e-308, -2.3e-308, 1.7e308, -1.7e308]


def bit_patterns(rng: np.random.Generator, count: int) -> np.ndarray:
    """Half uniform over the bit patterns of finite float64, half of everyday size."""
    bits = rng.integers(0, 2**64, count, dtype=np.uint64).view(np.float64)
    everyday = rng.standard_normal(count) * 2.0 ** rng.integers(-12, 9, count)
    mixed = np.where(rng.random(count) < 0.5, bits, everyday)
    mixed = np.where(np.isfinite(mixed), mixed, everyday)
    mixed[: len(SPECIAL)] = rng.permutation(SPECIAL)
    return mixed


def sides(rule: Rule | Procedure, shape: tuple[int, ...]) -> tuple[Term, Term, list[Term]]:
    """The two spellings of a rule over inputs of a shape."""
    dtype = np.dtype(np.float64)
    if isinstance(rule, Rule):
        inputs = [make(INPUT, (), (i,), shape, dtype) for i in range(len(rule.variables))]
        bound = dict(zip(rule.variables, inputs, strict=True))
        return (
            instantiate(rule.lhs, bound, inputs[0]),
            instantiate(rule.rhs, bound, inputs[0]),
            inputs,
        )
    count = rule.example.__code__.co_argcount
    inputs = [make(INPUT, (), (i,), shape, dtype) for i in range(count)]
    before = canonical(rule.example(*inputs))
    after = rule.function(before)
    assert after is not None, f"{rule.name} does not fire on its own example {before!r}"
    return before, canonical(after), inputs


def is_structured(term: Term) -> bool:
    """Whether a side mixes entries: it is then judged on rows rather than on single numbers."""
    return not all(t.op.elementwise for t in topological([term]) if t.args)


def values(term: Term, inputs: list[Term], data: list[np.ndarray]) -> np.ndarray:
    return Plan(Lowering()(fold([term])), inputs)(data)[0]


def agree(a: Truth, b: Truth) -> np.ndarray:
    """Where two truths are the same float, or both have no value."""
    same = (a.value == b.value) | (np.isnan(a.value) & np.isnan(b.value))
    return same | a.undecided | b.undecided


def is_limit(term: Term, bindings: dict[Term, np.ndarray], at: Truth) -> np.ndarray:
    """Where the values of a term close to a zero of its arguments, on every side, are ``at``."""
    result = np.isfinite(at.value)
    for side in (1e-200, -1e-200):
        near = {x: np.where(d == 0, side, d) for x, d in bindings.items()}
        beside = truth(term, near, budget=BUDGET)
        result &= np.abs(err_ulp(beside.value, at)) <= 1
    return result


def allowed(term: Term, inputs: list[Term], data: list[np.ndarray], true: Truth) -> np.ndarray:
    """The bound in ulp that ops state themselves: 4, and for sums relative to their addends."""
    bound = np.full(term.shape, 4.0)
    if term.op is AFFINE and any(a.op.family == "reduction" for a in term.args):
        size = np.zeros(term.shape)
        for c, a in zip(term.params[1], term.args, strict=True):
            with np.errstate(over="ignore"):  # two sizes at the end of the range
                size = size + np.abs(float(c) * values(a, inputs, data))
        bound = bound * np.maximum(1.0, size / np.maximum(np.abs(true.value), 1e-300))
    return bound


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{rule.place}")
def test_both_sides_are_one_value_and_the_right_one_is_no_worse(rule):
    rng = np.random.default_rng([SEED, len(rule.name)])
    shape: tuple[int, ...] = (POINTS // 4, WIDTH)
    left, right, inputs = sides(rule, shape)
    structured = is_structured(left)
    if not structured:
        shape = (POINTS,)
        left, right, inputs = sides(rule, shape)
    count = shape[0]
    data = [bit_patterns(rng, int(np.prod(shape))).reshape(shape) for _ in inputs]
    if len(inputs) == 2 and not structured:  # the diagonals, where differences cancel
        data[1][: count // 4] = data[0][: count // 4] * (1 + 1e-9)
    bindings = dict(zip(inputs, data, strict=True))
    before = truth(left, bindings, budget=BUDGET)
    after = truth(right, bindings, budget=BUDGET)
    wrong = ~agree(before, after)
    if wrong.any():  # the sign of zero is no part of a real number: a pole may take either
        unsigned = truth(left, {x: d + 0.0 for x, d in bindings.items()}, budget=BUDGET)
        wrong &= ~agree(unsigned, after)
    if wrong.any():  # a removable singularity takes its limit, the same from all sides
        wrong &= ~is_limit(left, bindings, after)
    assert not wrong.any(), (
        f"{rule.name} (seed {SEED}, {count} points) changes the value at "
        f"{[d[wrong][:3] if d.shape == wrong.shape else d[:1] for d in data]}: "
        f"{before.value[wrong][:3]} became {after.value[wrong][:3]}"
    )
    assert (~before.undecided).mean() > 0.3, "the oracle decided too few points to judge"

    normal = np.isfinite(after.value) & (np.abs(after.value) >= np.finfo(float).tiny)
    with np.errstate(all="ignore"):
        loss_before = err_ulp(values(left, inputs, data), before)[normal]
        loss_after = err_ulp(values(right, inputs, data), after)[normal]
    worse = loss_after > loss_before + 1.0
    worse &= loss_after > allowed(right, inputs, data, after)[normal]
    assert not worse.any(), (
        f"{rule.name} (seed {SEED}) loses up to {loss_after[worse].max():.3g} ulp "
        f"where its left side loses {loss_before[worse][loss_after[worse].argmax()]:.3g}"
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name}-{rule.place}")
def test_every_rule_says_what_it_is(rule):
    assert rule.reason.endswith("."), f"{rule.name} gives no reason in its docstring"
    assert rule.source
    assert rule.place.count(":") == 1


def test_names_of_explicit_rules_are_unique():
    names = [r.name for r in RULES if r.group != "spellings"]
    assert len(names) == len(set(names))
