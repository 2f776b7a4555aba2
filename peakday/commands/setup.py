"""`demo`, `doctor`, `init`, `completion`: the first minutes with peakday."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from host.errors import Exit
from peakday.commands.completion import Shell, script
from peakday.console import Console
from peakday.options import Json, Quiet, Seed


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.command(epilog="Example: peakday demo")(demo)
    app.command(epilog="Example: peakday doctor")(doctor)
    app.command(epilog="Example: peakday init")(init)
    app.command(epilog="Example: peakday completion bash")(completion)


def demo(seed: Seed = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """The whole story on this machine, without an account or a chip, in about a minute."""
    from peakday.demo import run_demo

    console = Console(as_json, quiet)
    text, data = run_demo(seed=seed, console=console)
    console.result(text, data)


def doctor(
    rate: Annotated[
        str | None, typer.Option(help="Measure the generator's own error here at this rate, such as 50/s.")
    ] = None,
    for_: Annotated[str, typer.Option("--for", help="How long --rate lasts.")] = "5s",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What is here, what is missing, and how to fix it; with --rate, how exact the generator is on this machine."""
    from peakday.doctor import examine, measure_rate
    from peakday.quantities import duration_s, rate_per_s

    if rate is not None:
        console = Console(as_json, quiet)
        text, data, valid = measure_rate(rate_per_s(rate, "--rate"), duration_s(for_, "--for"), console=console)
        console.result(text, data)
        raise typer.Exit(Exit.OK if valid else Exit.INVALID_RUN)
    findings = examine()
    marks = {True: "ok", False: "FIX", None: "-"}
    text = "\n".join(f"{marks[f.ok]:<5} {f.what:<18} {f.found}{'; ' + f.fix if f.fix else ''}" for f in findings)
    Console(as_json).result(text, [asdict(finding) for finding in findings])
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(Exit.ENVIRONMENT)


def init(as_json: Json = False) -> None:
    """Write a commented peakday.yaml into this folder."""
    from peakday.config import write_config

    path = write_config()
    Console(as_json).result(f"wrote {path}", {"config": str(path)})


def completion(
    shell: Annotated[Shell, typer.Argument(help="The shell that is to complete.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Print what makes a shell complete verbs, options, scenarios and records: eval "$(peakday completion bash)"."""
    Console(as_json).result(script(shell), {"shell": shell.value, "script": script(shell)})
