"""Every turn ends exactly once, with a status, whatever raises on the way: nothing hangs, nothing spins."""

from __future__ import annotations

import errno
import signal
import socket
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.transport.answer import BodyAnswer
from loadgen.transport.connection import Connection, Endpoint, endpoint, now_ns
from loadgen.transport.pool import Pool
from loadgen.worker.abort_rules import Budget
from loadgen.worker.background import Background
from loadgen.worker.driver import Driver

PEERS: list[socket.socket] = []
"""Servers' ends of connections, closed when a test is over."""
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


class Watcher:
    """A watcher that never fires: the test calls the callbacks itself."""

    active = False

    def start(self, callback):
        self.active = True

    def stop(self):
        self.active = False

    def close(self):
        pass


ALARM = SimpleNamespace(at=lambda due_ns: None)
POOLS = {id(None): SimpleNamespace(give=lambda connection: None)}
LOOP = SimpleNamespace(io=lambda fd, events: Watcher())


class Notes:
    """A recorder that keeps statuses and faults."""

    def __init__(self):
        self.counters = {"asked": 0, "sent": 0, "unsent": 0}
        self.faults = []
        self.ended = []

    def fault(self, error):
        self.faults.append(error)

    def turn(self, state, answer):
        self.ended.append(answer.status)

    def event(self, row):
        self.ended.append(row[4])


@pytest.fixture(autouse=True)
def no_spinning():
    """A loop that never ends fails its test in place of hanging it."""
    signal.alarm(300)
    yield
    signal.alarm(0)
    while PEERS:
        PEERS.pop().close()


def stale_connection(refuse, on_fault, words=b"", *, stays=False):
    """A kept-alive connection whose server has gone, from a pool that makes the next one as `refuse` says.

    `words` come before it goes; with `stays` it does not go.
    """
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        where = Endpoint(("127.0.0.1",), server.getsockname()[1], "x", "")
        made = []

        def connect(stale):
            if made:
                return refuse(where, on_fault, stale)
            made.append(Connection(LOOP, where, socket.socket, on_fault, stale))
            return made[0]

        connection = Pool(connect).take()
        peer, _ = server.accept()
        connection._on_connected()
        first = BodyAnswer()
        first.on_end = lambda answer: None
        connection.request(REQUEST, first)
        peer.recv(99)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection._on_readable()
        assert first.status == "ok"
        peer.send(words)
        PEERS.append(peer)
        if not words:
            peer.close()
        elif not stays:
            peer.shutdown(socket.SHUT_WR)
        return connection


def driver(notes):
    return Driver(ALARM, POOLS, notes, in_flight_max=9, timeout_s=0.0, on_done=lambda: None)


def a_state():
    """A session that its target refused, and that goes no further."""
    return SimpleNamespace(refused="begun", connection=None, follow=lambda status, end_ns: [], others=(), target=None)


def open_turn(one, connection):
    """A turn under way on a connection."""
    answer = BodyAnswer()
    answer.connection = connection
    answer.state = a_state()
    answer.on_end = one._ended
    one._open[answer] = None
    return answer


@settings(max_examples=30, deadline=None)
@given(
    error=st.sampled_from([OSError(24, "Too many open files"), KeyError("x"), RuntimeError("y"), ValueError("z")]),
    late=st.booleans(),
)
def test_whatever_raises_when_a_request_is_sent_again_the_turn_ends(error, late):
    """A server closed the idle connection, and making or using the next one raises: a status, a fault, no open turn."""

    def refuse(where, on_fault, stale):
        if not late:
            raise error
        connection = Connection(LOOP, where, socket.socket, on_fault, stale)
        connection._unsent = b"waiting"
        connection._writer.active = False
        connection._send = lambda data: (_ for _ in ()).throw(ValueError("send"))
        return connection

    notes = Notes()
    one = driver(notes)
    connection = stale_connection(refuse, notes.fault)
    answer = open_turn(one, connection)
    connection.request(REQUEST, answer)
    if connection.open:
        connection._on_readable()
    if late:
        one.tick()
    assert answer.end_ns
    assert len(notes.ended) == 1
    assert one.in_flight == 0
    one.tick()
    assert len(notes.ended) == 1


@pytest.mark.parametrize(
    ("words", "stays", "code"),
    [(b"SSH-2.0-OpenSSH_9.6\r\n", True, "not_http"), (b"HTTP/1.1 20", False, "closed_before_answer")],
    ids=["garbage", "half a head"],
)
def test_a_request_that_got_an_answer_of_any_kind_is_not_sent_again(words, stays, code):
    """Bytes came, so the server had read it: sent once more, a customer's message would be answered twice."""
    sent_again = []

    def connect(where, on_fault, stale):
        sent_again.append(True)
        raise OSError("not again")

    notes = Notes()
    connection = stale_connection(connect, notes.fault, words, stays=stays)
    answer = open_turn(driver(notes), connection)
    connection.request(REQUEST, answer)
    while connection.open:
        connection._on_readable()
    assert (answer.error_code, sent_again, notes.faults) == (code, [], [])


@pytest.mark.parametrize(
    ("host_header", "name"), [("[::1]:8443", "::1"), ("[::1]", "::1"), ("shop.example:443", "shop.example")]
)
def test_the_tls_server_name_is_the_host_without_its_port(host_header, name, monkeypatch):
    """An IPv6 address has colons of its own."""
    names = []
    monkeypatch.setattr("loadgen.transport.connection.TlsLayer", lambda context, server_name: names.append(server_name))
    where = Endpoint(("127.0.0.1",), 1, host_header, "", tls=object())
    Connection(LOOP, where, socket.socket, None, None).close()
    assert names == [name]


