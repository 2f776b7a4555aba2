"""What the requests of an `openai` target hold besides the conversation: key, headers, system prompt, further fields.

A job and its record keep `${NAME}` where a header takes a secret; each load worker reads its own environment.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from host.files import FileError, read_text
from loadgen.job import LoadError, RequestOptions
from loadgen.targets.mapping import expand_headers, refuse_secrets
from loadgen.targets.mapping_form import TargetMapping

KEY_VARIABLE = "OPENAI_API_KEY"
_OURS = ("model", "messages", "prompt", "stream", "stream_options", "max_tokens")
"""Fields of a body that a run fills itself."""
_DROPPED = ("stream_options", "max_tokens")
"""Those that some servers refuse: `--extra-body '{"max_tokens": null}'` leaves one out."""
CHAT = "openai"
"""The format of the answers: no mapping file's."""


@dataclass(frozen=True)
class OpenAiOptions:
    """`chat`: chat completions, else plain ones of the whole conversation. `max_tokens` None: the scenario's."""

    headers: Mapping[str, str] = field(default_factory=dict)
    system: str | None = None
    extra_body: Mapping[str, object] = field(default_factory=dict)
    max_tokens: int | None = None
    chat: bool = True

    def tokens_max(self, otherwise: int | None) -> int | None:
        """The longest answer of a question without a limit of its own; `otherwise` is the scenario's."""
        if "max_tokens" in self.extra_body:  # left out of the request, and another in its place perhaps
            other = self.extra_body.get("max_completion_tokens")
            return other if isinstance(other, int) else None
        return self.max_tokens or otherwise

    def fields(self, model: str | None, asked: Mapping[str, object], max_tokens: int | None) -> dict[str, object]:
        """The whole body of a request; `extra_body` may take a field of ours away by null."""
        whole = {
            "model": model,
            **asked,
            "max_tokens": max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self.extra_body,
        }
        return {name: value for name, value in whole.items() if value is not None or name not in _DROPPED}

    def as_json(self) -> RequestOptions:
        """As a job file holds it."""
        return {
            "headers": self.headers,
            "system": self.system,
            "extra_body": self.extra_body,
            "max_tokens": self.max_tokens,
            "chat": self.chat,
        }


def openai_options(
    *,
    api_key_env: str | None = None,
    headers: Sequence[str] = (),
    system: str | None = None,
    extra_body: str | None = None,
    max_tokens: int | None = None,
    chat: bool = True,
) -> OpenAiOptions:
    """Options as they are typed.

    Args:
        api_key_env: variable that holds the key; without one OPENAI_API_KEY is sent where it is set.
        headers: `Name: value` each; `${NAME}` is read from the environment of whoever sends it.
        system, extra_body: the text itself, or @FILE; extra_body is a JSON object.

    Raises:
        LoadError: what cannot be read, a variable that is not set, or a secret in the open; one line.
    """
    typed = dict(_header(text) for text in headers)
    if api_key_env is not None or (os.environ.get(KEY_VARIABLE) and not {"authorization", "api-key"} & _lower(typed)):
        typed = {"Authorization": f"Bearer ${{{api_key_env or KEY_VARIABLE}}}", **typed}
    refuse_secrets(typed, "--header")
    for name, value in expand_headers(typed, "--api-key-env" if api_key_env else "--header").items():
        if not value.isprintable():
            raise LoadError(f"--header {name}: its value is not one line of text")
    return OpenAiOptions(typed, _text(system, "--system"), _object(extra_body), max_tokens, chat)


def _lower(headers: Mapping[str, str]) -> set[str]:
    return {name.lower() for name in headers}


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not all(c.isalnum() or c in "-_" for c in name.strip()):
        raise LoadError(f"--header {text.partition(':')[0]!r}: expected 'Name: value', such as 'X-Team: search'")
    return name.strip(), value.strip()


def _text(value: str | None, option: str) -> str | None:
    if value is None or not value.startswith("@"):
        return value
    try:
        return read_text(Path(value[1:]))
    except FileError as error:
        raise LoadError(f"{option} {value}: cannot be read ({error})") from None


def _object(value: str | None) -> dict[str, object]:
    text = _text(value, "--extra-body")
    if text is None:
        return {}
    try:
        body = json.loads(text)
    except ValueError as error:
        raise LoadError(f"--extra-body: not JSON ({error})") from None
    if not isinstance(body, dict):
        raise LoadError("--extra-body: expected a JSON object, such as '{\"temperature\": 0}'")
    if taken := [name for name in _OURS if name in body and not (name in _DROPPED and body[name] is None)]:
        raise LoadError(
            f"--extra-body: {taken[0]!r} is filled by the run; use --model, --max-tokens or the scenario, or null to "
            f"leave out {' or '.join(_DROPPED)}"
        )
    return body


def as_mapping(url: str, model: str | None, options: OpenAiOptions) -> TargetMapping:
    """What an `openai` target is asked, as a mapping: for showing one question piece by piece."""
    parts = urlsplit(url)
    path = "/chat/completions" if options.chat else "/completions"
    opening = [] if options.system is None else [{"role": "system", "content": options.system}]
    asked: dict[str, object] = {"messages": [*opening, "{messages}"]} if options.chat else {"prompt": "{message}"}
    return {
        "url": parts._replace(path=parts.path.rstrip("/") + path).geturl(),
        "format": CHAT,
        "headers": dict(options.headers),
        "body": options.fields(model, asked, options.max_tokens or 256),
    }
