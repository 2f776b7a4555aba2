"""From an account to an order: pull, dry run, plan and order sheet, each reading the files of the one before."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta

import pytest

from peakday.cli import main
from tests.peakday.account.answers import PRO_RPM, PRO_TPM, SONNET_TPM, quota, traffic

TIGHT_RPM = {**PRO_RPM, "Value": 2.0}
LITE_TPM = quota("L-00000004", "Cross-region model inference tokens per minute for Amazon Nova 2 Lite", 1e9)
LITE_RPM = quota("L-00000005", "Cross-region model inference requests per minute for Amazon Nova 2 Lite", 1e6)


def peakday(capsys, *words):
    """Run one command in this process; its exit code and what it printed."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    return said.out


def recent(points):
    """The same traffic, an hour ago by the real clock."""
    now = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
    return {
        key: [(now + timedelta(minutes=place), value) for place, (_, value) in enumerate(values)]
        for key, values in points.items()
    }


@pytest.fixture
def order(account, tmp_path, monkeypatch, capsys):
    """Everything the four commands left, on stubbed answers of AWS."""
    monkeypatch.chdir(tmp_path)
    account.prepare_quotas(bedrock=(PRO_TPM, TIGHT_RPM, SONNET_TPM, LITE_TPM, LITE_RPM))
    account.prepare_prices()
    account.prepare_usage(recent(traffic()))
    pull = ("--region", "us-east-1", "--last", "3h", "--instance", "trn1.32xlarge", "--out", "aws/now")
    peakday(capsys, "aws", "pull", *pull, "--live", "--yes", "-q")
    told = peakday(capsys, "run", "smoke", "--dry-run")
    usage = ("--usage", "aws/now/usage.csv")
    peakday(capsys, "plan", "smoke", *usage, "--for-order", "--out", "planned", "-q")
    with (tmp_path / "planned/order.csv").open() as file:
        return told, json.loads((tmp_path / "planned/plan.json").read_text()), list(csv.DictReader(file))


def test_pull_dry_run_plan_and_order_sheet(order):
    """What is held throttles the dry run, bounds the plan, and is on the order sheet with its code; usage is the
    evidence of the tokens; counts and dollars of the sheet are the plan's."""
    told, plan, lines = order
    assert "nova-pro in us-east-1" in told
    assert "2 held; throttles from 0:00 h into the run" in told
    pro = next(s for s in plan["supplies"] if (s["model"], s["region"]) == ("nova-pro", "us-east-1"))
    rpm = next(need for need in pro["quotas"] if need["kind"] == "rpm")
    assert rpm["granted"] == 2.0
    assert "L-00000002" in rpm["source"]
    asked = next(line for line in lines if line["quota_code"] == "L-00000002")
    assert (asked["held"], asked["model_id"], asked["region"]) == ("2", "us.amazon.nova-pro-v1:0", "us-east-1")
    assert float(asked["asked"]) >= rpm["needed_settlement"]["p90"]
    assert float(asked["rpm_peak_p90"]) == pytest.approx(rpm["needed_settlement"]["p90"])
    assert asked["run"].startswith("usage usage.csv: CloudWatch us-east-1")
    assert asked["growth_ratio"]
    chips = [line for line in lines if line["line"] == "chips"]
    for key, column in (("instances", "count"), ("usd", "usd_net"), ("usd_list", "usd_list")):
        total = sum(row[key] for row in plan["purchase"])
        assert sum(float(line[column]) for line in chips) == pytest.approx(total, abs=1e-3)
    assert chips
    assert lines[0]["line"] == "verdict"
    for line in lines[1:]:
        assert line["run"]
        assert line["price_row"] or line["quota_name"].startswith("Running")
    assert all("step model" in line["bench"] and "facts/data/instances.csv" in line["price_row"] for line in chips)
