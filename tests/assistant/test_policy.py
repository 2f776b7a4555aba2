"""Which model answers: quality floor, predicted time to first token, quota headroom, each with its reason."""

from types import SimpleNamespace

import pytest

from assistant.errors import ModelError
from assistant.models.supply_state import FORGET_S, HALF_LIFE_S, QuotaHeadroom, TtftForecast
from assistant.policy import Ask, Choice, ModelPolicy
from facts import reader
from facts.stack import Grant, Policy, Switches

DEFAULT_FLEET = ("nova-2-lite", "nova-pro", "claude-sonnet", "custom-8b", "planner")
MODELS = {key: model for key, model in reader.models().items() if key in DEFAULT_FLEET}
PICTURE = {"format": "png", "data": "aGk="}


class World:
    """A policy over the package's models with a clock in hand."""

    def __init__(self, quality=(), quotas=None, markets=None, **policy):
        self.now_s = 0.0
        stack = SimpleNamespace(
            models=MODELS, marketplaces=markets or {}, switches=Switches(policy=Policy(**policy)), quotas=quotas or {}
        )
        self.forecast = TtftForecast(lambda: self.now_s)
        self.headroom = QuotaHeadroom(stack.quotas, lambda: self.now_s)
        self.policy = ModelPolicy(stack, quality or reader.quality(), self.forecast, self.headroom)

    def choose(self, complexity="complex", intent="comparison", pictures=False):
        return self.policy.choose(Ask(intent, complexity, "en_US", pictures, "us-east-1"))


def judged(model, ratio, intent="any", complexity="complex"):
    return reader.Quality(model, intent, complexity, ratio, ratio - 0.05, ratio + 0.05, 200, "judged")


def test_the_scenarios_model_answers_while_nothing_speaks_against_it():
    """The reason is then the policy itself."""
    assert World().choose() == Choice("claude-sonnet", "policy")
    assert World().choose("simple") == Choice("custom-8b", "policy")


def test_a_model_below_the_quality_floor_gives_way_to_the_cheapest_above_it():
    """custom-8b is assumed at 0.68 of complex turns: below 0.7."""
    assert World(complex="custom-8b").choose() == Choice("nova-2-lite", "quality_floor")


def test_quality_is_looked_up_by_intent_first():
    """A model that is found bad at one intent still answers the others."""
    rows = [*reader.quality(), judged("claude-sonnet", 0.3, "comparison")]
    assert World(rows).choose().reason == "quality_floor"
    assert World(rows).choose(intent="recommendation") == Choice("claude-sonnet", "policy")


def test_a_model_without_a_figure_is_not_held_back():
    """No row is no verdict."""
    assert World([judged("nova-pro", 0.9)]).choose() == Choice("claude-sonnet", "policy")


def test_a_slow_model_gives_way_and_gets_its_turns_back():
    """Its last observation above the limit counts until it is forgotten."""
    world = World(ttft_max_s=1.0)
    world.forecast.observe("claude-sonnet", 4.0)
    assert world.choose() == Choice("nova-2-lite", "predicted_ttft")
    world.now_s += FORGET_S + 1
    assert world.choose() == Choice("claude-sonnet", "policy")


def test_the_forecast_follows_what_is_newest():
    """After one half-life the older of two observations weighs half as much."""
    world = World()
    world.forecast.observe("nova-pro", 1.0)
    world.now_s += HALF_LIFE_S
    world.forecast.observe("nova-pro", 4.0)
    assert world.forecast.expected_s("nova-pro") == pytest.approx((0.5 * 1.0 + 4.0) / 1.5)


def test_a_model_short_of_quota_gives_way():
    """Calls in flight hold their tokens; when they settle, the model is free again."""
    world = World(quotas={"claude-sonnet": Grant(tpm=10_000, rpm=None)}, headroom_min_ratio=0.2)
    world.headroom.begin("claude-sonnet", "us-east-1", 9_000)
    assert world.choose() == Choice("nova-2-lite", "quota_headroom")
    world.headroom.end(MODELS["claude-sonnet"], "us-east-1", 9_000, (1_000, 100))
    assert world.choose() == Choice("claude-sonnet", "policy")


def test_output_is_charged_with_its_burndown():
    """A Claude output token takes five of the quota."""
    world = World(quotas={"claude-sonnet": Grant(tpm=10_000, rpm=None)})
    burndown = MODELS["claude-sonnet"].quota.output_burndown_ratio
    world.headroom.begin("claude-sonnet", "us-east-1", 5_000)
    world.headroom.end(MODELS["claude-sonnet"], "us-east-1", 5_000, (1_000, 100))
    assert burndown > 1
    assert world.headroom.free_ratio("claude-sonnet", "us-east-1") == pytest.approx(1 - (1_000 + 100 * burndown) / 1e4)


def test_a_minute_ends():
    """A new minute has its whole quota again."""
    world = World(quotas={"claude-sonnet": Grant(tpm=None, rpm=1)})
    world.headroom.begin("claude-sonnet", "us-east-1", 10)
    assert world.headroom.free_ratio("claude-sonnet", "us-east-1") == 0
    world.now_s += 61
    assert world.headroom.free_ratio("claude-sonnet", "us-east-1") == 1


def test_a_slow_answer_beats_a_bad_one():
    """When every good model is slow, speed is let go and the scenario's model answers."""
    world = World(ttft_max_s=1.0, quality_floor=0.8)
    for model in ("claude-sonnet", "nova-pro"):
        world.forecast.observe(model, 3.0)
    assert world.choose() == Choice("claude-sonnet", "policy")


def test_meta_says_why_a_model_answers(make):
    """A picture never reaches a text-only model, and the event says so."""
    shop = make()
    assert shop.turn("how heavy is it").one("meta")["route_reason"] == "policy"
    assert shop.turn("how heavy is it", images=[PICTURE], interaction_id="i2").one("meta")["route_reason"] == "pictures"


def test_meta_tells_of_a_spill_with_its_reason(make):
    """The model that answered, the one that refused, and what it said."""
    shop = make({"policy": {"complex": "claude-sonnet"}, "fallback": {"chains": {"claude-sonnet": ["nova-pro"]}}})
    refused = ModelError(429, "ThrottlingException", "no")
    meta = shop.turn("compare the two boots", refused, "here").one("meta")
    assert meta["spills"] == [{"from": "claude-sonnet", "to": "nova-pro", "reason": "ThrottlingException"}]


def test_spill_passes_over_a_model_that_just_refused(make):
    """The second turn goes past the model that was refused a moment ago."""
    chains = {"claude-sonnet": ["nova-pro", "nova-2-lite"]}
    shop = make({"policy": {"complex": "claude-sonnet"}, "fallback": {"max_hops": 2, "chains": chains}})
    refused = ModelError(429, "ThrottlingException", "no")
    shop.turn("compare the two boots", refused, refused, "here")
    spills = shop.turn("compare the two boots", refused, "here", interaction_id="i2").one("meta")["spills"]
    assert [spill["to"] for spill in spills] == ["nova-2-lite"]
