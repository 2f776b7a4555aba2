"""`scenario fit` from an account's usage."""

from __future__ import annotations

import math

import pytest
import yaml

from facts.account import Minute, usage_text
from peakday.errors import CommandError
from peakday.previews import fit_history
from scenarios.loading import load_scenario

MIDNIGHT = 1_793_491_200
PRO = "us.amazon.nova-pro-v1:0"


@pytest.fixture
def usage(tmp_path, monkeypatch):
    """Two days of calls by the minute, 600 at the busiest."""
    monkeypatch.chdir(tmp_path)
    rows = {
        (MIDNIGHT + 60 * minute, "us-east-1", PRO): Minute(round(330 - 270 * math.cos(minute / 1440 * 2 * math.pi)))
        for minute in range(2 * 1440)
        if minute % 97
    }
    path = tmp_path / "usage.csv"
    path.write_text(usage_text(rows, "CloudWatch us-east-1"))
    return path


def test_usage_becomes_a_scenario(usage):
    """The busiest minute over the calls of a conversation is the peak, and the file is a valid scenario."""
    text, told = fit_history(usage, "again", "1.1,1.3,1.8", None, "smoke", 4.0)
    scenario = load_scenario("again.yaml", ())
    assert scenario.demand.interactions.peak_per_s.mid == pytest.approx(1.3 * 600 / 60 / 4.0, rel=0.01)
    assert "stated with --calls-per-interaction" in text
    assert "CloudWatch us-east-1" in text
    assert told["scenario"] == "again.yaml"
    assert yaml.safe_load((usage.parent / "again.yaml").read_text())


def test_without_a_figure_the_parent_says_how_many_calls(usage):
    """And the report says that it is an assumption."""
    text, _ = fit_history(usage, "again", "1.1,1.3,1.8", None, "smoke")
    assert "as smoke assumes for nova-pro" in text


def test_plain_counts_take_no_such_figure(tmp_path, monkeypatch):
    """A file of counts is conversations already."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "counts.csv").write_text("timestamp,count\n2026-01-01T00:00:00Z,1\n")
    with pytest.raises(CommandError, match=r"--calls-per-interaction is for a usage\.csv"):
        fit_history(tmp_path / "counts.csv", "again", None, None, "smoke", 2.0)
