"""What a target sends can spoil its own turn: the figures of odd answers, and what is made of those that are none."""

from __future__ import annotations

import itertools
from array import array
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadgen.job import TargetSpec
from loadgen.tables import TABLES
from loadgen.targets.assistant import META, AssistantAnswer
from loadgen.targets.mapping import RESPONSES
from loadgen.targets.openai import OpenAiAnswer, OpenAiTarget
from loadgen.targets.signals import MappedReader, SignalAnswer
from loadgen.transport.answer import UNREADABLE
from loadgen.worker.row_gate import CALLS_MAX, TEXT_LENGTH_MAX, fitting, screen
from tests.loadgen.server import assistant_events, chat_chunk, chat_events, event, usage_chunk
from wire.openai_stream import StreamEventError, read_event
from wire.plain_events import PlainEvents
from wire.sse import LINE_BYTES_MAX, SseParser

SPEC = TargetSpec("openai", "http://127.0.0.1:1/v1", model="m")
DONE = b"data: [DONE]\n\n"
STOP = chat_chunk(None, finish_reason="stop")


def read(answer, pieces, status: int = 200):
    """An answer fed piece by piece, as a connection does: what cannot be read ends it as malformed."""
    answer.on_headers(1, status, {})
    try:
        for number, piece in enumerate(pieces):
            answer.feed(10_000_000 * (number + 1), piece)
        answer.complete(10_000_000 * (len(pieces) + 1))
    except UNREADABLE as error:
        answer.fail(10_000_000 * (len(pieces) + 1), "malformed", "malformed", str(error))
    screen(answer)
    return answer


def openai(pieces, **more):
    return read(OpenAiAnswer(array("q"), SPEC, keep_text=True, **more), pieces)


def chunk_of(choice: object, **more: object) -> bytes:
    return b"data: " + orjson.dumps({"choices": choice, **more}) + b"\n\n"


def talk(text: object, finish_reason: str | None = None, **more: object) -> dict:
    return {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason, **more}


USAGE = {"prompt_tokens": 5, "completion_tokens": 2}
HEARTBEATS = [
    b"data:\n\n",
    b"data: \n\n",
    b"data: ping\n\n",
    b": keep-alive\n\n",
    b"event: ping\ndata: {}\n\n",
    b'event: ping\ndata: {"type": "ping"}\n\n',
    b"data: 1732868000\n\n",
    b"data: null\n\n",
    b"retry: 3000\n\n",
    b"id: 7\n\n",
    b"\n\n",
    b"data: [HEARTBEAT]\n\n",
]


@pytest.mark.parametrize("beat", HEARTBEATS)
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_heartbeat_anywhere_changes_nothing(beat, place):
    """Chunks, tokens, text and status are those of the same stream without it; so are its gaps."""
    events = [chat_chunk("a"), chat_chunk("b"), STOP, usage_chunk(5, 2), DONE]
    answer = openai([*events[:place], beat, *events[place:]])
    assert (answer.status, answer.chunks, answer.output_tokens, answer.full_text()) == ("ok", 2, 2, "ab")


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("space", [b": ", b":"])
def test_the_history_of_the_next_turn_is_what_was_answered(newline, space):
    """Whatever ends a line, and with or without the space after a colon."""
    data = b"".join(chat_events(3)).replace(b"data: ", b"data" + space).replace(b"\n", newline)
    answer = openai([data[:40], data[40:]])
    assert (answer.status, answer.chunks, answer.full_text()) == ("ok", 3, " w0 w1 w2")


def test_a_target_sends_that_history_on():
    """The assistant's message of the next request is the text, and never empty."""
    target = OpenAiTarget(SPEC, SimpleNamespace(path="/v1", host_header="x"), SHARED)
    state = SimpleNamespace(history=[("user", "hi")], prompt=None)
    target.learn(state, openai([b"".join(chat_events(2)).replace(b"\n", b"\r\n")]))
    assert state.history == [("user", "hi"), ("assistant", " w0 w1")]


