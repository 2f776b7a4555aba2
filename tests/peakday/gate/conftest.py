"""A check of smoke that drives nothing real."""

from types import SimpleNamespace

import pytest

from peakday.gate.baselines.store import Folder
from peakday.gate.settings import Checks
from peakday.gate.state import Check, CheckRequest
from scenarios.loading import load_scenario
from tests.peakday.gate.making import HERE, QUIET


@pytest.fixture
def check(tmp_path, monkeypatch):
    """In an empty folder, with no baseline and every gate asked for."""
    monkeypatch.chdir(tmp_path)
    resolved = SimpleNamespace(scenario=load_scenario("smoke"), seed=1, scenario_hash="h", world=None)
    return Check(CheckRequest("smoke"), Checks(), resolved, HERE, Folder(tmp_path / "baselines"), QUIET)
