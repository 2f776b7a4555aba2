"""The benchmark of the bench itself, at a size that proves it runs."""

from __future__ import annotations

import importlib.util

import pytest

from bench.neuron_bench import growth, repeatability
from neuron_bench.trace.cases import Effort, decode, prefill

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed: pip install 'peakday[bench]'"
)
TINY = Effort(samples_min=9, seconds_min=0.05, turn_s=0.02, warm_windows_max=40)


@pytest.mark.slow
def test_fresh_processes_give_a_spread_and_a_contended_share() -> None:
    """Two processes of one case: a CV against the figure expected of it."""
    ((name, cv, expected, ratio),), contended = repeatability(2, TINY, [prefill(1, 16, "float32")])
    assert "n = 2 processes" in name
    assert cv >= 0
    assert (expected, ratio) == (0.06, pytest.approx(cv / 0.06))
    assert 0 <= contended <= 1


@pytest.mark.slow
def test_growth_shows_every_residual() -> None:
    """One row a case against the law, and one for each cache length against its batch."""
    cases = [prefill(1, n, "float32") for n in (16, 32, 64)] + [decode(b, 64, "float32") for b in (1, 4)]
    rows = growth(TINY, cases)
    assert len(rows) == len(cases) + 1
    assert rows[-1][0].startswith("decode, cache 64")