SHARED = SimpleNamespace(job=SimpleNamespace(scenario={"assistant": {"max_tokens": None}}), random=None)


def test_an_event_of_several_data_lines_is_one():
    """JSON broken over lines is joined by a line feed."""
    many = b'data: {"choices": [{"delta":\ndata: {"content": "a"}, "finish_reason": null}]}\n\n'
    answer = openai([many, many, STOP, DONE])
    assert (answer.status, answer.chunks, answer.full_text()) == ("ok", 2, "aa")


@pytest.mark.parametrize(
    "last",
    [
        chunk_of([talk("")], usage=USAGE),
        chunk_of([talk("", usage=USAGE)]),
        chunk_of([talk("")], x_groq={"usage": USAGE}),
        chunk_of([talk("", "stop")], usage=USAGE),
        chunk_of([], usage=USAGE),
        chunk_of(None, usage=USAGE),
        b"data: " + orjson.dumps({"usage": USAGE, "choices": [talk("")]}) + b"\n\n",
    ],
    ids=["finish_reason null", "in the choice", "x_groq", "with the finish", "no choices", "choices null", "first"],
)
@pytest.mark.parametrize("together", [False, True])
def test_usage_is_found_wherever_it_stands(last, together):
    """In a read of its own, and in one with content before and after."""
    events = [chat_chunk("a"), chat_chunk("b"), last, STOP, DONE]
    answer = openai([b"".join(events)] if together else events)
    assert (answer.status, answer.chunks, answer.output_tokens) == ("ok", 2, 2)
    assert answer.calls[0]["input_tokens"] == 5


def test_usage_in_the_chunk_of_the_last_content_is_read():
    """Content, finish reason and usage in one chunk, after a shape is known."""
    answer = openai([chat_chunk("a"), chat_chunk("b"), chunk_of([talk("c")], usage=USAGE), chat_chunk("d"), STOP])
    assert (answer.chunks, answer.output_tokens, answer.full_text()) == (4, 2, "abcd")


ERRORS = [
    (b'event: error\ndata: {"message": "x"}\n\n', "error"),
    (b'event: error\ndata: {"code": "overloaded", "message": "x"}\n\n', "overloaded"),
    (b'data: {"object": "error", "message": "x", "code": 40303}\n\n', "40303"),
    (b'data: {"error": {"message": "boom", "code": 502}, "choices": []}\n\n', "502"),
    (b'data: {"error": "engine died", "choices": []}\n\n', "engine died"),
    (b'error: {"code": 500, "message": "x", "type": "server_error"}\n\n', "500"),
    (b'data: {"type": "error", "error": {"type": "overloaded_error"}}\n\n', "overloaded_error"),
    (b'data: {"choices": [{"delta": {"content": ""}, "finish_reason": "error"}]}\n\n', "error"),
    (b'data: {"choices": [{"delta": {}, "error": {"code": 503, "message": "x"}}]}\n\n', "503"),
]


@pytest.mark.parametrize(("failure", "code"), ERRORS)
@pytest.mark.parametrize("together", [False, True])
def test_an_error_inside_an_accepted_stream_is_an_error(failure, code, together):
    """Wherever it stands in it, and though [DONE] follows."""
    events = [*chat_events(3)[:3], failure, chat_chunk("z"), DONE]
    answer = openai([b"".join(events)] if together else events)
    assert (answer.status, answer.error_code) == ("stream_error", code)


def test_a_quota_error_inside_a_stream_is_throttled():
    """429 after 200."""
    answer = openai([chat_chunk("a"), b'data: {"error": {"code": 429, "message": "slow down"}}\n\n'])
    assert (answer.status, answer.error_code, answer.error_text) == ("throttled", "429", "slow down")


@pytest.mark.parametrize("events", [[DONE], [STOP, DONE], [usage_chunk(5, 0), DONE], [chat_events(0)[0], STOP, DONE]])
def test_an_answer_without_content_is_empty_and_no_answer(events):
    """A whole stream in which nobody said anything is no goodput."""
    answer = openai(events)
    assert (answer.status, answer.error_code) == ("stream_error", "empty")


