"""Fixtures of the bench tests."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from neuron_bench.record import Bench, load_bench
from neuron_bench.trace import suite
from neuron_bench.trace.cases import Effort, decode, prefill

EXAMPLES = Path(os.environ.get("PEAKDAY_NEURON_EXAMPLES", Path(__file__).resolve().parents[3] / "shared" / "neuron"))


@pytest.fixture(scope="session")
def examples() -> Path:
    """Folder of schema examples of Neuron's tools: $PEAKDAY_NEURON_EXAMPLES or ../shared/neuron. Skips where absent."""
    if not EXAMPLES.is_dir():
        pytest.skip("no schema examples: set PEAKDAY_NEURON_EXAMPLES to a folder of them")
    return EXAMPLES


@pytest.fixture(scope="session")
def small_bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A real bench of two cases on this CPU, shorter than any suite. Skips without torch."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed: pip install 'peakday[bench]'")
    spec = suite.Spec(
        cases=(prefill(1, 32, "float32"), decode(2, 64, "float32")),
        effort=Effort(samples_min=9, seconds_min=0.3, turn_s=0.1, warm_windows_max=4),
    )
    return load_bench(suite.run(spec, tmp_path_factory.mktemp("benches") / "small"))
