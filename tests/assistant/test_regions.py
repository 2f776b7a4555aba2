"""Failover between regions, and what does not count as a region's fault."""

from assistant.errors import ModelError
from assistant.models.regions import DOWN_S

DOWN = ModelError(503, "ServiceUnavailableException", "down")
CLAUDE = {"policy": {"simple": "claude-sonnet", "complex": "claude-sonnet"}}


def regions(answer):
    return [(row["region"], row["status"]) for row in answer.all("usage")]


def test_a_region_that_is_down_is_failed_over(make):
    """The same model answers from the next region, as a row of its own."""
    shop = make(CLAUDE)
    answer = shop.turn("hello", DOWN, "hi", region="us-west-2")
    assert regions(answer) == [("us-west-2", "http_error"), ("us-east-1", "ok")]
    assert {row["model"] for row in answer.all("usage")} == {"claude-sonnet"}


def test_a_region_that_failed_is_passed_over_for_a_while(make):
    """Later calls go elsewhere at once, and come back after a pause."""
    shop = make(CLAUDE)
    shop.turn("hello", DOWN, "hi", region="us-west-2")
    again = shop.turn("hello", "hi", region="us-west-2", interaction_id="i2")
    assert regions(again) == [("us-east-1", "ok")]
    shop.clock_s += DOWN_S
    back = shop.turn("hello", "hi", region="us-west-2", interaction_id="i3")
    assert regions(back) == [("us-west-2", "ok")]


def test_throttling_is_not_the_region_s_fault(make):
    """A 429 goes along the model's fallback chain in the same region."""
    shop = make({**CLAUDE, "fallback": {"chains": {"claude-sonnet": ["nova-pro"]}}})
    answer = shop.turn("hello", ModelError(429, "ThrottlingException", "slow down"), "hi", region="us-west-2")
    assert regions(answer) == [("us-west-2", "throttled"), ("us-west-2", "ok")]


def test_failover_is_bounded_by_the_turn_s_hops(make):
    """Every region down: the refusal is passed on after max_hops."""
    shop = make({**CLAUDE, "fallback": {"max_hops": 1}}, regions=("us-east-1", "us-west-2", "us-east-2"))
    answer = shop.turn("hello", DOWN, DOWN, "never")
    assert (answer.status, len(shop.model.requests)) == (503, 2)


def test_with_every_region_down_the_wanted_one_is_tried(make):
    """There is nowhere better to go."""
    shop = make(CLAUDE)
    shop.turn("hello", DOWN, DOWN)
    answer = shop.turn("hello", "hi", interaction_id="i2")
    assert regions(answer) == [("us-east-1", "ok")]
