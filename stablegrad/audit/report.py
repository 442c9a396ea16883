"""Audits for people: tables on a terminal and in a notebook."""

from __future__ import annotations

import html
import io
import os
import tempfile
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from stablegrad.audit.causes import MEANINGS
from stablegrad.audit.findings import Audit, Finding
from stablegrad.audit.measure import Counts

WIDTH = 100
COUNTED = ("bits lost", "nan", "inf", "zero", "off", "lossy", "of")
LINE_HEAD = ("line", "operation", "pass", *COUNTED, "cause", "cure")
TOTAL_HEAD = ("result", "program", *COUNTED)
LEGEND = (
    "Counted are elements: nan, inf or zero where the truth is not; off by more than 1e-3; lossy, "
    "off by more than 64 ulp but less. A line is judged on right arguments: what it loses itself."
)


def _numbers(c: Counts) -> tuple[str, ...]:
    counts = (c.nan, c.inf, c.zeroed, c.off, c.lossy)
    return (f"{c.bits_lost:.1f}", *[str(n) if n else "" for n in counts], str(c.elements))


def line_rows(audit: Audit) -> list[tuple[str, ...]]:
    """A row for each direction of each finding that loses digits."""
    rows: list[tuple[str, ...]] = []
    for f in audit.findings:
        ways = [("forward", f.forward), ("backward", f.backward)]
        shown = [(name, c) for name, c in ways if c.bad] or [
            max(ways, key=lambda way: way[1].bits_lost)
        ]
        for i, (name, c) in enumerate(shown):
            first = (_where(f), f.op) if i == 0 else ("", "")
            why = (f"{f.cause} (first)" if f.first else f.cause, _cure(f))
            rows.append((*first, name, *_numbers(c), *(why if i == 0 else ("", ""))))
    return rows


def _where(f: Finding) -> str:
    return f"{f.place}\n{f.source}" if f.source else f.place


def _bare_rows(audit: Audit) -> list[tuple[str, ...]]:
    """The same without the source of lines, which is told below."""
    told = {_where(f): f.place for f in audit.findings if f.line}
    return [(told.get(row[0], row[0]), *row[1:]) for row in line_rows(audit)]


def _sources(audit: Audit) -> dict[str, str]:
    """The source of each line that is named."""
    return {f.place: f.source for f in audit.findings if f.line and f.source}


def _cure(f: Finding) -> str:
    names = "\n".join(str(c) for c in f.cures)
    return names if f.cured else f"{names}\n(not all cured)".strip()


def total_rows(audit: Audit) -> list[tuple[str, ...]]:
    """Two rows for each result: naive and stabilized."""
    rows: list[tuple[str, ...]] = []
    for t in audit.totals:
        rows.append((t.name, "naive", *_numbers(t.naive)))
        rows.append(("", "stabilized", *_numbers(t.stabilized)))
    return rows


def causes_told(audit: Audit) -> list[tuple[str, str]]:
    """The causes in words, each once."""
    found = dict.fromkeys(f.cause for f in audit.findings if f.cause)
    return [(cause, f"{MEANINGS[cause]}.") for cause in found]


# -- terminal -------------------------------------------------------------------------------


_TEXTS = {
    "line": 10,
    "operation": 8,
    "pass": 8,
    "cause": 12,
    "cure": 10,
    "result": 10,
    "program": 10,
}
"""Columns of text, and how narrow they may become."""


