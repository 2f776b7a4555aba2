"""RunRecord: the folder `runs/ID/` that a load run leaves behind. Owned by loadgen; every later stage reads it.

A folder holds `run.json`, Parquet chunks (`turns-W-NNNN.parquet`, `calls-…`, `tools-…`, `events-…`, one series per
worker W), `generator.parquet`, `histograms.json` and, when the target was scraped, `server.parquet`. Chunks are
written while the run goes on, aside and renamed, so a killed run keeps what it had. The page is docs/run-record.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host.errors import PeakdayError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SCHEMA = "peakday.run/1"

TURN_STATUSES = ("ok", "http_error", "stream_error", "throttled", "timeout", "abandoned", "censored", "dropped")
WAITED_STATUSES = ("timeout", "abandoned", "censored")
"""Turns that ended while waiting: right-censored in latency quantiles, as are errors after a wait."""
ERROR_STATUSES = ("http_error", "stream_error", "throttled", "timeout", "dropped")
"""Turns that the target failed, those over the in-flight cap with them: they make `error_ratio`, wherever it is told.
A customer who left is in `abandoned_ratio`; a turn that the run's end cut off is unknown."""
ERROR_WAIT_MIN_S = 1.0
"""An error that came sooner, before any content, made nobody wait: it has no latency. A choice of ours."""
WAITED_COLUMN = {
    "ttft_s": "e2e_s",
    "e2e_s": "e2e_s",
    "ttft_from_send_s": "e2e_from_send_s",
    "e2e_from_send_s": "e2e_from_send_s",
}
"""Latency -> the column that holds how long a turn waited that was not answered; null where it did not wait."""

TURN_KEY = ("session_id", "interaction_id", "turn_index")

# Column -> type. "str", "int", "float", "bool"; every column may be null, and null means unknown, never zero.
TURNS: dict[str, str] = {
    "customer_id": "str",  # salted hash
    "session_id": "str",
    "interaction_id": "str",
    "turn_index": "int",
    "trace_id": "str",
    "intent": "str",
    "complexity": "str",
    "region": "str",
    "route": "str",
    "route_s": "float",
    "prefetch_s": "float",
    "guard_action": "str",
    "escalated": "bool",
    "intended_start_s": "float",  # from t0, the start of the window
    "start_lag_s": "float",
    "ttfb_s": "float",
    "ttft_s": "float",
    "e2e_s": "float",
    "ttft_from_send_s": "float",
    "e2e_from_send_s": "float",
    "tpot_s": "float",
    "gap_s_max": "float",
    "chunks": "int",
    "output_tokens": "int",
    "status": "str",
    "error_code": "str",
    "cost_usd": "float",
}
CALLS: dict[str, str] = {
    "session_id": "str",
    "interaction_id": "str",
    "turn_index": "int",
    "call_index": "int",
    "start_s": "float",
    "timed_by": "str",  # loadgen, assistant
    "status": "str",
    "purpose": "str",  # route, answer, tool_round, grounding, judge
    "model": "str",
    "supply": "str",  # bedrock, self_hosted
    "endpoint": "str",
    "region": "str",
    "max_tokens": "int",
    "prefix_hash": "str",
    "prefix_shared_tokens": "int",
    "prefix_customer_tokens": "int",
    "input_tokens": "int",  # uncached
    "cache_read_tokens": "int",
    "cache_write_tokens_5m": "int",
    "cache_write_tokens_1h": "int",
    "output_tokens": "int",
    "ttft_s": "float",
    "tpot_s": "float",
    "e2e_s": "float",
    "attempts": "int",
    "error_code": "str",
    "tier_requested": "str",
    "tier_resolved": "str",
    "latency_mode": "str",
    "stop_reason": "str",
    "cost_usd": "float",
}
TOOLS: dict[str, str] = {
    "session_id": "str",
    "interaction_id": "str",
    "turn_index": "int",
    "tool": "str",
    "start_s": "float",
    "duration_s": "float",
    "status": "str",
}
EVENTS: dict[str, str] = {
    "stream": "str",
    "due_s": "float",
    "sent_s": "float",
    "end_s": "float",
    "status": "str",
    "delay_s": "float",
}
GENERATOR: dict[str, str] = {
    "worker": "int",
    "second": "int",
    "asked": "int",
    "sent": "int",
    "completed": "int",
    "in_flight": "int",
    "dispatch_lag_s_max": "float",
    "heartbeat_late_s_max": "float",
    "cpu_ratio": "float",
}
TEXTS: dict[str, str] = {  # only with --keep-text
    "session_id": "str",
    "interaction_id": "str",
    "turn_index": "int",
    "question": "str",
    "answer": "str",
}
SERVER: dict[str, str] = {"second": "float", "target": "str", "metric": "str", "labels": "str", "value": "float"}
TABLES: dict[str, dict[str, str]] = {
    "turns": TURNS,
    "calls": CALLS,
    "tools": TOOLS,
    "events": EVENTS,
    "generator": GENERATOR,
    "server": SERVER,
    "texts": TEXTS,
}


