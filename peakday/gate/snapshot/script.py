"""The turns of the snapshot checks: a fixed list, asked in turn of a fresh stack whose emulator does not wait.

Nothing here depends on a clock: the same code gives the same rows, so that a difference is a change of behaviour.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assistant.ask import ask, new_session
from host.json_values import items, mapping, number, whole
from peakday.gate.snapshot.figures import ERROR
from scenarios.sessions import Message

CUSTOMERS = ("c000001", "c000002", "c000003")
CALL_FIELDS = (
    "purpose", "model", "prefix_hash", "prefix_shared_tokens", "input_tokens", "cache_read_tokens",
    "cache_write_tokens_5m", "cache_write_tokens_1h", "output_tokens", "max_tokens", "stop_reason", "status",
    "cost_usd",
)  # fmt: skip
"""What is kept of a model call: never a time."""
META_FIELDS = ("intent", "complexity", "route", "router_stage", "prefetch", "guard_action", "escalated")


@dataclass(frozen=True)
class Question:
    """One turn of the script. `interaction_id` is its intent; the turns of one follow each other."""

    intent: str
    message: str
    customer_id: str
    turn_index: int
    product_id: str | None = None

    @property
    def name(self) -> str:
        """How reports call it."""
        return f"{self.intent}/{self.turn_index}"


def questions(messages: Iterable[Message], intents: Iterable[str]) -> tuple[Question, ...]:
    """For each intent two openings of different customers and one follow-up, in a fixed order.

    Args:
        messages: rows of messages.json; those with a picture or a pending confirmation are left out.
        intents: names with a weight in the scenario's mix.
    """
    plain = [row for row in messages if not (row["image"] or row["confirm"] or row.get("answers"))]
    script: list[Question] = []
    for place, intent in enumerate(sorted(intents)):
        of_it = [row for row in plain if row["intent"] == intent]
        openings = [row for row in of_it if not row["follow_up"]]
        chosen = [openings[0], *[row for row in of_it if row["follow_up"]][:1]] if openings else []
        chosen += openings[-1:] if len(openings) > 1 else []
        customer = CUSTOMERS[place % len(CUSTOMERS)]
        script += [Question(intent, row["text"], customer, i, row["page_product_id"]) for i, row in enumerate(chosen)]
    return tuple(script)


def drive(url: str, asked: Sequence[Question]) -> list[dict[str, object]]:
    """Ask every question of the assistant at `url`, each after the answer before it; one row each."""
    tokens = {customer: new_session(url, customer) for customer in sorted({one.customer_id for one in asked})}
    rows = []
    for one in asked:
        events = ask(
            url,
            one.message,
            session_token=tokens[one.customer_id],
            interaction_id=f"check-{one.intent}",
            turn_index=one.turn_index,
            product_id=one.product_id,
        )
        rows.append(turn_row(one, list(events)))
    return rows


def turn_row(asked: Question, events: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """What a turn did, without its times: how it was routed, each model call, each tool by round, how it ended."""
    meta = next((event for event in events if event["event"] == "meta"), {})
    end = events[-1] if events else {}
    used = [event for event in events if event["event"] == "tool"]
    tools = sorted([event.get("round", 0), str(event.get("tool")), str(event.get("status"))] for event in used)
    return {
        "turn": asked.name,
        "message": asked.message,
        **{name: meta.get(name) for name in META_FIELDS},
        "calls": [{name: event.get(name) for name in CALL_FIELDS} for event in events if event["event"] == "usage"],
        "tools": [list(tool) for tool in tools],
        "tools_side_by_side": side_by_side(
            [event for event in used if {"round", "start_s", "duration_s"} <= event.keys()]
        ),
        "end": end.get("stop_reason") or f"{ERROR}{end.get('code')}",
        "citations": len(items(end.get("citations"))),
    }


def side_by_side(tools: Sequence[Mapping[str, object]]) -> int:
    """Tools that began before an earlier one of their round had ended: an order, and no time."""
    count = 0
    ends_s: dict[int, float] = {}
    spans = [(whole(tool["round"]), number(tool["start_s"]), number(tool["duration_s"])) for tool in tools]
    for place, start_s, took_s in sorted(spans, key=lambda span: span[:2]):
        end_s = ends_s.get(place, -math.inf)
        count += start_s < end_s
        ends_s[place] = max(end_s, start_s + took_s)
    return count


def without_waits(profiles: Mapping[str, object]) -> dict[str, object]:
    """Emulator settings with which answers come at once: groups by model key. Tokens and caches stay.

    Args:
        profiles: the content of the emulator's profiles file.
    """
    quick: dict[str, object] = {}
    for model, name in mapping(profiles["models"]).items():
        if mapping(mapping(profiles["profiles"])[str(name)])["physics"] == "provider":
            ttft = {"base_s": 0.001, "per_uncached_token_s": 0.0, "per_cached_token_s": 0.0, "sigma": 0.0}
            quick[model] = {
                "ttft": {**ttft, "source": "check: no waiting"},
                "gap": {"gap_s": 0.001, "sigma": 0.0, "tokens_per_chunk": 16, "source": "check: no waiting"},
            }
        else:
            step = {"a": 0.001, "b": 0.0, "e": 0.0, "c": 0.0, "d": 0.0, "source": "check: no waiting"}
            engine = {"ttft_overhead_s": 0.0, "replicas": 1, "source": "check: one replica, no waiting"}
            quick[model] = {"step": step, "engine": engine}
    return quick
