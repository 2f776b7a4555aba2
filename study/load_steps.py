"""The load steps of the study: which arrivals and lengths each one replays, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from study.arrivals import Arrivals

CALLS_MIN, LENGTH_MAX_S = 2_000, 300.0
RATE_SWEEP = (0.2, 0.35, 0.5, 0.65, 0.82, 0.9)
"""Shares of the rate at which the engine just keeps up. Every second one, from the first, is calibrated from."""
SPIKE = (0.3, 1.3, 0.4, 0.5)
"""Share before, share during; the spike lasts from the first to the second fraction of the run."""
SHORT_LENGTH_S = 70.0
"""Of a load step of the short study: two sessions of less than eight minutes."""


@dataclass(frozen=True)
class Mix:
    """Prompt and answer lengths: lognormal by median and sigma, clipped."""

    prompt_median: float
    answer_median: float
    sigma: float = 0.5
    prompt_range: tuple[int, int] = (16, 768)
    answer_range: tuple[int, int] = (4, 128)

    def draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Prompt and answer tokens of n calls."""
        prompt = rng.lognormal(np.log(self.prompt_median), self.sigma, n)
        answer = rng.lognormal(np.log(self.answer_median), self.sigma, n)
        return np.clip(prompt, *self.prompt_range).astype(int), np.clip(answer, *self.answer_range).astype(int)


MIXES = {"chat": Mix(128, 24, sigma=0.8), "search": Mix(150, 8)}
"""Wide prompts to calibrate from, so that a token's cost shows; the other mix is prefill for the most part."""


@dataclass(frozen=True)
class LoadStep:
    """One run of the study. `role`: calibrate, held_out, repeat (of another: how much two runs differ)."""

    name: str
    role: str
    mix: str
    share: float
    spike: bool = False

    @property
    def arrivals(self) -> str:
        """Name of the arrivals; repeats replay those of the load step they repeat."""
        return self.name.removesuffix("-again")


def short_plan() -> tuple[LoadStep, ...]:
    """Two sessions: a sweep through saturation and a second length mix first, then what lies between."""
    calibrated = [LoadStep(f"chat-{share:g}", "calibrate", "chat", share) for share in (0.25, 0.55, 0.85, 1.25)]
    held_out = [LoadStep(f"chat-{share:g}", "held_out", "chat", share) for share in (0.4, 0.7, 0.95)]
    return (
        *calibrated,
        LoadStep("search-0.5", "calibrate", "search", 0.5),
        *held_out,
        LoadStep("search-0.65", "held_out", "search", 0.65),
        LoadStep("chat-0.55-again", "repeat", "chat", 0.55),
    )


def plan() -> tuple[LoadStep, ...]:
    """Every run, in the order of its making: what is calibrated from comes first."""
    rate_sweep = [
        LoadStep(f"chat-{share:g}", "calibrate" if number % 2 == 0 else "held_out", "chat", share)
        for number, share in enumerate(RATE_SWEEP)
    ]
    others = [
        LoadStep("search-0.6", "held_out", "search", 0.6),
        LoadStep("chat-spike", "held_out", "chat", SPIKE[0], spike=True),
        LoadStep("chat-0.5-again", "repeat", "chat", 0.5),
    ]
    return tuple(sorted([*rate_sweep, *others], key=lambda step: step.role != "calibrate"))


def draw_load_step(step: LoadStep, rate_per_s: float, seed: int, length_max_s: float = LENGTH_MAX_S) -> Arrivals:
    """Poisson arrivals at a share of `rate_per_s`: at least 2,000 calls, or as many as there are in `length_max_s`."""
    rng = np.random.default_rng([seed, sum(f"{step.arrivals}.csv".encode())])
    rate = step.share * rate_per_s
    length_s = min(length_max_s, CALLS_MIN / rate)
    offset_s = np.sort(rng.uniform(0, length_s, rng.poisson(rate * length_s)))
    if step.spike:
        _, during, start, end = SPIKE
        extra = rng.poisson((during - step.share) * rate_per_s * (end - start) * length_s)
        offset_s = np.sort(np.concatenate([offset_s, rng.uniform(start * length_s, end * length_s, extra)]))
    return Arrivals.of(offset_s, *MIXES[step.mix].draw(rng, len(offset_s)))


def draw_burst(mix: Mix, n: int, seed: int) -> Arrivals:
    """n calls at once: how fast they end is the rate at which the engine just keeps up."""
    rng = np.random.default_rng([seed, 0xB0])
    return Arrivals.of(1e-3 * np.arange(n, dtype=np.float64), *mix.draw(rng, n))
