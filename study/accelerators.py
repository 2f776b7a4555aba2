"""Step models from public measurements of real accelerators, held against points they were not fitted to.

    python -m study accelerators [--task shape|knee|open|neuron] [--every 1] [--processes 2]

shape: of every deployment with three length pairs or more, those of the shortest and the longest context are fitted,
the others predicted. knee: points up to half of each configuration's largest concurrency are fitted, the rest
predicted. open: alternate rates of llm-d's runs are calibrated from, request by request, the others replayed: the
knee is the most that was served, figures from 0.85 of it on stand apart, and past it calls a second are predicted.
neuron: the two lowest points of each curve predict the rest. Errors are absolute shares of the measured value, bias is
the median signed one, coverage that of 90% ranges (`PointFit.tpot_sigma_of`, `ttft_sigma`). Sources are never pooled.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from capacity.calibration.backtest import coverage_interval
from capacity.calibration.clients import LoadPoint
from capacity.calibration.fit import Identity, calibrate
from capacity.calibration.hits import as_measured
from capacity.calibration.known import Known, known_engine
from capacity.calibration.limits import CalibrationError, EngineLimits
from capacity.calibration.observed import Observed
from capacity.calibration.points import PointFit, fit_points
from capacity.calibration.search import served
from capacity.simulator.requests import Floats, ServiceError
from neuron_bench.device.chips import chip_name
from neuron_bench.step_model import Coefficients, StepModel

DEPLOYMENT = ["source", "model", "chip", "precision", "engine", "engine_version", "image", "tp", "dp", "ep"]
JUMP = 3.0
"""A TTFT this many times that of the next lower concurrency is a jump."""
BELOW_KNEE = 0.85
"""Of the knee; and a step of which less is served than this share of what was sent is past it."""
CURVES = ("points_inferencex", "points_nv_gap_analysis", "points_gpu_conc")
PUBLIC = {"tpot": 0.119, "ttft": 0.315}
"""Median errors of the best public comparison without calibration, on the same population."""
Frame = pd.DataFrame


@dataclass(frozen=True)
class Outcome:
    """One figure predicted. sigma: of its logarithm, as the fit states it. case: which load point."""

    task: str
    source: str
    metric: str
    predicted: float
    measured: float
    sigma: float
    case: str = ""

    @property
    def error_ratio(self) -> float:
        """(predicted - measured) / measured."""
        return self.predicted / self.measured - 1

    @property
    def inside(self) -> bool:
        """The measured figure lies in the 90% range."""
        return abs(math.log(self.predicted / self.measured)) <= 1.645 * self.sigma


@dataclass(frozen=True)
class Result:
    """Outcomes of one deployment, or why there are none."""

    task: str
    source: str
    outcomes: tuple[Outcome, ...] = ()
    refused: str | None = None


def rows(name: str) -> Frame:
    """One file of facts/data/accelerators, without what its notes say not to score."""
    file = resources.files("facts") / "data" / "accelerators" / f"{name}.csv.gz"
    with resources.as_file(file) as path:
        table = pd.read_csv(path)
    return table[~table["note"].fillna("").str.contains("do not score")] if "note" in table else table


def deployments(name: str) -> list[Frame]:
    """Rows of the same model, chip, engine and parallelism; all lengths."""
    table = rows(name).dropna(subset=["concurrency", "isl_mean", "osl_mean", "tpot_mean_ms", "ttft_mean_ms"])
    keys = table[DEPLOYMENT].fillna("").astype(str).agg("|".join, axis=1)
    return [part for _, part in table.groupby(keys)]


def point(row: Any) -> LoadPoint:
    """A row as a load point; where no mean is given, the median stands for it."""

    def seconds(mean: float, middle: float) -> float | None:
        value = mean if np.isfinite(mean) else middle
        return float(value) / 1000 if np.isfinite(value) else None

    spread = 0.8 if row.source == "inferencex" else 1.0
    rate = float(row.out_tok_per_s) if np.isfinite(row.out_tok_per_s) else None
    return LoadPoint(
        case=f"{row.config_id} C={row.concurrency:g}",
        concurrency=int(row.concurrency),
        input_tokens=float(row.isl_mean),
        output_tokens=float(row.osl_mean),
        ttft_s=seconds(row.ttft_mean_ms, row.ttft_p50_ms),
        tpot_s=seconds(row.tpot_mean_ms, row.tpot_p50_ms),
        output_tokens_per_s=rate,
        spread=spread,
        wave=row.load_mode.startswith("burst"),
    )


def base(row: Any) -> StepModel:
    """The engine of a row with its limits, as far as they are published; memory is not and is taken as ample."""
    seqs = int(row.max_num_seqs) if np.isfinite(row.max_num_seqs) else 1024
    return StepModel(
        model_id=str(row.model), chip=str(row.chip), tp=1, chips_per_replica=float(row.n_chips),
        buckets=(Coefficients(1e-3, 0.0, 0.0, 0.0, 0.0),), max_num_seqs=seqs, max_batched_tokens=8192, block_tokens=16,
        kv_blocks=10_000_000, ttft_overhead_s=0.0, gap_overhead_s=0.0, provenance="derived", relative_error=0.0,
        engine=str(row.engine), version=str(row.engine_version), date=str(row.measured), source=str(row.source_repo),
    )  # fmt: skip


def known(row: Any) -> Known:
    """What arithmetic and its public configuration say of a row's engine, as `peakday calibrate BENCH` has it."""
    chip = chip_name(str(row.chip).replace("_sxm", "")) or ""
    return known_engine(str(row.model), chip, float(row.n_chips), int(row.tp), str(row.precision), str(row.engine))


