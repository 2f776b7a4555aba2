"""What `up`, `ask`, `run` and `demo` share: a scenario resolved with its world, and the local stack around it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from facts.stack import Otlp
from peakday.config import load_config, quality_file
from peakday.console import Console
from peakday.records.folders import cache_folder
from peakday.stack.local import MetricsAt, RealModels, Stack, local_stack
from scenarios.loading import load_scenario, scenario_hash
from scenarios.schema import Scenario
from scenarios.world import World, ensure_world


@dataclass(frozen=True)
class Resolved:
    """A scenario ready to use: parsed, hashed, seeded, and its shop on disk."""

    scenario: Scenario
    scenario_hash: str
    seed: int
    world: World


def resolve(scenario_name: str, sets: Sequence[str], seed: int | None) -> Resolved:
    """Parse a scenario and make its world, or find it made before."""
    scenario = load_scenario(scenario_name, sets)
    if seed is not None:
        scenario = scenario.model_copy(update={"seed": seed})
    world = ensure_world(scenario, cache_folder() / "worlds")
    return Resolved(scenario, scenario_hash(scenario), scenario.seed, world)


@contextlib.contextmanager
def open_stack(
    resolved: Resolved,
    *,
    port: int = 0,
    profiles: Mapping[str, object] | None = None,
    window_start_s: float = 0.0,
    real: RealModels | None = None,
    metrics: MetricsAt | None = None,
    tls: bool = False,
    otlp: Otlp | None = None,
    console: Console,
) -> Iterator[Stack]:
    """Keep the local stack of a scenario up inside the block; with `real`, the assistant alone on those models."""
    where = "the local stack" if real is None else "the assistant on real models"
    console.say(f"starting {where} for {resolved.scenario.name}")
    with local_stack(
        resolved.scenario,
        resolved.world,
        resolved.scenario_hash,
        seed=resolved.seed,
        port=port,
        profiles=profiles,
        window_start_s=window_start_s,
        real=real,
        quality_file=quality_file(load_config()),
        metrics=metrics,
        tls=tls,
        otlp=otlp,
    ) as stack:
        yield stack
