"""What a token and a turn cost a worker, in calls and JSON parses: work that is counted, so that no clock decides.

Bounds are what it takes now, with little room: a call more a token is an eighth of a worker's processor.
"""

from __future__ import annotations

import sys
from array import array
from types import SimpleNamespace

import orjson
import pytest

from loadgen.job import TargetSpec
from loadgen.targets.openai import OpenAiAnswer
from loadgen.transport.connection import Connection, Endpoint
from tests.loadgen.server import STREAM_END, STREAM_HEAD, chat_chunk, chunk, usage_chunk
from wire.plain_events import PlainEvents

pytestmark = pytest.mark.unit

TOKENS = 64
SPEC = TargetSpec("openai", "http://127.0.0.1:1/v1", model="m")
WHERE = Endpoint(("127.0.0.1",), 1, "127.0.0.1", "/v1")
TEXTS = [' "quoted"', " é", "\n", " word"] * (TOKENS // 4)
CONTENT = [chunk(chat_chunk(text, id=f"c-{number}")) for number, text in enumerate(TEXTS)]
ENDING = [chunk(chat_chunk(None, finish_reason="stop")), chunk(usage_chunk(9, TOKENS)), chunk(b"data: [DONE]\n\n")]
END = b"".join(ENDING) + STREAM_END


class Socket:
    """A socket whose reads are scripted."""

    def __init__(self, *_: object) -> None:
        self.reads: list[bytes] = []

    def setblocking(self, _: bool) -> None: ...
    def setsockopt(self, *_: int) -> None: ...
    def close(self) -> None: ...

    def fileno(self) -> int:
        return 0

    def connect_ex(self, _: object) -> int:
        return 0

    def send(self, data: bytes) -> int:
        return len(data)

    def recv(self, _: int) -> bytes:
        return self.reads.pop(0)


class Work:
    """Calls while it watches: of functions in Python, of functions in C, and of the parser of JSON."""

    def __init__(self) -> None:
        self.python = self.compiled = self.parses = 0

    def __call__(self, _frame: object, event: str, arg: object) -> None:
        self.python += event == "call"
        self.compiled += event == "c_call"
        self.parses += event == "c_call" and arg is orjson.loads


def played(reads: list[bytes], plain: PlainEvents) -> tuple[OpenAiAnswer, Work]:
    """An answer that arrives in these reads, and the work of reading them."""
    watcher = SimpleNamespace(active=False, start=lambda *_: None, stop=lambda: None, close=lambda: None)
    faults: list[BaseException] = []
    connection = Connection(SimpleNamespace(io=lambda *_: watcher), WHERE, Socket, faults.append, None)  # type: ignore[arg-type]
    answer = OpenAiAnswer(array("q"), SPEC, plain=plain)
    answer.on_end = lambda _: None
    connection.request(b"POST", answer)
    connection._sock.reads = list(reads)
    work = Work()
    sys.setprofile(work)
    try:
        for _ in reads:
            connection._on_readable()
    finally:
        sys.setprofile(None)
    assert not faults
    assert (answer.status, answer.chunks, answer.output_tokens) == ("ok", TOKENS, TOKENS)
    return answer, work


@pytest.fixture
def known() -> PlainEvents:
    """What the first answer of a server teaches."""
    plain = PlainEvents()
    played([STREAM_HEAD, *CONTENT, END], plain)
    return plain


def test_a_token_is_two_calls_of_ours_and_no_parse(known):
    """A read of one token: the callback and the reader; what JSON is parsed stands at the end of the answer."""
    _, ending = played([STREAM_HEAD + b"".join(CONTENT), END], known)
    answer, work = played([STREAM_HEAD, *CONTENT, END], known)
    assert len(answer.gaps_ns) == TOKENS - 1
    assert work.parses == ending.parses == 2
    assert (work.python - ending.python) / TOKENS <= 3.1  # ours two, and the socket's own in this test
    assert (work.compiled - ending.compiled) / TOKENS <= 10.1


def test_an_answer_that_comes_whole_costs_no_call_a_token(known):
    """However many tokens a read brings: httptools' one callback a chunk is all that grows with them."""
    _, work = played([STREAM_HEAD + b"".join(CONTENT) + END], known)
    assert work.parses == 2
    assert work.python < TOKENS + 10
    assert work.compiled < 2 * TOKENS


def test_the_first_answer_of_a_server_is_parsed_until_its_way_of_writing_is_known():
    _, work = played([STREAM_HEAD, *CONTENT, END], PlainEvents())
    assert work.parses == 3
