"""Your own prices: peakday.yaml over the file that it names."""

from __future__ import annotations

import pytest

from capacity.cost.prices import load_prices
from peakday.account.prices import PriceRow, prices_text
from peakday.config import Prices, load_config
from peakday.errors import CommandError
from peakday.plan.prices import own_prices


def pulled(tmp_path):
    """A prices.csv with one model and one instance."""
    token = PriceRow(
        "tokens", "us-east-1", "nova-pro", "input", 0.8, None, "Nova Pro", "1K tokens", 0.0008, "S1", "u", "d"
    )
    box = PriceRow("instance", "us-east-1", "", "", None, 20.0, "trn1.32xlarge", "Hrs", 20.0, "S2", "u", "d")
    (tmp_path / "prices.csv").write_text(prices_text([token, box]))


def test_a_discount_lowers_list_to_net():
    """A ratio by maker or instance family is taken off the list."""
    listed = load_prices(own_prices(Prices())).models["nova-pro"].prices
    net = load_prices(own_prices(Prices(discount_ratio={"amazon": 0.25}))).models["nova-pro"].prices
    assert net.input_usd_per_mtok == pytest.approx(0.75 * listed.input_usd_per_mtok)


def test_a_pulled_list_takes_the_discounts(tmp_path):
    """prices.csv holds list prices, so both families' ratios apply to it."""
    pulled(tmp_path)
    prices = Prices(file="prices.csv", discount_ratio={"amazon": 0.5, "trn1": 0.1})
    laid = own_prices(prices, tmp_path)
    assert laid["tokens"]["nova-pro"]["input_usd_per_mtok"] == pytest.approx(0.4)
    assert laid["instances"]["trn1.32xlarge"]["usd_per_hour"] == pytest.approx(18.0)
    assert load_prices(laid).own_usd_per_hour["trn1.32xlarge"] == pytest.approx(18.0)


def test_what_is_stated_wins_over_the_file(tmp_path):
    """A price in peakday.yaml is the last word; the file's other classes stay."""
    (tmp_path / "own.yaml").write_text("tokens: {nova-pro: {input_usd_per_mtok: 0.7, output_usd_per_mtok: 3.0}}\n")
    prices = Prices(file="own.yaml", tokens={"nova-pro": {"input_usd_per_mtok": 0.6}})
    laid = own_prices(prices, tmp_path)
    assert laid["tokens"]["nova-pro"] == {"input_usd_per_mtok": 0.6, "output_usd_per_mtok": 3.0}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("own.yaml", None, "is not there"),
        ("own.yaml", "tokens: 3\n", r"own\.yaml: tokens"),
        ("own.yaml", "[", r"own\.yaml: "),
        ("prices.csv", "a,b\n1,2\n", "no column kind"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path, name, text, says):
    """It names the file and what is wrong."""
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(CommandError, match=says) as caught:
        own_prices(Prices(file=name), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_discount_of_everything_is_refused(tmp_path):
    """A ratio is a share below one, not a percentage."""
    (tmp_path / "peakday.yaml").write_text("prices: {discount_ratio: {amazon: 10}}\n")
    with pytest.raises(CommandError, match=r"prices\.discount_ratio\.amazon"):
        load_config(tmp_path)
