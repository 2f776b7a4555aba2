"""An answer that said its end is over, whether or not its body is; what stays open is closed, and counted.

On the test's own clock: read i of a connection comes at i x 10 ms, and no server is there.
"""

from array import array
from types import SimpleNamespace

import pytest

from assistant.ask import ask as ask_assistant
from emulator.bedrock.eventstream_encoder import event as frame
from emulator.bedrock.eventstream_encoder import exception
from host.errors import Exit
from loadgen.analysis.finish import _end_warnings
from loadgen.job import TargetSpec
from loadgen.record import load_run
from loadgen.targets.assistant import AssistantAnswer
from loadgen.targets.bedrock import ConverseAnswer
from loadgen.targets.inspection import BODY_OPEN
from loadgen.targets.mapping import load_mapping, named_target
from loadgen.targets.mcp import McpAnswer, McpReader, McpSession
from loadgen.targets.openai import OpenAiAnswer
from loadgen.targets.signals import MappedReader, SignalAnswer
from loadgen.transport import connection as connection_module
from loadgen.transport import exchange
from loadgen.transport.answer import END_GRACE_S
from loadgen.transport.connection import Connection
from loadgen.transport.pool import Pool
from loadgen.worker import driver as driver_module
from loadgen.worker.driver import Driver
from peakday.agent.ask import ask_target
from peakday.consent import NO_CONSENT
from peakday.console import Console
from tests.loadgen.server import (
    STREAM_END,
    STREAM_HEAD,
    assistant_events,
    chat_chunk,
    chat_events,
    chunk,
    serving,
    usage_chunk,
)
from tests.loadgen.server import assistant as assistant_server
from tests.loadgen.server import event as sse
from tests.loadgen.test_named_mappings import WIRES, keys
from tests.loadgen.test_token_cost import WHERE, Socket
from tests.loadgen.worker_runs import play

__all__ = ["keys"]
STEP_NS = 10_000_000
GRACE_NS = int(END_GRACE_S * 1e9)
THINK_NS = 30 * STEP_NS
DONE = b"data: [DONE]\n\n"
STOP = chat_chunk(None, finish_reason="stop")


class Rig:
    """A driver with one connection at a time, its clock, and what became of the turns."""

    def __init__(self, monkeypatch):
        self.now = STEP_NS
        for module in (connection_module, driver_module):
            monkeypatch.setattr(module, "now_ns", lambda: self.now)
        self.counters = dict.fromkeys(("asked", "sent", "unsent", "left_open", "went_on"), 0)
        self.faults, self.turns, self.follows, self.made = [], [], [], []
        recorder = SimpleNamespace(
            counters=self.counters, fault=self.faults.append, gaps_ns=array("q"),
            turn=lambda state, answer: self.turns.append((answer.status, answer.error_code, answer.end_ns)),
        )  # fmt: skip
        watcher = SimpleNamespace(active=False, start=lambda *_: None, stop=lambda: None, close=lambda: None)
        loop = SimpleNamespace(io=lambda *_: watcher)
        self.pool = Pool(lambda stale: Connection(loop, WHERE, Socket, self.faults.append, stale))
        alarm = SimpleNamespace(at=lambda due_ns: None)
        self.done = []
        self.driver = Driver(
            alarm, {id(None): self.pool}, recorder, in_flight_max=9, timeout_s=9e9,
            on_done=lambda: self.done.append(self.now),
        )  # fmt: skip
        self.driver.begin(0, 10**18, 60.0)

    def send(self, answer, goes_on=True):
        """Begin a turn; with `goes_on` its session has another one."""
        state = SimpleNamespace(connection=None, lengths=None, target=None, others=())
        state.turn = SimpleNamespace(patience_s=None)
        state.target = SimpleNamespace(learn=lambda *_: None)
        self.driver._pools = {id(state.target): self.pool}
        state.follow = lambda status, end_ns: [(end_ns + THINK_NS, state)] if goes_on else []
        connection = state.connection = self.pool.take()
        self.driver._send(state, self.now, b"POST", answer, connection)
        return connection, state

    def read(self, connection, *reads):
        """Each read a step later, and a tick of the driver behind it."""
        for data in reads:
            self.now += STEP_NS
            connection._sock.reads.append(data)
            connection._on_readable()
            self.driver.tick()

    def wait(self, ns):
        self.now += ns
        self.driver.tick()

    @property
    def due_ns(self):
        """When the next turn is due."""
        return self.driver._later[0][0]


