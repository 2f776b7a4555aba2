"""The synthetic shop and its script: complete, repeatable, and the same for everybody who asks for it."""

import hashlib
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from facts.intents import INTENTS
from scenarios import tool_plans, world
from scenarios.loading import load_scenario
from scenarios.shop import shop_words
from scenarios.utterance_files import utterances

TOOLS = {
    "catalogue_search", "product_details", "product_reviews", "availability", "live_price", "price_history",
    "price_alert", "auto_buy", "add_to_cart", "reorder", "order_history", "order_status", "order_change",
    "start_return", "remember", "recall", "forget", "web_search",
}  # fmt: skip
SMALL = ["world.products=300", "world.customers=200", "world.history_days=40"]


SHOWROOM = len(shop_words()["showroom"])
"""Products with data sheets that every world has beside the ones it draws."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return world.ensure_world(load_scenario("smoke", SMALL), tmp_path_factory.mktemp("worlds"))


def rows(made, query):
    connection = sqlite3.connect(f"file:{made.catalogue}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_the_world_has_what_the_scenario_asks_for(made):
    """So many products and customers, a price for every day, orders and views for them."""
    assert rows(made, "SELECT count(*) FROM products") == [(300 + SHOWROOM,)]
    assert rows(made, "SELECT count(*) FROM customers") == [(200,)]
    products = 300 + SHOWROOM
    assert rows(made, "SELECT count(*), count(DISTINCT product_id) FROM price_history") == [(products * 40, products)]
    for table in ("reviews", "orders", "order_items", "browsing", "documents"):
        assert rows(made, f"SELECT count(*) > 0 FROM {table}") == [(1,)], table


def test_every_reference_leads_somewhere(made):
    """No order without a customer, no item, review, view or price without a product."""
    for table in ("order_items", "reviews", "browsing", "price_history"):
        assert rows(
            made, f"SELECT count(*) FROM {table} WHERE product_id NOT IN (SELECT product_id FROM products)"
        ) == [(0,)]
    assert rows(made, "SELECT count(*) FROM orders WHERE customer_id NOT IN (SELECT customer_id FROM customers)") == [
        (0,)
    ]


def test_todays_price_is_the_last_of_the_history(made):
    """The price shown and the newest price of the history agree, and today is the event's first day."""
    query = (
        "SELECT count(*) FROM products p JOIN price_history h ON h.product_id = p.product_id "
        "WHERE h.day = (SELECT substr(value, 1, 10) FROM meta WHERE key = 'now') AND h.price = p.price"
    )
    assert rows(made, query) == [(300 + SHOWROOM,)]


def test_prices_move(made):
    """Some products were cheaper on some day of the last month by a tenth or more."""
    query = (
        "SELECT count(*) FROM (SELECT 1 FROM price_history GROUP BY product_id HAVING min(price) < 0.9 * max(price))"
    )
    assert rows(made, query)[0][0] > 100


def test_order_totals_add_up(made):
    """An order's total is the sum of its items."""
    query = (
        "SELECT count(*) FROM orders o WHERE abs(total - (SELECT sum(quantity * price) FROM order_items i "
        "WHERE i.order_id = o.order_id)) > 0.011"
    )
    assert rows(made, query) == [(0,)]


def test_the_same_scenario_finds_the_world_it_made(made):
    """A second call reads the folder that is there; another seed makes another."""
    folder = made.catalogue.parents[1]
    before = made.catalogue.stat().st_mtime_ns
    assert world.ensure_world(load_scenario("smoke", SMALL), folder) == made
    assert made.catalogue.stat().st_mtime_ns == before
    assert world.world_key(load_scenario("smoke", [*SMALL, "seed=2"])) != made.catalogue.parent.name
    assert world.world_key(load_scenario("smoke", [*SMALL, "slo.ttft_s_p99=9"])) == made.catalogue.parent.name


def test_the_same_seed_makes_the_same_world(made, tmp_path):
    """Made again elsewhere, messages, script and rows are equal."""
    again = world.ensure_world(load_scenario("smoke", SMALL), tmp_path)
    assert again.messages.read_text() == made.messages.read_text()
    assert again.conversations.read_text() == made.conversations.read_text()
    for table in ("products", "orders", "price_history", "customers", "browsing"):
        assert rows(again, f"SELECT * FROM {table}") == rows(made, f"SELECT * FROM {table}")


def test_two_that_ask_at_once_get_the_same_world(tmp_path):
    """The slower one finds the folder there and uses it; nothing else is left."""
    scenario = load_scenario("smoke", SMALL)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: world.ensure_world(scenario, tmp_path), range(2))
    assert first == second
    assert [path.name for path in tmp_path.iterdir()] == [world.world_key(scenario)]


