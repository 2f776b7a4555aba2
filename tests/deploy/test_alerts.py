"""Every alert fires where it should and stays silent where it should not, by promtool's own evaluation of the rules."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from loadgen.analysis.verdict import START_LAG_FLOOR_S, UNSENT_RATIO_MAX, start_lag_limit_s
from loadgen.coordinator.exporter import RunLabels, exposition
from slo.histogram import Histogram

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "prometheus" / "peakday.rules.yml"
RULES = [rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
PROMTOOL = shutil.which("promtool")
RUN = 'run_id="r"'
LOAD = 'instance="m:9646",process="load_run",job="peakday"'
TURNS = "assistant_turns_total{status="
BUSY = "gen_ai_client_operation_duration_seconds"

# what happens, the series of it at 5 s steps, and the alerts that fire after five minutes: no others may
CASES: list[tuple[str, dict[str, str], set[str]]] = [
    ("start lag 20 ms, TTFT p50 0.2 s", {f"peakday_start_lag_p99_seconds{{{RUN}}}": "0.02x80",
     f"peakday_start_lag_limit_seconds{{{RUN}}}": "0.01x80"}, {"GeneratorFellBehind"}),
    ("start lag 20 ms, TTFT p50 1 s", {f"peakday_start_lag_p99_seconds{{{RUN}}}": "0.02x80",
     f"peakday_start_lag_limit_seconds{{{RUN}}}": "0.05x80"}, set()),
    ("6 of 1,000 turns due not sent", {f"peakday_turns_unsent_total{{{RUN}}}": "6x80",
     f"peakday_turns_asked_total{{{RUN}}}": "994x80"}, {"TurnsUnsent"}),
    ("5 of 1,000 turns due not sent", {f"peakday_turns_unsent_total{{{RUN}}}": "5x80",
     f"peakday_turns_asked_total{{{RUN}}}": "995x80"}, set()),
    ("a worker is lost", {f"peakday_workers_lost{{{RUN}}}": "0x10 1x70"}, {"LoadWorkerLost"}),
    ("no worker is lost", {f"peakday_workers_lost{{{RUN}}}": "0x80"}, set()),
    ("every turn fails", {f"peakday_turns_asked_total{{{RUN}}}": "0+10x80",
     f'peakday_turns_failed_total{{{RUN},error_code="500"}}': "0+10x80"}, {"LoadTurnsFail"}),
    ("one turn in 200 fails", {f"peakday_turns_asked_total{{{RUN}}}": "0+200x80",
     f'peakday_turns_failed_total{{{RUN},error_code="500"}}': "0+1x80"}, set()),
    ("no turn failed yet", {f"peakday_turns_asked_total{{{RUN}}}": "0+200x80"}, set()),
    ("95% of the budget is spent", {f"peakday_cost_usd_total{{{RUN}}}": "95x80",
     f"peakday_budget_usd{{{RUN}}}": "100x80"}, {"BudgetNearlySpent"}),
    ("half of the budget is spent", {f"peakday_cost_usd_total{{{RUN}}}": "50x80",
     f"peakday_budget_usd{{{RUN}}}": "100x80"}, set()),
    ("no budget was named", {f"peakday_cost_usd_total{{{RUN}}}": "95x80"}, set()),
    ("the run is gone long before its end", {f"up{{{LOAD}}}": "1x52 0x20",
     f"peakday_run_remaining_seconds{{{RUN},{LOAD}}}": "900-5x52 _x20"}, {"LoadRunVanished"}),
    ("the run is over", {f"up{{{LOAD}}}": "1x52 0x20",
     f"peakday_run_remaining_seconds{{{RUN},{LOAD}}}": "0x52 _x20"}, set()),
    ("the emulator is late", {'peakday_emulator_late{instance="e"}': "1x80"}, {"EmulatorLate"}),
    ("the emulator is on time", {'peakday_emulator_late{instance="e"}': "0x80"}, set()),
    ("the assistant does not answer", {'up{job="peakday",process="assistant"}': "0x80"}, {"ProcessDown"}),
    ("the assistant answers", {'up{job="peakday",process="assistant"}': "1x80"}, set()),
    ("a turn in 20 fails in the assistant", {f'{TURNS}"ok"}}': "0+19x80", f'{TURNS}"error"}}': "0+1x80"},
     {"TurnsFail"}),
    ("a turn in 200 fails in the assistant", {f'{TURNS}"ok"}}': "0+199x80", f'{TURNS}"error"}}': "0+1x80"}, set()),
    ("calls are throttled", {'assistant_throttles_total{model="m"}': "0+1x80"}, {"ModelsThrottle"}),
    ("calls were throttled once", {'assistant_throttles_total{model="m"}': "7x80"}, set()),
    ("a fifth of the input is read from cache", {
     'gen_ai_client_token_usage_total{gen_ai_request_model="m",gen_ai_token_type="cache_read"}': "0+20x200",
     'gen_ai_client_token_usage_total{gen_ai_request_model="m",gen_ai_token_type="input"}': "0+80x200"},
     {"CacheStoppedHitting"}),
    ("half of the input is read from cache", {
     'gen_ai_client_token_usage_total{gen_ai_request_model="m",gen_ai_token_type="cache_read"}': "0+50x200",
     'gen_ai_client_token_usage_total{gen_ai_request_model="m",gen_ai_token_type="input"}': "0+50x200"}, set()),
    ("nine shared prefixes", {"assistant_cache_prefix_variants": "9x80"}, {"SharedPrefixSplit"}),
    ("two shared prefixes", {"assistant_cache_prefix_variants": "2x80"}, set()),
    ("routing takes half a second", {'assistant_route_duration_seconds_bucket{le="0.3"}': "0x80",
     'assistant_route_duration_seconds_bucket{le="0.5"}': "0+10x80",
     'assistant_route_duration_seconds_bucket{le="+Inf"}': "0+10x80"}, {"RouterOverBudget"}),
    ("routing takes a millisecond", {'assistant_route_duration_seconds_bucket{le="0.001"}': "0+10x80",
     'assistant_route_duration_seconds_bucket{le="+Inf"}': "0+10x80"}, set()),
    ("KV blocks are full", {'vllm:kv_cache_usage_perc{model_name="m"}': "0.97x80"}, {"KvCacheNearlyFull"}),
    ("KV blocks are half full", {'vllm:kv_cache_usage_perc{model_name="m"}': "0.5x80"}, set()),
    ("demand is 95% of the plan's p90", {"assistant_interactions_total": "0+95x80",
     'peakday_plan_peak_interactions_per_s{level="p90"}': "20x80"}, {"DemandNearsThePlan"}),
    ("demand is half of the plan's p90", {"assistant_interactions_total": "0+50x80",
     'peakday_plan_peak_interactions_per_s{level="p90"}': "20x80"}, set()),
]  # fmt: skip


def promtool_case(what: str, series: dict[str, str], fires: set[str]) -> dict:
    """One test of promtool: which alerts fire at the end, each once."""
    end = "13m" if any("x200" in values for values in series.values()) else "5m"
    return {
        "name": what,
        "interval": "5s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": end,
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(fires)],
            }
        ],
    }


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    fired = set().union(*(fires for _, _, fires in CASES))
    assert fired == set(ALERTS)
    assert sum(not fires for _, _, fires in CASES) >= len(ALERTS)


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool here: apt-get install prometheus")
def test_alerts_fire_in_their_cases_and_in_no_other(tmp_path):
    """100% failed turns, a lost worker, a late generator, a spent budget, a silent process: each, and its calm twin."""
    file = tmp_path / "alerts.yaml"
    cases = [promtool_case(*case) for case in CASES]
    file.write_text(yaml.safe_dump({"rule_files": [str(FILE)], "evaluation_interval": "5s", "tests": cases}))
    done = subprocess.run([PROMTOOL, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_gate_has_promtool():
    """A case that is skipped in the gate proves nothing: $PEAKDAY_NEEDS_PROMTOOL makes absence a failure."""
    assert PROMTOOL or not os.environ.get("PEAKDAY_NEEDS_PROMTOOL")


@pytest.mark.parametrize("ttft_s", [None, 0.04, 0.6, 2.0])
def test_the_generators_limit_is_the_verdicts_own(ttft_s):
    """The alert compares two series of the master; its limit is what the verdict takes, over the same histogram."""
    made = Histogram()
    if ttft_s is not None:
        made.add_one(ttft_s, 100)
    live = {"counters": {}, "errors": {}, "in_flight": 0}
    page = exposition(live, {"ttft_s": made}, RunLabels("r", "s", True, 1, 60.0)).decode()
    limit_s = float(re.search(r"^peakday_start_lag_limit_seconds\{.*\} (.+)$", page, flags=re.MULTILINE)[1])
    assert limit_s == start_lag_limit_s(made.quantile(0.5))
    assert limit_s >= START_LAG_FLOOR_S
    assert ALERTS["GeneratorFellBehind"]["expr"] == "peakday_start_lag_p99_seconds > peakday_start_lag_limit_seconds"


def test_the_limit_of_unsent_turns_is_the_verdicts_own():
    assert ALERTS["TurnsUnsent"]["expr"].endswith(f"> {UNSENT_RATIO_MAX}")


def test_every_alert_links_to_its_own_heading():
    """The page and the heading are there, in the form that a browser's link takes."""
    headings = {line[3:].strip().lower() for line in (ROOT / "docs/alerts.md").read_text().splitlines()
                if line.startswith("## ")}  # fmt: skip
    for name, rule in ALERTS.items():
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert (page, anchor) == ("docs/alerts.md", name.lower())
        assert anchor in headings, name