@pytest.fixture
def rig(monkeypatch):
    return Rig(monkeypatch)


def openai():
    return OpenAiAnswer(array("q"), TargetSpec("openai", "http://127.0.0.1:1"), None, True)


def assistant():
    return AssistantAnswer(array("q"))


def bedrock():
    return ConverseAnswer(array("q"), TargetSpec("bedrock", "http://127.0.0.1:1", model="m"))


def of(mapping, *, keep=False):
    """An answer read by a mapping, or by the one that has this name."""
    if isinstance(mapping, str):
        path, values = named_target(f"{mapping}:http://127.0.0.1:1/x")
        mapping = load_mapping(path, values)
    spec = TargetSpec("http", "http://127.0.0.1:1", mapping=mapping)
    return SignalAnswer(array("q"), MappedReader(mapping), spec, keep)


def named(name):
    """An answer by a named mapping, and its wire event by event."""
    pieces = [event + b"\n\n" for part in WIRES[name][:2] for event in part.split(b"\n\n") if event]
    return lambda: of(name), pieces


def module():
    """An answer read by a user's own class."""
    reader = SimpleNamespace(
        feed=lambda data: [("text", "a"), ("usage", {"output_tokens": 3})] if data == b"a" else [("end", None)],
        close=lambda: [],
    )
    return SignalAnswer(array("q"), reader, TargetSpec("module", "http://127.0.0.1:1"))


def mcp():
    spec = TargetSpec("http", "http://127.0.0.1:1")
    return McpAnswer(array("q"), McpReader("1"), spec, False, McpSession(None, "", ""), "t")


TEXT = b'data: {"t": "a"}\n\n'
MAPPED = {"format": "sse", "text": {"path": "t"}, "end": {"event": "end"}}
CONVERSE = [frame("contentBlockDelta", b'{"delta": {"text": "a"}}'),
            frame("messageStop", b'{"stopReason": "end_turn"}'),
            frame("metadata", b'{"usage": {"inputTokens": 3, "outputTokens": 4}}')]  # fmt: skip
RPC = b'data: {"jsonrpc": "2.0", "id": "1", "result": {"content": [{"type": "text", "text": "a"}]}}\n\n'
OVER = {
    # name: (makes the answer, pieces of its body; the last one says that nothing follows)
    "openai": (openai, chat_events(3)),
    "openai, error": (openai, [chat_chunk("a"), b'data: {"error": {"message": "no", "code": 500}}\n\n']),
    "assistant": (assistant, assistant_events(3)),
    "assistant, error": (assistant, [sse("delta", {"text": "a"}), sse("error", {"code": "x"})]),
    "bedrock": (bedrock, CONVERSE),
    "bedrock, exception": (bedrock, [CONVERSE[0], exception("modelStreamErrorException", "busy")]),
    "mapping, event": (lambda: of(MAPPED), [TEXT, b"event: end\n\n"]),
    "mapping, word": (lambda: of({**MAPPED, "end": {"data": "[DONE]"}, "usage": {"output_tokens": "n"}}), [TEXT, DONE]),
    "mapping, lines": (lambda: of({**MAPPED, "format": "ndjson", "end": {"path": "done"}}),
                       [b'{"t": "a"}\n', b'{"done": true}\n']),
    "mapping, error": (lambda: of({**MAPPED, "error": {"path": "e"}}), [TEXT, b'data: {"e": "busy"}\n\n']),
    "mapping, usage in the end": (
        lambda: of({**MAPPED, "end": {"path": "done"}, "usage": {"output_tokens": "n"}}),
        [TEXT, b'data: {"done": true, "n": 3}\n\n']),
    "module": (module, [b"a", b"end"]),
    "mcp": (mcp, [RPC]),
    **{name: named(name) for name in ("ag-ui", "anthropic", "langserve", "responses")},
}  # fmt: skip


