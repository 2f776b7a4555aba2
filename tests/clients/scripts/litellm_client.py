"""LiteLLM: Converse, InvokeModel, OpenAI chat and responses."""

import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from checks import CLAUDE, CUSTOM, NOVA, PARIS, TRIP, URL, run
from pydantic import BaseModel

litellm.telemetry = False
BEDROCK = {"aws_bedrock_runtime_endpoint": URL, "aws_region_name": "us-east-1"}
HELLO = [{"role": "user", "content": "hello"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "The weather", "parameters": CITY}}
KINDS = {
    "LiteLLM converse": {"model": f"bedrock/converse/{NOVA}", **BEDROCK},
    "LiteLLM invoke": {"model": f"bedrock/invoke/{CLAUDE}", **BEDROCK},
    "LiteLLM openai": {"model": f"openai/{CUSTOM}", "api_base": f"{URL}/v1"},
}


class Trip(BaseModel):
    """A trip to plan."""

    city: str
    nights: int


def answer(kind):
    assert litellm.completion(messages=HELLO, **kind).choices[0].message.content


def stream(kind):
    chunks = list(litellm.completion(messages=HELLO, stream=True, stream_options={"include_usage": True}, **kind))
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) > 5
    assert chunks[-1].usage.completion_tokens > 0


def tools(kind):
    made = litellm.completion(messages=[{"role": "user", "content": PARIS}], tools=[WEATHER], **kind)
    assert json.loads(made.choices[0].message.tool_calls[0].function.arguments) == {"city": "Paris"}


def structured(kind):
    made = litellm.completion(messages=[{"role": "user", "content": TRIP}], response_format=Trip, **kind)
    assert Trip.model_validate_json(made.choices[0].message.content).nights == 12


def responses():
    made = litellm.responses(model=f"openai/{CUSTOM}", input="hello", api_base=f"{URL}/v1")
    assert made.output[0].content[0].text


CHECKS = {"answer": answer, "stream": stream, "tools": tools, "structured": structured}
run({(name, what): (lambda kind=kind, check=check: check(kind))
     for name, kind in KINDS.items() for what, check in CHECKS.items()}
    | {("LiteLLM openai responses", "answer"): responses})  # fmt: skip
