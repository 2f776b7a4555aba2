"""The shape of a scenario: every key a scenario file may hold, with its unit and its limits.

`Scenario` is parsed once, where the file enters (`scenarios/loading.py`); everything behind reads values.
Durations are seconds inside; a file may also say `90s`, `5m`, `4h` or `4d`. Shares and ratios are of one.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

SCHEMA = "peakday.scenario/1"

INTENTS = (
    "product_question", "comparison", "recommendation", "product_search", "deals", "price_history", "price_alert",
    "auto_buy", "reorder", "order_status", "order_change", "delivery", "returns_refunds", "payment", "account",
    "account_memory", "web_lookup", "human_agent", "out_of_scope",
)  # fmt: skip
COMPLEXITIES = ("simple", "complex")
_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _seconds(value: object) -> object:
    """`300`, `"300s"`, `"5m"`, `"4h"`, `"4d"` -> seconds."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([smhd])\s*", value)
        if not match:
            raise ValueError("expected seconds, or a number with s, m, h or d such as 90s or 4h")
        return float(match[1]) * _UNIT_S[match[2]]
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Tokens = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """A block of a scenario: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _sums_to_one(shares: dict[str, float], what: str) -> None:
    total = math.fsum(shares.values())
    if shares and abs(total - 1) > 1e-6:
        direction = "lower" if total > 1 else "raise"
        raise ValueError(f"{what} sum to {total:.4g}, expected 1; {direction} one by {abs(total - 1):.4g}")


# --- the event ---------------------------------------------------------------------------------------------------


class Region(Part):
    """Where customers are: their share of all demand, their clock and their languages."""

    share: Share
    time_zone: str = "UTC"
    locales: dict[str, Share] = {"en_US": 1.0}

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except Exception:
            raise ValueError(f"unknown time zone {value!r}; use an IANA name such as America/New_York") from None
        return value

    @model_validator(mode="after")
    def _locales_sum(self) -> Region:
        _sums_to_one(self.locales, "locale shares")
        return self


class Event(Part):
    """When it happens, how long it lasts, and where."""

    start: AwareDatetime
    length_s: Annotated[Seconds, Field(gt=0)]
    regions: Annotated[dict[str, Region], Field(min_length=1)]

    @model_validator(mode="after")
    def _shares_sum(self) -> Event:
        _sums_to_one({name: region.share for name, region in self.regions.items()}, "region shares")
        return self

    @property
    def start_utc(self) -> datetime:
        """The start as an aware UTC time."""
        return self.start.astimezone(ZoneInfo("UTC"))


# --- how much, and when ------------------------------------------------------------------------------------------


class Range(Part):
    """An estimate: low and high enclose the truth with the given confidence, mid is the median."""

    low: NotNegative
    mid: NotNegative
    high: NotNegative
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: object) -> object:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return {"low": value, "mid": value, "high": value}
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low <= self.mid <= self.high:
            raise ValueError(f"low {self.low:g}, mid {self.mid:g}, high {self.high:g} are out of order")
        return self


class Constant(Part):
    """The same rate throughout."""

    kind: Literal["constant"]
    ratio: NotNegative = 1.0


class Diurnal(Part):
    """Day and night, by each region's own clock: a raised cosine between the trough and 1."""

    kind: Literal["diurnal"]
    peak_hour_local: Annotated[float, Field(ge=0, lt=24)] = 20.0
    trough_ratio: Share = 0.25


class Ramp(Part):
    """A straight line from one ratio to another; held before and after."""

    kind: Literal["ramp"]
    from_s: Seconds
    to_s: Seconds
    from_ratio: NotNegative = 0.0
    to_ratio: NotNegative = 1.0

    @model_validator(mode="after")
    def _forward(self) -> Ramp:
        if self.to_s <= self.from_s:
            raise ValueError("to_s must be after from_s")
        return self


class Step(Part):
    """One ratio before a moment, another from it on."""

    kind: Literal["step"]
    at_s: Seconds
    before_ratio: NotNegative = 1.0
    after_ratio: NotNegative = 1.0


