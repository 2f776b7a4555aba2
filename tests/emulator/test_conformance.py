"""Every response and event passes botocore's own validation; fuzzed requests never crash the process."""

import json

import boto3
import botocore.config
import pytest
from botocore.validate import ParamValidator
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.bedrock.shapes import service_model
from tests.emulator.conftest import ORDERS
from wire.eventstream import EventStreamDecoder

AUTH = {"authorization": "AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/bedrock/aws4_request"}
NOVA = "us.amazon.nova-2-lite-v1:0"
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
HELLO = [{"role": "user", "content": [{"text": "hello"}]}]
GROUNDING = {"tools": [{"systemTool": {"name": "nova_grounding"}}]}
TOOLS = {"tools": [{"toolSpec": {"name": name, "inputSchema": {"json": {}}}} for name in ("order_history", "recall")]}
POINT = {"cachePoint": {"type": "default"}}
REQUESTS = {
    "text": {"messages": HELLO},
    "tools": {"messages": [{"role": "user", "content": [{"text": ORDERS}]}], "toolConfig": TOOLS},
    "forced": {"messages": HELLO, "toolConfig": {**TOOLS, "toolChoice": {"tool": {"name": "recall"}}}},
    "cached": {"messages": HELLO, "system": [{"text": "rule " * 2000}, POINT]},
    "grounded": {"messages": HELLO, "toolConfig": GROUNDING},
    "options": {
        "messages": HELLO, "serviceTier": {"type": "flex"}, "performanceConfig": {"latency": "standard"},
        "inferenceConfig": {"maxTokens": 5, "temperature": 0.5, "stopSequences": ["END"]},
        "requestMetadata": {"team": "shop"}, "additionalModelRequestFields": {"top_k": 3},
    },
    "image": {"messages": [{"role": "user", "content": [
        {"image": {"format": "png", "source": {"bytes": "aGVsbG8="}}}, {"text": "what is this?"}]}]},
}  # fmt: skip


def checked(value, shape) -> None:
    """Unknown members, missing ones, wrong types and ranges, as botocore sees them."""
    report = ParamValidator().validate(value, shape)
    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("name", REQUESTS)
def test_whole_answers_pass_botocores_validation(emulator, name):
    """The raw JSON has no member that the service's model does not know."""
    status, _, data = emulator.post(f"/model/{NOVA}/converse", REQUESTS[name], AUTH)
    assert status == 200, data
    checked(json.loads(data), service_model().operation_model("Converse").output_shape)


@pytest.mark.parametrize("name", REQUESTS)
def test_every_event_passes_botocores_validation(emulator, name):
    """Each frame by its own shape; only the filler `p`, which the service adds too, is not in the model."""
    status, _, data = emulator.post(f"/model/{NOVA}/converse-stream", REQUESTS[name], AUTH)
    events = service_model().operation_model("ConverseStream").output_shape.members["stream"].members
    messages = EventStreamDecoder().feed(data)
    for message in messages:
        payload = json.loads(message.payload)
        payload.pop("p", None)
        checked(payload, events[message.name])
    assert (status, messages[0].name, messages[-1].name) == (200, "messageStart", "metadata")


def test_max_tokens_cuts_the_answer(emulator):
    """Five tokens, and the stop reason says why."""
    answer = json.loads(emulator.post(f"/model/{NOVA}/converse", REQUESTS["options"], AUTH)[2])
    assert (answer["usage"]["outputTokens"], answer["stopReason"]) == (5, "max_tokens")
    assert answer["serviceTier"] == {"type": "flex"}


def test_images_are_counted(emulator):
    """An image adds the model's tokens for one."""
    with_image = json.loads(emulator.post(f"/model/{NOVA}/converse", REQUESTS["image"], AUTH)[2])
    assert with_image["usage"]["inputTokens"] > 1300


def test_errors_are_botocores_errors(emulator):
    """The type comes in x-amzn-ErrorType, the words in `message`."""
    status, headers, data = emulator.post(f"/model/{NOVA}/converse", {"messages": []}, AUTH)
    assert (status, headers["x-amzn-ErrorType"]) == (400, "ValidationException")
    assert "start with a user message" in json.loads(data)["message"]


def test_a_call_without_credentials_is_refused(emulator):
    """HTTP 403, as on AWS; a bearer token is enough."""
    assert emulator.post(f"/model/{NOVA}/converse", REQUESTS["text"])[0] == 403
    assert emulator.post(f"/model/{NOVA}/converse", REQUESTS["text"], {"authorization": "Bearer key"})[0] == 200


