"""Acts on the customer's own orders and cart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from emulator.shop_model import slots
from emulator.shop_model.dialogue import Use
from emulator.shop_model.patterns import STOP_ORDER
from emulator.shop_model.price_rules import once_only
from emulator.shop_model.products import search
from emulator.shop_model.understanding import Ask, points_at_this
from emulator.shop_model.view import View, money, title_of
from emulator.shop_model.words import holds, read
from emulator.shop_model.writes import too_many, written
from host.json_values import number, whole

_OPEN = ("preparing", "shipped", "processing", "pending")
_ORDER_ID = re.compile(r"\bo\d{4,}\b")


_CART_VERB = re.compile(
    r"^(?:(?:ok|okay|hmm|fine|please|and|then|just|so|now|can you|could you|,) )*(?!the |a |an )[a-z]+ (?=(?:\d+|the|an?|it|them|that|this|these|those|one|two|three|some|both)\b.*\bcart\b)"
)
"""Whatever people do with a thing for it to be in their cart: pop, bung, chuck."""


def cart(view: View, ask: Ask) -> str | None:
    """One product into the cart, for the customer to review."""
    ask = replace(ask, text=_CART_VERB.sub("put ", ask.text))
    if (many := too_many(view, "add_to_cart", ask)) is not None:
        return many
    meant = view.meant(ask.text, write=True)
    if meant is None or meant.product is None:
        return None if meant is None else meant.question
    use = view.want("add_to_cart", product_id=meant.product["product_id"], quantity=slots.quantity(ask.text))
    return None if use is None else written(view, use) + once_only(view, ask.text)


def cart_view(view: View, ask: Ask) -> str | None:
    """What is in the cart, as far as this conversation saw it."""
    for exchange in reversed(view.dialogue.exchanges):
        for data in (exchange.outcome.result if exchange.outcome else None, *(use.data for use in exchange.uses)):
            if data and isinstance(data.get("cart"), list):
                held = _cart_lines(view, data["cart"])
                return view.say(f"When I last added to it, your cart held: {held}.",
                                f"Cuando añadí algo por última vez, tu carrito tenía: {held}.")  # fmt: skip
    return view.say("I cannot look into the cart from here; it is on the cart page, for you to review.",
                    "Desde aquí no puedo ver el carrito; está en la página del carrito.")  # fmt: skip


def _cart_lines(view: View, rows: list[object]) -> str:
    held = [row for row in rows if isinstance(row, Mapping)]
    named = [f"{row.get('quantity', 1)} x {title_of(view.known(str(row.get('product_id'))) or row)}" for row in held]
    return ", ".join(named) or "-"


def out_of_cart(view: View, ask: Ask) -> str:
    """No tool takes anything out of a cart."""
    return view.say("I can put things into your cart, but not take them out: you can on the cart page. Nothing is ordered until you check out.",
                    "Puedo añadir cosas a tu carrito, pero no quitarlas: puedes hacerlo en la página del carrito. Nada se pide hasta que pagues.")  # fmt: skip


_LOOKED = re.compile(r"\b(?:viewed|browsed|looked)\b")
_EXCEPT = re.compile(r"\b(?:except|without|but not|other than|apart from|leave out|just not|skip)\b")


def reorder(view: View, ask: Ask) -> str | None:
    """What was bought or looked at before, into the cart."""
    named = slots.things(ask.text)
    if not named and points_at_this(ask.text) and (use := _history(view)) is not None:
        named = _named_before(view, use)  # `get them again`
    if view.missing:
        return None
    query = " ".join(named) or ask.text[:150]
    if (kept_out := _EXCEPT.search(ask.text)) is not None:  # `repeat my last order, just not the crust`
        before = ask.text[: kept_out.start()]
        what = (
            before
            if slots.moment(ask.text) or _LOOKED.search(ask.text) or slots.names_goods(before)
            else "my last order"
        )
        query = f"{what[:75]} except {ask.text[kept_out.end() :].strip()[:60]}"
    use = view.want("reorder", query=query, when=slots.moment(ask.text))
    if use is None or use.data.get("found") is not False or not slots.names_goods(ask.text):
        return None if use is None else written(view, use)
    found = search(view, ask)  # what was never bought is looked for
    return None if found is None else f"{written(view, use).split('.')[0]}. {found}"


def orders(view: View, ask: Ask) -> str | None:
    """The customer's own orders: one by its number, those that hold something, or the newest."""
    if match := _ORDER_ID.search(ask.text):
        use = view.want("order_status", order_id=match[0])
        if use is None:
            return None
        if use.data.get("order_id"):
            return _order_line(view, use.data)
        return view.say(
            f"There is no order {match[0]} in your account.", f"No hay ningún pedido {match[0]} en tu cuenta."
        )
    counts = _COUNTED.search(ask.text) or _SPENT.search(ask.text)
    use = _all_orders(view) if counts else _history(view)
    if use is None:
        return None
    rows = _orders(use)
    if not rows:
        return view.say("There are no orders in your account.", "No hay pedidos en tu cuenta.")
    named = [
        word
        for word in slots.things(ask.text)
        if word
        not in (
            "package",
            "order",
            "status",
            "track",
            "shipment",
            "number",
            "often",
            "times",
            "total",
            "altogether",
            "taking",
            "forever",
            "long",
            "ages",
            "late",
            "delayed",
        )
    ]
    if named:
        held = [row for row in rows if _holds(row, named)]
        if not held:
            again = view.want("order_history", query=" ".join(named), limit=5)
            if again is None:
                return None
            held = _orders(again)
        if not held:
            what = " ".join(named)
            return view.say(
                f"I find no order with {what} in your account.", f"No encuentro ningún pedido con {what} en tu cuenta."
            )
        rows = held
    today = view.dialogue.now.today
    days = slots.span(ask.text, today) if today else None
    if days is not None:
        within = [row for row in rows if days[0].isoformat() <= str(row.get("ordered_at"))[:10] <= days[1].isoformat()]
        if not within:
            newest = view.say("The newest is:", "El más reciente es:")
            return "\n".join(
                [
                    view.say(
                        "I find no order of that time in your account.", "No encuentro ningún pedido de esa fecha."
                    )
                    + f" {newest}",
                    f"- {_order_line(view, rows[0])}",
                ]
            )
        rows = within
    if counts:
        return _counted(view, ask.text, rows, named)
    moving = [row for row in rows if str(row.get("status")) in _OPEN]
    asks_where = re.search(r"\bwhere\b|\btrack|\barriv|\bpackage\b|\bstatus\b|\bshipped\b|\bcome\b", ask.text)
    if asks_where and moving:
        rows = moving
    one = re.search(r"\b(?:last|latest|newest|most recent) (?:order|purchase)\b", ask.text)
    shown = rows[: 1 if one or (asks_where and not named) else 2 if view.short else 5]
    if asks_where and not moving and not named:
        arrived = view.say(
            "Nothing is on its way. Your newest order is", "Nada está en camino. Tu pedido más reciente es"
        )
        return f"{arrived} {_order_line(view, shown[0])}."
    lead = view.say(
        "Your orders, newest first:" if len(shown) > 1 else "Your order:",
        "Tus pedidos, el más reciente primero:" if len(shown) > 1 else "Tu pedido:",
    )
    return "\n".join([lead, *(f"- {_order_line(view, row)}" for row in shown)])


