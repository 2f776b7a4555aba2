"""The highest rate: a sequential test at each rate, and a bisection over rates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.analysis.sequential import HELD, MISSED, UNSURE, judge, warm_batches
from loadgen.analysis.series import max_rate
from loadgen.job import LoadError
from loadgen.record import Run
from loadgen.run_info import FINISHED, RunInfo, Verdict
from loadgen.tables import TABLES
from slo.bounds import Batch
from slo.slo import Slo, parse_slo

LENGTH_S = 30.0
SLO = {"ttft_s_p95": 1.0, "ttft_s_p50": None}
P95 = parse_slo("ttft_s_p95 <= 1")


def turns(ttft_s, status="ok", e2e_s=None) -> pd.DataFrame:
    n = len(ttft_s)
    frame = pd.DataFrame({name: [None] * n for name in TABLES["turns"]})
    frame["intended_start_s"] = np.linspace(0, LENGTH_S, n, endpoint=False)
    frame["ttft_s"], frame["status"] = np.asarray(ttft_s, dtype=float), status
    frame["e2e_s"] = frame["ttft_s"] if e2e_s is None else e2e_s
    return frame


def a_run(missed_ratio: float, n: int = 400, seed: int = 0, valid: bool = True) -> Run:
    slow = np.random.default_rng(seed).random(n) < missed_ratio
    empty = {name: pd.DataFrame({column: [] for column in TABLES[name]}) for name in TABLES}
    info = RunInfo(state=FINISHED, verdict=Verdict(valid, () if valid else ("start lag",)), asked_s=LENGTH_S)
    return Run(path=None, info=info, **{**empty, "turns": turns(np.where(slow, 3.0, 0.5))})


def target(capacity: float, made: list[float] | None = None):
    """Nothing is slow up to its capacity, a fifth of the turns is beyond it."""

    def run(rate_per_s: float, number: int) -> Run:
        if made is not None:
            made.append(rate_per_s)
        return a_run(0.0 if rate_per_s <= capacity else 0.2, seed=number)

    return run


def test_the_warm_up_is_left_out():
    """The first fifth of a run of 30 s says nothing."""
    found = warm_batches(turns(np.full(100, 0.5)), LENGTH_S, P95)
    assert sum(part.turns for part in found) == 80


def test_a_rate_is_judged_as_soon_as_it_is_clear():
    """Clear hits and clear misses need one look; what lies at the limit stays open."""
    alpha = 0.01
    assert judge({P95: [Batch(0, 100)] * 5}, alpha)[0] == HELD
    assert judge({P95: [Batch(20, 100)] * 5}, alpha)[0] == MISSED
    assert judge({P95: [Batch(5, 100)] * 5}, alpha)[0] == UNSURE
    assert judge({P95: [Batch(0, 4)] * 5}, alpha)[0] == UNSURE


def test_one_missed_slo_is_enough():
    """All must hold for the rate to hold."""
    other = parse_slo("e2e_s_p95 <= 9")
    assert judge({P95: [Batch(0, 500)], other: [Batch(100, 500)]}, 0.01)[0] == MISSED


def test_the_bounds_are_wrong_as_rarely_as_they_say():
    """Independent turns with just the allowed share of misses: hardly ever called missed, hardly ever called held."""
    wrong = {HELD: 0, MISSED: 0, UNSURE: 0}
    for seed in range(400):
        rng = np.random.default_rng(seed)
        seen: dict[Slo, list[Batch]] = {P95: []}
        result = UNSURE
        for _ in range(6):
            seen[P95] += [Batch(int(rng.binomial(80, 0.05)), 80) for _ in range(5)]
            result = judge(seen, 0.05 / 6)[0]
            if result != UNSURE:
                break
        wrong[result] += 1
    assert wrong[HELD] <= 0.05 * 400
    assert wrong[MISSED] <= 0.05 * 400


@settings(max_examples=25)
@given(capacity=st.floats(2.0, 100.0))
def test_the_search_encloses_the_capacity(capacity):
    """Whatever the target holds, it lies between the two rates told, which are close."""
    found = max_rate(target(capacity), SLO, 1.0, 4.0)
    assert found.held_per_s <= capacity < found.missed_per_s
    assert found.missed_per_s / found.held_per_s <= 1.1 + 1e-9 or len(found.trials) == 13
    assert found.monotone
    assert found.undecided_per_s == ()


def test_a_clear_rate_takes_one_run():
    """No fixed number of runs: the test stops when it knows."""
    made: list[float] = []
    found = max_rate(target(2.0, made), SLO, 1.0, 8.0)
    assert len(made) == len(found.trials)


def test_a_rate_at_the_limit_gets_more_runs_and_is_then_left_undecided():
    """Just the allowed share of misses can be neither proven nor refuted: it says so, and counts as not held."""
    found = max_rate(lambda rate, number: a_run(0.0 if rate < 2 else 0.05, seed=number), SLO, 1.0, 2.0, looks_max=3)
    assert 2.0 in found.undecided_per_s
    assert [trial.runs for trial in found.trials if trial.rate_per_s == 2.0] == [3]
    assert "not decided after 3 runs" in next(t.reason for t in found.trials if t.rate_per_s == 2.0)


def test_a_target_that_holds_nothing_is_told_apart():
    """The lowest rate missed: no rate held."""
    found = max_rate(target(0.5), SLO, 1.0, 4.0)
    assert (found.held_per_s, found.missed_per_s, len(found.trials)) == (None, 1.0, 1)


def test_a_higher_rate_that_held_is_noise_and_told():
    """A rate that held above one that missed is no capacity."""
    found = max_rate(lambda rate, number: a_run(0.2 if 2.0 < rate < 2.5 else 0.0, seed=number), SLO, 1.0, 2.1)
    assert not found.monotone
    assert max_rate(target(2.0), SLO, 1.0, 2.1).monotone


def test_an_invalid_run_is_made_once_more_and_then_ends_the_search():
    """The generator's fault is never the target's capacity; the second try has another seed."""
    made = []

    def run(rate_per_s: float, number: int) -> Run:
        made.append(number)
        return a_run(0.0, valid=False)

    with pytest.raises(LoadError, match="start lag"):
        max_rate(run, SLO, 1.0, 2.0)
    assert made == [0, 1]


def test_a_search_needs_an_slo_and_two_sides():
    """Without an SLO nothing can hold; a range must go up."""
    with pytest.raises(LoadError, match="SLO"):
        max_rate(target(1.0), {"ttft_s_p95": None}, 1.0, 2.0)
    with pytest.raises(LoadError, match="from < to"):
        max_rate(target(1.0), SLO, 2.0, 1.0)


def test_a_target_that_fails_is_named_by_its_codes():
    """Whatever the rate: the SLO of TTFT is missed, and is not the reason."""

    def run(rate_per_s: float, number: int) -> Run:
        made = a_run(0.0)
        made.turns.loc[:299, "status"] = "http_error"
        made.turns.loc[:199, "error_code"] = "html_page"
        return made

    (trial,) = max_rate(run, SLO, 1.0, 2.0).trials
    assert (trial.result, trial.failed_ratio) == (MISSED, 0.75)
    assert trial.reason.endswith("; 300 of 400 turns failed: html_page x 200, http_error x 100")
