"""Events of plain content known by their bytes: what matches is what the careful reader would have read, always."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.openai_stream import StreamEventError, read_event
from wire.plain_events import LEARNED_MAX, PlainEvents

pytestmark = pytest.mark.unit

OPENAI = (
    b'{"id":"chatcmpl-9a","object":"chat.completion.chunk","created":1750000000,"model":"gpt","service_tier":"default",'
    b'"system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":%b},"logprobs":null,"finish_reason":null}],'
    b'"usage":null,"obfuscation":"x7Q"}'
)
VLLM = (
    b'{"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":%b,'
    b'"logprobs":null,"finish_reason":null,"stop_reason":null,"token_ids":[3, 14]}]}'
)
SPACED = (
    b'{"choices": [{"finish_reason": null, "index": 0, "delta": {"role": "assistant", "content": %b}}], "created": 17}'
)
REASONING = b'{"id":"r","choices":[{"index":0,"delta":{"content":null,"reasoning_content":%b},"finish_reason":null}]}'
WRITERS = {"content": OPENAI, "text": VLLM, "reasoning_content": REASONING}
KEYS = {OPENAI: "content", VLLM: "text", SPACED: "content", REASONING: "reasoning_content"}


def framed(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def knowing(writer: bytes, *, empty: bool = False) -> PlainEvents:
    """What one event of a writer teaches."""
    plain = PlainEvents(empty=empty)
    plain.learn(KEYS[writer], writer % b'" word"')
    return plain


def matches(plain: PlainEvents, event: bytes) -> bool:
    found = plain.one(event)
    return found is not None and found.end() == len(event)


@given(writer=st.sampled_from(list(KEYS)), text=st.text(min_size=1, max_size=12))
def test_an_event_that_differs_in_its_text_alone_is_matched(writer, text):
    """Any text as JSON writers write it, quotes and control characters escaped."""
    assert matches(knowing(writer), framed(writer % orjson.dumps(text)))


@pytest.mark.parametrize("writer", KEYS, ids=["openai", "vllm", "spaced", "reasoning"])
def test_ids_times_and_what_else_nobody_reads_may_change(writer):
    other = writer.replace(b"chatcmpl-9a", b"chatcmpl-b777").replace(b"x7Q", b"").replace(b"[3, 14]", b"[]")
    other = other.replace(b"1750000000", b"1750000019").replace(b"fp_1", b"fp_22").replace(b"17}", b"18}")
    assert matches(knowing(writer), framed(other % b'"b"'))


@pytest.mark.parametrize("change", [
    (b'"finish_reason":null', b'"finish_reason":"stop"'), (b'"usage":null', b'"usage":{"completion_tokens":1}'),
    (b'"logprobs":null', b'"logprobs":null,"error":{"code":500}'), (b'"word"', b'""'), (b'"word"', b"null"),
    (b'"object":"chat.completion.chunk"', b'"object":"error"'), (b'"word"', b'"\xed\xa0\\ud800"'),
    (b'"word"', b'"a\nb"'), (b'"id":"chatcmpl-9a"', b'"id":"a","error":"b"'), (b"\n\n", b"\r\n\r\n"),
])  # fmt: skip
def test_what_holds_more_or_less_than_content_is_left_to_the_careful_reader(change):
    event = framed(OPENAI % b'"word"')
    assert event.replace(*change) != event
    assert not matches(knowing(OPENAI), event.replace(*change))


@given(
    writer=st.sampled_from(list(KEYS)),
    empty=st.booleans(),
    edits=st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 3), st.sampled_from([*b'"\\{}[],:\n\r \x00\xff0aun', 256])),
        max_size=3,
    ),
)
def test_what_matches_is_one_plain_event_to_the_careful_reader(writer, empty, edits):
    """Bytes put in, taken out or changed anywhere: no damage makes an event of plain content out of another one."""
    event = bytearray(framed(writer % b'" w\\"\\n\\u00e9"'))
    for place, cut, put in edits:
        at = place % (len(event) + 1)
        event[at : at + cut] = b"" if put == 256 else bytes([put])
    if not matches(knowing(writer, empty=empty), bytes(event)):
        return
    data = bytes(event).removeprefix(b"data:")[:-2]
    assert b"\n" not in data
    read = read_event("message", data)
    assert read.plain
    assert read.content_key == KEYS[writer]


def test_a_run_ends_where_something_else_begins():
    plain, event = knowing(OPENAI), framed(OPENAI % b'"a"')
    stop = event.replace(b'"finish_reason":null', b'"finish_reason":"stop"')
    found = plain.run(event * 5 + stop + event)
    assert found is not None
    assert found.end() == 5 * len(event)


def test_several_ways_of_writing_are_known_at_once_and_only_so_many():
    """Reasoning, then text; a server whose events never look alike stops being learned."""
    plain = PlainEvents()
    for key, writer in WRITERS.items():
        plain.learn(key, writer % b'"a"')
    assert all(matches(plain, framed(writer % b'"b"')) for writer in WRITERS.values())
    for number in range(LEARNED_MAX):
        plain.learn("content", b'{"n":%d,"choices":[{"delta":{"content":"a"}}]}' % number)
    assert not matches(plain, framed(b'{"n":%d,"choices":[{"delta":{"content":"a"}}]}' % (LEARNED_MAX - 1)))


def test_chunks_without_text_match_where_each_is_a_token():
    for empty in (False, True):
        assert matches(knowing(VLLM, empty=empty), framed(VLLM % b'""')) == empty


def test_content_in_parts_or_in_two_places_is_not_learned():
    plain = PlainEvents()
    plain.learn("content", b'{"choices":[{"delta":{"content":[{"type":"text","text":"a"}]}}]}')
    plain.learn("content", b'{"choices":[{"delta":{"content":"a"},"logprobs":{"content":"b"}}]}')
    assert not plain.known


def test_a_plain_event_is_one_choice_with_content_and_no_more():
    """What `learn` may be given."""
    assert read_event("message", OPENAI % b'"a"').plain
    two = b'{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}'
    for data in (two, b'{"choices":[]}', b"[DONE]", (OPENAI % b'"a"').replace(b'reason":null', b'reason":"stop"')):
        assert not read_event("message", data).plain
    with pytest.raises(StreamEventError):
        read_event("message", b'{"choices":3}')