def test_a_turn_that_waits_for_the_budget_is_not_begun_at_the_end():
    """What a censored turn gives back, and a grant that comes late, would pay for it: its answer had no row."""
    notes, done = Notes(), []
    budget = Budget(1.0, 1.0, lambda usd, urgent: None)
    one = Driver(ALARM, POOLS, notes, in_flight_max=9, timeout_s=9.0, on_done=lambda: done.append(True), budget=budget)
    assert budget.reserve()
    under_way = open_turn(one, SimpleNamespace(abort=lambda status, code: None))
    under_way.start_ns, under_way.cost_usd = now_ns(), 0.0
    one.begin(0, now_ns() + 60_000_000_000, 0.0)
    one._start(a_state(), now_ns())
    one._end_ns = one._drained_ns = 1
    one.tick()
    budget.grant(5.0, urgent=True)
    one.pay()
    assert (notes.ended, done) == (["censored"], [True])
    assert notes.counters == {"asked": 0, "sent": 0, "unsent": 1}


def test_a_turn_its_connection_forgot_ends_at_its_timeout():
    """The deadline ends every turn, also one that no connection will ever end; that is a fault of ours."""
    notes = Notes()
    one = driver(notes)
    answer = open_turn(one, SimpleNamespace(abort=lambda status, code: None))
    answer.start_ns = 1
    one.tick()
    assert notes.ended == ["timeout"]
    assert len(notes.faults) == 1


def test_an_abort_that_raises_ends_its_turn_and_the_run():
    """The end of the run censors every open turn although the first one's connection raises, and then says done."""
    done = []
    notes = Notes()
    one = Driver(ALARM, POOLS, notes, in_flight_max=9, timeout_s=9.0, on_done=lambda: done.append(True))

    def raising(status, code):
        raise OSError("abort")

    for abort in (raising, lambda status, code: None):
        open_turn(one, SimpleNamespace(abort=abort)).start_ns = now_ns()
    one.begin(0, 1, 0.0)
    one.tick()
    assert notes.ended == ["censored", "censored"]
    assert done == [True]


def test_a_row_that_cannot_be_written_loses_no_turn_after_it():
    """The recorder raises: the turn is over, the fault is told, and the next turn is planned."""
    notes = Notes()
    notes.turn = lambda state, answer: (_ for _ in ()).throw(OSError("disk full"))
    one = driver(notes)
    answer = open_turn(one, SimpleNamespace(abort=lambda status, code: None))
    asked = []
    answer.state.follow = lambda status, end_ns: asked.append(status) or []
    answer.start_ns = 1
    one.tick()
    assert asked == ["timeout"]
    assert one.in_flight == 0


def test_a_forgotten_background_request_ends_at_its_timeout():
    """A stream's requests have the same ending as turns."""
    notes = Notes()
    connection = SimpleNamespace(abort=lambda status, code: None, request=lambda request, answer: None)
    pool = SimpleNamespace(take=lambda: connection, give=lambda connection: None)
    loop = SimpleNamespace(io=LOOP.io, timer=lambda after: Watcher())
    stream = Background(loop, "ticks", [], lambda: REQUEST, pool, notes)
    stream._send(1)
    stream.tick()
    assert notes.ended == ["timeout"]
    stream.end()


def test_what_is_due_in_the_background_is_sent_though_the_timer_never_came():
    """The process stood still over the end of the window: both requests have an ending in the record."""
    notes = Notes()
    connection = SimpleNamespace(abort=lambda status, code: None, request=lambda request, answer: None)
    pool = SimpleNamespace(take=lambda: connection, give=lambda connection: None)
    loop = SimpleNamespace(io=LOOP.io, timer=lambda after: Watcher())
    stream = Background(loop, "ticks", [0.1, 0.2, 60.0], lambda: REQUEST, pool, notes)
    stream.begin(now_ns() - 1_000_000_000)
    stream.tick()
    stream.end()
    assert len(notes.ended) == 2


def without_ipv6(family, kind):
    if family == socket.AF_INET6:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
    return socket.socket(family, kind)


@pytest.mark.parametrize("socket_type", [socket.socket, without_ipv6])
def test_a_connection_tries_every_admitted_address_in_order(socket_type):
    """IPv6 refuses or is absent, IPv4 answers: the request goes there, and no name is looked up."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        where = Endpoint(("::1", "127.0.0.1"), server.getsockname()[1], "assistant.example", "")
        connection = Connection(LOOP, where, socket_type, lambda error: None, lambda *_: None)
        if connection._tried == 1:  # the refusal came later
            connection._on_connected()
        peer, _ = server.accept()
        connection._on_connected()
        connection.request(REQUEST, BodyAnswer())
        assert peer.recv(99).startswith(REQUEST[:4])
        PEERS.append(peer)
        connection.close()


@pytest.mark.parametrize("url", ["http://example.com", "http://10.0.0.7:80", "http://localhost.example.com"])
def test_an_endpoint_of_a_host_that_was_not_admitted_cannot_be_made(url, monkeypatch):
    """Whoever makes a job without the guard contacts nobody."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    with pytest.raises(OSError, match="not admitted"):
        endpoint(url)
    assert endpoint("http://example.com/v1", {"example.com": ("192.0.2.1",)}).addresses == ("192.0.2.1",)
