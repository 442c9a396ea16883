"""What each rule was measured to gain, by ``python -m benchmarks.rules``."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).with_name("gains.json")


@cache
def gains() -> dict[str, dict[str, Any]]:
    """By rule: the share of points gained, bits lost before and after there, and where."""
    return json.loads(MEASURED.read_text("utf8"))


def gain_text(name: str) -> str:
    """The gain of a rule in words; nothing for a rule that only brings terms to one form."""
    row = gains().get(name)
    if row is None or not row["gained"]:
        return ""
    before, after, where = (row[k] for k in ("before_bits", "after_bits", "where"))
    share = f"{100 * row['gained']:.2g}%"
    return f"{before:.2g} bits lost to {after:.2g} at {share} of points, as near |x| = {where:.2g}"
