"""The SLO table of a run, and what fails it."""

import json

import pytest

from peakday.errors import CommandError
from peakday.run.options import fails_on
from peakday.run.slo_table import any_missed, slo_data, slo_lines
from slo.slo import slos_of
from tests.peakday.gate.making import run

SLOS = slos_of({"ttft_s_p95": 1.0, "error_ratio": 0.05})


def test_each_slo_is_met_missed_or_has_not_enough_turns():
    lines = slo_lines(run([0.5] * 300 + [None] * 300, ["ok"] * 300 + ["http_error"] * 300), SLOS, 60.0)
    assert [row["verdict"] for row in slo_data(lines)] == ["missed", "missed"]
    lines = slo_lines(run([0.5] * 600), SLOS, 60.0)
    assert [row["verdict"] for row in slo_data(lines)] == ["met", "met"]
    lines = slo_lines(run([0.5] * 10), SLOS, 10.0)
    assert [row["verdict"] for row in slo_data(lines)] == ["not enough turns"] * 2


def test_a_row_has_limit_and_measurement_and_is_json():
    (row,) = slo_data(slo_lines(run([0.5] * 570 + [2.0] * 30), slos_of({"ttft_s_p95": 1.0}), 60.0))
    assert str(row["baseline"]) == "ttft_s_p95 <= 1"
    assert "30 of 600 turns missed it" in row["why"]
    json.dumps(row, allow_nan=False)


def test_only_an_slo_that_is_surely_missed_fails_a_run():
    few = slo_lines(run([2.0] + [0.5] * 9), slos_of({"ttft_s_p95": 1.0}), 10.0)
    assert not any_missed(few)
    assert any_missed(slo_lines(run([2.0] * 60), slos_of({"ttft_s_p95": 1.0}), 10.0))


def test_fail_on_takes_slo_alone():
    assert fails_on("slo")
    assert not fails_on(None)
    with pytest.raises(CommandError, match="expected slo"):
        fails_on("errors")
