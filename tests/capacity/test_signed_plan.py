"""What a planner signs: one probability, things that can be booked, nothing large left out. Whole plans, shared."""

import numpy as np
import pytest

from capacity.cost.hours import billed_hours
from capacity.fleet.supply import Market, size_self_hosted
from capacity.plan import PlanError
from capacity.planner import plan_inputs
from capacity.purchase import joint
from dashboards.order.verdict import order_verdict
from neuron_bench.fit.published import step_models
from scenarios.loading import load_scenario
from tests.capacity.models import llama_8b
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan

BOTH = [llama_8b(), llama_8b("trainium2", a=0.001, b=1e-5, c=2e-5)]


def own(**slos):
    return {"capacity__own": {"custom-8b": {"chips": ["inferentia2"]} | slos}}


def of(changes=None, **options):
    return plan(scenario(**(SHORT | (changes or {}))), **options)


def bought(made):
    return {(s.model, s.region): s.chosen.bought_chips for s in made.supplies if s.chosen}


def asks(made):
    return {(s.model, s.region, q.kind): q.ask for s in made.supplies for q in s.quotas}


@pytest.fixture(scope="module")
def made():
    return of()


def test_a_plan_states_one_level_and_how_often_it_falls_short(made):
    assert made.service.level == 0.9
    parts = made.service.fleet_short, made.service.quota_short, made.service.budget_short
    for short in (made.service.short, *parts):
        assert short.low <= short.value <= short.high
    assert max(part.value for part in parts) <= made.service.short.value <= 1 - made.service.level


def test_every_bought_number_has_its_probability_of_falling_short(made):
    for supply in made.supplies:
        assert all(0 <= need.short.value <= 0.1 for need in supply.quotas)
        if supply.chosen:
            assert supply.chosen.short.value <= 0.1
            assert supply.chosen.short.value <= supply.chosen.one_fewer_short.value


def test_a_higher_level_buys_and_asks_for_more():
    plans = [of({"capacity__service_level": level}) for level in (0.5, 0.8, 0.95)]
    chips, rpm, budget = (
        [sum(bought(each).values()) for each in plans],
        [sum(asks(each).values()) for each in plans],
        [each.service.budget_usd for each in plans],
    )
    assert chips == sorted(chips)
    assert chips[0] < chips[2]
    assert rpm == sorted(rpm)
    assert budget == sorted(budget)


def test_with_a_value_the_level_follows_from_it_and_the_plan_says_so():
    """Newsvendor: an interaction worth more is carried in more draws; one worth nothing in the fewest weighed."""
    plans = [of({"capacity__value_per_interaction_usd": value}) for value in (1e-6, 0.1, 5.0)]
    levels = [each.service.level for each in plans]
    assert levels == sorted(levels)
    assert levels[0] < 0.6 < levels[1] < levels[2]
    assert levels[2] >= 0.97
    assert {each.service.basis for each in plans} == {"value"}
    assert "follows from the value" in plans[0].service.why
    assert sum(bought(plans[0]).values()) < sum(bought(plans[2]).values())


def test_causes_of_the_range_add_up_and_demand_leads(made):
    assert sum(share.share for share in made.variance) == pytest.approx(1.0)
    assert made.variance[0].cause == "demand"


def test_a_tighter_slo_is_never_cheaper_even_where_no_chip_meets_it():
    usd = [of(own(ttft_s_p99=limit)).event_cost_usd.mid for limit in (4.0, 1.0, 0.05)]
    assert usd == sorted(usd)


def test_what_no_fleet_serves_is_named_first_and_priced_where_it_can_go():
    made = of(own(ttft_s_p99=0.05))
    (line,) = made.not_served
    assert line.startswith("custom-8b: no fleet serves it")
    assert "priced on" in line
    assert sum(made.event_cost_parts_usd.values()) == pytest.approx(made.event_cost_usd.mid)


def test_retries_reach_quotas_as_they_reach_chips(made):
    retried = of({"capacity__resilience": {"retry_extra_attempts": 1.0}})
    for key, ask in asks(made).items():
        assert asks(retried)[key] == pytest.approx(2 * ask, rel=0.02), key
    assert sum(bought(retried).values()) > 1.6 * sum(bought(made).values())


def test_what_is_owned_is_not_billed_and_makes_its_chip_win(made):
    kind = next(s.chosen for s in made.supplies if s.chosen).instance_type
    some, all_of_it = (of(prices={"owned": {kind: count}}) for count in (2, 100_000))
    assert all_of_it.event_cost_usd.mid < some.event_cost_usd.mid < made.event_cost_usd.mid
    assert bought(all_of_it) == bought(made)
    either = {"capacity__own": {"custom-8b": {"chips": ["inferentia2", "trainium1"]}}}
    models = [llama_8b(), llama_8b("trainium1")]
    usual, winner = (of(either, step_models=models, prices=p) for p in (None, {"owned": {"trn1.32xlarge": 100_000}}))
    assert {s.chosen.chip for s in usual.supplies if s.chosen} == {"inferentia2"}
    assert {s.chosen.chip for s in winner.supplies if s.chosen} == {"trainium1"}


