"""The page of an audit: plots that tell their points, and the source coloured by what it loses.

One file without scripts and without anything from elsewhere. What a point is, input, got and true,
shows when it is pointed at, touched or reached by the tab key.
"""

from __future__ import annotations

import html
import linecache
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stablegrad.audit.examples import Series
from stablegrad.audit.findings import Audit, Finding, short_path

Array = np.ndarray[Any, Any]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 300, 44, 30, 16
AROUND = 3
"""Lines of source shown before the first and after the last finding."""
STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 1em; max-width: 76em; background: Canvas; color: CanvasText; }
.stablegrad { overflow-x: auto; }
figure { margin: 1em 0; } figcaption { font: 600 15px/1.4 system-ui, sans-serif; }
svg { width: 100%; max-width: 52em; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: currentColor; } svg line { stroke: currentColor; stroke-opacity: .25; }
.before { fill: #d1495b; } .after { fill: #2e86ab; }
.point { outline: none; cursor: pointer; } .point .tip { display: none; pointer-events: none; }
.point:hover .tip, .point:focus .tip { display: block; }
.point:hover circle, .point:focus circle { stroke: currentColor; stroke-width: 2; r: 6; }
.tip rect { fill: Canvas; stroke: currentColor; }
pre.source { overflow-x: auto; font: 13px/1.5 ui-monospace, monospace; margin: 0 0 1em; }
pre.source span { display: block; } pre.source b { font-weight: 400; opacity: .55; }
pre.source em { font-style: normal; opacity: .8; padding-left: 2em; }
@media (max-width: 40em) { body { padding: .5em; } .stablegrad table { font-size: 12px; } }
"""


def page(audit: Audit, body: str) -> str:
    """The report as a page of its own.

    Args:
        audit: what was found.
        body: its tables.
    """
    title = html.escape(f"audit of {audit.function}")
    parts = [*[_figure(s) for s in audit.series], *_sources(audit.findings)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>\n"
        f"{body}\n{''.join(parts)}</main></body></html>\n"
    )


# -- error against input --------------------------------------------------------------------


def scaled(x: Array) -> Array:
    """Places on an axis that is linear near the smallest magnitudes and logarithmic beyond."""
    size = np.abs(x)
    unit = float(np.min(size, where=size > 0, initial=np.inf))
    wide = np.isfinite(unit) and float(size.max(initial=0.0)) > 1e3 * unit
    return np.sign(x) * np.log1p(size / unit) if wide else x


def _figure(series: Series) -> str:
    at = scaled(series.x)
    low, high = (float(at.min()), float(at.max())) if at.size else (0.0, 1.0)
    across = (at - low) / ((high - low) or 1.0) * (WIDTH - LEFT - 16) + LEFT
    most = max(float(series.before.max(initial=0.0)), float(series.after.max(initial=0.0)), 8.0)

    def up(bits: float) -> float:
        return HEIGHT - BOTTOM - bits / most * (HEIGHT - BOTTOM - TOP)

    name = html.escape(f"{series.result}: bits lost against {series.variable}")
    lines = [
        f"<figure><figcaption>{name} (red as written, blue stabilized)</figcaption>",
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="{name}">',
    ]
    for tick in range(0, int(most) + 1, 8):
        y = up(tick)
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick}</text>')
    order = np.argsort(series.x, kind="stable")
    for i in order[np.unique(np.linspace(0, max(len(order) - 1, 0), 4).astype(int))]:
        x = f"{across[i]:.1f}"
        label = f"{series.x[i]:.3g}"
        lines.append(f'<text x="{x}" y="{HEIGHT - 8}" text-anchor="middle">{label}</text>')
    for kind, bits, got in (
        ("after", series.after, series.stabilized),
        ("before", series.before, series.naive),
    ):
        for i in order:
            told = [f"{series.variable} = {series.x[i]:.9g}", f"got {got[i]:.9g}"]
            told += [f"true {series.true[i]:.9g}", f"{bits[i]:.1f} bits lost"]
            lines.append(_point(kind, float(across[i]), up(float(bits[i])), told))
    return "\n".join([*lines, "</svg></figure>\n"])


def _point(kind: str, x: float, y: float, told: Sequence[str]) -> str:
    wide = 9 + 6.5 * max(len(t) for t in told)
    left = min(x + 8, WIDTH - wide - 2)
    top = min(max(y - 34, 2), HEIGHT - 72)
    rows = "".join(
        [
            f'<text x="{left + 5:.1f}" y="{top + 15 + 15 * k:.1f}">{html.escape(t)}</text>'
            for k, t in enumerate(told)
        ]
    )
    label = html.escape(", ".join(told), quote=True)
    return (
        f'<g class="point {kind}" tabindex="0" role="img" aria-label="{label}">'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/><g class="tip">'
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="68" rx="4"/>{rows}</g></g>'
    )


# -- source ---------------------------------------------------------------------------------


def _sources(findings: Sequence[Finding]) -> list[str]:
    files = dict.fromkeys(f.file for f in findings if f.line)
    return [_source(file, [f for f in findings if f.file == file]) for file in files]


def _source(file: str, findings: Sequence[Finding]) -> str:
    numbers = [f.line for f in findings]
    first, last = max(1, min(numbers) - AROUND), max(numbers) + AROUND
    rows = [f"<h3>{html.escape(short_path(file))}</h3>", '<pre class="source">']
    for n in range(first, last + 1):
        text = linecache.getline(file, n).rstrip("\n")
        here = [f for f in findings if f.line == n]
        if not text and n > max(numbers):
            break
        bits = max((f.bits_lost for f in here), default=0.0)
        share = min(bits / 53, 1.0) * 0.5 + 0.1 if here else 0.0
        told = "; ".join(f"{f.op}: {f.cause or 'rounding'}, {f.bits_lost:.0f} bits" for f in here)
        note = f"<em># {html.escape(told)}</em>" if here else ""
        style = f' style="background:rgba(209,73,91,{share:.2f})"' if here else ""
        rows.append(f"<span{style}><b>{n:4d}</b> {html.escape(text)}{note}</span>")
    return "".join([*rows, "</pre>\n"])


# -- pictures -------------------------------------------------------------------------------


def picture(audit: Audit, path: str | Path) -> None:
    """Error against input as a picture: PNG, SVG or PDF, by the suffix of the path."""
    from matplotlib.figure import Figure

    count = max(len(audit.series), 1)
    figure = Figure(figsize=(7, 2.6 * count), layout="constrained")
    axes = np.atleast_1d(figure.subplots(count, 1))
    for ax, s in zip(axes, audit.series, strict=False):
        size = np.abs(s.x)
        unit = float(np.min(size, where=size > 0, initial=np.inf))
        if np.isfinite(unit) and size.max(initial=0.0) > 1e3 * unit:
            ax.set_xscale("symlog", linthresh=unit)
        ax.plot(s.x, s.before, "o", ms=3, color="#d1495b", label="as written")
        ax.plot(s.x, s.after, "o", ms=3, color="#2e86ab", label="stabilized")
        ax.set(xlabel=s.variable, ylabel="bits lost", title=s.result)
        ax.legend(loc="best", frameon=False)
    figure.savefig(path)
