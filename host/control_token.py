"""The token of a stack's control and test endpoints: who may read a file of this user's, and nobody else, sends it.

A stack publishes its token by port, in a folder that only its user can enter; what sends to such an endpoint finds it.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from host.ports import is_loopback_url

HEADER = "X-Peakday-Token"


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


def matches(token: str | None, sent: str | None) -> bool:
    """Whether a request may pass; without a token of the stack's own, any may."""
    return token is None or hmac.compare_digest(token.encode(), (sent or "").encode("utf-8", "replace"))


def token_file(port: int) -> Path:
    """Where the token of the stack at a port is."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "peakday" / "control" / str(port)


@contextlib.contextmanager
def published(token: str, ports: Sequence[int]) -> Iterator[None]:
    """Have this user's other commands find the token, for as long as the block runs.

    Raises:
        OSError: the folder cannot be written to.
    """
    files = [token_file(port) for port in ports]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.parent.chmod(0o700)
        file.unlink(missing_ok=True)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(token)
    try:
        yield
    finally:
        for file in files:
            with contextlib.suppress(OSError):
                if file.read_text() == token:  # a stack that took the port meanwhile keeps its own
                    file.unlink()


def page_address(url: str) -> str:
    """The address of a stack's chat page: the token is behind the #, which a browser keeps to itself."""
    token = control_headers(url).get(HEADER)
    return f"{url}/#{token}" if token else f"{url}/"


def control_headers(url: str) -> dict[str, str]:
    """The header for a control or test endpoint at this address; none where this user started nothing there."""
    if not is_loopback_url(url):
        return {}
    try:
        token = token_file(urlsplit(url).port or 80).read_text()
    except (OSError, ValueError):
        return {}
    return {HEADER: token} if token.isascii() and token.isprintable() else {}