def _each(table: Frame) -> list[Any]:
    """Rows with their columns as attributes."""
    return list(table.itertuples())


def _points(table: Frame) -> list[LoadPoint]:
    return [point(row) for row in _each(table)]


def _predict(task: str, fit: PointFit, row: Any, metrics: Sequence[str], label: str = "") -> list[Outcome]:
    stated = point(row)
    made = fit.report(stated)
    pairs = {
        "tpot": (made.tpot_s, stated.tpot_s, fit.tpot_sigma_of(stated)),
        "ttft": (made.ttft_s, stated.ttft_s, fit.ttft_sigma(stated) if "ttft" in metrics else 0.0),
        "tokens/s": (made.output_tokens_per_s, stated.output_tokens_per_s, fit.tpot_sigma_of(stated)),
    }
    return [
        Outcome(task, str(row.source), metric + label, predicted, measured, sigma, stated.case)
        for metric, (predicted, measured, sigma) in pairs.items()
        if metric in metrics and measured
    ]


def _tried(task: str, table: Frame, fitted: Frame, predict: Callable[[PointFit], Iterable[Outcome]]) -> Result:
    source, row = str(table["source"].iloc[0]), _each(table)[0]
    if np.isfinite(row.dp) and row.dp > 1:
        return Result(task, source, refused="data-parallel attention is not modelled")
    try:
        fit = fit_points(_points(fitted), base(row), known(row))
        return Result(task, source, tuple(predict(fit)))
    except (CalibrationError, ServiceError) as refusal:
        return Result(task, source, refused=str(refusal))


def shape(table: Frame) -> Result | None:
    """Two length pairs fitted, the others predicted."""
    pairs = sorted({(row.isl, row.osl) for row in _each(table)}, key=lambda pair: (pair[0] + pair[1] / 2, pair[0]))
    if len(pairs) < 3:
        return None
    ends = {pairs[0], pairs[-1]}
    chosen = np.array([(row.isl, row.osl) in ends for row in _each(table)])
    rest = table[~chosen]
    return _tried(
        "shape", table, table[chosen],
        lambda fit: (each for row in _each(rest) for each in _predict("shape", fit, row, ("tpot", "ttft"))),
    )  # fmt: skip


