"""Regions that a Bedrock inference profile cannot be called from."""

from __future__ import annotations

from collections.abc import Iterable

from facts.reader import Model

SOURCE = "https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html"
CALLED_FROM = {
    "us": ("us-", "ca-"),
    "eu": ("eu-",),
    "apac": ("ap-",),
    "jp": ("ap-northeast-",),
    "au": ("ap-southeast-",),
}
"""Prefix of a geography's profile -> how regions begin that it has among its source regions (the page above, 2026-11);
not every such region is one, and `global.` has all commercial ones."""


def profile_warning(model: Model, regions: Iterable[str]) -> str | None:
    """What a plan must know of a model whose profile belongs to another geography than some of its regions."""
    begins = CALLED_FROM.get(model.model_id.partition(".")[0]) if model.supply == "bedrock" else None
    abroad = [region for region in dict.fromkeys(regions) if begins and not region.startswith(begins)]
    if not abroad:
        return None
    return (
        f"{model.key}: {model.model_id} is a profile of another geography than {', '.join(abroad)} and cannot be "
        f"called there ({SOURCE}): its price and quota stand in; name a profile of yours with --models"
    )
