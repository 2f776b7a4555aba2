"""One model under its many AWS names: ids, inference profiles and ARNs, and the words of quota and price names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

from facts.reader import Model

_GEOGRAPHIES = ("us", "eu", "apac", "jp", "au", "ca", "us-gov")
_NOISE = {"amazon", "anthropic", "bedrock", "edition", "v1", "inference", "profile"}


class Routing(Enum):
    """Where a call may be served: its own region, its geography, or anywhere."""

    REGION = "in region"
    GEOGRAPHY = "geography"
    GLOBAL = "global"


def plain_id(model_id: str) -> str:
    """The id out of an ARN: the last part of `arn:aws:bedrock:…:inference-profile/us.amazon.nova-pro-v1:0`."""
    return model_id.rsplit("/", 1)[-1] if model_id.startswith("arn:") else model_id


def routing(model_id: str) -> Routing:
    """Told by the prefix: `global.`, a geography's, or none."""
    prefix = plain_id(model_id).split(".", 1)[0]
    if prefix == "global":
        return Routing.GLOBAL
    return Routing.GEOGRAPHY if prefix in _GEOGRAPHIES else Routing.REGION


def base_id(model_id: str) -> str:
    """The id without its profile's prefix."""
    plain = plain_id(model_id)
    return plain if routing(model_id) is Routing.REGION else plain.split(".", 1)[1]


def words(text: str) -> frozenset[str]:
    """What names a model apart: `us.anthropic.claude-sonnet-4-5-20250929-v1:0` and `Anthropic Claude Sonnet 4.5 V1`
    are both {claude, sonnet, 4, 5}. Dates, version ones and the maker are left out."""
    is_id = "." in text and " " not in text
    name = base_id(text).split(":", 1)[0] if is_id else text
    parts = re.split(r"[^a-z0-9]+", name.lower())
    return frozenset(part for part in parts if part and part not in _NOISE and not re.fullmatch(r"\d{8}", part))


def model_key(model_id: str, models: Mapping[str, Model]) -> str | None:
    """Key of models.yaml for an AWS id: the same id, else the same model under another profile; None if unknown."""
    plain = plain_id(model_id)
    bedrock = {key: model for key, model in models.items() if model.supply == "bedrock"}
    same = [key for key, model in bedrock.items() if model.model_id == plain]
    alike = [key for key, model in bedrock.items() if base_id(model.model_id) == base_id(plain)]
    return next(iter([*same, *alike]), None)
