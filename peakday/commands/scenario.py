"""`scenario`: the library, and files of your own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from peakday.console import Console
from peakday.options import Json, ScenarioArgument, Seed, Sets

verbs = typer.Typer(help="Scenarios: what customers will do, minute by minute.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.add_typer(verbs, name="scenario")


@verbs.command("list", epilog="Example: peakday scenario list")
def list_(as_json: Json = False) -> None:
    """Scenarios that come with peakday."""
    from scenarios.loading import library

    entries = library()
    text = "\n".join(f"{name:<20} {description}" for name, description in entries.items())
    Console(as_json).result(text, [{"name": name, "description": text} for name, text in entries.items()])


@verbs.command(epilog="Example: peakday scenario show prime_day --set demand.interactions.peak_per_s=400")
def show(scenario: ScenarioArgument, sets: Sets = None, as_json: Json = False) -> None:
    """A scenario as it will be used: extended, overridden, every default filled in."""
    import yaml

    from scenarios.loading import load_scenario

    resolved = load_scenario(scenario, sets or []).model_dump(mode="json", by_alias=True)
    Console(as_json).result(yaml.safe_dump(resolved, sort_keys=False).rstrip(), resolved)


@verbs.command(epilog="Example: peakday scenario validate smoke")
def validate(scenario: ScenarioArgument, sets: Sets = None, as_json: Json = False) -> None:
    """Check a scenario file; the first thing wrong is named with file, key, value and fix."""
    from scenarios.advice import advice
    from scenarios.loading import load_scenario, scenario_hash

    parsed = load_scenario(scenario, sets or [])
    digest, warnings = scenario_hash(parsed), advice(parsed)
    text = "\n".join([f"{parsed.name}: valid ({digest[:12]})", *(f"warning: {line}" for line in warnings)])
    Console(as_json).result(text, {"name": parsed.name, "hash": digest, "valid": True, "warnings": warnings})


@verbs.command(epilog="Example: peakday scenario schema > scenario.schema.json")
def schema() -> None:
    """The JSON Schema of a scenario file, for editors."""
    from scenarios.authoring import json_schema

    print(json.dumps(json_schema(), indent=1))


@verbs.command(epilog="Example: peakday scenario new spring_sale --from prime_day")
def new(
    name: Annotated[Path, typer.Argument(help="Name of the scenario, or path of its file.")],
    parent: Annotated[str, typer.Option("--from", help="Scenario it starts from.")] = "prime_day",
    as_json: Json = False,
) -> None:
    """Write a scenario of your own: a few keys over one that exists."""
    from peakday.config import check_scenario_file
    from scenarios.authoring import write_new

    check_scenario_file(name)
    path = write_new(name, parent)
    Console(as_json).result(f"wrote {path}; look at it with `peakday scenario preview {path}`", {"scenario": str(path)})


@verbs.command(epilog="Example: peakday scenario preview smoke")
def preview(
    scenario: ScenarioArgument,
    sets: Sets = None,
    window: Annotated[str | None, typer.Option(metavar="START:END", help="Piece of the event.")] = None,
    scale: Annotated[float, typer.Option(min=0.0, help="Factor on every rate.")] = 1.0,
    html: Annotated[Path | None, typer.Option(help="Write the picture as a page here.")] = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """A picture of the event before anything runs: rate by region with its band, burstiness, tokens, totals."""
    from peakday.previews import picture
    from peakday.quantities import window_s

    span = window_s(window, "--window") if window else None
    Console(as_json).result(*picture(scenario, sets or [], span, scale, seed, html))


@verbs.command(epilog="Example: peakday scenario fit counts.csv --name next_year --growth 1.1,1.3,1.8")
def fit(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="A trace or log; or counts per step of an earlier event; or usage.csv."),
    ],
    name: Annotated[str, typer.Option(help="Name of the new scenario; its file is NAME.yaml.")] = "fitted",
    growth: Annotated[
        str | None, typer.Option(metavar="LOW,MID,HIGH", help="Coming peak over this one; counts show it if left out.")
    ] = None,
    length: Annotated[str | None, typer.Option(help="Of counts: the busiest span of this length, such as 4d.")] = None,
    parent: Annotated[str, typer.Option("--from", help="Gives what the file cannot tell.")] = "steady_day",
    calls_per_interaction: Annotated[
        float | None,
        typer.Option(min=0.01, help="Of a usage.csv: its model calls per conversation; else as --from assumes."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn a trace, or last event's counts, into a scenario; says how all was obtained and how it back-tests."""
    from peakday.previews import fit_files

    Console(as_json).result(*fit_files(files, name, growth, length, parent, calls_per_interaction))
