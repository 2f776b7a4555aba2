"""The HTTP API as a raw ASGI application (docs/api.md): sessions, turns as server-sent events, health, metrics."""

from __future__ import annotations

import asyncio
import logging
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, MutableMapping
from dataclasses import asdict
from typing import Any

import orjson

from assistant.autobuy.payments import Payments, charged_rule
from assistant.autobuy.rules import RuleBook
from assistant.chat import routes
from assistant.chat.shelf import Shelf
from assistant.errors import ModelError, RequestError, StoreError
from assistant.requests import (
    BODY_BYTES_MAX,
    TurnRequest,
    parse_auto_buy,
    parse_sessions,
    parse_ticks,
    parse_turn,
    trace_context,
)
from assistant.sessions import Sessions
from assistant.turn import Services, run_turn
from host.browsers import is_json, network_refusal, refusal
from host.control_token import HEADER, matches
from host.json_values import text
from wire.exposition import CONTENT_TYPE

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Coroutine[Any, Any, None]]
Headers = list[tuple[bytes, bytes]]

_JSON: Headers = [(b"content-type", b"application/json")]
_STREAM: Headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
_SIMULATED = (b"x-peakday-simulated", b"1")
_LOOPBACK = ("127.0.0.1", "::1")
SLOW_READER_S = 5.0
"""A client that takes no more bytes for this long is dropped: its turn would hold a model stream open."""
log = logging.getLogger("assistant")


