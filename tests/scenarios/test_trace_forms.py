"""Every form of trace as its own tool writes it: what it is by content, and what a call of it is."""

import gzip
import json
from pathlib import Path

import pytest

from host.errors import PeakdayError
from scenarios.traces.detection import detect, rows, steps
from scenarios.traces.row import AGENT, CALL, TOOL
from scenarios.traces.sessions import read_trace


def written(tmp_path, *records, name="trace.json", lines=True):
    path = tmp_path / name
    text = "".join(json.dumps(record) + "\n" for record in records) if lines else json.dumps(records)
    path.write_text(text)
    return path


def at(second):
    return f"2026-01-01T00:00:{second:02d}.000Z"


def nano(second):
    return 1_767_225_600_000_000_000 + int(second * 1e9)


def otlp(*spans, resource=()):
    def attribute(key, value):
        kind = "intValue" if isinstance(value, int) else "stringValue"
        return {"key": key, "value": {kind: str(value)}}

    encoded = [
        {
            "traceId": trace, "spanId": key, "parentSpanId": parent, "name": "x", "startTimeUnixNano": str(nano(start)),
            "endTimeUnixNano": str(nano(end)), "attributes": [attribute(*item) for item in attributes.items()],
        }
        for trace, key, parent, start, end, attributes in spans
    ]  # fmt: skip
    held = {"attributes": [attribute(*item) for item in resource]}
    return {"resourceSpans": [{"resource": held, "scopeSpans": [{"spans": encoded}]}]}


CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.output_tokens": 5}
SPANS = [
    ("t1", "a", "", 0, 9, {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "c", "user.id": "u"}),
    ("t1", "b", "a", 0, 2, CHAT | {"gen_ai.usage.input_tokens": 100}),
    ("t1", "c", "a", 2, 5, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}),
    ("t1", "d", "a", 2, 6, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "price"}),
    ("t1", "e", "a", 6, 9, CHAT | {"gen_ai.usage.input_tokens": 150, "gen_ai.usage.cache_read.input_tokens": 90}),
    ("t2", "f", "", 19, 22, CHAT | {"gen_ai.usage.prompt_tokens": 200, "gen_ai.conversation.id": "c"}),
]


def test_spans_become_a_session_of_turns_with_calls_and_tools(tmp_path):
    """Two traces of one conversation are its two turns: 10 s between them, and 4 s of two tools between calls."""
    trace = read_trace(written(tmp_path, otlp(*SPANS)))
    (session,) = trace.sessions
    first, second = session.turns
    assert (len(first.calls), len(first.tools), first.parallel_tools, second.think_s) == (2, 2, 2, 10.0)
    assert first.calls[1].after == (0,)
    assert first.calls[1].gap_s == 4.0
    assert [call.input_tokens for call in session.calls] == [100, 150, 200]
    assert [call.cache_read_tokens for call in session.calls] == [None, 90, None]
    assert session.client == 0


def test_a_sum_over_spans_is_no_call_and_a_span_written_twice_is_one(tmp_path):
    """Some tools repeat a call's usage on the span around it, and collectors send a batch again."""
    outer = ("t1", "a", "", 0, 3, CHAT | {"gen_ai.usage.input_tokens": 100})
    inner = ("t1", "b", "a", 0, 3, CHAT | {"gen_ai.usage.input_tokens": 100})
    trace = read_trace(written(tmp_path, otlp(outer, inner), otlp(inner)))
    assert trace.calls == 1
    assert {line.split(": ", 1)[1] for line in trace.doubts} == {
        "1 rows are there twice; one of each is used",
        "1 spans sum up the calls within them; the calls are used",
    }


def test_sub_agents_run_beside_each_other_and_their_parent_waits_for_both(tmp_path):
    agent = {"gen_ai.operation.name": "invoke_agent"}
    chat = CHAT | {"gen_ai.usage.input_tokens": 10}
    spans = [
        ("t", "root", "", 0, 20, agent), ("t", "a", "root", 0, 2, chat),
        ("t", "s1", "root", 2, 8, agent), ("t", "b", "s1", 3, 8, chat),
        ("t", "s2", "root", 2, 6, agent), ("t", "c", "s2", 4, 6, chat),
        ("t", "d", "root", 10, 12, chat),
    ]  # fmt: skip
    (turn,) = read_trace(written(tmp_path, otlp(*spans))).sessions[0].turns
    assert [call.after for call in turn.calls] == [(), (0,), (0,), (1, 2)]
    assert [call.gap_s for call in turn.calls] == [0.0, 1.0, 2.0, 2.0]
    assert turn.parallel_calls == 2


