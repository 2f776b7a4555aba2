"""pydantic-ai: Bedrock with CountTokens, OpenAI chat and responses."""

import asyncio

from checks import CUSTOM, NOVA, PARIS, TRIP, URL, run
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelRequest
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.bedrock import BedrockConverseModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.bedrock import BedrockProvider
from pydantic_ai.providers.openai import OpenAIProvider


class Trip(BaseModel):
    """A trip to plan."""

    city: str
    nights: int


def bedrock():
    return BedrockConverseModel(NOVA, provider=BedrockProvider(base_url=URL, region_name="us-east-1"))


def chat():
    return OpenAIChatModel(CUSTOM, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key="none"))


def responses():
    return OpenAIResponsesModel(CUSTOM, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key="none"))


def answer(make):
    assert Agent(make()).run_sync("hello").output


def stream(make):
    async def pieces():
        async with Agent(make()).run_stream("hello") as result:
            return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

    assert len(asyncio.run(pieces())) > 5


def tools(make):
    called = []

    def get_weather(city: str) -> str:
        """The weather of a city."""
        called.append(city)
        return f"21 degrees in {city}"

    output = Agent(make(), tools=[get_weather]).run_sync(PARIS).output
    assert called == ["Paris"], called
    assert "21 degrees" in output


def structured(make):
    assert Agent(make(), output_type=Trip).run_sync(TRIP).output == Trip(city="Rome", nights=12)


def tokens(make):
    request = [ModelRequest.user_text_prompt("hello")]
    used = asyncio.run(make().count_tokens(request, None, ModelRequestParameters()))
    assert used.input_tokens > 0


MODELS = {"pydantic-ai Bedrock": bedrock, "pydantic-ai OpenAI chat": chat, "pydantic-ai OpenAI responses": responses}
CHECKS = {"answer": answer, "stream": stream, "tools": tools, "structured": structured}
run({(name, what): (lambda make=make, check=check: check(make))
     for name, make in MODELS.items() for what, check in CHECKS.items()}
    | {("pydantic-ai Bedrock", "tokens"): lambda: tokens(bedrock)})  # fmt: skip
