"""Acts that write, and acts on the customer's own orders, cart and memory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from emulator.shop_model import slots
from emulator.shop_model.dialogue import Outcome, Use
from emulator.shop_model.understanding import Ask, points_at_this
from emulator.shop_model.view import View, money, title_of
from emulator.shop_model.words import holds, read

_OPEN = ("preparing", "shipped", "processing", "pending")
_DEFAULT_RATIO = 0.1
"""Off today's price where a customer names no figure; the confirmation says the price that it makes."""
_ORDER_ID = re.compile(r"\bo\d{4,}\b")
_REMEMBER = re.compile(
    r"(?i)\b(?:remember|don['’]?t forget|keep in mind|bear in mind|make a note|take a note|note(?: down)?|save|recuerda|recordar|"
    r"apunta|anota)\b[,:]?\s*(?:(?:that|this|to|que|down|please)\b[,:]?\s*)*(.+)",
    re.DOTALL,
)
_BEFORE = re.compile(
    r"(?is)^(?P<fact>.*?)[\s,.;:!?–-]*\b(?:(?:please|can you|could you|will you|and|so|por favor|y)[\s,]+)*"
    r"(?:remember|don['’]?t forget|(?:keep|bear)(?: (?:that|this|it))? in mind|make a note|take a note|note|save|recuerda(?:lo)?|recordar|apunta(?:lo)?|"
    r"anota(?:lo)?)(?:[\s,]+(?:that|this|it|of|down|please|for me|for later|for next time|too|now|eso|esto|lo|por favor))*[\s.!?]*$"
)
"""`I am allergic to nuts, please remember that`: the fact stands before the verb."""
_FURTHER = re.compile(
    r"(?i),? (?:and|then|also|y)(?: then| also| please)* (?=(?:find|show|recommend|suggest|search|busca|muestra)(?:me)?(?: me)?\b)"
)
_FORGET = re.compile(
    r"(?i)\b(?:forget|erase|delete|wipe|clear|olvida|borra)\b[,:]?\s*(?:(?:that|about|what you know about|the fact|everything about|que|lo de)\b\s*)*(.+)",
    re.DOTALL,
)


def auto_buy(view: View, ask: Ask) -> str | None:
    """A rule that buys once, at a price."""
    return _price_rule(view, ask, "auto_buy", {"quantity": slots.quantity(ask.text)})


def alert(view: View, ask: Ask) -> str | None:
    """A rule that tells the customer of a price."""
    return _price_rule(view, ask, "price_alert", {})


def _price_rule(view: View, ask: Ask, tool: str, more: Mapping[str, Any]) -> str | None:
    named = slots.currency(ask.text)
    if named is not None and named != view.currency and slots.wanted_price(ask.text).price is not None:
        return view.say(f"Prices here are in {view.currency}. Which price in {view.currency} should I wait for?",
                        f"Los precios aquí están en {view.currency}. ¿Qué precio en {view.currency} espero?")  # fmt: skip
    if slots.negative(ask.raw) or slots.wanted_price(ask.text).price == 0:
        return _above_zero(view)
    if (many := _too_many(view, tool, ask)) is not None:
        return many
    meant = view.meant(ask.text, write=True)
    if meant is None or meant.product is None:
        return None if meant is None else meant.question
    wanted = slots.wanted_price(ask.text)
    ratio = wanted.ratio if wanted.known else _DEFAULT_RATIO
    price = wanted.price if wanted.off is None else round(float(meant.product.get("price") or 0) - wanted.off, 2)
    if price is not None and price <= 0:
        return _above_zero(view)
    use = view.want(tool, product_id=meant.product["product_id"], target_price=price, discount_ratio=ratio, **more)
    if use is None:
        return None
    note = "" if wanted.known else view.say(" You named no price, so I took 10% below today's; name another if you like.",
                                            " No dijiste un precio, así que tomé un 10% menos que hoy; di otro si quieres.")  # fmt: skip
    return written(view, use) + note + _beside(view, str(meant.product["product_id"]))


def _above_zero(view: View) -> str:
    return view.say(
        "A price has to be above zero. Which price should I wait for?",
        "El precio debe ser mayor que cero. ¿Qué precio espero?",
    )


