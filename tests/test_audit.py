"""The audit: right lines, right counts, right cures, and a clean bill where one is due."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.audit import examine, program, run
from stablegrad.audit.findings import SCHEMA, Audit, Finding
from stablegrad.audit.measure import Counts, judge
from stablegrad.audit.page import page
from stablegrad.audit.report import text, write_atomically
from stablegrad.audit.sampling import draw, parse_domain
from stablegrad.errors import (
    DomainError,
    DTypeError,
    NotDifferentiableError,
    StablegradError,
)
from stablegrad.expressions import parse

Array = np.ndarray[Any, Any]
log, exp, sigmoid, sqrt, where, mean = (
    sg.ops.log,
    sg.ops.exp,
    sg.ops.sigmoid,
    sg.ops.sqrt,
    sg.ops.where,
    sg.ops.mean,
)

X = np.array([-50, -20, -5, -0.1, 0, 0.1, 1, 5, 10, 16, 20, 50, 88, 100], np.float32)


def log_of_one_minus_sigmoid(x: Any) -> Any:
    s = sigmoid(x)
    d = 1 - s
    return log(d)


def ratio(a: Any, b: Any) -> Any:
    return -a / b


def guarded_root(x: Any) -> Any:
    root = sqrt(x)
    return where(x > 0, root, 0.0)


def difference_of_squares(x: Any, y: Any) -> Any:
    return x * x - y * y


def logistic_loss(z: Any, y: Any) -> Any:
    s = sigmoid(z)
    hits = y * log(s)
    misses = (1 - y) * log(1 - s)
    return -mean(hits + misses)


def well_conditioned(x: Any, w: Any) -> Any:
    h = sg.ops.tanh(x @ w)
    return mean(exp(h) + h * h)


def line(f: Callable[..., Any], part: str) -> int:
    """The number of the line of ``f`` that holds ``part``."""
    source, first = inspect.getsourcelines(f)
    return first + next(i for i, text in enumerate(source) if part in text)


def bad_elements(got: Array, true: list[Decimal]) -> Counts:
    """Counts made by hand, from exact decimals: nothing of the audit's own arithmetic."""
    kinds = dict.fromkeys(("nan", "inf", "zeroed", "off", "lossy"), 0)
    for g, t in zip(got.ravel(), true, strict=True):
        rounded = np.float32(t)
        ulp = Decimal(float(np.spacing(abs(rounded))))
        if np.isnan(g):
            kinds["nan"] += 1
        elif np.isinf(g):
            kinds["inf"] += 1
        else:
            error = abs(Decimal(float(g)) - Decimal(float(rounded)))
            if g == 0 and error > 4 * ulp:
                kinds["zeroed"] += 1
            elif error > 64 * ulp:
                kinds["off" if error > Decimal("0.001") * abs(t) else "lossy"] += 1
    return Counts(len(true), **kinds)


def exactly(f: Callable[[Decimal], Decimal], x: Array) -> list[Decimal]:
    with localcontext() as context:
        context.prec = 200
        return [f(Decimal(float(v))) for v in x]


def same_counts(one: Counts, other: Counts) -> bool:
    names = ("elements", "nan", "inf", "zeroed", "off", "lossy")
    return all(getattr(one, n) == getattr(other, n) for n in names)


def found(audit: Audit, op: str) -> Finding:
    (finding,) = [f for f in audit.findings if f.op == op]
    return finding


# -- the right line, the right counts, the right cure ---------------------------------------


def test_log_of_one_minus_sigmoid() -> None:
    audit = sg.audit(log_of_one_minus_sigmoid, X)
    assert not audit.ok
    assert audit.cured
    value, gradient = audit.totals
    with sg.naive():
        naive = log_of_one_minus_sigmoid(sg.tensor(X)).numpy()
        slope = sg.grad(lambda x: log_of_one_minus_sigmoid(x).sum())(X).numpy()
    true = exactly(lambda v: -(1 + v.exp()).ln(), X)
    assert same_counts(value.naive, bad_elements(naive, true))
    assert value.naive.bad >= 5
    true_slope = exactly(lambda v: -1 / (1 + (-v).exp()), X)
    assert same_counts(gradient.naive, bad_elements(slope, true_slope))
    assert gradient.naive.nan == 4
    assert value.stabilized.bad == gradient.stabilized.bad == 0

    one_minus = found(audit, "subtract")
    assert one_minus.line == line(log_of_one_minus_sigmoid, "1 - s")
    assert one_minus.file == __file__
    assert one_minus.source == "d = 1 - s"
    s = sigmoid(sg.tensor(X)).numpy()
    lost = bad_elements(1 - s, exactly(lambda v: 1 / (1 + v.exp()), X))
    assert same_counts(one_minus.forward, lost)
    assert one_minus.cures[0].name == "one_minus_sigmoid"
    assert one_minus.cures[0].kind == "rule"
    assert one_minus.bits_lost == 24
    slope_of_sigmoid = found(audit, "sigmoid")
    assert slope_of_sigmoid.forward.bad == 0
    assert slope_of_sigmoid.backward.zeroed == 3  # 20, 50, 88; beyond, the cotangent overflows
    assert slope_of_sigmoid.line == line(log_of_one_minus_sigmoid, "sigmoid(x)")
    # log(1 - 1e-9) = 0: the logarithm of a number next to 1 is lost in its rounding
    assert found(audit, "log").forward.zeroed == 2
    assert found(audit, "log").cures[-1].name == "log_sigmoid"


