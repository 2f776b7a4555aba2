"""The process that plans: it keeps what it read and simulated, so that the next what-if finds most of it done."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from types import FrameType

from capacity.fleet.self_hosted import SIMULATIONS
from capacity.plan import Plan
from capacity.simulator.memory import ended_by
from host.errors import PeakdayError
from peakday.console import Console
from peakday.plan.plan import Sources, basis_of, plan_of
from peakday.serve.planning.question import Question
from scenarios.loading import load_scenario, scenario_hash

NAME = "what-if"
"""ID of a plan that is in no folder."""
STOP = signal.SIGUSR1
"""Sent to the process when nobody waits for its answer any more."""
LEFT = "left"
"""What it answers then."""


class _LeftError(BaseException):
    """Nobody waits for the answer: no error of planning, so what handles those lets it pass.

    Raised between simulations alone: an import or a compilation that is broken off would break the next plan.
    """


class _Told(Console):
    """A console whose remarks go to whoever waits for the answer."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(quiet=True)
        object.__setattr__(self, "_tell", tell)

    def say(self, line: str) -> None:
        """Pass a remark on."""
        self._tell(line)  # type: ignore[attr-defined]


def answer(question: Question, tell: Callable[[str], None], plan_id: str = NAME) -> Plan:
    """The plan of a question: what `question.command` makes, with another ID and time.

    Raises:
        PeakdayError: the question cannot be planned; the message has the remedy.
    """
    scenario = load_scenario(question.scenario, question.sets)
    sources = Sources(run=question.run or None, prices=question.prices)
    found = basis_of(scenario_hash(scenario), sources, _Told(tell))
    seed = scenario.seed if question.seed is None else question.seed
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with SIMULATIONS.heard(lambda name, chip: tell(f"simulating {name} on {chip}")):
        return plan_of(scenario, scenario_hash(scenario), found, seed=seed, now_utc=now, plan_id=plan_id)


def renamed(plan: Plan, plan_id: str, now_utc: str) -> Plan:
    """The same plan, as the record that is written of it."""
    return replace(plan, plan_id=plan_id, created_utc=now_utc)


def work(pipe: Connection, folder: str) -> None:
    """Answer questions from the pipe until it ends: with whoever started this process, this process ends."""
    os.chdir(folder)
    left = False

    def leave(_number: int, _frame: FrameType | None) -> None:
        nonlocal left
        left = True

    def go_on() -> None:
        if left:
            raise _LeftError

    signal.signal(STOP, leave)
    while True:
        try:
            reply = _reply(pipe.recv(), lambda line: pipe.send(("progress", line)), go_on)
            left = False  # a signal that comes later still has the next question asked again, and loses none
            pipe.send(reply)
        except (EOFError, OSError, KeyboardInterrupt):
            return


def _reply(question: Question, tell: Callable[[str], None], go_on: Callable[[], None]) -> tuple[str, Plan | str]:
    try:
        with ended_by(go_on):
            return "plan", answer(question, tell)
    except _LeftError:
        return LEFT, ""
    except PeakdayError as error:
        return "refused", " ".join(str(error).split())
