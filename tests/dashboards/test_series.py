import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from dashboards.numbers.series import bin_width_s, cache_levels, per_second, quantiles_over_time, thin


@given(st.integers(0, 2**31), st.integers(0, 5_000))
def test_thinning_keeps_the_highest_and_the_lowest_point(seed, n):
    y = np.random.default_rng(seed).lognormal(0, 2, n)
    x, kept = thin(np.arange(n, dtype=float), y)
    assert len(kept) <= 1_000
    assert not n or (kept.max(), kept.min()) == (y.max(), y.min())
    assert list(x) == sorted(x)


def test_quantiles_over_time_are_those_of_each_bin():
    rng = np.random.default_rng(3)
    turns = pd.DataFrame(
        {"intended_start_s": rng.uniform(0, 10, 500), "ttft_s": rng.lognormal(0, 1, 500), "status": "ok"}
    )
    turns["e2e_s"] = turns["ttft_s"]
    starts, found, counts = quantiles_over_time(turns, "ttft_s", (0.5,), 2.0, 10.0)
    for start, value, count in zip(starts, found[0.5], counts, strict=True):
        inside = turns[(turns["intended_start_s"] >= start) & (turns["intended_start_s"] < start + 2)]
        assert count == len(inside)
        if count:
            assert value == np.sort(inside["ttft_s"])[int(np.ceil(0.5 * count)) - 1]


def test_rates_add_the_workers_and_divide_by_the_bin():
    rows = pd.DataFrame({"worker": [0, 1, 0, 1], "second": [0, 0, 1, 1], "sent": [4, 2, 3, 1]})
    assert per_second(rows, ["sent"], 2, "rate")["sent"].tolist() == [5.0]


def test_a_time_axis_has_at_most_about_120_bins():
    assert all(span / bin_width_s(span) <= 120 for span in (1, 59, 300, 3_600, 345_600))


def test_cache_reads_fill_the_prompt_from_its_start():
    """2,400 shared and 300 customer tokens; 2,500 read means all of shared and 100 of the customer's."""
    calls = pd.DataFrame(
        {
            "input_tokens": [400],
            "cache_read_tokens": [2_500],
            "cache_write_tokens_5m": [100],
            "cache_write_tokens_1h": [0],
            "prefix_shared_tokens": [2_400],
            "prefix_customer_tokens": [2_700],
        }
    )
    levels = [(level, read[0], total[0]) for level, read, total in cache_levels(calls)]
    assert levels == [("shared", 2_400, 2_400), ("customer", 100, 300), ("conversation", 0, 300)]
