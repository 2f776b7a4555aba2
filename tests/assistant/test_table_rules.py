"""Rules on DynamoDB: a worker may die at any request, others may come between; the table answers as the file does."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.autobuy.buyer import Buyer
from assistant.autobuy.dynamodb import DynamoPayments, DynamoRules
from assistant.autobuy.rules import LEASE_S, WINDOW_S, new_rule
from assistant.settings import read_stack
from assistant.shop.table import Table
from assistant.storage import storage_of
from tests.assistant.backends import BOTH, dynamodb_server, on, tables

NOW = datetime(2026, 7, 8, 12, tzinfo=UTC)


class Mortal:
    """A client whose process dies at one request: before the request is made, or after, with its answer lost."""

    def __init__(self, client, dies_at, after):
        self._client, self._left, self._after = client, dies_at, after

    def __getattr__(self, name):
        def call(**request):
            self._left -= 1
            if self._left > 0:
                return getattr(self._client, name)(**request)
            if self._left == 0 and self._after:
                getattr(self._client, name)(**request)
            raise Died

        return call


class Died(BaseException):
    """The process is gone."""


class Market:
    """A table with one rule that is met, and workers over it."""

    def __init__(self):
        self.now_s = NOW.timestamp()
        self.table = tables()
        self.storage = on(self.table)
        self.book, self.payments = self.storage.rules(), self.storage.payments(lambda customer: "card")

    def worker(self, name, client=lambda client: client, **more):
        table = self.table()
        mortal = Table(client(table._client), table._name)
        payments = DynamoPayments(mortal, lambda customer: "card")
        product = lambda product_id: {"price": 100.0, "in_stock": 1}  # noqa: E731
        return Buyer(DynamoRules(mortal), payments, product, lambda: self.now_s, name, **more)


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_a_worker_that_dies_at_any_request_leads_to_one_charge_and_one_purchase(after):
    """Every request of a purchase in turn; the next worker ends what the first began, after its lease."""
    dies_at = deaths = 0
    while deaths == dies_at:
        dies_at += 1
        market = Market()
        market.book.create(new_rule("r1", "auto_buy", "c1", "p1", 70.0, 1, 100.0, NOW))
        market.book.tick([("p1", 65.0)], market.now_s)
        try:
            market.worker("dead", lambda client, at=dies_at: Mortal(client, at, after)).step()
        except Died:
            deaths += 1
        market.now_s += LEASE_S
        market.worker("next").step()
        assert market.book.states() == {"bought": 1}
        assert len(market.book.purchases()) == len(market.payments.charges()) == len(market.book.outbox("c1")) == 1
    assert deaths > 12


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
def test_a_request_that_dies_while_it_writes_a_rule_is_repeated_to_one_rule(after):
    """The same key again, at every request of the first try: one rule, matched once."""
    for dies_at in range(1, 9):
        market = Market()
        table = market.table()
        dying = DynamoRules(Table(Mortal(table._client, dies_at, after), table._name))
        rule = ("k", "auto_buy", "c1", "p1", 100.0, 1, 100.0, NOW)
        with pytest.raises(Died):
            [dying.create(new_rule(*rule)) for _ in range(3)]
        market.book.create(new_rule(*rule))
        assert market.book.states() == {"matched": 1}
        assert len(market.worker("w").step()) == 1


def test_of_racing_workers_one_buys_and_none_passes_the_cap():
    """Four workers at once on six rules of one customer, a cap that lets three through."""
    market = Market()
    for number in range(6):
        market.book.create(new_rule(f"r{number}", "auto_buy", "c1", "p1", 70.0, 1, 100.0, NOW))
    market.book.tick([("p1", 65.0)], market.now_s)
    workers = [market.worker(f"w{number}", spend_cap_usd_per_day=200.0) for number in range(4)]
    begin = threading.Barrier(4)

    def work(worker):
        begin.wait()
        return worker.step()

    with ThreadPoolExecutor(4) as threads:
        bought = [one for batch in threads.map(work, workers) for one in batch]
    assert len(bought) == len(market.book.purchases("c1")) == len(market.payments.charges()) == 3
    assert market.book.states() == {"bought": 3, "capped": 3}


def test_a_switch_that_goes_off_while_a_payment_begins_holds_it(monkeypatch):
    """The transaction looks at the switch itself: what was read before it does not count."""
    market = Market()
    market.book.create(new_rule("r1", "auto_buy", "c1", "p1", 70.0, 1, 100.0, NOW))
    market.book.tick([("p1", 65.0)], market.now_s)
    (rule,) = market.book.claim("w", 1, market.now_s)
    market.book.set_enabled(False)
    answers = iter([True])
    monkeypatch.setattr(DynamoRules, "is_enabled", lambda book: next(answers, False))
    assert market.book.begin_payment(rule, 65.0, 1_000.0, market.now_s) is None
    assert market.book.states() == {"matched": 1}


KEYS, CUSTOMERS, PRODUCTS = st.sampled_from(["r1", "r2", "r3"]), st.sampled_from(["c1", "c2"]), st.sampled_from("pq")
PRICES = st.sampled_from([50.0, 60.0, 65.5, 70.0])
STEPS = st.one_of(
    st.tuples(st.just("create"), KEYS, st.sampled_from(["alert", "auto_buy"]), CUSTOMERS, PRODUCTS, PRICES),
    st.tuples(st.just("tick"), PRODUCTS, PRICES),
    st.tuples(st.just("work")),
    st.tuples(st.just("claim")),
    st.tuples(st.just("wait"), st.sampled_from([1.0, LEASE_S, WINDOW_S + 1, 86_400.0 * 100])),
    st.tuples(st.just("switch"), st.booleans()),
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, max_size=10))
def test_the_table_answers_any_course_of_rules_as_the_file_does(tmp_path_factory, steps):
    """Each step's answer and all that can be read after it: rules, purchases, messages, charges, states, prices."""
    courses = [course(of(tmp_path_factory.mktemp(name)), steps) for name, of in BOTH.items()]
    assert courses[0] == courses[1]


