"""What is not known, drawn jointly; three error bars apart; and what each input does when it moves alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.special import ndtri

from capacity.demand.forecast import DrawnDemand, range_quantile, stratified
from capacity.fleet.outcome import Base, Multipliers, outcome
from capacity.rows.doubt import ErrorBars, InformationValue, Sensitivity, VarianceShare
from capacity.rows.figures import Interval, Spread
from capacity.simulator.requests import Floats
from scenarios.schema import Stream

Z_90 = 1.6449
SPREAD_UNMEASURED = 0.3
"""Half-width of tokens and turns that nobody measured, as a share, at 90%: an expert estimate, printed in plans."""
SPREAD_MEASURED = 0.1
"""The same for one measured run: customers of the event are not those of the rehearsal. An expert estimate too."""
MISSES_UNMEASURED = 3.0
"""A provider's cache hit is never guaranteed (Bedrock user guide, prompt caching), and a fuller cache is as possible:
misses to a hit may be three times as many or a third, at 90%. An expert estimate."""
MISSES_MEASURED = 2.0
"""The same where a run measured the hits, and for own block caches, which are ours to watch. An expert estimate."""
ROUTES_UNMEASURED = 0.2
ROUTES_MEASURED = 0.05
"""Half-width of a model's share of the calls, at 90%. Expert estimates."""


@dataclass(frozen=True)
class Unknowns:
    """How wide inputs are drawn, at 90%: tokens and turns, misses of caches (factors), routes; and hits as planned."""

    spread: float
    provider_misses: float
    provider_hits: float  # share of the tokens at cache points that is read
    prefix_misses: float
    prefix_hits: float
    routes: float
    models: tuple[str, ...] = ()


def hits_over(planned: float, misses: Floats) -> Floats:
    """Hit ratio over the planned one when there are so many times as many misses to a hit; 1 where nothing hits."""
    if planned <= 0:
        return np.ones_like(misses)
    return np.asarray(1 / (planned + misses * (1 - planned)))


def joint_draws(drawn: Mapping[str, DrawnDemand], n: int, unknown: Unknowns, seed: int) -> Multipliers:
    """n draws of everything, every median 1: demand by its forecast, tokens, turns, misses and routes log-normal.

    Each is stratified by itself and independent of the others.
    """
    rng = np.random.default_rng([seed, 0xD2A3])
    peaks = {
        (name, region): values / max(float(np.median(values)), 1e-300)
        for name, stream in drawn.items()
        for region, values in stream.peaks_per_s.items()
    }

    def normal() -> Floats:
        return np.asarray(ndtri(stratified(n, rng)))

    def lognormal(factor: float) -> Floats:
        return np.asarray(np.exp(normal() * np.log(factor) / Z_90))

    tokens = 1 + unknown.spread
    return Multipliers(
        demand={name: stream.level for name, stream in drawn.items()},
        peak=peaks,
        turns=lognormal(tokens),
        input_tokens=lognormal(tokens),
        output_tokens=lognormal(tokens),
        cache_hits=hits_over(unknown.provider_hits, lognormal(unknown.provider_misses)),
        prefix_hits=hits_over(unknown.prefix_hits, lognormal(unknown.prefix_misses)),
        routes={name: lognormal(1 + unknown.routes) for name in unknown.models},
        step_error=normal(),
        surface_error=normal(),
    )


def error_bars(base: Base, draws: Multipliers) -> ErrorBars:
    """The 90% range of chips needed, all together and by cause, with the Monte Carlo error of its ends.

    demand: forecast, turns, tokens and hits; model: step model and surface; monte_carlo: what more draws would remove.
    """
    everything = outcome(base, draws, at_level=False).chips
    known = replace(draws, step_error=np.zeros(1), surface_error=np.zeros(1))
    demand_only = outcome(base, known, at_level=False).chips
    model = Multipliers(step_error=draws.step_error, surface_error=draws.surface_error)
    model_only = outcome(base, model, at_level=False).chips
    return ErrorBars(
        chips=_spread(everything),
        demand=_spread(demand_only),
        model=_spread(model_only),
        monte_carlo={f"p{int(q * 100)}": _order_interval(everything, q) for q in (0.05, 0.95)},
        draws=int(everything.size),
    )


def expected_value_of_information(base: Base, draws: Multipliers) -> tuple[InformationValue, ...]:
    """What a plan that covers nine futures in ten would spare, were one input known to be at its middle; most first.

    Rows: input, chips_spared and event_usd_spared at p90 of the joint draws (negative: the middle asks for more), and
    how to measure it. With silicon bought at p90 this is the price of not knowing.
    """
    one, known = np.ones(1), partial(replace, draws)
    inputs: tuple[tuple[str, Multipliers, str], ...] = (
        ("demand of the event", known(demand={}, peak={}), "more years of the event: `peakday scenario fit`"),
        ("turns and calls per interaction", known(turns=one), "a run with the event's customers: `peakday run`"),
        ("prompt tokens per call", known(input_tokens=one), "a run with the real prompts: `peakday run`"),
        ("answer tokens per call", known(output_tokens=one), "a run on the real models: `peakday run --live`"),
        ("prompt cache hit ratio (Bedrock)", known(cache_hits=_middle(draws.cache_hits)), "`peakday run --live`"),
        ("prefix hit ratio (own engines)", known(prefix_hits=_middle(draws.prefix_hits)), "`peakday cache replay`"),
        ("calls of each model", known(routes={}), "the router on real messages: `peakday assistant route`"),
        ("rate per replica", known(step_error=np.zeros(1)), "a rate sweep on the chip: `peakday calibrate`"),
    )
    before = _at_level(base, draws)
    rows = []
    for name, settled, how in inputs:
        after = _at_level(base, settled)
        rows.append(InformationValue(name, before[0] - after[0], before[1] - after[1], how))
    return tuple(sorted(rows, key=lambda row: (-row.event_usd_spared, -row.chips_spared)))


