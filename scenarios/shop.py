"""The synthetic shop: products with prices over time, reviews, customers, orders, browsing, documents.

Everything follows from (world keys, now, seed). Plain arrays and lists in, rows out; `world.py` writes them to sqlite.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from host.yaml_text import load_own
from scenarios.mix import World
from scenarios.seeds import random_stream
from scenarios.streams import RuleStorm

Row = tuple[str | float, ...]
_FIRST_NAMES = (
    "Ada", "Ben", "Chloe", "Dev", "Ema", "Finn", "Gia", "Hugo", "Ivy", "Jon", "Kira", "Leo", "Mia", "Noor", "Owen",
    "Pia", "Quin", "Rosa", "Sam", "Tara", "Uma", "Vic",
)  # fmt: skip
_LAST_NAMES = (
    "Abbott", "Brandt", "Castillo", "Dietz", "Eriksen", "Fox", "Gupta", "Hale", "Ito", "Jensen", "Khan", "Lopez",
    "Meyer", "Novak", "Okafor",
)  # fmt: skip
_SEGMENTS = ("new", "occasional", "regular", "frequent")
_ORDER_DAYS = 400
CONSUMABLE_WEIGHT = 4.0

# The first customer has a past to talk about: a pie last week, and yesterday a look at boots and poles; the poles are
# sold out by now. Every world has it, as far as its shop sells these things.
PIE_DAYS_AGO, PIE = 6.0, ("pie crust", "canned pumpkin", "creamer")
SEEN_DAYS_AGO, SEEN, SOLD_OUT = 1.0, ("hiking boots", "trekking poles"), "trekking poles"


class Category(TypedDict):
    """items: of a noun its lowest and highest price."""

    consumable: bool
    attributes: dict[str, list[str]]
    items: dict[str, tuple[float, float]]


class ShowroomEntry(TypedDict):
    """A product with a data sheet. reviews: stars and text."""

    title: str
    brand: str
    category: str
    price: float
    rating: float
    delivery_days: int
    sale_ratio: float
    attributes: dict[str, object]
    reviews: list[tuple[int, str]]


class Words(TypedDict):
    """The vocabulary file."""

    makers: list[str]
    flavours: list[str]
    categories: dict[str, Category]
    showroom: list[ShowroomEntry]
    reviews: dict[str, list[str]]
    topics: list[str]


@dataclass(frozen=True)
class Shop:
    """What the tables are written from. Arrays are aligned with product index.

    Attributes:
        items: the noun of each product.
        price_usd: (P,) today's price.
        path_usd: (P, D) price on each of the last D days, today last.
        popularity: (P,) share of views and purchases.
    """

    now: datetime
    items: list[str]
    products: list[Row]
    price_usd: NDArray[np.float64]
    path_usd: NDArray[np.float64]
    popularity: NDArray[np.float64]
    words: Words


def product_id(index: int) -> str:
    """`p000001` for index 0."""
    return f"p{index + 1:06d}"


def customer_id(index: int) -> str:
    """`c000001` for index 0."""
    return f"c{index + 1:06d}"


def _first_of(shop: Shop, nouns: Sequence[str]) -> list[int]:
    """Index of the first product of each noun that the shop sells."""
    return [shop.items.index(noun) for noun in nouns if noun in shop.items]


def shop_words() -> Words:
    """The vocabulary file."""
    words: Words = load_own(files("scenarios").joinpath("shop_words.yaml").read_text(encoding="utf-8"))
    return words


def make_shop(world: World, now: datetime, seed: int) -> Shop:
    """Products and their prices: nouns in turn, so that every noun exists from some 150 products on."""
    rng = random_stream(seed, "shop")
    words = shop_words()
    nouns = [(name, *item) for name, entry in words["categories"].items() for item in entry["items"].items()]
    count = world.products
    pick = np.arange(count) % len(nouns)
    bounds = np.array([nouns[i][2] for i in pick], dtype=np.float64)
    list_usd = bounds[:, 0] * (bounds[:, 1] / bounds[:, 0]) ** rng.random(count)
    list_usd = np.maximum(np.round(list_usd), 2.0) - 0.01
    path_usd = _price_paths(list_usd, world.history_days, rng)
    consumable = np.array([words["categories"][nouns[i][0]]["consumable"] for i in pick])
    popularity = np.where(consumable, CONSUMABLE_WEIGHT, 1.0) / (1.0 + rng.permutation(count)) ** 0.7
    shop = Shop(
        now=now,
        items=[nouns[i][1] for i in pick],
        products=[],
        price_usd=path_usd[:, -1],
        path_usd=path_usd,
        popularity=popularity / popularity.sum(),
        words=words,
    )
    shop.products.extend(_product_rows(shop, [nouns[i][0] for i in pick], rng))
    return shop


def _price_paths(list_usd: NDArray[np.float64], days: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(P, days) prices: the list price, drifting a little, with sales of 10 to 40% that last about a week."""
    count = len(list_usd)
    drift = np.exp(np.cumsum(0.004 * rng.standard_normal((count, days)), axis=1))
    starts = rng.random((count, days)) < 1 / 30
    depth = np.where(starts, rng.uniform(0.1, 0.4, (count, days)), 0.0)
    discount = np.zeros(count)
    paths = np.empty((count, days))
    for day in range(days):
        discount = np.where(starts[:, day], depth[:, day], np.where(rng.random(count) < 1 / 7, 0.0, discount))
        paths[:, day] = list_usd * drift[:, day] * (1 - discount)
    return np.asarray(np.round(np.maximum(paths, 1.0), 2), dtype=np.float64)


