"""What the model asks for, message by message: tool calls by round, and how long its answer is.

The emulator plays these plans back (it has no judgement of its own), so that the assistant's calls, tokens and
order of work follow the words of the customer. `$page_product` and `$first_result.FIELD` are filled by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypedDict

from scenarios.utterance_files import Utterance


class Call(TypedDict):
    """One tool call, as the emulator's script holds it."""

    tool: str
    input: dict[str, object]


Rounds = list[list[Call]]
PAGE = "$page_product"
FOUND = "$first_result.product_id"
FOUND_ORDER = "$first_result.order_id"

# Median tokens of a final answer by intent: assumed, in proportion to what such an answer has to say.
ANSWER_TOKENS = {
    "product_question": 90, "comparison": 300, "recommendation": 340, "product_search": 160, "deals": 190,
    "price_history": 90, "price_alert": 60, "auto_buy": 80, "reorder": 110, "order_status": 90, "order_change": 80,
    "delivery": 80, "returns_refunds": 100, "payment": 80, "account": 80, "account_memory": 40, "web_lookup": 260,
    "human_agent": 40, "out_of_scope": 50,
}  # fmt: skip
COMPLEX_FACTOR = 1.4
FOLLOW_UP_FACTOR = 0.7


def plan(intent: str, utterance: Utterance) -> Rounds:
    """Tool calls by round for one utterance.

    Args:
        intent: one of the known intents.
        utterance: its text and marks as in the files of scenarios/utterances.
    """
    if utterance.get("follow_up") and not utterance.get("confirm"):
        return []  # answered from the conversation so far
    make = _PLANS.get(intent)
    return make(utterance) if make else []


def answer_tokens(intent: str, utterance: Utterance) -> float:
    """Median length of the final answer."""
    factor = COMPLEX_FACTOR if utterance["complexity"] == "complex" else 1.0
    return ANSWER_TOKENS[intent] * factor * (FOLLOW_UP_FACTOR if utterance.get("follow_up") else 1.0)


def _call(tool: str, **values: object) -> Call:
    return {"tool": tool, "input": values}


def _subject(utterance: Utterance) -> str:
    """What to search for: the noun when one is marked, else the words themselves."""
    return utterance.get("item", utterance["text"])


def _about(utterance: Utterance, *calls: Callable[[str], Call]) -> Rounds:
    """Calls on the product of the page, or on the first hit of a search made before."""
    if utterance.get("page"):
        return [[call(PAGE) for call in calls]]
    return [[_call("catalogue_search", query=_subject(utterance), limit=3)], [call(FOUND) for call in calls]]


def _details(product: str) -> Call:
    return _call("product_details", product_id=product)


def _reviews(product: str) -> Call:
    return _call("product_reviews", product_id=product)


def _product_question(utterance: Utterance) -> Rounds:
    calls = (_details, _reviews) if utterance["complexity"] == "complex" else (_details,)
    return _about(utterance, *calls)


def _comparison(utterance: Utterance) -> Rounds:
    search = _call("catalogue_search", query=_subject(utterance), limit=5)
    if utterance.get("page"):
        return [[_details(PAGE), search], [_details(FOUND), _reviews(FOUND)]]
    return [[search], [_details(FOUND), _reviews(FOUND), _call("live_price", product_id=FOUND)]]


def _recommendation(utterance: Utterance) -> Rounds:
    search = _call("catalogue_search", query=_subject(utterance), limit=5, **_max_price(utterance["text"]))
    if utterance["complexity"] == "simple":
        return [[search]]
    return [[search, _call("recall", query="sizes, household and tastes")], [_details(FOUND), _reviews(FOUND)]]


def _search(utterance: Utterance) -> Rounds:
    return [[_call("catalogue_search", query=_subject(utterance), limit=5, **_max_price(utterance["text"]))]]


def _deals(utterance: Utterance) -> Rounds:
    prices = [_call("live_price", product_id=FOUND), _call("price_history", product_id=FOUND, days=30)]
    return [*_search(utterance), prices]


def _price_history(utterance: Utterance) -> Rounds:
    days = days_of(utterance["text"])
    past = _about(utterance, lambda product: _call("price_history", product_id=product, days=days))
    if utterance["complexity"] == "complex":
        past[-1].append(_call("live_price", product_id=PAGE if utterance.get("page") else FOUND))
    return past


