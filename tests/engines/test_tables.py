"""Tables and blocks of the NumPy engine never change a bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stablegrad.engines import blocks, reading, tables
from stablegrad.engines.numpy import Plan, bound
from stablegrad.ir import OPS, make, topological
from stablegrad.ops.record import INPUT, const
from stablegrad.program import compile_terms
from stablegrad.settings import Settings
from stablegrad.testing.sampling import special_points

F32 = np.dtype(np.float32)
SIZE = 4096
UNARY = [
    op.name
    for op in OPS.values()
    if op.elementwise and len(op.domain) == 1 and not op.params and not op.conditions
    if op.family not in ("leaf", "forms", "derivative", "lowered")
]


def function(name: str) -> tables.Function | None:
    """The function of one float32 that the lowered program of an op is, if it is one."""
    x = make(INPUT, (), (0,), (SIZE,), F32)
    program = compile_terms([OPS[name](x)], [x], Settings())
    found = tables.sources(topological(program.roots))
    if not found:
        return None
    ((root, source),) = found.items()
    return tables.function_of(root, source, bound)


def arguments() -> np.ndarray:
    """Everyday numbers, all bit patterns, whole numbers, special points."""
    rng = np.random.default_rng(5)
    near = rng.uniform(-12, 12, SIZE - 900).astype(F32)
    patterns = rng.integers(0, 1 << 32, 600, dtype=np.uint64).astype(np.uint32).view(F32)
    return np.concatenate([near, patterns, np.arange(-100, 100, dtype=F32), special_points(F32)])


def same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two arrays have the same bits, any nan being as good as another."""
    return (a.view(np.int32) == b.view(np.int32)) | (np.isnan(a) & np.isnan(b))


@pytest.mark.parametrize("name", UNARY)
def test_table_gives_the_floats_of_the_kernels(name: str):
    fn = function(name)
    if fn is None:
        pytest.skip("computed in float32 as it is")
    x = arguments()
    with np.errstate(all="ignore"):
        direct = fn.direct(x)
        table = tables.Table(fn.wide, fn.direct)
        table(x)  # learns
        read = table(x)
        plain, open_ = reading.read_by_numpy(x.view(np.uint32), *table.pieces)
    assert same(read, direct).all(), x[~same(read, direct)][:5]
    assert 0 < table.known.sum() < 512
    plain[open_] = direct[open_]
    assert same(plain, direct).all()


@pytest.mark.parametrize(
    ("name", "zero"),
    [("sin", 6.283185307), ("cosm1", 6.283185307), ("log1p", 0.0), ("digamma", 1.46163)],
)
def test_next_to_a_zero_the_kernels_decide(name: str, zero: float):
    """Where a piece holds a zero no error relative to the value is small."""
    fn = function(name)
    assert fn is not None
    places = np.arange(-6000, 6000) + int(np.array(zero, F32).view(np.int32))
    x = np.abs(places).astype(np.int32).view(F32)
    table = tables.Table(fn.wide, fn.direct)
    with np.errstate(all="ignore"):
        table(x)
        assert same(table(x), fn.direct(x)).all()


@pytest.mark.parametrize("name", ["exp", "gelu", "digamma", "arcsin"])
def test_machine_code_gives_the_bits_of_numpy(name: str):
    pytest.importorskip("numba")
    fn = function(name)
    assert fn is not None
    x = arguments()
    with np.errstate(all="ignore"):
        table = tables.Table(fn.wide, fn.direct)
        table(x)
        out, open_ = reading.read(x.view(np.uint32), *table.pieces)
        plain, plain_open = reading.read_by_numpy(x.view(np.uint32), *table.pieces)
    assert open_.tolist() == plain_open.tolist()
    assert same(out, plain).all()
    assert len(open_) < 0.4 * SIZE  # or the table would be of no use


def test_a_table_is_made_when_enough_was_computed():
    x = make(INPUT, (), (0,), (1 << 17,), F32)
    y = OPS["digamma"](x * 3 - 1)
    plan = Plan(compile_terms([y], [x], Settings()).roots, [x])
    ((fn,),) = [[f for f, *_ in plan.steps if isinstance(f, tables.Function)]]
    fn.__init__(fn.steps)
    values = np.random.default_rng(1).uniform(2, 8, 1 << 17).astype(F32)
    first = fn.direct(values)
    tried = False
    for _ in range(20):
        assert plan([values])[0].tobytes() == first.tobytes()
        tried |= fn.table is not None
        if fn.chosen is not None:
            break
    assert tried
    assert fn.chosen in (fn.table, fn.direct)
    small = make(INPUT, (), (0,), (700,), F32)  # too small for a table: by the kernels
    program = compile_terms([OPS["digamma"](small * 3 - 1)], [small], Settings())
    assert program([values[:700]])[0].tobytes() == first[:700].tobytes()


