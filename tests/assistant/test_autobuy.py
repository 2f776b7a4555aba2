"""Price rules: what matches, what is bought, and what ends a rule, on every backend. The clock is ours."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.autobuy.buyer import Buyer
from assistant.autobuy.months import add_months
from assistant.autobuy.payments import PaymentDeclined
from assistant.autobuy.rules import LEASE_S, WINDOW_S, new_rule
from tests.assistant.backends import BOTH

NOW = datetime(2026, 7, 8, 12, tzinfo=UTC)


class Shop:
    """One product at 100, one customer with a good card, one worker."""

    def __init__(self, storage):
        self.now_s = NOW.timestamp()
        self.stock = 1
        self.book = storage.rules()
        self.payments = storage.payments(lambda customer: f"{customer}-card")
        self.buyer = self.worker("w1")

    def worker(self, name, **more):
        product = lambda product_id: {"price": 100.0, "in_stock": self.stock}  # noqa: E731
        return Buyer(self.book, self.payments, product, lambda: self.now_s, name, **more)

    def rule(self, key="r1", kind="auto_buy", target=70.0, customer="good", quantity=1):
        now = datetime.fromtimestamp(self.now_s, UTC)
        return self.book.create(new_rule(key, kind, customer, "p1", target, quantity, 100.0, now))

    def state(self):
        (state,) = self.book.states()
        return state

    def told(self, customer="good"):
        return [note.kind for note in self.book.outbox(customer)]


@pytest.fixture(params=list(BOTH))
def shop(request, tmp_path):
    shop = Shop(BOTH[request.param](tmp_path))
    yield shop
    shop.payments.close()
    shop.book.close()


def test_a_rule_is_bought_once_its_price_is_met(shop):
    """One purchase at the tick's price, with delay and saving; the customer is told."""
    shop.rule()
    assert shop.buyer.step() == []
    assert shop.book.tick([("p1", 65.0)], shop.now_s) == 1
    shop.now_s += 90
    (bought,) = shop.buyer.step()
    assert (bought.autobuy_delay_s, round(bought.saving_ratio, 6)) == (90, 0.35)
    assert shop.told() == ["bought"]
    assert [amount for _, _, amount in shop.payments.charges()] == [65.0]
    assert shop.buyer.step() == []


def test_a_price_above_the_target_matches_nothing(shop):
    """The target is a ceiling."""
    shop.rule(target=70.0)
    assert shop.book.tick([("p1", 70.01), ("p2", 1.0)], shop.now_s) == 0


def test_a_target_that_is_met_at_creation_matches_at_once(shop):
    """No tick is needed when the price is low enough already."""
    shop.rule(target=100.0)
    assert len(shop.buyer.step()) == 1


def test_the_same_key_creates_one_rule(shop):
    """A replayed request changes nothing, also after the purchase."""
    shop.rule(target=100.0)
    shop.buyer.step()
    assert shop.rule(target=100.0).state == "bought"
    assert shop.buyer.step() == []


def test_a_tick_repeated_after_the_purchase_buys_nothing(shop):
    """A rule buys once, whatever prices do later."""
    shop.rule()
    for _ in range(3):
        shop.book.tick([("p1", 60.0)], shop.now_s)
        shop.buyer.step()
    assert len(shop.book.purchases()) == 1


def test_an_alert_tells_and_buys_nothing(shop):
    """Alerts end with their notification."""
    shop.rule(kind="alert")
    shop.book.tick([("p1", 65.0)], shop.now_s)
    assert shop.buyer.step() == []
    assert (shop.state(), shop.told()) == ("notified", ["price_alert"])


def test_nothing_is_bought_after_the_window(shop):
    """30 minutes and a second after the match the rule waits for another one."""
    shop.rule()
    shop.book.tick([("p1", 65.0)], shop.now_s)
    shop.now_s += WINDOW_S + 1
    assert shop.buyer.step() == []
    assert (shop.state(), shop.told()) == ("active", ["window_missed"])
    shop.book.tick([("p1", 64.0)], shop.now_s)
    assert len(shop.buyer.step()) == 1


def test_nothing_is_bought_when_the_price_went_up_again(shop):
    """The price is looked at when paying, not when matching."""
    shop.rule()
    shop.book.tick([("p1", 65.0)], shop.now_s)
    shop.book.tick([("p1", 90.0)], shop.now_s)
    assert shop.buyer.step() == []
    assert shop.state() == "active"


