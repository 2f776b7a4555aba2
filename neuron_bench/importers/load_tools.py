"""Reports of load tools as rows: AIPerf and genai-perf, GuideLLM, inference-perf, llm-d's benchmark report.

Field names read in the tools' own sources: aiperf 0.13.0 (common/models/export_models.py, record_models.py), guidellm
0.8.1 (benchmark/schemas), inference-perf (summary and stage files, README, 2026), llm-d-benchmark's report 0.2 and
0.2.1 (analysis/benchmark_report). Units are taken where a file states them, and refused where it states one unknown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from host.json_values import items, mapping, number, objects
from neuron_bench import checks
from neuron_bench.device.chips import chip_name
from neuron_bench.importers.consistency import TOKENS_TOLERANCE_RATIO, flagged
from neuron_bench.record import CaseRow

Json = Mapping[str, object]
BUSY_RATIO = 0.7
"""Of the most that were in flight at once: a closed loop whose requests keep fewer in flight is none."""
COUNTS_DIFFER = "token_counts_differ"
"""The tool's tokenizer and the server's usage count other tokens in the same texts."""

SECONDS = {
    "s": 1.0, "sec": 1.0, "seconds": 1.0, "s/token": 1.0, "ms": 1e-3, "ms/token": 1e-3, "us": 1e-6, "us/token": 1e-6,
    "ns": 1e-9, "milliseconds": 1e-3,
}  # fmt: skip


def times(name: str, found: object, unit: str | None = None) -> dict[str, float]:
    """Columns `NAME_mean`, `NAME_p50`, `NAME_p90` and `NAME_p99` of a table of statistics, in seconds.

    Raises:
        ValueError: a unit of time that is none we know.
    """
    found = mapping(found)
    if not found:
        return {}
    unit = str(found.get("unit") or found.get("units") or unit)
    if unit not in SECONDS:
        raise ValueError(f"{name} is in {unit!r}, no unit of time that is known")
    inner = mapping(found.get("percentiles"))
    names = {"mean": ("mean", "avg"), "p50": ("p50", "median"), "p90": ("p90",), "p99": ("p99",)}
    columns: dict[str, float] = {}
    for ours, theirs in names.items():
        value = next((v for key in theirs for v in (found.get(key), inner.get(key)) if v is not None), None)
        if value is not None:
            columns[f"{name}_{ours}"] = _figure(value) * SECONDS[unit]
    return columns


def mean_of(found: object) -> float | None:
    """The mean of a table of statistics."""
    value = first(found, ("mean",), ("avg",))
    return None if value is None else _figure(value)


def _figure(value: object) -> float:
    """A number, or one as text; raises ValueError of anything else."""
    if not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def failures(count: float | None) -> str | None:
    """The errors column."""
    return json.dumps({"failed": int(count)}) if count else None


def at(report: object, *path: str) -> object:
    """What lies at a path of keys; None where a step is missing."""
    for key in path:
        report = report.get(key) if isinstance(report, Mapping) else None
    return report


def first(report: object, *paths: tuple[str, ...]) -> object:
    """What lies at the first of some paths that leads anywhere."""
    return next((value for path in paths if (value := at(report, *path)) is not None), None)


def aiperf_rows(report: Json) -> list[CaseRow]:
    """AIPerf's profile_export_aiperf.json, and genai-perf's, from which its shape comes. One row."""
    config = mapping(report.get("input_config"))
    concurrency, rate = _aiperf_load(config)
    total = mean_of(report.get("request_count"))
    return flagged(
        [
            CaseRow(
                record_id="profile",
                created_utc=_text(report.get("start_time")),
                label=_label("AIPerf" if report.get("schema_version") else "genai-perf", report.get("aiperf_version")),
                method="endpoint",
                phase="serve",
                model_id=_aiperf_model(config),
                input_tokens=mean_of(report.get("input_sequence_length")),
                output_tokens=mean_of(report.get("output_sequence_length")),
                concurrency=concurrency,
                arrival_rate_per_s=rate,
                n_samples=None if total is None else int(total),
                duration_s=_duration_s(report.get("benchmark_duration")),
                requests_per_s=mean_of(report.get("request_throughput")),
                output_tokens_per_s=mean_of(report.get("output_token_throughput")),
                errors=failures(_aiperf_failed(report)),
                flags=_aiperf_flags(report),
            ).with_columns(
                times("ttft_s", report.get("time_to_first_token"), "ms")
                | times("tpot_s", report.get("inter_token_latency"), "ms")
                | times("wall_s", report.get("request_latency"), "ms")
            )
        ]
    )


def _aiperf_flags(report: Json) -> str:
    """Cut off, or counted by a tokenizer that is not the server's: gaps and tokens/s are then of other tokens."""
    pairs = (("input_sequence_length", "usage_prompt_tokens"), ("output_sequence_length", "usage_completion_tokens"))
    counts = [(mean_of(report.get(ours)), mean_of(report.get(theirs))) for ours, theirs in pairs]
    differ = any(_differ(*pair) for pair in counts)
    return checks.raised({"truncated": bool(report.get("was_cancelled")), COUNTS_DIFFER: differ})


