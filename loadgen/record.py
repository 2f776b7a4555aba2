"""RunRecord: the folder `runs/ID/` that a load run leaves behind. Owned by loadgen; every later stage reads it.

A folder holds `run.json`, Parquet chunks (`turns-W-NNNN.parquet`, `calls-…`, `tools-…`, `events-…`, one series per
worker W), `generator.parquet`, `histograms.json` and, when the target was scraped, `server.parquet`. Chunks are
written while the run goes on, aside and renamed, so a killed run keeps what it had. The page is docs/run-record.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from host.json_text import read_json_object
from loadgen.run_info import SCHEMA, RecordError, RunInfo
from loadgen.tables import REPEATED, TABLES

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Run:
    """One loaded record: `run.json`, and its tables as pandas frames (empty, never missing)."""

    path: Path
    info: RunInfo
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


def read_document(path: Path) -> dict[str, object]:
    """`run.json` as it stands, for those who print it or add to it; else see `read_info`.

    Raises:
        RecordError: no record there, damaged, or of another schema version.
    """
    file = path / "run.json"
    if not file.is_file():
        raise RecordError(f"{path}: no run.json, so no run record; name a folder that `peakday run` wrote")
    document = read_json_object(file, error=RecordError)
    if document.get("schema") != SCHEMA:
        raise RecordError(f"{file}: schema is {document.get('schema')!r}, this peakday reads {SCHEMA!r}")
    return document


def read_info(path: Path) -> RunInfo:
    """The checked content of `run.json`; keys of a later version are left out.

    Raises:
        RecordError: no record there, damaged, of another schema version, or a field of another shape.
    """
    return parse_info(read_document(path), path / "run.json")


def parse_info(document: Mapping[str, object], where: Path | str = "run.json") -> RunInfo:
    """The content of a run.json as `RunInfo`.

    Raises:
        RecordError: a field of another shape.
    """
    try:
        return _decoder().validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        field_name = ".".join(map(str, first["loc"]))
        raise RecordError(f"{where}: damaged ({field_name}: {first['msg']}); the run must be repeated") from None


@cache
def _decoder() -> TypeAdapter[RunInfo]:
    return TypeAdapter(RunInfo)


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
    frames = {name: read_rows(table_files(path, name), name, wanted.get(name), compact=compact) for name in TABLES}
    return Run(path=path, info=info, **frames)


def table_files(folder: Path, table: str) -> list[Path]:
    """The Parquet files of one table of a record, in order."""
    return sorted([*folder.glob(f"{table}-*.parquet"), *folder.glob(f"{table}.parquet")])


def read_rows(
    files: Iterable[Path], table: str, columns: Collection[str] | None = None, *, compact: bool = False
) -> pd.DataFrame:
    """The rows of some files of one table; `columns` and `compact` as of `load_run`.

    Raises:
        RecordError: a damaged file.
    """
    whole = read_arrow(files, table, columns, compact=compact)
    frame: pd.DataFrame = whole.to_pandas(split_blocks=True, self_destruct=True)
    return frame


def arrow_schema(table: str) -> pa.Schema:
    """The Arrow schema of one table of the record."""
    types = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    return pa.schema([(name, types[kind]) for name, kind in TABLES[table].items()])


def read_arrow(
    files: Iterable[Path], table: str, columns: Collection[str] | None = None, *, compact: bool = False
) -> pa.Table:
    """As `read_rows`, in Arrow."""
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
    return pa.concat_tables(parts) if parts else schema.empty_table()
