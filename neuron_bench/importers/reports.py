"""Reports that other tools write, as rows: `vllm bench serve` JSON, NxD Inference's report, NeuronPerf's CSV.

Field names as documented; the outer keys of vLLM's file are from its releases' habit and may change.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from facts.reader import number
from host.checked import check
from neuron_bench import checks
from neuron_bench.device.chips import chip_name
from neuron_bench.importers.consistency import flagged
from neuron_bench.importers.tables import seconds, whole
from neuron_bench.record import CaseRow


@dataclass(frozen=True)
class VllmReport:
    """What is read of a report of `vllm bench serve`; times in ms."""

    completed: int
    duration: float
    total_input_tokens: int
    total_output_tokens: int
    request_throughput: float
    output_throughput: float
    date: str | None = None
    model_id: str | None = None
    gpu_name: str | None = None
    gpu_count: str | float | None = None
    request_rate: float | int | str | None = None
    burstiness: float | int | str | None = None
    max_concurrency: float | None = None
    failed: int | None = None
    median_ttft_ms: float | None = None
    p99_ttft_ms: float | None = None
    mean_ttft_ms: float | None = None
    median_tpot_ms: float | None = None
    p99_tpot_ms: float | None = None
    mean_tpot_ms: float | None = None


def vllm_reports(content: object) -> list[CaseRow]:
    """One report, or one a line as `--append-result` writes them: a row each, checked against each other too."""
    reports = content if isinstance(content, list) else [content]
    rows = [vllm_row(check(VllmReport, report, "the report")) for report in reports]
    if len(rows) > 1:
        rows = [replace(row, record_id=f"serve-{place}") for place, row in enumerate(rows)]
    return flagged(rows)


def vllm_row(report: VllmReport) -> CaseRow:
    """`vllm bench serve --save-result`. Only p50, p99 and means are in it; p90 stays null."""
    done = report.completed
    row = CaseRow(
        record_id="serve",
        created_utc=report.date,
        label=f"request rate {report.request_rate}, burstiness {report.burstiness}",
        method="endpoint",
        model_id=report.model_id,
        chip=chip_name(report.gpu_name or ""),
        chips_used=None if report.gpu_count is None else number(str(report.gpu_count)),
        phase="serve",
        input_tokens=report.total_input_tokens / done if done else None,
        output_tokens=report.total_output_tokens / done if done else None,
        concurrency=report.max_concurrency,
        arrival_rate_per_s=_rate(report.request_rate),
        n_samples=done,
        duration_s=report.duration,
        ttft_s_p50=_milliseconds(report.median_ttft_ms),
        ttft_s_p99=_milliseconds(report.p99_ttft_ms),
        ttft_s_mean=_milliseconds(report.mean_ttft_ms),
        tpot_s_p50=_milliseconds(report.median_tpot_ms),
        tpot_s_p99=_milliseconds(report.p99_tpot_ms),
        tpot_s_mean=_milliseconds(report.mean_tpot_ms),
        requests_per_s=report.request_throughput,
        output_tokens_per_s=report.output_throughput,
        errors=json.dumps({"failed": report.failed}) if report.failed else None,
    )
    return replace(row, flags=_vllm_flags(report, row))


def _milliseconds(value: float | None) -> float | None:
    """In seconds."""
    return None if value is None else value / 1e3


def _rate(stated: float | str | None) -> float | None:
    """Requests sent in a second; None for `inf`, which is a closed loop or one wave."""
    try:
        rate = math.inf if stated is None else float(stated)
    except ValueError:
        return None
    return rate if math.isfinite(rate) else None


def _vllm_flags(report: VllmReport, row: CaseRow) -> str:
    done, duration = report.completed, report.duration
    mean_s, in_flight = None, None
    if row.ttft_s_mean is not None and row.tpot_s_mean is not None and row.output_tokens:
        mean_s = row.ttft_s_mean + (row.output_tokens - 1) * row.tpot_s_mean
    if mean_s is not None and row.requests_per_s is not None:
        in_flight = row.requests_per_s * mean_s
    return checks.raised(
        {
            "nothing_completed": not done,
            "requests_disagree_with_duration": checks.disagrees(
                row.requests_per_s, done / duration, checks.TOLERANCE_RATIO
            ),
            "tokens_disagree_with_duration": checks.disagrees(
                row.output_tokens_per_s, report.total_output_tokens / duration, checks.TOLERANCE_RATIO
            ),
            "ttft_p50_above_p99": checks.above(row.ttft_s_p50, row.ttft_s_p99),
            "tpot_p50_above_p99": checks.above(row.tpot_s_p50, row.tpot_s_p99),
            "in_flight_above_limit": checks.above(in_flight, report.max_concurrency, checks.TOLERANCE_RATIO),
            "some_failed": bool(report.failed),
        }
    )


_PART: TypeAdapter[dict[str, float] | None] = TypeAdapter(dict[str, float] | None)


def nxdi_rows(report: Mapping[str, object]) -> list[CaseRow]:
    """NxD Inference's benchmark_report.json: end to end, prompt and token graphs.

    Its throughputs are tokens handled per call over mean latency, so lengths and batch come back out of them. The end
    to end one counts prompt tokens: ours is recomputed from the tokens generated.
    """
    end_to_end, prompt, token = (
        _PART.validate_python(report.get(f"{part}_model")) for part in ("e2e", "context_encoding", "token_generation")
    )
    batch = round(_tokens(token)) if token else None
    input_tokens = round(_tokens(prompt) / batch) if prompt and batch else None
    rows = []
    if end_to_end:
        rows.append(_nxdi_serve(end_to_end, prompt, token, batch, input_tokens))
    if prompt:
        rows.append(_nxdi_row("prefill", prompt, batch, input_tokens))
    if token:
        rows.append(replace(_nxdi_row("decode", token, batch, 1), output_tokens_per_s=token["throughput"]))
    return rows


def _nxdi_serve(
    end_to_end: Mapping[str, float],
    prompt: Mapping[str, float] | None,
    token: Mapping[str, float] | None,
    batch: int | None,
    input_tokens: int | None,
) -> CaseRow:
    total = _tokens(end_to_end) / batch if batch else None
    out_tokens = round(total - input_tokens) if total and input_tokens else None
    rate = batch * out_tokens / (end_to_end["latency_ms_avg"] / 1e3) if batch and out_tokens else None
    steps = None
    if prompt and token:
        steps = 1 + (end_to_end["latency_ms_avg"] - prompt["latency_ms_avg"]) / token["latency_ms_avg"]
    row = _nxdi_row("serve", end_to_end, batch, input_tokens)
    odd = "steps_disagree_with_latency" if checks.disagrees(steps, out_tokens, 0.1) else ""
    return replace(
        row,
        output_tokens=out_tokens,
        output_tokens_per_s=rate,
        label="throughput recomputed: the report counts prompt tokens",
        flags=";".join(flag for flag in (row.flags, odd) if flag),
    )


def _tokens(part: Mapping[str, float]) -> float:
    """Tokens one call handled: the report's throughput times its mean latency."""
    return part["throughput"] * part["latency_ms_avg"] / 1e3


