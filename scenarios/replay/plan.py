"""Which calls a replay makes: a trace's sessions inside a window, each call after those it waited for. numpy only.

A call is sent when the calls that it waited for have ended and its own wait is over: a tool's time within a turn, the
customer's thought between turns. Calls before the window are history: their content stands in the prompts that follow,
and they are not sent. A call whose predecessors all are history is sent at its own time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scenarios.errors import ScenarioError
from scenarios.profile.figures import PAUSE_S
from scenarios.seeds import random_stream
from scenarios.traces.session import Call, Session, Trace, Turn

SESSIONS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class ReplayCall:
    """One call of a replay.

    Attributes:
        turn, place: of the session, and of the turn, as the trace numbers them.
        after: places in the session's list of the calls it waits for; empty: it is due by itself.
        wait_s: from the last end of those, or from the session's start.
        previous: the list's last call of the same agent before it, whose answer its prompt may go on from.
        stream: without blocks, prompts of one stream begin alike; a prompt that shrinks begins a new one.
        shared_tokens: without blocks, how many leading tokens all sessions have in common.
    """

    turn: int
    place: int
    agent: str
    input_tokens: int
    output_tokens: int
    block_ids: tuple[int, ...]
    block_tokens: tuple[int, ...]
    after: tuple[int, ...]
    wait_s: float
    previous: int | None = None
    stream: int = 0
    shared_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ReplaySession:
    """A session in a replay's window.

    Attributes:
        at_s: of its first call, from the window's start.
        number: which session of the trace it is. scope: block ids of one scope are the same content.
        began_before: its first calls lie before the window.
        away: numbers of the turns before which the customer was away for over half an hour.
    """

    at_s: float
    number: int
    scope: int
    began_before: bool
    client: int | None
    calls: tuple[ReplayCall, ...]
    away: tuple[int, ...] = ()


@dataclass(frozen=True)
class ReplayPlan:
    """What a replay makes. by_call: model calls one by one; else a message a turn, whose calls are the target's own."""

    form: str
    by_call: bool
    live_output: bool
    length_s: float
    sessions: tuple[ReplaySession, ...]
    notes: tuple[str, ...] = ()

    @property
    def calls(self) -> int:
        """How many."""
        return sum(len(session.calls) for session in self.sessions)


def plan_replay(
    trace: Trace,
    *,
    window: tuple[float, float] | None = None,
    rate_per_s: float | None = None,
    for_s: float | None = None,
    scale: float = 1.0,
    seed: int = 1,
    by_call: bool = True,
    live_output: bool = False,
) -> ReplayPlan:
    """The replay of a trace.

    Args:
        window: seconds from the trace's start; all of it when None.
        rate_per_s, for_s: sessions begin at this rate for so long, in place of their own times; those that began
            before are there from the first second, in the middle of their turns.
        scale: share of the sessions that is kept, drawn by seed.
    Raises:
        ScenarioError: a trace without a clock and no rate, lengths that no row states, or nothing in the window.
    """
    if rate_per_s is None and not trace.clock:
        raise ScenarioError("--replay: its sessions have no clock in common; say how many begin: --rate 1/s --for 10m")
    if by_call and all(
        call.input_tokens is None and not call.block_ids for one in trace.sessions for call in one.calls
    ):
        raise ScenarioError(
            "--replay: no row says how long a prompt is; a model's server needs a log with input_tokens"
        )
    notes = [*trace.doubts, *(f"not in the trace: {line}" for line in trace.unseen)]
    if rate_per_s is not None:
        start_s, end_s = 0.0, for_s or 0.0
        placed = list(_at_a_rate(trace, rate_per_s, end_s, seed))
    else:
        start_s, end_s = window or (0.0, trace.length_s + 1e-6)
        placed = [(number, 0.0, session.scope) for number, session in enumerate(trace.sessions)]
    keep = random_stream(seed, "replay", "scale").random(len(placed)) < scale
    sessions = []
    for kept, (number, shift_s, scope) in zip(keep, placed, strict=True):
        session = trace.sessions[number]
        if not kept or session.start_s + shift_s >= end_s:
            continue
        made = _session(session, number, scope, shift_s, start_s, end_s, by_call=by_call)
        if made is not None:
            sessions.append(made)
    if not sessions:
        raise ScenarioError(f"--replay: no call in {start_s:g}s:{end_s:g}s; the trace lasts {trace.length_s:.0f} s")
    sessions.sort(key=lambda session: session.at_s)
    again = len(sessions) - len({session.number for session in sessions})
    if again:
        alike = len({(session.number, session.scope) for session in sessions}) < len(sessions)
        content = "with the same content" if alike else "each with content of its own"
        notes.append(f"{again} sessions of the trace are used again, {content}")
    return ReplayPlan(trace.form, by_call, live_output, end_s - start_s, tuple(sessions), tuple(notes))


