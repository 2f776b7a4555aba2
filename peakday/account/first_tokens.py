"""First tokens and gaps of an endpoint, as a profile that the emulator can load."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from emulator.profiles import SCHEMA, raw_profile, read_profiles
from facts.reader import Model
from host.atomic import written_aside
from host.json_values import mapping, number
from host.yaml_text import dump_yaml
from peakday.account.bedrock_calls import Answer, Bedrock
from peakday.account.bedrock_rules import Texts, request, with_point

Floats = npt.NDArray[np.float64]
SHORT_TOKENS = 200
LONG_SHARE = 4.0
"""Length of the long prompt, in the model's minimum of a cache entry."""
RESAMPLES = 1_000


@dataclass(frozen=True)
class Timed:
    """Streams of one kind: first content in seconds, gaps between events, and mean tokens by class."""

    ttft_s: Floats
    gap_s: Floats
    uncached_tokens: float
    cached_tokens: float


@dataclass(frozen=True)
class Shape:
    """A provider's timing in the terms of profiles.yaml; ttft_range_s: 90% of the median of a short prompt."""

    base_s: float
    per_uncached_token_s: float
    per_cached_token_s: float
    sigma: float
    gap_s: float
    gap_sigma: float
    ttft_s_p50: float
    ttft_range_s: tuple[float, float]
    ttft_s_p90: float
    calls: int


def measure(bedrock: Bedrock, texts: Texts, model: Model, calls: int) -> tuple[Timed, Timed, Timed, Answer]:
    """Short prompts, long new ones and long ones from cache, in turns, so that drift meets all alike; one answer."""
    long_tokens = LONG_SHARE * (model.cache.min_tokens or 1_000)
    kept = with_point(texts.of(long_tokens))
    bedrock.converse(request(system=kept))
    short, long, cached = [], [], []
    for turn in range(calls):
        short.append(bedrock.stream(request(texts.of(SHORT_TOKENS))))
        if turn % 2 == 0:
            long.append(bedrock.stream(request(texts.of(long_tokens))))
            cached.append(bedrock.stream(request(system=kept)))
    return timed(short), timed(long), timed(cached), short[-1]


def timed(answers: Sequence[Answer]) -> Timed:
    """Timings of the answers that came; refused ones are left out."""
    streamed = [answer for answer in answers if answer.events]
    stamps = [[e.at_s for e in answer.events if e.name == "contentBlockDelta"] for answer in streamed]
    gaps = [np.diff(times) for times in stamps if len(times) > 1]
    return Timed(
        ttft_s=np.array([times[0] for times in stamps if times]),
        gap_s=np.concatenate(gaps) if gaps else np.empty(0),
        uncached_tokens=_mean([answer.tokens("inputTokens") for answer in streamed]),
        cached_tokens=_mean([answer.tokens("cacheReadInputTokens") for answer in streamed]),
    )


def shape(short: Timed, long: Timed, cached: Timed, seed: int) -> Shape | None:
    """The terms of a profile, from medians; None where too few answers came."""
    if min(len(short.ttft_s), len(long.ttft_s)) < 3 or not len(short.gap_s):
        return None
    at_short, at_long = float(np.median(short.ttft_s)), float(np.median(long.ttft_s))
    per_uncached = max(0.0, (at_long - at_short) / max(1.0, long.uncached_tokens - short.uncached_tokens))
    base = max(0.0, at_short - per_uncached * short.uncached_tokens)
    per_cached = 0.0
    if len(cached.ttft_s) and cached.cached_tokens:
        rest = float(np.median(cached.ttft_s)) - base - per_uncached * cached.uncached_tokens
        per_cached = max(0.0, rest / cached.cached_tokens)
    gaps = short.gap_s[short.gap_s > 0]
    rng = np.random.default_rng(seed)
    medians = np.median(rng.choice(short.ttft_s, (RESAMPLES, len(short.ttft_s))), axis=1)
    low, high = np.quantile(medians, [0.05, 0.95])
    return Shape(
        base_s=base,
        per_uncached_token_s=per_uncached,
        per_cached_token_s=per_cached,
        sigma=_log_spread(short.ttft_s),
        gap_s=float(np.median(gaps)),
        gap_sigma=_log_spread(gaps),
        ttft_s_p50=at_short,
        ttft_range_s=(float(low), float(high)),
        ttft_s_p90=float(np.quantile(short.ttft_s, 0.9)),
        calls=len(short.ttft_s) + len(long.ttft_s) + len(cached.ttft_s),
    )


def write_profile(out: Path, model: Model, found: Shape, texts: Texts, source: str) -> Path:
    """An overlay of the emulator's profiles, checked by their own reader."""
    name = f"{model.key}/measured"
    groups = {
        "physics": "provider",
        "ttft": {
            "base_s": round(found.base_s, 6),
            "per_uncached_token_s": float(f"{found.per_uncached_token_s:.4g}"),
            "per_cached_token_s": float(f"{found.per_cached_token_s:.4g}"),
            "sigma": round(found.sigma, 4),
            "source": source,
        },
        "gap": {
            "gap_s": round(found.gap_s, 6), "sigma": round(found.gap_sigma, 4), "tokens_per_chunk": 1, "source": source,
        },
        "tokens": {"bytes_per_token": round(texts.chars_per_token, 1), "source": source},
    }  # fmt: skip
    document = {"schema": SCHEMA, "models": {model.key: name}, "profiles": {name: _over_own(model.key, groups)}}
    with written_aside(out) as aside:
        aside.write_text(dump_yaml(document), encoding="utf-8")
        read_profiles(aside)
    return out


def expected_ttft_s(model: Model, tokens: float) -> float | None:
    """Median first token that the emulator's own profile says for an uncached prompt; None for another physics."""
    ttft = raw_profile(model.key).get("ttft")
    if ttft is None:
        return None
    terms = mapping(ttft)
    return number(terms["base_s"]) + number(terms["per_uncached_token_s"]) * tokens


def _over_own(model: str, groups: Mapping[str, object]) -> dict[str, object]:
    """The emulator's own profile with the measured terms over it: load and cache stay as they were."""
    own = raw_profile(model)
    measured = {name: {**mapping(own.get(name)), **group} for name, group in groups.items() if isinstance(group, dict)}
    return {name: measured.get(name, groups.get(name, value)) for name, value in own.items()}


def _log_spread(values: Floats) -> float:
    """Standard deviation of the logarithm, from the middle half: a few stragglers do not widen it."""
    if len(values) < 4:
        return 0.0
    low, high = np.quantile(np.log(values), [0.25, 0.75])
    return float(high - low) / 1.349


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0
