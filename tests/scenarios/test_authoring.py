"""Writing a scenario of one's own: a valid start, advice before the run, a fit of last year's counts."""

import json

import numpy as np
import pytest

from scenarios.advice import advice
from scenarios.authoring import json_schema, new_text, write_new
from scenarios.counts import step_counts
from scenarios.demand import curve
from scenarios.errors import ScenarioError
from scenarios.fitting import Growth, fit, period_peaks, predict, walk_forward
from scenarios.loading import json_values, library, load_scenario


def counts_csv(folder, counts, step_s=60):
    path = folder / "history.csv"
    path.write_text("period,count\n" + "".join(f"{i * step_s},{count}\n" for i, count in enumerate(counts)))
    return path


@pytest.mark.parametrize("parent", sorted(library()))
def test_a_new_scenario_is_valid_as_written(tmp_path, parent):
    """`new --from X` writes a file that loads, with X's event and peak."""
    scenario = load_scenario(write_new(tmp_path / "mine", parent))
    assert scenario.name == "mine"
    assert scenario.demand.interactions.peak_per_s == load_scenario(parent).demand.interactions.peak_per_s
    assert scenario.event == load_scenario(parent).event


def test_a_new_scenario_may_extend_a_file(tmp_path):
    """A parent's path is written so that it counts from the new file."""
    (tmp_path / "base").mkdir()
    parent = write_new(tmp_path / "base" / "one.yaml", "smoke")
    child = write_new(tmp_path / "two.yaml", str(parent))
    assert "extends: base/one.yaml" in child.read_text()
    assert load_scenario(child).name == "two"


def test_nothing_is_overwritten(tmp_path):
    """A file that is there stays as it is."""
    write_new(tmp_path / "mine.yaml", "smoke")
    with pytest.raises(ScenarioError, match="is there already"):
        write_new(tmp_path / "mine.yaml", "smoke")


@pytest.mark.parametrize(("name", "words"), [("My Event", "small letters"), ("9lives", "small letters")])
def test_a_name_that_is_none_is_refused(name, words):
    """Names are small letters, digits and _."""
    with pytest.raises(ScenarioError, match=words):
        new_text(name, "smoke")


def test_the_schema_allows_what_files_hold():
    """Editors see `extends`, the alias `schema`, and every top-level key, and no other."""
    schema = json.loads(json.dumps(json_schema()))
    assert {"extends", "schema", "event", "demand", "mix"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_library_scenarios_need_no_advice():
    """What is shipped raises no warning."""
    assert {name: advice(load_scenario(name)) for name in library()} == {name: [] for name in library()}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("capacity.assumed_tokens.shared_prefix_tokens=500", "below the 1024 that claude-sonnet needs"),
        ("assistant.max_tokens=null", "whole output limit"),
        ("assistant.cache.points=false", "no prompt is cached"),
        ("slo.ttft_s_p99=0.15", "below the published mean TTFT of custom-8b for a single user, 0.197 s"),
        ("slo.ttft_s_p99=0.2", "router's budget"),
        ("capacity.own.custom-8b.tpot_s_p99=0.001", "published mean for a single user"),
    ],
)
def test_what_cannot_hold_is_pointed_out(setting, words):
    """A prefix too short to cache, an unset limit, a promise below a single user's latency."""
    assert words in "\n".join(advice(load_scenario("smoke", [setting])))


def test_a_trace_that_is_too_short_is_pointed_out(tmp_path):
    """Missing steps and an event that outlasts its trace are warned of."""
    path = tmp_path / "t.csv"
    path.write_text("period,count\n0,5\n1,6\n3,4\n")
    shape = f"demand.interactions.shape={{kind: trace, file: {path}, step_s: 1}}"
    found = "\n".join(advice(load_scenario("smoke", [shape])))
    assert "1 missing steps are interpolated" in found
    assert "holds 4 s" in found


