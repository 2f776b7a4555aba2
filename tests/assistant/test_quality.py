"""The quality loop: a fixed sample, judged apart, summed up with its interval."""

import asyncio
import json
from dataclasses import replace
from datetime import date

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.errors import AssistantError, ModelError
from assistant.quality.exact import check_exactly, exact_lines, exact_table
from assistant.quality.judge import COLUMNS, judge, write_judgements
from assistant.quality.judge_client import expected_usd, rehearsed_verdicts, within
from assistant.quality.sample_buffer import SampledTurn, is_sampled, read_samples
from assistant.quality.summary import quality_rows, write_quality
from facts import reader
from tests.assistant.shopping import Shopper, smoke_world

TURN = SampledTurn("t1", "nova-pro", "deals", "simple", "any deals?", "[]", "Yes.")


def buffered(shop):
    return read_samples(shop.stack.store.with_name("judge-spool.jsonl"))


def judged(shop, *script, turns=(TURN,)):
    shop.model.script = list(script)
    model = shop.stack.models["claude-sonnet"]
    return asyncio.run(judge(turns, shop.services.caller, model, "us-east-1", lambda: 0.0))


def test_turns_are_sampled_with_what_the_model_had(make):
    """Message, answer, route and the tools' results stand in the sample; the key alone decides who is sampled."""
    shop = make({"judge_ratio": 1.0})
    shop.turn("any boots?", [("catalogue_search", {"query": "boots"})], "Trail Hiking Boots.")
    (turn,) = buffered(shop)
    assert (turn.message, turn.answer, turn.model) == ("any boots?", "Trail Hiking Boots.", "custom-8b")
    assert "Trail Hiking Boots" in turn.context


def test_nothing_is_sampled_by_default(shop):
    """judge_ratio is 0."""
    shop.turn()
    assert buffered(shop) == []


