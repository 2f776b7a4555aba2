"""The store on DynamoDB, for an assistant of many machines: conditional writes, no transaction left open.

Items of a customer share a partition; a key that was used is an item of its own, `key#KEY`, written in the same
transaction as what it guards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from assistant.shop.store import CartLine, OrderChange
from assistant.shop.table import ABSENT, Entry, Table, Write, customer_key, key_of, number, put, read, text


class DynamoStore:
    """`Store` over one table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def remember(self, customer_id: str, fact: str, now: datetime) -> None:
        """Keep a fact about the customer; the same fact twice is one."""
        item = {"fact": text(fact), "at": text(now.isoformat()), "number": self._table.place(customer_id)}
        self._table.put_new({**customer_key(customer_id, _fact(fact)), **item})

    def facts(self, customer_id: str) -> list[str]:
        """Everything remembered, oldest first."""
        return [read(item, lambda it: it["fact"]["S"]) for item in self._table.of_customer(customer_id, "fact#")]

    def forget(self, customer_id: str, facts: Sequence[str]) -> list[str]:
        """Erase these facts; returns those that were there, oldest first. Backups of the table are its owner's."""
        gone = []
        for fact in dict.fromkeys(facts):
            item = self._table.take(customer_key(customer_id, _fact(fact)))
            if item is not None:
                gone.append((int(item["number"]["N"]), fact))
        return [fact for _, fact in sorted(gone)]

    def add_to_cart(self, customer_id: str, product_id: str, quantity: int, key: str) -> bool:
        """Add to what the customer will review."""
        update = {
            "Key": customer_key(customer_id, f"cart#{product_id}"),
            "UpdateExpression": "SET product_id = :p, #n = if_not_exists(#n, :n) ADD quantity :q",
            "ExpressionAttributeNames": {"#n": "number"},
            "ExpressionAttributeValues": {
                ":p": text(product_id), ":n": self._table.place(customer_id), ":q": number(quantity)
            },
        }  # fmt: skip
        return self._once(key, {"Update": update})

    def cart(self, customer_id: str) -> list[CartLine]:
        """product_id and quantity of every line, in the order in which they came."""
        return [read(item, _line) for item in self._table.of_customer(customer_id, "cart#")]

    def change_order(self, customer_id: str, order_id: str, change: str, detail: str, key: str, now: datetime) -> bool:
        """Record a cancellation, an edit or a return."""
        place = self._table.place(customer_id)
        item: Entry = {
            "order_id": text(order_id),
            "change": text(change),
            "detail": text(detail),
            "at": text(now.isoformat()),
            "number": place,
        }
        return self._once(key, put({**customer_key(customer_id, f"change#{int(place['N']):012d}"), **item}))

    def order_changes(self, customer_id: str) -> list[OrderChange]:
        """order_id, change, detail, at; oldest first."""
        return [read(item, _change) for item in self._table.of_customer(customer_id, "change#")]

    def close(self) -> None:
        """Release connections."""
        self._table.close()

    def _once(self, key: str, write: Write) -> bool:
        """A write and its key in one transaction; False when the key was used before."""
        return not self._table.transact(put(key_of(f"key#{key}", "used"), ABSENT), write)


def _line(item: Entry) -> CartLine:
    return {"product_id": item["product_id"]["S"], "quantity": int(item["quantity"]["N"])}


def _change(item: Entry) -> OrderChange:
    order_id, change, detail, at = (item[name]["S"] for name in ("order_id", "change", "detail", "at"))
    return {"order_id": order_id, "change": change, "detail": detail, "at": at}


def _fact(fact: str) -> str:
    """A sort key holds at most 1,024 bytes, and is no place for a customer's words."""
    return f"fact#{hashlib.sha256(fact.encode()).hexdigest()}"
