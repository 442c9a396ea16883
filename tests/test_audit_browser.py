"""The page of an audit in headless Chromium: what a person sees, points at and reaches by keys."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stablegrad as sg

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
PHONE = (390, 844)

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no chromium: the page is not opened in a browser"),
    pytest.mark.skipif(not DRIVER, reason="no chromedriver: the page is not opened in a browser"),
    pytest.mark.xdist_group("browser"),
]


def one_minus(x: Any) -> Any:
    s = sg.ops.sigmoid(x)
    return sg.ops.log(1 - s)


class Browser:
    """A page that is open, and what a person does with it."""

    def __init__(self, driver: Any, page: Path) -> None:
        self.driver = driver
        self.page = page

    def open(self, width: int = 1100, height: int = 1400, *, dark: bool = False) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get(self.page.as_uri())

    def run(self, script: str, *args: Any) -> Any:
        return self.driver.execute_script(script, *args)

    def tip(self) -> str:
        tips = "[...document.querySelectorAll('.tip')].filter(t => !t.hidden)"
        return "|".join(self.run(f"return {tips}.map(t => t.textContent)"))

    def mouse(self, kind: str, x: float, y: float) -> None:
        event = {"type": kind, "x": x, "y": y, "button": "none"}
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    def touch(self, x: float, y: float) -> None:
        for kind, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
            event = {"type": kind, "touchPoints": points}
            self.driver.execute_cdp_cmd("Input.dispatchTouchEvent", event)

    def press(self, *keys: str) -> None:
        for key in keys:
            for kind in ("rawKeyDown", "keyUp"):
                event = {"type": kind, "key": key, "code": key}
                event["windowsVirtualKeyCode"] = {"Tab": 9, "End": 35, "Home": 36}.get(key, 0)
                self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", event)

    def where(self, title: str) -> tuple[float, float]:
        """The middle of the point of this title, scrolled into view."""
        x, y = self.run(
            "const p = [...document.querySelectorAll('.point')].find("
            "q => q.querySelector('title').textContent.startsWith(arguments[0]));"
            "p.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const b = p.getBoundingClientRect(); return [b.x + b.width/2, b.y + b.height/2];",
            title,
        )
        return x, y


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("page")
    x = np.array([-30, -1, 0, 2, 9, 20, 60], np.float32)
    sg.audit(one_minus, x).to_html(folder / "report.html")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={folder / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield Browser(driver, folder / "report.html")
    finally:
        driver.quit()


def test_pointing_touching_and_leaving(browser: Browser) -> None:
    browser.open()
    assert browser.tip() == ""
    browser.mouse("mouseMoved", *browser.where("x = 20\ngot  -inf"))
    assert browser.tip() == "x = 20\ngot  -inf\ntrue -20\n24.0 bits lost, as written"
    browser.mouse("mouseMoved", 5, 5)
    assert browser.tip() == ""
    browser.open(*PHONE)
    browser.touch(*browser.where("x = 60\ngot  -60"))
    assert "true -60" in browser.tip()


def test_keys_reach_every_point(browser: Browser) -> None:
    browser.open()
    browser.press("Tab")
    assert browser.tip().startswith("x = -30")
    browser.press("End")
    assert browser.tip().startswith("x = 60")
    browser.press("ArrowLeft", "ArrowLeft")
    assert browser.tip().startswith("x = 20")
    said = browser.run("return document.querySelector('.said').textContent")
    assert said == browser.tip()
    browser.press("Escape")
    assert browser.tip() == ""
    browser.press("Tab", "ArrowRight")  # the other plot
    assert browser.run("return document.activeElement.ariaLabel").startswith("gradient by x")


def test_nothing_is_loaded_and_nothing_complains(browser: Browser) -> None:
    import json

    browser.driver.get_log("performance")
    browser.driver.get_log("browser")
    browser.open()
    browser.mouse("mouseMoved", *browser.where("x = 20"))
    events = [json.loads(e["message"])["message"] for e in browser.driver.get_log("performance")]
    requests = {
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    }
    assert {u for u in requests if not u.startswith("data:")} == {browser.page.as_uri()}
    assert browser.driver.get_log("browser") == []


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_everything_in_its_width(browser: Browser, *, dark: bool) -> None:
    browser.open(*PHONE, dark=dark)
    assert browser.run("return document.documentElement.scrollWidth") <= PHONE[0]
    shown = browser.run(
        "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
    )
    lightness = [sum(int(v) for v in c[c.index("(") + 1 : -1].split(",")[:3]) for c in shown]
    assert (lightness[0] < 150) == dark
    assert abs(lightness[0] - lightness[1]) > 400
    narrow = browser.run(
        "return [...document.querySelectorAll('td')].filter(t => t.scrollWidth > t.clientWidth + 1)"
        ".map(t => t.textContent)"
    )
    assert narrow == []
