"""One streamed completion over HTTP, stamped as bytes arrive and understood only after it ended.

Works with any OpenAI-compatible server: vLLM on Neuron, GPU or CPU. Prompts are token ids, so lengths are exact.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from host import json_values
from host.errors import Exit
from host.fetch import own_addresses
from neuron_bench.errors import BenchError, DeviceError
from wire.openai_stream import StreamEventError, read_event
from wire.sse import SseError, SseParser

PAGE_WITHIN_S = 10.0
PAGE_BYTES_MAX = 16 * 2**20
STREAM_BYTES_MAX = 64 * 2**20
"""More than any answer of so few tokens has."""
END_GRACE_S = 2.0
"""How long a body may stay open after its answer said its end, as a load worker allows it."""
_DONE = re.compile(rb"[\r\n]data:[ ]?\[DONE\]")
_FINISH = re.compile(rb'"finish_reason":[ ]?"')
"""The end of an answer, and what usage may follow; neither can stand inside a text of JSON."""
_END_BYTES = 32
_leaving: set[asyncio.Task[None]] = set()
"""Bodies that are read on behind the end of their answers, so that their connections can be used again."""
WORDS_MAX = 120
"""Characters of what a server or a client said."""
NAMES_MAX = 10
NAMED_MAX = 1_000
SIMULATED = "x-peakday-simulated"
"""The header of a server that only imitates one: what it is timed at is `simulated`, whatever chip is named."""


class EndpointError(BenchError):
    """A request that the server refused or broke off; the message holds its own words."""

    exit_code = Exit.ENVIRONMENT


@dataclass(frozen=True)
class Stream:
    """A finished answer. `token_s[k]`: when token k+1 was here, in seconds of the monotonic clock.

    Tokens that arrive together have one time; a rate counts those after the first arrival. `flag`: why the times of
    single tokens are not known, empty where they are.
    """

    sent_s: float
    token_s: tuple[float, ...]
    input_tokens: int
    cached_tokens: int
    events: int = 0
    flag: str = ""

    @property
    def ttft_s(self) -> float:
        """First token, from the send."""
        return self.token_s[0] - self.sent_s

    @property
    def e2e_s(self) -> float:
        """Last token, from the send."""
        return self.token_s[-1] - self.sent_s

    @property
    def arrivals(self) -> tuple[tuple[float, int], ...]:
        """(time, tokens here by then) of each arrival."""
        counts = [(stamp, sum(1 for _ in group)) for stamp, group in itertools.groupby(self.token_s)]
        totals = itertools.accumulate(count for _, count in counts)
        return tuple((stamp, total) for (stamp, _), total in zip(counts, totals, strict=True))

    @property
    def tpot_s(self) -> float | None:
        """Mean time of a token after the first arrival; None where everything came at once."""
        (first_s, first), *_, (last_s, last) = (*self.arrivals, self.arrivals[-1])
        return (last_s - first_s) / (last - first) if last > first else None


@dataclass(frozen=True)
class Server:
    """What an endpoint says of itself. Null where it does not."""

    url: str
    model: str
    context_tokens: int | None
    version: str | None
    simulated: bool = False


class _Admitted(AbstractResolver):
    """Gives the addresses that the guard resolved; nothing is looked up."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = tuple(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses, in order."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def connector_to(url: str, admitted: Mapping[str, tuple[str, ...]]) -> aiohttp.TCPConnector:
    """Connections to one server, at the addresses that were admitted.

    Raises:
        DeviceError: its host is neither this machine nor admitted.
    """
    host = urlsplit(url).hostname
    addresses = admitted.get(host or "") or own_addresses(host)
    if not addresses:
        raise DeviceError(f"endpoint {url}: not loopback and not admitted, so it is not contacted")
    return aiohttp.TCPConnector(limit=0, resolver=_Admitted(addresses))


async def _page(http: aiohttp.ClientSession, url: str) -> tuple[Mapping[str, str], bytes]:
    """Headers and body of a page beside the measurement, bounded in bytes and seconds.

    Raises:
        EndpointError: no page, with the reason in words.
    """
    name = f"/{url.split('/', 3)[-1]}"
    try:
        async with asyncio.timeout(PAGE_WITHIN_S), http.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise EndpointError(f"{name} is status {answer.status}")
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > PAGE_BYTES_MAX:
                    raise EndpointError(f"{name} has more than {PAGE_BYTES_MAX >> 20} MiB")
            return answer.headers, bytes(body)
    except TimeoutError:
        raise EndpointError(f"{name} has no end within {PAGE_WITHIN_S:g} s") from None
    except aiohttp.ClientError as error:
        raise EndpointError(f"{name}: {_in_words(error)}") from None


