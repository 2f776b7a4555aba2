"""A whole plan of a small event: what it must say, and what it must refuse."""

import json
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from capacity.cost.prices import load_prices
from capacity.demand.calls import assumed_calls
from capacity.plan import PlanError, load_plan, write_plan
from capacity.planner import make_plan
from dashboards.order.quotas import quota_asks
from tests.capacity.models import llama_8b
from tests.capacity.scenario_of import scenario


def plan(what=None, **options):
    """A plan with one published-like model, fast enough for unit tests; the same question is answered once."""
    what = what or scenario(**SHORT)
    options = {"step_models": [llama_8b()], "now_utc": "2026-11-23T00:00:00Z", "version": "1", "plan_id": "p"} | options
    if "run" in options:
        return make_plan(what, **options)
    key = what.model_dump_json(), repr(sorted(options.items()))
    if key not in PLANS:
        PLANS[key] = make_plan(what, **options)
    return PLANS[key]


PLANS = {}
SHORT = {
    "capacity__own": {"custom-8b": {"chips": ["inferentia2"]}},
    "capacity__assumed_tokens": {"shared_prefix_tokens": 1100, "output_tokens": 40, "tool_result_tokens": 100},
}


@pytest.fixture(scope="module")
def made():
    return plan()


def test_a_plan_survives_its_file(made, tmp_path):
    write_plan(made, tmp_path)
    assert load_plan(tmp_path) == made


@pytest.mark.usefixtures("simulated_anew")
def test_the_same_seed_gives_the_same_plan_to_the_byte(tmp_path):
    for name in ("one", "two"):
        PLANS.clear()
        write_plan(plan(), tmp_path / name)
    assert (tmp_path / "one/plan.json").read_bytes() == (tmp_path / "two/plan.json").read_bytes()


def test_parts_add_up_to_the_whole(made):
    assert sum(made.event_cost_parts_usd.values()) == pytest.approx(made.event_cost_usd.mid)
    for line in made.cost:
        assert sum(line.parts_usd.values()) == pytest.approx(line.per_interaction_usd.mid)


def test_intents_weighted_by_their_share_give_the_cost_of_all(made):
    lines = {line.intent: line.per_interaction_usd.mid for line in made.cost}
    everything = lines.pop("all")
    assert min(lines.values()) <= everything <= max(lines.values())


def test_instances_and_chips_are_whole_and_hold_the_replicas(made):
    for supply in made.supplies:
        for option in supply.options:
            assert option.instances.p90 == int(option.instances.p90)
            assert option.chips.p90 == option.instances.p90 * 12  # inf2.48xlarge
            assert option.chips.p90 >= option.replicas.p90 * 4


def test_three_assumptions_come_first_and_name_what_they_move(made):
    assert len(made.assumptions_with_most_effect) == 3
    assert any("demand: interactions" in line for line in made.assumptions_with_most_effect)


def test_without_a_run_tokens_are_assumed_and_the_plan_says_so(made):
    assert any(note.name == "tokens per call" and note.provenance == "assumed" for note in made.inputs)
    assert any("assumed: no run was given" in line for line in made.warnings)


def test_first_limit_exceeded_is_the_quota_that_binds_most(made):
    assert made.first_limit_exceeded.startswith("claude-sonnet in us-east-1: tpm")


def test_requests_a_minute_lead_only_where_the_account_or_the_scenario_names_them(made):
    """Pages disagree whether RPM is enforced: a published one is shown, and limits, asks and leads nothing."""
    rpm = next(q for s in made.supplies if s.model == "claude-sonnet" for q in s.quotas if q.kind == "rpm")
    assert (rpm.granted, rpm.in_doubt, rpm.counts) == (200.0, True, False)
    assert "rpm" not in str([s.throttling for s in made.supplies])
    assert [ask.kind for ask in quota_asks(made, None) if ask.kind == "rpm" and ask.held] == []
    stated = plan(scenario(**SHORT, quotas={"claude-sonnet": {"rpm": 200}}))
    assert stated.first_limit_exceeded.startswith("claude-sonnet in us-east-1: rpm")


def test_unset_max_tokens_is_the_first_quota_finding():
    made = plan(scenario(**SHORT, assistant__max_tokens=None))
    assert any("max_tokens is unset" in line for line in made.warnings)


def test_an_impossible_promise_turns_the_chip_down_with_the_reason():
    own = {"custom-8b": {"chips": ["inferentia2"], "ttft_s_p99": 0.05}}
    made = plan(scenario(**(SHORT | {"capacity__own": own})))
    option = next(s for s in made.supplies if s.model == "custom-8b").options[0]
    assert option.rejected.startswith("ttft_s_p99 <= 0.05 is missed by one call alone")
    assert any("no chip meets its SLOs" in line for line in made.warnings)


