"""`up`, `ask` and `chat`: the local stack in the foreground, one turn on it, and a conversation with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from peakday.consent import Consent
from peakday.console import Console
from peakday.errors import CommandError
from peakday.options import Json, Live, OpenAIUrl, Quiet, ScenarioArgument, Seed, Sets, Yes
from peakday.run import options as typed


def register(app: typer.Typer) -> None:
    """Add the verbs of this family."""
    app.command(epilog="Example: peakday up smoke")(up)
    app.command(epilog='Example: peakday ask "is this tent waterproof?"')(ask)
    app.command(epilog="Example: peakday chat --product p900001")(chat)


def up(
    scenario: ScenarioArgument = "smoke",
    sets: Sets = None,
    port: Annotated[int, typer.Option(help="Port of the assistant; the emulator takes the next. 0: any.")] = 0,
    conversations: Annotated[
        Path | None, typer.Option(help="What the emulator answers, in place of the scenario's conversation file.")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Serve health and metrics alone here too; the emulator takes the next port. 0: any."),
    ] = None,
    metrics_host: typed.MetricsHost = "127.0.0.1",
    insecure_network: typed.InsecureNetwork = False,
    tls: Annotated[
        bool, typer.Option("--tls", help="Serve the emulator by TLS too: HTTP/2 or HTTP/1.1, with a CA file to trust.")
    ] = False,
    otlp: typed.OtlpUrl = None,
    live: Live = False,
    yes: Yes = False,
    openai_url: OpenAIUrl = None,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the local stack in the foreground until Ctrl-C; with --live the assistant on real Bedrock."""
    from peakday.stack.foreground import stay_up
    from peakday.stack.local import MetricsAt

    typed.check_metrics(metrics_host, metrics_port)
    metrics = None if metrics_port is None else MetricsAt(metrics_host, metrics_port)
    stay_up(
        scenario, sets or [], Consent(live, yes), openai_url, port=port, metrics=metrics, insecure=insecure_network,
        tls=tls, otlp=otlp, seed=seed, conversations=conversations, console=Console(as_json, quiet),
    )  # fmt: skip


def ask(
    message: Annotated[str, typer.Argument(help="What the customer says.")],
    scenario: Annotated[str, typer.Option(help="Scenario whose stack and shop are used.")] = "smoke",
    sets: Sets = None,
    target: Annotated[
        str | None, typer.Option(help="A running assistant, such as http://127.0.0.1:8080, or any target of `run`.")
    ] = None,
    model: typed.Model = None,
    api_key_env: typed.ApiKeyEnv = None,
    header: typed.Headers = None,
    system: typed.System = None,
    extra_body: typed.ExtraBody = None,
    max_tokens: typed.MaxTokens = None,
    completions: typed.Completions = False,
    turns: Annotated[
        int, typer.Option(min=1, max=2, help="2 sends a follow-up in the same conversation; not to an assistant.")
    ] = 1,
    customer: Annotated[str, typer.Option(help="Test customer who asks.")] = "c000001",
    product: Annotated[str | None, typer.Option(help="Product whose page the customer is on.")] = None,
    live: Live = False,
    yes: Yes = False,
    seed: Seed = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ask one question and show what the answer took: route, calls, tokens, cache, tools, cost."""
    from peakday.agent.ask import ask_once, ask_target
    from peakday.run.load import OPENAI_ONLY

    console = Console(as_json, quiet)
    options = typed.request(api_key_env, header, system, extra_body, max_tokens, completions)
    if target is not None and target.startswith(("http=", "openai=", "bedrock=", "module=")):
        shown, data, code = ask_target(target, message, Consent(live, yes), console, model, turns, options)
        console.result(shown, data)
        raise typer.Exit(code)
    if turns > 1:
        raise CommandError("--turns: of http=, openai=, bedrock= and module= targets; `chat` talks to an assistant")
    if options is not None:
        raise CommandError(OPENAI_ONLY)
    text, events = ask_once(
        scenario, sets or [], message, target, customer, product, seed=seed, consent=Consent(live, yes), console=console
    )
    console.result(text, json.loads(json.dumps(events)))


def chat(
    scenario: Annotated[str, typer.Option(help="Scenario whose stack and shop are used.")] = "smoke",
    sets: Sets = None,
    target: Annotated[str | None, typer.Option(help="A running assistant, such as http://127.0.0.1:8080.")] = None,
    customer: Annotated[str, typer.Option(help="Test customer who talks.")] = "c000001",
    product: Annotated[str | None, typer.Option(help="Product whose page is open at first.")] = None,
    locale: Annotated[str, typer.Option(help="Locale of the marketplace, such as es_US.")] = "en_US",
    live: Live = False,
    yes: Yes = False,
    seed: Seed = None,
    quiet: Quiet = False,
) -> None:
    """Talk to the assistant: streamed answers, tools as they run, confirmations by y or n; /help lists the rest."""
    from peakday.agent.chat import Chat, talk
    from peakday.agent.terminal import read_line, write

    def make(url: str, addresses: Sequence[str]) -> Chat:
        return Chat(url, read_line, write, customer, locale, addresses, product)

    talk(scenario, sets or [], target, make, seed=seed, consent=Consent(live, yes), console=Console(quiet=quiet))
