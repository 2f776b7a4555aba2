"""What one customer does: intents, turns, waiting, leaving, and the synthetic shop it happens in."""

# ruff: noqa: RUF012 (pydantic copies a default for every instance)

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from facts.blocks import NotNegative, Seconds, Share, SomeSeconds
from facts.intents import INTENTS
from scenarios.base import Part, sums_to_one


class Lognormal(Part):
    """A wait: its median in seconds and coefficient of variation, cut at max."""

    median: Seconds
    cv: NotNegative = 0.5
    max: SomeSeconds | None = None


class Count(Part):
    """A whole number >= 1, geometric with the given mean, cut at max."""

    mean: Annotated[float, Field(ge=1)]
    max: Annotated[int, Field(ge=1, le=100)] = 20

    @model_validator(mode="after")
    def _mean_below_max(self) -> Count:
        if self.mean > self.max:
            raise ValueError(f"mean {self.mean:g} is above max {self.max}")
        return self


class IntentMix(Part):
    """Share of first turns with this intent, and how many of them are complex."""

    weight: Share
    complex_ratio: Share = 0.2


class Customers(Part):
    """The population: Zipf-distributed activity, so a few customers come often."""

    population: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    zipf_exponent: Annotated[NotNegative, Field(le=5)] = 0.8


class Mix(Part):
    """What a session holds.

    A later turn keeps its intent with stay_ratio, else moves by `transitions` (or by the intent weights); with
    follow_up_ratio it is worded as leaning on the turn before. returns_later_ratio: share of a session's later
    interactions that come after returns_later_s, beyond a prompt cache's life, instead of between_interactions_s.
    """

    intents: Annotated[dict[str, IntentMix], Field(min_length=1)]
    transitions: dict[str, dict[str, Share]] = {}
    stay_ratio: Share = 0.6
    interactions_per_session: Count = Count(mean=1.2, max=5)
    turns_per_interaction: Count = Count(mean=2.2, max=8)
    think_s: Lognormal = Lognormal(median=8.0, cv=0.8, max=120.0)
    typing_s: Lognormal = Lognormal(median=4.0, cv=0.6, max=60.0)
    between_interactions_s: Lognormal = Lognormal(median=30.0, cv=1.0, max=600.0)
    patience_s: Lognormal | None = Lognormal(median=12.0, cv=0.5)
    follow_up_ratio: Share = 0.5
    returns_later_ratio: Share = 0.0
    returns_later_s: Lognormal = Lognormal(median=900.0, cv=0.5)
    image_ratio: Share = 0.0
    page_context_ratio: Share = 0.3
    confirm_ratio: Share = 0.8
    customers: Customers = Customers()

    @model_validator(mode="after")
    def _known_intents(self) -> Mix:
        named: list[tuple[str, list[str]]] = [("intents", list(self.intents)), ("transitions", list(self.transitions))]
        for where, names in named:
            for name in names:
                if name not in INTENTS:
                    raise ValueError(f"{where}: unknown intent {name!r}; known: {', '.join(INTENTS)}")
        sums_to_one({name: intent.weight for name, intent in self.intents.items()}, "intent weights")
        for name, row in self.transitions.items():
            unknown = sorted(set(row) - set(self.intents))
            if unknown:
                raise ValueError(f"transitions.{name}: {unknown[0]!r} is not among intents")
            sums_to_one(row, f"transitions.{name}")
        return self


class World(Part):
    """The synthetic shop the conversations are about."""

    products: Annotated[int, Field(ge=20, le=100_000)] = 5_000
    customers: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    history_days: Annotated[int, Field(ge=30, le=730)] = 90
    messages_per_intent: Annotated[int, Field(ge=5, le=1_000)] = 60
