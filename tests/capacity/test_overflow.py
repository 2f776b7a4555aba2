"""What a fleet does not take goes on along the scenario's chain: the fleet that is cheapest with it is bought."""

from dataclasses import replace

import numpy as np
import pytest

from capacity.fleet.outcome import Multipliers, Overflow, Service
from capacity.simulator.surface import Surface
from dashboards.order.verdict import order_verdict
from tests.capacity.models import llama_8b
from tests.capacity.test_signed_plan import asks, bought, of, own

CHAIN = {"assistant__fallback": {"max_hops": 1, "chains": {"custom-8b": ["claude-sonnet"]}}}
BOTH = [llama_8b(), llama_8b("trainium2", a=0.001, b=1e-5, c=2e-5, tp=1, chips_per_replica=1.0)]
DEAR = {"tokens": {"claude-sonnet": {"input_usd_per_mtok": 500.0, "output_usd_per_mtok": 500.0}}}


@pytest.fixture(scope="module")
def alone():
    return of()


@pytest.fixture(scope="module")
def made():
    return of(CHAIN)


def chosen(made):
    return [supply.chosen for supply in made.supplies if supply.model == "custom-8b" and supply.chosen]


def spent(made):
    return sum(option.mean_usd for option in chosen(made))


def test_what_a_fleet_does_not_take_is_counted_by_hand():
    """Half of the event at the peak, half at half of it: a fleet for half of the peak misses a third of the calls."""
    carried = np.array([0.0, 0.5, 1.0])
    beyond = np.array([1.0, (0.5 * 0.5) / 0.75, 0.0])
    way = Overflow("nova-pro", 0.002, 0.001, 1e3, 1e2, 900.0, 1.0, carried, beyond)
    assert way.calls_beyond(np.array([0.0, 0.5, 1.0, 2.0]), "throughout").tolist() == pytest.approx([900, 300, 0, 0])
    assert way.calls_beyond(np.array([0.0, 0.5, 1.0]), "by the hour").tolist() == pytest.approx([900, 450, 0])
    assert replace(way, spare=2.0).calls_beyond(np.array([0.5]), "throughout")[0] == 0
    assert way.usd_per_call(Multipliers(input_tokens=np.array([2.0])))[0] == pytest.approx(0.005)


def test_a_workload_that_a_chip_barely_serves_is_not_counted_on_it():
    """The rate falls to a third where prompts double: with a rule of a half that draw is served by no fleet of it."""
    surface = Surface((np.array([0.0, np.log(2)]), np.zeros(1), np.ones(1)), np.log([[[1.0]], [[1 / 3]]]), 0.0, 0.0)
    service = Service("m", llama_8b(), 1.0, surface, "", "derived", 0.0, feasible_ratio=0.5)
    draws = Multipliers(input_tokens=np.array([1.0, 2.0]))
    assert service.serves(draws).tolist() == [True, False]
    assert service.rate_over(draws).tolist() == pytest.approx([1.0, 0.5])


def test_a_stated_chain_never_makes_the_fleets_dearer(made, alone):
    assert spent(made) <= spent(alone) * (1 + 1e-9)
    assert all(option.overflow.target == "claude-sonnet" for option in chosen(made))
    assert all(option.overflow is None for option in chosen(alone))


def test_a_fleet_with_an_overflow_carries_at_least_the_median_draw(made):
    for option in chosen(made):
        assert option.overflow.used.value <= 0.5
        assert option.load_per_s.at_level >= option.load_per_s.p50 * (1 - 1e-9)


def test_the_plan_holds_its_level_with_the_overflow_in_the_asks(made, alone):
    assert made.service.short.value <= 1 - made.service.level
    assert made.service.reached
    key = ("claude-sonnet", "us-east-1", "rpm")
    held = next(
        supply.chosen.overflow.peak_calls_per_s
        for supply in made.supplies
        if (supply.model, supply.region) == ("custom-8b", "us-east-1")
    )
    assert asks(made)[key] <= asks(alone)[key] + 60 * held * 1.02
    assert asks(made)[key] > asks(alone)[key]


def test_a_dear_target_takes_less(made):
    dear = of(CHAIN, prices=DEAR)
    assert sum(option.overflow.calls_ratio for option in chosen(dear)) <= sum(
        option.overflow.calls_ratio for option in chosen(made)
    )
    assert sum(bought(dear).values()) >= sum(bought(made).values())


def test_parts_add_up_with_an_overflow(made):
    assert sum(made.event_cost_parts_usd.values()) == pytest.approx(made.event_cost_usd.mid)
    for line in made.cost:
        assert sum(line.parts_usd.values()) == pytest.approx(line.per_interaction_usd.mid)


BIG = CHAIN | {"demand__interactions__peak_per_s": 40_000}


def test_no_more_is_bought_than_capacity_blocks_give_and_the_rest_goes_on():
    """Every region has its share of 256 trn2.3xlarge, and what is beyond goes on, at the median too: buyable."""
    only = of(BIG | {"capacity__own": {"custom-8b": {"chips": ["trainium2"]}}}, step_models=BOTH)
    count = sum(option.bought_instances for option in chosen(only))
    assert 200 < count <= 256
    assert all(option.overflow.usd_p50 > 0 for option in chosen(only))
    assert only.event_cost_parts_usd["custom-8b beyond its fleet, on claude-sonnet"] > 0
    assert sum(only.event_cost_parts_usd.values()) == pytest.approx(only.event_cost_usd.mid)
    assert not [line for line in only.warnings if "can be booked" in line]
    assert order_verdict(only).word == "BUYABLE"
    either = of(BIG | {"capacity__own": {"custom-8b": {"chips": ["inferentia2", "trainium2"]}}}, step_models=BOTH)
    assert spent(either) <= spent(only) * (1 + 1e-9)


def test_what_one_quota_lacks_is_one_line_of_the_plan(made):
    (line,) = made.exceptions
    assert line.count("inf2.48xlarge in ") == len(chosen(made))


def test_a_stated_range_holds_the_budget(made):
    around = made.service.budget_range
    assert around.low < made.service.budget_usd < around.high


def test_another_seed_lies_within_the_stated_range(made, alone):
    """Budget and chips of two more seeds, with and without an overflow."""
    for first, changes in ((made, CHAIN), (alone, {})):
        for seed in (2, 3):
            other = of(changes, seed=seed)
            for range_, value in (
                (first.service.budget_range, other.service.budget_usd),
                (first.service.chips_range, sum(bought(other).values())),
            ):
                assert range_.low <= value <= range_.high


def test_an_slo_that_nothing_keeps_is_still_refused_a_fleet():
    made = of(CHAIN | own(ttft_s_p99=0.05))
    assert made.not_served
    assert not chosen(made)
