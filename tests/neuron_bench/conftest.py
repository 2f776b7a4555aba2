"""Fixtures of the bench tests."""

from __future__ import annotations

import importlib.util

import pytest

from neuron_bench import suite
from neuron_bench.cases import Effort, decode, prefill
from neuron_bench.record import Bench, load_bench


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