def _differ(counted: float | None, served: float | None) -> bool:
    return checks.disagrees(counted, served, TOKENS_TOLERANCE_RATIO)


def _aiperf_load(config: Json) -> tuple[float | None, float | None]:
    """Clients of a closed loop and the rate of an open one, in either generation of its settings."""
    phases = items(config.get("phases"))
    tree = {"config": config, "phase": phases[-1] if phases else None}
    of_genai_perf = ("config", "perf_analyzer", "stimulus")
    concurrency = first(
        tree, ("phase", "concurrency"), ("config", "loadgen", "concurrency"), (*of_genai_perf, "concurrency")
    )
    rate = first(
        tree,
        ("phase", "rate"),
        ("phase", "request_rate"),
        ("config", "loadgen", "request_rate"),
        (*of_genai_perf, "request_rate"),
    )
    return _number(concurrency), _number(rate)


def _aiperf_model(config: Json) -> str | None:
    names = first(config, ("endpoint", "model_names"), ("model_names",), ("models",), ("model",))
    if isinstance(names, Mapping):
        names = names.get("items")
    if isinstance(names, list):
        names = next(iter(names), None)
    return _text(names.get("name") if isinstance(names, Mapping) else names)


def _aiperf_failed(report: Json) -> float | None:
    counted = mean_of(report.get("error_request_count"))
    return counted if counted is not None else sum(number(e.get("count")) for e in objects(report.get("error_summary")))


def _duration_s(found: object) -> float | None:
    value = mean_of(found)
    return None if value is None else value * SECONDS.get(str(mapping(found).get("unit", "sec")), 1.0)


def aiperf_record_rows(records: Sequence[Json]) -> list[CaseRow]:
    """AIPerf's profile_export.jsonl: one line a request; warm-up and failed ones are left out, the latter counted."""
    timed = [each for each in records if at(each, "metadata", "benchmark_phase") in (None, "profiling")]
    good = [each for each in timed if not each.get("error")]
    columns: dict[str, float] = {}
    theirs = {"ttft_s": "time_to_first_token", "tpot_s": "inter_token_latency", "wall_s": "request_latency"}
    for ours, name in theirs.items():
        columns |= _of_samples(ours, [found for each in good if (found := mapping(at(each, "metrics", name)))])
    starts = [v for each in good if (v := _number(at(each, "metadata", "request_start_ns"))) is not None]
    ends = [v for each in good if (v := _number(at(each, "metadata", "request_end_ns"))) is not None]
    span_s = (max(ends) - min(starts)) / 1e9 if starts and ends else None
    answers = _metric(good, "output_sequence_length")
    clients, rate = _load_of(starts, ends)
    row = CaseRow(
        record_id="profile",
        label="AIPerf, request by request",
        method="endpoint",
        phase="serve",
        input_tokens=_mean(_metric(good, "input_sequence_length")),
        output_tokens=_mean(answers),
        concurrency=clients,
        arrival_rate_per_s=rate,
        n_samples=len(good),
        duration_s=span_s,
        requests_per_s=len(good) / span_s if span_s else None,
        output_tokens_per_s=sum(answers) / span_s if span_s and answers else None,
        errors=failures(len(timed) - len(good)),
        flags=COUNTS_DIFFER if _differ(_mean(answers), _mean(_metric(good, "usage_completion_tokens"))) else "",
    )
    return flagged([row.with_columns(columns)])


