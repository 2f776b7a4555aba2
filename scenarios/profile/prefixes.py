"""What prompts of a trace share: blocks of all sessions, growth from turn to turn and from call to call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median

from scenarios.traces.session import Call, Session

SHARED_BY = 0.5
"""A leading block is of the shared prefix when more than this share of the sessions' first prompts begin with it."""


@dataclass(frozen=True)
class Prefixes:
    """Tokens of a prompt by where they come from; None: the trace does not show it.

    Attributes:
        shared_tokens: leading blocks that most sessions' first prompts have in common.
        first_tokens: a session's first prompt.
        history_tokens_per_turn: by how much a turn's first prompt outgrows that of the turn before.
        tool_result_tokens: by how much a call's prompt outgrows the one before and its answer, within a turn.
        repeated_ratio: prompt tokens in leading blocks that an earlier prompt had, with nothing forgotten.
    """

    shared_tokens: float | None
    first_tokens: float | None
    history_tokens_per_turn: float | None
    tool_result_tokens: float | None
    repeated_ratio: float | None


def measure_prefixes(sessions: Sequence[Session]) -> Prefixes:
    """The prefix structure of a trace."""
    firsts = [call.input_tokens for s in sessions if (call := s.turns[0].calls[0]).input_tokens is not None]
    return Prefixes(
        _shared_tokens(sessions),
        mean(firsts) if firsts else None,
        _history_tokens(sessions),
        _tool_result_tokens(sessions),
        repeated_ratio(sessions),
    )


def _shared_tokens(sessions: Sequence[Session]) -> float | None:
    """None without blocks, or where each session's ids are its own."""
    firsts = [session.turns[0].calls[0] for session in sessions if session.turns[0].calls[0].block_ids]
    if len(firsts) < 2 or len({session.scope for session in sessions}) > 1:
        return None
    total, place, sessions_held = 0.0, 0, len(firsts)
    while True:
        holders = Counter(call.block_ids[place] for call in firsts if len(call.block_ids) > place)
        if not holders:
            return total
        block, held = holders.most_common(1)[0]
        if held <= SHARED_BY * sessions_held:
            return total
        firsts = [call for call in firsts if len(call.block_ids) > place and call.block_ids[place] == block]
        total += firsts[0].block_tokens[place]
        place += 1


def _history_tokens(sessions: Sequence[Session]) -> float | None:
    grown = [
        after.input_tokens - before.input_tokens
        for session in sessions
        for before, after in _pairs([turn.calls[0] for turn in session.turns])
        if before.input_tokens is not None and after.input_tokens is not None
    ]
    more = [tokens for tokens in grown if tokens > 0]
    return float(median(more)) if more else None


def _tool_result_tokens(sessions: Sequence[Session]) -> float | None:
    brought = [
        after.input_tokens - before.input_tokens - (before.output_tokens or 0)
        for session in sessions
        for turn in session.turns
        for before, after in _pairs(turn.calls)
        if before.input_tokens is not None and after.input_tokens is not None and before.agent == after.agent
    ]
    more = [tokens for tokens in brought if tokens > 0]
    return float(median(more)) if more else None


def _pairs(calls: Sequence[Call]) -> list[tuple[Call, Call]]:
    return list(pairwise(calls))


def repeated_ratio(sessions: Sequence[Session]) -> float | None:
    """What a cache that forgets nothing would serve, by tokens; a block counts only after the same blocks."""
    calls = sorted(
        ((call.start_s, session.scope, call) for session in sessions for call in session.calls if call.block_ids),
        key=lambda item: item[:2],
    )
    if not calls:
        return None
    nodes: dict[tuple[int, int, int], int] = {}
    hit = total = 0
    for _, scope, call in calls:
        node, unbroken = 0, True
        for block, tokens in zip(call.block_ids, call.block_tokens, strict=True):
            key = (scope, node, block)
            unbroken = unbroken and key in nodes
            node = nodes.setdefault(key, len(nodes) + 1)
            hit += tokens * unbroken
            total += tokens
    return hit / total if total else None
