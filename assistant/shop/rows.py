"""What the catalogue's rows hold, as they are read."""

from __future__ import annotations

from typing import TypedDict


class Product(TypedDict):
    """One product; `attributes` by name, `in_stock` a count."""

    product_id: str
    title: str
    brand: str
    category: str
    description: str
    attributes: dict[str, object]
    price: float
    currency: str
    rating: float
    review_count: int
    in_stock: int
    delivery_days: int


class Substitute(TypedDict):
    """A product in place of one that is sold out."""

    product_id: str
    title: str
    price: float
    rating: float
    delivery_days: int


class Page(TypedDict):
    """A page of the local web index."""

    doc_id: str
    url: str
    title: str
    body: str


class Review(TypedDict):
    """What one customer wrote."""

    review_id: str
    stars: int
    title: str
    body: str


class PriceDay(TypedDict):
    """A product's price on one day (ISO 8601)."""

    day: str
    price: float


class Customer(TypedDict):
    """One customer."""

    customer_id: str
    name: str
    locale: str
    zip_code: str
    default_payment: str
    default_address: str
    segment: str


class OrderItem(TypedDict):
    """One line of an order; title and category None where the product is gone."""

    product_id: str
    title: str | None
    category: str | None
    quantity: int
    price: float


class Order(TypedDict):
    """One past order."""

    order_id: str
    ordered_at: str
    status: str
    total: float
    items: list[OrderItem]


class Viewed(TypedDict):
    """A product that a customer looked at."""

    product_id: str
    viewed_at: str
    title: str | None
    category: str | None