def _in_words(error: aiohttp.ClientError | OSError) -> str:
    """What a client's error says, without the objects that it holds."""
    said = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return " ".join(said.split())[:WORDS_MAX] or type(error).__name__


async def describe(http: aiohttp.ClientSession, url: str, model: str | None) -> Server:
    """Ask `/v1/models` and `/version`.

    Raises:
        DeviceError: nothing answers there, or it serves no such model.
    """
    base = url.rstrip("/").removesuffix("/v1")
    try:
        headers, body = await _page(http, f"{base}/v1/models")
    except EndpointError as error:
        raise DeviceError(f"endpoint {url}: no OpenAI-compatible server answers there: {error}") from None
    served = _served(body)
    if served is None:
        begins = " ".join(body[:WORDS_MAX].decode("utf-8", "replace").split())
        raise DeviceError(f"endpoint {url}: no OpenAI-compatible server: /v1/models lists no models: {begins}")
    chosen = next((entry for entry in served if model in (None, entry[0])), None)
    if chosen is None:
        names = ", ".join(name for name, _ in served[:NAMES_MAX]) or "nothing"
        more = f" and {len(served) - NAMES_MAX} more" if len(served) > NAMES_MAX else ""
        raise DeviceError(f"endpoint {url}: serves no model {model!r}; it serves {names}{more}"[:NAMED_MAX])
    return Server(base, chosen[0], chosen[1], await _version(http, base), SIMULATED in headers)


def _served(body: bytes) -> list[tuple[str, int | None]] | None:
    """Name and context of each model of a list; None where it is none."""
    try:
        entries = json_values.mapping(json.loads(body)).get("data")
    except ValueError:
        return None
    if not isinstance(entries, list):
        return None
    named = [json_values.mapping(entry) for entry in entries]
    return [(str(one["id"]), _context(one.get("max_model_len"))) for one in named if "id" in one]


