"""More than a hundred scripted conversations: what the server owns, whatever is said and asked for."""

import asyncio
from dataclasses import replace

import pytest

from assistant.prompt import PromptBuilder
from assistant.router import classifier
from assistant.tools.registry import TOOLS
from assistant.tools.spec import Tool, text
from facts import reader
from tests.assistant.harness import Harness

# Customer's message, intent, and what its route fetches ahead (with the product page p000007 open).
SPOKEN = [
    ("does it have a warranty", "product_question", ["product_details"]),
    ("compare it with the cheaper one", "comparison", ["product_details"]),
    ("what is the price history of this", "price_history", ["product_details"]),
    ("tell me when the price drops below 200", "price_alert", ["product_details"]),
    ("buy it automatically at 200", "auto_buy", ["product_details"]),
    ("any deals today", "deals", ["product_details"]),
    ("where is my order", "order_status", ["order_history"]),
    ("cancel my order", "order_change", ["order_history"]),
    ("i want a refund", "returns_refunds", ["order_history"]),
    ("reorder the socks", "reorder", ["order_history"]),
    ("remember that i drink tea", "account_memory", []),
    ("let me console to a human", "human_agent", []),
    ("i forgot my password", "account", []),
]
# Rounds of reading tools a model may ask for.
PLANS = {
    "answers at once": [],
    "one tool": [[("live_price", {"product_id": "p000007"})]],
    "two at once": [[("live_price", {"product_id": "p000007"}), ("availability", {"product_id": "p000002"})]],
    "three at once": [[("product_details", {"product_id": p}) for p in ("p000001", "p000003", "p000007")]],
    "two rounds": [[("catalogue_search", {"query": "boots"})], [("product_reviews", {"product_id": "p000001"})]],
    "three rounds": [
        [("order_history", {})],
        [("recall", {})],
        [("price_history", {"product_id": "p000007", "days": 7})],
    ],
    "the same tool twice": [[("live_price", {"product_id": "p000007"})] * 2],
    "the web and then orders": [[("web_search", {"query": "recall"})], [("order_status", {})]],
}


@pytest.fixture(scope="module")
def shop(catalogue, tmp_path_factory):
    """One assistant for all: each conversation is its own interaction."""
    folder = tmp_path_factory.mktemp("scripted")
    models = {key: model for key, model in reader.models().items() if key != "planner"}
    policy = {"simple": "nova-pro", "complex": "claude-sonnet"}
    switches = {"policy": policy, "router": {"mode": "staged"}}
    harness = Harness(catalogue, folder, switches, classifier.load(), models=models)
    yield harness
    harness.close()


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(("message", "intent", "prefetch"), SPOKEN, ids=[intent for _, intent, _ in SPOKEN])
def test_conversation(shop, message, intent, prefetch, plan):
    """Route, prefetch, calls, results in order, cache points and limits of one turn and the one after it."""
    rounds, interaction = PLANS[plan], f"{intent}-{plan}".replace(" ", "-")
    answer = shop.turn(message, *rounds, "Done.", interaction_id=interaction, page={"product_id": "p000007"})
    assert (answer.one("meta")["intent"], answer.one("meta")["prefetch"]) == (intent, prefetch)
    assert len(shop.model.requests) == len(rounds) + 1
    assert [tool["round"] for tool in answer.all("tool")] == [n + 1 for n, calls in enumerate(rounds) for _ in calls]
    assert {tool["status"] for tool in answer.all("tool")} <= {"ok"}
    for request, calls in zip(shop.model.requests[1:], rounds, strict=True):
        assert results(request) == [name for name, _ in calls]
    for request in shop.model.requests:
        assert 2 <= points(request) <= request.model.cache.max_points
    again = shop.turn("thanks", interaction_id=interaction, turn_index=1)
    assert again.status == 200
    assert shop.model.requests[0].messages[0]["content"][0] == {"text": "<today>2026-07-08</today>"}


def results(request):
    """Names of the tools whose results the newest message holds, in order."""
    names = {
        block["toolUse"]["toolUseId"]: block["toolUse"]["name"]
        for message in request.messages
        for block in message["content"]
        if "toolUse" in block
    }
    return [names[b["toolResult"]["toolUseId"]] for b in request.messages[-1]["content"] if "toolResult" in b]


def points(request):
    text = str(request.system) + str(request.messages) + request.tools.converse.decode()
    return text.count("cachePoint")


