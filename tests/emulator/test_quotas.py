"""Token quotas: reserved at the start, settled at the end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.quotas import QuotaBook, Reservation
from facts.stack import Grant


def admitted(book: QuotaBook, tokens: float) -> int:
    """How many calls of so many tokens fit at once."""
    return sum(isinstance(book.reserve("a", "r", "m", tokens, 0.0), Reservation) for _ in range(2_000))


@pytest.mark.parametrize(("max_tokens", "in_flight"), [(1_000, 1_333), (64_000, 31)])
def test_the_published_example_of_two_million_tpm(max_tokens, in_flight):
    """500 input tokens: 1,333 calls in flight with max_tokens 1,000; 31 with it unset on a model of 64,000."""
    assert admitted(QuotaBook({"m": Grant(tpm=2_000_000)}), 500 + max_tokens) == in_flight


def test_settlement_releases_what_was_not_used():
    """A call that reserved everything and used a tenth leaves room for another; the window forgets after 60 s."""
    book = QuotaBook({"m": Grant(tpm=1_000)})
    held = book.reserve("a", "r", "m", 1_000, 0.0)
    assert isinstance(held, Reservation)
    assert book.reserve("a", "r", "m", 1, 1.0) == "tpm"
    book.settle(held, 100)
    assert isinstance(book.reserve("a", "r", "m", 900, 2.0), Reservation)
    assert book.reserve("a", "r", "m", 1, 59.9) == "tpm"


def test_charges_end_with_their_window():
    """What was charged in one minute is free in the next."""
    book = QuotaBook({"m": Grant(tpm=1_000)})
    book.settle(book.reserve("a", "r", "m", 900, 0.0), 900)
    assert book.reserve("a", "r", "m", 200, 59.0) == "tpm"
    assert isinstance(book.reserve("a", "r", "m", 200, 60.0), Reservation)


def test_requests_per_minute_count_requests():
    """rpm is enforced only where it is granted, whatever the tokens."""
    book = QuotaBook({"m": Grant(rpm=2)})
    answers = [book.reserve("a", "r", "m", 1e9, 0.0) for _ in range(3)]
    assert answers[2] == "rpm"
    assert isinstance(answers[1], Reservation)
    assert [(window["kind"], window["limit"], window["charged"]) for window in book.in_use()] == [("rpm", 2, 2)]


def test_an_account_quota_binds_over_all_models():
    """Tokens a day of the account: models of a region share it, another region and another account do not."""
    book = QuotaBook({"account": Grant(tpd=1_000)})
    book.reserve("a", "r", "m", 700, 0.0)
    assert book.reserve("a", "r", "n", 700, 0.0) == "account tpd"
    assert isinstance(book.reserve("a", "s", "m", 700, 0.0), Reservation)
    assert isinstance(book.reserve("b", "r", "n", 700, 0.0), Reservation)


def test_a_models_quota_is_its_own_in_every_region():
    """What one region holds leaves another's grant whole, the account's too."""
    book = QuotaBook({"m": Grant(tpm=1_000), "account": Grant(tpd=1_500)})
    assert isinstance(book.reserve("a", "r", "m", 1_000, 0.0), Reservation)
    assert book.reserve("a", "r", "m", 100, 0.0) == "tpm"
    assert isinstance(book.reserve("a", "s", "m", 1_000, 0.0), Reservation)
    assert book.reserve("a", "r", "n", 501, 0.0) == "account tpd"


def test_input_counted_apart_is_held_with_max_tokens_and_charged_alone():
    """1,000 a minute: 300 in and 600 of max_tokens leave room for 100, and for 700 once only the 300 are charged."""
    book, place = QuotaBook({"m": Grant(input_tpm=1_000)}), ("a", "r", "m")
    held = book.admit_input(place, 900, 0.0)
    assert isinstance(held, Reservation)
    assert book.admit_input(place, 101, 1.0) == "input_tpm"
    book.settle(held, 300)
    assert isinstance(book.admit_input(place, 700, 2.0), Reservation)
    assert isinstance(book.reserve("a", "r", "m", 1e9, 2.0), Reservation)


def test_output_counted_apart_leaves_the_rest_of_its_minute():
    """An answer takes what is left, one token at least; the next minute is whole again; without a grant none is cut."""
    book, place = QuotaBook({"m": Grant(output_tpm=500)}), ("a", "r", "m")
    assert book.output_room(place, 0.0) == 500
    book.count_output(place, 450)
    assert book.output_room(place, 1.0) == 50
    book.count_output(place, 50)
    assert book.output_room(place, 2.0) == 1
    assert book.output_room(place, 60.0) == 500
    assert book.output_room(("a", "r", "other"), 60.0) is None


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(1, 500), st.floats(0, 1)), max_size=60))
def test_charged_and_reserved_never_exceed_the_limit_at_admission(calls):
    """Settled calls charge at most what they reserved, so no window ever holds more than was granted."""
    book, now_s = QuotaBook({"m": Grant(tpm=1_000)}), 0.0
    for pause_s, tokens, used in calls:
        now_s += pause_s
        held = book.reserve("a", "r", "m", tokens, now_s)
        window = book.in_use()[0]
        assert window["charged"] + window["reserved"] <= 1_000 * (1 + 1e-9)
        if isinstance(held, Reservation):
            book.settle(held, tokens * used)
