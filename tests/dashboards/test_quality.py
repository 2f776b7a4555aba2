"""Judged quality on the report of a run."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pandas as pd
import pytest

from dashboards.html.run.quality import quality_panels
from dashboards.report import write_report
from loadgen.run_info import Judged
from slo.bounds import wilson


@pytest.fixture
def judged(run, tmp_path):
    """The run with 40 judged turns: 18 of 20 and 10 of 18 acceptable, two without a verdict."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(run.path / "run.json", folder)
    verdicts = [True] * 18 + [False] * 2 + [True] * 10 + [False] * 8 + [None] * 2
    pd.DataFrame(
        {
            "trace_id": [str(i) for i in range(40)],
            "model": ["nova-pro"] * 20 + ["claude-sonnet"] * 20,
            "intent": "deals",
            "complexity": ["simple"] * 20 + ["complex"] * 20,
            "acceptable": verdicts,
        }
    ).to_parquet(folder / "judgements.parquet")
    return replace(run, path=folder, info=replace(run.info, judged=Judged("claude-sonnet", True)))


def test_a_run_nobody_judged_has_no_panel(run):
    """No file, no panel: nothing is assumed."""
    assert quality_panels(run) == []


def test_shares_stand_with_their_interval_and_without_the_undecided(judged):
    """By model and complexity, with n; rows without a verdict are counted nowhere."""
    (panel,) = quality_panels(judged)
    rows = {row[0]: row[1:] for row in panel.table.rows}
    assert rows["nova-pro, simple"][0] == "90.0%"
    assert rows["claude-sonnet, complex"][2] == "18"
    assert rows["all"] == ["73.7%", "58.0% to 85.0%", "38"]


def test_a_stand_in_as_judge_is_said(judged, out):
    """A simulated judge measures no quality, and the page says so beside the share."""
    text = write_report(out, run=judged).read_text()
    assert "claude-sonnet called 73.7% of 38 sampled turns acceptable" in text
    assert "no quality was measured" in text


def test_a_damaged_file_is_told(judged):
    """Half a file gives a sentence, never a wrong chart."""
    (judged.path / "judgements.parquet").write_bytes(b"PAR1")
    (panel,) = quality_panels(judged)
    assert panel.chart is None
    assert "cannot be read" in panel.sentence


def test_wilsons_interval_is_the_textbooks():
    """Ten of ten is no certainty; 1 of 10 by hand (Wilson 1927): 1.8% to 40.4%."""
    assert wilson(10, 10) == (pytest.approx(0.7225, abs=1e-4), pytest.approx(1.0))
    assert wilson(1, 10) == (pytest.approx(0.0179, abs=1e-4), pytest.approx(0.4042, abs=1e-4))
