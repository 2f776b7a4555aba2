"""`report`, `compare`, `export`: pictures and files from any record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peakday.commands.completion import record_names
from peakday.console import Console
from peakday.options import Json, Out

RecordId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="A run, plan or bench: ID, path, latest or latest~1.", autocompletion=record_names
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.command("list", epilog="Example: peakday list runs")(list_)
    app.command(epilog="Example: peakday report latest")(report)
    app.command(epilog="Example: peakday compare latest~1 latest")(compare)
    app.command(epilog="Example: peakday export csv latest")(export)
    app.command(epilog="Example: peakday why latest event_cost_usd")(why)
    app.command(epilog="Example: peakday history --html history.html")(history)


def list_(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help="runs, plans or benches; all when left out.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """The records of this folder, newest first, with a line of what each says."""
    from peakday.records.listing import list_records

    Console(as_json).result(*list_records(kind, limit))


def history(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder that holds runs/, plans/, benches/ and checks/; this one if left out.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the page here.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, the newest.")] = 500,
    as_json: Json = False,
) -> None:
    """The records of a folder over time: rate at SLO, cache hits, cost, verdict; changes of level are marked."""
    from peakday.records.history import history as past

    Console(as_json).result(*past(folder, html, limit))


def report(record: RecordId, out: Out = None, as_json: Json = False) -> None:
    """Draw the HTML report of a run, a plan or a bench."""
    from peakday.records.reports import draw

    path = draw(record, out)
    Console(as_json).result(str(path), {"report": str(Path(path).resolve())})


def compare(
    before: Annotated[str, typer.Argument(metavar="A", help="The earlier record.", autocompletion=record_names)],
    after: Annotated[
        str, typer.Argument(metavar="B", help="The later record, of the same kind.", autocompletion=record_names)
    ],
    html: Annotated[Path | None, typer.Option(help="Write the comparison as a page here.")] = None,
    as_json: Json = False,
) -> None:
    """What changed between two runs, plans or benches."""
    from peakday.records.comparison import compare_records

    Console(as_json).result(*compare_records(before, after, html))


def why(
    plan: Annotated[
        str, typer.Argument(metavar="PLAN", help="A plan: ID, path, latest or latest~1.", autocompletion=record_names)
    ],
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="Its name, or words of it: 'chips nova us-east-1'.")],
    as_json: Json = False,
) -> None:
    """Where one number of a plan comes from: the chain from the scenario, each link with formula, file, provenance."""
    from peakday.records.reports import explain_number

    Console(as_json).result(*explain_number(plan, number))


def export(
    form: Annotated[
        str, typer.Argument(metavar="FORM", help="csv, xlsx, prometheus, grafana, llmd-report, focus or tickets.")
    ],
    record: Annotated[str, typer.Argument(metavar="ID", help="A run, plan or bench; grafana needs none.")] = "latest",
    slice_: Annotated[
        str | None, typer.Option("--slice", metavar="LENGTH", help="Of a run's csv: every metric by such slices.")
    ] = None,
    starts: Annotated[
        str | None, typer.Option(help="Of the event, with its zone: a plan's alerts then know the band of each hour.")
    ] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Write a record as CSV, workbook, Prometheus or FOCUS file, its work as tickets, or the Grafana dashboards."""
    from peakday.quantities import duration_s, moment
    from peakday.records.reports import export_record

    slice_s, begins = duration_s(slice_, "--slice") if slice_ else None, moment(starts, "--starts") if starts else None
    paths = [str(path) for path in export_record(form, record, out, slice_s, begins)]
    Console(as_json).result("\n".join(paths), {"files": paths})
