"""`target detect`: which of the known protocols a server speaks, by asking it one short question in each."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from host import json_values
from host.atomic import write_text
from host.errors import Exit
from host.fetch import FetchError, fetch
from host.redaction import shown_url
from host.yaml_text import dump_yaml, read_yaml
from loadgen.job import LoadError, TargetSpec
from loadgen.targets.base import Refused
from loadgen.targets.inspection import ask_mapped, fetching, first_fields
from loadgen.targets.mapping import SOCKET_MAPPINGS, is_socket, named_mappings, named_target, read_with_values
from loadgen.targets.mcp import McpTarget, tools_of
from loadgen.targets.openai_options import OpenAiOptions
from loadgen.targets.signals import Signal
from loadgen.transport.connection import endpoint
from peakday.agent.ask import CONTENT, admit_one, mapped_openai, verdict
from peakday.consent import Consent
from peakday.console import Console
from peakday.errors import CommandError
from peakday.guard import CALL_PATH, Target, admitted, parse_targets
from peakday.run.load import target_spec
from wire.text import Untrusted

QUESTION = "In one short sentence: what can you help with?"
TOOLS_SHOWN = 8
SHOWN = 40
"""Characters of a body that is none of words."""
LAST_RESORTS = ("http=text:", "http=sse-text:")
NO_WORDS = ("{", "[", "<", "data:", "event:", ":", "id:", "retry:")
"""How JSON, a page of HTML and events begin."""
WITHIN_S = 20.0
"""Of one protocol; a server that speaks another mostly answers 404 at once."""
ALL_WITHIN_S = 60.0
"""Of all protocols together: a server that is silent in one is so in most."""
HEALTH_WITHIN_S = 3.0
_BEFORE_URL = re.compile(r"[:=](?:http|ws)s?://")
_ENV = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class _Time:
    """What is left of the time for all protocols."""

    def __init__(self, all_s: float) -> None:
        self._end_s = time.monotonic() + all_s

    def left_s(self, most_s: float = WITHIN_S) -> float:
        """For the next one. Raises `LoadError` when it is over."""
        left_s = min(self._end_s - time.monotonic(), most_s)
        if left_s <= 0:
            raise LoadError(f": not tried: the {ALL_WITHIN_S:g} s for all protocols are over")
        return left_s


@dataclass(frozen=True)
class Tried:
    """One protocol, asked one question: what the server recognised it as, in words; `score` 0 where as nothing."""

    target: str
    score: int
    found: str

    def shown(self) -> dict[str, object]:
        """The same as data, without the query of its URL."""
        return vars(self) | {"target": shown_url(self.target)}


def detect(
    url: str, model: str | None, out: Path | None, consent: Consent, console: Console, api_key_env: str | None = None
) -> tuple[str, dict[str, object], Exit]:
    """Ask in every protocol, the text to print, the same as data, and exit code 1 where none was recognised.

    api_key_env: the one variable whose value may be sent; nothing of the environment is, without it.

    Raises:
        CommandError: the address is refused, or costs money and `--live` is missing.
    """
    socket = is_socket(url)
    place = admit_one(f"http={'websocket' if socket else 'text'}:{url}", consent, console)
    whole = _Time(ALL_WITHIN_S)
    tried = [] if socket else [*_assistant(url, place), *_openai(url, place, model, api_key_env, whole)]
    tried += [] if socket else [_mcp(url, place, whole)]
    tried += _mapped(url, place, model, api_key_env, SOCKET_MAPPINGS if socket else (), whole)
    best = max(tried, key=lambda one: one.score)
    lines = [f"{_BEFORE_URL.split(one.target.removeprefix('http='))[0]:<12} {one.found}" for one in tried]
    if not best.score:
        lines.append(
            "none was recognised; write a mapping (docs/load.md) and look at it with `peakday ask --target http=FILE`"
        )
        return "\n".join(lines), {"tried": [one.shown() for one in tried], "best": None}, Exit.GATE_FAILED
    shown = best.shown()["target"]
    lines.append(f"\npeakday run smoke --rate 1/s --for 10s --target {shown}" + (f" --model {model}" if model else ""))
    if shown != best.target:
        lines.append("(add the query that you typed: it is not printed, as it may hold a secret)")
    if out is not None:
        lines.append(str(_written(best.target, out, place)))
    return "\n".join(lines), {"tried": [one.shown() for one in tried], "best": shown}, Exit.OK


def _assistant(url: str, place: Target) -> Iterator[Tried]:
    """Our own assistant says so at /healthz."""
    try:
        health = json.loads(fetch(f"{url.rstrip('/')}/healthz", within_s=HEALTH_WITHIN_S, addresses=place.addresses))
    except (FetchError, ValueError):
        health = None
    known = isinstance(health, dict) and "simulated" in health and health.get("ok") is True
    yield Tried(f"assistant={url}", 4 if known else 0, "peakday's own assistant" if known else "not at /healthz")


def _openai(url: str, place: Target, model: str | None, api_key_env: str | None, whole: _Time) -> Iterator[Tried]:
    """At the base that was named; where nobody answers there, at its /v1, and at a call's address at the base of it."""
    base = CALL_PATH.sub("", url)
    tried = _openai_at(base, place, model, api_key_env, whole)
    parts = urlsplit(base)
    path = parts.path.rstrip("/")
    if not tried.score and not path.endswith("/v1"):
        below = _openai_at(parts._replace(path=f"{path}/v1").geturl(), place, model, api_key_env, whole)
        tried = max(tried, below, key=lambda one: one.score)
    yield tried


