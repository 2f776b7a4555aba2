"""`why`: the chain from the scenario to one number of a plan, each link with its value, formula, file and provenance.

A stranger recomputes the number from the links before it: the last link's value is the plan's own, by arithmetic on
the values above it (a test holds them equal).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from capacity.plan import InputNote, Plan
from capacity.rows.figures import Figure
from capacity.rows.fleet import ChipOption, SupplyPlan
from capacity.rows.needs import QuotaNeed
from dashboards.numbers.plan import SELF_HOSTED, calls_per_interaction, plan_numbers
from dashboards.numbers.run import Number
from dashboards.numbers.units import show
from host.errors import PeakdayError

LINKS_MAX = 10
OUTPUT, CACHE_READ = "output", "cache_read"
_PER_MILLION = 1e-6
EXPLAINED = (
    "chips",
    "cost_usd_per_interaction",
    "event_cost_usd",
    "quota_needed_settlement",
    "quota_needed_reservation",
    "quota_ask",
    "account_ask",
    "cache_hit_token_ratio",
)
"""Numbers that have a chain."""


class WhyError(PeakdayError, ValueError):
    """A number that the plan does not hold, or that no chain explains; the message names those that have one."""

    page = "why-this-number"


@dataclass(frozen=True)
class Link:
    """One step. `formula` is empty for an input; `source` says in which file or key it stands."""

    name: str
    value: float
    unit: str
    formula: str
    source: str
    provenance: str

    @property
    def text(self) -> str:
        """`calls at the peak = 1,250/s: interactions x calls [derived] plan.json`."""
        formula = f": {self.formula}" if self.formula else ""
        return f"{self.name} = {show(self.value, self.unit)}{formula} [{self.provenance}] {self.source}"


@dataclass(frozen=True)
class Chain:
    """A number and the links that lead to it, the scenario's first."""

    number: Number
    links: tuple[Link, ...]


def explained_numbers(plan: Plan) -> list[Number]:
    """Every number that has a chain: fleets, cost per interaction and of the event, quota as bought, hit rates."""
    return [number for number in plan_numbers(plan) if _has_chain(number)]


def _has_chain(number: Number) -> bool:
    labels = dict(number.labels)
    if number.name == "cost_usd_per_interaction":
        return labels["intent"] == "all"
    if number.name == "cache_hit_token_ratio":
        return labels["level"] == "all"
    return number.name in EXPLAINED and labels.get("level", "p90") == "p90"


def why(plan: Plan, wanted: str) -> Chain:
    """The chain of one number.

    Args:
        wanted: its key as `export csv` prints it, or words that all stand in one key: `chips custom-8b us-east-1`.
    Raises:
        WhyError: no such number, or several.
    """
    numbers = explained_numbers(plan)
    exact = [number for number in numbers if number.key == wanted]
    fitting = exact or [n for n in numbers if all(word.lower() in n.key.lower() for word in wanted.split())]
    if len(fitting) != 1:
        shown = "; ".join(number.key for number in (fitting or numbers)[:LINKS_MAX])
        problem = "several numbers have these words" if fitting else "the plan holds no such number with a chain"
        raise WhyError(f"{wanted!r}: {problem}; name one of: {shown}")
    return chain(plan, fitting[0])


def chain(plan: Plan, number: Number) -> Chain:
    """The links of a number of `explained_numbers`."""
    labels = dict(number.labels)
    supply = next(
        (s for s in plan.supplies if (s.model, s.region) == (labels.get("model"), labels.get("region"))), None
    )
    if number.name == "chips" and supply is not None and supply.chosen is not None:
        links = _chips(plan, supply, supply.chosen)
    elif number.name == "account_ask":
        links = _account(plan, labels["region"], labels["kind"])
    elif number.name.startswith("quota_") and supply is not None:
        need = next(q for q in supply.quotas if q.kind == labels["kind"])
        links = _quota(plan, supply, need, number)
    elif number.name == "cache_hit_token_ratio":
        links = _hits(plan, number, labels["model"])
    elif number.name == "cost_usd_per_interaction":
        links = _per_interaction(plan, number)
    else:
        links = _event(plan, number)
    return Chain(number, tuple(links))


# --- chips -------------------------------------------------------------------------------------------------------


def _peak(plan: Plan, supply: SupplyPlan) -> Iterator[Link]:
    """Interactions at the peak, calls of each, calls a second: what fleets and quotas both begin with."""
    ratio = calls_per_interaction(plan, supply)
    if ratio is not None:
        yield _interactions(plan, supply.region)
        yield _from(supply.input_tokens_per_call, "calls of an interaction that this region carries", ratio, "calls")
    formula = "interactions x calls" if ratio is not None else ""
    yield _derived("calls at the peak, p90 of demand", supply.calls_per_s.p90, "per_s", formula, "calls_per_s")


