"""Tools over a customer's orders: history, status, changes, returns, and the cart."""

from __future__ import annotations

import re

from assistant.shop.ranking import words
from assistant.shop.rows import Order, OrderItem
from assistant.tools.products import known_product
from assistant.tools.spec import (
    ALWAYS,
    PRODUCT_ID,
    Arguments,
    NothingFound,
    Result,
    Tool,
    ToolContext,
    ToolError,
    one_line,
    text,
    whole,
)

_FINAL = frozenset({"delivered", "cancelled", "returned", "return started"})
_GONE = frozenset({"cancelled", "returned"})
_WHOLE = re.compile(
    r"cancel(?: (?:please|pls|the|my|this|that|whole|entire|full|last|latest|recent|current|new))*"
    r"(?: (?:order|it|everything|all|purchase|package)\b(?!.*\b(?:only|just|except|but)\b).*)?"
)
"""A cancellation of the order itself: `cancel`, `cancel my order from Tuesday`, and not `cancel the gift wrap only`."""


def orders_of(context: ToolContext) -> list[Order]:
    """The session's customer's orders, newest first, with the changes made since."""
    changes: dict[str, str] = {}
    for change in context.store.order_changes(context.customer_id):
        if change["change"] == "cancel":
            changes[change["order_id"]] = "cancelled"
        elif change["change"] == "return":
            changes[change["order_id"]] = "return started"
    orders = context.catalogue.orders(context.customer_id)
    return [{**order, "status": changes.get(order["order_id"], order["status"])} for order in orders]


def order_of(context: ToolContext, order_id: str) -> Order:
    """One order of this customer; another customer's order does not exist here.

    Raises:
        ToolError: no such order.
    """
    for order in orders_of(context):
        if order["order_id"] == order_id:
            return order
    raise ToolError(f"this customer has no order {order_id!r}")


def _history(context: ToolContext, args: Arguments) -> Result:
    orders = orders_of(context)
    wanted = set(words(args.get("query", "")))
    if wanted:
        orders = [order for order in orders if any(wanted & set(_item_words(item)) for item in order["items"])]
    shown = orders[: args.get("limit", 5)]
    return {"orders": shown, "shown": len(shown), "found": len(orders)}


def _item_words(item: OrderItem) -> list[str]:
    return words(f"{item['title'] or ''} {item['category'] or ''}")


def _status(context: ToolContext, args: Arguments) -> Result:
    if "order_id" in args:
        return order_of(context, args["order_id"])
    orders = orders_of(context)
    if not orders:
        raise NothingFound("this customer has no orders")
    return next((order for order in orders if order["status"] not in _FINAL), orders[0])


def _change(context: ToolContext, args: Arguments) -> Result:
    order = _changeable(context, args["order_id"])
    change = "cancel" if _WHOLE.fullmatch(one_line(args["change"]).lower().rstrip(".!")) else "edit"
    new = context.store.change_order(
        context.customer_id, order["order_id"], change, args["change"], context.key, context.now
    )
    return {"order_id": order["order_id"], "change": args["change"], "recorded": True, "repeated": not new}


def _preview_change(context: ToolContext, args: Arguments) -> tuple[Arguments, str]:
    order = _changeable(context, args["order_id"])
    return (
        args,
        f"Change order {order['order_id']} ({order['total']:.2f} {context.currency}): {one_line(args['change'])}",
    )


def _changeable(context: ToolContext, order_id: str) -> Order:
    order = order_of(context, order_id)
    if order["status"] in _FINAL:
        raise ToolError(f"order {order['order_id']} is {order['status']} and cannot be changed")
    return order


def _return(context: ToolContext, args: Arguments) -> Result:
    order, item = _returnable(context, args)
    if _return_started(context, order["order_id"], item["product_id"]):
        return {"order_id": order["order_id"], "product_id": item["product_id"], "started": True, "repeated": True}
    new = context.store.change_order(
        context.customer_id,
        order["order_id"],
        "return",
        f"{item['product_id']}: {args['reason']}",
        context.key,
        context.now,
    )
    return {"order_id": order["order_id"], "product_id": item["product_id"], "started": True, "repeated": not new}


def _return_started(context: ToolContext, order_id: str, product_id: str) -> bool:
    return any(
        row["order_id"] == order_id and row["change"] == "return" and row["detail"].startswith(f"{product_id}:")
        for row in context.store.order_changes(context.customer_id)
    )


def _preview_return(context: ToolContext, args: Arguments) -> tuple[Arguments, str]:
    order, item = _returnable(context, args)
    if _return_started(context, order["order_id"], item["product_id"]):
        raise ToolError(f"the return of {item['product_id']} from order {order['order_id']} has started already")
    title = one_line(item["title"] or item["product_id"])
    return args, f"Return {title} from order {order['order_id']}: {one_line(args['reason'])}"


def _returnable(context: ToolContext, args: Arguments) -> tuple[Order, OrderItem]:
    order = order_of(context, args["order_id"])
    if order["status"] in _GONE:
        raise ToolError(f"order {order['order_id']} is {order['status']}; there is nothing to return")
    for item in order["items"]:
        if item["product_id"] == args["product_id"]:
            return order, item
    raise ToolError(f"order {order['order_id']} holds no product {args['product_id']!r}")


def _add_to_cart(context: ToolContext, args: Arguments) -> Result:
    product = known_product(context, args["product_id"])
    if not product["in_stock"]:
        substitutes = context.catalogue.substitutes(product, 3, context.rules.prices())
        return {"added": False, "reason": "sold out", "substitutes": substitutes}
    context.store.add_to_cart(context.customer_id, product["product_id"], args["quantity"], context.key)
    return {"added": True, "product_id": product["product_id"], "cart": context.store.cart(context.customer_id)}


def _preview_cart(context: ToolContext, args: Arguments) -> tuple[Arguments, str]:
    product = known_product(context, args["product_id"])
    price = f"{product['price']:.2f} {product['currency']}"
    return args, f"Add {args['quantity']} x {one_line(product['title'])} at {price} to the cart"


_ORDER_ID = text("Order id as order_history returned it", 40)

TOOLS = (
    Tool(
        "order_history",
        "The signed-in customer's own past orders with their items, newest first; words narrow them to orders that"
        " hold such items. There is no way to see another customer's orders.",
        {
            "query": text("Words to look for among the items"),
            "limit": whole("How many orders to return, 5 if left out", 1, 20),
        },
        _history,
    ),
    Tool(
        "order_status",
        "Where one of the customer's orders is; without an id, the newest that has not arrived.",
        {"order_id": _ORDER_ID},
        _status,
    ),
    Tool(
        "order_change",
        "Cancel or change an order that has not arrived yet. The customer is asked to confirm before anything happens.",
        {"order_id": _ORDER_ID, "change": text("What to change, such as: cancel")},
        _change,
        required=("order_id", "change"),
        confirm=ALWAYS,
        preview=_preview_change,
    ),
    Tool(
        "start_return",
        "Start the return of one item of an order. The customer is asked to confirm before anything happens.",
        {"order_id": _ORDER_ID, "product_id": PRODUCT_ID, "reason": text("The customer's reason, in a few words")},
        _return,
        required=("order_id", "product_id", "reason"),
        confirm=ALWAYS,
        preview=_preview_return,
    ),
    Tool(
        "add_to_cart",
        "Put a product into the cart for the customer to review. It buys nothing.",
        {"product_id": PRODUCT_ID, "quantity": whole("How many", 1, 99)},
        _add_to_cart,
        required=("product_id", "quantity"),
        confirm=ALWAYS,
        preview=_preview_cart,
    ),
)
