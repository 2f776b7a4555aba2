"""Target `http`: a user's own assistant as a mapping file describes it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

import orjson

from host.redaction import shown_url
from loadgen.job import LoadError, TargetSpec
from loadgen.schedule.session import SessionState
from loadgen.targets.base import COMMON_HEADERS, Fetch, Refused, Shared, new_trace, trace_headers
from loadgen.targets.credentials import EVERY_S as CREDENTIALS_EVERY_S
from loadgen.targets.credentials import Signer
from loadgen.targets.mapping import expand_headers, fill, read_customers
from loadgen.targets.signals import MappedReader, SignalAnswer
from loadgen.transport.answer import Answer
from loadgen.transport.connection import Endpoint

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
TOKEN_WITHIN_S = 30.0
REFRESH_MIN_S = 0.05


class HttpTarget:
    """Fills the mapping's templates for every turn. Customers are drawn by the scenario's own Zipf distribution."""

    def __init__(self, spec: TargetSpec, where: Endpoint, shared: Shared | None = None) -> None:
        if spec.mapping is None:
            where_to = shown_url(spec.url)
            raise LoadError(f"target http={where_to}: no mapping file; name one with --target http=FILE.yaml")
        self.spec = spec
        self.where = where
        self._shared = shared
        self._mapping = spec.mapping
        self._headers = expand_headers(spec.mapping.get("headers", {}))
        lower = {name.lower(): value for name, value in self._headers.items()}
        self._own_cookies = "cookie" in lower
        self._content_type = lower.get("content-type", JSON)
        sends_body = "body" in spec.mapping or spec.mapping.get("format") == "mcp"
        usual = {**COMMON_HEADERS, **({"Content-Type": JSON} if sends_body else {})}
        self._defaults = {name: value for name, value in usual.items() if name.lower() not in lower}
        self._customers = read_customers(spec.mapping["customers"]) if "customers" in spec.mapping else []
        self._sends_history = "{messages" in str(spec.mapping.get("body"))
        parts = urlsplit(spec.url)
        self._origin = f"{parts.scheme}://{self.where.host_header}"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.token: str | None = None
        self._token_at_s = 0.0
        sigv4 = spec.mapping.get("sigv4")
        self._signer = Signer(sigv4["service"], sigv4["region"], loopback=False) if sigv4 else None

    @property
    def refresh_every_s(self) -> float | None:
        """How often `refresh` is called while the run goes on: a token is a quarter older than it may be at most.

        A token of `refresh_s: 0` is fetched for every batch of states, and not beside them.
        """
        refresh_s = float((self._mapping.get("token") or {}).get("refresh_s") or 0)
        if refresh_s > 0:
            return max(REFRESH_MIN_S, refresh_s / 4)
        return None if self._signer is None else CREDENTIALS_EVERY_S

    def prepare(self, states: list[SessionState], fetch: Fetch) -> None:
        """Have a token and credentials that are fresh."""
        self.refresh()

    def refresh(self) -> None:
        """Fetch a token by the user's own command when the last one is old, and the newest credentials."""
        token = self._mapping.get("token")
        age_s = time.monotonic() - self._token_at_s
        if token and (self.token is None or age_s > float(token.get("refresh_s", float("inf")))):
            self.token = run_token_command(token["command"])
            self._token_at_s = time.monotonic()
        if self._signer is not None:
            self._signer.refresh()

    def turn(self, state: SessionState) -> tuple[bytes, Answer]:
        """The present turn as a request."""
        assert self._shared is not None
        trace_id, span_id = new_trace(self._shared.random)
        fields, keep = self.turn_fields(state)
        more = trace_headers(trace_id, span_id)
        if state.cookies and not self._own_cookies:
            more["Cookie"] = "; ".join(f"{name}={value}" for name, value in state.cookies.items())
        request = self.request(fields, more)
        answer = SignalAnswer(self._shared.gaps_ns, MappedReader(self._mapping), self.spec, keep)
        answer.meta["trace_id"] = trace_id
        return request, answer

    def turn_fields(self, state: SessionState) -> tuple[dict[str, object], bool]:
        """The fields of the present turn, its question now in the history; and whether its answer's text is kept."""
        assert self._shared is not None
        keep = self._shared.job.keep_text
        if self._sends_history:
            state.history.append(("user", self._shared.messages[state.turn.message_id]["text"]))
            keep = keep or state.more_turns
        return self.fields(state), keep

    def fields(self, state: SessionState) -> dict[str, object]:
        """Everything a template may name."""
        assert self._shared is not None
        message = self._shared.messages[state.turn.message_id]
        fields = {
            "message": message["text"],
            "locale": state.session.locale,
            "region": state.region,
            "session_id": state.session_id,
            "interaction_id": state.interaction_id,
            "turn_index": state.turn_index,
            "product_id": message.get("page_product_id"),
            "images": message.get("images"),
            "conversation_id": state.conversation_id,
            "token": self.token,
            "model": self.spec.model,
        }
        if self._sends_history:
            fields |= history_fields(state.history, state.interaction_id)
        if self._customers:
            customer = self._customers[state.session.customer_index % len(self._customers)]
            fields |= {f"customer.{name}": value for name, value in customer.items()}
        else:
            fields["customer.id"] = state.session.customer_id
        return fields

    def request(self, fields: Mapping[str, object], more: dict[str, str], body: bytes | None = None) -> bytes:
        """One request, its templates filled, signed where the mapping asks for it; `body` in place of the mapping's."""
        method = self._mapping.get("method", "POST")
        own = {name: _header(value) for name, value in more.items()}  # an MCP server chose some of them
        headers = {**self._defaults, **own, **self.headers(fields)}
        if body is None:
            body = encoded(fill(self._mapping["body"], fields), self._content_type) if "body" in self._mapping else b""
        path = self.path(fields)
        if self._signer is not None:
            headers = self._signer.sign(method, self._origin + path, headers, body, datetime.now(UTC))
        else:
            headers = {"Host": self.where.host_header, **headers}
        if body or method != "GET":
            headers["Content-Length"] = str(len(body))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def headers(self, fields: Mapping[str, object]) -> dict[str, str]:
        """The mapping's own headers, filled."""
        return {name: _header(fill(value, fields)) for name, value in self._headers.items()}

    def path(self, fields: Mapping[str, object]) -> str:
        """Path and query, with fields of the turn where the URL names some."""
        if "{" not in self._path:
            return self._path
        return str(fill(self._path, {name: quote(str(value or ""), safe="") for name, value in fields.items()}))

    def learn(self, state: SessionState, answer: Answer) -> None:
        """Keep the conversation's id and cookies for the next turn, and the reply where a request holds the history."""
        if self._sends_history and answer.text is not None:
            state.history.append(("assistant", answer.full_text()))
        state.conversation_id = answer.meta.get("conversation_id") or state.conversation_id
        if isinstance(answer, SignalAnswer):
            state.cookies |= answer.cookies


