"""The snapshot of a system of the user's own: the user's questions, one after another, and what the answers tell.

The script is asked twice of one running system: once to fill its caches, and once to measure. What an answer does not
hold is no figure, and is listed as not covered.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http.client import HTTPException

from assistant.ask import ask, new_session
from assistant.errors import AssistantError
from facts.tokens import TOKEN_CLASSES
from host import json_values
from host.json_values import number, objects, text, whole
from loadgen.job import LoadError, TargetSpec
from loadgen.targets.http import history_fields
from loadgen.targets.inspection import ask_mapped
from loadgen.targets.openai_options import OpenAiOptions, as_mapping
from loadgen.targets.signals import Signal
from peakday.gate.snapshot.figures import ERROR, USD_DIGITS, Figures, tools_of
from peakday.gate.snapshot.script import CUSTOMERS, Question, turn_row
from scenarios.questions import Entry

KINDS = ("assistant", "http", "openai")
"""Kinds of target whose answers are read here."""
TURNS_MAX = 100
"""Turns of a script: what is beyond is not asked, and a note says so. A choice of ours."""
ANSWERED = "answered"
NO_ANSWER, NOT_ASKED = "no_answer", "not_asked"
SILENT_MAX = 3
"""Conversations in a row without an answer, each waited for to its timeout, before the rest is not asked."""
_NAMES = {
    "input_tokens": "input tokens", "cache_read_tokens": "cached tokens", "output_tokens": "output tokens",
    "model_calls": "model calls", "cost_usd": "cost",
}  # fmt: skip
_RULES = {
    "model calls": "usage: {calls: PATH}", "model": "usage: {model: PATH}", "tools": "tools: {event: NAME, path: PATH}",
    "cost": "usage: {cost_usd: PATH}", "input tokens": "usage: {input_tokens: PATH}",
    "cached tokens": "usage: {cache_read_tokens: PATH}", "output tokens": "usage: {output_tokens: PATH}",
}  # fmt: skip
"""What is not covered -> the key of a mapping file that tells it."""


def script_of(entries: Iterable[Entry]) -> tuple[Question, ...]:
    """The user's questions as turns of one customer, each entry a conversation, in the order of the file."""
    turns = [
        Question(f"q{number}", text, CUSTOMERS[0], place)
        for number, entry in enumerate(entries, 1)
        for place, text in enumerate(entry.texts)
    ]
    return tuple(turns[:TURNS_MAX])


def drive_own(
    spec: TargetSpec, asked: Sequence[Question], admitted: Mapping[str, tuple[str, ...]], addresses: Sequence[str] = ()
) -> list[dict[str, object]]:
    """Ask every question, each after the answer before it; one row each. A turn that failed ends its conversation.

    A system that is silent (`SILENT_MAX`) is asked no more: the turns that are left are `not_asked`.

    Args:
        admitted, addresses: host -> addresses, and those of the target's own host, as the guard resolved them.
    """
    rows: list[dict[str, object]] = []
    silent = 0
    for intent in dict.fromkeys(one.intent for one in asked):
        turns = [one for one in asked if one.intent == intent]
        if silent >= SILENT_MAX:
            rows += [_failed(spec, one, NOT_ASKED) for one in turns]
            continue
        mine = _own_stream(spec, turns, addresses) if spec.kind == "assistant" else _mapped(spec, turns, admitted)
        for row in mine:
            rows.append(row)
            if str(row["end"]).startswith(ERROR):
                break
        silent = silent + 1 if rows[-1]["end"] == f"{ERROR}{NO_ANSWER}" else 0
    return rows


def gave_up(rows: Sequence[Mapping[str, object]]) -> bool:
    """Whether the system was silent, so that it was not asked all."""
    return any(row["end"] == f"{ERROR}{NOT_ASKED}" for row in rows)


def _failed(spec: TargetSpec, asked: Question, code: str) -> dict[str, object]:
    if spec.kind == "assistant":
        return turn_row(asked, [{"event": "error", "code": code}])
    return mapped_row(asked, [], code, tells_tools=False)


def _own_stream(spec: TargetSpec, turns: Sequence[Question], addresses: Sequence[str]) -> Iterator[dict[str, object]]:
    for one in turns:
        try:
            token = new_session(spec.url, one.customer_id, addresses=addresses)
            asked = ask(
                spec.url, one.message, session_token=token, interaction_id=f"check-{one.intent}",
                turn_index=one.turn_index, addresses=addresses,
            )  # fmt: skip
            events = [*asked]
        except (AssistantError, OSError, HTTPException):
            events = [{"event": "error", "code": NO_ANSWER}]
        except (ValueError, KeyError, TypeError):
            events = [{"event": "error", "code": "malformed"}]
        yield turn_row(one, events)


def _mapped(
    spec: TargetSpec, turns: Sequence[Question], admitted: Mapping[str, tuple[str, ...]]
) -> Iterator[dict[str, object]]:
    """The turns of one conversation with an `http` or `openai` target."""
    is_model = spec.kind == "openai"
    spec, opening = _as_http(spec)
    mapping = spec.mapping or {}
    history: list[tuple[str, str]] = []
    conversation_id = None
    for one in turns:
        history.append(("user", one.message))
        interaction_id = f"check-{one.intent}"
        fields = {
            "session_id": "check", "interaction_id": interaction_id, "turn_index": one.turn_index,
            "conversation_id": conversation_id, **history_fields([*opening, *history], interaction_id),
        }  # fmt: skip
        signals, problem = _asked(spec, one.message, admitted, fields)
        row = mapped_row(one, signals, problem, tells_tools=is_model or "tools" in mapping)
        row["model_calls"] = 1 if is_model else row["model_calls"]
        history.append(("assistant", "".join(str(each.value) for each in signals if each.kind == "text")))
        conversation_id = next((each.value for each in signals if each.kind == "conversation_id"), conversation_id)
        yield row


