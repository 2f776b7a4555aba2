"""A change of mind within one message: `the corded drill, no wait, the cordless one` asks for the cordless drill."""

from __future__ import annotations

import re

from emulator.shop_model import goods, patterns, slots
from emulator.shop_model.words import lexicon

_MARK = re.compile(
    r"[ ,.;!?]*\b(?:(?:oh|hmm|ok|well|no|or|but|and|actually|ah|wait) ?,? ?)*"
    r"(?:no ,? ?wait|wait ,? ?no|or no|or rather|actually no|scratch that|scrap that|(?:oh|actually) ,? ?forget (?:that|it)|on second thoughts?|"
    r"hold on|(?:sorry|no) ?,? ?(?:i )?(?:meant?|make (?:it|that))|sorry|i meant|(?:hmm|no|actually|wait) ?,? ?make (?:it|that))\b[ ,.;!?]*"
)
_OPENS = re.compile(r"(?:(?:just|only|please|then|rather|so) )*(?:" + patterns.OPENERS + r"|alert|don't)\b")
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")


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
