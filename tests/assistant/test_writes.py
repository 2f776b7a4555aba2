"""What changes something needs the customer: confirmation tokens, taint, and the tools behind them."""

import pytest

from assistant.tools.products import TOOLS

BUY = ("auto_buy", {"product_id": "p000007", "discount_ratio": 0.3, "quantity": 1})
REVIEWS = ("product_reviews", {"product_id": "p000007"})


def pending(answer):
    return answer.one("done")["pending_confirmation"]


def confirm(shop, token, accept=True, **more):
    body = {"interaction_id": "i1", "turn_index": 1, "confirm": {"token": token, "accept": accept}, **more}
    return shop.turn("yes", **body)


def test_an_auto_buy_waits_for_confirmation_and_shows_what_it_will_do(shop):
    """Nothing is written; the target is resolved from today's price and shown with payment and address."""
    answer = shop.turn("buy it at 30% off", [BUY], "Please confirm.")
    action = pending(answer)["action"]
    assert shop.rules.of_customer("c000001") == []
    for part in ("Espresso Machine", "210.00 USD", "30% below today's 300.00", "card-1", "1 Main St", "2027-01-08"):
        assert part in action


def test_the_token_is_the_customer_s_alone(shop):
    """The model hears that a confirmation is needed, and never the token."""
    answer = shop.turn("buy it at 30% off", [BUY], "Please confirm.")
    assert pending(answer)["token"] not in str(shop.model.requests)


def test_a_confirmed_auto_buy_is_written_as_it_was_shown(shop):
    """The rule has 0.7 x the price at the time of asking, even if the price moved since."""
    token = pending(shop.turn("buy it at 30% off", [BUY], "Please confirm."))["token"]
    shop.rules.tick([("p000007", 250.0)], shop.now_s)
    confirm(shop, token)
    (rule,) = shop.rules.of_customer("c000001")
    assert (rule.kind, rule.target_price, rule.quantity) == ("auto_buy", 210.0, 1)


def test_a_confirmation_replayed_changes_nothing(shop):
    """The same token twice is one rule."""
    token = pending(shop.turn("buy it at 30% off", [BUY], "Please confirm."))["token"]
    for turn_index in (1, 2, 2):
        confirm(shop, token, turn_index=turn_index)
    assert len(shop.rules.of_customer("c000001")) == 1


def test_a_declined_confirmation_writes_nothing(shop):
    """The model is told that the customer declined."""
    token = pending(shop.turn("buy it at 30% off", [BUY], "Please confirm."))["token"]
    confirm(shop, token, accept=False)
    assert shop.rules.of_customer("c000001") == []
    assert "<declined" in str(shop.model.requests[0].messages)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda shop, token: {"token": token[:-4] + "AAAA"}, "bad_confirmation"),
        (lambda shop, token: {"token": "nonsense"}, "bad_confirmation"),
        (lambda shop, token: {"customer": "c000002"}, "bad_confirmation"),
        (lambda shop, token: {"interaction_id": "i2"}, "bad_confirmation"),
    ],
)
def test_a_token_that_is_not_this_customer_s_is_refused(shop, change, code):
    """Altered, invented, another account's or another conversation's: 400, and nothing is written."""
    token = pending(shop.turn("buy it at 30% off", [BUY], "Please confirm."))["token"]
    changed = change(shop, token)
    answer = confirm(shop, changed.pop("token", token), **changed)
    assert (answer.status, answer.error["code"]) == (400, code)
    assert shop.rules.of_customer("c000001") == []


def test_a_confirmation_expires(shop):
    """After ten minutes it must be asked for again."""
    token = pending(shop.turn("buy it at 30% off", [BUY], "Please confirm."))["token"]
    shop.now_s += 601
    assert confirm(shop, token).status == 400


def test_one_confirmation_at_a_time(shop):
    """A second write of the same turn is an error for the model."""
    other = ("price_alert", {"product_id": "p000001", "target_price": 80})
    answer = shop.turn("do both", [BUY, other], "ok")
    assert [tool["status"] for tool in answer.all("tool")] == ["needs_confirmation", "error"]


def test_the_customer_s_own_words_are_consent_to_remember(shop):
    """A message routed to account memory needs no second asking."""
    shop.turn("remember that I wear size 9", [("remember", {"fact": "wears size 9"})], "Noted.")
    assert shop.store.facts("c000001") == ["wears size 9"]


def test_a_write_the_customer_did_not_ask_for_needs_confirmation(shop):
    """The same tool in a turn about something else waits."""
    answer = shop.turn("any boots?", [("remember", {"fact": "loves boots"})], "ok")
    assert pending(answer)["action"] == "Remember: loves boots"
    assert shop.store.facts("c000001") == []


def test_after_strangers_text_every_write_needs_confirmation(shop):
    """A review was read: even a reorder the customer asked for is confirmed first."""
    shop.turn("what do buyers say?", [REVIEWS], "They like it.")
    again = [("reorder", {"query": "socks"})]
    answer = shop.turn("reorder the socks", again, "Please confirm.", turn_index=1)
    assert answer.one("tool")["status"] == "needs_confirmation"
    assert shop.store.cart("c000001") == []
    confirm(shop, pending(answer)["token"], turn_index=2)
    assert [line["product_id"] for line in shop.store.cart("c000001")] == ["p000009"]


