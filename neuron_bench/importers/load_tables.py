"""Tables of load points: aiconfigurator's silicon samples, InferenceX's results, and CSVs with their names.

Columns go by name, with the unit that the name carries. Of a name without one the source decides: InferenceX writes
seconds (`mean_ttft`), aiconfigurator milliseconds (`ttft`); the checks of `consistency` catch the other.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from host.json_values import mapping
from neuron_bench import checks
from neuron_bench.device.chips import chip_name
from neuron_bench.importers.consistency import flagged
from neuron_bench.record import CaseRow

Cells = Mapping[str, object]

NAMES: dict[str, tuple[str, ...]] = {
    "model_id": ("model", "model_path", "model_id", "model_name", "infmax_model_prefix"),
    "chip": ("chip", "hw", "system", "hardware", "gpu", "gpu_name", "device", "accelerator", "gpu_type"),
    "instance_type": ("instance", "instance_type"),
    "engine": ("engine", "backend", "framework"),
    "engine_version": ("engine_version", "backend_version", "image"),
    "dtypes": ("precision", "dtype", "quantization", "quant", "gemm_quant_mode"),
    "tp": ("tp", "tp_size", "tensor_parallel_size"),
    "pp": ("pp", "pp_size"),
    "dp": ("dp", "attention_dp_size"),
    "replicas": ("replicas",),
    "chips_used": ("n_chips", "num_gpus", "chips_used", "num_total_gpus", "gpus", "gpu_count"),
    "input_tokens": (
        "isl_mean",
        "isl",
        "input_tokens",
        "input_len",
        "prompt_tokens",
        "input_sequence_length",
        "input",
        "random_input_len",
        "prompt_token_count_mean",
    ),
    "output_tokens": (
        "osl_mean",
        "osl",
        "output_tokens",
        "output_len",
        "output_sequence_length",
        "output",
        "random_output_len",
        "completion_token_count_mean",
    ),
    "input_total": ("total_input_tokens",),
    "output_total": ("total_output_tokens",),
    "concurrency": ("concurrency", "conc", "max_concurrency", "users", "concurrent", "concurrent_requests"),
    "arrival_rate_per_s": ("rate_rps", "request_rate", "rate_qps", "arrival_rate_per_s"),
    "n_samples": ("n_requests", "successful_requests", "completed", "num_requests", "n_req"),
    "requests_per_s": ("req_per_s", "requests_per_s", "request_throughput", "req_s", "req_tput_rps"),
    "output_tokens_per_s": (
        "out_tok_per_s",
        "output_tokens_per_s",
        "output_throughput",
        "output_token_throughput",
        "output_tok_s",
        "throughput_tokens_s",
    ),
    "created_utc": ("measured", "date", "created_utc"),
    "source_url": ("source_repo", "source", "source_url", "run_url"),
    "disaggregated": ("disagg",),
    "mode": ("mode",),
    "speculation": ("spec_decoding", "spec_method", "nextn"),
    "load_mode": ("load_mode",),
    "note": ("note",),
}
"""Our name, and those it goes by; the first that a row fills counts."""

_WHICH = "mean|avg|median|p50|p90|p99"
_TIME = re.compile(
    rf"^(?:({_WHICH})_)?(ttft|tpot|itl|e2el?|e2e_latency|request_latency|latency)(?:_({_WHICH}))?(?:_(ms|s))?$"
)
_KIND = {"ttft": "ttft_s", "tpot": "tpot_s", "itl": "itl"} | dict.fromkeys(
    ("e2e", "e2el", "e2e_latency", "request_latency", "latency"), "wall_s"
)
_STATISTIC = {"avg": "mean", "median": "p50", None: "mean"}
_UNIT_S = {"ms": 1e-3, "s": 1.0}
_SECONDS = {"tput_per_gpu", "prompt_token_count_mean"}
"""Columns of InferenceX and of FMBench, whose times without a unit are seconds."""
_THOUSANDS = re.compile(r"^-?\d{1,3}(,\d{3})+(\.\d*)?$")
_COUNTED = (
    "tp", "pp", "dp", "replicas", "chips_used", "input_tokens", "output_tokens", "concurrency", "arrival_rate_per_s",
    "n_samples", "requests_per_s", "output_tokens_per_s",
)  # fmt: skip
_NUMBERS = {"output_tput_per_gpu"} | {theirs for ours in _COUNTED for theirs in NAMES[ours]}


def point_rows(table: Sequence[Cells]) -> list[CaseRow]:
    """A CSV of load points, or InferenceX's aggregated results as JSON."""
    return flagged([_checked(row, line) for line, row in enumerate(table, start=2)])


def _checked(raw: Cells, line: int) -> CaseRow:
    """A row; a cell that is no number where one belongs is left out and named, and so are cells of no column."""
    row = {_plain(name): cell for name, cell in raw.items() if name}
    good = {name: cell for name, cell in row.items() if not _is_spoilt(name, cell)}
    found = _row(good, line)
    odd = checks.raised(
        {"not_a_number": len(good) < len(row), "cells_beyond_columns": any(name is None for name in raw)}
    )
    return replace(found, flags=";".join(part for part in (found.flags, odd) if part))


def _is_spoilt(name: str, cell: object) -> bool:
    """A cell of a column of numbers that is none: `80 ms`, a decimal comma, a header repeated."""
    numeric = name in _NUMBERS or _TIME.match(name) is not None
    return numeric and cell not in (None, "") and _number(cell) is None


