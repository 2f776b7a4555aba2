"""Panels on what the target said of itself while it was loaded."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboards.html import charts
from dashboards.html.axes import fault_spans
from dashboards.html.charts import Line
from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers.units import clock, show
from loadgen.record import Run

SHOWN_MAX = 8
_PREFERRED = (
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:kv_cache_usage_perc",
    "vllm:gpu_cache_usage_perc",
    "vllm:num_preemptions_total",
    "assistant_turns_in_flight",
    "assistant_throttles_total",
    "assistant_spills_total",
    "assistant_cache_prefix_variants",
)


def server_panels(run: Run, span_s: float) -> list[Panel]:
    """A line per label set of the metrics that say most; counters as rates."""
    rows = run.server
    if not len(rows):
        return [Panel("Server metrics", "The target was not scraped, or published nothing.")]
    names = [str(name) for name in rows["metric"].unique()]
    ranked = [name for name in _PREFERRED if name in names]
    chosen = ranked or [name for name in names if not name.startswith(("python_", "process_"))][:SHOWN_MAX]
    panels = [_panel(run, name, rows[rows["metric"] == name], span_s) for name in chosen]
    return [*panels, *_growth(run)]


def _growth(run: Run) -> list[Panel]:
    """What every counter of the target grew by over the window."""
    deltas = run.info.server_deltas or {}
    if not deltas:
        return []
    table: list[list[Cell]] = [
        [*_target_and_name(key), show(float(value), "count")] for key, value in sorted(deltas.items())
    ]
    words = "Compare with our own totals: what the target counted and we did not see was lost on the way."
    columns = ("Target", "Counter", "Grew by")
    return [
        Panel("Counters of the target", words, Table("Growth over the window", columns, table, text_columns=(0, 1)))
    ]


def _target_and_name(key: str) -> tuple[str, str]:
    target, _, name = key.rpartition(" ")
    return target, name


def _panel(run: Run, name: str, rows: pd.DataFrame, span_s: float) -> Panel:
    counter = name.endswith("_total")
    lines, table_rows, highest = [], [], (0.0, 0.0)
    for style, (labels, group) in enumerate(rows.groupby("labels", sort=True, dropna=False)):
        ordered = group.sort_values("second")
        x, y = ordered["second"].to_numpy(dtype=float), ordered["value"].to_numpy(dtype=float)
        if counter:
            x, y = x[1:], _rate(x, y)
        if not len(y):
            continue
        at = int(np.argmax(y))
        highest = max(highest, (float(y[at]), float(x[at])))
        label = str(labels) if isinstance(labels, str) else name
        lines.append(Line(label, x, y, style))
        row: list[Cell] = [label, show(float(y.mean()), "count"), show(float(y[at]), "count"), clock(float(x[at]))]
        table_rows.append(row)
    unit = "per_s" if counter else "count"
    what = "Per second" if counter else "Value"
    sentence = f"Highest {show(highest[0], unit)} at {clock(highest[1])}, as the target published it."
    table = Table(f"{name}, {what.lower()}", ("Labels", "Mean", "Highest", "At"), table_rows)
    return Panel(name, sentence, table, charts.lines(lines, unit, span_s, spans=fault_spans(run.info)))


def _rate(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Per second, a counter's reset counting as no growth."""
    width = np.maximum(np.diff(x), 1e-9)
    rate: np.ndarray = np.maximum(np.diff(y), 0.0) / width
    return rate
