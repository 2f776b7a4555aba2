"""The one typed reader of the data files: models, prices, cache rules, quotas, chips, instances, quality.

Every row keeps its source and date. A blank cell is unknown and becomes None, never zero. Prices are USD per million
tokens in the files and in these types; `TokenPrices.cost_usd` turns token counts into dollars.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from host.errors import PeakdayError

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PER_MILLION = 1e-6


class FactsError(PeakdayError, ValueError):
    """A fact that is asked for and not there, or contradicts itself; the message names file and key."""


@dataclass(frozen=True)
class CacheRule:
    """What a provider's prompt cache accepts. `points`: where a cache point may stand, in prompt order."""

    rule: str
    min_tokens: int | None
    max_points: int
    ttls: tuple[str, ...]
    points: tuple[str, ...]
    implicit: bool
    status: str
    source: str
    source_date: str


@dataclass(frozen=True)
class QuotaFact:
    """A published or observed default quota; null = no figure. Always read your own account's before an event."""

    quota: str
    routing: str
    rpm: float | None
    tpm: float | None
    output_burndown_ratio: float
    as_of: str
    status: str
    source: str


@dataclass(frozen=True)
class TokenPrices:
    """USD per million tokens of one model and routing. None = not published for this class."""

    price_key: str
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cache_read_usd_per_mtok: float | None
    cache_write_5m_usd_per_mtok: float | None
    cache_write_1h_usd_per_mtok: float | None
    source: str
    source_date: str
    assumed: tuple[str, ...] = ()

    def cost_usd(
        self,
        input_tokens: float,
        cache_read_tokens: float,
        cache_write_tokens_5m: float,
        cache_write_tokens_1h: float,
        output_tokens: float,
    ) -> float:
        """Dollars for one call. `input_tokens` excludes cached ones.

        Raises:
            FactsError: tokens of a class that has no price.
        """
        classes = (
            (input_tokens, self.input_usd_per_mtok, "input"),
            (cache_read_tokens, self.cache_read_usd_per_mtok, "cache_read"),
            (cache_write_tokens_5m, self.cache_write_5m_usd_per_mtok, "cache_write_5m"),
            (cache_write_tokens_1h, self.cache_write_1h_usd_per_mtok, "cache_write_1h"),
            (output_tokens, self.output_usd_per_mtok, "output"),
        )
        total = 0.0
        for tokens, price, name in classes:
            if tokens and price is None:
                raise FactsError(f"bedrock_prices.csv: {self.price_key}: no {name} price; add it to your price overlay")
            total += tokens * (price or 0.0)
        return total * _PER_MILLION


@dataclass(frozen=True)
class Model:
    """One entry of models.yaml with its rules resolved."""

    key: str
    model_id: str
    stands_for: str
    supply: str
    protocol: str
    cache: CacheRule
    context_tokens: int
    max_output_tokens: int
    images: bool
    grounding_regions: tuple[str, ...]
    source: str
    prices: TokenPrices | None = None
    quota: QuotaFact | None = None
    bench_model_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Marketplace:
    """A locale the assistant serves."""

    locale: str
    name: str
    currency: str
    regions: tuple[str, ...]
    language: str
    models: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Chip:
    """Peaks of one accelerator chip. Names are lower-cased; a roofline is a ceiling, never a predictor."""

    chip: str
    vendor: str
    bf16_dense_tflops: float | None
    memory_gib: float | None
    memory_gb_per_s: float | None
    physical_neuroncores: int | None
    logical_neuroncores_default: int | None
    verification: str
    source: str
    source_date: str


@dataclass(frozen=True)
class Instance:
    """One instance type. Reserved rows have no stated term and are off by default in every plan."""

    instance: str
    chip: str
    chips: int
    on_demand_usd_per_hour: float | None
    capacity_block_usd_per_hour: float | None
    capacity_block_note: str
    reserved_effective_usd_per_hour: float | None
    listed_reserved_usd_per_hour: float | None
    price_date: str
    source: str


