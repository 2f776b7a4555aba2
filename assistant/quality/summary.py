"""Judgements -> quality.yaml: the only thing that policy and planning read of quality."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from assistant.errors import AssistantError
from facts.reader import Quality
from host.yaml_text import dump_yaml
from slo.bounds import wilson

SCHEMA = "peakday.quality/1"


def quality_rows(judgements: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Share of acceptable turns by model, intent and complexity, and by model and complexity alone (intent `any`).

    A share that an emulator scored any part of is `simulated`: its words say nothing about quality.

    Raises:
        AssistantError: nothing was scored.
    """
    groups: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    simulated: set[tuple[str, str, str]] = set()
    for row in judgements:
        if row["acceptable"] is not None:
            for intent in (row["intent"], "any"):
                key = (row["model"], intent, row["complexity"])
                groups[key].append(bool(row["acceptable"]))
                if row["simulated"]:
                    simulated.add(key)
    if not groups:
        raise AssistantError("no verdict was to be had of any turn; judgements.parquet says what came instead")
    return [
        _row(*key, verdicts, provenance="simulated" if key in simulated else "judged")
        for key, verdicts in sorted(groups.items())
    ]


def with_assumed(rows: list[dict[str, object]], assumed: Iterable[Quality]) -> list[dict[str, object]]:
    """Scored rows, and the assumed ones of each model and complexity without a score.

    The file takes a table's place, and must not forget the models that its sample never met.
    """
    scored = {(row["model"], row["complexity"]) for row in rows}
    return rows + [asdict(row) for row in assumed if (row.model, row.complexity) not in scored]


def _row(model: str, intent: str, complexity: str, verdicts: list[bool], *, provenance: str) -> dict[str, Any]:
    good, n = sum(verdicts), len(verdicts)
    low, high = wilson(good, n)
    return {
        "model": model,
        "intent": intent,
        "complexity": complexity,
        "acceptable_ratio": round(good / n, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "n": n,
        "provenance": provenance,
    }


def write_quality(path: Path, rows: list[dict[str, object]], source: str, day: date) -> Path:
    """A file that `facts.reader.quality` reads."""
    document = {"schema": SCHEMA, "source": source, "date": day, "rows": rows}
    path.write_text(dump_yaml(document), encoding="utf-8")
    return path
