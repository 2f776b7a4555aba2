"""What every plan obeys, whatever the scenario."""

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capacity.plan import PlanError
from capacity.planner import make_plan
from facts.reader import instances
from tests.capacity.models import llama_8b
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan

FEW = settings(max_examples=4)
QUICK = SHORT | {"capacity__draws": 100}
PEAKS = st.floats(0.5, 300)
ANY = pytest.mark.parametrize(("peak", "seed"), [(0.5, 0), (7.3, 999), (300.0, 41)])
"""Plans that several tests look at; those marked slow draw their own."""


def chips(made):
    return sum(supply.chosen.bought_chips for supply in made.supplies if supply.chosen)


def own_usd(made):
    return sum(row.usd for row in made.purchase)


def own(**promise):
    return {"custom-8b": {"chips": ["inferentia2"]} | promise}


@pytest.mark.slow
@FEW
@given(peak=PEAKS, more=st.floats(0, 300))
def test_more_load_never_needs_fewer_chips_nor_less_money(peak, more):
    less, greater = (plan(scenario(**QUICK, demand__interactions__peak_per_s=p)) for p in (peak, peak + more))
    assert chips(greater) >= chips(less)
    assert greater.event_cost_usd.mid >= less.event_cost_usd.mid * (1 - 1e-9)


@pytest.mark.slow
@FEW
@given(
    ttft_s=st.floats(0.6, 2.0), tpot_s=st.floats(0.04, 0.1), tighter=st.floats(0.5, 1.0),
    which=st.sampled_from(["ttft_s_p99", "tpot_s_p99"]),
)  # fmt: skip
def test_a_tighter_slo_never_costs_less(ttft_s, tpot_s, tighter, which):
    """Both are simulated with the same calls; an impossible promise is not sized, and says so."""
    promise = {"ttft_s_p99": ttft_s, "tpot_s_p99": tpot_s}
    loose, tight = (
        plan(scenario(**(QUICK | {"capacity__own": own(**each)})))
        for each in (promise, promise | {which: promise[which] * tighter})
    )
    if chips(tight) == 0:
        assert any("no chip meets its SLOs" in line for line in tight.warnings)
    else:
        assert own_usd(tight) >= own_usd(loose)


@ANY
def test_costs_add_up_over_parts_and_intents(peak, seed):
    made = plan(scenario(**QUICK, demand__interactions__peak_per_s=peak), seed=seed)
    assert sum(made.event_cost_parts_usd.values()) == pytest.approx(made.event_cost_usd.mid)
    everything = made.cost[0]
    in_event = made.rules.interactions_in_event
    assert everything.per_interaction_usd.mid * in_event == pytest.approx(made.event_cost_usd.mid, rel=1e-6)
    for line in made.cost:
        assert sum(line.parts_usd.values()) == pytest.approx(line.per_interaction_usd.mid)
        assert line.per_interaction_usd.low <= line.per_interaction_usd.mid <= line.per_interaction_usd.high


@ANY
def test_every_number_is_finite_and_no_range_is_upside_down(peak, seed):
    made = plan(scenario(**QUICK, demand__interactions__peak_per_s=peak), seed=seed)
    json.dumps(asdict(made), allow_nan=False)
    for supply in made.supplies:
        for option in supply.options:
            assert option.chips_range.low <= option.chips_range.high
            assert 0 <= option.utilisation_ratio.low <= option.utilisation_ratio.mid <= option.utilisation_ratio.high


@pytest.mark.slow
@FEW
@given(peak=st.floats(0.05, 5), mid_over_low=st.floats(1.0, 4.0), seed=st.integers(0, 1_000))
def test_every_range_holds_its_own_middle_in_small_events_too(peak, mid_over_low, seed):
    """Fleets are bought at p90 with all cache hits kept: both can lie beyond the draws' 90%."""
    forecast = {"low": peak / mid_over_low, "mid": peak, "high": peak * 1.1, "confidence": 0.9}
    made = plan(scenario(**QUICK, demand__interactions__peak_per_s=forecast), seed=seed)
    found = list(figures(asdict(made)))
    assert len(found) > 10
    for figure in found:
        assert figure["low"] <= figure["mid"] <= figure["high"], figure


def figures(node):
    """Every figure of a plan, wherever it stands."""
    if isinstance(node, dict) and {"mid", "low", "high"} <= set(node):
        yield node
    elif isinstance(node, dict | list | tuple):
        for child in node.values() if isinstance(node, dict) else node:
            yield from figures(child)


@pytest.mark.slow
@FEW
@given(factor=st.sampled_from([0.5, 2.0, 10.0]))
def test_prices_scale_what_they_price_and_nothing_else(factor):
    """Every instance of the chip at another hourly price: chips stay, their dollars scale."""
    listed = {n: box.on_demand_usd_per_hour for n, box in instances().items() if box.chip == "inferentia2"}
    usual, other = (
        plan(scenario(**QUICK), prices={"instances": {n: {"usd_per_hour": usd * x} for n, usd in listed.items()}})
        for x in (1.0, factor)
    )
    assert chips(other) == chips(usual) > 0
    assert own_usd(other) == pytest.approx(own_usd(usual) * factor)


@pytest.mark.slow
@FEW
@given(peak=PEAKS, more=st.floats(0, 300))
def test_more_load_never_costs_less_where_chips_compete(peak, more):
    """Which chip is cheapest may change with the load; what the cheapest costs may not fall."""
    steps = [llama_8b(), llama_8b("trainium1", a=0.03, chips_per_replica=4.0)]
    both = {"capacity__own": {"custom-8b": {"chips": ["inferentia2", "trainium1"]}}}
    less, greater = (
        plan(scenario(**(QUICK | both), demand__interactions__peak_per_s=p), step_models=steps)
        for p in (peak, peak + more)
    )
    assert all(len(supply.options) == 2 for supply in less.supplies if supply.supply == "self_hosted")
    assert own_usd(greater) >= own_usd(less)


@pytest.mark.slow
def test_no_plan_picks_an_instance_with_a_cheaper_twin(monkeypatch):
    """The same chips, a cent an hour dearer, listed first."""
    listed = instances()
    twins = {
        f"{name}-dear": replace(box, instance=f"{name}-dear", on_demand_usd_per_hour=box.on_demand_usd_per_hour + 0.01)
        for name, box in listed.items()
        if box.chip == "inferentia2"
    }
    both = {**twins, **listed}
    monkeypatch.setattr("capacity.cost.prices.instances", lambda: both)
    for peak in (0.5, 5, 50, 500):
        made = make_plan(
            scenario(**QUICK, demand__interactions__peak_per_s=peak), step_models=[llama_8b()],
            now_utc="2026-11-23T00:00:00Z", version="1", plan_id="p",
        )  # fmt: skip
        bought = {row.instance_type for row in made.purchase}
        assert bought
        assert not bought & set(twins)


def test_the_cost_of_an_interaction_is_as_unsure_as_what_it_is_made_of():
    """Its range holds the draws, not the sampling error of its mean alone."""
    figure = plan(scenario(**QUICK)).cost[0].per_interaction_usd
    assert figure.low < 0.9 * figure.mid or figure.high > 1.1 * figure.mid


def test_a_scenario_without_demand_is_refused_in_one_line_and_divides_by_nothing():
    with pytest.raises(PlanError, match="peak_per_s: 0 leaves nothing to plan"):
        plan(scenario(**QUICK, demand__interactions__peak_per_s=0))
