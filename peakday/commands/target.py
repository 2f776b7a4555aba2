"""`target`: what a server of one's own speaks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peakday.consent import Consent
from peakday.console import Console
from peakday.options import Json, Live, Quiet, Yes

verbs = typer.Typer(help="Servers of your own as targets of a load run.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.add_typer(verbs, name="target")


@verbs.command(epilog="Example: peakday target detect http://127.0.0.1:8000/agent --out agent.yaml")
def detect(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where questions are posted; of an OpenAI server its /v1.")],
    model: Annotated[str | None, typer.Option("--model", help="Model to ask for where a protocol names one.")] = None,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", metavar="NAME", help="The one variable whose value may be sent.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the mapping that fits as a file of your own.")
    ] = None,
    live: Live = False,
    yes: Yes = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ask one short question in every known protocol, and say which the server speaks."""
    from peakday.agent.detect import detect as run

    console = Console(as_json, quiet)
    text, data, code = run(url, model, out, Consent(live, yes), console, api_key_env)
    console.result(text, data)
    raise typer.Exit(code)
