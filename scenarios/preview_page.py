"""A preview as one HTML file: no script, nothing fetched, light and dark, every picture with its table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from scenarios.demand import Floats
from scenarios.preview import Preview, StreamView
from scenarios.preview_text import amount, burst_words, totals

_COLOURS = ("#2a78d6", "#c2571a", "#1f8a5b", "#8a4fbf", "#b8860b", "#c0392b")
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 220, 56, 24
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #66727f; --line: #d8dee5; --paper: #fff; --warn: #fff4e0 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ebf0; --soft: #9aa7b4; --line: #37424e; --paper: #14191f; --warn: #3a2d14 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 48rem;
  margin: 0 auto; padding: 1rem }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .25rem } p { margin: .25rem 0 .75rem }
svg { width: 100%; height: auto; display: block } svg text { fill: var(--soft); font-size: 12px }
@media (max-width: 500px) { svg text { font-size: 20px } }
.axis { stroke: var(--line) } .soft { color: var(--soft); font-size: .9rem }
table { border-collapse: collapse; font-size: .9rem; display: block; overflow-x: auto }
td, th { padding: .15rem .7rem .15rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
td:first-child, th:first-child { text-align: left }
.warn { background: var(--warn); padding: .5rem .75rem; border-radius: 4px; margin: .5rem 0 }
.name { white-space: nowrap }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .35em 0 .9em }
"""


def write_preview(view: Preview, path: Path) -> Path:
    """Write the page aside and rename it."""
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(preview_html(view), encoding="utf-8")
    return aside.replace(path)


def preview_html(view: Preview) -> str:
    """The whole page as text."""
    scenario = view.scenario
    start_s, end_s = view.window
    body = [
        f"<h1>{escape(scenario.name)}</h1><p>{escape(scenario.description)}</p>",
        f"<p class=soft>starts {escape(scenario.event.start.isoformat())}; shown: {start_s:g} s to {end_s:g} s of "
        f"{scenario.event.length_s:g} s, scale {view.scale:g}, seed {view.seed}, hash {view.hash}</p>",
        f"<p><strong>{escape(totals(view))}</strong></p>",
        *(f"<p class=warn>{escape(warning)}</p>" for warning in view.warnings),
        *(_stream(view, stream) for stream in view.streams),
        _burst(view),
        _mix(view),
        _tokens(view),
    ]
    title = f"peakday preview: {escape(scenario.name)}"
    return (
        f'<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><body>{''.join(body)}</body></html>\n"
    )


def _stream(view: Preview, stream: StreamView) -> str:
    total, regions = stream.rate_per_s.sum(axis=0), list(view.scenario.event.regions)
    top = float(total.max()) * stream.high_ratio or 1.0
    times, unit = _in_unit(view.offset_s)
    band = _polygon(times, total * stream.low_ratio, total * stream.high_ratio, top)
    lines = [_line(times, total, top, "currentColor")]
    lines += [_line(times, rate, top, _colour(i)) for i, rate in enumerate(stream.rate_per_s)]
    keys = "".join(
        f'<span class=name><span class=key style="background:{_colour(i)}"></span>{escape(name)}</span> '
        for i, name in enumerate(regions)
    )
    rows = []
    for k in np.unique(np.linspace(0, len(times) - 1, 13).astype(int)):
        band_at = (total[k], total[k] * stream.low_ratio, total[k] * stream.high_ratio)
        rates = [amount(float(rate)) for rate in (*stream.rate_per_s[:, k], *band_at)]
        rows.append([f"{times[k]:.4g}", *rates])
    table = _table([unit, *regions, "all", "low", "high"], rows)
    low, mid, high = (amount(value) for value in stream.expected)
    return (
        f"<h2>{escape(stream.name)}: starts per second</h2>"
        f"<p class=soft>all regions with the band of {stream.confidence:.0%} confidence, and each region: {keys}<br>"
        f"in this window {mid} ({low} to {high}); source: {escape(stream.source or 'not stated')}</p>"
        f"{_chart(times, top, unit, [band, *lines])}{table}"
    )


def _burst(view: Preview) -> str:
    burst = view.burst
    top = float(burst.counts.max()) or 1.0
    bar = (_WIDTH - _LEFT) / len(burst.counts)
    bars = [
        f'<rect x="{_LEFT + i * bar:.1f}" y="{_y(count, top):.1f}" width="{max(bar - 0.5, 0.5):.2f}" '
        f'height="{_HEIGHT - _BOTTOM - _y(count, top):.1f}" fill="{_COLOURS[0]}"/>'
        for i, count in enumerate(burst.counts.tolist())
    ]
    seconds = np.array([0.0, burst.step_s * len(burst.counts)])
    quantiles = np.quantile(burst.counts, [0.0, 0.5, 0.9, 0.99, 1.0])
    table = _table(["starts a step", "least", "p50", "p90", "p99", "most"], [["", *(f"{q:.0f}" for q in quantiles)]])
    return (
        f"<h2>Burstiness around the peak</h2><p class=soft>one draw from {burst.start_s:.0f} s on, "
        f"{burst.step_s:.2g} s a step; process {escape(burst.process)}; {burst_words(burst)} (1 is Poisson)</p>"
        f"{_chart(seconds, top, 's', bars)}{table}"
    )


