"""List prices of the models and instances used, from the AWS price list; as a file, and as an overlay of prices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from facts.model_names import Routing, routing, words
from facts.reader import Model
from host.errors import Exit
from host.json_values import items, mapping, text
from host.tables import columns_of, csv_text, table_rows
from peakday.account.clients import Connect, pages
from peakday.errors import CommandError

PRICE_LIST_REGION = "us-east-1"
"""One of the few regions that serve the price list; it lists every region's prices."""
BEDROCK_OFFERS = ("AmazonBedrock", "AmazonBedrockFoundationModels")
EC2_FILTERS = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
CLASSES = {
    "input": "input_usd_per_mtok",
    "output": "output_usd_per_mtok",
    "cache_read": "cache_read_usd_per_mtok",
    "cache_write_5m": "cache_write_5m_usd_per_mtok",
    "cache_write_1h": "cache_write_1h_usd_per_mtok",
}
_OTHER_TERMS = re.compile(
    r"batch|flex|priority|latency|provisioned|reserved|custom|lctx|long|image|video|speech|audio|grounding", re.I
)


@dataclass(frozen=True)
class PriceRow:
    """One price of the list. model and price_class of instances are blank; usd_per_mtok of what is no token too."""

    kind: str
    region: str
    model: str
    price_class: str
    usd_per_mtok: float | None
    usd_per_hour: float | None
    name: str
    unit: str
    usd_per_unit: float
    sku: str
    usagetype: str
    effective_date: str


def pull_prices(
    connect: Connect, regions: Sequence[str], models: Mapping[str, Model], instances: Sequence[str]
) -> tuple[list[PriceRow], list[str]]:
    """Rows of the models and instances that were asked for, and a line for each that the list does not have.

    Raises:
        CommandError: refused, an answer that cannot be read, or nothing at all found.
    """
    client = connect("pricing", PRICE_LIST_REGION)
    bedrock = {key: model for key, model in models.items() if model.supply == "bedrock"}
    rows: list[PriceRow] = []
    notes: list[str] = []
    for region in regions:
        products = [product for offer in BEDROCK_OFFERS for product in _products(client, offer, {"regionCode": region})]
        region_rows = [row for key, model in bedrock.items() for row in token_rows(products, key, model, region)]
        region_rows += [row for name in instances for row in _instance_rows(client, name, region)]
        rows += region_rows
        priced = {row.model or row.name for row in region_rows}
        notes += [f"price list of {region}: no row of {name}" for name in (*bedrock, *instances) if name not in priced]
    if not rows:
        raise CommandError(
            f"price list of {', '.join(regions)}: no row of any model or instance asked for; check the region's name. "
            "Nothing was written",
            Exit.ENVIRONMENT,
        )
    return rows, notes


def token_rows(products: Iterable[Mapping[str, object]], key: str, model: Model, region: str) -> list[PriceRow]:
    """On-demand token prices of one model, under its own routing where the list has it, else the region's own."""
    wanted, how = words(model.model_id), routing(model.model_id)
    by_class: dict[str, dict[Routing, PriceRow]] = {}
    for product in products:
        attributes, sku = _about(product)
        name = str(attributes.get("model") or attributes.get("titanModel") or attributes.get("servicename") or "")
        if words(re.sub(r"\(.*?\)", " ", name)) != wanted:
            continue
        usage = text(attributes.get("usagetype"))
        price_class = _class_of(f"{attributes.get('inferenceType', '')} {usage}")
        if price_class is None:
            continue
        for unit, usd, date in _on_demand(product):
            per_mtok = _per_mtok(unit, usd, str(product.get("serviceCode", "")))
            if per_mtok is not None:
                row = PriceRow("tokens", region, key, price_class, per_mtok, None, name, unit, usd, sku, usage, date)
                by_class.setdefault(price_class, {})[_served(usage)] = row
    chosen = (rows.get(how) or rows.get(Routing.REGION) for _, rows in sorted(by_class.items()))
    return [row for row in chosen if row is not None]


def prices_text(rows: Sequence[PriceRow]) -> str:
    """prices.csv."""
    return csv_text((item.name for item in fields(PriceRow)), map(astuple, rows))


def read_prices(path: Path) -> list[PriceRow]:
    """prices.csv as values.

    Raises:
        CommandError: a column is missing, or a price is no number.
    """
    names = columns_of(path, error=CommandError)
    missing = [item.name for item in fields(PriceRow) if item.name not in names]
    if missing:
        raise CommandError(f"{path}: no column {missing[0]}; `peakday aws pull` writes this file")
    rows = []
    for line, row in table_rows(path, error=CommandError):
        try:
            rows.append(_read_row(row))
        except ValueError as error:
            raise CommandError(f"{path}:{line}: {error}; pull it again") from None
    return rows


