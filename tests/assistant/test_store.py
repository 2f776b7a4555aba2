"""The suite of the store's protocol: every backend passes it, and nothing in it knows which one it is.

Another backend is an entry in BACKENDS: a function from a folder to a function that opens a handle.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.errors import AssistantError
from assistant.settings import read_stack
from tests.assistant.backends import BOTH
from tests.assistant.memory_store import MemoryStore, Space

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ME, OTHER = "c000001", "c000002"


def memory_in(folder):
    space = Space()
    return lambda: MemoryStore(space)


BACKENDS = {"memory": memory_in, **{name: lambda folder, of=of: of(folder).store for name, of in BOTH.items()}}


@pytest.fixture(params=list(BACKENDS))
def opened(request, tmp_path):
    """Opens handles of one store; they are closed at the end."""
    handles = []
    handle = BACKENDS[request.param](tmp_path)

    def another():
        handles.append(handle())
        return handles[-1]

    yield another
    for one in handles:
        one.close()


@pytest.fixture
def store(opened):
    """One handle."""
    return opened()


def test_facts_are_the_customer_s_own_oldest_first_and_each_once(store):
    for fact in ("wears size 9", "has a dog", "wears size 9"):
        store.remember(ME, fact, NOW)
    store.remember(OTHER, "has a cat", NOW)
    assert store.facts(ME) == ["wears size 9", "has a dog"]
    assert store.facts("c000003") == []


def test_forgetting_takes_exactly_these_facts_and_returns_those_that_were_there(store):
    """Another customer's facts stay, and so does one that holds a forgotten one's words."""
    for fact in ("Has a dog called Rex", "has a cat", "walks the dog at six"):
        store.remember(ME, fact, NOW)
    store.remember(OTHER, "has a dog", NOW)
    assert store.forget(ME, ["Has a dog called Rex", "has a dog", "has a parrot"]) == ["Has a dog called Rex"]
    assert store.facts(ME) == ["has a cat", "walks the dog at six"]
    assert store.facts(OTHER) == ["has a dog"]
    assert store.forget(ME, []) == []


def test_a_forgotten_fact_may_be_remembered_again(store):
    store.remember(ME, "has a dog", NOW)
    store.forget(ME, ["has a dog"])
    store.remember(ME, "has a dog", NOW)
    assert store.facts(ME) == ["has a dog"]


def test_a_cart_adds_up_in_the_order_in_which_lines_came(store):
    assert store.add_to_cart(ME, "p2", 1, "k1")
    assert store.add_to_cart(ME, "p1", 2, "k2")
    assert store.add_to_cart(ME, "p2", 3, "k3")
    assert store.cart(ME) == [{"product_id": "p2", "quantity": 4}, {"product_id": "p1", "quantity": 2}]
    assert store.cart(OTHER) == []


def test_a_key_counts_once_whatever_the_write(store):
    """A request that comes again changes nothing and is told so, even as another kind of write or for somebody else."""
    assert store.add_to_cart(ME, "p1", 1, "k")
    assert not store.add_to_cart(ME, "p1", 1, "k")
    assert not store.add_to_cart(OTHER, "p1", 1, "k")
    assert not store.change_order(ME, "o1", "cancel", "", "k", NOW)
    assert store.cart(ME) == [{"product_id": "p1", "quantity": 1}]
    assert store.order_changes(ME) == []


def test_changes_to_orders_are_kept_oldest_first(store):
    later = NOW + timedelta(hours=1)
    assert store.change_order(ME, "o2", "cancel", "too late", "k1", NOW)
    assert store.change_order(ME, "o1", "return", "p7: broken", "k2", later)
    assert store.order_changes(ME) == [
        {"order_id": "o2", "change": "cancel", "detail": "too late", "at": NOW.isoformat()},
        {"order_id": "o1", "change": "return", "detail": "p7: broken", "at": later.isoformat()},
    ]
    assert store.order_changes(OTHER) == []


def test_what_is_returned_is_the_caller_s_to_change(store):
    store.remember(ME, "has a dog", NOW)
    store.add_to_cart(ME, "p1", 1, "k1")
    store.facts(ME).clear()
    store.cart(ME)[0]["quantity"] = 99
    assert (store.facts(ME), store.cart(ME)) == (["has a dog"], [{"product_id": "p1", "quantity": 1}])


def test_a_write_is_seen_by_other_handles_and_outlives_its_own(opened):
    """Several processes share a store, and each may end."""
    first, second = opened(), opened()
    first.remember(ME, "has a dog", NOW)
    first.add_to_cart(ME, "p1", 1, "k1")
    assert second.facts(ME) == ["has a dog"]
    first.close()
    again = opened()
    assert again.cart(ME) == [{"product_id": "p1", "quantity": 1}]
    assert not again.add_to_cart(ME, "p1", 1, "k1")


def test_of_racing_writes_with_one_key_one_wins(opened):
    """Eight handles at once, twenty keys: each key counts for one of them."""
    handles = [opened() for _ in range(8)]

    def race(handle):
        return [handle.add_to_cart(ME, "p1", 1, f"k{number}") for number in range(20)]

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(race, handles))
    assert [sum(column) for column in zip(*won, strict=True)] == [1] * 20
    assert handles[0].cart(ME) == [{"product_id": "p1", "quantity": 20}]


CUSTOMERS, WORDS = st.sampled_from([ME, OTHER]), st.sampled_from(["dog", "cat", "a dog", "red dog", "Cat", ""])
WRITES = st.one_of(
    st.tuples(st.just("remember"), CUSTOMERS, WORDS.filter(bool), st.just(NOW)),
    st.tuples(st.just("forget"), CUSTOMERS, st.lists(WORDS, max_size=2)),
    st.tuples(
        st.just("add_to_cart"), CUSTOMERS, st.sampled_from(["p1", "p2"]), st.integers(1, 3), st.sampled_from("abcdef")
    ),
    st.tuples(
        st.just("change_order"), CUSTOMERS, st.sampled_from(["o1", "o2"]), st.just("cancel"), st.just(""),
        st.sampled_from("abcdef"), st.just(NOW),
    ),
)  # fmt: skip


def everything(store):
    """All that can be read."""
    return [(store.facts(one), store.cart(one), store.order_changes(one)) for one in (ME, OTHER)]


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WRITES, max_size=20))
def test_both_backends_of_one_machine_answer_any_course_of_writes_alike(tmp_path_factory, writes):
    """Each write's answer and all that can be read after it."""
    assert_alike(("sqlite", "memory"), tmp_path_factory, writes)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WRITES, max_size=12))
