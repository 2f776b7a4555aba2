"""Lines of cost of a sample of interactions, by hand: three interactions, four turns, five calls."""

import numpy as np
import pytest

from capacity.cost.interaction import CallCosts, Origins, bedrock_spend, cache_hit_figures, cost_lines
from capacity.demand.calls import Calls
from facts.reader import models
from facts.stack import CacheTtl

ORIGINS = Origins(calls="measured", with_silicon="derived", source="run r")


def calls_of(**columns):
    """Interaction 0 asks b twice, 1 asks a, 2 asks c; the first turn of 0 makes two calls."""
    of_call = {
        "turn": np.array([0, 0, 1, 2, 3]),
        "model": np.array(["claude-sonnet"] * 5, dtype=object),
        "input_tokens": np.array([10, 10, 10, 10, 10]),
        "cache_read_tokens": np.array([0, 90, 90, 0, 90]),
        "cache_write_tokens_5m": np.array([90, 0, 0, 90, 0]),
        "cache_write_tokens_1h": np.zeros(5, dtype=np.int64),
        "output_tokens": np.full(5, 20),
        "shared_tokens": np.full(5, 50),
        "customer_tokens": np.full(5, 70),
    }
    return Calls(
        **of_call | columns,
        turn_intent=np.array(["b", "b", "a", "c"], dtype=object),
        turn_interaction=np.array([0, 0, 1, 2]),
        interactions=3,
        provenance={"claude-sonnet": "measured"},
        source="run r",
    )


@pytest.fixture(scope="module")
def lines():
    costs = CallCosts({"input": np.array([1.0, 2.0, 3.0, 5.0, 7.0]), "output": np.array([0.0, 0.0, 4.0, 0.0, 0.0])})
    return {line.intent: line for line in cost_lines(calls_of(), costs, ORIGINS)}


def test_an_interaction_costs_its_own_calls_under_the_intent_of_its_first_turn(lines):
    assert {intent: line.per_interaction_usd.mid for intent, line in lines.items()} == {
        "all": pytest.approx(22 / 3), "b": 10.0, "a": 5.0, "c": 7.0,
    }  # fmt: skip
    assert {intent: line.per_turn_usd.mid for intent, line in lines.items()} == {
        "all": pytest.approx(22 / 4), "b": 5.0, "a": 5.0, "c": 7.0,
    }  # fmt: skip
    assert next(iter(lines)) == "all"


def test_parts_are_of_the_lines_own_interactions_and_an_empty_one_is_left_out(lines):
    assert lines["b"].parts_usd == {"input": 6.0, "output": 4.0}
    assert lines["a"].parts_usd == {"input": 5.0}
    assert lines["all"].parts_usd == {"input": pytest.approx(6.0), "output": pytest.approx(4 / 3)}


def test_one_interaction_has_no_interval_and_none_is_below_nothing(lines):
    assert (lines["a"].per_interaction_usd.low, lines["a"].per_interaction_usd.high) == (5.0, 5.0)
    turns = lines["all"].per_turn_usd
    half = 1.6449 * np.std([3, 7, 5, 7], ddof=1) / 2
    assert (turns.low, turns.high) == (pytest.approx(5.5 - half), pytest.approx(5.5 + half))
    costs = CallCosts({"input": np.array([0.0, 0.0, 0.0, 0.0, 90.0])})
    (everything, *_) = cost_lines(calls_of(), costs, ORIGINS)
    assert everything.per_interaction_usd.low == 0.0


@pytest.mark.parametrize(("n", "known"), [(19, ()), (20, ("p50",)), (199, ("p50",)), (200, ("p50", "p95"))])
def test_a_quantile_needs_ten_values_beyond(n, known):
    calls = Calls(
        turn=np.arange(n), model=np.array(["m"] * n, dtype=object),
        **{name: np.ones(n, dtype=np.int64) for name in (
            "input_tokens", "cache_read_tokens", "cache_write_tokens_5m", "cache_write_tokens_1h", "output_tokens",
            "shared_tokens", "customer_tokens")},
        turn_intent=np.array(["a"] * n, dtype=object), turn_interaction=np.arange(n), interactions=n,
        provenance={}, source="",
    )  # fmt: skip
    (everything, _) = cost_lines(calls, CallCosts({"input": np.arange(n, dtype=float)}), ORIGINS)
    quantiles = everything.quantiles_usd["interaction"]
    assert tuple(name for name, value in quantiles.items() if value is not None) == known


def test_hits_are_told_by_level_of_what_each_level_holds():
    """Calls of 100 tokens: 50 shared, 20 of the customer, 30 of the conversation; three of five read 90."""
    assert cache_hit_figures(calls_of(), "claude-sonnet") == pytest.approx(
        {"all": 270 / 500, "shared": 3 / 5, "customer": 3 / 5, "conversation": 60 / 150}
    )
    without = calls_of(customer_tokens=np.array([70, 70, -1, 70, 70]))
    assert list(cache_hit_figures(without, "claude-sonnet")) == ["all"]
    none_personal = calls_of(shared_tokens=np.full(5, 0), customer_tokens=np.full(5, 0))
    assert cache_hit_figures(none_personal, "claude-sonnet")["conversation"] == pytest.approx(270 / 500)


@pytest.mark.parametrize("levels_told", [True, False])
def test_lost_hits_are_written_again_for_the_lifetime_of_their_level(levels_told):
    """Told: 50 of each 90 at an hour's price. Untold: in the proportion of what was written, here a third."""
    columns = {"cache_write_tokens_1h": np.array([45, 0, 0, 45, 0])}
    if not levels_told:
        columns |= {"shared_tokens": np.full(5, -1), "customer_tokens": np.full(5, -1)}
    price = models()["claude-sonnet"].prices
    long = 150 if levels_told else 270 / 3
    expected = long * price.cache_write_1h_usd_per_mtok + (270 - long) * price.cache_write_5m_usd_per_mtok
    spend = bedrock_spend(calls_of(**columns), models(), 3, CacheTtl(shared="1h"))["claude-sonnet"]
    assert spend.rewrite == pytest.approx(expected / 1e6)


def test_a_bill_grows_with_interactions_and_failed_attempts():
    one = bedrock_spend(calls_of(), models(), 3)["claude-sonnet"]
    many = bedrock_spend(calls_of(), models(), 30, retry_extra_attempts=0.5)["claude-sonnet"]
    for part in ("input", "cache_read", "cache_write", "output"):
        assert getattr(many, part) == pytest.approx(15 * getattr(one, part))
    assert many.rewrite == pytest.approx(15 * one.rewrite)
