"""Public models: counted from their config.json, they have the parameters that are published for them, to the unit."""

from __future__ import annotations

from typing import Any

import pytest

from neuron_bench.errors import BenchUsageError
from neuron_bench.models.families import shape_from_config
from neuron_bench.models.presets import require_buildable
from neuron_bench.models.shapes import DecoderShape
from neuron_bench.trace.cases import decode
from neuron_bench.trace.roofline import work


def config(
    kind: str, layers: int, hidden: int, heads: int, kv_heads: int | None, mlp: int, vocab: int, **more: Any
) -> dict[str, Any]:
    """The keys of a public config.json that every decoder and encoder has, and its own."""
    said = {
        "model_type": kind, "num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "intermediate_size": mlp, "vocab_size": vocab,
        "max_position_embeddings": 4096,
    }  # fmt: skip
    return said | more


PUBLISHED: tuple[tuple[str, dict[str, Any], int], ...] = (
    # Keys from each model's public config.json. Totals as its page counts its weights (safetensors), tied heads and
    # buffers not counted twice; Llama 3.1, Qwen3-0.6B, Qwen3-30B-A3B and gpt-oss were held against public listings of
    # those pages on 2026-11-29, the others are recalled from them: each agrees with its config to the unit.
    ("meta-llama/Llama-3.1-8B", config("llama", 32, 4096, 32, 8, 14336, 128256), 8_030_261_248),
    ("meta-llama/Llama-3.1-70B", config("llama", 80, 8192, 64, 8, 28672, 128256), 70_553_706_496),
    ("meta-llama/Llama-3.1-405B", config("llama", 126, 16384, 128, 8, 53248, 128256), 405_853_388_800),
    (
        "meta-llama/Llama-3.2-1B",
        config("llama", 16, 2048, 32, 8, 8192, 128256, head_dim=64, tie_word_embeddings=True),
        1_235_814_400,
    ),
    (
        "meta-llama/Llama-3.2-3B",
        config("llama", 28, 3072, 24, 8, 8192, 128256, head_dim=128, tie_word_embeddings=True),
        3_212_749_824,
    ),
    ("TinyLlama/TinyLlama-1.1B", config("llama", 22, 2048, 32, 4, 5632, 32000), 1_100_048_384),
    ("HuggingFaceTB/SmolLM2-135M", config("llama", 30, 576, 9, 3, 1536, 49152, tie_word_embeddings=True), 134_515_008),
    ("HuggingFaceTB/SmolLM2-360M", config("llama", 32, 960, 15, 5, 2560, 49152, tie_word_embeddings=True), 361_821_120),
    (
        "HuggingFaceTB/SmolLM2-1.7B",
        config("llama", 24, 2048, 32, 32, 8192, 49152, tie_word_embeddings=True),
        1_711_376_384,
    ),
    ("Qwen/Qwen2.5-0.5B", config("qwen2", 24, 896, 14, 2, 4864, 151936, tie_word_embeddings=True), 494_032_768),
    ("Qwen/Qwen2.5-1.5B", config("qwen2", 28, 1536, 12, 2, 8960, 151936, tie_word_embeddings=True), 1_543_714_304),
    ("Qwen/Qwen2.5-3B", config("qwen2", 36, 2048, 16, 2, 11008, 151936, tie_word_embeddings=True), 3_085_938_688),
    ("Qwen/Qwen2.5-7B", config("qwen2", 28, 3584, 28, 4, 18944, 152064), 7_615_616_512),
    ("Qwen/Qwen2.5-14B", config("qwen2", 48, 5120, 40, 8, 13824, 152064), 14_770_033_664),
    ("Qwen/Qwen2.5-32B", config("qwen2", 64, 5120, 40, 8, 27648, 152064), 32_763_876_352),
    ("Qwen/Qwen2.5-72B", config("qwen2", 80, 8192, 64, 8, 29568, 152064), 72_706_203_648),
    (
        "Qwen/Qwen3-0.6B",
        config("qwen3", 28, 1024, 16, 8, 3072, 151936, head_dim=128, tie_word_embeddings=True),
        596_049_920,
    ),
    (
        "Qwen/Qwen3-1.7B",
        config("qwen3", 28, 2048, 16, 8, 6144, 151936, head_dim=128, tie_word_embeddings=True),
        1_720_574_976,
    ),
    (
        "Qwen/Qwen3-4B",
        config("qwen3", 36, 2560, 32, 8, 9728, 151936, head_dim=128, tie_word_embeddings=True),
        4_022_468_096,
    ),
    ("Qwen/Qwen3-8B", config("qwen3", 36, 4096, 32, 8, 12288, 151936, head_dim=128), 8_190_735_360),
    ("Qwen/Qwen3-14B", config("qwen3", 40, 5120, 40, 8, 17408, 151936, head_dim=128), 14_768_307_200),
    ("Qwen/Qwen3-32B", config("qwen3", 64, 5120, 64, 8, 25600, 151936, head_dim=128), 32_762_123_264),
    (
        "Qwen/Qwen3-30B-A3B",
        config(
            "qwen3_moe",
            48,
            2048,
            32,
            4,
            6144,
            151936,
            head_dim=128,
            num_experts=128,
            num_experts_per_tok=8,
            moe_intermediate_size=768,
            decoder_sparse_step=1,
            mlp_only_layers=[],
        ),
        30_532_122_624,
    ),
    (
        "Qwen/Qwen3-235B-A22B",
        config(
            "qwen3_moe",
            94,
            4096,
            64,
            4,
            12288,
            151936,
            head_dim=128,
            num_experts=128,
            num_experts_per_tok=8,
            moe_intermediate_size=1536,
            decoder_sparse_step=1,
            mlp_only_layers=[],
        ),
        235_093_634_560,
    ),
    (
        "Qwen/Qwen1.5-MoE-A2.7B",
        config(
            "qwen2_moe",
            24,
            2048,
            16,
            16,
            5632,
            151936,
            num_experts=60,
            num_experts_per_tok=4,
            moe_intermediate_size=1408,
            shared_expert_intermediate_size=5632,
        ),
        14_315_784_192,
    ),
    ("mistralai/Mistral-7B-v0.1", config("mistral", 32, 4096, 32, 8, 14336, 32000, sliding_window=4096), 7_241_732_096),
    ("mistralai/Mistral-7B-v0.3", config("mistral", 32, 4096, 32, 8, 14336, 32768), 7_248_023_552),
    ("mistralai/Mistral-Nemo-12B", config("mistral", 40, 5120, 32, 8, 14336, 131072, head_dim=128), 12_247_782_400),
    (
        "mistralai/Mixtral-8x7B",
        config("mixtral", 32, 4096, 32, 8, 14336, 32000, num_local_experts=8, num_experts_per_tok=2),
        46_702_792_704,
    ),
    (
        "mistralai/Mixtral-8x22B",
        config("mixtral", 56, 6144, 48, 8, 16384, 32000, num_local_experts=8, num_experts_per_tok=2),
        140_620_634_112,
    ),
    ("google/gemma-2b", config("gemma", 18, 2048, 8, 1, 16384, 256000, head_dim=256), 2_506_172_416),
    ("google/gemma-7b", config("gemma", 28, 3072, 16, 16, 24576, 256000, head_dim=256), 8_537_680_896),
    (
        "google/gemma-2-2b",
        config("gemma2", 26, 2304, 8, 4, 9216, 256000, head_dim=256, sliding_window=4096),
        2_614_341_888,
    ),
    (
        "google/gemma-2-9b",
        config("gemma2", 42, 3584, 16, 8, 14336, 256000, head_dim=256, sliding_window=4096),
        9_241_705_984,
    ),
    (
        "google/gemma-2-27b",
        config("gemma2", 46, 4608, 32, 16, 36864, 256000, head_dim=128, sliding_window=4096),
        27_227_128_320,
    ),
    (
        "google/gemma-3-270m",
        config("gemma3_text", 18, 640, 4, 1, 2048, 262144, head_dim=256, sliding_window=512),
        268_098_176,
    ),
    (
        "google/gemma-3-1b",
        config("gemma3_text", 26, 1152, 4, 1, 6912, 262144, head_dim=256, sliding_window=512),
        999_885_952,
    ),
    ("microsoft/phi-2", config("phi", 32, 2560, 32, 32, 10240, 51200, partial_rotary_factor=0.4), 2_779_683_840),
    ("microsoft/Phi-3-mini-4k", config("phi3", 32, 3072, 32, 32, 8192, 32064), 3_821_079_552),
    ("microsoft/phi-4", config("phi3", 40, 5120, 40, 10, 17920, 100352), 14_659_507_200),
    (
        "microsoft/Phi-4-mini",
        config("phi3", 32, 3072, 24, 8, 8192, 200064, partial_rotary_factor=0.75, tie_word_embeddings=True),
        3_836_021_760,
    ),
    ("bigcode/starcoder2-3b", config("starcoder2", 30, 3072, 24, 2, 12288, 49152), 3_030_371_328),
    ("bigcode/starcoder2-7b", config("starcoder2", 32, 4608, 36, 4, 18432, 49152), 7_173_923_840),
    (
        "openai/gpt-oss-20b",
        config(
            "gpt_oss",
            24,
            2880,
            64,
            8,
            2880,
            201088,
            head_dim=64,
            num_local_experts=32,
            num_experts_per_tok=4,
            sliding_window=128,
        ),
        20_914_757_184,
    ),
    (
        "openai/gpt-oss-120b",
        config(
            "gpt_oss",
            36,
            2880,
            64,
            8,
            2880,
            201088,
            head_dim=64,
            num_local_experts=128,
            num_experts_per_tok=4,
            sliding_window=128,
        ),
        116_829_156_672,
    ),
    (
        "ibm-granite/granite-3.1-2b",
        config("granite", 40, 2048, 32, 8, 8192, 49155, tie_word_embeddings=True),
        2_533_531_648,
    ),
    (
        "google-bert/bert-base-uncased",
        config("bert", 12, 768, 12, None, 3072, 30522, max_position_embeddings=512, type_vocab_size=2),
        109_482_240,
    ),
    (
        "google-bert/bert-large-uncased",
        config("bert", 24, 1024, 16, None, 4096, 30522, max_position_embeddings=512, type_vocab_size=2),
        335_141_888,
    ),
    (
        "BAAI/bge-small-en-v1.5",
        config("bert", 12, 384, 12, None, 1536, 30522, max_position_embeddings=512, type_vocab_size=2),
        33_360_000,
    ),
    (
        "cross-encoder/ms-marco-MiniLM-L6-v2",
        config(
            "bert",
            6,
            384,
            12,
            None,
            1536,
            30522,
            architectures=["BertForSequenceClassification"],
            id2label={"0": "L"},
            max_position_embeddings=512,
            type_vocab_size=2,
        ),
        22_713_601,
    ),
    (
        "FacebookAI/roberta-base",
        config("roberta", 12, 768, 12, None, 3072, 50265, max_position_embeddings=514, type_vocab_size=1),
        124_645_632,
    ),
    (
        "FacebookAI/roberta-large",
        config("roberta", 24, 1024, 16, None, 4096, 50265, max_position_embeddings=514, type_vocab_size=1),
        355_359_744,
    ),
    (
        "FacebookAI/xlm-roberta-base",
        config("xlm-roberta", 12, 768, 12, None, 3072, 250002, max_position_embeddings=514, type_vocab_size=1),
        278_043_648,
    ),
    (
        "distilbert/distilbert-base-uncased",
        {
            "model_type": "distilbert",
            "n_layers": 6,
            "dim": 768,
            "n_heads": 12,
            "hidden_dim": 3072,
            "vocab_size": 30522,
            "max_position_embeddings": 512,
        },
        66_362_880,
    ),
    (
        "distilbert/distilbert-base-uncased-finetuned-sst-2",
        {
            "model_type": "distilbert",
            "architectures": ["DistilBertForSequenceClassification"],
            "n_layers": 6,
            "dim": 768,
            "n_heads": 12,
            "hidden_dim": 3072,
            "vocab_size": 30522,
            "max_position_embeddings": 512,
        },
        66_955_010,
    ),
    (
        "answerdotai/ModernBERT-base",
        config("modernbert", 22, 768, 12, None, 1152, 50368, max_position_embeddings=8192),
        149_014_272,
    ),
    (
        "answerdotai/ModernBERT-large",
        config("modernbert", 28, 1024, 16, None, 2624, 50368, max_position_embeddings=8192),
        394_781_696,
    ),
    (
        "BAAI/bge-reranker-base",
        config(
            "xlm-roberta",
            12,
            768,
            12,
            None,
            3072,
            250002,
            architectures=["XLMRobertaForSequenceClassification"],
            id2label={"0": "L"},
            max_position_embeddings=514,
            type_vocab_size=1,
        ),
        278_044_417,
    ),
)
BY_NAME = {name: said for name, said, _ in PUBLISHED}


