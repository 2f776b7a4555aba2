"""The SLOs, what may break, when to stop, and what capacity may buy."""

# ruff: noqa: RUF012 (pydantic copies a default for every instance)

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from facts.blocks import NotNegative, Positive, Seconds, Share, SomeSeconds, Tokens
from facts.stack import FaultKind, Grant
from scenarios.base import Part


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
    """Granted by the provider, per region; null = not limited by this kind.

    A kind that is left out is as the account's quotas say or, without them, as published.
    input_tpm, output_tpm: of an endpoint that counts them apart (bedrock-mantle); output_tpm cuts answers off.
    """

    tpm: Positive | None = None
    tpd: Positive | None = None
    rpm: Positive | None = None
    input_tpm: Positive | None = None
    output_tpm: Positive | None = None

    @property
    def grant(self) -> Grant:
        """As the stack's processes read it."""
        return Grant(self.tpm, self.tpd, self.rpm, self.input_tpm, self.output_tpm)


class Fault(Part):
    """Something that breaks: from a moment on for a while, in a share of the calls it concerns.

    cold_cache: prompt caches forget everything at its start, and calls that it hits read nothing from them.
    above_per_s: it strikes only calls beyond this rate, which grows with use that was sustained for `sustain_s`: an
    unavailable model whose capacity has to be ramped (`peakday ramp`).
    """

    kind: FaultKind
    at_s: Seconds = 0.0
    length_s: SomeSeconds
    ratio: Annotated[float, Field(gt=0, le=1)] = 1.0
    model: str | None = None
    region: str | None = None
    delay_s: Seconds = 0.0
    factor: Positive = 1.0
    above_per_s: Positive | None = None
    sustain_s: SomeSeconds = 900.0

    def seen_from(self, start_s: float) -> Fault | None:
        """The fault on a clock that starts at this moment of the event: begun ones are cut, past ones None."""
        end_s = self.at_s + self.length_s - start_s
        if end_s <= 0:
            return None
        at_s = max(0.0, self.at_s - start_s)
        return self.model_copy(update={"at_s": at_s, "length_s": end_s - at_s})


class Objectives(Part):
    """SLOs; a name is a metric with its percentile. Only `check` and `max-rate` act on them."""

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
    window_s: SomeSeconds = 30.0


class LoadLimits(Part):
    """Guards of the generator itself."""

    in_flight_max: Annotated[int, Field(ge=1)] = 20_000
    turn_timeout_s: SomeSeconds = 60.0
    drain_s: Seconds = 15.0
    warm_up_s: Seconds = 2.0
    budget_usd: Positive | None = None


class SelfHostedSupply(Part):
    """A self-hosted model: which chips may serve it and at which SLO.

    rate_per_replica_per_s: known to the user at that SLO, on the one chip named, in place of a simulated one.
    chips_per_replica: of that replica, where no step model of the chip says so.
    """

    chips: Annotated[list[str], Field(min_length=1)] = ["inferentia2", "trainium1", "trainium2"]
    bench_model_id: str = "meta-llama/Llama-3.1-8B-Instruct"
    ttft_s_p99: Positive = 1.0
    tpot_s_p99: Positive = 0.1
    rate_per_replica_per_s: Positive | None = None
    chips_per_replica: Positive | None = None

    @model_validator(mode="after")
    def _of_one_chip(self) -> SelfHostedSupply:
        if self.rate_per_replica_per_s is not None and len(self.chips) != 1:
            raise ValueError(
                f"rate_per_replica_per_s is of one chip, and chips names {len(self.chips)}: set chips to that one"
            )
        return self


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


GuardrailPolicy = Literal[
    "content_filters", "denied_topics", "pii", "contextual_grounding", "automated_reasoning", "word_filters"
]


class AgentCore(Part):
    """An assistant that runs on Bedrock AgentCore: what its sessions and tool calls are counted and charged by.

    busy_ratio: share of a session's work in which a processor is used; waiting for a model or a tool is free.
    tool_calls_per_turn: through a gateway; unset: every model call of a turn but one. limits: your account's own.
    """

    vcpus: Positive = 1.0
    memory_gb: Positive = 2.0
    busy_ratio: Share = 0.2
    idle_s: Seconds = 900.0
    agents: Annotated[int, Field(ge=1)] = 1
    gateways: Annotated[int, Field(ge=1)] = 1
    tool_calls_per_turn: NotNegative | None = None
    memory_events_per_turn: NotNegative = 0.0
    limits: dict[
        Literal["new_sessions_per_s", "active_sessions", "invocations_per_s", "tool_calls_per_s"], Positive
    ] = {}


class Meters(Part):
    """Features of Bedrock with their own meter: guardrails by text unit, question and answer; web searches; AgentCore.

    A web search has no published price: without one in prices.features a plan counts the searches and says so.
    """

    guardrail_policies: list[GuardrailPolicy] = []
    guardrail_on_answers: bool = True
    characters_per_token: Positive = 4.0
    web_searches_per_interaction: NotNegative = 0.0
    agentcore: AgentCore | None = None


Tier = Literal["default", "priority", "flex", "latency_optimized"]


class Capacity(Part):
    """Everything a plan needs beyond demand and measurements. service_tiers: by MODEL, or MODEL/INTENT where named.

    hit_ratios: by model, the share of input tokens read from cache, stated in place of what a run measured or the
    replay of the scenario's sessions found.
    service_level: share of joint draws (demand, turns, tokens, hits, routes, step times) that what is bought carries.
    quality_floor: share of acceptable turns at which a plan looks for the cheapest routes and models.
    on_demand_vcpus: what EC2 grants in each region by family (inf, trn, p, g); where absent, the quotas of a pull.
    """

    own: dict[str, SelfHostedSupply] = {"custom-8b": SelfHostedSupply()}
    resilience: Resilience = Resilience()
    assumed_tokens: AssumedTokens = AssumedTokens()
    horizon_s: Seconds | None = None
    value_per_interaction_usd: Positive | None = None
    draws: Annotated[int, Field(ge=100)] = 1_000
    service_level: Annotated[float, Field(gt=0, lt=1)] = 0.9
    service_tiers: dict[str, Tier] = {}
    hit_ratios: dict[str, Share] = {}
    quality_floor: Share | None = None
    on_demand_vcpus: dict[Literal["inf", "trn", "p", "g"], NotNegative] = {}
    meters: Meters = Meters()
