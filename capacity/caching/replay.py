"""Exact cache policies on a trace of prompt blocks: what share of blocks, and of tokens, would have been hits.

A request's prompt is a list of block ids. Its hits are the leading blocks that are live; the first miss ends them,
since a block's content depends on everything before it. Hits are counted before the request's own blocks are added; the
cache starts cold. These are engine-style block caches: a provider's cache points have explicit places and a minimum
length. A policy runs over the whole trace with no warm-up left out.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Protocol

from host.errors import PeakdayError
from scenarios.errors import ScenarioError
from scenarios.traces.detection import detect, rows

NEVER_S = -math.inf


class ReplayError(PeakdayError, ValueError):
    """A trace or policy that cannot be read; one line with place and remedy. A mistake of usage."""

    page = "capacity-models"


@dataclass(frozen=True)
class Prompt:
    """One request: when, in which cache (an agentic session has its own), its blocks, and tokens to the end of each."""

    at_s: float
    scope: int
    blocks: Sequence[int]
    ends: Sequence[int]

    @property
    def tokens(self) -> int:
        """Of the whole prompt."""
        return self.ends[-1] if self.ends else 0


@dataclass(frozen=True)
class Replayed:
    """What a policy kept."""

    policy: str
    requests: int
    blocks: int
    tokens: int
    hit_blocks: int
    hit_tokens: int

    @property
    def hit_ratio(self) -> float:
        """Hit blocks over all blocks."""
        return self.hit_blocks / self.blocks if self.blocks else 0.0

    @property
    def token_hit_ratio(self) -> float:
        """Hit tokens over all tokens."""
        return self.hit_tokens / self.tokens if self.tokens else 0.0


class Policy(Protocol):
    """A cache of one scope."""

    def serve(self, blocks: Sequence[Hashable], now_s: float) -> int:
        """Leading blocks that are hits; afterwards all of them are in the cache."""


class Infinite:
    """Keeps everything."""

    def __init__(self) -> None:
        self.kept: set[Hashable] = set()

    def serve(self, blocks: Sequence[Hashable], now_s: float) -> int:
        """Leading blocks that were in an earlier prompt."""
        kept = self.kept
        for place, block in enumerate(blocks):
            if block not in kept:
                kept.update(blocks[place:])
                return place
        return len(blocks)


class Lru:
    """Keeps the blocks touched last; a request touches its blocks in their order."""

    def __init__(self, blocks_max: int) -> None:
        self.blocks_max = blocks_max
        self.kept: OrderedDict[Hashable, None] = OrderedDict()

    def serve(self, blocks: Sequence[Hashable], now_s: float) -> int:
        """Leading blocks not evicted yet; the oldest make room for the rest."""
        hits = next((place for place, block in enumerate(blocks) if block not in self.kept), len(blocks))
        for block in blocks:
            self.kept[block] = None
            self.kept.move_to_end(block)
            if len(self.kept) > self.blocks_max:
                self.kept.popitem(last=False)
        return hits


class Ttl:
    """Keeps a block while its age is at most ttl_s; a use renews it unless `fixed`: then only a write of a dead one."""

    def __init__(self, ttl_s: float, *, fixed: bool) -> None:
        self.ttl_s, self.fixed = ttl_s, fixed
        self.since_s: dict[Hashable, float] = {}

    def serve(self, blocks: Sequence[Hashable], now_s: float) -> int:
        """Leading blocks young enough."""
        since_s, oldest_s = self.since_s, now_s - self.ttl_s
        hits = len(blocks)
        for place, block in enumerate(blocks):
            if since_s.get(block, NEVER_S) < oldest_s:
                hits = place
                break
        if self.fixed:
            since_s.update((block, now_s) for block in blocks[hits:] if since_s.get(block, NEVER_S) < oldest_s)
        else:
            since_s.update(dict.fromkeys(blocks, now_s))
        return hits


def make_policy(text: str) -> Policy:
    """`infinite`, `lru:BLOCKS`, `ttl:SECONDS` or `ttl-fixed:SECONDS`.

    Raises:
        ReplayError: anything else.
    """
    name, _, size = text.partition(":")
    try:
        value = float(size) if size else math.nan
    except ValueError:
        value = math.nan
    if name == "infinite" and not size:
        return Infinite()
    if value > 0 and math.isfinite(value):
        if name == "lru" and value == int(value):
            return Lru(int(value))
        if name in ("ttl", "ttl-fixed"):
            return Ttl(value, fixed=name == "ttl-fixed")
    raise ReplayError(f"--policy {text!r}: use infinite, lru:BLOCKS, ttl:SECONDS or ttl-fixed:SECONDS")


def replay(prompts: Iterable[Prompt], policy: str) -> Replayed:
    """Run a policy over prompts in time order; each scope has its own cache."""
    make_policy(policy)
    caches: dict[int, Policy] = {}
    requests = blocks = tokens = hit_blocks = hit_tokens = 0
    for prompt in prompts:
        if prompt.scope not in caches:
            caches[prompt.scope] = make_policy(policy)
        hits = caches[prompt.scope].serve(prompt.blocks, prompt.at_s)
        requests += 1
        blocks += len(prompt.blocks)
        tokens += prompt.tokens
        hit_blocks += hits
        hit_tokens += prompt.ends[hits - 1] if hits else 0
    return Replayed(policy, requests, blocks, tokens, hit_blocks, hit_tokens)


def read_prompts(path: Path) -> list[Prompt]:
    """Prompts of a block-hash trace in time order, or of every trace in a RAGPulse folder.

    Raises:
        ReplayError: not there, damaged, or of a form without blocks.
    """
    files = sorted(path.glob("trace*.jsonl*")) if path.is_dir() else [path]
    chain = _Chain()
    try:
        prompts = [prompt for file in files for prompt in _prompts(file, chain)]
    except ScenarioError as error:
        raise ReplayError(f"{path}: not a block-hash trace ({error})") from None
    if not prompts:
        raise ReplayError(f"{path}: no request in it")
    if not any(prompt.blocks for prompt in prompts):
        raise ReplayError(f"{path}: not a block-hash trace (no request has hash_ids)")
    return sorted(prompts, key=lambda prompt: prompt.at_s)


def _prompts(path: Path, chain: _Chain) -> Iterator[Prompt]:
    """One prompt a request. RAGPulse names a block by its content alone, so its ids are chained: a block counts as the
    same only after the same blocks. Other traces' ids are chained hashes already.
    """
    chained = detect(path) == "ragpulse"
    scopes: dict[str, int] = {}
    for row in rows(path):
        blocks = chain.nodes(row.block_ids) if chained else row.block_ids
        scope = scopes.setdefault(row.scope, len(scopes))
        at_s = row.at_s if row.at_s is not None else row.since_s or 0.0
        yield Prompt(at_s, scope, blocks, tuple(accumulate(row.block_tokens)))


class _Chain:
    """Numbers for blocks after the blocks before them."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[int, int], int] = {}

    def nodes(self, blocks: Sequence[int]) -> list[int]:
        """A number for each block, the same only after the same blocks."""
        node, nodes = 0, []
        for block in blocks:
            node = self._nodes.setdefault((node, block), len(self._nodes) + 1)
            nodes.append(node)
        return nodes
