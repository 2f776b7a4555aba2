"""The shop model: from a request to tool calls, or to an answer. Deterministic; it sees what any provider's model sees.

Nothing is kept between calls: every round reads the message again, finds what its acts still lack, and asks for all of
that at once. When nothing is missing it answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from emulator.shop_model import (
    account,
    corrections,
    goods,
    ideas,
    memory,
    patterns,
    price_rules,
    products,
    ranks,
    slots,
    specs,
)
from emulator.shop_model.dialogue import Dialogue
from emulator.shop_model.understanding import Ask, another, asks_of, points_at_one
from emulator.shop_model.view import View, title_of
from emulator.shop_model.words import Reading, fold, holds, lexicon, read, stem
from emulator.shop_model.writes import outcome as outcome_text

Page = tuple[str, str]
"""(URL, title) of the web that a grounding model searches."""


@dataclass(frozen=True)
class Said:
    """What the model does: `calls` of tools (name, arguments), or `text` with the pages it `cited`."""

    calls: Sequence[tuple[str, dict[str, object]]] = ()
    text: str = ""
    cited: tuple[Page, ...] = ()


TOOLS = frozenset(
    (
        "add_to_cart", "auto_buy", "availability", "catalogue_search", "forget", "live_price", "order_change",
        "order_history", "order_status", "price_alert", "price_history", "product_details", "product_reviews",
        "recall", "remember", "reorder", "start_return", "web_search",
    )
)  # fmt: skip
"""The shop's tools, which this model knows; any other is a client's own."""

Act = Callable[[View, Ask], str | None]
_ACTS: dict[str, Act] = {
    "fact": products.fact, "price": products.price, "available": products.available, "history": products.history,
    "reviews": products.reviews, "search": products.search, "deals": products.deals, "compare": products.compare,
    "gift": ideas.gift, "plan": ideas.plan, "web": ideas.web, "style": ideas.style,
    "auto_buy": price_rules.auto_buy, "alert": price_rules.alert, "cart": account.cart, "cart_view": account.cart_view,
    "reorder": account.reorder, "orders": account.orders, "cancel": account.cancel, "change": account.change,
    "return": account.give_back, "remember": memory.remember, "forget": memory.forget, "recall": memory.recall,
    "rules": price_rules.rules, "out_of_cart": account.out_of_cart, "let_go": memory.let_go, "amend_fact": memory.amend,
}  # fmt: skip
_WRITES = (
    "auto_buy",
    "alert",
    "cart",
    "reorder",
    "cancel",
    "change",
    "return",
    "remember",
    "forget",
    "let_go",
    "amend_fact",
)
_MAY_AMEND = ("none", "no", "search", "cart", "alert", "auto_buy", "deals", "history")
_EMPTY = ("none", "yes", "no", "thanks", "hello", "told")

_LABELS = {
    "fact": "product_question", "price": "product_question", "available": "delivery", "history": "price_history",
    "reviews": "product_question", "search": "product_search", "deals": "deals", "compare": "comparison",
    "gift": "recommendation", "plan": "recommendation", "style": "recommendation", "web": "web_lookup",
    "auto_buy": "auto_buy", "alert": "price_alert", "cart": "reorder", "cart_view": "account", "reorder": "reorder",
    "orders": "order_status", "cancel": "order_change", "change": "order_change", "return": "returns_refunds",
    "remember": "account_memory", "forget": "account_memory", "recall": "account_memory", "human": "human_agent",
    "rules": "price_alert", "out_of_cart": "account", "let_go": "account_memory", "amend_fact": "account_memory", "policy": "returns_refunds",
}  # fmt: skip
_COMPLEX = ("compare", "plan", "gift", "style", "web")


def answer(dialogue: Dialogue, *, short: bool = False, pages: Sequence[Page] = ()) -> Said:
    """What the model says to a request.

    Args:
        short: the manner of a small model: fewer options, fewer words.
        pages: the web, for a model that searches it by itself (`dialogue.grounds`).
    """
    now = dialogue.now
    reading = read(now.words)
    view = View(dialogue, dialogue.language == "Spanish" or _spanish(dialogue, reading), short)
    asks = _asks(view, reading)
    if dialogue.grounds and (not dialogue.tools or any(ask.act in ("web", "plan") for ask in asks)):
        found = _search_pages(reading.text, pages)
        if not dialogue.tools or asks[0].act == "web":
            return Said(text=_grounded(view, found), cited=found)
        texts = _answers(view, asks)
        return _calls(view) if view.missing else Said(text="\n".join([*texts, _grounded(view, found)]), cited=found)
    texts = _answers(view, asks)
    return _calls(view) if view.missing else Said(text="\n".join(texts))


_FEW_WORDS = 4


def _spanish(dialogue: Dialogue, reading: Reading) -> bool:
    """Whether the customer writes Spanish; of a few words, none of them English alone, the message before tells."""
    if reading.spanish >= 0.4 or len(dialogue.exchanges) < 2 or len(reading.raw.split()) >= _FEW_WORDS:
        return reading.spanish >= 0.4
    told = any(word in lexicon().spanish for word in re.findall(r"[a-z]+", fold(reading.raw)))
    return told and read(dialogue.exchanges[-2].words).spanish >= 0.4


def label(message: str) -> str:
    """What a query planner says of a message: its intent and complexity."""
    asks = asks_of(read(message), page=False, images=0)
    act = asks[0].act
    return f"{_LABELS.get(act, 'out_of_scope')} {'complex' if act in _COMPLEX or len(asks) > 1 else 'simple'}"


_AMENDS = re.compile(
    r"\b(?:make|change|set|do|try) (?:it|that|this|them)\b|\binstead\b|\brather\b|^(?:no|actually|what about|how about|better)\b"
)
"""Words that put another figure in place of one that was named before."""


def _calls(view: View) -> Said:
    calls = view.missing if view.dialogue.parallel else view.missing[:1]
    return Said(calls=tuple(calls))


def _asks(view: View, reading: Reading) -> list[Ask]:
    """The message's asks; a bare answer to a question of ours, or `and the second one?`, takes up the ask before it."""
    dialogue = view.dialogue
    now = dialogue.now
    asks = asks_of(reading, page=now.page is not None, images=now.images)
    if len(dialogue.exchanges) < 2:
        return asks
    if (amended := _amended(dialogue, reading, asks)) is not None:
        return [amended]
    if len(asks) != 1:
        return asks
    (ask,) = asks
    before = dialogue.exchanges[-2]
    if ask.act == "yes" and _last_ask(dialogue, told=True).act == "told":
        return [Ask("remember", ask.text, before.words)]
    waited = _last_ask(dialogue)
    amends = ask.act == "no" or _AMENDS.search(ask.text)
    if waited.act in ("auto_buy", "alert") and patterns.ONLY_TELL.fullmatch(ask.text):  # `just alert me instead`
        return [Ask("alert", waited.text, ask.raw)]
    if waited.act == "rules" and patterns.SWITCH_OFF.search(ask.text):
        return [Ask("rules", ask.text, ask.raw)]
    if waited.act in ("auto_buy", "alert") and ask.act in _MAY_AMEND and amends and slots.wanted_price(ask.text).known:
        act = ask.act if ask.act in ("auto_buy", "alert") else waited.act  # `alert me at $60 instead` buys nothing
        return [Ask(act, f"{slots.without_price(waited.text)} , {ask.text}", ask.raw)]
    if (
        now.page is None
        and another(ask.text)
        and (wider := _last_search(dialogue)) is not None
        and not patterns.CHEAPER_ONES.search(ask.text)
    ):
        if (rank := ranks.named(ask.text)) is None:
            return [Ask("search", f"{wider} , another", ask.raw)]
        left = specs.without_size(wider) if rank.name == "size" else wider
        return [Ask("search", f"{left} , {ask.text} , another", ask.raw)]
    wide = ask.act not in ("auto_buy", "alert", "cart", "reorder") and _narrows(ask.text)
    if wide and (wider := _last_search(dialogue)) is not None:
        return [Ask("search", _narrowed(wider, ask.text), ask.raw)]
    if (
        ask.act in ("none", "search")
        and patterns.PLACE.search(ask.text)
        and slots.quantity(ask.text) > 1
        and not patterns.SEEK.search(ask.text)
    ):
        return [Ask("cart", ask.text, ask.raw)]  # `the third please, two bottles`
    if ask.act in ("none", "search") and _means_shown(view, ask.text):
        return [Ask("fact", ask.text, ask.raw)]
    if ask.act in ("none", "search") and _QUANTITY_ALONE.fullmatch(ask.text) and len(view.listed()) == 1:
        return [Ask("cart", f"{ask.text} of it", ask.raw)]
    if ask.act in ("none", "search") and _SOME_OF.match(ask.text) and slots.quantity(ask.text) > 1:
        return [Ask("cart", ask.text, ask.raw)]
    if ask.act in ("none", "search", "web", "style") and (picked := _picked(view, ask.text)) is not None:
        act = asks_of(Reading(ask.raw, picked, reading.spanish), page=True, images=0)[0].act
        return [Ask("fact" if act in ("none", "search") else act, ask.text, ask.raw)]
    if (
        ask.act == "search"
        and not slots.names_goods(ask.text)
        and patterns.ANY_ONE.search(ask.text)
        and patterns.SEEK.search(ask.text)
    ):
        earlier_text = read(before.words).text
        if slots.names_goods(earlier_text):
            return [Ask("search", f"{ask.text} , {' '.join(goods.phrase(earlier_text))}", ask.raw)]
    bare = ask.act in ("none", "search") or (
        ask.act == "fact" and ask.text.startswith(("and ", "what about", "how about"))
    )
    ours = before.answer.rstrip().endswith("?") or "?" in before.answer[:400]
    leans = ask.text.startswith(("and ", "what about", "how about", "the ", "that ", "number ", "option ", "yes , "))
    if (
        bare
        and (leans or (ours and len(ask.text.split()) <= 8))
        and not ask.text.startswith(("show", "find", "i need", "looking"))
    ):
        earlier = asks_of(read(before.words), page=before.page is not None, images=before.images)
        wide = earlier[0].act in ("gift", "plan", "style", "deals") and slots.names_goods(ask.text)
        if earlier[0].act in _ACTS and earlier[0].act != "search" and not wide:
            kept = earlier[0]
            return [Ask(kept.act, _carried(kept, ask), f"{kept.raw} {ask.raw}")]
    told = ask.act in ("none", "search") and _tells_rank(ask.text)
    return [Ask("fact", ask.text, ask.raw)] if told or (ask.act == "none" and points_at_one(ask.text)) else asks


