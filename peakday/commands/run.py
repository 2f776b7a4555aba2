"""`run`: a load run, and its record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peakday.options import Json, Out, Quiet, ScenarioArgument, Seed, Sets
from peakday.output import Talk


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.command(epilog="Example: peakday run smoke --rate 5/s --for 15s")(run)


def run(
    scenario: ScenarioArgument,
    sets: Sets = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=URL",
            help="Drive this instead: assistant=, openai=, bedrock=URL, http=MAPPING.yaml, module=FILE.py:Class@URL.",
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model to ask for on an openai or bedrock target.")] = None,
    window: Annotated[str | None, typer.Option(metavar="START:END", help="Piece of the event, in real time.")] = None,
    rate: Annotated[
        str | None, typer.Option(help="Interactions per second in place of the event, such as 60/s.")
    ] = None,
    for_: Annotated[str | None, typer.Option("--for", help="How long --rate lasts, such as 15s.")] = None,
    scale: Annotated[float, typer.Option(min=0.0, max=1.0, help="Thins the rate; the shape stays.")] = 1.0,
    arrivals: Annotated[
        Path | None, typer.Option(help="Replay the arrivals of a CSV: each row one session of one turn.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="Load workers on this machine.")] = 1,
    keep_text: Annotated[bool, typer.Option("--keep-text", help="Keep questions and answers in the record.")] = False,
    out: Out = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Rehearse: drive the assistant with a scenario, and write runs/ID/."""
    from dashboards.terminal import run_summary
    from loadgen.record import load_run
    from peakday.folders import relative
    from peakday.quantities import duration_s, rate_per_s, window_s
    from peakday.rehearsal import LoadOptions, rehearse

    options = LoadOptions(
        targets=tuple(target or ()),
        model=model,
        window=window_s(window, "--window") if window else None,
        rate_per_s=rate_per_s(rate, "--rate") if rate else None,
        for_s=duration_s(for_, "--for") if for_ else None,
        scale=scale,
        arrivals=arrivals,
        processes=processes,
        keep_text=keep_text,
        out=out,
    )
    outcome = rehearse(scenario, sets or [], options, seed=seed, talk=Talk(as_json, quiet))
    recorded = load_run(outcome.run_dir)
    Talk(as_json).result(f"{run_summary(recorded)}\n\n{relative(outcome.run_dir)}", recorded.info)
    raise typer.Exit(outcome.exit_code)
