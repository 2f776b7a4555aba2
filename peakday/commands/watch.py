"""`watch`: the event against its plan, every minute."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from peakday.commands.completion import record_names
from peakday.console import Console
from peakday.options import Json


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.command(epilog="Example: peakday watch latest --usage usage.csv --once")(watch)


def watch(
    plan: Annotated[
        str, typer.Argument(metavar="PLAN", help="A plan: ID, path or latest.", autocompletion=record_names)
    ],
    prometheus: Annotated[
        str | None, typer.Option(metavar="URL", help="Prometheus that scrapes the assistant, such as :9090's address.")
    ] = None,
    usage: Annotated[Path | None, typer.Option(help="usage.csv of the account, read anew each time.")] = None,
    starts: Annotated[
        str | None, typer.Option(help="The event's first moment, with its zone: 2026-11-27T00:00:00-08:00.")
    ] = None,
    every: Annotated[str, typer.Option(help="How long between two looks.")] = "60s",
    once: Annotated[bool, typer.Option("--once", help="One look: exit 1 out of range, 4 nothing to compare.")] = False,
    as_json: Json = False,
) -> None:
    """The event against its plan: which assumption leaves its range, how long the fleet lasts, and what comes then."""
    from peakday.quantities import duration_s, moment
    from peakday.watch.watch import reader
    from peakday.watch.watch import watch as looks

    begun, every_s = moment(starts, "--starts") if starts else None, duration_s(every, "--every")
    console, read = Console(as_json), reader(prometheus, usage)
    for code, text, data in looks(plan, read, begun, once=once, every_s=every_s, clock=time.time, sleep=time.sleep):
        console.result(text, data)
        if once:
            raise typer.Exit(code)
