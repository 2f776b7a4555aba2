"""Questions to the planning process, one after the other, and its answers, kept for whoever asks again."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from capacity.plan import Plan
from host.errors import PeakdayError
from peakday.serve.planning.question import Question, QuestionError
from peakday.serve.planning.worker import LEFT, STOP, work

KEPT = 64
"""Plans kept in memory: some 3 MB each."""
ANSWER_WITHIN_S = 180.0
Tell = Callable[[str], None]
Key = tuple[Question, str]
"""A question, and the state of the files that it is planned from."""


class PlannerError(PeakdayError):
    """The planning process ended, or did not answer in time; it is started anew for the next question."""

    page = "serve"


@dataclass
class Planner:
    """One process that plans for every page of this start."""

    base: Path
    _plans: OrderedDict[Key, Plan] = field(default_factory=OrderedDict)
    _waiting: Counter[Key] = field(default_factory=Counter)
    _under_way: Key | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _child: tuple[SpawnProcess, Connection] | None = None

    async def plan(self, question: Question, tell: Tell) -> Plan:
        """The plan of a question; `tell` hears how it goes.

        Raises:
            QuestionError: it cannot be planned.
            PlannerError: the process ended.
        """
        key = (question, self._state())
        if key not in self._plans:
            self._waiting[key] += 1
            try:
                tell("waiting for the question before it" if self._turn.locked() else "planning")
                await self._turn.acquire()  # who goes away meanwhile is in nobody's way
                await asyncio.shield(asyncio.ensure_future(self._answered(key, tell)))
            finally:
                self._leave(key)
        self._plans.move_to_end(key)
        return self._plans[key]

    async def _answered(self, key: Key, tell: Tell) -> None:
        """Have the plan while anybody waits for it, and let the next question in."""
        self._under_way = key
        try:
            while key not in self._plans and self._waiting[key]:
                plan = await self._asked(key[0], tell)
                if plan is not None:
                    self._keep(key, plan)
        finally:
            self._under_way = None
            self._turn.release()

    def _leave(self, key: Key) -> None:
        """One reader less; with the last one ends what is under way for it. What was simulated by then is kept."""
        self._waiting[key] -= 1
        self._waiting += Counter()  # keeps what is above 0
        if key == self._under_way and not self._waiting[key]:
            self._stop()

    def _stop(self) -> None:
        if self._child is not None and self._child[0].pid is not None and self._child[0].is_alive():
            os.kill(self._child[0].pid, STOP)

    def close(self) -> None:
        """End the process."""
        if self._child is not None:
            self._child[1].close()
            self._child[0].terminate()
            self._child[0].join(5)
            self._child = None

    def _keep(self, key: Key, plan: Plan) -> None:
        self._plans[key] = plan
        while len(self._plans) > KEPT:
            self._plans.popitem(last=False)

    def _state(self) -> str:
        """Changes when a file that plans are made of does: own settings, records, pulls, scenarios."""
        watched = [self.base / "peakday.yaml", *self.base.glob("*.y*ml"), *self.base.glob("*.csv")]
        watched += [self.base / name for name in ("runs", "benches", "aws")]
        return " ".join(str(path.stat().st_mtime_ns) for path in sorted(set(watched)) if path.exists())

    async def _asked(self, question: Question, tell: Tell) -> Plan | None:
        """The process' answer; None where it stopped, because nobody waited for it any more."""
        loop = asyncio.get_running_loop()
        try:
            kind, answer = await asyncio.to_thread(self._exchange, question, partial(_in_loop, loop, tell))
        except (EOFError, OSError) as error:
            self.close()
            raise PlannerError(f"the planning process ended ({type(error).__name__}); ask again") from None
        except BaseException:  # cancelled half-way: the pipe would hold an answer to nobody's question
            self.close()
            raise
        if kind == LEFT:
            return None
        if kind == "refused":
            raise QuestionError(str(answer))
        assert isinstance(answer, Plan)
        return answer

    def _exchange(self, question: Question, tell: Tell) -> tuple[str, Plan | str]:
        pipe = self._pipe()
        pipe.send(question)
        while pipe.poll(ANSWER_WITHIN_S):
            kind, content = pipe.recv()
            if kind != "progress":
                return kind, content
            tell(content)
        raise EOFError

    def _pipe(self) -> Connection:
        """To the process, started where none is."""
        if self._child is None or not self._child[0].is_alive():
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, str(self.base.resolve())), daemon=True)
            process.start()
            theirs.close()  # ours is then the only other end: with this process the child ends
            self._child = (process, ours)
        return self._child[1]


def _in_loop(loop: asyncio.AbstractEventLoop, tell: Tell, line: str) -> None:
    loop.call_soon_threadsafe(tell, line)
