"""RunRecord: the folder `runs/ID/` that a load run leaves behind. Owned by loadgen; every later stage reads it.

A folder holds `run.json`, Parquet chunks (`turns-W-NNNN.parquet`, `calls-…`, `tools-…`, `events-…`, one series per
worker W), `generator.parquet`, `histograms.json` and, when the target was scraped, `server.parquet`. Chunks are
written while the run goes on, aside and renamed, so a killed run keeps what it had. The page is docs/run-record.md.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host.atomic import write_text, written_aside
from host.errors import PeakdayError
from host.json_text import read_json_object
from loadgen.tables import REPEATED, TABLES, arrow_schema

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pydantic import TypeAdapter

SCHEMA = "peakday.run/1"
RUNNING = "running"
FINISHED = "finished"


class RecordError(PeakdayError, ValueError):
    """A record that is missing, damaged, unfinished or of another version; the message says which and the remedy."""

    page = "run-record"


# --- run.json ---------------------------------------------------------------------------------------------------------
# Fields stand in the order of the file. Any may be absent from an older or unfinished record, and then is None.


@dataclass(frozen=True)
class ScenarioRef:
    """The scenario of a run: its name, its hash, and the scenario itself as it was resolved."""

    name: str | None = None
    hash: str | None = None
    resolved: Mapping[str, Any] = field(default_factory=dict)

    @property
    def slo(self) -> Mapping[str, float | None]:
        """Its `slo` block."""
        slo: Mapping[str, float | None] = self.resolved.get("slo") or {}
        return slo


@dataclass(frozen=True)
class TargetRef:
    """Where turns went; never a header, nor a query."""

    kind: str
    url: str
    region: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class WorkerClock:
    """A load worker: its process, and its monotonic clock against the master's, give or take the half-width.

    `scheduling`: `real time` where the system let it run before its neighbours, else `ordinary`.
    """

    pid: int | None = None
    host: str | None = None
    clock_offset_s: float | None = None
    clock_half_width_s: float | None = None
    scheduling: str | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether the generator's own measurements are valid. If not, the exit code is 3; reasons name cause and remedy."""

    valid: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quantile:
    """An order statistic with its interval. n_tail counts samples at or above it; censored: print `>= value`."""

    value: float | None
    lo: float | None = None
    hi: float | None = None
    n: int = 0
    n_tail: int = 0
    censored: bool = False


@dataclass(frozen=True)
class BatchMean:
    """Mean of a quantile over batches of equal time, with its 95% interval."""

    value: float
    lo: float
    hi: float
    batches: int


@dataclass(frozen=True)
class Trend:
    """Mann and Kendall's two-sided p of a trend, and how far the figure moved over the window as a share of it."""

    p: float
    change_ratio: float
    moves: bool


@dataclass(frozen=True)
class SteadyState:
    """Whether latency and the turns in flight kept a level; `steady` None: not tested, or not expected."""

    steady: bool | None
    sentence: str
    trends: Mapping[str, Trend] = field(default_factory=dict)


@dataclass(frozen=True)
class LittlesLaw:
    """Turns in flight as counted, against arrival rate times time in flight."""

    in_flight_mean: float
    rate_per_s: float
    rate_times_time: float
    holds: bool
    sentence: str


@dataclass(frozen=True)
class FaultSpan:
    """An injected fault that struck, on the run's clock. `model` and `region` None: all."""

    kind: str
    model: str | None
    region: str | None
    ratio: float
    start_s: float
    end_s: float


@dataclass(frozen=True)
class FirstTurn:
    """The very first turn, which may meet a cold target; it is in no quantile."""

    ttft_s: float | None
    e2e_s: float | None
    status: str | None = None


@dataclass(frozen=True)
class Crossing:
    """A limit that the run exceeded: when first, and at which rate of turns."""

    what: str
    at_s: float
    value: float
    limit: float
    sentence: str
    rate_per_s: float | None = None


@dataclass(frozen=True)
class SloResult:
    """One SLO of the scenario: turns that missed it, the share that may, and what that says (docs/run-record.md).

    `result` is `met`, `missed` or `not enough turns to tell`. `measured` is the run's own quantile; None for a ratio.
    """

    name: str
    limit: float
    result: str
    missed: int
    turns: int
    allowed_ratio: float
    missed_ratio: float | None
    missed_ratio_lo: float
    missed_ratio_hi: float
    measured: Quantile | None = None


