"""Odd orders: numbers that are none, words with line breaks, the same consent twice, two windows of one customer."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.assistant.test_writes import pending

DOUBLED = [
    ("auto_buy", {"product_id": "p000007", "target_price": 50, "quantity": 2}),
    ("price_alert", {"product_id": "p000007", "target_price": 50}),
    ("reorder", {"query": "socks"}),
    ("add_to_cart", {"product_id": "p000007", "quantity": 1}),
    ("order_change", {"order_id": "o000002", "change": "cancel"}),
    ("order_change", {"order_id": "o000002", "change": "pay with gift card GC-1234"}),
    ("start_return", {"order_id": "o000001", "product_id": "p000004", "reason": "wobbles"}),
    ("remember", {"fact": "likes tea"}),
]
NUMBERS = [
    *[("auto_buy", {"product_id": "p000007", "target_price": price, "quantity": 1})
      for price in (-1, 0, 0.004, "50", "٥٠", "五十", float("nan"), 1e308, True, None, [50], {"usd": 50})],
    *[("auto_buy", {"product_id": "p000007", "target_price": 50, "quantity": quantity})
      for quantity in (0, -1, 1.5, 11, "2", "２", 1e9, True)],
    *[("auto_buy", {"product_id": "p000007", "discount_ratio": share, "quantity": 1})
      for share in (0, 30, -0.3, 1, 0.9999, "30%", "٣٠٪")],
    ("auto_buy", {"product_id": "p000007", "discount_ratio": 0.3, "target_price": 9_999, "quantity": 1}),
    *[("add_to_cart", {"product_id": "p000007", "quantity": many}) for many in (0, -3, 2.5, "２", 10**12, None)],
    *[("start_return", {"order_id": "o000001", "product_id": product, "reason": reason})
      for product, reason in (("p000004", ""), ("p000004", "x" * 100_000), ("p000007", "never bought it"))],
    *[("order_change", {"order_id": order, "change": change})
      for order, change in (("o000002", ""), ("O000002", "cancel"), ("o000002 ", "cancel"), ("o000001", "cancel"))],
    *[("reorder", {"query": query}) for query in ("", "x" * 10_000)],
]  # fmt: skip


def written(shop):
    """Everything a write of the customer leaves."""
    customer, store = "c000001", shop.store
    rules = [(rule.kind, rule.target_price, rule.quantity) for rule in shop.rules.of_customer(customer)]
    return store.cart(customer), rules, store.facts(customer), store.order_changes(customer)


def consent(shop, token, **more):
    place = {"interaction_id": "i1", "turn_index": 1, **more}
    return shop.turn("yes", "Done.", confirm={"token": token, "accept": True}, **place)


def test_a_number_that_is_none_asks_for_nothing(shop):
    """Of another type, another script, below, above or between: an error for the model, and no question."""
    before = written(shop)
    for number, write in enumerate(NUMBERS):
        answer = shop.turn("please do", [write], "ok", interaction_id=f"n{number}")
        assert (answer.one("tool")["status"], pending(answer)) == ("error", None), write
    assert written(shop) == before


@pytest.mark.parametrize("write", DOUBLED, ids=lambda write: f"{write[0]} {list(write[1].values())[-1]}")
def test_two_windows_that_agree_at_once_write_once(shop, write):
    """The same token from four threads: each is answered, and what was agreed to stands there once."""
    token = pending(shop.turn("hello there", [write], "Please confirm."))["token"]
    shop.model.script = ["Done."] * 9
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: consent(shop, token).status, range(4)))
    assert set(answers) <= {200, 409}
    cart, *others = written(shop)
    assert [row["quantity"] for row in cart] in ([], [1])
    assert sum(map(len, (cart, *others))) == 1


@pytest.mark.parametrize(
    ("write", "shown"),
    [
        (("start_return", {"order_id": "o000001", "product_id": "p000004", "reason": "bad\n\nConfirm: refund card-9"}),
         "Return Pie Crust Mix from order o000001: bad Confirm: refund card-9"),
        (("order_change", {"order_id": "o000002", "change": "door\r\n\x1b[2J\u202eAlso cancel o000003"}),
         "Change order o000002 (15.00 USD): door [2J Also cancel o000003"),
    ],
    ids=["a return's reason", "a change"],
)  # fmt: skip
def test_what_is_asked_is_one_line(shop, write, shown):
    """Line breaks, escapes and marks of direction cannot make a question look like two."""
    action = pending(shop.turn("please do", [write], "Please confirm."))["action"]
    assert " ".join(action.split()) == shown
    assert action.isprintable()


def test_a_consent_in_another_window_s_conversation_is_none(shop):
    """One window asks, the other says yes: its conversation was asked nothing."""
    token = pending(shop.turn("hello", [DOUBLED[0]], "Please confirm.", interaction_id="left"))["token"]
    answer = consent(shop, token, interaction_id="right")
    assert (answer.status, written(shop)[1]) == (400, [])


def test_a_request_beside_a_consent_is_asked_about_by_itself(shop):
    """The message that brings the yes for one thing wants another: the first is written, the second is a question."""
    token = pending(shop.turn("buy it at 50", [DOUBLED[0]], "Please confirm."))["token"]
    place = {"interaction_id": "i1", "turn_index": 1, "confirm": {"token": token, "accept": True}}
    answer = shop.turn("yes, and cancel my order o000002 too", [DOUBLED[4]], "ok", **place)
    assert pending(answer)["action"].endswith("cancel")
    assert written(shop) == ([], [("auto_buy", 50.0, 2)], [], [])


def test_a_cart_that_was_changed_between_question_and_consent_keeps_both(shop):
    """What was agreed to is added; what another window put there meanwhile stays."""
    token = pending(shop.turn("hello", [DOUBLED[3]], "Please confirm."))["token"]
    other = ("add_to_cart", {"product_id": "p000009", "quantity": 2})
    second = pending(shop.turn("hello", [other], "Please confirm.", interaction_id="i2"))["token"]
    consent(shop, second, interaction_id="i2")
    consent(shop, token)
    assert {row["product_id"]: row["quantity"] for row in written(shop)[0]} == {"p000007": 1, "p000009": 2}
