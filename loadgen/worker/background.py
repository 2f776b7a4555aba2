"""Background streams: requests beside the chat, each due at its own time and counted in `events`, never in `turns`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from loadgen.transport.answer import Answer, BodyAnswer
from loadgen.transport.connection import now_ns
from loadgen.transport.event_loop import Loop
from loadgen.transport.pool import Pool
from loadgen.transport.timer import Timer
from loadgen.worker.driver import give_up
from loadgen.worker.recorder import Recorder

_NS = 1_000_000_000
TIMEOUT_NS = 10 * _NS


class Background:
    """One stream of one worker, open loop like the chat.

    Args:
        offsets_s: due times from t0, in order.
        build: the next request.
    """

    def __init__(
        self,
        loop: Loop,
        name: str,
        offsets_s: list[float],
        build: Callable[[], bytes],
        pool: Pool,
        recorder: Recorder,
    ) -> None:
        self._name = name
        self._offsets_s = deque(offsets_s)
        self._build = build
        self._pool = pool
        self._recorder = recorder
        self._timer = Timer(loop, self._wake)
        self._open: dict[Answer, None] = {}
        self._t0_ns = 0

    def begin(self, t0_ns: int) -> None:
        """Start the stream's clock."""
        self._t0_ns = t0_ns
        self._arm()

    def _arm(self) -> None:
        if self._offsets_s:
            self._timer.at(self._t0_ns + int(self._offsets_s[0] * _NS))

    def _wake(self) -> None:
        try:
            now = now_ns()
            while self._offsets_s and self._t0_ns + int(self._offsets_s[0] * _NS) <= now:
                self._send(self._t0_ns + int(self._offsets_s.popleft() * _NS))
        except BaseException as error:  # the stream must go on
            self._recorder.fault(error)
        self._arm()

    def _send(self, due_ns: int) -> None:
        answer = BodyAnswer()
        answer.intended_ns = due_ns
        answer.on_end = self._ended
        request = self._build()
        answer.connection = self._pool.take()
        self._open[answer] = None
        try:
            answer.connection.request(request, answer)
        except Exception as error:
            self._recorder.fault(error)
            self._give_up(answer, "stream_error", "request_exception")

    def _give_up(self, answer: Answer, status: str, code: str) -> None:
        """End a request now; it is never open afterwards."""
        give_up(answer, status, code, self._recorder)
        if answer in self._open:
            self._ended(answer)

    def _ended(self, answer: Answer) -> None:
        self._open.pop(answer, None)
        due_s, sent_s, end_s = (
            (at - self._t0_ns) * 1e-9 for at in (answer.intended_ns, answer.start_ns, answer.end_ns)
        )
        self._recorder.event([self._name, due_s, sent_s, end_s, answer.status, end_s - due_s])
        self._pool.give(answer.connection)

    def tick(self) -> None:
        """Send what a late timer left, and give up requests that are never answered, oldest first."""
        self._wake()  # a machine that stood still over the end of the window: what was due is sent, late
        limit_ns = now_ns() - TIMEOUT_NS
        while self._open and (oldest := next(iter(self._open))).start_ns < limit_ns:
            self._give_up(oldest, "timeout", "timeout")

    def end(self) -> None:
        """Send nothing more; what is open is censored."""
        self._offsets_s.clear()
        for answer in list(self._open):
            self._give_up(answer, "censored", "run_ended")
        self._timer.close()


def keep_share(offsets_s: Any, worker: int, workers: int) -> list[float]:
    """The part of a stream's times that belongs to one worker."""
    return [float(offset) for offset in offsets_s[worker::workers]]


def skipped_streams(scenario: Mapping[str, Any], *, planner: bool, assistant: bool, follows_event: bool) -> list[str]:
    """Streams the scenario asks for and this run cannot drive, each with the reason."""
    streams = scenario["demand"]["background"]
    skipped = []
    for name, possible, lacking in (
        ("planner_queries", planner, "no OpenAI-compatible URL serves the planner"),
        ("price_ticks", assistant, "the target has no test endpoint for prices"),
        ("rule_storms", assistant, "the target has no test endpoint for prices"),
    ):
        if streams.get(name) and not possible:
            skipped.append(f"{name}: {lacking}")
        elif streams.get(name) and not follows_event:
            skipped.append(f"{name}: a replayed log or a closed loop has no event to follow")
    return skipped
