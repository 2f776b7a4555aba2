"""What a customer wants: a message is parted into its asks, each an act with the words that carry it.

An act is found by the structure of the words (a purchase verb with a condition on the price is an auto-buy, whatever the
rest), first rule first. Words that part a message only do so where an act begins behind them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from emulator.shop_model import corrections, goods, patterns, ranks, slots
from emulator.shop_model.words import Reading, lexicon, stem

_DIMENSIONS = frozenset(
    [
        "wattage",
        "warranty",
        "battery",
        "weight",
        "size",
        "colour",
        "material",
        "capacity",
        "voltage",
        "rpm",
        "speed",
        "dimensions",
    ]
)
"""Words that name a dimension and nothing else."""
_PURPOSE = re.compile(r" for \w+ing\b.*")
_WIDE = ("search", "gift", "plan", "style", "deals", "compare")
"""Acts that a further sentence only narrows: a budget, a wish."""


@dataclass(frozen=True)
class Ask:
    """One thing that a message asks for. `text` is its part of the message in normal form, `raw` the whole message."""

    act: str
    text: str
    raw: str


def asks_of(reading: Reading, *, page: bool, images: int) -> list[Ask]:
    """The asks of a message, in its order; never none."""
    return list(_asks_of(reading, page, images > 0))


@lru_cache(1024)
def _asks_of(reading: Reading, page: bool, images: bool) -> tuple[Ask, ...]:
    """The same, kept: every round of a turn reads its message again, and the one before it."""
    return tuple(_parted(reading, page, images))


def _parted(reading: Reading, page: bool, images: bool) -> list[Ask]:
    text = reading.text
    if (patterns.OTHERS.search(text) and patterns.OWN_THINGS.search(text)) or patterns.OTHERS_RAW.search(reading.raw):
        return [Ask("others_account", text, reading.raw)]
    if any(
        rule.search(said)
        for rule in (patterns.OVERRIDE, patterns.OVERRIDE_MARK)
        for said in (text, reading.raw.lower())
    ):
        return [Ask("override", text, reading.raw)]
    if patterns.UNSAFE.search(text):
        return [Ask("unsafe", text, reading.raw)]
    if (
        slots.person(text)
        and patterns.FOR_THEM.search(text)
        and not (_waits_for_price(text) or patterns.REORDER.search(text) or patterns.ORDERS.search(text))
    ):
        return [Ask("gift", text, reading.raw)]
    text = corrections.corrected(text)
    asks: list[Ask] = []
    kept: list[Ask] = []
    if patterns.LET_GO.search(text):
        return [Ask("let_go", text, reading.raw)]
    if not patterns.RECALL.search(text) and (match := patterns.REMEMBER.search(text)):
        # What is to be remembered may read like anything: it is one ask to its end, or from the beginning.
        if patterns.NOTHING_MORE.match(text, match.end()):
            return [Ask("remember", text, reading.raw)]
        kept = [Ask("remember", text[match.start() :], reading.raw)]
        if further := patterns.FURTHER.search(text, match.end()):
            after = asks_of(Reading(reading.raw, text[further.end() :], reading.spanish), page=page, images=int(images))
            kept = [Ask("remember", text[match.start() : further.start()], reading.raw), *after]
        text = re.sub(r"(?:\b(?:and|also|please|then|oh)\b|[ ,.;])+$", "", text[: match.start()])
        if len(text.split()) < 3:
            return kept
    parts = _conditioned([part.strip(" ,") for part in patterns.SPLIT.split(text) if part.strip(" ,")])
    for part, act in (piece for whole in parts for piece in _each_good(whole, page, images)):
        weak = _pads(act, part)
        if asks and act == "search" and asks[-1].act in _WIDE and _only_narrows(part):
            asks[-1] = Ask(asks[-1].act, f"{asks[-1].text} , {part}", reading.raw)
        elif asks and (weak or _pads(asks[-1].act, asks[-1].text) or asks[-1].act in ("yes", "no")):
            last = asks.pop()
            before = _pads(last.act, last.text) or last.act in ("yes", "no")
            context = not before or _sets_scene(last)
            joined = f"{last.text} , {part}" if context else part
            asks.append(Ask(act if before else last.act, joined, reading.raw))
        else:
            asks.append(Ask(act, part, reading.raw))
    asks = _joined(asks)
    if [ask.act for ask in asks] == ["search"] and _of_occasion(asks[0].text):
        asks = [Ask("plan", asks[0].text, reading.raw)]  # `we have a newborn , is there anything you suggest`
    if (
        [ask.act for ask in asks] in (["none"], ["told"], ["hello"])
        and slots.names_goods(text)
        and not kept
        and len(parts) > 1
    ):
        asks = [Ask("search", text, reading.raw)]  # a story that names goods and asks for help
    return [*asks, *kept] or [Ask("none", text, reading.raw)]


def _only_narrows(part: str) -> bool:
    """Whether a sentence behind a look for goods names none of its own: `under 50`, `I need a new one by friday`."""
    return not slots.things(part) or (not slots.names_goods(part) and patterns.ANY_ONE.search(part) is not None)


def _of_occasion(text: str) -> bool:
    return not slots.names_goods(text) and slots.occasion(text) is not None and patterns.SEEK.search(text) is not None


def _sets_scene(ask: Ask) -> bool:
    """Whether words before an ask say what it is about: a place among those shown, a rank, goods, an occasion, a person."""
    if patterns.PLACE.search(ask.text) or ranks.named(ask.text) or slots.names_goods(ask.text):
        return True
    return slots.occasion(ask.text) is not None or slots.person(ask.text) is not None


def _pads(act: str, part: str) -> bool:
    """Whether a part asks for nothing by itself: a greeting, a story, words that look for no goods."""
    if act == "off_topic":
        return patterns.IMPERATIVE.match(part) is None
    return act in ("none", "thanks", "hello", "told") or (
        act == "search" and not slots.names_goods(part) and not patterns.SEEK.search(part)
    )


def _each_good(part: str, page: bool, images: bool) -> list[tuple[str, str]]:
    """A part with its act; `add a tent and a sleeping bag to my cart` is two: each side of the `and` names goods."""
    act = _act(part, page, images)
    pieces = patterns.AND.split(part) if act in ("cart", "search") else [part]
    verb = patterns.VERB.match(part) if len(pieces) > 1 else None
    if verb is None or not all(slots.names_goods(piece) for piece in pieces):
        return [(part, act)]
    named = [pieces[0], *(f"{verb[0]} {piece}" for piece in pieces[1:])]
    return [(piece, _act(piece, page, images)) for piece in named]


def _conditioned(parts: list[str]) -> list[str]:
    """The parts, those that are one ask together: `when it's 10% off, buy it`, `the second one, is it in stock`."""
    joined: list[str] = []
    for part in parts:
        if joined and _one_ask(joined[-1], part):
            joined[-1] = f"{joined[-1]} , {part}"
        else:
            joined.append(part)
    return joined


def _one_ask(before: str, part: str) -> bool:
    """Whether a part only says what, when or which of the part before."""
    priced = slots.wanted_price(before).known
    if patterns.CONDITION.match(before) and (priced or patterns.CHEAPER.search(before)):
        return True
    if (
        patterns.WATCHED.match(before)
        and not priced
        and patterns.NOTIFY.search(part)
        and slots.wanted_price(part).known
    ):
        return True
    if re.search(r"\bor\b", before) and re.match(
        r"(?:which|what is better)\b", part
    ):  # `tea or coffee , which one is better`
        return True
    return bool(
        patterns.POINTED.fullmatch(before)
        or (patterns.ONE_OF.fullmatch(before) and not slots.names_goods(before) and not slots.names_goods(part))
        or (patterns.ONCE_OURS.match(before) and patterns.AGAIN.search(part))
    )


def _waits_for_price(text: str) -> bool:
    """Whether words wait for a price."""
    return slots.wanted_price(text).known and bool(patterns.WAIT.search(text))


def _joined(asks: list[Ask]) -> list[Ask]:
    if [ask.act for ask in asks] == ["search", "return"] and not slots.names_goods(asks[1].text):
        return [
            Ask("return", f"{asks[0].text} , {asks[1].text}", asks[0].raw)
        ]  # `the shelf wobbles, I want my money back`
    """A plan, a gift or a look for options is one ask, however many sentences tell of it."""
    wide = next((ask.act for ask in asks if ask.act in ("plan", "gift", "style")), None)
    if wide and all(ask.act in (wide, "search", "none", "web", "fact", "deals") for ask in asks):
        return [Ask(wide, " , ".join(ask.text for ask in asks), asks[0].raw)]
    if {ask.act for ask in asks} == {"orders", "return"}:  # `the blender I bought is broken, I want my money back`
        return [Ask("return", " , ".join(ask.text for ask in asks), asks[0].raw)]
    waits_to_buy = [ask.act for ask in asks] == ["alert", "cart"]  # `wait until it is 10% cheaper, then buy it`
    if waits_to_buy and not slots.names_goods(asks[1].text):
        return [Ask("auto_buy", f"{asks[0].text} , {asks[1].text}", asks[0].raw)]
    return asks


_LEAD = re.compile(r"^(?:(?:fine|alright|ok|okay|hmm|um|uh|well|so) (?:, )?)+(?=\w+ \w)")
"""Words that open a sentence and say nothing."""


def _act(text: str, page: bool, images: bool) -> str:
    text = _LEAD.sub("", text)
    if patterns.NOT_TO.search(text) and not patterns.STOP_ORDER.search(text):
        # `don't buy it, just tell me the price`: what is left is what is wanted
        rest = patterns.NOT_CLAUSE.sub(" ", text).strip(" ,")
        return _act(rest, page, images) if len(rest.split()) > 2 and not patterns.NOT_TO.search(rest) else "no"
    return (
        _priced(text, page)
        or next((act for act, rule in _RULES if rule(text)), None)
        or _of_a_look(text, images)
        or _of_times_and_places(text, page)
        or _of_what_is_sold(text, page)
        or _of_one_product(text, page)
        or _of_goods(text, page)
    )


def _here(text: str, page: bool) -> bool:
    """Whether there is a product that `this` can be."""
    return page or bool(patterns.THIS.search(text))


def _about_one(text: str, page: bool) -> bool:
    """Whether one of the things that were shown is meant."""
    return bool(
        _here(text, page)
        or re.search(r"\b(?:that|those)\b", text)
        or patterns.PLACE.search(text)
        or ("the " in text and not _open_world(text))
    )


def _of_a_look(text: str, images: bool) -> str | None:
    if (more := patterns.RELATIVE.match(text)) and slots.names_goods(more["goods"]):
        return "search"
    if patterns.TO_GO_WITH.match(text) and slots.names_goods(text):
        return "search"
    looks = patterns.SEEK.search(text) is not None and slots.names_goods(text)  # `a lamp like the one in the photo`
    if (images or "photo" in text) and looks and not patterns.STYLE.search(text.replace("photo", "")):
        return "search"
    if images or (patterns.STYLE.search(text) and not slots.wanted_price(text).known):
        return "style"
    ranked = patterns.RANKED_GOODS.match(text) and slots.names_goods(text)
    return "search" if ranked and not re.search(r"\b(?:been|was|ever|price|it)\b", text) else None


def _of_times_and_places(text: str, page: bool) -> str | None:
    """What prices were, what the world outside knows, what an occasion needs."""
    if patterns.HISTORY.search(text) or patterns.SPAN.fullmatch(text):
        return "history"
    if patterns.POINTED.fullmatch(text) and not (page and another(text)):
        return "none"
    if not patterns.THIS.search(text) and (
        patterns.HOW_TO.match(text) or (patterns.WEB.search(text) and (_open_world(text) or patterns.HOW.search(text)))
    ):
        return "web"
    if not page and patterns.IMPERSONAL.search(text):
        return "web"
    planned = patterns.PLAN.search(text) and slots.occasion(text) is not None
    return "plan" if planned and not patterns.THIS.search(text) else None


def _of_what_is_sold(text: str, page: bool) -> str | None:
    """Deals, stock, prices."""
    if patterns.DEALS.search(text):
        return "history" if _here(text, page) and not re.search(r"\bdeals\b|\boffers\b", text) else "deals"
    if patterns.AVAILABLE.search(text):
        return "available"
    # `a replacement that won't cost more than 80`
    budget = slots.max_price(text) is not None and patterns.SEEK.search(text)
    return "price" if patterns.PRICE.search(text) and not _asks_trait(text) and not budget else None


def _of_one_product(text: str, page: bool) -> str | None:
    """A fact of what is shown, and what customers tell of themselves."""
    if (
        _asks_trait(text)
        and patterns.FACT.search(text)
        and _about_one(text, page)
        and not re.search(r"\b(?:recommend\w*|suggest\w*|options|replacement|point me to)\b", text)
    ):
        return "fact"
    if another(text):
        return "search"
    if page and not slots.names_goods(text) and _asks_dimension(text) and not patterns.SEEK.search(text):
        return "fact"
    more = patterns.MORE_OF.search(text) and (_here(text, page) or patterns.PLACE.search(text))
    if _terse_trait(text) or more:
        return "fact"
    return "told" if patterns.TOLD.match(text) and _tells(text) else None


def _of_goods(text: str, page: bool) -> str:
    """A comparison, a search, a purchase; `none` where no goods are named."""
    here = _here(text, page)
    if _either(text):
        return "compare"
    if patterns.SEEK.search(text) is None and _of_whom(text) and slots.things(text):
        return "plan"
    if patterns.SEARCH.search(text) and not (here and re.match(r"(?:is|are|does|do|can|will|has|have|how)\b", text)):
        return "search"
    if patterns.FACT.search(text) and here:
        return "fact"
    if patterns.BUY.search(text) and not re.match(r"(?:how|what|which|who|why|when|did|have|has)\b", text):
        return "cart"
    if patterns.PLAN.search(text) and slots.occasion(text) is not None:
        return "plan"
    if patterns.FACT.match(text) and slots.things(text):
        return _of_a_question(text, page)
    strange = len(slots.things(text)) > 3 and not slots.names_goods(text)  # of a language that is not read, for one
    if not slots.things(text) or strange or (patterns.SPEAKS.search(text) and not slots.names_goods(text)):
        return "none"
    return "search"


def _of_whom(text: str) -> bool:
    """Whether a sentence names an occasion and no goods: `first time camping with the kids`."""
    if len(text.split()) < 4 or slots.max_price(text) is not None or slots.occasion(text) is None:
        return False
    known = lexicon()
    return not any(word in known.goods and word not in known.needs for word in slots.things(text))


def _of_a_question(text: str, page: bool) -> str:
    if _about_one(text, page):
        return "fact"
    if re.match(r"(?:what|who|how|why|when)\b", text) and _open_world(text):
        return "web"
    return "search" if slots.names_goods(text) or patterns.SEEK.search(text) else "none"


def _either(text: str) -> bool:
    """Whether two things are named with an `or` between them, and nothing is looked for: `a blanket or a mattress`."""
    sides = _PURPOSE.sub("", text).split(" or ")
    if len(sides) == 2 and goods.describes(sides[0]) and not goods.describes(sides[1]):
        sides[0] = sides[1]  # `corded or cordless drill`
    wanted = patterns.SEEK.search(text) or patterns.BUY.search(text) or slots.max_price(text) is not None
    return len(sides) == 2 and all(slots.names_goods(side) for side in sides) and not wanted and len(text.split()) < 14


def _tells(text: str) -> bool:
    """Whether a sentence about the customer asks for nothing: no price, no goods looked for."""
    named = slots.names_goods(text) and "no longer" not in text
    return not (named or "?" in text or patterns.SEEK.search(text) or slots.max_price(text) is not None)


def _asks_dimension(text: str) -> bool:
    return not lexicon().trait_asks.isdisjoint(re.findall(r"[a-z][a-z-]*", text))


def _terse_trait(text: str) -> bool:
    """A dimension alone, as a question: `warranty?`, `drill wattage?`."""
    words = re.findall(r"[a-z][a-z-]*", text)
    return 0 < len(words) <= 3 and words[-1] in _DIMENSIONS and (words[-1] != "size" or len(words) == 1)


def _open_world(text: str) -> bool:
    """A question about the world, and not about goods: it names nothing that is known to be sold."""
    sold = lexicon().goods
    return not any(word in sold or stem(word) in sold for word in slots.things(text))


def _priced(text: str, page: bool) -> str | None:
    """`auto_buy` or `alert`, where the words wait for a price; None where they do not."""
    wanted = slots.wanted_price(text)
    waits, cheaper = bool(patterns.WAIT.search(text)), bool(patterns.CHEAPER.search(text))
    buys = re.search(r"\b(?:buy|buying|ordering|order|get|take|checkout|pick|auto-buy)\b", text)
    here = page or bool(patterns.THIS.search(text))
    if (patterns.QUESTION.match(text) and not patterns.ONCE.match(text)) or re.match(
        r"(?:is|are|was|were|has|have|does|did)\b", text
    ):
        return None
    if (
        patterns.NOTIFY.search(text)
        and (wanted.known or cheaper)
        and (waits or wanted.known or re.search(r"\balert\b|\bnotify\b", text))
    ):
        return "alert"
    if buys and ((waits and (wanted.known or cheaper)) or (wanted.ratio is not None)):
        return "auto_buy"
    if buys and wanted.known and re.search(r"\b(?:at|under|below|for) " if here else r"\bat [$€£]? ?\d", text):
        return "auto_buy"
    if re.search(r"\bauto[- ]?buy\b|\bautomatic\w*\b.*\bbuy\b|\bbuy\b.*\bautomatic\w*\b", text):
        return "auto_buy"
    if (
        re.search(r"\b(?:price )?notify\b|\bprice alert\b", text)
        and (here or slots.things(text))
        and re.search(r"\bprice\b|\bnotify\b", text)
    ):
        return "alert" if re.search(r"\bprice\b|\bdrops?\b|\bsale\b|\bcheaper\b", text) else None
    return "alert" if waits and wanted.known and re.search(r"\bwait\b|\bdrops?\b|\bfalls?\b", text) and here else None


def _asks_trait(text: str) -> bool:
    return not lexicon().trait_words.isdisjoint(re.findall(r"[a-z][a-z-]*", text))


def _reorders(text: str) -> bool:
    return bool(patterns.REORDER.search(text)) and not patterns.QUESTION.match(text)


def _orders(text: str) -> bool:
    return bool(patterns.ORDERS.search(text)) and not patterns.HISTORY.search(text)


def _returns(text: str) -> bool:
    return bool(patterns.RETURN.search(text)) and not re.search(r"\bpolicy\b|\bcan (?:i|you)\b.*\bif\b", text)


_RULES: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("self", patterns.SELF.search),
    ("human", patterns.HUMAN.search),
    ("checkout", patterns.CHECKOUT.search),
    ("rules", patterns.RULES_OF_MINE.search),
    ("policy", patterns.POLICY.search),
    ("no_stock_alert", lambda text: patterns.WATCHES_STOCK.search(text) and not slots.wanted_price(text).known),
    ("no", lambda text: patterns.NEVER_MIND.match(text) and not slots.names_goods(text)),
    ("out_of_cart", lambda text: patterns.OUT_OF_CART.search(text) and not re.search(r"\border\b", text)),
    ("forget", lambda text: patterns.FORGET.search(text) and not text.startswith("forget it")),
    ("recall", patterns.RECALL.search),
    ("cancel", patterns.CANCEL.search),
    ("return", _returns),
    ("reorder", _reorders),
    ("change", lambda text: patterns.CHANGE.search(text) and "order" in text),
    ("cart_view", patterns.CART_VIEW.search),
    ("cart", patterns.CART.search),
    ("off_topic", patterns.OFF_TOPIC.search),
    ("gift", patterns.GIFT.search),
    ("compare", lambda text: patterns.WHICH.match(text) and ranks.named(text) and not slots.names_goods(text)),
    ("reviews", lambda text: patterns.REVIEWS.search(text) and not patterns.RATED.search(text)),
    ("web", lambda text: re.search(r"\bdifferences? between\b", text) and slots.things(text) and _open_world(text)),
    ("compare", lambda text: patterns.COMPARE.search(text) and not patterns.HISTORY.search(text)),
    ("orders", _orders),
    ("thanks", lambda text: patterns.THANKS.match(text) and not slots.things(text)),
    ("yes", lambda text: patterns.YES.match(text) and not slots.things(text)),
    ("no", lambda text: patterns.NO.match(text) and not slots.things(text)),
    ("hello", lambda text: patterns.HELLO.match(text) and not slots.things(text)),
)


def another(text: str) -> bool:
    """Whether words want another product than what is in view: `anything cheaper`, `is there a better one`."""
    return patterns.ANOTHER.fullmatch(text.strip(" ,.?!")) is not None


def points_at_one(text: str) -> bool:
    """Whether words are nothing but a place or a rank among what was shown: `what about the second one`."""
    return patterns.POINTED.fullmatch(text.strip(" ,.?!").removesuffix(" please")) is not None


def points_at_this(text: str) -> bool:
    """Whether the words point at something that is in view: this, these, it."""
    return bool(patterns.THIS.search(text))
