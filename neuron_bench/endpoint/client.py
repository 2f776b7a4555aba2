"""One streamed completion over HTTP, stamped as bytes arrive and understood only after it ended.

Works with any OpenAI-compatible server: vLLM on Neuron, GPU or CPU. Prompts are token ids, so lengths are exact.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from neuron_bench.errors import BenchError, DeviceError
from wire.sse import SseParser


class EndpointError(BenchError):
    """A request that the server refused or broke off; the message holds its own words."""


@dataclass(frozen=True)
class Stream:
    """A finished answer. `token_s[k]`: when token k+1 was here, in seconds of the monotonic clock."""

    sent_s: float
    token_s: tuple[float, ...]
    input_tokens: int
    cached_tokens: int

    @property
    def ttft_s(self) -> float:
        """First token, from the send."""
        return self.token_s[0] - self.sent_s

    @property
    def e2e_s(self) -> float:
        """Last token, from the send."""
        return self.token_s[-1] - self.sent_s

    @property
    def tpot_s(self) -> float | None:
        """Mean gap between tokens; None for a single one."""
        n = len(self.token_s)
        return (self.token_s[-1] - self.token_s[0]) / (n - 1) if n > 1 else None


@dataclass(frozen=True)
class Server:
    """What an endpoint says of itself. Null where it does not."""

    url: str
    model: str
    context_tokens: int | None
    version: str | None


async def look(http: aiohttp.ClientSession, url: str, model: str | None) -> Server:
    """Ask `/v1/models` and `/version`.

    Raises:
        DeviceError: nothing answers there, or it serves no such model.
    """
    base = url.rstrip("/").removesuffix("/v1")
    try:
        async with http.get(f"{base}/v1/models") as answer:
            served = (await answer.json())["data"]
    except (aiohttp.ClientError, TimeoutError, KeyError, ValueError) as error:
        raise DeviceError(f"endpoint {url}: no OpenAI-compatible server answers there ({error!r})") from None
    found = next((entry for entry in served if model in (None, entry["id"])), None)
    if found is None:
        names = ", ".join(entry["id"] for entry in served)
        raise DeviceError(f"endpoint {url}: serves no model {model!r}; it serves {names}")
    return Server(base, found["id"], found.get("max_model_len"), await _version(http, base))


async def _version(http: aiohttp.ClientSession, base: str) -> str | None:
    try:
        async with http.get(f"{base}/version") as answer:
            return str((await answer.json())["version"]) if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, KeyError, ValueError):
        return None


async def scrape(http: aiohttp.ClientSession, server: Server) -> str:
    """The server's /metrics page; empty where it has none."""
    try:
        async with http.get(f"{server.url}/metrics") as answer:
            return await answer.text() if answer.status == 200 else ""
    except (aiohttp.ClientError, TimeoutError):
        return ""


async def complete(http: aiohttp.ClientSession, server: Server, prompt: Sequence[int], output_tokens: int) -> Stream:
    """Exactly `output_tokens` tokens for a prompt of token ids.

    Raises:
        EndpointError: an HTTP error, a broken stream, or another number of tokens than asked.
    """
    body = {
        "model": server.model,
        "prompt": list(prompt),
        "max_tokens": output_tokens,
        "min_tokens": output_tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }
    chunks: list[tuple[float, bytes]] = []
    sent = time.perf_counter()
    try:
        async with http.post(f"{server.url}/v1/completions", json=body) as answer:
            if answer.status != 200:
                said = (await answer.text())[:200]
                raise EndpointError(f"{server.url}: HTTP {answer.status}: {said}")
            async for data in answer.content.iter_any():
                chunks.append((time.perf_counter(), data))
    except (aiohttp.ClientError, TimeoutError) as error:
        raise EndpointError(f"{server.url}: the stream broke ({error!r})") from None
    return _understand(sent, chunks, output_tokens, server.url)


def _understand(sent_s: float, chunks: Sequence[tuple[float, bytes]], expected: int, url: str) -> Stream:
    """Token times from the running usage of each event; where it is absent, an event is a token."""
    parser = SseParser()
    times: list[float] = []
    usage: dict[str, Any] = {}
    for stamp, data in chunks:
        for event in parser.feed(data):
            if event.data == b"[DONE]":
                continue
            content = json.loads(event.data)
            if "error" in content:
                raise EndpointError(f"{url}: {str(content['error'])[:200]}")
            usage = content.get("usage") or usage
            produced = (content.get("usage") or {}).get("completion_tokens", len(times) + bool(content.get("choices")))
            times += [stamp] * (produced - len(times))
    if len(times) != expected:
        raise EndpointError(f"{url}: asked for {expected} tokens, got {len(times)}; does it honour min_tokens?")
    details = usage.get("prompt_tokens_details") or {}
    return Stream(sent_s, tuple(times), usage.get("prompt_tokens", 0), details.get("cached_tokens") or 0)
