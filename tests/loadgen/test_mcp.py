"""An MCP server as a target: sessions made ahead, tools called by weight, both forms of an answer read."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from loadgen.job import LoadError
from loadgen.targets.inspection import ask_mapped, fetching, first_fields
from loadgen.targets.mapping import load_mapping, named_target, target_specs
from loadgen.targets.mcp import McpTarget, tools_of
from loadgen.transport.connection import endpoint
from peakday.agent.detect import detect
from peakday.consent import NO_CONSENT
from peakday.console import Console
from tests.loadgen.server import response, serving
from tests.loadgen.worker_runs import play

CALLS = [{"tool": "search", "weight": 3, "arguments": {"query": "{message}"}}, {"tool": "fails", "weight": 1}]
TOOLS = [
    {"name": "search", "inputSchema": {"type": "object", "required": ["query", "limit"], "properties": {
        "query": {"type": "string"}, "limit": {"type": "integer"}, "page": {"type": "integer"}}}},
    {"name": "sort", "inputSchema": {"type": "object", "required": ["by"], "properties": {"by": {"enum": ["price"]}}}},
]  # fmt: skip


def answer_to(message, events: bool, **result) -> bytes:
    """A JSON-RPC answer, after a notification where it is a stream."""
    answer = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
    if not events:
        return answer
    progress = b'data: {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}\n\n'
    return progress + b"event: message\ndata: " + answer + b"\n\n"


class McpServer:
    """Answers in one form; `calls` are those it took, with their session; a session it does not know is gone."""

    def __init__(self, events: bool = False, keeps: bool = True) -> None:
        self.events, self.keeps = events, keeps
        self.sessions, self.calls = [], []

    def __call__(self, path, headers, body):
        message = json.loads(body)
        kind = "text/event-stream" if self.events else "application/json"
        if message["method"] == "initialize":
            self.sessions.append(f"s{len(self.sessions)}")
            about = answer_to(message, self.events, protocolVersion="2025-06-18", serverInfo={"name": "shop"})
            head = response(about, content_type=kind)
            known = b"\r\nMcp-Session-Id: " + self.sessions[-1].encode() if self.keeps else b""
            return [(0.0, head.replace(b"\r\n", known + b"\r\n", 1))]
        if "id" not in message:
            return [(0.0, response(b"", "202 Accepted"))]
        session = headers.get("mcp-session-id")
        if self.keeps and session not in self.sessions:
            return [(0.0, response(b"no such session", "404 Not Found"))]
        if message["method"] == "tools/list":
            return [(0.0, response(answer_to(message, self.events, tools=TOOLS), content_type=kind))]
        params = message["params"]
        self.calls.append((session, headers["mcp-protocol-version"], params["name"], params["arguments"]))
        failed = {"isError": True} if params["name"] == "fails" else {}
        content = [{"type": "text", "text": "It ships "}, {"type": "text", "text": "Friday."}]
        return [(0.0, response(answer_to(message, self.events, content=content, **failed), content_type=kind))]


def spec_of(url, **changes):
    """The named mapping at this server, with these keys."""
    path, values = named_target(f"mcp:{url}/mcp")
    (spec,) = target_specs(path, values)
    return replace(spec, mapping=spec.mapping | changes)


@pytest.mark.parametrize("events", [False, True])
def test_tools_are_called_by_weight_in_sessions_made_ahead(make_job, events):
    """Either form of answer; each tool's calls are rows, and a tool's own failure is its turn's."""
    mcp = McpServer(events)
    with serving(mcp) as server:
        run, final = play(make_job(spec_of(server.url, calls=CALLS, sessions=3), keep_text=True, rate_per_s=100.0))
    assert final["faults"] == []
    drawn = Counter(tool for _, _, tool, _ in mcp.calls)
    assert drawn["search"] > drawn["fails"] > 0
    assert {session for session, *_ in mcp.calls} == set(mcp.sessions) == {"s0", "s1", "s2"}
    assert all(arguments["query"].startswith("is there") for *_, tool, arguments in mcp.calls if tool == "search")
    assert run.tools.groupby("tool")["status"].unique().map(list).to_dict() == {"search": ["ok"], "fails": ["error"]}
    assert set(run.turns["error_code"].dropna()) == {"tool_error"}
    assert (run.turns["status"] == "ok").sum() == drawn["search"]
    assert set(run.texts["answer"]) == {"It ships Friday."}