@dataclass(frozen=True)
class Quality:
    """Share of turns judged acceptable for a model, intent and complexity; `n` turns were judged."""

    model: str
    intent: str
    complexity: str
    acceptable_ratio: float
    low: float
    high: float
    n: int
    provenance: str


def data_path(name: str) -> Traversable:
    """A data file of this package, readable from a wheel too."""
    return files("facts").joinpath("data", name)


def rows(name: str) -> list[dict[str, str]]:
    """Every row of a CSV data file, as text."""
    return list(csv.DictReader(data_path(name).read_text(encoding="utf-8").splitlines()))


def number(text: str | None) -> float | None:
    """A cell as a number; blank is None."""
    return float(text) if text not in (None, "") else None


def _whole(text: str | None) -> int | None:
    value = number(text)
    return None if value is None else int(value)


@cache
def cache_rules() -> Mapping[str, CacheRule]:
    """Prompt-cache rules by name."""
    return {
        row["rule"]: CacheRule(
            rule=row["rule"],
            min_tokens=_whole(row["min_tokens"]),
            max_points=int(row["max_points"]),
            ttls=tuple(row["ttls"].split()),
            points=tuple(row["points"].split()),
            implicit=row["implicit"] == "yes",
            status=row["status"],
            source=row["source"],
            source_date=row["source_date"],
        )
        for row in rows("cache_rules.csv")
    }


@cache
def quotas() -> Mapping[str, QuotaFact]:
    """Published or observed default quotas by name."""
    return {
        row["quota"]: QuotaFact(
            quota=row["quota"],
            routing=row["routing"],
            rpm=number(row["rpm"]),
            tpm=number(row["tpm"]),
            output_burndown_ratio=float(row["output_burndown_ratio"]),
            as_of=row["as_of"],
            status=row["status"],
            source=row["source"],
        )
        for row in rows("quotas.csv")
    }


@cache
def token_prices() -> Mapping[str, TokenPrices]:
    """List prices by model id, for every model and routing of the price file."""
    return {
        row["model_id"]: TokenPrices(
            price_key=row["model_id"],
            input_usd_per_mtok=float(row["input"]),
            output_usd_per_mtok=float(row["output"]),
            cache_read_usd_per_mtok=number(row["cache_read"]),
            cache_write_5m_usd_per_mtok=number(row["cache_write_5m"]),
            cache_write_1h_usd_per_mtok=number(row["cache_write_1h"]),
            source=row["source"],
            source_date=row["source_date"].removeprefix("read "),
        )
        for row in rows("bedrock_prices.csv")
    }


@cache
def chips() -> Mapping[str, Chip]:
    """Chips by lower-cased name."""
    return {
        row["chip"].lower(): Chip(
            chip=row["chip"].lower(),
            vendor=row["vendor"],
            bf16_dense_tflops=number(row["bf16_dense_tflops"]),
            memory_gib=number(row["memory_gib"]),
            memory_gb_per_s=number(row["memory_gb_per_s"]),
            physical_neuroncores=_whole(row["physical_neuroncores"]),
            logical_neuroncores_default=_whole(row["logical_neuroncores_default"]),
            verification=row["verification"],
            source=row["source"],
            source_date=row["source_date"],
        )
        for row in rows("chips.csv")
    }


@cache
def instances() -> Mapping[str, Instance]:
    """Instance types by name."""
    return {
        row["instance"]: Instance(
            instance=row["instance"],
            chip=row["chip"].lower(),
            chips=int(row["chips"]),
            on_demand_usd_per_hour=number(row["on_demand_usd_per_hour_us_east_1"]),
            capacity_block_usd_per_hour=number(row["capacity_block_usd_per_hour"]),
            capacity_block_note=row["capacity_block_note"],
            reserved_effective_usd_per_hour=number(row["reserved_effective_usd_per_hour"]),
            listed_reserved_usd_per_hour=number(row["listed_reserved_usd_per_hour"]),
            price_date=row["price_date"],
            source=row["source"],
        )
        for row in rows("instances.csv")
    }


def models(path: Path | None = None) -> dict[str, Model]:
    """Models by key, from the package's models.yaml or from a file of the same form.

    Raises:
        FactsError: a key, rule, quota or price that is unknown.
    """
    where, raw = _models_file(path)
    return {key: _model(key, entry, where) for key, entry in raw["models"].items()}


