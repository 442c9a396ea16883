"""Causes: the audit agrees with labelled cases, and blames nothing that is as good as can be."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from benchmarks.audit import (
    FURTHER,
    LABELS,
    ONE,
    PROGRAMS,
    ROWS,
    TWO,
    audit_fine,
    audit_written,
    fine,
    judge_case,
    judge_further,
    read_failures,
    well_written,
)
from benchmarks.cases import read_cases
from stablegrad.audit.causes import MEANINGS

CASES = {c["id"]: c for c in read_cases()}
LABELLED = json.loads(LABELS.read_text("utf8"))
MISSED = {"focal-gamma0", "negbin-limit-grad", "selu-grad"}
SUBSET = sorted(set(LABELLED) - MISSED)[::7]


def test_labels_are_of_cases_and_known_causes() -> None:
    assert set(LABELLED) <= set(CASES)
    assert {label["cause"] for label in LABELLED.values()} <= set(MEANINGS)


@pytest.mark.parametrize("name", [n for n in SUBSET if "gammainc" not in CASES[n]["expr"]])
def test_the_audit_agrees_with_the_label(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = judge_case(CASES[name], LABELLED[name])
    assert found is not None
    assert found["flagged"]
    assert (found["op_right"], found["cause_right"]) == (True, True), found


@pytest.mark.parametrize(("file", "least"), [(FURTHER, 90), (PROGRAMS, 60)])
def test_failures_in_other_spellings_are_told_as_labelled(file: Path, least: int) -> None:
    """Labels were written before the audit saw the programs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [judge_further(c) for c in read_failures(file)]
    assert len(found) >= least
    assert [r["id"] for r in found if not r["flagged"]] == []
    missed_op = [r["id"] for r in found if not r["op_right"]]
    missed_cause = [r["id"] for r in found if not r["cause_right"]]
    assert len(missed_op) <= 0.05 * len(found), missed_op
    assert len(missed_cause) <= 0.05 * len(found), missed_cause


def test_what_no_result_feels_is_not_blamed() -> None:
    """log(p) next to 0 loses its digits, and y = 0 drops it: 1 - p is where things go wrong."""
    z, y = np.array([-3.0, 0.5, 20.0, 40.0]), np.zeros(4)

    def loss(z: Any, y: Any) -> Any:
        p = 1 / (1 + np.exp(-z))
        return np.mean(-(y * np.log(p) + (1 - y) * np.log(1 - p)))

    audit = sg.audit(loss, z, y)
    assert audit.first is not None
    assert (audit.first.op, audit.first.cause) == ("subtract", "cancellation")
    places = [t.finding for t in audit.totals]
    assert len(set(places)) == 1


def test_there_are_a_hundred_fine_functions() -> None:
    assert len(set(fine())) >= 100
    assert len(fine()) == len(ONE) + len(TWO) + len(ROWS)


@pytest.mark.parametrize("text", fine()[::10])
def test_no_false_alarm(text: str) -> None:
    audit = audit_fine(text)
    assert audit.ok, audit


@pytest.mark.parametrize("case", well_written(), ids=lambda c: c["id"])
def test_no_false_alarm_at_hard_inputs(case: dict[str, Any]) -> None:
    """Far out, next to singularities, and where the problem itself is ill-conditioned."""
    audit = audit_written(case)
    assert audit.ok, audit


def test_an_ill_conditioned_problem_is_not_the_programs_fault() -> None:
    audit = sg.audit(lambda x: sg.ops.cos(x * x), np.array([1000.1, 73000.3]))
    assert audit.ok
    assert audit.findings == []
    assert audit.totals[0].ill_conditioned == 2
    assert any("ill-conditioned" in n for n in audit.notes)


def test_a_sum_that_cancels_is_the_programs_fault_all_the_same() -> None:
    audit = sg.audit(lambda x: x * x - 1.0, np.array([1.000000123]))
    assert not audit.ok
    assert audit.findings[0].cause == "cancellation"


def test_what_a_branch_drops_is_not_counted() -> None:
    def f(x: Any) -> Any:
        return sg.ops.where(x < 50, sg.ops.log(1 + sg.ops.exp(x)), x)

    x = np.array([1.0, 800.0])
    assert sg.audit(f, x, order=0).ok
    audit = sg.audit(f, x)
    assert audit.first is not None
    assert (audit.first.op, audit.first.cause) == ("exp", "nan from an untaken branch")
    assert audit.first.forward.bad == 0


def test_first_is_in_the_order_of_the_run() -> None:
    audit = sg.audit(lambda x: sg.ops.log(1 - sg.ops.sigmoid(x)), np.array([40.0]))
    assert audit.first is not None
    assert audit.first.op == "subtract"
    assert [f.first for f in audit.findings].count(True) == 1
    for total in audit.totals:
        assert total.finding is not None
        assert audit.findings[total.finding].bits_lost > 6