_RECALLED = re.compile(r"^(?:please |just |and |, )*(?:delete|remove|erase|forget|scrap|drop|wipe)\b")
_UNDONE = re.compile(
    r"(?:(?:actually|no|please|ok|oh|just|,) )*(?:cancel|stop|undo|drop) (?:it|that|this)(?: please| now)?[ .!]*"
)


def _amended(dialogue: Dialogue, reading: Reading, asks: Sequence[Ask]) -> Ask | None:
    """What a message changes of what was just asked, done or left to confirm; None where it changes nothing."""
    before, text = dialogue.exchanges[-2], reading.text
    waits = any(use.data.get("status") == "needs_confirmation" for use in before.uses)
    if waits and _UNDONE.fullmatch(text):
        return Ask("no", text, reading.raw)
    if asks[0].act in ("search", "none", "out_of_cart") and _RECALLED.match(text) and _remembered(dialogue, text):
        return Ask("forget", text, reading.raw)
    if not waits and before.outcome is None and not any(use.tool == "remember" for use in before.uses):
        return None
    kept = _last_ask(dialogue)
    if corrections.amends(read(before.words).text) and len(dialogue.exchanges) > 2:  # `just one`, and then `make it 50`
        kept = _asks(View(replace(dialogue, exchanges=dialogue.exchanges[:-1]), False, False), read(before.words))[0]
    if kept.act in ("remember", "amend_fact"):
        return Ask("amend_fact", text, reading.raw) if memory.amended(dialogue, text) else None
    if kept.act not in ("auto_buy", "alert", "cart"):
        return None
    changed = corrections.figure_amended(kept.text, text, priced=kept.act != "cart") or corrections.thing_amended(
        kept.text, text
    )
    return Ask(kept.act, changed, reading.raw) if changed else None


