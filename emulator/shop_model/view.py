"""What the model has in view while it answers: results known so far, calls still to make, and which product is meant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emulator.shop_model import goods, ranks, slots, specs
from emulator.shop_model.dialogue import Dialogue, Use
from emulator.shop_model.patterns import ONE_OF
from emulator.shop_model.understanding import points_at_this
from emulator.shop_model.words import holds, lexicon

Product = Mapping[str, Any]
_ID = re.compile(r"\bp\d{4,}\b")
_ORDINALS = {
    "first": 0,
    "1st": 0,
    "second": 1,
    "2nd": 1,
    "third": 2,
    "3rd": 2,
    "fourth": 3,
    "4th": 3,
    "fifth": 4,
    "5th": 4,
    "top": 0,
}
_ORDINAL = re.compile(
    r"\b(first|second|third|fourth|fifth|1st|2nd|3rd|4th|5th|last|top(?= one)|bottom(?= one))(?: one| option| product)?\b(?! (?:week|month|year|time|order|\d))"
)
_POINTER = re.compile(r"\b(?:this|these|it|they|them)\b(?! (?:week|weekend|month|year|morning|evening|time))")
_POINTED_ONE = re.compile(r"\b(?:this|it|that)\b")
_TWO = re.compile(r"\b(first|top|last) (?:two|2)\b")
_NUMBERED = re.compile(r"\b(?:number|no|option) (\d|one|two|three|four|five)\b")


@dataclass
class Meant:
    """The product that is meant. `product` None and nothing missing: `question` asks back. `assumed`: chosen of several."""

    product: Product | None = None
    question: str | None = None
    assumed: bool = False
    others: int = 0


@dataclass
class View:
    """One answer in the making. `missing`: the calls that it waits for, in the order they are wanted."""

    dialogue: Dialogue
    spanish: bool
    short: bool
    missing: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    _listed: dict[int, list[Product]] = field(default_factory=dict)
    _focus: Product | None = None
    """The product that an earlier ask of this message was about: `is it waterproof and how much does it weigh`."""

    # --- words

    def say(self, english: str, spanish: str) -> str:
        """A sentence in the customer's language."""
        return spanish if self.spanish else english

    @property
    def currency(self) -> str:
        """The store's."""
        return self.dialogue.currency

    # --- tools

    def want(self, tool: str, **arguments: Any) -> Use | None:
        """The result of a call: known from this turn, or None while it is asked for. What is not offered has failed."""
        if tool not in self.dialogue.tools:
            return Use(tool, arguments, None, failed=True)
        arguments = {name: value for name, value in arguments.items() if value is not None}
        fitted = self._fitted(tool, arguments)
        for use in self.dialogue.now.uses:
            if use.tool == tool and _answers(use, fitted):
                return use
        if (tool, fitted) not in self.missing:
            self.missing.append((tool, fitted))
        return None

    def _fitted(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments that the schema offered knows, within its bounds."""
        properties = self.dialogue.tools[tool].get("properties") or {}
        fitted: dict[str, object] = {}
        for name, value in arguments.items():
            rule = properties.get(name)
            if properties and not isinstance(rule, Mapping):
                continue
            fitted[name] = _bounded(value, rule or {})
        return fitted

    def results(self, tool: str) -> list[Use]:
        """Every result of a tool in this turn."""
        return [use for use in self.dialogue.now.uses if use.tool == tool and use.result is not None]

    # --- products

    @property
    def page(self) -> str | None:
        """The product page that is open."""
        return self.dialogue.now.page

    def known(self, product_id: str) -> Product | None:
        """What the conversation knows of a product, the fullest first."""
        rows = [
            row
            for exchange in reversed(self.dialogue.exchanges)
            for row in exchange.products
            if row["product_id"] == product_id
        ]
        return max(rows, key=len, default=None)

    def details(self, product_id: str) -> Product | None:
        """A product's details; None while they are asked for. A product that is none has no title."""
        for exchange in reversed(self.dialogue.exchanges):
            for use in exchange.uses:
                if use.tool == "product_details" and use.data.get("product_id") == product_id:
                    return use.data
        asked = self.want("product_details", product_id=product_id)
        if asked is None:
            return None
        return asked.data if asked.data.get("product_id") else (self.known(product_id) or {"product_id": product_id})

    def listed(self, least: int = 1) -> list[Product]:
        """The products that the customer was last shown, `least` of them or more, in the order of that answer."""
        if least not in self._listed:
            self._listed[least] = self._shown(least)
        return self._listed[least]

    def _shown(self, least: int) -> list[Product]:
        earlier = self.dialogue.exchanges[:-1]
        known = {row["product_id"]: row for one in earlier for row in one.products if row.get("title")}
        titles = [(title_of(row), row) for row in known.values()]
        for exchange in reversed(earlier):
            rows = {row["product_id"]: row for row in exchange.asked_for if row.get("title")}
            shown = [(exchange.answer.find(title), row) for title, row in titles]
            named = sorted(((at, key) for key, (at, _) in enumerate(shown) if at >= 0))
            if len(named) >= least:
                return [shown[key][1] for _, key in named]
            looked_at = [use.data for use in exchange.uses if use.tool == "product_details" and use.data.get("title")]
            told_of = looked_at if len(looked_at) == 1 else list(rows.values())
            if len(told_of) == 1 and least == 1:  # of several that were found and not shown none is meant
                return told_of
        return []

    def pointed(self, text: str) -> list[Product]:
        """The products that words point at by place, in their order; `it` is the one last talked of."""
        rows = self.listed(2)
        if (two := _TWO.search(text)) is not None and len(rows) > 1:
            return rows[-2:] if two[1] == "last" else rows[:2]
        places = [_ORDINALS.get(match[1], len(rows) - 1) for match in _ORDINAL.finditer(text)]
        found = [rows[place] for place in places if place < len(rows)]
        if len(found) == 1 and _POINTER.search(text) and len(focus := self.listed()) == 1:
            found = [focus[0], *found]
        return list({row["product_id"]: row for row in found}.values())

    def meant(self, text: str, *, write: bool = False, ask_words: bool = False) -> Meant | None:
        """The product that words mean; None while a call is out.

        Args:
            write: something is to be written for it, so of several it is asked for, never assumed.
            ask_words: words of traits are part of a question and not of the product's name.
        """
        if match := _ID.search(text):
            return self._detailed(match[0])
        named = _names(text, ask_words)
        if (chosen := self._of_listed(text, named)) is not None:
            return self._detailed(str(chosen["product_id"]))
        pointed = points_at_this(text) or not named
        if self._focus is not None and not named and self.page is None:
            return Meant(self._focus)
        if self.page is not None:
            here = self.details(self.page)
            if here is None:
                return None
            # A question about a trait is one about the page, unless it names other goods.
            if (
                not named
                or (ask_words and not _goods(named))
                or _bare_pointer(text)
                or _fits(here, named)
                or not _names_another(named)
            ):
                return Meant(here)
        elif pointed and (not _goods(named) or _bare_pointer(text)) and (focus := self.listed()):
            if write and not specs.meets(focus[0], specs.wanted(text)) and len(focus) == 1:
                return self._which(focus, named)  # `add the L`, and it is an XL
            single = len(focus) == 1 or (_POINTED_ONE.search(text) is not None and self._verdict(focus[0]))
            return self._detailed(str(focus[0]["product_id"])) if single else self._which(focus, named)
        if not named:
            return Meant(question=self.say(
                "Which product do you mean? Tell me its name, or open its page.",
                "¿A qué producto te refieres? Dime su nombre o abre su página.",
            ))  # fmt: skip
        return self._searched(named, write=write)

    def _verdict(self, first: Product) -> bool:
        """Whether the last answer is about this product before any other: one that ranks first, or costs so much."""
        return self.dialogue.exchanges[-2].answer.startswith(title_of(first))

    def _detailed(self, product_id: str) -> Meant | None:
        row = self._focus = self.details(product_id)
        return None if row is None else Meant(row)

    def _of_listed(self, text: str, named: list[str]) -> Product | None:
        """One of the products last shown, by its place, its rank, or its name."""
        listed = self.listed()
        if not listed or (self.page is not None and points_at_this(text) and not _ORDINAL.search(text)):
            return None
        rank = ranks.named(text)
        if _NUMBERED.search(text) or _ORDINAL.search(text) or rank is not None:
            listed = self.listed(2) or listed
        if match := _NUMBERED.search(text):
            place = slots.count(match[1])
            return listed[place - 1] if 0 < place <= len(listed) else None
        if match := _ORDINAL.search(text):
            place = _ORDINALS.get(match[1], len(listed) - 1)
            return listed[place] if place < len(listed) else None
        if rank is not None and len(listed) > 1:
            return rank.first(listed)
        if (fits := self.of_listed_as_stated(text, named)) is not None:
            return fits
        if (match := ONE_OF.fullmatch(text)) is not None:
            named, listed = match["which"].split(), self.listed(2) or listed
        if (
            named
            and (pointer := _POINTER.search(text))
            and 0 <= pointer.start() < text.find(named[0])
            and _bare_pointer(text)
        ):
            return None  # `does it come with ink` is about it
        scores = [sum(_in_title(word, row) for word in named) for row in listed]
        best = max(scores)
        return listed[scores.index(best)] if best and best == len(named) and scores.count(best) == 1 else None

    def of_listed_as_stated(self, text: str, named: list[str]) -> Product | None:
        """The only one of those last shown that states the sizes, colours and figures that words name."""
        stated = specs.wanted(text)
        if not stated or len(listed := self.listed(2)) < 2:
            return None
        values = {form for forms in stated.values() for form in forms}
        others = [word for word in named if word not in values and not word[0].isdigit()]
        rows = [row for row in listed if specs.meets(row, stated) and all(_in_title(word, row) for word in others)]
        return rows[0] if len(rows) == 1 else None

    def _searched(self, named: list[str], *, write: bool) -> Meant | None:
        use = self.want("catalogue_search", query=" ".join(named), limit=5)
        if use is None:
            return None
        rows = matching(use, named)
        words = " ".join(named)
        if not rows:
            return Meant(question=self.say(
                f"I could not find {words} in our catalogue. Could you name the product differently?",
                f"No encontré {words} en nuestro catálogo. ¿Puedes nombrar el producto de otra manera?",
            ) + self.not_read(named))  # fmt: skip
        if len(rows) > 1 and write:
            return self._which(rows, named)
        row = self._focus = self.details(str(rows[0]["product_id"]))
        return None if row is None else Meant(row, assumed=len(rows) > 1, others=len(rows) - 1)

    def _which(self, rows: list[Product], named: list[str]) -> Meant:
        what = " ".join(named) or self.say("one", "uno")
        options = "; ".join(f"{title_of(row)} ({self.price(row)})" for row in rows[:4])
        return Meant(question=self.say(
            f"Which {what} do you mean? I found: {options}.", f"¿Cuál quieres decir ({what})? Encontré: {options}."
        ))  # fmt: skip

    def not_read(self, named: Sequence[str]) -> str:
        """Which languages are read, where words are of neither, as far as is known."""
        known = lexicon()
        if len(named) < 2 or any(word in known.plain or word in known.goods or word in known.into for word in named):
            return ""
        return self.say(" I read English and Spanish.", " Leo inglés y español.")

    def price(self, row: Product) -> str:
        """A price with its currency."""
        return money(row["price"], str(row.get("currency") or self.currency)) if row.get("price") is not None else "?"


def title_of(row: Product) -> str:
    """A product's title, on one line."""
    return " ".join(str(row.get("title") or row.get("product_id") or "").split())[:160]


def money(amount: float, currency: str) -> str:
    """An amount with its currency, as the store's own confirmations write it."""
    return f"{float(amount):.2f} {currency}"


def matching(use: Use, named: list[str]) -> list[Product]:
    """The hits of a search that fit the name best; none where not even its last word, the thing itself, is met."""
    hits = [row for row in use.data.get("results") or () if isinstance(row, Mapping) and row.get("product_id")]
    rows = goods.kept(hits, named)
    scores = [sum(_in_title(word, row) for word in named) for row in rows]
    best = max(scores, default=0)
    return [row for row, score in zip(rows, scores, strict=True) if best and score == best]


def _in_title(word: str, row: Product) -> bool:
    """Whether a word stands in a title, in one number or the other."""
    title = str(row.get("title") or "")
    return holds(title, word)


def _fits(row: Product, named: list[str]) -> bool:
    """Whether a product may be what is named: the words of its kind stand on its page, as far as they are of any kind."""
    page = f"{row.get('title') or ''} {row.get('category') or ''} {row.get('description') or ''}"
    goods = [word for word in named if word in lexicon().goods] or named
    return any(holds(page, word) for word in goods)


def _bare_pointer(text: str) -> bool:
    """Whether the first `this` or `it` stands alone: it means what is in view, whatever else the words name.

    One behind a thing means that thing: `these headphones when they're 30% off`.
    """
    match = _POINTER.search(text)
    if match is None:
        return False
    near = [*text[: match.start()].split(), *text[match.end() :].split()[:2]]
    return not any(word.strip(".,;:!?") in lexicon().goods for word in near)


def _names_another(named: list[str]) -> bool:
    """Whether words may name a product: a thing that shops sell, or a word that is none of everyday's."""
    plain = lexicon().plain
    return any(word in lexicon().goods or word not in plain for word in named)


def _goods(named: list[str]) -> bool:
    return any(word in lexicon().goods for word in named)


def _names(text: str, ask_words: bool) -> list[str]:
    named = goods.phrase(text)
    if ask_words:
        traits = lexicon().traits
        asks = {word for words, values in traits.values() for word in (*words, *values)}
        left = [word for word in named if word not in asks and word not in lexicon().unnamed]
        return left
    return [word for word in named if word not in lexicon().unnamed]


def _answers(use: Use, arguments: Mapping[str, Any]) -> bool:
    """Whether a finished call is this one; what was fetched beforehand has no arguments and is known by its result."""
    if use.result is None and not use.failed:
        return False
    if not use.arguments and arguments:
        product_id = arguments.get("product_id")
        if product_id is not None:
            return bool(use.data.get("product_id") == product_id)
        fetched = len(use.data.get("orders") or ())
        return (
            use.tool == "order_history"
            and "query" not in arguments
            and (arguments.get("limit", 0) <= fetched or use.data.get("found") == fetched)
        )
    return dict(use.arguments) == dict(arguments)


def _bounded(value: Any, rule: Mapping[str, Any]) -> Any:
    if rule.get("type") == "string":
        return str(value)[: int(rule.get("maxLength") or 200)]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = rule.get("minimum"), rule.get("maximum")
        bounded = value if low is None else max(low, value)
        bounded = bounded if high is None else min(high, bounded)
        return int(bounded) if rule.get("type") == "integer" else bounded
    return value
