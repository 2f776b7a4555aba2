"""`assistant`: its router on labelled text, and what its switches are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peakday.options import Json, Quiet, Seed
from peakday.output import Talk

verbs = typer.Typer(help="The routed assistant: its router, and its switches.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.add_typer(verbs, name="assistant")


@verbs.command(epilog="Example: peakday assistant route --csv labelled.csv")
def route(
    csv: Annotated[Path, typer.Option(help="Columns text, label and perhaps complexity; others are ignored.")],
    as_json: Json = False,
) -> None:
    """How well the router labels a CSV: accuracy, F1 by class, confusion, coverage of each stage."""
    from peakday.agent import route_csv

    Talk(as_json).result(*route_csv(csv))


@verbs.command(epilog="Example: peakday assistant ablate --turns 20")
def ablate(
    turns: Annotated[int, typer.Option(min=1, help="Single-turn questions of the scenario's own to ask.")] = 20,
    scenario: Annotated[str, typer.Option(help="Scenario whose stack and shop are used.")] = "smoke",
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The same turns with prefetch, parallel tools and cache points off in turn: calls, latency, tokens, cost."""
    from peakday.agent import ablate_switches

    Talk(as_json).result(*ablate_switches(scenario, turns, seed=seed, talk=Talk(as_json, quiet)))