def test_dynamodb_answers_any_course_of_writes_as_memory_does(tmp_path_factory, writes):
    """As above, over HTTP."""
    assert_alike(("memory", "dynamodb"), tmp_path_factory, writes)


def assert_alike(names, tmp_path_factory, writes):
    """The same writes on each backend: the same answers and the same state after each."""
    answers = {}
    for name in names:
        store = BACKENDS[name](tmp_path_factory.mktemp(name))()
        answers[name] = [
            (
                getattr(store, write)(*values),
                [(store.facts(c), store.cart(c), store.order_changes(c)) for c in (ME, OTHER)],
            )
            for write, *values in writes
        ]
        store.close()
    assert len({repr(answer) for answer in answers.values()}) == 1


def test_the_agent_works_over_any_backend(make, opened):
    """Remembering, and then a cart: the tools and the prompt use the protocol alone."""
    shop = make(backend=opened())
    shop.turn("remember that i have a dog", [("remember", {"fact": "has a dog"})], "Noted.", interaction_id="a")
    assert shop.store.facts(ME) == ["has a dog"]
    shop.turn("hello again", "Hello.", interaction_id="b")
    assert "has a dog" in str(shop.model.requests[0])


def test_a_stack_names_its_table_and_a_name_that_is_none_is_refused(tmp_path):
    stack = {"schema": "peakday.stack/1", "data": {"catalogue": "c", "store": "s", "store_table": "shop-store"}}
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    assert read_stack(tmp_path / "stack.json").store_table == "shop-store"
    (tmp_path / "stack.json").write_text(json.dumps(stack | {"data": {"store_table": "a b"}}))
    with pytest.raises(AssistantError, match="store_table"):
        read_stack(tmp_path / "stack.json")
