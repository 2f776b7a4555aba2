"""`bench`: what one chip does with one model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from host.errors import Exit
from peakday.console import Console
from peakday.options import Json, Out, Quiet, Seed

verbs = typer.Typer(help="Measure silicon, or take in what others published.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.add_typer(verbs, name="bench")


@verbs.command(epilog="Example: peakday bench probe")
def probe(device: Annotated[str, typer.Option(help="neuron, cuda or cpu.")] = "neuron", as_json: Json = False) -> None:
    """How much of a device is here, and what is missing."""
    from neuron_bench.device.probe import probe as look

    report = look(device)
    text = f"{device}: {report.level}" + (f"; {report.remedy}" if report.remedy else "")
    Console(as_json).result(text, asdict(report))


Chip = Annotated[str | None, typer.Option(help="Chip, where the source cannot say, such as trainium2.")]


@verbs.command("import", epilog="Example: peakday bench import load-curves.csv")
def import_(
    file: Annotated[Path, typer.Argument(help="A table or report of published or exported figures.")],
    chip: Chip = None,
    model_id: Annotated[str | None, typer.Option(help="Model, where the file cannot say.")] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Take figures that others measured into benches/ID/, checked and marked with their provenance."""
    from peakday.benches import import_bench

    Console(as_json).result(*import_bench(file, out, chip=chip, model_id=model_id))


@verbs.command("run", epilog="Example: peakday bench run --device cpu --model nano --suite quick")
def run_(
    device: Annotated[str, typer.Option(help="cpu, cuda or neuron; never another one silently.")] = "cpu",
    method: Annotated[str, typer.Option(help="trace: a model of this process; endpoint: a server.")] = "trace",
    model: Annotated[
        str, typer.Option(help="Preset, path of a Llama-shaped config.json, or the server's model.")
    ] = "nano",
    suite: Annotated[str, typer.Option(help="quick, latency, throughput or full.")] = "quick",
    url: Annotated[
        str | None, typer.Option(help="Server of --method endpoint, such as http://127.0.0.1:8000/v1.")
    ] = None,
    chip: Chip = None,
    instance_type: Annotated[str | None, typer.Option(help="Instance type, where it cannot be read.")] = None,
    dtype: Annotated[str, typer.Option(help="Of a trace: float32, bfloat16 or float16.")] = "float32",
    tp: Annotated[int | None, typer.Option(min=1, help="Of an endpoint: its tensor-parallel degree.")] = None,
    chips_used: Annotated[float | None, typer.Option(min=0.0, help="Of an endpoint: the chips behind it.")] = None,
    artifacts: Annotated[
        str | None, typer.Option(help="Store of compiled graphs: a folder or s3://BUCKET/PREFIX.")
    ] = None,
    prebuild: Annotated[
        bool, typer.Option("--prebuild", help="Compile into the store only; nothing is timed.")
    ] = False,
    matrix: Annotated[
        Path | None, typer.Option(help="File of models x targets; other options are then ignored.")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Earlier record whose finished cases are kept.")] = None,
    out: Out = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure one model on a device of this machine (extra `bench`), or behind an OpenAI-compatible server."""
    from peakday.benches import BenchOptions, prebuild_graphs, run_bench, run_matrix_file

    console = Console(as_json, quiet)
    if matrix is not None:
        console.result(*run_matrix_file(matrix, out, console=console))
        return
    options = BenchOptions(
        device, method, model, suite, url, chip, instance_type, dtype, tp, chips_used, artifacts, resume, out
    )
    work = prebuild_graphs if prebuild else run_bench
    console.result(*work(options, seed=1 if seed is None else seed, console=console))


@verbs.command(epilog="Example: peakday bench report latest")
def report(
    record: Annotated[str, typer.Argument(metavar="ID", help="A bench: ID, path or latest.")],
    out: Out = None,
    as_json: Json = False,
) -> None:
    """The headline of a bench, and its HTML report."""
    from peakday.benches import report_bench

    Console(as_json).result(*report_bench(record, out))


@verbs.command("verify-on-chip", epilog="Example: peakday bench verify-on-chip --device neuron")
def verify_on_chip(
    device: Annotated[str, typer.Option(help="neuron, cuda or cpu.")] = "neuron",
    chip: Chip = None,
    as_json: Json = False,
) -> None:
    """Run the claims that only a chip can confirm, each as a check; exit 1 when one fails."""
    from neuron_bench.trace.verify import verify

    checks = verify(device, chip=chip)
    words = {True: "ok", False: "FAIL", None: "not run"}
    text = "\n".join(f"{words[check.passed]:<8} {check.name}: {check.said}" for check in checks)
    Console(as_json).result(text, [asdict(check) for check in checks])
    if any(check.passed is False for check in checks):
        raise typer.Exit(Exit.GATE_FAILED if checks[0].passed else Exit.ENVIRONMENT)
