"""The check of the generator that chooses the demo's rates."""

from __future__ import annotations

import pytest

from loadgen.analysis.self_check import SelfCheck
from peakday.demo import CHECK_PER_S, STEP_S, STEPS_PER_S, choose_rates, story
from tests.dashboards.plans import make_plan
from tests.dashboards.records import make_run


def checked(valid: bool) -> SelfCheck:
    reasons = () if valid else ("the emulator was late: token p99 9 ms",)
    return SelfCheck(CHECK_PER_S, 27, 20, 1.0, (0.0002, 0.003), (0.0002, 0.0009), 0.2, valid, reasons)


def test_a_machine_that_keeps_time_gets_the_usual_sweep():
    """Valid at twice the highest rate: the sweep stays as it is, and the error is printed."""
    rates, why = choose_rates(checked(valid=True))
    assert rates == STEPS_PER_S
    assert "off by 3.0 ms at p99" in why
    assert "; valid, so" in why


def test_a_machine_that_does_not_gets_a_slower_one_and_a_reason():
    """A late emulator or a late generator: half the rates, with the reason."""
    rates, why = choose_rates(checked(valid=False))
    assert [rate / usual for rate, usual in zip(rates, STEPS_PER_S, strict=True)] == [pytest.approx(0.5)] * 3
    assert "the emulator was late" in why


def test_the_check_offers_more_than_the_sweep_will():
    """What is valid at the rate of the check is so at every load step; the sweep fits into half a minute."""
    assert max(STEPS_PER_S) < CHECK_PER_S
    assert sum(STEP_S) <= 31


def test_the_story_is_a_screen_that_names_verdict_costs_and_where_to_read_on(tmp_path):
    text = story(make_run(tmp_path / "run", 60), make_plan(), "at 11/s", "refused: too few calls", tmp_path)
    assert len(text.splitlines()) <= 25
    for words in ("token cost", "chips included", "first limit", "SIMULATED", "refused: too few calls", "peakday up"):
        assert words in text
    assert text.startswith("Run ")
