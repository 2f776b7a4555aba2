"""Files of load tools become rows by their content; what contradicts itself is flagged, kept and never fitted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from neuron_bench.errors import BenchUsageError
from neuron_bench.importers.files import Known, import_file
from neuron_bench.record import CaseRow, load_bench


def stats(mean: float, unit: str, **more: float) -> dict[str, Any]:
    return {"unit": unit, "avg": mean, "p50": mean * 0.95, "p90": mean * 1.2, "p99": mean * 1.5, **more}


AIPERF = {
    "schema_version": "1.2", "aiperf_version": "0.13.0", "benchmark_id": "b", "was_cancelled": False,
    "input_config": {"phases": [{"name": "profiling", "type": "concurrency", "concurrency": 8}], "models": ["m"]},
    "request_count": stats(400, "requests"), "request_throughput": stats(4.0, "requests/sec"),
    "request_latency": stats(1970.0, "ms"), "time_to_first_token": stats(80.0, "ms"),
    "inter_token_latency": stats(18.9, "ms"), "output_sequence_length": stats(101, "tokens"),
    "input_sequence_length": stats(512, "tokens"), "output_token_throughput": stats(404.0, "tokens/sec"),
    "benchmark_duration": stats(100.0, "sec"), "error_summary": [], "start_time": "2026-11-01T00:00:00",
}  # fmt: skip
GENAI_PERF = {name: value for name, value in AIPERF.items() if name not in ("schema_version", "aiperf_version")} | {
    "input_config": {"perf_analyzer": {"stimulus": {"concurrency": 8}}, "model_names": ["m"]}
}


def guide(mean: float, **more: float) -> dict[str, Any]:
    tail = {"percentiles": {"p50": mean * 0.95, "p90": mean * 1.2, "p99": mean * 1.5}}
    return {"successful": {"mean": mean, "median": mean * 0.95, "count": 400, **tail, **more}}


GUIDELLM = {
    "metadata": {"version": 2, "guidellm_version": "0.8.1"},
    "benchmarks": [
        {
            "type_": "generative_benchmark", "duration": 100.0,
            "config": {"strategy": {"type_": "concurrent", "streams": 8}, "backend": {"model": "m"}},
            "metrics": {
                "request_totals": {"successful": 400, "incomplete": 8, "errored": 0, "total": 408},
                "requests_per_second": guide(4.0), "request_latency": guide(1.97), "prompt_token_count": guide(512),
                "output_token_count": guide(101), "time_to_first_token_ms": guide(80.0),
                "inter_token_latency_ms": guide(18.9), "output_tokens_per_second": guide(404.0),
            },
        }
    ],
}  # fmt: skip


def perf(mean: float) -> dict[str, float]:
    return {"mean": mean, "median": mean * 0.95, "p90": mean * 1.2, "p99": mean * 1.5}


INFERENCE_PERF = {
    "load_summary": {"count": 400, "requested_rate": 4.0, "achieved_rate": 4.0, "send_duration": 100.0},
    "successes": {
        "count": 400,
        "latency": {
            "request_latency": perf(1.97),
            "time_to_first_token": perf(0.08),
            "time_per_output_token": perf(0.0189),
        },
        "throughput": {"requests_per_sec": 4.0, "output_tokens_per_sec": 404.0},
        "prompt_len": perf(512),
        "output_len": perf(101),
    },
    "failures": {"count": 0},
}


def unit(mean: float, units: str) -> dict[str, Any]:
    return {"units": units, "mean": mean, "p50": mean * 0.95, "p90": mean * 1.2, "p99": mean * 1.5}


LLMD = {
    "version": "0.2",
    "run": {"uid": "u", "time": {"start": "2026-11-01T00:00:00Z"}},
    "scenario": {
        "stack": [
            {
                "standardized": {
                    "kind": "inference_engine", "tool": "vllm", "tool_version": "0.27.1", "replicas": 1,
                    "model": {"name": "m"},
                    "accelerator": {"model": "NVIDIA-H100-80GB-HBM3", "count": 2, "parallelism": {"tp": 2}},
                }
            }
        ],
        "load": {"standardized": {"tool": "guidellm", "tool_version": "0.8.1", "concurrency": 8}},
    },
    "results": {
        "request_performance": {
            "aggregate": {
                "requests": {
                    "total": 400, "failures": 0,
                    "input_length": unit(512, "count"), "output_length": unit(101, "count"),
                },
                "latency": {
                    "time_to_first_token": unit(80.0, "ms"), "time_per_output_token": unit(0.0189, "s/token"),
                    "request_latency": unit(1.97, "s"),
                },
                "throughput": {"request_rate": unit(4.0, "queries/s"), "output_token_rate": unit(404.0, "tokens/s")},
            }
        }
    },
}  # fmt: skip
INFERENCEX = {
    "hw": "h200", "conc": 8, "model": "m", "framework": "vllm", "precision": "fp8", "tp": 2, "isl": 512, "osl": 101,
    "tput_per_gpu": 1226.0, "output_tput_per_gpu": 202.0, "mean_ttft": 0.08, "median_ttft": 0.076, "p99_ttft": 0.12,
    "mean_tpot": 0.0189, "median_tpot": 0.018, "p99_tpot": 0.028, "mean_e2el": 1.97, "median_intvty": 55.0,
}  # fmt: skip
SILICON = (
    "model_path,system,backend,backend_version,mode,isl,osl,tp_size,pp_size,concurrency,ttft,tpot\n"
    "m,h200_sxm,vllm,0.14.0,agg,512,101,2,1,8,80,18.9\n"
)


def jsonl() -> str:
    lines = []
    for place in range(16):
        start = place // 8 * 1_970_000_000
        metrics = {
            "time_to_first_token": {"value": 80.0, "unit": "ms"}, "inter_token_latency": {"value": 18.9, "unit": "ms"},
            "request_latency": {"value": 1970.0, "unit": "ms"},
            "input_sequence_length": {"value": 512, "unit": "tokens"},
            "output_sequence_length": {"value": 101, "unit": "tokens"},
        }  # fmt: skip
        times = {"request_start_ns": start, "request_end_ns": start + 1_970_000_000 - 1, "benchmark_phase": "profiling"}
        lines.append(json.dumps({"metadata": times, "metrics": metrics, "error": None}))
    return "\n".join(lines)


FILES: dict[str, tuple[str, str]] = {
    "aiperf": ("profile_export_aiperf.json", json.dumps(AIPERF)),
    "aiperf by request": ("profile_export.jsonl", jsonl()),
    "genai-perf": ("profile_export_genai_perf.json", json.dumps(GENAI_PERF)),
    "guidellm": ("benchmarks.json", json.dumps(GUIDELLM)),
    "inference-perf": ("summary_lifecycle_metrics.json", json.dumps(INFERENCE_PERF)),
    "llm-d json": ("report.json", json.dumps(LLMD)),
    "llm-d yaml": ("report.yaml", yaml.safe_dump(LLMD)),
    "inferencex": ("agg_m.json", json.dumps(INFERENCEX)),
    "aiconfigurator": ("silicon_sample.csv", SILICON),
}


def imported(name: str, content: str, tmp_path: Path, **known: Any) -> tuple[CaseRow, ...]:
    path = tmp_path / name
    path.write_text(content)
    return load_bench(import_file(path, tmp_path / "bench", Known(**known))).rows


@pytest.mark.parametrize("tool", FILES)
def test_every_tool_gives_the_same_row_of_the_same_load(tool: str, tmp_path: Path) -> None:
    """Lengths, load, seconds inside, whatever the unit outside; no flag on what agrees with itself."""
    says_chip = tool in ("llm-d json", "llm-d yaml", "inferencex", "aiconfigurator")
    model_id = "m" if tool in ("aiperf by request", "inference-perf") else None
    (row,) = imported(*FILES[tool], tmp_path, model_id=model_id, chip=None if says_chip else "h200")
    assert (row.phase, row.input_tokens, row.output_tokens, row.model_id) == ("serve", 512, 101, "m")
    assert row.ttft_s_mean == pytest.approx(0.08)
    assert row.tpot_s_mean == pytest.approx(0.0189)
    assert (row.concurrency, row.arrival_rate_per_s) == ((None, 4.0) if tool == "inference-perf" else (8, None))
    assert row.chip in ("h200-141gb sxm", "h100-80gb sxm")
    assert (row.flags or "") == ""


HEAD = "model,chip,tp,isl,osl,concurrency,mean_ttft_ms,mean_tpot_ms,p50_tpot_ms,req_per_s,out_tok_per_s,n_requests\n"
GOOD = {
    "model": "m", "chip": "h100", "tp": "1", "isl": "512", "osl": "101", "concurrency": "8", "mean_ttft_ms": "80",
    "mean_tpot_ms": "18.9", "p50_tpot_ms": "", "req_per_s": "4.0", "out_tok_per_s": "404", "n_requests": "400",
}  # fmt: skip


def line(**changes: str) -> str:
    return ",".join((GOOD | changes).values()) + "\n"


@pytest.mark.parametrize(
    ("bad", "flag"),
    [
        ({"mean_ttft_ms": "80000", "mean_tpot_ms": "18900"}, "milliseconds_for_seconds"),
        ({"mean_ttft_ms": "0.08", "mean_tpot_ms": "0.0189"}, "seconds_for_milliseconds"),
        ({"osl": ""}, "lengths_missing"),
        ({"concurrency": ""}, "load_missing"),
        ({"mean_tpot_ms": "", "p50_tpot_ms": "18"}, "statistics_mixed"),
        ({"req_per_s": "9.0", "out_tok_per_s": "909"}, "throughput_against_littles_law"),
        ({"req_per_s": "1.0", "out_tok_per_s": "101"}, "throughput_against_littles_law"),
        ({"out_tok_per_s": "808"}, "tokens_disagree_with_requests"),
        ({"n_requests": "5"}, "truncated"),
        ({"mean_tpot_ms": "-1"}, "negative"),
        ({"mean_ttft_ms": "nan"}, "not_finite"),
        ({"concurrency": "inf"}, "not_finite"),
        ({"mean_ttft_ms": "80 ms"}, "not_a_number"),
        ({"mean_tpot_ms": '"18,9"'}, "not_a_number"),
        ({"n_requests": "400,7"}, "cells_beyond_columns"),
        ({"concurrency": "0"}, "load_not_positive"),
        ({"isl": "-512"}, "lengths_not_positive"),
        ({"tp": "0"}, "deployment_not_positive"),
        ({"mean_ttft_ms": "0"}, "latency_zero"),
        ({"osl": "1", "req_per_s": "", "out_tok_per_s": ""}, "gaps_of_one_token"),
        ({"mean_ttft_ms": "0.35", "req_per_s": "4.2", "out_tok_per_s": "424"}, "ttft_below_a_step"),
        ({"req_per_s": "2.4", "out_tok_per_s": "242"}, "throughput_against_littles_law"),
    ],
)
def test_a_row_that_cannot_be_is_flagged_with_the_reason(bad: dict[str, str], flag: str, tmp_path: Path) -> None:
    """And the row beside it is not."""
    busier = line(concurrency="16", req_per_s="8", out_tok_per_s="808")
    rows = imported("points.csv", HEAD + line() + busier + line(**bad), tmp_path)
    assert not rows[1].barred
    assert flag in rows[2].flag_names
    assert rows[2].barred


def test_duplicates_that_lie_apart_are_one_configuration_no_longer(tmp_path: Path) -> None:
    """Speculation on and off in one table: both rows are flagged; a repeat within 15% is none."""
    quicker = line(mean_tpot_ms="15.5", req_per_s="4.7", out_tok_per_s="475")
    apart = imported("points.csv", HEAD + line() + quicker, tmp_path)
    assert all("duplicate_disagrees" in row.flag_names for row in apart)


def test_first_tokens_twice_apart_are_a_prefix_cache_on_and_off(tmp_path: Path) -> None:
    """The gaps agree, so only the TTFT tells."""
    rows = imported("points.csv", HEAD + line() + line(mean_ttft_ms="200", req_per_s="", out_tok_per_s=""), tmp_path)
    assert all("duplicate_disagrees" in row.flag_names for row in rows)


def test_figures_of_another_load_digit_for_digit_are_copied(tmp_path: Path) -> None:
    """Three digits or more; rounded ones repeat by chance."""
    unrated = {"mean_ttft_ms": "83.4", "mean_tpot_ms": "18.93", "req_per_s": "", "out_tok_per_s": ""}
    rows = imported("points.csv", HEAD + line(**unrated) + line(**unrated, concurrency="16") + line(), tmp_path)
    assert ["figures_repeated" in row.flag_names for row in rows] == [True, True, False]


def test_an_answer_in_one_piece_tells_no_step(tmp_path: Path) -> None:
    """The first token comes with the last."""
    whole = [f"{row.strip()},{e2e}\n" for row, e2e in ((HEAD, "mean_e2e_ms"), (line(mean_ttft_ms="1970"), 1970))]
    (row,) = imported("points.csv", "".join(whole), tmp_path)
    assert "not_streamed" in row.flag_names


def test_json_that_holds_nan_or_words_for_numbers_is_flagged(tmp_path: Path) -> None:
    """Python's reader takes NaN for a number."""
    (row,) = imported("agg.json", json.dumps(INFERENCEX | {"mean_tpot": float("nan")}), tmp_path)
    assert "not_finite" in row.flag_names
    (tmp_path / "b").mkdir()
    (row,) = imported("agg.json", json.dumps(INFERENCEX | {"mean_tpot": "fast"}), tmp_path / "b")
    assert "not_a_number" in row.flag_names


def test_a_repeat_is_no_contradiction(tmp_path: Path) -> None:
    """Two runs of one point 5% apart are both kept for a fit."""
    rows = imported("points.csv", HEAD + line() + line(mean_tpot_ms="18.0"), tmp_path)
    assert not any(row.barred for row in rows)


def test_a_cancelled_or_disaggregated_run_is_not_fitted(tmp_path: Path) -> None:
    """Truncated by its user; prefill and decode apart are no engine that we model."""
    (row,) = imported("a.json", json.dumps(AIPERF | {"was_cancelled": True}), tmp_path, chip="h200")
    assert "truncated" in row.flag_names
    (tmp_path / "b").mkdir()
    (row,) = imported("b.json", json.dumps(INFERENCEX | {"disagg": True, "spec_decoding": "mtp"}), tmp_path / "b")
    assert {"disaggregated_not_modelled", "speculation_not_modelled"} <= row.flag_names


def test_a_unit_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    """Never taken for the usual one."""
    with pytest.raises(BenchUsageError, match="ttft_s is in 'fortnights'"):
        imported("a.json", json.dumps(AIPERF | {"time_to_first_token": stats(80.0, "fortnights")}), tmp_path)
