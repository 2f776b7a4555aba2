"""What of a sampled turn needs no judge: the tool ran, figures and citations of the answer are those of the results.

A turn's sample holds its own calls and results. What an answer takes from an earlier turn is therefore counted as not
held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.quality.sample_buffer import SampledTurn

TOOLS_OF: Mapping[str, frozenset[str]] = {
    "product_question": frozenset({"product_details", "product_reviews", "availability", "catalogue_search"}),
    "comparison": frozenset({"product_details", "catalogue_search"}),
    "recommendation": frozenset({"catalogue_search", "web_search"}),
    "product_search": frozenset({"catalogue_search"}),
    "deals": frozenset({"catalogue_search", "price_history", "live_price"}),
    "price_history": frozenset({"price_history"}),
    "price_alert": frozenset({"price_alert"}),
    "auto_buy": frozenset({"auto_buy"}),
    "reorder": frozenset({"reorder"}),
    "order_status": frozenset({"order_status", "order_history"}),
    "order_change": frozenset({"order_change"}),
    "delivery": frozenset({"order_status", "order_history", "availability", "product_details"}),
    "returns_refunds": frozenset({"start_return", "order_history"}),
    "account_memory": frozenset({"remember", "recall", "forget"}),
    "web_lookup": frozenset({"web_search"}),
}
"""Intent -> tools of which one must have run, been fetched beforehand or wait for a confirmation; others imply none."""
CHECKS = ("tool_ran", "figures_held", "citations_returned")
_PREFETCH = re.compile(r'<(?:prefetch|confirmed|declined) tool="([a-z_]+)"')
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}([.,]\d{3})+")
_PLACE_IN_LIST = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)
_URL = re.compile(r"https?://[^\s)\]>\"',]+")


_AMOUNTS_MAX = 40
"""Amounts of one turn that are paired. With many, a whole percentage is soon one of theirs by chance."""


@dataclass(frozen=True)
class Exact:
    """One turn's checks, None where there is nothing to check. `missing`: figures and addresses nothing returned."""

    intent: str
    tool_ran: bool | None
    figures_held: bool | None
    citations_returned: bool | None
    missing: tuple[str, ...] = ()


def check_exactly(turn: SampledTurn) -> Exact:
    """The checks of one turn."""
    given = f"{turn.context}\n{turn.message}"
    cited = set(_URL.findall(turn.answer))
    invented = sorted(url for url in cited if url.rstrip(".") not in given)
    figures = _figures(_URL.sub("", _PLACE_IN_LIST.sub("", turn.answer)))
    given_figures = _figures(given)
    known = set(given_figures.values())
    known |= _percentages({value for text, value in given_figures.items() if "." in text})
    unknown = [text for text, value in figures.items() if value not in known]
    wanted = TOOLS_OF.get(turn.intent)
    return Exact(
        turn.intent,
        None if wanted is None else bool(wanted & set(_tools(turn.context))),
        not unknown if figures else None,
        not invented if cited else None,
        (*unknown, *invented),
    )


def _figures(text: str) -> dict[str, float]:
    """Numbers of a text as they are written, and what they are: 1,299.00 and 1299 are one figure."""
    return {found: _value(found) for found in _NUMBER.findall(text)}


def _percentages(amounts: set[float]) -> set[float]:
    """Whole percent between two amounts of the results: savings are worked out, and not returned."""
    few = sorted(amounts)[:_AMOUNTS_MAX]
    pairs = [(low, high) for low in few for high in few if 0 < low < high]
    return {float(round(100 * (1 - low / high))) for low, high in pairs} | {
        float(round(100 * (high / low - 1))) for low, high in pairs
    }


def _value(text: str) -> float:
    """The last separator is the decimal one, unless all of a kind part groups of three digits."""
    kinds = {character for character in text if character in ".,"}
    if not kinds or (len(kinds) == 1 and _THOUSANDS.fullmatch(text)):
        return float(re.sub(r"[.,]", "", text))
    whole, part = re.split(r"[.,](?=\d+$)", text)
    return float(f"{re.sub(r'[.,]', '', whole)}.{part}")


def _tools(context: str) -> Iterator[str]:
    """Tools that ran without an error, were fetched beforehand, or wait."""
    try:
        messages = json.loads(context)
    except ValueError:
        return
    names: dict[str, str] = {}
    for block in _blocks(messages):
        use, result = block.get("toolUse"), block.get("toolResult")
        if isinstance(use, Mapping):
            names[str(use.get("toolUseId"))] = str(use.get("name"))
        elif isinstance(result, Mapping) and result.get("status") != "error":
            yield names.get(str(result.get("toolUseId")), "")
        yield from _PREFETCH.findall(str(block.get("text", "")))


def _blocks(messages: object) -> Iterator[Mapping[str, object]]:
    """Content blocks of messages, in order. A sample's messages are lists of blocks, or hold one as `content`."""
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, Mapping) else message
        yield from (block for block in content or () if isinstance(block, Mapping))


def exact_table(turns: Iterable[SampledTurn]) -> list[dict[str, object]]:
    """By intent, and over all as `any`: of each check how many turns it concerns, and how many pass."""
    checked = [check_exactly(turn) for turn in turns]
    groups = {"any": checked}
    for one in checked:
        groups.setdefault(one.intent, []).append(one)
    return [{"intent": intent, "turns": len(group), **_counts(group)} for intent, group in sorted(groups.items())]


def _counts(group: Sequence[Exact]) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    for name in CHECKS:
        told = [value for one in group if (value := getattr(one, name)) is not None]
        counts[name] = {"passed": sum(told), "of": len(told)}
    return counts


def exact_lines(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """The table as text."""
    rows = [f"{'exact, by intent':<22} {'turns':>6}  tool ran    figures     citations"]
    for row in table:
        cells = (f"{row[name]['passed']} of {row[name]['of']}" if row[name]["of"] else "-" for name in CHECKS)
        rows.append(f"{row['intent']:<22} {row['turns']:6d}  " + "".join(f"{cell:<12}" for cell in cells).rstrip())
    return rows
