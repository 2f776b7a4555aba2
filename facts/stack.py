"""`stack.json`: what the processes of one local stack serve with, and the assistant's switches within it.

The one owner of both shapes. `peakday/stack` writes the file, the assistant and the emulator read it at start, and a
scenario's `assistant` block is `Switches` itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from facts.blocks import Positive, Share, SomeSeconds, refuse_unknown_keys
from host.errors import PeakdayError
from host.json_text import read_json_object

SCHEMA: Literal["peakday.stack/1"] = "peakday.stack/1"
_CHECKED = ConfigDict(extra="forbid", allow_inf_nan=False, defer_build=True)
_OLD_KEYS = {"spill": "fallback", "ladder": "chains"}
"""Keys of scenarios and stack files written before their present name, still read."""

Ttl = Literal["5m", "1h"]
FaultKind = Literal[
    "throttle", "unavailable", "server_error", "not_ready", "stream_exception", "cut_stream", "bad_crc", "stall",
    "slow_first_token", "slow_tokens", "malformed_tool_input", "region_down", "freeze", "cold_cache",
]  # fmt: skip
"""What a scenario may break on purpose, and the emulator breaks."""


class StackError(PeakdayError, ValueError):
    """A stack file that cannot be used; the message names the file and the key."""

    page = "emulator"


def _laid_over(base: object, over: object) -> object:
    """An old block over a present one: a scenario of old keys may extend one of new ones."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{_OLD_KEYS.get(key, key): kept for key, kept in over.items()}}
    return over


class _Block:
    """A block of switches: an old key is read under its present name, and an unknown one is an error."""

    @model_validator(mode="before")
    @classmethod
    def _present_keys(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        known = [item.name for item in fields(cls)]  # type: ignore[arg-type]
        named = dict(value)
        for old, new in _OLD_KEYS.items():
            if old in named and new in known:
                named[new] = _laid_over(named.get(new), named.pop(old))
        refuse_unknown_keys(named, known)
        return named


@dataclass(frozen=True, config=_CHECKED)
class Context(_Block):
    """What is fetched before the first model call."""

    prefetch: bool = True


@dataclass(frozen=True, config=_CHECKED)
class Tools(_Block):
    """How tool calls of one round are made."""

    parallel: bool = True
    timeout_s: SomeSeconds = 3.0


@dataclass(frozen=True, config=_CHECKED)
class Cache(_Block):
    """Whether cache points are placed."""

    points: bool = True


@dataclass(frozen=True, config=_CHECKED)
class CacheTtl(_Block):
    """Lifetime asked for at each bar of the prompt; a model without 1h gets 5m."""

    shared: Ttl = "5m"
    customer: Ttl = "5m"
    conversation: Ttl = "5m"


@dataclass(frozen=True, config=_CHECKED)
class Router(_Block):
    """`staged`: rules, classifier, small model when unsure. `llm`: the planner model decides every turn."""

    mode: Literal["staged", "rules", "classifier", "llm"] = "staged"
    budget_s: SomeSeconds = 0.3
    unsure_below: Share = 0.5
    planner_model: str = "planner"


@dataclass(frozen=True, config=_CHECKED)
class Policy(_Block):
    """Which model answers: by complexity, or by `intent` or `intent/complexity` where named.

    Another one takes its place where its quality is below `quality_floor`, where its time to first token was lately
    above `ttft_max_s` (none: any), or where less than `headroom_min_ratio` of its quota's minute is free.
    """

    simple: str = "custom-8b"
    complex: str = "claude-sonnet"
    by_intent: dict[str, str] = field(default_factory=dict)
    quality_floor: Share = 0.7
    ttft_max_s: SomeSeconds | None = None
    headroom_min_ratio: Share = 0.0

    def model_for(self, intent: str, complexity: str) -> str:
        """Model key for a turn; the most specific entry wins."""
        default = self.simple if complexity == "simple" else self.complex
        return self.by_intent.get(f"{intent}/{complexity}", self.by_intent.get(intent, default))


@dataclass(frozen=True, config=_CHECKED)
class Retry(_Block):
    """Total attempts of one model call; 1 in load runs, or retries hide throttling and multiply the load.

    `mode` is botocore's; the fast client knows `standard` alone.
    """

    mode: Literal["standard", "adaptive", "legacy"] = "standard"
    total_attempts: Annotated[int, Field(ge=1, le=10)] = 1


@dataclass(frozen=True, config=_CHECKED)
class Fallback(_Block):
    """Which models a throttled call may go to next, in order, by the model it was for; and how often it may go on."""

    max_hops: Annotated[int, Field(ge=0, le=5)] = 1
    chains: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, config=_CHECKED)
class AutoBuy(_Block):
    """The kill switch of purchases by price: false keeps every rule waiting, whatever prices do."""

    enabled: bool = True


@dataclass(frozen=True, config=_CHECKED)
class Limits(_Block):
    """Bounds on one turn."""

    rounds: Annotated[int, Field(ge=1)] = 5
    calls: Annotated[int, Field(ge=1)] = 8
    wall_s: SomeSeconds = 60.0
    message_chars: Annotated[int, Field(ge=1)] = 8_000


