"""The page of an audit as a picture, for the documentation: docs/img/audit-page.png.

Needs Chromium and its driver. Run: ``python tools/screenshot.py``
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from selenium import webdriver

import stablegrad as sg

OUT = Path(__file__).resolve().parent.parent / "docs" / "img" / "audit-page.png"
SIZE = (960, 1330)


def log_miss(x: Any) -> Any:
    """The logarithm of the probability of a miss."""
    s = 1 / (1 + np.exp(-x))
    return np.log(1 - s)


def main() -> None:
    """Audit a function, open its page, point at a point and save what is seen."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        sg.audit(log_miss, domain="x=-50:50").to_html(page)
        driver = webdriver.Chrome(options=options, service=service)
        try:
            metrics = {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            driver.get(page.as_uri())
            x, y = driver.execute_script(
                "const p = [...document.querySelectorAll('.point.before')].map(q => "
                "q.getBoundingClientRect()).find(b => b.x > 640); return [p.x + 3, p.y + 3];"
            )
            event = {"type": "mouseMoved", "x": x, "y": y, "button": "none"}
            driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)
            OUT.write_bytes(driver.get_screenshot_as_png())
        finally:
            driver.quit()
    print(f"wrote {OUT.name}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
