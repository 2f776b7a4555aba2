"""What is generated is what was described: statistics of every arrival process as properties."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scenarios import arrivals
from scenarios.demand import curve
from scenarios.errors import ScenarioError
from scenarios.loading import json_values, load_scenario

PROCESSES = [
    {"process": "constant"},
    {"process": "poisson"},
    {"process": "gamma", "cv": 0.4},
    {"process": "gamma", "cv": 3.0},
    {"process": "weibull", "cv": 0.5},
    {"process": "weibull", "cv": 2.5},
    {"process": "mmpp", "burst_ratio": 8.0, "burst_share": 0.1, "burst_length_s": 5.0},
]
WAVY = {
    "kind": "product",
    "of": [
        {"kind": "diurnal", "peak_hour_local": 20.0, "trough_ratio": 0.2},
        {"kind": "flash_spike", "at_s": 900.0, "height_ratio": 3.0, "rise_s": 10.0, "hold_s": 60.0, "decay_s": 300.0},
    ],
}


def event(peak_per_s, length_s, law, shape=None, regions=1):
    scenario = json_values(load_scenario("smoke"))
    scenario["event"]["length_s"] = length_s
    names = ["us-east-1", "us-west-2"][:regions]
    for name, share in zip(names, ([1.0], [0.7, 0.3])[regions - 1], strict=True):
        scenario["event"]["regions"][name]["share"] = share
    for name in set(scenario["event"]["regions"]) - set(names):
        del scenario["event"]["regions"][name]
    stream = scenario["demand"]["interactions"]
    stream["peak_per_s"] = {"low": peak_per_s, "mid": peak_per_s, "high": peak_per_s, "confidence": 0.9}
    stream["arrivals"] = {"process": "poisson", "cv": 1.0, "burst_ratio": 5.0, "burst_share": 0.1} | law
    stream["shape"] = shape or {"kind": "constant", "ratio": 1.0}
    scenario["mix"]["interactions_per_session"] = {"mean": 1.0, "max": 1}
    return scenario


def starts_of(scenario, seed, scale=1.0):
    window = (0.0, scenario["event"]["length_s"])
    return arrivals.session_starts(scenario, window=window, scale=scale, seed=seed)


@pytest.mark.parametrize("law", PROCESSES, ids=lambda law: f"{law['process']}-{law.get('cv', '')}")
def test_the_mean_count_is_the_integral_of_the_rate(law):
    """Over 200 seeds the mean count lies within 3.0 standard errors of the integral, for every process."""
    scenario = event(2.0, 1800.0, law, WAVY, regions=2)
    expected = curve(scenario).total
    counts = np.array([len(starts_of(scenario, seed)) for seed in range(200)])
    error = max(counts.std(ddof=1) / np.sqrt(len(counts)), 0.5 / np.sqrt(len(counts)))
    assert abs(counts.mean() - expected) < 3.0 * error


@pytest.mark.parametrize(
    "law", [law for law in PROCESSES if "cv" in law], ids=lambda law: f"{law['process']}-{law['cv']}"
)
def test_gaps_have_the_asked_coefficient_of_variation(law):
    """At a steady rate the CV of inter-arrivals is the stated one, to 5%."""
    gaps = np.diff(starts_of(event(50.0, 4000.0, law), seed=3).offset_s)
    assert gaps.std() / gaps.mean() == pytest.approx(law["cv"], rel=0.05)


def test_constant_arrivals_are_evenly_spaced():
    """A constant process has no scatter at all."""
    gaps = np.diff(starts_of(event(10.0, 100.0, {"process": "constant"}), seed=1).offset_s)
    assert np.allclose(gaps, 0.1)


# At a CV of 3 one gamma gap in twenty is below the rounding of the sum it is added to, so the test stops at 2.
@pytest.mark.parametrize("law", [*PROCESSES[1:3], {"process": "gamma", "cv": 2.0}, *PROCESSES[4:6]], ids=str)
def test_time_changed_arrivals_follow_their_law(law):
    """Mapped back through the integral, gaps pass a Kolmogorov-Smirnov test of the law with mean one."""
    scenario = event(20.0, 1800.0, law, WAVY)
    window = curve(scenario)
    gaps = np.diff(window.counts_at(0, starts_of(scenario, seed=5).offset_s))
    cv = law.get("cv", 1.0)
    if law["process"] == "weibull":
        shape = arrivals.weibull_shape(cv)
        reference = stats.weibull_min(shape, scale=1 / stats.weibull_min(shape).mean())
    else:
        reference = stats.gamma(1 / cv**2, scale=cv**2)
    assert stats.kstest(gaps, reference.cdf).pvalue > 0.01


def test_a_logs_pattern_at_its_own_rate_is_the_log(traces):
    """Replayed at the mean rate of the hour: every timestamp to 1 ms, and the CV of gaps it is known for."""
    path = str(traces / "azure_llm_2023_code.csv.gz")
    log = arrivals.read_replay(path)
    mean = (len(log) - 1) / log.offset_s[-1]
    starts = starts_of(event(mean, float(log.offset_s[-1]) + 0.01, {"process": "replay", "file": path}), seed=1)
    assert np.abs(starts.offset_s - log.offset_s).max() < 1e-3
    gaps = np.diff(starts.offset_s)
    assert gaps.std() / gaps.mean() == pytest.approx(13.2, abs=0.05)


def test_a_logs_pattern_repeats_under_any_rate(traces):
    """Ten times the rate over an hour: the log ten times over, its count the integral's."""
    path = str(traces / "azure_llm_2023_code.csv.gz")
    scenario = event(25.0, 3600.0, {"process": "replay", "file": path}, WAVY, regions=2)
    counts = [len(starts_of(scenario, seed)) for seed in range(30)]
    assert np.mean(counts) == pytest.approx(curve(scenario).total, rel=0.02)


