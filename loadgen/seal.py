"""The seal on every message between master and workers: nothing that lacks it is read, on either side.

Both sides hold the run's secret. A message's seal covers its way, the worker's name, a number that only grows, and its
bytes: what was changed, sent to another, sent again, or made by somebody without the secret, does not open.
It hides nothing: `docs/scale-out.md` says what does.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from itertools import count

from host.environment import secret
from loadgen.job import LoadError

VARIABLE = "PEAKDAY_RUN_SECRET"
LENGTH_MIN = 16
TO_MASTER, TO_WORKER = b"m", b"w"
_TAG = 32
_NUMBER = 8


class Seal:
    """Seals what this process sends and opens what it receives."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"peakday master and workers\0" + secret.encode()).digest()
        self._numbers = count(time.time_ns())
        self._last: dict[tuple[bytes, str], int] = {}
        self.strangers = 0  # messages that did not open

    def closed(self, way: bytes, worker: str, payload: bytes) -> bytes:
        """A message under its seal."""
        numbered = next(self._numbers).to_bytes(_NUMBER, "big") + payload
        return self._tag(way, worker, numbered) + numbered

    def opened(self, way: bytes, worker: str, message: bytes) -> bytes | None:
        """What was sealed; None for what a stranger sent, which is counted."""
        tag, numbered = message[:_TAG], message[_TAG:]
        number = int.from_bytes(numbered[:_NUMBER], "big")
        if len(numbered) < _NUMBER or not hmac.compare_digest(tag, self._tag(way, worker, numbered)):
            self.refuse()
            return None
        if number <= self._last.get((way, worker), -1):  # heard before
            self.refuse()
            return None
        self._last[way, worker] = number
        return numbered[_NUMBER:]

    def refuse(self) -> None:
        """Count a message that is no message of ours."""
        self.strangers += 1

    def _tag(self, way: bytes, worker: str, numbered: bytes) -> bytes:
        name = worker.encode()
        return hmac.digest(self._key, way + len(name).to_bytes(4, "big") + name + numbered, "sha256")


def shared_secret() -> str:
    """The secret that master and workers of several machines were given, in a variable or a file of $PEAKDAY_SECRETS.

    Raises:
        LoadError: there is none, or it can be guessed.
    """
    text = secret(VARIABLE) or ""
    if len(text) < LENGTH_MIN:
        raise LoadError(
            f"{VARIABLE}: {'too short' if text else 'not set'}; give master and workers the same one, made for this "
            f"run: export {VARIABLE}=$(openssl rand -hex 32)"
        )
    return text
