"""Before a run: what it would ask for; after several: how much the target holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadgen.analysis.series import rate_sweep
from loadgen.job import TargetSpec
from loadgen.schedule.estimate import Bare, estimate, turn_usd_max
from loadgen.targets.bedrock import prices_of

TARGET = TargetSpec("assistant", "http://127.0.0.1:1")
SLO = {"ttft_s_p99": 1.0, "error_ratio": 0.01}


def test_an_estimate_counts_the_very_arrivals_of_the_run(make_job):
    """Sessions are those that would start; turns and tokens follow from a sample of their plans."""
    found = estimate(make_job(TARGET, rate_per_s=2.0, for_s=2_000.0))
    assert found.interactions == pytest.approx(4_000, rel=0.1)
    assert found.turns / found.interactions == pytest.approx(1.5, rel=0.1)
    assert found.output_tokens == pytest.approx(found.turns * 1.7 * 180, rel=0.01)
    assert found.workers == 1
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


def test_a_turns_bound_covers_the_longest_row_of_a_replayed_log(make_job, tmp_path):
    """A log's row is sent at its own lengths, whatever the scenario assumes."""
    scenario = make_job(TARGET).scenario
    log = tmp_path / "log.csv"
    log.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00,900000,100\n")
    plain = turn_usd_max(scenario, assistant=False)
    assert turn_usd_max(scenario, assistant=False, replayed=log) > 2 * plain


def test_a_rate_sweep_holds_steps_out_for_judging():
    """Equal ratios; the ends are fitted, every second step between them is not."""
    steps = rate_sweep(1.0, 32.0, 6)
    assert [round(step.rate_per_s) for step in steps] == [1, 2, 4, 8, 16, 32]
    assert [step.held_out for step in steps] == [False, True, False, True, False, False]


@pytest.mark.parametrize("users", [1, 5, 50])
def test_a_closed_loop_asks_as_often_as_its_users_can_answer_and_think(make_job, users):
    """A turn a user at once, and one more for each answer and thought that fits; never more than one in flight each."""
    short, long = (estimate(make_job(TARGET, closed_loop_users=users, rate_per_s=None, for_s=s)) for s in (1.0, 60.0))
    assert short.turns == pytest.approx(users)
    assert users < long.turns < users * 60
    assert long.workers == 1
    assert long.sockets <= 1.5 * users + 17


@pytest.mark.parametrize("turns", [1, 3])
def test_bare_questions_to_a_model_are_counted_by_their_characters(make_job, turns):
    """One call a turn: the system prompt, the questions so far, and an assumed answer for each turn before."""
    mix = {"turns_per_interaction": {"mean": float(turns), "max": turns}}
    found = estimate(make_job(TARGET, scenario={"mix": mix}, rate_per_s=50.0, for_s=20.0), Bare(400))
    question = len("is there a deal on item 3?") / 4
    per_turn = 100 + question * (turns + 1) / 2 + 180 * (turns - 1) / 2
    assert found.output_tokens == pytest.approx(found.turns * 180)
    assert found.input_tokens / found.turns == pytest.approx(per_turn, rel=0.15)
    assert found.sizes == "prompts by their characters, assumed answers"


@pytest.mark.parametrize(
    ("limits", "tokens_max", "per_turn"),
    [((None,), None, 180), ((None,), 5, 5), ((4, None), 100, 52), ((900,), 5, 180)],
)
def test_an_answer_is_no_longer_than_it_may_be(make_job, limits, tokens_max, per_turn):
    """A question's own limit before the run's; the assumed length where neither is shorter."""
    job = make_job(TARGET, rate_per_s=20.0, for_s=2.0)
    path = Path(job.messages)
    held = json.loads(path.read_text())
    for number, message in enumerate(held["messages"]):
        message["max_tokens"] = limits[number % len(limits)]
    path.write_text(json.dumps(held))
    found = estimate(job, Bare(tokens_max=tokens_max))
    assert found.output_tokens == pytest.approx(found.turns * per_turn)


def test_dollars_are_those_of_the_model_that_is_asked(make_job):
    """A model without a price has none, whatever the scenario's models cost."""
    job = make_job(TARGET, rate_per_s=20.0, for_s=2.0)
    prices = prices_of("us.amazon.nova-pro-v1:0")
    found = estimate(job, Bare(prices=prices))
    assert found.usd == (prices.cost_usd(found.input_tokens, 0, 0, 0, found.output_tokens),) * 3
    assert estimate(job, Bare()).usd is None
