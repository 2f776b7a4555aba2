"""Each mapping that comes with peakday, against its documented wire shape: text, end, tokens, failure and history."""

import json
import re
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.bedrock import eventstream_encoder
from loadgen.job import LoadError, TargetSpec
from loadgen.targets.mapping import SOCKET_MAPPINGS, named_mappings, named_target, target_specs
from tests.loadgen.server import chat_chunk, response, serving, usage_chunk
from tests.loadgen.worker_runs import play


def sse(*events, names=False):
    """Server-sent events of these JSON values; with names their type stands before the data too."""
    named = [f"event: {event['type']}\n" if names else "" for event in events]
    return "".join(f"{name}data: {json.dumps(event)}\n\n" for name, event in zip(named, events, strict=True)).encode()


def rpc(**result):
    return {"jsonrpc": "2.0", "id": "1", "result": result}


def piece(text):
    """One artifact update of A2A."""
    return rpc(kind="artifact-update", taskId="k", contextId="c", artifact={"parts": [{"kind": "text", "text": text}]})


def lines(*events):
    """Lines of JSON."""
    return "".join(f"{json.dumps(event)}\n" for event in events).encode()


def framed(*payloads):
    """Each in a frame of SageMaker's."""
    return b"".join(eventstream_encoder.event("PayloadPart", payload) for payload in payloads)


