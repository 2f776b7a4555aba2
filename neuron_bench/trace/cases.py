"""Which cases a bench runs: phase, batch and lengths, by suite."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from neuron_bench.errors import BenchUsageError
from neuron_bench.models.presets import DecoderShape, Shape

Progress = Callable[[int, int, float | None, str], None]
"""Turns done, turns in all, seconds left (None until one is through), what is running."""

SUITES = ("quick", "latency", "throughput", "full")


@dataclass(frozen=True, order=True)
class Case:
    """One shape to time. `bucket_tokens` is the length of the static cache; attention runs over all of it.

    input_tokens: of each request (prefill, encode; 1 for decode). context_tokens: before the new tokens.
    """

    phase: str
    batch: int
    input_tokens: int
    context_tokens: int
    bucket_tokens: int
    dtype: str

    @property
    def label(self) -> str:
        """Short name, unique in a bench."""
        tokens = self.bucket_tokens if self.phase == "decode" else self.input_tokens
        return f"{self.phase}-b{self.batch}-t{tokens}-{self.dtype}"


@dataclass(frozen=True)
class Effort:
    """How long a case is measured. A turn is one child's go; turns of all cases are interleaved at random."""

    samples_min: int
    seconds_min: float
    turn_s: float
    warm_windows_max: int = 20

    @property
    def turns(self) -> int:
        """Turns that reach `seconds_min`, at least three so that drift has a meaning."""
        return max(3, round(self.seconds_min / self.turn_s))


EFFORTS = {
    "quick": Effort(samples_min=30, seconds_min=2.0, turn_s=0.5),
    "latency": Effort(samples_min=100, seconds_min=10.0, turn_s=1.0),
    "throughput": Effort(samples_min=100, seconds_min=10.0, turn_s=1.0),
    "full": Effort(samples_min=100, seconds_min=10.0, turn_s=1.0),
}


@dataclass(frozen=True)
class Grid:
    """Prompt lengths, batch sizes and cache lengths (buckets) of a decoder's suites."""

    prompts: tuple[int, ...]
    batches: tuple[int, ...]
    caches: tuple[int, ...]


CHIP_SIZED_PARAMS = 100_000_000
"""From here on a decoder is taken for one that runs on a chip, with prompts and batches of a service."""

CPU_GRID = Grid(prompts=(32, 64, 128, 256, 512, 1024), batches=(1, 2, 4, 8, 16), caches=(256, 1024))
CHIP_GRID = Grid(prompts=(128, 256, 512, 1024, 2048, 4096), batches=(1, 4, 8, 16, 32), caches=(1024, 4096))


def prefill(batch: int, tokens: int, dtype: str) -> Case:
    """A whole prompt into an empty cache of its own length."""
    return Case("prefill", batch, tokens, 0, tokens, dtype)


def decode(batch: int, bucket_tokens: int, dtype: str) -> Case:
    """One token for each request, in the last quarter of a cache of `bucket_tokens`."""
    return Case("decode", batch, 1, bucket_tokens * 3 // 4, bucket_tokens, dtype)


def encode(batch: int, tokens: int, dtype: str) -> Case:
    """A batch of texts through an encoder."""
    return Case("encode", batch, tokens, 0, tokens, dtype)


def suite_cases(shape: Shape, suite: str, dtype: str) -> list[Case]:
    """The cases of a suite for a shape, none longer than its context.

    Raises:
        BenchUsageError: no such suite.
    """
    if suite not in SUITES:
        raise BenchUsageError(f"suite {suite!r}: expected one of {', '.join(SUITES)}")
    cases = _decoder_cases(shape, suite, dtype) if isinstance(shape, DecoderShape) else _encoder_cases(suite, dtype)
    return [case for case in cases if case.bucket_tokens <= shape.context_tokens]


def _decoder_cases(shape: DecoderShape, suite: str, dtype: str) -> list[Case]:
    grid = CPU_GRID if shape.params < CHIP_SIZED_PARAMS else CHIP_GRID
    first, last = grid.prompts[1], grid.prompts[3]
    latency = [prefill(1, tokens, dtype) for tokens in grid.prompts] + [decode(1, grid.caches[0], dtype)]
    throughput = [decode(batch, cache, dtype) for cache in grid.caches for batch in grid.batches]
    throughput.append(prefill(4, last, dtype))
    quick = [prefill(1, first, dtype), prefill(1, last, dtype)]
    quick += [decode(1, grid.caches[0], dtype), decode(4, grid.caches[0], dtype)]
    full = list(dict.fromkeys(latency + throughput))
    return {"quick": quick, "latency": latency, "throughput": throughput, "full": full}[suite]


def _encoder_cases(suite: str, dtype: str) -> list[Case]:
    latency = [encode(1, n, dtype) for n in (16, 32, 64, 128, 256)]
    throughput = [encode(b, 64, dtype) for b in (1, 4, 16, 64)]
    grids = {
        "quick": [encode(1, 32, dtype), encode(1, 64, dtype), encode(8, 64, dtype)],
        "latency": latency,
        "throughput": throughput,
        "full": list(dict.fromkeys(latency + throughput)),
    }
    return grids[suite]


class Clock:
    """Turns done and time left, for whoever shows progress."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done, self.started = progress, total, 0, time.monotonic()

    def tick(self, label: str) -> None:
        """One more turn begins."""
        if self.progress is not None:
            spent = time.monotonic() - self.started
            left = spent / self.done * max(0, self.total - self.done) if self.done else None
            self.progress(self.done, self.total, left, label)
        self.done = min(self.done + 1, self.total)
