"""Kinds of quota of Bedrock: what each counts, over which time, on which endpoint, and whether it is enforced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from facts.reader import keyed

RUNTIME, MANTLE = "bedrock-runtime", "bedrock-mantle"
"""Endpoints, each with quotas of its own."""


@dataclass(frozen=True)
class QuotaKind:
    """One kind. scope: model, account or reserved tier. counts, enforced: in words, as the source has them."""

    kind: str
    endpoint: str
    scope: str
    period_s: float
    counts: str
    enforced: str
    source: str
    source_date: str


@cache
def quota_kinds() -> Mapping[str, QuotaKind]:
    """Kinds by name."""
    return keyed(QuotaKind, "quota_kinds.csv", "kind")


@cache
def kinds_of(endpoint: str) -> tuple[str, ...]:
    """Kinds that limit one model on an endpoint."""
    return tuple(kind.kind for kind in quota_kinds().values() if (kind.endpoint, kind.scope) == (endpoint, "model"))