PHOENIX = {
    "id": "1", "name": "ChatCompletion", "context": {"trace_id": "t", "span_id": "s"}, "span_kind": "LLM",
    "parent_id": None, "start_time": at(0), "end_time": at(2), "status_code": "OK",
    "attributes": {"openinference.span.kind": "LLM", "llm.token_count.prompt": 20, "llm.token_count.completion": 5,
                   "llm.token_count.prompt_details.cache_read": 8, "session.id": "c", "llm.model_name": "m"},
    "events": [{"name": "e"}],
}  # fmt: skip
CONSOLE = {
    "name": "chat m", "context": {"trace_id": "0x1", "span_id": "0x2", "trace_state": "[]"}, "kind": "SpanKind.CLIENT",
    "parent_id": None, "start_time": at(0), "end_time": at(2), "status": {"status_code": "UNSET"},
    "attributes": {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 20,
                   "gen_ai.usage.output_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 8,
                   "gen_ai.conversation.id": "c"},
}  # fmt: skip
CLOUDWATCH = {
    "resource": {"attributes": {"service.name": "shop"}}, "scope": {"name": "x"}, "traceId": "1", "spanId": "2",
    "parentSpanId": "0", "kind": "CLIENT", "startTimeUnixNano": nano(0), "endTimeUnixNano": nano(2),
    "durationNano": 2_000_000_000, "attributes": CONSOLE["attributes"],
}  # fmt: skip
XRAY = {
    "Traces": [{"Id": "1-a", "Duration": 2.0, "Segments": [{"Id": "r", "Document": json.dumps({
        "id": "r", "trace_id": "1-a", "name": "agent", "start_time": 1_767_225_600.0, "end_time": 1_767_225_602.0,
        "subsegments": [{
            "id": "s", "name": "chat", "start_time": 1_767_225_600.0, "end_time": 1_767_225_602.0,
            "annotations": {"session_id": "c"},
            "metadata": {"default": {"gen_ai.usage.input_tokens": 20, "gen_ai.usage.output_tokens": 5,
                                     "gen_ai.usage.cache_read.input_tokens": 8, "gen_ai.request.model": "m"}},
        }],
    })}]}],
}  # fmt: skip
LANGFUSE = {
    "id": "s", "traceId": "t", "type": "GENERATION", "name": "x", "startTime": at(0), "endTime": at(2), "model": "m",
    "parentObservationId": None, "sessionId": "c", "usageDetails": {"input": 12, "input_cached_tokens": 8, "output": 5},
}  # fmt: skip
BEDROCK = {
    "schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "timestamp": at(0), "region": "us-east-1",
    "requestId": "1", "operation": "Converse", "modelId": "m", "identity": {"arn": "arn:aws:iam::1:role/shop"},
    "requestMetadata": {"session_id": "c"}, "output": {"outputTokenCount": 5},
    "input": {"inputTokenCount": 12, "cacheReadInputTokenCount": 8, "cacheWriteInputTokenCount": 0},
}  # fmt: skip
LITELLM = {
    "request_id": "1", "call_type": "acompletion", "api_key": "h", "spend": 0.1, "total_tokens": 25,
    "prompt_tokens": 20, "completion_tokens": 5, "startTime": at(0), "endTime": at(2), "model": "m", "end_user": "u",
    "session_id": "c", "status": "success",
    "metadata": json.dumps({"usage_object": {"prompt_tokens_details": {"cached_tokens": 8}}}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("form", "record"),
    [
        ("spans", PHOENIX), ("spans", CONSOLE), ("spans", CLOUDWATCH), ("xray", XRAY), ("langfuse", LANGFUSE),
        ("bedrock", BEDROCK), ("litellm", LITELLM),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrapped", ["line", "pretty", "list", "page", "envelope"])
def test_each_form_gives_the_same_call(tmp_path, form, record, wrapped):
    """A prompt of 20 tokens, 8 of them from a cache, and an answer of 5, by model m in session c."""
    path = tmp_path / "trace"
    path.write_text(
        {
            "line": json.dumps(record) + "\n",
            "pretty": json.dumps(record, indent=2),
            "list": json.dumps([record]),
            "page": json.dumps({"data": [record], "next_cursor": None}),
            "envelope": json.dumps({"timestamp": 1, "message": json.dumps(record)}) + "\n",
        }[wrapped]
    )
    assert detect(path) == form
    (row,) = rows(path)
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens, row.model, row.session) == (20, 8, 5, "m", "c")
    assert row.at_s == 1_767_225_600
    assert row.duration_s == (None if form == "bedrock" else 2.0)


def test_tools_and_agents_of_langfuse_are_no_calls(tmp_path):
    kinds = ("GENERATION", "TOOL", "AGENT", "EVENT", "SPAN")
    path = written(tmp_path, *(LANGFUSE | {"type": kind, "id": kind} for kind in kinds))
    assert [row.kind for row in steps(path)] == [CALL, TOOL, AGENT, AGENT]


def test_a_conversation_gives_turns_and_lengths_and_no_text(tmp_path):
    """ShareGPT: 40 characters are about 10 tokens; the second prompt holds the first question and answer."""
    talk = [{"from": who, "value": "x" * size} for who, size in (("human", 40), ("gpt", 80), ("human", 20), ("gpt", 8))]
    path = written(tmp_path, {"id": "a", "conversations": talk}, lines=False)
    trace = read_trace(path)
    assert detect(path) == "sharegpt"
    assert [(call.input_tokens, call.output_tokens) for call in trace.sessions[0].calls] == [(10, 20), (35, 2)]
    assert "xx" not in repr(trace)
    assert any("4" in line and "estimate" in line for line in trace.unseen)


def test_locusts_history_gives_arrivals_between_its_rows(tmp_path):
    """Cumulative counts: three requests within ten seconds stand at even gaps."""
    path = tmp_path / "history.csv"
    path.write_text(
        "Timestamp,User Count,Type,Name,Requests/s,Failures/s,Total Request Count\n"
        "1700000000,5,GET,/chat,0,0,9\n1700000000,5,,Aggregated,0,0,10\n1700000010,5,,Aggregated,0,0,13\n"
    )
    assert detect(path) == "locust"
    assert [round(row.at_s - 1.7e9, 3) for row in rows(path)] == [3.333, 6.667, 10.0]


def test_a_table_has_sessions_models_and_times_where_it_names_them(tmp_path):
    """BurstGPT's newer release: a session of two turns, of which the second waits three seconds."""
    path = tmp_path / "burst.csv"
    path.write_text(
        "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,a,2,ChatGPT,20,5,25,Conversation log\n10,a,1,ChatGPT,30,6,36,Conversation log\n"
        "11,b,0,GPT-4,7,0,7,API log\n"
    )
    trace = read_trace(path)
    assert [len(session.turns) for session in trace.sessions] == [2, 1]
    assert trace.sessions[0].turns[1].think_s == 3.0
    assert trace.sessions[0].calls[0].model == "ChatGPT"


def agentic(*requests, **more):
    return {"id": "s", "block_size": 64, "requests": list(requests), **more}


def request(t, stop, kinds, api_time=1.0, size=128, ids=(1, 2)):
    return {"t": t, "in": size, "out": 4, "hash_ids": list(ids), "stop": stop, "input_types": kinds,
            "api_time": api_time}  # fmt: skip


def test_an_agents_tool_results_stay_in_its_turn(tmp_path):
    """A turn ends where the agent stops for its user: two calls with 4 s of tools, then 20 s of thought."""
    path = written(
        tmp_path,
        agentic(
            request(0, "tool_use", ["text"]), request(5, "end_turn", ["tool_result"]), request(26, "end_turn", ["text"])
        ),
    )
    (session,) = read_trace(path).sessions
    assert [len(turn.calls) for turn in session.turns] == [2, 1]
    assert session.turns[0].gaps_s == (4.0,)
    assert session.turns[1].think_s == 20.0
    assert session.calls[0].block_tokens == (64, 64)


def test_blocks_of_sessions_are_their_own_unless_the_file_says_global(tmp_path):
    records = [agentic(request(0, "end_turn", ["text"]), id=name) for name in "ab"]
    assert {s.scope for s in read_trace(written(tmp_path, *records)).sessions} == {0, 1}
    records = [record | {"hash_id_scope": "global"} for record in records]
    assert {s.scope for s in read_trace(written(tmp_path, *records)).sessions} == {0}


def test_what_is_odd_about_a_log_is_counted_and_named(tmp_path):
    """Failures, rows twice, clocks that step back, zones here and there, and a silence, each with its number."""
    lines = [f"2026-01-01T00:{k // 60:02d}:{k % 60:02d}{'Z' if k < 100 else ''},20,5" for k in range(120)]
    lines[7] = lines[6]
    lines[30], lines[31] = lines[31], lines[30]
    lines[50] = lines[50].replace("20,5", "0,0")
    lines.append("2026-01-01T09:00:00Z,20,5")
    path = tmp_path / "odd.csv"
    path.write_text("timestamp,input_tokens,output_tokens\n" + "\n".join(lines) + "\n")
    said = " | ".join(read_trace(path).doubts)
    for words in (
        "20 of 121 times differ in having a zone",
        "1 rows equal one just before",
        "1 rows are earlier than the row before",
        "no request for 32281 s before line 122",
        "1 requests used no tokens",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x00\xff\xfe\x80PNG\r\n", "neither UTF-8"),
        (gzip.compress(b'{"requests": [', mtime=0)[:-9], "cannot be unpacked"),
        (
            b'{"id": 1, "block_size": 64, "requests": ' + b'[{"requests": ' * 60 + b"[]" + b"}]" * 60 + b"}",
            "nested too",
        ),
        (b'{"Traces": [{"Segments": [{"Document": "{cut"}]}]}', "Document is no JSON"),
        (b'{"hello": "world"}', "JSON of no known form"),
        (b'{"conversations": [{"from": "human", "value": "a"}]}', "no model call"),
        (json.dumps(otlp(("t", "a", "", 0, 1, {"http.method": "GET"}))).encode(), "spans need token usage"),
        (json.dumps(LANGFUSE | {"startTime": "yesterday"}).encode(), "expected ISO time"),
    ],
)
def test_a_broken_or_foreign_trace_is_one_line(tmp_path, content, words):
    path = tmp_path / "odd"
    path.write_bytes(content)
    with pytest.raises(PeakdayError, match=words) as caught:
        read_trace(path)
    assert "\n" not in str(caught.value)


def test_an_endless_line_ends_in_one_message(tmp_path, monkeypatch):
    """A bomb of a packed line is not held in memory."""
    monkeypatch.setattr("host.files.LINE_CHARS_MAX", 1000)
    monkeypatch.setattr("host.files.lines_of.__defaults__", (1000,))
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(json.dumps(LITELLM).encode() + b"\n" + b"a" * 100_000))
    with pytest.raises(PeakdayError, match="line 2: longer than 1,000 characters"):
        read_trace(path)


