"""How a plan must move when one input moves: relations between two plans, whatever their numbers are."""

from dataclasses import replace

import pytest

from tests.capacity.models import llama_8b
from tests.capacity.test_signed_plan import asks, bought, of

CALM = {"demand__interactions__peak_per_s": 20}  # a point estimate
OWN = "capacity__own"
TOKENS = {"shared_prefix_tokens": 1100, "output_tokens": 40, "tool_result_tokens": 100}
RULES = "capacity__resilience"


def own(**keys):
    return {OWN: {"custom-8b": {"chips": ["inferentia2"]} | keys}}


def tokens(**keys):
    return {"capacity__assumed_tokens": TOKENS | keys}


def lifetimes(ttl):
    return {"assistant__cache_ttl": {"shared": ttl, "customer": ttl}}


TWICE = {"demand__interactions__peak_per_s": {"low": 20, "mid": 40, "high": 80}}


def chips(made):
    return sum(bought(made).values())


def ask(made, kind):
    return sum(value for (_, _, named), value in asks(made).items() if named == kind)


def fleets_usd(made):
    return sum(line.usd for line in made.purchase)


def cost(made):
    return made.event_cost_usd.mid


def budget(made):
    return made.service.budget_usd


def bedrock_usd(made):
    return made.event_cost_parts_usd["Bedrock tokens"]


def rpm(made):
    return ask(made, "rpm")


def tpm(made):
    return ask(made, "tpm")


def hits(made):
    return sum(rate.ratio.mid for rate in made.hit_rates if rate.level == "all" and rate.model == "claude-sonnet")


NEVER_LESS = [  # what is moved; the lesser plan; the greater plan; what must not fall
    ("demand doubles", {}, TWICE, (chips, rpm, tpm, cost, budget)),
    ("a wider forecast", CALM, {}, (chips, rpm, budget)),
    ("longer answers", {}, tokens(output_tokens=80), (bedrock_usd,)),
    ("longer prompts", {}, tokens(message_tokens=600), (chips, tpm, cost)),
    ("a tighter first token", own(ttft_s_p99=2.0), own(ttft_s_p99=0.8), (chips, fleets_usd)),
    ("a zone to lose", {RULES: {"zones_lost": 0}}, {}, (chips, fleets_usd)),
    ("fewer zones, one to lose", {}, {RULES: {"zones": 2}}, (chips,)),
    ("more hosts draining", {RULES: {"drain_ratio": 0.0}}, {RULES: {"drain_ratio": 0.3}}, (chips, fleets_usd)),
    ("failed attempts", {}, {RULES: {"retry_extra_attempts": 0.5}}, (chips, rpm, tpm, cost)),
    ("a region to lose", {}, {RULES: {"region_loss": True}}, (chips, rpm, fleets_usd)),
    ("a longer event", {}, {"event__length_s": "12h"}, (cost, budget)),
    ("a longer horizon", {"capacity__horizon_s": "6h"}, {"capacity__horizon_s": "9h"}, (cost, fleets_usd)),
    ("a slower start", {}, {RULES: {"warm_up_lag_s": 7200}}, (fleets_usd,)),
    ("more turns", {}, {"mix__turns_per_interaction": {"mean": 4.0, "max": 8}}, (chips, rpm, cost)),
    ("more max_tokens", {"assistant__max_tokens": 256}, {"assistant__max_tokens": 4096}, (tpm,)),
    ("a longer cache lifetime", lifetimes("5m"), lifetimes("1h"), (hits,)),
]  # fmt: skip


@pytest.mark.parametrize(("what", "less", "more", "figures"), NEVER_LESS, ids=[row[0] for row in NEVER_LESS])
def test_what_asks_for_more_never_buys_less(what, less, more, figures):
    first, second = of(less), of(more)
    for figure in figures:
        assert figure(second) >= figure(first) * (1 - 1e-9), (what, figure.__name__)


UNMOVED = [  # what is moved; a plan; another; what must be equal
    ("a longer event has the same peak", {}, {"event__length_s": "12h"}, (rpm,)),
    ("max_tokens move no bill", {"assistant__max_tokens": 256}, {"assistant__max_tokens": 4096}, (rpm, bedrock_usd)),
    ("a first-token SLO moves no token", own(ttft_s_p99=2.0), own(ttft_s_p99=0.8), (rpm, tpm, bedrock_usd)),
    ("zones move no token", {}, {RULES: {"zones_lost": 0}}, (rpm, tpm, bedrock_usd)),
    ("a name moves nothing", {}, {"name": "another"}, (chips, rpm, tpm, cost, budget, hits)),
    ("grants that suffice move nothing", {}, {"capacity__on_demand_vcpus": {"inf": 1e9}}, (chips, cost, budget)),
]  # fmt: skip


