"""The worked example of docs/why-this-number.md is what the product computes, and its references point at code."""

import re
from pathlib import Path

import pytest

from capacity.planner import make_plan, plan_inputs
from neuron_bench.fit.published import step_models
from scenarios.loading import load_scenario

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "why-this-number.md").read_text()
WORDS = re.sub(r"\s+", " ", PAGE)


@pytest.fixture(scope="module")
def worked():
    event, models = load_scenario("prime_day"), list(step_models().values())
    made = make_plan(event, step_models=models, now_utc="2026-11-23T00:00:00Z", version="1", plan_id="why")
    return plan_inputs(event, None, models, None, 1), made


@pytest.mark.checkout
def test_every_reference_names_a_symbol_of_its_file():
    references = re.findall(r"`([\w/]+\.py)` `(\w+)`", PAGE)
    assert len(references) >= 15
    for file, name in references:
        assert re.search(rf"^\s*(def|class) {name}\b", (ROOT / file).read_text(), re.M), f"{file} has no {name}"


def test_demand_calls_and_tokens_are_as_told(worked):
    case, _ = worked
    demand = case.demand["interactions"]["us-east-1"]
    peak = demand.timeline.peak_interactions_per_s
    carried = case.carried_per_s("custom-8b", "us-east-1")
    mask = case.calls.of("custom-8b")
    for number in (
        f"**{peak.p50:.1f}/s**",
        f"**{peak.p90:.1f}/s**",
        f"{demand.starts / 1e6:.1f} of the event's {case.interactions_total / 1e6:.1f}",
        f"**{case.calls.per_interaction('custom-8b'):.3f} calls**",
        f"**{case.calls.prompt_tokens[mask].mean():,.0f} prompt tokens**",
        f"**{case.calls.output_tokens[mask].mean():.0f} answer tokens**",
        f"**{carried.p50:.1f} calls/s**",
        f"**{carried.p90:,.1f}**",
    ):
        assert number in WORDS


def test_rate_chips_and_dollars_are_as_told(worked):
    _, made = worked
    chosen = next(s.chosen for s in made.supplies if (s.model, s.region) == ("custom-8b", "us-east-1"))
    rate, service = chosen.rate_per_replica_per_s, made.service
    chips = sum(supply.chosen.bought_chips for supply in made.supplies if supply.chosen)
    hits = {(rate.model, rate.level): rate.ratio.mid for rate in made.hit_rates}
    for number in (
        f"**{rate.mid:.2f} calls/s**",
        f"{rate.low:.2f} .. {rate.high:.2f}",
        f"**{chosen.load_per_s.bought:,.1f} calls/s**",
        f"**{chosen.bought_replicas:,} replicas**",
        f"**{chosen.bought_chips:,} chips**",
        f"**{chips:,} chips**",
        f"**{chosen.event_usd:,.0f} USD**",
        f"**{chosen.overflow.usd:,.0f} USD**",
        f"**{chosen.overflow.calls_ratio:.0%} of its calls**",
        f"**{made.cost[0].per_interaction_usd.mid:.4f} USD**",
        f"**{made.event_cost_usd.mid / 1e6:.2f} million USD**",
        f"**{service.budget_usd / 1e6:.2f} million USD**",
        f"**{service.fleet_short.value:.1%}**",
        f"**{service.short.value:.1%}**",
        f"**{hits['custom-8b', 'all']:.1%}**",
        f"**{hits['claude-sonnet', 'all']:.1%}**",
        f"**{made.errors.chips.low:,.0f} .. {made.errors.chips.high:,.0f}**",
        f"{made.errors.demand.low:,.0f} .. {made.errors.demand.high:,.0f}",
        f"{made.errors.model.low:,.0f} .. {made.errors.model.high:,.0f}",
    ):
        assert number in WORDS, number
    ask = next(
        need.ask
        for s in made.supplies
        if (s.model, s.region) == ("nova-pro", "us-east-1")
        for need in s.quotas
        if need.kind == "tpm"
    )
    assert f"**{ask:,.0f}**" in WORDS
    assert not any(line.startswith("planner: no chip meets its SLOs") for line in made.warnings)
