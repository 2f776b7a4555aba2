"""Reordering in a customer's own words: past orders and browsing -> the cart, with substitutes for what is gone.

An item is meant when its title holds all that the query names (`the creamer`); where no title does, when it shares a
word with the query; and where the query is for what goes together (`what we used for the pie`, or words of several
items), when it stands in the same order and category as one that does (the pumpkin too). Words that no order explains
are looked for among what was browsed. What stands behind `except` is left out.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import TypedDict

from assistant.shop.ranking import words
from assistant.shop.rows import OrderItem, Viewed
from assistant.shop.when import Span, days_of
from assistant.tools.orders import orders_of
from assistant.tools.products import known_product
from assistant.tools.spec import UNLESS_ASKED, Arguments, NothingFound, Result, Tool, ToolContext, one_line, text

# What a customer says instead of naming an item.
_GENERIC = frozenset({
    "again", "all", "before", "bought", "browsed", "buy", "everything", "item", "last", "looked", "one", "order",
    "ordered", "purchase", "reorder", "same", "stuff", "thing", "time", "usual", "used", "viewed", "week", "yesterday",
})  # fmt: skip
_LOOKED = frozenset({"browsed", "looked", "viewed"})
_TOGETHER = frozenset({"all", "everything", "ingredient", "made", "make", "stuff", "thing", "used"})
"""Words for what goes together, rather than for one item."""
_EXCEPT = re.compile(
    r"\b(?:except|excluding|without|but not|just not|leave out|other than|apart from|excepto|menos|sin)\b",
    re.IGNORECASE,
)
"""`everything except the creamer`: what stands behind it stays away."""
_ITEMS_MAX = 20
_ALTERNATIVES = 2


class Meant(TypedDict):
    """One product that is meant, and where it was found: an order's id, or `browsing`."""

    product_id: str
    quantity: int
    source: str


def resolve(context: ToolContext, query: str, when: str | None) -> list[Meant]:
    """What is meant, as product_id, quantity and source (order id or `browsing`), each product once.

    Raises:
        NothingFound: nothing in the customer's orders or browsing fits.
    """
    span = days_of(when if when is not None else query, context.now.date())
    query, *left_out = _EXCEPT.split(query, maxsplit=1)
    unwanted = {word for word in words(" ".join(left_out)) if word not in _GENERIC}
    wanted = {word for word in words(query) if word not in _GENERIC and not word.isdigit()}
    together = bool(set(words(query)) & _TOGETHER)
    meant: dict[str, Meant] = {}
    explained: set[str] = set()
    for order in orders_of(context):
        if span is None or _within(order["ordered_at"], span):
            kept = [item for item in order["items"] if not (unwanted and unwanted <= _item_words(item))]
            for item, hits in _meant_items(kept, wanted, together):
                explained |= hits
                meant.setdefault(
                    item["product_id"],
                    {"product_id": item["product_id"], "quantity": item["quantity"], "source": order["order_id"]},
                )
            if span is None and not wanted and meant:
                break  # `the same as last time` is the newest order alone
    left = wanted - explained
    # `everything I looked at yesterday` names a time and no thing: all that was looked at then is meant.
    all_viewed = not wanted and span is not None and bool(set(words(query)) & _LOOKED)
    for view in context.catalogue.browsing(context.customer_id) if left or all_viewed else ():
        if (span is None or _within(view["viewed_at"], span)) and (all_viewed or _item_words(view) & left):
            product_id = view["product_id"]
            meant.setdefault(product_id, {"product_id": product_id, "quantity": 1, "source": "browsing"})
    if not meant:
        raise NothingFound("nothing in this customer's orders or browsing fits; ask what exactly is meant")
    return list(meant.values())[:_ITEMS_MAX]


def _meant_items(items: list[OrderItem], wanted: set[str], together: bool) -> list[tuple[OrderItem, set[str]]]:
    """Items of one order that are meant, each with the query words it explains."""
    if not wanted:
        return [(item, set()) for item in items]
    named = [item for item in items if wanted <= set(words(item["title"] or ""))]
    if named and not together:
        return [(item, wanted) for item in named]
    hits = [(item, _item_words(item) & wanted) for item in items]
    several = sum(bool(found) for _, found in hits) > 1  # `hazelnut creamer` finds the creamer, and means no pumpkin
    categories = {item["category"] for item, found in hits if found and (together or several)}
    return [(item, found) for item, found in hits if found or item["category"] in categories]


def _item_words(item: OrderItem | Viewed) -> set[str]:
    return set(words(f"{item['title'] or ''} {item['category'] or ''}"))


def _within(moment: str, span: Span) -> bool:
    day: date = datetime.fromisoformat(moment).date()
    return span[0] <= day <= span[1]


def _reorder(context: ToolContext, args: Arguments) -> Result:
    added, unavailable = [], []
    for item in resolve(context, args["query"], args.get("when")):
        product = known_product(context, item["product_id"])
        line = {**item, "title": product["title"], "price": product["price"]}
        if product["in_stock"]:
            key = f"{context.key}:{product['product_id']}"
            context.store.add_to_cart(context.customer_id, product["product_id"], item["quantity"], key)
            added.append(line)
        else:
            ticked = context.rules.prices()
            alternatives = context.catalogue.substitutes(product, _ALTERNATIVES, ticked)
            unavailable.append({**line, "alternatives": alternatives})
    return {"added_to_cart": added, "unavailable": unavailable, "checked_out": False}


def _preview(context: ToolContext, args: Arguments) -> tuple[Arguments, str]:
    items = resolve(context, args["query"], args.get("when"))
    named = ", ".join(
        f"{item['quantity']} x {one_line(known_product(context, item['product_id'])['title'])}" for item in items
    )
    return args, f"Put into the cart for review: {named}"


TOOLS = (
    Tool(
        "reorder",
        "Find what the customer bought or looked at before, in their own words, and put it into the cart for review."
        " Names alternatives for what is sold out; never checks out.",
        {
            "query": text("What is meant, such as: what we used for the pie"),
            "when": text("When it was, such as: last week, yesterday, March", 60),
        },
        _reorder,
        required=("query",),
        confirm=UNLESS_ASKED,
        asked_by=frozenset({"reorder"}),
        preview=_preview,
    ),
)
