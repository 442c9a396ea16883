"""The page of an audit: everything is in it, and nothing comes from elsewhere."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stablegrad as sg

VOID = {"meta", "line", "circle", "rect", "br"}


def one_minus(x: Any) -> Any:
    s = sg.ops.sigmoid(x)
    return sg.ops.log(1 - s)


class Reader(HTMLParser):
    """Tags that are opened and closed, and all attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

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
    seen = Reader(text).seen
    points = [a for tag, a in seen if tag == "g" and (a.get("class") or "").startswith("point")]
    labels = [a["aria-label"] or "" for a in points]
    assert len(points) == 2 * 2 * 7  # value and gradient, before and after, seven inputs
    assert all(a["tabindex"] == "0" for a in points)
    assert "x = 20, got -inf, true -20, 24.0 bits lost" in labels
    assert "x = 20, got -20, true -20, 0.0 bits lost" in labels


def test_source_is_coloured_where_digits_are_lost(page: Path) -> None:
    text = page.read_text("utf8")
    (line,) = [t for t in text.split("<span")[1:] if "return" in t and "background" in t]
    assert "subtract: cancellation, 24 bits" in line
    assert any("def one_minus" in t and "background" not in t for t in text.split("<span"))


def test_nothing_comes_from_elsewhere(page: Path) -> None:
    text = page.read_text("utf8")
    reader = Reader(text)
    assert reader.open in ([], ["p"])
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in reader.seen}
    assert not any({"src", "href", "onclick"} & set(a) for _, a in reader.seen)
    assert "url(" not in text
    assert "@import" not in text
    assert any(a.get("name") == "viewport" for tag, a in reader.seen if tag == "meta")
    assert "color-scheme: light dark" in text


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_pictures(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"error.{suffix}"
    sg.audit(one_minus, np.array([1.0, 40.0, 1e6])).plot(path)
    start = {"png": b"\x89PNG", "svg": b"<?xml"}[suffix]
    assert path.read_bytes().startswith(start)


def test_in_a_browser(page: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium: the page is not opened in a browser")
    profile = page.parent / "profile"
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--user-data-dir={profile}", "--force-dark-mode", "--window-size=390,800"),
            *(f"--screenshot={page.parent / 'page.png'}", "--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr
    assert 'class="point before"' in done.stdout