def _price_alert(utterance: Utterance) -> Rounds:
    if not utterance.get("confirm"):
        return []
    target = target_of(utterance["text"])
    return _about(utterance, lambda product: _call("price_alert", product_id=product, **target))


def _auto_buy(utterance: Utterance) -> Rounds:
    if not utterance.get("confirm"):
        return []
    target, quantity = target_of(utterance["text"]), 2 if re.search(r"\b(two|2 of|buy 2)\b", utterance["text"]) else 1
    return _about(utterance, lambda product: _call("auto_buy", product_id=product, quantity=quantity, **target))


def _reorder(utterance: Utterance) -> Rounds:
    query = _subject(utterance)
    return [[_call("order_history", query=query, limit=5)], [_call("reorder", query=query)]]


def _order_status(utterance: Utterance) -> Rounds:
    history = re.search(r"history|previous|purchases|bought|ordered|list", utterance["text"])
    return [[_call("order_history", limit=5) if history else _call("order_status")]]


def _order_change(utterance: Utterance) -> Rounds:
    change = "cancel" if re.search(r"cancel|undo|stop|kill|delete|call off", utterance["text"]) else utterance["text"]
    return [[_call("order_history", limit=1)], [_call("order_change", order_id=FOUND_ORDER, change=change)]]


def _returns(utterance: Utterance) -> Rounds:
    if not utterance.get("confirm"):
        return [[_call("order_status")]] if "refund" in utterance["text"] else []
    start = _call("start_return", order_id=FOUND_ORDER, product_id=FOUND, reason=utterance["text"])
    return [[_call("order_history", limit=3)], [start]]


def _delivery(utterance: Utterance) -> Rounds:
    if "item" not in utterance:
        return []
    search = _call("catalogue_search", query=utterance["item"], limit=1)
    return [[search], [_call("availability", product_id=FOUND)]]


def _memory(utterance: Utterance) -> Rounds:
    text = utterance["text"]
    if re.search(r"\b(forget|delete|erase|wipe|clear|drop|scrap|no longer|don't (remember|hold))\b", text):
        return [[_call("forget", fact=text)]] if "dont forget" not in text else [[_call("remember", fact=text)]]
    if re.match(r"(what|which|tell|do (u|you)|did|show|i told)", text):
        return [[_call("recall", query=text)]]
    return [[_call("remember", fact=text)]]


def _web(utterance: Utterance) -> Rounds:
    return [[_call("web_search", query=utterance["text"])]]


def days_of(text: str) -> int:
    """The stretch of price history a customer asks for; 30 days when none is said."""
    words = {"week": 7, "quarter": 90, "year": 365, "summer": 180, "month": 30}
    number = re.search(r"(\d+)\s*(day|week|month)", text)
    if number:
        return min(365, int(number[1]) * {"day": 1, "week": 7, "month": 30}[number[2]])
    return next((days for word, days in words.items() if word in text), 30)


def target_of(text: str) -> dict[str, float]:
    """The price or discount a customer names; 10% off when none is."""
    percent = re.search(r"(\d+(?:\.\d+)?)\s*(?:%|percent)", text)
    if percent:
        return {"discount_ratio": min(90.0, float(percent[1])) / 100}
    if "half" in text:
        return {"discount_ratio": 0.5}
    prices = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text) if 3 <= float(number) <= 2_000]
    return {"target_price": prices[-1]} if prices else {"discount_ratio": 0.1}


def _max_price(text: str) -> dict[str, float]:
    found = re.search(r"(?:under|below|around|budget|limit)\s*\$?(\d+)", text)
    return {"max_price": float(found[1])} if found else {}


_PLANS: dict[str, Callable[[Utterance], Rounds]] = {
    "product_question": _product_question,
    "comparison": _comparison,
    "recommendation": _recommendation,
    "product_search": _search,
    "deals": _deals,
    "price_history": _price_history,
    "price_alert": _price_alert,
    "auto_buy": _auto_buy,
    "reorder": _reorder,
    "order_status": _order_status,
    "order_change": _order_change,
    "delivery": _delivery,
    "returns_refunds": _returns,
    "account_memory": _memory,
    "web_lookup": _web,
}
