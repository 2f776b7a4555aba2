"""An old plan against a later run, and two plans side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from capacity.calibration.prediction import refuse_hindsight
from capacity.cost.interaction import PARTS, cache_hit_figures
from capacity.demand.calls import Calls, measured_calls
from capacity.plan import Plan
from capacity.rows.figures import Figure
from loadgen.record import Run

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Score:
    """One figure of a plan beside what a later run measured."""

    name: str
    unit: str
    predicted: Figure
    measured: float

    @property
    def inside(self) -> bool:
        """The measurement lies in the predicted range."""
        return self.predicted.low <= self.measured <= self.predicted.high

    @property
    def counts(self) -> bool:
        """The range is an interval; one of confidence 0 is an expert's worst case, and covers nothing by being wide."""
        return self.predicted.confidence > 0

    @property
    def error_ratio(self) -> float | None:
        """(predicted - measured) / measured; None where nothing was measured."""
        return (self.predicted.mid - self.measured) / self.measured if self.measured else None


@dataclass(frozen=True)
class Backtest:
    """Scores in order of their error, the worst first."""

    scores: tuple[Score, ...]

    @property
    def coverage(self) -> tuple[int, int]:
        """How many measurements lie in their range, of how many; expert estimates count in neither."""
        counted = [score for score in self.scores if score.counts]
        return sum(score.inside for score in counted), len(counted)


@dataclass(frozen=True)
class Coverage:
    """How many of n measurements lay in their predicted range, with its 90% interval and what that says.

    chance: probability of a count as far from nominal or farther were every range right (two-sided, exact).
    """

    inside: int
    n: int
    low: float
    high: float
    chance: float

    @property
    def rejected(self) -> bool:
        """The ranges are not what they claim to be, at 5%."""
        return self.chance < COVERAGE_LEVEL

    def __str__(self) -> str:
        verdict = "REJECTED as 90% ranges" if self.rejected else "which does not contradict 90% ranges"
        return f"{self.inside} of {self.n} inside their range ({self.low:.0%} to {self.high:.0%}), {verdict}"


COVERAGE_LEVEL = 0.05


def coverage_interval(inside: int, n: int, nominal: float = 0.9) -> Coverage:
    """Binomial statistics of a count of covered measurements.

    Raises:
        ValueError: no measurement, or more inside than there are.
    Source: Clopper and Pearson 1934 for the interval; the exact binomial test for the chance.
    """
    if not 0 <= inside <= n or n == 0:
        raise ValueError(f"{inside} of {n} measurements inside: expected 0 <= inside <= n and n >= 1")
    from scipy.stats import binomtest  # 0.3 s to import, which no plan should pay

    test = binomtest(inside, n, nominal)
    interval = test.proportion_ci(confidence_level=0.9, method="exact")
    return Coverage(inside, n, float(interval.low), float(interval.high), float(test.pvalue))


def backtest(plan: Plan, run: Run) -> Backtest:
    """Score a plan against a run it cannot have known.

    Raises:
        PlanError: the plan was made after the run started, or the run is no evidence.
    """
    refuse_hindsight(plan.created_utc, run.info.started_utc or "", f"plan {plan.plan_id}, run {run.run_id}")
    scores = [*_scores(plan, measured_calls(run)), *_cost_score(plan, run)]
    return Backtest(tuple(sorted(scores, key=lambda score: -abs(score.error_ratio or 0.0))))


def _scores(plan: Plan, calls: Calls) -> Iterator[Score]:
    """Tokens and calls by model, hit ratios, and turns: what a plan assumed of its customers."""
    models = set(calls.model.tolist())
    for supply in {supply.model: supply for supply in plan.supplies}.values():
        if supply.model not in models:
            continue
        mask = calls.of(supply.model)
        yield Score(
            f"{supply.model}: prompt tokens per call", "tokens", supply.input_tokens_per_call,
            float(calls.prompt_tokens[mask].mean()),
        )  # fmt: skip
        yield Score(
            f"{supply.model}: answer tokens per call", "tokens", supply.output_tokens_per_call,
            float(calls.output_tokens[mask].mean()),
        )  # fmt: skip
        if supply.calls_per_interaction is not None:
            mid = supply.calls_per_interaction
            spread = 1.3
            figure = Figure(mid, mid / spread, mid * spread, "calls", "derived", "30% either way, as the plan's draws")
            yield Score(f"{supply.model}: calls per interaction", "calls", figure, calls.per_interaction(supply.model))
    for rate in plan.hit_rates:
        if rate.model in models:
            measured = cache_hit_figures(calls, rate.model).get(rate.level)
            if measured is not None:
                yield Score(f"{rate.model}: cache hits, {rate.level}", "ratio", rate.ratio, measured)