def test_ratio_is_blamed_on_its_textbook_derivative() -> None:
    v = np.array([1e-37, 1e-30, 1e-21, 1.0, 1e21, 1e30, 1e37], np.float32)
    audit = sg.audit(ratio, v, v)
    (finding,) = audit.findings
    assert (finding.op, finding.line) == ("divide", line(ratio, "-a / b"))
    assert finding.forward.bad == 0
    value, by_a, by_b = audit.totals
    assert value.naive.bad == by_a.naive.bad == 0
    true = exactly(lambda x: 1 / x, v)
    with sg.naive():
        slope = sg.grad(lambda a, b: ratio(a, b).sum(), argnums=1)(v, v).numpy()
    expected = bad_elements(slope, true)
    assert same_counts(by_b.naive, expected)
    assert expected.bad == 6
    assert finding.backward.bad == expected.bad
    assert str(finding.cures[0]) == "derivative of divide"
    assert audit.cured


def test_masked_root_is_blamed_on_the_root() -> None:
    x = np.array([-4.0, 0.0, 4.0, 0.25], np.float32)
    audit = sg.audit(guarded_root, x)
    (finding,) = audit.findings
    assert (finding.op, finding.line) == ("sqrt", line(guarded_root, "sqrt(x)"))
    assert finding.backward.nan == 2
    assert finding.forward.bad == 0
    assert finding.cures[0].kind == "mask"
    value, gradient = audit.totals
    assert value.naive.bad == 0
    assert (gradient.naive.nan, gradient.naive.bad) == (2, 2)
    assert audit.cured


def test_difference_of_squares() -> None:
    x = np.array([1.0, 3.0, 1e3, 5.0], np.float32)
    y = np.array([np.nextafter(np.float32(1), np.float32(2)), 1.0, 1e3 + 0.0001, 5.0], np.float32)
    audit = sg.audit(difference_of_squares, x, y)
    (finding,) = audit.findings
    assert (finding.op, finding.line) == ("subtract", line(difference_of_squares, "x * x"))
    pairs = zip(x, y, strict=True)
    true = [Decimal(float(a)) ** 2 - Decimal(float(b)) ** 2 for a, b in pairs]
    assert same_counts(audit.totals[0].naive, bad_elements(x * x - y * y, true))
    assert finding.forward.bad == audit.totals[0].naive.bad > 0
    assert finding.backward.bad == 0
    assert audit.cured


def test_naive_logistic_loss() -> None:
    z = np.array([-120, -30, -3, 0, 2, 12, 18, 40, 110], np.float32)
    y = np.array([0, 1, 0, 1, 1, 0, 0, 1, 0], np.float32)
    audit = sg.audit(logistic_loss, z, y)
    lines = {f.line for f in audit.findings}
    hits, misses = line(logistic_loss, "y * log(s)"), line(logistic_loss, "log(1 - s)")
    assert misses in lines
    assert lines <= {line(logistic_loss, "sigmoid(z)"), hits, misses}
    assert {t.name for t in audit.totals} == {"value", "gradient by z", "gradient by y"}
    by_z = audit.totals[1]
    with sg.naive():
        naive = sg.grad(logistic_loss)(z, y).numpy()
    n = len(z)
    pairs = list(zip(exactly(lambda v: 1 / (1 + (-v).exp()), z), y, strict=True))
    true = [(s - int(t)) / n for s, t in pairs]
    assert same_counts(by_z.naive, bad_elements(naive, true))
    assert by_z.naive.wrong > 0
    assert audit.cured
    cures = {c.name for f in audit.findings for c in f.cures}
    assert {"one_minus_sigmoid", "log_sigmoid"} <= cures


