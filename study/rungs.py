"""The rungs of the study: which arrivals and lengths each one replays, drawn from a seed and written as CSV."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CALLS_MIN, LENGTH_MAX_S = 2_000, 300.0
LADDER = (0.2, 0.35, 0.5, 0.65, 0.82, 0.9)
"""Shares of the rate at which the engine just keeps up. Every second one, from the first, is calibrated from."""
SPIKE = (0.3, 1.3, 0.4, 0.5)
"""Share before, share during; the spike lasts from the first to the second fraction of the run."""


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
class Rung:
    """One run of the study. `role`: calibrate, held_out, repeat (of a rung: how much two runs differ)."""

    name: str
    role: str
    mix: str
    share: float
    spike: bool = False

    @property
    def file(self) -> str:
        """Repeats replay the file of the rung they repeat."""
        return self.name.removesuffix("-again") + ".csv"


def plan() -> tuple[Rung, ...]:
    """Every run, in the order of its making: what is calibrated from comes first."""
    ladder = [
        Rung(f"chat-{share:g}", "calibrate" if number % 2 == 0 else "held_out", "chat", share)
        for number, share in enumerate(LADDER)
    ]
    others = [
        Rung("search-0.6", "held_out", "search", 0.6),
        Rung("chat-spike", "held_out", "chat", SPIKE[0], spike=True),
        Rung("chat-0.5-again", "repeat", "chat", 0.5),
    ]
    return tuple(sorted([*ladder, *others], key=lambda rung: rung.role != "calibrate"))


def write_rung(rung: Rung, rate_per_s: float, seed: int, path: Path) -> None:
    """Poisson arrivals at a share of `rate_per_s`: at least 2,000 calls, or five minutes of them."""
    rng = np.random.default_rng([seed, sum(rung.file.encode())])
    rate = rung.share * rate_per_s
    length_s = min(LENGTH_MAX_S, CALLS_MIN / rate)
    offset_s = np.sort(rng.uniform(0, length_s, rng.poisson(rate * length_s)))
    if rung.spike:
        _, during, start, end = SPIKE
        extra = rng.poisson((during - rung.share) * rate_per_s * (end - start) * length_s)
        offset_s = np.sort(np.concatenate([offset_s, rng.uniform(start * length_s, end * length_s, extra)]))
    write_calls(offset_s, *MIXES[rung.mix].draw(rng, len(offset_s)), path)


def write_burst(mix: Mix, n: int, seed: int, path: Path) -> None:
    """n calls at once: how fast they end is the rate at which the engine just keeps up."""
    rng = np.random.default_rng([seed, 0xB0])
    write_calls(np.arange(n) * 1e-3, *mix.draw(rng, n), path)


def write_calls(offset_s: np.ndarray, prompt: np.ndarray, answer: np.ndarray, path: Path) -> None:
    """The CSV that `run --arrivals` replays."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["TIMESTAMP", "ContextTokens", "GeneratedTokens"])
        rows.writerows(zip((f"{at:.6f}" for at in offset_s), prompt.tolist(), answer.tolist(), strict=True))


def last_offset_s(path: Path) -> float:
    """When the last call of an arrivals file is due."""
    with path.open() as file:
        return max(float(row["TIMESTAMP"]) for row in csv.DictReader(file))
