"""One turn, and what it took, as a person wants to read it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from assistant.ask import ask
from loadgen.job import without_query
from loadgen.targets.inspection import ask_mapped
from loadgen.targets.mapping import target_specs
from peakday.config import load_config
from peakday.consent import Consent, require_live
from peakday.console import Console
from peakday.guard import Target, admit, admitted, check_allowed, costs_money, is_paid_api, parse_targets
from peakday.stack.resolved import open_stack, resolve


def ask_once(
    scenario: str,
    sets: Sequence[str],
    message: str,
    target: str | None,
    customer_id: str,
    product_id: str | None,
    *,
    seed: int | None,
    consent: Consent,
    console: Console,
) -> tuple[str, list[dict[str, Any]]]:
    """Ask a running assistant, or one that is started for this question; the text to show and the raw events."""
    with contextlib.ExitStack() as cleanup:
        addresses: tuple[str, ...] = ()
        if target is not None:
            admitted_target = admit_one(target, consent, console)
            url, addresses = admitted_target.url, admitted_target.addresses
        else:
            stack = cleanup.enter_context(open_stack(resolve(scenario, sets, seed), console=console))
            url = stack.endpoints["assistant"]
        events = list(ask(url, message, customer_id=customer_id, product_id=product_id, addresses=addresses))
    return "\n".join(lines(events)), events


def admit_one(target: str, consent: Consent, console: Console) -> Target:
    """One target through the guard; what may cost money is asked about first.

    Raises:
        CommandError: not owned, or it may cost money and `--live` is missing.
    """
    config = load_config()
    text = target if "=" in target.partition("://")[0] else f"assistant={target}"
    named = parse_targets([text])[0]
    check_allowed(named, config)
    what, cost = f"one question to {without_query(named.url)}", "a turn's price; it is not known"
    if is_paid_api(named):  # before so much as a name is looked up
        require_live(consent, what, cost, console)
        return admit(named, config)
    place = admit(named, config)
    if costs_money(place, config):
        require_live(consent, what, cost, console)
    return place


def ask_mapping(target: str, message: str, consent: Consent, console: Console) -> tuple[str, list[dict[str, Any]]]:
    """One question to a mapped target: every piece of its answer as it came, and what the mapping recognised."""
    place = admit_one(target, consent, console)
    spec = target_specs(Path(target.removeprefix("http=")))[0]
    pieces: list[dict[str, Any]] = [
        {
            "at_s": piece.at_s,
            "data": piece.data.decode("utf-8", "replace"),
            "recognised": [{"kind": str(signal.kind), "value": signal.value} for signal in piece.recognised],
        }
        for piece in ask_mapped(spec, message, admitted([place]))
    ]
    text = "\n".join(
        f"{piece['at_s'] * 1e3:8.1f} ms  {piece['data'].strip()}\n"
        + "\n".join(f"{'':13}= {found['kind']}: {found['value']!r}" for found in piece["recognised"])
        for piece in pieces
    )
    return text, pieces


def lines(events: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The answer, then its timeline: route, prefetch, calls, tools, cost."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        by_name.setdefault(event["event"], []).append(event)
    yield "".join(event["text"] for event in by_name.get("delta", []))
    yield ""
    for meta in by_name.get("meta", []):
        how = f"{meta['complexity']}, by {meta.get('router_stage')}"
        yield f"route     {meta['route']} for {meta['intent']} ({how}) {_ms(meta['route_s'])}"
        if meta.get("prefetch"):
            yield f"prefetch  {', '.join(meta['prefetch'])} {_ms(meta.get('prefetch_s'))}"
    for call in by_name.get("usage", []):
        yield _call_line(call)
    for tool in by_name.get("tool", []):
        arguments = json.dumps(tool.get("arguments") or {}, ensure_ascii=True)
        yield f"tool      {tool['tool']} {arguments}: {tool['status']} {_ms(tool['duration_s'])}"
    for done in by_name.get("done", []):
        yield f"done      {done['output_tokens']} tokens, {_usd(done['cost_usd'])}, {_ms(done['e2e_s'])}"
        if pending := done.get("pending_confirmation"):
            yield f"confirm   {pending['action']} (not done until it is confirmed: `peakday chat`, or the chat page)"
        for citation in done.get("citations") or []:
            yield f"cites     {citation}"
    for error in by_name.get("error", []):
        yield f"error     {error.get('code')}: {error.get('message')}"
    if any(meta.get("simulated") for meta in by_name.get("meta", [])):
        yield "SIMULATED: the models behind this answer are emulated; no number here is a provider's"


def _call_line(call: dict[str, Any]) -> str:
    written = (call.get("cache_write_tokens_5m") or 0) + (call.get("cache_write_tokens_1h") or 0)
    return (
        f"call {call['call_index']}    {call['model']} ({call['purpose']}): input {call.get('input_tokens')}"
        f" + {call.get('cache_read_tokens') or 0} read + {written} written, output {call.get('output_tokens')},"
        f" TTFT {_ms(call.get('ttft_s'))}, {_ms(call.get('e2e_s'))}, {_usd(call.get('cost_usd'))}"
    )


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:,.0f} ms"


def _usd(amount: float | None) -> str:
    return "priced by chips" if amount is None else f"{amount:.6f} USD"