@pytest.mark.parametrize(("table_ns", "kept"), [(1.0, True), (99.0, False)])
def test_what_takes_longer_is_dropped(
    table_ns: float, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fn = function("digamma")
    assert fn is not None
    fn.__init__(fn.steps)

    def timed(run: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> tuple[np.ndarray, float]:
        return run(x), table_ns if isinstance(run, tables.Table) else 50.0

    monkeypatch.setattr(tables, "_timed", timed)
    x = np.random.default_rng(1).uniform(2, 8, 1 << 16).astype(F32)
    expected = fn.direct(x)
    for _ in range(9):
        assert same(fn(x), expected).all()
    assert (fn.table is not None) == kept
    assert fn.chosen is (fn.table if kept else fn.chosen)
    assert fn.chosen is not None


def test_no_table_is_tried_for_a_fast_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    fn = function("exp")
    assert fn is not None
    fn.__init__(fn.steps)
    monkeypatch.setattr(tables, "_timed", lambda run, x: (run(x), 0.5))
    monkeypatch.setattr(tables, "Table", None)
    x = np.zeros(1 << 16, F32)
    for _ in range(5):
        fn(x)
    assert fn.table is None
    assert fn.chosen == fn.direct


def test_nothing_is_a_function_of_one_value_that_is_of_two():
    x, y = (make(INPUT, (), (i,), (SIZE,), F32) for i in range(2))
    mixed = compile_terms([OPS["exp"](x) * OPS["sin"](y)], [x, y], Settings())
    assert not tables.sources(topological(mixed.roots))
    one = compile_terms([OPS["exp"](x) * OPS["sin"](x)], [x], Settings())
    assert list(tables.sources(topological(one.roots)).values()) == [x]


def test_blocks_change_nothing():
    """Runs with numbers, masks, rows, results inside the run and layouts that differ."""
    m = 64

    def program(n: int) -> tuple[list, list]:
        a, b = (make(INPUT, (), (i,), (n, m), F32) for i in range(2))
        c, row = make(INPUT, (), (2,), (), F32), make(INPUT, (), (3,), (m,), F32)
        h = OPS["hypot"](a, b) * c
        w = OPS["where"](a < b, OPS["logaddexp"](a, h), OPS["arctan2"](b, a) + 2)
        top = OPS["logsumexp"](w + row, axis=1, keepdims=True)
        soft = OPS["softmax"](w * row, axis=-1) * const(3, F32, (n, m))
        return [w, h, OPS["sum"](h, axis=1), w - top, soft], [a, b, c, row]

    rng = np.random.default_rng(3)
    n = 17 * blocks.BLOCK // m + 3
    data = [rng.normal(size=(m, n)).astype(F32).T, rng.normal(size=(n, m)).astype(F32)]
    others = [np.asarray(1.25, F32), rng.normal(size=m).astype(F32)]
    large = compile_terms(*program(n), Settings())
    plan = Plan(large.roots, large.inputs)
    runs = [step[0] for step in plan.steps if isinstance(step[0], blocks.Run)]
    assert any(not run.flat for run in runs)
    elementwise = compile_terms(program(n)[0][:2], large.inputs, Settings())
    apart = Plan(elementwise.roots, large.inputs)
    runs = [step[0] for step in apart.steps if isinstance(step[0], blocks.Run)]
    assert any(run.flat for run in runs)
    small = compile_terms(*program(1), Settings())
    for _ in range(4):  # every size of block is tried
        whole = plan([*data, *others])
        for one, other in zip(apart([*data, *others]), whole, strict=False):
            assert one.tobytes() == other.tobytes()
        for i in (0, 1, n // 2, n - 1):
            parts = small([*[d[i : i + 1] for d in data], *others])
            for k, part in enumerate(parts):
                assert part.tobytes() == whole[k][i : i + 1].tobytes()


def test_a_run_does_not_cut_what_others_need_whole():
    """The sums of a square matrix along rows, spread along columns."""
    n = 512
    x = make(INPUT, (), (0,), (n, n), F32)
    y = OPS["hypot"](x, x * x + OPS["sum"](OPS["hypot"](x, x + 1), axis=1))
    data = np.random.default_rng(4).normal(size=(n, n)).astype(F32)
    program = compile_terms([y], [x], Settings())
    (got,) = Plan(program.roots, program.inputs)([data])
    (expected,) = Plan(program.roots, program.inputs, wrap=lambda op, kernel: kernel)([data])
    assert got.tobytes() == expected.tobytes()
