"""The one way to read a page of HTTP: to an address that was admitted, without redirect, proxy or look-up, and bounded.

A host that can only be this machine needs no admission. Any other is connected to at the addresses the guard resolved,
and at no other: a name that is looked up twice may mean two machines.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from host.errors import Exit, PeakdayError
from host.ports import is_loopback

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BYTES_MAX = 16 * 2**20
_READ_BYTES = 65_536


PAUSE_S, PAUSE_S_MAX = 0.5, 10.0
"""Before a request is sent again: doubled from try to try, or what the server asks for, up to the second."""
_LATER = (429, 502, 503, 504)


class FetchError(PeakdayError, OSError):
    """No page: refused, silent, too long, too late, or another status than 2xx.

    status: what was answered; None without an answer. wait_s: how long the server asks to wait (Retry-After).
    """

    exit_code = Exit.ENVIRONMENT

    def __init__(self, message: str, status: int | None = None, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.status, self.wait_s = status, wait_s

    def pause_s(self, tries: int) -> float | None:
        """How long to wait before the same request again; None where it would be answered alike."""
        if self.status not in (None, *_LATER):
            return None
        return min(PAUSE_S * 2**tries if self.wait_s is None else self.wait_s, PAUSE_S_MAX)


def own_addresses(host: str | None) -> tuple[str, ...]:
    """Addresses of a host that can only be this machine, IPv4 first; none for any other. Nothing is looked up."""
    if not is_loopback(host):
        return ()
    name = (host or "").strip("[]").rstrip(".").lower()
    return ("127.0.0.1", "::1") if name == "localhost" else (name,)


def connect(addresses: Sequence[str], port: int, within_s: float) -> socket.socket:
    """A connection to the first address that takes one, tried in order; `within_s` is for all of them.

    Raises:
        OSError: none does; of the last one tried.
    """
    refusal: OSError = ConnectionRefusedError("no address was admitted")
    deadline_s = time.monotonic() + within_s
    for address in addresses:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        try:
            plain = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        except OSError as error:  # a system without IPv6
            refusal = error
            continue
        plain.settimeout(left_s)
        try:
            plain.connect((address, port))
            return plain
        except OSError as error:
            plain.close()
            refusal = error
    raise refusal


def fetch(
    url: str,
    data: bytes | None = None,
    *,
    within_s: float,
    addresses: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    bytes_max: int = BYTES_MAX,
) -> bytes:
    """The body of a 2xx answer.

    Args:
        data: a POST of JSON; None: a GET.
        within_s: for all of it: connecting, sending and the last byte of the answer.
        addresses: what the guard resolved the host to; none for a host that can only be this machine.

    Raises:
        FetchError: one line without the URL's query.
    """
    parts = urlsplit(url)
    name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if parts.scheme not in ("http", "https"):
        raise FetchError(f"{name}: only http and https are read")
    known = tuple(addresses) or own_addresses(parts.hostname)
    if not known:
        raise FetchError(f"{name}: not loopback and not admitted, so it is not contacted")
    deadline_s = time.monotonic() + within_s
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        link = connect(known, port, within_s)
        with link:
            if parts.scheme == "https":
                link.settimeout(max(deadline_s - time.monotonic(), 0.001))
                link = ssl.create_default_context().wrap_socket(link, server_hostname=parts.hostname)
            with link:
                return _answer(link, parts.netloc.rpartition("@")[2], url, data, headers or {}, deadline_s, bytes_max)
    except FetchError as error:
        raise FetchError(f"{name}: {error}", error.status, error.wait_s) from None
    except TimeoutError:
        raise FetchError(f"{name}: no answer within {within_s:g} s") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise FetchError(f"{name}: {why.lower()}") from None


def _answer(
    link: socket.socket,
    host: str,
    url: str,
    data: bytes | None,
    headers: Mapping[str, str],
    deadline_s: float,
    bytes_max: int,
) -> bytes:
    connection = http.client.HTTPConnection(host)
    connection.sock = _Timed(link, deadline_s)
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    kind = {"Content-Type": "application/json"} if data is not None else {}
    all_headers = {"Accept-Encoding": "identity", "Connection": "close", **kind, **headers}
    connection.request("GET" if data is None else "POST", path, data, all_headers)
    answer = connection.getresponse()
    if not 200 <= answer.status < 300:
        moved = "; redirects are not followed" if 300 <= answer.status < 400 else ""
        raise FetchError(f"status {answer.status}{moved}", answer.status, _wait_s(answer.getheader("Retry-After")))
    body = bytearray()
    while piece := answer.read1(_READ_BYTES):
        body += piece
        if len(body) > bytes_max:
            raise FetchError(f"more than {bytes_max:,} bytes")
        if time.monotonic() > deadline_s:
            raise TimeoutError
    if answer.length:
        raise FetchError("the page was cut short")
    return bytes(body)


def _wait_s(text: str | None) -> float | None:
    """The seconds of a Retry-After; none of one that names a date."""
    return float(text) if text is not None and re.fullmatch(r"[0-9]{1,6}", text.strip()) else None


class _Timed:
    """A connection as http.client uses one; each read gets what is left of the time, so a page that drips ends too."""

    def __init__(self, link: socket.socket, deadline_s: float) -> None:
        self._link, self._deadline_s = link, deadline_s

    def sendall(self, data: bytes) -> None:
        """Send, within what is left of the time."""
        self._tick()
        self._link.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client reads the answer from."""
        return io.BufferedReader(_Reader(self._link, self._tick))

    def close(self) -> None:
        """The caller closes the link."""

    def _tick(self) -> None:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._link.settimeout(left_s)


class _Reader(io.RawIOBase):
    def __init__(self, link: socket.socket, tick: Callable[[], None]) -> None:
        self._link, self._tick = link, tick

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._tick()
        return self._link.recv_into(buffer)