def test_carried_in_and_condition() -> None:
    def f(x: Any) -> Any:
        d = 1 - sg.ops.exp(x)
        return sg.ops.exp(sg.ops.log(d) * 2)

    audit = sg.audit(f, np.array([-1e-12]))
    by_op = {finding.op: finding for finding in audit.findings}
    assert by_op["subtract"].carried_bits < 1
    assert by_op["subtract"].condition > 1e11  # 1 - exp(x) magnifies the error of exp(x)
    log = [line for line in audit.to_json()["findings"] if line["op"] == "subtract"]
    assert log[0]["condition"] == pytest.approx(by_op["subtract"].condition, rel=0.01)


SPOTS = {
    "sinc slope at 0": (lambda x: np.sin(x) / x, [0.0], "divide", "removable singularity"),
    "log that is not taken": (
        lambda x: np.where(x > 0, x * np.log(x), 0.0),
        [-1.0],
        "log",
        "nan from an untaken branch",
    ),
    "erfcx": (sg.special.erfcx, [50.0], "erfcx", "cancellation"),
    "great constants": (
        lambda x: (x * x) * 1e300 * 1e300 * 1e50,
        [1e-200],
        "multiply",
        "underflow",
    ),
    "log of a great product": (lambda v: np.log(np.prod(v)), [[1e100] * 4], "prod", "overflow"),
}


@pytest.mark.parametrize("name", SPOTS)
def test_further_cases(name: str) -> None:
    f, (x,), op, cause = SPOTS[name]
    found = sg.audit(f, np.array(x))
    assert any((g.op, g.cause) == (op, cause) for g in found.findings), found


def test_a_gradient_that_is_truly_zero_is_no_alarm() -> None:
    def softmax(v: Any) -> Any:
        top = np.exp(v - np.max(v))
        return top / np.sum(top)

    def scores(v: Any) -> Any:
        return (v - np.mean(v)) / np.sqrt(np.var(v) + 1e-5)

    for f in (softmax, scores):
        for dtype in (np.float32, np.float64):
            assert sg.audit(f, np.array([-3.0, 0.0, 3.1], dtype)).ok


def test_a_nan_where_a_convention_has_a_number_is_found() -> None:
    found = sg.audit(lambda v: np.sqrt(np.mean((v - np.mean(v)) ** 2)), np.full(3, 3.0))
    assert found.totals[1].naive.nan == 3
    assert found.cured
    assert sg.audit(np.log, np.array([-1.0, 2.0])).ok  # nan everywhere: no value at all


def parts_again(a: Any) -> Any:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return np.sum((u * s) @ vh)


def root(a: Any) -> Any:
    w, v = np.linalg.eigh(a)
    return np.sum((v * np.sqrt(w)) @ v.T)


def log_determinant(a: Any) -> Any:
    return np.sum(np.log(np.linalg.eigvalsh(a)))


REPEATED = [
    (parts_again, np.diag([1.0, 0.0, 0.0]), "svd"),
    (parts_again, np.eye(3), "svd"),
    (parts_again, np.ones((2, 3)), ""),
    (root, np.eye(3) * 4.0, "eigh"),
    (root, np.diag([2.0, 1.0, 2.0]), "eigh"),
    (log_determinant, np.eye(2) * 3.0, ""),
]


@pytest.mark.parametrize("number", range(len(REPEATED)))
def test_what_repeated_values_break_is_found(number: int) -> None:
    """Vectors of repeated values are no functions of the matrix; what is made of them may be."""
    f, matrix, op = REPEATED[number]
    found = sg.audit(f, matrix)
    assert not [n for n in found.notes if "undecided" in n]
    assert found.cured
    assert all(t.naive.elements for t in found.totals)
    first = found.first
    assert (first and (first.op, first.cause)) == ((op, "removable singularity") if op else None)


def test_vectors_themselves_stay_undecided() -> None:
    found = sg.audit(lambda a: np.linalg.eigh(a)[1][0, 0], np.eye(3))
    assert any("undecided" in n for n in found.notes)
    assert found.ok


def test_a_nan_is_laid_to_where_it_arose_not_to_where_it_is_added() -> None:
    def margin(a: Any, p: Any, n: Any) -> Any:
        return np.sqrt(np.sum((a - p) ** 2)) - np.sqrt(np.sum((a - n) ** 2))

    a = np.array([1.0, 2.0])
    found = sg.audit(margin, a, a, a + 0.5)
    assert found.first is not None
    assert (found.first.op, found.first.cause) == ("sqrt", "0*inf")


def test_an_overflow_under_a_mean_is_laid_to_the_product() -> None:
    found = sg.audit(
        lambda x: x / np.sqrt(np.mean(x * x)), np.array([300.0, 2.0], np.float16), order=0
    )
    assert found.first is not None
    assert (found.first.op, found.first.cause) == ("multiply", "overflow")


def test_what_two_roundings_do_together_is_laid_to_the_greater() -> None:
    """Neither log(cosh(x)) by exponentials nor the subtraction is off by 64 ulp by itself."""
    x = np.array([-0.1])
    found = sg.audit(lambda x: np.logaddexp(x, -x) - 0.6931471805599453, x, order=0)
    assert found.totals[0].naive.lossy == 1
    assert found.first is not None
    assert (found.first.op, found.first.cause) == ("subtract", "cancellation")
