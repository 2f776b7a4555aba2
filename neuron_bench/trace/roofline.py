"""Work of a case and the shares of a chip's peaks it reached. A ceiling, no predictor: above it, a row is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from neuron_bench.device.chips import chip_facts, cores_per_chip
from neuron_bench.models.shapes import DecoderShape, Shape
from neuron_bench.trace.cases import Case

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float8": 1, "int8": 1}


@dataclass(frozen=True)
class Work:
    """Least work of one step: floating-point operations, bytes from memory, and of those the cache's."""

    flops: float
    bytes: float
    kv_bytes: float = 0.0


@dataclass(frozen=True)
class Peaks:
    """Of the chips a case used. None = not published."""

    flops_per_s: float | None
    bytes_per_s: float | None


def work(shape: Shape, case: Case) -> Work:
    """Operations and bytes of one step.

    Two operations per weight and token; attention 4 x heads x head_dim per pair of token and position (causal halves
    are not taken off: a static cache computes them). Every weight is read once (of experts, those that some token
    is sent to), the cache once for decode.
    """
    tokens = case.batch * case.input_tokens
    width = BYTES[case.dtype]
    if not isinstance(shape, DecoderShape):
        pairs = 4 * shape.layers * shape.hidden * case.input_tokens
        return Work(tokens * (2 * shape.matmul_params + pairs), shape.params * width)
    pairs = 4 * shape.layers * shape.heads * shape.head_dim * case.bucket_tokens
    head = shape.vocab * shape.hidden  # the last token of each request only
    flops = tokens * (2 * (shape.matmul_params - head) + pairs) + case.batch * 2 * head
    cache = case.batch * shape.kv_values(case.bucket_tokens)
    return Work(flops, (shape.weights_read(tokens) + cache) * width, kv_bytes=cache * width)


def memory_bytes(shape: Shape, case: Case) -> int:
    """Weights and caches of one graph; activations come on top."""
    cache = case.batch * case.bucket_tokens * shape.kv_values_per_token if isinstance(shape, DecoderShape) else 0
    return (shape.params + cache) * BYTES[case.dtype]


def core_memory_bytes(chip: str | None) -> float | None:
    """Memory of one logical core: its share of the chip's. None for a chip we have no row of."""
    row = chip_facts(chip)
    if row is None or row.memory_gib is None:
        return None
    return row.memory_gib * 2**30 / (row.logical_neuroncores_default or 1)


def peaks(chip: str | None, cores: float, dtype: str) -> Peaks:
    """Peaks of so many logical cores of a chip for a dtype, from facts; unknown for a chip we have no row of.

    A core's peak is its share of the chip's: half of an Inferentia2, a quarter of a Trainium2 as it groups its cores.
    """
    row, per_chip = chip_facts(chip), cores_per_chip(chip)
    if row is None or per_chip is None:
        return Peaks(None, None)
    half = row.bf16_dense_tflops if dtype in ("bfloat16", "float16") else None
    flops = None if half is None else half * 1e12 * cores / per_chip
    return Peaks(flops, None if row.memory_gb_per_s is None else row.memory_gb_per_s * 1e9 * cores / per_chip)


def shares(done: Work, wall_s: float, top: Peaks) -> tuple[float | None, float | None]:
    """mfu_ratio and mbu_ratio; null where the peak is unknown."""
    return (
        None if top.flops_per_s is None else done.flops / wall_s / top.flops_per_s,
        None if top.bytes_per_s is None else done.bytes / wall_s / top.bytes_per_s,
    )
