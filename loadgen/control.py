"""A run's control file: another process of this user has a run that is going on drain, or stop at once.

It does what Ctrl-C does at the terminal of the run: `drain` is the first one, `stop` the second.
"""

from __future__ import annotations

from pathlib import Path

from host.atomic import write_text

FILE = "control"
DRAIN, STOP = "drain", "stop"
_INTERRUPTS = {DRAIN: 1, STOP: 2}
"""Wish -> how many interrupts it stands for."""


def ask(folder: Path, wish: str) -> None:
    """Have the run of this folder drain or stop.

    Raises:
        ValueError: a wish that is neither.
    """
    if wish not in _INTERRUPTS:
        raise ValueError(f"{wish!r}: expected {DRAIN} or {STOP}")
    write_text(folder / FILE, f"{wish}\n")


def interrupts_wanted(folder: Path) -> int:
    """How many interrupts the file stands for: 0 (none is there), 1 (drain), 2 (stop)."""
    try:
        return _INTERRUPTS.get((folder / FILE).read_text().strip(), 0)
    except OSError:
        return 0
