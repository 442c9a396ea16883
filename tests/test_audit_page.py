"""The page of an audit: everything is in it, and nothing comes from elsewhere."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stablegrad as sg
from stablegrad.audit.axes import axis_for

VOID = {"meta", "line", "br", "link"}


def one_minus(x: Any) -> Any:
    s = sg.ops.sigmoid(x)
    return sg.ops.log(1 - s)


class Reader(HTMLParser):
    """Tags that are opened and closed, and all attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.titles: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["title"]:
            self.titles.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        while self.open[-1] in ("li", "p") and tag not in ("li", "p"):  # need not be closed
            self.open.pop()
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    x = np.array([-30, -1, 0, 2, 9, 20, 60], np.float32)
    sg.audit(one_minus, x).to_html(path)
    return path


def test_points_tell_input_got_and_true(page: Path) -> None:
    text = page.read_text("utf8")
    reader = Reader(text)
    points = [a for tag, a in reader.seen if (a.get("class") or "").startswith("point")]
    assert len(points) == 2 * 2 * 7  # value and gradient, before and after, seven inputs
    assert len(reader.titles) == 1 + len(points)
    assert "x = 20\ngot  -inf\ntrue -20\n24.0 bits lost, as written" in reader.titles
    assert "x = 20\ngot  -20\ntrue -20\n0.0 bits lost, stabilized" in reader.titles
    assert sum("tabindex" in a for _, a in reader.seen) == 2  # a plot is one stop of the tab key


def test_source_is_coloured_where_digits_are_lost(page: Path) -> None:
    text = page.read_text("utf8")
    (line,) = [t for t in text.split("<span")[1:] if "return" in t and "background" in t]
    assert "subtract: cancellation, 24 bits" in line
    assert any("def one_minus" in t and "background" not in t for t in text.split("<span"))


def test_nothing_comes_from_elsewhere(page: Path) -> None:
    text = page.read_text("utf8")
    reader = Reader(text)
    assert reader.open in ([], ["p"])
    assert not {"img", "iframe"} & {tag for tag, _ in reader.seen}
    assert [a["href"] for _, a in reader.seen if "href" in a] == ["data:,"]  # no icon
    assert not any({"src", "onclick"} & set(a) for _, a in reader.seen)
    assert not any(word in text for word in ("http:", "https:", "url(", "@import", "fetch("))
    assert any(a.get("name") == "viewport" for tag, a in reader.seen if tag == "meta")
    assert "color-scheme: light dark" in text


def test_the_axis_spreads_what_loses_digits() -> None:
    x = np.array([-50.0, 1e-30, -1e-20, 5.0, 6.0, 7.0, 20.0, 30.0, 50.0])
    assert axis_for(x, np.where(x > 4, 20.0, 0.0)).unit == 0
    tiny = 10.0 ** -np.arange(20)
    axis = axis_for(tiny, np.where(tiny < 1e-4, 20.0, 0.0))
    assert 0 < axis.unit < 1e-10
    assert axis.at(tiny)[0] == 1
    assert np.diff(axis.at(tiny)).max() <= 0
    assert all(0 <= place <= 1 for place, _ in axis.ticks)
    assert 3 <= len(axis.ticks) <= 9
    assert axis_for(np.array([3.0]), np.zeros(1)).at(np.array([3.0])) == 0.5
    assert len(axis_for(np.array([-np.inf, 1.0, np.inf]), np.zeros(3)).ticks) >= 1


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_pictures(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"error.{suffix}"
    sg.audit(one_minus, np.array([1.0, 40.0, 1e6])).plot(path)
    start = {"png": b"\x89PNG", "svg": b"<?xml"}[suffix]
    assert path.read_bytes().startswith(start)