def test_well_conditioned_program_gets_a_clean_bill() -> None:
    random = np.random.default_rng(5)
    x = random.normal(size=(40, 7)).astype(np.float32)
    w = random.normal(size=(7, 3), scale=0.2).astype(np.float32)
    audit = sg.audit(well_conditioned, x, w)
    assert audit.ok
    assert audit.cured
    assert audit.complete
    assert audit.findings == []
    assert "fine" in audit.verdict
    assert [t.name for t in audit.totals] == ["value", "gradient by x", "gradient by w"]
    assert [t.naive.elements for t in audit.totals] == [1, 280, 21]


def test_a_rule_elsewhere_on_the_line_is_no_cure() -> None:
    def f(x: Any) -> Any:
        return log(1 - sigmoid(x)) + sg.ops.cos(x * x)

    audit = sg.audit(f, np.array([1.0, 1234.567, 30.0], np.float32), order=0)
    assert [c.kind for c in found(audit, "cos").cures] == ["evaluation"]
    assert "one_minus_sigmoid" in [c.name for c in found(audit, "subtract").cures]
    assert audit.cured


def test_overflow_is_blamed_on_the_place_where_it_happens() -> None:
    def f(x: Any) -> Any:
        e = exp(x)
        return log(1 + e)

    x = np.array([-1.0, 2.0, 95.0], np.float32)
    audit = sg.audit(f, x)
    overflow = found(audit, "exp")
    assert overflow.line == line(f, "exp(x)")
    assert overflow.forward.inf == 1
    assert overflow.backward.nan == 0
    assert overflow.seen_backward.nan == 1
    assert overflow.cures[0].name == "softplus"


def test_contributions_that_cancel_are_blamed() -> None:
    def f(x: Any) -> Any:
        return sg.ops.softplus(x) - x

    audit = sg.audit(f, np.array([-3.0, 0.0, 40.0], np.float32))
    assert found(audit, "sum of gradients").backward.zeroed == 1
    assert audit.totals[1].naive.zeroed == 1


def test_removable_singularity_is_blamed_where_nan_arises() -> None:
    def f(x: Any, y: Any) -> Any:
        top = sg.ops.sin(x)
        return top / x + y

    x, y = np.array([0.0, 1.0], np.float32), np.array([1.0, 2.0], np.float32)
    audit = sg.audit(f, x, y, order=0)
    (finding,) = audit.findings
    assert (finding.op, finding.line) == ("divide", line(f, "top / x"))
    assert finding.forward.nan == 1
    assert audit.totals[0].naive.nan == 1
    assert any("limit" in note for note in audit.notes)


def test_orders() -> None:
    x = np.array([0.5, 15.0], np.float32)
    none, one, two = (sg.audit(sg.ops.tanh, x, order=order) for order in (0, 1, 2))
    assert none.ok
    assert [len(a.totals) for a in (none, one, two)] == [1, 2, 3]
    assert one.totals[1].naive.zeroed == 1
    assert two.totals[2].naive.zeroed == 1
    assert two.cured
    assert [f.op for f in two.findings] == ["tanh", "derivative of tanh"]
    assert two.findings[1].forward.zeroed == 1


def test_float64_and_containers() -> None:
    def f(params: dict[str, Any], scale: float) -> Any:
        return sg.ops.sum(log_of_one_minus_sigmoid(params["w"]) * params["b"][0]) * scale

    params = {"w": np.array([1.0, 40.0]), "b": (np.array([2.0, 3.0]), "not a number")}
    audit = sg.audit(f, params, 2)
    assert {t.name for t in audit.totals} == {
        "value",
        "gradient by params['w']",
        "gradient by params['b'][0]",
    }
    assert found(audit, "subtract").bits_lost == 53
    assert audit.cured


def test_gradient_inside_of_the_function() -> None:
    def f(x: Any) -> Any:
        return sg.grad(lambda v: sg.ops.sum(sg.ops.tanh(v)))(x)

    audit = sg.audit(f, np.array([0.3, 20.0], np.float32), order=0)
    assert audit.totals[0].naive.zeroed == 1
    assert audit.totals[0].stabilized.bad == 0


def test_gradient_of_its_own_is_judged_against_the_true_derivative() -> None:
    @sg.custom_gradient
    def cube(x: Any) -> Any:
        return x * x * x, lambda dy: dy * 2 * x * x

    audit = sg.audit(lambda x: cube(x) + 1, np.array([1.0, 2.0], np.float32))
    assert audit.totals[1].naive.off == 2
    assert audit.totals[1].stabilized.off == 2
    assert not audit.cured
    assert "custom" in {f.op for f in audit.findings}