def _remembered(dialogue: Dialogue, text: str) -> bool:
    """Whether words are those of a fact that is remembered."""
    return bool(memory.facts_of(dialogue.facts, _RECALLED.sub(" ", text)))


_RANKED = re.compile(
    r"^(?:and |ok |so |then |, )*the (?:[a-z]+ ){1,3}(?:ones?|pairs?|stars?|ratings?|reviews?)[ ?.!]*$"
)


def _tells_rank(text: str) -> bool:
    """Whether words are no more than a rank among those shown: `the lighter pair`, `the one with the best stars`."""
    return ranks.named(text) is not None and not slots.names_goods(text) and _RANKED.match(text) is not None


def _means_shown(view: View, text: str) -> bool:
    """Whether words are no more than a word of one title among those shown: `the walnut one`."""
    match = patterns.ONE_OF.fullmatch(text)
    if match is None or slots.names_goods(text):
        return False
    titles = view.listed(2)
    return any(all(holds(title_of(row), word) for word in match["which"].split()) for row in titles)


_NARROWS = re.compile(
    r"^(?:and |but |ok |or |maybe |rather |please |, )*(?:only|just|nothing|any|something|anything|do you have|are there|show me (?:more|others?|only|cheaper)|what about|how about|in|with|from|"
    r"under|below|between|over|up to|at most|cheaper|less)\b"
)


