"""`serve`: the pages of this folder."""

from __future__ import annotations

from typing import Annotated

import typer

from peakday.console import Console
from peakday.options import Json, Quiet


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: peakday serve --port 8787")(serve)


def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes any free one.")] = 8787,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, change nothing.")] = False,
    behind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST", help="Host name of a proxy that shares these pages; with --read-only, repeatable."
        ),
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option(metavar="URL", help="Prometheus that scrapes the assistant, for the event's page.")
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the home page in the browser of this machine.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Scenarios, records, what-ifs and the assistant of this folder as pages on this machine, until Ctrl-C."""
    from peakday.serve.server import stay_up

    console = Console(as_json, quiet)
    names = behind or ()
    stay_up(port, read_only=read_only, names=names, open_page=open_page, console=console, prometheus=prometheus)