def test_a_fit_reproduces_its_history(tmp_path):
    """With growth of one, the fitted scenario expects the very counts it was made from, minute by minute."""
    counts = 50 + 40 * np.sin(np.arange(600) / 60) + np.arange(600) % 7
    history = counts_csv(tmp_path, counts)
    fitted = fit(history, name="again", growth=Growth(1, 1, 1), parent="smoke", out_folder=tmp_path)
    (tmp_path / "again.yaml").write_text(fitted.text)
    whole = curve(json_values(load_scenario(tmp_path / "again.yaml")))
    minutes = sum(np.diff(whole.counts_at(region, np.arange(0, 36_001, 60.0))) for region in range(2))
    assert minutes == pytest.approx(counts, rel=1e-3)


def test_growth_moves_the_peak_range(tmp_path):
    """Low, mid and high are the observed peak times the growth, and the file says that it was stated."""
    history = counts_csv(tmp_path, [60.0, 120.0, 60.0])
    fitted = fit(history, name="more", growth=Growth(1.0, 1.5, 3.0), parent="smoke", out_folder=tmp_path)
    (tmp_path / "more.yaml").write_text(fitted.text)
    peak = load_scenario(tmp_path / "more.yaml").demand.interactions.peak_per_s
    assert (peak.low, peak.mid, peak.high) == (2.0, 3.0, 6.0)
    assert "stated with --growth" in fitted.text


def test_growth_is_learned_from_the_files_own_days(traces, tmp_path):
    """World Cup 98: 51 ratios of daily peaks; their 80% interval held most of the next peaks."""
    fitted = fit(
        traces / "worldcup98_per_minute_apr30-jun21.csv.gz",
        name="cup",
        length_s=86_400.0,
        parent="smoke",
        out_folder=tmp_path,
    )
    assert fitted.growth.low < 1 < fitted.growth.high
    assert fitted.back_test.forecasts == 47
    assert 0.7 <= fitted.back_test.inside / fitted.back_test.forecasts <= 0.95
    assert fitted.peak_per_s == pytest.approx(153_878 / 60)
    assert "10 missing steps" in fitted.text
    (tmp_path / "cup.yaml").write_text(fitted.text)
    assert load_scenario(tmp_path / "cup.yaml").event.length_s == 86_400


def test_prediction_intervals_cover_as_they_promise():
    """On log-normal growth the 80% interval holds about 80% of the next peaks."""
    rng = np.random.default_rng(5)
    peaks = np.exp(np.cumsum(rng.normal(0.1, 0.3, 600)))
    found = walk_forward(peaks)
    assert found.inside / found.forecasts == pytest.approx(0.8, abs=0.05)
    assert predict(peaks).mid == pytest.approx(np.exp(0.1), rel=0.05)


def test_only_complete_periods_count(traces):
    """World Cup 98 begins on an evening: its first half day is no day."""
    series = step_counts(str(traces / "worldcup98_per_minute_apr30-jun21.csv.gz"), "period", "count", 60.0)
    assert len(period_peaks(series, 86_400.0)) == 52


@pytest.mark.parametrize(
    ("counts", "options", "words"),
    [
        ([1.0, 2.0, 3.0], {}, "state it: --growth"),
        ([1.0, 2.0, 3.0], {"growth": Growth(2, 1, 3)}, "low <= mid <= high"),
        ([1.0] * 30_000, {"growth": Growth(1, 1, 1)}, "--length"),
        ([0.0, 0.0], {"growth": Growth(1, 1, 1)}, "no counts above 0"),
        ([1.0, 2.0], {"growth": Growth(1, 1, 1), "length_s": 1e6}, "cannot last"),
        ([1.0], {"growth": Growth(1, 1, 1)}, "fewer than two rows"),
    ],
)
def test_a_history_that_says_too_little_is_refused(tmp_path, counts, options, words):
    """Too few periods for growth, a mad growth, no single event, nothing in it: one line with the remedy."""
    with pytest.raises(ScenarioError, match=words):
        fit(counts_csv(tmp_path, counts), name="x", parent="smoke", **options)
