"""Thirty-four shapes of a wire, each against the truth of who wrote it: status, text, tokens, and every time.

First with the test's own clock, exactly: piece i is written at (i + 1) x 10 ms, and is read there and then, in one
read or in many. Then over a socket, by a server that notes when it writes a piece and writes the next once that was
read: each of our times lies between two of its own, however late the machine is.
"""

import socket
import threading
import time
from array import array
from queue import Queue

import pytest
from gevent import get_hub
from gevent.event import Event

from loadgen.job import TargetSpec
from loadgen.targets.mapping import RESPONSES, load_mapping, named_target
from loadgen.targets.openai import OpenAiAnswer
from loadgen.targets.signals import MappedReader, SignalAnswer
from loadgen.transport.connection import Connection, endpoint
from tests.loadgen.server import STREAM_END, STREAM_HEAD, chat_chunk, chunk, usage_chunk
from tests.loadgen.test_named_mappings import WIRES, keys, sse

pytestmark = pytest.mark.unit
__all__ = ["keys"]

STEP_NS = 10_000_000
SPEC = TargetSpec("openai", "http://127.0.0.1:1")
DONE = b"data: [DONE]\n\n"
FIN = chat_chunk(None, finish_reason="stop")
COUNTED = {"prompt_tokens": 7, "completion_tokens": 4}
IT, FRIDAY = chat_chunk("It ships "), chat_chunk("Friday.")
PATH = {"text": {"path": "t"}}


def mapped(**more):
    """A mapping of SSE whose text stands at `t`."""
    return {"format": "sse", **PATH, **more}


def lines(*events: bytes) -> list[bytes]:
    return [event + b"\n" for event in events]


def data(*values: bytes) -> list[bytes]:
    return [b"data: " + value + b"\n\n" for value in values]