def shape(name: str, **change: Any) -> Any:
    return shape_from_config(BY_NAME[name] | change, where=name)


@pytest.mark.parametrize(("name", "said", "params"), PUBLISHED, ids=[name for name, _, _ in PUBLISHED])
def test_a_public_model_has_its_published_parameters(name: str, said: dict[str, Any], params: int) -> None:
    """Exactly: one bias or norm too many shows."""
    assert shape_from_config(said, where=name).params == params


@pytest.mark.parametrize(
    ("name", "active"),
    [
        ("openai/gpt-oss-20b", 3.61e9),  # model card: 3.61B active, which leaves the embedding table out
        ("openai/gpt-oss-120b", 5.13e9),  # model card: 5.13B, likewise
        ("Qwen/Qwen3-30B-A3B", 3.35e9),  # 3.3B active
        ("Qwen/Qwen3-235B-A22B", 22.19e9),  # 22B active
        ("mistralai/Mixtral-8x7B", 12.88e9),  # 12.9B active
        ("Qwen/Qwen1.5-MoE-A2.7B", 2.69e9),  # 2.7B active
    ],
)
def test_active_parameters_are_those_of_the_experts_a_token_meets(name: str, active: float) -> None:
    """As the model cards round them."""
    model = shape(name)
    table = model.vocab * model.hidden if name.startswith("openai") else 0
    assert model.active_params - table == pytest.approx(active, rel=0.005)