def test_a_server_without_sessions_needs_one_handshake(make_job):
    """It gives no id, and none is sent."""
    mcp = McpServer(keeps=False)
    with serving(mcp) as server:
        run, _ = play(make_job(spec_of(server.url, calls=CALLS[:1])))
    assert set(run.turns["status"]) == {"ok"}
    assert len(mcp.sessions) == 1
    assert {session for session, *_ in mcp.calls} == {None}


def test_what_is_no_mcp_server_fails_its_turns_with_the_reason(make_job):
    """The handshake's status, and no fault of ours."""
    with serving(lambda *_: [(0.0, response(b"no", "405 Method Not Allowed"))]) as server:
        run, final = play(make_job(spec_of(server.url)))
        with pytest.raises(LoadError, match="no MCP session"):
            list(ask_mapped(spec_of(server.url), "hello"))
    assert final["faults"] == []
    assert set(run.turns["error_code"]) == {"mcp_initialize_405"}


def test_a_lost_session_is_not_used_again(make_job):
    """Its first call says so; the others' turns are answered."""
    mcp = McpServer()
    with serving(mcp) as server:
        job = make_job(spec_of(server.url, calls=CALLS[:1], sessions=2))
        run, _ = play(job, lambda _: mcp.sessions.remove("s0"))
    assert set(run.turns["error_code"].dropna()) == {"404"}
    assert {session for session, *_ in mcp.calls} == {"s1"}


def test_detecting_writes_a_call_of_every_tool(tmp_path, monkeypatch):
    """Texts are the question, and what else is required the least of its type."""
    monkeypatch.chdir(tmp_path)
    with serving(McpServer()) as server:
        url = f"{server.url}/mcp"
        text, data, code = detect(url, None, tmp_path / "mine.yaml", NO_CONSENT, Console(quiet=True))
        mapping = load_mapping(tmp_path / "mine.yaml")
        (_, *pieces) = ask_mapped(*target_specs(tmp_path / "mine.yaml"), "hello")
    assert (code, data["best"]) == (0, f"http=mcp:{url}")
    assert "MCP server shop with 2 tools: search, sort" in text
    assert [call["arguments"] for call in mapping["calls"]] == [{"query": "{message}", "limit": 1}, {"by": "price"}]
    assert [signal.kind for piece in pieces for signal in piece.recognised] == ["text", "text", "end"]


class OddServer(McpServer):
    """The same, with its own greeting (result, headers), its own words round each answer of a call, or its own list."""

    def __init__(self, about=None, head="", call=None, pages=None):
        super().__init__()
        self.about, self.head, self.call, self.pages = about, head, call, pages
        self.heads = []

    def __call__(self, path, headers, body):
        message = json.loads(body)
        self.heads.append(headers)
        if message["method"] == "initialize" and self.about is not None:
            self.sessions.append("s")
            known = f"Mcp-Session-Id: s{self.head}\r\n"
            return [(0.0, response(answer_to(message, False, **self.about), headers=known))]
        if message["method"] == "tools/list" and self.pages is not None:
            return [(0.0, response(answer_to(message, False, **self.pages(message["params"].get("cursor")))))]
        if message["method"] == "tools/call" and self.call is not None:
            kind, text = self.call
            answer = answer_to(message, False, content=[{"type": "text", "text": "ok"}])
            return [(0.0, response(text.replace(b"ANSWER", answer), content_type=kind))]
        return super().__call__(path, headers, body)


