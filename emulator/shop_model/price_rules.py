"""Acts that wait for a price: automatic purchases and alerts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from emulator.shop_model import slots
from emulator.shop_model.understanding import Ask
from emulator.shop_model.view import View, money, title_of
from emulator.shop_model.writes import too_many, written

_DEFAULT_RATIO = 0.1
"""Off today's price where a customer names no figure; the confirmation says the price that it makes."""


def auto_buy(view: View, ask: Ask) -> str | None:
    """A rule that buys once, at a price."""
    return _price_rule(view, ask, "auto_buy", {"quantity": slots.quantity(ask.text)})


def alert(view: View, ask: Ask) -> str | None:
    """A rule that tells the customer of a price."""
    return _price_rule(view, ask, "price_alert", {})


def _price_rule(view: View, ask: Ask, tool: str, more: Mapping[str, object]) -> str | None:
    named = slots.currency(ask.text)
    if named is not None and named != view.currency and slots.wanted_price(ask.text).price is not None:
        return view.say(f"Prices here are in {view.currency}. Which price in {view.currency} should I wait for?",
                        f"Los precios aquí están en {view.currency}. ¿Qué precio en {view.currency} espero?")  # fmt: skip
    if slots.negative(ask.raw) or slots.wanted_price(ask.text).price == 0:
        return _above_zero(view)
    if (many := too_many(view, tool, ask)) is not None:
        return many
    meant = view.meant(ask.text, write=True)
    if meant is None or meant.product is None:
        return None if meant is None else meant.question
    wanted = slots.wanted_price(ask.text)
    ratio = wanted.ratio if wanted.known else _DEFAULT_RATIO
    price = wanted.price if wanted.off is None else round(float(meant.product.get("price") or 0) - wanted.off, 2)
    if price is not None and price <= 0:
        return _above_zero(view)
    if tool == "auto_buy" and (total := slots.most_in_all(ask.text)) is not None:
        today = float(meant.product.get("price") or 0)
        each = round(today * (1 - ratio), 2) if ratio is not None else price
        price, ratio = min(filter(None, (each, _floored(total / slots.quantity(ask.text))))), None
    use = view.want(tool, product_id=meant.product["product_id"], target_price=price, discount_ratio=ratio, **more)
    if use is None:
        return None
    note = "" if wanted.known else view.say(" You named no price, so I took 10% below today's; name another if you like.",
                                            " No dijiste un precio, así que tomé un 10% menos que hoy; di otro si quieres.")  # fmt: skip
    return written(view, use) + note + _unkept(view, tool, ask.text) + _beside(view, str(meant.product["product_id"]))


_UNTIL = re.compile(
    r"\b(?:until|till|through|before|by) (?:the )?(?:end of|next|this|tomorrow|tonight|(?:mon|tues|wednes|thurs|fri|satur|sun)day|christmas|"
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december))\b|"
    r"\b(?:for|within|during|in) the next (?:\w+ )?(?:days?|weeks?|months?)\b|\bnext (?:\w+ )?(?:weeks?|days?|month) only\b|\b(?:this|today|tomorrow|tonight) (?:week |month )?only\b|\bonly (?:this|today|until)\b"
)
_EVERY = re.compile(
    r"\b(?:every|each) (?:\d+ |two |other )?(?:day|week|month|time)s?\b|\bkeep (?:buying|ordering)\b|\b(?:monthly|weekly)\b|\bsubscri\w+"
)


def _floored(amount: float) -> float:
    """An amount in whole cents, never more."""
    return int(amount * 100 + 1e-6) / 100


def _unkept(view: View, tool: str, text: str) -> str:
    """What of the customer's conditions the rule does not keep: it has one date of its own, and it buys once."""
    until = view.say(" I cannot give it another end: it stands until the date above, unless you end it in your account.",
                     " No puedo darle otro final: sigue en pie hasta la fecha indicada, salvo que la termines en tu cuenta.")  # fmt: skip
    return (until if _UNTIL.search(text) else "") + (once_only(view, text) if tool == "auto_buy" else "")


def once_only(view: View, text: str) -> str:
    """That nothing is bought again and again, where that was asked for."""
    if _EVERY.search(text) is None:
        return ""
    return view.say(" It buys once, not again and again.", " Compra una sola vez, no repetidamente.")


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
