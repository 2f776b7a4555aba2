"""Which goods words name: the noun with what describes it, what is expressly not meant, how soon it has to arrive."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import TypeVar

from emulator.shop_model import slots, specs
from emulator.shop_model.words import fold, holds, lexicon, stem

Row = TypeVar("Row", bound=Mapping[str, object])
"""A product as a tool's answer holds it."""

_TOKEN = re.compile(r"[a-z][a-z0-9]*(?:[-'][a-z0-9]+)*|\d+[a-z]+|[,.;:?!]")
_BETWEEN = frozenset(
    ["in", "with", "for", "of", "by", "from", "and", "or", "a", "an", "the", "my", "that", "are", "is", ","]
)
"""Words that may stand between a thing and what describes it: `shoes for a marathon`, `a jacket in navy`."""
_MAKER = frozenset(["by", "from"])
_NOT = re.compile(
    r"\b(?:not|no|nor|except|without|other than|anything but|apart from|but not|nothing|isn't|aren't|leave out)\b"
    r" (?:(?:a|an|any|the|in|of|with|too) )*((?:[a-z][a-z-]*)(?: (?:or|and|nor|,) (?:in )?[a-z][a-z-]*)*)"
)
_WITHIN = re.compile(
    r"\b(?:in|within|under|less than|at most|max(?:imum)?) (\d{1,2}|one|two|three|four|five) days?\b(?! ago)|"
    r"\b(\d{1,2}|one|two|three|four|five)[ -]days?(?: (?:delivery|shipping)| (?:max|tops|or less|or faster))\b|"
    r"\b(?:by|get here|arrives?|here) (tomorrow)\b|\b(?:next|same)[ -]day (?:delivery|shipping)\b"
)


@cache
def _describing() -> frozenset[str]:
    """Words that describe goods, wherever they stand: values of traits, sizes, kinds of one thing."""
    known = lexicon()
    values = {word for _, held in known.traits.values() for word in held}
    return frozenset(values | known.describing)


@cache
def _purposes() -> frozenset[str]:
    known = lexicon()
    return frozenset((*known.needs, *known.interests))


def phrase(text: str) -> list[str]:
    """The words to search by, in order, each once.

    Where a thing is named that shops sell: it, the words right before it, and what else in the text describes goods. Where
    none is: every word that names something, those of everyday left out as long as others remain.
    """
    return list(_phrase(text))


@lru_cache(1024)
def _phrase(text: str) -> tuple[str, ...]:
    tokens = [token.removesuffix("'s") for token in _TOKEN.findall(slots.stripped(text, " ; "))]
    known = lexicon()
    named = set(slots.things(text))
    heads = [place for place, token in enumerate(tokens) if token in known.goods and token in named]
    if not heads:
        rare = [word for word in slots.things(text) if word not in known.plain]
        return tuple(rare or slots.things(text))
    kept = {place for place, token in enumerate(tokens) if token in named and token in _describing()}
    for head in heads:
        kept.add(head)
        bare = all(token in named for token in tokens[:head])  # `slow cooker`: nothing stands before but its name
        for place in range(head - 1, -1, -1):
            if tokens[place] not in named or not (
                bare or _speaks_of_goods(tokens[place]) or tokens[place] not in known.plain
            ):
                break
            kept.add(place)
        kept |= _behind(tokens, head, named)
    return tuple(dict.fromkeys(tokens[place] for place in sorted(kept)))


def _behind(tokens: Sequence[str], head: int, named: set[str]) -> set[int]:
    """Places behind a thing of what it is for and who makes it, up to a word that is neither."""
    kept: set[int] = set()
    for place in range(head + 1, len(tokens)):
        token = tokens[place]
        if token in named and (_speaks_of_goods(token) or token in _purposes()
                               or (tokens[place - 1] in _MAKER and token not in lexicon().plain)):  # fmt: skip
            kept.add(place)
        elif token not in _BETWEEN:
            break
    return kept


def _speaks_of_goods(token: str) -> bool:
    return token in lexicon().goods or token in _describing()


def describes(text: str) -> bool:
    """Whether words only describe, and name no thing: `black`, `large please`."""
    left = specs.rest(text)
    words = [word for word in re.findall(r"[a-z][a-z-]*", left) if word not in slots.IDLE or word in _describing()]
    return bool(words or left != text) and all(
        word in _describing() and word not in ("warm", "soft", "firm", "family") for word in words
    )


def excluded(text: str) -> list[str]:
    """Words of what is expressly not meant: black, white of `not in black or white`."""
    steering = slots.IDLE | {"isn't", "aren't"}
    return [
        word
        for match in _NOT.finditer(text)
        for word in re.findall(r"[a-z][a-z-]*", match[1])
        if word not in steering or word in _describing()
    ]


_OPPOSITE = {"cordless": "corded", "wireless": "wired"}


def kept(rows: Sequence[Row], named: Sequence[str]) -> list[Row]:
    """The hits of a search that are of the kind named, where there are any: no notebook among office chairs."""
    known = lexicon()
    kind = [word for word in named if word in known.goods and word not in _describing()]
    met = [sum(holds(f"{row.get('title') or ''} {row.get('category') or ''}", word) for word in kind) for row in rows]
    best = max(met, default=0)
    against = [_OPPOSITE[word] for word in named if word in _OPPOSITE]
    fits = [row for row, score in zip(rows, met, strict=True) if score == best and allowed(row, against)]
    ends = [row for row in fits if kind and stem(kind[-1]) == stem(_head(row))]  # `printer` is no printer ink
    return ends or fits or list(rows)


def _head(row: Mapping[str, object]) -> str:
    """The noun of a title: drill of `Corvane Pro Drill, 18 V`."""
    return fold(str(row.get("title") or "").split(",")[0]).rsplit(" ", 1)[-1]


def allowed(row: Mapping[str, object], unwanted: Sequence[str]) -> bool:
    """Whether a product is none of what is not meant; `gluten free` holds no gluten."""
    title = f"{row.get('title') or ''} {row.get('brand') or ''}"
    return not any(holds(title, word) and not holds(title, f"{word} free") for word in unwanted)


def days_at_most(text: str) -> int | None:
    """How many days a delivery may take; None where nothing is said of it."""
    match = _WITHIN.search(text)
    if match is None:
        return None
    figure = match[1] or match[2]
    return slots.count(figure) if figure else 1
