"""A table on a bad day: throttled, absent, silent, or with items of somebody else's: one line, and nothing claimed."""

import itertools

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from assistant.autobuy.dynamodb import DynamoPayments, DynamoRules
from assistant.errors import StoreError
from assistant.shop.dynamodb import DynamoStore
from assistant.shop.table import THROTTLED, TRIES_MAX, Table, customer_key, key_of, put
from tests.assistant.test_writes import pending


def client_error(code, *reasons):
    answer = {"Error": {"Code": code, "Message": "arn:aws:dynamodb:::table/secret"}}
    return ClientError(answer | {"CancellationReasons": [{"Code": reason} for reason in reasons]}, "Any")


URL = "http://127.0.0.1:1"
BAD_DAYS = [
    client_error("ProvisionedThroughputExceededException"), client_error("ThrottlingException"),
    client_error("ResourceNotFoundException"), client_error("InternalServerError"),
    client_error("ValidationException"),  # an item of more than 400 KB
    client_error("ItemCollectionSizeLimitExceededException"), client_error("AccessDeniedException"),
    EndpointConnectionError(endpoint_url=URL), ReadTimeoutError(endpoint_url=URL), NoCredentialsError(),
]  # fmt: skip


class Service:
    """A client that answers every call with the next of these, the last of them for good."""

    def __init__(self, *answers):
        self.answers, self.calls = list(answers), 0

    def __getattr__(self, name):
        def call(**request):
            self.calls += 1
            answer = self.answers[min(self.calls, len(self.answers)) - 1]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


@pytest.mark.parametrize("error", BAD_DAYS, ids=lambda error: str(error)[:60])
def test_every_call_says_what_the_service_said_in_one_line(error):
    """Never the service's own sentence, which names accounts; never a traceback of its client."""
    table = Table(Service(error), "t")
    key = key_of("a", "b")
    calls = [
        lambda: table.get(key), lambda: table.put(key), lambda: table.put_new(key), lambda: table.take(key),
        lambda: table.place("c"), lambda: list(table.partition("a")), lambda: list(table.everywhere("a")),
        lambda: table.transact(put(key)),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(StoreError) as raised:
            call()
        assert str(raised.value).startswith("t: ")
        assert "\n" not in str(raised.value)
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize("reason", sorted(THROTTLED))
def test_a_transaction_that_is_throttled_is_made_a_moment_later(monkeypatch, reason):
    monkeypatch.setattr("assistant.shop.table.PAUSE_S", 0.0)
    throttled = client_error("TransactionCanceledException", "None", reason)
    service = Service(throttled, throttled, {})
    assert Table(service, "t").transact(put(key_of("a", "b"))) == ()
    assert service.calls == 3
    full = Service(throttled)
    with pytest.raises(StoreError, match=f"{TRIES_MAX} transactions"):
        Table(full, "t").transact(put(key_of("a", "b")))


KEY = {"pk": {"S": "customer#c"}, "sk": {"S": "x"}}
ODD = [
    KEY,
    KEY | {"number": {"S": "many"}},
    KEY | {"number": {"N": "1"}, "fact": {"N": "5"}, "body": {"S": "no JSON"}, "quantity": {"S": "x"}},
    KEY | {"number": {"N": "NaN"}},
    KEY | {"number": "1", "fact": "a"},
    KEY | {"number": {"N": "1"}, "kind": {"M": {}}, "state": {"NULL": True}},
]


@pytest.mark.parametrize("item", ODD, ids=range(len(ODD)))
def test_an_item_that_somebody_else_wrote_is_named(item):
    """By its key; its content stands in no message."""
    table = Table(Service({"Items": [item], "Item": item}), "t")
    store, rules = DynamoStore(table), DynamoRules(table)
    for view in (store.facts, store.cart, store.order_changes, rules.of_customer, rules.purchases, rules.outbox):
        with pytest.raises(StoreError, match="item 'customer#c x' is of another shape"):
            view("c")


def test_a_rule_that_is_gone_is_named():
    with pytest.raises(StoreError, match="rule r1 is gone"):
        DynamoRules(Table(Service({}), "t"))._rule("c", "r1")


def test_a_charge_that_is_not_answered_is_no_charge():
    """The caller tries again with the same key, and nothing is charged twice."""
    payments = DynamoPayments(Table(Service(ReadTimeoutError(endpoint_url=URL)), "t"), lambda _: "card")
    with pytest.raises(StoreError):
        payments.charge("k", "c", 5.0)


def test_no_two_customers_share_an_item_whatever_their_names_hold():
    names = ["a", "a#b", "a#rule#r1", "#", "##", "customer#a", "a ", "A", "á", "a\u0301", "payments", "counter"]
    items = ["counter", "payments", "rule#r1", "b#rule#r1", "fact#x"]
    keys = [str(customer_key(name, item)) for name, item in itertools.product(names, items)]
    assert len(set(keys)) == len(keys)


def test_a_write_whose_store_fails_is_an_error_for_the_model_and_no_word_of_the_service(shop, monkeypatch):
    """After the customer's consent: nothing is claimed, and the next turn is answered."""

    def fails(*_):
        raise StoreError("t: ThrottlingException arn:aws:secret")

    order = ("add_to_cart", {"product_id": "p000007", "quantity": 1})
    token = pending(shop.turn("hello there", [order], "Please confirm.", interaction_id="i1"))["token"]
    with monkeypatch.context() as broken:
        broken.setattr(type(shop.store), "add_to_cart", fails)
        shop.turn("yes", "Sorry.", confirm={"token": token, "accept": True}, interaction_id="i1", turn_index=1)
    assert shop.store.cart("c000001") == []
    assert "secret" not in str(shop.model.requests)
    assert "the store did not answer" in str(shop.model.requests)


def test_a_turn_whose_memory_cannot_be_read_is_503_and_not_a_fault(shop, monkeypatch):
    def fails(*_):
        raise StoreError("t: ResourceNotFoundException")

    monkeypatch.setattr(type(shop.store), "facts", fails)
    answer = shop.turn("hello there", "Hello.")
    assert answer.status == 503
    assert "ResourceNotFound" not in str(vars(answer))