def _number(cell: object) -> float | None:
    """A number, with commas between thousands if any; a comma anywhere else may be a decimal one, and is no number."""
    text = str(cell).strip()
    if "," in text and not _THOUSANDS.match(text):
        return None
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def inferencex_rows(content: object) -> list[CaseRow]:
    """InferenceX's agg_*.json: one point, or a list of them; `metrics` of the database's form are lifted out."""
    points = content if isinstance(content, list) else [content]
    return point_rows([{**mapping(each), **mapping(mapping(each).get("metrics"))} for each in points])


def is_table_of_points(names: set[str]) -> bool:
    """Whether columns name a load, both lengths and a latency; rows without both latencies are flagged."""
    plain = {_plain(name) for name in names}
    kinds = {match[2] for name in plain if (match := _TIME.match(name))}
    sides = (("input_tokens", "input_total"), ("output_tokens", "output_total"))
    lengths = all(plain & {*NAMES[mean], *NAMES[total]} for mean, total in sides)
    loads = plain & {*NAMES["concurrency"], *NAMES["arrival_rate_per_s"]}
    return bool(lengths and loads and kinds)


def _plain(name: str) -> str:
    """`Mean TTFT (ms)` as `mean_ttft_ms`."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def _cell(row: Cells, name: str) -> str | None:
    for theirs in NAMES[name]:
        if row.get(theirs) not in (None, ""):
            return str(row[theirs])
    return None


def _figure(row: Cells, name: str) -> float | None:
    text = _cell(row, name)
    return None if text is None else _number(text)


def _row(row: Cells, line: int) -> CaseRow:
    tp, replicas = _figure(row, "tp"), _figure(row, "replicas")
    chip, instance = _cell(row, "chip"), _cell(row, "instance_type")
    engine = " ".join(part for part in (_cell(row, "engine"), _cell(row, "engine_version")) if part)
    chips, samples = _chips(row, tp), _figure(row, "n_samples")
    output_per_s = _figure(row, "output_tokens_per_s")
    per_chip = row.get("output_tput_per_gpu")
    if output_per_s is None and per_chip not in (None, "") and chips:
        output_per_s = (_number(per_chip) or 0.0) * chips
    return CaseRow(
        record_id=f"line-{line}",
        source_url=_cell(row, "source_url"),
        created_utc=_cell(row, "created_utc"),
        label=_cell(row, "note"),
        method="endpoint",
        chip=chip_name(chip or instance or ""),
        instance_type=instance,
        chips_used=chips,
        versions=json.dumps({"engine": engine}) if engine else None,
        model_id=_cell(row, "model_id"),
        dtypes=_cell(row, "dtypes"),
        tp=_whole(tp),
        replicas=_whole(replicas),
        phase="serve",
        input_tokens=_length(row, "input", samples),
        output_tokens=_length(row, "output", samples),
        concurrency=_figure(row, "concurrency"),
        arrival_rate_per_s=_figure(row, "arrival_rate_per_s"),
        n_samples=_whole(samples),
        requests_per_s=_figure(row, "requests_per_s"),
        output_tokens_per_s=output_per_s,
        flags=";".join(name for name, bad in _odd(row, chip).items() if bad),
    ).with_columns(_times(row))


def _length(row: Cells, side: str, samples: float | None) -> float | None:
    """Of a call, stated or the total of all that were answered over their number."""
    stated, total = _figure(row, f"{side}_tokens"), _figure(row, f"{side}_total")
    return stated if stated is not None or total is None or not samples else total / samples


def _whole(value: float | None) -> int | None:
    return int(value) if value is not None and math.isfinite(value) else None


def _chips(row: Cells, tp: float | None) -> float | None:
    """Stated, or the product of what it was parallel over; null where nobody said."""
    stated = _figure(row, "chips_used")
    if stated is not None or tp is None or not {"tput_per_gpu", "tp_size"} & set(row):
        return stated
    return tp * (_figure(row, "pp") or 1.0)


def _times(row: Cells) -> dict[str, float]:
    """Latency columns in seconds; a mean between tokens stands for a mean per token where only it is given."""
    fallback = 1.0 if _SECONDS & set(row) else 1e-3
    found: dict[str, float] = {}
    for name, cell in row.items():
        match = _TIME.match(name)
        if match is None or cell in (None, ""):
            continue
        before, kind, after, unit = match.groups()
        stated = before or after
        statistic = _STATISTIC.get(stated, stated)
        found[f"{_KIND[kind]}_{statistic}"] = (_number(cell) or 0.0) * (_UNIT_S[unit] if unit else fallback)
    for statistic in ("mean", "p50", "p99"):
        gap = found.pop(f"itl_{statistic}", None)
        if gap is not None and statistic != "p99":
            found.setdefault(f"tpot_s_{statistic}", gap)
    found.pop("itl_p90", None)
    return found


def _odd(row: Cells, chip: str | None) -> dict[str, bool]:
    """What makes a row no engine of ours: named, kept, not fitted."""
    mode, speculation = (_cell(row, "mode") or "").lower(), (_cell(row, "speculation") or "none").lower()
    apart = (_cell(row, "disaggregated") or "").lower() in ("true", "1", "yes")
    return {
        "disaggregated_not_modelled": apart or mode.startswith("disagg"),
        "speculation_not_modelled": speculation not in ("none", "", "0", "0.0", "false"),
        "chip_unknown": bool(chip) and chip_name(chip or "") is None,
    }