class App:
    """The application.

    Args:
        payments: the embedded payment provider, whose charges are served on loopback.
        world_s: the data's clock, seconds since the epoch.
        customer_of: a test customer's row, or None: sessions are made for known ones only.
    """

    def __init__(
        self,
        services: Services,
        sessions: Sessions,
        rules: RuleBook,
        payments: Payments,
        world_s: Callable[[], float],
        customer_of: Callable[[str], object | None],
        shelf: Shelf,
    ) -> None:
        self._services = services
        self._sessions = sessions
        self._rules = rules
        self._payments = payments
        self._world_s = world_s
        self._customer_of = customer_of
        self._shelf = shelf
        self.served_at: tuple[str, int] | None = None  # where all is served; elsewhere health and metrics alone
        self._running: dict[asyncio.Task[None], EventSink] = {}
        self._routes: dict[tuple[str, str], Callable[[Scope, Receive, Send], Awaitable[None]]] = {
            ("POST", "/v1/turns"): self._turns,
            ("POST", "/v1/sessions"): self._issue_sessions,
            ("GET", "/healthz"): self._health,
            ("GET", "/metrics"): self._metrics,
            ("POST", "/test/price_ticks"): self._price_ticks,
            ("GET", "/test/purchases"): self._purchases,
            ("GET", "/control/auto_buy"): self._auto_buy_state,
            ("POST", "/control/auto_buy"): self._switch_auto_buy,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        method, path, headers = scope["method"], scope["path"], dict(scope["headers"])
        if self.served_at is not None and tuple(scope["server"]) != self.served_at:
            await self._look(scope, receive, send, headers)
            return
        handler = self._routes.get((method, path))
        if handler is None and method == "GET":
            handler = self._chat_page if routes.page_file(path) else handler
            handler = self._shop if path.startswith("/shop/") else handler
        try:
            _own_pages_only(headers)
            if handler is None:
                raise RequestError(404, "not_found", f"there is no {method} {path[:100]}")
            if path.startswith(("/test/", "/control/")):
                self._steered_only(scope, headers)
            if method == "POST" and not is_json(_header(headers, b"content-type")):
                raise RequestError(415, "not_json", "send JSON, with Content-Type: application/json")
            await handler(scope, receive, send)
        except RequestError as error:
            await _respond(send, error.status, orjson.dumps(error.body()))

    def drop_slow_readers(self) -> None:
        """End the turns whose client has stopped reading; called now and then by the server."""
        now_s = self._services.clock()
        for task, sink in list(self._running.items()):
            if sink.blocked_since_s is not None and now_s - sink.blocked_since_s > SLOW_READER_S:
                self._services.metrics.slow_readers.inc()
                task.cancel()

    async def _turns(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        customer_id = self._customer(headers)
        request = parse_turn(await _body(receive, headers), self._services.stack.switches.limits.message_chars)
        sink = EventSink(send, self._services.clock)
        metrics = self._services.metrics
        metrics.in_flight.inc()
        status = "error"
        try:
            turn = asyncio.ensure_future(self._run(customer_id, request, headers, sink))
            self._running[turn] = sink
            status = await _until_gone(turn, receive)
            if sink.failed:
                status = "error"
        finally:
            self._running.pop(turn, None)
            metrics.in_flight.dec()
            metrics.turns.labels(sink.intent or "", sink.complexity or "", status).inc()

    async def _run(
        self, customer_id: str, request: TurnRequest, headers: Mapping[bytes, bytes], sink: EventSink
    ) -> None:
        """One turn; a model's failure becomes an error body, or an error event once the stream has begun."""
        trace_id, parent_id = trace_context(headers.get(b"traceparent", b"").decode("latin-1"))
        try:
            await run_turn(self._services, customer_id, request, trace_id, sink, parent_id)
        except ModelError as error:
            # The provider's own words are the log's: they may name accounts, prompts or hosts.
            log.warning("a model failed: %s %s: %s", error.status, error.code, error)
            if not sink.is_open:
                raise RequestError(error.status, error.code, error.for_customer) from None
            await sink.event("error", {"status": error.status, "code": error.code, "message": error.for_customer})
            sink.failed = True
        except StoreError as error:
            log.warning("the store failed: %s", error)
            code, words = "store_unavailable", "the assistant's memory does not answer; please ask again in a moment"
            if not sink.is_open:
                raise RequestError(503, code, words) from None
            await sink.event("error", {"status": 503, "code": code, "message": words})
            sink.failed = True
        except RequestError:
            raise
        except Exception:
            log.exception("turn failed")
            if not sink.is_open:
                raise RequestError(500, "internal_error", "the assistant failed; its log says why") from None
            await sink.event("error", {"status": 500, "code": "internal_error", "message": "the assistant failed"})
            sink.failed = True
        await sink.close()

    async def _issue_sessions(self, scope: Scope, receive: Receive, send: Send) -> None:
        _loopback_only(scope)
        now_s = self._services.now_s()
        sessions = []
        for customer_id in parse_sessions(await _body(receive, dict(scope["headers"]))):
            if self._customer_of(customer_id) is None:
                raise RequestError(400, "unknown_customer", f"there is no customer {customer_id!r}", "customer_id")
            sessions.append({"customer_id": customer_id, "session_token": self._sessions.issue(customer_id, now_s)})
        await _respond(send, 200, orjson.dumps({"sessions": sessions}))

    async def _price_ticks(self, scope: Scope, receive: Receive, send: Send) -> None:
        _loopback_only(scope)
        ticks = parse_ticks(await _body(receive, dict(scope["headers"])))
        if (product_id := self._shelf.unknown(one for one, _ in ticks)) is not None:
            raise RequestError(400, "unknown_product", f"there is no product {product_id!r}", "ticks.product_id")
        matched = await asyncio.to_thread(self._rules.tick, ticks, self._world_s())
        await _respond(send, 200, orjson.dumps({"matched": matched}))

    async def _purchases(self, scope: Scope, receive: Receive, send: Send) -> None:
        _loopback_only(scope)
        purchases = [
            asdict(one) | {"autobuy_delay_s": one.autobuy_delay_s, "saving_ratio": one.saving_ratio}
            for one in await asyncio.to_thread(self._rules.purchases)
        ]
        charges = [
            {"rule_id": charged_rule(key), "customer_id": customer_id, "amount_usd": amount_usd}
            for key, customer_id, amount_usd in await asyncio.to_thread(self._payments.charges)
        ]
        told = {"purchases": purchases, "charges": charges, "rules": await asyncio.to_thread(self._rules.states)}
        await _respond(send, 200, orjson.dumps(told))

    async def _auto_buy_state(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The kill switch of purchases by price, and what waits behind it."""
        _loopback_only(scope)
        enabled = await asyncio.to_thread(self._rules.is_enabled)
        await _respond(
            send, 200, orjson.dumps({"enabled": enabled, "rules": await asyncio.to_thread(self._rules.states)})
        )

    async def _switch_auto_buy(self, scope: Scope, receive: Receive, send: Send) -> None:
        _loopback_only(scope)
        enabled = parse_auto_buy(await _body(receive, dict(scope["headers"])))
        await asyncio.to_thread(self._rules.set_enabled, enabled)
        await self._auto_buy_state(scope, receive, send)

    async def _chat_page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The page that talks to this assistant; its session comes from a test endpoint, so it is for this machine."""
        _loopback_only(scope)
        content, kind = routes.page_file(scope["path"]) or (b"", b"text/plain")
        await _respond(send, 200, content, [(b"content-type", kind), *routes.HEADERS])

    async def _shop(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the chat page shows: products to anyone signed in, an account to its own session."""
        _loopback_only(scope)
        customer_id = self._customer(dict(scope["headers"]))
        if scope["path"] == "/shop/events":
            await self._shop_events(customer_id, receive, send)
            return
        shown = await routes.read(self._shelf, scope["path"], scope.get("query_string", b""), customer_id)
        await _respond(send, 200, orjson.dumps(shown), [*_JSON, (b"cache-control", b"no-store")])

    async def _shop_events(self, customer_id: str, receive: Receive, send: Send) -> None:
        """Changes of one account as server-sent events, until the client goes away."""
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM})

        async def write(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        watching = asyncio.ensure_future(routes.changes(self._shelf, customer_id, write))
        try:
            await _until_gone(watching, receive)
        finally:
            watching.cancel()

    async def _look(self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes]) -> None:
        """A request at the address that `up --metrics-host` names."""
        why = network_refusal(_header(headers, b"host"), _header(headers, b"origin"))
        if why is not None:
            await _respond(send, 403, orjson.dumps(RequestError(403, "other_origin", why).body()))
        elif (scope["method"], scope["path"]) == ("GET", "/metrics"):
            await self._metrics(scope, receive, send)
        elif (scope["method"], scope["path"]) == ("GET", "/healthz"):
            await self._health(scope, receive, send)
        else:
            await _respond(send, 404, orjson.dumps(RequestError(404, "not_found", "GET /metrics or /healthz").body()))

    async def _health(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _respond(send, 200, orjson.dumps({"ok": True, "simulated": not self._services.stack.live}))

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _respond(send, 200, self._services.metrics.text(), [(b"content-type", CONTENT_TYPE.encode())])

    def _steered_only(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        """Test and control endpoints are for whom this stack's token was given to.

        Raises:
            RequestError: 403.
        """
        _loopback_only(scope)
        if not matches(self._services.stack.control_token, _header(headers, HEADER.lower().encode())):
            raise RequestError(403, "control_token", f"send this stack's token as {HEADER}; `peakday up` names it")

    def _customer(self, headers: Mapping[bytes, bytes]) -> str:
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        return self._sessions.customer_id(authorization, self._services.now_s())


class EventSink:
    """Writes a turn's events to one ASGI response. `blocked_since_s`: when a write began that has not ended."""

    def __init__(self, send: Send, clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self.is_open = False
        self.failed = False
        self._held = b""
        self.blocked_since_s: float | None = None
        self.intent: str | None = None
        self.complexity: str | None = None

    async def open(self, simulated: bool) -> None:
        """Send the response's head."""
        self.is_open = True
        headers = [*_STREAM, _SIMULATED] if simulated else _STREAM
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def event(self, name: str, payload: Mapping[str, object], hold: bool = False) -> None:
        """Send one event; a held one leaves with the next write."""
        if name == "meta":
            self.intent, self.complexity = text(payload["intent"]) or None, text(payload["complexity"]) or None
        data = b"event: " + name.encode() + b"\ndata: " + orjson.dumps(payload) + b"\n\n"
        if hold:
            self._held += data
        else:
            await self._write(data)

    def delta(self, text: str) -> Awaitable[None] | None:
        """Send a piece of the answer: at once, or, for a slow reader, when what is returned has been awaited."""
        data = b'event: delta\ndata: {"text":' + orjson.dumps(text) + b"}\n\n"
        if self._held:
            data, self._held = self._held + data, b""
        rest = _now_or_later(self._send({"type": "http.response.body", "body": data, "more_body": True}))
        return None if rest is None else self._blocked(rest)

    async def close(self) -> None:
        """End the response."""
        await self._send({"type": "http.response.body", "body": self._held, "more_body": False})

    async def _write(self, data: bytes) -> None:
        if self._held:
            data, self._held = self._held + data, b""
        await self._blocked(self._send({"type": "http.response.body", "body": data, "more_body": True}))

    async def _blocked(self, write: Awaitable[None]) -> None:
        self.blocked_since_s = self._clock()
        await write
        self.blocked_since_s = None


def _now_or_later(call: Coroutine[object, object, None]) -> Awaitable[None] | None:
    """Run a coroutine up to its first wait: None if it had none, else what is to be awaited for the rest of it."""
    try:
        waits_for = call.send(None)
    except StopIteration:
        return None
    return _rest(call, waits_for)


@types.coroutine
def _rest(call: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """The rest of a coroutine that has begun to wait: what it waits for is handed to the task that awaits this."""
    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:
                waits_for = call.throw(error)
            else:
                waits_for = call.send(sent)
    except StopIteration:
        return


def _loopback_only(scope: Scope) -> None:
    """Test endpoints exist for this machine only.

    Raises:
        RequestError: 403 for any other client.
    """
    if scope.get("client") is None or scope["client"][0] not in _LOOPBACK:
        raise RequestError(403, "loopback_only", "test endpoints are served on loopback only")


def _own_pages_only(headers: Mapping[bytes, bytes]) -> None:
    """Whatever a page of another site makes a browser send is refused.

    Raises:
        RequestError: 403.
    """
    why = refusal(_header(headers, b"host"), _header(headers, b"origin"))
    if why is not None:
        raise RequestError(403, "other_origin", why)


def _header(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


async def _until_gone(turn: asyncio.Task[None], receive: Receive) -> str:
    """Wait for the turn, and end it when its client goes away; returns how it ended."""
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((turn, gone), return_when=asyncio.FIRST_COMPLETED)
        if not turn.done():
            turn.cancel()
            await asyncio.wait((turn,))
        if turn.cancelled():
            return "abandoned"
        turn.result()
        return "ok"
    finally:
        gone.cancel()
        turn.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
    """The whole request body.

    Raises:
        RequestError: 413 beyond `BODY_BYTES_MAX`.
    """
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > BODY_BYTES_MAX:
        raise RequestError(413, "too_large", f"the body has {int(length)} bytes, at most {BODY_BYTES_MAX}")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError(400, "bad_json", "the body was cut off")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_BYTES_MAX:
            raise RequestError(413, "too_large", f"the body has more than {BODY_BYTES_MAX} bytes")
        if not message.get("more_body"):
            return b"".join(parts)


async def _respond(send: Send, status: int, body: bytes, headers: Headers = _JSON) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
