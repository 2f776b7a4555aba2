"""`aws` and `verify-on-bedrock`: what an account holds, pays and did; how the emulator differs from the real thing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from peakday.console import Console
from peakday.options import Json, Out, Quiet, Seed

verbs = typer.Typer(help="Quotas, prices and usage of an AWS account. Nothing here changes it.", no_args_is_help=True)

Live = Annotated[bool, typer.Option("--live", help="Really use the AWS account; without it nothing is asked of AWS.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask again; for where nobody is at a terminal.")]


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.add_typer(verbs, name="aws")
    app.command(
        "verify-on-bedrock",
        epilog="Example: peakday verify-on-bedrock --target bedrock=http://127.0.0.1:8080 --model nova-pro",
    )(verify_on_bedrock)


@verbs.command(epilog="Example: peakday aws pull --region us-east-1 --last 24h --live")
def pull(
    region: Annotated[list[str], typer.Option(help="Region to read; repeatable.")],
    last: Annotated[str, typer.Option(help="Length of the usage window, such as 24h.")] = "24h",
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Its end, UTC, ISO; now if left out.")] = None,
    instance: Annotated[list[str] | None, typer.Option(help="Instance type to price; repeatable.")] = None,
    live: Live = False,
    yes: Yes = False,
    out: Out = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read quotas held, list prices and usage by the minute into a dated folder; whole or not at all."""
    from datetime import UTC, datetime

    from peakday.account.pull import Ask, past_window
    from peakday.account.pull import pull as pull_account
    from peakday.consent import Consent

    console, now = Console(as_json, quiet), datetime.now(UTC)
    ask = Ask(tuple(region), past_window(last, until, now), tuple(instance or ()), out)
    console.result(*pull_account(ask, Consent(live, yes), now, console))


@verbs.command("import-log", epilog="Example: peakday aws import-log invocations.jsonl.gz --out usage.csv")
def import_log(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Model invocation logs, JSON lines or gzip.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("usage.csv"),
    as_json: Json = False,
) -> None:
    """Turn Bedrock model-invocation logs into usage.csv; prompts and answers are not kept."""
    from peakday.account.invocation_log import import_logs

    Console(as_json).result(*import_logs(files, out))


def verify_on_bedrock(
    target: Annotated[
        str | None, typer.Option(metavar="bedrock=URL", help="The emulator on loopback, in place of the account.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model of models.yaml to try.")] = "nova-pro",
    region: Annotated[str, typer.Option(help="Region of the account.")] = "us-east-1",
    budget_usd: Annotated[float, typer.Option(min=0.0, help="Refuse to begin what could cost more.")] = 1.0,
    wait_ttl: Annotated[bool, typer.Option("--wait-ttl", help="Wait out the cache's lifetime: 5 minutes.")] = False,
    throttle: Annotated[
        bool, typer.Option("--throttle", help="Provoke a refusal by quota on the account; other traffic feels it.")
    ] = False,
    calls: Annotated[int, typer.Option(min=5, help="Calls that measure the first token.")] = 30,
    live: Live = False,
    yes: Yes = False,
    out: Annotated[Path | None, typer.Option(help="Profile for the emulator to write here.")] = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Hold the documented rules against what answers: usage, cache, throttles, events, filler, first tokens."""
    from peakday.account.verify import Verification, verify
    from peakday.consent import Consent

    console = Console(as_json, quiet)
    verification = Verification(target, model, region, budget_usd, wait_ttl, throttle, calls, out, seed or 1)
    text, data, code = verify(verification, Consent(live, yes), console)
    console.result(text, data)
    raise typer.Exit(code)
