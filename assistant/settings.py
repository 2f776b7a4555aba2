"""The resolved `stack.json`: which models, endpoints, switches and data files this process serves with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from assistant.errors import AssistantError
from facts import reader

SCHEMA = "peakday.stack/1"
T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """What is fetched before the first model call."""

    prefetch: bool = True


@dataclass(frozen=True)
class Tools:
    """How tool calls of one round are made."""

    parallel: bool = True
    timeout_s: float = 3.0


@dataclass(frozen=True)
class Cache:
    """Whether cache points are placed."""

    points: bool = True


@dataclass(frozen=True)
class CacheTtl:
    """Lifetime asked for at each bar of the prompt; a model without 1h gets 5m."""

    shared: str = "5m"
    customer: str = "5m"
    conversation: str = "5m"


@dataclass(frozen=True)
class Router:
    """`staged`: rules, classifier, small model when unsure. `llm`: the planner model decides every turn."""

    mode: str = "staged"
    budget_s: float = 0.3
    unsure_below: float = 0.5
    planner_model: str = "planner"


@dataclass(frozen=True)
class Policy:
    """Which model answers: by complexity, or by `intent` or `intent/complexity` where named; see assistant/policy.py.

    Another one stands in where its judged quality is below `quality_floor`, where its time to first token was lately
    above `ttft_max_s` (None: any), or where less than `headroom_min_ratio` of its quota's minute is free.
    """

    simple: str = "custom-8b"
    complex: str = "claude-sonnet"
    by_intent: Mapping[str, str] = field(default_factory=dict)
    quality_floor: float = 0.7
    ttft_max_s: float | None = None
    headroom_min_ratio: float = 0.0

    def model_for(self, intent: str, complexity: str) -> str:
        """Model key for a turn; the most specific entry wins."""
        default = self.simple if complexity == "simple" else self.complex
        return self.by_intent.get(f"{intent}/{complexity}", self.by_intent.get(intent, default))


@dataclass(frozen=True)
class Retry:
    """Total attempts of one model call; 1 in load runs, or retries hide throttling and multiply the load.

    `mode` is botocore's; the fast client knows `standard` alone.
    """

    mode: str = "standard"
    total_attempts: int = 1


@dataclass(frozen=True)
class Spill:
    """Where a throttled call may go next, and how often."""

    max_hops: int = 1
    ladder: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Limits:
    """Bounds on one turn."""

    rounds: int = 5
    calls: int = 8
    wall_s: float = 60.0
    message_chars: int = 8_000


@dataclass(frozen=True)
class Switches:
    """The scenario's `assistant` block (same keys and defaults as scenarios/schema.py, held equal by a test).

    `client`: how Bedrock is called, `fast` (our own wire) or `boto3` (the reference, a thread a call).
    """

    client: str = "fast"
    context: Context = Context()
    tools: Tools = Tools()
    cache: Cache = Cache()
    cache_ttl: CacheTtl = CacheTtl()
    router: Router = Router()
    policy: Policy = field(default_factory=Policy)
    retry: Retry = Retry()
    spill: Spill = field(default_factory=Spill)
    limits: Limits = Limits()
    max_tokens: int | None = 1_024
    judge_ratio: float = 0.0


@dataclass(frozen=True)
class Stack:
    """Everything this process reads at start."""

    seed: int
    live: bool
    models: Mapping[str, reader.Model]
    marketplaces: Mapping[str, reader.Marketplace]
    regions: tuple[str, ...]
    bedrock_url: str | None
    openai_url: str | None
    switches: Switches
    catalogue: Path
    store: Path
    quality_file: Path | None = None
    quotas: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)

    def bedrock_endpoint(self, region: str) -> str:
        """The Converse endpoint of a region: the stack's own, or AWS's."""
        return self.bedrock_url or f"https://bedrock-runtime.{region}.amazonaws.com"

    def endpoint(self, model: reader.Model, region: str) -> str:
        """Where a model is asked."""
        return self.bedrock_endpoint(region) if model.protocol == "converse" else self.openai_url or ""


def read_stack(path: Path) -> Stack:
    """Parse and check a `stack.json`.

    Raises:
        AssistantError: unreadable, of another schema, or naming a model or key that does not exist.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AssistantError(f"{path}: cannot be read: {error}") from None
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise AssistantError(f"{path}: schema is not {SCHEMA}")
    try:
        return _stack(raw)
    except KeyError as error:
        raise AssistantError(f"{path}: {error} is missing or names no known model") from None
    except (AssistantError, reader.FactsError) as error:
        raise AssistantError(f"{path}: {error}") from None


def _stack(raw: Mapping[str, Any]) -> Stack:
    models_file = Path(raw["models_file"]) if raw.get("models_file") else None
    known = reader.models(models_file)
    switches = _build(Switches, raw.get("assistant") or {}, "assistant")
    models = {key: known[key] for key in raw["models"]}
    named = {switches.policy.simple, switches.policy.complex, *switches.policy.by_intent.values()}
    for key in sorted(named - set(models)):
        raise AssistantError(f"assistant.policy: model {key!r} is not among models {sorted(models)}")
    return Stack(
        seed=raw["seed"],
        live=raw.get("live", False),
        models=models,
        marketplaces=reader.marketplaces(models_file),
        regions=tuple(raw.get("regions") or ("us-east-1",)),
        bedrock_url=raw["endpoints"].get("bedrock"),
        openai_url=raw["endpoints"].get("openai"),
        switches=switches,
        catalogue=Path(raw["data"]["catalogue"]),
        store=Path(raw["data"]["store"]),
        quality_file=Path(raw["quality_file"]) if raw.get("quality_file") else None,
        quotas=raw.get("quotas") or {},
    )


def _build(kind: type[T], raw: Mapping[str, Any], where: str) -> T:
    """A dataclass from JSON, nested; an unknown key is an error."""
    hints = get_type_hints(kind)
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(raw) - known)
    if unknown:
        raise AssistantError(f"{where}.{unknown[0]}: unknown key; known: {', '.join(sorted(known))}")
    values = {
        name: _build(hints[name], value, f"{where}.{name}") if is_dataclass(hints[name]) else value
        for name, value in raw.items()
    }
    return kind(**values)
