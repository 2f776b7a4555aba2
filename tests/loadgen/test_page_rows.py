"""Locust's own page has every turn as a request, and its TTFT in a row that counts as none."""

from types import SimpleNamespace

import pytest

from loadgen.worker.page_rows import page_rows

pytestmark = pytest.mark.unit


class Entry(list):
    """A row that keeps what was logged."""

    def log(self, response_time, content_length):
        self.append(response_time)


def test_a_turn_has_its_e2e_and_its_ttft_and_one_that_said_nothing_no_ttft():
    fired, row = [], Entry()
    request = SimpleNamespace(fire=lambda **event: fired.append(event))
    environment = SimpleNamespace(
        events=SimpleNamespace(request=request), stats=SimpleNamespace(entries={("openai", "TTFT"): row})
    )
    state = SimpleNamespace(target=SimpleNamespace(spec=SimpleNamespace(kind="openai")))
    times = {"intended_ns": 1_000_000, "end_ns": 51_000_000, "state": state}
    on_turn = page_rows(environment)
    on_turn(SimpleNamespace(**times, first_ns=11_000_000, status="ok", error_code=None))
    on_turn(SimpleNamespace(**times, first_ns=0, status="http_error", error_code="503"))
    assert row == [pytest.approx(10.0)]
    assert [(event["request_type"], event["response_time"]) for event in fired] == [("turn", pytest.approx(50.0))] * 2
    assert [str(event["exception"]) for event in fired] == ["None", "503"]