def test_a_rule_ends_after_six_calendar_months(shop):
    """At the last moment it may still match, a second later it is expired."""
    shop.rule()
    shop.now_s = add_months(NOW, 6).timestamp() - 1
    shop.buyer.step()
    assert shop.state() == "active"
    shop.now_s += 1
    assert shop.book.tick([("p1", 1.0)], shop.now_s) == 0
    shop.buyer.step()
    assert (shop.state(), shop.told()) == ("expired", ["rule_expired"])


def test_months_end_where_the_month_ends():
    """31 August plus six months is the last day of February."""
    assert add_months(datetime(2026, 8, 31), 6) == datetime(2027, 2, 28)
    assert add_months(datetime(2027, 8, 31), 6) == datetime(2028, 2, 29)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.integers(0, 24))
def test_adding_months_never_skips_a_month(moment, months):
    """The result lies in the month that many months on."""
    later = add_months(moment, months)
    assert later.year * 12 + later.month == moment.year * 12 + moment.month + months


def test_a_sold_out_item_is_tried_again_within_the_window(shop):
    """It is bought when it is back; until then it blocks no other rule."""
    shop.rule()
    shop.book.tick([("p1", 65.0)], shop.now_s)
    shop.stock = 0
    assert shop.buyer.step() == []
    shop.stock = 1
    assert shop.buyer.step() == []
    shop.now_s += 61
    assert len(shop.buyer.step()) == 1


def test_a_declined_payment_ends_the_rule_and_tells_the_customer(shop):
    """No purchase, no second try."""
    shop.rule(customer="declined")
    shop.book.tick([("p1", 65.0)], shop.now_s)
    assert shop.buyer.step() == []
    assert (shop.state(), shop.told("declined")) == ("payment_failed", ["payment_failed"])


def test_the_spend_cap_bounds_a_customer_s_day(shop):
    """Purchases of the last day count; the rule that would pass the cap ends and is told."""
    buyer = shop.worker("w2", spend_cap_usd_per_day=150.0)
    for key in ("r1", "r2", "r3"):
        shop.rule(key)
    shop.book.tick([("p1", 65.0)], shop.now_s)
    assert len(buyer.step()) == 2
    assert shop.book.states() == {"bought": 2, "capped": 1}


def test_the_kill_switch_stops_buying(shop):
    """While off nothing is claimed; on again, what still is in its window is bought."""
    shop.rule()
    shop.book.tick([("p1", 65.0)], shop.now_s)
    shop.book.set_enabled(False)
    assert shop.buyer.step() == []
    shop.book.set_enabled(True)
    assert len(shop.buyer.step()) == 1


def test_the_kill_switch_holds_a_rule_that_a_worker_has_already_claimed(shop):
    """Turned off between claim and payment: nothing is charged, and the rule waits matched."""
    shop.rule()
    shop.book.tick([("p1", 65.0)], shop.now_s)
    (rule,) = shop.book.claim("a", 10, shop.now_s)
    shop.book.set_enabled(False)
    assert shop.book.begin_payment(rule, 65.0, 1_000.0, shop.now_s) is None
    assert shop.book.states() == {"matched": 1}


def test_a_claim_belongs_to_one_worker(shop):
    """What one worker holds, another does not get."""
    shop.rule()
    shop.book.tick([("p1", 65.0)], shop.now_s)
    assert len(shop.book.claim("a", 10, shop.now_s)) == 1
    assert shop.book.claim("b", 10, shop.now_s) == []


def test_a_worker_that_dies_before_paying_is_replaced(shop):
    """After its lease another worker buys."""
    shop.rule()
    shop.book.tick([("p1", 65.0)], shop.now_s)
    shop.book.claim("dead", 10, shop.now_s)
    assert shop.buyer.step() == []
    shop.now_s += LEASE_S
    assert len(shop.buyer.step()) == 1


def dies_after_charging(shop):
    """A worker charges and never records."""
    shop.rule()
    shop.book.tick([("p1", 65.0)], shop.now_s)
    (rule,) = shop.book.claim("dead", 10, shop.now_s)
    assert shop.book.begin_payment(rule, 65.0, 1_000.0, shop.now_s) == "paying"
    shop.payments.charge(f"{rule.rule_id}@{rule.matched_s:.6f}", "good", 65.0)
    return rule


def test_a_worker_that_dies_after_charging_leads_to_one_charge_and_one_purchase(shop):
    """The next worker repeats the charge under the same key and at the same price, and records it."""
    dies_after_charging(shop)
    shop.book.tick([("p1", 90.0)], shop.now_s)
    shop.now_s += LEASE_S
    assert len(shop.buyer.step()) == 1
    assert [row.price for row in shop.book.purchases()] == [65.0]
    assert len(shop.payments.charges()) == 1


