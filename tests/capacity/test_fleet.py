"""From calls a second to whole instances."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capacity.fleet.sizing import (
    Period,
    ceil_without_noise,
    fleet,
    held_for,
    priced_offers,
    regional_factor,
    replicas_per_zone,
)
from facts.reader import instances
from scenarios.schema import Resilience
from tests.capacity.models import llama_8b

THREE_ZONES = Resilience(zones=3, zones_lost=1, drain_ratio=0.0, broken_ratio=0.0)


def test_float_noise_buys_no_replica():
    assert 16.8 / (8 * 0.7) > 3
    assert ceil_without_noise(16.8 / (8 * 0.7)) == 3


def test_two_zones_carry_the_load_when_the_third_is_lost():
    assert replicas_per_zone(100.0, 5.0, THREE_ZONES) == 10


def test_draining_broken_and_retried_work_is_carried_too():
    rules = Resilience(zones=2, zones_lost=1, drain_ratio=0.15, broken_ratio=0.05, retry_extra_attempts=0.6)
    assert replicas_per_zone(10.0, 1.0, rules) == 20  # 10 * 1.6 / 0.8


def test_a_replica_of_four_chips_fits_three_times_into_twelve():
    sized = fleet(
        7 * 5.0,
        5.0,
        llama_8b(),
        instances()["inf2.48xlarge"],
        Resilience(zones=1, zones_lost=0, drain_ratio=0, broken_ratio=0),
    )
    assert (sized.replicas, sized.instances, sized.chips) == (7, 3, 36)


def test_a_replica_larger_than_any_instance_spans_several():
    big = llama_8b(chips_per_replica=24.0)
    sized = fleet(10.0, 5.0, big, instances()["inf2.48xlarge"], THREE_ZONES)
    assert sized.instances == sized.replicas * 2


def test_a_replica_spans_instances_only_where_no_type_holds_it_whole():
    assert {box.instance.chips for box in priced_offers("trainium1", 4.0, instances(), {})} == {16}


def test_three_equal_regions_carry_three_halves_when_one_may_be_lost():
    shares = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
    assert regional_factor(shares, "a", region_loss=True) == pytest.approx(3 / 2)
    assert regional_factor(shares, "a", region_loss=False) == 1


def test_one_region_has_nothing_to_fall_back_on():
    assert regional_factor({"a": 1.0}, "a", region_loss=True) == 1


def test_reserved_prices_of_unstated_term_are_never_used():
    boxes = priced_offers("inferentia2", 4.0, instances(), {})
    assert all(box.usd_per_hour == box.instance.on_demand_usd_per_hour for box in boxes)


@given(load=st.floats(0, 1e6), more=st.floats(0, 1e6), rate=st.floats(0.1, 100))
def test_more_load_never_needs_fewer_replicas(load, more, rate):
    assert replicas_per_zone(load + more, rate, THREE_ZONES) >= replicas_per_zone(load, rate, THREE_ZONES)


@given(load=st.floats(0, 1e5), unit=st.sampled_from([60.0, 3600.0, 1e-3]))
def test_a_change_of_time_unit_changes_nothing(load, unit):
    assert replicas_per_zone(load * unit, 3.0 * unit, THREE_ZONES) == replicas_per_zone(load, 3.0, THREE_ZONES)


@given(load=st.floats(0.1, 1e4))
def test_a_dominated_instance_is_never_chosen(load):
    """The chosen type costs no more than any other that could carry the same load."""
    model, boxes = llama_8b(), priced_offers("inferentia2", 4.0, instances(), {})
    holds = [held_for(load, 2.0, model, box, THREE_ZONES, Period(3600.0)) for box in boxes]
    best = min(holds, key=lambda hold: hold.usd).offer
    costs = [fleet(load, 2.0, model, box.instance, THREE_ZONES).instances * box.usd_per_hour for box in boxes]
    best_cost = fleet(load, 2.0, model, best.instance, THREE_ZONES).instances * best.usd_per_hour
    assert best_cost == pytest.approx(min(costs))
