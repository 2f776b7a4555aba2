"""What few servers do with HTTP: the same answer and status all the same, or an error that says what to do."""

import json
from array import array
from types import SimpleNamespace

import pandas as pd
import pytest

from dashboards.numbers.errors import sentence_of
from loadgen.analysis.totals import totals, untold_warnings, whole_warnings
from loadgen.job import TargetSpec
from loadgen.targets.http import FORM
from loadgen.targets.inspection import request
from loadgen.targets.signals import MappedReader, SignalAnswer
from loadgen.transport.connection import endpoint
from tests.loadgen.server import STREAM_END, STREAM_HEAD, chunk, response, serving
from tests.loadgen.worker_runs import play, stop_when
from wire.http_response import ResponseReader

BODY = {"message": "{message}"}
SSE = {"format": "sse", "body": BODY, "text": {"path": "t"}, "end": {"data": "[DONE]"}}
JSON = {"format": "json", "body": BODY, "text": {"path": "t"}}
IT, FRIDAY, DONE = b'data: {"t": "It ships "}\n\n', b'data: {"t": "Friday."}\n\n', b"data: [DONE]\n\n"
WHOLE = chunk(IT) + chunk(FRIDAY) + chunk(DONE) + STREAM_END
CLOSED = b"Content-Type: text/event-stream\r\n\r\n" + IT + FRIDAY + DONE
WIRES = {
    "trailers": (SSE, STREAM_HEAD + WHOLE[: -len(STREAM_END)] + b"0\r\nX-Tokens: 4\r\n\r\n"),
    "chunk extensions": (SSE, STREAM_HEAD + WHOLE.replace(b"\r\ndata", b';sig="a;b"\r\ndata')),
    "sizes with zeros before": (SSE, STREAM_HEAD + b"000" + WHOLE),
    "early hints": (SSE, b"HTTP/1.1 103 Early Hints\r\nLink: </s>; rel=preload\r\n\r\n" + STREAM_HEAD + WHOLE),
    "leave to go on": (SSE, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + STREAM_HEAD + WHOLE),
    "no reason": (SSE, STREAM_HEAD.replace(b"200 OK", b"200") + WHOLE),
    "HTTP/1.0, end by close": (SSE, b"HTTP/1.0 200 OK\r\n" + CLOSED),
    "end by close": (SSE, b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + CLOSED),
    "ids and retry": (SSE, response(b"retry: 3000\nid: 1\n" + IT + b"id: 2\n" + FRIDAY + DONE)),
    "blanks before a body": (JSON, STREAM_HEAD + chunk(b"  ") + chunk(b' \n{"t": "It ships Friday."}') + STREAM_END),
    "byte order mark": (JSON, response(b'\xef\xbb\xbf{"t": "It ships Friday."}')),
    "a list (Rasa)": ({**JSON, "text": {"path": "0.text"}}, response(b'[{"text": "It ships Friday."}]')),
    "subscription (GraphQL)": (
        {**SSE, "text": {"event": "next", "path": "data.a"}, "end": {"event": "complete"}},
        response(b'event: next\ndata: {"data": {"a": "It ships Friday."}}\n\nevent: complete\n\n'),
    ),
}  # fmt: skip


@pytest.mark.parametrize("size", [1, 1_000_000])
@pytest.mark.parametrize("name", WIRES)
def test_an_answer_is_whole_however_its_server_speaks_http(name, size):
    mapping, wire = WIRES[name]
    spec = TargetSpec("http", "http://127.0.0.1:1", mapping=mapping)
    answer, reader = SignalAnswer(array("q"), MappedReader(mapping), spec, keep_text=True), ResponseReader()
    take = None
    for at in range(0, len(wire), size):
        reader.feed(wire[at : at + size])
        if take is None and reader.has_head:
            take = answer.on_headers(at + 1, reader.status, reader.headers)
        if take is not None and (piece := reader.take_body()):
            take(at + 1, piece)
    assert reader.complete or reader.ends_at_close()
    answer.complete(len(wire) + 1)
    assert (answer.status, answer.full_text()) == ("ok", "It ships Friday.")


