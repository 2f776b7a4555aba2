"""BenchRecord: the folder `benches/ID/` with `bench.json` and `cases.parquet`, one row per case.

Owned by neuron_bench; capacity and dashboards read it. Seconds inside; importers convert. Unknown is null, never 0.
The page is docs/bench-record.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host.atomic import folder_aside
from neuron_bench.errors import BenchError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "peakday.bench/1"

PROVENANCES = ("measured", "published", "derived", "simulated", "schema_example")
"""Strongest first. `schema_example` has invented values for parser tests: capacity refuses it outright."""

_WALL = {f"wall_s_{q}": "float" for q in ("min", "p50", "p90", "p95", "p99", "mean")}
_TTFT = {f"ttft_s_{q}": "float" for q in ("p50", "p90", "p99", "mean")}
_TPOT = {f"tpot_s_{q}": "float" for q in ("p50", "p90", "p99", "mean")}

CASES: dict[str, str] = {
    "record_id": "str",
    "provenance": "str",
    "source_url": "str",
    "created_utc": "str",
    "label": "str",  # what was run, in the source's own words
    "device_kind": "str",  # neuron, cuda, cpu
    "method": "str",  # trace, endpoint
    "chip": "str",
    "instance_type": "str",
    "chips_used": "float",
    "cores_used": "int",
    "lnc": "int",
    "versions": "str",  # JSON object
    "compiler_args": "str",
    "artifact_key": "str",
    "model_id": "str",
    "params": "int",
    "dtypes": "str",
    "weights_random": "bool",
    "tp": "int",
    "replicas": "int",  # data-parallel copies behind one measurement
    "phase": "str",  # prefill, decode, encode, serve, compile, load
    "batch": "int",
    "input_tokens": "float",
    "context_tokens": "float",
    "output_tokens": "float",
    "bucket_tokens": "int",
    "bucket_seqs": "int",
    "cached_tokens": "float",
    "concurrency": "float",
    "n_warmup": "int",
    "n_samples": "int",
    "duration_s": "float",
    **_WALL,
    "cpu_s_p50": "float",
    "wall_s_p50_lo": "float",
    "wall_s_p50_hi": "float",
    **_TTFT,
    **_TPOT,
    "requests_per_s": "float",
    "output_tokens_per_s": "float",
    "compile_s": "float",
    "load_s": "float",
    "device_mem_bytes": "int",
    "work": "str",  # JSON object of one step, from its shapes: flops, bytes, kv_bytes
    "mfu_ratio": "float",
    "mbu_ratio": "float",
    "errors": "str",
    "load1": "float",
    "wall_over_cpu_ratio": "float",
    "cv_ratio": "float",
    "drift_ratio": "float",
    "contended": "bool",
    "flags": "str",  # ; separated: a flagged row is kept and not used
}


class BenchRecordError(BenchError):
    """A bench record that is missing, damaged or of another version; the message says which and the remedy."""


@dataclass(frozen=True)
class Bench:
    """One loaded record."""

    path: Path
    info: dict[str, Any]
    cases: pd.DataFrame

    @property
    def bench_id(self) -> str:
        """The folder's name."""
        return self.path.name


def write_bench(
    folder: Path,
    info: Mapping[str, Any],
    cases: Sequence[Mapping[str, Any]],
    *,
    samples: Sequence[Mapping[str, Any]] = (),
    telemetry: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write a record; absent columns are null. The folder appears complete or not at all.

    samples: raw timings (record_id, turn, wall_s ...), kept in samples.parquet where there are any; telemetry: what the
    machine did meanwhile (t_s, source, name, value), kept in telemetry.parquet likewise.

    Raises:
        BenchRecordError: a case has a column the schema does not know, or a value of another type.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    for case in cases:
        unknown = sorted(set(case) - set(CASES))
        if unknown:
            raise BenchRecordError(f"{folder}: unknown columns {unknown}")
    types = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    schema = pa.schema([(name, types[kind]) for name, kind in CASES.items()])
    try:
        table = pa.table({name: [case.get(name) for case in cases] for name in CASES}, schema=schema)
        head = json.dumps({"schema": SCHEMA, **info}, indent=1, allow_nan=False) + "\n"
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise BenchRecordError(f"{folder}: a value does not fit its column ({error})") from None
    if folder.exists():
        raise BenchRecordError(f"{folder}: is there already; choose another --out or remove it")
    with folder_aside(folder) as aside:
        pq.write_table(table, aside / "cases.parquet", compression="zstd")
        for name, long in (("samples", samples), ("telemetry", telemetry)):
            if long:
                pq.write_table(pa.Table.from_pylist([dict(row) for row in long]), aside / f"{name}.parquet")
        (aside / "bench.json").write_text(head)
    return folder


def load_bench(path: Path | str) -> Bench:
    """Read a record; raises `BenchRecordError` with what is wrong and how to mend it."""
    import pandas as pd

    path = Path(path)
    try:
        info = json.loads((path / "bench.json").read_text())
        cases = pd.read_parquet(path / "cases.parquet")
    except FileNotFoundError as error:
        raise BenchRecordError(f"{path}: no bench record ({error.filename} is missing)") from None
    except (json.JSONDecodeError, OSError) as error:
        raise BenchRecordError(f"{path}: damaged ({error}); run the bench again") from None
    if info.get("schema") != SCHEMA:
        raise BenchRecordError(f"{path}: schema is {info.get('schema')!r}, this peakday reads {SCHEMA!r}")
    return Bench(path=path, info=info, cases=cases)
