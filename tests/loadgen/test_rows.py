"""What a turn leaves in the record: an error counts as a wait only where somebody waited."""

from __future__ import annotations

from array import array
from types import SimpleNamespace

import pandas as pd
import pytest

from loadgen.analysis.totals import latency_quantiles
from loadgen.transport.answer import Answer
from loadgen.worker.rows import TURN_COLUMNS, turn_row
from slo.histogram import Histogram

S = 1_000_000_000
VISIT = SimpleNamespace(
    customer_hash="c", session_id="s", interaction_id="i", turn_index=0, region=None, began_before=False
)  # fmt: skip


def row(status: str, end_s: float, first_s: float = 0.0, at_s: float = 1.0) -> dict[str, object]:
    """A turn due and sent at `at_s`, ended so many seconds later."""
    answer = Answer(array("q"))
    answer.intended_ns = answer.start_ns = int(at_s * S)
    answer.first_ns = answer.last_ns = int((at_s + first_s) * S) if first_s else 0
    answer.fail(int((at_s + end_s) * S), status, None)
    return dict(zip(TURN_COLUMNS, turn_row(VISIT, answer, 0), strict=True))


def quantiles(*rows: dict[str, object]):
    """Of all rows; the first turn of a run is left out, so one more comes before them."""
    return latency_quantiles(pd.DataFrame([row("ok", 1.0, 0.5, at_s=0.5), *rows]), Histogram())


@pytest.mark.parametrize("status", ["http_error", "stream_error", "throttled"])
def test_an_error_after_a_wait_is_a_wait(status):
    """A 504 after 29 s: the quantile is at least 29 s, not that of the quick answers."""
    found = quantiles(row("ok", 0.2, 0.1), row(status, 29.0), row(status, 29.0))
    for metric in ("ttft_s", "e2e_s", "ttft_from_send_s", "e2e_from_send_s"):
        assert (found[metric]["p99"].value, found[metric]["p99"].censored) == (pytest.approx(29.0), True)


def test_an_error_at_once_has_no_latency():
    """A refusal after a millisecond makes nobody wait, and makes no quantile better."""
    refused = row("http_error", 0.001)
    assert refused["e2e_s"] is None
    assert quantiles(row("ok", 0.2, 0.1), refused)["e2e_s"]["p50"].n == 1


def test_a_stream_that_broke_has_a_ttft_and_an_open_end():
    """Content came after 0.1 s, the break at 0.4 s: the one is known, the other longer than that."""
    found = quantiles(row("stream_error", 0.4, 0.1))
    assert (found["ttft_s"]["p50"].value, found["ttft_s"]["p50"].censored) == (pytest.approx(0.1), False)
    assert (found["e2e_s"]["p50"].value, found["e2e_s"]["p50"].censored) == (pytest.approx(0.4), True)
