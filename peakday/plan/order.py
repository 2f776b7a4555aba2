"""What an order sheet needs beside its plan: dates, quotas held, long prompts, the account's busiest minutes."""

from __future__ import annotations

from dashboards.order.sheet import Occasion
from facts.account import Held, Usage
from facts.tokens import PROMPT_CLASSES
from loadgen.record import Run
from scenarios.schema import Scenario

LONG_REQUEST_TOKENS = 25_000
"""A longer prompt is a long one on the order sheet: a judgement; who reviews a quota increase asks for the share."""


def order_occasion(scenario: Scenario, run: Run | None, usage: Usage | None, held: Held | None) -> Occasion:
    """Everything that is known of the event's dates and of the account."""
    busiest: dict[tuple[str, str], float] = {}
    for row in usage.rows if usage else ():
        if row.model is not None:
            key = (row.model, row.region)
            busiest[key] = max(busiest.get(key, 0.0), row.minute.invocations)
    return Occasion(scenario.event.start, scenario.event.length_s, held, long_ratios(run), busiest)


def long_ratios(run: Run | None) -> dict[str, float]:
    """Share of each model's calls whose prompt is long, by model key; nothing without a run."""
    if run is None or run.calls.empty:
        return {}
    long = run.calls[[*PROMPT_CLASSES]].fillna(0).sum(axis=1) > LONG_REQUEST_TOKENS
    return {str(name): float(ratio) for name, ratio in long.groupby(run.calls["model"]).mean().items()}
