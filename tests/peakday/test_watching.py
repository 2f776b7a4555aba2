"""Who sees what while a run goes on."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from peakday.console import Console
from peakday.run.progress import watching
from tests.loadgen.test_panel import LIVE

JOB = SimpleNamespace(run_id="one", length_s=30.0, budget_usd=None)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "quiet"), [(io.StringIO(), False), (io.StringIO(), True), (Terminal(), True)])
def test_quiet_and_pipes_get_lines(monkeypatch, stream, quiet):
    """Where no panel can be, or none is wanted, the line of every ten seconds is all that is printed."""
    monkeypatch.setattr(sys, "stderr", stream)
    with watching(JOB, Console(quiet=quiet)) as progress:
        progress({"state": "running", "live": LIVE})
        progress({"state": "running", "live": LIVE, "line": "12/30 s | asked 60"})
        progress({"state": "running", "live": LIVE, "notice": "stopping"})
    assert stream.getvalue() == "12/30 s | asked 60\nstopping\n"


def test_a_terminal_gets_the_panel(monkeypatch):
    """On a terminal the panel stands on stderr, and stdout stays free for results."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "110")
    with watching(JOB, Console()) as progress:
        progress({"state": "running", "live": LIVE})
    assert "12 of 30 s" in stream.getvalue()
    assert "7 in flight" in stream.getvalue()
