"""BenchRecord: the folder `benches/ID/` with `bench.json` and `cases.parquet`, one row per case.

Owned by neuron_bench; capacity and dashboards read it. Seconds inside; importers convert. Unknown is null, never 0.
The page is docs/bench-record.md.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from host.atomic import folder_aside
from host.json_text import read_json_object
from host.json_values import mapping
from neuron_bench.device.telemetry import Reading
from neuron_bench.errors import BenchError

SCHEMA = "peakday.bench/1"

PROVENANCES = ("measured", "published", "derived", "simulated", "schema_example")
"""Strongest first. `schema_example` has invented values for parser tests: capacity refuses it outright."""

NOTES_ONLY = frozenset({"quick", "contended", "few_samples"})
"""Flags that say how well a case was measured. A fit takes such a row and says so; any other flag bars it."""


@dataclass(frozen=True, kw_only=True)
class CaseRow:
    """One row of cases.parquet: the columns, their types, and null for what is unknown."""

    record_id: str
    provenance: str | None = None
    source_url: str | None = None
    created_utc: str | None = None
    label: str | None = None  # what was run, in the source's own words
    device_kind: str | None = None  # neuron, cuda, cpu
    method: str | None = None  # trace, endpoint
    chip: str | None = None
    instance_type: str | None = None
    chips_used: float | None = None
    cores_used: int | None = None
    lnc: int | None = None
    versions: str | None = None  # JSON object
    compiler_args: str | None = None
    artifact_key: str | None = None
    model_id: str | None = None
    params: int | None = None
    dtypes: str | None = None
    weights_random: bool | None = None
    tp: int | None = None
    replicas: int | None = None  # data-parallel copies behind one measurement
    phase: str | None = None  # prefill, decode, encode, serve, compile, load
    batch: int | None = None
    input_tokens: float | None = None
    context_tokens: float | None = None
    output_tokens: float | None = None
    bucket_tokens: int | None = None
    bucket_seqs: int | None = None
    cached_tokens: float | None = None
    concurrency: float | None = None
    arrival_rate_per_s: float | None = None  # of an open load: requests sent in a second, whatever came back
    n_warmup: int | None = None
    n_samples: int | None = None
    duration_s: float | None = None
    wall_s_min: float | None = None
    wall_s_p50: float | None = None
    wall_s_p90: float | None = None
    wall_s_p95: float | None = None
    wall_s_p99: float | None = None
    wall_s_mean: float | None = None
    cpu_s_p50: float | None = None
    wall_s_p50_lo: float | None = None
    wall_s_p50_hi: float | None = None
    ttft_s_p50: float | None = None
    ttft_s_p90: float | None = None
    ttft_s_p99: float | None = None
    ttft_s_mean: float | None = None
    tpot_s_p50: float | None = None
    tpot_s_p90: float | None = None
    tpot_s_p99: float | None = None
    tpot_s_mean: float | None = None
    requests_per_s: float | None = None
    output_tokens_per_s: float | None = None
    compile_s: float | None = None
    load_s: float | None = None
    device_mem_bytes: int | None = None
    work: str | None = None  # JSON object of one step, from its shapes: flops, bytes, kv_bytes
    mfu_ratio: float | None = None
    mbu_ratio: float | None = None
    joules_per_output_token: float | None = None  # of the machine's counters (RAPL, NVML), whole bursts
    output_tokens_per_s_per_watt: float | None = None
    errors: str | None = None
    load1: float | None = None
    wall_over_cpu_ratio: float | None = None
    cv_ratio: float | None = None
    drift_ratio: float | None = None
    contended: bool | None = None
    flags: str | None = None  # ; separated: a flagged row is kept and not used

    def with_columns(self, columns: Mapping[str, Any]) -> CaseRow:
        """The row with more of its columns, by name; writing the record checks their types."""
        return replace(self, **columns)

    @property
    def flag_names(self) -> frozenset[str]:
        """Its flags, apart."""
        return frozenset(name for name in (self.flags or "").split(";") if name)

    @property
    def barred(self) -> bool:
        """Whether a flag says that the row must not feed a fit or a rate."""
        return bool(self.flag_names - NOTES_ONLY)


CASES: dict[str, str] = {field.name: str(field.type).removesuffix(" | None") for field in fields(CaseRow)}
"""Columns of cases.parquet in order, each with its kind: str, int, float, bool."""

_CONVERT = {"str": str, "int": int, "float": float, "bool": bool}


class BenchRecordError(BenchError):
    """A bench record that is missing, damaged or of another version; the message says which and the remedy."""


@dataclass(frozen=True)
class Bench:
    """One loaded record."""

    path: Path
    info: dict[str, object]
    cases: pd.DataFrame

    @property
    def bench_id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def state(self) -> str:
        """finished, unfinished (a case ran out of time or failed), interrupted."""
        return str(self.info.get("state", "finished"))

    @property
    def unfinished(self) -> dict[str, str]:
        """Cases that were asked for and are not in the record, each with the reason."""
        missing = {**mapping(self.info.get("unfinished")), **mapping(self.info.get("skipped"))}
        return {str(label): str(reason) for label, reason in missing.items()}

    @property
    def engine_version(self) -> str | None:
        """What the server or library said of itself."""
        version = self.info.get("engine_version")
        return None if version is None else str(version)

    @cached_property
    def rows(self) -> tuple[CaseRow, ...]:
        """Every case as a value; a column that the record lacks is unknown."""
        return tuple(_case_row(record) for record in self.cases.to_dict("records"))


def _case_row(record: Mapping[Hashable, Any]) -> CaseRow:
    known = {
        name: _CONVERT[kind](record[name])
        for name, kind in CASES.items()
        if name in record and not pd.isna(record[name])
    }
    return CaseRow(**{"record_id": "?", **known})


def write_bench(
    folder: Path,
    info: Mapping[str, object],
    cases: Iterable[CaseRow],
    *,
    samples: Sequence[Mapping[str, object]] = (),
    telemetry: Sequence[Reading] = (),
) -> Path:
    """Write a record; absent columns are null. The folder appears complete or not at all.

    samples: raw timings (record_id, turn, wall_s ...), kept in samples.parquet where there are any; telemetry: what the
    machine did meanwhile (t_s, source, name, value), kept in telemetry.parquet likewise.

    Raises:
        BenchRecordError: a value of another type than its column, or a folder that is there already.
    """
    types = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    schema = pa.schema([(name, types[kind]) for name, kind in CASES.items()])
    try:
        table = pa.Table.from_pylist([asdict(case) for case in cases], schema=schema)
        head = json.dumps({"schema": SCHEMA, **info}, indent=1, allow_nan=False) + "\n"
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise BenchRecordError(f"{folder}: a value does not fit its column ({error})") from None
    if folder.exists():
        raise BenchRecordError(f"{folder}: is there already; choose another --out or remove it")
    with folder_aside(folder) as aside:
        pq.write_table(table, aside / "cases.parquet", compression="zstd")
        for name, long in (("samples", [dict(row) for row in samples]), ("telemetry", [asdict(r) for r in telemetry])):
            if long:
                pq.write_table(pa.Table.from_pylist(long), aside / f"{name}.parquet")
        (aside / "bench.json").write_text(head)
    return folder


def load_bench(path: Path | str) -> Bench:
    """Read a record; raises `BenchRecordError` with what is wrong and how to fix it."""
    path = Path(path)
    for name in ("bench.json", "cases.parquet"):
        if not (path / name).is_file():
            raise BenchRecordError(f"{path}: no bench record ({name} is missing)")
    info = read_json_object(path / "bench.json", error=BenchRecordError)
    try:
        cases = pd.read_parquet(path / "cases.parquet")
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise BenchRecordError(f"{path}: damaged ({error}); run the bench again") from None
    if info.get("schema") != SCHEMA:
        raise BenchRecordError(f"{path}: schema is {info.get('schema')!r}, this peakday reads {SCHEMA!r}")
    return Bench(path=path, info=info, cases=cases)
