"""Tables on disk: read back bit by bit, and never trusted."""

from __future__ import annotations

import errno
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from stablegrad import ops
from stablegrad.synthesis import DeclinedError, X, evaluate, recipe, store
from stablegrad.synthesis.table import FORMAT, framed, unframed

F = ops.log(X) / (X - 1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STABLEGRAD_CACHE", str(tmp_path / "kernels"))
    store.forget()
    return tmp_path / "kernels"


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_a_table_survives_the_disk(folder: Path) -> None:
    what = recipe(F, X)
    made = store.table_of(what)
    (path,) = files(folder)
    store.forget()
    read = store.table_of(what)
    assert read is not made
    xs = np.exp2(np.random.default_rng(0).uniform(-30, 30, 500))
    for a, b in zip(evaluate(np, xs, made), evaluate(np, xs, read), strict=True):
        assert np.array_equal(a, b)
    assert (read.bound_ulp, read.pieces, read.gaps) == (made.bound_ulp, made.pieces, made.gaps)
    assert path.name.startswith(what.digest)


def test_why_nothing_was_made_is_kept_too(folder: Path) -> None:
    what = recipe(ops.floor(X), X)
    for _ in range(2):
        with pytest.raises(DeclinedError):
            store.table_of(what)
        assert len(files(folder)) == 1
        store.forget()


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "flipped", "other"])
def test_a_damaged_file_is_made_anew(folder: Path, damage: str) -> None:
    what = recipe(F, X)
    made = store.table_of(what)
    (path,) = files(folder)
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut": data[:middle],
            "noise": np.random.default_rng(0).bytes(len(data)),
            "flipped": data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :],
            "other": b"PK\x03\x04 not a table",
        }[damage]
    )
    store.forget()
    again = store.table_of(what)
    assert np.array_equal(again.coefficients, made.coefficients)
    assert path.read_bytes() != b""
    assert store.load(what.digest) is not None


@pytest.mark.parametrize(
    ("key", "value"),
    [("format", 0), ("shape", [2, 3]), ("sides", []), ("kinds", []), ("points", [["x", "y"]])],
)
def test_a_file_that_says_something_else_is_refused(folder: Path, key: str, value: object) -> None:
    what = recipe(F, X)
    about, numbers = unframed(store.table_of(what).to_bytes())
    path = store.path_of(what.digest)
    assert path is not None
    path.write_bytes(framed({**about, key: value}, numbers))
    if key == "format":  # the frame has its own: damage it
        here = f'"format": {FORMAT}'.encode()
        path.write_bytes(path.read_bytes().replace(here, b'"format": 0'))
    assert store.load(what.digest) is None
    assert not path.exists()


def test_a_full_disk_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "write", full)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        table = store.table_of(recipe(F, X))
    assert table.pieces


def test_a_write_that_fails_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(parents=True)

    def broken(self: Path, target: Path) -> Path:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OSError, match="Input"):
        store.write(folder / "x.kernel", b"data")
    assert files(folder) == []


def test_the_folder_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LARGEST", 20_000)
    for k in range(2, 7):
        store.table_of(recipe(ops.log(X * k) / (X * k - 1), X))
    assert sum(p.stat().st_size for p in files(folder)) <= 20_000


def test_no_folder_where_it_is_switched_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STABLEGRAD_CACHE", "off")
    store.forget()
    assert store.folder() is None
    assert store.table_of(recipe(F, X)).pieces
    assert list(tmp_path.iterdir()) == []


def _make(folder: str) -> int:
    import os

    os.environ["STABLEGRAD_CACHE"] = folder
    store.forget()
    return store.table_of(recipe(F, X)).pieces


def test_two_processes_share_a_folder(folder: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(_make, [str(folder)] * 2)
    assert first == second
    assert [p.suffix for p in files(folder)] == [".kernel"]
    assert store.load(recipe(F, X).digest) is not None


def test_a_half_is_made_for_the_sign_that_is_met(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    class Counted(store.Builder):
        def build(self) -> store.Table:
            made.append(self.sign)
            return super().build()

    monkeypatch.setattr(store, "Builder", Counted)
    what = recipe((X + 1) ** 3 - 1 - ops.sin(X) * 3, X)
    right, left = np.array([0.5, 1e-4]), np.array([-0.7, -3e-5])
    apart = [evaluate(np, x, _there(store.table_for(what, x))) for x in (right, left)]
    assert made == [1, -1]
    assert len(files(folder)) == 2
    both = np.concatenate([right, left])
    value, covered = evaluate(np, both, _there(store.table_for(what, both)))
    assert made == [1, -1, 0]  # of the two that are there
    assert np.array_equal(value, np.concatenate([v for v, _ in apart]))
    assert covered.all()
    table = store.table_of(what)
    halves = [store._table((what, s)) for s in (1, -1)]
    assert table.pieces == sum(h.pieces for h in halves)
    assert len(table.points) == sum(len(h.points) for h in halves)
    store.forget()
    at_once = store.Builder(what).build()
    assert np.array_equal(at_once.coefficients, table.coefficients)


def _there(table: store.Table | None) -> store.Table:
    assert table is not None
    return table
