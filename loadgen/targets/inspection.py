"""One question to a mapped target, shown: every piece of its answer as it came, and what the mapping recognised."""

from __future__ import annotations

import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urlsplit

from host.fetch import connect as connect_to
from host.redaction import shown_url
from loadgen.job import LoadError, TargetSpec
from loadgen.targets.base import Fetch, Fetched, Refused, new_trace, trace_headers
from loadgen.targets.explaining import ExplainingReader
from loadgen.targets.http import HttpTarget, history_fields
from loadgen.targets.mapping import is_socket, read_customers
from loadgen.targets.mcp import McpReader, McpTarget
from loadgen.targets.openai_options import CHAT
from loadgen.targets.signals import Signal
from loadgen.targets.unmapped import ChatReader, OwnReader, own_call
from loadgen.targets.web_socket import SocketTarget
from loadgen.transport.answer import A_PAGE, COMPRESSED, END_GRACE_S, GRPC, HTML, RETRY_AFTER, UNSPOKEN, BadAnswer, said
from loadgen.transport.connection import Endpoint, endpoint
from loadgen.transport.exchange import Exchange
from loadgen.transport.tls import UNTRUSTED
from wire.eventstream import EventStreamError
from wire.html_text import is_page
from wire.http_response import ResponseError, retry_after
from wire.web_socket import SWITCHED, SocketReader

ASK_WITHIN_S = 60.0
ASKED_BYTES_MAX = 8 * 2**20
"""Every byte of an answer is shown and kept: one that is longer has no end."""
FETCHED_BYTES_MAX = 16 * 2**20
REFUSED_BYTES_MAX = 65_536
BODY_OPEN = (
    f"end said, body still open {END_GRACE_S:g} s later: a load run ends the answer where it said so, and closes the "
    "connection"
)
_GZIP_OR_ZLIB = 47
"""zlib's window bits by which it tells the two apart by itself."""


@dataclass(frozen=True)
class Piece:
    """Bytes of one read, seconds after the sending, the signals they completed, and why other events gave none."""

    at_s: float
    data: bytes
    recognised: list[Signal]
    ignored: list[str] = field(default_factory=list)


def ask_mapped(
    spec: TargetSpec,
    message: str,
    admitted: Mapping[str, tuple[str, ...]] | None = None,
    *,
    within_s: float = ASK_WITHIN_S,
    fields: Mapping[str, object] | None = None,
) -> Iterator[Piece]:
    """Ask a target one question, with the request a load worker would send: it is the first piece.

    Args:
        admitted: host -> addresses, as the guard resolved them.
        within_s: until the answer has ended, whatever keeps the connection alive.
        fields: of the turn, in place of those of a first turn: its number, its conversation's id, its history.

    Raises:
        LoadError: no connection, an error status, or an answer that cannot be read.
    """
    named = f"target {spec.kind}={shown_url(spec.url)}"
    try:
        where = endpoint(spec.url, admitted)
        connection = connect(where, within_s)
    except OSError as error:
        more = f"; {UNTRUSTED}" if isinstance(error, ssl.SSLCertVerificationError) else ""
        raise LoadError(f"{named}: does not answer ({error}){more}") from None
    if is_socket(spec.url):
        yield from ask_socket(spec, where, connection, message, fields, within_s)
        return
    with connection:
        asked, reader = call(spec, where, message, fields, within_s)
        exchange = Exchange(connection, within_s, ASKED_BYTES_MAX)
        started_s = time.monotonic()
        yield Piece(0.0, asked, [])
        try:
            exchange.send(asked)
            if not 200 <= exchange.status < 300:
                raise LoadError(f"{named}: {_refusal(exchange)}")
            if exchange.header(b"content-type").startswith(GRPC.decode()):
                raise LoadError(f"{named}: {UNSPOKEN}")
            if isinstance(reader, McpReader):
                reader.sse = exchange.header(b"content-type").lower().startswith("text/event-stream")
            yield from _pieces(exchange, reader, started_s)
            if encoding := _encoding(exchange):
                raise LoadError(f"{named}: content encoding {encoding}: {COMPRESSED}")
        except OSError as error:
            raise LoadError(f"{named}: the answer broke off ({error})") from None
        except ResponseError as error:
            raise LoadError(f"{named}: {error}") from None
        except (BadAnswer, EventStreamError, ValueError) as error:
            raise LoadError(f"{named}: its format does not fit the answer ({error})") from None


