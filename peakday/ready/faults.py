"""The failure matrix: each fault that was tried, when, what it did, and how soon customers stopped noticing."""

from __future__ import annotations

from dataclasses import dataclass

from loadgen.run_info import FaultSpan
from peakday.ready.event import Event
from peakday.ready.evidence import Evidence, Rehearsed
from slo.slo import ERROR_STATUSES

TURNS_AFTER_MIN = 20
"""Turns that must start after a fault has ended before its end is judged: a choice of ours."""


@dataclass(frozen=True)
class FaultTried:
    """One fault of the matrix. `run_id` blank: it was not tried. `recovery_s` None: too few turns after it to tell.

    failed_ratio: of the turns that started while it lasted. owner: as EVENT.yaml has it.
    """

    kind: str
    owner: str
    where: str = ""
    run_id: str = ""
    date: str = ""
    scenario: str = ""
    simulated: bool = False
    turns: int = 0
    failed_ratio: float | None = None
    recovery_s: float | None = None
    turns_after: int = 0

    @property
    def tried(self) -> bool:
        """Whether a valid run holds it."""
        return bool(self.run_id)


def failure_matrix(evidence: Evidence) -> list[FaultTried]:
    """A row for each fault of the checklist, and for every other that was tried; the newest run of each counts."""
    rows: dict[tuple[str, str], FaultTried] = {}
    for one in evidence.faulty:
        for span in one.run.info.faults or ():
            key = span.kind, _where(span)
            rows.setdefault(key, _tried(one, span, evidence))
    tried = {row.kind for row in rows.values()}
    missing = [FaultTried(kind, _owner(evidence, kind)) for kind in evidence.checklist.faults if kind not in tried]
    order = [*evidence.checklist.faults, *sorted(tried - set(evidence.checklist.faults))]
    return sorted([*rows.values(), *missing], key=lambda row: (order.index(row.kind), row.where))


def _tried(one: Rehearsed, span: FaultSpan, evidence: Evidence) -> FaultTried:
    starts_s = one.run.turns["intended_start_s"]
    failed = one.run.turns["status"].isin(ERROR_STATUSES)
    during = (starts_s >= span.start_s) & (starts_s < span.end_s)
    after = starts_s >= span.end_s
    count, turns_after = int(during.sum()), int(after.sum())
    late = starts_s[after & failed]
    recovery_s = None if turns_after < TURNS_AFTER_MIN else float(late.max() - span.end_s) if len(late) else 0.0
    return FaultTried(
        kind=span.kind,
        owner=_owner(evidence, span.kind),
        where=_where(span),
        run_id=one.run_id,
        date=one.date,
        scenario=one.run.info.scenario_name or "",
        simulated=one.simulated,
        turns=count,
        failed_ratio=float(failed[during].mean()) if count else None,
        recovery_s=recovery_s,
        turns_after=turns_after,
    )


def _where(span: FaultSpan) -> str:
    return ", ".join(name for name in (span.model, span.region) if name)


def _owner(evidence: Evidence, kind: str) -> str:
    return evidence.event.file.fault_owners.get(kind, "")


def command_for(kind: str, event: Event) -> str:
    """What tries a fault on the local stack for ten seconds, with time before and after it."""
    region = next(iter(event.scenario.event.regions))
    more = {"region_down": f"region: {region}", "slow_first_token": "ratio: 0.5, delay_s: 3", "cold_cache": "ratio: 1"}
    fault = f"{{kind: {kind}, at_s: 10, length_s: 10, {more.get(kind, 'ratio: 0.5')}}}"
    return f"peakday run {event.file.scenario} --rate 4/s --for 40s --set 'faults=[{fault}]'"
