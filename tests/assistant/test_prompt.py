"""Prompt order and cache points."""

import pytest

from assistant.history import Conversation
from assistant.prompt import PromptBuilder
from assistant.tools.registry import TOOLS
from facts import reader
from facts.stack import CacheTtl

MODELS = reader.models()
FACTS = "Remembered: " + "likes green. " * 100


def user(text="hi"):
    return {"role": "user", "content": [{"text": text}]}


def console(*messages):
    conversation = Conversation()
    for message in messages:
        conversation.append(message)
    return conversation


def build(model="claude-sonnet", customer="", conversation=None, ttl=None, points=True):
    builder = PromptBuilder(TOOLS, ttl or CacheTtl(), points)
    return builder.build(MODELS[model], customer, conversation or console(user()))


def places(prompt):
    """Where the cache points stand, in prompt order."""
    found = ["tools"] if b"cachePoint" in prompt.tools.converse else []
    found += [f"system{i}" for i, block in enumerate(prompt.system) if "cachePoint" in block]
    for number, message in enumerate(prompt.messages):
        found += [f"message{number}" for block in message["content"] if "cachePoint" in block]
    return found


def test_two_customers_share_identical_bytes_up_to_the_shared_point():
    """Nothing personal or dated stands before the first bar."""
    one, two = build(customer="Ann likes tea"), build(customer="Bob likes coffee")
    assert one.tools == two.tools
    assert one.system[:2] == two.system[:2]
    assert one.system[2] != two.system[2]


def test_claude_gets_points_on_tools_system_and_the_tail():
    """Its entry in models.yaml allows all three."""
    assert places(build("claude-sonnet")) == ["tools", "system1", "message0"]


@pytest.mark.parametrize("model", ["nova-pro", "nova-2-lite"])
def test_nova_gets_no_point_on_tools(model):
    """Nova rejects one there."""
    assert places(build(model)) == ["system1", "message0"]


def test_an_own_model_gets_no_points():
    """Its engine caches blocks by itself."""
    assert places(build("custom-8b")) == []


def test_points_can_be_switched_off():
    """cache.points false places none."""
    assert places(build(points=False)) == []


def test_a_model_never_gets_more_points_than_it_takes():
    """Shared, customer, the last tail and the new tail fill the four; tools go without."""
    conversation = console(user(), {"role": "assistant", "content": [{"text": "yes"}]}, user("more"))
    conversation.last_tail = 0
    prompt = build(customer=FACTS, conversation=conversation)
    assert places(prompt) == ["system1", "system3", "message0", "message2"]
    assert prompt.points == 4


def test_the_second_call_keeps_a_point_where_the_first_one_wrote():
    """What the call before wrote is read: its tail keeps its point, and the new tail gets one."""
    conversation = console(user())
    first = build(conversation=conversation)
    conversation.last_tail = first.tail
    conversation.append({"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "x", "input": {}}}]})
    conversation.append({"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": []}}]})
    assert places(build(conversation=conversation))[-2:] == ["message0", "message2"]
    assert build(conversation=conversation).messages[0] == first.messages[0]


def test_points_below_the_model_s_minimum_are_left_out_and_counted():
    """A prefix too short to be cached gets no point."""
    few = {"recall": TOOLS["recall"]}
    from dataclasses import replace

    strict = replace(MODELS["claude-sonnet"], cache=replace(MODELS["claude-sonnet"].cache, min_tokens=4096))
    prompt = PromptBuilder(few, CacheTtl()).build(strict, "", console(user()))
    assert places(prompt) == []
    assert prompt.points_left_out == 3


def test_a_later_point_never_outlives_an_earlier_one():
    """Providers want longer TTLs first: an hour behind five minutes becomes five minutes."""
    prompt = build(customer=FACTS, ttl=CacheTtl(shared="1h", customer="5m", conversation="1h"))
    points = [block["cachePoint"] for block in prompt.system if "cachePoint" in block]
    assert points == [{"type": "default", "ttl": "1h"}, {"type": "default"}]
    assert prompt.messages[-1]["content"][-1] == {"cachePoint": {"type": "default"}}


def test_a_model_without_an_hour_gets_five_minutes():
    """Nova caches for 5m only."""
    prompt = build("nova-pro", ttl=CacheTtl("1h", "1h", "1h"))
    assert "ttl" not in str(prompt.system) + str(prompt.messages)


def test_the_shared_prefix_is_long_enough_to_be_cached_by_every_default_model():
    """Estimated tokens of tools and system text exceed every minimum of the default fleet."""
    fleet = ("nova-2-lite", "nova-pro", "claude-sonnet", "custom-8b", "planner")
    minimum = max(MODELS[key].cache.min_tokens or 0 for key in fleet)
    assert build().prefix_shared_tokens > 1.5 * minimum


def test_trimming_drops_whole_turns_from_the_front():
    """The newest turn stays, and no tool result is left without its call."""
    long = "x" * 4_000
    conversation = console(user(long), {"role": "assistant", "content": [{"text": long}]}, user(long), user("new"))
    assert conversation.trim(1_200) == 2
    assert conversation.messages[-1] == user("new")
    assert conversation.messages[0]["role"] == "user"