def _interactions(plan: Plan, region: str) -> Link:
    note = _note(plan, "interactions at the peak")
    peak = next(d.peak_interactions_per_s.p90 for d in plan.demand if d.region == region)
    source = f"scenario: demand.interactions.peak_per_s ({note.value})"
    return Link(f"interactions at the peak, {region}, p90 of demand", peak, "per_s", "", source, note.provenance)


def _derived(name: str, value: float, unit: str, formula: str, key: str) -> Link:
    """A value that stands in the plan under a key."""
    return Link(name, value, unit, formula, f"plan.json: {key}", "derived")


def _from(figure: Figure, name: str, value: float, unit: str, formula: str = "") -> Link:
    """A value that comes from where a figure of the plan does."""
    return Link(name, value, unit, formula, figure.source, figure.provenance)


def _chips(plan: Plan, supply: SupplyPlan, option: ChipOption) -> Iterator[Link]:
    rules, rate = plan.rules, option.rate_per_replica_per_s
    if rules is None or option.chips_per_replica is None:
        raise WhyError(f"chips of {supply.model}: an older peakday made this plan and kept no rules; plan again")
    yield from _peak(plan, supply)
    load = option.load_per_s
    ratio = load.at_level / load.p90 if load is not None and load.p90 else 1.0
    level = plan.service.level if plan.service is not None else 0.9
    yield _derived(f"load that {level:.0%} of joint draws stay under, over that", ratio, "times", "", "load_per_s")
    yield _from(rate, "calls a second of one replica within its SLO", rate.mid, "per_s", option.binding)
    calls = supply.calls_per_s.p90 * ratio
    working = (rules.zones - rules.zones_lost) * (1 - rules.drain_ratio - rules.broken_ratio)
    per_zone = _ceil(calls * (1 + rules.retry_extra_attempts) / (rate.mid * working))
    formula = f"roundup(calls x load x {1 + rules.retry_extra_attempts:g} / (rate x {working:g} zones that work))"
    yield Link("replicas of a zone", per_zone, "replicas", formula, "scenario: capacity.resilience", "assumed")
    held = option.chips.at_level / option.instances.at_level
    fitting = max(math.floor(round(held / option.chips_per_replica, 9)), 1)
    instances = (
        per_zone * _ceil(option.chips_per_replica / held)
        if held < option.chips_per_replica
        else _ceil(per_zone / fitting)
    )
    formula = f"whole replicas of {option.chips_per_replica:g} chips on {option.instance_type} of {held:g}"
    yield Link("instances of a zone", instances, "instances", formula, "facts/data/instances.csv", "published")
    chips, name = instances * rules.zones * held, f"chips of {supply.model} in {supply.region}"
    formula = f"instances x {rules.zones:g} zones x {held:g} chips"
    yield Link(name, chips, "chips", formula, "plan.json: options.chips", rate.provenance)


def _ceil(value: float) -> int:
    return math.ceil(round(value, 9))


# --- quota and hits ----------------------------------------------------------------------------------------------


def _quota(plan: Plan, supply: SupplyPlan, need: QuotaNeed, number: Number) -> Iterator[Link]:
    yield from _peak(plan, supply)
    readings = (need.needed_reservation, need.needed_settlement)
    levels = readings[number.name.endswith("settlement")]
    if number.name == "quota_ask":
        levels = max(readings, key=lambda reading: reading.at_level)
    seconds = 60.0 * supply.calls_per_s.p90
    taken, name = (levels.p90 / seconds if seconds else 0.0), f"{need.kind} that one call a minute takes"
    yield _from(supply.input_tokens_per_call, name, taken, "count", "retries included")
    if need.granted is not None:
        yield Link(f"{need.kind} granted", need.granted, "count", "", need.source, _granted_by(need.source))
    yield _derived(f"{need.kind} needed at p90 of demand", taken * seconds, "count", "calls x 60 x that", "quotas")
    level = plan.service.level if plan.service is not None else 0.9
    ratio = levels.at_level / levels.p90 if levels.p90 else 1.0
    yield _derived(f"what {level:.0%} of joint draws stay under, over that", ratio, "times", "", "quotas")
    formula = "at the service level, the reading that needs more, rounded up to three digits"
    yield _derived(f"{need.kind} to ask for", need.ask, "count", formula, "quotas")


def _granted_by(source: str) -> str:
    """Provenance of a grant: a published default, what the user states, or what the account holds."""
    if "read your account's" in source:
        return "published"
    return "stated" if source.startswith(("scenario", "own models")) else "measured"


