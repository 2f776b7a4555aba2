"""Shapes of served models, from their public configurations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from facts.reader import keyed


@dataclass(frozen=True)
class ModelShape:
    """What a served model keeps and reads, from its public configuration.

    kv_values_per_token: keys and values of one token over all layers. kv_heads: a chip beyond so many keeps a copy;
    None: one latent that every chip keeps whole. experts: None: dense.
    """

    model: str
    params: float
    active_params: float
    kv_values_per_token: float
    kv_heads: int | None
    experts: int | None
    experts_per_token: int | None
    source: str
    source_date: str


@cache
def model_shapes() -> Mapping[str, ModelShape]:
    """Shapes of served models by lower-cased name."""
    return keyed(ModelShape, "model_shapes.csv", "model")


def model_shape(model_id: str) -> ModelShape | None:
    """The shape whose name a model id holds, whatever stands around it (`nvidia/Qwen3-32B-NVFP4`); None: not known."""
    name = model_id.rpartition("/")[2].lower()
    return next((shape for key, shape in model_shapes().items() if key in name), None)
