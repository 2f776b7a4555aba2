"""plan.xlsx against capacity's own Python, recalculated by LibreOffice."""

from __future__ import annotations

import math
import shutil
import subprocess
from dataclasses import replace

import openpyxl
import pytest

from capacity.caching.hit_ratio import ttl_hit_ratio
from capacity.fleet.sizing import fleet
from capacity.quotas.quota import CallTokens, Granted, needs
from capacity.rows.figures import Levels
from dashboards.workbook.book import SpreadsheetError, write_xlsx
from facts.reader import instances
from neuron_bench.fit.published import step_models
from tests.dashboards.plans import INTERACTIONS, REGIONS, RULES, TOKEN_CLASSES, USES, make_plan

SOFFICE = shutil.which("soffice")
needs_libreoffice = pytest.mark.skipif(SOFFICE is None, reason="no LibreOffice here: apt-get install libreoffice-calc")

CHANGES = {
    "demand_scale": 1.37,
    "rate_at": -0.6,
    "zones": 4.0,
    "drain_ratio": 0.08,
    "retry_extra_attempts": 0.11,
    "hours__custom_8b__us_east_1": 61.0,
    "hours__custom_8b__us_west_2": 61.0,
    "calls_per_interaction__custom_8b__us_east_1": 2.45,
    "tokens__output__claude_sonnet": 333.0,
    "price__cache_read__nova_pro": 0.19,
    "hit_ratio__claude_sonnet": 0.5,
    "cache_ttl_s": 900.0,
}
COLUMNS = ("calls", "replicas", "instances", "chips", "usd_per_hour", "utilisation")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The workbook as written, and two copies recalculated by LibreOffice: untouched, and with ten inputs changed."""
    folder = tmp_path_factory.mktemp("xlsx")
    written = write_xlsx(make_plan(), folder / "plan.xlsx")
    for name, changes in (("same", {}), ("changed", CHANGES)):
        book = openpyxl.load_workbook(written)
        for key, value in changes.items():
            sheet, cell = book.defined_names[key].attr_text.split("!")
            book[sheet][cell.replace("$", "")] = value
        book.save(folder / f"{name}.xlsx")
    out = folder / "recalculated"
    if SOFFICE:
        command = [
            SOFFICE,
            f"-env:UserInstallation={(folder / 'profile').as_uri()}",
            "--headless",
            "--convert-to",
            "xlsx",
        ]
        same, changed = (str(folder / f"{name}.xlsx") for name in ("same", "changed"))
        subprocess.run([*command, "--outdir", str(out), same, changed], check=True, capture_output=True, timeout=900)
    return {"written": written, "same": out / "same.xlsx", "changed": out / "changed.xlsx"}


def read(path):
    return openpyxl.load_workbook(path, data_only=True)


def cells(book):
    """Every cell that holds a value: {(sheet, address): value}."""
    return {
        (sheet.title, cell.coordinate): cell.value for sheet in book for row in sheet.iter_rows() for cell in row
        if cell.value is not None
    }  # fmt: skip


def named(book, name):
    sheet, cell = book.defined_names[name].attr_text.split("!")
    return book[sheet][cell.replace("$", "")].value


def row_of(book, sheet, *key):
    """Values after the key of the row that begins with it."""
    for row in book[sheet].iter_rows(values_only=True):
        if row[: len(key)] == key:
            return row[len(key) :]
    raise KeyError(key)


def same(left, right):
    return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)


def test_every_sheet_a_planner_expects_is_there(files):
    wanted = [
        "Inputs",
        "Traffic",
        "Cache",
        "Model",
        "Chips",
        "Quota",
        "Cost",
        "Purchase",
        "Order",
        "Checks",
        "Provenance",
    ]
    assert read(files["written"]).sheetnames == wanted


def test_inputs_are_named_validated_and_sourced(files):
    book = openpyxl.load_workbook(files["written"])
    sheet = book["Inputs"]
    typed = [
        row for row in sheet.iter_rows(min_row=4) if isinstance(row[1].value, (int, float)) and row[3].value is not None
    ]
    assert len(typed) >= 40
    assert len(sheet.data_validations.dataValidation) == len(typed)
    assert all(row[6].value and row[7].value for row in typed), "an input without provenance or source"


def test_no_formula_is_broken_and_none_has_an_empty_cache(files):
    formulas, values = openpyxl.load_workbook(files["written"]), cells(read(files["written"]))
    live = [(key, cell) for key, cell in cells(formulas).items() if isinstance(cell, str) and cell.startswith("=")]
    assert len(live) >= 150
    assert not [key for key, text in live if "#REF" in text or values.get(key) is None]


@needs_libreoffice
def test_the_cached_values_are_what_libreoffice_calculates(files):
    """A reader that never recalculates sees the same numbers."""
    ours, theirs = cells(read(files["written"])), cells(read(files["same"]))
    for key, value in ours.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            assert theirs[key] == value, key
        else:
            assert same(theirs[key], value), key


@needs_libreoffice
@pytest.mark.parametrize("which", ["same", "changed"])
def test_every_check_reads_true(files, which):
    book = read(files[which])
    checks = [row for row in book["Checks"].iter_rows(min_row=5, values_only=True) if row[0]]
    assert len(checks) >= 15
    assert [row for row in checks if row[1] is not True] == []
    assert named(book, "all_checks") is True


@needs_libreoffice
def test_changed_inputs_give_the_chips_that_capacity_gives(files):
    book = read(files["changed"])
    rules = RULES.model_copy(update={"zones": 4, "drain_ratio": 0.08, "retry_extra_attempts": 0.11})
    step, box = step_models()["meta-llama/Llama-3.1-8B-Instruct", "trainium2"], instances()["trn2.48xlarge"]
    rate = 2.3 + 0.6 * (2.3 * 0.75 - 2.3)
    for region, calls in (("us-east-1", 2.45), ("us-west-2", 2.0)):
        load = REGIONS[region] * 1.35 * 1.37 * calls
        size = fleet(load, rate, step, box, rules)
        found = dict(
            zip(COLUMNS, row_of(book, "Chips", "custom-8b", region, "trainium2", "trn2.48xlarge", "p90"), strict=True)
        )
        assert same(found["calls"], load)
        assert (found["replicas"], found["instances"], found["chips"]) == (size.replicas, size.instances, size.chips)
        assert same(found["usd_per_hour"], size.instances * 35.7608)


@needs_libreoffice
def test_changed_inputs_give_the_quota_that_capacity_gives(files):
    book, plan = read(files["changed"]), make_plan()
    place, use = plan.demand[0], USES["nova-pro"]
    calls = Levels(*(peak * use.calls * 1.37 for peak in place.peak_interactions_per_s.by_name.values()))
    tokens = CallTokens(4_344, 1_200)
    need = next(n for n in needs(calls, calls, tokens, Granted(None, 8e5, None, ""), place) if n.kind == "tpm")
    for level in ("p50", "p90", "p95"):
        settled, reserved, granted, share, enough, *_ = row_of(book, "Quota", "nova-pro", "us-east-1", "tpm", level)
        assert same(settled, getattr(need.needed_settlement, level))
        assert same(reserved, getattr(need.needed_reservation, level))
        assert (granted, enough) == (8e5, False)
        assert same(share, reserved / 8e5)


@needs_libreoffice
def test_changed_inputs_give_the_cost_of_calls_times_tokens_times_price(files):
    book = read(files["changed"])
    uses = dict(USES)
    sonnet, nova = uses["claude-sonnet"], uses["nova-pro"]
    prompt, missed = sum(sonnet.tokens[:4]), sum(sonnet.tokens[:4]) - sonnet.tokens[1]
    at_half = [prompt / 2 if i == 1 else tokens * prompt / 2 / missed for i, tokens in enumerate(sonnet.tokens[:4])]
    uses["claude-sonnet"] = replace(sonnet, tokens=(*at_half, 333.0))
    uses["nova-pro"] = replace(nova, prices=(nova.prices[0], 0.19, *nova.prices[2:]))
    spent = {
        kind: sum(u.calls * u.tokens[i] * (u.prices[i] or 0) * 1e-6 for u in uses.values() if u.prices)
        for i, kind in enumerate(TOKEN_CLASSES)
    }
    found = row_of(book, "Cost", "all models")
    assert all(same(value, spent[kind]) for value, kind in zip(found, TOKEN_CLASSES, strict=False))
    tokens = row_of(book, "Cost", "Bedrock tokens, the event")[0]
    assert same(tokens, sum(spent.values()) * INTERACTIONS * 1.37)


@needs_libreoffice
def test_the_cost_of_an_intent_moves_with_its_parts(files):
    """Each part of an intent is its planned self times what that part became over all intents; the rest adds up."""
    book, plan = read(files["changed"]), make_plan()
    planned = {kind: sum(line.parts_usd.values()) for kind, line in ((line.intent, line) for line in plan.cost)}
    parts = list(plan.cost[0].parts_usd)
    moved = dict(zip(parts, row_of(book, "Cost", "all intents")[4:], strict=False))
    assert moved["output"] > 1
    for line in plan.cost:
        found = row_of(book, "Cost", line.intent)
        live = {part: usd * moved[part] for part, usd in line.parts_usd.items()}
        rest = line.per_interaction_usd.mid - planned[line.intent]
        assert same(found[0], sum(live.values()) + rest)
        assert all(same(cell, live[part]) for cell, part in zip(found[4:], parts, strict=False))


@needs_libreoffice
def test_changed_inputs_give_the_hit_rate_that_capacity_gives(files):
    hit = row_of(read(files["changed"]), "Cache", "as typed in Inputs")[1]
    assert same(hit, ttl_hit_ratio(0.02, 900.0))


@needs_libreoffice
def test_the_order_adds_up_to_the_fleets_of_the_event(files):
    book = read(files["changed"])
    fleets = [row_of(book, "Chips", "custom-8b", r, "trainium2", "trn2.48xlarge", "p90")[4] for r in REGIONS]
    assert same(row_of(book, "Order", "in all")[2], sum(fleets) * 61.0)


def test_a_plan_without_the_rules_of_its_chips_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(SpreadsheetError, match="plan again"):
        write_xlsx(replace(make_plan(), rules=None), tmp_path / "plan.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_simulated_cells_stand_out_by_their_style(files):
    sheet = openpyxl.load_workbook(files["written"])["Order"]
    row = next(row for row in sheet.iter_rows() if row[0].value == "trn2.48xlarge")
    assert row[2].fill.fgColor.rgb == "FFFDF1DC"
