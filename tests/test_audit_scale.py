"""Large programs: what screening says is what the oracle says, at a fraction of the work."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.audit import chunks, scale
from stablegrad.audit.screen import Screen
from stablegrad.audit.trace import trace

run = importlib.import_module("stablegrad.audit.run")
Array = np.ndarray[Any, Any]
N = 3000


def log_miss(x: Any) -> Any:
    s = 1 / (1 + np.exp(-x))
    return np.log(1 - s)


def log_sum(v: Any) -> Any:
    return np.log(np.sum(np.exp(v), axis=1))


def masked(x: Any) -> Any:
    return np.where(x > 0, np.sqrt(x), 0) * np.log1p(np.abs(x))


def wave(x: Any) -> Any:
    return np.cos(x * x)


SEVERAL = """
import importlib
import numpy as np
import stablegrad as sg
from stablegrad.audit import chunks, scale

run = importlib.import_module("stablegrad.audit.run")
run.LARGEST_NODE, run.LOOKED_AT = 500, 300
scale.LOOKED_AT, scale.CONTROL, chunks.CHUNK = 300, 50, 300
pools = []
real = scale.multiprocessing.get_context
scale.multiprocessing.get_context = lambda kind: pools.append(kind) or real(kind)


def f(x):
    s = 1 / (1 + np.exp(-x))
    return np.log(1 - s)


x = np.random.default_rng(5).uniform(-30, 30, 3000).astype(np.float32)
one, two = (sg.audit(f, x, processes=k) for k in (1, 2))
print(*pools, one.to_json() == two.to_json())
"""
GENERATOR = np.random.default_rng(5)
U = GENERATOR.uniform(-30, 30, N)
CASES: dict[str, tuple[Callable[..., Any], Array]] = {
    "float32": (log_miss, U.astype(np.float32)),
    "float64": (log_miss, U),
    "near 0": (lambda x: (1 - np.cos(x)) / (x * x), np.float32(10.0) ** (U / 5).astype(np.float32)),
    "mask": (masked, U),
    "ill-conditioned": (wave, (U * 10).astype(np.float32)),
    "rows": (log_sum, (U * 8).astype(np.float32).reshape(-1, 2)),
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(run, "LARGEST_NODE", 500)
    monkeypatch.setattr(run, "LOOKED_AT", 300)
    monkeypatch.setattr(scale, "LOOKED_AT", 300)
    monkeypatch.setattr(scale, "CONTROL", 50)
    monkeypatch.setattr(chunks, "CHUNK", 700)
    return monkeypatch


def told(found: Any) -> Any:
    return [(f.line, f.op, f.cause, f.first) for f in found.findings]


@pytest.mark.parametrize("name", CASES)
def test_screened_is_as_by_the_oracle_alone(small: pytest.MonkeyPatch, name: str) -> None:
    f, x = CASES[name]
    screened = sg.audit(f, x, processes=1)
    assert any("screened" in note for note in screened.notes)
    assert any(": none wrong" in note for note in screened.notes)
    small.setattr(run, "LARGEST_NODE", 10**9)
    alone = sg.audit(f, x)
    assert told(screened) == told(alone)
    assert screened.ok == alone.ok
    for a, b in zip(screened.totals, alone.totals, strict=True):
        assert a.naive.elements == b.naive.elements
        assert a.naive.bad == b.naive.bad
        assert a.naive.wrong == b.naive.wrong
        assert a.stabilized.bad == b.stabilized.bad
        assert a.ill_conditioned == b.ill_conditioned
        assert abs(a.naive.bits_lost - b.naive.bits_lost) <= 1


def test_several_processes_find_the_same(tmp_path: Path) -> None:
    # in a process of its own: other tests load JAX, beside which none is forked
    path = tmp_path / "several.py"
    path.write_text(SEVERAL, "utf8")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["fork", "True"]


def test_an_interrupt_keeps_the_chunks_that_are_done(small: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    real = scale.Screening.chunk

    def chunk(self: Any, bounds: Any) -> Any:
        seen.append(bounds)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(self, bounds)

    small.setattr(scale.Screening, "chunk", chunk)
    f, x = CASES["float32"]
    found = sg.audit(f, x, processes=1)
    assert not found.complete
    assert "interrupted after 1400 of 3000 elements" in found.notes[0]
    assert found.first is not None
    assert found.first.op == "subtract"


def test_an_interrupt_keeps_what_the_oracle_has_said(small: pytest.MonkeyPatch) -> None:
    parts: list[int] = []
    real = scale._decide_part

    def part(source: Any, order: int, rows: Array) -> Any:
        parts.append(len(rows))
        if len(parts) == 2:
            raise KeyboardInterrupt
        return real(source, order, rows)

    small.setattr(scale, "AT_ONCE", 3)
    small.setattr(scale, "_decide_part", part)
    f, x = CASES["float32"]
    whole = sg.audit(f, x, processes=1)
    assert not whole.complete
    assert any("interrupted after the oracle had answered for 3 " in n for n in whole.notes)
    assert whole.totals[0].naive.bad > 500


def test_chunks_cover_every_row_once() -> None:
    for size in (1, 699, 700, 701, 1400, 1999):
        source = chunks.Elements(trace(masked, [np.ones(size)]))
        source.chunk = 700
        bounds = scale.Screening(source, 0).bounds()
        covered = [i for _, new, hi in bounds for i in range(new, hi)]
        assert covered == list(range(size))
        assert len({hi - lo for lo, _, hi in bounds}) == 1


def test_what_cancels_beyond_cure_is_left_to_the_oracle() -> None:
    """The wide run shares the naive one's fault here, and must not be believed."""
    x = np.linspace(1, 2, 2000)

    def lost(x: Any) -> Any:
        return np.arctan(np.sin(x) * 1e9) - np.arctan(np.sin(x) * 1e9 * (1 + 1e-7))

    (found,) = Screen(trace(lost, [x]), 0)([x])
    from stablegrad.audit.screen import UNSURE

    bad = np.abs(sg.audit(lost, x[:100], order=0).totals[0].naive.bad)
    assert bad > 50
    assert np.count_nonzero(found.before == UNSURE) + np.count_nonzero(found.before) > 1900
