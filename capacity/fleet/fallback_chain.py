"""Where a peak beyond what was bought or granted goes: self-hosted chips, API to its quota, smaller model, queue, shed.

Sized at two levels of demand: the p90 of demand, and the p99 of the joint draws. A tier takes what its
limit leaves after its own traffic; what no tier takes waits in a queue while customers are patient; the rest is shed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import Overflow, SelfHostedChoice
from capacity.quotas.draws import latency_s, limits_of, quota_tokens
from capacity.quotas.quota import assumed_latency_s, call_tokens, steady_bound_per_s
from capacity.rows.needs import FallbackTier
from capacity.simulator.requests import Floats
from facts.reader import Quality
from scenarios.demand import INTERACTIONS

LEVELS = ("p90 of demand", "p99 of the draws")


@dataclass(frozen=True)
class _Place:
    """A model in a region as somewhere to send calls: its own traffic and its limit, in its own calls a second."""

    load_per_s: float
    limit_per_s: float
    why: str


def fallback_chains(
    inputs: PlanInputs, choices: Sequence[SelfHostedChoice], quality_rows: Sequence[Quality]
) -> tuple[FallbackTier, ...]:
    """Every answering model's chain in every region at both levels; its calls add up to the peak."""
    answering = [name for name in inputs.model_names if not inputs.is_planner(name) and inputs.calls.of(name).any()]
    order = _orders(
        inputs, [name for name in inputs.scenario.models if not inputs.is_planner(name)], answering, quality_rows
    )
    named = dict.fromkeys([*answering, *(other for chain in order.values() for other in chain)])
    rows: list[FallbackTier] = []
    for region in inputs.regions:
        for level in LEVELS:
            places = {name: _place(inputs, name, region, level, choices) for name in named}
            free = {name: _free_share(place) for name, place in places.items()}
            for name in answering:
                rows += _chain(inputs, name, region, level, order[name], places, free, quality_rows)
    return tuple(rows)


@dataclass(frozen=True)
class NextModel:
    """Where a self-hosted model's calls go first that its fleet does not take, and what one costs there, uncached."""

    name: str
    prompt_usd: float  # of a call
    output_usd: float
    prompt_tokens: float
    output_tokens: float

    @property
    def usd_per_call(self) -> float:
        """Prompt and answer."""
        return self.prompt_usd + self.output_usd


def overflows(inputs: PlanInputs, names: Sequence[str]) -> dict[tuple[str, str], Overflow]:
    """By region and model, the first model of the scenario's own chain that has a token price and quota asks.

    A model whose chain the scenario does not state keeps its calls: sending them on is the customer's decision.
    """
    stated = inputs.scenario.assistant.fallback.chains
    following = next_models(inputs, [name for name in names if stated.get(name)], (), called=True)
    return {
        (region, name): overflow_of(inputs, name, region, target)
        for name, target in following.items()
        for region in inputs.regions
    }


def overflow_of(inputs: PlanInputs, name: str, region: str, target: NextModel) -> Overflow:
    """What a fleet's calls beyond it cost on the next model, over the region's timeline."""
    rules, demand = inputs.scenario.capacity.resilience, inputs.demand[INTERACTIONS][region]
    rate = np.array(demand.timeline.interactions_per_s_p50)
    seconds: Floats = np.diff(np.append(np.array(demand.timeline.offset_s), inputs.scenario.event.length_s))
    shape = rate / max(float(rate.max()), 1e-300)
    carried = np.unique(np.append(shape, [0.0, 1.0]))
    # of each level the seconds above it, and the calls in them: their difference is what goes beyond
    order = np.argsort(shape)
    above_s = np.append(np.cumsum(seconds[order][::-1])[::-1], 0.0)
    above = np.append(np.cumsum((seconds * shape)[order][::-1])[::-1], 0.0)
    place = np.searchsorted(shape[order], carried, side="right")
    attempts = 1 + rules.retry_extra_attempts
    return Overflow(
        target=target.name,
        prompt_usd=target.prompt_usd * attempts,
        output_usd=target.output_usd * attempts,
        prompt_tokens=target.prompt_tokens,
        output_tokens=target.output_tokens,
        calls=inputs.calls_in_event(name, region),
        spare=inputs.region_factor(region) * rules.zones / (rules.zones - rules.zones_lost),
        carried=carried,
        beyond=(above[place] - carried * above_s[place]) / max(float(above[0]), 1e-300),
    )


