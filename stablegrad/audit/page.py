"""The page of an audit: plots that tell their points, and the source coloured by what it loses.

One file without anything from elsewhere. What a point is, input, got and true, shows when it is
pointed at, touched, or reached by the arrow keys; without scripts the browser shows it by itself.
"""

from __future__ import annotations

import html
import linecache
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stablegrad.audit.axes import Axis, axis_for
from stablegrad.audit.causes import MEANINGS
from stablegrad.audit.examples import Series
from stablegrad.audit.findings import Audit, Finding, short_path
from stablegrad.audit.page_style import SCRIPT, STYLE
from stablegrad.audit.report import LEGEND, LINE_HEAD, line_rows, shown

Array = np.ndarray[Any, Any]

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 760, 320, 48, 16, 40, 14
KEYS = (
    '<span class="key"><span class="lost">&#9679;</span> as written</span>'
    '<span class="key"><span class="cured">&#9632;</span> stabilized</span>'
)
AROUND = 2
"""Lines of source shown before and after a line with a finding."""


def page(audit: Audit) -> str:
    """The report as a page of its own."""
    title = html.escape(f"audit of {audit.function}")
    kind = "ok" if audit.ok and audit.complete else "lost"
    parts = [f'<h1 class="{kind}">{html.escape(audit.verdict)}</h1>']
    if audit.examples:
        items = [f"<li>It {html.escape(str(e))}.</li>" for e in audit.examples]
        parts.append(f'<ul class="examples">{"".join(items)}</ul>')
    if audit.findings:
        parts += ["<h2>Where digits are lost</h2>", _findings(audit)]
        parts += _sources(audit.findings)
    if audit.totals:
        parts += ["<h2>Before and after</h2>", _totals(audit)]
    if audit.series:
        parts += [
            "<h2>Error against input</h2>",
            '<p class="soft">Point at a point, touch it, or use the arrow keys.</p>',
            *[_figure(s) for s in audit.series],
        ]
    parts += _words(audit)
    if audit.notes:
        items = [f"<li>{html.escape(note)}.</li>" for note in audit.notes]
        parts += ["<h2>Notes</h2>", f"<ul>{''.join(items)}</ul>"]
    parts.append(f"<footer><small>{html.escape(LEGEND)}</small></footer>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>\n"
        f"{chr(10).join(parts)}\n</main><script>{SCRIPT}</script></body></html>\n"
    )


# -- tables ---------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], code: int = -1) -> str:
    """A table that becomes a card for each row on a narrow screen."""
    numbers = [
        i
        for i in range(len(head))
        if i != code and all(_is_number(row[i]) for row in rows) and any(row[i] for row in rows)
    ]

    def kind(i: int) -> str:
        return ' class="code"' if i == code else ' class="n"' if i in numbers else ""

    lines = ['<table class="rows"><thead><tr>']
    lines += [
        f"<th{kind(i) if i != code else ''}>{html.escape(h)}</th>" for i, h in enumerate(head)
    ]
    lines.append("</tr></thead><tbody>")
    for row in rows:
        cells = [
            f'<td{kind(i)} data-name="{html.escape(h, quote=True)}">{html.escape(value)}</td>'
            for i, (h, value) in enumerate(zip(head, row, strict=True))
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def _is_number(text: str) -> bool:
    return not text or text.replace(".", "", 1).isdigit()


def _findings(audit: Audit) -> str:
    head, *rows = shown(LINE_HEAD, line_rows(audit))
    return _table(head, rows, code=0)


def _totals(audit: Audit) -> str:
    head = ("result", "bits lost", "stabilized", "wrong or lossy", "stabilized ", "of")
    rows = [
        (
            t.name,
            f"{t.naive.bits_lost:.1f}",
            f"{t.stabilized.bits_lost:.1f}",
            str(t.naive.bad),
            str(t.stabilized.bad),
            str(t.naive.elements),
        )
        for t in audit.totals
    ]
    return _table(head, rows)


def _words(audit: Audit) -> list[str]:
    """The cures and the causes, each in a sentence."""
    cures = dict.fromkeys((str(c), c.reason, c.source) for f in audit.findings for c in f.cures)
    parts: list[str] = []
    told = [
        (name, f"{reason}. {source}".strip(" .") + ".") for name, reason, source in cures if reason
    ]
    causes = dict.fromkeys(f.cause for f in audit.findings if f.cause)
    for title, entries in (
        ("Cures", told),
        ("Causes", [(cause, f"{MEANINGS[cause]}.") for cause in causes]),
    ):
        if entries:
            items = [f"<dt>{html.escape(a)}</dt><dd>{html.escape(b)}</dd>" for a, b in entries]
            parts.append(f"<h2>{title}</h2><dl>{''.join(items)}</dl>")
    return parts


# -- error against input --------------------------------------------------------------------


def _figure(series: Series) -> str:
    axis = axis_for(series.x, np.fmax(series.before, series.after))
    across = LEFT + axis.at(series.x) * (WIDTH - LEFT - RIGHT)
    most = 8 * math.ceil(
        max(float(np.max(b, initial=8.0)) for b in (series.before, series.after)) / 8
    )

    def up(bits: float) -> float:
        return HEIGHT - BOTTOM - bits / most * (HEIGHT - BOTTOM - TOP)

    name = html.escape(f"{series.result}: bits lost against {series.variable}", quote=True)
    lines = [
        f"<figure><figcaption>{name}{KEYS}</figcaption>",
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" tabindex="0" role="group" aria-label="{name}">',
        *_grid(axis, most, up),
    ]
    order = np.argsort(series.x, kind="stable")
    for kind, word, bits, got in (
        ("after", "stabilized", series.after, series.stabilized),
        ("before", "as written", series.before, series.naive),
    ):
        for i in order:
            told = [f"{series.variable} = {series.x[i]:.9g}", f"got  {got[i]:.9g}"]
            told += [f"true {series.true[i]:.9g}", f"{bits[i]:.1f} bits lost, {word}"]
            lines.append(_point(kind, float(across[i]), up(float(bits[i])), told))
    return (
        "\n".join(
            [
                *lines,
                '</svg><div class="tip" hidden></div><div class="said" aria-live="polite"></div>',
            ]
        )
        + "</figure>\n"
    )


def _grid(axis: Axis, most: int, up: Any) -> list[str]:
    lines: list[str] = []
    for tick in range(0, most + 1, 8 if most <= 32 else 16):
        y = up(tick)
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 5:.1f}" text-anchor="end">{tick}</text>')
    for place, label in axis.ticks:
        x = LEFT + place * (WIDTH - LEFT - RIGHT)
        lines.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{up(0):.1f}" y2="{up(0) + 5:.1f}"/>')
        lines.append(f'<text x="{x:.1f}" y="{HEIGHT - 12}" text-anchor="middle">{label}</text>')
    return lines


