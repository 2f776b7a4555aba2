"""Quota names of Bedrock, as Service Quotas prints them: kind of limit, model, routing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from facts.model_names import Routing, routing, words

_NAME = re.compile(
    r"(?P<routing>global cross-region model inference|cross-region model inference|on-demand model inference"
    r"|model invocation max) (?P<what>tokens|requests) per (?P<period>minute|day) for (?P<model>[^(]+?)\s*"
    r"(?:\((?P<note>[^)]*)\))?",
    re.IGNORECASE,
)
_ROUTINGS = {
    "global cross-region model inference": Routing.GLOBAL,
    "cross-region model inference": Routing.GEOGRAPHY,
    "on-demand model inference": Routing.REGION,
}
_KINDS = {("tokens", "minute"): "tpm", ("requests", "minute"): "rpm", ("tokens", "day"): "tpd"}
_DOUBLED = "doubled for cross-region"


@dataclass(frozen=True)
class Limits:
    """What an account may ask of one model in one region; None = no row names that kind. codes: quota code by kind."""

    rpm: float | None = None
    tpm: float | None = None
    tpd: float | None = None
    codes: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class QuotaName:
    """A parsed name. routing None: the quota holds for every routing (tokens per day)."""

    kind: str
    routing: Routing | None
    words: frozenset[str]
    doubled_across_regions: bool


def parse_quota_name(name: str) -> QuotaName | None:
    """`Cross-region model inference tokens per minute for Amazon Nova Pro` and its like; None for any other quota."""
    found = _NAME.fullmatch(name.strip())
    kind = _KINDS.get((found["what"].lower(), found["period"].lower())) if found else None
    if found is None or kind is None:
        return None
    doubled = _DOUBLED in (found["note"] or "").lower()
    return QuotaName(kind, _ROUTINGS.get(found["routing"].lower()), words(found["model"]), doubled)


def limits_of(model_id: str, rows: Iterable[tuple[str, str, float]], source: str) -> Limits | None:
    """The limits of a model among (code, name, value) rows, by the routing its id tells; None where no row names it.

    A quota that says it is doubled for cross-region calls counts twice where the model's id is a profile's.
    """
    wanted, how = words(model_id), routing(model_id)
    values: dict[str, float] = {}
    codes: dict[str, str] = {}
    names: dict[str, str] = {}
    for code, name, value in rows:
        parsed = parse_quota_name(name)
        if parsed is None or parsed.words != wanted or parsed.routing not in (how, None):
            continue
        if parsed.kind in values and parsed.routing is None:
            continue
        doubled = parsed.doubled_across_regions and how is not Routing.REGION
        values[parsed.kind] = value * 2 if doubled else value
        codes[parsed.kind], names[parsed.kind] = code, name
    if not values:
        return None
    return Limits(values.get("rpm"), values.get("tpm"), values.get("tpd"), codes, names, source)
