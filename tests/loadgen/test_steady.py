"""Statistics of turns that are not independent: batch means, a trend test, and Little's law on two counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.analysis.steady_state import batch_means, littles_law, steady_state, trend
from loadgen.record import Run
from loadgen.run_info import RunInfo
from loadgen.tables import TABLES

LENGTH_S = 100.0


def a_run(ttft_s: np.ndarray, start_s: np.ndarray | None = None, *, drop_ratio: float = 0.0, seed: int = 1) -> Run:
    """A run of answered turns at these times, and the generator's own counts of what was in flight at each second."""
    n = len(ttft_s)
    starts = np.sort(np.random.default_rng(seed).uniform(0, LENGTH_S, n)) if start_s is None else start_s
    turns = pd.DataFrame({name: pd.Series([None] * n) for name in TABLES["turns"]})
    turns["intended_start_s"], turns["start_lag_s"], turns["status"] = starts, 0.0, "ok"
    for name in ("ttft_s", "e2e_s", "ttft_from_send_s", "e2e_from_send_s"):
        turns[name] = ttft_s
    seconds = np.arange(int(LENGTH_S))
    level = [int(((starts <= s + 1) & (starts + ttft_s > s + 1)).sum()) for s in seconds]
    generator = pd.DataFrame({"worker": 0, "second": seconds, "in_flight": level})
    empty = {name: pd.DataFrame({column: [] for column in TABLES[name]}) for name in TABLES}
    kept = turns[np.random.default_rng(seed).random(n) >= drop_ratio].reset_index(drop=True)
    return Run(path=None, info=RunInfo(), **{**empty, "turns": kept, "generator": generator})


def test_independent_turns_are_steady():
    """Poisson arrivals and one law of latency: no trend is seen."""
    run = a_run(np.random.default_rng(2).exponential(0.5, 2_000))
    found = steady_state(run, LENGTH_S)
    assert found.steady is True
    assert "steady" in found.sentence


def test_a_growing_queue_is_no_steady_state():
    """Latency that climbs all the way is told, and by how much."""
    starts = np.linspace(0, LENGTH_S, 2_000, endpoint=False)
    found = steady_state(a_run(0.2 + starts / 50, starts), LENGTH_S)
    assert found.steady is False
    assert "TTFT p50 moved by +" in found.sentence


def test_a_changing_rate_is_not_judged():
    """An event's own ramp is no fault of the target: whether it was steady is then unknown."""
    starts = LENGTH_S * np.sqrt(np.linspace(0, 1, 2_000, endpoint=False))
    found = steady_state(a_run(np.full(2_000, 0.2), starts), LENGTH_S)
    assert found.steady is None
    assert "offered rate changed" in found.sentence


def test_a_short_run_is_not_judged():
    """Too few turns say nothing: neither steady nor not, and no batch interval."""
    run = a_run(np.full(100, 0.2))
    assert steady_state(run, LENGTH_S).steady is None
    assert batch_means(run.turns, LENGTH_S)["ttft_s"]["p50"] is None


def test_a_trend_is_rarely_seen_in_noise():
    """Of level series at most about one in a hundred is called moving."""
    rng = np.random.default_rng(3)
    moving = sum(trend(rng.normal(10, 3, 10)).moves for _ in range(1_000))
    assert moving <= 20


@given(st.lists(st.floats(1, 1e3), min_size=10, max_size=10), st.floats(0.1, 100))
def test_a_trend_knows_no_unit(levels, factor):
    """Milliseconds or seconds: the same verdict."""
    one, other = trend(np.array(levels)), trend(np.array(levels) * factor)
    assert one.moves == other.moves or one.p != pytest.approx(other.p)


def test_batch_means_cover_the_median_of_correlated_turns():
    """Slow swings that turns share: batch means cover the truth about as often as they say, far above independence."""
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        swing = np.repeat(np.exp(rng.normal(0, 0.3, 50)), 40)
        run = a_run(swing * rng.exponential(0.5, 2_000), np.linspace(0, LENGTH_S, 2_000, endpoint=False))
        interval = batch_means(run.turns, LENGTH_S)["ttft_s"]["p50"]
        covered += interval.lo <= TRUE_MEDIAN_S <= interval.hi
    assert covered >= 85


def _true_median_s() -> float:
    rng = np.random.default_rng(99)
    return float(np.median(np.exp(rng.normal(0, 0.3, 1_000_000)) * rng.exponential(0.5, 1_000_000)))


TRUE_MEDIAN_S = _true_median_s()


def test_littles_law_holds_where_nothing_is_lost():
    """Counts at each second agree with what the turns' own times add up to."""
    found = littles_law(a_run(np.random.default_rng(4).exponential(2.0, 1_000)), LENGTH_S)
    assert found.holds
    assert found.in_flight_mean == pytest.approx(20, rel=0.15)


def test_littles_law_finds_missing_turns():
    """A record that lost a third of its turns counts more in flight than it can explain."""
    found = littles_law(a_run(np.random.default_rng(4).exponential(2.0, 2_000), drop_ratio=0.33), LENGTH_S)
    assert not found.holds
    assert "disagree" in found.sentence


def test_littles_law_needs_some_seconds():
    """A run of a few seconds has too few counts to compare."""
    assert littles_law(a_run(np.full(50, 0.5)), 5.0) is None


def test_regular_arrivals_that_beat_with_the_second_accuse_nobody():
    """A tenth of a second in flight across each whole one: every count is 1, the mean a tenth, and nothing is lost."""
    starts = np.arange(0, LENGTH_S - 1) + 0.95
    law = littles_law(a_run(np.full(len(starts), 0.1), starts), LENGTH_S)
    assert law.holds
    assert law.in_flight_mean == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"status": np.where(np.arange(2_000) > 1_000, "http_error", "ok")}, "as failures rose from 0% to 100%"),
        ({}, "as the target got slower at the same load"),
    ],
)
def test_a_run_that_is_not_steady_says_why(change, cause):
    """Where the record tells: failures that came, or a target that slowed down."""
    starts = np.linspace(0, LENGTH_S, 2_000, endpoint=False)
    run = a_run(0.2 + starts / 500, starts)
    run = replace(run, turns=run.turns.assign(**change), generator=run.generator.iloc[:0])
    assert cause in steady_state(run, LENGTH_S).sentence