def test_a_message_shows_the_beginning_of_a_long_cell(tmp_path):
    path = written(tmp_path, LANGFUSE | {"startTime": "x" * 100_000})
    with pytest.raises(PeakdayError) as caught:
        read_trace(path)
    assert len(str(caught.value)) < len(str(path)) + 200


def test_files_of_several_forms_are_refused(tmp_path):
    one, other = written(tmp_path, LITELLM, name="a"), written(tmp_path, BEDROCK, name="b")
    with pytest.raises(PeakdayError, match="several forms"):
        read_trace([one, other])


def test_public_agent_sessions_keep_every_call_and_its_order(traces):
    """100 sessions, 5,281 calls; a call waits only for calls that had ended."""
    trace = read_trace(traces / "agentic_sessions_a.jsonl.gz")
    assert (len(trace.sessions), trace.calls) == (100, 5281)
    for turn in (turn for session in trace.sessions for turn in session.turns):
        for call in turn.calls:
            assert all(turn.calls[place].end_s <= call.start_s + 0.001 for place in call.after)


WRITTEN = Path(__file__).parent / "written"
"""Files that the real tools wrote, of two turns of two calls and a tool each, or of four calls (LiteLLM)."""


@pytest.mark.parametrize(
    ("name", "form", "inputs", "cached"),
    [
        ("openinference-openai-0.1.66-console.json", "spans", [150, 200, 250, 300], [0, 40, 80, 120]),
        ("traceloop-openai-0.62.4-otlp.jsonl", "otlp", [750, 800, 850, 900], [480, 520, 560, 600]),
        ("litellm-1.108.7.jsonl", "litellm", [10] * 4, [None] * 4),
    ],
)
def test_what_the_tool_itself_wrote_is_read(name, form, inputs, cached):
    trace = read_trace(WRITTEN / name)
    calls = [call for session in trace.sessions for call in session.calls]
    assert (trace.form, trace.doubts) == (form, ())
    assert [call.input_tokens for call in calls] == inputs
    assert [call.cache_read_tokens for call in calls] == cached
    assert {call.model for call in calls} == {"gpt-4o-mini"}
    if form != "litellm":
        assert [(len(turn.calls), len(turn.tools)) for turn in trace.sessions[0].turns] == [(2, 1), (2, 1)]
    else:
        assert [len(session.turns) for session in trace.sessions] == [2, 2]


