"""The benchmark runs: a smoke test at a hundredth of its size."""

from bench.scenarios import rows


def test_the_benchmark_measures_something():
    """Every row has a positive figure and a positive reference."""
    found = rows(scale=0.01)
    assert len(found) == 4
    assert all(value > 0 and reference > 0 for _, value, reference in found)
