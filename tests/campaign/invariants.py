"""What must hold after any fault. Each function returns what is wrong, in words; nothing where all is well."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from host.errors import Exit
from loadgen.record import load_run
from tests.campaign.faults import Fault, family

KEYS = ["session_id", "interaction_id", "turn_index"]
ENDS = ("completed", "failed", "abandoned", "censored", "dropped")
AT_THE_END_S = 8.0
"""Before the record was finished the last turns may have been answered: drain, chunks, totals."""


def problems(
    fault: Fault, struck: datetime | None, marker: str, folder: Path, exit_codes: Sequence[int], output: str
) -> list[str]:
    """Everything that should not be. `struck`: when, None where there was nothing to strike."""
    wrong = [text for code in exit_codes for text in _exit(fault, code, output)] + [*_orphans(marker)]
    records = sorted((folder / "runs").glob("*/run.json")) if (folder / "runs").is_dir() else []
    for record in records:
        wrong += _record(fault, struck, record.parent)
    verdicts = [code for code in map(_verdict, records) if code is not None]
    claimed = [code for code in exit_codes if code in (Exit.OK, Exit.INVALID_RUN)]
    if Counter(claimed) - Counter(verdicts):
        wrong.append(f"exit codes {list(exit_codes)} for records of {verdicts}")
    return wrong


def _verdict(record: Path) -> int | None:
    """The exit code that a finished record stands for."""
    try:
        raw = json.loads(record.read_text())
    except ValueError:
        return None
    if raw.get("state") != "finished":
        return None
    return Exit.OK if raw["verdict"]["valid"] else Exit.INVALID_RUN


def _exit(fault: Fault, exit_code: int, output: str) -> Iterator[str]:
    killed = fault.process == "command" and fault.kind == "kill" and exit_code == -9
    # A shell shows 130 for it too: Ctrl-C before Python takes signals, or, by CPython's own doing, within an `exec`.
    interrupted = fault.kind == "interrupt" and exit_code == -signal.SIGINT
    if not killed and not interrupted and exit_code not in set(Exit):
        yield f"exit code {exit_code}, which is none of ours"
    if "Traceback" in output:
        yield "a traceback: " + output[output.index("Traceback") :][-300:].replace("\n", " | ")


def _orphans(marker: str) -> Iterator[str]:
    for process in family(marker):
        yield f"left running: {' '.join(process.cmdline())[:100]}"


def _record(fault: Fault, struck: datetime | None, path: Path) -> Iterator[str]:
    try:
        run = load_run(path)
    except Exception as error:
        yield f"the record does not load: {type(error).__name__}: {error}"
        return
    raw = json.loads((path / "run.json").read_text())
    if raw.get("state") == "finished":
        yield from _sums(fault, struck, run, raw)
    report = subprocess.run(
        [sys.executable, "-m", "peakday", "report", str(path), "--out", str(path.parent.parent / "report.html")],
        capture_output=True, text=True, cwd=path.parent.parent, check=False,
    )  # fmt: skip
    if fault.kind != "disk" and report.returncode:
        yield f"its report does not open: exit {report.returncode}: {report.stderr.strip()[-200:]}"


def _sums(fault: Fault, struck: datetime | None, run: object, raw: dict) -> Iterator[str]:
    totals, turns = raw["totals"], run.turns
    valid = raw["verdict"]["valid"]
    if totals["asked"] != sum(totals[name] for name in ENDS):
        yield f"asked {totals['asked']} is not {' + '.join(f'{name} {totals[name]}' for name in ENDS)}"
    if turns.duplicated(KEYS).any():
        yield "a turn stands in the record twice"
    if valid and totals["asked"] != len(turns):
        yield f"VALID with {len(turns)} rows for {totals['asked']} turns"
    if struck and valid and fault.kind == "kill" and fault.process != "command" and _was_under_way(struck, raw):
        yield f"VALID though {fault} struck a process of ours"
    if not valid and not raw["verdict"]["reasons"]:
        yield "INVALID without a reason in the record"


def _was_under_way(struck: datetime, raw: dict) -> bool:
    """Whether turns were still due when the fault struck, by the record's own clock: afterwards nothing can be lost."""
    return (datetime.fromisoformat(raw["finished_utc"]) - struck).total_seconds() > AT_THE_END_S