class DealDrops(Part):
    """Deals released at set moments: each lifts the rate by boost_ratio and fades with a time constant."""

    kind: Literal["deal_drops"]
    at_s: Annotated[list[Seconds], Field(min_length=1)]
    boost_ratio: NotNegative = 0.5
    rise_s: Seconds = 30.0
    decay_s: Annotated[Seconds, Field(gt=0)] = 900.0


class FlashSpike(Part):
    """One sudden crowd: rises to 1 + height_ratio, holds, then fades."""

    kind: Literal["flash_spike"]
    at_s: Seconds
    height_ratio: NotNegative
    rise_s: Seconds = 10.0
    hold_s: Seconds = 60.0
    decay_s: Annotated[Seconds, Field(gt=0)] = 300.0


class CoolDown(Part):
    """Exponential fading to a floor after a moment."""

    kind: Literal["cool_down"]
    from_s: Seconds
    decay_s: Annotated[Seconds, Field(gt=0)]
    floor_ratio: Share = 0.0


class Trace(Part):
    """Counts per step from a CSV file; missing steps are interpolated and counted."""

    kind: Literal["trace"]
    file: str
    time_column: str = "period"
    count_column: str = "count"
    step_s: Annotated[Seconds, Field(gt=0)] = 60.0
    offset_s: Seconds = 0.0


class Sum(Part):
    """Pieces added together."""

    kind: Literal["sum"]
    of: Annotated[list[Shape], Field(min_length=1)]


class Product(Part):
    """Pieces multiplied together."""

    kind: Literal["product"]
    of: Annotated[list[Shape], Field(min_length=1)]


Shape = Annotated[
    Constant | Diurnal | Ramp | Step | DealDrops | FlashSpike | CoolDown | Trace | Sum | Product,
    Field(discriminator="kind"),
]


class Arrivals(Part):
    """How starts scatter around the rate: a renewal law under a time change, or a two-state modulated Poisson."""

    process: Literal["constant", "poisson", "gamma", "weibull", "mmpp"] = "poisson"
    cv: Positive = 1.0
    burst_ratio: Annotated[float, Field(ge=1)] = 5.0
    burst_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    burst_length_s: Annotated[Seconds, Field(gt=0)] = 10.0


class Client(Part):
    """One of a few dominating sources of traffic, with its own burstiness and lengths."""

    share: Share
    cv: Positive = 1.0
    input_tokens_ratio: Positive = 1.0
    output_tokens_ratio: Positive = 1.0


class Noise(Part):
    """What the forecast does not know besides the level of the peak: used for draws of whole paths."""

    timing_s_sd: Seconds = 0.0
    shape_cv: NotNegative = 0.0
    shape_correlation_s: Annotated[Seconds, Field(gt=0)] = 1800.0


class Stream(Part):
    """One kind of demand: its rate at the peak over all regions, its shape and its scatter."""

    peak_per_s: Range
    shape: Shape = Constant(kind="constant")
    arrivals: Arrivals = Arrivals()
    clients: dict[str, Client] = {}
    noise: Noise = Noise()
    source: str = ""

    @model_validator(mode="after")
    def _clients_sum(self) -> Stream:
        _sums_to_one({name: client.share for name, client in self.clients.items()}, "client shares")
        return self


class PlannerQueries(Stream):
    """Searches that only the query planner classifies: one short chat completion each, to model `planner`."""

    input_tokens: Tokens = 60
    output_tokens: Tokens = 3
    deadline_s: Annotated[Seconds, Field(gt=0)] = 0.3


class PriceTicks(Stream):
    """Price changes posted to the assistant's test endpoint; they fire price alerts and auto-buy rules."""

    items: Annotated[int, Field(ge=1)] = 100
    drop_ratio: Share = 0.3


