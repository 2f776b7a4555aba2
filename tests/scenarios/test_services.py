"""Exports of tracing services and logs of front ends in their documented forms, by hand: none of them made here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scenarios.traces.detection import detect, rows, steps
from scenarios.traces.row import AGENT, CALL, TOOL
from scenarios.traces.sessions import read_trace
from tests.scenarios.test_trace_forms import at, nano, otlp

MICRO = 1_767_225_600_000_000
"""2026-01-01, in microseconds."""
USED = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 20, "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 8, "gen_ai.request.model": "m"}  # fmt: skip


def jaeger_tag(key: str, value: object) -> dict[str, object]:
    return {"key": key, "type": "int64" if isinstance(value, int) else "string", "value": value}


JAEGER = {"traceID": "t", "processes": {"p1": {"serviceName": "shop"}}, "spans": [
    {"traceID": "t", "spanID": "r", "operationName": "turn", "references": [], "startTime": MICRO,
     "duration": 9_000_000,
     "tags": [jaeger_tag("gen_ai.operation.name", "invoke_agent"), jaeger_tag("session.id", "c")]},
    {"traceID": "t", "spanID": "a", "operationName": "chat", "startTime": MICRO, "duration": 2_000_000,
     "references": [{"refType": "CHILD_OF", "traceID": "t", "spanID": "r"}],
     "tags": [jaeger_tag(*item) for item in USED.items()]},
]}  # fmt: skip
ZIPKIN = {"traceId": "t", "id": "a", "parentId": "r", "name": "chat", "timestamp": MICRO, "duration": 2_000_000,
          "localEndpoint": {"serviceName": "shop"},
          "tags": {key: str(value) for key, value in USED.items()} | {"session.id": "c"}}  # fmt: skip
DATADOG = {"id": "1", "type": "span", "attributes": {
    "trace_id": "t", "span_id": "a", "parent_id": "undefined", "span_kind": "llm", "ml_app": "shop", "model_name": "m",
    "start_ns": MICRO // 1000, "duration": 2e9, "status": "ok", "tags": ["env:prod", "session_id:c"],
    "metrics": {"input_tokens": 20.0, "output_tokens": 5.0, "cache_read_input_tokens": 8.0, "total_tokens": 25.0},
}}  # fmt: skip
LANGSMITH = {"id": "a", "trace_id": "r", "parent_run_id": "r", "run_type": "llm", "name": "ChatOpenAI",
             "start_time": at(0), "end_time": at(2), "session_id": "project", "prompt_tokens": 20,
             "completion_tokens": 5, "total_tokens": 25, "prompt_token_details": {"cache_read": 8},
             "extra": {"metadata": {"thread_id": "c", "ls_model_name": "m"}}}  # fmt: skip
MLFLOW = {"info": {"trace_id": "tr-1", "request_time": at(0), "trace_metadata": {"mlflow.trace.session": "c"}},
          "data": {"spans": [{
              "trace_id": "t", "span_id": "a", "parent_span_id": None, "name": "chat",
              "start_time_unix_nano": nano(0), "end_time_unix_nano": nano(2),
              "attributes": {
                  "mlflow.spanType": '"CHAT_MODEL"', "mlflow.llm.model": '"m"', "mlflow.chat.tokenUsage": json.dumps(
                      {"input_tokens": 20, "output_tokens": 5, "total_tokens": 25, "cache_read_input_tokens": 8})},
          }]}}  # fmt: skip
WEAVE = {"id": "a", "project_id": "e/p", "op_name": "weave:///e/p/op/chat:1", "trace_id": "t", "parent_id": None,
         "thread_id": "c", "started_at": at(0), "ended_at": at(2), "attributes": {},
         "summary": {"usage": {"m": {"requests": 1, "prompt_tokens": 20, "completion_tokens": 5}}}}  # fmt: skip


@pytest.mark.parametrize(
    ("form", "record"),
    [
        ("jaeger", JAEGER), ("zipkin", ZIPKIN), ("datadog", DATADOG), ("langsmith", LANGSMITH), ("mlflow", MLFLOW),
        ("weave", WEAVE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrapped", ["line", "list", "page", "lists", "elastic"])
def test_each_service_gives_the_same_call(tmp_path: Path, form: str, record: dict[str, object], wrapped: str) -> None:
    """A prompt of 20 tokens, 8 from a cache (Weave counts none), an answer of 5 within 2 s, by model m in session c."""
    path = tmp_path / "trace"
    path.write_text(
        {
            "line": json.dumps(record) + "\n",
            "list": json.dumps([record]),
            "page": json.dumps({"data": [record], "meta": {}}),
            "lists": json.dumps([[record]]),
            "elastic": json.dumps({"_index": "i", "_id": "1", "_source": record}) + "\n",
        }[wrapped]
    )
    assert detect(path) == form
    (call,) = rows(path)
    cached = None if form == "weave" else 8
    assert (call.input_tokens, call.cache_read_tokens, call.output_tokens, call.model) == (20, cached, 5, "m")
    assert (call.at_s, call.duration_s) == (1_767_225_600, 2.0)
    (session,) = read_trace(path).sessions
    assert len(session.turns) == 1
    named = {row.session for row in steps(path)} - {None}
    assert named == {"c"}


def test_a_project_of_langsmith_is_no_session_and_a_chain_no_call(tmp_path: Path) -> None:
    """Two threads of one project, each a chain of a model and a tool: two sessions of one call and one tool."""
    runs = []
    for number, thread in enumerate("cd"):
        extra = {"metadata": {"thread_id": thread}}
        chain = LANGSMITH | {"id": f"r{number}", "trace_id": f"r{number}", "parent_run_id": None, "run_type": "chain"}
        runs.append(chain | {"extra": extra})
        for kind in ("llm", "tool"):
            tokens = {} if kind == "llm" else {"prompt_tokens": 0, "completion_tokens": 0}
            names = {"id": f"{kind}{number}", "trace_id": f"r{number}", "parent_run_id": f"r{number}"}
            runs.append(LANGSMITH | names | tokens | {"run_type": kind, "extra": {"metadata": {}}})
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(run) + "\n" for run in runs))
    assert [row.kind for row in steps(path)] == [AGENT, CALL, TOOL] * 2
    trace = read_trace(path)
    assert [[(len(turn.calls), len(turn.tools)) for turn in session.turns] for session in trace.sessions] == [
        [(1, 1)]
    ] * 2


def test_a_collectors_rotated_parts_are_one_trace(tmp_path: Path) -> None:
    """A turn whose agent and calls lie in two files, named in one of them, is one turn of its session."""
    agent = ("t2", "g", "", 5, 9, {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "c"})
    first = otlp(("t1", "a", "", 0, 1, USED | {"gen_ai.conversation.id": "c"}), ("t2", "b", "g", 5, 6, USED))
    parts = [tmp_path / "traces-2026.json", tmp_path / "traces.json"]
    parts[0].write_text(json.dumps(first) + "\n")
    parts[1].write_text(json.dumps(otlp(agent, ("t2", "d", "g", 7, 9, USED))) + "\n")
    (session,) = read_trace(parts).sessions
    assert [len(turn.calls) for turn in session.turns] == [1, 2]


ALB = (
    "https 2026-01-01T00:00:09.500000Z app/shop/5 192.0.2.1:2817 10.0.0.1:80 0.0 9.5 0.0 200 200 34 366 "
    '"POST https://www.example.com:443/chat HTTP/2.0" "curl" TLS TLSv1.3 arn "Root=1-5" "www" "arn" 0 '
    '2026-01-01T00:00:00.000000Z "forward" "-" "-" "10.0.0.1:80" "200" "-" "-" TID_1\n'
)
CLOUDFRONT = (
    "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method time-taken\n"
    "2026-01-01\t00:00:10\tSEA19-C1\t516\t192.0.2.1\tPOST\t1.500\n"
)
IIS = (
    "#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n#Fields: date time cs-method time-taken\n"
    "2026-01-01 00:00:10 POST 1500\n"
)
K6 = (
    '{"type":"Metric","data":{"name":"http_reqs","type":"counter"},"metric":"http_reqs"}\n'
    '{"metric":"http_reqs","type":"Point","data":{"time":"2026-01-01T01:00:10+01:00","value":1,"tags":{}}}\n'
    '{"metric":"http_req_duration","type":"Point","data":{"time":"2026-01-01T01:00:11+01:00","value":9}}\n'
)
NGINX = '{"time_local":"01/Jan/2026:00:00:10 +0000","status":200,"request_length":811,"request_time":"1.5"}\n'
AZURE = (
    '{"records":[{"time":"2026-01-01T00:00:10Z","category":"RequestResponse","durationMs":1500,'
    '"properties":{"requestLength":3500,"responseLength":900}}]}'
)
JMETER = "timeStamp,elapsed,label,responseCode,Latency\n1767225610000,1500,chat,200,300\n"
SPLUNK = '{"preview":false,"offset":7,"result":{"_time":"2026-01-01T00:00:10Z","prompt_tokens":"20"}}\n'


@pytest.mark.parametrize(
    ("form", "text", "at_s", "duration_s"),
    [
        ("load_balancer", ALB, 0.0, 9.5),  # both times are in it
        ("w3c", CLOUDFRONT, 8.5, 1.5),  # written when it had been answered, seconds before
        ("w3c", IIS, 8.5, 1.5),  # milliseconds
        ("k6_json", K6, 10.0, None),
        ("json_lines", NGINX, 8.5, 1.5),
        ("json_lines", AZURE, 10.0, 1.5),
        ("csv", JMETER, 10.0, 1.5),
        ("json_lines", SPLUNK, 10.0, None),
    ],
    ids=["ALB", "CloudFront", "IIS", "k6", "nginx", "Azure", "JMeter", "Splunk"],
)
def test_a_front_ends_log_gives_arrivals(
    tmp_path: Path, form: str, text: str, at_s: float, duration_s: float | None
) -> None:
    """One request each, and no bytes taken for tokens."""
    path = tmp_path / "log"
    path.write_text(text)
    assert detect(path) == form
    (request,) = rows(path)
    assert (request.at_s, request.duration_s) == (pytest.approx(1_767_225_600 + at_s), duration_s)
    assert request.output_tokens is None


def test_durations_without_a_unit_that_are_long_for_seconds_are_left_out(tmp_path: Path) -> None:
    """Envoy's `duration` is in milliseconds and does not say so."""
    path = tmp_path / "envoy.json"
    path.write_text('{"start_time":"2026-01-01T00:00:00Z","duration":1500}\n' * 3)
    trace = read_trace(path)
    assert [call.duration_s for session in trace.sessions for call in session.calls] == [None] * 3
    assert any("duration says no unit, and 1500 is long for seconds" in line for line in trace.doubts)