def _in_time(started_s: float, within_s: float) -> None:
    """What keeps a connection alive is no end: a server's pings would have us wait for ever.

    Raises:
        OSError: the time is over.
    """
    if time.monotonic() > started_s + within_s:
        raise TimeoutError(f"no end within {within_s:g} s")


def _refusal(exchange: Exchange) -> str:
    """An error status, when to come back where it says so, and what it says."""
    if 300 <= exchange.status < 400:
        where = shown_url(exchange.header(b"location") or "nowhere")
        return f"status {exchange.status}: redirects to {where}; name that address"
    again = retry_after(exchange.headers)
    unpack = _unpacked(_encoding(exchange))
    text = said(unpack(exchange.read(REFUSED_BYTES_MAX))) if unpack else ""
    return f"status {exchange.status}{f' ({RETRY_AFTER} {again})' if again else ''}: {text}"


def _encoding(exchange: Exchange) -> str:
    """How an answer is compressed; nothing where it is not."""
    name = exchange.header(b"content-encoding").strip().lower()
    return "" if name == "identity" else name


def _unpacked(encoding: str) -> Callable[[bytes], bytes] | None:
    """What undoes a content encoding, piece by piece; None where Python does not know it."""
    if not encoding:
        return bytes
    return zlib.decompressobj(_GZIP_OR_ZLIB).decompress if encoding in ("gzip", "x-gzip", "deflate") else None


def ask_socket(
    spec: TargetSpec,
    where: Endpoint,
    connection: socket.socket,
    message: str,
    fields: Mapping[str, object] | None,
    within_s: float,
) -> Iterator[Piece]:
    """The same over a WebSocket: the first piece is its handshake and every message that is sent.

    Raises:
        LoadError: a handshake that was refused, or an answer the mapping cannot read.
    """
    target = SocketTarget(spec, where)
    turn = target.messages(
        first_fields(spec, target, message) | dict(fields or {}), trace_headers(*new_trace(Random()))
    )
    reader, explaining = SocketReader(), ExplainingReader(spec.mapping or {})
    with connection:
        started_s = time.monotonic()
        asked = reader.open(turn.opening, (*turn.first, *turn.messages))
        connection.sendall(asked)
        yield Piece(0.0, asked + "\n".join((*turn.first, *turn.messages)).encode(), [])
        try:
            kinds: set[str] = set()
            while not reader.complete and "end" not in kinds and (data := connection.recv(65_536)):
                _in_time(started_s, within_s)
                reader.feed(data)
                connection.sendall(bytes(reader.outgoing))
                reader.outgoing.clear()
                if reader.status != SWITCHED:
                    continue
                messages, reader.body[:] = [*reader.body], []
                for each in messages:
                    signals = explaining.feed(each)
                    kinds |= {signal.kind for signal in signals}
                    yield Piece(time.monotonic() - started_s, each, signals, explaining.reasons(signals))
            if reader.status != SWITCHED:
                text = b"".join(reader.body)[:300].decode("utf-8", "replace")
                raise LoadError(f"target http={shown_url(spec.url)}: status {reader.status}, no WebSocket: {text}")
            rest = explaining.close()
            yield Piece(time.monotonic() - started_s, b"", rest, [_closed(reader)] if reader.complete else [])
            if not kinds and not {signal.kind for signal in rest} - {"end"}:
                raise BadAnswer("nothing in it was recognised")
        except OSError as error:
            raise LoadError(f"target http={shown_url(spec.url)}: the answer broke off ({error!r})") from None
        except ValueError as error:
            where_to = shown_url(spec.url)
            raise LoadError(f"target http={where_to}: the mapping's format does not fit the answer ({error})") from None


def _closed(reader: SocketReader) -> str:
    return f"the socket was closed: {reader.closed} {reader.reason}".strip()


AnyReader = ExplainingReader | McpReader | OwnReader


