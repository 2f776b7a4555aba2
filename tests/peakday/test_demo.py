"""The check of the generator that chooses the demo's rates."""

from __future__ import annotations

import pytest

from loadgen.analysis.self_check import SelfCheck
from peakday.demo import CHECK_PER_S, RUNG_S, RUNGS_PER_S, choose_rates


def checked(valid: bool) -> SelfCheck:
    reasons = () if valid else ("stand-ins were late: token p99 9 ms",)
    return SelfCheck(CHECK_PER_S, 27, 20, 1.0, (0.0002, 0.003), (0.0002, 0.0009), 0.2, valid, reasons)


def test_a_machine_that_keeps_time_gets_the_usual_ladder():
    """Vouched for at twice the highest rate: the ladder stays as it is, and the error is printed."""
    rates, said = choose_rates(checked(valid=True))
    assert rates == RUNGS_PER_S
    assert "off by 3.0 ms at p99" in said
    assert "vouched for" in said


def test_a_machine_that_does_not_gets_a_slower_one_and_is_told_why():
    """Late stand-ins or a late generator: half the rates, with the reason."""
    rates, said = choose_rates(checked(valid=False))
    assert [rate / usual for rate, usual in zip(rates, RUNGS_PER_S, strict=True)] == [pytest.approx(0.5)] * 3
    assert "stand-ins were late" in said


def test_the_check_asks_more_than_the_ladder_will():
    """What is vouched for at the check's rate is so at every rung; the ladder fits into half a minute."""
    assert max(RUNGS_PER_S) < CHECK_PER_S
    assert sum(RUNG_S) <= 31
