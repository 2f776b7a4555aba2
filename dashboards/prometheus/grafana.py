"""Grafana dashboards as JSON, from a small builder: a dashboard is rows of panels, a panel is a title and queries.

No identity is fixed: the reader's own Prometheus is picked by the variable `datasource`, the load run by `run`, and
Grafana gives a dashboard its uid when it is imported.

Every expression is over names that our exporters publish or our rules record; a test runs each on a real Prometheus.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from host.atomic import write_text

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
RUNS = "label_values(peakday_run_info, run_id)"
WIDTH = 24
SCHEMA_VERSION = 39


@dataclass(frozen=True)
class Panel:
    """One graph, or one number when `stat`. `says`: what to see, shown behind the title's mark.

    queries: expression -> how its series are named.
    unit: Grafana's name of it: s, percentunit, reqps, short, currencyUSD.
    """

    title: str
    says: str
    unit: str
    queries: Mapping[str, str]
    stat: bool = False
    limit: float | None = None


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; each row's panels share its width. `file`: its name on disk. `by_run`: shows one load run."""

    file: str
    title: str
    rows: Sequence[Sequence[Panel]]
    by_run: bool = False


@cache
def dashboards() -> tuple[Dashboard, ...]:
    """The dashboards of assets/grafana.yaml."""
    text = files("dashboards").joinpath("assets", "grafana.yaml").read_text(encoding="utf-8")
    return TypeAdapter(tuple[Dashboard, ...]).validate_python(yaml.safe_load(text))


def write_dashboards(folder: Path) -> list[Path]:
    """Write one JSON file per dashboard, to be provisioned or imported."""
    written = []
    for dashboard in dashboards():
        path = folder / f"{dashboard.file}.json"
        write_text(path, json.dumps(dashboard_json(dashboard), indent=1) + "\n")
        written.append(path)
    return written


def dashboard_json(dashboard: Dashboard) -> dict[str, object]:
    """Grafana's own form of a dashboard."""
    return {
        "title": dashboard.title,
        "tags": ["peakday"],
        "timezone": "utc",
        "schemaVersion": SCHEMA_VERSION,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "graphTooltip": 1,
        "panels": list(_panels(dashboard)),
        "templating": {"list": [_source_variable(), *([_run_variable()] if dashboard.by_run else [])]},
        "annotations": {"list": []},
    }


def _source_variable() -> dict[str, object]:
    """Which Prometheus: every one that this Grafana has."""
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
    }


def _run_variable() -> dict[str, object]:
    """Which load run: IDs begin with the time, so the newest stands first."""
    return {
        "name": "run",
        "label": "Load run",
        "type": "query",
        "datasource": SOURCE,
        "definition": RUNS,
        "query": {"query": RUNS, "refId": "runs"},
        "refresh": 2,
        "sort": 2,
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
    }


def _panels(dashboard: Dashboard) -> Iterator[dict[str, object]]:
    top, number = 0, 0
    for row in dashboard.rows:
        width, height = WIDTH // len(row), 4 if row[0].stat else 8
        for place, panel in enumerate(row):
            number += 1
            yield _panel(panel, number, {"x": place * width, "y": top, "w": width, "h": height})
        top += height


def _panel(panel: Panel, number: int, place: Mapping[str, int]) -> dict[str, object]:
    steps: list[dict[str, object]] = [{"color": "green", "value": None}]
    if panel.limit is not None:
        steps.append({"color": "red", "value": panel.limit})
    custom = {
        "lineWidth": 2,
        "fillOpacity": 5,
        "thresholdsStyle": {"mode": "line" if panel.limit is not None else "off"},
    }
    return {
        "id": number,
        "title": panel.title,
        "description": panel.says,
        "type": "stat" if panel.stat else "timeseries",
        "datasource": SOURCE,
        "gridPos": dict(place),
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                "thresholds": {"mode": "absolute", "steps": steps},
                **({} if panel.stat else {"custom": custom}),
            },
            "overrides": [],
        },
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for i, (expression, legend) in enumerate(panel.queries.items())
        ],
    }
