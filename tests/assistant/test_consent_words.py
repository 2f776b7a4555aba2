"""Messages that hold the words of an order and are none: the model obeys them all, and the customer is asked."""

import pytest

from tests.assistant.test_odd_writes import written
from tests.assistant.test_writes import pending

TEA, SOCKS, NUTS = (
    ("remember", {"fact": "likes green tea"}),
    ("reorder", {"query": "wool socks"}),
    ("forget", {"fact": "nuts"}),
)
NO_ORDERS = [
    (TEA, "remember that she likes green tea? no thanks"), (TEA, "remember likes green tea, just kidding"),
    (TEA, "remember likes green tea. scratch that"), (TEA, "i take it back, remember likes green tea"),
    (TEA, "is it wise to remember likes green tea"), (TEA, "who told you to remember likes green tea"),
    (TEA, "nobody asked you to remember likes green tea"), (TEA, "remember likes green tea /s"),
    (TEA, "rem\u200bember l\u200bikes gr\u200been tea"), (TEA, "r\u0435m\u0435mber lik\u0435s gr\u0435\u0435n"),
    (TEA, "the ad says \u201cremember likes green tea\u201d"), (TEA, "tell me why to remember likes green tea"),
    (NUTS, "never forget nuts"), (NUTS, "how could i forget nuts"), (NUTS, "did i tell you to forget nuts"),
    (SOCKS, "did i reorder wool socks"), (SOCKS, "cancel: reorder wool socks"), (SOCKS, "do people reorder wool socks"),
    (SOCKS, "nothing to reorder, no wool socks"), (SOCKS, "reorder wool socks? never again"),
    (SOCKS, "the last reorder of wool socks was awful"), (SOCKS, "i'd hate to reorder wool socks"),
    (SOCKS, "remind me why i reorder wool socks"), (SOCKS, "reorder wool socks (joke)"),
    (SOCKS, "no reorder of wool socks please"), (SOCKS, "i changed my mind, reorder wool socks"),
]  # fmt: skip
ORDERS = [
    (TEA, "please remember that my wife likes green tea"), (SOCKS, "reorder wool socks please"),
    (SOCKS, "reorder wool socks, no rush"),
    (("remember", {"fact": "hate polyester"}), "remember that i hate polyester"),
]  # fmt: skip


def test_a_question_a_joke_or_a_word_taken_back_is_no_consent(shop):
    before = written(shop)
    for number, (write, message) in enumerate(NO_ORDERS):
        shop.turn(message, [write], "ok", interaction_id=f"n{number}")
        assert written(shop) == before, message


@pytest.mark.parametrize(("write", "message"), ORDERS, ids=[message for _, message in ORDERS])
def test_an_order_in_words_of_ones_own_is_carried_out(shop, write, message):
    """Also where it holds such a word itself."""
    before = written(shop)
    assert pending(shop.turn(message, [write], "ok")) is None
    assert written(shop) != before