def course(storage, steps):
    """What is read after each step."""
    book, payments = storage.rules(), storage.payments(lambda customer: "card")
    now_s, read = NOW.timestamp(), []
    prices = {"p": 100.0, "q": 100.0}
    buyer = Buyer(book, payments, lambda one: {"price": prices[one], "in_stock": 1}, lambda: now_s, "w", 150.0)
    for step, *values in steps:
        answer = None
        if step == "create":
            key, kind, customer, product, target = values
            now = datetime.fromtimestamp(now_s, UTC)
            answer = book.create(new_rule(key, kind, customer, product, target, 1, prices[product], now))
        elif step == "tick":
            prices[values[0]] = values[1]
            answer = book.tick([tuple(values)], now_s)
        elif step == "work":
            answer = sorted(one.rule_id for one in buyer.step())
        elif step == "claim":
            answer = sorted(rule.rule_id for rule in book.claim("dead", 1_000, now_s))
        elif step == "wait":
            now_s += values[0]
        else:
            book.set_enabled(values[0])
        notices = {
            one: sorted(book.outbox(one), key=lambda note: (note.at_s, note.kind, str(note.body["rule_id"])))
            for one in ("c1", "c2")
        }
        people = [(book.of_customer(one), notices[one]) for one in notices]
        views = (book.purchases(), payments.charges(), book.states(), book.prices(), book.is_enabled())
        read.append((step, answer, people, views))
    book.close()
    payments.close()
    return read


def test_a_stack_with_a_table_keeps_everything_in_it(tmp_path, monkeypatch):
    """Memory, rules and charges: no file of the stack's is made."""
    for name, value in {
        "AWS_ENDPOINT_URL": dynamodb_server(), "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    name = tables()()._name
    stack = {"schema": "peakday.stack/1", "data": {"catalogue": "c", "store": "s", "store_table": name}}
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    storage = storage_of(read_stack(tmp_path / "stack.json"))
    storage.store().remember("c1", "has a dog", NOW)
    storage.rules().create(new_rule("r1", "auto_buy", "c1", "p1", 70.0, 1, 60.0, NOW))
    storage.payments(lambda customer: "card").charge("k", "c1", 60.0)
    assert storage.store().facts("c1") == ["has a dog"]
    assert storage.rules().states() == {"matched": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["stack.json"]
