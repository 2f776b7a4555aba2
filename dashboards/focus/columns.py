"""Columns of FOCUS 1.2 that a charge of ours has, in the order of the file, and our own, whose names begin with `x_`.

Source: FinOps Open Cost and Usage Specification 1.2, its columns and attributes (read 2026-11-29). The columns that it
makes mandatory are all here; of the conditional ones those that tokens, chips and reservations have.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypedDict

AWS = "Amazon Web Services"
CURRENCY = "USD"
USAGE, PURCHASE, ADJUSTMENT = "Usage", "Purchase", "Adjustment"
PER_MILLION_TOKENS = "1000000 Tokens"


@dataclass(frozen=True, kw_only=True)
class Charge:
    """One row. None is a null; a column that FOCUS wants filled has no default."""

    BilledCost: float
    BillingAccountId: str = "estimate"
    BillingAccountName: str = "an estimate of peakday, no invoice"
    BillingCurrency: str = CURRENCY
    BillingPeriodEnd: str
    BillingPeriodStart: str
    ChargeCategory: str
    ChargeClass: str | None = None
    ChargeDescription: str
    ChargeFrequency: str
    ChargePeriodEnd: str
    ChargePeriodStart: str
    ConsumedQuantity: float | None = None
    ConsumedUnit: str | None = None
    ContractedCost: float
    ContractedUnitPrice: float | None = None
    EffectiveCost: float
    InvoiceId: str | None = None
    InvoiceIssuerName: str = AWS
    ListCost: float
    ListUnitPrice: float | None = None
    PricingCategory: str | None = None
    PricingQuantity: float | None = None
    PricingUnit: str | None = None
    ProviderName: str = AWS
    PublisherName: str = AWS
    RegionId: str | None = None
    RegionName: str | None = None
    ResourceType: str | None = None
    ServiceCategory: str
    ServiceName: str
    ServiceSubcategory: str
    SkuId: str | None = None
    SkuMeter: str | None = None
    SkuPriceId: str | None = None
    x_Estimate: str
    x_RecordId: str
    x_Scenario: str
    x_Model: str | None = None
    x_TokenClass: str | None = None
    x_InstanceType: str | None = None
    x_Instances: int | None = None
    x_PriceKind: str | None = None
    x_CostLow: float | None = None
    x_CostHigh: float | None = None
    x_Confidence: float | None = None
    x_Provenance: str | None = None
    x_Simulated: bool
    x_Priced: bool = True


@dataclass(frozen=True)
class Service:
    """What is charged for, in FOCUS' own categories."""

    name: str
    category: str
    subcategory: str
    provider: str = AWS


BEDROCK = Service("Amazon Bedrock", "AI and Machine Learning", "Generative AI")
EC2 = Service("Amazon Elastic Compute Cloud", "Compute", "Virtual Machines")
OWN_SERVER = Service("Self-hosted models", "AI and Machine Learning", "Generative AI", "self-hosted")


class ServiceColumns(TypedDict):
    """The columns of a charge that name what is charged for."""

    ServiceName: str
    ServiceCategory: str
    ServiceSubcategory: str
    ProviderName: str
    PublisherName: str
    InvoiceIssuerName: str


class PeriodColumns(TypedDict):
    """The columns of a charge that say when."""

    BillingPeriodStart: str
    BillingPeriodEnd: str
    ChargePeriodStart: str
    ChargePeriodEnd: str


class CostColumns(TypedDict):
    """The columns of a charge that say how much, in US dollars."""

    BilledCost: float
    ContractedCost: float
    EffectiveCost: float
    ListCost: float


class RecordColumns(PeriodColumns):
    """The columns that all charges of one record share."""

    x_Estimate: str
    x_RecordId: str
    x_Scenario: str


def service_columns(service: Service) -> ServiceColumns:
    """The columns that name a service."""
    return {
        "ServiceName": service.name,
        "ServiceCategory": service.category,
        "ServiceSubcategory": service.subcategory,
        "ProviderName": service.provider,
        "PublisherName": service.provider,
        "InvoiceIssuerName": service.provider,
    }


def period_columns(start: datetime, end: datetime) -> PeriodColumns:
    """When the charge arises, and the month that it would be billed in. Ends are exclusive."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    month = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    return {
        "BillingPeriodStart": stamp(month),
        "BillingPeriodEnd": stamp(after),
        "ChargePeriodStart": stamp(start),
        "ChargePeriodEnd": stamp(end),
    }


def cost_columns(net_usd: float, list_usd: float) -> CostColumns:
    """An estimate knows no credit and no amortisation: what is billed, contracted and in effect is one figure."""
    return {"BilledCost": net_usd, "ContractedCost": net_usd, "EffectiveCost": net_usd, "ListCost": list_usd}


def stamp(moment: datetime) -> str:
    """Date and time in FOCUS' own form, UTC."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
