"""Which calls a replay makes, and with which prompts."""

import numpy as np
import pytest

from scenarios.errors import ScenarioError
from scenarios.replay.file import read_plan, write_plan
from scenarios.replay.plan import plan_replay
from scenarios.replay.prompts import LiveOutputs, prompt_ids, prompt_text
from scenarios.traces.session import Call, Session, Tool, Trace, Turn


def call(start, length=1.0, blocks=(1, 2), after=(), gap=0.0, agent="", **more):
    tokens = {"input_tokens": 64 * len(blocks) or 100, "output_tokens": 5} | more
    return Call(start, length, **tokens, block_ids=blocks, block_tokens=(64,) * len(blocks), agent=agent, after=after,
                gap_s=gap)  # fmt: skip


def trace(*sessions, clock=True):
    return Trace("agentic", tuple(sessions), (), (), clock, 0.0, sessions_named=True)


FIRST = Turn(None, (call(10), call(15, blocks=(1, 2, 3), after=(0,), gap=4.0)), (Tool(11, 4), Tool(16, 2)))
SECOND = Turn(12.0, (call(30, blocks=(1, 2, 3, 4)), call(30.5, blocks=(1, 9), agent="/a")))
WHOLE = Session((FIRST, SECOND))


def test_each_call_waits_for_those_before_it():
    """Tools within a turn; between turns 2 s of a tool that ran on after the last call, and 12 s of thought."""
    (session,) = plan_replay(trace(WHOLE)).sessions
    assert session.at_s == 10
    assert [(one.after, one.wait_s) for one in session.calls] == [((), 0.0), ((0,), 4.0), ((1,), 14.0), ((1,), 14.5)]
    assert not session.began_before


def test_a_window_begins_in_the_middle_of_sessions():
    """What lies before is history: the next call is due at its own time, with the whole prompt of the trace."""
    (session,) = plan_replay(trace(WHOLE), window=(14.0, 40.0)).sessions
    assert (session.at_s, session.began_before) == (1.0, True)
    assert [(one.after, one.wait_s) for one in session.calls] == [((), 0.0), ((0,), 14.0), ((0,), 14.5)]
    (session,) = plan_replay(trace(WHOLE), window=(20.0, 40.0)).sessions
    assert [(one.after, one.wait_s) for one in session.calls] == [((), 0.0), ((), 0.5)]
    assert session.calls[0].block_ids == (1, 2, 3, 4)


def test_sessions_without_a_clock_need_a_rate_and_are_steady_from_the_first_second():
    """At 2/s some 31 sessions of 21 s have begun before a window of 10 s and have a call in it."""
    bare = trace(*(Session(WHOLE.turns, scope=number) for number in range(50)), clock=False)
    with pytest.raises(ScenarioError, match="--rate"):
        plan_replay(bare)
    plan = plan_replay(bare, rate_per_s=2.0, for_s=10.0)
    before = [session for session in plan.sessions if session.began_before]
    assert 15 < len(before) < 50
    assert {session.at_s < 10 for session in plan.sessions} == {True}
    assert plan_replay(bare, rate_per_s=2.0, for_s=10.0) == plan


def test_scale_keeps_whole_sessions():
    many = trace(*(Session(WHOLE.turns, scope=number) for number in range(400)))
    plan = plan_replay(many, scale=0.25, seed=3)
    assert len(plan.sessions) == pytest.approx(100, abs=30)
    assert plan.calls == 4 * len(plan.sessions)


def test_a_message_a_turn_for_an_assistant():
    """An assistant makes its own calls: a turn is one message, and the next waits for its answer and the thought."""
    (session,) = plan_replay(trace(WHOLE), by_call=False).sessions
    assert [(one.turn, one.after, one.wait_s) for one in session.calls] == [(0, (), 0.0), (1, (0,), 12.0)]


def test_a_plans_file_is_the_plan(tmp_path):
    plan = plan_replay(trace(WHOLE), live_output=True)
    path = write_plan(plan, tmp_path)
    assert read_plan(path) == plan
    assert path.name == write_plan(plan, tmp_path).name


def ids_of(session, place, **bounds):
    return prompt_ids(session, session.calls[place], **({"low": 10, "high": 1000} | bounds))


def test_the_same_block_is_the_same_tokens_and_no_other():
    """In whatever session of its scope; a block that is not whole is the beginning of the whole one."""
    one, other = plan_replay(trace(WHOLE, Session(WHOLE.turns))).sessions
    apart = plan_replay(trace(Session(WHOLE.turns, scope=7))).sessions[0]
    first, second = ids_of(one, 0), ids_of(one, 1)
    assert (first == second[:128]).all()
    assert (first == ids_of(other, 0)).all()
    assert (first != ids_of(apart, 0)).mean() > 0.98
    assert (first[:64] != first[64:]).mean() > 0.98
    assert first.min() >= 10
    assert first.max() < 1000
    cut = plan_replay(trace(Session((Turn(None, (call(0, input_tokens=70),)),)))).sessions[0]
    assert (ids_of(cut, 0) == first[:70]).all()


def test_prompts_without_blocks_extend_each_other_and_share_what_a_cache_gave_the_first():
    def bare(start, size, cached=None):
        return call(start, blocks=(), input_tokens=size, cache_read_tokens=cached)

    turns = tuple(Turn(1.0 if k else None, (bare(10 * k, size, 40),)) for k, size in enumerate((100, 160, 90)))
    one, other = plan_replay(trace(Session(turns), Session(turns))).sessions
    first, second, third = (ids_of(one, place) for place in range(3))
    assert (first == second[:100]).all()
    assert (third[:40] == first[:40]).all()
    assert (third[40:90] != first[40:90]).mean() > 0.9
    assert (first[:40] == ids_of(other, 0)[:40]).all()
    assert (first[40:] != ids_of(other, 0)[40:]).mean() > 0.9


def test_text_is_the_same_for_the_same_tokens():
    ids = np.array([5, 6, 5])
    words = prompt_text(ids).split()
    assert words[0] == words[2] != words[1]


def test_an_answer_stands_where_the_next_prompt_goes_on_from_it():
    """Ids 1 2 3 of a first answer come back at the end of the first prompt, in every later prompt that keeps it."""
    (session,) = plan_replay(trace(WHOLE)).sessions
    live = LiveOutputs()
    first, second, third, other = session.calls
    live.apply(first, ids_of(session, 0))
    live.add(first, [1, 2, 3])
    prompt = live.apply(second, ids_of(session, 1))
    assert prompt[128:131].tolist() == [1, 2, 3]
    assert (prompt[131:] == ids_of(session, 1)[131:]).all()
    live.add(second, [4])
    prompt = live.apply(third, ids_of(session, 2))
    assert (prompt[128:131].tolist(), prompt[192]) == ([1, 2, 3], 4)
    assert (live.apply(other, ids_of(session, 3)) == ids_of(session, 3)).all()