T1, T2 = b'{"t": "It ships "}', b'{"t": "Friday."}'
USED = {"usage": {"input_tokens": "u.in", "output_tokens": "u.out"}}
COUNTS = b'{"u": {"in": 7, "out": 4}}'
SHAPES = {
    # name: (mapping, or None for an OpenAI-compatible server; pieces; output tokens, or None where none are told)
    "openai, usage last": (None, [IT, FRIDAY, FIN, usage_chunk(7, 4), DONE], 4),
    "openai, role first": (None, [chat_chunk(""), IT, FRIDAY, FIN, usage_chunk(7, 4), DONE], 4),
    "openai, no space after data": (
        None, [piece.replace(b"data: ", b"data:") for piece in (IT, FRIDAY, FIN, usage_chunk(7, 4), DONE)], 4),
    "openai, CRLF": (None, [piece.replace(b"\n", b"\r\n") for piece in (IT, FRIDAY, FIN, usage_chunk(7, 4), DONE)], 4),
    "openai, comments between": (None, [b": ping\n\n", IT, b": ping\n\n", FRIDAY, FIN, usage_chunk(7, 4), DONE], 4),
    "openai, usage in the last choice": (
        None, [IT, FRIDAY, chat_chunk(None, finish_reason="stop", usage=COUNTED), DONE],
        4),
    "openai, usage under x_groq": (
        None, [IT, FRIDAY, chat_chunk(None, finish_reason="stop", x_groq={"usage": {
            "prompt_tokens": 7, "completion_tokens": 4}}), DONE], 4),
    "openai, end glued to the usage": (None, [IT, FRIDAY, FIN, usage_chunk(7, 4) + DONE], 4),
    "lines of JSON": ({"format": "ndjson", **PATH, "end": {"path": "done"}, **USED},
                      lines(T1, T2, COUNTS, b'{"done": true}'), 4),
    "lines of JSON, CRLF": ({"format": "ndjson", **PATH, "end": {"path": "done"}, **USED},
                            lines(T1 + b"\r", T2 + b"\r", COUNTS + b"\r", b'{"done": true}\r'), 4),
    "lines of JSON, words between": ({"format": "ndjson", **PATH, "end": {"path": "done"}},
                                     lines(b"ping", T1, b"", T2, b'{"done": true}'), None),
    "one JSON body": ({"format": "json", "text": {"path": "t"}, **USED},
                      [b'{"t": "It ships Friday.", "u": {"in": 7, "out": 4}}'], 4),
    "raw JSON strings, end by close": (mapped(text={}, end={"close": True}), data(b'"It ships "', b'"Friday."'), None),
    "end without data": (mapped(end={"event": "end"}), [*data(T1, T2), b"event: end\n\n"], None),
    "end with null": (mapped(end={"data": None}), data(T1, T2, b"null"), None),
    "end with an empty text": (mapped(end={"data": '""'}), data(T1, T2, b'""'), None),
    "end with nought": (mapped(end={"data": 0}), data(T1, T2, b"0"), None),
    "end with an empty object": (mapped(end={"data": "{}"}), data(T1, T2, b"{}"), None),
    "end by a word": (mapped(end={"data": "[DONE]"}, **USED), data(T1, T2, COUNTS, b"[DONE]"), 4),
    "end by equality": (mapped(end={"path": "state", "equals": "ok"}),
                        data(b'{"state": "run"}', T1, T2, b'{"state": "ok"}'), None),
    "end by absence": (mapped(end={"absent": "more"}),
                       data(b'{"more": 1, "t": "It ships "}', b'{"more": 1, "t": "Friday."}', b'{"last": 1}'), None),
    "event of several data lines": (mapped(end={"event": "end"}),
                                    [b'data: {"t":\ndata: "It ships "}\n\n', *data(T2), b"event: end\n\n"], None),
    "name of the event inside": (mapped(event_name="k", text={"event": "d", "path": "t"}, end={"event": "z"}),
                                 data(b'{"k": "d", "t": "It ships "}', b'{"k": "x", "t": "no"}',
                                      b'{"k": "d", "t": "Friday."}', b'{"k": "z"}'), None),
    "words as they stand": (mapped(text={"encoding": "plain"}, end={"data": "[DONE]"}),
                            data(b"It ships ", b"", b"Friday.", b"[DONE]"), None),
    "words of one event": (mapped(text={"event": "output", "encoding": "plain"}, end={"event": "done"}),
                           [b"event: logs\ndata: no\n\n", b"event: output\ndata: It ships \n\n",
                            b"event: output\ndata: Friday.\n\n", b"event: done\ndata: {}\n\n"], None),
    "JSON inside a text": ({"format": "json", "text": {"path": "body.t"},
                            "usage": {"input_tokens": "body.u.in", "output_tokens": "body.u.out"}},
                           [b'{"body": "{\\"t\\": \\"It ships Friday.\\", \\"u\\": {\\"in\\": 7, \\"out\\": 4}}"}'], 4),
    "openai, one JSON in place of a stream": (None, [
        b'{"choices": [{"message": {"content": "It ships Friday."},\n "finish_reason": "stop"}],\n'
        b' "usage": {"prompt_tokens": "7", "completion_tokens": "4"}}'], 4),
    "Responses, cut short": (
        {"format": "responses", **RESPONSES},
        [*(sse({"type": "response.output_text.delta", "delta": text}) for text in ("It ships ", "Friday.")),
         sse({"type": "response.incomplete", "response": {"usage": {"input_tokens": 7, "output_tokens": 4}}})], 4),
}  # fmt: skip


def named(name: str):
    """A named mapping's shape: its wire event by event, with the tokens that the wire tells."""
    begun, ended, tokens = WIRES[name]
    path, values = named_target(f"{name}:http://127.0.0.1:1/x")
    pieces = [event + b"\n\n" for part in (begun, ended) for event in part.split(b"\n\n") if event]
    return load_mapping(path, values), pieces, None if tokens is None else tokens[2]


CASES = [*SHAPES, *(f"named {name}" for name in ("ag-ui", "ai-sdk", "ai-sdk-4", "a2a", "anthropic", "langserve"))]


def shape(name: str):
    return named(name.removeprefix("named ")) if name.startswith("named ") else SHAPES[name]


def answer_to(mapping, gaps, openai=OpenAiAnswer, mapped=SignalAnswer):
    """An answer of a shape, as a load worker has it."""
    if mapping is None:
        return openai(gaps, SPEC, None, True)
    return mapped(gaps, MappedReader(mapping), TargetSpec("http", "http://127.0.0.1:1", mapping=mapping), True)


