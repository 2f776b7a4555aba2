"""A user's config.json as a shape: every part of it that changes weights or work is applied, or refused by its name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from neuron_bench.errors import BenchUsageError
from neuron_bench.models.shapes import DecoderShape, EncoderShape, Experts, Rope, Shape

ACTIVATIONS = {
    "silu": "silu", "swish": "silu", "gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu",
}  # fmt: skip
"""The names of transformers, and what each computes."""

ROPE_KINDS = ("default", "linear", "llama3", "yarn")
"""Scalings whose frequencies are fixed before the first token: those our graph holds."""

STRUCTURAL = (
    "kv_lora_rank", "q_lora_rank", "n_routed_experts", "num_experts", "num_local_experts", "n_shared_experts",
    "attention_bias", "mlp_bias", "use_bias", "use_qkv_bias", "qk_layernorm", "use_qk_norm", "sliding_window",
    "attention_chunk_size", "attn_logit_softcapping", "final_logit_softcapping", "clip_qkv", "cross_attention_layers",
    "no_rope_layers", "num_nextn_predict_layers", "embedding_multiplier", "residual_multiplier", "logits_scaling",
    "attention_multiplier", "mamba_d_state", "ssm_cfg", "layer_block_type", "use_parallel_residual", "vision_config",
    "audio_config", "is_encoder_decoder", "add_cross_attention", "swa_attention_sink_bias",
)  # fmt: skip
"""Keys that change weights or work. One that is set and that a family does not read is refused by its name."""


class Config:
    """A config.json with the keys that were read; numbers are checked as they are taken."""

    def __init__(self, raw: Mapping[str, Any], where: str) -> None:
        self.raw, self.where = raw, where
        self.used: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """A key's value; null is as absent."""
        self.used.add(key)
        value = self.raw.get(key)
        return default if value is None else value

    def flag(self, key: str, default: bool = False) -> bool:
        """A switch."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.refuse(f"{key} is {value!r}, expected true or false")
        return value

    def whole(self, *keys: str, default: int | None = None, least: int = 1) -> int:
        """The first of these keys that is there, as a whole number of at least `least`."""
        for key in keys:
            value = self.get(key)
            if value is None:
                continue
            if type(value) is not int or value < least:
                raise self.refuse(f"{key} is {value!r}, expected a whole number >= {least}")
            return int(value)
        if default is None:
            raise self.refuse(f"{' or '.join(keys)} is missing")
        return default

    def number(self, key: str, default: float | None) -> float | None:
        """A positive number."""
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            raise self.refuse(f"{key} is {value!r}, expected a number > 0")
        return float(value)

    def refuse(self, reason: str) -> BenchUsageError:
        """The error that names the file."""
        return BenchUsageError(f"{self.where}: {reason}")


def shape_from_config(raw: Mapping[str, Any], *, where: str, name: str = "config") -> Shape:
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
    named = raw.get("_name_or_path") if isinstance(raw.get("_name_or_path"), str) else None
    shape = FAMILIES[kind](config, named or name or "config")
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


def _decoder(config: Config, name: str, **more: Any) -> DecoderShape:
    """What every decoder family says in the same words."""
    hidden, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    kv_heads = config.whole("num_key_value_heads", default=heads)
    if heads % kv_heads:
        raise config.refuse(f"num_key_value_heads is {kv_heads}, which does not divide {heads} heads")
    head_dim = config.whole("head_dim", default=hidden // heads)
    eps = next(
        (float(config.raw[k]) for k in ("rms_norm_eps", "layer_norm_eps", "norm_epsilon") if k in config.raw), 1e-5
    )
    settings: dict[str, Any] = {
        "name": name,
        "layers": config.whole("num_hidden_layers"),
        "hidden": hidden,
        "heads": heads,
        "kv_heads": kv_heads,
        "head_dim": head_dim,
        "mlp": config.whole("intermediate_size"),
        "vocab": config.whole("vocab_size"),
        "context_tokens": config.whole("max_position_embeddings"),
        "tied_embeddings": config.flag("tie_word_embeddings", bool(more.pop("tied_by_default", False))),
        "norm_eps": eps,
    }
    activation, unknown = _activation(config)
    rope, unscaled = _rope(config, head_dim)
    not_built = (*more.pop("not_built", ()), *unknown, *unscaled)
    return DecoderShape(**settings | {"activation": activation, "rope": rope, "not_built": not_built} | more)


def _activation(config: Config) -> tuple[str, tuple[str, ...]]:
    names = ("hidden_activation", "hidden_act", "activation_function")
    name = str(next((value for key in names if (value := config.get(key)) is not None), "silu"))
    return ACTIVATIONS.get(name, name), () if name in ACTIVATIONS else (f"activation {name}",)


def _rope(config: Config, head_dim: int) -> tuple[Rope, tuple[str, ...]]:
    """Rotary positions from `rope_parameters` (transformers 5) or `rope_scaling` with `rope_theta` (before).

    Returns the rope, and the name of a scaling that our graph does not hold.
    """
    parameters, scaling = config.get("rope_parameters") or {}, config.get("rope_scaling") or {}
    if not isinstance(parameters, dict) or not isinstance(scaling, dict):
        raise config.refuse("rope_scaling and rope_parameters are objects, such as {rope_type: llama3, factor: 8}")
    local = parameters.get("sliding_attention")
    spelling = parameters.get("full_attention", parameters) or scaling
    theta = spelling.get("rope_theta") or config.number("rope_theta", 10_000.0) or 10_000.0
    share = spelling.get("partial_rotary_factor") or config.number("partial_rotary_factor", 1.0) or 1.0
    kind = str(spelling.get("rope_type") or spelling.get("type") or "default")
    rotary_dim = int(head_dim * float(share)) if float(share) != 1.0 else None
    local_theta = (local or {}).get("rope_theta") or config.number("rope_local_base_freq", None)
    rope = Rope(float(theta), kind, rotary_dim=rotary_dim, local_theta=local_theta)
    if kind == "default":
        return rope, ()
    if kind not in ROPE_KINDS:
        return rope, (f"rope scaling {kind}",)
    return _scaled(config, rope, spelling), ()


def _scaled(config: Config, rope: Rope, spelling: Mapping[str, Any]) -> Rope:
    """The rope with its scaling's numbers; one that the scaling needs and that is absent is named."""
    needed = {"linear": (), "llama3": ("low_freq_factor", "high_freq_factor", "original_max_position_embeddings")}
    for key in ("factor", *needed.get(rope.kind, ())):
        value = spelling.get(key)
        if not isinstance(value, int | float) or value <= 0:
            raise config.refuse(f"rope_scaling.{key} is {value!r}; {rope.kind} needs a number > 0")
    original = spelling.get("original_max_position_embeddings") or config.whole("max_position_embeddings")
    return replace(
        rope,
        factor=float(spelling["factor"]),
        low_freq_factor=float(spelling.get("low_freq_factor") or 1.0),
        high_freq_factor=float(spelling.get("high_freq_factor") or 4.0),
        original_context_tokens=int(original),
        beta_fast=float(spelling.get("beta_fast") or 32.0),
        beta_slow=float(spelling.get("beta_slow") or 1.0),
        attention_factor=spelling.get("attention_factor"),
    )


