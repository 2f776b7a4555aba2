"""An MCP server over streamable HTTP: each turn calls one of its tools, drawn by weight.

Source: modelcontextprotocol.io, specification 2025-06-18, basic/transports and server/tools. A session is made by
`initialize` ahead of the turns; the id that the server gives it goes with every call.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from host.redaction import shown_url
from loadgen.job import LoadError, TargetSpec
from loadgen.schedule.session import SessionState
from loadgen.targets.base import Fetch, Fetched, Refused, Shared, new_trace, trace_headers
from loadgen.targets.http import HttpTarget
from loadgen.targets.mapping import fill
from loadgen.targets.signals import Signal, SignalAnswer
from loadgen.transport.answer import Answer, BadAnswer, Take
from loadgen.transport.connection import Endpoint
from wire.sse import SseParser

VERSION = "2025-06-18"
SESSIONS = 16
"""Sessions of a worker, where a mapping names no other number: agents' back ends keep a few open. A choice of ours."""
PAGES_MAX = 100
NAME_MAX = 256
"""Of a list of tools, and of a tool's name: beyond, a server plays with us. Choices of ours."""
GONE = 404
"""What a session that has ended answers."""
_ACCEPT = {"Accept": "application/json, text/event-stream"}
_EVENTS = b"text/event-stream"


@dataclass
class McpSession:
    """What the server agreed to; `id` None: it keeps no sessions. `lost` once it did not know it any more."""

    id: str | None
    version: str
    server: str
    lost: bool = False

    def headers(self) -> dict[str, str]:
        """Header lines of a call in this session."""
        known = {} if self.id is None else {"Mcp-Session-Id": self.id}
        return {**_ACCEPT, "MCP-Protocol-Version": self.version, **known}


@dataclass(frozen=True)
class Call:
    """A tool with its arguments' template; `tool` None asks for the list of tools, from a cursor in the arguments."""

    tool: str | None
    arguments: Mapping[str, object]

    def params(self, fields: Mapping[str, object]) -> tuple[str, dict[str, object]]:
        """Method and parameters of the request."""
        if self.tool is None:
            return "tools/list", dict(self.arguments)
        return "tools/call", {"name": self.tool, "arguments": fill(self.arguments, fields)}


class McpReader:
    """The JSON-RPC answer of one call, as one body or as an event stream, whose other messages are notifications."""

    def __init__(self, number: str) -> None:
        self.sse = False
        self.over = False
        self.ignored: list[str] = []
        self._number: str | None = number
        self._events = SseParser()
        self._body = bytearray()

    def feed(self, data: bytes) -> list[Signal]:
        """Signals of the messages that these bytes complete."""
        if not self.sse:
            self._body += data
            return []
        return [signal for event in self._events.feed(data) if event.data for signal in self._message(event.data)]

    def close(self) -> list[Signal]:
        """One JSON body is read here."""
        if self.sse:
            return self.feed(b"\n\n")
        body = bytes(self._body)
        return self._message(body) if body else []

    def reasons(self, signals: list[Signal]) -> list[str]:
        """Why what was read since the last call gave no signal."""
        reasons, self.ignored = self.ignored, []
        return reasons if signals or reasons else ["kept until the body ends" if not self.sse else "part of an event"]

    def _message(self, data: bytes) -> list[Signal]:
        message = orjson.loads(data)
        if not isinstance(message, dict):
            raise BadAnswer("no JSON-RPC message")
        if self._number is None or message.get("id") != self._number:
            self.ignored.append(f"no answer to this call: {message.get('method')}")
            return []
        self._number = None  # answered: a second answer is none
        self.over = True
        error = message.get("error")
        if error is not None:
            return [Signal("error", error.get("code") if isinstance(error, dict) else error)]
        return [*_contents(message.get("result")), Signal("end")]


def _contents(result: object) -> list[Signal]:
    """What a result says: its pieces of content, its structure, or the names of tools."""
    if not isinstance(result, dict):
        raise BadAnswer("a result that is no object")
    pieces = result.get("content") or result.get("tools") or [{}]
    if not isinstance(pieces, list) or not all(isinstance(piece, dict) for piece in pieces):
        raise BadAnswer("content that is no list of objects")
    texts = [str(piece.get("text") or piece.get("name") or "") for piece in pieces]
    failed = [Signal("error", "tool_error")] if result.get("isError") is True else []
    return [*(Signal("text", text) for text in texts), *failed]


class McpAnswer(SignalAnswer):
    """The answer to one call."""

    __slots__ = ("_mcp", "_session", "_tool")

    def __init__(
        self,
        gaps_ns: array[int],
        reader: McpReader,
        spec: TargetSpec,
        keep_text: bool,
        session: McpSession,
        tool: str | None,
    ) -> None:
        super().__init__(gaps_ns, reader, spec, keep_text)
        self._mcp = reader
        self._session = session
        self._tool = tool

    def on_headers(self, now_ns: int, http_status: int, headers: Mapping[bytes, bytes]) -> Take:
        """The server says by the type of the body which of the two forms it chose."""
        self._mcp.sse = _is_stream(headers)
        self._session.lost |= http_status == GONE
        return super().on_headers(now_ns, http_status, headers)

    def complete(self, now_ns: int) -> None:
        """The tool's row has the time of the whole call."""
        super().complete(now_ns)
        status = "ok" if self.status == "ok" else "error"
        duration_s = (now_ns - self.start_ns) * 1e-9
        self.tools.append({"tool": self._tool or "tools/list", "status": status, "duration_s": duration_s})