def _product_rows(shop: Shop, categories: list[str], rng: np.random.Generator) -> Iterator[Row]:
    words, count = shop.words, len(categories)
    maker_u = rng.integers(len(words["makers"]), size=count)
    flavour_u = rng.integers(len(words["flavours"]), size=count)
    attribute_u = rng.random((count, 4))
    rating = np.round(np.clip(rng.normal(4.2, 0.4, count), 1.0, 5.0), 1)
    reviews = np.ceil(np.exp(rng.normal(4.5, 1.6, count))).astype(int)
    in_stock, delivery = rng.random(count) < 0.95, rng.integers(1, 7, size=count)
    in_stock[_first_of(shop, (SOLD_OUT,))] = False
    for i, category in enumerate(categories):
        attributes = {
            name: values[int(attribute_u[i, k] * len(values))]
            for k, (name, values) in enumerate(words["categories"][category]["attributes"].items())
        }
        maker, flavour = words["makers"][maker_u[i]], words["flavours"][flavour_u[i]]
        title = f"{maker} {flavour} {shop.items[i].title()}, {', '.join(attributes.values())}"
        text = f"{title}. A {flavour.lower()} {shop.items[i]} by {maker}; " + "; ".join(
            f"{name}: {value}" for name, value in attributes.items()
        )
        yield (
            product_id(i), title, maker, category, text, json.dumps(attributes), float(shop.price_usd[i]), "USD",
            float(rating[i]), int(reviews[i]), int(in_stock[i]), int(delivery[i]),
        )  # fmt: skip


def showroom_rows(shop: Shop) -> Iterator[Row]:
    """Products with data sheets, the same in every world. They are looked for and never drawn, so they move nothing."""
    for number, entry in enumerate(shop.words["showroom"], start=1):
        attributes = {str(name): str(value) for name, value in entry["attributes"].items()}
        sheet = "; ".join(f"{name}: {value}" for name, value in attributes.items())
        yield (
            _showroom_id(number), entry["title"], entry["brand"], entry["category"], f"{entry['title']}. {sheet}",
            json.dumps(attributes), float(entry["price"]), "USD", float(entry["rating"]), len(entry["reviews"]), 1,
            int(entry["delivery_days"]),
        )  # fmt: skip


def showroom_price_rows(shop: Shop) -> Iterator[Row]:
    """Their price on every day: the list price, and for some days one week ago a sale."""
    days = shop.path_usd.shape[1]
    for number, entry in enumerate(shop.words["showroom"], start=1):
        for day in range(days):
            age = days - 1 - day
            on_sale = 7 <= age < 12
            price = (
                round(float(entry["price"]) * (1 - float(entry["sale_ratio"])), 2) if on_sale else float(entry["price"])
            )
            yield _showroom_id(number), (shop.now - timedelta(days=age)).date().isoformat(), price


