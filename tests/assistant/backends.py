"""The backends of what the assistant writes. DynamoDB is moto's: the real service was not asked."""

import threading
import uuid
from functools import cache

import boto3
from moto.server import ThreadedMotoServer

from assistant.autobuy.dynamodb import DynamoPayments, DynamoRules
from assistant.autobuy.payments import SqlitePayments
from assistant.autobuy.sqlite import SqliteRules
from assistant.shop.dynamodb import DynamoStore
from assistant.shop.sqlite import SqliteStore
from assistant.shop.table import KEYS, Table
from assistant.storage import Storage


class OneAtATime:
    """A client whose calls are atomic, as the service's are; moto's transactions are not safe between threads."""

    def __init__(self, client, lock):
        self._client, self._lock = client, lock

    def __getattr__(self, name):
        call = getattr(self._client, name)

        def locked(*arguments, **named):
            with self._lock:
                return call(*arguments, **named)

        return call if name == "close" else locked


@cache
def dynamodb_client():
    """boto3's client of the server in this process: one for all, as making one costs more than what a test asks."""
    secret = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client("dynamodb", endpoint_url=dynamodb_server(), region_name="us-east-1", **secret)


@cache
def dynamodb_server():
    """The address of a server that lives as long as the test process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    return "http://{}:{}".format(*server.get_host_and_port())


def tables(wrapped=lambda client: client):
    """A function that opens handles of one new table; `wrapped` may stand between a handle and its client."""
    name, lock = f"store-{uuid.uuid4().hex}", threading.Lock()
    dynamodb_client().create_table(TableName=name, **KEYS)
    return lambda: Table(wrapped(OneAtATime(dynamodb_client(), lock)), name)


def sqlite_in(folder):
    """All in files of a folder."""
    return Storage(
        lambda: SqliteStore(folder / "store.sqlite"),
        lambda: SqliteRules(folder / "store.sqlite"),
        lambda method_of: SqlitePayments(folder / "payments.sqlite", method_of),
    )


def dynamodb_in(folder):
    """All in a table of its own."""
    return on(tables())


def on(table):
    """All in one table."""
    return Storage(
        lambda: DynamoStore(table()),
        lambda: DynamoRules(table()),
        lambda method_of: DynamoPayments(table(), method_of),
    )


BOTH = {"sqlite": sqlite_in, "dynamodb": dynamodb_in}
