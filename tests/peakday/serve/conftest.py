"""A folder with a record of each kind, and a reader of its pages."""

from datetime import UTC, datetime

import pytest

from capacity.plan import write_plan
from peakday.console import Console
from peakday.gate.kept import keep
from peakday.gate.verdicts import Line, Outcome, Verdict
from tests.dashboards.plans import make_plan
from tests.dashboards.records import make_run
from tests.peakday.serve.client import Client

RUN, OLDER, PLAN, CHECK = (
    "20260708-093015-smoke",
    "20260708-093010-smoke",
    "20260708-093020-smoke",
    "20260708-093025-smoke",
)


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """Two runs, two plans and a check, made once."""
    base = tmp_path_factory.mktemp("folder")
    for name in (RUN, OLDER):
        make_run(base / "runs" / name, 60)
    for name in (PLAN, OLDER):
        write_plan(make_plan(), base / "plans" / name)
    line = Line("slo", "ttft_s_p99", Verdict.FAIL, "slow")
    at = datetime(2026, 7, 8, 9, 30, 25, tzinfo=UTC)
    keep(Outcome("smoke", (line,), (), (), {"took_s": float("nan")}), at, Console(quiet=True), base)
    return base


@pytest.fixture
def client(records, monkeypatch, tmp_path):
    """The pages of that folder, as the one user sees them."""
    monkeypatch.chdir(records)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Client(records)
