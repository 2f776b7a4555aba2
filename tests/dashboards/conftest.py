from pathlib import Path

import pytest

from tests.dashboards.plans import make_plan
from tests.dashboards.records import make_run


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A valid run of 2,400 turns with a throttling fault, all supplies simulated."""
    return make_run(tmp_path_factory.mktemp("runs") / "20261123-094000-smoke")


@pytest.fixture
def plan():
    """A plan that a simulated run touched."""
    return make_plan()


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "report.html"