@pytest.mark.parametrize(
    ("status", "ends"), [(200, "ok"), (201, "ok"), (206, "ok"), (302, "http_error"), (404, "http_error")]
)
def test_any_status_of_success_is_one(status, ends):
    """A gateway that says 201 or 206 has answered."""
    assert read(OpenAiAnswer(array("q"), SPEC), chat_events(2), status).status == ends


def test_empty_deltas_hide_no_gap():
    """Content, two empty chunks and content: one gap of three reads, and two chunks."""
    answer = openai([chat_chunk("a"), chat_chunk("b"), chat_chunk(""), chat_chunk(""), chat_chunk("c"), STOP, DONE])
    assert (answer.chunks, list(answer.gaps_ns)) == (3, [10_000_000, 30_000_000])


def test_content_as_a_list_of_parts_is_content():
    """And its text is the history."""
    parts = [chunk_of([talk([{"type": "text", "text": word}])]) for word in ("a", "b")]
    answer = openai([*parts, STOP, DONE])
    assert (answer.status, answer.chunks, answer.full_text()) == ("ok", 2, "ab")


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_bytes_that_are_no_utf_8_spoil_a_character(newline):
    """U+FFFD in the history; chunks and tokens are right."""
    events = [data.replace(b"w1", b"\xff") for data in chat_events(3)]
    answer = openai([data.replace(b"\n", newline) for data in events])
    assert (answer.status, answer.chunks, answer.output_tokens) == ("ok", 3, 3)
    assert answer.full_text() == " w0 \ufffd w2"


