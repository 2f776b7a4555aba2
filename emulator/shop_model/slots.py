"""What a message names: prices and shares, quantities, days, moments, and the words to search by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import zip_longest

from emulator.shop_model.words import lexicon, number, stem

_MONEY = r"(?:[$€£¥] ?(?P<n1>\d+(?:[.,]\d+)*)|(?P<n2>\d+(?:[.,]\d+)*) ?(?:dollars?|usd|euros?|eur|pounds?|gbp|yen|jpy|[$€£¥]))"
_SET = re.compile(
    rf"\b(?:make|set|change) (?:it|that|this|them)(?: to| at| for)? (?:{_MONEY}|(?P<n3>\d+(?:[.,]\d+)*)(?! ?(?:%|percent|days?|weeks?|months?|of|x|pieces?|units?|packs?)))"
)
NOT = re.compile(
    r"\b(?:not|except|without|other than|anything but|apart from|isn't|aren't|leave out|no(?! (?:more|less|longer|wait|one|need|idea|clue|rush|problem|joke)\b)|"
    r"hates?|dislikes?|(?:doesn't|don't|do not|does not) (?:like|want|need|drink|eat|wear|use))\b"
    r" (?:about |over |under |(?:a|an|any|the|in|of|more|too) )*(?P<what>[a-z][a-z-]*(?: (?:or|nor) (?:in |a |an )?[a-z][a-z-]*)*)"
)
"""What is expressly not meant: `that is not coffee`, `without wires`, `not black or white`."""
_PERCENT = re.compile(r"(\d+(?:[.,]\d+)?) ?(?:%|percent\b)")
_HALF = re.compile(r"\bhalf (?:the |its |their )?(?:price|off|cost)|\bat half\b|\bhalf price\b")
_THIRD = re.compile(
    r"\b(?:a|one) (third|quarter|fifth) (?:off|cheaper|less|lower)|\bby (?:a|one) (third|quarter|fifth)\b"
)
_TARGET = re.compile(
    r"\b(?:notify(?: me)?|drops?|falls?|goes|go|get|gets|dips?|comes?|sinks?|is|are|costs?|hits?|reach(?:es)?|priced|price|down|for|at|if|when)"
    r"(?: (?:it|they|the|price|is|are|down|drops?|falls?|goes|gets?|ever|be|at|to|below|under|beneath|than|less|around|or|lower|until|till))*"
    rf" (?:{_MONEY}|(?P<n3>\d+(?:[.,]\d+)*)(?! ?(?:%|percent|days?|weeks?|months?|hours?|of|x|pieces?|units?)))"
)
_HEDGE = r"(?: (?:about|around|maybe|roughly|say|like|something like|probably|a bit over|to))*"
_UNDER = re.compile(
    r"\b(?:under|highest(?= \d)|below|beneath|less than|cheaper than|up to|at most|max(?:imum)?(?: of)?|within|budget(?: is| of| for [a-z ]+? is)?|limit(?: is| of)?|"
    r"(?:no|not|n't|never|nothing|without|won't|can't|don't|doesn't|cannot|shouldn't|isn't)(?: \w+){0,3} (?:more than|over|above|past|beyond|exceed(?:ing)?)|"
    r"spend|have|stretch|go|manage|afford|pay|around|about|by|lower than|like(?= (?:[$€£] ?\d|\d+ ?(?:dollars|[$€£]))))"
    rf"{_HEDGE} (?:{_MONEY}|(?P<n3>\d+(?:[.,]\d+)*)(?! ?(?:%|percent|days?|weeks?|months?|minutes?|hours?|inch|am|pm)))"
)
_OFF = re.compile(
    rf"\b(?:drops?|falls?|goes down|comes down|dips?|reduced|cheaper|down|lower) by {_MONEY}|{_MONEY.replace('n1', 'o1').replace('n2', 'o2')} (?:off|less|cheaper|lower|down)\b|"
    r"\b(?P<o3>\d+(?:[.,]\d+)*) (?:off|less|cheaper|lower)\b"
)
"""An amount off today's price: `drops by ten dollars`, `$10 cheaper`."""
_OR_LESS = re.compile(
    rf"(?:{_MONEY}|\b(?P<n3>\d+(?:[.,]\d+)*))(?: or (?:less|under|cheaper|below|lower)\b| (?:max|maximum|tops|budget|limit|at most|to spend|(?:in )?total|altogether)\b)"
)
_BETWEEN = re.compile(
    r"\b(?:between|from) [$€£]? ?(\d+(?:[.,]\d+)*) ?(?:dollars|euros?|[$€£])? ?(?:and|to|-) [$€£]? ?(\d+(?:[.,]\d+)*)(?! ?(?:days?|weeks?|months?))|"
    r"(?<![\w.-])[$€£]? ?(\d{2,5}(?:[.,]\d+)?) ?(?:-|to) ?[$€£]? ?(\d{2,5}(?:[.,]\d+)?)(?![\w-]| ?(?:days?|weeks?|months?|years?|inch|hours?|%))"
)
_OVER = re.compile(
    r"\b(?:over|above|more than|at least) [$€£]? ?(\d+(?:[.,]\d+)*)(?! ?(?:%|percent|days?|weeks?|months?|hours?))"
)
_TOGETHER = re.compile(
    r"\b(?:for (?:both|all|(?:the )?(?:two|three|four|five|six|\d))|altogether|all together|together|in total|in all|total|combined|for the lot)\b"
)
_ALTOGETHER = re.compile(rf"(?:{_MONEY}|\b(?P<n3>\d+(?:[.,]\d+)*)) {_TOGETHER.pattern}")
_DAYS = re.compile(r"\b(\d{1,3}|a|one|two|three|four|five|six|past|last|this|the) ?(day|week|month|quarter|year)s?\b")
_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_COUNT = {"a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_LENGTH = {"day": 1, "week": 7, "month": 30, "quarter": 90, "year": 365}
_QUANTITY = re.compile(
    r"\b(?:x ?)?(\d{1,4}|two|three|four|five|six|seven|eight|nine)(?: ?x\b| (?:of|more|pairs?|packs?|units?|pieces?|copies|bottles?|boxes|bags|cans)\b)"
)
_CONTAINER = re.compile(
    r"\b(?:\d{1,3}|a|an|one|two|three|four|five|six|seven|eight|nine) (?:bags?|boxes|box|bottles?|cans?|packs?|pairs?|tubs?|jars?|rolls?|tubes?) of\b"
)
"""`2 bags of the dark beans`: how many, and no bags."""
_QUANTITY_FIRST = re.compile(
    r"(?:\b(?:buy|add|put|order|get|want|need|take|have|reserve)(?: me)?|^) (?:only |just )?(\d{1,4}|two|three|four|five|six|seven|eight|nine)"
    r"(?! ?(?:%|percent|dollars|days?|weeks?|months?|years?|inch|w\b|v\b|[.,]\d|[$€£]))\b"
)
_DOZEN = re.compile(r"\b(half a|a|one|two|2|three|3)? ?dozens?\b|\b(a) couple\b")
NUMBERS = {**_COUNT, "seven": 7, "eight": 8, "nine": 9}
_WHEN = re.compile(
    r"\b(yesterday|today|this morning|(?:last|this) (?:week|month)|(?:last|past) \d{1,3} (?:day|week|month)s?|"
    r"(?:\d{1,3}|a|an|one|two|three|four) (?:day|week|month)s? ago|"
    r"(?:last|on) (?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)|"
    r"january|february|april|june|july|august|september|october|november|december|(?:in|last) (?:march|may))\b"
)
_CURRENCIES = {
    "$": "USD",
    "dollar": "USD",
    "€": "EUR",
    "euro": "EUR",
    "£": "GBP",
    "pound": "GBP",
    "¥": "JPY",
    "yen": "JPY",
}
_CURRENCY = re.compile(r"[$€£¥]|\b(?:dollar|euro|pound|yen)")

# Words that name no thing: they steer, they are not searched by.
IDLE = frozenset(
    """
    sorry useless rubbish forever fancy wld shout morning evening afternoon fine alright awesome brilliant lovely cheers steep though only haha fair cheers often times said did mate mates dude bro sir madam dear buddy hun folks guys kindly sharpish asap rn tops probably definitely anyhow fella
    differences showed shown favourite favorite dozen dozens another can't cannot won't wouldn't couldn't shouldn't isn't aren't haven't hasn't doesn't we're we'd we'll he's she's meant mean meaning haha lol hmm oh old a about actually broken cheapest expensive damaged defective fair received spent wrong add auto-buy bye he she never nothing changed should wait previous far history recent again ago all already also altogether am an and any anyone anything are around arrive arrives as ask
    asking at available be been before below best better between both bought bring browse browsed bucks budget but buy
    buyers buying by can cart cheap cheaper cheapest check checkout color compare compares comparison confirm
    confirmation confirmed cost costs could couple currently customer customers day days deal deals decent deliver
    delivery did didn't difference discount discounted do does dollars don't drop drops during each else euros ever
    every everything fall falls fast few find fit fits five for four from get gets getting gift gifts give go goes
    going good got great had half has have having hello help helping her here hers hey hi him his history hit hits
    how i i'd i'll i'm i've idea ideal ideas if in instead interested into is it it's item items its just kind know
    last lately less let like liked list little look looking looks lot love lowest made make makes making many match
    max maybe me might mind mine month months more most much must my myself need needs new nice no not notify now of
    off offer offers ok okay on once one ones only option options or order order's ordered orders other our out
    outfit over own pack packs page pair pairs past people percent perfect photo pick place plan planned planning
    please possible present presents price prices product products purpose put quick quickly rate rated reach
    reaches really recently recommend recommendation recommendations reorder restock return review reviews right
    sale same say search see sell set shade ship shipped shipping show similar since so solid some somebody someone
    someone's something sort spend stock store stuff such suggest suggestion suggestions suitable sure take tell
    tempted than thank thanks that the their them then there these they they're thing things think this those three
    time to today too top total trend trip try two under until up upcoming us use used usual versus very viewed want
    wanted was way we wear week weekend weeks well were what whats when when's where whether which while who whole
    why will wish with within without worth would wouldn't year year's yes yesterday yet you your
    """.split()  # noqa: SIM905 (a list of words reads as words)
)
_AGED = re.compile(r"\b(\d{1,3})[ -](year|month)s?[ -]old\b")
_AN_ID = re.compile(r"[cop]\d{3,}$")
_WORD = re.compile(r"[a-z][a-z0-9]*(?:[-'][a-z0-9]+)*|\d+[a-z]+")


@dataclass(frozen=True)
class Wanted:
    """The price a customer waits for: an amount, a share off today's, or an amount off. All None: no figure was named."""

    price: float | None = None
    ratio: float | None = None
    off: float | None = None

    @property
    def known(self) -> bool:
        """Whether a figure was named."""
        return self.price is not None or self.ratio is not None or self.off is not None


def wanted_price(text: str) -> Wanted:
    """The target of an alert or a purchase."""
    if match := _PERCENT.search(text):
        ratio = number(match[1]) / 100
        return Wanted(ratio=round(ratio, 4)) if 0 < ratio < 1 else Wanted()
    if _HALF.search(text):
        return Wanted(ratio=0.5)
    if match := _THIRD.search(text):
        return Wanted(ratio={"third": 0.3333, "quarter": 0.25, "fifth": 0.2}[match[1] or match[2]])
    if match := _OFF.search(text):
        return Wanted(off=number(next(filter(None, match.groups()))))
    for pattern in (_SET, _TARGET, _UNDER, _OR_LESS):
        if match := pattern.search(text):
            return Wanted(price=_amount(match))
    return Wanted()


def without_price(text: str) -> str:
    """The words without the price that they wait for."""
    for pattern in (_PERCENT, _HALF, _THIRD, _OFF, _TARGET, _UNDER, _OR_LESS):
        text = pattern.sub(" ", text)
    return " ".join(text.split())


def negative(text: str) -> bool:
    """Whether a figure below zero, or zero, is named."""
    return (
        re.search(r"(?<![\w.])-\s?\d|\bminus \d|\b(?:at|for|to|below|under|hits) [$€£¥]? ?0(?:\.0+)?\b(?![.\d])", text)
        is not None
    )


def max_price(text: str) -> float | None:
    """The most a customer wants to spend."""
    if between := _BETWEEN.search(text):
        return number(between[2] or between[4])
    match = _UNDER.search(text) or _OR_LESS.search(text)
    if match is None:
        return None
    return round(_amount(match) / quantity(text), 2) if in_total(text) else _amount(match)


def in_total(text: str) -> bool:
    """Whether an amount is for all pieces together: `two pillows under 50 for both`."""
    return quantity(text) > 1 and _TOGETHER.search(text) is not None


def most_in_all(text: str) -> float | None:
    """The most that several pieces may cost together, where that is said beside another price."""
    match = _ALTOGETHER.search(text)
    return _amount(match) if match else None


def _amount(match: re.Match[str]) -> float:
    groups = match.groupdict()
    return number(groups["n1"] or groups["n2"] or groups.get("n3") or "0")


def currency(text: str) -> str | None:
    """The currency that a message names, by its ISO code."""
    match = _CURRENCY.search(text)
    return _CURRENCIES[match[0]] if match else None


def days(text: str, default: int = 30) -> int:
    """How far back prices are asked for."""
    spans = [
        _COUNT.get(count, 1 if not count.isdigit() else int(count)) * _LENGTH[unit]
        for count, unit in _DAYS.findall(text)
    ]
    return max(spans, default=default)


def quantity(text: str) -> int:
    """How many; 1 where no number is named."""
    if dozen := _DOZEN.search(text):
        return 2 if dozen[2] else {"half a": 6, "two": 24, "2": 24, "three": 36, "3": 36}.get(dozen[1] or "a", 12)
    match = _QUANTITY.search(text) or _QUANTITY_FIRST.search(f" {text}")
    if match is None:
        return 1
    return NUMBERS.get(match[1]) or max(1, int(match[1]))


def without_moment(text: str) -> str:
    """The words without when something was."""
    return " ".join(re.sub(rf"(?:\b(?:in|on) )?{_WHEN.pattern}", " ", text).split())


_BUYS = re.compile(r"\b(?:buy|order|get|take|auto-buy|purchase)\b")


def buys(text: str) -> bool:
    """Whether words buy."""
    return _BUYS.search(text) is not None


def without_quantity(text: str) -> str:
    """The words without how many they want."""
    text = _QUANTITY.sub(" ", _DOZEN.sub(" ", text))
    first = _QUANTITY_FIRST.search(f" {text}")
    return " ".join((f" {text}"[: first.start(1)] + f" {text}"[first.end(1) :]).split() if first else text.split())


def count(word: str) -> int:
    """A number in figures or as a word up to nine."""
    return int(word) if word.isdigit() else NUMBERS[word]


def moment(text: str) -> str | None:
    """When something was bought or looked at, in the customer's words."""
    match = _WHEN.search(text)
    return match[1] if match else None


def span(text: str, today: date) -> tuple[date, date] | None:
    """The days that a moment names: first and last, both included; None where it names none that is counted here."""
    named = moment(text)
    if named is None:
        return None
    if named in ("yesterday", "today", "this morning"):
        day = today - timedelta(days=int(named == "yesterday"))
        return day, day
    monday = today - timedelta(days=today.weekday())
    if named == "last week":
        return monday - timedelta(days=7), monday - timedelta(days=1)
    if named == "last month":
        end = today.replace(day=1) - timedelta(days=1)
        return end.replace(day=1), end
    if named.startswith("this "):
        return (monday if named.endswith("week") else today.replace(day=1)), today
    if match := re.match(r"(?:last|past) (\d+) (day|week|month)", named):
        return today - timedelta(days=int(match[1]) * _LENGTH[match[2]]), today
    for word in named.split():
        if word in _MONTHS:
            month = _MONTHS.index(word) + 1
            year = today.year if month <= today.month else today.year - 1
            following = date(year + month // 12, month % 12 + 1, 1)
            return date(year, month, 1), following - timedelta(days=1)
    return None


def min_price(text: str) -> float | None:
    """The least that a customer wants to spend: `between 100 and 200`, `over 50`."""
    match = _BETWEEN.search(text) or _OVER.search(_UNDER.sub(" ", text))
    return number(next(filter(None, match.groups()))) if match else None


def things(text: str) -> list[str]:
    """The words that name what is meant, in order, each once; prices, days and steering words are left out."""
    return list(_things(text))


@lru_cache(1024)
def _things(text: str) -> tuple[str, ...]:
    words = (word.removesuffix("'s") for word in _WORD.findall(stripped(text, " ")))
    return tuple(dict.fromkeys(word for word in words if word not in IDLE and len(word) > 1 and not _AN_ID.match(word)))


def stripped(text: str, instead: str) -> str:
    """A text without prices, shares, days and what is expressly not meant; `instead` stands in the place of each."""
    for pattern in (_CONTAINER, _BETWEEN, _OVER, _OR_LESS, _UNDER, _PERCENT, _WHEN, _DAYS, re.compile(_MONEY), NOT):
        text = pattern.sub(instead, text)
    return text


def names_goods(text: str) -> bool:
    """Whether words name a thing that shops sell."""
    return any(word in lexicon().goods for word in _things(text))


def occasion(text: str) -> tuple[str, list[str]] | None:
    """What is planned, and the things that it takes."""
    needs = lexicon().needs
    for word in _WORD.findall(text):
        if word in needs:
            return word, needs[word]
    return next(((stem(word), needs[stem(word)]) for word in _WORD.findall(text) if stem(word) in needs), None)


def person(text: str) -> str | None:
    """Whom something is for."""
    people = lexicon().people
    if aged := _AGED.search(text):
        years = int(aged[1]) if aged[2] == "year" else 0
        return "baby" if years < 2 else "child" if years < 13 else "teenager" if years < 18 else "someone"
    return next((word.removesuffix("'s") for word in _WORD.findall(text) if word.removesuffix("'s") in people), None)


def liked(facts: str) -> list[str]:
    """What to look for, by what is remembered of someone: of each interest the first, then of each the second."""
    words = _WORD.findall(NOT.sub(" ", facts))
    shelves = [goods for stem_, goods in lexicon().interests.items() if any(word.startswith(stem_) for word in words)]
    return list(dict.fromkeys(thing for row in zip_longest(*shelves) for thing in row if thing))
