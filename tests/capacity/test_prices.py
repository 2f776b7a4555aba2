"""How old a price may be, and whose."""

import pytest

from capacity.cost.prices import AS_GIVEN, load_prices, stale_warning
from tests.capacity.models import llama_8b
from tests.capacity.scenario_of import scenario
from tests.capacity.test_plan_small import SHORT, plan

NOW = "2026-11-23T12:00:00Z"


@pytest.mark.parametrize(("read", "old"), [("2026-08-25", False), ("2026-08-24", True)])
def test_a_price_is_old_after_ninety_days_and_not_on_the_ninetieth(read, old):
    told = stale_warning(read, NOW, "trn2")
    assert told == (
        "trn2: price of 2026-08-24 is 91 days old (over 90); read it again before ordering" if old else None
    )


def test_a_price_of_no_date_is_a_warning_but_for_the_users_own():
    assert stale_warning("", NOW, "trn2") == "trn2: price of unknown date; read it again before ordering"
    assert stale_warning(AS_GIVEN, NOW, "trn2") is None


def test_a_capacity_blocks_price_has_the_date_that_its_note_names():
    boxes = load_prices(None).instances
    assert boxes["trn2.3xlarge"].price_date == "2026-05-21"
    assert boxes["trn2.48xlarge"].price_date == "2026-10-08"  # read twice, last then
    assert boxes["inf2.48xlarge"].price_date == "2026-07-20"  # on demand
    assert boxes["trn2u.48xlarge"].price_date == ""  # no public price at all


def test_a_plan_on_a_capacity_block_says_once_how_old_its_price_is():
    own = {"custom-8b": {"chips": ["trainium2"]}}
    step = llama_8b(chip="trainium2", chips_per_replica=1.0)
    warned = [w for w in plan(scenario(**(SHORT | {"capacity__own": own})), step_models=[step]).warnings if "old" in w]
    assert warned == ["trn2.3xlarge: price of 2026-05-21 is 186 days old (over 90); read it again before ordering"]
    mine = {"instances": {"trn2.3xlarge": {"usd_per_hour": 2.0}}}
    own_price = plan(scenario(**(SHORT | {"capacity__own": own})), step_models=[step], prices=mine)
    assert not [w for w in own_price.warnings if "price of" in w]


def test_own_token_prices_are_never_called_old():
    made = plan(prices={"tokens": {"claude-sonnet": {"input_usd_per_mtok": 2.0}}})
    assert not [w for w in made.warnings if "claude-sonnet" in w and "price of" in w]
