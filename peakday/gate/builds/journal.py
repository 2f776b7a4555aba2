"""What a check has measured so far, on disk: after Ctrl-C the same command goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from host.atomic import write_text
from host.checked import check
from peakday.console import Console
from peakday.gate.builds.runs import Measured

FOLDER = Path(".peakday/check")
KEPT_S = 3 * 3600.0
"""How long a run counts as made just now: behind an address another build may be up, and machines have moods."""


class InvalidRuns(Exception):
    """Too few runs were valid; the message holds the last reason and the remedy."""


@dataclass
class Journal:
    """Measurements by name in `state.json`, and the records beside it.

    Attributes:
        again: runs repeated because invalid.
        made_s: when each was made, on the clock `now_s`.
    """

    path: Path
    measured: dict[str, Measured]
    again: int = 0
    made_s: dict[str, float] = field(default_factory=dict)
    now_s: Callable[[], float] = time.time

    @classmethod
    def opened(cls, key: Mapping[str, object], base: Path = FOLDER, now_s: Callable[[], float] = time.time) -> Journal:
        """The journal of a check: what is asked names it, so another check never goes on with its runs.

        Runs that are too old are forgotten, and so is a pair's run whose partner was not made: the two would no longer
        be side by side.
        """
        name = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:12]
        path = base / name
        file = path / "state.json"
        try:
            state = json.loads(file.read_text())
            made_s = {name: made for name, made in state["made_s"].items() if 0 <= now_s() - made <= KEPT_S}
            unbroken = {name: made for name, made in made_s.items() if _partner(name) in {None, *made_s}}
            measured = {name: _measured(state["measured"][name]) for name in unbroken}
            return cls(path, measured, state["again"], unbroken, now_s)
        except (OSError, ValueError, KeyError, TypeError):
            shutil.rmtree(path, ignore_errors=True)  # nothing there, or nothing that can be read
            return cls(path, {}, now_s=now_s)

    def run(self, name: str, measure: Callable[[Path], Measured], invalid_max: int, console: Console) -> Measured:
        """The measurement of this name: from an earlier start of this check, or made now.

        Args:
            measure: given a folder for the record, makes one load run.

        Raises:
            InvalidRuns: more than `invalid_max` runs of the check had to be repeated.
        """
        if name in self.measured:
            return self.measured[name]
        while True:
            out = self.path / "runs" / f"{name}-{self.again}"
            shutil.rmtree(out, ignore_errors=True)  # cut off earlier
            measurement = measure(out)
            if measurement.valid:
                self.measured[name], self.made_s[name] = measurement, self.now_s()
                self._write()
                return measurement
            self.again += 1
            self._write()
            if self.again > invalid_max:
                again, self.again = self.again, 0  # the next start keeps the valid runs, and may repeat as often
                self._write()
                raise InvalidRuns(f"{again} runs were INVALID, the last because of {measurement.reasons[0]}")
            console.say(f"  run {name} is INVALID and says nothing about the target: repeated")

    def finished(self) -> None:
        """Forget the measurements, so that the next check measures anew; the records stay until then."""
        (self.path / "state.json").unlink(missing_ok=True)

    def _write(self) -> None:
        measured = {name: asdict(one) for name, one in self.measured.items()}
        state = {"again": self.again, "measured": measured, "made_s": self.made_s}
        write_text(self.path / "state.json", json.dumps(state))


def _partner(name: str) -> str | None:
    """The other run of a pair, `A-03` of `B-03`; None for a run that is of no pair."""
    match = re.fullmatch(r"([AB])(-\d+)", name)
    return {"A": "B", "B": "A"}[match[1]] + match[2] if match else None


def _measured(raw: object) -> Measured:
    return check(Measured, raw, "state.json")