def test_stop_gradient_is_no_loss() -> None:
    audit = sg.audit(lambda x: x * sg.stop_gradient(x), np.array([1.5, 3.0], np.float32))
    assert audit.ok


def test_undefined_points_are_left_out() -> None:
    audit = sg.audit(log, np.array([-1.0, 2.0], np.float32))
    assert audit.ok
    assert audit.totals[0].naive.elements == 1


def test_non_scalar_result_is_summed() -> None:
    x = np.array([1.0, 2.0, 3.0], np.float32)
    summed = sg.audit(lambda x: sg.ops.sum(x * x), x)
    plain = sg.audit(lambda x: x * x, x)
    assert summed.totals[1].naive == plain.totals[1].naive


# -- inputs ---------------------------------------------------------------------------------


def test_domain() -> None:
    audit = sg.audit(log_of_one_minus_sigmoid, domain={"x": (-50, 50)}, points=60)
    again = sg.audit(log_of_one_minus_sigmoid, domain="x=-50:50", points=60)
    assert not audit.ok
    assert audit.totals[0].naive.elements == 60
    assert audit.to_json() == again.to_json()
    assert any("60 points" in note for note in audit.notes)
    other = sg.audit(ratio, np.ones(60, np.float32), domain={"b": (1, 2)}, points=60)
    assert other.ok


def test_points_of_a_domain() -> None:
    generator = np.random.default_rng(0)
    wide = draw((1e-30, 1e30), 500, generator, np.float64)
    assert wide.min() == 1e-30
    assert wide.max() == 1e30
    assert 0.3 < np.mean(wide < 1) < 0.7
    around = draw((-4.0, 1.0), 500, generator, np.float32)
    assert around.min() == -4
    assert around.max() == 1
    assert (around == 0).any()
    assert np.mean(np.abs(around) < 1e-3) > 0.1
    assert draw((2.0, 2.0), 3, generator, np.float32).tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    "domain", ["", "x", "x=1", "x=1:2:3", "x=2:1", "x=-inf:1", "x=a:b", "1=2:3", {"x": 3}]
)
def test_what_is_no_domain(domain: Any) -> None:
    with pytest.raises(DomainError, match="expected name=lo:hi"):
        parse_domain(domain)


def test_the_one_bad_element_of_large_data_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LARGEST_NODE", 500)
    x = np.zeros((4000, 2), np.float32)
    x[3123, 1] = 60.0
    audit = sg.audit(log_of_one_minus_sigmoid, x)
    assert audit.totals[0].naive.elements == 8000
    assert audit.totals[0].naive.inf == audit.totals[0].naive.wrong == 1
    assert audit.first is not None
    assert audit.first.op == "subtract"


def test_large_data_that_cannot_be_cut_is_sampled_with_its_trouble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "LARGEST_NODE", 500)
    x = np.zeros((1000, 2), np.float32)
    x[312, 1] = 60.0
    audit = sg.audit(lambda x: np.sum(log_of_one_minus_sigmoid(x), axis=1), x)
    (note,) = [n for n in audit.notes if "sample" in n]
    assert "of 1000 rows" in note
    assert audit.totals[0].naive.elements <= 500
    assert audit.totals[0].naive.inf == 1


def test_interrupt_keeps_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(examine, "true_gradients", interrupt)
    audit = sg.audit(log_of_one_minus_sigmoid, X)
    assert not audit.complete
    assert not audit.ok
    assert [t.name for t in audit.totals] == ["value"]
    assert found(audit, "subtract").forward.bad
    assert "interrupted" in audit.verdict
    assert any("every derivative" in note for note in audit.notes)


# -- bad calls ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "args", "words"),
    [
        (lambda x: None, (X,), "NoneType"),
        (lambda x: x.numpy(), (X,), "ndarray"),
        (lambda x: (x, x), (X,), "one result at a time"),
        (lambda x: x > 0, (X,), "dtype bool"),
        (lambda x: sg.tensor([1.0]), (X,), "does not depend"),
        (lambda n: sg.tensor([1.0]), (3,), "no floating-point input"),
        (lambda x: x @ x.reshape(7, 2), (X,), "matmul"),
    ],
)
def test_bad_calls(f: Callable[..., Any], args: tuple[Any, ...], words: str) -> None:
    with pytest.raises(StablegradError) as caught:
        sg.audit(f, *args)
    assert words in str(caught.value)
    assert Path(__file__).name in str(caught.value)


