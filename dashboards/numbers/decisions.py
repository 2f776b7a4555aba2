"""What a plan knows beyond its own choice, as decisions: one sentence each, and whether it would change one.

The plan computes what each further quantile costs, other routes, cache lifetimes, schedules and the value of
measuring. Each view shows these at its own length from the same list; nothing is computed a second way here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from capacity.plan import Plan
from capacity.rows.fleet import HeadroomOption
from capacity.rows.money import CacheAdvice, RoutingOption
from dashboards.numbers.units import clock, show

AS_PLANNED = "as planned"
"""The policy of `routing` that the plan itself follows."""
TPM_SHARE_MIN = 0.5
"""Share of a minute's token quota from which refilling a cache is a decision. A choice of ours: half a minute."""
LEVEL_BEFORE = 0.9
"""Service level of plans that state none."""
DEFAULT_LIFETIME = "5m"
"""What a provider's cache point is kept for unless asked otherwise."""


@dataclass(frozen=True)
class Decision:
    """One finding. `changes`: a reader who knows it might do something else than the plan does."""

    kind: str
    title: str
    sentence: str
    changes: bool


def decisions(plan: Plan) -> tuple[Decision, ...]:
    """Every finding of a plan, those of greatest effect on cost first."""
    return tuple(decision for group in GROUPS for decision in group(plan))


# --- routes ------------------------------------------------------------------------------------------------------


def _routing(plan: Plan) -> Iterator[Decision]:
    planned = next((row for row in plan.routing if row.policy == AS_PLANNED), None)
    others = [row for row in plan.routing if row is not planned]
    if planned is None or not others:
        return
    alternatives = better_policies(planned, others)
    for row in alternatives:
        yield Decision("routing", "Routes", _policy_sentence(row, planned), changes=True)
    if not alternatives:
        yield Decision(
            "routing", "Routes", "No single model would answer for less than the planned mix.", changes=False
        )


def better_policies(planned: RoutingOption, others: Sequence[RoutingOption]) -> list[RoutingOption]:
    """The cheapest policy that is at least as acceptable as the planned one, and the cheapest of all, where cheaper."""
    cheaper = sorted(
        (row for row in others if row.usd_per_interaction < planned.usd_per_interaction),
        key=lambda row: row.usd_per_interaction,
    )
    as_good = [row for row in cheaper if (row.acceptable_ratio or 0.0) >= (planned.acceptable_ratio or 0.0)]
    return list(dict.fromkeys([*as_good[:1], *cheaper[:1]]))


def _policy_sentence(row: RoutingOption, planned: RoutingOption) -> str:
    quality = ""
    if row.acceptable_ratio is not None and planned.acceptable_ratio is not None:
        quality = f" at {row.acceptable_ratio:.3f} against {planned.acceptable_ratio:.3f} acceptable"
    name = row.policy.removeprefix("all ")
    what = f"all turns on {name}" if row.policy.startswith("all ") else name
    return (
        f"{what} would cost {show(row.usd_per_interaction, 'usd')} an interaction instead of "
        f"{show(planned.usd_per_interaction, 'usd')}{quality} [{row.provenance}]"
    )


# --- how much to buy ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeadroomTotal:
    """One rule over all models and regions."""

    rule: str
    chips: int
    usd: float


def headroom_totals(plan: Plan) -> list[HeadroomTotal]:
    """Chips and dollars of each rule, summed over models and regions, in the plan's order."""
    by_rule: dict[str, list[HeadroomOption]] = {}
    for row in plan.headroom:
        by_rule.setdefault(row.rule, []).append(row)
    return [HeadroomTotal(rule, sum(r.chips for r in rows), sum(r.usd for r in rows)) for rule, rows in by_rule.items()]


def bought_chips(plan: Plan) -> float:
    """Chips that the plan buys, over all models and regions."""
    return sum(s.chosen.bought_chips for s in plan.supplies if s.chosen is not None)


def _headroom(plan: Plan) -> Iterator[Decision]:
    totals = headroom_totals(plan)
    regret = next((row for row in totals if row.rule.startswith("minimax regret")), None)
    bought = bought_chips(plan)
    if regret is not None:
        sentence = (
            f"{regret.rule} buys {show(regret.chips, 'chips')} chips for {show(regret.usd, 'usd')}; the plan buys "
            f"{show(bought, 'chips')}"
        )
        yield Decision("headroom", "Headroom", sentence, changes=regret.chips != bought)
    draws = [row for row in totals if row.rule.endswith("of the draws")]
    level = plan.service.level if plan.service is not None else LEVEL_BEFORE
    within = [row for row in draws if _quantile(row.rule) <= level]
    enough = next((row for row in within if row.chips > bought), None)
    if enough is not None:
        sentence = (
            f"the {show(bought, 'chips')} chips bought are fewer than {enough.rule} need: "
            f"{show(enough.chips, 'chips')} for {show(enough.usd, 'usd')}"
        )
        yield Decision("headroom", "Headroom", sentence, changes=True)


