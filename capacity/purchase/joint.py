"""What is bought and asked for at one joint level: every fleet, every quota ask and the budget, in the same draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from capacity.caching.risk import cache_stampedes
from capacity.cost.bill import ELSEWHERE, EMPTIED
from capacity.fleet.bookable import Limits, beyond_limits
from capacity.fleet.fallback_chain import Diverted, diverted, overflows
from capacity.fleet.inputs import PlanInputs
from capacity.fleet.outcome import Base, BedrockSpend, Overflow
from capacity.fleet.service_level import JointLevel, Mask, all_carried, joint_level, short_of
from capacity.fleet.supply import Market, Simulated, Sized, bedrock_supply, self_hosted_services, size_self_hosted
from capacity.purchase.between_seeds import SeedRange, seed_range
from capacity.purchase.value import level_by_value
from capacity.quotas.draws import QuotaDraws, overflow_draws, quota_draws
from capacity.rows.doubt import ServiceLevel
from capacity.rows.fleet import SupplyPlan
from capacity.simulator.requests import Floats
from facts.reader import Quality
from scenarios.demand import INTERACTIONS

STATED, VALUE = "stated", "value"
ASKS_SHARE = 0.2
"""Of the draws that may fall short, those in which a quota ask does, and the budget: an expert estimate."""
ROUNDS_MAX = 4
"""A chip that is cheapest for the level it is bought at is looked for so often."""
LIMITS_ROUNDS_MAX = 8
"""What can be had is shared anew so often."""


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
    range: SeedRange

    @property
    def carried(self) -> Mask:
        """Draws in which no fleet, no quota ask and not the budget falls short."""
        return all_carried(self.fleet_carried) & all_carried(self.quota_carried) & self.budget_carried


@dataclass(frozen=True)
class Joint:
    """What is bought and asked for at one level: order statistics of fleets and asks, and dollars beside fleets."""

    fleets: JointLevel
    asks: JointLevel
    tokens_usd: float


@dataclass(frozen=True)
class _Needs:
    """Over the draws: load of every fleet, every kind of every quota, and dollars beside fleets."""

    fleets: Mapping[tuple[str, str], Floats]
    quotas: Mapping[tuple[str, str], QuotaDraws]
    tokens_usd: Floats

    def joint(self, level: float) -> Joint:
        """Fleets, asks and budget at which all of them together carry the level.

        An ask and a budget cost nothing before they are used, so each may fall short in a fifth of what the level
        allows (in half of it where no fleet can), and fleets, whose last percent is the dearest, in the rest. Where too
        many draws can be served by no fleet, fleets carry all that can be.
        """
        unused = 1 - (1 - level) * (ASKS_SHARE if self.fleets else 0.5)
        asks = joint_level([need for each in self.quotas.values() for need in each.needs.values()], unused)
        budget = joint_level([self.tokens_usd], unused)
        fleets = joint_level([*self.fleets.values()], level, among=asks.carried & budget.carried)
        return Joint(fleets, asks, budget.of(self.tokens_usd))


@dataclass(frozen=True)
class _Question:
    """What rounds of sizing share. drawn: quotas' needs before any overflow. moved: calls that no fleet serves."""

    inputs: PlanInputs
    simulated: Mapping[str, Simulated]
    drawn: Mapping[tuple[str, str], QuotaDraws]
    overflows: Mapping[tuple[str, str], Overflow]
    moved: Sequence[Diverted]

    def needs(self, sized: Sequence[Sized]) -> _Needs:
        """Of these fleets and what goes beyond them."""
        inputs, quotas = self.inputs, dict(self.drawn)
        choices = [choice for item in sized for choice in item.choices if choice.load_per_s > 0]
        for choice in choices:
            if choice.overflow is not None:
                key = choice.overflow.target, choice.region
                quotas[key] = quotas[key].plus(overflow_draws(inputs, choice))
        base = _base(inputs, sized, self.moved)
        spent = base.bedrock_usd(inputs.draws) + base.overflow_usd(inputs.draws)
        alone = {
            (choice.service.model, choice.region): choice.load_at_middle_rate(inputs.draws)
            for choice in choices
            if choice.overflow is None
        }
        return _Needs(alone, quotas, spent * np.ones(inputs.scenario.capacity.draws))


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
    ways = overflows(inputs, list(simulated))
    asked = _Question(inputs, simulated, drawn, ways, ())
    alone = _bookable(asked, None)
    moved = diverted(inputs, {item.model: why_not(item) for item in alone if not item.choices}, qualities)
    asked = replace(asked, moved=moved)
    weighed = [c for item in alone for c in item.choices if c.overflow is None]
    level = level_by_value(inputs, weighed, lambda at: asked.needs(alone).joint(at).fleets)
    inputs = inputs if level is None else inputs.at_level(level)
    sized, needs, joint = _at_joint_level(replace(asked, inputs=inputs), alone)
    base = _base(inputs, sized, moved)
    supplies: list[SupplyPlan] = []
    for name in inputs.model_names:
        if name in simulated:
            own = next(item.supplies for item in sized if item.model == name)
            supplies += [_with_asks(inputs, base, supply, joint.asks) for supply in own]
        else:
            supplies += [bedrock_supply(inputs, name, r, needs.quotas[name, r], joint.asks) for r in inputs.regions]
    budget = joint.tokens_usd
    fleet_carried, quota_carried = _carried(inputs, base, supplies, needs.quotas)
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
        budget_carried=np.asarray(needs.tokens_usd <= budget),
        reached=joint.fleets.reached,
        range=seed_range(inputs, base, needs.tokens_usd, base.fleets_usd + budget),
    )