def _of_samples(name: str, found: Sequence[Json]) -> dict[str, float]:
    """Statistics of single values, each with its unit."""
    seconds = [_figure(each["value"]) * SECONDS[str(each.get("unit", "ms"))] for each in found]
    if not seconds:
        return {}
    p50, p90, p99 = (float(q) for q in np.quantile(seconds, [0.5, 0.9, 0.99]))
    return {f"{name}_mean": float(np.mean(seconds)), f"{name}_p50": p50, f"{name}_p90": p90, f"{name}_p99": p99}


def _metric(records: Sequence[Json], name: str) -> list[float]:
    return [v for each in records if (v := _number(at(each, "metrics", name, "value"))) is not None]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _load_of(starts: Sequence[float], ends: Sequence[float]) -> tuple[float | None, float | None]:
    """Clients of a closed loop, or the rate of an open one, in requests a second; a line says neither. Times in ns.

    A closed loop keeps nearly all of its clients busy; an open one has its most in flight for a moment.
    """
    if not starts or not ends:
        return None, None
    moments = sorted([(at_ns, 1) for at_ns in starts] + [(at_ns, -1) for at_ns in ends])
    most = float(np.max(np.cumsum([step for _, step in moments])))
    usual = (sum(ends) - sum(starts)) / max(max(ends) - min(starts), 1.0)
    sent_s = (max(starts) - min(starts)) / 1e9
    return (most, None) if usual >= BUSY_RATIO * most or sent_s <= 0 else (None, (len(starts) - 1) / sent_s)


def guidellm_rows(report: Json) -> list[CaseRow]:
    """GuideLLM's benchmarks.json: one row a benchmark (a load); figures of the requests that were answered."""
    benches = report["benchmarks"]
    if not isinstance(benches, list):
        raise ValueError("benchmarks is no list")
    return flagged([_guidellm(report, each, place) for place, each in enumerate(benches)])


def _guidellm(report: Json, bench: Json, place: int) -> CaseRow:
    metrics = bench["metrics"]

    def good(name: str) -> object:
        return at(metrics, name, "successful")

    strategy = mapping(first(bench, ("config", "strategy"), ("args", "strategy"), ("scheduler", "strategy")))
    streams = first(strategy, ("streams",), ("max_concurrency",), ("concurrency",))
    kind, rate = strategy.get("type_") or strategy.get("type"), _number(strategy.get("rate"))
    totals = mapping(first(bench, ("metrics", "request_totals"), ("run_stats", "requests_made"), ("request_totals",)))
    return CaseRow(
        record_id=f"benchmark-{place}",
        label=_label("GuideLLM", at(report, "metadata", "guidellm_version"), kind),
        method="endpoint",
        phase="serve",
        model_id=_text(first(bench, ("config", "backend", "model"), ("worker", "backend_model"))),
        input_tokens=mean_of(good("prompt_token_count")),
        output_tokens=mean_of(good("output_token_count")),
        concurrency=1.0 if kind == "synchronous" else None if rate else _number(streams),
        arrival_rate_per_s=rate,
        n_samples=_whole(totals.get("successful")),
        duration_s=_number(first(bench, ("duration",), ("run_stats", "duration"))),
        requests_per_s=mean_of(good("requests_per_second")),
        output_tokens_per_s=mean_of(good("output_tokens_per_second")),
        errors=failures(_number(totals.get("errored"))),
    ).with_columns(
        times("ttft_s", good("time_to_first_token_ms"), "ms")
        | times("tpot_s", good("inter_token_latency_ms") or good("time_per_output_token_ms"), "ms")
        | times("wall_s", good("request_latency"), "s")
    )


def inference_perf_rows(report: Json) -> list[CaseRow]:
    """inference-perf's summary_lifecycle_metrics.json or stage_N_lifecycle_metrics.json: one row, in seconds."""
    good, load = mapping(report["successes"]), mapping(report["load_summary"])
    latency, rates = mapping(good.get("latency")), mapping(good.get("throughput"))
    failed = _number(at(report, "failures", "count"))
    row = CaseRow(
        record_id="summary",
        label=_label("inference-perf", None, "open loop" if load.get("requested_rate") else None),
        method="endpoint",
        phase="serve",
        input_tokens=mean_of(first(good, ("prompt_len",), ("prompt_tokens",))),
        output_tokens=mean_of(first(good, ("output_len",), ("output_tokens",))),
        concurrency=_number(load.get("concurrency")),
        arrival_rate_per_s=_number(load.get("requested_rate")) or _number(load.get("achieved_rate")),
        n_samples=int(_figure(good["count"])),
        duration_s=_number(first(report, ("benchmark_time_seconds",), ("load_summary", "send_duration"))),
        requests_per_s=_number(rates.get("requests_per_sec")),
        output_tokens_per_s=_number(rates.get("output_tokens_per_sec")),
        errors=failures(failed),
    ).with_columns(
        times("ttft_s", latency.get("time_to_first_token"), "s")
        | times("tpot_s", latency.get("time_per_output_token") or latency.get("inter_token_latency"), "s")
        | times("wall_s", latency.get("request_latency"), "s")
    )
    return flagged([row])