def _quantile(rule: str) -> float:
    """0.9 of `p90 of the draws`."""
    return float(rule.split()[0].removeprefix("p")) / 100


def _information(plan: Plan) -> Iterator[Decision]:
    rows = sorted(plan.expected_value_of_information, key=lambda row: -row.event_usd_spared)
    if rows and rows[0].event_usd_spared > 0:
        first = rows[0]
        sentence = (
            f"knowing {first.input} would spare {show(first.event_usd_spared, 'usd')} and "
            f"{show(round(first.chips_spared), 'chips')} chips in nine futures of ten: {first.how.replace('`', '')}"
        )
        yield Decision("information", "Measure next", sentence, changes=True)


def _schedules(plan: Plan) -> Iterator[Decision]:
    """How fleets are held, as the plan pays for it, and what would be cheaper."""
    flat, mixed = (sum(getattr(row, name) for row in plan.schedules) for name in ("flat_usd", "usd"))
    if not plan.schedules:
        return
    by_hour = any(line.held == "by the hour" for line in plan.purchase)
    paid = sum(line.usd for line in plan.purchase) if by_hour else flat
    throughout = f"held throughout they would cost {show(flat, 'usd')}"
    sentence = f"fleets are paid by the hour, {show(paid, 'usd')}; {throughout}"
    if not by_hour:
        sentence = f"fleets are held throughout for {show(paid, 'usd')}; by the hour they would not be cheaper"
    cheaper = mixed < paid * (1 - 1e-9)
    if cheaper:
        what = "with the commitments" if any(row.committed for row in plan.schedules) else "by the hour"
        sentence = f"fleets would cost {show(mixed, 'usd')} {what} instead of {show(paid, 'usd')}"
    yield Decision("schedule", "Schedule", sentence, changes=cheaper or by_hour)


def _overflow(plan: Plan) -> Iterator[Decision]:
    """What goes beyond the fleets, by model, against fleets that carried the level by themselves."""
    for model in dict.fromkeys(s.model for s in plan.supplies if s.chosen and s.chosen.overflow):
        rows = [(s.chosen, s.chosen.overflow) for s in plan.supplies if s.model == model and s.chosen]
        bought = [(option, way) for option, way in rows if way is not None]
        usd, beyond = sum(option.mean_usd for option, _ in bought), sum(way.usd for _, way in bought)
        alone = [way.alone_usd for _, way in bought]
        fleets = "fleets that carried the level by themselves"
        instead = "no fleet of them would carry the level by itself"
        if None not in alone:
            instead = f"{fleets} would cost {show(sum(each or 0.0 for each in alone), 'usd')}"
        count = sum(option.bought_instances for option, _ in bought)
        share = sum(way.calls_ratio for _, way in bought) / len(bought)
        sentence = (
            f"{model}: {count:,} instances and, for {share:.0%} of its calls "
            f"in the mean of the draws, {bought[0][1].target} ({show(beyond, 'usd')}) cost "
            f"{show(usd, 'usd')}; {instead}"
        )
        yield Decision("overflow", "Overflow", sentence, changes=True)


def _spill(plan: Plan) -> Iterator[Decision]:
    """A smaller fleet with its overflow on Bedrock, by model; what it would cost, and what it asks of the target."""
    for model in dict.fromkeys(row.model for row in plan.spill):
        rows = [row for row in plan.spill if row.model == model]
        usd, planned = sum(row.usd for row in rows), sum(row.planned_usd for row in rows)
        kept = sum(row.instances for row in rows)
        sentence = (
            f"{model}: {kept:,} x {rows[0].instance_type} with what is beyond them on {rows[0].target} would cost "
            f"{show(usd, 'usd')} instead of {show(planned, 'usd')}, and ask for {sum(row.rpm for row in rows):,.0f} "
            f"requests and {sum(row.tpm for row in rows):,.0f} tokens a minute more of it"
        )
        yield Decision("spill", "Spill", sentence, changes=usd < planned * 0.99)


