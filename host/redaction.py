"""What may be shown and kept of texts that can hold a secret: addresses, command lines, and what requests are made of.

Whoever writes a record, a page or a message about an address or a request takes it from here.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

HIDDEN = "***"
SECRET_NAME = re.compile(r"authorization|cookie|key|token|secret|password", re.IGNORECASE)
PRIVATE_UMASK = 0o077
_USERINFO = re.compile(r"(?<=//)[^/?#\s@]*(?:@[^/?#\s@]*)*@")
_QUERY = re.compile(r"[?#]\S*")
_FIELD = re.compile(r"(\$\{[A-Za-z_][A-Za-z0-9_]*\}|\{[A-Za-z_]+(?:\.[A-Za-z0-9_]+)?\})")
_SCHEMES = ("bearer", "basic", "token", "apikey", "")
"""Words before a credential that are none (RFC 7235, auth-scheme)."""


def keep_private() -> None:
    """What this process and its children write is its user's alone: files 0600, folders 0700."""
    os.umask(PRIVATE_UMASK)


def shown_url(text: object) -> str:
    """A URL, or a text that was meant to be one, without credentials, query and fragment."""
    return _QUERY.sub("", _USERINFO.sub("", str(text)))


def shown_urls(urls: Sequence[str]) -> dict[str, str]:
    """URL -> how it is shown; those that differ only in what is hidden get a number each."""
    shown: dict[str, str] = {}
    for url in dict.fromkeys(urls):
        name, number = shown_url(url), 1
        while name in shown.values():
            number += 1
            name = f"{shown_url(url)}#{number}"
        shown[url] = name
    return shown


def shown_text(text: object) -> str:
    """A template as it is kept: its `${NAME}` and `{field}`, and nothing that stands there literally."""
    parts = _FIELD.split(str(text))
    return "".join(part if number % 2 else _literal(part) for number, part in enumerate(parts))


def _literal(text: str) -> str:
    return text if text.strip().lower() in _SCHEMES else HIDDEN


def shown_headers(headers: Mapping[str, object]) -> dict[str, str]:
    """Headers by name; their values as `shown_text`."""
    return {name: shown_text(value) for name, value in headers.items()}


def shown_body(part: object) -> Any:
    """A request's template as it is kept: keys, numbers, switches and fields."""
    if isinstance(part, Mapping):
        return {key: shown_body(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [shown_body(value) for value in part]
    return shown_text(part) if isinstance(part, str) else part


def shown_command(words: Iterable[str]) -> tuple[str, ...]:
    """A command line as records keep it, quoted for a shell: values of `--header` and `--extra-body` as templates."""
    shown, before = [], ""
    for word in words:
        option, equals, value = word.partition("=")
        if option in _HIDING:
            word = option + (equals + _HIDING[option](value) if equals else "")
        elif before in _HIDING:
            word = _HIDING[before](word)
        elif "://" in word:
            word = shown_url(word)
        shown.append(shlex.quote(word))
        before = word
    return tuple(shown)


def _header(text: str) -> str:
    name, colon, value = text.partition(":")
    return f"{name}{colon} {shown_text(value.strip())}" if colon else HIDDEN


def _json(text: str) -> str:
    if text.startswith("@"):
        return text
    try:
        return json.dumps(shown_body(json.loads(text)))
    except ValueError:
        return HIDDEN


_HIDING = {"--header": _header, "--extra-body": _json}