_BUDGET = re.compile(r"^(?:and |but |ok |, |well )*(?:i|my|we|our|the budget|budget|max|no more)\b")
_BARE_SUM = re.compile(
    r"(?:(?:ok|maybe|or|say|make it|rather|up to|,|how about|what about) )*[$€£]? ?(\d+(?:[.,]\d+)?)(?: dollars)?[ ?.!]*"
)
"""Another budget, and nothing but it: `ok maybe 110`."""


def _picked(view: View, text: str) -> str | None:
    """The words with `this one` in place of those that pick one of the products shown: its maker, or what it alone states."""
    if slots.names_goods(text) or patterns.SEEK.search(text):
        return None
    rare = [word for word in slots.things(text) if word not in lexicon().plain]
    one = _THE_ONE.search(text)
    listed = view.listed(2) if rare or one else []
    names = [word for word in rare if any(holds(title_of(row), word) for row in listed)]
    if names and sum(all(holds(title_of(row), word) for word in names) for row in listed) == 1:
        return re.sub(rf"\b(?:the )?{re.escape(' '.join(names))}(?: ones?)?\b", "this one", text)
    if one and view.of_listed_as_stated(one["which"], []) is not None:
        return text.replace(one[0], "this one")
    return None


_THE_ONE = re.compile(r"\bthe (?P<which>(?:[a-z0-9-]+ ){1,3})ones?\b")


_SOME_OF = re.compile(r"^(?:ok |yes |fine |, )*\w+ (?:[a-z]+ )?of the\b")
"""`2 bags of the dark ones`."""
_QUANTITY_ALONE = re.compile(
    r"(?:ok |yes |fine |, |i'll take |give me |just )*(?:\d{1,2}|two|three|four|five|six|seven|eight|nine) please[ .!]*"
)
"""How many of the product that was just told of: `3 please`."""


def _narrows(text: str) -> bool:
    """Whether words narrow the look for goods before them, and name none themselves: `any cheaper ones`, `in black`."""
    if _BARE_SUM.fullmatch(text) or goods.describes(text):
        return True
    budget = _BUDGET.match(text) is not None and slots.max_price(text) is not None
    return (budget or _NARROWS.match(text) is not None) and not slots.names_goods(text) and not points_at_one(text)


def _narrowed(text: str, further: str) -> str:
    """The words of a look for goods and those that narrow it; a new price, size or colour stands in place of the old one."""
    further = f"under {bare[1]}" if (bare := _BARE_SUM.fullmatch(further)) else further
    text = specs.without(text, further)
    return f"{slots.without_price(text) if slots.max_price(further) is not None else text} , {further}"


