"""The verb `ready`: gather, judge, and write the document in four forms, all or none."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from dashboards.html.render import render
from host.atomic import folder_aside, write_bytes, write_text
from host.errors import Exit
from peakday.errors import CommandError
from peakday.ready.actions import actions_csv
from peakday.ready.checklist import read_checklist
from peakday.ready.criteria import Result, findings, unanswered
from peakday.ready.document import Ready, page_of, sentence
from peakday.ready.event import read_event
from peakday.ready.evidence import gather
from peakday.ready.faults import failure_matrix
from peakday.ready.markdown import page_markdown
from peakday.ready.word_file import page_docx
from peakday.records.folders import relative

CODES = {Result.PASS: Exit.OK, Result.FAIL: Exit.GATE_FAILED, Result.NOT_MEASURED: Exit.INCONCLUSIVE}
SHOWN = 3
"""Criteria that a terminal lists of each result that is no pass; the document has all."""


def make_ready(named: str, now: datetime) -> Ready:
    """Everything that the document holds, from the records of this folder.

    Raises:
        CommandError: the event file or its checklist cannot be read, or names a criterion or record that is none.
    """
    event = read_event(named)
    beside = event.path.parent if event.path is not None else Path()
    checklist = read_checklist(beside / event.file.checklist if event.file.checklist is not None else None)
    evidence = gather(event, checklist, now)
    stranger = next(unanswered(evidence), None)
    if stranger is not None:
        raise CommandError(f"{named}: checks.{stranger}: no criterion has this ID; see the checklist's")
    return Ready(evidence, tuple(findings(evidence)), tuple(failure_matrix(evidence)))


def write_ready(named: str, out: Path | None, now: datetime) -> tuple[Exit, str, dict[str, object]]:
    """Write `ready/ID/`: ready.html, ready.md, ready.docx, actions.csv; the exit code, the text and the same as data.

    Raises:
        CommandError: as `make_ready`, or the folder is there.
    """
    ready = make_ready(named, now)
    folder = out or Path("ready") / f"{now:%Y%m%d-%H%M%S}-{ready.evidence.event.scenario.name}"
    if folder.exists():
        raise CommandError(f"{folder}: already here; choose another --out")
    page = page_of(ready)
    with folder_aside(folder) as aside:
        write_text(aside / "ready.html", render(page))
        write_text(aside / "ready.md", page_markdown(page))
        write_bytes(aside / "ready.docx", page_docx(page))
        write_text(aside / "actions.csv", actions_csv(ready))
    return CODES[ready.result], _text(ready, folder), _data(ready, folder)


def _text(ready: Ready, folder: Path) -> str:
    lines = [sentence(ready)]
    for result in (Result.FAIL, Result.NOT_MEASURED):
        open_ones = [item for item in ready.findings if item.result == result]
        lines += [f"  {result.value:<13} {item.criterion.title}: {item.words}" for item in open_ones[:SHOWN]]
        lines += [f"  {'':<13} and {len(open_ones) - SHOWN} more"] if len(open_ones) > SHOWN else []
    first = next((item for item in ready.findings if item.result != Result.PASS and item.command), None)
    lines += [f"  {'next':<13} {first.command}"] if first is not None else []
    return "\n".join([*lines, "", f"read on: {relative(folder)}/ready.html, ready.md, ready.docx, actions.csv"])


def _data(ready: Ready, folder: Path) -> dict[str, object]:
    return {
        "schema": "peakday.ready/1",
        "result": ready.result,
        "exit_code": int(CODES[ready.result]),
        "dress_rehearsal": ready.evidence.event.dress_rehearsal,
        "criteria": [asdict(item) | {"criterion": item.criterion.model_dump(by_alias=True)} for item in ready.findings],
        "faults": [asdict(row) for row in ready.faults],
        "folder": str(folder),
    }