def test_a_step_reads_the_experts_that_its_tokens_are_sent_to() -> None:
    """One token reads the active ones; a large batch reads nearly all; operations grow with tokens alone."""
    model = shape("mistralai/Mixtral-8x7B")
    one, many = (work(model, decode(batch, 64, "bfloat16")) for batch in (1, 64))
    table = model.vocab * model.hidden
    assert one.bytes - one.kv_bytes == pytest.approx(2 * (model.active_params - table), rel=0.001)
    assert many.bytes - many.kv_bytes == pytest.approx(2 * (model.params - table), rel=0.001)
    assert many.flops == pytest.approx(64 * one.flops)


def test_a_sliding_layer_keeps_its_window_and_no_more() -> None:
    """Gemma 3 1B: 22 of 26 layers keep 512 tokens of a context of 8,192."""
    model = shape("google/gemma-3-1b")
    per_token = 2 * model.kv_heads * model.head_dim
    assert len(model.sliding_layers) == 22
    assert model.kv_values(8192) == per_token * (4 * 8192 + 22 * 512)
    assert model.kv_values(100) == per_token * 26 * 100


LLAMA3 = {
    "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
}  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **LLAMA3}},
        {"rope_theta": 5e5, "rope_scaling": {"type": "llama3", **LLAMA3}},
        {"rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", **LLAMA3}},
    ],
)
def test_a_rope_scaling_is_read_in_every_spelling(said: dict[str, Any]) -> None:
    """`type` and `rope_type`, and the rope_parameters of transformers 5: one rope."""
    rope = shape("meta-llama/Llama-3.1-8B", **said).rope
    assert (rope.kind, rope.theta, rope.factor, rope.original_context_tokens) == ("llama3", 5e5, 8.0, 8192)