def _nxdi_row(phase: str, part: Mapping[str, float], batch: int | None, input_tokens: int | None) -> CaseRow:
    p50, p99 = part["latency_ms_p50"] / 1e3, part["latency_ms_p99"] / 1e3
    return CaseRow(
        record_id=phase,
        device_kind="neuron",
        method="trace",
        phase=phase,
        batch=batch,
        input_tokens=input_tokens,
        wall_s_p50=p50,
        wall_s_p90=part["latency_ms_p90"] / 1e3,
        wall_s_p95=part["latency_ms_p95"] / 1e3,
        wall_s_p99=p99,
        wall_s_mean=part["latency_ms_avg"] / 1e3,
        flags=checks.raised({"p50_above_p99": checks.above(p50, p99)}),
    )


def neuronperf_rows(table: Sequence[Mapping[str, str]]) -> list[CaseRow]:
    """NeuronPerf's write_csv (archived tool): one row a configuration."""
    return [_neuronperf(row, place) for place, row in enumerate(table)]


def _neuronperf(row: Mapping[str, str], place: int) -> CaseRow:
    p50, p99, batch = seconds(row["latency_ms_p50"]), seconds(row["latency_ms_p99"]), number(row["batch_size"])
    rate, workers = number(row["throughput_avg"]), number(row["workers_per_model"]) or 1
    models = number(row["n_models"]) or 1
    ceiling = batch * workers * models / p50 if batch and p50 else None
    return CaseRow(
        record_id=f"row-{place}",
        label=row["model_filename"],
        device_kind=row["device_type"],
        method="trace",
        chip=chip_name(row["instance_type"]),
        instance_type=row["instance_type"],
        model_id=row["model_filename"],
        phase="encode",
        batch=whole(row["batch_size"]),
        n_samples=whole(row["total_infs"]),
        duration_s=number(row["total_s"]),
        wall_s_min=seconds(row["latency_ms_p0"]),
        wall_s_p50=p50,
        wall_s_p90=seconds(row["latency_ms_p90"]),
        wall_s_p95=seconds(row["latency_ms_p95"]),
        wall_s_p99=p99,
        load_s=seconds(row["load_avg_ms"]),
        requests_per_s=rate,
        flags=checks.raised(
            {
                "p50_above_p99": checks.above(p50, p99),
                "throughput_above_batch_over_latency": checks.above(rate, ceiling, checks.TOLERANCE_RATIO),
                "not_finished": row["status"] != "finished",
            }
        ),
    )
