"""Names, rules and dashboards against what our processes really publish, and against a real Prometheus."""

from __future__ import annotations

import asyncio
import filecmp
import json
import math
import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from assistant.metrics import Metrics
from dashboards.exports import export_grafana, export_prometheus
from dashboards.numbers.plan import plan_numbers
from dashboards.numbers.run import run_numbers
from dashboards.prometheus.exposition import plan_rules, run_exposition
from dashboards.prometheus.grafana import dashboard_json, dashboards
from emulator.app import App as EmulatorApp
from emulator.metrics import metrics_text
from facts.stack import StackFile
from host.ports import free_port
from loadgen.coordinator.exporter import RunLabels, exposition
from tests.dashboards.plans import make_plan
from tests.dashboards.prometheus_server import PROMETHEUS, PROMTOOL, prometheus

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "deploy/prometheus/peakday.rules.yml").read_text())
RECORDED = {rule["record"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
ALERTS = {rule["alert"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
_KEYWORDS = {
    "sum", "rate", "by", "le", "or", "and", "on", "vector", "scalar", "max", "last_over_time", "histogram_quantile",
}  # fmt: skip
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool here: apt-get install prometheus")

EXPRESSIONS = [
    (f"{dashboard.title}: {panel.title}", expression)
    for dashboard in dashboards()
    for row in dashboard.rows
    for panel in row
    for expression in panel.queries
]
"""Every expression of every dashboard, with the title it stands under."""


def names_in(expr):
    """Metric names that an expression reads: words that are no function, label, string or duration."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|(by|on) \([^)]*\)', " ", expr)
    return {word for word in re.findall(r"[a-zA-Z_][a-zA-Z0-9_:]*", bare) if word not in _KEYWORDS}


def published():
    """Names our processes publish, as Prometheus stores them."""
    live = {
        "counters": {},
        "errors": {"429": 1},
        "in_flight": 0,
        "health": {"0": {"cpu_ratio": 0.1, "heartbeat_late_s": 0.0}},
    }
    run = RunLabels("r", "smoke", True, 1, 60.0, budget_usd=1.0)
    pages = [exposition(live, {}, run).decode(), Metrics().text().decode(), emulator_page()]
    names = {
        "_".join(filter(None, (family.name, suffix)))
        for page in pages
        for family in text_string_to_metric_families(page)
        for suffix in _suffixes(family.type)
    }
    return names | {"up"} | {f"peakday_plan_{n.name}" for n in plan_numbers(make_plan())}


def emulator_page():
    """The emulator's page before its first request."""
    loop = asyncio.new_event_loop()
    try:
        app = EmulatorApp(StackFile(), loop)
        return metrics_text(app.emulator, app.watch, 0).decode()
    finally:
        loop.close()


@pytest.mark.parametrize("page", ["load run", "assistant", "models", "finished run"])
def test_every_series_has_help_and_type(page, request):
    """Of every server of ours, and of a finished run's file."""
    live = {"counters": {}, "errors": {"429": 1}, "in_flight": 0, "health": {}}
    text = {
        "load run": lambda: exposition(live, {}, RunLabels("r", "smoke", True, 1, 60.0)).decode(),
        "assistant": lambda: Metrics().text().decode(),
        "models": emulator_page,
        "finished run": lambda: run_exposition(request.getfixturevalue("run")),
    }[page]()
    about = {kind: set(re.findall(rf"^# {kind} (\S+) \S", text, flags=re.MULTILINE)) for kind in ("HELP", "TYPE")}
    samples = set(re.findall(r"^([a-zA-Z_:][\w:]*)[{ ]", re.sub(r"^#.*$", "", text, flags=re.MULTILINE), re.MULTILINE))
    assert samples
    assert about["HELP"] == about["TYPE"]
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in samples} <= about["TYPE"] | {
        re.sub(r"_(sum|count)$", "", name) for name in about["TYPE"]
    }


def _suffixes(kind):
    return {"counter": ("total",), "histogram": ("bucket", "sum", "count")}.get(kind, ("",))


def test_every_name_that_a_rule_or_dashboard_reads_is_published_or_recorded():
    known = published() | set(RECORDED)
    for where, expr in [*EXPRESSIONS, *RECORDED.items(), *ALERTS.items()]:
        assert names_in(expr) <= known, f"{where}: {names_in(expr) - known}"


def test_every_name_that_a_rule_or_dashboard_reads_is_documented():
    text = (ROOT / "docs/reports.md").read_text()
    told = {""}
    for name in re.findall(r"`([a-z_]+[a-z0-9_:]*(?:\{[a-z0-9_,]+\})?[a-z0-9_]*)", text):
        head, _, rest = name.partition("{")
        options, _, tail = rest.partition("}")
        told |= {head} | {head + option + tail for option in options.split(",")}
    read = {name for _, expr in [*EXPRESSIONS, *RECORDED.items(), *ALERTS.items()] for name in names_in(expr)}
    bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in read - set(RECORDED)}
    assert {name for name in bare if not name.startswith("peakday_plan_")} <= told


def test_the_committed_files_are_what_export_writes(tmp_path):
    for written, kept in ((tmp_path / "p", "deploy/prometheus"), (tmp_path / "g", "deploy/grafana")):
        paths = export_prometheus(written) if kept.endswith("prometheus") else export_grafana(written)
        for path in paths:
            assert filecmp.cmp(path, ROOT / kept / path.relative_to(written), shallow=False), path.name


def test_compose_mounts_what_is_there():
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    for service in services.values():
        for volume in service["volumes"]:
            assert (ROOT / "deploy" / volume.split(":")[0]).is_dir(), volume


@pytest.mark.parametrize("board", dashboards(), ids=lambda board: board.file)
def test_a_dashboard_is_what_grafana_imports(board):
    """Its JSON model, strictly, with no identity of its own: source and run are variables that the queries use."""
    schema = yaml.safe_load((ROOT / "tests/deploy/grafana-dashboard.schema.yaml").read_text())
    made = dashboard_json(board)
    jsonschema.Draft202012Validator(schema).validate(made)
    variables = {one["name"] for one in made["templating"]["list"]}
    assert variables == ({"datasource", "run"} if board.by_run else {"datasource"})
    exprs = [target["expr"] for panel in made["panels"] for target in panel["targets"]]
    assert all('{run_id=~"$run"}' in expr for expr in exprs) is board.by_run
    assert '"uid": "peakday' not in json.dumps(made)


@pytest.mark.parametrize("board", dashboards(), ids=lambda board: board.file)
def test_a_dashboards_panels_fill_its_width_and_never_overlap(board):
    panels = dashboard_json(board)["panels"]
    cells = [
        (x, y) for panel in panels for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])
    ]  # fmt: skip
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert all(panel["description"] and panel["targets"] for panel in panels)


