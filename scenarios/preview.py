"""The numbers of a preview: what a scenario asks for in a window, before anything is run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenarios.advice import advice
from scenarios.arrivals import stream_starts
from scenarios.demand import BACKGROUND, INTERACTIONS, Floats, Window, curve, rate_per_s, stream_of
from scenarios.loading import json_values, scenario_hash
from scenarios.resolved import Resolved
from scenarios.schema import Scenario
from scenarios.sessions import count_shares

POINTS = 240
FINE = 40
SAMPLE_STARTS = 20_000
"""Burstiness is shown on a span around the peak that is expected to hold about so many starts."""
SAMPLE_STEPS = 120


@dataclass(frozen=True)
class StreamView:
    """One kind of demand over the window.

    Attributes:
        rate_per_s: (R, T) at the mid level, scaled: at the busiest moment between a point and the next.
        low_ratio: low / mid of the peak. high_ratio: high / mid.
        expected: starts in the window at low, mid and high.
        per_region: starts in the window at mid, by region.
    """

    name: str
    rate_per_s: Floats
    low_ratio: float
    high_ratio: float
    confidence: float
    expected: tuple[float, float, float]
    per_region: tuple[float, ...]
    source: str


@dataclass(frozen=True)
class Burst:
    """A drawn span around the busiest moment: starts per step, and the CV of the gaps between them."""

    start_s: float
    step_s: float
    counts: NDArray[np.int64]
    gap_cv: float
    process: str


@dataclass(frozen=True)
class ModelShare:
    """Share of turns a model answers by the policy, and assumed tokens of one interaction through it."""

    model: str
    turn_share: float
    calls_per_interaction: float
    input_tokens_per_interaction: float
    output_tokens_per_interaction: float


@dataclass(frozen=True)
class Preview:
    """All that the page and the terminal show."""

    scenario: Scenario
    hash: str
    window: Window
    scale: float
    seed: int
    offset_s: Floats
    streams: tuple[StreamView, ...]
    burst: Burst
    models: tuple[ModelShare, ...]
    sessions: float
    turns: float
    warnings: tuple[str, ...]


def preview(
    scenario: Scenario, *, window: Window | None = None, scale: float = 1.0, seed: int | None = None
) -> Preview:
    """Work out what a scenario asks for.

    Args:
        scenario: a checked scenario.
        window: seconds from the event's start; the whole event when None.
        scale: factor on every rate.
        seed: of the drawn span; the scenario's own when None.
    Raises:
        ScenarioError: a window outside the event.
    """
    values = json_values(scenario)
    span = window or (0.0, scenario.event.length_s)
    offset_s = np.linspace(*span, POINTS + 1)
    names = [INTERACTIONS, *(name for name in BACKGROUND if stream_of(values, name))]
    streams = tuple(_stream(values, name, span, scale, offset_s) for name in names)
    interactions = streams[0].expected[1]
    seed = scenario.seed if seed is None else seed
    return Preview(
        scenario=scenario,
        hash=scenario_hash(scenario),
        window=span,
        scale=scale,
        seed=seed,
        offset_s=offset_s,
        streams=streams,
        burst=_burst(values, span, scale, seed, offset_s, streams[0].rate_per_s.sum(axis=0)),
        models=tuple(_models(scenario)),
        sessions=interactions / scenario.mix.interactions_per_session.mean,
        turns=interactions * scenario.mix.turns_per_interaction.mean,
        warnings=tuple(advice(scenario)),
    )


def _stream(values: Resolved, name: str, span: Window, scale: float, offset_s: Floats) -> StreamView:
    keys = stream_of(values, name)
    assert keys is not None
    peak = keys["peak_per_s"]
    expected = curve(values, stream=name, window=span, scale=scale)
    low, high = (level / peak["mid"] if peak["mid"] else 1.0 for level in (peak["low"], peak["high"]))
    return StreamView(
        name=name,
        rate_per_s=_busiest(values, name, offset_s) * scale,
        low_ratio=low,
        high_ratio=high,
        confidence=peak["confidence"],
        expected=(expected.total * low, expected.total, expected.total * high),
        per_region=tuple(expected.cumulative[:, -1].tolist()),
        source=keys["source"],
    )


def _busiest(values: Resolved, name: str, offset_s: Floats) -> Floats:
    """(R, T) rates at the moment between each point and the next where their sum is largest, so that no spike hides."""
    step_s = (offset_s[-1] - offset_s[0]) / POINTS
    inside = np.minimum(offset_s[:, None] + np.arange(FINE) * step_s / FINE, offset_s[-1])
    rates = rate_per_s(values, inside.ravel(), stream=name).reshape(-1, len(offset_s), FINE)
    at = rates.sum(axis=0).argmax(axis=1)
    return np.take_along_axis(rates, at[None, :, None], axis=2)[:, :, 0]


def _burst(values: Resolved, span: Window, scale: float, seed: int, offset_s: Floats, rate: Floats) -> Burst:
    """Draw a span around the busiest moment."""
    top = float(rate.max())
    length_s = min(span[1] - span[0], SAMPLE_STARTS / top if top > 0 else math.inf)
    middle = float(offset_s[rate.argmax()])
    begin = min(max(span[0], middle - length_s / 2), span[1] - length_s)
    starts = stream_starts(values, INTERACTIONS, window=(begin, begin + length_s), scale=scale, seed=seed)
    counts, _ = np.histogram(starts.offset_s, bins=SAMPLE_STEPS, range=(0.0, length_s))
    gaps = np.diff(starts.offset_s)
    cv = float(gaps.std() / gaps.mean()) if len(gaps) > 1 and gaps.mean() > 0 else math.nan
    process = values["demand"]["interactions"]["arrivals"]["process"]
    return Burst(begin, length_s / SAMPLE_STEPS, counts, cv, process)


def _models(scenario: Scenario) -> list[ModelShare]:
    """Turns by answering model at the mix's weights, and the assumed tokens that one interaction sends through each."""
    shares: dict[str, float] = {}
    policy = scenario.assistant.policy
    for intent, entry in scenario.mix.intents.items():
        for complexity, part in (("simple", 1 - entry.complex_ratio), ("complex", entry.complex_ratio)):
            model = policy.model_for(intent, complexity)
            shares[model] = shares.get(model, 0.0) + entry.weight * part
    tokens = scenario.capacity.assumed_tokens
    shares_by_turns = count_shares(scenario.mix.turns_per_interaction.mean, scenario.mix.turns_per_interaction.max)
    turns = np.arange(1, len(shares_by_turns) + 1)
    mean_turns = float((shares_by_turns * turns).sum())
    turns_before = float((shares_by_turns * turns * (turns - 1) / 2).sum())  # summed over the turns of one interaction
    calls = tokens.calls_per_turn
    fixed = tokens.shared_prefix_tokens + tokens.customer_prefix_tokens + tokens.message_tokens
    per_call = fixed + tokens.tool_result_tokens * (calls - 1) / 2
    stream = scenario.demand.interactions
    per_interaction = mean_turns * per_call + turns_before * tokens.history_tokens_per_turn
    inputs = calls * per_interaction * stream.input_tokens_ratio
    outputs = mean_turns * tokens.output_tokens * stream.output_tokens_ratio
    return [
        ModelShare(model, share, mean_turns * calls * share, inputs * share, outputs * share)
        for model, share in sorted(shares.items(), key=lambda item: -item[1])
        if share > 0
    ]
