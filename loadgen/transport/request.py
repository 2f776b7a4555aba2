"""One request outside the measured ones: send it on a pool, wait in a greenlet, get status and body."""

from __future__ import annotations

from gevent.event import Event

from loadgen.targets.base import WAIT_S, Fetched, Refused
from loadgen.transport.answer import BodyAnswer
from loadgen.transport.pool import Pool


def fetch(pool: Pool, request: bytes, wait_s: float = WAIT_S) -> Fetched:
    """Its answer; raises `Refused` when there is no answer. Only for greenlets: it waits."""
    ended = Event()
    answer = BodyAnswer()
    answer.on_end = lambda _: ended.set()
    answer.connection = pool.take()
    answer.connection.request(request, answer)
    if not ended.wait(wait_s):
        answer.connection.abort("timeout", "timeout")
    pool.give(answer.connection)
    if answer.http_status == 0 or answer.status in ("timeout", "stream_error"):
        raise Refused(f"sign_in_{answer.error_code}")
    return Fetched(answer.http_status, b"".join(answer.body) or answer.error_body, answer.headers)