@pytest.mark.parametrize(
    ("name", "change", "part"),
    [
        ("mistralai/Mixtral-8x7B", {}, "a mixture of experts"),
        ("openai/gpt-oss-20b", {}, "attention sinks"),
        ("microsoft/phi-2", {}, "parallel LayerNorm blocks"),
        ("meta-llama/Llama-3.1-8B", {"rope_scaling": {"type": "longrope"}}, "rope scaling longrope"),
        ("meta-llama/Llama-3.1-8B", {"hidden_act": "xielu"}, "activation xielu"),
        (
            "meta-llama/Llama-3.1-8B",
            {"quantization_config": {"quant_method": "gptq", "bits": 4}},
            r"quantised weights \(gptq 4-bit\)",
        ),
        ("answerdotai/ModernBERT-base", {}, "ModernBERT's gated layers"),
    ],
)
def test_what_a_trace_does_not_build_is_refused_by_its_name(name: str, change: dict[str, Any], part: str) -> None:
    """Counted, never built without it; the remedy is the other route."""
    model = shape(name, **change)
    assert model.params > 0
    with pytest.raises(BenchUsageError, match=f"does not build .*{part}.*--method endpoint"):
        require_buildable(model)


@pytest.mark.parametrize("name", ["Qwen/Qwen3-8B", "google/gemma-2-9b", "mistralai/Mistral-7B-v0.1"])
def test_the_usual_families_are_built(name: str) -> None:
    """Norms on queries and keys, windows, softcaps: applied in the graph."""
    model = shape(name)
    assert isinstance(model, DecoderShape)
    require_buildable(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_experts": 8}, "num_experts is 8, which llama as we count it does not have"),
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping is 50.0"),
        ({"model_type": "gemma3", "text_config": {"hidden_size": 1}}, "give the text_config alone"),
        ({"model_type": "deepseek_v2"}, r"\(MLA\) is not counted; serve it and use --method endpoint"),
        ({"kv_lora_rank": 512}, r"\(MLA\)"),
    ],
)
def test_a_part_that_is_not_counted_is_refused_and_never_ignored(change: dict[str, Any], message: str) -> None:
    """Exit 2, with the key."""
    with pytest.raises(BenchUsageError, match=message):
        shape("meta-llama/Llama-3.1-8B", **change)


def test_a_classifier_without_names_has_two_labels() -> None:
    """As transformers builds it: 1,538 parameters that an embedder of the same shape has not."""
    plain = shape("google-bert/bert-base-uncased")
    classifier = shape("google-bert/bert-base-uncased", architectures=["BertForSequenceClassification"])
    assert classifier.params - plain.params == 1538
