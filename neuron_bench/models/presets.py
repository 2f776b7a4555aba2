"""Model shapes: presets with exact parameter counts, or a user's own config.json. No weights, no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neuron_bench.errors import BenchUsageError

SUPPORTED = ("llama", "mistral (without sliding window)", "bert")


@dataclass(frozen=True)
class DecoderShape:
    """A Llama-shaped decoder: RMSNorm, rotary positions, grouped-query attention, SwiGLU, no biases."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    vocab: int
    context_tokens: int
    tied_embeddings: bool = False
    rope_theta: float = 500_000.0
    norm_eps: float = 1e-5
    kind: str = "decoder"

    @property
    def params(self) -> int:
        """Every weight, counted."""
        attention = self.hidden * self.head_dim * 2 * (self.heads + self.kv_heads)
        layer = attention + 3 * self.hidden * self.mlp + 2 * self.hidden
        embeddings = self.vocab * self.hidden * (1 if self.tied_embeddings else 2)
        return self.layers * layer + embeddings + self.hidden

    @property
    def matmul_params(self) -> int:
        """Weights that a token multiplies: all but the embedding table and the norms."""
        norms = self.hidden * (2 * self.layers + 1)
        return self.params - norms - (0 if self.tied_embeddings else self.vocab * self.hidden)

    @property
    def kv_values_per_token(self) -> int:
        """Numbers kept per token of context: keys and values of every layer."""
        return 2 * self.layers * self.kv_heads * self.head_dim


@dataclass(frozen=True)
class EncoderShape:
    """A BERT-shaped encoder with a pooler; `labels` = 0 gives an embedder, else a classifier of that many labels."""

    name: str
    layers: int
    hidden: int
    heads: int
    mlp: int
    vocab: int
    context_tokens: int
    labels: int = 0
    types: int = 2
    norm_eps: float = 1e-12
    kind: str = "encoder"

    @property
    def params(self) -> int:
        """Every weight and bias, counted; the classifier's head included."""
        h = self.hidden
        embeddings = (self.vocab + self.context_tokens + self.types) * h + 2 * h
        layer = 4 * (h * h + h) + (h * self.mlp + self.mlp) + (self.mlp * h + h) + 4 * h
        return embeddings + self.layers * layer + (h * h + h) + self.labels * (h + 1)

    @property
    def matmul_params(self) -> int:
        """Weights that every token multiplies: those of the layers."""
        return self.layers * (4 * self.hidden**2 + 2 * self.hidden * self.mlp)


Shape = DecoderShape | EncoderShape

PRESETS: dict[str, Shape] = {
    shape.name: shape
    for shape in (
        # For this machine's CPU: ours, standing for nothing.
        DecoderShape("nano", 4, 256, 8, 4, 32, 704, 1024, 2048),
        DecoderShape("tiny", 8, 512, 8, 4, 64, 1376, 8192, 4096),
        EncoderShape("router-nano", 4, 128, 4, 512, 2048, 128, labels=19),
        # For chips. Shapes from the public config.json of each model.
        DecoderShape("llama-3.1-8b", 32, 4096, 32, 8, 128, 14336, 128256, 131072),
        DecoderShape("llama-3.1-70b", 80, 8192, 64, 8, 128, 28672, 128256, 131072),
        DecoderShape("planner-1b", 16, 2048, 32, 8, 64, 8192, 128256, 131072, tied_embeddings=True),  # Llama-3.2-1B
        EncoderShape("router-encoder", 6, 384, 12, 1536, 30522, 512, labels=19),  # MiniLM-L6-H384
        EncoderShape("embedder", 6, 384, 12, 1536, 30522, 512),  # all-MiniLM-L6-v2
    )
}


def shape_of(model: str) -> Shape:
    """A preset by name, or the shape in a config.json (a file, or the folder that holds it).

    Raises:
        BenchUsageError: no such preset or file, or an architecture we do not build; says what is supported.
    """
    if model in PRESETS:
        return PRESETS[model]
    path = Path(model)
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        raise BenchUsageError(f"model {model!r}: no such preset or config.json; presets: {', '.join(PRESETS)}")
    try:
        raw = json.loads(path.read_text())
        return _from_config(raw, where=str(path))
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise BenchUsageError(f"{path}: not a model config we can read ({error!r})") from None


def shape_from_json(raw: Mapping[str, Any]) -> Shape:
    """The shape that `asdict` made."""
    return DecoderShape(**raw) if raw["kind"] == "decoder" else EncoderShape(**raw)


def shape_json(shape: Shape) -> dict[str, Any]:
    """For a child process or an artifact key."""
    return asdict(shape)


def _from_config(raw: Mapping[str, Any], where: str) -> Shape:
    kind = raw.get("model_type")
    if kind == "bert":
        return _bert(raw, where)
    if kind not in ("llama", "mistral"):
        raise BenchUsageError(f"{where}: model_type {kind!r} is not supported; supported: {', '.join(SUPPORTED)}")
    for key in ("attention_bias", "mlp_bias", "sliding_window"):
        if raw.get(key):
            raise BenchUsageError(f"{where}: {key} is {raw[key]!r}, which our step does not build; set it off")
    heads = raw["num_attention_heads"]
    return DecoderShape(
        name=raw.get("_name_or_path") or Path(where).parent.name or "config",
        layers=raw["num_hidden_layers"],
        hidden=raw["hidden_size"],
        heads=heads,
        kv_heads=raw.get("num_key_value_heads") or heads,
        head_dim=raw.get("head_dim") or raw["hidden_size"] // heads,
        mlp=raw["intermediate_size"],
        vocab=raw["vocab_size"],
        context_tokens=raw["max_position_embeddings"],
        tied_embeddings=bool(raw.get("tie_word_embeddings", False)),
        rope_theta=float(raw.get("rope_theta") or 10_000.0),
        norm_eps=float(raw.get("rms_norm_eps", 1e-5)),
    )


def _bert(raw: Mapping[str, Any], where: str) -> EncoderShape:
    return EncoderShape(
        name=raw.get("_name_or_path") or Path(where).parent.name or "config",
        layers=raw["num_hidden_layers"],
        hidden=raw["hidden_size"],
        heads=raw["num_attention_heads"],
        mlp=raw["intermediate_size"],
        vocab=raw["vocab_size"],
        context_tokens=raw["max_position_embeddings"],
        labels=len(raw.get("id2label", ())) if "SequenceClassification" in str(raw.get("architectures")) else 0,
        types=raw.get("type_vocab_size", 2),
        norm_eps=float(raw.get("layer_norm_eps", 1e-12)),
    )
