"""Spans of the assistant's turns, sent to an OTLP receiver off the path of every answer. Needs the extra `otel`."""

from __future__ import annotations

from collections.abc import Mapping

from assistant.settings import Stack
from facts.stack import Otlp
from host.environment import peakday_version
from host.outbox import Outbox
from wire.otlp import sender
from wire.spans import TurnTrace, Value, turn_spans

TURNS_MAX = 64
"""Of one request: some 400 spans."""


def span_outbox(stack: Stack, otlp: Otlp) -> Outbox[TurnTrace]:
    """A bounded outbox of turns: a turn pays for putting itself in, the outbox's thread for spans and sending."""
    send = sender(otlp.url, otlp.addresses, resource(stack, otlp))

    def send_turns(turns: list[TurnTrace]) -> int:
        return send([span for turn in turns for span in turn_spans(turn)]).refused

    return Outbox(send_turns, batch_max=TURNS_MAX)


def resource(stack: Stack, otlp: Otlp) -> Mapping[str, Value]:
    """What made the spans: on every one of them, so said once a batch."""
    known: dict[str, Value | None] = {
        "service.name": "peakday-assistant",
        "service.version": peakday_version(),
        "peakday.run_id": otlp.run_id,
        "peakday.scenario": stack.scenario.name if stack.scenario else None,
        "peakday.scenario.hash": stack.scenario.hash if stack.scenario else None,
    }
    return {name: value for name, value in known.items() if value is not None}