def shown(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Head and rows without the columns in which nothing stands."""
    kept = [i for i, name in enumerate(head) if name in _TEXTS or any(row[i] for row in rows)]
    return [tuple([row[i] for i in kept]) for row in [head, *rows]]


def _table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    names, *cells = shown(head, rows)
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for name in names:
        if name in _TEXTS:
            table.add_column(name, overflow="fold", min_width=_TEXTS[name])
        else:
            table.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True, min_width=4)
    for row in cells:
        table.add_row(*[Text(cell) for cell in row])
    return table


def tables(audit: Audit) -> Group:
    """What rich shows."""
    colour = "green" if audit.ok and audit.complete else "yellow" if audit.cured else "red"
    parts: list[Any] = [Text(audit.verdict, style=f"bold {colour}")]
    parts += [Text(f"It {example}.") for example in audit.examples]
    if audit.findings:
        parts += [Text(), _table("Where digits are lost", LINE_HEAD, _bare_rows(audit))]
        parts += [Text(f"{place}: {source}") for place, source in _sources(audit).items()]
    if audit.totals:
        parts += [Text(), _table("Results", TOTAL_HEAD, total_rows(audit)), Text()]
    reasons = dict.fromkeys((str(c), c.reason) for f in audit.findings for c in f.cures if c.reason)
    parts += [Text(f"{name}: {reason}") for name, reason in [*reasons, *causes_told(audit)]]
    if audit.findings:
        parts.append(Text(LEGEND, style="dim"))
    parts += [Text(f"Note: {note}.") for note in audit.notes]
    return Group(*parts)


def text(audit: Audit, width: int = WIDTH) -> str:
    """The same without colours."""
    console = Console(file=io.StringIO(), width=width, no_color=True, legacy_windows=False)
    console.print(tables(audit))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


# -- pages ----------------------------------------------------------------------------------

_STYLE = """
.stablegrad { font: 14px/1.45 system-ui, sans-serif; }
.stablegrad table { border-collapse: collapse; margin: .6em 0 1.2em; }
.stablegrad th, .stablegrad td { border: 1px solid #8886; padding: .25em .6em; text-align: left;
  vertical-align: top; white-space: pre-line; }
.stablegrad td.n { text-align: right; font-variant-numeric: tabular-nums; }
.stablegrad .ok { color: #1a7f37; } .stablegrad .lost { color: #bc4c00; }
.stablegrad small { opacity: .75; }
"""


def _html_table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    names, *cells = shown(head, rows)

    def cell(value: str) -> str:
        number = value.replace(".", "", 1).isdigit()
        return f"<td{' class=n' if number else ''}>{html.escape(value)}</td>"

    lines = [f"<h3>{html.escape(title)}</h3>", "<table><thead><tr>"]
    lines += [f"<th>{html.escape(name)}</th>" for name in names]
    lines.append("</tr></thead><tbody>")
    lines += [f"<tr>{''.join(cell(c) for c in row)}</tr>" for row in cells]
    return "\n".join([*lines, "</tbody></table>"])


def body(audit: Audit) -> str:
    """The report as a piece of HTML, with its style: what a notebook shows."""
    kind = "ok" if audit.ok and audit.complete else "lost"
    parts = [
        f"<style>{_STYLE}</style>",
        f'<div class="stablegrad"><h2 class="{kind}">{html.escape(audit.verdict)}</h2>',
    ]
    parts += [f"<p>It {html.escape(str(example))}.</p>" for example in audit.examples]
    if audit.findings:
        parts.append(_html_table("Where digits are lost", LINE_HEAD, line_rows(audit)))
    if audit.totals:
        parts.append(_html_table("Results", TOTAL_HEAD, total_rows(audit)))
    reasons = dict.fromkeys((c, c.reason) for f in audit.findings for c in f.cures if c.reason)
    if reasons:
        items = [
            f"<li><b>{html.escape(str(c))}</b>: {html.escape(reason)}"
            + (f" <small>({html.escape(c.source)})</small>" if c.source else "")
            for c, reason in reasons
        ]
        parts.append(f"<h3>Cures</h3><ul>{''.join(items)}</ul>")
    parts += [f"<p>Note: {html.escape(note)}.</p>" for note in audit.notes]
    return "\n".join([*parts, f"<p><small>{html.escape(LEGEND)}</small></p></div>"])


def write_atomically(path: str | Path, content: str) -> None:
    """Write a file beside its place and move it there, so that no half a file is ever seen."""
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf8") as file:
            file.write(content)
        mode = path.stat().st_mode if path.exists() else 0o666 & ~_umask()
        Path(temporary).chmod(mode & 0o777)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """The mask of the process; there is no way to read it but to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
