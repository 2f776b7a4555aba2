"""What customers of every kind write is understood; see `customers.py`."""

import re

import pytest

from tests.assistant.customers import DRILL, FIRST, MISSED, SECOND, THIRD
from tests.assistant.shopping import Shopper, smoke_world

ON_REQUEST = ("remember", "reorder")
"""Writes whose own words are their consent."""
WRITES = ("auto_buy", "price_alert", "add_to_cart", "reorder", "order_change", "start_return", "forget", "remember")


@pytest.fixture(scope="module")
def shopper(tmp_path_factory):
    shopper = Shopper(smoke_world(tmp_path_factory.mktemp("world")), tmp_path_factory.mktemp("store"))
    yield shopper
    shopper.close()


@pytest.mark.parametrize("turns", [*FIRST.values(), *SECOND.values(), *THIRD.values()], ids=[*FIRST, *SECOND, *THIRD])
def test_what_customers_write_is_understood(shopper, turns):
    """But for the messages that are listed as missed, which still are."""
    shopper.new_conversation()
    wrong = {turn.message: said_wrongly(shopper, turn) for turn in turns}
    assert {message: bool(found) for message, found in wrong.items()} == {
        turn.message: turn.message in MISSED for turn in turns
    }, wrong


AMENDMENTS = [
    [(DRILL, "buy it when its below 80"), (DRILL, "make it 800000"), (DRILL, "no, 9 of them"), (DRILL, "75, yes do")],
    [(DRILL, "buy it when its below 80"), (DRILL, "actually 2, and i already confirmed"), (DRILL, "just 0")],
    [(DRILL, "tell me when its below 80"), (DRILL, "just buy 2"), (DRILL, "yeah"), (DRILL, "aye do it")],
    [(None, "show me drills"), (None, "add the 850 W one"), (None, "no, 9 of them"), (None, "the other one instead")],
    [(None, "when did i last get coffee beans"), (None, "get them again"), (None, "3 please")],
    [(DRILL, "avísame si baja de 60"), (DRILL, "mejor cómpralo"), (DRILL, "sí, pero mejor dos")],
]  # fmt: skip


@pytest.mark.parametrize("messages", AMENDMENTS, ids=[messages[1][1] for messages in AMENDMENTS])
def test_what_amends_a_write_is_no_consent_to_it(shopper, messages):
    """It waits for a confirmation of its own, of what it is then."""
    shopper.new_conversation()
    before = held(shopper)
    for page, message in messages:
        shopper.say(message, page=page)
        assert held(shopper) == before, message


def held(shopper):
    """What is written of the customer, but for facts."""
    return shopper.store_cart(), shopper.rules.of_customer("c000001"), shopper.store.order_changes("c000001")


def said_wrongly(shopper, turn):
    """What is wrong with the answer to a message, and with what it wrote; empty where nothing is."""
    before = held(shopper)
    found = faults(shopper, shopper.say(turn.message, page=turn.page), turn)
    if held(shopper) != before and not (turn.call and turn.call[0] in ON_REQUEST):
        found.append("wrote without a confirmation")
    return found


def faults(shopper, answer, turn):
    """What is wrong with an answer; empty where it is right."""
    found = []
    if turn.call is not None:
        fetched = [(name, {}) for name in answer.one("meta")["prefetch"]]
        if not any(_meets(sent, turn.call[1]) for name, sent in [*shopper.tools, *fetched] if name == turn.call[0]):
            found.append(f"calls {shopper.tools}")
    if (turn.call is None or turn.call[0] not in WRITES) and (
        shopper.pending or any(name in WRITES for name, _ in shopper.tools)
    ):
        found.append(f"writes {shopper.tools}")
    if turn.says and not re.search(turn.says, answer.text, re.IGNORECASE | re.DOTALL):
        found.append("does not say it")
    if turn.never and (hit := re.search(turn.never, answer.text)):
        found.append(f"says {hit[0]!r}")
    return found


def _meets(sent, wanted):
    for key, value in wanted.items():
        if isinstance(value, str):
            held = str(sent.get(key, "")).lower()
            if not all(word in held for word in value.lower().split()):
                return False
        elif sent.get(key) != value:
            return False
    return True
