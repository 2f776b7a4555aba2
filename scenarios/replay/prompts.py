"""Prompts of a replay: the same block of the trace is the same token ids, or the same words, on every target and run.

A token follows from its block's id, scope and place by a hash of 64 bits; a block that is not whole is the beginning of
the whole one. Without blocks a prompt is the beginning of its session's own stream: later prompts extend earlier ones.
numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from scenarios.replay.plan import ReplayCall, ReplaySession

Ids = NDArray[np.int64]
Keys = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_OWN, _SHARED = 1 << 40, 1 << 41
"""Scopes of streams, apart from those of blocks."""


def prompt_ids(session: ReplaySession, call: ReplayCall, low: int, high: int) -> Ids:
    """The token ids of a call's prompt, from low to high (excluded).

    Source: the mixing of splitmix64 (Steele, Lea, Flood 2014).
    """
    keys, places = _blocks(session, call) if call.block_ids else _stream(session, call)
    mixed = _mixed(keys ^ _mixed(places))
    return (mixed % np.uint64(high - low)).astype(np.int64) + low


def _blocks(session: ReplaySession, call: ReplayCall) -> tuple[Keys, Keys]:
    """Key and place of each token: its block and where it stands in it; what no block covers is the session's own."""
    sizes = np.asarray(call.block_tokens, dtype=np.int64)
    ids = np.asarray(call.block_ids, dtype=np.int64).astype(np.uint64)
    ends = np.cumsum(sizes)
    keys = np.repeat(_mixed(ids + np.array([session.scope], dtype=np.uint64) * _GOLDEN), sizes)
    places = np.arange(int(ends[-1])) - np.repeat(ends - sizes, sizes)
    missing = call.input_tokens - len(keys)
    if missing > 0:
        keys = np.concatenate((keys, np.full(missing, _key(_OWN + session.number, call.agent, call.stream))))
        places = np.concatenate((places, np.arange(len(places), call.input_tokens)))
    return keys[: call.input_tokens], places[: call.input_tokens].astype(np.uint64)


def _stream(session: ReplaySession, call: ReplayCall) -> tuple[Keys, Keys]:
    keys = np.full(call.input_tokens, _key(_OWN + session.number + (session.scope << 20), call.agent, call.stream))
    keys[: call.shared_tokens] = _key(_SHARED, "", 0)
    return keys, np.arange(call.input_tokens, dtype=np.uint64)


def _key(scope: int, agent: str, stream: int) -> np.uint64:
    base = np.array([scope % 2**63], dtype=np.uint64) * _GOLDEN + np.uint64(crc32(agent.encode()) + (stream << 33))
    return np.uint64(_mixed(base)[0])


def _mixed(values: Keys) -> Keys:
    mixed = values + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


_ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z", "st")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
WORDS = tuple(f" {first}{middle}{last}" for first in _ONSETS for middle in _VOWELS for last in _ONSETS[:8])
"""1,024 short syllables, one for each token of a prompt that is sent as text."""


def prompt_text(ids: Ids) -> str:
    """Token ids as words, the same for the same id: for targets that take text. About a token or two each."""
    return "".join(WORDS[place] for place in (ids % len(WORDS)).tolist())


class LiveOutputs:
    """What a target really answered, in the prompts that go on from it: token ids at their places, by agent.

    An answer stands where the call's prompt ended, as long as later prompts keep what was before it.
    """

    def __init__(self) -> None:
        self._held: dict[str, list[tuple[int, Sequence[int]]]] = {}
        self._before: dict[str, ReplayCall] = {}
        self.used = 0

    def add(self, call: ReplayCall, answer: Sequence[int]) -> None:
        """Keep the answer of a call."""
        if answer:
            self._held.setdefault(call.agent, []).append((call.input_tokens, answer))

    def apply(self, call: ReplayCall, ids: Ids) -> Ids:
        """The prompt with its agent's own answers in it, as far as it keeps what came before them."""
        before = self._before.get(call.agent)
        kept_tokens = call.input_tokens if before is None else _kept_tokens(before, call)
        held = [(start, answer) for start, answer in self._held.get(call.agent, ()) if start <= kept_tokens]
        self._held[call.agent] = held
        self._before[call.agent] = call
        for start, answer in held:
            fits = answer[: max(0, len(ids) - start)]
            ids[start : start + len(fits)] = fits
            self.used += bool(len(fits))
        return ids


def _kept_tokens(before: ReplayCall, call: ReplayCall) -> int:
    """Leading tokens that two prompts of an agent have in common; a last block that has grown counts as kept."""
    if not call.block_ids:
        return min(before.input_tokens, call.input_tokens) if before.stream == call.stream else 0
    kept = 0
    for place, block in enumerate(before.block_ids):
        if place >= len(call.block_ids) or call.block_ids[place] != block:
            is_last = place == len(before.block_ids) - 1 and place < len(call.block_ids)
            return before.input_tokens if is_last else kept
        kept += before.block_tokens[place]
    return before.input_tokens
