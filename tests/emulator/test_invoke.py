"""InvokeModel in the models' own bodies, by unmodified boto3: its parser reads every answer and every event."""

import base64
import json

import jsonschema
import pytest

from tests.emulator.test_boto3 import CLAUDE, NOVA, bedrock

__all__ = ["bedrock"]

SCHEMA = {
    "type": "object", "required": ["city", "days"],
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 14}},
}  # fmt: skip
PARIS = "Weather in Paris for 3 days?"
ANTHROPIC = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 300}
CLAUDE_TOOL = {"name": "get_weather", "description": "The weather of a city", "input_schema": SCHEMA}
NOVA_TOOL = {"toolSpec": {"name": "get_weather", "description": "The weather", "inputSchema": {"json": SCHEMA}}}


def claude(text: str, **more):
    return {**ANTHROPIC, "messages": [{"role": "user", "content": text}], **more}


def nova(text: str, **more):
    return {"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": [{"text": text}]}], **more}


def invoke(client, model: str, body) -> dict:
    answer = client.invoke_model(modelId=model, body=json.dumps(body))
    assert answer["contentType"] == "application/json"
    return json.loads(answer["body"].read())


def streamed(client, model: str, body) -> list[dict]:
    stream = client.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))["body"]
    return [json.loads(event["chunk"]["bytes"]) for event in stream]


def test_claude_answers_in_its_own_form(bedrock):
    """Text, the reason it stopped, and usage by Anthropic's names."""
    answer = invoke(bedrock, CLAUDE, claude("hello", system="be brief"))
    assert (answer["type"], answer["role"], answer["stop_reason"]) == ("message", "assistant", "end_turn")
    assert answer["model"] == "claude-sonnet-4-5-20250929"
    assert (answer["content"][0]["type"], answer["usage"]["output_tokens"]) == ("text", 20)


def test_claudes_stream_has_anthropics_events(bedrock):
    """The deltas joined are the whole answer's text; the last event holds the service's own counts."""
    events = streamed(bedrock, CLAUDE, claude("hello"))
    kinds = list(dict.fromkeys(event["type"] for event in events))
    block = [f"content_block_{part}" for part in ("start", "delta", "stop")]
    assert kinds == ["message_start", *block, "message_delta", "message_stop"]
    assert sum(event["type"] == "content_block_delta" for event in events) == 20
    assert events[-2]["usage"]["output_tokens"] == 20
    metrics = events[-1]["amazon-bedrock-invocationMetrics"]
    assert (metrics["inputTokenCount"], metrics["outputTokenCount"]) == (
        events[0]["message"]["usage"]["input_tokens"], 20)  # fmt: skip
    assert metrics["invocationLatency"] >= metrics["firstByteLatency"] > 0


def test_nova_answers_in_its_own_form(bedrock):
    """The output message and usage by Nova's names; max_new_tokens cuts it."""
    answer = invoke(bedrock, NOVA, nova("hello", inferenceConfig={"max_new_tokens": 7}))
    assert answer["output"]["message"]["content"][0]["text"]
    assert (answer["stopReason"], answer["usage"]["outputTokens"]) == ("max_tokens", 7)


