"""`scenario`: the library, and files of your own."""

from __future__ import annotations

import json

import typer

from peakday.options import Json, ScenarioArgument, Sets
from peakday.output import Talk

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
    Talk(as_json).result(text, [{"name": name, "description": text} for name, text in entries.items()])


@verbs.command(epilog="Example: peakday scenario show prime_day --set demand.interactions.peak_per_s=400")
def show(scenario: ScenarioArgument, sets: Sets = None, as_json: Json = False) -> None:
    """A scenario as it will be used: extended, overridden, every default filled in."""
    import yaml

    from scenarios.loading import load_scenario

    resolved = load_scenario(scenario, sets or []).model_dump(mode="json", by_alias=True)
    Talk(as_json).result(yaml.safe_dump(resolved, sort_keys=False).rstrip(), resolved)


@verbs.command(epilog="Example: peakday scenario validate smoke")
def validate(scenario: ScenarioArgument, sets: Sets = None, as_json: Json = False) -> None:
    """Check a scenario file; the first thing wrong is named with file, key, value and fix."""
    from scenarios.loading import load_scenario, scenario_hash

    parsed = load_scenario(scenario, sets or [])
    digest = scenario_hash(parsed)
    Talk(as_json).result(f"{parsed.name}: valid ({digest[:12]})", {"name": parsed.name, "hash": digest, "valid": True})


@verbs.command(epilog="Example: peakday scenario schema > scenario.schema.json")
def schema() -> None:
    """The JSON Schema of a scenario file, for editors."""
    from scenarios.schema import Scenario

    print(json.dumps(Scenario.model_json_schema(by_alias=True), indent=1))
