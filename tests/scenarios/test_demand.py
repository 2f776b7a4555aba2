"""The rate of demand: its peak is the stated one, its shapes are what they say, its integral is exact."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from scenarios.counts import step_counts
from scenarios.demand import curve, rate_per_s
from scenarios.errors import ScenarioError
from scenarios.loading import json_values, load_scenario
from scenarios.paths import draw_levels, draw_paths

from .test_arrivals import event

PIECES = st.sampled_from(
    [
        {"kind": "constant", "ratio": 0.7},
        {"kind": "diurnal", "peak_hour_local": 20.0, "trough_ratio": 0.2},
        {"kind": "ramp", "from_s": 500.0, "to_s": 900.0, "from_ratio": 0.1, "to_ratio": 1.0},
        {"kind": "step", "at_s": 777.7, "before_ratio": 0.2, "after_ratio": 1.0},
        {"kind": "deal_drops", "at_s": [100.0, 1500.5], "boost_ratio": 0.5, "rise_s": 30.0, "decay_s": 300.0},
        {"kind": "flash_spike", "at_s": 1000.0, "height_ratio": 9.0, "rise_s": 5.0, "hold_s": 20.0, "decay_s": 60.0},
        {"kind": "cool_down", "from_s": 1200.0, "decay_s": 200.0, "floor_ratio": 0.1},
    ]
)
SHAPES = st.recursive(
    PIECES,
    lambda inner: st.builds(
        lambda kind, of: {"kind": kind, "of": of},
        st.sampled_from(["sum", "product"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=4,
)


@given(shape=SHAPES, peak=st.floats(0.01, 1e5))
def test_the_busiest_moment_has_the_stated_peak(shape, peak):
    """Whatever the shape, the largest rate over all regions is peak_per_s, to a part in a thousand."""
    scenario = event(peak, 3000.0, {}, shape, regions=2)
    rates = rate_per_s(scenario, np.linspace(0, 3000, 6001)).sum(axis=0)
    assert rates.max() <= peak * (1 + 1e-6)
    fine = np.concatenate([np.linspace(a - 6, a + 30, 400) for a in (1000.0, 100.0, 1500.5)])
    assert max(rates.max(), rate_per_s(scenario, fine).sum(axis=0).max()) >= peak * 0.999


@given(shape=SHAPES, start=st.floats(0, 2900), length=st.floats(1, 100))
def test_the_integral_is_that_of_the_rate(shape, start, length):
    """Expected counts agree with an independent adaptive quadrature of the rate."""
    scenario = event(100.0, 3000.0, {}, shape)
    kinks = [
        p for p in (500, 900, 777.7, 100, 130, 1500.5, 1530.5, 1000, 1005, 1025, 1200) if start < p < start + length
    ]
    expected, _ = integrate.quad(
        lambda t: rate_per_s(scenario, np.array([t]))[0, 0], start, start + length, points=kinks or None, limit=200
    )
    assert curve(scenario, window=(start, start + length)).total == pytest.approx(expected, rel=2e-4, abs=1e-6)


@given(shape=SHAPES, share=st.floats(0, 1))
def test_moments_and_counts_are_each_others_inverse(shape, share):
    """counts_at(times_of(n)) is n."""
    whole = curve(event(100.0, 3000.0, {}, shape))
    count = np.array([share * whole.total])
    assert whole.counts_at(0, whole.times_of(0, count)) == pytest.approx(count, abs=1e-6 * max(1, whole.total))


@given(shape=SHAPES, factor=st.floats(0.01, 10))
def test_scale_is_a_factor(shape, factor):
    """Thinned demand is the same curve times the scale."""
    scenario = event(10.0, 3000.0, {}, shape)
    assert curve(scenario, scale=factor).total == pytest.approx(factor * curve(scenario).total)


def test_a_diurnal_curve_follows_each_regions_clock():
    """At the peak hour of New York its own rate is highest, three hours before Los Angeles has its own."""
    scenario = json_values(load_scenario("smoke", ["event.length_s=1d", "demand.interactions.shape={kind: diurnal}"]))
    t_s = np.arange(0, 86400, 60.0)
    rates = rate_per_s(scenario, t_s)
    gap_h = (t_s[rates[1].argmax()] - t_s[rates[0].argmax()]) / 3600 % 24
    assert gap_h == pytest.approx(3.0, abs=0.05)


def test_daylight_saving_moves_the_local_peak():
    """On the night clocks go back, the evening peak comes an hour later in UTC."""
    sets = ["event.start=2025-11-01T00:00:00-04:00", "event.length_s=2d", "demand.interactions.shape={kind: diurnal}"]
    t_s = np.arange(0, 2 * 86400, 60.0)
    rate = rate_per_s(json_values(load_scenario("smoke", sets)), t_s)[0]
    days = rate.reshape(2, -1).argmax(axis=1) / 60
    assert days[1] - days[0] == pytest.approx(1.0, abs=0.05)


def test_a_stream_the_scenario_lacks_is_nothing():
    """No price ticks in smoke: a rate and an integral of zero."""
    scenario = json_values(load_scenario("smoke"))
    assert curve(scenario, stream="price_ticks").total == 0


def test_a_per_minute_trace_reproduces_its_counts(traces, tmp_path):
    """A day of World Cup 98 as a shape: with its largest minute as the peak, every minute's integral is its count."""
    counts, period = _world_cup_day(traces, "1998-06-15")
    path = tmp_path / "day.csv"
    path.write_text("period,count\n" + "".join(f"{p},{c}\n" for p, c in zip(period, counts, strict=True)))
    scenario = event(
        max(counts) / 60,
        86400.0,
        {},
        {
            "kind": "trace",
            "file": str(path),
            "time_column": "period",
            "count_column": "count",
            "step_s": 60.0,
            "offset_s": 0.0,
        },
    )
    whole = curve(scenario)
    minutes = np.diff(whole.counts_at(0, np.arange(0, 86401, 60.0)))
    assert np.allclose(minutes, counts, atol=1e-6)


