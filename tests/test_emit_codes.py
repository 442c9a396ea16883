"""Codes in emitted source: all functions, and all kinds of steps, run there as they do here."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from stablegrad.audit.emit import Target, run_apart
from stablegrad.audit.shake import Shaken
from stablegrad.audit.syntax import free, renamed
from stablegrad.engines.numpy import BARE
from stablegrad.ir import OPS
from stablegrad.ops import extended, pair_calls, ranged_functions, shared_pairs
from stablegrad.ops.behaviour import FALLS, GROWS, LEADING
from stablegrad.ops.lowered_arithmetic import Product, Sum
from stablegrad.ops.pair_codes import Better, Function, Select
from stablegrad.ops.ranged_codes import Masked, Nonzero, Rounded, run_parts

Codes = dict[str, tuple[Any, ...]]

X = [np.array(v) for v in ([0.3, 0.9, 0.55], [0.8, 0.45, 0.6], [0.7, 0.5, 0.9])]
SIGNED = [np.array(v) for v in ([0.3, -0.9, 0.55], [0.8, 0.45, 0.6], [0.7, 0.5, 0.9])]
FAR = [np.array(v) for v in ([0.3, -750.5, 1e300], [0.8, 3.5, 0.25], [0.7, 1e-300, 0.5])]
ORDERS = {"power_gap": (2,), "power_derivative": (0, 1), "pow1p_derivative": (0, 1)}
SUM = Sum(Fraction(1, 3), ((1, 0), (Fraction(-2, 7), 1)))
PRODUCT = Product(((0, Fraction(1, 2)), (1, -2)))


def count(f: Callable[..., Any]) -> int:
    return len(inspect.signature(f).parameters)


def called(name: str, arity: int, order: int = 0) -> tuple[Any, ...]:
    return (Function(name, tuple(range(arity)), order),)


def codes_of_pairs() -> Codes:
    """A code for every function that pairs know, and for every other kind of step."""
    names = {n: count(c.slope) - 1 for n, c in pair_calls.CALLS.items()}
    return {
        **{n: called(n, arity) for n, arity in names.items()},
        "polygamma": called("polygamma", 1, 2),
        "sum": (SUM,),
        "product": (PRODUCT,),
        "select": (Select(2, 0, 1), Select(2, 3, None)),
        "better": (SUM, Better(3, 1)),
    }


def codes_of_exponents() -> Codes:
    """The same for numbers with exponents; functions of one number that have no code come too."""
    found: Codes = {
        "where": called("where", 3),
        "sum": (SUM,),
        "rounded": (Rounded(1, ((1, 0), (-1, 1)), 3), Rounded(1, ((1, 0), (-1, 1)), 3, 1)),
        "product": (PRODUCT,),
        "masked": (Masked(PRODUCT, (2,)),),
        "nonzero": (Nonzero(0, 1),),
    }
    for n, f in ranged_functions.CALLS.items():
        for order in ORDERS.get(n, (0,)):
            found[f"{n} {order}"] = called(n, count(f) - 2, order)
    for n in sorted((FALLS | GROWS | set(LEADING)) - set(ranged_functions.CALLS)):
        if not OPS[n].params and count(OPS[n].kernel) == 2:
            found[n] = called(n, 1)
    return found


def ran(text: str, shaken: Shaken, given: list[Any]) -> list[Any]:
    """The results of emitted source whose function returns this."""
    table = shaken.ops(text)
    helpers = "\n\n\n".join([*shaken.texts.values(), table])
    body = f"{helpers}\n\n\ndef codes(x, y, z):\n    return {text}\n"
    return run_apart(Target().module("codes", body, []), "codes", given)


@pytest.mark.parametrize("kind", ["_PAIRS", "_EXTENDED"])
def test_every_step_of_pairs(kind: str) -> None:
    codes = codes_of_pairs()
    if kind == "_EXTENDED":
        codes = {n: c for n, c in codes.items() if extended.is_known(c)}
        assert set(extended._KNOWN) <= set(codes)
    shaken, made = Shaken(), getattr(shared_pairs, kind)
    run, arithmetic = shaken.refer("run", shared_pairs._run), shaken.refer("kind", made)
    rounded, where = (False, True, False), np.ones(3, bool)
    here, texts = [], []
    for code in codes.values():
        with np.errstate(all="ignore"):
            value, error = shared_pairs._run(made, where, X, rounded, code)
        here += [np.sum(value, 0) if kind == "_PAIRS" else value, error]
        given = f"np.ones(3, bool), (x, y, z), {rounded}, {shaken.refer('code', code)}"
        texts.append(f"{run}({arithmetic}, {given})")
    results = ", ".join(texts)
    flat = f"[np.broadcast_to(np.sum(a, 0) if isinstance(a, tuple) else a, 3) for r in ({results}"
    there = ran(f"tuple({flat},) for a in r])", shaken, X)
    for i, name in enumerate(codes):
        assert np.isfinite(there[2 * i].astype(float)).any(), name
        np.testing.assert_array_equal(there[2 * i : 2 * i + 2], here[2 * i : 2 * i + 2], name)


def test_every_step_of_numbers_with_exponents() -> None:
    codes, shaken = codes_of_exponents(), Shaken()
    given = [np.concatenate(xs) for xs in zip(SIGNED, FAR, strict=True)]
    run = shaken.refer("run", run_parts)
    texts = [f"{run}(xp, (x, y, z), {shaken.refer('code', c)})[0]" for c in codes.values()]
    with np.errstate(all="ignore"):
        here = [p for c in codes.values() for p in run_parts(BARE, given, c)[0]]
    there = ran(f"tuple([np.asarray(p) for r in ({', '.join(texts)},) for p in r])", shaken, given)
    for i, name in enumerate(codes):
        assert np.isfinite(there[3 * i]).any(), name
        np.testing.assert_array_equal(there[3 * i : 3 * i + 3], here[3 * i : 3 * i + 3], name)


def test_names_are_told_apart_by_their_scopes() -> None:
    """A parameter named as its function is, a lambda's as a table: only what is outside moves."""
    text = "def step(step, xs):\n    return [step for x in f(xs)] + [(lambda f: f)(step), x]"
    (node,) = ast.parse(text).body
    assert free(node) == {"f", "x"}
    moved = renamed(node, {"step": "_step", "f": "_f", "x": "_x"})
    expected = "def _step(step, xs):\n    return [step for x in _f(xs)] + [(lambda f: f)(step), _x]"
    assert ast.unparse(moved) == expected