def _beside(view: View, product_id: str) -> str:
    """That an automatic purchase made earlier in this conversation stands as well: another price does not replace it."""
    earlier = [
        row
        for exchange in view.dialogue.exchanges[:-1]
        if exchange.outcome is not None and exchange.outcome.tool == "auto_buy" and (row := exchange.outcome.result)
        if row.get("product_id") == product_id and row.get("target_price") is not None
    ]
    if not earlier:
        return ""
    price = money(earlier[-1]["target_price"], view.currency)
    return view.say(f" The automatic purchase at {price} stands beside it, and both may buy; end it in your account.",
                    f" La compra automática a {price} sigue en pie, y ambas pueden comprar; termínala en tu cuenta.")  # fmt: skip


def _too_many(view: View, tool: str, ask: Ask) -> str | None:
    """A refusal of more than the tool takes at once; None where the quantity is fine."""
    rule = (view.dialogue.tools.get(tool, {}).get("properties") or {}).get("quantity") or {}
    most, wanted = rule.get("maximum"), slots.quantity(ask.text)
    if most is None or wanted <= most:
        return None
    return view.say(f"That is more than the {most} I can write down at once. How many of up to {most}?",
                    f"Eso es más de los {most} que puedo anotar a la vez. ¿Cuántos, hasta {most}?")  # fmt: skip


def cart(view: View, ask: Ask) -> str | None:
    """One product into the cart, for the customer to review."""
    if (many := _too_many(view, "add_to_cart", ask)) is not None:
        return many
    meant = view.meant(ask.text, write=True)
    if meant is None or meant.product is None:
        return None if meant is None else meant.question
    use = view.want("add_to_cart", product_id=meant.product["product_id"], quantity=slots.quantity(ask.text))
    return None if use is None else written(view, use)


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


def rules(view: View, ask: Ask) -> str:
    """Price rules that this conversation made. No tool lists or ends one, and that is said."""
    made = [
        exchange.outcome.result
        for exchange in view.dialogue.exchanges
        if exchange.outcome is not None and exchange.outcome.result is not None and "rule_id" in exchange.outcome.result
    ]
    lines = [
        f"- {title_of(row)}: {money(row['target_price'], view.currency)}, {view.say('until', 'hasta el')} {row.get('until')}"
        for row in made
        if row.get("target_price") is not None
    ]
    lead = view.say("I cannot list or end price alerts and automatic purchases from here: they stand in your account, and each ends by itself.",
                    "Desde aquí no puedo ver ni terminar alertas y compras automáticas: están en tu cuenta, y cada una termina sola.")  # fmt: skip
    here = view.say(" Of this conversation:", " De esta conversación:") if lines else ""
    return "\n".join([lead + here, *lines])


_EXCEPT = re.compile(r"\b(?:except|without|but not|other than|apart from)\b")