def variance_shares(base: Base, draws: Multipliers) -> tuple[VarianceShare, ...]:
    """What knowing each cause would take off the variance of ln(event cost), as shares of their sum; the largest first.

    Source: total-effect indices (Homma and Saltelli 1996) with the cause held at its middle, normalised to add up.
    """
    one, zero = np.ones(1), np.zeros(1)
    causes = {
        "demand": replace(draws, demand={}, peak={}),
        "tokens, turns and routes": replace(draws, turns=one, input_tokens=one, output_tokens=one, routes={}),
        "cache hits": replace(draws, cache_hits=one, prefix_hits=one),
        "step times": replace(draws, step_error=zero),
        "surface and seed": replace(draws, surface_error=zero),
    }

    def variance(drawn: Multipliers) -> float:
        return float(np.var(np.log(np.maximum(outcome(base, drawn, at_level=False).event_cost_usd, 1e-9))))

    everything = variance(draws)
    removed = {cause: max(0.0, everything - variance(known)) for cause, known in causes.items()}
    total = sum(removed.values())
    shares = [VarianceShare(cause, part / total if total else 0.0) for cause, part in removed.items()]
    return tuple(sorted(shares, key=lambda share: -share.share))


def _middle(values: Floats) -> Floats:
    return np.array([np.median(values)])


def _at_level(base: Base, draws: Multipliers) -> tuple[float, float]:
    drawn = outcome(base, draws, at_level=False)
    return float(np.quantile(drawn.chips, 0.9)), float(np.quantile(drawn.event_cost_usd, 0.9))


def _spread(values: Floats) -> Spread:
    low, mid, high = np.quantile(values, [0.05, 0.5, 0.95])
    return Spread(float(low), float(mid), float(high))


def _order_interval(values: Floats, quantile: float) -> Interval:
    """90% interval of a quantile by order statistics (binomial, normal approximation)."""
    n = values.size
    half = Z_90 * np.sqrt(n * quantile * (1 - quantile))
    ranks = np.clip([np.floor(n * quantile - half), np.ceil(n * quantile + half)], 0, n - 1).astype(int)
    low, high = np.sort(values)[ranks]
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class Move:
    """One input moved from its low to its high value, all others at their middle."""

    name: str
    low: Multipliers
    high: Multipliers


def moves(streams: Mapping[str, Stream], unknown: Unknowns) -> list[Move]:
    """The one-at-a-time moves of every plan, each over the 90% range its draws have."""
    listed = []
    for name, stream in streams.items():
        median, low, high = (float(v) for v in range_quantile(stream.peak_per_s, np.array([0.5, 0.05, 0.95])))
        if median > 0:
            at = partial(_demand_of, name)
            listed.append(_move(f"demand: {name} at the peak", at, low / median, high / median))
    few, many = 1 / (1 + unknown.spread), 1 + unknown.spread
    provider, prefix = (
        hits_over(planned, np.array([factor, 1 / factor]))
        for planned, factor in (
            (unknown.provider_hits, unknown.provider_misses),
            (unknown.prefix_hits, unknown.prefix_misses),
        )
    )
    listed += [
        _move("turns and calls per interaction", lambda v: Multipliers(turns=v), few, many),
        _move("prompt tokens per call", lambda v: Multipliers(input_tokens=v), few, many),
        _move("answer tokens per call", lambda v: Multipliers(output_tokens=v), few, many),
        _move("prompt cache hit ratio (Bedrock)", lambda v: Multipliers(cache_hits=v), *provider),
        _move("prefix hit ratio (own engines)", lambda v: Multipliers(prefix_hits=v), *prefix),
        _move("rate per replica (step model error)", lambda v: Multipliers(step_error=v), -Z_90, Z_90),
    ]
    return listed


def _demand_of(stream: str, ratio: Floats) -> Multipliers:
    return Multipliers(demand={stream: ratio})


def _move(name: str, at: Callable[[Floats], Multipliers], low: float, high: float) -> Move:
    return Move(name, at(np.array([low])), at(np.array([high])))


def sensitivities(base: Base, listed: Sequence[Move]) -> tuple[Sensitivity, ...]:
    """What each move does to chips and to the event's cost, the largest relative swing first."""
    middle = outcome(base, Multipliers(), at_level=True)
    ranked: list[tuple[float, Sensitivity, Sensitivity]] = []
    for move in listed:
        low, high = outcome(base, move.low, at_level=True), outcome(base, move.high, at_level=True)
        chips = Sensitivity(move.name, "chips", float(low.chips[0]), float(high.chips[0]), "chips")
        usd = Sensitivity(
            move.name, "event_cost_usd", float(low.event_cost_usd[0]), float(high.event_cost_usd[0]), "USD"
        )
        swing = max(_swing(chips, float(middle.chips[0])), _swing(usd, float(middle.event_cost_usd[0])))
        ranked.append((swing, chips, usd))
    ranked.sort(key=lambda row: -row[0])
    return tuple(item for _, chips, usd in ranked for item in (chips, usd) if item.at_low != item.at_high)


def _swing(move: Sensitivity, middle: float) -> float:
    return abs(move.at_high - move.at_low) / middle if middle else 0.0
