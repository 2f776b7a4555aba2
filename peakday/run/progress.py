"""Watching a load run: a live panel on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console as Screen
from rich.live import Live

from loadgen.coordinator.panel import Rates, panel
from loadgen.job import LoadJob
from loadgen.live import Report
from peakday.console import Console

FRAMES_PER_S = 4


@contextlib.contextmanager
def watching(job: LoadJob, console: Console) -> Iterator[Callable[[Report], None]]:
    """A callback for `run_load`. --quiet and anything that is no terminal get the lines alone."""
    screen = Screen(stderr=True)
    if console.quiet or not screen.is_terminal or screen.is_dumb_terminal:
        yield _say_line
        return
    rates = Rates()
    title = f"peakday run {job.run_id}"
    with Live(console=screen, refresh_per_second=FRAMES_PER_S) as live:

        def show(state: Report) -> None:
            if state.get("notice"):
                live.console.print(state["notice"])
            elif state["live"] is not None:
                live.update(panel(state["live"], job.length_s, rates, title=title, budget_usd=job.budget_usd))

        yield show


def _say_line(state: Report) -> None:
    for text in filter(None, (state.get("line"), state.get("notice"))):
        print(text, file=sys.stderr, flush=True)
