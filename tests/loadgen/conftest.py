"""Jobs, plays and records for the tests of the load generator."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loadgen.job import LoadJob, TargetSpec
from loadgen.seal import VARIABLE
from scenarios.schema import Scenario

SCENARIO: dict[str, Any] = {
    "schema": "peakday.scenario/1",
    "name": "tiny",
    "event": {"start": "2026-07-08T00:00:00Z", "length_s": 60, "regions": {"us-east-1": {"share": 1.0}}},
    "demand": {"interactions": {"peak_per_s": 20}},
    "mix": {
        "intents": {"deals": {"weight": 1.0}},
        "turns_per_interaction": {"mean": 1.5, "max": 3},
        "think_s": {"median": 0.01, "cv": 0.3},
        "typing_s": {"median": 0.01, "cv": 0.3},
        "between_interactions_s": {"median": 0.1, "cv": 0.3},
        "patience_s": None,
        "customers": {"population": 50},
    },
    "load": {"drain_s": 30.0, "turn_timeout_s": 30.0},  # both end with the last answer; a machine can stand still
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A mapping with some keys replaced, also deep inside."""
    result = dict(base)
    for key, value in changes.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and result.get(key) else value
    return result


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    """What the master and the workers of a test share."""
    monkeypatch.setenv(VARIABLE, "a secret of the tests")
    return "a secret of the tests"


@pytest.fixture
def hourly(monkeypatch: pytest.MonkeyPatch) -> None:
    """For `ask_mapped`: whenever it looks at the clock an hour has gone by, on fast machines and slow ones."""
    hours = itertools.count(step=3600.0)
    for module in ("loadgen.targets.inspection", "loadgen.transport.exchange"):
        monkeypatch.setattr(f"{module}.time", SimpleNamespace(monotonic=lambda: next(hours)))


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., LoadJob]:
    """A short job: `make_job(target, scenario={...changes}, rate_per_s=…, …)`."""
    return make_job_in(tmp_path)


def make_job_in(folder: Path) -> Callable[..., LoadJob]:
    """The maker of short jobs whose files lie in a folder."""
    messages = [
        {
            "id": f"m{number}", "intent": "deals", "complexity": "complex" if number % 2 else "simple",
            "text": f"is there a deal on item {number}?", "page_product_id": None, "image": False, "follow_up": False,
            "confirm": False,
        }
        for number in range(8)
    ]  # fmt: skip
    path = folder / "messages.json"
    path.write_text(json.dumps({"schema": "peakday.messages/1", "messages": messages}))

    def make(*targets: TargetSpec, scenario: dict[str, Any] | None = None, **more: Any) -> LoadJob:
        resolved = Scenario.model_validate(merged(SCENARIO, scenario or {})).model_dump(mode="json", by_alias=True)
        fields: dict[str, Any] = {"rate_per_s": 40.0, "for_s": 0.5} if "window" not in more else {}
        fields |= {"run_dir": str(folder / "run"), "run_id": "run", "scenario_hash": "h", "seed": 3}
        fields |= {"peakday_version": version("peakday"), **more}
        return LoadJob(scenario=resolved, targets=targets, messages=str(path), **fields)

    return make