_COUNTED = re.compile(
    r"\bhow (?:often|many times|many (?:orders?|purchases?|times))\b|\bhow many \w+(?: \w+)? (?:have|did) (?:i|we)\b"
)
_SPENT = re.compile(
    r"\bhow much (?:money )?(?:have|did|do) (?:i|we) (?:already |ever )?spen[dt]\b|\bspent\b.*\b(?:total|altogether|so far)\b|\btotal (?:i |we )?spen[dt]\b"
)
_MOST_ORDERS = 20
"""What one call of the history returns at most."""


def _all_orders(view: View) -> Use | None:
    """The order history in full, as far as one call returns it."""
    use = _history(view)
    if use is not None and int(use.data.get("found") or 0) > len(_orders(use)):
        return view.want("order_history", limit=_MOST_ORDERS)
    return use


def _counted(view: View, text: str, rows: list[Mapping[str, Any]], named: list[str]) -> str:
    """How many orders there were, of what is named, or what was spent on it; those that were cancelled do not count."""
    rows = [row for row in rows if row.get("status") != "cancelled"]
    held = [
        (row, [item for item in row.get("items") or () if isinstance(item, Mapping) and _item_holds(item, named)])
        for row in rows
    ]
    times = view.say("once" if len(rows) == 1 else "twice" if len(rows) == 2 else f"{len(rows)} times",
                     "una vez" if len(rows) == 1 else f"{len(rows)} veces")  # fmt: skip
    days = "; ".join(
        " ".join((f"{row.get('order_id')} of {str(row.get('ordered_at') or '')[:10]}",
                  *(f"({title_of(item)})" for item in items)))
        for row, items in held
    )  # fmt: skip
    what = " ".join(named)
    if _SPENT.search(text):
        spent = sum(
            sum(number(item.get("price")) * whole(item.get("quantity"), 1) for item in items)
            if named
            else number(row.get("total"))
            for row, items in held
        )
        total = money(spent, view.currency)
        return view.say(f"You spent {total}{f' on {what}' if what else ''}, in {len(rows)} order{'s' * (len(rows) != 1)}: {days}.",
                        f"Gastaste {total}{f' en {what}' if what else ''}, en {len(rows)} pedido{'s' * (len(rows) != 1)}: {days}.")  # fmt: skip
    return view.say(f"You ordered {what + ' ' if what else ''}{times}: {days}.",
                    f"Pediste {what + ' ' if what else ''}{times}: {days}.")  # fmt: skip


