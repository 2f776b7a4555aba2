"""How each emulated model behaves in time: `profiles.yaml` and overlays of it, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from emulator.language.tokens import TokenRule
from host.errors import PeakdayError
from host.files import read_text
from host.yaml_text import parse_yaml

SCHEMA = "peakday.emulator/1"
MANNERS = ("full", "short", "label")
_OLD_SCHEMA = "peakday.stand_ins/1"
Groups = dict[str, Any]
"""A file of profiles, or a part of it, as YAML: `profile_from` refuses what is missing, unknown or of another kind."""
ROUTERS = ("least_loaded", "random", "prefix_affinity")


class ProfileError(PeakdayError, ValueError):
    """A profile that cannot be used; the message names file, profile and key."""

    page = "emulator"


@dataclass(frozen=True)
class ProviderPhysics:
    """A provider's latency, as a customer of it sees it."""

    ttft_base_s: float
    ttft_per_uncached_token_s: float
    ttft_per_cached_token_s: float
    ttft_sigma: float
    gap_s: float
    gap_sigma: float
    tokens_per_chunk: int
    slow_at_in_flight: float
    slots: int | None = None


@dataclass(frozen=True)
class EnginePhysics:
    """A pool of `replicas` engines with continuous batching. Coefficients as in docs/step-model.md, in seconds."""

    a: float
    b: float
    e: float
    c: float
    d: float
    max_num_seqs: int
    max_batched_tokens: int
    block_tokens: int
    kv_blocks: int
    prefix_cache_blocks: int | None
    replicas: int
    router: str
    ttft_overhead_s: float

    def step_s(self, prefill_tokens: int, prefill_x_context: float, decoding: int, kv_tokens: int) -> float:
        """Duration of one step."""
        return self.a + self.b * prefill_tokens + self.e * prefill_x_context + self.c * decoding + self.d * kv_tokens


@dataclass(frozen=True)
class Profile:
    """One emulator. What concerns a provider's prompt cache:

    `lookback_blocks`: how far before a point an earlier entry is looked for. `shards`: independent caches that calls
    fall into at random, as cross-region inference spreads them. `implicit`: prefixes without a point make the first
    token earlier too, but are never in usage.

    `manner`: how it answers what no conversation file knows: `full`, `short`, or `label` (a query planner).
    """

    name: str
    physics: ProviderPhysics | EnginePhysics
    tokens: TokenRule
    lookback_blocks: int = 0
    shards: int = 1
    implicit: bool = False
    manner: str = "full"


def read_profiles(overlay: Path | None = None) -> dict[str, Profile]:
    """Profile by model key: the package's file, then an overlay's groups and models over it.

    Raises:
        ProfileError: a file or key that cannot be used.
    """
    raw, where = _read(overlay)
    return {model: profile_from(name, _named(raw, model, where), where) for model, name in raw["models"].items()}


def raw_profile(model: str, overlay: Path | None = None) -> Groups:
    """The YAML form of one model's profile, to lay changes over."""
    raw, where = _read(overlay)
    return _named(raw, model, where)


def _read(overlay: Path | None) -> tuple[Groups, str]:
    raw = _load(files("emulator").joinpath("profiles.yaml").read_text(encoding="utf-8"), "profiles.yaml")
    if overlay is None:
        return raw, "profiles.yaml"
    return merged(raw, _load(read_text(overlay, error=ProfileError), str(overlay))), str(overlay)


def _named(raw: Groups, model: str, where: str) -> Groups:
    name = raw["models"][model]
    if name not in raw["profiles"]:
        raise ProfileError(f"{where}: models.{model}: no profile {name!r}; known: {', '.join(raw['profiles'])}")
    found: Groups = raw["profiles"][name]
    return found


def merged(base: Groups, over: Groups) -> Groups:
    """`base` with the mappings of `over` laid over it, key by key."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def profile_from(name: str, raw: Groups, where: str) -> Profile:
    """One profile from its YAML form; a missing or unknown key is an error that names it."""
    groups = {key: _without_source(value) for key, value in raw.items() if key not in ("physics", "manner")}
    try:
        tokens = TokenRule(**groups.pop("tokens"))
        cache = groups.pop("cache", {})
        physics = _provider(groups) if raw["physics"] == "provider" else _engine(raw["physics"], groups)
        manner = raw.get("manner", "full")
        if manner not in MANNERS:
            raise ValueError(f"manner is {manner!r}, expected one of {', '.join(MANNERS)}")
        return Profile(name=name, physics=physics, tokens=tokens, manner=manner, **cache)
    except (KeyError, TypeError, ValueError) as error:
        raise ProfileError(f"{where}: profiles.{name}: {error}") from None


def _provider(groups: Groups) -> ProviderPhysics:
    ttft = {f"ttft_{key}": value for key, value in groups["ttft"].items()}
    gap = dict(groups["gap"])
    gap["gap_sigma"] = gap.pop("sigma")
    return ProviderPhysics(**ttft, **gap, **groups["load"])


def _engine(kind: str, groups: Groups) -> EnginePhysics:
    if kind != "engine":
        raise ValueError(f"physics is {kind!r}, expected provider or engine")
    physics = EnginePhysics(**groups["step"], **groups["engine"])
    if physics.router not in ROUTERS:
        raise ValueError(f"router is {physics.router!r}, expected one of {', '.join(ROUTERS)}")
    return physics


def _without_source(group: Groups) -> Groups:
    return {key: value for key, value in group.items() if key != "source"}


def _load(text: str, where: str) -> Groups:
    raw: Groups = parse_yaml(text, where, error=ProfileError)
    if raw.get("schema") not in (SCHEMA, _OLD_SCHEMA):
        raise ProfileError(f"{where}: schema is not {SCHEMA}")
    return raw
