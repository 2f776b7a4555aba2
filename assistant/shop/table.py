"""One DynamoDB table as the assistant uses it: typed items, strongly consistent reads, conditional writes.

An item's values are texts (`{"S": ...}`) and numbers (`{"N": ...}`). Partitions: a customer's own items share
`customer#ID`, in the order of a counter; every other kind of item names its partition where it is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypedDict, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from assistant.errors import StoreError

Value = dict[str, str]
Entry = dict[str, Value]
Write = Mapping[str, Mapping[str, object]]
"""One write of a transaction: `{"Put": {...}}`, `Update`, `Delete` or `ConditionCheck`, without the table's name."""
T = TypeVar("T")

TRIES_MAX = 20
"""Of a transaction that meets another on the same item; each waits for nobody, so one of them always gets on."""
THROTTLED = {"ThrottlingError", "ProvisionedThroughputExceeded"}
AGAIN = {"TransactionConflict", *THROTTLED}
"""Why a transaction is cancelled that may be made a moment later (API reference of TransactWriteItems, 2026-11)."""
PAUSE_S = 0.05
KEYS = {
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "BillingMode": "PAY_PER_REQUEST",
}
"""What a table for it is created with."""
ABSENT = "attribute_not_exists(pk)"


class Answer(TypedDict, total=False):
    """What is read of the service's answers."""

    Item: Entry
    Attributes: Entry
    Items: list[Entry]
    LastEvaluatedKey: Entry


class Client(Protocol):
    """boto3's client for `dynamodb`, as far as it is used."""

    def get_item(self, **request: object) -> Answer:
        """One item."""

    def put_item(self, **request: object) -> Answer:
        """Write one item."""

    def update_item(self, **request: object) -> Answer:
        """Change one item."""

    def delete_item(self, **request: object) -> Answer:
        """Erase one item."""

    def query(self, **request: object) -> Answer:
        """A page of one partition."""

    def scan(self, **request: object) -> Answer:
        """A page of the table."""

    def transact_write_items(self, **request: object) -> Answer:
        """All of these writes, or none."""

    def close(self) -> None:
        """Release connections."""


def text(value: str) -> Value:
    """A text."""
    return {"S": value}


def number(value: float) -> Value:
    """A number, exact: the service keeps 38 digits."""
    return {"N": repr(value)}


def key_of(pk: str, sk: str) -> Entry:
    """An item's key."""
    return {"pk": text(pk), "sk": text(sk)}


def customer_key(customer_id: str, sk: str) -> Entry:
    """The key of an item of a customer's."""
    return key_of(f"customer#{customer_id}", sk)


def put(item: Entry, condition: str | None = None) -> Write:
    """A write of a whole item."""
    return {"Put": {"Item": item, **({"ConditionExpression": condition} if condition else {})}}


def delete(key: Entry) -> Write:
    """The end of an item; one that is absent stays absent."""
    return {"Delete": {"Key": key}}


