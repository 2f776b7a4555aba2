"""Kinds of quota of Bedrock: what each counts, over which time, on which endpoint, and whether it is enforced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from facts.reader import keyed


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
