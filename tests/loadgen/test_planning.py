"""Before a run: what it would ask for; after several: how much the target holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.estimate import estimate, turn_usd_max
from loadgen.job import LoadError, TargetSpec
from loadgen.search import HELD, MISSED, UNSURE, judge, ladder, max_rate

TARGET = TargetSpec("assistant", "http://127.0.0.1:1")
SLO = {"ttft_s_p99": 1.0, "error_ratio": 0.01}


def test_an_estimate_counts_the_very_arrivals_of_the_run(make_job):
    """Sessions are those that would start; turns and tokens follow from a sample of their plans."""
    found = estimate(make_job(TARGET, rate_per_s=200.0, for_s=20.0))
    assert found.interactions == pytest.approx(4_000, rel=0.1)
    assert found.turns / found.interactions == pytest.approx(1.5, rel=0.1)
    assert found.output_tokens == pytest.approx(found.turns * 1.7 * 180, rel=0.01)
    assert found.workers == 2
    assert found.sockets > found.peak_turns_per_s
    low, mid, high = found.usd
    assert 0 <= low <= mid <= high


def test_dollars_grow_with_the_window(make_job):
    """Twice the time, about twice the cost."""
    one, two = (estimate(make_job(TARGET, rate_per_s=100.0, for_s=seconds)).usd[1] for seconds in (20.0, 40.0))
    assert two / one == pytest.approx(2.0, rel=0.15)


def test_a_turns_bound_covers_every_call_its_limits_allow(make_job):
    """An assistant's turn may make many calls; a model's is one."""
    scenario = make_job(TARGET).scenario
    calls = scenario["assistant"]["limits"]["calls"]
    assert turn_usd_max(scenario, assistant=True) == pytest.approx(calls * turn_usd_max(scenario, assistant=False))


def info(p99_s: float = 0.5, n_tail: int = 50, failed: int = 0, valid: bool = True, censored: bool = False):
    quantile = {"value": p99_s, "n_tail": n_tail, "censored": censored}
    return {
        "verdict": {"valid": valid, "reasons": ["start lag"]},
        "totals": {"asked": 1000, "failed": failed, "dropped": 0, "abandoned": 0},
        "quantiles": {"ttft_s": {"p99": quantile}},
    }


@pytest.mark.parametrize(
    ("run", "result"),
    [
        (info(), HELD),
        (info(p99_s=1.5), MISSED),
        (info(failed=11), MISSED),
        (info(censored=True), MISSED),
        (info(n_tail=9), UNSURE),
    ],
)
def test_a_rate_holds_only_when_that_was_seen(run, result):
    """Latency over the limit, failures, waits without end and too few samples are each no proof."""
    assert judge(run, SLO)[0] == result


@given(capacity=st.floats(2.0, 900.0))
def test_the_search_encloses_the_capacity(capacity):
    """Whatever the target holds, it lies between the two rates told, which are close."""
    found = max_rate(lambda rate: info(p99_s=0.5 if rate <= capacity else 3.0), SLO, 1.0, 4.0, runs_max=40)
    assert found.held_per_s <= capacity < found.missed_per_s
    assert found.missed_per_s / found.held_per_s <= 1.1 + 1e-9
    assert found.monotone


def test_a_target_that_holds_nothing_is_told_apart():
    """The lowest rate missed: no rate held."""
    found = max_rate(lambda rate: info(p99_s=9.0), SLO, 1.0, 4.0)
    assert (found.held_per_s, found.missed_per_s, len(found.trials)) == (None, 1.0, 1)


def test_noise_is_told():
    """A rate that held above one that missed is no capacity but noise, and says so."""
    answers = iter([0.5, 0.5, 3.0, 3.0, 0.5, 0.5, 0.5])
    found = max_rate(lambda rate: info(p99_s=next(answers)), SLO, 1.0, 2.0, runs_max=6)
    assert found.held_per_s is not None


def test_an_invalid_run_is_made_once_more_and_then_ends_the_search():
    """The generator's fault is never the target's capacity."""
    made = []
    with pytest.raises(LoadError, match="start lag"):
        max_rate(lambda rate: made.append(rate) or info(valid=False), SLO, 1.0, 2.0)
    assert made == [1.0, 1.0]


def test_a_ladder_holds_rungs_out_for_judging():
    """Equal ratios; the ends are fitted, every second rung between them is not."""
    rungs = ladder(1.0, 32.0, 6)
    assert [round(rung.rate_per_s) for rung in rungs] == [1, 2, 4, 8, 16, 32]
    assert [rung.held_out for rung in rungs] == [False, True, False, True, False, False]
