"""The study's table: predicted beside measured, beside a straight line, and beside how much two runs differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from capacity.calibration.backtest import coverage_interval
from capacity.calibration.observed import Observed, observed_calls
from capacity.calibration.prediction import measured_figures
from capacity.simulator.engine import simulate
from capacity.simulator.rate_at_slo import latencies
from host.json_values import number
from loadgen.record import Run, load_run
from neuron_bench.step_model import StepModel, read_step_model
from peakday.plan.prediction import score
from study.load_steps import LoadStep

MODEL = "custom"
SCHEMA = "peakday.study_table/2"
"""1 said `rung` for `load_step`; nothing reads either but people."""
SLO_TIMES = 2.0
"""The SLO at which capacity is stated: this many times the TTFT p95 of the lightest load step."""
BARS = {"output_tokens_per_s": 0.03, "tpot_s": 0.05, "ttft_s": 0.15}
"""Errors that DESIGN calls good enough, by metric; the tail quantiles must meet them, the medians are shown."""


@dataclass(frozen=True)
class Row:
    """One figure of one held-out load step. Errors are ratios of the measured value."""

    load_step: str
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
        """The error allowed: the bar, or twice what two runs of the same load step differed by."""
        return max(next(bar for name, bar in BARS.items() if self.metric.startswith(name)), 2 * self.noise_ratio)

    @property
    def met(self) -> bool:
        """The error is within the bar."""
        return abs(self.error_ratio) <= self.bar_ratio


def study_table(kept: Path, work: Path, steps: Sequence[LoadStep]) -> tuple[str, dict[str, Any]]:
    """Markdown rows of every load step that was run, and the same as data. Rejected runs are listed too."""
    runs = {step.name: load_run(work / step.name) for step in steps if (work / step.name / "run.json").is_file()}
    observed = {name: observed_calls(run, MODEL) for name, run in runs.items()}
    noise = repeat_noise(steps, observed)
    fitted = [observed[step.name] for step in steps if step.role == "calibrate"]
    rows: list[Row] = []
    for step in steps:
        if step.role == "held_out" and step.name in runs:
            rows += held_out_rows(
                kept / f"{step.name}.prediction.json", step, runs[step.name], observed[step.name], fitted, noise
            )
    model = read_step_model(kept / "step-model.json")
    sweep = [observed[step.name] for step in steps if step.name in observed and step.mix == "chat" and not step.spike]
    capacity = dict(
        zip(("ttft_s_p95_max", "measured_per_s", "predicted_per_s"), capacity_at_slo(model, sweep), strict=True)
    )
    facts = [run_facts(load_run(file.parent)) for file in work.glob("*/run.json")]
    facts.sort(key=lambda each: each.started_utc)
    text = f"{markdown(rows, facts)}\n\n{capacity_line(**capacity)}"
    data = {
        "schema": SCHEMA,
        "rows": [_null_for_nan(asdict(row)) for row in rows],
        "capacity_at_slo": _null_for_nan(capacity),
    }
    return text, data | {"runs": [asdict(each) for each in facts]}


def _null_for_nan(values: Mapping[str, object]) -> dict[str, object]:
    """JSON knows no NaN."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}


def capacity_line(ttft_s_p95_max: float, measured_per_s: float, predicted_per_s: float) -> str:
    """Measured and predicted capacity in one sentence; NaN is beyond the highest load step."""

    def up_to(rate_per_s: float) -> str:
        return "beyond the highest load step" if math.isnan(rate_per_s) else f"{rate_per_s:.3g}/s"

    error_ratio = predicted_per_s / measured_per_s - 1
    shown = "error not known" if math.isnan(error_ratio) else f"{error_ratio:+.1%}"
    return (
        f"TTFT p95 <= {ttft_s_p95_max:.3g} s is met up to {up_to(measured_per_s)}; predicted {up_to(predicted_per_s)} "
        f"({shown}, bar 5%)"
    )


def held_out_rows(
    path: Path, step: LoadStep, run: Run, observed: Observed, fitted: Sequence[Observed], noise: dict[str, float]
) -> Iterator[Row]:
    """The figures of one load step.

    Raises:
        ValueError: its prediction was never committed, which the study demands.
    """
    committed, outcomes = score(path, run, MODEL)
    if committed is None:
        raise ValueError(f"{path}: never committed; the study counts only predictions that were, before their run")
    for outcome in outcomes:
        metric = outcome.predicted.metric
        yield Row(
            step.name, metric, outcome.predicted.value, outcome.predicted.low, outcome.predicted.high, outcome.measured,
            straight_line(metric, observed, fitted), noise.get(metric, 0.0), len(observed.arrival_s),
        )  # fmt: skip


