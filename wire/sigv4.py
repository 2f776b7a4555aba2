"""Request signing, AWS Signature Version 4. Source: AWS General Reference, "Signing AWS API requests".

Checked against botocore's SigV4Auth in the tests. Only what a streaming POST needs; credentials are arguments.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

# What a proxy on the way may change, as the SDKs leave it out: hop-by-hop headers, and the context of a trace.
_UNSIGNED = {
    "authorization", "baggage", "connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization", "te",
    "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signs a request; its text form shows nothing."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False, default=None)

    @classmethod
    def of(cls, refreshable: Any) -> Credentials:
        """As botocore's credentials are now: it renews those that age."""
        frozen = refreshable.get_frozen_credentials()
        return cls(frozen.access_key, frozen.secret_key, frozen.token)


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    key: Credentials,
    region: str,
    service: str,
    now: datetime,
) -> dict[str, str]:
    """The given headers with host, date, token and `Authorization` added.

    Args:
        url: exactly as it will be sent: its path is signed as it stands, percent-encoded once more as the rules of
            every service but S3 ask, so a model id with `:` or `/` must already be encoded in it.
        now: aware time; converted to UTC.
    """
    parts = urlsplit(url)
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "Host": parts.netloc, "X-Amz-Date": stamp}
    if key.token:
        sent["X-Amz-Security-Token"] = key.token
    signed = {name.lower(): " ".join(value.split()) for name, value in sent.items() if name.lower() not in _UNSIGNED}
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        (
            method.upper(),
            quote(parts.path or "/", safe="/~-._"),
            _canonical_query(parts.query),
            "".join(f"{name}:{signed[name]}\n" for name in sorted(signed)),
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signing_key = _signing_key(key.secret_key, stamp[:8], region, service)
    signature = hmac.new(signing_key, to_sign.encode(), hashlib.sha256).hexdigest()
    sent["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return sent


@lru_cache(maxsize=64)
def _signing_key(secret_key: str, day: str, region: str, service: str) -> bytes:
    """The day's key: the same for every request of a day, so it is derived once."""
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _canonical_query(query: str) -> str:
    pairs = sorted((quote(name, safe="~-._"), quote(value, safe="~-._")) for name, value in parse_qsl(query, True))
    return "&".join(f"{name}={value}" for name, value in pairs)
