"""Decoder families: what each family's config.json says in words of its own, and what it means for the shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from neuron_bench.models.config import Config
from neuron_bench.models.shapes import DecoderShape, Experts, Rope, Shape

ROPE_KINDS = ("default", "linear", "llama3", "yarn")
"""Scalings whose frequencies are fixed before the first token: those our graph holds."""


def _decoder(config: Config, name: str, *, tied: bool = False) -> DecoderShape:
    """What every decoder family says in the same words."""
    hidden, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    kv_heads = config.whole("num_key_value_heads", default=heads)
    if heads % kv_heads:
        raise config.refuse(f"num_key_value_heads is {kv_heads}, which does not divide {heads} heads")
    head_dim = config.whole("head_dim", default=hidden // heads)
    eps = (config.number(key, None) for key in ("rms_norm_eps", "layer_norm_eps", "norm_epsilon"))
    activation, unknown = config.activation("hidden_activation", "hidden_act", "activation_function", default="silu")
    rope, unscaled = _rope(config, head_dim)
    return DecoderShape(
        name=name,
        layers=config.whole("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        mlp=config.whole("intermediate_size"),
        vocab=config.whole("vocab_size"),
        context_tokens=config.whole("max_position_embeddings"),
        tied_embeddings=config.flag("tie_word_embeddings", tied),
        norm_eps=next((value for value in eps if value is not None), 1e-5),
        activation=activation,
        rope=rope,
        not_built=(*unknown, *unscaled),
    )


def _unbuilt(shape: DecoderShape, *parts: str) -> DecoderShape:
    """The same shape with parts that `--method trace` does not build."""
    return replace(shape, not_built=(*parts, *shape.not_built))


def _rope(config: Config, head_dim: int) -> tuple[Rope, tuple[str, ...]]:
    """Rotary positions from `rope_parameters` (transformers 5) or `rope_scaling` with `rope_theta` (before).

    Returns the rope, and the name of a scaling that our graph does not hold.
    """
    parameters, scaling = config.get("rope_parameters") or {}, config.get("rope_scaling") or {}
    if not isinstance(parameters, dict) or not isinstance(scaling, dict):
        raise config.refuse("rope_scaling and rope_parameters are objects, such as {rope_type: llama3, factor: 8}")
    local = config.part(parameters.get("sliding_attention"), "rope_parameters")
    spelling = config.part(parameters.get("full_attention", parameters) or scaling, "rope_scaling")
    theta = spelling.number("rope_theta", None) or config.number("rope_theta", None) or 10_000.0
    share = spelling.number("partial_rotary_factor", None) or config.number("partial_rotary_factor", None) or 1.0
    kind = str(spelling.get("rope_type") or spelling.get("type") or "default")
    rotary_dim = int(head_dim * share) if share != 1.0 else None
    local_theta = local.number("rope_theta", None) or config.number("rope_local_base_freq", None)
    rope = Rope(theta, kind, rotary_dim=rotary_dim, local_theta=local_theta)
    if kind == "default":
        return rope, ()
    if kind not in ROPE_KINDS:
        return rope, (f"rope scaling {kind}",)
    return _scaled(config, rope, spelling), ()


def _scaled(config: Config, rope: Rope, spelling: Config) -> Rope:
    """The rope with its scaling's numbers; one that the scaling needs and that is absent is named."""
    needed = {"linear": (), "llama3": ("low_freq_factor", "high_freq_factor", "original_max_position_embeddings")}
    for key in ("factor", *needed.get(rope.kind, ())):
        value = spelling.get(key)
        if not isinstance(value, int | float) or value <= 0:
            raise config.refuse(f"rope_scaling.{key} is {value!r}; {rope.kind} needs a number > 0")
    original = spelling.number("original_max_position_embeddings", None)
    return replace(
        rope,
        factor=spelling.number("factor", None) or 1.0,
        low_freq_factor=spelling.number("low_freq_factor", None) or 1.0,
        high_freq_factor=spelling.number("high_freq_factor", None) or 4.0,
        original_context_tokens=int(original or config.whole("max_position_embeddings")),
        beta_fast=spelling.number("beta_fast", None) or 32.0,
        beta_slow=spelling.number("beta_slow", None) or 1.0,
        attention_factor=spelling.number("attention_factor", None),
    )


def _sliding(config: Config, shape: DecoderShape, pattern: Callable[[int], bool]) -> DecoderShape:
    """The same shape with its window and the layers that have one: from `layer_types`, else by the family's pattern."""
    kinds = config.get("layer_types")
    if config.get("sliding_window") is None:
        return shape
    window = config.whole("sliding_window")
    chosen = range(shape.layers)
    if isinstance(kinds, list) and len(kinds) == shape.layers:
        sliding = tuple(k for k in chosen if kinds[k] == "sliding_attention")
    else:
        sliding = tuple(k for k in chosen if pattern(k))
    return replace(shape, sliding_window=window, sliding_layers=sliding) if sliding else shape


def _every_layer(_: int) -> bool:
    return True


