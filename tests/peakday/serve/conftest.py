"""A folder with a record of each kind, and a reader of its pages."""

import json

import pytest

from capacity.plan import write_plan
from tests.dashboards.plans import make_plan
from tests.dashboards.records import make_run
from tests.peakday.serve.client import Client

RUN, OLDER, PLAN, CHECK = (
    "20260708-093015-smoke",
    "20260708-093010-smoke",
    "20260708-093020-smoke",
    "20260708-093025-smoke",
)


@pytest.fixture(scope="package")
def records(tmp_path_factory):
    """Two runs, two plans and a check, made once."""
    base = tmp_path_factory.mktemp("folder")
    for name in (RUN, OLDER):
        make_run(base / "runs" / name, 60)
    for name in (PLAN, OLDER):
        write_plan(make_plan(), base / "plans" / name)
    line = {"gate": "slo", "metric": "ttft_s_p99", "verdict": "fail", "why": "slow"}
    data = {"schema": "peakday.check/1", "scenario": "smoke", "verdict": "fail", "lines": [line]}
    (base / "checks" / CHECK).mkdir(parents=True)
    (base / "checks" / CHECK / "check.json").write_text(json.dumps(data))
    return base


@pytest.fixture
def client(records, monkeypatch, tmp_path):
    """The pages of that folder, as the one user sees them."""
    monkeypatch.chdir(records)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Client(records)
