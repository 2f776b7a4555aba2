"""What an engine's prefix cache would serve of the calls that a replay sent, by the exact policies, in their order.

An engine caches whole blocks of its own size, evicts the least recently used, and computes a prompt's last token anew.
A request's blocks grow old last first, so that the beginning of a prompt outlives its end; its answer, and its block
that is not full, take room too. Source: vLLM's documentation, automatic prefix caching (block size 16 unless stated),
and what a vLLM 0.32.0 was measured to do (docs/validation.md).
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from capacity.caching.replay import Infinite
from scenarios.replay.plan import ReplayCall, ReplayPlan, ReplaySession

ENGINE_BLOCK_TOKENS = 16
_SCOPE = 1 << 48
_STREAMS, _SHARED = 1 << 200, 1 << 201
Sent = tuple[float, int, int, int]
"""When a call was sent, its session's place in the plan, its turn and its place in the turn."""


@dataclass(frozen=True)
class _Prompt:
    """Names of an engine's whole blocks, the same for the same content after the same content; and all tokens."""

    at_s: float
    blocks: list[int]
    tokens: int
    answer_tokens: int


def policy_hits(
    plan: ReplayPlan, sent: Iterable[Sent], cache_tokens: int | None = None, block_tokens: int = ENGINE_BLOCK_TOKENS
) -> dict[str, float]:
    """Hit tokens over prompt tokens: with nothing forgotten, and by a least-recently-used cache of so many tokens.

    One cache serves all sessions, as one engine does. block_tokens: of the engine.
    """
    prompts = list(_prompts(plan, sorted(sent), block_tokens))
    if not prompts:
        return {}
    forgets_nothing = Infinite()
    hits = {"infinite": _ratio(prompts, lambda prompt: forgets_nothing.serve(prompt.blocks, prompt.at_s), block_tokens)}
    if cache_tokens is not None:
        cache = _EngineCache(max(1, cache_tokens // block_tokens), block_tokens)
        hits[f"lru:{cache_tokens}"] = _ratio(prompts, cache.serve, block_tokens)
    return hits


def _ratio(prompts: list[_Prompt], serve: Callable[[_Prompt], int], block_tokens: int) -> float:
    hit = sum(min(serve(prompt), (prompt.tokens - 1) // block_tokens) * block_tokens for prompt in prompts)
    return hit / sum(prompt.tokens for prompt in prompts)


class _EngineCache:
    """An engine's blocks, oldest first; requests follow on one another."""

    def __init__(self, blocks_max: int, block_tokens: int) -> None:
        self._blocks_max, self._block_tokens = blocks_max, block_tokens
        self._kept: OrderedDict[int, None] = OrderedDict()
        self._unnamed = itertools.count(-1, -1)

    def serve(self, prompt: _Prompt) -> int:
        """Leading blocks that are kept; then the prompt's and its answer's are the youngest, its first one most."""
        hits = next((place for place, block in enumerate(prompt.blocks) if block not in self._kept), len(prompt.blocks))
        computed = prompt.tokens + prompt.answer_tokens - 1  # what the answer's last token is, no later one reads
        unnamed = -(-computed // self._block_tokens) - len(prompt.blocks)
        for block in [*itertools.islice(self._unnamed, unnamed), *reversed(prompt.blocks)]:
            self._kept[block] = None
            self._kept.move_to_end(block)
        while len(self._kept) > self._blocks_max:
            self._kept.popitem(last=False)
        return hits


def _prompts(plan: ReplayPlan, sent: list[Sent], size: int) -> Iterator[_Prompt]:
    calls = [{(call.turn, call.place): call for call in session.calls} for session in plan.sessions]
    chain: dict[tuple[int, int], int] = {}
    for at_s, place, turn, number in sent:
        call, session = calls[place][turn, number], plan.sessions[place]
        if call.block_ids:
            blocks = _engine_blocks(session, call, size, chain if plan.form == "ragpulse" else None)
        else:
            blocks = _stream_blocks(session, call, size)
        yield _Prompt(at_s, blocks, call.input_tokens, call.output_tokens)


def _engine_blocks(
    session: ReplaySession, call: ReplayCall, size: int, chain: dict[tuple[int, int], int] | None
) -> list[int]:
    """An engine's blocks by the trace's block that each ends in, and its number in that; chained where ids are not."""
    blocks: list[int] = []
    node = done = 0
    for block, tokens in zip(call.block_ids, call.block_tokens, strict=True):
        if chain is not None:
            block = node = chain.setdefault((node, block), len(chain) + 1)
        end = min(done + tokens, call.input_tokens)
        name = (session.scope * _SCOPE + block) * 2**24
        blocks += [name + place for place in range(end // size - done // size)]
        done = end
    if call.input_tokens > done:
        own = _STREAMS + (session.number * _SCOPE + call.input_tokens) * 2**24
        blocks += [own + place for place in range(call.input_tokens // size - done // size)]
    return blocks


def _stream_blocks(session: ReplaySession, call: ReplayCall, size: int) -> list[int]:
    """Blocks of a prompt that is the beginning of a stream, after what all sessions share."""
    shared = call.shared_tokens // size
    own = _STREAMS + hash((session.number, session.scope, call.agent, call.stream, call.shared_tokens)) % 2**60 * 2**24
    return [(_SHARED if place < shared else own) + place for place in range(call.input_tokens // size)]
