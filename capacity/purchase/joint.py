"""What is bought and asked for at one joint level: every fleet, every quota ask and the budget, in the same draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from capacity.cost.bill import ELSEWHERE
from capacity.fleet.bookable import beyond_grants, unbookable
from capacity.fleet.fallback_chain import Diverted, diverted
from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import INTERACTIONS, Base, BedrockSpend
from capacity.fleet.service_level import JointLevel, Mask, all_carried, joint_level, short_of
from capacity.fleet.supply import (
    Market,
    Simulated,
    Sized,
    bedrock_supply,
    self_hosted_services,
    size_self_hosted,
)
from capacity.plan import ServiceLevel, SupplyPlan
from capacity.purchase.value import level_by_value
from capacity.quotas.draws import QuotaDraws, quota_draws
from capacity.simulator.requests import Floats
from facts.reader import Quality

STATED, VALUE = "stated", "value"
ASKS_SHARE = 0.2
"""Of the draws that may fall short, those in which a quota ask or the budget does: an expert estimate."""
ROUNDS_MAX = 4
"""A chip that is cheapest for the level it is bought at is looked for so often."""


@dataclass(frozen=True)
class SizedPlan:
    """Every model in every region, and what is bought and asked for; bool [n] of each part.

    inputs: at the level that is planned. basis: whether that level is stated or follows from the value of an
    interaction. tokens_usd: the level's order statistic of the event's dollars beside fleets.
    """

    inputs: PlanInputs
    basis: str
    supplies: list[SupplyPlan]
    sized: list[Sized]
    base: Base
    moved: tuple[Diverted, ...]
    budget_usd: float
    fleet_carried: dict[str, Mask]  # by region: no fleet of it falls short
    quota_carried: dict[str, Mask]
    budget_carried: Mask
    reached: bool

    @property
    def carried(self) -> Mask:
        """Draws in which no fleet, no quota ask and not the budget falls short."""
        return all_carried(self.fleet_carried) & all_carried(self.quota_carried) & self.budget_carried


@dataclass(frozen=True)
class _Needs:
    """Over the draws: load of every fleet, every kind of every quota, and dollars beside fleets."""

    fleets: Mapping[tuple[str, str], Floats]
    quotas: Mapping[tuple[str, str], QuotaDraws]
    tokens_usd: Floats

    def joint(self, level: float) -> tuple[JointLevel, JointLevel]:
        """Of the fleets, and of asks and budget, so that all of them together carry the level.

        Asks and tokens buy no fleet, so they may fall short in a fifth of what the level allows, and fleets, whose
        last percent is the dearest, in the rest. Where too many draws can be served by no fleet, fleets carry all
        that can be.
        """
        asked = [need for each in self.quotas.values() for need in each.needs.values()]
        asks = joint_level([*asked, self.tokens_usd], 1 - (1 - level) * ASKS_SHARE)
        return joint_level([*self.fleets.values()], level, among=asks.carried), asks


def simulated_services(inputs: PlanInputs) -> dict[str, Simulated]:
    """Every self-hosted model on every allowed chip; the same at every service level."""
    hosted = [name for name in inputs.model_names if inputs.prices.models[name].supply != "bedrock"]
    return {name: self_hosted_services(inputs, name) for name in hosted}


def size_supplies(
    inputs: PlanInputs, qualities: Sequence[Quality] = (), simulated: Mapping[str, Simulated] | None = None
) -> SizedPlan:
    """Every model in every region, with what is bought at the joint level.

    Self-hosted models are simulated once; each fleet is sized alone to choose its chip, then all at the joint level,
    which follows from the value of an interaction where that is given.
    """
    simulated = simulated_services(inputs) if simulated is None else simulated
    drawn = {
        (name, region): quota_draws(inputs, name, region)
        for name in inputs.model_names
        if name not in simulated
        for region in inputs.regions
    }
    alone, _ = _bookable(inputs, simulated, None)
    moved = diverted(inputs, {item.model: why_not(item) for item in alone if not item.choices}, qualities)
    tokens_usd = _base(inputs, (), moved).bedrock_usd(inputs.draws) * np.ones(inputs.scenario.capacity.draws)
    needs = _Needs(_loads(inputs, alone), drawn, tokens_usd)
    level = level_by_value(inputs, [c for item in alone for c in item.choices], lambda at: needs.joint(at)[0])
    inputs = inputs if level is None else inputs.at_level(level)
    sized, fleets, asks = _at_joint_level(inputs, simulated, needs)
    supplies: list[SupplyPlan] = []
    for name in inputs.model_names:
        if name in simulated:
            supplies += next(item.supplies for item in sized if item.model == name)
        else:
            supplies += [bedrock_supply(inputs, name, r, drawn[name, r], asks) for r in inputs.regions]
    base = _base(inputs, sized, moved)
    budget = asks.of(tokens_usd)
    fleet_carried, quota_carried = _carried(inputs, base, supplies, drawn)
    return SizedPlan(
        inputs=inputs,
        basis=STATED if level is None else VALUE,
        supplies=supplies,
        sized=sized,
        base=base,
        moved=tuple(moved),
        budget_usd=base.fleets_usd + budget,
        fleet_carried=fleet_carried,
        quota_carried=quota_carried,
        budget_carried=np.asarray(tokens_usd <= budget),
        reached=fleets.reached,
    )


def _base(inputs: PlanInputs, sized: Sequence[Sized], moved: Sequence[Diverted]) -> Base:
    """The base case: fleets as chosen, tokens, and calls that are served on another model."""
    elsewhere = {
        f"{each.model}{ELSEWHERE}{each.target}": BedrockSpend(input=each.prompt_usd, output=each.output_usd)
        for each in moved
        if each.target
    }
    own = [choice for item in sized for choice in item.choices if choice.load_per_s > 0]
    return inputs.base(own, elsewhere=elsewhere)


def _loads(inputs: PlanInputs, sized: Sequence[Sized]) -> dict[tuple[str, str], Floats]:
    return {
        (choice.service.model, choice.region): choice.load_at_middle_rate(inputs.draws)
        for item in sized
        for choice in item.choices
        if choice.load_per_s > 0
    }


def _at_joint_level(
    inputs: PlanInputs, simulated: Mapping[str, Simulated], needs: _Needs
) -> tuple[list[Sized], JointLevel, JointLevel]:
    """Every fleet at the joint level, on the chip that is cheapest there; and the levels of fleets and asks."""
    fleets, asks = needs.joint(inputs.service_level)
    sized, _ = _bookable(inputs, simulated, fleets)
    before = sized
    for _ in range(ROUNDS_MAX):
        before = sized
        fleets, asks = replace(needs, fleets=_loads(inputs, before)).joint(inputs.service_level)
        sized, _ = _bookable(inputs, simulated, fleets)
        if _chips(sized) == _chips(before):
            return sized, fleets, asks
    # Chips take turns, each the cheaper at the level of the other: each is sized at its own, and the cheaper stays.
    ends = [_settled(inputs, simulated, needs, each) for each in (before, sized)]
    return min(ends, key=lambda end: _base(inputs, end[0], ()).fleets_usd)


def _settled(
    inputs: PlanInputs, simulated: Mapping[str, Simulated], needs: _Needs, chosen: Sequence[Sized]
) -> tuple[list[Sized], JointLevel, JointLevel]:
    """The chips that were chosen, whatever else may be cheaper, at their own joint level."""
    fleets, asks = replace(needs, fleets=_loads(inputs, chosen)).joint(inputs.service_level)
    choices = [choice for item in chosen for choice in item.choices]
    fixed = {(each.region, each.service.model): each.offer.instance.instance for each in choices}
    sized, _ = _bookable(inputs, simulated, fleets, fixed)
    return sized, fleets, asks


def _chips(sized: Sequence[Sized]) -> list[tuple[str, str, str]]:
    return [(each.service.model, each.region, each.service.step.chip) for item in sized for each in item.choices]


def _carried(
    inputs: PlanInputs, base: Base, supplies: Sequence[SupplyPlan], drawn: Mapping[tuple[str, str], QuotaDraws]
) -> tuple[dict[str, Mask], dict[str, Mask]]:
    """By region: draws in which no fleet of it, and in which no quota ask of it, falls short."""
    asks = {(s.model, s.region, q.kind): q.ask for s in supplies for q in s.quotas}
    every = np.ones(inputs.scenario.capacity.draws, dtype=bool)
    fleets, quotas = {}, {}
    for region in inputs.regions:
        bought = [
            choice.load_at_middle_rate(inputs.draws) <= choice.load_per_s * choice.bought_over_p50 * (1 + 1e-12)
            for choice in base.own
            if choice.region == region
        ]
        asked = [
            need <= asks[name, where, kind]
            for (name, where), each in drawn.items()
            if where == region
            for kind, need in each.needs.items()
        ]
        fleets[region] = np.all([every, *bought], axis=0)
        quotas[region] = np.all([every, *asked], axis=0)
    return fleets, quotas


def _bookable(
    inputs: PlanInputs,
    simulated: Mapping[str, Simulated],
    joint: JointLevel | None,
    fixed: Mapping[tuple[str, str], str] | None = None,
) -> tuple[list[Sized], dict[tuple[str, str], str]]:
    """Every model sized with what can be booked; and what cannot, where something else serves in its place.

    fixed: by region and model, the one instance type that is looked at.

    What nothing else serves stays chosen, and is an exception to ask for (`bookable.supply_findings`).
    """
    barred: dict[tuple[str, str], str] = {}
    rules = inputs.scenario.capacity.resilience
    while True:
        market = Market(owned_instances(inputs), barred, fixed or {})
        alone = [size_self_hosted(inputs, each, joint, market) for each in simulated.values()]
        choices = [choice for item in alone for choice in item.choices]
        reasons = unbookable(choices, rules) | beyond_grants(inputs, choices)
        more = barred | reasons
        if more == barred:
            return alone, barred
        market = Market(owned_instances(inputs), more, fixed or {})
        instead = [size_self_hosted(inputs, each, joint, market) for each in simulated.values()]
        if sum(len(item.choices) for item in instead) < sum(len(item.choices) for item in alone):
            return alone, barred
        barred = more


def owned_instances(inputs: PlanInputs) -> dict[tuple[str, str], int]:
    """By region and type, paid for already."""
    return {(region, kind): count for region in inputs.regions for kind, count in inputs.prices.owned.items()}


def why_not(item: Sized) -> str:
    """Why no chip serves a model."""
    reasons = [f"{option.chip}: {option.rejected}" for option in item.supplies[0].options]
    return "; ".join(reasons) or "no chips allowed, or no step model of them"


def stated_level(sized: SizedPlan) -> ServiceLevel:
    """The one probability of the plan, and what it is made of."""
    inputs, draws = sized.inputs, sized.inputs.draws
    beyond = [
        choice.service.surface.beyond(draws.input_tokens, draws.output_tokens, draws.prefix_hits)
        for choice in sized.base.own
        if choice.stream == INTERACTIONS
    ]
    return ServiceLevel(
        level=inputs.service_level,
        basis=sized.basis,
        fleet_short=short_of(all_carried(sized.fleet_carried)),
        quota_short=short_of(all_carried(sized.quota_carried)),
        short=short_of(sized.carried),
        region_short={
            region: short_of(sized.fleet_carried[region] & sized.quota_carried[region]) for region in inputs.regions
        },
        budget_usd=sized.budget_usd,
        budget_short=short_of(sized.budget_carried),
        reached=sized.reached,
        beyond_design_ratio=max(beyond, default=0.0),
    )
