"""One turn, and what it took, as a person wants to read it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence

from assistant.ask import ask
from host.errors import Exit
from host.json_values import items, mapping, text, whole
from host.redaction import HIDDEN, SECRET_NAME, shown_url
from loadgen.job import LoadError, TargetSpec
from loadgen.targets.http import history_fields
from loadgen.targets.inspection import BODY_OPEN, Piece, ask_mapped
from loadgen.targets.openai_options import OpenAiOptions, as_mapping
from loadgen.targets.signals import Signal
from peakday.config import load_config
from peakday.consent import Consent, require_live
from peakday.console import Console
from peakday.guard import Target, admit_agreed, admitted, parse_targets
from peakday.run.load import target_spec
from peakday.stack.resolved import open_stack, resolve
from wire.text import Untrusted


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
) -> tuple[str, list[dict[str, object]]]:
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
    text = target if "=" in target.partition("://")[0] else f"assistant={target}"
    named = parse_targets([text])[:1]
    what = f"one question to {shown_url(named[0].url)}"

    def agree() -> None:
        require_live(consent, what, "a turn's price; it is not known", console)

    return admit_agreed(named, load_config(), agree)[0]


FOLLOW_UP = "And what else should I know?"


def ask_target(
    target: str,
    message: str,
    consent: Consent,
    console: Console,
    model: str | None = None,
    turns: int = 1,
    options: OpenAiOptions | None = None,
) -> tuple[str, dict[str, object], Exit]:
    """Questions to any target but an assistant: each request, every piece of its answer, what was made of it.

    The second of two turns is `FOLLOW_UP`, with the conversation so far as the target wants it.

    Returns the text, the same as data, and exit code 1 where no text of an answer was recognised.
    """
    place = admit_one(target, consent, console)
    spec = (mapped_openai if place.kind == "openai" else target_spec)(place, model, options)
    history: list[tuple[str, str]] = []
    shown, answers, code, conversation = [], [], Exit.OK, None
    for turn in range(turns):
        history.append(("user", message if turn == 0 else FOLLOW_UP))
        fields = {
            "message": history[-1][1], "turn_index": turn, "conversation_id": conversation,
            **history_fields(history, "ask-0"),
        }  # fmt: skip
        text, data, signals, code = _one_turn(spec, place, fields)
        shown += [f"turn {turn + 1}", text] if turns > 1 else [text]
        answers.append(data)
        if code != Exit.OK:
            break
        history.append(("assistant", "".join(str(signal.value) for signal in signals if signal.kind == "text")))
        named = [signal.value for signal in signals if signal.kind == "conversation_id"]
        conversation = named[-1] if named else conversation
    return "\n".join(shown), answers[0] if turns == 1 else {"turns": answers}, code


def _one_turn(
    spec: TargetSpec, place: Target, fields: dict[str, object]
) -> tuple[str, dict[str, object], list[Signal], Exit]:
    """One question: the text to show, the same as data, what was recognised, and the exit code."""
    pieces: list[Piece] = []
    problem = None
    try:
        for piece in ask_mapped(spec, text(fields["message"]), admitted([place]), fields=fields):
            pieces.append(piece)
    except LoadError as error:
        if not pieces:
            raise
        problem = str(error)
    request = masked(pieces[0].data) if pieces else ""
    signals = [(piece.at_s, signal) for piece in pieces[1:] for signal in piece.recognised]
    sentence = verdict(signals, problem, mapped=place.kind == "http") if pieces[1:] or problem is None else problem
    if any(BODY_OPEN in piece.ignored for piece in pieces):
        sentence += f"; {BODY_OPEN}"
    answer: list[dict[str, object]] = []
    shown = [f"{'sent':>11}  {line}" for line in request.splitlines()]
    for piece in pieces[1:]:
        came = piece.data.decode("utf-8", "replace")
        recognised = [{"kind": str(signal.kind), "value": signal.value} for signal in piece.recognised]
        answer.append({"at_s": piece.at_s, "data": came, "recognised": recognised, "ignored": piece.ignored})
        shown += [f"{piece.at_s * 1e3:8.1f} ms  {Untrusted(part).terminal}" for part in came.splitlines() if part]
        shown += [f"{'':13}= {part['kind']}: {part['value']!r}" for part in recognised]
        shown += [f"{'':13}- ignored: {Untrusted(reason).terminal}" for reason in piece.ignored]
    found = any(signal.kind in CONTENT for _, signal in signals)
    data: dict[str, object] = {"request": request, "pieces": answer, "verdict": sentence}
    code = Exit.OK if found and problem is None else Exit.GATE_FAILED
    return "\n".join([*shown, sentence]), data, [signal for _, signal in signals], code


def mapped_openai(place: Target, model: str | None, options: OpenAiOptions | None = None) -> TargetSpec:
    """An `openai` target as a mapping, with the key that a run would send where nothing else is said."""
    spec = target_spec(place, model, options)
    mapping = as_mapping(place.url, spec.model, OpenAiOptions(**(spec.request or {})))
    return TargetSpec("openai", str(mapping["url"]), mapping=mapping)


def verdict(signals: Sequence[tuple[float, Signal]], problem: str | None, *, mapped: bool = True) -> str:
    """What was recognised of an answer, and where something was not what to do; `mapped`: by a mapping."""
    words = []
    for kinds, name, to_add, without in _PARTS:
        first_s = next((at_s for at_s, signal in signals if signal.kind in kinds), None)
        fix = to_add if mapped else without
        words.append(f"{name} not: {fix}" if first_s is None else f"{name} at {first_s * 1e3:,.1f} ms")
    failed = [f"the target failed: {signal.value}" for _, signal in signals if signal.kind == "error"]
    return Untrusted("; ".join([*failed, *([problem] if problem else []), f"recognised {', '.join(words)}"])).terminal


CONTENT = ("text", "content")
_PARTS = (
    (CONTENT, "first token", "add a rule `text` with the path of a piece of the answer", "there is no content in it"),
    (("end",), "end", "add `end`, such as {event: done} or {data: '[DONE]'}; without it each turn is broken off",
     "a load run takes such an answer for one that was cut, unless usage came"),
    (("usage",), "usage", "add `usage` with the paths of the token counts, or they stay unknown",
     "token counts stay unknown"),
)  # fmt: skip
"""Signals, their name, and what to do where they are missing: of a mapping, and of a target without one."""


_OPEN_HEADERS = (
    "host", "content-type", "content-length", "accept", "accept-encoding", "traceparent", "tracestate", "user-agent",
    "upgrade", "connection", "sec-websocket-key", "sec-websocket-version",
)  # fmt: skip
"""Headers whose values we write ourselves; every other may hold a secret."""


def masked(request: bytes) -> str:
    """A request as sent, without query, a mapping's headers' values, and body values whose key tells of a secret."""
    head, _, body = request.decode("utf-8", "replace").partition("\r\n\r\n")
    first, *headers = head.split("\r\n")
    names = [line.partition(":")[0] for line in headers]
    hidden = [
        line if name.lower() in _OPEN_HEADERS else f"{name}: {HIDDEN}"
        for name, line in zip(names, headers, strict=True)
    ]
    path, query, _ = first.partition("?")
    return "\n".join([f"{path}?{HIDDEN} HTTP/1.1" if query else first, *hidden, "", _masked_body(body)])


def _masked_body(body: str) -> str:
    """The body; one with a key that tells of a secret is written anew, that key's value hidden."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    shown = _without_secret_keys(value)
    return body if shown == value else json.dumps(shown, separators=(",", ":"), ensure_ascii=False)


