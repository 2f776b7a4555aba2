"""A run as llm-d's benchmark report 0.2 (JSON): its model requests, in seconds, with the quantiles of that format.

Field names as in llm-d-benchmark, analysis/benchmark_report/schema_v0_2.py, read 2026-11-29. What a run does not know
is left out: the format has no null for it, and nothing of the stack is made up.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from facts.tokens import PROMPT_CLASSES
from host.environment import peakday_version
from loadgen.record import Run

QUANTILES = {
    "p0p1": 0.001, "p1": 0.01, "p5": 0.05, "p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95,
    "p99": 0.99, "p99p9": 0.999,
}  # fmt: skip


def llmd_report(run: Run) -> str:
    """The report as text."""
    requests = run.calls if len(run.calls) else run.turns
    good = requests[requests["status"] == "ok"]
    prompt = good[list(PROMPT_CLASSES)].fillna(0).sum(axis=1) if len(run.calls) else pd.Series(dtype=float)
    answer = good["output_tokens"].dropna() if "output_tokens" in good else pd.Series(dtype=float)
    document = {
        "version": "0.2",
        "run": _run(run),
        "scenario": {"load": _load(run, prompt, answer)},
        "results": {"request_performance": {"aggregate": _aggregate(run, requests, good, prompt, answer)}},
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _run(run: Run) -> dict[str, object]:
    times = {"start": run.info.started_utc, "end": run.info.finished_utc, "duration": f"PT{_span_s(run):.3f}S"}
    known = {name: value for name, value in times.items() if value is not None}
    return {"uid": run.run_id, "time": known, "description": f"peakday run of {run.info.scenario_name}"}


def _load(run: Run, prompt: pd.Series, answer: pd.Series) -> dict[str, object]:
    load: dict[str, object] = {
        "tool": "peakday",
        "tool_version": peakday_version(),
        "parallelism": max(1, run.info.processes or 1),
        "source": "sampled",
        "stage": 0,
        "input_seq_len": _length(prompt),
    }
    if len(answer):
        load["output_seq_len"] = _length(answer)
    if run.info.open_loop is not False and (rate := _rate(len(run.calls) or len(run.turns), run)) > 0:
        load["rate_qps"] = rate
    scenario = run.info.scenario
    metadata = {"schema_version": "0.0.1", "cfg_id": (scenario.hash if scenario else None) or "unknown"}
    seed = {} if run.info.seed is None else {"seed": run.info.seed}
    native = {"config": {"scenario": run.info.scenario_name, **seed}}
    return {"metadata": metadata, "standardized": load, "native": native}


def _length(tokens: pd.Series) -> dict[str, object]:
    if not len(tokens):
        return {"distribution": "other", "value": 0}
    least, most = int(tokens.min()), max(1, int(tokens.max()))
    return {"distribution": "other", "value": float(tokens.mean()), "min": least, "max": most}


def _aggregate(
    run: Run, requests: pd.DataFrame, good: pd.DataFrame, prompt: pd.Series, answer: pd.Series
) -> dict[str, object]:
    cut_off = int((requests["status"] == "censored").sum())
    more = good[good["output_tokens"].fillna(0) > 1] if "output_tokens" in good else good.iloc[:0]
    gaps = (more["e2e_s"] - more["ttft_s"]) / (more["output_tokens"] - 1) if len(more) else pd.Series(dtype=float)
    latency = {
        "time_to_first_token": statistics(good["ttft_s"], "s"),
        "time_per_output_token": statistics(gaps, "s/token"),
        "request_latency": statistics(good["e2e_s"], "s"),
    }
    sizes = {"input_length": statistics(prompt, "count"), "output_length": statistics(answer, "count")}
    rates = {"request_rate": _one(_rate(len(good), run), "queries/s")}
    if len(answer):
        rates["output_token_rate"] = _one(_rate(float(answer.sum()), run), "tokens/s")
    if len(prompt):
        rates["input_token_rate"] = _one(_rate(float(prompt.sum()), run), "tokens/s")
    counts = {"total": len(requests), "failures": len(requests) - len(good) - cut_off, "incomplete": cut_off}
    return {"requests": {**counts, **_known(sizes)}, "latency": _known(latency), "throughput": rates}


def _known(parts: dict[str, dict[str, object] | None]) -> dict[str, object]:
    return {name: part for name, part in parts.items() if part is not None}


def statistics(values: pd.Series, units: str) -> dict[str, object] | None:
    """Mean, spread and quantiles; None of nothing."""
    known = values.dropna().to_numpy(dtype=np.float64)
    if not len(known):
        return None
    at = dict(zip(QUANTILES, (float(q) for q in np.quantile(known, list(QUANTILES.values()))), strict=True))
    ends = {"min": float(known.min()), "max": float(known.max()), "stddev": float(known.std())}
    return {"units": units, "mean": float(known.mean()), **ends, **at}


def _one(value: float, units: str) -> dict[str, object]:
    return {"units": units, "mean": value}


def _rate(count: float, run: Run) -> float:
    span_s = _span_s(run)
    return count / span_s if span_s > 0 else 0.0


def _span_s(run: Run) -> float:
    """First intended start to last answer."""
    if run.turns.empty:
        return 0.0
    ends = run.turns["intended_start_s"] + run.turns["e2e_s"].fillna(0.0)
    return float(ends.max() - run.turns["intended_start_s"].min())
