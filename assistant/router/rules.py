"""First stage of the router: patterns that are sure. Silent when none or several speak.

Each pattern states a wording that means one intent only; everything else is left to the classifier.
"""

# ruff: noqa: E501 (one pattern a line)
from __future__ import annotations

import re

_PATTERNS: tuple[tuple[str, str], ...] = (
    ("account_memory", r"\b(remember|don'?t forget|keep in mind|note down|make a note) (that|this|i|my|we|our)\b"),
    ("account_memory", r"\bforget (that (i|my|we|our|she|he)|what|about (my|the fact)|my)\b|\bwhat do (you|u) (remember|know) (about|abt) me\b"),
    ("auto_buy", r"\bauto[- ]?buy\b|\b(buy|order|get|purchase)\b.{0,60}\b(automatically|for me (if|when|once|as soon))\b"),
    ("auto_buy", r"(?<!\bif i )(?<!\bif we )\b(buy|order|purchase) (it|this|that|one|them|two|\d+)\b.{0,40}\b(if|when|once|as soon as)\b"),
    ("auto_buy", r"\bbuy\b.{0,40}\bat \d+ ?(%|percent) off\b"),
    ("price_alert", r"\b(alert|notify|tell|ping|text|message|warn|let)\b( me| us)?( know)?\b.{0,50}\b(price|drops?|below|under|cheaper|sale|falls?)\b"),
    ("price_alert", r"\bprice (alert|watch|alarm)\b"),
    ("price_history", r"\bprice (history|trend|chart|over time)\b|\b(price|cost)\b.{0,40}\b(last|past|over the)\b.{0,20}\b(days?|weeks?|months?|year)\b"),
    ("price_history", r"\b(ever been|been any|was (it|this|that)( any| ever)?|(was|were) (these|those)) (cheaper|discounted|on sale|less)\b"),
    ("price_history", r"\b(cheaper|discounted|on sale|lowest|marked down)\b.{0,30}\b(last|past|within|in)\b.{0,15}\b(days?|weeks?|months?)\b"),
    ("reorder", r"\b(re-?order|re-?stock|buy again|order again|same\b.{0,40}\b(as )?(last time|again|before))\b"),
    ("reorder", r"\b(order|buy|get)\b.{0,60}\b((i|we) (looked at|viewed|browsed|bought|ordered|used)|again)\b"),
    ("order_status", r"\b(where('?s| is| are)|track|status of|eta (of|for))\b.{0,40}\b(order|purchase|package|parcel|delivery)\b"),
    ("order_status", r"\bmis? (?:\w+ )?pedidos?\b|\bcu[aá]ndo (?:compr[eé]|ped[ií])\b|\bo\d{6,}\b"),
    ("returns_refunds", r"\bdevolver\w*\b|\breembolso\b"),
    ("price_alert", r"\bav[ií]same\b"),
    ("recommendation", r"\bregalos?\b"),
    ("human_agent", r"\bhabla\w* con (?:una persona|alguien|un agente)\b"),
    ("order_status", r"\bhow (often|many times|many orders|much)\b.{0,20}\b(do|did|have) (i|we)\b.{0,20}\b(buy|bought|order|ordered|spend|spent|made|placed)\b"),
    ("order_status", r"\b(order|purchase)\b.{0,20}\bstatus\b|\bmy (previous|past|last|recent) orders?\b"),
    ("order_change", r"\b(cancel\w*|chang\w+|edit\w*|modify\w*|remov\w+|swap\w*|add\w*)\b.{0,40}\b(order|purchase)\b"),
    ("returns_refunds", r"\b(refunds?|return (it|this|that|these|them|an? |the |my ))\b|\bmoney back\b|\bsend (it|this|these|them) back\b"),
    ("delivery", r"\b(shipping|delivery) (address|option|method|cost|fee|time|period)s?\b|\b(do|can) (you|u) (ship|deliver)\b"),
    ("payment", r"\b(payment (method|option|mode|issue|problem)s?|invoices?|bills?\b|pay (by|with))\b"),
    ("account", r"\b(password|log ?in|sign ?up|sign ?in|register|registration|my account|my profile)\b"),
    ("human_agent", r"\b(human|real person|live agent|representative|customer (service|support|assistance)|(speak|talk|chat)\w* (to|with) (a |an |some)?\w*(one|body|agent|person|human))\b"),
    ("human_agent", r"\b(complaint|file a claim)\b"),
    ("deals", r"\b(deals?|promo\w*|coupons?|discount codes?)\b"),
    ("comparison", r"\b(compare|versus|vs\.?|difference between|which (one )?is (better|lighter|cheaper|faster))\b"),
    ("web_lookup", r"\b(search the web|look (it )?up online|on the web|in the news|weather|forecast|magazines?|experts? say|what (do|are) reviewers (say|saying))\b"),
)  # fmt: skip
_COMPILED = tuple((intent, re.compile(pattern, re.I | re.S)) for intent, pattern in _PATTERNS)
_STRONGER = {
    # Where two wordings meet, the more specific one is meant.
    frozenset({"auto_buy", "price_alert"}): "auto_buy",
    frozenset({"auto_buy", "price_history"}): "auto_buy",
    frozenset({"price_alert", "price_history"}): "price_alert",
    frozenset({"order_status", "delivery"}): "order_status",
    frozenset({"order_status", "order_change"}): "order_change",
    frozenset({"account", "account_memory"}): "account_memory",
    frozenset({"reorder", "order_status"}): "reorder",
}


def intent_of(message: str) -> str | None:
    """The one intent these patterns are sure of, or None."""
    found = frozenset(intent for intent, pattern in _COMPILED if pattern.search(message))
    if len(found) == 1:
        return next(iter(found))
    return _STRONGER.get(found)


_NO_INTENT = re.compile(
    r"(?:(?:ok|okay|and|or|maybe|actually|nah|hmm|sorry|rather|better|make that|change that to|them|those|these|just|two|three|four|pairs?|units?|size|in|xs|s|m|l|xl|small|medium|large|the|that|this|a|no|number|option|one|ones|first|second|third|fourth|last|other|cheaper|cheapest|under|below|over|"
    r"above|about|around|up to|at most|between|make it|say|please|instead|it|what|how|i|we|my budget is|is|can't|cannot|could|would|won't|don't want to|go|spend|stretch to|more than|below it|above it|dollars|bucks|[$€£]?\d+(?:[.,]\d+)?)[ ,.!?]*){1,7}",
    re.I,
)
"""A place, a rank or a sum alone: `number 2`, `ok maybe 110`, `and the one below it`."""


def states_no_intent(message: str) -> bool:
    """Whether a message only answers or amends the one before it."""
    return _NO_INTENT.fullmatch(message.strip()) is not None


_COMPLEX_INTENTS = frozenset({"comparison", "recommendation", "web_lookup"})
_COMPLEX_WORDS = re.compile(
    r"\b(plan|compare|versus|vs|everything|budget|kit out|help me (choose|decide|pick)|pros and cons)\b", re.I
)
_LONG_WORDS = 22


def complexity_of(message: str, intent: str) -> str:
    """`complex` when several things must be weighed: by the intent, by such words, or by length."""
    if intent in _COMPLEX_INTENTS or _COMPLEX_WORDS.search(message) or len(message.split()) > _LONG_WORDS:
        return "complex"
    return "simple"
