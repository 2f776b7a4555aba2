"""The command as a user runs it: a process of its own, in an empty folder."""

import os
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

Command = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def peakday(tmp_path) -> Command:
    """Run `peakday ARGS` in an empty folder; fails when a process of it outlives it."""

    def run(*arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess:
        marker = f"peakday-test-{os.getpid()}-{tmp_path.name}"
        result = subprocess.run(
            [sys.executable, "-m", "peakday", *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=timeout_s,
            env={**os.environ, "PEAKDAY_TEST_MARKER": marker, "COLUMNS": "120"},
        )  # fmt: skip
        assert not marked(marker), f"left running: {marked(marker)}"
        return result

    return run


def marked(marker: str) -> list[list[str]]:
    """Command lines of living processes whose environment carries the marker."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PEAKDAY_TEST_MARKER") == marker and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
        except (psutil.Error, OSError):
            continue
    return found
