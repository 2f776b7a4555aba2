"""The official `openai` package, unmodified: only base_url differs."""

import json

import pytest

from tests.emulator.conftest import ORDERS

HELLO = [{"role": "user", "content": "hello"}]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("order_history", "catalogue_search", "recall")
]


@pytest.fixture
def client(emulator, openai):
    with openai.OpenAI(base_url=f"{emulator.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_a_chat_answer_has_text_reason_and_usage(client, openai):
    """Parsed into the package's own types, with nothing left over."""
    answer = client.chat.completions.create(model="custom-8b", messages=HELLO)
    assert isinstance(answer, openai.types.chat.ChatCompletion)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens == 20
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 20
    assert answer.usage.prompt_tokens_details.cached_tokens == 0


def test_a_chat_stream_ends_with_its_usage(client):
    """One chunk a token; the last has usage and no choice."""
    options = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model="custom-8b", messages=HELLO, stream=True, stream_options=options)
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) == 20
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 20)


def test_the_asynchronous_client_streams_too(emulator, openai):
    """Through the package's own streaming helper."""
    import asyncio

    async def stream() -> str:
        async with (
            openai.AsyncOpenAI(base_url=f"{emulator.url}/v1", api_key="none", max_retries=0) as made,
            made.chat.completions.stream(model="custom-8b", messages=HELLO) as events,
        ):
            return (await events.get_final_completion()).choices[0].finish_reason

    assert asyncio.run(stream()) == "stop"


def test_tool_calls_come_whole_and_streamed(client):
    """Three at once; the streamed pieces join to the same arguments, by the package's own accumulator."""
    messages = [{"role": "user", "content": ORDERS}]
    whole = client.chat.completions.create(model="custom-8b", messages=messages, tools=TOOLS)
    with client.chat.completions.stream(model="custom-8b", messages=messages, tools=TOOLS) as events:
        streamed = events.get_final_completion()
    for answer in (whole, streamed):
        choice = answer.choices[0]
        assert choice.finish_reason == "tool_calls"
        assert [call.function.name for call in choice.message.tool_calls] == [
            tool["function"]["name"] for tool in TOOLS
        ]
        assert [json.loads(call.function.arguments) for call in choice.message.tool_calls] == [{"query": "x"}] * 3


def test_a_tool_result_gets_an_answer(client):
    """The second call of the turn carries the package's own message object back."""
    messages = [{"role": "user", "content": ORDERS}]
    asked = client.chat.completions.create(model="custom-8b", messages=messages, tools=TOOLS).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "{}"} for call in asked.tool_calls]
    answer = client.chat.completions.create(model="custom-8b", messages=[*messages, asked, *results], tools=TOOLS)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content


@pytest.mark.parametrize("prompt", [[1, 2, 3], "one two three"])
def test_completions_take_text_or_token_ids(client, prompt):
    """Exactly as many tokens as asked for, whole and streamed."""
    asked = {
        "model": "custom-8b",
        "prompt": prompt,
        "max_tokens": 7,
        "extra_body": {"min_tokens": 7, "ignore_eos": True},
    }
    whole = client.completions.create(**asked)
    chunks = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert (whole.usage.completion_tokens, chunks[-1].usage.completion_tokens) == (7, 7)
    assert whole.choices[0].finish_reason == "length"
    assert all(chunk.choices[0].text for chunk in chunks[:7])


def test_models_are_listed(client):
    """Those that speak this protocol."""
    assert {model.id for model in client.models.list()} == {"custom-8b", "planner"}


def test_what_is_wrong_with_a_request_has_the_packages_classes(client, openai):
    """No such model, no such prompt."""
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.chat.completions.create(model="none", messages=HELLO)
    with pytest.raises(openai.BadRequestError, match="at least 1"):
        client.chat.completions.create(model="custom-8b", messages=HELLO, max_tokens=0)


@pytest.mark.parametrize(
    ("kind", "raised", "status"),
    [
        ("throttle", "RateLimitError", 429),
        ("not_ready", "InternalServerError", 503),
        ("unavailable", "InternalServerError", 503),
        ("server_error", "InternalServerError", 500),
    ],
)
def test_refusals_have_the_packages_classes(emulator, client, openai, kind, raised, status):
    """429, 503 and 500 are told apart."""
    emulator.control("faults", [{"kind": kind, "length_s": 60}])
    emulator.control("t0", {})
    with pytest.raises(getattr(openai, raised)) as caught:
        client.chat.completions.create(model="custom-8b", messages=HELLO)
    assert caught.value.status_code == status


@pytest.mark.parametrize(("kind", "raised"), [("stream_exception", "APIError"), ("region_down", "APIConnectionError")])
def test_a_broken_answer_is_an_error_and_no_short_answer(emulator, client, openai, kind, raised):
    """An error event in the middle of the stream; a connection that breaks."""
    emulator.control("faults", [{"kind": kind, "length_s": 60}])
    emulator.control("t0", {})
    with pytest.raises(getattr(openai, raised)):
        list(client.chat.completions.create(model="custom-8b", messages=HELLO, stream=True))