@dataclass(frozen=True, config=_CHECKED)
class Switches(_Block):
    """Switches of the agent under test. A target of the user's own cannot be given these.

    `client`: how Bedrock is called, `fast` (our own wire) or `boto3` (the reference, a thread a call).
    """

    client: Literal["fast", "boto3"] = "fast"
    context: Context = field(default_factory=Context)
    tools: Tools = field(default_factory=Tools)
    cache: Cache = field(default_factory=Cache)
    cache_ttl: CacheTtl = field(default_factory=CacheTtl)
    router: Router = field(default_factory=Router)
    policy: Policy = field(default_factory=Policy)
    retry: Retry = field(default_factory=Retry)
    fallback: Fallback = field(default_factory=Fallback)
    limits: Limits = field(default_factory=Limits)
    auto_buy: AutoBuy = field(default_factory=AutoBuy)
    max_tokens: Annotated[int, Field(ge=1)] | None = 1_024
    judge_ratio: Share = 0.0

    @model_validator(mode="after")
    def _mode_is_the_client_s(self) -> Switches:
        if self.client == "fast" and self.retry.mode != "standard":
            raise ValueError(
                f"retry.mode: {self.retry.mode!r} is botocore's own; set client: boto3 with it, or use 'standard'"
            )
        return self


@dataclass(frozen=True, config=_CHECKED)
class Grant(_Block):
    """A quota granted for one model in one region, or to an account; None = not limited by this kind."""

    tpm: Positive | None = None
    tpd: Positive | None = None
    rpm: Positive | None = None
    input_tpm: Positive | None = None
    output_tpm: Positive | None = None


@dataclass(frozen=True, config=_CHECKED)
class Endpoints(_Block):
    """Where the processes are. `bedrock` absent: AWS's own. `openai` absent: no such server was named."""

    assistant: str | None = None
    bedrock: str | None = None
    openai: str | None = None


@dataclass(frozen=True, config=_CHECKED)
class DataFiles(_Block):
    """The world's files, and the store that the assistant writes.

    store_table: a DynamoDB table for all that the assistant writes, in place of the file.
    """

    catalogue: Path | None = None
    conversations: Path | None = None
    store: Path | None = None
    store_table: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")] | None = None


@dataclass(frozen=True, config=_CHECKED)
class ScenarioName(_Block):
    """Which scenario a stack was started for."""

    name: str
    hash: str


@dataclass(frozen=True, config=_CHECKED)
class Otlp(_Block):
    """Where spans go: an OTLP/HTTP receiver, at the addresses that its host was resolved to. `run_id`: of one run."""

    url: str
    addresses: tuple[str, ...] = ()
    run_id: str | None = None


@dataclass(frozen=True, config=_CHECKED)
class StackFile(_Block):
    """Everything both children read at start. It holds no credentials but its own control token.

    `models` None: every model of models.yaml. `faults` are as in a scenario, on a clock that starts with the run.
    """

    schema: Literal["peakday.stack/1"] = SCHEMA
    seed: int = 1
    live: bool = False
    scenario: ScenarioName | None = None
    models_file: Path | None = None
    models: tuple[str, ...] | None = None
    endpoints: Endpoints = field(default_factory=Endpoints)
    regions: Annotated[tuple[str, ...], Field(min_length=1)] = ("us-east-1",)
    assistant: Switches = field(default_factory=Switches)
    quotas: dict[str, Grant] = field(default_factory=dict)
    faults: tuple[dict[str, object], ...] = ()
    data: DataFiles = field(default_factory=DataFiles)
    profiles: Path | None = None
    quality_file: Path | None = None
    otlp: Otlp | None = None
    control_token: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{16,200}$")] | None = None


_STACK = TypeAdapter(StackFile)
_SWITCHES = TypeAdapter(Switches)


def read_stack(path: Path) -> StackFile:
    """A stack file, read and checked.

    Raises:
        StackError: unreadable, of another schema, or with a key or value that is none.
    """
    raw = read_json_object(path, error=StackError)
    if raw.get("schema") != SCHEMA:
        raise StackError(f"{path}: schema is not {SCHEMA}")
    try:
        return _STACK.validate_python(raw)
    except ValidationError as error:
        raise StackError(f"{path}: {_first_problem(error)}") from None


def stack_json(stack: StackFile) -> bytes:
    """The file's bytes."""
    return _STACK.dump_json(stack, indent=1)


def switches_of(raw: Mapping[str, object]) -> Switches:
    """The assistant's switches from their JSON form.

    Raises:
        StackError: a key or value that is none.
    """
    try:
        return _SWITCHES.validate_python(raw)
    except ValidationError as error:
        raise StackError(f"assistant.{_first_problem(error)}") from None


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    words = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"]
    where = ".".join(str(step) for step in first["loc"])
    return f"{where}: {words}" if where else words
