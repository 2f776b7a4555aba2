"""A model and a marketplace from YAML alone, all the way: a load run of the smoke event on them."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from host.yaml_text import dump_yaml
from loadgen.record import load_run

PACKAGES = (
    "assistant", "capacity", "dashboards", "emulator", "facts", "host", "loadgen", "neuron_bench", "peakday",
    "scenarios", "slo", "wire",
)  # fmt: skip
REGIONS = ("us-east-1", "us-west-2")
CANADA = {"share": 0.5, "time_zone": "America/Toronto", "locales": {"fr_CA": 1.0}}
SCENARIO = {
    "schema": "peakday.scenario/1",
    "extends": "smoke",
    "name": "canada",
    "models": ["new-claude", "nova-2-lite", "nova-pro", "claude-sonnet", "custom-8b", "planner"],
    "event": {"regions": dict.fromkeys(REGIONS, CANADA)},
    "assistant": {
        "policy": {
            "simple": "new-claude",
            "complex": "new-claude",
            "by_intent": dict.fromkeys(("web_lookup", "comparison/simple", "recommendation/simple"), "new-claude"),
        }
    },
}


def edited(path, change):
    """Change a YAML file in place."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(dump_yaml(raw), encoding="utf-8")


@pytest.mark.slow
def test_a_new_model_serves_the_smoke_event_in_a_new_marketplace(tmp_path):
    """In a copy of the packages three YAML files are edited: the model, how its stand-in behaves, and the scenario."""
    code = tmp_path / "code"
    for name in PACKAGES:
        shutil.copytree(Path(find_spec(name).origin).parent, code / name, ignore=shutil.ignore_patterns("__pycache__"))

    def add(raw):
        raw["models"]["new-claude"] = raw["models"]["claude-sonnet"] | {"model_id": "us.anthropic.new-v1:0"}
        raw["marketplaces"]["fr_CA"] = {
            "name": "Canada", "currency": "CAD", "regions": list(REGIONS), "language": "French",
        }  # fmt: skip

    edited(code / "facts" / "data" / "models.yaml", add)
    edited(
        code / "emulator" / "profiles.yaml",
        lambda raw: raw["models"].update({"new-claude": "claude-sonnet"}),
    )
    (tmp_path / "canada.yaml").write_text(json.dumps(SCENARIO))  # YAML without aliases, which are refused
    ended = subprocess.run(
        [sys.executable, "-m", "peakday", "run", "canada.yaml", "--rate", "2/s", "--for", "6s", "--out", "runs/one",
         "--json", "--quiet"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(code)}, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert ended.returncode in (0, 3), ended.stderr  # 3: this machine was too busy to vouch for times
    assert json.loads(ended.stdout)["totals"]["asked"] > 5
    run = load_run(tmp_path / "runs" / "one")
    answers = run.calls[run.calls["purpose"] == "answer"]
    assert set(run.turns["status"]) == {"ok"}
    assert set(answers["model"]) == {"new-claude"}
    assert (answers["cost_usd"] > 0).all()
