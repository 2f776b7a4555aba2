"""langchain-aws on Converse and on InvokeModel, langchain-openai on chat and responses."""

from checks import CLAUDE, CUSTOM, NOVA, PARIS, TRIP, URL, run
from langchain_aws import ChatBedrock, ChatBedrockConverse
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Trip(BaseModel):
    """A trip to plan."""

    city: str
    nights: int


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"21 degrees in {city}"


def answer(model):
    assert model.invoke("hello").content


def stream(model):
    chunks = list(model.stream("hello"))
    assert len(chunks) > 5
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert total.usage_metadata["output_tokens"] > 0


def tools(model):
    [call] = model.bind_tools([get_weather]).invoke(PARIS).tool_calls
    assert call["args"] == {"city": "Paris"}


def structured(model):
    assert model.with_structured_output(Trip).invoke(TRIP).nights == 12


def count(model):
    assert model.get_num_tokens_from_messages([("user", "hello")]) > 0


MODELS = {
    "langchain-aws Converse": lambda: ChatBedrockConverse(model=NOVA, base_url=URL, region_name="us-east-1"),
    "langchain-aws InvokeModel": lambda: ChatBedrock(model=CLAUDE, endpoint_url=URL, region_name="us-east-1"),
    "langchain-openai chat": lambda: ChatOpenAI(model=CUSTOM, base_url=f"{URL}/v1", stream_usage=True),
    "langchain-openai responses": lambda: ChatOpenAI(model=CUSTOM, base_url=f"{URL}/v1", use_responses_api=True),
}
CHECKS = {"answer": answer, "stream": stream, "tools": tools, "structured": structured}
run({(name, what): (lambda make=make, check=check: check(make()))
     for name, make in MODELS.items() for what, check in CHECKS.items()})  # fmt: skip
