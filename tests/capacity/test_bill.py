"""Money: tiers, long prompts, features with their own meter, list and net, failed attempts, nines and headroom."""

import dataclasses

import numpy as np
import pytest

from capacity.cost.interaction import call_costs
from capacity.cost.rates import text_units, with_tiers
from capacity.demand.calls import Calls
from capacity.plan import PlanError
from facts.price_variants import feature_prices, long_context, tier_variant
from facts.reader import models
from tests.capacity.models import llama_8b
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan

SONNET = "global.anthropic.claude-sonnet-4-5-20250929-v1:0"


def calls(model, prompt=1_000, answer=100, n=4, **other):
    """n turns of one call each, nothing cached."""
    zeros, ones = np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.int64)
    return Calls(
        turn=np.arange(n), model=np.full(n, model, dtype=object), input_tokens=ones * prompt, cache_read_tokens=zeros,
        cache_write_tokens_5m=zeros, cache_write_tokens_1h=zeros, output_tokens=ones * answer, shared_tokens=zeros,
        customer_tokens=zeros, turn_intent=np.array(["deals", "payment"] * (n // 2), dtype=object),
        turn_interaction=np.arange(n), interactions=n, provenance={model: "assumed"}, source="test", **other,
    )  # fmt: skip


def usd(made):
    return call_costs(made, models(), {}).total_usd


def test_a_tier_costs_its_published_price():
    """Nova Pro: flex 0.40 in and 1.60 out, priority 1.40 and 5.60, USD per million tokens."""
    standard = calls("nova-pro")
    for tier, price_in, price_out in (("flex", 0.4, 1.6), ("priority", 1.4, 5.6), ("default", 0.8, 3.2)):
        found = usd(with_tiers(standard, {"nova-pro": tier}))
        assert found == pytest.approx((1_000 * price_in + 100 * price_out) / 1e6)


def test_a_tier_may_be_named_for_one_intent_alone():
    found = usd(with_tiers(calls("nova-pro"), {"nova-pro": "default", "nova-pro/deals": "flex"}))
    assert found[0] == pytest.approx(found[1] / 2)


def test_a_tier_without_a_published_price_is_refused():
    with pytest.raises(PlanError, match="claude-sonnet: no published price for service tier 'flex'"):
        usd(with_tiers(calls("claude-sonnet"), {"claude-sonnet": "flex"}))


def test_a_tier_that_the_run_resolved_is_what_is_billed():
    tier = np.array(["flex", "default", "default", "default"], dtype=object)
    assert usd(calls("nova-pro", tier=tier))[0] == pytest.approx(usd(calls("nova-pro"))[0] / 2)


def test_a_prompt_beyond_the_threshold_is_billed_whole_at_the_long_price():
    """Sonnet 4.5 above 200,000 tokens: 6.00 in, 22.50 out."""
    just, over = usd(calls("claude-sonnet", prompt=200_000))[0], usd(calls("claude-sonnet", prompt=200_001))[0]
    assert just == pytest.approx((200_000 * 3 + 100 * 15) / 1e6)
    assert over == pytest.approx((200_001 * 6 + 100 * 22.5) / 1e6)


def test_variants_carry_ratios_so_that_own_prices_keep_them():
    flex = tier_variant("us.amazon.nova-pro-v1:0", "flex")
    assert flex.ratio["cache_read"] == pytest.approx(0.5)
    assert flex.assumed == ("flex cache_write_5m", "flex cache_write_1h")
    assert long_context(SONNET).threshold_tokens == 200_000
    assert long_context("us.amazon.nova-pro-v1:0") is None


def test_guardrails_meter_question_and_answer_in_whole_text_units_once_a_turn():
    """25 and 40 tokens at 4 characters are one text unit each; PII and denied topics cost 0.25 a thousand."""
    meters = {"guardrail_policies": ["pii", "denied_topics"]}
    made, bare = plan(scenario(**SHORT, capacity__meters=meters)), plan()
    line = made.cost[0]
    turns = line.per_interaction_usd.mid / line.per_turn_usd.mid
    assert line.parts_usd["guardrails"] == pytest.approx(2 * turns * 0.25 / 1_000, rel=1e-3)
    more = made.event_cost_usd.mid - bare.event_cost_usd.mid
    assert made.event_cost_parts_usd["guardrails and web search"] == pytest.approx(more)
    assert text_units([0, 1, 1_000, 1_001]).tolist() == [1, 1, 1, 2]


def test_web_searches_without_a_price_are_counted_and_with_one_are_charged():
    searches = scenario(**SHORT, capacity__meters={"web_searches_per_interaction": 0.1})
    assert feature_prices()["web_search"].usd_per_thousand is None
    assert any("web searches are in no cost" in line for line in plan(searches).warnings)
    priced = plan(searches, prices={"features": {"web_search": 30.0}})
    assert priced.cost[0].parts_usd["web search"] == pytest.approx(0.1 * 30 / 1_000)


def test_list_and_net_stand_side_by_side_and_differ_by_the_discount():
    made, usual = plan(prices={"discount_ratio": {"anthropic": 0.2, "inf2": 0.5}}), plan()
    assert made.event_cost_parts_list_usd == pytest.approx(usual.event_cost_parts_usd)
    for name, list_usd in made.event_cost_parts_list_usd.items():
        share = 0.5 if name.startswith("self-hosted") else 0.8
        assert made.event_cost_parts_usd[name] == pytest.approx(list_usd * share)
    for line, at_list in zip(made.cost, usual.cost, strict=True):
        assert line.per_interaction_list_usd == pytest.approx(at_list.per_interaction_usd.mid)
    for row in made.purchase:
        assert row.usd == pytest.approx(row.usd_list / 2)


@pytest.mark.parametrize(
    ("ratios", "message"),
    [({"openai": 0.1}, "no such family"), ({"anthropic": 1.0}, "no share off the list"), ({"amazon": -1}, "no price")],
)
def test_a_discount_that_cannot_be_is_refused(ratios, message):
    with pytest.raises(PlanError, match=message):
        plan(prices={"discount_ratio": ratios})


def test_failed_attempts_are_charged_as_the_calls_they_repeat():
    made = plan(scenario(**SHORT, capacity__resilience__retry_extra_attempts=0.1))
    parts = made.cost[0].parts_usd
    tokens = sum(parts[name] for name in ("input", "cache read", "cache write", "output") if name in parts)
    assert parts["failed attempts"] == pytest.approx(0.1 * tokens)
    in_event = made.rules.interactions_in_event
    assert made.event_cost_parts_usd["Bedrock tokens"] == pytest.approx(1.1 * tokens * in_event)


def test_each_nine_and_each_spare_has_its_price_and_the_last_is_the_plan():
    made = plan(scenario(**SHORT, capacity__resilience__region_loss=True))
    rows = [row for row in made.headroom if row.region == "us-east-1"]
    nines = [row for row in rows if row.rule.endswith("of the draws")]
    spare = [row for row in rows if row.rule.startswith("bought,")]
    assert [row.rule[:3] for row in nines] == ["p50", "p90", "p95", "p99"]
    assert len(spare) == 4
    for ladder in (nines, spare):
        assert all(row.usd_more >= 0 for row in ladder)
        assert ladder[0].usd + sum(row.usd_more for row in ladder) == pytest.approx(ladder[-1].usd)
    chosen = next(s.chosen for s in made.supplies if (s.model, s.region) == ("custom-8b", "us-east-1"))
    assert spare[-1].usd == pytest.approx(chosen.event_usd)


def test_minimax_regret_options_more_the_more_an_interaction_is_worth():
    def held(value):
        made = plan(scenario(**SHORT, capacity__draws=200, capacity__value_per_interaction_usd=value))
        return [row.replicas for row in made.headroom if row.rule.startswith("minimax regret")]

    assert sum(held(0.0001)) < sum(held(0.5)) <= sum(held(50.0))


def test_without_a_value_the_plan_prices_the_nines_and_recommends_nothing():
    assert not any("worth" in row.rule or "regret" in row.rule for row in plan().headroom)


def test_every_tier_with_a_published_price_is_compared_and_told_apart():
    policy = {"simple": "custom-8b", "complex": "nova-pro"}
    rows = {row.tier: row for row in plan(scenario(**SHORT, assistant__policy=policy)).tiers}
    assert rows["flex"].usd == pytest.approx(rows["default"].usd / 2)
    assert [tier for tier, row in rows.items() if row.planned] == ["default"]
    assert "nobody waits for" in rows["flex"].why


QUERIES = {"planner_queries": {"peak_per_s": {"low": 50, "mid": 100, "high": 200, "confidence": 0.9}}}


def test_the_planners_searches_have_their_own_line():
    own = SHORT["capacity__own"] | {"planner": {"chips": ["inferentia2"]}}
    searches = {"demand__background": QUERIES, "capacity__own": own}
    slow = plan(scenario(**(SHORT | searches)), step_models=[llama_8b(), llama_8b(model_id="planner", a=0.2)])
    quick = llama_8b(model_id="planner", a=0.002, b=2e-5)
    sized = plan(scenario(**(SHORT | searches)), step_models=[llama_8b(), quick])
    assert not slow.background[0].sized
    assert "e2e_s_p99" in slow.background[0].why or "ttft_s_p99" in slow.background[0].why
    line = sized.background[0]
    assert line.usd == pytest.approx(sum(r.usd for r in sized.purchase if r.model == "planner"))
    assert line.usd_per_million == pytest.approx(line.usd / line.searches_in_event * 1e6)


def test_searches_on_a_bedrock_model_are_refused_with_the_way_out():
    planner = {"demand__background": QUERIES, "assistant__router__planner_model": "nova-pro"}
    with pytest.raises(PlanError, match="name a self_hosted model"):
        plan(scenario(**(SHORT | planner)))


def test_a_planner_that_answers_turns_too_is_refused_with_the_way_out():
    """Its chat would be sized as if it were short searches; a policy that does not answer with it is planned."""
    planner = {"demand__background": QUERIES, "assistant__router__planner_model": "custom-8b"}
    with pytest.raises(PlanError, match=r"'custom-8b' also answers turns.* give the searches a model of their own"):
        plan(scenario(**(SHORT | planner)))
    apart = {"assistant__policy": {"simple": "nova-pro", "complex": "claude-sonnet", "by_intent": {}}}
    assert plan(scenario(**(SHORT | planner | apart))).background


def test_a_plan_with_discounts_and_tiers_survives_its_own_types():
    assert dataclasses.asdict(plan(prices={"discount_ratio": {"amazon": 0.1}}))["tiers"]
