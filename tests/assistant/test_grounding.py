"""Web search: the local cited index by default, a nested call to a model that can ground when live."""

from dataclasses import replace

from assistant.clients.protocol import Reply, Usage
from assistant.errors import ModelError

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
