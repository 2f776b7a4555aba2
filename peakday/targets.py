"""Where load may go: loopback, and what peakday.yaml lists as owned. Checked before any packet leaves."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from host.errors import Exit
from host.ports import is_loopback_url
from loadgen.targets.mapping import target_specs
from peakday.config import FILE, Config
from peakday.errors import CommandError

KINDS = ("assistant", "openai", "bedrock", "http", "module")
ANSWER_WITHIN_S = 3.0


@dataclass(frozen=True)
class Target:
    """One place that load goes to. `spec` is what the load engine needs beyond kind and URL."""

    kind: str
    url: str
    spec: Mapping[str, Any] = field(default_factory=dict)


def parse_targets(texts: Sequence[str]) -> list[Target]:
    """Every target of a command line.

    `KIND=URL` for assistant, openai and bedrock; `http=MAPPING.yaml`, one target for each region of its url;
    `module=FILE.py:Class@URL`.

    Raises:
        CommandError: a target that cannot be read, with the form that is expected.
    """
    return [target for text in texts for target in _parse(text)]


def _parse(text: str) -> list[Target]:
    kind, equals, rest = text.partition("=")
    if not equals or kind not in KINDS:
        raise CommandError(f"--target {text!r}: expected KIND=URL with KIND one of {', '.join(KINDS)}")
    if kind == "http":
        specs = target_specs(Path(rest))
        return [Target("http", _checked(spec.url), {"region": spec.region, "mapping": spec.mapping}) for spec in specs]
    if kind == "module":
        module, at, url = rest.rpartition("@")
        if not at or ":" not in module:
            raise CommandError(f"--target {text!r}: expected module=FILE.py:Class@URL")
        file, _, name = module.rpartition(":")
        if not Path(file).is_file():
            raise CommandError(f"--target {text!r}: {file}: no such file")
        return [Target("module", _checked(url), {"module": f"{Path(file).resolve()}:{name}"})]
    return [Target(kind, _checked(rest))]


def _checked(url: str) -> str:
    """A URL that names a scheme and a host and holds no credentials."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.username or parts.password:
        raise CommandError("--target: credentials do not belong into a URL; use a header with ${ENV} in a mapping")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
        raise CommandError(f"--target {url!r}: expected a URL such as http://127.0.0.1:8080")
    return url.rstrip("/")


def check_allowed(target: Target, config: Config, option: str = "--target") -> None:
    """Refuse a target that is neither loopback nor declared as owned; `option` is how it was named.

    Raises:
        CommandError: exit code 2; nothing has been sent.
    """
    if is_loopback_url(target.url) or origin(target.url) in {origin(owned) for owned in config.owned_targets}:
        return
    raise CommandError(
        f"{option} {target.url}: not loopback and not declared as yours; "
        f"add {origin(target.url)} to owned_targets in {FILE} if you may load it"
    )


def check_answers(target: Target) -> None:
    """A target that takes no connection is an environment error, said before a run begins."""
    parts = urlsplit(target.url)
    assert parts.hostname
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), timeout=ANSWER_WITHIN_S).close()
    except OSError as error:
        why = f"no answer in {ANSWER_WITHIN_S:g} s" if isinstance(error, TimeoutError) else str(error.strerror or error)
        message = (
            f"--target {target.kind}={target.url}: does not answer ({why.lower()}); start it, or leave --target out"
        )
        raise CommandError(message, Exit.ENVIRONMENT) from None


def origin(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"
