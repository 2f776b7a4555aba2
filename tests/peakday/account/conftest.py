"""A stubbed account, and a ban on real clients."""

from __future__ import annotations

import pytest

from peakday.account import clients
from tests.peakday.account.answers import Account


@pytest.fixture
def account(monkeypatch):
    """Stands in the way of `connect`."""
    made = Account()
    monkeypatch.setattr(clients, "connect", made.connect)
    return made