def _point(kind: str, x: float, y: float, told: Sequence[str]) -> str:
    title = f"<title>{html.escape(chr(10).join(told))}</title>"
    data = f'class="point {kind}" data-x="{x:.1f}" data-y="{y:.1f}"'
    if kind == "after":
        return f'<rect {data} x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6">{title}</rect>'
    return f'<circle {data} cx="{x:.1f}" cy="{y:.1f}" r="3.6">{title}</circle>'


# -- source ---------------------------------------------------------------------------------


def _sources(findings: Sequence[Finding]) -> list[str]:
    files = dict.fromkeys(f.file for f in findings if f.line)
    return [_source(file, [f for f in findings if f.file == file]) for file in files]


def _source(file: str, findings: Sequence[Finding]) -> str:
    """The lines with findings and those around them, what lies between left out."""
    numbers = {f.line for f in findings}
    wanted = sorted({n + d for n in numbers for d in range(-AROUND, AROUND + 1) if n + d > 0})
    blank = {n for n in wanted if not linecache.getline(file, n).strip()}
    wanted = [n for n in wanted if n not in blank or {n - 1, n + 1} <= {*wanted} - blank]
    rows = [f"<h3>{html.escape(short_path(file))}</h3>", '<pre class="source">']
    for before, n in zip([None, *wanted], wanted, strict=False):
        if before is not None and n > before + 1:
            rows.append("<span><i>  &#8942;</i></span>")
        here = [f for f in findings if f.line == n]
        text = html.escape(linecache.getline(file, n).rstrip("\n"))
        bits = max((f.bits_lost for f in here), default=0.0)
        share = min(bits / 53, 1.0) * 0.45 + 0.1 if here else 0.0
        told = "; ".join(f"{f.op}: {f.cause or 'rounding'}, {f.bits_lost:.0f} bits" for f in here)
        note = f"<em># {html.escape(told)}</em>" if here else ""
        style = f' style="background:rgba(209,73,91,{share:.2f})"' if here else ""
        kind = ' class="first"' if any(f.first for f in here) else ""
        rows.append(f"<span{kind}{style}><i>{n:4d}</i> {text}{note}</span>")
    return "".join([*rows, "</pre>\n"])


# -- pictures -------------------------------------------------------------------------------


def picture(audit: Audit, path: str | Path) -> None:
    """Error against input as a picture: PNG, SVG or PDF, by the suffix of the path."""
    from matplotlib.figure import Figure

    count = max(len(audit.series), 1)
    figure = Figure(figsize=(7, 2.6 * count), layout="constrained")
    axes = np.atleast_1d(figure.subplots(count, 1))
    for ax, s in zip(axes, audit.series, strict=False):
        axis = axis_for(s.x, np.fmax(s.before, s.after))
        for bits, shape, colour, label in (
            (s.after, "s", "#1a6fa8", "stabilized"),
            (s.before, "o", "#c2323f", "as written"),
        ):
            ax.plot(axis.at(s.x), bits, shape, ms=3, color=colour, label=label)
        ax.set_xticks([p for p, _ in axis.ticks], [label for _, label in axis.ticks])
        ax.set(xlabel=s.variable, ylabel="bits lost", title=s.result)
        ax.grid(axis="y", alpha=0.3)
        ax.legend(loc="best", frameon=False)
    figure.savefig(path)