def showroom_review_rows(shop: Shop) -> Iterator[Row]:
    """What customers wrote of them."""
    for number, entry in enumerate(shop.words["showroom"], start=1):
        for place, (stars, body) in enumerate(entry["reviews"], start=1):
            yield (
                _showroom_id(number), f"r9{number:03d}{place:03d}", int(stars), f"{stars} stars", str(body),
                _name(number * 7 + place),
            )  # fmt: skip


def _showroom_id(number: int) -> str:
    return f"p9{number:05d}"


def price_rows(shop: Shop) -> Iterator[Row]:
    """(product, ISO day, price) for every product and day, today last."""
    count, days = shop.path_usd.shape
    dates = [(shop.now - timedelta(days=days - 1 - day)).date().isoformat() for day in range(days)]
    ids = [product_id(i) for i in range(count)]
    for i, prices in enumerate(shop.path_usd.tolist()):
        yield from zip([ids[i]] * days, dates, prices, strict=True)


def review_rows(shop: Shop, seed: int) -> Iterator[Row]:
    """Two to six reviews a product, their stars near its rating."""
    rng = random_stream(seed, "reviews")
    words = shop.words["reviews"]
    number = 0
    for product, item in zip(shop.products, shop.items, strict=True):
        drawn = np.round(rng.normal(float(product[8]), 1.0, int(rng.integers(2, 7))))
        for stars in np.clip(drawn, 1, 5).astype(int).tolist():
            bodies = words["good" if stars >= 4 else "mixed" if stars == 3 else "bad"]
            body = bodies[int(rng.integers(len(bodies)))]
            number += 1
            yield product[0], f"r{number:07d}", stars, f"{stars} stars for this {item}", body, _name(number)


def customer_rows(count: int, locales: list[str], seed: int) -> Iterator[Row]:
    """Customers with a default payment and address; customer 1 is the most active."""
    rng = random_stream(seed, "customers")
    locale_u, zips = rng.integers(len(locales), size=count).tolist(), rng.integers(10_000, 99_999, size=count).tolist()
    segment = rng.integers(len(_SEGMENTS), size=count).tolist()
    for i in range(count):
        yield (
            customer_id(i), _name(i), locales[locale_u[i]], str(zips[i]), f"card-{i + 1:06d}", f"address-{i + 1:06d}",
            _SEGMENTS[segment[i]],
        )  # fmt: skip


def _name(number: int) -> str:
    return f"{_FIRST_NAMES[number % len(_FIRST_NAMES)]} {_LAST_NAMES[number // len(_FIRST_NAMES) % len(_LAST_NAMES)]}"


