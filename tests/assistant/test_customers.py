"""What customers of every kind write is understood; see `customers.py`."""

import re

import pytest

from tests.assistant.customers import FIRST, MISSED, SECOND
from tests.assistant.shopping import Shopper, smoke_world

WRITES = ("auto_buy", "price_alert", "add_to_cart", "reorder", "order_change", "start_return", "forget", "remember")


@pytest.fixture(scope="module")
def shopper(tmp_path_factory):
    shopper = Shopper(smoke_world(tmp_path_factory.mktemp("world")), tmp_path_factory.mktemp("store"))
    yield shopper
    shopper.close()


@pytest.mark.parametrize("turns", [*FIRST.values(), *SECOND.values()], ids=[*FIRST, *SECOND])
def test_what_customers_write_is_understood(shopper, turns):
    """But for the messages that are listed as missed, which still are."""
    shopper.new_conversation()
    wrong = {turn.message: faults(shopper, shopper.say(turn.message, page=turn.page), turn) for turn in turns}
    assert {message: bool(found) for message, found in wrong.items()} == {
        turn.message: turn.message in MISSED for turn in turns
    }, wrong


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
