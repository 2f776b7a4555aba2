"""Acts about products: facts, prices, stock, reviews, options, comparisons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from emulator.shop_model import goods, ranks, slots, specs
from emulator.shop_model.dialogue import Use
from emulator.shop_model.understanding import Ask, another
from emulator.shop_model.view import Meant, Product, View, matching, money, title_of
from emulator.shop_model.words import fold, holds, lexicon, stem


def fact(view: View, ask: Ask) -> str | None:
    """One property of one product: from its page, or an honest `it does not say`."""
    meant = view.meant(ask.text, ask_words=True)
    if meant is None:
        return None
    if meant.product is None:
        return meant.question
    product, words = meant.product, set(re.findall(r"[a-z][a-z-]*", ask.text))
    if "title" not in product:
        return _no_such(view, product)
    asked = {
        name: (words & values, words & asks)
        for name, (asks, values) in lexicon().traits.items()
        if words & asks or words & values
    }
    if asked:
        stated = [name for name in asked if any(name in key or stem(name) in key for key in attributes(product))]
        name = (stated or list(asked))[0]
        held, hits = asked[name]
        held = (
            held | {"four"} if name == "season" and "winter" in held else held
        )  # a four season tent is for winter too
        label = sorted(held - {"four"})[0] if held else name
        return _assumed(view, meant) + _trait(view, product, name, {*hits, name}, held, label)
    named = [word for word in slots.things(ask.text) if not holds(title_of(product), word)]
    about = str(product.get("description") or "")
    if named and any(holds(about, word) for word in named):
        return _assumed(view, meant) + f"{title_of(product)}: {clean(product.get('description'))}"
    if not named and slots.things(ask.text) and re.match(r"(?:is|are|does|do|has|have|was|can)\b", ask.text):
        return _assumed(view, meant) + view.say(
            f"Yes: it is listed as {title_of(product)}.", f"Sí: figura como {title_of(product)}."
        )
    if named:
        return _assumed(view, meant) + _silent(view, product, " ".join(named))
    return _assumed(view, meant) + _summary(view, product)


def _trait(
    view: View, product: Product, name: str, asks: set[str] | frozenset[str], values: set[str], asked: str
) -> str:
    """What the page says of one dimension of a product."""
    stated = attributes(product)
    title, value = title_of(product), None
    for key, held in stated.items():
        if any(word in fold(key) or stem(word) in fold(key) for word in asks):
            value = held
            break
    if value is None and values:
        value = next((held for held in stated.values() if any(word in fold(held) for word in values)), None)
    if value is not None and values:
        if any(word in fold(value) for word in values) or fold(value).startswith(("yes", "ip")):
            return view.say(f"Yes: {title} is listed with {name}: {value}.", f"Sí: {title} figura con {name}: {value}.")
        return view.say(
            f"No, not by its page: {title} is listed with {name}: {value}.",
            f"No según su página: {title} figura con {name}: {value}.",
        )
    if value is not None:
        return view.say(f"The {name} of {title} is {value}.", f"{title}: {name}, {value}.")
    description = str(product.get("description") or "")
    for word in (asked, *values):
        if holds(f"{title} {description}", word):
            return view.say(
                f"Its page says: {clean(product.get('description'))}",
                f"Su página dice: {clean(product.get('description'))}",
            )
    return _silent(view, product, asked)


def _silent(view: View, product: Product, asked: str) -> str:
    listed = "; ".join(f"{key}: {value}" for key, value in attributes(product).items())
    title = title_of(product)
    return view.say(
        f"I do not know: the page of {title} says nothing about {asked}. It lists {listed or 'no further specifications'}.",
        f"No lo sé: la página de {title} no dice nada sobre {asked}. Indica {listed or 'ninguna otra especificación'}.",
    )


def _summary(view: View, product: Product) -> str:
    stock = view.say("in stock", "disponible") if product.get("in_stock") else view.say("sold out", "agotado")
    return view.say(
        f"{title_of(product)} costs {view.price(product)}, is rated {product.get('rating')} of 5 and is {stock}. ",
        f"{title_of(product)} cuesta {view.price(product)}, tiene {product.get('rating')} de 5 y está {stock}. ",
    ) + clean(product.get("description"))


def _no_such(view: View, product: Product) -> str:
    return view.say(
        f"I cannot find a product {product['product_id']}.", f"No encuentro ningún producto {product['product_id']}."
    )


def price(view: View, ask: Ask) -> str | None:
    """What one product costs now."""
    meant = view.meant(ask.text, ask_words=True)
    if meant is None or meant.product is None:
        return None if meant is None else meant.question
    use = view.want("live_price", product_id=meant.product["product_id"])
    if use is None:
        return None
    row = {**meant.product, **use.data}
    if row.get("price") is None:
        return _no_such(view, row)
    return _assumed(view, meant) + view.say(
        f"{title_of(row)} costs {view.price(row)} right now.",
        f"{title_of(row)} cuesta {view.price(row)} en este momento.",
    )


def available(view: View, ask: Ask) -> str | None:
    """Whether a product is in stock and when it arrives, or what could take its place."""
    meant = view.meant(ask.text, ask_words=True)
    if meant is None or meant.product is None:
        return None if meant is None else meant.question
    use = view.want("availability", product_id=meant.product["product_id"])
    if use is None:
        return None
    row = {**meant.product, **use.data}
    title = title_of(row)
    if row.get("in_stock") is None:
        return _no_such(view, row)
    if row["in_stock"]:
        days = int(row.get("delivery_days") or 0)
        return _assumed(view, meant) + view.say(
            f"{title} is in stock; delivery takes {days} day{'s' * (days != 1)}.",
            f"{title} está disponible; la entrega tarda {days} día{'s' * (days != 1)}.",
        )
    others = "; ".join(f"{title_of(other)} ({view.price(other)})" for other in row.get("substitutes") or ())
    return (
        _assumed(view, meant)
        + view.say(f"{title} is sold out.", f"{title} está agotado.")
        + (view.say(f" Closest in stock: {others}.", f" Lo más parecido disponible: {others}.") if others else "")
    )


def history(view: View, ask: Ask) -> str | None:
    """The price over some days: whether it was lower, when, and by how much."""
    meant = view.meant(ask.text, ask_words=True)
    if meant is None or meant.product is None:
        return None if meant is None else meant.question
    use = view.want("price_history", product_id=meant.product["product_id"], days=slots.days(ask.text))
    if use is None:
        return None
    past = use.data
    if "lowest" not in past:
        return view.say(
            f"I have no recorded prices of {title_of(meant.product)} for that time.",
            f"No tengo precios registrados de {title_of(meant.product)} para ese periodo.",
        )
    return _assumed(view, meant) + _past_prices(view, ask.text, title_of(meant.product), past)


def _past_prices(view: View, asked: str, title: str, past: Mapping[str, Any]) -> str:
    def sum_(amount: float) -> str:
        return money(amount, str(past.get("currency") or view.currency))

    lowest, highest, now, count = past["lowest"], past["highest"], past["price_now"], past["days"]
    on_sale = past.get("discounted_days") or 0
    off = 1 - lowest["price"] / highest["price"] if highest["price"] else 0.0
    yes_or_no = re.match(r"(?:is|are|was|were|has|have|did|does|do|ever|been)\b", asked) is not None
    if not on_sale:
        lead = view.say("No: ", "No: ") if yes_or_no else ""
        return lead + view.say(
            f"{title} has cost {sum_(now)} on every one of the last {count} days ({past['from']} to {past['to']}).",
            f"{title} ha costado {sum_(now)} todos los días de los últimos {count} ({past['from']} a {past['to']}).",
        )
    if re.search(r"\b(?:good|fair|great|decent|best|real|genuine|worth|high|low|lowest|wait)\b", asked):
        near = now <= lowest["price"] * 1.05
        lead = view.say(
            f"Yes: {title} is within 5% of its lowest of the last {count} days."
            if near
            else f"Not its best: {title} has been cheaper in the last {count} days.",
            f"Sí: {title} está a menos de un 5% de su mínimo de los últimos {count} días."
            if near
            else f"No es su mejor precio: {title} ha sido más barato en los últimos {count} días.",
        )
    elif off >= 0.05:
        lead = view.say(
            f"{title} was up to {off:.0%} cheaper within the last {count} days.",
            f"{title} estuvo hasta un {off:.0%} más barato en los últimos {count} días.",
        )
        lead = view.say("Yes: ", "Sí: ") + lead if yes_or_no else lead
    else:
        lead = view.say(
            f"Not really: {title} has moved by less than 5% in the last {count} days.",
            f"En realidad no: {title} ha variado menos de un 5% en los últimos {count} días.",
        )
    against = now / lowest["price"] - 1 if lowest["price"] else 0.0
    today = (
        view.say("that is its lowest", "es su mínimo") if against < 0.005
        else view.say(f"{against:.0%} above its lowest", f"un {against:.0%} sobre su mínimo")
    )  # fmt: skip
    return lead + view.say(
        f" It costs {sum_(now)} now ({today}). Lowest: {sum_(lowest['price'])} on {lowest['day']}; highest:"
        f" {sum_(highest['price'])} on {highest['day']}.",
        f" Ahora cuesta {sum_(now)} ({today}). Mínimo: {sum_(lowest['price'])} el {lowest['day']}; máximo:"
        f" {sum_(highest['price'])} el {highest['day']}.",
    )


def reviews(view: View, ask: Ask) -> str | None:
    """What customers wrote, reported and never followed."""
    meant = view.meant(ask.text, ask_words=True)
    if meant is None or meant.product is None:
        return None if meant is None else meant.question
    use = view.want("product_reviews", product_id=meant.product["product_id"])
    if use is None:
        return None
    rows = [row for row in use.data.get("reviews") or () if isinstance(row, Mapping)]
    title = title_of(meant.product)
    if not rows:
        return view.say(f"There are no reviews of {title} yet.", f"Todavía no hay reseñas de {title}.")
    quotes = "; ".join(
        f'{row.get("stars")}★ "{clean(row.get("body"))[:160]}"' for row in rows[: 3 if view.short else 5]
    )
    return _assumed(view, meant) + view.say(
        f"{title} is rated {use.data.get('rating')} of 5 by {use.data.get('review_count')} customers. They wrote: {quotes}",
        f"{title} tiene {use.data.get('rating')} de 5 según {use.data.get('review_count')} clientes. Escribieron: {quotes}",
    )


_INSTEAD = re.compile(r"\b(?:alternatives? (?:to|for)|similar to|instead of|in place of)\b(.+)")
_ALIKE = re.compile(
    r"\b(?:like|similar to|alternatives? (?:to|for)|instead of|same as|resembl\w+) (?:this|it|these|that|the one)\b|\bsimilar (?:ones?|items?|products?)\b|^(?:any |other )?alternatives?\b"
)


def search(view: View, ask: Ask) -> str | None:
    """Options for a purpose, within a budget; `cheaper ones` than what was shown, `something like this`."""
    named, here = goods.phrase(ask.text), None
    most = slots.max_price(ask.text)
    if view.page is not None and not slots.names_goods(ask.text) and (_ALIKE.search(ask.text) or another(ask.text)):
        here = view.details(view.page)
        if here is None:
            return None
        named = [*(word for word in named if goods.describes(word)), _kind(here)]
    if here is None and (instead := _INSTEAD.search(ask.text)) and slots.things(instead[1]):
        meant = view.meant(instead[1])
        if meant is None or meant.product is None:
            return None if meant is None else meant.question
        here = meant.product
        named = [_kind(here)]
    if most is None and re.search(r"\b(?:cheaper|less expensive)\b", ask.text):
        shown = [row["price"] for row in ([here] if here else view.listed()) if row.get("price") is not None]
        most = min(shown, default=None)
    if not named:
        return view.say(
            "What are you looking for? Name a kind of product or what it is for.",
            "¿Qué buscas? Nombra un tipo de producto o para qué es.",
        )
    limit = 3 if view.short else 5
    stated = specs.wanted(ask.text)
    narrow = bool(stated or goods.excluded(ask.text)) or goods.days_at_most(ask.text) is not None
    use = view.want("catalogue_search", query=" ".join(named), max_price=most, limit=10 if narrow else limit)
    if use is None:
        return None
    rows = [row for row in _hits(use) if here is None or row["product_id"] != here["product_id"]]
    shown = view.listed() if ask.text.endswith(" , another") else []
    rank, against = ranks.named(ask.text), here or (shown[0] if shown else None)
    if rank is not None and against is not None and rank.name != "price":
        rows = rank.beyond(against, rows)
    rows, late = fitting(goods.kept(rows, named), ask.text)
    exact = [row for row in rows if specs.meets(row, stated)]
    rows = exact or rows
    if shown:
        rows = [row for row in rows if row["product_id"] != shown[0]["product_id"]]
    if not rows:
        return nothing(view, named, most)
    if re.search(r"\bcheap\w*\b|\bleast expensive\b", ask.text):
        rows = sorted(rows, key=lambda row: row.get("price") or 0)
    elif re.search(r"\b(?:rated|ratings?|reviewed|reviews)\b", ask.text):
        rows = sorted(rows, key=lambda row: -(row.get("rating") or 0))
    what = " ".join(named)
    if late:
        lead = view.say(
            f"No {what} arrives that soon. Soonest:", f"No hay {what} que llegue tan pronto. Lo más rápido:"
        )
        return f"{lead}\n{options(view, rows[:limit])}"
    kinds = [word for word in named if word in lexicon().goods]
    if not exact or (
        kinds and not any(holds(f"{title_of(row)} {row.get('category') or ''}", kinds[-1]) for row in rows)
    ):
        unnamed = [forms[0] for name in stated if (forms := sorted(stated[name]))[0] not in what]
        what = ", ".join([what, *unnamed])
        lead = view.say(f"I found no {what}. Closest in our catalogue:", f"No encontré {what}. Lo más parecido:")
    else:
        lead = view.say(f"Options for {what}:", f"Opciones de {what}:")
    return f"{lead}\n{options(view, rows[:limit])}"


def fitting(rows: Sequence[Product], text: str) -> tuple[list[Product], bool]:
    """The products that words leave: over the least price, none of what is not meant, in time.

    Where none arrives in time, the soonest three, and True.
    """
    least, unwanted, days = slots.min_price(text), goods.excluded(text), goods.days_at_most(text)
    left = [row for row in rows if (row.get("price") or 0) >= (least or 0) and goods.allowed(row, unwanted)]
    if days is None:
        return left, False
    soon = [row for row in left if row.get("in_stock") and (row.get("delivery_days") or 99) <= days]
    if soon or not left:
        return soon, False
    return sorted(left, key=lambda row: (not row.get("in_stock"), row.get("delivery_days") or 99))[:3], True


def deals(view: View, ask: Ask) -> str | None:
    """What is cheaper today than it was within thirty days, of what is asked for."""
    named = [word for word in goods.phrase(ask.text) if word != "deals"]
    if not named:
        return view.say("Deals on what? Name a kind of product, and I compare today's prices with those of the last 30 days.",
                        "¿Ofertas de qué? Nombra un tipo de producto y comparo los precios de hoy con los de los últimos 30 días.")  # fmt: skip
    use = view.want("catalogue_search", query=" ".join(named), max_price=slots.max_price(ask.text), limit=5)
    if use is None:
        return None
    rows = _hits(use)[:3]
    if not rows:
        return nothing(view, named, slots.max_price(ask.text))
    past = [view.want("price_history", product_id=row["product_id"], days=30) for row in rows]
    if view.missing:
        return None
    lines = []
    for row, found in zip(rows, past, strict=True):
        high = (found.data.get("highest") or {}).get("price") if found else None
        off = 1 - row["price"] / high if high else 0.0
        note = (
            view.say(f"{off:.0%} below its high of 30 days", f"{off:.0%} bajo su máximo de 30 días")
            if off >= 0.01
            else view.say("not reduced", "sin rebaja")
        )
        lines.append(f"- {title_of(row)}: {view.price(row)}, {note}")
    return "\n".join(
        [view.say(f"Today's prices of {' '.join(named)}:", f"Precios de hoy de {' '.join(named)}:"), *lines]
    )


def compare(view: View, ask: Ask) -> str | None:
    """Two products side by side: what differs, and which is better for whom; of those shown, the one that ranks first."""
    listed = view.listed(2)
    if (rank := ranks.named(ask.text)) is not None and len(listed) > 1 and not slots.names_goods(ask.text):
        return _first_of(view, rank, listed)
    pair = _pair(view, ask)
    if pair is None or isinstance(pair, str):
        return pair
    rows = [view.details(str(row["product_id"])) for row in pair]
    if view.missing:
        return None
    one, two = (row for row in rows if row is not None)
    lines = []
    for label, key in ((view.say("price", "precio"), "price"), (view.say("rating", "valoración"), "rating"),
                       (view.say("delivery days", "días de entrega"), "delivery_days")):  # fmt: skip
        if one.get(key) != two.get(key):
            left, right = (view.price(row) if key == "price" else str(row.get(key)) for row in (one, two))
            lines.append(f"- {label}: {left} / {right}")
    theirs = attributes(two)
    for key, value in attributes(one).items():
        if key in theirs and theirs[key] != value:
            lines.append(f"- {key}: {value} / {theirs[key]}")
    cheaper, better = (
        min((one, two), key=lambda row: row.get("price") or 0),
        max((one, two), key=lambda row: row.get("rating") or 0),
    )
    verdict = view.say(
        f"{title_of(better)} is the better rated of the two; {title_of(cheaper)} costs less."
        if better is not cheaper
        else f"{title_of(better)} is both better rated and cheaper.",
        f"{title_of(better)} es el mejor valorado; {title_of(cheaper)} cuesta menos."
        if better is not cheaper
        else f"{title_of(better)} es el mejor valorado y el más barato.",
    )
    return "\n".join([verdict, f"{title_of(one)} / {title_of(two)}:", *lines])


def _first_of(view: View, rank: ranks.Rank, listed: Sequence[Product]) -> str:
    """The one of those shown that ranks first, with the figures; or that their pages do not say."""
    best = rank.first(listed)
    if best is None:
        return view.say(f"I do not know: their pages do not say which is {rank.word}.",
                        f"No lo sé: sus páginas no dicen cuál ({rank.name}).")  # fmt: skip

    def shown(row: Product) -> str:
        return view.price(row) if rank.name == "price" else rank.shown(row)

    others = "; ".join(f"{title_of(row)}, {shown(row)}" for row in listed if row is not best and rank.shown(row))
    return view.say(f"{title_of(best)}: its {rank.name} is {shown(best)}. Beside it: {others}.",
                    f"{title_of(best)} ({rank.name}: {shown(best)}). Además: {others}.")  # fmt: skip


_POINTER = re.compile(r"\b(?:it|this|that one)\b")


def _against_this(view: View, ask: Ask, this: Product) -> list[Product] | str | None:
    """`compare it with the Fennick`: a brand alone means one of the same kind."""
    words = _POINTER.sub(" ", ask.text)
    other = view.meant(words if slots.names_goods(words) else f"{words} {_kind(this)}")
    if other is None or other.product is None:
        return None if other is None else other.question
    here = view.details(str(this["product_id"]))
    return None if here is None else [here, other.product]


def _kind(product: Product) -> str:
    """The noun of a title's name: drill of `Corvane Pro Drill, 18 V`."""
    return title_of(product).split(",")[0].split()[-1].lower()