BAD_CALLS = [
    ("no_such_tool", {}),
    ("", {}),
    ("x" * 200, {}),
    ("live_price", {}),
    ("live_price", {"product_id": 7}),
    ("live_price", {"product_id": ""}),
    ("live_price", {"product_id": "p" * 41}),
    ("live_price", {"product_id": "p000007", "customer_id": "c000002"}),
    ("live_price", {"product_id": "'; DROP TABLE products; --"}),
    ("live_price", {"product_id": ["p000007"]}),
    ("price_history", {"product_id": "p000007", "days": 0}),
    ("price_history", {"product_id": "p000007", "days": 1e9}),
    ("price_history", {"product_id": "p000007", "days": True}),
    ("catalogue_search", {"query": "x", "limit": -1}),
    ("catalogue_search", {"query": "x" * 201}),
    ("catalogue_search", {"query": "x", "max_price": float("nan")}),
    ("auto_buy", {"product_id": "p000007", "quantity": 1}),
    ("auto_buy", {"product_id": "p000007", "quantity": 1, "target_price": 5, "discount_ratio": 0.1}),
    ("auto_buy", {"product_id": "p000007", "quantity": 10_000, "target_price": 5}),
    ("order_change", {"order_id": "o000003", "change": "cancel"}),
    ("start_return", {"order_id": "o000001", "product_id": "p000007", "reason": "x"}),
    ("order_history", {"query": {"$ne": None}}),
]


@pytest.mark.parametrize("call", BAD_CALLS, ids=lambda call: f"{call[0][:16]}-{list(call[1])[-1:]}")
def test_a_wrong_tool_call_is_an_error_result_and_no_more(shop, call):
    """The model is told in one line, nothing is written, and the answer still comes."""
    before = written(shop)
    answer = shop.turn("hello", [call], "Sorry.", interaction_id=f"bad-{BAD_CALLS.index(call)}")
    assert [tool["status"] for tool in answer.all("tool")] == ["error"]
    assert answer.one("done")["stop_reason"] == "end_turn"
    assert written(shop) == before


def written(shop):
    return shop.rules.of_customer("c000001"), shop.store.cart("c000001"), shop.store.order_changes("c000001")


def slow_tools(shop, run):
    """The harness with two tools that run as given."""
    tools = {name: Tool(name, "A tool.", {"x": text("x")}, run) for name in ("one", "two")}
    services = replace(shop.services, tools={**TOOLS, **tools})
    shop.app._services = services
    return shop


def test_tools_of_a_round_run_at_the_same_time(make):
    """Each waits for the other: in series they would never end."""
    arrived = []

    async def meet(context, args):
        arrived.append(args)
        while len(arrived) < 2:
            await asyncio.sleep(0)
        return {}

    answer = slow_tools(make(), meet).turn("hello", [("one", {}), ("two", {})], "ok")
    assert [tool["status"] for tool in answer.all("tool")] == ["ok", "ok"]


def test_tools_run_one_after_another_when_parallel_is_off(make):
    """The second starts when the first has ended, and the request asks for one tool a call."""
    log = []

    async def note(context, args):
        log.append("begin")
        await asyncio.sleep(0)
        log.append("end")
        return {}

    shop = slow_tools(make({"tools": {"parallel": False}}), note)
    shop.turn("hello", [("one", {}), ("two", {})], "ok")
    assert log == ["begin", "end", "begin", "end"]
    assert shop.model.requests[0].parallel_tools is False


def test_a_tool_that_hangs_times_out_alone(make):
    """Its neighbour's result arrives, and the model hears of the timeout."""

    async def hang(context, args):
        if "x" in args:
            await asyncio.Event().wait()
        return {}

    shop = slow_tools(make({"tools": {"timeout_s": 0.01}}), hang)
    answer = shop.turn("hello", [("one", {"x": "hang"}), ("two", {})], "ok")
    assert [tool["status"] for tool in answer.all("tool")] == ["timeout", "ok"]


def test_a_changed_tool_list_is_reported_as_cache_fragmentation(make):
    """Two shared prefixes sent to one model show in the metrics, and in the rows."""
    shop = make()
    before = shop.turn("hello").one("usage")["prefix_hash"]
    assert b"assistant_cache_prefix_variants 1.0" in shop.metrics.text()
    fewer = {name: tool for name, tool in shop.services.tools.items() if name != "reorder"}
    object.__setattr__(shop.services, "prompts", PromptBuilder(fewer, shop.stack.switches.cache_ttl))
    assert shop.turn("hello", interaction_id="i2").one("usage")["prefix_hash"] != before
    assert b"assistant_cache_prefix_variants 2.0" in shop.metrics.text()
