"""What can be booked: a plan that needs more says so, with the next best."""

from __future__ import annotations

from dataclasses import replace

import pytest

from capacity.fleet.bookable import in_block, next_best, supply_findings
from capacity.rows.figures import Levels
from facts.reader import instances
from facts.supply import supply_limits
from tests.dashboards.plans import make_plan


@pytest.fixture(scope="module")
def plan():
    return make_plan()


def with_options(plan, *options):
    """The plan with one supply, in us-east-2, of these options."""
    supply = next(s for s in plan.supplies if s.chosen)
    return replace(plan, supplies=(replace(supply, region="us-east-2", options=options),))


def option(plan, instance, price_kind, count, usd, rejected=None):
    chosen = next(s.chosen for s in plan.supplies if s.chosen)
    return replace(
        chosen, instance_type=instance, price_kind=price_kind, instances=Levels(count, count, count),
        event_usd=usd, billed_hours=48.0, rejected=rejected,
    )  # fmt: skip


def test_more_than_can_be_booked_names_the_next_best(plan):
    """300 in Capacity Blocks are more than the 256 that AWS books at one time; what comes next is priced."""
    block = option(plan, "trn2.48xlarge", "capacity block", 300, 1_000.0)
    dear = option(plan, "inf2.48xlarge", "on demand", 900, 9_000.0, "dearer")
    dearer = option(plan, "trn1.32xlarge", "on demand", 900, 9_500.0, "dearer")
    [line] = supply_findings(with_options(plan, block, dear, dearer))
    assert "300 x trn2.48xlarge in Capacity Blocks at one time, at most 256 can be booked" in line
    assert "900 x inf2.48xlarge (on demand), 9,000 USD in place of 1,000" in line
    assert "docs.aws.amazon.com" in line


def test_what_fits_is_silent(plan):
    """256 in their region break nothing; nor do thousands bought by the hour."""
    assert not supply_findings(with_options(plan, option(plan, "trn2.48xlarge", "capacity block", 256, 1.0)))
    assert not supply_findings(with_options(plan, option(plan, "inf2.48xlarge", "on demand", 9_000, 1.0)))


def test_a_region_without_blocks_is_said(plan):
    """trn2.48xlarge blocks were read for us-east-2 only."""
    moved = with_options(plan, option(plan, "trn2.48xlarge", "capacity block", 2, 1.0))
    moved = replace(moved, supplies=(replace(moved.supplies[0], region="us-west-2"),))
    [line] = supply_findings(moved)
    assert "in us-west-2: Capacity Blocks of it were offered in us-east-2 only" in line
    assert "nothing else compared serves" in line


def test_what_keeps_no_promise_is_no_next_best(plan):
    """An option that was sized to nothing serves nothing, however cheap."""
    idle = option(plan, "inf2.48xlarge", "on demand", 0, 0.0, "TTFT is kept at no load")
    supply = with_options(plan, option(plan, "trn2.48xlarge", "capacity block", 300, 1.0), idle).supplies[0]
    assert next_best(supply) is None


def test_an_own_price_of_a_block_is_still_a_block(plan):
    """Paying less does not make AWS sell trn2 by the hour."""
    assert in_block(option(plan, "trn2.48xlarge", "own price", 1, 1.0))
    assert not in_block(option(plan, "trn1.32xlarge", "own price", 1, 1.0))


def test_every_limit_is_of_a_known_instance_with_its_source():
    """Data, not constants: each row has where and when it was read."""
    for name, limit in supply_limits().items():
        assert name in instances()
        assert limit.source.startswith("https://")
        assert limit.source_date
