"""Panels on how long turns took, over time and by group, and on turns that were not answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboards.html import charts
from dashboards.html.axes import fault_spans, slo_limits
from dashboards.html.charts import Line
from dashboards.html.page import Cell, Panel, Table
from dashboards.numbers import series
from dashboards.numbers.errors import error_kinds
from dashboards.numbers.run import METRICS, N_TAIL_FIRM, N_TAIL_SHOWN, Number
from dashboards.numbers.stored import Rows
from dashboards.numbers.units import clock, show
from loadgen.record import Run
from loadgen.run_info import RunInfo

_SHARES = (0.5, 0.95, 0.99)


def quantile_table(caption: str, numbers: Sequence[Number], metrics: Sequence[str]) -> Table:
    """p50 to p99 of metrics; a quantile that fewer than 10 samples reach is a dash, under 100 it carries `~`."""
    rows: list[list[Cell]] = []
    for metric in metrics:
        by_name = {number.name: number for number in numbers if number.name.startswith(f"{metric}_p")}
        if not by_name:
            continue
        n = next(iter(by_name.values())).n
        cells: list[Cell] = [by_name.get(f"{metric}_{name}") for name in ("p50", "p90", "p95", "p99")]
        rows.append([METRICS[metric], *cells, show(n, "count")])
    return Table(caption, ("Metric", "p50", "p90", "p95", "p99", "n"), rows)


def latency_panels(run: Run, numbers: Sequence[Number], span_s: float) -> list[Panel]:
    """Quantiles of the window, over time, and by group."""
    shown = [metric for metric in METRICS if metric != "start_lag_s"]
    panels = [
        Panel("Quantiles", _QUANTILE_WORDS, quantile_table("Latency over the window, 95% intervals", numbers, shown))
    ]
    panels += _batch_panels(run.info)
    if not len(run.turns):
        return [*panels, Panel("Over time", "The record holds no turns.")]
    panels += [_over_time(run, metric, span_s) for metric in ("ttft_s", "e2e_s", "gap_s_max")]
    panels += _group_panels(run)
    return panels


def _batch_panels(info: RunInfo) -> list[Panel]:
    """Intervals that allow for turns being correlated, where the run is long enough to have them."""
    rows: list[list[Cell]] = [
        [f"{METRICS[metric]} {name}", show(mean.value, "s"), f"{show(mean.lo, 's')} to {show(mean.hi, 's')}"]
        for metric, shares in (info.batch_means or {}).items()
        for name, mean in shares.items()
        if mean is not None
    ]
    if not rows:
        return []
    table = Table("Batch means over batches of equal time", ("Quantile", "Mean of batches", "95% interval"), rows)
    words = (
        "Turns that overlap share queues, so the intervals above are too narrow where load is high. These let the "
        "spread between batches of time speak; a much wider one here means fewer independent samples than turns."
    )
    return [Panel("Batch means", words, table)]


_QUANTILE_WORDS = (
    f"An interval stands under each quantile. A p99 that fewer than {N_TAIL_SHOWN} samples reach is a dash: read p95. "
    f"Fewer than {N_TAIL_FIRM} are marked ~. ≥ : turns that ended while waiting reach it, the true value is higher."
)
_TIME_LABELS = {"ttft_s": "TTFT", "e2e_s": "E2E latency", "gap_s_max": "Longest gap between chunks"}


def _over_time(run: Run, metric: str, span_s: float) -> Panel:
    width = series.bin_width_s(span_s)
    starts, by_share, counts = series.quantiles_over_time(run.turns, metric, _SHARES, width, span_s)
    enough = {
        share: np.where(counts * (1 - share) >= (1 if share < 0.99 else N_TAIL_SHOWN), values, np.nan)
        for share, values in by_share.items()
    }
    enough[0.5] = by_share[0.5]
    used = {share: values for share, values in enough.items() if np.isfinite(values).any()}
    lines = [
        Line(f"p{round(100 * share)}", starts, values, style) for style, (share, values) in enumerate(used.items())
    ]
    chart = charts.lines(lines, "s", span_s, slo_limits(run.info, metric), fault_spans(run.info))
    label = _TIME_LABELS[metric]
    top = max(used) if used else 0.5
    rows: list[list[Cell]] = [
        [
            clock(float(at), span_s),
            *[show(float(values[i]), "s") for values in used.values()],
            show(float(counts[i]), "count"),
        ]
        for i, at in enumerate(starts)
        if counts[i]
    ]
    table = Table(
        f"{label} by intended start, bins of {width} s", ("From", *[line.name for line in lines], "Turns"), rows
    )
    return Panel(f"{label} over time", _worst_sentence(label, starts, used.get(top), top), table, chart)


def _worst_sentence(label: str, starts: np.ndarray, values: np.ndarray | None, share: float) -> str:
    if values is None or not np.isfinite(values).any():
        return f"No {label} was recorded."
    worst = int(np.nanargmax(values))
    middle = float(np.nanmedian(values))
    return (
        f"p{round(100 * share)} was worst at {clock(float(starts[worst]))} with {show(float(values[worst]), 's')}, "
        f"against {show(middle, 's')} in the middle of the run."
    )


def _group_panels(run: Run) -> list[Panel]:
    wanted = [
        ("intent", "TTFT by intent", "ttft_s"),
        ("route", "TTFT by route", "ttft_s"),
        ("region", "TTFT by region", "ttft_s"),
    ]
    panels = [
        _group_panel(run.turns, column, title, metric)
        for column, title, metric in wanted
        if run.turns[column].nunique() > (1 if column == "region" else 0)
    ]
    if len(run.calls) and run.calls["model"].notna().any():
        panels.append(_group_panel(run.calls, "model", "Time to first token of model calls, by model", "ttft_s"))
    return panels


def _group_panel(rows: Rows, column: str, title: str, metric: str) -> Panel:
    groups = series.by_group(rows, column, metric, title)
    points = {
        name: [(q, number.value) for q, number in quantiles.items() if number.value is not None and not number.hidden]
        for name, quantiles in groups.items()
    }
    points = {name: marks for name, marks in points.items() if marks}
    if not points:
        return Panel(title, "No value was recorded.")
    table = Table(
        title,
        (column.capitalize(), "p50", "p95", "p99", "n"),
        [[name, q["p50"].text, q["p95"].text, q["p99"].text, show(q["p50"].n, "count")] for name, q in groups.items()],
    )
    slowest = max(points, key=lambda name: points[name][-1][1])
    mark, value = points[slowest][-1]
    sentence = (
        f"{slowest} is slowest: {mark} {show(value, 's')}. Largest groups first; short lines are steady, long ones "
        "spread."
    )
    return Panel(title, sentence, table, charts.ranges(points, "s"))


def errors_panel(run: Run) -> Panel:
    """Turns that were not answered, by status and code, with what the target first said of each."""
    if not len(run.turns):
        return Panel("By kind", "The record holds no turns.")
    kinds, turns = error_kinds(run), len(run.turns)
    if not kinds:
        return Panel("By kind", f"All {show(turns, 'count')} turns were answered.")
    rows: list[list[Cell]] = [
        [kind.words, show(kind.count, "count"), show(kind.count / turns, "ratio"), clock(kind.first_s), kind.said]
        for kind in kinds
    ]
    bad = sum(kind.count for kind in kinds)
    sentence = f"{show(bad, 'count')} of {show(turns, 'count')} turns were not answered; most often {rows[0][0]}."
    table = Table("Turns not answered", ("Status, code", "Turns", "Share", "First at", "The target said"), rows)
    chart = charts.bars([kind.words for kind in kinds], {"turns": [kind.count for kind in kinds]}, "count")
    return Panel("By kind", sentence, table, chart)
