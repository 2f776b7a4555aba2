"""Figures of a trace: sessions, turns, calls, tools, waits, tokens by class, clients and burstiness. numpy only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenarios.profile.prefixes import Prefixes, measure_prefixes
from scenarios.traces.session import Call, Session, Trace, Turn

Floats = NDArray[np.float64]

PAUSE_S = 1800.0
"""A customer away for longer comes back for another interaction: the half hour of web analytics."""
CLIENTS_SHOWN = 5
STEP_STARTS_MIN = 20.0
"""Mean starts per step that a rate curve needs: with fewer, its steps would be noise."""
STEPS_S = (1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0)
STARTS_MIN = 30
WHOLE_SHARE = 0.3
"""With more gaps of exactly zero than this, a file's times are too coarse to show burstiness."""


@dataclass(frozen=True)
class Spread:
    """Some figures at a glance; n of them. cv: standard deviation over mean. log_cv: of a log-normal fitted to them."""

    n: int
    mean: float
    median: float
    p95: float
    most: float
    cv: float
    log_cv: float


@dataclass(frozen=True)
class ClientShare:
    """One of the busiest clients: its share of the starts, their burstiness, and its calls' tokens beside the mean."""

    share: float
    cv: float
    input_tokens_ratio: float
    output_tokens_ratio: float


@dataclass(frozen=True)
class Starts:
    """Starts of interactions on the clock: counts by step, and the CV of session gaps under them; None: not shown."""

    step_s: float
    counts: tuple[int, ...]
    cv: float | None

    @property
    def peak_per_s(self) -> float:
        """Of the busiest step."""
        return max(self.counts) / self.step_s


@dataclass(frozen=True)
class Profile:
    """What a trace shows. None: it does not show it."""

    sessions: int
    turns: int
    calls: int
    turns_per_interaction: Spread
    interactions_per_session: Spread
    calls_per_turn: Spread
    calls_at_once: Spread
    think_s: Spread | None
    between_s: Spread | None
    service_s: Spread | None
    tool_s: Spread | None
    tools_per_turn: float | None
    tools_at_once: Spread | None
    input_tokens: Spread | None
    output_tokens: Spread | None
    cache_read_ratio: float | None
    prefixes: Prefixes
    clients: tuple[ClientShare, ...]
    starts: Starts | None


def profile(trace: Trace) -> Profile:
    """The figures of a trace."""
    sessions = trace.sessions
    turns = [turn for session in sessions for turn in session.turns]
    calls = [call for turn in turns for call in turn.calls]
    parts = [interactions(session) for session in sessions]
    tools = [tool for turn in turns for tool in turn.tools]
    waits = [turn.think_s for turn in turns if turn.think_s is not None]
    return Profile(
        sessions=len(sessions),
        turns=len(turns),
        calls=len(calls),
        turns_per_interaction=_spread(len(part) for whole in parts for part in whole),
        interactions_per_session=_spread(len(whole) for whole in parts),
        calls_per_turn=_spread(len(turn.calls) for turn in turns),
        calls_at_once=_spread(turn.parallel_calls for turn in turns),
        think_s=spread([wait for wait in waits if 0 < wait <= PAUSE_S]),
        between_s=spread([wait for wait in waits if wait > PAUSE_S]),
        service_s=spread([call.duration_s for call in calls if call.duration_s is not None]),
        tool_s=spread(tool_seconds(turns)),
        tools_per_turn=len(tools) / len(turns) if tools else None,
        tools_at_once=spread([float(turn.parallel_tools) for turn in turns if turn.tools]),
        input_tokens=spread([float(call.input_tokens) for call in calls if call.input_tokens is not None]),
        output_tokens=spread([float(call.output_tokens) for call in calls if call.output_tokens is not None]),
        cache_read_ratio=_cache_read_ratio(calls),
        prefixes=measure_prefixes(sessions),
        clients=_clients(sessions) if trace.clock else (),
        starts=starts(sessions) if trace.clock else None,
    )


def interactions(session: Session) -> list[list[Turn]]:
    """A session's turns, parted where its customer was away for over half an hour."""
    parts: list[list[Turn]] = [[]]
    for turn in session.turns:
        if turn.think_s is not None and turn.think_s > PAUSE_S:
            parts.append([])
        parts[-1].append(turn)
    return parts


