"""The openai package: chat completions and responses."""

import json

import openai
from checks import CUSTOM, PARIS, TRIP, URL, run
from pydantic import BaseModel

client = openai.OpenAI(base_url=f"{URL}/v1", max_retries=0)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
HELLO = [{"role": "user", "content": "hello"}]


class Trip(BaseModel):
    """A trip to plan."""

    city: str
    nights: int


def chat_answer():
    assert client.chat.completions.create(model=CUSTOM, messages=HELLO).choices[0].message.content


def chat_stream():
    with client.chat.completions.stream(model=CUSTOM, messages=HELLO) as events:
        assert sum(event.type == "content.delta" for event in events) > 5


def chat_tools():
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
    made = client.chat.completions.create(model=CUSTOM, messages=[{"role": "user", "content": PARIS}], tools=[tool])
    assert json.loads(made.choices[0].message.tool_calls[0].function.arguments) == {"city": "Paris"}


def chat_structured():
    messages = [{"role": "user", "content": TRIP}]
    made = client.chat.completions.parse(model=CUSTOM, messages=messages, response_format=Trip)
    assert made.choices[0].message.parsed.nights == 12


def answer():
    assert client.responses.create(model=CUSTOM, input="hello").output_text


def stream():
    with client.responses.stream(model=CUSTOM, input="hello") as events:
        assert sum(event.type == "response.output_text.delta" for event in events) > 5


def tools():
    tool = {"type": "function", "name": "get_weather", "parameters": CITY}
    made = client.responses.create(model=CUSTOM, input=PARIS, tools=[tool])
    assert json.loads(made.output[0].arguments) == {"city": "Paris"}


def structured():
    assert client.responses.parse(model=CUSTOM, input=TRIP, text_format=Trip).output_parsed.nights == 12


run({
    ("openai (Python) chat", "answer"): chat_answer, ("openai (Python) chat", "stream"): chat_stream,
    ("openai (Python) chat", "tools"): chat_tools, ("openai (Python) chat", "structured"): chat_structured,
    ("openai (Python) responses", "answer"): answer, ("openai (Python) responses", "stream"): stream,
    ("openai (Python) responses", "tools"): tools, ("openai (Python) responses", "structured"): structured,
})  # fmt: skip