def knee(table: Frame) -> Result | None:
    """Points up to half of each configuration's largest concurrency fitted, the rest predicted; jumps apart."""
    top = table.groupby("config_id")["concurrency"].transform("max")
    counts = table.groupby("config_id")["concurrency"].transform("size")
    below = table["concurrency"] <= top / 2
    rest = table[~below & (counts >= 3)]
    if rest.empty or below.sum() < 3:
        return None

    def predict(fit: PointFit) -> Iterable[Outcome]:
        for row in _each(rest):
            lower = table[(table["config_id"] == row.config_id) & (table["concurrency"] < row.concurrency)]
            before = lower.sort_values("concurrency")["ttft_mean_ms"].iloc[-1]
            jump = row.ttft_mean_ms > JUMP * before
            yield from _predict("knee", fit, row, ("tpot",))
            yield from _predict("knee", fit, row, ("ttft",), " at a jump" if jump else "")

    return _tried("knee", table, table[below], predict)


def neuron_curves() -> list[Frame]:
    """Curves of three points or more with lengths and both figures."""
    table = rows("points_neuron_contrib").dropna(subset=["concurrency", "isl_mean", "osl_mean"])
    table = table[table["chip"].isin(["trn2", "inf2"]) & table["load_mode"].str.startswith(("closed", "burst"))]
    return [part.sort_values("concurrency") for _, part in table.groupby("config_id") if len(part) >= 3]


def neuron(table: Frame) -> Result | None:
    """The two lowest points fitted, the rest predicted."""
    rest = table.iloc[2:]
    return _tried(
        "neuron", table, table.iloc[:2],
        lambda fit: (
            each for row in _each(rest) for each in _predict("neuron", fit, row, ("tpot", "ttft", "tokens/s"))
        ),
    )  # fmt: skip


def open_loop(table: Frame) -> Result | None:
    """Alternate rates calibrated from, the others replayed; below the knee, which the calibration must find itself."""
    name = str(table["config_id"].iloc[0])
    source = f"llm-d {name.partition('|')[2].replace('|', ' ')}"
    replicas = 2 if "2replicas" in name else 1
    steps = [_observed(part) for _, part in table.groupby("rate_rps")]
    who = Identity("llama-70b", "a100_sxm_80gb", 2, 2.0, "vllm", "0.8", "2025-05")
    try:
        model = calibrate(steps[::2], EngineLimits(), who, replicas=replicas)
    except CalibrationError as refusal:
        return Result("open", source, refused=str(refusal))
    offered = [(run.rate_per_s, _served_per_s(run, run.ttft_s + run.decode_s)) for run in steps]
    full = any(each < BELOW_KNEE * rate for rate, each in offered)
    knee_per_s = max(each for _, each in offered) if full else math.inf
    outcomes: list[Outcome] = []
    for run in steps[1::2]:
        times = served(as_measured(run.requests(), model), model, replicas)
        sigma = float(np.hypot(model.relative_error, model.pace_sigma or 0.0))
        e2e_s = run.ttft_s + run.decode_s
        if run.rate_per_s > knee_per_s:
            pairs = {"calls/s past the knee": (_served_per_s(run, times.e2e_s), _served_per_s(run, e2e_s))}
        else:
            near = " at the knee" if run.rate_per_s > BELOW_KNEE * knee_per_s else ""
            pairs = {
                f"ttft p50{near}": (np.quantile(times.ttft_s, 0.5), np.quantile(run.ttft_s, 0.5)),
                f"ttft p90{near}": (np.quantile(times.ttft_s, 0.9), np.quantile(run.ttft_s, 0.9)),
                f"ttft p95{near}": (np.quantile(times.ttft_s, 0.95), np.quantile(run.ttft_s, 0.95)),
                f"tpot p50{near}": (np.quantile(times.tpot_s, 0.5), np.quantile(run.tpot_s, 0.5)),
                f"e2e p50{near}": (np.quantile(times.e2e_s, 0.5), np.quantile(e2e_s, 0.5)),
            }
        outcomes += [Outcome("open", source, metric, float(p), float(m), sigma) for metric, (p, m) in pairs.items()]
    return Result("open", source, tuple(outcomes))


