"""Watching a load run: a live panel on a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from peakday.console import Talk

if TYPE_CHECKING:
    from loadgen.job import LoadJob

FRAMES_PER_S = 4


@contextlib.contextmanager
def watching(job: LoadJob, talk: Talk) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A callback for `run_load`. --quiet and anything that is no terminal get the lines alone."""
    from rich.console import Console

    console = Console(stderr=True)
    if talk.quiet or not console.is_terminal or console.is_dumb_terminal:
        yield _say_line
        return
    from rich.live import Live

    from loadgen.coordinator.panel import Rates, panel

    rates = Rates()
    title = f"peakday run {job.run_id}"
    with Live(console=console, refresh_per_second=FRAMES_PER_S) as screen:

        def show(state: dict[str, Any]) -> None:
            screen.update(panel(state["live"], job.length_s, rates, title=title, budget_usd=job.budget_usd))

        yield show


def _say_line(state: dict[str, Any]) -> None:
    if state.get("line"):
        print(state["line"], file=sys.stderr, flush=True)
