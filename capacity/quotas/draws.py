"""What a model's peak in a region needs of each kind of quota over the joint draws, under both readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import SelfHostedChoice
from capacity.fleet.service_level import JointLevel, short_of
from capacity.quotas.pressure import mean_call_tokens
from capacity.quotas.quota import MINUTE_S, CallTokens, Granted, assumed_latency_s, granted_limits
from capacity.rows.needs import QuotaNeed
from capacity.simulator.requests import Floats
from scenarios.demand import INTERACTIONS


@dataclass(frozen=True)
class QuotaDraws:
    """What a model's peak in a region needs of each kind of quota, [n] over the joint draws, under both readings."""

    settlement: Mapping[str, Floats]
    reservation: Mapping[str, Floats]

    @property
    def needs(self) -> dict[str, Floats]:
        """By kind, the reading that needs more."""
        return {kind: np.maximum(self.settlement[kind], self.reservation[kind]) for kind in self.settlement}

    def plus(self, more: QuotaDraws) -> QuotaDraws:
        """Both together, kind by kind."""
        return QuotaDraws(
            {kind: need + more.settlement[kind] for kind, need in self.settlement.items()},
            {kind: need + more.reservation[kind] for kind, need in self.reservation.items()},
        )


def quota_draws(inputs: PlanInputs, name: str, region: str) -> QuotaDraws:
    """Every kind's need over the joint draws: demand, turns, routes, tokens, hits and retried attempts."""
    calls, mask, draws = inputs.calls, inputs.calls.of(name), inputs.draws
    carried, demand = inputs.carried_per_s(name, region), inputs.demand[INTERACTIONS][region]
    count = draws.turns * draws.routes.get(name, 1.0) * (1 + inputs.scenario.capacity.resilience.retry_extra_attempts)
    per_s = carried.p50 * draws.peak.get((INTERACTIONS, region), draws.demand[INTERACTIONS]) * count
    per_day = demand.starts_busiest_day * calls.per_interaction(name) * draws.demand[INTERACTIONS] * count
    read = float(calls.cache_read_tokens[mask].mean())
    written = float((calls.cache_write_tokens_5m + calls.cache_write_tokens_1h)[mask].mean())
    lost = np.maximum(-written, read * (1 - draws.cache_hits))
    charged_input = (float(calls.input_tokens[mask].mean()) + written + lost) * draws.input_tokens
    output = float(calls.output_tokens[mask].mean()) * draws.output_tokens
    tokens, max_tokens = quota_tokens(inputs, name)
    reserved = (tokens.reserved - max_tokens) * draws.input_tokens + max_tokens
    peak = _Peak(per_s, per_day, charged_input, output, reserved, max_tokens)
    return _by_kind(inputs, name, region, peak)


def overflow_draws(inputs: PlanInputs, choice: SelfHostedChoice) -> QuotaDraws:
    """What the calls that a fleet does not take need of their target's quotas, over the joint draws, nothing cached."""
    overflow, draws = choice.overflow, inputs.draws
    assert overflow is not None  # callers have one
    demand, model = inputs.demand[INTERACTIONS][choice.region], inputs.prices.models[overflow.target]
    prompt, output = overflow.prompt_tokens * draws.input_tokens, overflow.output_tokens * draws.output_tokens
    attempts = 1 + inputs.scenario.capacity.resilience.retry_extra_attempts
    per_s = choice.beyond_at_peak(draws) * attempts
    per_day = choice.overflow_calls(draws) * attempts * demand.starts_busiest_day / max(demand.starts, 1e-300)
    max_tokens = inputs.scenario.assistant.max_tokens or model.max_output_tokens
    peak = _Peak(per_s, per_day, prompt, output, prompt + max_tokens, max_tokens)
    return _by_kind(inputs, overflow.target, choice.region, peak)


@dataclass(frozen=True)
class _Peak:
    """Calls a second of the peak and of the busiest day; tokens of a call that are charged, and that it reserves."""

    per_s: Floats
    per_day: Floats
    charged_input: Floats
    output: Floats
    reserved: Floats
    max_tokens: int


def _by_kind(inputs: PlanInputs, name: str, region: str, peak: _Peak) -> QuotaDraws:
    """Both readings of every kind that the model has in the region."""
    model = inputs.prices.models[name]
    settled = peak.charged_input + peak.output * (model.quota.output_burndown_ratio if model.quota else 1.0)
    held = peak.per_s * min(latency_s(inputs, name), MINUTE_S)
    in_flight, per_minute = held * peak.reserved, peak.per_s * MINUTE_S
    settlement = {
        "rpm": per_minute,
        "tpm": per_minute * settled,
        "tpd": peak.per_day * settled,
        "input_tpm": per_minute * peak.charged_input,
        "output_tpm": per_minute * peak.output,
    }
    admitted = held * (peak.charged_input + peak.max_tokens)
    reservation = settlement | {"tpm": in_flight, "tpd": in_flight, "input_tpm": admitted}
    kinds = limits_of(inputs, name, region).kinds
    return QuotaDraws({kind: settlement[kind] for kind in kinds}, {kind: reservation[kind] for kind in kinds})


def at_level(need: QuotaNeed, drawn: QuotaDraws, joint: JointLevel) -> QuotaNeed:
    """A row with what is asked for at the joint level, and the probability that the peak needs more."""
    settled, reserved = (joint.of(part[need.kind]) for part in (drawn.settlement, drawn.reservation))
    needs = drawn.needs[need.kind]
    most = joint.of(needs)
    settled, reserved = (most, reserved) if settled >= reserved else (settled, most)
    row = replace(
        need,
        needed_settlement=replace(need.needed_settlement, bought=settled),
        needed_reservation=replace(need.needed_reservation, bought=reserved),
    )
    return replace(row, short=short_of(needs <= row.ask))


def quota_tokens(inputs: PlanInputs, name: str) -> tuple[CallTokens, int]:
    """What a mean call of a Bedrock model takes from its quota, and the max_tokens it reserves."""
    return mean_call_tokens(inputs.calls, inputs.prices.models[name], inputs.scenario.assistant.max_tokens)


def limits_of(inputs: PlanInputs, name: str, region: str) -> Granted:
    """What a Bedrock model may be asked in a region: stated, held, or published."""
    model = inputs.prices.models[name]
    held = inputs.held.limits(model, region) if inputs.held is not None else None
    return granted_limits(model, inputs.scenario.quotas.get(name), held)


def latency_s(inputs: PlanInputs, name: str) -> float:
    """Mean seconds of a model's call: the run's, else the stated assumption."""
    measured = inputs.calls.latency_s.get(name)
    if measured is not None:
        return measured
    return assumed_latency_s(float(inputs.calls.output_tokens[inputs.calls.of(name)].mean()))