def tool_seconds(turns: Iterable[Turn]) -> list[float]:
    """How long tools took: their own rows where a turn has them, else the gaps between calls that follow each other."""
    return [
        second
        for turn in turns
        for second in ([tool.duration_s for tool in turn.tools] if turn.tools else turn.gaps_s)
        if second > 0
    ]


def spread(values: Sequence[float]) -> Spread | None:
    """The spread of some figures; None of none."""
    return _spread(values) if len(values) else None


def _spread(values: Iterable[float]) -> Spread:
    held = np.array(list(values), dtype=np.float64)
    mean = float(held.mean())
    above = held[held > 0]
    sd_log = float(np.log(above).std()) if len(above) > 1 else 0.0
    return Spread(
        len(held),
        mean,
        float(np.median(held)),
        float(np.quantile(held, 0.95)),
        float(held.max()),
        float(held.std()) / mean if mean else 0.0,
        math.sqrt(math.expm1(min(sd_log**2, 20.0))),
    )


def _cache_read_ratio(calls: Sequence[Call]) -> float | None:
    """Cached input tokens over all, of the calls that say."""
    known = [(call.cache_read_tokens, call.input_tokens) for call in calls if call.cache_read_tokens is not None]
    total = sum(prompt or 0 for _, prompt in known)
    return sum(read or 0 for read, _ in known) / total if total else None


def starts(sessions: Sequence[Session]) -> Starts:
    """Starts of interactions by step, and the burstiness of sessions between them."""
    at_s = np.sort([part[0].start_s for session in sessions for part in interactions(session)])
    length_s = max(float(at_s[-1]), 1.0)
    step_s = next((s for s in STEPS_S if len(at_s) * s >= STEP_STARTS_MIN * length_s), STEPS_S[-1])
    counts = np.bincount((at_s // step_s).astype(int))
    if len(counts) > 1 and length_s % step_s < step_s / 2:  # a last step that the file's end cuts short is no step
        counts = counts[:-1]
    return Starts(step_s, tuple(counts.tolist()), burstiness(np.sort([s.start_s for s in sessions]), step_s))


def burstiness(at_s: Floats, step_s: float) -> float | None:
    """CV of the gaps between starts, each gap counted in mean gaps of its step; None where the file cannot show it."""
    if len(at_s) < STARTS_MIN:
        return None
    gaps = np.diff(at_s)
    if float((gaps == 0).mean()) > WHOLE_SHARE:
        return None
    counts = np.bincount((at_s // step_s).astype(int)).astype(float)
    steps = np.append(np.arange(len(counts)) * step_s, max(float(at_s[-1]), len(counts) * step_s - step_s + 1e-9))
    unit = np.diff(np.interp(at_s, steps, np.concatenate(([0.0], np.cumsum(counts)))))
    mean = float(unit.mean())
    return float(unit.std()) / mean if mean > 0 else None


def _clients(sessions: Sequence[Session]) -> tuple[ClientShare, ...]:
    """The busiest clients by their sessions, and all others as one; none where fewer than two are known."""
    known = [session for session in sessions if session.client is not None]
    if len({session.client for session in known}) < 2 or len(known) < len(sessions) / 2:
        return ()
    groups: dict[int, list[Session]] = {}
    for session in known:
        groups.setdefault(min(session.client or 0, CLIENTS_SHOWN), []).append(session)
    whole = starts(known)
    usual = _tokens_per_call(known)
    return tuple(
        ClientShare(
            len(own) / len(known),
            burstiness(np.sort([session.start_s for session in own]), whole.step_s) or 1.0,
            *(mine / all_ if all_ and mine else 1.0 for mine, all_ in zip(_tokens_per_call(own), usual, strict=True)),
        )
        for _, own in sorted(groups.items())
    )


def _tokens_per_call(sessions: Sequence[Session]) -> tuple[float, float]:
    calls = [call for session in sessions for call in session.calls]
    return (
        sum(call.input_tokens or 0 for call in calls) / len(calls),
        sum(call.output_tokens or 0 for call in calls) / len(calls),
    )
