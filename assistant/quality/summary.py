"""Judgements -> quality.yaml: the only thing that policy and planning read of quality."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from assistant.errors import AssistantError
from assistant.router.evaluate import wilson

SCHEMA = "peakday.quality/1"


def quality_rows(judgements: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Share of acceptable turns by model, intent and complexity, and by model and complexity alone (intent `any`).

    Raises:
        AssistantError: nothing was judged, or a stand-in did it: its words say nothing about quality.
    """
    groups: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for row in judgements:
        if row["simulated"]:
            raise AssistantError("a stand-in judged these turns; judge with a real model (--live)")
        if row["acceptable"] is not None:
            for intent in (row["intent"], "any"):
                groups[row["model"], intent, row["complexity"]].append(bool(row["acceptable"]))
    if not groups:
        raise AssistantError("no turn was judged; set assistant.judge_ratio above 0 and run again")
    return [_row(*key, verdicts) for key, verdicts in sorted(groups.items())]


def _row(model: str, intent: str, complexity: str, verdicts: list[bool]) -> dict[str, Any]:
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
        "provenance": "judged",
    }


def write_quality(path: Path, rows: list[dict[str, Any]], source: str, day: date) -> Path:
    """A file that `facts.reader.quality` reads."""
    document = {"schema": SCHEMA, "source": source, "date": day, "rows": rows}
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path