def _llama(config: Config, name: str) -> Shape:
    bias = config.flag("attention_bias")
    return replace(_decoder(config, name), qkv_bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias"))


def _mistral(config: Config, name: str) -> Shape:
    return _sliding(config, _decoder(config, name), _every_layer)


def _qwen(config: Config, name: str) -> DecoderShape:
    shape, first = _decoder(config, name), config.whole("max_window_layers", default=28, least=0)
    windowed = _sliding(config, shape, lambda k: k >= first)
    return windowed if config.flag("use_sliding_window") else shape


def _qwen2(config: Config, name: str) -> DecoderShape:
    return replace(_qwen(config, name), qkv_bias=True)


def _qwen3(config: Config, name: str) -> DecoderShape:
    bias = config.flag("attention_bias")
    return replace(_qwen(config, name), qkv_bias=bias, out_bias=bias, qk_norm="head")


def _any_gemma(config: Config, name: str) -> DecoderShape:
    bias, shape = config.flag("attention_bias"), _decoder(config, name, tied=True)
    scale = math.sqrt(shape.hidden)
    return replace(shape, norm_plus_one=True, embedding_scale=scale, qkv_bias=bias, out_bias=bias)


def _gemma(config: Config, name: str) -> Shape:
    shape = _any_gemma(config, name)
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
    return replace(
        _sliding(config, _any_gemma(config, name), slides),
        norms=4,
        post_norm=True,
        attention_scale=scalar**-0.5,
        attention_softcap=config.number("attn_logit_softcapping", None),
        logit_softcap=config.number("final_logit_softcapping", None),
    )


def _phi(config: Config, name: str) -> Shape:
    """Phi-1 and Phi-2: one LayerNorm a layer, attention and MLP beside each other, biases everywhere."""
    if config.flag("qk_layernorm"):
        raise config.refuse("qk_layernorm is True, which is not counted; set it off")
    return replace(
        _unbuilt(_decoder(config, name), "parallel LayerNorm blocks"),
        norm="layer",
        norms=1,
        parallel=True,
        qkv_bias=True,
        out_bias=True,
        mlp_bias=True,
        head_bias=True,
        gated=False,
    )


def _starcoder2(config: Config, name: str) -> Shape:
    bias = config.flag("use_bias", True)
    shape = _unbuilt(_decoder(config, name, tied=True), "LayerNorm blocks with an ungated MLP")
    shape = _sliding(config, shape, _every_layer)
    return replace(shape, norm="layer", qkv_bias=bias, out_bias=bias, mlp_bias=bias, gated=False)


def _granite(config: Config, name: str) -> Shape:
    bias = config.flag("attention_bias")
    scaled = tuple(
        f"{key} {config.raw[key]}"
        for key in ("residual_multiplier", "logits_scaling")
        if config.get(key) not in (None, 1, 1.0)
    )
    return replace(
        _unbuilt(_decoder(config, name), *scaled),
        qkv_bias=bias,
        out_bias=bias,
        mlp_bias=config.flag("mlp_bias"),
        embedding_scale=config.number("embedding_multiplier", None),
        attention_scale=config.number("attention_multiplier", None),
    )


_EXPERTS = "a mixture of experts"


def _mixtral(config: Config, name: str) -> Shape:
    shape = _unbuilt(_decoder(config, name), _EXPERTS)
    active = config.whole("num_experts_per_tok")
    experts = Experts(config.whole("num_local_experts"), active, shape.mlp, shape.layers)
    return _sliding(config, replace(shape, experts=_checked(config, experts)), _every_layer)


def _qwen_moe(config: Config, dense: DecoderShape, shared_mlp: int) -> Shape:
    step, plain = config.whole("decoder_sparse_step", default=1), config.get("mlp_only_layers")
    dense_layers = plain if isinstance(plain, list) else []
    sparse = sum(k not in dense_layers and (k + 1) % step == 0 for k in range(dense.layers))
    experts = Experts(
        count=config.whole("num_experts", "num_local_experts"),
        active=config.whole("num_experts_per_tok"),
        mlp=config.whole("moe_intermediate_size"),
        layers=sparse,
        shared_mlp=shared_mlp,
        shared_gate=shared_mlp > 0,
    )
    return replace(dense, experts=_checked(config, experts), not_built=(*dense.not_built, _EXPERTS))


def _qwen2_moe(config: Config, name: str) -> Shape:
    return _qwen_moe(config, _qwen2(config, name), config.whole("shared_expert_intermediate_size"))


def _qwen3_moe(config: Config, name: str) -> Shape:
    return _qwen_moe(config, _qwen3(config, name), 0)


def _gpt_oss(config: Config, name: str) -> Shape:
    bias, shape = config.flag("attention_bias", True), _unbuilt(_decoder(config, name), _EXPERTS, "attention sinks")
    experts = Experts(
        count=config.whole("num_local_experts", "num_experts"),
        active=config.whole("num_experts_per_tok", "experts_per_token"),
        mlp=shape.mlp,
        layers=shape.layers,
        bias=True,
    )
    shape = replace(shape, experts=_checked(config, experts), qkv_bias=bias, out_bias=bias, sinks=True)
    return _sliding(config, shape, lambda k: k % 2 == 0)


def _checked(config: Config, experts: Experts) -> Experts:
    if experts.active > experts.count:
        raise config.refuse(f"num_experts_per_tok is {experts.active} of {experts.count} experts")
    return experts


FAMILIES: dict[str, Callable[[Config, str], Shape]] = {
    "llama": _llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "phi": _phi,
    "phi3": _mistral,
    "starcoder2": _starcoder2,
    "granite": _granite,
    "mixtral": _mixtral,
    "qwen2_moe": _qwen2_moe,
    "qwen3_moe": _qwen3_moe,
    "gpt_oss": _gpt_oss,
}
"""By model_type, as the public configs have it."""
