"""Timing side by side, and what a result needs to be read later: versions, cores, CPU."""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("stablegrad", "numpy", "scipy", "torch", "autograd", "mygrad", "jax")
console = Console(width=None if sys.stdout.isatty() else 160)


@dataclass(frozen=True)
class Timing:
    """Seconds for one call, over several samples of ``calls`` calls each."""

    min_s: float
    median_s: float
    samples: int
    calls: int


Clock = Callable[[], float]
"""``time.perf_counter``, or ``time.process_time`` where everything runs in one thread: then it
tells the same on an idle machine, and on a busy one leaves out the time of other programs."""


def compare(
    contenders: Mapping[str, Callable[[], object]],
    *,
    samples: int,
    sample_s: float,
    clock: Clock,
) -> dict[str, Timing]:
    """Time functions in turns, so that what slows the machine down hits all of them alike.

    Args:
        contenders: the functions by name; each is called once first, to warm up.
        samples: how many samples of each.
        sample_s: how long one sample should last at least.
        clock: what tells the time.
    """
    calls: dict[str, int] = {}
    for name, run in contenders.items():
        run()
        calls[name] = _calls(run, sample_s, clock)
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    gc.collect()
    gc.freeze()  # the collector stays on, as in real use, but does not walk what was imported
    for i in range(samples):
        turn = i % len(names)
        for name in names[turn:] + names[:turn]:
            taken[name].append(_sample(contenders[name], calls[name], clock))
    gc.unfreeze()
    return {
        name: Timing(min(found), statistics.median(found), samples, calls[name])
        for name, found in taken.items()
    }


def _calls(run: Callable[[], object], sample_s: float, clock: Clock) -> int:
    calls = 1
    while (taken := _sample(run, calls, clock) * calls) < sample_s:
        calls = max(2 * calls, int(calls * sample_s / max(taken, 1e-9)))
    return calls


def _sample(run: Callable[[], object], calls: int, clock: Clock) -> float:
    start = clock()
    for _ in range(calls):
        run()
    return (clock() - start) / calls


def once(run: Callable[[], object], clock: Clock) -> float:
    """Seconds of a single call."""
    return _sample(run, 1, clock)


# -- what it ran on -----------------------------------------------------------------------


def machine() -> dict[str, Any]:
    """The machine, the versions and the commit: without them no figure can be read."""
    return {
        "commit": commit(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: v for name in PACKAGES if (v := version(name)) is not None},
    }


def commit(folder: Path = Path(__file__).parent) -> str | None:
    """The commit of the checkout, with ``+`` where its files have been changed since."""

    def git(*command: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *command], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/*.py")
        return git("rev-parse", "--short=10", "HEAD") + "+" * bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return None


def version(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def describe(info: Mapping[str, Any]) -> str:
    """The machine and the versions on one line."""
    versions = ", ".join(f"{name} {v}" for name, v in info["versions"].items())
    at = f"; commit {info['commit']}" if info.get("commit") else ""
    return f"{info['cpu']}, {info['cores']} cores, Python {info['python']}; {versions}{at}"


def available(names: Sequence[str]) -> list[str]:
    """Those of the libraries to compare with that are installed; the others are told."""
    found = [name for name in names if version(name) is not None]
    for name in names:
        if name not in found:
            console.print(f"{name} is not installed: its column is left out")
    return found


# -- command line and files ---------------------------------------------------------------


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """The parser of a benchmark's command line: ``--tiny`` and ``--out``."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--tiny", action="store_true", help="seconds, to see that it works")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder for the results")
    return parser


def save(folder: Path, name: str, rows: Sequence[Any], *, tell: bool = True, **facts: Any) -> Path:
    """Write the rows of a benchmark, with the machine and the versions."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    here = machine()
    data = {"benchmark": name, "machine": here, **facts, "rows": rows}
    text = json.dumps(data, indent=1, default=asdict)
    path.write_text(text + "\n", "utf8")
    if tell:
        console.print(f"wrote {path.name}; {describe(here)}")
    return path


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table."""
    shown = Table(title=title, title_justify="left", show_edge=False)
    for i, column in enumerate(columns):
        shown.add_column(column, justify="left" if i == 0 else "right")
    for row in rows:
        shown.add_row(*[escape(str(cell)) for cell in row])
    console.print(shown)


def figure(x: float | None) -> str:
    """A number to three figures; a dash for none."""
    if x is None:
        return "-"
    return f"{x:.0f}" if abs(x) >= 100 else f"{x:.3g}"


class LateError(Exception):
    """A program took too long."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Give up after so many seconds of CPU time, where the system can tell."""
    if not hasattr(signal, "SIGVTALRM"):
        yield
        return

    def late(*_: object) -> None:
        raise LateError(f"more than {seconds:.0f} s")

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
