"""A deterministic HTTP server for tests: it sends exactly the bytes a test scripts, at the times it scripts them."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson

Piece = tuple[float, bytes]
"""Seconds to wait, then bytes to send. Empty bytes close the connection."""
Handler = Callable[[str, dict[str, str], bytes], list[Piece]]


@dataclass
class Server:
    """Where it listens, and every request it has read."""

    port: int = 0
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve in a thread of its own until the block ends."""
    server = Server()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stopping = asyncio.Event()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        try:
            while await one_request(reader, writer):
                pass
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()

    async def one_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path = first.split(" ")[1]
        server.requests.append((path, headers, body))
        for wait_s, data in handler(path, headers, body):
            await asyncio.sleep(wait_s)
            if not data:
                return False
            writer.write(data)
            await writer.drain()
        return True

    async def main() -> None:
        listener = await asyncio.start_server(connection, "127.0.0.1", 0, ssl=tls)
        server.port = listener.sockets[0].getsockname()[1]
        ready.set()
        await stopping.wait()
        loop.remove_reader(listener.sockets[0].fileno())
        await begun_or_ended()  # what was just accepted; if the listener closes first, such a socket is never closed
        listener.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await begun_or_ended()

    async def begun_or_ended() -> None:
        for _ in range(4):  # accepted, its transport made, its protocol told, its task; fewer to end
            await asyncio.sleep(0)

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        loop.close()


def response(body: bytes, status: str = "200 OK", headers: str = "", content_type: str = "application/json") -> bytes:
    """A whole plain response."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM_END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def chat_chunk(text: str | None, **more: object) -> bytes:
    """One event of a chat completion stream."""
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": more.pop("finish_reason", None)}
    return b"data: " + orjson.dumps({"id": "c", "choices": [choice], **more}) + b"\n\n"


def usage_chunk(prompt: int, completion: int) -> bytes:
    """The event that carries usage, without choices."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    return b"data: " + orjson.dumps({"id": "c", "choices": [], "usage": usage}) + b"\n\n"


def chat_events(tokens: int, prompt: int = 7) -> list[bytes]:
    """A whole chat answer, event by event: role first, as many servers do."""
    role = (
        b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
    )
    content = [chat_chunk(f" w{number}") for number in range(tokens)]
    return [role, *content, chat_chunk(None, finish_reason="stop"), usage_chunk(prompt, tokens), b"data: [DONE]\n\n"]


def event(name: str, data: object) -> bytes:
    """One event of the assistant's stream."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


def assistant_events(tokens: int = 4, simulated: bool = True) -> list[bytes]:
    """A whole answer of the assistant: a tool round, then text."""
    call = {
        "status": "ok", "model": "nova-pro", "supply": "bedrock", "purpose": "answer", "attempts": 1,
        "timed_by": "assistant",
        "cache_read_tokens": 900, "input_tokens": 100, "prefix_shared_tokens": 800, "prefix_customer_tokens": 950,
        "cost_usd": 0.001,
    }  # fmt: skip
    meta = {"intent": "deals", "complexity": "simple", "route": "nova-pro", "route_s": 0.002, "simulated": simulated}
    return [
        event("meta", meta),
        event("usage", {**call, "call_index": 0, "purpose": "tool_round", "output_tokens": 9}),
        event("tool", {"tool": "catalogue_search", "start_s": 0.01, "duration_s": 0.002, "status": "ok"}),
        *[event("delta", {"text": f" w{number}"}) for number in range(tokens)],
        event("usage", {**call, "call_index": 1, "output_tokens": tokens}),
        event(
            "done",
            {"stop_reason": "end_turn", "output_tokens": tokens, "cost_usd": 0.002, "pending_confirmation": None},
        ),
    ]


def streamed(events: list[bytes], first_s: float = 0.0, gap_s: float = 0.0) -> list[Piece]:
    """Headers at once, then each event in a chunk of its own."""
    waits = [first_s] + [gap_s] * (len(events) - 1)
    return [
        (0.0, STREAM_HEAD),
        *[(wait, chunk(data)) for wait, data in zip(waits, events, strict=True)],
        (0.0, STREAM_END),
    ]


def assistant(answer: Callable[[], list[Piece]]) -> Handler:
    """An assistant that signs everybody in, and answers turns as scripted."""

    def handle(path: str, headers: dict[str, str], body: bytes) -> list[Piece]:
        if path == "/v1/sessions":
            ids = orjson.loads(body)["customer_ids"]
            tokens = [{"customer_id": one, "session_token": f"token-{one}"} for one in ids]
            return [(0.0, response(orjson.dumps({"sessions": tokens})))]
        return answer()

    return handle
