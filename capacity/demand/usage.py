"""Calls as an account's own counters have them: measured means laid over the scenario's assumed calls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from capacity.demand.calls import Calls
from capacity.plan import PlanError
from capacity.simulator.requests import Floats, Ints
from facts.account import CallMeans, Usage

COLUMNS = {
    "input_tokens": "input_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens_5m",  # the counters do not split writes by lifetime
    "output_tokens": "output_tokens",
}


def with_usage(calls: Calls, usage: Usage) -> Calls:
    """Assumed calls whose tokens have each model's measured means and latency; calls per interaction stay assumed.

    Counters know sums a minute, so the spread from call to call stays the assumption's, and levels are not told apart.

    Raises:
        PlanError: the file names no model that the scenario calls.
    """
    means = {name: row for name, row in usage.per_call().items() if calls.of(name).any()}
    if not means:
        raise PlanError(
            f"{usage.source}: no model of it is called by this scenario; models there: "
            f"{', '.join(sorted(usage.per_call())) or 'none'}; plan without --usage or change assistant.policy"
        )
    columns = {name: getattr(calls, name).copy() for name in COLUMNS.values()}
    unknown = ("cache_write_tokens_1h", "shared_tokens", "customer_tokens")
    unsplit = {name: getattr(calls, name).copy() for name in unknown}
    for name, row in means.items():
        mask = calls.of(name)
        for measured, column in COLUMNS.items():
            columns[column][mask] = with_mean(columns[column][mask], getattr(row, measured))
        unsplit["cache_write_tokens_1h"][mask] = 0
        unsplit["shared_tokens"][mask] = unsplit["customer_tokens"][mask] = -1
    columns["output_tokens"] = np.maximum(columns["output_tokens"], 1)
    return replace(
        calls,
        **columns,
        **unsplit,
        provenance={**calls.provenance, **dict.fromkeys(means, "measured")},
        source=usage.source,
        latency_s={name: row.latency_s for name, row in means.items() if row.latency_s is not None},
    )


def with_mean(values: Ints, mean: float) -> Ints:
    """Whole tokens with this mean (half a token off in all) and the values' spread; the mean itself where all are 0."""
    scale = float(values.mean())
    wanted: Floats = np.asarray(values * (mean / scale) if scale else np.full(len(values), mean), dtype=np.float64)
    return np.asarray(np.diff(np.floor(np.cumsum(wanted) + 0.5), prepend=0.0), dtype=np.int64)


def mix_note(calls: Calls, usage: Usage) -> str:
    """What share of calls each model has in the account and in the plan, and that the plan's routes were kept."""
    counted = usage.per_call()
    total = sum(row.calls for row in counted.values())
    planned = {name: float(calls.of(name).mean()) for name in dict.fromkeys(calls.model.tolist())}
    names = sorted({*counted, *planned}, key=lambda name: -(counted[name].calls if name in counted else 0.0))
    pairs = [
        f"{name} {counted[name].calls / total if name in counted else 0.0:.0%} against {planned.get(name, 0.0):.0%}"
        for name in names
    ]
    return (
        f"usage: tokens of a call are the account's, its model mix is not: calls by model, account against plan: "
        f"{', '.join(pairs)}; routes and turns are the scenario's (assistant.policy)"
    )


def usage_line(row: CallMeans) -> str:
    """One line for the plan's inputs."""
    line = (
        f"{row.calls:,.0f} calls of {row.input_tokens:,.0f} in, {row.cache_read_tokens:,.0f} read, "
        f"{row.cache_write_tokens:,.0f} written, {row.output_tokens:,.0f} out; {row.throttled_ratio:.2%} throttled"
    )
    line = line if row.latency_s is None else f"{line}; {row.latency_s:.2f} s"
    line = line if row.ttft_s is None else f"{line}, first token {row.ttft_s:.2f} s"
    if row.quota_tokens_peak is None:
        return line
    return (
        f"{line}; busiest minute {row.quota_tokens_peak:,.0f} tokens of quota by AWS's estimate, which is settled use"
    )