def _served_per_s(run: Observed, e2e_s: Floats) -> float:
    """Calls a second over the whole of a run, of which the tail drains."""
    return len(run.arrival_s) / float((run.arrival_s + e2e_s).max() - run.arrival_s[0])


def _observed(part: Frame) -> Observed:
    part = part.sort_values("arrival_s")
    prompt = np.maximum(part["prompt_tokens"].to_numpy(dtype=np.int64), 1)
    answer = np.maximum(part["output_tokens"].to_numpy(dtype=np.int64), 1)
    ttft_s, e2e_s = part["ttft_s"].to_numpy(dtype=np.float64), part["e2e_s"].to_numpy(dtype=np.float64)
    return Observed(
        name=f"{part['rate_rps'].iloc[0]:g}/s",
        arrival_s=part["arrival_s"].to_numpy(dtype=np.float64),
        input_tokens=prompt,
        output_tokens=answer,
        cached_tokens=np.zeros_like(prompt),
        ttft_s=ttft_s,
        decode_s=np.maximum(e2e_s - ttft_s, 0.0),
        provenance="published",
    )


Task = tuple[Callable[[Frame], Result | None], Callable[[], list[Frame]]]
TASKS: dict[str, Task] = {
    "shape": (shape, lambda: [*deployments("points_inferencex"), *deployments("points_nv_gap_analysis")]),
    "knee": (knee, lambda: [part for name in CURVES for part in deployments(name)]),
    "open": (open_loop, lambda: [part for _, part in rows("requests_llmd").groupby("config_id")]),
    "neuron": (neuron, neuron_curves),
}


def table(results: Sequence[Result]) -> str:
    """Markdown: one row per task, source and metric."""
    lines = [
        "| task | source | metric | n | median | p90 | bias | inside 90% range | deployments refused |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for task, source in dict.fromkeys((each.task, each.source) for each in results):
        part = [each for each in results if (each.task, each.source) == (task, source)]
        refused = f"{sum(each.refused is not None for each in part)} of {len(part)}"
        outcomes = [outcome for each in part for outcome in each.outcomes]
        for metric in sorted({outcome.metric for outcome in outcomes}):
            of_metric = [outcome for outcome in outcomes if outcome.metric == metric]
            errors = np.array([outcome.error_ratio for outcome in of_metric])
            inside = coverage_interval(sum(outcome.inside for outcome in of_metric), len(of_metric))
            mark = ", rejected" if inside.rejected else ""
            lines.append(
                f"| {task} | {source} | {metric} | {len(errors)} | {np.median(np.abs(errors)):.1%} "
                f"| {np.quantile(np.abs(errors), 0.9):.1%} | {np.median(errors):+.1%} "
                f"| {inside.inside} of {inside.n}{mark} | {refused} |"
            )
        if not outcomes:
            lines.append(f"| {task} | {source} | - | 0 | - | - | - | - | {refused} |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Print the table of the chosen tasks, and why deployments were refused."""
    parser = argparse.ArgumentParser(prog="python -m study accelerators")
    parser.add_argument("--task", choices=TASKS, action="append")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="a sample: every so many of the deployments")
    chosen = parser.parse_args(arguments)
    results: list[Result] = []
    with ProcessPoolExecutor(chosen.processes) as pool:
        for name in chosen.task or TASKS:
            run, parts = TASKS[name]
            results += [each for each in pool.map(run, parts()[:: chosen.every]) if each is not None]
    print(table(results))
    print(
        f"\nBest public comparison without calibration: TPOT {PUBLIC['tpot']:.1%}, TTFT {PUBLIC['ttft']:.1%} (medians)"
    )
    for each in results:
        if each.refused is not None:
            print(f"refused: {each.task}, {each.source}: {each.refused}")
