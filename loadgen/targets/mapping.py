"""A user's own assistant, described in YAML: how to ask it, and where in its answer things stand (docs/load.md)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import cast

import orjson

from host.environment import secret
from host.errors import refusal
from host.redaction import SECRET_NAME, shown_url
from host.tables import table_rows
from host.yaml_text import read_yaml
from loadgen.job import LoadError, TargetSpec
from loadgen.targets.mapping_form import Rule, TargetMapping, ToolCall

SCHEMA = "peakday.target/1"
FORMATS = ("sse", "ndjson", "named-lines", "responses", "json", "json-stream", "text", "mcp")
FRAMING = "aws-eventstream"
"""Each piece of the answer stands in a frame of its own, as SageMaker sends it."""
KEYS = set(TargetMapping.__annotations__)
PARTS = ("text", "end", "error", "usage", "conversation_id", "tools")
CALL_KEYS = set(ToolCall.__annotations__)
SESSIONS_MAX = 1_000
SOCKET_FORMATS = ("json", "text", "responses")
"""What the messages of a WebSocket may be."""
SOCKET_MAPPINGS = ("websocket", "realtime")
"""Named mappings that speak over a WebSocket."""
USAGE_KEYS = {
    "event", "input_tokens", "input_includes_cached", "cache_read_tokens", "cache_write_tokens_5m",
    "cache_write_tokens_1h", "output_tokens", "cost_usd", "model", "calls",
}  # fmt: skip
RULE_KEYS = {"event", "path"}
TEXT_KEYS = RULE_KEYS | {"encoding"}
BASE64 = "base64"
"""The encoding of a text that stands in its event as bytes do in JSON."""
PLAIN = "plain"
"""That of a text that is its event's data as it stands, and no JSON."""
END_KEYS = set(Rule.__annotations__) - {"encoding"}
FIELDS = (
    "message", "locale", "region", "session_id", "interaction_id", "turn_index", "product_id", "images",
    "conversation_id", "token", "model", "messages", "messages.ids", "messages.parts", "messages.contents",
)  # fmt: skip
"""Placeholders of every turn; `{customer.NAME}` are the columns of the customers file, and `{customer.id}`."""
_ENV = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_AWS_REGION = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com")
_FIELD = re.compile(r"\{([a-z_]+(?:\.[A-Za-z0-9_]+)?)\}")

# OpenAI Responses: https://platform.openai.com/docs/api-reference/responses-streaming
RESPONSES: TargetMapping = {
    "event_name": "type",
    "text": {"event": "response.output_text.delta", "path": "delta"},
    "end": {"event": ["response.completed", "response.incomplete"]},
    "error": [{"event": "error", "path": "code"}, {"event": "response.failed", "path": "response.error.code"}],
    "usage": {
        "event": ["response.completed", "response.incomplete"],
        "input_includes_cached": True,
        "input_tokens": "response.usage.input_tokens",
        "cache_read_tokens": "response.usage.input_tokens_details.cached_tokens",
        "output_tokens": "response.usage.output_tokens",
        "model": "response.model",
    },
    "conversation_id": {"event": "response.created", "path": "response.id"},
}


def load_mapping(path: Path, values: Mapping[str, str] | None = None) -> TargetMapping:
    """A checked mapping: paths of files made absolute, presets filled in, `${ENV}` still unread.

    `values` are known before a run and replace their `{NAME}` everywhere: the port a system was given, say.

    Raises:
        LoadError: unreadable, an unknown key, a missing one, or an environment variable that is not set.
    """
    raw = read_with_values(path, values or {})
    if raw.get("schema") != SCHEMA:
        raise LoadError(f"{path}: schema is not {SCHEMA}")
    whole = {**(RESPONSES if raw.get("format") == "responses" else {}), **raw}
    problems = [f"{path}: {problem}" for problem in (*_problems(raw), *_missing(whole), *_wrong_parts(whole))]
    mapping = cast(TargetMapping, whole)  # checked by now, or refused below
    if not problems:
        problems += [f"{path}: {problem}" for problem in _with_customers(mapping, path)]
    if problems:
        raise refusal(LoadError, problems)
    refuse_secrets(mapping.get("headers", {}), f"{path}: headers")
    expand_headers(mapping.get("headers", {}), path)
    return mapping


def is_socket(url: object) -> bool:
    """Whether a mapping's URL, or those of its regions, are a WebSocket's."""
    urls = list(url.values()) if isinstance(url, dict) else [url]
    return any(str(one).startswith(("ws://", "wss://")) for one in urls)


def is_one_body(mapping: Mapping[str, object]) -> bool:
    """Whether an answer is one value of JSON, read at its end; a frame or a message is an event by itself."""
    return mapping.get("format") == "json" and "framing" not in mapping and not is_socket(mapping.get("url"))


