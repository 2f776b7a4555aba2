"""A preview as one HTML file: what customers will do, minute by minute, before anything is run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dashboards.html import charts
from dashboards.html.charts import COLOURS, Chart, Line
from dashboards.html.page import Banner, Cell, Page, Panel, Paragraph, Part, Table
from dashboards.html.render import write_page
from dashboards.numbers.units import clock, show
from scenarios.preview import Preview, StreamView
from scenarios.preview_text import amount, burst_words, totals

TIMES_SHOWN = 13
"""Rows of a stream's table: the two ends of the window and eleven moments between them."""
QUANTILES = (("least", 0.0), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("most", 1.0))


def write_preview(view: Preview, out: Path) -> Path:
    """Write the page aside and rename it."""
    return write_page(preview_page(view), out)


def preview_page(view: Preview) -> Page:
    """The page: warnings first, then each stream of demand, its burstiness, the mix of intents and tokens."""
    scenario, (start_s, end_s) = view.scenario, view.window
    return Page(
        title=scenario.name,
        subtitle="peakday · scenario preview",
        command=f"peakday scenario preview {scenario.name} --html FILE",
        banners=[Banner("warn", "CHECK", warning) for warning in view.warnings],
        headline=[],
        parts=[
            Part("demand", "Demand", [_stream_panel(view, s) for s in view.streams], lead=_lead(view)),
            Part("burstiness", "Burstiness", [_burst_panel(view)]),
            Part("mix", "Intents", [_mix_panel(view)]),
            Part("tokens", "Tokens", [_token_panel(view)]),
        ],
        facts=[
            ("Starts", scenario.event.start.isoformat()),
            ("Shown", f"{start_s:g} s to {end_s:g} s of {scenario.event.length_s:g} s"),
            ("Scale", f"{view.scale:g}"),
            ("Seed", str(view.seed)),
            ("Hash", view.hash),
        ],
    )


def _lead(view: Preview) -> list[Paragraph]:
    words = totals(view)
    return [Paragraph(words[0].upper() + words[1:] + "."), Paragraph(view.scenario.description, quiet=True)]


def _stream_panel(view: Preview, stream: StreamView) -> Panel:
    start_s, end_s = view.window
    total, regions = stream.rate_per_s.sum(axis=0), list(view.scenario.event.regions)
    low, high = total * stream.low_ratio, total * stream.high_ratio
    lines = [
        Line("low", view.offset_s, low, 1),
        Line("high", view.offset_s, high, 1, fill_to="tonexty"),
        Line("all", view.offset_s, total, 0),
        *[
            Line(name, view.offset_s, rate, 2 + i)
            for i, (name, rate) in enumerate(zip(regions, stream.rate_per_s, strict=True))
        ],
    ]
    chart = charts.lines(lines, "per_s", end_s)
    divisor, _ = charts.time_scale(end_s)
    chart["layout"]["xaxis"]["range"] = [start_s / divisor, end_s / divisor]
    places = np.unique(np.linspace(0, len(view.offset_s) - 1, TIMES_SHOWN).astype(int)).tolist()
    rows: list[list[Cell]] = [
        [
            clock(float(view.offset_s[k]), end_s),
            *[amount(float(rate)) for rate in (*stream.rate_per_s[:, k], total[k], low[k], high[k])],
        ]
        for k in places
    ]
    least, mid, most = (amount(value) for value in stream.expected)
    source = stream.source or "not stated"
    sentence = (
        f"{mid} in this window ({least} to {most}); the band holds {stream.confidence:.0%} of outcomes. "
        f"Source: {source}{'' if source.endswith('.') else '.'}"
    )
    table = Table("Starts per second", ("From", *regions, "all", "low", "high"), rows)
    return Panel(f"{stream.name}: starts per second", sentence, table, chart)


def _burst_panel(view: Preview) -> Panel:
    burst = view.burst
    middles = burst.step_s * (np.arange(len(burst.counts)) + 0.5)
    begin = clock(burst.start_s, view.window[1])
    chart: Chart = charts.base(xaxis={"title": {"text": f"seconds from {begin}"}}, yaxis=charts.unit_axis("count"))
    chart["layout"]["bargap"] = 0.05
    chart["data"].append(
        {
            "type": "bar",
            "name": "starts a step",
            "x": [round(float(x), 6) for x in middles],
            "y": burst.counts.tolist(),
            "marker": {"color": COLOURS[0]},
        }
    )
    rows: list[list[Cell]] = [[name, f"{np.quantile(burst.counts, share):.0f}"] for name, share in QUANTILES]
    sentence = (
        f"One draw from {begin} on, {show(burst.step_s, 's')} a step; process {burst.process}; "
        f"{burst_words(burst)} (1 is Poisson)."
    )
    return Panel("Around the peak", sentence, Table("Starts a step", ("", "Starts"), rows), chart)


def _mix_panel(view: Preview) -> Panel:
    intents = sorted(view.scenario.mix.intents.items(), key=lambda item: -item[1].weight)
    names = [name for name, _ in intents]
    shares: dict[str, list[float | None]] = {
        "simple": [entry.weight * (1 - entry.complex_ratio) for _, entry in intents],
        "complex": [entry.weight * entry.complex_ratio for _, entry in intents],
    }
    rows: list[list[Cell]] = [[name, f"{e.weight:.1%}", f"{e.complex_ratio:.0%}"] for name, e in intents]
    table = Table("Share of first turns", ("Intent", "Share", "Of these complex"), rows)
    sentence = f"{names[0]} opens most interactions; a complex turn goes to the policy's larger model."
    return Panel("What first turns ask", sentence, table, charts.bars(names, shares, "ratio", stacked=True))


def _token_panel(view: Preview) -> Panel:
    rows: list[list[Cell]] = [
        [
            m.model,
            f"{m.turn_share:.1%}",
            f"{m.calls_per_interaction:.2f}",
            amount(m.input_tokens_per_interaction),
            amount(m.output_tokens_per_interaction),
        ]
        for m in view.models
    ]
    table = Table("Assumed tokens", ("Model", "Turns", "Calls", "Input tokens", "Output tokens"), rows)
    sentence = "Assumed tokens of the scenario, until a run has measured them; cached or not."
    return Panel("Per interaction, by the policy's model", sentence, table)