def _with_asks(inputs: PlanInputs, base: Base, supply: SupplyPlan, asks: JointLevel) -> SupplyPlan:
    """The supply with what its overflow holds of its target's asks, and how often that falls short."""
    chosen = supply.chosen
    if chosen is None or chosen.overflow is None:
        return supply
    choice = next(each for each in base.own if (each.service.model, each.region) == (supply.model, supply.region))
    beyond = choice.beyond_at_peak(inputs.draws)
    peak = asks.of(beyond)
    option = replace(
        chosen,
        overflow=replace(chosen.overflow, peak_calls_per_s=peak),
        short=short_of(beyond <= peak * (1 + 1e-12)),
        one_fewer_short=None,
    )
    return replace(supply, options=tuple(option if each is chosen else each for each in supply.options))


def _base(inputs: PlanInputs, sized: Sequence[Sized], moved: Sequence[Diverted]) -> Base:
    """The base case: fleets as chosen, tokens, calls that are served on another model, caches that a fault empties."""
    elsewhere = {
        f"{each.model}{ELSEWHERE}{each.target}": BedrockSpend(input=each.prompt_usd, output=each.output_usd)
        for each in moved
        if each.target
    }
    for row in cache_stampedes(inputs, faults_only=True):
        key = f"{row.model}{EMPTIED}"
        before = elsewhere.get(key, BedrockSpend())
        elsewhere[key] = BedrockSpend(input=before.input + row.usd)
    own = [choice for item in sized for choice in item.choices if choice.load_per_s > 0]
    return inputs.base(own, elsewhere=elsewhere)


def _at_joint_level(asked: _Question, alone: Sequence[Sized]) -> tuple[list[Sized], _Needs, Joint]:
    """Every fleet at the joint level, on the chip that is cheapest there; what is needed, and that level."""
    level, before = asked.inputs.service_level, list(alone)
    sized = before
    for _ in range(ROUNDS_MAX):
        before = sized
        needs = asked.needs(before)
        joint = needs.joint(level)
        sized = _bookable(asked, joint.fleets)
        if _chips(sized) == _chips(before):
            return sized, needs, joint
    # Chips take turns, each the cheaper at the level of the other: each is sized at its own, and the cheaper stays.
    ends = [_settled(asked, each) for each in (before, sized)]
    return min(ends, key=lambda end: _base(asked.inputs, end[0], ()).fleets_usd)


def _settled(asked: _Question, chosen: Sequence[Sized]) -> tuple[list[Sized], _Needs, Joint]:
    """The chips that were chosen, whatever else may be cheaper, at their own joint level."""
    needs = asked.needs(chosen)
    joint = needs.joint(asked.inputs.service_level)
    choices = [choice for item in chosen for choice in item.choices]
    fixed = {(each.region, each.service.model): each.offer.instance.instance for each in choices}
    return _bookable(asked, joint.fleets, fixed), needs, joint


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
            if choice.region == region and choice.overflow is None
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
    asked: _Question, joint: JointLevel | None, fixed: Mapping[tuple[str, str], str] | None = None
) -> list[Sized]:
    """Every model sized with what can be had.

    fixed: by region and model, the one instance type that is looked at. A fleet with an overflow keeps to what can be
    had; another takes another type. What no other type serves stays chosen, and is an exception to ask for
    (`bookable.supply_findings`).
    """
    inputs, limits = asked.inputs, Limits()

    def sized_within(these: Limits) -> list[Sized]:
        market = Market(owned_instances(inputs), these, fixed or {}, asked.overflows)
        return [size_self_hosted(inputs, each, joint, market) for each in asked.simulated.values()]

    sized = sized_within(limits)
    for _ in range(LIMITS_ROUNDS_MAX):
        choices = [choice for item in sized for choice in item.choices]
        more = limits | beyond_limits(inputs, choices)
        if more == limits:
            return sized
        instead = sized_within(more)
        if _kept(instead, asked) < _kept(sized, asked):
            return sized
        sized, limits = instead, more
    return sized


def _kept(sized: Sequence[Sized], asked: _Question) -> int:
    """Fleets that nothing else could take the calls of."""
    return sum((c.region, c.service.model) not in asked.overflows for item in sized for c in item.choices)


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
        budget_range=sized.range.budget_usd,
        chips_range=sized.range.chips,
        beyond_design_ratio=max(beyond, default=0.0),
    )
