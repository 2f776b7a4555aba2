"""An outbox never makes its user wait, holds a bounded number of items, and counts what it loses."""

import threading

import pytest

from host.fetch import FetchError
from host.outbox import Outbox


def started(send, **bounds) -> Outbox:
    outbox = Outbox(send, every_s=0.001, **bounds)
    outbox.start()
    return outbox


def test_what_is_put_in_arrives_once_and_in_order():
    """In batches of at most so many; closing sends the rest."""
    batches = []
    outbox = Outbox(lambda batch: batches.append(batch) or 0, batch_max=4)
    for number in range(10):
        outbox.put(number, parts=2)
    outbox.start()
    outbox.close(10.0)
    assert [item for batch in batches for item in batch] == list(range(10))
    assert max(map(len, batches)) == 4
    assert (outbox.sent, outbox.dropped) == (20, 0)


def test_a_full_outbox_drops_the_new_and_counts_it():
    """Memory is bounded whatever the receiver does; the count is in parts, not in items."""
    outbox = Outbox(lambda batch: 0, kept_max=3)
    for number in range(5):
        outbox.put(number, parts=4)
    assert outbox.dropped == 8
    outbox.start()
    outbox.close(10.0)
    assert (outbox.sent, outbox.dropped) == (12, 8)


def test_what_a_receiver_refuses_is_dropped_and_the_rest_sent():
    outbox = Outbox(lambda batch: 2)
    outbox.put("a", parts=5)
    outbox.start()
    outbox.close(10.0)
    assert (outbox.sent, outbox.dropped) == (3, 2)


def test_an_absent_receiver_is_tried_again_and_then_given_up(monkeypatch):
    """After three tries all parts are lost; nothing is raised into whoever put them in."""
    monkeypatch.setattr("host.fetch.PAUSE_S", 0.0)
    tries = []

    def send(batch):
        tries.append(batch)
        raise FetchError("refused")

    outbox = started(send)
    outbox.put("a", parts=5)
    outbox.close(10.0)
    assert len(tries) == 3
    assert (outbox.sent, outbox.dropped, outbox.why) == (0, 5, "refused")


def test_a_receiver_that_comes_back_gets_the_batch():
    answers = [FetchError("status 503", 503), 0]

    def send(batch):
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("host.fetch.PAUSE_S", 0.0)
        outbox = started(send)
        outbox.put("a")
        outbox.close(10.0)
    assert (outbox.sent, outbox.dropped) == (1, 0)


def test_what_a_receiver_would_refuse_again_is_sent_once():
    """OTLP/HTTP: only 429, 502, 503 and 504 are tried again."""
    tries = []

    def send(batch):
        tries.append(batch)
        raise FetchError("status 400", 400)

    outbox = started(send)
    outbox.put("a", parts=5)
    outbox.close(10.0)
    assert (len(tries), outbox.sent, outbox.dropped) == (1, 0, 5)


def test_closing_counts_the_batch_that_nobody_answers():
    """What is under way when the time is over was not taken, whatever its answer says later."""
    asked, answer = threading.Event(), threading.Event()

    def send(batch):
        asked.set()
        answer.wait()
        return 0

    outbox = started(send, batch_max=1)
    outbox.put("under way", parts=2)
    outbox.put("waits", parts=3)
    asked.wait()
    outbox.close(0.0)
    outbox.put("too late", parts=4)
    answer.set()
    outbox._thread.join()
    assert (outbox.sent, outbox.dropped) == (0, 9)