def _problems(raw: Mapping[str, object]) -> Iterator[str]:
    """What is wrong with the values of a mapping file."""
    known = ", ".join(sorted(KEYS))
    yield from (f"unknown key {key!r}; known: {known}" for key in sorted(set(raw) - KEYS))
    socket = is_socket(raw.get("url"))
    formats = SOCKET_FORMATS if socket else FORMATS
    if raw.get("format") not in formats:
        yield f"format is {raw.get('format')!r}, expected one of {', '.join(formats)}"
    if not isinstance(raw.get("headers", {}), dict):
        yield "headers: expected a mapping of names to values"
    if not isinstance(raw.get("customers", ""), str):
        yield "customers: expected the path of a CSV file"
    if raw.get("framing") not in (None, FRAMING):
        yield f"framing is {raw['framing']!r}, expected {FRAMING}, or none"
    if not isinstance(raw.get("resend", True), bool):
        yield "resend: expected true or false"
    if not isinstance(raw.get("open", []), list):
        yield "open: expected a list of the messages that a new WebSocket begins with"
    if raw.get("format") == "mcp":
        yield from _wrong_calls(raw)
    for key in ("method", "framing", "statuses", "sigv4", "resend") if socket else ("open",):
        if key in raw:
            yield f"{key}: has no meaning for a {'WebSocket' if socket else 'URL that is no WebSocket'}; remove it"


def _wrong_calls(raw: Mapping[str, object]) -> Iterator[str]:
    calls = raw.get("calls", [])
    for call in calls if isinstance(calls, list) else [None]:
        if not isinstance(call, dict) or not _is_call(call):
            yield "calls: expected a list such as [{tool: search, weight: 3, arguments: {query: '{message}'}}]"
            break
    sessions = raw.get("sessions", 1)
    if type(sessions) is not int or not 1 <= sessions <= SESSIONS_MAX:
        yield f"sessions: expected a whole number from 1 to {SESSIONS_MAX}"


def _is_call(call: Mapping[str, object]) -> bool:
    weight = call.get("weight", 1)
    weighs = isinstance(weight, int | float) and not isinstance(weight, bool) and 0 < weight < float("inf")
    named = isinstance(call.get("tool"), str) and isinstance(call.get("arguments", {}), dict)
    return weighs and named and set(call) <= CALL_KEYS


def _missing(mapping: Mapping[str, object]) -> Iterator[str]:
    wanted = {"mcp": ("url",), "text": ("url", "body")}.get(str(mapping.get("format")), ("url", "body", "text"))
    if mapping.get("method") == "GET":  # asks by its URL
        wanted = tuple(key for key in wanted if key != "body")
    yield from (f"{key}: missing" for key in wanted if key not in mapping)
    whole = mapping.get("format") in ("text", "mcp") or is_one_body(mapping)
    if not whole and "end" not in mapping:
        yield "end: missing; without it a cut stream looks like a whole answer"


def _with_customers(mapping: TargetMapping, path: Path) -> Iterator[str]:
    """The customers file by its whole path; and placeholders that nothing fills, which would be sent as they stand."""
    columns: Iterable[str] = ("id",)
    if "customers" in mapping:
        mapping["customers"] = str((path.parent / mapping["customers"]).resolve())
        columns = read_customers(mapping["customers"])[0]
    known = {*FIELDS, *(f"customer.{name}" for name in columns)}
    for key in ("url", "headers", "open", "body", "calls"):
        for name in sorted(set(_FIELD.findall(str(mapping.get(key, {}))))):
            if name not in known:
                yield f"{key}: {{{name}}} is no field of a turn; known: {', '.join(sorted(known))}"


def refuse_secrets(headers: Mapping[str, str], where: str) -> None:
    """Headers are recorded as they are written, so no secret may stand in them.

    Raises:
        LoadError: a header whose name tells of a secret, with its value in the open.
    """
    for name, text in headers.items():
        if SECRET_NAME.search(name) and not _ENV.search(str(text)) and not _FIELD.search(str(text)):
            raise LoadError(
                f"{where}.{name}: a value written here would be recorded; write ${{NAME}}, which load workers "
                "read from their environment"
            )


def _wrong_parts(mapping: Mapping[str, object]) -> Iterator[str]:
    for name in PARTS:
        known = {"usage": USAGE_KEYS, "end": END_KEYS, "text": TEXT_KEYS}.get(name, RULE_KEYS)
        part = mapping.get(name)
        for rule in [] if part is None else part if isinstance(part, list) else [part]:
            if not isinstance(rule, dict) or set(rule) - known:
                yield f"{name}: expected a mapping with keys among {', '.join(sorted(known))}"
            elif rule.get("encoding") not in (None, BASE64, PLAIN):
                yield f"{name}: encoding is {rule['encoding']!r}, expected {BASE64}, {PLAIN}, or none"
            elif rule.get("encoding") == PLAIN and ("path" in rule or mapping.get("format") != "sse"):
                yield f"{name}: encoding {PLAIN} is of whole events of the format sse, without a path"
    statuses = mapping.get("statuses", [])
    if not isinstance(statuses, list) or not all(type(status) is int and 200 <= status < 600 for status in statuses):
        yield "statuses: expected a list of HTTP statuses that carry an answer, such as [200, 201]"


