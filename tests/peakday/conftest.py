"""The command as a user runs it: a process of its own, in an empty folder."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest

from peakday.cli import main

Command = Callable[..., subprocess.CompletedProcess]


@pytest.fixture
def peakday(tmp_path) -> Command:
    """Run `peakday ARGS` in an empty folder; fails when a process of it outlives it."""

    def run(*arguments: str, timeout_s: float = 900) -> subprocess.CompletedProcess:
        marker = f"peakday-test-{os.getpid()}-{tmp_path.name}"
        result = subprocess.run(
            [sys.executable, "-m", "peakday", *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=timeout_s,
            env={**os.environ, "PEAKDAY_TEST_MARKER": marker, "COLUMNS": "120"},
        )  # fmt: skip
        assert not marked(marker), f"left running: {marked(marker)}"
        return result

    return run


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys) -> Command:
    """`peakday ARGS` in an empty folder, within this process: for what is refused before anything starts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def run(*arguments: str) -> subprocess.CompletedProcess:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, ended.value.code, printed.out, printed.err)

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
