"""Panels on the load offered and sent: the generator's own health, and the load it made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dashboards.html import charts
from dashboards.html.axes import fault_spans
from dashboards.html.charts import Line
from dashboards.html.page import Cell, Panel, Table
from dashboards.html.run.latency import quantile_table
from dashboards.numbers import series
from dashboards.numbers.run import Number, tail
from dashboards.numbers.units import clock, show
from loadgen.record import Run
from loadgen.run_info import RunInfo


def generator_panels(run: Run, numbers: Sequence[Number], span_s: float) -> list[Panel]:
    """How late we were ourselves, by turn and by worker."""
    quantiles = quantile_table("Our own lateness", numbers, ("start_lag_s",))
    panels = [Panel("Start lag", _lag_sentence(list(numbers)), quantiles)]
    if not len(run.generator):
        return [*panels, Panel("Workers", "The record holds no generator rows.")]
    width = series.bin_width_s(span_s)
    worst = series.per_second(run.generator, ["dispatch_lag_s_max", "heartbeat_late_s_max", "cpu_ratio"], width, "max")
    lines = [
        Line("dispatch lag", worst.index, worst["dispatch_lag_s_max"], 0),
        Line("heartbeat lateness", worst.index, worst["heartbeat_late_s_max"], 1),
    ]
    rows = [_worker_row(str(worker), rows) for worker, rows in run.generator.groupby("worker")]
    table = Table("Per worker", ("Worker", "Turns sent", "Worst lag", "Highest CPU"), rows)
    late = float(np.nanmax(worst["dispatch_lag_s_max"].to_numpy(dtype=float, na_value=0.0)))
    sentence = (
        f"The worst dispatch lag of any worker in any {width} s was {show(late, 's')}; lag beside a rising CPU "
        "share means the generator, not the target."
    )
    chart = charts.lines(lines, "s", span_s, spans=fault_spans(run.info))
    return [*panels, Panel("Worst lateness of any worker", sentence, table, chart), *_check_panels(run.info)]


def check_sentences(info: RunInfo) -> list[tuple[str, str]]:
    """What the run's own checks say, by name: a steady state, and two counts of turns in flight that must agree."""
    checks = (("Steady state", info.steady_state), ("Little's law", info.littles_law))
    return [(name, check.sentence) for name, check in checks if check is not None]


def _check_panels(info: RunInfo) -> list[Panel]:
    rows: list[list[Cell]] = [[name, sentence] for name, sentence in check_sentences(info)]
    if not rows:
        return []
    words = (
        "Quantiles of a run that was not steady depend on how long it was; a broken Little's law is an error of ours."
    )
    return [Panel("Self-checks", words, Table("Self-checks", ("Check", "Result"), rows, text_columns=(0, 1)))]


def _worker_row(worker: str, rows: pd.DataFrame) -> list[Cell]:
    return [
        worker,
        show(float(rows["sent"].sum()), "count"),
        show(float(rows["dispatch_lag_s_max"].max()), "s"),
        show(float(rows["cpu_ratio"].max()), "ratio"),
    ]


def _lag_sentence(numbers: list[Number]) -> str:
    lag = tail(numbers, "start_lag_s")
    if lag is None:
        return "The record holds no start lag."
    return (
        f"Turns started {lag.text} late at {lag.label.split()[-1]}. TTFT and E2E count from the intended start, so "
        "they include it."
    )


def load_panels(run: Run, numbers: Sequence[Number], span_s: float) -> list[Panel]:
    """Turns offered, sent and completed, and how many turns were in flight."""
    groups = ("load", "service")
    totals = Table("Totals", ("Figure", "Value"), [[n.label, n] for n in numbers if n.group in groups])
    if not len(run.generator):
        return [Panel("Totals", "Counts and rates of the whole window.", totals)]
    width = series.bin_width_s(span_s)
    rates = series.per_second(run.generator, list(_LEGEND), width, "rate")
    flying = series.per_second(run.generator, ["in_flight"], width, "level")
    chart = charts.lines(
        [Line(_LEGEND[name], rates.index, rates[name], style) for style, name in enumerate(_LEGEND)],
        "per_s",
        span_s,
        spans=fault_spans(run.info),
    )
    offered, sent = float(run.generator["asked"].sum()), float(run.generator["sent"].sum())
    sentence = (
        f"{show(sent, 'count')} of {show(offered, 'count')} turns offered were sent; where completed falls below sent, "
        "work is piling up."
    )
    highest = float(flying["in_flight"].max())
    crowd = charts.lines(
        [Line("in flight", flying.index, flying["in_flight"], 0)], "count", span_s, spans=fault_spans(run.info)
    )
    return [
        Panel("Offered, sent and completed per second", sentence, totals, chart),
        Panel(
            "Turns in flight",
            f"At most {show(highest, 'count')} turns were in flight; a line that keeps rising has no steady state.",
            _flight_table(flying),
            crowd,
        ),
    ]


_LEGEND = {"asked": "offered", "sent": "sent", "completed": "completed"}
"""Column of generator.parquet -> its word on the chart."""


def _flight_table(flying: pd.DataFrame) -> Table:
    pairs = list(zip(flying.index.tolist(), flying["in_flight"].tolist(), strict=True))
    rows: list[list[Cell]] = [[clock(at, pairs[-1][0]), show(turns, "count")] for at, turns in pairs]
    return Table("Highest in flight by time", ("From", "Turns"), rows)
