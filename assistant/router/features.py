"""A message as hashed features: the same few lines at training and at run time, so that both see the same ones.

Three groups, each in its own range of buckets (CRC-32): words and word pairs; letter runs within words, which survive
typing errors; concepts and their pairs (words that mean much the same, data/router_concepts.txt), which carry over to
words no phrasing holds. Numbers become one token, so that `order 0` is learned and no particular order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import combinations, pairwise
from zlib import crc32

CHARS_MAX = 600
"""Only so much of a message is read: what a customer wants stands near its start, and the time stays bounded."""
_RUNS = (3, 4, 5)
_STEM_CHARS_MIN = 3
_CONCEPTS_A_WORD = 2
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d[\d.,]*|[?%$€£]")


@dataclass(frozen=True, slots=True)
class Group:
    """A range of buckets; `weight`: the length of its part of a message's vector before the whole is scaled to one."""

    first: int
    size: int
    weight: float


GROUPS = (Group(0, 1 << 13, 1.0), Group(1 << 13, 1 << 14, 1.0), Group(3 << 13, 1 << 11, 0.7))
"""Words, letter runs, concepts. Weights chosen by cross-validation over the training phrasings."""
BUCKETS = GROUPS[-1].first + GROUPS[-1].size


def tokens(message: str) -> list[str]:
    """Lower-cased words; any number is `0`."""
    found = _WORD.findall(message[:CHARS_MAX].lower())
    return ["0" if word[0].isdigit() else word.replace("'", "") for word in found]


def buckets(message: str) -> tuple[list[int], list[int], list[int]]:
    """Distinct buckets of a message's features, by group, sorted."""
    found = tokens(message)
    words = set(found)
    runs: set[int] = set()
    concepts: set[str] = set()
    for word in words:
        runs.update(_runs_of(word))
        concepts.update(concepts_of(word))
    pairs = (f"{one} {two}" for one, two in pairwise(found))
    named = sorted(concepts)
    meetings = (f"{one} {two}" for one, two in combinations(named, 2))
    return (
        _hashed(GROUPS[0], [*words, *pairs]),
        sorted(runs),
        _hashed(GROUPS[2], [*named, *meetings]),
    )


def _hashed(group: Group, names: Iterable[str]) -> list[int]:
    return sorted({group.first + crc32(name.encode()) % group.size for name in names})


@lru_cache(maxsize=20_000)
def _runs_of(word: str) -> tuple[int, ...]:
    """Buckets of a word's letter runs; its edges are letters too."""
    edged = f" {word} "
    return tuple(_hashed(GROUPS[1], (edged[at : at + run] for run in _RUNS for at in range(len(edged) - run + 1))))


@lru_cache(maxsize=20_000)
def concepts_of(word: str) -> tuple[str, ...]:
    """Concepts a word stands for: by itself, or by the longest stem that lists every ending; at most two."""
    whole, stems = _lexicon()
    for end in range(len(word), _STEM_CHARS_MIN - 1, -1):
        if word[:end] in stems:
            return (*whole.get(word, ()), *stems[word[:end]])[:_CONCEPTS_A_WORD]
    return whole.get(word, ())[:_CONCEPTS_A_WORD]


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
