"""Automatic purchases of a run: their delay, what they did to the chat, and none made twice, by the payment ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from assistant.autobuy.buyer import Buyer
from assistant.autobuy.payments import charge_key
from assistant.autobuy.rules import new_rule
from loadgen.analysis.autobuy import autobuy_totals, summarise
from loadgen.record import Run
from loadgen.run_info import AutobuyTotals, RunInfo
from loadgen.tables import TABLES
from tests.assistant.harness import Harness
from tests.assistant.shop import write_catalogue
from tests.loadgen.server import response, serving

STORM = """
extends: agentic_autobuy
name: little_storm
demand:
  background:
    planner_queries: {peak_per_s: {low: 100, mid: 300, high: 500}}
    price_ticks: null
    rule_storms: [{at_s: 3h, rules: 60, item_rank: 0, drop_ratio: 0.35}]
world: {products: 300, customers: 60, history_days: 30, messages_per_intent: 20}
mix: {customers: {population: 60}}
load: {drain_s: 5}
"""


def bought(*rules: str) -> list[dict]:
    return [{"rule_id": rule, "autobuy_delay_s": 1.0, "saving_ratio": 0.2} for rule in rules]


def charged(*rules: str) -> list[dict]:
    return [{"rule_id": rule, "customer_id": "c1", "amount_usd": 9.0} for rule in rules]


@pytest.mark.parametrize(
    ("charges", "doubles"),
    [
        (charged("a", "b"), 0),
        (charged("a", "b", "under way"), 0),
        (charged("a", "b", "a"), 1),
        (charged("a", "a", "b", "b", "b"), 3),
        (None, None),
    ],
    ids=["each once", "one under way", "one twice", "two of them", "no ledger"],
)
def test_doubles_are_charges_that_stand_beyond_one_a_rule(charges, doubles):
    """The rule book holds each purchase once whatever happens, so only the ledger can tell; unknown is not zero."""
    assert summarise(bought("a", "b"), {"bought": 2}, charges).double_purchases == doubles


@pytest.fixture
def shop(tmp_path):
    """The assistant over a tiny shop in which one rule is met."""
    made = Harness(write_catalogue(tmp_path / "catalogue.sqlite"), tmp_path)
    made.rules.create(new_rule("r1", "auto_buy", "c000001", "p000007", 300.0, 1, 300.0, made.world))
    yield made
    made.close()


def buyer(shop: Harness) -> Buyer:
    parts = shop.parts
    return Buyer(parts.rules, parts.payments, parts.catalogue.product, lambda: shop.world.timestamp() + 5.0, "w1")


def totals(shop: Harness) -> AutobuyTotals:
    """What a run would write of the purchases that the assistant's test endpoint tells of."""
    body = shop.request("GET", "/test/purchases").body
    nothing = Run(Path("run"), RunInfo(), *(None for _ in TABLES))
    with serving(lambda *_: [(0.0, response(body))]) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("loadgen.analysis.autobuy.chat_around_storm", lambda run: None)
        found = autobuy_totals(server.url, nothing)
    assert found is not None
    return found


def test_a_purchase_is_charged_once_and_its_delay_is_told(shop):
    """From the rule's match to the purchase, five seconds on."""
    assert len(buyer(shop).step()) == 1
    found = totals(shop)
    assert (found.purchases, found.charges, found.double_purchases) == (1, 1, 0)
    assert found.delay_s["p50"].value == pytest.approx(5.0)


def test_a_charge_made_twice_is_seen_through_the_whole_way(shop):
    """A worker that paid under a second key: the rule book still shows one purchase, the run's totals the double."""
    buyer(shop).step()
    (rule,) = shop.rules.of_customer("c000001")
    shop.parts.payments.charge(charge_key(rule.rule_id, rule.matched_s + 1.0), rule.customer_id, 300.0)
    found = totals(shop)
    assert (found.purchases, found.charges, found.double_purchases) == (1, 2, 1)


def test_a_charge_that_was_undone_is_no_double(shop):
    """Voided before the rule was bought at a later match: one charge stands."""
    (rule,) = shop.rules.of_customer("c000001")
    earlier = charge_key(rule.rule_id, datetime(2026, 7, 1).timestamp())
    shop.parts.payments.charge(earlier, rule.customer_id, 300.0)
    shop.parts.payments.void(earlier)
    buyer(shop).step()
    found = totals(shop)
    assert (found.charges, found.double_purchases) == (1, 0)


@pytest.mark.slow
def test_a_storm_of_rules_on_the_local_stack_prints_delay_chat_and_no_double(tmp_path):
    """agentic_autobuy around its storm, with few rules: all three figures in run.json and in the terminal's text."""
    (tmp_path / "storm.yaml").write_text(STORM)
    run = [
        "run",
        "storm.yaml",
        "--scale",
        "0.01",
        "--window",
        "10790s:10810s",
        "--out",
        "runs/storm",
        "--quiet",
        "--details",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "peakday", *run],
        cwd=tmp_path, capture_output=True, text=True, timeout=900, env={**os.environ, "COLUMNS": "160"},
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr  # a busy machine may void its latencies, never what was bought
    found = json.loads((tmp_path / "runs/storm/run.json").read_text())["totals"]["autobuy"]
    assert found["purchases"] == found["charges"] > 30
    assert found["double_purchases"] == 0
    assert found["delay_s"]["p50"]["n"] == found["listed"] == found["purchases"]
    assert found["chat_ttft_s"]["change_ratio"].keys() == {"p50", "p95"}
    said = " ".join(done.stdout.replace("*", "").replace("~", "").split())  # without the marks of SIMULATED and few
    for figure in (f"{found['purchases']} purchases", "0 double", "delay p50 ", "chat TTFT p50 moved "):
        assert figure in said, done.stdout