def _reserved(plan: Plan) -> Iterator[Decision]:
    """What the Reserved tier replaces, where the user gave its price."""
    for row in plan.reserved:
        parts = {"input": row.input, "output": row.output}
        bought = {name: part for name, part in parts.items() if part.tpm}
        if row.priced and not bought:
            limits = ", ".join(f"{name} pays below {show(part.breakeven_usd, 'usd')}" for name, part in parts.items())
            sentence = f"no Reserved tier of {row.model} in {row.region} pays for itself over the event alone: {limits}"
            yield Decision("reserved", "Reserved tier", sentence, changes=False)
        if bought:
            usd = sum(part.usd for part in bought.values())
            what = " and ".join(
                f"{part.tpm:,.0f} {name} TPM ({part.overflow_ratio:.0%} of tokens to Standard)"
                for name, part in bought.items()
            )
            replaced = show(sum(part.replaced_usd for part in bought.values()), "usd")
            sentence = (
                f"{what} of {row.model} reserved in {row.region} for {row.months} months costs {show(usd, 'usd')} and "
                f"replaces {replaced} of the event's tokens"
            )
            yield Decision("reserved", "Reserved tier", sentence, changes=True)


# --- quota and cache ---------------------------------------------------------------------------------------------


def _throttling(plan: Plan) -> Iterator[Decision]:
    for model in dict.fromkeys(s.model for s in plan.supplies if s.throttling is not None):
        limited = [(s.region, s.throttling) for s in plan.supplies if s.model == model and s.throttling is not None]
        at_p90 = [(t.reservation["p90"], t.settlement["p90"], region) for region, t in limited if "p90" in t.settlement]
        held, back, region = max(
            ((held.throttled_ratio, back.throttled_ratio, region) for held, back, region in at_p90),
            default=(0.0, 0.0, ""),
        )
        if held > 0:
            sentence = (
                f"{back:.1%} of {model}'s calls in {region} would be throttled at p90 of demand as granted, where a "
                f"call gives back what it reserved and did not use as it ends; {held:.1%} where nothing comes back"
            )
            yield Decision("throttling", "Throttling", sentence, changes=back > 0)
        cut, region = max(((back.cut_ratio, region) for _, back, region in at_p90), default=(0.0, ""))
        if cut > 0:
            sentence = f"{cut:.1%} of {model}'s answers in {region} would be cut off by output_tpm at p90 of demand"
            yield Decision("cut off", "Answers cut off", sentence, changes=True)
        advice = limited[0][1].max_tokens_advice
        if (
            advice is not None
            and advice.calls_needed is None
            and advice.reserved_per_call < advice.reserved_per_call_now
        ):
            sentence = (
                f"max_tokens of {advice.max_tokens:,} on {model} reserves {advice.reserved_per_call:,.0f} tokens a "
                f"call instead of {advice.reserved_per_call_now:,.0f}, and cuts 1 answer in 1,000"
            )
            yield Decision("max_tokens", "max_tokens", sentence, changes=True)


def _cache(plan: Plan) -> Iterator[Decision]:
    for row in plan.cache_advice:
        yield Decision("cache", "Cache lifetime", cache_sentence(row), changes=row.choice != DEFAULT_LIFETIME)


def cache_sentence(row: CacheAdvice) -> str:
    """What to ask of one level of one model's prompt, and what each lifetime costs."""
    prices = ", ".join(f"{choice} {show(usd, 'usd')}" for choice, usd in row.usd_per_mtok.items())
    word = "do not cache" if row.choice == "none" else f"cache for {row.choice}"
    return f"{word}: {row.model}, {row.level} part; per million prompt tokens {prices}"


def _stampede(plan: Plan) -> Iterator[Decision]:
    rows = [row for row in plan.cache_stampede if row.tpm_share is not None]
    if rows:
        worst = max(rows, key=lambda row: row.tpm_share or 0.0)
        share = worst.tpm_share or 0.0
        sentence = (
            f"an empty cache of {worst.model} in {worst.region} at {clock(worst.at_s, 3_600)} is refilled by "
            f"{show(round(worst.misses), 'count')} calls, {show(worst.usd, 'usd')} and {share:.1%} of a minute's tokens"
        )
        yield Decision("stampede", "Cache stampede", sentence, changes=share >= TPM_SHARE_MIN)


def _stability(plan: Plan) -> Iterator[Decision]:
    for row in plan.hit_stability:
        if row.warning:
            sentence = f"{row.model} in {row.region}: {row.warning}"
            yield Decision("stability", "Own block cache", sentence, changes=True)


GROUPS = (
    _routing, _headroom, _information, _schedules, _overflow, _spill, _reserved, _throttling, _cache, _stampede,
    _stability,
)  # fmt: skip
"""In the order of their effect on cost."""