@pytest.mark.parametrize(("what", "one", "other", "figures"), UNMOVED, ids=[row[0] for row in UNMOVED])
def test_what_has_nothing_to_do_with_a_figure_leaves_it(what, one, other, figures):
    first, second = of(one), of(other)
    for figure in figures:
        assert figure(second) == pytest.approx(figure(first), rel=1e-9), (what, figure.__name__)


def test_half_price_chips_cost_half_and_are_as_many():
    usual, cheap = of(), of(prices={"discount_ratio": {"inf2": 0.5}})
    assert fleets_usd(cheap) == pytest.approx(fleets_usd(usual) / 2)
    assert chips(cheap) == chips(usual)
    assert cheap.event_cost_parts_list_usd == pytest.approx(usual.event_cost_parts_list_usd)


def test_what_is_owned_is_not_billed_and_nothing_else_moves():
    usual, all_owned = of(), of(prices={"owned": {line.instance_type: 10_000 for line in of().purchase}})
    one_owned = of(prices={"owned": {line.instance_type: 1 for line in of().purchase}})
    assert (fleets_usd(all_owned), chips(all_owned)) == (0, chips(usual))
    assert 0 < fleets_usd(one_owned) < fleets_usd(usual)
    assert bedrock_usd(all_owned) == pytest.approx(bedrock_usd(usual))
    assert not all_owned.limits


def test_commitments_that_nobody_signed_move_no_headline():
    offered = {"commitments": [{"instance": "inf2.48xlarge", "usd_per_hour": 0.01, "term_h": 168.0}]}
    assert cost(of(prices=offered)) == pytest.approx(cost(of()))
    assert sum(row.usd for row in of(prices=offered).schedules) < fleets_usd(of())


def test_another_chip_allowed_never_costs_more_and_their_order_is_nothing():
    models = [llama_8b(), llama_8b("trainium1", a=0.05)]
    chips_of = ({OWN: {"custom-8b": {"chips": list(names)}}} for names in (
        ("inferentia2",), ("inferentia2", "trainium1"), ("trainium1", "inferentia2")))  # fmt: skip
    alone, both, turned = (of(each, step_models=models) for each in chips_of)
    assert cost(both) <= cost(alone) * (1 + 1e-9)
    assert cost(turned) == pytest.approx(cost(both))
    assert bought(turned) == bought(both)


def test_a_tiny_event_holds_a_replica_in_each_zone_and_a_huge_one_is_finite():
    tiny, huge = (of({"demand__interactions__peak_per_s": rate}) for rate in (0.001, 2e6))
    assert all(supply.chosen.bought_replicas == 3 for supply in tiny.supplies if supply.chosen)
    assert chips(huge) > 1_000 * chips(tiny)
    assert cost(huge) < float("inf")


def test_regions_in_another_order_buy_the_same():
    east = {"share": 0.6, "time_zone": "America/New_York"}
    west = {"share": 0.4, "time_zone": "America/Los_Angeles"}
    turned = of({"event__regions": {"us-west-2": west, "us-east-1": east}} | CALM)
    assert chips(turned) == chips(of(CALM))
    assert cost(turned) == pytest.approx(cost(of(CALM)), rel=1e-6)


def test_more_draws_know_the_shortfall_better():
    few, many = (of({"capacity__draws": n}).service.short for n in (300, 1_000))
    assert many.high - many.low < few.high - few.low
    assert (few.n, many.n) == (300, 1_000)


def test_flex_costs_less_and_priority_more_than_standard_tokens():
    usual, flex, dear = (
        bedrock_usd(of({"capacity__service_tiers": tiers, "assistant__policy": {"complex": "nova-pro"}}))
        for tiers in ({}, {"nova-pro": "flex"}, {"nova-pro": "priority"})
    )
    assert flex < usual < dear


def test_a_bought_fleet_is_what_its_rate_says():
    """Replicas x rate, with what may be lost left out, carries the load it was bought for; one fewer does not."""
    made = of()
    for chosen in (supply.chosen for supply in made.supplies if supply.chosen):
        working = (1 - 1 / 3) * (1 - made.rules.drain_ratio - made.rules.broken_ratio)
        carries = chosen.bought_replicas * chosen.rate_per_replica_per_s.mid * working
        fewer = (chosen.bought_replicas - 3) * chosen.rate_per_replica_per_s.mid * working
        assert fewer < chosen.load_per_s.bought <= carries * (1 + 1e-9)
    assert replace(made, plan_id="q") != made