def _world_cup_day(traces, day):
    with gzip.open(traces / "worldcup98_per_minute_apr30-jun21.csv.gz", "rt") as file:
        rows = [line.strip().split(",") for line in file if line.startswith(day)]
    return [float(count) for _, count in rows], [period for period, _ in rows]


def test_missing_minutes_are_interpolated_and_counted(traces):
    """The World Cup series lacks ten minutes; they are filled in and counted."""
    series = step_counts(str(traces / "worldcup98_per_minute_apr30-jun21.csv.gz"), "period", "count", 60.0)
    assert len(series.counts) == 75_020 + 10
    assert series.missing == 10
    assert series.counts.max() == 153_878


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("period,count\n0,1\n60,nan\n", "line 3: count is nan"),
        ("period,count\n0,1\n60,-4\n", "expected a count >= 0"),
        ("period,count\n60,1\n0,1\n", "line 3: period is not after the row before"),
        ("period,count\n0,1\n60\n", "line 3: 1 of 2 cells"),
        ("time,count\n0,1\n", "no column 'period'"),
        ("period,count\nnoon,1\n", "expected a time and a count"),
        ("period,count\n0,1\n99999999999,1\n", "check step_s"),
        ("period,count\n", "no rows"),
    ],
)
def test_a_trace_that_is_no_series_names_line_and_cell(tmp_path, text, words):
    """NaN, negative counts, backward time, missing columns, mad gaps: one line each."""
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=words):
        step_counts(str(path), "period", "count", 60.0)


def test_levels_have_the_ranges_quantiles():
    """Half of the draws lie below mid, and low and high enclose the stated confidence."""
    estimate = {"low": 50.0, "mid": 400.0, "high": 1000.0, "confidence": 0.8}
    levels = draw_levels(estimate, 100_000, np.random.default_rng(1))
    assert np.quantile(levels, [0.1, 0.5, 0.9]) == pytest.approx([50, 400, 1000], rel=0.03)


def test_paths_without_noise_are_the_curve_times_a_level():
    """With a point estimate and no noise, every path is the expected rate."""
    scenario = event(
        10.0, 7200.0, {}, {"kind": "ramp", "from_s": 0.0, "to_s": 7200.0, "from_ratio": 0.0, "to_ratio": 1.0}
    )
    paths = draw_paths(scenario, draws=5, seed=1)
    expected = rate_per_s(scenario, paths.offset_s + 30.0)
    assert np.allclose(paths.rate_per_s, expected[None], rtol=1e-5)


def test_shape_noise_has_the_stated_variation_and_memory():
    """The wobble has mean 1 and the stated CV, and forgets over the stated time; regions share the stated part."""
    scenario = event(10.0, 6000.0, {}, regions=2)
    stream = scenario["demand"]["interactions"]
    stream["noise"] = {
        "timing_s_sd": 0.0,
        "shape_cv": 0.3,
        "shape_correlation_s": 600.0,
        "region_correlation_ratio": 0.5,
    }
    rates = draw_paths(scenario, draws=4000, seed=2).rate_per_s / np.array([7.0, 3.0], np.float32)[None, :, None]
    assert rates.mean() == pytest.approx(1.0, abs=0.01)
    assert rates[:, :, -1].std() == pytest.approx(0.3, rel=0.06)
    logs = np.log(rates)
    assert np.corrcoef(logs[:, 0, 20], logs[:, 0, 30])[0, 1] == pytest.approx(np.exp(-1), abs=0.05)
    assert np.corrcoef(logs[:, 0, 20], logs[:, 1, 20])[0, 1] == pytest.approx(0.5, abs=0.05)


def test_timing_noise_moves_the_curve():
    """A spike comes earlier or later by the stated spread, its height unchanged."""
    spike = {
        "kind": "flash_spike",
        "at_s": 10_000.0,
        "height_ratio": 5.0,
        "rise_s": 60.0,
        "hold_s": 600.0,
        "decay_s": 300.0,
    }
    scenario = event(10.0, 20_000.0, {}, spike)
    scenario["demand"]["interactions"]["noise"]["timing_s_sd"] = 900.0
    rates = draw_paths(scenario, draws=500, seed=3).rate_per_s[:, 0]
    assert rates.max(axis=1) == pytest.approx(10.0, rel=1e-3)
    assert (rates.argmax(axis=1) * 60).std() == pytest.approx(900.0, rel=0.15)


def test_draws_are_repeatable():
    """Same seed, same paths; another seed, others."""
    scenario = json_values(load_scenario("smoke", ["demand.interactions.noise={shape_cv: 0.1}"]))
    first, again, other = (draw_paths(scenario, draws=3, seed=seed, step_s=1.0).rate_per_s for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