def test_schema_examples_are_refused():
    with pytest.raises(PlanError, match="schema_example values are invented"):
        plan(step_models=[llama_8b(provenance="schema_example")])


def test_a_fitted_model_is_not_stretched_beyond_what_it_saw():
    fitted = llama_8b(provenance="measured", validity={"input_tokens": (100.0, 500.0)})
    with pytest.raises(PlanError, match="refused beyond"):
        plan(step_models=[fitted])


def test_published_means_are_stretched_with_a_warning():
    made = plan(step_models=[llama_8b(validity={"input_tokens": (500.0, 500.0)})])
    assert any("extrapolates" in line for line in made.warnings)


def test_a_simulated_step_model_taints_what_it_touches():
    made = plan(step_models=[llama_8b(provenance="simulated")])
    chosen = next(s.chosen for s in made.supplies if s.model == "custom-8b")
    assert chosen.chips_range.simulated
    assert made.event_cost_usd.simulated
    assert made.simulated
    touched = {line.intent for line in made.cost if line.per_interaction_usd.simulated}
    assert touched == {line.intent for line in made.cost if "self-hosted" in line.parts_usd}


def test_a_gpu_that_was_measured_is_compared_with_the_chips():
    """Four times the speed on one L40S: the plan takes it, at a public price, and says what the chip would cost."""
    own = {"custom-8b": {"chips": ["inferentia2", "l40s"]}}
    gpu = llama_8b("l40s", a=0.006, b=6e-5, c=1e-4, tp=1, chips_per_replica=1.0)
    made = plan(scenario(**SHORT | {"capacity__own": own}), step_models=[llama_8b(), gpu])
    supply = next(supply for supply in made.supplies if supply.model == "custom-8b")
    options = {option.chip: option for option in supply.options}
    assert options["l40s"].rejected is None
    assert options["l40s"].instance_type.startswith("g6e.")
    assert options["l40s"].chips_per_replica == 1.0
    assert options["inferentia2"].rejected.startswith("l40s costs ")


def test_an_allowed_chip_that_nobody_measured_is_named():
    """Two are allowed and one is known: the plan is of that one, and says what was not compared."""
    what = scenario(**(SHORT | {"capacity__own": {"custom-8b": {"chips": ["inferentia2", "trainium2"]}}}))
    assert any(line.startswith("custom-8b: trainium2 not compared") for line in plan(what).warnings)


def test_a_quantile_of_cost_needs_ten_values_beyond_it(made):
    calls = assumed_calls(scenario(**SHORT), load_prices(None).models, seed=1)
    firsts = np.unique(calls.turn_interaction, return_index=True)[1]
    counted = Counter({"all": calls.interactions, **Counter(calls.turn_intent[firsts].tolist())})
    for line in made.cost:
        for name, beyond in (("p50", 0.5), ("p95", 0.05), ("p99", 0.01)):
            enough = counted[line.intent] * beyond >= 10
            assert (line.quantiles_usd["interaction"][name] is not None) == enough


def test_quantiles_of_cost_are_told_by_turn_and_by_part(made):
    everything = made.cost[0].quantiles_usd
    assert everything.keys() == {"interaction", "turn", *made.cost[0].parts_usd}
    for each in everything.values():
        assert each["p50"] <= each["p95"] <= each["p99"]
    assert everything["turn"]["p95"] <= everything["interaction"]["p95"]


def test_the_input_that_is_known_least_is_worth_measuring_most():
    wide = plan(scenario(**SHORT, demand__interactions__peak_per_s={"low": 2, "mid": 10, "high": 80}))
    first = wide.expected_value_of_information[0]
    assert first.input == "demand of the event"
    assert first.event_usd_spared > 0
    sure = plan(scenario(**SHORT, demand__interactions__peak_per_s={"low": 10, "mid": 10, "high": 10}))
    spared = {row.input: row.event_usd_spared for row in sure.expected_value_of_information}
    assert spared["demand of the event"] == pytest.approx(0.0, abs=1e-9)


ORDER_OF_WARNINGS = """
from tests.capacity.test_plan_small import plan
print("\\n".join(plan(now_utc="2028-01-01T00:00:00Z").warnings))
"""


