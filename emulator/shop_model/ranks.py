"""Ranks among products: the cheapest, the lighter one, which lasts longest. By figures where pages state them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from emulator.shop_model.words import fold

_ROWS = (
    # words, what is ranked, keys of it, its words from least to most, whether the most ranks first
    (r"cheapest|cheaper|least expensive|less expensive|costs? less|costs? the least", "price", ("price",), (), False),
    (r"most expensive|more expensive|pricier|priciest|dearest|costs? more", "price", ("price",), (), True),
    (r"(?:best|better|top|highest|higher|most) (?:rated|ratings?|stars?)|rated (?:higher|highest|better|best)|(?:best|better) (?:reviews?|one)|would you (?:go for|go with|pick|choose|recommend|take|buy|get|prefer)|do you (?:recommend|prefer)|should i (?:pick|choose|take|buy|get)", "rating", ("rating",), (), True),
    (r"(?:arrives?|comes?|ships?|gets? here) (?:first|sooner|soonest|faster|fastest|earlier|quicker|quickest)|quickest|sooner|soonest|(?:faster|fastest) delivery", "delivery days", ("delivery_days",), (), False),
    (r"lighter|lightest|weighs? (?:less|the least)", "weight", ("weight",), ("light", "medium", "heavy"), False),
    (r"heavier|heaviest|weighs? (?:more|the most)", "weight", ("weight",), ("light", "medium", "heavy"), True),
    (r"(?:bigger|biggest)(?! (?:discount|deal|sale|saving))|larger|largest|roomier|roomiest|wider|widest", "size", ("size", "capacity"), ("xs", "small", "s", "medium", "m", "large", "l", "xl", "family size"), True),
    (r"smaller|smallest|narrower|narrowest|more compact|most compact|takes? (?:up )?(?:less|the least) (?:\w+ )?(?:space|room)", "size", ("size", "capacity"), ("xs", "small", "s", "medium", "m", "large", "l", "xl", "family size"), False),
    (r"lasts? (?:the )?(?:longer|longest|most)|longer lasting|longest lasting|(?:longest|longer|best|better) battery", "battery", ("battery", "runtime"), (), True),
    (r"(?:most|more) powerful|stronger|strongest", "power", ("power", "wattage"), (), True),
    (r"(?:longer|longest|better|best) (?:warranty|guarantee)", "warranty", ("warranty",), (), True),
    (r"warmer|warmest", "season", ("season",), ("summer", "two season", "three season", "four season"), True),
)  # fmt: skip
_FIGURE = re.compile(r"\d+(?:\.\d+)?")
_UNITS = {
    "battery": re.compile(r"\b\d+(?:\.\d+)? ?(?:h|hours?|mah|ah)\b"),
    "power": re.compile(r"\b\d+ ?(?:w|watts?|v)\b"),
}


@dataclass(frozen=True)
class Rank:
    """What is ranked. `keys`: fields or attributes that state it; `scale`: its words, least first; `most`: the most wins."""

    word: str
    name: str
    keys: tuple[str, ...]
    scale: tuple[str, ...]
    most: bool

    def shown(self, row: Mapping[str, object]) -> str:
        """What a product states of it, empty where it does not."""
        for key in self.keys:
            if row.get(key) is not None:
                return str(row[key])
        attributes = row.get("attributes")
        for key, value in (attributes if isinstance(attributes, Mapping) else {}).items():
            if any(word in fold(str(key)) for word in self.keys):
                return str(value)
        parts = [part.strip() for part in str(row.get("title") or "").split(",")[1:]]
        unit = _UNITS.get(self.name)
        return next((part for part in parts if self._place(part) is not None or (unit and unit.search(fold(part)))), "")

    def _place(self, text: str) -> int | None:
        """Its place among the words of the scale, the longest word that begins it."""
        fits = [word for word in self.scale if re.match(rf"{word}\b", fold(text))]
        return self.scale.index(max(fits, key=len)) if fits else None

    def value(self, row: Mapping[str, object]) -> float | None:
        """It as a number; None where a product does not state it."""
        text = self.shown(row)
        place = self._place(text) if self.scale else None
        if place is not None:
            return float(place)
        figure = _FIGURE.search(text)
        return float(figure[0]) if figure else None

    def beyond(self, here: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
        """The products that rank before this one, first first; all of them where it is not stated."""
        mine = self.value(here)
        if mine is None:
            return list(rows)
        stated = [(value, row) for row in rows if (value := self.value(row)) is not None]
        before = [pair for pair in stated if (pair[0] > mine if self.most else pair[0] < mine)]
        return [row for _, row in sorted(before, key=lambda pair: pair[0], reverse=self.most)]

    def first(self, rows: Sequence[Mapping[str, object]]) -> Mapping[str, object] | None:
        """The product that ranks first; None where fewer than two state it, or all state the same."""
        stated = [(value, row) for row in rows if (value := self.value(row)) is not None]
        if len(stated) < 2 or len({value for value, _ in stated}) < 2:
            return None
        best = (max if self.most else min)(value for value, _ in stated)
        return next(row for value, row in stated if value == best)


_WORDS = [re.compile(rf"\b(?:{words})\b") for words, *_ in _ROWS]


@lru_cache(1024)
def named(text: str) -> Rank | None:
    """The rank that words name."""
    for pattern, (_, name, keys, scale, most) in zip(_WORDS, _ROWS, strict=True):
        if match := pattern.search(text):
            return Rank(match[0], name, keys, scale, most)
    return None
