"""What every test shares: deterministic property tests, and the public traces where they lie beside the checkout."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Machines differ: a deadline would fail tests for being slow, and a database would make runs depend on each other.
settings.register_profile(
    "peakday", deadline=None, database=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("peakday")

TRACES = Path(os.environ.get("PEAKDAY_TRACES", Path(__file__).resolve().parents[2] / "shared" / "traces"))


@pytest.fixture(scope="session")
def traces() -> Path:
    """Folder of public traces: $PEAKDAY_TRACES, or ../shared/traces beside the checkout. Skips where it is absent."""
    if not TRACES.is_dir():
        pytest.skip("no public traces: set PEAKDAY_TRACES to a folder of them")
    return TRACES
