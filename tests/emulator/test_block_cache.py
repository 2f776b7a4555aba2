"""The engine's block cache against the exact answers of the public traces."""

import gzip
import json
from itertools import accumulate

import pytest

from emulator.engine.block_cache import BlockCache, chain

# "Exact cache answers" of the traces' README: per block, prefix hits, cold start, judged before the request is added
ANSWERS = {
    ("mooncake_conversation_min00-30", None): 0.340903,
    ("mooncake_conversation_min00-30", 1_000): 0.043239,
    ("mooncake_conversation_min00-30", 10_000): 0.205429,
    ("mooncake_conversation_min00-30", 50_000): 0.337032,
    ("mooncake_synthetic", None): 0.639604,
    ("mooncake_synthetic", 1_000): 0.082460,
    ("mooncake_synthetic", 10_000): 0.423493,
    ("mooncake_synthetic", 50_000): 0.639604,
}


@pytest.mark.parametrize(("name", "size"), ANSWERS)
def test_the_hit_rate_of_a_public_trace_is_exact_to_six_digits(traces, name, size):
    """Infinite and LRU of three sizes, on two traces of real block ids."""
    cache = BlockCache(size)
    with gzip.open(traces / f"{name}.jsonl.gz", "rt") as lines:
        for line in lines:
            blocks = json.loads(line)["hash_ids"]
            cache.hits(blocks)
            cache.add(blocks)
    assert round(cache.hit / cache.queried, 6) == ANSWERS[name, size]


def test_sessions_that_share_nothing_hit_only_their_own_blocks(traces):
    """The agentic trace, whose ids are local to a session: 0.955269 without a limit."""
    queried = hit = 0
    with gzip.open(traces / "agentic_sessions_a.jsonl.gz", "rt") as lines:
        for line in lines:
            cache = BlockCache(None)
            for request in json.loads(line)["requests"]:
                cache.hits(request["hash_ids"])
                cache.add(request["hash_ids"])
            queried, hit = queried + cache.queried, hit + cache.hit
    assert round(hit / queried, 6) == 0.955269


def test_a_rag_assistants_trace_hits_by_tokens(traces):
    """System prompt, passages, history, search and question in order, weighted by their tokens: 0.316367."""
    folder, tokens, requests = traces / "ragpulse", {}, []
    for part in folder.glob("[1-5]_*.jsonl.gz"):
        with gzip.open(part, "rt") as lines:
            tokens.update(json.loads(line).values() for line in lines if line.strip())
    with gzip.open(folder / "trace_days0-3.jsonl.gz", "rt") as lines:
        requests = sorted((json.loads(line) for line in lines if line.strip()), key=lambda row: float(row["timestamp"]))
    cache, hit, queried = BlockCache(None), 0, 0
    for request in requests:
        parts = request["hash_ids"]
        ids = [
            id for name in ("sys_prompt", "passages_ids", "history", "web_search", "user_input") for id in parts[name]
        ]
        chained = list(accumulate(ids, lambda before, id: hash((before, id)), initial=0))[1:]
        found = cache.hits(chained)
        cache.add(chained)
        hit, queried = hit + sum(tokens[id] for id in ids[:found]), queried + sum(tokens[id] for id in ids)
    assert round(hit / queried, 6) == 0.316367


def test_only_leading_blocks_hit():
    """A held block after a missing one is no hit: its prefix differs."""
    cache = BlockCache(None)
    cache.add([1, 2, 3])
    assert cache.hits([1, 9, 3]) == 1


def test_the_least_recently_used_block_goes_first():
    """Touching a block again saves it."""
    cache = BlockCache(2)
    cache.add([1, 2])
    cache.add([1])
    cache.add([3])
    assert [cache.hits([block]) for block in (1, 2, 3)] == [1, 0, 1]


def test_a_chained_hash_depends_on_everything_before():
    """Equal blocks after different ones have different hashes; a last part of a block has none."""
    one, other = chain(b"aaaabbbbcc", 4), chain(b"xxxxbbbbcc", 4)
    assert len(one) == len(other) == 2
    assert not set(one) & set(other)
    assert chain(b"aaaabbbbdd", 4) == one