def test_a_forgotten_fact_is_gone_from_the_next_prompt_and_from_disk(shop):
    """Neither the store's file nor its log holds it any more."""
    shop.turn("remember that I am Xylophonist", [("remember", {"fact": "is a Xylophonist"})], "Noted.")
    asked = [("forget", {"fact": "xylophonist"})]
    answer = shop.turn("forget that I am a xylophonist", asked, "Please confirm.", interaction_id="i2")
    assert shop.store.facts("c000001") == ["is a Xylophonist"]
    confirm(shop, pending(answer)["token"], interaction_id="i2", turn_index=1)
    shop.turn("a gift please", interaction_id="i3")
    assert "Xylophonist" not in str(shop.model.requests[0].system)
    files = list(shop.stack.store.parent.glob("store.sqlite*"))
    assert files
    assert all(b"Xylophonist" not in path.read_bytes() for path in files)


def test_reordering_last_week_s_pie_things_fills_the_cart_for_review(shop):
    """The crust shares a word, the pumpkin its order and category; nothing is checked out."""
    asked = [("reorder", {"query": "what we used for the pie", "when": "last week"})]
    answer = shop.turn("reorder what we used for the pie last week", asked, "In your cart.")
    assert answer.one("tool")["status"] == "ok"
    cart = {line["product_id"]: line["quantity"] for line in shop.store.cart("c000001")}
    assert cart == {"p000004": 2, "p000005": 3}


def test_reordering_what_was_browsed_offers_an_alternative_for_what_is_sold_out(shop):
    """Boots go into the cart; the sold-out poles come with a substitute that is in stock."""
    asked = [("reorder", {"query": "the boots and poles", "when": "yesterday"})]
    shop.turn("order the boots and poles I looked at yesterday again", asked, "Boots are in, poles are gone.")
    result = shop.model.requests[-1].messages[-1]["content"][0]["toolResult"]["content"][0]["json"]
    assert [line["product_id"] for line in shop.store.cart("c000001")] == ["p000001"]
    (gone,) = result["unavailable"]
    assert gone["alternatives"][0]["product_id"] == "p000003"
    assert result["checked_out"] is False


def test_a_cancellation_shows_in_the_order_s_status(shop):
    """Confirmed once, the order is cancelled for every later question."""
    asked = [("order_change", {"order_id": "o000002", "change": "cancel"})]
    token = pending(shop.turn("cancel order o000002", asked, "Confirm?"))["token"]
    confirm(shop, token)
    shop.turn("status?", [("order_status", {"order_id": "o000002"})], "Cancelled.", interaction_id="i9")
    result = next(b for b in shop.model.requests[-1].messages[-1]["content"] if "toolResult" in b)
    assert result["toolResult"]["content"][0]["json"]["status"] == "cancelled"


def test_a_delivered_order_cannot_be_changed(shop):
    """The model hears why; no confirmation is asked for."""
    asked = [("order_change", {"order_id": "o000001", "change": "cancel"})]
    answer = shop.turn("cancel order o000001", asked, "Too late.")
    assert (answer.one("tool")["status"], pending(answer)) == ("error", None)


def test_another_customer_s_order_does_not_exist(shop):
    """Reading, changing and returning it all fail alike."""
    calls = [
        ("order_status", {"order_id": "o000003"}),
        ("order_change", {"order_id": "o000003", "change": "cancel"}),
        ("start_return", {"order_id": "o000003", "product_id": "p000007", "reason": "x"}),
    ]
    answer = shop.turn("about order o000003", calls, "No such order.")
    assert {tool["status"] for tool in answer.all("tool")} == {"error"}


def test_price_ticks_and_purchases_are_served_on_loopback(shop):
    """A tick posted there matches the rule; purchases list what workers bought."""
    token = pending(shop.turn("buy it at 30% off", [BUY], "Please confirm."))["token"]
    confirm(shop, token)
    answer = shop.request("POST", "/test/price_ticks", {"ticks": [{"product_id": "p000007", "price": 200}]})
    assert (answer.status, answer.body) == (200, b'{"matched":1}')
    assert b'"matched":1' in shop.request("GET", "/test/purchases").body
    bad = shop.request("POST", "/test/price_ticks", {"ticks": [{"product_id": "p000007", "price": -1}]})
    assert bad.error["field"] == "ticks.price"
    assert shop.request("GET", "/test/purchases", client="10.0.0.9").status == 403


def test_a_tick_for_a_product_that_is_none_is_refused_and_nothing_moves(shop):
    ticks = [{"product_id": "p000007", "price": 1.0}, {"product_id": "p999999", "price": 1.0}]
    answer = shop.request("POST", "/test/price_ticks", {"ticks": ticks})
    assert (answer.status, answer.error["field"]) == (400, "ticks.product_id")
    assert shop.rules.prices() == {}


def test_search_substitutes_and_history_know_the_last_tick(shop):
    """A price cap counts the live price, substitutes are nearest to it, and today's lowest is today's."""
    context = shop.services.tool_context("c000001", "en_US")
    run = {tool.name: tool.run for tool in TOOLS}
    shop.rules.tick([("p000007", 20.0)], 0.0)
    found = run["catalogue_search"](context, {"query": "espresso machine", "max_price": 25})
    assert ("p000007", 20.0) in [(row["product_id"], row["price"]) for row in found["results"]]
    shop.rules.tick([("p000007", 30.0)], 1.0)
    found = run["catalogue_search"](context, {"query": "espresso machine", "max_price": 25})
    assert "p000007" not in [row["product_id"] for row in found["results"]]
    shop.rules.tick([("p000007", 0.5)], 2.0)
    history = run["price_history"](context, {"product_id": "p000007", "days": 30})
    assert history["lowest"] == {"day": context.now.date().isoformat(), "price": 0.5}
    assert history["changes"][-1]["price"] == history["price_now"] == 0.5