def test_missing_derivative_names_the_users_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise NotDifferentiableError("got a derivative of tanh; expected another (at else.py:1)")

    def f(x: Any) -> Any:
        y = sg.ops.tanh(x)
        return sg.ops.stop_gradient(y)

    monkeypatch.setattr(program, "vjp", none)
    with pytest.raises(NotDifferentiableError) as caught:
        sg.audit(f, X)
    assert f"(at {__file__}:{line(f, 'stop_gradient(y)')})" in str(caught.value)


def test_bad_options() -> None:
    with pytest.raises(DomainError, match="order=3"):
        sg.audit(log_of_one_minus_sigmoid, X, order=3)
    with pytest.raises(DTypeError, match="a function"):
        sg.audit(X)  # type: ignore[arg-type]
    with pytest.raises(DomainError, match="no interval for b"):
        sg.audit(ratio, domain={"a": (1, 2)})
    with pytest.raises(DomainError, match="an interval for c"):
        sg.audit(ratio, domain={"a": (1, 2), "b": (1, 2), "c": (1, 2)})
    with pytest.raises(DomainError, match="0 points"):
        sg.audit(ratio, domain={"a": (1, 2), "b": (1, 2)}, points=0)


# -- reports --------------------------------------------------------------------------------


def test_json_has_the_documented_schema() -> None:
    data = json.loads(json.dumps(sg.audit(log_of_one_minus_sigmoid, X).to_json()))
    assert data["schema"] == SCHEMA
    assert set(data) == {
        *("schema", "function", "order", "ok", "cured", "complete"),
        *("verdict", "findings", "totals", "examples", "notes"),
    }
    for finding in data["findings"]:
        assert set(finding) == {
            *("file", "line", "source", "op", "bits_lost", "forward", "backward"),
            *("seen_forward", "seen_backward", "cures", "cured", "cause", "causes"),
            *("carried_bits", "condition", "first"),
        }
        for counts in (finding["forward"], finding["backward"]):
            assert counts["wrong"] == sum(counts[k] for k in ("nan", "inf", "zeroed", "off"))
    for total in data["totals"]:
        assert set(total) == {"name", "naive", "stabilized", "finding", "ill_conditioned"}
    page_ = (Path(__file__).parent.parent / "docs" / "audit.md").read_text("utf8")
    for key in (*data, *data["findings"][0], *data["findings"][0]["forward"]):
        assert f"`{key}`" in page_, key


def test_text_and_pages(tmp_path: Path) -> None:
    audit = sg.audit(parse("log(1 - sigmoid(x)) + 0*x"), X)
    printed = str(audit)
    assert printed == repr(audit) == text(audit)
    for part in ("subtract", "one_minus_sigmoid", "1 - sigmoid(x)", "stabilized", "<expression>"):
        assert part in printed
    target = tmp_path / "report.html"
    audit.to_html(target)
    written = target.read_text("utf8")
    assert written == page(audit)
    for part in ("subtract", "one_minus_sigmoid", audit.verdict):
        assert part in audit._repr_html_()
        assert part in written
    assert "&lt;expression&gt;" in written
    assert " src=" not in written
    assert "http" not in written
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(target, "new \ud800")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


# -- measures -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "true", "kind"),
    [
        (1.0, 1.0, ""),
        (1 + 60 * 2**-23, 1.0, ""),
        (1 + 70 * 2**-23, 1.0, "lossy"),
        (1.002, 1.0, "off"),
        (np.nan, 1.0, "nan"),
        (np.inf, 1.0, "inf"),
        (np.inf, np.inf, ""),
        (-np.inf, np.inf, "off"),
        (1.0, np.inf, "off"),
        (0.0, 1.0, "zeroed"),
        (0.0, 4e-45, ""),
        (0.0, 3.8e-44, "zeroed"),
        (1.0, 0.0, "off"),
        (1e-45, 0.0, ""),
        (5.0, np.nan, ""),
    ],
)
def test_words(got: float, true: float, kind: str) -> None:
    counts = judge(np.array([got], np.float32), np.array([true], np.float32)).counts()
    expected = {"nan": 0, "inf": 0, "zeroed": 0, "off": 0, "lossy": 0}
    if kind:
        expected[kind] = 1
    assert {name: getattr(counts, name) for name in expected} == expected
    assert counts.elements == (not np.isnan(true))


def test_sums_are_judged_against_their_terms() -> None:
    got, true = np.array([1e-4], np.float32), np.array([0.0], np.float32)
    assert judge(got, true).counts().off == 1
    assert judge(got, true, scale=np.array([100.0], np.float64)).counts().bad == 0
    assert judge(got, true, scale=np.array([np.nan], np.float64)).counts().off == 1