def overlay(rows: Sequence[PriceRow]) -> dict[str, dict[str, dict[str, float]]]:
    """As `prices` of peakday.yaml has them; where regions differ, the dearest, so that no plan is too cheap."""
    tokens: dict[str, dict[str, float]] = {}
    instances: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.usd_per_mtok is not None:
            prices = tokens.setdefault(row.model, {})
            name = CLASSES[row.price_class]
            prices[name] = max(prices.get(name, 0.0), row.usd_per_mtok)
        elif row.usd_per_hour is not None:
            hourly = instances.setdefault(row.name, {"usd_per_hour": 0.0})
            hourly["usd_per_hour"] = max(hourly["usd_per_hour"], row.usd_per_hour)
    return {"tokens": tokens, "instances": instances}


def differences(rows: Sequence[PriceRow], models: Mapping[str, Model]) -> list[str]:
    """Where the account's region is dearer or cheaper than the list that peakday carries."""
    notes = []
    for row in rows:
        prices = models[row.model].prices if row.model in models else None
        carried = getattr(prices, CLASSES[row.price_class]) if prices and row.price_class in CLASSES else None
        if carried is not None and row.usd_per_mtok is not None and abs(row.usd_per_mtok - carried) > 1e-9:
            notes.append(
                f"{row.model} {row.price_class} in {row.region}: {row.usd_per_mtok:g} USD per million tokens, "
                f"{carried:g} in peakday's list"
            )
    return notes


def _instance_rows(client: object, name: str, region: str) -> list[PriceRow]:
    products = _products(client, "AmazonEC2", {"regionCode": region, "instanceType": name, **EC2_FILTERS})
    return [
        PriceRow("instance", region, "", "", None, usd, name, unit, usd, sku, text(attributes.get("usagetype")), date)
        for product in products
        for attributes, sku in [_about(product)]
        for unit, usd, date in _on_demand(product)
        if unit == "Hrs" and usd > 0
    ]


def _products(client: object, offer: str, wanted: Mapping[str, str]) -> list[dict[str, object]]:
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    documents = []
    for page in pages(client, "get_products", ServiceCode=offer, Filters=filters, FormatVersion="aws_v1"):
        for listed in items(page.get("PriceList")):
            try:
                product = json.loads(text(listed))
                documents.append({"serviceCode": offer, **product, "product": {"attributes": {}, **product["product"]}})
            except (json.JSONDecodeError, KeyError, TypeError):
                raise CommandError(
                    f"pricing:GetProducts: a row of {offer} cannot be read; pull again. Nothing was written",
                    Exit.ENVIRONMENT,
                ) from None
    return documents


def _about(product: Mapping[str, object]) -> tuple[Mapping[str, object], str]:
    """The attributes of a row of the price list, and its SKU."""
    about = mapping(product["product"])
    return mapping(about["attributes"]), text(about["sku"])


def _on_demand(product: Mapping[str, object]) -> list[tuple[str, float, str]]:
    """(unit, USD, effective date) of every on-demand price; a tiered one gives its first tier."""
    terms = []
    for term in map(mapping, mapping(mapping(product.get("terms")).get("OnDemand")).values()):
        for dimension in map(mapping, mapping(term.get("priceDimensions")).values()):
            usd = mapping(dimension.get("pricePerUnit")).get("USD")
            if isinstance(usd, str | float | int) and dimension.get("beginRange", "0") in ("0", ""):
                terms.append((str(dimension.get("unit", "")), float(usd), str(term.get("effectiveDate", ""))[:10]))
    return terms


def _class_of(text: str) -> str | None:
    """The class of tokens that a usage type and an inference type tell; None for other tiers and kinds."""
    flat = re.sub(r"[^a-z0-9]", "", text.lower())
    if "token" not in flat or _OTHER_TERMS.search(text):
        return None
    if "cache" in flat:
        if "read" in flat:
            return "cache_read"
        return "cache_write_1h" if "1h" in flat else "cache_write_5m"
    if "input" in flat:
        return "input"
    return "output" if "output" in flat else None


def _served(usagetype: str) -> Routing:
    text = usagetype.lower()
    if "global" in text:
        return Routing.GLOBAL
    return Routing.GEOGRAPHY if "cross-region" in text or "geo" in text else Routing.REGION


def _per_mtok(unit: str, usd: float, offer: str) -> float | None:
    """USD per million tokens; None for a unit that is no count of tokens. Marketplace models are listed per million."""
    text = unit.lower()
    if "1k" in text:
        return round(usd * 1_000, 9)
    if "1m" in text or "million" in text or (text == "units" and offer == BEDROCK_OFFERS[1]):
        return usd
    return round(usd * 1_000_000, 9) if text == "tokens" else None


def _read_row(row: Mapping[str, str]) -> PriceRow:
    numbers = {name: float(row[name]) if row[name] else None for name in ("usd_per_mtok", "usd_per_hour")}
    rest = {item.name: row[item.name] for item in fields(PriceRow) if item.name not in (*numbers, "usd_per_unit")}
    return PriceRow(**rest, **numbers, usd_per_unit=float(row["usd_per_unit"]))  # type: ignore[arg-type]