def _openai_at(url: str, place: Target, model: str | None, api_key_env: str | None, whole: _Time) -> Tried:
    headers = {} if api_key_env is None else {"Authorization": f"Bearer ${{{api_key_env}}}"}
    named = Target("openai", url, {}, place.addresses, place.seal)
    spec = mapped_openai(named, model, OpenAiOptions(headers))
    tried = _asked(f"openai={url}", spec, named, whole)
    asked = json_values.mapping((spec.mapping or {}).get("body")).get("model")
    return replace(tried, found=f"asked for {asked}: {tried.found}" if asked else tried.found)


def _mcp(url: str, place: Target, whole: _Time) -> Tried:
    """An MCP server says so in the handshake, and lists its tools."""
    target = f"http=mcp:{url}"
    try:
        server, tools = _tools(target, place, whole.left_s())
    except (Refused, LoadError, OSError, ValueError) as error:
        return Tried(target, 0, Untrusted(str(error).removeprefix(": ")).terminal[:100])
    names = ", ".join(str(tool.get("name")) for tool in tools[:TOOLS_SHOWN])
    return Tried(target, 4, Untrusted(f"MCP server {server} with {len(tools)} tools: {names}").terminal)


def _tools(target: str, place: Target, within_s: float = WITHIN_S) -> tuple[str, list[Mapping[str, object]]]:
    (named,) = parse_targets([target])
    spec = target_spec(Target("http", named.url, named.spec, place.addresses, place.seal), None)
    where = endpoint(spec.url, admitted([place]))
    known = McpTarget(spec, where)
    return tools_of(known, fetching(where, within_s), first_fields(spec, known, QUESTION))


def mcp_calls(tools: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """A call of each tool, equally often: texts are the question, other required arguments the least of their type."""
    return [
        {"tool": str(tool.get("name")), "weight": 1, "arguments": _example(tool.get("inputSchema"))} for tool in tools
    ]


def _example(schema: object) -> object:
    """A value of a JSON schema to begin with; what a tool means by it, only its owner knows."""
    if not isinstance(schema, dict):
        return {}
    if isinstance(choices := schema.get("enum"), list) and choices:
        return choices[0]
    if schema.get("type") == "object":
        properties = schema.get("properties")
        wanted = schema.get("required")
        known = properties if isinstance(properties, dict) else {}
        return {name: _example(known.get(name)) for name in (wanted if isinstance(wanted, list) else [])}
    return {"string": "{message}", "integer": 1, "number": 1.0, "boolean": False, "array": []}.get(
        str(schema.get("type"))
    )


def _mapped(
    url: str, place: Target, model: str | None, api_key_env: str | None, sockets: Sequence[str], whole: _Time
) -> Iterator[Tried]:
    for name in sockets or [name for name in named_mappings() if name not in (*SOCKET_MAPPINGS, "mcp")]:
        target = f"http={name}:{url}"
        file = named_target(f"{name}:{url}")
        assert file is not None
        needs = _ENV.findall(file[0].read_text(encoding="utf-8"))
        if "sigv4" in (file_mapping := read_yaml(file[0], error=LoadError)):
            service = file_mapping["sigv4"]["service"]
            yield Tried(
                target, 0, f"not tried: it signs for {service}; name it, if it is one: --target http={name}:URL"
            )
            continue
        if unsent := [key for key in needs if key != api_key_env]:
            yield Tried(target, 0, f"not tried: it sends a key; say --api-key-env {unsent[0]} if it may")
            continue
        (named,) = parse_targets([target])
        known = Target("http", named.url, named.spec, place.addresses, place.seal)
        yield _asked(target, target_spec(known, model), known, whole)


def _asked(target: str, spec: TargetSpec, place: Target, whole: _Time) -> Tried:
    signals: list[tuple[float, Signal]] = []
    try:
        for piece in ask_mapped(spec, QUESTION, admitted([place]), within_s=whole.left_s()):
            signals += [(piece.at_s, signal) for signal in piece.recognised]
    except LoadError as error:
        return Tried(target, 0, Untrusted(str(error).partition(": ")[2]).terminal[:100])
    kinds = {signal.kind for _, signal in signals}
    mapped = spec.kind == "http"
    if not kinds & set(CONTENT) or "error" in kinds:
        return Tried(target, 0, verdict(signals, None, mapped=mapped))
    if target.startswith(LAST_RESORTS):  # any body is a text
        begins = next(str(signal.value) for _, signal in signals if signal.kind == "text").lstrip()[:SHOWN]
        if begins.startswith(NO_WORDS):
            return Tried(target, 0, Untrusted(f"no words: {begins!r}").terminal)
        return Tried(target, 1, verdict(signals, None))
    return Tried(target, 1 + ("end" in kinds) + ("usage" in kinds), verdict(signals, None, mapped=mapped))


def _written(best: str, out: Path, place: Target) -> Path:
    """The best mapping as a file of one's own, to change where the server differs."""
    named = named_target(best.removeprefix("http=")) if best.startswith("http=") else None
    if named is None:
        raise CommandError(f"--out: {shown_url(best)} needs no mapping file; use it as it is")
    if out.exists():
        raise CommandError(f"--out {out}: is already here; choose another name")
    mapping = read_with_values(*named)
    if mapping["format"] == "mcp":
        mapping["calls"] = mcp_calls(_tools(best, place)[1])
    write_text(out, dump_yaml(mapping))
    return out