class RuleStorm(Part):
    """Many auto-buy rules on one item, all matched by one tick."""

    at_s: Seconds
    rules: Annotated[int, Field(ge=1)]
    item_rank: Annotated[int, Field(ge=0)] = 0
    drop_ratio: Share = 0.3


class Background(Part):
    """Streams beside the chat; a target without them skips them and says so."""

    planner_queries: PlannerQueries | None = None
    price_ticks: PriceTicks | None = None
    rule_storms: list[RuleStorm] = []


class Demand(Part):
    """Interactions (first turns of conversations) and the background streams."""

    interactions: Stream
    background: Background = Background()


# --- what one customer does --------------------------------------------------------------------------------------


class Lognormal(Part):
    """A positive quantity: its median and coefficient of variation, cut at max."""

    median: NotNegative
    cv: NotNegative = 0.5
    max: Positive | None = None


class Count(Part):
    """A whole number >= 1, geometric with the given mean, cut at max."""

    mean: Annotated[float, Field(ge=1)]
    max: Annotated[int, Field(ge=1)] = 20

    @model_validator(mode="after")
    def _mean_below_max(self) -> Count:
        if self.mean > self.max:
            raise ValueError(f"mean {self.mean:g} is above max {self.max}")
        return self


class IntentMix(Part):
    """Share of first turns with this intent, and how many of them are complex."""

    weight: Share
    complex_ratio: Share = 0.2


class Customers(Part):
    """The population: Zipf-distributed activity, so a few customers come often."""

    population: Annotated[int, Field(ge=1)] = 10_000
    zipf_exponent: NotNegative = 0.8


class Mix(Part):
    """What a session holds."""

    intents: Annotated[dict[str, IntentMix], Field(min_length=1)]
    transitions: dict[str, dict[str, Share]] = {}
    stay_ratio: Share = 0.6
    interactions_per_session: Count = Count(mean=1.2, max=5)
    turns_per_interaction: Count = Count(mean=2.2, max=8)
    think_s: Lognormal = Lognormal(median=8.0, cv=0.8, max=120.0)
    typing_s: Lognormal = Lognormal(median=4.0, cv=0.6, max=60.0)
    between_interactions_s: Lognormal = Lognormal(median=30.0, cv=1.0, max=600.0)
    patience_s: Lognormal | None = Lognormal(median=12.0, cv=0.5)
    returns_later_ratio: Share = 0.0
    returns_later_s: Lognormal = Lognormal(median=900.0, cv=0.5)
    image_ratio: Share = 0.0
    page_context_ratio: Share = 0.3
    confirm_ratio: Share = 0.8
    customers: Customers = Customers()

    @model_validator(mode="after")
    def _known_intents(self) -> Mix:
        named: list[tuple[str, list[str]]] = [("intents", list(self.intents)), ("transitions", list(self.transitions))]
        for where, names in named:
            for name in names:
                if name not in INTENTS:
                    raise ValueError(f"{where}: unknown intent {name!r}; known: {', '.join(INTENTS)}")
        _sums_to_one({name: intent.weight for name, intent in self.intents.items()}, "intent weights")
        for name, row in self.transitions.items():
            unknown = sorted(set(row) - set(self.intents))
            if unknown:
                raise ValueError(f"transitions.{name}: {unknown[0]!r} is not among intents")
            _sums_to_one(row, f"transitions.{name}")
        return self


class World(Part):
    """The synthetic shop the conversations are about."""

    products: Annotated[int, Field(ge=20)] = 5_000
    customers: Annotated[int, Field(ge=1)] = 10_000
    history_days: Annotated[int, Field(ge=30)] = 90
    messages_per_intent: Annotated[int, Field(ge=1)] = 60


# --- the assistant under test ------------------------------------------------------------------------------------


class Context(Part):
    """What is fetched before the first model call."""

    prefetch: bool = True


class Tools(Part):
    """How tool calls of one round are made."""

    parallel: bool = True
    timeout_s: Annotated[Seconds, Field(gt=0)] = 3.0


