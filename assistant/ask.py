"""Asks a running assistant one question over plain HTTP; standard library only, so that a command starts at once."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from assistant.errors import AssistantError
from host.control_token import control_headers
from host.fetch import connect, own_addresses
from host.redaction import shown_url
from wire.sse import SseParser

_READ_BYTES = 65_536


def ask(
    url: str,
    message: str,
    customer_id: str | None = None,
    *,
    session_token: str | None = None,
    interaction_id: str = "ask",
    turn_index: int = 0,
    locale: str = "en_US",
    region: str | None = None,
    product_id: str | None = None,
    images: tuple[Path, ...] = (),
    confirm: Mapping[str, Any] | None = None,
    timeout_s: float = 90.0,
    addresses: Sequence[str] = (),
) -> Iterator[dict[str, Any]]:
    """The turn's events as they come: each its JSON with its name under `event`.

    Args:
        url: the assistant's address, such as http://127.0.0.1:8080.
        customer_id: a test customer to get a session for, unless `session_token` is given.
        confirm: {token, accept} to answer a pending confirmation.
        addresses: where the URL's host was resolved to; none where it can only be this machine.

    Raises:
        AssistantError: unreachable, or refused before the stream; one line.
    """
    token = session_token or new_session(url, customer_id or "c000001", timeout_s, addresses)
    body: dict[str, Any] = {
        "interaction_id": interaction_id,
        "turn_index": turn_index,
        "message": message,
        "locale": locale,
        "images": [_image(path) for path in images],
    }
    optional = {"region": region, "page": {"product_id": product_id} if product_id else None, "confirm": confirm}
    body.update({key: value for key, value in optional.items() if value is not None})
    with _posted(url, "/v1/turns", body, {"Authorization": f"Bearer {token}"}, timeout_s, addresses) as response:
        yield from _events(response)


def new_session(url: str, customer_id: str, timeout_s: float = 10.0, addresses: Sequence[str] = ()) -> str:
    """A session token of a test customer.

    Raises:
        AssistantError: unreachable or refused; one line.
    """
    with _posted(url, "/v1/sessions", {"customer_id": customer_id}, {}, timeout_s, addresses) as response:
        token: str = json.loads(response.read())["sessions"][0]["session_token"]
    return token


def price_tick(url: str, product_id: str, price: float, timeout_s: float = 10.0, addresses: Sequence[str] = ()) -> int:
    """Move the price of one product of a test stack; how many rules it met.

    Raises:
        AssistantError: unreachable or refused; one line.
    """
    body = {"ticks": [{"product_id": product_id, "price": price}]}
    with _posted(url, "/test/price_ticks", body, control_headers(url), timeout_s, addresses) as response:
        return int(json.loads(response.read())["matched"])


def product_page(
    url: str, session_token: str, product_id: str, timeout_s: float = 10.0, addresses: Sequence[str] = ()
) -> dict[str, Any]:
    """What the shop shows of a product.

    Raises:
        AssistantError: unreachable, or there is no such product; one line.
    """
    path, headers = f"/shop/products/{quote(product_id, safe='')}", {"Authorization": f"Bearer {session_token}"}
    with _posted(url, path, None, headers, timeout_s, addresses) as response:
        shown: dict[str, object] = json.loads(response.read())
    return shown


def auto_buy(url: str, enabled: bool | None = None, timeout_s: float = 10.0) -> dict[str, Any]:
    """The kill switch of purchases by price: state and rules, set first unless `enabled` is None.

    Raises:
        AssistantError: unreachable or refused; one line.
    """
    body = None if enabled is None else {"enabled": enabled}
    with _posted(url, "/control/auto_buy", body, control_headers(url), timeout_s) as response:
        state: dict[str, Any] = json.loads(response.read())
    return state


@contextmanager
def _posted(
    url: str,
    path: str,
    body: Mapping[str, Any] | None,
    headers: Mapping[str, str],
    timeout_s: float,
    addresses: Sequence[str] = (),
) -> Iterator[http.client.HTTPResponse]:
    """The 200 answer to a POST, or to a GET without a body, closed afterwards."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    sent = {"Content-Type": "application/json", **headers}
    with closing(kind(parts.netloc, timeout=timeout_s)) as connection:
        try:
            link = connect(addresses or own_addresses(parts.hostname), connection.port, timeout_s)
            if parts.scheme == "https":
                link = ssl.create_default_context().wrap_socket(link, server_hostname=parts.hostname)
            connection.sock = link
            method, content = ("GET", None) if body is None else ("POST", json.dumps(body))
            connection.request(method, parts.path.rstrip("/") + path, content, sent)
            response = connection.getresponse()
        except OSError as error:
            raise AssistantError(
                f"{shown_url(url)}: the assistant does not answer ({error}); is `peakday up` running?"
            ) from None
        with response:
            if response.status != 200:
                raise AssistantError(f"{shown_url(url)}{path}: {response.status} {_reason(response.read())}")
            yield response


def _reason(raw: bytes) -> str:
    try:
        error = json.loads(raw)["error"]
        return f"{error['code']}: {error['message']}"
    except (ValueError, KeyError, TypeError):
        return raw[:200].decode("utf-8", "replace")


def _events(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Up to `done` or an error, which are the last: whether the body ends there too makes no difference."""
    parser = SseParser()
    while data := response.read1(_READ_BYTES):
        for event in parser.feed(data):
            yield {"event": event.event, **json.loads(event.data)}
            if event.event in ("done", "error"):
                return
    raise AssistantError("the assistant's stream ended before `done`; its log says why")


def _image(path: Path) -> dict[str, str]:
    kind = path.suffix.lower().lstrip(".").replace("jpg", "jpeg")
    return {"format": kind, "data": base64.b64encode(path.read_bytes()).decode()}
