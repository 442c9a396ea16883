"""The benchmark of synthesis runs at its smallest size."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import report_synthesis, synthesis


def test_it_runs_and_writes_what_it_found(tmp_path: Path) -> None:
    synthesis.main(["--tiny", "--out", str(tmp_path)])
    data = json.loads((tmp_path / "synthesis.json").read_text("utf8"))
    assert all(synthesis.sharp(row) for row in data["rows"])
    assert data["hamming"]
    assert all(row["numpy"] <= 4 for row in data["native"])
    assert report_synthesis.synthesis(data).startswith("## Synthesized kernels")
    assert data["speed"][0]["load_ms"] > 0
