"""What the driver needs of a target, and the HTTP request that most of them send."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple, Protocol

from loadgen.job import LoadJob, TargetSpec
from loadgen.schedule.session import SessionState
from loadgen.transport.answer import Answer
from loadgen.transport.connection import Endpoint
from wire.spans import root_span_id


class Fetched(NamedTuple):
    """What came back of a request outside the measured ones; header names in small letters."""

    status: int
    body: bytes
    headers: Mapping[bytes, bytes]


WAIT_S = 15.0


class Fetch(Protocol):
    """Send one request on the target's own connections and wait for its answer; in a greenlet, never a callback."""

    def __call__(self, request: bytes, /, wait_s: float = WAIT_S) -> Fetched:
        """Raises `Refused` when there is no answer."""


@dataclass
class Shared:
    """What all targets of a worker share."""

    job: LoadJob
    messages: Mapping[str, Mapping[str, Any]]
    random: Random  # trace ids only
    gaps_ns: array[int] = field(default_factory=lambda: array("q"))


class Target(Protocol):
    """One place that answers turns."""

    spec: TargetSpec
    where: Endpoint

    def prepare(self, states: list[SessionState], fetch: Fetch) -> None:
        """Get ready what the first request of each state needs, ahead of its start. May block its greenlet."""

    def turn(self, state: SessionState) -> tuple[bytes, Answer]:
        """The request for the state's present turn, and the reader of its answer."""

    def learn(self, state: SessionState, answer: Answer) -> None:
        """Remember of an answer what the next turn needs."""


def picture_data(url: str) -> dict[str, str]:
    """Format and data of a picture as AWS names them, from its data URL (`scenarios.questions` makes them)."""
    kind, _, data = url.removeprefix("data:image/").partition(";base64,")
    return {"format": kind, "data": data}


class Refused(Exception):
    """A target that will not prepare states; its text becomes their turns' error code."""


class BatchRefused(Refused):
    """States that were refused as one: some of them may be prepared by themselves."""


COMMON_HEADERS = {"User-Agent": "peakday", "Accept": "*/*"}
"""What web application firewalls and strict servers miss in a request without; a target's own headers take their place.
"""


class RequestTemplate:
    """A POST of JSON whose first lines never change: the part of a request that is built once.

    Each request carries W3C trace context, and asks for no compression: a compressed stream hides its times.
    """

    def __init__(
        self, where: Endpoint, path: str, random: Random, headers: Mapping[str, str] | None = None, query: str = ""
    ) -> None:
        self._random = random
        path = f"{where.path}{path}" + (f"?{query}" if query else "")
        lines = [f"POST {path} HTTP/1.1", f"Host: {where.host_header}", "Content-Type: application/json"]
        typed = {name.lower() for name in headers or {}}
        usual = {name: value for name, value in COMMON_HEADERS.items() if name.lower() not in typed}
        lines += [f"{name}: {value}" for name, value in (usual | dict(headers or {})).items()]
        self._head = "\r\n".join([*lines, "Accept-Encoding: identity", ""]).encode()

    def fill(self, body: bytes, more: bytes = b"") -> tuple[bytes, str]:
        """The request and its trace id; `more` is whole header lines."""
        trace_id = f"{self._random.getrandbits(128):032x}"
        span_id = root_span_id(trace_id)
        lines = f"traceparent: 00-{trace_id}-{span_id}-01\r\nContent-Length: {len(body)}\r\n\r\n"
        return b"".join((self._head, more, lines.encode(), body)), trace_id


def post(where: Endpoint, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """An HTTP/1.1 POST of JSON."""
    lines = [f"POST {where.path}{path} HTTP/1.1", f"Host: {where.host_header}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def trace_headers(trace_id: str, span_id: str) -> dict[str, str]:
    """W3C trace context, and no compression: a compressed stream hides its times."""
    return {"Accept-Encoding": "identity", "traceparent": f"00-{trace_id}-{span_id}-01"}


def new_trace(random: Random) -> tuple[str, str]:
    """A trace id and a span id, which follows from it: so the record of a turn needs the one alone."""
    trace_id = random.randbytes(16).hex()
    return trace_id, root_span_id(trace_id)