@needs_promtool
def test_promtool_accepts_our_rules_and_a_plans(tmp_path):
    export_prometheus(tmp_path, [make_plan()])
    checked = subprocess.run(
        [PROMTOOL, "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count("rules found") == 2


@needs_promtool
def test_promtool_accepts_a_runs_exposition(run):
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=run_exposition(run), capture_output=True, text=True)
    problems = [line for line in checked.stderr.splitlines() if "should" not in line]
    assert problems == [], "only style hints on names that are also columns of the record"


def test_an_exposition_holds_every_printed_number_of_the_run(run):
    samples = {}
    for family in text_string_to_metric_families(run_exposition(run)):
        for sample in family.samples:
            extra = {k: v for k, v in sample.labels.items() if k not in ("run_id", "scenario", "simulated")}
            samples[sample.name, tuple(extra.items())] = sample.value
    for number in run_numbers(run):
        if number.value is not None and not number.hidden:
            assert samples[f"peakday_run_{number.name}", number.labels] == number.value
    assert samples["peakday_run_valid", ()] == 1


def test_a_plans_rules_mark_what_was_simulated():
    rules = yaml.safe_load(plan_rules(make_plan(simulated=True)))["groups"][0]["rules"]
    marks = {rule["record"]: rule["labels"]["simulated"] for rule in rules}
    assert (marks["peakday_plan_chips"], marks["peakday_plan_peak_interactions_per_s"]) == ("true", "false")


@pytest.mark.slow
@pytest.mark.skipif(PROMETHEUS is None, reason="no Prometheus here: apt-get install prometheus")
def test_every_expression_returns_data_on_a_real_run(tmp_path, monkeypatch):
    """A load run on the local stack, throttled for a while, scraped by a real Prometheus."""
    from loadgen.run import run_load
    from peakday.run.load import LoadOptions, load_of, make_job, on_stack
    from peakday.stack.local import local_stack
    from peakday.stack.resolved import resolve

    monkeypatch.chdir(tmp_path)
    fault = 'faults=[{"kind": "throttle", "at_s": 8, "length_s": 10, "ratio": 0.5}]'
    resolved = resolve("smoke", [fault], 1)
    config = tmp_path / "prometheus"
    export_prometheus(config, [make_plan()])
    options = LoadOptions(rate_per_s=3.0, for_s=40.0, budget_usd=1000.0, out=tmp_path / "run")
    with local_stack(resolved.scenario, resolved.world, resolved.scenario_hash, seed=1) as stack:
        port = free_port()
        targets = {
            "load_run": f"127.0.0.1:{port}",
            "assistant": stack.endpoints["assistant"].removeprefix("http://"),
            "models": stack.endpoints["bedrock"].removeprefix("http://"),
        }
        with prometheus(config, targets) as server:
            run_load(
                replace(make_job(load_of(resolved, options), options, on_stack(stack)), metrics_port=port),
                None,
            )
            ended_s = time.time()
            asked = [(where, expr.replace("$run", ".+")) for where, expr in [*EXPRESSIONS, *RECORDED.items()]]
            asked += [(name, re.sub(r" (==|[<>]) [a-z0-9_.]+", "", expr)) for name, expr in ALERTS.items()]
            found = {where + expr: _ever(server, expr, ended_s) for where, expr in asked}
    assert [where for where, values in found.items() if not values] == []
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "finished"


def _ever(server, expr, ended_s):
    """Finite values in the last 30 s before the run ended."""
    values = [value for back_s in (3, 10, 20, 30) for value in server.values(expr, ended_s - back_s)]
    return [value for value in values if math.isfinite(value)]


def test_provisioning_names_what_the_dashboards_and_compose_expect():
    """Grafana's own files: the source that panels ask, at the address compose gives it; the folder compose mounts."""
    provisioning = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/peakday.yaml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/peakday.yaml").read_text())["providers"]
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services
    folder = provider["options"]["path"]
    assert any(mount.split(":")[1] == folder for mount in services["grafana"]["volumes"])
    files = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
    assert len(files) == 4
    assert "uid" not in source, "the dashboards take any Prometheus, by their variable"
