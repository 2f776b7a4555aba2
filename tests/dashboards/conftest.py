from pathlib import Path

import pytest

from neuron_bench.record import CaseRow, load_bench, write_bench
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


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    """Four published load points of one model on one chip, and one flagged row."""
    cases = [
        {
            "record_id": f"r{i}", "provenance": "published", "device_kind": "neuron", "method": "endpoint",
            "chip": "trainium2", "model_id": "llama-3.1-8b", "phase": "serve", "concurrency": c,
            "requests_per_s": c / 5, "output_tokens_per_s": 40.0 * c, "ttft_s_mean": 0.2 + 0.01 * c,
            "tpot_s_mean": 0.02 + 0.0004 * c, "n_samples": 100, "flags": "" if i < 4 else "p50 above p99",
        }
        for i, c in enumerate((1.0, 8.0, 16.0, 32.0, 64.0))
    ]  # fmt: skip
    folder = tmp_path_factory.mktemp("benches") / "b1"
    return load_bench(write_bench(folder, {"provenance": "published"}, [CaseRow(**case) for case in cases]))
