"""Calibration on random engines: a fixed sample of twenty, each fitted from its own rate sweep."""

import pytest

from study.engines import BAR, SHARE_BAR, Verdict, draw_engine, judge, measure, misses, table

pytestmark = pytest.mark.slow  # a minute of fitting

SAMPLE = range(20)


@pytest.fixture(scope="module")
def verdicts():
    return [judge(number) for number in SAMPLE]


def test_an_engine_of_a_number_is_always_the_same():
    first, second = measure(draw_engine(3)), measure(draw_engine(3))
    assert all((one.ttft_s == other.ttft_s).all() for one, other in zip(first, second, strict=True))


def test_what_is_not_refused_is_predicted_within_the_bar(verdicts):
    """At most one of the sample may miss: 97% of 300 is the bar of the whole table."""
    fitted = [each for each in verdicts if each.refused is None]
    assert len(fitted) >= 8
    assert sum(each.within for each in fitted) >= len(fitted) - 1


def test_a_refusal_names_what_to_measure_next_or_what_to_check(verdicts):
    for each in verdicts:
        assert each.refused is None or "measure" in each.refused or "check" in each.refused


def test_the_table_counts_refusals_and_misses():
    engine = draw_engine(0)
    rows = [
        Verdict(engine, None, 0.5, 0.0, 0.0),
        Verdict(engine, "measure more"),
        Verdict(engine, None, 0.01, 0.01, 0.01),
    ]
    text = table(rows)
    assert "| all | 3 | 1 | 1 of 2 (50.0%)" in text
    assert len(list(misses(rows))) == 2
    assert BAR < SHARE_BAR