def _pair(view: View, ask: Ask) -> list[Product] | str | None:
    """The two products to compare, a question, or None while a call is out."""
    if len(pointed := view.pointed(ask.text)) == 2:
        return pointed
    if view.page is None and _POINTER.search(ask.text) and slots.things(ask.text) and (shown := view.listed()):
        return _against_this(view, ask, shown[0])
    parts = [part for part in re.split(r"\b(?:versus|and|or|with|to|than|from)\b|,", ask.text) if slots.things(part)]
    listed = view.listed()
    if view.page is None and len(parts) < 2 and len(listed) >= 2 and not slots.things(" ".join(parts)):
        return listed[:2]
    rows: list[Product] = []
    if view.page is not None and len(parts) < 2:
        here = view.details(view.page)
        if here is not None:
            rows.append(here)
    if len(parts) < 2:
        named = goods.phrase(ask.text) or ([str(rows[0].get("category"))] if rows else [])
        if not named and not view.missing:
            return view.say("Which two products should I compare?", "¿Qué dos productos comparo?")
        use = view.want("catalogue_search", query=" ".join(named), limit=5) if named else None
        if use is None or view.missing:
            return None
        seen = {row["product_id"] for row in rows}
        rows += [row for row in (matching(use, named) or _hits(use)) if row["product_id"] not in seen]
    else:
        kinds = [word for word in goods.phrase(" ".join(parts[:2])) if word in lexicon().goods]
        for part in parts[:2]:  # `cordless or corded drill`: both are drills
            meant = view.meant(part if slots.names_goods(part) or not kinds else f"{part} {kinds[-1]}")
            if meant is not None and meant.product is not None:
                rows.append(meant.product)
            elif meant is not None and not view.missing:
                return meant.question
    if view.missing:
        return None
    pair = list({row["product_id"]: row for row in rows}.values())[:2]
    return pair if len(pair) == 2 else view.say("I found only one of them. Which other product should I compare it with?",
                                                "Solo encontré uno. ¿Con qué otro producto lo comparo?")  # fmt: skip


