"""The audit against labels: does it flag what is wrong, and name the op and the cause?

* *cases*: the programs of ``tests/data/cases.json`` that a conventional run (``sg.naive``) gets
  wrong, with the op at which it goes wrong and the cause as a person labelled them
  (``tests/data/case_causes.json``);
* *further*: failures of the same families in other spellings, sizes and dtypes
  (``tests/data/audit_failures.json``), labelled before they were run;
* *programs*: what people write in statistics, physics, robotics, finance, and for losses, attention
  and kernels (``tests/data/audit_programs.json``), labelled before they were run;
* *fine*: functions as SciPy, JAX and Optax write them, at everyday inputs, and
  ``tests/data/audit_well_written.json``, at hard ones: each must pass.

Run: ``python -m benchmarks.audit``
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case_libraries import Inputs, our_function, stablegrad_result
from benchmarks.cases import inputs_of, read_cases
from benchmarks.judge import RIGHT_ULP, case_error
from benchmarks.measure import arguments, console, save, table

LABELS = Path(__file__).resolve().parent.parent / "tests" / "data" / "case_causes.json"
FURTHER = LABELS.with_name("audit_failures.json")
PROGRAMS = LABELS.with_name("audit_programs.json")
WRITTEN = LABELS.with_name("audit_well_written.json")
SYNONYMS = {"square": "power"}
"""Names of ops that are one spelling in a program: x**2."""

ONE = """
expit log_expit logit(0.2+x/10) gammaln(x+4) digamma(x+4) erf erfc ndtr log_ndtr erfcx i0 i0e
ndtri(0.5+x/10) erfinv(x/4) exprel log1p(x/4) expm1 exp2 cbrt(x+4) sinc entr(x+4) xlogy(x+4,2.5)
xlog1py(x,1.5) log_softmax(x) cosm1(x) (x+1)**3 exp(-x*x/2) x/(1+abs(x)) 1/(1+x*x)
rsqrt(x+4) sinh cosh tanh arcsinh arctan
arcsin(x/4) arccos(x/4) arccosh(x+5) arctanh(x/4) sin cos exp log(x+4) sqrt(x+4) square
relu sqrt(1+x*x) softplus sigmoid silu logsigmoid elu selu tanh(x)**2 gelu softsign mish
log1p(x*x) hardswish
exp(sin(x)) leaky_relu tanhshrink arctan(x)/3 sin(x)*x cos(2*x+1) log1p(exp(-abs(x)))+maximum(x,0)
x*sigmoid(1.702*x) 0.5*x*(1+tanh(0.7978845608*(x+0.044715*x**3))) x*tanh(softplus(x))
""".split()
TWO = """
0.5*(x-y)**2 abs(x-y) 1/(1+(x-y)**2) softplus(x-y) hypot(x,y) logaddexp(x,y) arctan2(x,y+4)
where(abs(x-y)<1,0.5*(x-y)**2,abs(x-y)-0.5) maximum(0,1-x*y) maximum(0,1-x*y)**2
softplus(x)-x*sigmoid(y) exp(x)-y*x sqrt((x-y)**2+1e-3) x*y+3 x/(y+4) (x+4)**y
log((x-y)**2+1) 0.5*(log(y+4)+(x-y)**2/(y+4)) exp(-0.5*(x-y)**2) exp(-abs(x-y)/2)
xlogy(sigmoid(x),y+4) x*log((x+4)/(y+4)) y+4-x*log(y+4) log(y+4)+(x+4)/(y+4)
""".split()
ROWS = """
logsumexp(v) softmax(v)[0] log_softmax(v)[1] mean(v) var(v) std(v) norm(v) sum(v*v)
-sum(softmax(v)*log_softmax(v)) logsumexp(v)-v[0] mean(softplus(v)) sum(tanh(v)*v) max(v)
mean((v-mean(v))**2) prod(v+4)
""".split()


def fine() -> list[str]:
    """The functions that are well written, as expressions of x, of x and y, or of a vector v."""
    return [f if "(" in f else f"{f}(x)" for f in ONE] + TWO + ROWS


def naive_result(case: Mapping[str, Any], inputs: Inputs) -> Any:
    """A case as a conventional framework computes it."""
    import stablegrad as sg

    with sg.naive(), np.errstate(all="ignore"):
        return stablegrad_result(case, inputs)


def first_wrong(case: Mapping[str, Any]) -> int | None:
    """The first point at which a conventional run is not right."""
    for i, point in enumerate(case["points"]):
        one = {**case, "points": [point], "right_30digits": [case["right_30digits"][i]]}
        if case_error([naive_result(one, inputs_of(one, point))], one) > RIGHT_ULP:
            return i
    return None


def program_of(
    case: Mapping[str, Any], point: Mapping[str, Any]
) -> tuple[Callable[..., Any], list[str], list[Any]]:
    """A case as a function of its variables, their names, and their values at a point."""
    import stablegrad as sg

    inputs = inputs_of(case, point)
    names = [v for v in inputs if case["order"] == 0 or v in case["wrt"]]
    rest = {k: sg.tensor(v) for k, v in inputs.items() if k not in names}
    g = our_function(case["expr"])

    def program(*args: Any) -> Any:
        return g(**rest, **dict(zip(names, args, strict=True)))

    return program, names, [inputs[n] for n in names]


def audit_case(case: Mapping[str, Any], point: int) -> Any:
    """The audit of a case at one of its points, by the variables of the case."""
    import stablegrad as sg

    program, _, args = program_of(case, case["points"][point])
    return sg.audit(program, *args, order=case["order"])


def verdict(case: Mapping[str, Any], found: Any) -> tuple[str, str]:
    """The op and the cause that an audit names for the result that the case is about."""
    kind = ("value", "gradient", "second")[case["order"]]
    bad = [t for t in found.totals if t.naive.bad and t.name.startswith(kind)]
    at = [t.finding for t in bad if t.finding is not None]
    finding = found.findings[at[0]] if at else found.first
    if finding is None:
        return "", ""
    op: str = finding.op.removeprefix("derivative of ")
    return SYNONYMS.get(op, op), finding.cause


def judge_case(case: Mapping[str, Any], label: Mapping[str, Any]) -> dict[str, Any] | None:
    """One case against its label; None where the case cannot be run."""
    try:
        point = first_wrong(case)
    except LookupError:
        return None
    if point is None:
        return None
    found = audit_case(case, point)
    op, cause = ("", "") if found.ok else verdict(case, found)
    return {
        "id": case["id"],
        "label_op": "|".join(label["op"]),
        "label_cause": label["cause"],
        "op": op,
        "cause": cause,
        "flagged": not found.ok,
        "op_right": op in label["op"],
        "cause_right": cause == label["cause"],
        "stabilized_right": found.cured,
    }


def read_failures(file: Path) -> list[dict[str, Any]]:
    """Failures, each with its inputs and its labels."""
    return json.loads(file.read_text("utf8"))


def well_written() -> list[dict[str, Any]]:
    """Functions that are as right as their problem allows, at hard inputs."""
    return json.loads(WRITTEN.read_text("utf8"))


def audit_written(case: Mapping[str, Any]) -> Any:
    """The audit of one of them, by all of its inputs."""
    import stablegrad as sg

    point = {**case["inputs"], "dtype": case["dtype"]}
    program, _, args = program_of({**case, "wrt": list(case["inputs"])}, point)
    return sg.audit(program, *args, order=case["order"])


def judge_further(case: Mapping[str, Any]) -> dict[str, Any]:
    """One of the further failures against its labels."""
    point = {**case["inputs"], "dtype": case["dtype"]}
    import stablegrad as sg

    program, _, args = program_of(case, point)
    found = sg.audit(program, *args, order=case["order"])
    op, cause = ("", "") if found.ok else verdict(case, found)
    return {
        "id": case["id"],
        "label_op": "|".join(case["op"]),
        "label_cause": "|".join(case["cause"]),
        "op": op,
        "cause": cause,
        "flagged": not found.ok,
        "op_right": op in case["op"],
        "cause_right": cause in case["cause"],
        "stabilized_right": found.cured,
    }


def audit_fine(text: str) -> Any:
    """The audit of a well-written function at everyday inputs."""
    import stablegrad as sg

    f: Callable[..., Any] = our_function(text)
    generator = np.random.default_rng(len(text))
    dtype = np.float32 if len(text) % 2 else np.float64
    x, y = (generator.uniform(-3, 3, 12).astype(dtype) for _ in range(2))
    if text in ROWS:
        return sg.audit(lambda v: f(v=v), x)
    if text in TWO:
        return sg.audit(lambda x, y: f(x=x, y=y), x, y)
    return sg.audit(lambda x: f(x=x), x)


def _counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    kinds = ("flagged", "op_right", "cause_right", "stabilized_right")
    return {"cases": len(rows), **{k: sum(r[k] for r in rows) for k in kinds}}


def main(argv: Sequence[str] | None = None) -> None:
    """Run both and count."""
    parser = arguments(__doc__)
    options = parser.parse_args(argv)
    labels = json.loads(LABELS.read_text("utf8"))
    cases = [c for c in read_cases() if c["id"] in labels]
    fine_ones = {t: partial(audit_fine, t) for t in fine()}
    fine_ones |= {c["id"]: partial(audit_written, c) for c in well_written()}
    sets = {"further": read_failures(FURTHER), "programs": read_failures(PROGRAMS)}
    if options.tiny:
        cases, fine_ones = cases[:3], dict(list(fine_ones.items())[:3])
        sets = {name: found[:3] for name, found in sets.items()}
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        judged = [judge_case(c, labels[c["id"]]) for c in cases]
        rows = {"cases": [row for row in judged if row is not None]}
        rows |= {name: [judge_further(c) for c in found] for name, found in sets.items()}
        alarms: list[str] = []
        broken: list[str] = []
        for name, run in fine_ones.items():
            try:
                if not run().ok:
                    alarms.append(name)
            except Exception as error:  # noqa: BLE001 - told below
                broken.append(f"{name}: {type(error).__name__}: {error}"[:160])
    elapsed_s = time.perf_counter() - start
    keys = ("id", "label_op", "op", "label_cause", "cause")
    every = [r for found in rows.values() for r in found]
    missed = [r for r in every if not (r["flagged"] and r["op_right"] and r["cause_right"])]
    table("cases that are not as labelled", [*keys], [[r[k] for k in keys] for r in missed])
    counts = {name: _counts(found) for name, found in rows.items()}
    heads = [*counts["cases"]]
    table("counts", ["set", *heads], [[n, *map(str, c.values())] for n, c in counts.items()])
    told = {"fine": len(fine_ones) - len(broken), "false_alarms": len(alarms)}
    table("well-written functions", [*told], [[str(v) for v in told.values()]])
    for text in alarms:
        console.print(f"false alarm: {text}", markup=False)
    for text in broken:
        console.print(f"not run: {text}", markup=False)
    counts |= {"functions": told}
    save(options.out, "audit", every, counts=counts, alarms=alarms, elapsed_s=elapsed_s)


if __name__ == "__main__":
    main()
