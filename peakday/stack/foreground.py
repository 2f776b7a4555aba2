"""`up`: a stack that stays until Ctrl-C, on the emulator or on real models."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import urlsplit

from emulator.language.conversations import read_conversations
from host.control_token import page_address, token_file
from loadgen.schedule.estimate import estimate
from peakday.config import load_config
from peakday.consent import Consent, require_live
from peakday.console import Console
from peakday.errors import CommandError
from peakday.guard import admit, check_answers, check_metrics_bind
from peakday.run.load import LoadOptions, load_of
from peakday.run.spans import named_receiver, receiver
from peakday.stack.local import MetricsAt, RealModels, Stack
from peakday.stack.real_models import on_real_models, own_models, real_models
from peakday.stack.resolved import Resolved, open_stack, resolve

_NOMINAL_S = 600.0
"""A turn's price is the mean over the turns that one interaction a second asks for in this time."""


def stay_up(
    scenario: str,
    sets: Sequence[str],
    consent: Consent,
    openai_url: str | None,
    *,
    port: int,
    metrics: MetricsAt | None = None,
    insecure: bool = False,
    tls: bool = False,
    otlp: str | None = None,
    seed: int | None,
    conversations: Path | None = None,
    console: Console,
) -> None:
    """Start the stack, say where it is, and wait.

    Args:
        tls: the emulator serves TLS too.
        conversations: what the emulator answers, in place of the scenario's own.

    Raises:
        CommandError: live and not agreed to, metrics on a network that reads along, or the stack cannot start or ends
            by itself.
        ConversationsError: a conversation file that cannot be used.
    """
    if metrics is not None:
        check_metrics_bind(metrics.host, load_config(), insecure=insecure)
    if consent.live and (tls or conversations is not None):
        option = "tls" if tls else "conversations"
        raise CommandError(f"--{option}: of the emulator; real models answer by themselves: leave it out, or --live")
    if conversations is not None:
        read_conversations(conversations)
    spans_to = named_receiver(otlp) if otlp is not None else None
    resolved = resolve(scenario, sets, seed)
    if conversations is not None:
        resolved = replace(resolved, world=replace(resolved.world, conversations=conversations.resolve()))
    real = real_models(openai_url) if consent.live else None
    if real is not None:
        for named in own_models(real):
            check_answers(admit(named, load_config(), "--openai-url"))
        resolved = agreed(resolved, real, consent, console)
    spans = receiver(spans_to) if spans_to is not None else None
    with open_stack(resolved, port=port, real=real, metrics=metrics, tls=tls, otlp=spans, console=console) as stack:
        more: dict[str, object] = {"metrics": dict(stack.metrics)} if stack.metrics else {}
        more |= {"tls": asdict(stack.tls)} if stack.tls else {}
        console.result(address_lines(stack, resolved), {**stack.endpoints, "models": dict(stack.models), **more})
        console.say("ready; Ctrl-C stops it")
        with contextlib.suppress(KeyboardInterrupt):
            stack.wait()


def agreed(resolved: Resolved, real: RealModels, consent: Consent, console: Console) -> Resolved:
    """The scenario on real models, once what a turn costs has been said and agreed to."""
    resolved, left_out = on_real_models(resolved, real)
    for line in left_out:
        console.say(line)
    what = f"{resolved.scenario.name} on real models in {', '.join(resolved.scenario.event.regions)}"
    require_live(consent, what, turn_cost(resolved), console)
    return resolved


def turn_cost(resolved: Resolved) -> str:
    """What a turn is expected to cost, as words; nothing is paid before one is asked."""
    expected = estimate(load_of(resolved, LoadOptions(rate_per_s=1.0, for_s=_NOMINAL_S)))
    if expected.usd is None or not expected.turns:
        return "no priced model may answer"
    low, mid, high = (usd / expected.turns for usd in expected.usd)
    return f"{mid:.4f} USD a turn ({low:.4f} to {high:.4f}), list prices; nothing before the first question"


def address_lines(stack: Stack, resolved: Resolved) -> str:
    """Where to reach what."""
    lines = [f"chat page  {page_address(stack.endpoints['assistant'])}"]
    lines += [f"{name:<10} {url}" for name, url in stack.endpoints.items()]
    if stack.live and "bedrock" not in stack.endpoints:
        lines.append(f"bedrock    Amazon Bedrock in {', '.join(resolved.scenario.event.regions)}")
    if stack.tls is not None:
        lines += [f"tls        {stack.tls.url} (the emulator, h2 and http/1.1)", f"ca file    {stack.tls.ca_file}"]
    lines += [f"metrics    {url} ({name}; health beside it, nothing else)" for name, url in stack.metrics.items()]
    lines.append(f"token      {token_file(urlsplit(stack.endpoints['assistant']).port or 80)} (for /control and /test)")
    return "\n".join(lines)