class McpTarget(HttpTarget):
    """Calls of tools; a customer's session uses one of a few MCP sessions of this worker."""

    def __init__(self, spec: TargetSpec, where: Endpoint, shared: Shared | None = None) -> None:
        super().__init__(spec, where, shared)
        calls = self._mapping.get("calls") or [{"tool": None}]
        self._calls = [Call(call["tool"], call.get("arguments") or {}) for call in calls]
        self._weights = list(itertools.accumulate(float(call.get("weight", 1.0)) for call in calls))
        self._wanted = int(self._mapping.get("sessions", SESSIONS))
        self._sessions: list[McpSession] = []
        self._seed = 0 if shared is None else shared.job.seed

    def prepare(self, states: list[SessionState], fetch: Fetch) -> None:
        """Have as many sessions as the mapping wants; one that was lost is made anew. Raises `Refused`."""
        self.refresh()
        self._sessions = [session for session in self._sessions if not session.lost]
        while states and len(self._sessions) < self._wanted:
            self._sessions.append(self.open_session(fetch, self.fields(states[0])))
            if self._sessions[-1].id is None:
                break

    def open_session(self, fetch: Fetch, fields: Mapping[str, object]) -> McpSession:
        """The handshake.

        Raises:
            Refused: no MCP server answers, or it refuses.
        """
        about = {"name": "peakday", "version": "1"}
        params = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": about}
        asked = self._message("initialize", params, "initialize")
        done = fetch(self.request(fields, dict(_ACCEPT), asked))
        if not 200 <= done.status < 300:
            raise Refused(f"mcp_initialize_{done.status}")
        result = _result(done)
        session_id = done.headers.get(b"mcp-session-id")
        server = result.get("serverInfo")
        if not isinstance(server, dict) or not _is_visible(session_id or b"-"):
            raise Refused("mcp_initialize_malformed")
        session = McpSession(
            None if session_id is None else session_id.decode(),
            str(result.get("protocolVersion", VERSION))[:NAME_MAX],
            str(server.get("name"))[:NAME_MAX],
        )
        fetch(self.request(fields, session.headers(), self._message("notifications/initialized", None, None)))
        return session

    def turn(self, state: SessionState) -> tuple[bytes, Answer]:
        """The present turn as a call of a tool."""
        assert self._shared is not None
        if not self._sessions:
            raise LoadError(f"target http={shown_url(self.spec.url)}: no MCP session")
        trace_id, span_id = new_trace(self._shared.random)
        living = [session for session in self._sessions if not session.lost] or self._sessions
        session = living[state.session.index % len(living)]
        number = f"{state.interaction_id}-{state.turn_index}"
        call = self.drawn(number)
        request = self.call(call, number, session, self.fields(state), trace_headers(trace_id, span_id))
        answer = McpAnswer(
            self._shared.gaps_ns, McpReader(number), self.spec, self._shared.job.keep_text, session, call.tool
        )
        answer.meta["trace_id"] = trace_id
        return request, answer

    def drawn(self, number: str) -> Call:
        """The call of a turn, by weight; the same for the same seed and turn, whoever drives it."""
        digest = hashlib.blake2b(f"{self._seed}/{number}".encode(), digest_size=8).digest()
        place = int.from_bytes(digest) / 2**64 * self._weights[-1]
        return self._calls[min(bisect.bisect_right(self._weights, place), len(self._calls) - 1)]

    def call(
        self, call: Call, number: str, session: McpSession, fields: Mapping[str, object], more: Mapping[str, str]
    ) -> bytes:
        """The request of one call."""
        body = self._message(*call.params(fields), number)
        return self.request(fields, {**session.headers(), **more}, body)

    @staticmethod
    def _message(method: str, params: Mapping[str, object] | None, number: str | None) -> bytes:
        """A JSON-RPC request, or a notification where it has no number."""
        message: dict[str, object] = {"jsonrpc": "2.0", "method": method}
        if number is not None:
            message["id"] = number
        if params is not None:
            message["params"] = params
        return orjson.dumps(message)


def _is_visible(session_id: bytes) -> bool:
    """Whether it is an id: visible ASCII, says the specification."""
    return all(0x21 <= mark <= 0x7E for mark in session_id)


def _is_stream(headers: Mapping[bytes, bytes]) -> bool:
    return headers.get(b"content-type", b"").lower().startswith(_EVENTS)


def _result(done: Fetched) -> Mapping[str, object]:
    """The result of a JSON-RPC answer, in either form.

    Raises:
        Refused: there is none.
    """
    parsed = SseParser().feed(done.body + b"\n\n") if _is_stream(done.headers) else None
    texts: Sequence[bytes] = [done.body] if parsed is None else [event.data for event in parsed]
    for text in texts:
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if isinstance(message, dict) and isinstance(message.get("result"), dict):
            result: dict[str, object] = message["result"]
            return result
    raise Refused("mcp_initialize_malformed")


def tools_of(target: McpTarget, fetch: Fetch, fields: Mapping[str, object]) -> tuple[str, list[Mapping[str, object]]]:
    """The server's name, and its tools with their input schemas.

    Raises:
        Refused: no MCP server answers.
    """
    session, cursor = target.open_session(fetch, fields), None
    known: list[Mapping[str, object]] = []
    for number in range(PAGES_MAX):
        page = Call(None, {} if cursor is None else {"cursor": cursor})
        result = _result(fetch(target.call(page, f"list-{number}", session, fields, {})))
        tools, before, cursor = result.get("tools"), cursor, result.get("nextCursor")
        known += [tool for tool in tools if _is_tool(tool)] if isinstance(tools, list) else []
        if not isinstance(cursor, str) or cursor == before:
            break
    return session.server, known


def _is_tool(tool: object) -> bool:
    """Whether it can be called: it has a name, of at most so many letters."""
    return isinstance(tool, dict) and isinstance(tool.get("name"), str) and 0 < len(tool["name"]) <= NAME_MAX