USED = {"input_tokens": 7, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 3, "output_tokens": 1}
DONE = {"usage": {"input_tokens": 97, "input_tokens_details": {"cached_tokens": 90}, "output_tokens": 4}}
WIRES = {
    "ag-ui": (
        sse(
            {"type": "RUN_STARTED", "threadId": "t", "runId": "r"},
            {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"},
            {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "It ships "},
            {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "Friday."},
            {"type": "TEXT_MESSAGE_END", "messageId": "m"},
        ),
        sse({"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}),
        None,
    ),
    "ai-sdk": (
        sse(
            {"type": "start", "messageId": "m"},
            {"type": "start-step"},
            {"type": "text-start", "id": "0"},
            {"type": "text-delta", "id": "0", "delta": "It ships "},
            {"type": "text-delta", "id": "0", "delta": "Friday."},
            {"type": "text-end", "id": "0"},
        ),
        sse({"type": "finish-step"}, {"type": "finish"}) + b"data: [DONE]\n\n",
        None,
    ),
    "a2a": (
        sse(
            rpc(kind="task", id="k", contextId="c", status={"state": "submitted"}),
            piece("It ships "),
            piece("Friday."),
        ),
        sse(rpc(kind="status-update", taskId="k", contextId="c", status={"state": "completed"}, final=True)),
        None,
    ),
    "a2a-1": (
        sse(
            rpc(task={"id": "k", "contextId": "c", "status": {"state": "TASK_STATE_SUBMITTED"}}),
            rpc(artifactUpdate={"contextId": "c", "artifact": {"parts": [{"text": "It ships "}]}}),
            rpc(artifactUpdate={"contextId": "c", "artifact": {"parts": [{"text": "Friday."}]}, "append": True}),
        ),
        sse(rpc(statusUpdate={"contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}})),
        None,
    ),
    "anthropic": (
        sse(
            {"type": "message_start", "message": {"usage": USED}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "It ships "}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Friday."}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
            names=True,
        ),
        sse({"type": "message_stop"}, names=True),
        (7, 90, 4),
    ),
    "responses": (
        sse(
            {"type": "response.created", "response": {"id": "resp_1"}},
            {"type": "response.output_text.delta", "delta": "It ships "},
            {"type": "response.output_text.delta", "delta": "Friday."},
            names=True,
        ),
        sse(
            {"type": "response.completed", "response": DONE},
            names=True,
        ),
        (7, 90, 4),
    ),
    "langserve": (
        b'event: metadata\ndata: {"run_id": "r"}\n\nevent: data\ndata: "It ships "\n\n'
        b'event: data\ndata: {"content": "", "type": "AIMessageChunk"}\n\n'
        b'event: data\ndata: {"content": "Friday.", "usage_metadata": {"input_tokens": 97, "output_tokens": 4,'
        b' "input_token_details": {"cache_read": 90}}}\n\n',
        b"event: end\n\n",
        (7, 90, 4),
    ),
    "langgraph": (
        b'event: metadata\ndata: {"run_id": "r"}\n\n'
        b'event: messages\ndata: [{"content": "It ships ", "type": "AIMessageChunk"}, {"langgraph_node": "a"}]\n\n'
        b'event: messages\ndata: [{"content": "Friday.", "usage_metadata": {"input_tokens": 97, "output_tokens": 4,'
        b' "input_token_details": {"cache_read": 90}}}, {}]\n\n',
        b"event: end\ndata: null\n\n",
        (7, 90, 4),
    ),
    "agentcore": (b'data: "It ships "\n\ndata: {"init_event_loop": true}\n\ndata: {"data": "Friday."}\n\n', b"", None),
    "sagemaker": (
        framed(chat_chunk("It ships "), chat_chunk("Fri")[:30], chat_chunk("Fri")[30:], chat_chunk("day.")),
        framed(chat_chunk(None, finish_reason="stop") + usage_chunk(97, 4), b"data: [DONE]\n\n"),
        (97, None, 4),
    ),
    "text": (b"It ships Friday.", b"", None),
    "sse-text": (b"data: It ships \n\n: ping\n\ndata:\n\nevent: output\ndata: Friday.\n\n", b"data: [DONE]\n\n", None),
    "ai-sdk-4": (
        b'f:{"messageId":"m"}\n0:"It ships "\n0:"Friday."\n',
        b'e:{"finishReason":"stop","usage":{"promptTokens":7,"completionTokens":4},"isContinued":false}\n'
        b'd:{"finishReason":"stop","usage":{"promptTokens":7,"completionTokens":4}}\n',
        (7, None, 4),
    ),
    "ollama": (
        lines({"message": {"role": "assistant", "content": "It ships "}, "done": False},
              {"message": {"role": "assistant", "content": "Friday."}, "done": False}),
        lines({"message": {"content": ""}, "done": True, "prompt_eval_count": 7, "eval_count": 4}),
        (7, None, 4),
    ),
    "tgi": (
        b'data:{"index":1,"token":{"id":1,"text":"It ships ","special":false},"generated_text":null}\n\n',
        b'data:{"index":2,"token":{"id":2,"text":"Friday.","special":false},"generated_text":"It ships Friday.",'
        b'"details":{"finish_reason":"length","generated_tokens":4,"seed":null,"input_length":7}}\n\n',
        (7, None, 4),
    ),
    "gemini": (
        b'[{\n  "candidates": [{"content": {"role": "model", "parts": [{"text": "It ships "}]}, "index": 0}]\n}\n,\r\n',
        json.dumps({
            "candidates": [{"content": {"parts": [{"text": "Friday."}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 97, "cachedContentTokenCount": 90, "candidatesTokenCount": 4},
        }, indent=2).encode() + b"\n]\n",
        (7, 90, 4),
    ),
    "cohere": (
        sse(
            {"type": "message-start", "id": "m", "delta": {"message": {"role": "assistant"}}},
            {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "It ships "}}}},
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Friday."}}}},
            {"type": "content-end", "index": 0},
            names=True,
        ),
        sse({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {
            "billed_units": {"input_tokens": 2}, "tokens": {"input_tokens": 7, "output_tokens": 4}}}},
            names=True),
        (7, None, 4),
    ),
    "bedrock-agent": (
        b"".join(
            eventstream_encoder.event("chunk", json.dumps({"bytes": b64encode(part).decode()}).encode())
            for part in (b"It ships ", b"Friday.")
        ),
        b"",
        None,
    ),
}  # fmt: skip


ENDED_BY_CLOSE = ("text", "sse-text", "langgraph", "agentcore", "bedrock-agent")
"""Their last byte is the end; only HTTP tells a cut."""


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for name in (
        "ANTHROPIC_API_KEY",
        "CO_API_KEY",
        "GEMINI_API_KEY",
        "OPENAI_API_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ):
        monkeypatch.setenv(name, "sk-s3cret")


def spec_of(name, url) -> TargetSpec:
    path, values = named_target(f"{name}:{url}")
    (spec,) = target_specs(path, values)
    return replace(spec, model="m-1")


def asked(make_job, name, body):
    """The record of a short run, and what the server was sent."""
    with serving(lambda *_: [(0.0, response(body, content_type="text/event-stream"))]) as server:
        job = make_job(spec_of(name, f"{server.url}/x"), keep_text=True, scenario={"load": {"drain_s": 30.0}})
        run, _ = play(job)
    return run, server.requests


def test_every_mapping_has_a_wire_of_its_own():
    assert sorted([*WIRES, *SOCKET_MAPPINGS, "mcp"]) == named_mappings()


@pytest.mark.parametrize("name", WIRES)
def test_text_end_and_tokens_are_those_of_the_wire(make_job, name):
    begun, ended, tokens = WIRES[name]
    run, requests = asked(make_job, name, begun + ended)
    assert set(run.turns["status"]) == {"ok"}
    kept = b"".join(path.read_bytes() for path in Path(run.path).rglob("*") if path.is_file())
    assert b"It ships Friday." in kept
    assert b"s3cret" not in kept
    if tokens is None:
        assert "input_tokens" not in run.calls or run.calls["input_tokens"].isna().all()
    else:
        columns = ["input_tokens", "cache_read_tokens", "output_tokens"]
        rows = run.calls[columns].astype(object).where(run.calls[columns].notna(), None)
        assert set(rows.itertuples(index=False, name=None)) == {tokens}
    assert json.loads(requests[0][2])


@pytest.mark.parametrize("name", [name for name in WIRES if name not in ENDED_BY_CLOSE])
def test_a_stream_that_is_cut_is_no_answer(make_job, name):
    run, _ = asked(make_job, name, WIRES[name][0])
    assert not set(run.turns["status"]) & {"ok"}


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("ag-ui", {"type": "RUN_ERROR", "message": "no model"}),
        ("ai-sdk", {"type": "error", "errorText": "no model"}),
        ("ai-sdk-4", b'3:"no model"\n'),
        ("sse-text", b'event: error\ndata: "no model"\n\n'),
        ("a2a", {"jsonrpc": "2.0", "id": "1", "error": {"code": -32603, "message": "no model"}}),
    ],
)
def test_a_failure_in_the_stream_is_the_turns(make_job, name, failure):
    run, _ = asked(make_job, name, failure if isinstance(failure, bytes) else sse(failure))
    assert set(run.turns["status"]) == {"stream_error"}
    assert set(run.turns["error_code"]) == {"no model"}


@pytest.mark.parametrize("name", ["ag-ui", "ai-sdk", "anthropic", "responses", "gemini"])
def test_the_next_turn_brings_the_conversation_so_far(make_job, name):
    begun, ended, _ = WIRES[name]
    with serving(lambda *_: [(0.0, response(begun + ended, content_type="text/event-stream"))]) as server:
        mix = {
            "turns_per_interaction": {"mean": 3.0, "max": 3},
            "think_s": {"median": 0.01},
            "typing_s": {"median": 0.01},
        }
        play(make_job(spec_of(name, f"{server.url}/x"), scenario={"mix": mix}))
    bodies = [json.loads(body) for _, _, body in server.requests]
    lengths = {len(conversation(body)) for body in bodies}
    assert {1, 3} <= lengths
    longest = max(bodies, key=lambda body: len(conversation(body)))
    assert "It ships Friday." in json.dumps(longest)


def conversation(body) -> list[object]:
    """The messages of a request, whatever its protocol calls them."""
    return next(body[key] for key in ("messages", "input", "contents") if key in body)


def test_a_quota_inside_an_accepted_answer_is_throttled(make_job):
    """Gemini's array may hold nothing but its error."""
    run, _ = asked(make_job, "gemini", b'[{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}]')
    assert set(run.turns["status"]) == {"throttled"}


def test_a_name_that_is_none_of_ours_is_refused_with_those_that_are():
    with pytest.raises(LoadError, match="no mapping is called 'ag_ui'; named ones: a2a, a2a-1, ag-ui"):
        named_target("ag_ui:http://127.0.0.1:1/x")
    assert named_target("mine.yaml") is None


@pytest.mark.parametrize(
    ("name", "service"), [("agentcore", "bedrock-agentcore"), ("sagemaker", "sagemaker"), ("bedrock-agent", "bedrock")]
)
def test_signed_mappings_sign_for_service_and_region_of_their_url(make_job, name, service):
    """The scope names both; the session of AgentCore is an interaction's and has 33 characters or more."""
    _, values = named_target(f"{name}:https://x.eu-west-1.amazonaws.com/y")
    assert values["aws_region"] == "eu-west-1"
    _, requests = asked(make_job, name, WIRES[name][0] + WIRES[name][1])
    headers = requests[0][1]
    assert f"/us-east-1/{service}/aws4_request" in headers["authorization"]
    if name == "bedrock-agent":
        assert re.fullmatch(r"/x/sessions/[^{}/]{2,100}/text", requests[0][0].rpartition(" ")[2])
    if name == "agentcore":
        assert len(headers["x-amzn-bedrock-agentcore-runtime-session-id"]) >= 33


def test_an_exception_frame_is_the_turns_failure(make_job):
    """SageMaker's ModelStreamError."""
    run, _ = asked(make_job, "sagemaker", eventstream_encoder.exception("ModelStreamError", "it stopped"))
    assert set(run.turns["status"]) == {"stream_error"}
    assert set(run.turns["error_code"]) == {"ModelStreamError"}
