"""Self-hosted models: every chip that may serve a model, what it takes, and why all but one are rejected."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from capacity.cost.hours import HourlyNeed
from capacity.cost.prices import Prices
from capacity.fleet.outcome import Multipliers, Overflow, SelfHostedChoice, Service
from capacity.fleet.overflow import cheapest_with_overflow, overflow_figures
from capacity.fleet.service_level import JointLevel, joint_level, short_of
from capacity.fleet.sizing import Hold, InstanceOffer, Period, fleet, held_for, list_usd_per_hour, priced_offers
from capacity.plan import PlanError
from capacity.rows.figures import PROVENANCES, Figure, Levels, range_around, weakest
from capacity.rows.fleet import ChipOption
from capacity.simulator.memory import Memory, content_key
from capacity.simulator.rate_at_slo import Lengths, drawn_work, rate_at_slo, throughput_bound_per_s
from capacity.simulator.requests import Floats
from capacity.simulator.surface import FLAT, design, simulate_surface
from facts.reader import Model
from neuron_bench.step_model import Coefficients, StepModel
from scenarios.demand import INTERACTIONS
from scenarios.schema import Resilience, SelfHostedSupply
from slo.slo import Slo

EXTRAPOLATION_MAX = 1.1
"""Beyond 1.1 x what was seen a fitted step model is not used."""
SAMPLE = 4_000
"""Calls simulated at each step of a bisection: 40 lie beyond the p99."""
SURFACE_SAMPLE = 3_000
SEEDS = 4
"""Simulations of the base rate with different arrivals: one moved it by 16%."""
COUNTED_ON_MIN = 0.1
"""A replica that keeps its SLOs only below this share of its full-batch throughput is not counted on: it idles nine
tenths of its time for their sake, and a little more prompt leaves it none. A rule of ours; docs/plan.md states it."""
Z_90 = 1.6449
THREADS = min(4, os.cpu_count() or 1)
"""Points of a surface that are simulated at once: the compiled simulator leaves the interpreter to the others."""
SIMULATIONS: Memory[tuple[Service, list[str]]] = Memory(256)
"""What this process simulated: re-planning with another peak, price, quota or service level simulates nothing."""


def usable_models(own: SelfHostedSupply, name: str, model: Model, offered: Sequence[StepModel]) -> list[StepModel]:
    """One step model per allowed chip: the strongest provenance, then the newest.

    Raises:
        PlanError: a step model made of schema examples.
    """
    ids = {own.bench_model_id, name, model.model_id, *model.bench_model_ids}
    fitting = [step for step in offered if step.model_id in ids and step.chip in own.chips]
    for step in fitting:
        if step.provenance == "schema_example":
            raise PlanError(
                f"step model of {step.model_id} on {step.chip}: schema_example values are invented and never planned "
                "from; measure with `peakday bench run` or import published rows"
            )
    best: dict[str, StepModel] = {}
    for step in sorted(fitting, key=lambda s: (-PROVENANCES.index(s.provenance), s.date)):
        best[step.chip] = step
    return [best[chip] for chip in own.chips if chip in best]


def within_validity(step: StepModel, lengths: Lengths) -> tuple[StepModel, float, list[str]]:
    """The step model held to the batch it was seen at, the error its extrapolation adds, and what goes beyond.

    Prefill is judged by uncached tokens, attention by the context. Published means (`derived`) have one length mix, so
    any plan extrapolates: each excess adds half its logarithm to the one-sigma error of the rate, a judgement.

    Raises:
        PlanError: a fitted model asked about longer calls than 1.1 x what it saw.
    """
    decoding = step.validity.get("decoding")
    if decoding is not None:
        step = replace(step, max_num_seqs=max(1, min(step.max_num_seqs, int(decoding[1] * EXTRAPOLATION_MAX))))
    means = {
        "input_tokens": float((lengths.input_tokens - lengths.cached_tokens).mean()),
        "output_tokens": float(lengths.output_tokens.mean()),
        "context_tokens": float((lengths.input_tokens + lengths.output_tokens / 2).mean()),
    }
    added, beyond = 0.0, []
    for name, mean in means.items():
        limits = step.validity.get(name)
        if limits is None or mean <= limits[1] * EXTRAPOLATION_MAX:
            continue
        what = f"mean {name} {mean:,.0f} against at most {limits[1]:,.0f} seen"
        if step.provenance != "derived":
            raise PlanError(
                f"{step.model_id} on {step.chip}: {what}; refused beyond {EXTRAPOLATION_MAX} x: measure that length "
                "with `peakday bench run`"
            )
        added = math.hypot(added, math.log(mean / limits[1]) / 2)
        beyond.append(what)
    return step, added, beyond


def make_service(
    name: str, step: StepModel, lengths: Lengths, slos: Sequence[Slo], origin: str, seed: int, draws: Multipliers
) -> tuple[Service, list[str]]:
    """A model on a chip as `_simulated_service` makes it; one made before in this process is not simulated again."""
    key = content_key(name, step, lengths, tuple(slos), origin, seed, draws.input_tokens, draws.prefix_hits)
    return SIMULATIONS.get(
        key, lambda: _simulated_service(name, step, lengths, slos, origin, seed, draws), (name, step.chip)
    )


def _simulated_service(
    name: str, step: StepModel, lengths: Lengths, slos: Sequence[Slo], origin: str, seed: int, draws: Multipliers
) -> tuple[Service, list[str]]:
    """Simulate one model on one chip: its rate at the SLOs and the surface around it; and what to warn about.

    The rate is the geometric mean over seeds of its own; what they differ by is part of its error. The surface is
    simulated where the draws are.
    """
    held, added, beyond = within_validity(step, lengths)
    rates = [rate_at_slo(lengths, held, slos, n=SAMPLE, seed=seed + 7919 * k) for k in range(SEEDS)]
    rate, served = rates[0], np.array([each.rate_per_s for each in rates])
    warnings = (
        [f"extrapolates published means: {', '.join(beyond)}; the range of its chips is widened"] if beyond else []
    )
    if served.min() <= 0:
        worst = rates[int(np.argmin(served))]
        provenance = weakest([step.provenance, origin])
        return Service(
            name, held, 0.0, FLAT, worst.binding, provenance, math.hypot(held.relative_error, added)
        ), warnings
    middle, noise = float(np.exp(np.log(served).mean())), float(np.log(served).std(ddof=1)) / math.sqrt(SEEDS)
    surface = FLAT
    if len(lengths.input_tokens) > 1:
        one_sigma = float(np.std(np.log(draws.input_tokens)))
        axes = design(one_sigma, draws.prefix_hits if lengths.cached_tokens.any() else np.ones(1))
        surface = simulate_surface(
            lambda prompt, answer, hits: (
                rate_at_slo(lengths.scaled(prompt, answer, hits), held, slos, n=SURFACE_SAMPLE, seed=seed).rate_per_s
            ),
            axes,
            THREADS,
        )
    provenance = weakest([step.provenance, origin])
    error = math.hypot(held.relative_error, added)
    bound = throughput_bound_per_s(drawn_work(lengths, SAMPLE, seed), held)
    noise, least = math.hypot(min(surface.error, 1.0), noise), COUNTED_ON_MIN * bound / middle
    service = Service(name, held, middle, surface, rate.binding, provenance, error, noise, least)
    served_ratio = float(service.serves(draws).mean())
    if served_ratio < 1:
        warnings.append(
            f"keeps its SLOs only at less than {COUNTED_ON_MIN:.0%} of its full-batch throughput in "
            f"{1 - served_ratio:.1%} of draws, with longer prompts or fewer hits: it is not counted on in those"
        )
    return service, warnings


STATED = "stated"


def stated_service(name: str, own: SelfHostedSupply, known: StepModel | None, slos: Sequence[Slo]) -> Service:
    """The rate that the user states for one chip, at the SLOs of the scenario; it moves with nothing.

    Raises:
        PlanError: how many chips a replica takes is neither stated nor in a step model of the chip.
    """
    rate, key = own.rate_per_replica_per_s, f"capacity.own.{name}"
    assert rate is not None  # callers ask only where it is stated
    chips = own.chips_per_replica or (known.chips_per_replica if known is not None else None)
    if chips is None:
        raise PlanError(
            f"{key}.rate_per_replica_per_s: no step model of {own.chips[0]} says how many chips a replica takes; "
            f"give {key}.chips_per_replica"
        )
    tp = known.tp if known is not None else 1
    step = StepModel(
        model_id=own.bench_model_id, chip=own.chips[0], tp=tp, chips_per_replica=chips,
        buckets=(Coefficients(1 / rate, 0.0, 0.0, 0.0, 0.0),), max_num_seqs=1, max_batched_tokens=1, block_tokens=1,
        kv_blocks=1, ttft_overhead_s=0.0, gap_overhead_s=0.0, provenance=STATED, relative_error=0.0, engine=STATED,
        version="", date="", source=f"scenario: {key}.rate_per_replica_per_s",
    )  # fmt: skip
    return Service(name, step, rate, FLAT, f"a stated rate at {_limits(slos)}", STATED, 0.0)


def _limits(slos: Sequence[Slo]) -> str:
    return " and ".join(f"{slo.name} <= {slo.limit:g}" for slo in slos)


def stated_note(name: str, service: Service, slos: Sequence[Slo]) -> str:
    """What a stated rate leaves out."""
    return (
        f"{name}: {service.rate_per_s:g}/s a replica on {service.step.chip} is stated, at {_limits(slos)}: no range "
        "of chips holds its error, and it does not move with tokens or hits"
    )


@dataclass(frozen=True)
class MostToBeHad:
    """Instances of a type that one model can have in a region, and why no more."""

    instances: int
    why: str


@dataclass(frozen=True)
class Terms:
    """What every option of a plan is sized and priced by. draws: joint draws shared by the whole plan.

    joint: the order statistic of the draws that is bought; None where every option is sized for itself.
    hourly: by stream, what each hour of the region needs of its peak; none where everything is held throughout.
    begins_s: of what is paid for, after midnight UTC. owned: instances of the region by type. limits: what can be had
    of a type. overflows: by model, where its calls may go that a fleet does not take.
    """

    draws: Multipliers
    prices: Prices
    rules: Resilience
    paid_s: float
    service_level: float
    begins_s: float
    owned: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, MostToBeHad] = field(default_factory=dict)
    overflows: Mapping[str, Overflow] = field(default_factory=dict)
    joint: JointLevel | None = None
    hourly: Mapping[str, HourlyNeed] = field(default_factory=dict)


def chip_options(
    made: Sequence[Service], load: Levels, region: str, stream: str, terms: Terms
) -> tuple[tuple[ChipOption, ...], SelfHostedChoice | None]:
    """Every chip sized for the load: the one that costs least for the event, overflow included, is chosen.

    Without an overflow a chip that is counted on in too few draws to reach the service level never beats one that can.
    """
    sized = [_option(service, load, region, stream, terms) for service in made]
    usable = [(option, choice) for option, choice in sized if choice is not None]
    if not usable:
        return tuple(option for option, _ in sized), None
    wanted = 0.0 if any(option.overflow for option, _ in usable) else terms.service_level
    most = max(min(option.served_ratio, wanted) for option, _ in usable)
    enough = [pair for pair in usable if min(pair[0].served_ratio, wanted) >= most]
    best, choice = min(enough, key=lambda pair: pair[0].mean_usd)

    def reason(option: ChipOption) -> str:
        if min(option.served_ratio, wanted) < most:
            return (
                f"its SLOs can be met in {option.served_ratio:.0%} of draws, on {best.chip} in {best.served_ratio:.0%}"
            )
        beside = " with its overflow" if best.overflow else ""
        return f"{best.chip} costs {best.mean_usd:,.0f} USD for the event{beside}, this {option.mean_usd:,.0f}"

    return (
        tuple(
            option if option is best or option.rejected else replace(option, rejected=reason(option))
            for option, _ in sized
        ),
        choice,
    )


def _option(
    service: Service, load: Levels, region: str, stream: str, terms: Terms
) -> tuple[ChipOption, SelfHostedChoice | None]:
    step, prices = service.step, terms.prices
    known = priced_offers(step.chip, step.chips_per_replica, prices.instances, prices.own_usd_per_hour)
    offers = [replace(offer, owned=terms.owned.get(offer.instance.instance, 0)) for offer in known]
    if service.rate_per_s <= 0:
        return _excuse(service, service.binding), None
    if not offers:
        chips = ", ".join(sorted({instance.chip for instance in prices.instances.values()}))
        why = f"no public price of any {step.chip} instance ({chips} are known); add prices.instances to peakday.yaml"
        return _excuse(service, why), None
    overflow = terms.overflows.get(service.model) if stream == INTERACTIONS and load.p50 else None
    middle = SelfHostedChoice(region, stream, load.p50, service, offers[0], 0.0, overflow=overflow)
    needs = middle.load_at_middle_rate(terms.draws) * np.ones(1)
    if overflow is not None:
        return _with_overflow(middle, offers, load, needs, terms)
    joint = terms.joint or joint_level([needs], terms.service_level)
    bought = joint.of(needs)
    if not math.isfinite(bought):
        return _excuse(service, "it is counted on in no draw of the workload"), None
    bookable = [offer for offer in offers if offer.instance.instance not in terms.limits]
    holds = [_hold(middle, each, bought, terms) for each in bookable or offers]
    best = min(holds, key=lambda hold: (round(hold.usd, 9), hold.instances))
    choice = _bought(middle, best, bought)
    option = _sized(choice, load, needs, terms)
    if not bookable:
        why = f"{terms.limits[option.instance_type].why}; it would cost {option.event_usd:,.0f} USD for the event"
        return replace(option, rejected=why), None
    return option, choice


def _with_overflow(
    middle: SelfHostedChoice, offers: Sequence[InstanceOffer], load: Levels, needs: Floats, terms: Terms
) -> tuple[ChipOption, SelfHostedChoice | None]:
    """The offer and fleet that cost least with what goes beyond them, no more instances than can be had."""
    sized = []
    for offer in offers:
        limit, here = terms.limits.get(offer.instance.instance), replace(middle, offer=offer)
        zones = terms.rules.zones
        most = math.inf if limit is None else _carried_by(here, limit.instances // zones, terms.rules)

        def bought(size: float, here: SelfHostedChoice = here) -> SelfHostedChoice:
            return _bought(here, _hold(here, here.offer, size, terms), size)

        if found := cheapest_with_overflow(replace(here, most_per_s=most), needs, terms.draws, terms.rules, bought):
            sized.append(found)
    if not sized:
        limits = [
            terms.limits[offer.instance.instance].why for offer in offers if offer.instance.instance in terms.limits
        ]
        why = (
            limits[0]
            if limits
            else f"it is counted on in {np.isfinite(needs).mean():.0%} of draws, not in the median one"
        )
        return _excuse(middle.service, why), None
    choice = min(sized, key=lambda pair: pair[0])[1]
    option = _sized(choice, load, needs, terms)
    alone = joint_level([needs], terms.service_level)
    alone_usd = _hold(middle, choice.offer, alone.of(needs), terms).usd if alone.reached else None
    return replace(option, overflow=overflow_figures(choice, needs, terms.draws, alone_usd)), choice


def _hold(middle: SelfHostedChoice, offer: InstanceOffer, bought: float, terms: Terms) -> Hold:
    """A fleet of an offer that carries so many calls a second at the middle rate, held in the cheaper way."""
    period = Period(terms.paid_s, terms.begins_s, terms.hourly.get(middle.stream))
    return held_for(bought, middle.service.rate_per_s, middle.service.step, offer, terms.rules, period)


def _bought(middle: SelfHostedChoice, hold: Hold, bought: float) -> SelfHostedChoice:
    ratio = bought / middle.load_per_s if middle.load_per_s else 1.0
    return replace(middle, offer=hold.offer, billed_hours=hold.billed_hours, bought_over_p50=ratio, held=hold.held)


def _sized(choice: SelfHostedChoice, load: Levels, needs: Floats, terms: Terms) -> ChipOption:
    """The option's fleets at three quantiles of demand and as bought, with what the joint draws need as its ranges."""
    service, offer, rules = choice.service, choice.offer, terms.rules
    bought = load.p50 * choice.bought_over_p50
    rate, spread = service.rate_per_s, math.exp(Z_90 * service.error)
    at = fleet(np.array([load.p50, load.p90, load.p95, bought]), rate, service.step, offer.instance, rules)
    drawn = choice.needed(terms.draws, rules, at_level=False)
    carried = max(float(at.replicas[3]) * rate, 1e-300)
    busy = np.minimum(1.0, load.p50 * choice.peak_ratio(terms.draws) / carried)
    owned = min(offer.owned, int(at.instances[3]))
    bought_usd_per_hour = (float(at.instances[3]) - owned) * offer.usd_per_hour
    return ChipOption(
        chip=service.step.chip,
        instance_type=offer.instance.instance,
        step_model=_named(service),
        rate_per_replica_per_s=_figure(service, rate, (rate / spread, rate * spread), "1/s"),
        replicas=Levels(*map(float, at.replicas)),
        instances=Levels(*map(float, at.instances)),
        chips=Levels(*map(float, at.chips)),
        chips_range=_figure(service, float(at.chips[3]), _interval(drawn.chips), "chips"),
        usd_per_hour=replace(
            _figure(service, bought_usd_per_hour, _interval(drawn.instances * offer.usd_per_hour), "USD/h"),
            source=f"{_price_source(offer)}; instances: {service.step.source}",
        ),
        utilisation_ratio=_figure(service, min(1.0, load.p50 / carried), _interval(busy), "ratio"),
        binding=service.binding if at.replicas[3] > rules.zones else f"one replica in each of {rules.zones} zones",
        chips_per_replica=service.step.chips_per_replica,
        price_kind=offer.price_kind,
        billed_hours=choice.billed_hours,
        held=choice.held,
        event_usd=bought_usd_per_hour * choice.billed_hours,
        list_usd_per_hour=list_usd_per_hour(offer),
        owned_instances=owned,
        load_per_s=Levels(load.p50, load.p90, load.p95, bought),
        short=short_of(needs <= bought * (1 + 1e-12)),
        one_fewer_short=short_of(needs <= _carried_by(choice, int(at.instances[3]) // rules.zones - 1, rules)),
        served_ratio=float(np.isfinite(needs).mean()),
    )


def _carried_by(choice: SelfHostedChoice, instances_per_zone: int, rules: Resilience) -> float:
    """Calls a second at the middle rate that so many instances in each zone carry."""
    per_instance = choice.offer.instance.chips / choice.service.step.chips_per_replica
    replicas = math.floor(
        round(instances_per_zone * (per_instance if per_instance < 1 else math.floor(per_instance)), 9)
    )
    working = (rules.zones - rules.zones_lost) * (1 - rules.drain_ratio - rules.broken_ratio)
    return replicas * choice.service.rate_per_s * working / (1 + rules.retry_extra_attempts)


def _interval(values: npt.ArrayLike) -> tuple[float, float]:
    low, high = np.quantile(np.asarray(values, dtype=np.float64), [0.05, 0.95])
    return float(low), float(high)


def _figure(service: Service, mid: float, interval: tuple[float, float], unit: str) -> Figure:
    simulated = service.provenance == "simulated"
    return Figure(
        mid, *range_around(mid, *interval), unit, service.provenance, service.step.source, simulated=simulated
    )


def _price_source(offer: InstanceOffer) -> str:
    """Where an instance's price of an hour comes from."""
    public = offer.instance
    if offer.price_kind == "own price":
        return f"your own price of {public.instance}"
    return f"{public.instance}, {offer.price_kind}, {public.price_date}: {public.source.removeprefix('prices: ')}"


def _named(service: Service) -> str:
    step = service.step
    return f"{step.model_id} on {step.chip}, tp {step.tp}: {step.source}"


def _excuse(service: Service, why: str) -> ChipOption:
    """An option that cannot be used, with nothing that looks like a size."""
    nothing, zero = _figure(service, 0.0, (0.0, 0.0), ""), Levels(0.0, 0.0, 0.0)
    return ChipOption(
        chip=service.step.chip,
        instance_type=service.step.instance_type or "",
        step_model=_named(service),
        rate_per_replica_per_s=_figure(service, service.rate_per_s, (0.0, service.rate_per_s), "1/s"),
        replicas=zero,
        instances=zero,
        chips=zero,
        chips_range=nothing,
        usd_per_hour=nothing,
        utilisation_ratio=nothing,
        binding=service.binding,
        rejected=why,
    )
