"""A run's model calls as charges: tokens by model, region and class at list price, and what else its record has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial

import pandas as pd

from dashboards.focus.columns import (
    ADJUSTMENT,
    BEDROCK,
    OWN_SERVER,
    PER_MILLION_TOKENS,
    USAGE,
    Charge,
    RecordColumns,
    cost_columns,
    period_columns,
    service_columns,
)
from facts import reader
from loadgen.record import Run
from loadgen.run_info import RecordError

CLASSES = {
    "input": ("input_tokens", "input_usd_per_mtok"),
    "cache_read": ("cache_read_tokens", "cache_read_usd_per_mtok"),
    "cache_write_5m": ("cache_write_tokens_5m", "cache_write_5m_usd_per_mtok"),
    "cache_write_1h": ("cache_write_tokens_1h", "cache_write_1h_usd_per_mtok"),
    "output": ("output_tokens", "output_usd_per_mtok"),
}
SMALL_USD = 1e-9


def run_charges(run: Run) -> list[Charge]:
    """Rows of a run; the sum of their billed cost is what its calls cost in the record.

    A model without a price has its tokens and no dollars, and says so (`x_Priced`).

    Raises:
        RecordError: the run was cut off, or holds no call that says what it used.
    """
    if not run.info.finished or run.info.started_utc is None or run.info.finished_utc is None:
        raise RecordError(f"{run.run_id}: was cut off; its charges are not known")
    if run.calls.empty:
        raise RecordError(f"{run.run_id}: holds no model calls, so no tokens to charge; the target told no usage")
    groups = run.calls.groupby(["region", "model", "supply"], dropna=False, sort=True)
    return [charge for key, calls in groups for charge in _model_charges(run, key, calls)]


def _common(run: Run) -> RecordColumns:
    start = datetime.fromisoformat(str(run.info.t0_utc or run.info.started_utc))
    end = max(datetime.fromisoformat(str(run.info.finished_utc)), start + timedelta(seconds=1))
    return {
        **period_columns(start, end),
        "x_Estimate": "measured",
        "x_RecordId": run.run_id,
        "x_Scenario": run.info.scenario_name,
    }


def _model_charges(run: Run, key: tuple[object, ...], calls: pd.DataFrame) -> Iterator[Charge]:
    region, model, supply = (value if isinstance(value, str) else None for value in key)
    known = reader.models().get(model or "")
    service = BEDROCK if supply == "bedrock" else OWN_SERVER
    kind = (run.info.provenance or {}).get(supply or "", "measured")
    charge = partial(
        Charge,
        **_common(run),
        **service_columns(service),
        RegionId=region,
        RegionName=region,
        ResourceType="model",
        x_Model=model,
        x_Provenance=kind,
        x_Simulated=kind == "simulated",
    )
    prices = known.prices if known else None
    itemised = 0.0
    for name, (column, price_name) in CLASSES.items():
        tokens = float(calls[column].fillna(0).sum())
        if not tokens:
            continue
        usd_per_mtok = getattr(prices, price_name) if prices else None
        usd = tokens * 1e-6 * (usd_per_mtok or 0.0)
        itemised += usd
        yield charge(
            **cost_columns(usd, usd), ChargeCategory=USAGE, ChargeFrequency="Usage-Based",
            PricingCategory="Standard", ChargeDescription=f"{model}, {name} tokens in {region}",
            ConsumedQuantity=tokens, ConsumedUnit="Tokens", PricingQuantity=tokens * 1e-6,
            PricingUnit=PER_MILLION_TOKENS,
            ContractedUnitPrice=usd_per_mtok, ListUnitPrice=usd_per_mtok, SkuId=model, SkuMeter=f"{name} tokens",
            SkuPriceId=f"{model} {name}", x_TokenClass=name, x_Priced=usd_per_mtok is not None,
        )  # fmt: skip
    recorded = float(calls["cost_usd"].fillna(0).sum())
    if abs(recorded - itemised) > SMALL_USD:
        rest = recorded - itemised
        what = f"{model}: what its calls cost in the record, less these tokens at today's list price"
        columns = cost_columns(rest, rest)
        yield charge(**columns, ChargeCategory=ADJUSTMENT, ChargeFrequency="Usage-Based", ChargeDescription=what)