@given(st.text(max_size=20), st.integers(0, 50), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_sample_holds_the_smaller_one(interaction, index, one, two):
    """What 1% judged is also among the 10%."""
    low, high = sorted((one, two))
    assert not is_sampled(interaction, index, low) or is_sampled(interaction, index, high)


def test_the_sample_is_as_large_as_asked():
    """Of 20,000 turns 5% are about 1,000."""
    assert 900 < sum(is_sampled(f"i{i}", i % 7, 0.05) for i in range(20_000)) < 1_100


def test_a_judgement_carries_verdict_reason_and_cost(shop):
    """The judge's own call is priced."""
    (row,) = judged(shop, "Unacceptable. It names no deal.")
    assert (row["acceptable"], row["reason"], row["judge"]) == (False, "It names no deal", "claude-sonnet")
    assert row["cost_usd"] > 0
    assert tuple(row) == COLUMNS


@pytest.mark.parametrize("answer", ["Well, it depends.", ModelError(429, "ThrottlingException", "no")])
def test_no_verdict_is_none(shop, answer):
    """Neither a word that is no verdict nor a failed call counts as one."""
    assert judged(shop, answer)[0]["acceptable"] is None


def rows(*verdicts, simulated=False):
    return [
        {"model": "nova-pro", "intent": "deals", "complexity": "simple", "acceptable": one, "simulated": simulated}
        for one in verdicts
    ]


def test_quality_is_the_share_with_its_interval(tmp_path):
    """By intent and over all, n stated, provenance judged; facts reads the file."""
    found = quality_rows(rows(True, True, True, False, None))
    path = write_quality(tmp_path / "quality.yaml", found, "test", date(2026, 11, 23))
    everything, deals = reader.quality(path)
    assert (everything.intent, deals.intent) == ("any", "deals")
    assert (deals.acceptable_ratio, deals.n, deals.provenance) == (0.75, 4, "judged")
    assert deals.low < 0.75 < deals.high


def test_what_an_emulator_scored_any_part_of_is_simulated():
    """Its words say nothing about quality, and the share says so."""
    found = quality_rows([*rows(True), *rows(False, simulated=True)])
    assert {row["provenance"] for row in found} == {"simulated"}


def test_nothing_judged_is_no_quality():
    with pytest.raises(AssistantError, match="no verdict"):
        quality_rows(rows(None))


def test_card_numbers_and_pictures_stay_out_of_the_sample(make):
    """The judge is a model too: it reads what the guard let pass, and a picture's bytes are no text."""
    shop = make({"judge_ratio": 1.0, "policy": {"simple": "nova-pro", "complex": "nova-pro"}})
    picture = {"format": "png", "data": "aGk="}
    shop.turn("is 4111 1111 1111 1111 a card you take?", "We do.", images=[picture])
    (turn,) = buffered(shop)
    text = turn.message + turn.context
    assert "4111" not in text
    assert "aGk=" not in text


def test_the_price_of_judging_is_a_range_around_what_it_costs(shop):
    """Longer material costs more; a model without a token price has none."""
    model, own = shop.stack.models["claude-sonnet"], shop.stack.models["custom-8b"]
    low, mid, high = expected_usd([TURN], model)
    assert 0 < low < mid < high
    assert expected_usd([replace(TURN, context="x" * 4_000)], model)[0] > high
    assert expected_usd([TURN], own) is None


def test_a_budget_leaves_out_the_turns_it_does_not_pay_for(shop):
    """By upper bounds, in order; without a budget all are judged."""
    model = shop.stack.models["claude-sonnet"]
    bound = expected_usd([TURN], model)[2]
    assert len(within([TURN] * 5, model, 2.5 * bound)) == 2
    assert len(within([TURN] * 5, model, None)) == 5


def test_rehearsed_verdicts_are_as_often_acceptable_as_told():
    """Drawn from the turn's own text: the same turns get the same words in every run."""
    turns = [replace(TURN, answer=f"Yes, {i}.") for i in range(2_000)]
    words = rehearsed_verdicts(turns, {("nova-pro", "simple"): 0.8})
    good = sum(one["says"].startswith("acceptable") for one in words["answers"].values())
    assert 1_530 < good < 1_670
    assert words == rehearsed_verdicts(turns, {("nova-pro", "simple"): 0.8})


def test_judgements_are_a_parquet_file(shop, tmp_path):
    """With the documented columns."""
    path = write_judgements(tmp_path / "judgements.parquet", judged(shop, "acceptable"))
    assert tuple(pd.read_parquet(path).columns) == COLUMNS


def results(*uses, text="", status="success", data=None):
    """The context of a turn: its message, calls of these tools, and their results."""
    calls = [{"toolUse": {"toolUseId": str(n), "name": name}} for n, name in enumerate(uses)]
    answers = [
        {"toolResult": {"toolUseId": str(n), "content": [{"json": data or {}}], "status": status}}
        for n, _ in enumerate(uses)
    ]
    return json.dumps([[{"text": text}, {"text": "question"}], calls, answers])


@pytest.mark.parametrize(("intent", "context", "ran"), [
    ("price_history", results("price_history"), True),
    ("price_history", results("price_history", status="error"), False),
    ("price_history", results("product_details"), False),
    ("order_status", results(text='<prefetch tool="order_history">{}</prefetch>'), True),
    ("out_of_scope", "[]", None),
    ("price_history", "no JSON", False),
])  # fmt: skip
def test_the_tool_that_an_intent_implies_ran_or_did_not(intent, context, ran):
    assert check_exactly(replace(TURN, intent=intent, context=context)).tool_ran is ran


@pytest.mark.parametrize(("answer", "held", "missing"), [
    ("It costs 1,299.00 USD, 30% off.", True, ()),
    ("It costs 1299 USD.", True, ()),
    ("It costs 1.299,00 EUR.", True, ()),
    ("It costs 1,298.00 USD.", False, ("1,298.00",)),
    ("1. The first\n2. The second", None, ()),
    ("None are left.", None, ()),
])  # fmt: skip
def test_a_figure_of_the_answer_is_one_of_the_results_or_of_the_question(answer, held, missing):
    turn = replace(TURN, message="and 30% off?", context=results("live_price", data={"price": 1299.0}), answer=answer)
    found = check_exactly(turn)
    assert (found.figures_held, found.missing) == (held, missing)


def test_a_citation_that_nothing_returned_is_named():
    context = results("web_search", data={"results": [{"url": "https://a.example/tents"}]})
    good = replace(TURN, context=context, answer="Bring a tent (https://a.example/tents).")
    bad = replace(TURN, context=context, answer="See https://b.example/x and https://a.example/tents.")
    assert check_exactly(good).citations_returned is True
    assert (check_exactly(bad).citations_returned, check_exactly(bad).missing) == (False, ("https://b.example/x",))


def test_the_table_counts_by_intent_and_over_all():
    turns = [replace(TURN, intent="price_history", context=results("price_history")), TURN]
    table = {row["intent"]: row for row in exact_table(turns)}
    assert table["any"]["turns"] == 2
    assert table["any"]["tool_ran"] == {"passed": 1, "of": 2}
    assert table["deals"]["tool_ran"] == {"passed": 0, "of": 1}
    assert exact_lines(list(table.values()))[1].split() == ["any", "2", "1", "of", "2", "-", "-"]


def test_answers_of_the_shop_model_hold_its_results(tmp_path_factory, tmp_path, monkeypatch):
    """Real turns through the real sample buffer: the tool ran and every figure stands in what it returned."""
    monkeypatch.setattr("assistant.turn.is_sampled", lambda *_: True)
    shopper = Shopper(smoke_world(tmp_path_factory.mktemp("worlds")), tmp_path)
    for message in ("what's the wattage on this drill?", "has this been on sale in the past thirty days?"):
        shopper.interaction = message[:3]  # a conversation each: what an earlier turn fetched is not in a later sample
        shopper.say(message, page="p900001")
    shopper.close()
    checked = [check_exactly(turn) for turn in buffered(shopper)]
    assert [one.tool_ran for one in checked] == [True, True]
    assert [one.missing for one in checked] == [(), ()]
