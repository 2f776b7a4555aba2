"""Converse as bytes: one call at a time, every event stamped as it arrives, nothing hidden by an SDK."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from host.errors import Exit
from host.json_values import mapping, whole
from peakday.errors import CommandError
from wire.eventstream import EventStreamDecoder, EventStreamError
from wire.sigv4 import Credentials, sign

TIMEOUT_S = 120.0
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


@dataclass(frozen=True)
class Event:
    """One event of a stream. at_s: from the moment the request was sent."""

    name: str
    payload: Mapping[str, object]
    at_s: float


@dataclass(frozen=True)
class Answer:
    """One answer. body: of a plain call or a refusal; events: of a stream."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, object]
    events: tuple[Event, ...] = ()

    @property
    def error(self) -> str:
        """Name of the exception that a refusal carries; blank for an answer."""
        return self.headers.get("x-amzn-errortype", "").split(":")[0] if self.status != 200 else ""

    @property
    def usage(self) -> Mapping[str, object]:
        """The usage object, wherever it stands."""
        for event in self.events:
            if event.name == "metadata":
                return mapping(event.payload.get("usage"))
        return mapping(self.body.get("usage"))

    def tokens(self, name: str) -> int:
        """One count of the usage; 0 where it is absent."""
        return whole(self.usage.get(name))


class Bedrock:
    """One endpoint and model. Every call opens its own connection before its clock starts."""

    def __init__(self, url: str, region: str, model_id: str, keys: Credentials) -> None:
        self._url, self._region, self._model, self._keys = url.rstrip("/"), region, model_id, keys
        self.simulated = False
        self.calls = 0

    def converse(self, body: Mapping[str, object], model_id: str | None = None) -> Answer:
        """A plain call."""
        with self._sent("converse", body, model_id) as (response, _):
            return Answer(response.status, _lowered(response), _json(response.read()))

    def stream(self, body: Mapping[str, object]) -> Answer:
        """A streamed call; what is damaged on the wire is an error of the environment."""
        with self._sent("converse-stream", body, None) as (response, sent_s):
            if response.status != 200:
                return Answer(response.status, _lowered(response), _json(response.read()))
            return Answer(200, _lowered(response), {}, tuple(self._events(response, sent_s)))

    def _events(self, response: http.client.HTTPResponse, sent_s: float) -> Iterator[Event]:
        decoder = EventStreamDecoder()
        try:
            while data := response.read1(65_536):
                at_s = time.perf_counter() - sent_s
                for message in decoder.feed(data):
                    yield Event(message.name, _json(message.payload), at_s)
        except (EventStreamError, OSError, http.client.HTTPException) as error:
            raise CommandError(f"{self._where}: the stream broke ({type(error).__name__})", Exit.ENVIRONMENT) from None

    @property
    def _where(self) -> str:
        return urlsplit(self._url).netloc

    @contextlib.contextmanager
    def _sent(
        self, operation: str, body: Mapping[str, object], model_id: str | None
    ) -> Iterator[tuple[http.client.HTTPResponse, float]]:
        """The opened response and when its request was sent, by perf_counter; closed with its connection."""
        path = f"/model/{quote(model_id or self._model, safe='')}/{operation}"
        data = json.dumps(body).encode()
        where = {"region": self._region, "service": "bedrock"}
        headers = sign("POST", self._url + path, _HEADERS, data, key=self._keys, **where, now=datetime.now(UTC))
        parts = urlsplit(self._url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.netloc, timeout=TIMEOUT_S)
        with contextlib.closing(connection):
            try:
                connection.connect()
                sent_s = time.perf_counter()
                connection.request("POST", path, data, headers)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise CommandError(f"{self._where}: no answer ({type(error).__name__})", Exit.ENVIRONMENT) from None
            self.calls += 1
            self.simulated |= response.headers.get("x-peakday-simulated") == "1"
            yield response, sent_s


def _lowered(response: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}


def _json(text: bytes) -> dict[str, object]:
    try:
        body = json.loads(text or b"{}")
    except json.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
