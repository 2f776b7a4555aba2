"""What the assistant changes, as a protocol: another backend passes the same tests (tests/assistant/test_store.py)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypedDict


class CartLine(TypedDict):
    """One line of a cart."""

    product_id: str
    quantity: int


class OrderChange(TypedDict):
    """One change of an order; `at` is ISO 8601."""

    order_id: str
    change: str
    detail: str
    at: str


class Store(Protocol):
    """What a customer's words may change: memory, carts, changes to orders. Price rules have a book of their own.

    Every write is durable when the call returns, and seen by every other handle from then on. `key` is an idempotency
    key: a write whose key was seen before, by whatever write, changes nothing and returns False.
    """

    def remember(self, customer_id: str, fact: str, now: datetime) -> None:
        """Keep a fact about the customer; the same fact twice is one."""

    def facts(self, customer_id: str) -> list[str]:
        """Everything remembered, oldest first."""

    def forget(self, customer_id: str, facts: Sequence[str]) -> list[str]:
        """Erase these facts of the customer, from disk too; returns those that were there, oldest first."""

    def add_to_cart(self, customer_id: str, product_id: str, quantity: int, key: str) -> bool:
        """Add to what the customer will review."""

    def cart(self, customer_id: str) -> list[CartLine]:
        """product_id and quantity of every line, in the order in which they came."""

    def change_order(self, customer_id: str, order_id: str, change: str, detail: str, key: str, now: datetime) -> bool:
        """Record a cancellation, an edit or a return."""

    def order_changes(self, customer_id: str) -> list[OrderChange]:
        """order_id, change, detail, at; oldest first."""

    def close(self) -> None:
        """Release files."""