def read(mapping, pieces, size: int):
    """The answer, its pieces read at their times in parts of `size` bytes; the body ends a step after the last."""
    gaps = array("q")
    answer = answer_to(mapping, gaps)
    answer.start_ns = 1
    take = answer.on_headers(2, 200, {})
    for number, piece in enumerate(pieces, 1):
        for at in range(0, len(piece), size):
            take(number * STEP_NS, piece[at : at + size])
    answer.complete((len(pieces) + 1) * STEP_NS)
    return answer, gaps


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("name", CASES)
def test_status_tokens_and_times_are_the_writers(name, size):
    """First and last token where their pieces were written, the end where the body ended, nothing guessed."""
    mapping, pieces, tokens = shape(name)
    answer, gaps = read(mapping, pieces, size)
    writes = [number + 1 for number in written(name, pieces)]
    assert (answer.status, answer.error_code) == ("ok", None)
    assert told(answer) == (tokens, None if tokens is None else 7)
    assert (answer.first_ns, answer.last_ns) == (writes[0] * STEP_NS, writes[-1] * STEP_NS)
    assert answer.end_ns == (len(pieces) + 1) * STEP_NS
    assert sum(gaps) == answer.last_ns - answer.first_ns


def written(name, pieces):
    """Which pieces hold words of the answer; one body is read when it has ended, a piece later."""
    if "JSON i" in name or "JSON body" in name:
        return [len(pieces)]
    return [number for number, piece in enumerate(pieces) if b"It ships" in piece or b"Friday." in piece]


def told(answer):
    """Output and input tokens of an answer."""
    return answer.output_tokens, next((call.get("input_tokens") for call in answer.calls), None)


def watched(kind, read_bytes):
    """A kind of answer that says how many bytes of its body it has read."""

    class Watched(kind):
        def on_headers(self, now_ns, http_status, headers):
            take = super().on_headers(now_ns, http_status, headers)

            def taken(at_ns, data):
                take(at_ns, data)
                read_bytes.put(len(data))

            return taken

    return Watched


def truth_teller(listener, pieces, read_bytes, writes):
    """Serve one request: `writes` is when each piece was written, and last when all had been read."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(STREAM_HEAD)
        for piece in pieces:
            writes.append(time.monotonic_ns())
            connection.sendall(chunk(piece))
            left = len(piece)
            while left:
                left -= read_bytes.get(timeout=300)
        writes.append(time.monotonic_ns())
        connection.sendall(STREAM_END)
        connection.recv(1)  # until the client has read it and closes


@pytest.mark.parametrize("name", CASES)
def test_over_a_socket_each_time_lies_between_the_writes_around_it(name):
    mapping, pieces, tokens = shape(name)
    read_bytes, writes, ended, gaps = Queue(), [], Event(), array("q")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=truth_teller, args=(listener, pieces, read_bytes, writes))
        server.start()
        where = endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        connection = Connection(get_hub().loop, where, socket.socket, lambda error: None, None)
        answer = answer_to(mapping, gaps, watched(OpenAiAnswer, read_bytes), watched(SignalAnswer, read_bytes))
        answer.on_end = lambda _: ended.set()
        connection.request(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", answer)
        ended.wait(300)
        connection.close()
        server.join()
    times = [*writes, answer.end_ns + 1]
    first, *_, last = [*written(name, pieces) * 2]
    assert (answer.status, told(answer)) == ("ok", (tokens, None if tokens is None else 7))
    assert times[first] <= answer.first_ns < times[first + 1]
    assert times[last] <= answer.last_ns < times[last + 1]
    assert writes[-1] <= answer.end_ns
    assert sum(gaps) == answer.last_ns - answer.first_ns


@pytest.mark.parametrize(
    "name",
    [name for name in CASES if not name.startswith("openai") and "close" not in name and name != "one JSON body"],
)
def test_a_wire_without_its_end_is_no_answer(name):
    """The last event taken away: whatever the shape, the turn is no success."""
    mapping, pieces, _ = shape(name)
    answer, _ = read(mapping, pieces[: -2 if name == "named ai-sdk" else -1], 100_000)
    assert answer.status == "stream_error"