def _mix(view: Preview) -> str:
    intents = sorted(view.scenario.mix.intents.items(), key=lambda item: -item[1].weight)
    step, top = 24, intents[0][1].weight
    rows = []
    for i, (name, entry) in enumerate(intents):
        width, hard = (540 * share / top for share in (entry.weight, entry.weight * entry.complex_ratio))
        rows.append(
            f'<text x="0" y="{i * step + 16}">{escape(name)}</text>'
            f'<rect x="170" y="{i * step + 4}" width="{width:.1f}" height="14" fill="{_COLOURS[0]}"/>'
            f'<rect x="170" y="{i * step + 4}" width="{hard:.1f}" height="14" fill="{_COLOURS[1]}"/>'
        )
    table = _table(
        ["intent", "share", "of these complex"],
        [[escape(name), f"{entry.weight:.1%}", f"{entry.complex_ratio:.0%}"] for name, entry in intents],
    )
    key = "".join(
        f'<span class=key style="background:{colour}"></span>{word}'
        for colour, word in ((_COLOURS[0], "simple"), (_COLOURS[1], "complex"))
    )
    svg = f'<svg viewBox="0 0 {_WIDTH} {step * len(intents) + 4}" role="img" aria-label="intents">{"".join(rows)}</svg>'
    return f"<h2>What first turns ask</h2><p class=soft>{key}</p>{svg}{table}"


def _tokens(view: Preview) -> str:
    rows = []
    for m in view.models:
        tokens = (m.input_tokens_per_interaction, m.output_tokens_per_interaction)
        rows.append([escape(m.model), f"{m.turn_share:.1%}", f"{m.calls_per_interaction:.2f}", *map(amount, tokens)])
    head = ["model", "turns", "calls", "input tokens", "output tokens"]
    return (
        "<h2>Per interaction, by the policy's model</h2><p class=soft>assumed tokens of the scenario, until a run has "
        f"measured them; cached or not</p>{_table(head, rows, shown=True)}"
    )


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _x(values: Floats) -> Floats:
    span = float(values[-1] - values[0]) or 1.0
    return np.asarray(_LEFT + (values - values[0]) / span * (_WIDTH - _LEFT - 6), dtype=np.float64)


def _y(value: float, top: float) -> float:
    return 8 + (1 - value / top) * (_HEIGHT - _BOTTOM - 8)


def _points(xs: Floats, values: Floats, top: float) -> str:
    return " ".join(f"{x:.1f},{_y(value, top):.1f}" for x, value in zip(_x(xs).tolist(), values.tolist(), strict=True))


def _line(xs: Floats, values: Floats, top: float, colour: str) -> str:
    return f'<polyline points="{_points(xs, values, top)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'


def _polygon(xs: Floats, low: Floats, high: Floats, top: float) -> str:
    back = " ".join(reversed(_points(xs, low, top).split()))
    return f'<polygon points="{_points(xs, high, top)} {back}" fill="currentColor" opacity="0.12"/>'


def _chart(xs: Floats, top: float, unit: str, marks: Sequence[str]) -> str:
    """Axes with five ticks each, and the marks."""
    parts = []
    for share in np.linspace(0, 1, 5).tolist():
        y, x = _y(share * top, top), _LEFT + share * (_WIDTH - _LEFT - 6)
        at = xs[0] + share * (xs[-1] - xs[0])
        anchor = "end" if share == 1 else "middle"
        parts.append(f'<line class=axis x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_tick(share * top)}</text>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{at:.4g} {unit}</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{unit}">{"".join(parts)}{"".join(marks)}</svg>'
    )


def _tick(value: float) -> str:
    return f"{value / 1e6:.3g}M" if value >= 1e6 else f"{value / 1e3:.3g}k" if value >= 1e3 else f"{value:.3g}"


def _in_unit(offset_s: Floats) -> tuple[Floats, str]:
    """Times in the unit that suits the span."""
    span_s = float(offset_s[-1] - offset_s[0])
    size, unit = (1, "s") if span_s < 600 else (60, "min") if span_s < 7_200 else (3_600, "h")
    return offset_s / size, unit


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, shown: bool = False) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{cells}</table>"
    return table if shown else f"<details><summary class=soft>numbers</summary>{table}</details>"
