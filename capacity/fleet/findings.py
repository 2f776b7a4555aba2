"""What a reader should read first: the first limit exceeded, what was rejected and why, and what not to trust."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from capacity.cost.hours import BY_THE_HOUR
from capacity.cost.prices import stale_warning
from capacity.demand.usage import mix_note
from capacity.fleet.inputs import PlanInputs
from capacity.plan import Plan, PlanError, Rejected
from capacity.rows.doubt import ErrorBars, InformationValue, Sensitivity
from capacity.rows.fleet import SupplyPlan
from capacity.rows.needs import AccountNeed, QuotaNeed
from facts.geography import profile_warning
from facts.lifecycle import lifecycle_warning
from scenarios.schema import Scenario

CHARGED_SHARE_MIN = 0.99
"""Below this share a fleet's cost is lines apart from the interactions'."""


PRICED_IN, AT_HOME = "us-east-1", "us-"
"""On-demand prices are of one region (facts/data/instances.csv); in another country that is a warning of its own."""
RANGE_WIDE = 10.0
"""A range beyond this says which measurement would shrink it."""
RESERVED_SHARE_MAX = 0.9
"""A lower max_tokens is advised where it spares a tenth of what calls reserve, or more."""


def assumptions_first(ranked: Sequence[Sensitivity]) -> tuple[str, ...]:
    """The three inputs that move the plan most, each with what they do."""
    effects: dict[str, str] = {}
    for item in ranked:
        low, high = sorted((item.at_low, item.at_high))
        unit = "" if item.unit == item.output else f" {item.unit}"
        effect = f"{item.output.removesuffix('_usd').replace('_', ' ')} {_short(low)} .. {_short(high)}{unit}"
        effects[item.input] = f"{effects[item.input]}; {effect}" if item.input in effects else f"{item.input}: {effect}"
    return tuple(list(effects.values())[:3])


def first_limit_exceeded(supplies: Sequence[SupplyPlan], beside: Sequence[AccountNeed] = ()) -> str:
    """The limit with the least room at the service level: of every model and region, and those that are no model's."""
    pressures = [pressure for supply in supplies if (pressure := _pressure(supply)) is not None]
    pressures += [(need.pressure, need.sentence) for need in beside if need.granted]
    return max(pressures)[1] if pressures else "nothing that was sized has a known limit"


def _pressure(supply: SupplyPlan) -> tuple[float, str] | None:
    """Need over limit at the service level, and the sentence that says so; None where none is known."""
    where = f"{supply.model} in {supply.region}"
    known = [need for need in supply.quotas if need.counts]
    if known:
        worst = max(known, key=lambda need: need.pressure)
        return worst.pressure, f"{where}: {_quota_sentence(worst)}"
    if supply.chosen is None or not supply.calls_per_s.p50:
        return None
    chosen = supply.chosen
    bought = chosen.load_per_s.at_level if chosen.load_per_s else supply.calls_per_s.p90
    room = bought / supply.calls_per_s.p90
    return 1 / room, f"{where}: {chosen.binding} is exceeded when demand passes {room:.2f} x its p90"


def _quota_sentence(need: QuotaNeed) -> str:
    when = ""
    if need.binds_at_offset_s is not None:
        hours = need.binds_at_offset_s / 3600
        when = f", first {hours:.1f} h into the event" if hours >= 0.1 else ", from the start of the event"
    cuts = "; answers are cut off there" if need.kind == "output_tpm" else ""
    against = f"against {need.granted:,.0f} granted ({need.pressure:,.1f} x)"
    return f"{need.kind} of {need.ask:,.0f} needed {against}{when}{cuts}"


def rejected(supplies: Sequence[SupplyPlan]) -> tuple[Rejected, ...]:
    """Every alternative that was considered and lost, each once."""
    lost = {}
    for supply in supplies:
        for option in supply.options:
            if option.rejected is not None:
                lost[f"{supply.model} on {option.chip} in {supply.region}"] = option.rejected
    reserved = "their term is not stated; a commitment is charged for its whole term, so they are off"
    rows = [Rejected(what, why) for what, why in lost.items()]
    if any(supply.options for supply in supplies):
        rows.append(Rejected("reserved instance prices", reserved))
    return tuple(rows)