def llmd_rows(report: Json) -> list[CaseRow]:
    """llm-d's benchmark report 0.2 and 0.2.1, JSON or YAML: one row, in the units that it states."""
    if str(report.get("version")) not in ("0.2", "0.2.1"):
        raise ValueError(f"version {report.get('version')!r} of the benchmark report; 0.2 and 0.2.1 are read")
    totals = at(report, "results", "request_performance", "aggregate")
    if not isinstance(totals, Mapping):
        raise ValueError("results.request_performance.aggregate is missing")
    latency, rates, sent = (mapping(totals.get(name)) for name in ("latency", "throughput", "requests"))
    load = mapping(at(report, "scenario", "load", "standardized"))
    engine = _llmd_engine(report)
    failed, total = _number(sent.get("failures")) or 0.0, _number(sent.get("total"))
    row = CaseRow(
        record_id=str(at(report, "run", "uid") or "report"),
        created_utc=_text(at(report, "run", "time", "start")),
        label=_label(f"llm-d report, {load.get('tool') or 'tool unknown'}", load.get("tool_version")),
        method="endpoint",
        phase="serve",
        chip=chip_name(str(at(engine, "accelerator", "model") or "")),
        chips_used=_llmd_chips(engine),
        tp=_whole(first(engine, ("accelerator", "parallelism", "tp"))),
        replicas=_whole(at(engine, "replicas")),
        versions=json.dumps({"engine": _label(engine.get("tool"), engine.get("tool_version"))}) if engine else None,
        model_id=_text(at(engine, "model", "name")),
        input_tokens=mean_of(sent.get("input_length")) or _number(at(load, "input_seq_len", "value")),
        output_tokens=mean_of(sent.get("output_length")) or _number(at(load, "output_seq_len", "value")),
        concurrency=_number(load.get("concurrency")),
        arrival_rate_per_s=_number(load.get("rate_qps")),
        n_samples=None if total is None else int(total - failed),
        requests_per_s=mean_of(rates.get("request_rate")),
        output_tokens_per_s=mean_of(rates.get("output_token_rate")),
        errors=failures(failed),
        flags="truncated" if sent.get("incomplete") else "",
    ).with_columns(
        times("ttft_s", latency.get("time_to_first_token"))
        | times("tpot_s", latency.get("time_per_output_token") or latency.get("inter_token_latency"))
        | times("wall_s", latency.get("request_latency"))
    )
    return flagged([row])


def _llmd_engine(report: Json) -> Json:
    """The one inference engine of the stack; of several (prefill and decode apart) nothing is read."""
    parts = [mapping(each.get("standardized")) for each in objects(at(report, "scenario", "stack"))]
    engines = [each for each in parts if each.get("kind") == "inference_engine"]
    return engines[0] if len(engines) == 1 else {}


def _llmd_chips(engine: Json) -> float | None:
    each = _number(at(engine, "accelerator", "count"))
    return None if each is None else each * (_number(engine.get("replicas")) or 1.0)


def _number(value: object) -> float | None:
    """A finite number, whatever wrote it; None for none, `inf` included (a rate without limit is no rate)."""
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    if value is None or isinstance(value, bool):
        return None
    try:
        figure = _figure(value)
    except ValueError:
        return None
    return figure if math.isfinite(figure) else None


def _whole(value: object) -> int | None:
    figure = _number(value)
    return None if figure is None else int(figure)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _label(*parts: object) -> str:
    return " ".join(_said(parts))


def _said(parts: Sequence[object]) -> Iterator[str]:
    return (str(part) for part in parts if part)
