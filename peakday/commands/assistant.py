"""`assistant`: its router on labelled text, how good its answers are, and what its switches are worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peakday.consent import Consent
from peakday.console import Console
from peakday.options import Json, Live, OpenAIUrl, Out, Quiet, Seed, Yes

verbs = typer.Typer(help="The routed assistant: its router, its quality, and its switches.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.add_typer(verbs, name="assistant")


@verbs.command(epilog="Example: peakday assistant route --csv labelled.csv")
def route(
    csv: Annotated[Path, typer.Option(help="Columns text, label and perhaps complexity; others are ignored.")],
    as_json: Json = False,
) -> None:
    """How well the router labels a CSV: accuracy, F1 by class, confusion, coverage of each stage."""
    from peakday.agent.measures import route_csv

    Console(as_json).result(*route_csv(csv))


@verbs.command(epilog="Example: peakday assistant quality latest")
def quality(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run with sampled turns, or a file of samples (.jsonl).")
    ] = "latest",
    judge: Annotated[str, typer.Option(help="Model that judges, a key of models.yaml.")] = "claude-sonnet",
    region: Annotated[str, typer.Option(help="Region in which it is asked.")] = "us-east-1",
    live: Live = False,
    yes: Yes = False,
    openai_url: OpenAIUrl = None,
    budget_usd: Annotated[
        float | None, typer.Option(min=0.0, help="Judge only as many turns as this pays for.")
    ] = None,
    out: Out = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge the sampled turns of a run, off the measured path: judgements.parquet, and quality.yaml that plans read."""
    from peakday.agent.quality import JudgeOptions, judge_run

    console = Console(as_json, quiet)
    options = JudgeOptions(judge, region, out, Consent(live, yes), budget_usd, openai_url)
    console.result(*judge_run(run, options, seed=seed, console=console))


@verbs.command(epilog="Example: peakday assistant ablate --turns 20")
def ablate(
    turns: Annotated[int, typer.Option(min=1, help="Single-turn questions of the scenario's own to ask.")] = 20,
    scenario: Annotated[str, typer.Option(help="Scenario whose stack and shop are used.")] = "smoke",
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The same turns with prefetch, parallel tools and cache points off in turn: calls, latency, tokens, cost."""
    from peakday.agent.measures import ablate_switches

    Console(as_json).result(*ablate_switches(scenario, turns, seed=seed, console=Console(as_json, quiet)))


@verbs.command(name="auto-buy", epilog="Example: peakday assistant auto-buy off --target http://127.0.0.1:8080")
def auto_buy(
    state: Annotated[str, typer.Argument(metavar="[on|off]", help="Left out: only say how it stands.")] = "",
    target: Annotated[str, typer.Option(help="The assistant's address.")] = "http://127.0.0.1:8080",
    as_json: Json = False,
) -> None:
    """The kill switch of purchases by price: off, rules keep matching and wait; nothing is bought."""
    from peakday.agent.kill_switch import switch_auto_buy

    Console(as_json).result(*switch_auto_buy(target, state))