def _at_a_rate(trace: Trace, rate_per_s: float, for_s: float, seed: int) -> Iterator[tuple[int, float, int]]:
    """Sessions in drawn order at a Poisson rate, from so long before the window that it begins in a steady state."""
    rng = random_stream(seed, "replay", "starts")
    spans = [session.turns[-1].end_s - session.start_s for session in trace.sessions]
    before_s = max(spans)
    count = rng.poisson(rate_per_s * (before_s + for_s))
    if count > SESSIONS_MAX:
        raise ScenarioError(f"--rate {rate_per_s:g}/s: {count:,} sessions; lower it, or leave the longest ones out")
    at_s = np.sort(rng.uniform(-before_s, for_s, count))
    order = rng.permutation(len(trace.sessions))
    shared = len({session.scope for session in trace.sessions}) < len(trace.sessions)
    for place, begin_s in enumerate(at_s.tolist()):
        number = int(order[place % len(order)])
        if begin_s + spans[number] < 0:
            continue
        lap = place // len(order)
        scope = trace.sessions[number].scope if shared else number + lap * len(order)
        yield number, begin_s - trace.sessions[number].start_s, scope


def _session(
    session: Session, number: int, scope: int, shift_s: float, start_s: float, end_s: float, *, by_call: bool
) -> ReplaySession | None:
    turns = session.turns if by_call else [_as_one_call(turn) for turn in session.turns]
    calls: list[ReplayCall] = []
    due_s: list[float] = []
    places: dict[tuple[int, int], int] = {}
    last_of: dict[str, int] = {}
    before = False
    for t, turn in enumerate(turns):
        for c, call in enumerate(turn.calls):
            at_s = call.start_s + shift_s
            if at_s < start_s:
                before = True
                continue
            made = _call(turns, t, c, places, last_of, calls)
            places[t, c] = last_of[call.agent] = len(calls)
            calls.append(made)
            due_s.append(at_s - start_s)
    roots = [due for call, due in zip(calls, due_s, strict=True) if not call.after]
    if not roots or min(roots) >= end_s - start_s:
        return None
    at = min(roots)
    kept = tuple(
        replace(call, wait_s=due - at) if not call.after else call for call, due in zip(calls, due_s, strict=True)
    )
    away = tuple(t for t, turn in enumerate(turns) if turn.think_s is not None and turn.think_s > PAUSE_S)
    return ReplaySession(at, number, scope, before, session.client, kept, away)


def _call(
    turns: Sequence[Turn],
    t: int,
    c: int,
    places: dict[tuple[int, int], int],
    last_of: dict[str, int],
    calls: list[ReplayCall],
) -> ReplayCall:
    call = turns[t].calls[c]
    names, wait_s = _waits_for(turns, t, c)
    previous = last_of.get(call.agent)
    inputs = call.input_tokens or sum(call.block_tokens) or 1
    stream = 0
    if previous is not None:
        stream = calls[previous].stream + (inputs < calls[previous].input_tokens)
    after, shared = tuple(places[name] for name in names if name in places), min(inputs, _first_cached(turns))
    content = (call.agent, inputs, call.output_tokens or 1, call.block_ids, call.block_tokens)
    return ReplayCall(t, c, *content, after, wait_s, previous, stream, 0 if call.block_ids else shared)


def _first_cached(turns: Sequence[Turn]) -> int:
    """Cached tokens of a session's first call: what other sessions had in common with it."""
    return turns[0].calls[0].cache_read_tokens or 0


def _waits_for(turns: Sequence[Turn], t: int, c: int) -> tuple[list[tuple[int, int]], float]:
    """The calls that one waits for, and how long after the last of them has ended."""
    turn = turns[t]
    call = turn.calls[c]
    if call.after:
        return [(t, place) for place in call.after], call.gap_s
    if t == 0:
        return [], 0.0
    before = turns[t - 1]
    waited = {place for later in before.calls for place in later.after}
    ends = [(t - 1, place) for place in range(len(before.calls)) if place not in waited]
    tail_s = before.end_s - max(one.end_s for one in before.calls)
    return ends, tail_s + (turn.think_s or 0.0) + max(0.0, call.start_s - turn.start_s)


def _as_one_call(turn: Turn) -> Turn:
    """A turn as one message: its first prompt and last answer; what happens between is the target's own."""
    first, last = turn.calls[0], turn.calls[-1]
    whole = Call(turn.start_s, turn.end_s - turn.start_s, first.input_tokens, last.output_tokens)
    return replace(turn, calls=(whole,), tools=())
