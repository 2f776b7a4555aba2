"""The page of a folder's history: a table of its records, and each figure over time with its changes of level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dashboards.html.page import Banner, Bullets, Cell, Page, Panel, Paragraph, Part, Table
from dashboards.html.render import write_page
from dashboards.numbers.units import UNKNOWN, show

UNITS = {
    "rate_at_slo_per_s": "per_s", "ttft_s_p95": "s", "hit_ratio": "ratio", "cost_usd": "usd", "chips": "chips",
    "tokens_per_s": "per_s",
}  # fmt: skip
TITLES = {
    "rate_at_slo_per_s": "rate with every SLO met", "ttft_s_p95": "TTFT p95", "hit_ratio": "cache hits",
    "cost_usd": "cost", "chips": "chips", "tokens_per_s": "tokens out",
}  # fmt: skip


@dataclass(frozen=True)
class Past:
    """One record of a folder. `counts`: its figures may be compared; `marks`: figures that begin a new level here."""

    kind: str
    id: str
    at: str
    subject: str
    verdict: str
    words: str
    figures: dict[str, float | None]
    counts: bool
    marks: list[str] = field(default_factory=list)


def write_history(past: Sequence[Past], changes: Sequence[str], out: Path) -> Path:
    """Write the page."""
    return write_page(history_page(past, changes), out)


def history_page(past: Sequence[Past], changes: Sequence[str]) -> Page:
    """The page: what changed, then every record by kind, the newest first."""
    kinds = list(dict.fromkeys(one.kind for one in past))
    lead = [Bullets(list(changes))] if changes else [Paragraph("No figure changed its level.", quiet=True)]
    invalid = sum(one.kind == "runs" and not one.counts for one in past)
    banners = [Banner("warn", "INVALID", f"{invalid} runs are not valid; their figures count in no level.")]
    return Page(
        title="History",
        subtitle=f"peakday · history · {len(past)} records, {past[0].at[:10]} to {past[-1].at[:10]}",
        banners=banners if invalid else [],
        headline=[],
        parts=[
            Part("changes", "What changed", lead=lead),
            *(Part(kind, kind.capitalize(), [_panel([one for one in past if one.kind == kind])]) for kind in kinds),
        ],
        command="peakday history --html FILE",
    )


def _panel(past: Sequence[Past]) -> Panel:
    figures = [name for name in UNITS if any(one.figures.get(name) is not None for one in past)]
    columns = ["record", "time", "of", "verdict", *(TITLES[name] for name in figures), "note"]
    rows = [_row(one, figures) for one in reversed(past)]
    text_columns = (0, 1, 2, 3, len(columns) - 1)
    table = Table(f"{len(past)} records, newest first", columns, rows, text_columns)
    return Panel("Records", "◆ marks a figure that begins a new level (Pettitt's test, 5%).", table)


def _row(one: Past, figures: Sequence[str]) -> list[Cell]:
    shown: list[Cell] = [
        f"{show(value, UNITS[name])}{' ◆' if name in one.marks else ''}"
        if (value := one.figures.get(name)) is not None
        else UNKNOWN
        for name in figures
    ]
    return [one.id, one.at.replace("T", " ")[:16], one.subject, one.verdict, *shown, one.words]