def _as_http(spec: TargetSpec) -> tuple[TargetSpec, list[tuple[str, str]]]:
    """The target as a mapping, and what stands before its conversations."""
    if spec.kind != "openai":
        return spec, []
    options = OpenAiOptions(**(spec.request or {}))
    mapping = as_mapping(spec.url, spec.model, options)
    if options.chat:
        mapping["body"] = {**json_values.mapping(mapping["body"]), "messages": "{messages}"}
    opening = [] if options.system is None else [("system", options.system)]
    return TargetSpec("openai", str(mapping["url"]), model=spec.model, mapping=mapping), opening


def _asked(
    spec: TargetSpec, message: str, admitted: Mapping[str, tuple[str, ...]], fields: Mapping[str, object]
) -> tuple[list[Signal], str | None]:
    """What was recognised of one answer, and what went wrong with it."""
    signals: list[Signal] = []
    try:
        for piece in ask_mapped(spec, message, admitted, fields=fields):
            signals += piece.recognised
    except LoadError as error:
        status = re.search(r"status (\d{3})", str(error))
        return signals, status[0] if status else NO_ANSWER
    return signals, None


def mapped_row(
    asked: Question, signals: Sequence[Signal], problem: str | None, *, tells_tools: bool
) -> dict[str, object]:
    """What a mapped turn did, without its times. `usage` and `tools` are null where the answer holds none of it."""
    usage: dict[str, object] = {}
    for signal in signals:
        if signal.kind == "usage":
            usage |= signal.value
    kinds = {signal.kind for signal in signals}
    code = next((str(signal.value)[:100] for signal in signals if signal.kind == "error"), problem)
    code = code or (None if "end" in kinds and kinds & {"text", "content"} else "empty" if "end" in kinds else "no_end")
    cached = number(usage.get("cache_read_tokens")) + number(usage.get("cache_write_tokens_5m"))
    if usage.pop("input_includes_cached", False) and usage.get("input_tokens") is not None:
        usage["input_tokens"] = number(usage["input_tokens"]) - cached
    tools = sorted(str(signal.value) for signal in signals if signal.kind == "tool")
    calls = usage.pop("calls", None)
    return {
        "turn": asked.name,
        "message": asked.message,
        "calls": [usage] if usage else [],
        "model_calls": calls,
        "tools": [[0, tool, "ok"] for tool in tools] if tells_tools else None,
        "end": ANSWERED if code is None else f"{ERROR}{code}",
    }


def own_figures(rows: Sequence[Mapping[str, object]]) -> Figures:
    """What the answers tell, as flat figures; what none of them holds is absent."""
    calls = [call for row in rows for call in objects(row["calls"])]
    known: Figures = {"turns": len(rows)}
    known |= {name: sum(number(call.get(name)) for call in calls) for name in TOKEN_CLASSES if _is_told(calls, name)}
    read = known.get("cache_read_tokens")
    if read is not None and "input_tokens" in known:
        prompt = sum(float(known.get(name, 0)) for name in TOKEN_CLASSES[:-1])
        known["cache_hit_token_ratio"] = round(float(read) / prompt, 6) if prompt else 0.0
    if _is_told(calls, "cost_usd"):
        known["cost_usd"] = round(math.fsum(number(call.get("cost_usd")) for call in calls), USD_DIGITS)
    if any(row.get("model_calls", 0) is not None for row in rows):
        known["model_calls"] = sum(whole(row.get("model_calls", len(objects(row["calls"])))) for row in rows)
    if hashes := sorted({text(call["prefix_hash"]) for call in calls if call.get("prefix_hash")}):
        known["prompt_prefix_hash"] = " ".join(hashes)
    counts = {
        "models": Counter(str(call["model"]) for call in calls if call.get("model")),
        "tools": Counter(str(tool[1]) for row in rows for tool in tools_of(row)),
        "routes": Counter(str(row["route"]) for row in rows if row.get("route")),
        "ends": Counter(str(row["end"]) for row in rows),
    }
    return known | {f"{name}.{key}": count for name, each in counts.items() for key, count in sorted(each.items())}


def _is_told(calls: Sequence[Mapping[str, object]], name: str) -> bool:
    return any(call.get(name) is not None for call in calls)


def not_covered(rows: Sequence[Mapping[str, object]], figures: Figures, kind: str) -> dict[str, str]:
    """What these answers do not tell -> how they would; nothing where every figure is there."""
    absent = [words for name, words in _NAMES.items() if name not in figures]
    absent += [] if any(name.startswith("models.") for name in figures) else ["model"]
    absent += [] if any(row["tools"] is not None for row in rows) else ["tools"]
    silent = [row["turn"] for row in rows if row["end"] == ANSWERED and not row["calls"]]
    some = (
        {f"usage of {len(silent)} of {len(rows)} turns": f"{silent[0]} is the first whose answer tells none"}
        if (silent and len(silent) < len(rows))
        else {}
    )
    if kind == "http":
        return some | {words: f"{_RULES[words]} in the mapping" for words in absent}
    return some | dict.fromkeys(absent, "the answers of this kind of target do not hold it")
