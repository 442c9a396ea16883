"""The tables that come with the package are those that the code makes."""

from __future__ import annotations

import numpy as np
import pytest

import stablegrad as sg
from benchmarks import shipped as script
from stablegrad.program import forget
from stablegrad.synthesis import Table, shipped, store


def there() -> dict[str, tuple[str, bytes]]:
    return shipped.unpacked(shipped.PATH.read_bytes())


def test_the_file_is_small_and_every_block_is_a_table() -> None:
    assert shipped.PATH.stat().st_size < 2**20
    assert len(there()) >= 20
    for _, data in there().values():
        assert Table.from_bytes(data).pieces


def test_a_sample_is_as_it_would_be_made() -> None:
    labels = sorted({label for label, _ in there().values() if ", order " in label})
    sample = labels[:: max(1, len(labels) // 4)][:4]
    seen = 0
    for label, what in script.needed(sample):
        if what.digest in there():
            made = script.made(what)
            assert made is not None
            assert there()[what.digest] == (label, made.to_bytes())
            seen += 1
    assert seen  # what rules have come to cover is no longer needed


def test_what_is_shipped_is_not_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def refused(_: object) -> None:
        raise AssertionError("made anew")

    folder = tmp_path_factory.mktemp("empty")
    monkeypatch.setenv(store.VARIABLE, str(folder))
    monkeypatch.setattr(store, "Builder", refused)
    store.forget()
    forget()
    x = sg.tensor(np.array([1e-5, 0.3, 20.0]))
    y = 1 / sg.ops.tanh(x) - 1 / x
    assert "synthesized" in sg.explain(y).ops
    assert abs(y.numpy()[0] - 1e-5 / 3) < 1e-15
    assert not list(folder.iterdir())
    store.forget()


def test_a_damaged_file_is_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    digest = next(iter(there()))
    assert shipped.table_with(digest) is not None
    path = tmp_path / "shipped.kernels"
    path.write_bytes(shipped.PATH.read_bytes()[:-5])
    monkeypatch.setattr(shipped, "PATH", path)
    shipped._tables.cache_clear()
    assert shipped.table_with(digest) is None
    shipped._tables.cache_clear()
