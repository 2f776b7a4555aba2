"""Charges of plans and runs as FOCUS 1.2, and a bill beside a plan."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml

from capacity.plan import PlanError
from dashboards.focus.actuals import ActualsError, beside
from dashboards.focus.columns import period_columns
from dashboards.focus.plan_charges import plan_charges
from dashboards.focus.run_charges import run_charges
from dashboards.focus.sheet import COLUMNS, export_focus, focus_csv
from facts import reader
from loadgen.run_info import RecordError
from tests.dashboards.plans import INTERACTIONS, REGIONS, USES, make_plan
from tests.dashboards.records import make_run

SCHEMA = yaml.safe_load(Path(__file__).with_name("focus-1.2.schema.yaml").read_text())
NUMBERS = {
    name for name, kind in SCHEMA["properties"].items()
    if "number" in str(kind) or kind == {"$ref": "#/$defs/amount"}
}  # fmt: skip


def cells(path: Path) -> list[dict]:
    """Rows read back: an empty cell is null, a column of numbers holds numbers."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        {name: None if cell == "" else float(cell) if name in NUMBERS else cell for name, cell in row.items()}
        for row in rows
    ]


def assert_focus(path: Path) -> list[dict]:
    """Every row holds against the schema, and its costs are quantity times price."""
    rows = cells(path)
    for row in rows:
        jsonschema.Draft202012Validator(SCHEMA).validate(row)
        for cost, price in (("ContractedCost", "ContractedUnitPrice"), ("ListCost", "ListUnitPrice")):
            if row[price] is not None:
                assert row["PricingQuantity"] * row[price] == pytest.approx(row[cost], rel=1e-6, abs=1e-6)
        assert row["ChargePeriodStart"] < row["ChargePeriodEnd"]
        assert row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["BillingPeriodEnd"]
    return rows


def test_a_plans_charges_hold_against_focus_and_add_up_to_its_event(tmp_path):
    """Whatever the parts are: to the cent."""
    plan = make_plan()
    rows = assert_focus(export_focus(plan, tmp_path / "focus.csv"))
    assert sum(row["BilledCost"] for row in rows) == pytest.approx(plan.event_cost_usd.mid, abs=0.01)
    assert {row["x_RecordId"] for row in rows} == {plan.plan_id}
    assert all(float(row["x_CostLow"]) <= row["BilledCost"] <= float(row["x_CostHigh"]) for row in rows)


def test_a_class_of_tokens_is_priced_by_the_million():
    """nova-pro, output, us-east-1: 31 million interactions x 0.6 x 0.6 calls x 180 tokens at 3.2 USD."""
    share = REGIONS["us-east-1"] / sum(REGIONS.values())
    tokens = INTERACTIONS * share * USES["nova-pro"].calls * 180.0
    (row,) = [
        one for one in plan_charges(make_plan())
        if (one.x_Model, one.x_TokenClass, one.RegionId) == ("nova-pro", "output", "us-east-1")
    ]  # fmt: skip
    assert (row.ConsumedQuantity, row.ConsumedUnit) == (pytest.approx(tokens), "Tokens")
    assert row.BilledCost == pytest.approx(tokens / 1e6 * 3.2)
    assert (row.PricingUnit, row.SkuMeter) == ("1000000 Tokens", "output tokens")


def test_chips_are_chip_hours_and_a_reserved_block_is_a_purchase(tmp_path):
    """A trn2.48xlarge holds 16 chips; a Capacity Block is paid once, whatever it is used for."""
    plan = make_plan()
    chips = [one for one in plan_charges(plan) if one.x_InstanceType]
    assert all(one.ConsumedQuantity == pytest.approx(one.PricingQuantity * 16) for one in chips)
    assert {(one.ConsumedUnit, one.PricingUnit) for one in chips} == {("Chip-Hours", "Hours")}
    reserved = replace(plan, purchase=tuple(replace(one, price_kind="capacity block") for one in plan.purchase))
    rows = [row for row in assert_focus(export_focus(reserved, tmp_path / "f.csv")) if row["x_InstanceType"]]
    assert {(row["ChargeCategory"], row["ChargeFrequency"]) for row in rows} == {("Purchase", "One-Time")}


