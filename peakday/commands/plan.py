"""`plan`: chips, quotas, hit rates and cost of a scenario."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from peakday.options import Json, Out, Quiet, ScenarioArgument, Seed, Sets
from peakday.output import Talk


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.command(epilog="Example: peakday plan prime_day")(plan)


def plan(
    scenario: ScenarioArgument,
    sets: Sets = None,
    run: Annotated[
        str | None, typer.Option(help="Run record that measured tokens and routes: ID, path or latest.")
    ] = None,
    bench: Annotated[list[str] | None, typer.Option(help="Bench record: ID, path or latest; repeatable.")] = None,
    step_model: Annotated[list[Path] | None, typer.Option(help="Step model file; repeatable.")] = None,
    out: Out = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn a scenario, its records and prices into chips, quotas, hit rates and cost."""
    from dashboards.terminal import plan_summary
    from peakday.planning import Sources, plan_scenario
    from scenarios.loading import load_scenario, scenario_hash

    parsed = load_scenario(scenario, sets or [])
    sources = Sources(run, tuple(bench or ()), tuple(step_model or ()))
    made, folder = plan_scenario(
        parsed,
        scenario_hash(parsed),
        sources,
        out=out,
        seed=parsed.seed if seed is None else seed,
        talk=Talk(as_json, quiet),
    )
    Talk(as_json).result(f"{plan_summary(made)}\n\n{folder}/plan.json, plan.xlsx, report.html", asdict(made))
