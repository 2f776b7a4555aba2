"""Files of others become bench records: recognised by their columns or keys, checked row by row, never repaired.

A row that fails a check is kept with its flags and not used by plans or fits.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from host.files import read_text
from host.json_text import BYTES_MAX
from neuron_bench.device.chips import chip_name, device_of, resolve_chip
from neuron_bench.errors import BenchUsageError
from neuron_bench.importers import load_curves, load_tables, load_tools, reports, tables
from neuron_bench.record import CaseRow, write_bench

_RULE = re.compile(r"^\s*\|?\s*:?-{3,}:?\s*\|[\s:|-]*$")
"""The line below the columns of a Markdown table."""


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
    marks: frozenset[str] | Callable[[set[str]], bool]
    provenance: str
    rows: Callable[[Any], Sequence[CaseRow]]

    def fits(self, names: set[str]) -> bool:
        """Whether a file that carries these names is of this kind."""
        return self.marks(names) if callable(self.marks) else self.marks <= names


def import_file(path: Path, folder: Path, known: Known = Known()) -> Path:
    """Write the record of one file at `folder`; returns it. A measured row that names no model or no chip is flagged.

    Raises:
        BenchUsageError: not a format we know, a file that cannot be read, a chip that is none, or one that contradicts
            the file.
    """
    known = _resolved(known)
    content, marks = _read(path)
    kind = next((known_format for known_format in FORMATS if known_format.fits(marks)), None)
    if kind is None and load_tables.is_table_of_points(_names(lifted := _lifted(content))):
        content, kind = lifted, next(each for each in FORMATS if each.rows is load_tables.point_rows)
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


def _info(path: Path, folder: Path, kind: Format, rows: Sequence[CaseRow]) -> dict[str, object]:
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


def _read(path: Path) -> tuple[object, set[str]]:
    """Content of a table (list of rows), JSON, lines of JSON or YAML, and the names it carries.

    What a file is goes by its content: an ending only says where to begin.
    """
    text = read_text(path, BYTES_MAX, error=BenchUsageError)
    try:
        content = _parsed(text, path.suffix.lower())
    except RecursionError:
        raise BenchUsageError(f"{path}: nested too deeply to be read") from None
    except (ValueError, csv.Error, yaml.YAMLError) as error:
        raise BenchUsageError(f"{path}: cannot be read ({error})") from None
    return content, _names(content)


def _parsed(text: str, ending: str) -> object:
    start = text.lstrip()[:1]
    if start in ("{", "["):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            lines = [line for line in text.splitlines() if line.strip()]
            if len(lines) < 2 or start != "{":
                raise
            return [json.loads(line) for line in lines]
    if ending in (".yaml", ".yml"):
        return yaml.safe_load(text)
    if any(_RULE.match(line) for line in text.splitlines()):
        return _markdown_table(text)
    return list(csv.DictReader(text.splitlines()))


def _markdown_table(text: str) -> list[dict[str, str]]:
    """Rows of the first table of a Markdown page: the line above the ruled one has its columns."""
    lines = text.splitlines()
    ruled = next(number for number, line in enumerate(lines) if _RULE.match(line))
    names = _cells(lines[ruled - 1]) if ruled else []
    rows = itertools.takewhile(lambda line: line.strip().startswith("|"), lines[ruled + 1 :])
    return [dict(zip(names, _cells(line), strict=False)) for line in rows]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _lifted(content: object) -> object:
    """A list of objects of which each holds objects (`config` and `summary`, say): their fields beside its own."""
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        return content
    return [_flat(each) for each in content]


def _flat(fields: dict[str, object]) -> dict[str, object]:
    inner = {name: value for part in fields.values() if isinstance(part, dict) for name, value in part.items()}
    return inner | {name: value for name, value in fields.items() if not isinstance(value, dict)}


def _names(content: object) -> set[str]:
    """Keys of an object, columns of a table, keys of the first of a list of objects."""
    if isinstance(content, list):
        content = content[0] if content else None
    return {str(name) for name in content} if isinstance(content, dict) else set()


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
        "AIPerf or genai-perf (profile_export*.json)",
        frozenset({"request_throughput", "request_latency", "input_config"}),
        "measured",
        load_tools.aiperf_rows,
    ),
    Format(
        "AIPerf request by request (profile_export.jsonl)",
        frozenset({"metadata", "metrics"}),
        "measured",
        lambda content: load_tools.aiperf_record_rows(content if isinstance(content, list) else [content]),
    ),
    Format("GuideLLM (benchmarks.json)", frozenset({"benchmarks"}), "measured", load_tools.guidellm_rows),
    Format(
        "inference-perf (summary or stage _lifecycle_metrics.json)",
        frozenset({"load_summary", "successes", "failures"}),
        "measured",
        load_tools.inference_perf_rows,
    ),
    Format(
        "llm-d benchmark report 0.2 (JSON or YAML)",
        frozenset({"version", "scenario", "results"}),
        "measured",
        load_tools.llmd_rows,
    ),
    Format(
        "InferenceX result (agg_*.json)",
        lambda names: {"isl", "osl", "conc"} <= names and bool({"metrics", "tput_per_gpu"} & names),
        "measured",
        load_tables.inferencex_rows,
    ),
    Format(
        "vllm bench serve --save-result (JSON)",
        frozenset({"model_id", "completed", "request_throughput", "output_throughput"}),
        "measured",
        reports.vllm_reports,
    ),
    Format(
        "load points (CSV: lengths, load, TTFT and TPOT, such as aiconfigurator's silicon_sample.csv)",
        load_tables.is_table_of_points,
        "published",
        load_tables.point_rows,
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