def warnings(inputs: PlanInputs, supplies: Sequence[SupplyPlan], sized: Sequence[str], now_utc: str) -> tuple[str, ...]:
    """Everything that makes a number here weaker than it looks."""
    lines = [*_retirements(inputs, supplies), *_abroad(inputs, supplies), *dict.fromkeys(sized)]
    if not inputs.measured:
        what = "tokens, turns and routes" if inputs.usage is None else "turns and routes"
        lines.append(f"{what} are assumed: no run was given; rehearse with `peakday run`")
        if inputs.usage is not None:
            lines.append(mix_note(inputs.calls, inputs.usage))
    elif inputs.calls_simulated:
        lines.append("tokens and routes come from the emulator (SIMULATED); measure on the real models before ordering")
    if inputs.scenario.assistant.max_tokens is None:
        lines.append("max_tokens is unset: each call reserves the model's maximum from its quota; set it first")
    lines += _ignored(inputs.scenario)
    lines += _meters(inputs)
    lines += _increases(supplies)
    lines += _billing(inputs, supplies)
    lines += uncharged(supplies)
    dates = dict.fromkeys(inputs.prices.models[s.model].prices for s in supplies)
    lines += [w for p in dates if p is not None and (w := stale_warning(p.source_date, now_utc, p.price_key))]
    for kind in dict.fromkeys(s.chosen.instance_type for s in supplies if s.chosen):
        if stale := stale_warning(inputs.prices.instances[kind].price_date, now_utc, kind):
            lines.append(stale)
    return tuple(lines)


def _retirements(inputs: PlanInputs, supplies: Sequence[SupplyPlan]) -> list[str]:
    """Models that end before or during the event, or may cost more by then."""
    start = inputs.scenario.event.start_utc
    last = start + timedelta(seconds=inputs.scenario.event.length_s)
    models = [inputs.prices.models[name] for name in dict.fromkeys(supply.model for supply in supplies)]
    return [line for model in models if (line := lifecycle_warning(model, start.date(), last.date()))]


def _abroad(inputs: PlanInputs, supplies: Sequence[SupplyPlan]) -> list[str]:
    """Regions in which a model cannot be called, or whose instances are priced as another region's."""
    lines = []
    for name in dict.fromkeys(supply.model for supply in supplies):
        regions = [supply.region for supply in supplies if supply.model == name]
        if line := profile_warning(inputs.prices.models[name], regions):
            lines.append(line)
    listed: dict[str, list[str]] = {}
    for supply in supplies:
        if supply.chosen and supply.chosen.price_kind == "on demand" and not supply.region.startswith(AT_HOME):
            listed.setdefault(supply.chosen.instance_type, []).append(supply.region)
    return lines + [
        f"{kind} in {', '.join(regions)}: priced as in {PRICED_IN}, and whether it is offered there is not known; "
        "`peakday aws pull`, or prices.instances, states yours"
        for kind, regions in listed.items()
    ]


def range_note(errors: ErrorBars | None, known: Sequence[InformationValue]) -> tuple[str, ...]:
    """Which single measurement would shrink a range of more than ten times most; nothing where it is narrower."""
    if errors is None or not known or errors.chips.high <= RANGE_WIDE * max(errors.chips.low, 1.0):
        return ()
    ratio = errors.chips.high / max(errors.chips.low, 1.0)
    return (
        f"chips needed range over {ratio:,.0f} times ({errors.chips.low:,.0f} to {errors.chips.high:,.0f}, 90%): what "
        f"would shrink it most is {known[0].input}: {known[0].how}",
    )


def _ignored(scenario: Scenario) -> list[str]:
    """One line of the keys that this scenario states and no plan looks at."""
    default = type(scenario.mix).model_fields
    names = ("image_ratio", "page_context_ratio", "follow_up_ratio", "confirm_ratio", "customers")
    keys = [f"mix.{name}" for name in names if getattr(scenario.mix, name) != default[name].default]
    if scenario.demand.interactions.arrivals.process != "poisson":
        keys.append("demand.interactions.arrivals (a replica sees Poisson calls)")
    keys += [f"faults ({kind})" for kind in sorted({fault.kind for fault in scenario.faults} - {"cold_cache"})]
    return [f"not in this plan, though the scenario states them: {', '.join(keys)}"] if keys else []