@dataclass(frozen=True)
class TurnsPerInteraction:
    """How long conversations were."""

    mean: float
    p50: float
    p95: float


@dataclass(frozen=True)
class CacheHits:
    """Share of input tokens read from cache, of all of them and by prefix level; None without such tokens."""

    all: float | None = None
    shared: float | None = None
    customer: float | None = None
    conversation: float | None = None


@dataclass(frozen=True)
class StreamTotals:
    """A background stream: requests due, those answered, and their delay from the due time, by `p50`…`p99`."""

    asked: int
    completed: int
    delay_s: Mapping[str, Quantile] = field(default_factory=dict)


@dataclass(frozen=True)
class ChatAroundStorm:
    """TTFT of the chat in the minute before and after the first storm of rules, by `p50` and `p95`."""

    storm_at_s: float
    before: Mapping[str, Quantile]
    after: Mapping[str, Quantile]
    change_ratio: Mapping[str, float]


@dataclass(frozen=True)
class AutobuyTotals:
    """Automatic purchases that the run set off. `charges` and doubles are None where no ledger is served."""

    purchases: int
    listed: int | None = None
    waiting: int | None = None
    charges: int | None = None
    double_purchases: int | None = None
    delay_s: Mapping[str, Quantile] = field(default_factory=dict)
    saving_ratio_mean: float | None = None
    rules: Mapping[str, int] = field(default_factory=dict)
    chat_ttft_s: ChatAroundStorm | None = None


@dataclass(frozen=True)
class Totals:
    """Counts, ratios, tokens and dollars of a run. asked = completed + failed + abandoned + censored + dropped."""

    asked: int = 0
    sent: int = 0
    completed: int = 0
    abandoned: int = 0
    censored: int = 0
    dropped: int = 0
    failed: int = 0
    errors: Mapping[str, int] = field(default_factory=dict)
    error_samples: Mapping[str, str] = field(default_factory=dict)  # by code, what was first said with it
    achieved_rate_per_s: float | None = None
    goodput_per_s: float | None = None
    error_ratio: float | None = None
    abandoned_ratio: float | None = None
    turns_per_interaction: TurnsPerInteraction | None = None
    interactions: int | None = None
    sessions: int | None = None
    repeat_customer_ratio: float | None = None
    routes: Mapping[str, float] = field(default_factory=dict)
    calls: int | None = None
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens_5m: int | None = None
    cache_write_tokens_1h: int | None = None
    output_tokens: int | None = None
    cache_hit_token_ratio: CacheHits | None = None
    cost_usd: float | None = None
    cost_usd_per_interaction: float | None = None
    cost_usd_per_turn: float | None = None
    energy_j: Mapping[str, float] | None = None  # by counter, of this machine, from t0 to the last answer
    joules_per_output_token: float | None = None
    output_tokens_per_s_per_watt: float | None = None
    background: Mapping[str, StreamTotals] = field(default_factory=dict)
    autobuy: AutobuyTotals | None = None
    resent: int | None = None  # requests sent once more, whose kept-alive connection was lost before any byte came


@dataclass(frozen=True)
class Share:
    """A share with its 95% interval."""

    value: float | None
    lo: float | None = None
    hi: float | None = None


@dataclass(frozen=True)
class Judged:
    """What a judge model made of sampled turns after the run. Its cost is in no figure of the run."""

    judge: str | None = None
    simulated: bool = True
    turns: int | None = None
    verdicts: int | None = None
    acceptable_ratio: Share | None = None
    cost_usd: float | None = None
    left_out_by_budget: int | None = None


@dataclass(frozen=True)
class ReplayHits:
    """A replayed trace beside what came of it: the exact policies on the prompts sent, and the target's own count.

    `policies` by name, shares of prompt tokens: `infinite` forgets nothing; `lru:TOKENS` holds so many. `measured` is
    the target's cached tokens over its prompt tokens; None where it counts none. Sessions of the window that began
    before it are `began_before`; `sent` of `calls` were sent, since a session ends with a call that fails.
    """

    form: str
    sessions: int
    began_before: int
    calls: int
    sent: int
    policies: Mapping[str, float] = field(default_factory=dict)
    measured: float | None = None
    live_output: bool = False


