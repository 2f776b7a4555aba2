"""`calibrate`: step times from your own measurements."""

from __future__ import annotations

from typing import Annotated

import typer

from peakday.console import Console
from peakday.options import Json, Live, Out, Quiet, Seed, Yes


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.command(epilog="Example: peakday calibrate latest latest~1 latest~2 --model custom-8b --chip trainium2")(
        calibrate
    )


def calibrate(
    records: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="Runs of a rate sweep, one bench, or both.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model key, as the calls of the run name it.")] = "custom-8b",
    chip: Annotated[str | None, typer.Option(help="Chip that served it; a bench says its own.")] = None,
    tp: Annotated[int | None, typer.Option(min=1, help="Tensor-parallel degree, in logical cores.")] = None,
    chips_per_replica: Annotated[
        float | None, typer.Option(min=0.001, help="Chips of one replica, where a bench does not say.")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Serving engine; a bench of vLLM says its own.")] = None,
    engine_version: Annotated[str, typer.Option(help="Its version.")] = "unknown",
    max_num_seqs: Annotated[int | None, typer.Option(min=1, help="Requests it runs at once; read from runs.")] = None,
    max_batched_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens of one step; read from runs.")] = None,
    block_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a KV block.")] = 16,
    kv_blocks: Annotated[int | None, typer.Option(min=1, help="KV blocks of one replica; read from runs.")] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Replicas behind the one address of the runs.")] = 1,
    drift: Annotated[
        float | None,
        typer.Option(min=0.0, max=0.5, help="How far the machine's pace lies apart between load steps [estimated]."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="openai=URL", help="Drive this server with the load steps that a fit needs.")
    ] = None,
    slo: Annotated[str, typer.Option(help="With --target: what one replica must keep.")] = "ttft_s_p99 <= 1",
    for_: Annotated[str, typer.Option("--for", help="With --target: time of all load steps.")] = "8m",
    calls_max: Annotated[int, typer.Option(min=100, help="With --target: most calls of all load steps.")] = 5_000,
    prompt_tokens: Annotated[
        int, typer.Option(min=8, help="With --target: median prompt; twice in a second mix.")
    ] = 400,
    answer_tokens: Annotated[int, typer.Option(min=4, help="With --target: median answer.")] = 100,
    live: Live = False,
    yes: Yes = False,
    out: Out = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit step times from measured timings; prints its range, its hold-out table, or its refusal."""
    from peakday.errors import CommandError
    from peakday.plan.step_models import EngineFacts, calibrate_from

    facts = EngineFacts(
        model, chip, tp, chips_per_replica, engine, engine_version,
        max_num_seqs, max_batched_tokens, block_tokens, kv_blocks, replicas, drift,
    )  # fmt: skip
    console = Console(as_json, quiet)
    if (target is None) == (not records):
        raise CommandError("calibrate takes records (runs of a sweep, or a bench) or --target openai=URL: one of them")
    if target is None:
        console.result(*calibrate_from(records or [], facts, out))
        return
    from peakday.consent import Consent
    from peakday.plan.driven_calibration import calibrate_target, sweep_of

    tokens, consent, seed = (prompt_tokens, answer_tokens), Consent(live, yes), 1 if seed is None else seed
    sweep = sweep_of(target, model, for_, calls_max, tokens, slo, seed, consent)
    console.result(*calibrate_target(sweep, facts, out, console))
