"""Encoder families: what each family's config.json says in words of its own, and what it means for the shape."""

from __future__ import annotations

from collections.abc import Callable

from neuron_bench.models.config import Config
from neuron_bench.models.shapes import EncoderShape, Shape


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
    return len(names) if names and isinstance(names, dict | list) else config.whole("num_labels", default=2)


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
    activation, unknown = config.activation("hidden_act", "activation", default="gelu")
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
        activation=activation,
        not_built=unknown,
    )


def _distilbert(config: Config, name: str) -> Shape:
    activation, unknown = config.activation("hidden_act", "activation", default="gelu")
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
        activation=activation,
        not_built=(*unknown, "DistilBERT's head"),
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
    "bert": _bert,
    "roberta": _roberta,
    "xlm-roberta": _roberta,
    "camembert": _roberta,
    "distilbert": _distilbert,
    "modernbert": _modernbert,
}
"""By model_type, as the public configs have it."""
