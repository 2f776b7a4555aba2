"""`bench`: what one chip does with one model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from peakday.options import Json, Out, Quiet
from peakday.output import Talk

verbs = typer.Typer(help="Measure silicon, or take in what others published.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.add_typer(verbs, name="bench")


@verbs.command(epilog="Example: peakday bench probe")
def probe(device: Annotated[str, typer.Option(help="neuron, cuda or cpu.")] = "neuron", as_json: Json = False) -> None:
    """How much of a device is here, and what is missing."""
    from neuron_bench.probe import probe as look

    report = look(device)
    text = f"{device}: {report.level}" + (f"; {report.remedy}" if report.remedy else "")
    Talk(as_json).result(text, asdict(report))


@verbs.command("import", epilog="Example: peakday bench import load-curves.csv")
def import_(
    file: Annotated[Path, typer.Argument(help="A table or report of published or exported figures.")],
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Take figures that others measured into benches/ID/, checked and marked with their provenance."""
    from peakday.benching import import_bench

    text, data = import_bench(file, out)
    Talk(as_json).result(text, data)


@verbs.command("run", epilog="Example: peakday bench run --device cpu --model nano --suite quick")
def run_(
    device: Annotated[str, typer.Option(help="cpu, cuda or neuron; never another one silently.")] = "cpu",
    model: Annotated[str, typer.Option(help="Preset, or path of a Llama-shaped config.json.")] = "nano",
    suite: Annotated[str, typer.Option(help="quick, latency, throughput or full.")] = "quick",
    out: Out = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure one model on a device of this machine (needs the extra `bench`)."""
    from peakday.benching import run_bench

    text, data = run_bench(device, model, suite, out, Talk(as_json, quiet))
    Talk(as_json).result(text, data)
