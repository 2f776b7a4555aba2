"""`run`: a load run, and its record; `max-rate`, `sweep` and `ramp`: series of them."""

from __future__ import annotations

from typing import Annotated

import typer

from host.errors import together
from peakday.console import Console
from peakday.options import (
    Details,
    Json,
    Live,
    OpenAIUrl,
    Out,
    Processes,
    Quiet,
    ScenarioArgument,
    Seed,
    Sets,
    Targets,
    Yes,
)
from peakday.run import options as typed


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.command(epilog="Example: peakday run smoke --rate 5/s --for 15s")(run)
    app.command("max-rate", epilog="Example: peakday max-rate smoke --from 2/s --to 16/s --for 20s")(max_rate)
    app.command(epilog="Example: peakday sweep smoke --from 1/s --to 6/s --steps 6 --for 60s")(sweep)
    app.command(epilog="Example: peakday ramp smoke --to 4/s --hold 10s --look 5s --within 2m")(ramp)
    app.command("ladder", hidden=True, deprecated=True)(sweep)


def run(
    scenario: ScenarioArgument = "",
    sets: Sets = None,
    target: Targets = None,
    model: typed.Model = None,
    api_key_env: typed.ApiKeyEnv = None,
    header: typed.Headers = None,
    system: typed.System = None,
    extra_body: typed.ExtraBody = None,
    max_tokens: typed.MaxTokens = None,
    completions: typed.Completions = False,
    window: typed.Window = None,
    rate: typed.Rate = None,
    for_: typed.For = None,
    scale: typed.Scale = 1.0,
    arrivals: typed.Arrivals = None,
    replay: typed.Replay = None,
    live_output: typed.LiveOutput = None,
    cache_tokens: typed.CacheTokens = None,
    cache_block: typed.CacheBlock = 16,
    questions: typed.Questions = None,
    processes: Processes = 1,
    master: typed.Master = False,
    workers: typed.Workers = 1,
    worker: typed.Worker = False,
    master_host: typed.MasterHost = "127.0.0.1",
    master_bind: typed.MasterBind = "0.0.0.0",  # noqa: S104 (refused unless it is said what protects it)
    master_port: typed.MasterPort = 5557,
    insecure_network: typed.InsecureNetwork = False,
    users: typed.Users = None,
    dry_run: typed.DryRun = False,
    live: Live = False,
    yes: Yes = False,
    openai_url: OpenAIUrl = None,
    quotas: typed.Quotas = None,
    budget_usd: typed.Budget = None,
    metrics_port: typed.MetricsPort = None,
    metrics_host: typed.MetricsHost = "127.0.0.1",
    scrape: typed.Scrape = None,
    web: typed.Web = None,
    keep_text: typed.KeepText = False,
    otlp: typed.OtlpUrl = None,
    fail_on: typed.FailOn = None,
    details: Details = False,
    out: Out = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Rehearse: drive the assistant with a scenario, and write runs/ID/."""
    if worker:
        from loadgen.remote_workers import run_worker

        raise typer.Exit(run_worker(master_host, master_port, processes))
    from peakday.run.load import LoadOptions
    from peakday.run.rehearsal import Printing, run_command

    asked, load, fail_on_slo = together(
        lambda: typed.request(api_key_env, header, system, extra_body, max_tokens, completions),
        lambda: typed.how_much(window, rate, for_, scale, arrivals, users, replay),
        lambda: typed.fails_on(fail_on),
    )
    options = LoadOptions(
        **typed.whom(target, model, openai_url, live, yes),
        request=asked,
        questions=questions,
        live_output=live_output,
        cache_tokens=cache_tokens,
        cache_block=cache_block,
        **load,
        **typed.by_whom(processes, master, workers, master_bind, master_port, insecure_network),
        fail_on_slo=fail_on_slo,
        **typed.beside(quotas, budget_usd, metrics_port, metrics_host, scrape, web, keep_text, otlp, out),
    )
    printing = Printing(Console(as_json, quiet), dry_run, details)
    raise typer.Exit(run_command(scenario, sets or [], options, printing, seed))


def max_rate(
    scenario: ScenarioArgument,
    sets: Sets = None,
    from_: Annotated[str, typer.Option("--from", help="Rate that surely holds, interactions/s.")] = "1/s",
    to: Annotated[str, typer.Option(help="Rate that surely does not; doubled while it holds.")] = "16/s",
    for_: typed.RunLength = "30s",
    target: Targets = None,
    model: typed.Model = None,
    api_key_env: typed.ApiKeyEnv = None,
    header: typed.Headers = None,
    system: typed.System = None,
    extra_body: typed.ExtraBody = None,
    max_tokens: typed.MaxTokens = None,
    completions: typed.Completions = False,
    questions: typed.Questions = None,
    processes: Processes = 1,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """The highest rate at which every SLO of the scenario holds, by bisection and a sequential test at each."""
    from peakday.run.series import search_max_rate, series

    request = typed.request(api_key_env, header, system, extra_body, max_tokens, completions)
    runs = series(
        scenario, sets, (from_, to), for_, targets=target, model=model, request=request, questions=questions,
        processes=processes, seed=seed,
    )  # fmt: skip
    code, text, data = search_max_rate(runs, Console(as_json, quiet))
    Console(as_json).result(text, data)
    raise typer.Exit(code)


def sweep(
    scenario: ScenarioArgument,
    sets: Sets = None,
    from_: Annotated[str, typer.Option("--from", help="Lowest rate, interactions/s.")] = "1/s",
    to: Annotated[str, typer.Option(help="Highest rate: near what the system can do.")] = "6/s",
    steps: Annotated[
        int, typer.Option("--steps", "--rungs", min=3, max=12, help="Rates, in equal ratios; every second tests a fit.")
    ] = 6,
    for_: typed.RunLength = "60s",
    target: Targets = None,
    model: typed.Model = None,
    api_key_env: typed.ApiKeyEnv = None,
    header: typed.Headers = None,
    system: typed.System = None,
    extra_body: typed.ExtraBody = None,
    max_tokens: typed.MaxTokens = None,
    completions: typed.Completions = False,
    questions: typed.Questions = None,
    processes: Processes = 1,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """A rate sweep: runs at rising rates for `peakday calibrate`, each with its record."""
    from peakday.run.series import run_sweep, series

    request = typed.request(api_key_env, header, system, extra_body, max_tokens, completions)
    runs = series(
        scenario, sets, (from_, to), for_, targets=target, model=model, request=request, questions=questions,
        processes=processes, seed=seed,
    )  # fmt: skip
    Console(as_json).result(*run_sweep(runs, steps, Console(as_json, quiet)))


def ramp(
    scenario: ScenarioArgument,
    sets: Sets = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Target, interactions/s; the p90 of the scenario's peak if left out.")
    ] = None,
    hold: Annotated[str, typer.Option(help="How long a rate is held before half is added: 15m is AWS's rule.")] = "15m",
    look: Annotated[str, typer.Option(help="How long a lower rate is looked at before it is held.")] = "1m",
    within: Annotated[str, typer.Option(help="Load of the whole ramp; it ends with 4 where this is over.")] = "4h",
    tolerance: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of calls that may meet a 503.")] = 0.0,
    target: Targets = None,
    model: typed.Model = None,
    live: Live = False,
    yes: Yes = False,
    openai_url: OpenAIUrl = None,
    budget_usd: typed.Budget = None,
    processes: Processes = 1,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Raise a load by AWS's rule for Bedrock: start at the target, halve on 503, hold, add half, repeat."""
    from peakday.quantities import duration_s, rate_per_s
    from peakday.run.load import LoadOptions
    from peakday.run.ramp import RampOptions, run_ramp

    options = LoadOptions(
        **typed.whom(target, model, openai_url, live, yes), budget_usd=budget_usd, processes=processes
    )
    target_per_s = rate_per_s(to, "--to") if to else None
    lengths = duration_s(hold, "--hold"), duration_s(look, "--look"), duration_s(within, "--within")
    console = Console(as_json, quiet)
    asked = RampOptions(target_per_s, *lengths, tolerance)
    code, text, data = run_ramp(scenario, sets or [], options, asked, seed, console)
    console.result(text, data)
    raise typer.Exit(code)