def next_models(
    inputs: PlanInputs, names: Sequence[str], quality_rows: Sequence[Quality], *, called: bool = False
) -> dict[str, NextModel]:
    """The first model of each chain that has a token price (called: and calls of its own); others are left out."""
    known = [name for name in inputs.scenario.models if not inputs.is_planner(name)]
    orders = _orders(inputs, known, [name for name in names if inputs.calls.of(name).any()], quality_rows)
    following = {}
    for name, order in orders.items():
        priced = (other for other in order if inputs.prices.models[other].prices)
        target = next((other for other in priced if not called or inputs.calls.of(other).any()), None)
        prices = inputs.prices.models[target].prices if target is not None else None
        if target is None or prices is None:
            continue
        tokens = _tokens(inputs, name, target)
        following[name] = NextModel(
            target,
            tokens["prompt"] * prices.input_usd_per_mtok / 1e6,
            tokens["output"] * prices.output_usd_per_mtok / 1e6,
            tokens["prompt"],
            tokens["output"],
        )
    return following


@dataclass(frozen=True)
class Diverted:
    """Calls of a self-hosted model that no fleet serves: priced at the next model that can, with nothing cached."""

    model: str
    target: str | None
    usd_per_call: float
    prompt_usd: float  # of the event at the median demand
    output_usd: float
    note: str


def diverted(inputs: PlanInputs, unserved: Mapping[str, str], quality_rows: Sequence[Quality]) -> list[Diverted]:
    """Every unserved model, why by name: its calls go to the first model of its chain that has a price.

    So that a tighter SLO, or fewer chips allowed, never makes an event cheaper by serving less of it.
    """
    following = next_models(inputs, list(unserved), quality_rows)
    rows = []
    for name, why in unserved.items():
        calls = sum(inputs.calls_in_event(name, region) for region in inputs.regions)
        if not calls:
            continue
        turns = len(set(inputs.calls.turn[inputs.calls.of(name)].tolist())) / inputs.calls.turns
        what = f"{name}: no fleet serves it ({why}); {calls:,.0f} calls of the event, {turns:.0%} of turns"
        target = following.get(name)
        if target is None or inputs.is_planner(name):
            rows.append(Diverted(name, None, 0.0, 0.0, 0.0, f"{what}, are not served and in no cost"))
            continue
        note = f"{what}, are priced on {target.name} with nothing cached, and are in none of its quota asks"
        prompt, output = target.prompt_usd * calls, target.output_usd * calls
        rows.append(Diverted(name, target.name, target.usd_per_call, prompt, output, note))
    return rows


def _orders(
    inputs: PlanInputs, known: Sequence[str], answering: Sequence[str], quality_rows: Sequence[Quality]
) -> dict[str, list[str]]:
    """The scenario's chain of each model; where it states none, every other model, the best scored first."""
    stated = inputs.scenario.assistant.fallback.chains
    ranked = sorted(known, key=lambda name: -_quality(name, quality_rows))
    return {name: list(stated.get(name) or [other for other in ranked if other != name]) for name in answering}


def _chain(
    inputs: PlanInputs, name: str, region: str, level: str, order: Sequence[str], places: Mapping[str, _Place],
    free: dict[str, float], quality_rows: Sequence[Quality],
) -> list[FallbackTier]:  # fmt: skip
    need = places[name].load_per_s
    left, rows = need, []

    def add(tier: str, to: str, calls: float, usd: float | None, waits_s: float | None, limit: str) -> None:
        share = calls / need if need else 0.0
        rows.append(FallbackTier(region, name, level, tier, to, calls, share, usd, waits_s, limit))

    for target in (name, *order):
        place = places[target]
        if target == name:
            taken = min(left, place.limit_per_s)
        else:
            bound = _bound_for(inputs, name, target, region, place)
            taken = min(left, free[target] * bound)
            free[target] -= taken / bound if bound else 0.0
        left -= taken
        if taken > 0 or target == name:
            add(
                _kind(inputs, name, target, quality_rows),
                target,
                taken,
                _usd(inputs, name, target),
                _seconds(inputs, name, target),
                place.why,
            )
        if left <= 1e-9 * need:
            return rows
    queued, waits_s = _queue(inputs, region, need, need - left)
    queued = min(queued, left)
    if queued > 0:
        add("queue", name, queued, 0.0, waits_s, f"customers wait {waits_s:.0f} s")
    value = inputs.scenario.capacity.value_per_interaction_usd
    lost = None if value is None else value / inputs.calls.per_calling_interaction(name)
    add("shed", "", left - queued, lost, None, "nothing is left that would take it")
    return rows


def _place(inputs: PlanInputs, name: str, region: str, level: str, choices: Sequence[SelfHostedChoice]) -> _Place:
    load = _peak_per_s(inputs, name, region, level)
    if inputs.prices.models[name].supply == "bedrock":
        limits = limits_of(inputs, name, region)
        if not limits.known:
            called = inputs.calls.of(name).any()
            return _Place(load, load if called else 0.0, "no quota figure: its own traffic is counted on, no more")
        if not inputs.calls.of(name).any():
            return _Place(0.0, np.inf, limits.source)
        tokens, _ = quota_tokens(inputs, name)
        return _Place(load, steady_bound_per_s(limits, tokens, latency_s(inputs, name)), limits.source)
    for choice in choices:
        if (choice.service.model, choice.region) == (name, region):
            rules = inputs.scenario.capacity.resilience
            groups = float(choice.bought(rules).instances.max()) / rules.zones
            return _Place(load, choice.calls_per_group(rules) * groups, f"{choice.service.step.chip}, the bought fleet")
    return _Place(load, 0.0, "not sized")