def _meters(inputs: PlanInputs) -> list[str]:
    """What is known of features with their own meter, and what is missing from the cost."""
    meters, own = inputs.scenario.capacity.meters, inputs.prices.features_usd_per_thousand
    lines = []
    if meters.web_searches_per_interaction and "web_search" not in own:
        searches = meters.web_searches_per_interaction * inputs.interactions_total
        lines.append(
            f"{searches:,.0f} web searches are in no cost: no price is published; give prices.features.web_search"
        )
    listed = [policy for policy in meters.guardrail_policies if policy not in own]
    if listed:
        lines.append(
            f"guardrail prices are secondary ({', '.join(listed)}): read the pricing page, then prices.features"
        )
    return lines


def _increases(supplies: Sequence[SupplyPlan]) -> list[str]:
    """One line a model: what to ask for in each region where a quota binds, and the max_tokens that spares it."""
    wanted: dict[str, list[str]] = {}
    spared: dict[str, str] = {}
    for supply in supplies:
        if supply.throttling is None:
            continue
        for kind, increase in supply.throttling.ask_for.items():
            held = next(need.granted for need in supply.quotas if need.kind == kind)
            wanted.setdefault(supply.model, []).append(f"{supply.region} {increase:,.0f} {kind} (granted {held:,.0f})")
        advice = supply.throttling.max_tokens_advice
        if advice and advice.reserved_per_call < RESERVED_SHARE_MAX * advice.reserved_per_call_now:
            spared[supply.model] = (
                f"{supply.model}: max_tokens of {advice.max_tokens:,} leaves 99.9% of answers whole and reserves "
                f"{advice.reserved_per_call:,.0f} tokens a call in place of {advice.reserved_per_call_now:,.0f}"
            )
    return [
        f"{model}: quotas bind at the service level; ask for {', '.join(wants)}; increases take days: ask early"
        for model, wants in wanted.items()
    ] + list(spared.values())


def _billing(inputs: PlanInputs, supplies: Sequence[SupplyPlan]) -> list[str]:
    rule = {"on demand": "by the second", "capacity block": "in whole days", "own price": "by the second"}
    lag_s = 0.0 if inputs.scenario.capacity.horizon_s else inputs.scenario.capacity.resilience.warm_up_lag_s
    warm_up = f", {lag_s / 3600:,.2f} of them warm-up before the event" if lag_s else ""
    lines = {}
    elsewhere = any(supply.chosen and supply.region != PRICED_IN for supply in supplies)
    for chosen in (supply.chosen for supply in supplies if supply.chosen):
        kind = chosen.price_kind
        prices = f"{kind} prices" + (f" of {PRICED_IN}" if elsewhere and kind == "on demand" else "")
        if chosen.held == BY_THE_HOUR:
            lines[kind, chosen.held] = (
                f"self-hosted models at {prices} are held and charged by the hour, as many as the timeline needs, "
                f"running {lag_s / 3600:,.2f} h before they are needed: no other hour has the headroom of the peak"
            )
        else:
            lines[kind, chosen.held] = (
                f"self-hosted models at {prices} are charged {rule[kind]}: {chosen.billed_hours:,.2f} hours{warm_up}"
            )
    return list(lines.values())


def uncharged(supplies: Sequence[SupplyPlan]) -> list[str]:
    """A line for each model whose fleet also serves searches: dollars of the event in no interaction's cost."""
    interactions = {
        s.region: s.calls_in_event / s.calls_per_interaction
        for s in supplies
        if s.calls_per_interaction and s.calls_in_event
    }
    left: dict[str, float] = {}
    for supply in supplies:
        if supply.chosen is None or not supply.calls_in_event:
            continue
        charged = (supply.calls_per_interaction or 0.0) * interactions.get(supply.region, 0.0) / supply.calls_in_event
        if charged < CHARGED_SHARE_MIN:
            left[supply.model] = left.get(supply.model, 0.0) + (1 - charged) * (supply.chosen.event_usd or 0.0)
    return [
        f"{usd:,.2f} USD of the event serve background searches ({model}): they are in no interaction's cost"
        for model, usd in left.items()
    ]


def refuse_order(plan: Plan) -> None:
    """Raise `PlanError`, naming what to measure, when something simulated touched a plan."""
    simulated = [f"{note.kind} {note.name}" for note in plan.inputs if note.provenance == "simulated"]
    if plan.simulated:
        raise PlanError(
            f"plan {plan.plan_id} is not for an order: SIMULATED inputs ({', '.join(simulated)}). Measure them: "
            "`peakday run` against your own assistant for tokens and routes, `peakday bench run` on the chip for "
            "step times"
        )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
