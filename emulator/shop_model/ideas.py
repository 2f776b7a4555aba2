"""Acts that have no one product in mind: gifts, plans, style, and what the web says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from emulator.shop_model import slots
from emulator.shop_model.dialogue import Use
from emulator.shop_model.products import attributes, clean, fitting, nothing, options, search
from emulator.shop_model.understanding import Ask
from emulator.shop_model.view import Product, View, matching, title_of
from emulator.shop_model.words import fold, lexicon, read, stem

_NEUTRAL = ("black", "white", "grey", "navy", "cream", "graphite")
_CLOTHES = ("sneakers", "jeans", "rain jacket", "flannel shirt", "tote bag")
_EVENTS = {
    "wedding": ("midi dress",), "interview": ("winter coat", "tote bag"), "beach": ("sneakers", "tote bag"),
    "winter": ("winter coat", "wool socks"), "rain": ("rain jacket",), "date": ("midi dress", "flannel shirt"),
    "casual": ("jeans", "sneakers", "flannel shirt"), "hike": ("hiking boots", "rain jacket"), "hiking": ("hiking boots", "rain jacket"), "office": ("flannel shirt", "tote bag"),
}  # fmt: skip
_SPANISH_PEOPLE = {
    "mom": "mamá", "dad": "papá", "sister": "hermana", "brother": "hermano", "wife": "esposa", "husband": "esposo",
    "son": "hijo", "daughter": "hija", "friend": "amistad", "grandma": "abuela", "grandpa": "abuelo", "neighbour": "vecino",
}  # fmt: skip
_ANYBODYS = {
    "someone": "them",
    "child": "a child",
    "teenager": "a teenager",
    "teen": "a teenager",
    "toddler": "a toddler",
}
_SPANISH_ANYBODYS = {
    "someone": "esa persona", "child": "un niño", "teenager": "un adolescente", "teen": "un adolescente", "toddler": "un niño pequeño",
}  # fmt: skip


def gift(view: View, ask: Ask) -> str | None:
    """Gifts for a person: by what is remembered of that person, else by what people like."""
    who = slots.person(ask.text) or _person_before(view, ask.text) or "someone"
    names = set(slots.things(ask.text)) - lexicon().plain  # `a gift for dana`
    facts = [fact for fact in view.dialogue.facts if names & set(said := read(fact).text.split()) or who in said]
    if not facts and "recall" in view.dialogue.tools and who != "someone":
        use = view.want("recall", query=who)
        if use is None:
            return None
        facts = [str(fact) for fact in use.data.get("facts") or ()]
    told = " ".join([*facts, ask.text])
    goods = slots.liked(read(told).text.replace(who, " "))[:3]
    liked, known = bool(goods), bool(goods) and bool(facts)
    goods = goods or lexicon().people.get(who) or lexicon().people["someone"]
    found = _each(view, goods, slots.max_price(ask.text))
    if found is None:
        return None
    person = view.say(
        _ANYBODYS.get(who, f"your {who}"), _SPANISH_ANYBODYS.get(who, f"tu {_SPANISH_PEOPLE.get(who, who)}")
    )
    if known:
        lead = view.say(f"You told me: {'; '.join(clean(fact) for fact in facts)}. Ideas for {person}:",
                        f"Me contaste: {'; '.join(clean(fact) for fact in facts)}. Ideas para {person}:")  # fmt: skip
    elif facts and not liked:
        lead = view.say(f"You told me: {'; '.join(clean(fact) for fact in facts)}. I know no goods for that; other ideas for {person}:",
                        f"Me contaste: {'; '.join(clean(fact) for fact in facts)}. No sé de nada para eso; otras ideas para {person}:")  # fmt: skip
    elif liked:
        lead = view.say(f"Ideas for {person}, by what they like:", f"Ideas para {person}, por lo que le gusta:")
    else:
        lead = view.say(f"Ideas for {person}; tell me what they like, and I can do better:",
                        f"Ideas para {person}; dime qué le gusta y puedo afinar:")  # fmt: skip
    found, late = fitting(found, ask.text)
    if not found:
        return nothing(view, goods, slots.max_price(ask.text))
    if late:
        lead = view.say(f"Nothing of that kind arrives that soon. {lead}", f"Nada así llega tan pronto. {lead}")
    return f"{lead}\n{options(view, found)}"


def _person_before(view: View, text: str) -> str | None:
    """Whom `him` or `her` means: the person last talked of."""
    if re.search(r"\b(?:him|her|them)\b", text) is None:
        return None
    earlier = (slots.person(read(exchange.words).text) for exchange in reversed(view.dialogue.exchanges[:-1]))
    return next((person for person in earlier if person), None)


def plan(view: View, ask: Ask) -> str | None:
    """What an occasion takes: facts from the web with their addresses, and products by need."""
    occasion = slots.occasion(ask.text)
    if occasion is None:
        return search(view, ask)
    name, needs = occasion
    web = (
        view.want("web_search", query=needs[0] if name in needs[0] else f"{name} {needs[0]}")
        if "web_search" in view.dialogue.tools
        else None
    )
    uses = [view.want("catalogue_search", query=need, max_price=slots.max_price(ask.text), limit=2) for need in needs]
    if view.missing:
        return None
    lines = [view.say(f"For {name}, think of {', '.join(needs)}.", f"Para {name}, piensa en {', '.join(needs)}.")]
    for need, use in zip(needs, uses, strict=True):
        rows = matching(use, need.split()) if use is not None else []
        if rows:
            lines.append(
                f"- {need}: "
                + "; ".join(f"{title_of(row)} ({view.price(row)})" for row in rows[: 1 if view.short else 2])
            )
        else:
            lines.append(view.say(f"- {need}: nothing in our catalogue fits", f"- {need}: nada en nuestro catálogo"))
    return "\n".join([*lines, *_sources(view, web)])


def web(view: View, ask: Ask) -> str | None:
    """What the web says, by the addresses that were returned."""
    if view.dialogue.grounds:
        return None  # its own search answers; see `model.py`
    use = view.want("web_search", query=ask.text[:150])
    if use is None:
        return None
    lines = _sources(view, use)
    return (
        "\n".join(lines)
        if lines
        else view.say(
            "I found nothing about that on the web, and I do not know it myself.",
            "No encontré nada sobre eso en la web, y yo no lo sé.",
        )
    )


def style(view: View, ask: Ask) -> str | None:
    """What goes with what: pieces in neutral colours, for the product in view or the photo."""
    here = view.details(view.page) if view.page is not None else None
    if view.page is not None and here is None:
        return None
    goods = _wearable(ask.text) or list(_CLOTHES[:3])
    goods = [good for good in goods if here is None or stem(good) not in fold(title_of(here))] or list(_CLOTHES[:3])
    uses = [
        view.want("catalogue_search", query=good, max_price=slots.max_price(ask.text), limit=5) for good in goods[:3]
    ]
    if view.missing:
        return None
    rows: list[Product] = []
    for good, use in zip(goods, uses, strict=False):
        hits = matching(use, good.split()) if use is not None else []
        rows += sorted(hits, key=lambda row: not any(colour in fold(title_of(row)) for colour in _NEUTRAL))[:2]
    if not rows:
        return nothing(view, goods, None)
    colour = attributes(here).get("colour") if here else None
    seen = (
        view.say("Going by your photo and your words, a", "Por tu foto y tus palabras, a")
        if view.dialogue.now.images
        else view.say("A", "A")
    )
    with_ = title_of(here) if here else view.say("it", "eso")
    shade = view.say(f" ({colour})", f" ({colour})") if colour else ""
    lead = view.say(f"{seen} quiet colour is the safe match with {with_}{shade}. These would go with it:",
                    f"{seen}poyarse en un color neutro combina bien con {with_}{shade}. Irían bien:")  # fmt: skip
    rows = list({row["product_id"]: row for row in rows}.values())
    return f"{lead}\n{options(view, rows[: 3 if view.short else 5])}"


def _wearable(text: str) -> list[str]:
    """Clothes that the words ask for, and what an event calls for; what stands behind `with` is there already."""
    before = re.split(r"\b(?:with|match(?:es|ing)?)\b", text)[0]
    text = (
        before
        if any(word in before for word in ("shoes", "boots", "sneakers", "jacket", "coat", "dress", "shirt", "jeans"))
        else text
    )
    worn = (
        "sneakers",
        "shoes",
        "boots",
        "jeans",
        "jacket",
        "coat",
        "dress",
        "shirt",
        "socks",
        "tote",
        "bag",
        "base layer",
    )
    named = [{"shoes": "sneakers", "bag": "tote bag", "tote": "tote bag", "boots": "hiking boots"}.get(word, word)
             for word in worn if re.search(rf"\b{word}\b", text)]  # fmt: skip
    events = [thing for event, things in _EVENTS.items() if re.search(rf"\b{event}", text) for thing in things]
    return list(dict.fromkeys([*named, *events]))


def _each(view: View, goods: Sequence[str], limit_price: float | None) -> list[Product] | None:
    """The best hit of each of several searches made at once; None while they are out."""
    uses = [view.want("catalogue_search", query=good, max_price=limit_price, limit=2) for good in goods]
    if view.missing:
        return None
    rows: list[Product] = []
    for good, use in zip(goods, uses, strict=True):
        rows += (matching(use, good.split()) if use is not None else [])[: 1 if view.short else 2]
    return list({row["product_id"]: row for row in rows}.values())[: 3 if view.short else 5]


def _sources(view: View, use: Use | None) -> list[str]:
    """What a web search returned, each with its address; nothing else is ever cited."""
    if use is None:
        return []
    pages = [page for page in use.data.get("results") or () if isinstance(page, Mapping) and page.get("url")]
    lines = [view.say("From the web:", "De la web:")] if pages else []
    if answer := clean(use.data.get("answer")):
        lines.append(answer)
    for page in pages[: 2 if view.short else 3]:
        text = clean(page.get("text")).split(". ")[-1].rstrip(".")[:200]
        lines.append(f"- {clean(page.get('title')) or page['url']}: {text + ' ' if text else ''}({page['url']})")
    return lines
