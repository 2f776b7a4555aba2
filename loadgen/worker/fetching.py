"""One request outside the measured ones: send it on a pool, wait in a greenlet, get status and body."""

from __future__ import annotations

from array import array

from gevent.event import Event

from loadgen.answer import Answer
from loadgen.targets.base import Refused
from loadgen.worker.pool import Pool

WAIT_S = 15.0


class BodyAnswer(Answer):
    """Keeps the whole body."""

    __slots__ = ("body",)

    def __init__(self) -> None:
        super().__init__(array("q"))
        self.body: list[bytes] = []

    def feed(self, now_ns: int, data: bytes) -> None:
        """Keep it."""
        self.body.append(data)

    def finish(self) -> None:
        """A body that ended is whole."""
        self.status = "ok"


def fetch(pool: Pool, request: bytes) -> tuple[int, bytes]:
    """Status and body; raises `Refused` when there is no answer. Only for greenlets: it waits."""
    ended = Event()
    answer = BodyAnswer()
    answer.on_end = lambda _: ended.set()
    answer.connection = pool.take()
    answer.connection.request(request, answer)
    if not ended.wait(WAIT_S):
        answer.connection.abort("timeout", "timeout")
    pool.give(answer.connection)
    if answer.http_status == 0 or answer.status in ("timeout", "stream_error"):
        raise Refused(f"sign_in_{answer.error_code}")
    return answer.http_status, b"".join(answer.body) or answer.error_body