def test_a_world_that_fails_halfway_leaves_nothing(tmp_path, monkeypatch):
    """No folder that looks finished, and no litter."""
    monkeypatch.setattr(world, "_conversations", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        world.ensure_world(load_scenario("smoke", SMALL), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_first_customer_has_a_past_to_talk_about(made):
    """A pie's things ordered within last week; boots and poles viewed yesterday, the poles sold out since."""
    week = "(SELECT datetime(value, '-8 days') FROM meta WHERE key = 'now')"
    ordered = (
        "SELECT count(*) FROM orders JOIN order_items USING (order_id) JOIN products USING (product_id) "
        f"WHERE customer_id = 'c000001' AND datetime(ordered_at) > {week} AND title LIKE '%pie crust%'"
    )
    seen = (
        "SELECT in_stock FROM browsing JOIN products USING (product_id) "
        f"WHERE customer_id = 'c000001' AND datetime(viewed_at) > {week} AND title LIKE '%trekking poles%'"
    )
    assert rows(made, ordered)[0][0] >= 1
    assert (0,) in rows(made, seen)


def test_a_rule_storm_is_part_of_the_world(tmp_path):
    """Every rule of a storm is met by its one tick, on the most popular product, 35% below today's price."""
    sets = ["world.products=300", "world.customers=20000", "world.history_days=30"]
    stormy = world.ensure_world(load_scenario("agentic_autobuy", sets), tmp_path)
    assert rows(stormy, "SELECT at_s, count(*) FROM storm_ticks") == [(10_800.0, 1)]
    query = (
        "SELECT count(*), count(DISTINCT customer_id) FROM auto_buy_rules r JOIN storm_ticks t "
        "ON t.product_id = r.product_id AND t.price <= r.target_price"
    )
    assert rows(stormy, query) == [(50_000, 20_000)]
    ratio = "SELECT t.price / p.price FROM storm_ticks t JOIN products p ON p.product_id = t.product_id"
    assert rows(stormy, ratio)[0][0] == pytest.approx(0.65, abs=0.01)


def test_every_message_has_its_script(made):
    """Each message's words have an entry, whose tools are known and whose label is its route."""
    script = yaml.safe_load(made.conversations.read_text())
    messages = json.loads(made.messages.read_text())["messages"]
    assert len({message["id"] for message in messages}) == len(messages)
    for message in messages:
        entry = script["answers"][hashlib.sha256(message["text"].encode()).hexdigest()]
        assert entry["answer_tokens"] >= 5
        assert {call["tool"] for calls in entry["rounds"] for call in calls} <= TOOLS
        if not message.get("answers"):
            assert entry["label"] == f"{message['intent']} {message['complexity']}"


def test_messages_on_a_product_page_name_a_product(made):
    """A page is one of the catalogue's products, and only messages that lean on a page have one."""
    messages = json.loads(made.messages.read_text())["messages"]
    pages = {message["page_product_id"] for message in messages} - {None}
    known = {product for (product,) in rows(made, "SELECT product_id FROM products")}
    assert pages
    assert pages <= known


@pytest.mark.parametrize("intent", INTENTS)
def test_every_phrasing_has_a_plan(intent):
    """Each utterance gets tool calls with known tools; a page question starts from the page."""
    for part in utterances(intent).values():
        for utterance in part:
            plan = tool_plans.plan(intent, utterance)
            calls = [call for calls in plan for call in calls]
            assert {call["tool"] for call in calls} <= TOOLS
            if calls and utterance.get("page") and intent != "comparison":
                assert plan[0][0]["input"].get("product_id") == tool_plans.PAGE


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("buy at 30% off", {"discount_ratio": 0.3}),
        ("let me know when it drops below 40", {"target_price": 40.0}),
        ("get this for me once its half price", {"discount_ratio": 0.5}),
        ("its 60 now, tell me at 48", {"target_price": 48.0}),
        ("alert me if it gets cheaper", {"discount_ratio": 0.1}),
    ],
)
def test_targets_are_read_from_the_words(text, target):
    """A price, a discount, or a tenth off when none is named."""
    assert tool_plans.target_of(text) == target


@pytest.mark.parametrize(
    ("text", "days"),
    [("price over the last 30 days?", 30), ("past 3 months", 90), ("cheapest in a year", 365), ("ever?", 30)],
)
def test_the_stretch_of_history_is_read_from_the_words(text, days):
    """Days, weeks and months are counted; a month when nothing is said."""
    assert tool_plans.days_of(text) == days