def reorder(view: View, ask: Ask) -> str | None:
    """What was bought or looked at before, into the cart."""
    named = slots.things(ask.text)
    query = ask.text[:150] if not named or _EXCEPT.search(ask.text) else " ".join(named)
    use = view.want("reorder", query=query, when=slots.moment(ask.text))
    return None if use is None else written(view, use)


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
    use = _history(view)
    if use is None:
        return None
    rows = _orders(use)
    if not rows:
        return view.say("There are no orders in your account.", "No hay pedidos en tu cuenta.")
    named = [
        word
        for word in slots.things(ask.text)
        if word not in ("package", "order", "status", "track", "shipment", "number")
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


def remember(view: View, ask: Ask) -> str | None:
    """One fact, in the customer's words: behind the verb, before it, or in the message before."""
    if before := _BEFORE.match(ask.raw):
        earlier = view.dialogue.exchanges[-2].words if len(view.dialogue.exchanges) > 1 else ""
        told = before["fact"] or earlier
    else:
        match = _REMEMBER.search(_FURTHER.split(ask.raw)[0])
        told = match[1] if match else ask.raw
    fact = " ".join(told.split()).rstrip(".!? ")[:290]
    if not fact:
        return view.say("What should I remember?", "¿Qué debo recordar?")
    use = view.want("remember", fact=fact)
    return None if use is None else written(view, use)


def forget(view: View, ask: Ask) -> str | None:
    """Facts that hold these words, erased."""
    if re.search(r"\b(?:everything|all|anything)\b", ask.text):
        known = recall(view, ask)
        return (
            None
            if known is None
            else known
            + view.say(" Name what I should forget, one at a time.", " Dime qué debo olvidar, de uno en uno.")
        )
    match = _FORGET.search(ask.raw)
    words = " ".join((match[1] if match else ask.raw).split()).rstrip(".!? ")[:290]
    facts = _facts_of(view.dialogue.facts, words)
    if len(facts) > 1:
        return view.say(f"Which one should I forget: {'; '.join(facts)}?", f"¿Cuál debo olvidar: {'; '.join(facts)}?")
    use = view.want("forget", fact=facts[0] if facts else words)
    return None if use is None else written(view, use)


def let_go(view: View, ask: Ask) -> str | None:
    """`don't remember that`: what was kept a moment ago is forgotten; where nothing was, nothing is done."""
    before = view.dialogue.exchanges[-2] if len(view.dialogue.exchanges) > 1 else None
    kept = before.outcome.result if before and before.outcome and before.outcome.tool == "remember" else None
    fact = (
        next(
            (
                data["remembered"]
                for data in (kept, *(use.data for use in before.uses))
                if data and data.get("remembered")
            ),
            None,
        )
        if before
        else None
    )
    if fact is None:
        return view.say("All right, nothing was done.", "De acuerdo, no se hizo nada.")
    use = view.want("forget", fact=str(fact))
    return None if use is None else written(view, use)


def _facts_of(facts: Sequence[str], words: str) -> list[str]:
    """The remembered facts that words name: `my allergy` of `I am allergic to nuts`; that one alone which holds them all."""
    kin = [word[:6] for word in slots.things(read(words).text) if len(word) > 3]
    scores = [sum(holds(fact, word) for word in kin) for fact in facts]
    best = max(scores, default=0)
    return [fact for fact, score in zip(facts, scores, strict=True) if best and score == best]


def recall(view: View, ask: Ask) -> str | None:
    """What is remembered."""
    facts = view.dialogue.facts
    if not facts:
        use = view.want("recall")
        if use is None:
            return None
        facts = [str(fact) for fact in use.data.get("facts") or ()]
    if not facts:
        return view.say("I remember nothing about you yet; say `remember that ...` and I will.",
                        "Todavía no recuerdo nada de ti; di `recuerda que ...` y lo haré.")  # fmt: skip
    return view.say(f"I remember: {'; '.join(facts)}.", f"Recuerdo: {'; '.join(facts)}.")


# --- what became of a write


def written(view: View, use: Use) -> str:
    """What a write did, or what it waits for."""
    data = use.data
    if data.get("status") == "needs_confirmation":
        action = " ".join(str(data.get("action") or "").split())
        return view.say(f"Please confirm, and nothing happens until you do: {action}.",
                        f"Por favor, confirma; hasta entonces no pasa nada: {action}.")  # fmt: skip
    if use.failed and use.result is None:
        return view.say("I cannot do that here.", "Eso no puedo hacerlo aquí.")
    if data.get("error"):
        return view.say(f"That did not work: {_line(data['error'])}.", f"No funcionó: {_line(data['error'])}.")
    if data.get("found") is False:
        return view.say("I find nothing like that in your orders or in what you looked at. What exactly do you mean?",
                        "No encuentro nada así en tus pedidos ni en lo que miraste. ¿Qué quieres decir exactamente?")  # fmt: skip
    return _done(view, use.tool, data)


def outcome(view: View, result: Outcome) -> str:
    """What the store did after the customer confirmed or declined."""
    if result.result is None:
        return view.say("All right, nothing was done.", "De acuerdo, no se hizo nada.")
    return written(view, Use(result.tool, {}, result.result, failed="error" in result.result))


def _done(view: View, tool: str, data: Mapping[str, Any]) -> str:
    if tool in ("auto_buy", "price_alert") and data.get("rule_id"):
        return _rule(view, tool, data)
    if tool == "reorder":
        return _reordered(view, data)
    if tool == "add_to_cart":
        if data.get("added"):
            return view.say(f"It is in your cart, which now holds {_cart_size(data)}; review it before you check out.",
                            f"Está en tu carrito, que ahora tiene {_cart_size(data)}; revísalo antes de pagar.")  # fmt: skip
        others = "; ".join(f"{title_of(row)} ({view.price(row)})" for row in data.get("substitutes") or ())
        return view.say(f"It is sold out, so nothing was added. Closest in stock: {others or 'nothing'}.",
                        f"Está agotado y no se añadió nada. Lo más parecido disponible: {others or 'nada'}.")  # fmt: skip
    if tool == "remember":
        return view.say(
            f"I will remember: {_line(data.get('remembered'))}.", f"Lo recordaré: {_line(data.get('remembered'))}."
        )
    if tool == "forget":
        gone = data.get("forgotten")
        what = "; ".join(map(str, gone)) if isinstance(gone, list) else str(gone or 0)
        return view.say(f"Forgotten: {what or 'nothing matched'}.", f"Olvidado: {what or 'nada coincidía'}.")
    if tool == "order_change":
        return view.say(f"Recorded for order {data.get('order_id')}: {_line(data.get('change'))}.",
                        f"Anotado para el pedido {data.get('order_id')}: {_line(data.get('change'))}.")  # fmt: skip
    if tool == "start_return":
        title = title_of(view.known(str(data.get("product_id"))) or data)
        return view.say(f"The return of {title} from order {data.get('order_id')} has started.",
                        f"La devolución de {title} del pedido {data.get('order_id')} ha comenzado.")  # fmt: skip
    return view.say("Done.", "Hecho.")


def _rule(view: View, tool: str, data: Mapping[str, Any]) -> str:
    target, now = money(data["target_price"], view.currency), money(data["price_now"], view.currency)
    title = title_of(data)
    if tool == "price_alert":
        return view.say(f"Done: I will tell you when {title} costs {target} or less (now {now}), until {data.get('until')}.",
                        f"Hecho: te avisaré cuando {title} cueste {target} o menos (ahora {now}), hasta el {data.get('until')}.")  # fmt: skip
    return view.say(
        f"Done: {data.get('quantity', 1)} x {title} will be bought once, within 30 minutes of its price being {target} or less"
        f" (now {now}), until {data.get('until')}, with your default payment and address.",
        f"Hecho: se comprará una vez {data.get('quantity', 1)} x {title}, dentro de 30 minutos de que su precio sea {target} o menos"
        f" (ahora {now}), hasta el {data.get('until')}, con tu pago y dirección por defecto.",
    )


def _reordered(view: View, data: Mapping[str, Any]) -> str:
    added = [row for row in data.get("added_to_cart") or () if isinstance(row, Mapping)]
    gone = [row for row in data.get("unavailable") or () if isinstance(row, Mapping)]
    lines = []
    if added:
        total = sum(float(row.get("price") or 0) * int(row.get("quantity") or 1) for row in added)
        listed = ", ".join(f"{row.get('quantity', 1)} x {title_of(row)} ({view.price(row)})" for row in added)
        lines.append(view.say(f"In your cart for review: {listed}. Together {money(total, view.currency)}.",
                              f"En tu carrito para revisar: {listed}. En total {money(total, view.currency)}."))  # fmt: skip
    for row in gone:
        others = "; ".join(f"{title_of(other)} ({view.price(other)})" for other in row.get("alternatives") or ())
        lines.append(view.say(f"{title_of(row)} is sold out; instead there is {others or 'nothing similar'}. Shall I add one of them?",
                              f"{title_of(row)} está agotado; en su lugar hay {others or 'nada parecido'}. ¿Añado uno?"))  # fmt: skip
    lines.append(view.say("Nothing is ordered until you check out.", "Nada se pide hasta que pagues."))
    return " ".join(lines)


def _cart_size(data: Mapping[str, Any]) -> str:
    rows = [row for row in data.get("cart") or () if isinstance(row, Mapping)]
    return f"{sum(int(row.get('quantity') or 1) for row in rows)} item(s)"


def _orders(use: Use) -> list[Mapping[str, Any]]:
    return [row for row in use.data.get("orders") or () if isinstance(row, Mapping)]


def _holds(order: Mapping[str, Any], named: list[str]) -> bool:
    return any(_item_holds(item, named) for item in order.get("items") or () if isinstance(item, Mapping))


def _item_holds(item: Mapping[str, Any], named: list[str]) -> bool:
    text = f"{item.get('title') or ''} {item.get('category') or ''}"
    return any(holds(text, word) for word in named)


def _line(value: object) -> str:
    return " ".join(str(value or "").split())