def test_a_charge_that_was_never_recorded_in_time_is_undone(shop):
    """When every worker was away for the whole window, the charge is voided and the rule waits again."""
    dies_after_charging(shop)
    shop.now_s += WINDOW_S + LEASE_S
    assert shop.buyer.step() == []
    assert shop.payments.charges() == []
    assert shop.state() == "active"
    shop.book.tick([("p1", 60.0)], shop.now_s)
    assert len(shop.buyer.step()) == 1


def test_a_worker_that_wakes_up_late_cannot_record(shop):
    """Its lease went to another worker: its settlement is refused."""
    rule = dies_after_charging(shop)
    shop.now_s += LEASE_S
    shop.buyer.step()
    assert not shop.book.settle(rule, 65.0, "late", shop.now_s)
    assert len(shop.book.purchases()) == 1


def test_two_workers_cannot_both_pass_the_cap(shop):
    """A payment under way counts as spent."""
    for key in ("r1", "r2"):
        shop.rule(key)
    shop.book.tick([("p1", 65.0)], shop.now_s)
    one, two = shop.book.claim("a", 2, shop.now_s)
    assert shop.book.begin_payment(one, 65.0, 100.0, shop.now_s) == "paying"
    assert shop.book.begin_payment(two, 65.0, 100.0, shop.now_s) == "capped"


def test_expiry_counts_from_creation_in_utc(shop):
    """A rule made in another zone lives as long."""
    zone = NOW.astimezone().tzinfo
    rule = shop.book.create(new_rule("z", "alert", "good", "p1", 1.0, 1, 100.0, NOW.astimezone(zone) + timedelta(0)))
    assert rule.expires_s == add_months(NOW, 6).timestamp()


def test_standing_rules_of_the_world_are_adopted_once(shop):
    """Adopting them again, after some were bought, changes nothing."""
    rows = [
        {"rule_id": f"s{i}", "customer_id": "good", "product_id": "p1", "target_price": 70.0, "quantity": 1}
        for i in range(3)
    ]
    now = datetime.fromtimestamp(shop.now_s, UTC)
    shop.book.adopt(rows, {"p1": 100.0}, now)
    shop.book.tick([("p1", 70.0)], shop.now_s)
    assert len(shop.buyer.step()) == 3
    shop.book.adopt(rows, {"p1": 100.0}, now)
    assert shop.book.states() == {"bought": 3}


def test_what_is_kept_of_a_purchase_and_of_its_message(shop):
    """Every figure, as it was: the price paid, the price before, both moments and the charge's reference."""
    rule = shop.rule(target=70.5, quantity=2)
    shop.book.tick([("p1", 65.25)], shop.now_s)
    shop.now_s += 0.125
    shop.buyer.step()
    (bought,) = shop.book.purchases("good")
    assert shop.book.purchases() == [bought]
    assert shop.book.purchases("other") == []
    assert (bought.rule_id, bought.product_id, bought.quantity) == ("r1", "p1", 2)
    assert (bought.price, bought.price_at_creation, bought.autobuy_delay_s) == (65.25, 100.0, 0.125)
    (notice,) = shop.book.outbox("good")
    body = {"rule_id": "r1", "product_id": "p1", "target_price": 70.5, "price": 65.25}
    assert notice.body == body | {"payment_reference": bought.payment_reference}
    assert shop.book.of_customer("good")[0].created_s == rule.created_s == NOW.timestamp()
    assert (shop.book.price("p1"), shop.book.prices(), shop.book.price("p2")) == (65.25, {"p1": 65.25}, None)


def test_a_key_that_was_used_gives_its_rule_to_nobody_else(shop):
    """The same key for another customer writes nothing."""
    mine = shop.rule("r1", customer="good")
    assert shop.rule("r1", customer="other").customer_id == mine.customer_id
    assert shop.book.of_customer("other") == []


def test_a_void_charge_is_never_made_and_an_undone_one_stays_undone(shop):
    """Whichever of the two comes first."""
    shop.payments.charge("k1", "good", 65.0)
    shop.payments.void("k1")
    shop.payments.void("k2")
    for key in ("k1", "k2"):
        with pytest.raises(PaymentDeclined):
            shop.payments.charge(key, "good", 65.0)
    assert shop.payments.charge("k3", "good", 5.0) == shop.payments.charge("k3", "good", 9.0)
    assert shop.payments.charges() == [("k3", "good", 5.0)]
