"""The live panel and the live line: what a person watching a run reads."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from loadgen.coordinator.panel import Rates, panel
from loadgen.coordinator.status_line import cache_hit_token_ratio, line

LIVE: dict[str, Any] = {
    "state": "running",
    "elapsed_s": 12.0,
    "counters": {
        "asked": 60, "sent": 60, "completed": 50, "failed": 3, "abandoned": 0, "dropped": 0, "censored": 0,
        "input_tokens": 300, "cache_read_tokens": 600, "cache_write_tokens_5m": 100, "cost_usd": 0.0123,
    },
    "in_flight": 7,
    "quantiles": {
        "ttft_s": {"p50": 0.2, "p99": 1.5, "n": 50},
        "gap_s": {"p50": 0.02, "p99": 0.04, "n": 900},
        "start_lag_s": {"p50": 0.0001, "p99": 0.0007, "n": 60},
    },
    "workers": {"0": {}},
    "health": {"0": {"cpu_ratio": 0.31, "heartbeat_late_s": 0.0012}},
    "errors": {"429:ThrottlingException": 3},
    "supplies": {"bedrock": True},
    "lost": [], "faults": [], "notes": [], "aborted": None,
}  # fmt: skip


def screen(live: dict[str, Any], length_s: float = 30.0, **options: Any) -> str:
    console = Console(width=110, record=True, file=io.StringIO())
    console.print(panel(live, length_s, Rates(), title="peakday run x", **options))
    return console.export_text()


@pytest.mark.parametrize(
    "said",
    [
        "12 of 30 s",
        "5.0 turns/s offered, 5.0 turns/s sent",
        "7 in flight",
        "p50 200.0 ms",
        "p99 1.50 s",
        "gap between chunks",
        "3 x 429:ThrottlingException",
        "60.0% of input tokens read from cache",
        "0.0123 USD so far",
        "start lag p99 0.7 ms (limit 10.0 ms), CPU 31% of a core",
        "SIMULATED",
    ],
)
def test_the_panel_shows_everything_a_watcher_needs(said):
    """Progress, rates, what is open, latency, errors by kind, cache, dollars, the generator's health, provenance."""
    assert said in screen(LIVE)


def test_the_panel_says_the_budget():
    """Dollars so far stand beside what may be spent."""
    assert "0.0123 USD of 2 USD so far" in screen(LIVE, budget_usd=2.0)


def test_the_panel_says_that_the_generator_is_late():
    """A start lag beyond the verdict's limit is told while the run can still be stopped."""
    late = LIVE | {"quantiles": LIVE["quantiles"] | {"start_lag_s": {"p50": 0.001, "p99": 0.5, "n": 60}}}
    assert "the run would be INVALID" in screen(late)
    assert "INVALID" not in screen(LIVE)


def test_the_panel_says_what_went_wrong():
    """A lost worker, a fault inside the generator, an abort: each in words."""
    told = screen(LIVE | {"lost": ["worker 1 was lost"], "faults": ["KeyError: 'x'"], "aborted": "budget: spent"})
    assert "worker 1 was lost" in told
    assert "KeyError: 'x'" in told
    assert "budget: spent" in told


def test_before_t0_the_panel_waits():
    """Nothing is invented before the first report, and a clock that has not reached t0 is no time."""
    assert "waiting" in screen(LIVE | {"elapsed_s": None})
    assert "waiting" in screen(LIVE | {"elapsed_s": -0.4})


def test_the_rate_is_of_the_last_seconds():
    """A rate that changed shows as it is now, not as the mean of the run."""
    rates = Rates()
    for second in range(1, 11):
        rates.recent(second, 2.0 * second, 2.0 * second)
    for second in range(11, 17):
        asked, sent = rates.recent(second, 20 + 10.0 * (second - 10), 20 + 9.0 * (second - 10))
    assert (asked, sent) == (10.0, 9.0)


def test_hit_ratio_counts_writes_as_asked():
    """Tokens written to a cache were not read from it; before any call there is no ratio."""
    assert cache_hit_token_ratio(LIVE["counters"]) == 0.6
    assert cache_hit_token_ratio({}) is None
    assert "cache 60%" in line(LIVE, 30.0)
