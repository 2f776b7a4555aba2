"""Where a stack keeps what the assistant writes: the sqlite file beside it, or one DynamoDB table for many machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from assistant.autobuy.payments import Payments, SqlitePayments
from assistant.autobuy.rules import RuleBook
from assistant.autobuy.sqlite import SqliteRules
from assistant.settings import Stack
from assistant.shop.sqlite import SqliteStore
from assistant.shop.store import Store

TRIES = 3
"""Of a request to the table, two and five seconds each for connecting and for the answer: a customer waits for it."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Opens handles; whoever works beside the others opens its own.

    payments: given the default payment method of a customer, or None where there is none.
    """

    store: Callable[[], Store]
    rules: Callable[[], RuleBook]
    payments: Callable[[Callable[[str], str | None]], Payments]


def storage_of(stack: Stack) -> Storage:
    """What the stack names: `data.store_table`, in the account and region of the environment, or `data.store`."""
    if stack.store_table is None:
        return Storage(
            lambda: SqliteStore(stack.store),
            lambda: SqliteRules(stack.store),
            lambda method_of: SqlitePayments(stack.store.with_name("payments.sqlite"), method_of),
        )
    return _on_table(stack.store_table)


def _on_table(name: str) -> Storage:
    import boto3  # half a second of imports, wanted only where a stack names a table
    from botocore.config import Config

    from assistant.autobuy.dynamodb import DynamoPayments, DynamoRules
    from assistant.shop.dynamodb import DynamoStore
    from assistant.shop.table import Table

    waits = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": TRIES})

    def table() -> Table:
        return Table(boto3.client("dynamodb", config=waits), name)

    return Storage(
        lambda: DynamoStore(table()), lambda: DynamoRules(table()), lambda method_of: DynamoPayments(table(), method_of)
    )
