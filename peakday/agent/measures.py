"""The assistant measured by itself: its router on labelled text, and its switches turned off one by one."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from assistant.quality.ablation import AskedTurn, ablate, summary
from assistant.router.evaluate import evaluate, read_csv
from facts.intents import INTENTS
from peakday.console import Console
from peakday.stack.resolved import Resolved, open_stack, resolve
from scenarios.schema import Scenario


def route_csv(path: Path) -> tuple[str, dict[str, object]]:
    """The router's figures on a labelled CSV."""
    figures = evaluate(read_csv(path))
    low, high = figures["accuracy_interval"]
    lines = [
        f"{figures['rows']} rows: accuracy {figures['accuracy']:.3f} ({low:.3f} to {high:.3f}), "
        f"macro F1 {figures['macro_f1']:.3f} over {figures['classes_seen']} of {len(INTENTS)} classes, "
        + _over_classes_of_20(figures),
        f"{figures['unsure']} rows would go to the planner model; "
        f"p99 of the local stages {figures['route_s_p99'] * 1e3:.3f} ms",
        *(
            f"  {name:<18} {row['rows']:>5} rows  precision {row['precision']:.3f}  recall {row['recall']:.3f}  "
            f"F1 {row['f1']:.3f}"
            for name, row in figures["classes"].items()
        ),
    ]
    return "\n".join(lines), figures


def _over_classes_of_20(figures: Mapping[str, object]) -> str:
    value = figures["macro_f1_classes_of_20"]
    if value is None:
        return "no class has 20 rows"
    return f"{value:.3f} over the {figures['classes_of_20']} of 20 rows and more"


def ablate_switches(scenario: str, turns: int, *, seed: int | None, console: Console) -> tuple[str, dict[str, object]]:
    """Means by variant; every variant gets a fresh stack, so that no cache carries over."""
    resolved = resolve(scenario, [], seed)
    messages = json.loads(resolved.world.messages.read_text())["messages"]
    opening = [m for m in messages if not (m["follow_up"] or m["image"] or m["confirm"] or m.get("answers"))]
    step = max(1, len(opening) // turns)
    questions = [
        AskedTurn(m["text"], f"ablate-{number}", 0, m["page_product_id"])
        for number, m in enumerate(opening[::step][:turns])
    ]

    @contextlib.contextmanager
    def start(switches: Mapping[str, object]) -> Iterator[str]:
        with open_stack(with_switches(resolved, switches), console=console) as stack:
            yield stack.endpoints["assistant"]

    results = {name: summary(figures) for name, figures in ablate(start, questions, time.perf_counter).items()}
    lines = [
        f"{'means of ' + str(len(questions)) + ' turns':<22} calls  TTFT ms   E2E ms   in tok  cached     USD/turn"
    ]
    lines += [
        f"{name:<22} {row['model_calls']:5.2f} {row['ttft_s'] * 1e3:8.0f} {row['e2e_s'] * 1e3:8.0f}"
        f" {row['input_tokens']:8.0f} {row['cache_read_tokens']:7.0f}  {row['cost_usd']:11.6f}"
        for name, row in results.items()
    ]
    return "\n".join([*lines, "SIMULATED: the models are emulated"]), {"turns": len(questions), "variants": results}


def with_switches(resolved: Resolved, switches: Mapping[str, object]) -> Resolved:
    """The same scenario with switches laid over its assistant block."""
    raw = resolved.scenario.model_dump(mode="json", by_alias=True)
    for block, values in switches.items():
        raw["assistant"][block] |= values
    return replace(resolved, scenario=Scenario.model_validate(raw))
