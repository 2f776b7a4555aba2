"""The record plan.json: typed both ways, an older schema read under the new names, damage told in one line."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from capacity.plan import SCHEMA, PlanError, load_plan, write_plan

BEFORE = Path(__file__).parent / "data/plan-schema-1.json"


def changed(tmp_path, change):
    """A plan file of today's schema with one thing changed."""
    write_plan(load_plan(BEFORE), tmp_path)
    raw = json.loads((tmp_path / "plan.json").read_text())
    change(raw)
    (tmp_path / "plan.json").write_text(json.dumps(raw))
    return tmp_path


def test_a_plan_of_schema_1_is_read_under_todays_names():
    raw, plan = json.loads(BEFORE.read_text()), load_plan(BEFORE)
    assert plan.first_limit_exceeded == raw["what_breaks_first"]
    assert plan.fallback_chain[0].tier == "self-hosted chips"
    assert plan.inputs[-1].provenance == "expert_estimate"
    assert "self-hosted custom-8b us-east-1" in plan.event_cost_parts_usd
    assert [row.why for row in plan.rejected] == [row["why"] for row in raw["turned_down"]]
    assert [supply.chosen is None for supply in plan.supplies] == [True, False]


def test_every_number_of_schema_1_is_kept():
    def numbers(value):
        if isinstance(value, dict):
            return [n for item in value.values() for n in numbers(item)]
        if isinstance(value, (list, tuple)):
            return [n for item in value for n in numbers(item)]
        return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []

    before, after = numbers(json.loads(BEFORE.read_text())), numbers(asdict(load_plan(BEFORE)))
    assert set(before) <= set(after)


def test_what_is_read_is_what_was_written(tmp_path):
    plan = load_plan(BEFORE)
    assert load_plan(write_plan(plan, tmp_path)) == plan
    assert json.loads((tmp_path / "plan.json").read_text())["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: raw["supplies"][0].update(extra=1), "supplies.0.extra"),
        (lambda raw: raw["cost"][0]["per_turn_usd"].pop("mid"), "cost.0.per_turn_usd.mid"),
        (lambda raw: raw.update(schema="peakday.plan/9"), "not a peakday.plan/2"),
        (lambda raw: raw["rules"].update(zones="three"), "rules.zones"),
    ],
)
def test_a_damaged_record_is_refused_with_its_place(tmp_path, change, says):
    with pytest.raises(PlanError, match=says):
        load_plan(changed(tmp_path, change))
