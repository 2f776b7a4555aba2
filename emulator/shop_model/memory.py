"""Acts on what is remembered about a customer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from emulator.shop_model import corrections, slots
from emulator.shop_model.dialogue import Dialogue
from emulator.shop_model.understanding import Ask
from emulator.shop_model.view import View
from emulator.shop_model.words import holds, read
from emulator.shop_model.writes import written

_REMEMBER = re.compile(
    r"(?i)\b(?:remember|don['’]?t forget|keep in mind|bear in mind|make a note|take a note|note(?: down)?|save|for (?:future|your) reference|just so you know|for the record|keep (?:it |this )?on file|store this|acu[eé]rdate de|recuerda|recordar|"
    r"apunta|anota)\b[,:]?\s*(?:(?:that|this|to|que|down|please)\b[,:]?\s*)*(.+)",
    re.DOTALL,
)
_BEFORE = re.compile(
    r"(?is)^(?P<fact>.*?)[\s,.;:!?–-]*\b(?:(?:please|can you|could you|will you|and|so|por favor|y)[\s,]+)*"
    r"(?:remember|don['’]?t forget|(?:keep|bear)(?: (?:that|this|it))? in mind|make a note|take a note|note|save|recuerda(?:lo)?|recordar|apunta(?:lo)?|"
    r"anota(?:lo)?)(?:[\s,]+(?:that|this|it|of|down|please|for me|for later|for next time|too|now|will you|would you|can you|ok|okay|thanks|eso|esto|lo|por favor))*[\s.!?]*$"
)
"""`I am allergic to nuts, please remember that`: the fact stands before the verb."""
_AGREED = re.compile(r"(?i)^(?:(?:yes|yeah|yep|sure|ok(?:ay)?|please|do|s[ií]|vale|claro)\b[\s,.!]*)+")
_FURTHER = re.compile(
    r"(?i),? (?:and|then|also|y)(?: then| also| please)* (?=(?:find|show|recommend|suggest|search|busca|muestra)(?:me)?(?: me)?\b)"
)
_FORGET = re.compile(
    r"(?i)\b(?:forget|erase|delete|wipe|clear|olvida|borra)\b[,:]?\s*(?:(?:that|about|what you know about|the fact|everything about|que|lo de)\b\s*)*(.+)",
    re.DOTALL,
)


_NOTES = frozenset(
    [
        "notes",
        "memory",
        "facts",
        "fact",
        "forget",
        "saved",
        "stored",
        "erase",
        "delete",
        "clear",
        "wipe",
        "scrap",
        "remove",
    ]
)
"""Words around what is to be forgotten that name no fact."""


def _behind(raw: str, verb: str) -> str:
    """The words behind a verb that was misspelt: `rember my sons name is tim`."""
    words = raw.split()
    for place, word in enumerate(words[:-1]):
        if read(word).text.strip(" .,;:!?") == verb:
            return re.sub(r"(?i)^(?:(?:that|about|this|please)\b[,:]?\s*)+", "", " ".join(words[place + 1 :]))
    return raw


def remember(view: View, ask: Ask) -> str | None:
    """One fact, in the customer's words: behind the verb, before it, or in the message before."""
    if before := _BEFORE.match(ask.raw):
        earlier = view.dialogue.exchanges[-2].words if len(view.dialogue.exchanges) > 1 else ""
        told = _AGREED.sub("", before["fact"]) or earlier
    else:
        match = _REMEMBER.search(_FURTHER.split(ask.raw)[0])
        told = match[1] if match else _behind(ask.raw, "remember")
    fact = " ".join(told.split()).rstrip(".!? ")[:290]
    if not fact:
        return view.say("What should I remember?", "¿Qué debo recordar?")
    use = view.want("remember", fact=fact)
    return None if use is None else written(view, use)


def amended(dialogue: Dialogue, text: str) -> str | None:
    """The fact kept a moment ago with another figure in it; None where no fact was kept, or words change none."""
    kept = _just_kept(dialogue)
    return None if kept is None else corrections.fact_amended(kept, text)


def amend(view: View, ask: Ask) -> str | None:
    """Another figure in a fact: the new fact is kept, and the old one stands until the customer lets it go."""
    kept, fact = _just_kept(view.dialogue), amended(view.dialogue, ask.text)
    use = view.want("remember", fact=fact)
    if use is None:
        return None
    return written(view, use) + view.say(
        f" The earlier one, `{kept}`, stands until you ask me to forget it.",
        f" Lo anterior, `{kept}`, sigue guardado hasta que me pidas olvidarlo.",
    )


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
    if not (set(slots.things(ask.text)) - _NOTES) and (kept := _just_kept(view.dialogue)) is not None:
        use = view.want("forget", fact=kept)
        return None if use is None else written(view, use)
    words = " ".join((match[1] if match else _behind(ask.raw, "forget")).split()).rstrip(".!? ")[:290]
    facts = facts_of(view.dialogue.facts, words)
    if len(facts) > 1:
        return view.say(f"Which one should I forget: {'; '.join(facts)}?", f"¿Cuál debo olvidar: {'; '.join(facts)}?")
    use = view.want("forget", fact=facts[0] if facts else words)
    return None if use is None else written(view, use)


def let_go(view: View, ask: Ask) -> str | None:
    """`don't remember that`: what was kept a moment ago is forgotten; where nothing was, nothing is done."""
    fact = _just_kept(view.dialogue)
    if fact is None:
        return view.say("All right, nothing was done.", "De acuerdo, no se hizo nada.")
    use = view.want("forget", fact=fact)
    return None if use is None else written(view, use)


def _just_kept(dialogue: Dialogue) -> str | None:
    """The fact that one of the last exchanges wrote, the newest first."""
    for before in reversed(dialogue.exchanges[-4:-1]):
        confirmed = before.outcome.result if before.outcome else None
        for data in (confirmed, *(use.data for use in before.uses)):
            if data and data.get("remembered"):
                return str(data["remembered"])
    return None


def facts_of(facts: Sequence[str], words: str) -> list[str]:
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