ABOUT = {"protocolVersion": "2025-06-18", "serverInfo": {"name": "shop"}}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("Text/Event-Stream; charset=utf-8", b"data: ANSWER\n\n"),
        ("text/event-stream", b"id: 1\nretry: 0\ndata: \n\nid: 2\ndata: ANSWER\n\n"),
        ("text/event-stream", b": ping\r\n\r\nevent: message\r\ndata:ANSWER\r\n\r\n"),
        ("text/event-stream", b'data: {"id": 1, "method": "sampling/createMessage"}\n\ndata: ANSWER'),
        ("text/event-stream", b"data: ANSWER\n\ndata: ANSWER\n\n"),
    ],
    ids=["capitals", "an empty event first", "CRLF", "a question of the server's", "twice"],
)
def test_an_answer_is_read_however_the_stream_is_dressed(make_job, kind, text):
    """A server of 2025-11-25 sends an id with empty data first, so that a client can come back."""
    with serving(OddServer(ABOUT, call=(kind, text))) as server:
        run, final = play(make_job(spec_of(server.url, calls=CALLS[:1], sessions=1), keep_text=True, rate_per_s=10.0))
    assert (final["faults"], set(run.turns["status"]), set(run.texts["answer"])) == ([], {"ok"}, {"ok"})


@pytest.mark.parametrize("version", ["2025-06-18\r\nX-Injected: 1\r\n\r\nGET /x HTTP/1.1", ["2025"], "9" * 200_000])
def test_no_word_of_the_greeting_becomes_a_header_of_its_own(make_job, version):
    """The version goes back with every call, on one line and short."""
    odd = OddServer(ABOUT | {"protocolVersion": version})
    with serving(odd) as server:
        play(make_job(spec_of(server.url, sessions=1), rate_per_s=5.0))
    assert not any("x-injected" in head for head in odd.heads)
    assert {path for path, _, _ in server.requests} == {"/mcp"}
    assert max(len(head.get("mcp-protocol-version", "")) for head in odd.heads) <= 256


@pytest.mark.parametrize("head", ["\xe9", " x", "\t"])
def test_a_session_id_is_visible_letters(make_job, head):
    """The specification's words; what is no id is not sent back in another encoding."""
    with serving(OddServer(ABOUT, head=f"{head}y")) as server:
        run, _ = play(make_job(spec_of(server.url, sessions=1), rate_per_s=5.0))
    assert set(run.turns["error_code"]) == {"mcp_initialize_malformed"}


def listed(tools, size):
    """A list in pages of this size; size 0: a cursor that never moves."""

    def page(cursor):
        at = int(cursor or 0)
        more = {"nextCursor": str(at + size)} if at + size < len(tools) else {}
        return {"tools": tools[at : at + size], **more} if size else {"tools": tools, "nextCursor": "0"}

    return page


@pytest.mark.parametrize(
    ("tools", "size", "names"),
    [
        ([{"name": f"t{number}"} for number in range(5)], 2, ["t0", "t1", "t2", "t3", "t4"]),
        ([{"name": "t0"}], 0, ["t0", "t0"]),
        ([{"name": 5}, {"name": None}, {}, "x", {"name": "a" * 100_000}, {"name": ""}, {"name": "é"}], 9, ["é"]),
        ({"a": 1}, 9, []),
    ],
    ids=["pages", "a cursor that stays", "names that are none", "no list"],
)
def test_every_page_of_the_tools_is_read_and_no_endless_one(tools, size, names):
    pages = listed(tools, size) if isinstance(tools, list) else lambda _: {"tools": tools}
    with serving(OddServer(ABOUT | {"serverInfo": {"name": "x" * 1_000_000}}, pages=pages)) as server:
        spec = spec_of(server.url)
        where = endpoint(spec.url, {})
        target = McpTarget(spec, where)
        name, known = tools_of(target, fetching(where, 5.0), first_fields(spec, target, "hello"))
    assert [tool["name"] for tool in known] == names
    assert len(name) == 256


def test_calls_are_checked(tmp_path):
    """A weight that is none names the key and shows its form."""
    file = tmp_path / "m.yaml"
    file.write_text("schema: peakday.target/1\nurl: http://127.0.0.1:1\nformat: mcp\ncalls: [{tool: a, weight: 0}]\n")
    with pytest.raises(LoadError, match=r"calls: expected a list such as"):
        load_mapping(file)