@pytest.mark.parametrize(
    ("header", "code"),
    [("Content-Type: application/grpc-web+proto", "grpc"), ("Content-Encoding: br", "content_encoding_br")],
)
def test_what_nobody_here_can_read_is_named(header, code):
    """A gRPC answer, or one that was compressed without leave: an error of its own, whatever its bytes are."""
    reader = ResponseReader()
    reader.feed(f"HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: 5\r\n\r\n".encode() + b"\x00\x00\x00\x00\x05")
    answer = SignalAnswer(array("q"), MappedReader(SSE), TargetSpec("http", "http://127.0.0.1:1", mapping=SSE))
    answer.on_headers(1, reader.status, reader.headers)(1, reader.take_body())
    answer.complete(2)
    assert (answer.status, answer.error_code) == ("http_error", code)


def spec_of(server, mapping=SSE):
    return TargetSpec("http", f"{server.url}/ask", mapping=mapping)


def test_bytes_behind_a_whole_answer_end_the_connection_alone(make_job):
    """The turn is answered, and the next one goes over another connection."""
    with serving(lambda *_: [(0.0, STREAM_HEAD + WHOLE + b"more of it")]) as server:
        run, final = play(make_job(spec_of(server), rate_per_s=20.0))
    assert set(run.turns["status"]) == {"ok"}
    assert final["counters"]["faults"] == 0


LOGIN = b"<!doctype html><html><head><title>Sign in</title></head><body><form action=/login></form></body></html>"


TEXT = {"format": "text", "body": BODY, "text": {}}


def read_as_html(mapping, body):
    """The answer to a mapped target whose body is called HTML."""
    reader, spec = ResponseReader(), TargetSpec("http", "http://127.0.0.1:1", mapping=mapping)
    reader.feed(response(body, content_type="text/html; charset=utf-8"))
    answer = SignalAnswer(array("q"), MappedReader(mapping), spec, keep_text=True)
    answer.on_headers(1, reader.status, reader.headers)(1, reader.take_body())
    answer.complete(2)
    return answer


@pytest.mark.parametrize("mapping", [SSE, JSON, TEXT], ids=["sse", "json", "text"])
def test_a_login_page_is_no_answer(mapping):
    """Under 200 it was a cut stream, damaged JSON, or words that were taken for an answer."""
    answer = read_as_html(mapping, LOGIN)
    assert (answer.status, answer.error_code) == ("http_error", "html_page")
    assert answer.error_text.endswith("or is the path another's? Sign in")


def test_an_answer_that_is_called_html_is_read():
    """Flask calls everything so that its author did not."""
    answer = read_as_html(SSE, IT + FRIDAY + DONE)
    assert (answer.status, answer.full_text()) == ("ok", "It ships Friday.")


def test_a_refusal_says_when_to_come_back(make_job):
    """In the sample of its code, behind which the terminal shows it."""
    busy = response(b'{"error": {"message": "slow down"}}', "429 Too Many Requests", "Retry-After: 7\r\n")
    with serving(lambda *_: [(0.0, busy)]) as server:
        run, final = play(make_job(spec_of(server), rate_per_s=20.0))
    assert set(run.turns["status"]) == {"throttled"}
    (sample,) = final["error_samples"].values()
    assert sentence_of(sample) == "slow down (retry after 7 s)"


@pytest.mark.parametrize(
    ("tokens", "tpot_s", "warned"),
    [
        ([4, 4, 4], [None, None, 0.1], "2 of 3 answers came whole"),
        ([4, 4], [None, 0.1], ""),
        ([1, 1], [None, None], ""),
    ],
    ids=["most", "half", "of one token"],
)
def test_answers_that_come_whole_are_warned_of(tokens, tpot_s, warned):
    """A proxy that buffers: TTFT is E2E then, and no other figure shows it."""
    calls = pd.DataFrame({"status": "ok", "timed_by": "loadgen", "output_tokens": tokens, "tpot_s": tpot_s})
    warnings = whole_warnings(SimpleNamespace(calls=calls))
    assert [words.partition(", in one read")[0] for words in warnings] == ([warned] if warned else [])