def _cost_score(plan: Plan, run: Run) -> Iterator[Score]:
    """Dollars of an interaction's tokens against the plan's line `all`, at list prices as a run's totals are.

    Chips, guardrails and failed attempts are in no run's totals, so the line is taken without them.
    """
    usd = run.info.totals.cost_usd_per_interaction if run.info.totals else None
    line = next((line for line in plan.cost if line.intent == "all"), None)
    if usd is None or line is None:
        return
    per_interaction = line.per_interaction_usd
    tokens_usd = sum(line.parts_usd.get(part, 0.0) for part in PARTS)
    net, listed = (
        parts.get("Bedrock tokens", 0.0) for parts in (plan.event_cost_parts_usd, plan.event_cost_parts_list_usd)
    )
    if not tokens_usd or not per_interaction.mid:
        return
    scale = tokens_usd / per_interaction.mid * (listed / net if net and listed else 1.0)
    figure = replace(
        per_interaction,
        mid=per_interaction.mid * scale,
        low=per_interaction.low * scale,
        high=per_interaction.high * scale,
    )
    yield Score("cost of tokens per interaction", "USD", figure, float(usd))


@dataclass(frozen=True)
class Change:
    """One figure of two plans. `apart`: their ranges do not touch."""

    name: str
    unit: str
    before: float | str
    after: float | str
    apart: bool = False


def compare_plans(before: Plan, after: Plan) -> tuple[Change, ...]:
    """Every input that differs, then every figure that does: cost, chips, rates, hit ratios and warnings."""
    inputs = [
        Change(f"input {name}", "", old or "-", new or "-")
        for name, (old, new) in _paired(_inputs(before), _inputs(after)).items()
        if old != new
    ]
    figures = _paired(_figures(before), _figures(after))
    changes = [
        Change(name, shown.unit, *_shown(old, new), apart=bool(old and new and _apart(old, new)))
        for name, (old, new) in figures.items()
        if (shown := old or new) is not None and old != new
    ]
    warned = [
        Change("warning", "", text if text in before.warnings else "-", text if text in after.warnings else "-")
        for text in (*before.warnings, *after.warnings)
        if (text in before.warnings) != (text in after.warnings)
    ]
    limits = [
        Change(name, "", old or "-", new or "-")
        for name, (old, new) in _paired(_limits(before), _limits(after)).items()
        if old != new
    ]
    return (*inputs, *limits, *changes, *warned)


def _limits(plan: Plan) -> dict[str, str]:
    """The first limit exceeded, and what every kind of quota needs at p90 under both readings."""
    limits = {"first limit exceeded": plan.first_limit_exceeded}
    for supply in plan.supplies:
        for need in supply.quotas:
            granted = "unknown" if need.granted is None else f"{need.granted:,.0f}"
            limits[f"{supply.model} in {supply.region}: {need.kind} at p90"] = (
                f"{need.needed_settlement.p90:,.0f} settled, {need.needed_reservation.p90:,.0f} reserved, "
                f"{granted} granted"
            )
    return limits


def _inputs(plan: Plan) -> dict[str, str]:
    return {f"{note.kind} {note.name}": f"{note.value} ({note.provenance})" for note in plan.inputs}


def _figures(plan: Plan) -> dict[str, Figure]:
    figures = {"event cost": plan.event_cost_usd}
    figures |= {f"cost per interaction, {line.intent}": line.per_interaction_usd for line in plan.cost}
    for supply in plan.supplies:
        if supply.chosen is not None:
            name = f"{supply.model} in {supply.region}"
            figures[f"{name}: chips"] = supply.chosen.chips_range
            figures[f"{name}: calls/s per replica"] = supply.chosen.rate_per_replica_per_s
    figures |= {f"{rate.model}: cache hits, {rate.level}": rate.ratio for rate in plan.hit_rates}
    return figures


def _paired(before: dict[str, _Value], after: dict[str, _Value]) -> dict[str, tuple[_Value | None, _Value | None]]:
    return {name: (before.get(name), after.get(name)) for name in {**before, **after}}


def _shown(old: Figure | None, new: Figure | None) -> tuple[float | str, float | str]:
    return old.mid if old else "-", new.mid if new else "-"


def _apart(old: Figure, new: Figure) -> bool:
    return old.high < new.low or new.high < old.low
