"""Buying for an event."""

import numpy as np
import pytest

from capacity.cost.prices import load_prices
from capacity.cost.purchase import PurchaseOption, buy, hourly_need
from capacity.plan import PlanError
from facts.reader import instances
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan

YEAR_H = 8_760.0


def test_a_year_is_never_bought_for_two_days():
    """The one-event trap: 8.1782 USD an hour looks like 393 USD for two days, but the year costs 71,641 USD."""
    listed = instances()["inf2.48xlarge"]
    year = PurchaseOption("year", listed.listed_reserved_usd_per_hour, 10.0, term_h=YEAR_H)
    assert round(year.commitment_usd(48)) == 71_641
    assert round(year.usd_per_hour * 48, 0) == 393
    found = buy(np.full(48, 10.0), [year, PurchaseOption("on demand", listed.on_demand_usd_per_hour, 10.0)])
    assert found.held == {}
    assert found.usd == pytest.approx(48 * listed.on_demand_usd_per_hour)


def test_a_commitment_pays_once_its_term_is_used():
    found = buy(
        np.full(1_000, 10.0), [PurchaseOption("term", 1.0, 10.0, term_h=1_000.0), PurchaseOption("hour", 2.0, 10.0)]
    )
    assert found.held == {"term": 1}
    assert found.usd == 1_000


@pytest.mark.parametrize(("term_h", "terms"), [(100.0, 1), (50.0, 2), (48.0, 3), (0.1 + 0.2, 334)])
def test_a_commitment_shorter_than_the_event_is_charged_for_every_term_it_takes(term_h, terms):
    found = buy(np.full(100, 10.0), [PurchaseOption("term", 0.01, 10.0, term_h=term_h)])
    assert found.held == {"term": 1}
    assert found.usd == pytest.approx(0.01 * term_h * terms)


def test_a_short_commitment_is_no_way_to_rent_for_less():
    """An hour at half the price, held for the 20 hours in which one is needed, is 20 such hours."""
    found = buy(np.full(20, 10.0), [PurchaseOption("term", 1.0, 10.0, term_h=1.0), PurchaseOption("hour", 2.0, 10.0)])
    assert found.usd == 20.0


def test_a_commitment_of_no_hours_is_not_free():
    with pytest.raises(PlanError, match="give term_h > 0"):
        PurchaseOption("term", 1.0, 10.0, term_h=0.0)
    with pytest.raises(PlanError, match="0 hours is no term"):
        load_prices({"commitments": [{"instance": "inf2.48xlarge", "usd_per_hour": 5.6, "term_h": 0}]})


def test_what_is_owned_is_used_before_anything_is_bought():
    found = buy(np.array([25.0]), [PurchaseOption("hour", 2.0, 10.0, owned=2)])
    assert found.held == {"hour": 2}
    assert found.usd == 2.0


def test_the_base_is_committed_and_the_peak_rented():
    need = np.array([10.0] * 20 + [30.0] * 2)
    found = buy(need, [PurchaseOption("term", 1.0, 10.0, term_h=22.0), PurchaseOption("hour", 2.0, 10.0)])
    assert found.held == {"term": 1}
    assert found.hourly["hour"].tolist() == [0] * 20 + [2] * 2


def test_float_noise_rents_nothing():
    assert buy(np.array([0.1 + 0.2]), [PurchaseOption("hour", 1.0, 0.3)]).usd == 1.0


def test_nothing_that_serves_no_call_is_bought():
    with pytest.raises(PlanError, match="no offer serves a call"):
        buy(np.array([1.0]), [PurchaseOption("hour", 1.0, 0.0)])


def test_instances_run_before_the_need_by_the_warm_up():
    """The rate rises at 2 h; with 15 minutes of warm-up the second hour must already hold it."""
    need, lasts_h = hourly_need(np.array([0.0, 7_200.0]), np.array([1.0, 5.0]), 3.5 * 3_600.0, 900.0)
    assert need.tolist() == [1.0, 5.0, 5.0, 5.0]
    assert lasts_h.tolist() == [1.25, 1.0, 1.0, 0.5]


@pytest.fixture(scope="module")
def valued():
    event = {"demand__interactions__shape": {"kind": "diurnal", "trough_ratio": 0.2}, "event__length_s": "1d"}
    return {v: plan(scenario(**SHORT, **event, capacity__value_per_interaction_usd=v)) for v in (0.001, 1.0, 100.0)}


def test_a_schedule_follows_the_day_and_costs_less_than_a_flat_fleet(valued):
    for row in valued[1.0].schedules:
        assert min(row.instances_by_hour) < max(row.instances_by_hour)
        assert row.usd < row.flat_usd


def test_own_commitments_are_bought_only_when_their_whole_term_pays():
    year = {"instance": "inf2.48xlarge", "usd_per_hour": 5.608, "term_h": YEAR_H}
    week = {"instance": "inf2.48xlarge", "usd_per_hour": 0.01, "term_h": 168.0}
    event = {"event__length_s": "1d"}
    for row in plan(scenario(**SHORT, **event), prices={"commitments": [year]}).schedules:
        assert not row.committed
    for row in plan(scenario(**SHORT, **event), prices={"commitments": [week]}).schedules:
        assert row.committed


def test_what_the_user_owns_costs_nothing_more():
    bare, owned = (plan(prices=prices).schedules for prices in (None, {"owned": {"inf2.48xlarge": 3000}}))
    assert sum(row.usd for row in owned) < sum(row.usd for row in bare)


def test_each_nine_costs_more(valued):
    rows = [row for row in valued[1.0].headroom if row.rule.startswith("p") and row.region == "us-east-1"]
    assert rows[0].usd <= rows[1].usd <= rows[2].usd
    assert rows[0].usd < rows[2].usd


def test_a_dearer_interaction_is_worth_more_replicas(valued):
    def replicas(value):
        return sum(row.replicas for row in valued[value].headroom if row.rule.startswith("worth"))

    assert replicas(0.001) < replicas(1.0) < replicas(100.0)


def test_without_a_value_the_plan_prices_the_nines_and_stops():
    assert {row.rule.split()[0] for row in plan().headroom} == {"p50", "p90", "p95", "p99", "bought,"}