class Cache(Part):
    """Whether cache points are placed."""

    points: bool = True


TTL = Literal["5m", "1h"]


class CacheTtl(Part):
    """Lifetime asked for at each bar of the prompt; a model without 1h gets 5m."""

    shared: TTL = "5m"
    customer: TTL = "5m"
    conversation: TTL = "5m"


class Router(Part):
    """`staged`: rules, classifier, small model when unsure. `llm`: the planner model decides every turn."""

    mode: Literal["staged", "rules", "classifier", "llm"] = "staged"
    budget_s: Annotated[Seconds, Field(gt=0)] = 0.3
    unsure_below: Share = 0.5
    planner_model: str = "planner"


class Policy(Part):
    """Which model answers: by complexity, or by `intent` or `intent/complexity` where named."""

    simple: str = "custom-8b"
    complex: str = "claude-sonnet"
    by_intent: dict[str, str] = {}

    def model_for(self, intent: str, complexity: str) -> str:
        """Model key for a turn; the most specific entry wins."""
        default = self.simple if complexity == "simple" else self.complex
        return self.by_intent.get(f"{intent}/{complexity}", self.by_intent.get(intent, default))


class Retry(Part):
    """Total attempts of one model call; 1 in load runs, or retries hide throttling and multiply the load."""

    total_attempts: Annotated[int, Field(ge=1, le=10)] = 1


class Spill(Part):
    """Where a throttled call may go next, and how often."""

    max_hops: Annotated[int, Field(ge=0, le=5)] = 1
    ladder: dict[str, list[str]] = {}


class Limits(Part):
    """Bounds on one turn."""

    rounds: Annotated[int, Field(ge=1)] = 5
    calls: Annotated[int, Field(ge=1)] = 8
    wall_s: Annotated[Seconds, Field(gt=0)] = 60.0
    message_chars: Annotated[int, Field(ge=1)] = 8_000


class Assistant(Part):
    """Switches of the agent under test. A target of the user's own cannot be given these."""

    context: Context = Context()
    tools: Tools = Tools()
    cache: Cache = Cache()
    cache_ttl: CacheTtl = CacheTtl()
    router: Router = Router()
    policy: Policy = Policy()
    retry: Retry = Retry()
    spill: Spill = Spill()
    limits: Limits = Limits()
    max_tokens: Annotated[int, Field(ge=1)] | None = 1_024
    judge_ratio: Share = 0.0


class AssumedTokens(Part):
    """Tokens of one model call, used by a plan when no run has measured them. Marked `assumed` in every plan."""

    shared_prefix_tokens: Tokens = 2_400
    customer_prefix_tokens: Tokens = 300
    history_tokens_per_turn: Tokens = 260
    message_tokens: Tokens = 25
    tool_result_tokens: Tokens = 450
    output_tokens: Tokens = 180
    calls_per_turn: Annotated[float, Field(ge=1)] = 1.7
    cv: NotNegative = 0.6


class Quota(Part):
    """Granted by the provider, per region; null = not granted or not limited by this kind."""

    tpm: Positive | None = None
    tpd: Positive | None = None
    rpm: Positive | None = None


class Fault(Part):
    """Something that breaks: from a moment on for a while, in a share of the calls it concerns."""

    kind: Literal[
        "throttle", "unavailable", "server_error", "not_ready", "stream_exception", "cut_stream", "bad_crc", "stall",
        "slow_first_token", "slow_tokens", "malformed_tool_input", "region_down", "freeze",
    ]  # fmt: skip
    at_s: Seconds = 0.0
    length_s: Annotated[Seconds, Field(gt=0)]
    ratio: Annotated[float, Field(gt=0, le=1)] = 1.0
    model: str | None = None
    region: str | None = None
    delay_s: Seconds = 0.0
    factor: Positive = 1.0


# --- what is promised, and when to stop --------------------------------------------------------------------------