def order_rows(shop: Shop, customers: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Orders (about four a customer over 400 days) and their items; the newest are still on their way."""
    rng = random_stream(seed, "orders")
    many = np.minimum(rng.geometric(0.25, customers), 30)
    owner = np.repeat(np.arange(customers), many)
    age_days = _ORDER_DAYS * rng.random(len(owner)) ** 1.5
    order = np.lexsort((-age_days, owner))
    owner, age_days = owner[order], age_days[order]
    sizes = np.minimum(rng.geometric(0.6, len(owner)), 6)
    picks = rng.choice(len(shop.items), size=int(sizes.sum()), p=shop.popularity).tolist()
    quantities = np.minimum(rng.geometric(0.8, len(picks)), 4).tolist()
    status_u = rng.random(len(owner))
    ends = np.cumsum(sizes).tolist()
    baskets = [
        dict(zip(picks[end - size : end], quantities[end - size : end], strict=True))
        for end, size in zip(ends, sizes.tolist(), strict=True)
    ]
    statuses = [_status(age, u) for age, u in zip(age_days.tolist(), status_u.tolist(), strict=True)]
    owners, ages_s = owner.tolist(), age_days * 86_400.0
    if pie := _first_of(shop, PIE):
        owners, ages_s = [*owners, 0], np.append(ages_s, PIE_DAYS_AGO * 86_400.0)
        baskets, statuses = [*baskets, dict.fromkeys(pie, 1)], [*statuses, "delivered"]
    return _priced(shop, owners, _moments(shop.now, ages_s), baskets, statuses)


def _priced(
    shop: Shop, owners: list[int], moments: list[str], baskets: list[dict[int, int]], statuses: list[str]
) -> tuple[list[Row], list[Row]]:
    """Rows of orders and of their items, at today's prices."""
    orders: list[Row] = []
    items: list[Row] = []
    prices = shop.price_usd.tolist()
    for i, basket in enumerate(baskets):
        order_id = f"o{i + 1:07d}"
        items.extend((order_id, product_id(product), many, prices[product]) for product, many in basket.items())
        total = round(sum(many * prices[product] for product, many in basket.items()), 2)
        orders.append((order_id, customer_id(owners[i]), moments[i], statuses[i], total))
    return orders, items


def _status(age_days: float, u: float) -> str:
    if age_days < 1:
        return "preparing"
    if age_days < 4:
        return "shipped"
    return "cancelled" if u < 0.03 else "returned" if u < 0.08 else "delivered"


def browsing_rows(shop: Shop, customers: int, seed: int) -> Iterator[Row]:
    """About five views a customer in the last two weeks, most of them recent; yesterday's among them."""
    rng = random_stream(seed, "browsing")
    owner = np.repeat(np.arange(customers), np.minimum(rng.geometric(0.2, customers), 25))
    picks = rng.choice(len(shop.items), size=len(owner), p=shop.popularity).tolist()
    moments = _moments(shop.now, 14 * 86_400.0 * rng.random(len(owner)) ** 2)
    for who, product, moment in zip(owner.tolist(), picks, moments, strict=True):
        yield customer_id(who), product_id(product), moment
    yesterday = _moments(shop.now, np.array([SEEN_DAYS_AGO * 86_400.0]))[0]
    yield from ((customer_id(0), product_id(product), yesterday) for product in _first_of(shop, SEEN))


def _moments(now: datetime, ages_s: NDArray[np.float64]) -> list[str]:
    """ISO times in UTC, so many seconds before now."""
    seconds = np.int64(now.timestamp()) - ages_s.astype(np.int64)
    return [f"{text}Z" for text in np.datetime_as_string(seconds.astype("datetime64[s]")).tolist()]


def storm_product(shop: Shop, storm: RuleStorm) -> int:
    """Index of the product that a storm is about: item_rank 0 is the most popular."""
    return int(np.argsort(-shop.popularity, kind="stable")[storm.item_rank % len(shop.items)])


def storm_rules(shop: Shop, storms: Sequence[RuleStorm], customers: int) -> Iterator[Row]:
    """Standing auto-buy rules, spread over the customers, each of which the storm's tick meets exactly."""
    number = 0
    for storm in storms:
        product = storm_product(shop, storm)
        for i in range(storm.rules):
            number += 1
            target = _storm_price(shop, product, storm)
            yield f"storm-{number:07d}", customer_id(i % customers), product_id(product), target, 1


def storm_ticks(shop: Shop, storms: Sequence[RuleStorm]) -> Iterator[Row]:
    """The tick that fires each storm: seconds from the event's start, product, price."""
    for storm in storms:
        product = storm_product(shop, storm)
        yield storm.at_s, product_id(product), _storm_price(shop, product, storm)


def _storm_price(shop: Shop, product: int, storm: RuleStorm) -> float:
    price = float(shop.price_usd[product]) * (1 - storm.drop_ratio)
    return round(max(0.01, price), 2)


def document_rows(shop: Shop) -> Iterator[Row]:
    """The local web index that stands in for a search engine: one page per topic and noun."""
    for number, (topic, item) in enumerate((t, i) for i in dict.fromkeys(shop.items) for t in shop.words["topics"]):
        slug = f"{topic}-{item}".replace(" ", "-")
        body = (
            f"An article on {topic} {item}. It weighs price against durability, lists what owners praised "
            f"and what broke, and closes with three questions to ask before buying {item}."
        )
        yield f"d{number + 1:05d}", f"https://web.example/{slug}", f"{topic} {item}".capitalize(), body
