"""A check as a record of its folder, `checks/ID`: what it came to, and its page."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import orjson

from host.atomic import folder_aside, write_bytes, write_text
from peakday.console import Console
from peakday.gate.outputs import as_data
from peakday.gate.page import as_html
from peakday.gate.verdicts import Outcome
from peakday.records.folders import new_folder

FILE, PAGE = "check.json", "check.html"


def keep(outcome: Outcome, now_utc: datetime, console: Console, base: Path | None = None) -> None:
    """Write the folder and say where; a folder that cannot be written changes no verdict, and is said too."""
    folder = new_folder("checks", outcome.scenario, now_utc, base)
    try:
        with folder_aside(folder) as aside:
            write_bytes(aside / FILE, orjson.dumps(as_data(outcome), default=str))
            write_text(aside / PAGE, as_html(outcome))
    except OSError as error:
        console.say(f"not kept: {error}")
    else:
        console.say(f"kept as {folder}")