class Slo(Part):
    """Limits; a name is a metric with its percentile. Only `check` and `max-rate` act on them."""

    ttft_s_p50: Positive | None = None
    ttft_s_p95: Positive | None = None
    ttft_s_p99: Positive | None = None
    e2e_s_p50: Positive | None = None
    e2e_s_p95: Positive | None = None
    e2e_s_p99: Positive | None = None
    tpot_s_p50: Positive | None = None
    tpot_s_p95: Positive | None = None
    tpot_s_p99: Positive | None = None
    error_ratio: Share | None = None


class AbortIf(Part):
    """Stop the run when the last window_s are worse than this."""

    error_ratio: Share | None = 0.5
    ttft_s_p50: Positive | None = None
    window_s: Annotated[Seconds, Field(gt=0)] = 30.0


class LoadLimits(Part):
    """Guards of the generator itself."""

    in_flight_max: Annotated[int, Field(ge=1)] = 20_000
    turn_timeout_s: Annotated[Seconds, Field(gt=0)] = 60.0
    drain_s: Seconds = 15.0
    warm_up_s: Seconds = 2.0
    budget_usd: Positive | None = None


# --- what capacity may buy ---------------------------------------------------------------------------------------


class OwnSupply(Part):
    """A self-hosted model: which chips may serve it and at which promise to its callers."""

    chips: Annotated[list[str], Field(min_length=1)] = ["inferentia2", "trainium1", "trainium2"]
    bench_model_id: str = "meta-llama/Llama-3.1-8B-Instruct"
    ttft_s_p99: Positive = 1.0
    tpot_s_p99: Positive = 0.1


class Resilience(Part):
    """What may fail at the peak without missing the SLO."""

    zones: Annotated[int, Field(ge=1)] = 3
    zones_lost: Annotated[int, Field(ge=0)] = 1
    region_loss: bool = False
    drain_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.05
    broken_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.01
    retry_extra_attempts: NotNegative = 0.0
    warm_up_lag_s: Seconds = 900.0

    @model_validator(mode="after")
    def _something_left(self) -> Resilience:
        if self.zones_lost >= self.zones:
            raise ValueError(f"zones_lost {self.zones_lost} leaves none of {self.zones} zones")
        if self.drain_ratio + self.broken_ratio >= 1:
            raise ValueError("drain_ratio + broken_ratio leave nothing")
        return self


class Capacity(Part):
    """Everything a plan needs beyond demand and measurements."""

    own: dict[str, OwnSupply] = {"custom-8b": OwnSupply()}
    resilience: Resilience = Resilience()
    assumed_tokens: AssumedTokens = AssumedTokens()
    horizon_s: Seconds | None = None
    value_per_interaction_usd: Positive | None = None
    draws: Annotated[int, Field(ge=100)] = 1_000


class Scenario(Part):
    """One peak event: demand, customers, the assistant's switches, promises, faults, and what may be bought."""

    schema_: Literal["peakday.scenario/1"] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0)] = 1
    event: Event
    demand: Demand
    mix: Mix
    world: World = World()
    models: Annotated[list[str], Field(min_length=1)] = [
        "nova-2-lite", "nova-pro", "claude-sonnet", "custom-8b", "planner",
    ]  # fmt: skip
    assistant: Assistant = Assistant()
    quotas: dict[str, Quota] = {}
    faults: list[Fault] = []
    slo: Slo = Slo()
    abort_if: AbortIf = AbortIf()
    load: LoadLimits = LoadLimits()
    capacity: Capacity = Capacity()

    @property
    def turns_per_session_mean(self) -> float:
        """Mean turns of one session, before abandonment."""
        return self.mix.interactions_per_session.mean * self.mix.turns_per_interaction.mean

    @model_validator(mode="after")
    def _routes_exist(self) -> Scenario:
        policy = self.assistant.policy
        for where, model in [("simple", policy.simple), ("complex", policy.complex), *policy.by_intent.items()]:
            if model not in self.models:
                raise ValueError(f"assistant.policy.{where}: model {model!r} is not in models {self.models}")
        return self