@pytest.mark.parametrize(("secret", "fine"), [("right", True), ("wrong", False)])
def test_signatures_are_verified_when_asked_to(emulator, secret, fine):
    """boto3 with the right secret passes; with another it is an InvalidSignatureException."""
    emulator.control("credentials", {"test": "right"})
    config = botocore.config.Config(retries={"total_max_attempts": 1})
    client = boto3.client(
        "bedrock-runtime", endpoint_url=emulator.url, region_name="us-east-1", config=config,
        aws_access_key_id="test", aws_secret_access_key=secret,
    )  # fmt: skip
    try:
        if fine:
            assert client.converse(modelId=NOVA, messages=HELLO)["stopReason"] == "end_turn"
        else:
            with pytest.raises(client.exceptions.ClientError, match="InvalidSignatureException"):
                client.converse(modelId=NOVA, messages=HELLO)
    finally:
        client.close()
        emulator.control("credentials", {})


SCHEMA = {
    "type": "object", "required": ["x"],
    "properties": {"x": {"type": "array", "items": {"type": "string", "pattern": "^a$"}, "minItems": 1}},
}  # fmt: skip
FUNCTION = {"type": "function", "name": "a", "parameters": SCHEMA}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["role", "content", "text", "messages", "toolUse", "toolResult", "cachePoint", "type", "x"]),
        inner, max_size=3),
    max_leaves=12,
)  # fmt: skip
GOOD = [*REQUESTS.values(), {"model": "custom-8b", "messages": [{"role": "user", "content": "hi"}]},
        {"model": "custom-8b", "prompt": [1, 2, 3], "max_tokens": 3},
        {"model": "custom-8b", "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
         "tools": [FUNCTION], "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}},
        {"model": "custom-8b", "messages": [{"role": "user", "content": "hi"}], "tool_choice": "required",
         "tools": [{"type": "function", "function": FUNCTION}]},
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "tool_choice": {"type": "any"},
         "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"ttl": "5m"}}]}],
         "tools": [{"name": "a", "input_schema": SCHEMA}]},
        ]  # fmt: skip
PATHS = (
    f"/model/{NOVA}/converse", f"/model/{NOVA}/converse-stream", f"/model/{NOVA}/count-tokens",
    "/v1/chat/completions", "/v1/completions", "/guardrail/g/version/1/apply", "/v1/responses",
    f"/model/{NOVA}/invoke", f"/model/{CLAUDE}/invoke-with-response-stream",
)  # fmt: skip


@st.composite
def spoilt(draw):
    """A good body with one value, anywhere in it, replaced by any JSON."""
    body = json.loads(json.dumps(draw(st.sampled_from(GOOD))))
    node, parent, key = body, None, None
    for _ in range(draw(st.integers(1, 5))):
        if isinstance(node, dict) and node:
            parent, key = node, draw(st.sampled_from(sorted(node)))
        elif isinstance(node, list) and node:
            parent, key = node, draw(st.integers(0, len(node) - 1))
        else:
            break
        node = parent[key]
    if parent is not None:
        parent[key] = draw(json_values)
    return body


@settings(max_examples=400)
@given(path=st.sampled_from(PATHS), body=spoilt() | json_values)
def test_fuzzed_requests_get_an_answer_or_a_client_error(process, path, body):
    """Never a 500 and never silence: what is wrong is named, with 4xx."""
    status, _, data = process.post(path, json.dumps(body).encode(), AUTH)
    assert status == 200 or (400 <= status < 500 and data), (status, data)


@pytest.mark.parametrize("garbage", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b'"x"', b"1" * 5000])
@pytest.mark.parametrize("path", PATHS)
def test_bodies_that_are_no_object_are_client_errors(emulator, path, garbage):
    """Whatever the bytes."""
    status, _, _ = emulator.post(path, garbage, AUTH)
    assert 400 <= status < 500


DEEP = json.loads("[" * 300 + "]" * 300)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PATHS[0], {"messages": HELLO, "toolConfig": {"tools": [
            {"toolSpec": {"name": "a", "inputSchema": {"json": DEEP}}}]}}),
        (PATHS[3], {"model": "custom-8b", "messages": [{"role": "user", "content": "hi"}], "tools": [
            {"type": "function", "function": {"name": "a", "parameters": DEEP}}]}),
    ],
)  # fmt: skip
def test_json_nested_too_deeply_is_a_client_error(emulator, path, body):
    """Read without trouble, yet too deep to be written again: 400, and the reason."""
    status, _, data = emulator.post(path, body, AUTH)
    assert (status, b"nested too deeply" in data) == (400, True)


def test_what_was_found_fine_is_still_checked_when_it_changes(emulator):
    """Checks of tools are remembered by their bytes: the same again passes, one wrong letter does not."""
    good = {"messages": HELLO, "toolConfig": TOOLS}
    bad = json.loads(json.dumps(good).replace('"recall"', '"re call"'))
    path = f"/model/{NOVA}/converse"
    assert [emulator.post(path, body, AUTH)[0] for body in (good, bad, good, bad)] == [200, 400, 200, 400]
