"""Signature Version 4, checked: whether a request was signed with the secret that its access key stands for.

Source: AWS General Reference, "Create a signed AWS API request". Written apart from `wire.sigv4`, which signs; what
boto3 signs is the judge of both.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from urllib.parse import quote

from emulator.http.connection import Request

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/"
    r"(?P<scope>(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request),"
    r"\s*SignedHeaders=(?P<headers>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


def is_signed(request: Request, secrets: dict[str, str]) -> bool:
    """Whether the Authorization header holds for this request; False for an unknown access key."""
    matched = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if matched is None or matched["key"] not in secrets:
        return False
    canonical = "\n".join(
        (
            request.method,
            quote(_encoded(request.path), safe="/-_.~"),
            "&".join(sorted(request.query.split("&"))),
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in matched["headers"].split(";")),
            "",
            matched["headers"],
            request.headers.get("x-amz-content-sha256") or sha256(request.body).hexdigest(),
        )
    )
    to_sign = "\n".join(
        (
            "AWS4-HMAC-SHA256",
            request.headers.get("x-amz-date", ""),
            matched["scope"],
            sha256(canonical.encode()).hexdigest(),
        )
    )
    key = f"AWS4{secrets[matched['key']]}".encode()
    for part in (matched["date"], matched["region"], matched["service"], "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.new(key, to_sign.encode(), "sha256").hexdigest(), matched["signature"])


def _encoded(path: str) -> str:
    """A path as it was sent: an ARN in place of a model id has slashes of its own, which are encoded."""
    start, _, rest = path.partition("/model/")
    name, slash, operation = rest.rpartition("/")
    if start or not slash:
        return quote(path, safe="/-_.~")
    return f"/model/{quote(name, safe='-_.~')}/{quote(operation, safe='-_.~')}"
