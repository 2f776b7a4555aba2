"""Files of others become bench records: recognised by their columns or keys, checked row by row, never repaired.

A row that fails a check is kept with its flags and not used by plans or fits.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuron_bench.errors import BenchUsageError
from neuron_bench.importers import load_curves, reports, tables
from neuron_bench.record import write_bench

Row = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """One kind of file: the names that identify it, and how its content becomes rows."""

    name: str
    marks: frozenset[str]
    provenance: str
    rows: Callable[[Any], Sequence[Row]]


def import_file(path: Path, folder: Path, **known: str | float | int) -> Path:
    """Write the record of one file at `folder`; returns it.

    known: columns that the file cannot say (chip, instance_type, chips_used, tp, model_id ...), filled where null. A
    measured row that names no model or no chip is flagged.

    Raises:
        BenchUsageError: not a format we know, or a file that cannot be read; names what is known.
    """
    content, marks = _read(path)
    found = next((one for one in FORMATS if one.marks <= marks), None)
    if found is None:
        raise BenchUsageError(f"{path}: not a format we import; known: {', '.join(one.name for one in FORMATS)}")
    try:
        rows = [_complete(row, found.provenance, known, path) for row in found.rows(content)]
        return write_bench(folder, _info(path, folder, found, rows), rows)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise BenchUsageError(f"{path}: looks like {found.name}, but cannot be read ({error!r})") from None


def _info(path: Path, folder: Path, found: Format, rows: Sequence[Row]) -> Row:
    return {
        "bench_id": folder.name,
        "state": "finished",
        "imported_from": path.name,
        "format": found.name,
        "imported_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "flagged": sum(bool(row.get("flags")) for row in rows),
    }


def _complete(row: Row, provenance: str, known: Mapping[str, Any], path: Path) -> Row:
    """The row with what the user knows. Examples of a schema have invented values: marked, whatever the format."""
    full = row | {name: value for name, value in known.items() if row.get(name) is None}
    if ".example." in path.name or any("schema-example" in str(value) for value in full.values()):
        provenance = "schema_example"
    nameless = provenance == "measured" and (full.get("model_id") is None or full.get("chip") is None)
    flags = [flag for flag in (full.get("flags"), "model_or_chip_not_stated" if nameless else "") if flag]
    return full | {"provenance": provenance, "flags": ";".join(flags)}


def _read(path: Path) -> tuple[Any, set[str]]:
    """Content of a CSV (list of rows) or JSON file, and the names it carries."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".csv":
            table = list(csv.DictReader(text.splitlines()))
            return table, set(table[0]) if table else set()
        content = json.loads(text)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise BenchUsageError(f"{path}: cannot be read ({error})") from None
    return content, set(content) if isinstance(content, dict) else set()


def _load_curve_rows(table: Sequence[dict[str, str]]) -> list[Row]:
    return [_load_curve(point) for point in load_curves.points(table)]


def _load_curve(point: load_curves.LoadPoint) -> Row:
    """One load test; means only, so its quantiles are null."""
    return {
        "record_id": f"line-{point.line}",
        "source_url": f"{point.source_repo} {point.source_file}",
        "created_utc": point.date,
        "label": "; ".join(part for part in (point.mode, point.note) if part),
        "device_kind": "neuron",
        "method": "endpoint",
        "chip": point.chip,
        "instance_type": point.instance or None,
        "chips_used": point.chips,
        "cores_used": point.tp * point.replicas if point.tp and point.replicas else None,
        "versions": json.dumps({"engine": "vllm (optimum-neuron)"}),
        "model_id": point.model,
        "weights_random": False,
        "tp": point.tp,
        "replicas": point.replicas,
        "phase": "serve",
        "batch": point.max_num_seqs,
        "input_tokens": point.input_tokens,
        "output_tokens": point.output_tokens,
        "bucket_tokens": point.sequence_tokens,
        "concurrency": point.in_flight,
        "wall_s_mean": point.latency_s,
        "ttft_s_mean": point.ttft_s,
        "tpot_s_mean": point.itl_s,
        "requests_per_s": point.requests_per_s,
        "output_tokens_per_s": point.output_tokens_per_s,
        "flags": ";".join(point.flags),
    }


FORMATS = (
    Format(
        "load curves (neuron_load_curves.csv)",
        frozenset({"load_mode", "inter_token_latency_mean_ms", "littles_law_concurrency"}),
        "published",
        _load_curve_rows,
    ),
    Format(
        "AWS's performance tables (neuron_published_perf.csv)",
        frozenset({"in_current_docs", "throughput_unit", "latency_per_token_p50_ms"}),
        "published",
        tables.aws_perf_rows,
    ),
    Format(
        "sweeps (third_party_sweeps.csv)",
        frozenset({"system", "price_basis_usd_per_hour", "output_tokens_per_s_per_chip"}),
        "published",
        tables.sweep_rows,
    ),
    Format(
        "vllm bench serve --save-result (JSON)",
        frozenset({"completed", "request_throughput", "output_throughput"}),
        "measured",
        reports.vllm_rows,
    ),
    Format(
        "NxD Inference benchmark_report.json",
        frozenset({"e2e_model", "context_encoding_model", "token_generation_model"}),
        "measured",
        reports.nxdi_rows,
    ),
    Format(
        "NeuronPerf CSV",
        frozenset({"workers_per_model", "latency_ms_p100", "total_infs"}),
        "measured",
        reports.neuronperf_rows,
    ),
)
