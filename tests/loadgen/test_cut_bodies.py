"""Bodies that end otherwise than they said, and requests that are answered before they were read to their end.

On the test's own clock, with `Rig`: no server is there. What ends before its end was said is never completed.
"""

import contextlib
import ssl
from types import SimpleNamespace

import pytest

from loadgen.transport.tls import TlsLayer
from tests.loadgen.server import STREAM_END, STREAM_HEAD, chat_chunk, chat_events, chunk, response
from tests.loadgen.test_open_bodies import MAPPED, TEXT, Rig, of, openai

WHOLE = b"".join(chat_events(3))
END = b"event: end\n\n"


@pytest.fixture
def rig(monkeypatch):
    return Rig(monkeypatch)


SAID = "ships \u2713 Fri\u00e4day \U0001f600."
WORDS = SAID.encode()
READERS = {
    "openai": (openai, [b'data: {"choices": [{"delta": {"content": "%b"}}]}\n\n' % WORDS, b"data: [DONE]\n\n"]),
    "mapping": (lambda: of(MAPPED, keep=True), [b'data: {"t": "%b"}\n\n' % WORDS, END]),
    "words": (lambda: of({**MAPPED, "text": {"encoding": "plain"}}, keep=True), [b"data: %b\n\n" % WORDS, END]),
    "text": (lambda: of({"format": "text"}, keep=True), [WORDS]),
}


@pytest.mark.parametrize("name", READERS)
def test_a_character_may_be_cut_by_chunks_and_reads(rig, name):
    """Byte by byte, each in a chunk of its own: the text is whole."""
    make, events = READERS[name]
    connection, _ = rig.send(answer := make())
    rig.read(connection, STREAM_HEAD, *(chunk(bytes([one])) for one in b"".join(events)), STREAM_END)
    assert (answer.status, answer.full_text()) == ("ok", SAID)


@pytest.mark.parametrize("name", ["openai", "mapping", "words"])
def test_a_long_pause_of_heartbeats_is_one_gap(rig, name):
    """30 s of comments between two words: no end, no error, and one gap."""
    make, events = READERS[name]
    connection, _ = rig.send(answer := make())
    rig.read(connection, STREAM_HEAD, chunk(events[0]))
    for _ in range(6):
        rig.wait(5_000_000_000)
        rig.read(connection, chunk(b": ping\n\n"))
    rig.read(connection, *map(chunk, events), STREAM_END)
    assert (answer.status, answer.chunks, list(answer.gaps_ns)) == ("ok", 2, [30_070_000_000])


def length(body, more=0):
    """A response whose Content-Length is this much more than its body."""
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body) + more}\r\n\r\n".encode() + body


CUT = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
BODIES = {
    # name: (reads, an empty one is the peer's end; status and code; whether the connection is of use afterwards)
    "chunked, no end said": ([STREAM_HEAD + chunk(chat_chunk("a")) + STREAM_END], ("stream_error", "no_end"), True),
    "chunked, cut": ([STREAM_HEAD + chunk(chat_chunk("a")), b""], ("stream_error", "closed_early"), False),
    "chunked, cut inside a chunk": ([STREAM_HEAD + chunk(WHOLE)[:250], b""], ("stream_error", "closed_early"), False),
    "length, no end said": ([length(chat_chunk("a"))], ("stream_error", "no_end"), True),
    "length shorter than the stream": ([length(WHOLE, 240 - len(WHOLE))], ("stream_error", "no_end"), False),
    "length shorter than what follows the end": ([length(WHOLE) + b"\n: ping\n\n"], ("ok", None), False),
    "length longer, open": ([length(WHOLE, 9)], ("ok", None), True),
    "length longer, closed": ([length(WHOLE, 9), b""], ("ok", None), False),
    "length longer, cut": ([length(chat_chunk("a"), 9), b""], ("stream_error", "closed_early"), False),
    "by close": ([CUT + WHOLE, b""], ("ok", None), False),
    "by close, no end said": ([CUT + chat_chunk("a"), b""], ("stream_error", "no_end"), False),
    "Connection: close": ([CUT.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + WHOLE, b""], ("ok", None), False),
    "Connection: close, chunked": (
        [STREAM_HEAD.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + chunk(WHOLE) + STREAM_END],
        ("ok", None), False),
    "a head alone": ([STREAM_HEAD, b""], ("stream_error", "closed_early"), False),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_body_is_whole_where_its_end_was_said(rig, name):
    reads, ended, of_use = BODIES[name]
    connection, _ = rig.send(openai())
    rig.read(connection, *reads)
    assert [turn[:2] for turn in rig.turns] == [ended]
    assert (connection.open, rig.faults) == (of_use, [])


@pytest.mark.parametrize(("notified", "code"), [(True, None), (False, "closed_early")])
def test_tls_that_ends_without_a_word_may_have_been_cut(rig, notified, code):
    """Where the end of the body is that of the connection, only the peer's close_notify says which (RFC 9112, 9.8)."""
    connection, _ = rig.send(of({"format": "text"}))
    connection._tls = SimpleNamespace(closed=notified, established=True)
    rig.read(connection, CUT + b"It ships", b"")
    assert [turn[1] for turn in rig.turns] == [code]


@pytest.mark.parametrize("notified", [True, False])
def test_an_end_that_was_said_needs_no_close_notify(rig, notified):
    connection, _ = rig.send(of(MAPPED))
    connection._tls = SimpleNamespace(closed=notified, established=True)
    rig.read(connection, CUT + TEXT + END, b"")
    assert [turn[0] for turn in rig.turns] == ["ok"]


def test_a_close_notify_is_heard_with_the_last_words(certificate):
    """In one read with them, or in one of its own."""
    server_context, file = certificate
    for at_once in (True, False):
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = server_context.wrap_bio(to_server, to_client, server_side=True)
        client = TlsLayer(ssl.create_default_context(cafile=str(file)), "localhost")
        to_server.write(client.hello())
        while not client.established or to_server.pending:
            with contextlib.suppress(ssl.SSLWantReadError):
                server.do_handshake()
            to_server.write(client.receive(to_client.read())[1])
        server.write(b"words")
        first = b"" if at_once else to_client.read()
        with pytest.raises(ssl.SSLWantReadError):
            server.unwrap()
        reads = [client.receive(data)[0] for data in (first, to_client.read()) if data]
        assert (reads, client.closed) == ([b"words"] if at_once else [b"words", b""], True)


@pytest.mark.parametrize("how", ["waits", "fails"])
def test_a_request_that_was_answered_before_it_was_read_spoils_no_other(rig, how):
    """Its rest would go before the next request: the connection is closed. A refusal is read though sending failed."""
    connection, _ = rig.send(openai())
    connection._unsent = b"the rest of it"
    if how == "fails":
        connection._send = lambda data: (_ for _ in ()).throw(BrokenPipeError(32, "broken pipe"))
        connection._flush()
    assert rig.turns == []
    rig.read(connection, response(b'{"error": {"code": "too_large"}}', "413 Content Too Large"))
    assert [turn[:2] for turn in rig.turns] == [("http_error", "413:too_large")]
    assert not connection.open


def test_a_request_that_could_not_be_sent_says_so(rig):
    """Where no answer is there: the code of the send, as ever."""
    connection, _ = rig.send(openai())
    connection._unsent = b"the rest of it"
    connection._send = lambda data: (_ for _ in ()).throw(BrokenPipeError(32, "broken pipe"))
    connection._flush()
    rig.read(connection, b"")
    assert [turn[:2] for turn in rig.turns] == [("http_error", "send_epipe")]
