"""`report`: pictures from any record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peakday.options import Json, Out
from peakday.output import Talk


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.command(epilog="Example: peakday report latest")(report)


def report(
    record: Annotated[str, typer.Argument(metavar="ID", help="A run, plan or bench: ID, path, latest or latest~1.")],
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Draw the HTML report of a run, a plan or a bench."""
    from peakday.reporting import draw

    path = draw(record, out)
    Talk(as_json).result(str(path), {"report": str(Path(path).resolve())})