def test_novas_stream_has_its_events(bedrock):
    """Converse's events without names; the counts are in the metadata."""
    events = streamed(bedrock, NOVA, nova("hello"))
    assert next(iter(events[0])) == "messageStart"
    assert sum("contentBlockDelta" in event for event in events) == 20
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 20
    assert events[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 20


@pytest.mark.parametrize("choice", [{"type": "tool", "name": "get_weather"}, {"type": "any"}, {"type": "auto"}])
def test_claude_calls_a_clients_own_tool(bedrock, choice):
    """Forced or because the message wants it: the input is the message's, and validates; its result is answered."""
    body = claude(PARIS, tools=[CLAUDE_TOOL], tool_choice=choice)
    answer = invoke(bedrock, CLAUDE, body)
    [use] = answer["content"]
    assert (answer["stop_reason"], use["name"], use["input"]) == (
        "tool_use",
        "get_weather",
        {"city": "Paris", "days": 3},
    )
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": "21 degrees"}
    body["messages"] += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    said = invoke(bedrock, CLAUDE, body | {"tool_choice": {"type": "auto"}})
    assert (said["stop_reason"], said["content"][0]["text"]) == ("end_turn", "get_weather: 21 degrees")


def test_a_streamed_tool_input_is_its_json_in_pieces(bedrock):
    """By Claude's events and by Nova's."""
    events = streamed(bedrock, CLAUDE, claude(PARIS, tools=[CLAUDE_TOOL]))
    pieces = [event["delta"].get("partial_json", "") for event in events if event["type"] == "content_block_delta"]
    assert json.loads("".join(pieces)) == {"city": "Paris", "days": 3}
    events = streamed(bedrock, NOVA, nova(PARIS, toolConfig={"tools": [NOVA_TOOL]}))
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert json.loads("".join(delta["toolUse"]["input"] for delta in deltas)) == {"city": "Paris", "days": 3}


def test_tool_choice_none_gets_text(bedrock):
    """Though the message wants the tool."""
    answer = invoke(bedrock, CLAUDE, claude(PARIS, tools=[CLAUDE_TOOL], tool_choice={"type": "none"}))
    assert answer["stop_reason"] == "end_turn"


def test_an_answer_in_json_validates(bedrock):
    """Claude's output_config, handed through Converse too, and Converse's own outputConfig."""
    form = {"format": {"type": "json_schema", "schema": SCHEMA}}
    own = invoke(bedrock, CLAUDE, claude("plan a trip", output_config=form))["content"][0]["text"]
    schema = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(SCHEMA)}}}}
    messages = [{"role": "user", "content": [{"text": "plan a trip"}]}]
    said = bedrock.converse(modelId=CLAUDE, messages=messages, outputConfig=schema)["output"]["message"]
    fields = {"output_config": form}
    through = bedrock.converse(modelId=CLAUDE, messages=messages, additionalModelRequestFields=fields)["output"][
        "message"
    ]
    for text in (own, said["content"][0]["text"], through["content"][0]["text"]):
        jsonschema.validate(json.loads(text), SCHEMA)


def test_cache_control_writes_and_reads_the_cache(bedrock):
    """A breakpoint of Claude's own body is a cache point."""
    system = [{"type": "text", "text": "rules " * 1500, "cache_control": {"type": "ephemeral"}}]
    first, second = (invoke(bedrock, CLAUDE, claude("hello", system=system))["usage"] for _ in range(2))
    assert first["cache_creation_input_tokens"] == second["cache_read_input_tokens"] > 1000


def test_count_tokens_reads_a_models_own_body(bedrock):
    """The same as InvokeModel's usage."""
    body = claude("hello there", system="be brief")
    counted = bedrock.count_tokens(modelId=CLAUDE, input={"invokeModel": {"body": json.dumps(body)}})["inputTokens"]
    assert counted == invoke(bedrock, CLAUDE, body)["usage"]["input_tokens"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"max_tokens": 5, "messages": []}, r"required key \[anthropic_version\] not found"),
        ({**ANTHROPIC, "messages": 5}, "Malformed input request"),
        ({**ANTHROPIC, "messages": [{"role": "user", "content": [{"type": "audio"}]}]}, "type audio are not read"),
        ({**ANTHROPIC, "messages": [{"role": "bob", "content": "hi"}]}, "enum value set"),
    ],
)
def test_a_body_of_another_form_is_a_validation_exception(bedrock, body, words):
    """In the service's words."""
    with pytest.raises(bedrock.exceptions.ValidationException, match=words):
        invoke(bedrock, CLAUDE, body)


def test_an_image_of_claudes_body_is_counted(bedrock):
    """1,300 tokens and more."""
    data = base64.b64encode(b"picture").decode()
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    content = [image, {"type": "text", "text": "what is this?"}]
    body = {**ANTHROPIC, "messages": [{"role": "user", "content": content}]}
    assert invoke(bedrock, CLAUDE, body)["usage"]["input_tokens"] > 1300