def _last_search(dialogue: Dialogue) -> str | None:
    """The words of the newest look for goods, with what narrowed it since; None where there was none of late."""
    narrowing: list[str] = []
    for earlier in reversed(dialogue.exchanges[-7:-1]):
        ask = asks_of(read(earlier.words), page=earlier.page is not None, images=earlier.images)[0]
        if _narrows(ask.text):
            narrowing.append(ask.text)
        elif ask.act == "search":
            return reduce(_narrowed, reversed(narrowing), ask.text)
    return None


def _last_ask(dialogue: Dialogue, *, told: bool = False) -> Ask:
    """The first ask of the newest earlier message that asked for something: a no or a thank-you in between is passed by."""
    earlier = dialogue.exchanges[-2]
    for earlier in reversed(dialogue.exchanges[-4:-1]):
        ask = asks_of(read(earlier.words), page=earlier.page is not None, images=earlier.images)[0]
        if ask.act not in _EMPTY or (told and ask.act == "told"):
            return ask
    return asks_of(read(earlier.words), page=False, images=0)[0]


def _carried(kept: Ask, ask: Ask) -> str:
    """The earlier ask with the product named now in place of the one it named; its figures stay."""
    text = f" {slots.without_moment(kept.text) if slots.moment(ask.text) else kept.text} "
    for word in slots.things(kept.text):
        text = text.replace(f" {word} ", " ")
    text = re.sub(r" (?:first|second|third|fourth|fifth|last|cheapest|cheaper|other|one) ", " ", text)
    for pointer in ("these", "this", "those", "that", "it", "them"):
        text = text.replace(f" {pointer} ", " ")
    return f"{' '.join(text.split())} {ask.text}"


def _answers(view: View, asks: Sequence[Ask]) -> list[str]:
    """A text for each ask that has all it needs; `view.missing` holds what the others wait for."""
    now = view.dialogue.now
    texts: list[str] = []
    if now.outcome is not None:
        texts.append(outcome_text(view, now.outcome))
        # The words that came with a confirmation are its consent; only what asks for something else is an ask.
        asks = [ask for ask in asks if ask.act not in _EMPTY and not _echoes(ask, view.dialogue)]
    if now.images and any(ask.act in ("fact", "search", "price", "available") for ask in asks) and view.page is None:
        texts.append(
            view.say("I cannot see the photo; I go by your words.", "No puedo ver la foto; voy por tus palabras.")
        )
    writes = 0
    for ask in asks:
        if ask.act in _WRITES:
            writes += 1
            if writes > 1 and ask.act not in ("remember", "forget"):
                texts.append(view.say("One thing to confirm at a time: ask me for the rest after that.",
                                      "Una confirmación a la vez: pídeme el resto después."))  # fmt: skip
                continue
        act = _ACTS.get(ask.act)
        text = act(view, ask) if act is not None else _talk(view, ask)
        if text:
            texts.append(text)
    return texts


def _echoes(ask: Ask, dialogue: Dialogue) -> bool:
    """Whether a message that confirms only repeats what it confirms."""
    outcome = dialogue.now.outcome
    tool = {"alert": "price_alert", "cart": "add_to_cart", "return": "start_return", "cancel": "order_change"}.get(
        ask.act, ask.act
    )
    return outcome is not None and outcome.result is not None and tool == outcome.tool