def _history(view: View) -> Use | None:
    """The order history: as fetched beforehand, or asked for."""
    fetched = view.results("order_history")
    return fetched[0] if fetched else view.want("order_history", limit=5)


def _order_line(view: View, row: Mapping[str, Any]) -> str:
    items = ", ".join(
        f"{item.get('quantity', 1)} x {title_of(item)}" for item in row.get("items") or () if isinstance(item, Mapping)
    )
    day = str(row.get("ordered_at") or "")[:10]
    total = money(row["total"], view.currency) if row.get("total") is not None else ""
    return view.say(f"{row.get('order_id')} of {day}, {row.get('status')}: {items} ({total})",
                    f"{row.get('order_id')} del {day}, {row.get('status')}: {items} ({total})")  # fmt: skip


def cancel(view: View, ask: Ask) -> str | None:
    """The end of an order that has not arrived, or of a part of it."""
    order = _own_order(view, ask)
    if order is None or isinstance(order, str):
        return order
    part = [word for word in slots.things(ask.text) if word not in ("cancel", "order", "please")]
    whole = not part or _holds(order, part) or (_ORDER_ID.search(ask.text) is not None and not part)
    whole = whole or STOP_ORDER.search(ask.text) is not None
    change = "cancel" if whole and not re.search(r"\b(?:only|just)\b", ask.text) else f"without {' '.join(part)}"
    use = view.want("order_change", order_id=order["order_id"], change=change)
    return None if use is None else written(view, use)


def change(view: View, ask: Ask) -> str | None:
    """A change of an order, in the customer's words."""
    order = _own_order(view, ask)
    if order is None or isinstance(order, str):
        return order
    use = view.want("order_change", order_id=order["order_id"], change=" ".join(ask.raw.split())[:190])
    return None if use is None else written(view, use)


