"""Where load may go: loopback, and what peakday.yaml lists as owned. Checked before any packet leaves."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from peakday.config import FILE, Config
from peakday.errors import CommandError, Exit

KINDS = ("assistant", "openai", "bedrock", "http")
ANSWER_WITHIN_S = 3.0


@dataclass(frozen=True)
class Target:
    """One place that load goes to."""

    kind: str
    url: str


def parse_target(text: str) -> Target:
    """`assistant=http://127.0.0.1:8080` -> Target."""
    kind, equals, url = text.partition("=")
    parts = urlsplit(url)
    if not equals or kind not in KINDS:
        raise CommandError(f"--target {text!r}: expected KIND=URL with KIND one of {', '.join(KINDS)}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
        raise CommandError(f"--target {text!r}: expected a URL such as http://127.0.0.1:8080")
    if parts.username or parts.password:
        raise CommandError("--target: credentials do not belong into a URL; use a header with ${ENV} in the mapping")
    return Target(kind, url.rstrip("/"))


def check_allowed(target: Target, config: Config) -> None:
    """Refuse a target that is neither loopback nor declared as owned.

    Raises:
        CommandError: exit code 2; nothing has been sent.
    """
    if is_loopback(target.url) or origin(target.url) in {origin(owned) for owned in config.owned_targets}:
        return
    raise CommandError(
        f"--target {target.url}: not loopback and not declared as yours; "
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


def is_loopback(url: str) -> bool:
    """Whether the host is this machine by its very name or number; no name is looked up."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def origin(url: str) -> str:
    """Scheme, host and port."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"
