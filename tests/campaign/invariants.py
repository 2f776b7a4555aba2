"""What must hold after any fault. Each function returns what is wrong, in words; nothing where all is well."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from host.errors import Exit
from loadgen.record import load_run
from tests.campaign.faults import Fault, family

KEYS = ["session_id", "interaction_id", "turn_index"]
ENDS = ("completed", "failed", "abandoned", "censored", "dropped")
AT_THE_END_S = 8.0
"""Before the record was finished the last turns may have been answered: drain, chunks, totals."""
STRUCK = ("kill", "stop", "memory")
"""Faults that strike a process of ours: where it was one of a run under way, the run cannot be VALID."""


def problems(fault: Fault, struck: bool, marker: str, folder: Path, exit_code: int, output: str) -> list[str]:
    """Everything that should not be."""
    wrong = [*_exit(fault, exit_code, output), *_orphans(marker)]
    for run in sorted((folder / "runs").glob("*")) if (folder / "runs").is_dir() else []:
        if (run / "run.json").exists():
            wrong += _record(fault, struck, run, exit_code)
        elif exit_code == Exit.OK:
            wrong.append(f"exit 0 and no run.json in {run.name}")
    return wrong


def _exit(fault: Fault, exit_code: int, output: str) -> Iterator[str]:
    killed = fault.process == "command" and fault.kind == "kill" and exit_code == -9
    if not killed and exit_code not in set(Exit):
        yield f"exit code {exit_code}, which is none of ours"
    if "Traceback" in output:
        yield "a traceback: " + output[output.index("Traceback") :][-300:].replace("\n", " | ")


def _orphans(marker: str) -> Iterator[str]:
    for process in family(marker):
        yield f"left running: {' '.join(process.cmdline())[:100]}"


def _record(fault: Fault, struck: bool, path: Path, exit_code: int) -> Iterator[str]:
    try:
        run = load_run(path)
    except Exception as error:
        yield f"the record does not load: {type(error).__name__}: {error}"
        return
    raw = json.loads((path / "run.json").read_text())
    finished = raw.get("state") == "finished"
    if exit_code in (Exit.OK, Exit.INVALID_RUN) and not finished:
        yield f"exit {exit_code} and a record in state {raw.get('state')}"
    if finished:
        yield from _sums(fault, struck, run, raw, exit_code)
    report = subprocess.run(
        [sys.executable, "-m", "peakday", "report", str(path), "--out", str(path.parent.parent / "report.html")],
        capture_output=True, text=True, cwd=path.parent.parent, check=False,
    )  # fmt: skip
    if fault.kind != "disk" and report.returncode:
        yield f"its report does not open: exit {report.returncode}: {report.stderr.strip()[-200:]}"


def _sums(fault: Fault, struck: bool, run: object, raw: dict, exit_code: int) -> Iterator[str]:
    totals, turns = raw["totals"], run.turns
    valid = raw["verdict"]["valid"]
    if totals["asked"] != sum(totals[name] for name in ENDS):
        yield f"asked {totals['asked']} is not {' + '.join(f'{name} {totals[name]}' for name in ENDS)}"
    if turns.duplicated(KEYS).any():
        yield "a turn stands in the record twice"
    if valid and totals["asked"] != len(turns):
        yield f"VALID with {len(turns)} rows for {totals['asked']} turns"
    if struck and valid and fault.kind in STRUCK and fault.process != "command" and _was_under_way(fault, raw):
        yield f"VALID though {fault} struck a process of ours"
    if exit_code == Exit.OK and not valid:
        yield "exit 0 for a run that is INVALID"
    if exit_code == Exit.INVALID_RUN and (valid or not raw["verdict"]["reasons"]):
        yield "exit 3 without a reason in the record"


def _was_under_way(fault: Fault, raw: dict) -> bool:
    """Whether turns were still due when the fault struck, by the record's own clock: afterwards nothing can be lost."""
    ended = datetime.fromisoformat(raw["finished_utc"]) - datetime.fromisoformat(raw["started_utc"])
    return fault.kind == "kill" and fault.at_s < ended.total_seconds() - AT_THE_END_S
