"""strands-agents: an agent with a tool, and structured output, on its Bedrock and OpenAI models."""

import boto3
from checks import CUSTOM, NOVA, PARIS, TRIP, URL, run
from pydantic import BaseModel
from strands import Agent, tool
from strands.models.bedrock import BedrockModel
from strands.models.openai import OpenAIModel

CALLED = []


class Trip(BaseModel):
    """A trip to plan."""

    city: str
    nights: int


@tool
def get_weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: which one
    """
    CALLED.append(city)
    return f"21 degrees in {city}"


def bedrock(streaming=True):
    session = boto3.Session(region_name="us-east-1")
    return BedrockModel(model_id=NOVA, endpoint_url=URL, streaming=streaming, boto_session=session)


def openai():
    return OpenAIModel(client_args={"base_url": f"{URL}/v1", "api_key": "none"}, model_id=CUSTOM)


def agent(model, **more):
    return Agent(model=model, callback_handler=None, **more)


def answer(model):
    assert str(agent(model)("hello")).strip()


def tools(model):
    CALLED.clear()
    result = agent(model, tools=[get_weather])(PARIS)
    assert CALLED == ["Paris"], CALLED
    assert "21 degrees" in str(result)


def structured(model):
    assert agent(model)(TRIP, structured_output_model=Trip).structured_output.nights >= 1


run({
    ("strands Bedrock", "answer"): lambda: answer(bedrock(streaming=False)),
    ("strands Bedrock", "stream"): lambda: answer(bedrock()),
    ("strands Bedrock", "tools"): lambda: tools(bedrock()),
    ("strands Bedrock", "structured"): lambda: structured(bedrock()),
    ("strands OpenAI", "stream"): lambda: answer(openai()),
    ("strands OpenAI", "tools"): lambda: tools(openai()),
    ("strands OpenAI", "structured"): lambda: structured(openai()),
})  # fmt: skip
