"""Exact cache policies on a trace of prompt blocks: what share of blocks, and of tokens, would have been hits.

A request's prompt is a list of block ids. Its hits are the leading blocks that are live; the first miss ends them,
since a block's content depends on everything before it. Hits are counted before the request's own blocks are added; the
cache starts cold. These are engine-style block caches: a provider's cache points have explicit places and a minimum
length. A policy runs over the whole trace with no warm-up left out.
"""

from __future__ import annotations

import gzip
import json
import math
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from host.errors import PeakdayError

NEVER_S = -math.inf
MOONCAKE_BLOCK_TOKENS = 512
PROMPT_ORDER = ("sys_prompt", "passages_ids", "history", "web_search", "user_input")
"""RAGPulse: the order in which the sections of its prompts stand (traces' own note)."""


class ReplayError(PeakdayError, ValueError):
    """A trace or policy that cannot be read; one line with place and remedy. A mistake of usage."""


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
    """Prompts of a block-hash trace in time order: a JSON-lines file (also .gz), or a RAGPulse folder.

    Raises:
        ReplayError: not there, damaged, or of a form this does not know.
    """
    try:
        prompts = list(_ragpulse(path) if path.is_dir() else _json_lines(path))
    except (OSError, EOFError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ReplayError(f"{path}: cannot be read ({error})") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ReplayError(f"{path}: not a block-hash trace ({type(error).__name__}: {error})") from None
    if not prompts:
        raise ReplayError(f"{path}: no request in it")
    return sorted(prompts, key=lambda prompt: prompt.at_s)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _json_lines(path: Path) -> Iterator[Prompt]:
    """One request a line. Mooncake: `timestamp` in ms and 512-token blocks. RAGPulse: `hash_ids` by section, block
    lengths from the files beside it. Agentic sessions: `requests`, ids local to each session, sub-agents within.
    """
    sections = RagPulse(path.parent)
    for number, row in enumerate(_rows(path)):
        if "requests" in row:
            yield from _agentic(row["requests"], number, int(row["block_size"]))
        elif isinstance(row["hash_ids"], Mapping):
            yield sections.prompt(row)
        else:
            ids = _ids(row)
            ends = _ends(len(ids), MOONCAKE_BLOCK_TOKENS, int(row["input_length"]))
            yield Prompt(float(row["timestamp"]) / 1000, 0, ids, ends)


def _agentic(requests: Sequence[Mapping[str, Any]], scope: int, block_tokens: int) -> Iterator[Prompt]:
    """Requests of one session; a row without blocks of its own holds those of its sub-agents, under any key."""
    for request in requests:
        if "hash_ids" in request:
            ids = _ids(request)
            yield Prompt(float(request["t"]), scope, ids, _ends(len(ids), block_tokens, int(request["in"])))
        nested = [value for value in request.values() if isinstance(value, (list, dict))]
        for value in nested:
            rows = value.get("requests", []) if isinstance(value, dict) else value
            yield from _agentic([row for row in rows if isinstance(row, dict)], scope, block_tokens)


def _ids(row: Mapping[str, Any]) -> list[int]:
    ids = row["hash_ids"]
    if not isinstance(ids, list) or not all(isinstance(block, int) for block in ids):
        raise ValueError("hash_ids is no list of block numbers")
    return ids


def _ends(blocks: int, block_tokens: int, prompt_tokens: int) -> Sequence[int]:
    """Whole blocks and a last one of what is left; all whole where the prompt's length does not fit its blocks."""
    full_blocks = range(block_tokens, block_tokens * blocks + 1, block_tokens)
    if blocks and block_tokens * (blocks - 1) < prompt_tokens < block_tokens * blocks:
        return (*full_blocks[:-1], prompt_tokens)
    return full_blocks


class RagPulse:
    """Prompts of RAGPulse: sections in prompt order; a block counts as the same only after the same blocks, so ids are
    chained. Block lengths are those of the files in a folder; without them a prompt's length is shared out evenly.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tokens: dict[int, int] | None = None
        self._chain: dict[tuple[int, int], int] = {}

    def prompt(self, row: Mapping[str, Any]) -> Prompt:
        """One request."""
        ids = [int(block) for section in PROMPT_ORDER for block in row["hash_ids"][section]]
        node, nodes = 0, []
        for block in ids:
            node = self._chain.setdefault((node, block), len(self._chain) + 1)
            nodes.append(node)
        known = self._lengths()
        if known:
            ends = list(accumulate(known[block] for block in ids))
        else:
            length = int(row["input_length"])
            ends = [length * (place + 1) // len(ids) for place in range(len(ids))]
        return Prompt(float(row["timestamp"]), 0, nodes, ends)

    def _lengths(self) -> dict[int, int]:
        if self._tokens is None:
            self._tokens = {}
            for file in sorted(self._folder.glob("[1-5]_*.jsonl*")):
                for row in _rows(file):
                    ids = [value for key, value in row.items() if key.endswith("_id")]
                    self._tokens[int(ids[0])] = int(row["token_length"])
        return self._tokens


def _ragpulse(folder: Path) -> Iterator[Prompt]:
    """Every trace of a folder."""
    sections = RagPulse(folder)
    for file in sorted(folder.glob("trace*.jsonl*")):
        for row in _rows(file):
            yield sections.prompt(row)