def read_with_values(path: Path, values: Mapping[str, str]) -> dict[str, object]:
    """The keys and values of a mapping file, unchecked, with `{NAME}` of each value replaced in its texts."""
    return {key: with_values(part, values) for key, part in read_yaml(path, error=LoadError).items()}


def with_values(part: object, values: Mapping[str, str]) -> object:
    """The same tree of a mapping with `{NAME}` of each value replaced in its texts."""
    if isinstance(part, dict):
        return {key: with_values(value, values) for key, value in part.items()}
    if isinstance(part, list):
        return [with_values(value, values) for value in part]
    return text_with_values(part, values) if isinstance(part, str) else part


def text_with_values(text: str, values: Mapping[str, str]) -> str:
    """A text with `{NAME}` of each value replaced."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


NAMED = files("loadgen.targets") / "mappings"
"""Mappings of protocols that many assistants speak, one YAML file each."""


def named_mappings() -> list[str]:
    """Names of the mappings that come with peakday."""
    return sorted(entry.name.removesuffix(".yaml") for entry in NAMED.iterdir() if entry.name.endswith(".yaml"))


def named_target(text: str) -> tuple[Path, dict[str, str]] | None:
    """`NAME:URL` -> the named mapping's file and its `{url}`; None for anything else, such as a file's path.

    Raises:
        LoadError: a URL behind a name that is none of ours.
    """
    name, colon, url = text.partition(":")
    if not colon or not url.startswith(("http://", "https://", "ws://", "wss://")):
        return None
    if name not in named_mappings():
        known = ", ".join(named_mappings())
        raise LoadError(f"http={shown_url(text)}: no mapping is called {name!r}; named ones: {known}")
    region = _AWS_REGION.search(url)
    return Path(str(NAMED / f"{name}.yaml")), {"url": url, "aws_region": region[1] if region else "us-east-1"}


def target_specs(path: Path, values: Mapping[str, str] | None = None) -> tuple[TargetSpec, ...]:
    """The targets of a mapping file: one per region of `url`, or one for all."""
    mapping = load_mapping(path, values)
    urls = mapping["url"] if isinstance(mapping["url"], dict) else {None: mapping["url"]}
    return tuple(TargetSpec("http", str(url), region=region, mapping=mapping) for region, url in urls.items())


def expand_headers(headers: Mapping[str, str], where: object = "headers") -> dict[str, str]:
    """Headers with `${ENV}` replaced; only a worker that sends them calls this for good.

    Raises:
        LoadError: a variable that is not set.
    """

    def value(match: re.Match[str]) -> str:
        known = secret(match[1])
        if known is None:
            raise LoadError(f"{where}: environment variable {match[1]} is not set, and no file of $PEAKDAY_SECRETS")
        return known

    return {name: _ENV.sub(value, str(text)) for name, text in headers.items()}


def read_customers(path: str) -> list[dict[str, str]]:
    """The customers file: a CSV whose columns are fields `{customer.NAME}`; its first row is the most frequent one."""
    rows = [row for _, row in table_rows(Path(path), error=LoadError)]
    if not rows:
        raise LoadError(f"{path}: customers file holds no row")
    return rows


def fill(template: object, fields: Mapping[str, object]) -> object:
    """A template with its fields. A value that is one field alone takes the field's type; None drops its key.

    Within a list, a field that is a list itself stands there item by item: a system message before `{messages}`, say.
    """
    if isinstance(template, dict):
        filled = {key: fill(value, fields) for key, value in template.items()}
        return {key: value for key, value in filled.items() if value is not None}
    if isinstance(template, list):
        filled_items = [(item, fill(item, fields)) for item in template]
        return [
            entry
            for item, value in filled_items
            for entry in (value if isinstance(item, str) and isinstance(value, list) else [value])
        ]
    if not isinstance(template, str):
        return template
    alone = _FIELD.fullmatch(template)
    if alone:
        return fields.get(alone[1], template)
    return _FIELD.sub(lambda match: _shown(fields.get(match[1], match[0])), template)


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def at(value: object, path: str | None) -> object:
    """What stands at a dotted path, list positions as numbers; None when it is not there. No path: the value itself.

    A path may lead into a text that holds JSON itself, as what a Lambda function answers does.
    """
    for key in _keys(path):
        if isinstance(value, str) and value[:1] in ("{", "["):
            with contextlib.suppress(orjson.JSONDecodeError):
                value = orjson.loads(value)
        if isinstance(value, list) and key.lstrip("-").isdigit() and -len(value) <= int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict):
            value = value.get(key)
        else:
            return None
    return value


def _keys(path: str | None) -> Iterator[str]:
    return iter(path.split(".")) if path else iter(())
