"""The records of this folder that an event rests on: runs, the plan, the account's quotas, a build's baseline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from capacity.plan import Plan, load_plan
from dashboards.numbers.run import Number, find, run_numbers
from facts.account import read_quotas
from loadgen.record import Run, load_run, read_info
from loadgen.run_info import RecordError
from peakday.account.pull import newest
from peakday.errors import CommandError
from peakday.gate.baselines.baseline import BaselineError, current
from peakday.gate.baselines.store import Folder
from peakday.gate.settings import load_checks
from peakday.ready.checklist import Checklist
from peakday.ready.event import Event
from peakday.records.folders import find_record, records

RUNS_MAX = 40
"""Newest runs that are looked at where EVENT.yaml names none."""


@dataclass(frozen=True)
class Rehearsed:
    """A run that counts: valid, with its numbers."""

    run: Run
    numbers: tuple[Number, ...]

    @property
    def run_id(self) -> str:
        """As evidence names it."""
        return self.run.run_id

    @property
    def simulated(self) -> bool:
        """Whether an emulator answered for any supply."""
        return bool(self.run.info.simulated)

    @property
    def rate_per_s(self) -> float:
        """Interactions that began in a second, in the mean; 0 where the record does not say."""
        number = find(list(self.numbers), "interactions_per_s")
        return (number.value if number is not None else None) or 0.0

    @property
    def length_s(self) -> float:
        """Seconds of the load."""
        return self.run.info.asked_s or 0.0

    @property
    def date(self) -> str:
        """The day on which it was started, in UTC."""
        return (self.run.info.started_utc or "")[:10]


@dataclass(frozen=True)
class Evidence:
    """Everything that a measure may look at.

    Attributes:
        runs: valid runs of this very scenario without a fault, the highest rate first. faulty: valid runs with a fault.
        quotas: the newest quotas.yaml of the account, with the day of the pull; None where nothing was pulled.
        baseline: day and commit of the baseline that checks compare with; blank where there is none.
    """

    event: Event
    checklist: Checklist
    runs: tuple[Rehearsed, ...]
    faulty: tuple[Rehearsed, ...]
    plan: Plan | None
    quotas: tuple[Path, date] | None
    baseline: str
    now: datetime

    @property
    def best_run(self) -> Rehearsed | None:
        """The run at the highest rate."""
        return self.runs[0] if self.runs else None


def gather(event: Event, checklist: Checklist, now: datetime) -> Evidence:
    """Read the records. A plan of another scenario is none of this event's.

    Raises:
        CommandError: a record that EVENT.yaml names is not here.
    """
    chosen = [_rehearsed(path) for path in _run_folders(event)]
    same = [one for one in chosen if _is_of(one, event) and not one.run.info.faults]
    return Evidence(
        event=event,
        checklist=checklist,
        runs=tuple(sorted(same, key=lambda one: one.rate_per_s, reverse=True)),
        faulty=tuple(one for one in chosen if one.run.info.faults),
        plan=_plan(event),
        quotas=_quotas(),
        baseline=_baseline(event),
        now=now,
    )


def _run_folders(event: Event) -> list[Path]:
    if event.file.runs:
        return [find_record("runs", name) for name in event.file.runs]
    return [path for path in records("runs")[:RUNS_MAX] if _valid(path)]


def _valid(path: Path) -> bool:
    try:
        return read_info(path).valid
    except RecordError:
        return False


def _rehearsed(path: Path) -> Rehearsed:
    run = load_run(path)
    if not run.info.valid:
        raise CommandError(f"{path}: the run is {'; '.join(run.info.reasons)}, so it is no evidence; name another")
    return Rehearsed(run, tuple(run_numbers(run)))


def _is_of(one: Rehearsed, event: Event) -> bool:
    return one.run.info.scenario is not None and one.run.info.scenario.hash == event.scenario_hash


def _plan(event: Event) -> Plan | None:
    if event.file.plan != "latest":
        return load_plan(find_record("plans", event.file.plan))
    plans = (load_plan(path) for path in records("plans"))
    return next((plan for plan in plans if plan.scenario.name == event.scenario.name), None)


def _quotas() -> tuple[Path, date] | None:
    path = newest("quotas.yaml")
    return None if path is None else (path, date.fromisoformat(read_quotas(path).source.rpartition(" of ")[2]))


def _baseline(event: Event) -> str:
    where = load_checks(None).baselines
    if where.startswith("s3://"):
        return ""
    try:
        return current(Folder(Path(where)), event.scenario.name).name
    except BaselineError:
        return ""