class RecordError(PeakdayError, ValueError):
    """A record that is missing, damaged, unfinished or of another version; the message says which and the remedy."""


@dataclass(frozen=True)
class Verdict:
    """Whether the generator vouches for the run. `valid` false means exit code 3; reasons name cause and remedy."""

    valid: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quantile:
    """An order statistic with its interval. n_tail counts samples at or above it; censored: print `>= value`."""

    value: float | None
    lo: float | None
    hi: float | None
    n: int
    n_tail: int
    censored: bool = False


@dataclass(frozen=True)
class Run:
    """One loaded record: the facts of `run.json` as a dict, and its tables as pandas frames (empty, never missing)."""

    path: Path
    info: dict[str, Any]
    turns: pd.DataFrame
    calls: pd.DataFrame
    tools: pd.DataFrame
    events: pd.DataFrame
    generator: pd.DataFrame
    server: pd.DataFrame
    texts: pd.DataFrame | None = None

    @property
    def run_id(self) -> str:
        """The folder's name."""
        return self.path.name


def arrow_schema(table: str) -> pa.Schema:
    """The Arrow schema of one table of the record."""
    import pyarrow as pa

    types = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    return pa.schema([(name, types[kind]) for name, kind in TABLES[table].items()])


def write_chunk(folder: Path, name: str, table: str, columns: Mapping[str, Iterable[Any]]) -> Path:
    """Write one Parquet file aside, then rename it: a reader never sees half a file.

    Args:
        folder: the record's folder.
        name: file name, such as `turns-0-0003.parquet`.
        table: a key of `TABLES`; every column of it must be in `columns`, none other.
        columns: equally long sequences.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    unknown = set(columns) ^ set(TABLES[table])
    if unknown:
        raise RecordError(f"{name}: columns {sorted(unknown)} do not match the schema of {table!r}")
    batch = pa.table({key: columns[key] for key in TABLES[table]}, schema=arrow_schema(table))
    path = folder / name
    aside = folder / f".{name}.part"
    pq.write_table(batch, aside, compression="zstd")
    os.replace(aside, path)
    return path


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON aside, then rename it. NaN is refused: unknown is null."""
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")
    os.replace(aside, path)


def read_info(path: Path) -> dict[str, Any]:
    """The checked content of `run.json`; raises `RecordError` with what is wrong and how to mend it."""
    file = path / "run.json"
    try:
        info = json.loads(file.read_text())
    except FileNotFoundError:
        raise RecordError(f"{path}: no run.json, so no run record; name a folder that `peakday run` wrote") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"{file}: damaged ({error}); the run must be repeated") from None
    if not isinstance(info, dict) or info.get("schema") != SCHEMA:
        found = info.get("schema") if isinstance(info, dict) else type(info).__name__
        raise RecordError(f"{file}: schema is {found!r}, this peakday reads {SCHEMA!r}")
    return info


REPEATED = frozenset(
    {"intent", "complexity", "region", "route", "guard_action", "status", "error_code", "purpose", "model", "tool"}
)
"""Text columns of few distinct values; a compact frame holds each value once."""


def load_run(path: Path | str, columns: Mapping[str, Collection[str]] | None = None, *, compact: bool = False) -> Run:
    """Read a record into pandas frames. A run that was cut off loads too: its `state` is still `running`.

    Args:
        path: the record's folder.
        columns: of each table named here only these are read; a large record then needs a fraction of the memory.
        compact: columns of `REPEATED` become categories; a third less memory, where the reader can live with them.
    Raises:
        RecordError: no record there, or damaged, or of another schema version.
    """
    path = Path(path)
    info = read_info(path)
    wanted = columns or {}
    frames = {name: _frame(path, name, wanted.get(name), compact) for name in TABLES}
    return Run(path=path, info=info, **frames)


def _frame(path: Path, table: str, columns: Collection[str] | None, compact: bool) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted([*path.glob(f"{table}-*.parquet"), *path.glob(f"{table}.parquet")])
    schema = arrow_schema(table)
    if columns is not None:
        schema = pa.schema([field for field in schema if field.name in columns])
    few = [name for name in schema.names if compact and name in REPEATED]
    schema = pa.schema(
        [pa.field(f.name, pa.dictionary(pa.int32(), f.type) if f.name in few else f.type) for f in schema]
    )
    parts = []
    for file in files:
        try:
            parts.append(pq.read_table(file, schema=schema, columns=schema.names, read_dictionary=few))
        except (pa.ArrowInvalid, OSError) as error:
            raise RecordError(f"{file}: damaged ({error}); remove it to read the rest of the run") from None
    whole = pa.concat_tables(parts) if parts else schema.empty_table()
    del parts
    frame: pd.DataFrame = whole.to_pandas(split_blocks=True, self_destruct=True)
    return frame