@pytest.mark.parametrize("name", OVER)
def test_a_turn_is_over_when_its_end_was_read_and_the_body_goes_on(rig, name):
    """Its time is that of the end; the next turn is due from then, over another connection; the body is left, once."""
    make, pieces = OVER[name]
    connection, _ = rig.send(answer := make())
    rig.read(connection, STREAM_HEAD, *map(chunk, pieces))
    ended_ns = rig.now
    status = "stream_error" if name.endswith(("error", "exception")) else "ok"
    assert [(turn[0], turn[2]) for turn in rig.turns] == [(status, ended_ns)]
    assert (rig.due_ns, rig.driver.in_flight) == (ended_ns + THINK_NS, 0)
    rig.wait(THINK_NS)
    second, _ = rig.send(make())
    assert second is not connection
    rig.wait(GRACE_NS - THINK_NS - 1)
    assert (connection.open, rig.counters["left_open"]) == (True, 0)
    rig.wait(1)
    assert (connection.open, rig.counters["left_open"], len(rig.turns)) == (False, 1, 1)
    assert rig.faults == []
    assert answer.connection._take is None  # no circle: the collector rests while a run lasts


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("name", OVER)
def test_a_body_that_ends_within_the_grace_leaves_its_connection_to_the_next(rig, name, keeps):
    """The last chunk mostly comes in a read of its own: the connection is as good as ever, for whoever takes it."""
    make, pieces = OVER[name]
    connection, state = rig.send(make(), goes_on=keeps)
    rig.read(connection, STREAM_HEAD, *map(chunk, pieces), STREAM_END)
    assert rig.driver._bodies == {}
    rig.wait(GRACE_NS)
    assert (connection.open, rig.counters["left_open"], len(rig.turns)) == (True, 0, 1)
    assert (state.connection is connection) == keeps
    assert (rig.pool.take() is connection) != keeps


SOFT = {
    # name: (makes the answer, pieces up to an end behind which more may come, that more, output tokens)
    "openai": (openai, [chat_chunk("a"), STOP], [usage_chunk(3, 4), DONE], 4),
    "openai, no [DONE]": (openai, [chat_chunk("a"), STOP], [usage_chunk(3, 4)], 4),
    "bedrock": (bedrock, CONVERSE[:2], CONVERSE[2:], 4),
    "mapping, usage behind the end": (
        lambda: of({**MAPPED, "usage": {"output_tokens": "n"}}), [TEXT, b"event: end\n\n"], [b'data: {"n": 4}\n\n'], 4),
    "mapping, finish reason": (
        lambda: of({**MAPPED, "end": {"path": "stop"}, "usage": {"output_tokens": "n"}}),
        [b'data: {"t": "a", "n": 1}\n\n', b'data: {"stop": "end"}\n\n'], [b'data: {"n": 4}\n\n'], 4),
}  # fmt: skip


@pytest.mark.parametrize("name", SOFT)
def test_usage_behind_the_end_is_read_within_the_grace(rig, name):
    make, pieces, more, tokens = SOFT[name]
    connection, _ = rig.send(answer := make())
    rig.read(connection, STREAM_HEAD, *map(chunk, pieces))
    assert rig.turns == []
    rig.wait(GRACE_NS - 2 * STEP_NS)
    rig.read(connection, *map(chunk, more))
    said_ns = answer.said_ns
    rig.wait(GRACE_NS)
    assert [turn[0] for turn in rig.turns] == ["ok"]
    assert rig.turns[0][2] == said_ns
    assert (answer.output_tokens, rig.counters["left_open"], connection.open) == (tokens, 1, False)


