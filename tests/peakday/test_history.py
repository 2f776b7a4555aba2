"""`peakday history`: the records of a folder over time, and where a figure changes its level."""

import json
import random

import pytest

from dashboards.numbers.changes import change_points
from loadgen.run_info import FINISHED, RunInfo, ScenarioRef, SloResult, Totals, Verdict, write_info
from peakday.errors import CommandError
from peakday.records.history import history
from slo.quantiles import Quantile


def a_run(base, number, *, cost, rate=5.0, slo="met", valid=True, name="smoke"):
    folder = base / "runs" / f"202601{number + 1:02d}-120000-{name}"
    folder.mkdir(parents=True)
    result = SloResult("ttft_s_p95", 2.0, slo, 0, 100, 0.05, 0.0, 0.0, 0.01)
    info = RunInfo(
        run_id=folder.name, state=FINISHED, started_utc=f"2026-01-{number + 1:02d}T12:00:00+00:00",
        scenario=ScenarioRef(name, "h"), verdict=Verdict(valid), slo=(result,),
        totals=Totals(asked=100, completed=100, achieved_rate_per_s=rate, cost_usd=cost),
        quantiles={"ttft_s": {"p95": Quantile(0.5)}},
    )  # fmt: skip
    write_info(folder, info)
    return folder


def test_a_change_of_level_is_marked_where_it_begins(tmp_path):
    """Ten runs that cost about a dollar, then ten that cost about two."""
    draw = random.Random(1)
    for number in range(20):
        a_run(tmp_path, number, cost=(1.0 if number < 10 else 2.0) + draw.uniform(-0.1, 0.1))
    text, data = history(tmp_path, tmp_path / "history.html", 500)
    assert len(data["records"]) == 20
    (change,) = [line for line in data["changes"] if "cost_usd" in line]
    assert "since 20260111-120000-smoke (10 records before, 10 since)" in change
    assert change in text
    page = (tmp_path / "history.html").read_text()
    assert "◆" in page
    assert "20260111-120000-smoke" in page


def test_invalid_runs_are_shown_and_make_no_level(tmp_path):
    for number in range(12):
        a_run(tmp_path, number, cost=1.0 + number / 100 if number % 2 else 50.0, valid=bool(number % 2))
    text, data = history(tmp_path, None, 500)
    assert text.count("INVALID") == 6
    assert not any("50" in line for line in data["changes"])


def test_the_rate_is_that_of_runs_whose_slos_are_met(tmp_path):
    a_run(tmp_path, 0, cost=1.0, rate=5.0)
    a_run(tmp_path, 1, cost=1.0, rate=9.0, slo="missed")
    _, data = history(tmp_path, None, 500)
    assert [one["figures"]["rate_at_slo_per_s"] for one in data["records"]] == [5.0, None]


def test_checks_and_damaged_records_are_in_the_table(tmp_path):
    a_run(tmp_path, 0, cost=1.0)
    broken = a_run(tmp_path, 1, cost=1.0)
    (broken / "run.json").write_text("{cut")
    (tmp_path / "checks").mkdir()
    check = {"schema": "peakday.check/1", "scenario": "smoke", "verdict": "pass", "lines": [{}, {}]}
    (tmp_path / "checks" / "20260105-120000.json").write_text(json.dumps(check))
    (tmp_path / "checks" / "other.json").write_text("[]")
    text, data = history(tmp_path, None, 500)
    assert [(one["kind"], one["verdict"]) for one in data["records"]] == [
        ("runs", "VALID"), ("runs", "damaged"), ("checks", "pass"),
    ]  # fmt: skip
    assert "2 gates" in text


def test_a_folder_without_records_says_what_makes_some(tmp_path):
    with pytest.raises(CommandError, match="no record in it"):
        history(tmp_path, None, 500)
    with pytest.raises(CommandError, match="no folder"):
        history(tmp_path / "absent", None, 500)


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([1.0] * 20, []),
        ([1.0, 2.0] * 10, []),
        ([1.0, 1.1, 0.9] * 4 + [3.0, 3.1, 2.9] * 4, [12]),
        ([1.0, 1.1, 0.9] * 4 + [3.0, 3.1, 2.9] * 4 + [0.1, 0.2, 0.15] * 4, [12, 24]),
        ([1.0, 5.0], []),
    ],
)
def test_levels_are_found_by_rank(values, places):
    assert change_points(values) == places


def test_noise_of_one_level_seldom_shows_two():
    """At 5% a series of one level is called two levels in at most some 5% of draws."""
    draw = random.Random(2)
    wrong = sum(bool(change_points([draw.gauss(0, 1) for _ in range(30)])) for _ in range(200))
    assert wrong <= 16