def _peak_per_s(inputs: PlanInputs, name: str, region: str, level: str) -> float:
    carried = inputs.carried_per_s(name, region)
    if level == LEVELS[0]:
        return carried.p90
    drawn = inputs.draws.peak.get((INTERACTIONS, region), inputs.draws.demand[INTERACTIONS]) * inputs.draws.turns
    return max(carried.p90, carried.p50 * float(np.quantile(drawn, 0.99)))


def _free_share(place: _Place) -> float:
    """Share of a place's limit that its own traffic leaves."""
    if place.limit_per_s <= 0:
        return 0.0
    return max(0.0, 1 - place.load_per_s / place.limit_per_s)


def _bound_for(inputs: PlanInputs, name: str, target: str, region: str, place: _Place) -> float:
    """Calls a second of one model's lengths that a target's whole limit would serve; own chips as for its own calls."""
    model = inputs.prices.models[target]
    if model.supply != "bedrock" or not place.limit_per_s:
        return place.limit_per_s
    limits, tokens = limits_of(inputs, target, region), _tokens(inputs, name, target)
    if not limits.known:
        return 0.0
    moved = call_tokens(
        input_tokens=tokens["prompt"], cache_read_tokens=0.0, cache_write_tokens=0.0, output_tokens=tokens["output"],
        max_tokens=inputs.scenario.assistant.max_tokens or model.max_output_tokens,
        output_burndown_ratio=model.quota.output_burndown_ratio if model.quota else 1.0,
    )  # fmt: skip
    return steady_bound_per_s(limits, moved, _seconds(inputs, name, target) or 0.0)


def _tokens(inputs: PlanInputs, name: str, target: str) -> dict[str, float]:
    """Tokens of one model's mean call, as the target's tokenizer cuts them."""
    mask, models = inputs.calls.of(name), inputs.prices.models
    ratio = models[target].tokenizer_ratio / models[name].tokenizer_ratio
    return {
        "prompt": float(inputs.calls.prompt_tokens[mask].mean()) * ratio,
        "output": float(inputs.calls.output_tokens[mask].mean()) * ratio,
    }


def _usd(inputs: PlanInputs, name: str, target: str) -> float:
    """A call of one model's lengths on another: tokens uncached; 0 on chips, which are paid for already."""
    prices = inputs.prices.models[target].prices
    if prices is None or target == name:
        return 0.0
    tokens = _tokens(inputs, name, target)
    return (tokens["prompt"] * prices.input_usd_per_mtok + tokens["output"] * prices.output_usd_per_mtok) / 1e6


def _seconds(inputs: PlanInputs, name: str, target: str) -> float:
    """Mean seconds of a call; on self-hosted chips what their SLOs allow at most."""
    output = _tokens(inputs, name, target)["output"]
    own = inputs.scenario.capacity.own.get(target)
    if inputs.prices.models[target].supply != "bedrock":
        return own.ttft_s_p99 + output * own.tpot_s_p99 if own is not None else assumed_latency_s(output)
    return latency_s(inputs, target) if inputs.calls.of(target).any() else assumed_latency_s(output)


def _kind(inputs: PlanInputs, name: str, target: str, quality_rows: Sequence[Quality]) -> str:
    if inputs.prices.models[target].supply != "bedrock":
        return "self-hosted chips"
    if target != name and _quality(target, quality_rows) < _quality(name, quality_rows):
        return "smaller model"
    return "API to its quota"


def _quality(name: str, quality_rows: Sequence[Quality]) -> float:
    rows = [row.acceptable_ratio for row in quality_rows if row.model == name]
    return float(np.mean(rows)) if rows else 0.0


def _queue(inputs: PlanInputs, region: str, need_per_s: float, served_per_s: float) -> tuple[float, float]:
    """Calls a second that a queue takes over the peak point of the timeline, and how long customers wait at most."""
    patience = inputs.scenario.mix.patience_s
    waits_s = patience.median if patience is not None else 0.0
    timeline = inputs.demand[INTERACTIONS][region].timeline
    offset_s, rate = np.array(timeline.offset_s), np.array(timeline.interactions_per_s_p90)
    lasts_s: Floats = np.diff(np.append(offset_s, inputs.scenario.event.length_s))
    load = rate / max(float(rate.max()), 1e-300) * need_per_s
    over = load > served_per_s
    seconds = float(lasts_s[over].sum())
    return (served_per_s * waits_s / seconds if seconds else 0.0), waits_s
