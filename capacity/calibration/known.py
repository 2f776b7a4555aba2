"""What is known of an engine before it is measured: its KV memory by arithmetic, its experts, how it admits requests.

KV memory is what the chips hold, less the weights, over what a token keeps.
"""

from __future__ import annotations

from dataclasses import dataclass

from facts.reader import Chip, chips
from facts.shapes import ModelShape, model_shape

USABLE = 0.9
"""Share of a chip's memory that an engine takes for weights and KV (vLLM's gpu_memory_utilization, TensorRT-LLM's
free_gpu_memory_fraction; https://docs.vllm.ai, https://nvidia.github.io/TensorRT-LLM)."""
BYTES_PER_WEIGHT = {"fp4": 0.5625, "int4": 0.5625, "mxfp4": 0.53125, "fp8": 1.0, "int8": 1.0}
"""Four bits with a scale of eight per 16 (NVFP4) or per 32 (MXFP4) weights; anything else has two bytes."""
RESERVING = ("trtllm", "tensorrt", "neuron")
"""Engines that reserve a request's whole KV memory before it begins; others give way when it is full."""
COMPUTE, BANDWIDTH = 0.5, 0.7
"""Shares of a chip's peak that prompts, and reads of KV memory, reach in practice: centres of priors, no predictors."""
FULL, HALF = 2.0, 1.0
"""Bytes of a KV value: two, or one where the engine keeps it in FP8."""


def kv_tokens(shape: ModelShape, chip: Chip, chips: float, tp: int, dtype: str, value_bytes: float) -> float | None:
    """Tokens that the KV memory of a replica holds; None where the weights leave none or the memory is not known.

    Args:
        chips: chips of the replica. tp: over how many the heads are split; beyond kv_heads they are copied.
        dtype: of the weights; value_bytes: of a key or value.
    """
    if chip.memory_gib is None:
        return None
    weights = shape.params * BYTES_PER_WEIGHT.get(dtype.lower(), 2.0)
    copies = max(1.0, tp / shape.kv_heads) if shape.kv_heads else float(tp)
    free = chip.memory_gib * 1e9 * USABLE * chips - weights
    return free / (shape.kv_values_per_token * copies * value_bytes) if free > 0 else None


def likely_kv_tokens(shape: ModelShape, chip: Chip, chips: float, tp: int, dtype: str) -> tuple[float, ...]:
    """Both widths of a KV value, the likelier first: engines keep FP8 beside quantised weights."""
    widths = (HALF, FULL) if dtype.lower() in BYTES_PER_WEIGHT else (FULL, HALF)
    sizes = (kv_tokens(shape, chip, chips, tp, dtype, width) for width in widths)
    return tuple(size for size in sizes if size is not None)


@dataclass(frozen=True)
class Known:
    """Of one deployment.

    kv_tokens: sizes of its KV memory, the likeliest first; none: read from the measurements alone. experts_ratio:
    experts over those that one token reads; None: a dense model, or not known. preempts: as in `clients.report`.
    prefill_s_per_token, kv_read_s_per_token: what arithmetic expects, within a factor or so.
    """

    kv_tokens: tuple[float, ...] = ()
    experts_ratio: float | None = None
    preempts: bool = False
    prefill_s_per_token: float | None = None
    kv_read_s_per_token: float | None = None


def known_engine(model_id: str, chip: str, n_chips: float, tp: int, dtype: str, engine: str) -> Known:
    """What facts say of it; chip: its name in facts."""
    shape, row = model_shape(model_id), chips().get(chip)
    preempts = not any(name in engine.lower() for name in RESERVING)
    if shape is None:
        return Known(preempts=preempts)
    sizes = likely_kv_tokens(shape, row, n_chips, tp, dtype) if row else ()
    ratio = shape.experts / shape.experts_per_token if shape.experts and shape.experts_per_token else None
    if row is None:
        return Known(sizes, ratio, preempts)
    return Known(sizes, ratio, preempts, _prefill_s(shape, row, n_chips, dtype), _kv_read_s(shape, row, tp, dtype))


def _prefill_s(shape: ModelShape, chip: Chip, n_chips: float, dtype: str) -> float | None:
    """Two operations per parameter that is used, at the rate of the weights' width."""
    quantised = dtype.lower() in BYTES_PER_WEIGHT
    tflops = chip.fp8_dense_tflops if quantised and chip.fp8_dense_tflops else chip.bf16_dense_tflops
    return 2 * shape.active_params / (tflops * 1e12 * n_chips * COMPUTE) if tflops else None


def _kv_read_s(shape: ModelShape, chip: Chip, tp: int, dtype: str) -> float | None:
    """A token's keys and values, once a step; a latent is read whole by every chip."""
    if not chip.memory_gb_per_s:
        return None
    width = HALF if dtype.lower() in BYTES_PER_WEIGHT else FULL
    chips_reading = min(tp, shape.kv_heads) if shape.kv_heads else 1
    return shape.kv_values_per_token * width / (chips_reading * chip.memory_gb_per_s * 1e9 * BANDWIDTH)
