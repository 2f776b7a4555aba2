"""A change of mind within one message: `the corded drill, no wait, the cordless one` asks for the cordless drill."""

from __future__ import annotations

import re

from emulator.shop_model import goods, patterns, slots
from emulator.shop_model.words import lexicon, number

_MARK = re.compile(
    r"[ ,.;!?]*\b(?:(?:oh|hmm|ok|well|no|or|but|and|actually|ah|wait) ?,? ?)*"
    r"(?:no ,? ?wait|wait ,? ?no|or no|or rather|actually no|scratch that|scrap that|(?:oh|actually) ,? ?forget (?:that|it)|on second thoughts?|"
    r"hold on|(?:sorry|no) ?,? ?(?:i )?(?:meant?|make (?:it|that))|sorry|i meant|(?:hmm|no|actually|wait) ?,? ?make (?:it|that))\b[ ,.;!?]*"
)
_OPENS = re.compile(r"(?:(?:just|only|please|then|rather|so) )*(?:" + patterns.OPENERS + r"|alert|don't)\b")
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
_AMENDING = (
    r"(?:actually|no|yes|oops|hmm|oh|wait|sorry|ok|and|but|well|so|rather|please|instead|i meant?|(?:make|change|set|update|correct|fix) (?:it|that|this|them)|"
    r"only|just|to|at|a|say|let's say|it is|that is|it should be|should be|better|perhaps|maybe|then|for me|i want|[,.!])"
)
_AMENDED = re.compile(
    rf"(?:{_AMENDING} )*(?P<money>[$€£¥] ?)?(?P<figure>\d+(?:[.,]\d+)*|one|two|three|four|five|six|seven|eight|nine)"
    r"(?: ?(?P<sum>dollars|euros|pounds|yen|[$€£¥])| ?(?P<share>%|percent)(?: off)?|(?: of (?:them|those|these|each|it)| ?x| pairs?| units?| pieces?| packs?| bottles?| boxes| bags)(?P<count>))?"
    rf"(?: {_AMENDING})*[ .!?]*"
)
_OTHER = re.compile(
    rf"(?:{_AMENDING} )+(?P<which>(?:the|in(?: an?)?|an?) [a-z0-9 -]+?(?P<one> ones?)?)(?: {_AMENDING})*[ .!?]*"
)


_FEW = 10
"""Below it a bare figure is how many are bought, and no price."""


def figure_amended(kept: str, text: str, *, priced: bool) -> str | None:
    """The words of an ask with another figure in place of its own: `make it 75`, `no two pairs`; None where there is none.

    Args:
        priced: whether the ask waits for a price, which a figure without a unit then is.
    """
    match = _AMENDED.fullmatch(text)
    if match is None:
        return None
    figure = match["figure"]
    counts = match["count"] is not None
    if (match["share"] or match["money"] or match["sum"]) and not priced:
        return None
    if match["share"]:
        return f"{slots.without_price(kept)} , {figure} %"
    bare = not (match["share"] or match["money"] or match["sum"])
    few = bare and slots.buys(kept) and 0 < float(slots.count(figure) if figure.isalpha() else number(figure)) < _FEW
    if counts or few or not priced:
        return (
            f"{slots.without_quantity(kept)} , {figure} of them"
            if figure.isdigit() or figure in slots.NUMBERS
            else None
        )
    sign = match["money"] or ""
    unit = match["sum"] or ("" if sign else "dollars")
    return (
        f"{slots.without_price(kept)} , at {sign}{slots.count(figure) if figure.isalpha() else figure} {unit}".rstrip()
    )


def amends(text: str) -> bool:
    """Whether words are nothing but another figure or another one of the same things."""
    return _AMENDED.fullmatch(text) is not None or _OTHER.fullmatch(text) is not None


def thing_amended(kept: str, text: str) -> str | None:
    """The words of an ask with another of the same things in it: `actually the black one instead`; None where none is named."""
    match = _OTHER.fullmatch(text)
    if match is None or not (match["one"] or goods.describes(match["which"])):
        return None
    which = (
        re.sub(r"^(?:in )?(?:an? )?(?:the )?", "the ", match["which"].removesuffix(" ones").removesuffix(" one"))
        + " one"
    )
    if _ONE.search(kept):
        return _ONE.sub(which, kept)
    return corrected(f"{kept} , sorry , {which}")


_ONE = re.compile(r"\bthe (?:[a-z0-9-]+ ){1,3}ones?\b")


def fact_amended(fact: str, text: str) -> str | None:
    """A fact with another figure in it; None where either has none."""
    if (size := _SIZE.fullmatch(text)) is not None and len(sizes := list(_A_SIZE.finditer(fact))) == 1:
        return f"{fact[: sizes[0].start()]}{size[1]}{fact[sizes[0].end() :]}"
    match = _AMENDED.fullmatch(text)
    if match is None or _FIGURE.search(fact) is None:
        return None
    return _with_figure(fact, text)


_SIZE = re.compile(rf"(?:{_AMENDING} )*(?:size )?(xxl|xl|xs|[sml]|small|medium|large)(?: {_AMENDING})*[ .!?]*")
_A_SIZE = re.compile(r"(?i)(?<!['’])\b(?:xxl|xl|xs|[sml]|small|medium|large)\b")


def corrected(text: str) -> str:
    """The message as its writer left it: what the last correction replaces is gone, what it keeps stands."""
    marks = [match for match in _MARK.finditer(text) if text[match.end() :].strip(" ,.!?")]
    if not marks:
        return text
    before, after = text[: marks[-1].start()].strip(), text[marks[-1].end() :].strip()
    if not before:
        return after if re.search(r"\b(?:meant?|hold on|scratch|scrap)\b", marks[-1][0]) else text
    named = goods.phrase(before) if slots.names_goods(before) else []
    if _OPENS.match(after):
        return after if slots.names_goods(after) or not named else f"{after} , the {' '.join(named)}"
    if not slots.things(after):
        return _with_figure(before, after)
    head = next((word for word in reversed(named) if word in lexicon().goods), "one")
    after = re.sub(r"\bones?\b", head, after)
    kept = " ".join(word for word in before.split() if word not in named)
    return f"{re.sub(r' (?:the|a|an|some)$', '', kept)} {after}"


def _with_figure(before: str, after: str) -> str:
    """The figure behind a correction in place of the last one before it; words without any are left out."""
    figure, old = _FIGURE.search(after), list(_FIGURE.finditer(before))
    if figure is None or not old:
        return before
    return f"{before[: old[-1].start()]}{figure[0]}{before[old[-1].end() :]}"
