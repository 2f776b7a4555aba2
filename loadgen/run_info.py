"""What `run.json` holds, as frozen types: what was run, where, and what came of it. Owned by loadgen.

Fields stand in the order of the file. Any may be absent from an older or unfinished record, and then is None.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from host.atomic import write_text
from host.errors import PeakdayError
from slo.quantiles import Quantile

SCHEMA = "peakday.run/1"
RUNNING = "running"
FINISHED = "finished"
STREAMS = ("planner_queries", "price_ticks", "rule_storms")
"""Background streams of a scenario, as `skipped` names them."""


class RecordError(PeakdayError, ValueError):
    """A record that is missing, damaged, unfinished or of another version; the message says which and the remedy."""

    page = "run-record"


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
    left_open: int | None = None  # answers that said their end and left the body open for more than the grace
    went_on: int | None = None  # answers with content behind the end they said


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

    @property
    def skipped_of_note(self) -> tuple[str, ...]:
        """What was skipped, streams only where the target is the assistant: no other system has them."""
        skipped = self.skipped or ()
        if any(target.kind == "assistant" for target in self.targets or ()):
            return skipped
        return tuple(item for item in skipped if item.partition(":")[0] not in STREAMS)

    def quantile(self, metric: str, share: str) -> Quantile | None:
        """One quantile, such as `ttft_s` and `p99`; None where the record does not hold it."""
        return ((self.quantiles or {}).get(metric) or {}).get(share)

    def to_json(self) -> dict[str, object]:
        """The content of run.json. An unfinished run has its head alone; what not every run has is left out there."""
        content = asdict(self)
        names = list(content)
        optional = ["slo", "judged"] if self.finished else names[names.index("finished_utc") :]
        return {name: value for name, value in content.items() if name not in optional or value is not None}


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write JSON aside, then rename it. NaN is refused: unknown is null."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_info(folder: Path, info: RunInfo) -> None:
    """Write `run.json` whole."""
    write_json(folder / "run.json", info.to_json())
