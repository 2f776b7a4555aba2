"""`run`: a load run, and its record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peakday.errors import CommandError
from peakday.options import Json, Out, Quiet, ScenarioArgument, Seed, Sets
from peakday.output import Talk


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.command(epilog="Example: peakday run smoke --rate 5/s --for 15s")(run)
    app.command("max-rate", epilog="Example: peakday max-rate smoke --from 2/s --to 16/s --for 20s")(max_rate)


def run(
    scenario: ScenarioArgument = "",
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
    master: Annotated[
        bool, typer.Option("--master", help="Wait for --workers of other machines, and drive them.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="With --master: how many workers connect.")] = 1,
    worker: Annotated[bool, typer.Option("--worker", help="Be workers of a run whose master is elsewhere.")] = False,
    master_host: Annotated[str, typer.Option(help="With --worker: where the master is.")] = "127.0.0.1",
    master_port: Annotated[int, typer.Option(help="Port the workers connect to.")] = 5557,
    users: Annotated[
        int | None,
        typer.Option(min=1, help="Closed loop: so many users that wait for answers. Hides waiting; labelled."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would ask for; send nothing.")] = False,
    budget_usd: Annotated[
        float | None, typer.Option(min=0.0, help="Stop before the calls cost more than this.")
    ] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Serve the run to Prometheus on this loopback port.")] = None,
    web: Annotated[int | None, typer.Option(metavar="PORT", help="Locust's own page on this loopback port.")] = None,
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
    from peakday.rehearsal import dry_run as estimate_run

    if worker:
        from loadgen.run import run_worker

        raise typer.Exit(run_worker(master_host, master_port, processes))
    if not scenario:
        raise CommandError("SCENARIO is missing: name one of `peakday scenario list`, or the path of a YAML file")
    options = LoadOptions(
        targets=tuple(target or ()),
        model=model,
        window=window_s(window, "--window") if window else None,
        rate_per_s=rate_per_s(rate, "--rate") if rate else None,
        for_s=duration_s(for_, "--for") if for_ else None,
        scale=scale,
        arrivals=arrivals,
        processes=0 if master else processes,
        remote_workers=workers if master else 0,
        master_port=master_port,
        users=users,
        keep_text=keep_text,
        budget_usd=budget_usd,
        metrics_port=metrics_port,
        web_port=web,
        out=out,
    )
    if dry_run:
        Talk(as_json).result(*estimate_run(scenario, sets or [], options, seed=seed))
        return
    outcome = rehearse(scenario, sets or [], options, seed=seed, talk=Talk(as_json, quiet))
    recorded = load_run(outcome.run_dir)
    Talk(as_json).result(f"{run_summary(recorded)}\n\n{relative(outcome.run_dir)}", recorded.info)
    raise typer.Exit(outcome.exit_code)


def max_rate(
    scenario: ScenarioArgument,
    sets: Sets = None,
    from_: Annotated[str, typer.Option("--from", help="Rate that surely holds, interactions/s.")] = "1/s",
    to: Annotated[str, typer.Option(help="Rate that surely does not; doubled while it holds.")] = "16/s",
    for_: Annotated[str, typer.Option("--for", help="Length of each run.")] = "30s",
    target: Annotated[list[str] | None, typer.Option(metavar="KIND=URL", help="Drive this instead.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Load workers on this machine.")] = 1,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The highest rate at which every SLO of the scenario holds, by bisection over short runs."""
    from peakday.quantities import duration_s, rate_per_s
    from peakday.rehearsal import LoadOptions
    from peakday.searching import search_max_rate

    options = LoadOptions(targets=tuple(target or ()), for_s=duration_s(for_, "--for"), processes=processes)
    low, high = rate_per_s(from_, "--from"), rate_per_s(to, "--to")
    found = search_max_rate(scenario, sets or [], options, low, high, seed=seed, talk=Talk(as_json, quiet))
    Talk(as_json).result(*found)
