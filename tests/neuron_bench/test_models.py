"""Models of our own: a static cache changes nothing, and a graph saved and loaded is the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neuron_bench.models.presets import PRESETS
from neuron_bench.models.shapes import DecoderShape, Rope

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'peakday[bench]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

from neuron_bench.child.decoder import build_decoder, rotary  # noqa: E402
from neuron_bench.child.encoder import build_encoder  # noqa: E402
from neuron_bench.child.runner import Runner, plain_trace  # noqa: E402
from neuron_bench.trace.cases import prefill  # noqa: E402
from neuron_bench.trace.messages import LoadRequest  # noqa: E402

STEPS = 64
PROMPT = 8
SHAPE = DecoderShape("test", 2, 64, 4, 2, 16, 176, 128, 256)


def build(batch: int, cache_tokens: int, **kwargs: Any) -> Any:
    """Decoders of one seed share their weights, whatever their caches."""
    return build_decoder(SHAPE, batch=batch, cache_tokens=cache_tokens, dtype="float32", device="cpu", seed=3, **kwargs)


def prompt(batch: int) -> Any:
    return torch.randint(0, SHAPE.vocab, (batch, PROMPT), generator=torch.Generator().manual_seed(5))


def at(position: int) -> Any:
    return torch.tensor([position])


@torch.inference_mode()
def by_full_passes(batch: int) -> Any:
    """Greedy tokens when every step runs the whole sequence through an empty cache of just its length."""
    tokens = prompt(batch)
    for _ in range(STEPS):
        logits = build(batch, tokens.shape[1])(tokens, at(0))[0]
        tokens = torch.cat((tokens, logits.argmax(-1, keepdim=True)), dim=1)
    return tokens[:, PROMPT:]


@torch.inference_mode()
def by_static_cache(model: Any, prefill: Any, batch: int) -> Any:
    """Greedy tokens from one prefill and then steps of one token."""
    token = prefill(prompt(batch), at(0))[0].argmax(-1, keepdim=True)
    found = [token]
    for step in range(STEPS - 1):
        token = model(token, at(PROMPT + step))[0].argmax(-1, keepdim=True)
        found.append(token)
    return torch.cat(found, dim=1)


@pytest.mark.parametrize("batch", [1, 4])
def test_static_cache_decode_equals_the_full_forward_pass(batch: int) -> None:
    """Token for token over 64 steps, float32."""
    model = build(batch, 96)
    assert torch.equal(by_static_cache(model, model, batch), by_full_passes(batch))


@pytest.mark.parametrize("batch", [1, 4])
def test_a_saved_and_loaded_trace_equals_eager(batch: int, tmp_path: Path) -> None:
    """The decode graph goes through a file and gives the same 64 tokens; its cache lives in the graph."""
    model = build(batch, 96)
    with torch.inference_mode():
        graph = plain_trace(model, (prompt(batch), at(0)))
        torch.jit.save(graph, str(tmp_path / "prefill.pt"))
        step = plain_trace(model, (prompt(batch)[:, :1], at(0)))
        torch.jit.save(step, str(tmp_path / "step.pt"))
        loaded, eager = torch.jit.load(str(tmp_path / "step.pt")), build(batch, 96)
        for position in range(STEPS):
            token = torch.full((batch, 1), position % SHAPE.vocab)
            assert torch.equal(loaded(token, at(position))[0], eager(token, at(position))[0])
        prefill = torch.jit.load(str(tmp_path / "prefill.pt"))
        assert torch.equal(prefill(prompt(batch), at(0))[0], build(batch, 96)(prompt(batch), at(0))[0])


def test_out_of_place_returns_the_caches_it_would_have_written() -> None:
    """The form a Neuron graph takes: logits equal, and each cache comes back in the order of `caches()`."""
    inside, outside = build(2, 32), build(2, 32, in_place=False)
    with torch.inference_mode():
        logits = inside(prompt(2), at(0))[0]
        out = outside(prompt(2), at(0))
    assert torch.equal(out[0], logits)
    for returned, written, untouched in zip(out[1:], inside.caches(), outside.caches(), strict=True):
        assert torch.equal(returned, written)
        assert not untouched.any()


def test_our_decoder_is_a_llama() -> None:
    """With the same weights, transformers' own LlamaForCausalLM gives the same logits."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.LlamaConfig(
        vocab_size=SHAPE.vocab, hidden_size=SHAPE.hidden, intermediate_size=SHAPE.mlp, head_dim=SHAPE.head_dim,
        num_hidden_layers=SHAPE.layers, num_attention_heads=SHAPE.heads, num_key_value_heads=SHAPE.kv_heads,
        rms_norm_eps=SHAPE.norm_eps, rope_theta=SHAPE.rope.theta, tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": SHAPE.rope.theta},
    )  # fmt: skip
    theirs, ours = transformers.LlamaForCausalLM(config).eval(), build(2, 16)
    names = {
        "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
        "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
        "norm_attention": "input_layernorm", "norm_mlp": "post_attention_layernorm",
    }  # fmt: skip
    weights = {"model.embed_tokens.weight": ours.embedding.weight, "model.norm.weight": ours.norm.weight}
    weights["lm_head.weight"] = ours.head.weight
    for place, layer in enumerate(ours.layers):
        for mine, yours in names.items():
            weights[f"model.layers.{place}.{yours}.weight"] = getattr(layer, mine).weight
    theirs.load_state_dict(weights)
    with torch.inference_mode():
        torch.testing.assert_close(ours(prompt(2), at(0))[0], theirs(prompt(2)).logits[:, -1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["nano", "tiny", "router-nano", "embedder"])
def test_a_built_model_has_its_presets_parameters(name: str) -> None:
    """The count on the shape is the count in memory."""
    shape = PRESETS[name]
    if isinstance(shape, DecoderShape):
        model = build_decoder(shape, batch=1, cache_tokens=8, dtype="float32", device="cpu", seed=1)
        assert sum(weight.numel() for weight in model.weights()) == shape.params
    else:
        encoder = build_encoder(shape, dtype="float32", device="cpu", seed=1)
        assert sum(weight.numel() for weight in encoder.parameters()) == shape.params


def test_an_encoder_ignores_padding() -> None:
    """What stands behind the mask changes no logit."""
    model = build_encoder(PRESETS["router-nano"], dtype="float32", device="cpu", seed=1)
    tokens = torch.randint(0, 2048, (2, 12))
    mask = torch.ones_like(tokens)
    mask[:, 8:] = 0
    other = torch.where(mask.bool(), tokens, torch.zeros_like(tokens))
    with torch.inference_mode():
        torch.testing.assert_close(model(tokens, mask), model(other, mask))


def test_deep_random_weights_stay_finite() -> None:
    """A random model of many layers still gives logits: timings of NaN would be timings of something else."""
    deep = DecoderShape("deep", 24, 64, 4, 2, 16, 176, 128, 256)
    model = build_decoder(deep, batch=1, cache_tokens=16, dtype="bfloat16", device="cpu", seed=1)
    with torch.inference_mode():
        assert torch.isfinite(model(prompt(1), at(0))[0]).all()


QWEN3 = {"qk_norm": "head", "qkv_bias": True}
GEMMA = {
    "norms": 4, "post_norm": True, "norm_plus_one": True, "activation": "gelu_tanh", "tied_embeddings": True,
    "attention_softcap": 50.0, "logit_softcap": 30.0, "embedding_scale": 8.0, "sliding_window": 16,
    "sliding_layers": (0,), "qk_norm": "head",
}  # fmt: skip
PARTIAL = {"rope": Rope(1e4, rotary_dim=8), "out_bias": True, "mlp_bias": True, "head_bias": True}


@pytest.mark.parametrize("parts", [QWEN3, GEMMA, PARTIAL])
def test_what_a_shape_says_is_built_and_a_static_cache_changes_nothing(parts: dict[str, Any]) -> None:
    """Weights as counted; and one token at a time gives the logits of the whole prompt at once, window and all."""
    shape = DecoderShape("parts", 2, 64, 4, 2, 16, 176, 128, 256, **parts)
    first, second = (
        build_decoder(shape, batch=1, cache_tokens=32, dtype="float32", device="cpu", seed=3) for _ in range(2)
    )
    tokens = torch.randint(0, shape.vocab, (1, 24), generator=torch.Generator().manual_seed(5))
    assert sum(weight.numel() for weight in first.weights()) == shape.params
    with torch.inference_mode():
        whole = first(tokens, at(0))[0]
        for place in range(24):
            step = second(tokens[:, place : place + 1], at(place))[0]
    torch.testing.assert_close(step, whole, rtol=1e-4, atol=1e-4)


def test_a_window_hides_what_lies_behind_it() -> None:
    """The logits of a two-layer model with windows of 4 do not depend on a token eight places back."""
    shape = DecoderShape("window", 2, 64, 4, 2, 16, 176, 128, 256, sliding_window=4, sliding_layers=(0, 1))
    tokens = torch.randint(0, shape.vocab, (1, 16), generator=torch.Generator().manual_seed(5))
    other = tokens.clone()
    other[0, 3] = (other[0, 3] + 1) % shape.vocab
    logits = []
    with torch.inference_mode():
        for prompt_tokens in (tokens, other):
            model = build_decoder(shape, batch=1, cache_tokens=16, dtype="float32", device="cpu", seed=3)
            logits.append(model(prompt_tokens, at(0))[0])
    assert torch.equal(*logits)


@pytest.mark.parametrize("kind", ["linear", "llama3", "yarn"])
def test_a_rope_scaling_slows_long_waves_and_no_short_one(kind: str) -> None:
    """The slowest dimension turns `factor` times slower; the fastest as before, but for linear, which slows all."""
    plain, scaled = Rope(1e4), Rope(1e4, kind, 8.0, original_context_tokens=512, attention_factor=1.0)
    angles = [torch.atan2(*reversed([t[1, :8] for t in rotary(rope, 16, 2)])).double() for rope in (plain, scaled)]
    assert angles[0][7] / angles[1][7] == pytest.approx(8.0, rel=1e-3)
    assert angles[0][0] / angles[1][0] == pytest.approx(8.0 if kind == "linear" else 1.0, rel=1e-3)


def test_buckets_share_one_file_of_weights(tmp_path: Path) -> None:
    """A graph is its operations: the second one adds no weights, and gives what the module gives."""
    for number, tokens in enumerate((16, 32)):
        request = LoadRequest(
            case=prefill(1, tokens, "float32"), shape=PRESETS["nano"], device="cpu", threads=1, seed=1,
            artifact=str(tmp_path / f"{number}.pt"), weights=str(tmp_path / "weights.pt"),
        )  # fmt: skip
        runner = Runner(request)
        eager = build_decoder(PRESETS["nano"], batch=1, cache_tokens=tokens, dtype="float32", device="cpu", seed=1)
        with torch.inference_mode():
            assert torch.equal(runner.step()[0], eager(runner.tokens, at(0))[0])
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["weights.pt"] > PRESETS["nano"].params * 4
    assert sizes["0.pt"] + sizes["1.pt"] < sizes["weights.pt"] / 10
