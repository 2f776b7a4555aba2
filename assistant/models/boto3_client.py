"""The reference way to Bedrock: boto3 itself, one thread a call. Slower, and right by definition.

The shared suite (tests/assistant/test_clients.py) holds the quick client to the same results. A scenario chooses it
with `assistant.client: boto3`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import boto3
import botocore.exceptions
import orjson
import urllib3.exceptions
from botocore.config import Config
from botocore.eventstream import ParserError

from assistant.errors import ModelError
from assistant.models import converse
from assistant.models.bedrock import SIMULATED_HEADER
from assistant.models.protocol import Block, Listener, Message, ModelRequest, Reply
from assistant.models.reply import ReplyBuilder
from wire.sigv4 import Credentials

_TRANSPORT_ERRORS = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    urllib3.exceptions.HTTPError,
)
_STREAMS_MAX = 256
"""Streams at once: a thread and a pooled connection each."""


class _NobodyListensError(Exception):
    """The turn is over, and what the stream still says is for nobody."""


class Boto3Client:
    """ConverseStream through boto3. It retries by itself, in the mode and up to the total attempts that are set.

    Args:
        credentials: what to sign with; None leaves it to boto3's own chain, which refreshes what expires.
    """

    def __init__(
        self,
        url_of: Callable[[str], str],
        credentials: Callable[[], Credentials] | None,
        clock: Callable[[], float] = perf_counter,
        *,
        retry_mode: str = "standard",
        total_attempts: int = 1,
        read_timeout_s: float = 60.0,
    ) -> None:
        self._url_of = url_of
        self._credentials = credentials
        self._clock = clock
        self._total_attempts = total_attempts
        self._config = Config(
            retries={"mode": retry_mode, "total_max_attempts": total_attempts},
            read_timeout=read_timeout_s,
            connect_timeout=5,
            max_pool_connections=_STREAMS_MAX,
        )
        self._clients: dict[str, Any] = {}
        # asyncio's own pool has a few threads more than cores: streams would wait for each other.
        self._threads = ThreadPoolExecutor(_STREAMS_MAX, "boto3")

    async def converse(self, request: ModelRequest, listener: Listener) -> Reply:
        """Make one streamed call; see `ModelClient`."""
        builder = ReplyBuilder(self._clock)
        loop = asyncio.get_running_loop()
        over = threading.Event()

        def hear(coroutine: Any) -> None:
            if over.is_set():
                coroutine.close()
                raise _NobodyListensError
            asyncio.run_coroutine_threadsafe(coroutine, loop).result()

        try:
            await loop.run_in_executor(self._threads, self._stream, request, builder, listener, hear)
        finally:
            over.set()  # a thread cannot be cancelled: it ends at its next event
        return builder.build()

    async def close(self) -> None:
        """Close the connections; a thread still in a call is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in self._clients.values():
            client.close()

    def _stream(
        self, request: ModelRequest, builder: ReplyBuilder, listener: Listener, hear: Callable[[object], None]
    ) -> None:
        try:
            answer = self._client(request.region).converse_stream(**_arguments(request))
            metadata = answer["ResponseMetadata"]
            builder.attempts = 1 + metadata.get("RetryAttempts", 0)
            builder.opened = True
            hear(listener.opened(SIMULATED_HEADER in metadata["HTTPHeaders"]))
            with contextlib.closing(answer["stream"]) as stream:
                for event in stream:
                    for name, payload in event.items():
                        if text := converse.apply_event(builder, name, payload):
                            hear(listener.text(text))
        except botocore.exceptions.EventStreamError as error:
            raise _service_error(error, streaming=True) from None
        except botocore.exceptions.ClientError as error:
            raise _service_error(error, streaming=False) from None
        except ParserError as error:
            raise ModelError(502, "bad_crc", f"the model's stream is damaged: {error}", True) from None
        except _TRANSPORT_ERRORS as error:
            raise self._transport_error(error, builder) from None

    def _transport_error(self, error: Exception, builder: ReplyBuilder) -> ModelError:
        if isinstance(error, botocore.exceptions.ReadTimeoutError | urllib3.exceptions.ReadTimeoutError):
            ours = ModelError(504, "timeout", "the model did not answer in time", builder.opened)
        elif not builder.opened:
            ours = ModelError(503, "connect_error", f"the model endpoint cannot be reached: {error}")
        else:
            return ModelError(502, "cut_stream", f"the model's stream was cut: {error}", True)
        ours.attempts = 1 if builder.opened else self._total_attempts
        return ours

    def _client(self, region: str) -> Any:
        if region not in self._clients:
            key = self._credentials() if self._credentials else None
            self._clients[region] = boto3.client(
                "bedrock-runtime",
                region_name=region,
                endpoint_url=self._url_of(region),
                aws_access_key_id=key.access_key if key else None,
                aws_secret_access_key=key.secret_key if key else None,
                aws_session_token=key.token if key else None,
                config=self._config,
            )
        return self._clients[region]


def _arguments(request: ModelRequest) -> dict[str, object]:
    fields = converse.request_fields(request)
    fields["messages"] = [_decoded(message) for message in fields["messages"]]
    if request.tools is not None:
        fields["toolConfig"] = orjson.loads(request.tools.converse)
    return {"modelId": request.model.model_id, **fields}


def _decoded(message: Message) -> Message:
    """boto3 takes pictures as bytes, and encodes them itself."""
    return {"role": message["role"], "content": list(_blocks(message["content"]))}


def _blocks(blocks: Iterable[Block]) -> Iterator[Block]:
    for block in blocks:
        image = block.get("image")
        if image is None:
            yield block
        else:
            yield {"image": {**image, "source": {"bytes": base64.b64decode(image["source"]["bytes"])}}}


def _service_error(error: botocore.exceptions.ClientError, streaming: bool) -> ModelError:
    detail = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    ours = converse.error_of(
        detail.get("Code", ""), detail.get("Message", ""), metadata.get("HTTPStatusCode"), streaming
    )
    ours.attempts = 1 + metadata.get("RetryAttempts", 0)
    return ours
