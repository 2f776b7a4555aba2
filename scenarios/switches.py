"""Switches of the assistant under test: what it fetches, how it calls, caches, routes, retries, spills and stops."""

# ruff: noqa: RUF012 (pydantic copies a default for every instance)

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from scenarios.base import Part, Share, SomeSeconds


class Context(Part):
    """What is fetched before the first model call."""

    prefetch: bool = True


class Tools(Part):
    """How tool calls of one round are made."""

    parallel: bool = True
    timeout_s: SomeSeconds = 3.0


class Cache(Part):
    """Whether cache points are placed."""

    points: bool = True


TTL = Literal["5m", "1h"]


class CacheTtl(Part):
    """Lifetime asked for at each bar of the prompt; a model without 1h gets 5m."""

    shared: TTL = "5m"
    customer: TTL = "5m"
    conversation: TTL = "5m"


class Router(Part):
    """`staged`: rules, classifier, small model when unsure. `llm`: the planner model decides every turn."""

    mode: Literal["staged", "rules", "classifier", "llm"] = "staged"
    budget_s: SomeSeconds = 0.3
    unsure_below: Share = 0.5
    planner_model: str = "planner"


class Policy(Part):
    """Which model answers: by complexity, or by `intent` or `intent/complexity` where named.

    Another one stands in where its judged quality is below `quality_floor`, where its time to first token was lately
    above `ttft_max_s` (none: any), or where less than `headroom_min_ratio` of its quota's minute is free.
    """

    simple: str = "custom-8b"
    complex: str = "claude-sonnet"
    by_intent: dict[str, str] = {}
    quality_floor: Share = 0.7
    ttft_max_s: SomeSeconds | None = None
    headroom_min_ratio: Share = 0.0

    def model_for(self, intent: str, complexity: str) -> str:
        """Model key for a turn; the most specific entry wins."""
        default = self.simple if complexity == "simple" else self.complex
        return self.by_intent.get(f"{intent}/{complexity}", self.by_intent.get(intent, default))


class Retry(Part):
    """Total attempts of one model call; 1 in load runs, or retries hide throttling and multiply the load.

    `mode` is botocore's; the fast client knows `standard` alone.
    """

    mode: Literal["standard", "adaptive", "legacy"] = "standard"
    total_attempts: Annotated[int, Field(ge=1, le=10)] = 1


class Spill(Part):
    """Where a throttled call may go next, and how often."""

    max_hops: Annotated[int, Field(ge=0, le=5)] = 1
    ladder: dict[str, list[str]] = {}


class Limits(Part):
    """Bounds on one turn."""

    rounds: Annotated[int, Field(ge=1)] = 5
    calls: Annotated[int, Field(ge=1)] = 8
    wall_s: SomeSeconds = 60.0
    message_chars: Annotated[int, Field(ge=1)] = 8_000


class Assistant(Part):
    """Switches of the agent under test. A target of the user's own cannot be given these.

    `client`: how Bedrock is called, `fast` (our own wire) or `boto3` (the reference, a thread a call).
    """

    client: Literal["fast", "boto3"] = "fast"
    context: Context = Context()
    tools: Tools = Tools()
    cache: Cache = Cache()
    cache_ttl: CacheTtl = CacheTtl()
    router: Router = Router()
    policy: Policy = Policy()
    retry: Retry = Retry()
    spill: Spill = Spill()
    limits: Limits = Limits()
    max_tokens: Annotated[int, Field(ge=1)] | None = 1_024
    judge_ratio: Share = 0.0

    @model_validator(mode="after")
    def _mode_is_the_client_s(self) -> Assistant:
        if self.client == "fast" and self.retry.mode != "standard":
            raise ValueError(
                f"retry.mode: {self.retry.mode!r} is botocore's own; set client: boto3 with it, or use 'standard'"
            )
        return self