@pytest.mark.parametrize("name", SOFT)
def test_without_it_the_turn_ends_where_it_said_so(rig, name):
    """Nothing is due before now: the wait was ours, and no start is late for it."""
    make, pieces, _, _ = SOFT[name]
    connection, _ = rig.send(make())
    rig.read(connection, STREAM_HEAD, *map(chunk, pieces))
    said_ns = rig.now
    rig.wait(GRACE_NS)
    assert [(status, end_ns) for status, _, end_ns in rig.turns] == [("ok", said_ns)]
    assert (rig.due_ns, connection.open, rig.counters["left_open"]) == (rig.now, False, 1)


@pytest.mark.parametrize("name", [*OVER, *SOFT])
@pytest.mark.parametrize("how", ["closed", "reset", "given up"])
def test_a_connection_that_is_cut_behind_the_end_cuts_no_answer(rig, name, how):
    make, pieces = OVER[name] if name in OVER else SOFT[name][:2]
    connection, _ = rig.send(make())
    rig.read(connection, STREAM_HEAD, *map(chunk, pieces))
    if how == "given up":
        connection.abort("timeout", "timeout")
    elif how == "closed":
        rig.read(connection, b"")
    else:
        connection._recv = lambda size: (_ for _ in ()).throw(ConnectionResetError(104, "reset"))
        connection._on_readable()
    status = "stream_error" if name.endswith(("error", "exception")) else "ok"
    assert [turn[0] for turn in rig.turns] == [status]
    assert (rig.driver._bodies, rig.driver.in_flight, rig.faults) == ({}, 0, [])
    rig.wait(GRACE_NS)
    assert rig.counters["left_open"] == 0


def test_an_answer_that_goes_on_behind_a_finish_reason_is_not_over(rig):
    """The other choice of two, or an agent's next step: its last end counts, and no wait ends it before."""
    connection, _ = rig.send(answer := openai())
    rig.read(connection, STREAM_HEAD, chunk(chat_chunk("a")), chunk(STOP), chunk(chat_chunk("b")))
    rig.wait(2 * GRACE_NS)
    assert rig.turns == []
    rig.read(connection, chunk(chat_chunk("c")), chunk(STOP), chunk(usage_chunk(3, 3)))
    said_ns = rig.now
    rig.wait(GRACE_NS)
    assert rig.turns == [("ok", None, said_ns)]
    assert (answer.chunks, rig.counters["went_on"]) == (3, 0)


BEHIND = {
    "content": chat_chunk("b"),
    "the same answer again": b"".join(chat_events(3)),
    "an error": b'data: {"error": {"message": "no"}}\n\n',
    "half an event": b'data: {"choices": [\n\n',
    "its end again": DONE,
    "a comment": b": ping\n\n",
}


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("name", BEHIND)
def test_what_comes_behind_the_end_counts_for_nothing_but_a_warning(rig, name, apart):
    """In the same read or a later one: the row is the same, and an answer that went on is counted once."""
    connection, _ = rig.send(answer := openai())
    events = [chunk(event) for event in (*chat_events(3), BEHIND[name])]
    reads = [*events, STREAM_END] if apart else [b"".join(events), STREAM_END]
    rig.read(connection, STREAM_HEAD, *reads)
    assert [turn[0] for turn in rig.turns] == ["ok"]
    assert (answer.chunks, answer.output_tokens, answer.full_text()) == (3, 3, " w0 w1 w2")
    assert rig.counters["went_on"] == (name in ("content", "the same answer again"))
    assert rig.faults == []


def test_the_run_is_not_over_before_the_last_body_was_waited_for(rig):
    """Else a short run would count none; it is not waited for longer."""
    connection, _ = rig.send(openai(), goes_on=False)
    rig.read(connection, STREAM_HEAD, *map(chunk, chat_events(3)))
    rig.driver.stop(60.0)
    rig.driver.tick()
    assert rig.done == []
    rig.wait(GRACE_NS)
    assert (rig.done, rig.counters["left_open"]) == ([rig.now], 1)