def _hits(use: Use) -> list[Product]:
    return [row for row in use.data.get("results") or () if isinstance(row, Mapping) and row.get("product_id")]


def options(view: View, rows: Sequence[Product]) -> str:
    """One line a product: title, price, and a reason."""
    cheapest = min((row.get("price") or 0 for row in rows), default=0)
    best = max((row.get("rating") or 0 for row in rows), default=0)
    lines = []
    for number, row in enumerate(rows, start=1):
        reason = f"{row.get('rating')}/5"
        if row.get("rating") == best:
            reason += view.say(", best rated here", ", el mejor valorado aquí")
        elif row.get("price") == cheapest:
            reason += view.say(", lowest price here", ", el precio más bajo aquí")
        if row.get("in_stock") in (0, False):
            reason += view.say(", sold out", ", agotado")
        elif row.get("delivery_days"):
            reason += view.say(f", {row['delivery_days']} day delivery", f", entrega en {row['delivery_days']} d")
        lines.append(f"{number}. {title_of(row)}: {view.price(row)} ({reason})")
    return "\n".join(lines)


def nothing(view: View, named: Sequence[str], limit_price: float | None) -> str:
    """That the catalogue holds none of what was named, within the budget."""
    what = ", ".join(named) if len(named) > 1 and " " in "".join(named) else " ".join(named)
    under = "" if limit_price is None else view.say(f" for at most {money(limit_price, view.currency)}",
                                                    f" por {money(limit_price, view.currency)} como máximo")  # fmt: skip
    return view.say(
        f"I found nothing in our catalogue for {what}{under}.",
        f"No encontré nada en nuestro catálogo para {what}{under}.",
    ) + view.not_read(named)


def attributes(product: Product | None) -> dict[str, str]:
    """What a product's page states, by name; its brand among it."""
    raw = (product or {}).get("attributes")
    listed = {str(key): clean(value) for key, value in raw.items()} if isinstance(raw, Mapping) else {}
    brand = (product or {}).get("brand")
    return {**listed, "brand": clean(brand)} if brand else listed


def _assumed(view: View, meant: Meant) -> str:
    if not meant.assumed:
        return ""
    return view.say(f"(I took the best match of {meant.others + 1}; open a page to ask about another.) ",
                    f"(Tomé el mejor de {meant.others + 1} resultados; abre una página para preguntar por otro.) ")  # fmt: skip


def clean(value: object) -> str:
    """Text of a result on one line."""
    return " ".join(str(value or "").split())
