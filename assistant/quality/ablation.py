"""The same turns with one switch off at a time (`peakday assistant ablate`): what each of them is worth.

Pure but for `ask`: the caller starts a stack for a set of switches and gives its address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from assistant.ask import ask, new_session

VARIANTS: Mapping[str, Mapping[str, Mapping[str, bool]]] = {
    "as configured": {},
    "context.prefetch off": {"context": {"prefetch": False}},
    "tools.parallel off": {"tools": {"parallel": False}},
    "cache.points off": {"cache": {"points": False}},
}
"""Name -> switches laid over the scenario's `assistant` block."""


@dataclass(frozen=True, slots=True)
class AskedTurn:
    """One turn of the script; turns of one interaction follow each other."""

    message: str
    interaction_id: str
    turn_index: int = 0
    product_id: str | None = None


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """What one turn cost. Times in seconds from sending, tokens over all its calls; `cost_usd` of priced calls."""

    message: str
    model_calls: int
    ttft_s: float
    e2e_s: float
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    cost_usd: float


def ablate(
    start: Callable[[Mapping[str, Any]], AbstractContextManager[str]],
    turns: Sequence[AskedTurn],
    clock: Callable[[], float],
    customer_id: str = "c000001",
) -> dict[str, list[TurnFigures]]:
    """Figures of every turn under every variant.

    Args:
        start: given switches to lay over the scenario's, runs a fresh stack and yields the assistant's address.
        clock: seconds, for TTFT and E2E as the client sees them.
    """
    results = {}
    for name, switches in VARIANTS.items():
        with start(switches) as url:
            token = new_session(url, customer_id)
            results[name] = [_figures(url, token, turn, clock) for turn in turns]
    return results


def summary(figures: Sequence[TurnFigures]) -> dict[str, float]:
    """Means over the turns of one variant."""
    rows = [asdict(one) for one in figures]
    return {key: fmean(row[key] for row in rows) for key in rows[0] if key != "message"}


def _figures(url: str, token: str, turn: AskedTurn, clock: Callable[[], float]) -> TurnFigures:
    began_s = clock()
    ttft_s = 0.0
    calls: list[dict[str, object]] = []
    for event in ask(
        url,
        turn.message,
        session_token=token,
        interaction_id=turn.interaction_id,
        turn_index=turn.turn_index,
        product_id=turn.product_id,
    ):
        if event["event"] == "delta" and not ttft_s:
            ttft_s = clock() - began_s
        elif event["event"] == "usage" and event["purpose"] != "route":
            calls.append(event)

    def total(key: str) -> Any:
        return sum(call[key] or 0 for call in calls)

    return TurnFigures(
        message=turn.message,
        model_calls=len(calls),
        ttft_s=ttft_s,
        e2e_s=clock() - began_s,
        input_tokens=total("input_tokens"),
        cache_read_tokens=total("cache_read_tokens"),
        cache_write_tokens=total("cache_write_tokens_5m") + total("cache_write_tokens_1h"),
        output_tokens=total("output_tokens"),
        cost_usd=total("cost_usd"),
    )
