"""Files of others become bench records: recognised by their columns or keys, checked row by row, never repaired.

A row that fails a check is kept with its flags and not used by plans or fits.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuron_bench.device.chips import chip_name, device_of, resolve_chip
from neuron_bench.errors import BenchUsageError
from neuron_bench.importers import load_curves, reports, tables
from neuron_bench.record import CaseRow, write_bench


@dataclass(frozen=True)
class Known:
    """What a file cannot say and its user can: filled where the file is silent, refused where it says otherwise."""

    chip: str | None = None
    instance_type: str | None = None
    chips_used: float | None = None
    tp: int | None = None
    model_id: str | None = None


@dataclass(frozen=True)
class Format:
    """One kind of file: the names that identify it, and how its content becomes rows."""

    name: str
    marks: frozenset[str]
    provenance: str
    rows: Callable[[Any], Sequence[CaseRow]]


def import_file(path: Path, folder: Path, known: Known = Known()) -> Path:
    """Write the record of one file at `folder`; returns it. A measured row that names no model or no chip is flagged.

    Raises:
        BenchUsageError: not a format we know, a file that cannot be read, a chip that is none, or one that contradicts
            the file.
    """
    known = _resolved(known)
    content, marks = _read(path)
    kind = next((known_format for known_format in FORMATS if known_format.marks <= marks), None)
    if kind is None:
        raise BenchUsageError(f"{path}: not a format we import; known: {', '.join(each.name for each in FORMATS)}")
    try:
        rows = [_complete(row, kind.provenance, known, path) for row in kind.rows(content)]
        return write_bench(folder, _info(path, folder, kind, rows), rows)
    except BenchUsageError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise BenchUsageError(f"{path}: looks like {kind.name}, but cannot be read ({error!r})") from None


def _resolved(known: Known) -> Known:
    """With the chip under its one name; an instance type names it too."""
    chip = resolve_chip(known.chip) if known.chip else None
    of_instance = chip_name(known.instance_type) if known.instance_type else None
    if chip and of_instance and chip != of_instance:
        raise BenchUsageError(
            f"chip {chip} and instance type {known.instance_type} ({of_instance}) contradict each other"
        )
    return replace(known, chip=chip or of_instance)


def _info(path: Path, folder: Path, kind: Format, rows: Sequence[CaseRow]) -> dict[str, Any]:
    return {
        "bench_id": folder.name,
        "state": "finished",
        "imported_from": path.name,
        "format": kind.name,
        "imported_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "flagged": sum(bool(row.flags) for row in rows),
    }


def _complete(row: CaseRow, provenance: str, known: Known, path: Path) -> CaseRow:
    """The row with what the user knows. Examples of a schema have invented values: marked, whatever the format.

    Raises:
        BenchUsageError: the user's word contradicts the row's own.
    """
    full = replace(row, **{name: value for name, value in asdict(known).items() if getattr(row, name) is None})
    if known.chip is not None and full.chip != known.chip:
        raise BenchUsageError(
            f"{path}: {row.record_id} was measured on {full.chip}; --chip {known.chip} contradicts it"
        )
    if full.chip is not None and full.device_kind is None:
        full = replace(full, device_kind=device_of(full.chip))
    elif full.chip is not None and full.device_kind != device_of(full.chip):
        raise BenchUsageError(
            f"{path}: {row.record_id} was measured on {full.device_kind}; it is not recorded as {full.chip}"
        )
    if ".example." in path.name or any("schema-example" in str(value) for value in asdict(full).values()):
        provenance = "schema_example"
    nameless = provenance == "measured" and (full.model_id is None or full.chip is None)
    flags = [flag for flag in (full.flags, "model_or_chip_not_stated" if nameless else "") if flag]
    return replace(full, provenance=provenance, flags=";".join(flags))


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


FORMATS = (
    Format(
        "load curves (neuron_load_curves.csv)",
        frozenset({"load_mode", "inter_token_latency_mean_ms", "littles_law_concurrency"}),
        "published",
        load_curves.load_curve_rows,
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
