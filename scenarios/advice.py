"""What a scenario's author should know before the run: SLOs that cannot be met, caches that cannot work."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from facts import reader
from facts.lifecycle import lifecycle_warning
from scenarios.counts import step_counts
from scenarios.loading import traces_of
from scenarios.schema import Scenario, SelfHostedSupply

# Rows of neuron_load_curves.csv that name a chip family in place of an instance type.
_CHIP_OF = {"trn2": "trainium2", "trn1": "trainium1", "inf2": "inferentia2"}
_PUBLISHED_MEANS = {"ttft_s_p99": "ttft_mean_ms", "tpot_s_p99": "inter_token_latency_mean_ms"}


def advice(scenario: Scenario) -> list[str]:
    """Warnings, one line each: key, what is doubtful, what to do. Empty when nothing is."""
    checks = (_lifecycle, _cache, _unset_limit, _own_supply, _first_response, _trace_shapes)
    return [line for check in checks for line in check(scenario)]


def _lifecycle(scenario: Scenario) -> Iterator[str]:
    """A model that is gone by then answers nothing."""
    start = scenario.event.start_utc
    last = start + timedelta(seconds=scenario.event.length_s)
    models = reader.models()
    for key in scenario.models:
        warning = lifecycle_warning(models[key], start.date(), last.date()) if key in models else None
        if warning is not None:
            yield f"models: {warning}"


def _cache(scenario: Scenario) -> Iterator[str]:
    """A shared prefix below a model's minimum is never cached, and no provider says so."""
    tokens, models = scenario.capacity.assumed_tokens.shared_prefix_tokens, reader.models()
    if not scenario.assistant.cache.points:
        yield "assistant.cache.points: off, so no prompt is cached; every input token is paid in full"
        return
    for key in scenario.models:
        minimum = models[key].cache.min_tokens if key in models else None
        if minimum is not None and tokens < minimum:
            yield (
                f"capacity.assumed_tokens.shared_prefix_tokens: {tokens} is below the {minimum} that {key} needs "
                "before it caches anything; lengthen the shared prompt or expect no hits"
            )


def _unset_limit(scenario: Scenario) -> Iterator[str]:
    if scenario.assistant.max_tokens is None:
        yield (
            "assistant.max_tokens: unset, so a provider reserves a model's whole output limit from the quota of every "
            "call; set it to what an answer needs"
        )


class _Alone(NamedTuple):
    """A published mean with one request in flight."""

    seconds: float
    where: str


def _single_user(own: SelfHostedSupply, column: str) -> _Alone | None:
    """The best published figure for one user over the allowed chips."""
    instances, figures = reader.instances(), []
    for row in reader.rows("neuron_load_curves.csv"):
        value, name = reader.number(row[column]), row["instance"]
        chip = instances[name].chip if name in instances else _CHIP_OF.get(name)
        alone = row["max_concurrency"] == "1" and row["model"] == own.bench_model_id
        if alone and value is not None and chip in own.chips:
            figures.append(_Alone(value * 1e-3, f"{row['model']}, {name}, {row['prompt_tokens_mean']} prompt tokens"))
    return min(figures, default=None)


def _own_supply(scenario: Scenario) -> Iterator[str]:
    """An SLO below what one user alone gets cannot be met by buying chips."""
    for model, own in scenario.capacity.own.items():
        for slo, column in _PUBLISHED_MEANS.items():
            alone, limit_s = _single_user(own, column), getattr(own, slo)
            if alone is not None and limit_s < alone.seconds:
                yield (
                    f"capacity.own.{model}.{slo}: {limit_s:g} s is below the published mean for a single user, "
                    f"{alone.seconds:.3g} s ({alone.where}); raise it, shorten prompts or choose another model"
                )


def _first_response(scenario: Scenario) -> Iterator[str]:
    """Nothing is shown before routing ends, so the first response has what the router's budget leaves."""
    router = scenario.assistant.router
    for name in ("ttft_s_p50", "ttft_s_p95", "ttft_s_p99"):
        limit_s = getattr(scenario.slo, name)
        if limit_s is not None and limit_s <= router.budget_s:
            yield f"slo.{name}: {limit_s:g} s is within the router's budget of {router.budget_s:g} s; raise it"
        for model, own in scenario.capacity.own.items():
            alone = None if model == router.planner_model else _single_user(own, "ttft_mean_ms")
            if limit_s is not None and alone is not None and limit_s < alone.seconds:
                yield (
                    f"slo.{name}: {limit_s:g} s is below the published mean TTFT of {model} for a single user, "
                    f"{alone.seconds:.3g} s ({alone.where}); raise it or shorten prompts"
                )


def _trace_shapes(scenario: Scenario) -> Iterator[str]:
    """Steps that a trace lacks are filled in; an event that outlasts its trace has no customers there."""
    for trace in traces_of(scenario):
        series = step_counts(trace.file, trace.time_column, trace.count_column, trace.step_s)
        if series.missing:
            yield f"{trace.file}: {series.missing} missing steps are interpolated"
        length_s = len(series.counts) * series.step_s - trace.offset_s
        if length_s < scenario.event.length_s:
            yield (
                f"{trace.file}: holds {length_s:g} s from offset_s on; the event lasts {scenario.event.length_s:g} s"
                ": no demand after it; shorten event.length_s"
            )
