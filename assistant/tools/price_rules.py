"""Tools that write price rules: alerts, and purchases at a price. They only write; a worker acts on the rules."""

from __future__ import annotations

import asyncio

from assistant.autobuy.months import RULE_MONTHS, add_months
from assistant.autobuy.rules import new_rule
from assistant.shop.rows import Product
from assistant.tools.products import known_product
from assistant.tools.spec import (
    ALWAYS,
    PRODUCT_ID,
    Arguments,
    Result,
    Tool,
    ToolContext,
    ToolError,
    amount,
    one_line,
    whole,
)

_TARGET = {
    "target_price": amount("The price to wait for; give this or discount_ratio", 0.01, 1_000_000),
    "discount_ratio": amount("Share off today's price to wait for, 0.3 for 30%; give this or target_price", 0.01, 0.95),
}


def _resolved(context: ToolContext, args: Arguments) -> tuple[Product, float]:
    """The product, and the target as a price: a discount counts from the price at this moment.

    Raises:
        ToolError: no such product, or the target would never be a saving.
    """
    product = known_product(context, args["product_id"])
    if "target_price" in args:
        return product, round(args["target_price"], 2)
    return product, round(product["price"] * (1 - args["discount_ratio"]), 2)


def _say_target(product: Product, args: Arguments, target: float) -> str:
    """The target in the currency that the product is charged in, whatever the marketplace shows elsewhere."""
    price = product["price"]
    said = f"{target:.2f} {product['currency']}"
    if "discount_ratio" in args:
        said += f" ({args['discount_ratio']:.0%} below today's {price:.2f})"
    return said


async def _create(context: ToolContext, kind: str, args: Arguments) -> Result:
    product, target = _resolved(context, args)
    new = new_rule(
        context.key,
        kind,
        context.customer_id,
        product["product_id"],
        target,
        args.get("quantity", 1),
        product["price"],
        context.now,
    )
    rule = await asyncio.to_thread(context.rules.create, new)
    return {
        "rule_id": rule.rule_id,
        "product_id": rule.product_id,
        "title": product["title"],
        "target_price": rule.target_price,
        "price_now": rule.price_at_creation,
        "quantity": rule.quantity,
        "until": add_months(context.now, RULE_MONTHS).date().isoformat(),
        "state": rule.state,
    }


async def _alert(context: ToolContext, args: Arguments) -> Result:
    return await _create(context, "alert", args)


async def _auto_buy(context: ToolContext, args: Arguments) -> Result:
    return await _create(context, "auto_buy", args)


def _preview_alert(context: ToolContext, args: Arguments) -> tuple[Arguments, str]:
    product, target = _resolved(context, args)
    until = add_months(context.now, RULE_MONTHS).date()
    said = _say_target(product, args, target)
    resolved = {"product_id": product["product_id"], "target_price": target}
    return resolved, f"Tell you when {one_line(product['title'])} costs {said} or less, until {until}"


def _preview_auto_buy(context: ToolContext, args: Arguments) -> tuple[Arguments, str]:
    product, target = _resolved(context, args)
    customer = context.catalogue.customer(context.customer_id)
    if customer is None or not customer["default_payment"] or not customer["default_address"]:
        raise ToolError("the account needs a default payment method and address; the account page sets them")
    quantity = args["quantity"]
    until = add_months(context.now, RULE_MONTHS).date()
    said = _say_target(product, args, target)
    resolved = {"product_id": product["product_id"], "target_price": target, "quantity": quantity}
    total = f"{target * quantity:.2f} {product['currency']}"
    return resolved, (
        f"Buy {quantity} x {one_line(product['title'])} once, within 30 minutes of its price being {said} or less,"
        f" until {until}; at most {total} in all, paid with {customer['default_payment']},"
        f" sent to {customer['default_address']}"
    )


TOOLS = (
    Tool(
        "price_alert",
        "Record that the customer wants to be told when one product's price is low enough. The customer is asked to"
        " confirm first. Give exactly one of target_price and discount_ratio.",
        {"product_id": PRODUCT_ID, **_TARGET},
        _alert,
        required=("product_id",),
        one_of=("target_price", "discount_ratio"),
        confirm=ALWAYS,
        preview=_preview_alert,
    ),
    Tool(
        "auto_buy",
        "Record that one product is to be bought once its price is low enough, with the account's default payment and"
        " address. The customer is asked to confirm first. Give exactly one of target_price and discount_ratio.",
        {"product_id": PRODUCT_ID, **_TARGET, "quantity": whole("How many to buy", 1, 10)},
        _auto_buy,
        required=("product_id", "quantity"),
        one_of=("target_price", "discount_ratio"),
        confirm=ALWAYS,
        preview=_preview_auto_buy,
    ),
)