def call(
    spec: TargetSpec, where: Endpoint, message: str, fields: Mapping[str, object] | None, within_s: float
) -> tuple[bytes, AnyReader]:
    """The request of one question, and the reader of its answer."""
    if spec.mapping is None:
        return own_call(spec, where, message, fields or {})
    if spec.mapping.get("format") == "mcp":
        return mcp_call(spec, where, message, fields, within_s)
    chat = spec.mapping.get("format") == CHAT
    return request(spec, where, message, fields), ChatReader() if chat else ExplainingReader(spec.mapping)


def mcp_call(
    spec: TargetSpec, where: Endpoint, message: str, fields: Mapping[str, object] | None, within_s: float
) -> tuple[bytes, ExplainingReader | McpReader]:
    """The request of one call in a new session, and the reader of its answer.

    Raises:
        LoadError: the server refuses the handshake.
    """
    target = McpTarget(spec, where)
    known = first_fields(spec, target, message) | dict(fields or {})
    try:
        session = target.open_session(fetching(where, within_s), known)
    except (Refused, OSError, ValueError) as error:
        raise LoadError(f"target http={shown_url(spec.url)}: no MCP session ({error})") from None
    number = f"ask-{known['turn_index']}"
    more = trace_headers(*new_trace(Random()))
    return target.call(target.drawn(number), number, session, known, more), McpReader(number)


def fetching(where: Endpoint, within_s: float) -> Fetch:
    """Requests one by one, each on a connection of its own."""

    def fetch(request: bytes, /, wait_s: float = within_s) -> Fetched:
        with connect(where, wait_s) as connection:
            exchange = Exchange(connection, wait_s, FETCHED_BYTES_MAX)
            exchange.send(request)
            return Fetched(exchange.status, exchange.read(FETCHED_BYTES_MAX), exchange.headers)

    return fetch


def _pieces(exchange: Exchange, reader: AnyReader, started_s: float) -> Iterator[Piece]:
    known, unpack = False, _unpacked(_encoding(exchange))
    called_html = exchange.header(b"content-type").lower().startswith(HTML.decode())
    for data in exchange.pieces():
        at_s = time.monotonic() - started_s
        if unpack is None:
            break
        data = unpack(data)
        if called_html and not known and is_page(data[:200].decode("utf-8", "replace")):
            raise BadAnswer(f"{A_PAGE}{said(data)}")
        signals = reader.feed(data)
        known = known or bool(signals)
        kinds = {signal.kind for signal in signals}
        if kinds & {"text", "content", "end"}:
            exchange.end_said("end" in kinds)
        yield Piece(at_s, data, signals, reader.reasons(signals))
    if exchange.left_open:
        yield Piece(time.monotonic() - started_s, b"", [], [BODY_OPEN])
    rest = reader.close()
    if rest or reader.ignored:
        yield Piece(time.monotonic() - started_s, b"", rest, reader.reasons(rest))
    if unpack is not None and not known and {signal.kind for signal in rest} <= {"end"}:
        raise BadAnswer("nothing in it was recognised")


def connect(where: Endpoint, within_s: float) -> socket.socket:
    """A blocking connection, with TLS where the endpoint has it."""
    plain = connect_to(where.addresses, where.port, within_s)
    if where.tls is None:
        return plain
    return where.tls.wrap_socket(plain, server_hostname=urlsplit(f"//{where.host_header}").hostname)


def request(spec: TargetSpec, where: Endpoint, message: str, more: Mapping[str, object] | None = None) -> bytes:
    """The request of one question by the first customer of the mapping's file; `more` fields replace a first turn's."""
    target = HttpTarget(spec, where)
    fields = first_fields(spec, target, message) | dict(more or {})
    return target.request(fields, trace_headers(*new_trace(Random())))


def first_fields(spec: TargetSpec, target: HttpTarget, message: str) -> dict[str, object]:
    """The fields of a first turn, by the first customer of the mapping's file, with a fresh token."""
    target.refresh()
    fields = {
        "message": message, "locale": "en_US", "region": spec.region, "session_id": "ask", "interaction_id": "ask-0",
        "turn_index": 0, "product_id": None, "images": None, "conversation_id": None, "token": target.token,
        "customer.id": "c000001", "model": spec.model, **history_fields([("user", message)], "ask-0"),
    }  # fmt: skip
    mapping = spec.mapping or {}
    if "customers" in mapping:
        fields |= {f"customer.{name}": value for name, value in read_customers(mapping["customers"])[0].items()}
    return fields
