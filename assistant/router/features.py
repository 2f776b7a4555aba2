"""A message as hashed counts: the same few lines at training and at run time, so that both see the same features.

Words, word pairs, letter runs within words (which survive typing errors), and concepts with their pairs (words that
mean much the same, data/router_concepts.txt) fall into `BUCKETS` by CRC-32. Numbers become one token, so that the
classifier learns `order 0` and not a particular order.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files
from itertools import combinations, pairwise
from zlib import crc32

BUCKETS = 1 << 13
CHARS_MAX = 600
"""Only so much of a message is read: what a customer wants stands near its start, and the time stays bounded."""
_RUNS = (3, 4, 5)
_STEM_CHARS_MIN = 3
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d[\d.,]*|[?%$€£]")


def tokens(message: str) -> list[str]:
    """Lower-cased words; any number is `0`."""
    found = _WORD.findall(message[:CHARS_MAX].lower())
    return ["0" if word[0].isdigit() else word.replace("'", "") for word in found]


def buckets(message: str) -> list[int]:
    """Distinct buckets of a message's features, sorted."""
    found = tokens(message)
    features = {f"p {one} {two}" for one, two in pairwise(["^", *found, "$"])}
    concepts: set[str] = set()
    numbers: set[int] = set()
    for word in set(found):
        numbers.update(_word_buckets(word))
        concepts.update(concepts_of(word))
    features.update(f"c {concept}" for concept in concepts)
    features.update(f"cc {one} {two}" for one, two in combinations(sorted(concepts), 2))
    numbers.update(_bucket(feature) for feature in features)
    return sorted(numbers)


@lru_cache(maxsize=20_000)
def _word_buckets(word: str) -> tuple[int, ...]:
    """Buckets of a word and of its letter runs."""
    edged = f"<{word}>"
    runs = [edged[at : at + run] for run in _RUNS for at in range(len(edged) - run + 1)] if len(word) > 2 else []
    return tuple({_bucket(feature) for feature in (f"w {word}", *runs)})


def _bucket(feature: str) -> int:
    return crc32(feature.encode()) % BUCKETS


@lru_cache(maxsize=20_000)
def concepts_of(word: str) -> tuple[str, ...]:
    """Concepts a word stands for: by itself, or by the longest stem that lists every ending."""
    whole, stems = _lexicon()
    for end in range(len(word), _STEM_CHARS_MIN - 1, -1):
        if word[:end] in stems:
            return (*whole.get(word, ()), *stems[word[:end]])
    return whole.get(word, ())


@cache
def _lexicon() -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    whole: dict[str, tuple[str, ...]] = {}
    stems: dict[str, tuple[str, ...]] = {}
    text = files("assistant").joinpath("data", "router_concepts.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            concept, _, words = line.partition(": ")
            for word in words.split():
                table = stems if word.endswith("*") else whole
                stem = word.rstrip("*")
                table[stem] = (*table.get(stem, ()), concept)
    return whole, stems
