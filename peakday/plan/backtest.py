"""A plan, or a prediction, after the event: every figure beside what a run measured, as text and as a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dashboards.html import charts
from dashboards.html.charts import Limit
from dashboards.html.page import Banner, Cell, Page, Panel, Part, Table
from dashboards.html.render import write_page
from host.json_values import mapping, number, objects, text

CLOSE = 1e-12


@dataclass(frozen=True)
class Scored:
    """One figure: predicted with its range, measured, whether the range holds it, and whether it is an interval.

    counts: False for an expert's worst case, which covers nothing by being wide and misses nothing.
    """

    name: str
    unit: str
    low: float
    mid: float
    high: float
    measured: float
    inside: bool
    counts: bool = True


def scored_of(data: Mapping[str, object]) -> list[Scored]:
    """The rows of what `plan backtest --json` prints, of a plan or of a prediction."""
    plans = [_of_plan(row, mapping(row["predicted"])) for row in objects(data.get("scores"))]
    return [*plans, *map(_of_prediction, objects(data.get("outcomes")))]


def _of_prediction(row: Mapping[str, object]) -> Scored:
    low, mid, high, measured = (number(row[key]) for key in ("low", "value", "high", "measured"))
    return Scored(text(row["metric"]), "", low, mid, high, measured, bool(row["inside"]))


def _of_plan(row: Mapping[str, object], predicted: Mapping[str, object]) -> Scored:
    low, mid, high = (number(predicted[key]) for key in ("low", "mid", "high"))
    measured, counts = number(row["measured"]), number(predicted.get("confidence", 0.9)) > 0
    return Scored(text(row["name"]), text(row["unit"]), low, mid, high, measured, low <= measured <= high, counts)


def write_backtest(title: str, text: str, data: Mapping[str, object], out: Path) -> Path:
    """The page of a backtest, whole or not at all; `text` ends with the sentence that says what it comes to."""
    return write_page(backtest_page(title, text.splitlines()[-1], scored_of(data)), out)


def backtest_page(title: str, sentence: str, rows: Iterable[Scored]) -> Page:
    """The worst first; every range over what was measured, so that figures of all units share one axis."""
    ordered = list(rows)
    outside = [row.name for row in ordered if row.counts and not row.inside]
    word = "ALL INSIDE" if not outside else f"{len(outside)} OUTSIDE"
    kind = "good" if not outside and ordered else "warn"
    more = [*outside[:3], *([f"and {len(outside) - 3} more"] if len(outside) > 3 else [])]
    return Page(
        title=title,
        subtitle="peakday · plan backtest",
        banners=[Banner(kind, word, sentence, more)],
        headline=[],
        parts=[Part("figures", "Predicted and measured", [_panel(ordered)])],
        command="peakday plan backtest PLAN RUN --html FILE",
    )


def _panel(rows: list[Scored]) -> Panel:
    cells: list[list[Cell]] = [
        [
            row.name,
            f"{row.mid:.4g}",
            f"{row.low:.4g} to {row.high:.4g}",
            f"{row.measured:.4g}",
            row.unit,
            f"{row.mid / row.measured - 1:+.1%}" if abs(row.measured) > CLOSE else "–",
            ("inside" if row.inside else "OUTSIDE") + ("" if row.counts else ", an expert's range"),
        ]
        for row in rows
    ]
    columns = ("Figure", "Predicted", "Range", "Measured", "Unit", "Off by", "Range holds it")
    table = Table("Figures, the worst first", columns, cells, text_columns=(0, 2, 4, 6))
    over = {
        row.name: [
            (name, value / row.measured)
            for name, value in (("low", row.low), ("predicted", row.mid), ("high", row.high))
        ]
        for row in rows
        if abs(row.measured) > CLOSE
    }
    words = "Each predicted range over the measured figure: one that reaches past 1.0 on both sides holds it."
    chart = charts.ranges(over, "times", Limit(1.0, "measured")) if over else None
    return Panel("Every figure", words if rows else "Nothing in common to compare.", table if rows else None, chart)
