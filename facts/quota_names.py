"""Quota names of Bedrock, as Service Quotas prints them: kind of limit, model, routing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from facts.model_names import Routing, routing, words

_NAME = re.compile(
    r"(?P<routing>global cross-region|cross-region|on-demand|model invocation max|bedrock mantle)"
    r"(?: (?:model inference|invokemodel))? (?P<what>input tokens|output tokens|tokens|requests)"
    r" per (?P<period>minute|day) for (?P<model>[^(]+?)\s*(?:\((?P<note>[^)]*)\))?",
    re.IGNORECASE,
)
_ACCOUNT_NAME = re.compile(r"cross-model max tokens per day", re.IGNORECASE)
_ROUTINGS = {"global cross-region": Routing.GLOBAL, "cross-region": Routing.GEOGRAPHY, "on-demand": Routing.REGION}
_MANTLE = "bedrock mantle"
_KINDS = {
    ("tokens", "minute"): "tpm",
    ("requests", "minute"): "rpm",
    ("tokens", "day"): "tpd",
    ("input tokens", "minute"): "input_tpm",
    ("output tokens", "minute"): "output_tpm",
}
ACCOUNT_TPD = "account_tpd"
_DOUBLED = "doubled for cross-region"


@dataclass(frozen=True)
class Limits:
    """What an account may ask of one model in one region; None = no row names that kind. codes: quota code by kind.

    input_tpm, output_tpm: of the newer endpoint (bedrock-mantle), apart from the runtime's; its output quota stops an
    answer where it is reached. account_tpd: tokens a day over all models of the account.
    """

    rpm: float | None = None
    tpm: float | None = None
    tpd: float | None = None
    input_tpm: float | None = None
    output_tpm: float | None = None
    account_tpd: float | None = None
    codes: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class QuotaName:
    """A parsed name. routing None: the quota holds for every routing. No words: it holds for every model."""

    kind: str
    routing: Routing | None
    words: frozenset[str]
    doubled_across_regions: bool


def parse_quota_name(name: str) -> QuotaName | None:
    """A name of 2025 (`Cross-region model inference tokens per minute for Amazon Nova Pro`) or of 2026 (`Cross-Region
    InvokeModel …`, `Bedrock Mantle input …`, `Cross-Model Max Tokens Per Day`); None for any other quota.

    Source: Bedrock user guide, quotas-runtime and quotas-mantle (read 2026-11); Service Quotas of 2025.
    """
    if _ACCOUNT_NAME.fullmatch(name.strip()):
        return QuotaName(ACCOUNT_TPD, None, frozenset(), False)
    match = _NAME.fullmatch(name.strip())
    if match is None:
        return None
    what, period, of_mantle = match["what"].lower(), match["period"].lower(), match["routing"].lower() == _MANTLE
    kind = _KINDS.get((what, period))
    if kind is None or of_mantle != kind.endswith("put_tpm"):
        return None
    doubled = _DOUBLED in (match["note"] or "").lower()
    return QuotaName(kind, _ROUTINGS.get(match["routing"].lower()), words(match["model"]), doubled)


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
        if parsed is None or parsed.routing not in (how, None):
            continue
        if parsed.words != wanted and parsed.kind != ACCOUNT_TPD:
            continue
        if parsed.kind in values and parsed.routing is None:
            continue
        doubled = parsed.doubled_across_regions and how is not Routing.REGION
        values[parsed.kind] = value * 2 if doubled else value
        codes[parsed.kind], names[parsed.kind] = code, name
    if not set(values) - {ACCOUNT_TPD}:
        return None
    return Limits(**values, codes=codes, names=names, source=source)
