"""Payment as an outside system: it knows nothing of our transactions, only idempotency keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


def charge_key(rule_id: str, matched_s: float) -> str:
    """One charge for one match of one rule."""
    return f"{rule_id}@{matched_s:.6f}"


def charged_rule(key: str) -> str:
    """The rule that a charge was made for."""
    return key.rpartition("@")[0]


class PaymentDeclined(Exception):
    """The account's default payment method was refused; trying again will not help."""


class Payments(Protocol):
    """Charges a customer's default payment method."""

    def charge(self, key: str, customer_id: str, amount_usd: float) -> str:
        """A reference of the charge; the same key is charged once and gives the same reference.

        Raises:
            PaymentDeclined: refused for good, or voided before.
        """

    def void(self, key: str) -> None:
        """Undo the charge with this key, or see to it that it never happens."""

    def charges(self) -> list[tuple[str, str, float]]:
        """Charges that stand: key, customer, amount."""

    def close(self) -> None:
        """Release files or connections."""


class SqlitePayments:
    """A payment provider in a file of its own, for the embedded default.

    Args:
        method_of: default payment method of a customer, or None; a method that starts with `declined` is refused.
    """

    def __init__(self, path: Path, method_of: Callable[[str], str | None]) -> None:
        self._method_of = method_of
        self._db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS charges"
            " (key TEXT PRIMARY KEY, customer_id TEXT, amount_usd REAL, state TEXT NOT NULL) WITHOUT ROWID"
        )

    def charge(self, key: str, customer_id: str, amount_usd: float) -> str:
        """See `Payments`."""
        method = self._method_of(customer_id)
        if not method or method.startswith("declined"):
            raise PaymentDeclined(f"{customer_id}: no default payment method that can be charged")
        self._db.execute("INSERT OR IGNORE INTO charges VALUES (?, ?, ?, 'charged')", (key, customer_id, amount_usd))
        (state,) = self._db.execute("SELECT state FROM charges WHERE key = ?", (key,)).fetchone()
        if state == "void":
            raise PaymentDeclined(f"{key}: voided")
        return f"charge:{key}"

    def void(self, key: str) -> None:
        """See `Payments`."""
        self._db.execute(
            "INSERT INTO charges VALUES (?, NULL, 0, 'void') ON CONFLICT DO UPDATE SET state = 'void'", (key,)
        )

    def charges(self) -> list[tuple[str, str, float]]:
        """See `Payments`."""
        sql = "SELECT key, customer_id, amount_usd FROM charges WHERE state = 'charged' ORDER BY key"
        return self._db.execute(sql).fetchall()

    def close(self) -> None:
        """Release the file."""
        self._db.close()