def marketplaces(path: Path | None = None) -> dict[str, Marketplace]:
    """Marketplaces by locale, from the same file as `models`."""
    _, raw = _models_file(path)
    return {
        locale: Marketplace(
            locale=locale,
            name=entry["name"],
            currency=entry["currency"],
            regions=tuple(entry["regions"]),
            language=entry["language"],
            models=tuple(entry["models"]) if "models" in entry else None,
        )
        for locale, entry in raw["marketplaces"].items()
    }


def quality(path: Path | None = None) -> list[Quality]:
    """Judged or assumed quality rows."""
    source: Traversable | Path = path or data_path("quality.yaml")
    raw = yaml.load(source.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 (a safe loader)
    return [Quality(**row) for row in raw["rows"]]


def _models_file(path: Path | None) -> tuple[str, dict[str, Any]]:
    source: Traversable | Path = path or data_path("models.yaml")
    raw = yaml.load(source.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 (a safe loader)
    where = str(path or "models.yaml")
    if not isinstance(raw, dict) or raw.get("schema") != "peakday.models/1":
        raise FactsError(f"{where}: schema is not peakday.models/1")
    return where, raw


_MODEL_KEYS = {
    "model_id", "stands_for", "supply", "protocol", "price_key", "cache_rule", "cache_write_usd_per_mtok", "quota",
    "context_tokens", "max_output_tokens", "images", "grounding_regions", "bench_model_ids", "source",
}  # fmt: skip


def _model(key: str, entry: dict[str, Any], where: str) -> Model:
    unknown = sorted(set(entry) - _MODEL_KEYS)
    if unknown:
        raise FactsError(f"{where}: models.{key}.{unknown[0]}: unknown key; known: {', '.join(sorted(_MODEL_KEYS))}")
    try:
        rule = cache_rules()[entry["cache_rule"]]
        quota = quotas()[entry["quota"]] if entry.get("quota") else None
        prices = _with_write_price(token_prices()[entry["price_key"]], entry) if entry.get("price_key") else None
        model = Model(
            key=key,
            model_id=entry["model_id"],
            stands_for=entry["stands_for"],
            supply=entry["supply"],
            protocol=entry["protocol"],
            cache=rule,
            context_tokens=entry["context_tokens"],
            max_output_tokens=entry["max_output_tokens"],
            images=entry["images"],
            grounding_regions=tuple(entry["grounding_regions"]),
            source=entry["source"],
            prices=prices,
            quota=quota,
            bench_model_ids=tuple(entry.get("bench_model_ids", ())),
        )
    except KeyError as error:
        raise FactsError(f"{where}: models.{key}: {error} is missing or unknown") from None
    if model.supply not in ("bedrock", "self_hosted") or model.protocol not in ("converse", "openai"):
        raise FactsError(f"{where}: models.{key}: supply is bedrock or self_hosted, protocol converse or openai")
    return model


def _with_write_price(prices: TokenPrices, entry: dict[str, Any]) -> TokenPrices:
    """The price row, with a stated write price where the price file has none."""
    stated = entry.get("cache_write_usd_per_mtok")
    if stated is None or prices.cache_write_5m_usd_per_mtok is not None:
        return prices
    value = float(stated["value"])
    if not (math.isfinite(value) and value >= 0):
        raise FactsError(f"models.yaml: {entry['model_id']}: cache_write_usd_per_mtok is {value}, expected >= 0")
    return TokenPrices(
        price_key=prices.price_key,
        input_usd_per_mtok=prices.input_usd_per_mtok,
        output_usd_per_mtok=prices.output_usd_per_mtok,
        cache_read_usd_per_mtok=prices.cache_read_usd_per_mtok,
        cache_write_5m_usd_per_mtok=value,
        cache_write_1h_usd_per_mtok=None,
        source=prices.source,
        source_date=prices.source_date,
        assumed=("cache_write_5m",) if stated.get("status") == "assumed" else (),
    )