def _own_order(view: View, ask: Ask) -> Mapping[str, Any] | str | None:
    """The order that is meant, a sentence where there is none, or None while the history is out."""
    use = _history(view)
    if use is None:
        return None
    rows = _orders(use)
    if match := _ORDER_ID.search(ask.text):
        named = next((row for row in rows if row.get("order_id") == match[0]), None)
        if named is not None:
            return named
        status = view.want("order_status", order_id=match[0])
        if status is None:
            return None
        return status.data if status.data.get("order_id") else view.say(
            f"There is no order {match[0]} in your account.", f"No hay ningún pedido {match[0]} en tu cuenta."
        )  # fmt: skip
    things = [word for word in slots.things(ask.text) if word not in ("cancel", "order", "address", "delivery")]
    moving = [row for row in rows if str(row.get("status")) in _OPEN]
    held = [row for row in moving if things and _holds(row, things)]
    if held or moving:
        return (held or moving)[0]
    return view.say("No order of yours is still under way, so there is nothing to change.",
                    "Ningún pedido tuyo está en camino, así que no hay nada que cambiar.")  # fmt: skip


_REASON = re.compile(
    r"(?i)\b(?:because|since|as it|porque|ya que)\b\s*(.+)|[,.;:-]\s*((?:it|they|these|this|the \w+) (?!to\b).+)"
)


def give_back(view: View, ask: Ask) -> str | None:
    """The return of one item of an order."""
    use = _history(view)
    if use is None:
        return None
    named = [
        word
        for word in slots.things(ask.text)
        if word not in ("return", "refund", "back", "money", "send", "returning", "returns")
    ]
    if not named and view.page is None and points_at_this(ask.text):
        named = _named_before(view, use)
    candidates = [
        (row, item)
        for row in _orders(use)
        for item in row.get("items") or ()
        if isinstance(item, Mapping) and item.get("product_id") and (
            _item_holds(item, named) if named else view.page in (None, item["product_id"]) or not points_at_this(ask.text)
        )
    ]  # fmt: skip
    if match := _ORDER_ID.search(ask.text):
        candidates = [(row, item) for row, item in candidates if row.get("order_id") == match[0]]
    if not candidates:
        return view.say("I find no such item among your recent orders. Which order is it from?",
                        "No encuentro ese artículo entre tus pedidos recientes. ¿De qué pedido es?")  # fmt: skip
    if not named and len(candidates) > 1 and view.page is None:
        names = "; ".join(title_of(item) for _, item in candidates[:4])
        return view.say(f"Which item would you like to return? Recent ones: {names}.",
                        f"¿Qué artículo quieres devolver? Recientes: {names}.")  # fmt: skip
    row, item = candidates[0]
    reason = _REASON.search(ask.raw)
    why = " ".join((next(filter(None, reason.groups())) if reason else "no reason given").split()).rstrip(".!")[:190]
    started = view.want("start_return", order_id=row["order_id"], product_id=item["product_id"], reason=why)
    return None if started is None else written(view, started)


def _named_before(view: View, use: Use) -> list[str]:
    """The words of this message and the one before that name something in these orders: what `send it back` means."""
    earlier = view.dialogue.exchanges[-2:]
    words = [word for exchange in earlier for word in slots.things(read(exchange.words).text)]
    return [word for word in words if any(_holds(row, [word]) for row in _orders(use))]


def _orders(use: Use) -> list[Mapping[str, Any]]:
    return [row for row in use.data.get("orders") or () if isinstance(row, Mapping)]


def _holds(order: Mapping[str, Any], named: list[str]) -> bool:
    return any(_item_holds(item, named) for item in order.get("items") or () if isinstance(item, Mapping))


def _item_holds(item: Mapping[str, Any], named: list[str]) -> bool:
    text = f"{item.get('title') or ''} {item.get('category') or ''}"
    return any(holds(text, word) for word in named)
