"""The store on DynamoDB, for an assistant of many machines: one table, conditional writes, no transaction left open.

Items of a customer share the partition `customer#ID`; a key that was used is an item of its own, `key#KEY`, written in
the same transaction as what it guards. Order is a counter of the customer's. Reads are strongly consistent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from assistant.errors import AssistantError

Row = dict[str, Any]
TRIES_MAX = 20
"""Of a transaction that meets another on the same item; each waits for nobody, so one of them always gets on."""
KEYS = {
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "BillingMode": "PAY_PER_REQUEST",
}
"""What a table for it is created with."""


class DynamoStore:
    """`Store` over one table. `client`: boto3's for `dynamodb`."""

    def __init__(self, client: Any, table: str) -> None:
        self._client, self._table = client, table

    def remember(self, customer_id: str, fact: str, now: datetime) -> None:
        """Keep a fact about the customer; the same fact twice is one."""
        item = {"fact": {"S": fact}, "at": {"S": now.isoformat()}, **self._place(customer_id)}
        try:
            self._client.put_item(
                TableName=self._table,
                Item={**_key(customer_id, _fact(fact)), **item},
                ConditionExpression="attribute_not_exists(pk)",
            )
        except ClientError as error:
            if _code(error) != "ConditionalCheckFailedException":
                raise AssistantError(f"{self._table}: {_code(error)}") from None

    def facts(self, customer_id: str) -> list[str]:
        """Everything remembered, oldest first."""
        return [item["fact"]["S"] for item in self._items(customer_id, "fact#")]

    def forget(self, customer_id: str, facts: Sequence[str]) -> list[str]:
        """Erase these facts; returns those that were there, oldest first. Backups of the table are its owner's."""
        gone = []
        for fact in dict.fromkeys(facts):
            answer = self._client.delete_item(
                TableName=self._table, Key=_key(customer_id, _fact(fact)), ReturnValues="ALL_OLD"
            )
            if "Attributes" in answer:
                gone.append((_number(answer["Attributes"]), fact))
        return [fact for _, fact in sorted(gone)]

    def add_to_cart(self, customer_id: str, product_id: str, quantity: int, key: str) -> bool:
        """Add to what the customer will review."""
        place = self._place(customer_id)["number"]
        update = {
            "TableName": self._table,
            "Key": _key(customer_id, f"cart#{product_id}"),
            "UpdateExpression": "SET product_id = :p, #n = if_not_exists(#n, :n) ADD quantity :q",
            "ExpressionAttributeNames": {"#n": "number"},
            "ExpressionAttributeValues": {":p": {"S": product_id}, ":n": place, ":q": {"N": str(quantity)}},
        }
        return self._once(key, {"Update": update})

    def cart(self, customer_id: str) -> list[Row]:
        """product_id and quantity of every line, in the order in which they came."""
        return [
            {"product_id": item["product_id"]["S"], "quantity": int(item["quantity"]["N"])}
            for item in self._items(customer_id, "cart#")
        ]

    def change_order(self, customer_id: str, order_id: str, change: str, detail: str, key: str, now: datetime) -> bool:
        """Record a cancellation, an edit or a return."""
        place = self._place(customer_id)
        values = {"order_id": order_id, "change": change, "detail": detail, "at": now.isoformat()}
        item = {name: {"S": value} for name, value in values.items()}
        put = {
            "TableName": self._table,
            "Item": {**_key(customer_id, f"change#{int(place['number']['N']):012d}"), **item, **place},
        }
        return self._once(key, {"Put": put})

    def order_changes(self, customer_id: str) -> list[Row]:
        """order_id, change, detail, at; oldest first."""
        names = ("order_id", "change", "detail", "at")
        return [{name: item[name]["S"] for name in names} for item in self._items(customer_id, "change#")]

    def close(self) -> None:
        """Release connections."""
        self._client.close()

    def _once(self, key: str, write: Mapping[str, Any]) -> bool:
        """A write and its key in one transaction; False when the key was used before."""
        used = {
            "TableName": self._table,
            "Item": {"pk": {"S": f"key#{key}"}, "sk": {"S": "used"}},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        for _ in range(TRIES_MAX):
            try:
                self._client.transact_write_items(TransactItems=[{"Put": used}, write])
                return True
            except ClientError as error:
                reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", ())]
                if reasons[:1] == ["ConditionalCheckFailed"]:
                    return False
                if "TransactionConflict" not in reasons:
                    raise AssistantError(f"{self._table}: {_code(error)}") from None
        raise AssistantError(f"{self._table}: {TRIES_MAX} transactions in a row met others; try again")

    def _place(self, customer_id: str) -> dict[str, Any]:
        """The next number of the customer's counter; one that is not used in the end leaves a gap and no more."""
        answer = self._client.update_item(
            TableName=self._table,
            Key=_key(customer_id, "counter"),
            UpdateExpression="ADD #n :one",
            ExpressionAttributeNames={"#n": "number"},
            ExpressionAttributeValues={":one": {"N": "1"}},
            ReturnValues="UPDATED_NEW",
        )
        return {"number": answer["Attributes"]["number"]}

    def _items(self, customer_id: str, kind: str) -> list[dict[str, Any]]:
        return sorted(self._pages(customer_id, kind), key=_number)

    def _pages(self, customer_id: str, kind: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :kind)",
            ExpressionAttributeValues={":pk": {"S": f"customer#{customer_id}"}, ":kind": {"S": kind}},
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]


def _key(customer_id: str, name: str) -> dict[str, Any]:
    return {"pk": {"S": f"customer#{customer_id}"}, "sk": {"S": name}}


def _fact(fact: str) -> str:
    """A sort key holds at most 1,024 bytes, and is no place for a customer's words."""
    return f"fact#{hashlib.sha256(fact.encode()).hexdigest()}"


def _number(item: Mapping[str, Any]) -> int:
    return int(item["number"]["N"])


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", error))