def test_a_modulated_process_is_burstier_than_poisson():
    """Counts per second of an MMPP vary more than their mean; those of a Poisson process do not."""

    def dispersion(law):
        offsets = starts_of(event(30.0, 3000.0, law), seed=2).offset_s
        counts = np.bincount(offsets.astype(int), minlength=3000)
        return counts.var() / counts.mean()

    assert dispersion({"process": "poisson"}) == pytest.approx(1.0, abs=0.15)
    assert dispersion(PROCESSES[-1]) > 5


def test_thinning_keeps_the_shape():
    """A tenth of the scale has a tenth of the starts in every part of the event."""
    scenario = event(200.0, 3600.0, {"process": "poisson"}, WAVY)
    full = np.histogram(starts_of(scenario, 1).offset_s, bins=12, range=(0, 3600))[0]
    thin = np.histogram(starts_of(scenario, 2, scale=0.1).offset_s, bins=12, range=(0, 3600))[0]
    score = (thin - full / 10) / np.sqrt(full / 10 + full / 100)
    assert np.abs(score).max() < 4


def test_regions_get_their_share():
    """Starts fall on regions in proportion to their shares."""
    starts = starts_of(event(100.0, 600.0, {"process": "poisson"}, regions=2), seed=1)
    assert (starts.region == 0).mean() == pytest.approx(0.7, abs=0.01)


def test_clients_share_the_stream_each_with_its_own_burstiness():
    """A dominating steady client and a small bursty one: shares and CVs are each one's own."""
    scenario = event(100.0, 2000.0, {"process": "gamma"})
    scenario["demand"]["interactions"]["clients"] = {
        "big": {"share": 0.8, "cv": 0.5},
        "small": {"share": 0.2, "cv": 3.0},
    }
    starts = starts_of(scenario, seed=4)
    assert (starts.client == 0).mean() == pytest.approx(0.8, abs=0.02)
    for client, cv in ((0, 0.5), (1, 3.0)):
        gaps = np.diff(starts.offset_s[starts.client == client])
        assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.08)


@given(seed=st.integers(0, 2**32), law=st.sampled_from(PROCESSES))
def test_starts_are_in_order_inside_the_window_and_repeatable(seed, law):
    """Every process, every seed: sorted, inside, and the same again."""
    scenario = event(5.0, 60.0, law, WAVY)
    once, again = (arrivals.session_starts(scenario, window=(10.0, 50.0), scale=1.0, seed=seed) for _ in range(2))
    assert np.array_equal(once.offset_s, again.offset_s)
    assert (np.diff(once.offset_s) >= 0).all()
    assert len(once) == 0 or (once.offset_s[0] >= 0 and once.offset_s[-1] <= 40.0)


def test_no_start_falls_where_the_rate_is_zero():
    """A step from nothing: nobody comes before it."""
    shape = {"kind": "step", "at_s": 100.0, "before_ratio": 0.0, "after_ratio": 1.0}
    starts = starts_of(event(10.0, 200.0, {"process": "poisson"}, shape), seed=1)
    assert starts.offset_s.min() >= 100.0


def test_a_constant_rate_stands_in_for_the_event():
    """`--rate 60/s --for 15s` gives interactions at 60/s: sessions at 60 over the interactions of one."""
    scenario = json_values(load_scenario("smoke"))
    counts = [len(arrivals.constant_rate(60.0, 15.0, resolved=scenario, seed=seed)) for seed in range(40)]
    expected = 60.0 * 15.0 / scenario["mix"]["interactions_per_session"]["mean"]
    assert np.mean(counts) == pytest.approx(expected, abs=3.0 * np.sqrt(expected / 40))


@pytest.mark.parametrize(("rate", "length"), [(-1.0, 15.0), (0.0, 15.0), (60.0, float("nan")), (float("inf"), 1.0)])
def test_a_rate_that_is_none_is_refused(rate, length):
    """Negative, zero, infinite or no number: one line that names the flag."""
    with pytest.raises(ScenarioError, match=r"--(rate|for) is .*, expected a number above 0"):
        arrivals.constant_rate(rate, length, resolved=json_values(load_scenario("smoke")), seed=1)


@pytest.mark.parametrize("window", [(-1.0, 5.0), (5.0, 5.0), (0.0, 1e6), (float("nan"), 5.0)])
def test_a_window_outside_the_event_is_refused(window):
    """The error names the event's length."""
    with pytest.raises(ScenarioError, match="lasts 20 s"):
        arrivals.session_starts(json_values(load_scenario("smoke")), window=window, scale=1.0, seed=1)


def test_too_many_starts_for_memory_are_refused():
    """A window that expects more starts than memory should hold says which flags to lower."""
    with pytest.raises(ScenarioError, match="--scale"):
        starts_of(event(1e9, 3600.0, {"process": "poisson"}), seed=1)


def test_a_worker_needs_numpy_and_the_standard_library_only():
    """Importing arrivals and sessions loads no pandas, scipy, numba, pydantic, yaml or locust."""
    code = (
        "import sys; import scenarios.arrivals, scenarios.sessions; "
        "print([m for m in ('pandas', 'scipy', 'numba', 'pydantic', 'yaml', 'locust', 'gevent') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