def test_a_redirect_says_where_to_without_its_query(make_job):
    moved = response(b"", "307 Temporary Redirect", headers="Location: https://new.example/ask?key=s3cret\r\n")
    with serving(lambda *_: [(0.0, moved)]) as server:
        run, final = play(make_job(spec_of(server), rate_per_s=20.0))
    assert set(run.turns["error_code"]) == {"307"}
    assert final["error_samples"]["307"] == "redirects to https://new.example/ask; name that address\n"


@pytest.mark.parametrize(
    ("usage", "told", "warned"),
    [({}, None, True), ({"output_tokens": "n"}, 4, False)],
)
def test_tokens_that_a_server_does_not_tell_are_unknown_and_warned_of(make_job, usage, told, warned):
    """Null in the totals, and one sentence: no answer was of 0 tokens."""
    body = response(b'{"t": "It ships Friday.", "n": "4"}')
    with serving(lambda *_: [(0.0, body)]) as server:
        run, _ = play(make_job(spec_of(server, {**JSON, "usage": usage}), rate_per_s=20.0))
    counted = totals(run, 0.5, {})
    assert counted.output_tokens == (None if told is None else told * counted.completed)
    assert [words.partition(" told")[0] for words in untold_warnings(run)] == (
        [f"{counted.completed} of {counted.completed} answers"] if warned else []
    )


@pytest.mark.parametrize(
    ("mapping", "sent"),
    [
        ({"body": BODY}, b'{"message":"hi & bye"}'),
        ({"body": {**BODY, "n": 1}, "headers": {"content-type": FORM}}, b"message=hi+%26+bye&n=1"),
        ({"body": "{message}", "headers": {"Content-Type": "text/plain"}}, b"hi & bye"),
        ({"method": "GET", "url": "?q={message}"}, b""),
    ],
    ids=["JSON", "form", "text", "GET"],
)
def test_a_body_is_written_as_its_content_type_says(mapping, sent):
    """A form, a text or JSON; GET without a body has no length and no type, and every request names its sender."""
    url = f"http://127.0.0.1:1/ask/{mapping.get('url', '')}"
    spec = TargetSpec("http", url, mapping={"url": url, "format": "json", "text": {"path": "t"}, **mapping})
    head, _, body = request(spec, endpoint(url), "hi & bye").partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert (body, headers.get("content-length")) == (sent, str(len(sent)) if sent else None)
    assert first == ("POST /ask/ HTTP/1.1" if sent else "GET /ask/?q=hi%20%26%20bye HTTP/1.1")
    assert len(lines) == len(headers)
    assert (headers["user-agent"], headers["accept"], "content-type" in headers) == ("peakday", "*/*", bool(sent))


@pytest.mark.parametrize("own", [False, True])
def test_cookies_go_with_the_later_turns_of_their_session(make_job, own):
    """Two are set by the first answer; a mapping that names its own sends those."""
    set_two = b"Set-Cookie: AWSALB=a/b=; Path=/\r\nSet-Cookie: sid=7; HttpOnly\r\n\r\n"
    mapping = {**SSE, "headers": {"cookie": "sid={session_id}"}} if own else SSE
    with serving(lambda *_: [(0.0, STREAM_HEAD[:-2] + set_two + WHOLE)]) as server:
        mix = {"turns_per_interaction": {"mean": 2.0, "max": 2}, "think_s": {"median": 0.01}}

        def later(_):
            """Whether a session has asked twice: with a cookie, or with its own for the second time."""
            sent = [headers["cookie"] for _, headers, _ in server.requests if "cookie" in headers]
            return len(sent) > (len(set(sent)) if own else 0)

        job = make_job(spec_of(server, mapping), rate_per_s=20.0, for_s=60.0, scenario={"mix": mix})
        run, _ = play(job, stop_when(later))
    assert {1, 0} <= set(run.turns["turn_index"])
    sent = {headers.get("cookie") for _, headers, _ in server.requests}
    assert sent == ({None, "AWSALB=a/b=; sid=7"} if not own else sent)
    assert not own or all(cookie.startswith("sid=s") for cookie in sent)
    assert "AWSALB" not in json.dumps(run.turns.astype(str).to_dict())
