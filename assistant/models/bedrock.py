"""The quick way to Bedrock: our own HTTP for transport, `wire` for signing and event-stream decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from time import perf_counter
from typing import Any
from urllib.parse import quote

import orjson

from assistant.errors import ModelError
from assistant.models import converse
from assistant.models.http import Connection, HttpClient, HttpError
from assistant.models.protocol import Listener, ModelRequest, Reply
from assistant.models.reply import ReplyBuilder
from wire.eventstream import EventStreamDecoder, EventStreamError
from wire.sigv4 import Credentials, sign

SIMULATED_HEADER = "x-peakday-simulated"
_HEADERS = {"Content-Type": "application/json", "Accept": "application/vnd.amazon.eventstream"}


class BedrockClient:
    """ConverseStream over kept-alive connections.

    Args:
        url_of: endpoint URL of a region, without a trailing slash.
        credentials: called for every request, so that rotated ones are picked up.
    """

    def __init__(
        self,
        http: HttpClient,
        url_of: Callable[[str], str],
        credentials: Callable[[], Credentials],
        clock: Callable[[], float] = perf_counter,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._http = http
        self._url_of = url_of
        self._credentials = credentials
        self._clock = clock
        self._now = now

    async def converse(self, request: ModelRequest, listener: Listener) -> Reply:
        """Make one streamed call; see `ModelClient`."""
        builder = ReplyBuilder(self._clock)
        url, headers, body = self._signed(request)
        try:
            async with await self._http.post(url, headers, body) as response:
                if response.status != 200:
                    raise await _refusal(response)
                builder.opened = True
                await listener.opened(SIMULATED_HEADER in response.headers)
                await _read(response, builder, listener)
        except (TimeoutError, HttpError) as error:
            raise transport_error(error, builder) from None
        return builder.build()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    def _signed(self, request: ModelRequest) -> tuple[str, dict[str, str], bytes]:
        # Encoded here once: the path that is signed must be the path that is sent.
        model = quote(request.model.model_id, safe="")
        url = f"{self._url_of(request.region)}/model/{model}/converse-stream"
        body = converse.body(request)
        headers = {**_HEADERS, "traceparent": request.traceparent} if request.traceparent else _HEADERS
        where = {"region": request.region, "service": "bedrock"}
        return url, sign("POST", url, headers, body, key=self._credentials(), **where, now=self._now()), body


async def _read(response: Connection, builder: ReplyBuilder, listener: Listener) -> None:
    decoder = EventStreamDecoder()

    def texts(data: bytes) -> Iterator[str]:
        for message in decoder.feed(data):
            payload = _json(message.payload)
            if message.kind != "event":
                raise converse.error_of(message.name, _text_of(payload, message.headers), None, True)
            text = converse.apply_event(builder, message.name, payload)
            if text:
                yield text
            if message.name == "messageStop":
                response.end_said()
            elif message.name == "metadata" and builder.stop_reason is not None:
                response.finish()
                return

    try:
        await response.stream(texts, listener.text_now)
    except EventStreamError as error:
        raise ModelError(502, "bad_crc", f"the model's stream is damaged: {error}", True) from None
    if decoder.pending_bytes:
        raise ModelError(502, "cut_stream", "the model's stream ended inside an event", True)


def _json(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise ModelError(502, "bad_stream", f"the model's stream is damaged: {error}", True) from None


def _text_of(payload: Any, headers: Mapping[str, str]) -> str:
    message = payload.get("message") or payload.get("Message") if isinstance(payload, dict) else None
    return str(message or headers.get(":error-message", ""))


async def _refusal(response: Connection) -> ModelError:
    raw = await response.read()
    try:
        payload = orjson.loads(raw)
    except orjson.JSONDecodeError:
        payload = {}
    name = response.headers.get("x-amzn-errortype") or (payload.get("__type", "") if isinstance(payload, dict) else "")
    return converse.error_of(name, _text_of(payload, {}), response.status, False)


def transport_error(error: Exception, builder: ReplyBuilder) -> ModelError:
    """What became of a connection, for both clients that use our own HTTP.

    A late answer is no proof that a region is out of service; a connection that is never made, or that closes before a
    byte of an answer, is.
    """
    if isinstance(error, TimeoutError):
        return ModelError(504, "timeout", "the model did not answer in time", builder.opened)
    if not builder.opened:
        return ModelError(503, "connect_error", f"the model endpoint cannot be reached: {error}")
    return ModelError(502, "cut_stream", f"the model's stream was cut: {error}", True)
