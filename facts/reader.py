"""The one typed reader of the data files: models, prices, cache rules, quotas, chips, instances, quality.

Every row keeps its source and date. A blank cell is unknown and becomes None, never zero. Prices are USD per million
tokens in the files and in these types; `TokenPrices.cost_usd` turns token counts into dollars.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

from facts.decoding import Column, FactsError, T, decode
from facts.own_models import OWN_MODELS
from host.files import read_text
from host.json_values import mapping
from host.yaml_text import parse_yaml

_PER_MILLION = 1e-6
AS_GIVEN = "as given"
"""In place of the date of what the user states: theirs to keep current, never called old."""


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
    """A published or observed default quota; null = no figure. Always read your own account's before an event.

    rpm_status: pages of 2026 disagree on whether requests a minute are still enforced on bedrock-runtime, so an `rpm`
    counts where the account's own quotas name it. input_tpm, output_tpm: of the bedrock-mantle endpoint; at its output
    quota an answer stops.
    """

    quota: str
    routing: str
    rpm: float | None
    tpm: float | None
    output_burndown_ratio: float
    as_of: str
    status: str
    source: str
    rpm_status: str = ""
    input_tpm: float | None = None
    output_tpm: float | None = None


@dataclass(frozen=True)
class TokenPrices:
    """USD per million tokens of one model and routing. None = not published for this class."""

    price_key: Annotated[str, Column("model_id")]
    input_usd_per_mtok: Annotated[float, Column("input")]
    output_usd_per_mtok: Annotated[float, Column("output")]
    cache_read_usd_per_mtok: Annotated[float | None, Column("cache_read")]
    cache_write_5m_usd_per_mtok: Annotated[float | None, Column("cache_write_5m")]
    cache_write_1h_usd_per_mtok: Annotated[float | None, Column("cache_write_1h")]
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
    """One entry of models.yaml with its rules resolved. tokenizer_ratio: tokens of a text beside those of the models
    whose tokens a scenario assumes. endpoint: where Bedrock serves it, with quotas of its own."""

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
    tokenizer_ratio: float = 1.0
    endpoint: str = "bedrock-runtime"


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
    fp8_dense_tflops: float | None
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
    on_demand_usd_per_hour: Annotated[float | None, Column("on_demand_usd_per_hour_us_east_1")]
    capacity_block_usd_per_hour: float | None
    capacity_block_note: str
    reserved_effective_usd_per_hour: float | None
    listed_reserved_usd_per_hour: float | None
    price_date: str
    source: str


@dataclass(frozen=True)
class Quality:
    """Share of turns that are acceptable for a model, intent and complexity; `n` turns were scored."""

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


def keyed(kind: type[T], name: str, key: str) -> dict[str, T]:
    """The rows of a CSV data file as values, by the column `key`."""
    return {row[key]: decode(kind, row, f"{name}: {row[key]}") for row in rows(name)}


@cache
def cache_rules() -> Mapping[str, CacheRule]:
    """Prompt-cache rules by name."""
    return keyed(CacheRule, "cache_rules.csv", "rule")


@cache
def quotas() -> Mapping[str, QuotaFact]:
    """Published or observed default quotas by name."""
    return keyed(QuotaFact, "quotas.csv", "quota")


@cache
def token_prices() -> Mapping[str, TokenPrices]:
    """List prices by model id, for every model and routing of the price file."""
    return {
        key: replace(prices, source_date=prices.source_date.removeprefix("read "))
        for key, prices in keyed(TokenPrices, "bedrock_prices.csv", "model_id").items()
    }


@cache
def chips() -> Mapping[str, Chip]:
    """Chips by lower-cased name."""
    return {key.lower(): replace(chip, chip=key.lower()) for key, chip in keyed(Chip, "chips.csv", "chip").items()}


@cache
def instances() -> Mapping[str, Instance]:
    """Instance types by name."""
    return {
        key: replace(instance, chip=instance.chip.lower())
        for key, instance in keyed(Instance, "instances.csv", "instance").items()
    }


def models(path: Path | None = None) -> dict[str, Model]:
    """Models by key, from the package's models.yaml or from a file of the same form; without one, from the user's own.

    A file without marketplaces is laid over the package's, model by model.

    Raises:
        FactsError: a key, rule, quota or price that is unknown.
    """
    return dict(_models(*_read(path or OWN_MODELS.get(), "models.yaml")))


def marketplaces(path: Path | None = None) -> dict[str, Marketplace]:
    """Marketplaces by locale, from the same file as `models`."""
    where, text = _read(path or OWN_MODELS.get(), "models.yaml")
    raw = _models_file(where, text)
    return {
        locale: decode(Marketplace, _entry(entry, f"{where}: marketplaces.{locale}"), where, locale=locale)
        for locale, entry in mapping(raw["marketplaces"]).items()
    }


def quality(path: Path | None = None) -> list[Quality]:
    """Measured or assumed quality rows.

    Raises:
        FactsError: a file of another form.
    """
    where, text = _read(path, "quality.yaml")
    raw = _keys(where, text, "peakday.quality/1")
    entries = raw.get("rows")
    if not isinstance(entries, list):
        raise FactsError(f"{where}: rows: expected a list of rows")
    return [
        decode(Quality, _entry(entry, f"{where}: rows.{k}"), f"{where}: rows.{k}") for k, entry in enumerate(entries)
    ]


def _read(path: Path | None, name: str) -> tuple[str, str]:
    """A YAML file of the user's, or the package's own of that name: what to call it, and its text."""
    if path is None:
        return name, data_path(name).read_text(encoding="utf-8")
    return str(path), read_text(path, error=FactsError)


# What a file says is kept by its text: one plan asks hundreds of times, and a file may change while a server runs.


@lru_cache(maxsize=16)
def _keys(where: str, text: str, schema: str) -> Mapping[str, object]:
    raw: dict[str, object] = parse_yaml(text, where, error=FactsError)
    if raw.get("schema") != schema:
        raise FactsError(f"{where}: schema is not {schema}")
    return raw


@lru_cache(maxsize=16)
def _models(where: str, text: str) -> Mapping[str, Model]:
    raw = _models_file(where, text)
    return {key: _model(key, entry, where) for key, entry in mapping(raw["models"]).items()}


def _models_file(where: str, text: str) -> Mapping[str, object]:
    raw = _keys(where, text, "peakday.models/1")
    own = _entry(raw.get("models"), f"{where}: models")
    if "marketplaces" not in raw:
        carried = _keys(*_read(None, "models.yaml"), "peakday.models/1")
        return {**carried, "models": {**mapping(carried["models"]), **own}}
    _entry(raw.get("marketplaces"), f"{where}: marketplaces")
    return raw


def _entry(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise FactsError(f"{where}: expected a mapping of keys to values")
    return value


_MODEL_KEYS = frozenset(
    {item.name for item in fields(Model)} - {"key", "cache", "prices"}
    | {"price_key", "cache_rule", "cache_write_usd_per_mtok", "usd_per_mtok"}
)


def _model(key: str, entry: object, where: str) -> Model:
    place = f"{where}: models.{key}"
    entry = _entry(entry, place)
    unknown = sorted(set(entry) - _MODEL_KEYS)
    if unknown:
        raise FactsError(f"{place}.{unknown[0]}: unknown key; known: {', '.join(sorted(_MODEL_KEYS))}")
    prices = _named(entry, "price_key", token_prices(), place)
    if "usd_per_mtok" in entry:
        known = {"model_id": entry.get("model_id"), "source_date": AS_GIVEN}
        prices = _stated(TokenPrices, entry, "usd_per_mtok", place, **known)
    model = decode(
        Model,
        entry,
        place,
        key=key,
        cache=_named(entry, "cache_rule", cache_rules(), place, needed=True),
        quota=_stated(QuotaFact, entry, "quota", place, quota=key, as_of=AS_GIVEN, status="stated")
        if isinstance(entry.get("quota"), dict)
        else _named(entry, "quota", quotas(), place),
        prices=prices and _with_write_price(prices, entry, place),
    )
    if model.supply not in ("bedrock", "self_hosted") or model.protocol not in ("converse", "openai"):
        raise FactsError(f"{place}: supply is bedrock or self_hosted, protocol converse or openai")
    if model.endpoint not in ("bedrock-runtime", "bedrock-mantle"):
        raise FactsError(f"{place}.endpoint: {model.endpoint!r} is neither bedrock-runtime nor bedrock-mantle")
    if model.tokenizer_ratio <= 0:
        raise FactsError(f"{place}.tokenizer_ratio: {model.tokenizer_ratio:g} is no ratio; 1.2 is a fifth more tokens")
    return model


def _stated(kind: type[T], entry: Mapping[str, object], key: str, where: str, **known: object) -> T:
    """A row that an entry states itself, in the columns of its data file; blank is unknown."""
    place = f"{where}.{key}"
    row = _entry(entry[key], place)
    names = {item.name.removesuffix("_usd_per_mtok") for item in fields(kind)}
    if unknown := sorted(set(row) - names):
        raise FactsError(f"{place}.{unknown[0]}: unknown key; known: {', '.join(sorted(names))}")
    blank = dict.fromkeys(names, "") | {"output_burndown_ratio": "1", "source": "own models file"}
    cells = {name: "" if value is None else str(value) for name, value in {**blank, **row, **known}.items()}
    return decode(kind, cells, place)


def _named(
    entry: Mapping[str, object], key: str, known: Mapping[str, T], where: str, *, needed: bool = False
) -> T | None:
    """The row of a data file that an entry names; None where it names none and needs none."""
    name = entry.get(key)
    if name is None and not needed:
        return None
    if not isinstance(name, str) or name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        raise FactsError(f"{where}.{key}: {name!r} is missing or unknown{f'; did you mean {near[0]}?' if near else ''}")
    return known[name]


def _with_write_price(prices: TokenPrices, entry: Mapping[str, object], where: str) -> TokenPrices:
    """The price row, with a stated write price where the price file has none."""
    stated = entry.get("cache_write_usd_per_mtok")
    if stated is None or prices.cache_write_5m_usd_per_mtok is not None:
        return prices
    price = decode(
        _StatedPrice, _entry(stated, f"{where}.cache_write_usd_per_mtok"), f"{where}.cache_write_usd_per_mtok"
    )
    if price.value < 0:
        raise FactsError(f"{where}.cache_write_usd_per_mtok: {price.value} is below zero")
    assumed = ("cache_write_5m",) if price.status == "assumed" else ()
    return replace(prices, cache_write_5m_usd_per_mtok=price.value, cache_write_1h_usd_per_mtok=None, assumed=assumed)


@dataclass(frozen=True)
class _StatedPrice:
    """A price that models.yaml states itself, because the price file has none."""

    value: float
    status: str = ""