class Table:
    """A table by name.

    Raises (every call):
        StoreError: the service refused for a reason that no other try would change.
    """

    def __init__(self, client: Client, name: str) -> None:
        self._client, self._name = client, name

    def get(self, key: Entry) -> Entry | None:
        """An item, or None."""
        return self._call(self._client.get_item, Key=key, ConsistentRead=True).get("Item")

    def put(self, item: Entry) -> None:
        """Write an item over whatever was there."""
        self._call(self._client.put_item, Item=item)

    def put_new(self, item: Entry) -> bool:
        """Write an item unless one with its key is there."""
        try:
            self._client.put_item(TableName=self._name, Item=item, ConditionExpression=ABSENT)
        except (ClientError, BotoCoreError) as error:
            if _code(error) == "ConditionalCheckFailedException":
                return False
            raise self._refusal(error) from None
        return True

    def take(self, key: Entry) -> Entry | None:
        """Erase an item; returns what it was, or None."""
        return self._call(self._client.delete_item, Key=key, ReturnValues="ALL_OLD").get("Attributes")

    def place(self, customer_id: str) -> Value:
        """The next number of a customer's counter; one that is not used in the end leaves a gap and no more."""
        answer = self._call(
            self._client.update_item,
            Key=customer_key(customer_id, "counter"),
            UpdateExpression="ADD #n :one",
            ExpressionAttributeNames={"#n": "number"},
            ExpressionAttributeValues={":one": number(1)},
            ReturnValues="UPDATED_NEW",
        )
        return answer["Attributes"]["number"]

    def partition(self, pk: str, prefix: str = "", up_to: str | None = None) -> Iterator[Entry]:
        """Items of one partition in the order of their sort key: those that begin so, or those up to a key."""
        condition = "sk <= :sk" if up_to is not None else "begins_with(sk, :sk)"
        values = {":pk": text(pk), ":sk": text(prefix if up_to is None else up_to)}
        if not prefix and up_to is None:
            condition = ""
            del values[":sk"]
        request: dict[str, object] = {
            "KeyConditionExpression": " AND ".join(part for part in ("pk = :pk", condition) if part),
            "ExpressionAttributeValues": values,
        }
        yield from self._pages(self._client.query, request)

    def of_customer(self, customer_id: str, prefix: str) -> list[Entry]:
        """A customer's items of one kind, in the order of their numbers."""
        items = self.partition(f"customer#{customer_id}", prefix)
        return sorted(items, key=lambda item: read(item, lambda it: int(it["number"]["N"])))

    def everywhere(self, prefix: str) -> Iterator[Entry]:
        """Every item whose sort key begins so, by reading the whole table: for an operator's view, never for a turn."""
        request: dict[str, object] = {
            "FilterExpression": "begins_with(sk, :sk)",
            "ExpressionAttributeValues": {":sk": text(prefix)},
        }
        yield from self._pages(self._client.scan, request)

    def transact(self, *writes: Write) -> tuple[str, ...]:
        """All of the writes or none: empty when made, else why each was not (`None`: not for this one)."""
        items = [{kind: {"TableName": self._name, **what} for kind, what in write.items()} for write in writes]
        for _ in range(TRIES_MAX):
            try:
                self._client.transact_write_items(TransactItems=items)
                return ()
            except ClientError as error:
                reasons = tuple(reason.get("Code", "None") for reason in error.response.get("CancellationReasons", ()))
                if "ConditionalCheckFailed" in reasons:
                    return reasons
                if not AGAIN & {*reasons}:
                    raise self._refusal(error) from None
                if THROTTLED & {*reasons}:
                    time.sleep(PAUSE_S)
            except BotoCoreError as error:
                raise self._refusal(error) from None
        raise StoreError(f"{self._name}: {TRIES_MAX} transactions in a row met others or limits; try again")

    def close(self) -> None:
        """Release connections."""
        self._client.close()

    def _pages(self, read: Callable[..., Answer], request: dict[str, object]) -> Iterator[Entry]:
        while True:
            answer = self._call(read, ConsistentRead=True, **request)
            yield from answer.get("Items", ())
            if "LastEvaluatedKey" not in answer:
                return
            request = {**request, "ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def _call(self, call: Callable[..., Answer], **request: object) -> Answer:
        try:
            return call(TableName=self._name, **request)
        except (ClientError, BotoCoreError) as error:
            raise self._refusal(error) from None

    def _refusal(self, error: ClientError | BotoCoreError) -> StoreError:
        return StoreError(f"{self._name}: {_code(error)}")


def read(item: Entry, decode: Callable[[Entry], T]) -> T:
    """An item as what it stands for.

    Raises:
        StoreError: it is of another shape: somebody else writes to the table.
    """
    try:
        return decode(item)
    except (KeyError, TypeError, ValueError, AttributeError):
        place = " ".join(str(item.get(name, {}).get("S")) for name in ("pk", "sk"))
        raise StoreError(f"item {place!r} is of another shape than peakday writes") from None


def _code(error: ClientError | BotoCoreError) -> str:
    answer = error.response if isinstance(error, ClientError) else {}
    return str(answer.get("Error", {}).get("Code", error))
