"""Web search: the local cited index by default, a nested call to a model that can ground when live."""

import json
from dataclasses import replace

import pytest

from assistant.errors import ModelError
from assistant.models.converse import body
from assistant.models.protocol import Reply, Usage
from emulator.bedrock.rules import check_conversation
from emulator.calls import Refused

SEARCH = [("web_search", {"query": "vermont hiking"})]
URL = "https://www.example.org/vermont"


def grounded(shop, error=None):
    """The scripted model answers grounding calls with one citation."""
    plain = shop.model.converse

    async def converse(request, listener):
        if b"nova_grounding" not in (request.tools.converse if request.tools else b""):
            return await plain(request, listener)
        shop.asked = request
        if error:
            raise error
        content = [{"text": "Rain is likely."}]
        return Reply(content, [], "end_turn", Usage(50, 20), 0.1, 0.01, 0.2, citations=[URL])

    shop.model.converse = converse
    return shop


def test_the_local_index_answers_by_default(shop):
    """No model is asked for a search in the embedded default."""
    answer = shop.turn("weather in vermont?", SEARCH, "Rain.")
    assert [row["purpose"] for row in answer.all("usage")] == ["tool_round", "answer"]


def test_live_search_is_a_nested_call_with_its_own_row(make):
    """Row, cost and region are the grounding model's; its citation counts."""
    shop = grounded(make(live=True))
    answer = shop.turn("weather in vermont?", SEARCH, f"Rain, says {URL}.", region="us-west-2")
    row = next(row for row in answer.all("usage") if row["purpose"] == "grounding")
    assert (row["model"], row["region"], row["status"]) == ("nova-2-lite", "us-west-2", "ok")
    assert row["cost_usd"] == shop.stack.models["nova-2-lite"].prices.cost_usd(50, 0, 0, 0, 20)
    assert answer.one("done")["citations"] == [URL]


def test_grounding_stays_in_its_regions(make):
    """A customer elsewhere is searched for where the model grounds."""
    shop = grounded(make(live=True, regions=("eu-west-1",)))
    shop.turn("weather in vermont?", SEARCH, "Rain.")
    assert shop.asked.region in shop.stack.models["nova-2-lite"].grounding_regions


def test_a_failed_search_is_a_tool_error(make):
    """The turn goes on without it."""
    shop = grounded(make(live=True), ModelError(429, "ThrottlingException", "slow down"))
    answer = shop.turn("weather in vermont?", SEARCH, "I could not look it up.")
    assert answer.one("tool")["status"] == "error"
    assert answer.one("done")["stop_reason"] == "end_turn"


def test_without_a_grounding_model_the_local_index_serves(make):
    """Live, but no model of the stack grounds."""
    shop = make(live=True)
    models = {key: replace(model, grounding_regions=()) for key, model in shop.stack.models.items()}
    other = make(live=True, models=models)
    assert other.turn("weather in vermont?", SEARCH, "Rain.").one("tool")["status"] == "ok"


NOVA = {"policy": {"simple": "nova-2-lite", "complex": "nova-2-lite"}}


def cites(shop, *urls):
    """The scripted model's next answers carry these citations, as a model that grounds does."""
    plain = shop.model.converse

    async def converse(request, listener):
        return replace(await plain(request, listener), citations=list(urls))

    shop.model.converse = converse
    return shop


def test_a_model_that_grounds_looks_things_up_in_place(make):
    """One call, the provider's tool in place of ours, and what it returned is cited without being repeated."""
    shop = cites(make(NOVA, live=True), URL)
    answer = shop.turn("weather in vermont?", "Rain is likely.")
    (request,) = shop.model.requests
    names = [
        tool.get("systemTool", tool.get("toolSpec"))["name"] for tool in json.loads(request.tools.converse)["tools"]
    ]
    assert "nova_grounding" in names
    assert "web_search" not in names
    assert [row["purpose"] for row in answer.all("usage")] == ["answer"]
    assert answer.one("done")["citations"] == [URL]


def test_outside_its_regions_a_model_does_not_ground_in_place(make):
    """There the nested call serves."""
    shop = make(NOVA, live=True, regions=("eu-west-1",))
    shop.turn("weather in vermont?", "Rain.")
    assert b"nova_grounding" not in shop.model.requests[0].tools.converse


def test_what_a_model_looked_up_in_place_taints_the_conversation(make):
    """The same reply reads the web and wants a write: it waits for a confirmation."""
    shop = cites(make(NOVA, live=True), URL)
    answer = shop.turn("remember i hike in vermont", [("remember", {"fact": "hikes in vermont"})], "Shall I?")
    assert answer.one("done")["pending_confirmation"] is not None
    assert shop.store.facts("c000001") == []


def test_the_emulator_accepts_a_request_that_grounds_in_place(make):
    """The provider's rules hold: the system tool where the model has it, and nowhere else."""
    shop = make(NOVA, live=True)
    shop.turn("weather in vermont?", "Rain.")
    (request,) = shop.model.requests
    sent = json.loads(body(request))
    check_conversation(sent, request.model, "us-east-1")
    with pytest.raises(Refused):
        check_conversation(sent, request.model, "eu-west-1")