def test_what_a_part_costs_beyond_its_rows_is_one_row_of_its_own(tmp_path):
    """Long prompts and retries are in a part's total and in no class: the file says so, and still adds up."""
    plan = make_plan()
    parts = plan.event_cost_parts_usd | {"guardrails and web search": 700.0}
    parts["Bedrock tokens"] += 300.0
    event = replace(plan.event_cost_usd, mid=sum(parts.values()))
    more = replace(plan, event_cost_parts_usd=parts, event_cost_usd=event)
    rows = assert_focus(export_focus(more, tmp_path / "f.csv"))
    rest = {row["ChargeDescription"]: row["BilledCost"] for row in rows if row["ChargeCategory"] == "Adjustment"}
    assert rest == {
        "Bedrock tokens: beyond calls x tokens x price at the middle": pytest.approx(300.0),
        "guardrails and web search": pytest.approx(700.0),
    }
    assert sum(row["BilledCost"] for row in rows) == pytest.approx(event.mid, abs=0.01)


def test_an_older_plan_without_a_date_is_refused():
    plan = make_plan()
    with pytest.raises(PlanError, match="does not say when its event starts"):
        plan_charges(replace(plan, scenario=replace(plan.scenario, start=None)))


def test_a_runs_charges_are_its_tokens_and_what_its_calls_cost(tmp_path):
    """By model, region and class; the emulator's are marked simulated."""
    run = make_run(tmp_path / "run", 200)
    rows = assert_focus(export_focus(run, tmp_path / "focus.csv"))
    assert sum(row["BilledCost"] for row in rows) == pytest.approx(run.calls["cost_usd"].sum(), abs=1e-6)
    output = sum(row["ConsumedQuantity"] for row in rows if row["x_TokenClass"] == "output")
    assert output == run.calls["output_tokens"].sum()
    assert {row["x_Simulated"] for row in rows} <= {"true", "false"}


def test_a_model_without_a_price_has_tokens_and_says_that_it_is_not_priced(tmp_path):
    rows = run_charges(make_run(tmp_path / "run", 200))
    priced = {one.x_Model: one.x_Priced for one in rows if one.ChargeCategory == "Usage"}
    known = {key: model.prices is not None for key, model in reader.models().items()}
    assert priced == {model: known[model] for model in priced}
    assert all(one.BilledCost == 0 for one in rows if not one.x_Priced)


def test_a_run_that_was_cut_off_is_no_bill(tmp_path):
    with pytest.raises(RecordError, match="cut off"):
        run_charges(make_run(tmp_path / "run", 20, finished=False))


def test_the_columns_are_focus_own_in_its_order_and_then_ours():
    """Ours begin with x_, as FOCUS asks of columns that it does not define."""
    theirs = [name for name in COLUMNS if not name.startswith("x_")]
    assert theirs == sorted(theirs) == sorted(SCHEMA["properties"])
    assert all(re.fullmatch(r"x_[A-Z][A-Za-z]+", name) for name in COLUMNS[len(theirs) :])


def test_a_billing_period_is_the_month_of_the_start_in_utc():
    """An evening of the last day in New York is the first day of the next month."""
    from datetime import datetime, timedelta

    start = datetime.fromisoformat("2026-12-31T20:00:00-05:00")
    found = period_columns(start, start + timedelta(hours=2))
    assert (found["BillingPeriodStart"], found["BillingPeriodEnd"]) == ("2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z")
    assert (found["ChargePeriodStart"], found["ChargePeriodEnd"]) == ("2027-01-01T01:00:00Z", "2027-01-01T03:00:00Z")


# --- the bill beside the plan -----------------------------------------------------------------------------------------


def bill(path: Path, *rows: dict[str, str]) -> Path:
    """A bill as AWS exports it, cut to what is read."""
    names = ["ServiceName", "ChargePeriodStart", "ChargePeriodEnd", "BillingCurrency", "EffectiveCost", "RegionId",
             "ChargeDescription", "SkuMeter", "x_UsageType"]  # fmt: skip
    base = {"BillingCurrency": "USD", "ChargePeriodStart": "2026-11-28T01:00:00Z",
            "ChargePeriodEnd": "2026-11-28T02:00:00Z"}  # fmt: skip
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(base | row for row in rows)
    return path


TOKENS = {"ServiceName": "Amazon Bedrock", "RegionId": "us-east-1", "EffectiveCost": "15000",
          "ChargeDescription": "Amazon Nova Pro output tokens in US East"}  # fmt: skip