def test_what_cannot_be_booked_loses_to_what_can():
    """Far more trn2.3xlarge than Capacity Blocks allow at one time: another chip is bought, and the plan says why."""
    big = {
        "capacity__own": {"custom-8b": {"chips": ["inferentia2", "trainium2"]}},
        "demand__interactions__peak_per_s": 40_000,
    }
    made = of(big, step_models=BOTH)
    for supply in made.supplies:
        if supply.chosen:
            assert supply.chosen.price_kind != "capacity block"
    lost = [o.rejected for s in made.supplies for o in s.options if o.chip == "trainium2"]
    assert all("can be booked" in why or "were offered in" in why for why in lost), lost


def test_a_rate_that_is_known_is_an_input_with_its_slo():
    """Twice the rate, half the replicas; it is `stated`, and without a step model its chips are asked for."""
    plans = [of({"capacity__own": {"custom-8b": {"chips": ["inferentia2"], "rate_per_replica_per_s": rate}}})
             for rate in (0.4, 0.8)]  # fmt: skip
    slow, fast = ([s.chosen for s in made.supplies if s.chosen] for made in plans)
    for one, other in zip(slow, fast, strict=True):
        assert (one.rate_per_replica_per_s.mid, one.rate_per_replica_per_s.provenance) == (0.4, "stated")
        assert one.bought_replicas == pytest.approx(2 * other.bought_replicas, abs=3)
    assert any("is stated, at ttft_s_p99 <= 1 and tpot_s_p99 <= 0.1" in line for line in plans[0].warnings)
    alone = {"custom-8b": {"chips": ["inferentia2"], "rate_per_replica_per_s": 3.1}}
    with pytest.raises(PlanError, match=r"custom-8b\.chips_per_replica"):
        of({"capacity__own": alone}, step_models=[])
    alone["custom-8b"]["chips_per_replica"] = 4
    assert all(s.chosen for s in of({"capacity__own": alone}, step_models=[]).supplies if s.supply == "self_hosted")
    with pytest.raises(ValueError, match="set chips to that one"):
        scenario(capacity__own={"custom-8b": {"rate_per_replica_per_s": 3.1}})


def test_the_cheapest_policy_under_a_quality_floor_is_found_over_routes_and_models():
    """It keeps its floor, costs no more than any single model that does, and a floor out of reach is an error."""
    for floor in (0.84, 0.9):
        rows = of({"capacity__quality_floor": floor}).routing
        best = next(row for row in rows if row.policy.startswith("the cheapest of"))
        assert best.acceptable_ratio >= floor - 1e-9
        enough = [row for row in rows if row is not best and (row.acceptable_ratio or 0) >= floor]
        assert all(best.usd_per_interaction <= row.usd_per_interaction * 1.02 for row in enough)
    with pytest.raises(PlanError, match="is reached by no mixture of"):
        of({"capacity__quality_floor": 0.999})


def test_overflow_on_bedrock_is_a_purchase_option_by_its_price():
    """Dear tokens keep more of the fleet than cheap ones, and ask for less of the model that takes the overflow."""
    target = of().spill[0].target
    cheap, dear = (
        of(prices={"tokens": {target: {"input_usd_per_mtok": usd, "output_usd_per_mtok": usd, **CACHED}}}).spill
        for usd in (0.01, 1000.0)
    )
    assert sum(row.instances for row in cheap) < sum(row.instances for row in dear)
    assert all(row.usd < row.planned_usd for row in cheap)
    assert all(row.usd >= row.fleet_usd >= 0 and row.calls >= 0 for row in (*cheap, *dear))
    assert sum(row.rpm for row in dear) < sum(row.rpm for row in cheap)
    assert all(row.rpm == pytest.approx(row.peak_calls_per_s * 60) for row in cheap)


CACHED = {"cache_read_usd_per_mtok": 0.001, "cache_write_5m_usd_per_mtok": 0.01, "cache_write_1h_usd_per_mtok": 0.01}
BY_DAY = {"demand__interactions__shape": {"kind": "diurnal", "trough_ratio": 0.2}, "event__length_s": "1d"}


def test_the_headline_pays_the_cheaper_of_flat_and_hourly_fleets_and_says_which():
    """By the hour where the day has a trough; throughout in a stated horizon; the bill is of what is said."""
    hourly, flat = of(BY_DAY), of(BY_DAY | {"capacity__horizon_s": "25h"})
    for row, line in zip(hourly.schedules, hourly.purchase, strict=True):
        assert (line.held, line.usd) == ("by the hour", pytest.approx(row.usd))
        assert row.usd < row.flat_usd
        assert line.usd == pytest.approx(line.usd_per_hour * line.billed_hours)
    assert {line.held for line in flat.purchase} == {"throughout"}
    assert any("are held and charged by the hour" in line for line in hourly.warnings)


