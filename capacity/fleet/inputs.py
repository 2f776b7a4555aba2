"""The checked inputs of one plan, and what follows from them before anything is sized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC

import numpy as np

from capacity.cost.agentcore import usd_per_interaction, use_of
from capacity.cost.hours import HourlyNeed
from capacity.cost.interaction import bedrock_spend
from capacity.cost.prices import Prices
from capacity.cost.purchase import hourly_need
from capacity.cost.rates import feature_usd
from capacity.demand.calls import Calls
from capacity.demand.forecast import StreamDemand, drawn_demand, stream_demand, with_drawn_peaks
from capacity.fleet.outcome import PLANNER_QUERIES, Base, BedrockSpend, Multipliers, SelfHostedChoice
from capacity.fleet.sizing import regional_factor
from capacity.fleet.uncertainty import (
    MISSES_MEASURED,
    MISSES_UNMEASURED,
    ROUTES_MEASURED,
    ROUTES_UNMEASURED,
    SPREAD_MEASURED,
    SPREAD_UNMEASURED,
    Unknowns,
    joint_draws,
)
from capacity.rows.figures import Levels, weakest
from capacity.simulator.requests import Floats
from facts.account import Held, Usage
from facts.supply import OnDemandLimit
from neuron_bench.step_model import StepModel
from scenarios.demand import INTERACTIONS
from scenarios.schema import Scenario, Stream


@dataclass(frozen=True)
class PlanInputs:
    """Inputs, demand by stream and region, and the draws every part of the plan shares."""

    scenario: Scenario
    calls: Calls
    prices: Prices
    step_models: tuple[StepModel, ...]
    seed: int
    measured: bool
    streams: Mapping[str, Stream]
    demand: Mapping[str, Mapping[str, StreamDemand]]
    unknown: Unknowns
    draws: Multipliers
    held: Held | None = None  # the account's quotas
    usage: Usage | None = None  # the account's calls, already in `calls`

    @classmethod
    def of(
        cls,
        scenario: Scenario,
        calls: Calls,
        prices: Prices,
        step_models: Sequence[StepModel],
        seed: int,
        *,
        measured: bool,
        held: Held | None = None,
        usage: Usage | None = None,
    ) -> PlanInputs:
        """Demand per region over the event, and joint draws of it."""
        streams: dict[str, Stream] = {INTERACTIONS: scenario.demand.interactions}
        if scenario.demand.background.planner_queries is not None:
            streams[PLANNER_QUERIES] = scenario.demand.background.planner_queries
        draws = scenario.capacity.draws
        drawn = {name: drawn_demand(scenario, name, stream, draws, seed) for name, stream in streams.items()}
        simulated = "simulated" in calls.provenance.values()
        real = measured and not simulated
        unknown = Unknowns(
            spread=SPREAD_MEASURED if real else SPREAD_UNMEASURED,
            provider_misses=MISSES_MEASURED if real else MISSES_UNMEASURED,
            provider_hits=_read_ratio(calls, prices, "bedrock"),
            prefix_misses=MISSES_MEASURED,
            prefix_hits=_read_ratio(calls, prices, "self_hosted"),
            routes=ROUTES_MEASURED if real else ROUTES_UNMEASURED,
            models=tuple(dict.fromkeys(calls.model.tolist())),
        )
        return cls(
            scenario=scenario,
            calls=calls,
            prices=prices,
            step_models=tuple(step_models),
            seed=seed,
            measured=measured,
            streams=streams,
            demand={
                name: with_drawn_peaks(stream_demand(scenario, name, stream), drawn[name], stream)
                for name, stream in streams.items()
            },
            unknown=unknown,
            draws=joint_draws(drawn, draws, unknown, seed),
            held=held,
            usage=usage,
        )

    @property
    def spread(self) -> float:
        """Half-width of tokens and turns, as a share at 90%."""
        return self.unknown.spread

    @property
    def regions(self) -> tuple[str, ...]:
        """In the scenario's order."""
        return tuple(self.scenario.event.regions)

    @property
    def service_level(self) -> float:
        """Share of the joint draws that what is bought carries."""
        return self.scenario.capacity.service_level

    def at_level(self, level: float) -> PlanInputs:
        """The same inputs with another service level."""
        capacity = self.scenario.capacity.model_copy(update={"service_level": level})
        return replace(self, scenario=self.scenario.model_copy(update={"capacity": capacity}))

    @property
    def paid_s(self) -> float:
        """What self-hosted chips are paid for: the horizon if stated, else the event and the warm-up before it."""
        capacity = self.scenario.capacity
        return capacity.horizon_s or self.scenario.event.length_s + capacity.resilience.warm_up_lag_s

    @property
    def begins_s(self) -> float:
        """When what is paid for begins, in seconds after midnight UTC: warmed up before the event."""
        start = self.scenario.event.start.astimezone(UTC)
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        warm_up_s = 0.0 if self.scenario.capacity.horizon_s else self.scenario.capacity.resilience.warm_up_lag_s
        return (start - midnight).total_seconds() - warm_up_s

    def on_demand_vcpus(self, limit: OnDemandLimit, region: str) -> float | None:
        """What EC2 grants of a family in a region: stated, else held by the account; None where nobody knows."""
        stated = {str(family): value for family, value in self.scenario.capacity.on_demand_vcpus.items()}
        if limit.family in stated:
            return stated[limit.family]
        row = self.held.quota(limit.quota, region) if self.held is not None else None
        return row.value if row is not None else None

    def hourly(self, stream: str, region: str) -> HourlyNeed | None:
        """What each hour needs of the region's peak, ahead by the warm-up; None where a horizon is paid throughout."""
        if self.scenario.capacity.horizon_s is not None:
            return None
        timeline = self.demand[stream][region].timeline
        rate = np.array(timeline.interactions_per_s_p90)
        highest = max(float(rate.max()), 1e-300)
        event_s, warm_up_s = self.scenario.event.length_s, self.scenario.capacity.resilience.warm_up_lag_s
        return HourlyNeed(*hourly_need(np.array(timeline.offset_s), rate / highest, event_s, warm_up_s))

    @property
    def model_names(self) -> list[str]:
        """Models that are called, in the scenario's order, then any other the run saw."""
        called = set(self.calls.model.tolist())
        if PLANNER_QUERIES in self.streams:
            called.add(self.scenario.assistant.router.planner_model)
        listed = [name for name in self.scenario.models if name in called]
        return listed + sorted(called - set(listed))

    @property
    def calls_provenance(self) -> str:
        """Of the token counts: `assumed`, or the weakest of the run's supplies."""
        return weakest(list(self.calls.provenance.values())) if self.measured else "assumed"

    @property
    def calls_simulated(self) -> bool:
        """True when the emulator made the token counts."""
        return self.measured and self.calls_provenance == "simulated"

    @property
    def interactions_total(self) -> float:
        """Over the event and all regions, at the median demand."""
        return sum(demand.starts for demand in self.demand[INTERACTIONS].values())

    def is_planner(self, model: str) -> bool:
        """True for the model of the background searches."""
        return PLANNER_QUERIES in self.streams and model == self.scenario.assistant.router.planner_model

    def region_factor(self, region: str) -> float:
        """What a region must carry over its own demand because any one other may be lost."""
        shares = {name: part.share for name, part in self.scenario.event.regions.items()}
        return regional_factor(shares, region, region_loss=self.scenario.capacity.resilience.region_loss)

    def carried_per_s(self, model: str, region: str) -> Levels:
        """Calls a second the region must be able to carry at its peak, its share of a lost region included."""
        factor = self.region_factor(region)
        chat = self.demand[INTERACTIONS][region].timeline.peak_interactions_per_s
        per_interaction = self.calls.per_interaction(model)
        searches = (
            self.demand[PLANNER_QUERIES][region].timeline.peak_interactions_per_s if self.is_planner(model) else None
        )
        parts = [
            factor * (getattr(chat, p) * per_interaction + (getattr(searches, p) if searches else 0.0))
            for p in ("p50", "p90", "p95")
        ]
        return Levels(*parts)

    def calls_in_event(self, model: str, region: str) -> float:
        """At the median demand, without any lost region."""
        chat = self.demand[INTERACTIONS][region].starts * self.calls.per_interaction(model)
        return chat + (self.demand[PLANNER_QUERIES][region].starts if self.is_planner(model) else 0.0)

    def features(self) -> dict[str, Floats]:
        """Dollars of guardrails, web searches and the agent's runtime by call, each [n]."""
        capacity, own = self.scenario.capacity, self.prices.features_usd_per_thousand
        usd = feature_usd(self.calls, capacity, capacity.assumed_tokens.message_tokens, own)
        agent = capacity.meters.agentcore
        if agent is not None:
            each = usd_per_interaction(use_of(self.scenario, agent, self.calls, self.seed), agent)
            share = self.calls.interactions / len(self.calls.turn)
            usd |= {name: np.full(len(self.calls.turn), value * share) for name, value in each.items()}
        return usd

    def base(
        self,
        own: Sequence[SelfHostedChoice],
        prices: Prices | None = None,
        elsewhere: Mapping[str, BedrockSpend] | None = None,
    ) -> Base:
        """The base case for draws and one-at-a-time moves. prices: not the plan's own. elsewhere: diverted calls."""
        spend = bedrock_spend(
            self.calls,
            (prices or self.prices).models,
            self.interactions_total,
            self.scenario.assistant.cache_ttl,
            self.features(),
            self.scenario.capacity.resilience.retry_extra_attempts,
        )
        return Base(tuple(own), spend | dict(elsewhere or {}), self.scenario.capacity.resilience)


def _read_ratio(calls: Calls, prices: Prices, supply: str) -> float:
    """Tokens read from a cache, over those at cache points (Bedrock) or of whole prompts (self-hosted)."""
    of_supply = np.array([prices.models[name].supply == supply for name in calls.model])
    read = float(calls.cache_read_tokens[of_supply].sum())
    written = float((calls.cache_write_tokens_5m + calls.cache_write_tokens_1h)[of_supply].sum())
    total = read + written if supply == "bedrock" else float(calls.prompt_tokens[of_supply].sum())
    return read / total if total else 0.0
