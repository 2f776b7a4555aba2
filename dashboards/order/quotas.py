"""Quotas to ask for: what the plan needs of each, what is held, and the figures that AWS asks back for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from capacity.plan import Plan
from capacity.rows.fleet import SupplyPlan
from capacity.rows.needs import QuotaNeed
from facts.account import Held
from facts.model_names import Routing, routing
from facts.reader import Model, models
from facts.supply import OnDemandLimit, on_demand_limit, vcpus

MINUTE_S = 60.0
_FORMS = {
    "rpm": "{routing} model inference requests per minute for {model}",
    "tpm": "{routing} model inference tokens per minute for {model}",
    "tpd": "Model invocation max tokens per day for {model}",
    "input_tpm": "Bedrock Mantle input tokens per minute for {model}",
    "output_tpm": "Bedrock Mantle output tokens per minute for {model}",
}
ACCOUNT_NAMES = {
    "account_tpd": "Cross-Model Max Tokens Per Day",
    "new_sessions_per_s": "AgentCore Runtime new sessions per second",
    "active_sessions": "AgentCore Runtime active session workloads per account",
    "invocations_per_s": "AgentCore Runtime InvokeAgentRuntime requests per second per agent",
    "tool_calls_per_s": "AgentCore Gateway tool calls per second per gateway",
}
"""What to ask for by name: the first is a quota's own name, the others say what the limit counts."""
_ROUTINGS = {Routing.REGION: "On-demand", Routing.GEOGRAPHY: "Cross-region", Routing.GLOBAL: "Global cross-region"}


@dataclass(frozen=True)
class Traffic:
    """A rate by the minute: the median minute of the event at p50 of demand, and its peak at p90."""

    steady_p50: float
    peak_p90: float


@dataclass(frozen=True)
class QuotaAsk:
    """One increase to ask for. code: blank where no pull names it; held: None where nobody knows."""

    supply: SupplyPlan
    kind: str
    name: str
    code: str
    model_id: str
    held: float | None
    asked: float
    rpm: Traffic | None
    tpm: Traffic | None
    remark: str


def quota_asks(plan: Plan, held: Held | None) -> Iterator[QuotaAsk]:
    """Bedrock quotas that the service level passes or that nobody knows, and vCPUs of instances bought by the hour.

    A kind that may not be enforced is no ask: nobody can raise a quota that the account does not have.
    """
    for supply in plan.supplies:
        for need in supply.quotas:
            if not need.in_doubt and (need.granted is None or need.ask > need.granted):
                yield _bedrock(plan, supply, need, need.ask, held)
    yield from _vcpus(plan, held)


def _bedrock(plan: Plan, supply: SupplyPlan, need: QuotaNeed, asked: float, held: Held | None) -> QuotaAsk:
    model = models().get(supply.model)
    limits = held.limits(model, supply.region) if held is not None and model is not None else None
    code = limits.codes.get(need.kind, "") if limits else ""
    form = _form(need.kind, supply.model, model)
    share = _steady_share(plan, supply.region)
    kinds = {item.kind: item for item in supply.quotas}
    remark = "" if code else "no code: `peakday aws pull` names it"
    return QuotaAsk(
        supply=supply,
        kind=need.kind,
        name=limits.names[need.kind] if limits and code else form,
        code=code,
        model_id=model.model_id if model is not None else "",
        held=need.granted,
        asked=asked,
        rpm=_traffic(kinds.get("rpm"), share),
        tpm=_traffic(kinds.get("tpm"), share),
        remark="; ".join(note for note in (remark, f"held: {need.source}") if note),
    )


def _form(kind: str, key: str, model: Model | None) -> str:
    """A quota's name as Service Quotas has it; by the plan's own key where no table of models knows the model."""
    how = _ROUTINGS[routing(model.model_id)] if model is not None else "Cross-region"
    return _FORMS[kind].format(routing=how, model=model.stands_for.split(",")[0] if model is not None else key)


def _traffic(need: QuotaNeed | None, share: float) -> Traffic | None:
    if need is None:
        return None
    return Traffic(need.needed_settlement.p50 * share, need.needed_settlement.p90)


def _steady_share(plan: Plan, region: str) -> float:
    """The median minute of the region's p50 timeline, over its peak."""
    for demand in plan.demand:
        if demand.region == region and demand.interactions_per_s_p50:
            return float(np.median(demand.interactions_per_s_p50)) / max(max(demand.interactions_per_s_p50), 1e-12)
    return 1.0


def _vcpus(plan: Plan, held: Held | None) -> Iterator[QuotaAsk]:
    """vCPUs of instances bought by the hour, where they are more than is granted or nobody knows what is."""
    wanted: dict[tuple[str, OnDemandLimit], tuple[float, SupplyPlan]] = {}
    for supply in plan.supplies:
        chosen = supply.chosen
        if chosen is None or chosen.price_kind == "capacity block" or chosen.instance_type not in vcpus():
            continue
        limit = on_demand_limit(chosen.instance_type)
        if limit is not None and chosen.bought_instances:
            before = wanted.get((supply.region, limit), (0.0, supply))[0]
            bought = chosen.bought_instances - chosen.owned_instances
            wanted[supply.region, limit] = before + bought * vcpus()[chosen.instance_type], supply
    for (region, limit), (asked, supply) in wanted.items():
        row = held.quota(limit.quota, region) if held else None
        granted = row.value if row else None
        if granted is None or asked > granted:
            code = row.code if row else limit.code
            yield QuotaAsk(supply, "vcpu", limit.quota, code, "", granted, asked, None, None, "vCPUs")
