"""Alerts made from a plan: they fire where `watch` says so, and nowhere else, by promtool's own evaluation."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from peakday.watch.alerts import plan_alerts
from peakday.watch.planned import planned
from tests.dashboards.plans import make_plan
from tests.deploy.test_alerts import FILE, PROMTOOL

PLAN = make_plan(simulated=False)
CLAUDE = 'gen_ai_request_model="claude-sonnet"'
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool here: apt-get install prometheus")


def minute(calls: float, *, prompt: float = 3_940.0, read: float = 0.71, answer: float = 240.0) -> dict[str, str]:
    """Counters of claude-sonnet that grow by so many calls a minute, of the plan's own mean call."""
    steps = {
        f"gen_ai_client_operation_duration_seconds_count{{{CLAUDE}}}": calls,
        **{
            f'gen_ai_client_token_usage_total{{{CLAUDE},gen_ai_token_type="{kind}"}}': calls * tokens
            for kind, tokens in (
                ("input", prompt * (1 - read)), ("cache_read", prompt * read), ("output", answer),
            )
        },
    }  # fmt: skip
    return {name: f"0+{step / 12:.6f}x240" for name, step in steps.items()}  # a sample each 5 s, for 20 minutes


def both(plan_rules: str, folder: Path, cases: list[tuple[dict[str, str], set[tuple[str, str]]]]) -> None:
    """Each case's alerts after 19 minutes, as pairs of name and what it is about."""
    (folder / "plan.yml").write_text(plan_rules)
    tests = [
        {
            "interval": "5s",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": 'count by (alertname, about) (label_join(ALERTS{alertstate="firing",alertname=~"Plan.*"}, '
                    '"about", "", "assumption", "limit"))',
                    "eval_time": "19m",
                    "exp_samples": [
                        {"labels": f'{{alertname="{name}",about="{about}"}}' if about else f'{{alertname="{name}"}}',
                         "value": 1}
                        for name, about in sorted(fires)
                    ],
                }
            ],
        }
        for series, fires in cases
    ]  # fmt: skip
    file = folder / "cases.yml"
    rules = [str(FILE), "plan.yml"]
    file.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": "15s", "tests": tests}))
    done = subprocess.run([str(PROMTOOL), "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def granted(rpm: float):
    """The plan with so many requests a minute granted to claude-sonnet in every region, and no other limit."""
    return replace(
        PLAN,
        supplies=tuple(
            replace(s, quotas=tuple(replace(q, granted=rpm if q.kind == "rpm" else None) for q in s.quotas))
            if s.model == "claude-sonnet"
            else s
            for s in PLAN.supplies
        ),
    )


@needs_promtool
def test_an_event_as_planned_is_silent_and_each_departure_is_named(tmp_path):
    """claude-sonnet has 700 x 0.4 x 60 = 16,800 calls a minute at the median peak of both regions, p95 25,200."""
    expected = planned(PLAN, ("claude-sonnet", ""), None)
    assert expected is not None
    assert expected.calls_per_min["p95"] == pytest.approx(25_200)
    rules = plan_alerts(granted(50_000.0), None)  # in each of two regions
    both(rules, tmp_path, [
        (minute(16_000), set()),
        (minute(26_000), {("PlanDemandAbove", "")}),
        (minute(16_000, answer=400.0), {("PlanAssumptionLeft", "answer tokens per call")}),
        (minute(16_000, prompt=9_000.0), {("PlanAssumptionLeft", "prompt tokens per call")}),
        (minute(16_000, read=0.3), {("PlanAssumptionLeft", "cache hit ratio")}),
        ({}, set()),
    ])  # fmt: skip


@needs_promtool
def test_a_limit_that_is_used_up_and_one_that_fills_within_half_an_hour_are_told_apart(tmp_path):
    """Of 2 x 8,000 requests a minute 16,000 are all; 300 more each minute from 6,000 on pass them after 33 minutes."""
    rising = {
        name: " ".join(f"{sum((6_000 + 25 * i) / 12 * part for i in range(n)):.1f}" for n in range(241))
        for name, part in {
            f"gen_ai_client_operation_duration_seconds_count{{{CLAUDE}}}": 1.0,
            f'gen_ai_client_token_usage_total{{{CLAUDE},gen_ai_token_type="input"}}': 3_940 * 0.29,
            f'gen_ai_client_token_usage_total{{{CLAUDE},gen_ai_token_type="cache_read"}}': 3_940 * 0.71,
            f'gen_ai_client_token_usage_total{{{CLAUDE},gen_ai_token_type="output"}}': 240.0,
        }.items()
    }
    both(plan_alerts(granted(8_000.0), None), tmp_path, [
        (minute(16_500), {("PlanLimitExceeded", "rpm")}),
        (minute(12_000), set()),
        (rising, {("PlanLimitFills", "rpm")}),
    ])  # fmt: skip


@needs_promtool
def test_with_its_first_moment_the_band_is_that_of_the_hour(tmp_path):
    """promtool's time begins at 1970: the event's first hour has three tenths of the peak's 25,200, and a little."""
    in_first_hour = plan_alerts(granted(50_000.0), datetime.fromtimestamp(0, UTC))
    both(in_first_hour, tmp_path, [(minute(16_000), {("PlanDemandAbove", "")}), (minute(7_000), set())])
    long_over = plan_alerts(granted(50_000.0), datetime.fromtimestamp(-10 * 86_400, UTC))
    both(long_over, tmp_path, [(minute(90_000), set())])


def test_a_foreign_plan_writes_no_template_action_and_no_second_label():
    """Braces and quotes of a model's name are text."""
    name = '{{ printf "x" }}",a="b'
    strange = replace(PLAN, supplies=tuple(replace(s, model=name) for s in PLAN.supplies), hit_rates=())
    rules = yaml.safe_load(plan_alerts(strange, None))["groups"][0]["rules"]
    summaries = [rule["annotations"]["summary"] for rule in rules if "alert" in rule]
    assert summaries
    assert all("{{ printf" not in text for text in summaries)
    assert all('"b' not in rule["expr"].replace('\\"', "") or "a=\\" in rule["expr"] for rule in rules)


def test_every_alert_of_a_plan_has_its_heading():
    headings = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
    rules = yaml.safe_load(plan_alerts(PLAN, None))["groups"][0]["rules"]
    names = {rule["alert"] for rule in rules if "alert" in rule}
    assert names == {"PlanDemandAbove", "PlanAssumptionLeft", "PlanLimitExceeded", "PlanLimitFills"}
    assert all(f"## {name}\n" in headings for name in names)
    assert shutil.which("promtool") is None or PROMTOOL is not None
