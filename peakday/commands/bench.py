"""`bench`: what one chip does with one model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from host.errors import Exit
from peakday.console import Console
from peakday.options import Json, Out, Quiet, Seed, Yes

verbs = typer.Typer(help="Measure silicon, or take in what others published.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.add_typer(verbs, name="bench")


@verbs.command(epilog="Example: peakday bench probe")
def probe(device: Annotated[str, typer.Option(help="neuron, cuda or cpu.")] = "neuron", as_json: Json = False) -> None:
    """How much of a device is here, and what is missing."""
    from neuron_bench.device.probe import probe as look

    report = look(device)
    text = f"{device}: {report.level}: {report.reason}" + (f"; {report.remedy}" if report.remedy else "")
    Console(as_json).result(text, report.as_json())


Chip = Annotated[str | None, typer.Option(help="Chip, where the source cannot say, such as trainium2.")]
InstanceType = Annotated[str | None, typer.Option(help="Instance type, where it cannot be read.")]
Tp = Annotated[int | None, typer.Option(min=1, help="Of a server: its tensor-parallel degree.")]
ChipsUsed = Annotated[
    float | None, typer.Option(min=0.001, help="Of a server: the chips behind it; unknown, no rate is per chip.")
]


def _whole_numbers(text: str | None, option: str) -> tuple[int, ...]:
    """`512,3239` as numbers."""
    try:
        numbers = tuple(int(part) for part in (text or "").split(",") if part.strip())
    except ValueError:
        numbers = (0,)
    if any(number < 1 for number in numbers):
        raise typer.BadParameter(f"{option} {text!r}: expected whole numbers above 0, such as 512,3239")
    return numbers


@verbs.command("import", epilog="Example: peakday bench import load-curves.csv")
def import_(
    file: Annotated[Path, typer.Argument(help="A table or report of published or exported figures.")],
    chip: Chip = None,
    instance_type: InstanceType = None,
    tp: Tp = None,
    chips_used: ChipsUsed = None,
    model_id: Annotated[str | None, typer.Option(help="Model, where the file cannot say.")] = None,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Take figures that others measured into benches/ID/, checked and marked with their provenance."""
    from neuron_bench.importers.files import Known
    from peakday.benches import import_bench

    Console(as_json).result(*import_bench(file, out, Known(chip, instance_type, chips_used, tp, model_id)))


@verbs.command("run", epilog="Example: peakday bench run --device cpu --model nano --suite quick")
def run_(
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or neuron; cpu unless a server's chip says otherwise.")
    ] = None,
    method: Annotated[str, typer.Option(help="trace: a model of this process; endpoint: a server.")] = "trace",
    model: Annotated[
        str | None, typer.Option(help="Preset (nano), path of a config.json, or the server's model.")
    ] = None,
    suite: Annotated[str, typer.Option(help="quick, latency, throughput or full.")] = "quick",
    url: Annotated[
        str | None, typer.Option(help="Server of --method endpoint, such as http://127.0.0.1:8000/v1.")
    ] = None,
    chip: Chip = None,
    instance_type: InstanceType = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; of a server: a note.")] = None,
    tp: Tp = None,
    chips_used: ChipsUsed = None,
    server_host: Annotated[str | None, typer.Option(help="Where the server runs, if --url is a tunnel to it.")] = None,
    lengths: Annotated[str | None, typer.Option(help="Prompt lengths in place of the suite's: 512,3239.")] = None,
    contexts: Annotated[str | None, typer.Option(help="Contexts before decoding, in place of the suite's.")] = None,
    users: Annotated[str | None, typer.Option(help="Requests at once, in place of the suite's.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Of an endpoint: rounds through every load.")] = None,
    artifacts: Annotated[
        str | None, typer.Option(help="Store of compiled graphs: a folder or s3://BUCKET/PREFIX.")
    ] = None,
    prebuild: Annotated[
        bool, typer.Option("--prebuild", help="Compile into the store only; nothing is timed.")
    ] = False,
    matrix: Annotated[
        Path | None, typer.Option(help="File of models x targets; other options are then ignored.")
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Allow a store of compiled graphs in S3, or a server that may be paid by the token."
        ),
    ] = False,
    yes: Yes = False,
    resume: Annotated[Path | None, typer.Option(help="Earlier record whose finished cases are kept.")] = None,
    out: Out = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure one model on a device of this machine (extra `bench`), or behind an OpenAI-compatible server."""
    from peakday.benches import BenchOptions, prebuild_graphs, run_bench, run_matrix_file
    from peakday.consent import Consent

    console = Console(as_json, quiet)
    if matrix is not None:
        text, data, code = run_matrix_file(matrix, out, consent=Consent(live, yes), console=console)
    else:
        options = BenchOptions(
            device=device,
            method=method,
            model=model,
            suite=suite,
            url=url,
            chip=chip,
            instance_type=instance_type,
            dtype=dtype,
            tp=tp,
            chips_used=chips_used,
            server_host=server_host,
            lengths=_whole_numbers(lengths, "--lengths"),
            contexts=_whole_numbers(contexts, "--contexts"),
            users=_whole_numbers(users, "--users"),
            rounds=rounds,
            artifacts=artifacts,
            consent=Consent(live, yes),
            resume=resume,
            out=out,
        )
        work = prebuild_graphs if prebuild else run_bench
        text, data, code = work(options, seed=1 if seed is None else seed, console=console)
    console.result(text, data)
    raise typer.Exit(code)


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
    text = "\n".join(f"{words[check.passed]:<8} {check.name}: {check.detail}" for check in checks)
    Console(as_json).result(text, [asdict(check) for check in checks])
    if any(check.passed is False for check in checks):
        raise typer.Exit(Exit.GATE_FAILED if checks[0].passed else Exit.ENVIRONMENT)
