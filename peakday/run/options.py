"""The options of `run`, each with its help; and how they become the `LoadOptions` of a rehearsal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from host.errors import together
from peakday.consent import Consent
from peakday.errors import CommandError
from peakday.quantities import length_s as length_s_of
from peakday.quantities import rate_per_s, window_s

if TYPE_CHECKING:
    from loadgen.targets.openai_options import OpenAiOptions

Model = Annotated[str | None, typer.Option("--model", help="Model to ask for on an openai or bedrock target.")]
ApiKeyEnv = Annotated[
    str | None,
    typer.Option("--api-key-env", metavar="NAME", help="Variable with the key of an openai target [OPENAI_API_KEY]."),
]
Headers = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="'NAME: VALUE'", help="Header of an openai target; ${NAME} is read where sent."),
]
System = Annotated[
    str | None, typer.Option("--system", metavar="TEXT", help="System prompt of an openai target; @FILE reads one.")
]
ExtraBody = Annotated[
    str | None, typer.Option("--extra-body", metavar="JSON", help="Further fields of an openai request; or @FILE.")
]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="Of an openai request, in place of the scenario's.")
]
Completions = Annotated[
    bool, typer.Option("--completions", help="Plain completions on an openai target, not chat completions.")
]
Window = Annotated[str | None, typer.Option("--window", metavar="START:END", help="Piece of the event, in real time.")]
Rate = Annotated[
    str | None, typer.Option("--rate", help="Interactions per second in place of the event, such as 60/s.")
]
For = Annotated[str | None, typer.Option("--for", help="How long --rate lasts, such as 15s.")]
RunLength = Annotated[str, typer.Option("--for", help="Length of each run.")]
Scale = Annotated[float, typer.Option("--scale", min=0.0, max=1.0, help="Thins the rate; the shape stays.")]
Arrivals = Annotated[
    Path | None, typer.Option("--arrivals", help="Replay the arrivals of a CSV: each row one session of one turn.")
]
Replay = Annotated[
    list[Path] | None,
    typer.Option("--replay", metavar="FILE", help="Replay a trace's sessions, turns and calls as they hang together."),
]
LiveOutput = Annotated[
    bool | None,
    typer.Option(
        "--live-output/--trace-output",
        help="Of a replay: later prompts hold the target's own answers, where it returns token ids, or the trace's.",
    ),
]
CacheTokens = Annotated[
    int | None, typer.Option("--cache-tokens", min=1, help="Of a replay: what the target's prefix cache holds.")
]
CacheBlock = Annotated[int, typer.Option("--cache-block", min=1, help="Of a replay: tokens of the target's blocks.")]
Questions = Annotated[
    Path | None,
    typer.Option(
        "--questions", metavar="FILE", help="Your own questions: text, CSV, JSON lines or JSON conversations."
    ),
]
Users = Annotated[
    int | None,
    typer.Option("--users", min=1, help="Closed loop: so many users that wait for answers. Hides waiting; labelled."),
]
Master = Annotated[bool, typer.Option("--master", help="Wait for --workers of other machines, and drive them.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="With --master: how many workers connect.")]
Worker = Annotated[bool, typer.Option("--worker", help="Be workers of a run whose master is elsewhere.")]
MasterHost = Annotated[str, typer.Option("--master-host", help="With --worker: where the master is.")]
MasterBind = Annotated[
    str, typer.Option("--master-bind", metavar="ADDRESS", help="With --master: the address workers connect to.")
]
InsecureNetwork = Annotated[
    bool,
    typer.Option("--insecure-network", help="What --master or --metrics-host sends crosses the network in the clear."),
]
MasterPort = Annotated[int, typer.Option("--master-port", help="Port the workers connect to.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would ask for; send nothing.")]
Quotas = Annotated[
    Path | None, typer.Option("--quotas", help="quotas.yaml of the account; the newest pull here if left out.")
]
Budget = Annotated[
    float | None, typer.Option("--budget-usd", min=0.0, help="Stop before the calls cost more than this.")
]
MetricsPort = Annotated[int | None, typer.Option("--metrics-port", help="Serve the run to Prometheus on this port.")]
MetricsHost = Annotated[
    str, typer.Option("--metrics-host", metavar="ADDRESS", help="Address of --metrics-port; loopback if left out.")
]
Scrape = Annotated[
    list[str] | None, typer.Option("--scrape", metavar="URL", help="Prometheus page to keep in the record; repeatable.")
]
Web = Annotated[int | None, typer.Option("--web", metavar="PORT", help="Locust's own page on this loopback port.")]
OtlpUrl = Annotated[
    str | None,
    typer.Option("--otlp", metavar="URL", help="Send spans to this OTLP/HTTP receiver; needs the extra otel."),
]
FailOn = Annotated[
    str | None, typer.Option("--fail-on", metavar="slo", help="slo: exit 1 where an SLO is surely missed.")
]
KeepText = Annotated[bool, typer.Option("--keep-text", help="Keep questions and answers in the record.")]


def whom(target: list[str] | None, model: str | None, openai_url: str | None, live: bool, yes: bool) -> dict[str, Any]:
    """What is driven, and whether it may cost money."""
    consent = Consent(live, yes)
    return {"targets": tuple(target or ()), "model": model, "openai_url": openai_url, "consent": consent}


def request(
    api_key_env: str | None,
    headers: list[str] | None,
    system: str | None,
    extra_body: str | None,
    max_tokens: int | None,
    completions: bool,
) -> OpenAiOptions | None:
    """What was typed for `openai` targets; None where nothing was.

    Raises:
        LoadError: what cannot be read, or a variable that is not set.
    """
    if not any((api_key_env, headers, completions, max_tokens)) and system is None and extra_body is None:
        return None
    from loadgen.targets.openai_options import openai_options

    return openai_options(
        api_key_env=api_key_env, headers=headers or (), system=system, extra_body=extra_body, max_tokens=max_tokens,
        chat=not completions,
    )  # fmt: skip


def how_much(
    window: str | None,
    rate: str | None,
    for_: str | None,
    scale: float,
    arrivals: Path | None,
    users: int | None,
    replay: list[Path] | None = None,
) -> dict[str, Any]:
    """Which arrivals, in seconds and per second.

    Raises:
        CommandError: a quantity that cannot be read.
    """
    start_end, per_s, length_s = together(
        lambda: window_s(window, "--window") if window else None,
        lambda: rate_per_s(rate, "--rate") if rate else None,
        lambda: length_s_of(for_, "--for") if for_ else None,
    )
    return {
        "window": start_end,
        "rate_per_s": per_s,
        "for_s": length_s,
        "scale": scale,
        "arrivals": arrivals,
        "replay": tuple(replay or ()),
        "users": users,
    }


def fails_on(what: str | None) -> bool:
    """Whether a missed SLO fails the run.

    Raises:
        CommandError: anything but `slo`.
    """
    if what not in (None, "slo"):
        raise CommandError(f"--fail-on {what!r}: expected slo")
    return what == "slo"


def check_metrics(host: str, port: int | None) -> None:
    """Refuse an address of metrics without a port.

    Raises:
        CommandError: an address alone.
    """
    if port is None and host != "127.0.0.1":
        raise CommandError(f"--metrics-host {host}: needs --metrics-port, such as --metrics-port 9646")


def by_whom(
    processes: int, master: bool, workers: int, master_bind: str, master_port: int, insecure_network: bool
) -> dict[str, Any]:
    """Workers here, or workers of other machines."""
    return {
        "processes": 0 if master else processes,
        "remote_workers": workers if master else 0,
        "master_bind": master_bind if master else None,
        "master_port": master_port,
        "insecure_network": insecure_network,
    }


def beside(
    quotas: Path | None,
    budget_usd: float | None,
    metrics_port: int | None,
    metrics_host: str,
    scrape: list[str] | None,
    web: int | None,
    keep_text: bool,
    otlp: str | None,
    out: Path | None,
) -> dict[str, Any]:
    """What bounds the run, shows it and keeps it."""
    return {
        "quotas": quotas,
        "budget_usd": budget_usd,
        "metrics_port": metrics_port,
        "metrics_host": metrics_host,
        "scrape": tuple(scrape or ()),
        "web_port": web,
        "keep_text": keep_text,
        "otlp": otlp,
        "out": out,
    }
