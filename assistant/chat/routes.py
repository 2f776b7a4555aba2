"""The chat page's addresses: its three files, what it shows, and a stream that says when that changed."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs

import orjson

from assistant.chat.shelf import Shelf
from assistant.errors import RequestError
from host.ports import is_loopback_url

_TYPES = {
    "html": b"text/html; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "css": b"text/css; charset=utf-8",
}
_FILES = {"/": "page.html", "/chat.js": "chat.js", "/chat.css": "chat.css"}
_PRODUCT = re.compile(r"/shop/products/([A-Za-z0-9_-]{1,40})")
FRAMED_BY = "PEAKDAY_FRAMED_BY"
"""Variable that names the one origin of this machine whose pages may frame the chat: `peakday serve` sets it."""


def framed_by(environment: Mapping[str, str]) -> str:
    """That origin as a policy names it; `'none'` where there is none, or what is named is no origin of this machine."""
    origin = environment.get(FRAMED_BY, "")
    return origin if re.fullmatch(r"http://[\w.:\[\]-]+", origin) and is_loopback_url(origin) else "'none'"


HEADERS = [
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     b"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors "
     + framed_by(os.environ).encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]  # fmt: skip
"""No script, style or connection but our own; no frame around it but that of `peakday serve`."""
LOOK_S = 1.0
"""How often the stream looks whether something of the customer's changed."""


def page_file(path: str) -> tuple[bytes, bytes] | None:
    """Content and type of one of the page's files; None where the path is none of them."""
    return _content(_FILES[path]) if path in _FILES else None


@cache
def _content(name: str) -> tuple[bytes, bytes]:
    return files("assistant.chat").joinpath(name).read_bytes(), _TYPES[name.rsplit(".", 1)[1]]


async def read(shelf: Shelf, path: str, query: bytes, customer_id: str) -> dict[str, object]:
    """What an address under /shop shows.

    Raises:
        RequestError: 404, no such address or product.
    """
    if path == "/shop/account":
        return await asyncio.to_thread(shelf.account, customer_id)
    if path == "/shop/search":
        words = parse_qs(query.decode("latin-1")).get("q", [""])[0][:200]
        return {"products": shelf.search(words)}
    match = _PRODUCT.fullmatch(path)
    product = shelf.product(match[1]) if match else None
    if product is None:
        raise RequestError(404, "not_found", "there is no such product")
    return product


async def changes(shelf: Shelf, customer_id: str, send: Callable[[bytes], Any]) -> None:
    """Send an event whenever the customer's account, or a price in it, is another than before."""
    before = b""
    while True:
        now = orjson.dumps(await asyncio.to_thread(shelf.account, customer_id))
        await send(b"event: changed\ndata: {}\n\n" if now != before else b": still here\n\n")
        before = now
        await asyncio.sleep(LOOK_S)
