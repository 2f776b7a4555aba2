"""The OpenAI-compatible side: chat completions, completions with token ids, models, metrics."""

import json

import pytest

from tests.emulator.conftest import ORDERS, WORDS
from wire.sse import SseParser

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("order_history", "catalogue_search", "recall")]


def events(data: bytes) -> list:
    """The JSON of each event before [DONE], which must be last."""
    found = SseParser().feed(data)
    assert found[-1].data == b"[DONE]"
    return [json.loads(event.data) for event in found[:-1]]


def chat(emulator, **kwargs):
    body = {"model": "custom-8b", "messages": [{"role": "user", "content": "hello"}], **kwargs}
    status, headers, data = emulator.post("/v1/chat/completions", body)
    assert headers["x-peakday-simulated"] == "1"
    return status, data


def test_a_chat_stream_ends_with_usage_when_asked(emulator):
    """Role first, one chunk a token, the finish reason, then the usage chunk with no choices."""
    _, data = chat(emulator, stream=True, stream_options={"include_usage": True})
    found = events(data)
    assert found[0]["choices"][0]["delta"]["role"] == "assistant"
    assert sum(bool(event["choices"] and event["choices"][0]["delta"].get("content")) for event in found) == 20
    assert found[-2]["choices"][0]["finish_reason"] == "stop"
    assert found[-1]["choices"] == []
    assert found[-1]["usage"]["completion_tokens"] == 20


def test_token_id_prompts_have_exact_lengths(emulator):
    """A prompt of 8,000 ids answered with exactly 150 tokens: max_tokens = min_tokens, ignore_eos."""
    body = {"model": "custom-8b", "prompt": list(range(8000)), "max_tokens": 150, "min_tokens": 150, "ignore_eos": True}
    status, _, data = emulator.post("/v1/completions", body)
    usage = json.loads(data)["usage"]
    assert (status, usage["prompt_tokens"], usage["completion_tokens"]) == (200, 8000, 150)


def test_a_repeated_prompt_hits_the_prefix_cache(emulator):
    """Whole blocks of the prompt come from the cache the second time, whatever replica serves: replicas start idle."""
    emulator.control("profiles", {"custom-8b": {"engine": {"replicas": 1}}})
    body = {"model": "custom-8b", "prompt": list(range(1000)), "max_tokens": 2}
    for expected in (0, 992):
        usage = json.loads(emulator.post("/v1/completions", body)[2])["usage"]
        assert usage["prompt_tokens_details"]["cached_tokens"] == expected


def test_a_prompt_beyond_the_context_is_refused(emulator):
    """HTTP 400 in vLLM's form, naming the context length."""
    status, _, data = emulator.post("/v1/completions", {"model": "custom-8b", "prompt": [1] * 8192, "max_tokens": 1})
    assert status == 400
    assert "maximum context length is 8192" in json.loads(data)["error"]["message"]


@pytest.mark.parametrize(("parallel", "expected"), [(True, 3), (False, 1)])
def test_tools_of_a_round_come_together_unless_told_otherwise(emulator, parallel, expected):
    """parallel_tool_calls: false hands the plan out one call at a time."""
    messages = [{"role": "user", "content": ORDERS}]
    _, data = chat(emulator, messages=messages, tools=TOOLS, parallel_tool_calls=parallel)
    choice = json.loads(data)["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert len(choice["message"]["tool_calls"]) == expected


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "recall"}}])
def test_a_tool_can_be_demanded(emulator, choice):
    """Though no plan asks for one."""
    _, data = chat(emulator, tools=TOOLS[2:], tool_choice=choice)
    (call,) = json.loads(data)["choices"][0]["message"]["tool_calls"]
    assert call["function"] == {"name": "recall", "arguments": "{}"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_tokens": 0}, "max_tokens must be at least 1"),
        ({"max_tokens": 5, "min_tokens": 6}, "less than or equal to max_tokens=5"),
        ({"messages": []}, "at least one message"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}}, "not among tools"),
        ({"n": 2}, "n must be 1"),
    ],
)
def test_what_vllm_would_refuse_is_refused(emulator, change, words):
    """HTTP 400, BadRequestError, and the reason."""
    status, data = chat(emulator, **change)
    error = json.loads(data)["error"]
    assert (status, error["type"]) == (400, "BadRequestError")
    assert words in error["message"]


def test_a_prefetched_tool_is_not_asked_for(emulator):
    """Its result stands in the message already."""
    parts = [{"type": "text", "text": '<prefetch tool="order_history">{}</prefetch>'}, {"type": "text", "text": ORDERS}]
    _, data = chat(emulator, messages=[{"role": "user", "content": parts}], tools=TOOLS)
    names = [call["function"]["name"] for call in json.loads(data)["choices"][0]["message"]["tool_calls"]]
    assert names == ["catalogue_search", "recall"]


def test_streamed_tool_calls_join_to_json(emulator):
    """Id and name come with the first piece of the arguments."""
    messages = [{"role": "user", "content": ORDERS}]
    _, data = chat(emulator, messages=messages, tools=TOOLS, stream=True)
    arguments: dict[int, str] = {}
    for event in events(data):
        for call in event["choices"][0]["delta"].get("tool_calls", []):
            arguments[call["index"]] = arguments.get(call["index"], "") + call["function"]["arguments"]
    assert [json.loads(text) for text in arguments.values()] == [{"query": "x"}] * 3


def test_the_planner_says_intent_and_complexity(emulator):
    """Where the conversation file labels a message, the query planner repeats the label."""
    _, data = chat(emulator, model="planner", messages=[{"role": "user", "content": WORDS}], max_tokens=8)
    assert json.loads(data)["choices"][0]["message"]["content"] == "price_history simple"


def test_unknown_models_are_not_found(emulator):
    """HTTP 404 in vLLM's words."""
    status, data = chat(emulator, model="gpt-none")
    assert (status, json.loads(data)["error"]["message"]) == (404, "The model `gpt-none` does not exist.")


def test_models_health_and_metrics_are_served(emulator):
    """The names a vLLM dashboard looks for are there."""
    assert {row["id"] for row in emulator.get("/v1/models")["data"]} == {"custom-8b", "planner"}
    assert emulator.get("/health")["ok"]
    chat(emulator)
    status, _, page = emulator.post("/metrics", b"")
    text = page.decode()
    for name in ("vllm:num_requests_running", "vllm:time_to_first_token_seconds_bucket", "vllm:kv_cache_usage_perc"):
        assert name in text
    assert status == 200
