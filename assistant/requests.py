"""Bodies of the HTTP API, checked once where they enter (docs/api.md)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from assistant.errors import RequestError

BODY_BYTES_MAX = 8 * 1024 * 1024
IMAGES_MAX = 4
IMAGE_CHARS_MAX = 5 * 1024 * 1024
SESSIONS_MAX = 1_000
TICKS_MAX = 10_000
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
_LOCALE = re.compile(r"[a-z]{2}_[A-Z]{2}")
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
_IMAGE_FORMATS = ("png", "jpeg", "gif", "webp")
_TURN_KEYS = frozenset({"interaction_id", "turn_index", "message", "locale", "region", "page", "images", "confirm"})


@dataclass(frozen=True, slots=True)
class Image:
    """A picture of the question: format and base64 text."""

    format: str
    data: str


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One turn as asked. `confirm_token` with `confirm_accept` answers an earlier pending confirmation."""

    interaction_id: str
    turn_index: int
    message: str
    locale: str
    region: str | None = None
    product_id: str | None = None
    images: tuple[Image, ...] = ()
    confirm_token: str | None = None
    confirm_accept: bool = False


def parse_turn(body: bytes, message_chars_max: int) -> TurnRequest:
    """The body of `POST /v1/turns`.

    Raises:
        RequestError: 400 with the field at fault, 413 when the message or a picture is too large.
    """
    raw = _object(body)
    unknown = sorted(set(raw) - _TURN_KEYS)
    if unknown:
        raise _bad(unknown[0], f"unknown key; known: {', '.join(sorted(_TURN_KEYS))}")
    turn_index = raw.get("turn_index")
    if not isinstance(turn_index, int) or isinstance(turn_index, bool) or turn_index < 0:
        raise _bad("turn_index", "a whole number from 0 is required")
    token, accept = _confirm(raw)
    return TurnRequest(
        interaction_id=_matching(raw, "interaction_id", _ID, "1 to 80 letters, digits or _.:-"),
        turn_index=turn_index,
        message=_message(raw, message_chars_max),
        locale=_matching({"locale": "en_US", **raw}, "locale", _LOCALE, "a locale such as en_US"),
        region=None if raw.get("region") is None else _matching(raw, "region", _ID, "a region such as us-east-1"),
        product_id=_page(raw),
        images=_images(raw),
        confirm_token=token,
        confirm_accept=accept,
    )


def parse_sessions(body: bytes) -> list[str]:
    """The customer ids of `POST /v1/sessions`.

    Raises:
        RequestError: 400 with the field at fault.
    """
    raw = _object(body)
    if "customer_id" in raw:
        return [_matching(raw, "customer_id", _ID, "a customer id such as c000001")]
    ids = raw.get("customer_ids")
    if not isinstance(ids, list) or not 1 <= len(ids) <= SESSIONS_MAX:
        raise _bad("customer_ids", f"customer_id, or a list of 1 to {SESSIONS_MAX} of them, is required")
    return [_matching({"customer_ids": one}, "customer_ids", _ID, "customer ids such as c000001") for one in ids]


def parse_ticks(body: bytes) -> list[tuple[str, float]]:
    """The price ticks of `POST /test/price_ticks`.

    Raises:
        RequestError: 400 with the field at fault.
    """
    ticks = _object(body).get("ticks")
    if not isinstance(ticks, list) or not 1 <= len(ticks) <= TICKS_MAX:
        raise _bad("ticks", f"expected a list of 1 to {TICKS_MAX}")
    return [_tick(tick) for tick in ticks]


def parse_auto_buy(body: bytes) -> bool:
    """What `POST /control/auto_buy` sets the kill switch to.

    Raises:
        RequestError: 400, naming the field.
    """
    raw = _object(body)
    if set(raw) != {"enabled"} or not isinstance(raw["enabled"], bool):
        raise _bad("enabled", "expected {enabled: true or false}")
    return raw["enabled"]


def _tick(tick: object) -> tuple[str, float]:
    if not isinstance(tick, dict) or set(tick) != {"product_id", "price"}:
        raise _bad("ticks", "expected {product_id, price}")
    price = tick["price"]
    if not isinstance(price, (int, float)) or isinstance(price, bool) or not 0 < price < 1e9:
        raise _bad("ticks.price", "expected a price above 0")
    return _matching({"ticks.product_id": tick["product_id"]}, "ticks.product_id", _ID, "a product id"), float(price)


def trace_context(traceparent: str | None) -> tuple[str, str]:
    """Trace id and parent span id of a W3C `traceparent` header; a new trace without a parent where there is none."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return (match[1], match[2]) if match else (os.urandom(16).hex(), "")


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, "bad_json", f"the body is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise RequestError(400, "bad_json", "the body is not a JSON object")
    return raw


def _bad(field: str, message: str) -> RequestError:
    return RequestError(400, "bad_field", f"{field}: {message}", field)


def _matching(raw: Mapping[str, object], field: str, pattern: re.Pattern[str], what: str) -> str:
    value = raw.get(field)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _bad(field, f"expected {what}")
    return value


def _message(raw: Mapping[str, object], chars_max: int) -> str:
    message = raw.get("message")
    if not isinstance(message, str) or not message.strip():
        raise _bad("message", "some text is required")
    if len(message) > chars_max:
        raise RequestError(413, "too_large", f"message: {len(message)} characters, at most {chars_max}", "message")
    return message


def _page(raw: Mapping[str, object]) -> str | None:
    page = raw.get("page")
    if page is None:
        return None
    if not isinstance(page, dict) or set(page) != {"product_id"}:
        raise _bad("page", "expected {product_id}")
    return _matching({"page.product_id": page["product_id"]}, "page.product_id", _ID, "a product id such as p000001")


def _images(raw: Mapping[str, Any]) -> tuple[Image, ...]:
    images = raw.get("images") or []
    if not isinstance(images, list) or len(images) > IMAGES_MAX:
        raise _bad("images", f"expected a list of at most {IMAGES_MAX}")
    return tuple(_image(image) for image in images)


def _image(image: Any) -> Image:
    if not isinstance(image, dict) or image.get("format") not in _IMAGE_FORMATS:
        raise _bad("images", f"expected {{format, data}} with format one of {', '.join(_IMAGE_FORMATS)}")
    data = image.get("data")
    if not isinstance(data, str) or not _BASE64.fullmatch(data):
        raise _bad("images", "data must be base64 text")
    if len(data) > IMAGE_CHARS_MAX:
        raise RequestError(
            413, "too_large", f"images: {len(data)} base64 characters, at most {IMAGE_CHARS_MAX}", "images"
        )
    return Image(image["format"], data)


def _confirm(raw: Mapping[str, Any]) -> tuple[str | None, bool]:
    confirm = raw.get("confirm")
    if confirm is None:
        return None, False
    good = (
        isinstance(confirm, dict) and isinstance(confirm.get("token"), str) and isinstance(confirm.get("accept"), bool)
    )
    if not good:
        raise _bad("confirm", "expected {token, accept}")
    return confirm["token"], confirm["accept"]
