"""The study's table: predicted beside measured, beside a straight line, and beside how much two runs differ."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from capacity.calibration.backtest import coverage_interval
from capacity.calibration.observed import Observed, observed_calls
from capacity.calibration.prediction import measured_figures
from capacity.simulator.engine import simulate
from capacity.simulator.rate_at_slo import latencies
from loadgen.record import Run, load_run
from neuron_bench.step_model import StepModel, read_step_model
from peakday.plan.prediction import score
from study.rungs import Rung

MODEL = "custom"
SLO_TIMES = 2.0
"""The promise at which capacity is told: this many times the TTFT p95 of the lightest rung."""
BARS = {"output_tokens_per_s": 0.03, "tpot_s": 0.05, "ttft_s": 0.15}
"""Errors that DESIGN calls good enough, by metric; the tail quantiles are judged, the medians shown."""


@dataclass(frozen=True)
class Row:
    """One figure of one held-out rung. Errors are ratios of the measured value."""

    rung: str
    metric: str
    predicted: float
    low: float
    high: float
    measured: float
    linear: float
    noise_ratio: float
    calls: int

    @property
    def error_ratio(self) -> float:
        """(predicted - measured) / measured."""
        return (self.predicted - self.measured) / self.measured

    @property
    def linear_error_ratio(self) -> float:
        """The same for the straight line."""
        return (self.linear - self.measured) / self.measured

    @property
    def bar_ratio(self) -> float:
        """The error allowed: the bar, or twice what two runs of the same rung differed by."""
        return max(next(bar for name, bar in BARS.items() if self.metric.startswith(name)), 2 * self.noise_ratio)

    @property
    def met(self) -> bool:
        """The error is within the bar."""
        return abs(self.error_ratio) <= self.bar_ratio


def study_table(kept: Path, work: Path, rungs: Sequence[Rung]) -> tuple[str, dict[str, Any]]:
    """Markdown rows of every rung that was run, and the same as data. Runs that were turned down are listed too."""
    runs = {rung.name: load_run(work / rung.name) for rung in rungs if (work / rung.name / "run.json").is_file()}
    seen = {name: observed_calls(run, MODEL) for name, run in runs.items()}
    noise = repeat_noise(rungs, seen)
    fitted = [seen[rung.name] for rung in rungs if rung.role == "calibrate"]
    rows: list[Row] = []
    for rung in rungs:
        if rung.role == "held_out" and rung.name in runs:
            rows += held_out_rows(
                kept / f"{rung.name}.prediction.json", rung, runs[rung.name], seen[rung.name], fitted, noise
            )
    model = read_step_model(kept / "step-model.json")
    ladder = [seen[rung.name] for rung in rungs if rung.name in seen and rung.mix == "chat" and not rung.spike]
    capacity = dict(
        zip(("ttft_s_p95_max", "measured_per_s", "predicted_per_s"), capacity_at_slo(model, ladder), strict=True)
    )
    made = [facts(load_run(file.parent)) for file in work.glob("*/run.json")]
    made.sort(key=lambda one: one["started_utc"])
    text = f"{markdown(rows, made)}\n\n{capacity_line(**capacity)}"
    known = {name: None if math.isnan(value) else value for name, value in capacity.items()}
    return text, {"rows": [asdict(row) for row in rows], "capacity_at_slo": known, "runs": made}


def capacity_line(ttft_s_p95_max: float, measured_per_s: float, predicted_per_s: float) -> str:
    """Measured and predicted capacity in one sentence; NaN is beyond the highest rung."""

    def up_to(rate_per_s: float) -> str:
        return "beyond the highest rung" if math.isnan(rate_per_s) else f"{rate_per_s:.3g}/s"

    error_ratio = predicted_per_s / measured_per_s - 1
    told = "error not known" if math.isnan(error_ratio) else f"{error_ratio:+.1%}"
    return (
        f"TTFT p95 <= {ttft_s_p95_max:.3g} s is kept up to {up_to(measured_per_s)}; predicted {up_to(predicted_per_s)} "
        f"({told}, bar 5%)"
    )


def held_out_rows(
    path: Path, rung: Rung, run: Run, seen: Observed, fitted: Sequence[Observed], noise: dict[str, float]
) -> Iterator[Row]:
    """The figures of one rung.

    Raises:
        ValueError: its prediction was never committed, which the study demands.
    """
    committed, outcomes = score(path, run, MODEL)
    if committed is None:
        raise ValueError(f"{path}: never committed; the study counts only predictions that were, before their run")
    for outcome in outcomes:
        metric = outcome.predicted.metric
        yield Row(
            rung.name, metric, outcome.predicted.value, outcome.predicted.low, outcome.predicted.high, outcome.measured,
            straight_line(metric, seen, fitted), noise.get(metric, 0.0), len(seen.arrival_s),
        )  # fmt: skip


def repeat_noise(rungs: Sequence[Rung], seen: dict[str, Observed]) -> dict[str, float]:
    """Largest relative difference of each metric between two runs of the same rung."""
    found: dict[str, float] = {}
    for rung in rungs:
        first = rung.name.removesuffix("-again")
        if rung.role == "repeat" and rung.name in seen and first in seen:
            before, after = measured_figures(seen[first]), measured_figures(seen[rung.name])
            for metric in before.keys() & after.keys():
                found[metric] = max(found.get(metric, 0.0), abs(after[metric] / before[metric] - 1))
    return found


def straight_line(metric: str, seen: Observed, fitted: Sequence[Observed]) -> float:
    """What a spreadsheet says: the metric as a straight line in offered tokens/s through the calibrated rungs."""
    load = offered_tokens_per_s(seen)
    loads = [offered_tokens_per_s(run) for run in fitted]
    values = [measured_figures(run).get(metric, float("nan")) for run in fitted]
    slope, base = np.polyfit(loads, values, 1)
    return float(slope * load + base)


def offered_tokens_per_s(run: Observed) -> float:
    """Answer tokens asked for over the time of asking."""
    return float(run.output_tokens.sum()) / float(run.arrival_s[-1] - run.arrival_s[0])


def capacity_at_slo(model: StepModel, ladder: Sequence[Observed]) -> tuple[float, float, float]:
    """TTFT p95 promised (s), and the rate (per s) up to which the engine measured, and simulated, keeps it.

    The promise is `SLO_TIMES` the p95 of the lightest rung; between rungs its logarithm is taken as straight.
    """
    ladder = sorted(ladder, key=lambda run: run.rate_per_s)
    rates = np.array([run.rate_per_s for run in ladder])
    measured = np.array([np.quantile(run.ttft_s, 0.95) for run in ladder])
    simulated = np.array([np.quantile(_simulated_ttft_s(run, model), 0.95) for run in ladder])
    limit_s = SLO_TIMES * float(measured[0])

    def kept_up_to(values: np.ndarray) -> float:
        rising = np.maximum.accumulate(np.log(values))
        return float(np.interp(np.log(limit_s), rising, rates, right=np.nan))

    return limit_s, kept_up_to(measured), kept_up_to(simulated)


def _simulated_ttft_s(run: Observed, model: StepModel) -> np.ndarray:
    work = run.requests()
    return latencies(work, simulate(work, model), model).ttft_s


def facts(run: Run) -> dict[str, Any]:
    """What a reader needs to trust a run: when, how many, how late the client was."""
    lag = run.info.quantile("start_lag_s", "p99")
    return {
        "run": run.path.name, "started_utc": run.info.started_utc, "turns": len(run.turns),
        "valid": run.info.valid, "start_lag_s_p99": lag.value if lag else None,
        "error_ratio": run.info.totals.error_ratio if run.info.totals else None,
        "load1": (run.info.host or {}).get("load1"),
    }  # fmt: skip


def markdown(rows: Sequence[Row], made: Sequence[dict[str, Any]]) -> str:
    """The table, its coverage, and the runs behind it."""
    lines = [
        "| rung | metric | predicted (90%) | measured | error | allowed | straight line |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        within = "" if row.low <= row.measured <= row.high else ", outside its range"
        lines.append(
            f"| {row.rung} | {row.metric} | {row.predicted:.4g} ({row.low:.4g} to {row.high:.4g}) "
            f"| {row.measured:.4g} | {row.error_ratio:+.1%}{within} | {row.bar_ratio:.1%} "
            f"| {'-' if np.isnan(row.linear) else f'{row.linear_error_ratio:+.1%}'} |"
        )
    inside = sum(row.low <= row.measured <= row.high for row in rows)
    met = sum(row.met for row in rows)
    worst = max(rows, key=lambda row: abs(row.error_ratio) / row.bar_ratio) if rows else None
    if worst is not None:
        lines += ["", f"{coverage_interval(inside, len(rows))}; {met} of {len(rows)} within what is allowed"]
        lines.append(f"worst: {worst.rung} {worst.metric} {worst.error_ratio:+.1%} against {worst.bar_ratio:.1%}")
    lines += ["", "| run | started (UTC) | turns | valid | client start lag p99 | load |", "|---|---|---|---|---|---|"]
    for each in made:
        lag = each["start_lag_s_p99"]
        shown = "-" if lag is None else f"{1000 * lag:.1f} ms"
        when = f"{each['run'].partition('.rejected')[0]} | {each['started_utc'][:19]}"
        lines.append(f"| {when} | {each['turns']:,} | {each['valid']} | {shown} | {each['load1']} |")
    return "\n".join(lines)


def read_table(path: Path) -> list[Row]:
    """The rows of a kept table.json."""
    return [Row(**row) for row in json.loads(path.read_text())["rows"]]
