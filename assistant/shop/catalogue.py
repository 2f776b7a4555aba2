"""The shop's data, read-only: products, prices, reviews, customers and their past orders (catalogue.sqlite)."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TypedDict, TypeVar

import numpy as np
import orjson

from assistant.autobuy.rules import StandingRule
from assistant.errors import AssistantError
from assistant.shop.ranking import WordIndex
from assistant.shop.rows import Customer, Order, OrderItem, Page, PriceDay, Product, Review, Substitute, Viewed

T = TypeVar("T")


class _Meta(TypedDict):
    value: str


class _Other(Substitute):
    other: int


class Catalogue:
    """Queries over one catalogue file. It never changes while we run, so no lock and no journal are needed."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise AssistantError(f"{path}: no catalogue there; `peakday up` writes it")
        self._db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        self._db.row_factory = _as_dict
        self.started_at = self._meta_now()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def documents(self) -> list[Page]:
        """The pages of the local web index."""
        return self._all(Page, "SELECT doc_id, url, title, body FROM documents ORDER BY doc_id")

    def standing_rules(self) -> list[StandingRule]:
        """Auto-buy rules that the scenario's world begins with; none in a catalogue without them."""
        if self._one(dict, "SELECT 1 AS there FROM sqlite_master WHERE name = 'auto_buy_rules'") is None:
            return []
        sql = "SELECT rule_id, customer_id, product_id, target_price, quantity FROM auto_buy_rules"
        rows: list[StandingRule] = self._db.execute(sql).fetchall()
        return rows

    @cached_property
    def currency(self) -> str:
        """What its prices are in; USD for an empty shop."""
        row = self._one(Product, "SELECT currency FROM products LIMIT 1")
        return "USD" if row is None else str(row["currency"])

    def prices(self) -> dict[str, float]:
        """The catalogue's price of every product."""
        return {row["product_id"]: row["price"] for row in self._all(Product, "SELECT product_id, price FROM products")}

    def search(self, query: str, limit: int, max_price: float | None, ticked: Mapping[str, float]) -> list[Product]:
        """Best matching products, best first, at their live prices.

        Args:
            ticked: product id -> price, of those that a tick has moved since the catalogue was written.
        """
        ids, prices, index = self._words
        allowed = None
        if max_price is not None:
            allowed = prices <= max_price
            for product_id, price in ticked.items():
                if (row := self._places.get(product_id)) is not None:
                    allowed[row] = price <= max_price
        found = [self.product(ids[row]) for row in index.search(query, limit, allowed)]
        return [{**row, "price": ticked.get(row["product_id"], row["price"])} for row in found if row]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {product_id: place for place, product_id in enumerate(self._words[0])}

    @cached_property
    def _words(self) -> tuple[list[str], np.ndarray, WordIndex]:
        """Product ids, prices and words, made on first use: not every reader of the catalogue searches it."""
        rows = self._all(Product, "SELECT product_id, title, brand, category, price FROM products ORDER BY rowid")
        index = WordIndex([((row["title"], 2.0), (row["brand"], 1.5), (row["category"], 1.0)) for row in rows])
        return [row["product_id"] for row in rows], np.array([row["price"] for row in rows]), index

    def product(self, product_id: str) -> Product | None:
        """One product with its attributes parsed, or None."""
        row = self._one(Product, "SELECT * FROM products WHERE product_id = ?", product_id)
        if row is not None:
            row["attributes"] = orjson.loads(str(row["attributes"] or "{}"))
        return row

    def substitutes(self, product: Product, limit: int, ticked: Mapping[str, float]) -> list[Substitute]:
        """Products in stock of the same category: those of the same kind first, then nearest in live price.

        The kind is the last word of a title's first part: `Boots` of `Wexcombe Home Hiking Boots, blue, medium`.
        """
        kind = product["title"].split(",")[0].split(" ")[-1]
        others = self._all(_Other,
            "SELECT product_id, title, price, rating, delivery_days, title || ',' NOT LIKE ? AS other FROM products"
            " WHERE category = ? AND in_stock > 0 AND product_id != ?",
            f"% {kind},%", product["category"], product["product_id"],
        )  # fmt: skip
        for row in others:
            row["price"] = ticked.get(row["product_id"], row["price"])
        others.sort(key=lambda row: (row["other"], abs(row["price"] - product["price"]), row["product_id"]))
        return [
            {
                "product_id": row["product_id"],
                "title": row["title"],
                "price": row["price"],
                "rating": row["rating"],
                "delivery_days": row["delivery_days"],
            }
            for row in others[:limit]
        ]

    def reviews(self, product_id: str, limit: int) -> list[Review]:
        """A product's reviews."""
        return self._all(Review,
            "SELECT review_id, stars, title, body FROM reviews WHERE product_id = ? ORDER BY review_id LIMIT ?",
            product_id, limit,
        )  # fmt: skip

    def price_history(self, product_id: str, now: datetime, days: int) -> list[PriceDay]:
        """Daily prices of the last `days` days, today included, oldest first."""
        first = (now - timedelta(days=days - 1)).date().isoformat()
        return self._all(PriceDay,
            "SELECT day, price FROM price_history WHERE product_id = ? AND day BETWEEN ? AND ? ORDER BY day",
            product_id, first, now.date().isoformat(),
        )  # fmt: skip

    def customer(self, customer_id: str) -> Customer | None:
        """One customer, or None."""
        return self._one(Customer, "SELECT * FROM customers WHERE customer_id = ?", customer_id)

    def payment_method(self, customer_id: str) -> str | None:
        """A customer's default payment method, or None."""
        customer = self.customer(customer_id)
        return customer["default_payment"] if customer else None

    def orders(self, customer_id: str) -> list[Order]:
        """A customer's past orders with their items, newest first."""
        orders = self._all(Order,
            "SELECT order_id, ordered_at, status, total FROM orders WHERE customer_id = ?"
            " ORDER BY ordered_at DESC, order_id",
            customer_id,
        )  # fmt: skip
        for order in orders:
            order["items"] = self._all(OrderItem,
                "SELECT i.product_id, p.title, p.category, i.quantity, i.price FROM order_items i"
                " LEFT JOIN products p USING (product_id) WHERE i.order_id = ?",
                order["order_id"],
            )  # fmt: skip
        return orders

    def browsing(self, customer_id: str) -> list[Viewed]:
        """What a customer looked at, newest first."""
        return self._all(Viewed,
            "SELECT b.product_id, b.viewed_at, p.title, p.category FROM browsing b LEFT JOIN products p"
            " USING (product_id) WHERE b.customer_id = ? ORDER BY b.viewed_at DESC, b.product_id",
            customer_id,
        )  # fmt: skip

    def _meta_now(self) -> datetime:
        row = self._one(_Meta, "SELECT value FROM meta WHERE key = 'now'")
        if row is None:
            raise AssistantError("catalogue: meta.now, the clock of the data, is missing; write the world again")
        return datetime.fromisoformat(row["value"])

    def _all(self, kind: type[T], sql: str, *values: object) -> list[T]:
        """Rows of a kind: what a query selects is what the kind names."""
        rows: list[T] = self._db.execute(sql, values).fetchall()
        return rows

    def _one(self, kind: type[T], sql: str, *values: object) -> T | None:
        row: T | None = self._db.execute(sql, values).fetchone()
        return row


def _as_dict(cursor: sqlite3.Cursor, values: Sequence[object]) -> dict[str, object]:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}