def _without_secret_keys(part: object) -> object:
    if isinstance(part, dict):
        return {
            key: HIDDEN if isinstance(value, str) and SECRET_NAME.search(key) else _without_secret_keys(value)
            for key, value in part.items()
        }
    return [_without_secret_keys(value) for value in part] if isinstance(part, list) else part


def lines(events: Sequence[dict[str, object]]) -> Iterator[str]:
    """The answer, then its timeline: route, prefetch, calls, tools, cost."""
    by_name: dict[str, list[dict[str, object]]] = {}
    for event in events:
        by_name.setdefault(text(event["event"]), []).append(event)
    yield "".join(text(event["text"]) for event in by_name.get("delta", []))
    yield ""
    for meta in by_name.get("meta", []):
        how = f"{meta['complexity']}, by {meta.get('router_stage')}"
        yield f"route     {meta['route']} for {meta['intent']} ({how}) {_ms(meta['route_s'])}"
        if meta.get("prefetch"):
            yield f"prefetch  {', '.join(map(str, items(meta['prefetch'])))} {_ms(meta.get('prefetch_s'))}"
    for call in by_name.get("usage", []):
        yield _call_line(call)
    for tool in by_name.get("tool", []):
        arguments = json.dumps(tool.get("arguments") or {}, ensure_ascii=True)
        yield f"tool      {tool['tool']} {arguments}: {tool['status']} {_ms(tool['duration_s'])}"
    for done in by_name.get("done", []):
        yield f"done      {done['output_tokens']} tokens, {_usd(done['cost_usd'])}, {_ms(done['e2e_s'])}"
        if pending := mapping(done.get("pending_confirmation")):
            yield f"confirm   {pending['action']} (not done until it is confirmed: `peakday chat`, or the chat page)"
        for citation in items(done.get("citations")):
            yield f"cites     {citation}"
    for error in by_name.get("error", []):
        yield f"error     {error.get('code')}: {error.get('message')}"
    if any(meta.get("simulated") for meta in by_name.get("meta", [])):
        yield "SIMULATED: the models behind this answer are emulated; no number here is a provider's"


def _call_line(call: dict[str, object]) -> str:
    written = whole(call.get("cache_write_tokens_5m")) + whole(call.get("cache_write_tokens_1h"))
    return (
        f"call {call['call_index']}    {call['model']} ({call['purpose']}): input {call.get('input_tokens')}"
        f" + {call.get('cache_read_tokens') or 0} read + {written} written, output {call.get('output_tokens')},"
        f" TTFT {_ms(call.get('ttft_s'))}, {_ms(call.get('e2e_s'))}, {_usd(call.get('cost_usd'))}"
    )


def _ms(seconds: object) -> str:
    return "-" if not isinstance(seconds, int | float) else f"{seconds * 1e3:,.0f} ms"


def _usd(amount: object) -> str:
    return "priced by chips" if not isinstance(amount, int | float) else f"{amount:.6f} USD"