def test_insights_of_cloudwatch_as_csv_hold_json(tmp_path: Path) -> None:
    log = {"schemaType": "ModelInvocationLog", "timestamp": at(0), "modelId": "m", "input": {"inputTokenCount": 20},
           "output": {"outputTokenCount": 5}}  # fmt: skip
    path = tmp_path / "logs-insights-results.csv"
    cell = json.dumps(log).replace('"', '""')
    path.write_text(f'@timestamp,@message\n2026-01-01 00:00:00.000,"{cell}"\n')
    assert detect(path) == "bedrock"
    assert [(row.input_tokens, row.output_tokens) for row in rows(path)] == [(20, 5)]


def test_openrouters_and_helicones_own_names_are_read(tmp_path: Path) -> None:
    router = tmp_path / "activity.csv"
    router.write_text(
        "generation_id,created_at,tokens_prompt,tokens_completion,tokens_cached,generation_time_ms\n"
        "gen-1,2026-01-01 00:00:00.000,20,5,8,2000\n"
    )
    helicone = tmp_path / "helicone.jsonl"
    helicone.write_text(
        json.dumps({
            "request_id": "1", "request_created_at": at(0), "response_created_at": at(2), "prompt_tokens": 20,
            "completion_tokens": 5, "prompt_cache_read_tokens": 8, "delay_ms": 2000,
            "request_properties": {"Helicone-Session-Id": "c"},
        })
    )  # fmt: skip
    for path in (router, helicone):
        (call,) = rows(path)
        assert (call.input_tokens, call.cache_read_tokens, call.output_tokens, call.duration_s) == (20, 8, 5, 2.0)
    assert next(rows(helicone)).session == "c"
