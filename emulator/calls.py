"""One model call, whatever its protocol: how it is paced, and what is kept of it afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from emulator.engine.engine import Job
from emulator.engine.pool import Pool
from emulator.engine.provider import Provider, Schedule
from emulator.faults import REFUSALS, Fault
from emulator.http.connection import Exchange, Request
from emulator.http.stream import Breakage, Stream, Wire
from emulator.models import EmulatedModel, Emulator

TRUTH_COLUMNS = (
    "id", "traceparent", "model", "region", "status", "received_s", "first_due_s", "first_sent_s", "last_sent_s",
    "chunks", "gap_s_max", "input_tokens", "cached_tokens", "output_tokens",
)  # fmt: skip
"""Of one row of /truth. Times are CLOCK_MONOTONIC seconds, taken just before the bytes went to the socket."""


@dataclass(frozen=True)
class Caller:
    """Whose call it is and where it goes."""

    account: str
    region: str


class Refused(Exception):
    """The call is answered with an error: HTTP status, the service's error name, and its message."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status, self.name, self.message = status, name, message


@dataclass
class Work:
    """What the physics need to know of a call."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reason: str = "stop"
    blocks: list[int] = field(default_factory=list)


class Call:
    """A call under way: started by a protocol, paced by the model's physics, recorded at its end."""

    def __init__(
        self, emulator: Emulator, emulated: EmulatedModel, request: Request, caller: Caller, call_id: str
    ) -> None:
        self.emulator = emulator
        self.emulated = emulated
        self.request = request
        self.caller = caller
        self.id = call_id
        # By the clock, not `received_s`: that is known to 4 ms, and may lie before faults that were set ahead of it.
        self.faults: dict[str, Fault] = emulator.faults.strikes(emulated.model.key, caller.region, time.monotonic())
        self.first_s = 0.0  # when its first unit was sent
        self.on_first: Callable[[float], None] = lambda now_s: None
        self.on_end: Callable[[int], None] = lambda tokens_sent: None
        self._job: Job | None = None

    def refusal(self, streams: bool) -> Fault | None:
        """The fault, if any, that answers this call with an error before any stream.

        A throttle with a delay strikes within the stream; an answer that does not stream has no middle to break in.
        """
        for kind in (*REFUSALS, *(() if streams else ("stream_exception",))):
            fault = self.faults.get(kind)
            if fault is not None and not (streams and kind == "throttle" and fault.delay_s > 0):
                return fault
        return None

    def start(self, connection: Exchange, wire: Wire, work: Work, frames: dict[str, bytes]) -> None:
        """Pace the answer.

        Args:
            frames: by kind of fault, what it sends in the middle of a stream; kinds the protocol lacks are absent.
        """
        emulator = self.emulator
        stream = Stream(connection, wire, emulator.lateness, emulator.pacer.outbox, self.request.received_s)
        connection.stream = stream
        breakage = self._breakage(stream.total // 2, frames if wire.chunked else {})
        if breakage is not None:
            stream.break_by(breakage)
        stats = self.emulated.stats
        stats.running += 1
        stats.prompt_tokens += work.input_tokens
        stream.on_first = self._began
        stream.on_end = lambda status: self._ended(stream, work, status)
        runner = self.emulated.runner
        if isinstance(runner, Pool):
            self._run_on_engine(runner, stream, work, not wire.chunked)
        else:
            self._run_at_provider(runner, stream, work, not wire.chunked)

    def _began(self, now_s: float) -> None:
        self.first_s = now_s
        self.on_first(now_s)

    def _run_at_provider(self, runner: Provider, stream: Stream, work: Work, whole: bool) -> None:
        ttft_s = runner.ttft_s(work.input_tokens - work.cached_tokens, work.cached_tokens)
        gap_s = runner.gap_s()
        if slow := self.faults.get("slow_first_token"):
            ttft_s = ttft_s * slow.factor + slow.delay_s
        if slow := self.faults.get("slow_tokens"):
            gap_s *= slow.factor
        chunks = -(-work.output_tokens // runner.physics.tokens_per_chunk) if whole else stream.total
        stall = self.faults.get("stall")
        first_s = runner.begin_s(self.request.received_s) + ttft_s
        schedule = Schedule(first_s, gap_s, chunks, chunks // 2 or 1, stall.delay_s if stall else 0.0)
        runner.start(stream, schedule, whole)

    def _run_on_engine(self, runner: Pool, stream: Stream, work: Work, whole: bool) -> None:
        total = work.output_tokens
        lag_s = self._engine_lag()

        def emit(produced: int, due_s: float) -> None:
            if produced == 1:
                work.cached_tokens = job.cached
            due = produced * stream.total // total if whole else -(-produced * stream.total // total)
            if due <= stream.pushed:
                return
            if lag_s is None:
                stream.push(due, due_s)
            else:
                self.emulator.pacer.at(due_s + lag_s(produced / total, due_s), lambda at_s: stream.push(due, at_s))

        job = self._job = Job(work.input_tokens, total, emit)
        slow = self.faults.get("slow_first_token")
        arrives_s = self.request.received_s + runner.physics.ttft_overhead_s
        stream.arrived_late_s = max(0.0, time.monotonic() - arrives_s)  # it may have missed a step
        blocks = [] if "cold_cache" in self.faults else work.blocks
        runner.start(job, blocks, self.request.received_s + (slow.delay_s if slow else 0.0))

    def _engine_lag(self) -> Callable[[float, float], float] | None:
        """How much later than the engine made it a token is sent, by share of the answer and time; None: not at all."""
        stall, slow = self.faults.get("stall"), self.faults.get("slow_tokens")
        if stall is None and slow is None:
            return None
        first_s: list[float] = []

        def lag_s(share: float, due_s: float) -> float:
            first_s.append(due_s)
            stalled_s = stall.delay_s if stall is not None and share > 0.5 else 0.0
            return stalled_s + ((slow.factor - 1.0) * (due_s - first_s[0]) if slow is not None else 0.0)

        return lag_s

    def _breakage(self, middle: int, frames: dict[str, bytes]) -> Breakage | None:
        if "cut_stream" in self.faults:
            return Breakage(middle, cut=True)
        return next((Breakage(middle, last=frames[kind]) for kind in self.faults if kind in frames), None)

    def _ended(self, stream: Stream, work: Work, status: str) -> None:
        if self._job is not None:
            self._job.cancelled = status != "ok"
        share = stream.sent / stream.total
        tokens = work.output_tokens if status == "ok" else int(work.output_tokens * share)
        now_s = time.monotonic()
        stats = self.emulated.stats
        stats.running -= 1
        stats.output_tokens += tokens
        reason = work.reason if status == "ok" else "abort"
        stats.ended[reason] = stats.ended.get(reason, 0) + 1
        if stream.sent:
            stats.ttft.add(stream.first_sent_s - stream.received_s)
            stats.e2e.add(now_s - stream.received_s)
            if stream.sent > 1:
                stats.tpot.add((stream.last_sent_s - stream.first_sent_s) / (stream.sent - 1))
        self.on_end(tokens)
        self.emulator.truth.append(self._record(stream, work, status, tokens))

    def _record(self, stream: Stream, work: Work, status: str, tokens: int) -> tuple[object, ...]:
        """One row of /truth, in the order of TRUTH_COLUMNS."""
        return (
            self.id, self.request.headers.get("traceparent"), self.emulated.model.key, self.caller.region, status,
            stream.received_s, stream.first_due_s, stream.first_sent_s, stream.last_sent_s, stream.sent,
            stream.gap_s_max, work.input_tokens, work.cached_tokens, tokens,
        )  # fmt: skip
