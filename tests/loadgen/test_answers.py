"""Readers of answers: what they see must not depend on where the bytes were split."""

from __future__ import annotations

from array import array

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.job import TargetSpec
from loadgen.targets.assistant import AssistantAnswer
from loadgen.targets.openai import OpenAiAnswer, answer_text
from loadgen.transport.answer import refusal_code
from tests.loadgen.server import assistant_events, chat_chunk, chat_events, event, usage_chunk
from wire.plain_events import PlainEvents

SPEC = TargetSpec("openai", "http://127.0.0.1:1/v1", model="m")


def openai(pieces: list[bytes], keep_text: bool = False) -> OpenAiAnswer:
    """An answer fed piece by piece, one every 10 ms."""
    return fed(OpenAiAnswer(array("q"), SPEC, keep_text=keep_text), pieces)


def fed(answer, pieces):
    answer.on_headers(1, 200, {})
    for number, piece in enumerate(pieces):
        answer.feed(10_000_000 * (number + 1), piece)
    answer.complete(10_000_000 * (len(pieces) + 1))
    return answer


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data cut at the given places."""
    places = sorted({cut % len(data) for cut in cuts} - {0})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def test_a_role_only_chunk_is_not_the_first_token():
    """TTFT is the first content, not the first event."""
    answer = openai(chat_events(3))
    assert answer.first_ns == 20_000_000
    assert (answer.status, answer.chunks, answer.output_tokens) == ("ok", 3, 3)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_every_split_at_one_place_gives_the_same_answer(newline):
    """Events cut at every byte boundary, with each line ending SSE allows."""
    data = b"".join(chat_events(3)).replace(b"\n", newline)
    for place in range(1, len(data)):
        answer = openai([data[:place], data[place:]])
        assert (answer.status, answer.chunks, answer.output_tokens) == ("ok", 3, 3), place


@given(cuts=st.lists(st.integers(1, 10_000), max_size=30))
def test_any_split_gives_the_same_calls_and_tools(cuts):
    """The assistant's stream means the same however it is cut."""
    answer = fed(AssistantAnswer(array("q")), split(b"".join(assistant_events(5)), cuts))
    assert (answer.status, answer.chunks, answer.output_tokens, len(answer.calls), len(answer.tools)) == (
        "ok",
        5,
        5,
        2,
        1,
    )


def test_tokens_come_from_usage_and_not_from_chunks():
    """Several tokens in a chunk: chunks are counted, tokens are read."""
    events = [chat_chunk("four tokens in here"), chat_chunk("and four more"), usage_chunk(9, 8), b"data: [DONE]\n\n"]
    answer = openai(events)
    assert (answer.chunks, answer.output_tokens) == (2, 8)


def test_text_that_looks_like_an_event_is_text():
    """Content that quotes the protocol changes no count."""
    text = 'say "usage":{ and event: done and data: [DONE]\n\n"content":"x"'
    answer = openai([chat_chunk("a"), chat_chunk(text), chat_chunk("b"), *chat_events(0)[1:]], keep_text=True)
    assert (answer.status, answer.chunks) == ("ok", 3)
    assert answer_text(b"".join(answer.text)) == f"a{text}b"


def test_spaces_after_colons_are_read_too():
    """A server that writes JSON with spaces is counted as quickly and as right."""
    events = [data.replace(b'":', b'": ') for data in chat_events(6)]
    answer = openai(events)
    assert (answer.status, answer.chunks, answer.output_tokens) == ("ok", 6, 6)


def test_a_stream_without_an_end_is_no_answer():
    """HTTP ended well, the answer did not: an error, not a short answer."""
    answer = openai(chat_events(3)[:3])
    assert (answer.status, answer.error_code) == ("stream_error", "no_end")


def test_tpot_is_that_of_the_last_call():
    """A tool round before the answer does not stretch the time per output token."""
    answer = fed(AssistantAnswer(array("q")), assistant_events(5))
    assert answer.tpot_s == pytest.approx(0.01)


