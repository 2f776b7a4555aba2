"""How sure the plan is: what moves it, what its draws hold, and the service level that is bought."""

from __future__ import annotations

from dataclasses import dataclass

from capacity.rows.figures import Interval, Probability, Row, Spread


@dataclass(frozen=True)
class Sensitivity(Row):
    """What one input does to one output when moved over its range."""

    input: str
    output: str
    at_low: float
    at_high: float
    unit: str


@dataclass(frozen=True)
class ErrorBars(Row):
    """Chips needed over the draws: all together; demand (forecast, turns, tokens, hits) and model each alone.

    monte_carlo: what more draws would remove from either end, by quantile (p5, p95).
    """

    chips: Spread
    demand: Spread
    model: Spread
    monte_carlo: dict[str, Interval]
    draws: int


@dataclass(frozen=True)
class InformationValue(Row):
    """What knowing one input would spare a plan for nine futures in ten, and how to measure it."""

    input: str
    chips_spared: float
    event_usd_spared: float
    how: str


@dataclass(frozen=True)
class VarianceShare(Row):
    """Share of the variance of ln(event cost, each draw with its own fleets) that knowing one cause would remove."""

    cause: str
    share: float


@dataclass(frozen=True)
class ServiceLevel(Row):
    """The one probability of the plan: fleets, quota asks and budget together carry `level` of the joint draws.

    basis: stated (capacity.service_level) or value (capacity.value_per_interaction_usd, newsvendor).
    fleet_short, quota_short: that any fleet, any quota ask falls short in a draw; budget_short: that the event costs
    more than budget_usd; short: any of the three. region_short: by region, that any fleet or ask of it does.
    budget_range, chips_range: 90% of what plans of other seeds buy.
    """

    level: float
    basis: str
    fleet_short: Probability
    quota_short: Probability
    short: Probability
    region_short: dict[str, Probability]
    budget_usd: float
    budget_short: Probability
    reached: bool = True
    budget_range: Interval | None = None
    chips_range: Interval | None = None
    beyond_design_ratio: float = 0.0  # share of draws whose rate is that of the edge of what was simulated

    @property
    def why(self) -> str:
        """Where the level comes from."""
        basis = "it follows from the value of an interaction" if self.basis == "value" else "stated"
        return basis if self.reached else f"{basis}, OUT OF REACH: no allowed chip meets its SLO in enough draws"

    @property
    def odds(self) -> str:
        """P(short) of each part, with its Monte Carlo interval."""
        parts = {"fleets": self.fleet_short, "quota asks": self.quota_short, "budget": self.budget_short}
        return ", ".join(f"{name} {part.words}" for name, part in parts.items())
