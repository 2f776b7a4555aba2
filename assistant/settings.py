"""What this process serves with: its stack file, with models, marketplaces and files found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assistant.errors import AssistantError
from facts import reader
from facts import stack as stacks
from facts.decoding import FactsError
from facts.stack import Grant, Otlp, ScenarioName, StackFile, Switches


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
    store_table: str | None = None
    quality_file: Path | None = None
    quotas: Mapping[str, Grant] = field(default_factory=dict)
    control_token: str | None = None
    otlp: Otlp | None = None
    scenario: ScenarioName | None = None

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
        return _stack(stacks.read_stack(path))
    except stacks.StackError as error:
        raise AssistantError(str(error)) from None
    except (AssistantError, FactsError) as error:
        raise AssistantError(f"{path}: {error}") from None


def _stack(file: StackFile) -> Stack:
    known = reader.models(file.models_file)
    switches, data = file.assistant, file.data
    if data.catalogue is None or data.store is None:
        raise AssistantError(f"data.{'catalogue' if data.catalogue is None else 'store'}: missing; add its path")
    keys = tuple(known) if file.models is None else file.models
    for key in keys:
        if key not in known:
            raise AssistantError(f"models: {key!r} names no known model; known: {', '.join(known)}")
    named = {switches.policy.simple, switches.policy.complex, *switches.policy.by_intent.values()}
    for key in sorted(named - set(keys)):
        raise AssistantError(f"assistant.policy: model {key!r} is not among models {sorted(keys)}")
    return Stack(
        seed=file.seed,
        live=file.live,
        models={key: known[key] for key in keys},
        marketplaces=reader.marketplaces(file.models_file),
        regions=file.regions,
        bedrock_url=file.endpoints.bedrock,
        openai_url=file.endpoints.openai,
        switches=switches,
        catalogue=data.catalogue,
        store=data.store,
        store_table=data.store_table,
        quality_file=file.quality_file,
        otlp=file.otlp,
        scenario=file.scenario,
        quotas=file.quotas,
        control_token=file.control_token,
    )
