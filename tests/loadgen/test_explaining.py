"""Why an event gave no signal, in words that name the rule or the place."""

import pytest

from loadgen.targets.explaining import ExplainingReader

pytestmark = pytest.mark.unit

NAMED = {
    "format": "sse", "text": {"event": "delta", "path": "text.value"}, "end": {"event": "done"},
    "usage": {"event": "done", "input_tokens": "in"},
}  # fmt: skip
TYPED = {"format": "sse", "event_name": "type", "text": {"event": "delta", "path": "text"}, "end": {"event": "done"}}
LINES = {"format": "ndjson", "text": {"path": "text"}, "end": {"path": "done"}}
JSON = {"format": "json", "text": {"path": "answer"}}


@pytest.mark.parametrize(
    ("mapping", "data", "reason"),
    [
        (NAMED, b'event: start\ndata: {"a": 1}\n\n', "no rule is about event 'start'; rules are about delta, done"),
        (NAMED, b'data: {"a": 1}\n\n', "no rule is about event 'message'; rules are about delta, done"),
        (NAMED, b'event: delta\ndata: {"a": 1}\n\n', "nothing at text.value (text); it has a"),
        (NAMED, b"event: delta\ndata: wait\n\n", "no JSON: it only keeps the connection alive"),
        (TYPED, b'data: {"kind": "delta"}\n\n', "no name of an event at type (event_name)"),
        (TYPED, b'data: {"type": "start"}\n\n', "no rule is about event 'start'; rules are about delta, done"),
        (LINES, b'{"answer": "x"}\n', "nothing at text (text), done (end); it has answer"),
        (LINES, b"[1]\n", "nothing at text (text), done (end); it has list"),
        (JSON, b'{"answer"', "kept until the body ends"),
        (NAMED, b": ping\n\n", "a comment, or part of an event so far"),
    ],
)
def test_an_ignored_event_has_a_reason(mapping, data, reason):
    """One for each kind of event that means nothing to a mapping."""
    reader = ExplainingReader(mapping)
    assert reader.reasons(reader.feed(data)) == [reason]


def test_a_recognised_event_needs_none():
    """And reasons are given once."""
    reader = ExplainingReader(LINES)
    signals = reader.feed(b'{"x": 1}\n{"text": "a"}\n')
    assert len(reader.reasons(signals)) == 1
    assert reader.reasons(reader.feed(b'{"text": "b"}\n')) == []
