"""A user's config.json as a shape: every part of it that changes weights or work is applied, or refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from neuron_bench.models import decoders, encoders
from neuron_bench.models.config import Config
from neuron_bench.models.shapes import Shape

STRUCTURAL = (
    "kv_lora_rank", "q_lora_rank", "n_routed_experts", "num_experts", "num_local_experts", "n_shared_experts",
    "attention_bias", "mlp_bias", "use_bias", "use_qkv_bias", "qk_layernorm", "use_qk_norm", "sliding_window",
    "attention_chunk_size", "attn_logit_softcapping", "final_logit_softcapping", "clip_qkv", "cross_attention_layers",
    "no_rope_layers", "num_nextn_predict_layers", "embedding_multiplier", "residual_multiplier", "logits_scaling",
    "attention_multiplier", "mamba_d_state", "ssm_cfg", "layer_block_type", "use_parallel_residual", "vision_config",
    "audio_config", "is_encoder_decoder", "add_cross_attention", "swa_attention_sink_bias",
)  # fmt: skip
"""Keys that change weights or work. One that is set and that a family does not read is refused by its name."""


FAMILIES = {**decoders.FAMILIES, **encoders.FAMILIES}


def shape_from_config(raw: Mapping[str, object], *, where: str, name: str = "config") -> Shape:
    """The shape of a config.json.

    Raises:
        BenchUsageError: a family we do not count, a part of it we cannot apply, or a number that no model has.
    """
    config = Config(raw, where)
    kind = str(config.get("model_type"))
    if kind.startswith(("deepseek", "kimi")) or raw.get("kv_lora_rank"):
        raise config.refuse(
            f"model_type {kind!r}: its latent attention (MLA) is not counted; serve it and use --method endpoint"
        )
    if kind not in FAMILIES:
        parts = raw.get("text_config") or raw.get("vision_config")
        hint = "; it holds several models: give the text_config alone as a config.json" if parts else ""
        known = ", ".join(sorted(FAMILIES))
        raise config.refuse(f"model_type {kind!r} is not supported; supported: {known}{hint}")
    named = raw.get("_name_or_path")
    shape = FAMILIES[kind](config, named if named and isinstance(named, str) else name or "config")
    ignored = [key for key in STRUCTURAL if key not in config.used and raw.get(key) not in (None, False, 0, [], 1.0)]
    if ignored:
        raise config.refuse(f"{ignored[0]} is {raw[ignored[0]]!r}, which {kind} as we count it does not have")
    return _quantised(config, shape)


def _quantised(config: Config, shape: Shape) -> Shape:
    """The shape with its quantisation named: weights of another width are not what a trace would build."""
    config_of_weights = config.get("quantization_config")
    if not isinstance(config_of_weights, dict):
        return shape
    method = str(config_of_weights.get("quant_method", "quantised"))
    bits = config_of_weights.get("bits") or (
        4 if config_of_weights.get("load_in_4bit") else 8 if config_of_weights.get("load_in_8bit") else None
    )
    quantisation = f"{method} {bits}-bit" if bits else method
    return replace(
        shape, quantisation=quantisation, not_built=(*shape.not_built, f"quantised weights ({quantisation})")
    )
