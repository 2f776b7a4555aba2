"""Calibration on random engines: a fixed sample of twenty, each fitted from its own rate sweep."""

from dataclasses import replace

import numpy as np
import pytest

from capacity.calibration.hits import with_hits
from study.engines import BAR, PLAIN, SHARE_BAR, Setting, Verdict, draw_engine, judge, measure, misses, table, terms

SAMPLE = range(20)


@pytest.fixture(scope="module")
def verdicts():
    return [judge(number) for number in SAMPLE]


def test_an_engine_of_a_number_is_always_the_same():
    first, second = measure(draw_engine(3)), measure(draw_engine(3))
    assert all((one.ttft_s == other.ttft_s).all() for one, other in zip(first, second, strict=True))


def test_another_seed_draws_other_engines():
    """So that what was tuned on one set is held against another."""
    other = draw_engine(3, Setting(seed=7))
    assert other.model.coefficients != draw_engine(3).model.coefficients
    assert (measure(other)[0].ttft_s != measure(replace(other, setting=PLAIN))[0].ttft_s).any()


def test_hits_are_searched_where_exponentials_have_no_number():
    """On this engine's sweep a share of hits runs to nothing, by the logarithm of its odds."""
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        assert with_hits(measure(draw_engine(88)))[1] is None


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
        Verdict(engine, None, 0.5, 0.0, 0.0, steps=2, inside=2),
        Verdict(engine, "measure more"),
        Verdict(engine, None, 0.01, 0.01, None, steps=1, inside=2),
    ]
    text = table(rows)
    assert "| all | 3 | 1 | 1 | 1 of 2 (50.0%)" in text
    assert "| 4 of 6 |" in text
    assert len(list(misses(rows))) == 2
    assert terms(rows) == ""
    known = [replace(rows[0], terms=(0.01, off, 0.3)) for off in (-0.7, -0.6, -0.5)]
    assert "of 3 engines, medians: a 1.0% (bias +1.0%), b 60.0% (bias -45.1%)" in terms(known)
    assert BAR < SHARE_BAR
