"""How well the router does on a labelled CSV (`peakday assistant route`): columns text, label and perhaps complexity.

Local stages only: rules, classifier, default. The planner model would be a model call a row; how many rows would go to
it is counted as `unsure`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from assistant.errors import AssistantError
from assistant.router import classifier
from assistant.router.route import MessageRouter, Route
from facts.intents import INTENTS
from facts.stack import Router
from host.tables import table_rows
from slo.bounds import wilson

Rows = list[dict[str, str]]


def read_csv(path: Path) -> Rows:
    """Rows with a text and a known label.

    Raises:
        AssistantError: unreadable, or a column or label that is missing or unknown.
    """
    rows = [row for _, row in table_rows(path, error=AssistantError)]
    if not rows or not {"text", "label"} <= rows[0].keys():
        raise AssistantError(f"{path}: expected a CSV with the columns text and label")
    unknown = sorted({row["label"] for row in rows} - set(INTENTS))
    if unknown:
        raise AssistantError(f"{path}: label {unknown[0]!r} is no intent; known: {', '.join(INTENTS)}")
    return rows


def evaluate(rows: Rows, settings: Router | None = None) -> dict[str, Any]:
    """Accuracy, macro F1, figures by class, confusion and coverage by stage. Ratios are of one, times in seconds."""
    settings = settings or Router()
    router = MessageRouter(settings, classifier.load())
    routes, times_s = _route_all(router, [row["text"] for row in rows])
    labels = [row["label"] for row in rows]
    found = [route.intent for route in routes]
    classes = _by_class(labels, found)
    right = sum(label == intent for label, intent in zip(labels, found, strict=True))
    return {
        "rows": len(rows),
        "accuracy": right / len(rows),
        "accuracy_interval": wilson(right, len(rows)),
        "macro_f1": _mean([one["f1"] for one in classes.values()]),
        "macro_f1_classes_of_20": _mean([one["f1"] for one in classes.values() if one["rows"] >= 20]),
        "complexity_accuracy": _complexity_accuracy(rows, routes),
        "classes": classes,
        "classes_seen": len(classes),
        "classes_of_20": sum(one["rows"] >= 20 for one in classes.values()),
        "confusion": _confusion(labels, found),
        "stages": _stages(labels, routes),
        "unsure": sum(route.confidence < settings.unsure_below for route in routes),
        "route_s_p99": sorted(times_s)[math.ceil(0.99 * len(times_s)) - 1],
    }


def _route_all(router: MessageRouter, texts: list[str]) -> tuple[list[Route], list[float]]:
    async def run() -> tuple[list[Route], list[float]]:
        routes, times_s = [], []
        for text in texts:
            began_s = time.perf_counter()
            routes.append(await router.route(text, None, None))
            times_s.append(time.perf_counter() - began_s)
        return routes, times_s

    return asyncio.run(run())


def _by_class(labels: list[str], found: list[str]) -> dict[str, dict[str, float]]:
    classes = {}
    for name in sorted(set(labels)):
        hits = sum(label == intent == name for label, intent in zip(labels, found, strict=True))
        precision = hits / found.count(name) if name in found else 0.0
        recall = hits / labels.count(name)
        f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
        classes[name] = {"rows": labels.count(name), "precision": precision, "recall": recall, "f1": f1}
    return classes


def _confusion(labels: list[str], found: list[str]) -> dict[str, dict[str, int]]:
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for label, intent in zip(labels, found, strict=True):
        table[label][intent] += 1
    return {label: dict(sorted(row.items())) for label, row in sorted(table.items())}


def _stages(labels: list[str], routes: list[Route]) -> dict[str, dict[str, float]]:
    stages: dict[str, list[bool]] = defaultdict(list)
    for label, route in zip(labels, routes, strict=True):
        stages[route.stage].append(label == route.intent)
    return {
        stage: {"rows": len(hits), "coverage": len(hits) / len(labels), "accuracy": sum(hits) / len(hits)}
        for stage, hits in sorted(stages.items())
    }


def _complexity_accuracy(rows: Rows, routes: list[Route]) -> float | None:
    pairs = [
        (row["complexity"], route.complexity) for row, route in zip(rows, routes, strict=True) if row.get("complexity")
    ]
    return _mean([float(want == got) for want, got in pairs])


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