def test_an_error_event_ends_the_turn_with_its_code():
    """A throttled model call inside a stream counts as throttled."""
    answer = fed(AssistantAnswer(array("q")), [event("meta", {}), event("error", {"status": 429, "code": "quota"})])
    assert (answer.status, answer.error_code) == ("throttled", "429:quota")


def test_gaps_are_kept_apart_from_the_first_token():
    """n reads with content give n - 1 gaps."""
    answer = openai(chat_events(4))
    assert list(answer.gaps_ns) == [10_000_000] * 3
    assert answer.gap_ns_max == 10_000_000


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error": {"code": "quota"}}', "429:quota"),
        (b'{"error": {"type": "x"}}', "429:x"),
        (b'{"error": {"code": 429}}', "429"),
        (b'{"__type": "Throttling"}', "429:Throttling"),
        (b"[]", "429"),
        (b"busy", "429"),
    ],
)
def test_a_refusal_keeps_the_providers_code(body, code):
    """429 for quota and 429 for not ready stay apart."""
    assert refusal_code(429, body) == code


@pytest.mark.parametrize("first", [chat_events(3), [chat_chunk("a"), chat_chunk("", finish_reason="stop")]])
def test_a_shape_learned_from_one_answer_changes_nothing_in_the_next(first):
    """Answers share what they know of a server: each split, with a role first, is read as if nothing were known."""
    plain = PlainEvents()
    fed(OpenAiAnswer(array("q"), SPEC, plain=plain), first)
    assert plain.known
    data = b"".join([*chat_events(3)[:1], chat_chunk(""), *chat_events(3)[1:]])
    for place in range(1, len(data)):
        pieces = [data[:place], data[place:]]
        knowing, new = fed(OpenAiAnswer(array("q"), SPEC, plain=plain), pieces), openai(pieces)
        assert (knowing.status, knowing.chunks, knowing.first_ns) == (new.status, new.chunks, new.first_ns), place


def completion_chunk(text, finish_reason=None):
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason, "stop_reason": None}
    return b"data: " + orjson.dumps({"object": "text_completion", "choices": [choice]}) + b"\n\n"


def test_each_chunk_of_a_completion_is_a_token_with_or_without_text():
    """A server holds bytes back until they are a character; three answers in turn, the last with its finish reason."""
    texts, plain = ["", "R", "", "", "9", "", "r"], PlainEvents(empty=True)
    events = [*map(completion_chunk, texts), completion_chunk("%", "length")]
    for _ in range(3):
        answer = OpenAiAnswer(array("q"), SPEC, plain=plain, token_by_token=True)
        for number, chunk in enumerate(events, 1):
            answer.feed(number, chunk)
        assert (answer.chunks, answer.first_ns, answer.last_ns) == (len(events), 1, len(events))
        assert plain.known


@given(cuts=st.lists(st.integers(1, 10_000), max_size=8))
def test_an_error_after_content_is_an_error_wherever_it_is_cut(cuts):
    """A server that fails in the middle of a stream and then sends [DONE], as vLLM does, has not answered."""
    failure = b'data: {"error": {"message": "engine died", "code": 500}}\n\n'
    data = b"".join([*chat_events(9)[:6], failure, b"data: [DONE]\n\n"])
    answer = openai(split(data, cuts))
    assert (answer.status, answer.error_code, answer.chunks) == ("stream_error", "500", 5)


def test_content_under_another_key_is_content():
    """Reasoning first, then text: both are counted, in one read or in many."""
    think = b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm"},"finish_reason":null}]}\n\n'
    events = [think, think, chat_chunk("a"), chat_chunk("b"), chat_chunk(None, finish_reason="stop")]
    assert openai(events).chunks == 4
    assert openai([events[0], events[1], b"".join(events[2:])]).chunks == 4


def test_usage_in_every_chunk_is_no_content():
    """Continuous usage changes the end of each chunk: it is counted all the same, and the last usage is read."""
    events = [chat_chunk(" w", usage={"prompt_tokens": 5, "completion_tokens": n}) for n in range(1, 5)]
    answer = openai([events[0], b"".join(events[1:3]), events[3], usage_chunk(5, 4), b"data: [DONE]\n\n"])
    assert (answer.status, answer.chunks, answer.output_tokens) == ("ok", 4, 4)
