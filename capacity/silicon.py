"""Own silicon: every chip that may serve a model, what it takes, and why all but one are turned down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from capacity.fleet import cheapest_box, fleet, priced_boxes
from capacity.plan import PROVENANCES, ChipOption, Figure, Levels, PlanError, weakest
from capacity.prices import Prices
from capacity.requests import Floats
from capacity.service import Lengths, Promise, ReplicaRate, rate_at_promise
from facts.reader import Model
from neuron_bench.step_model import StepModel
from scenarios.schema import OwnSupply, Resilience

EXTRAPOLATION_MAX = 1.1
"""Beyond 1.1 x what was seen a step model is not used (DESIGN 9.4)."""
Z_90 = 1.645


@dataclass(frozen=True)
class Service:
    """One model on one chip: its step model and the rate one replica keeps its promise at."""

    model: str
    step: StepModel
    rate: ReplicaRate
    lengths_provenance: str

    @property
    def provenance(self) -> str:
        """Weakest of the step model and the token lengths it was given."""
        return weakest([self.step.provenance, self.lengths_provenance])


def usable_models(own: OwnSupply, name: str, model: Model, offered: Sequence[StepModel]) -> list[StepModel]:
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


def within_validity(step: StepModel, lengths: Lengths) -> tuple[StepModel, list[str]]:
    """The step model held to the batch it was seen at, and what the lengths ask beyond its range.

    Raises:
        PlanError: a fitted model asked about longer calls than 1.1 x what it saw. Published means (`derived`) have
            one length; they are used with a warning.
    """
    warnings = []
    seen = step.validity.get("decoding")
    if seen is not None:
        step = replace(step, max_num_seqs=max(1, min(step.max_num_seqs, int(seen[1] * EXTRAPOLATION_MAX))))
    for name, mean in (
        ("input_tokens", float(lengths.input_tokens.mean())),
        ("output_tokens", float(lengths.output_tokens.mean())),
    ):
        limits = step.validity.get(name)
        if limits is None or mean <= limits[1] * EXTRAPOLATION_MAX:
            continue
        what = f"{step.model_id} on {step.chip}: mean {name} {mean:,.0f} against at most {limits[1]:,.0f} seen"
        if step.provenance != "derived":
            raise PlanError(
                f"{what}; refused beyond {EXTRAPOLATION_MAX} x: measure that length with `peakday bench run`"
            )
        warnings.append(f"{what}: the published rows have one length, so this rate is an extrapolation")
    return step, warnings


def services(
    name: str, own: OwnSupply, steps: Sequence[StepModel], lengths: Lengths, promise: Promise, origin: str, seed: int
) -> tuple[list[Service], list[str]]:
    """The rate at the promise of every usable chip, with validity warnings."""
    made, warnings = [], []
    for step in steps:
        held, notes = within_validity(step, lengths)
        warnings += notes
        rate = rate_at_promise(lengths, held, promise, n=SAMPLE, seed=seed)
        made.append(Service(name, held, rate, origin))
    return made, warnings


SAMPLE = 4_000
"""Calls simulated at each step of the bisection."""


def chip_options(
    made: Sequence[Service], load: Levels, load_draws: Floats, error_draws: Floats, prices: Prices, rules: Resilience
) -> tuple[ChipOption, ...]:
    """Every chip sized for the load, the cheapest at p90 chosen, the others turned down with the reason.

    Args:
        load_draws, error_draws: joint draws [n] of the load and of the standard normal model error.
    """
    options = [_option(service, load, load_draws, error_draws, prices, rules) for service in made]
    usable = [option for option in options if option.turned_down is None]
    if not usable:
        return tuple(options)
    best = min(usable, key=lambda option: option.usd_per_hour.mid)
    return tuple(
        option
        if option is best or option.turned_down
        else replace(
            option,
            turned_down=f"costs {option.usd_per_hour.mid:,.2f} USD/h at p90, {best.chip} {best.usd_per_hour.mid:,.2f}",
        )
        for option in options
    )


def _option(
    service: Service, load: Levels, load_draws: Floats, error_draws: Floats, prices: Prices, rules: Resilience
) -> ChipOption:
    step, rate = service.step, service.rate
    boxes = priced_boxes(step.chip, step.chips_per_replica, prices.instances, prices.own_usd_per_hour)
    if rate.rate_per_s <= 0:
        return _excuse(service, _alone(rate))
    if not boxes:
        return _excuse(service, f"no public price of any {step.chip} instance; add prices.instances to peakday.yaml")
    box = cheapest_box(load.p90, rate.rate_per_s, step, boxes, rules)
    sized = fleet(np.array([load.p50, load.p90, load.p95]), rate.rate_per_s, step, box.instance, rules)
    drawn = fleet(load_draws, rate.rate_per_s * np.exp(error_draws * step.relative_error), step, box.instance, rules)
    return ChipOption(
        chip=step.chip,
        instance_type=box.instance.instance,
        step_model=f"{step.model_id} on {step.chip}, tp {step.tp}: {step.source}",
        rate_per_replica_per_s=_figure(service, rate.rate_per_s, _spread(rate.rate_per_s, step), "1/s"),
        replicas=Levels(*map(float, sized.replicas)),
        instances=Levels(*map(float, sized.instances)),
        chips=Levels(*map(float, sized.chips)),
        chips_range=_figure(service, float(sized.chips[1]), _interval(drawn.chips), "chips"),
        usd_per_hour=_figure(
            service,
            float(sized.instances[1]) * box.usd_per_hour,
            _interval(drawn.instances * box.usd_per_hour),
            "USD/h",
        ),
        utilisation_ratio=_figure(
            service,
            load.p50 / (float(sized.replicas[1]) * rate.rate_per_s),
            _interval(load_draws / (float(sized.replicas[1]) * rate.rate_per_s)),
            "ratio",
        ),
        binding=rate.binding if sized.replicas[1] > rules.zones else f"one replica in each of {rules.zones} zones",
    )


def _alone(rate: ReplicaRate) -> str:
    seen = rate.p99s
    return f"{rate.binding}: it takes TTFT {seen.ttft_s:.3g} s, TPOT {seen.tpot_s:.3g} s, E2E {seen.e2e_s:.3g} s"


def _spread(value: float, step: StepModel) -> tuple[float, float]:
    factor = float(np.exp(Z_90 * step.relative_error))
    return value / factor, value * factor


def _interval(values: npt.ArrayLike) -> tuple[float, float]:
    low, high = np.quantile(np.asarray(values, dtype=np.float64), [0.05, 0.95])
    return float(low), float(high)


def _figure(service: Service, mid: float, interval: tuple[float, float], unit: str) -> Figure:
    return Figure(
        mid, interval[0], interval[1], unit, service.provenance, service.step.source,
        simulated=service.provenance == "simulated",
    )  # fmt: skip


def _excuse(service: Service, why: str) -> ChipOption:
    """An option that cannot be used, with nothing that looks like a size."""
    nothing = _figure(service, 0.0, (0.0, 0.0), "")
    zero = Levels(0.0, 0.0, 0.0)
    return ChipOption(
        chip=service.step.chip,
        instance_type=service.step.instance_type or "",
        step_model=f"{service.step.model_id} on {service.step.chip}, tp {service.step.tp}: {service.step.source}",
        rate_per_replica_per_s=_figure(service, service.rate.rate_per_s, (0.0, service.rate.rate_per_s), "1/s"),
        replicas=zero,
        instances=zero,
        chips=zero,
        chips_range=nothing,
        usd_per_hour=nothing,
        utilisation_ratio=nothing,
        binding=service.rate.binding,
        turned_down=why,
    )