@pytest.mark.parametrize(
    ("name", "form", "first_cached"),
    [
        ("phoenix-20.26.1-dataframe.csv", "spans", 0),  # phoenix-client 3.5.0, openinference-instrumentation-openai
        ("phoenix-20.26.1-dataframe.jsonl", "spans", 0),
        ("phoenix-20.26.1-rest.json", "spans", 0),
        ("phoenix-20.26.1-otlpv1.json", "spans", 0),
        ("langfuse-5.0.4-otlp.jsonl", "otlp", 0),  # what its SDK sends: usage as JSON text of the model's API
        ("xray-2.15.0-daemon.jsonl", "xray", 0),  # datagrams of aws-xray-sdk
        ("xray-2.15.0-batch-get-traces.json", "xray", 0),  # the same through moto 5.2.5
        ("anthropic-0.62.4-otlp.jsonl", "otlp", 0),  # two spans a call: the instrumentation's and anthropic 2.14's own
        ("botocore-0.66b2-otlp.jsonl", "otlp", None),  # input tokens without those of the cache; none at 0
        ("google-genai-1.3b0-otlp.jsonl", "otlp", None),
        ("mlflow-3.17.2.jsonl", "mlflow", 0),
        ("openai-v2-2.4b0-otlp.jsonl", "otlp", None),
    ],
)
def test_the_same_session_by_every_tool(name, form, first_cached):
    """Two turns of a customer, two calls and a tool between each; call n has 100 + 50 n tokens, 40 n of a cache."""
    (session,) = read_trace(WRITTEN / name).sessions
    assert detect(WRITTEN / name) == form
    assert session.client == 0
    assert [(len(turn.calls), len(turn.tools), turn.calls[1].after) for turn in session.turns] == [(2, 1, (0,))] * 2
    assert [(call.input_tokens, call.output_tokens) for call in session.calls] == [
        (100, 5),
        (150, 6),
        (200, 7),
        (250, 8),
    ]
    cached = [first_cached, 40, 80, 120] if "openai-v2" not in name else [None] * 4  # which counts no cached tokens
    assert [call.cache_read_tokens for call in session.calls] == cached


def test_a_request_around_the_calls_may_name_their_session(tmp_path):
    """The HTTP server's span has the session, the model's has tokens: one session of two turns."""
    web = {"http.request.method": "POST", "session.id": "c", "user.id": "u"}
    chat = CHAT | {"gen_ai.usage.input_tokens": 10}
    spans = [
        ("t1", "r", "", 0, 3, web),
        ("t1", "a", "r", 1, 3, chat),
        ("t2", "s", "", 5, 9, web),
        ("t2", "b", "s", 6, 9, chat),
    ]
    (session,) = read_trace(written(tmp_path, otlp(*spans))).sessions
    assert [turn.think_s for turn in session.turns] == [None, 3.0]
    assert session.client == 0