def test_a_drain_that_ends_first_ends_it(rig):
    connection, _ = rig.send(openai(), goes_on=False)
    rig.read(connection, STREAM_HEAD, *map(chunk, chat_events(3)))
    rig.driver.stop(0.0)
    rig.driver.tick()
    assert (len(rig.done), connection.open, rig.counters["left_open"]) == (1, False, 0)


def test_a_run_counts_open_bodies_and_warns_once(make_job, monkeypatch):
    """Over sockets, by the worker as it is: every turn answered, none late, a connection for each."""
    monkeypatch.setattr(driver_module, "_END_GRACE_NS", 20_000_000)
    events = [chunk(event) for event in chat_events(3)]
    with serving(lambda *_: [(0.0, STREAM_HEAD), (0.0, b"".join(events))]) as server:
        run, final = play(make_job(TargetSpec("openai", f"{server.url}/v1", model="m"), rate_per_s=40.0))
    counters, turns = final["counters"], len(run.turns)
    assert set(run.turns["status"]) == {"ok"}
    assert (counters["left_open"], counters["went_on"], final["faults"]) == (turns, 0, [])
    assert _end_warnings(counters) == [
        f"{turns} of {turns} answers said their end and left the body open for more than 2 s: each counts as ended "
        "where it said so, and its connection was closed"
    ]
    assert _end_warnings({"sent": 9, "went_on": 2})[0].startswith("2 of 9 answers went on after the end")
    assert _end_warnings({"sent": 9, "went_on": 0}) == []
    assert load_run(run.path).turns["output_tokens"].tolist() == [3] * turns


HELD = [(0.0, STREAM_HEAD), (0.0, b"".join(map(chunk, (chat_chunk("a"), STOP, usage_chunk(3, 1), DONE))))]


def test_ask_shows_that_the_body_stays_open(monkeypatch):
    """A verdict as ever, and what a load run does with such an answer; nothing waits for its timeout."""
    monkeypatch.setattr(exchange, "END_GRACE_S", 0.02)
    with serving(lambda *_: HELD) as server:
        text, data, code = ask_target(f"openai={server.url}/v1", "hello", NO_CONSENT, Console(as_json=True), model="m")
    assert code == Exit.OK
    assert data["verdict"].endswith(f"; {BODY_OPEN}")
    assert data["pieces"][-1]["ignored"] == [BODY_OPEN]
    assert "usage at" in text


def test_the_grace_of_ask_begins_when_the_end_was_said(monkeypatch):
    """What only keeps the connection alive does not put it off, and more of the answer does."""
    now = [100.0]
    monkeypatch.setattr(exchange, "time", SimpleNamespace(monotonic=lambda: now[0]))
    waits = []
    link = SimpleNamespace(settimeout=waits.append, sendall=lambda data: None, recv=lambda size: reads.pop(0))
    reads = [STREAM_HEAD, chunk(STOP), chunk(b": ping\n\n"), chunk(TEXT), chunk(TEXT)]
    one = exchange.Exchange(link, 60.0, 1 << 20)
    one.send(b"POST")
    pieces = one.pieces()
    next(pieces)
    one.end_said(True)
    now[0] += 1.5
    next(pieces)
    assert waits[-1] == END_GRACE_S - 1.5
    one.end_said(False)
    now[0] += 1.5
    next(pieces)
    assert waits[-1] == 57.0
    one.end_said(True)
    now[0] += END_GRACE_S
    assert (list(pieces), one.left_open) == ([], True)


def test_our_own_assistants_answer_ends_with_done():
    """`ask` and the chat wait for no more of it."""
    events = [(0.0, STREAM_HEAD), (0.0, b"".join(map(chunk, assistant_events(2))))]
    with serving(assistant_server(lambda: events)) as server:
        names = [event["event"] for event in ask_assistant(server.url, "hello", session_token="t")]
    assert names[-2:] == ["usage", "done"]
