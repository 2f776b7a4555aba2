"""`check` and `baseline`: performance gates for CI, and what they compare with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from peakday.console import Console
from peakday.options import Json, Quiet, ScenarioArgument, Seed, Sets

verbs = typer.Typer(help="What checks compare with: save, list, promote.", no_args_is_help=True)

ChecksFile = Annotated[
    Path | None, typer.Option("--checks", help="Gates, margins, loads; default: checks.yaml where there is one.")
]
Live = Annotated[bool, typer.Option("--live", help="Allow baselines in S3.")]
Yes = Annotated[bool, typer.Option("--yes", help="With --live: do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.command(epilog="Example: peakday check smoke --against main")(check)
    app.add_typer(verbs, name="baseline")


def check(
    scenario: ScenarioArgument,
    against: Annotated[
        str | None, typer.Option(metavar="REF|URL|RUNS", help="Gate regressions against this build, address or runs.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="KIND=URL", help="The candidate is up already; else it is started here.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Model to ask of a system of your own.")] = None,
    sets: Sets = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Run this gate alone: exact, slo or regression; repeatable.")
    ] = None,
    pairs: Annotated[
        int | None, typer.Option(min=2, help="Pairs at most; looks beyond it are dropped. Default: 12.")
    ] = None,
    rate: Annotated[str | None, typer.Option(help="Interactions per second of each run, such as 4/s.")] = None,
    for_: Annotated[str | None, typer.Option("--for", help="Load of each run, such as 10s.")] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Take today's exact figures as the baseline; commit and review it.")
    ] = False,
    noise: Annotated[
        int | None, typer.Option("--noise", metavar="RUNS", min=3, help="Measure this machine's noise instead.")
    ] = None,
    margin: Annotated[float, typer.Option(min=0.001, help="For benches and plans: share that may be lost.")] = 0.05,
    checks: ChecksFile = None,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Append a summary here, such as $GITHUB_STEP_SUMMARY.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the page with every turn and call that changed.")] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Write GitHub workflow commands; `cat` shows them on the check.")
    ] = None,
    live: Live = False,
    yes: Yes = False,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Gate this build: exact figures, SLOs, and with --against regressions. SCENARIO may be a bench or a plan too."""
    from peakday.consent import Consent
    from peakday.gate.check import CheckOptions, check_noise, check_scenario

    console = Console(as_json, quiet)
    options = CheckOptions(
        scenario, tuple(sets or ()), against, target, model, tuple(only or ()), pairs, rate, for_, accept, margin,
        checks, seed, Consent(live, yes),
    )  # fmt: skip
    if noise is not None:
        console.result(*check_noise(options, noise, console))
        return
    code, text, data = check_scenario(
        options, console, junit=junit, markdown=markdown, html=html, annotations=annotations, clock=time.monotonic
    )
    console.result(text, data)
    raise typer.Exit(code)


@verbs.command(epilog="Example: peakday baseline save smoke")
def save(
    scenario: ScenarioArgument,
    runs: Annotated[int, typer.Option(min=0, help="Load runs to keep beside the exact figures, for history.")] = 3,
    promote_it: Annotated[bool, typer.Option("--promote", help="Replace figures that differ.")] = False,
    target: Annotated[
        str | None, typer.Option(metavar="KIND=URL", help="The system is up already; else it is started here.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Model to ask of a system of your own.")] = None,
    sets: Sets = None,
    checks: ChecksFile = None,
    live: Live = False,
    yes: Yes = False,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Save what this build is like: figures where there are none yet, or with --promote, and runs as history."""
    from peakday.consent import Consent
    from peakday.gate.check import CheckOptions, save_one

    console = Console(as_json, quiet)
    options = CheckOptions(
        scenario, tuple(sets or ()), target=target, model=model, checks=checks, seed=seed, consent=Consent(live, yes)
    )
    console.result(*save_one(options, runs, promote_it, console))


@verbs.command("list", epilog="Example: peakday baseline list smoke")
def list_(
    scenario: Annotated[str, typer.Argument(help="Name of a scenario.")],
    checks: ChecksFile = None,
    live: Live = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """The baseline of a scenario, its history, and versions that an earlier peakday saved."""
    from peakday.consent import Consent
    from peakday.gate.check import list_all

    console = Console(as_json)
    console.result(*list_all(scenario, checks, Consent(live, yes), console))


@verbs.command(epilog="Example: peakday baseline promote smoke 20261123-130000")
def promote(
    scenario: Annotated[str, typer.Argument(help="Name of a scenario.")],
    version: Annotated[str, typer.Argument(help="As `peakday baseline list` shows it.")],
    checks: ChecksFile = None,
    live: Live = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Let checks compare with a version that an earlier peakday saved, a file for each."""
    from peakday.consent import Consent
    from peakday.gate.check import promote_one

    console = Console(as_json)
    console.result(*promote_one(scenario, version, checks, Consent(live, yes), console))
