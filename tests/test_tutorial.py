"""The stories of the tutorial, block by block."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stablegrad as sg

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tutorial-audit.md"
STORIES = PAGE.read_text("utf8").split("\n## ")[1:]


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.splitlines()[0])
def test_story(story: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", story, re.DOTALL)
    assert len(blocks) >= 3
    names: dict[str, Any] = {"np": np, "sg": sg, "__name__": "story"}
    path = tmp_path / "story.py"
    path.write_text("\n".join(blocks), "utf8")
    with np.errstate(all="ignore"):
        exec(compile(path.read_text("utf8"), str(path), "exec"), names)


def test_there_are_three() -> None:
    assert len(STORIES) == 3