CHIPS = {"ServiceName": "Amazon Elastic Compute Cloud", "RegionId": "us-east-1", "EffectiveCost": "90000",
         "x_UsageType": "BoxUsage:trn2.48xlarge"}  # fmt: skip


def test_what_was_billed_stands_beside_what_was_planned(tmp_path):
    """By region, model and instance type; outside its range is marked, and so is what nobody planned."""
    lambdas = {"ServiceName": "AWS Lambda", "RegionId": "us-east-1", "EffectiveCost": "12.5"}
    found = beside(make_plan(), bill(tmp_path / "bill.csv", TOKENS, TOKENS, CHIPS, lambdas))
    parts = {(part.what, part.region): part for part in found.parts}
    nova, chips = parts["nova-pro", "us-east-1"], parts["trn2.48xlarge", "us-east-1"]
    assert (nova.billed_usd, nova.inside) == (30_000.0, False)
    assert nova.planned_usd == pytest.approx(8035.2 + 5133.6 + 1071.36 + 6428.16)
    assert (chips.billed_usd, chips.inside) == (90_000.0, False)
    assert parts["all, not in the plan", "us-east-1"].billed_usd == 12.5
    assert found.total.billed_usd == 120_012.5
    assert found.total.planned_usd == pytest.approx(make_plan().event_cost_usd.mid)
    assert sum("outside" in line for line in found.lines()) >= 3


def test_a_row_counts_by_the_share_of_its_time_that_is_the_events(tmp_path):
    """A day's row of which the event's last hour is the first: a 24th of it. Another month's counts nothing."""
    day = {"ChargePeriodStart": "2026-11-29T00:00:00Z", "ChargePeriodEnd": "2026-11-30T00:00:00Z"}
    month = {"ChargePeriodStart": "2026-12-01T00:00:00Z", "ChargePeriodEnd": "2027-01-01T00:00:00Z"}
    found = beside(make_plan(), bill(tmp_path / "bill.csv", TOKENS | day, TOKENS | month))
    assert found.total.billed_usd == pytest.approx(15_000 / 24)
    assert (found.rows, found.counted, found.partly) == (2, 1, 1)


def test_a_plans_own_charges_are_a_bill_that_is_met_exactly(tmp_path):
    """There and back: every part is billed as it was planned."""
    plan = make_plan()
    (tmp_path / "own.csv").write_text(focus_csv(plan_charges(plan)))
    found = beside(plan, tmp_path / "own.csv")
    assert all(part.billed_usd == pytest.approx(part.planned_usd) for part in found.parts)
    assert all(part.inside for part in found.parts)


def test_a_file_that_is_no_bill_stops_a_plan_before_it_is_made(tmp_path, monkeypatch, capsys):
    """Exit code 2, one line, and no folder."""
    from peakday.cli import main

    monkeypatch.chdir(tmp_path)
    Path("bill.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit) as ended:
        main(["plan", "smoke", "--actuals", "bill.csv", "--out", "plans/one"])
    assert ended.value.code == 2
    assert "no FOCUS file" in capsys.readouterr().err
    assert not Path("plans").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "no FOCUS file: lacks ServiceName"),
        ("ServiceName,ChargePeriodStart,ChargePeriodEnd,BillingCurrency\n", "lacks EffectiveCost"),
    ],
)
def test_a_file_that_is_no_bill_is_one_line(tmp_path, text, words):
    (tmp_path / "bill.csv").write_text(text)
    with pytest.raises(ActualsError, match=words):
        beside(make_plan(), tmp_path / "bill.csv")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ({"BillingCurrency": "EUR"}, "line 2: billed in 'EUR'"),
        ({"EffectiveCost": "=1+1"}, "line 2: EffectiveCost: '=1\\+1' is no number"),
        ({"EffectiveCost": "nan"}, "line 2: EffectiveCost"),
        ({"ChargePeriodStart": "yesterday"}, "line 2: ChargePeriodStart"),
        ({"ChargePeriodStart": "2026-11-28T01:00:00"}, "line 2: ChargePeriodStart"),
    ],
)
def test_a_cell_that_cannot_be_read_names_its_line(tmp_path, cell, words):
    with pytest.raises(ActualsError, match=words):
        beside(make_plan(), bill(tmp_path / "bill.csv", TOKENS | cell))
