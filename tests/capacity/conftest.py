"""What the tests of plans share."""

import pytest

from capacity.fleet import self_hosted, supply


@pytest.fixture
def simulated_anew(monkeypatch):
    """Every service is simulated when it is asked for; else a process simulates the same once (`SIMULATIONS`)."""
    monkeypatch.setattr(supply, "make_service", self_hosted._simulated_service)
