"""What is left to do, as a CSV that trackers import: one line a ticket, owner and due date blank."""

from __future__ import annotations

from collections.abc import Iterator

from host.tables import csv_text
from peakday.ready.criteria import Result
from peakday.ready.document import Ready
from peakday.ready.faults import command_for
from peakday.ready.quotas import requests
from wire.text import Untrusted

COLUMNS = ("id", "kind", "priority", "summary", "description", "command", "evidence", "owner", "due")


def actions_csv(ready: Ready) -> str:
    """Open criteria, fails first; then quotas to ask for, and faults to try."""
    rows = (*_criteria(ready), *_quotas(ready), *_faults(ready))
    return csv_text(COLUMNS, ([Untrusted(cell).cell for cell in row] for row in rows))


def _criteria(ready: Ready) -> Iterator[tuple[str, ...]]:
    order = (Result.FAIL, Result.NOT_MEASURED)
    for result in order:
        for item in (item for item in ready.findings if item.result == result):
            priority = "high" if result == Result.FAIL else "medium"
            what, name = f"{result.value}: {item.criterion.title}", item.criterion.id
            yield name, "criterion", priority, what, item.words, item.command, item.evidence, "", ""


def _quotas(ready: Ready) -> Iterator[tuple[str, ...]]:
    plan_id = ready.evidence.plan.plan_id if ready.evidence.plan else ""
    for row in requests(ready.evidence):
        if row.granted is None or row.granted < row.needed:
            name = f"quota_{row.model}_{row.region}_{row.kind}"
            summary = f"ask for {row.needed:,.0f} {row.kind} of {row.model} in {row.region}"
            yield name, "quota", "high", summary, row.words, "", plan_id, "", ""


def _faults(ready: Ready) -> Iterator[tuple[str, ...]]:
    for row in ready.faults:
        if not row.tried:
            command = command_for(row.kind, ready.evidence.event)
            yield f"fault_{row.kind}", "fault", "medium", f"try {row.kind}", "not tried", command, "", row.owner, ""
