"""How much of the Reserved tier pays for itself, from a load-duration curve."""

import numpy as np
import pytest

from capacity.cost.reserved import LoadCurve, part_of
from capacity.plan import PlanError
from dashboards.numbers.decisions import decisions
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan

CURVE = LoadCurve(np.array([200_000.0, 600_000.0, 300_000.0]), np.array([60.0, 30.0, 30.0]))
USD = 3e-6
"""A token on demand."""


def test_a_step_is_bought_as_long_as_the_minutes_above_it_are_worth_its_price():
    """At 0.10 USD a thousand TPM needs 33.3 minutes above it: 60 at 300,000 or more, 30 at 600,000. By hand."""
    part = part_of(CURVE, USD, 0.10, 1, 100_000.0)
    assert part.tpm == 300_000
    assert part.usd == pytest.approx(30.0)
    assert part.replaced_usd == pytest.approx((200_000 * 60 + 300_000 * 60) * USD)
    assert part.overflow_ratio == pytest.approx(300_000 * 30 / CURVE.total)


def test_what_the_least_amount_may_cost_is_what_it_replaces():
    """100,000 a minute for two hours are 12M tokens, 36 USD: 0.36 a thousand and month, over three months 0.12."""
    assert part_of(CURVE, USD, None, 1, 100_000.0).breakeven_usd == pytest.approx(0.36)
    assert part_of(CURVE, USD, None, 3, 100_000.0).breakeven_usd == pytest.approx(0.12)
    assert part_of(CURVE, USD, 0.37, 1, 100_000.0).tpm == 0.0
    assert part_of(CURVE, USD, 0.35, 1, 100_000.0).tpm > 0.0


@pytest.mark.parametrize("price", [0.02, 0.05, 0.1, 0.2, 0.3])
def test_no_other_amount_saves_more(price):
    """Exhaustive over thousands of tokens a minute."""
    saved = [CURVE.replaced(tpm) * USD - tpm / 1_000 * price for tpm in np.arange(100_000, 700_000, 1_000)]
    part = part_of(CURVE, USD, price, 1, 100_000.0)
    assert part.replaced_usd - part.usd == pytest.approx(max(saved))


def test_a_plan_takes_the_users_price_and_says_what_it_replaces():
    """Without a price it says what the tier may cost at most, and nothing is bought."""
    bare = plan()
    assert all(not row.priced and row.input.tpm == 0 and row.input.breakeven_usd > 0 for row in bare.reserved)
    price = {"reserved": {"claude-sonnet": {"input_usd": 0.05, "output_usd": 0.5, "months": 1}}}
    priced = plan(prices=price)
    row = next(row for row in priced.reserved if (row.model, row.region) == ("claude-sonnet", "us-east-1"))
    assert row.input.tpm >= 100_000
    assert row.input.replaced_usd >= row.input.usd
    assert any(item.kind == "reserved" and "reserved in us-east-1" in item.sentence for item in decisions(priced))
    assert priced.event_cost_usd.mid == bare.event_cost_usd.mid


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"input_usd": 1}, "needs input_usd and output_usd"),
        ({"input_usd": 1, "output_usd": 1, "months": 2}, "months: 2"),
    ],
)
def test_a_wrong_price_is_refused(row, problem):
    with pytest.raises(PlanError, match=problem):
        plan(scenario(**SHORT), prices={"reserved": {"claude-sonnet": row}})
