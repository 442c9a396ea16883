"""What the page of an audit looks like, and the few lines that let its points be pointed at."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1c2128; --paper: #ffffff; --soft: #59636e;
  --line: #d1d9e0; --card: #f6f8fa; --bad: #c2323f; --good: #1a6fa8; --fine: #1a7f37; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --soft: #9198a1;
  --line: #3d444d; --card: #151b23; --bad: #ff7b86; --good: #6cb6ff; --fine: #3fb950; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 70rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .2em 0 .6em; }
h2 { font-size: 1.15rem; margin: 1.8em 0 .6em; }
h3 { font: 600 .95rem/1.4 ui-monospace, monospace; margin: 1.2em 0 .3em; }
.lost { color: var(--bad); } .cured { color: var(--good); } .ok { color: var(--fine); }
.soft, small { color: var(--soft); }
.examples { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .6rem; }
.examples li { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: .5rem .8rem; flex: 1 1 18rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { border-bottom: 1px solid var(--line); padding: .35em .7em .35em 0; text-align: left;
  vertical-align: top; white-space: pre-line; overflow-wrap: break-word; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.code { font: .88rem/1.5 ui-monospace, monospace; min-width: 12rem;
  overflow-wrap: anywhere; }
figure { margin: 1em 0; position: relative; max-width: 54rem; }
figcaption { font-weight: 600; font-size: .95rem; }
.key { font-weight: 400; color: var(--soft); margin-left: .8em; white-space: nowrap; }
svg { width: 100%; height: auto; display: block; border-radius: 6px; touch-action: pan-y; }
svg:focus-visible { outline: 2px solid var(--good); outline-offset: 2px; }
svg text { fill: var(--soft); font: 13px system-ui, sans-serif; }
svg line { stroke: var(--line); }
.before { fill: var(--bad); } .after { fill: var(--good); }
.point.on { stroke: var(--ink); stroke-width: 2.5; }
.tip { position: absolute; pointer-events: none; background: var(--paper); color: var(--ink);
  border: 1px solid var(--ink); border-radius: 6px; padding: .3rem .6rem; white-space: pre;
  font: 13px/1.45 ui-monospace, monospace; box-shadow: 0 2px 8px #0003; z-index: 1; }
.tip[hidden] { display: none; }
.said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
pre { overflow-x: auto; font: 13.5px/1.55 ui-monospace, monospace; margin: 0 0 1em;
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .5em 0; }
pre span { display: block; padding: 0 .8em; min-width: max-content; }
pre i { font-style: normal; color: var(--soft); user-select: none; }
pre em { font-style: normal; color: var(--bad); padding-left: 2em; }
pre .first em { font-weight: 700; }
dt { font-weight: 600; } dd { margin: 0 0 .5em 1.2em; }
footer { margin-top: 2em; border-top: 1px solid var(--line); padding-top: .8em; }
@media (max-width: 44rem) {
  body { padding: .8rem; }
  table.rows thead { display: none; }
  table.rows tr { display: block; border: 1px solid var(--line); border-radius: 8px;
    padding: .4rem .7rem; margin: 0 0 .7rem; background: var(--card); }
  table.rows td { display: flex; justify-content: space-between; gap: 1em; border: 0;
    padding: .1em 0; text-align: right; }
  table.rows td { overflow-wrap: anywhere; }
  table.rows td:empty { display: none; }
  table.rows td::before { content: attr(data-name); color: var(--soft); text-align: left;
    white-space: nowrap; }
  table.rows td.code { text-align: left; min-width: 0; }
  table.rows td.code::before { content: none; }
  svg text { font-size: 22px; }
}
"""

SCRIPT = """
for (const figure of document.querySelectorAll("figure")) {
  const svg = figure.querySelector("svg"), tip = figure.querySelector(".tip");
  const said = figure.querySelector(".said");
  const points = [...svg.querySelectorAll(".point")];
  const place = p => [+p.dataset.x, +p.dataset.y];
  const order = points.map((p, i) => i).sort((a, b) => place(points[a])[0] - place(points[b])[0]);
  let at = -1;
  function show(k) {
    points.forEach(p => p.classList.remove("on"));
    at = k;
    tip.hidden = k < 0;
    if (k < 0) return;
    const p = points[order[k]], text = p.querySelector("title").textContent;
    p.classList.add("on");
    tip.textContent = text;
    said.textContent = text;
    const box = svg.getBoundingClientRect(), around = figure.getBoundingClientRect();
    const unit = box.width / svg.viewBox.baseVal.width, [x, y] = place(p);
    const left = box.left - around.left + x * unit, top = box.top - around.top + y * unit;
    const right = left + 14 + tip.offsetWidth > around.width;
    tip.style.left = Math.max(0, right ? left - 14 - tip.offsetWidth : left + 14) + "px";
    tip.style.top = Math.max(0, top - tip.offsetHeight / 2) + "px";
  }
  function nearest(event) {
    const box = svg.getBoundingClientRect(), unit = svg.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * unit, y = (event.clientY - box.top) * unit;
    let best = -1, least = 30 * 30 * Math.max(1, unit * unit);
    order.forEach((i, k) => {
      const [a, b] = place(points[i]), d = (a - x) ** 2 + (b - y) ** 2;
      if (d < least) [best, least] = [k, d];
    });
    show(best);
  }
  svg.addEventListener("pointermove", nearest);
  svg.addEventListener("pointerdown", nearest);
  svg.addEventListener("pointerleave", event => event.pointerType === "touch" || show(-1));
  svg.addEventListener("focus", () => svg.matches(":focus-visible") && show(0));
  svg.addEventListener("blur", () => show(-1));
  svg.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 10, PageUp: -10 }[event.key];
    const end = { Home: 0, End: order.length - 1 }[event.key];
    if (event.key === "Escape") show(-1);
    if (step === undefined && end === undefined) return;
    event.preventDefault();
    show(Math.min(order.length - 1, Math.max(0, end ?? at + step)));
  });
}
"""
