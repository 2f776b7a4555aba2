"""`ready`: the document that is signed before an event."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from peakday.commands.completion import scenario_names
from peakday.console import Console
from peakday.options import Json, Out


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.command(epilog="Example: peakday ready smoke --new event.yaml")(ready)


def ready(
    event: Annotated[
        str,
        typer.Argument(
            metavar="EVENT", help="An event file, or a scenario by name or path.", autocompletion=scenario_names
        ),
    ],
    new: Annotated[
        Path | None, typer.Option("--new", metavar="FILE", help="Write a commented event file of the scenario instead.")
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Gather the records into the document that is signed: exit 1 on a fail, 4 on what is not measured."""
    from peakday.ready.event import write_event
    from peakday.ready.ready import write_ready

    console = Console(as_json)
    if new is not None:
        console.result(f"wrote {write_event(event, new)}", {"event": str(new)})
        return
    code, text, data = write_ready(event, out, datetime.now(UTC))
    console.result(text, data)
    raise typer.Exit(code)
