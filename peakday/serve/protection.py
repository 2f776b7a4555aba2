"""What every request meets first: under its own name, from no page but its own, and writes only with the page's token.

A page of any site can make its reader's browser send to 127.0.0.1, and a name of its own can be made to lead there
(DNS rebinding): `host.browsers` has both rules. Answers carry a policy under which no script, style or connection but
our own is loaded.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from host.browsers import is_json, refusal
from host.control_token import new_token

TOKEN_HEADER = "X-Peakday-Csrf"  # noqa: S105 - the name of a header
READS = ("GET", "HEAD")
FOREIGN = ("cross-site", "same-site")
"""What a browser says of a picture or script that another site's page loads from here: it would start a plan."""
BODY_BYTES_MAX = 1_000_000
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src {frames}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
DRAWN_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""Of a report: an origin of its own, so that whatever a record brought reaches neither our pages nor our token. The
page's own policy, which names its scripts by their hash, holds besides."""


@dataclass(frozen=True)
class Rules:
    """Who may do what. names: hosts that a proxy serves these pages under; they may read, never write."""

    read_only: bool = False
    names: tuple[str, ...] = ()
    token: str = field(default_factory=new_token)

    def refuses(self, method: str, headers: Headers) -> str | None:
        """Why a request is not answered; None where it is."""
        host, origin = headers.get("host"), headers.get("origin")
        if host in self.names:
            if origin not in (None, f"http://{host}", f"https://{host}"):
                return "this address is for pages of its own"
        elif (why := refusal(host, origin)) is not None:
            return why
        if headers.get("sec-fetch-site") in FOREIGN and headers.get("sec-fetch-mode") != "navigate":
            return "this address is for pages of its own"
        return None if method in READS else self._refuses_write(host, headers)

    def _refuses_write(self, host: str | None, headers: Headers) -> str | None:
        if self.read_only or host in self.names:
            return "these pages are read-only"
        if not is_json(headers.get("content-type")):
            return "a write is a body of JSON"
        if not hmac.compare_digest(headers.get(TOKEN_HEADER, "").encode(), self.token.encode()):
            return "the page is of an earlier start of serve, or not ours: load it again"
        return None


class Protection:
    """The application behind the rules."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 with the reason in one line, or pass on; every answer gets its headers."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        why = self._rules.refuses(scope["method"], headers)
        if int(headers.get("content-length") or 0) > BODY_BYTES_MAX or "transfer-encoding" in headers:
            why = f"the body is longer than {BODY_BYTES_MAX:,} bytes, or does not say its length"
        answer: ASGIApp = self._app if why is None else JSONResponse({"error": why}, 403)
        await answer(scope, receive, _with_headers(send))


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Content-Security-Policy", POLICY.format(frames="'self'"))
            headers.setdefault("Cache-Control", "no-store")
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Referrer-Policy"] = "no-referrer"
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
        await send(message)

    return sent
