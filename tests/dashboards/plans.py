"""A plan whose numbers obey capacity's own arithmetic, so that a spreadsheet of it can be checked to the last digit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from capacity.fleet.sizing import fleet
from capacity.plan import InputNote, Plan, Rejected, ScenarioRef
from capacity.quotas.quota import CallTokens, Granted, needs
from capacity.rows.doubt import ErrorBars, Sensitivity
from capacity.rows.figures import Figure, Interval, Levels, Spread
from capacity.rows.fleet import ChipOption, HitRate, SizingRules, SupplyPlan
from capacity.rows.money import CostLine, Purchase
from capacity.rows.needs import AccountNeed, QuotaNeed, RegionDemand
from facts.reader import instances
from neuron_bench.fit.published import step_models
from scenarios.schema import Resilience

REGIONS = {"us-east-1": 420.0, "us-west-2": 280.0}
LEVEL_RATIOS = (1.0, 1.35, 1.5)
RULES = Resilience(retry_extra_attempts=0.02)
HOURS = 24.0
INTERACTIONS = 31_000_000.0
USD_PER_HOUR = {"trn2.48xlarge": 35.7608, "inf2.48xlarge": 12.98127}
TOKEN_CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
_PER_MILLION = 1e-6


@dataclass(frozen=True)
class Use:
    """How a model is used: calls per interaction, mean tokens of a call and prices, both by class."""

    calls: float
    tokens: tuple[float, ...]
    prices: tuple[float | None, ...] = ()
    quota: CallTokens | None = None
    granted: Granted | None = None


USES = {
    "custom-8b": Use(2.0, (700.0, 2_400.0, 60.0, 0.0, 150.0)),
    "nova-pro": Use(
        0.6, (900.0, 2_300.0, 120.0, 0.0, 180.0), (0.8, 0.2, 0.8, None, 3.2), CallTokens(4_344, 1_200),
        Granted(None, 800_000.0, None, "facts/data/quotas.csv"),
    ),
    "claude-sonnet": Use(
        0.4, (1_100.0, 2_500.0, 300.0, 40.0, 240.0), (3.0, 0.3, 3.75, 6.0, 15.0), CallTokens(4_964, 2_640),
        Granted(200.0, None, None, "facts/data/quotas.csv"),
    ),
}  # fmt: skip


def figure(mid: float, unit: str, spread: float = 0.25, provenance: str = "derived", simulated: bool = False) -> Figure:
    """A figure with a range of `spread` around it."""
    return Figure(mid, mid * (1 - spread), mid * (1 + spread), unit, provenance, "a test", simulated=simulated)


@cache
def make_plan(*, simulated: bool = True) -> Plan:
    """A plan with chips in two regions, quotas that bind, and kinds whose grant is unknown."""
    demand = tuple(_demand(region, peak) for region, peak in REGIONS.items())
    supplies = tuple(_supply(name, use, place, simulated) for place in demand for name, use in USES.items())
    own_usd = sum(s.chosen.usd_per_hour.mid * HOURS for s in supplies if s.chosen)
    tokens = token_parts()
    whole = sum(tokens.values()) + own_usd / INTERACTIONS
    return Plan(
        plan_id="20261123-094300-smoke",
        created_utc="2026-11-23T09:43:00Z",
        peakday_version="0.1.0",
        scenario=ScenarioRef("smoke", "5b0c3a9d1e2f4455", 1, "2026-11-27T20:00:00-05:00"),
        seed=1,
        assumptions_with_most_effect=(
            "Peak chat rate: 250 to 900 interactions/s moves chips between 44 and 148",
            "Tokens of history per turn: 180 to 400 moves cost per interaction by 19%",
            "Step time of Llama-3.1-8B on Trainium2 is derived from published means: ±25%",
        ),
        first_limit_exceeded="nova-pro tpm in us-east-1, 0:00 into the event, at p90 of demand",
        inputs=_inputs(simulated),
        demand=demand,
        supplies=supplies,
        hit_rates=_hit_rates(simulated),
        cost=tuple(
            _line(intent, k, whole, tokens, own_usd / INTERACTIONS, simulated)
            for intent, k in {"all": 1.0, "comparison": 2.1, "product_search": 0.7, "order_status": 0.4}.items()
        ),
        event_cost_usd=figure(own_usd + sum(tokens.values()) * INTERACTIONS, "USD", 0.3, "derived", simulated),
        event_cost_parts_usd={"Bedrock tokens": sum(tokens.values()) * INTERACTIONS, "self-hosted": own_usd},
        rejected=(
            Rejected("inferentia2 for custom-8b", "dearer per hour at the same p99 TTFT"),
            Rejected("Priority tier for claude-sonnet", "1.4 times the cost; no value per interaction given"),
        ),
        sensitivities=_sensitivities(),
        warnings=("Step models derive from published means at one length mix; capacity error is stated as 25%.",),
        purchase=tuple(_bought(s) for s in supplies if s.chosen),
        errors=ErrorBars(
            chips=Spread(48.0, 64.0, 148.0),
            demand=Spread(52.0, 64.0, 120.0),
            model=Spread(56.0, 64.0, 80.0),
            monte_carlo={"p5": Interval(46.0, 50.0), "p95": Interval(140.0, 156.0)},
            draws=1_000,
        ),
        account_needs=(
            AccountNeed(
                "account_tpd", "us-east-1", Levels(4e10, 6e10, 7e10, 6.44e10), 5e10, "tokens", "quotas.yaml (L-4)"
            ),
            AccountNeed("active_sessions", "us-west-2", Levels(2e3, 2.9e3, 3.3e3, 3_111.0), 2_500, "count", "a test"),
            AccountNeed("tool_calls_per_s", "us-west-2", Levels(90, 120, 150, 130.0), 200, "per_s", "a test"),
        ),
        rules=SizingRules(
            **{name: getattr(RULES, name) for name in ("zones", "zones_lost", "drain_ratio", "broken_ratio")},
            retry_extra_attempts=RULES.retry_extra_attempts,
            hours=HOURS,
            interactions_in_event=INTERACTIONS,
        ),
    )


def token_parts() -> dict[str, float]:
    """USD of an interaction by token class, over all priced models."""
    return {
        kind: sum(
            use.calls * use.tokens[i] * (use.prices[i] or 0.0) * _PER_MILLION for use in USES.values() if use.prices
        )
        for i, kind in enumerate(TOKEN_CLASSES)
    }


def _demand(region: str, peak: float) -> RegionDemand:
    offsets = tuple(float(at) for at in range(0, 86_400, 900))
    shape = [0.3 + 0.7 * float(np.exp(-(((at - 72_000) / 9_000) ** 2))) for at in offsets]
    levels = [peak * ratio for ratio in LEVEL_RATIOS]
    return RegionDemand(region, Levels(*levels), offsets, *(tuple(level * s for s in shape) for level in levels))


def _levels(levels: Levels) -> tuple[float, float, float]:
    return levels.p50, levels.p90, levels.p95


def _supply(name: str, use: Use, place: RegionDemand, simulated: bool) -> SupplyPlan:
    calls = Levels(*(peak * use.calls for peak in _levels(place.peak_interactions_per_s)))
    tokens = figure(sum(use.tokens[:4]), "tokens", 0.2, "simulated" if simulated else "measured", simulated)
    quotas: tuple[QuotaNeed, ...] = ()
    if use.quota and use.granted:
        quotas = needs(calls, Levels(*(c * 40_000 for c in _levels(calls))), use.quota, use.granted, place)
    share = REGIONS[place.region] / sum(REGIONS.values())
    options = () if use.prices else tuple(_option(chip, calls, simulated) for chip in ("trainium2", "inferentia2"))
    return SupplyPlan(
        region=place.region,
        model=name,
        supply="bedrock" if use.prices else "self_hosted",
        calls_per_s=calls,
        input_tokens_per_call=tokens,
        output_tokens_per_call=figure(use.tokens[4], "tokens"),
        binding="quota" if use.prices else "TTFT p99 <= 1 s",
        options=options,
        quotas=quotas,
        calls_per_interaction=use.calls,
        calls_in_event=INTERACTIONS * use.calls * share,
        tokens_per_call=dict(zip(TOKEN_CLASSES, use.tokens, strict=True)),
        prices_usd_per_mtok={k: p for k, p in zip(TOKEN_CLASSES, use.prices, strict=False) if p is not None},
    )


def _option(chip: str, calls: Levels, simulated: bool) -> ChipOption:
    step = step_models()["meta-llama/Llama-3.1-8B-Instruct", chip]
    kind, rate = ("trn2.48xlarge", 2.3) if chip == "trainium2" else ("inf2.48xlarge", 0.8)
    sizes = [fleet(load, rate, step, instances()[kind], RULES) for load in _levels(calls)]
    replicas, boxes, chips = (
        [float(getattr(size, what)) for size in sizes] for what in ("replicas", "instances", "chips")
    )
    hourly = boxes[1] * USD_PER_HOUR[kind]
    return ChipOption(
        chip=chip,
        instance_type=kind,
        step_model=f"Llama-3.1-8B on {chip}",
        rate_per_replica_per_s=figure(rate, "1/s", 0.25, "derived", simulated),
        replicas=Levels(*replicas),
        instances=Levels(*boxes),
        chips=Levels(*chips),
        chips_range=Figure(chips[1], chips[0], chips[2], "chips", "derived", "a test", simulated=simulated),
        usd_per_hour=figure(hourly, "USD/h", 0.25, "derived", simulated),
        utilisation_ratio=figure(calls.p90 / (replicas[1] * rate), "ratio", 0.1),
        binding="TTFT p99 <= 1 s",
        rejected=None if chip == "trainium2" else "dearer per hour",
        price_kind="on demand",
        billed_hours=HOURS,
        event_usd=hourly * HOURS,
        chips_per_replica=step.chips_per_replica,
    )


def _line(intent: str, k: float, whole: float, tokens: dict[str, float], own: float, simulated: bool) -> CostLine:
    parts = {name.replace("_", " "): usd * k for name, usd in tokens.items()} | {"self-hosted": own * k}
    return CostLine(
        intent,
        figure(whole * k, "USD", 0.2, "derived", simulated),
        figure(whole * k / 2.2, "USD", 0.2, "derived", simulated),
        parts,
        {"interaction": {"p50": 0.9 * whole * k, "p95": 2.1 * whole * k, "p99": 3.2 * whole * k}},
    )


def _bought(supply: SupplyPlan) -> Purchase:
    chosen = supply.chosen
    assert chosen is not None
    return Purchase(
        region=supply.region,
        model=supply.model,
        instance_type=chosen.instance_type,
        instances=chosen.bought_instances,
        usd_per_hour=chosen.usd_per_hour.mid,
        price_kind=chosen.price_kind,
        billed_hours=HOURS,
        usd=chosen.event_usd,
    )


def _hit_rates(simulated: bool) -> tuple[HitRate, ...]:
    origin = "simulated" if simulated else "derived"
    levels = (("all", 0.71), ("shared", 0.92), ("customer", 0.55), ("conversation", 0.34))
    return tuple(
        HitRate(model, level, figure(ratio, "ratio", 0.08, origin, simulated))
        for model in USES
        for level, ratio in levels
    )


def _sensitivities() -> tuple[Sensitivity, ...]:
    return (
        Sensitivity("demand: interactions at the peak", "chips", 260.0, 980.0, "chips"),
        Sensitivity("demand: interactions at the peak", "event_cost_usd", 90_000.0, 410_000.0, "USD"),
        Sensitivity("rate per replica (step model error)", "chips", 690.0, 480.0, "chips"),
        Sensitivity("rate per replica (step model error)", "event_cost_usd", 215_000.0, 170_000.0, "USD"),
        Sensitivity("cache hit ratio", "event_cost_usd", 240_000.0, 184_000.0, "USD"),
    )


def _inputs(simulated: bool) -> tuple[InputNote, ...]:
    run = InputNote("run", "tokens per call", "run 20261123-094000-smoke", "simulated", "20261123-094000-smoke")
    told = "3 in, 15 out USD per million tokens"
    return (
        InputNote("assumption", "interactions at the peak", "250 .. 700 .. 900/s at 90%", "assumed", "scenario file"),
        *((run,) if simulated else ()),
        InputNote("step_model", "Llama-3.1-8B on trainium2", "relative error 25%", "derived", "neuron_load_curves.csv"),
        InputNote("prices", "claude-sonnet", told, "published", "facts/data/bedrock_prices.csv"),
        InputNote("quotas", "nova-pro", "800,000 tpm", "published", "facts/data/quotas.csv"),
    )
