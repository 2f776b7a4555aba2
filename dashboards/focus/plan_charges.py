"""A plan's event as charges: tokens by model, region and class, instances by purchase; their sum is its event cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from capacity.plan import Plan
from capacity.rows.fleet import ChipOption, SupplyPlan
from capacity.rows.money import Purchase
from dashboards.focus.columns import (
    ADJUSTMENT,
    BEDROCK,
    EC2,
    PER_MILLION_TOKENS,
    PURCHASE,
    USAGE,
    Charge,
    cost_columns,
    period_columns,
    service_columns,
)
from facts import reader

TOKENS = "Bedrock tokens"
RESERVED = "capacity block"
SMALL_USD = 0.005


def plan_charges(plan: Plan) -> list[Charge]:
    """Rows of a plan; the sum of their billed cost is the plan's event cost.

    Raises:
        PlanError: the plan does not say when its event starts.
    """
    make = _charge_of(plan)
    tokens = [charge for supply in plan.supplies for charge in _token_charges(plan, supply, make)]
    chips = [_chip_charge(plan, bought, make) for bought in plan.purchase]
    itemised = {TOKENS: sum(one.BilledCost for one in tokens)}
    for bought, one in zip(plan.purchase, chips, strict=True):
        part = f"self-hosted {bought.model} {bought.region}"
        part = part if part in plan.event_cost_parts_usd else "self-hosted"
        itemised[part] = itemised.get(part, 0.0) + one.BilledCost
    return [*tokens, *chips, *_rest(plan, itemised, make)]


def _charge_of(plan: Plan) -> Callable[..., Charge]:
    """Makes a charge of this plan: what all its charges share is filled in."""
    return partial(
        Charge,
        **period_columns(*plan.paid_period),
        x_Estimate="planned",
        x_RecordId=plan.plan_id,
        x_Scenario=plan.scenario.name,
        x_Confidence=plan.event_cost_usd.confidence,
        x_Provenance=plan.event_cost_usd.provenance,
        x_Simulated=plan.simulated,
    )


def _token_charges(plan: Plan, supply: SupplyPlan, make: Callable[..., Charge]) -> Iterator[Charge]:
    for kind, usd_per_mtok in supply.prices_usd_per_mtok.items():
        tokens = (supply.calls_in_event or 0.0) * supply.tokens_per_call.get(kind, 0.0)
        if not tokens:
            continue
        usd, list_usd_per_mtok = tokens * 1e-6 * usd_per_mtok, _list_price(supply.model, kind) or usd_per_mtok
        yield make(
            **service_columns(BEDROCK), **cost_columns(usd, tokens * 1e-6 * list_usd_per_mtok), **_range(plan, usd),
            ChargeCategory=USAGE, ChargeFrequency="Usage-Based", PricingCategory="Standard",
            ChargeDescription=f"{supply.model}, {kind} tokens in {supply.region}",
            ConsumedQuantity=tokens, ConsumedUnit="Tokens", PricingQuantity=tokens * 1e-6,
            PricingUnit=PER_MILLION_TOKENS,
            ContractedUnitPrice=usd_per_mtok, ListUnitPrice=list_usd_per_mtok, RegionId=supply.region,
            RegionName=supply.region, ResourceType="model", SkuId=supply.model, SkuMeter=f"{kind} tokens",
            SkuPriceId=f"{supply.model} {kind}", x_Model=supply.model, x_TokenClass=kind,
        )  # fmt: skip


def _list_price(model: str, kind: str) -> float | None:
    known = reader.models().get(model)
    return getattr(known.prices, f"{kind}_usd_per_mtok") if known and known.prices else None


def _chip_charge(plan: Plan, bought: Purchase, make: Callable[..., Charge]) -> Charge:
    """Instances of one purchase, in chip hours used and instance hours paid for; a block is bought once."""
    option = next(
        (
            one
            for supply in plan.supplies
            if (supply.region, supply.model) == (bought.region, bought.model)
            for one in supply.options
            if one.instance_type == bought.instance_type and one.rejected is None
        ),
        None,
    )
    hours = bought.instances * bought.billed_hours
    reserved = bought.price_kind == RESERVED
    listed_usd = bought.usd if bought.usd_list is None else bought.usd_list
    chips = None if option is None or not option.instances.p90 else option.chips.p90 / option.instances.p90
    low, high = _price_range(option, bought) if option else (None, None)
    return make(
        **service_columns(EC2), **cost_columns(bought.usd, listed_usd),
        ChargeCategory=PURCHASE if reserved else USAGE,
        ChargeFrequency="One-Time" if reserved else "Usage-Based",
        PricingCategory="Standard",
        ChargeDescription=f"{bought.instances} x {bought.instance_type} for {bought.model} in {bought.region}, "
        f"{bought.price_kind}",
        ConsumedQuantity=None if reserved or chips is None else hours * chips,
        ConsumedUnit=None if reserved or chips is None else "Chip-Hours",
        PricingQuantity=hours, PricingUnit="Hours",
        ContractedUnitPrice=bought.usd / hours if hours else None,
        ListUnitPrice=listed_usd / hours if hours else None,
        RegionId=bought.region, RegionName=bought.region, ResourceType="instance", SkuId=bought.instance_type,
        SkuMeter="instance hours", SkuPriceId=f"{bought.instance_type} {bought.price_kind}", x_Model=bought.model,
        x_InstanceType=bought.instance_type, x_Instances=bought.instances, x_PriceKind=bought.price_kind,
        x_CostLow=low, x_CostHigh=high,
    )  # fmt: skip


def _price_range(option: ChipOption, bought: Purchase) -> tuple[float, float]:
    price = option.usd_per_hour
    return bought.usd * price.low / price.mid, bought.usd * price.high / price.mid


def _rest(plan: Plan, itemised: Mapping[str, float], make: Callable[..., Charge]) -> Iterator[Charge]:
    """What a part holds beyond its rows (long prompts, retries, rounding), one row a part: the sum is the plan's."""
    for part, usd in plan.event_cost_parts_usd.items():
        rest = usd - itemised.get(part, 0.0)
        if abs(rest) < SMALL_USD:
            continue
        what = part if part not in itemised else f"{part}: beyond calls x tokens x price at the middle"
        service = EC2 if part.startswith("self-hosted") else BEDROCK
        columns = {**service_columns(service), **cost_columns(rest, rest), **_range(plan, rest)}
        yield make(**columns, ChargeCategory=ADJUSTMENT, ChargeFrequency="Usage-Based", ChargeDescription=what)


def _range(plan: Plan, usd: float) -> dict[str, float]:
    """The event's own range, for a charge that has none of its own: in the same proportion."""
    whole = plan.event_cost_usd
    if not whole.mid:
        return {}
    low, high = sorted((usd * whole.low / whole.mid, usd * whole.high / whole.mid))
    return {"x_CostLow": low, "x_CostHigh": high}
