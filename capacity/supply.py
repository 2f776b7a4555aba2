"""One model in one region: what Bedrock must grant, or what own silicon must hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from capacity.case import INTERACTIONS, PLANNER_QUERIES, Case
from capacity.fleet import Box, priced_boxes
from capacity.outcome import OwnChoice, RateRatio
from capacity.plan import Figure, Levels, QuotaNeed, SupplyPlan, weakest
from capacity.quota import call_tokens, granted, needs
from capacity.requests import Floats, Ints
from capacity.service import Lengths, Promise, throughput_bound_per_s
from capacity.silicon import Service, chip_options, services, usable_models

SAMPLE_CALLS_MAX = 4_000


@dataclass(frozen=True)
class Sized:
    """One own model: its services on every chip, its supply in every region, and what to warn about."""

    model: str
    lengths: Lengths
    services: tuple[Service, ...]
    supplies: tuple[SupplyPlan, ...]
    warnings: tuple[str, ...]

    @property
    def provenance(self) -> str:
        """Weakest of its services."""
        return weakest([service.provenance for service in self.services])

    def service(self, chip: str) -> Service:
        """The service on a chip."""
        return next(service for service in self.services if service.step.chip == chip)


def bedrock_supply(case: Case, name: str, region: str) -> SupplyPlan:
    """Quota needs of one model in one region, and which kind binds."""
    calls, model = case.calls, case.prices.models[name]
    mask = calls.of(name)
    max_tokens = case.scenario.assistant.max_tokens or model.max_output_tokens
    write = (calls.cache_write_tokens_5m + calls.cache_write_tokens_1h)[mask].mean()
    tokens = call_tokens(
        input_tokens=float(calls.input_tokens[mask].mean()),
        cache_read_tokens=float(calls.cache_read_tokens[mask].mean()),
        cache_write_tokens=float(write),
        output_tokens=float(calls.output_tokens[mask].mean()),
        max_tokens=max_tokens,
        output_burndown_ratio=model.quota.output_burndown_ratio if model.quota else 1.0,
    )
    carried = case.carried_per_s(name, region)
    per_day = case.demand[INTERACTIONS][region].starts_busiest_day * calls.per_interaction(name)
    ratio = [carried.p90 / carried.p50, carried.p95 / carried.p50] if carried.p50 else [1.0, 1.0]
    limits = granted(model, case.scenario.quotas.get(name))
    quotas = needs(
        carried,
        Levels(per_day, per_day * ratio[0], per_day * ratio[1]),
        tokens,
        limits,
        case.demand[INTERACTIONS][region].timeline,
    )
    return SupplyPlan(
        region=region,
        model=name,
        supply="bedrock",
        calls_per_s=carried,
        input_tokens_per_call=_tokens_figure(case, name, calls.prompt_tokens[mask]),
        output_tokens_per_call=_tokens_figure(case, name, calls.output_tokens[mask]),
        binding=binding_quota(quotas),
        quotas=quotas,
    )


def binding_quota(quotas: Sequence[QuotaNeed]) -> str:
    """The kind nearest to its limit at p90, under the reading that is nearer."""
    ratios = [
        (max(need.needed_settlement.p90, need.needed_reservation.p90) / need.granted, need)
        for need in quotas
        if need.granted
    ]
    if not ratios:
        return "no quota figure: read your account's Service Quotas"
    share, need = max(ratios, key=lambda row: row[0])
    reading = "reservation" if need.needed_reservation.p90 > need.needed_settlement.p90 else "settlement"
    return f"{need.kind} ({reading}): {share:.0%} of {need.granted:,.0f} at p90"


def own_supply(case: Case, name: str) -> Sized:
    """Rates of one own model on every allowed chip, and its fleets in every region."""
    own = case.scenario.capacity.own.get(name)
    lengths, promise = _lengths(case, name), None
    made: list[Service] = []
    notes: list[str] = []
    if own is None:
        notes.append(f"{name}: no chips allowed in capacity.own, so it is not sized and costs nothing here")
    else:
        steps = usable_models(own, name, case.prices.models[name], case.step_models)
        if not steps:
            notes.append(
                f"{name}: no step model for {', '.join(own.chips)}; measure it with `peakday bench run`: not sized"
            )
        deadline = _deadline_s(case, name)
        promise = Promise(own.ttft_s_p99, own.tpot_s_p99, deadline)
        origin = case.calls.provenance.get(name, "assumed")
        made, warned = services(name, own, steps, lengths, promise, origin, case.seed)
        notes += warned
    supplies = tuple(_own_region(case, name, region, made, lengths) for region in case.regions)
    if made and all(supply.chosen is None for supply in supplies):
        why = "; ".join(f"{option.chip}: {option.turned_down}" for option in supplies[0].options)
        notes.append(f"{name}: no chip keeps its promise ({why}): not sized, and its cost is missing from the totals")
    return Sized(name, lengths, tuple(made), supplies, tuple(notes))


def _own_region(case: Case, name: str, region: str, made: Sequence[Service], lengths: Lengths) -> SupplyPlan:
    carried = case.carried_per_s(name, region)
    stream = PLANNER_QUERIES if case.is_planner(name) else INTERACTIONS
    options = chip_options(
        made,
        carried,
        carried.p50 * case.demand_draws[stream],
        case.error_draws,
        case.prices,
        case.scenario.capacity.resilience,
    )
    chosen = next((option for option in options if option.turned_down is None), None)
    return SupplyPlan(
        region=region,
        model=name,
        supply="self_hosted",
        calls_per_s=carried,
        input_tokens_per_call=_tokens_figure(case, name, lengths.input_tokens),
        output_tokens_per_call=_tokens_figure(case, name, lengths.output_tokens),
        binding=chosen.binding if chosen else "no usable chip: see warnings",
        options=options,
    )


def own_choices(case: Case, sized: Sequence[Sized]) -> list[OwnChoice]:
    """The chosen option of every own model and region, as the draws need it."""
    choices = []
    for item in sized:
        stream = PLANNER_QUERIES if case.is_planner(item.model) else INTERACTIONS
        for supply in item.supplies:
            if supply.chosen is None or supply.calls_per_s.p50 == 0:
                continue
            service = item.service(supply.chosen.chip)
            choices.append(
                OwnChoice(
                    model=item.model,
                    region=supply.region,
                    stream=stream,
                    load_per_s=supply.calls_per_s.p50,
                    step=service.step,
                    rate_per_s=service.rate.rate_per_s,
                    rate_ratio=_rate_ratio(service, item.lengths),
                    box=_box(case, supply.chosen.chip, supply.chosen.instance_type),
                    size_factor=supply.calls_per_s.p90 / supply.calls_per_s.p50,
                )
            )
    return choices


def own_usd_per_call(case: Case, supplies: Sequence[SupplyPlan]) -> dict[str, float]:
    """Dollars of chips per call: every region's fleet, spare and warm-up included, over the event's calls."""
    usd: dict[str, float] = {}
    for supply in supplies:
        if supply.supply == "self_hosted":
            spent = supply.chosen.usd_per_hour.mid * case.hours if supply.chosen else 0.0
            usd[supply.model] = usd.get(supply.model, 0.0) + spent
    calls = {name: sum(case.calls_in_event(name, region) for region in case.regions) for name in usd}
    return {name: total / calls[name] if calls[name] else 0.0 for name, total in usd.items()}


def _lengths(case: Case, name: str) -> Lengths:
    calls, mask = case.calls, case.calls.of(name)
    if case.is_planner(name) or not mask.any():
        queries = case.scenario.demand.background.planner_queries
        one, two = (queries.input_tokens, queries.output_tokens) if queries else (1, 1)
        return Lengths(np.array([max(1, one)]), np.array([max(1, two)]), np.array([0]))
    prompt = calls.prompt_tokens[mask][:SAMPLE_CALLS_MAX]
    answer = np.maximum(1, calls.output_tokens[mask][:SAMPLE_CALLS_MAX])
    cached = np.minimum(calls.cache_read_tokens[mask][:SAMPLE_CALLS_MAX], prompt - 1)
    return Lengths(prompt, answer, cached)


def _deadline_s(case: Case, name: str) -> float | None:
    queries = case.scenario.demand.background.planner_queries
    return queries.deadline_s if queries is not None and case.is_planner(name) else None


def _rate_ratio(service: Service, lengths: Lengths) -> RateRatio:
    """Rate per replica against token ratios, by the throughput bound: the promise's own curvature is left out."""
    from capacity.service import drawn_work

    base = throughput_bound_per_s(drawn_work(lengths, 500, 1), service.step)

    def ratio(prompt: Floats, answer: Floats, hits: Floats) -> Floats:
        shape = np.broadcast(prompt, answer, hits).shape
        found = [
            throughput_bound_per_s(drawn_work(lengths.scaled(p, a, h), 500, 1), service.step) / base
            for p, a, h in zip(*(np.broadcast_to(v, shape) for v in (prompt, answer, hits)), strict=True)
        ]
        return np.array(found)

    return ratio


def _box(case: Case, chip: str, instance_type: str) -> Box:
    boxes = priced_boxes(chip, 0.0, case.prices.instances, case.prices.own_usd_per_hour)
    return next(box for box in boxes if box.instance.instance == instance_type)


def _tokens_figure(case: Case, name: str, values: Ints) -> Figure:
    """Mean tokens of a call, with the 5th and 95th percentile of calls as its range."""
    origin = case.calls.provenance.get(name, "assumed")
    low, high = np.quantile(values, [0.05, 0.95])
    return Figure(
        float(values.mean()), float(min(low, values.mean())), float(max(high, values.mean())), "tokens", origin,
        case.calls.source, simulated=origin == "simulated",
    )  # fmt: skip
