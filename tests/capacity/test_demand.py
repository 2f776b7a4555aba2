"""A forecast's low, mid and high as a distribution over the event."""

import numpy as np
import pytest

from capacity.demand.forecast import range_quantile, stream_demand
from scenarios.schema import Range
from tests.capacity.scenario_of import scenario


@pytest.mark.parametrize("low", [5.0, 0.0])
def test_low_mid_and_high_are_the_quantiles_they_claim(low):
    estimate = Range(low=low, mid=20, high=100, confidence=0.8)
    assert range_quantile(estimate, np.array([0.1, 0.5, 0.9])) == pytest.approx([low, 20, 100], abs=1e-9)


def test_quantiles_never_fall_and_never_go_below_zero():
    values = range_quantile(Range(low=0, mid=1, high=9), np.linspace(0.001, 0.999, 99))
    assert (np.diff(values) >= 0).all()
    assert values.min() >= 0


def test_a_point_estimate_has_one_value():
    assert (range_quantile(Range(low=3, mid=3, high=3), np.array([0.01, 0.99])) == 3).all()


def test_regions_share_the_stated_peak():
    event = scenario()
    demand = stream_demand(event, "interactions", event.demand.interactions)
    assert demand["us-east-1"].timeline.peak_interactions_per_s.p50 == pytest.approx(0.6 * 20)
    assert demand["us-west-2"].timeline.peak_interactions_per_s.p95 == pytest.approx(0.4 * 40)


def test_starts_are_the_integral_of_the_rate():
    event = scenario()
    demand = stream_demand(event, "interactions", event.demand.interactions)
    assert demand["us-east-1"].starts == pytest.approx(0.6 * 20 * 4 * 3600)


def test_a_short_spike_is_not_lost_between_the_points_of_a_long_timeline():
    shape = {"kind": "flash_spike", "at_s": 100_000, "height_ratio": 9.0, "rise_s": 1, "hold_s": 2, "decay_s": 5}
    event = scenario(event__length_s="4d", demand__interactions__shape=shape)
    timeline = stream_demand(event, "interactions", event.demand.interactions)["us-east-1"].timeline
    assert max(timeline.interactions_per_s_p50) == pytest.approx(12.0, rel=0.05)
    assert min(timeline.interactions_per_s_p50) == pytest.approx(1.2, rel=0.01)


def test_the_busiest_day_is_no_more_than_the_event():
    event = scenario(event__length_s="4d", demand__interactions__shape={"kind": "diurnal"})
    demand = stream_demand(event, "interactions", event.demand.interactions)["us-east-1"]
    assert demand.starts / 4 <= demand.starts_busiest_day * (1 + 1e-9) < demand.starts