@pytest.mark.slow
def test_warnings_come_in_the_same_order_whatever_the_hash_seed():
    said = {
        subprocess.run(
            [sys.executable, "-c", ORDER_OF_WARNINGS], env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            check=True, capture_output=True, text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(said) == 1
    assert said.pop().count("days old") >= 2


def test_a_measured_step_model_is_preferred_to_a_derived_one():
    made = plan(step_models=[llama_8b(), llama_8b(provenance="measured", source="measured here")])
    assert any(note.source == "measured here" for note in made.inputs)
    assert not any(note.kind == "step_model" and note.provenance == "derived" for note in made.inputs)


def test_a_region_that_may_be_lost_costs_more():
    lost = plan(scenario(**SHORT, capacity__resilience__region_loss=True))
    assert lost.event_cost_usd.mid > plan().event_cost_usd.mid


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"tokens": {"claude-sonnet": {"input_usd_per_mtok": -1}}}, "is no price"),
        ({"tokens": {"claude-sonnet": {"input_usd_per_mtok": float("nan")}}}, "is no price"),
        ({"tokens": {"claude-sonnet": {"input_usd_per_mtok": 0.1}}}, "contradict"),
        ({"tokens": {"nobody": {}}}, "no Bedrock model of that name"),
        ({"instances": {"inf9.xlarge": {"usd_per_hour": 1}}}, "unknown instance type"),
        ({"chips": {}}, "unknown key"),
        ({"owned": {"inf9.xlarge": 1}}, "unknown instance type"),
        ({"commitments": [{"instance": "inf2.48xlarge", "usd_per_hour": 5.6}]}, "without a term is no price"),
    ],
)
def test_bad_prices_are_refused_with_their_place(overlay, message):
    with pytest.raises(PlanError, match=message):
        plan(prices=overlay)


def test_own_prices_replace_the_list(made):
    cheap = plan(prices={"instances": {"inf2.48xlarge": {"usd_per_hour": 1.0}}})
    assert cheap.event_cost_usd.mid < made.event_cost_usd.mid
    assert any(note.source == "own price overlay" for note in cheap.inputs)
    option = next(s.chosen for s in cheap.supplies if s.model == "custom-8b")
    assert option.usd_per_hour.source.startswith("your own price of inf2.48xlarge; instances: ")


def test_what_is_not_sized_never_breaks_first_but_is_warned_about():
    own = {"custom-8b": {"chips": ["inferentia2"], "ttft_s_p99": 0.05}}
    made = plan(scenario(**(SHORT | {"capacity__own": own, "quotas": {"claude-sonnet": {"rpm": 1e9, "tpm": 1e12}}})))
    assert "custom-8b" not in made.first_limit_exceeded
    assert any("custom-8b: no chip meets its SLOs" in line for line in made.warnings)


def test_what_is_bought_is_one_level_throughout(made):
    chosen = next(s.chosen for s in made.supplies if s.model == "custom-8b")
    assert chosen.chips_range.mid == chosen.bought_chips == chosen.bought_instances * 12
    assert chosen.event_usd == pytest.approx(chosen.usd_per_hour.mid * chosen.billed_hours)
    assert f"{chosen.instance_type}, {chosen.price_kind}, 20" in chosen.usd_per_hour.source


def test_the_three_error_bars_are_apart_and_inside_the_whole(made):
    bars = made.errors
    assert bars.demand.low >= bars.chips.low * 0.8
    assert bars.model.high <= bars.chips.high
    assert bars.monte_carlo["p95"].low <= bars.chips.high <= bars.monte_carlo["p95"].high


def test_a_stated_horizon_is_what_chips_are_paid_for(made):
    longer = plan(scenario(**SHORT, capacity__horizon_s="8h"))
    hours = {s.chosen.billed_hours for s in longer.supplies if s.chosen}
    assert hours == {8.0}
    assert longer.event_cost_usd.mid > made.event_cost_usd.mid


def test_a_plan_holds_no_nan(made):
    json.dumps(json.loads(json.dumps(made, default=lambda o: o.__dict__)), allow_nan=False)


def test_an_old_price_is_named():
    made = plan(now_utc="2027-11-23T00:00:00Z")
    assert any("days old" in line for line in made.warnings)


def test_more_model_error_widens_the_range_of_chips():
    def width(error):
        chosen = next(s.chosen for s in plan(step_models=[llama_8b(relative_error=error)]).supplies if s.options)
        return chosen.chips_range.high - chosen.chips_range.low

    assert width(0.5) > width(0.01)


def test_hours_charged_say_how_much_of_them_is_warm_up(made):
    assert any("hours, 0.25 of them warm-up before the event" in line for line in made.warnings)