def _account(plan: Plan, region: str, kind: str) -> Iterator[Link]:
    """A limit that is no one model's: what an interaction at the peak needs of it, and how far the draws reach."""
    need = next(n for n in plan.account_needs if (n.region, n.kind) == (region, kind))
    yield (peak := _interactions(plan, region))
    each = need.needed.p90 / peak.value if peak.value else 0.0
    key = "account_needs"
    yield _derived(f"{kind} that one interaction a second takes", each, need.unit, "", key)
    needed = each * peak.value
    yield Link(f"{kind} needed at p90 of demand", needed, need.unit, "interactions x that", "plan.json", "derived")
    ratio = need.needed.at_level / need.needed.p90 if need.needed.p90 else 1.0
    yield _derived("what every draw needs that all else carries, over that", ratio, "times", "", key)
    yield Link(f"{kind} granted", need.granted, need.unit, "", need.source, _granted_by(need.source))
    yield _derived(f"{kind} to ask for", need.ask, need.unit, "the two multiplied, rounded up to three digits", key)


def _hits(plan: Plan, number: Number, model: str) -> Iterator[Link]:
    supply = next(s for s in plan.supplies if s.model == model)
    prompt = {name: tokens for name, tokens in supply.tokens_per_call.items() if name != OUTPUT}
    for name, count in prompt.items():
        yield _from(supply.input_tokens_per_call, f"prompt tokens of a call, {name}", count, "tokens")
    hit = next(h.ratio for h in plan.hit_rates if (h.model, h.level) == (model, "all"))
    formula = f"{CACHE_READ} / all prompt tokens"
    yield _from(hit, f"prompt cache hit rate, {model}", number.value or 0.0, "ratio", formula)


# --- money -------------------------------------------------------------------------------------------------------


def _by_model(plan: Plan) -> dict[str, tuple[SupplyPlan, float]]:
    """Model -> a supply of it, and USD of its tokens in one interaction."""
    return {
        s.model: (s, (s.calls_per_interaction or 0.0) * _usd_of_a_call(s))
        for s in plan.supplies
        if s.prices_usd_per_mtok and s.calls_per_interaction
    }


def _usd_of_a_call(supply: SupplyPlan) -> float:
    prices = supply.prices_usd_per_mtok
    return sum(tokens * prices.get(name, 0.0) for name, tokens in supply.tokens_per_call.items()) * _PER_MILLION


def _per_interaction(plan: Plan, number: Number) -> Iterator[Link]:
    parts = []
    for model, (supply, usd) in _by_model(plan).items():
        note = _note(plan, model)
        formula = f"{supply.calls_per_interaction:.4g} calls x tokens by class x price by class"
        parts.append(Link(f"tokens of {model}", usd, "usd", formula, note.source, note.provenance))
    line = next(line for line in plan.cost if line.intent == "all")
    chips, provenance = line.parts_usd.get(SELF_HOSTED, 0.0), line.per_interaction_usd.provenance
    if chips:
        formula = "dollars of its fleets / calls of the event x calls of an interaction"
        name = "self-hosted, its share of the fleets"
        parts.append(Link(name, chips, "usd", formula, "plan.json: purchase", provenance))
    yield from _summed(parts, number, "cost of an interaction, all intents", provenance)


def _event(plan: Plan, number: Number) -> Iterator[Link]:
    rules = plan.rules
    if rules is not None:
        note = _note(plan, "interactions at the peak")
        count, source = rules.interactions_in_event, f"scenario: demand ({note.value})"
        yield Link("interactions of the event, middle case", count, "count", "", source, note.provenance)
    parts = []
    for name, usd in sorted(plan.event_cost_parts_usd.items(), key=lambda item: -item[1]):
        bought = [line for line in plan.purchase if line.model in name.split() and line.region in name.split()]
        formula = " + ".join(
            f"{line.instances:,} x {line.instance_type} x {line.usd_per_hour / line.instances:.4g} USD/h x "
            f"{line.billed_hours:g} h"
            for line in bought
            if line.instances
        )
        formula = formula or "interactions x tokens of an interaction x prices"
        source = "facts/data/instances.csv" if bought else "facts/data/bedrock_prices.csv"
        parts.append(Link(name, usd, "usd", formula, source, "published" if bought else plan.event_cost_usd.provenance))
    yield from _summed(parts, number, "cost of the event", plan.event_cost_usd.provenance)


def _summed(parts: list[Link], number: Number, name: str, provenance: str) -> Iterator[Link]:
    """The parts, the smallest joined where they are too many, what they leave out, and the sum."""
    room = LINKS_MAX - 3
    if len(parts) > room:
        rest = parts[room - 1 :]
        usd = math.fsum(part.value for part in rest)
        parts = [*parts[: room - 1], Link(f"{len(rest)} smaller parts", usd, "usd", "", "plan.json", provenance)]
    yield from parts
    value = number.value or 0.0
    missing = value - math.fsum(part.value for part in parts)
    if abs(missing) > 1e-9 * max(abs(value), 1e-9):
        yield Link("beside these parts", missing, "usd", "", "plan.json: cost", provenance)
    yield Link(name, value, "usd", "the sum", "plan.json", provenance)


def _note(plan: Plan, name: str) -> InputNote:
    unknown = InputNote("scenario", name, "", "assumed", "scenario")
    return next((note for note in plan.inputs if note.name == name), unknown)
