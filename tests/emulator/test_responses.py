"""The Responses API and structured answers, by the unmodified `openai` package: its own types read every answer."""

import json

import jsonschema
import pydantic
import pytest

from tests.emulator.test_openai_package import HELLO, client

__all__ = ["client"]

WEATHER = {
    "type": "function", "name": "get_weather", "description": "The weather of a city", "strict": True,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}  # fmt: skip
PARIS = "What is the weather in Paris?"


class Trip(pydantic.BaseModel):
    """What a structured answer is read into."""

    city: str
    nights: int = pydantic.Field(ge=1, le=30)


def test_a_response_has_text_and_usage(client):
    """A text in, the answer's text out, counts by the API's names."""
    answer = client.responses.create(model="custom-8b", input="hello", instructions="be brief")
    assert (answer.status, answer.usage.output_tokens, answer.instructions) == ("completed", 20, "be brief")
    assert answer.output_text
    assert answer.usage.total_tokens == answer.usage.input_tokens + 20


def test_a_response_streams_its_events_in_order(client):
    """Each event is numbered; the deltas joined are the text of the response that ends the stream."""
    events = list(client.responses.create(model="custom-8b", input="hello", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = list(dict.fromkeys(event.type.removeprefix("response.") for event in events))
    assert kinds == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert (len(deltas), "".join(deltas)) == (20, events[-1].response.output_text)
    assert events[-1].response.usage.output_tokens == 20


def test_max_output_tokens_leaves_a_response_incomplete(client):
    """And says why, whole and streamed."""
    answer = client.responses.create(model="custom-8b", input="hello", max_output_tokens=5)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    *_, last = client.responses.create(model="custom-8b", input="hello", max_output_tokens=5, stream=True)
    assert (last.type, last.response.usage.output_tokens) == ("response.incomplete", 5)


@pytest.mark.parametrize("streams", [False, True])
def test_a_function_is_called_and_its_output_answered(client, streams):
    """A client's own tool, because the message wants it; the call goes back with its output."""
    options = {"model": "custom-8b", "tools": [WEATHER]}
    if streams:
        with client.responses.stream(input=PARIS, **options) as events:
            answer = events.get_final_response()
    else:
        answer = client.responses.create(input=PARIS, **options)
    [call] = answer.output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "get_weather", {"city": "Paris"})
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}
    said = client.responses.create(input=[{"role": "user", "content": PARIS}, call.model_dump(), output], **options)
    assert said.output_text == "get_weather: 21 degrees"


def test_a_structured_response_is_parsed_by_the_package(client):
    """From its schema, with the message's figures and names."""
    answer = client.responses.parse(model="custom-8b", input="12 nights in Rome, please", text_format=Trip)
    assert answer.output_parsed == Trip(city="Rome", nights=12)


def test_a_structured_chat_answer_is_parsed_by_the_package(client):
    """The same of chat completions; what only must be JSON is JSON."""
    messages = [{"role": "user", "content": "12 nights in Rome, please"}]
    answer = client.chat.completions.parse(model="custom-8b", messages=messages, response_format=Trip)
    assert answer.choices[0].message.parsed == Trip(city="Rome", nights=12)
    loose = client.chat.completions.create(model="custom-8b", messages=HELLO, response_format={"type": "json_object"})
    assert "answer" in json.loads(loose.choices[0].message.content)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "book"}}])
def test_forced_arguments_validate(client, choice):
    """Filled by the tool's schema though no plan and no word asks for it; the same again is the same."""
    schema = {"type": "object", "required": ["code", "size"], "properties": {
        "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"}, "size": {"enum": ["s", "m"]}}}  # fmt: skip
    tools = [{"type": "function", "function": {"name": "book", "parameters": schema}}]
    made = []
    for _ in range(2):
        answer = client.chat.completions.create(model="custom-8b", messages=HELLO, tools=tools, tool_choice=choice)
        [call] = answer.choices[0].message.tool_calls
        made.append(call.function.arguments)
    jsonschema.validate(json.loads(made[0]), schema)
    assert made[0] == made[1]


def test_the_next_tool_is_called_when_one_was(client):
    """With a choice of several, forced: first what the message names, then what is left (an output tool, say)."""
    names = ("final_result", "get_weather")
    tools = [{"type": "function", "function": {"name": name, "parameters": WEATHER["parameters"]}} for name in names]
    messages = [{"role": "user", "content": PARIS}]
    for name in ("get_weather", "final_result"):
        answer = client.chat.completions.create(
            model="custom-8b", messages=messages, tools=tools, tool_choice="required"
        )
        [call] = answer.choices[0].message.tool_calls
        assert call.function.name == name
        messages += [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}]


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"previous_response_id": "resp_1"}, 404, "not found"),
        ({"tools": [{"type": "web_search"}]}, 400, "web_search are not offered"),
        ({"background": True}, 400, "background"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, 400, "item_reference"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"minItems": "x"}}}}, 400, "schema"),
    ],
)  # fmt: skip
def test_what_is_not_offered_is_refused(client, openai, more, status, words):
    """In words that name it."""
    with pytest.raises(openai.APIStatusError, match=words) as caught:
        client.responses.create(**({"model": "custom-8b", "input": "hello"} | more))
    assert caught.value.status_code == status