def test_instances_on_demand_need_what_ec2_grants():
    """48 vCPUs an inf2.24xlarge and so on: unknown grants are exceptions, enough is buyable, and both are said."""
    unknown, granted = of(), of({"capacity__on_demand_vcpus": {"inf": 1_000_000, "trn": 1_000_000}})
    assert all(limit.exceeds and limit.granted_vcpu is None for limit in unknown.limits)
    assert sum(sum(limit.instances.values()) for limit in unknown.limits) == sum(p.instances for p in unknown.purchase)
    assert order_verdict(unknown).sentence.startswith("BUYABLE WITH EXCEPTIONS: needs an exception for ")
    assert order_verdict(granted).buyable


def test_a_chip_beyond_the_accounts_grant_loses_to_one_within_it():
    either = {"capacity__own": {"custom-8b": {"chips": ["inferentia2", "trainium1"]}}}
    models = [llama_8b(), llama_8b("trainium1")]
    usual, bound = (
        of(either | more, step_models=models)
        for more in ({}, {"capacity__on_demand_vcpus": {"inf": 0, "trn": 1_000_000}})
    )
    assert {s.chosen.chip for s in usual.supplies if s.chosen} == {"inferentia2"}
    assert {s.chosen.chip for s in bound.supplies if s.chosen} == {"trainium1"}


def test_a_horizon_shorter_than_the_event_is_refused():
    with pytest.raises(PlanError, match="shorter than the event"):
        of({"capacity__horizon_s": "1h"})


def test_an_event_without_customers_is_refused():
    with pytest.raises(PlanError, match="leaves nothing to plan"):
        of({"demand__interactions__peak_per_s": 0})


@pytest.mark.parametrize(
    ("hours", "begins_h", "billed"),
    [(4, 11.0, 48), (4, 12.0, 24), (24, 11.5, 24), (24, 12.0, 48), (15 * 24, 11.5, 21 * 24), (22 * 24, 11.5, 28 * 24)],
)
def test_blocks_are_sold_from_1130_to_1130_and_by_the_week_beyond_14_days(hours, begins_h, billed):
    assert billed_hours("capacity block", hours * 3600, begins_h * 3600) == billed


def test_no_two_seeds_differ_by_more_than_the_stated_range():
    """Chips needed at the median and the budget, over four seeds, within what each says of itself."""
    plans = [of(seed=seed) for seed in (1, 2, 3, 4)]
    budgets = np.array([each.service.budget_usd for each in plans])
    assert budgets.max() / budgets.min() < 1.25
    for each in plans:
        for other in plans:
            assert each.errors.chips.low <= other.errors.chips.mid <= each.errors.chips.high


def test_a_plan_of_no_tokens_is_a_plan():
    nothing = dict.fromkeys(
        ("shared_prefix_tokens", "customer_prefix_tokens", "history_tokens_per_turn", "message_tokens"), 0
    )
    empty = of({"capacity__assumed_tokens": nothing | {"tool_result_tokens": 0, "output_tokens": 0}})
    assert empty.event_cost_usd.mid == pytest.approx(sum(empty.event_cost_parts_usd.values()))


def test_keys_that_no_plan_looks_at_are_named_in_one_line():
    stated = of(
        {"mix__image_ratio": 0.2, "faults": [{"kind": "throttle", "at_s": "1h", "length_s": "5m", "ratio": 0.1}]}
    )
    (line,) = [line for line in stated.warnings if line.startswith("not in this plan")]
    assert "mix.image_ratio" in line
    assert "faults" in line
    assert not any(line.startswith("not in this plan") for line in of().warnings)


def test_a_wide_range_says_first_what_would_shrink_it():
    wide = of({"demand__interactions__peak_per_s": {"low": 1, "mid": 20, "high": 900, "confidence": 0.9}})
    assert wide.warnings[0].startswith("chips needed range over")
    assert wide.expected_value_of_information[0].how in wide.warnings[0]


def test_chips_that_take_turns_do_not_end_below_the_level(monkeypatch):
    """No round to agree in: each of the last two choices is sized at its own joint level, and the cheaper stays."""
    monkeypatch.setattr(joint, "ROUNDS_MAX", 0)
    sizes = joint.size_supplies(plan_inputs(load_scenario("smoke"), None, [*step_models().values()], None, 1))
    assert sizes.reached
    assert 1 - sizes.carried.mean() <= 0.10 + 1e-9


def test_a_type_that_is_fixed_is_the_one_that_is_looked_at():
    """trn1.32xlarge for every fleet, whatever is cheaper; the others say why they are left at that."""
    inputs = plan_inputs(load_scenario("smoke"), None, [*step_models().values()], None, 1)
    simulated = joint.simulated_services(inputs)["custom-8b"]
    fixed = {(region, "custom-8b"): "trn1.32xlarge" for region in inputs.regions}
    free, held = (size_self_hosted(inputs, simulated, None, Market({}, {}, kinds)) for kinds in ({}, fixed))
    assert {choice.offer.instance.instance for choice in held.choices} == {"trn1.32xlarge"}
    assert {choice.offer.instance.instance for choice in free.choices} != {"trn1.32xlarge"}
    assert any("depends on the draws" in (option.rejected or "") for option in held.supplies[0].options)