@pytest.mark.parametrize(
    "odd",
    [
        b'data: {"choices": [\n\n',
        b"data: [1, 2]\n\n",
        b'data: {"choices": "x"}\n\n',
        b'data: {"choices": [7]}\n\n',
        chunk_of([{"delta": "x"}]),
        chunk_of([talk(7)]),
        chunk_of([], usage=[1]),
        chunk_of([talk("a", 5)]),
        chunk_of([], usage={"completion_tokens": "many"}),
        chunk_of([], usage={"completion_tokens": True}),
        chunk_of([], usage={"completion_tokens": [2]}),
        chunk_of([], usage={"completion_tokens": -1}),
        chunk_of([], usage={"completion_tokens": 2**63}),
        chunk_of([], usage={"completion_tokens": 1.5}),
        chunk_of([], usage={"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}),
        chunk_of([], usage={"prompt_tokens": 5, "prompt_tokens_details": 4}),
        b'data: {"usage": {"completion_tokens": NaN}}\n\n',
    ],
)
def test_what_is_no_answer_is_malformed(odd):
    """Cut JSON, other types and impossible sizes: the turn is spoilt, and nothing is raised."""
    answer = openai([chat_chunk("a"), odd, STOP, DONE])
    assert answer.status == "malformed"
    assert answer.error_text


def test_a_whole_number_as_a_float_is_a_count():
    """Some servers write every number with a point."""
    assert openai([chat_chunk("a"), chunk_of([], usage={"completion_tokens": 2.0}), DONE]).output_tokens == 2


def test_an_event_without_its_blank_line_is_read_at_the_end():
    """The body ended right after the last event's line."""
    answer = openai([chat_chunk("a"), usage_chunk(5, 1).rstrip(b"\n")])
    assert (answer.status, answer.output_tokens) == ("ok", 1)


def test_a_stream_without_a_line_end_is_bounded():
    """Megabytes without one are no event, and are not joined again and again."""
    answer = openai([b"data: {" + b" " * 65_536] * (LINE_BYTES_MAX // 65_536 + 2))
    assert answer.status == "malformed"


def test_an_error_code_of_megabytes_is_cut():
    """It is a label of metrics and a word on screens."""
    answer = openai([b'data: {"error": {"code": "' + b"x" * 3_000_000 + b'"}}\n\n'])
    assert len(answer.error_code) <= TEXT_LENGTH_MAX


@pytest.mark.parametrize(
    ("encoding", "status"), [(b"", "ok"), (b"Identity", "ok"), (b" identity ", "ok"), (b"x" * 5_000, "http_error")]
)
def test_an_encoding_is_named_in_any_case_and_its_name_is_cut(encoding, status):
    """Empty and `Identity` are none; the name of another becomes an error code, which is a label."""
    answer = OpenAiAnswer(array("q"), SPEC)
    take = answer.on_headers(1, 200, {b"content-encoding": encoding})
    take(10, chat_chunk("hello") + STOP + DONE)
    answer.complete(20)
    assert (answer.status, len(answer.error_code or "") <= TEXT_LENGTH_MAX) == (status, True)


# --- the assistant's own protocol -------------------------------------------------------------------------------------


def assistant(events):
    return read(AssistantAnswer(array("q"), True), events)


@pytest.mark.parametrize(
    "odd",
    [
        event("meta", {"intent": 7}),
        event("meta", {"route_s": "slow"}),
        event("meta", {"escalated": "yes"}),
        event("usage", {"output_tokens": "many"}),
        event("usage", {"input_tokens": -4, "output_tokens": 1}),
        event("usage", {"cache_read_tokens": 2**63}),
        event("usage", {"cost_usd": -100}),
        event("usage", {"model": {}}),
        event("tool", {"tool": ["x"]}),
        event("tool", {"duration_s": -1.0}),
        event("meta", [1]),
        b"event: usage\ndata: x\n\n",
    ],
)
def test_a_figure_of_another_type_or_size_makes_the_turn_malformed(odd):
    """One gate for turns, calls and tools; the row holds null in its place."""
    events = assistant_events(3)
    answer = assistant([*events[:3], odd, *events[3:]])
    assert answer.status == "malformed"
    assert all(not isinstance(value, dict | list) for call in answer.calls for value in call.values())


@pytest.mark.parametrize(
    "done", [{"cost_usd": -100}, {"output_tokens": [1]}, {"pending_confirmation": "x"}, {"cost_usd": 1e300}]
)
def test_the_last_event_is_checked_too(done):
    """A negative price would let a budget grow."""
    answer = assistant([*assistant_events(3)[:-1], event("done", done)])
    assert answer.status == "malformed"
    assert answer.cost_usd is None


def test_a_target_says_nothing_of_what_is_ours():
    """A meta event cannot set a trace id or another key of our own."""
    answer = AssistantAnswer(array("q"))
    answer.meta["trace_id"] = "ours"
    read(answer, [event("meta", {"trace_id": "theirs", "intent": "deals"}), *assistant_events(1)[3:]])
    assert answer.meta["trace_id"] == "ours"


def test_events_of_unknown_names_keep_the_connection_alive():
    """Whatever stands in them."""
    answer = assistant([b"event: ping\ndata: still here\n\n", *assistant_events(2), b"event: later\ndata: {\n\n"])
    assert (answer.status, answer.chunks, answer.full_text()) == ("ok", 2, " w0 w1")


def test_thousands_of_calls_of_one_turn_are_cut():
    """The record keeps so many, and the turn is malformed."""
    usage = event("usage", {"model": "m", "output_tokens": 1})
    answer = assistant([*assistant_events(1)[:-1], usage * 1_000, assistant_events(1)[-1]])
    assert (answer.status, len(answer.calls)) == ("malformed", CALLS_MAX)


def test_long_names_are_cut_and_spoil_nothing():
    """A model of a million letters is a name all the same."""
    answer = assistant([event("meta", {"route": "m" * 1_000_000}), *assistant_events(1)[3:]])
    assert (answer.status, len(answer.meta["route"])) == ("ok", TEXT_LENGTH_MAX)


# --- mapped targets ---------------------------------------------------------------------------------------------------


def mapped(mapping, pieces, status: int = 200):
    spec = TargetSpec("http", "http://127.0.0.1:1", mapping=mapping)
    return read(SignalAnswer(array("q"), MappedReader(mapping), spec, True), pieces, status)


SSE = {"format": "sse", "text": {"path": "text"}, "end": {"event": "end"}}


@pytest.mark.parametrize(
    "end",
    [
        b"event: end\n\n",
        b"event: end\ndata:\n\n",
        b"event: end\ndata: {}\n\n",
        b"event: end\ndata: null\n\n",
        b'event: end\ndata: ""\n\n',
        b"event: end\ndata: 0\n\n",
    ],
)
def test_an_end_by_its_name_needs_no_data(end):
    """Nothing, `{}`, null, an empty string or zero: LangServe and LangGraph end so."""
    answer = mapped(SSE, [b'event: data\ndata: {"text": "a"}\n\n', end])
    assert (answer.status, answer.chunks) == ("ok", 1)


@pytest.mark.parametrize("data", ["[DONE]", "{}", {}, 0, None, "", "bye"])
def test_an_end_by_its_data(data):
    """As a text, or as the JSON it is."""
    written = data if isinstance(data, str) else orjson.dumps(data).decode()
    mapping = {**SSE, "end": {"data": data}}
    answer = mapped(mapping, [b'data: {"text": "a"}\n\n', f"data: {written}\n\n".encode()])
    assert (answer.status, answer.chunks) == ("ok", 1)


@pytest.mark.parametrize(
    ("end", "last"),
    [
        ({"path": "kind", "equals": "final"}, {"kind": "final"}),
        ({"path": "n", "equals": 0}, {"n": 0}),
        ({"path": "more", "equals": False}, {"more": False}),
        ({"absent": "next"}, {"text": "z"}),
        ({"path": "done"}, {"done": True}),
    ],
)
def test_an_end_by_what_stands_in_it(end, last):
    """Equality, absence and presence."""
    first = {"kind": "part", "n": 1, "more": True, "next": 2, "text": "a"}
    lines = [orjson.dumps(first) + b"\n", orjson.dumps(last) + b"\n"]
    mapping = {"format": "ndjson", "text": {"path": "text"}, "end": end}
    assert mapped(mapping, lines).status == "ok"
    assert mapped(mapping, lines[:1]).error_code == "no_end"


def test_zero_is_not_false_and_one_is_not_true():
    """Equality knows types, as JSON does."""
    mapping = {"format": "ndjson", "text": {"path": "text"}, "end": {"path": "more", "equals": False}}
    assert mapped(mapping, [b'{"text": "a", "more": 0}\n']).error_code == "no_end"


@pytest.mark.parametrize("comment", [b": keep-alive\n", b"// ping\n", b"# x\n", b"[DONE]\n", b"\n", b"ping\n"])
def test_a_line_that_is_no_json_is_a_comment(comment):
    """Beside the lines that are."""
    mapping = {"format": "ndjson", "text": {"path": "text"}, "end": {"path": "done"}}
    answer = mapped(mapping, [comment, b'{"text": "a"}\n', comment, b'{"done": true}\n'])
    assert (answer.status, answer.chunks) == ("ok", 1)


def test_plain_text_ends_when_its_body_does():
    """Every read is content; a character that is cut in two is one."""
    answer = mapped({"format": "text"}, ["h\u00e9".encode()[:2], "h\u00e9".encode()[2:], b"!"])
    assert (answer.status, answer.chunks, answer.full_text()) == ("ok", 3, "h\u00e9!")


def test_raw_json_strings_are_text():
    """`data: "hello"`, ended by the close of the body."""
    answer = mapped({"format": "sse", "text": {}, "end": {"close": True}}, [b'data: "he"\n\n', b'data: "llo"\n\n'])
    assert (answer.status, answer.full_text()) == ("ok", "hello")


RESPONSES_MAPPING = {**RESPONSES, "format": "responses"}


def responses(last: dict) -> list[bytes]:
    deltas = [{"type": "response.output_text.delta", "delta": "a"}] * 2
    return [b"data: " + orjson.dumps(data) + b"\n\n" for data in [*deltas, last]]


@pytest.mark.parametrize("kind", ["completed", "incomplete"])
def test_cached_tokens_of_responses_are_inside_its_input(kind):
    """100 of which 40 were cached: 60 uncached, 40% hits. An answer cut by its limit is one."""
    usage = {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 40}, "output_tokens": 7}
    answer = mapped(RESPONSES_MAPPING, responses({"type": f"response.{kind}", "response": {"usage": usage}}))
    call = answer.calls[0]
    assert (answer.status, call["input_tokens"], call["cache_read_tokens"], call["output_tokens"]) == ("ok", 60, 40, 7)


def test_a_failed_response_is_an_error():
    """Though the stream ended as streams do."""
    answer = mapped(RESPONSES_MAPPING, responses({"type": "response.failed", "response": {"error": {"code": "rate"}}}))
    assert (answer.status, answer.error_code) == ("stream_error", "rate")


def test_cached_tokens_beside_the_input_stay_beside_it():
    """A provider that counts them apart needs nothing said."""
    mapping = {**SSE, "usage": {"input_tokens": "in", "cache_read_tokens": "hit"}}
    answer = mapped(mapping, [b'data: {"text": "a", "in": 60, "hit": 40}\n\n', b"event: end\n\n"])
    assert (answer.calls[0]["input_tokens"], answer.calls[0]["cache_read_tokens"]) == (60, 40)


@pytest.mark.parametrize("value", ["a\r\nX: y", {"a": 1}, "x" * 5_000, [1]])
def test_a_conversation_id_is_one_line_of_text(value):
    """It goes into the next request, into a header even."""
    mapping = {**SSE, "conversation_id": {"path": "id"}}
    answer = mapped(mapping, [b"data: " + orjson.dumps({"text": "a", "id": value}) + b"\n\n", b"event: end\n\n"])
    assert answer.status == "malformed"


def test_statuses_that_carry_an_answer_can_be_named():
    """A gateway that streams under 207, or one whose 206 is none."""
    pieces = [b'data: {"text": "a"}\n\n', b"event: end\n\n"]
    assert mapped({**SSE, "statuses": [200]}, pieces, 206).status == "http_error"
    assert mapped(SSE, pieces, 206).status == "ok"


def test_an_answer_in_one_read_has_no_time_per_token():
    """A gateway that buffers the stream: 0 s a token would meet every SLO of TPOT."""
    answer = openai([b"".join(chat_events(3))])
    assert (answer.status, answer.output_tokens, answer.tpot_s, answer.gap_ns_max) == ("ok", 3, None, 0)
    spread = openai(chat_events(3))
    assert spread.tpot_s == pytest.approx((spread.last_ns - spread.first_ns) * 1e-9 / 2)


def test_half_a_surrogate_pair_spoils_no_answer():
    """A server that cuts text by UTF-16 units sends the halves of an emoji in two events."""
    halves = [chat_chunk("ab").replace(b"ab", half) for half in (rb"\ud83d", rb"\ude00", rb"\ud83d\ude00", rb"\\ud83d")]
    answer = openai([*halves, STOP, DONE])
    assert (answer.status, answer.chunks) == ("ok", 4)
    assert answer.full_text() == "\ufffd\ufffd\U0001f600\\ud83d"
    mine = mapped(SSE, [b'data: {"text": "\\ud83d"}\n\n', b"event: end\n\n"])
    assert mine.status == "ok"


# --- the reader against a slow and obvious one ------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *HEARTBEATS,
        chat_chunk("a"),
        chat_chunk("b\u00e9"),
        chat_chunk(""),
        STOP,
        DONE,
        usage_chunk(5, 2),
        chunk_of([talk("c")], usage=USAGE),
        chunk_of([talk("", usage=USAGE)]),
        chunk_of(None),
        chunk_of([]),
        chunk_of([talk("", None)], x_groq={"usage": USAGE}),
        chat_events(0)[0],
        chat_chunk("d", usage=None),
        chunk_of([talk([{"type": "text", "text": "e"}])]),
        chunk_of([{"delta": {"reasoning_content": "hm"}, "finish_reason": None}]),
        chat_chunk('"usage":{ "error" [DONE]'),
        b'data: {"choices": [\n\n',
        *(failure for failure, _ in ERRORS),
    ]
)


def slowly(reads: list[bytes]) -> tuple[str, str | None, int, str, list[int]]:
    """Status, tokens, chunks, text and times of content, event by event; read i comes at 10 (i + 1) ms.

    What stands behind [DONE] or an error is no part of the answer.
    """
    failed, usage, chunks, pieces, ended, times, over = False, None, 0, [], False, [], False
    parser = SseParser()
    for number, part in enumerate([*reads, b""], 1):
        for item in parser.feed(part or b"\n\n"):
            if over:
                continue
            try:
                found = read_event(item.event, item.data)
            except StreamEventError:
                if not part:  # it was cut: it has not come
                    continue
                return "malformed", None, 0, "", []
            failed = failed or found.failure is not None
            usage = found.usage or usage
            if found.content_key is not None:
                chunks += 1
                times.append(10_000_000 * number)
            pieces.append(found.text)
            ended = ended or found.done or found.finish_reason is not None
            over = found.done or found.failure is not None
    status = "stream_error" if failed or not chunks or not (ended or usage) else "ok"
    return status, (usage or {}).get("completion_tokens"), chunks, "".join(pieces), sorted(set(times))


@given(
    events=st.lists(PIECES, max_size=12),
    cuts=st.lists(st.integers(0, 5_000), max_size=6),
    newline=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    known=st.booleans(),
)
@example(
    events=[chat_chunk("a"), chunk_of([talk("c")], usage=USAGE), chat_chunk("b"), DONE],
    cuts=[],
    newline=b"\n",
    known=True,
)
def test_the_quick_reader_says_what_a_slow_one_says(events, cuts, newline, known):
    """Any events, cut anywhere, with any line ends, by a reader that knows the server's shape or learns it."""
    data = b"".join(events).replace(b"\n", newline)
    plain = PlainEvents()
    if known:
        openai(chat_events(2), plain=plain)
    places = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    reads = [data[a:b] for a, b in itertools.pairwise(places) if a < b]
    answer = openai(reads, plain=plain)
    status, tokens, chunks, text, times = slowly(reads)
    assert answer.status == status
    if status == "ok":
        assert (answer.output_tokens, answer.chunks, answer.full_text()) == (tokens, chunks, text)
        assert (answer.first_ns, answer.last_ns) == (times[0], times[-1])
        assert list(answer.gaps_ns) == [b - a for a, b in itertools.pairwise(times)]


NAMES = [
    "choices",
    "delta",
    "content",
    "usage",
    "error",
    "text",
    "id",
    "code",
    "prompt_tokens_details",
    "prompt_tokens",
    "completion_tokens",
    "finish_reason",
    "message",
    "status",
    "output_tokens",
    "cost_usd",
    "model",
    *META,
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=5), max_size=4))
def test_nothing_that_can_be_sent_raises(objects):
    """Any JSON to any reader: a status, and rows that fit their columns."""
    lines = [orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str) for value in map(within, objects)]
    events = [b"data: " + line + b"\n\n" for line in lines]
    named = [
        b"event: " + name + b"\n" + item
        for item, name in zip(events, (b"meta", b"usage", b"tool", b"done"), strict=False)
    ]
    mapping = {**SSE, "usage": {"output_tokens": "usage.output_tokens"}, "error": {"path": "error.code"}}
    for answer in (
        openai(events),
        assistant(named),
        mapped(mapping, events),
        openai([*events, DONE], token_by_token=True),
    ):
        assert answer.status
        rows = [[call.get(name) for name in TABLES["calls"]] for call in answer.calls]
        assert [fitting("calls", row) for row in rows] == rows


def within(value):
    """Integers that JSON writers know: larger ones are written as text."""
    if isinstance(value, dict):
        return {key: within(item) for key, item in value.items()}
    if isinstance(value, list):
        return [within(item) for item in value]
    return str(value) if isinstance(value, int) and not -(2**63) <= value < 2**64 else value
