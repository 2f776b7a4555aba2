"""How much is offered, and when: streams with their peak, shape, scatter and clients."""

# ruff: noqa: RUF012 (pydantic copies a default for every instance)

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from facts.blocks import NotNegative, Positive, Seconds, Share, SomeSeconds, Tokens
from scenarios.base import Part, Range, sums_to_one
from scenarios.shapes import Constant, Shape

WITH_CV = ("gamma", "weibull")
"""Processes whose burstiness is a number of choice."""


class Arrivals(Part):
    """How starts scatter around the rate: a renewal process, a modulated Poisson, or a real log's own pattern.

    All lie under the time-varying rate. replay: the gaps of `file`, a log with times, scaled to the rate; at the log's
    own mean rate, in one region and without clients, its very times.
    """

    process: Literal["constant", "poisson", "gamma", "weibull", "mmpp", "replay"] = "poisson"
    file: str | None = None
    cv: Annotated[Positive, Field(ge=0.05, le=50)] = 1.0
    burst_ratio: Annotated[float, Field(ge=1)] = 5.0
    burst_share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    burst_length_s: SomeSeconds = 10.0

    @model_validator(mode="after")
    def _replay_needs_a_file(self) -> Arrivals:
        if (self.process == "replay") != (self.file is not None):
            raise ValueError("file: belongs to process: replay, which needs it; give both or neither")
        return self

    @model_validator(mode="after")
    def _cv_has_effect(self) -> Arrivals:
        if self.cv != 1 and self.process not in WITH_CV:
            raise ValueError(f"cv: {self.process} arrivals have none to set; use process: gamma or weibull")
        return self


class Client(Part):
    """One of a few dominating sources of traffic, with its own burstiness and lengths."""

    share: Share
    cv: Annotated[Positive, Field(ge=0.05, le=50)] = 1.0
    input_tokens_ratio: Positive = 1.0
    output_tokens_ratio: Positive = 1.0


class Noise(Part):
    """What the forecast does not know besides the level of the peak: used for draws of whole paths.

    timing_s_sd shifts the whole curve; shape_cv is a slow multiplicative wobble of mean 1, correlated in time, and
    with region_correlation_ratio among regions.
    """

    timing_s_sd: Seconds = 0.0
    shape_cv: NotNegative = 0.0
    shape_correlation_s: SomeSeconds = 1800.0
    region_correlation_ratio: Share = 0.5


class Stream(Part):
    """One kind of demand: its rate at the peak over all regions, its shape and its scatter."""

    peak_per_s: Range
    shape: Shape = Constant(kind="constant")
    arrivals: Arrivals = Arrivals()
    clients: dict[str, Client] = {}
    noise: Noise = Noise()
    source: str = ""

    @property
    def input_tokens_ratio(self) -> float:
        """Mean input tokens of a call beside the usual, over the client mix."""
        return sum(client.share * client.input_tokens_ratio for client in self.clients.values()) or 1.0

    @property
    def output_tokens_ratio(self) -> float:
        """Mean output tokens of a call beside the usual, over the client mix."""
        return sum(client.share * client.output_tokens_ratio for client in self.clients.values()) or 1.0

    @model_validator(mode="after")
    def _clients_sum(self) -> Stream:
        sums_to_one({name: client.share for name, client in self.clients.items()}, "client shares")
        for name, client in self.clients.items():
            if client.cv != 1 and self.arrivals.process not in WITH_CV:
                raise ValueError(
                    f"clients.{name}.cv: {self.arrivals.process} arrivals have none to set; "
                    "use arrivals: {process: gamma}"
                )
        return self


class PlannerQueries(Stream):
    """Searches that only the query planner classifies: one short chat completion each, to model `planner`."""

    input_tokens: Tokens = 60
    output_tokens: Tokens = 3
    deadline_s: SomeSeconds = 0.3


class PriceTicks(Stream):
    """Price changes posted to the assistant's test endpoint; they fire price alerts and auto-buy rules."""

    items: Annotated[int, Field(ge=1)] = 100
    drop_ratio: Share = 0.3


class RuleStorm(Part):
    """Many auto-buy rules on one item, all matched by one tick."""

    at_s: Seconds
    rules: Annotated[int, Field(ge=1)]
    item_rank: Annotated[int, Field(ge=0)] = 0
    drop_ratio: Share = 0.3


class Background(Part):
    """Streams beside the chat; a target without them skips them and says so."""

    planner_queries: PlannerQueries | None = None
    price_ticks: PriceTicks | None = None
    rule_storms: list[RuleStorm] = []


class Demand(Part):
    """Interactions (first turns of conversations) and the background streams."""

    interactions: Stream
    background: Background = Background()