def repeat_noise(steps: Sequence[LoadStep], observed: dict[str, Observed]) -> dict[str, float]:
    """Largest relative difference of each metric between two runs of the same load step."""
    noise: dict[str, float] = {}
    for step in steps:
        first = step.name.removesuffix("-again")
        if step.role == "repeat" and step.name in observed and first in observed:
            before, after = measured_figures(observed[first]), measured_figures(observed[step.name])
            for metric in before.keys() & after.keys():
                noise[metric] = max(noise.get(metric, 0.0), abs(after[metric] / before[metric] - 1))
    return noise


def straight_line(metric: str, observed: Observed, fitted: Sequence[Observed]) -> float:
    """What a spreadsheet says: the metric as a straight line in offered tokens/s through the calibrated load steps."""
    load = offered_tokens_per_s(observed)
    loads = [offered_tokens_per_s(run) for run in fitted]
    values = [measured_figures(run).get(metric, float("nan")) for run in fitted]
    slope, base = np.polyfit(loads, values, 1)
    return float(slope * load + base)


def offered_tokens_per_s(run: Observed) -> float:
    """Answer tokens offered over the time of sending."""
    return float(run.output_tokens.sum()) / float(run.arrival_s[-1] - run.arrival_s[0])


def capacity_at_slo(model: StepModel, sweep: Sequence[Observed]) -> tuple[float, float, float]:
    """Limit on TTFT p95 (s), and the rate (per s) up to which the engine measured, and simulated, meets it.

    The limit is `SLO_TIMES` the p95 of the lightest load step; between load steps its logarithm is taken as straight.
    """
    sweep = sorted(sweep, key=lambda run: run.rate_per_s)
    rates = np.array([run.rate_per_s for run in sweep])
    measured = np.array([np.quantile(run.ttft_s, 0.95) for run in sweep])
    simulated = np.array([np.quantile(_simulated_ttft_s(run, model), 0.95) for run in sweep])
    limit_s = SLO_TIMES * float(measured[0])

    def met_up_to(values: np.ndarray) -> float:
        rising = np.maximum.accumulate(np.log(values))
        return float(np.interp(np.log(limit_s), rising, rates, right=np.nan))

    return limit_s, met_up_to(measured), met_up_to(simulated)


def _simulated_ttft_s(run: Observed, model: StepModel) -> np.ndarray:
    work = run.requests()
    return latencies(work, simulate(work, model), model).ttft_s


@dataclass(frozen=True)
class RunFacts:
    """What a reader needs to trust a run: when, how many, how late the client was."""

    run: str
    started_utc: str
    turns: int
    valid: bool
    start_lag_s_p99: float | None
    error_ratio: float | None
    load1: float | None


def run_facts(run: Run) -> RunFacts:
    """The facts of one record."""
    info, lag = run.info, run.info.quantile("start_lag_s", "p99")
    return RunFacts(
        run=run.path.name,
        started_utc=info.started_utc or "",
        turns=len(run.turns),
        valid=info.valid,
        start_lag_s_p99=lag.value if lag else None,
        error_ratio=info.totals.error_ratio if info.totals else None,
        load1=number(load1) if (load1 := (info.host or {}).get("load1")) is not None else None,
    )


def markdown(rows: Sequence[Row], facts: Sequence[RunFacts]) -> str:
    """The table, its coverage, and the runs behind it."""
    lines = [
        "| load step | metric | predicted (90%) | measured | error | allowed | straight line |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        within = "" if row.low <= row.measured <= row.high else ", outside its range"
        lines.append(
            f"| {row.load_step} | {row.metric} | {row.predicted:.4g} ({row.low:.4g} to {row.high:.4g}) "
            f"| {row.measured:.4g} | {row.error_ratio:+.1%}{within} | {row.bar_ratio:.1%} "
            f"| {'-' if np.isnan(row.linear) else f'{row.linear_error_ratio:+.1%}'} |"
        )
    inside = sum(row.low <= row.measured <= row.high for row in rows)
    met = sum(row.met for row in rows)
    worst = max(rows, key=lambda row: abs(row.error_ratio) / row.bar_ratio) if rows else None
    if worst is not None:
        lines += ["", f"{coverage_interval(inside, len(rows))}; {met} of {len(rows)} within what is allowed"]
        lines.append(f"worst: {worst.load_step} {worst.metric} {worst.error_ratio:+.1%} against {worst.bar_ratio:.1%}")
    lines += ["", "| run | started (UTC) | turns | valid | client start lag p99 | load |", "|---|---|---|---|---|---|"]
    for each in facts:
        shown = "-" if each.start_lag_s_p99 is None else f"{1000 * each.start_lag_s_p99:.1f} ms"
        when = f"{each.run.partition('.rejected')[0]} | {each.started_utc[:19]}"
        lines.append(f"| {when} | {each.turns:,} | {each.valid} | {shown} | {each.load1} |")
    return "\n".join(lines)
