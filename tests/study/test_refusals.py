"""What a refusal says to measure is read from its own sentence, and measured; the table counts what came of it."""

from dataclasses import replace

import pytest

from study.refusals import Refusal, named_rates, table
from tests.capacity.models import step_model
from tests.capacity.test_calibration import observed

SWEEP = [observed(2.0), observed(5.0)]


@pytest.mark.parametrize(
    ("text", "notes", "rates"),
    [
        ("a light load cannot size a fleet: measure at about 7 x 0.5/s", (), [3.5]),
        ("known to 18% only (one sigma), about 8.4/s; measure at about 7.6/s, or with another length mix", (), [7.6]),
        ("and that runs were alike, or measure 0.9 of the knee, lengths x 1 at 4.62/s once more", (), [4.62]),
        ("and --max-batched-tokens, or measure the busiest step once more", (), [SWEEP[1].rate_per_s]),
        ("requests_per_s: 4.81 is beyond the 2.5 that was measured", (), [4.81]),
        (
            "requests_per_s: 4, and medians are known up to 3 only",
            ("medians are known: at 3.5/s pace and coefficients leave 4.0% open (one sigma), so they are known "
             "within 9% there; measure next: 2 more load steps near it",),
            [3.5, 3.5],
        ),
        ("medians are known up to 3 only", ("a queue begins near 6/s: measure next a step there",), [6.0]),
        ("nothing of use", (), []),
    ],
)  # fmt: skip
def test_the_load_step_that_a_refusal_names_is_the_one_that_is_measured(text, notes, rates):
    model = replace(step_model(a=0.01), notes=notes)
    assert list(named_rates(text, model, SWEEP)) == pytest.approx(rates)


def test_the_table_counts_refusals_that_were_right_and_those_that_ended():
    found = [
        Refusal(1, "too light", False, 1, True, True),
        Refusal(2, "too light", True, 3, False, False),
        Refusal(3, "apart", False, 1, True, False),
    ]
    text = table(found)
    assert "| too light | 2 | 1 | 1 | 1 |" in text
    assert "| all | 3 | 1 | 2 | 1 |" in text