@dataclass(frozen=True)
class RunInfo:
    """`run.json`: what was run, where, and what came of it. docs/run-record.md says what each field means.

    The head is known before the first turn; everything from `finished_utc` on is None until the run is finished.
    """

    schema: str = SCHEMA
    run_id: str | None = None
    state: str | None = None
    peakday_version: str | None = None
    started_utc: str | None = None
    scenario: ScenarioRef | None = None
    seed: int | None = None
    targets: tuple[TargetRef, ...] | None = None
    window: tuple[float, float] | None = None
    scale: float | None = None
    rate: float | None = None
    arrivals_file: str | None = None
    arrivals_sha256: str | None = None
    open_loop: bool | None = None
    processes: int | None = None
    command: tuple[str, ...] | None = None
    commit: str | None = None
    host: Mapping[str, object] | None = None  # as the system names them: shown, and compared as a whole
    finished_utc: str | None = None
    t0_utc: str | None = None
    interrupted: bool | None = None
    aborted: str | None = None
    clock: Mapping[str, WorkerClock] | None = None
    provenance: Mapping[str, str] | None = None
    asked_s: float | None = None
    verdict: Verdict | None = None
    totals: Totals | None = None
    quantiles: Mapping[str, Mapping[str, Quantile]] | None = None
    batch_means: Mapping[str, Mapping[str, BatchMean | None]] | None = None
    steady_state: SteadyState | None = None
    littles_law: LittlesLaw | None = None
    faults: tuple[FaultSpan, ...] | None = None
    first_turn: FirstTurn | None = None
    slo: tuple[SloResult, ...] | None = None
    what_broke_first: tuple[Crossing, ...] | None = None
    server_deltas: Mapping[str, float] | None = None
    stand_ins: Mapping[str, object] | None = None  # the emulator's own account of its lateness, in its own words
    warnings: tuple[str, ...] | None = None
    skipped: tuple[str, ...] | None = None
    replay: ReplayHits | None = None
    judged: Judged | None = None

    @property
    def finished(self) -> bool:
        """False for a run that was cut off."""
        return self.state == FINISHED

    @property
    def valid(self) -> bool:
        """Whether it is finished and its generator's self-check passed."""
        return self.finished and self.verdict is not None and self.verdict.valid

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not valid; never empty then."""
        if self.valid:
            return ()
        if not self.finished:
            return ("it was cut off",)
        return (self.verdict.reasons if self.verdict else ()) or ("no verdict",)

    @property
    def scenario_name(self) -> str:
        """The scenario's name, or nothing."""
        return (self.scenario.name if self.scenario else None) or ""

    @property
    def simulated(self) -> tuple[str, ...]:
        """Names of the supplies that an emulator played, sorted."""
        return tuple(sorted(name for name, kind in (self.provenance or {}).items() if kind == "simulated"))

    def quantile(self, metric: str, share: str) -> Quantile | None:
        """One quantile, such as `ttft_s` and `p99`; None where the record does not hold it."""
        return ((self.quantiles or {}).get(metric) or {}).get(share)

    def to_json(self) -> dict[str, object]:
        """The content of run.json. An unfinished run has its head alone; what not every run has is left out there."""
        content = asdict(self)
        names = list(content)
        optional = ["slo", "judged"] if self.finished else names[names.index("finished_utc") :]
        return {name: value for name, value in content.items() if name not in optional or value is not None}


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


def write_chunk(folder: Path, name: str, table: str, columns: Mapping[str, Iterable[object]]) -> Path:
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
    with written_aside(path) as aside:
        pq.write_table(batch, aside, compression="zstd")
    return path


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write JSON aside, then rename it. NaN is refused: unknown is null."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


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
    from pydantic import ValidationError

    try:
        return _decoder().validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        field_name = ".".join(map(str, first["loc"]))
        raise RecordError(f"{where}: damaged ({field_name}: {first['msg']}); the run must be repeated") from None


@cache
def _decoder() -> TypeAdapter[RunInfo]:
    """Made when it is first needed: load workers import this module, and they must not load pydantic."""
    from pydantic import TypeAdapter

    return TypeAdapter(RunInfo)


def write_info(folder: Path, info: RunInfo) -> None:
    """Write `run.json` whole."""
    write_json(folder / "run.json", info.to_json())


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


def read_arrow(
    files: Iterable[Path], table: str, columns: Collection[str] | None = None, *, compact: bool = False
) -> pa.Table:
    """As `read_rows`, in Arrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

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
