"""Which cases a bench runs: phase, batch and lengths, by suite."""

from __future__ import annotations

import math
from dataclasses import dataclass

from neuron_bench.errors import BenchUsageError
from neuron_bench.models.shapes import DecoderShape, Shape

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


SAMPLES_FEWEST = 9
"""Of a case whose steps are slow: three turns of three, so that drift and an interval have a meaning."""


@dataclass(frozen=True)
class Effort:
    """How long a case is measured. A turn is one child's go; turns of all cases are interleaved at random.

    seconds_max: what `samples_min` may take; slower steps get fewer samples (`few_samples`), never below
    SAMPLES_FEWEST. case_seconds_max: when a case is given up as unfinished.
    """

    samples_min: int
    seconds_min: float
    turn_s: float
    warm_windows_max: int = 20
    seconds_max: float = 60.0
    case_seconds_max: float = 900.0

    @property
    def turns(self) -> int:
        """Turns that reach `seconds_min`, at least three so that drift has a meaning."""
        return max(3, round(self.seconds_min / self.turn_s))

    def samples_needed(self, step_s: float) -> int:
        """Samples of a case whose steps take so long."""
        fit = math.floor(self.seconds_max / step_s) if step_s > 0 else self.samples_min
        return min(self.samples_min, max(SAMPLES_FEWEST, fit))


EFFORTS = {
    "quick": Effort(samples_min=30, seconds_min=1.5, turn_s=0.5, seconds_max=5.0, case_seconds_max=60.0),
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


@dataclass(frozen=True)
class Axes:
    """In place of a suite's own: prompt lengths, cache lengths, requests at once. Empty: the suite's."""

    prompts: tuple[int, ...] = ()
    caches: tuple[int, ...] = ()
    batches: tuple[int, ...] = ()


def suite_cases(shape: Shape, suite: str, dtype: str, axes: Axes = Axes()) -> list[Case]:
    """The cases of a suite for a shape, none longer than its context; with axes, every combination of those.

    Raises:
        BenchUsageError: no such suite, or a length asked for that the model does not hold.
    """
    if suite not in SUITES:
        raise BenchUsageError(f"suite {suite!r}: expected one of {', '.join(SUITES)}")
    longest = max((*axes.prompts, *axes.caches), default=0)
    if longest > shape.context_tokens:
        raise BenchUsageError(f"{shape.name} holds {shape.context_tokens} tokens; {longest} were asked for")
    if not isinstance(shape, DecoderShape):
        cases = _encoder_cases(suite, dtype, axes)
    elif axes != Axes():
        cases = _axes_cases(shape, dtype, axes)
    else:
        cases = _decoder_cases(shape, suite, dtype)
    return [case for case in cases if case.bucket_tokens <= shape.context_tokens]


def _axes_cases(shape: DecoderShape, dtype: str, axes: Axes) -> list[Case]:
    """Prefill at each prompt length, decode at each cache length and batch; what is not given follows from the rest."""
    caches = axes.caches or tuple(sorted({min(4 * n, shape.context_tokens) for n in axes.prompts}))[-2:]
    batches, prompts = (
        axes.batches or (1, 4),
        axes.prompts or tuple(sorted({max(1, n // 4) for n in caches} | set(caches))),
    )
    cases = [prefill(1, tokens, dtype) for tokens in prompts]
    cases += [decode(batch, tokens, dtype) for tokens in caches for batch in batches]
    return list(dict.fromkeys(cases))


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


def _encoder_cases(suite: str, dtype: str, axes: Axes) -> list[Case]:
    if axes != Axes():
        grid = [encode(b, n, dtype) for n in axes.prompts or (64,) for b in axes.batches or (1,)]
        return list(dict.fromkeys(grid))
    latency = [encode(1, n, dtype) for n in (16, 32, 64, 128, 256)]
    throughput = [encode(b, 64, dtype) for b in (1, 4, 16, 64)]
    grids = {
        "quick": [encode(1, 32, dtype), encode(1, 64, dtype), encode(8, 64, dtype)],
        "latency": latency,
        "throughput": throughput,
        "full": list(dict.fromkeys(latency + throughput)),
    }
    return grids[suite]
