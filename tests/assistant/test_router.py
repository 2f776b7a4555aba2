"""The router's stages and its frozen classifier."""

import asyncio
from pathlib import Path

import pytest

import scenarios
from assistant.errors import ModelError
from assistant.router import classifier, rules
from assistant.router.features import BUCKETS, GROUPS, buckets, tokens
from assistant.router.route import MessageRouter
from facts.stack import Router

UTTERANCES = Path(scenarios.__file__).parent / "utterances"


class Unsure:
    """A classifier that always guesses deals at 30%."""

    def classify(self, message):
        return "deals", "simple", 0.3


def route(message="hmm", mode="staged", previous=None, planner=None, guess=None, **settings):
    router = MessageRouter(Router(mode=mode, **settings), guess or Unsure())
    return asyncio.run(router.route(message, previous, planner))


def says(words):
    async def planner(message):
        if isinstance(words, Exception):
            raise words
        return words

    return planner


def test_a_sure_rule_decides_at_once():
    """Neither classifier nor planner is asked."""
    found = route("please cancel order 123", planner=says(RuntimeError("must not be asked")))
    assert (found.intent, found.stage) == ("order_change", "rules")


def test_the_planner_is_asked_only_when_unsure():
    """Below unsure_below its word counts; above, it is not asked."""
    assert route(planner=says("reorder complex")).intent == "reorder"
    assert route(planner=says("reorder complex"), unsure_below=0.2).stage == "classifier"


def test_llm_mode_always_asks_the_planner():
    """The planner decides even what a rule is sure of."""
    assert route("please cancel order 123", mode="llm", planner=says("deals simple")).intent == "deals"


@pytest.mark.parametrize("answer", ["banana", "", ModelError(429, "ThrottlingException", "no")])
def test_a_planner_without_a_usable_answer_changes_nothing(answer):
    """The classifier's guess stands."""
    assert route(planner=says(answer)).stage == "classifier"


def test_a_planner_beyond_the_budget_is_not_waited_for():
    """The budget bounds what a customer waits for a route."""

    async def slow(message):
        await asyncio.Event().wait()

    assert route(planner=slow, budget_s=0.001).stage == "classifier"


def test_a_short_follow_up_leans_on_the_turn_before():
    """`and that one?` means what the last message meant, when the classifier is unsure."""
    assert route("and that one?", previous="price_history").intent == "price_history"


@pytest.mark.parametrize(
    "message", ["number 2", "ok maybe 110", "and the one below it", "I can't go over 90", "the cheapest please"]
)
def test_a_place_or_a_sum_alone_means_what_was_meant_before(message):
    """However sure the classifier is: the words state no intent. Without a turn before they are left to it."""
    guess = classifier.load()
    assert route(message, previous="price_alert", guess=guess).intent == "price_alert"
    assert route(message, previous=None, guess=guess).stage != "rules"


@pytest.mark.parametrize(
    ("message", "not_this"),
    [
        ("if I order this today when will it be here", "auto_buy"),
        ("oh actually forget that, just tell me the price", "account_memory"),
        ("what do people say about this one", "web_lookup"),
    ],
)
def test_a_rule_is_sure_of_no_wording_that_means_something_else(message, not_this):
    """A supposition is no order to buy, a change of mind nothing about memory, reviews nothing of the web."""
    assert rules.intent_of(message) != not_this


def test_rules_are_silent_when_two_speak():
    """A message that fits two wordings is left to the next stage."""
    assert rules.intent_of("compare deals") is None


def test_features_do_not_depend_on_the_number():
    """Any number is the same word, so no particular order is learned."""
    assert buckets("cancel order 123") == buckets("cancel order 98765")
    assert tokens("it's 5.99") == ["its", "0"]


def test_features_are_bounded():
    """A long message costs no more than its first characters."""
    assert buckets("x" * 600) == buckets("x" * 8_000)
    assert max(max(group) for group in buckets("some red words")) < BUCKETS


def test_groups_of_features_share_no_bucket():
    """Words, letter runs and concepts fall into ranges of their own."""
    for group, found in zip(GROUPS, buckets("is the red lamp cheaper than the blue one"), strict=True):
        assert found
        assert all(group.first <= bucket < group.first + group.size for bucket in found)


def test_a_message_without_words_is_unsure():
    """Nothing to go by gives a guess that the next stage may overrule."""
    _, _, confidence = classifier.load().classify("~~~")
    assert confidence < Router().unsure_below


def test_the_shipped_weights_name_their_inputs():
    """The weights list every utterance file they saw, with its hash."""
    inputs = classifier.load().about["inputs"]
    assert set(inputs) > {path.name for path in UTTERANCES.glob("*.yaml")}
    assert all(len(digest) == 64 for digest in inputs.values())