def _context(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None


async def _version(http: aiohttp.ClientSession, base: str) -> str | None:
    try:
        value = json_values.mapping(json.loads((await _page(http, f"{base}/version"))[1])).get("version")
    except (EndpointError, ValueError):
        return None
    return value[:WORDS_MAX] if isinstance(value, str) else None


async def scrape(http: aiohttp.ClientSession, server: Server) -> str:
    """The server's /metrics page; empty where it has none that ends."""
    try:
        return (await _page(http, f"{server.url}/metrics"))[1].decode("utf-8", "replace")
    except EndpointError:
        return ""


async def complete(http: aiohttp.ClientSession, server: Server, prompt: Sequence[int], output_tokens: int) -> Stream:
    """Exactly `output_tokens` tokens for a prompt of token ids. A redirect is an error: prompts go where they are sent.

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
        answer = await http.post(f"{server.url}/v1/completions", json=body, allow_redirects=False)
        with contextlib.ExitStack() as stack:
            stack.callback(answer.close)  # harmless where its body has ended
            if answer.status != 200:
                text = (await answer.text(errors="replace"))[:200]
                raise EndpointError(f"{server.url}: HTTP {answer.status}: {text}")
            if await _read_to_end(answer.content, chunks, f"{server.url}: ", f" for {output_tokens} tokens"):
                stack.pop_all()
                _leave(answer)
    except TimeoutError:
        raise EndpointError(f"{server.url}: the answer has no end") from None
    except aiohttp.ClientError as error:
        raise EndpointError(f"{server.url}: the stream broke ({_in_words(error)})") from None
    return read_stream(sent, chunks, output_tokens, server.url)


async def _read_to_end(content: aiohttp.StreamReader, chunks: list[tuple[float, bytes]], who: str, what: str) -> bool:
    """Read what comes up to [DONE], which is the end, or to the body's end; whether the body goes on behind [DONE].

    Behind a finish reason it is read for `END_GRACE_S` more at most: some servers neither say [DONE] nor end the body.
    """
    end, received = b"", 0
    limit = asyncio.timeout(None)
    try:
        async with limit:
            async for data in content.iter_any():
                chunks.append((time.perf_counter(), data))
                received += len(data)
                if received > STREAM_BYTES_MAX:
                    raise EndpointError(f"{who}more than {STREAM_BYTES_MAX >> 20} MiB{what}, and no end")
                end = end[-_END_BYTES:] + data
                if _DONE.search(end):
                    return not content.at_eof()
                if _FINISH.search(end):
                    limit.reschedule(asyncio.get_running_loop().time() + END_GRACE_S)
    except TimeoutError:
        if not limit.expired():
            raise
    return False


def _leave(answer: aiohttp.ClientResponse) -> None:
    """Let a body end within `END_GRACE_S`: then its connection may be used again, else it is closed."""

    async def leave() -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError), contextlib.closing(answer):
            async with asyncio.timeout(END_GRACE_S):
                await answer.read()

    task = asyncio.create_task(leave())
    _leaving.add(task)
    task.add_done_callback(_leaving.discard)


@dataclass(frozen=True)
class _Event:
    """One event that is about a choice. `tokens`: the running usage it carries. `finish`: it ends the answer."""

    stamp: float
    text: bool
    finish: bool
    tokens: int | None


def read_stream(sent_s: float, chunks: Sequence[tuple[float, bytes]], expected: int, url: str) -> Stream:
    """Token times of an answer: its usage says how many tokens there are, its events when they came.

    With a running usage in the events, each token has the time of the event that counted it. Without, events are held
    against the final usage: as many events as tokens, and each is one; otherwise tokens are spread evenly over the
    events and the answer carries a flag. An empty finish event is no token.

    Raises:
        EndpointError: an error event, no JSON, no token, or another number of tokens than asked.
    """
    events, usage = _events(chunks, url)
    carrying = [event for event in events if event.text or not event.finish]
    total = _count(usage, "completion_tokens", url)
    flag = "" if total is not None else "usage_missing"
    produced = len(carrying) if total is None else int(total)
    if produced != expected:
        raise EndpointError(f"{url}: asked for {expected} tokens, got {produced}; does it honour min_tokens?")
    if len(carrying) == produced - 1 and events and events[-1].finish and not events[-1].text:
        carrying.append(events[-1])  # its text was held back: half a character, say
    if not carrying:
        raise EndpointError(f"{url}: {produced} tokens by its usage, and no event that carries one")
    running = [event for event in events if event.tokens is not None]
    if running:
        times = _running_times(running, produced)
    else:
        times = [carrying[k * len(carrying) // produced].stamp for k in range(produced)]
        if len(carrying) != produced:
            flag = "tokens_spread_over_events"
    details = usage.get("prompt_tokens_details") or {}
    cached = _count(details if isinstance(details, dict) else {}, "cached_tokens", url) or 0
    return Stream(sent_s, tuple(times), _count(usage, "prompt_tokens", url) or 0, cached, len(carrying), flag)


def _running_times(running: Sequence[_Event], produced: int) -> list[float]:
    times: list[float] = []
    for event in running:
        times += [event.stamp] * (min(event.tokens or 0, produced) - len(times))
    return times + [running[-1].stamp] * (produced - len(times))


def _events(chunks: Sequence[tuple[float, bytes]], url: str) -> tuple[list[_Event], dict[str, object]]:
    """The events about a choice, and the last usage."""
    parser = SseParser()
    events: list[_Event] = []
    usage: dict[str, object] = {}
    try:
        for stamp, data in chunks:
            for item in parser.feed(data):
                event = read_event(item.event, item.data)
                if event.failure is not None:
                    raise EndpointError(f"{url}: {event.failure.code}: {event.failure.message[:200]}")
                usage = event.usage or usage
                if event.choices:
                    running = _count(event.usage, "completion_tokens", url)
                    events.append(
                        _Event(stamp, event.content_key is not None, event.finish_reason is not None, running)
                    )
    except (StreamEventError, SseError) as error:
        raise EndpointError(f"{url}: the stream is damaged: {error}") from None
    return events, usage


def _count(usage: Mapping[str, object] | None, name: str, url: str) -> int | None:
    value = (usage or {}).get(name)
    if value is not None and (type(value) is not int or value < 0):
        raise EndpointError(f"{url}: {name} is no count: {value!r:.60}")
    return value