def _talk(view: View, ask: Ask) -> str:
    """What needs no tool."""
    if ask.act == "others_account":
        return view.say("I can only see and use the account that is signed in, and no other customer's. I can help with your own orders.",
                        "Solo puedo ver y usar la cuenta que ha iniciado sesión, la de ningún otro cliente. Puedo ayudarte con tus pedidos.")  # fmt: skip
    if ask.act == "override":
        return view.say("I keep to the store's rules, whatever a message says, and I do nothing without your confirmation. What can I find for you?",
                        "Sigo las reglas de la tienda, diga lo que diga un mensaje, y no hago nada sin tu confirmación. ¿Qué busco para ti?")  # fmt: skip
    if ask.act == "checkout":
        return view.say("I place no orders and charge no card: the cart is yours to review, and you check out yourself.",
                        "No hago pedidos ni cobro: el carrito es tuyo para revisar, y pagas tú mismo.")  # fmt: skip
    if ask.act == "human":
        return view.say(
            "I am handing you over to a person; they will see this conversation.",
            "Te paso con una persona; verá esta conversación.",
        )
    if ask.act == "policy":
        return view.say("I do not have the store's policies, codes and payments here, so I will not guess. Shall I hand you over to a person?",
                        "No tengo aquí las políticas ni los pagos de la tienda y no voy a adivinar. ¿Te paso con una persona?")  # fmt: skip
    if ask.act == "no_stock_alert":
        return view.say("I can watch a price for you, and not the stock: please look again, or ask me for something like it.",
                        "Puedo vigilar un precio, pero no las existencias: vuelve a mirar, o pídeme algo parecido.")  # fmt: skip
    if ask.act == "unsafe":
        return view.say("I do not help with that. If anyone is in danger, please call the emergency number where you are.",
                        "No ayudo con eso. Si alguien está en peligro, llama al número de emergencias de tu zona.")  # fmt: skip
    if ask.act == "self":
        return view.say(
            "I am the store's shopping assistant, a computer program. ", "Soy el asistente de la tienda, un programa. "
        ) + _help(view)
    if ask.act == "told":
        return view.say("Thank you for telling me. I keep only what you ask me to: shall I remember that?",
                        "Gracias por contármelo. Solo guardo lo que me pides: ¿lo recuerdo?")  # fmt: skip
    if ask.act == "thanks":
        return view.say("You are welcome. Anything else?", "De nada. ¿Algo más?")
    if ask.act in ("yes", "no"):
        return _bare(view, ask)
    if ask.act == "off_topic":
        return view.say("That is outside of what I do. ", "Eso queda fuera de lo que hago. ") + _help(view)
    if ask.act == "none" and view.dialogue.now.words.strip():
        return view.say(
            "I am not sure what you mean; I read English and Spanish. ",
            "No sé bien qué quieres decir; leo inglés y español. ",
        ) + _help(view)
    return (view.say("Hello. ", "Hola. ") if ask.act == "hello" else "") + _help(view)


def _bare(view: View, ask: Ask) -> str:
    """A yes or no without the store's confirmation."""
    waits = len(view.dialogue.exchanges) > 1 and any(
        use.data.get("status") == "needs_confirmation" for use in view.dialogue.exchanges[-2].uses
    )
    if ask.act == "no":
        return view.say("All right, nothing was done.", "De acuerdo, no se hizo nada.")
    if waits:
        return view.say("It is not done yet: the store needs your confirmation of exactly what it showed. Press confirm, and it is carried out.",
                        "Todavía no está hecho: la tienda necesita que confirmes exactamente lo que mostró. Pulsa confirmar y se hará.")  # fmt: skip
    return view.say("There is nothing to confirm. ", "No hay nada que confirmar. ") + _help(view)


def _help(view: View) -> str:
    return view.say(
        "I can help with products, prices and price alerts, buying at a price, your orders and reorders, gifts, and plans.",
        "Puedo ayudarte con productos, precios y alertas, compras a un precio, tus pedidos, regalos y planes.",
    )


def _search_pages(text: str, pages: Sequence[Page]) -> tuple[Page, ...]:
    """The pages whose titles share most words with the question, best first."""
    wanted = {stem(word) for word in slots.things(text)}
    scored = [
        (len(wanted & {stem(word) for word in fold(page[1]).split()}), -number) for number, page in enumerate(pages)
    ]
    best = sorted((row for row in scored if row[0]), reverse=True)[:3]
    return tuple(pages[-number] for _, number in best)


def _grounded(view: View, found: Sequence[Page]) -> str:
    if not found:
        return view.say("I found nothing about that on the web, and I do not know it myself.",
                        "No encontré nada sobre eso en la web, y yo no lo sé.")  # fmt: skip
    lines = [f"- {title} ({url})" for url, title in found]
    return "\n".join([view.say("From the web:", "De la web:"), *lines])