def history_fields(history: Sequence[tuple[str, str]], interaction_id: str) -> dict[str, object]:
    """The conversation as `{messages}`, with ids `{messages.ids}`, in text parts `{messages.parts}`, in Google's words
    `{messages.contents}`."""
    plain = [{"role": role, "content": content} for role, content in history]
    ids = [f"{interaction_id}-{number}" for number in range(len(history))]
    return {
        "messages": plain,
        "messages.ids": [{"id": key, **message} for key, message in zip(ids, plain, strict=True)],
        "messages.parts": [
            {"id": key, "role": role, "parts": [{"type": "text", "text": content}]}
            for key, (role, content) in zip(ids, history, strict=True)
        ],
        "messages.contents": [
            {"role": "model" if role == "assistant" else role, "parts": [{"text": content}]}
            for role, content in history
        ],
    }


def encoded(body: object, content_type: str) -> bytes:
    """A filled body as the mapping's own Content-Type has it: a form, a text as it is, or JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == FORM and isinstance(body, dict):
        return urlencode(
            {name: value if isinstance(value, str) else _json(value) for name, value in body.items()}
        ).encode()
    if kind != JSON and isinstance(body, str):
        return body.encode()
    return orjson.dumps(body)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _header(value: object) -> str:
    """A header's value on one line: a field of it may come from the target's own last answer."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def run_token_command(command: list[str]) -> str:
    """A token from the user's own command; raises `Refused` when it fails. The token itself is never logged."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=TOKEN_WITHIN_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise Refused(f"token_command_{type(error).__name__}") from None
    return done.stdout.decode("utf-8", "replace").strip()