def _sliding(config: Config, layers: int, pattern: Callable[[int], bool]) -> dict[str, Any]:
    """The window and the layers that have one: from `layer_types`, else by the family's own pattern."""
    window = config.get("sliding_window")
    kinds = config.get("layer_types")
    if window is None:
        return {}
    window = config.whole("sliding_window")
    chosen = range(layers)
    if isinstance(kinds, list) and len(kinds) == layers:
        sliding = tuple(k for k in chosen if kinds[k] == "sliding_attention")
    else:
        sliding = tuple(k for k in chosen if pattern(k))
    return {"sliding_window": window, "sliding_layers": sliding} if sliding else {}


def _llama(config: Config, name: str) -> Shape:
    bias = config.flag("attention_bias")
    return _decoder(config, name, qkv_bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias"))


def _mistral(config: Config, name: str) -> Shape:
    layers = config.whole("num_hidden_layers")
    return _decoder(config, name, **_sliding(config, layers, lambda _: True))


def _qwen_sliding(config: Config) -> dict[str, Any]:
    layers, first = config.whole("num_hidden_layers"), config.whole("max_window_layers", default=28, least=0)
    window = _sliding(config, layers, lambda k: k >= first)
    return window if config.flag("use_sliding_window") else {}


def _qwen2(config: Config, name: str) -> DecoderShape:
    return _decoder(config, name, qkv_bias=True, **_qwen_sliding(config))


def _qwen3(config: Config, name: str) -> DecoderShape:
    bias = config.flag("attention_bias")
    return _decoder(config, name, qkv_bias=bias, out_bias=bias, qk_norm="head", **_qwen_sliding(config))


def _gemma_settings(config: Config) -> dict[str, Any]:
    bias, hidden = config.flag("attention_bias"), config.whole("hidden_size")
    return {
        "tied_by_default": True, "norm_plus_one": True, "embedding_scale": math.sqrt(hidden), "qkv_bias": bias,
        "out_bias": bias,
    }  # fmt: skip


def _gemma(config: Config, name: str) -> Shape:
    shape = _decoder(config, name, **_gemma_settings(config))
    return replace(shape, activation="gelu_tanh") if shape.activation == "gelu" else shape  # transformers does so too


def _gemma2(config: Config, name: str) -> Shape:
    return _softcapped_gemma(config, name, lambda k: k % 2 == 0)


def _gemma3(config: Config, name: str) -> Shape:
    every = config.whole("sliding_window_pattern", "_sliding_window_pattern", default=6)
    shape = _softcapped_gemma(config, name, lambda k: (k + 1) % every != 0)
    local = shape.rope.local_theta or 10_000.0
    return replace(shape, qk_norm="head", rope=replace(shape.rope, local_theta=local))


def _softcapped_gemma(config: Config, name: str, slides: Callable[[int], bool]) -> DecoderShape:
    scalar = config.number("query_pre_attn_scalar", 256.0) or 256.0
    return _decoder(
        config,
        name,
        norms=4,
        post_norm=True,
        attention_scale=scalar**-0.5,
        attention_softcap=config.number("attn_logit_softcapping", None),
        logit_softcap=config.number("final_logit_softcapping", None),
        **_gemma_settings(config),
        **_sliding(config, config.whole("num_hidden_layers"), slides),
    )


def _phi(config: Config, name: str) -> Shape:
    """Phi-1 and Phi-2: one LayerNorm a layer, attention and MLP beside each other, biases everywhere."""
    if config.flag("qk_layernorm"):
        raise config.refuse("qk_layernorm is True, which is not counted; set it off")
    return _decoder(
        config, name, norm="layer", norms=1, parallel=True, qkv_bias=True, out_bias=True, mlp_bias=True,
        head_bias=True, gated=False, not_built=("parallel LayerNorm blocks",),
    )  # fmt: skip


def _phi3(config: Config, name: str) -> Shape:
    return _decoder(config, name, **_sliding(config, config.whole("num_hidden_layers"), lambda _: True))


def _starcoder2(config: Config, name: str) -> Shape:
    bias = config.flag("use_bias", True)
    return _decoder(
        config, name, norm="layer", qkv_bias=bias, out_bias=bias, mlp_bias=bias, gated=False, tied_by_default=True,
        not_built=("LayerNorm blocks with an ungated MLP",),
        **_sliding(config, config.whole("num_hidden_layers"), lambda _: True),
    )  # fmt: skip


def _granite(config: Config, name: str) -> Shape:
    bias = config.flag("attention_bias")
    scaled = tuple(
        f"{key} {config.raw[key]}"
        for key in ("residual_multiplier", "logits_scaling")
        if config.get(key) not in (None, 1, 1.0)
    )
    return _decoder(
        config, name, qkv_bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias"), not_built=scaled,
        embedding_scale=config.number("embedding_multiplier", None),
        attention_scale=config.number("attention_multiplier", None),
    )  # fmt: skip


_EXPERTS = ("a mixture of experts",)


def _mixtral(config: Config, name: str) -> Shape:
    layers = config.whole("num_hidden_layers")
    experts = Experts(
        config.whole("num_local_experts"),
        config.whole("num_experts_per_tok"),
        config.whole("intermediate_size"),
        layers,
    )
    return _decoder(
        config, name, experts=_checked(config, experts), not_built=_EXPERTS, **_sliding(config, layers, lambda _: True)
    )


def _qwen_moe(config: Config, dense: DecoderShape, shared_mlp: int) -> Shape:
    layers, step = config.whole("num_hidden_layers"), config.whole("decoder_sparse_step", default=1)
    plain = config.get("mlp_only_layers", [])
    sparse = sum(k not in plain and (k + 1) % step == 0 for k in range(layers))
    experts = Experts(
        count=config.whole("num_experts", "num_local_experts"),
        active=config.whole("num_experts_per_tok"),
        mlp=config.whole("moe_intermediate_size"),
        layers=sparse,
        shared_mlp=shared_mlp,
        shared_gate=shared_mlp > 0,
    )
    return replace(dense, experts=_checked(config, experts), not_built=(*dense.not_built, *_EXPERTS))


def _qwen2_moe(config: Config, name: str) -> Shape:
    return _qwen_moe(config, _qwen2(config, name), config.whole("shared_expert_intermediate_size"))


def _qwen3_moe(config: Config, name: str) -> Shape:
    return _qwen_moe(config, _qwen3(config, name), 0)


def _gpt_oss(config: Config, name: str) -> Shape:
    layers, bias = config.whole("num_hidden_layers"), config.flag("attention_bias", True)
    experts = Experts(
        count=config.whole("num_local_experts", "num_experts"),
        active=config.whole("num_experts_per_tok", "experts_per_token"),
        mlp=config.whole("intermediate_size"),
        layers=layers,
        bias=True,
    )
    return _decoder(
        config, name, experts=_checked(config, experts), qkv_bias=bias, out_bias=bias, sinks=True,
        not_built=(*_EXPERTS, "attention sinks"), **_sliding(config, layers, lambda k: k % 2 == 0),
    )  # fmt: skip


def _checked(config: Config, experts: Experts) -> Experts:
    if experts.active > experts.count:
        raise config.refuse(f"num_experts_per_tok is {experts.active} of {experts.count} experts")
    return experts


def _labels(config: Config) -> int:
    """Labels of a sequence classifier: those it names, else transformers' default of two; 0 for any other head."""
    architectures = config.get("architectures", [])
    head = str(architectures[0]) if isinstance(architectures, list) and architectures else ""
    if head.endswith(("ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice")):
        raise config.refuse(
            f"architectures is {head!r}: its head is not counted; embedders and sequence classifiers are"
        )
    if not head.endswith("ForSequenceClassification"):
        return 0
    names = config.get("id2label")
    return len(names) if names else config.whole("num_labels", default=2)


def _encoder_activation(config: Config) -> dict[str, Any]:
    name = str(config.get("hidden_act", config.get("activation", "gelu")))
    unknown = () if name in ACTIVATIONS else (f"activation {name}",)
    return {"activation": ACTIVATIONS.get(name, name), "not_built": unknown}


def _bert(config: Config, name: str) -> Shape:
    return _bert_like(config, name, "bert", config.whole("max_position_embeddings"), types=2)


def _roberta(config: Config, name: str) -> Shape:
    """Two rows of its position table stand for padding: 514 rows hold 512 tokens."""
    positions = config.whole("max_position_embeddings", least=3)
    return _bert_like(config, name, "roberta", positions, types=1, padding=2)


def _bert_like(config: Config, name: str, family: str, positions: int, types: int, padding: int = 0) -> Shape:
    relative = config.get("position_embedding_type", "absolute")
    if relative != "absolute":
        raise config.refuse(f"position_embedding_type is {relative!r}: only absolute positions are counted")
    return EncoderShape(
        name=name,
        layers=config.whole("num_hidden_layers"),
        hidden=config.whole("hidden_size"),
        heads=config.whole("num_attention_heads"),
        mlp=config.whole("intermediate_size"),
        vocab=config.whole("vocab_size"),
        context_tokens=positions - padding,
        positions=positions if padding else None,
        labels=_labels(config),
        types=config.whole("type_vocab_size", default=types),
        norm_eps=config.number("layer_norm_eps", 1e-12) or 1e-12,
        family=family,
        **_encoder_activation(config),
    )


def _distilbert(config: Config, name: str) -> Shape:
    activation = _encoder_activation(config)
    return EncoderShape(
        name=name,
        layers=config.whole("n_layers", "num_hidden_layers"),
        hidden=config.whole("dim", "hidden_size"),
        heads=config.whole("n_heads", "num_attention_heads"),
        mlp=config.whole("hidden_dim", "intermediate_size"),
        vocab=config.whole("vocab_size"),
        context_tokens=config.whole("max_position_embeddings"),
        labels=_labels(config),
        types=0,
        family="distilbert",
        activation=activation["activation"],
        not_built=(*activation["not_built"], "DistilBERT's head"),
    )


def _modernbert(config: Config, name: str) -> Shape:
    for key in ("attention_bias", "mlp_bias", "norm_bias", "classifier_bias"):
        if config.flag(key):
            raise config.refuse(f"{key} is True, which is not counted; set it off")
    return EncoderShape(
        name=name,
        layers=config.whole("num_hidden_layers"),
        hidden=config.whole("hidden_size"),
        heads=config.whole("num_attention_heads"),
        mlp=config.whole("intermediate_size"),
        vocab=config.whole("vocab_size"),
        context_tokens=config.whole("max_position_embeddings"),
        labels=_labels(config),
        types=0,
        norm_eps=config.number("norm_eps", 1e-5) or 1e-5,
        family="modernbert",
        not_built=("ModernBERT's gated layers with rotary positions",),
    )


FAMILIES: dict[str, Callable[[Config, str], Shape]] = {
    "llama": _llama, "mistral": _mistral, "qwen2": _qwen2, "qwen3": _qwen3, "gemma": _gemma, "gemma2": _gemma2,
    "gemma3_text": _gemma3, "phi": _phi, "phi3": _phi3, "starcoder2": _starcoder2, "granite": _granite,
    "mixtral": _mixtral, "qwen2_moe": _qwen2_moe, "qwen3_moe": _qwen3_moe, "gpt_oss": _gpt_oss, "bert": _bert,
    "roberta": _roberta, "xlm-roberta": _roberta, "camembert": _roberta, "distilbert": _distilbert,
    "modernbert": _modernbert,
}  # fmt: skip
"""By model_type, as the public configs have it."""
